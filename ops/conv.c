/* Convolutions over one, two or three axes. Three ops, each linear in both operands and each a derivative of the
 * others: conv, its gradient by the weight, and its gradient by the image. And pad_image, the zero padding of an
 * image. */
#include "internal.h"

#include <string.h>

#include "kernels/conv/conv.h"

int64_t wg_window_count(int64_t size, int64_t kernel, int64_t stride, int64_t dilation, bool floor)
{
    int64_t reach;
    if (size < 0 || kernel < 1 || stride < 1 || dilation < 1) return -1;
    if (__builtin_mul_overflow(kernel - 1, dilation, &reach) || reach >= size) return -1;
    int64_t room = size - 1 - reach;
    return floor || room % stride == 0 ? room / stride + 1 : -1;
}

bool wg__window_is_whole(wg_tensor x, int axis, int64_t size, int64_t kernel, int64_t stride, int64_t dilation,
                         const char *op)
{
    if (wg_window_count(size, kernel, stride, dilation, true) < 0 ||
        wg_window_count(size, kernel, stride, dilation, false) >= 0)
        return true;
    wg__refuse(x, WG_ERR_SHAPE, op,
               "axis %d: (%lld - %lld) / %lld is not an integer, so the last elements would be ignored; "
               "set options.floor to allow it",
               axis, (long long)size, (long long)((kernel - 1) * dilation + 1), (long long)stride);
    return false;
}

/* ---- pad_image: zero padding ------------------------------------------------------------------------------------- */

static wg_status pad_image_infer(wg_infer *c)
{
    const wg__pad_image_attr *f = c->attr;
    c->out = c->in[0];
    for (int i = 0; i < f->axes; i++) c->out.size[c->out.rank - f->axes + i] = f->size[i];
    return wg__infer_size(c);
}

static wg_tensor pad_image_vjp(const wg_vjp_args *v, int k)
{
    const wg__pad_image_attr *f = v->attr;
    wg_tensor x = v->grad;
    int first = wg_rank(x) - (int)f->axes;
    for (int i = 0; i < f->axes; i++)
        x = wg_slice(x, first + i, f->before[i], f->before[i] + wg_size(v->in[0], first + i));
    return x;
}

WG__SELECT(pad_image_select, wg__pad_image_kernel)

static const wg_op pad_image_op = {.struct_size = sizeof(wg_op),
                                   .name = "pad_image",
                                   .min_in = 1,
                                   .max_in = 1,
                                   .flags = WG_OP_SMOOTH,
                                   .infer = pad_image_infer,
                                   .vjp = pad_image_vjp,
                                   .select = pad_image_select,
                                   .tasks = wg__pad_image_tasks};

/* x itself if there is no padding. */
static wg_tensor pad_image(wg_tensor x, const wg__pad_image_attr *f)
{
    bool same = true;
    for (int i = 0; i < f->axes; i++) same &= f->size[i] == wg_size(x, wg_rank(x) - (int)f->axes + i);
    return same ? x : wg_record(&pad_image_op, &x, 1, f, sizeof *f);
}

/* ---- the three ops ---------------------------------------------------------------------------------------- */

/* The padded image must have a valid size: kernels build it, one or a few images at a time. */
static wg_status infer_padded(wg_infer *c, const wg_shape *x)
{
    const wg__conv_attr *attr = c->attr;
    c->out = *x;
    for (int i = 2; i < x->rank; i++) c->out.size[i] += attr->before[i - 2] + attr->after[i - 2];
    return wg__infer_size(c);
}

/* The kernels for many channels pad the image themselves; those for few need it padded in memory. */
static wg_status check_padding(wg_infer *c, int64_t channels)
{
    const wg__conv_attr *attr = c->attr;
    bool padded = false;
    for (int i = 0; i < WG__CONV_AXES; i++) padded |= attr->before[i] != 0 || attr->after[i] != 0;
    if (!padded || wg__conv_is_wide(channels)) return WG_OK;
    return wg_infer_fail(c, WG_ERR_ARGUMENT,
                         "padding needs an image padded in memory: a group has only %lld output channels",
                         (long long)channels);
}

