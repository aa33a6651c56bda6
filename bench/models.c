/* The table of benchmark models, and their shared functions. The models are in models_*.c, written as a user would
 * write them: layers and ops, with a loop over time in the recurrent ones. */
#include "models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void tiny_init(model *m);
static wg_tensor tiny_loss(model *m);

const model_kind model_kinds[] = {
    {"rnn", recurrent_init, recurrent_loss, NULL, 40, WG_RNN_TANH, .layers = 2, .size = 128, .time = 50,
     .batch = 50},
    {"lstm", recurrent_init, recurrent_loss, NULL, 40, WG_LSTM, .layers = 2, .size = 128, .time = 50, .batch = 50},
    {"gru", recurrent_init, recurrent_loss, NULL, 40, WG_GRU, .layers = 2, .size = 128, .time = 50, .batch = 50},
    {"lstm-512", recurrent_init, recurrent_loss, NULL, 20, WG_LSTM, .layers = 2, .size = 512, .time = 50,
     .batch = 50},
    {"lstm-b1", recurrent_init, recurrent_loss, NULL, 200, WG_LSTM, .layers = 1, .size = 32, .time = 50,
     .batch = 1},
    {"lstm-cell", cell_init, cell_loss, NULL, 20, WG_LSTM, .layers = 2, .size = 256, .time = 100, .batch = 32},
    {"bilstm-len", tagger_init, tagger_loss, NULL, 20, WG_LSTM, .layers = 1, .size = 256, .time = 50, .batch = 64},
    {"seq2seq-attn", seq2seq_init, seq2seq_loss, NULL, 20, WG_GRU, .layers = 1, .size = 256, .time = 25,
     .batch = 64},
    {"lenet", lenet_init, lenet_loss, NULL, 40, .batch = 64},
    {"resnet-ish", resnet_init, resnet_loss, NULL, 20, .batch = 32},
    {"gpt-128", gpt_init, gpt_loss, NULL, 20, .layers = 4, .heads = 4, .size = 128, .time = 64, .batch = 12},
    {"gpt-384", gpt_init, gpt_loss, NULL, 10, .layers = 6, .heads = 6, .size = 384, .time = 256, .batch = 4},
    {"mlp", mlp_init, mlp_loss, NULL, 40, .size = 512, .batch = 128},
    {"tiny", tiny_init, tiny_loss, NULL, 200, .size = 16, .time = 2000},
    {"generate-lstm", generate_lstm_init, NULL, generate_lstm, 10, WG_LSTM, .layers = 2, .size = 512, .time = 200},
    {"generate-gpt", generate_gpt_init, NULL, generate_gpt, 10, .layers = 6, .heads = 6, .size = 384, .time = 256},
    {.id = NULL}};

/* Models whose sizes are in the id: "scaled-lstm:T,B,H". */
static const model_kind scaled[] = {
    {"scaled-lstm", recurrent_init, recurrent_loss, NULL, 20, WG_LSTM, .layers = 1},
    {"scaled-gpt", gpt_init, gpt_loss, NULL, 20, .layers = 1, .heads = 1},
};

/* ---- creation ------------------------------------------------------------------------------------------ */

static model_kind kind_of(const char *id)
{
    for (const model_kind *kind = model_kinds; kind->id; kind++)
        if (!strcmp(kind->id, id)) return *kind;
    for (size_t i = 0; i < sizeof scaled / sizeof *scaled; i++) {
        model_kind kind = scaled[i];
        const size_t length = strlen(kind.id);
        long long T, B, H;
        if (strncmp(id, kind.id, length) != 0) continue;
        if (sscanf(id + length, ":%lld,%lld,%lld", &T, &B, &H) != 3 || T < 1 || B < 1 || H < 1) continue;
        kind.time = T, kind.batch = B, kind.size = H;
        return kind;
    }
    app_fail("there is no model '%s'", id);
}

model *model_new(const char *id, wg_pool *pool, const char *plan, bool profile)
{
    model *m = app_room(1, sizeof *m);
    m->kind = kind_of(id);
    m->units = 1;
    m->tape = bench_tape_new(pool, plan, profile);
    m->set = wg_params_new(WG_F32);
    if (!m->set) app_fail("out of memory");
    m->kind.init(m);
    if (wg_params_status(m->set) != WG_OK) app_fail("%s: %s", id, wg_params_message(m->set));
    if (m->state && wg_params_status(m->state) != WG_OK) app_fail("%s: %s", id, wg_params_message(m->state));
    return m;
}

void model_free(model *m)
{
    wg_tape_free(m->tape);
    wg_optimizer_free(m->optimizer);
    wg_params_free(m->set);
    wg_params_free(m->state);
    for (int i = 0; i < m->n_data; i++) free((void *)(uintptr_t)m->data[i].data);
    free(m->net);
    free(m);
}

void model_optimize(model *m, wg_optimizer *optimizer, double clip)
{
    if (!optimizer) app_fail("out of memory");
    m->optimizer = optimizer;
    m->clip = clip;
}

/* ---- data ---------------------------------------------------------------------------------------------- */

