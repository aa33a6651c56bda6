/* Internal. Rewriting: before a program is differentiated and planned, nodes of it may be replaced by others. */
#ifndef WG_REWRITE_H
#define WG_REWRITE_H

#include "../tape/graph.h"
#include "passes.h"

typedef struct wg__rewrite wg__rewrite;
struct wg__rewrite {
    wg_tape *tape;
    uint32_t *reader; /* [nodes] the only reader of a node; 0: none; WG__READ_MORE. NULL until a rule needs it */
    uint32_t *first;  /* [nodes] recorded by wg__rewrite_first; NULL: nothing */
    bool changed;     /* some node did; the tape's nodes must be restored after planning */
};

/* Tries to rewrite the program around every node of op `at`. */
typedef struct wg__rule {
    const wg_op *at;
    unsigned pass;                                /* the switch it belongs to: WG__PASS_* */
    bool readers;                                 /* uses `reader` */
    bool (*apply)(wg__rewrite *r, uint32_t node); /* false if out of memory */
} wg__rule;

#define WG__READ_MORE UINT32_MAX /* several readers, or its value is wanted */

/* For rules: the node that was recorded first for `id`; `node` itself if it is the first. 0 if out of memory. */
uint32_t wg__rewrite_first(wg__rewrite *r, uint32_t id, uint32_t node);
/* For rules: replaces node `id` by `op` on to.in with to.shape and to.dtype. Operands have smaller ids. Returns false
 * if out of memory. */
bool wg__rewrite_node(wg__rewrite *r, uint32_t id, const wg_op *op, wg__node to, const void *attr, size_t size);

#endif