static wg_status conv_infer(wg_infer *c)
{
    const wg__conv_attr *attr = c->attr;
    const wg_shape *x = &c->in[0], *w = &c->in[1];
    if (w->size[1] < 1) return wg_infer_fail(c, WG_ERR_SHAPE, "the weight has no input channels");
    if (w->size[0] < 1 || w->size[0] % attr->groups)
        return wg_infer_fail(c, WG_ERR_SHAPE,
                             "the weight's output channels must be a positive multiple of %lld groups",
                             (long long)attr->groups);
    if (x->size[1] != w->size[1] * attr->groups)
        return wg_infer_fail(c, WG_ERR_SHAPE, "x has %lld channels, but the weight has %lld in each of %lld groups",
                             (long long)x->size[1], (long long)w->size[1], (long long)attr->groups);
    wg_status status = check_padding(c, w->size[0] / attr->groups);
    if (status == WG_OK) status = infer_padded(c, x);
    if (status != WG_OK) return status;
    c->out = *x;
    c->out.size[1] = w->size[0];
    for (int i = 2; i < x->rank; i++) {
        int64_t padded = x->size[i] + attr->before[i - 2] + attr->after[i - 2];
        c->out.size[i] = wg_window_count(padded, w->size[i], attr->stride[i - 2], attr->dilation[i - 2], true);
        if (c->out.size[i] < 0)
            return wg_infer_fail(c, WG_ERR_SHAPE,
                                 "a window of %lld (dilation %lld) does not fit into axis %d of %lld",
                                 (long long)w->size[i], (long long)attr->dilation[i - 2], i, (long long)padded);
    }
    return wg__infer_size(c);
}

WG__SELECT(conv_select, wg_dtype_is_float(out) ? wg__conv_kernel : NULL)
WG__SELECT(weight_select, wg_dtype_is_float(out) ? wg__conv_weight_kernel : NULL)
WG__SELECT(input_select, wg_dtype_is_float(out) ? wg__conv_input_kernel : NULL)

static wg_status weight_infer(wg_infer *c)
{
    const wg__conv_attr *attr = c->attr;
    const wg_shape *grad = &c->in[0], *x = &c->in[1];
    wg_status status = check_padding(c, grad->size[1] / attr->groups);
    if (status != WG_OK) return status;
    c->out = *x;
    c->out.size[0] = grad->size[1];
    c->out.size[1] = x->size[1] / attr->groups;
    memcpy(c->out.size + 2, attr->size, (size_t)(x->rank - 2) * sizeof *attr->size);
    return wg__infer_size(c);
}

static wg_status input_infer(wg_infer *c)
{
    const wg__conv_attr *attr = c->attr;
    wg_shape x = c->in[0];
    x.size[1] = c->in[1].size[1] * attr->groups;
    memcpy(x.size + 2, attr->size, (size_t)(x.rank - 2) * sizeof *attr->size);
    wg_status status = infer_padded(c, &x);
    if (status != WG_OK) return status;
    c->out = x;
    return wg__infer_size(c);
}

static wg_tensor conv(wg_tensor x, wg_tensor w, const wg__conv_attr *attr);
static wg_tensor conv_weight(wg_tensor grad, wg_tensor x, const wg__conv_attr *attr, const int64_t *size);
static wg_tensor conv_input(wg_tensor grad, wg_tensor w, const wg__conv_attr *attr, const int64_t *size);

/* The convolution cut to the outputs of y: the result of a transposed convolution may have room for more. */
static wg_tensor conv_like(wg_tensor x, wg_tensor w, wg_tensor y, const wg__conv_attr *attr)
{
    wg_tensor z = conv(x, w, attr);
    for (int i = 2; i < wg_rank(y); i++)
        if (wg_size(z, i) != wg_size(y, i)) z = wg_slice(z, i, 0, wg_size(y, i));
    return z;
}

