/* The table of optimizers: options and their defaults, the state arrays of each variant, and the coefficients of its
 * loop. To add an optimizer, add a row here and a loop in update.c. */
#include "internal.h"

#include <math.h>

/* ---- rules of options ---- */

typedef struct rule {
    bool holds;
    const char *text;
} rule;

/* Of the options o. */
#define NOT_NEGATIVE(field) ((rule){o.field >= 0 && o.field <= 1e300, #field " must be a number >= 0"})
#define FRACTION(field)     ((rule){o.field >= 0 && o.field <= 1, #field " must be in [0, 1]"})
#define DECAY(field)        ((rule){o.field >= 0 && o.field < 1, #field " must be in [0, 1)"})

/* The text of the first rule that does not hold; NULL if all do. */
#define INVALID(...) first_broken((const rule[]){__VA_ARGS__, {false, NULL}})
static const char *first_broken(const rule *first)
{
    while (first->holds) first++;
    return first->text;
}

/* ---- sgd ---- */

static void sgd_coefficients(const wg__optimizer_options *options, double lr, double w, int32_t k, double *c)
{
    const wg_sgd_options *o = &options->sgd;
    c[0] = lr;
    c[1] = w;
    c[2] = k > 1 ? o->momentum : 0;
    c[3] = k > 1 ? 1 - o->dampening : 1;
    c[4] = o->nesterov ? 1 : 0;
    c[5] = o->nesterov ? o->momentum : 1;
}

static const wg__optimizer_kind kind_sgd = {
    .name = "sgd", .update = offsetof(wg__update_kernels, sgd), .coefficients = sgd_coefficients};
static const wg__optimizer_kind kind_sgd_momentum = {.name = "sgd",
                                                     .slots = {"momentum_buffer"},
                                                     .counts_steps = true,
                                                     .update = offsetof(wg__update_kernels, sgd_momentum),
                                                     .coefficients = sgd_coefficients};

wg_sgd_options wg_sgd_defaults(void) { return (wg_sgd_options){.lr = 1e-3}; }

wg_optimizer *wg_sgd_new(wg_params *set, wg_sgd_options o)
{
    const char *invalid = INVALID(
        NOT_NEGATIVE(lr), NOT_NEGATIVE(momentum), FRACTION(dampening), NOT_NEGATIVE(weight_decay),
        {!o.nesterov || (o.momentum > 0 && o.dampening == 0), "nesterov requires momentum > 0 and dampening 0"});
    wg__optimizer_options options = {.sgd = o};
    const wg__optimizer_kind *kind = o.momentum > 0 ? &kind_sgd_momentum : &kind_sgd;
    return wg__optimizer_new(set, kind, &options, o.lr, o.weight_decay, invalid);
}

/* ---- rmsprop ---- */

static void rmsprop_coefficients(const wg__optimizer_options *options, double lr, double w, int32_t k, double *c)
{
    const wg_rmsprop_options *o = &options->rmsprop;
    c[0] = lr;
    c[1] = w;
    c[2] = o->alpha;
    c[3] = 1 - o->alpha;
    c[4] = o->epsilon_inside ? o->epsilon : 0;
    c[5] = o->epsilon_inside ? 0 : o->epsilon;
    c[6] = o->momentum;
}

/* [centered][momentum] */
static const wg__optimizer_kind kind_rmsprop[2][2] = {
    {{.name = "rmsprop",
      .slots = {"square_avg"},
      .update = offsetof(wg__update_kernels, rmsprop),
      .coefficients = rmsprop_coefficients},
     {.name = "rmsprop",
      .slots = {"square_avg", "momentum_buffer"},
      .update = offsetof(wg__update_kernels, rmsprop_momentum),
      .coefficients = rmsprop_coefficients}},
    {{.name = "rmsprop",
      .slots = {"square_avg", "grad_avg"},
      .update = offsetof(wg__update_kernels, rmsprop_centered),
      .coefficients = rmsprop_coefficients},
     {.name = "rmsprop",
      .slots = {"square_avg", "grad_avg", "momentum_buffer"},
      .update = offsetof(wg__update_kernels, rmsprop_centered_momentum),
      .coefficients = rmsprop_coefficients}},
};

wg_rmsprop_options wg_rmsprop_defaults(void)
{
    return (wg_rmsprop_options){.lr = 1e-2, .alpha = 0.99, .epsilon = 1e-8};
}

wg_optimizer *wg_rmsprop_new(wg_params *set, wg_rmsprop_options o)
{
    const char *invalid = INVALID(NOT_NEGATIVE(lr), FRACTION(alpha), NOT_NEGATIVE(epsilon), NOT_NEGATIVE(momentum),
                                  NOT_NEGATIVE(weight_decay));
    wg__optimizer_options options = {.rmsprop = o};
    return wg__optimizer_new(set, &kind_rmsprop[o.centered][o.momentum > 0], &options, o.lr, o.weight_decay,
                             invalid);
}

/* ---- adam, adamw ---- */

