/* Models with attention: a translation model with a recurrent decoder (Bahdanau, Cho, Bengio 2015), and transformer
 * language models. */
#include "models.h"

static void use_adamw(model *m, double clip)
{
    wg_adamw_options adamw = wg_adamw_defaults();
    adamw.weight_decay = 0.1;
    wg_optimizer *optimizer = wg_adamw_new(m->set, adamw);
    model_optimize(m, optimizer, clip);
    wg_optimizer_no_decay(optimizer);
}

/* ---- sequence to sequence ------------------------------------------------------------------------------ */

enum { WORDS = 5000, WORDS_LONGEST = 25 };

typedef struct seq2seq_net {
    wg_embedding_layer source, target;
    wg_rnn encoder, decoder; /* the decoder's input is a word and the context */
    wg_score_layer score;
    wg_linear_layer output; /* from the decoder's state and the context */
} seq2seq_net;

void seq2seq_init(model *m)
{
    const model_kind *k = &m->kind;
    const double H = (double)k->size, B = (double)k->batch, T = (double)k->time, rows = T * B;
    seq2seq_net *net = m->net = app_room(1, sizeof *net);
    wg_rnn_options rnn = wg_rnn_defaults();
    rnn.cell = k->cell;
    wg_score_options score = wg_score_defaults();
    score.kind = WG_SCORE_ADDITIVE;
    wg_embedding_init(&net->source, m->set, "source", WORDS, k->size, -1);
    wg_embedding_init(&net->target, m->set, "target", WORDS, k->size, -1);
    wg_rnn_init(&net->encoder, m->set, "encoder", k->size, k->size, rnn);
    wg_rnn_init(&net->decoder, m->set, "decoder", 2 * k->size, k->size, rnn);
    wg_score_init(&net->score, m->set, "score", k->size, k->size, score);
    wg_linear_init(&net->output, m->set, "output", 2 * k->size, WORDS, wg_linear_defaults());
    model_integers(m, "inputs", WG_DIMS(k->time, k->batch), 0, WORDS);
    model_integers(m, "before", WG_DIMS(k->time, k->batch), 0, WORDS);
    model_integers(m, "targets", WG_DIMS(k->time, k->batch), 0, WORDS);
    use_adamw(m, 1);
    model_count(m, rows, (1 + 1) * H, 3 * H, false);   /* encoder */
    model_count(m, rows, (2 + 1) * H, 3 * H, false);   /* decoder */
    model_count(m, rows, H, 2 * H, false);             /* W q, U k */
    model_count(m, rows, T, 2 * H, false);             /* v^T tanh, the weighted sum */
    model_count(m, rows, 2 * H, (double)WORDS, false); /* output */
}

wg_tensor seq2seq_loss(model *m)
{
    const seq2seq_net *net = m->net;
    wg_tensor h[WORDS_LONGEST], loss = wg_scalar(m->tape, WG_F32, 0);
    wg_rnn_state state = wg_rnn_zero_state(&net->encoder, m->tape, m->kind.batch);
    for (int t = 0; t < WORDS_LONGEST; t++)
        h[t] = wg_rnn_step(&net->encoder, wg_embedding_apply(&net->source, model_data(m, "inputs", t)), &state);
    wg_tensor states = wg_stack(h, WORDS_LONGEST, 1);
    wg_keys keys = wg_score_keys(&net->score, states, states, WG_NONE);
    for (int t = 0; t < WORDS_LONGEST; t++) {
        wg_tensor context = wg_attend(&net->score, state.h[0], &keys, WG_NONE, NULL);
        wg_tensor word = wg_embedding_apply(&net->target, model_data(m, "before", t));
        wg_tensor s = wg_rnn_step(&net->decoder, wg_concat((wg_tensor[]){word, context}, 2, -1), &state);
        wg_tensor logits = wg_linear_apply(&net->output, wg_concat((wg_tensor[]){s, context}, 2, -1));
        loss = wg_add(loss, wg_cross_entropy(logits, model_data(m, "targets", t)));
    }
    return wg_scale(loss, 1.0 / WORDS_LONGEST);
}

/* ---- language model ------------------------------------------------------------------------------------ */

void gpt_init(model *m)
{
    const model_kind *k = &m->kind;
    const double E = (double)k->size, T = (double)k->time, rows = (double)(k->time * k->batch);
    wg_lm *lm = m->net = app_room(1, sizeof *lm);
    wg_lm_options options = wg_lm_defaults();
    options.layer.heads = k->heads;
    wg_lm_init(lm, m->set, NULL, VOCABULARY, k->time, k->size, k->layers, options);
    model_integers(m, "inputs", WG_DIMS(k->batch, k->time), 0, VOCABULARY);
    model_integers(m, "targets", WG_DIMS(k->batch, k->time), 0, VOCABULARY);
    use_adamw(m, 1);
    for (int l = 0; l < k->layers; l++) {
        model_count(m, rows, E, (3 + 1 + 4 + 4) * E, false); /* attention's projections, feed-forward */
        model_count(m, rows, T / 2, 2 * E, false);           /* causal scores and weighted sums */
    }
    model_count(m, rows, E, VOCABULARY, false);
}

wg_tensor gpt_loss(model *m)
{
    return wg_cross_entropy(wg_lm_apply(m->net, model_data(m, "inputs", -1)), model_data(m, "targets", -1));
}
