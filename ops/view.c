/* Views: the same memory under another shape and strides. Reshape, permute, expand, slice and flip are ops; the others
 * are compositions of them. */
#include "internal.h"

#include <string.h>

#include "kernels/move/move.h"

static wg_shape shape_given(wg_infer *c) { return *(const wg_shape *)c->attr; }

/* ---- reshape ----------------------------------------------------------------------------------------- */

static wg_status reshape_infer(wg_infer *c)
{
    int64_t have, want;
    c->out = shape_given(c);
    wg_status status = wg__infer_size(c);
    if (status != WG_OK) return status;
    wg_shape_numel(&c->in[0], &have);
    wg_shape_numel(&c->out, &want);
    if (have == want) return WG_OK;
    char text[128];
    return wg_infer_fail(c, WG_ERR_SHAPE, "%lld elements cannot be %s, which has %lld", (long long)have,
                         wg_shape_text(&c->out, text, sizeof text), (long long)want);
}

/* Row-major strides. */
static void dense(const wg_shape *shape, wg_layout *layout)
{
    int64_t stride = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        layout->stride[i] = stride;
        stride *= shape->size[i] > 0 ? shape->size[i] : 1;
    }
}

/* Matches groups of axes of operand and result with equal products of sizes, from the last axis on. A group of the
 * operand must be evenly spaced; it is then divided into the sizes of the result. */
static bool reshape_view(const wg_shape *in, const wg_layout *from, const wg_shape *out, const void *attr,
                         wg_layout *to)
{
    int64_t numel;
    to->offset = from->offset;
    wg_shape_numel(in, &numel);
    if (numel == 0) {
        dense(out, to);
        return true;
    }
    int i = in->rank - 1, o = out->rank - 1;
    while (i >= 0 || o >= 0) {
        while (i >= 0 && in->size[i] == 1) i--;
        int64_t step = i >= 0 ? from->stride[i] : 1, group = i >= 0 ? in->size[i] : 1, cut = 1;
        i--;
        while (o >= 0 && (cut < group || out->size[o] == 1)) {
            to->stride[o] = step * cut;
            cut *= out->size[o--];
            while (cut > group) { /* the result's size spans more axes of the operand */
                while (in->size[i] == 1) i--;
                if (from->stride[i] != step * group) return false;
                group *= in->size[i--];
            }
        }
    }
    return true;
}

static wg_tensor reshape_vjp(const wg_vjp_args *v, int k) { return wg_reshape(v->grad, wg_shape_get(v->in[k])); }

const wg_op wg__reshape_op = {.struct_size = sizeof(wg_op),
                              .name = "reshape",
                              .kind = WG_KIND_VIEW,
                              .min_in = 1,
                              .max_in = 1,
                              .flags = WG_OP_SMOOTH,
                              .infer = reshape_infer,
                              .vjp = reshape_vjp,
                              .view = reshape_view};

/* Replaces a size of -1 by the size that remains. */
static bool fill_in(const wg_shape *in, wg_shape *shape)
{
    int unknown = -1;
    int64_t have, rest;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->size[i] != -1) continue;
        if (unknown >= 0) return false;
        unknown = i;
    }
    if (unknown < 0) return true;
    shape->size[unknown] = 1;
    bool ok = wg_shape_numel(in, &have) && wg_shape_numel(shape, &rest) && rest > 0 && have % rest == 0;
    shape->size[unknown] = ok ? have / rest : -1;
    return ok;
}

wg_tensor wg_reshape(wg_tensor x, wg_shape shape)
{
    wg_shape in;
    if (!wg__shape(x, &in, "reshape")) return wg__nil_of(x);
    wg_shape out = wg_shape_of(shape.rank, shape.size);
    if (!fill_in(&in, &out)) {
        char have[128], want[128];
        return wg_fail(x, WG_ERR_SHAPE, "reshape",
                       "%s: to %s: one size may be -1, and the others must divide the "
                       "number of elements",
                       wg_shape_text(&in, have, sizeof have), wg_shape_text(&out, want, sizeof want));
    }
    if (wg_shape_equal(&in, &out)) return wg__same(x);
    return wg_record(&wg__reshape_op, &x, 1, &out, sizeof out);
}

