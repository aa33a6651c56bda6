/* Attention written out in primitive ops: forms that the planner recognizes, and near misses. */
#ifndef WG_TEST_ATTENTION_FORMS_H
#define WG_TEST_ATTENTION_FORMS_H

#include "tensors.h"

typedef wg_tensor (*attention_fn)(wg_tensor q, wg_tensor k, wg_tensor v);

typedef struct form {
    const char *name;
    attention_fn attention;
    bool recognised; /* the planner replaces it by the op */
    int first_rank, last_rank;
} form;

extern const form attention_forms[]; /* up to one without a name */
attention_fn attention_form(const char *name);

/* ---- parts of forms ---- */

wg_tensor products(wg_tensor q, wg_tensor k); /* q k^T */
wg_tensor weights(wg_tensor scores);          /* softmax over the keys */
wg_tensor infinity(wg_tensor like);           /* -infinity, of this dtype */
wg_tensor tril(wg_tensor s, int64_t diagonal);
wg_tensor mask_of_keys(wg_tensor s); /* admits some keys, for all queries */

#endif
