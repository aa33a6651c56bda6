/* Softmax and norms over the last axis. */
#include "writer.h"

#include "../../ops/kernels/reduce/reduce.h"

static const char *softmax(wg__out *o)
{
    wg__with_int(o, "axis", -1);
    return wg__out_node1(o, o->row->op_type, wg__in_name(o, 0));
}

static const char *row_mean(wg__out *o, const char *x)
{
    const int64_t last = -1;
    return wg__out_node2(o, "ReduceMean", x, wg__integers(o, &last, 1));
}

/* x / sqrt(epsilon + mean x^2), which fuse.c reads back as the norm. */
static const char *normalized(wg__out *o, const char *x)
{
    const wg__norm_attr *attr = o->at.attr;
    const char *epsilon = wg__number(o, o->at.dtype, attr->epsilon), *square = wg__out_node2(o, "Mul", x, x);
    const char *root = wg__out_node1(o, "Sqrt", wg__out_node2(o, "Add", epsilon, row_mean(o, square)));
    return wg__out_node2(o, "Div", x, root);
}

/* y weight + bias, without those that are omitted. */
static const char *affine(wg__out *o, const char *y, const char *weight, const char *bias)
{
    if (*weight) y = wg__out_node2(o, "Mul", y, weight);
    return *bias ? wg__out_node2(o, "Add", y, bias) : y;
}

static const char *rms_norm(wg__out *o)
{
    return affine(o, normalized(o, wg__in_name(o, 0)), wg__in_name(o, 1), "");
}

/* The operator must have a weight. Its epsilon is f32, and what it computes: f64 is composed. */
static const char *layer_norm(wg__out *o)
{
    const wg__norm_attr *attr = o->at.attr;
    const char *x = wg__in_name(o, 0);
    if (o->at.dtype == WG_F64)
        return affine(o, normalized(o, wg__out_node2(o, "Sub", x, row_mean(o, x))), wg__in_name(o, 1),
                      wg__in_name(o, 2));
    const int last = o->at.shape.rank - 1;
    const wg_shape row = WG_DIMS(o->at.shape.size[last]), other = WG_DIMS(o->twin.shape.size[last]);
    const char *weight = wg__in_name(o, 1);
    if (!*weight) weight = wg__out_node2(o, "Expand", wg__number(o, o->at.dtype, 1), wg__sizes(o, &row, &other));
    wg__with_int(o, "axis", -1);
    wg__with_float(o, "epsilon", attr->epsilon);
    return wg__out_node3(o, "LayerNormalization", x, weight, wg__in_name(o, 2));
}

/* [3, n]: the means over the axes; 0, for what rounding takes from them; and units, of 1: the op scales rows of huge or
 * tiny numbers by theirs. */
static const char *center(wg__out *o)
{
    const wg__center_attr *attr = o->at.attr;
    int64_t axes[WG_MAX_RANK];
    int n = 0;
    wg_shape row = o->at.shape, other = o->twin.shape;
    row.size[0] = other.size[0] = 1;
    for (int i = 0; i < WG_MAX_RANK; i++)
        if (attr->mask >> i & 1) axes[n++] = i;
    const char *one = wg__number(o, o->at.dtype, 1), *zero = wg__number(o, o->at.dtype, 0);
    const char *sizes = wg__sizes(o, &row, &other), *mean;
    if (!attr->centered)
        mean = wg__out_node2(o, "Expand", zero, sizes);
    else if (n == 0)
        mean = wg__reshaped(o, wg__in_name(o, 0), &row, &other);
    else
        mean = wg__reshaped(o, wg__out_node2(o, "ReduceMean", wg__in_name(o, 0), wg__integers(o, axes, n)), &row,
                            &other);
    const char *const parts[] = {mean, wg__out_node2(o, "Expand", zero, sizes),
                                 wg__out_node2(o, "Expand", one, sizes)};
    wg__with_int(o, "axis", 0);
    return wg__out_node(o, "Concat", parts, 3);
}

const wg__row wg__out_norm[] = {
    {"center", NULL, center},
    {"layer_norm", "LayerNormalization", layer_norm},
    {"log_softmax", "LogSoftmax", softmax},
    {"rms_norm", NULL, rms_norm},
    {"softmax", "Softmax", softmax},
    {NULL},
};
