/* Convolutions, and the adjoint of taking their windows out of an image. */
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

/* Padding from the sizes of the result: output_shape, or size times stride with SAME_*. False with an error. */
static bool pad_to(wg__call *c, const wg_shape *x, const wg__onnx_window *w, wg_conv_options *options)
{
    int64_t sizes[WG_CONV_AXES];
    const bool given = wg__attribute_has(c->node, "output_shape");
    const bool upper = wg__attribute_is(c->node, "auto_pad", "SAME_UPPER", "NOTSET");
    const bool same = upper || wg__attribute_is(c->node, "auto_pad", "SAME_LOWER", "NOTSET");
    if (given && !wg__window_list(c, "output_shape", w->axes, 1, sizes)) return false;
    for (int i = 0; i < w->axes && (given || same); i++) {
        const int64_t size = given ? sizes[i] : x->size[2 + i] * w->stride[i];
        const int64_t full =
            (x->size[2 + i] - 1) * w->stride[i] + options->extra[i] + w->dilation[i] * (w->kernel[i] - 1) + 1;
        const int64_t all = full > size ? full - size : 0;
        options->before[i] = upper ? all / 2 : all - all / 2;
        options->after[i] = all - options->before[i];
        if (size > full) options->extra[i] += size - full;
    }
    return true;
}

static void record_conv_transpose(wg__call *c)
{
    static wg_tensor (*const conv[])(wg_tensor, wg_tensor, wg_tensor, wg_conv_options) = {
        wg_conv_transpose1d, wg_conv_transpose2d, wg_conv_transpose3d};
    const wg_tensor x = wg__tensor(c, 0), weight = wg__tensor(c, 1), bias = wg__tensor(c, 2);
    const wg_shape shape = wg_shape_get(x), kernel = wg_shape_get(weight);
    wg__onnx_window w;
    if (!wg__window_of(c, &shape, &kernel, &w)) return;
    wg_conv_options options = options_of(c, &w);
    if (!wg__window_list(c, "output_padding", w.axes, 0, options.extra) || !pad_to(c, &shape, &w, &options)) return;
    wg__set(c, 0, conv[w.axes - 1](x, weight, bias, options), wg__type_of(c, 0));
}

/* ---- Col2Im: x[N, C windows' elements, windows] -> images[N, C, ...], each element added at its place ---- */

/* The last axis, a window's elements, with dilation - 1 zeros between them. */
static wg_tensor dilated(wg_tensor x, int64_t dilation)
{
    wg_shape shape = wg_shape_get(x);
    if (dilation == 1 || shape.rank < 1) return x;
    const int64_t n = shape.size[shape.rank - 1];
    shape.size[shape.rank - 1] = n * dilation;
    const wg_tensor apart = wg_pad(wg_reshape(x, WG_DIMS(wg_numel(x), 1)), 1, 0, dilation - 1);
    return wg_slice(wg_reshape(apart, shape), -1, 0, (n - 1) * dilation + 1);
}

/* x as [N, C, windows along each axis, elements along each axis from the last on]; WG_NONE with an error. */
static wg_tensor as_windows(wg__call *c, wg_tensor x, const wg_shape *image, const wg__onnx_window *w)
{
    const wg_shape given = wg_shape_get(x);
    int64_t elements = 1, windows = 1;
    bool fits = true;
    wg_shape shape = {.rank = 2 + 2 * w->axes, .size = {image->size[0]}};
    wg_axes order = {.n = shape.rank};
    for (int i = 0; i < w->axes; i++) {
        const int64_t free =
            image->size[2 + i] + w->before[i] + w->after[i] - w->dilation[i] * (w->kernel[i] - 1) - 1;
        elements *= shape.size[2 + i] = w->kernel[i];
        shape.size[2 + w->axes + i] = free < 0 ? 0 : free / w->stride[i] + 1;
        fits = fits && !__builtin_mul_overflow(windows, shape.size[2 + w->axes + i], &windows);
        order.axis[2 + i] = 2 + w->axes + i;
        order.axis[2 + w->axes + i] = 1 + w->axes - i;
    }
    order.axis[1] = 1;
    shape.size[1] = given.size[1] / elements;
    if (fits && given.size[1] % elements == 0 && given.size[2] == windows && windows > 0)
        return wg_permute(wg_reshape(x, shape), order);
    wg__call_fail(c, WG_ERR_SHAPE,
                  "[%lld, %lld, %lld] is not [N, C elements, windows] of %lld windows of %lld elements",
                  (long long)given.size[0], (long long)given.size[1], (long long)given.size[2], (long long)windows,
                  (long long)elements);
    return WG_NONE;
}

static void record_col2im(wg__call *c)
{
    wg_tensor x = wg__tensor(c, 0);
    int64_t sizes[WG_CONV_AXES], kernel[WG_CONV_AXES];
    const int axes = wg__known_ints(c, 1, sizes, WG_CONV_AXES), n = wg__known_ints(c, 2, kernel, WG_CONV_AXES);
    wg__onnx_window w;
    if (wg__call_failed(c)) return;
    bool fits = wg_rank(x) == 3 && axes > 0 && n == axes;
    wg_shape image = {.rank = 2 + axes}, weight = image;
    for (int i = 0; fits && i < axes; i++) {
        fits = sizes[i] > 0 && sizes[i] < 1 << 30 && kernel[i] > 0 && kernel[i] < 1 << 15;
        image.size[2 + i] = sizes[i], weight.size[2 + i] = kernel[i];
    }
    if (!fits) {
        wg__call_fail(c, WG_ERR_SHAPE,
                      "the operand has not 3 axes, or the sizes of image and block are none of 1 to 3 axes");
        return;
    }
    image.size[0] = wg_size(x, 0);
    if (!wg__window_of(c, &image, &weight, &w)) return;
    x = as_windows(c, x, &image, &w);
    for (int i = 0; i < axes && !wg__call_failed(c); i++) {
        const int64_t size = image.size[2 + i];
        x = wg_fold(dilated(x, w.dilation[i]), 2 + i, size + w.before[i] + w.after[i], w.stride[i]);
        x = wg_slice(x, 2 + i, w.before[i], w.before[i] + size);
    }
    wg__set(c, 0, x, wg__type_of(c, 0));
}

const wg__onnx_row wg__onnx_conv[] = {
    {"Conv", record_conv, 6, 2, 3, WG__AUTO_PAD "dilations=I group=i kernel_shape=I pads=I strides=I"},
    {"com.microsoft.FusedConv", record_conv, 1, 2, 4,
     WG__AUTO_PAD "activation=s activation_params=F dilations=I group=i kernel_shape=I pads=I strides=I",
     .refuse = wg__refuse_activation},
    {"ConvTranspose", record_conv_transpose, 6, 2, 3,
     WG__AUTO_PAD "dilations=I group=i kernel_shape=I output_padding=I output_shape=I pads=I strides=I"},
    {"Col2Im", record_col2im, 18, 3, 3, "dilations=I pads=I strides=I", 6},
    {NULL},
};
