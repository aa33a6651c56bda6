/* Attention that is written out with products and a softmax is found in a program before it is differentiated, and
 * becomes the op, which goes by blocks:
 *
 *     out = softmax(scores) v,    scores = q k^T, times or divided by one number, with -inf where a key is hidden
 *
 * The number may also stand at q or k, and the mask say who may be seen or who may not, as wg_where or
 * wg_masked_fill with -inf, for one matrix or for all; wg_tril_mask and wg_triu_mask, alone or beside another mask,
 * are known to be causal. Everything between must be read by the formula alone, and its value be wanted by nobody. */
#include "../autograd/plan/rewrite.h"
#include "internal.h"

#include <math.h>

#include "kernels/attention/attention.h"
#include "kernels/move/move.h"
#include "kernels/random/random.h"
#include "pointwise_rows.h"

/* The op computes the scores again for the gradient. That is paid for where a causal mask lets it leave out half of
 * them; otherwise only once the scores, which it does not store, are so many times as many as its operands. */
enum { WORTH = 4 };

typedef struct pattern {
    wg__rewrite *r;
    uint32_t out, weights; /* the formula from its end: nodes */
    uint32_t masked;       /* 0: nothing is hidden */
    uint32_t scaled;       /* what multiplies by one number: the scores or, where it stands, k^T; 0: nothing does */
    int scaled_in;         /* its operand that is multiplied */
    uint32_t q, keys, k, v;
    uint32_t scores; /* the product q k^T */
    uint32_t mask;   /* 0: none, or one that is causal */
    bool hides;      /* it is true where a key is hidden, not where it may be seen */
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

/* ---- what may go ------------------------------------------------------------------------------------------ */

/* Gradients that flow through the result also flow through this. */
static bool flows(const pattern *p, uint32_t id)
{
    return (node_of(p, p->out)->flags & WG__NODE_DETACHED) || !(node_of(p, id)->flags & WG__NODE_DETACHED);
}

/* Only `reader` reads it, and nobody misses it. */
static bool may_go(const pattern *p, uint32_t id, uint32_t reader)
{
    const wg__node *node = node_of(p, id);
    return p->r->reader[id] == reader && !(node->flags & WG__NODE_VALUE) &&
           node->region == node_of(p, p->out)->region && flows(p, id);
}

/* ---- the number ------------------------------------------------------------------------------------------- */

/* Whether `id` is its operand k times or divided by one number. */
static bool scales(const pattern *p, uint32_t id, int k)
{
    const wg__node *node = node_of(p, id);
    bool scale = is_row(p, id, ROW_mul) || (k == 0 && is_row(p, id, ROW_div));
    return scale && numel_of(p, node->in[1 - k]) == 1 && node_of(p, node->in[k])->shape == node->shape;
}

/* What stands behind a scaling that may go and was not found before; `id` itself if there is none. */
static uint32_t behind_scale(pattern *p, uint32_t id, uint32_t reader)
{
    for (int k = 0; k < 2 && !p->scaled && may_go(p, id, reader); k++)
        if (scales(p, id, k)) {
            p->scaled = id;
            p->scaled_in = k;
        }
    return p->scaled == id ? node_of(p, id)->in[p->scaled_in] : id;
}

/* ---- the mask --------------------------------------------------------------------------------------------- */

static bool is_minus_infinity(const pattern *p, uint32_t id)
{
    const wg__fill_attr *attr = wg__attr_of(p->r->tape, node_of(p, id));
    return is(p, id, &wg__fill_op) && attr->value == -INFINITY;
}

/* Whether `id` counts from *start by 1 along axis 0 or 1 of two. */
static bool counts(const pattern *p, uint32_t id, int axis, double *start)
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

/* The matrix behind views that only put axes in front of it. */
static uint32_t behind_leading(const pattern *p, uint32_t id)
{
    while (is(p, id, &wg__reshape_op) || is(p, id, &wg__expand_op)) {
        const uint32_t in = node_of(p, id)->in[0];
        if (!same_last_two(shape_of(p, in), shape_of(p, id))) break;
        id = in;
    }
    return id;
}

/* Whether query i sees keys j <= i or, if the mask hides, does not see keys j >= i + 1. */
static bool is_causal(const pattern *p, uint32_t id, bool hides)
{
    id = behind_leading(p, id);
    const wg__node *node = node_of(p, id);
    double row, column;
    return is_row(p, id, hides ? ROW_greater_equal : ROW_less_equal) && shape_of(p, id)->rank == 2 &&
           same_last_two(shape_of(p, id), shape_of(p, p->scores)) && counts(p, node->in[0], 1, &row) &&
           counts(p, node->in[1], 0, &column) && column - row == hides;
}

/* The operand beside a causal mask; 0: the mask is no such pair. */
static uint32_t beside_causal(const pattern *p, uint32_t id, bool hides)
{
    const uint32_t *in = node_of(p, id)->in;
    if (!is_row(p, id, hides ? ROW_logical_or : ROW_logical_and)) return 0;
    return is_causal(p, in[0], hides) ? in[1] : is_causal(p, in[1], hides) ? in[0] : 0;
}

/* Takes the mask apart: what is said with not, and what is causal. */
static void read_mask(pattern *p)
{
    uint32_t rest;
    do {
        for (; is_row(p, p->mask, ROW_logical_not); p->mask = node_of(p, p->mask)->in[0]) p->hides = !p->hides;
        rest = beside_causal(p, p->mask, p->hides);
        if (rest) p->mask = rest;
        p->causal |= rest != 0;
    } while (rest);
    if (!is_causal(p, p->mask, p->hides)) return;
    p->causal = true;
    p->mask = 0;
}

/* The scores behind a mask that may go; the mask is read once they are known. `id` itself if there is none. */
static uint32_t behind_mask(pattern *p, uint32_t id, uint32_t reader)
{
    const uint32_t *in = node_of(p, id)->in;
    uint32_t scores = 0;
    if (!may_go(p, id, reader)) return id;
    if (is_row(p, id, ROW_where) && is_minus_infinity(p, in[2])) {
        scores = in[1];
    } else if (is_row(p, id, ROW_where) && is_minus_infinity(p, in[1])) {
        scores = in[2];
        p->hides = true;
    } else if (is_row(p, id, ROW_masked_fill) && is_minus_infinity(p, in[2])) {
        scores = in[0];
        p->hides = true;
    }
    if (!scores || node_of(p, scores)->shape != node_of(p, id)->shape) return id;
    p->masked = id;
    p->mask = in[is_row(p, id, ROW_masked_fill) ? 1 : 0];
    return scores;
}

/* ---- the whole -------------------------------------------------------------------------------------------- */

static bool same_leading(const wg_shape *a, const wg_shape *b)
{
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank - 2; i++)
        if (a->size[i] != b->size[i]) return false;
    return true;
}

