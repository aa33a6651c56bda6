/* Internal to bench/: the benchmark models, and one step of each. */
#ifndef BENCH_MODELS_H
#define BENCH_MODELS_H

#include "bench.h"

typedef struct model model;

/* A row of the table. A field that a model does not use is 0. */
typedef struct model_kind {
    const char *id;
    void (*init)(model *m);      /* creates net, parameters, data, optimizer; counts flops */
    wg_tensor (*loss)(model *m); /* records the loss of a training step */
    double (*run)(model *m);     /* instead of loss: runs a step that does not train, returns its loss */
    int64_t steps;               /* default number of samples */
    wg_cell cell;
    int layers, heads;
    int64_t size, time, batch;
} model_kind;

extern const model_kind model_kinds[]; /* ends with an id of NULL */

enum { MODEL_DATA = 6, VOCABULARY = 65 };

/* A model with its own parameters, optimizer and tape. Two models of one id have the same parameters and data. */
struct model {
    model_kind kind;
    wg_tape *tape;
    wg_params *set, *state;  /* state: buffers that peers do not load, such as a KV cache; or NULL */
    wg_optimizer *optimizer; /* NULL: none */
    double clip;             /* maximum gradient norm; 0: no clipping */
    void *net;               /* its layers, allocated by the init function */
    wg_entry data[MODEL_DATA];
    int n_data;
    double flops; /* of the products of a step, forward and backward */
    double units; /* the unit of time: 1 step, or the number of tokens that a step generates */
};

/* id: one of model_kinds, or "scaled-lstm:T,B,H". plan: as in wg_tape_options. */
model *model_new(const char *id, wg_pool *pool, const char *plan, bool profile);
void model_free(model *m);
/* Runs one step; returns the loss before the update. */
double model_step(model *m);
/* Writes weights and data for a peer. */
void model_save(const model *m, const char *path);
/* The library's number of allocations so far (allocations.c). */
uint64_t model_allocations(void);

/* ---- for the init functions ---------------------------------------------------------------------------- */

/* Creates named data, which peers load too: integers in low .. high - 1, reals in [0, 1). The model owns it. */
int32_t *model_integers(model *m, const char *name, wg_shape shape, int32_t low, int32_t high);
float *model_reals(model *m, const char *name, wg_shape shape);
/* The data as a tensor of this step: element i of the first axis; all of it for i < 0. */
wg_tensor model_data(model *m, const char *name, int64_t i);
/* Counts the flops of a product [rows, in] x [in, out] of a training step: forward, gradient of the weight and, unless
 * it is the first layer, gradient of the input. */
void model_count(model *m, double rows, double in, double out, bool first);
/* Sets optimizer and clipping. Exits if optimizer is NULL. */
void model_optimize(model *m, wg_optimizer *optimizer, double clip);

/* ---- functions of the table ---------------------------------------------------------------------------- */

/* Creates rnn and decoder, a linear layer to the vocabulary, with the row's cell, layers and size. */
void recurrent_layers_init(model *m, wg_rnn *rnn, wg_linear_layer *decoder, bool bidirectional);
void recurrent_init(model *m); /* models_recurrent.c */
wg_tensor recurrent_loss(model *m);
void cell_init(model *m);
wg_tensor cell_loss(model *m);
void tagger_init(model *m);
wg_tensor tagger_loss(model *m);

void seq2seq_init(model *m); /* models_attention.c */
wg_tensor seq2seq_loss(model *m);
void gpt_init(model *m);
wg_tensor gpt_loss(model *m);

void lenet_init(model *m); /* models_vision.c */
wg_tensor lenet_loss(model *m);
void resnet_init(model *m);
wg_tensor resnet_loss(model *m);
void mlp_init(model *m);
wg_tensor mlp_loss(model *m);

void generate_lstm_init(model *m); /* models_generate.c */
double generate_lstm(model *m);
void generate_gpt_init(model *m);
double generate_gpt(model *m);

#endif
