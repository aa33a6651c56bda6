/* The contract between an op and the engine.
 *
 * An op is one constant descriptor, wg_op. The engine accesses all ops through it, built-in ones and those of users
 * alike; planner passes depend on the kind, never on the name. An op has one result. Its operands and its result are
 * shapes and dtypes when it is recorded, addresses and strides when it runs.
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

typedef struct wg_op wg_op; /* the descriptor of an op, below */

/* What planner passes may assume about an op. */
typedef enum wg_kind {
    WG_KIND_GENERAL = 0, /* any kernel; contiguous operands and result */
    WG_KIND_POINTWISE,   /* out[i] = f(in0[i], ...), 1 to 4 operands, which broadcast; can be fused */
    WG_KIND_VIEW,        /* the operand's elements under another shape and strides; free */
    WG_KIND_PRODUCT,     /* reserved for wg_matmul: out = in0 in1, products of matrices, with broadcast batches */
    WG_KIND_CONCAT,      /* reserved for wg_concat: the concatenation of the operands along an axis */
    WG_KIND_LEAF,        /* reserved for the engine: data, parameters */
    WG_KIND_SINK         /* reserved: of former versions */
} wg_kind;

/* Flags of an op. */
enum {
    WG_OP_STRIDED = 1,      /* GENERAL: the kernel accepts operands with any strides (default: contiguous) */
    WG_OP_NO_GRADIENT = 2,  /* the derivative is zero or does not exist (argmax, floor): no gradient flows to the
                               operands. Without this flag, a missing vjp is an error that names the op */
    WG_OP_RANDOM = 4,       /* depends on (seed, step, key); receives its key when it is recorded */
    WG_OP_CHECKS_INDEX = 8, /* the kernel may call wg_args_bad_index */
    WG_OP_SMOOTH = 16,      /* twice differentiable on its domain: tested to second order */
    WG_OP_ADDS_TO = 32,     /* GENERAL: the result is added to operand max_in - 1, which is optional and has the
                               result's shape and dtype. It may be stored in the result's own memory. The engine
                               supplies it where it accumulates gradients */
    WG_OP_UPDATES = 64 /* GENERAL: the result is operand max_in - 1, of its shape and dtype, with a part replaced.
                               It may be stored in the result's own memory; then only the part is written */
};

/* ---- recording: the shape rule ------------------------------------------------------------------------ */

/* What a shape rule is given, and what it sets. */
typedef struct wg_infer {
    const wg_op *op;          /* whose rule is called */
    const wg_shape *in;       /* [n_in] shapes of the operands; rank -1: an omitted optional operand */
    const wg_dtype *dtype_in; /* [n_in] */
    int n_in;                 /* number of operands */
    const void *attr;         /* the bytes passed to wg_record, aligned for any type; NULL if there are none */
    wg_shape out;             /* of the result: the rule sets it */
    wg_dtype dtype;           /* of the result: initialized with the first operand's */
    wg_error error;           /* set by wg_infer_fail */
} wg_infer;

/* Rejects the operands. The text states the violated rule and the likely cause. The engine prepends op, scope and
 * shapes: "matmul [encoder.l0]: [2, 3] x [4, 5]: " + "inner sizes 3 and 4 differ". Returns status. */
WG_API wg_status wg_infer_fail(wg_infer *infer, wg_status status, const char *rule, ...) WG_PRINTF(3, 4);

/* ---- differentiating -------------------------------------------------------------------------------------- */

/* A rule records ops. It must not evaluate tensors, use parameters or random numbers, assign, keep or reset: an
 * error on the tape. Operands may be equal tensors or depend on each other: a rule that differentiates a formula of
 * its own (wg_vjp) counts such an operand several times, unless the formula is recorded on a wg_detach of each
 * operand. */

/* What a rule for gradients is given. */
typedef struct wg_vjp_args {
    const wg_op *op;     /* whose rule is called */
    wg_tensor grad;      /* d loss / d out, of the shape of out */
    wg_tensor out;       /* the result */
    const wg_tensor *in; /* [n_in] the operands */
    int n_in;            /* number of operands */
    const void *attr;    /* as of wg_infer */
    int64_t *memo; /* [2] zeros at first; lets the rule pass values from one operand to the next (k increases) */
} wg_vjp_args;

/* ---- running ----------------------------------------------------------------------------------------------- */

/* An operand or result while the program runs. */
typedef struct wg_operand {
    void *data;                  /* first element */
    int64_t size[WG_MAX_RANK];   /* shape */
    int64_t stride[WG_MAX_RANK]; /* in elements; 0 in broadcast dimensions */
    int32_t rank;                /* of size and stride */
    wg_dtype dtype;              /* of the elements */
    int64_t numel;               /* number of elements */
} wg_operand;

typedef struct wg_run wg_run; /* internal state of a run: seed, step, errors */

