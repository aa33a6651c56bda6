/* Internal to bench/: the models that are timed, and one training step of each. */
#ifndef BENCH_MODELS_H
#define BENCH_MODELS_H

#include "bench.h"

enum { LAYERS = 2, HIDDEN = 128, TIME = 50, BATCH = 50, VOCABULARY = 65, TINY = 16, TINY_OPS = 2000 };

/* A model with its own parameters, optimizer and tape. All that are made alike start from the same numbers. */
typedef struct model {
    const char *id; /* "rnn", "lstm", "gru", "tiny" */
    wg_tape *tape;
    wg_params *set;
    wg_optimizer *optimizer; /* none for tiny */
    wg_rnn rnn;
    wg_linear_layer decoder;
    int32_t inputs[TIME * BATCH], targets[TIME * BATCH];
    wg_param *x;   /* tiny */
    float c[TINY]; /* tiny */
    double flops;  /* of the products of a step, forward and backward; 0 for tiny */
} model;

extern const char *const model_ids[]; /* ends with NULL */

/* plan: planner passes that are off, as in wg_tape_options. */
model *model_new(const char *id, wg_pool *pool, const char *plan);
void model_free(model *m);
/* One training step; the loss before the update. */
double model_step(model *m);
/* Writes weights and data for a peer. */
void model_save(const model *m, const char *path);
/* How often the library has asked for memory so far (allocations.c). */
uint64_t model_requests(void);

#endif
