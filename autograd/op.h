/* The contract of an op: what the engine knows of it, and nothing else.
 *
 * One constant descriptor per op. The engine reaches every op, its own and a user's alike, through the
 * descriptor; passes see the kind, never the name. An op has one result. Its operands and its result
 * are shapes and dtypes when it is recorded, addresses and strides when it is run.
 *
 *     static wg_status cube_infer(wg_infer *c) { c->out = c->in[0]; return WG_OK; }
 *     static wg_tensor cube_vjp(const wg_vjp_args *v, int k) {
 *         return wg_mul(v->grad, wg_scale(wg_square(v->in[0]), 3));
 *     }
 *     static void cube_f32(const wg_args *a, int64_t task) { ... a->in[0].data ... a->out.data ... }
 *     static wg_kernel cube_select(const wg_op *op, const wg_dtype *in, int n_in, wg_dtype out) {
 *         return out == WG_F32 ? cube_f32 : NULL;
 *     }
 *     static const wg_op cube = {.struct_size = sizeof(wg_op), .name = "cube", .kind = WG_KIND_GENERAL,
 *         .min_in = 1, .max_in = 1, .infer = cube_infer, .vjp = cube_vjp, .select = cube_select};
 *     wg_tensor y = wg_record(&cube, &x, 1, NULL, 0);
 */
#ifndef WG_OP_H
#define WG_OP_H

#include "grad.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct wg_op wg_op;

/* What a pass may know of an op. */
typedef enum wg_kind {
    WG_KIND_GENERAL = 0, /* any kernel: dense operands in, dense result out */
    WG_KIND_POINTWISE,   /* out[i] = f(in0[i], ...), 1 to 4 operands, broadcast: can be fused */
    WG_KIND_VIEW,        /* the same numbers under another shape and strides: costs nothing */
    WG_KIND_PRODUCT,     /* out = in0 in1, matrices over broadcast batches */
    WG_KIND_CONCAT,      /* the operands one after the other along an axis */
    WG_KIND_LEAF,        /* the engine's own: data, parameters */
    WG_KIND_SINK         /* the engine's own: into a gradient or a buffer */
} wg_kind;

/* Flags of an op. */
enum {
    WG_OP_STRIDED = 1,      /* GENERAL: the kernel takes operands with any strides (default: dense) */
    WG_OP_NO_GRADIENT = 2,  /* the derivative is zero or does not exist, and that is meant (argmax, floor);
                              without it, a missing vjp is an error that names the op */
    WG_OP_RANDOM = 4,       /* depends on (seed, step, key): gets a key when it is recorded */
    WG_OP_CHECKS_INDEX = 8, /* the kernel may call wg_args_bad_index */
    WG_OP_SMOOTH = 16,      /* twice differentiable on its domain: tested to second order */
    WG_OP_ADDS_TO = 32 /* GENERAL: operand max_in - 1, optional and of the result's shape and dtype, is what the
                              result is added to; the kernel may find it in the result's own memory. The engine
                              gives it where gradients are added up */
};

/* ---- recording: the shape rule ------------------------------------------------------------------------ */

typedef struct wg_infer {
    const wg_op *op;
    const wg_shape *in;       /* [n_in] shapes of the operands; an optional operand not given has rank -1 */
    const wg_dtype *dtype_in; /* [n_in] */
    int n_in;
    const void *attr; /* the bytes given to wg_record; suitably aligned */
    wg_shape out;     /* result: set by the rule */
    wg_dtype dtype;   /* result: starts as the first operand's */
    wg_error error;   /* set through wg_infer_fail */
} wg_infer;

/* Refuses the operands. The text states the rule and the likely cause; op, scope and shapes are put before
 * it: "matmul [encoder.l0]: [2, 3] x [4, 5]: " + "inner sizes 3 and 4 differ". */
WG_API wg_status wg_infer_fail(wg_infer *infer, wg_status status, const char *rule, ...) WG_PRINTF(3, 4);

/* ---- differentiating -------------------------------------------------------------------------------------- */

typedef struct wg_vjp_args {
    const wg_op *op;
    wg_tensor grad;      /* d loss / d out, of out's shape */
    wg_tensor out;       /* the result */
    const wg_tensor *in; /* [n_in] the operands */
    int n_in;
    const void *attr;
    int64_t *memo; /* [2] the rule's own, from one operand to the next (k only rises); zeros at first */
} wg_vjp_args;

/* ---- running ----------------------------------------------------------------------------------------------- */

