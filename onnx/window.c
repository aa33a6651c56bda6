/* Kernel sizes, strides and padding of convolutions and poolings. */
#include "internal.h"

/* A list of one number for each spatial axis; `otherwise` for all if it is not there. */
static bool list_of(wg__call *c, const char *name, int axes, int64_t otherwise, int64_t *out)
{
    const int n = wg__attribute_ints(c->node, name, out, WG_CONV_AXES);
    bool fits = n < 0 || n == axes;
    for (int i = 0; i < axes; i++) {
        if (n < 0) out[i] = otherwise;
        fits = fits && out[i] >= 1 && out[i] < 1 << 30;
    }
    if (!fits) wg__call_fail(c, WG_ERR_SHAPE, "%s are not one number, 1 or more, for each of %d axes", name, axes);
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

bool wg__window_of(wg__call *c, const wg_shape *x, const wg_shape *weight, wg__onnx_window *w)
{
    int64_t pads[2 * WG_CONV_AXES] = {0};
    *w = (wg__onnx_window){.axes = x->rank - 2};
    if (w->axes < 1 || w->axes > WG_CONV_AXES || (weight && weight->rank != x->rank)) {
        wg__call_fail(c, WG_ERR_SHAPE, "1 to 3 spatial axes are known; the operand has %d axes", x->rank);
        return false;
    }
    if (weight && !wg__attribute_has(c->node, "kernel_shape"))
        for (int i = 0; i < w->axes; i++) w->kernel[i] = weight->size[2 + i];
    else if (!list_of(c, "kernel_shape", w->axes, 0, w->kernel))
        return false;
    if (!list_of(c, "strides", w->axes, 1, w->stride) || !list_of(c, "dilations", w->axes, 1, w->dilation))
        return false;
    w->ceil = wg__attribute_int(c->node, "ceil_mode", 0) != 0;
    const bool upper = wg__attribute_is(c->node, "auto_pad", "SAME_UPPER", "NOTSET");
    if (upper || wg__attribute_is(c->node, "auto_pad", "SAME_LOWER", "NOTSET")) {
        pad_same(x, upper, w);
        return true;
    }
    const int n = wg__attribute_ints(c->node, "pads", pads, 2 * WG_CONV_AXES);
    bool fits = n < 0 || n == 2 * w->axes || wg__attribute_is(c->node, "auto_pad", "VALID", "NOTSET");
    for (int i = 0; i < 2 * w->axes; i++) fits = fits && pads[i] >= 0 && pads[i] < 1 << 30;
    if (!fits) {
        wg__call_fail(c, WG_ERR_SHAPE, "pads are not two numbers, 0 or more, for each of %d axes", w->axes);
        return false;
    }
    for (int i = 0; i < w->axes && n >= 0 && !wg__attribute_is(c->node, "auto_pad", "VALID", "NOTSET"); i++) {
        w->before[i] = pads[i];
        w->after[i] = pads[w->axes + i];
    }
    return true;
}
