/* Joining and splitting: concat, stack, split, pad, dilate. */
#include "internal.h"

#include "kernels/move/move.h"

#include <assert.h>

/* ---- concat ------------------------------------------------------------------------------------------ */

static wg_status concat_infer(wg_infer *c)
{
    int64_t axis = ((const wg__concat_attr *)c->attr)->axis;
    c->out = c->in[0];
    if (axis >= c->out.rank)
        return wg_infer_fail(c, WG_ERR_ARGUMENT, "there is no axis %lld to join along", (long long)axis);
    for (int i = 1; i < c->n_in; i++) {
        wg_shape same = c->in[i];
        if (c->dtype_in[i] != c->dtype)
            return wg_infer_fail(c, WG_ERR_DTYPE,
                                 "operand %d is %s, operand 1 %s; there is no promotion, use wg_cast", i + 1,
                                 wg_dtype_name(c->dtype_in[i]), wg_dtype_name(c->dtype));
        same.size[axis] = c->in[0].size[axis];
        if (!wg_shape_equal(&same, &c->in[0]))
            return wg_infer_fail(c, WG_ERR_SHAPE, "operand %d: sizes must be equal except along axis %lld", i + 1,
                                 (long long)axis);
        if (__builtin_add_overflow(c->out.size[axis], c->in[i].size[axis], &c->out.size[axis]))
            c->out.size[axis] = INT64_MAX;
    }
    return wg__infer_size(c);
}

static wg_tensor concat_vjp(const wg_vjp_args *v, int k)
{
    int axis = (int)((const wg__concat_attr *)v->attr)->axis;
    int64_t *before = &v->memo[0], *start = &v->memo[1]; /* operands passed so far, and the sum of their sizes */
    for (; *before < k; ++*before) *start += wg_size(v->in[*before], axis);
    return wg_slice(v->grad, axis, *start, *start + wg_size(v->in[k], axis));
}

/* No kernel: the planner copies operands that are not aliased with the result. */
const wg_op wg__concat_op = {.struct_size = sizeof(wg_op),
                             .name = "concat",
                             .kind = WG_KIND_CONCAT,
                             .min_in = 1,
                             .max_in = -1,
                             .flags = WG_OP_SMOOTH,
                             .infer = concat_infer,
                             .vjp = concat_vjp};

static wg_tensor concat(const wg_tensor *x, int n, int axis)
{
    wg__concat_attr attr = {.axis = axis};
    return wg_record(&wg__concat_op, x, n, &attr, sizeof attr);
}

/* The first operand with a tape and a shape; the op stops at one that is nil or unset. */
static bool operands(const wg_tensor *x, int n, const char *op, wg_tensor *nil)
{
    *nil = WG_NONE;
    if (n < 1 || !x) return false;
    for (int i = 0; i < n; i++) {
        if (x[i].tape) {
            *nil = wg__nil_of(x[i]);
            break;
        }
    }
    for (int i = 0; i < n; i++) {
        if (x[i].tape) continue;
        wg_fail(*nil, WG_ERR_ARGUMENT, op, "operand %d was never set", i + 1);
        return false;
    }
    return true;
}

wg_tensor wg_concat(const wg_tensor *x, int n, int axis)
{
    wg_tensor nil;
    if (!operands(x, n, "concat", &nil) || !wg__axis(x[0], &axis, "concat")) return nil;
    return n == 1 ? wg__same(x[0]) : concat(x, n, axis);
}

/* ---- stack ------------------------------------------------------------------------------------------- */

enum { STACK_AT_ONCE = 64 };

/* Along a new last axis: the operands cannot be concatenated along an existing one. */
static wg_tensor stack_last(const wg_tensor *x, int n)
{
    wg_tensor part[STACK_AT_ONCE];
    int each = 1, parts = 0;
    assert(n > 0);
    while (n > (int64_t)each * STACK_AT_ONCE) each *= STACK_AT_ONCE;
    for (int i = 0; i < n; i += each) {
        part[parts++] = each == 1 ? wg_unsqueeze(x[i], -1) : stack_last(x + i, n - i < each ? n - i : each);
        if (n - i <= each) break;
    }
    return wg_concat(part, parts, -1);
}

