/* Internal. What the planner hands to the kernels of products and pointwise chains, and the closed set of
 * structural ops that the engine itself records. Defined by ops/, declared here: the engine knows these
 * few by role, and no other op at all. */
#ifndef WG_EXEC_H
#define WG_EXEC_H

#include "op.h"

/* ---- pointwise chains ------------------------------------------------------------------------------------
 * One pass over an iteration space; each tile runs every step while it is in the first-level cache. */

enum {
    WG__CHAIN_TILE = 512,
    WG__CHAIN_REGISTERS = 48,
    WG__CHAIN_STEPS = 48,
    WG__CHAIN_OPERANDS = 64,
    WG__CHAIN_MEMBERS = WG__CHAIN_STEPS + 4 /* a unit may end with a few more */
};

/* An operand that a chain loads or stores, with its strides over the (collapsed) iteration space. */
typedef struct wg__chain_operand {
    void *data;
    int64_t *stride; /* [rank] elements, per dimension of the chain; 0 where broadcast; NULL: all operands are flat
                        or uniform */
    uint8_t size;    /* bytes of an element: 1, 4 or 8 */
    bool flat;       /* element i of the space stands at data[i] */
    bool uniform;    /* one element for the whole space */
} wg__chain_operand;

/* Sums of lines that come as they are made, piece by piece: the kernels of one dtype. A state sums lines of `line`
 * numbers, one after the other, into out[0], out[1], ...; `add`: to what stands there. */
typedef struct wg__line_sums {
    size_t bytes; /* of a state, 64-byte aligned: a multiple of 64 */
    void (*begin)(void *state, void *out, int64_t line, bool add);
    void (*feed)(void *state, const void *x, int64_t n); /* the next n numbers */
} wg__line_sums;

typedef struct wg__chain_sum {
    void *out; /* [lines of a span], dense */
    uint8_t size;
    size_t state; /* bytes from the first state */
    const wg__line_sums *kernels;
} wg__chain_sum;

/* A value inside a chain is named by one number: v < n_loads is load v; otherwise register v - n_loads. */
typedef struct wg__chain_step {
    wg_pointwise fn; /* NULL: in[0] goes to a sum */
    uint16_t in[4];
    uint8_t n_in;
    uint8_t size;  /* bytes of an element of the result */
    uint16_t out;  /* register (index from 0) the result goes to */
    int16_t store; /* >= 0: the result is also stored to this store operand (directly where it can be) */
    int16_t sum;   /* fn NULL: which */
} wg__chain_step;

typedef struct wg__chain {
    int rank; /* collapsed: 1 or more */
    int64_t size[WG_MAX_RANK];
    int64_t numel;
    int64_t span;  /* the space is spans of so many elements; of each a task takes ... */
    int64_t block; /* ... so many (a whole number of innermost rows if rank > 1, of lines if there are sums) */
    int64_t line;  /* elements of a line: line i of every span is summed to number i of a sum; 0: no sums */
    int n_loads, n_steps, n_stores, n_registers, n_sums;
    bool float_result; /* store 0 holds floats */
    wg__chain_sum *sums;
    size_t state_bytes; /* of all sums */
    wg__chain_operand *loads;
    wg__chain_step *steps;
    wg__chain_operand *stores;
} wg__chain;

/* ---- products ----------------------------------------------------------------------------------------------
 * C[m,n] (+)= sum over segments s of A_s[m,k_s] B_s[k_s,n], for each of `batches` independent problems.
 * Strides are in elements. Several segments are what merging along k makes. */

typedef struct wg__segment {
    const void *a, *b;
    int64_t k;
    int64_t a_rs, a_cs, b_rs, b_cs;
} wg__segment;

/* The right operand seen through a window that slides over an image, as a convolution does: element (p, j) of a
 * segment stands at b[step[p] + line[j]]. */
typedef struct wg__window {
    const int64_t *step, *line; /* [k of a segment], [n]; elements */
    const void *end;            /* of the image's memory: nothing from here on is read */
} wg__window;

