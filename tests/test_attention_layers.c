/* Layers of attention (nn/attention.h): scores of a decoder, hard and local attention, heads, positions.
 * (The op: test_attention. test_golden_attention compares with PyTorch.) */
#include "tensors.h"

#include <time.h>

/* ---- scores of a decoder ---- */

enum { B = 2, T = 5, Q = 3, K = 4, A = 6, VALUE = 2 };

typedef struct decoder {
    wg_score_layer score;
    double q[B * Q], keys[B * T * K], values[B * T * VALUE];
    int32_t lengths[B];
    bool with_lengths;
    int64_t center, window; /* window < 0: none */
} decoder;

static int64_t key_size(const decoder *d) { return d->score.key; }

static wg_tensor attend(decoder *d, wg_tape *tape, wg_tensor *weights)
{
    wg_tensor lengths = d->with_lengths ? wg_data(tape, WG_I32, WG_DIMS(B), d->lengths) : WG_NONE;
    wg_keys keys = wg_score_keys(&d->score, wg_data(tape, WG_F64, WG_DIMS(B, T, key_size(d)), d->keys),
                                 wg_data(tape, WG_F64, WG_DIMS(B, T, VALUE), d->values),
                                 d->with_lengths ? wg_length_mask(lengths, T) : WG_NONE);
    wg_tensor mask = d->window >= 0 ? wg_window_mask(tape, T, d->center, d->window) : WG_NONE;
    return wg_attend(&d->score, wg_data(tape, WG_F64, WG_DIMS(B, Q), d->q), &keys, mask, weights);
}

static void decoder_init(decoder *d, wg_params *set, wg_score_kind kind, wg_choice choice)
{
    *d = (decoder){.lengths = {5, 3}, .window = -1};
    wg_score_options o = wg_score_defaults();
    o.kind = kind;
    o.choice = choice;
    o.size = A;
    CHECK(wg_score_init(&d->score, set, "score", Q, kind <= WG_SCORE_SCALED ? Q : K, o) == WG_OK);
    fill(d->q, B * Q, 5), fill(d->keys, B * T * K, 6), fill(d->values, B * T * VALUE, 7);
}

/* The formulas of attention.h for one query and one key. */
static double score_by_hand(const decoder *d, const double *q, const double *k)
{
    const double *W = wg_param_value(d->score.W), *U = wg_param_value(d->score.U), *v = wg_param_value(d->score.v);
    double e = 0;
    switch (d->score.options.kind) {
    case WG_SCORE_DOT:
    case WG_SCORE_SCALED:
        for (int i = 0; i < Q; i++) e += q[i] * k[i];
        return d->score.options.kind == WG_SCORE_DOT ? e : e / sqrt(Q);
    case WG_SCORE_GENERAL:
        for (int i = 0; i < Q; i++)
            for (int j = 0; j < K; j++) e += q[i] * W[i * K + j] * k[j];
        return e;
    default:
        for (int a = 0; a < A; a++) {
            double sum = 0;
            bool concat = d->score.options.kind == WG_SCORE_CONCAT;
            for (int i = 0; i < Q; i++) sum += q[i] * (concat ? W[a * (Q + K) + i] : W[a * Q + i]);
            for (int j = 0; j < K; j++) sum += k[j] * (concat ? W[a * (Q + K) + Q + j] : U[a * K + j]);
            e += v[a] * tanh(sum);
        }
        return e;
    }
}

/* Attention with any score, as a loop: exponentials divided by their sum. */
static void attend_by_hand(const decoder *d, double *weights, double *context)
{
    for (int b = 0; b < B; b++) {
        double sum = 0, *w = weights + b * T;
        for (int j = 0; j < T; j++) {
            bool seen =
                (!d->with_lengths || j < d->lengths[b]) && (d->window < 0 || llabs(j - d->center) <= d->window);
            w[j] = seen ? exp(score_by_hand(d, d->q + b * Q, d->keys + (b * T + j) * key_size(d))) : 0;
            sum += w[j];
        }
        for (int i = 0; i < VALUE; i++) context[b * VALUE + i] = 0;
        for (int j = 0; j < T; j++) {
            w[j] = sum > 0 ? w[j] / sum : 0;
            for (int i = 0; i < VALUE; i++) context[b * VALUE + i] += w[j] * d->values[(b * T + j) * VALUE + i];
        }
    }
}

