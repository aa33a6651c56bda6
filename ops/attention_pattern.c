/* Recognizes attention that is composed of products and a softmax, before a program is differentiated, and replaces it
 * by the op, which computes in blocks:
 *
 *     out = softmax(scores) v,    scores = q k^T, scaled by one number, with -inf where a key is masked
 *
 * The scale may also be on q or k, as a product or a quotient. The mask may be true for visible or for masked keys, be
 * applied by wg_where or by wg_masked_fill with -inf, and be one matrix or a batch; wg_tril_mask and wg_triu_mask,
 * alone or combined with another mask, are recognized as causal. All nodes in between must be read by the composition
 * alone, and their values must not be needed otherwise. */
#include "../autograd/plan/rewrite.h"
#include "internal.h"

#include <math.h>

#include "kernels/attention/attention.h"
#include "kernels/move/move.h"
#include "kernels/random/random.h"
#include "pointwise_rows.h"

/* The op recomputes the scores for the gradient. That pays if a causal mask lets it skip half of them; otherwise only
 * if the scores, which it does not store, are WORTH times as large as its operands. Measured in docs/performance.md,
 * "Attention that is written out": 1.0 to 4 times as fast. */
enum { WORTH = 4 };

typedef struct pattern {
    wg__rewrite *r;
    uint32_t out, weights; /* nodes, from the end of the pattern */
    uint32_t masked;       /* masks the scores; 0: no mask */
    uint32_t scaled;       /* scales the scores, q or k^T by one number; 0: no scale */
    int scaled_in;         /* its operand that is scaled */
    uint32_t q, keys, k, v;
    uint32_t scores; /* the product q k^T */
    uint32_t mask;   /* 0: none, or only a causal one */
    bool inverted;   /* the mask is true where a key is masked */
    bool causal;
} pattern;

static const wg__node *node_of(const pattern *p, uint32_t id) { return &p->r->tape->nodes[id]; }
static const wg_shape *shape_of(const pattern *p, uint32_t id)
{
    return wg__shape_of_node(p->r->tape, node_of(p, id));
}
static int64_t numel_of(const pattern *p, uint32_t id) { return wg__numel_of(p->r->tape, node_of(p, id)); }
static int64_t size_from_end(const wg_shape *shape, int i) { return shape->size[shape->rank - i]; }
static bool is(const pattern *p, uint32_t id, const wg_op *op) { return wg__op_is(p->r->tape, node_of(p, id), op); }
static bool is_row(const pattern *p, uint32_t id, int row) { return is(p, id, &wg__pointwise_ops[row]); }

/* ---- nodes that may be removed ----------------------------------------------------------------------------------- */

/* A gradient that reaches the result also passes this node. */
static bool passes_gradient(const pattern *p, uint32_t id)
{
    return (node_of(p, p->out)->flags & WG__NODE_DETACHED) || !(node_of(p, id)->flags & WG__NODE_DETACHED);
}

/* `reader` is the only reader, and the value is not needed otherwise. */
static bool is_removable(const pattern *p, uint32_t id, uint32_t reader)
{
    const wg__node *node = node_of(p, id);
    return p->r->reader[id] == reader && !(node->flags & WG__NODE_VALUE) &&
           node->region == node_of(p, p->out)->region && passes_gradient(p, id);
}

/* ---- the scale ------------------------------------------------------------------------------------------- */

/* Whether `id` multiplies or divides its operand k by one number. */
static bool scales(const pattern *p, uint32_t id, int k)
{
    const wg__node *node = node_of(p, id);
    bool scale = is_row(p, id, ROW_mul) || (k == 0 && is_row(p, id, ROW_div));
    return scale && numel_of(p, node->in[1 - k]) == 1 && node_of(p, node->in[k])->shape == node->shape;
}

/* The operand of a removable scale, if `id` is one and none was found before; else `id`. */
static uint32_t skip_scale(pattern *p, uint32_t id, uint32_t reader)
{
    for (int k = 0; k < 2 && !p->scaled && is_removable(p, id, reader); k++)
        if (scales(p, id, k)) {
            p->scaled = id;
            p->scaled_in = k;
        }
    return p->scaled == id ? node_of(p, id)->in[p->scaled_in] : id;
}

/* ---- the mask --------------------------------------------------------------------------------------------- */

