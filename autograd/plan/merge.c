/* Pass merge: sums of products, and a product whose transpose is wanted. p1 + p2 + ... + pT, each a product of two
 * matrices or of two batches of them, is one product whose inner dimension is all of theirs: dW = sum over time of
 * dY_t^T X_t. The sum is cut into runs that fit the cache; each run is a unit that adds to the result of the one
 * before. Rounding: the order of additions changes. */
#include "planner.h"

#include <stdlib.h>

enum { RUN_K = 384 }; /* inner size of a run: one packed block of the product kernels, which then stays in cache */

enum { TERM = 1, SUM = 2 };

typedef struct merge {
    wg__planner *p;
    uint8_t *kind;  /* [n] TERM: a product that can take part; SUM: a sum of such products */
    uint8_t *used;  /* [n] part of a larger sum */
    uint32_t *uses; /* [n] operands that name it or, if it is rematerialized, its copy */
} merge;

/* One in bf16 that becomes f32 for another reader counts as the parameter that it is. */
static bool reads_param(const wg__planner *p, uint32_t id)
{
    const wg__node *node = wg__node_at(p, p->storage.root[id]);
    if (node->op && wg__op_is(p->tape, node, p->tape->structural->widen))
        node = wg__node_at(p, wg__inputs(p->tape, node)[0]);
    return !node->op && node->leaf == WG__LEAF_PARAM;
}

/* Rematerialized copies are merged exactly like their originals, or bits would differ. */
static bool has_one_use(const merge *m, uint32_t id)
{
    id = wg__original_of(m->p, id);
    return m->uses[id] == 1 && !(m->p->flags[id] & WG__OUTPUT);
}

/* Uses as they would be without rematerialization. */
static bool count_uses(merge *m)
{
    const wg__planner *p = m->p;
    m->uses = p->uses;
    if (!p->remat) return true;
    m->uses = wg__arena_array(p->scratch, p->n, sizeof *m->uses);
    for (uint32_t id = 1; m->uses && id < p->n; id++) {
        const wg__node *node = wg__node_at(p, id);
        const uint32_t first = wg__original_of(p, id), *in = wg__inputs(p->tape, node);
        if (!(p->flags[id] & WG__LIVE) || wg__is_source(p, id)) continue;
        if (first != id && (p->flags[first] & WG__LIVE)) continue; /* it reads what the original reads */
        for (uint32_t k = 0; k < node->n_in; k++) m->uses[wg__original_of(p, in[k])]++;
    }
    return m->uses != NULL;
}

/* A product that can be merged. Not one with a parameter: a weight is packed once and shared. */
static bool is_term(const merge *m, uint32_t id)
{
    const wg__planner *p = m->p;
    const wg__node *node = wg__node_at(p, id);
    if (wg__is_source(p, id) || wg__op_at(p, id)->kind != WG_KIND_PRODUCT || !has_one_use(m, id)) return false;
    if (reads_param(p, node->in[0]) || reads_param(p, node->in[1])) return false;
    return p->tape->structural->product(&(wg__product){.dtype = (wg_dtype)node->dtype}) != NULL;
}

static void swap(int64_t *a, int64_t *b)
{
    int64_t t = *a;
    *a = *b;
    *b = t;
}

/* Whether `id` is `term` with its matrices transposed; false, with *same set, if it is the term itself. */
static bool is_transposed(const wg__planner *p, uint32_t id, uint32_t term, bool *same)
{
    const wg_shape *seen = wg__shape_at(p, id), *shape = wg__shape_at(p, term);
    wg_shape transposed = *seen;
    wg_layout layout = wg__layout_of(p, id);
    *same = wg_shape_equal(seen, shape) && wg__is_contiguous(&layout, shape);
    if (*same || seen->rank != shape->rank) return false;
    swap(&transposed.size[seen->rank - 2], &transposed.size[seen->rank - 1]);
    swap(&layout.stride[seen->rank - 2], &layout.stride[seen->rank - 1]);
    return wg_shape_equal(&transposed, shape) && wg__is_contiguous(&layout, shape);
}

/* The term behind an operand of an addition, possibly through views that transpose it; 0: none. */
static uint32_t term_of(const merge *m, uint32_t id)
{
    const wg__planner *p = m->p;
    uint32_t seen = id;
    bool same;
    while (!wg__is_source(p, id) && wg__op_at(p, id)->kind == WG_KIND_VIEW) {
        if (!has_one_use(m, id) || (p->flags[id] & WG__VIEW_COPY)) return 0;
        id = wg__inputs(p->tape, wg__node_at(p, id))[0];
    }
    if (m->kind[id] != TERM) return 0;
    return is_transposed(p, seen, id, &same) || same ? id : 0;
}

