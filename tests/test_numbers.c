/* Numbers at the edge: infinities and NaN through reductions and their gradients, large and equal numbers, overflow in
 * the middle of a formula. The right values are those of mathematics; where that has none, PyTorch 2.13's, which the
 * comments give where Wengert differs. */
#include "values.h"

static const double inf = INFINITY, nan_ = NAN;

/* |got - want| <= tolerance max(1, |want|); NaN and infinities as they are. */
static void expect(const char *what, wg_tensor got, double tolerance, int n, const double *want)
{
    if (!wg_value(got) || wg_numel(got) != n) {
        FAIL("%s: %lld elements, not %d (%s)", what, (long long)wg_numel(got), n, wg_tape_message(tape));
        return;
    }
    for (int i = 0; i < n; i++) {
        double x = value_at(got, i), y = want[i];
        if (x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= tolerance * fmax(1, fabs(y))) continue;
        FAIL("%s %s: [%d] is %.9g, should be %.9g", what, wg_dtype_name(wg_dtype_get(got)), i, x, y);
    }
}

#define LIST(...)                                                                                                  \
    (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]) { __VA_ARGS__ }
#define EXPECT(what, got, ...)       expect(what, got, 1e-6, LIST(__VA_ARGS__))
#define EXPECT_EXACT(what, got, ...) expect(what, got, 0, LIST(__VA_ARGS__))

static wg_tensor numbers(wg_dtype dtype, wg_shape shape, const double *x)
{
    return wg_cast(wg_data(tape, WG_F64, shape, x), dtype);
}

/* A row of numbers, and what a function of it and its gradient are. The gradient is that of 1 y0 + 2 y1 + 3 y2. */
#define ROW(dtype, ...) numbers(dtype, WG_DIMS(LENGTH(__VA_ARGS__)), (double[]){__VA_ARGS__})
#define LENGTH(...)     (int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double))

static wg_tensor gradient(wg_tensor y, wg_tensor x)
{
    wg_dtype dtype = wg_dtype_get(y);
    if (wg_rank(y) == 0) return wg_grad1(y, x, WG_NONE);
    return wg_grad1(y, x, wg_arange(tape, dtype, 1, 1, wg_numel(y)));
}

static const wg_dtype floats[] = {WG_F32, WG_F64};

/* ---- infinities ---- */

