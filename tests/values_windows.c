/* Values of convolutions, their gradients and pools: loops over every window, along one, two and three axes. */
#include "values_tests.h"

enum { AXES = WG_CONV_AXES };

/* A window that slides over an image: along each axis position p sees the places p stride + k dilation - before. */
typedef struct window {
    int axes;
    int64_t image[AXES], kernel[AXES], stride[AXES], dilation[AXES], before[AXES], after[AXES], positions[AXES];
    int64_t places, taps, results; /* of a channel of the image, of the window, of a channel of the result */
} window;

static array x, w, bias, g, want, second;

static window random_window(int most_kernel)
{
    window v = {.axes = 1 + (int)draw(AXES), .places = 1, .taps = 1, .results = 1};
    for (int i = 0; i < v.axes; i++) {
        v.kernel[i] = 1 + draw((uint32_t)most_kernel);
        v.stride[i] = 1 + draw(3);
        v.dilation[i] = 1 + draw(2);
        v.before[i] = draw((uint32_t)v.kernel[i] / 2 + 1);
        v.after[i] = draw((uint32_t)v.kernel[i] / 2 + 1);
        int64_t span = (v.kernel[i] - 1) * v.dilation[i] + 1;
        v.image[i] = span + draw(v.axes == 1 ? 9 : 4);
        v.positions[i] = (v.image[i] + v.before[i] + v.after[i] - span) / v.stride[i] + 1;
        v.places *= v.image[i];
        v.taps *= v.kernel[i];
        v.results *= v.positions[i];
    }
    return v;
}

/* The place in the image that a tap of the window sees at a position; -1: in the padding. All counted in order. */
static int64_t place_of(const window *v, int64_t position, int64_t tap)
{
    int64_t place = 0, inner = 1;
    for (int i = v->axes - 1; i >= 0; i--) {
        int64_t at = position % v->positions[i] * v->stride[i] + tap % v->kernel[i] * v->dilation[i] - v->before[i];
        if (at < 0 || at >= v->image[i]) return -1;
        place += at * inner;
        inner *= v->image[i];
        position /= v->positions[i];
        tap /= v->kernel[i];
    }
    return place;
}

static wg_shape shape_with(int64_t first, int64_t then, const int64_t *sizes, int axes)
{
    wg_shape shape = WG_DIMS(first, then);
    for (int i = 0; i < axes; i++) shape.size[shape.rank++] = sizes[i];
    return shape;
}

static wg_conv_options options_of(const window *v, int64_t groups)
{
    wg_conv_options o = wg_conv_defaults();
    memcpy(o.stride, v->stride, (size_t)v->axes * sizeof(int64_t));
    memcpy(o.dilation, v->dilation, (size_t)v->axes * sizeof(int64_t));
    memcpy(o.before, v->before, (size_t)v->axes * sizeof(int64_t));
    memcpy(o.after, v->after, (size_t)v->axes * sizeof(int64_t));
    o.groups = groups;
    o.floor = true;
    return o;
}

/* Adds up over images n, output channels o, positions p, input channels c of the group and taps k, as the pointers ask:
 * y[n,o,p] += w[o,c,k] x[n,c',q]; dx[n,c',q] += w g[n,o,p]; dw[o,c,k] += x g. */
typedef struct sums {
    const double *x, *w, *g;
    double *y, *dx, *dw;
} sums;

static void add_up(const window *v, int64_t N, int64_t C, int64_t O, int64_t groups, sums s)
{
    int64_t each = C / groups;
    for (int64_t i = 0; i < N * O * v->results * each * v->taps; i++) {
        int64_t k = i % v->taps, c = i / v->taps % each, p = i / v->taps / each % v->results;
        int64_t o = i / v->taps / each / v->results % O, n = i / v->taps / each / v->results / O;
        int64_t q = place_of(v, p, k);
        if (q < 0) continue;
        int64_t in_x = (n * C + o / (O / groups) * each + c) * v->places + q, in_w = (o * each + c) * v->taps + k;
        int64_t in_y = (n * O + o) * v->results + p;
        if (s.y) s.y[in_y] += s.w[in_w] * s.x[in_x];
        if (s.dx) s.dx[in_x] += s.w[in_w] * s.g[in_y];
        if (s.dw) s.dw[in_w] += s.x[in_x] * s.g[in_y];
    }
}

