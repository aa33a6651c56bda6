/* Elementwise arithmetic: a row an operator, with its op for tensors and its function for known numbers. Integers
 * are i32; those of 8 and 16 bits wrap around as in C. */
#include <math.h>

#include "pointwise.h"

/* ---- numbers ---- */

#define NUMBER(name, expression)                                                                                   \
    static double name(double a, double b) { return expression; }
NUMBER(number_abs, fabs(a))
NUMBER(number_add, a + b)
NUMBER(number_ceil, ceil(a))
NUMBER(number_cos, cos(a))
NUMBER(number_div, a / b)
NUMBER(number_exp, exp(a))
NUMBER(number_floor, floor(a))
NUMBER(number_log, log(a))
NUMBER(number_max, a > b || isnan(a) ? a : b)
NUMBER(number_min, a < b || isnan(a) ? a : b)
NUMBER(number_mul, a *b)
NUMBER(number_neg, -a)
NUMBER(number_pow, pow(a, b))
NUMBER(number_reciprocal, 1 / a)
NUMBER(number_relu, a > 0 ? a : 0)
NUMBER(number_round, rint(a))
NUMBER(number_sigmoid, 1 / (1 + exp(-a)))
NUMBER(number_sign, (a > 0) - (a < 0))
NUMBER(number_sin, sin(a))
NUMBER(number_sqrt, sqrt(a))
NUMBER(number_sub, a - b)
NUMBER(number_tanh, tanh(a))

/* x - m floor(x / m) for integers; the remainder of C with fmod. */
NUMBER(number_mod, a - b * floor(a / b))
NUMBER(number_fmod, fmod(a, b))

/* ---- shared with logic.c ---- */

/* The numbers of a and b, which broadcast; host is NULL with an error. */
static wg__known_item known_pair(wg__call *c, const wg__known_item *a, const wg__known_item *b,
                                 double (*number)(double, double), int type)
{
    wg__known_item y = {.type = type};
    int64_t n;
    if (!wg_shape_broadcast(&a->shape, &b->shape, &y.shape)) {
        wg__call_fail(c, WG_ERR_SHAPE, "the operands do not broadcast");
        return y;
    }
    y.host = wg__numbers_new(c, &y.shape);
    wg_shape_numel(&y.shape, &n);
    for (int64_t i = 0; y.host && i < n; i++) {
        const double one = number(a->host[wg__broadcast_index(&y.shape, &a->shape, i)],
                                  b->host[wg__broadcast_index(&y.shape, &b->shape, i)]);
        y.host[i] = wg__type_is_integer(type) ? wg__wrap_number(trunc(one), type) : one;
    }
    return y;
}

void wg__known_two(wg__call *c, double (*number)(double, double), int type)
{
    const wg__known_item *a = wg__in(c, 0), *b = wg__has(c, 1) ? wg__in(c, 1) : a;
    const wg__known_item y = known_pair(c, a, b, number, type);
    wg__set_known(c, 0, y.shape, y.host, type);
}

bool wg__can_know(wg__call *c)
{
    if (!c->node->row->number || !wg__all_known(c)) return false;
    const bool wanted = wg__wants(c, 0) && c->model->values[c->node->out[0]].wanted;
    int64_t n = 1;
    for (int k = 0; k < c->n_in; k++) {
        const wg_shape shape = wg__shape_of(c, k);
        if (!wg__keep_known(c, &shape) || !wg_shape_numel(&shape, &n)) return false;
        if (n > 1 && wg__type_is_float(wg__type_of(c, k)) && !wanted) return false; /* not in another precision */
    }
    return true;
}

/* How many integers the type has, if they are few enough to wrap; else 0. */
static double count_of(int type)
{
    const double count = wg__type_largest(type) - wg__type_least(type) + 1;
    return wg__type_is_integer(type) && count <= 65536 ? count : 0;
}

double wg__wrap_number(double x, int type)
{
    const double least = wg__type_least(type), count = count_of(type);
    return count > 0 ? x - count * floor((x - least) / count) : x;
}

