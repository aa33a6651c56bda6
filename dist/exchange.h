/* Internal to dist/: moving ranges of flat arrays between ranks. */
#ifndef WG_DIST_EXCHANGE_H
#define WG_DIST_EXCHANGE_H

#include "flat.h"
#include "world.h"

/* One side of an exchange: the elements of `range`, to or from `rank`. */
typedef struct wg__side {
    const wg__flat *flat;
    wg__range range; /* empty: no message */
    int rank;
} wg__side;

/* Sends and receives at the same time, in messages of WG__CHUNK, two on their way in each direction. Bytes sent are
 * added to *count. */
wg_status wg__exchange(wg_world *world, wg__side send, wg__side receive, uint64_t *count);

/* cut[ranks + 1]: place p has the elements from cut[p] to cut[p + 1] - 1. After a gather all ranks have all elements,
 * by recursive doubling, or directly if R is no power of two; (R - 1) / R of all elements are sent by each rank. */
wg_status wg__gather(wg_world *world, const wg__flat *flat, const int64_t *cut, uint64_t *count);

#endif
