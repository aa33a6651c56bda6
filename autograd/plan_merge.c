/* Pass: sums of products. p1 + p2 + ... + pT, each the product of two matrices or of two batches of them, is one
 * product whose inner size is all theirs together: dW = sum over time of dY_t^T X_t. The sum is cut into runs that
 * stay in cache; each run is one instruction that adds to the last one's result. Rounding: the order of the additions
 * changes. */
#include "plan.h"

#include <stdlib.h>

enum { RUN_K = 384 }; /* inner size of a run: one packed block of the product kernels */

/* Nodes that are a sum of mergeable products, themselves or through one transposing view. */
typedef struct merge {
    wg__planner *p;
    uint8_t *sum;   /* [n] 1: a product that can take part; 2: a sum of such */
    uint8_t *used;  /* [n] taken into a larger sum */
    uint32_t *uses; /* [n] how many operands name it or, of what is computed again, its copy */
} merge;

static bool reads_param(const wg__planner *p, uint32_t id)
{
    const wg__node *node = &p->tape->nodes[p->root[id]];
    return !node->op && node->leaf == WG__LEAF_PARAM;
}

/* A node or, if it is a copy, what it is a copy of: both are merged alike, or their bits would differ. */
static uint32_t original(const wg__planner *p, uint32_t id)
{
    const wg__node *node = &p->tape->nodes[id];
    return node->flags & WG__NODE_AGAIN ? node->forward : id;
}

static bool single(const merge *m, uint32_t id)
{
    id = original(m->p, id);
    return m->uses[id] == 1 && !(m->p->state[id] & WG__OUTPUT);
}

/* The readers that there would be if nothing were computed again. */
static bool count_uses(merge *m)
{
    const wg__planner *p = m->p;
    m->uses = p->uses;
    if (!p->again) return true;
    m->uses = wg__plan_array(p->own, p->n, sizeof *m->uses);
    for (uint32_t id = 1; m->uses && id < p->n; id++) {
        const wg__node *node = &p->tape->nodes[id];
        const uint32_t first = original(p, id), *in = wg__inputs(p->tape, node);
        if (!(p->state[id] & WG__NEEDED) || wg__is_source(p, id)) continue;
        if (first != id && (p->state[first] & WG__NEEDED)) continue; /* it reads what the original reads */
        for (uint32_t k = 0; k < node->n_in; k++) m->uses[original(p, in[k])]++;
    }
    return m->uses != NULL;
}

/* A product. Not with a parameter: a weight is packed once and used by all. */
static bool is_term(const merge *m, uint32_t id)
{
    const wg__planner *p = m->p;
    const wg__node *node = &p->tape->nodes[id];
    if (wg__is_source(p, id) || wg__plan_op(p, id)->kind != WG_KIND_PRODUCT || !single(m, id)) return false;
    if (reads_param(p, node->in[0]) || reads_param(p, node->in[1])) return false;
    return wg__structural_ops.product((wg_dtype)node->dtype) != NULL;
}

static void swap(int64_t *a, int64_t *b)
{
    int64_t t = *a;
    *a = *b;
    *b = t;
}

/* Whether `id` is `term` with its matrices seen transposed; false with *same set if it is seen as it is. */
static bool is_transposed(const wg__planner *p, uint32_t id, uint32_t term, bool *same)
{
    const wg_shape *seen = wg__shape_of_node(p->tape, &p->tape->nodes[id]);
    const wg_shape *shape = wg__shape_of_node(p->tape, &p->tape->nodes[term]);
    wg_shape turned = *seen;
    wg_layout layout = wg__layout_of(p, id);
    *same = wg_shape_equal(seen, shape) && wg__is_dense(&layout, shape);
    if (*same || seen->rank != shape->rank) return false;
    swap(&turned.size[seen->rank - 2], &turned.size[seen->rank - 1]);
    swap(&layout.stride[seen->rank - 2], &layout.stride[seen->rank - 1]);
    return wg_shape_equal(&turned, shape) && wg__is_dense(&layout, shape);
}

