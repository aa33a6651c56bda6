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

COMPOSED(log1p, ONE("Log", TWO("Add", number(o, 1), a)))
COMPOSED(expm1, TWO("Add", number(o, -1), ONE("Exp", a)))
COMPOSED(rsqrt, ONE("Reciprocal", ONE("Sqrt", a)))
COMPOSED(square, TWO("Mul", a, a))
COMPOSED(silu, TWO("Mul", a, ONE("Sigmoid", a)))
COMPOSED(step, wg__cast_to(o, TWO("Greater", a, number(o, 0)), o->at.dtype))
COMPOSED(mod, TWO("Sub", a, TWO("Mul", ONE("Floor", TWO("Div", a, b)), b)))
COMPOSED(leaky_relu, WHERE(TWO("Greater", a, number(o, 0)), a, TWO("Mul", a, b)))
COMPOSED(elu, WHERE(TWO("Greater", a, number(o, 0)), a, TWO("Mul", b, out_expm1(o))))
COMPOSED(lerp, TWO("Sub", a, TWO("Mul", c, TWO("Sub", a, b))))
COMPOSED(clamp, TWO("Min", TWO("Max", a, b), c))
COMPOSED(masked_fill, WHERE(b, c, a))
COMPOSED(is_finite, ONE("Not", TWO("Or", ONE("IsInf", a), ONE("IsNaN", a))))

/* The difference, and 0 of two equal infinities. */
COMPOSED(gap, WHERE(TWO("Equal", a, b), number(o, 0), TWO("Sub", a, b)))
COMPOSED(logaddexp, TWO("Add", TWO("Max", a, b), ONE("Softplus", ONE("Neg", ONE("Abs", out_gap(o))))))

/* atan(a / b), half a turn further where b < 0; the quotient of zeros is none. Two infinities are NaN. */
static const char *atan2_of(wg__out *o)
{
    static const double half = 3.14159265358979323846;
    const char *a = wg__in_name(o, 0), *b = wg__in_name(o, 1), *zero = number(o, 0);
    const char *behind = TWO("Less", b, zero), *down = TWO("Less", a, zero), *level = TWO("Equal", a, zero);
    const char *turn = WHERE(behind, WHERE(down, number(o, -half), number(o, half)), zero);
    return TWO("Add", turn, WHERE(level, zero, ONE("Atan", TWO("Div", a, b))));
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
    {"mod", NULL, out_mod},
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
    {"where", "Where", same},
    {NULL},
};
