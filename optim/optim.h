/* Optimizers, gradient clipping, learning rate schedules.
 *
 *     wg_adamw_options options = wg_adamw_defaults();
 *     options.lr = 3e-4;
 *     wg_optimizer *optimizer = wg_adamw_new(model, options);
 *     wg_optimizer_no_decay(optimizer);                             // biases and norms keep their size
 *     ...
 *     wg_zero_grad(model);
 *     if (wg_backward(loss) == WG_OK) {
 *         wg_clip_grad_norm(model, 1.0, NULL);
 *         wg_optimizer_step(optimizer);
 *     }
 *
 * An optimizer walks the parameters of one set, outside the tape: every tied parameter once, buffers never,
 * frozen parameters not while they are frozen. Parameters made later join at the next step. A parameter on
 * which the loss does not depend has gradient zero, and is updated with that (decay, momentum); PyTorch skips
 * it: freeze it for the same.
 *
 * Formulas are PyTorch's, with p the parameter, g its gradient and w the weight decay. */
#ifndef WG_OPTIM_H
#define WG_OPTIM_H

#include "../autograd/param.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wg_optimizer wg_optimizer;

/* ---- the optimizers ----
 * A `_new` returns NULL only when memory is out or the set is NULL. Options out of range stay as an error on
 * the optimizer, which then refuses every step: see wg_optimizer_status. Free it before the set. */

/*   g += w p;   b = momentum b + (1 - dampening) g, at a parameter's first step b = g;
 *   p -= lr (nesterov ? g + momentum b : b).   Without momentum p -= lr g. */
typedef struct wg_sgd_options {
    double lr;           /* default 1e-3 */
    double momentum;     /* default 0 */
    double dampening;    /* default 0 */
    double weight_decay; /* default 0 */
    bool nesterov;       /* default false; asks for momentum > 0 and dampening 0 (Sutskever et al. 2013) */
} wg_sgd_options;
WG_API wg_sgd_options wg_sgd_defaults(void);
WG_API wg_optimizer *wg_sgd_new(wg_params *set, wg_sgd_options options);

/*   g += w p;   s = alpha s + (1 - alpha) g^2;   centered: a = alpha a + (1 - alpha) g, d = s - a^2, else d = s;
 *   u = g / (sqrt(d) + epsilon): epsilon stands outside the root, as in PyTorch; with epsilon_inside
 *   u = g / sqrt(d + epsilon), as in TensorFlow;   momentum: b = momentum b + u, p -= lr b, else p -= lr u
 *   (Hinton 2012, lecture 6e; Graves 2013 for the centered form). A d below zero by rounding counts as 0. */
typedef struct wg_rmsprop_options {
    double lr;           /* default 1e-2 */
    double alpha;        /* the decay of the running mean; default 0.99 */
    double epsilon;      /* default 1e-8 */
    double momentum;     /* default 0 */
    double weight_decay; /* default 0 */
    bool centered;       /* default false */
    bool epsilon_inside; /* default false */
} wg_rmsprop_options;
WG_API wg_rmsprop_options wg_rmsprop_defaults(void);
WG_API wg_optimizer *wg_rmsprop_new(wg_params *set, wg_rmsprop_options options);

/*   g += w p (Adam);  p -= lr w p (AdamW);   m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2;
 *   p -= lr / (1 - beta1^k) m / (sqrt(v / (1 - beta2^k)) + epsilon),  k the parameter's own step, from 1
 *   (Kingma, Ba 2015; Loshchilov, Hutter 2019). */
typedef struct wg_adam_options {
    double lr;           /* default 1e-3 */
    double beta1, beta2; /* defaults 0.9, 0.999 */
    double epsilon;      /* default 1e-8 */
    double weight_decay; /* default 0 (Adam), 1e-2 (AdamW) */
} wg_adam_options;
typedef wg_adam_options wg_adamw_options;
WG_API wg_adam_options wg_adam_defaults(void);
WG_API wg_optimizer *wg_adam_new(wg_params *set, wg_adam_options options);
WG_API wg_adamw_options wg_adamw_defaults(void);
WG_API wg_optimizer *wg_adamw_new(wg_params *set, wg_adamw_options options);

/* NULL is accepted. */
WG_API void wg_optimizer_free(wg_optimizer *optimizer);

/* ---- a step ---- */

/* Updates every parameter from its gradient, which stays as it is. Refused, with nothing changed, are: a
 * gradient with NaN or Inf (WG_ERR_NONFINITE), gradients that a failed run left invalid (WG_ERR_GRADIENT), options
 * out of range (WG_ERR_ARGUMENT), no memory for the state of new parameters (WG_ERR_MEMORY). */
WG_API wg_status wg_optimizer_step(wg_optimizer *optimizer);

/* How the optimizer stands: what is wrong with its options, or WG_OK. */
WG_API wg_status wg_optimizer_status(const wg_optimizer *optimizer);
/* Of the last error, one line: "rmsprop: gradient of rnn.weight_ih_l0 is not finite at element 17"; "" when
 * there was none. */
WG_API const char *wg_optimizer_message(const wg_optimizer *optimizer);
/* Steps that were refused since the optimizer was made. */
WG_API uint64_t wg_optimizer_refused(const wg_optimizer *optimizer);
/* Steps taken. Set when a checkpoint is loaded. */
WG_API uint64_t wg_optimizer_steps(const wg_optimizer *optimizer);
WG_API void wg_optimizer_set_steps(wg_optimizer *optimizer, uint64_t steps);

/* The learning rate, for the next step on. One that is negative or not finite is refused (WG_ERR_ARGUMENT). */
WG_API double wg_optimizer_lr(const wg_optimizer *optimizer);
WG_API wg_status wg_optimizer_set_lr(wg_optimizer *optimizer, double lr);

