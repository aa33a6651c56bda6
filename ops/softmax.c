/* Softmax and log-softmax along one axis. The kernels work along the last axis; another is permuted there by a view.
 * The gradients are ops of their own, in terms of the result. */
#include "internal.h"

#include "kernels/reduce/reduce.h"
#include "kernels/kernels.h"

static wg_status infer(wg_infer *c)
{
    wg_status status = wg__infer_float(c, 0);
    if (status) return status;
    c->out = c->in[0];
    if (c->out.rank == 0) return wg_infer_fail(c, WG_ERR_SHAPE, "a scalar has no axes");
    if (c->n_in == 2 && c->dtype_in[1] != c->dtype_in[0])
        return wg_infer_fail(c, WG_ERR_DTYPE, "%s and %s differ", wg_dtype_name(c->dtype_in[0]),
                             wg_dtype_name(c->dtype_in[1]));
    if (c->n_in == 2 && !wg_shape_equal(&c->in[0], &c->in[1]))
        return wg_infer_fail(c, WG_ERR_SHAPE, "the result and its gradient must have equal shapes");
    return WG_OK;
}

static int64_t tasks(const wg_args *args) { return wg__reduce_tasks(wg__extents_of_rows(&args->in[0])); }

static wg_tensor row_sum(wg_tensor x) { return wg_sum(x, WG_AXES(-1), true); }

/* ---- softmax ------------------------------------------------------------------------------------------- */

WG__SELECT(softmax_select, wg__kernel_get(WG__KERNEL_softmax, in[0]))
WG__SELECT(softmax_grad_select, wg__kernel_get(WG__KERNEL_softmax_grad, in[0]))

/* u = y (g - sum g y), from the result y and its gradient g. By g it is symmetric; by y, with c the incoming gradient:
 * c (g - sum g y) - g sum c y. */
static wg_tensor softmax_grad_vjp(const wg_vjp_args *v, int k);

static const wg_op softmax_grad = {.struct_size = sizeof(wg_op),
                                   .name = "softmax_grad",
                                   .min_in = 2,
                                   .max_in = 2,
                                   .flags = WG_OP_SMOOTH,
                                   .infer = infer,
                                   .vjp = softmax_grad_vjp,
                                   .select = softmax_grad_select,
                                   .tasks = tasks};

static wg_tensor softmax_grad_vjp(const wg_vjp_args *v, int k)
{
    wg_tensor y = v->in[0], g = v->in[1], c = v->grad;
    if (k == 1) return wg_record(&softmax_grad, (wg_tensor[]){y, c}, 2, NULL, 0);
    return wg_sub(wg_mul(c, wg_sub(g, row_sum(wg_mul(g, y)))), wg_mul(g, row_sum(wg_mul(c, y))));
}

static wg_tensor softmax_vjp(const wg_vjp_args *v, int k)
{
    return wg_record(&softmax_grad, (wg_tensor[]){v->out, v->grad}, 2, NULL, 0);
}

const wg_op wg__softmax_op = {.struct_size = sizeof(wg_op),
                              .name = "softmax",
                              .min_in = 1,
                              .max_in = 1,
                              .flags = WG_OP_SMOOTH,
                              .infer = infer,
                              .vjp = softmax_vjp,
                              .select = softmax_select,
                              .tasks = tasks};

/* ---- softmax of what a mask allows; its gradient is that of a softmax, whose masked results are 0 ---------------- */

static wg_status masked_infer(wg_infer *c)
{
    wg_status status = wg__infer_float(c, 0);
    if (status) return status;
    if (c->dtype_in[1] != WG_BOOL)
        return wg_infer_fail(c, WG_ERR_DTYPE, "mask is %s: must be bool", wg_dtype_name(c->dtype_in[1]));
    if (!wg_shape_equal(&c->in[0], &c->in[1]))
        return wg_infer_fail(c, WG_ERR_SHAPE, "the mask must have the shape of x, or broadcast to it");
    c->out = c->in[0];
    return WG_OK;
}

WG__SELECT(masked_select, wg__kernel_get(WG__KERNEL_masked_softmax, out))

