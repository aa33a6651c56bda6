/* Parameters and buffers: named values that persist across steps.
 *
 * A set, independent of any tape, owns its members. Each has a name, a value and, if it is a parameter, a gradient.
 * Values are stored in slabs that never move, gradients in slabs of the same layout, so that an optimizer walks flat
 * memory and parameters can be added at any time. Errors are sticky on the set, as on a tape.
 *
 *     wg_params *model = wg_params_new(WG_F32);
 *     wg_param *weight = wg_param_new(model, "weight", WG_DIMS(10, 784), wg_init_glorot());
 *     wg_param *bias = wg_param_new(model, "bias", WG_DIMS(10), wg_init_zeros());
 *     if (wg_params_status(model) != WG_OK) fprintf(stderr, "%s\n", wg_params_message(model));
 *     wg_tensor y = wg_linear(x, wg_use(tape, weight), wg_use(tape, bias));
 *     ...
 *     const float *numbers = wg_param_value(weight);                // [10, 784]
 *     wg_params_free(model); */
#ifndef WG_PARAM_H
#define WG_PARAM_H

#include "tape.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wg_params wg_params; /* a set of parameters and buffers */
typedef struct wg_param wg_param;   /* a member of a set */
/* State that persists across steps and is not trained: a hidden state, running statistics. Saved with the set; written
 * with wg_assign. */
typedef struct wg_param wg_buffer;

/* Creates an empty set whose members have this dtype. WG_BF16: parameters of f32 that are stored in bf16, in 2 bytes an
 * element and without gradients, to evaluate and to generate; buffers are f32. They are rounded to nearest, ties to
 * even, when they are made, loaded or written; wg_use widens them, so that results have the bits of f32 parameters so
 * rounded. Products read them as they are, other ops widen what they read. A gradient for one that is not frozen is an
 * error, WG_ERR_GRADIENT. Returns NULL if out of memory, or for another dtype. */
WG_API wg_params *wg_params_new(wg_dtype dtype);
/* The same with an allocator and the seed of initial values. */
WG_API wg_params *wg_params_new_with(wg_dtype dtype, wg_allocator allocator, uint64_t seed);
/* Frees the set, its parameters and its buffers; accepts NULL. Tapes that use them must not run afterwards. */
WG_API void wg_params_free(wg_params *set);

/* The first error since the set was created or the error cleared, or WG_OK. */
WG_API wg_status wg_params_status(const wg_params *set);
/* Its message, one line; "" if there was none. */
WG_API const char *wg_params_message(const wg_params *set);
/* Forgets the error: the set can be used again. */
WG_API void wg_params_clear_error(wg_params *set);
/* For layers that reject their options: stores the error, unless the set has one already. Returns status. */
WG_API wg_status wg_params_fail(wg_params *set, wg_status status, const char *format, ...) WG_PRINTF(3, 4);
WG_API wg_dtype wg_params_dtype(const wg_params *set);   /* of wg_use: f32 or f64 */
WG_API wg_dtype wg_params_storage(const wg_params *set); /* of the parameters in memory: the same, or WG_BF16 */
/* The pool of the tape that last computed gradients of the set: optimizers and clipping run on its threads, with the
 * same bits on any number of them. NULL: none, or it has been freed. */
WG_API struct wg_pool *wg_params_pool(const wg_params *set);
/* Sets the seed of the initial values of members created from now on. They depend on the seed and the member's name
 * only. Default 0. */
WG_API void wg_params_seed(wg_params *set, uint64_t seed);

/* ---- initial values -------------------------------------------------------------------------------- */

/* A distribution: WG_INIT_CONSTANT a, WG_INIT_UNIFORM in [a, b), WG_INIT_NORMAL and WG_INIT_ORTHOGONAL below. */
typedef enum wg_init_kind { WG_INIT_CONSTANT, WG_INIT_UNIFORM, WG_INIT_NORMAL, WG_INIT_ORTHOGONAL } wg_init_kind;

/* Initial values of a parameter. Make one by a function below. */
typedef struct wg_init {
    wg_init_kind kind; /* how a and b are read */
    double a, b; /* constant: a. uniform: in [a, b). normal: mean a, standard deviation b. orthogonal: gain a */
    bool by_fan; /* uniform, normal: a and b are multiplied by 1/sqrt(fan) */
    int fan;     /* 0: fan_in; 1: fan_out; 2: their mean */
} wg_init;

WG_API wg_init wg_init_zeros(void);                           /* all 0 */
WG_API wg_init wg_init_constant(double value);                /* all `value` */
WG_API wg_init wg_init_uniform(double low, double high);      /* in [low, high) */
WG_API wg_init wg_init_normal(double mean, double deviation); /* Gaussian */
/* Glorot and Bengio 2010: U(-l, l), l = sqrt(6 / (fan_in + fan_out)). For a shape [out, in, ...], fan_in is the product
 * of all sizes but the first, fan_out of all but the second. */
WG_API wg_init wg_init_glorot(void);
/* He et al. 2015: N(0, 2 / fan_in). */
WG_API wg_init wg_init_he(void);
/* U(-1/sqrt(fan_in), 1/sqrt(fan_in)), as in PyTorch's Linear. */
WG_API wg_init wg_init_fan_in_uniform(void);
/* Saxe et al. 2014: orthonormal rows, or columns if there are fewer of them, times gain. The matrix is
 * [size[0], product of the other sizes]. */
