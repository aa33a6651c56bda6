/* Reductions over any axes: shape rules, gradients, and the functions of ops.h.
 *
 * The kernels need adjacent reduced axes; others are permuted to the end by a view. A sum is also the gradient of a
 * broadcast: it is the structural op of that name. */
#include "composed.h"

#include <math.h>

#include "kernels/reduce/reduce.h"
#include "kernels/kernels.h"

/* ---- axes ---------------------------------------------------------------------------------------------- */

wg_axes wg_axes_of(int n, const int *axis)
{
    wg_axes axes = {0};
    axes.n = n < 0 || n > WG_MAX_RANK || (n > 0 && !axis) ? -1 : n; /* -1: an error of the op that uses it */
    for (int i = 0; i < axes.n; i++) axes.axis[i] = axis[i];
    return axes;
}

bool wg__axes_mask(wg_tensor x, wg_axes axes, const char *op, wg_shape *shape, uint32_t *mask)
{
    if (!wg__shape(x, shape, op)) return false;
    if (axes.n < 0 || axes.n > WG_MAX_RANK) {
        wg_fail(x, WG_ERR_ARGUMENT, op, "a list of axes has 0 to %d entries", WG_MAX_RANK);
        return false;
    }
    *mask = axes.n == 0 ? (1u << shape->rank) - 1 : 0;
    for (int i = 0; i < axes.n; i++) {
        int axis = axes.axis[i];
        if (!wg__axis(x, &axis, op)) return false;
        if (*mask >> axis & 1) {
            wg_fail(x, WG_ERR_ARGUMENT, op, "axis %d is named twice", axis);
            return false;
        }
        *mask |= 1u << axis;
    }
    return true;
}

static wg_shape reduced_shape(const wg_shape *in, uint32_t mask, bool keep)
{
    wg_shape out = {0};
    for (int i = 0; i < in->rank; i++) {
        if (!(mask >> i & 1)) {
            out.size[out.rank++] = in->size[i];
        } else if (keep) {
            out.size[out.rank++] = 1;
        }
    }
    return out;
}

static int64_t reduced_count(const wg_shape *in, uint32_t mask)
{
    int64_t n = 1;
    for (int i = 0; i < in->rank; i++) n *= mask >> i & 1 ? in->size[i] : 1;
    return n;
}

/* True if no axis of more than one element is between the reduced ones or, if `last`, after them. */
static bool adjacent(const wg_shape *in, uint32_t mask, bool last)
{
    bool seen = false, over = false;
    for (int i = 0; i < in->rank; i++) {
        bool reduced = mask >> i & 1;
        if (in->size[i] == 1) continue;
        if (reduced && over) return false;
        over |= seen && !reduced;
        seen |= reduced;
    }
    return !(last && over);
}

/* True if the reduced axes are the leading ones: a shape to sum to may omit them, and broadcasting restores them. */
static bool leading(uint32_t mask) { return (mask & (mask + 1)) == 0; }

/* An order with the kept axes first, the reduced ones last. */
static wg_axes kept_first(const wg_shape *in, uint32_t mask)
{
    wg_axes order = {0};
    for (int i = 0; i < in->rank; i++) {
        if (!(mask >> i & 1)) order.axis[order.n++] = i;
    }
    for (int i = 0; i < in->rank; i++) {
        if (mask >> i & 1) order.axis[order.n++] = i;
    }
    return order;
}

/* Records the reduction. rows: the kernel only reduces trailing axes. */
static wg_tensor reduce(const wg_op *op, wg_tensor x, wg_axes axes, bool keep, bool rows)
{
    wg_shape shape;
    uint32_t mask;
    if (!wg__axes_mask(x, axes, op->name, &shape, &mask)) return wg__nil_of(x);
    wg__reduce_attr attr = {mask, keep};
    if (adjacent(&shape, mask, rows)) return wg_record(op, &x, 1, &attr, sizeof attr);

    wg_axes order = kept_first(&shape, mask);
    uint32_t kept = 0;
    for (int i = 0; i < shape.rank; i++) kept += !(mask >> i & 1);
    wg_tensor moved = wg_permute(x, order);
    attr = (wg__reduce_attr){((1u << shape.rank) - 1) & ~((1u << kept) - 1), 0};
    wg_tensor y = wg_record(op, &moved, 1, &attr, sizeof attr);
    return keep ? wg_reshape(y, reduced_shape(&shape, mask, true)) : y;
}

/* ---- shape rules --------------------------------------------------------------------------------------- */