static void adam_shared(const wg_adam_options *o, double lr, int32_t k, double *c)
{
    c[0] = lr / (1 - pow(o->beta1, k));
    c[3] = o->beta1;
    c[4] = o->beta2;
    c[5] = 1 - o->beta2;
    c[6] = 1 / sqrt(1 - pow(o->beta2, k));
    c[7] = o->epsilon;
}

static void adam_coefficients(const wg__optimizer_options *options, double lr, double w, int32_t k, double *c)
{
    adam_shared(&options->adam, lr, k, c);
    c[1] = w;
    c[2] = 1;
}

static void adamw_coefficients(const wg__optimizer_options *options, double lr, double w, int32_t k, double *c)
{
    adam_shared(&options->adam, lr, k, c);
    c[1] = 0;
    c[2] = 1 - lr * w;
}

/* Where the variance is not known yet, the loop divides by 0 sqrt(v) + 1. */
static void radam_coefficients(const wg__optimizer_options *options, double lr, double w, int32_t k, double *c)
{
    adam_coefficients(options, lr, w, k, c);
    const double beta2 = options->adam.beta2, power = pow(beta2, k);
    const double most = 2 / (1 - beta2) - 1, r = most - 2.0 * k * power / (1 - power);
    c[6] = r > 5 ? 1 : 0;
    if (r > 5)
        c[0] *= sqrt((r - 4) * (r - 2) * most / ((most - 4) * (most - 2) * r)) * sqrt(1 - power);
    else
        c[7] = 1;
}

static const wg__optimizer_kind kind_adam = {.name = "adam",
                                             .slots = {"exp_avg", "exp_avg_sq"},
                                             .counts_steps = true,
                                             .update = offsetof(wg__update_kernels, adam),
                                             .coefficients = adam_coefficients};
static const wg__optimizer_kind kind_adamw = {.name = "adamw",
                                              .slots = {"exp_avg", "exp_avg_sq"},
                                              .counts_steps = true,
                                              .update = offsetof(wg__update_kernels, adam),
                                              .coefficients = adamw_coefficients};

static const wg__optimizer_kind kind_amsgrad = {.name = "amsgrad",
                                                .slots = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"},
                                                .counts_steps = true,
                                                .update = offsetof(wg__update_kernels, amsgrad),
                                                .coefficients = adam_coefficients};
static const wg__optimizer_kind kind_radam = {.name = "radam",
                                              .slots = {"exp_avg", "exp_avg_sq"},
                                              .counts_steps = true,
                                              .update = offsetof(wg__update_kernels, adam),
                                              .coefficients = radam_coefficients};

wg_adam_options wg_adam_defaults(void)
{
    return (wg_adam_options){.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
}

wg_adamw_options wg_adamw_defaults(void)
{
    wg_adamw_options options = wg_adam_defaults();
    options.weight_decay = 1e-2;
    return options;
}

static wg_optimizer *adam_new(wg_params *set, const wg__optimizer_kind *kind, wg_adam_options o)
{
    const char *invalid =
        INVALID(NOT_NEGATIVE(lr), DECAY(beta1), DECAY(beta2), NOT_NEGATIVE(epsilon), NOT_NEGATIVE(weight_decay));
    wg__optimizer_options options = {.adam = o};
    return wg__optimizer_new(set, kind, &options, o.lr, o.weight_decay, invalid);
}

wg_optimizer *wg_adam_new(wg_params *set, wg_adam_options o) { return adam_new(set, &kind_adam, o); }
wg_optimizer *wg_adamw_new(wg_params *set, wg_adamw_options o) { return adam_new(set, &kind_adamw, o); }
wg_optimizer *wg_amsgrad_new(wg_params *set, wg_adam_options o) { return adam_new(set, &kind_amsgrad, o); }
wg_optimizer *wg_radam_new(wg_params *set, wg_adam_options o) { return adam_new(set, &kind_radam, o); }

/* ---- adagrad ---- */

static void adagrad_coefficients(const wg__optimizer_options *options, double lr, double w, int32_t k, double *c)
{
    const wg_adagrad_options *o = &options->adagrad;
    c[0] = lr / (1 + (k - 1) * o->lr_decay);
    c[1] = w;
    c[2] = k > 1 ? 0 : o->initial;
    c[3] = o->epsilon;
}

static const wg__optimizer_kind kind_adagrad = {.name = "adagrad",
                                                .slots = {"sum"},
                                                .counts_steps = true,
                                                .update = offsetof(wg__update_kernels, adagrad),
                                                .coefficients = adagrad_coefficients};

wg_adagrad_options wg_adagrad_defaults(void) { return (wg_adagrad_options){.lr = 1e-2, .epsilon = 1e-10}; }

wg_optimizer *wg_adagrad_new(wg_params *set, wg_adagrad_options o)
{
    const char *invalid = INVALID(NOT_NEGATIVE(lr), NOT_NEGATIVE(lr_decay), NOT_NEGATIVE(epsilon),
                                  NOT_NEGATIVE(initial), NOT_NEGATIVE(weight_decay));
    wg__optimizer_options options = {.adagrad = o};
    return wg__optimizer_new(set, &kind_adagrad, &options, o.lr, o.weight_decay, invalid);
}
