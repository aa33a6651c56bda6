/* Internal. Attention in blocks of queries: what the op and its kernels share.
 *
 * A kernel computes softmax(scale q k^T) v a block of queries at a time and never stores a matrix of all scores. The
 * room uses products (gemm/) and row-wise softmax (reduce/rows.h); it knows no op. Its cut into tasks and scratch
 * (cut.c) follow from shapes and strides alone. */
#ifndef WG_KERNELS_ATTENTION_H
#define WG_KERNELS_ATTENTION_H

#include "../base/kernel.h"
#include "../base/integers.h"

typedef struct wg__attention_attr {
    double scale;
    int64_t causal; /* query i sees keys 0 .. i */
    int64_t window; /* query i sees keys at most this far from i; < 0: all */
} wg__attention_attr;

/* in0 q[..., Tq, d], in1 k[..., Tk, d], in2 v[..., Tk, dv], then attention_grad's gradient of the result, then
 * mask[..., Tq, Tk] or none; equal leading sizes. attention: out[..., Tq, dv]. attention_grad: the gradients of q,
 * of k and of v, one after the other, contiguous. */
int64_t wg__attention_tasks(const wg_args *args);
size_t wg__attention_scratch(const wg_args *args);
int64_t wg__attention_grad_tasks(const wg_args *args);
size_t wg__attention_grad_scratch(const wg_args *args);

typedef struct wg__masked_attr {
    int64_t transposed; /* masked_product: the result is out^T[..., n, m] */
} wg__masked_attr;

/* Products in which masked pairs are not read, equal leading sizes. masked_product: in0 a[..., m, k], in1 b[..., k,
 * n], in2 mask[..., m, k]; out_ij = the sum of a_ip b_pj over the p that row i of the mask allows; where it allows
 * none, a_ip must be 0, or NaN. masked_dots: in0 a[..., m, k], in1 b[..., n, k], in2 mask[..., m, n]; out_ij = the
 * sum of a_ip b_jp, 0 where masked. */
int64_t wg__masked_tasks(const wg_args *args);
size_t wg__masked_product_scratch(const wg_args *args);
size_t wg__masked_dots_scratch(const wg_args *args);

/* A call of masked_product or masked_dots, and its sizes; blocks of rows. */
typedef struct wg__masked {
    int64_t leading, m, n, k, rows, blocks;
} wg__masked;

static inline wg__masked wg__masked_sizes(const wg_args *args, bool dots)
{
    const wg_operand *a = &args->in[0], *b = &args->in[1];
    wg__masked p = {.leading = 1, .m = a->size[a->rank - 2], .k = a->size[a->rank - 1]};
    for (int i = 0; i < a->rank - 2; i++) p.leading *= a->size[i];
    p.n = b->size[b->rank - (dots ? 2 : 1)];
    p.rows = p.leading >= 16 ? p.m : min64(p.m, 64); /* enough tasks for the threads */
    p.blocks = p.rows ? ceil_div(p.m, p.rows) : 0;
    return p;
}

/* A call and its sizes. */
typedef struct wg__attention {
    const wg_args *args;
    const wg__attention_attr *attr;
    const wg_operand *mask;
    int64_t leading, queries, keys, size, values; /* problems; Tq, Tk, d, dv */
    int64_t rows, blocks;                         /* queries of a block, blocks of a problem */
    int64_t stride;                               /* of a row of scores in the scratch */
    bool bf16;
} wg__attention;

/* The scores of a block, for all its keys, stay in the second-level cache: 32768 of them (128 KiB in f32), 8 to 64
 * queries. Measured with `./run bench --threads 1 --filter attention`, 8x1024x64: 27.6 ms, gradient 63; with 8192
 * scores 32.8 and 84; with 131072, for four times the scratch, 26.8 and 60. */
static inline wg__attention wg__attention_sizes(const wg_args *args)
{
    const wg_operand *q = &args->in[0], *v = &args->in[2];
    wg__attention p = {
        .args = args, .attr = args->attr, .mask = &args->in[args->n_in - 1], .leading = 1, .bf16 = args->bf16};
    for (int i = 0; i < q->rank - 2; i++) p.leading *= q->size[i];
    p.queries = q->size[q->rank - 2];
    p.size = q->size[q->rank - 1];
    p.keys = v->size[v->rank - 2];
    p.values = v->size[v->rank - 1];
    p.rows = min64(clamp64(32768 / max64(1, p.keys), 8, 64), p.queries);
    p.blocks = p.rows ? ceil_div(p.queries, p.rows) : 0;
    p.stride = round_up(p.keys, 16);
    return p;
}

/* Behind a mask, a block sees a multiple of so many keys, or all up to `high`. */
enum { WG__SEEN_KEYS = 64 };

/* Queries [first, first + rows) of a problem, and the keys [low, high) that at least one of them may see. */
typedef struct wg__attention_block {
    int64_t first, rows, low, high;
} wg__attention_block;

static inline wg__attention_block wg__attention_block_of(const wg__attention *p, int64_t index)
{
    const wg__attention_attr *a = p->attr;
    wg__attention_block b = {.first = index * p->rows, .low = 0, .high = p->keys};
    b.rows = min64(p->queries - b.first, p->rows);
    int64_t last = b.first + b.rows - 1;
    if (a->causal && last + 1 < b.high) b.high = last + 1;
    if (a->window >= 0 && !a->causal && last < b.high - 1 - a->window) b.high = last + a->window + 1;
    if (a->window >= 0 && b.first > a->window) b.low = b.first - a->window;
    if (b.low > b.high) b.low = b.high;
    return b;
}

/* An operand or the result of a product. */
typedef struct wg__matrix {
    void *data;
    int64_t rs, cs;
} wg__matrix;

static inline wg__matrix wg__transposed(wg__matrix m) { return (wg__matrix){m.data, m.cs, m.rs}; }

/* The product C[m,n] (+)= A[m,k] B[k,n]; it refers to *segment. */
static inline wg__product wg__product_of(wg_dtype dtype, bool bf16, int64_t m, int64_t n, int64_t k, wg__matrix c,
                                         wg__matrix a, wg__matrix b, bool add, wg__segment *segment)
{
    *segment =
        (wg__segment){.a = a.data, .b = b.data, .k = k, .a_rs = a.rs, .a_cs = a.cs, .b_rs = b.rs, .b_cs = b.cs};
    return (wg__product){.dtype = dtype,
                         .bf16 = bf16,
                         .m = m,
                         .n = n,
                         .batches = 1,
                         .c = c.data,
                         .c_rs = c.rs,
                         .c_cs = c.cs,
                         .n_segments = 1,
                         .segments = segment,
                         .accumulate = add,
                         .one_task = true};
}

#endif
