/* Models over sequences, built of layers: five shapes of input and output from one cell, a classifier of one to three
 * layers that ignores padding, decoders with attention to an encoder, Keras' character model. (Layers: test_layers,
 * test_cells, test_attention_layers.) */
#include "tensors.h"

enum { B = 2, T = 3, S = 4, IN = 2, H = 3, OUT = 2 };

static wg_tensor input_at(wg_tape *tape, int t) { return random_leaf(tape, WG_DIMS(B, IN), 100 + (unsigned)t); }

/* ---- five shapes ---- */

typedef enum shape { ONE_ONE, ONE_MANY, MANY_ONE, ENCODER_DECODER, SYNCHRONOUS, SHAPES } shape;

typedef struct net {
    shape shape;
    wg_rnn cell, decoder; /* the decoder's input is its previous output */
    wg_linear_layer head;
} net;

/* Records the outputs of the net: 1, T (from T inputs or from one), or S. */
static int run_net(const net *m, wg_tape *tape, wg_tensor *y)
{
    wg_rnn_state state = wg_rnn_zero_state(&m->cell, tape, B);
    wg_tensor h = WG_NONE, said = wg_zeros(tape, WG_F64, WG_DIMS(B, OUT));
    int reads = m->shape <= ONE_MANY ? 1 : T, writes = m->shape == ONE_MANY          ? T
                                                       : m->shape == ENCODER_DECODER ? S
                                                                                     : 0;
    for (int t = 0; t < reads; t++) {
        h = wg_rnn_step(&m->cell, input_at(tape, t), &state);
        if (m->shape == SYNCHRONOUS) y[t] = wg_linear_apply(&m->head, h);
    }
    if (m->shape == SYNCHRONOUS) return T;
    if (m->shape == ONE_ONE || m->shape == MANY_ONE) {
        y[0] = wg_linear_apply(&m->head, h);
        return 1;
    }
    for (int t = 0; t < writes; t++) /* the last state of the encoder is the first of the decoder */
        y[t] = said = wg_linear_apply(&m->head, wg_rnn_step(&m->decoder, said, &state));
    return writes;
}

/* The sum of the losses of all outputs. */
static wg_tensor net_loss(void *context, wg_tape *tape, wg_params *set)
{
    const int32_t labels[S][B] = {{0, 1}, {1, 1}, {1, 0}, {0, 0}};
    wg_tensor y[S];
    int n = run_net(context, tape, y);
    for (int t = 0; t < n; t++) y[t] = wg_cross_entropy(y[t], wg_data(tape, WG_I32, WG_DIMS(B), labels[t]));
    return wg_add_n(y, n);
}

static void five_shapes_from_one_cell(void)
{
    const int outputs[SHAPES] = {1, T, 1, S, T};
    for (int cell = WG_RNN_TANH; cell <= WG_GRU; cell++)
        for (int i = 0; i < SHAPES; i++) {
            if (cell == WG_RNN_RELU) continue;
            wg_params *set = wg_params_new(WG_F64);
            wg_tape *tape = new_tape();
            net m = {.shape = (shape)i};
            wg_rnn_options o = wg_rnn_defaults();
            o.cell = (wg_cell)cell;
            wg_rnn_init(&m.cell, set, "cell", IN, H, o);
            if (i == ONE_MANY || i == ENCODER_DECODER) wg_rnn_init(&m.decoder, set, "decoder", OUT, H, o);
            CHECK(wg_linear_init(&m.head, set, "head", H, OUT, wg_linear_defaults()) == WG_OK);
            wg_tensor y[S];
            CHECK(run_net(&m, tape, y) == outputs[i]);
            for (int t = 0; t < outputs[i]; t++) CHECK(wg_size(y[t], 0) == B && wg_size(y[t], 1) == OUT);
            CHECK(wg_eval(y, outputs[i]) == WG_OK);
            gradcheck(set, net_loss, &m, false);
            wg_tape_free(tape);
            wg_params_free(set);
        }
}

/* ---- classification ---- */

typedef struct classifier {
    wg_rnn rnn;
    wg_embedding_layer words;
    wg_linear_layer head;
    int32_t text[B][S], lengths[B];
} classifier;

/* Logits from the state at the end of each text. */
static wg_tensor classify(const classifier *m, wg_tape *tape)
{
    wg_tensor x[S], y[S], all = wg_embedding_apply(&m->words, wg_data(tape, WG_I32, WG_DIMS(B, S), m->text));
    for (int t = 0; t < S; t++) x[t] = wg_select(all, 1, t);
    wg_rnn_state state = wg_rnn_zero_state(&m->rnn, tape, B);
    wg_rnn_unroll(&m->rnn, x, S, wg_data(tape, WG_I32, WG_DIMS(B), m->lengths), &state, y);
    return wg_linear_apply(&m->head, state.h[m->rnn.options.layers - 1]);
}

