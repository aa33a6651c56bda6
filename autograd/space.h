/* Internal. Free space in one block of memory that does not exist yet: offsets by best fit, neighbours joined. */
#ifndef WG_SPACE_H
#define WG_SPACE_H

#include "heap.h"

enum { WG__SPACE_BINS = 160 };
#define WG__SPACE_NONE UINT32_MAX

typedef struct wg__range {
    int64_t offset, size;
    uint32_t before, after;  /* neighbours in memory */
    uint32_t next, previous; /* in the bin */
    bool free;
} wg__range;

typedef struct wg__space {
    wg__heap *heap;
    wg__range *blocks;
    uint32_t n, cap, last; /* last: the block with the highest address */
    uint32_t spare;        /* records of blocks that were merged away */
    uint32_t bins[WG__SPACE_BINS];
    int64_t end;
} wg__space;

void wg__space_init(wg__space *s, wg__heap *heap);
void wg__space_fini(wg__space *s);
/* The index of a range of at least `size` bytes, a multiple of 64; WG__SPACE_NONE when memory is out. */
uint32_t wg__space_take(wg__space *s, int64_t size);
void wg__space_give(wg__space *s, uint32_t range);

#endif