typedef struct wg__product {
    wg_dtype dtype;
    int64_t m, n;
    int64_t batches;
    const int64_t *batch_a, *batch_b; /* [batches] element offsets of each problem; NULL when batches is 1 */
    int64_t batch_step;               /* from one segment's offsets to the next one's; 0: the segments share them */
    void *c;
    int64_t c_rs, c_cs, batch_c; /* batch_c: elements between the results of successive problems */
    bool shared_b;       /* the problems have one B, of one segment, and lie anywhere: each_a and each_c ... */
    const void **each_a; /* ... [batches] stand for the segment's a and batch_a, */
    void **each_c;       /* ... [batches] for c and batch_c */
    int n_segments;      /* the same for each problem */
    wg__segment *segments;
    bool accumulate;          /* add to C instead of overwriting it */
    const void *packed_b;     /* B (one segment, one batch) as packed by pack(), or NULL */
    const wg__window *window; /* how B is seen, instead of by strides, or NULL */
} wg__product;

/* The product kernels of one dtype. */
typedef struct wg__product_kernels {
    int64_t (*tasks)(const wg__product *p);
    size_t (*scratch)(const wg__product *p); /* per task */
    void (*run)(const wg__product *p, int64_t task, void *scratch);
    bool (*wants_packed)(const wg__product *p); /* is packing B ahead worth it at this shape? */
    size_t (*packed_bytes)(const wg__product *p);
    int64_t (*pack_tasks)(const wg__product *p);
    void (*pack)(const wg__product *p, void *packed, int64_t task); /* B of p into packed */
} wg__product_kernels;

/* ---- what ops/ provides to the engine ------------------------------------------------------------------------ */

struct wg__rule; /* rewrite.h */

typedef struct wg__structural {
    const wg_op *add;     /* pointwise: in0 + in1 */
    const wg_op *fill;    /* no operand; attr wg__fill_attr */
    const wg_op *copy;    /* out = in0, operand with any strides, result dense (also i32, bool) */
    const wg_op *sum;     /* in0 summed over the axes along which the result's shape is 1 or absent; attr: shape */
    const wg_op *expand;  /* view: in0 broadcast to a shape; attr: shape */
    const wg_op *reshape; /* view; attr: shape */
    const wg_op *pad;     /* in0 inside zeros along one axis; attr wg__pad_attr; gradient of a slice */
    const wg_op *concat;  /* attr wg__concat_attr */
    const wg_op *accumulate;      /* sink, kernel: out += in0, flat */
    const struct wg__rule *rules; /* what is written in one way and computed in another; the last has no op */
    /* Tiles of the space: number of tasks is ceil(span / block). */
    void (*chain)(const wg__chain *chain, int64_t task, void *scratch);
    size_t (*chain_scratch)(const wg__chain *chain);
    wg_pointwise (*identity)(size_t element_size);         /* y = x, for moving pieces into a whole */
    const wg__line_sums *(*line_sums)(wg_dtype dtype);     /* of floats */
    const wg__product_kernels *(*product)(wg_dtype dtype); /* NULL: no product of this dtype */
    void (*to_f64)(wg_dtype dtype, const void *in, int64_t n, double *out); /* reading scalars */
    void (*from_f64)(wg_dtype dtype, double value, int64_t n, void *out);   /* filling */
    int64_t (*first_nonfinite)(wg_dtype dtype, const void *in, int64_t n);  /* -1: none */
    void (*fill_random)(wg_dtype dtype, wg_init_kind kind, double a, double b, uint64_t seed, uint64_t key,
                        int64_t n, void *out); /* initial values */
    void (*orthogonal)(wg_dtype dtype, double gain, uint64_t seed, uint64_t key, int64_t rows, int64_t cols,
                       void *out); /* may use rows*cols of `out` and 8*min(rows,cols)... no heap */
} wg__structural;

extern const wg__structural wg__structural_ops;

/* The shape of a live tensor. False for nil, and for a stale one with an error stored that names op. */
bool wg__shape_for(wg_tensor tensor, wg_shape *shape, const char *op);

typedef struct wg__fill_attr {
    wg_shape shape;
    wg_dtype dtype;
    int32_t pad;
    double value;
} wg__fill_attr;

typedef struct wg__pad_attr { /* result size along axis; in0 stands at [start, start + in0.size[axis]) */
    int64_t axis, start, size;
} wg__pad_attr;

typedef struct wg__concat_attr {
    int64_t axis;
} wg__concat_attr;

#endif
