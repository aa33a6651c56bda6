/* Poolings. */
#include <math.h>
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

/* The places of the maxima among all elements of x, where wg_max_pool_indices counts in each channel. */
static void set_places(wg__call *c, wg_tensor x, wg_pool_options options)
{
    const wg_shape shape = wg_shape_get(x);
    wg_shape line = shape;
    int64_t channel = 1;
    for (int i = 2; i < shape.rank; i++) channel *= shape.size[i], line.size[i] = 1;
    const int64_t channels = shape.size[0] * shape.size[1];
    if (channels * channel > INT32_MAX) {
        wg__call_fail(c, WG_ERR_SHAPE, "the places of %lld elements are no i32", (long long)(channels * channel));
        return;
    }
    const wg_tensor first = wg_arange(c->tape, WG_I32, 0, (double)channel, channels);
    wg__set(c, 1, wg_add(wg_max_pool_indices(x, options), wg_reshape(first, line)), WG__INT64);
}

static void record_max_pool(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    const wg_shape shape = wg_shape_get(x);
    wg__onnx_window w;
    if (!wg__window_of(c, &shape, NULL, &w)) return;
    const bool real = wg__type_is_float(wg__type_of(c, 0));
    const wg_tensor pooled = real ? x : wg_cast(x, WG_F64), y = max_pools[w.axes - 1](pooled, options_of(&w));
    wg__set(c, 0, real ? y : wg_cast(y, WG_I32), wg__type_of(c, 0));
    if (wg__wants(c, 1)) set_places(c, pooled, options_of(&w));
}

static const char *refuse_max_pool(const wg__onnx_node *node)
{
    return wg__attribute_int(node, "storage_order", 0) ? "storage_order: places count by rows" : NULL;
}

/* ---- MaxUnpool: x, places among all elements of what was pooled, sizes of the result, which ends with zeros ---- */

static void record_max_unpool(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    wg_shape shape = wg_shape_get(x);
    int64_t size[WG_MAX_RANK], numel;
    wg__onnx_window w;
    if (!wg__window_of(c, &shape, NULL, &w)) return;
    for (int i = 0; i < w.axes; i++)
        shape.size[2 + i] = (shape.size[2 + i] - 1) * w.stride[i] + w.kernel[i] - w.before[i] - w.after[i];
    const int n = wg__known_ints(c, 2, size, WG_MAX_RANK);
    if (wg__call_failed(c)) return;
    bool fits = wg_shape_numel(&shape, &numel) && numel > 0 && numel <= INT32_MAX && (n < 0 || n == shape.rank);
    for (int i = 0; i < shape.rank && fits; i++) fits = shape.size[i] > 0 && (n < 0 || size[i] >= shape.size[i]);
    if (!fits) {
        wg__call_fail(c, WG_ERR_SHAPE, "output_shape or the window does not fit the operand");
        return;
    }
    const wg_shape flat = WG_DIMS(wg_numel(x));
    const wg_tensor zeros = wg_zeros(c->tape, wg_dtype_get(x), WG_DIMS(numel));
    wg_tensor y = wg_scatter(zeros, 0, wg_reshape(wg__tensor(c, 1), flat), wg_reshape(x, flat));
    y = wg_reshape(y, shape);
    for (int i = 0; i < n; i++)
        if (size[i] > shape.size[i]) y = wg_pad(y, i, 0, size[i] - shape.size[i]);
    wg__set(c, 0, y, wg__type_of(c, 0));
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
    if (wg__attribute_int(node, "p", 2) < 1) return "p: 1 or more is known";
    return wg__attribute_int(node, "ceil_mode", 0) ? "ceil_mode: pad the operand instead" : NULL;
}

enum { MEAN, MAX };

/* Over all spatial axes, which stay with size 1. */
static void record_global(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0);
    wg_axes axes = {0};
    for (int i = 2; i < wg_rank(x); i++) axes.axis[axes.n++] = i;
    const wg_tensor y = axes.n == 0                 ? x
                        : c->node->row->kind == MAX ? wg_max(x, axes, true)
                                                    : wg_mean(x, axes, true);
    wg__set(c, 0, y, wg__type_of(c, 0));
}

#define WINDOW WG__AUTO_PAD "ceil_mode=i dilations=I kernel_shape=I pads=I strides=I "

const wg__onnx_row wg__onnx_pool[] = {
    {"MaxPool", record_max_pool, 6, 1, 1, WINDOW "storage_order=i", .refuse = refuse_max_pool},
    {"MaxUnpool", record_max_unpool, 9, 2, 3, "kernel_shape=I pads=I strides=I", 4},
    {"AveragePool", record_average_pool, 6, 1, 1, WINDOW "count_include_pad=i"},
    {"LpPool", record_lp_pool, 6, 1, 1, WINDOW "p=i", .refuse = refuse_lp_pool},
    {"GlobalAveragePool", record_global, 6, 1, 1, .kind = MEAN},
    {"GlobalMaxPool", record_global, 6, 1, 1, .kind = MAX},
    {NULL},
};
