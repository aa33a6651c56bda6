/* Pointwise ops: descriptors, public functions, gradients and the choice of kernels, made from the rows of
 * pointwise.def. */
#include "internal.h"

#include <math.h>

#include "kernels/pointwise/pointwise.h"
#include "kernels/kernels.h"
#include "pointwise_rows.h"

/* ---- declarations: rows use each other in gradients ------------------------------------------------------- */

#define UNARY(scope, name, ...)   wg_tensor scope##name(wg_tensor x);
#define BINARY(scope, name, ...)  wg_tensor scope##name(wg_tensor a, wg_tensor b);
#define TERNARY(scope, name, ...) wg_tensor scope##name(wg_tensor a, wg_tensor b, wg_tensor c);
#define TEST(scope, name, ...)    wg_tensor scope##name(wg_tensor x);
#define COMPARE(scope, name, ...) wg_tensor scope##name(wg_tensor a, wg_tensor b);
#define LOGIC1(scope, name, ...)  wg_tensor scope##name(wg_tensor x);
#define LOGIC2(scope, name, ...)  wg_tensor scope##name(wg_tensor a, wg_tensor b);
#define CHOOSE(scope, name, ...)  wg_tensor scope##name(wg_tensor m, wg_tensor a, wg_tensor b);
#define FILL(scope, name, ...)    wg_tensor scope##name(wg_tensor a, wg_tensor m, wg_tensor b);
#include "pointwise.def"

/* ---- higher derivatives of activations, composed ---------------------------------------------------------- */

/* x within [-40, 40]. These derivatives are products of a function that is 0 outside with a polynomial in x, which must
 * be finite there. */
static wg_tensor near(wg_tensor x) { return wg_maximum(wg_minimum(x, wg__constant(x, 40)), wg__constant(x, -40)); }

/* g, and 0 elsewhere even if g is infinite there */
static wg_tensor only_where(wg_tensor mask, wg_tensor g) { return wg_where(mask, g, wg__constant(g, 0)); }

static wg_tensor inside(wg_tensor x, wg_tensor low, wg_tensor high)
{
    return wg_logical_and(wg_greater_equal(x, low), wg_less_equal(x, high));
}

/* a / b, and 0 where b is 0, as its derivatives are there. */
static wg_tensor div_or_zero(wg_tensor a, wg_tensor b)
{
    const wg_tensor none = wg_equal(b, wg__constant(b, 0));
    return wg_where(none, wg__constant(a, 0), wg_div(a, wg_where(none, wg__constant(b, 1), b)));
}

/* 1 / sqrt(x^2 + 1). Scaled, since the square overflows; whatever the scale is, the result is the same, so it is a
 * constant for the next derivative. */
static wg_tensor asinh_slope(wg_tensor x)
{
    const wg_tensor one = wg__constant(x, 1), scale = wg_maximum(wg_abs(wg_detach(x)), one);
    const wg_tensor inner = wg_add(wg_square(wg_div(x, scale)), wg_square(wg_div(one, scale)));
    return wg_div(wg_rsqrt(inner), scale);
}

/* x / (x^2 + y^2); 0 at the origin and at infinity. Both are scaled, since squares overflow and vanish; whatever the
 * scale is, the result is the same, so it is a constant for the next derivative. */
static wg_tensor over_squares(wg_tensor x, wg_tensor y)
{
    wg_tensor zero = wg__constant(x, 0), one = wg__constant(x, 1);
    wg_tensor most = wg_maximum(wg_abs(wg_detach(x)), wg_abs(wg_detach(y)));
    wg_tensor flat = wg_logical_or(wg_equal(most, zero), wg_equal(most, wg__constant(x, INFINITY)));
    wg_tensor scale = wg_where(flat, one, most);
    x = wg_where(flat, zero, wg_div(x, scale));
    y = wg_where(flat, one, wg_div(y, scale));
    return wg_div(wg_div(x, wg_add(wg_square(x), wg_square(y))), scale);
}

/* h d^3/dx^3 (x Phi(x)) = h phi(x) (x^3 - 4 x), phi the standard normal density. */
static wg_tensor gelu_third(wg_tensor h, wg_tensor x)
{
    x = near(x);
    wg_tensor square = wg_square(x);
    wg_tensor density = wg_mul(wg_exp(wg_mul(square, wg__constant(x, -0.5))), wg__constant(x, 0.39894228040143268));
    return wg_mul(wg_mul(h, density), wg_mul(x, wg_sub(square, wg__constant(x, 4))));
}

