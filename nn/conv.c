/* Layers of a convolution. */
#include "internal.h"

#include <math.h>
#include <stdio.h>

wg_conv_layer_options wg_conv_layer_defaults(void)
{
    return (wg_conv_layer_options){.axes = 2, .bias = true, .conv = wg_conv_defaults()};
}

/* What is wrong with the options, or NULL. */
static const char *mistake_in(const wg_conv_layer_options *o, int64_t in, int64_t out, const int64_t *kernel)
{
    if (o->axes < 1 || o->axes > WG_CONV_AXES) return "axes must be 1, 2 or 3";
    if (in < 1 || out < 1) return "channels must be 1 or more";
    if (o->conv.groups < 1 || in % o->conv.groups || out % o->conv.groups)
        return "channels, in and out, must divide into the groups";
    for (int i = 0; i < o->axes; i++)
        if (kernel[i] < 1) return "kernel sizes must be 1 or more";
    return NULL;
}

wg_status wg_conv_init(wg_conv_layer *layer, wg_params *set, const char *name, int64_t in, int64_t out,
                       wg_shape kernel, wg_conv_layer_options options)
{
    *layer = (wg_conv_layer){.options = options};
    const char *mistake = kernel.rank == options.axes ? mistake_in(&options, in, out, kernel.size)
                                                      : "the kernel must have one size for each spatial axis";
    if (mistake) return wg_params_fail(set, WG_ERR_ARGUMENT, "conv %s: %s", name ? name : "", mistake);
    wg_shape shape = {.rank = options.axes + 2};
    double fan = (double)(shape.size[1] = (options.transposed ? out : in) / options.conv.groups);
    shape.size[0] = options.transposed ? in : out;
    for (int i = 0; i < options.axes; i++) fan *= (double)(shape.size[2 + i] = kernel.size[i]);
    wg_init usual = wg_init_uniform(-1 / sqrt(fan), 1 / sqrt(fan));
    layer->weight = wg__layer_param(set, name, "weight", shape, options.weight_init ? *options.weight_init : usual);
    if (options.bias)
        layer->bias =
            wg__layer_param(set, name, "bias", WG_DIMS(out), options.bias_init ? *options.bias_init : usual);
    return wg_params_status(set);
}

wg_tensor wg_conv_apply(const wg_conv_layer *layer, wg_tensor x)
{
    static wg_tensor (*const forms[2][WG_CONV_AXES])(wg_tensor, wg_tensor, wg_tensor, wg_conv_options) = {
        {wg_conv1d, wg_conv2d, wg_conv3d}, {wg_conv_transpose1d, wg_conv_transpose2d, wg_conv_transpose3d}};
    if (!layer->weight) return wg_fail(x, WG_ERR_ARGUMENT, "conv", "the layer was not initialised");
    wg_tensor bias = layer->bias ? wg_use(x.tape, layer->bias) : WG_NONE;
    return forms[layer->options.transposed][layer->options.axes - 1](x, wg_use(x.tape, layer->weight), bias,
                                                                     layer->options.conv);
}
