/* Values and gradients at the corners: ties, infinities, NaN, nothing at all, indices out of range; and what random
 * numbers look like. */
#include "values.h"

static array want;

/* ---- corners ---- */

static wg_tensor list(int n, const double *numbers) { return wg_data(tape, WG_F64, WG_DIMS(n), numbers); }

static void expect_list(const char *what, wg_tensor got, int n, const double *numbers)
{
    shape_set(&want, WG_DIMS(n));
    memcpy(want.x, numbers, (size_t)n * sizeof *numbers);
    expect_values(what, got, &want);
}

#define LIST(...)                                                                                                  \
    (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]) { __VA_ARGS__ }
#define EXPECT(what, got, ...)          expect_list(what, got, LIST(__VA_ARGS__))
#define EXPECT_NUMBER(what, got, value) EXPECT(what, wg_reshape(got, WG_DIMS(1)), value)

static void values(void)
{
    const double inf = INFINITY, nan = NAN;
    EXPECT("softmax of -inf", wg_softmax(list(LIST(-inf, -inf)), 0), 0, 0);
    EXPECT("softmax with -inf", wg_softmax(list(LIST(-inf, 0, -inf)), 0), 0, 1, 0);
    EXPECT("softmax of large", wg_softmax(list(LIST(1000, 1000)), 0), 0.5, 0.5);
    EXPECT_NUMBER("logsumexp of large", wg_logsumexp(list(LIST(1000, 1000)), WG_AXES(0), false), 1000 + log(2));
    EXPECT_NUMBER("logsumexp of -inf", wg_logsumexp(list(LIST(-inf, -inf)), WG_AXES(0), false), -inf);
    EXPECT_NUMBER("logsumexp of inf", wg_logsumexp(list(LIST(inf, 0)), WG_AXES(0), false), inf);
    EXPECT_NUMBER("max with NaN", wg_max(list(LIST(1, nan, 3)), WG_AXES(0), false), nan);
    EXPECT_NUMBER("min with NaN", wg_min(list(LIST(nan, 1, 3)), WG_AXES(0), false), nan);
    EXPECT_NUMBER("argmax with NaN", wg_argmax(list(LIST(1, nan, 3, nan)), 0, false), 1);
    EXPECT_NUMBER("argmax of equals", wg_argmax(list(LIST(1, 3, 3)), 0, false), 1);
    EXPECT("sort with NaN", wg_sort(list(LIST(nan, 2, -inf, 1)), 0, false), -inf, 1, 2, nan);
    EXPECT("sort with NaN, down", wg_sort(list(LIST(nan, 2, inf, 1)), 0, true), nan, inf, 2, 1);
    EXPECT("maximum with NaN", wg_maximum(list(LIST(nan, 1)), list(LIST(1, nan))), nan, nan);
    EXPECT("mod, as Python", wg_mod(list(LIST(-7, 7, -7, 7)), list(LIST(3, -3, -3, 3))), 2, -2, -1, 1);
    EXPECT("cast to i32 cuts", wg_cast(list(LIST(-1.9, 1.9, 0, 7)), WG_I32), -1, 1, 0, 7);
    EXPECT("cast to bool", wg_cast(list(LIST(-1.9, 0, nan, 0.1)), WG_BOOL), 1, 0, 1, 1);
    EXPECT("is_finite", wg_is_finite(list(LIST(inf, -inf, nan, 1e308))), 0, 0, 0, 1);
    EXPECT("sign", wg_sign(list(LIST(-3, 0, 2))), -1, 0, 1);
    EXPECT("log1p of little", wg_log1p(list(LIST(1e-15))), 1e-15);
    EXPECT("expm1 of little", wg_expm1(list(LIST(1e-15))), 1e-15);
    EXPECT("silu of inf, as PyTorch", wg_silu(list(LIST(-inf, inf))), nan, inf);
    EXPECT("gelu of inf, as PyTorch", wg_gelu(list(LIST(-inf, inf))), nan, inf);
    EXPECT("sigmoid, far out", wg_sigmoid(list(LIST(-800, 800))), 0, 1);
    EXPECT("softplus, far out", wg_softplus(list(LIST(-800, 800))), 0, 800);
    EXPECT("arange", wg_arange(tape, WG_F64, 3, -0.5, 4), 3, 2.5, 2, 1.5);
    wg_tensor sure = list(LIST(30, -30)), right = list(LIST(1, 0));
    EXPECT("binary cross-entropy of the sure", wg_scale(wg_binary_cross_entropy(sure, right, WG_REDUCE_NONE), 1e13),
           0.9357622968839737, 0.9357622968839737);
    wg_tensor zero = wg_data(tape, WG_F32, WG_DIMS(2), (float[]){-0.f, 0.f});
    EXPECT("signed zero: tanh", wg_reciprocal(wg_tanh(zero)), -inf, inf);
    EXPECT("signed zero: erf", wg_reciprocal(wg_erf(zero)), -inf, inf);
    EXPECT("signed zero: log1p", wg_reciprocal(wg_log1p(zero)), -inf, inf);
    EXPECT("signed zero: log1p", wg_reciprocal(wg_log1p(list(LIST(-0.0, 0)))), -inf, inf);
    EXPECT("arange from the least", wg_arange(tape, WG_I32, -0x1p31, 1, 2), -0x1p31, -0x1p31 + 1);
    EXPECT_NUMBER("kl of nothing", wg_kl(list(LIST(-inf, 0)), list(LIST(0, 1)), WG_SUM), 0);
    EXPECT_NUMBER("sum of nothing", wg_sum_all(wg_zeros(tape, WG_F64, WG_DIMS(0))), 0);
    EXPECT_NUMBER("prod of nothing", wg_prod(wg_zeros(tape, WG_F64, WG_DIMS(3, 0)), WG_ALL_AXES, false), 1);
    EXPECT_NUMBER("matmul over nothing",
                  wg_matmul(wg_zeros(tape, WG_F64, WG_DIMS(1, 0)), wg_zeros(tape, WG_F64, WG_DIMS(0, 1))), 0);
    assert_int_equal(wg_tape_reset(tape), WG_OK);
}