static void case_infinite_scores(void)
{
    for (int i = 0; i < 2; i++) {
        wg_tensor one = ROW(floats[i], 1, inf, 2), low = ROW(floats[i], -inf, -inf, -inf);
        wg_tensor some = ROW(floats[i], 1, -inf, 2), bad = ROW(floats[i], 1, nan_, 2),
                  two = ROW(floats[i], inf, inf, 1);
        wg_tensor y = wg_logsumexp(one, WG_ALL_AXES, false), z = wg_logsumexp(low, WG_ALL_AXES, false);
        EXPECT("logsumexp of inf", y, inf);
        EXPECT("its gradient", gradient(y, one), 0, nan_, 0);
        EXPECT("logsumexp of two inf: gradient", gradient(wg_logsumexp(two, WG_ALL_AXES, false), two), nan_, nan_,
               0);
        EXPECT("logsumexp of -inf", z, -inf);
        EXPECT("its gradient", gradient(z, low), 0, 0, 0); /* PyTorch: NaN */
        EXPECT("logsumexp of NaN: gradient", gradient(wg_logsumexp(bad, WG_ALL_AXES, false), bad), nan_, nan_,
               nan_);
        EXPECT("logsumexp with -inf: gradient", gradient(wg_logsumexp(some, WG_ALL_AXES, false), some), 0.268941421,
               0, 0.731058579);
        EXPECT("softmax of inf", wg_softmax(one, 0), nan_, nan_, nan_);
        EXPECT("its gradient", gradient(wg_softmax(one, 0), one), nan_, nan_, nan_);
        EXPECT("softmax of -inf", wg_softmax(low, 0), 0, 0, 0); /* PyTorch: NaN; a masked query */
        EXPECT("its gradient", gradient(wg_softmax(low, 0), low), 0, 0, 0);
        EXPECT("softmax with -inf: gradient", gradient(wg_softmax(some, 0), some), -0.393223867, 0, 0.393223867);
        EXPECT("log_softmax of inf", wg_log_softmax(one, 0), nan_, nan_, nan_);
        EXPECT("log_softmax of -inf", wg_log_softmax(low, 0), nan_, nan_, nan_);
        EXPECT("log_softmax with -inf", wg_log_softmax(some, 0), -1.31326169, -inf, -0.313261688);
        EXPECT("its gradient", gradient(wg_log_softmax(some, 0), some), -0.613648528, 2, -1.386351472);
        EXPECT("max of inf: gradient", gradient(wg_max(one, WG_ALL_AXES, false), one), 0, 1, 0);
        EXPECT("max of two inf: gradient", gradient(wg_max(two, WG_ALL_AXES, false), two), 0.5, 0.5, 0);
        EXPECT("min of -inf: gradient", gradient(wg_min(some, WG_ALL_AXES, false), some), 0, 1, 0);
        EXPECT("max of NaN: gradient", gradient(wg_max(bad, WG_ALL_AXES, false), bad), nan_, nan_, nan_);
        EXPECT("prod of inf: gradient", gradient(wg_prod(one, WG_ALL_AXES, false), one), inf, 2, inf); /* exact */
        EXPECT("var of inf", wg_var(one, WG_ALL_AXES, false, 0), nan_);
        EXPECT("cumsum of inf", wg_cumsum(one, 0), 1, inf, inf);
        EXPECT("cumsum of inf: gradient", gradient(wg_cumsum(one, 0), one), 6, 5, 3);
        EXPECT("layer norm of inf", wg_layer_norm(one, WG_NONE, WG_NONE, 1e-5), nan_, nan_, nan_);
        EXPECT("its gradient", gradient(wg_layer_norm(one, WG_NONE, WG_NONE, 1e-5), one), nan_, nan_, nan_);
        EXPECT("rms norm of inf", wg_rms_norm(one, WG_NONE, 1e-5), 0, nan_, 0);
        assert_int_equal(wg_tape_reset(tape), WG_OK);
    }
}

static void case_infinite_scores_cross_entropy(void)
{
    for (int i = 0; i < 2; i++) {
        for (int32_t label = 0; label < 2; label++) {
            wg_tensor one = numbers(floats[i], WG_DIMS(1, 3), (double[]){1, inf, 2});
            wg_tensor low = numbers(floats[i], WG_DIMS(1, 3), (double[]){-inf, -inf, -inf});
            wg_tensor some = numbers(floats[i], WG_DIMS(1, 3), (double[]){1, -inf, 2});
            wg_tensor t = wg_data(tape, WG_I32, WG_DIMS(1), &label);
            EXPECT("cross entropy of inf", wg_cross_entropy(one, t), nan_);
            EXPECT("its gradient", wg_grad1(wg_cross_entropy(one, t), one, WG_NONE), nan_, nan_, nan_);
            EXPECT("cross entropy of -inf", wg_cross_entropy(low, t), nan_);
            EXPECT("its gradient", wg_grad1(wg_cross_entropy(low, t), low, WG_NONE), nan_, nan_, nan_);
            EXPECT("cross entropy with -inf", wg_cross_entropy(some, t), label ? inf : 1.31326169);
            if (label)
                EXPECT("its gradient", wg_grad1(wg_cross_entropy(some, t), some, WG_NONE), 0.268941421, -1,
                       0.731058579);
            else
                EXPECT("its gradient", wg_grad1(wg_cross_entropy(some, t), some, WG_NONE), -0.731058579, 0,
                       0.731058579);
        }
        assert_int_equal(wg_tape_reset(tape), WG_OK);
    }
}