static wg_tensor masked_vjp(const wg_vjp_args *v, int k) { return k == 0 ? softmax_vjp(v, k) : WG_NONE; }

static const wg_op masked_softmax = {.struct_size = sizeof(wg_op),
                                     .name = "masked_softmax",
                                     .min_in = 2,
                                     .max_in = 2,
                                     .flags = WG_OP_STRIDED | WG_OP_SMOOTH,
                                     .infer = masked_infer,
                                     .vjp = masked_vjp,
                                     .select = masked_select,
                                     .tasks = tasks};

/* ---- log-softmax --------------------------------------------------------------------------------------- */

WG__SELECT(log_softmax_select, wg__kernel_get(WG__KERNEL_log_softmax, in[0]))
WG__SELECT(log_softmax_grad_select, wg__kernel_get(WG__KERNEL_log_softmax_grad, in[0]))

/* u = g - e^y sum g, with c the incoming gradient. By g: c - sum c e^y. By y: -c e^y sum g. */
static wg_tensor log_softmax_grad_vjp(const wg_vjp_args *v, int k)
{
    wg_tensor g = v->in[1], weighted = wg_mul(v->grad, wg_exp(v->in[0]));
    return k == 1 ? wg_sub(v->grad, row_sum(weighted)) : wg_neg(wg_mul(weighted, row_sum(g)));
}

static const wg_op log_softmax_grad = {.struct_size = sizeof(wg_op),
                                       .name = "log_softmax_grad",
                                       .min_in = 2,
                                       .max_in = 2,
                                       .flags = WG_OP_SMOOTH,
                                       .infer = infer,
                                       .vjp = log_softmax_grad_vjp,
                                       .select = log_softmax_grad_select,
                                       .tasks = tasks};

static wg_tensor log_softmax_vjp(const wg_vjp_args *v, int k)
{
    return wg_record(&log_softmax_grad, (wg_tensor[]){v->out, v->grad}, 2, NULL, 0);
}

static const wg_op log_softmax = {.struct_size = sizeof(wg_op),
                                  .name = "log_softmax",
                                  .min_in = 1,
                                  .max_in = 1,
                                  .flags = WG_OP_SMOOTH,
                                  .infer = infer,
                                  .vjp = log_softmax_vjp,
                                  .select = log_softmax_select,
                                  .tasks = tasks};

const wg_op *const wg__softmax_ops[] = {&wg__softmax_op, &softmax_grad,     &masked_softmax,
                                        &log_softmax,    &log_softmax_grad, NULL};

/* ---- public functions ---------------------------------------------------------------------------- */

static wg_tensor along(const wg_op *op, wg_tensor x, int axis)
{
    if (!wg__axis(x, &axis, op->name)) return wg__nil_of(x);
    int last = wg_rank(x) - 1;
    if (axis == last) return wg_record(op, &x, 1, NULL, 0);
    wg_tensor moved = wg_transpose(x, axis, last);
    return wg_transpose(wg_record(op, &moved, 1, NULL, 0), axis, last);
}

wg_tensor wg_softmax(wg_tensor x, int axis) { return along(&wg__softmax_op, x, axis); }
wg_tensor wg_log_softmax(wg_tensor x, int axis) { return along(&log_softmax, x, axis); }

wg_tensor wg_masked_softmax(wg_tensor x, wg_tensor mask, int axis)
{
    wg_shape shape, own, both;
    if (!wg__both_set(x, mask, "masked_softmax") || !wg__axis(x, &axis, "masked_softmax") ||
        !wg__shape(x, &shape, "masked_softmax") || !wg__shape(mask, &own, "masked_softmax"))
        return wg__nil_of_both(x, mask);
    if (wg_shape_broadcast(&own, &shape, &both) && wg_shape_equal(&both, &shape)) mask = wg_expand(mask, shape);
    int last = shape.rank - 1;
    if (axis == last) return wg_record(&masked_softmax, (wg_tensor[]){x, mask}, 2, NULL, 0);
    wg_tensor in[] = {wg_transpose(x, axis, last),
                      wg_rank(mask) == shape.rank ? wg_transpose(mask, axis, last) : mask};
    return wg_transpose(wg_record(&masked_softmax, in, 2, NULL, 0), axis, last);
}