static wg_tensor numbers(int n, const int32_t *list_of) { return wg_data(tape, WG_I32, WG_DIMS(n), list_of); }

/* NaN, equal elements, places that nothing goes to; of an index tuple what is outside. */
static void written_by_index(void)
{
    const double nan = NAN, inf = INFINITY;
    const int32_t to[4] = {0, 2, 0, 2}, one[2] = {0, 2}, other[2] = {1, 5};
    wg_tensor x = list(LIST(1, 2, 3)), index = numbers(4, to), source = list(LIST(5, 5, 5, nan));
    EXPECT("the last one", wg_scatter(x, 0, index, list(LIST(4, 5, nan, 7))), nan, 2, 7);
    EXPECT("max with NaN", wg_scatter_reduce(x, 0, index, source, WG_SCATTER_MAX, false), 5, 2, nan);
    EXPECT("min with NaN", wg_scatter_reduce(x, 0, index, source, WG_SCATTER_MIN, true), 1, 2, nan);
    wg_tensor same = list(LIST(5, 4, 5, 4)), most = wg_scatter_reduce(x, 0, index, same, WG_SCATTER_MAX, false);
    EXPECT("of equal ones the first has the gradient", wg_grad1(most, same, WG_NONE), 1, 1, 0, 0);
    wg_tensor far = wg_scatter_reduce(x, 0, index, list(LIST(-inf, -inf, -inf, -inf)), WG_SCATTER_MAX, false);
    EXPECT("max of -inf", far, -inf, 2, -inf);
    wg_tensor set = wg_scatter(x, 0, index, same);
    EXPECT("what is overwritten has no gradient", wg_grad1(set, x, WG_NONE), 0, 1, 0);
    EXPECT("nor has a source that is", wg_grad1(set, same, WG_NONE), 0, 0, 1, 1);
    wg_tensor zeros = list(LIST(0, 3, 0, 2));
    wg_tensor product = wg_scatter_reduce(wg_ones_like(x), 0, index, zeros, WG_SCATTER_PROD, true);
    EXPECT("a product with two zeros, and without", wg_grad1(product, zeros, WG_NONE), 0, 2, 0, 3);
    EXPECT("segments without rows", wg_segment_reduce(same, index, 4, WG_SCATTER_MIN), 5, 0, 4, 0);
    EXPECT("of i32", wg_scatter(numbers(2, one), 0, numbers(1, one), numbers(1, other)), 1, 2);
    wg_tensor pair[] = {numbers(2, one), numbers(2, other)};
    wg_tensor put = wg_index_put(wg_zeros(tape, WG_F64, WG_DIMS(3, 4)), pair, 2, list(LIST(1, 2)), false);
    assert_int_equal(wg_eval(&put, 1), WG_ERR_INDEX); /* (2, 5) of [3, 4] */
    assert_int_equal(wg_tape_reset(tape), WG_ERR_INDEX);
}

