/* Reductions over axes, softmax, scans along an axis. */
#include <math.h>

#include "internal.h"

/* ---- Reduce* ---- */

/* The axes of a reduction: an attribute before opset 18 (13 of ReduceSum), then operand 1. False: none are reduced. */
static bool axes_of(wg__call *c, int rank, wg_axes *axes)
{
    int64_t list[WG_MAX_RANK];
    const int n = wg__ints_of(c, 1, "axes", list, WG_MAX_RANK);
    *axes = (wg_axes){0};
    for (int i = 0; i < n; i++) axes->axis[axes->n++] = wg__call_axis(c, list[i], rank);
    return rank > 0 && (axes->n > 0 || !wg__attribute_int(c->node, "noop_with_empty_axes", 0));
}

static wg_tensor reduce_sum(wg_tensor x, wg_axes axes, bool keep) { return wg_sum(x, axes, keep); }
static wg_tensor reduce_l1(wg_tensor x, wg_axes axes, bool keep) { return wg_sum(wg_abs(x), axes, keep); }
static wg_tensor reduce_square(wg_tensor x, wg_axes axes, bool keep) { return wg_sum(wg_square(x), axes, keep); }
static wg_tensor reduce_log(wg_tensor x, wg_axes axes, bool keep) { return wg_log(wg_sum(x, axes, keep)); }

typedef enum reduction { SUM, PROD, MAX, MIN, MEAN, L1, L2, LOG_SUM, LOG_SUM_EXP, SUM_SQUARE } reduction;
static const struct {
    wg_tensor (*reduce)(wg_tensor x, wg_axes axes, bool keep);
    wg_tensor (*single)(wg_tensor x); /* of one element; NULL: itself */
} reductions[] = {
    [SUM] = {reduce_sum, NULL},
    [PROD] = {wg_prod, NULL},
    [MAX] = {wg_max, NULL},
    [MIN] = {wg_min, NULL},
    [MEAN] = {wg_mean, NULL},
    [L1] = {reduce_l1, wg_abs},
    [L2] = {wg_norm, wg_abs},
    [LOG_SUM] = {reduce_log, wg_log},
    [LOG_SUM_EXP] = {wg_logsumexp, NULL},
    [SUM_SQUARE] = {reduce_square, wg_square},
};

/* The sum, product, maximum or minimum of known numbers of one axis, as sizes are; others are reduced on the tape. */
static bool known_reduce(wg__call *c, wg_axes axes, bool some, bool keep)
{
    static const double start[] = {[SUM] = 0, [PROD] = 1, [MAX] = -INFINITY, [MIN] = INFINITY};
    const wg__known_item *x = wg__in(c, 0);
    const reduction kind = (reduction)c->node->row->kind;
    const bool wanted = wg__wants(c, 0) && c->model->values[c->node->out[0]].wanted;
    if (!x->host || x->shape.rank > 1 || (wg__type_is_float(x->type) && !wanted) || (axes.n == 0 && !some) ||
        kind > MIN)
        return false;
    int64_t n;
    wg_shape_numel(&x->shape, &n);
    const wg_shape shape = keep && x->shape.rank == 1 ? WG_DIMS(1) : WG_SCALAR;
    double *out = wg__numbers_new(c, &shape), y = start[kind];
    for (int64_t i = 0; i < n; i++)
        y = kind == SUM    ? y + x->host[i]
            : kind == PROD ? y * x->host[i]
            : kind == MAX  ? fmax(y, x->host[i])
                           : fmin(y, x->host[i]);
    if (out) out[0] = y;
    wg__set_known(c, 0, shape, out, x->type);
    return true;
}

static void record_reduce(wg__call *c)
{
    const int type = wg__type_of(c, 0);
    const bool keep = wg__attribute_int(c->node, "keepdims", 1) != 0;
    wg_axes axes;
    const bool some = axes_of(c, wg__shape_of(c, 0).rank, &axes);
    if (wg__call_failed(c) || known_reduce(c, axes, some, keep)) return;
    const int kind = c->node->row->kind;
    const wg_tensor x = wg__tensor(c, 0);
    const wg_tensor real = wg__type_is_float(type) ? x : wg_cast(x, WG_F64);
    const wg_tensor y = some                      ? reductions[kind].reduce(real, axes, keep)
                        : reductions[kind].single ? reductions[kind].single(real)
                                                  : real;
    wg__set(c, 0, wg__type_is_float(type) ? y : wg_cast(y, wg_dtype_get(x)), type);
}

/* ---- ArgMax, ArgMin ---- */

static void record_arg(wg__call *c)
{
    const bool max = c->node->row->kind == MAX, keep = wg__attribute_int(c->node, "keepdims", 1) != 0;
    const bool last = wg__attribute_int(c->node, "select_last_index", 0) != 0;
    wg_tensor x = wg__tensor(c, 0);
    if (!wg__type_is_float(wg__type_of(c, 0))) x = wg_cast(x, WG_F64);
    const int axis = wg__call_axis(c, wg__attribute_int(c->node, "axis", 0), wg_rank(x));
    if (wg__call_failed(c)) return;
    if (last) x = wg_flip(x, axis);
    const wg_tensor y = max ? wg_argmax(x, axis, keep) : wg_argmin(x, axis, keep);
    wg__set(c, 0, last ? wg_rsub_scalar((double)wg_size(x, axis) - 1, y) : y, WG__INT64);
}