/* Equal leading sizes, which the op needs. */
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

/* keys is k^T, perhaps times a number. */
static bool find_keys(pattern *p)
{
    p->keys = behind_scale(p, p->keys, p->scores);
    const wg__node *node = node_of(p, p->keys);
    p->k = node->in[0];
    return is(p, p->keys, &wg__permute_op) && flows(p, p->keys) &&
           wg__swaps_last_two(wg__attr_of(p->r->tape, node), shape_of(p, p->keys)->rank);
}

static bool find(pattern *p)
{
    p->out = p->r->reader[p->weights];
    if (p->out == WG__READ_MORE || !is(p, p->out, &wg__matmul_op) || node_of(p, p->out)->in[0] != p->weights ||
        !may_go(p, p->weights, p->out))
        return false;
    p->v = node_of(p, p->out)->in[1];
    uint32_t id = behind_mask(p, node_of(p, p->weights)->in[0], p->weights),
             reader = p->masked ? p->masked : p->weights;
    p->scores = behind_scale(p, id, reader);
    if (p->scaled) reader = p->scaled;
    if (!is(p, p->scores, &wg__matmul_op) || !may_go(p, p->scores, reader)) return false;
    p->q = node_of(p, p->scores)->in[0];
    p->keys = node_of(p, p->scores)->in[1];
    if (!find_keys(p) || !fits_op(p)) return false;
    if (p->masked) read_mask(p);
    return is_worth_it(p);
}

/* ---- the op ----------------------------------------------------------------------------------------------- */

/* The node that scaled the scores, or k^T, scales q or k. */
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

/* A mask of the scores' shape that says who may be seen. The nodes of the formula's mask and softmax make it. */
static bool fit_mask(pattern *p)
{
    const uint32_t shape = node_of(p, p->scores)->shape;
    wg__node to = {.n_in = 1, .in = {p->mask}, .shape = node_of(p, p->mask)->shape, .dtype = WG_BOOL};
    if (p->hides) {
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
