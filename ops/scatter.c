/* Writing by index: compositions around one op, scatter_arg, that says which element of the source is to be read at
 * each element of the result. So gradients are those of gather and where; an element that is not written has none. */
#include "internal.h"

#include "kernels/move/move.h"
#include "kernels/kernels.h"

/* ---- scatter_arg ------------------------------------------------------------------------------------------------- */

/* Operands index, source. An index with fewer axes than the source is one of rows. */
static wg_status arg_infer(wg_infer *c)
{
    const wg__scatter_arg_attr *attr = c->attr;
    const wg_shape *index = &c->in[0], *source = &c->in[c->in[1].rank >= 0];
    if (c->dtype_in[0] != WG_I32)
        return wg_infer_fail(c, WG_ERR_DTYPE, "the index is %s: must be i32", wg_dtype_name(c->dtype_in[0]));
    if (attr->axis < 0 || attr->axis >= source->rank)
        return wg_infer_fail(c, WG_ERR_SHAPE, "there is no axis %lld", (long long)attr->axis);
    const wg_shape rows = WG_DIMS(source->size[attr->axis]);
    if (!wg_shape_equal(index, source) && !wg_shape_equal(index, &rows))
        return wg_infer_fail(c, WG_ERR_SHAPE, "the index must be [%lld] or have the shape of the source",
                             (long long)rows.size[0]);
    if (rows.size[0] > INT32_MAX) return wg_infer_fail(c, WG_ERR_SHAPE, "a place does not fit into i32");
    c->out = *source;
    c->out.size[attr->axis] = attr->size;
    c->dtype = WG_I32;
    return wg__infer_size(c);
}

WG__SELECT(arg_select, wg__kernel_get(WG__KERNEL_scatter_arg, wg_dtype_is_float(in[1]) ? in[1] : WG_F32))

static const wg_op scatter_arg = {.struct_size = sizeof(wg_op),
                                  .name = "scatter_arg",
                                  .min_in = 1,
                                  .max_in = 2,
                                  .flags = WG_OP_CHECKS_INDEX | WG_OP_NO_GRADIENT,
                                  .infer = arg_infer,
                                  .select = arg_select,
                                  .tasks = wg__scatter_tasks};

const wg_op *const wg__scatter_ops[] = {&scatter_arg, NULL};

/* The place of the element that wins at each element of the result, -1 if nothing is written there. source may be
 * WG_NONE if the last one wins. */
static wg_tensor winner(wg_tensor index, wg_tensor source, int axis, int64_t size, wg__arg_mode mode)
{
    wg__scatter_arg_attr attr = {.axis = axis, .size = size, .mode = mode};
    return wg_record(&scatter_arg, (wg_tensor[]){index, source}, 2, &attr, sizeof attr);
}

