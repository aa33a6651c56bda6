/* Reading by index: Gather, GatherElements, ScatterElements, MaxPool. */
#include "writer.h"

#include <math.h>
#include <string.h>

#include "../../ops/kernels/conv/pool.h"
#include "../../ops/kernels/move/move.h"

static int64_t axis_of(const wg__out *o) { return ((const wg__axis_attr *)o->at.attr)->axis; }

static const char *take(wg__out *o)
{
    wg__with_int(o, "axis", axis_of(o));
    return wg__out_node2(o, "Gather", wg__in_name(o, 0), wg__in_name(o, 1));
}

/* x with -inf before and after, along its last axes. */
static const char *padded(wg__out *o, const char *x, const int64_t *pads, int axes)
{
    int64_t all[2 * (2 + WG__POOL_AXES)] = {0};
    for (int i = 0; i < axes; i++) all[2 + i] = pads[i], all[4 + axes + i] = pads[axes + i];
    return wg__out_node3(o, "Pad", x, wg__integers(o, all, 2 * (2 + axes)), wg__number(o, o->at.dtype, -INFINITY));
}

/* The maxima of windows of x, [images, channels, positions]. What hangs over x or its padding is padding at the end.
 * ONNX Runtime refuses padding of as many elements as a window has, which dilation allows: that is a Pad. */
static const char *max_pool(wg__out *o, const wg__walked *pool)
{
    const wg__pool_attr *attr = pool->attr;
    const int axes = (int)attr->axes, first = WG__POOL_AXES - axes;
    int64_t pads[2 * WG__POOL_AXES] = {0};
    bool wide = false;
    for (int i = 0; i < axes; i++) {
        const int64_t reach = (attr->kernel[first + i] - 1) * attr->dilation[first + i] + 1;
        const int64_t end = (attr->positions[first + i] - 1) * attr->stride[first + i] + reach;
        const int64_t after = end - attr->before[first + i] - wg__fixed_size(o, pool->in[0], 2 + i);
        pads[i] = attr->before[first + i];
        pads[axes + i] = after > 0 ? after : 0;
        wide |= pads[i] >= attr->kernel[first + i] || pads[axes + i] >= attr->kernel[first + i];
    }
    const char *x = o->marks[pool->in[0]].name;
    if (wide) {
        x = padded(o, x, pads, axes);
        memset(pads, 0, sizeof pads);
    }
    wg__with_ints(o, "kernel_shape", attr->kernel + first, axes);
    wg__with_ints(o, "strides", attr->stride + first, axes);
    wg__with_ints(o, "dilations", attr->dilation + first, axes);
    wg__with_ints(o, "pads", pads, 2 * axes);
    const char *y = wg__out_node1(o, "MaxPool", x);
    return axes == 1 ? y : wg__reshaped(o, y, &o->at.shape, &o->twin.shape);
}

static const char *gather(wg__out *o)
{
    wg__walked pool;
    if (wg__pooled(o->tape, &o->at, &pool)) return max_pool(o, &pool);
    wg__with_int(o, "axis", axis_of(o));
    return wg__out_node2(o, "GatherElements", wg__in_name(o, 0), wg__in_name(o, 1));
}

static const char *scatter(wg__out *o)
{
    wg__with_int(o, "axis", axis_of(o));
    wg__with_text(o, "reduction", strcmp(o->row->op, "scatter_add") == 0 ? "add" : "mul");
    return wg__out_node3(o, "ScatterElements", wg__in_name(o, 0), wg__in_name(o, 1), wg__in_name(o, 2));
}

/* Whether index and class are equal. OneHot is not defined for all dtypes everywhere. */
static const char *one_hot(wg__out *o)
{
    const wg__one_hot_attr *attr = o->at.attr;
    const int64_t last = -1;
    const char *column = wg__out_node2(o, "Unsqueeze", wg__in_name(o, 0), wg__integers(o, &last, 1));
    const char *equal = wg__out_node2(o, "Equal", column, wg__numbers_to(o, attr->classes));
    return wg__cast_to(o, equal, o->at.dtype);
}

const wg__row wg__out_index[] = {
    {"embedding", "Gather", take},
    {"gather", "GatherElements", gather},
    {"index_select", "Gather", take},
    {"one_hot", NULL, one_hot},
    {"scatter_add", "ScatterElements", scatter},
    {"scatter_prod", "ScatterElements", scatter},
    {NULL},
};
