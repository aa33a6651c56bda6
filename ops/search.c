/* Places in sorted rows, counts, and numbers of a rank. */
#include "internal.h"

#include <math.h>

#include "kernels/move/move.h"
#include "kernels/kernels.h"

/* ---- searchsorted ------------------------------------------------------------------------------------------------ */

static wg_status search_infer(wg_infer *c)
{
    const wg_shape *sorted = &c->in[0], *values = &c->in[1];
    wg_status status = wg__infer_float(c, 0);
    if (status) return status;
    if (c->dtype_in[0] != c->dtype_in[1])
        return wg_infer_fail(c, WG_ERR_DTYPE, "%s and %s differ; there is no promotion, use wg_cast",
                             wg_dtype_name(c->dtype_in[0]), wg_dtype_name(c->dtype_in[1]));
    bool fits = sorted->rank == 1 || (sorted->rank > 1 && sorted->rank == values->rank);
    for (int i = 0; fits && i + 1 < sorted->rank; i++) fits = sorted->size[i] == values->size[i];
    if (!fits)
        return wg_infer_fail(c, WG_ERR_SHAPE,
                             "the sorted numbers must be [n], or have the values' sizes but the last");
    if (sorted->size[sorted->rank - 1] > INT32_MAX)
        return wg_infer_fail(c, WG_ERR_SHAPE, "an index does not fit into i32");
    c->out = *values;
    c->dtype = WG_I32;
    return WG_OK;
}

WG__SELECT(search_select, wg__kernel_get(WG__KERNEL_searchsorted, in[0]))

static const wg_op searchsorted = {.struct_size = sizeof(wg_op),
                                   .name = "searchsorted",
                                   .min_in = 2,
                                   .max_in = 2,
                                   .flags = WG_OP_NO_GRADIENT,
                                   .infer = search_infer,
                                   .select = search_select,
                                   .tasks = wg__bytes_tasks};

const wg_op *const wg__search_ops[] = {&searchsorted, NULL};

wg_tensor wg_searchsorted(wg_tensor sorted, wg_tensor values, bool right)
{
    wg__search_attr attr = {.right = right};
    return wg_record(&searchsorted, (wg_tensor[]){sorted, values}, 2, &attr, sizeof attr);
}

/* ---- bincount ---------------------------------------------------------------------------------------------------- */

/* Counted in f64, which is exact. */
wg_tensor wg_bincount(wg_tensor index, int64_t bins)
{
    wg_shape shape;
    int64_t n;
    if (!wg__shape(index, &shape, "bincount")) return wg__nil_of(index);
    if (wg_dtype_get(index) != WG_I32)
        return wg__refuse(index, WG_ERR_DTYPE, "bincount", "the index is %s: must be i32",
                          wg_dtype_name(wg_dtype_get(index)));
    if (bins < 0 || bins > INT32_MAX || !wg_shape_numel(&shape, &n) || n > INT32_MAX)
        return wg__refuse(index, WG_ERR_ARGUMENT, "bincount", "%lld bins: they, and indices, must be 0 to 2^31 - 1",
                          (long long)bins);
    wg_tensor ones = wg_full(index.tape, WG_F64, WG_DIMS(n), 1);
    return wg_cast(wg__index_add(wg_reshape(index, WG_DIMS(n)), ones, 0, bins), WG_I32);
}

/* ---- numbers of a rank ------------------------------------------------------------------------------------------- */

/* Whether x is a float with elements along the axis; *axis then counts from 0. */
static bool along(wg_tensor x, int *axis, const char *op)
{
    if (!wg__float(x, op) || !wg__axis(x, axis, op)) return false;
    if (wg_size(x, *axis) > 0) return true;
    wg__refuse(x, WG_ERR_SHAPE, op, "axis %d has no elements", *axis);
    return false;
}

/* Element k of an axis. */
static wg_tensor element(wg_tensor x, int axis, int64_t k, bool keep)
{
    return keep ? wg_slice(x, axis, k, k + 1) : wg_select(x, axis, k);
}

/* The result; NaN for what has a NaN along the axis. */
static wg_tensor or_nan(wg_tensor result, wg_tensor x, int axis, bool keep)
{
    wg_tensor any = wg_any(wg_not_equal(x, x), WG_AXES(axis), keep);
    return wg_where(any, wg__constant(x, NAN), result);
}

/* The k-th smallest number, k <= INT32_MAX */
static wg_tensor smallest(wg_tensor x, int64_t k, int axis, bool keep)
{
    return element(wg_topk(x, (int)k, axis, false, NULL), axis, k - 1, keep);
}

wg_tensor wg_kthvalue(wg_tensor x, int64_t k, int axis, bool keep)
{
    if (!along(x, &axis, "kthvalue")) return wg__nil_of(x);
    if (k < 1 || k > wg_size(x, axis) || k > INT32_MAX)
        return wg__refuse(x, WG_ERR_ARGUMENT, "kthvalue", "k = %lld is not in 1 .. %lld, the size of the axis",
                          (long long)k, (long long)wg_size(x, axis));
    return smallest(x, k, axis, keep);
}

wg_tensor wg_median(wg_tensor x, int axis, bool keep)
{
    if (!along(x, &axis, "median")) return wg__nil_of(x);
    const int64_t k = (wg_size(x, axis) + 1) / 2;
    if (k > INT32_MAX) return wg__refuse(x, WG_ERR_SHAPE, "median", "an index does not fit into i32");
    return or_nan(smallest(x, k, axis, keep), x, axis, keep);
}

wg_tensor wg_quantile(wg_tensor x, double q, int axis, bool keep)
{
    if (!along(x, &axis, "quantile")) return wg__nil_of(x);
    if (!(q >= 0 && q <= 1)) return wg__refuse(x, WG_ERR_ARGUMENT, "quantile", "q = %g is not in [0, 1]", q);
    const double at = q * (double)(wg_size(x, axis) - 1), low = floor(at), high = ceil(at);
    wg_tensor sorted = wg_sort(x, axis, false), below = element(sorted, axis, (int64_t)low, keep);
    if (high > low) below = wg_lerp(below, element(sorted, axis, (int64_t)high, keep), wg__constant(x, at - low));
    return or_nan(below, x, axis, keep);
}
