/* Internal. The descriptions of products and pointwise chains that the planner passes to their kernels, and the table
 * through which the engine reaches ops/: the structural ops that it records itself, and kernels. The engine knows these
 * by role and no other op at all. The table is handed over when a tape or a parameter set is created. */
#ifndef WG_EXEC_H
#define WG_EXEC_H

#include "../op.h"

/* ---- pointwise chains ------------------------------------------------------------------------------------
 * One pass over an iteration space. All steps run on a tile while it is in the L1 cache. */

enum { WG__CHAIN_TILE = 512, WG__CHAIN_STEPS = 48, WG__CHAIN_OPERANDS = 64 };

/* An operand that a chain loads or stores, with its strides over the collapsed iteration space. */
typedef struct wg__chain_operand {
    void *data;
    int64_t *stride; /* [rank] elements; 0 where broadcast; NULL if all operands are flat or uniform */
    uint8_t size;    /* bytes of an element: 1, 2, 4 or 8 */
    bool flat;       /* element i of the space is data[i] */
    bool uniform;    /* one element for the whole space */
} wg__chain_operand;

/* Kernels, one set per dtype, that sum lines as a chain produces them, piece by piece. A state sums consecutive lines
 * of `line` numbers into out[0], out[1], ...; `add`: adds to the values that are there. */
typedef struct wg__line_sums {
    size_t bytes; /* of a state: a multiple of 64, aligned to 64 */
    int64_t
        lines; /* that may be added to one sum one after another: the sum's op adds more of them in two levels */
    void (*begin)(void *state, void *out, int64_t line, bool add);
    void (*feed)(void *state, const void *x, int64_t n); /* the next n numbers */
} wg__line_sums;

typedef struct wg__chain_sum {
    void *out;    /* [lines of a span], contiguous */
    uint8_t size; /* bytes of an element */
    size_t state; /* offset in bytes from the first state */
    const wg__line_sums *kernels;
} wg__chain_sum;

/* A value inside a chain is one number v: load v if v < n_loads, otherwise register v - n_loads. */
typedef struct wg__chain_step {
    wg_pointwise fn; /* NULL: adds in[0] to a sum */
    uint16_t in[4];
    uint8_t n_in;
    uint8_t size;  /* bytes of an element of the result */
    uint16_t out;  /* register of the result */
    int16_t store; /* >= 0: the store operand that also receives the result */
    int16_t sum;   /* fn NULL: the sum */
} wg__chain_step;

typedef struct wg__chain {
    int rank; /* collapsed: 1 or more */
    int64_t size[WG_MAX_RANK];
    int64_t numel;
    int64_t span; /* elements of a span: the space is a sequence of spans */
    int64_t
        block; /* elements of each span that one task takes: whole innermost rows if rank > 1, whole lines if there
                      are sums */
    int64_t line; /* elements of a line: line i of every span is added to element i of a sum; 0: no sums */
    int n_loads, n_steps, n_stores, n_registers, n_sums;
    bool float_result; /* store 0 is f32 or f64 */
    wg__chain_sum *sums;
    size_t state_bytes; /* of all sums */
    wg__chain_operand *loads;
    wg__chain_step *steps;
    wg__chain_operand *stores;
} wg__chain;

/* ---- products ----------------------------------------------------------------------------------------------
 * C[m,n] (+)= sum over segments s of A_s[m,k_s] B_s[k_s,n], for each of `batches` independent problems. The pass merge
 * makes products of several segments. Strides are in elements. */

typedef struct wg__segment {
    const void *a, *b;
    int64_t k;
    int64_t a_rs, a_cs, b_rs, b_cs;
    bool a_bf16, b_bf16; /* stored as bf16: strides and offsets count numbers of two bytes */
} wg__segment;

/* The right operand of a convolution, an image seen through a sliding window: element (p, j) of a segment is
 * b[step[p] + line[j]]. */
typedef struct wg__window {
    const int64_t *step, *line; /* [k of a segment], [n]; elements */
    const void *end;            /* of the image's memory; never read from here on */
} wg__window;

typedef struct wg__product {
    wg_dtype dtype; /* of A, B and C */
    bool bf16;      /* A and B are rounded to bf16 */
    bool int8_b;    /* B is packed in 8 bits, with a scale for each column */
    int64_t m, n;
    int64_t batches;
    const int64_t *batch_a, *batch_b; /* [batches] element offsets of each problem; NULL when batches is 1 */
    int64_t batch_step;               /* from one segment's offsets to the next one's; 0: segments share them */
    void *c;
    int64_t c_rs, c_cs, batch_c; /* batch_c: elements between the results of successive problems */
    bool shared_b;               /* the problems share B, of one segment; their A and C are ... */
    const void **each_a;         /* ... [batches] instead of the segment's a and batch_a, */
    void **each_c;               /* ... [batches] instead of c and batch_c */
    int n_segments;              /* the same for each problem */
    wg__segment *segments;
    bool accumulate;          /* add to C instead of overwriting it */
    bool one_task;            /* not cut for threads: the caller is a task itself */
    const void *packed_b;     /* B (one segment, one batch) as packed by pack(), or NULL */
    const wg__window *window; /* replaces the strides of B, or NULL */
} wg__product;

