/* Reductions over axes, softmax, scans along an axis. */
#include <math.h>
#include <string.h>

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

static const struct {
    const char *name;
    wg_tensor (*reduce)(wg_tensor x, wg_axes axes, bool keep);
    wg_tensor (*single)(wg_tensor x); /* of one element; NULL: itself */
} reductions[] = {
    {"ReduceSum", reduce_sum, NULL},
    {"ReduceMean", wg_mean, NULL},
    {"ReduceMax", wg_max, NULL},
    {"ReduceMin", wg_min, NULL},
    {"ReduceProd", wg_prod, NULL},
    {"ReduceL1", reduce_l1, wg_abs},
    {"ReduceL2", wg_norm, wg_abs},
    {"ReduceLogSum", reduce_log, wg_log},
    {"ReduceLogSumExp", wg_logsumexp, NULL},
    {"ReduceSumSquare", reduce_square, wg_square},
};

/* The sum, product, maximum or minimum of known numbers of one axis, as sizes are; others are reduced on the tape. */
static bool known_reduce(wg__call *c, wg_axes axes, bool some, bool keep)
{
    const wg__known_item *x = wg__in(c, 0);
    const char kind = c->node->type[6], after = c->node->type[7]; /* Sum, SumSquare, Prod, Max, Min, Mean, ... */
    const bool sum = strcmp(c->node->type, "ReduceSum") == 0, max = kind == 'M' && after == 'a', prod = kind == 'P';
    const bool wanted = wg__wants(c, 0) && c->model->values[c->node->out[0]].wanted;
    if (!x->host || x->shape.rank > 1 || (wg__type_is_float(x->type) && !wanted) || (axes.n == 0 && !some) ||
        !(sum || prod || max || strcmp(c->node->type, "ReduceMin") == 0))
        return false;
    int64_t n;
    wg_shape_numel(&x->shape, &n);
    const wg_shape shape = keep && x->shape.rank == 1 ? WG_DIMS(1) : WG_SCALAR;
    double *out = wg__numbers_new(c, &shape), y = sum ? 0 : prod ? 1 : max ? -INFINITY : INFINITY;
    for (int64_t i = 0; i < n; i++)
        y = sum ? y + x->host[i] : prod ? y * x->host[i] : max ? fmax(y, x->host[i]) : fmin(y, x->host[i]);
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
    size_t r = 0;
    while (strcmp(reductions[r].name, c->node->type) != 0) r++;
    const wg_tensor x = wg__tensor(c, 0);
    const wg_tensor real = wg__type_is_float(type) ? x : wg_cast(x, WG_F64);
    const wg_tensor y = some                   ? reductions[r].reduce(real, axes, keep)
                        : reductions[r].single ? reductions[r].single(real)
                                               : real;
    wg__set(c, 0, wg__type_is_float(type) ? y : wg_cast(y, wg_dtype_get(x)), type);
}

/* ---- ArgMax, ArgMin ---- */

static void record_arg(wg__call *c)
{
    const bool max = c->node->type[4] == 'a', keep = wg__attribute_int(c->node, "keepdims", 1) != 0;
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
    const char kind = c->node->type[0];
    const wg_tensor z = kind == 'S'   ? wg_softmax(y, axis)
                        : kind == 'L' ? wg_log_softmax(y, axis)
                                      : wg_hardmax(y, axis);
    wg__set(c, 0, flatten ? wg_reshape(z, shape) : z, wg__type_of(c, 0));
}

/* ---- CumSum, CumProd ---- */

static void record_scan(wg__call *c)
{
    const int type = wg__type_of(c, 0);
    const bool real = wg__type_is_float(type), sum = c->node->type[3] == 'S';
    const bool exclusive = wg__attribute_int(c->node, "exclusive", 0) != 0,
               reverse = wg__attribute_int(c->node, "reverse", 0) != 0;
    wg_tensor x = wg__tensor(c, 0);
    const double number = wg__known_scalar(c, 1, 0);
    const int axis = wg__call_axis(c, fabs(number) < 100 ? (int64_t)number : 100, wg_rank(x));
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

#define REDUCE(name)                                                                                               \
    {                                                                                                              \
        name, record_reduce, 6, 1, 2, "axes=I keepdims=i noop_with_empty_axes=i", 2, WG__ON_HOST                   \
    }
#define ARG(name)                                                                                                  \
    {                                                                                                              \
        name, record_arg, 6, 1, 1, "axis=i keepdims=i select_last_index=i"                                         \
    }
#define SOFTMAX(name)                                                                                              \
    {                                                                                                              \
        name, record_softmax, 6, 1, 1, "axis=i"                                                                    \
    }

const wg__op wg__onnx_reduce[] = {
    REDUCE("ReduceSum"),
    REDUCE("ReduceMean"),
    REDUCE("ReduceMax"),
    REDUCE("ReduceMin"),
    REDUCE("ReduceProd"),
    REDUCE("ReduceL1"),
    REDUCE("ReduceL2"),
    REDUCE("ReduceLogSum"),
    REDUCE("ReduceLogSumExp"),
    REDUCE("ReduceSumSquare"),
    ARG("ArgMax"),
    ARG("ArgMin"),
    SOFTMAX("Softmax"),
    SOFTMAX("LogSoftmax"),
    SOFTMAX("Hardmax"),
    {"CumSum", record_scan, 11, 2, 2, "exclusive=i reverse=i", 2},
    {"CumProd", record_scan, 26, 2, 2, "exclusive=i reverse=i", 2},
    {"LpNormalization", record_lp_normalization, 6, 1, 1, "axis=i p=i"},
    {NULL},
};
