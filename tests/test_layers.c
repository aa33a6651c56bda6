/* Recurrent layers: gradient checks of every cell and form, steps against the unroll, padding, forms of the GRU against
 * a plain loop, carried states. (Names and simple layers: test_layer_names. Against PyTorch: test_golden.) */
#include "tensors.h"

enum { T = 4, B = 3, IN = 3, H = 4 };

typedef struct model {
    wg_rnn rnn;
    double x[T][B][IN];
    bool with_lengths, by_steps;
} model;

/* Every cell; the GRU in each of its forms. */
enum { KINDS = 6 };

static wg_rnn_options options_of(int kind)
{
    wg_rnn_options o = wg_rnn_defaults();
    o.cell = kind < 3 ? (wg_cell)kind : WG_GRU;
    o.gru = kind < 3 ? WG_GRU_RESET_AFTER : (wg_gru_form)(kind - 3);
    return o;
}

static const int32_t lengths_data[B] = {4, 2, 3};

/* The layer over T steps; out[T]. */
static wg_rnn_state run(model *m, wg_tape *tape, wg_tensor *out)
{
    wg_tensor x[T], lengths = m->with_lengths ? wg_data(tape, WG_I32, WG_DIMS(B), lengths_data) : WG_NONE;
    for (int t = 0; t < T; t++) x[t] = wg_cast(wg_data(tape, WG_F64, WG_DIMS(B, IN), m->x[t]), m->rnn.dtype);
    wg_rnn_state state = wg_rnn_initial_state(&m->rnn, tape, B);
    if (m->by_steps)
        for (int t = 0; t < T; t++) out[t] = wg_rnn_step(&m->rnn, x[t], &state);
    else
        wg_rnn_unroll(&m->rnn, x, T, lengths, &state, out);
    return state;
}

static wg_tensor loss_of(void *context, wg_tape *tape, wg_params *set)
{
    model *m = context;
    wg_tensor out[T], sums[T + 2];
    wg_rnn_state state = run(m, tape, out);
    for (int t = 0; t < T; t++) sums[t] = weigh(out[t], 77);
    sums[T] = weigh(state.h[0], 77);
    sums[T + 1] = m->rnn.options.cell == WG_LSTM ? weigh(state.c[0], 77) : wg_scalar(tape, m->rnn.dtype, 0);
    return wg_add_n(sums, T + 2);
}

static void check_gradients(wg_rnn_options options, bool with_lengths, const char *text)
{
    static model m;
    m = (model){.with_lengths = with_lengths};
    fill(&m.x[0][0][0], T * B * IN, 5);
    wg_params *set = wg_params_new(WG_F64);
    CHECK(wg_rnn_init(&m.rnn, set, "rnn", IN, H, options) == WG_OK);
    if (!gradcheck_some(set, loss_of, &m, false, 6)) printf("    %s\n", text);
    wg_params_free(set);
}

static void test_gradients(void)
{
    for (int i = 0; i < KINDS * 3 * 2 * 2; i++) {
        const int kind = i % KINDS, bias = i / KINDS % 3, both = i / (3 * KINDS) % 2,
                  with_lengths = i / (6 * KINDS);
        wg_rnn_options o = options_of(kind);
        o.bias = (wg_rnn_bias)bias;
        o.bidirectional = both;
        o.layers = 1 + (kind + bias) % 2;
        o.learned_state = (i & 1) != 0;
        char text[128];
        snprintf(text, sizeof text, "cell %d, form %d, bias %d, directions %d, layers %d, learned %d, lengths %d",
                 o.cell, o.gru, bias, both + 1, o.layers, o.learned_state, with_lengths);
        check_gradients(o, with_lengths, text);
    }
}