static void *add_data(model *m, const char *name, wg_dtype dtype, wg_shape shape, int64_t *n)
{
    if (m->n_data == MODEL_DATA || !wg_shape_numel(&shape, n)) app_fail("%s: too much data", m->kind.id);
    void *numbers = app_room(*n, 4);
    m->data[m->n_data++] = (wg_entry){.name = name, .dtype = dtype, .shape = shape, .data = numbers};
    return numbers;
}

/* 24 pseudo-random bits, a function of the index i and of the data's ordinal. */
static uint32_t bits_of(const model *m, int64_t i)
{
    uint64_t bits = ((uint64_t)i + 1 + ((uint64_t)m->n_data << 40)) * 0x9e3779b97f4a7c15u;
    bits = (bits ^ bits >> 31) * 0xd1342543de82ef95u;
    return (uint32_t)(bits >> 40);
}

int32_t *model_integers(model *m, const char *name, wg_shape shape, int32_t low, int32_t high)
{
    int64_t n;
    int32_t *numbers = add_data(m, name, WG_I32, shape, &n);
    for (int64_t i = 0; i < n; i++) numbers[i] = low + (int32_t)(bits_of(m, i) % (uint32_t)(high - low));
    return numbers;
}

float *model_reals(model *m, const char *name, wg_shape shape)
{
    int64_t n;
    float *numbers = add_data(m, name, WG_F32, shape, &n);
    for (int64_t i = 0; i < n; i++) numbers[i] = (float)bits_of(m, i) * 0x1p-24f;
    return numbers;
}

wg_tensor model_data(model *m, const char *name, int64_t i)
{
    const wg_entry *entry = m->data;
    while (entry < m->data + m->n_data && strcmp(entry->name, name) != 0) entry++;
    if (entry == m->data + m->n_data) app_fail("%s has no data '%s'", m->kind.id, name);
    if (i < 0) return wg_data(m->tape, entry->dtype, entry->shape, entry->data);
    wg_shape shape = {.rank = entry->shape.rank - 1};
    int64_t n = 1;
    for (int axis = 0; axis < shape.rank; axis++) n *= shape.size[axis] = entry->shape.size[axis + 1];
    return wg_data(m->tape, entry->dtype, shape, (const char *)entry->data + 4 * i * n);
}

void model_count(model *m, double rows, double in, double out, bool first)
{
    m->flops += 2 * rows * in * out * (first ? 2 : 3);
}

/* ---- a step -------------------------------------------------------------------------------------------- */

static double train(model *m)
{
    wg_tensor loss = wg_keep(m->kind.loss(m));
    wg_zero_grad(m->set);
    wg_status status = wg_backward(loss);
    double value = wg_item(loss);
    if (wg_tape_reset(m->tape) != WG_OK || status != WG_OK)
        app_fail("%s: %s", m->kind.id, wg_tape_message(m->tape));
    if (m->clip > 0) wg_clip_grad_norm(m->set, m->clip, NULL);
    if (m->optimizer && wg_optimizer_step(m->optimizer) != WG_OK)
        app_fail("%s: %s", m->kind.id, wg_optimizer_message(m->optimizer));
    return value;
}

double model_step(model *m) { return m->kind.run ? m->kind.run(m) : train(m); }

/* ---- tiny: a long chain of small ops ------------------------------------------------------------------- */

/* Chosen so that neither the chain nor its gradient vanishes. */
static void tiny_init(model *m)
{
    m->net = app_room(1, sizeof(wg_param *));
    *(wg_param **)m->net = wg_param_new(m->set, "x", WG_DIMS(m->kind.size), wg_init_uniform(0.1, 1));
    float *c = model_reals(m, "c", WG_DIMS(m->kind.size));
    for (int i = 0; i < m->kind.size; i++) c[i] = 1 + 0.0005f * (float)i;
}

static wg_tensor tiny_loss(model *m)
{
    wg_tensor c = model_data(m, "c", -1), y = wg_use(m->tape, *(wg_param **)m->net);
    for (int64_t i = 0; i < m->kind.time; i += 2) y = wg_tanh(wg_mul(y, c));
    return wg_sum_all(y);
}

/* ---- weights and data of peers ------------------------------------------------------------------------- */

void model_save(const model *m, const char *path)
{
    wg_error error = {0};
    size_t n = wg_params_count(m->set);
    wg_entry *entries = app_room((int64_t)n + MODEL_DATA, sizeof *entries);
    for (size_t i = 0; i < n; i++) {
        const wg_param *p = wg_params_at(m->set, i);
        entries[i] = (wg_entry){.name = wg_params_name_at(m->set, i),
                                .dtype = wg_param_dtype(p),
                                .shape = wg_param_shape(p),
                                .data = wg_param_value(p)};
    }
    memcpy(entries + n, m->data, (size_t)m->n_data * sizeof *entries);
    if (wg_safetensors_write(path, entries, n + (size_t)m->n_data, NULL, 0, &error) != WG_OK)
        app_fail("%s", error.text);
    free(entries);
}