/* ---- through a rounded result ---- */

static void case_logsumexp_gradient_large(void)
{
    const double sizes[] = {1, 1e4, 1e6, 1e8, -1e8, 1e30};
    for (int i = 0; i < 6; i++) {
        wg_tensor x = ROW(WG_F32, sizes[i], sizes[i]), y = wg_logsumexp(x, WG_ALL_AXES, false);
        EXPECT("logsumexp of equal numbers: gradient", gradient(y, x), 0.5, 0.5);
        wg_tensor m = wg_stack((wg_tensor[]){x, wg_neg(x)}, 2, 1); /* over the first of two axes */
        EXPECT("logsumexp of columns", wg_grad1(wg_sum_all(wg_logsumexp(m, WG_AXES(0), false)), m, WG_NONE), 0.5,
               0.5, 0.5, 0.5);
        wg_tensor z = wg_grad1(y, x, WG_NONE), w = ROW(WG_F32, 1, 3);
        EXPECT("its second derivative", wg_grad1(wg_sum_all(wg_mul(z, w)), x, WG_NONE), -0.5, 0.5);
        assert_int_equal(wg_tape_reset(tape), WG_OK);
    }
}

/* ---- means that round ---- */

/* Equal numbers have no deviation, whatever their size and number: layer norm, batch norm, variance are exactly 0. */
static void case_constant_row(void)
{
    static const double values[] = {1.1, 100.1, 1000.1, 12345.678, 100000.3, -3e-5, 1.1e30, 0};
    static const int sizes[] = {3, 7, 48, 100, 768, 2049, 5000};
    for (int i = 0; i < 8 * 7 * 2; i++) {
        const wg_dtype dtype = floats[i % 2];
        const int n = sizes[i / 2 % 7];
        const double value = values[i / 14];
        char what[64];
        snprintf(what, sizeof what, "%d times %g", n, value);
        wg_tensor x = wg_full(tape, dtype, WG_DIMS(2, n), value), image = wg_reshape(x, WG_DIMS(2, 1, n));
        wg_tensor y[] = {wg_layer_norm(x, WG_NONE, WG_NONE, 1e-5),
                         wg_batch_norm_train(wg_t(x), WG_NONE, WG_NONE, 1e-5, NULL, NULL),
                         wg_batch_norm_train(image, WG_NONE, WG_NONE, 1e-5, NULL, NULL),
                         wg_var(x, WG_AXES(1), false, 0),
                         wg_var(x, WG_AXES(0), false, 1),
                         wg_var(x, WG_ALL_AXES, false, 1),
                         wg_grad1(wg_sum_all(wg_var(x, WG_AXES(1), false, 1)), x, WG_NONE)};
        for (int k = 0; k < 7; k++) {
            double largest = wg_item(wg_max(wg_abs(y[k]), WG_ALL_AXES, false));
            if (!(largest == 0)) FAIL("%s %s: result %d is not 0 but %g", what, wg_dtype_name(dtype), k, largest);
        }
        wg_tensor mean;
        (void)wg_batch_norm_train(image, WG_NONE, WG_NONE, 1e-5, &mean, NULL);
        if (!(wg_item(mean) == wg_item(wg_full(tape, dtype, WG_SCALAR, value))))
            FAIL("%s: mean %g", what, wg_item(mean));
        assert_int_equal(wg_tape_reset(tape), WG_OK);
    }
}

/* Norms do not depend on the unit that x is measured in, as long as x is a number of the type: results, gradients (by
 * 1 / unit) and second derivatives (1 / unit^2) are those of 1, 2, 3, 5. A unit of a power of two changes no digit. */
