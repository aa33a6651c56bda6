/* The same elements under another shape: views. Numbers known while recording keep their memory where they can. */
#include <string.h>

#include "internal.h"

/* Result 0: operand 0 with another shape of as many elements. */
static void set_reshaped(wg__call *c, wg_shape shape)
{
    const wg__known_item *x = wg__in(c, 0);
    int64_t have, want;
    wg_shape_numel(&x->shape, &have);
    if (!x->host || !wg_shape_numel(&shape, &want) || have != want)
        wg__set(c, 0, wg_reshape(wg__tensor(c, 0), shape), x->type);
    else
        wg__set_known(c, 0, shape, x->host, x->type);
}

/* ---- Reshape, Flatten ---- */

/* 0: the operand's size, unless allowzero; -1: what is left. */
static void record_reshape(wg__call *c)
{
    const wg_shape x = wg__shape_of(c, 0);
    int64_t size[WG_MAX_RANK], numel, product = 1;
    const int rank = wg__known_ints(c, 1, size, WG_MAX_RANK);
    int inferred = -1;
    if (rank < 0) return;
    for (int i = 0; i < rank; i++) {
        if (size[i] == 0 && !wg__attribute_int(c->node, "allowzero", 0)) size[i] = i < x.rank ? x.size[i] : 0;
        if (size[i] < -1 || (size[i] == -1 && inferred >= 0) ||
            __builtin_mul_overflow(product, size[i], &product)) {
            wg__call_fail(
                c, WG_ERR_SHAPE,
                "size %d of the shape is %lld: sizes are 0 or more, one is -1, and their product is below 2^63", i,
                (long long)size[i]);
            return;
        }
        if (size[i] == -1) inferred = i, product = -product;
    }
    wg_shape_numel(&x, &numel);
    if (inferred >= 0) size[inferred] = product > 0 ? numel / product : 0;
    set_reshaped(c, wg_shape_of(rank, size));
}

static void record_flatten(wg__call *c)
{
    const wg_shape x = wg__shape_of(c, 0);
    int64_t axis = wg__attribute_int(c->node, "axis", 1), size[2] = {1, 1};
    if (axis < 0) axis += x.rank;
    if (axis < 0 || axis > x.rank) {
        wg__call_fail(c, WG_ERR_ARGUMENT, "axis %lld is not one of %d", (long long)axis, x.rank);
        return;
    }
    for (int i = 0; i < x.rank; i++) size[i >= axis] *= x.size[i];
    set_reshaped(c, wg_shape_of(2, size));
}

/* ---- Squeeze, Unsqueeze ---- */

static void record_squeeze(wg__call *c)
{
    const wg_shape x = wg__shape_of(c, 0);
    int64_t axes[WG_MAX_RANK], size[WG_MAX_RANK];
    const int n = wg__ints_of(c, 1, "axes", axes, WG_MAX_RANK);
    bool removed[WG_MAX_RANK] = {false};
    int rank = 0;
    for (int i = 0; i < x.rank; i++) removed[i] = n < 0 && x.size[i] == 1;
    for (int i = 0; i < n && !wg__call_failed(c); i++) {
        const int axis = wg__call_axis(c, axes[i], x.rank);
        if (!wg__call_failed(c) && x.size[axis] != 1)
            wg__call_fail(c, WG_ERR_SHAPE, "axis %d has size %lld, not 1", axis, (long long)x.size[axis]);
        removed[axis] = true;
    }
    if (wg__call_failed(c)) return;
    for (int i = 0; i < x.rank; i++)
        if (!removed[i]) size[rank++] = x.size[i];
    set_reshaped(c, wg_shape_of(rank, size));
}

static void record_unsqueeze(wg__call *c)
{
    const wg_shape x = wg__shape_of(c, 0);
    int64_t axes[WG_MAX_RANK], size[WG_MAX_RANK];
    const int n = wg__ints_of(c, 1, "axes", axes, WG_MAX_RANK);
    bool added[WG_MAX_RANK] = {false};
    if (n < 0 || x.rank + n > WG_MAX_RANK) {
        wg__call_fail(c, WG_ERR_SHAPE, "there are no axes, or the result has more than %d", WG_MAX_RANK);
        return;
    }
    for (int i = 0; i < n; i++) {
        const int axis = wg__call_axis(c, axes[i], x.rank + n);
        if (wg__call_failed(c)) return;
        if (added[axis]) {
            wg__call_fail(c, WG_ERR_ARGUMENT, "axis %d twice", axis);
            return;
        }
        added[axis] = true;
    }
    for (int i = 0, from = 0; i < x.rank + n; i++) size[i] = added[i] ? 1 : x.size[from++];
    set_reshaped(c, wg_shape_of(x.rank + n, size));
}

