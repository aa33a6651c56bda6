/* The tape: records tensor operations and runs them when a value is requested.
 *
 *     wg_tape *tape = wg_tape_new(wg_tape_defaults());
 *     wg_tensor x = wg_data(tape, WG_F32, WG_DIMS(2, 3), numbers);
 *     wg_tensor y = wg_sum_all(wg_tanh(x));
 *     printf("%g\n", wg_item(y));
 *     if (wg_tape_reset(tape) != WG_OK) fprintf(stderr, "%s\n", wg_tape_message(tape));
 *     wg_tape_free(tape);
 *
 * Recording computes nothing. wg_eval, wg_backward and the functions that read a value force computation. Errors are
 * sticky: the tape stores the first one with its message, the failed operation returns the nil tensor, later operations
 * accept nil and do nothing, and wg_tape_reset returns the error and clears it. A tape may be used by one thread at a
 * time; tapes are independent of each other. */
#ifndef WG_TAPE_H
#define WG_TAPE_H

#include "memory.h"
#include "shape.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wg_tape wg_tape; /* the recorded program of a step and its memory */
typedef struct wg_pool wg_pool; /* worker threads */

/* A handle of a value on a tape. Passed by value; owns nothing. node == 0: nil, the result of a failed operation. All
 * zeros: WG_NONE, an omitted operand. WG_NONE for one that must not be omitted is an error on the tape of the other
 * operands; if there are none, there is no tape to store it on: the result is WG_NONE, and what reads or differentiates
 * that returns WG_ERR_ARGUMENT, NaN or NULL. */
typedef struct wg_tensor {
    wg_tape *tape;
    uint64_t epoch;    /* of the tape when it was recorded; wg_tape_reset starts a new epoch */
    uint32_t node;     /* number of the node on the tape; 0: nil */
    uint32_t reserved; /* 0 */
} wg_tensor;

#ifdef __cplusplus
#define WG_NONE (wg_tensor{})
#else
/* An omitted operand. */
#define WG_NONE ((wg_tensor){0})
#endif

/* ---- creating and freeing ----------------------------------------------------------------------- */

/* How a tape records and runs. Start from wg_tape_defaults. */
typedef struct wg_tape_options {
    wg_allocator allocator; /* zero: malloc */
    wg_pool *pool;          /* worker threads, not owned by the tape; NULL: the calling thread only */
    uint64_t seed;          /* of all random numbers on this tape; default 0 */
    bool eager;             /* run each operation as soon as it is recorded, for stepping with a debugger */
    bool locate_nonfinite;  /* a run that produces NaN or Inf fails and names the first operation that did so.
                               Constants do not count, nor does -Inf where an operand was -Inf: a mask */
    bool remat;             /* choose rematerialization regions: less memory, more time; see wg_remat_begin */
    bool profile;           /* measure the time of every instruction, for wg_dump_profile */
    size_t plan_bytes;      /* of cached plans and their packed weights; the last plan is always kept. 0: 512 MiB */
    wg_dtype products;      /* WG_F32: the default.
                               WG_BF16: matmul, convolutions and attention round their f32 operands to bf16, to nearest
                               even, and add the products in f32: about twice as fast as f32 with AVX512-BF16 on AMD,
                               more by AMX; elsewhere slower (wg_bf16_is_fast). All else stays f32: parameters, sums,
                               norms, softmax, losses, optimizers. f64 stays f64 (docs/numerics.md).
                               WG_INT8, to evaluate and to generate: products with a matrix that is a parameter read
                               it in 8 bits, with a scale for each column: a token takes the time of reading a quarter
                               of the bytes. It has no gradients */
    const char *plan;       /* planner switches, turned off ("-merge,-fuse") or on ("-all,+fuse", "+remat"):
                               attention, lookup, remat, recompute, residuals, merge, fuse, narrow, share_weight,
                               schedule, pack, place, cache, or all. All are on by default; "+bf16" and "+int8" set
                               products; "+remat" also sets the option remat, "+share_weight" applies that pass to
                               weights of any size. NULL: the environment variable WG_PLAN. An unknown name is an
                               error of the tape */
} wg_tape_options;

WG_API wg_tape_options wg_tape_defaults(void);

/* Returns NULL if out of memory. */
WG_API wg_tape *wg_tape_new(wg_tape_options options);
/* Frees the tape and all its memory; accepts NULL. Parameter sets and the pool are not freed. Does nothing if called
 * from inside of another call on the tape, by a callback. */
