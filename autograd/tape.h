/* The tape: records tensor operations, runs them when a value is wanted.
 *
 *     wg_tape *tape = wg_tape_new(wg_tape_defaults());
 *     wg_tensor x = wg_data(tape, WG_F32, WG_DIMS(2, 3), numbers);
 *     wg_tensor y = wg_sum_all(wg_tanh(x));
 *     printf("%g\n", wg_item(y));
 *     if (wg_tape_reset(tape) != WG_OK) fprintf(stderr, "%s\n", wg_tape_message(tape));
 *     wg_tape_free(tape);
 *
 * Nothing is computed while it is recorded. Work happens when it is forced: wg_eval, wg_backward,
 * reading a value. Errors are sticky: the first is stored on the tape with its text, the operation
 * returns the nil tensor, every later operation accepts nil and does nothing, and wg_tape_reset
 * returns the error and clears it. One thread at a time uses a tape; tapes are independent. */
#ifndef WG_TAPE_H
#define WG_TAPE_H

#include "memory.h"
#include "shape.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wg_tape wg_tape;
typedef struct wg_pool wg_pool;

/* A handle to a value on a tape; passed and returned by value; owns nothing. node == 0 is nil, the
 * result of an operation that failed; a handle of all zeros is WG_NONE, "no operand". */
typedef struct wg_tensor {
    wg_tape *tape;
    uint64_t epoch; /* which life of the tape it belongs to; wg_tape_reset starts a new one */
    uint32_t node;
    uint32_t reserved;
} wg_tensor;

#ifdef __cplusplus
#define WG_NONE (wg_tensor{})
#else
#define WG_NONE ((wg_tensor){0})
#endif

/* ---- making and freeing ------------------------------------------------------------------------ */

typedef struct wg_tape_options {
    wg_allocator allocator; /* zero: malloc */
    wg_pool *pool;          /* worker threads; NULL: the calling thread only. Not owned. */
    uint64_t seed;          /* of all random numbers on this tape; default 0 */
    bool eager;             /* run after every operation, for stepping through with a debugger */
    bool locate_nonfinite;  /* a run that makes NaN or Inf fails and names the first operation that did
                               (a mask of -Inf that is written out is one, too) */
    bool remat;             /* less memory for more time: see wg_remat_begin */
    bool profile;           /* measure the time of every instruction, for wg_profile_dump */
    const char *plan; /* passes to switch off: "-merge,-fuse", or to switch on: "+remat", "+rows" for weights of
                         any size; NULL: the environment's WG_PLAN. A wrong name is an error of the tape */
} wg_tape_options;

WG_API wg_tape_options wg_tape_defaults(void);

/* NULL only when memory is out. */
WG_API wg_tape *wg_tape_new(wg_tape_options options);
WG_API void wg_tape_free(wg_tape *tape);

/* A pool of threads - 1 workers beside the calling thread (threads = 1: none). threads <= 0: as many as
 * this process may use. Tapes can share a pool; one run at a time uses it. NULL when it can't be made. */
WG_API wg_pool *wg_pool_new(int threads);
/* After the tapes that use it. */
WG_API void wg_pool_free(wg_pool *pool);
WG_API int wg_pool_threads(const wg_pool *pool);

/* ---- a step's end, and errors ------------------------------------------------------------------- */

/* Forgets everything recorded, keeps the memory and the cached plans, starts a new epoch. Returns the
 * first error since the last reset; its text can be read with wg_tape_message until the next error. */
WG_API wg_status wg_tape_reset(wg_tape *tape);

/* The first error since the last reset, or WG_OK. */
WG_API wg_status wg_tape_status(const wg_tape *tape);
/* One line: "matmul [encoder.l0]: [2, 3] x [4, 5]: inner sizes 3 and 4 differ"; "" when there was none. */
WG_API const char *wg_tape_message(const wg_tape *tape);

/* Called at the moment an error is stored, so that a breakpoint shows the caller's line. */
typedef void (*wg_error_callback)(void *context, wg_status status, const char *message);
WG_API void wg_tape_on_error(wg_tape *tape, wg_error_callback callback, void *context);

/* ---- modes and names ---------------------------------------------------------------------------- */

/* Train mode (the default) or eval mode: dropout and batch statistics look at it. Returns the old mode. */
WG_API bool wg_set_training(wg_tape *tape, bool training);
WG_API bool wg_is_training(const wg_tape *tape);

/* Between these no gradient flows through what is recorded. They nest. */
WG_API void wg_no_grad_begin(wg_tape *tape);
WG_API void wg_no_grad_end(wg_tape *tape);