static void case_norm_overflow_1e30(void)
{
    static const double base[] = {1, 2, 3, 5};
    double first[3][3][4] = {{{0}}};
    static const int powers[2][5] = {{0, 100, 60, -60, -118}, {0, 1000, 520, -520, -1000}};
    for (int i = 0; i < 2 * 5 * 3; i++) {
        const wg_dtype dtype = floats[i / 15];
        const int power = powers[i / 15][i / 3 % 5], kind = i % 3;
        const double unit = ldexp(1, power), epsilon = power < 0 ? 0 : 1e-5 * (power == 0 ? 0 : 1);
        double x[4], g[4], w[4] = {1, -2, 4, 3};
        for (int k = 0; k < 4; k++) x[k] = base[k] * unit, g[k] = w[k];
        wg_tensor t = numbers(dtype, WG_DIMS(1, 4), x), in = kind == 2 ? wg_reshape(t, WG_DIMS(4, 1)) : t;
        wg_tensor y = kind == 0   ? wg_layer_norm(in, WG_NONE, WG_NONE, epsilon)
                      : kind == 1 ? wg_rms_norm(in, WG_NONE, epsilon)
                                  : wg_batch_norm_train(in, WG_NONE, WG_NONE, epsilon, NULL, NULL);
        y = wg_reshape(y, WG_DIMS(1, 4));
        wg_tensor dx = wg_scale(wg_grad1(y, t, numbers(dtype, WG_DIMS(1, 4), g)), unit);
        wg_tensor d2 = wg_scale(wg_grad1(dx, t, numbers(dtype, WG_DIMS(1, 4), g)), unit);
        wg_tensor results[] = {y, dx, d2};
        for (int k = 0; k < 3; k++) {
            if (power == 0)
                for (int e = 0; e < 4; e++) first[kind][k][e] = value_at(results[k], e);
            char what[64];
            snprintf(what, sizeof what, "norm %d of x 2^%d, order %d", kind, power, k);
            expect(what, results[k], dtype == WG_F32 ? 1e-6 : 1e-14, 4, first[kind][k]);
        }
        assert_int_equal(wg_tape_reset(tape), WG_OK);
    }
    wg_tensor t = ROW(WG_F32, 1e30, 2e30, 3e30, 4e30);
    EXPECT("layer norm of 1e30", wg_layer_norm(t, WG_NONE, WG_NONE, 1e-5), -1.34164079, -0.447213595, 0.447213595,
           1.34164079);
    EXPECT("rms norm of 1e30", wg_rms_norm(t, WG_NONE, 1e-5), 0.365148372, 0.730296743, 1.09544512, 1.46059349);
    wg_tensor far = ROW(WG_F32, 3e38, -3e38, 3e38, -3e38);
    EXPECT("layer norm of 3e38", wg_layer_norm(far, WG_NONE, WG_NONE, 1e-5), 1, -1, 1, -1);
    EXPECT("rms norm of 3e38", wg_rms_norm(far, WG_NONE, 1e-5), 1, -1, 1, -1);
    wg_tensor small = ROW(WG_F32, 1e-30, 2e-30, 3e-30, 4e-30); /* epsilon hides it */
    EXPECT("layer norm of 1e-30", wg_layer_norm(small, WG_NONE, WG_NONE, 1e-5), 0, 0, 0, 0);
    wg_tensor x = wg_reshape(t, WG_DIMS(4, 1)), mean, var;
    (void)wg_batch_norm_train(x, WG_NONE, WG_NONE, 1e-5, &mean, &var);
    EXPECT("mean of 1e30", wg_scale(mean, 1e-30), 2.5);
    EXPECT("variance of 1e30 is not a number of f32", var, inf);
    assert_int_equal(wg_tape_reset(tape), WG_OK);
}

/* ---- what is masked is not read ---- */

enum { BATCH = 2, QUERIES = 3, KEYS = 70, SIZE = 4 }; /* more keys than a block has queries */

typedef struct attended {
    wg_tensor x[3]; /* q, k, v */
    wg_tensor y;
} attended;

