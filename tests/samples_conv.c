/* Samples of convolutions and pooling. */
#include "samples.h"

#include <stdio.h>
#include <string.h>

#include "../ops/kernels/conv/conv.h"
#include "../ops/kernels/conv/pool.h"

enum { CONV, TRANSPOSED, CONV_WEIGHT, CONV_INPUT, MAX_POOL, AVG_POOL, PAD_IMAGE, POOL_ARGMAX, POOL_INDICES };

/* Per axis the same: stride, dilation, zeros before and after; groups; same; floor; extra. */
typedef struct conv_case {
    const char *x, *w, *bias;
    int64_t stride, dilation, before, after, groups;
    bool same, floor;
    int64_t extra;
} conv_case;

static const conv_case convs[] = {{"1,1,1", "1,1,1", "1", 1, 1, 0, 0, 1},
                                  {"2,3,7", "4,3,3", "4", 1, 1, 0, 0, 1},
                                  {"2,3,7", "4,3,3", NULL, 2, 1, 0, 0, 1},
                                  {"2,3,7", "4,3,3", NULL, 1, 2, 1, 2, 1},
                                  {"2,4,8", "6,2,3", "6", 1, 1, 1, 1, 2},
                                  {"0,3,7", "4,3,3", "4", 1, 1, 0, 0, 1},
                                  {"3,2,70", "3,2,5", NULL, 1, 1, 2, 2, 1},
                                  {"1,2,9", "3,2,4", NULL, 3, 1, 0, 0, 1, false, true},
                                  {"1,2,9", "3,2,4", NULL, 2, 2, 0, 0, 1, true},
                                  {"2,1,5,6", "2,1,3,3", "2", 1, 1, 0, 0, 1},
                                  {"2,3,5,6", "4,3,2,3", "4 f", 1, 1, 1, 1, 1},
                                  {"1,2,7,7", "3,2,3,3", NULL, 2, 1, 0, 0, 1},
                                  {"1,2,7,7", "3,2,3,3", NULL, 1, 2, 2, 2, 1},
                                  {"1,4,6,6", "4,1,3,3", "4", 1, 1, 1, 1, 4},
                                  {"2,4,5,5", "6,2,2,2", NULL, 1, 1, 0, 1, 2},
                                  {"2,3,5,6 t", "4,3,3,3 t", "4", 1, 1, 1, 1, 1},
                                  {"2,3,5,6 s", "4,3,3,3 f", "4 p", 1, 1, 0, 0, 1},
                                  {"2,3,5,6 e", "4,3,1,1", NULL, 1, 1, 0, 0, 1},
                                  {"1,2,6,6", "2,2,3,3", NULL, 2, 1, 0, 0, 1, true},
                                  {"1,3,20,20", "5,3,3,3", "5", 1, 1, 1, 1, 1},
                                  {"1,2,3,4,5", "3,2,2,3,2", "3", 1, 1, 0, 0, 1},
                                  {"2,2,5,4,4", "2,1,3,2,2", NULL, 2, 1, 1, 1, 2, false, true},
                                  /* many channels, a panel and more of them: conv/direct.c */
                                  {"2,14,5", "16,14,3", "16", 1, 1, 1, 1, 1},
                                  {"2,3,40", "32,3,3", NULL, 2, 1, 0, 0, 1, false, true},
                                  {"3,2,5,6", "47,2,3,2", NULL, 1, 1, 1, 0, 1},
                                  {"2,4,6,5", "32,2,3,3", "32", 2, 1, 1, 1, 2, false, true},
                                  {"0,3,7", "16,3,3", NULL, 1, 1, 0, 0, 1},
                                  {"1,2,7,7 t", "16,2,2,3 t", NULL, 1, 2, 2, 1, 1},
                                  {"1,2,3,4,3", "16,2,2,3,2", "16", 1, 1, 1, 0, 1},
                                  /* images smaller than the stride: no number is seen through some places */
                                  {"1,16,1", "16,16,3", NULL, 2, 1, 1, 1, 1},
                                  {"1,40,1,4", "16,40,3,3", NULL, 3, 1, 1, 1, 1}};

