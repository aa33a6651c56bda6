/* Pooling: each window of each channel becomes one element. */
#include "internal.h"

#include <math.h>
#include <string.h>

#include "kernels/kernels.h"
#include "kernels/conv/pool.h"

/* ---- pool_argmax --------------------------------------------------------------------------------------------- */

static wg_status argmax_infer(wg_infer *c)
{
    const wg__pool_attr *a = c->attr;
    c->out = c->in[0];
    c->dtype = WG_I32;
    for (int i = 1; i <= a->axes; i++) c->out.size[c->out.rank - i] = a->positions[WG__POOL_AXES - i];
    return wg__infer_size(c);
}

WG__SELECT(argmax_select, wg__kernel_get(WG__KERNEL_pool_argmax, in[0]))

static int64_t argmax_tasks(const wg_args *args)
{
    int64_t plane = wg__pool_plane(&args->out, ((const wg__pool_attr *)args->attr)->axes);
    int64_t each = wg__pool_planes_per_task(args);
    return plane ? (args->out.numel / plane + each - 1) / each : 1;
}

static const wg_op argmax_op = {.struct_size = sizeof(wg_op),
                                .name = "pool_argmax",
                                .min_in = 1,
                                .max_in = 1,
                                .flags = WG_OP_NO_GRADIENT,
                                .infer = argmax_infer,
                                .select = argmax_select,
                                .tasks = argmax_tasks};

/* ---- public functions ----------------------------------------------------------------------------------------- */

wg_pool_options wg_pool_square(int64_t kernel)
{
    wg_pool_options o = {.count_padding = true};
    for (int i = 0; i < WG_CONV_AXES; i++) {
        o.kernel[i] = o.stride[i] = kernel;
        o.dilation[i] = 1;
    }
    return o;
}

/* Where the windows of an axis are. */
typedef struct windows {
    int64_t positions, before, after;
    int64_t over; /* elements by which the last window hangs over the padding */
} windows;

/* Positions of a rule, of which each begins in x or in the padding before it (ceil), or all are whole. -1: none. */
static int64_t count_positions(const wg_pool_options *o, int i, int64_t size, int64_t reach)
{
    int64_t padded = size + o->before[i] + o->after[i], rest = padded - reach;
    if (!o->ceil) return wg_window_count(padded, o->kernel[i], o->stride[i], o->dilation[i], true);
    if (rest <= -o->stride[i]) return -1;
    int64_t n = rest > 0 ? (rest - 1) / o->stride[i] + 2 : 1;
    return n > 1 && (n - 1) * o->stride[i] >= size + o->before[i] ? n - 1 : n;
}

static bool find_windows(wg_tensor x, const wg_pool_options *o, int i, int64_t size, const char *op, windows *w)
{
    int64_t reach = (o->kernel[i] - 1) * o->dilation[i] + 1;
    *w = (windows){.before = o->before[i], .after = o->after[i]};
    if (o->same || o->same_lower) {
        w->positions = size > 0 ? (size - 1) / o->stride[i] + 1 : 0;
        int64_t total = w->positions > 0 ? (w->positions - 1) * o->stride[i] + reach - size : 0;
        if (total < 0) total = 0;
        w->before = o->same_lower ? total - total / 2 : total / 2;
        w->after = total - w->before;
        return true;
    }
    w->positions = count_positions(o, i, size, reach);
    if (w->positions < 0) {
        wg__refuse(x, WG_ERR_SHAPE, op, "a window of %lld (dilation %lld) does not fit into axis %d",
                   (long long)o->kernel[i], (long long)o->dilation[i], 2 + i);
        return false;
    }
    int64_t padded = size + o->before[i] + o->after[i];
    if (o->ceil && w->positions > 0) w->over = (w->positions - 1) * o->stride[i] + reach - padded;
    if (w->over < 0) w->over = 0;
    return o->floor || o->ceil ||
           wg__window_is_whole(x, 2 + i, padded, o->kernel[i], o->stride[i], o->dilation[i], op);
}

/* At most one rule, which also sets the padding if it is `same`. */
static bool rules_fit(wg_tensor x, const wg_pool_options *o, int axes, const char *op)
{
    bool pads = false;
    for (int i = 0; i < axes; i++) pads |= o->before[i] || o->after[i];
    if (o->floor + o->ceil + o->same + o->same_lower <= 1 && !(pads && (o->same || o->same_lower))) return true;
    wg__refuse(x, WG_ERR_ARGUMENT, op,
               "floor, ceil, same and same_lower exclude each other, and same sets the padding itself");
    return false;
}

