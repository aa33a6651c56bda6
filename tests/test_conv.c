/* Convolution and pooling: worked examples, output sizes, plain loops, the ConvNet that lectures use.
 * (Gradients of every option: test_ops. PyTorch's numbers: test_golden.) */
#include "tensors.h"

static wg_tape *tape;
static wg_params *set;

static void begin(void)
{
    tape = wg_tape_new(wg_tape_defaults());
    set = wg_params_new(WG_F64);
    assert_true(tape && set);
}

static void end(void)
{
    wg_tape_free(tape);
    wg_params_free(set);
}

static bool says(const char *words) { return strstr(wg_tape_message(tape), words) != NULL; }

static bool has_shape(wg_tensor x, wg_shape want)
{
    wg_shape have = wg_shape_get(x);
    return wg_shape_equal(&have, &want);
}

/* ---- sizes ---- */

static void the_number_of_positions(void)
{
    assert_int_equal(wg_window_count(7, 3, 1, 1, false), 5); /* (N - F) / stride + 1 */
    assert_int_equal(wg_window_count(7, 3, 2, 1, false), 3);
    assert_int_equal(wg_window_count(7, 3, 3, 1, false), -1); /* does not divide */
    assert_int_equal(wg_window_count(7, 3, 3, 1, true), 2);
    assert_int_equal(wg_window_count(7 + 2 * 1, 3, 3, 1, false), 3); /* (N + 2 P - F) / S + 1 */
    assert_int_equal(wg_window_count(7, 3, 1, 3, false), 1);
    assert_int_equal(wg_window_count(7, 3, 1, 4, true), -1);
    assert_int_equal(wg_window_count(2, 3, 1, 1, true), -1);
    assert_int_equal(wg_window_count(7, 0, 1, 1, true), -1);
    assert_int_equal(wg_window_count(INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, true), -1);
    assert_int_equal(wg_window_count(INT64_MAX, 1, 1, 1, false), INT64_MAX);
}

static void a_stride_that_does_not_divide_is_an_error_or_allowed(void)
{
    wg_tensor x = wg_ones(tape, WG_F64, WG_DIMS(1, 1, 7, 7)), w = wg_ones(tape, WG_F64, WG_DIMS(1, 1, 3, 3));
    wg_conv_options o = wg_conv_square(3, 0);
    assert_true(wg_is_nil(wg_conv2d(x, w, WG_NONE, o)));
    assert_true(says("conv2d") && says("[1, 1, 7, 7]") && says("(7 - 3) / 3") && says("options.floor"));
    wg_status refused = wg_tape_reset(tape);
    assert_int_equal(refused, WG_ERR_SHAPE);
    x = wg_ones(tape, WG_F64, WG_DIMS(1, 1, 7, 7)), w = wg_ones(tape, WG_F64, WG_DIMS(1, 1, 3, 3));
    o.floor = true;
    assert_true(has_shape(wg_conv2d(x, w, WG_NONE, o), WG_DIMS(1, 1, 2, 2)));
    o = wg_conv_defaults();
    o.same = true;
    assert_true(has_shape(wg_conv2d(x, w, WG_NONE, o), WG_DIMS(1, 1, 7, 7)));
    o.stride[0] = 2, o.stride[1] = 4;
    assert_true(has_shape(wg_conv2d(x, w, WG_NONE, o), WG_DIMS(1, 1, 4, 2)));
}

/* 32x32x3 with a 5x5x3 filter gives an activation map of 28x28x1. Six filters with biases have 456 parameters. */
static void shapes_of_the_lecture(void)
{
    wg_tensor image = wg_ones(tape, WG_F64, WG_DIMS(1, 3, 32, 32));
    wg_conv_layer one, six;
    wg_linear_layer full;
    wg_conv_init(&one, set, "one", 3, 1, WG_DIMS(5, 5), wg_conv_layer_defaults());
    wg_conv_init(&six, set, "six", 3, 6, WG_DIMS(5, 5), wg_conv_layer_defaults());
    assert_true(has_shape(wg_conv_apply(&one, image), WG_DIMS(1, 1, 28, 28)));
    assert_true(has_shape(wg_conv_apply(&six, image), WG_DIMS(1, 6, 28, 28)));
    assert_int_equal(wg_param_numel(six.weight) + wg_param_numel(six.bias), 456);
    wg_linear_init(&full, set, "full", 3072, 10, wg_linear_defaults());
    assert_true(has_shape(wg_linear_apply(&full, wg_flatten(image, 1, -1)), WG_DIMS(1, 10)));
    assert_int_equal(wg_param_numel(full.weight), 30720);
    wg_tensor maps = wg_ones(tape, WG_F32, WG_DIMS(1, 64, 224, 224));
    assert_true(has_shape(wg_max_pool2d(maps, wg_pool_square(2)), WG_DIMS(1, 64, 112, 112)));
    assert_int_equal(wg_tape_reset(tape), WG_OK);
}