static const conv_case transposed[] = {{"1,1,1", "1,1,1", "1", 1, 1, 0, 0, 1},
                                       {"2,3,5", "3,4,3", "4", 1, 1, 0, 0, 1},
                                       {"2,3,5", "3,4,3", NULL, 2, 1, 0, 0, 1},
                                       {"2,3,5", "3,4,3", "4", 2, 1, 1, 1, 1, false, false, 1},
                                       {"2,3,5", "3,4,3", NULL, 1, 2, 1, 0, 1},
                                       {"2,4,5", "4,3,3", "6", 3, 1, 1, 1, 2},
                                       {"0,3,5", "3,4,3", NULL, 2, 1, 0, 0, 1},
                                       {"1,1,9", "1,1,4", "1 f", 4, 1, 0, 0, 1},
                                       {"2,2,4,5", "2,3,3,2", "3", 1, 1, 0, 0, 1},
                                       {"2,2,4,5", "2,3,3,3", "3", 2, 1, 1, 1, 1},
                                       {"2,2,4,5", "2,3,3,3", NULL, 2, 1, 1, 1, 1, false, false, 1},
                                       {"1,4,3,3", "4,1,2,2", "4", 2, 1, 0, 0, 4},
                                       {"1,4,3,3", "4,2,3,3", NULL, 1, 2, 2, 1, 2},
                                       {"2,2,4,5 t", "2,3,3,3 t", NULL, 1, 1, 1, 1, 1},
                                       {"2,2,4,5 s", "2,3,3,3 f", "3", 1, 1, 0, 0, 1},
                                       {"2,2,4,5 e", "2,3,1,1", "3", 1, 1, 0, 0, 1},
                                       {"1,3,6,6", "3,2,5,5", "2", 1, 1, 2, 2, 1},
                                       {"1,2,7,1", "2,2,3,1", NULL, 2, 1, 0, 0, 1},
                                       {"1,2,2,3,2", "2,2,2,2,2", "2", 1, 1, 0, 0, 1},
                                       {"1,2,2,3,2", "2,1,2,2,2", "2", 2, 1, 1, 1, 2},
                                       /* many channels on both sides, on one: conv/direct.c */
                                       {"2,16,5", "16,16,3", "16", 1, 1, 1, 1, 1},
                                       {"1,14,5", "14,32,3", NULL, 2, 1, 1, 1, 1, false, false, 1},
                                       {"1,16,4", "16,3,3", "3", 2, 1, 1, 0, 1},
                                       {"1,3,4,5", "3,16,3,3", "16", 2, 1, 1, 1, 1},
                                       {"1,2,5,4", "2,16,3,2", NULL, 3, 2, 1, 1, 1},
                                       {"2,4,3,3", "4,16,3,3", NULL, 1, 1, 1, 1, 2}};

/* The kernel is w's, with the stride of the case. */
static const conv_case pools[] = {{"1,1,2", "2", NULL, 2, 1, 0, 0},
                                  {"2,3,8", "2", NULL, 2, 1, 0, 0},
                                  {"2,3,8", "3", NULL, 1, 1, 1, 1},
                                  {"2,3,9", "3", NULL, 2, 2, 1, 1},
                                  {"0,3,8", "2", NULL, 2, 1, 0, 0},
                                  {"1,1,200", "5", NULL, 1, 1, 2, 2},
                                  {"1,2,9", "2", NULL, 2, 1, 0, 0, 1, false, true},
                                  {"1,1,4,4", "2,2", NULL, 2, 1, 0, 0},
                                  {"2,3,6,8", "2,2", NULL, 2, 1, 0, 0},
                                  {"2,3,5,7", "3,3", NULL, 1, 1, 0, 0},
                                  {"2,3,5,7", "3,3", NULL, 2, 1, 1, 1},
                                  {"2,2,7,9", "3,3", NULL, 1, 2, 1, 1},
                                  {"1,2,6,5 t", "2,2", NULL, 1, 1, 0, 0},
                                  {"1,2,6,6 f", "2,2", NULL, 2, 1, 1, 1},
                                  {"1,2,6,6 s", "3,3", NULL, 3, 1, 0, 0},
                                  {"1,2,6,6 p", "1,2", NULL, 1, 1, 0, 0},
                                  {"2,2,6,6 o", "6,6", NULL, 1, 1, 0, 0},
                                  {"1,2,5,5 e", "2,2", NULL, 2, 1, 1, 0},
                                  {"1,2,70,3", "3,1", NULL, 1, 1, 0, 0},
                                  {"1,2,4,4,4", "2,2,2", NULL, 2, 1, 0, 0},
                                  {"2,1,4,5,3", "2,3,1", NULL, 1, 1, 0, 0}};