/* What stands in the masked places: 0, or a number that is not one. */
static wg_tensor filled(wg_dtype dtype, wg_shape shape, uint64_t seed, bool (*masked)(int64_t row), double what)
{
    static double x[BATCH * KEYS * SIZE];
    int64_t n, rows = shape.size[1], size = shape.size[2];
    wg_shape_numel(&shape, &n);
    for (int64_t i = 0; i < n; i++) {
        x[i] = sin((double)(seed * 1000 + (uint64_t)i) * 1.7);
        if (masked && masked(i / size % rows)) x[i] = what;
    }
    return numbers(dtype, shape, x);
}

static bool past_length(int64_t row) { return row >= 5; }
static bool future(int64_t row) { return row >= QUERIES; }
static bool far(int64_t row) { return row >= QUERIES + 2; }

/* 0: a mask of keys; 1: causal; 2: a window; 3: a mask of keys, and a bias; 4: the same, dropout; 5: queries and keys of
 * other leading sizes, causal; 6: weights and values one after the other; 7: written out; 8: the causal mask written out,
 * large enough that it becomes the op. */
static attended attend(wg_dtype dtype, int kind, double what)
{
    bool (*hidden)(int64_t) = kind == 1 || kind == 5 || kind == 8 ? future : kind == 2 ? far : past_length;
    attended a;
    wg_attention_options o = wg_attention_defaults();
    const int64_t queries = kind == 8 ? KEYS : QUERIES;
    a.x[0] = filled(dtype, WG_DIMS(kind == 5 ? 1 : BATCH, queries, SIZE), 1, NULL, 0);
    a.x[1] = filled(dtype, WG_DIMS(BATCH, KEYS, SIZE), 2, hidden, what);
    a.x[2] = filled(dtype, WG_DIMS(BATCH, KEYS, SIZE), 3, hidden, what);
    wg_tensor length = wg_full(tape, WG_I32, WG_DIMS(BATCH), 5),
              mask = wg_unsqueeze(wg_length_mask(length, KEYS), 1);
    o.causal = kind == 1 || kind == 5;
    o.window = kind == 2 ? 2 : -1;
    if (hidden == past_length) o.mask = mask;
    if (kind == 3) o.bias = filled(dtype, WG_DIMS(1, QUERIES, KEYS), 4, NULL, 0);
    if (kind == 4) o.dropout = 0.3;
    wg_tensor q = a.x[0], k = a.x[1], v = a.x[2];
    if (kind == 6) {
        a.y = wg_attention_values(wg_attention_weights(q, k, o), v, o);
    } else if (kind == 7) {
        wg_tensor w = wg_masked_softmax(wg_matmul(q, wg_t(k)), mask, -1);
        a.y = wg_attention_values(w, v, o);
    } else if (kind == 8) {
        wg_tensor causal = wg_tril_mask(tape, queries, KEYS, 0);
        wg_tensor s = wg_where(causal, wg_matmul(q, wg_t(k)), wg_full(tape, dtype, WG_SCALAR, -INFINITY));
        a.y = wg_slice(wg_matmul(wg_softmax(s, -1), v), 1, 0, QUERIES);
    } else {
        a.y = wg_attention(q, k, v, o);
    }
    return a;
}

enum { RESULTS = 7 };

/* The result, the gradients by q, k and v, and the derivatives of these three by q; returns how many. */
static int derive(const attended *a, int kind, wg_tensor *out)
{
    const wg_dtype dtype = wg_dtype_get(a->y);
    int n = 1;
    out[0] = a->y;
    if (kind == 8) return n; /* with a gradient that wg_grad records it would run as written */
    for (int k = 0; k < 3; k++) out[n++] = wg_grad1(a->y, a->x[k], filled(dtype, wg_shape_get(a->y), 5, NULL, 0));
    for (int k = 1; k < 4 && kind != 7; k++) {
        wg_tensor sum = wg_sum_all(wg_mul(out[k], filled(dtype, wg_shape_get(out[k]), 6, NULL, 0)));
        out[n++] = wg_grad1(sum, a->x[0], WG_NONE);
    }
    return kind == 7 ? 1 : n; /* the products of kind 7 are the user's */
}