static bool is_minus_infinity(const pattern *p, uint32_t id)
{
    if (!is(p, id, &wg__fill_op)) return false;
    const wg__fill_attr *attr = wg__attr_of(p->r->tape, node_of(p, id));
    assert(attr);
    return attr->value == -INFINITY;
}

/* Whether `id` is a matrix of consecutive integers from *start along axis 0 or 1. */
static bool is_range(const pattern *p, uint32_t id, int axis, double *start)
{
    const uint32_t numbers = node_of(p, id)->in[0];
    if (!is(p, id, &wg__reshape_op) || !is(p, numbers, &wg__arange_op)) return false;
    const wg__arange_attr *attr = wg__attr_of(p->r->tape, node_of(p, numbers));
    *start = attr->start;
    return attr->step == 1 && attr->dtype == WG_I32 && shape_of(p, id)->size[axis] == attr->n;
}

static bool same_last_two(const wg_shape *a, const wg_shape *b)
{
    return a->rank >= 2 && b->rank >= 2 && size_from_end(a, 1) == size_from_end(b, 1) &&
           size_from_end(a, 2) == size_from_end(b, 2);
}

/* The operand of views that only add leading axes. */
static uint32_t skip_leading(const pattern *p, uint32_t id)
{
    while (is(p, id, &wg__reshape_op) || is(p, id, &wg__expand_op)) {
        const uint32_t in = node_of(p, id)->in[0];
        if (!same_last_two(shape_of(p, in), shape_of(p, id))) break;
        id = in;
    }
    return id;
}

/* Whether the mask is true for keys j <= i of query i or, if inverted, for keys j >= i + 1. */
static bool is_causal(const pattern *p, uint32_t id, bool inverted)
{
    id = skip_leading(p, id);
    const wg__node *node = node_of(p, id);
    double row, column;
    return is_row(p, id, inverted ? ROW_greater_equal : ROW_less_equal) && shape_of(p, id)->rank == 2 &&
           same_last_two(shape_of(p, id), shape_of(p, p->scores)) && is_range(p, node->in[0], 1, &row) &&
           is_range(p, node->in[1], 0, &column) && column - row == inverted;
}

/* The other operand if `id` combines a mask with a causal one; else 0. */
static uint32_t causal_partner(const pattern *p, uint32_t id, bool inverted)
{
    const uint32_t *in = node_of(p, id)->in;
    if (!is_row(p, id, inverted ? ROW_logical_or : ROW_logical_and)) return 0;
    return is_causal(p, in[0], inverted) ? in[1] : is_causal(p, in[1], inverted) ? in[0] : 0;
}

/* Decomposes the mask: strips negations and causal parts. */
static void read_mask(pattern *p)
{
    uint32_t rest;
    do {
        for (; is_row(p, p->mask, ROW_logical_not); p->mask = node_of(p, p->mask)->in[0])
            p->inverted = !p->inverted;
        rest = causal_partner(p, p->mask, p->inverted);
        if (rest) p->mask = rest;
        p->causal |= rest != 0;
    } while (rest);
    if (!is_causal(p, p->mask, p->inverted)) return;
    p->causal = true;
    p->mask = 0;
}

/* The scores under a removable mask, or `id` if there is none. The mask is decomposed once the scores are known. */
static uint32_t skip_mask(pattern *p, uint32_t id, uint32_t reader)
{
    const uint32_t *in = node_of(p, id)->in;
    uint32_t scores = 0;
    if (!is_removable(p, id, reader)) return id;
    if (is_row(p, id, ROW_where) && is_minus_infinity(p, in[2])) {
        scores = in[1];
    } else if (is_row(p, id, ROW_where) && is_minus_infinity(p, in[1])) {
        scores = in[2];
        p->inverted = true;
    } else if (is_row(p, id, ROW_masked_fill) && is_minus_infinity(p, in[2])) {
        scores = in[0];
        p->inverted = true;
    }
    if (!scores || node_of(p, scores)->shape != node_of(p, id)->shape) return id;
    p->masked = id;
    p->mask = in[is_row(p, id, ROW_masked_fill) ? 1 : 0];
    return scores;
}

/* ---- the pattern -------------------------------------------------------------------------------------------- */