/* With y = x * w: each op maps two of (x, w, y) to the third, and its gradients by those two are the other ops. */
static wg_tensor conv_vjp(const wg_vjp_args *v, int k)
{
    wg_shape shape = wg_shape_get(v->in[k]);
    return k == 0 ? conv_input(v->grad, v->in[1], v->attr, shape.size + 2)
                  : conv_weight(v->grad, v->in[0], v->attr, shape.size + 2);
}

static wg_tensor weight_vjp(const wg_vjp_args *v, int k) /* operands y, x; the gradient is a w */
{
    wg_shape x = wg_shape_get(v->in[1]);
    return k == 0 ? conv_like(v->in[1], v->grad, v->in[0], v->attr)
                  : conv_input(v->in[0], v->grad, v->attr, x.size + 2);
}

static wg_tensor input_vjp(const wg_vjp_args *v, int k) /* operands y, w; the gradient is an x */
{
    wg_shape w = wg_shape_get(v->in[1]);
    return k == 0 ? conv_like(v->grad, v->in[1], v->in[0], v->attr)
                  : conv_weight(v->in[0], v->grad, v->attr, w.size + 2);
}

static const wg_op conv_op = {.struct_size = sizeof(wg_op),
                              .name = "conv",
                              .min_in = 2,
                              .max_in = 2,
                              .flags = WG_OP_SMOOTH,
                              .infer = conv_infer,
                              .vjp = conv_vjp,
                              .select = conv_select,
                              .tasks = wg__conv_tasks,
                              .scratch = wg__conv_scratch};

static const wg_op weight_op = {.struct_size = sizeof(wg_op),
                                .name = "conv_weight",
                                .min_in = 2,
                                .max_in = 2,
                                .flags = WG_OP_SMOOTH,
                                .infer = weight_infer,
                                .vjp = weight_vjp,
                                .select = weight_select,
                                .tasks = wg__conv_weight_tasks,
                                .scratch = wg__conv_weight_scratch};

static const wg_op input_op = {.struct_size = sizeof(wg_op),
                               .name = "conv_input",
                               .min_in = 2,
                               .max_in = 2,
                               .flags = WG_OP_SMOOTH,
                               .infer = input_infer,
                               .vjp = input_vjp,
                               .select = input_select,
                               .tasks = wg__conv_input_tasks,
                               .scratch = wg__conv_input_scratch};

static wg_tensor record(const wg_op *op, wg_tensor a, wg_tensor b, const wg__conv_attr *attr, const int64_t *size)
{
    wg_tensor in[2] = {a, b};
    wg__conv_attr with = *attr;
    memset(with.size, 0, sizeof with.size);
    if (size) memcpy(with.size, size, (size_t)(wg_rank(a) - 2) * sizeof *size);
    return wg_record(op, in, 2, &with, sizeof with);
}

static wg_tensor conv(wg_tensor x, wg_tensor w, const wg__conv_attr *attr)
{
    return record(&conv_op, x, w, attr, NULL);
}

static wg_tensor conv_weight(wg_tensor grad, wg_tensor x, const wg__conv_attr *attr, const int64_t *size)
{
    return record(&weight_op, grad, x, attr, size);
}

static wg_tensor conv_input(wg_tensor grad, wg_tensor w, const wg__conv_attr *attr, const int64_t *size)
{
    return record(&input_op, grad, w, attr, size);
}

/* ---- public functions ----------------------------------------------------------------------------------------- */

wg_conv_options wg_conv_defaults(void)
{
    return (wg_conv_options){.stride = {1, 1, 1}, .dilation = {1, 1, 1}, .groups = 1};
}

