/* Recurrent cells: equivalent forms of a cell give the same numbers; states; which inputs an output depends on. (Cells
 * with gates: test_gates. Gradients through time: test_bptt. Gradient checks of every cell, lengths, carried states:
 * test_layers. Against PyTorch: test_golden.) */
#include "recurrent.h"

enum { OUT = 4 };

/* ---- Elman ---- */

static wg_tensor softmax_last(wg_tensor x) { return wg_softmax(x, -1); }
static wg_tensor identity(wg_tensor x) { return x; }

typedef struct headed {
    wg_rnn rnn;
    wg_linear_layer head;
    wg_tensor (*output)(wg_tensor);
} headed;

static wg_tensor headed_loss(void *context, wg_tape *tape, wg_params *set)
{
    const headed *m = context;
    wg_tensor h[T];
    run_rnn(&m->rnn, tape, h);
    for (int t = 0; t < T; t++) h[t] = m->output(wg_linear_apply(&m->head, h[t]));
    return weigh_all(h, T);
}

static void elman_with_linear_sigmoid_and_softmax_heads(void)
{
    wg_tensor (*const outputs[])(wg_tensor) = {identity, wg_sigmoid, softmax_last};
    for (int i = 0; i < 6; i++) {
        wg_params *set = wg_params_new(WG_F64);
        wg_linear_options linear = wg_linear_defaults();
        linear.bias = i < 3;
        headed m = {.rnn = new_rnn(set, WG_RNN_TANH, linear.bias ? WG_RNN_BIAS_ONE : WG_RNN_BIAS_NONE),
                    .output = outputs[i % 3]};
        CHECK(wg_linear_init(&m.head, set, "head", H, OUT, linear) == WG_OK);
        CHECK(wg_params_trainable(set) == IN * H + H * H + H * OUT + (linear.bias ? H + OUT : 0));
        gradcheck(set, headed_loss, &m, false);
        wg_params_free(set);
    }
}

/* Elman 1990, figure 2: context units copy the values of the hidden units; that edge has no weight. */
static void elman_by_context_units_is_the_same_network(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_rnn rnn = new_rnn(set, WG_RNN_TANH, WG_RNN_BIAS_ONE);
    wg_tensor h[T], hidden[T], context = wg_zeros(tape, WG_F64, WG_DIMS(B, H));
    run_rnn(&rnn, tape, h);
    for (int t = 0; t < T; t++) {
        wg_tensor in =
            wg_linear(input_at(tape, t), wg_use(tape, rnn.cell[0].weight_ih), wg_use(tape, rnn.cell[0].bias_ih));
        hidden[t] = wg_tanh(wg_add(in, wg_linear(context, wg_use(tape, rnn.cell[0].weight_hh), WG_NONE)));
        context = wg_add_scalar(hidden[t], 0); /* the copy */
        CHECK(tensor_distance(hidden[t], h[t]) == 0);
        const double *j = wg_value(wg_jacobian(context, hidden[t]));
        for (int i = 0; i < B * H * B * H; i++) CHECK(j[i] == (i / (B * H) == i % (B * H)));
    }
    CHECK(wg_params_trainable(set) == (IN + H) * H + H); /* the copy has no weight */
    wg_tape_free(tape);
    wg_params_free(set);
}

