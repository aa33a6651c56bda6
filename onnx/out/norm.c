/* Softmax and norms over the last axis. */
#include "writer.h"

#include "../../ops/kernels/reduce/reduce.h"

static const char *softmax(wg__out *o)
{
    wg__with_int(o, "axis", -1);
    return wg__out_node1(o, o->row->op_type, wg__in_name(o, 0));
}

/* The operator must have a weight. */
static const char *layer_norm(wg__out *o)
{
    const wg__norm_attr *attr = o->at.attr;
    const int last = o->at.shape.rank - 1;
    const wg_shape row = WG_DIMS(o->at.shape.size[last]), other = WG_DIMS(o->twin.shape.size[last]);
    const char *weight = wg__in_name(o, 1);
    if (!*weight) weight = wg__out_node2(o, "Expand", wg__number(o, o->at.dtype, 1), wg__sizes(o, &row, &other));
    wg__with_int(o, "axis", -1);
    wg__with_float(o, "epsilon", attr->epsilon);
    return wg__out_node3(o, "LayerNormalization", wg__in_name(o, 0), weight, wg__in_name(o, 2));
}

/* x / sqrt(epsilon + mean x^2) weight, which fuse.c reads back as this op */
static const char *rms_norm(wg__out *o)
{
    const wg__norm_attr *attr = o->at.attr;
    const int64_t last = -1;
    const char *x = wg__in_name(o, 0), *weight = wg__in_name(o, 1), *axes = wg__integers(o, &last, 1);
    const char *mean = wg__out_node2(o, "ReduceMean", wg__out_node2(o, "Mul", x, x), axes);
    const char *root =
        wg__out_node1(o, "Sqrt", wg__out_node2(o, "Add", wg__number(o, o->at.dtype, attr->epsilon), mean));
    const char *y = wg__out_node2(o, "Div", x, root);
    return *weight ? wg__out_node2(o, "Mul", y, weight) : y;
}

/* [2, n]: the means over the axes, and units, of 1: the op scales rows of huge or tiny numbers by theirs. */
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
    const char *const parts[] = {mean, wg__out_node2(o, "Expand", one, sizes)};
    wg__with_int(o, "axis", 0);
    return wg__out_node(o, "Concat", parts, 2);
}

const wg__row wg__out_norm[] = {
    {"center", NULL, center},
    {"layer_norm", "LayerNormalization", layer_norm},
    {"log_softmax", "LogSoftmax", softmax},
    {"rms_norm", NULL, rms_norm},
    {"softmax", "Softmax", softmax},
    {NULL},
};
