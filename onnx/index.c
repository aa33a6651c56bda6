/* Reading and writing by index. Indices are i32; a negative one counts from the end. */
#include "internal.h"

/* Indices of an axis of n elements, 0 .. n - 1: known ones on the host, others on the tape. */
static wg_tensor positive(wg__call *c, int k, int64_t n)
{
    const wg__known_item *index = wg__in(c, k);
    int64_t count;
    if (!index->host) {
        const wg_tensor i = wg__tensor(c, k);
        return wg_where(wg_less(i, wg_scalar(c->tape, WG_I32, 0)), wg_add_scalar(i, (double)n), i);
    }
    wg_shape_numel(&index->shape, &count);
    double *out = wg__numbers_new(c, &index->shape);
    for (int64_t i = 0; out && i < count; i++)
        out[i] = index->host[i] < 0 ? index->host[i] + (double)n : index->host[i];
    return out ? wg__data_of(c, index->shape, out, WG__INT64) : WG_NONE;
}

/* Whether each index is one of an axis of n elements. */
static wg_tensor are_of_axis(wg__call *c, wg_tensor index, int64_t n)
{
    const wg_tensor least = wg_scalar(c->tape, WG_I32, -(double)n), end = wg_scalar(c->tape, WG_I32, (double)n);
    return wg_logical_and(wg_greater_equal(index, least), wg_less(index, end));
}

/* Numbers of rows or elements; -1, which the program refuses, where an index of theirs is none. */
static wg_tensor checked(wg__call *c, wg_tensor number, wg_tensor valid)
{
    return wg_where(valid, number, wg_scalar(c->tape, WG_I32, -1));
}

/* Sizes of a and b one after the other; rank -1 if there are too many. */
static wg_shape joined(const int64_t *a, int n_a, const int64_t *b, int n_b, const int64_t *rest, int n_rest)
{
    int64_t size[3 * WG_MAX_RANK];
    int n = 0;
    for (int i = 0; i < n_a; i++) size[n++] = a[i];
    for (int i = 0; i < n_b; i++) size[n++] = b[i];
    for (int i = 0; i < n_rest; i++) size[n++] = rest[i];
    return wg_shape_of(n, size);
}

static int64_t product(const int64_t *size, int n)
{
    int64_t y = 1;
    for (int i = 0; i < n; i++) y *= size[i];
    return y;
}

/* ---- Gather ---- */

static bool known_gather(wg__call *c, int axis, const wg_shape *shape)
{
    const wg__known_item *x = wg__in(c, 0), *index = wg__in(c, 1);
    if (!x->host || !index->host || !wg__keep_known(c, shape)) return false;
    const int64_t n = x->shape.size[axis], outer = product(x->shape.size, axis);
    const int64_t inner = product(x->shape.size + axis + 1, x->shape.rank - axis - 1);
    int64_t count, all;
    wg_shape_numel(&index->shape, &count);
    double *out = wg__numbers_new(c, shape), *at = out;
    wg_shape_numel(shape, &all);
    for (int64_t o = 0; out && all > 0 && o < outer; o++)
        for (int64_t i = 0; i < count; i++) {
            const double number = index->host[i] < 0 ? index->host[i] + (double)n : index->host[i];
            if (!(number >= 0 && number < (double)n)) {
                wg__call_fail(c, WG_ERR_INDEX, "index %.0f of an axis of %lld", index->host[i], (long long)n);
                return true;
            }
            for (int64_t k = 0; k < inner; k++) *at++ = x->host[(o * n + (int64_t)number) * inner + k];
        }
    wg__set_known(c, 0, *shape, out, x->type);
    return true;
}

static void record_gather(wg__call *c)
{
    const wg_shape x = wg__shape_of(c, 0), index = wg__shape_of(c, 1);
    const int axis = wg__call_axis(c, wg__attribute_int(c->node, "axis", 0), x.rank);
    if (wg__call_failed(c)) return;
    const wg_shape shape = joined(x.size, axis, index.size, index.rank, x.size + axis + 1, x.rank - axis - 1);
    if (known_gather(c, axis, &shape)) return;
    const wg_tensor y = wg__tensor(c, 0), i = positive(c, 1, x.size[axis]);
    const wg_tensor flat = index.rank == 1 ? i : wg_reshape(i, WG_DIMS(wg_numel(i)));
    const wg_tensor z = wg_index_select(y, axis, flat);
    wg__set(c, 0, index.rank == 1 ? z : wg_reshape(z, shape), wg__type_of(c, 0));
}

/* ---- GatherElements, GatherND ---- */