wg_tensor wg_flatten(wg_tensor x, int first, int last)
{
    wg_shape in;
    if (!wg__shape(x, &in, "flatten")) return wg__nil_of(x);
    if (in.rank == 0 && first >= -1 && first <= 0 && last >= -1 && last <= 0) return wg_reshape(x, WG_DIMS(1));
    if (!wg__axis(x, &first, "flatten") || !wg__axis(x, &last, "flatten")) return wg__nil_of(x);
    if (first > last) return wg__refuse(x, WG_ERR_ARGUMENT, "flatten", "axis %d is after axis %d", first, last);
    int64_t size[WG_MAX_RANK] = {0};
    int rank = 0;
    for (int i = 0; i < in.rank; i++) {
        if (i > first && i <= last) {
            if (__builtin_mul_overflow(size[first], in.size[i], &size[first])) size[first] = INT64_MAX;
        } else {
            size[rank++] = in.size[i];
        }
    }
    return wg_reshape(x, wg_shape_of(rank, size));
}

wg_tensor wg_squeeze(wg_tensor x, int axis)
{
    if (!wg__axis(x, &axis, "squeeze")) return wg__nil_of(x);
    wg_shape in = wg_shape_get(x);
    if (in.size[axis] != 1) {
        return wg__refuse(x, WG_ERR_SHAPE, "squeeze", "axis %d has size %lld, not 1", axis,
                          (long long)in.size[axis]);
    }
    memmove(in.size + axis, in.size + axis + 1, (size_t)(in.rank - 1 - axis) * sizeof *in.size);
    return wg_reshape(x, wg_shape_of(in.rank - 1, in.size));
}

wg_tensor wg_unsqueeze(wg_tensor x, int axis)
{
    wg_shape in;
    if (!wg__shape(x, &in, "unsqueeze")) return wg__nil_of(x);
    if (in.rank == WG_MAX_RANK)
        return wg__refuse(x, WG_ERR_SHAPE, "unsqueeze", "a tensor has at most %d axes", WG_MAX_RANK);
    if (axis < -in.rank - 1 || axis > in.rank)
        return wg__refuse(x, WG_ERR_ARGUMENT, "unsqueeze", "axis %d is not in %d .. %d", axis, -in.rank - 1,
                          in.rank);
    if (axis < 0) axis += in.rank + 1;
    memmove(in.size + axis + 1, in.size + axis, (size_t)(in.rank - axis) * sizeof *in.size);
    in.size[axis] = 1;
    return wg_reshape(x, wg_shape_of(in.rank + 1, in.size));
}

/* ---- permute ----------------------------------------------------------------------------------------- */

static wg_status permute_infer(wg_infer *c)
{
    const wg__permute_attr *attr = c->attr;
    c->out = c->in[0];
    for (int i = 0; i < c->out.rank; i++) c->out.size[i] = c->in[0].size[attr->axis[i]];
    return WG_OK;
}

static bool permute_view(const wg_shape *in, const wg_layout *from, const wg_shape *out, const void *attr,
                         wg_layout *to)
{
    const wg__permute_attr *order = attr;
    to->offset = from->offset;
    for (int i = 0; i < in->rank; i++) to->stride[i] = from->stride[order->axis[i]];
    return true;
}

static wg_tensor permute_vjp(const wg_vjp_args *v, int k)
{
    const wg__permute_attr *attr = v->attr;
    wg_axes back = {.n = wg_rank(v->grad)};
    for (int i = 0; i < back.n; i++) back.axis[attr->axis[i]] = i;
    return wg_permute(v->grad, back);
}

const wg_op wg__permute_op = {.struct_size = sizeof(wg_op),
                              .name = "permute",
                              .kind = WG_KIND_VIEW,
                              .min_in = 1,
                              .max_in = 1,
                              .flags = WG_OP_SMOOTH,
                              .infer = permute_infer,
                              .vjp = permute_vjp,
                              .view = permute_view};

bool wg__swaps_last_two(const void *attr, int rank)
{
    const wg__permute_attr *order = attr;
    for (int i = 0; i < rank - 2; i++)
        if (order->axis[i] != i) return false;
    return rank >= 2 && order->axis[rank - 1] == rank - 2;
}