/* Marks of segments that are none end the program. */
static void segment_marks(void)
{
    const int32_t marks[][3] = {{0, 3, 2}, {1, 2, 3}, {0, 2, 6}}, lengths[][3] = {{3, -1, 3}, {1, 1, 1}, {2, 2, 2}};
    for (int i = 0; i < 3; i++) {
        wg_tensor by[] = {wg_segments_by_offsets(numbers(3, marks[i]), 5),
                          wg_segments_by_lengths(numbers(3, lengths[i]), 5)};
        for (int k = 0; k < 2; k++) {
            wg_tensor sums = wg_segment_reduce(wg_ones(tape, WG_F64, WG_DIMS(5, 2)), by[k], 3, WG_SCATTER_SUM);
            assert_int_equal(wg_eval(&sums, 1), WG_ERR_INDEX);
        }
        assert_int_equal(wg_tape_reset(tape), WG_ERR_INDEX);
    }
}

static void ranks(void)
{
    const double nan = NAN, inf = INFINITY;
    wg_tensor x = list(LIST(3, nan, 1, 2)), sorted = list(LIST(-inf, 1, 1, 2, nan)),
              at = list(LIST(nan, inf, 1, -inf));
    EXPECT("sort with NaN", wg_sort(x, 0, false), 1, 2, 3, nan);
    EXPECT("sort with NaN, descending", wg_sort(x, 0, true), nan, 3, 2, 1);
    EXPECT("topk with NaN", wg_topk(x, 2, 0, true, NULL), nan, 3);
    EXPECT("argsort with NaN", wg_argsort(list(LIST(nan, -inf, inf, nan, 0)), 0, true), 0, 3, 2, 4, 1);
    EXPECT_NUMBER("kthvalue, NaN last", wg_kthvalue(x, 3, 0, false), 3);
    EXPECT_NUMBER("median with NaN", wg_median(x, 0, false), nan);
    EXPECT_NUMBER("quantile with NaN", wg_quantile(x, 0, 0, false), nan);
    EXPECT_NUMBER("median of four, the lower", wg_median(list(LIST(4, 1, 3, 2)), 0, false), 2);
    EXPECT_NUMBER("quantile 1/2 of four", wg_quantile(list(LIST(4, 1, 3, 2)), 0.5, 0, false), 2.5);
    EXPECT("searchsorted, before", wg_searchsorted(sorted, at, false), 4, 4, 1, 0);
    EXPECT("searchsorted, behind", wg_searchsorted(sorted, at, true), 5, 4, 3, 1);
    assert_int_equal(wg_tape_reset(tape), WG_OK);
}

/* What a function that has nothing to do returns carries no gradient inside of wg_no_grad_begin, either. */
static wg_tensor changes_nothing(wg_tensor x, int which)
{
    wg_tensor part[1];
    switch (which) {
    case 0: return wg_slice(x, 0, 0, 3);
    case 1: return wg_reshape(x, WG_DIMS(3, 1));
    case 2: return wg_cast(x, WG_F64);
    case 3: return wg_expand(x, WG_DIMS(3, 1));
    case 4: return wg_concat(&x, 1, 0);
    case 5: return wg_dropout(x, 0);
    case 6: return wg_pad(x, 0, 0, 0);
    case 7: return wg_add_n(&x, 1);
    case 8: return wg_split(x, 0, 1, part), part[0];
    case 9: return wg_flatten(x, 1, -1);
    case 10: return wg_tril(x, 100);
    case 11: return wg_triu(x, -100);
    case 12: return wg_einsum("ij->ij", &x, 1);
    case 13: return wg_sum(x, WG_AXES(1), true);
    case 14: return wg_mean(x, WG_AXES(1), true);
    case 15: return wg_cummax(x, 1);
    case 16: return wg_cumprod(x, 1);
    case 17: return wg_logcumsumexp(x, 1);
    case 18: return wg_transpose(x, 1, 1);
    case 19: return wg_permute(x, WG_AXES(0, 1));
    case 20: return wg_max(x, WG_AXES(1), true);
    case 21: return wg_index_copy(x, 1, wg_zeros(tape, WG_I32, WG_DIMS(0)), wg_zeros(tape, WG_F64, WG_DIMS(3, 0)));
    case 22: return wg_slice_step(x, 0, 0, 3, 1);
    case 23: return wg_scatter(x, 1, wg_zeros(tape, WG_I32, WG_DIMS(3, 0)), wg_zeros(tape, WG_F64, WG_DIMS(3, 0)));
    case 24: return wg_keep(wg_reshape(x, WG_DIMS(3, -1)));
    default: return WG_NONE;
    }
}

