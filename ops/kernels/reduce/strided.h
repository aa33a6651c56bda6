/* Internal. The axes of an operand of any strides, sorted into those that a reduction keeps and those it sums over. For
 * files compiled per variant. */
#ifndef WG_KERNELS_STRIDED_H
#define WG_KERNELS_STRIDED_H

#include <string.h>

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

/* The axes of a sum. Its order is a matter of the shape alone, whatever the strides. Axes of size 1 do not count. */
typedef struct sum_axes {
    axes kept;
    axes line;    /* the last summed axis, and adjacent ones: one line of elements for each index of the others */
    axes outer;   /* the other summed axes; there may be none */
    bool columns; /* the last axis is kept: results along it are summed side by side, row by row */
} sum_axes;

/* By the bits of a mask. */
static inline sum_axes axes_sort(const wg_operand *in, uint32_t summed)
{
    sum_axes s = {0};
    for (int i = 0; i < in->rank; i++) {
        if (in->size[i] == 1) continue;
        if (!(summed >> i & 1)) {
            axes_push(&s.kept, in->size[i], in->stride[i]);
            s.columns = true;
            continue;
        }
        for (int j = 0; s.columns && j < s.line.n; j++) axes_push(&s.outer, s.line.size[j], s.line.stride[j]);
        if (s.columns) s.line.n = 0;
        axes_push(&s.line, in->size[i], in->stride[i]);
        s.columns = false;
    }
    if (s.kept.n == 0) axes_push(&s.kept, 1, 1);
    if (s.line.n == 0) axes_push(&s.line, 1, 0);
    return s;
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

/* Steps at[] to the next index of the first n axes, and *offset with it; false past the end. */
static inline bool axes_next(const axes *a, int n, int64_t at[], int64_t *offset)
{
    for (int i = n - 1; i >= 0; i--) {
        *offset += a->stride[i];
        if (++at[i] < a->size[i]) return true;
        *offset -= at[i] * a->stride[i];
        at[i] = 0;
    }
    return false;
}

static inline void copy_run(real *to, const real *from, int64_t n, int64_t step)
{
    if (step == 1)
        memcpy(to, from, (size_t)n * sizeof *to);
    else
        for (int64_t i = 0; i < n; i++) to[i] = from[i * step];
}

#endif