static wg_conv_options conv_options(const conv_case *c)
{
    wg_conv_options o = wg_conv_defaults();
    for (int i = 0; i < WG_CONV_AXES; i++) {
        o.stride[i] = c->stride;
        o.dilation[i] = c->dilation;
        o.before[i] = c->before;
        o.after[i] = c->after;
        o.extra[i] = c->extra;
    }
    o.groups = c->groups;
    o.same = c->same;
    o.floor = c->floor;
    return o;
}

static wg_tensor apply_conv(int op, int axes, wg_tensor x, wg_tensor w, wg_tensor bias, wg_conv_options o)
{
    static wg_tensor (*const forms[2][3])(wg_tensor, wg_tensor, wg_tensor, wg_conv_options) = {
        {wg_conv1d, wg_conv2d, wg_conv3d}, {wg_conv_transpose1d, wg_conv_transpose2d, wg_conv_transpose3d}};
    return forms[op == TRANSPOSED][axes - 1](x, w, bias, o);
}

static wg_tensor make_conv(sampler *s, const op_samples *row, int i)
{
    const conv_case *c = row->op == CONV ? &convs[i] : &transposed[i];
    wg_tensor x = x_in(s, c->x), w = x_in(s, c->w), bias = c->bias ? x_in(s, c->bias) : WG_NONE;
    return apply_conv(row->op, shape_of_spec(c->x).rank - 2, x, w, bias, conv_options(c));
}

static wg_tensor apply_pool(int op, int axes, wg_tensor x, wg_pool_options o)
{
    static wg_tensor (*const forms[2][3])(wg_tensor, wg_pool_options) = {
        {wg_max_pool1d, wg_max_pool2d, wg_max_pool3d}, {wg_avg_pool1d, wg_avg_pool2d, wg_avg_pool3d}};
    return forms[op == AVG_POOL][axes - 1](x, o);
}

static wg_pool_options pool_options(const conv_case *c)
{
    wg_shape kernel = shape_of_spec(c->w);
    wg_pool_options o = wg_pool_square(2);
    for (int a = 0; a < kernel.rank; a++) {
        o.kernel[a] = kernel.size[a];
        o.stride[a] = c->stride;
        o.dilation[a] = c->dilation;
        o.before[a] = c->before <= kernel.size[a] / 2 ? c->before : 0;
        o.after[a] = c->after <= kernel.size[a] / 2 ? c->after : 0;
    }
    o.floor = true;
    return o;
}

static wg_tensor make_pool(sampler *s, const op_samples *row, int i)
{
    const conv_case *c = &pools[i % COUNT(pools)];
    wg_pool_options o = pool_options(c);
    o.count_padding = i < COUNT(pools);
    if (i % 5 == 4) o.divisor = 1.5;
    return apply_pool(row->op, shape_of_spec(c->w).rank, x_in(s, c->x), o);
}

