/* Optimizers, gradient clipping, learning rate schedules.
 *
 *     wg_adamw_options options = wg_adamw_defaults();
 *     options.lr = 3e-4;
 *     wg_optimizer *optimizer = wg_adamw_new(model, options);
 *     wg_optimizer_no_decay(optimizer);                             // no weight decay on biases and norms
 *     ...
 *     wg_zero_grad(model);
 *     if (wg_backward(loss) == WG_OK) {
 *         wg_clip_grad_norm(model, 1.0, NULL);
 *         wg_optimizer_step(optimizer);
 *     }
 *
 * An optimizer updates the parameters of one set, outside the tape: a tied parameter once, no buffers, no frozen
 * parameters. Parameters created later are included from the next step on. A parameter that the loss does not depend on
 * has a gradient of zero and is still updated by decay and momentum; PyTorch skips it. Freeze it to get the same.
 *
 * Formulas are PyTorch's, with p the parameter, g its gradient and w the weight decay. */
#ifndef WG_OPTIM_H
#define WG_OPTIM_H

#include "../autograd/param.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wg_optimizer wg_optimizer; /* parameters' state and rule of update */

/* ---- the optimizers ----
 * A `_new` function returns NULL only if out of memory or if the set is NULL. If an option is out of range, the
 * optimizer stores the error and refuses every step: see wg_optimizer_status. Free the optimizer before the set. */

/* SGD:
 *   g += w p;   b = momentum b + (1 - dampening) g, in a parameter's first step b = g;
 *   p -= lr (nesterov ? g + momentum b : b).   Without momentum p -= lr g. */
typedef struct wg_sgd_options {
    double lr;           /* default 1e-3 */
    double momentum;     /* default 0 */
    double dampening;    /* default 0 */
    double weight_decay; /* default 0 */
    bool nesterov;       /* default false; requires momentum > 0 and dampening 0 (Sutskever et al. 2013) */
} wg_sgd_options;
WG_API wg_sgd_options wg_sgd_defaults(void);
WG_API wg_optimizer *wg_sgd_new(wg_params *set, wg_sgd_options options); /* of all parameters of the set */

/* RMSprop (Hinton 2012, lecture 6e; Graves 2013 for the centered form):
 *   g += w p;   s = alpha s + (1 - alpha) g^2;   centered: a = alpha a + (1 - alpha) g, d = s - a^2, else d = s;
 *   u = g / (sqrt(d) + epsilon), epsilon outside the root as in PyTorch, or with epsilon_inside
 *   u = g / sqrt(d + epsilon) as in TensorFlow;   momentum: b = momentum b + u, p -= lr b, else p -= lr u.
 * If rounding makes d negative, it counts as 0. */
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
WG_API wg_optimizer *wg_rmsprop_new(wg_params *set, wg_rmsprop_options options); /* of all parameters of the set */

/* Adam (Kingma, Ba 2015) and AdamW (Loshchilov, Hutter 2019):
 *   g += w p (Adam);  p -= lr w p (AdamW);   m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2;
 *   p -= lr / (1 - beta1^k) m / (sqrt(v / (1 - beta2^k)) + epsilon),  k the parameter's own step count, from 1. */
typedef struct wg_adam_options {
    double lr;           /* default 1e-3 */
    double beta1, beta2; /* defaults 0.9, 0.999 */
    double epsilon;      /* default 1e-8 */
    double weight_decay; /* default 0 (Adam), 1e-2 (AdamW) */
} wg_adam_options;
typedef wg_adam_options wg_adamw_options; /* the same options */
WG_API wg_adam_options wg_adam_defaults(void);
WG_API wg_optimizer *wg_adam_new(wg_params *set, wg_adam_options options); /* of all parameters of the set */
WG_API wg_adamw_options wg_adamw_defaults(void);
WG_API wg_optimizer *wg_adamw_new(wg_params *set, wg_adamw_options options); /* of all parameters of the set */

