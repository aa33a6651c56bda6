/* Ops that occur in gradients alone, for programs whose outputs are derivatives. a is the gradient that comes in. */
#include "composed.h"

#include <math.h>

#include "../../ops/kernels/reduce/reduce.h"

#define MUL(x, y) NODE2("Mul", x, y)
#define ADD(x, y) NODE2("Add", x, y)
#define SUB(x, y) NODE2("Sub", x, y)
#define DIV(x, y) NODE2("Div", x, y)
#define N(value)  number(o, value)

/* ---- pointwise, as in ops/pointwise.def ---- */

COMPOSED(log1p_grad, DIV(a, ADD(N(1), b)))
COMPOSED(sqrt_grad, DIV(MUL(N(0.5), a), b))
COMPOSED(rsqrt_grad, MUL(MUL(MUL(MUL(N(-0.5), a), b), b), b))
COMPOSED(square_grad, MUL(N(2), MUL(a, b)))
COMPOSED(one_minus_square, MUL(SUB(N(1), a), ADD(N(1), a)))
COMPOSED(reciprocal_grad, MUL(MUL(NODE1("Neg", a), b), b))
COMPOSED(tanh_grad, MUL(a, SUB(N(1), MUL(b, b))))
COMPOSED(erf_grad, MUL(MUL(a, NODE1("Exp", NODE1("Neg", MUL(b, b)))), N(1.12837916709551257390)))
COMPOSED(sigmoid_grad, MUL(MUL(a, b), SUB(N(1), b)))
COMPOSED(one_minus_twice, MUL(a, SUB(N(1), MUL(N(2), b))))
COMPOSED(relu_grad, WHERE(NODE2("LessOrEqual", b, N(0)), N(0), a))
COMPOSED(mul_log, WHERE(NODE2("Equal", b, N(0)), N(0), MUL(a, NODE1("Log", b))))
COMPOSED(div_grad, DIV(MUL(NODE1("Neg", a), b), c))
COMPOSED(leaky_relu_grad, WHERE(NODE2("Greater", b, N(0)), a, MUL(a, c)))
COMPOSED(elu_grad, WHERE(NODE2("Greater", b, N(0)), a, MUL(MUL(a, c), NODE1("Exp", b))))
COMPOSED(maximum_grad, WHERE(NODE2("Less", b, c), N(0), WHERE(NODE2("Equal", b, c), MUL(N(0.5), a), a)))
COMPOSED(pow_is_zero,
         NODE2("Or", NODE2("Equal", c, N(0)), NODE2("And", NODE2("Equal", a, N(0)), NODE2("Equal", b, b))))
COMPOSED(pow_grad, WHERE(out_pow_is_zero(o), N(0), MUL(MUL(a, c), NODE2("Pow", b, SUB(c, N(1))))))

/* Operand 1 within [-most, most], where the derivative of what follows is that at infinity: no infinity times 0. */
static const char *operand_within(wg__out *o, double most)
{
    return NODE2("Min", NODE2("Max", wg__in_name(o, 1), N(-most)), N(most));
}

/* sigmoid(x) (1 + x (1 - sigmoid(x))) */
static const char *silu_grad(wg__out *o)
{
    const char *x = operand_within(o, 1000), *s = NODE1("Sigmoid", x);
    return MUL(wg__in_name(o, 0), MUL(s, ADD(N(1), MUL(x, SUB(N(1), s)))));
}

/* The distribution function of the standard normal distribution and x times its density. */
static const char *gelu_grad(wg__out *o)
{
    const char *x = operand_within(o, 40);
    const char *below = MUL(N(0.5), ADD(N(1), NODE1("Erf", MUL(x, N(0.70710678118654752440)))));
    const char *density = MUL(NODE1("Exp", MUL(MUL(x, x), N(-0.5))), N(0.39894228040143267794));
    return MUL(wg__in_name(o, 0), ADD(below, MUL(x, density)));
}

