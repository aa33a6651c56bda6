/* Internal. Lifetimes of values, and the values that may be computed in place. */
#ifndef WG_LIFETIME_H
#define WG_LIFETIME_H

#include "planner.h"

typedef struct wg__lifetime {
    uint32_t first, last; /* stages; 0: never; first is 0 for sources */
    uint32_t read;        /* the last stage that reads it, ... */
    uint32_t reader;      /* ... the unit that does (0: none, WG__SEVERAL), ... */
    uint32_t member;      /* ... the last of its members that does, ... */
    bool direct;          /* ... and whether all of them read it directly, not through a view */
    uint32_t in_place_of; /* the operand whose storage it takes over; 0: none */
} wg__lifetime;

enum { WG__SEVERAL = UINT32_MAX };

/* [n] for nodes that own storage. Returns NULL if out of memory. */
wg__lifetime *wg__lifetimes_of(wg__planner *p);

/* ---- peak.c ---- */

/* Fills plan->peak, once the pass place knows which values are in the block. False if out of memory. */
bool wg__peak_by_scope(wg__planner *p, const wg__lifetime *lifetimes);

/* ---- inplace.c ---- */

/* Results of a chain take over the storage of operands whose last use is in it. */
void wg__inplace_operands(const wg__planner *p, wg__lifetime *lifetimes, uint32_t unit);

/* Decides which outputs are written straight to their target. */
typedef struct wg__targets {
    const wg__planner *p;
    const wg__lifetime *lifetimes;
    uint32_t last_check; /* the last stage in which an index may turn out to be out of range */
    uint32_t *read;      /* leaves of buffers that are read */
    uint32_t n_read;
} wg__targets;

bool wg__targets_init(wg__targets *t, const wg__planner *p, const wg__lifetime *lifetimes);
/* True for gradients, and for assigned values that may overwrite the buffer at once. */
bool wg__is_on_target(const wg__targets *t, const wg__output *output);

#endif
