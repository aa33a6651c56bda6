/* Derivatives and choices at the edge of a formula: quotients that round, squares that overflow, 0 / 0, ties, operands
 * that broadcast where a length is taken. The right values are those of mathematics, and PyTorch's but for asinh. */
#include "numbers.h"

#define PI 3.14159265358979323846

/* 1 mod 0.1 is 0.1 - 9 * 0.1 in both floats, whose quotient rounds to 10. */
static void mod_by_a_rounded_quotient(void)
{
    for (int i = 0; i < 2; i++) {
        const wg_tensor a = ROW(floats[i], 1, 0.5, -1, 7), b = ROW(floats[i], 0.1, 0.1, 0.1, 2);
        EXPECT("mod by the divisor", wg_grad1(wg_mod(a, b), b, WG_NONE), -9, -4, 10, -3);
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
}

static void asinh_far_out(void)
{
    const wg_tensor x = ROW(WG_F32, 1e20, -3e30, 0), y = ROW(WG_F64, 1e200, 0.75, -1e160);
    const wg_tensor slopes = wg_mul(wg_grad1(wg_asinh(x), x, WG_NONE), wg_abs(x));
    EXPECT("asinh, slope times |x|", slopes, 1, 1, 0);
    EXPECT("asinh, slope", wg_mul(wg_grad1(wg_asinh(y), y, WG_NONE), wg_abs(y)), 1, 0.6, 1);
    CHECK(wg_tape_reset(tape) == WG_OK);
}

static void atan2_far_out(void)
{
    const wg_tensor a = ROW(WG_F32, 1e38, 8.6e37, -3e38, 3e38, 1, INFINITY),
                    b = ROW(WG_F32, 1e38, 8.6e37, 3e38, -1e38, 3e38, 1e38);
    EXPECT("atan2", wg_atan2(a, b), PI / 4, PI / 4, -PI / 4, 1.892546881191539, 0, PI / 2);
    const wg_tensor c = ROW(WG_F64, 1e308, 1e308, -INFINITY), d = ROW(WG_F64, 1e308, -1e308, INFINITY);
    EXPECT("atan2", wg_atan2(c, d), PI / 4, 3 * PI / 4, -PI / 4);
    CHECK(wg_tape_reset(tape) == WG_OK);
}

/* d/dx d/dp x^p = x^(p - 1) (1 + p ln x), which goes to 0 at 0 for p > 1, in either order. */
static void mixed_derivative_of_pow_at_0(void)
{
    for (int i = 0; i < 2; i++) {
        const wg_tensor x = ROW(floats[i], 0, 1), p = ROW(floats[i], 2, 2), y = wg_pow(x, p);
        EXPECT("by p, then x", wg_grad1(wg_grad1(y, p, WG_NONE), x, WG_NONE), 0, 1);
        EXPECT("by x, then p", wg_grad1(wg_grad1(y, x, WG_NONE), p, WG_NONE), 0, 1);
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
}

/* An operand that broadcasts along the axis has the length of what it broadcasts to. */
static void cosine_of_a_broadcast(void)
{
    const wg_tensor ones = wg_ones(tape, WG_F64, WG_DIMS(2, 3)), two = wg_full(tape, WG_F64, WG_DIMS(2, 1), 2);
    const wg_tensor row = wg_data(tape, WG_F64, WG_DIMS(3), (double[]){1, 2, 2});
    EXPECT("of one number", wg_cosine_similarity(ones, two, 1, 1e-8), 1, 1);
    EXPECT("of one number, first", wg_cosine_similarity(two, ones, -1, 1e-8), 1, 1);
    EXPECT("of one axis less", wg_cosine_similarity(ones, row, 0, 1e-8), 1, 1, 1);
    EXPECT("of one axis less, first", wg_cosine_similarity(row, ones, 0, 1e-8), 1, 1, 1);
    EXPECT("along its only axis", wg_cosine_similarity(row, ones, 1, 1e-8), 5 / sqrt(27), 5 / sqrt(27));
    CHECK(wg_tape_reset(tape) == WG_OK);
}

/* floor((i + 1/2) n / size) in whole numbers. */
static void nearest_exact_is_exact(void)
{
    for (int64_t n = 1; n < 60; n++) {
        for (int64_t size = 1; size < 60; size++) {
            const wg_tensor y = wg_resize(wg_arange(tape, WG_F64, 0, 1, n), -1, size, WG_RESIZE_NEAREST_EXACT);
            for (int64_t i = 0; i < size; i++)
                if (value_at(y, i) != (double)((2 * i + 1) * n / (2 * size)))
                    FAIL("%lld to %lld: element %lld is %g", (long long)n, (long long)size, (long long)i,
                         value_at(y, i));
        }
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
}

/* Of equal extremes of a bag the first one has the gradient, whichever way the bags are given. */
static void ties_in_bags(void)
{
    static const int32_t index[] = {0, 1, 2, 1}, offset[] = {0, 2};
    const wg_tensor weight = wg_data(tape, WG_F64, WG_DIMS(3, 1), (double[]){4, 4, 5});
    const wg_tensor bags = wg_data(tape, WG_I32, WG_DIMS(2, 2), index),
                    flat = wg_data(tape, WG_I32, WG_DIMS(4), index),
                    offsets = wg_data(tape, WG_I32, WG_DIMS(2), offset);
    for (int i = 0; i < 2; i++) {
        const wg_scatter_mode mode = i ? WG_SCATTER_MIN : WG_SCATTER_MAX;
        const wg_tensor a = wg_embedding_bag(weight, bags, WG_NONE, mode),
                        b = wg_embedding_bag(weight, flat, offsets, mode);
        EXPECT("equal bags", a, 4, i ? 4 : 5);
        EXPECT("bags by offsets", b, 4, i ? 4 : 5);
        EXPECT("equal bags: gradient", wg_grad1(a, weight, WG_NONE), 1, i, !i);
        EXPECT("bags by offsets: gradient", wg_grad1(b, weight, WG_NONE), 1, i, !i);
    }
    CHECK(wg_tape_reset(tape) == WG_OK);
}

/* Offsets that do not begin with 0, and lengths that are not n in all, are index errors when the program runs. */
static void marks_of_segments(void)
{
    static const int32_t from_1[] = {1, 2}, few[] = {1, 1}, good[] = {0, 2}, all[] = {2, 1};
    const int32_t *marks[] = {from_1, few, good, all};
    for (int i = 0; i < 4; i++) {
        const wg_tensor m = wg_data(tape, WG_I32, WG_DIMS(2), marks[i]);
        const wg_tensor s = i % 2 ? wg_segments_by_lengths(m, 3) : wg_segments_by_offsets(m, 3);
        CHECK((wg_eval(&s, 1) == WG_OK) == (i >= 2));
        if (i >= 2) EXPECT("segments", wg_cast(s, WG_F64), 0, 0, 1);
        wg_tape_reset(tape);
    }
}

static void check_refused(wg_tensor y, const char *words)
{
    CHECK(wg_is_nil(y));
    CHECK(wg_tape_status(tape) == WG_ERR_SHAPE);
    if (!strstr(wg_tape_message(tape), words)) FAIL("'%s' has no '%s'", wg_tape_message(tape), words);
    wg_tape_reset(tape);
}

/* What would broadcast a loss to more terms than there are; second derivatives of more than one number. */
static void losses_do_not_grow(void)
{
#define COLUMN wg_ones(tape, WG_F64, WG_DIMS(4, 1))
#define VECTOR wg_ones(tape, WG_F64, WG_DIMS(4))
#define MATRIX wg_ones(tape, WG_F64, WG_DIMS(4, 3))
    check_refused(wg_binary_cross_entropy_weighted(VECTOR, VECTOR, COLUMN, WG_MEAN), "positive_weight [4, 1]");
    check_refused(wg_margin_ranking_loss(VECTOR, VECTOR, COLUMN, 0, WG_MEAN), "order [4, 1]");
    check_refused(wg_cosine_embedding_loss(MATRIX, MATRIX, wg_greater(COLUMN, wg_scale(COLUMN, 0)), 0, WG_MEAN),
                  "same [4, 1]");
    check_refused(wg_group_norm(MATRIX, 1, COLUMN, WG_NONE, 1e-5), "group_norm");
    const wg_tensor x = VECTOR;
    check_refused(wg_hvp(wg_square(x), x, x), "hvp");
    const wg_tensor z = VECTOR;
    check_refused(wg_hessian(wg_square(z), z), "hessian");
}

static void a_window_of_everything(void)
{
    const wg_tensor mask = wg_window_mask(tape, 3, 1, INT64_C(1) << 40);
    EXPECT("window", wg_cast(mask, WG_F64), 1, 1, 1);
    CHECK(wg_tape_reset(tape) == WG_OK);
}

/* A length over an axis of no elements, whose operand has no memory. */
static void centers_of_nothing(void)
{
    const wg_tensor x = wg_borrow(tape, WG_F64, WG_DIMS(3, 0), NULL);
    const wg_tensor y = wg_layer_norm(x, WG_NONE, WG_NONE, 1e-5);
    const wg_tensor g = wg_grad1(wg_sum_all(wg_square(wg_grad1(wg_sum_all(wg_square(y)), x, WG_NONE))), x, WG_NONE);
    CHECK(wg_numel(g) == 0 && wg_eval(&g, 1) == WG_OK);
    CHECK(wg_tape_reset(tape) == WG_OK);
}

/* ---- optimizers ---- */

static wg_params *new_zeros(void)
{
    wg_params *set = wg_params_new(WG_F32);
    (void)wg_param_new(set, "p", WG_DIMS(2), wg_init_zeros());
    return set;
}

/* What the set's zeros are after a step by each of n gradients. Frees the set and the optimizer. */
static void check_steps(wg_params *set, wg_optimizer *optimizer, int n, const double *gradient, double want,
                        double tolerance)
{
    wg_param *p = wg_params_at(set, 0);
    for (int i = 0; i < n; i++) {
        wg_zero_grad(set);
        CHECK(wg_backward(wg_sum_all(wg_scale(wg_use(tape, p), gradient[i]))) == WG_OK);
        CHECK(wg_optimizer_step(optimizer) == WG_OK && wg_tape_reset(tape) == WG_OK);
    }
    for (int i = 0; i < 2; i++) CHECK(fabs((double)((const float *)wg_param_value(p))[i] - want) <= tolerance);
    wg_optimizer_free(optimizer);
    wg_params_free(set);
}

/* In the first steps RAdam does not divide by the root of the squares, which may be infinite. */
static void radam_of_large_gradients(void)
{
    wg_params *set = new_zeros();
    wg_adam_options o = wg_adam_defaults();
    o.lr = 1e-21;
    check_steps(set, wg_radam_new(set, o), 1, (double[]){1e20}, -0.1, 1e-6);
}

/* A square that overflows is infinite, and so is the variance: the step is 0, not that of no variance. */
static void centered_rmsprop_of_large_gradients(void)
{
    wg_params *set = new_zeros();
    wg_rmsprop_options o = wg_rmsprop_defaults();
    o.centered = true;
    check_steps(set, wg_rmsprop_new(set, o), 1, (double[]){1e22}, 0, 0);
}

/* Without a memory of gradients, a small one after a large one counts as it is. */
static void adam_without_momentum(void)
{
    wg_params *set = new_zeros();
    wg_adam_options o = wg_adam_defaults();
    o.beta1 = o.beta2 = 0;
    o.lr = 1;
    check_steps(set, wg_adam_new(set, o), 2, (double[]){1e6, 1e-3}, -2, 1e-4);
}

/* Numbers whose distances from their mean are not much longer than its last bit: what rounding takes from the mean is
 * kept. Against f64. */
static void far_from_zero(void)
{
    const double step = 0.0078125, x[] = {100000, 100000 + step, 100000, 100000 + step};
    EXPECT("variance far from 0",
           wg_scale(wg_var(ROW(WG_F32, 100000, 100000 + step, 100000, 100000 + step), WG_AXES(0), false, 0), 1e5),
           1e5 * step * step / 4);
    EXPECT("layer norm far from 0", wg_layer_norm(numbers(WG_F32, WG_DIMS(4), x), WG_NONE, WG_NONE, 0), -1, 1, -1,
           1);
    static const double around[] = {1e5, -3e4, 1e7, 123};
    static const int sizes[] = {5, 64, 700, 5000};
    for (int i = 0; i < 16; i++) {
        const int n = sizes[i % 4];
        const double last_bit = ldexp(1, ilogb(around[i / 4]) - 23);
        wg_tensor distance =
            wg_scale(wg_round(wg_scale(wg_normal(tape, WG_F64, WG_DIMS(2, n), 0, 1), 3)), last_bit);
        wg_tensor wide = wg_add_scalar(distance, around[i / 4]), y[2][4];
        for (int k = 0; k < 2; k++) {
            const wg_dtype dtype = k ? WG_F64 : WG_F32;
            wg_tensor of = wg_cast(wide, dtype), weights = wg_cos(wg_arange(tape, dtype, 0, 1, n));
            wg_tensor norm = wg_layer_norm(of, WG_NONE, WG_NONE, 0);
            y[k][0] = wg_scale(wg_var(of, WG_AXES(1), false, 1), 1 / (last_bit * last_bit));
            y[k][1] = norm;
            y[k][2] = wg_batch_norm_train(wg_t(of), WG_NONE, WG_NONE, 1e-30, NULL, NULL);
            y[k][3] = wg_scale(wg_grad1(wg_sum_all(wg_mul(norm, weights)), of, WG_NONE), last_bit);
        }
        for (int j = 0; j < 4; j++) {
            const double apart =
                wg_item(wg_max(wg_abs(wg_sub(wg_cast(y[0][j], WG_F64), y[1][j])), WG_ALL_AXES, false));
            if (!(apart < 2e-5)) FAIL("%d numbers around %g: result %d is %g off", n, around[i / 4], j, apart);
        }
        assert_int_equal(wg_tape_reset(tape), WG_OK);
    }
}

/* (1 - x^2)^-1/2 and 1 / (1 - x^2), differentiated near 0, where (1 - x) - (1 + x) cancels, and at 1. */
static void second_derivatives_of_asin(void)
{
    for (int i = 0; i < 2; i++) {
        wg_tensor x = ROW(floats[i], 1e-10, -1e-7, 0.5, 1), one = wg_ones_like(x);
        wg_tensor first[] = {wg_grad1(wg_asin(x), x, one), wg_grad1(wg_acos(x), x, one),
                             wg_grad1(wg_atanh(x), x, one)};
        const double slope = 0.5 * pow(0.75, -1.5), of_atanh = 1 / (0.75 * 0.75);
        EXPECT("asin''", wg_mul(wg_grad1(first[0], x, one), ROW(floats[i], 1e10, 1e7, 1, 1)), 1, -1, slope, inf);
        EXPECT("acos''", wg_mul(wg_grad1(first[1], x, one), ROW(floats[i], 1e10, 1e7, 1, 1)), -1, 1, -slope, -inf);
        EXPECT("atanh''", wg_mul(wg_grad1(first[2], x, one), ROW(floats[i], 1e10, 1e7, 1, 1)), 2, -2, of_atanh,
               inf);
    }
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        ON_TAPE(mod_by_a_rounded_quotient),
        ON_TAPE(asinh_far_out),
        ON_TAPE(atan2_far_out),
        ON_TAPE(mixed_derivative_of_pow_at_0),
        ON_TAPE(cosine_of_a_broadcast),
        ON_TAPE(nearest_exact_is_exact),
        ON_TAPE(ties_in_bags),
        ON_TAPE(marks_of_segments),
        ON_TAPE(losses_do_not_grow),
        ON_TAPE(a_window_of_everything),
        ON_TAPE(centers_of_nothing),
        ON_TAPE(radam_of_large_gradients),
        ON_TAPE(centered_rmsprop_of_large_gradients),
        ON_TAPE(adam_without_momentum),
        ON_TAPE(far_from_zero),
        ON_TAPE(second_derivatives_of_asin),
    };
    return RUN_TESTS(tests);
}
