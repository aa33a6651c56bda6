/* Constants, ranges and other tensors that are made from numbers. */
#include <math.h>

#include "internal.h"

/* ---- Constant: with `value`, weights.c has taken it ---- */

static void set_ints(wg__call *c, int n)
{
    const wg_shape shape = WG_DIMS(n);
    double *out = wg__numbers_new(c, &shape);
    int64_t *list = out ? wg__arena_array(c->arena, (uint64_t)n + 1, sizeof *list) : NULL;
    if (out && !list) wg__call_fail(c, WG_ERR_MEMORY, "out of memory");
    if (!list) return;
    wg__attribute_ints(c->node, "value_ints", list, n);
    for (int i = 0; i < n; i++) out[i] = (double)list[i];
    wg__set_known(c, 0, shape, out, WG__INT64);
}

static void set_floats(wg__call *c, int n)
{
    const wg_shape shape = WG_DIMS(n);
    double *out = wg__numbers_new(c, &shape);
    if (out) wg__attribute_floats(c->node, "value_floats", out, n);
    wg__set_known(c, 0, shape, out, WG__FLOAT);
}

static void record_constant(wg__call *c)
{
    const int n_ints = wg__attribute_ints(c->node, "value_ints", NULL, 0);
    const int n_floats = wg__attribute_floats(c->node, "value_floats", NULL, 0);
    const bool real = wg__attribute_has(c->node, "value_float");
    const wg_shape scalar = WG_SCALAR;
    if (n_ints >= 0)
        set_ints(c, n_ints);
    else if (n_floats >= 0)
        set_floats(c, n_floats);
    else {
        double *out = wg__numbers_new(c, &scalar);
        if (out)
            *out = real ? wg__attribute_float(c->node, "value_float", 0)
                        : (double)wg__attribute_int(c->node, "value_int", 0);
        wg__set_known(c, 0, scalar, out, real ? WG__FLOAT : WG__INT64);
    }
}

