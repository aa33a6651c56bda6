/* Internal. A tensor split at one axis, or at some adjacent ones. */
#ifndef WG_KERNELS_AXES_H
#define WG_KERNELS_AXES_H

#include "kernel.h"

/* A contiguous tensor seen as [outer, n, inner]: a kernel works along n. */
typedef struct wg__split {
    int64_t outer, n, inner;
} wg__split;

static inline wg__split wg__split_at(const wg_operand *x, int64_t axis)
{
    wg__split s = {1, x->size[axis], 1};
    for (int i = 0; i < axis; i++) s.outer *= x->size[i];
    for (int i = (int)axis + 1; i < x->rank; i++) s.inner *= x->size[i];
    return s;
}

/* At the axes of a mask. Axes of size 1 are skipped; apart from them the mask's axes are adjacent. */
static inline wg__split wg__split_mask(const wg_operand *x, uint32_t mask)
{
    wg__split s = {1, 1, 1};
    bool seen = false;
    for (int i = 0; i < x->rank; i++) {
        if (x->size[i] == 1) continue;
        if (mask >> i & 1) {
            s.n *= x->size[i];
            seen = true;
        } else if (seen) {
            s.inner *= x->size[i];
        } else {
            s.outer *= x->size[i];
        }
    }
    return s;
}

/* At the last axis; outer is the number of rows. */
static inline wg__split wg__split_last(const wg_operand *x)
{
    return wg__split_mask(x, x->rank > 0 ? 1u << (x->rank - 1) : 0);
}

#endif
