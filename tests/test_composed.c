/* Composed ops beyond their samples: einsum against a plain loop; values, gradients and frequencies of discrete
 * choices; CTC against an enumeration of all paths, and its corner cases; norms as layers. */
#include <float.h>

#include "values.h"

static array x[3], want;

/* Nothing failed on the tape. */
static void well(void)
{
    if (wg_tape_reset(tape) != WG_OK) FAIL("%s", wg_tape_message(tape));
}

static void fails(wg_tensor result, wg_status status, const char *words)
{
    if (!wg_is_nil(result)) FAIL("no nil for '%s'", words);
    wg_status have = wg_tape_reset(tape);
    if (have == status && strstr(wg_tape_message(tape), words)) return;
    FAIL("%s '%s', should be %s with '%s'", wg_status_name(have), wg_tape_message(tape), wg_status_name(status),
         words);
}

/* ---- einsum ---- */

enum { LETTERS = 6 };

/* The offset of an element of an operand (or the result), by the indices of all letters. */
static int64_t element(const array *a, const char *letters, const int64_t *at)
{
    int64_t where[WG_MAX_RANK];
    for (int i = 0; letters[i]; i++) where[i] = at[letters[i] - 'a'];
    return offset(&a->shape, where);
}

static void random_letters(char *letters, int n)
{
    for (int i = 0; i < n; i++) letters[i] = (char)('a' + draw(LETTERS));
    letters[n] = 0;
}

static wg_shape shape_of(const char *letters, const int64_t *size)
{
    wg_shape shape = {.rank = (int32_t)strlen(letters)};
    for (int i = 0; i < shape.rank; i++) shape.size[i] = size[letters[i] - 'a'];
    return shape;
}

/* Random formulas with 1 to 3 operands: repeated letters, missing letters, sizes 1 and 0. */
static void einsum_by_loop(void)
{
    char letters[3][8], out[LETTERS + 1] = "", formula[64] = "";
    int n = 1 + (int)draw(3), outs = 0;
    int64_t size[LETTERS], at[LETTERS] = {0};
    for (int i = 0; i < LETTERS; i++) size[i] = draw(12) == 0 ? 0 : 1 + draw(3);
    wg_tensor in[3];
    for (int k = 0; k < n; k++) {
        random_letters(letters[k], (int)draw(n == 3 ? 4 : 5));
        fill_random(&x[k], shape_of(letters[k], size));
        in[k] = x[k].shape.rank > 0 ? strided(&x[k]) : leaf(&x[k], WG_F64);
        strcat(strcat(formula, k ? "," : ""), letters[k]);
    }
    bool used[LETTERS] = {false};
    for (int k = 0; k < n; k++)
        for (const char *c = letters[k]; *c; c++) used[*c - 'a'] = true;
    for (int i = (int)draw(LETTERS), step = 0; step < LETTERS; step++, i = (i + 1) % LETTERS) {
        if (!used[i]) size[i] = 1;
        if (used[i] && draw(2)) out[outs++] = (char)('a' + i);
    }
    out[outs] = 0;
    strcat(strcat(formula, "->"), out);
    shape_set(&want, shape_of(out, size));
    for (int64_t i = 0; i < want.n; i++) want.x[i] = 0;
    bool more = true;
    for (int i = 0; i < LETTERS; i++) more &= size[i] > 0;
    while (more) {
        double term = 1;
        for (int k = 0; k < n; k++) term *= x[k].x[element(&x[k], letters[k], at)];
        want.x[element(&want, out, at)] += term;
        int i = 0;
        while (i < LETTERS && ++at[i] == size[i]) at[i++] = 0;
        more = i < LETTERS;
    }
    expect_values(formula, wg_einsum(formula, in, n), &want);
}

static void einsum_round(uint64_t seed) { one_round(seed, einsum_by_loop); }
static void einsum_against_loop(void) { check_rounds(5 * ROUNDS, einsum_round); }

/* A multiplicative module: s = W x with weights that depend on another input, w_ij = sum_k u_ijk z_k. If u is the
 * identity in all three indices, it is a gate (z x elementwise, as in an LSTM or GRU); if z is a softmax, it is the
 * weighted mean of attention. */
