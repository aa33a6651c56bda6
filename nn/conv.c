/* Convolution layers. */
#include "internal.h"

#include <math.h>
#include <stdio.h>

wg_conv_layer_options wg_conv_layer_defaults(void)
{
    return (wg_conv_layer_options){.axes = 2, .bias = true, .conv = wg_conv_defaults()};
}

/* Why the options are invalid; NULL if they are valid. */
static const char *invalid_reason(const wg_conv_layer_options *o, int64_t in, int64_t out, const int64_t *kernel)
{
    if (o->axes < 1 || o->axes > WG_CONV_AXES) return "axes must be 1, 2 or 3";
    if (in < 1 || out < 1) return "channels must be 1 or more";
    if (o->conv.groups < 1 || in % o->conv.groups || out % o->conv.groups)
        return "input and output channels must be multiples of the groups";
    for (int i = 0; i < o->axes; i++)
        if (kernel[i] < 1) return "kernel sizes must be 1 or more";
    return NULL;
}

wg_status wg_conv_init(wg_conv_layer *layer, wg_params *set, const char *name, int64_t in, int64_t out,
                       wg_shape kernel, wg_conv_layer_options options)
{
    if (!layer) return wg__null_init(set, "conv", name);
    *layer = (wg_conv_layer){.options = options};
    const char *reason = kernel.rank == options.axes ? invalid_reason(&options, in, out, kernel.size)
                                                     : "the kernel must have one size for each spatial axis";
    if (reason) return wg_params_fail(set, WG_ERR_ARGUMENT, "conv %s: %s", name ? name : "", reason);
    wg_shape shape = {.rank = options.axes + 2};
    double fan_in = (double)(shape.size[1] = (options.transposed ? out : in) / options.conv.groups);
    shape.size[0] = options.transposed ? in : out;
    for (int i = 0; i < options.axes; i++) fan_in *= (double)(shape.size[2 + i] = kernel.size[i]);
    wg_init default_init = wg_init_uniform(-1 / sqrt(fan_in), 1 / sqrt(fan_in));
    layer->weight =
        wg__layer_param(set, name, "weight", shape, options.weight_init ? *options.weight_init : default_init);
    if (options.bias)
        layer->bias =
            wg__layer_param(set, name, "bias", WG_DIMS(out), options.bias_init ? *options.bias_init : default_init);
    return wg_params_status(set);
}

wg_tensor wg_conv_apply(const wg_conv_layer *layer, wg_tensor x)
{
    static wg_tensor (*const convolutions[2][WG_CONV_AXES])(wg_tensor, wg_tensor, wg_tensor, wg_conv_options) = {
        {wg_conv1d, wg_conv2d, wg_conv3d}, {wg_conv_transpose1d, wg_conv_transpose2d, wg_conv_transpose3d}};
    if (!layer || !layer->weight) return wg_fail(x, WG_ERR_ARGUMENT, "conv", "the layer was not initialized");
    wg_tensor bias = wg__use_or_none(x.tape, layer->bias);
    return convolutions[layer->options.transposed][layer->options.axes - 1](x, wg_use(x.tape, layer->weight), bias,
                                                                            layer->options.conv);
}