/* The maxima at their places again, and only these places. */
static wg_tensor make_unpool(sampler *s, const op_samples *row, int i)
{
    const conv_case *c = &pools[i % COUNT(pools)];
    wg_pool_options o = pool_options(c);
    for (int a = 0; a < WG_CONV_AXES; a++) o.dilation[a] = 1;
    wg_tensor x = x_in(s, c->x), at = wg_max_pool_indices(x, o);
    if (row->op == POOL_INDICES) return at;
    return wg_max_unpool(apply_pool(MAX_POOL, shape_of_spec(c->w).rank, x, o), at, shape_of_spec(c->x));
}

static wg_tensor bad_indices(sampler *s, const op_samples *row, int i)
{
    wg_pool_options o = wg_pool_square(2);
    expect(s, i == 1 ? WG_ERR_DTYPE : WG_ERR_SHAPE, "max_pool_indices");
    if (i == 2) o = (wg_pool_options){.kernel = {2, 2}, .stride = {1, 1}, .dilation = {9, 9}, .before = {9, 9}};
    return wg_max_pool_indices(i == 1 ? x_i32(s, "1,3,4,4", 0, 5) : x_in(s, i == 0 ? "3,4" : "1,3,4,4"), o);
}

static wg_tensor bad_unpool(sampler *s, const op_samples *row, int i)
{
    expect(s, i == 0 ? WG_ERR_DTYPE : WG_ERR_SHAPE, i == 5 ? "" : "max_unpool");
    wg_tensor x = i == 0 ? x_i32(s, "1,3,2", 0, 2) : x_in(s, i == 1 ? "1,3" : "1,3,2");
    wg_tensor at = i == 2 ? x_in(s, "1,3,2") : x_i32(s, i == 3 ? "1,3,1" : "1,3,2", 0, 4);
    return wg_max_unpool(x, at, i == 4 ? WG_DIMS(1, 2, 4) : i == 5 ? WG_DIMS(1, 3, -1) : WG_DIMS(1, 3, 4));
}

/* The ops behind, as their callers record them. */
static wg_tensor make_pad_image(sampler *s, const op_samples *row, int i)
{
    static const char *const specs[] = {"3", "2,3", "2,3,4", "1", "5 f", "2,3 t", "3,0", "2,2,3,4", "7 s", "6 p"};
    wg_tensor x = x_in(s, specs[i % 10]);
    wg__pad_image_attr f = {.axes = wg_rank(x) < 3 ? wg_rank(x) : 3};
    for (int a = 0; a < f.axes; a++) {
        f.before[a] = (i + a) % 3;
        f.size[a] = f.before[a] + wg_size(x, wg_rank(x) - (int)f.axes + a) + i % 2;
    }
    return wg_record(op_named("pad_image"), &x, 1, &f, sizeof f);
}

/* The result's gradient, and the image or the weight of a convolution. */
static wg_tensor make_gradient(sampler *s, const op_samples *row, int i)
{
    const conv_case *c = &convs[i];
    wg_shape x = shape_of_spec(c->x), w = shape_of_spec(c->w), grad = x;
    wg__conv_attr attr = {.groups = c->groups};
    bool framed = wg__conv_is_wide(w.size[0] / c->groups); /* those of few channels are given images in frames */
    grad.size[1] = w.size[0];
    for (int a = 0; a < x.rank - 2; a++) {
        attr.stride[a] = c->stride;
        attr.dilation[a] = c->dilation;
        attr.before[a] = framed ? c->before : 0;
        attr.after[a] = framed ? c->after : 0;
        attr.size[a] = row->op == CONV_WEIGHT ? w.size[2 + a] : x.size[2 + a];
        int64_t size = x.size[2 + a] + attr.before[a] + attr.after[a];
        grad.size[2 + a] = wg_window_count(size, w.size[2 + a], c->stride, c->dilation, true);
    }
    char spec[64] = "";
    for (int a = 0; a < grad.rank; a++)
        snprintf(spec + strlen(spec), sizeof spec - strlen(spec), "%s%lld", a ? "," : "", (long long)grad.size[a]);
    wg_tensor in[2] = {x_in(s, spec), x_in(s, row->op == CONV_WEIGHT ? c->x : c->w)};
    return wg_record(op_named(row->name), in, 2, &attr, sizeof attr);
}

