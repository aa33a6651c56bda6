/* Internal. Making a plan for a request. */
#ifndef WG_PIPELINE_H
#define WG_PIPELINE_H

#include "planner.h"

/* The values that a plan computes, as words that are part of its key. */
typedef struct wg__request {
    uint32_t *words;
    uint32_t n;
    uint32_t loss;           /* 0: no gradients */
    const uint32_t *x;       /* [n_x] nodes of the parameters to differentiate by */
    const uint32_t *targets; /* [n_targets] nodes to evaluate */
    uint32_t n_x, n_targets;
    uint64_t hash;
} wg__request;

/* Runs the passes; `plan` holds the key. Leaves the tape's nodes as they were. Returns false if out of memory, or with
 * an error on the tape. */
bool wg__plan_make(wg_tape *tape, wg__plan *plan, const wg__request *request);

/* Names of passes, for WG_DUMP, and of switches, for the option plan. */
const char *wg__pass_name(int index);                      /* NULL past the end */
unsigned wg__pass_switch(const char *name, size_t length); /* WG__PASS_*; 0: no such switch */

#endif
