/* Attention in blocks of queries: softmax(scale q k^T) v without a matrix of all scores. The scores of a block are in
 * the task's scratch; the backward pass recomputes them. Memory is linear in the length.
 *
 * With P the weights, G the gradient of the result and dP = G v^T:
 *     dv = P^T G,   dS = scale P (dP - sum over keys of P dP),   dq = dS k,   dk = dS^T q    (Dao et al. 2022)
 *
 * Compiled per variant. */
#include "matrices.h"

#include <string.h>

#include "../reduce/rows.h"

typedef wg__attention problem;
typedef wg__attention_block block;

/* ---- a block ------------------------------------------------------------------------------------------------- */

/* Sets the elements of a line of the block to a value where the query may not see the key. */
static void mask_line(const problem *p, const block *b, int64_t n, int64_t line, real *to, real value)
{
    const wg__attention_attr *a = p->attr;
    int64_t query = b->first + line, count = b->high - b->low;
    int64_t before = a->window >= 0 && query - a->window > b->low ? query - a->window - b->low : 0;
    int64_t after = count;
    if (a->causal && query + 1 - b->low < after) after = query + 1 - b->low;
    if (a->window >= 0 && !a->causal && query < p->keys - a->window && query + a->window + 1 - b->low < after)
        after = query + a->window + 1 - b->low;
    for (int64_t i = 0; i < count && i < before; i++) to[i] = value;
    for (int64_t i = after < 0 ? 0 : after; i < count; i++) to[i] = value;
    const wg_operand *mask = p->mask;
    if (!mask->data) return;
    int64_t step = mask->stride[mask->rank - 1];
    const uint8_t *seen = (const uint8_t *)mask->data + leading_offset(mask, 2, n) +
                          query * mask->stride[mask->rank - 2] + b->low * step;
    for (int64_t i = 0; i < count; i++)
        if (!seen[i * step]) to[i] = value;
}

/* Block number i without the last keys, of which the mask shows none to its queries: padding, or a cache that is not
 * full. The rest is a multiple of WG__SEEN_KEYS: so the scratch is known (cut.c). */
static block seen_block(const problem *p, int64_t n, int64_t i)
{
    block b = wg__attention_block_of(p, i);
    const wg_operand *mask = p->mask;
    if (!mask->data) return b;
    const int64_t row_step = mask->stride[mask->rank - 2], step = mask->stride[mask->rank - 1];
    const uint8_t *seen = (const uint8_t *)mask->data + leading_offset(mask, 2, n) + b.first * row_step;
    int64_t last = b.low;
    for (int64_t q = 0; q < (row_step ? b.rows : 1); q++, seen += row_step) {
        int64_t key = b.high;
        while (key > last && !seen[(key - 1) * step]) key--;
        last = key;
    }
    b.high = min64(b.high, b.low + round_up(max64(last - b.low, 1), WG__SEEN_KEYS));
    return b;
}

static bool masks(const problem *p) { return p->attr->causal || p->attr->window >= 0 || p->mask->data; }

/* P[rows, high - low], the weights of the block. */
static void compute_weights(const problem *p, const block *b, int64_t n, matrix weights, void *scratch)
{
    matrix q = lines_from(matrix_of(&p->args->in[0], n), b->first),
           k = lines_from(matrix_of(&p->args->in[1], n), b->low);
    int64_t count = b->high - b->low;
    real scale = (real)p->attr->scale;
    multiply(p->bf16, b->rows, count, p->size, weights, q, wg__transposed(k), false, scratch);
    for (int64_t i = 0; i < b->rows; i++) {
        real *line = line_of(weights, i);
        for (int64_t j = 0; j < count; j += VLANES)
            store_some(line + j, load_some(line + j, count - j) * scale, count - j);
        mask_line(p, b, n, i, line, -(real)INFINITY);
        row_softmax(line, line, count);
    }
}

static matrix take_scores(const problem *p, char **memory)
{
    matrix m = {*memory, p->stride, 1};
    *memory += (size_t)(p->rows * p->stride) * sizeof(real);
    return m;
}

/* ---- what is masked is not read: products with it may be 0 times NaN; what is NaN is computed again ------------ */