/* h s (1 - s), s = sigmoid(x), and 1 - 2 s, without cancellation */
static wg_tensor both_sides(wg_tensor h, wg_tensor x, wg_tensor *difference)
{
    wg_tensor s = wg_sigmoid(x), other = wg_sigmoid(wg_neg(x));
    *difference = wg_sub(other, s);
    return wg_mul(wg_mul(h, s), other);
}

/* h d^2/dx^2 (x s) = h s (1 - s) (2 v' + x (v'' + v'^2 (1 - 2 s))), s = sigmoid(v),
 * v = 2 sqrt(2/pi) (x + 0.044715 x^3). */
static wg_tensor gelu_tanh_second(wg_tensor h, wg_tensor x)
{
    const double s = 2 * 0.79788456080286536, c = 0.044715;
    x = near(x);
    wg_tensor square = wg_square(x), difference;
    wg_tensor v = wg_mul(x, wg_add(wg_mul(square, wg__constant(x, s * c)), wg__constant(x, s)));
    wg_tensor slope = wg_add(wg_mul(square, wg__constant(x, 3 * s * c)), wg__constant(x, s));
    wg_tensor curve = wg_mul(x, wg__constant(x, 6 * s * c));
    wg_tensor sides = both_sides(h, v, &difference);
    wg_tensor bend = wg_mul(x, wg_add(curve, wg_mul(wg_square(slope), difference)));
    return wg_mul(sides, wg_add(wg_mul(slope, wg__constant(x, 2)), bend));
}

/* h d^2/dx^2 (x s) = h s (1 - s) (2 + x (1 - 2 s)), s = sigmoid(x). */
static wg_tensor silu_second(wg_tensor h, wg_tensor x)
{
    wg_tensor difference, sides = both_sides(h, x, &difference), limit = wg__constant(x, 1e3);
    x = wg_maximum(wg_minimum(x, limit), wg_neg(limit));
    return wg_mul(sides, wg_add(wg_mul(x, difference), wg__constant(x, 2)));
}

/* ---- gradients -------------------------------------------------------------------------------------------- */

/* Inside a row's gradients, names are the row's: g, y and the operands, used or not. */
#define GRADIENT(name, operands, result)                                                                           \
    static wg_tensor name##_vjp(const wg_vjp_args *v, int k)                                                       \
    {                                                                                                              \
        const wg_tensor g = v->grad, y = v->out, operands;                                                         \
        (void)g, (void)y, (void)k;                                                                                 \
        return result;                                                                                             \
    }
#define OPERAND(name, k) name __attribute__((unused)) = v->in[k]
#define ONE              OPERAND(x, 0)
#define TWO              OPERAND(a, 0), OPERAND(b, 1)
#define THREE            OPERAND(a, 0), OPERAND(b, 1), OPERAND(c, 2)
#define MASK_FIRST       OPERAND(m, 0), OPERAND(a, 1), OPERAND(b, 2)
#define MASK_SECOND      OPERAND(a, 0), OPERAND(m, 1), OPERAND(b, 2)

#define UNARY(scope, name, types, flags, kernel, gx, ...)      GRADIENT(name, ONE, gx)
#define BINARY(scope, name, types, flags, kernel, ga, gb, ...) GRADIENT(name, TWO, k == 0 ? ga : gb)
#define TERNARY(scope, name, types, flags, kernel, ga, gb, gc, ...)                                                \
    GRADIENT(name, THREE, k == 0 ? ga : k == 1 ? gb : gc)
#define CHOOSE(scope, name, types, flags, kernel, gm, ga, gb, ...)                                                 \
    GRADIENT(name, MASK_FIRST, k == 0 ? gm : k == 1 ? ga : gb)
#define FILL(scope, name, types, flags, kernel, ga, gm, gb, ...)                                                   \
    GRADIENT(name, MASK_SECOND, k == 0 ? ga : k == 1 ? gm : gb)
#define TEST(...)
#define COMPARE(...)
#define LOGIC1(...)
#define LOGIC2(...)
#include "pointwise.def"

/* ---- shape rules where the engine's (broadcast, one dtype) does not do ------------------------------------ */

