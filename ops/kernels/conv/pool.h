/* Internal. Pooling: what the op and its kernel share. */
#ifndef WG_KERNELS_POOL_H
#define WG_KERNELS_POOL_H

#include "../base/kernel.h"

enum { WG__POOL_AXES = 3 };

/* The last `axes` axes are pooled: of the arrays the last elements; the others are 1, and before 0. */
typedef struct wg__pool_attr {
    int64_t axes;
    int64_t kernel[WG__POOL_AXES], stride[WG__POOL_AXES], dilation[WG__POOL_AXES];
    int64_t before[WG__POOL_AXES];    /* the first window begins so many elements before x */
    int64_t positions[WG__POOL_AXES]; /* of windows; each has an element of x in it */
} wg__pool_attr;

/* The result is planes of the pooled axes; a task computes some planes. */
enum { WG__POOL_TASK = 8192 }; /* elements of a task, about; chosen, not measured */

static inline int64_t wg__pool_plane(const wg_operand *x, int64_t axes)
{
    int64_t n = 1;
    for (int i = 0; i < axes; i++) n *= x->size[x->rank - 1 - i];
    return n;
}

static inline int64_t wg__pool_planes_per_task(const wg_args *args)
{
    return 1 + WG__POOL_TASK / (1 + wg__pool_plane(&args->out, ((const wg__pool_attr *)args->attr)->axes));
}

#endif