wg_tensor wg__wrap(wg_tensor x, int type)
{
    const double least = wg__type_least(type), count = count_of(type);
    if (count == 0) return x;
    const wg_tensor y = wg_add_scalar(wg_cast(x, WG_F64), -least);
    const wg_tensor turns = wg_floor(wg_scale(y, 1 / count));
    return wg_cast(wg_add_scalar(wg_sub(y, wg_scale(turns, count)), least), WG_I32);
}

/* ---- how rows are recorded ---- */

/* One operand; integers by way of f64, which has them all, but not -INT32_MIN: that is itself. */
static void record_one(wg__call *c)
{
    const int type = wg__type_of(c, 0);
    if (wg__can_know(c)) {
        wg__known_two(c, c->node->row->number, type);
        return;
    }
    const wg_tensor x = wg__tensor(c, 0);
    const wg__onnx_row *row = c->node->row;
    const bool real = wg__type_is_float(type), as_is = real || row->one == wg_neg || row->one == wg_abs;
    const wg_tensor y = row->one(as_is ? x : wg_cast(x, WG_F64));
    wg__set(c, 0, real ? y : wg__wrap(as_is ? y : wg_cast(y, WG_I32), type), type);
}

/* Operand 1. Before opset 7 an attribute may say which axis of operand 0 its first one is. */
static wg_tensor second(wg__call *c)
{
    const wg_tensor b = wg__tensor(c, 1);
    const int rank = wg__shape_of(c, 0).rank;
    wg_shape shape = wg_shape_get(b);
    if (!wg__attribute_has(c->node, "axis") || shape.rank < 0) return b;
    const int axis = wg__call_axis(c, wg__attribute_int(c->node, "axis", 0), rank);
    while (shape.rank < rank - axis) shape.size[shape.rank++] = 1;
    return wg_reshape(b, shape);
}

static void record_two(wg__call *c)
{
    const int type = wg__type_of(c, 0);
    if (wg__can_know(c))
        wg__known_two(c, c->node->row->number, type);
    else
        wg__set(c, 0, wg__wrap(c->node->row->two(wg__tensor(c, 0), second(c)), type), type);
}

/* Integers are divided in f64 and truncated. */
static void record_divide(wg__call *c)
{
    const int type = wg__type_of(c, 0);
    if (wg__can_know(c) || wg__type_is_float(type)) {
        record_two(c);
        return;
    }
    const wg_tensor y = wg_div(wg_cast(wg__tensor(c, 0), WG_F64), wg_cast(second(c), WG_F64));
    wg__set(c, 0, wg__wrap(wg_cast(y, WG_I32), type), type);
}

/* The exponent may have another type than the base. */
static void record_power(wg__call *c)
{
    const int type = wg__type_of(c, 0);
    const bool real = wg__type_is_float(type);
    const wg_shape exponent = wg__shape_of(c, 1);
    int64_t n;
    if (wg__can_know(c)) {
        wg__known_two(c, number_pow, type);
        return;
    }
    const wg_tensor x = real ? wg__tensor(c, 0) : wg_cast(wg__tensor(c, 0), WG_F64);
    const bool scalar =
        wg__is_known(c, 1) && wg_shape_numel(&exponent, &n) && n == 1 && exponent.rank <= wg_rank(x);
    const double p = scalar ? wg__known_scalar(c, 1, 1) : 0;
    const wg_tensor y =
        scalar ? (p == 2 ? wg_square(x) : wg_pow_scalar(x, p)) : wg_pow(x, wg_cast(second(c), wg_dtype_get(x)));
    wg__set(c, 0, real ? y : wg_cast(y, WG_I32), type);
}