static const char *refuse_constant(const wg__onnx_node *node)
{
    static const char *const values[] = {"value", "value_float", "value_int", "value_floats", "value_ints"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (wg__attribute_has(node, values[i])) return NULL;
    return "it has no value that is a number";
}

/* ---- ConstantOfShape ---- */

static void record_constant_of_shape(wg__call *c)
{
    int64_t size[WG_MAX_RANK], numel;
    const int rank = wg__known_ints(c, 0, size, WG_MAX_RANK);
    wg__attribute a;
    wg__tensor_data value = {.type = WG__FLOAT};
    double number = 0;
    if (rank < 0) return;
    const wg_shape shape = wg_shape_of(rank, size);
    if (wg__attribute_find(c->node, "value", &a)) {
        wg_error error = {0};
        if (!wg__tensor_parse(a.tensor, &c->model->folder, &value, &error) || value.numel != 1) {
            wg__call_fail(c, WG_ERR_FORMAT, "%s", *error.text ? error.text : "its value is not one number");
            return;
        }
        wg__numbers numbers = wg__numbers_of(&value);
        number = wg__number_next(&numbers);
    }
    bool valid = wg_shape_numel(&shape, &numel);
    for (int i = 0; i < rank; i++) valid = valid && size[i] >= 0;
    if (!valid || !wg__keep_known(c, &shape)) {
        wg__set(c, 0, wg_full(c->tape, wg__dtype_of(c->model, value.type), shape, number), value.type);
        return;
    }
    double *out = wg__numbers_new(c, &shape);
    for (int64_t i = 0; out && i < numel; i++) out[i] = number;
    wg__set_known(c, 0, shape, out, value.type);
}

/* ---- Range ---- */

static void record_range(wg__call *c)
{
    const double start = wg__known_scalar(c, 0, 0), limit = wg__known_scalar(c, 1, 0),
                 delta = wg__known_scalar(c, 2, 1);
    const double count = delta != 0 ? ceil((limit - start) / delta) : NAN;
    if (wg__call_failed(c)) return;
    if (!(count < 4e9)) {
        wg__call_fail(c, WG_ERR_ARGUMENT,
                      "from %g to %g in steps of %g: a step is not 0, and there are fewer than 4e9", start, limit,
                      delta);
        return;
    }
    const wg_shape shape = WG_DIMS(count > 0 ? (int64_t)count : 0);
    const int type = wg__type_of(c, 0);
    if (!wg__keep_known(c, &shape)) {
        wg__set(c, 0, wg_arange(c->tape, wg__dtype_of(c->model, type), start, delta, shape.size[0]), type);
        return;
    }
    double *out = wg__numbers_new(c, &shape);
    for (int64_t i = 0; out && i < shape.size[0]; i++) out[i] = start + (double)i * delta;
    wg__set_known(c, 0, shape, out, type);
}

/* ---- EyeLike, Trilu, OneHot ---- */

static void record_eye_like(wg__call *c)
{
    const wg_shape x = wg__shape_of(c, 0);
    const int64_t k = wg__attribute_int(c->node, "k", 0),
                  to = wg__attribute_int(c->node, "dtype", wg__type_of(c, 0));
    if (x.rank != 2) {
        wg__call_fail(c, WG_ERR_SHAPE, "the operand has %d axes, not 2", x.rank);
        return;
    }
    const wg_tensor below = wg_tril_mask(c->tape, x.size[0], x.size[1], k);
    const wg_tensor above = wg_triu_mask(c->tape, x.size[0], x.size[1], k);
    wg__set(c, 0, wg_cast(wg_logical_and(below, above), wg__dtype_of(c->model, (int)to)), (int)to);
}

static const char *refuse_eye_like(const wg__onnx_node *node)
{
    const int64_t type = wg__attribute_int(node, "dtype", WG__FLOAT);
    return type > 0 && type < WG__UINT4 && wg__type_is_known((int)type) ? NULL : "its dtype is none of numbers";
}

static void record_trilu(wg__call *c)
{
    const int64_t diagonal = wg__known_integer(c, 1, 0);
    const wg_tensor x = wg__tensor(c, 0);
    if (wg__call_failed(c)) return;
    const bool upper = wg__attribute_int(c->node, "upper", 1) != 0;
    wg__set(c, 0, upper ? wg_triu(x, diagonal) : wg_tril(x, diagonal), wg__type_of(c, 0));
}

/* values[0] and, where the index is, values[1]; nowhere for an index out of range. */
static void record_one_hot(wg__call *c)
{
    const int64_t depth = wg__known_integer(c, 1, 1);
    wg_tensor index = wg__tensor(c, 0);
    const wg_tensor values = wg__tensor(c, 2);
    const int rank = wg_rank(index);
    const int axis = wg__call_axis(c, wg__attribute_int(c->node, "axis", -1), rank + 1);
    if (depth < 1 || depth >= INT32_MAX)
        wg__call_fail(c, WG_ERR_ARGUMENT, "depth %lld is not 1 to %d", (long long)depth, INT32_MAX - 1);
    if (rank == WG_MAX_RANK)
        wg__call_fail(c, WG_ERR_SHAPE, "indices of %d axes: the result has one more than there may be", rank);
    if (wg__call_failed(c)) return;
    if (wg_dtype_get(index) != WG_I32) index = wg_cast(index, WG_I32);
    const wg_tensor zero = wg_scalar(c->tape, WG_I32, 0);
    index = wg_where(wg_less(index, zero), wg_add_scalar(index, (double)depth), index);
    wg_shape shape = {.rank = rank + 1};
    for (int i = 0; i <= rank; i++) shape.size[i] = i == axis ? depth : 1;
    const wg_tensor classes = wg_reshape(wg_arange(c->tape, WG_I32, 0, 1, depth), shape);
    const wg_tensor hit = wg_equal(wg_unsqueeze(index, axis), classes);
    wg__set(c, 0, wg_where(hit, wg_select(values, 0, 1), wg_select(values, 0, 0)), wg__type_of(c, 2));
}

const wg__onnx_row wg__onnx_make[] = {
    {"Constant", record_constant, 6, 0, 0, "value=t value_float=f value_floats=F value_int=i value_ints=I", 0,
     WG__SIZES_ONLY, refuse_constant},
    {"ConstantOfShape", record_constant_of_shape, 9, 1, 1, "value=t", 1, WG__SIZES_ONLY},
    {"Range", record_range, 11, 3, 3, NULL, 1 | 2 | 4, WG__ON_HOST},
    {"EyeLike", record_eye_like, 9, 1, 1, "dtype=i k=i", .refuse = refuse_eye_like},
    {"Trilu", record_trilu, 14, 1, 2, "upper=i", 2},
    {"OneHot", record_one_hot, 9, 3, 3, "axis=i", 2},
    {NULL},
};