WG_API void wg_tape_free(wg_tape *tape);

/* Creates a pool of `threads` threads, the calling thread included: threads - 1 workers are started. threads <= 0: one
 * per CPU that the process may use. Tapes can share a pool; one run at a time uses it, and a run that finds it in use
 * runs on its calling thread alone, as do all runs in a child after fork(). Returns NULL if memory or threads cannot be
 * allocated. */
WG_API wg_pool *wg_pool_new(int threads);
/* Must not be called before the tapes that use the pool are freed. Accepts NULL. */
WG_API void wg_pool_free(wg_pool *pool);
/* The number of threads, the calling thread included; 1 for NULL. */
WG_API int wg_pool_threads(const wg_pool *pool);

/* ---- reset and errors ---------------------------------------------------------------------------- */

/* Discards everything recorded and starts a new epoch; tensors of the old one become invalid. Memory and cached plans
 * are kept. What was begun and not ended (no_grad, rematerialization regions, scopes) ends, so that a step that failed
 * half-way leaves nothing open: a loop that resets begins them anew in each round. Returns the first error since the
 * last reset; its message can be read with wg_tape_message until the next error. */
WG_API wg_status wg_tape_reset(wg_tape *tape);

/* The first error since the last reset, or WG_OK. */
WG_API wg_status wg_tape_status(const wg_tape *tape);
/* Its message, one line: "matmul [encoder.l0]: [2, 3] x [4, 5]: inner sizes 3 and 4 differ"; "" if there was none. */
WG_API const char *wg_tape_message(const wg_tape *tape);

/* Called when an error is stored, so that a breakpoint in it shows the line that caused the error. The failed call has
 * not returned yet: on its tape, wg_tape_reset and wg_tape_free then do nothing (wg_tape_reset returns the error), and
 * nothing is recorded or computed, as always after an error. Other tapes may be used. The callback must not free the
 * parameter sets and the pool that the tape uses. */
typedef void (*wg_error_callback)(void *context, wg_status status, const char *message);
WG_API void wg_tape_on_error(wg_tape *tape, wg_error_callback callback, void *context);

/* Whether products in bf16 take less time than in f32 on this machine: by AMX, or by AVX512-BF16 of AMD. Elsewhere they
 * work, by widening, and take longer. */
WG_API bool wg_bf16_is_fast(void);

/* ---- modes and names ---------------------------------------------------------------------------- */

/* Selects training mode (the default) or evaluation mode, which dropout and batch statistics depend on. Returns the
 * previous mode. */
WG_API bool wg_set_training(wg_tape *tape, bool training);
WG_API bool wg_is_training(const wg_tape *tape);

/* No gradient flows through operations recorded between these calls. They nest; wg_tape_reset ends them all. */
WG_API void wg_no_grad_begin(wg_tape *tape);
WG_API void wg_no_grad_end(wg_tape *tape);

/* Mark a rematerialization region (activation checkpointing). Values that only the region reads are not saved for the
 * backward pass, which recomputes them from the region's inputs. The results are identical bit by bit; memory is traded
 * for the time of one more forward pass of the region. Values that are read outside of the region are saved. Nested
 * calls have no effect. With one region for each of n layers or time steps, the layers or steps together need about n
 * times less memory.
 *
 *     for (int l = 0; l < layers; l++) {
 *         wg_remat_begin(tape);
 *         x = wg_transformer_layer_apply(&layer[l], x, ...);
 *         wg_remat_end(tape);
 *     }
 *
 * If the program marks no region, the tape's option `remat` chooses them: about sqrt(n) regions for n layers or an
 * unrolled loop of n steps, with boundaries where few bytes are live. */
WG_API void wg_remat_begin(wg_tape *tape);
WG_API void wg_remat_end(wg_tape *tape);

/* Names the operations recorded until the matching end, for error messages, dumps and profiles. Scopes nest: "l0"
 * inside of "encoder" is "encoder.l0". */
WG_API void wg_scope_begin(wg_tape *tape, const char *name);
WG_API void wg_scope_end(wg_tape *tape);

/* A random number is a function of (seed, step, scope, ordinal of the op in its scope, element) and of nothing else.
 * The step is 0 at first and advances by itself: wg_tape_reset adds 1 if random numbers were drawn since the step was
 * last set or advanced, and no error occurred, so that a step that failed can be tried again with the same numbers.
 * wg_set_step sets the step of the runs that follow: in each training step, to number them yourself, or once, to
 * resume. */