/* A line of P V. Overwrites the line of P. */
static void sum_seen(const problem *p, const block *b, int64_t n, int64_t line, real *weights, matrix v, real *out)
{
    int64_t count = b->high - b->low;
    mask_line(p, b, n, line, weights, -1);
    memset(out, 0, (size_t)p->values * sizeof *out);
    for (int64_t j = 0; j < count; j++)
        if (!(weights[j] < 0)) add_scaled(out, weights[j], line_of(v, j), v.cs, p->values);
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
    matrix v = lines_from(matrix_of(&args->in[2], n), b.low);
    multiply(p.bf16, b.rows, p.values, b.high - b.low, out, weights, v, false, memory);
    if (!masks(&p) || !has_nan(out.data, b.rows * p.values)) return;
    for (int64_t i = 0; i < b.rows; i++)
        if (has_nan(line_of(out, i), p.values)) sum_seen(&p, &b, n, i, line_of(weights, i), v, line_of(out, i));
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

/* The operands of a problem, the gradient of its result, and its gradients. */
typedef struct gradients {
    matrix q, k, v, g, dq, dk, dv;
} gradients;

static gradients gradients_of(const problem *p, int64_t n)
{
    const wg_operand *in = p->args->in;
    real *dq = p->args->out.data, *dk = dq + p->leading * p->queries * p->size,
         *dv = dk + p->leading * p->keys * p->size;
    return (gradients){.q = matrix_of(&in[0], n),
                       .k = matrix_of(&in[1], n),
                       .v = matrix_of(&in[2], n),
                       .g = matrix_of(&in[3], n),
                       .dq = {dq + n * p->queries * p->size, p->size, 1},
                       .dk = {dk + n * p->keys * p->size, p->size, 1},
                       .dv = {dv + n * p->keys * p->values, p->values, 1}};
}

static void add_block_gradients(const problem *p, const block *b, int64_t n, const gradients *x, char *memory)
{
    int64_t count = b->high - b->low;
    matrix weights = take_scores(p, &memory), d = take_scores(p, &memory);
    matrix g = lines_from(x->g, b->first);
    compute_weights(p, b, n, weights, memory);
    multiply(p->bf16, count, p->values, b->rows, lines_from(x->dv, b->low), wg__transposed(weights), g, true,
             memory);
    multiply(p->bf16, b->rows, count, p->values, d, g, wg__transposed(lines_from(x->v, b->low)), false, memory);
    softmax_backward(b, weights, d, (real)p->attr->scale);
    multiply(p->bf16, b->rows, p->size, count, lines_from(x->dq, b->first), d, lines_from(x->k, b->low), false,
             memory);
    multiply(p->bf16, count, p->size, b->rows, lines_from(x->dk, b->low), wg__transposed(d),
             lines_from(x->q, b->first), true, memory);
}

/* The same, one pair of query and key that is not masked after the other. dq must be 0. */
static void add_seen_gradients(const problem *p, const block *b, int64_t n, const gradients *x, char *memory)
{
    int64_t count = b->high - b->low;
    matrix weights = take_scores(p, &memory), lines = take_scores(p, &memory);
    compute_weights(p, b, n, weights, memory);
    for (int64_t i = 0; i < b->rows; i++) {
        real *w = line_of(weights, i), *d = lines.data, mean = 0;
        const real *g = line_of(x->g, b->first + i), *q = line_of(x->q, b->first + i);
        mask_line(p, b, n, i, w, -1);
        for (int64_t j = 0; j < count; j++) {
            if (w[j] < 0) continue;
            d[j] = dot_of(g, x->g.cs, line_of(x->v, b->low + j), x->v.cs, p->values);
            mean += w[j] * d[j];
        }
        for (int64_t j = 0; j < count; j++) {
            if (w[j] < 0) continue;
            real ds = w[j] * (d[j] - mean) * (real)p->attr->scale;
            add_scaled(line_of(x->dv, b->low + j), w[j], g, x->g.cs, p->values);
            add_scaled(line_of(x->dq, b->first + i), ds, line_of(x->k, b->low + j), x->k.cs, p->size);
            add_scaled(line_of(x->dk, b->low + j), ds, q, x->q.cs, p->size);
        }
    }
}

static bool are_numbers(const problem *p, const gradients *x)
{
    return !has_nan(x->dq.data, p->queries * p->size) && !has_nan(x->dk.data, p->keys * p->size) &&
           !has_nan(x->dv.data, p->keys * p->values);
}

void WG__K(attention_grad)(const wg_args *args, int64_t n)
{
    problem p = wg__attention_sizes(args);
    gradients x = gradients_of(&p, n);
    for (int again = 0; again < 2; again++) {
        memset(x.dk.data, 0, (size_t)(p.keys * p.size) * sizeof(real));
        memset(x.dv.data, 0, (size_t)(p.keys * p.values) * sizeof(real));
        if (again) memset(x.dq.data, 0, (size_t)(p.queries * p.size) * sizeof(real));
        for (int64_t i = 0; i < p.blocks; i++) {
            block b = seen_block(&p, n, i);
            if (again)
                add_seen_gradients(&p, &b, n, &x, args->scratch);
            else
                add_block_gradients(&p, &b, n, &x, args->scratch);
        }
        if (!masks(&p) || are_numbers(&p, &x)) return;
    }
}