/* What the state takes, from the set's allocator. */
WG_API wg_memory wg_optimizer_memory(const wg_optimizer *optimizer);

/* "sgd", "rmsprop", "adam", "adamw". */
WG_API const char *wg_optimizer_name(const wg_optimizer *optimizer);

/* ---- groups of parameters ---- */

typedef bool (*wg_param_match)(const wg_param *param, void *context);

/* Which parameters, and what is different for them. */
typedef struct wg_group {
    const char *pattern;  /* names, separated by blanks; * stands for any characters: "*.bias encoder.*". Copied. */
    wg_param_match match; /* or a function; with both, both must say yes; with neither, all match */
    void *context;        /* given to match; must last as long as the optimizer */
    double lr_scale;      /* the learning rate is multiplied with this; default 1 */
    double weight_decay;  /* default -1: the optimizer's own */
} wg_group;
WG_API wg_group wg_group_defaults(void);

/* Adds a group. For a parameter that several groups match, each setting comes from the last group that has one
 * (lr_scale from the last group that matches). Holds for parameters made later too. */
WG_API wg_status wg_optimizer_group(wg_optimizer *optimizer, wg_group group);

/* Biases and norms, recognised by rank 0 or 1, get no weight decay. */
WG_API wg_status wg_optimizer_no_decay(wg_optimizer *optimizer);
/* The match behind it: rank <= 1. */
WG_API bool wg_param_is_vector(const wg_param *param, void *context);

/* ---- clipping ---- */

/* The norm over all gradients of the set that a step would use (ties once, frozen ones not), summed in f64:
 * if norm > max_norm, all are multiplied with max_norm / (norm + 1e-6), as in PyTorch; below, no bit changes. A
 * norm that is NaN or Inf is returned as it is and the gradients stay untouched: the optimizer then refuses
 * the step (but for f64 gradients beyond 1e154, whose squares overflow). norm_before may be NULL.
 * WG_ERR_ARGUMENT for max_norm < 0 or NaN (Pascanu, Mikolov, Bengio 2013). */
WG_API wg_status wg_clip_grad_norm(wg_params *set, double max_norm, double *norm_before);
/* Every element into [-limit, limit]; NaN stays NaN. limit >= 0. Returns the norm before in *norm_before, unless
 * that is NULL. */
WG_API wg_status wg_clip_grad_value(wg_params *set, double limit, double *norm_before);

/* ---- learning rate schedules: functions of the step, counted from 0 ----
 *     wg_optimizer_set_lr(optimizer, wg_schedule_warmup(wg_schedule_cosine(lr, lr / 10, s, steps), s, 100)); */

/* lr factor^floor(step / every) */
WG_API double wg_schedule_step(double lr, uint64_t step, uint64_t every, double factor);
/* lr factor^step */
WG_API double wg_schedule_exponential(double lr, uint64_t step, double factor);
/* lr_end + (lr - lr_end) (1 + cos(pi step / steps)) / 2; lr_end from step = steps on (Loshchilov, Hutter 2017) */
WG_API double wg_schedule_cosine(double lr, double lr_end, uint64_t step, uint64_t steps);
/* lr min(1, (step + 1) / warmup) */
WG_API double wg_schedule_warmup(double lr, uint64_t step, uint64_t warmup);

/* ---- state, for checkpoints ----
 * Everything a step reads besides parameters, options and wg_optimizer_steps, as named arrays in a fixed order:
 * "optim.square_avg.rnn.weight_ih_l0" (the parameter's shape and dtype), "optim.step.rnn.weight_ih_l0" (an i32
 * scalar, where the formula needs it). The memory is the optimizer's; loading writes into it. */

/* How many there are, 0 for NULL. Parameters that were made, or thawed, since the last step join now. */
WG_API size_t wg_optimizer_state_count(wg_optimizer *optimizer);
/* False past the end. Any of the four results may be NULL. */
WG_API bool wg_optimizer_state_at(wg_optimizer *optimizer, size_t index, const char **name, wg_dtype *dtype,
                                  wg_shape *shape, void **data);

/* ---- average of weights ----
 * A running mean of the parameters over the steps of training, to validate and to use instead of the last ones:
 *
 *     wg_average *average = wg_average_new(model, 0.999);
 *     ...
 *     wg_optimizer_step(optimizer);
 *     wg_average_update(average);
 *     ...
 *     wg_average_swap(average);                           // the model holds the average
 *     validate();
 *     wg_average_swap(average);                           // and again what is trained
 *
 * The k-th update is a += (1 - decay) / (1 - decay^k) (p - a): the exponential moving average with the correction of
 * its start (Kingma, Ba 2015) inside, so that a needs none. decay 1 is the mean of all k (Polyak, Juditsky 1992).
 * The averages and k are buffers of the set, "average.<name>" and "average_count": saved and restored with it. */

typedef struct wg_average wg_average;

/* Averages the parameters that are in the set now, ties once, frozen ones too. NULL where memory is out, the set is
 * NULL or has an error, decay is outside [0, 1]; the reason is then on the set. Buffers of these names that are there
 * already are taken over. */
WG_API wg_average *wg_average_new(wg_params *set, double decay);
WG_API void wg_average_free(wg_average *average);
/* Takes in the parameters as they are. WG_ERR_ARGUMENT while they are swapped. */
WG_API wg_status wg_average_update(wg_average *average);
/* Exchanges parameters and averages, bit for bit. Before the first update it does nothing but note it. What is saved
 * while they are swapped has the average under the parameters' names, and what was trained under "average.": good to
 * use, but to train on swap first. */
WG_API void wg_average_swap(wg_average *average);
WG_API bool wg_average_is_swapped(const wg_average *average);

#ifdef __cplusplus
}
#endif
#endif