wg_tensor wg_stack(const wg_tensor *x, int n, int axis)
{
    wg_tensor nil;
    wg_shape first;
    if (!operands(x, n, "stack", &nil) || !wg__shape(x[0], &first, "stack")) return nil;
    for (int i = 1; i < n; i++) {
        wg_shape other;
        char a[128], b[128];
        if (!wg__shape(x[i], &other, "stack")) return nil;
        if (wg_dtype_get(x[i]) != wg_dtype_get(x[0]))
            return wg_fail(nil, WG_ERR_DTYPE, "stack",
                           "operand 1 is %s, operand %d %s; there is no promotion, use wg_cast",
                           wg_dtype_name(wg_dtype_get(x[0])), i + 1, wg_dtype_name(wg_dtype_get(x[i])));
        if (wg_shape_equal(&first, &other)) continue;
        return wg_fail(nil, WG_ERR_SHAPE, "stack", "operand 1 is %s, operand %d %s: shapes must be equal",
                       wg_shape_text(&first, a, sizeof a), i + 1, wg_shape_text(&other, b, sizeof b));
    }
    if (first.rank == WG_MAX_RANK)
        return wg_fail(nil, WG_ERR_SHAPE, "stack", "a tensor has at most %d axes", WG_MAX_RANK);
    if (axis < -first.rank - 1 || axis > first.rank) {
        return wg_fail(nil, WG_ERR_ARGUMENT, "stack", "axis %d is not in %d .. %d", axis, -first.rank - 1,
                       first.rank);
    }
    if (axis < 0) axis += first.rank + 1;
    if (axis == first.rank) return stack_last(x, n);
    /* Concatenated along the old axis, [.., n s, ..] is [.., n, s, ..] in memory. */
    wg_shape out = {.rank = first.rank + 1};
    for (int i = 0; i < first.rank; i++) out.size[i < axis ? i : i + 1] = first.size[i];
    out.size[axis] = n;
    return wg_reshape(wg_concat(x, n, axis), out);
}

/* ---- split ------------------------------------------------------------------------------------------- */

/* False, with an error, if there is nothing to write the parts to. */
static bool all_nil(wg_tensor x, int n, wg_tensor *parts, const char *op)
{
    if (!parts) wg_fail(x, WG_ERR_ARGUMENT, op, "parts is NULL");
    for (int i = 0; i < n && parts; i++) parts[i] = wg__nil_of(x);
    return parts;
}

void wg_split(wg_tensor x, int axis, int n, wg_tensor *parts)
{
    if (!all_nil(x, n, parts, "split") || !wg__axis(x, &axis, "split")) return;
    int64_t size = wg_size(x, axis);
    if (n < 1 || size % n != 0) {
        wg__refuse(x, WG_ERR_ARGUMENT, "split", "axis %d of size %lld cannot be split into %d equal parts", axis,
                   (long long)size, n);
        return;
    }
    for (int i = 0; i < n; i++) parts[i] = wg_slice(x, axis, i * (size / n), (i + 1) * (size / n));
}

void wg_split_sizes(wg_tensor x, int axis, int n, const int64_t *sizes, wg_tensor *parts)
{
    if (!all_nil(x, n, parts, "split_sizes") || !wg__axis(x, &axis, "split_sizes")) return;
    int64_t size = wg_size(x, axis), left = sizes ? size : -1;
    for (int i = 0; i < n && left >= 0; i++) left = sizes[i] < 0 || sizes[i] > left ? -1 : left - sizes[i];
    if (n < 1 || left != 0) {
        wg__refuse(x, WG_ERR_ARGUMENT, "split_sizes", "the sizes of %d parts must add up to axis %d, which is %lld",
                   n, axis, (long long)size);
        return;
    }
    for (int64_t i = 0, start = 0; i < n; start += sizes[i++])
        parts[i] = wg_slice(x, axis, start, start + sizes[i]);
}

/* ---- pad --------------------------------------------------------------------------------------------- */

static wg_status pad_infer(wg_infer *c)
{
    const wg__pad_attr *attr = c->attr;
    c->out = c->in[0];
    c->out.size[attr->axis] = attr->size;
    return wg__infer_size(c);
}

