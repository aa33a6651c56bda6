/* Internal. The axes of an operand of any strides, sorted into those that a reduction keeps and those it sums over. For
 * files compiled per variant. */
#ifndef WG_KERNELS_STRIDED_H
#define WG_KERNELS_STRIDED_H

#include "../base/kernel.h"

/* Adjacent axes are merged if strides allow it. */
typedef struct axes {
    int n;
    int64_t size[WG_MAX_RANK], stride[WG_MAX_RANK];
} axes;

static inline void axes_push(axes *a, int64_t size, int64_t stride)
{
    if (a->n > 0 && a->stride[a->n - 1] == size * stride) {
        a->size[a->n - 1] *= size;
        a->stride[a->n - 1] = stride;
        return;
    }
    a->size[a->n] = size;
    a->stride[a->n++] = stride;
}

/* By the bits of a mask; at least one axis of each. */
static inline void axes_sort(const wg_operand *in, uint32_t summed, axes *kept, axes *sum)
{
    kept->n = sum->n = 0;
    for (int i = 0; i < in->rank; i++)
        if (in->size[i] != 1) axes_push(summed >> i & 1 ? sum : kept, in->size[i], in->stride[i]);
    if (kept->n == 0) axes_push(kept, 1, 1);
    if (sum->n == 0) axes_push(sum, 1, 0);
}

/* Where the sums of element `at` of the kept axes begin. */
static inline int64_t axes_offset(const axes *kept, int64_t at)
{
    int64_t offset = 0;
    for (int i = kept->n - 1; i >= 0; i--) {
        offset += at % kept->size[i] * kept->stride[i];
        at /= kept->size[i];
    }
    return offset;
}

/* Steps at[] to the next index of all axes but the last, and *offset with it; false past the end. */
static inline bool axes_next(const axes *a, int64_t at[], int64_t *offset)
{
    for (int i = a->n - 2; i >= 0; i--) {
        *offset += a->stride[i];
        if (++at[i] < a->size[i]) return true;
        *offset -= at[i] * a->stride[i];
        at[i] = 0;
    }
    return false;
}

#endif
