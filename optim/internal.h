/* Internal to optim/: an optimizer is a row of a table (kinds.c) that optimizer.c walks over the parameters; the
 * loops over numbers are in update.c. */
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
} wg__optimizer_options;

/* A variant of an optimizer. */
typedef struct wg__optimizer_kind {
    const char *name;                    /* as users see it: variants share one */
    const char *slots[WG__UPDATE_SLOTS]; /* names of the state arrays, in the order the update takes them */
    bool counts;                         /* the formula needs the number of the parameter's own step */
    size_t update;                       /* offset of the loop in wg__update_kernels */
    /* What the loop takes, for learning rate lr, weight decay w and own step k (from 1). */
    void (*coefficients)(const wg__optimizer_options *options, double lr, double w, int32_t k, double *c);
} wg__optimizer_kind;

/* The base of the four constructors; text is the reason why the options are refused, NULL if they are fine. */
wg_optimizer *wg__optimizer_new(wg_params *set, const wg__optimizer_kind *kind,
                                const wg__optimizer_options *options, double lr, double weight_decay,
                                const char *text);

/* The loops for a dtype on this machine. */
const wg__update_kernels *wg__update_get(wg_dtype dtype);

/* The parameter at this index of the set if it is one to train: no tie's second name, no buffer; else NULL. */
wg_param *wg__trained_at(const wg_params *set, size_t index);

#endif
