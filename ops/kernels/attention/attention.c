/* Attention in blocks of queries: softmax(scale q k^T) v without a matrix of all scores. The scores of a block are in
 * the task's scratch; the backward pass recomputes them. Memory is linear in the length.
 *
 * With P the weights, G the gradient of the result and dP = G v^T:
 *     dv = P^T G,   dS = scale P (dP - sum over keys of P dP),   dq = dS k,   dk = dS^T q    (Dao et al. 2022)
 *
 * Compiled per variant. */
#include "attention.h"

#include <string.h>

#include "../base/lanes.h"
#include "../gemm/gemm.h"
#include "../reduce/rows.h"

typedef wg__matrix matrix;
typedef wg__attention problem;
typedef wg__attention_block block;

static int64_t leading_offset(const wg_operand *x, int64_t n)
{
    int64_t offset = 0;
    for (int i = x->rank - 3; i >= 0; i--) {
        offset += n % x->size[i] * x->stride[i];
        n /= x->size[i];
    }
    return offset;
}

/* The matrix of problem number n of an operand. */
static matrix matrix_of(const wg_operand *x, int64_t n)
{
    return (matrix){(real *)x->data + leading_offset(x, n), x->stride[x->rank - 2], x->stride[x->rank - 1]};
}

static real *line_of(matrix m, int64_t i) { return (real *)m.data + i * m.rs; }
static matrix lines_from(matrix m, int64_t i) { return (matrix){line_of(m, i), m.rs, m.cs}; }

/* C[m,n] (+)= A[m,k] B[k,n] */
static void multiply(int64_t m, int64_t n, int64_t k, matrix c, matrix a, matrix b, bool add, void *scratch)
{
    wg__segment segment;
    if (m == 0 || n == 0) return;
    wg__product p = wg__product_of(WG__T == 32 ? WG_F32 : WG_F64, m, n, k, c, a, b, add, &segment);
    const wg__product_kernels *kernels = wg__product_get(p.dtype);
    for (int64_t task = 0, tasks = kernels->tasks(&p); task < tasks; task++) kernels->run(&p, task, scratch);
}

/* ---- a block ------------------------------------------------------------------------------------------------- */

/* Sets scores to -inf where the query may not see the key. */
static void mask_scores(const problem *p, const block *b, int64_t n, int64_t line, real *scores)
{
    const wg__attention_attr *a = p->attr;
    int64_t query = b->first + line, count = b->high - b->low;
    int64_t before = a->window >= 0 && query - a->window > b->low ? query - a->window - b->low : 0;
    int64_t after = count;
    if (a->causal && query + 1 - b->low < after) after = query + 1 - b->low;
    if (a->window >= 0 && !a->causal && query < p->keys - a->window && query + a->window + 1 - b->low < after)
        after = query + a->window + 1 - b->low;
    for (int64_t i = 0; i < count && i < before; i++) scores[i] = -INFINITY;
    for (int64_t i = after < 0 ? 0 : after; i < count; i++) scores[i] = -INFINITY;
    const wg_operand *mask = p->mask;
    if (!mask->data) return;
    int64_t step = mask->stride[mask->rank - 1];
    const uint8_t *seen = (const uint8_t *)mask->data + leading_offset(mask, n) +
                          query * mask->stride[mask->rank - 2] + b->low * step;
    for (int64_t i = 0; i < count; i++)
        if (!seen[i * step]) scores[i] = -INFINITY;
}

/* Block number i without the last keys, of which the mask shows none to its queries: padding, or a cache that is not
 * full. The rest is a multiple of WG__SEEN_KEYS: so the scratch is known (cut.c). */
static block seen_block(const problem *p, int64_t n, int64_t i)
{
    block b = wg__attention_block_of(p, i);
    const wg_operand *mask = p->mask;
    if (!mask->data) return b;
    const int64_t row_step = mask->stride[mask->rank - 2], step = mask->stride[mask->rank - 1];
    const uint8_t *seen = (const uint8_t *)mask->data + leading_offset(mask, n) + b.first * row_step;
    int64_t last = b.low;
    for (int64_t q = 0; q < (row_step ? b.rows : 1); q++, seen += row_step) {
        int64_t key = b.high;
        while (key > last && !seen[(key - 1) * step]) key--;
        last = key;
    }
    b.high = min64(b.high, b.low + round_up(max64(last - b.low, 1), WG__SEEN_KEYS));
    return b;
}

