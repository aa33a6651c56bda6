/* Poolings. */
#include <math.h>
#include <string.h>

#include "internal.h"

static wg_pool_options options_of(const wg__onnx_window *w)
{
    wg_pool_options options = wg_pool_square(1);
    for (int i = 0; i < w->axes; i++) {
        options.kernel[i] = w->kernel[i];
        options.stride[i] = w->stride[i];
        options.dilation[i] = w->dilation[i];
        options.before[i] = w->before[i];
        options.after[i] = w->after[i];
    }
    options.ceil = w->ceil;
    options.floor = !w->ceil;
    return options;
}

typedef wg_tensor (*pool)(wg_tensor x, wg_pool_options options);
static const pool max_pools[] = {wg_max_pool1d, wg_max_pool2d, wg_max_pool3d};
static const pool avg_pools[] = {wg_avg_pool1d, wg_avg_pool2d, wg_avg_pool3d};

static void record_max_pool(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    const wg_shape shape = wg_shape_get(x);
    wg__onnx_window w;
    if (!wg__window_of(c, &shape, NULL, &w)) return;
    const bool real = wg__type_is_float(wg__type_of(c, 0));
    const wg_tensor y = max_pools[w.axes - 1](real ? x : wg_cast(x, WG_F64), options_of(&w));
    wg__set(c, 0, real ? y : wg_cast(y, WG_I32), wg__type_of(c, 0));
}

static const char *refuse_max_pool(const wg__onnx_node *node)
{
    int results = 0;
    wg__wire wire = wg__wire_of(node->message);
    for (wg__field f; wg__wire_next(&wire, &f);) results += wg__field_is_bytes(&f, 2) && f.bytes.size > 0;
    return results > 1 ? "the indices of its maxima are a result; export without them" : NULL;
}

static void record_average_pool(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    const wg_shape shape = wg_shape_get(x);
    wg__onnx_window w;
    if (!wg__window_of(c, &shape, NULL, &w)) return;
    wg_pool_options options = options_of(&w);
    options.count_padding = wg__attribute_int(c->node, "count_include_pad", 0) != 0;
    wg__set(c, 0, avg_pools[w.axes - 1](x, options), wg__type_of(c, 0));
}

/* (sum |x|^p)^(1/p) of each window, as mean times the window's size. */
static void record_lp_pool(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    const wg_shape shape = wg_shape_get(x);
    const double p = (double)wg__attribute_int(c->node, "p", 2);
    wg__onnx_window w;
    if (!wg__window_of(c, &shape, NULL, &w)) return;
    wg_pool_options options = options_of(&w);
    double count = 1;
    for (int i = 0; i < w.axes; i++) count *= (double)w.kernel[i];
    const wg_tensor powers = p == 2 ? wg_square(x) : wg_pow_scalar(wg_abs(x), p);
    const wg_tensor sums = wg_scale(avg_pools[w.axes - 1](powers, options), count);
    wg__set(c, 0, p == 2 ? wg_sqrt(sums) : wg_pow_scalar(sums, 1 / p), wg__type_of(c, 0));
}

static const char *refuse_lp_pool(const wg__onnx_node *node)
{
    return wg__attribute_int(node, "ceil_mode", 0) ? "ceil_mode: pad the operand instead" : NULL;
}

/* Over all spatial axes, which stay with size 1. */
static void record_global(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    wg_axes axes = {0};
    for (int i = 2; i < wg_rank(x); i++) axes.axis[axes.n++] = i;
    const bool max = strcmp(c->node->type, "GlobalMaxPool") == 0;
    const wg_tensor y = axes.n == 0 ? x : max ? wg_max(x, axes, true) : wg_mean(x, axes, true);
    wg__set(c, 0, y, wg__type_of(c, 0));
}

#define WINDOW "auto_pad=s ceil_mode=i dilations=I kernel_shape=I pads=I strides=I "

const wg__op wg__onnx_pool[] = {
    {"MaxPool", record_max_pool, 6, 1, 1, WINDOW "storage_order=i", .refuse = refuse_max_pool},
    {"AveragePool", record_average_pool, 6, 1, 1, WINDOW "count_include_pad=i"},
    {"LpPool", record_lp_pool, 6, 1, 1, WINDOW "p=i", .refuse = refuse_lp_pool},
    {"GlobalAveragePool", record_global, 6, 1, 1},
    {"GlobalMaxPool", record_global, 6, 1, 1},
    {NULL},
};
