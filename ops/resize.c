/* Sampling an axis anew, and its windows: compositions of views, lookups and means. */
#include "internal.h"

/* Whether x is a float with elements along the axis, and size >= 1; *axis then counts from 0. */
static bool along(wg_tensor x, int *axis, int64_t size, const char *op)
{
    if (!wg__both_float(x, x, op) || !wg__axis(x, axis, op)) return false;
    if (size >= 1 && wg_size(x, *axis) >= 1) return true;
    wg__refuse(x, WG_ERR_SHAPE, op, "axis %d to %lld: there must be elements before and after", *axis,
               (long long)size);
    return false;
}

/* ---- resize ------------------------------------------------------------------------------------------------------ */

/* A tensor of f64 [size] as x's dtype that broadcasts along the axis. */
static wg_tensor as_factor(wg_tensor x, wg_tensor numbers, int axis)
{
    wg_shape shape = {.rank = wg_rank(x) - axis};
    for (int d = 0; d < shape.rank; d++) shape.size[d] = d ? 1 : wg_size(numbers, 0);
    return wg_reshape(wg_cast(numbers, wg_dtype_get(x)), shape);
}

/* Where element i of the result stands in x. */
static wg_tensor positions(wg_tensor x, int64_t n, int64_t size, wg_resize_mode mode)
{
    wg_tensor i = wg_arange(x.tape, WG_F64, 0, 1, size);
    if (mode == WG_RESIZE_NEAREST) return wg_div_scalar(wg_scale(i, (double)n), (double)size);
    if (mode == WG_RESIZE_LINEAR_CORNERS) return wg_scale(i, size > 1 ? (double)(n - 1) / (double)(size - 1) : 0);
    i = wg_sub_scalar(wg_scale(wg_add_scalar(i, 0.5), (double)n / (double)size), 0.5);
    return wg_maximum_scalar(i, 0);
}

wg_tensor wg_resize(wg_tensor x, int axis, int64_t size, wg_resize_mode mode)
{
    if (!along(x, &axis, size, "resize")) return wg__nil_of(x);
    if ((unsigned)mode > WG_RESIZE_LINEAR_CORNERS)
        return wg_fail(x, WG_ERR_ARGUMENT, "resize", "mode %d is none of wg_resize_mode", (int)mode);
    const int64_t n = wg_size(x, axis);
    wg_tensor at = positions(x, n, size, mode), left = wg_floor(at), index = wg_cast(left, WG_I32);
    wg_tensor first = wg_index_select(x, axis, index);
    if (mode == WG_RESIZE_NEAREST) return first;
    wg_tensor next = wg_minimum_scalar(wg_add_scalar(index, 1), (double)(n - 1));
    return wg_lerp(first, wg_index_select(x, axis, next), as_factor(x, wg_sub(at, left), axis));
}

/* ---- adaptive pools ---------------------------------------------------------------------------------------------- */

typedef wg_tensor (*reduce_fn)(wg_tensor x, wg_axes axes, bool keep);

/* Part i of m: elements floor(i n / m) to ceil((i + 1) n / m) - 1. n and m are below 2^31. */
static wg_tensor adaptive(wg_tensor x, int axis, int64_t m, reduce_fn reduce, const char *op)
{
    enum { MOST = 4096 }; /* a node a part */
    if (!along(x, &axis, m, op)) return wg__nil_of(x);
    const int64_t n = wg_size(x, axis);
    if (m > MOST || n > INT32_MAX)
        return wg__refuse(x, WG_ERR_SHAPE, op, "axis %d to %lld: at most %d", axis, (long long)m, MOST);
    wg_tensor part[MOST];
    for (int64_t i = 0; i < m; i++) {
        const int64_t first = i * n / m, end = ((i + 1) * n + m - 1) / m;
        part[i] = reduce(wg_slice(x, axis, first, end), WG_AXES(axis), true);
    }
    return wg_concat(part, (int)m, axis);
}

wg_tensor wg_adaptive_avg_pool(wg_tensor x, int axis, int64_t size)
{
    return adaptive(x, axis, size, wg_mean, "adaptive_avg_pool");
}

wg_tensor wg_adaptive_max_pool(wg_tensor x, int axis, int64_t size)
{
    return adaptive(x, axis, size, wg_max, "adaptive_max_pool");
}

/* ---- unfold ------------------------------------------------------------------------------------------------------ */

wg_tensor wg_unfold(wg_tensor x, int axis, int64_t size, int64_t step)
{
    enum { MOST = 4096 };
    wg_tensor window[MOST];
    if (!wg__axis(x, &axis, "unfold")) return wg__nil_of(x);
    const int64_t n = wg_size(x, axis);
    if (size < 1 || size > n || size > MOST || step < 1)
        return wg__refuse(
            x, WG_ERR_ARGUMENT, "unfold",
            "windows of %lld with step %lld along axis %d: 1 to the axis' size, at most %d, and a step >= 1",
            (long long)size, (long long)step, axis, MOST);
    const int64_t count = (n - size) / step + 1;
    for (int64_t k = 0; k < size; k++) window[k] = wg_slice_step(x, axis, k, k + (count - 1) * step + 1, step);
    return wg_stack(window, (int)size, -1);
}