static void record_mod(wg__call *c)
{
    const int type = wg__type_of(c, 0);
    const bool real = wg__type_is_float(type), truncated = wg__attribute_int(c->node, "fmod", 0) != 0;
    if (wg__can_know(c)) {
        wg__known_two(c, truncated ? number_fmod : number_mod, type);
        return;
    }
    const wg_tensor a = real ? wg__tensor(c, 0) : wg_cast(wg__tensor(c, 0), WG_F64);
    const wg_tensor b = real ? wg__tensor(c, 1) : wg_cast(wg__tensor(c, 1), WG_F64);
    wg_tensor y = truncated ? wg_mul(wg_sign(a), wg_mod(wg_abs(a), wg_abs(b))) : wg_mod(a, b);
    wg__set(c, 0, real ? y : wg_cast(y, WG_I32), type);
}

/* Of all operands, by the row's op. */
static wg_tensor combined(wg__call *c)
{
    wg_tensor y = wg__tensor(c, 0);
    for (int k = 1; k < c->n_in; k++) y = c->node->row->two(y, wg__tensor(c, k));
    return y;
}

/* Sum, Max, Min of any number of operands. */
static void record_several(wg__call *c)
{
    const int type = wg__type_of(c, 0);
    bool whole = true;
    for (int k = 0; k < c->n_in; k++) whole = whole && wg__has(c, k);
    if (!whole || !wg__can_know(c)) {
        wg__set(c, 0, combined(c), type);
        return;
    }
    wg__known_item y = *wg__in(c, 0);
    for (int k = 1; k < c->n_in && y.host; k++) y = known_pair(c, &y, wg__in(c, k), c->node->row->number, type);
    wg__set_known(c, 0, y.shape, y.host, type);
}

static void record_mean(wg__call *c) { wg__set(c, 0, wg_div_scalar(combined(c), c->n_in), wg__type_of(c, 0)); }

/* A bound of Clip: an attribute before opset 11. */
static wg_tensor bounded(wg__call *c, wg_tensor x, int k, const char *attribute, bool lower)
{
    if (!wg__has(c, k) && !wg__attribute_has(c->node, attribute)) return x;
    if (wg__has(c, k) && !wg__is_known(c, k))
        return lower ? wg_maximum(x, wg__tensor(c, k)) : wg_minimum(x, wg__tensor(c, k));
    const double bound = wg__known_scalar(c, k, wg__attribute_float(c->node, attribute, 0));
    if (wg__type_is_integer(wg__type_of(c, 0)) && (lower ? bound <= INT32_MIN : bound >= INT32_MAX)) return x;
    return lower ? wg_maximum_scalar(x, bound) : wg_minimum_scalar(x, bound);
}

static void record_clip(wg__call *c)
{
    const int type = wg__type_of(c, 0);
    const wg_tensor x = wg__tensor(c, 0);
    if (wg__type_is_float(type) && wg__is_known(c, 1) && wg__is_known(c, 2)) {
        const double low = wg__known_scalar(c, 1, 0), high = wg__known_scalar(c, 2, 0);
        if (low <= high) {
            wg__set(c, 0, wg_clamp(x, low, high), type);
            return;
        }
    }
    wg__set(c, 0, bounded(c, bounded(c, x, 1, "min", true), 2, "max", false), type);
}

/* ---- activations ---- */

static double alpha(const wg__call *c, double otherwise)
{
    return wg__attribute_float(c->node, "alpha", otherwise);
}

static void record_leaky_relu(wg__call *c)
{
    wg__set(c, 0, wg_leaky_relu(wg__tensor(c, 0), alpha(c, 0.01)), wg__type_of(c, 0));
}
static void record_elu(wg__call *c) { wg__set(c, 0, wg_elu(wg__tensor(c, 0), alpha(c, 1)), wg__type_of(c, 0)); }

/* max(0, x) + min(0, alpha (e^(x / alpha) - 1)). */
static void record_celu(wg__call *c)
{
    const double a = alpha(c, 1);
    const wg_tensor x = wg__tensor(c, 0);
    const wg_tensor below = wg_scale(wg_expm1(wg_div_scalar(wg_minimum_scalar(x, 0), a)), a);
    wg__set(c, 0, a < 0 ? wg_add(wg_relu(x), below) : wg_scale(wg_elu(wg_div_scalar(x, a), 1), a),
            wg__type_of(c, 0));
}