/* ---- Softmax, LogSoftmax, Hardmax ---- */

enum { SOFT, LOG_SOFT, HARD };

/* Before opset 13 over all axes from `axis` on, which are flattened. */
static void record_softmax(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    const wg_shape shape = wg_shape_get(x);
    const bool flat = c->node->opset < 13;
    int axis =
        wg__call_axis(c, wg__attribute_int(c->node, "axis", flat ? 1 : -1), shape.rank + (flat && shape.rank == 1));
    if (wg__call_failed(c)) return;
    if (axis >= shape.rank) axis = shape.rank - 1;
    const bool flatten = flat && axis < shape.rank - 1;
    const wg_tensor y = flatten ? wg_flatten(x, axis, shape.rank - 1) : x;
    const int kind = c->node->row->kind;
    const wg_tensor z = kind == SOFT       ? wg_softmax(y, axis)
                        : kind == LOG_SOFT ? wg_log_softmax(y, axis)
                                           : wg_hardmax(y, axis);
    wg__set(c, 0, flatten ? wg_reshape(z, shape) : z, wg__type_of(c, 0));
}

/* ---- CumSum, CumProd ---- */

static void record_scan(wg__call *c)
{
    const int type = wg__type_of(c, 0);
    const bool real = wg__type_is_float(type), sum = c->node->row->kind == SUM;
    const bool exclusive = wg__attribute_int(c->node, "exclusive", 0) != 0,
               reverse = wg__attribute_int(c->node, "reverse", 0) != 0;
    wg_tensor x = wg__tensor(c, 0);
    const int axis = wg__call_axis(c, wg__known_integer(c, 1, 0), wg_rank(x));
    if (wg__call_failed(c)) return;
    if (!real) x = wg_cast(x, WG_F64);
    if (reverse) x = wg_flip(x, axis);
    const int64_t n = wg_size(x, axis);
    if (exclusive && n > 0) x = wg_pad_value(wg_slice(x, axis, 0, n - 1), axis, 1, 0, sum ? 0 : 1);
    wg_tensor y = sum ? wg_cumsum(x, axis) : wg_cumprod(x, axis);
    if (reverse) y = wg_flip(y, axis);
    wg__set(c, 0, real ? y : wg_cast(y, WG_I32), type);
}

/* ---- LpNormalization ---- */

static void record_lp_normalization(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    const int axis = wg__call_axis(c, wg__attribute_int(c->node, "axis", -1), wg_rank(x));
    if (wg__call_failed(c)) return;
    const wg_tensor size = wg__attribute_int(c->node, "p", 2) == 1 ? wg_sum(wg_abs(x), WG_AXES(axis), true)
                                                                   : wg_norm(x, WG_AXES(axis), true);
    const wg_tensor zero = wg_equal(size, wg__scalar_like(c, size, 0));
    wg__set(c, 0, wg_div(x, wg_where(zero, wg__scalar_like(c, size, 1), size)), wg__type_of(c, 0));
}

static const char *refuse_p(const wg__onnx_node *node)
{
    const int64_t p = wg__attribute_int(node, "p", 2);
    return p == 1 || p == 2 ? NULL : "p: 1 and 2 are known";
}

#define REDUCE(name, which)                                                                                        \
    {                                                                                                              \
        name, record_reduce, 6, 1, 2, "axes=I keepdims=i noop_with_empty_axes=i", 2, WG__ON_HOST, .kind = which    \
    }
#define ARG(name, which)                                                                                           \
    {                                                                                                              \
        name, record_arg, 6, 1, 1, "axis=i keepdims=i select_last_index=i", .kind = which                          \
    }
#define SOFTMAX(name, which)                                                                                       \
    {                                                                                                              \
        name, record_softmax, 6, 1, 1, "axis=i", .kind = which                                                     \
    }

const wg__onnx_row wg__onnx_reduce[] = {
    REDUCE("ReduceSum", SUM),
    REDUCE("ReduceMean", MEAN),
    REDUCE("ReduceMax", MAX),
    REDUCE("ReduceMin", MIN),
    REDUCE("ReduceProd", PROD),
    REDUCE("ReduceL1", L1),
    REDUCE("ReduceL2", L2),
    REDUCE("ReduceLogSum", LOG_SUM),
    REDUCE("ReduceLogSumExp", LOG_SUM_EXP),
    REDUCE("ReduceSumSquare", SUM_SQUARE),
    ARG("ArgMax", MAX),
    ARG("ArgMin", MIN),
    SOFTMAX("Softmax", SOFT),
    SOFTMAX("LogSoftmax", LOG_SOFT),
    SOFTMAX("Hardmax", HARD),
    {"CumSum", record_scan, 11, 2, 2, "exclusive=i reverse=i", 2, .kind = SUM},
    {"CumProd", record_scan, 26, 2, 2, "exclusive=i reverse=i", 2, .kind = PROD},
    {"LpNormalization", record_lp_normalization, 6, 1, 1, "axis=i p=i", .refuse = refuse_p},
    {NULL},
};
