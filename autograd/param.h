/* Parameters and buffers: the numbers that outlive a step.
 *
 * They live outside the tape, in a set, with a name, a value and, for parameters, a gradient. Values
 * stand in slabs that never move, gradients in slabs of the same layout, so that an optimizer walks
 * flat memory and parameters can be added at any time. Errors are sticky on the set, as on a tape. */
#ifndef WG_PARAM_H
#define WG_PARAM_H

#include "tape.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wg_params wg_params;
typedef struct wg_param wg_param;
/* State that outlives a step and is not trained: a carried hidden state, running statistics. It has a
 * name, is saved with the set and is written with wg_assign. */
typedef struct wg_param wg_buffer;

/* An empty set whose members have this dtype (f32 or f64). NULL only when memory is out. */
WG_API wg_params *wg_params_new(wg_dtype dtype);
WG_API wg_params *wg_params_new_with(wg_dtype dtype, wg_allocator allocator, uint64_t seed);
/* Frees the set, its parameters and buffers. */
WG_API void wg_params_free(wg_params *set);

WG_API wg_status wg_params_status(const wg_params *set);
WG_API const char *wg_params_message(const wg_params *set);
WG_API void wg_params_clear_error(wg_params *set);
/* For layers that find a mistake in their options: stores the error, unless there is one; returns status. */
WG_API wg_status wg_params_fail(wg_params *set, wg_status status, const char *format, ...) WG_PRINTF(3, 4);
WG_API wg_dtype wg_params_dtype(const wg_params *set);
/* Seed of the initial values of parameters made from now on; each one's numbers depend on the seed and
 * its name only. Default 0. */
WG_API void wg_params_seed(wg_params *set, uint64_t seed);

/* ---- initial values -------------------------------------------------------------------------------- */

typedef enum wg_init_kind { WG_INIT_CONSTANT, WG_INIT_UNIFORM, WG_INIT_NORMAL, WG_INIT_ORTHOGONAL } wg_init_kind;

typedef struct wg_init {
    wg_init_kind kind;
    double a, b; /* constant: a. uniform: in [a, b). normal: mean a, standard deviation b. orthogonal: gain a */
    bool by_fan; /* uniform, normal: a and b are multiplied with 1/sqrt(fan) as fan says */
    int fan;     /* 0: fan_in; 1: fan_out; 2: their mean */
} wg_init;

WG_API wg_init wg_init_zeros(void);
WG_API wg_init wg_init_constant(double value);
WG_API wg_init wg_init_uniform(double low, double high);
WG_API wg_init wg_init_normal(double mean, double deviation);
/* Glorot and Bengio 2010: U(-l, l), l = sqrt(6 / (fan_in + fan_out)). Of [out, in, ...]: fan_in is the
 * product of all but the first size, fan_out of all but the second. */
WG_API wg_init wg_init_glorot(void);
/* He et al. 2015: N(0, 2 / fan_in). */
WG_API wg_init wg_init_he(void);
/* U(-1/sqrt(fan_in), 1/sqrt(fan_in)): what PyTorch's Linear starts from. */
WG_API wg_init wg_init_fan_in_uniform(void);
/* Saxe et al. 2014: rows (or columns, of which there are fewer) orthonormal, times gain. */
WG_API wg_init wg_init_orthogonal(double gain);

/* ---- members ------------------------------------------------------------------------------------------ */

/* A new parameter. The name must be new in the set. NULL on error, which stays on the set; every
 * function that takes a wg_param accepts NULL and does nothing. */
WG_API wg_param *wg_param_new(wg_params *set, const char *name, wg_shape shape, wg_init init);
WG_API wg_buffer *wg_buffer_new(wg_params *set, const char *name, wg_shape shape, wg_init init);
/* A second name for a parameter: tied weights are saved under both names and are one parameter. */
WG_API wg_param *wg_param_tie(wg_params *set, const char *name, wg_param *param);

/* By name; NULL when there is none (not an error). */
WG_API wg_param *wg_param_find(const wg_params *set, const char *name);

/* Members in the order in which they were made, ties included: index 0 .. count - 1. */
WG_API size_t wg_params_count(const wg_params *set);
WG_API wg_param *wg_params_at(const wg_params *set, size_t index);
WG_API const char *wg_params_name_at(const wg_params *set, size_t index);
/* Numbers that are trained: each tied parameter once, frozen ones and buffers not. */
WG_API int64_t wg_params_trainable(const wg_params *set);

WG_API const char *wg_param_name(const wg_param *param);
WG_API wg_shape wg_param_shape(const wg_param *param);
WG_API wg_dtype wg_param_dtype(const wg_param *param);
WG_API int64_t wg_param_numel(const wg_param *param);
WG_API bool wg_param_is_buffer(const wg_param *param);
WG_API wg_params *wg_param_set(const wg_param *param);

/* A frozen parameter gets no gradient and no update. */
WG_API void wg_param_freeze(wg_param *param, bool frozen);
WG_API bool wg_param_is_frozen(const wg_param *param);

/* ---- numbers -------------------------------------------------------------------------------------------- */

/* The values, dense. */
WG_API const void *wg_param_value(const wg_param *param);
/* The accumulated gradient, dense, of the set's dtype; NULL for a buffer. All zeros when there was none. */
WG_API const void *wg_param_grad(const wg_param *param);
/* The version, which rises with every write. */
WG_API uint64_t wg_param_version(const wg_param *param);

/* To write values (gradients) by hand: begin gives the memory, end raises the version, so that no packed
 * copy is ever stale. */
WG_API void *wg_param_write_begin(wg_param *param);
WG_API void wg_param_write_end(wg_param *param);
WG_API void *wg_param_grad_write_begin(wg_param *param);
WG_API void wg_param_grad_write_end(wg_param *param);

/* Empties all gradients of the set. */
WG_API void wg_zero_grad(wg_params *set);
/* False after a backward run that failed, until wg_zero_grad: an optimizer refuses such a step. */
WG_API bool wg_params_grad_valid(const wg_params *set);

/* ---- on a tape ------------------------------------------------------------------------------------------- */

/* The parameter (or buffer) as a tensor. One node per tape and parameter, however often it is called, until a run
 * assigns it. Its value is read when the run happens; if it has been written since wg_use, other than by wg_assign, the
 * run fails and says so. */
WG_API wg_tensor wg_use(wg_tape *tape, wg_param *param);

/* When the next run ends well, the buffer holds the tensor's value. Shapes and dtypes must be equal. What was recorded
 * from the buffer before goes on meaning its old value, of which the tape keeps a copy until it is reset; a wg_use
 * after the run gives the new one. Of a buffer that is only used within wg_no_grad_begin no copy is kept: what was
 * recorded from its old value cannot run again (WG_ERR_CHANGED). */
WG_API void wg_assign(wg_buffer *buffer, wg_tensor tensor);

WG_API wg_memory wg_params_memory(const wg_params *set);
/* The allocator that the set was made with; what belongs to the set, as an optimizer does, uses it too. */
WG_API wg_allocator wg_params_allocator(const wg_params *set);

#ifdef __cplusplus
}
#endif
#endif
