/* Internal. Offsets in one block of memory for values that live for a while: those that live at once stand apart. */
#ifndef WG_FIT_H
#define WG_FIT_H

#include "heap.h"

typedef struct wg__interval {
    uint32_t first, last; /* it lives from stage to stage */
    int64_t bytes;
    int64_t *offset; /* set */
} wg__interval;

/* The bytes of the block; -1 when memory is out. Without reuse all stand apart. Memory is taken from the arena and,
 * until it returns, from the heap. */
int64_t wg__fit(wg__heap *heap, wg__arena *arena, wg__interval *intervals, uint32_t n, bool reuse);

#endif