static wg_tensor make_argmax(sampler *s, const op_samples *row, int i)
{
    static const char *const specs[] = {"1,1,4,4", "2,3,7,5", "1,2,6,6 t", "0,2,5,5", "1,2,5,5 f"};
    wg_tensor x = x_in(s, specs[i % 5]);
    const int64_t kernel = 1 + i % 3, stride = 1 + i % 2, before = i % 4 == 3 ? kernel / 2 : 0;
    wg__pool_attr attr = {.axes = 2, .kernel = {1}, .stride = {1}, .dilation = {1}, .positions = {1}};
    for (int a = 1; a < 3; a++) {
        attr.kernel[a] = kernel;
        attr.stride[a] = stride;
        attr.dilation[a] = 1;
        attr.before[a] = before;
        attr.positions[a] = wg_window_count(wg_size(x, 1 + a) + before, kernel, stride, 1, true);
    }
    return wg_record(op_named("pool_argmax"), &x, 1, &attr, sizeof attr);
}

/* Few channels, and the image is not in its frame. */
static wg_tensor bad_padding(sampler *s, const op_samples *row, int i)
{
    bool forward = row->op == CONV;
    wg__conv_attr attr = {.groups = 1, .stride = {1}, .dilation = {1}, .size = {3}};
    *(i ? attr.after : attr.before) = 1;
    expect(s, WG_ERR_ARGUMENT, "conv|4 output channels|padding");
    wg_tensor in[2] = {x_in(s, forward ? "1,2,5" : "1,4,4"), x_in(s, forward ? "4,2,3" : "1,2,5")};
    return wg_record(op_named(row->name), in, 2, &attr, sizeof attr);
}

static wg_tensor bad_conv(sampler *s, const op_samples *row, int i)
{
    static const struct {
        wg_status status;
        const char *words[2], *x, *w[2];
        conv_case c;
    } all[] = {
        {WG_ERR_SHAPE,
         {"conv1d|[2, 3]|images", "conv_transpose1d|[2, 3]"},
         "2,3",
         {"4,3,3", "3,4,3"},
         {.stride = 1}},
        {WG_ERR_SHAPE,
         {"conv2d|[4, 3, 3]", "conv_transpose2d|[4, 3, 3]"},
         "2,3,5,5",
         {"4,3,3", "4,3,3"},
         {.stride = 1}},
        {WG_ERR_SHAPE,
         {"3 channels|2 in each", "conv_transpose1d|weight"},
         "2,3,5",
         {"4,2,3", "2,4,3"},
         {.stride = 1}},
        {WG_ERR_SHAPE, {"does not fit into axis 2", "no elements"}, "2,3,2", {"4,3,3", "3,4,0"}, {.stride = 1}},
        {WG_ERR_ARGUMENT, {"strides", "strides"}, "2,3,5", {"4,3,3", "3,4,3"}, {.stride = 0}},
        {WG_ERR_ARGUMENT, {"padding", "padding"}, "2,3,5", {"4,3,3", "3,4,3"}, {.stride = 1, .before = -1}},
        {WG_ERR_SHAPE, {"bias|[4]", "bias|[4]"}, "2,3,5", {"4,3,3", "3,4,3"}, {.stride = 1, .bias = "3"}},
        {WG_ERR_SHAPE,
         {"not an integer|floor", "no elements"},
         "1,3,7",
         {"4,3,3", "3,4,3"},
         {.stride = 3, .before = 0, .after = 40}},
    };
    bool back = row->op == TRANSPOSED;
    if (i == 8) {
        expect(s, WG_ERR_DTYPE, "conv");
        wg_tensor x = x_i32(s, "1,2,5", 0, 3), w = x_i32(s, "2,2,3", 0, 3);
        return apply_conv(row->op, 1, x, w, WG_NONE, wg_conv_defaults());
    }
    if (i > 8) return bad_padding(s, row, i - 9);
    conv_case c = all[i].c;
    if (!back && i == 7) c.after = 0;
    c.dilation = c.groups = 1;
    expect(s, all[i].status, all[i].words[back]);
    int axes = i == 1 ? 2 : 1;
    wg_tensor x = x_in(s, all[i].x), w = x_in(s, all[i].w[back]);
    return apply_conv(row->op, axes, x, w, c.bias ? x_in(s, c.bias) : WG_NONE, conv_options(&c));
}

