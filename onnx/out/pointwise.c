/* Pointwise ops: a row each, and compositions where ONNX has no such operator. */
#include "composed.h"

#include "../../ops/kernels/pointwise/pointwise.h"

/* ---- operators with the operands of the op ---- */

static const char *same(wg__out *o)
{
    const char *in[] = {wg__in_name(o, 0), wg__in_name(o, 1), wg__in_name(o, 2)};
    return wg__out_node(o, o->row->op_type, in, 3);
}

/* The operator, and not of that. */
static const char *negated(wg__out *o) { return wg__out_node1(o, "Not", same(o)); }

static const char *gelu_tanh(wg__out *o)
{
    wg__with_text(o, "approximate", "tanh");
    return same(o);
}

static const char *cast(wg__out *o) { return wg__cast_to(o, wg__in_name(o, 0), o->at.dtype); }

/* ---- compositions; those of log1p, expm1 and lerp are read back as these ops (onnx/fuse.c) ---- */

COMPOSED(log1p, NODE1("Log", NODE2("Add", number(o, 1), a)))
COMPOSED(expm1, NODE2("Add", number(o, -1), NODE1("Exp", a)))
COMPOSED(rsqrt, NODE1("Reciprocal", NODE1("Sqrt", a)))
COMPOSED(square, NODE2("Mul", a, a))
COMPOSED(silu, NODE2("Mul", a, NODE1("Sigmoid", a)))
COMPOSED(step, wg__cast_to(o, NODE2("Greater", a, number(o, 0)), o->at.dtype))
COMPOSED(leaky_relu, WHERE(NODE2("Greater", a, number(o, 0)), a, NODE2("Mul", a, b)))
COMPOSED(elu, WHERE(NODE2("Greater", a, number(o, 0)), a, NODE2("Mul", b, out_expm1(o))))
COMPOSED(lerp, NODE2("Sub", a, NODE2("Mul", c, NODE2("Sub", a, b))))
COMPOSED(clamp, NODE2("Min", NODE2("Max", a, b), c))
COMPOSED(masked_fill, WHERE(b, c, a))
COMPOSED(where, WHERE(a, b, c))
COMPOSED(is_finite, NODE1("Not", NODE2("Or", NODE1("IsInf", a), NODE1("IsNaN", a))))

/* The difference, and 0 of two equal infinities. */
COMPOSED(apart, WHERE(NODE2("Equal", a, b), number(o, 0), NODE2("Sub", a, b)))
COMPOSED(gap, NODE2("Max", NODE2("Min", out_apart(o), number(o, 1000)), number(o, -1000)))
COMPOSED(logaddexp, NODE2("Add", NODE2("Max", a, b), NODE1("Softplus", NODE1("Neg", NODE1("Abs", out_apart(o))))))

/* The remainder r of the division, with the sign of a; r + b where b has another one. */
static const char *mod(wg__out *o)
{
    const char *a = wg__in_name(o, 0), *b = wg__in_name(o, 1);
    wg__with_int(o, "fmod", 1);
    const char *r = NODE2("Mod", a, b), *signs = NODE2("Mul", NODE1("Sign", r), NODE1("Sign", b));
    return WHERE(NODE2("Less", signs, number(o, 0)), NODE2("Add", r, b), r);
}

/* Whether x is less than +0, -0 included, whose reciprocal is. */
static const char *is_negative(wg__out *o, const char *x)
{
    const char *zero = number(o, 0);
    return NODE2("Less", WHERE(NODE2("Equal", x, zero), NODE1("Reciprocal", x), x), zero);
}

/* The angle of (|b|, |a|), where two zeros are 0 and two infinities equal numbers; mirrored by the signs of b and a. */
static const char *atan2_of(wg__out *o)
{
    static const double pi = 3.14159265358979323846;
    const char *a = wg__in_name(o, 0), *b = wg__in_name(o, 1), *up = NODE1("Abs", a), *along = NODE1("Abs", b);
    const char *diagonal = NODE2("Mul", NODE1("Sign", up), number(o, pi / 4));
    const char *angle = WHERE(NODE2("Equal", up, along), diagonal, NODE1("Atan", NODE2("Div", up, along)));
    angle = WHERE(is_negative(o, b), NODE2("Sub", number(o, pi), angle), angle);
    return WHERE(is_negative(o, a), NODE1("Neg", angle), angle);
}

const wg__row wg__out_pointwise[] = {
    {"abs", "Abs", same},
    {"acos", "Acos", same},
    {"acosh", "Acosh", same},
    {"add", "Add", same},
    {"asin", "Asin", same},
    {"asinh", "Asinh", same},
    {"atan", "Atan", same},
    {"atan2", NULL, atan2_of},
    {"atanh", "Atanh", same},
    {"cast", "Cast", cast},
    {"ceil", "Ceil", same},
    {"clamp", NULL, out_clamp},
    {"cos", "Cos", same},
    {"cosh", "Cosh", same},
    {"div", "Div", same},
    {"elu", NULL, out_elu},
    {"equal", "Equal", same},
    {"erf", "Erf", same},
    {"exp", "Exp", same},
    {"expm1", NULL, out_expm1},
    {"floor", "Floor", same},
    {"gap", NULL, out_gap},
    {"gelu", "Gelu", same},
    {"gelu_tanh", "Gelu", gelu_tanh},
    {"greater", "Greater", same},
    {"greater_equal", "GreaterOrEqual", same},
    {"is_finite", NULL, out_is_finite},
    {"leaky_relu", NULL, out_leaky_relu},
    {"lerp", NULL, out_lerp},
    {"less", "Less", same},
    {"less_equal", "LessOrEqual", same},
    {"log", "Log", same},
    {"log1p", NULL, out_log1p},
    {"logaddexp", NULL, out_logaddexp},
    {"logical_and", "And", same},
    {"logical_not", "Not", same},
    {"logical_or", "Or", same},
    {"masked_fill", NULL, out_masked_fill},
    {"maximum", "Max", same},
    {"minimum", "Min", same},
    {"mod", "Mod", mod},
    {"mul", "Mul", same},
    {"neg", "Neg", same},
    {"not_equal", "Equal", negated},
    {"pow", "Pow", same},
    {"reciprocal", "Reciprocal", same},
    {"relu", "Relu", same},
    {"round", "Round", same},
    {"rsqrt", NULL, out_rsqrt},
    {"sigmoid", "Sigmoid", same},
    {"sign", "Sign", same},
    {"silu", NULL, out_silu},
    {"sin", "Sin", same},
    {"sinh", "Sinh", same},
    {"softplus", "Softplus", same},
    {"sqrt", "Sqrt", same},
    {"square", NULL, out_square},
    {"step", NULL, out_step},
    {"sub", "Sub", same},
    {"tan", "Tan", same},
    {"tanh", "Tanh", same},
    {"where", NULL, out_where},
    {NULL},
};
