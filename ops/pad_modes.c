/* Padding by an axis' own elements: concatenations of its views. */
#include "internal.h"

/* One element of the axis, `count` times. */
static wg_tensor edge(wg_tensor x, int axis, int64_t index, int64_t count)
{
    wg_shape shape = wg_shape_get(x);
    shape.size[axis] = count;
    return wg_expand(wg_slice(x, axis, index, index + 1), shape);
}

/* The part before or after x, whose axis has n elements. */
static wg_tensor part(wg_tensor x, int axis, int64_t n, int64_t count, bool after, wg_pad_mode mode)
{
    switch (mode) {
    case WG_PAD_REFLECT:
        return wg_flip(after ? wg_slice(x, axis, n - 1 - count, n - 1) : wg_slice(x, axis, 1, 1 + count), axis);
    case WG_PAD_REPLICATE: return edge(x, axis, after ? n - 1 : 0, count);
    default: return after ? wg_slice(x, axis, 0, count) : wg_slice(x, axis, n - count, n);
    }
}

wg_tensor wg_pad_by(wg_tensor x, int axis, int64_t before, int64_t after, wg_pad_mode mode)
{
    static const char *const rules[] = {"by reflection must be smaller than the axis",
                                        "needs an element to replicate",
                                        "by the other end must not be larger than the axis"};
    const char *op = "pad_by";
    if ((unsigned)mode > WG_PAD_CIRCULAR)
        return wg_fail(x, WG_ERR_ARGUMENT, op, "mode %d is none of wg_pad_mode", (int)mode);
    if (!wg__axis(x, &axis, op)) return wg__nil_of(x);
    if (before < 0 || after < 0)
        return wg__refuse(x, WG_ERR_ARGUMENT, op, "%lld before and %lld after axis %d: must not be negative",
                          (long long)before, (long long)after, axis);
    const int64_t n = wg_size(x, axis), limit = mode == WG_PAD_REFLECT    ? n - 1
                                                : mode == WG_PAD_CIRCULAR ? n
                                                : n > 0                   ? INT64_MAX
                                                                          : 0;
    if (before > limit || after > limit)
        return wg__refuse(x, WG_ERR_SHAPE, op, "%lld before and %lld after axis %d: padding %s", (long long)before,
                          (long long)after, axis, rules[mode]);
    wg_tensor parts[3];
    int count = 0;
    if (before > 0) parts[count++] = part(x, axis, n, before, false, mode);
    parts[count++] = x;
    if (after > 0) parts[count++] = part(x, axis, n, after, true, mode);
    return wg_concat(parts, count, axis);
}
