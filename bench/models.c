/* The models that are timed, written as a user writes them: layers of cells in a loop over time, and a long chain
 * of small ops. */
#include "models.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const model_ids[] = {"rnn", "lstm", "gru", "tiny", NULL};

static bool is_tiny(const model *m) { return strcmp(m->id, "tiny") == 0; }

/* ---- making -------------------------------------------------------------------------------------------- */

/* Multiply-adds of all products, twice each: inputs are one-hot, so need no gradient of their own. */
static double flops_of(int gates)
{
    double first = (double)gates * HIDDEN * VOCABULARY, recurrent = (double)gates * HIDDEN * HIDDEN;
    double inner = (LAYERS - 1.0) * gates * HIDDEN * HIDDEN, decoder = (double)HIDDEN * VOCABULARY;
    return 2.0 * TIME * BATCH * (2 * first + 3 * (LAYERS * recurrent + inner + decoder));
}

static void recurrent_init(model *m)
{
    bool lstm = strcmp(m->id, "lstm") == 0, gru = strcmp(m->id, "gru") == 0;
    wg_rnn_options options = wg_rnn_defaults();
    options.cell = lstm ? WG_LSTM : gru ? WG_GRU : WG_RNN_TANH;
    options.layers = LAYERS;
    wg_rnn_init(&m->rnn, m->set, "rnn", VOCABULARY, HIDDEN, options);
    wg_linear_init(&m->decoder, m->set, "decoder", HIDDEN, VOCABULARY, wg_linear_defaults());
    wg_rmsprop_options rmsprop = wg_rmsprop_defaults();
    rmsprop.lr = 2e-3;
    rmsprop.alpha = 0.95;
    m->optimizer = wg_rmsprop_new(m->set, rmsprop);
    if (!m->optimizer) app_fail("out of memory");
    m->flops = flops_of(lstm ? 4 : gru ? 3 : 1);
    for (int i = 0; i < TIME * BATCH; i++) {
        uint32_t bits = (uint32_t)i * 2654435761u;
        m->inputs[i] = (int32_t)((bits >> 16) % VOCABULARY);
        m->targets[i] = (int32_t)((bits >> 8) % VOCABULARY);
    }
}

/* Numbers for which neither the chain nor its gradient dies out. */
static void tiny_init(model *m)
{
    m->x = wg_param_new(m->set, "x", WG_DIMS(TINY), wg_init_uniform(0.1, 1));
    for (int i = 0; i < TINY; i++) m->c[i] = 1 + 0.0005f * (float)i;
}

model *model_new(const char *id, wg_pool *pool, const char *plan)
{
    model *m = calloc(1, sizeof *m);
    if (!m) app_fail("out of memory");
    m->id = id;
    m->tape = bench_tape_new(pool, plan);
    m->set = wg_params_new(WG_F32);
    if (!m->set) app_fail("out of memory");
    if (is_tiny(m)) {
        tiny_init(m);
    } else {
        recurrent_init(m);
    }
    if (wg_params_status(m->set) != WG_OK) app_fail("%s", wg_params_message(m->set));
    return m;
}

void model_free(model *m)
{
    wg_tape_free(m->tape);
    wg_optimizer_free(m->optimizer);
    wg_params_free(m->set);
    free(m);
}

/* ---- a step -------------------------------------------------------------------------------------------- */

static wg_tensor tiny_loss(const model *m)
{
    wg_tensor c = wg_data(m->tape, WG_F32, WG_DIMS(TINY), m->c), y = wg_use(m->tape, m->x);
    for (int i = 0; i < TINY_OPS; i += 2) y = wg_tanh(wg_mul(y, c));
    return wg_sum_all(y);
}

/* The mean cross entropy over time and batch. */
static wg_tensor recurrent_loss(const model *m)
{
    wg_rnn_state state = wg_rnn_zero_state(&m->rnn, m->tape, BATCH);
    wg_tensor loss = wg_scalar(m->tape, WG_F32, 0);
    for (int t = 0; t < TIME; t++) {
        wg_tensor x = wg_data(m->tape, WG_I32, WG_DIMS(BATCH), m->inputs + t * BATCH);
        wg_tensor y = wg_data(m->tape, WG_I32, WG_DIMS(BATCH), m->targets + t * BATCH);
        wg_tensor h = wg_rnn_step(&m->rnn, wg_one_hot(x, VOCABULARY, WG_F32), &state);
        loss = wg_add(loss, wg_cross_entropy(wg_linear_apply(&m->decoder, h), y));
    }
    return wg_scale(loss, 1.0 / TIME);
}

double model_step(model *m)
{
    wg_tensor loss = wg_keep(is_tiny(m) ? tiny_loss(m) : recurrent_loss(m));
    wg_zero_grad(m->set);
    wg_status status = wg_backward(loss);
    double value = wg_item(loss);
    if (wg_tape_reset(m->tape) != WG_OK || status != WG_OK) app_fail("%s: %s", m->id, wg_tape_message(m->tape));
    if (m->optimizer) {
        wg_clip_grad_norm(m->set, 5, NULL);
        if (wg_optimizer_step(m->optimizer) != WG_OK) app_fail("%s: %s", m->id, wg_optimizer_message(m->optimizer));
    }
    return value;
}

/* ---- what a peer starts from --------------------------------------------------------------------------- */

void model_save(const model *m, const char *path)
{
    wg_entry entries[32] = {{0}};
    wg_error error = {0};
    size_t n = wg_params_count(m->set);
    if (n > 30) app_fail("%s has too many parameters", m->id);
    for (size_t i = 0; i < n; i++) {
        const wg_param *p = wg_params_at(m->set, i);
        entries[i] = (wg_entry){.name = wg_params_name_at(m->set, i),
                                .dtype = wg_param_dtype(p),
                                .shape = wg_param_shape(p),
                                .data = wg_param_value(p)};
    }
    if (is_tiny(m)) {
        entries[n++] = (wg_entry){.name = "c", .dtype = WG_F32, .shape = WG_DIMS(TINY), .data = m->c};
    } else {
        wg_shape shape = WG_DIMS(TIME, BATCH);
        entries[n++] = (wg_entry){.name = "inputs", .dtype = WG_I32, .shape = shape, .data = m->inputs};
        entries[n++] = (wg_entry){.name = "targets", .dtype = WG_I32, .shape = shape, .data = m->targets};
    }
    if (wg_safetensors_write(path, entries, n, NULL, 0, &error) != WG_OK) app_fail("%s", error.text);
}
