/* Text generation, one token at a time: each token is sampled from the model's distribution and is the next input. A
 * step generates `time` tokens; its loss is the mean of -log p of the samples. */
#include "models.h"

#include <math.h>

/* Samples a token with u from [0, 1) and adds -log of its probability to *loss. */
static int32_t sample(const float *logits, float u, double *loss)
{
    float p[VOCABULARY], largest = logits[0], sum = 0, below = 0;
    int token = 0;
    for (int i = 1; i < VOCABULARY; i++) largest = fmaxf(largest, logits[i]);
    for (int i = 0; i < VOCABULARY; i++) sum += p[i] = expf(logits[i] - largest);
    while (token < VOCABULARY - 1 && (below += p[token]) <= u * sum) token++;
    *loss -= log((double)(p[token] / sum));
    return token;
}

/* Runs the step, samples the next token from its logits and resets the tape. */
static int32_t next(model *m, wg_tensor logits, int64_t t, double *loss)
{
    const float *numbers = wg_value(logits), *u = m->data[0].data;
    int32_t token = numbers ? sample(numbers, u[t], loss) : 0;
    if (wg_tape_reset(m->tape) != WG_OK) app_fail("%s: %s", m->kind.id, wg_tape_message(m->tape));
    return token;
}

static void generate_init(model *m)
{
    m->state = wg_params_new(WG_F32);
    if (!m->state) app_fail("out of memory");
    m->units = (double)m->kind.time;
    model_reals(m, "uniform", WG_DIMS(m->kind.time));
    wg_set_training(m->tape, false);
}

/* ---- recurrent model ----------------------------------------------------------------------------------- */

typedef struct lstm_generator {
    wg_rnn rnn;
    wg_linear_layer decoder;
    wg_rnn_carry carry;
} lstm_generator;

void generate_lstm_init(model *m)
{
    const model_kind *k = &m->kind;
    lstm_generator *net = m->net = app_room(1, sizeof *net);
    recurrent_layers_init(m, &net->rnn, &net->decoder, false);
    generate_init(m);
    wg_rnn_carry_init(&net->carry, &net->rnn, m->state, "carry", 1);
    m->flops = 2.0 * (double)k->time * (double)wg_params_trainable(m->set);
}

double generate_lstm(model *m)
{
    const lstm_generator *net = m->net;
    int32_t token = 0;
    double loss = 0;
    wg_rnn_carry_clear(&net->carry);
    for (int64_t t = 0; t < m->kind.time; t++) {
        wg_no_grad_begin(m->tape);
        wg_rnn_state state = wg_rnn_carry_begin(&net->carry, m->tape);
        wg_tensor x = wg_one_hot(wg_data(m->tape, WG_I32, WG_DIMS(1), &token), VOCABULARY, WG_F32);
        wg_tensor logits = wg_linear_apply(&net->decoder, wg_rnn_step(&net->rnn, x, &state));
        wg_rnn_carry_end(&net->carry, &state);
        wg_no_grad_end(m->tape);
        token = next(m, logits, t, &loss);
    }
    return loss / (double)m->kind.time;
}

/* ---- transformer with a KV cache ----------------------------------------------------------------------- */

typedef struct gpt_generator {
    wg_lm lm;
    wg_kv_cache cache;
} gpt_generator;

void generate_gpt_init(model *m)
{
    const model_kind *k = &m->kind;
    gpt_generator *net = m->net = app_room(1, sizeof *net);
    wg_lm_options options = wg_lm_defaults();
    options.layer.heads = k->heads;
    wg_lm_init(&net->lm, m->set, NULL, VOCABULARY, k->time, k->size, k->layers, options);
    generate_init(m);
    wg_kv_cache_init(&net->cache, &net->lm.stack, m->state, "cache", 1, k->time, 0);
    m->flops = 2.0 * (double)k->time * (double)wg_params_trainable(m->set);
}

double generate_gpt(model *m)
{
    const gpt_generator *net = m->net;
    int32_t token = 0;
    double loss = 0;
    for (int64_t t = 0; t < m->kind.time; t++) {
        wg_no_grad_begin(m->tape);
        wg_tensor input = wg_data(m->tape, WG_I32, WG_DIMS(1), &token);
        wg_tensor logits = wg_lm_step(&net->lm, input, &net->cache, t, WG_NONE);
        wg_no_grad_end(m->tape);
        token = next(m, logits, t, &loss);
    }
    return loss / (double)m->kind.time;
}