/* ---- against a plain loop ---- */

static double at(const double *x, int64_t channels, int64_t rows, int64_t cols, int64_t n, int64_t c, int64_t i,
                 int64_t j)
{
    if (i < 0 || i >= rows || j < 0 || j >= cols) return 0;
    return x[((n * channels + c) * rows + i) * cols + j];
}

/* O output channels in two groups. */
static void compare_with_a_plain_loop(int64_t O)
{
    enum { N = 2, C = 4, H = 11, W = 9, MOST = 70, KH = 3, KW = 2, G = 2 };
    static double x[N * C * H * W], w[MOST * C / G * KH * KW];
    for (int i = 0; i < N * C * H * W; i++) x[i] = sin(i * 0.7);
    for (int i = 0; i < O * C / G * KH * KW; i++) w[i] = cos(i * 0.3);
    wg_conv_options o = wg_conv_defaults();
    o.stride[0] = 2, o.stride[1] = 1;
    o.dilation[0] = 1, o.dilation[1] = 3;
    o.before[0] = 1, o.before[1] = 2, o.after[0] = 1, o.after[1] = 1;
    o.groups = G;
    wg_tensor y = wg_conv2d(wg_data(tape, WG_F64, WG_DIMS(N, C, H, W), x),
                            wg_data(tape, WG_F64, WG_DIMS(O, C / G, KH, KW), w), WG_NONE, o);
    assert_true(has_shape(y, WG_DIMS(N, O, 6, 9)));
    const double *have = wg_value(y);
    for (int64_t n = 0; n < N; n++)
        for (int64_t f = 0; f < O; f++)
            for (int64_t i = 0; i < 6; i++)
                for (int64_t j = 0; j < 9; j++) {
                    double sum = 0;
                    for (int64_t c = 0; c < C / G; c++)
                        for (int64_t k = 0; k < KH; k++)
                            for (int64_t l = 0; l < KW; l++)
                                sum += w[((f * C / G + c) * KH + k) * KW + l] *
                                       at(x, C, H, W, n, f / (O / G) * (C / G) + c, i * 2 + k - 1, j + l * 3 - 2);
                    assert_true(fabs(*have++ - sum) < 1e-13);
                }
}

