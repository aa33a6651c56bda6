/* Reading and adding by index, and masks. Indices are i32; one out of range is reported when the program runs. */
#include "internal.h"

#include "kernels/move/move.h"
#include "kernels/kernels.h"

static wg_status index_dtype(wg_infer *c, int operand)
{
    if (c->dtype_in[operand] == WG_I32) return WG_OK;
    return wg_infer_fail(c, WG_ERR_DTYPE, "the index is %s: must be i32", wg_dtype_name(c->dtype_in[operand]));
}

/* The shape of x with an axis replaced by the axes of the index. */
static wg_status infer_take(wg_infer *c, const wg_shape *x, int64_t axis, const wg_shape *index)
{
    int rank = x->rank - 1 + index->rank;
    if (rank > WG_MAX_RANK)
        return wg_infer_fail(c, WG_ERR_SHAPE, "the result would have %d axes, more than %d", rank, WG_MAX_RANK);
    int64_t size[WG_MAX_RANK];
    int n = 0;
    for (int i = 0; i < axis; i++) size[n++] = x->size[i];
    for (int i = 0; i < index->rank; i++) size[n++] = index->size[i];
    for (int i = (int)axis + 1; i < x->rank; i++) size[n++] = x->size[i];
    c->out = wg_shape_of(rank, size);
    return wg__infer_size(c);
}

WG__SELECT(take_select, wg__take_kernel)

/* ---- index_add: the gradient of embedding and index_select ------------------------------------------- */

/* in0 index[...], in1 grad, in2 base (none: zeros): out = base, then out[index[i]] += grad[i] in the order of i. */
static wg_status index_add_infer(wg_infer *c)
{
    const wg__index_add_attr *attr = c->attr;
    const wg_shape *index = &c->in[0], *grad = &c->in[1];
    wg_status status = index_dtype(c, 0);
    if (status != WG_OK) return status;
    int rank = grad->rank - index->rank + 1, axis = (int)attr->axis;
    bool fits = rank >= 1 && axis < rank;
    for (int i = 0; fits && i < index->rank; i++) fits = grad->size[axis + i] == index->size[i];
    if (!fits)
        return wg_infer_fail(c, WG_ERR_SHAPE, "the gradient must have the sizes of the index at axis %d", axis);
    int64_t size[WG_MAX_RANK];
    for (int i = 0; i < rank; i++) size[i] = grad->size[i <= axis ? i : i + index->rank - 1];
    size[axis] = attr->size;
    c->out = wg_shape_of(rank, size);
    if (c->n_in > 2 && c->in[2].rank >= 0 && !wg_shape_equal(&c->in[2], &c->out))
        return wg_infer_fail(c, WG_ERR_SHAPE, "the base must have the result's shape");
    c->dtype = c->dtype_in[1];
    return wg__infer_size(c);
}

static wg_tensor index_add_vjp(const wg_vjp_args *v, int k);

WG__SELECT(index_add_select, wg__kernel_get(WG__KERNEL_index_add, out))

static const wg_op index_add_op = {.struct_size = sizeof(wg_op),
                                   .name = "index_add",
                                   .min_in = 2,
                                   .max_in = 3,
                                   .flags = WG_OP_CHECKS_INDEX | WG_OP_SMOOTH | WG_OP_ADDS_TO,
                                   .infer = index_add_infer,
                                   .vjp = index_add_vjp,
                                   .select = index_add_select,
                                   .tasks = wg__scatter_tasks,
                                   .scratch = wg__index_add_scratch};

wg_tensor wg__index_add(wg_tensor index, wg_tensor grad, int64_t axis, int64_t size)
{
    wg_tensor in[2] = {index, grad};
    wg__index_add_attr attr = {.axis = axis, .size = size};
    return wg_record(&index_add_op, in, 2, &attr, sizeof attr);
}

wg_tensor wg__index_add_to(wg_tensor x, int axis, wg_tensor index, wg_tensor source)
{
    wg_tensor in[3] = {index, source, x};
    wg__index_add_attr attr = {.axis = axis, .size = wg_size(x, axis)};
    return wg_record(&index_add_op, in, 3, &attr, sizeof attr);
}

/* ---- embedding, index_select ------------------------------------------------------------------------- */