wg_tensor wg__extreme_rows(wg_tensor x, wg_tensor index, int64_t size, bool largest)
{
    return winner(index, x, 0, size, largest ? WG__ARG_MAX : WG__ARG_MIN);
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

/* That an index is i32, and x and source have one dtype, and equal sizes except along *axis, then counted from 0. */
static bool written(wg_tensor x, int *axis, wg_tensor index, wg_tensor source, const char *op)
{
    wg_shape to, from, by;
    if (!wg__both_set(x, index, op) || !wg__both_set(x, source, op) || !wg__axis(x, axis, op)) return false;
    if (!wg__shape(source, &from, op) || !wg__shape(index, &by, op)) return false;
    to = wg_shape_get(x);
    if (wg_dtype_get(index) != WG_I32)
        return wg__refuse(x, WG_ERR_DTYPE, op, "the index is %s: must be i32", wg_dtype_name(wg_dtype_get(index))),
               false;
    if (wg_dtype_get(source) != wg_dtype_get(x))
        return wg__refuse(x, WG_ERR_DTYPE, op, "%s and %s differ; there is no promotion, use wg_cast",
                          wg_dtype_name(wg_dtype_get(x)), wg_dtype_name(wg_dtype_get(source))),
               false;
    if (from.rank == to.rank) to.size[*axis] = from.size[*axis];
    if (wg_shape_equal(&from, &to)) return true;
    wg__refuse(x, WG_ERR_SHAPE, op, "the source must have x's sizes except along axis %d", *axis);
    return false;
}

/* The same for an index of elements, of the source's shape. */
static bool by_elements(wg_tensor x, int *axis, wg_tensor index, wg_tensor source, const char *op)
{
    if (!written(x, axis, index, source, op)) return false;
    const wg_shape from = wg_shape_get(source), by = wg_shape_get(index);
    if (wg_shape_equal(&from, &by)) return true;
    wg__refuse(x, WG_ERR_SHAPE, op, "index and source must have the same shape");
    return false;
}

/* The same for an index of rows: as many as the source has along the axis. */
static bool by_rows(wg_tensor x, int *axis, wg_tensor index, wg_tensor source, const char *op)
{
    if (!written(x, axis, index, source, op)) return false;
    const wg_shape by = wg_shape_get(index);
    if (by.rank == 1 && by.size[0] == wg_size(source, *axis)) return true;
    wg__refuse(x, WG_ERR_SHAPE, op, "the index must be [%lld], the size of the source along axis %d",
               (long long)wg_size(source, *axis), *axis);
    return false;
}

bool wg__is_scatter_mode(wg_tensor x, wg_scatter_mode mode, const char *op)
{
    if ((unsigned)mode <= WG_SCATTER_PROD) return true;
    wg_fail(x, WG_ERR_ARGUMENT, op, "mode %d is none of wg_scatter_mode", (int)mode);
    return false;
}

/* ---- set --------------------------------------------------------------------------------------------------------- */

wg_tensor wg__is_place(wg_tensor place) { return wg_greater_equal(place, wg__constant(place, 0)); }
wg_tensor wg__readable_place(wg_tensor place) { return wg_maximum(place, wg__constant(place, 0)); }

wg_tensor wg_scatter(wg_tensor x, int axis, wg_tensor index, wg_tensor source)
{
    if (!by_elements(x, &axis, index, source, "scatter")) return wg__nil_of(x);
    if (wg_size(source, axis) == 0) return wg__same(x);
    wg_tensor place = winner(index, WG_NONE, axis, wg_size(x, axis), WG__ARG_LAST);
    return wg_where(wg__is_place(place), wg_gather(source, axis, wg__readable_place(place)), x);
}

wg_tensor wg_index_copy(wg_tensor x, int axis, wg_tensor index, wg_tensor source)
{
    if (!by_rows(x, &axis, index, source, "index_copy")) return wg__nil_of(x);
    if (wg_size(source, axis) == 0) return wg__same(x);
    wg_tensor place = winner(index, WG_NONE, 0, wg_size(x, axis), WG__ARG_LAST);
    wg_tensor rows = wg_index_select(source, axis, wg__readable_place(place));
    return wg_where(wg__along(wg__is_place(place), axis, wg_rank(x)), rows, x);
}

wg_tensor wg_index_add(wg_tensor x, int axis, wg_tensor index, wg_tensor source)
{
    if (!by_rows(x, &axis, index, source, "index_add") || !wg__both_float(x, source, "index_add"))
        return wg__nil_of(x);
    return wg__index_add_to(x, axis, index, source);
}

/* ---- index_put --------------------------------------------------------------------------------------------------- */

/* The position of each index tuple in the first n axes of x; -1, which is reported, if one of it is out of range. */
static wg_tensor flat_index(wg_tensor x, const wg_tensor *index, int n)
{
    wg_tensor flat = index[0], inside = WG_NONE;
    for (int i = 0; i < n; i++) {
        wg_tensor zero = wg__constant(index[i], 0), size = wg__constant(index[i], (double)wg_size(x, i));
        wg_tensor fits = wg_logical_and(wg_greater_equal(index[i], zero), wg_less(index[i], size));
        inside = i ? wg_logical_and(inside, fits) : fits;
        if (i) flat = wg_add(wg_mul(flat, size), index[i]);
    }
    return wg_where(inside, flat, wg__constant(flat, -1));
}

/* The shapes of the indices broadcast; false, with an error, if they cannot, or one is not i32. */
static bool index_shape(wg_tensor x, const wg_tensor *index, int n, wg_shape *shape, const char *op)
{
    *shape = WG_SCALAR;
    for (int i = 0; i < n; i++) {
        wg_shape one, outer = *shape;
        if (!wg__both_set(x, index[i], op) || !wg__shape(index[i], &one, op)) return false;
        if (wg_dtype_get(index[i]) != WG_I32)
            return wg__refuse(x, WG_ERR_DTYPE, op, "index %d is %s: must be i32", i,
                              wg_dtype_name(wg_dtype_get(index[i]))),
                   false;
        if (!wg_shape_broadcast(&outer, &one, shape))
            return wg__refuse(x, WG_ERR_SHAPE, op, "the shape of index %d does not broadcast to the others'", i),
                   false;
    }
    return true;
}

/* The first n sizes of `first` as one, and then the sizes of `rest` after its first `from`. */
static bool join_sizes(const wg_shape *first, int n, const wg_shape *rest, int from, wg_shape *shape)
{
    const wg_shape head = wg_shape_of(n, first->size);
    *shape = (wg_shape){.rank = 1};
    if (!wg_shape_numel(&head, &shape->size[0]) || shape->size[0] > INT32_MAX) return false;
    for (int i = from; i < rest->rank; i++) shape->size[shape->rank++] = rest->size[i];
    return true;
}

wg_tensor wg_index_put(wg_tensor x, const wg_tensor *index, int n, wg_tensor values, bool accumulate)
{
    static const char *const op = "index_put";
    wg_shape to, by, from, rows, put;
    if (!wg__both_set(x, values, op) || !wg__shape(x, &to, op) || !wg__shape(values, &from, op))
        return wg__nil_of_both(x, values);
    if (!index || n < 1 || n > to.rank)
        return wg__refuse(x, WG_ERR_ARGUMENT, op, "%d indices: must be 1 to %d, the axes of x", n, to.rank);
    if (!index_shape(x, index, n, &by, op)) return wg__nil_of(x);
    if (!join_sizes(&to, n, &to, n, &rows) || !join_sizes(&by, by.rank, &to, n, &put))
        return wg__refuse(x, WG_ERR_SHAPE, op,
                          "the indexed axes have, or the index has, more than 2^31 - 1 elements");
    if (by.rank + to.rank - n > WG_MAX_RANK)
        return wg__refuse(x, WG_ERR_SHAPE, op, "the values would have more than %d axes", WG_MAX_RANK);
    wg_shape whole = by;
    for (int i = n; i < to.rank; i++) whole.size[whole.rank++] = to.size[i];
    if (!wg_shape_broadcast(&whole, &from, &from) || !wg_shape_equal(&whole, &from))
        return wg__refuse(x, WG_ERR_SHAPE, op,
                          "values must broadcast to the indices' shape and x's axes from %d on", n);
    wg_tensor flat = wg_reshape(flat_index(x, index, n), WG_DIMS(put.size[0]));
    wg_tensor base = wg_reshape(x, rows), source = wg_reshape(wg_expand(values, whole), put);
    return wg_reshape((accumulate ? wg_index_add : wg_index_copy)(base, 0, flat, source), to);
}

/* ---- reduce ------------------------------------------------------------------------------------------------------ */

/* How many elements of the source each element of x receives. */
static wg_tensor received(wg_tensor x, int axis, wg_tensor index, wg_tensor source)
{
    return wg_scatter_add(wg_zeros_like(x), axis, index, wg_ones_like(source));
}

/* x where it is not to be counted: what changes nothing. */
static wg_tensor base_of(wg_tensor x, wg_tensor count, double neutral)
{
    wg_tensor none = wg_equal(count, wg__constant(count, 0));
    return wg_where(none, x, wg__constant(x, neutral));
}

static wg_tensor reduced_sum(wg_tensor x, int axis, wg_tensor index, wg_tensor source, bool mean, bool include)
{
    if (!mean && include) return wg_scatter_add(x, axis, index, source);
    wg_tensor count = received(x, axis, index, source), one = wg__constant(x, 1);
    wg_tensor sum = wg_scatter_add(include ? x : base_of(x, count, 0), axis, index, source);
    if (!mean) return sum;
    return wg_div(sum, include ? wg_add(count, one) : wg_maximum(count, one));
}

static wg_tensor reduced_extreme(wg_tensor x, int axis, wg_tensor index, wg_tensor source, bool largest,
                                 bool include)
{
    if (wg_size(source, axis) == 0) return wg__same(x);
    wg_tensor place = winner(index, source, axis, wg_size(x, axis), largest ? WG__ARG_MAX : WG__ARG_MIN);
    wg_tensor found = wg_gather(source, axis, wg__readable_place(place));
    if (include) found = largest ? wg_maximum(x, found) : wg_minimum(x, found);
    return wg_where(wg__is_place(place), found, x);
}

wg_tensor wg_scatter_reduce(wg_tensor x, int axis, wg_tensor index, wg_tensor source, wg_scatter_mode mode,
                            bool include_self)
{
    const char *op = "scatter_reduce";
    if (!wg__is_scatter_mode(x, mode, op) || !by_elements(x, &axis, index, source, op) ||
        !wg__both_float(x, source, op))
        return wg__nil_of(x);
    if (mode == WG_SCATTER_MAX || mode == WG_SCATTER_MIN)
        return reduced_extreme(x, axis, index, source, mode == WG_SCATTER_MAX, include_self);
    if (mode != WG_SCATTER_PROD) return reduced_sum(x, axis, index, source, mode == WG_SCATTER_MEAN, include_self);
    return wg__scatter_prod(include_self ? x : base_of(x, received(x, axis, index, source), 1), axis, index,
                            source);
}