static void multiplicative_module(void)
{
    enum { N = 4, E = 3 };
    double identity[N][N][N] = {{{0}}}, u[N][N][N], z[N], in[N][E];
    for (int i = 0; i < N; i++) {
        identity[i][i][i] = 1;
        z[i] = sin(i + 1);
        for (int e = 0; e < E; e++) in[i][e] = cos(3 * i + e);
        for (int j = 0; j < N; j++)
            for (int k = 0; k < N; k++) u[i][j][k] = sin(7 * i + 3 * j + k);
    }
    wg_tensor U = wg_data(tape, WG_F64, WG_DIMS(N, N, N), u), Z = wg_data(tape, WG_F64, WG_DIMS(N), z);
    wg_tensor X = wg_data(tape, WG_F64, WG_DIMS(N, E), in), I = wg_data(tape, WG_F64, WG_DIMS(N, N, N), identity);
    wg_tensor x0 = wg_select(X, 1, 0);
    shape_set(&want, WG_DIMS(N));
    for (int i = 0; i < N; i++) {
        want.x[i] = 0;
        for (int j = 0; j < N; j++)
            for (int k = 0; k < N; k++) want.x[i] += u[i][j][k] * z[k] * in[j][0];
    }
    expect_values("a multiplicative module", wg_einsum("mnd,d,n->m", (wg_tensor[]){U, Z, x0}, 3), &want);
    expect_values("its W, then W x", wg_matmul(wg_einsum("mnd,d->mn", (wg_tensor[]){U, Z}, 2), x0), &want);
    for (int i = 0; i < N; i++) want.x[i] = z[i] * in[i][0];
    expect_values("a gate", wg_einsum("mnd,d,n->m", (wg_tensor[]){I, Z, x0}, 3), &want);
    double total = 0;
    for (int i = 0; i < N; i++) total += exp(z[i]);
    shape_set(&want, WG_DIMS(E));
    for (int e = 0; e < E; e++) {
        want.x[e] = 0;
        for (int i = 0; i < N; i++) want.x[e] += exp(z[i]) / total * in[i][e];
    }
    expect_values("attention", wg_einsum("mnd,d,ne->e", (wg_tensor[]){I, wg_softmax(Z, 0), X}, 3), &want);
    well();
}