wg_tensor wg_permute(wg_tensor x, wg_axes order)
{
    wg_shape in;
    if (!wg__shape(x, &in, "permute")) return wg__nil_of(x);
    if (order.n != in.rank)
        return wg__refuse(x, WG_ERR_ARGUMENT, "permute", "%d axes given for a tensor of %d", (int)order.n, in.rank);
    wg__permute_attr attr = {{0}};
    bool seen[WG_MAX_RANK] = {false}, moved = false;
    for (int i = 0; i < in.rank; i++) {
        int axis = order.axis[i];
        if (!wg__axis(x, &axis, "permute")) return wg__nil_of(x);
        if (seen[axis]) return wg__refuse(x, WG_ERR_ARGUMENT, "permute", "axis %d occurs twice", axis);
        seen[axis] = true;
        moved |= axis != i;
        attr.axis[i] = axis;
    }
    return moved ? wg_record(&wg__permute_op, &x, 1, &attr, sizeof attr) : wg__same(x);
}

static wg_tensor swap(wg_tensor x, int axis_a, int axis_b, const char *op)
{
    if (!wg__axis(x, &axis_a, op) || !wg__axis(x, &axis_b, op)) return wg__nil_of(x);
    if (axis_a == axis_b) return wg__same(x);
    wg__permute_attr attr = {{0}};
    for (int i = 0; i < wg_rank(x); i++) attr.axis[i] = i;
    attr.axis[axis_a] = axis_b;
    attr.axis[axis_b] = axis_a;
    return wg_record(&wg__permute_op, &x, 1, &attr, sizeof attr);
}

wg_tensor wg_transpose(wg_tensor x, int axis_a, int axis_b) { return swap(x, axis_a, axis_b, "transpose"); }

wg_tensor wg_t(wg_tensor x)
{
    if (wg_rank(x) == 1) return wg__refuse(x, WG_ERR_SHAPE, "t", "the tensor has one axis: must have at least two");
    return swap(x, -2, -1, "t");
}

/* ---- expand ------------------------------------------------------------------------------------------ */

static wg_status expand_infer(wg_infer *c)
{
    c->out = shape_given(c);
    wg_status status = wg__infer_size(c);
    if (status != WG_OK) return status;
    wg_shape both;
    if (wg_shape_broadcast(&c->in[0], &c->out, &both) && wg_shape_equal(&both, &c->out)) return WG_OK;
    char text[128];
    return wg_infer_fail(c, WG_ERR_SHAPE,
                         "does not broadcast to %s: aligned at the right, sizes must be equal or 1",
                         wg_shape_text(&c->out, text, sizeof text));
}

static bool expand_view(const wg_shape *in, const wg_layout *from, const wg_shape *out, const void *attr,
                        wg_layout *to)
{
    int shift = out->rank - in->rank;
    to->offset = from->offset;
    for (int i = 0; i < out->rank; i++) {
        bool same = i >= shift && in->size[i - shift] == out->size[i];
        to->stride[i] = same ? from->stride[i - shift] : 0;
    }
    return true;
}

static wg_tensor expand_vjp(const wg_vjp_args *v, int k) { return wg__sum_to(v->grad, wg_shape_get(v->in[k])); }

const wg_op wg__expand_op = {.struct_size = sizeof(wg_op),
                             .name = "expand",
                             .kind = WG_KIND_VIEW,
                             .min_in = 1,
                             .max_in = 1,
                             .flags = WG_OP_SMOOTH,
                             .infer = expand_infer,
                             .vjp = expand_vjp,
                             .view = expand_view};

wg_tensor wg_expand(wg_tensor x, wg_shape shape)
{
    wg_shape in;
    if (!wg__shape(x, &in, "expand")) return wg__nil_of(x);
    if (wg_shape_equal(&in, &shape)) return wg__same(x);
    wg_shape out = wg_shape_of(shape.rank, shape.size);
    return wg_record(&wg__expand_op, &x, 1, &out, sizeof out);
}

/* ---- slice ------------------------------------------------------------------------------------------- */

static wg_status slice_infer(wg_infer *c)
{
    const wg__slice_attr *attr = c->attr;
    c->out = c->in[0];
    c->out.size[attr->axis] = (attr->stop - attr->start + attr->step - 1) / attr->step;
    return WG_OK;
}

static bool slice_view(const wg_shape *in, const wg_layout *from, const wg_shape *out, const void *attr,
                       wg_layout *to)
{
    const wg__slice_attr *slice = attr;
    *to = *from;
    /* An empty slice at the end has no first element to refer to. */
    if (out->size[slice->axis] > 0) to->offset += slice->start * from->stride[slice->axis];
    if (out->size[slice->axis] > 1) to->stride[slice->axis] *= slice->step; /* otherwise it has no meaning */
    return true;
}

