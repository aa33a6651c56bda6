/* Internal. A tensor seen as [outer, n, inner] around one axis, or around some adjacent ones. */
#ifndef WG_KERNELS_AXES_H
#define WG_KERNELS_AXES_H

#include "kernel.h"

/* The sizes of a contiguous tensor in that view: a kernel works along n. */
typedef struct wg__extents {
    int64_t outer, n, inner;
} wg__extents;

static inline wg__extents wg__extents_at(const wg_operand *x, int64_t axis)
{
    wg__extents e = {1, x->size[axis], 1};
    for (int i = 0; i < axis; i++) e.outer *= x->size[i];
    for (int i = (int)axis + 1; i < x->rank; i++) e.inner *= x->size[i];
    return e;
}

/* Around the axes of a mask. Axes of size 1 are skipped; apart from them the mask's axes are adjacent. */
static inline wg__extents wg__extents_of_mask(const wg_operand *x, uint32_t mask)
{
    wg__extents e = {1, 1, 1};
    bool seen = false;
    for (int i = 0; i < x->rank; i++) {
        if (x->size[i] == 1) continue;
        if (mask >> i & 1) {
            e.n *= x->size[i];
            seen = true;
        } else if (seen) {
            e.inner *= x->size[i];
        } else {
            e.outer *= x->size[i];
        }
    }
    return e;
}

/* Around the last axis; outer is the number of rows. */
static inline wg__extents wg__extents_of_rows(const wg_operand *x)
{
    return wg__extents_of_mask(x, x->rank > 0 ? 1u << (x->rank - 1) : 0);
}

#endif