static wg_status embedding_infer(wg_infer *c)
{
    wg_status status = index_dtype(c, 1);
    if (status != WG_OK) return status;
    if (c->in[0].rank != 2) return wg_infer_fail(c, WG_ERR_SHAPE, "the weight must be [v, d]");
    return infer_take(c, &c->in[0], 0, &c->in[1]);
}

static wg_status index_select_infer(wg_infer *c)
{
    wg_status status = index_dtype(c, 1);
    if (status != WG_OK) return status;
    return infer_take(c, &c->in[0], ((const wg__axis_attr *)c->attr)->axis, &c->in[1]);
}

static wg_tensor take_vjp(const wg_vjp_args *v, int k)
{
    int axis = (int)((const wg__axis_attr *)v->attr)->axis;
    return k == 0 ? wg__index_add(v->in[1], v->grad, axis, wg_size(v->in[0], axis)) : WG_NONE;
}

static const wg_op embedding_op = {.struct_size = sizeof(wg_op),
                                   .name = "embedding",
                                   .min_in = 2,
                                   .max_in = 2,
                                   .flags = WG_OP_CHECKS_INDEX | WG_OP_SMOOTH,
                                   .infer = embedding_infer,
                                   .vjp = take_vjp,
                                   .select = take_select,
                                   .tasks = wg__bytes_tasks};
static const wg_op index_select_op = {.struct_size = sizeof(wg_op),
                                      .name = "index_select",
                                      .min_in = 2,
                                      .max_in = 2,
                                      .flags = WG_OP_CHECKS_INDEX | WG_OP_SMOOTH,
                                      .infer = index_select_infer,
                                      .vjp = take_vjp,
                                      .select = take_select,
                                      .tasks = wg__bytes_tasks};

/* Of a parameter in bf16 the rows that are read are widened, and no others. */
static wg_tensor take(const wg_op *op, wg_tensor x, wg_tensor index, int64_t axis)
{
    const wg_tensor narrow = wg__narrow_of(x);
    wg_tensor in[2] = {narrow.tape ? narrow : x, index};
    wg__axis_attr attr = {.axis = axis};
    const wg_tensor rows = wg_record(op, in, 2, &attr, sizeof attr);
    return narrow.tape ? wg__widen(rows) : rows;
}

/* By the rows added: the same rows of the gradient. By the base: the gradient itself. */
static wg_tensor index_add_vjp(const wg_vjp_args *v, int k)
{
    if (k == 1) return take(&index_select_op, v->grad, v->in[0], ((const wg__index_add_attr *)v->attr)->axis);
    return k == 2 ? v->grad : WG_NONE;
}

wg_tensor wg_embedding(wg_tensor weight, wg_tensor index) { return take(&embedding_op, weight, index, 0); }

wg_tensor wg_index_select(wg_tensor x, int axis, wg_tensor index)
{
    if (!wg__both_set(x, index, "index_select") || !wg__axis(x, &axis, "index_select"))
        return wg__nil_of_both(x, index);
    if (wg_rank(index) >= 0 && wg_rank(index) != 1)
        return wg__refuse(x, WG_ERR_SHAPE, "index_select", "the index has %d axes: must have one", wg_rank(index));
    return take(&index_select_op, x, index, axis);
}

/* ---- gather, scatter_add ----------------------------------------------------------------------------- */

/* Checks that operand and index have equal sizes except along the axis. */
static wg_status same_but_axis(wg_infer *c, int64_t axis)
{
    wg_shape same = c->in[1];
    wg_status status = index_dtype(c, 1);
    if (status != WG_OK) return status;
    if (same.rank == c->in[0].rank) same.size[axis] = c->in[0].size[axis];
    if (wg_shape_equal(&same, &c->in[0])) return WG_OK;
    return wg_infer_fail(c, WG_ERR_SHAPE, "sizes of operand and index must be equal except along axis %lld",
                         (long long)axis);
}

static wg_status gather_infer(wg_infer *c)
{
    c->out = c->in[1];
    return same_but_axis(c, ((const wg__axis_attr *)c->attr)->axis);
}