static bool same_leading(const wg_shape *a, const wg_shape *b)
{
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank - 2; i++)
        if (a->size[i] != b->size[i]) return false;
    return true;
}

/* The op needs equal leading sizes. */
static bool fits_op(const pattern *p)
{
    const wg_shape *q = shape_of(p, p->q);
    return same_leading(q, shape_of(p, p->k)) && same_leading(q, shape_of(p, p->v));
}

static bool is_worth_it(const pattern *p)
{
    int64_t operands = numel_of(p, p->q) + numel_of(p, p->k) + numel_of(p, p->v);
    return numel_of(p, p->scores) > (p->causal ? operands : WORTH * operands);
}

/* Whether keys is k^T, possibly scaled. */
static bool find_keys(pattern *p)
{
    p->keys = skip_scale(p, p->keys, p->scores);
    const wg__node *node = node_of(p, p->keys);
    p->k = node->in[0];
    return is(p, p->keys, &wg__permute_op) && passes_gradient(p, p->keys) &&
           wg__swaps_last_two(wg__attr_of(p->r->tape, node), shape_of(p, p->keys)->rank);
}

static bool find(pattern *p)
{
    p->out = p->r->reader[p->weights];
    if (p->out == WG__READ_MORE || !is(p, p->out, &wg__matmul_op) || node_of(p, p->out)->in[0] != p->weights ||
        !is_removable(p, p->weights, p->out))
        return false;
    p->v = node_of(p, p->out)->in[1];
    uint32_t id = skip_mask(p, node_of(p, p->weights)->in[0], p->weights),
             reader = p->masked ? p->masked : p->weights;
    p->scores = skip_scale(p, id, reader);
    if (p->scaled) reader = p->scaled;
    if (!is(p, p->scores, &wg__matmul_op) || !is_removable(p, p->scores, reader)) return false;
    p->q = node_of(p, p->scores)->in[0];
    p->keys = node_of(p, p->scores)->in[1];
    if (!find_keys(p) || !fits_op(p)) return false;
    if (p->masked) read_mask(p);
    return is_worth_it(p);
}

/* ---- the replacement --------------------------------------------------------------------------------------------- */

/* Moves the scale: the node that scaled the scores or k^T now scales q or k. */
static bool move_scale(pattern *p)
{
    const bool of_scores = node_of(p, p->scaled)->in[p->scaled_in] == p->scores;
    uint32_t *x = of_scores ? &p->q : &p->k;
    wg__node to = *node_of(p, p->scaled);
    to.in[p->scaled_in] = *x;
    to.shape = node_of(p, *x)->shape;
    *x = p->scaled;
    return wg__rewrite_node(p->r, p->scaled, wg__op_of(p->r->tape, &to), to, NULL, 0);
}

/* Turns the mask into one of the scores' shape that is true where a key may be seen. It reuses the nodes of the masking
 * op and of the softmax. */
static bool fit_mask(pattern *p)
{
    const uint32_t shape = node_of(p, p->scores)->shape;
    wg__node to = {.n_in = 1, .in = {p->mask}, .shape = node_of(p, p->mask)->shape, .dtype = WG_BOOL};
    if (p->inverted) {
        p->mask = p->masked;
        if (!wg__rewrite_node(p->r, p->mask, &wg__pointwise_ops[ROW_logical_not], to, NULL, 0)) return false;
    }
    if (to.shape == shape) return true;
    to.in[0] = p->mask;
    to.shape = shape;
    const wg_shape size = *shape_of(p, p->scores);
    p->mask = p->weights;
    return wg__rewrite_node(p->r, p->mask, &wg__expand_op, to, &size, sizeof size);
}

bool wg__attention_recognise(wg__rewrite *r, uint32_t softmax)
{
    pattern p = {.r = r, .weights = softmax};
    if (!find(&p)) return true;
    if ((p.scaled && !move_scale(&p)) || (p.mask && !fit_mask(&p))) return false;
    const wg__attention_attr attr = {.scale = 1, .causal = p.causal, .window = -1};
    const wg__node *out = node_of(&p, p.out);
    wg__node to = {.n_in = 4, .in = {p.q, p.k, p.v, p.mask}, .shape = out->shape, .dtype = out->dtype};
    return wg__rewrite_node(r, p.out, &wg__attention_op, to, &attr, sizeof attr);
}