static wg_status infer_shape(wg_infer *c)
{
    const wg__reduce_attr *attr = c->attr;
    c->out = reduced_shape(&c->in[0], attr->mask, attr->keep);
    return WG_OK;
}

static wg_status infer_reduce(wg_infer *c)
{
    wg_status status = wg__infer_float(c, 0);
    return status ? status : infer_shape(c);
}

static wg_status infer_extreme(wg_infer *c)
{
    const wg__reduce_attr *attr = c->attr;
    if (reduced_count(&c->in[0], attr->mask) == 0)
        return wg_infer_fail(c, WG_ERR_SHAPE,
                             "no elements along the reduced axes, and an extreme of nothing is undefined");
    return infer_reduce(c);
}

static wg_status infer_arg(wg_infer *c)
{
    const wg__reduce_attr *attr = c->attr;
    if (reduced_count(&c->in[0], attr->mask) > INT32_MAX)
        return wg_infer_fail(c, WG_ERR_SHAPE, "an index does not fit into i32");
    wg_status status = infer_extreme(c);
    c->dtype = WG_I32;
    return status;
}

static wg_status infer_truth(wg_infer *c)
{
    if (c->dtype_in[0] != WG_BOOL)
        return wg_infer_fail(c, WG_ERR_DTYPE, "operand is %s: must be bool (see the comparisons)",
                             wg_dtype_name(c->dtype_in[0]));
    return infer_shape(c);
}

static wg_status infer_same(wg_infer *c)
{
    wg_status status = wg__infer_float(c, 0);
    c->out = c->in[0];
    return status;
}

static wg_status infer_logsumexp_grad(wg_infer *c)
{
    const wg__reduce_attr *attr = c->attr;
    wg_shape result = reduced_shape(&c->in[0], attr->mask, attr->keep);
    wg_status status = infer_same(c);
    if (status) return status;
    if (c->dtype_in[1] != c->dtype_in[0] || !wg_shape_equal(&c->in[1], &result))
        return wg_infer_fail(c, WG_ERR_SHAPE, "the gradient must have the result's shape and dtype");
    return WG_OK;
}

static int64_t tasks(const wg_args *args)
{
    const wg__reduce_attr *attr = args->attr;
    return wg__reduce_tasks(wg__extents_of_mask(&args->in[0], attr->mask));
}

/* ---- gradients ----------------------------------------------------------------------------------------- */

/* A copy of the attributes, since recording may move them. */
static wg__reduce_attr attr_of(const wg_vjp_args *v) { return *(const wg__reduce_attr *)v->attr; }

/* A result, or its gradient, reshaped to broadcast to x. */
static wg_tensor restore_axes(wg_tensor t, wg_tensor x, wg__reduce_attr attr)
{
    wg_shape in = wg_shape_get(x);
    return attr.keep || leading(attr.mask) ? t : wg_reshape(t, reduced_shape(&in, attr.mask, true));
}

static wg_axes axes_of_mask(uint32_t mask)
{
    wg_axes axes = {0};
    for (int i = 0; i < WG_MAX_RANK; i++) {
        if (mask >> i & 1) axes.axis[axes.n++] = i;
    }
    return axes;
}

static wg_tensor extreme_vjp(const wg_vjp_args *v, int k)
{
    wg__reduce_attr attr = attr_of(v);
    wg_tensor x = v->in[0];
    if (attr.mask == 0) return v->grad;
    wg_tensor hit = wg_cast(wg_equal(x, restore_axes(v->out, x, attr)), wg_dtype_get(x));
    wg_tensor ties = wg_sum(hit, axes_of_mask(attr.mask), true);
    return wg_mul(hit, wg_div(restore_axes(v->grad, x, attr), ties));
}

static const wg_op prod_others;

static wg_tensor prod_vjp(const wg_vjp_args *v, int k)
{
    wg__reduce_attr attr = attr_of(v);
    wg_tensor others = wg_record(&prod_others, v->in, 1, &attr, sizeof attr);
    return wg_mul(restore_axes(v->grad, v->in[0], attr), others);
}

/* prod_others by definition: the row products of the n x n table whose rows are x with a 1 on the diagonal. */
static wg_tensor prod_others_formula(const wg_tensor *in, int n_in, const void *attr)
{
    uint32_t mask = ((const wg__reduce_attr *)attr)->mask;
    wg_shape shape = wg_shape_get(in[0]);
    wg_axes order = kept_first(&shape, mask), inverse = order;
    wg_shape moved = shape;
    for (int i = 0; i < shape.rank; i++) {
        moved.size[i] = shape.size[order.axis[i]];
        inverse.axis[order.axis[i]] = i;
    }
    int64_t n = reduced_count(&shape, mask), outer = 1;
    for (int i = 0; i < shape.rank; i++) outer *= mask >> i & 1 ? 1 : shape.size[i];
    wg_tensor rows = wg_reshape(wg_permute(in[0], order), WG_DIMS(outer, 1, n));
    wg_tensor diagonal = wg_logical_and(wg_tril_mask(in[0].tape, n, n, 0), wg_triu_mask(in[0].tape, n, n, 0));
    wg_tensor y = wg_prod(wg_where(diagonal, wg__constant(in[0], 1), rows), WG_AXES(2), false);
    return wg_permute(wg_reshape(y, moved), inverse);
}