/* ---- Transpose, Expand ---- */

/* Result 0 from the numbers of operand 0 by strides, if they are known and the result is to be, too. */
static bool set_strided(wg__call *c, wg_shape shape, int64_t offset, const int64_t *stride)
{
    const wg__known_item *x = wg__in(c, 0);
    if (!x->host || !wg__keep_known(c, &shape)) return false;
    double *out = wg__numbers_new(c, &shape);
    if (out) wg__known_strided(x->host, offset, stride, &shape, out);
    wg__set_known(c, 0, shape, out, x->type);
    return true;
}

static void record_transpose(wg__call *c)
{
    const wg_shape x = wg__shape_of(c, 0);
    int64_t order[WG_MAX_RANK], from[WG_MAX_RANK], stride[WG_MAX_RANK];
    wg_shape shape = x;
    wg_axes axes = {.n = x.rank};
    const int n = wg__attribute_ints(c->node, "perm", order, WG_MAX_RANK);
    if (n >= 0 && n != x.rank) {
        wg__call_fail(c, WG_ERR_ARGUMENT, "perm has %d axes, the operand %d", n, x.rank);
        return;
    }
    wg__strides_of(&x, from);
    unsigned seen = 0;
    for (int i = 0; i < x.rank; i++) {
        const int axis = wg__call_axis(c, n < 0 ? x.rank - 1 - i : order[i], x.rank);
        seen |= 1u << axis;
        axes.axis[i] = axis;
        shape.size[i] = x.size[axis];
        stride[i] = from[axis];
    }
    if (seen != (1u << x.rank) - 1) wg__call_fail(c, WG_ERR_ARGUMENT, "perm does not have every axis once");
    if (wg__call_failed(c) || set_strided(c, shape, 0, stride)) return;
    const wg_tensor y = wg__tensor(c, 0);
    wg__set(c, 0, x.rank > 1 ? wg_permute(y, axes) : y, wg__type_of(c, 0));
}

static void record_expand(wg__call *c)
{
    const wg_shape x = wg__shape_of(c, 0);
    int64_t size[WG_MAX_RANK], from[WG_MAX_RANK], stride[WG_MAX_RANK];
    const int rank = wg__known_ints(c, 1, size, WG_MAX_RANK);
    if (rank < 0) return;
    wg_shape shape = wg_shape_of(rank, size);
    int64_t numel;
    if (!wg_shape_broadcast(&x, &shape, &shape) || !wg_shape_numel(&shape, &numel)) {
        wg__call_fail(c, WG_ERR_SHAPE, "the operand does not broadcast to the shape");
        return;
    }
    wg__strides_of(&x, from);
    for (int i = 0, o = i - (shape.rank - x.rank); i < shape.rank; i++, o++)
        stride[i] = o >= 0 && x.size[o] != 1 ? from[o] : 0;
    if (set_strided(c, shape, 0, stride)) return;
    wg__set(c, 0, wg_expand(wg__tensor(c, 0), shape), wg__type_of(c, 0));
}

/* ---- Slice ---- */

/* A slice of one axis: count elements from start on. */
typedef struct range {
    int64_t start, count, step;
} range;

static int64_t clamped(int64_t i, int64_t low, int64_t high) { return i < low ? low : i > high ? high : i; }

/* As in NumPy: bounds count from the end if negative, and are clamped. */
static range range_of(int64_t n, int64_t start, int64_t end, int64_t step)
{
    if (n == 0) return (range){0, 0, 1};
    if (start < 0) start += n;
    if (end < 0) end += n;
    const bool up = step > 0;
    start = clamped(start, 0, up ? n : n - 1);
    end = clamped(end, up ? 0 : -1, up ? n : n - 1);
    const int64_t span = up ? end - start : start - end;
    if (span <= 0) return (range){0, 0, 1};
    if (step == INT64_MIN) step++;
    const int64_t size = up ? step : -step;
    return (range){start, (span - 1) / size + 1, step};
}