/* AMSGrad (Reddi et al. 2018), Adam with the largest v up to now in place of v, which is not undone:
 *   h = max(h, v);   p -= lr / (1 - beta1^k) m / (sqrt(h / (1 - beta2^k)) + epsilon). */
WG_API wg_optimizer *wg_amsgrad_new(wg_params *set, wg_adam_options options); /* of all parameters of the set */
/* RAdam (Liu et al. 2020), Adam without its first steps of unknown variance: with R = 2 / (1 - beta2) - 1,
 * r = R - 2 k beta2^k / (1 - beta2^k), c = sqrt((r - 4) (r - 2) R / ((R - 4) (R - 2) r)),
 *   p -= lr / (1 - beta1^k) m (r > 5 ? c sqrt(1 - beta2^k) / (sqrt(v) + epsilon) : 1). */
WG_API wg_optimizer *wg_radam_new(wg_params *set, wg_adam_options options); /* of all parameters of the set */

/* Adagrad (Duchi, Hazan, Singer 2011):
 *   g += w p;   s += g^2, from `initial` on;   p -= lr / (1 + (k - 1) lr_decay) g / (sqrt(s) + epsilon). */
typedef struct wg_adagrad_options {
    double lr;           /* default 1e-2 */
    double lr_decay;     /* default 0 */
    double epsilon;      /* default 1e-10 */
    double initial;      /* default 0 */
    double weight_decay; /* default 0 */
} wg_adagrad_options;
WG_API wg_adagrad_options wg_adagrad_defaults(void);
WG_API wg_optimizer *wg_adagrad_new(wg_params *set, wg_adagrad_options options); /* of all parameters of the set */

/* Accepts NULL. */
WG_API void wg_optimizer_free(wg_optimizer *optimizer);

/* ---- a step ---- */

/* Updates every parameter from its gradient; gradients are unchanged. Refuses the step, and changes nothing, if a
 * gradient has a NaN or Inf (WG_ERR_NONFINITE), if gradients are invalid because a run failed (WG_ERR_GRADIENT), if an
 * option is out of range (WG_ERR_ARGUMENT), or if out of memory for the state of new parameters (WG_ERR_MEMORY). */
WG_API wg_status wg_optimizer_step(wg_optimizer *optimizer);

/* WG_OK, or the error of options out of range. */
WG_API wg_status wg_optimizer_status(const wg_optimizer *optimizer);
/* The last error in one line: "rmsprop: gradient of rnn.weight_ih_l0 is not finite at element 17"; "" if there was
 * none. */
WG_API const char *wg_optimizer_message(const wg_optimizer *optimizer);
/* The number of refused steps since the optimizer was created. */
WG_API uint64_t wg_optimizer_refused(const wg_optimizer *optimizer);
/* The number of steps taken. Loading a checkpoint sets it. */
WG_API uint64_t wg_optimizer_steps(const wg_optimizer *optimizer);
WG_API void wg_optimizer_set_steps(wg_optimizer *optimizer, uint64_t steps);

/* The learning rate, from the next step on. WG_ERR_ARGUMENT if it is negative or not finite. */
WG_API double wg_optimizer_lr(const wg_optimizer *optimizer);
WG_API wg_status wg_optimizer_set_lr(wg_optimizer *optimizer, double lr); /* for schedules */

/* The memory of the state, in bytes, from the set's allocator. */
WG_API wg_memory wg_optimizer_memory(const wg_optimizer *optimizer);

/* "sgd", "rmsprop", "adam", "adamw", "amsgrad", "radam", "adagrad". */
WG_API const char *wg_optimizer_name(const wg_optimizer *optimizer);
/* The set whose parameters it updates; NULL for NULL. */
WG_API wg_params *wg_optimizer_params(const wg_optimizer *optimizer);

/* ---- groups of parameters ---- */

typedef bool (*wg_param_match)(const wg_param *param, void *context); /* Whether a parameter belongs to a group. */

