/* Joining, splitting, repeating and padding; dropout. */
#include <string.h>

#include "internal.h"

/* ---- Concat ---- */

/* Copies the operands' blocks side by side. */
static void known_concat(wg__call *c, wg_shape shape, int axis)
{
    double *out = wg__numbers_new(c, &shape);
    int64_t outer = 1, at = 0, all;
    for (int i = 0; i < axis; i++) outer *= shape.size[i];
    wg_shape_numel(&shape, &all);
    for (int64_t o = 0; out && all > 0 && o < outer; o++)
        for (int k = 0; k < c->n_in; k++) {
            const wg__known_item *x = wg__in(c, k);
            int64_t block;
            wg_shape_numel(&x->shape, &block);
            block /= outer;
            if (block) memcpy(out + at, x->host + o * block, (size_t)block * sizeof *out);
            at += block;
        }
    wg__set_known(c, 0, shape, out, wg__type_of(c, 0));
}

static void record_concat(wg__call *c)
{
    wg_shape shape = wg__shape_of(c, 0);
    const int axis = wg__call_axis(c, wg__attribute_int(c->node, "axis", 0), shape.rank);
    bool fits = !wg__call_failed(c);
    for (int k = 1; k < c->n_in && fits; k++) {
        const wg_shape next = wg__shape_of(c, k);
        fits = next.rank == shape.rank;
        for (int i = 0; i < shape.rank && fits; i++) fits = i == axis || next.size[i] == shape.size[i];
        fits = fits && !__builtin_add_overflow(shape.size[axis], next.size[axis], &shape.size[axis]);
    }
    if (fits && wg__all_known(c) && wg__keep_known(c, &shape)) {
        known_concat(c, shape, axis);
        return;
    }
    wg_tensor *x = wg__arena_array(c->arena, (uint64_t)c->n_in, sizeof *x);
    if (!x) wg__call_fail(c, WG_ERR_MEMORY, "out of memory");
    for (int k = 0; x && k < c->n_in; k++) x[k] = wg__tensor(c, k);
    if (x && !wg__call_failed(c)) wg__set(c, 0, wg_concat(x, c->n_in, axis), wg__type_of(c, 0));
}

/* ---- Split ---- */

/* The sizes of the parts: an operand, an attribute, or equal ones of which the last may be smaller. */
static bool split_sizes(wg__call *c, int64_t n, int64_t *sizes)
{
    const int given = wg__ints_of(c, 1, "split", sizes, c->n_out);
    if (wg__call_failed(c)) return false;
    if (given >= 0 && given != c->n_out) {
        wg__call_fail(c, WG_ERR_SHAPE, "%d sizes for %d parts", given, c->n_out);
        return false;
    }
    const int64_t size = n / c->n_out + (n % c->n_out != 0);
    for (int k = 0; given < 0 && k < c->n_out; k++) {
        sizes[k] = size < n ? size : n;
        n -= sizes[k];
    }
    return true;
}

static void record_split(wg__call *c)
{
    const wg__known_item *x = wg__in(c, 0);
    const wg_shape shape = wg__shape_of(c, 0);
    const int axis = wg__call_axis(c, wg__attribute_int(c->node, "axis", 0), shape.rank);
    int64_t *sizes = wg__arena_array(c->arena, (uint64_t)c->n_out, sizeof *sizes), stride[WG_MAX_RANK], start = 0;
    if (!sizes) wg__call_fail(c, WG_ERR_MEMORY, "out of memory");
    if (wg__call_failed(c) || !split_sizes(c, shape.size[axis], sizes)) return;
    wg__strides_of(&shape, stride);
    for (int k = 0; k < c->n_out && !wg__call_failed(c); start += sizes[k++]) {
        if (sizes[k] < 0 || sizes[k] > shape.size[axis] - start) {
            wg__call_fail(c, WG_ERR_SHAPE, "the parts have more elements than axis %d", axis);
            return;
        }
        wg_shape part = shape;
        part.size[axis] = sizes[k];
        if (!x->host || !wg__keep_known(c, &shape)) {
            wg__set(c, k, wg_slice(wg__tensor(c, 0), axis, start, start + sizes[k]), x->type);
            continue;
        }
        double *out = wg__numbers_new(c, &part);
        if (out) wg__known_strided(x->host, start * stride[axis], stride, &part, out);
        wg__set_known(c, k, part, out, x->type);
    }
}

/* ---- Tile ---- */

static void known_tile(wg__call *c, const wg_shape *shape)
{
    const wg__known_item *x = wg__in(c, 0);
    double *out = wg__numbers_new(c, shape);
    int64_t n;
    wg_shape_numel(shape, &n);
    for (int64_t i = 0; out && i < n; i++) {
        int64_t rest = i, index = 0, step = 1;
        for (int axis = shape->rank - 1; axis >= 0; axis--) {
            index += rest % shape->size[axis] % x->shape.size[axis] * step;
            rest /= shape->size[axis];
            step *= x->shape.size[axis];
        }
        out[i] = x->host[index];
    }
    wg__set_known(c, 0, *shape, out, x->type);
}