static wg_tensor slice_axis(wg_tensor x, int axis, range r)
{
    const int64_t n = wg_size(x, axis);
    if (r.count == 0) return wg_slice(x, axis, 0, 0);
    if (r.step < 0) {
        x = wg_flip(x, axis);
        r = (range){n - 1 - r.start, r.count, -r.step};
    }
    if (r.count == 1) r.step = 1;
    const int64_t stop = r.start + (r.count - 1) * r.step + 1;
    if (r.start == 0 && stop == n && r.step == 1) return x;
    return r.step == 1 ? wg_slice(x, axis, r.start, stop) : wg_slice_step(x, axis, r.start, stop, r.step);
}

static void record_slice(wg__call *c)
{
    wg_shape shape = wg__shape_of(c, 0);
    int64_t start[WG_MAX_RANK], end[WG_MAX_RANK], axes[WG_MAX_RANK], step[WG_MAX_RANK];
    const int n = wg__ints_of(c, 1, "starts", start, WG_MAX_RANK), m = wg__ints_of(c, 2, "ends", end, WG_MAX_RANK);
    const int n_axes = wg__ints_of(c, 3, "axes", axes, WG_MAX_RANK),
              n_steps = wg__known_ints(c, 4, step, WG_MAX_RANK);
    if (wg__call_failed(c)) return;
    if (n < 0 || n != m || (n_axes >= 0 && n_axes != n) || (n_steps >= 0 && n_steps != n) || n > shape.rank) {
        wg__call_fail(c, WG_ERR_SHAPE, "starts, ends, axes and steps have different lengths");
        return;
    }
    range ranges[WG_MAX_RANK];
    int64_t stride[WG_MAX_RANK], offset = 0;
    for (int i = 0; i < shape.rank; i++) ranges[i] = (range){0, shape.size[i], 1};
    wg__strides_of(&shape, stride);
    for (int i = 0; i < n; i++) {
        const int axis = wg__call_axis(c, n_axes >= 0 ? axes[i] : i, shape.rank);
        if (n_steps >= 0 && step[i] == 0) wg__call_fail(c, WG_ERR_ARGUMENT, "a step of 0");
        if (wg__call_failed(c)) return;
        ranges[axis] = range_of(shape.size[axis], start[i], end[i], n_steps >= 0 ? step[i] : 1);
    }
    for (int i = 0; i < shape.rank; i++) {
        shape.size[i] = ranges[i].count;
        offset += ranges[i].start * stride[i];
        stride[i] = ranges[i].count > 1 ? stride[i] * ranges[i].step : 0;
    }
    if (set_strided(c, shape, offset, stride)) return;
    wg_tensor y = wg__tensor(c, 0);
    for (int i = 0; i < shape.rank; i++) y = slice_axis(y, i, ranges[i]);
    wg__set(c, 0, y, wg__type_of(c, 0));
}

/* ---- Shape, Size, Identity ---- */

static void record_shape(wg__call *c)
{
    const wg_shape x = wg__shape_of(c, 0);
    int64_t start = wg__attribute_int(c->node, "start", 0), end = wg__attribute_int(c->node, "end", x.rank);
    start = clamped(start < 0 ? start + x.rank : start, 0, x.rank);
    end = clamped(end < 0 ? end + x.rank : end, 0, x.rank);
    const wg_shape shape = WG_DIMS(end > start ? end - start : 0);
    double *out = wg__numbers_new(c, &shape);
    for (int64_t i = start; out && i < end; i++) out[i - start] = (double)x.size[i];
    wg__set_known(c, 0, shape, out, WG__INT64);
}

static void record_size(wg__call *c)
{
    const wg_shape x = wg__shape_of(c, 0), scalar = WG_SCALAR;
    int64_t n;
    double *out = wg__numbers_new(c, &scalar);
    if (out && wg_shape_numel(&x, &n)) out[0] = (double)n;
    wg__set_known(c, 0, scalar, out, WG__INT64);
}

static void record_identity(wg__call *c) { wg__set_item(c, 0, wg__in(c, 0)); }

/* ---- DepthToSpace, SpaceToDepth: x[N, C, H, W], blocks of b x b ---- */

/* The size of blocks, which must divide what is cut: the channels into b b parts, or the height and the width. No size
 * of the result exceeds an int64. */