/* Of x / 2 (1 + t), t = tanh(k (x + c x^3)): (1 + t) / 2 + x / 2 (1 - t^2) k (1 + 3 c x^2). */
static const char *gelu_tanh_grad(wg__out *o)
{
    const char *x = operand_within(o, 40), *square = MUL(x, x), *k = N(0.79788456080286535588);
    const char *t = NODE1("Tanh", MUL(MUL(k, x), ADD(N(1), MUL(N(0.044715), square))));
    const char *steep = MUL(MUL(k, ADD(N(1), MUL(N(3 * 0.044715), square))), SUB(N(1), MUL(t, t)));
    return MUL(wg__in_name(o, 0), MUL(N(0.5), ADD(ADD(N(1), t), MUL(x, steep))));
}

/* ---- softmax ---- */

static const char *row_sum(wg__out *o, const char *x)
{
    const int64_t last = -1;
    return NODE2("ReduceSum", x, wg__integers(o, &last, 1));
}

/* y (g - sum of y g) */
static const char *softmax_grad(wg__out *o)
{
    const char *y = wg__in_name(o, 0), *g = wg__in_name(o, 1);
    return MUL(y, SUB(g, row_sum(o, MUL(g, y))));
}

/* g - e^y sum of g */
static const char *log_softmax_grad(wg__out *o)
{
    const char *y = wg__in_name(o, 0), *g = wg__in_name(o, 1);
    return SUB(g, MUL(NODE1("Exp", y), row_sum(o, g)));
}

/* e^(x - m) g / s with m the maximum and s the sum of the e^(x - m), 1 where m is inf. Zeros where m is -inf. */
static const char *logsumexp_grad(wg__out *o)
{
    const uint32_t mask = ((const wg__reduce_attr *)o->at.attr)->mask;
    const char *x = wg__in_name(o, 0);
    wg_shape kept = o->at.shape, twin = o->twin.shape;
    int64_t axes[WG_MAX_RANK];
    int n = 0;
    for (int i = 0; i < kept.rank; i++)
        if (mask >> i & 1) axes[n++] = i, kept.size[i] = twin.size[i] = 1;
    const char *g = wg__reshaped(o, wg__in_name(o, 1), &kept, &twin), *over = wg__integers(o, axes, n);
    const char *m = NODE2("ReduceMax", x, over);
    const char *e = NODE1("Exp", SUB(x, WHERE(NODE2("Equal", m, N(-INFINITY)), N(0), m)));
    const char *s = NODE2("ReduceSum", e, over), *divisor = WHERE(NODE2("Equal", m, N(INFINITY)), N(1), s);
    return MUL(e, WHERE(NODE2("Equal", s, N(0)), N(0), DIV(g, divisor)));
}

const wg__row wg__out_gradient[] = {
    {"div_grad", NULL, out_div_grad},
    {"elu_grad", NULL, out_elu_grad},
    {"erf_grad", NULL, out_erf_grad},
    {"gelu_grad", NULL, gelu_grad},
    {"gelu_tanh_grad", NULL, gelu_tanh_grad},
    {"leaky_relu_grad", NULL, out_leaky_relu_grad},
    {"log1p_grad", NULL, out_log1p_grad},
    {"log_softmax_grad", NULL, log_softmax_grad},
    {"logsumexp_grad", NULL, logsumexp_grad},
    {"maximum_grad", NULL, out_maximum_grad},
    {"mul_log", NULL, out_mul_log},
    {"one_minus_square", NULL, out_one_minus_square},
    {"one_minus_twice", NULL, out_one_minus_twice},
    {"pow_grad", NULL, out_pow_grad},
    {"reciprocal_grad", NULL, out_reciprocal_grad},
    {"relu_grad", NULL, out_relu_grad},
    {"rsqrt_grad", NULL, out_rsqrt_grad},
    {"sigmoid_grad", NULL, out_sigmoid_grad},
    {"silu_grad", NULL, silu_grad},
    {"softmax_grad", NULL, softmax_grad},
    {"sqrt_grad", NULL, out_sqrt_grad},
    {"square_grad", NULL, out_square_grad},
    {"tanh_grad", NULL, out_tanh_grad},
    {NULL},
};