static void record_gather_elements(wg__call *c)
{
    wg_tensor x = wg__tensor(c, 0);
    const wg_shape shape = wg_shape_get(x), index = wg__shape_of(c, 1);
    const int axis = wg__call_axis(c, wg__attribute_int(c->node, "axis", 0), shape.rank);
    if (wg__call_failed(c)) return;
    if (index.rank != shape.rank) {
        wg__call_fail(c, WG_ERR_SHAPE, "indices of %d axes for %d: they have as many", index.rank, shape.rank);
        return;
    }
    for (int i = 0; i < shape.rank; i++)
        if (i != axis && index.size[i] < shape.size[i]) x = wg_slice(x, i, 0, index.size[i]);
    wg__set(c, 0, wg_gather(x, axis, positive(c, 1, shape.size[axis])), wg__type_of(c, 0));
}

/* Rows of an operand by tuples of indices: the number of a row among those of the first `lead` axes. */
typedef struct rows {
    int lead;             /* batch axes and indexed ones */
    int64_t count, inner; /* rows; elements of a row */
    wg_tensor index;      /* [n]: the row's number of each tuple */
} rows;

/* index[..., k]: k indices each of the axes after the batch axes. False with an error. */
static bool rows_of(wg__call *c, const wg_shape *x, int batch, rows *r)
{
    const wg_shape index = wg__shape_of(c, 1);
    const int64_t k = index.rank > 0 ? index.size[index.rank - 1] : 0;
    if (k < 1 || batch < 0 || batch + k > x->rank || batch >= index.rank) {
        wg__call_fail(c, WG_ERR_SHAPE, "indices do not fit an operand of %d axes", x->rank);
        return false;
    }
    r->lead = batch + (int)k;
    r->count = product(x->size, r->lead);
    r->inner = product(x->size + r->lead, x->rank - r->lead);
    const int64_t tuples = product(index.size, index.rank - 1), batches = product(x->size, batch);
    if (r->count > INT32_MAX) {
        wg__call_fail(c, WG_ERR_SHAPE, "%lld rows: %d at most are known", (long long)r->count, INT32_MAX);
        return false;
    }
    const wg_tensor all = wg_reshape(wg__tensor(c, 1), WG_DIMS(tuples, k));
    wg_tensor at = wg_scalar(c->tape, WG_I32, 0), valid = wg_full(c->tape, WG_BOOL, WG_SCALAR, 1);
    for (int i = 0; i < k; i++) {
        const int64_t n = x->size[batch + i];
        wg_tensor one = wg_select(all, 1, i);
        valid = wg_logical_and(valid, are_of_axis(c, one, n));
        one = wg_where(wg_less(one, wg_scalar(c->tape, WG_I32, 0)), wg_add_scalar(one, (double)n), one);
        at = wg_add(wg_scale(at, (double)n), one);
    }
    if (batches > 1) {
        const wg_tensor first = wg_arange(c->tape, WG_I32, 0, (double)(r->count / batches), batches);
        at = wg_add(wg_reshape(at, WG_DIMS(batches, tuples / batches)), wg_unsqueeze(first, 1));
    }
    r->index = checked(c, wg_reshape(at, WG_DIMS(tuples)), valid);
    return !wg__call_failed(c);
}

static void record_gather_nd(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    const wg_shape shape = wg_shape_get(x), index = wg__shape_of(c, 1);
    const int64_t batch = wg__attribute_int(c->node, "batch_dims", 0);
    rows r;
    if (!rows_of(c, &shape, batch < 0 || batch > WG_MAX_RANK ? -1 : (int)batch, &r)) return;
    const wg_tensor y = wg_index_select(wg_reshape(x, WG_DIMS(r.count, r.inner)), 0, r.index);
    const wg_shape out = joined(index.size, index.rank - 1, shape.size + r.lead, shape.rank - r.lead, NULL, 0);
    wg__set(c, 0, wg_reshape(y, out), wg__type_of(c, 0));
}

/* ---- Scatter, ScatterElements, ScatterND ---- */

/* The texts of `reduction`, in their order. */
#define REDUCTION "reduction=s:none|add|mul|max|min"
enum { NONE };
static const wg_scatter_mode reductions[] = {[1] = WG_SCATTER_SUM, WG_SCATTER_PROD, WG_SCATTER_MAX, WG_SCATTER_MIN};

/* x with elements by index of axis 0 replaced by those of `source`, or combined with them: integers and bool as f64,
 * which holds all i32. */
static wg_tensor scatter(wg__call *c, wg_tensor x, wg_tensor index, wg_tensor source)
{
    const int which = wg__attribute_choice(c->node, "reduction", NONE);
    const wg_dtype dtype = wg_dtype_get(x);
    if (which == NONE) return wg_scatter(x, 0, index, source);
    if (wg_dtype_is_float(dtype)) return wg_scatter_reduce(x, 0, index, source, reductions[which], true);
    const wg_tensor y =
        wg_scatter_reduce(wg_cast(x, WG_F64), 0, index, wg_cast(source, WG_F64), reductions[which], true);
    return wg_cast(y, dtype);
}

