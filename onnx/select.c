/* Elements chosen by their values, by a condition, or by lengths: TopK, NonZero, Compress, ReverseSequence. */
#include "internal.h"

static void record_topk(wg__call *c)
{
    const bool real = wg__type_is_float(wg__type_of(c, 0));
    const int64_t k = wg__known_integer(c, 1, wg__attribute_int(c->node, "k", 1));
    const bool largest = wg__attribute_int(c->node, "largest", 1) != 0;
    wg_tensor x = wg__tensor(c, 0), index;
    const int axis = wg__call_axis(c, wg__attribute_int(c->node, "axis", -1), wg_rank(x));
    if (wg__call_failed(c)) return;
    if (k < 0 || k > INT32_MAX) {
        wg__call_fail(c, WG_ERR_ARGUMENT, "k is %lld, not 0 to %d", (long long)k, INT32_MAX);
        return;
    }
    if (!real) x = wg_cast(x, WG_F64);
    const wg_tensor y = wg_topk(x, (int)k, axis, largest, &index);
    wg__set(c, 0, real ? y : wg_cast(y, WG_I32), wg__type_of(c, 0));
    wg__set(c, 1, index, WG__INT64);
}

/* The coordinates of numbers that are not 0: [rank, n]. */
static void record_nonzero(wg__call *c)
{
    const wg_shape x = wg__shape_of(c, 0);
    int64_t n, found = 0, stride[WG_MAX_RANK], at = 0;
    const double *numbers = wg__known(c, 0, &n);
    for (int64_t i = 0; numbers && i < n; i++) found += numbers[i] != 0;
    const wg_shape shape = WG_DIMS(x.rank, found);
    double *out = numbers ? wg__numbers_new(c, &shape) : NULL;
    if (!out) return;
    wg__strides_of(&x, stride);
    for (int64_t i = 0; i < n; i++) {
        if (numbers[i] == 0) continue;
        for (int axis = 0; axis < x.rank; axis++)
            out[axis * found + at] = (double)(i / stride[axis] % x.size[axis]);
        at++;
    }
    wg__set_known(c, 0, shape, out, WG__INT64);
}

/* The elements, or the slices along the axis, whose condition is true; it may be shorter than the axis. */
static void record_compress(wg__call *c)
{
    wg_tensor x = wg__tensor(c, 0);
    int64_t n, found = 0;
    const double *chosen = wg__known(c, 1, &n);
    const bool whole = !wg__attribute_has(c->node, "axis");
    const int axis = whole ? 0 : wg__call_axis(c, wg__attribute_int(c->node, "axis", 0), wg_rank(x));
    if (wg__call_failed(c)) return;
    if (whole) x = wg_reshape(x, WG_DIMS(wg_numel(x)));
    if (n > wg_size(x, axis)) {
        wg__call_fail(c, WG_ERR_SHAPE, "the condition has %lld elements, more than the %lld of the axis",
                      (long long)n, (long long)wg_size(x, axis));
        return;
    }
    const wg_shape most = WG_DIMS(n);
    double *index = wg__numbers_new(c, &most);
    if (!index) return;
    for (int64_t i = 0; i < n; i++)
        if (chosen[i] != 0) index[found++] = (double)i;
    const wg_tensor rows = wg__data_of(c, WG_DIMS(found), index, WG__INT64);
    wg__set(c, 0, wg_index_select(x, axis, rows), wg__type_of(c, 0));
}

/* The first `length` steps of each sequence in reverse; the others stay. */
static void record_reverse_sequence(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0), lengths = wg__tensor(c, 1);
    const int64_t time = wg__attribute_int(c->node, "time_axis", 0),
                  batch = wg__attribute_int(c->node, "batch_axis", 1);
    wg_shape shape = wg_shape_get(x), line = {.rank = shape.rank};
    if (shape.rank < 2 || time < 0 || time > 1 || batch != 1 - time) {
        wg__call_fail(c, WG_ERR_ARGUMENT, "time_axis and batch_axis are not 0 and 1");
        return;
    }
    for (int i = 0; i < shape.rank; i++) line.size[i] = 1;
    wg_shape steps = line, sequences = line;
    steps.size[time] = shape.size[time];
    sequences.size[batch] = shape.size[batch];
    const wg_tensor t = wg_reshape(wg_arange(c->tape, WG_I32, 0, 1, shape.size[time]), steps);
    const wg_tensor n = wg_reshape(lengths, sequences);
    const wg_tensor index = wg_where(wg_less(t, n), wg_sub_scalar(wg_sub(n, t), 1), t);
    wg__set(c, 0, wg_gather(x, (int)time, wg_expand(index, shape)), wg__type_of(c, 0));
}

const wg__onnx_row wg__onnx_select[] = {
    {"TopK", record_topk, 6, 1, 2, "axis=i k=i largest=i sorted=i", 2},
    {"NonZero", record_nonzero, 9, 1, 1, NULL, 1, WG__ON_HOST},
    {"Compress", record_compress, 9, 2, 2, "axis=i", 2},
    {"ReverseSequence", record_reverse_sequence, 10, 2, 2, "batch_axis=i time_axis=i"},
    {NULL},
};