static wg_tensor attend_loss(void *context, wg_tape *tape, wg_params *set)
{
    decoder *d = context;
    wg_tensor weights, q = wg_use(tape, wg_param_find(set, "q")), keys = wg_use(tape, wg_param_find(set, "keys"));
    wg_keys all = wg_score_keys(&d->score, keys, wg_slice(keys, -1, 0, VALUE), WG_NONE);
    wg_tensor y = wg_attend(&d->score, q, &all, WG_NONE, &weights);
    return wg_add(weigh(y, 77), weigh(weights, 77));
}

static void test_scores(void)
{
    static decoder d;
    for (int i = 0; i < 5 * 2 * 2; i++) {
        const wg_score_kind kind = (wg_score_kind)(i % 5);
        wg_params *set = wg_params_new(WG_F64);
        wg_tape *tape = new_tape();
        decoder_init(&d, set, kind, WG_CHOICE_SOFT);
        d.with_lengths = i / 5 % 2;
        if (i / 10) d.center = 3, d.window = 1;
        double weights[B * T], context[B * VALUE];
        attend_by_hand(&d, weights, context);
        wg_tensor w;
        wg_tensor y = attend(&d, tape, &w);
        double off = distance(wg_value(y), context, B * VALUE) + distance(wg_value(w), weights, B * T);
        if (!(off < 1e-12)) FAIL("score kind %d, masks %d: off by %g", kind, i / 5, off);
        CLOSE(tape);
        wg_param_new(set, "q", WG_DIMS(B, Q), wg_init_normal(0, 1));
        wg_param_new(set, "keys", WG_DIMS(B, T, key_size(&d)), wg_init_normal(0, 1));
        if (!gradcheck(set, attend_loss, &d, true)) printf("    score kind %d\n", kind);
        wg_params_free(set);
    }
}

/* Several queries at once equal single queries. */
static void test_several_queries(void)
{
    static decoder d;
    for (int kind = 0; kind < 5; kind++) {
        wg_params *set = wg_params_new(WG_F64);
        wg_tape *tape = new_tape();
        decoder_init(&d, set, (wg_score_kind)kind, WG_CHOICE_SOFT);
        wg_tensor keys = random_leaf(tape, WG_DIMS(B, T, key_size(&d)), 6),
                  q = random_leaf(tape, WG_DIMS(B, 2, Q), 8);
        wg_keys all = wg_score_keys(&d.score, keys, keys, WG_NONE);
        wg_tensor w, w1, both = wg_attend(&d.score, q, &all, WG_NONE, &w);
        for (int t = 0; t < 2; t++) {
            wg_tensor one = wg_attend(&d.score, wg_select(q, 1, t), &all, WG_NONE, &w1);
            CHECK(distance(wg_value(one), wg_value(wg_select(both, 1, t)), (size_t)(B * key_size(&d))) < 1e-14);
            CHECK(distance(wg_value(w1), wg_value(wg_select(w, 1, t)), B * T) < 1e-14);
        }
        CLOSE(tape);
        wg_params_free(set);
    }
}

/* A window as wide as the sequence is global attention, bit for bit; a window of 0 is one state. */
static void test_window(void)
{
    static decoder d;
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    decoder_init(&d, set, WG_SCORE_ADDITIVE, WG_CHOICE_SOFT);
    wg_tensor w, global = attend(&d, tape, NULL);
    d.center = 1;
    d.window = T - 1;
    CHECK(distance(wg_value(attend(&d, tape, NULL)), wg_value(global), B * VALUE) == 0);
    d.window = 0;
    const double *y = wg_value(attend(&d, tape, &w)), *weights = wg_value(w);
    for (int b = 0; b < B; b++)
        for (int j = 0; j < T; j++) CHECK(weights[b * T + j] == (j == 1));
    for (int i = 0; i < VALUE; i++) CHECK(y[i] == d.values[VALUE + i]);
    wg_tensor q = random_leaf(tape, WG_DIMS(6, 4), 1);
    wg_attention_options o = wg_attention_defaults();
    wg_tensor all = wg_attention(q, q, q, o);
    o.window = 5;
    CHECK(distance(wg_value(wg_attention(q, q, q, o)), wg_value(all), 24) == 0);
    CLOSE(tape);
    wg_params_free(set);
}

