/* Internal. Rematerialization: values of the forward pass that the backward pass recomputes instead of saving them. */
#ifndef WG_REMAT_H
#define WG_REMAT_H

#include "../tape/graph.h"

typedef struct wg__remat {
    wg_tape *tape;
    uint32_t n;       /* nodes of the forward pass */
    uint32_t *region; /* [n] 0: none */
    uint32_t *copy; /* [n] the node that has its value in the backward pass: itself, if it is saved; 0: not recorded
                       yet. NULL: everything is saved */
    uint32_t entered; /* the region whose copies are recorded */
} wg__remat;

/* Chooses which of the values that y is computed from are rematerialized; the `wanted` nodes are always saved. Returns
 * false if out of memory. */
bool wg__remat_init(wg__remat *r, wg_tape *tape, uint32_t y, const uint32_t *wanted, uint32_t n_wanted);
/* Called when the backward pass reaches node `id`: records the copies of its region up to it. */
bool wg__remat_enter(wg__remat *r, uint32_t id);
/* The node that has the value of `id` in the backward pass. */
static inline uint32_t wg__remat_of(const wg__remat *r, uint32_t id)
{
    assert(id < r->tape->n_nodes);
    return r->copy && id < r->n && r->copy[id] ? r->copy[id] : id;
}

#endif
