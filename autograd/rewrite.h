/* Internal. Rewriting: before a program is differentiated and planned, nodes of it may become others. */
#ifndef WG_REWRITE_H
#define WG_REWRITE_H

#include "graph.h"

typedef struct wg__rewrite wg__rewrite;
struct wg__rewrite {
    wg_tape *tape;
    uint32_t *reader; /* [nodes] for rules that ask: the node that reads it, once; WG__READ_MORE; 0: nobody */
    uint32_t *first;  /* [nodes] noted by wg__rewrite_first; NULL: nothing */
    bool changed;     /* some node did: after planning the tape's nodes must be put back */
};

/* At every node of op `at`, what is around it may become something else. */
typedef struct wg__rule {
    const wg_op *at;
    unsigned pass;                                /* that it belongs to: WG__PASS_* */
    bool readers;                                 /* it looks at who reads whom */
    bool (*apply)(wg__rewrite *r, uint32_t node); /* false when memory is out */
} wg__rule;

#define WG__READ_MORE UINT32_MAX /* it is read more often, or its value is wanted */

/* What can be said better is; `loss` and the n wanted nodes stay. False when memory is out. */
bool wg__rewrite_program(wg__rewrite *r, uint32_t loss, const uint32_t *wanted, uint32_t n);

/* For rules: the node that was noted first for `id`; `node` itself if it is the first. 0 when memory is out. */
uint32_t wg__rewrite_first(wg__rewrite *r, uint32_t id, uint32_t node);
/* For rules: node `id` computes `op` of to.in from now on, with to.shape and to.dtype. Operands have smaller ids. False
 * when memory is out. */
bool wg__rewrite_node(wg__rewrite *r, uint32_t id, const wg_op *op, wg__node to, const void *attr, size_t size);

#endif
