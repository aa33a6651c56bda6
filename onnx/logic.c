/* Comparisons, logic, selection, casts. */
#include <math.h>

#include "pointwise.h"

#define NUMBER(name, expression)                                                                                   \
    static double name(double a, double b) { return expression; }
NUMBER(number_equal, a == b)
NUMBER(number_less, a < b)
NUMBER(number_less_equal, a <= b)
NUMBER(number_greater, a > b)
NUMBER(number_greater_equal, a >= b)
NUMBER(number_and, a != 0 && b != 0)
NUMBER(number_or, a != 0 || b != 0)
NUMBER(number_xor, (a != 0) != (b != 0))
NUMBER(number_not, a == 0)

/* bool as i32, which comparisons take. */
static wg_tensor comparable(wg_tensor x) { return wg_dtype_get(x) == WG_BOOL ? wg_cast(x, WG_I32) : x; }

static void record_compare(wg__call *c)
{
    if (wg__can_know(c))
        wg__known_two(c, c->node->row->number, WG__BOOLEAN);
    else
        wg__set(c, 0, c->node->row->two(comparable(wg__tensor(c, 0)), comparable(wg__tensor(c, 1))), WG__BOOLEAN);
}

static void record_logic(wg__call *c)
{
    if (wg__can_know(c))
        wg__known_two(c, c->node->row->number, WG__BOOLEAN);
    else if (c->node->row->one)
        wg__set(c, 0, c->node->row->one(wg__tensor(c, 0)), WG__BOOLEAN);
    else
        wg__set(c, 0, c->node->row->two(wg__tensor(c, 0), wg__tensor(c, 1)), WG__BOOLEAN);
}

static wg_tensor logical_xor(wg_tensor a, wg_tensor b) { return wg_not_equal(comparable(a), comparable(b)); }

static void record_is_nan(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    wg__set(c, 0, wg_not_equal(x, x), WG__BOOLEAN);
}

static void record_is_inf(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0), zero = wg__scalar_like(c, x, 0);
    const bool up = wg__attribute_int(c->node, "detect_positive", 1),
               down = wg__attribute_int(c->node, "detect_negative", 1);
    const wg_tensor infinite = wg_equal(wg_abs(x), wg__scalar_like(c, x, INFINITY));
    const wg_tensor side = up && down ? infinite
                           : up       ? wg_greater(x, zero)
                           : down     ? wg_less(x, zero)
                                      : wg_full(c->tape, WG_BOOL, WG_SCALAR, 0);
    wg__set(c, 0, wg_logical_and(infinite, side), WG__BOOLEAN);
}

/* ---- Where ---- */

static void known_where(wg__call *c)
{
    const wg__known_item *condition = wg__in(c, 0), *a = wg__in(c, 1), *b = wg__in(c, 2);
    wg_shape shape;
    int64_t n;
    if (!wg_shape_broadcast(&a->shape, &b->shape, &shape) ||
        !wg_shape_broadcast(&condition->shape, &shape, &shape)) {
        wg__call_fail(c, WG_ERR_SHAPE, "the operands do not broadcast");
        return;
    }
    double *out = wg__numbers_new(c, &shape);
    wg_shape_numel(&shape, &n);
    for (int64_t i = 0; out && i < n; i++) {
        const wg__known_item *from =
            condition->host[wg__broadcast_index(&shape, &condition->shape, i)] != 0 ? a : b;
        out[i] = from->host[wg__broadcast_index(&shape, &from->shape, i)];
    }
    wg__set_known(c, 0, shape, out, a->type);
}

static void record_where(wg__call *c)
{
    const wg_shape shape = wg__shape_of(c, 0);
    if (wg__all_known(c) && wg__keep_known(c, &shape))
        known_where(c);
    else
        wg__set(c, 0, wg_where(wg__tensor(c, 0), wg__tensor(c, 1), wg__tensor(c, 2)), wg__type_of(c, 1));
}

/* ---- Cast ---- */

static double cast_number(double x, int from, int to)
{
    if (to == WG__BOOLEAN) return x != 0;
    if (to == WG__FLOAT) return (double)(float)x;
    if (!wg__type_is_integer(to)) return x;
    return wg__type_is_float(from) ? trunc(x) : wg__wrap_number(x, to);
}

static void cast_to(wg__call *c, int to)
{
    const int from = wg__type_of(c, 0);
    const wg__known_item *x = wg__in(c, 0);
    int64_t n;
    if (!x->host || !wg__keep_known(c, &x->shape)) {
        const wg_tensor y = wg_cast(wg__tensor(c, 0), wg__dtype_of(c->model, to));
        wg__set(c, 0, wg__type_is_integer(from) ? wg__wrap(y, to) : y, to);
        return;
    }
    double *out = wg__numbers_new(c, &x->shape);
    wg_shape_numel(&x->shape, &n);
    for (int64_t i = 0; out && i < n; i++) out[i] = cast_number(x->host[i], from, to);
    wg__set_known(c, 0, x->shape, out, to);
}

static void record_cast(wg__call *c) { cast_to(c, (int)wg__attribute_int(c->node, "to", 0)); }
static void record_cast_like(wg__call *c) { cast_to(c, wg__type_of(c, 1)); }

static const char *refuse_cast(const wg__onnx_node *node)
{
    const int64_t to = wg__attribute_int(node, "to", 0);
    if (to > 0 && to < WG__UINT4 && wg__type_is_known((int)to)) return NULL;
    return "it casts to an element type that no tensor here has: floats, integers of 8 bits and more, and bool are "
           "known";
}

#define COMPARE(onnx, op, numbers, since)                                                                          \
    {                                                                                                              \
        onnx, record_compare, since, 2, 2, NULL, 0, WG__ON_HOST, .two = op, .number = numbers                      \
    }
#define LOGIC(onnx, op, numbers)                                                                                   \
    {                                                                                                              \
        onnx, record_logic, 6, 2, 2, NULL, 0, WG__ON_HOST, .two = op, .number = numbers                            \
    }

/* Of casts to a type that is not known here. */
#define ROUNDING "round_mode=s:up|down|nearest"

const wg__onnx_row wg__onnx_logic[] = {
    COMPARE("Equal", wg_equal, number_equal, 6),
    COMPARE("Greater", wg_greater, number_greater, 6),
    COMPARE("GreaterOrEqual", wg_greater_equal, number_greater_equal, 12),
    COMPARE("Less", wg_less, number_less, 6),
    COMPARE("LessOrEqual", wg_less_equal, number_less_equal, 12),
    LOGIC("And", wg_logical_and, number_and),
    LOGIC("Or", wg_logical_or, number_or),
    LOGIC("Xor", logical_xor, number_xor),
    {"Not", record_logic, 6, 1, 1, NULL, 0, WG__ON_HOST, .one = wg_logical_not, .number = number_not},
    {"IsNaN", record_is_nan, 9, 1, 1},
    {"IsInf", record_is_inf, 10, 1, 1, "detect_negative=i detect_positive=i"},
    {"Where", record_where, 9, 3, 3, NULL, 0, WG__ON_HOST},
    {"Cast", record_cast, 6, 1, 1, "to=i saturate=i " ROUNDING, 0, WG__ON_HOST, .refuse = refuse_cast},
    {"CastLike", record_cast_like, 15, 2, 2, "saturate=i " ROUNDING, 0, WG__ON_HOST},
    {NULL},
};