static void zero(array *a, wg_shape shape)
{
    shape_set(a, shape);
    for (int64_t i = 0; i < a->n; i++) a->x[i] = 0;
}

static wg_tensor convolve(int axes, wg_tensor image, wg_tensor weight, wg_tensor b, wg_conv_options o)
{
    return axes == 1   ? wg_conv1d(image, weight, b, o)
           : axes == 2 ? wg_conv2d(image, weight, b, o)
                       : wg_conv3d(image, weight, b, o);
}

/* The image inside zeros, as the convolution reads it. */
static void expect_frame(const window *v, int64_t N, int64_t C, wg_tensor framed)
{
    static array frame;
    fill_random(&frame, wg_shape_get(framed));
    for (int64_t i = 0; i < frame.n; i++) {
        int64_t at[8];
        bool inside = true;
        place(&frame.shape, i, at);
        for (int d = 0; d < v->axes; d++) {
            at[2 + d] -= v->before[d];
            inside &= at[2 + d] >= 0 && at[2 + d] < v->image[d];
        }
        frame.x[i] = inside ? x.x[offset(&x.shape, at)] : 0;
    }
    expect_values("pad_image", framed, &frame);
}

void convolutions(void)
{
    window v = random_window(3);
    int64_t groups = 1 + draw(2), N = 1 + draw(2), C = groups * (1 + draw(2)), O = groups * (1 + draw(3));
    fill_random(&x, shape_with(N, C, v.image, v.axes));
    fill_random(&w, shape_with(O, C / groups, v.kernel, v.axes));
    fill_random(&bias, WG_DIMS(O));
    fill_random(&g, shape_with(N, O, v.positions, v.axes));
    wg_tensor image = strided(&x), weight = strided(&w), grad = strided(&g);
    wg_conv_options o = options_of(&v, groups);
    wg_tensor y = convolve(v.axes, image, weight, WG_NONE, o);
    zero(&want, g.shape);
    add_up(&v, N, C, O, groups, (sums){.x = x.x, .w = w.x, .y = want.x});
    expect_values("convolution", y, &want);
    bool framed = false;
    for (int d = 0; d < v.axes; d++) framed |= v.before[d] + v.after[d] > 0;
    if (framed) {
        wg_tensor frame = node_of("pad_image", y);
        wg_shape shape = wg_shape_get(frame);
        if (shape.rank == x.shape.rank) expect_frame(&v, N, C, frame);
    }
    for (int64_t i = 0; i < want.n; i++) want.x[i] += bias.x[i / v.results % O];
    expect_values("convolution with bias", convolve(v.axes, image, weight, strided(&bias), o), &want);
    zero(&want, x.shape);
    zero(&second, w.shape);
    add_up(&v, N, C, O, groups, (sums){.x = x.x, .w = w.x, .g = g.x, .dx = want.x, .dw = second.x});
    wg_tensor by_image = wg_grad1(y, image, grad), by_weight = wg_grad1(y, weight, grad);
    expect_values("convolution's gradient by the image", by_image, &want);
    expect_values("convolution's gradient by the weight", by_weight, &second);
}