/* The product kernels of one dtype. */
typedef struct wg__product_kernels {
    int64_t (*tasks)(const wg__product *p);
    size_t (*scratch)(const wg__product *p); /* per task */
    /* the first one of a task, and past the last; NULL if nothing asks */
    int64_t (*batches)(const wg__product *p, int64_t task, int64_t *last);
    void (*run)(const wg__product *p, int64_t task, void *scratch);
    bool (*wants_packed)(const wg__product *p); /* packing B ahead pays at this shape */
    size_t (*packed_bytes)(const wg__product *p);
    int64_t (*pack_tasks)(const wg__product *p);
    void (*pack)(const wg__product *p, void *packed, int64_t task); /* B of p into packed */
    wg_pointwise narrow; /* y in bf16, x in f32: rounded as operands are; NULL: these are not rounded */
} wg__product_kernels;

/* ---- the table that ops/ provides to the engine -------------------------------------------------------------- */

struct wg__rule; /* plan/rewrite.h */

typedef struct wg__structural {
    const wg_op *add;     /* pointwise: in0 + in1 */
    const wg_op *fill;    /* no operand; attr wg__fill_attr */
    const wg_op *copy;    /* out = in0, operand with any strides, contiguous result (also i32, bool) */
    const wg_op *sum;     /* in0 summed over the axes along which the result's shape is 1 or absent; attr: shape */
    const wg_op *expand;  /* view: in0 broadcast to a shape; attr: shape */
    const wg_op *reshape; /* view; attr: shape */
    const wg_op *pad;     /* in0 inside zeros along one axis; attr wg__pad_attr; gradient of a slice */
    const wg_op *concat;  /* attr wg__concat_attr; the only op of its kind */
    const wg_op *matmul;  /* the only op that is recorded as a product */
    const wg_op *widen;   /* view: in0 in bf16 as f32 */
    const struct wg__rule *rules; /* rewrites, ended by one without an op */
    /* One task of a chain; there are ceil(span / block). */
    void (*chain)(const wg__chain *chain, int64_t task, void *scratch);
    size_t (*chain_scratch)(const wg__chain *chain);
    wg_pointwise (*identity)(size_t element_size);               /* y = x */
    wg_pointwise widened;                                        /* y in f32, x in bf16 */
    const wg__line_sums *(*line_sums)(wg_dtype dtype);           /* of floats */
    const wg__product_kernels *(*product)(const wg__product *p); /* by dtype, bf16, int8_b; NULL: no such product */
    void (*to_f64)(wg_dtype dtype, const void *in, int64_t n, double *out);
    void (*from_f64)(wg_dtype dtype, double value, int64_t n, void *out);  /* fills */
    int64_t (*first_nonfinite)(wg_dtype dtype, const void *in, int64_t n); /* -1: none */
    void (*fill_random)(wg_dtype dtype, wg_init_kind kind, double a, double b, uint64_t seed, uint64_t key,
                        int64_t n, void *out); /* initial values */
    void (*orthogonal)(wg_dtype dtype, double gain, uint64_t seed, uint64_t key, int64_t rows, int64_t cols,
                       void *out);
} wg__structural;

/* Whether a number that a caller gives has this dtype. Floats round it; an i32 does not. */
static inline bool wg__has_number(wg_dtype dtype, double value)
{
    return dtype != WG_I32 || (value >= INT32_MIN && value <= INT32_MAX && value == (int32_t)value);
}

/* The value in bf16, a parameter's or rows of one, that a tensor widens; WG_NONE: it does not. Nodes in bf16 are read
 * by wg__widen and by ops that copy; no user sees one. */
wg_tensor wg__narrow_of(wg_tensor tensor);
wg_tensor wg__widen(wg_tensor narrow);

/* The shape of a tensor. Returns false for nil, and for an invalid handle with an error that names op. */
bool wg__shape_for(wg_tensor tensor, wg_shape *shape, const char *op);

/* The result of a function that has nothing to do: its operand, or a detached one where no gradient is to flow. */
wg_tensor wg__same(wg_tensor tensor);

typedef struct wg__fill_attr {
    wg_shape shape;
    wg_dtype dtype;
    int32_t pad;
    double value;
} wg__fill_attr;

typedef struct wg__pad_attr { /* result size along axis; in0 occupies [start, start + in0.size[axis]) */
    int64_t axis, start, size;
} wg__pad_attr;

typedef struct wg__concat_attr {
    int64_t axis;
} wg__concat_attr;

#endif