/* The image's gradient of more taps and outputs than one block of sums has: of strides and padding, against loops. */
static void a_large_window(void)
{
    enum { N = 90, K = 12, PAD = 5 };
    static double x[N * N], w[K * K], dy[N * N], want[N * N];
    fill(w, K * K, 1);
    fill(dy, N * N, 2);
    for (int stride = 1; stride <= 2; stride++) {
        wg_conv_options o = wg_conv_defaults();
        o.stride[0] = o.stride[1] = stride, o.floor = true;
        for (int i = 0; i < 2; i++) o.before[i] = o.after[i] = PAD;
        const wg_tensor image = wg_data(tape, WG_F64, WG_DIMS(1, 1, N, N), x);
        const wg_tensor y = wg_conv2d(image, wg_data(tape, WG_F64, WG_DIMS(1, 1, K, K), w), WG_NONE, o);
        const int64_t out = wg_size(y, 3);
        memset(want, 0, sizeof want);
        for (int64_t i = 0; i < out; i++)
            for (int64_t j = 0; j < out; j++)
                for (int64_t k = 0; k < K; k++)
                    for (int64_t l = 0; l < K; l++) {
                        const int64_t row = i * stride + k - PAD, col = j * stride + l - PAD;
                        if (row < 0 || row >= N || col < 0 || col >= N) continue;
                        want[row * N + col] += dy[i * out + j] * w[k * K + l];
                    }
        const wg_tensor g = wg_grad1(y, image, wg_data(tape, WG_F64, WG_DIMS(1, 1, out, out), dy));
        CHECK(distance(wg_value(g), want, N * N) < 1e-12);
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
}

/* Numbers of channels below a vector, multiples of a vector, and more than one packed panel. */
static void equals_a_plain_loop(void)
{
    compare_with_a_plain_loop(6);
    compare_with_a_plain_loop(32);
    compare_with_a_plain_loop(70);
}

/* The filter is not flipped: the response to an impulse is the reversed filter, and moves with the impulse. */
static void correlates(void)
{
    static const double impulse[5] = {0, 0, 1, 0, 0}, filter[3] = {1, 2, 3};
    wg_tensor y = wg_conv1d(wg_data(tape, WG_F64, WG_DIMS(1, 1, 5), impulse),
                            wg_data(tape, WG_F64, WG_DIMS(1, 1, 3), filter), WG_NONE, wg_conv_defaults());
    const double *have = wg_value(y);
    assert_true(have[0] == 3 && have[1] == 2 && have[2] == 1);
}

/* ---- pooling ---- */

static void max_pool_example(void)
{
    static const double slice[16] = {1, 1, 2, 4, 5, 6, 7, 8, 3, 2, 1, 0, 1, 2, 3, 4}, pooled[4] = {6, 8, 3, 4};
    wg_param *x = wg_param_new(set, "x", WG_DIMS(1, 1, 4, 4), wg_init_zeros());
    memcpy(wg_param_write_begin(x), slice, sizeof slice);
    wg_param_write_end(x);
    wg_tensor y = wg_keep(wg_max_pool2d(wg_use(tape, x), wg_pool_square(2)));
    assert_int_equal(wg_backward(wg_sum_all(wg_mul(y, y))), WG_OK);
    assert_memory_equal(wg_value(y), pooled, sizeof pooled);
    const double *grad = wg_param_grad(x);
    for (int i = 0; i < 16; i++) { /* to the maxima, and nowhere else */
        bool largest = i == 5 || i == 7 || i == 8 || i == 15;
        assert_true(grad[i] == (largest ? 2 * slice[i] : 0));
    }
}

static void of_equal_ones_the_first_gets_the_gradient(void)
{
    wg_param *x = wg_param_new(set, "x", WG_DIMS(1, 1, 2, 2), wg_init_constant(3));
    assert_int_equal(wg_backward(wg_sum_all(wg_max_pool2d(wg_use(tape, x), wg_pool_square(2)))), WG_OK);
    const double *grad = wg_param_grad(x);
    assert_true(grad[0] == 1 && grad[1] == 0 && grad[2] == 0 && grad[3] == 0);
}

static void nan_spreads_through_a_maximum(void)
{
    const double numbers[4] = {1, NAN, 5, 2};
    wg_tensor y = wg_max_pool1d(wg_data(tape, WG_F64, WG_DIMS(1, 1, 4), numbers), wg_pool_square(2));
    const double *have = wg_value(y);
    assert_true(isnan(have[0]) && have[1] == 5);
}

/* The first of the largest values of the window at (r, c); NaN is the largest. */
static int largest_at(const double *x, int width, const wg_pool_options *o, int r, int c)
{
    int best = r * width + c;
    for (int i = 0; i < o->kernel[0]; i++)
        for (int j = 0; j < o->kernel[1]; j++) {
            int at = (r + i * (int)o->dilation[0]) * width + c + j * (int)o->dilation[1];
            if (x[at] > x[best] || (isnan(x[at]) && !isnan(x[best]))) best = at;
        }
    return best;
}

/* Narrow rows, wide rows, and rows that end within a vector; with ties and NaN. */
static void max_pools_of_all_widths(void)
{
    enum { HEIGHT = 11, MOST = 140 };
    static const int widths[] = {3, 5, 8, 31, 32, 33, 35, 66, 67, 140};
    static double x[HEIGHT * MOST], want[HEIGHT * MOST];
    for (int i = 0; i < HEIGHT * MOST; i++)
        x[i] = i % 97 == 50 ? NAN : (double)(i * 7919 % 13); /* many are equal */
    for (int k = 0; k < (int)(sizeof widths / sizeof *widths) * 6; k++) {
        const int width = widths[k / 6], stride = 1 + k % 3, dilation = width < 5 ? 1 : 1 + k / 3 % 2;
        wg_pool_options o = wg_pool_square(3);
        for (int i = 0; i < 2; i++) o.stride[i] = stride, o.dilation[i] = dilation;
        o.floor = true;
        const int span = 2 * dilation + 1, rows = (HEIGHT - span) / stride + 1, cols = (width - span) / stride + 1;
        char name[16];
        snprintf(name, sizeof name, "x%d", k);
        wg_param *p = wg_param_new(set, name, WG_DIMS(1, 1, HEIGHT, width), wg_init_zeros());
        memcpy(wg_param_write_begin(p), x, (size_t)(HEIGHT * width) * sizeof *x);
        wg_param_write_end(p);
        wg_tensor y = wg_keep(wg_max_pool2d(wg_use(tape, p), o));
        assert_true(has_shape(y, WG_DIMS(1, 1, rows, cols)));
        assert_int_equal(wg_backward(wg_sum_all(y)), WG_OK);
        memset(want, 0, sizeof want);
        const double *have = wg_value(y), *grad = wg_param_grad(p);
        for (int i = 0; i < rows * cols; i++) {
            const int at = largest_at(x, width, &o, i / cols * stride, i % cols * stride);
            assert_true(have[i] == x[at] || (isnan(have[i]) && isnan(x[at])));
            want[at]++;
        }
        assert_memory_equal(grad, want, (size_t)(HEIGHT * width) * sizeof *want);
        wg_tape_reset(tape);
    }
}

/* ---- memory and bits ---- */

/* A step saves the images and not the matrix of their windows, which would be nine times as large. */
static void no_matrix_of_windows_is_built(void)
{
    wg_params *f32 = wg_params_new(WG_F32);
    wg_conv_layer layer;
    wg_conv_layer_options options = wg_conv_layer_defaults();
    options.conv = wg_conv_square(1, 1);
    wg_conv_init(&layer, f32, "c", 32, 32, WG_DIMS(3, 3), options);
    wg_param *x = wg_param_new(f32, "x", WG_DIMS(8, 32, 32, 32), wg_init_normal(0, 1));
    size_t image = (size_t)wg_param_numel(x) * 4;
    wg_tensor loss = wg_sum_all(wg_square(wg_conv_apply(&layer, wg_use(tape, x))));
    assert_true(wg_backward_bytes(loss) < 7 * image); /* x, y, their gradients, two padded images */
    assert_int_equal(wg_backward(loss), WG_OK);
    wg_params_free(f32);
}

/* Gradients of a convolution with few channels, and of two with many: with padding, and with a stride. */
static void run_on_threads(int threads, wg_dtype products, int64_t images, int64_t side, wg_params *f32,
                           wg_conv_layer *layers, wg_param **x)
{
    wg_tape_options o = wg_tape_defaults();
    o.products = products;
    wg_pool *pool = wg_pool_new(threads);
    o.pool = pool;
    wg_tape *own = wg_tape_new(o);
    *x = wg_param_new(f32, "x", WG_DIMS(images, 3, side, side), wg_init_normal(0, 1));
    wg_tensor h = wg_use(own, *x);
    static const int64_t channels[] = {3, 20, 32, 64};
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"a", "b", "c"};
        wg_conv_layer_options options = wg_conv_layer_defaults();
        options.conv = wg_conv_square(i == 2 ? 2 : 1, i == 0 ? 0 : 1);
        options.conv.floor = true;
        wg_conv_init(&layers[i], f32, names[i], channels[i], channels[i + 1], WG_DIMS(3, 3), options);
        h = wg_conv_apply(&layers[i], h);
    }
    assert_int_equal(wg_backward(wg_mean_all(wg_square(h))), WG_OK);
    wg_tape_free(own);
    wg_pool_free(pool);
}

