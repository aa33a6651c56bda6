/* Reductions of the rows of segments, and bags of embeddings: compositions of lookups and of adding by index. */
#include "internal.h"

/* ---- segments ---------------------------------------------------------------------------------------------------- */

/* For each of n positions the number of marks at it or before it, less `first`. Counted in f64, which is exact. */
static wg_tensor count_marks(wg_tensor marks, int64_t n, int first)
{
    wg_tensor ones = wg_full(marks.tape, WG_F64, wg_shape_get(marks), 1);
    wg_tensor counts = wg_cumsum(wg__index_add(marks, ones, 0, n + 1), 0); /* a mark may be at the end */
    return wg_sub_scalar(wg_cast(wg_slice(counts, 0, 0, n), WG_I32), first);
}

static bool are_marks(wg_tensor marks, int64_t n, const char *op)
{
    wg_shape shape;
    if (!wg__shape(marks, &shape, op)) return false;
    if (shape.rank == 1 && wg_dtype_get(marks) == WG_I32 && n >= 0 && n < INT32_MAX) return true;
    wg__refuse(marks, WG_ERR_SHAPE, op, "must be i32 [segments], and %lld positions 0 to 2^31 - 2", (long long)n);
    return false;
}

/* Marks that are no index where they must not be, so that the program stops there: also where mark number `end` is not
 * `value`. */
static wg_tensor spoil(wg_tensor marks, wg_tensor wrong, int64_t end, int64_t value)
{
    const wg_tensor at_end =
        wg_equal(wg_arange(marks.tape, WG_I32, 0, 1, wg_size(marks, 0)), wg__constant(marks, (double)end));
    wrong = wg_logical_or(wrong, wg_logical_and(at_end, wg_not_equal(marks, wg__constant(marks, (double)value))));
    return wg_where(wrong, wg__constant(marks, -1), marks);
}

wg_tensor wg_segments_by_offsets(wg_tensor offsets, int64_t n)
{
    if (!are_marks(offsets, n, "segments_by_offsets")) return wg__nil_of(offsets);
    wg_tensor most = wg_cast(wg_cummax(wg_cast(offsets, WG_F64), 0), WG_I32);
    return count_marks(spoil(offsets, wg_less(offsets, most), 0, 0), n, 1);
}

wg_tensor wg_segments_by_lengths(wg_tensor lengths, int64_t n)
{
    if (!are_marks(lengths, n, "segments_by_lengths")) return wg__nil_of(lengths);
    wg_tensor ends = wg_cast(wg_cumsum(wg_cast(lengths, WG_F64), 0), WG_I32);
    const wg_tensor wrong = wg_less(lengths, wg__constant(lengths, 0));
    return count_marks(spoil(ends, wrong, wg_size(lengths, 0) - 1, n), n, 0);
}

/* The number of rows of each segment, in x's dtype, so that it broadcasts to the result. */
static wg_tensor rows_of_segments(wg_tensor x, wg_tensor index, int64_t segments)
{
    wg_tensor ones = wg_full(x.tape, wg_dtype_get(x), wg_shape_get(index), 1);
    return wg__along(wg__index_add(index, ones, 0, segments), 0, wg_rank(x));
}

static wg_tensor segment_extreme(wg_tensor x, wg_tensor index, int64_t segments, bool largest)
{
    wg_tensor place = wg__extreme_rows(x, index, segments, largest);
    if (wg_size(x, 0) == 0) return wg_cast(wg_zeros_like(place), wg_dtype_get(x));
    wg_tensor found = wg_gather(x, 0, wg__readable_place(place));
    return wg_where(wg__is_place(place), found, wg__constant(x, 0));
}

static wg_tensor segment_prod(wg_tensor x, wg_tensor index, int64_t segments)
{
    wg_shape shape = wg_shape_get(x), result = shape;
    result.size[0] = segments;
    wg_tensor each = wg_expand(wg__along(index, 0, shape.rank), shape);
    return wg__scatter_prod(wg_full(x.tape, wg_dtype_get(x), result, 1), 0, each, x);
}

