/* Sampling an axis anew, and its windows: compositions of views, lookups and means. */
#include "internal.h"

/* Whether x is a float with elements along the axis, and size >= 1; *axis then counts from 0. */
static bool along(wg_tensor x, int *axis, int64_t size, const char *op)
{
    if (!wg__float(x, op) || !wg__axis(x, axis, op)) return false;
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
    if (mode == WG_RESIZE_LINEAR_CORNERS || mode == WG_RESIZE_CUBIC_CORNERS)
        return wg_scale(i, size > 1 ? (double)(n - 1) / (double)(size - 1) : 0);
    const wg_tensor exact = wg_div_scalar(wg_scale(wg_add_scalar(i, 0.5), (double)n), (double)size);
    if (mode == WG_RESIZE_NEAREST_EXACT) return exact;
    const wg_tensor middle = wg_sub_scalar(exact, 0.5);
    return mode == WG_RESIZE_CUBIC ? middle : wg_maximum_scalar(middle, 0);
}

/* c[0] + c[1] t + c[2] t^2 + c[3] t^3 */
static wg_tensor cubic(wg_tensor t, const double *c)
{
    wg_tensor y = wg__constant(t, c[3]);
    for (int i = 2; i >= 0; i--) y = wg_add(wg_mul(y, t), wg__constant(t, c[i]));
    return y;
}

/* The element `shift` after an index, or the end beyond which it is. */
static wg_tensor neighbour(wg_tensor x, int axis, wg_tensor index, int shift)
{
    wg_tensor last = wg__constant(index, (double)(wg_size(x, axis) - 1)), zero = wg__constant(index, 0);
    wg_tensor place = wg_minimum(wg_maximum(wg_add_scalar(index, shift), zero), last);
    return wg_index_select(x, axis, place);
}

/* Keys' kernel with a = -3/4 at the distances 1 + t, t, 1 - t, 2 - t, as polynomials of t. */
static wg_tensor resize_cubic(wg_tensor x, int axis, wg_tensor index, wg_tensor t)
{
    static const double weight[4][4] = {
        {0, -0.75, 1.5, -0.75}, {1, 0, -2.25, 1.25}, {0, 0.75, 1.5, -1.25}, {0, 0, -0.75, 0.75}};
    wg_tensor part[4];
    for (int k = 0; k < 4; k++)
        part[k] = wg_mul(neighbour(x, axis, index, k - 1), as_factor(x, cubic(t, weight[k]), axis));
    return wg_add_n(part, 4);
}

wg_tensor wg_resize(wg_tensor x, int axis, int64_t size, wg_resize_mode mode)
{
    if (!along(x, &axis, size, "resize")) return wg__nil_of(x);
    if ((unsigned)mode > WG_RESIZE_CUBIC_CORNERS)
        return wg_fail(x, WG_ERR_ARGUMENT, "resize", "mode %d is none of wg_resize_mode", (int)mode);
    wg_tensor at = positions(x, wg_size(x, axis), size, mode), left = wg_floor(at), index = wg_cast(left, WG_I32);
    wg_tensor t = wg_sub(at, left);
    if (mode == WG_RESIZE_CUBIC || mode == WG_RESIZE_CUBIC_CORNERS) return resize_cubic(x, axis, index, t);
    wg_tensor first = wg_index_select(x, axis, index);
    if (mode == WG_RESIZE_NEAREST || mode == WG_RESIZE_NEAREST_EXACT) return first;
    return wg_lerp(first, neighbour(x, axis, index, 1), as_factor(x, t, axis));
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
        return wg__refuse(x, WG_ERR_SHAPE, op, "axis %d to %lld: at most %d, from at most 2^31 - 1", axis,
                          (long long)m, MOST);
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

/* Adds each window at its place, by the index of each of its elements. */
wg_tensor wg_fold(wg_tensor x, int axis, int64_t n, int64_t step)
{
    wg_shape shape;
    if (!wg__float(x, "fold") || !wg__axis(x, &axis, "fold") || !wg__shape(x, &shape, "fold")) return wg__nil_of(x);
    const int last = shape.rank - 1;
    const int64_t count = shape.size[axis], size = shape.size[last];
    int64_t reach;
    if (axis == last) return wg__refuse(x, WG_ERR_SHAPE, "fold", "the last axis is that of a window's elements");
    if (step < 1 || n < 0 || n > INT32_MAX || __builtin_mul_overflow(count > 0 ? count - 1 : 0, step, &reach) ||
        (count > 0 && reach > n - size))
        return wg__refuse(
            x, WG_ERR_ARGUMENT, "fold",
            "%lld windows of %lld with step %lld >= 1 do not fit into %lld elements, at most 2^31 - 1",
            (long long)count, (long long)size, (long long)step, (long long)n);
    wg_tensor first = wg_arange(x.tape, WG_I32, 0, (double)step, count), k = wg_arange(x.tape, WG_I32, 0, 1, size);
    wg_tensor index = wg_reshape(wg_add(wg_unsqueeze(first, 1), k), WG_DIMS(count * size));
    wg_axes order = {.n = shape.rank}; /* the elements of a window after its axis */
    for (int i = 0; i < shape.rank; i++) order.axis[i] = i <= axis ? i : i == axis + 1 ? last : i - 1;
    wg_tensor rows = wg_flatten(wg_permute(x, order), axis, axis + 1);
    return wg__index_add(index, rows, axis, n);
}