static wg_status scatter_add_infer(wg_infer *c)
{
    c->out = c->in[0];
    if (c->dtype_in[0] != c->dtype_in[2])
        return wg_infer_fail(c, WG_ERR_DTYPE, "%s and %s differ; there is no promotion, use wg_cast",
                             wg_dtype_name(c->dtype_in[0]), wg_dtype_name(c->dtype_in[2]));
    if (!wg_shape_equal(&c->in[1], &c->in[2]))
        return wg_infer_fail(c, WG_ERR_SHAPE, "index and source must have the same shape");
    return same_but_axis(c, ((const wg__axis_attr *)c->attr)->axis);
}

static wg_tensor gather_vjp(const wg_vjp_args *v, int k)
{
    if (k != 0) return WG_NONE;
    return wg_scatter_add(wg_zeros_like(v->in[0]), (int)((const wg__axis_attr *)v->attr)->axis, v->in[1], v->grad);
}

static wg_tensor scatter_add_vjp(const wg_vjp_args *v, int k)
{
    if (k == 0) return v->grad;
    return k == 2 ? wg_gather(v->grad, (int)((const wg__axis_attr *)v->attr)->axis, v->in[1]) : WG_NONE;
}

WG__SELECT(gather_select, wg__gather_kernel)
WG__SELECT(scatter_add_select, wg__kernel_get(WG__KERNEL_scatter_add, out))

static const wg_op gather_op = {.struct_size = sizeof(wg_op),
                                .name = "gather",
                                .min_in = 2,
                                .max_in = 2,
                                .flags = WG_OP_CHECKS_INDEX | WG_OP_SMOOTH,
                                .infer = gather_infer,
                                .vjp = gather_vjp,
                                .select = gather_select,
                                .tasks = wg__bytes_tasks};
static const wg_op scatter_add_op = {.struct_size = sizeof(wg_op),
                                     .name = "scatter_add",
                                     .min_in = 3,
                                     .max_in = 3,
                                     .flags = WG_OP_CHECKS_INDEX | WG_OP_SMOOTH,
                                     .infer = scatter_add_infer,
                                     .vjp = scatter_add_vjp,
                                     .select = scatter_add_select,
                                     .tasks = wg__scatter_tasks,
                                     .scratch = wg__scatter_add_scratch};

wg_tensor wg_gather(wg_tensor x, int axis, wg_tensor index)
{
    if (!wg__both_set(x, index, "gather") || !wg__axis(x, &axis, "gather")) return wg__nil_of_both(x, index);
    return take(&gather_op, x, index, axis);
}

wg_tensor wg_scatter_add(wg_tensor x, int axis, wg_tensor index, wg_tensor source)
{
    if (!wg__both_set(x, index, "scatter_add") || !wg__axis(x, &axis, "scatter_add"))
        return wg__nil_of_both(x, index);
    wg_tensor in[3] = {x, index, source};
    wg__axis_attr attr = {.axis = axis};
    return wg_record(&scatter_add_op, in, 3, &attr, sizeof attr);
}

/* ---- scatter_prod ------------------------------------------------------------------------------------ */

static wg_tensor is_zero(wg_tensor x) { return wg_equal(x, wg__constant(x, 0)); }

/* What a product's derivatives need of its terms. Sums over the terms that are 0 are 0 themselves, and are here for
 * their derivatives: of n of them, the product is a polynomial in these sums. */
typedef struct terms {
    wg_tensor product;      /* of those that are not 0 */
    wg_tensor zeros;        /* the number of those that are */
    wg_tensor sum, squares; /* of these */
} terms;

static wg_tensor zeros_only(wg_tensor x) { return wg_where(is_zero(x), x, wg__constant(x, 0)); }

/* The product of all terms but one, e: exact to its second derivative. */
static wg_tensor other_terms(wg_tensor e, terms t)
{
    wg_tensor none = is_zero(e), own = zeros_only(e), zero = wg__constant(e, 0), one = wg__constant(e, 1);
    wg_tensor rest = wg_div(t.product, wg_where(none, one, e)); /* of those that are not 0 */
    wg_tensor zeros = wg_sub(t.zeros, wg_cast(none, wg_dtype_get(e)));
    wg_tensor sum = wg_sub(t.sum, own), squares = wg_sub(t.squares, wg_mul(own, own));
    wg_tensor pairs = wg_scale(wg_sub(wg_mul(sum, sum), squares), 0.5);
    wg_tensor of_zeros =
        wg_where(wg_equal(zeros, one), sum, wg_where(wg_equal(zeros, wg__constant(e, 2)), pairs, zero));
    wg_tensor bounded = wg_where(wg_is_finite(rest), rest, zero); /* an overflow times 0 is 0 */
    return wg_where(is_zero(zeros), rest, wg_mul(bounded, of_zeros));
}

