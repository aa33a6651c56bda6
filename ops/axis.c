/* Helpers for all families: axes, constants, sizes. */
#include "internal.h"

#include <stdio.h>

bool wg__shape(wg_tensor x, wg_shape *shape, const char *op)
{
    *shape = wg_shape_of(-1, NULL);
    return wg__shape_for(x, shape, op);
}

wg_tensor wg__refuse(wg_tensor x, wg_status status, const char *op, const char *rule, ...)
{
    char text[256], shape_text[128];
    wg_shape shape = wg_shape_get(x);
    va_list arguments;
    va_start(arguments, rule);
    vsnprintf(text, sizeof text, rule, arguments);
    va_end(arguments);
    return wg_fail(x, status, op, "%s: %s", wg_shape_text(&shape, shape_text, sizeof shape_text), text);
}

bool wg__both_set(wg_tensor a, wg_tensor b, const char *op)
{
    if (a.tape && b.tape) return true;
    wg_fail(a.tape ? a : b, WG_ERR_ARGUMENT, op, "operand %d was never set", a.tape ? 2 : 1);
    return false;
}

bool wg__float(wg_tensor x, const char *op)
{
    const wg_dtype dtype = wg_dtype_get(x);
    if (wg_is_nil(x) || wg_dtype_is_float(dtype)) return true;
    wg__refuse(x, WG_ERR_DTYPE, op, "the operand is %s: must be f32 or f64 (see wg_cast)", wg_dtype_name(dtype));
    return false;
}

bool wg__both_float(wg_tensor a, wg_tensor b, const char *op)
{
    if (wg_is_nil(a) || wg_is_nil(b)) return true;
    const wg_dtype da = wg_dtype_get(a), db = wg_dtype_get(b);
    if (da == db) return wg__float(a, op);
    wg__refuse(a, WG_ERR_DTYPE, op, "%s and %s differ; there is no promotion, use wg_cast", wg_dtype_name(da),
               wg_dtype_name(db));
    return false;
}

bool wg__broadcasts_to(wg_tensor x, const wg_shape *shape, const char *name, const char *op)
{
    wg_shape own, both;
    char a[128], b[128];
    if (!wg__shape(x, &own, op)) return false;
    if (wg_shape_broadcast(&own, shape, &both) && wg_shape_equal(&both, shape)) return true;
    wg_fail(x, WG_ERR_SHAPE, op, "%s %s must broadcast to %s", name, wg_shape_text(&own, a, sizeof a),
            wg_shape_text(shape, b, sizeof b));
    return false;
}

bool wg__per_channel(wg_tensor x, const wg_shape *shape, wg_tensor *v, const char *what, bool needed,
                     const char *op)
{
    wg_shape have, column = {.rank = shape->rank - 1};
    char text[128];
    if (!v->tape && !needed) return true;
    if (!v->tape) return wg_fail(x, WG_ERR_ARGUMENT, op, "the %s was never set", what), false;
    if (!wg__shape(*v, &have, op)) return false;
    if (have.rank != 1 || have.size[0] != shape->size[1]) {
        wg__refuse(x, WG_ERR_SHAPE, op, "the %s is %s: must be [%lld], one element per channel (axis 1)", what,
                   wg_shape_text(&have, text, sizeof text), (long long)shape->size[1]);
        return false;
    }
    for (int i = 1; i < column.rank; i++) column.size[i] = 1;
    column.size[0] = have.size[0];
    if (!wg__both_float(x, *v, op)) return false;
    *v = wg_reshape(*v, column);
    return true;
}

bool wg__axis(wg_tensor x, int *axis, const char *op)
{
    wg_shape shape;
    if (!wg__shape(x, &shape, op)) return false;
    int given = *axis;
    if (shape.rank == 0) {
        wg__refuse(x, WG_ERR_ARGUMENT, op, "axis %d: a scalar has no axes", given);
        return false;
    }
    if (given < -shape.rank || given >= shape.rank) {
        wg__refuse(x, WG_ERR_ARGUMENT, op, "axis %d is not in %d .. %d", given, -shape.rank, shape.rank - 1);
        return false;
    }
    if (given < 0) *axis = given + shape.rank;
    return true;
}

wg_tensor wg__constant(wg_tensor like, double value)
{
    if (wg_is_nil(like)) return like;
    return wg_full(like.tape, wg_dtype_get(like), WG_SCALAR, value);
}

wg_tensor wg__along(wg_tensor numbers, int axis, int rank)
{
    wg_shape shape = {.rank = rank};
    for (int i = 0; i < rank; i++) shape.size[i] = i == axis ? wg_size(numbers, 0) : 1;
    return wg_reshape(numbers, shape);
}

wg_tensor wg__sum_to(wg_tensor x, wg_shape shape)
{
    wg_shape from = wg_shape_get(x);
    if (wg_shape_equal(&from, &shape)) return wg__same(x);
    return wg_record(&wg__sum_op, &x, 1, &shape, sizeof shape);
}

wg_tensor wg__mean_or_zero(wg_tensor x, wg_axes axes)
{
    return (wg_numel(x) > 0 ? wg_mean : wg_sum)(x, axes, true);
}

wg_status wg__infer_size(wg_infer *infer)
{
    size_t bytes;
    if (wg_shape_bytes(&infer->out, infer->dtype, &bytes)) return WG_OK;
    for (int i = 0; i < infer->out.rank && i < WG_MAX_RANK; i++) {
        if (infer->out.size[i] < 0)
            return wg_infer_fail(infer, WG_ERR_SHAPE, "size %lld of axis %d is negative",
                                 (long long)infer->out.size[i], i);
    }
    if (infer->out.rank < 0 || infer->out.rank > WG_MAX_RANK)
        return wg_infer_fail(infer, WG_ERR_SHAPE, "a shape has 0 to %d axes", WG_MAX_RANK);
    return wg_infer_fail(infer, WG_ERR_SHAPE, "the result has more elements than fit in memory");
}

wg_status wg__infer_float(wg_infer *infer, int operand)
{
    wg_dtype dtype = infer->dtype_in[operand];
    if (wg_dtype_is_float(dtype)) return WG_OK;
    return wg_infer_fail(infer, WG_ERR_DTYPE, "operand %d is %s: must be f32 or f64 (see wg_cast)", operand + 1,
                         wg_dtype_name(dtype));
}