static void nothing_to_do_without_gradients(void)
{
    for (int which = 0;; which++) {
        wg_tensor x = wg_reshape(list(LIST(2, 3, 5)), WG_DIMS(3, 1));
        wg_no_grad_begin(tape);
        wg_tensor y = changes_nothing(x, which);
        wg_no_grad_end(tape);
        if (!y.tape) break;
        wg_tensor dx = wg_grad1(wg_sum_all(wg_mul(x, y)), x, WG_NONE);
        EXPECT("x as a constant", wg_reshape(y, WG_DIMS(3)), 2, 3, 5);
        EXPECT("the gradient by x of x times that", wg_reshape(dx, WG_DIMS(3)), 2, 3, 5);
        assert_int_equal(wg_tape_reset(tape), WG_OK);
    }
}

/* Second derivatives of norms of nothing. */
static void norms_of_nothing(void)
{
    wg_tensor x = wg_zeros(tape, WG_F64, WG_DIMS(2, 0)), w = wg_ones(tape, WG_F64, WG_DIMS(0));
    wg_tensor dx = wg_grad1(wg_sum_all(wg_square(wg_layer_norm(x, w, w, 1e-5))), x, WG_NONE);
    assert_int_equal(wg_numel(wg_grad1(wg_sum_all(wg_square(dx)), x, WG_NONE)), 0);
    assert_int_equal(wg_tape_reset(tape), WG_OK);
}

/* A length, or what is made of lengths, of numbers whose squares overflow or vanish: of 2^p x it is 2^p times, or the
 * same as, that of x, exactly; so are gradients. */
static void lengths_at_the_limits(void)
{
    static const int powers[] = {0, 100, -100, 120, -110};
    static const float base[] = {3, -4, 1, 2, 0.5f, -7};
    float first[6][6] = {{0}};
    for (int p = 0; p < 5; p++) {
        float numbers[6];
        const float unit = ldexpf(1, powers[p]);
        for (int i = 0; i < 6; i++) numbers[i] = base[i] * unit;
        wg_tensor x = wg_data(tape, WG_F32, WG_DIMS(2, 3), numbers), a = wg_slice(x, 0, 0, 1),
                  b = wg_slice(x, 0, 1, 2);
        const double least = powers[p] < 0 ? 0 : 1e-8;
        wg_tensor lengths[] = {wg_norm(x, WG_AXES(1), false),
                               wg_std(x, WG_AXES(1), false, 1),
                               wg_cdist(x, x),
                               wg_normalize(x, 1, least),
                               wg_cosine_similarity(a, b, 1, least),
                               wg_grad1(wg_sum_all(wg_norm(x, WG_AXES(1), false)), x, WG_NONE)};
        for (int k = 0; k < 6; k++) {
            const float *got = wg_value(lengths[k]);
            if (!got) FAIL("%s", wg_tape_message(tape));
            for (int i = 0; i < (int)wg_numel(lengths[k]); i++) {
                const float scaled = k < 3 ? ldexpf(got[i], -powers[p]) : got[i];
                if (p == 0) first[k][i] = scaled;
                if (scaled != first[k][i])
                    FAIL("%d of 2^%d: %g, not %g", k, powers[p], (double)scaled, (double)first[k][i]);
            }
        }
        assert_int_equal(wg_tape_reset(tape), WG_OK);
    }
    assert_true(fabsf(first[0][0] - sqrtf(26)) < 1e-6f && fabsf(first[5][1] + 4 / sqrtf(26)) < 1e-6f);
}

/* A mask of bytes from elsewhere: any but 0 is true. */
static void bytes_as_bools(void)
{
    static const uint8_t bytes[] = {2, 255, 0, 1};
    for (int borrowed = 0; borrowed < 2; borrowed++) {
        wg_tensor x = (borrowed ? wg_borrow : wg_data)(tape, WG_BOOL, WG_DIMS(4), bytes);
        EXPECT("bytes as bools", wg_cast(x, WG_F64), 1, 1, 0, 1);
        assert_true(wg_item(wg_any(x, WG_ALL_AXES, false)) == 1 && wg_item(wg_all(x, WG_ALL_AXES, false)) == 0);
        assert_true(wg_item(wg_all(wg_slice(x, 0, 0, 2), WG_ALL_AXES, false)) == 1);
        assert_int_equal(wg_tape_reset(tape), WG_OK);
    }
}

