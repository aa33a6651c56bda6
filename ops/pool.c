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
    for (int i = 0; i < a->axes; i++) {
        int axis = c->out.rank - (int)a->axes + i;
        c->out.size[axis] = wg_window_count(c->in[0].size[axis], a->kernel[i], a->stride[i], a->dilation[i], true);
    }
    return wg__infer_size(c);
}

static wg_kernel argmax_select(const wg_op *op, const wg_dtype *in, int n_in, wg_dtype out)
{
    return wg__kernel_get(WG__KERNEL_pool_argmax, in[0]);
}

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

static bool acceptable(wg_tensor x, const wg_pool_options *o, int axes, const char *op, wg_shape *shape)
{
    if (!wg__shape(x, shape, op)) return false;
    if (shape->rank != axes + 2) {
        wg__refuse(x, WG_ERR_SHAPE, op, "x must be [images, channels, %d spatial axes]", axes);
        return false;
    }
    if (!wg_dtype_is_float(wg_dtype_get(x))) {
        wg__refuse(x, WG_ERR_DTYPE, op, "operand is %s: must be f32 or f64", wg_dtype_name(wg_dtype_get(x)));
        return false;
    }
    int64_t plane = 1;
    for (int i = 0; i < axes; i++) {
        int64_t size;
        if (o->kernel[i] < 1 || o->stride[i] < 1 || o->dilation[i] < 1 || o->before[i] < 0 || o->after[i] < 0 ||
            o->before[i] > o->kernel[i] / 2 || o->after[i] > o->kernel[i] / 2 || o->kernel[i] > INT32_MAX) {
            wg__refuse(
                x, WG_ERR_ARGUMENT, op,
                "kernels, strides and dilations must be 1 or more, kernels at most 2^31 - 1, padding 0 to half "
                "of the kernel");
            return false;
        }
        size = shape->size[2 + i] + o->before[i] + o->after[i];
        if (wg_window_count(size, o->kernel[i], o->stride[i], o->dilation[i], true) < 0) {
            wg__refuse(x, WG_ERR_SHAPE, op, "a window of %lld (dilation %lld) does not fit into axis %d",
                       (long long)o->kernel[i], (long long)o->dilation[i], 2 + i);
            return false;
        }
        if (!o->floor && !wg__window_is_whole(x, 2 + i, size, o->kernel[i], o->stride[i], o->dilation[i], op))
            return false;
        if (__builtin_mul_overflow(plane, size, &plane) || plane > INT32_MAX) {
            wg__refuse(x, WG_ERR_SHAPE, op, "a channel has more than 2^31 - 1 elements");
            return false;
        }
    }
    return true;
}

static wg_tensor padded(wg_tensor x, const wg_pool_options *o, int axes, double value)
{
    for (int i = 0; i < axes; i++)
        if (o->before[i] || o->after[i]) x = wg_pad_value(x, 2 + i, o->before[i], o->after[i], value);
    return x;
}

/* Gathers the maximum by its index, so that its gradient goes to that element only. */
static wg_tensor max_pool(wg_tensor x, wg_pool_options o, int axes, const char *op)
{
    wg_shape shape, out;
    if (!acceptable(x, &o, axes, op, &shape)) return wg__nil_of(x);
    x = padded(x, &o, axes, -INFINITY);
    wg__pool_attr attr = {.axes = axes};
    memcpy(attr.kernel, o.kernel, (size_t)axes * sizeof *o.kernel);
    memcpy(attr.stride, o.stride, (size_t)axes * sizeof *o.stride);
    memcpy(attr.dilation, o.dilation, (size_t)axes * sizeof *o.dilation);
    wg_tensor at = wg_record(&argmax_op, &x, 1, &attr, sizeof attr);
    if (!wg__shape(at, &out, op)) return wg__nil_of(x);
    return wg_reshape(wg_gather(wg_flatten(x, 2, -1), 2, wg_flatten(at, 2, -1)), out);
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
    wg_tensor y = wg__convolve(wg_reshape(x, single), w, WG_NONE, conv, axes, op);
    single = wg_shape_get(y);
    single.size[0] = shape.size[0];
    single.size[1] = shape.size[1];
    return wg_reshape(y, single);
}

static wg_tensor avg_pool(wg_tensor x, wg_pool_options o, int axes, const char *op)
{
    wg_shape shape;
    if (!acceptable(x, &o, axes, op, &shape)) return wg__nil_of(x);
    double taps = 1;
    bool pads = false;
    for (int i = 0; i < axes; i++) {
        taps *= (double)o.kernel[i];
        pads |= o.before[i] || o.after[i];
    }
    if (!pads || o.count_padding) return window_sum(padded(x, &o, axes, 0), &o, axes, 1 / taps, op);
    shape.size[0] = shape.size[1] = 1;
    wg_tensor ones = wg_full(x.tape, wg_dtype_get(x), shape, 1);
    return wg_div(window_sum(padded(x, &o, axes, 0), &o, axes, 1, op),
                  window_sum(padded(ones, &o, axes, 0), &o, axes, 1, op));
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
