/* Internal. Offsets in one block of memory for values with known lifetimes. */
#ifndef WG_FIT_H
#define WG_FIT_H

#include "../base/heap.h"

typedef struct wg__interval {
    uint32_t first, last; /* stages, both included */
    int64_t bytes;
    int64_t *offset; /* result */
} wg__interval;

/* Sets the offsets so that intervals which are live at the same time do not overlap, and returns the bytes of the
 * block; -1 if out of memory. Without reuse none overlap. Uses memory of the arena and, until it returns, of the
 * heap. */
int64_t wg__fit(wg__heap *heap, wg__arena *arena, wg__interval *intervals, uint32_t n, bool reuse);

#endif