static wg_tensor classifier_loss(void *context, wg_tape *tape, wg_params *set)
{
    const int32_t labels[B] = {1, 0};
    return wg_cross_entropy(classify(context, tape), wg_data(tape, WG_I32, WG_DIMS(B), labels));
}

/* Other words in the padding change no bit of the logits, with one to three layers; another last word does. */
static void a_text_is_classified_from_its_last_state(void)
{
    for (int layers = 1; layers <= 3; layers++) {
        wg_params *set = wg_params_new(WG_F64);
        wg_tape *tape = new_tape();
        classifier m = {.text = {{1, 2, 3, 4}, {4, 1, 0, 0}}, .lengths = {4, 2}};
        wg_rnn_options o = wg_rnn_defaults();
        o.cell = WG_LSTM;
        o.layers = layers;
        wg_embedding_init(&m.words, set, "words", 5, IN, -1);
        wg_rnn_init(&m.rnn, set, "rnn", IN, H, o);
        CHECK(wg_linear_init(&m.head, set, "head", H, OUT, wg_linear_defaults()) == WG_OK);
        double plain[B][OUT], padded[B][OUT], other[B][OUT];
        CHECK(wg_read(classify(&m, tape), plain, sizeof plain) == WG_OK);
        m.text[1][2] = m.text[1][3] = 3;
        CHECK(wg_read(classify(&m, tape), padded, sizeof padded) == WG_OK);
        m.text[1][1] = 2;
        CHECK(wg_read(classify(&m, tape), other, sizeof other) == WG_OK);
        CHECK(memcmp(plain, padded, sizeof plain) == 0);
        CHECK(memcmp(plain[0], other[0], sizeof plain[0]) == 0 && memcmp(plain[1], other[1], sizeof plain[1]) != 0);
        gradcheck(set, classifier_loss, &m, false);
        wg_tape_free(tape);
        wg_params_free(set);
    }
}

/* ---- decoders with attention to an encoder ---- */

typedef struct reader {
    wg_rnn encoder, decoder;
    wg_score_layer score;
    wg_linear_layer combine;
    bool current, feeds; /* attends with the state after the step; passes the result to the next step */
} reader;

/* S outputs [B, H]. Bahdanau: c = attend(s_{t-1}), s_t = step([y; c], s_{t-1}). Luong: s_t = step([y; fed], s_{t-1}),
 * c = attend(s_t), out = tanh(W [c; s_t]), which is fed to the next step. */
static void run_reader(const reader *m, wg_tape *tape, wg_tensor *out)
{
    wg_tensor x[T], h[T], fed = wg_zeros(tape, WG_F64, WG_DIMS(B, H)), zeros = fed;
    for (int t = 0; t < T; t++) x[t] = input_at(tape, t);
    wg_rnn_state state = wg_rnn_zero_state(&m->encoder, tape, B);
    wg_rnn_unroll(&m->encoder, x, T, WG_NONE, &state, h);
    wg_tensor all = wg_stack(h, T, 1);
    wg_keys keys = wg_score_keys(&m->score, all, all, WG_NONE);
    for (int t = 0; t < S; t++) {
        wg_tensor y = random_leaf(tape, WG_DIMS(B, IN), 120 + (unsigned)t);
        if (!m->current) fed = wg_attend(&m->score, state.h[0], &keys, WG_NONE, NULL);
        wg_tensor s = wg_rnn_step(&m->decoder, wg_concat((wg_tensor[]){y, fed}, 2, -1), &state);
        wg_tensor context = m->current ? wg_attend(&m->score, s, &keys, WG_NONE, NULL) : fed;
        out[t] = wg_tanh(wg_linear_apply(&m->combine, wg_concat((wg_tensor[]){context, s}, 2, -1)));
        if (m->current) fed = m->feeds ? out[t] : zeros;
    }
}

static wg_tensor reader_loss(void *context, wg_tape *tape, wg_params *set)
{
    wg_tensor out[S];
    run_reader(context, tape, out);
    for (int t = 0; t < S; t++) out[t] = weigh(out[t], 130 + (unsigned)t);
    return wg_add_n(out, S);
}

static void reader_init(reader *m, wg_params *set, wg_score_kind kind)
{
    wg_rnn_options o = wg_rnn_defaults();
    wg_score_options s = wg_score_defaults();
    o.cell = WG_GRU;
    s.kind = kind;
    wg_rnn_init(&m->encoder, set, "encoder", IN, H, o);
    wg_rnn_init(&m->decoder, set, "decoder", IN + H, H, o);
    wg_score_init(&m->score, set, "score", H, H, s);
    CHECK(wg_linear_init(&m->combine, set, "combine", 2 * H, H, wg_linear_defaults()) == WG_OK);
}