/* P[rows, high - low], the weights of the block. */
static void compute_weights(const problem *p, const block *b, int64_t n, matrix weights, void *scratch)
{
    matrix q = lines_from(matrix_of(&p->args->in[0], n), b->first),
           k = lines_from(matrix_of(&p->args->in[1], n), b->low);
    int64_t count = b->high - b->low;
    real scale = (real)p->attr->scale;
    multiply(b->rows, count, p->size, weights, q, wg__transposed(k), false, scratch);
    for (int64_t i = 0; i < b->rows; i++) {
        real *line = line_of(weights, i);
        for (int64_t j = 0; j < count; j += VLANES)
            store_some(line + j, load_some(line + j, count - j) * scale, count - j);
        mask_scores(p, b, n, i, line);
        row_softmax(line, line, count);
    }
}

static matrix take_scores(const problem *p, char **memory)
{
    matrix m = {*memory, p->stride, 1};
    *memory += (size_t)(p->rows * p->stride) * sizeof(real);
    return m;
}

/* ---- forward ------------------------------------------------------------------------------------------------- */

void WG__K(attention)(const wg_args *args, int64_t task)
{
    problem p = wg__attention_sizes(args);
    char *memory = args->scratch;
    matrix weights = take_scores(&p, &memory);
    int64_t n = task / p.blocks;
    block b = seen_block(&p, n, task % p.blocks);
    matrix out = {(real *)args->out.data + (n * p.queries + b.first) * p.values, p.values, 1};
    compute_weights(&p, &b, n, weights, memory);
    multiply(b.rows, p.values, b.high - b.low, out, weights, lines_from(matrix_of(&args->in[2], n), b.low), false,
             memory);
}

/* ---- backward ------------------------------------------------------------------------------------------------ */

/* Replaces dP by dS. */
static void softmax_backward(const block *b, matrix weights, matrix d, real scale)
{
    int64_t count = b->high - b->low;
    for (int64_t i = 0; i < b->rows; i++) {
        const real *w = line_of(weights, i);
        real *line = line_of(d, i), mean = row_dot(w, line, count);
        for (int64_t j = 0; j < count; j += VLANES)
            store_some(line + j, load_some(w + j, count - j) * (load_some(line + j, count - j) - mean) * scale,
                       count - j);
    }
}

void WG__K(attention_grad)(const wg_args *args, int64_t n)
{
    problem p = wg__attention_sizes(args);
    matrix q = matrix_of(&args->in[0], n), k = matrix_of(&args->in[1], n), v = matrix_of(&args->in[2], n);
    matrix g = matrix_of(&args->in[3], n);
    real *out = args->out.data;
    matrix dq = {out + n * p.queries * p.size, p.size, 1};
    out += p.leading * p.queries * p.size;
    matrix dk = {out + n * p.keys * p.size, p.size, 1};
    out += p.leading * p.keys * p.size;
    matrix dv = {out + n * p.keys * p.values, p.values, 1};
    memset(dk.data, 0, (size_t)(p.keys * p.size) * sizeof(real));
    memset(dv.data, 0, (size_t)(p.keys * p.values) * sizeof(real));
    if (p.blocks == 0) return;
    char *memory = args->scratch;
    matrix weights = take_scores(&p, &memory), d = take_scores(&p, &memory);
    for (int64_t i = 0; i < p.blocks; i++) {
        block b = seen_block(&p, n, i);
        int64_t count = b.high - b.low;
        matrix gb = lines_from(g, b.first), kb = lines_from(k, b.low);
        compute_weights(&p, &b, n, weights, memory);
        multiply(count, p.values, b.rows, lines_from(dv, b.low), wg__transposed(weights), gb, true, memory);
        multiply(b.rows, count, p.values, d, gb, wg__transposed(lines_from(v, b.low)), false, memory);
        softmax_backward(&b, weights, d, (real)p.attr->scale);
        multiply(b.rows, p.size, count, lines_from(dq, b.first), d, kb, false, memory);
        multiply(count, p.size, b.rows, lines_from(dk, b.low), wg__transposed(d), lines_from(q, b.first), true,
                 memory);
    }
}