static bool acceptable(wg_tensor x, const wg_pool_options *o, int axes, const char *op, wg_shape *shape, windows *w)
{
    if (!wg__shape(x, shape, op)) return false;
    if (shape->rank != axes + 2) {
        wg__refuse(x, WG_ERR_SHAPE, op, "x must be [images, channels, %d spatial axes]", axes);
        return false;
    }
    if (!wg__float(x, op) || !rules_fit(x, o, axes, op)) return false;
    int64_t plane = 1;
    for (int i = 0; i < axes; i++) {
        int64_t reach, size = shape->size[2 + i], padded;
        bool fits = o->kernel[i] >= 1 && o->stride[i] >= 1 && o->dilation[i] >= 1 && o->before[i] >= 0 &&
                    o->after[i] >= 0 && o->kernel[i] <= INT32_MAX && o->stride[i] <= INT32_MAX;
        if (!fits || __builtin_mul_overflow(o->kernel[i] - 1, o->dilation[i], &reach) || reach >= INT64_MAX / 4 ||
            o->before[i] > reach || o->after[i] > reach) {
            wg__refuse(x, WG_ERR_ARGUMENT, op,
                       "kernels, strides and dilations must be 1 or more, kernels and strides at most 2^31 - 1, "
                       "padding 0 or more, and less than the window");
            return false;
        }
        if (size > INT64_MAX / 4 || !find_windows(x, o, i, size, op, &w[i])) return false;
        padded = size + w[i].before + w[i].after + w[i].over;
        if (__builtin_mul_overflow(plane, padded, &plane) || plane > INT32_MAX) {
            wg__refuse(x, WG_ERR_SHAPE, op, "a channel has more than 2^31 - 1 elements");
            return false;
        }
    }
    return true;
}

/* With the padding, and around it what hangs over. */
static wg_tensor padded(wg_tensor x, const windows *w, int axes, double value, double over)
{
    for (int i = 0; i < axes; i++)
        if (w[i].before || w[i].after) x = wg_pad_value(x, 2 + i, w[i].before, w[i].after, value);
    for (int i = 0; i < axes; i++)
        if (w[i].over) x = wg_pad_value(x, 2 + i, 0, w[i].over, over);
    return x;
}

/* The place of each window's maximum in *x, the last axes as one. The op reads no padding, but each of its windows must
 * have an element: if dilation lets one jump over all of x, the padding is written out, and *x is the padded x. */
static wg_tensor find_maxima(wg_tensor *x, const wg_pool_options *o, int axes, const char *op)
{
    wg_shape shape;
    windows w[WG_CONV_AXES];
    wg__pool_attr attr = {.axes = axes, .kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}};
    if (!acceptable(*x, o, axes, op, &shape, w)) return wg__nil_of(*x);
    bool jumps = false;
    for (int i = 0; i < axes; i++) jumps |= o->dilation[i] > shape.size[2 + i];
    if (jumps) *x = padded(*x, w, axes, -INFINITY, -INFINITY);
    for (int i = 0, at = WG__POOL_AXES - axes; i < axes; i++, at++) {
        attr.kernel[at] = o->kernel[i];
        attr.stride[at] = o->stride[i];
        attr.dilation[at] = o->dilation[i];
        attr.before[at] = jumps ? 0 : w[i].before;
        attr.positions[at] = w[i].positions;
    }
    return wg_record(&argmax_op, x, 1, &attr, sizeof attr);
}

/* Gathers the maximum by its index, so that its gradient goes to that element only. */
static wg_tensor max_pool(wg_tensor x, wg_pool_options o, int axes, const char *op)
{
    wg_shape out;
    wg_tensor at = find_maxima(&x, &o, axes, op);
    if (!wg__shape(at, &out, op)) return wg__nil_of(x);
    return wg_reshape(wg_gather(wg_flatten(x, 2, -1), 2, wg_flatten(at, 2, -1)), out);
}

/* The number of spatial axes of x[images, channels, spatial axes...], 1 to 3; 0, with an error, if it has another. */
static int spatial_axes(wg_tensor x, wg_shape *shape, const char *op)
{
    if (!wg__shape(x, shape, op)) return 0;
    if (shape->rank >= 3 && shape->rank <= 2 + WG_CONV_AXES) return shape->rank - 2;
    wg__refuse(x, WG_ERR_SHAPE, op, "x must be [images, channels, 1 to %d spatial axes]", WG_CONV_AXES);
    return 0;
}

wg_tensor wg_max_pool_indices(wg_tensor x, wg_pool_options options)
{
    wg_shape shape;
    wg_tensor image = x;
    const int axes = spatial_axes(x, &shape, "max_pool_indices");
    if (axes == 0) return wg__nil_of(x);
    wg_tensor at = find_maxima(&image, &options, axes, "max_pool_indices");
    if (wg_is_nil(at) || image.node == x.node) return at;
    return wg__refuse(x, WG_ERR_SHAPE, "max_pool_indices",
                      "a window may lie in the padding only: no element has its index");
}