static void case_attention_nan_masked(void)
{
    static const char *const names[RESULTS] = {"result", "dq", "dk", "dv", "dq by q", "dk by q", "dv by q"};
    static const double garbage[] = {0, NAN, INFINITY, -INFINITY, 1e30};
    static double keep[RESULTS][BATCH * KEYS * SIZE];
    for (int i = 0; i < 2 * 9 * 5; i++) {
        const wg_dtype dtype = floats[i / 45];
        const int kind = i / 5 % 9;
        const double what = garbage[i % 5];
        wg_tensor out[RESULTS];
        wg_set_step(tape, 0); /* the same dropout */
        attended a = attend(dtype, kind, what);
        int n = derive(&a, kind, out);
        for (int k = 0; k < n; k++) {
            char text[80];
            snprintf(text, sizeof text, "kind %d, %g is masked: %s", kind, what, names[k]);
            for (int e = 0; e < wg_numel(out[k]) && what == 0; e++) keep[k][e] = value_at(out[k], e);
            expect(text, out[k], dtype == WG_F32 ? 1e-5 : 1e-12, (int)wg_numel(out[k]), keep[k]);
        }
        assert_int_equal(wg_tape_reset(tape), WG_OK);
    }
}

/* A written-out causal attention that becomes the op, and its gradient in a training step; and a NaN that is seen. */
static void case_attention_nan_masked_step(void)
{
    for (int i = 0; i < 3; i++) {
        wg_params *set = wg_params_new(WG_F64);
        wg_param *p = wg_param_new(set, "q", WG_DIMS(BATCH, KEYS, SIZE), wg_init_uniform(-1, 1));
        wg_tensor q = wg_use(tape, p), k = filled(WG_F64, WG_DIMS(BATCH, KEYS, SIZE), 2, i ? far : NULL, NAN);
        wg_tensor v = filled(WG_F64, WG_DIMS(BATCH, KEYS, SIZE), 3, i ? far : NULL, NAN);
        wg_tensor mask = wg_tril_mask(tape, KEYS, KEYS, 0), s = wg_matmul(q, wg_t(k)), y;
        if (i == 2) {
            wg_attention_options o = wg_attention_defaults();
            o.causal = true;
            y = wg_attention(q, k, v, o);
        } else {
            y = wg_matmul(wg_softmax(wg_masked_fill(s, wg_logical_not(mask), -INFINITY), -1), v);
        }
        assert_int_equal(wg_backward(wg_sum_all(wg_square(wg_slice(y, 1, 0, QUERIES)))), WG_OK);
        const double *g = wg_param_grad(p);
        for (int e = 0; e < QUERIES * SIZE; e++)
            if (!isfinite(g[e]) || (e >= SIZE && g[e] == 0)) FAIL("%d: [%d] is %g", i, e, g[e]);
        for (int e = QUERIES * SIZE; e < KEYS * SIZE; e++) /* outputs that see a NaN are not used: 0 or NaN */
            if (g[e] != 0 && !isnan(g[e])) FAIL("%d: [%d] is %g", i, e, g[e]);
        assert_int_equal(wg_tape_reset(tape), WG_OK);
        wg_params_free(set);
    }
}