static wg_tensor prod_others_vjp(const wg_vjp_args *v, int k)
{
    return wg__composed_vjp(v, k, prod_others_formula);
}

static const wg_op logsumexp_grad;

static wg_tensor logsumexp_vjp(const wg_vjp_args *v, int k)
{
    wg__reduce_attr attr = attr_of(v);
    return wg_record(&logsumexp_grad, (wg_tensor[]){v->in[0], v->grad}, 2, &attr, sizeof attr);
}

/* Operands x, g: u = g p, p the softmax of x. With c the incoming gradient, by g: sum c p; by x: g p (c - sum c p). */
static wg_tensor logsumexp_grad_vjp(const wg_vjp_args *v, int k)
{
    wg__reduce_attr attr = attr_of(v);
    wg_tensor x = v->in[0], c = v->grad;
    wg_shape in = wg_shape_get(x);
    int64_t n = reduced_count(&in, attr.mask);
    wg_shape rows = WG_DIMS(n > 0 ? wg_numel(x) / n : 0, n);
    wg_tensor p = wg_reshape(wg_softmax(wg_reshape(x, rows), -1), in);
    wg_axes axes = axes_of_mask(attr.mask);
    if (k == 1) return wg_sum(wg_mul(c, p), axes, attr.keep);
    wg_tensor mean = wg_sum(wg_mul(c, p), axes, true);
    return wg_mul(restore_axes(v->in[1], x, attr), wg_mul(p, wg_sub(c, mean)));
}

/* ---- descriptors --------------------------------------------------------------------------------------- */

WG__SELECT(max_select, wg__kernel_get(WG__KERNEL_max, in[0]))
WG__SELECT(min_select, wg__kernel_get(WG__KERNEL_min, in[0]))
WG__SELECT(prod_select, wg__kernel_get(WG__KERNEL_prod, in[0]))
WG__SELECT(prod_others_select, wg__kernel_get(WG__KERNEL_prod_others, in[0]))
WG__SELECT(logsumexp_select, wg__kernel_get(WG__KERNEL_logsumexp, in[0]))
WG__SELECT(logsumexp_grad_select, wg__kernel_get(WG__KERNEL_logsumexp_grad, in[0]))
WG__SELECT(argmax_select, wg__kernel_get(WG__KERNEL_argmax, in[0]))
WG__SELECT(argmin_select, wg__kernel_get(WG__KERNEL_argmin, in[0]))
WG__SELECT(any_select, wg__kernel_get(WG__KERNEL_any, WG_F32))
WG__SELECT(all_select, wg__kernel_get(WG__KERNEL_all, WG_F32))

#define REDUCE_OP(text, flag, rule, gradient, choose)                                                              \
    {                                                                                                              \
        .struct_size = sizeof(wg_op), .name = text, .min_in = 1, .max_in = 1, .flags = (flag), .infer = (rule),    \
        .vjp = (gradient), .select = (choose), .tasks = tasks                                                      \
    }

static const wg_op max = REDUCE_OP("max", 0, infer_extreme, extreme_vjp, max_select);
static const wg_op min = REDUCE_OP("min", 0, infer_extreme, extreme_vjp, min_select);
static const wg_op prod = REDUCE_OP("prod", WG_OP_SMOOTH, infer_reduce, prod_vjp, prod_select);
static const wg_op prod_others =
    REDUCE_OP("prod_others", WG_OP_SMOOTH, infer_same, prod_others_vjp, prod_others_select);
static const wg_op logsumexp = REDUCE_OP("logsumexp", WG_OP_SMOOTH, infer_reduce, logsumexp_vjp, logsumexp_select);
static const wg_op logsumexp_grad = {.struct_size = sizeof(wg_op),
                                     .name = "logsumexp_grad",
                                     .min_in = 2,
                                     .max_in = 2,
                                     .flags = WG_OP_SMOOTH,
                                     .infer = infer_logsumexp_grad,
                                     .vjp = logsumexp_grad_vjp,
                                     .select = logsumexp_grad_select,
                                     .tasks = tasks};
