/* Internal to bench/: the models that are timed, and one step of each. */
#ifndef BENCH_MODELS_H
#define BENCH_MODELS_H

#include "bench.h"

typedef struct model model;

/* A row of the table. What a model does not have is 0. */
typedef struct model_kind {
    const char *id;
    void (*init)(model *m);      /* makes net, parameters, data, optimizer; counts flops */
    wg_tensor (*loss)(model *m); /* records the loss of a training step */
    double (*run)(model *m);     /* instead of loss: a step that does not train, and its loss */
    int64_t steps;               /* samples unless the user asks for others */
    wg_cell cell;
    int layers, heads;
    int64_t size, time, batch;
} model_kind;

extern const model_kind model_kinds[]; /* ends with an id of NULL */

enum { MODEL_DATA = 6, VOCABULARY = 65 };

/* A model with its own parameters, optimizer and tape. All that are made alike start from the same numbers. */
struct model {
    model_kind kind;
    wg_tape *tape;
    wg_params *set, *state;  /* state: buffers that are no weights; mostly NULL */
    wg_optimizer *optimizer; /* NULL: none */
    double clip;             /* the gradients' norm at most; 0: any */
    void *net;               /* its layers: what the init function made */
    wg_entry data[MODEL_DATA];
    int n_data;
    double flops; /* of the products of a step, forward and backward */
    double units; /* what a step makes, of which the time is wanted: 1 step, or so many tokens */
};

/* id: one of model_kinds, or "scaled-lstm:T,B,H". plan: planner passes that are off, as in wg_tape_options. */
model *model_new(const char *id, wg_pool *pool, const char *plan, bool profile);
void model_free(model *m);
/* One step; the loss before the update. */
double model_step(model *m);
/* Writes weights and data for a peer. */
void model_save(const model *m, const char *path);
/* How often the library has asked for memory so far (allocations.c). */
uint64_t model_requests(void);

/* ---- for the init functions ---------------------------------------------------------------------------- */

/* Data under a name, the same for peers: whole numbers in low .. high - 1; real ones in [0, 1). Owned by the model. */
int32_t *model_integers(model *m, const char *name, wg_shape shape, int32_t low, int32_t high);
float *model_reals(model *m, const char *name, wg_shape shape);
/* The same as a tensor of this step: element i of the first axis (i < 0: all). */
wg_tensor model_data(model *m, const char *name, int64_t i);
/* Counts a product [rows, in] x [in, out] of a training step: forward, by the weight and, unless what comes in needs
 * no gradient, by that. */
void model_count(model *m, double rows, double in, double out, bool first);
/* Ends the program if the optimizer could not be made. */
void model_optimize(model *m, wg_optimizer *optimizer, double clip);

/* ---- the table's functions ----------------------------------------------------------------------------- */

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

void write_lstm_init(model *m); /* models_generate.c */
double write_lstm(model *m);
void write_gpt_init(model *m);
double write_gpt(model *m);

#endif