static void same_bits_on_threads(wg_dtype products, int64_t images, int64_t side)
{
    wg_params *set_one = wg_params_new(WG_F32);
    wg_conv_layer one[3];
    wg_param *x_one;
    run_on_threads(1, products, images, side, set_one, one, &x_one);
    for (int threads = 2; threads <= 4; threads++) {
        wg_params *set_more = wg_params_new(WG_F32);
        wg_conv_layer more[3];
        wg_param *x_more;
        run_on_threads(threads, products, images, side, set_more, more, &x_more);
        assert_memory_equal(wg_param_grad(x_one), wg_param_grad(x_more), (size_t)wg_param_numel(x_one) * 4);
        for (int i = 0; i < 3; i++)
            assert_memory_equal(wg_param_grad(one[i].weight), wg_param_grad(more[i].weight),
                                (size_t)wg_param_numel(one[i].weight) * 4);
        wg_params_free(set_more);
    }
    wg_params_free(set_one);
}

/* Several images per task, and several tasks per image. */
static void the_same_bits_on_any_number_of_threads(void)
{
    for (int i = 0; i < 2; i++) {
        const wg_dtype products = i ? WG_BF16 : WG_F32;
        same_bits_on_threads(products, 20, 14);
        same_bits_on_threads(products, 1, 61);
    }
}