typedef struct wg_operand {
    void *data;                  /* first element; 64 readable bytes follow the last */
    int64_t size[WG_MAX_RANK];   /* shape */
    int64_t stride[WG_MAX_RANK]; /* in elements; 0 in broadcast dimensions */
    int32_t rank;
    wg_dtype dtype;
    int64_t numel;
} wg_operand;

typedef struct wg_run wg_run; /* the run's own: random state, where to report */

typedef struct wg_args {
    const wg_op *op;
    wg_operand out;       /* written in full; dense */
    const wg_operand *in; /* [n_in], read only; an optional operand not given has data NULL, rank -1 */
    int n_in;
    const void *attr;
    void *scratch; /* op->scratch bytes, 64-byte aligned, this task's own while it runs */
    wg_run *run;
    uint64_t key;  /* WG_OP_RANDOM: a function of scope and ordinal */
    uint32_t node; /* for reports */
} wg_args;

/* A kernel does task number `task` of the op->tasks(args) that the instruction has. Tasks run in any
 * order on any thread and write disjoint parts of out. It cannot fail, allocate or lock. */
typedef void (*wg_kernel)(const wg_args *args, int64_t task);

/* Says that operand's element at position holds an index out of range. Keep going (with 0, say). */
WG_API void wg_args_bad_index(const wg_args *args, int64_t position, int64_t index, int64_t limit);
/* The run's counter for random numbers: (seed, step). */
WG_API uint64_t wg_args_seed(const wg_args *args);
WG_API uint64_t wg_args_step(const wg_args *args);

/* A pointwise kernel: y[i] = f(x[0][i], x[1][i], ...), i < n, contiguous runs. y may be the same memory as
 * an x. Reads and writes may not touch bytes past n elements. Cast to wg_kernel by select. */
typedef void (*wg_pointwise)(int64_t n, void *y, const void *const *x);

/* A view: the strides (in elements) and offset of the result over the operand's memory. */
typedef struct wg_layout {
    int64_t offset;
    int64_t stride[WG_MAX_RANK];
} wg_layout;

/* ---- the descriptor ------------------------------------------------------------------------------------------ */

struct wg_op {
    size_t struct_size; /* sizeof(wg_op), so that a newer library can tell */
    const char *name;
    wg_kind kind;
    int min_in, max_in; /* operands; those past min_in may be WG_NONE; max_in < 0: any number */
    unsigned flags;

    /* Shape rule. Pointwise ops may leave it NULL: operands broadcast, dtypes equal, result of that dtype. */
    wg_status (*infer)(wg_infer *infer);

    /* Gradient with respect to operand k, in ops; called only for operands that need one. Its shape may be
     * the broadcast one: the engine sums it back. nil or WG_NONE: no gradient flows to operand k. */
    wg_tensor (*vjp)(const wg_vjp_args *v, int k);

    /* The kernel for these dtypes; NULL where there is none: an error when it is recorded. */
    wg_kernel (*select)(const wg_op *op, const wg_dtype *in, int n_in, wg_dtype out);

    /* How many tasks, a function of shapes only. NULL: one. */
    int64_t (*tasks)(const wg_args *args);
    /* Bytes of scratch a task needs, a function of shapes only. NULL: none. */
    size_t (*scratch)(const wg_args *args);

    /* Views only: false where the operand's strides cannot express it; the engine then copies first. */
    bool (*view)(const wg_shape *in, const wg_layout *layout_in, const wg_shape *out, const void *attr,
                 wg_layout *layout_out);
};

/* Records an op. All operands must live on one tape; WG_NONE stands for an optional operand. attr_size
 * bytes at attr (plain data, no pointers, padding zeroed) are part of the program: what changes from step
 * to step is an operand instead. */
WG_API wg_tensor wg_record(const wg_op *op, const wg_tensor *in, int n_in, const void *attr, size_t attr_size);

/* Recording without an operand (random numbers, ranges): the tape is named. */
WG_API wg_tensor wg_record_on(wg_tape *tape, const wg_op *op, const wg_tensor *in, int n_in, const void *attr,
                              size_t attr_size);

/* For op functions that find a mistake in their own arguments before there is anything to record. Stores
 * the error with the scope on the tape of the tensor (or, if it has none, nowhere); returns nil. */
WG_API wg_tensor wg_fail(wg_tensor on, wg_status status, const char *op, const char *rule, ...) WG_PRINTF(4, 5);
WG_API wg_tensor wg_fail_on(wg_tape *tape, wg_status status, const char *op, const char *rule, ...) WG_PRINTF(4, 5);

#ifdef __cplusplus
}
#endif
#endif