/* An axis repeated: a new axis before it, expanded, and both made one. */
static wg_tensor tile_axis(wg_tensor x, int axis, int64_t times)
{
    wg_shape shape = wg_shape_get(x);
    if (times == 1) return x;
    wg_tensor y = wg_unsqueeze(x, axis);
    wg_shape wide = wg_shape_get(y);
    if (wide.rank < 0) return y;
    wide.size[axis] = times;
    shape.size[axis] *= times;
    return wg_reshape(wg_expand(y, wide), shape);
}

static void record_tile(wg__call *c)
{
    wg_shape shape = wg__shape_of(c, 0);
    int64_t times[WG_MAX_RANK], numel;
    const int n = wg__known_ints(c, 1, times, WG_MAX_RANK);
    bool fits = n == shape.rank;
    for (int i = 0; i < n && fits; i++)
        fits = times[i] >= 0 && !__builtin_mul_overflow(shape.size[i], times[i], &shape.size[i]);
    if (!fits || !wg_shape_numel(&shape, &numel)) {
        wg__call_fail(c, WG_ERR_SHAPE, "repeats do not fit the operand");
        return;
    }
    if (wg__is_known(c, 0) && wg__keep_known(c, &shape)) {
        known_tile(c, &shape);
        return;
    }
    wg_tensor y = wg__tensor(c, 0);
    for (int i = 0; i < n && !wg__call_failed(c); i++) y = tile_axis(y, i, times[i]);
    wg__set(c, 0, y, wg__type_of(c, 0));
}

/* ---- Pad ---- */

/* The texts of `mode`, in their order; CONSTANT has its own op. */
#define MODES "mode=s:constant|reflect|edge|wrap"
enum { CONSTANT };
static const wg_pad_mode modes[] = {[1] = WG_PAD_REFLECT, WG_PAD_REPLICATE, WG_PAD_CIRCULAR};

static wg_tensor pad_axis(wg__call *c, wg_tensor x, int axis, int64_t before, int64_t after, double value)
{
    const int64_t n = wg_size(x, axis);
    const int mode = wg__attribute_choice(c->node, "mode", CONSTANT);
    if (before < -n || after < -n || (before < 0 && after < 0 && -before > n + after)) {
        wg__call_fail(c, WG_ERR_SHAPE, "axis %d is cut by more than its size %lld", axis, (long long)n);
        return x;
    }
    const int64_t cut = before < 0 ? -before : 0, left = after < 0 ? -after : 0;
    if (cut || left) x = wg_slice(x, axis, cut, n - left);
    before += cut, after += left;
    if (before == 0 && after == 0) return x;
    if (mode == CONSTANT) return wg_pad_value(x, axis, before, after, value);
    return wg_pad_by(x, axis, before, after, modes[mode]);
}

static void record_pad(wg__call *c)
{
    wg_tensor x = wg__tensor(c, 0);
    int64_t pads[2 * WG_MAX_RANK], axes[WG_MAX_RANK];
    const int rank = wg_rank(x), n = wg__ints_of(c, 1, "pads", pads, 2 * WG_MAX_RANK);
    const int n_axes = wg__known_ints(c, 3, axes, WG_MAX_RANK), count = n_axes >= 0 ? n_axes : rank;
    const double value = wg__known_scalar(c, 2, wg__attribute_float(c->node, "value", 0));
    if (wg__call_failed(c)) return;
    if (n != 2 * count) {
        wg__call_fail(c, WG_ERR_SHAPE, "%d pads for %d axes", n, count);
        return;
    }
    for (int i = 0; i < count && !wg__call_failed(c); i++) {
        const int axis = wg__call_axis(c, n_axes >= 0 ? axes[i] : i, rank);
        x = pad_axis(c, x, axis, pads[i], pads[count + i], value);
    }
    wg__set(c, 0, x, wg__type_of(c, 0));
}

/* ---- Dropout ---- */

/* The operand, unless training_mode is set: then as wg_dropout, by the tape's mode. */
static void record_dropout(wg__call *c)
{
    const double ratio = wg__known_scalar(c, 1, wg__attribute_float(c->node, "ratio", 0.5));
    const bool training = wg__known_scalar(c, 2, 0) != 0;
    if (wg__call_failed(c)) return;
    if (!training || ratio == 0)
        wg__set_item(c, 0, wg__in(c, 0));
    else
        wg__set(c, 0, wg_dropout(wg__tensor(c, 0), ratio), wg__type_of(c, 0));
    if (!wg__wants(c, 1)) return;
    if (training && ratio > 0 && wg_is_training(c->tape))
        wg__call_fail(c, WG_ERR_ARGUMENT, "its mask is not available");
    wg__set(c, 1, wg_full(c->tape, WG_BOOL, wg__shape_of(c, 0), 1), WG__BOOLEAN);
}

const wg__onnx_row wg__onnx_join[] = {
    {"Concat", record_concat, 6, 1, -1, "axis=i", 0, WG__ON_HOST},
    {"Split", record_split, 6, 1, 2, "axis=i split=I num_outputs=i", 2, WG__ON_HOST},
    {"Tile", record_tile, 6, 2, 2, NULL, 2, WG__ON_HOST},
    {"Pad", record_pad, 6, 1, 4, MODES " pads=I value=f", 2 | 4 | 8},
    {"Dropout", record_dropout, 6, 1, 3, "is_test=i ratio=f seed=i", 2 | 4},
    {NULL},
};
