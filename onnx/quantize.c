/* QuantizeLinear, DequantizeLinear. Weights of integers became parameters before (weights.c); here are the others. */
#include <limits.h>

#include "internal.h"

/* One number for each block of elements along the axis becomes one for each element; the last block may be shorter. */
static wg_tensor by_blocks(wg__call *c, wg_tensor s, wg_tensor x, int64_t block)
{
    const wg_shape all = wg_shape_get(x), given = wg_shape_get(s);
    const int axis = wg__call_axis(c, wg__attribute_int(c->node, "axis", 1), all.rank);
    if (wg__call_failed(c)) return s;
    const int64_t n = all.size[axis];
    bool fits = given.rank == all.rank && block > 0;
    for (int i = 0; fits && i < all.rank; i++)
        fits = given.size[i] == (i == axis ? n / block + (n % block != 0) : all.size[i]);
    if (!fits) {
        wg__call_fail(c, WG_ERR_SHAPE,
                      "scale and zero point do not have one number for each block of %lld along axis %d",
                      (long long)block, axis);
        return s;
    }
    const wg_shape line = WG_DIMS(n);
    double *index = wg__numbers_new(c, &line);
    if (!index) return s;
    for (int64_t i = 0; i < n; i++) index[i] = (double)(i / block);
    return wg_index_select(s, axis, wg__data_of(c, line, index, WG__INT64));
}

/* A scale or zero point against x: a scalar, or one number for each index of the axis, or for each block of them. */
static wg_tensor along_axis(wg__call *c, int k, wg_tensor x)
{
    const wg_tensor s = wg__tensor(c, k);
    const int64_t block = wg__attribute_int(c->node, "block_size", 0);
    if (block) return by_blocks(c, s, x, block);
    if (wg_rank(s) != 1 || wg_numel(s) == 1) return wg_numel(s) == 1 ? wg_reshape(s, WG_SCALAR) : s;
    const int axis = wg__call_axis(c, wg__attribute_int(c->node, "axis", 1), wg_rank(x));
    wg_shape shape = {.rank = wg_rank(x)};
    for (int i = 0; i < shape.rank; i++) shape.size[i] = i == axis ? wg_numel(s) : 1;
    return wg__call_failed(c) ? s : wg_reshape(s, shape);
}

/* (x - zero point) scale. */
static void record_dequantize(wg__call *c)
{
    const wg_dtype dtype = wg__dtype_of(c->model, wg__type_of(c, 1));
    const wg_tensor x = wg_cast(wg__tensor(c, 0), dtype), scale = along_axis(c, 1, x);
    const wg_tensor shifted = wg__has(c, 2) ? wg_sub(x, wg_cast(along_axis(c, 2, x), dtype)) : x;
    wg__set(c, 0, wg_mul(shifted, scale), wg__type_of(c, 1));
}

/* round(x / scale) + zero point, in the range of the type. */
static wg_tensor quantized(wg_tensor x, wg_tensor scale, wg_tensor zero, int type)
{
    const wg_tensor y = wg_round(wg_div(x, scale));
    const wg_tensor shifted = zero.tape ? wg_add(y, wg_cast(zero, wg_dtype_get(y))) : y;
    return wg_cast(wg_clamp(shifted, wg__type_least(type), wg__type_largest(type)), WG_I32);
}

static void record_quantize(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    const int64_t given = wg__attribute_int(c->node, "output_dtype", 0);
    const int otherwise = given == 0 ? WG__UINT8 : given > 0 && given <= INT_MAX ? (int)given : WG__NONE;
    const int type = wg__has(c, 2) ? wg__type_of(c, 2) : otherwise;
    const wg_tensor zero = wg__has(c, 2) ? along_axis(c, 2, x) : WG_NONE;
    if (!wg__type_is_integer(type) || wg__type_largest(type) > 65535) {
        wg__call_fail(c, WG_ERR_DTYPE, "to %s; integers of 8 and 16 bits are known", wg__type_name(type));
        return;
    }
    wg__set(c, 0, quantized(x, along_axis(c, 1, x), zero, type), type);
}

/* Scale and zero point from the range of x, which includes 0. */
static void record_dynamic(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    const wg_tensor most = wg_maximum_scalar(wg_max(x, WG_ALL_AXES, false), 0);
    const wg_tensor least = wg_minimum_scalar(wg_min(x, WG_ALL_AXES, false), 0);
    const wg_tensor scale = wg_div_scalar(wg_sub(most, least), 255);
    const wg_tensor zero = wg_cast(wg_clamp(wg_round(wg_neg(wg_div(least, scale))), 0, 255), WG_I32);
    wg__set(c, 0, quantized(x, scale, zero, WG__UINT8), WG__UINT8);
    wg__set(c, 1, scale, WG__FLOAT);
    wg__set(c, 2, zero, WG__UINT8);
}

const wg__onnx_row wg__onnx_quantize[] = {
    {"DequantizeLinear", record_dequantize, 10, 2, 3, "axis=i block_size=i output_dtype=i"},
    {"QuantizeLinear", record_quantize, 10, 2, 3, "axis=i block_size=i output_dtype=i precision=i saturate=i"},
    {"DynamicQuantizeLinear", record_dynamic, 11, 1, 1},
    {NULL},
};