WG_API wg_init wg_init_orthogonal(double gain);

/* ---- members ------------------------------------------------------------------------------------------ */

/* Creates a parameter or buffer. The name must be unique in the set. On error stores it on the set and returns NULL;
 * functions that take a wg_param accept NULL and do nothing. */
WG_API wg_param *wg_param_new(wg_params *set, const char *name, wg_shape shape, wg_init init);
/* The same for a buffer: state that is saved, but not trained. */
WG_API wg_buffer *wg_buffer_new(wg_params *set, const char *name, wg_shape shape, wg_init init);
/* Gives a parameter of the set a second name (tied weights): it is saved under both names. Returns param, or NULL on
 * error. */
WG_API wg_param *wg_param_tie(wg_params *set, const char *name, wg_param *param);

/* Finds a member by name. Returns NULL if there is none, which is not an error. */
WG_API wg_param *wg_param_find(const wg_params *set, const char *name);

/* Members in the order of creation, ties included: index 0 to count - 1. NULL past the end. */
WG_API size_t wg_params_count(const wg_params *set);
WG_API wg_param *wg_params_at(const wg_params *set, size_t index);        /* the member */
WG_API const char *wg_params_name_at(const wg_params *set, size_t index); /* its name */
/* The number of trainable elements: tied parameters count once; frozen ones, those in bf16 and buffers do not. */
WG_API int64_t wg_params_trainable(const wg_params *set);

WG_API const char *wg_param_name(const wg_param *param); /* the first one, if tied */
/* The index of the member of that name; a tied parameter has more members, after it. */
WG_API size_t wg_param_index(const wg_param *param);
WG_API wg_shape wg_param_shape(const wg_param *param); /* rank -1 for NULL */
WG_API wg_dtype wg_param_dtype(const wg_param *param); /* of its value in memory: the set's, or WG_BF16 */
WG_API int64_t wg_param_numel(const wg_param *param);  /* the number of elements */
WG_API bool wg_param_is_buffer(const wg_param *param); /* made by wg_buffer_new: not trained */
WG_API wg_params *wg_param_set(const wg_param *param); /* the set that owns it */

/* A frozen parameter receives no gradient and no update. */
WG_API void wg_param_freeze(wg_param *param, bool frozen);
WG_API bool wg_param_is_frozen(const wg_param *param);

/* ---- values and gradients --------------------------------------------------------------------------------- */

/* The value, contiguous and row-major, of the parameter's dtype: numbers in bf16 are the upper halves of f32, as
 * uint16_t. Valid until the set is freed. */
WG_API const void *wg_param_value(const wg_param *param);
/* The accumulated gradient, contiguous, of the set's dtype. Zeros if there was none since wg_zero_grad. NULL for a
 * buffer and a parameter in bf16. */
WG_API const void *wg_param_grad(const wg_param *param);
/* The version of the value; increases with every write. */
WG_API uint64_t wg_param_version(const wg_param *param);

/* Write a value or gradient directly: begin returns its memory, to be written until end is called. Packed copies of a
 * weight are not used in between; wg_param_write_end increases its version. wg_param_grad_write_begin returns NULL for
 * a buffer and a parameter in bf16. */
WG_API void *wg_param_write_begin(wg_param *param);
WG_API void wg_param_write_end(wg_param *param);
WG_API void *wg_param_grad_write_begin(wg_param *param);
WG_API void wg_param_grad_write_end(wg_param *param);

/* Sets all gradients of the set to zero and makes them valid again. */
WG_API void wg_zero_grad(wg_params *set);
/* False after a backward pass failed, until wg_zero_grad. An optimizer rejects such a step. */
WG_API bool wg_params_grad_valid(const wg_params *set);

/* ---- on a tape ------------------------------------------------------------------------------------------- */

/* Records the parameter or buffer as a tensor. Repeated calls return the same node, after wg_assign the assigned
 * tensor, detached. The value is read when the program runs; if it was written after wg_use, other than by
 * wg_assign, the run fails with WG_ERR_CHANGED. */
WG_API wg_tensor wg_use(wg_tape *tape, wg_param *param);

/* Assigns the tensor's value to the buffer: a wg_use from here on returns it, and the next run that succeeds writes
 * it to the buffer. If a buffer is assigned several times before a run, the last value is written. Shapes and dtypes
 * must be equal. Tensors recorded from the buffer before keep its old value, of which the tape keeps a copy until
 * the reset. If the buffer was only used inside of wg_no_grad_begin, no copy is kept, and tensors recorded from the
 * old value cannot be computed after the run (WG_ERR_CHANGED). */
WG_API void wg_assign(wg_buffer *buffer, wg_tensor tensor);

/* Memory taken from the set's allocator. */
WG_API wg_memory wg_params_memory(const wg_params *set);
/* The allocator of the set. Objects that belong to the set, such as an optimizer, use it too. */
WG_API wg_allocator wg_params_allocator(const wg_params *set);

#ifdef __cplusplus
}
#endif
#endif
