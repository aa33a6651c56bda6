/* Convolutions. */
#include <string.h>

#include "activation.h"

static wg_conv_options options_of(const wg__call *c, const wg__onnx_window *w)
{
    wg_conv_options options = wg_conv_defaults();
    for (int i = 0; i < w->axes; i++) {
        options.stride[i] = w->stride[i];
        options.dilation[i] = w->dilation[i];
        options.before[i] = w->before[i];
        options.after[i] = w->after[i];
    }
    options.groups = wg__attribute_int(c->node, "group", 1);
    options.floor = true;
    return options;
}

/* A fused one: an activation of the convolution plus operand 3. */
static void record_conv(wg__call *c)
{
    static wg_tensor (*const conv[])(wg_tensor, wg_tensor, wg_tensor, wg_conv_options) = {wg_conv1d, wg_conv2d,
                                                                                          wg_conv3d};
    const wg_tensor x = wg__tensor(c, 0), weight = wg__tensor(c, 1), bias = wg__tensor(c, 2);
    const wg_shape shape = wg_shape_get(x), kernel = wg_shape_get(weight);
    wg__onnx_window w;
    if (!wg__window_of(c, &shape, &kernel, &w)) return;
    const wg_tensor y = conv[w.axes - 1](x, weight, bias, options_of(c, &w));
    wg__set(c, 0, wg__activate(c, wg__has(c, 3) ? wg_add(y, wg__tensor(c, 3)) : y), wg__type_of(c, 0));
}

/* ---- ConvTranspose ---- */

/* Padding from the sizes of the result: output_shape, or size times stride with SAME_*. */
static void pad_to(const wg__call *c, const wg_shape *x, wg__onnx_window *w, wg_conv_options *options)
{
    int64_t sizes[WG_CONV_AXES];
    const int n = wg__attribute_ints(c->node, "output_shape", sizes, WG_CONV_AXES);
    const bool upper = wg__attribute_is(c->node, "auto_pad", "SAME_UPPER", "NOTSET");
    const bool same = upper || wg__attribute_is(c->node, "auto_pad", "SAME_LOWER", "NOTSET");
    if (n != w->axes && !same) return;
    for (int i = 0; i < w->axes; i++) {
        const int64_t size = n == w->axes ? sizes[i] : x->size[2 + i] * w->stride[i];
        const int64_t full =
            (x->size[2 + i] - 1) * w->stride[i] + options->extra[i] + w->dilation[i] * (w->kernel[i] - 1) + 1;
        const int64_t all = full > size ? full - size : 0;
        options->before[i] = upper ? all / 2 : all - all / 2;
        options->after[i] = all - options->before[i];
        if (size > full) options->extra[i] += size - full;
    }
}

static void record_conv_transpose(wg__call *c)
{
    static wg_tensor (*const conv[])(wg_tensor, wg_tensor, wg_tensor, wg_conv_options) = {
        wg_conv_transpose1d, wg_conv_transpose2d, wg_conv_transpose3d};
    const wg_tensor x = wg__tensor(c, 0), weight = wg__tensor(c, 1), bias = wg__tensor(c, 2);
    const wg_shape shape = wg_shape_get(x), kernel = wg_shape_get(weight);
    wg__onnx_window w;
    int64_t extra[WG_CONV_AXES];
    if (!wg__window_of(c, &shape, &kernel, &w)) return;
    wg_conv_options options = options_of(c, &w);
    const int n = wg__attribute_ints(c->node, "output_padding", extra, WG_CONV_AXES);
    for (int i = 0; i < n && i < w.axes; i++) options.extra[i] = extra[i];
    pad_to(c, &shape, &w, &options);
    wg__set(c, 0, conv[w.axes - 1](x, weight, bias, options), wg__type_of(c, 0));
}

const wg__op wg__onnx_conv[] = {
    {"Conv", record_conv, 6, 2, 3, "auto_pad=s dilations=I group=i kernel_shape=I pads=I strides=I"},
    {"com.microsoft.FusedConv", record_conv, 1, 2, 4,
     "activation=s activation_params=F auto_pad=s dilations=I group=i kernel_shape=I pads=I strides=I",
     .refuse = wg__refuse_activation},
    {"ConvTranspose", record_conv_transpose, 6, 2, 3,
     "auto_pad=s dilations=I group=i kernel_shape=I output_padding=I output_shape=I pads=I strides=I"},
    {NULL},
};
