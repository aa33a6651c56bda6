/* Recurrent models: a character model of layers, the same with a cell written from primitive ops, and a bidirectional
 * tagger over sequences of different lengths. */
#include "models.h"

static void use_rmsprop(model *m)
{
    wg_rmsprop_options rmsprop = wg_rmsprop_defaults();
    rmsprop.lr = 2e-3;
    rmsprop.alpha = 0.95;
    model_optimize(m, wg_rmsprop_new(m->set, rmsprop), 5);
}

static int gates_of(wg_cell cell) { return cell == WG_LSTM ? 4 : cell == WG_GRU ? 3 : 1; }

/* Counts the products of all layers. The input of the first is one-hot and needs no gradient. */
static void count_layers(model *m, double rows, int64_t input)
{
    double H = (double)m->kind.size, gates = gates_of(m->kind.cell);
    for (int l = 0; l < m->kind.layers; l++) {
        model_count(m, rows, l ? H : (double)input, gates * H, l == 0);
        model_count(m, rows, H, gates * H, false);
    }
}

/* ---- rnn, lstm, gru ------------------------------------------------------------------------------------ */

typedef struct recurrent_net {
    wg_rnn rnn;
    wg_linear_layer decoder;
} recurrent_net;

void recurrent_layers_init(model *m, wg_rnn *rnn, wg_linear_layer *decoder, bool bidirectional)
{
    const model_kind *k = &m->kind;
    wg_rnn_options options = wg_rnn_defaults();
    options.cell = k->cell;
    options.layers = k->layers;
    options.bidirectional = bidirectional;
    wg_rnn_init(rnn, m->set, "rnn", VOCABULARY, k->size, options);
    wg_linear_init(decoder, m->set, "decoder", rnn->directions * k->size, VOCABULARY, wg_linear_defaults());
}

void recurrent_init(model *m)
{
    const model_kind *k = &m->kind;
    recurrent_net *net = m->net = app_room(1, sizeof *net);
    recurrent_layers_init(m, &net->rnn, &net->decoder, false);
    model_integers(m, "inputs", WG_DIMS(k->time, k->batch), 0, VOCABULARY);
    model_integers(m, "targets", WG_DIMS(k->time, k->batch), 0, VOCABULARY);
    use_rmsprop(m);
    count_layers(m, (double)(k->time * k->batch), VOCABULARY);
    model_count(m, (double)(k->time * k->batch), (double)k->size, VOCABULARY, false);
}

/* The mean cross entropy over time and batch. */
wg_tensor recurrent_loss(model *m)
{
    const recurrent_net *net = m->net;
    wg_rnn_state state = wg_rnn_zero_state(&net->rnn, m->tape, m->kind.batch);
    wg_tensor loss = wg_scalar(m->tape, WG_F32, 0);
    for (int64_t t = 0; t < m->kind.time; t++) {
        wg_tensor x = wg_one_hot(model_data(m, "inputs", t), VOCABULARY, WG_F32);
        wg_tensor h = wg_rnn_step(&net->rnn, x, &state);
        wg_tensor logits = wg_linear_apply(&net->decoder, h);
        loss = wg_add(loss, wg_cross_entropy(logits, model_data(m, "targets", t)));
    }
    return wg_scale(loss, 1.0 / (double)m->kind.time);
}

/* ---- a cell written from primitive ops ----------------------------------------------------------------- */

enum { CELL_LAYERS = 2 };

typedef struct cell_net {
    wg_param *W[CELL_LAYERS], *U[CELL_LAYERS], *b[CELL_LAYERS]; /* [in, 4 H], [H, 4 H], [4 H] */
    wg_param *V, *c;                                            /* [H, vocabulary], [vocabulary] */
} cell_net;

