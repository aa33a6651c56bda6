/* Internal. Rematerialisation: values of the forward pass that are not kept for the way back, but computed again. */
#ifndef WG_REMAT_H
#define WG_REMAT_H

#include "graph.h"

typedef struct wg__remat {
    wg_tape *tape;
    uint32_t n;       /* nodes of the forward part */
    uint32_t *region; /* [n] 0: none */
    uint32_t *again;  /* [n] the node that has its value on the way back: itself, if it is kept; 0: not yet made.
                         NULL: nothing is computed again */
    uint32_t entered; /* the region whose nodes are made */
} wg__remat;

/* Which of the values that y is computed from are computed again; `wanted` are kept in any case. False when memory is
 * out. */
bool wg__remat_init(wg__remat *r, wg_tape *tape, uint32_t y, const uint32_t *wanted, uint32_t n_wanted);
/* The way back reaches node `id`: appends the nodes that compute its region again, up to it. */
bool wg__remat_reach(wg__remat *r, uint32_t id);
/* The node that has the value of `id` on the way back. */
static inline uint32_t wg__remat_of(const wg__remat *r, uint32_t id)
{
    return r->again && id < r->n && r->again[id] ? r->again[id] : id;
}

#endif