wg_conv_options wg_conv_square(int64_t stride, int64_t padding)
{
    wg_conv_options o = wg_conv_defaults();
    for (int i = 0; i < WG_CONV_AXES; i++) {
        o.stride[i] = stride;
        o.before[i] = o.after[i] = padding;
    }
    return o;
}

/* Checks shapes and options and returns the shapes of x and w. false: an error is stored, or an operand is nil. */
static bool acceptable(wg_tensor x, wg_tensor w, const wg_conv_options *o, int axes, const char *op, wg_shape *sx,
                       wg_shape *sw)
{
    static const char *const letters[] = {"length", "height, width", "depth, height, width"};
    char text[128];
    if (!wg__both_set(x, w, op) || !wg__shape(x, sx, op) || !wg__shape(w, sw, op) || !wg__both_float(x, w, op))
        return false;
    if (sx->rank != axes + 2 || sw->rank != axes + 2) {
        wg__refuse(x, WG_ERR_SHAPE, op,
                   "x must be [images, channels, %s] and the weight have as many axes; the weight is %s",
                   letters[axes - 1], wg_shape_text(sw, text, sizeof text));
        return false;
    }
    bool ok = o->groups >= 1 && o->groups <= INT32_MAX;
    for (int i = 0; i < axes; i++)
        ok &= o->stride[i] >= 1 && o->dilation[i] >= 1 && o->before[i] >= 0 && o->after[i] >= 0 &&
              o->extra[i] >= 0 && o->before[i] <= INT32_MAX && o->after[i] <= INT32_MAX &&
              o->extra[i] <= INT32_MAX && o->stride[i] <= INT32_MAX && o->dilation[i] <= INT32_MAX;
    if (!ok)
        wg__refuse(x, WG_ERR_ARGUMENT, op,
                   "strides, dilations and groups must be 1 or more, padding 0 or more, and none above 2^31 - 1");
    return ok;
}

static wg_tensor add_bias(wg_tensor y, wg_tensor bias, int64_t channels, const char *op)
{
    wg_shape have, want = WG_DIMS(channels), column = {.rank = wg_rank(y)};
    char text[64];
    if (!bias.tape) return y;
    if (!wg__shape(bias, &have, op)) return wg__nil_of(y);
    if (!wg_shape_equal(&have, &want))
        return wg__refuse(bias, WG_ERR_SHAPE, op, "the bias must be %s", wg_shape_text(&want, text, sizeof text));
    for (int i = 0; i < column.rank; i++) column.size[i] = i == 1 ? channels : 1;
    return wg_add(y, wg_reshape(bias, column));
}

/* with_padding: the kernel pads (those for many channels do). */
static wg__conv_attr attr_of(const wg_conv_options *o, int axes, bool with_padding)
{
    wg__conv_attr attr = {.groups = o->groups};
    for (int i = 0; i < axes; i++) {
        attr.stride[i] = o->stride[i];
        attr.dilation[i] = o->dilation[i];
        attr.before[i] = with_padding ? o->before[i] : 0;
        attr.after[i] = with_padding ? o->after[i] : 0;
    }
    return attr;
}

/* Padding for ceil(size / stride) outputs: half before, an odd zero after. */
static void pad_same(wg_conv_options *o, int axis, int64_t size, int64_t kernel)
{
    int64_t outputs = (size + o->stride[axis] - 1) / o->stride[axis];
    int64_t needed = (outputs - 1) * o->stride[axis] + (kernel - 1) * o->dilation[axis] + 1 - size;
    if (needed < 0) needed = 0;
    o->before[axis] = needed / 2;
    o->after[axis] = needed - needed / 2;
}