/* The term behind an operand of an addition: the product itself, or the product seen transposed or as it is. */
static uint32_t term_of(const merge *m, uint32_t id)
{
    const wg__planner *p = m->p;
    uint32_t seen = id;
    bool same;
    while (!wg__is_source(p, id) && wg__plan_op(p, id)->kind == WG_KIND_VIEW) {
        if (!single(m, id) || (p->state[id] & WG__VIEW_COPY)) return 0;
        id = wg__inputs(p->tape, &p->tape->nodes[id])[0];
    }
    if (m->sum[id] != 1) return 0;
    return is_transposed(p, seen, id, &same) || same ? id : 0;
}

static bool is_sum(const merge *m, uint32_t id)
{
    const wg__planner *p = m->p;
    const wg__node *node = &p->tape->nodes[id];
    if (wg__is_source(p, id) || !wg__op_is(p->tape, node, wg__structural_ops.add)) return false;
    for (int k = 0; k < 2; k++) {
        uint32_t in = node->in[k];
        if (p->tape->nodes[in].shape != node->shape) return false;
        if (!(m->sum[in] == 2 && single(m, in)) && !term_of(m, in)) return false;
    }
    return true;
}

/* Cuts the terms, in the order they are known, into runs. */
static bool emit_runs(merge *m, uint32_t root, uint32_t first)
{
    wg__planner *p = m->p;
    int64_t k = 0;
    uint32_t start = first;
    for (uint32_t i = first; i <= p->n_members; i++) {
        int64_t inner = 0;
        if (i < p->n_members) {
            const wg__node *term = &p->tape->nodes[p->members[i]];
            const wg_shape *a = wg__shape_of_node(p->tape, &p->tape->nodes[term->in[0]]);
            inner = a->size[a->rank - 1];
        }
        if (i == p->n_members || (i > start && k + inner > RUN_K)) {
            uint32_t last = p->members[i - 1];
            wg__work unit = {.kind = WG__UNIT_PRODUCT,
                             .accumulate = start > first,
                             .node = root,
                             .first = start,
                             .count = i - start,
                             .when = (uint64_t)last << 32};
            uint32_t made = wg__unit_new(p, unit);
            if (made == UINT32_MAX) return false;
            for (uint32_t j = start; j < i; j++) p->unit[p->members[j]] = made + 1;
            p->unit[root] = made + 1;
            start = i;
            k = 0;
        }
        k += inner;
    }
    return true;
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Collects the terms below a root, without recursion: the list of open sums grows in `open`. */
static bool collect(merge *m, uint32_t root, uint32_t *open)
{
    wg__planner *p = m->p;
    uint32_t n_open = 0, first = p->n_members;
    open[n_open++] = root;
    while (n_open) {
        uint32_t id = open[--n_open];
        if (id != root) p->state[id] |= WG__ABSORBED;
        for (int k = 0; k < 2; k++) {
            uint32_t in = p->tape->nodes[id].in[k];
            if (m->sum[in] == 2) {
                m->used[in] = 1;
                open[n_open++] = in;
                continue;
            }
            uint32_t term = term_of(m, in);
            p->state[term] |= WG__ABSORBED;
            bool same; /* how the sum sees it is left in the term's view: NULL as it is, otherwise transposed */
            p->view[term] = is_transposed(p, in, term, &same) ? p->view[in] : NULL;
            if (!wg__member_add(p, term)) return false;
        }
    }
    qsort(p->members + first, p->n_members - first, sizeof *p->members, by_id);
    return emit_runs(m, root, first);
}

bool wg__plan_merge(wg__planner *p)
{
    if (!(p->passes & WG__PASS_MERGE)) return true;
    merge m = {.p = p, .sum = wg__plan_array(p->own, p->n, 1), .used = wg__plan_array(p->own, p->n, 1)};
    uint32_t *open = wg__plan_array(p->own, p->n, sizeof *open);
    if (!m.sum || !m.used || !open || !count_uses(&m)) return false;
    for (uint32_t id = 1; id < p->n; id++) {
        if (!(p->state[id] & WG__NEEDED)) continue;
        if (is_term(&m, id))
            m.sum[id] = 1;
        else if (is_sum(&m, id))
            m.sum[id] = 2;
    }
    for (uint32_t id = p->n - 1; id > 0; id--)
        if (m.sum[id] == 2 && !m.used[id] && !collect(&m, id, open)) return false;
    return true;
}