/* Exact where terms are 0, and so are its derivatives up to the second. */
static wg_tensor scatter_prod_vjp(const wg_vjp_args *v, int k)
{
    if (k == 1) return WG_NONE;
    const int axis = (int)((const wg__axis_attr *)v->attr)->axis;
    wg_tensor x = v->in[0], index = v->in[1], source = v->in[2], one = wg__constant(x, 1);
    wg_dtype dtype = wg_dtype_get(x);
    wg_tensor x0 = zeros_only(x), source0 = zeros_only(source);
    terms t = {
        .product =
            wg__scatter_prod(wg_where(is_zero(x), one, x), axis, index, wg_where(is_zero(source), one, source)),
        .zeros = wg_scatter_add(wg_cast(is_zero(x), dtype), axis, index, wg_cast(is_zero(source), dtype)),
        .sum = wg_scatter_add(x0, axis, index, source0),
        .squares = wg_scatter_add(wg_mul(x0, x0), axis, index, wg_mul(source0, source0)),
    };
    if (k == 0) return wg_mul(v->grad, other_terms(x, t));
    terms at = {wg_gather(t.product, axis, index), wg_gather(t.zeros, axis, index), wg_gather(t.sum, axis, index),
                wg_gather(t.squares, axis, index)};
    return wg_mul(wg_gather(v->grad, axis, index), other_terms(source, at));
}

WG__SELECT(scatter_prod_select, wg__kernel_get(WG__KERNEL_scatter_prod, out))

static const wg_op scatter_prod_op = {.struct_size = sizeof(wg_op),
                                      .name = "scatter_prod",
                                      .min_in = 3,
                                      .max_in = 3,
                                      .flags = WG_OP_CHECKS_INDEX | WG_OP_SMOOTH,
                                      .infer = scatter_add_infer,
                                      .vjp = scatter_prod_vjp,
                                      .select = scatter_prod_select,
                                      .tasks = wg__scatter_tasks};

wg_tensor wg__scatter_prod(wg_tensor x, int axis, wg_tensor index, wg_tensor source)
{
    wg_tensor in[3] = {x, index, source};
    wg__axis_attr attr = {.axis = axis};
    return wg_record(&scatter_prod_op, in, 3, &attr, sizeof attr);
}

/* ---- one_hot ----------------------------------------------------------------------------------------- */

static wg_status one_hot_infer(wg_infer *c)
{
    const wg__one_hot_attr *attr = c->attr;
    wg_status status = index_dtype(c, 0);
    if (status != WG_OK) return status;
    if (c->in[0].rank == WG_MAX_RANK)
        return wg_infer_fail(c, WG_ERR_SHAPE, "a tensor has at most %d axes", WG_MAX_RANK);
    c->out = c->in[0];
    c->out.size[c->out.rank++] = attr->classes;
    c->dtype = (wg_dtype)attr->dtype;
    return wg__infer_size(c);
}

WG__SELECT(one_hot_select, wg__one_hot_kernel)

const wg_op wg__one_hot_op = {.struct_size = sizeof(wg_op),
                              .name = "one_hot",
                              .min_in = 1,
                              .max_in = 1,
                              .flags = WG_OP_CHECKS_INDEX | WG_OP_NO_GRADIENT,
                              .infer = one_hot_infer,
                              .select = one_hot_select,
                              .tasks = wg__bytes_tasks};

wg_tensor wg_one_hot(wg_tensor index, int64_t classes, wg_dtype dtype)
{
    if ((unsigned)dtype >= WG_DTYPES)
        return wg_fail(index, WG_ERR_DTYPE, "one_hot", "unknown dtype %d", (int)dtype);
    if (classes < 1)
        return wg_fail(index, WG_ERR_ARGUMENT, "one_hot", "%lld classes: must be 1 or more", (long long)classes);
    wg__one_hot_attr attr = {.classes = classes, .dtype = dtype};
    return wg_record(&wg__one_hot_op, &index, 1, &attr, sizeof attr);
}