wg_tensor wg_segment_reduce(wg_tensor x, wg_tensor index, int64_t segments, wg_scatter_mode mode)
{
    static const char *const op = "segment_reduce";
    wg_shape shape, by;
    if (!wg__both_set(x, index, op) || !wg__float(x, op) || !wg__is_scatter_mode(x, mode, op))
        return wg__nil_of_both(x, index);
    if (!wg__shape(x, &shape, op) || !wg__shape(index, &by, op)) return wg__nil_of(x);
    if (wg_dtype_get(index) != WG_I32)
        return wg__refuse(x, WG_ERR_DTYPE, op, "the index is %s: must be i32", wg_dtype_name(wg_dtype_get(index)));
    if (shape.rank < 1 || by.rank != 1 || by.size[0] != shape.size[0])
        return wg__refuse(x, WG_ERR_SHAPE, op, "x must be [n, ...] and the index [n]");
    if (segments < 0 || segments > INT32_MAX)
        return wg__refuse(x, WG_ERR_ARGUMENT, op, "%lld segments: must be 0 to 2^31 - 1", (long long)segments);
    if (mode == WG_SCATTER_PROD) return segment_prod(x, index, segments);
    if (mode == WG_SCATTER_MAX || mode == WG_SCATTER_MIN)
        return segment_extreme(x, index, segments, mode == WG_SCATTER_MAX);
    wg_tensor sum = wg__index_add(index, x, 0, segments);
    if (mode == WG_SCATTER_SUM) return sum;
    return wg_div(sum, wg_maximum(rows_of_segments(x, index, segments), wg__constant(x, 1)));
}

/* ---- bags -------------------------------------------------------------------------------------------------------- */

/* Bags of equal sizes: rows [bags, n, d]. Of equal extremes the first one has the gradient, as in other bags. */
static wg_tensor equal_bags(wg_tensor rows, wg_scatter_mode mode)
{
    if (mode == WG_SCATTER_PROD) return wg_prod(rows, WG_AXES(1), false);
    if (mode == WG_SCATTER_SUM || wg_size(rows, 1) == 0) return wg_sum(rows, WG_AXES(1), false);
    if (mode == WG_SCATTER_MEAN) return wg_mean(rows, WG_AXES(1), false);
    const wg_tensor best = mode == WG_SCATTER_MAX ? wg_argmax(rows, 1, true) : wg_argmin(rows, 1, true);
    return wg_squeeze(wg_gather(rows, 1, best), 1);
}

/* Whether the operands are set and the index has `axes` axes. */
static bool is_bag(wg_tensor weight, wg_tensor index, wg_tensor marks, int axes, wg_scatter_mode mode,
                   const char *op)
{
    wg_shape shape;
    if (!wg__both_set(weight, index, op) || !wg__is_scatter_mode(weight, mode, op)) return false;
    if (axes == 1 && !wg__both_set(weight, marks, op)) return false;
    if (!wg__float(weight, op) || !wg__shape(index, &shape, op)) return false;
    if (shape.rank == axes) return true;
    wg__refuse(index, WG_ERR_SHAPE, op, "the index must be %s",
               axes == 1 ? "[n]" : "[bags, n] if there are no offsets");
    return false;
}

wg_tensor wg_embedding_bag(wg_tensor weight, wg_tensor index, wg_tensor offsets, wg_scatter_mode mode)
{
    const bool flat = offsets.tape || wg_rank(index) == 1;
    if (!is_bag(weight, index, offsets, flat ? 1 : 2, mode, "embedding_bag")) return wg__nil_of(weight);
    wg_tensor rows = wg_embedding(weight, index);
    if (!flat) return equal_bags(rows, mode);
    wg_tensor segment = wg_segments_by_offsets(offsets, wg_size(index, 0));
    return wg_segment_reduce(rows, segment, wg_size(offsets, 0), mode);
}

wg_tensor wg_embedding_bag_lengths(wg_tensor weight, wg_tensor index, wg_tensor lengths, wg_scatter_mode mode)
{
    if (!is_bag(weight, index, lengths, 1, mode, "embedding_bag_lengths")) return wg__nil_of(weight);
    wg_tensor segment = wg_segments_by_lengths(lengths, wg_size(index, 0));
    return wg_segment_reduce(wg_embedding(weight, index), segment, wg_size(lengths, 0), mode);
}