/* ---- the ConvNet ---- */

/* In bf16 each image of a weight's gradient takes whole pairs of outputs, also if it has an odd number. Small whole
 * numbers are exact. */
static void a_weights_gradient_of_many_images_in_bf16(void)
{
    enum { IMAGES = 67, MOST = 5 };
    wg_tape_options options = wg_tape_defaults();
    options.products = WG_BF16;
    for (int dtype = WG_F32; dtype <= WG_F64; dtype++)
        for (int outputs = 1; outputs <= MOST; outputs++) {
            wg_tape *t = wg_tape_new(options);
            wg_params *params = wg_params_new((wg_dtype)dtype);
            wg_param *w = wg_param_new(params, "w", WG_DIMS(40, 1, 2), wg_init_zeros());
            wg_tensor n = wg_arange(t, WG_F32, 0, 1, IMAGES * (outputs + 1));
            wg_tensor x = wg_cast(wg_mod(n, wg_scalar(t, WG_F32, 7)), (wg_dtype)dtype);
            wg_tensor y = wg_conv1d(wg_reshape(x, WG_DIMS(IMAGES, 1, outputs + 1)), wg_use(t, w), WG_NONE,
                                    wg_conv_defaults());
            CHECK(wg_backward(wg_sum_all(y)) == WG_OK);
            double want[2] = {0, 0};
            for (int i = 0; i < IMAGES; i++)
                for (int p = 0; p < outputs; p++)
                    for (int k = 0; k < 2; k++) want[k] += (i * (outputs + 1) + p + k) % 7;
            const void *got = wg_param_grad(w);
            for (int i = 0; i < 80; i++)
                CHECK((dtype == WG_F64 ? ((const double *)got)[i] : (double)((const float *)got)[i]) ==
                      want[i % 2]);
            wg_tape_free(t);
            wg_params_free(params);
        }
}

/* 28x28x1, 5x5 valid, pool 2, 5x5, pool 2, fc n3, ReLU, dropout, fc 10:
 * 26 n1 + n2 (25 n1 + 1) + n3 (16 n2 + 1) + 10 (n3 + 1) numbers. */
static void the_conv_net(void)
{
    enum { N1 = 4, N2 = 6, N3 = 9 };
    wg_conv_layer conv1, conv2;
    wg_linear_layer fc3, fc4;
    wg_conv_init(&conv1, set, "conv1", 1, N1, WG_DIMS(5, 5), wg_conv_layer_defaults());
    wg_conv_init(&conv2, set, "conv2", N1, N2, WG_DIMS(5, 5), wg_conv_layer_defaults());
    wg_linear_init(&fc3, set, "fc3", 16 * N2, N3, wg_linear_defaults());
    wg_linear_init(&fc4, set, "fc4", N3, 10, wg_linear_defaults());
    wg_tensor x = wg_ones(tape, WG_F64, WG_DIMS(2, 1, 28, 28));
    x = wg_conv_apply(&conv1, x);
    assert_true(has_shape(x, WG_DIMS(2, N1, 24, 24)));
    x = wg_max_pool2d(x, wg_pool_square(2));
    assert_true(has_shape(x, WG_DIMS(2, N1, 12, 12)));
    x = wg_conv_apply(&conv2, x);
    assert_true(has_shape(x, WG_DIMS(2, N2, 8, 8)));
    x = wg_flatten(wg_max_pool2d(x, wg_pool_square(2)), 1, -1);
    assert_true(has_shape(x, WG_DIMS(2, 16 * N2)));
    x = wg_linear_apply(&fc4, wg_dropout(wg_relu(wg_linear_apply(&fc3, x)), 0.5));
    assert_true(has_shape(x, WG_DIMS(2, 10)));
    assert_int_equal(wg_params_trainable(set), 26 * N1 + N2 * (25 * N1 + 1) + N3 * (16 * N2 + 1) + 10 * (N3 + 1));
    assert_int_equal(wg_backward(wg_mean_all(wg_square(x))), WG_OK);
}