static bool is_sum(const merge *m, uint32_t id)
{
    const wg__planner *p = m->p;
    const wg__node *node = wg__node_at(p, id);
    if (wg__is_source(p, id) || !wg__op_is(p->tape, node, p->tape->structural->add)) return false;
    for (int k = 0; k < 2; k++) {
        uint32_t in = node->in[k];
        if (wg__node_at(p, in)->shape != node->shape) return false;
        if (!(m->kind[in] == SUM && has_one_use(m, in)) && !term_of(m, in)) return false;
    }
    return true;
}

static int64_t inner_size(const wg__planner *p, uint32_t term)
{
    const wg_shape *a = wg__shape_at(p, wg__node_at(p, term)->in[0]);
    return a->size[a->rank - 1];
}

/* Terms [first, end) of the member list, which continue the sum if first > start, as a unit. */
static bool add_run(wg__planner *p, uint32_t root, uint32_t start, uint32_t first, uint32_t end)
{
    assert(start <= first && first < end && end <= p->units.n_members);
    uint32_t unit = wg__unit_new(p, (wg__unit){.kind = WG__UNIT_PRODUCT,
                                               .accumulate = first > start,
                                               .node = root,
                                               .first = first,
                                               .count = end - first,
                                               .earliest = (uint64_t)p->units.members[end - 1] << 32});
    for (uint32_t i = first; i < end; i++) p->units.of[p->units.members[i]] = unit;
    p->units.of[root] = unit;
    return unit != 0;
}

/* Cuts the terms from `start` on, in the order in which they are computed, into runs. */
static bool add_runs(wg__planner *p, uint32_t root, uint32_t start)
{
    int64_t k = 0;
    uint32_t first = start;
    for (uint32_t i = start; i < p->units.n_members; i++) {
        int64_t inner = inner_size(p, p->units.members[i]);
        if (i > first && k + inner > RUN_K) {
            if (!add_run(p, root, start, first, i)) return false;
            first = i;
            k = 0;
        }
        k += inner;
    }
    return add_run(p, root, start, first, p->units.n_members);
}

/* Collects the terms below a root without recursion; `open` is a stack of sums. */
static bool collect(merge *m, uint32_t root, uint32_t *open)
{
    wg__planner *p = m->p;
    uint32_t n_open = 0, first = p->units.n_members;
    open[n_open++] = root;
    while (n_open) {
        uint32_t id = open[--n_open];
        if (id != root) p->flags[id] |= WG__MERGED;
        for (int k = 0; k < 2; k++) {
            uint32_t in = wg__node_at(p, id)->in[k];
            if (m->kind[in] == SUM) {
                m->used[in] = 1;
                open[n_open++] = in;
                continue;
            }
            uint32_t term = term_of(m, in);
            bool same;
            p->flags[term] |= WG__MERGED;
            /* The term's view says how the sum reads it: NULL as it is, otherwise transposed. */
            p->storage.view[term] = is_transposed(p, in, term, &same) ? p->storage.view[in] : NULL;
            if (!wg__member_add(p, term)) return false;
        }
    }
    qsort(p->units.members + first, p->units.n_members - first, sizeof *p->units.members, wg__by_id);
    return add_runs(p, root, first);
}

/* An output that is the transpose of a product, such as the gradient of a linear layer's weight: the product is
 * computed transposed, so that it need not be copied. */
static bool transpose(merge *m, uint32_t id)
{
    wg__planner *p = m->p;
    const wg__node *node = wg__node_at(p, id);
    bool same;
    if (!(p->flags[id] & WG__OUTPUT) || p->uses[id] || wg__is_source(p, id)) return true;
    if (wg__op_at(p, id)->kind != WG_KIND_VIEW || (p->flags[id] & (WG__VIEW_COPY | WG__SLICE_COPY))) return true;
    const uint32_t term = node->in[0], first = p->units.n_members;
    if (m->kind[term] != TERM || !is_transposed(p, id, term, &same)) return true;
    p->flags[term] |= WG__MERGED;
    p->storage.view[term] = p->storage.view[id];
    p->storage.view[id] = NULL;
    p->storage.root[id] = id;
    return wg__member_add(p, term) && add_run(p, id, first, first, first + 1);
}

bool wg__plan_merge(wg__planner *p)
{
    merge m = {.p = p};
    m.kind = wg__arena_array(p->scratch, p->n, 1);
    m.used = wg__arena_array(p->scratch, p->n, 1);
    uint32_t *open = wg__arena_array(p->scratch, p->n, sizeof *open);
    if (!m.kind || !m.used || !open || !count_uses(&m)) return false;
    for (uint32_t id = 1; id < p->n; id++) {
        if (!(p->flags[id] & WG__LIVE)) continue;
        if (is_term(&m, id))
            m.kind[id] = TERM;
        else if (is_sum(&m, id))
            m.kind[id] = SUM;
    }
    for (uint32_t id = p->n - 1; id > 0; id--)
        if (m.kind[id] == SUM ? !m.used[id] && !collect(&m, id, open) : !transpose(&m, id)) return false;
    return true;
}