static void record_selu(wg__call *c)
{
    const double gamma = wg__attribute_float(c->node, "gamma", 1.0507009873554805);
    wg__set(c, 0, wg_scale(wg_elu(wg__tensor(c, 0), alpha(c, 1.6732632423543772)), gamma), wg__type_of(c, 0));
}

static void record_hard_sigmoid(wg__call *c)
{
    const double beta = wg__attribute_float(c->node, "beta", 0.5);
    wg__set(c, 0, wg_clamp(wg_add_scalar(wg_scale(wg__tensor(c, 0), alpha(c, 0.2)), beta), 0, 1),
            wg__type_of(c, 0));
}

static void record_thresholded_relu(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    wg__set(c, 0, wg_where(wg_greater(x, wg__scalar_like(c, x, alpha(c, 1))), x, wg__scalar_like(c, x, 0)),
            wg__type_of(c, 0));
}

/* x < -lambd: x + bias; x > lambd: x - bias; else 0. */
static void record_shrink(wg__call *c)
{
    const double lambda = wg__attribute_float(c->node, "lambd", 0.5),
                 bias = wg__attribute_float(c->node, "bias", 0);
    const wg_tensor x = wg__tensor(c, 0), low = wg__scalar_like(c, x, -lambda),
                    high = wg__scalar_like(c, x, lambda);
    const wg_tensor above = wg_where(wg_greater(x, high), wg_sub_scalar(x, bias), wg__scalar_like(c, x, 0));
    wg__set(c, 0, wg_where(wg_less(x, low), wg_add_scalar(x, bias), above), wg__type_of(c, 0));
}

/* Before opset 7 a slope for each channel is [C] and does not broadcast as it is. */
static void record_prelu(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    const wg_tensor positive = wg_greater(x, wg__scalar_like(c, x, 0));
    wg_tensor slope = wg__tensor(c, 1);
    wg_shape channels = wg_shape_get(slope);
    if (c->node->opset < 7 && channels.rank == 1 && channels.size[0] != 1) {
        while (channels.rank < wg_rank(x) - 1) channels.size[channels.rank++] = 1;
        slope = wg_reshape(slope, channels);
    }
    wg__set(c, 0, wg_where(positive, x, wg_mul(x, slope)), wg__type_of(c, 0));
}

static void record_gelu(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    const bool tanh_form = wg__attribute_is(c->node, "approximate", "tanh", "none");
    wg__set(c, 0, tanh_form ? wg_gelu_tanh(x) : wg_gelu(x), wg__type_of(c, 0));
}

/* x sigmoid(alpha x). */
static void record_swish(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    const double a = alpha(c, 1);
    wg__set(c, 0, a == 1 ? wg_silu(x) : wg_mul(x, wg_sigmoid(wg_scale(x, a))), wg__type_of(c, 0));
}

static wg_tensor hard_swish(wg_tensor x)
{
    return wg_mul(x, wg_clamp(wg_add_scalar(wg_div_scalar(x, 6), 0.5), 0, 1));
}
static wg_tensor mish(wg_tensor x) { return wg_mul(x, wg_tanh(wg_softplus(x))); }
static wg_tensor softsign(wg_tensor x) { return wg_div(x, wg_add_scalar(wg_abs(x), 1)); }

/* ---- the table: name, op, function of numbers, first opset ---- */

#define UNARY(onnx, op, numbers, since)                                                                            \
    {                                                                                                              \
        onnx, record_one, since, 1, 1, NULL, 0, WG__ON_HOST, .one = op, .number = numbers                          \
    }
#define TENSORS(onnx, op, since)                                                                                   \
    {                                                                                                              \
        onnx, record_one, since, 1, 1, .one = op                                                                   \
    }
#define BINARY(onnx, op, numbers)                                                                                  \
    {                                                                                                              \
        onnx, record_two, 6, 2, 2, "axis=i broadcast=i", 0, WG__ON_HOST, .two = op, .number = numbers              \
    }