/* What a kernel is given. */
typedef struct wg_args {
    const wg_op *op;      /* whose kernel is called */
    wg_operand out;       /* contiguous; the kernel writes every element */
    const wg_operand *in; /* [n_in] read only; data NULL and rank -1: an omitted optional operand */
    int n_in;             /* number of operands */
    const void *attr;     /* as of wg_infer */
    void *scratch;        /* op->scratch bytes, 64-byte aligned, for this task only; contents undefined */
    wg_run *run;          /* for wg_args_seed and the like */
    uint64_t key;         /* WG_OP_RANDOM: a function of the scope and the op's ordinal in it */
    uint32_t node;        /* for error messages */
    bool bf16;            /* products round their f32 operands to bf16 */
} wg_args;

/* Runs task `task`, 0 <= task < op->tasks(args). Tasks run in any order on any thread and must write disjoint parts of
 * out, with rounding to nearest, no traps, and denormals flushed to zero. A kernel cannot fail and must not allocate,
 * lock or call the library, except for wg_args_*. */
typedef void (*wg_kernel)(const wg_args *args, int64_t task);

/* Reports that the index at element `position` of an operand is not in [0, limit). The kernel must continue, with index
 * 0 for example; the run then fails with WG_ERR_INDEX. Of several reports the first by (node, position) is kept. */
WG_API void wg_args_bad_index(const wg_args *args, int64_t position, int64_t index, int64_t limit);
/* Seed and step of the run, for random numbers. */
WG_API uint64_t wg_args_seed(const wg_args *args);
WG_API uint64_t wg_args_step(const wg_args *args);

/* A pointwise kernel: y[i] = f(x[0][i], x[1][i], ...), i < n, all contiguous. y may equal one of the x. Must not access
 * bytes past n elements. select returns it cast to wg_kernel. */
typedef void (*wg_pointwise)(int64_t n, void *y, const void *const *x);

/* A view: offset and strides, in elements, of the result in the operand's memory. */
typedef struct wg_layout {
    int64_t offset;              /* of the first element */
    int64_t stride[WG_MAX_RANK]; /* of each axis of the result */
} wg_layout;

/* ---- the descriptor ------------------------------------------------------------------------------------------ */

/* Checked when a tape records the op for the first time; it must not change after that. Its functions must not use the
 * tape, except for vjp, which records: an error on the tape. */
struct wg_op {
    size_t struct_size; /* sizeof(wg_op): lets a newer library detect an older struct */
    const char *name;   /* for messages and dumps: "matmul" */
    wg_kind kind;       /* what passes may assume */
    /* Number of operands; those past min_in may be WG_NONE; max_in < 0: no limit. A pointwise op takes 1 to 4, a view
     * exactly one. */
    int min_in, max_in;
    unsigned flags; /* WG_OP_STRIDED and the like, added up */

    /* Shape rule: sets shape and dtype of the result. NULL, for pointwise ops only: operands broadcast, their dtypes
     * must be equal, and the result has that dtype. */
    wg_status (*infer)(wg_infer *infer);

    /* Records the gradient with respect to operand k. Called only for operands that need one. The gradient may have the
     * shape of the result: the engine sums it to the operand's. nil or WG_NONE: no gradient flows to operand k. */
    wg_tensor (*vjp)(const wg_vjp_args *v, int k);

    /* Returns the kernel for these dtypes. NULL: not defined for them, an error when the op is recorded. */
    wg_kernel (*select)(const wg_op *op, const wg_dtype *in, int n_in, wg_dtype out);

    /* The number of tasks; must depend on shapes only. NULL: one task. */
    int64_t (*tasks)(const wg_args *args);
    /* Bytes of scratch memory per task; must depend on shapes only. NULL: none. */
    size_t (*scratch)(const wg_args *args);

    /* VIEW only: computes the layout of the result. Returns false if strides over the operand's layout cannot express
     * it; the engine then makes a contiguous copy of the operand and calls it again. */
    bool (*view)(const wg_shape *in, const wg_layout *layout_in, const wg_shape *out, const void *attr,
                 wg_layout *layout_out);
};

/* Records an op on its operands, which must be on the same tape; WG_NONE omits an optional one. The attr_size bytes at
 * attr (plain data, no pointers, padding zeroed, at most 1 MB) are copied and become part of the program: pass values
 * that change from step to step as operands, since a different program needs a new plan. Returns nil on error, or
 * WG_NONE if every operand is WG_NONE. */
WG_API wg_tensor wg_record(const wg_op *op, const wg_tensor *in, int n_in, const void *attr, size_t attr_size);

/* The same for ops that may have no operand (random numbers, ranges): takes the tape as an argument. */
WG_API wg_tensor wg_record_on(wg_tape *tape, const wg_op *op, const wg_tensor *in, int n_in, const void *attr,
                              size_t attr_size);

/* For functions that reject their arguments before recording an op. Stores the error, with op and scope, on the tape of
 * the tensor `on`, if it has one. Returns nil. */
WG_API wg_tensor wg_fail(wg_tensor on, wg_status status, const char *op, const char *rule, ...) WG_PRINTF(4, 5);
WG_API wg_tensor wg_fail_on(wg_tape *tape, wg_status status, const char *op, const char *rule, ...) WG_PRINTF(4, 5);

#ifdef __cplusplus
}
#endif
#endif