static bool blocks_of(wg__call *c, const wg_shape *x, bool of_channels, int64_t *b)
{
    *b = wg__attribute_int(c->node, "blocksize", 0);
    if (x->rank != 4 || *b < 1 || *b > INT16_MAX) {
        wg__call_fail(c, WG_ERR_SHAPE, "the operand has %d axes, not 4, or blocksize is %lld, not 1 to %d", x->rank,
                      (long long)*b, INT16_MAX);
        return false;
    }
    if (x->size[1] > INT32_MAX || x->size[2] > INT32_MAX || x->size[3] > INT32_MAX) {
        wg__call_fail(c, WG_ERR_SHAPE, "a size of the operand is above %d", INT32_MAX);
        return false;
    }
    if (of_channels ? x->size[1] % (*b * *b) == 0 : x->size[2] % *b == 0 && x->size[3] % *b == 0) return true;
    wg__call_fail(c, WG_ERR_SHAPE, "blocks of %lld x %lld do not divide the %s", (long long)*b, (long long)*b,
                  of_channels ? "channels" : "height and width");
    return false;
}

static void record_depth_to_space(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    const wg_shape s = wg_shape_get(x);
    int64_t b;
    if (!blocks_of(c, &s, true, &b)) return;
    const int64_t channels = s.size[1] / (b * b);
    const bool columns = wg__attribute_is(c->node, "mode", "CRD", "DCR");
    const wg_tensor parts = columns ? wg_reshape(x, WG_DIMS(s.size[0], channels, b, b, s.size[2], s.size[3]))
                                    : wg_reshape(x, WG_DIMS(s.size[0], b, b, channels, s.size[2], s.size[3]));
    const wg_tensor y = wg_permute(parts, columns ? WG_AXES(0, 1, 4, 2, 5, 3) : WG_AXES(0, 3, 4, 1, 5, 2));
    wg__set(c, 0, wg_reshape(y, WG_DIMS(s.size[0], channels, s.size[2] * b, s.size[3] * b)), wg__type_of(c, 0));
}

static void record_space_to_depth(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    const wg_shape s = wg_shape_get(x);
    int64_t b;
    if (!blocks_of(c, &s, false, &b)) return;
    const int64_t height = s.size[2] / b, width = s.size[3] / b;
    const wg_tensor parts = wg_reshape(x, WG_DIMS(s.size[0], s.size[1], height, b, width, b));
    const bool columns = wg__attribute_is(c->node, "mode", "CRD", "DCR");
    const wg_tensor y = wg_permute(parts, columns ? WG_AXES(0, 1, 3, 5, 2, 4) : WG_AXES(0, 3, 5, 1, 2, 4));
    wg__set(c, 0, wg_reshape(y, WG_DIMS(s.size[0], s.size[1] * b * b, height, width)), wg__type_of(c, 0));
}

const wg__onnx_row wg__onnx_shape[] = {
    {"Reshape", record_reshape, 6, 2, 2, "allowzero=i", 2, WG__ON_HOST},
    {"Flatten", record_flatten, 6, 1, 1, "axis=i", 0, WG__ON_HOST},
    {"Squeeze", record_squeeze, 6, 1, 2, "axes=I", 2, WG__ON_HOST},
    {"Unsqueeze", record_unsqueeze, 6, 1, 2, "axes=I", 2, WG__ON_HOST},
    {"Transpose", record_transpose, 6, 1, 1, "perm=I", 0, WG__ON_HOST},
    {"Expand", record_expand, 8, 2, 2, NULL, 2, WG__ON_HOST},
    {"Slice", record_slice, 6, 1, 5, "starts=I ends=I axes=I", 2 | 4 | 8 | 16, WG__ON_HOST},
    {"Shape", record_shape, 6, 1, 1, "start=i end=i", 0, WG__SIZES_ONLY},
    {"Size", record_size, 6, 1, 1, NULL, 0, WG__SIZES_ONLY},
    {"Identity", record_identity, 6, 1, 1, NULL, 0, WG__ON_HOST},
    {"DepthToSpace", record_depth_to_space, 6, 1, 1, "blocksize=i mode=s:DCR|CRD"},
    {"SpaceToDepth", record_space_to_depth, 6, 1, 1, "blocksize=i mode=s:DCR|CRD"},
    {NULL},
};