void cell_init(model *m)
{
    const model_kind *k = &m->kind;
    cell_net *net = m->net = app_room(1, sizeof *net);
    const wg_init init = wg_init_uniform(-0.0625, 0.0625); /* 1 / sqrt(256) */
    for (int l = 0; l < CELL_LAYERS; l++) {
        net->W[l] = wg_param_new(m->set, l ? "W1" : "W0", WG_DIMS(l ? k->size : VOCABULARY, 4 * k->size), init);
        net->U[l] = wg_param_new(m->set, l ? "U1" : "U0", WG_DIMS(k->size, 4 * k->size), init);
        net->b[l] = wg_param_new(m->set, l ? "b1" : "b0", WG_DIMS(4 * k->size), init);
    }
    net->V = wg_param_new(m->set, "V", WG_DIMS(k->size, VOCABULARY), init);
    net->c = wg_param_new(m->set, "c", WG_DIMS(VOCABULARY), init);
    model_integers(m, "inputs", WG_DIMS(k->time, k->batch), 0, VOCABULARY);
    model_integers(m, "targets", WG_DIMS(k->time, k->batch), 0, VOCABULARY);
    use_rmsprop(m);
    count_layers(m, (double)(k->time * k->batch), VOCABULARY);
    model_count(m, (double)(k->time * k->batch), (double)k->size, VOCABULARY, false);
}

static wg_tensor cell(const cell_net *net, int l, wg_tensor x, wg_tensor *h, wg_tensor *c)
{
    wg_tape *tape = x.tape;
    wg_tensor a = wg_add(wg_matmul(x, wg_use(tape, net->W[l])), wg_matmul(*h, wg_use(tape, net->U[l])));
    wg_tensor gate[4];
    wg_split(wg_add(a, wg_use(tape, net->b[l])), -1, 4, gate);
    wg_tensor i = wg_sigmoid(gate[0]), f = wg_sigmoid(gate[1]), g = wg_tanh(gate[2]), o = wg_sigmoid(gate[3]);
    *c = wg_add(wg_mul(f, *c), wg_mul(i, g));
    return *h = wg_mul(o, wg_tanh(*c));
}

wg_tensor cell_loss(model *m)
{
    const cell_net *net = m->net;
    wg_tensor h[CELL_LAYERS], c[CELL_LAYERS], loss = wg_scalar(m->tape, WG_F32, 0);
    for (int l = 0; l < CELL_LAYERS; l++)
        h[l] = c[l] = wg_zeros(m->tape, WG_F32, WG_DIMS(m->kind.batch, m->kind.size));
    for (int64_t t = 0; t < m->kind.time; t++) {
        wg_tensor x = wg_one_hot(model_data(m, "inputs", t), VOCABULARY, WG_F32);
        for (int l = 0; l < CELL_LAYERS; l++) x = cell(net, l, x, &h[l], &c[l]);
        wg_tensor logits = wg_add(wg_matmul(x, wg_use(m->tape, net->V)), wg_use(m->tape, net->c));
        loss = wg_add(loss, wg_cross_entropy(logits, model_data(m, "targets", t)));
    }
    return wg_scale(loss, 1.0 / (double)m->kind.time);
}

/* ---- bidirectional, lengths ---------------------------------------------------------------------------- */

enum { SHORTEST = 5, LONGEST = 50 };

void tagger_init(model *m)
{
    const model_kind *k = &m->kind;
    recurrent_net *net = m->net = app_room(1, sizeof *net);
    recurrent_layers_init(m, &net->rnn, &net->decoder, true);
    model_integers(m, "inputs", WG_DIMS(k->time, k->batch), 0, VOCABULARY);
    model_integers(m, "targets", WG_DIMS(k->batch, k->time), 0, VOCABULARY);
    int32_t *lengths = model_integers(m, "lengths", WG_DIMS(k->batch), SHORTEST, LONGEST + 1);
    use_rmsprop(m);
    double symbols = 0; /* padding does not count as work */
    lengths[0] = LONGEST;
    for (int64_t b = 0; b < k->batch; b++) symbols += lengths[b];
    for (int d = 0; d < 2; d++) count_layers(m, symbols, VOCABULARY);
    model_count(m, symbols, 2 * (double)k->size, VOCABULARY, false);
}

wg_tensor tagger_loss(model *m)
{
    const recurrent_net *net = m->net;
    wg_tensor x[LONGEST], h[LONGEST], lengths = model_data(m, "lengths", -1);
    wg_rnn_state state = wg_rnn_zero_state(&net->rnn, m->tape, m->kind.batch);
    for (int t = 0; t < LONGEST; t++) x[t] = wg_one_hot(model_data(m, "inputs", t), VOCABULARY, WG_F32);
    wg_rnn_unroll(&net->rnn, x, LONGEST, lengths, &state, h);
    wg_tensor logits = wg_linear_apply(&net->decoder, wg_stack(h, LONGEST, 1));
    return wg_cross_entropy_lengths(logits, model_data(m, "targets", -1), lengths);
}