/* Seconds of attention over a sequence of n: the least of five runs. */
static double seconds_of(int64_t n, int64_t window)
{
    wg_tape *tape = new_tape();
    double best = INFINITY;
    for (int i = 0; i < 5; i++) {
        wg_tensor x = wg_uniform(tape, WG_F32, WG_DIMS(n, 32), -1, 1);
        wg_attention_options o = wg_attention_defaults();
        o.window = window;
        CHECK(wg_value(x) != NULL);
        struct timespec a, b;
        clock_gettime(CLOCK_MONOTONIC, &a);
        CHECK(wg_value(wg_attention(x, x, x, o)) != NULL);
        clock_gettime(CLOCK_MONOTONIC, &b);
        best = fmin(best, (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec));
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    CLOSE(tape);
    return best;
}

/* A narrow window saves work and is not just a mask: 2 * 64 + 1 of 3000 keys take less than a third of the time. */
static void test_window_saves_work(void)
{
    double narrow = seconds_of(3000, 64), global = seconds_of(3000, -1);
    printf("attention over 3000 places: %.2f ms, in a window of 64 %.2f ms\n", 1e3 * global, 1e3 * narrow);
    CHECK(narrow < global / 3);
}

/* Hard attention: a single 1, at the largest score; the gradient of soft attention. */
static void test_hard(void)
{
    static decoder soft, hard;
    wg_params *set = wg_params_new(WG_F64), *other = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    decoder_init(&soft, set, WG_SCORE_ADDITIVE, WG_CHOICE_SOFT);
    decoder_init(&hard, other, WG_SCORE_ADDITIVE,
                 WG_CHOICE_HARD); /* the same numbers: they are derived from the name */
    soft.with_lengths = hard.with_lengths = true;
    wg_tensor ws, wh;
    attend(&soft, tape, &ws);
    wg_tensor context = attend(&hard, tape, &wh);
    const double *s = wg_value(wg_keep(ws)), *h = wg_value(wg_keep(wh)), *y = wg_value(context);
    for (int b = 0; b < B; b++) {
        int best = 0;
        for (int j = 1; j < T; j++)
            if (s[b * T + j] > s[b * T + best]) best = j;
        for (int j = 0; j < T; j++) CHECK(h[b * T + j] == (j == best));
        for (int i = 0; i < VALUE; i++) CHECK(y[b * VALUE + i] == hard.values[(b * T + best) * VALUE + i]);
    }
    CHECK(wg_tape_reset(tape) == WG_OK);
    attend(&soft, tape, &ws);
    attend(&hard, tape, &wh);
    wg_tensor gs = wg_grad1(weigh(ws, 77), wg_use(tape, soft.score.W), WG_NONE);
    wg_tensor gh = wg_grad1(weigh(wh, 77), wg_use(tape, hard.score.W), WG_NONE);
    const double *a = wg_value(wg_keep(gs)), *b = wg_value(wg_keep(gh));
    CHECK(distance(a, b, A * Q) < 1e-15 && fabs(a[0]) > 1e-6);
    CHECK(wg_tape_reset(tape) == WG_OK);
    hard.lengths[1] = 0; /* no visible key */
    attend(&hard, tape, &wh);
    h = wg_value(wh);
    for (int j = 0; j < T; j++) CHECK(h[T + j] == 0);
    CLOSE(tape);
    wg_params_free(set);
    wg_params_free(other);
}

/* Draws have the frequencies of softmax; in evaluation there is no noise. */
static void test_gumbel(void)
{
    enum { N = 4000 };
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new(WG_F64);
    wg_score_layer score;
    wg_score_options o = wg_score_defaults();
    o.choice = WG_CHOICE_GUMBEL;
    o.temperature = 0.5;
    CHECK(wg_score_init(&score, set, "score", 1, 1, o) == WG_OK);
    const double k[3] = {0, 1, -0.5}, one = 1;
    wg_tensor keys = wg_expand(wg_data(tape, WG_F64, WG_DIMS(1, 3, 1), k), WG_DIMS(N, 3, 1));
    wg_tensor q = wg_expand(wg_data(tape, WG_F64, WG_DIMS(1, 1), &one), WG_DIMS(N, 1)), w, still;
    wg_keys all = wg_score_keys(&score, keys, keys, WG_NONE);
    wg_attend(&score, q, &all, WG_NONE, &w);
    const double *mean = wg_value(wg_mean(w, WG_AXES(0), false));
    double sum = exp(k[0]) + exp(k[1]) + exp(k[2]);
    for (int j = 0; j < 3; j++) CHECK(fabs(mean[j] - exp(k[j]) / sum) < 0.03); /* 3.8 standard deviations */
    wg_set_training(tape, false);
    wg_attend(&score, q, &all, WG_NONE, &still);
    mean = wg_value(wg_mean(still, WG_AXES(0), false));
    CHECK(mean[0] == 0 && mean[1] == 1 && mean[2] == 0);
    CLOSE(tape);
    wg_params_free(set);
}

/* Attention is a shortcut to early states: the gradient of the last output by the first input is larger. */
static void test_shortcut(void)
{
    enum { STEPS = 40, H = 8 };
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new(WG_F64);
    wg_rnn rnn;
    wg_score_layer score;
    wg_rnn_init(&rnn, set, "rnn", 2, H, wg_rnn_defaults());
    CHECK(wg_score_init(&score, set, "score", H, H, wg_score_defaults()) == WG_OK);
    wg_tensor x[STEPS], h[STEPS];
    for (int t = 0; t < STEPS; t++) x[t] = random_leaf(tape, WG_DIMS(1, 2), (unsigned)t);
    wg_rnn_state state = wg_rnn_zero_state(&rnn, tape, 1);
    wg_rnn_unroll(&rnn, x, STEPS, WG_NONE, &state, h);
    wg_tensor all = wg_stack(h, STEPS, 1);
    wg_keys keys = wg_score_keys(&score, all, all, WG_NONE);
    wg_tensor context = wg_attend(&score, h[STEPS - 1], &keys, WG_NONE, NULL);
    double last = sqrt(wg_item(wg_sum_all(wg_square(wg_grad1(weigh(h[STEPS - 1], 77), x[0], WG_NONE)))));
    double with = sqrt(wg_item(wg_sum_all(wg_square(wg_grad1(weigh(context, 77), x[0], WG_NONE)))));
    CHECK(last > 0 && with > 1000 * last);
    CLOSE(tape);
    wg_params_free(set);
}

/* ---- heads ---- */

static void set_numbers(wg_param *param, const double *numbers)
{
    memcpy(wg_param_write_begin(param), numbers, (size_t)wg_param_numel(param) * 8);
    wg_param_write_end(param);
}

/* The sum of heads equals their concatenation times W_o = [I ... I]. */
static void test_sum_of_heads(void)
{
    enum { E = 6, H = 3, D = 4 };
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new(WG_F64);
    wg_mha sum, joined;
    wg_mha_options o = wg_mha_defaults();
    o.head_size = D;
    CHECK(wg_mha_init(&joined, set, "joined", E, H, o) == WG_OK);
    o.sum = true;
    CHECK(wg_mha_init(&sum, set, "sum", E, H, o) == WG_OK);
    double in[3 * H * D * E], stacked[E * H * D] = {0}, zeros[E] = {0}, bias[3 * H * D];
    fill(in, 3 * H * D * E, 3), fill(bias, 3 * H * D, 4);
    for (int h = 0; h < H; h++)
        for (int i = 0; i < D; i++) stacked[i * H * D + h * D + i] = 1;
    set_numbers(joined.in_proj_weight, in), set_numbers(sum.in_proj_weight, in);
    set_numbers(joined.in_proj_bias, bias), set_numbers(sum.in_proj_bias, bias);
    set_numbers(joined.out_proj.weight, stacked), set_numbers(joined.out_proj.bias, zeros);
    wg_tensor x = random_leaf(tape, WG_DIMS(2, 5, E), 5);
    wg_tensor a = wg_mha_apply(&joined, x, x, x, wg_attention_defaults(), NULL); /* [2, 5, E], D used */
    wg_tensor b = wg_mha_apply(&sum, x, x, x, wg_attention_defaults(), NULL);    /* [2, 5, D] */
    CHECK(wg_size(b, -1) == D);
    CHECK(distance(wg_value(wg_slice(a, -1, 0, D)), wg_value(b), 2 * 5 * D) < 1e-13);
    CHECK(wg_param_find(set, "sum.out_proj.weight") == NULL);
    CLOSE(tape);
    wg_params_free(set);
    set = wg_params_new(WG_F64);
    o.head_size = 0;
    CHECK(wg_mha_init(&sum, set, "keeps", E, H, o) == WG_OK && sum.head_size == E); /* keeps the size */
    wg_params_free(set);
}

static wg_tensor mha_loss(void *context, wg_tape *tape, wg_params *set)
{
    wg_tensor x = wg_use(tape, wg_param_find(set, "x")), y = random_leaf(tape, WG_DIMS(2, 3, 4), 9), weights;
    wg_attention_options o = wg_attention_defaults();
    o.causal = true;
    wg_tensor self = wg_mha_apply(context, x, x, x, o, NULL), over = wg_mha_apply(context, y, x, x, o, &weights);
    return wg_add(wg_add(weigh(self, 77), weigh(over, 77)), weigh(weights, 77));
}

static void test_mha_gradients(void)
{
    for (int i = 0; i < 2; i++) {
        wg_params *set = wg_params_new(WG_F64);
        wg_mha mha;
        wg_mha_options o = wg_mha_defaults();
        o.sum = i;
        CHECK(wg_mha_init(&mha, set, "mha", 4, 2, o) == WG_OK);
        wg_param_new(set, "x", WG_DIMS(2, 3, 4), wg_init_normal(0, 1));
        if (!gradcheck(set, mha_loss, &mha, true)) printf("    heads%s\n", i ? ", summed" : "");
        wg_params_free(set);
    }
}

/* ---- positions ---- */

static void test_positions(void)
{
    enum { N = 50, E = 7, P = 4 };
    wg_tape *tape = new_tape();
    int32_t at[P] = {0, 1, 13, 5000};
    double expected[P * E];
    for (int p = 0; p < P; p++)
        for (int i = 0; i < E; i++) {
            double angle = at[p] / pow(10000, 2.0 * (i / 2) / E);
            expected[p * E + i] = i % 2 ? cos(angle) : sin(angle);
        }
    wg_tensor position = wg_data(tape, WG_I32, WG_DIMS(2, 2), at);
    CHECK(distance(wg_value(wg_sinusoid(position, E, WG_F64)), expected, P * E) < 1e-11);
    const float *rounded = wg_value(wg_sinusoid(position, E, WG_F32));
    for (int i = 0; i < P * E; i++) CHECK(fabs((double)rounded[i] - expected[i]) < 1e-7);
    CLOSE(tape);

    for (int kind = WG_POSITION_NONE; kind <= WG_POSITION_LEARNED; kind++) { /* permutation of the inputs */
        static const int order[5] = {3, 0, 4, 1, 2};
        wg_params *set = wg_params_new(WG_F64);
        tape = new_tape();
        wg_mha mha;
        wg_position_layer positions;
        CHECK(wg_mha_init(&mha, set, "mha", 4, 2, wg_mha_defaults()) == WG_OK);
        CHECK(wg_position_init(&positions, set, "position", (wg_position_kind)kind, 9, 4, 1) == WG_OK);
        wg_tensor x = random_leaf(tape, WG_DIMS(2, 5, 4), 5), permuted[5], y[2];
        for (int i = 0; i < 5; i++) permuted[i] = wg_select(x, 1, order[i]);
        for (int i = 0; i < 2; i++) {
            wg_tensor in = wg_position_apply(&positions, i ? wg_stack(permuted, 5, 1) : x);
            y[i] = wg_keep(wg_mha_apply(&mha, in, in, in, wg_attention_defaults(), NULL));
        }
        double worst = 0;
        for (int i = 0; i < 5; i++) {
            wg_tensor a = wg_select(y[1], 1, i), b = wg_select(y[0], 1, order[i]);
            worst = fmax(worst, distance(wg_value(a), wg_value(b), 8));
        }
        CHECK(kind == WG_POSITION_NONE ? worst < 1e-14 : worst > 1e-2);
        wg_tensor some = wg_position_apply_at(&positions, x, wg_arange(tape, WG_I32, 0, 1, 5));
        CHECK(distance(wg_value(some), wg_value(wg_position_apply(&positions, x)), 40) < 1e-15);
        CLOSE(tape);
        wg_params_free(set);
    }
}

/* ---- calls that are refused ---- */

static void test_mistakes(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_score_layer score;
    wg_mha mha;
    wg_position_layer position;
    wg_score_options s = wg_score_defaults();
    EXPECT_SET(wg_score_init(&score, set, "s", 3, 4, s),
               "score s: dot products need queries and keys of equal size");
    s.temperature = 0;
    EXPECT_SET(wg_score_init(&score, set, "s", 3, 3, s), "temperature must be positive");
    s = wg_score_defaults();
    s.kind = (wg_score_kind)9;
    EXPECT_SET(wg_score_init(&score, set, "s", 3, 3, s), "not a wg_score_kind");
    wg_mha_options o = wg_mha_defaults();
    EXPECT_SET(wg_mha_init(&mha, set, "m", 5, 2, o), "mha m: the size must be a multiple of the heads");
    EXPECT_SET(wg_mha_init(&mha, set, "m", 4, 0, o), "at least 1");
    o.dropout = 1;
    EXPECT_SET(wg_mha_init(&mha, set, "m", 4, 2, o), "dropout must be in [0, 1)");
    o = wg_mha_defaults();
    o.head_size = INT64_MAX / 2;
    EXPECT_SET(wg_mha_init(&mha, set, "m", 8, 8, o), "mha m: sizes are out of range");
    o = wg_mha_defaults();
    o.sum = true;
    EXPECT_SET(wg_mha_init(&mha, set, "m", INT64_MAX / 2, 8, o), "mha m: sizes are out of range");
    s.kind = WG_SCORE_CONCAT;
    EXPECT_SET(wg_score_init(&score, set, "s", INT64_MAX / 2 + 2, INT64_MAX / 2 + 2, s), "sizes are out of range");
    EXPECT_SET(wg_position_init(&position, set, "p", (wg_position_kind)5, 3, 4, 1), "not a wg_position_kind");

    CHECK(wg_mha_init(&mha, set, "good", 4, 2, wg_mha_defaults()) == WG_OK);
    CHECK(wg_position_init(&position, set, "p", WG_POSITION_LEARNED, 3, 4, 1) == WG_OK);
    wg_tensor x = random_leaf(tape, WG_DIMS(5, 4), 1);
    EXPECT_TAPE(wg_position_apply(&position, x), "5 positions, but the layer has 3");
    for (int kind = WG_POSITION_SINUSOID; kind <= WG_POSITION_LEARNED; kind++) {
        wg_position_layer one = {.kind = (wg_position_kind)kind, .weight = position.weight};
        x = random_leaf(tape, WG_DIMS(4), 1);
        EXPECT_TAPE(wg_position_apply(&one, x), "position: x must have 2 axes or more: [..., time, size]");
    }
    x = random_leaf(tape, WG_DIMS(5, 3), 1);
    EXPECT_TAPE(wg_mha_apply(&mha, x, x, x, wg_attention_defaults(), NULL), "linear: [5, 3]");
    wg_attention_options a = wg_attention_defaults();
    x = random_leaf(tape, WG_DIMS(2, 5, 4), 1);
    a.mask = wg_length_mask(wg_data(tape, WG_I32, WG_DIMS(2), (int32_t[]){1, 5}), 5);
    EXPECT_TAPE(wg_mha_apply(&mha, x, x, x, a, NULL), "attention: mask [2, 5] must broadcast to [2, 2, 5, 5]");
    x = random_leaf(tape, WG_DIMS(2, 5, 4), 1);
    a.mask = wg_ones(tape, WG_BOOL, WG_DIMS(2, 5, 5)); /* by sequence or by head? */
    EXPECT_TAPE(wg_mha_apply(&mha, x, x, x, a, NULL), "mha: a mask of rank 3");
    EXPECT_TAPE(wg_sinusoid(wg_arange(tape, WG_I32, 0, 1, 3), 0, WG_F32), "sinusoid");
    wg_tape_free(tape);
    wg_params_free(set);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(test_scores),        TEST_CASE(test_several_queries),
                                 TEST_CASE(test_window),        TEST_CASE(test_window_saves_work),
                                 TEST_CASE(test_hard),          TEST_CASE(test_gumbel),
                                 TEST_CASE(test_shortcut),      TEST_CASE(test_sum_of_heads),
                                 TEST_CASE(test_mha_gradients), TEST_CASE(test_positions),
                                 TEST_CASE(test_mistakes)};
    return RUN_TESTS(tests);
}