/* Selects parameters and overrides settings for them. */
typedef struct wg_group {
    const char *pattern;  /* names, separated by blanks; * matches any characters: "*.bias encoder.*". Copied. */
    wg_param_match match; /* or a function; with both, both must match; with neither, all parameters match */
    void *context;        /* passed to match; must outlive the optimizer */
    double lr_scale;      /* multiplies the learning rate; < 0: not set, default -1 */
    double weight_decay;  /* in place of the optimizer's own; < 0: not set, default -1 */
} wg_group;
WG_API wg_group wg_group_defaults(void);

/* Adds a group. If several groups match a parameter, the last one that has a setting determines it. Also applies to
 * parameters created later. WG_ERR_ARGUMENT if a setting is not finite, WG_ERR_MEMORY if out of memory. */
WG_API wg_status wg_optimizer_group(wg_optimizer *optimizer, wg_group group);

/* Adds a group without weight decay for biases and norms: the parameters of rank 0 or 1. */
WG_API wg_status wg_optimizer_no_decay(wg_optimizer *optimizer);
/* The match function of that group: rank <= 1. */
WG_API bool wg_param_is_vector(const wg_param *param, void *context);

/* ---- clipping ---- */

/* Clips by global norm (Pascanu, Mikolov, Bengio 2013). norm is the Euclidean norm of all gradients that a step would
 * use (tied ones once, no frozen ones), summed in f64. If norm > max_norm, multiplies them by max_norm / (norm + 1e-6),
 * as in PyTorch; otherwise changes no bit. Squares neither overflow nor vanish, so norm is right for all finite
 * gradients that it is a number of f64 for. If norm is NaN or Inf, the gradients are unchanged and the optimizer will
 * refuse the step. Writes norm to *norm_before unless that is NULL. WG_ERR_ARGUMENT if max_norm is negative or NaN. */
WG_API wg_status wg_clip_grad_norm(wg_params *set, double max_norm, double *norm_before);
/* Clips every element to [-limit, limit]; NaN stays NaN. Writes the norm before clipping to *norm_before unless that is
 * NULL. WG_ERR_ARGUMENT if limit is negative or NaN. */
WG_API wg_status wg_clip_grad_value(wg_params *set, double limit, double *norm_before);

/* ---- learning rate schedules ----
 * Functions of the step, which counts from 0. Nothing is stored.
 *
 *     wg_optimizer_set_lr(optimizer, wg_schedule_warmup(wg_schedule_cosine(lr, lr / 10, s, steps), s, 100)); */

/* lr factor^floor(step / every) */
WG_API double wg_schedule_step(double lr, uint64_t step, uint64_t every, double factor);
/* lr factor^step */
WG_API double wg_schedule_exponential(double lr, uint64_t step, double factor);
/* lr_end + (lr - lr_end) (1 + cos(pi step / steps)) / 2; lr_end for step >= steps (Loshchilov, Hutter 2017) */
WG_API double wg_schedule_cosine(double lr, double lr_end, uint64_t step, uint64_t steps);
/* lr min(1, (step + 1) / warmup) */
WG_API double wg_schedule_warmup(double lr, uint64_t step, uint64_t warmup);
/* From lr / 25 up to lr at step rise steps - 1, and down to lr / 250000 at step steps - 1, along half waves of a
 * cosine; 0 <= rise <= 1, usually 0.3 (Smith, Topin 2018; PyTorch's OneCycleLR). */
WG_API double wg_schedule_one_cycle(double lr, uint64_t step, uint64_t steps, double rise);

/* ---- state, for checkpoints ----
 * All data that a step reads besides parameters, options and wg_optimizer_steps, as named arrays in a fixed order:
 * "optim.square_avg.rnn.weight_ih_l0" (with the parameter's shape and dtype), "optim.step.rnn.weight_ih_l0" (an i32
 * scalar, if the formula needs it). The optimizer owns the memory; loading a checkpoint writes to it. */