/* The same as with letters for the axes of the ellipsis, of operands that were expanded before. */
static void ellipsis(void)
{
    fill_random(&x[0], WG_DIMS(3, 1, 2, 4));
    fill_random(&x[1], WG_DIMS(5, 4, 2));
    wg_tensor a = leaf(&x[0], WG_F64), b = leaf(&x[1], WG_F64), both[] = {a, b};
    wg_tensor wide[] = {wg_expand(a, WG_DIMS(3, 5, 2, 4)), wg_expand(b, WG_DIMS(3, 5, 4, 2))};
    static const char *const pairs[][2] = {{"...ij,...jk->...ik", "abij,abjk->abik"},
                                           {"...ij,...ji->...", "abij,abji->ab"},
                                           {"...ij,...jk->ik", "abij,abjk->ik"},
                                           {"...ij,...jk->k...i", "abij,abjk->kabi"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        wg_tensor by_letters = wg_einsum(pairs[i][1], wide, 2);
        shape_set(&want, wg_shape_get(by_letters));
        for (int64_t k = 0; k < want.n; k++) want.x[k] = value_at(by_letters, k);
        expect_values(pairs[i][0], wg_einsum(pairs[i][0], both, 2), &want);
    }
    well();
}

static void einsum_refuses(void)
{
    wg_tensor a = wg_ones(tape, WG_F64, WG_DIMS(2, 3));
    assert_true(wg_is_nil(wg_einsum("i->i", NULL, 1)) && wg_is_nil(wg_einsum("i->i", &a, 0)));
    assert_int_equal(wg_tape_status(tape), WG_OK); /* no operand, so no tape to report it on */
    fails(wg_einsum("ij,jk->ik", (wg_tensor[]){WG_NONE, a}, 2), WG_ERR_ARGUMENT, "einsum: operand 1 was never set");
    a = wg_ones(tape, WG_F64, WG_DIMS(2, 3));
    fails(wg_einsum("ij,j->i", (wg_tensor[]){a, WG_NONE}, 2), WG_ERR_ARGUMENT, "einsum: operand 2 was never set");
    a = wg_ones(tape, WG_F64, WG_DIMS(2, 3));
    fails(wg_einsum("ij,j->i", (wg_tensor[]){a, wg_ones(tape, WG_F32, WG_DIMS(3))}, 2), WG_ERR_DTYPE,
          "einsum: operand 2 is f32");
}

/* ---- discrete choices ---- */

static void straight_through(void)
{
    for (wg_dtype dtype = WG_F32; dtype <= WG_F64; dtype++) {
        wg_tensor logits = wg_scale(wg_normal(tape, dtype, WG_DIMS(50, 7), 0, 1), 3),
                  w = wg_normal(tape, dtype, WG_DIMS(50, 7), 0, 1);
        wg_tensor soft = wg_softmax(logits, -1), hard = wg_hardmax(soft, -1), y = wg_straight_through(hard, soft);
        wg_tensor g = wg_grad1(y, logits, w), g_soft = wg_grad1(soft, logits, w);
        wg_tensor to_hard = wg_grad1(wg_straight_through(logits, soft), logits, w);
        const wg_tensor all[] = {y, hard, g, g_soft, to_hard};
        assert_int_equal(wg_eval(all, 5), WG_OK);
        const size_t bytes = 350 * wg_dtype_size(dtype);
        assert_memory_equal(wg_value(y), wg_value(hard), bytes);
        assert_memory_equal(wg_value(g), wg_value(g_soft), bytes);
        assert_memory_equal(wg_value(to_hard), wg_value(g_soft), bytes);
        for (int row = 0; row < 50; row++) {
            int largest = 0;
            for (int c = 1; c < 7; c++)
                if (value_at(logits, row * 7 + c) > value_at(logits, row * 7 + largest)) largest = c;
            for (int c = 0; c < 7; c++) assert_true(value_at(y, row * 7 + c) == (c == largest));
        }
        assert_int_equal(wg_tape_reset(tape), WG_OK);
    }
    wg_tensor a = wg_ones(tape, WG_F32, WG_DIMS(2));
    fails(wg_straight_through(WG_NONE, a), WG_ERR_ARGUMENT, "straight_through: operand 1 was never set");
    a = wg_ones(tape, WG_F32, WG_DIMS(2));
    fails(wg_straight_through(a, WG_NONE), WG_ERR_ARGUMENT, "straight_through: operand 2 was never set");
}

/* The first of equal values, along any axis. */
static void hardmax(void)
{
    const double numbers[] = {1, 5, 5, 2, 5, 1};
    wg_tensor t = wg_data(tape, WG_F64, WG_DIMS(2, 3), numbers);
    shape_set(&want, WG_DIMS(2, 3));
    memcpy(want.x, (double[]){0, 1, 0, 0, 1, 0}, 6 * sizeof(double));
    expect_values("hardmax of rows", wg_hardmax(t, 1), &want);
    memcpy(want.x, (double[]){0, 1, 1, 1, 0, 0}, 6 * sizeof(double));
    expect_values("hardmax of columns", wg_hardmax(t, -2), &want);
    well();
}

/* Samples are one-hot, have the frequencies of softmax(logits), and pass on the gradient of the soft sample. */
static void gumbel(void)
{
    enum { N = 20000, C = 4 };
    const double logits[C] = {0.5, -1, 1.2, 0};
    double p[C], total = 0, chi = 0;
    for (int c = 0; c < C; c++) total += exp(logits[c]);
    for (wg_dtype dtype = WG_F32; dtype <= WG_F64; dtype++) {
        wg_tensor row = wg_cast(wg_data(tape, WG_F64, WG_DIMS(C), logits), dtype),
                  in = wg_expand(row, WG_DIMS(N, C));
        wg_tensor y = wg_gumbel_softmax(in, 0.7, true, -1);
        wg_tensor counts = wg_sum(y, WG_AXES(0), false),
                  is_hot = wg_equal(wg_max(y, WG_AXES(1), false), wg_ones(tape, dtype, WG_SCALAR));
        assert_true(wg_item(wg_all(is_hot, WG_ALL_AXES, false)) == 1 && wg_item(wg_sum_all(y)) == N);
        for (int c = 0; c < C; c++) {
            p[c] = exp(logits[c]) / total;
            const double off = value_at(counts, c) - N * p[c];
            chi += off * off / (N * p[c]);
        }
        assert_int_equal(wg_tape_reset(tape), WG_OK);
    }
    /* Chi squared with 6 degrees of freedom exceeds 22.5 once in a thousand. The numbers are the same in every run. */
    if (chi > 22.5) FAIL("samples do not follow softmax, chi squared %g", chi);

    /* The same seed, step and node of a reset tape give the same noise. */
    wg_tensor g[2], w, weights[2], in;
    double numbers[2][4 * C];
    for (int hard = 0; hard < 2; hard++) {
        wg_set_step(tape, 0);
        in = wg_expand(wg_data(tape, WG_F64, WG_DIMS(C), logits), WG_DIMS(4, C));
        weights[hard] = wg_gumbel_softmax(in, 0.7, hard, -1);
        w = wg_arange(tape, WG_F64, -3, 1, 4 * C);
        g[hard] = wg_grad1(weights[hard], in, wg_reshape(w, WG_DIMS(4, C)));
        assert_int_equal(wg_read(g[hard], numbers[hard], sizeof numbers[hard]), WG_OK);
        assert_int_equal(wg_tape_reset(tape), WG_OK);
    }
    assert_memory_equal(numbers[0], numbers[1], sizeof numbers[0]);
    assert_true(numbers[0][0] != 0);

    /* At this step a uniform number is 0; its logarithm is not taken. With one class every sample is 1. */
    wg_set_step(tape, 648);
    assert_true(wg_item(wg_min(wg_uniform(tape, WG_F32, WG_DIMS(50000, 1), 0, 1), WG_ALL_AXES, false)) == 0);
    assert_int_equal(wg_tape_reset(tape), WG_OK);
    wg_set_step(tape, 648);
    wg_tensor alone = wg_gumbel_softmax(wg_zeros(tape, WG_F32, WG_DIMS(50000, 1)), 1, false, 1);
    assert_true(wg_item(wg_min(alone, WG_ALL_AXES, false)) == 1);
    assert_int_equal(wg_tape_reset(tape), WG_OK);
    wg_set_step(tape, 0);

    /* A small tau gives one-hot, a large one uniform weights; both are finite. */
    wg_tensor cold = wg_gumbel_softmax(wg_zeros(tape, WG_F32, WG_DIMS(1000, 3)), 1e-3, false, 1);
    wg_tensor warm = wg_gumbel_softmax(wg_zeros(tape, WG_F32, WG_DIMS(1000, 3)), 1e6, false, 1);
    assert_true(wg_item(wg_mean_all(wg_max(cold, WG_AXES(1), false))) > 0.99);
    assert_true(fabs(wg_item(wg_max(warm, WG_ALL_AXES, false)) - 1.0 / 3) < 1e-4);
    well();
}

/* ---- CTC ---- */

enum { T = 4, C = 3 };

/* -ln of the sum over those of all C^T paths that read as the target. */
static double ctc_by_hand(const double *p, const int32_t *target, int n, int steps, int blank)
{
    double sum = 0;
    int ways = 1;
    for (int t = 0; t < steps; t++) ways *= C;
    for (int way = 0; way < ways; way++) {
        int last = -1, at = 0, rest = way;
        double product = 1;
        for (int t = 0; t < steps; t++, rest /= C) {
            const int c = rest % C;
            product *= p[t * C + c];
            if (c != last && c != blank && at >= 0) at = at < n && target[at] == c ? at + 1 : -1;
            last = c;
        }
        if (at == n) sum += product;
    }
    return -log(sum);
}

/* Every target, for every number of steps. */
static void ctc_against_all_ways(void)
{
    static const int32_t targets[][2] = {{1, 1}, {1, 2}, {2, 1}, {2, 2}};
    double p[T * C];
    for (int row = 0; row < 4 * 3 * (T + 1); row++) {
        const int32_t *target = targets[row % 4], n = row / 4 % 3, steps = row / 12;
        wg_tensor logits = wg_normal(tape, WG_F64, WG_DIMS(T, 1, C), 0, 1), probs = wg_softmax(logits, -1);
        wg_tensor loss = wg_ctc_loss(wg_log(probs), wg_data(tape, WG_I32, WG_DIMS(1, 2), target),
                                     wg_data(tape, WG_I32, WG_DIMS(1), &steps),
                                     wg_data(tape, WG_I32, WG_DIMS(1), &n), 0, WG_SUM);
        wg_tensor g = wg_grad1(loss, logits, WG_NONE);
        assert_int_equal(wg_read(probs, p, sizeof p), WG_OK);
        const double expected = ctc_by_hand(p, target, n, steps, 0), have = wg_item(loss);
        if (!(isinf(expected) ? have == expected : fabs(have - expected) < 1e-12)) {
            FAIL("target %d %d of length %d in %d steps: %g, should be %g", target[0], target[1], n, steps, have,
                 expected);
        }
        for (int i = 0; i < T * C; i++) {
            const bool none = isinf(expected) || i >= steps * C;
            assert_true(isfinite(value_at(g, i)) && (!none || value_at(g, i) == 0));
        }
        assert_int_equal(wg_tape_reset(tape), WG_OK);
    }
}

/* Values past the lengths, and probabilities of zero, cause no NaN. */
static void ctc_corners(void)
{
    const double half = log(0.5), inf = INFINITY;
    /* B = 2: the first has 2 steps, the second 3; class 2 is impossible in the second. */
    const double rows[T][2][C] = {{{half, half, -inf}, {half, half, -inf}},
                                  {{half, half, -inf}, {half, half, -inf}},
                                  {{NAN, inf, -inf}, {half, half, -inf}},
                                  {{NAN, NAN, NAN}, {NAN, inf, -inf}}};
    const int32_t labels[2][3] = {{1, -7, 99}, {1, 99, -1}}, steps[2] = {2, 3}, sizes[2] = {1, 1};
    const int32_t impossible[2][3] = {{2, 1, 1}, {1, 2, 1}}, long_sizes[2] = {4, -1},
                  wrong[2][3] = {{1, 1, 1}, {7, 1, 1}};
    for (int round = 0; round < 4; round++) {
        wg_tensor log_probs = wg_data(tape, WG_F64, WG_DIMS(T, 2, C), rows);
        wg_tensor target = wg_data(tape, WG_I32, WG_DIMS(2, 3),
                                   round == 1   ? impossible
                                   : round == 3 ? wrong
                                                : labels);
        wg_tensor in = wg_data(tape, WG_I32, WG_DIMS(2), steps);
        wg_tensor size = wg_data(tape, WG_I32, WG_DIMS(2), round == 2 ? long_sizes : sizes);
        if (round == 2) target = wg_ones(tape, WG_I32, WG_DIMS(2, 3));
        wg_tensor loss = wg_ctc_loss(log_probs, target, in, size, 0, WG_REDUCE_NONE),
                  g = wg_grad1(loss, log_probs, WG_NONE);
        if (round == 3) {
            assert_int_equal(wg_eval(&loss, 1), WG_ERR_INDEX);
            assert_int_equal(wg_tape_reset(tape), WG_ERR_INDEX);
            assert_non_null(strstr(wg_tape_message(tape), "7"));
            continue;
        }
        assert_int_equal(wg_eval((wg_tensor[]){loss, g}, 2), WG_OK);
        /* Three of the four paths of two steps read as 1, and six of the eight paths of three steps. */
        const double expected[3][2] = {{-log(3.0 / 4), -log(6.0 / 8)}, {inf, -log(6.0 / 8)}, {inf, inf}};
        for (int b = 0; b < 2; b++) {
            const double have = value_at(loss, b);
            assert_true(isinf(expected[round][b]) ? have == inf : fabs(have - expected[round][b]) < 1e-12);
        }
        double sum = 0;
        for (int i = 0; i < T * 2 * C; i++) {
            assert_true(isfinite(value_at(g, i)));
            sum += value_at(g, i);
        }
        /* At each step of a possible sequence the shares of the paths sum to 1. */
        assert_true(fabs(sum + (round == 0 ? 5 : round == 1 ? 3 : 0)) < 1e-12);
        assert_int_equal(wg_tape_reset(tape), WG_OK);
    }
}

/* Twice such a length may wrap around to a valid one in 32 bits. */
static void ctc_lengths_out_of_range(void)
{
    enum { N = 6 };
    const int32_t sizes[N] = {3, -1, INT32_MAX, INT32_MIN, INT32_MIN + 1, 1 << 30};
    const int32_t steps[N] = {4, 4, 4, 4, 4, 4};
    wg_tensor log_probs = wg_log_softmax(wg_zeros(tape, WG_F64, WG_DIMS(4, N, C)), -1);
    wg_tensor loss =
        wg_ctc_loss(log_probs, wg_ones(tape, WG_I32, WG_DIMS(N, 2)), wg_data(tape, WG_I32, WG_DIMS(N), steps),
                    wg_data(tape, WG_I32, WG_DIMS(N), sizes), 0, WG_REDUCE_NONE);
    for (int b = 0; b < N; b++) assert_true(value_at(loss, b) == INFINITY);
    assert_int_equal(wg_tape_reset(tape), WG_OK);
}

/* ---- norms as layers ---- */

typedef struct stack {
    wg_batch_norm_layer batch;
    wg_rms_norm_layer rms;
    double x[6 * 3];
} stack;

static wg_tensor stack_loss(void *context, wg_tape *on, wg_params *set)
{
    stack *s = context;
    wg_tensor y =
        wg_rms_norm_apply(&s->rms, wg_batch_norm_apply(&s->batch, wg_data(on, WG_F64, WG_DIMS(6, 3), s->x)));
    return wg_sum_all(wg_mul(y, wg_sin(wg_reshape(wg_arange(on, WG_F64, 0, 1, 18), WG_DIMS(6, 3)))));
}

static void layers(void)
{
    stack s;
    wg_params *set = wg_params_new(WG_F64), *single = wg_params_new(WG_F32);
    for (int i = 0; i < 18; i++) s.x[i] = sin(3 * i) + i % 3;
    assert_int_equal(wg_batch_norm_init(&s.batch, set, "bn", 3), WG_OK);
    assert_int_equal(wg_rms_norm_init(&s.rms, set, "rms", 3), WG_OK);
    assert_true(s.rms.epsilon == DBL_EPSILON && s.batch.momentum == 0.1 && s.batch.epsilon == 1e-5);
    static const char *const names[] = {
        "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var", "bn.num_batches_tracked", "rms.weight"};
    static const double first[] = {1, 0, 0, 1, 0, 1};
    assert_int_equal(wg_params_count(set), 6);
    for (int i = 0; i < 6; i++) {
        wg_param *param = wg_param_find(set, names[i]);
        assert_true(param && *(const double *)wg_param_value(param) == first[i]);
        assert_int_equal(wg_param_is_buffer(param), i >= 2 && i <= 4);
    }
    assert_int_equal(wg_param_shape(s.batch.num_batches_tracked).rank, 0);

    wg_gradcheck_options options = wg_gradcheck_defaults();
    options.second_order = true;
    for (int training = 1; training >= 0; training--) {
        wg_set_training(tape, training);
        wg_verdict v = wg_gradcheck(tape, set, stack_loss, &s, options);
        if (!v.ok || v.checks == 0) FAIL("training %d: %s", training, v.text);
    }
    /* Evaluation does not change the statistics. A layer without weight and bias. */
    s.batch.weight = s.batch.bias = NULL;
    s.rms.weight = NULL;
    const uint64_t version = wg_param_version(s.batch.running_var);
    assert_true(isfinite(wg_item(stack_loss(&s, tape, set))));
    assert_int_equal(wg_tape_reset(tape), WG_OK);
    assert_true(wg_param_version(s.batch.running_var) == version);
    wg_set_training(tape, true);
    assert_true(isfinite(wg_item(stack_loss(&s, tape, set))));
    assert_int_equal(wg_tape_reset(tape), WG_OK);
    assert_true(wg_param_version(s.batch.running_var) > version);
    assert_true(*(const double *)wg_param_value(s.batch.num_batches_tracked) == 1);

    /* A run that fails does not change the statistics. */
    wg_tensor one = wg_batch_norm_apply(&s.batch, wg_ones(tape, WG_F64, WG_DIMS(1, 3)));
    fails(one, WG_ERR_SHAPE, "batch_norm_train: [1, 3]: a batch needs more than one value per channel");
    assert_true(*(const double *)wg_param_value(s.batch.num_batches_tracked) == 1);
    wg_set_training(tape, false);
    assert_true(isfinite(wg_item(wg_sum_all(wg_batch_norm_apply(&s.batch, wg_ones(tape, WG_F64, WG_DIMS(1, 3)))))));
    fails(wg_batch_norm_apply(&s.batch, wg_ones(tape, WG_F64, WG_DIMS(2, 4))), WG_ERR_SHAPE, "batch_norm: [2, 4]");
    wg_set_training(tape, true);
    assert_true(wg_is_nil(wg_batch_norm_apply(&s.batch, WG_NONE)) && wg_is_nil(wg_rms_norm_apply(&s.rms, WG_NONE)));
    assert_int_equal(wg_batch_norm_init(&s.batch, set, "bn", 3), WG_ERR_ARGUMENT); /* the names are taken */
    assert_int_equal(wg_rms_norm_init(&s.rms, single, "rms", 3), WG_OK);
    assert_true(s.rms.epsilon == FLT_EPSILON);
    wg_params_free(set);
    wg_params_free(single);
}

/* ---- scans ---- */

/* The gradient of an element by the scan up to it is not lost if it is infinite: PyTorch's, where there are no ties. */
static void scans_of_infinities(void)
{
    static const struct {
        wg_tensor (*scan)(wg_tensor x, int axis);
        double x[5], gradient[5]; /* of the sum */
    } rows[] = {{wg_cummax, {-INFINITY, 1, 2, 0, 3}, {1, 1, 2, 0, 1}},
                {wg_cummax, {-INFINITY, -INFINITY, 1, 2, 3}, {1.5, 0.5, 1, 1, 1}},
                {wg_cummin, {INFINITY, 1, 0, 2, 3}, {1, 1, 3, 0, 0}},
                {wg_cummin, {1, INFINITY, 0, -INFINITY, 3}, {2, 0, 1, 2, 0}},
                {wg_logcumsumexp, {-INFINITY, 0, -INFINITY, -INFINITY, -INFINITY}, {1, 4, 0, 0, 0}},
                {wg_cumprod, {0, 2, 3, 1, 1}, {21, 0, 0, 0, 0}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_tensor in = wg_data(tape, WG_F64, WG_DIMS(5), rows[i].x),
                  dx = wg_grad1(rows[i].scan(in, 0), in, WG_NONE);
        for (int k = 0; k < 5; k++)
            if (value_at(dx, k) != rows[i].gradient[k])
                FAIL("row %zu: [%d] is %g, not %g", i, k, value_at(dx, k), rows[i].gradient[k]);
        well();
    }
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        ON_TAPE(einsum_against_loop),
        ON_TAPE(multiplicative_module),
        ON_TAPE(ellipsis),
        ON_TAPE(einsum_refuses),
        ON_TAPE(straight_through),
        ON_TAPE(hardmax),
        ON_TAPE(gumbel),
        ON_TAPE(ctc_against_all_ways),
        ON_TAPE(ctc_corners),
        ON_TAPE(ctc_lengths_out_of_range),
        ON_TAPE(layers),
        ON_TAPE(scans_of_infinities),
    };
    return RUN_TESTS(tests);
}