/* As PyTorch has them: a weight of 0 and 1, and what is equal, is exact. */
static void ends_of_lerp(void)
{
    static const float a[] = {1e10f, 1, 0.1f, 3, -1e8f, 7}, b[] = {1, 1e10f, 0.1f, -5, 3.25f, 1},
                       weight[] = {1, 0, 0.7f, 1, 1, 0.5f}, right[] = {1, 1, 0.1f, -5, 3.25f, 4};
    wg_tensor y = wg_lerp(wg_data(tape, WG_F32, WG_DIMS(6), a), wg_data(tape, WG_F32, WG_DIMS(6), b),
                          wg_data(tape, WG_F32, WG_DIMS(6), weight));
    const float *got = wg_value(y);
    assert_non_null(got);
    for (int i = 0; i < 6; i++) assert_true(got[i] == right[i]);
    assert_int_equal(wg_tape_reset(tape), WG_OK);
}

/* Each state has its own gradient. */
static void zero_states(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_rnn_options options = wg_rnn_defaults();
    options.cell = WG_LSTM, options.layers = 2;
    wg_rnn rnn;
    wg_rnn_init(&rnn, set, "rnn", 2, 3, options);
    wg_rnn_state s = wg_rnn_zero_state(&rnn, tape, 1), end = s;
    wg_tensor h = wg_rnn_step(&rnn, wg_ones(tape, WG_F64, WG_DIMS(1, 2)), &end), sum = wg_sum_all(h);
    wg_tensor at[] = {s.h[0], s.c[0], s.h[1], s.c[1]}, d[4];
    wg_grad(sum, at, 4, WG_NONE, d);
    for (int i = 1; i < 4; i++) CHECK(wg_item(wg_sum_all(d[i])) != wg_item(wg_sum_all(d[0])));
    assert_int_equal(wg_tape_reset(tape), WG_OK);
    wg_params_free(set);
}

static void initial_values(void)
{
    wg_params *set = wg_params_new(WG_F32);
    const float *x = wg_param_value(wg_param_new(set, "w", WG_DIMS(1000), wg_init_uniform(16777216, 16777218)));
    for (int i = 0; i < 1000; i++) CHECK(x[i] == 16777216);
    wg_params_free(set);
}

static void gradients_at_corners(void)
{
    const double inf = INFINITY;
    wg_tensor t = list(LIST(2, 5, 5, 1)), zeros = list(LIST(0, 3, 0, 2)), one = list(LIST(4, 0, 3, 2));
    EXPECT("max of equals", wg_grad1(wg_max(t, WG_AXES(0), false), t, WG_NONE), 0, 0.5, 0.5, 0);
    wg_tensor up = list(LIST(0, -0.0, 3e-200, 4e200, inf)), right = list(LIST(0, -0.0, 4e-200, 3e200, 1));
    wg_tensor angle = wg_atan2(up, right);
    EXPECT("atan2 at the origin, by a", wg_scale(wg_grad1(angle, up, WG_NONE), 25e-200), 0, 0, 4, 0, 0);
    EXPECT("atan2 far away, by b", wg_scale(wg_grad1(angle, right, WG_NONE), -25e200), 0, 0, INFINITY, 4, 0);
    wg_tensor pole = list(LIST(-50 - 0x1p-20)); /* there -2 / distance^3, but for 1e-17 */
    EXPECT("derivative of trigamma near a pole", wg_scale(wg_grad1(wg_trigamma(pole), pole, WG_NONE), 0x1p-61), 1);
    EXPECT("prod with two zeros", wg_grad1(wg_prod(zeros, WG_AXES(0), false), zeros, WG_NONE), 0, 0, 0, 0);
    wg_tensor large = list(LIST(0, 1e200, 0, 1e200)), same = wg_zeros(tape, WG_I32, WG_DIMS(4));
    EXPECT("prod in a segment with two zeros and an overflow",
           wg_grad1(wg_segment_reduce(large, same, 1, WG_SCATTER_PROD), large, WG_NONE), 0, 0, 0, 0);
    EXPECT("prod with one zero", wg_grad1(wg_prod(one, WG_AXES(0), false), one, WG_NONE), 0, 24, 0, 0);
    wg_tensor m = wg_maximum(t, wg_scale(t, 1));
    EXPECT("maximum of equals", wg_grad1(m, t, WG_NONE), 1, 1, 1, 1);
    wg_tensor e = list(LIST(-1, 0, 1));
    EXPECT("relu at 0", wg_grad1(wg_relu(e), e, WG_NONE), 0, 0, 1);
    EXPECT("abs at 0", wg_grad1(wg_abs(e), e, WG_NONE), -1, 0, 1);
    EXPECT("clamp at its edges", wg_grad1(wg_clamp(e, -1, 1), e, WG_NONE), 1, 1, 1);
    EXPECT("clamp past its edges", wg_grad1(wg_clamp(e, -0.5, 0.5), e, WG_NONE), 0, 1, 0);
    EXPECT("clamp past its edges: infinite gradients stay out",
           wg_grad1(wg_clamp(e, -0.5, 0.5), e, list(LIST(inf, 1, NAN))), 0, 1, 0);
    wg_tensor base = list(LIST(0, 0, 2)), power = list(LIST(2, 1, 3));
    EXPECT("pow by its base at 0", wg_grad1(wg_pow(base, power), base, WG_NONE), 0, 1, 12);
    EXPECT("pow by its power at 0", wg_grad1(wg_pow(base, power), power, WG_NONE), 0, 0, 8 * log(2));
    wg_tensor low = list(LIST(-inf, -inf));
    EXPECT("logsumexp of -inf", wg_grad1(wg_logsumexp(low, WG_AXES(0), false), low, WG_NONE), 0, 0);
    wg_tensor unknown = list(LIST(NAN, 1));
    EXPECT("logsumexp of NaN", wg_grad1(wg_logsumexp(unknown, WG_AXES(0), false), unknown, WG_NONE), NAN, NAN);
    wg_tensor sure = list(LIST(30, -30));
    wg_tensor wrong = wg_binary_cross_entropy(sure, list(LIST(1, 0)), WG_REDUCE_NONE);
    EXPECT("binary cross-entropy of the sure", wg_scale(wg_grad1(wrong, sure, WG_NONE), 1e13), -0.9357622968839299,
           0.9357622968839299);
    wg_tensor far = wg_data(tape, WG_F32, WG_DIMS(4), (float[]){-1e30f, 1e30f, -3e19f, 3e19f});
    EXPECT("gelu_tanh, far out", wg_grad1(wg_gelu_tanh(far), far, WG_NONE), 0, 1, 0, 1);
    wg_tensor used = list(LIST(1, 2, 3));
    EXPECT("masked_fill hides",
           wg_grad1(wg_masked_fill(used, wg_cast(list(LIST(0, 1, 0)), WG_BOOL), 9), used, WG_NONE), 1, 0, 1);
    assert_int_equal(wg_tape_reset(tape), WG_OK);
}