/* Creates the state of parameters that were created or unfrozen since the last step. Steps, saves and loads do it
 * themselves; call it before you count the arrays. WG_ERR_MEMORY if out of memory. */
WG_CHECKED WG_API wg_status wg_optimizer_adopt(wg_optimizer *optimizer);
/* The number of arrays that exist; 0 for NULL. */
WG_API size_t wg_optimizer_state_count(const wg_optimizer *optimizer);
/* Writes the array's name, dtype, shape and address; each pointer may be NULL. Returns false if index is too large. */
WG_API bool wg_optimizer_state_at(wg_optimizer *optimizer, size_t index, const char **name, wg_dtype *dtype,
                                  wg_shape *shape, void **data);

/* Restricts the optimizer to elements [begin, end) of a parameter: a step checks and updates only these, and the state
 * has only these, so that the arrays of wg_optimizer_state_at begin there. For several processes that each update a
 * part of the parameters (dist/dist.h). WG_ERR_ARGUMENT if the range is not inside of the parameter, or if it changes
 * after the first step; WG_ERR_MEMORY. On error the range is as before. */
WG_API wg_status wg_optimizer_own(wg_optimizer *optimizer, const wg_param *param, int64_t begin, int64_t end);
/* Whether it updates every element of every parameter. If not, wg_checkpoint_save and wg_checkpoint_load refuse it. */
WG_API bool wg_optimizer_is_whole(const wg_optimizer *optimizer);
/* Equal for optimizers whose steps are the same: by formula, options, learning rate and groups. 0 for NULL. */
WG_API uint64_t wg_optimizer_hash(const wg_optimizer *optimizer);
/* The number of state arrays of a parameter's shape: 2 for Adam. */
WG_API int wg_optimizer_slots(const wg_optimizer *optimizer);

/* ---- weight averaging ----
 * A running mean of the parameters over training steps, for validation and for use in place of the last parameters:
 *
 *     wg_average *average = wg_average_new(model, 0.999);
 *     ...
 *     wg_optimizer_step(optimizer);
 *     wg_average_update(average);
 *     ...
 *     wg_average_swap(average);                           // the model now has the averages
 *     validate();
 *     wg_average_swap(average);                           // and again the trained parameters
 *
 * The k-th update is a += (1 - decay) / (1 - decay^k) (p - a): the exponential moving average with bias correction
 * (Kingma, Ba 2015). decay 1 gives the mean over all k (Polyak, Juditsky 1992). In f32 a change below half a unit in
 * the last place of a is lost, as in PyTorch: take a set in f64 where 1 - decay is 1e-5 or less, or updates are 1e5 or
 * more. The averages and k are buffers of the set, "average.<name>" and "average_count", so checkpoints include them.
 */

typedef struct wg_average wg_average; /* averages of a set's parameters */

/* Averages the parameters that the set has now, tied ones once, including frozen ones. Reuses existing buffers of these
 * names, which a checkpoint may have filled: a set has one average at a time. Returns NULL if out of memory, if the set
 * is NULL or has an error, or if decay is outside [0, 1]; the set stores the error. */
WG_API wg_average *wg_average_new(wg_params *set, double decay);
WG_API void wg_average_free(wg_average *average); /* accepts NULL; the averages stay in the set */
/* Updates the averages from the current parameters. WG_ERR_ARGUMENT while they are swapped. */
WG_API wg_status wg_average_update(wg_average *average);
/* Exchanges parameters and averages, bit for bit; before the first update only wg_average_is_swapped changes. A
 * checkpoint that is saved while they are swapped has the averages under the parameters' names and the trained
 * parameters under "average.": use it as it is for inference, but swap before training continues. */
WG_API void wg_average_swap(wg_average *average);
WG_API bool wg_average_is_swapped(const wg_average *average);

#ifdef __cplusplus
}
#endif
#endif