/* The gradient of a convolution by its image, with an image as large as the window allows. */
void transposed_convolutions(void)
{
    window v = random_window(3);
    int64_t groups = 1 + draw(2), N = 1 + draw(2), C = groups * (1 + draw(2)), O = groups * (1 + draw(3));
    v.places = 1;
    for (int i = 0; i < v.axes; i++) {
        v.image[i] =
            (v.positions[i] - 1) * v.stride[i] - v.before[i] - v.after[i] + v.dilation[i] * (v.kernel[i] - 1) + 1;
        if (v.image[i] < 1) return;
        v.places *= v.image[i];
    }
    fill_random(&g, shape_with(N, O, v.positions, v.axes));
    fill_random(&w, shape_with(O, C / groups, v.kernel, v.axes));
    fill_random(&bias, WG_DIMS(C));
    zero(&want, shape_with(N, C, v.image, v.axes));
    add_up(&v, N, C, O, groups, (sums){.w = w.x, .g = g.x, .dx = want.x});
    for (int64_t i = 0; i < want.n; i++) want.x[i] += bias.x[i / v.places % C];
    wg_conv_options o = options_of(&v, groups);
    wg_tensor in = strided(&g), weight = strided(&w), b = strided(&bias);
    expect_values("transposed convolution",
                  v.axes == 1   ? wg_conv_transpose1d(in, weight, b, o)
                  : v.axes == 2 ? wg_conv_transpose2d(in, weight, b, o)
                                : wg_conv_transpose3d(in, weight, b, o),
                  &want);
}

static wg_tensor pool(int axes, bool max, wg_tensor image, wg_pool_options o)
{
    if (axes == 1) return max ? wg_max_pool1d(image, o) : wg_avg_pool1d(image, o);
    if (axes == 2) return max ? wg_max_pool2d(image, o) : wg_avg_pool2d(image, o);
    return max ? wg_max_pool3d(image, o) : wg_avg_pool3d(image, o);
}

void pools(void)
{
    window v = random_window(3);
    int64_t N = 1 + draw(2), C = 1 + draw(3);
    wg_pool_options o = {.floor = true, .count_padding = draw(2)};
    memcpy(o.kernel, v.kernel, sizeof o.kernel);
    memcpy(o.stride, v.stride, sizeof o.stride);
    memcpy(o.dilation, v.dilation, sizeof o.dilation);
    memcpy(o.before, v.before, sizeof o.before);
    memcpy(o.after, v.after, sizeof o.after);
    fill_random(&x, shape_with(N, C, v.image, v.axes));
    zero(&want, shape_with(N, C, v.positions, v.axes));
    zero(&second, want.shape);
    static array place_in_frame; /* of the largest, counted in the image inside its padding */
    zero(&place_in_frame, want.shape);
    bool framed = false;
    for (int d = 0; d < v.axes; d++) framed |= v.before[d] + v.after[d] > 0;
    for (int64_t i = 0; i < want.n; i++) {
        double best = -INFINITY, sum = 0;
        int64_t seen = 0;
        for (int64_t k = 0; k < v.taps; k++) {
            int64_t q = place_of(&v, i % v.results, k);
            if (q < 0) continue;
            double value = x.x[i / v.results * v.places + q];
            if (value > best) best = value, place_in_frame.x[i] = (double)q;
            sum += value;
            seen++;
        }
        want.x[i] = best;
        second.x[i] = sum / (double)(o.count_padding ? v.taps : seen);
    }
    wg_tensor image = strided(&x), max = pool(v.axes, true, image, o);
    expect_values("max_pool", max, &want);
    if (!framed) expect_values("pool_argmax", node_of("pool_argmax", max), &place_in_frame);
    expect_values("avg_pool", pool(v.axes, false, image, o), &second);
    o.divisor = 0.25 * (1 + (double)draw(9));
    for (int64_t i = 0; i < second.n; i++) {
        second.x[i] = 0;
        for (int64_t k = 0; k < v.taps; k++) {
            const int64_t q = place_of(&v, i % v.results, k);
            if (q >= 0) second.x[i] += x.x[i / v.results * v.places + q] / o.divisor;
        }
    }
    expect_values("avg_pool with a divisor", pool(v.axes, false, image, o), &second);
    for (int d = 0; d < v.axes; d++)
        if (v.dilation[d] > v.image[d]) return;
    wg_tensor at = wg_max_pool_indices(image, o);
    expect_values("max_pool_indices", at, &place_in_frame);
    zero(&second, x.shape);
    for (int64_t i = 0; i < want.n; i++)
        second.x[i / v.results * v.places + (int64_t)place_in_frame.x[i]] = want.x[i];
    expect_values("max_unpool", wg_max_unpool(max, at, x.shape), &second);
}