/* Errors name the function that was called. */
static void names_in_errors(void)
{
    wg_tensor x = list(LIST(1, 2, 3));
    assert_true(wg_is_nil(wg_pad_value(x, 0, INT64_MAX, 0, 1)));
    assert_int_equal(wg_tape_reset(tape), WG_ERR_SHAPE);
    assert_non_null(strstr(wg_tape_message(tape), "pad_value: [3]: "));
    assert_true(wg_is_nil(wg_uniform(tape, WG_F32, WG_DIMS(3), -1e300, 1e300))); /* not in f32 */
    assert_int_equal(wg_tape_reset(tape), WG_ERR_ARGUMENT);
}

/* An ignored row may hold anything. */
static void ignored_labels(void)
{
    const double logits[6] = {1, 2, 0.5, NAN, INFINITY, -1};
    const int32_t labels[2] = {1, -100};
    wg_tensor t = wg_data(tape, WG_F64, WG_DIMS(2, 3), logits);
    wg_tensor loss = wg_cross_entropy(t, wg_data(tape, WG_I32, WG_DIMS(2), labels));
    double sum = exp(1) + exp(2) + exp(0.5);
    EXPECT_NUMBER("cross_entropy with an ignored row", loss, log(sum) - 2);
    EXPECT("its gradient", wg_reshape(wg_grad1(loss, t, WG_NONE), WG_DIMS(6)), exp(1) / sum, exp(2) / sum - 1,
           exp(0.5) / sum, 0, 0, 0);
    assert_int_equal(wg_tape_reset(tape), WG_OK);
}

