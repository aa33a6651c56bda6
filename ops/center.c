/* The mean over some axes as an op of its own: for variances and norms, which magnify what it is off by. */
#include "internal.h"

#include <math.h>

#include "kernels/reduce/reduce.h"
#include "kernels/kernels.h"

static wg_shape kept_shape(wg_tensor x, uint32_t mask)
{
    wg_shape shape = wg_shape_get(x);
    for (int i = 0; i < shape.rank; i++)
        if (mask >> i & 1) shape.size[i] = 1;
    return shape;
}

/* [3, n]: the means, what rounding took from them, and the units. */
static wg_status infer(wg_infer *c)
{
    const wg__center_attr *attr = c->attr;
    wg_status status = wg__infer_float(c, 0);
    int64_t n = 1;
    if (status) return status;
    for (int i = 0; i < c->in[0].rank; i++) n *= attr->mask >> i & 1 ? 1 : c->in[0].size[i];
    c->out = WG_DIMS(3, n);
    return wg__infer_size(c);
}

WG__SELECT(select, wg__kernel_get(WG__KERNEL_center, in[0]))

/* Row k of the result, in the shape of x with sizes of 1. */
static wg_tensor part(wg_tensor all, int k, wg_shape shape) { return wg_reshape(wg_select(all, 0, k), shape); }

/* That of a mean; neither its rest, which is 0 but for rounding, nor a unit has a gradient. */
static wg_tensor vjp(const wg_vjp_args *v, int k)
{
    const wg__center_attr attr = *(const wg__center_attr *)v->attr;
    wg_tensor x = v->in[0];
    int64_t n = wg_size(v->out, 1);
    if (!attr.centered || n == 0) return WG_NONE;
    wg_tensor each = wg__constant(x, (double)(wg_numel(x) / n));
    return wg_expand(wg_div(part(v->grad, 0, kept_shape(x, attr.mask)), each), wg_shape_get(x));
}

static const wg_op center = {.struct_size = sizeof(wg_op),
                             .name = "center",
                             .min_in = 1,
                             .max_in = 1,
                             .flags = WG_OP_SMOOTH,
                             .infer = infer,
                             .vjp = vjp,
                             .select = select,
                             .tasks = wg__center_tasks};

const wg_op *const wg__center_ops[] = {&center, NULL};

wg__centered wg__center(wg_tensor x, uint32_t mask, bool centered, double epsilon)
{
    const wg__center_attr attr = {.epsilon = epsilon, .mask = mask, .centered = centered};
    wg_tensor all = wg_record(&center, &x, 1, &attr, sizeof attr);
    wg__centered c = {.mean = part(all, 0, kept_shape(x, mask)), .unit = part(all, 2, kept_shape(x, mask))};
    c.x = centered ? wg_sub(wg_sub(x, c.mean), wg_detach(part(all, 1, kept_shape(x, mask)))) : x;
    if (epsilon < 0) return c;
    c.unit = wg_detach(c.unit);
    wg_axes axes = {0};
    for (int i = 0; i < wg_rank(x); i++)
        if (mask >> i & 1) axes.axis[axes.n++] = i;
    c.variance = wg__mean_or_zero(wg_square(wg_mul(c.x, c.unit)), axes);
    return c;
}

wg_tensor wg__center_scale(const wg__centered *c, double epsilon)
{
    /* (sqrt(epsilon) unit)^2 is at most 1. */
    const wg_tensor rest = wg_square(wg_mul(c->unit, wg__constant(c->x, sqrt(epsilon))));
    return wg_mul(wg_rsqrt(wg_add(c->variance, rest)), c->unit);
}