static wg_tensor pad_vjp(const wg_vjp_args *v, int k)
{
    const wg__pad_attr *attr = v->attr;
    int axis = (int)attr->axis;
    return wg_slice(v->grad, axis, attr->start, attr->start + wg_size(v->in[k], axis));
}

WG__SELECT(pad_select, wg__pad_kernel)

const wg_op wg__pad_op = {.struct_size = sizeof(wg_op),
                          .name = "pad",
                          .min_in = 1,
                          .max_in = 1,
                          .flags = WG_OP_SMOOTH,
                          .infer = pad_infer,
                          .vjp = pad_vjp,
                          .select = pad_select,
                          .tasks = wg__bytes_tasks};

/* Checks the arguments of both pads. Returns the size of the result, or -1. */
static int64_t padded(wg_tensor x, int *axis, int64_t before, int64_t after, const char *op)
{
    int64_t size;
    if (!wg__axis(x, axis, op)) return -1;
    if (before < 0 || after < 0) {
        wg__refuse(x, WG_ERR_ARGUMENT, op, "%lld before and %lld after: must be 0 or more (wg_slice shrinks)",
                   (long long)before, (long long)after);
        return -1;
    }
    bool big =
        __builtin_add_overflow(wg_size(x, *axis), before, &size) || __builtin_add_overflow(size, after, &size);
    return big ? INT64_MAX : size;
}

wg_tensor wg_pad(wg_tensor x, int axis, int64_t before, int64_t after)
{
    wg__pad_attr attr = {.start = before, .size = padded(x, &axis, before, after, "pad")};
    if (attr.size < 0) return wg__nil_of(x);
    if (before == 0 && after == 0) return wg__same(x);
    attr.axis = axis;
    return wg_record(&wg__pad_op, &x, 1, &attr, sizeof attr);
}

wg_tensor wg_pad_value(wg_tensor x, int axis, int64_t before, int64_t after, double value)
{
    int64_t size = padded(x, &axis, before, after, "pad_value");
    if (size < 0) return wg__nil_of(x);
    wg_infer whole = {.out = wg_shape_get(x), .dtype = wg_dtype_get(x)};
    wg_shape edge = whole.out;
    whole.out.size[axis] = size;
    if (wg__infer_size(&whole) != WG_OK) return wg__refuse(x, WG_ERR_SHAPE, "pad_value", "%s", whole.error.text);
    wg_tensor part[3];
    int n = 0;
    edge.size[axis] = before;
    if (before > 0) part[n++] = wg_full(x.tape, wg_dtype_get(x), edge, value);
    part[n++] = x;
    edge.size[axis] = after;
    if (after > 0) part[n++] = wg_full(x.tape, wg_dtype_get(x), edge, value);
    return wg_concat(part, n, axis);
}

/* ---- dilate ------------------------------------------------------------------------------------------ */

static wg_status dilate_infer(wg_infer *c)
{
    const wg__dilate_attr *attr = c->attr;
    c->out = c->in[0];
    c->out.size[attr->axis] = attr->size;
    return wg__infer_size(c);
}

static wg_tensor dilate_vjp(const wg_vjp_args *v, int k)
{
    const wg__dilate_attr *attr = v->attr;
    int64_t n = wg_size(v->in[k], (int)attr->axis);
    int64_t stop = n > 0 ? attr->start + (n - 1) * attr->step + 1 : attr->start;
    return wg_slice_step(v->grad, (int)attr->axis, attr->start, stop, attr->step);
}

WG__SELECT(dilate_select, wg__dilate_kernel)

const wg_op wg__dilate_op = {.struct_size = sizeof(wg_op),
                             .name = "dilate",
                             .min_in = 1,
                             .max_in = 1,
                             .flags = WG_OP_SMOOTH,
                             .infer = dilate_infer,
                             .vjp = dilate_vjp,
                             .select = dilate_select,
                             .tasks = wg__bytes_tasks};

const wg_op *const wg__join_ops[] = {&wg__concat_op, &wg__pad_op, &wg__dilate_op, NULL};