/* The T outputs of a model as numbers; NaN everywhere on error. */
static void outputs(model *m, wg_tape *tape, void *numbers, size_t size)
{
    wg_tensor out[T];
    run(m, tape, out);
    wg_tensor all = wg_stack(out, T, 0);
    if (wg_read(all, numbers, size) != WG_OK) {
        FAIL("%s", wg_tape_message(tape));
        memset(numbers, 255, size);
    }
    CHECK(wg_tape_reset(tape) == WG_OK);
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

/* One layer in one direction by the formulas of nn.h, a plain loop over the sequence of one row of the batch. */
static void gru_by_hand(const wg_rnn *rnn, double (*x)[B][IN], int row, double (*out)[B][H])
{
    const double *wi = wg_param_value(rnn->cell[0].weight_ih), *wh = wg_param_value(rnn->cell[0].weight_hh);
    const double *bi = wg_param_value(rnn->cell[0].bias_ih), *bh = wg_param_value(rnn->cell[0].bias_hh);
    double h[H] = {0}, a[3 * H], u[3 * H], gated[H], next[H];
    for (int t = 0; t < T; t++) {
        for (int g = 0; g < 3 * H; g++) {
            a[g] = bi[g];
            u[g] = bh[g];
            for (int k = 0; k < IN; k++) a[g] += wi[g * IN + k] * x[t][row][k];
            for (int k = 0; k < H; k++) u[g] += wh[g * H + k] * h[k];
        }
        for (int j = 0; j < H; j++) gated[j] = sigmoid(a[j] + u[j]) * h[j];
        for (int j = 0; j < H; j++) {
            double r = sigmoid(a[j] + u[j]), z = sigmoid(a[H + j] + u[H + j]), inner = bh[2 * H + j];
            for (int k = 0; k < H; k++) inner += wh[(2 * H + j) * H + k] * gated[k];
            if (rnn->options.gru == WG_GRU_RESET_AFTER) inner = r * u[2 * H + j];
            double n = tanh(a[2 * H + j] + inner);
            bool swapped = rnn->options.gru == WG_GRU_RESET_BEFORE_UPDATE;
            next[j] = swapped ? z * n + (1 - z) * h[j] : (1 - z) * n + z * h[j];
        }
        memcpy(h, next, sizeof h);
        memcpy(out[t][row], h, sizeof h);
    }
}

static void test_gru_forms(void)
{
    for (int form = 0; form < 3; form++) {
        wg_params *set = wg_params_new(WG_F64);
        wg_tape *tape = new_tape();
        model m = {.by_steps = form == 1};
        fill(&m.x[0][0][0], T * B * IN, 6);
        CHECK(wg_rnn_init(&m.rnn, set, "gru", IN, H, options_of(KINDS - 3 + form)) == WG_OK);
        double have[T][B][H], want[T][B][H];
        outputs(&m, tape, &have[0][0][0], sizeof have);
        for (int row = 0; row < B; row++) gru_by_hand(&m.rnn, m.x, row, want);
        double worst = 0;
        for (int i = 0; i < T * B * H; i++) worst = fmax(worst, fabs((&have[0][0][0])[i] - (&want[0][0][0])[i]));
        CHECK(worst < 1e-14);
        wg_tape_free(tape);
        wg_params_free(set);
    }
}

/* Writes the gradients of all parameters, in order, as f64; returns their number. */
static size_t gradients(model *m, wg_tape *tape, wg_params *set, double *numbers, size_t room)
{
    wg_zero_grad(set);
    CHECK(wg_backward(loss_of(m, tape, set)) == WG_OK && wg_tape_reset(tape) == WG_OK);
    size_t n = 0;
    for (size_t i = 0; i < wg_params_count(set); i++) {
        const wg_param *param = wg_params_at(set, i);
        const void *g = wg_param_grad(param);
        for (int64_t k = 0; k < wg_param_numel(param) && n < room; k++)
            numbers[n++] = wg_params_dtype(set) == WG_F64 ? ((const double *)g)[k] : ((const float *)g)[k];
    }
    return n;
}

/* Single steps equal the unroll: outputs in every bit, gradients up to the order of additions. */
static void test_steps(void)
{
    enum { ROOM = 2000 };
    static double by_steps[ROOM], unrolled[ROOM];
    for (int i = 0; i < 2 * KINDS; i++) {
        const bool f64 = i >= KINDS;
        wg_params *set = wg_params_new(f64 ? WG_F64 : WG_F32);
        wg_tape *tape = new_tape();
        model m = {.by_steps = true};
        fill(&m.x[0][0][0], T * B * IN, 6);
        wg_rnn_options o = options_of(i % KINDS);
        o.layers = 2;
        o.learned_state = true;
        CHECK(wg_rnn_init(&m.rnn, set, "rnn", IN, H, o) == WG_OK);
        unsigned char out[2][T * B * H * 8];
        const size_t bytes = T * B * H * wg_dtype_size(m.rnn.dtype);
        outputs(&m, tape, out[0], bytes);
        const size_t n = gradients(&m, tape, set, by_steps, ROOM);
        m.by_steps = false;
        outputs(&m, tape, out[1], bytes);
        CHECK(gradients(&m, tape, set, unrolled, ROOM) == n && n < ROOM);
        CHECK(memcmp(out[0], out[1], bytes) == 0);
        double worst = 0, largest = 0;
        for (size_t k = 0; k < n; k++) {
            worst = fmax(worst, fabs(by_steps[k] - unrolled[k]));
            largest = fmax(largest, fabs(unrolled[k]));
        }
        CHECK(worst <= (f64 ? 1e-14 : 1e-6) * largest && largest > 0.1);
        wg_tape_free(tape);
        wg_params_free(set);
    }
}

/* The number of operands that the last plan packs. (A product that reads one prints ", packed,".) */
static int count_packs(const wg_tape *tape) { return count_dumped(wg_dump_plan, tape, " packed "); }

/* Each step of a GRU that resets before the product takes new views of its weights: they are still packed once. */
static void test_packs(void)
{
    enum { STEPS = 5, BATCH = 16, SIZE = 32 };
    for (int form = 0; form < 3; form++) {
        int packs[2];
        for (int by_steps = 0; by_steps < 2; by_steps++) {
            wg_params *set = wg_params_new(WG_F32);
            wg_tape *tape = new_tape();
            wg_rnn rnn;
            CHECK(wg_rnn_init(&rnn, set, "gru", SIZE, SIZE, options_of(KINDS - 3 + form)) == WG_OK);
            wg_tensor x[STEPS], out[STEPS];
            for (int t = 0; t < STEPS; t++) x[t] = wg_uniform(tape, WG_F32, WG_DIMS(BATCH, SIZE), -1, 1);
            wg_rnn_state state = wg_rnn_zero_state(&rnn, tape, BATCH);
            for (int t = 0; t < STEPS && by_steps; t++) out[t] = wg_rnn_step(&rnn, x[t], &state);
            if (!by_steps) wg_rnn_unroll(&rnn, x, STEPS, WG_NONE, &state, out);
            CHECK(wg_backward(wg_sum_all(wg_square(wg_stack(out, STEPS, 0)))) == WG_OK);
            packs[by_steps] = count_packs(tape);
            wg_tape_free(tape);
            wg_params_free(set);
        }
        /* weight_ih; weight_hh, in two parts if the reset is before the product; forward and backward */
        CHECK(packs[0] == packs[1] && packs[0] <= (form ? 5 : 3));
    }
}

/* A user's cell with states of ranks 3 and 1: running sums of x, and of the sum of its elements. */
static wg_tensor running_sums(void *context, wg_tensor x, wg_tensor *state, int n)
{
    state[1] = wg_add(state[1], wg_sum(x, WG_AXES(1, 2), false));
    return state[0] = wg_add(state[0], x);
}

static void test_unroll(void)
{
    enum { STEPS = 3, BATCH = 2 };
    const int32_t lengths[BATCH] = {3, 1};
    const double want[2][STEPS][BATCH] = {{{1, 1}, {3, 0}, {6, 0}}, {{6, 1}, {5, 0}, {3, 0}}}; /* [reverse] */
    wg_tape *tape = new_tape();
    for (int reverse = 0; reverse < 2; reverse++) {
        wg_unroll_options o = wg_unroll_defaults();
        CHECK(!o.reverse && wg_is_nil(o.lengths));
        o.reverse = reverse;
        o.lengths = wg_data(tape, WG_I32, WG_DIMS(BATCH), lengths);
        wg_tensor x[STEPS], state[2];
        for (int t = 0; t < STEPS; t++) x[t] = wg_full(tape, WG_F64, WG_DIMS(BATCH, 2, 3), t + 1);
        state[0] = wg_zeros(tape, WG_F64, WG_DIMS(BATCH, 2, 3));
        state[1] = wg_zeros(tape, WG_F64, WG_DIMS(BATCH));
        wg_unroll(running_sums, NULL, x, STEPS, state, 2, o, x); /* out may be x */
        double last[BATCH][6], sums[BATCH], out[BATCH][6];
        CHECK(wg_read(state[0], last, sizeof last) == WG_OK && wg_read(state[1], sums, sizeof sums) == WG_OK);
        CHECK(last[0][0] == 6 && last[1][5] == 1 && sums[0] == 36 && sums[1] == 6);
        for (int t = 0; t < STEPS; t++) {
            CHECK(wg_read(x[t], out, sizeof out) == WG_OK);
            CHECK(out[0][5] == want[reverse][t][0] && out[1][0] == want[reverse][t][1]);
        }
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    wg_tape_free(tape);
}

/* Invalid calls leave an error on the tape, and nil outputs. */
static void test_refused(void)
{
    wg_params *set = wg_params_new(WG_F32);
    wg_tape *tape = new_tape();
    wg_rnn both, none = {0};
    wg_rnn_options o = wg_rnn_defaults();
    o.bidirectional = true;
    CHECK(wg_rnn_init(&both, set, "both", IN, H, o) == WG_OK);
    wg_rnn_state state = wg_rnn_zero_state(&both, tape, B);
    wg_tensor x[2] = {wg_zeros(tape, WG_F32, WG_DIMS(B, IN)), wg_zeros(tape, WG_F32, WG_DIMS(B, IN))},
              out[2] = {x[0]};
    CHECK(wg_is_nil(wg_rnn_step(&both, x[0], &state)));
    CHECK(strstr(wg_tape_message(tape), "2 directions: use wg_rnn_unroll") &&
          wg_tape_reset(tape) == WG_ERR_ARGUMENT);
    x[0] = wg_zeros(tape, WG_F32, WG_DIMS(B, IN));
    EXPECT_TAPE(wg_rnn_step(&none, x[0], &state), "rnn_step: the layer was not initialized");
    for (int which = 0; which < 2; which++) {
        x[0] = x[1] = out[0] = out[1] = wg_zeros(tape, WG_F32, WG_DIMS(B, IN));
        if (which)
            wg_rnn_unroll(&none, x, 2, WG_NONE, &state, out);
        else
            wg_unroll(running_sums, NULL, x, 2, out, WG_UNROLL_MAX_STATE + 1, wg_unroll_defaults(), out);
        CHECK(wg_is_nil(out[0]) && wg_is_nil(out[1]));
        CHECK(strstr(wg_tape_message(tape), which ? "was not initialized" : "at most 8"));
        CHECK(wg_tape_reset(tape) == WG_ERR_ARGUMENT);
    }
    o.bidirectional = false;
    o.cell = (wg_cell)9;
    CHECK(wg_rnn_init(&both, set, "odd", IN, H, o) == WG_ERR_ARGUMENT && both.directions == 0);
    wg_params_clear_error(set);
    o.cell = WG_GRU;
    o.forget_bias = 1;
    CHECK(wg_rnn_init(&both, set, "odd", IN, H, o) == WG_ERR_ARGUMENT);
    CHECK(strstr(wg_params_message(set), "rnn odd: forget_bias must be finite and needs an LSTM with biases"));
    wg_params_clear_error(set);
    o = wg_rnn_defaults();
    o.dropout = 1;
    CHECK(wg_rnn_init(&both, set, "odd", IN, H, o) == WG_ERR_ARGUMENT && !wg_param_find(set, "odd.weight_ih_l0"));
    wg_tape_free(tape);
    wg_params_free(set);
}

/* A sequence longer than the array that unroll has on the stack. */
static void test_long(void)
{
    enum { STEPS = 600 };
    static wg_tensor x[STEPS], out[STEPS];
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_rnn rnn;
    wg_rnn_options o = wg_rnn_defaults();
    o.bidirectional = true;
    CHECK(wg_rnn_init(&rnn, set, "rnn", 1, 1, o) == WG_OK);
    for (int t = 0; t < STEPS; t++) x[t] = wg_full(tape, WG_F64, WG_DIMS(1, 1), 0.5);
    wg_rnn_state state = wg_rnn_zero_state(&rnn, tape, 1);
    wg_rnn_unroll(&rnn, x, STEPS, WG_NONE, &state, out);
    double first[2], last[2], h[2];
    CHECK(wg_read(out[0], first, sizeof first) == WG_OK && wg_read(out[STEPS - 1], last, sizeof last) == WG_OK);
    CHECK(wg_read(state.h[0], h, 8) == WG_OK && wg_read(state.h[1], h + 1, 8) == WG_OK);
    CHECK(last[0] == h[0] && first[1] == h[1] && first[0] != h[0]);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* Values in the padding, NaN included, change nothing. */
static void test_padding(void)
{
    for (int kind = 0; kind < KINDS; kind++) {
        wg_params *set = wg_params_new(WG_F64);
        wg_tape *tape = new_tape();
        model m = {.with_lengths = false};
        fill(&m.x[0][0][0], T * B * IN, 6);
        wg_rnn_options o = options_of(kind);
        o.layers = 2;
        CHECK(wg_rnn_init(&m.rnn, set, "rnn", IN, H, o) == WG_OK);
        double unrolled[T][B][H], padded[T][B][H], clean[T][B][H];
        outputs(&m, tape, &unrolled[0][0][0], sizeof unrolled);
        m.with_lengths = true;
        outputs(&m, tape, &clean[0][0][0], sizeof clean);
        CHECK(wg_backward(loss_of(&m, tape, set)) == WG_OK);
        size_t bytes = (size_t)wg_param_numel(m.rnn.cell[0].weight_ih) * 8;
        double *gradient = malloc(bytes);
        memcpy(gradient, wg_param_grad(m.rnn.cell[0].weight_ih), bytes);
        CHECK(wg_tape_reset(tape) == WG_OK);
        for (int t = 0; t < T; t++)
            for (int b = 0; b < B; b++)
                if (t >= lengths_data[b]) m.x[t][b][0] = NAN;
        outputs(&m, tape, &padded[0][0][0], sizeof padded);
        CHECK(memcmp(clean, padded, sizeof clean) == 0);
        for (int t = 0; t < T; t++)
            for (int b = 0; b < B; b++)
                for (int k = 0; k < H; k++)
                    CHECK(t < lengths_data[b] ? fabs(padded[t][b][k] - unrolled[t][b][k]) < 1e-15
                                              : padded[t][b][k] == 0);
        wg_zero_grad(set);
        CHECK(wg_backward(loss_of(&m, tape, set)) == WG_OK);
        CHECK(memcmp(gradient, wg_param_grad(m.rnn.cell[0].weight_ih), bytes) == 0);
        free(gradient);
        wg_tape_free(tape);
        wg_params_free(set);
    }
}

/* Steps with the state carried through buffers equal the whole sequence. */
static void test_carry(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    model m = {.by_steps = true};
    fill(&m.x[0][0][0], T * B * IN, 8);
    wg_rnn_options o = wg_rnn_defaults();
    o.cell = WG_LSTM;
    o.layers = 2;
    CHECK(wg_rnn_init(&m.rnn, set, "rnn", IN, H, o) == WG_OK);
    double whole[T][B][H], last[B][H];
    outputs(&m, tape, &whole[0][0][0], sizeof whole);
    wg_rnn_carry carry;
    CHECK(wg_rnn_carry_init(&carry, &m.rnn, set, "state", B) == WG_OK);
    CHECK(wg_param_find(set, "state.c_l1") == carry.c[1]);
    for (int round = 0; round < 2; round++) {
        for (int t = 0; t < T; t++) {
            wg_rnn_state state = wg_rnn_carry_begin(&carry, tape);
            wg_tensor y = wg_rnn_step(&m.rnn, wg_data(tape, WG_F64, WG_DIMS(B, IN), m.x[t]), &state);
            wg_rnn_carry_end(&carry, &state);
            CHECK(wg_read(y, last, sizeof last) == WG_OK);
            CHECK(memcmp(last, whole[t], sizeof last) == 0);
            CHECK(wg_tape_reset(tape) == WG_OK);
        }
        wg_rnn_carry_clear(&carry);
    }
    wg_tape_free(tape);
    wg_params_free(set);
}

/* A detached state has the same values; no gradient flows past it. */
static void test_detach(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    model m = {.by_steps = true};
    fill(&m.x[0][0][0], T * B * IN, 10);
    wg_rnn_options o = options_of(WG_LSTM);
    o.learned_state = true;
    o.forget_bias = 100;
    CHECK(wg_rnn_init(&m.rnn, set, "rnn", IN, H, o) == WG_OK);
    const double *bias = wg_param_value(m.rnn.cell[0].bias_ih);
    CHECK(bias[H - 1] < 1 && bias[H] > 99 && bias[2 * H - 1] > 99 && bias[2 * H] < 1);
    double value[2][B * H];
    for (int detached = 0; detached < 2; detached++) {
        wg_tensor out[T];
        wg_rnn_state state = run(&m, tape, out);
        if (detached) state = wg_rnn_detach_state(&m.rnn, &state);
        wg_tensor y = wg_keep(wg_rnn_step(&m.rnn, wg_data(tape, WG_F64, WG_DIMS(B, IN), m.x[0]), &state));
        wg_zero_grad(set);
        CHECK(wg_backward(weigh(y, 77)) == WG_OK && wg_read(y, value[detached], sizeof value[detached]) == WG_OK);
        const double *h0 = wg_param_grad(m.rnn.cell[0].h0), *c0 = wg_param_grad(m.rnn.cell[0].c0);
        CHECK((h0[0] == 0) == detached && (c0[0] == 0) == detached);
        CHECK(((const double *)wg_param_grad(m.rnn.cell[0].weight_ih))[0] != 0 && wg_tape_reset(tape) == WG_OK);
    }
    CHECK(memcmp(value[0], value[1], sizeof value[0]) == 0);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* Dropout between layers: none in evaluation, one mask per step number in training. */
static void test_dropout(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    model m = {.with_lengths = false};
    fill(&m.x[0][0][0], T * B * IN, 9);
    wg_rnn_options o = wg_rnn_defaults();
    o.layers = 2;
    o.dropout = 0.5;
    CHECK(wg_rnn_init(&m.rnn, set, "rnn", IN, H, o) == WG_OK);
    double train[3][T * B * H], eval[T * B * H], plain[T * B * H];
    for (int i = 0; i < 3; i++) {
        wg_set_step(tape, i == 2);
        outputs(&m, tape, train[i], sizeof train[i]);
    }
    CHECK(memcmp(train[0], train[1], sizeof plain) == 0 && memcmp(train[0], train[2], sizeof plain) != 0);
    wg_set_training(tape, false);
    outputs(&m, tape, eval, sizeof eval);
    m.rnn.options.dropout = 0;
    outputs(&m, tape, plain, sizeof plain);
    CHECK(memcmp(eval, plain, sizeof plain) == 0);
    wg_tape_free(tape);
    wg_params_free(set);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(test_gru_forms), TEST_CASE(test_steps),    TEST_CASE(test_packs),
                                 TEST_CASE(test_unroll),    TEST_CASE(test_refused),  TEST_CASE(test_long),
                                 TEST_CASE(test_padding),   TEST_CASE(test_carry),    TEST_CASE(test_detach),
                                 TEST_CASE(test_dropout),   TEST_CASE(test_gradients)};
    return RUN_TESTS(tests);
}