static void stacked_weights_are_the_split_ones(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_rnn rnn = new_rnn(set, WG_RNN_TANH, WG_RNN_BIAS_ONE);
    wg_tensor split[T], stacked[T], h = wg_zeros(tape, WG_F64, WG_DIMS(B, H));
    wg_tensor hh = wg_use(tape, rnn.cell[0].weight_hh), ih = wg_use(tape, rnn.cell[0].weight_ih);
    wg_tensor W = wg_concat((wg_tensor[]){hh, ih}, 2, 1), b = wg_use(tape, rnn.cell[0].bias_ih);
    run_rnn(&rnn, tape, split);
    for (int t = 0; t < T; t++)
        stacked[t] = h = wg_tanh(wg_linear(wg_concat((wg_tensor[]){h, input_at(tape, t)}, 2, 1), W, b));
    wg_tensor p[3] = {hh, ih, b}, by_split[3], by_stacked[3], dW;
    wg_tensor loss = weigh_all(stacked, T);
    wg_grad(weigh_all(split, T), p, 3, WG_NONE, by_split);
    wg_grad(loss, p, 3, WG_NONE, by_stacked);
    dW = wg_grad1(loss, W, WG_NONE);
    for (int t = 0; t < T; t++) CHECK(tensor_distance(split[t], stacked[t]) < 1e-15);
    for (int i = 0; i < 3; i++) CHECK(tensor_distance(by_split[i], by_stacked[i]) < 1e-14);
    CHECK(tensor_distance(wg_slice(dW, 1, 0, H), by_split[0]) < 1e-14);
    CHECK(tensor_distance(wg_slice(dW, 1, H, H + IN), by_split[1]) < 1e-14);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* ---- Jordan ---- */

static wg_tensor jordan_loss(void *context, wg_tape *tape, wg_params *set)
{
    const wg_jordan *m = context;
    wg_tensor y[T], last = wg_jordan_initial(m, tape, B);
    for (int t = 0; t < T; t++) y[t] = last = wg_jordan_step(m, input_at(tape, t), last);
    return weigh_all(y, T);
}

static void jordan_feeds_back_its_output(void)
{
    for (int i = 0; i < 4; i++) {
        wg_params *set = wg_params_new(WG_F64);
        wg_jordan m;
        wg_jordan_options o = wg_jordan_defaults();
        const wg_init start = wg_init_uniform(-1, 1);
        o.bias = (i & 1) == 0;
        o.learned_output = i >= 2;
        o.y_init = &start;
        if (i != 1) o.output = softmax_last;
        if (i == 3) o.hidden = wg_sigmoid;
        CHECK(wg_jordan_init(&m, set, "jordan", IN, H, OUT, o) == WG_OK);
        CHECK(wg_param_shape(wg_param_find(set, "jordan.weight_yh")).size[1] == OUT);
        CHECK(wg_params_trainable(set) ==
              H * IN + 2 * H * OUT + (o.bias ? H + OUT : 0) + (o.learned_output ? OUT : 0));
        gradcheck(set, jordan_loss, &m, false);
        wg_params_free(set);
    }
    wg_params *set = wg_params_new(WG_F32);
    wg_jordan m;
    CHECK(wg_jordan_init(&m, set, "jordan", IN, 0, OUT, wg_jordan_defaults()) == WG_ERR_ARGUMENT && !m.weight_ih);
    CHECK(strstr(wg_params_message(set), "jordan jordan: input, hidden and output sizes must be at least 1"));
    wg_params_free(set);
}

/* Against a plain loop over the formulas, from a given y_0. */
static void jordan_by_hand(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_jordan m;
    wg_jordan_options o = wg_jordan_defaults();
    o.output = softmax_last;
    CHECK(wg_jordan_init(&m, set, "", IN, H, OUT, o) == WG_OK);
    const double *wi = wg_param_value(m.weight_ih), *wy = wg_param_value(m.weight_yh),
                 *wo = wg_param_value(m.weight_hy);
    const double *bh = wg_param_value(m.bias_h), *by = wg_param_value(m.bias_y);
    double y0[B][OUT], y[B][OUT], x[B][IN];
    fill(&y0[0][0], B * OUT, 31);
    memcpy(y, y0, sizeof y);
    wg_tensor got = wg_data(tape, WG_F64, WG_DIMS(B, OUT), y0), from_zeros = wg_jordan_initial(&m, tape, B);
    for (int t = 0; t < 3; t++) {
        fill(&x[0][0], B * IN, 100 + (unsigned)t);
        for (int b = 0; b < B; b++) {
            double h[H], out[OUT], sum = 0;
            for (int i = 0; i < H; i++) {
                h[i] = bh[i];
                for (int k = 0; k < IN; k++) h[i] += wi[i * IN + k] * x[b][k];
                for (int k = 0; k < OUT; k++) h[i] += wy[i * OUT + k] * y[b][k];
                h[i] = tanh(h[i]);
            }
            for (int i = 0; i < OUT; i++) {
                out[i] = by[i];
                for (int k = 0; k < H; k++) out[i] += wo[i * H + k] * h[k];
                sum += out[i] = exp(out[i]);
            }
            for (int i = 0; i < OUT; i++) y[b][i] = out[i] / sum;
        }
        got = wg_jordan_step(&m, input_at(tape, t), got);
        from_zeros = wg_jordan_step(&m, input_at(tape, t), from_zeros);
        const double *have = wg_value(got);
        CHECK(have && distance(have, &y[0][0], B * OUT) < 1e-14);
        CHECK(tensor_distance(got, from_zeros) > 1e-4); /* y_0 matters */
    }
    wg_tape_free(tape);
    wg_params_free(set);
}

/* ---- states ---- */

/* Initial states: zeros, given, learned; gradients flow to the last two. */
static void initial_states_zero_given_learned(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_rnn rnn;
    wg_rnn_options o = wg_rnn_defaults();
    o.cell = WG_LSTM;
    o.learned_state = true;
    CHECK(wg_rnn_init(&rnn, set, "rnn", IN, H, o) == WG_OK);
    double h0[H] = {0.3, -0.2, 0.7}, c0[H] = {-0.5, 0.4, 0.1}, repeated[2][B][H];
    wg_tensor first[2], last[2][T];
    for (int b = 0; b < B; b++) {
        memcpy(repeated[0][b], h0, sizeof h0);
        memcpy(repeated[1][b], c0, sizeof c0);
    }
    set_param(rnn.cell[0].h0, h0);
    set_param(rnn.cell[0].c0, c0);
    for (int given = 0; given < 2; given++) {
        for (int k = 0; k < 2; k++) first[k] = wg_data(tape, WG_F64, WG_DIMS(B, H), repeated[k]);
        wg_rnn_state state = wg_rnn_initial_state(&rnn, tape, B);
        if (given) state.h[0] = first[0], state.c[0] = first[1];
        for (int t = 0; t < T; t++) last[given][t] = wg_rnn_step(&rnn, input_at(tape, t), &state);
    }
    for (int t = 0; t < T; t++) CHECK(tensor_distance(last[0][t], last[1][t]) == 0);
    wg_tensor d_given[2];
    wg_grad(weigh_all(last[1], T), first, 2, WG_NONE, d_given);
    wg_tensor sums[2] = {wg_keep(wg_sum(d_given[0], WG_AXES(0), false)),
                         wg_keep(wg_sum(d_given[1], WG_AXES(0), false))};
    CHECK(wg_backward(weigh_all(last[0], T)) == WG_OK);
    const double *dh = wg_value(sums[0]), *dc = wg_value(sums[1]);
    for (int i = 0; i < H; i++) {
        CHECK(fabs(dh[i] - grad_at(rnn.cell[0].h0, i)) < 1e-14 && fabs(dh[i]) > 1e-4);
        CHECK(fabs(dc[i] - grad_at(rnn.cell[0].c0, i)) < 1e-14 && fabs(dc[i]) > 1e-4);
    }
    wg_rnn_state zeros = wg_rnn_zero_state(&rnn, tape, B);
    wg_tensor from_zeros = wg_rnn_step(&rnn, input_at(tape, 0), &zeros);
    CHECK(tensor_distance(from_zeros, last[0][0]) > 1e-3);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* h(t) = Enc(x(t)); z(t) = g(h(t), z(t-1), w); y(t) = Dec(z(t)), all written by the user. Enc is a convolution over a
 * small image, z is three tensors. */
typedef struct user {
    wg_param *filter, *encode, *recur, *mix, *decode;
} user;

static wg_tensor encode(const user *u, wg_tensor image)
{
    wg_tensor map = wg_conv2d(image, wg_use(image.tape, u->filter), WG_NONE, wg_conv_defaults()); /* [B, 2, 3, 2] */
    return wg_tanh(wg_linear(wg_flatten(wg_tanh(map), 1, 3), wg_use(image.tape, u->encode), WG_NONE));
}

static wg_tensor user_step(void *context, wg_tensor x, wg_tensor *state, int n)
{
    const user *u = context;
    wg_tensor h = encode(u, x), z = wg_linear(state[0], wg_use(x.tape, u->recur), WG_NONE);
    wg_tensor share = wg_sigmoid(wg_use(x.tape, u->mix));
    state[0] = wg_tanh(wg_add(h, wg_add(z, state[2])));
    state[1] = wg_lerp(state[1], state[0], share);                            /* a running mean */
    state[2] = wg_mul(wg_sum(state[1], WG_AXES(-1), true), wg_sin(state[2])); /* [B, H] again */
    return wg_linear(wg_concat(state, 2, -1), wg_use(x.tape, u->decode), WG_NONE);
}

static wg_tensor user_loss(void *context, wg_tape *tape, wg_params *set)
{
    wg_tensor x[T], y[T + 3], state[3];
    for (int t = 0; t < T; t++) x[t] = random_leaf(tape, WG_DIMS(B, 1, 4, 4), 20 + (unsigned)t);
    for (int k = 0; k < 3; k++) state[k] = random_leaf(tape, WG_DIMS(B, H), 40 + (unsigned)k);
    wg_unroll(user_step, context, x, T, state, 3, wg_unroll_defaults(), y);
    memcpy(y + T, state, sizeof state);
    return weigh_all(y, T + 3);
}

static void encoder_step_and_decoder_of_the_user(void)
{
    wg_params *set = wg_params_new(WG_F64);
    user u = {.filter = wg_param_new(set, "filter", WG_DIMS(2, 1, 2, 3), wg_init_glorot()),
              .encode = wg_param_new(set, "e", WG_DIMS(H, 12), wg_init_glorot()),
              .recur = wg_param_new(set, "w", WG_DIMS(H, H), wg_init_glorot()),
              .mix = wg_param_new(set, "mix", WG_DIMS(H), wg_init_uniform(-1, 1)),
              .decode = wg_param_new(set, "d", WG_DIMS(2, 2 * H), wg_init_glorot())};
    gradcheck(set, user_loss, &u, true);
    wg_params_free(set);
}

/* ---- dependence on inputs ---- */

/* depends[s][t]: a change of input t changes a bit of the output of step s. */
static void find_dependence(bool bidirectional, wg_cell cell, bool depends[T][T])
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_rnn rnn;
    wg_rnn_options o = wg_rnn_defaults();
    o.cell = cell;
    o.layers = 2;
    o.bidirectional = bidirectional;
    CHECK(wg_rnn_init(&rnn, set, "rnn", IN, H, o) == WG_OK);
    double kept[T][B * 2 * H];
    for (int changed = -1; changed < T; changed++) {
        wg_tensor x[T], y[T];
        for (int t = 0; t < T; t++)
            x[t] = t == changed ? wg_add_scalar(input_at(tape, t), 0.01) : input_at(tape, t);
        wg_rnn_state state = wg_rnn_zero_state(&rnn, tape, B);
        wg_rnn_unroll(&rnn, x, T, WG_NONE, &state, y);
        CHECK(wg_eval(y, T) == WG_OK);
        for (int s = 0; s < T; s++) {
            size_t bytes = (size_t)wg_numel(y[s]) * sizeof(double);
            if (changed < 0)
                memcpy(kept[s], wg_value(y[s]), bytes);
            else
                depends[s][changed] = memcmp(kept[s], wg_value(y[s]), bytes) != 0;
        }
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    wg_tape_free(tape);
    wg_params_free(set);
}

static void forward_is_causal_and_bidirectional_sees_all(void)
{
    for (int cell = WG_RNN_TANH; cell <= WG_GRU; cell++) {
        bool forward[T][T], both[T][T];
        if (cell == WG_RNN_RELU) continue; /* units at zero depend on nothing */
        find_dependence(false, (wg_cell)cell, forward);
        find_dependence(true, (wg_cell)cell, both);
        for (int s = 0; s < T; s++)
            for (int t = 0; t < T; t++) CHECK(forward[s][t] == (t <= s) && both[s][t]);
    }
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(elman_with_linear_sigmoid_and_softmax_heads),
                                 TEST_CASE(elman_by_context_units_is_the_same_network),
                                 TEST_CASE(stacked_weights_are_the_split_ones),
                                 TEST_CASE(jordan_feeds_back_its_output),
                                 TEST_CASE(jordan_by_hand),
                                 TEST_CASE(initial_states_zero_given_learned),
                                 TEST_CASE(encoder_step_and_decoder_of_the_user),
                                 TEST_CASE(forward_is_causal_and_bidirectional_sees_all)};
    return RUN_TESTS(tests);
}