/* An additive score and the state before the step (Bahdanau); dot, general, concat and the state after it, with and
 * without input feeding (Luong): gradients of all parameters. */
static void decoders_look_with_the_last_or_the_new_state(void)
{
    const wg_score_kind luong[] = {WG_SCORE_DOT, WG_SCORE_GENERAL, WG_SCORE_CONCAT};
    for (int i = 0; i < 7; i++) {
        wg_params *set = wg_params_new(WG_F64);
        reader m = {.current = i > 0, .feeds = i > 3};
        reader_init(&m, set, i ? luong[i % 3] : WG_SCORE_ADDITIVE);
        gradcheck(set, reader_loss, &m, false);
        wg_params_free(set);
    }
}

/* Input feeding does not change the first step, and changes every later step. */
static void input_feeding_begins_at_the_second_step(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    reader m = {.current = true};
    wg_tensor without[S], with[S];
    reader_init(&m, set, WG_SCORE_GENERAL);
    run_reader(&m, tape, without);
    m.feeds = true;
    run_reader(&m, tape, with);
    for (int t = 0; t < S; t++) {
        double d = tensor_distance(with[t], without[t]);
        CHECK(t == 0 ? d == 0 : d > 1e-3);
    }
    wg_tape_free(tape);
    wg_params_free(set);
}

/* ---- Keras' character model ---- */

/* LSTM(128), Dense(V), softmax, categorical cross entropy, RMSprop(lr 0.01): the next character from the last state.
 * 4 ((V + 128) 128 + 128) + 129 V parameters; it learns a text by heart. */
static void lstm_of_128_learns_by_rmsprop(void)
{
    static const char text[] = "the quick brown fox jumps over the lazy dog; ";
    enum { V = 28, SIZE = 128, LENGTH = sizeof text - 1, WINDOW = 6, STEPS = 40 };
    wg_params *set = wg_params_new(WG_F32);
    wg_tape *tape = new_tape();
    wg_rnn lstm;
    wg_linear_layer dense;
    wg_rnn_options o = wg_rnn_defaults();
    o.cell = WG_LSTM;
    o.bias = WG_RNN_BIAS_ONE; /* as Keras */
    wg_rnn_init(&lstm, set, "lstm", V, SIZE, o);
    CHECK(wg_linear_init(&dense, set, "dense", SIZE, V, wg_linear_defaults()) == WG_OK);
    CHECK(wg_params_trainable(set) == 4 * ((V + SIZE) * SIZE + SIZE) + (SIZE + 1) * V);
    wg_rmsprop_options r = wg_rmsprop_defaults();
    r.lr = 0.01;
    r.alpha = 0.9; /* Keras' rho */
    r.epsilon = 1e-7;
    wg_optimizer *rmsprop = wg_rmsprop_new(set, r);
    int32_t number[LENGTH], x[LENGTH], y[LENGTH];
    for (int i = 0; i < LENGTH; i++)
        number[i] = text[i] == ' ' ? 26 : text[i] == ';' ? 27 : (int32_t)(text[i] - 'a');
    double first = 0, last = 0;
    for (int step = 0; step < STEPS; step++) {
        wg_rnn_state state = wg_rnn_zero_state(&lstm, tape, LENGTH);
        wg_tensor h = WG_NONE;
        for (int t = 0; t <= WINDOW; t++) {
            for (int i = 0; i < LENGTH; i++) (t < WINDOW ? x : y)[i] = number[(i + t) % LENGTH];
            if (t < WINDOW)
                h = wg_rnn_step(&lstm, wg_one_hot(wg_data(tape, WG_I32, WG_DIMS(LENGTH), x), V, WG_F32), &state);
        }
        wg_tensor loss =
            wg_keep(wg_cross_entropy(wg_linear_apply(&dense, h), wg_data(tape, WG_I32, WG_DIMS(LENGTH), y)));
        wg_zero_grad(set);
        CHECK(wg_backward(loss) == WG_OK);
        last = wg_item(loss);
        if (step == 0) first = last;
        CHECK(wg_tape_reset(tape) == WG_OK && wg_optimizer_step(rmsprop) == WG_OK);
    }
    CHECK(fabs(first - log(V)) < 0.3 && last < 0.2);
    if (!(last < 0.2)) printf("loss %g, then %g\n", first, last);
    wg_optimizer_free(rmsprop);
    wg_tape_free(tape);
    wg_params_free(set);
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(five_shapes_from_one_cell), TEST_CASE(a_text_is_classified_from_its_last_state),
        TEST_CASE(decoders_look_with_the_last_or_the_new_state), TEST_CASE(input_feeding_begins_at_the_second_step),
        TEST_CASE(lstm_of_128_learns_by_rmsprop)};
    return RUN_TESTS(tests);
}
