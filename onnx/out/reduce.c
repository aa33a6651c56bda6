/* Reductions and cumulative sums. */
#include "writer.h"

#include "../../ops/kernels/reduce/reduce.h"

/* The axes that a sum to a shape adds up, in one of the recordings at least. */
static int summed_axes(const wg_shape *x, const wg_shape *sum, const wg_shape *other_x, const wg_shape *other_sum,
                       int64_t *axes)
{
    const int lead = x->rank - sum->rank;
    int n = 0;
    for (int i = 0; i < x->rank; i++)
        if (i < lead || x->size[i] != sum->size[i - lead] || other_x->size[i] != other_sum->size[i - lead])
            axes[n++] = i;
    return n;
}

static const char *sum(wg__out *o)
{
    const wg_shape x = wg__in_node(o, 0).shape, other = wg__other_shape(o, o->at.in[0]);
    int64_t axes[WG_MAX_RANK];
    const int n = summed_axes(&x, &o->at.shape, &other, &o->twin.shape, axes), lead = x.rank - o->at.shape.rank;
    if (n == 0) return wg__out_node1(o, "Identity", wg__in_name(o, 0));
    const char *over = wg__integers(o, axes, n);
    wg__with_int(o, "keepdims", n > lead || lead == 0);
    const char *y = wg__out_node2(o, "ReduceSum", wg__in_name(o, 0), over);
    return n > lead && lead > 0 ? wg__reshaped(o, y, &o->at.shape, &o->twin.shape) : y;
}

static const char *reduced(wg__out *o, const char *x)
{
    const wg__reduce_attr *attr = o->at.attr;
    int64_t axes[WG_MAX_RANK];
    int n = 0;
    for (int i = 0; i < WG_MAX_RANK; i++)
        if (attr->mask >> i & 1) axes[n++] = i;
    if (n == 0) return wg__out_node1(o, "Identity", x);
    const char *over = wg__integers(o, axes, n);
    wg__with_int(o, "keepdims", attr->keep);
    return wg__out_node2(o, o->row->op_type, x, over);
}

static const char *reduce(wg__out *o) { return reduced(o, wg__in_name(o, 0)); }

/* Whether one of the bools is true: whether their sum is not 0. A maximum of none is undefined. */
static const char *any_of(wg__out *o, const char *x)
{
    return wg__cast_to(o, reduced(o, wg__cast_to(o, x, WG_I32)), WG_BOOL);
}

static const char *any(wg__out *o) { return any_of(o, wg__in_name(o, 0)); }

static const char *all(wg__out *o)
{
    return wg__out_node1(o, "Not", any_of(o, wg__out_node1(o, "Not", wg__in_name(o, 0))));
}

static const char *place(wg__out *o)
{
    const wg__reduce_attr *attr = o->at.attr;
    wg__with_int(o, "axis", __builtin_ctz(attr->mask));
    wg__with_int(o, "keepdims", attr->keep);
    return wg__cast_to(o, wg__out_node1(o, o->row->op_type, wg__in_name(o, 0)), WG_I32);
}

static const char *cumsum(wg__out *o)
{
    const wg__scan_attr *attr = o->at.attr;
    const char *axis = wg__number(o, WG_I32, attr->axis);
    wg__with_int(o, "reverse", attr->reverse);
    return wg__out_node2(o, "CumSum", wg__in_name(o, 0), axis);
}

const wg__row wg__out_reduce[] = {
    {"all", "ReduceSum", all},
    {"any", "ReduceSum", any},
    {"argmax", "ArgMax", place},
    {"argmin", "ArgMin", place},
    {"cumsum", "CumSum", cumsum},
    {"logsumexp", "ReduceLogSumExp", reduce},
    {"max", "ReduceMax", reduce},
    {"min", "ReduceMin", reduce},
    {"prod", "ReduceProd", reduce},
    {"sum", "ReduceSum", sum, .sizes = true},
    {NULL},
};