/* Padding that holds NaN, in the attention of a decoder: what the mask of keys hides is not read. */
static void case_attention_nan_masked_layers(void)
{
    static const double garbage[] = {0, NAN, INFINITY};
    static double keep[3][BATCH * KEYS * SIZE];
    for (int i = 0; i < 5 * 3 * 3; i++) {
        wg_params *set = wg_params_new(WG_F64);
        wg_score_options o = wg_score_defaults();
        o.kind = (wg_score_kind)(i / 9);
        o.choice = (wg_choice)(i / 3 % 3);
        wg_score_layer score;
        wg_set_step(tape, 0); /* the same samples */
        assert_int_equal(wg_score_init(&score, set, "score", SIZE, SIZE, o), WG_OK);
        wg_tensor q = filled(WG_F64, WG_DIMS(1, BATCH, SIZE), 1, NULL, 0);
        q = wg_reshape(q, WG_DIMS(BATCH, SIZE));
        wg_tensor states = filled(WG_F64, WG_DIMS(BATCH, KEYS, SIZE), 2, past_length, garbage[i % 3]);
        wg_tensor mask = wg_length_mask(wg_full(tape, WG_I32, WG_DIMS(BATCH), 5), KEYS), weights;
        wg_keys keys = wg_score_keys(&score, states, states, mask);
        wg_tensor y = wg_attend(&score, q, &keys, WG_NONE, &weights), out[] = {y, weights, WG_NONE};
        out[2] = wg_grad1(wg_sum_all(wg_square(y)), states, WG_NONE);
        for (int k = 0; k < 3; k++) {
            char text[64];
            snprintf(text, sizeof text, "score %d, choice %d, result %d", i / 9, i / 3 % 3, k);
            for (int e = 0; e < wg_numel(out[k]) && i % 3 == 0; e++) keep[k][e] = value_at(out[k], e);
            expect(text, out[k], 1e-12, (int)wg_numel(out[k]), keep[k]);
        }
        if (wg_params_count(set) > 0) {
            assert_int_equal(wg_backward(wg_sum_all(wg_square(y))), WG_OK);
            for (size_t p = 0; p < wg_params_count(set); p++) {
                const double *g = wg_param_grad(wg_params_at(set, p));
                for (int e = 0; e < wg_param_numel(wg_params_at(set, p)); e++) CHECK(isfinite(g[e]));
            }
        }
        assert_int_equal(wg_tape_reset(tape), WG_OK);
        wg_params_free(set);
    }
}

/* ---- long sums in f32 ---- */

/* One element, within what a thousand additions one after the other may be off by. */
static void expect_near(const char *what, wg_tensor got, int64_t i, double want)
{
    double x = wg_value(got) ? value_at(got, i) : NAN;
    if (!(fabs(x - want) <= 1.5e-5 * fabs(want)))
        FAIL("%s: [%lld] is %.9g, should be %.9g", what, (long long)i, x, want);
}

/* Many terms of one element: added one by one in f32 they would stop at 2^24, or drift. */
static void case_embedding_gradient_2pow24(void)
{
    enum { N = 17000000, FEW = 300000 };
    int32_t *index = calloc(N, sizeof *index);
    assert_non_null(index);
    for (int i = 0; i < 5; i++) index[1000 * i] = 1; /* a row with few terms */
    wg_tensor w = wg_ones(tape, WG_F32, WG_DIMS(2, 1)), all = wg_borrow(tape, WG_I32, WG_DIMS(N), index);
    wg_tensor y = wg_embedding(w, all), g = wg_grad1(wg_sum_all(y), w, WG_NONE);
    expect_near("embedding", g, 0, N - 5);
    expect_near("embedding", g, 1, 5);
    assert_int_equal(wg_tape_reset(tape), WG_OK);

    const double tenth = (double)0.1f;
    for (int kind = 0; kind < 2; kind++) { /* rows of 3 and of 70 columns: more than one strip */
        const int64_t columns = kind ? 70 : 3, n = FEW / columns;
        wg_tensor few = wg_borrow(tape, WG_I32, WG_DIMS(n), index);
        wg_tensor table = wg_zeros(tape, WG_F32, WG_DIMS(5, columns)),
                  each = wg_full(tape, WG_F32, WG_DIMS(n, columns), 0.1);
        wg_tensor cols = wg_full(tape, WG_F32, WG_DIMS(columns, n), 0.1);
        wg_tensor wide = wg_t(table), place = wg_expand(wg_unsqueeze(few, 1), WG_DIMS(n, columns));
        wg_tensor results[] = {wg_grad1(wg_index_select(table, 0, few), table, each),
                               wg_grad1(wg_embedding(table, few), table, each),
                               wg_t(wg_grad1(wg_index_select(wide, 1, few), wide, cols)),
                               wg_scatter_add(wg_add_scalar(table, 1), 0, place, each),
                               wg_grad1(wg_gather(table, 0, place), table, each)};
        int64_t ones = 0;
        for (int64_t k = 0; k < n; k++) ones += index[k] == 1;
        for (int r = 0; r < 5; r++)
            for (int64_t c = 0; c < columns; c++) {
                double base = r == 3;
                char what[48];
                snprintf(what, sizeof what, "%lld columns, result %d", (long long)columns, r);
                expect_near(what, results[r], c, base + tenth * (double)(n - ones));
                expect_near(what, results[r], columns + c, base + tenth * (double)ones);
            }
        assert_int_equal(wg_tape_reset(tape), WG_OK);
    }
    free(index);
}