static wg_status need_dtype(wg_infer *c, int operand, wg_dtype dtype)
{
    if (c->dtype_in[operand] == dtype) return WG_OK;
    return wg_infer_fail(c, WG_ERR_DTYPE, "operand %d is %s, must be %s; see wg_cast", operand + 1,
                         wg_dtype_name(c->dtype_in[operand]), wg_dtype_name(dtype));
}

static wg_status broadcast(wg_infer *c)
{
    c->out = c->in[0];
    for (int i = 1; i < c->n_in; i++) {
        if (!wg_shape_broadcast(&c->out, &c->in[i], &c->out))
            return wg_infer_fail(c, WG_ERR_SHAPE,
                                 "cannot be broadcast: aligned at the right, sizes must be equal or 1");
    }
    return WG_OK;
}

/* Numbers of one dtype -> bool. */
static wg_status compare_infer(wg_infer *c)
{
    c->dtype = WG_BOOL;
    wg_status status = need_dtype(c, c->n_in - 1, c->dtype_in[0]);
    return status != WG_OK ? status : broadcast(c);
}

static wg_status logic_infer(wg_infer *c)
{
    c->dtype = WG_BOOL;
    for (int i = 0; i < c->n_in; i++) {
        wg_status status = need_dtype(c, i, WG_BOOL);
        if (status != WG_OK) return status;
    }
    return broadcast(c);
}

/* A mask (operand `mask`) and two operands of one dtype. */
static wg_status mask_infer(wg_infer *c, int mask, int a)
{
    c->dtype = c->dtype_in[a];
    wg_status status = need_dtype(c, mask, WG_BOOL);
    if (status == WG_OK) status = need_dtype(c, 2, c->dtype_in[a]);
    return status != WG_OK ? status : broadcast(c);
}

static wg_status choose_infer(wg_infer *c) { return mask_infer(c, 0, 1); }
static wg_status fill_infer(wg_infer *c) { return mask_infer(c, 1, 0); }

/* ---- descriptors ------------------------------------------------------------------------------------------ */

static wg_kernel select_kernel(const wg_op *op, const wg_dtype *in, int n_in, wg_dtype out);

#define OP(name_, operands, flags_, infer_, vjp_)                                                                  \
    [ROW_##name_] = {.struct_size = sizeof(wg_op),                                                                 \
                     .name = #name_,                                                                               \
                     .kind = WG_KIND_POINTWISE,                                                                    \
                     .min_in = operands,                                                                           \
                     .max_in = operands,                                                                           \
                     .flags = flags_,                                                                              \
                     .infer = infer_,                                                                              \
                     .vjp = vjp_,                                                                                  \
                     .select = select_kernel},
#define UNARY(scope, name, types, flags, ...)   OP(name, 1, flags, NULL, name##_vjp)
#define BINARY(scope, name, types, flags, ...)  OP(name, 2, flags, NULL, name##_vjp)
#define TERNARY(scope, name, types, flags, ...) OP(name, 3, flags, NULL, name##_vjp)
#define CHOOSE(scope, name, types, flags, ...)  OP(name, 3, flags, choose_infer, name##_vjp)
#define FILL(scope, name, types, flags, ...)    OP(name, 3, flags, fill_infer, name##_vjp)
#define TEST(scope, name, ...)                  OP(name, 1, WG_OP_NO_GRADIENT, compare_infer, NULL)
#define COMPARE(scope, name, ...)               OP(name, 2, WG_OP_NO_GRADIENT, compare_infer, NULL)
#define LOGIC1(scope, name, ...)                OP(name, 1, WG_OP_NO_GRADIENT, logic_infer, NULL)
#define LOGIC2(scope, name, ...)                OP(name, 2, WG_OP_NO_GRADIENT, logic_infer, NULL)
const wg_op wg__pointwise_ops[ROWS] = {
#include "pointwise.def"
};

/* A kernel is chosen by the dtype of the operands; that of a mask says nothing. */
static wg_kernel select_kernel(const wg_op *op, const wg_dtype *in, int n_in, wg_dtype out)
{
    wg_dtype dtype = out == WG_BOOL ? in[n_in - 1] : out;
    return (wg_kernel)(void (*)(void))wg__pointwise_get((int)(op - wg__pointwise_ops), dtype);
}

