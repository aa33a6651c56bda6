/* What a mask hides is not read: it may be NaN. Attention as an op, composed, written out, its derivatives, layers. */
#include "numbers.h"

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

/* 0: a mask of keys; 1: causal; 2: a window; 3: a mask of keys, and a bias; 4: the same, dropout; 5: queries and
 * keys of other leading sizes, causal; 6: weights and values one after the other; 7: written out; 8: the causal mask
 * written out, large enough that it becomes the op. */
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

/* ---- the option locate_nonfinite ---- */

/* Ways to hide scores by minus infinity. The last two rows are hidden wholly or not at all. */
static wg_tensor hidden_scores(int kind, wg_tensor x)
{
    const wg_dtype dtype = wg_dtype_get(x);
    static const double hidden[9] = {0, -INFINITY, 0, -INFINITY, 0, 0, 0, 0, 0};
    wg_tensor mask = numbers(dtype, WG_DIMS(3, 3), hidden),
              shown = wg_equal(mask, wg_zeros(tape, dtype, WG_SCALAR));
    wg_tensor least = wg_full(tape, dtype, WG_SCALAR, -INFINITY);
    switch (kind) {
    case 0: return wg_where(shown, x, least);
    case 1: return wg_masked_fill(x, wg_logical_not(shown), -INFINITY);
    case 2: return wg_add(x, mask);
    case 3: return wg_scale(wg_add(x, wg_t(mask)), 0.5);
    case 4: return wg_add(x, wg_log(wg_add_scalar(wg_exp(mask), 0))); /* makes minus infinity: log(0) */
    default: return wg_add_n((wg_tensor[]){x, mask, mask}, 3);
    }
}

static wg_tensor read_scores(int kind, wg_tensor x)
{
    switch (kind) {
    case 0: return wg_softmax(x, 1);
    case 1: return wg_exp(wg_log_softmax(x, 1));
    case 2: return wg_logsumexp(x, WG_AXES(1), false);
    default: return wg_max(x, WG_AXES(1), false);
    }
}

/* The program's own masks are no fault, nor are those of ops; log(0) is. */
static void case_locate_nonfinite_attention(void)
{
    wg_tape *plain = tape;
    wg_tape_options options = wg_tape_defaults();
    options.locate_nonfinite = true;
    for (int i = 0; i < 2 * 9; i++) {
        wg_tensor out[RESULTS];
        tape = wg_tape_new(options);
        attended a = attend(floats[i / 9], i % 9, 0);
        int n = derive(&a, i % 9, out);
        for (int k = 0; k < n; k++)
            if (!wg_value(out[k])) FAIL("kind %d, result %d: %s", i % 9, k, wg_tape_message(tape));
        wg_tape_free(tape);
    }
    for (int i = 0; i < 2 * 6 * 4; i++) {
        const int hide = i % 6, read = i / 6 % 4;
        for (int eager = 0; eager < 2; eager++) {
            options.eager = eager;
            tape = wg_tape_new(options);
            wg_tensor x = filled(floats[i / 24], WG_DIMS(1, 3, 3), 1, NULL, 0);
            x = wg_reshape(x, WG_DIMS(3, 3));
            wg_tensor y = read_scores(read, hidden_scores(hide, x)), g = gradient(wg_flatten(y, 0, -1), x);
            wg_tensor second = wg_grad1(wg_sum_all(wg_mul(g, g)), x, WG_NONE);
            const bool ok = wg_value(y) && wg_value(g) && wg_value(second);
            if (ok != (hide != 4)) FAIL("scores %d, read %d: %s", hide, read, wg_tape_message(tape));
            if (!ok) CHECK(!strncmp(wg_tape_message(tape), "log: the first NaN or Inf, at element 1", 39));
            wg_tape_free(tape);
        }
    }
    tape = plain;
}

/* What is found beside masks: NaN of a row that is all hidden, plus infinity, an overflow. */
static void infinities_that_are_located(void)
{
    static const struct {
        const char *text;
        double x[3];
    } rows[] = {{"sub", {-INFINITY, -INFINITY, -INFINITY}},
                {"neg", {-INFINITY, 0, 1}},
                {"square", {-INFINITY, 0, 1e200}},
                {"mul", {0, 1e200, -1e200}}};
    wg_tape *plain = tape;
    wg_tape_options options = wg_tape_defaults();
    options.locate_nonfinite = true;
    for (int i = 0; i < 4; i++) {
        tape = wg_tape_new(options);
        wg_tensor x = ROW(WG_F64, rows[i].x[0], rows[i].x[1], rows[i].x[2]), least = wg_max(x, WG_AXES(0), true), y;
        y = i == 0 ? wg_sub(x, least) : i == 1 ? wg_neg(x) : i == 2 ? wg_square(x) : wg_mul(x, wg_neg(wg_abs(x)));
        CHECK(wg_value(y) == NULL && !strncmp(wg_tape_message(tape), rows[i].text, strlen(rows[i].text)));
        wg_tape_free(tape);
    }
    tape = plain;
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        ON_TAPE(case_attention_nan_masked),        ON_TAPE(case_attention_nan_masked_step),
        ON_TAPE(case_attention_nan_masked_layers), ON_TAPE(case_locate_nonfinite_attention),
        ON_TAPE(infinities_that_are_located),
    };
    return RUN_TESTS(tests);
}
