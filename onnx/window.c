/* Kernel sizes, strides and padding of convolutions and poolings. */
#include "internal.h"

bool wg__window_list(wg__call *c, const char *name, int n, int64_t least, int64_t *out)
{
    const int given = wg__attribute_ints(c->node, name, out, n);
    bool fits = given < 0 || given == n;
    for (int i = 0; i < n; i++) fits = fits && out[i] >= least && out[i] < 1 << 30;
    if (!fits)
        wg__call_fail(c, WG_ERR_SHAPE, "%s must be %d numbers from %lld to 2^30 - 1", name, n, (long long)least);
    return fits;
}

/* Before or after half of what the last window needs beyond the axis. */
static void pad_same(const wg_shape *x, bool upper, wg__onnx_window *w)
{
    for (int i = 0; i < w->axes; i++) {
        const int64_t n = x->size[2 + i], outputs = (n + w->stride[i] - 1) / w->stride[i];
        const int64_t need = (outputs - 1) * w->stride[i] + w->dilation[i] * (w->kernel[i] - 1) + 1 - n;
        const int64_t all = need > 0 ? need : 0;
        w->before[i] = upper ? all / 2 : all - all / 2;
        w->after[i] = all - w->before[i];
    }
}

/* Kernel sizes, strides and dilations; x is bounded, too, so that sums of their products are int64. */
static bool sizes_of(wg__call *c, const wg_shape *x, const wg_shape *weight, wg__onnx_window *w)
{
    for (int i = 0; i < w->axes; i++) {
        w->kernel[i] = weight ? weight->size[2 + i] : 0;
        w->stride[i] = w->dilation[i] = 1;
        if (x->size[2 + i] <= INT32_MAX) continue;
        wg__call_fail(c, WG_ERR_SHAPE, "axis %d has size %lld, above %d", 2 + i, (long long)x->size[2 + i],
                      INT32_MAX);
        return false;
    }
    if (!wg__window_list(c, "kernel_shape", w->axes, 1, w->kernel) ||
        !wg__window_list(c, "strides", w->axes, 1, w->stride) ||
        !wg__window_list(c, "dilations", w->axes, 1, w->dilation))
        return false;
    for (int i = 0; weight && i < w->axes; i++) {
        if (w->kernel[i] == weight->size[2 + i]) continue;
        wg__call_fail(c, WG_ERR_SHAPE, "kernel_shape has %lld for axis %d, the weight %lld",
                      (long long)w->kernel[i], 2 + i, (long long)weight->size[2 + i]);
        return false;
    }
    return true;
}

bool wg__window_of(wg__call *c, const wg_shape *x, const wg_shape *weight, wg__onnx_window *w)
{
    int64_t pads[2 * WG_CONV_AXES] = {0};
    *w = (wg__onnx_window){.axes = x->rank - 2};
    if (w->axes < 1 || w->axes > WG_CONV_AXES || (weight && weight->rank != x->rank)) {
        wg__call_fail(c, WG_ERR_SHAPE, "1 to 3 spatial axes are known; the operand has %d axes", x->rank);
        return false;
    }
    if (!sizes_of(c, x, weight, w)) return false;
    w->ceil = wg__attribute_int(c->node, "ceil_mode", 0) != 0;
    const bool upper = wg__attribute_is(c->node, "auto_pad", "SAME_UPPER", "NOTSET");
    if (upper || wg__attribute_is(c->node, "auto_pad", "SAME_LOWER", "NOTSET")) {
        pad_same(x, upper, w);
        return true;
    }
    if (wg__attribute_is(c->node, "auto_pad", "VALID", "NOTSET")) return true; /* without pads */
    if (!wg__window_list(c, "pads", 2 * w->axes, 0, pads)) return false;
    for (int i = 0; i < w->axes; i++) {
        w->before[i] = pads[i];
        w->after[i] = pads[w->axes + i];
    }
    return true;
}