/* Sums over axes that are not adjacent, as of a bias over images: alone and in a chain, with the same bits. */
static void case_long_sums(void)
{
    enum { N = 200000 };
    static const char *const plans[] = {"", "-fuse", "-all"};
    double first[6] = {0};
    for (int p = 0; p < 3; p++) {
        wg_tape_options options = wg_tape_defaults();
        options.plan = plans[p];
        wg_tape *own = wg_tape_new(options);
        for (int spans = 0; spans < 2; spans++) {
            int64_t n = spans ? N : 1024;
            wg_tensor x = wg_full(own, WG_F32, WG_DIMS(n, 3, 2), 0.1), y = wg_scale(x, 1);
            wg_tensor sum = wg_sum(y, WG_AXES(0, 2), false);
            for (int c = 0; c < 3; c++) {
                expect_near(plans[p], sum, c, 2 * (double)n * (double)0.1f);
                if (p == 0) first[3 * spans + c] = value_at(sum, c);
                CHECK(value_at(sum, c) == first[3 * spans + c]);
            }
            assert_int_equal(wg_tape_reset(own), WG_OK);
        }
        wg_tape_free(own);
    }
    wg_tensor x = wg_full(tape, WG_F32, WG_DIMS(4 * N), 0.1);
    expect_near("cumsum", wg_cumsum(x, 0), 4 * N - 1, 4 * N * (double)0.1f);
    expect_near("mean", wg_mean_all(x), 0, (double)0.1f);
    wg_tensor labels = wg_zeros(tape, WG_I32, WG_DIMS(4 * N)), logits = wg_zeros(tape, WG_F32, WG_DIMS(4 * N, 2));
    wg_cross_entropy_options o = wg_cross_entropy_defaults();
    o.class_weights = ROW(WG_F32, 0.1, 1);
    expect_near("weighted cross entropy", wg_cross_entropy_with(logits, labels, o), 0, log(2));
    assert_int_equal(wg_tape_reset(tape), WG_OK);
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        ON_TAPE(case_infinite_scores),
        ON_TAPE(case_infinite_scores_cross_entropy),
        ON_TAPE(case_logsumexp_gradient_large),
        ON_TAPE(case_constant_row),
        ON_TAPE(case_norm_overflow_1e30),
        ON_TAPE(case_embedding_gradient_2pow24),
        ON_TAPE(case_long_sums),
        ON_TAPE(case_attention_nan_masked),
        ON_TAPE(case_attention_nan_masked_step),
        ON_TAPE(case_attention_nan_masked_layers),
    };
    return RUN_TESTS(tests);
}