static wg_tensor bad_pool(sampler *s, const op_samples *row, int i)
{
    wg_pool_options o = wg_pool_square(2);
    static const char *const words[] = {"pool2d|[3, 4, 4]", "kernels", "does not fit", "not an integer|floor",
                                        "padding",          "i32",     "divisor"};
    expect(s, i == 5 ? WG_ERR_DTYPE : i == 1 || i == 4 || i == 6 ? WG_ERR_ARGUMENT : WG_ERR_SHAPE, words[i]);
    if (i == 1) o.stride[0] = 0;
    if (i == 2) o.kernel[1] = 9;
    if (i == 3) o.stride[0] = 3;
    if (i == 6) o.divisor = NAN;
    if (i == 4) o.before[0] = 2; /* of 2: the first window has no element */
    return apply_pool(row->op, 2, i == 5 ? x_i32(s, "1,3,4,4", 0, 5) : x_in(s, i == 0 ? "3,4,4" : "1,3,4,4"), o);
}

const op_samples samples_conv[] = {
    {.name = "conv",
     .op = CONV,
     .flags = SAMPLE_SMOOTH | SAMPLE_OTHER_NAME,
     .n = COUNT(convs),
     .make = make_conv,
     .n_bad = 11,
     .bad = bad_conv},
    {.name = "conv_transpose",
     .op = TRANSPOSED,
     .flags = SAMPLE_SMOOTH | SAMPLE_OTHER_NAME,
     .n = COUNT(transposed),
     .make = make_conv,
     .n_bad = 9,
     .bad = bad_conv},
    {.name = "max_pool",
     .op = MAX_POOL,
     .flags = SAMPLE_SMOOTH | SAMPLE_OTHER_NAME,
     .n = COUNT(pools),
     .make = make_pool,
     .n_bad = 6,
     .bad = bad_pool},
    {.name = "avg_pool",
     .op = AVG_POOL,
     .flags = SAMPLE_SMOOTH | SAMPLE_OTHER_NAME,
     .n = 2 * COUNT(pools),
     .make = make_pool,
     .n_bad = 7,
     .bad = bad_pool},
    {.name = "max_pool_indices",
     .op = POOL_INDICES,
     .flags = SAMPLE_OTHER_NAME,
     .n = COUNT(pools),
     .make = make_unpool,
     .n_bad = 3,
     .bad = bad_indices},
    {.name = "max_unpool",
     .flags = SAMPLE_SMOOTH | SAMPLE_OTHER_NAME,
     .n = COUNT(pools),
     .make = make_unpool,
     .n_bad = 6,
     .bad = bad_unpool},
    {.name = "conv_weight",
     .op = CONV_WEIGHT,
     .flags = SAMPLE_SMOOTH | SAMPLE_OTHER_NAME | SAMPLE_NO_SPOIL,
     .n = COUNT(convs),
     .make = make_gradient,
     .n_bad = 2,
     .bad = bad_padding},
    {.name = "conv_input",
     .op = CONV_INPUT,
     .flags = SAMPLE_SMOOTH | SAMPLE_OTHER_NAME | SAMPLE_NO_SPOIL,
     .n = COUNT(convs),
     .make = make_gradient},
    {.name = "pad_image",
     .op = PAD_IMAGE,
     .flags = SAMPLE_SMOOTH | SAMPLE_OTHER_NAME,
     .n = 30,
     .make = make_pad_image},
    {.name = "pool_argmax", .op = POOL_ARGMAX, .flags = SAMPLE_OTHER_NAME, .n = 20, .make = make_argmax},
    {0}};