static const wg_op argmax = REDUCE_OP("argmax", WG_OP_NO_GRADIENT, infer_arg, NULL, argmax_select);
static const wg_op argmin = REDUCE_OP("argmin", WG_OP_NO_GRADIENT, infer_arg, NULL, argmin_select);
static const wg_op any = REDUCE_OP("any", WG_OP_NO_GRADIENT, infer_truth, NULL, any_select);
static const wg_op all = REDUCE_OP("all", WG_OP_NO_GRADIENT, infer_truth, NULL, all_select);

const wg_op *const wg__reduce_ops[] = {&max,    &min,    &prod, &prod_others, &logsumexp, &logsumexp_grad,
                                       &argmax, &argmin, &any,  &all,         NULL};

/* ---- public functions ---------------------------------------------------------------------------- */

wg_tensor wg_sum(wg_tensor x, wg_axes axes, bool keep)
{
    wg_shape shape;
    uint32_t mask;
    if (!wg__axes_mask(x, axes, "sum", &shape, &mask) || !wg__float(x, "sum")) return wg__nil_of(x);
    wg_tensor y = wg__sum_to(x, reduced_shape(&shape, mask, keep || !leading(mask)));
    return keep || leading(mask) ? y : wg_reshape(y, reduced_shape(&shape, mask, false));
}

wg_tensor wg_max(wg_tensor x, wg_axes axes, bool keep) { return reduce(&max, x, axes, keep, false); }
wg_tensor wg_min(wg_tensor x, wg_axes axes, bool keep) { return reduce(&min, x, axes, keep, false); }
wg_tensor wg_prod(wg_tensor x, wg_axes axes, bool keep) { return reduce(&prod, x, axes, keep, false); }
wg_tensor wg_logsumexp(wg_tensor x, wg_axes axes, bool keep) { return reduce(&logsumexp, x, axes, keep, true); }
wg_tensor wg_any(wg_tensor x, wg_axes axes, bool keep) { return reduce(&any, x, axes, keep, false); }
wg_tensor wg_all(wg_tensor x, wg_axes axes, bool keep) { return reduce(&all, x, axes, keep, false); }
wg_tensor wg_argmax(wg_tensor x, int axis, bool keep) { return reduce(&argmax, x, WG_AXES(axis), keep, false); }
wg_tensor wg_argmin(wg_tensor x, int axis, bool keep) { return reduce(&argmin, x, WG_AXES(axis), keep, false); }
wg_tensor wg_sum_all(wg_tensor x) { return wg_sum(x, WG_ALL_AXES, false); }
wg_tensor wg_mean_all(wg_tensor x) { return wg_mean(x, WG_ALL_AXES, false); }

wg_tensor wg_mean(wg_tensor x, wg_axes axes, bool keep)
{
    wg_shape shape;
    uint32_t mask;
    char text[128];
    if (!wg__axes_mask(x, axes, "mean", &shape, &mask) || !wg__float(x, "mean")) return wg__nil_of(x);
    int64_t n = reduced_count(&shape, mask);
    if (n == 0)
        return wg_fail(x, WG_ERR_SHAPE, "mean", "%s: the mean of no elements is undefined",
                       wg_shape_text(&shape, text, 128));
    wg_tensor total = wg_sum(x, axes, keep);
    return n == 1 ? total : wg_div(total, wg__constant(x, (double)n));
}

wg_tensor wg__variance(wg_tensor x, wg_axes axes, bool keep, int correction, wg_tensor *unit, const char *op)
{
    wg_shape shape;
    uint32_t mask;
    char text[128];
    if (!wg__axes_mask(x, axes, op, &shape, &mask) || !wg__float(x, op)) return wg__nil_of(x);
    int64_t n = reduced_count(&shape, mask);
    if (n == 0 || n - correction <= 0)
        return wg_fail(x, WG_ERR_SHAPE, op, "%s: %lld elements with correction %d: the divisor is not positive",
                       wg_shape_text(&shape, text, 128), (long long)n, correction);
    const wg__centered c = wg__center(x, mask, true, unit ? 0 : -1);
    wg_tensor sum = wg_sum(wg_square(unit ? wg_mul(c.x, c.unit) : c.x), axes, keep);
    if (unit) *unit = wg_reshape(c.unit, wg_shape_get(sum));
    return wg_div(sum, wg__constant(x, (double)(n - correction)));
}

wg_tensor wg_var(wg_tensor x, wg_axes axes, bool keep, int correction)
{
    return wg__variance(x, axes, keep, correction, NULL, "var");
}
