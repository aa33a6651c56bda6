/* Layer norm and RMS norm over the last axis. */
#include "composed.h"

#include "kernels/reduce/reduce.h"
#include "kernels/kernels.h"

#include <assert.h>

/* The first `full` operands have the shape of x; the others are vectors over the last axis, or WG_NONE. */
static wg_status check(wg_infer *c, int full)
{
    static const char *const name[] = {"weight", "bias"};
    wg_status status = wg__infer_float(c, 0);
    if (status) return status;
    c->out = c->in[0];
    if (c->out.rank == 0) return wg_infer_fail(c, WG_ERR_SHAPE, "a scalar has no axis to normalize over");
    int64_t n = c->out.size[c->out.rank - 1];
    if (n == 0 && !((const wg__norm_attr *)c->attr)->centered)
        return wg_infer_fail(c, WG_ERR_SHAPE, "the last axis must have elements");
    assert(c->n_in <= full + 2);
    for (int i = 1; i < c->n_in; i++) {
        const wg_shape *s = &c->in[i];
        if (s->rank < 0) continue;
        if (c->dtype_in[i] != c->dtype_in[0])
            return wg_infer_fail(c, WG_ERR_DTYPE, "%s and %s differ; there is no promotion, use wg_cast",
                                 wg_dtype_name(c->dtype_in[0]), wg_dtype_name(c->dtype_in[i]));
        if (i < full && !wg_shape_equal(s, &c->out))
            return wg_infer_fail(c, WG_ERR_SHAPE, "the gradient must have the shape of x");
        if (i >= full && (s->rank != 1 || s->size[0] != n))
            return wg_infer_fail(c, WG_ERR_SHAPE, "%s must be [%lld], the last size of x", name[i - full],
                                 (long long)n);
    }
    return WG_OK;
}

static wg_status infer_norm(wg_infer *c) { return check(c, 1); }
static wg_status infer_grad(wg_infer *c) { return check(c, 2); }

static int64_t tasks(const wg_args *args) { return wg__reduce_tasks(wg__extents_of_rows(&args->in[0])); }

WG__SELECT(norm_select, wg__kernel_get(WG__KERNEL_norm, in[0]))
WG__SELECT(grad_select, wg__kernel_get(WG__KERNEL_norm_grad, in[0]))

static wg_tensor row_mean(wg_tensor x) { return wg__mean_or_zero(x, WG_AXES(-1)); }

/* The gradient by x (operands x, g, weight) as a composition: with a = g weight and y the normalized x,
 * (a - mean a - y mean(a y)) / sqrt(var + epsilon), without mean a if x is not centered. */
static wg_tensor grad_formula(const wg_tensor *in, int n_in, const void *attr)
{
    const wg__norm_attr *norm = attr;
    wg__centered c = wg__center(in[0], 1u << (wg_rank(in[0]) - 1), norm->centered, norm->epsilon);
    const wg_tensor scale = wg__center_scale(&c, norm->epsilon), y = wg_mul(c.x, scale);
    wg_tensor a = n_in > 2 && !wg_is_nil(in[2]) ? wg_mul(in[1], in[2]) : in[1];
    wg_tensor rest = norm->centered ? wg_sub(a, row_mean(a)) : a;
    return wg_mul(scale, wg_sub(rest, wg_mul(y, row_mean(wg_mul(a, y)))));
}

static wg_tensor grad_vjp(const wg_vjp_args *v, int k) { return wg__composed_vjp(v, k, grad_formula); }

static wg_tensor norm_vjp(const wg_vjp_args *v, int k);

/* Operands x, weight or none, for layer norm bias or none. */
#define NORM(text, most)                                                                                           \
    {                                                                                                              \
        .struct_size = sizeof(wg_op), .name = text, .min_in = 1, .max_in = most, .flags = WG_OP_SMOOTH,            \
        .infer = infer_norm, .vjp = norm_vjp, .select = norm_select, .tasks = tasks                                \
    }
