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
    const wg_shape row = WG_DIMS(o->at.shape.size[o->at.shape.rank - 1]);
    const char *weight = wg__in_name(o, 1);
    if (!*weight) weight = wg__out_node2(o, "Expand", wg__number(o, o->at.dtype, 1), wg__sizes(o, &row, &row));
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

const wg__row wg__out_norm[] = {
    {"layer_norm", "LayerNormalization", layer_norm},
    {"log_softmax", "LogSoftmax", softmax},
    {"rms_norm", NULL, rms_norm},
    {"softmax", "Softmax", softmax},
    {NULL},
};