/* An index out of range is known only when run: op, index and limit are in the text. */
static void indices_out_of_range(void)
{
    static const char *const names[] = {
        "embedding",   "index_select", "gather",       "scatter_add", "one_hot",     "cross_entropy", "gather",
        "scatter_arg", "scatter_arg",  "scatter_prod", "index_add",   "scatter_arg", "index_add"};
    const int32_t wrong[3] = {1, 7, -2};
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
        wg_tensor index = wg_data(tape, WG_I32, WG_DIMS(3), wrong), t = wg_ones(tape, WG_F64, WG_DIMS(4, 2)), out;
        wg_tensor rows = wg_ones(tape, WG_F64, WG_DIMS(4)), logits = wg_ones(tape, WG_F64, WG_DIMS(3, 4));
        switch (i) {
        case 0: out = wg_embedding(t, index); break;
        case 1: out = wg_index_select(t, 0, index); break;
        case 2: out = wg_gather(rows, 0, index); break;
        case 3: out = wg_scatter_add(rows, 0, index, wg_ones(tape, WG_F64, WG_DIMS(3))); break;
        case 4: out = wg_one_hot(index, 4, WG_F64); break;
        case 5: out = wg_cross_entropy(logits, index); break;
        case 6: out = wg_nll(logits, index, WG_MEAN); break;
        case 7: out = wg_scatter(rows, 0, index, wg_ones(tape, WG_F64, WG_DIMS(3))); break;
        case 8: out = wg_index_copy(t, 0, index, wg_ones(tape, WG_F64, WG_DIMS(3, 2))); break;
        case 9:
            out = wg_scatter_reduce(rows, 0, index, wg_ones(tape, WG_F64, WG_DIMS(3)), WG_SCATTER_PROD, true);
            break;
        case 10: out = wg_segment_reduce(logits, index, 4, WG_SCATTER_MEAN); break;
        case 11: out = wg_segment_reduce(logits, index, 4, WG_SCATTER_MAX); break;
        default: out = wg_index_add(t, 0, index, wg_ones(tape, WG_F64, WG_DIMS(3, 2))); break;
        }
        assert_int_equal(wg_eval(&out, 1), WG_ERR_INDEX);
        assert_int_equal(wg_tape_reset(tape), WG_ERR_INDEX);
        const char *text = wg_tape_message(tape);
        if (!strstr(text, names[i]) || !strstr(text, "7") || !strstr(text, "0 to 3"))
            FAIL("%s: '%s'", names[i], text);
    }
    wg_tensor index = wg_data(tape, WG_I32, WG_DIMS(3), wrong), none = wg_zeros(tape, WG_F64, WG_DIMS(0));
    wg_tensor out = wg_scatter_add(none, 0, index, wg_ones(tape, WG_F64, WG_DIMS(3))); /* no index is right */
    assert_int_equal(wg_eval(&out, 1), WG_ERR_INDEX);
    assert_int_equal(wg_tape_reset(tape), WG_ERR_INDEX);
}

/* Moments and independence of random numbers; dropout in train and eval mode. */
static void random_numbers(void)
{
    enum { N = 100000 };
    wg_tensor u = wg_uniform(tape, WG_F64, WG_DIMS(N), -1, 3), v = wg_uniform(tape, WG_F64, WG_DIMS(N), -1, 3);
    wg_tensor n = wg_normal(tape, WG_F64, WG_DIMS(N), 2, 0.5),
              b = wg_cast(wg_bernoulli(tape, WG_DIMS(N), 0.3), WG_F64);
    wg_tensor ones = wg_ones(tape, WG_F64, WG_DIMS(N)), d = wg_dropout(ones, 0.2);
    assert_true(fabs(wg_item(wg_mean_all(u)) - 1) < 0.02);
    assert_true(fabs(wg_item(wg_var(u, WG_ALL_AXES, false, 0)) - 16.0 / 12) < 0.03);
    assert_true(fabs(wg_item(wg_mean_all(wg_mul(wg_sub_scalar(u, 1), wg_sub_scalar(v, 1))))) < 0.03);
    assert_true(wg_item(wg_min(u, WG_ALL_AXES, false)) >= -1 && wg_item(wg_max(u, WG_ALL_AXES, false)) < 3);
    assert_true(fabs(wg_item(wg_mean_all(n)) - 2) < 0.01);
    assert_true(fabs(wg_item(wg_var(n, WG_ALL_AXES, false, 0)) - 0.25) < 0.01);
    assert_true(fabs(wg_item(wg_mean_all(b)) - 0.3) < 0.01);
    assert_true(fabs(wg_item(wg_mean_all(d)) - 1) < 0.01);
    assert_true(fabs(wg_item(wg_max(d, WG_ALL_AXES, false)) - 1.25) < 1e-12);
    wg_set_training(tape, false);
    assert_true(wg_item(wg_min(wg_dropout(ones, 0.2), WG_ALL_AXES, false)) == 1);
    wg_set_training(tape, true);
    double first = value_at(u, 0);
    wg_tape_reset(tape);
    wg_set_step(tape, 0);
    assert_true(value_at(wg_uniform(tape, WG_F64, WG_DIMS(3), -1, 3), 0) == first);
    wg_tape_reset(tape);
    assert_true(value_at(wg_uniform(tape, WG_F64, WG_DIMS(3), -1, 3), 0) != first);
    wg_tape_reset(tape);
    wg_set_step(tape, 0);
    wg_set_seed(tape, 1);
    assert_true(value_at(wg_uniform(tape, WG_F64, WG_DIMS(3), -1, 3), 0) != first);
    wg_tape_reset(tape);
    wg_set_seed(tape, 0);
    wg_scope_begin(tape, "elsewhere");
    assert_true(value_at(wg_uniform(tape, WG_F64, WG_DIMS(3), -1, 3), 0) != first);
    wg_scope_end(tape);
    assert_int_equal(wg_tape_reset(tape), WG_OK);
}