#define SEVERAL(onnx, op, numbers)                                                                                 \
    {                                                                                                              \
        onnx, record_several, 6, 1, -1, NULL, 0, WG__ON_HOST, .two = op, .number = numbers                         \
    }
#define ACTIVATION(onnx, record, since, attributes)                                                                \
    {                                                                                                              \
        onnx, record, since, 1, 1, attributes                                                                      \
    }

const wg__onnx_row wg__onnx_pointwise[] = {
    UNARY("Abs", wg_abs, number_abs, 6),
    UNARY("Ceil", wg_ceil, number_ceil, 6),
    UNARY("Cos", wg_cos, number_cos, 6),
    UNARY("Exp", wg_exp, number_exp, 6),
    UNARY("Floor", wg_floor, number_floor, 6),
    UNARY("Log", wg_log, number_log, 6),
    UNARY("Neg", wg_neg, number_neg, 6),
    UNARY("Reciprocal", wg_reciprocal, number_reciprocal, 6),
    UNARY("Relu", wg_relu, number_relu, 6),
    UNARY("Round", wg_round, number_round, 11),
    UNARY("Sigmoid", wg_sigmoid, number_sigmoid, 6),
    UNARY("Sign", wg_sign, number_sign, 9),
    UNARY("Sin", wg_sin, number_sin, 6),
    UNARY("Sqrt", wg_sqrt, number_sqrt, 6),
    UNARY("Tanh", wg_tanh, number_tanh, 6),
    TENSORS("Acos", wg_acos, 6),
    TENSORS("Acosh", wg_acosh, 9),
    TENSORS("Asin", wg_asin, 6),
    TENSORS("Asinh", wg_asinh, 9),
    TENSORS("Atan", wg_atan, 6),
    TENSORS("Atanh", wg_atanh, 9),
    TENSORS("Cosh", wg_cosh, 9),
    TENSORS("Erf", wg_erf, 9),
    TENSORS("HardSwish", hard_swish, 14),
    TENSORS("Mish", mish, 18),
    TENSORS("Sinh", wg_sinh, 9),
    TENSORS("Softplus", wg_softplus, 6),
    TENSORS("Softsign", softsign, 6),
    TENSORS("Tan", wg_tan, 6),
    BINARY("Add", wg_add, number_add),
    BINARY("Sub", wg_sub, number_sub),
    BINARY("Mul", wg_mul, number_mul),
    {"Div", record_divide, 6, 2, 2, "axis=i broadcast=i", 0, WG__ON_HOST, .two = wg_div, .number = number_div},
    {"Pow", record_power, 6, 2, 2, "axis=i broadcast=i", 0, WG__ON_HOST, .two = wg_pow, .number = number_pow},
    {"Mod", record_mod, 10, 2, 2, "fmod=i", 0, WG__ON_HOST, .two = wg_mod, .number = number_mod},
    SEVERAL("Sum", wg_add, number_add),
    SEVERAL("Max", wg_maximum, number_max),
    SEVERAL("Min", wg_minimum, number_min),
    {"Mean", record_mean, 6, 1, -1, .two = wg_add},
    {"Clip", record_clip, 6, 1, 3, "min=f max=f"},
    {"PRelu", record_prelu, 6, 2, 2},
    ACTIVATION("Celu", record_celu, 12, "alpha=f"),
    ACTIVATION("Elu", record_elu, 6, "alpha=f"),
    ACTIVATION("Gelu", record_gelu, 20, "approximate=s:none|tanh"),
    ACTIVATION("HardSigmoid", record_hard_sigmoid, 6, "alpha=f beta=f"),
    ACTIVATION("LeakyRelu", record_leaky_relu, 6, "alpha=f"),
    ACTIVATION("Selu", record_selu, 6, "alpha=f gamma=f"),
    ACTIVATION("Shrink", record_shrink, 9, "lambd=f bias=f"),
    ACTIVATION("Swish", record_swish, 24, "alpha=f"),
    ACTIVATION("ThresholdedRelu", record_thresholded_relu, 10, "alpha=f"),
    {NULL},
};