/* The number of each updated element among all of x: its coordinates, but the index along the axis. */
static void record_scatter_elements(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    const wg_shape shape = wg_shape_get(x), index = wg__shape_of(c, 1);
    const int axis = wg__call_axis(c, wg__attribute_int(c->node, "axis", 0), shape.rank);
    int64_t stride[WG_MAX_RANK] = {0}, numel;
    wg_shape_numel(&shape, &numel);
    if (wg__call_failed(c)) return;
    if (index.rank != shape.rank || numel > INT32_MAX) {
        wg__call_fail(c, WG_ERR_SHAPE,
                      "indices of %d axes for %lld elements of %d: axes are as many, and elements are %d at most",
                      index.rank, (long long)numel, shape.rank, INT32_MAX);
        return;
    }
    wg__strides_of(&shape, stride);
    wg_tensor at = wg_scale(positive(c, 1, shape.size[axis]), (double)stride[axis]);
    for (int i = 0; i < shape.rank; i++) {
        wg_shape line = {.rank = shape.rank};
        for (int k = 0; k < shape.rank; k++) line.size[k] = k == i ? index.size[i] : 1;
        if (i != axis)
            at = wg_add(at, wg_reshape(wg_arange(c->tape, WG_I32, 0, (double)stride[i], index.size[i]), line));
    }
    at = checked(c, at, are_of_axis(c, wg__tensor(c, 1), shape.size[axis]));
    const wg_shape flat = WG_DIMS(numel), count = WG_DIMS(wg_numel(at));
    const wg_tensor y = scatter(c, wg_reshape(x, flat), wg_reshape(at, count), wg_reshape(wg__tensor(c, 2), count));
    wg__set(c, 0, wg_reshape(y, shape), wg__type_of(c, 0));
}

static void record_scatter_nd(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    const wg_shape shape = wg_shape_get(x);
    rows r;
    if (!rows_of(c, &shape, 0, &r)) return;
    const wg_shape wide = WG_DIMS(wg_numel(r.index), r.inner);
    const wg_tensor index = wg_expand(wg_unsqueeze(r.index, 1), wide);
    const wg_tensor y =
        scatter(c, wg_reshape(x, WG_DIMS(r.count, r.inner)), index, wg_reshape(wg__tensor(c, 2), wide));
    wg__set(c, 0, wg_reshape(y, shape), wg__type_of(c, 0));
}

/* ---- TensorScatter: steps of a cache replaced, from a place on that each sample has for itself ---- */

static void record_tensor_scatter(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0), update = wg__tensor(c, 1);
    const wg_shape cache = wg_shape_get(x), shape = wg_shape_get(update);
    const int axis = wg__call_axis(c, wg__attribute_int(c->node, "axis", -2), cache.rank);
    bool fits = axis > 0 && shape.rank == cache.rank;
    for (int i = 0; fits && i < cache.rank; i++)
        fits = i == axis ? shape.size[i] <= cache.size[i] : shape.size[i] == cache.size[i];
    if (wg__call_failed(c)) return;
    if (!fits) {
        wg__call_fail(c, WG_ERR_SHAPE, "the update does not fit the cache along axis %d, which is not 0", axis);
        return;
    }
    wg_shape line = {.rank = shape.rank};
    for (int i = 0; i < line.rank; i++) line.size[i] = i == axis ? shape.size[i] : 1;
    wg_tensor at = wg_reshape(wg_arange(c->tape, WG_I32, 0, 1, shape.size[axis]), line);
    for (int i = 0; i < line.rank; i++) line.size[i] = i == 0 ? shape.size[0] : 1;
    if (wg__has(c, 2)) at = wg_add(at, wg_reshape(wg__tensor(c, 2), line));
    if (wg__attribute_is(c->node, "mode", "circular", "linear")) {
        const wg_tensor step = wg_cast(at, WG_F64); /* which holds all i32 */
        at = wg_cast(wg_mod(step, wg__scalar_like(c, step, (double)cache.size[axis])), WG_I32);
    }
    wg__set(c, 0, wg_scatter(x, axis, wg_expand(at, shape), update), wg__type_of(c, 0));
}

const wg__onnx_row wg__onnx_index[] = {
    {"Gather", record_gather, 6, 2, 2, "axis=i", 0, WG__ON_HOST},
    {"GatherElements", record_gather_elements, 11, 2, 2, "axis=i"},
    {"GatherND", record_gather_nd, 11, 2, 2, "batch_dims=i"},
    {"Scatter", record_scatter_elements, 9, 3, 3, "axis=i"},
    {"ScatterElements", record_scatter_elements, 11, 3, 3, "axis=i " REDUCTION},
    {"ScatterND", record_scatter_nd, 11, 3, 3, REDUCTION},
    {"TensorScatter", record_tensor_scatter, 24, 2, 3, "axis=i mode=s:linear|circular"},
    {NULL},
};