static wg_tensor slice_vjp(const wg_vjp_args *v, int k)
{
    const wg__slice_attr *attr = v->attr;
    int64_t size = wg_size(v->in[k], (int)attr->axis);
    if (attr->step == 1) {
        wg__pad_attr pad = {.axis = attr->axis, .start = attr->start, .size = size};
        return wg_record(&wg__pad_op, &v->grad, 1, &pad, sizeof pad);
    }
    wg__dilate_attr dilate = {.axis = attr->axis, .start = attr->start, .step = attr->step, .size = size};
    return wg_record(&wg__dilate_op, &v->grad, 1, &dilate, sizeof dilate);
}

static const wg_op slice_op = {.struct_size = sizeof(wg_op),
                               .name = "slice",
                               .kind = WG_KIND_VIEW,
                               .min_in = 1,
                               .max_in = 1,
                               .flags = WG_OP_SMOOTH,
                               .infer = slice_infer,
                               .vjp = slice_vjp,
                               .view = slice_view};

static wg_tensor slice(wg_tensor x, int axis, int64_t start, int64_t stop, int64_t step, const char *op)
{
    if (!wg__axis(x, &axis, op)) return wg__nil_of(x);
    if (step < 1)
        return wg__refuse(x, WG_ERR_ARGUMENT, op, "step %lld: must be 1 or more; see wg_flip", (long long)step);
    int64_t size = wg_size(x, axis), first = start < 0 ? start + size : start, last = stop < 0 ? stop + size : stop;
    if (first < 0 || last > size || first > last) {
        return wg__refuse(x, WG_ERR_ARGUMENT, op, "[%lld, %lld) is not within axis %d of size %lld",
                          (long long)start, (long long)stop, axis, (long long)size);
    }
    if (first == 0 && last == size && step == 1) return wg__same(x);
    if (step > size) step = size + 1; /* only the first element, without overflow */
    wg__slice_attr attr = {.axis = axis, .start = first, .stop = last, .step = step};
    return wg_record(&slice_op, &x, 1, &attr, sizeof attr);
}

wg_tensor wg_slice(wg_tensor x, int axis, int64_t start, int64_t stop)
{
    return slice(x, axis, start, stop, 1, "slice");
}

wg_tensor wg_slice_step(wg_tensor x, int axis, int64_t start, int64_t stop, int64_t step)
{
    return slice(x, axis, start, stop, step, "slice_step");
}

wg_tensor wg_select(wg_tensor x, int axis, int64_t index)
{
    if (!wg__axis(x, &axis, "select")) return wg__nil_of(x);
    int64_t size = wg_size(x, axis), at = index < 0 ? index + size : index;
    if (at < 0 || at >= size) {
        return wg__refuse(x, WG_ERR_ARGUMENT, "select", "index %lld is not within axis %d of size %lld",
                          (long long)index, axis, (long long)size);
    }
    return wg_squeeze(slice(x, axis, at, at + 1, 1, "select"), axis);
}

/* ---- flip -------------------------------------------------------------------------------------------- */

static wg_status flip_infer(wg_infer *c)
{
    c->out = c->in[0];
    return WG_OK;
}

static bool flip_view(const wg_shape *in, const wg_layout *from, const wg_shape *out, const void *attr,
                      wg_layout *to)
{
    int64_t axis = ((const wg__axis_attr *)attr)->axis;
    *to = *from;
    if (in->size[axis] > 0) to->offset += (in->size[axis] - 1) * from->stride[axis];
    to->stride[axis] = -from->stride[axis];
    return true;
}

static wg_tensor flip_vjp(const wg_vjp_args *v, int k)
{
    return wg_flip(v->grad, (int)((const wg__axis_attr *)v->attr)->axis);
}

static const wg_op flip_op = {.struct_size = sizeof(wg_op),
                              .name = "flip",
                              .kind = WG_KIND_VIEW,
                              .min_in = 1,
                              .max_in = 1,
                              .flags = WG_OP_SMOOTH,
                              .infer = flip_infer,
                              .vjp = flip_vjp,
                              .view = flip_view};

wg_tensor wg_flip(wg_tensor x, int axis)
{
    if (!wg__axis(x, &axis, "flip")) return wg__nil_of(x);
    wg__axis_attr attr = {.axis = axis};
    return wg_record(&flip_op, &x, 1, &attr, sizeof attr);
}

const wg_op *const wg__view_ops[] = {&wg__reshape_op, &wg__permute_op, &wg__expand_op, &slice_op, &flip_op, NULL};