/* Rematerialisation, or activation checkpointing. What is recorded between these is not kept for wg_backward, but
 * computed once more when that needs it, from what the region reads: the same bits, less memory, the time of the
 * region's forward pass again. What is read outside of the region is kept. Inside a region they do nothing; one
 * of n layers or steps of a loop each needs about n times less than all of them without.
 *
 *     for (int l = 0; l < layers; l++) {
 *         wg_remat_begin(tape);
 *         x = wg_transformer_layer_apply(&layer[l], x, ...);
 *         wg_remat_end(tape);
 *     }
 *
 * The tape's option `remat` marks regions by itself, where there are no marks: about sqrt(n) of them in an unrolled
 * loop of n steps, or in n layers, cut where little is alive. */
WG_API void wg_remat_begin(wg_tape *tape);
WG_API void wg_remat_end(wg_tape *tape);

/* Names what is recorded until the matching end, for messages, dumps and the time per scope. They nest:
 * "encoder" then "l0" is "encoder.l0". */
WG_API void wg_scope_begin(wg_tape *tape, const char *name);
WG_API void wg_scope_end(wg_tape *tape);

/* Random numbers are a function of (seed, step, scope and ordinal in it, element). The step is the
 * trainer's: set it before each training step. */
WG_API void wg_set_seed(wg_tape *tape, uint64_t seed);
WG_API void wg_set_step(wg_tape *tape, uint64_t step);

/* ---- leaves -------------------------------------------------------------------------------------- */

/* A tensor with a copy of the numbers, dense and row-major. What changes from step to step comes in
 * this way; the plan of the step is reused. */
WG_API wg_tensor wg_data(wg_tape *tape, wg_dtype dtype, wg_shape shape, const void *numbers);
/* The same without the copy: numbers must stay as they are until the reset. Never written to. */
WG_API wg_tensor wg_borrow(wg_tape *tape, wg_dtype dtype, wg_shape shape, const void *numbers);
/* A scalar, shape []. */
WG_API wg_tensor wg_scalar(wg_tape *tape, wg_dtype dtype, double value);

/* ---- what is known without computing -------------------------------------------------------------- */

WG_API wg_shape wg_shape_get(wg_tensor tensor);     /* rank -1 for nil */
WG_API wg_dtype wg_dtype_get(wg_tensor tensor);     /* WG_F32 for nil */
WG_API int wg_rank(wg_tensor tensor);               /* -1 for nil */
WG_API int64_t wg_size(wg_tensor tensor, int axis); /* axis may count from the end: -1 is the last; -1 on error */
WG_API int64_t wg_numel(wg_tensor tensor);          /* 0 for nil */
WG_API bool wg_is_nil(wg_tensor tensor);            /* nil or WG_NONE */

/* ---- force and read ------------------------------------------------------------------------------- */

/* Computes the n tensors, and whatever was kept or assigned and waits. */
WG_API wg_status wg_eval(const wg_tensor *tensors, int n);

/* Marks a tensor: the next run computes it too, and it can be read until the reset. Returns it. */
WG_API wg_tensor wg_keep(wg_tensor tensor);

/* The value as a dense row-major array, computed if it was not; lives until the reset. NULL on error. */
WG_API const void *wg_value(wg_tensor tensor);
/* The value of a tensor with one element, as double. NaN on error. */
WG_API double wg_item(wg_tensor tensor);
/* Copies the value out; bytes must be its size exactly. */
WG_CHECKED WG_API wg_status wg_read(wg_tensor tensor, void *out, size_t bytes);

/* A tensor with the same value through which no gradient flows. */
WG_API wg_tensor wg_detach(wg_tensor tensor);

/* ---- memory --------------------------------------------------------------------------------------- */

WG_API wg_memory wg_tape_memory(const wg_tape *tape);

/* Bytes that computing the tensors would take on top of what is there, without running. 0 on error. */
WG_API size_t wg_plan_bytes(const wg_tensor *tensors, int n);

/* How many operations are recorded; how many plans are cached; how often one was reused or made. */
typedef struct wg_tape_counts {
    uint64_t nodes, plans_cached, plan_hits, plan_misses, instructions; /* instructions: of the last run */
    uint64_t packings; /* how often an operand of products was packed ahead, all runs together */
} wg_tape_counts;
WG_API wg_tape_counts wg_tape_count(const wg_tape *tape);

#ifdef __cplusplus
}
#endif
#endif