const wg_op *wg__pointwise_op(int row)
{
    if (row == ROWS) return &wg__cast_op;
    return row >= 0 && row < ROWS ? &wg__pointwise_ops[row] : NULL;
}

/* ---- public functions ------------------------------------------------------------------------------------- */

#define FUNCTION(scope, name, parameters, ...)                                                                     \
    wg_tensor scope##name parameters                                                                               \
    {                                                                                                              \
        const wg_tensor in[] = {__VA_ARGS__};                                                                      \
        return wg_record(&wg__pointwise_ops[ROW_##name], in, (int)(sizeof in / sizeof *in), NULL, 0);              \
    }
#define UNARY(scope, name, ...)   FUNCTION(scope, name, (wg_tensor x), x)
#define BINARY(scope, name, ...)  FUNCTION(scope, name, (wg_tensor a, wg_tensor b), a, b)
#define TERNARY(scope, name, ...) FUNCTION(scope, name, (wg_tensor a, wg_tensor b, wg_tensor c), a, b, c)
#define TEST(scope, name, ...)    FUNCTION(scope, name, (wg_tensor x), x)
#define COMPARE(scope, name, ...) FUNCTION(scope, name, (wg_tensor a, wg_tensor b), a, b)
#define LOGIC1(scope, name, ...)  FUNCTION(scope, name, (wg_tensor x), x)
#define LOGIC2(scope, name, ...)  FUNCTION(scope, name, (wg_tensor a, wg_tensor b), a, b)
#define CHOOSE(scope, name, ...)  FUNCTION(scope, name, (wg_tensor m, wg_tensor a, wg_tensor b), m, a, b)
#define FILL(scope, name, ...)    FUNCTION(scope, name, (wg_tensor a, wg_tensor m, wg_tensor b), a, m, b)
#include "pointwise.def"

/* ---- with a number: a leaf, so that it may change from step to step --------------------------------------- */

static wg_tensor number(wg_tensor like, double value, const char *op)
{
    wg_shape shape;
    return wg__shape(like, &shape, op) ? wg_scalar(like.tape, wg_dtype_get(like), value) : wg__nil_of(like);
}

wg_tensor wg_add_scalar(wg_tensor x, double c) { return wg_add(x, number(x, c, "add_scalar")); }
wg_tensor wg_sub_scalar(wg_tensor x, double c) { return wg_sub(x, number(x, c, "sub_scalar")); }
wg_tensor wg_scale(wg_tensor x, double c) { return wg_mul(x, number(x, c, "scale")); }
wg_tensor wg_div_scalar(wg_tensor x, double c) { return wg_div(x, number(x, c, "div_scalar")); }
wg_tensor wg_rsub_scalar(double c, wg_tensor x) { return wg_sub(number(x, c, "rsub_scalar"), x); }
wg_tensor wg_rdiv_scalar(double c, wg_tensor x) { return wg_div(number(x, c, "rdiv_scalar"), x); }
wg_tensor wg_pow_scalar(wg_tensor x, double p) { return wg_pow(x, number(x, p, "pow_scalar")); }
wg_tensor wg_maximum_scalar(wg_tensor x, double c) { return wg_maximum(x, number(x, c, "maximum_scalar")); }
wg_tensor wg_minimum_scalar(wg_tensor x, double c) { return wg_minimum(x, number(x, c, "minimum_scalar")); }
wg_tensor wg_leaky_relu(wg_tensor x, double slope) { return wg__leaky_relu(x, number(x, slope, "leaky_relu")); }
wg_tensor wg_elu(wg_tensor x, double alpha) { return wg__elu(x, number(x, alpha, "elu")); }
wg_tensor wg_clamp(wg_tensor x, double low, double high)
{
    return wg__clamp(x, number(x, low, "clamp"), number(x, high, "clamp"));
}

/* Infinity is part of the program: attention that is written out is known by it. */
static wg_tensor filling(wg_tensor like, double value)
{
    wg_shape shape;
    if (!isinf(value) || !wg__shape(like, &shape, "masked_fill") || !wg_dtype_is_float(wg_dtype_get(like)))
        return number(like, value, "masked_fill");
    return wg__constant(like, value);
}

wg_tensor wg_masked_fill(wg_tensor x, wg_tensor mask, double value)
{
    return wg__masked_fill(x, mask, filling(x, value));
}