/* d^2/2 has a second derivative of 1 where the distance is 0, too. */
static void case_huber_at_its_target(void)
{
    const double numbers[] = {0.25, 3, -1, 0.5}, targets[] = {0.25, 0, -1, 0}, second[] = {1, 0, 1, 1};
    wg_tensor x = wg_data(tape, WG_F64, WG_DIMS(4), numbers), t = wg_data(tape, WG_F64, WG_DIMS(4), targets);
    wg_tensor h = wg_hvp(wg_huber(x, t, 1, WG_SUM), x, wg_ones_like(x));
    for (int i = 0; i < 4; i++) assert_true(value_at(h, i) == second[i]);
    assert_int_equal(wg_tape_reset(tape), WG_OK);
}

/* The product of x[0] .. x[n - 1], one by one. */
static wg_tensor plain_product(wg_tensor x, int n)
{
    wg_tensor y = wg_select(x, 0, 0);
    for (int i = 1; i < n; i++) y = wg_mul(y, wg_select(x, 0, i));
    return y;
}

typedef enum product_form { SEGMENT, SCATTER, PROD, CUMPROD, PRODUCT_FORMS } product_form;

static wg_tensor product_of(wg_tensor x, int n, product_form form)
{
    wg_tensor index = wg_zeros(tape, WG_I32, WG_DIMS(n)), others = wg_slice(index, 0, 1, n);
    switch (form) {
    case SEGMENT: return wg_segment_reduce(x, index, 1, WG_SCATTER_PROD);
    case SCATTER:
        return wg_scatter_reduce(wg_slice(x, 0, 0, 1), 0, others, wg_slice(x, 0, 1, n), WG_SCATTER_PROD, true);
    case PROD: return wg_prod(x, WG_AXES(0), false);
    default: return wg_select(wg_cumprod(x, 0), 0, n - 1);
    }
}

/* Derivatives to third order where elements are 0: those of a product that is multiplied out. */
static void products_with_zeros(void)
{
    enum { N = 5 };
    const double numbers[][N] = {
        {2, -3, 0.5, 1.5, -1}, {2, 0, 0.5, 1.5, -1}, {0, 3, 0, 2, -1}, {0, 3, 0, 2, 0}, {0}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        for (product_form form = 0; form < PRODUCT_FORMS; form++) {
            wg_tensor x = list(N, numbers[i]), weights = list(LIST(0.7, -1.3, 0.4, 2, 1));
            wg_tensor plain = plain_product(x, N), y = product_of(x, N, form);
            for (int order = 1; order <= 3; order++) {
                double right[N];
                plain = wg_grad1(wg_sum_all(plain), x, WG_NONE), y = wg_grad1(wg_sum_all(y), x, WG_NONE);
                for (int j = 0; j < N; j++) right[j] = value_at(plain, j);
                expect_list("derivative of a product", y, N, right);
                plain = wg_mul(plain, weights), y = wg_mul(y, weights);
            }
            assert_int_equal(wg_tape_reset(tape), WG_OK);
        }
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        ON_TAPE(values),
        ON_TAPE(gradients_at_corners),
        ON_TAPE(case_huber_at_its_target),
        ON_TAPE(ignored_labels),
        ON_TAPE(indices_out_of_range),
        ON_TAPE(random_numbers),
        ON_TAPE(names_in_errors),
        ON_TAPE(written_by_index),
        ON_TAPE(segment_marks),
        ON_TAPE(nothing_to_do_without_gradients),
        ON_TAPE(norms_of_nothing),
        ON_TAPE(ends_of_lerp),
        ON_TAPE(bytes_as_bools),
        ON_TAPE(lengths_at_the_limits),
        ON_TAPE(zero_states),
        ON_TAPE(initial_values),
        ON_TAPE(ranks),
        ON_TAPE(products_with_zeros),
    };
    return RUN_TESTS(tests);
}