/* ---- masks ------------------------------------------------------------------------------------------- */

/* start, start + 1, ... as a column (axis 0) or a row (axis 1). */
static wg_tensor count(wg_tape *tape, int64_t start, int64_t n, int axis)
{
    wg_tensor numbers = wg_arange(tape, WG_I32, (double)start, 1, n);
    return wg_unsqueeze(numbers, 1 - axis);
}

/* Beyond the corners a diagonal has no further effect. */
static int64_t diagonal_within(int64_t rows, int64_t cols, int64_t diagonal)
{
    return diagonal < -rows ? -rows : diagonal > cols ? cols : diagonal;
}

static bool mask_sizes(wg_tape *tape, int64_t rows, int64_t cols, const char *op)
{
    if (rows >= 0 && cols >= 0 && rows < 1 << 30 && cols < 1 << 30) return true;
    wg_fail_on(tape, WG_ERR_ARGUMENT, op, "%lld rows, %lld columns: must be in [0, 2^30)", (long long)rows,
               (long long)cols);
    return false;
}

wg_tensor wg_tril_mask(wg_tape *tape, int64_t rows, int64_t cols, int64_t diagonal)
{
    if (!mask_sizes(tape, rows, cols, "tril_mask")) return (wg_tensor){.tape = tape};
    diagonal = diagonal_within(rows, cols, diagonal);
    return wg_less_equal(count(tape, 0, cols, 1), count(tape, diagonal, rows, 0));
}

wg_tensor wg_triu_mask(wg_tape *tape, int64_t rows, int64_t cols, int64_t diagonal)
{
    if (!mask_sizes(tape, rows, cols, "triu_mask")) return (wg_tensor){.tape = tape};
    diagonal = diagonal_within(rows, cols, diagonal);
    return wg_greater_equal(count(tape, 0, cols, 1), count(tape, diagonal, rows, 0));
}

/* The last two sizes of x. */
static bool matrix_sizes(wg_tensor x, int64_t *rows, int64_t *cols, const char *op)
{
    wg_shape shape;
    if (!wg__shape(x, &shape, op)) return false;
    if (shape.rank < 2) {
        wg__refuse(x, WG_ERR_SHAPE, op, "the tensor has %d axes: must have at least two", shape.rank);
        return false;
    }
    *rows = shape.size[shape.rank - 2];
    *cols = shape.size[shape.rank - 1];
    return mask_sizes(x.tape, *rows, *cols, op);
}

wg_tensor wg_tril(wg_tensor x, int64_t diagonal)
{
    int64_t rows, cols;
    if (!matrix_sizes(x, &rows, &cols, "tril")) return wg__nil_of(x);
    if (diagonal >= cols) return wg__same(x);
    return wg_masked_fill(x, wg_triu_mask(x.tape, rows, cols, diagonal + 1), 0);
}

wg_tensor wg_triu(wg_tensor x, int64_t diagonal)
{
    int64_t rows, cols;
    if (!matrix_sizes(x, &rows, &cols, "triu")) return wg__nil_of(x);
    if (diagonal <= -rows) return wg__same(x);
    return wg_masked_fill(x, wg_tril_mask(x.tape, rows, cols, diagonal - 1), 0);
}

wg_tensor wg_length_mask(wg_tensor lengths, int64_t size)
{
    wg_shape shape;
    if (!wg__shape(lengths, &shape, "length_mask")) return wg__nil_of(lengths);
    if (shape.rank != 1 || wg_dtype_get(lengths) != WG_I32)
        return wg__refuse(lengths, WG_ERR_SHAPE, "length_mask", "lengths must be i32 [n]");
    if (!mask_sizes(lengths.tape, shape.size[0], size, "length_mask")) return wg__nil_of(lengths);
    return wg_less(count(lengths.tape, 0, size, 1), wg_unsqueeze(lengths, 1));
}

const wg_op *const wg__index_ops[] = {&embedding_op,   &index_select_op, &index_add_op,   &gather_op,
                                      &scatter_add_op, &scatter_prod_op, &wg__one_hot_op, NULL};