WG_API void wg_set_seed(wg_tape *tape, uint64_t seed);
WG_API void wg_set_step(wg_tape *tape, uint64_t step);
/* The step after the next reset. wg_set_step of it, on a tape with the same seed, resumes the sequence: save it in
 * wg_checkpoint.step. 0 for NULL. */
WG_API uint64_t wg_next_step(const wg_tape *tape);

/* ---- leaves -------------------------------------------------------------------------------------- */

/* Records a tensor with a copy of `numbers`, which are contiguous and row-major; of WG_BOOL they are bytes, and any but
 * 0 is true. Use it for input that changes from step to step: the cached plan of the step is reused. */
WG_API wg_tensor wg_data(wg_tape *tape, wg_dtype dtype, wg_shape shape, const void *numbers);
/* Records a tensor without a copy: numbers must remain valid and unchanged until the reset. They are not written to.
 * Those that are not aligned as C wants it, as in the middle of a mapped file, are copied, and so are bytes of WG_BOOL
 * if one is neither 0 nor 1. */
WG_API wg_tensor wg_borrow(wg_tape *tape, wg_dtype dtype, wg_shape shape, const void *numbers);
/* A scalar, shape []. An error if the dtype is i32 and the value is not an i32. */
WG_API wg_tensor wg_scalar(wg_tape *tape, wg_dtype dtype, double value);

/* ---- queries that need no computation ------------------------------------------------------------ */

WG_API wg_shape wg_shape_get(wg_tensor tensor);     /* rank -1 for nil */
WG_API wg_dtype wg_dtype_get(wg_tensor tensor);     /* WG_F32 for nil */
WG_API int wg_rank(wg_tensor tensor);               /* -1 for nil */
WG_API int64_t wg_size(wg_tensor tensor, int axis); /* axis -1 is the last; -1 on error */
WG_API int64_t wg_numel(wg_tensor tensor);          /* 0 for nil */
WG_API bool wg_is_nil(wg_tensor tensor);            /* nil or WG_NONE */

/* ---- evaluating and reading ----------------------------------------------------------------------- */

/* Computes the n tensors, and all pending wg_keep and wg_assign. The values can be read until the reset. */
WG_API wg_status wg_eval(const wg_tensor *tensors, int n);

/* Marks a tensor to be computed by the next run as well; its value can then be read until the reset. Returns the
 * tensor. */
WG_API wg_tensor wg_keep(wg_tensor tensor);

/* The value as a contiguous row-major array, valid until the reset. Computes it if needed. Returns NULL on error. */
WG_API const void *wg_value(wg_tensor tensor);
/* The value of a tensor with one element, as a double. Computes it if needed. Returns NaN on error. */
WG_API double wg_item(wg_tensor tensor);
/* Copies the value to out. Computes it if needed. `bytes` must equal its size. */
WG_CHECKED WG_API wg_status wg_read(wg_tensor tensor, void *out, size_t bytes);

/* A tensor with the same value through which no gradient flows. */
WG_API wg_tensor wg_detach(wg_tensor tensor);

/* ---- memory and counters --------------------------------------------------------------------------- */

/* Memory taken from the tape's allocator. */
WG_API wg_memory wg_tape_memory(const wg_tape *tape);

/* Additional bytes that computing the tensors would take. Makes and caches the plan, but does not run it. Returns 0 on
 * error. */
WG_API size_t wg_plan_bytes(const wg_tensor *tensors, int n);

/* What a tape has recorded, planned and run. */
typedef struct wg_tape_counts {
    uint64_t nodes;        /* recorded since the reset */
    uint64_t plans_cached; /* plans in the cache ... */
    uint64_t plan_bytes;   /* ... and their bytes, with packed weights */
    uint64_t plan_hits;    /* requests for which a cached plan was used, ... */
    uint64_t plan_misses;  /* ... and for which a plan was made */
    uint64_t instructions; /* of the last run */
    uint64_t packings;     /* operands of products packed in advance, in all runs */
} wg_tape_counts;
WG_API wg_tape_counts wg_tape_count(const wg_tape *tape); /* the counts now; zeros for NULL */

#ifdef __cplusplus
}
#endif
#endif
