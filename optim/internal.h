/* Internal to optim/. An optimizer is a row of a table (kinds.c); optimizer.c applies it to the parameters of a set;
 * update.c has the loops over numbers, once per element type and instruction set.
 *
 * Room optim: updates the values of parameters from their gradients. It knows parameter sets and memory; no tape, op,
 * layer or file. */
#ifndef WG_OPTIM_INTERNAL_H
#define WG_OPTIM_INTERNAL_H

#include "optim.h"
#include "update.h"
#include "../autograd/base/heap.h"

enum { WG__COEFFICIENTS = 8 };

typedef union wg__optimizer_options {
    wg_sgd_options sgd;
    wg_rmsprop_options rmsprop;
    wg_adam_options adam;
    wg_adagrad_options adagrad;
} wg__optimizer_options;

/* A variant of an optimizer, such as SGD with momentum. */
typedef struct wg__optimizer_kind {
    const char *name;                    /* the optimizer's public name; variants share it */
    const char *slots[WG__UPDATE_SLOTS]; /* names of the state arrays, in the order of the update's slots */
    bool counts_steps;                   /* the formula uses the parameter's own step count */
    size_t update;                       /* offset of the loop in wg__update_kernels */
    /* Computes the loop's coefficients c from learning rate lr, weight decay w and the step count k (from 1). */
    void (*coefficients)(const wg__optimizer_options *options, double lr, double w, int32_t k, double *c);
} wg__optimizer_kind;

/* The common part of the constructors. invalid is the reason why the options are invalid; NULL if they are valid. */
wg_optimizer *wg__optimizer_new(wg_params *set, const wg__optimizer_kind *kind,
                                const wg__optimizer_options *options, double lr, double weight_decay,
                                const char *invalid);

/* The loops for a dtype, in the best instruction set of this machine. */
const wg__update_kernels *wg__update_get(wg_dtype dtype);

/* Elements of n arrays, `size` of one array at a time. run is called for each piece, in any order, on several threads:
 * which one runs it must change no bit. */
typedef struct wg__pieces {
    size_t n;
    int64_t size; /* WG__PIECE, or WG__WHOLE arrays */
    int64_t (*numel)(const void *context, size_t array);
    void (*run)(void *context, size_t array, int64_t at, int64_t n);
    void *context;
} wg__pieces;
static const int64_t WG__PIECE = 1 << 14, WG__WHOLE = (int64_t)1 << 60;
void wg__pieces_run(const wg_params *set, const wg__pieces *pieces);

/* The trainable parameter at this index of the set; NULL for a buffer and for a tied parameter's second name. */
wg_param *wg__trainable_at(const wg_params *set, size_t index);

#endif