static void layers_that_cannot_be(void)
{
    wg_conv_layer layer;
    wg_conv_layer_options o = wg_conv_layer_defaults();
    assert_int_equal(wg_conv_init(&layer, set, "a", 3, 4, WG_DIMS(5), o), WG_ERR_ARGUMENT);
    assert_true(strstr(wg_params_message(set), "conv a") != NULL);
    wg_params_clear_error(set);
    o.conv.groups = 2;
    assert_int_equal(wg_conv_init(&layer, set, "b", 3, 4, WG_DIMS(5, 5), o), WG_ERR_ARGUMENT);
    wg_params_clear_error(set);
    assert_int_equal(wg_conv_init(&layer, set, "c", 4, 4, WG_DIMS(5, 0), o), WG_ERR_ARGUMENT);
    assert_true(wg_is_nil(wg_conv_apply(&layer, wg_ones(tape, WG_F64, WG_DIMS(1, 4, 8, 8)))));
    assert_true(says("not initialized"));
    wg_status refused = wg_tape_reset(tape);
    assert_int_equal(refused, WG_ERR_ARGUMENT);
}

static void pools_that_cannot_be(void)
{
    wg_pool_options o = {
        .kernel = {INT64_MAX}, .stride = {1}, .dilation = {1}}; /* its padding alone overflows an int64 */
    o.before[0] = o.after[0] = INT64_MAX / 2;
    assert_true(wg_is_nil(wg_max_pool1d(wg_ones(tape, WG_F64, WG_DIMS(1, 1, 9)), o)));
    assert_true(says("max_pool1d") && says("at most 2^31 - 1"));
    assert_int_equal(wg_tape_reset(tape), WG_ERR_ARGUMENT);
}

static void transposed_convolutions_that_cannot_be(void)
{
    wg_tensor x = wg_ones(tape, WG_F32, WG_DIMS(1, 2, 3, 3));
    wg_conv_options o = wg_conv_defaults();
    assert_true(wg_is_nil(wg_conv_transpose2d(x, wg_ones(tape, WG_F32, WG_DIMS(2, 0, 3, 3)), WG_NONE, o)));
    assert_int_equal(wg_tape_reset(tape), WG_ERR_SHAPE);
    x = wg_ones(tape, WG_F32, WG_DIMS(1, 2, 3, 3));
    assert_true(wg_is_nil(wg_conv_transpose2d(x, wg_ones(tape, WG_F64, WG_DIMS(2, 1, 3, 3)), WG_NONE, o)));
    assert_true(says("f32 and f64 differ"));
    assert_int_equal(wg_tape_reset(tape), WG_ERR_DTYPE);
}

/* With more extra outputs than the stride, which dilation allows, the window fits the result at more positions than the
 * input has. */
static wg_tensor with_extra(void *context, wg_tape *t, wg_params *params)
{
    wg_conv_options o = wg_conv_defaults();
    o.dilation[0] = 3;
    o.extra[0] = 2;
    wg_tensor x = wg_use(t, wg_param_find(params, "x")), w = wg_use(t, wg_param_find(params, "w"));
    return wg_mean_all(wg_exp(wg_conv_transpose1d(x, w, WG_NONE, o)));
}

static void the_gradient_of_a_transposed_convolution_with_extra_places(void)
{
    wg_param_new(set, "x", WG_DIMS(1, 1, 4), wg_init_uniform(-1, 1));
    wg_param_new(set, "w", WG_DIMS(1, 2, 2), wg_init_uniform(-1, 1));
    wg_gradcheck_options o = wg_gradcheck_defaults();
    o.second_order = true;
    wg_verdict verdict = wg_gradcheck(tape, set, with_extra, NULL, o);
    if (!verdict.ok) fail_msg("%s", verdict.text);
}

int main(int argc, char **argv)
{
#define ON_TAPE(name) TEST_CASE_WITH(name, begin, end)
    static const test tests[] = {
        ON_TAPE(the_number_of_positions),
        ON_TAPE(a_stride_that_does_not_divide_is_an_error_or_allowed),
        ON_TAPE(shapes_of_the_lecture),
        ON_TAPE(equals_a_plain_loop),
        ON_TAPE(a_large_window),
        ON_TAPE(correlates),
        ON_TAPE(max_pool_example),
        ON_TAPE(max_pools_of_all_widths),
        ON_TAPE(of_equal_ones_the_first_gets_the_gradient),
        ON_TAPE(nan_spreads_through_a_maximum),
        ON_TAPE(no_matrix_of_windows_is_built),
        ON_TAPE(the_same_bits_on_any_number_of_threads),
        TEST_CASE(a_weights_gradient_of_many_images_in_bf16),
        ON_TAPE(the_conv_net),
        ON_TAPE(layers_that_cannot_be),
        ON_TAPE(pools_that_cannot_be),
        ON_TAPE(transposed_convolutions_that_cannot_be),
        ON_TAPE(the_gradient_of_a_transposed_convolution_with_extra_places),
    };
    return RUN_TESTS(tests);
}