wg_tensor wg_max_unpool(wg_tensor x, wg_tensor indices, wg_shape shape)
{
    static const char *const op = "max_unpool";
    wg_shape from, by;
    if (!wg__both_set(x, indices, op) || !wg__float(x, op)) return wg__nil_of_both(x, indices);
    if (spatial_axes(x, &from, op) == 0 || !wg__shape(indices, &by, op)) return wg__nil_of(x);
    if (wg_dtype_get(indices) != WG_I32 || !wg_shape_equal(&from, &by))
        return wg__refuse(x, WG_ERR_SHAPE, op, "indices must be i32 and of x's shape");
    if (shape.rank != from.rank || shape.size[0] != from.size[0] || shape.size[1] != from.size[1])
        return wg__refuse(x, WG_ERR_SHAPE, op, "the result must have x's number of axes, images and channels");
    wg_tensor zeros = wg__filled(x.tape, wg_dtype_get(x), shape, 0, op);
    wg_tensor flat = wg_scatter(wg_flatten(zeros, 2, -1), 2, wg_flatten(indices, 2, -1), wg_flatten(x, 2, -1));
    return wg_reshape(flat, shape);
}

/* The sum over each window times `factor`: a convolution of each channel with a constant. */
static wg_tensor window_sum(wg_tensor x, const wg_pool_options *o, int axes, double factor, const char *op)
{
    wg_shape shape = wg_shape_get(x), single = shape, kernel = shape;
    wg_conv_options conv = wg_conv_defaults();
    single.size[0] = shape.size[0] * shape.size[1];
    single.size[1] = kernel.size[0] = kernel.size[1] = 1;
    memcpy(kernel.size + 2, o->kernel, (size_t)axes * sizeof *o->kernel);
    memcpy(conv.stride, o->stride, sizeof conv.stride);
    memcpy(conv.dilation, o->dilation, sizeof conv.dilation);
    conv.floor = true;
    wg_tensor w = wg_full(x.tape, wg_dtype_get(x), kernel, factor);
    wg_tensor y = wg__convolve(wg_reshape(x, single), w, WG_NONE, conv, axes, true, op);
    single = wg_shape_get(y);
    single.size[0] = shape.size[0];
    single.size[1] = shape.size[1];
    return wg_reshape(y, single);
}

/* The elements that each mean counts are the sum of ones: over x, over its padding too if that counts, but not over
 * what hangs over the padding; unless it is divided by a number. */
static wg_tensor avg_pool(wg_tensor x, wg_pool_options o, int axes, const char *op)
{
    wg_shape shape;
    windows w[WG_CONV_AXES];
    if (!acceptable(x, &o, axes, op, &shape, w)) return wg__nil_of(x);
    if (!isfinite(o.divisor))
        return wg__refuse(x, WG_ERR_ARGUMENT, op, "the divisor is %g: must be finite, 0 for none", o.divisor);
    double taps = 1;
    bool pads = false, over = false;
    for (int i = 0; i < axes; i++) {
        taps *= (double)o.kernel[i];
        pads |= w[i].before || w[i].after;
        over |= w[i].over > 0;
    }
    wg_tensor image = padded(x, w, axes, 0, 0);
    if (o.divisor != 0) return window_sum(image, &o, axes, 1 / o.divisor, op);
    if (!over && (!pads || o.count_padding)) return window_sum(image, &o, axes, 1 / taps, op);
    shape.size[0] = shape.size[1] = 1;
    wg_tensor ones = padded(wg_full(x.tape, wg_dtype_get(x), shape, 1), w, axes, o.count_padding, 0);
    return wg_div(window_sum(image, &o, axes, 1, op), window_sum(ones, &o, axes, 1, op));
}

#define POOLINGS(axes)                                                                                             \
    wg_tensor wg_max_pool##axes##d(wg_tensor x, wg_pool_options o)                                                 \
    {                                                                                                              \
        return max_pool(x, o, axes, "max_pool" #axes "d");                                                         \
    }                                                                                                              \
    wg_tensor wg_avg_pool##axes##d(wg_tensor x, wg_pool_options o)                                                 \
    {                                                                                                              \
        return avg_pool(x, o, axes, "avg_pool" #axes "d");                                                         \
    }
POOLINGS(1)
POOLINGS(2)
POOLINGS(3)

const wg_op *const wg__pool_ops[] = {&argmax_op, NULL};