wg_tensor wg__convolve(wg_tensor x, wg_tensor w, wg_tensor bias, wg_conv_options o, int axes, bool never_bf16,
                       const char *op)
{
    wg_shape sx, sw;
    if (!acceptable(x, w, &o, axes, op, &sx, &sw)) return wg__nil_of_both(x, w);
    wg__pad_image_attr f = {.axes = axes};
    for (int i = 0; i < axes; i++) {
        int64_t kernel = sw.size[2 + i];
        if (o.same && kernel >= 1 && kernel <= INT32_MAX) pad_same(&o, i, sx.size[2 + i], kernel);
        f.before[i] = o.before[i];
        f.size[i] = sx.size[2 + i] + o.before[i] + o.after[i];
        if (!o.floor && !o.same &&
            !wg__window_is_whole(x, 2 + i, f.size[i], kernel, o.stride[i], o.dilation[i], op))
            return wg__nil_of(x);
    }
    bool wide = wg__conv_is_wide(sw.size[0] / o.groups);
    wg__conv_attr attr = attr_of(&o, axes, wide);
    attr.never_bf16 = never_bf16;
    wg_tensor y = conv(wide ? x : pad_image(x, &f), w, &attr);
    return wg_is_nil(y) ? y : add_bias(y, bias, sw.size[0], op);
}

static wg_tensor convolve_transposed(wg_tensor x, wg_tensor w, wg_tensor bias, wg_conv_options o, int axes,
                                     const char *op)
{
    wg_shape sx, sw;
    int64_t size[WG_CONV_AXES];
    if (!acceptable(x, w, &o, axes, op, &sx, &sw)) return wg__nil_of_both(x, w);
    if (sx.size[1] != sw.size[0] || sw.size[0] < 1 || sw.size[0] % o.groups || sw.size[1] < 1 || o.same)
        return wg__refuse(x, o.same ? WG_ERR_ARGUMENT : WG_ERR_SHAPE, op,
                          o.same ? "options.same has no meaning here: padding determines the size of the result"
                                 : "the weight must be [channels of x, output channels of a group, ...]");
    for (int i = 0; i < axes; i++) {
        int64_t n = sx.size[2 + i], kernel = sw.size[2 + i];
        bool ok = n >= 1 && kernel >= 1 && kernel <= INT32_MAX && n <= INT32_MAX;
        if (ok) size[i] = (n - 1) * o.stride[i] + (kernel - 1) * o.dilation[i] + 1 + o.extra[i];
        if (!ok || o.before[i] + o.after[i] >= size[i])
            return wg__refuse(x, WG_ERR_SHAPE, op, "the result has no elements along axis %d", 2 + i);
        if (o.extra[i] >= o.stride[i] && o.extra[i] >= o.dilation[i])
            return wg__refuse(x, WG_ERR_ARGUMENT, op, "extra must be smaller than the stride or the dilation");
    }
    bool wide = wg__conv_is_wide(sw.size[0] / o.groups);
    wg__conv_attr attr = attr_of(&o, axes, wide);
    for (int i = 0; i < axes; i++) size[i] -= attr.before[i] + attr.after[i];
    wg_tensor y = conv_input(x, w, &attr, size);
    for (int i = 0; i < axes && !wide; i++) y = wg_slice(y, 2 + i, o.before[i], size[i] - o.after[i]);
    return wg_is_nil(y) ? y : add_bias(y, bias, sw.size[1] * o.groups, op);
}

#define CONVOLUTIONS(axes)                                                                                         \
    wg_tensor wg_conv##axes##d(wg_tensor x, wg_tensor weight, wg_tensor bias, wg_conv_options options)             \
    {                                                                                                              \
        return wg__convolve(x, weight, bias, options, axes, false, "conv" #axes "d");                              \
    }                                                                                                              \
    wg_tensor wg_conv_transpose##axes##d(wg_tensor x, wg_tensor weight, wg_tensor bias, wg_conv_options options)   \
    {                                                                                                              \
        return convolve_transposed(x, weight, bias, options, axes, "conv_transpose" #axes "d");                    \
    }
CONVOLUTIONS(1)
CONVOLUTIONS(2)
CONVOLUTIONS(3)

const wg_op *const wg__conv_ops[] = {&conv_op, &weight_op, &input_op, &pad_image_op, NULL};