/* Operands x, gradient of the result, weight or none. */
#define NORM_GRAD(text)                                                                                            \
    {                                                                                                              \
        .struct_size = sizeof(wg_op), .name = text, .min_in = 2, .max_in = 3, .flags = WG_OP_SMOOTH,               \
        .infer = infer_grad, .vjp = grad_vjp, .select = grad_select, .tasks = tasks                                \
    }
static const wg_op layer_norm = NORM("layer_norm", 3), layer_norm_grad = NORM_GRAD("layer_norm_grad");
static const wg_op rms_norm = NORM("rms_norm", 2), rms_norm_grad = NORM_GRAD("rms_norm_grad");

static wg_tensor norm_vjp(const wg_vjp_args *v, int k)
{
    wg__norm_attr attr = *(const wg__norm_attr *)v->attr;
    const wg_op *grad = attr.centered ? &layer_norm_grad : &rms_norm_grad;
    if (k == 0) return wg_record(grad, (wg_tensor[]){v->in[0], v->grad, v->in[1]}, 3, &attr, sizeof attr);
    if (k == 2) return v->grad;
    wg_tensor plain = wg_record(v->op, (wg_tensor[]){v->in[0], WG_NONE, WG_NONE}, v->n_in, &attr, sizeof attr);
    return wg_mul(v->grad, plain);
}

const wg_op *const wg__norm_ops[] = {&layer_norm, &layer_norm_grad, &rms_norm, &rms_norm_grad, NULL};

wg_tensor wg_layer_norm(wg_tensor x, wg_tensor weight, wg_tensor bias, double epsilon)
{
    if (!(epsilon >= 0))
        return wg_fail(x, WG_ERR_ARGUMENT, "layer_norm", "epsilon = %g: must be 0 or more", epsilon);
    wg__norm_attr attr = {epsilon, true};
    return wg_record(&layer_norm, (wg_tensor[]){x, weight, bias}, 3, &attr, sizeof attr);
}

wg_tensor wg_rms_norm(wg_tensor x, wg_tensor weight, double epsilon)
{
    if (!(epsilon >= 0)) return wg_fail(x, WG_ERR_ARGUMENT, "rms_norm", "epsilon = %g: must be 0 or more", epsilon);
    wg__norm_attr attr = {epsilon, false};
    return wg_record(&rms_norm, (wg_tensor[]){x, weight}, 2, &attr, sizeof attr);
}

/* [N, C, ...] as rows of a group: [N, groups, C / groups ...]. */
wg_tensor wg_group_norm(wg_tensor x, int64_t groups, wg_tensor weight, wg_tensor bias, double epsilon)
{
    wg_shape shape;
    if (!wg__shape(x, &shape, "group_norm") || !wg__float(x, "group_norm")) return wg__nil_of(x);
    if (!(epsilon >= 0))
        return wg_fail(x, WG_ERR_ARGUMENT, "group_norm", "epsilon = %g: must be 0 or more", epsilon);
    if (shape.rank < 2) return wg__refuse(x, WG_ERR_SHAPE, "group_norm", "x must be [N, C, ...]");
    const int64_t channels = shape.size[1];
    if (groups < 1 || channels < 1 || channels % groups)
        return wg__refuse(x, WG_ERR_SHAPE, "group_norm",
                          "%lld channels: must be a multiple of %lld groups, and not 0", (long long)channels,
                          (long long)groups);
    if (!wg__per_channel(x, &shape, &weight, "weight", false, "group_norm") ||
        !wg__per_channel(x, &shape, &bias, "bias", false, "group_norm"))
        return wg__nil_of(x);
    wg_tensor y = x;
    if (wg_numel(x) > 0) {
        y = wg_reshape(x, WG_DIMS(shape.size[0], groups, -1));
        y = wg_reshape(wg_layer_norm(y, WG_NONE, WG_NONE, epsilon), shape);
    }
    if (weight.tape) y = wg_mul(y, weight);
    return bias.tape ? wg_add(y, bias) : y;
}
