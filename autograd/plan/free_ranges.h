/* Internal. Free ranges of a block of memory that is being laid out: best fit, neighbours are merged. */
#ifndef WG_FREE_RANGES_H
#define WG_FREE_RANGES_H

#include "../base/heap.h"

enum { WG__RANGE_BINS = 160 };

typedef struct wg__range {
    int64_t offset, size;
    uint32_t before, after;  /* neighbours in memory; 0: none */
    uint32_t next, previous; /* in the bin; 0: none */
    bool free;
} wg__range;

typedef struct wg__free_ranges {
    wg__heap *heap;
    wg__range *ranges;     /* range 0 is reserved */
    uint32_t n, cap, last; /* last: the range with the highest offset */
    uint32_t spare;        /* records of ranges that were merged away */
    uint32_t bins[WG__RANGE_BINS];
    int64_t end; /* of the block so far */
} wg__free_ranges;

void wg__free_ranges_init(wg__free_ranges *f, wg__heap *heap);
void wg__free_ranges_fini(wg__free_ranges *f);
/* A range of at least `size` bytes, a multiple of 64. Returns 0 if out of memory. */
uint32_t wg__range_take(wg__free_ranges *f, int64_t size);
void wg__range_give(wg__free_ranges *f, uint32_t range);

#endif
