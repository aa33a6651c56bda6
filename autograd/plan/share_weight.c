/* Pass share_weight: independent products by one large weight, say the output layer at all time steps, become one unit,
 * so that the weight is read from memory once for all their rows. Exact: every row is computed from the same values in
 * the same order, and no operand is copied.
 *
 * The level of a unit is the number of products by this weight on the longest path to it. Products of one level do not
 * depend on each other, and combining them level by level creates no cycle. O(units) for each of the few weights. */
#include "planner.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    LARGE =
        5 << 20, /* bytes of a weight that does not stay in cache between products (4 MB gains nothing: 104 against
                        106 GFLOP/s; 10 MB gains 85 -> 100; docs/performance.md) */
    MOST_ROWS = 2048 /* of a unit: beside so many rows, reading the weight once more is cheap */
};

/* A product by a large weight. Products of one set share weight, sizes and strides. */
typedef struct candidate {
    wg__pack weight;
    wg__product product;
    wg__segment segment;
    uint32_t set, level, position, unit;
} candidate;

typedef struct share {
    wg__planner *p;
    candidate *candidates;
    uint32_t n;
    uint32_t n_sequence; /* units that remain */
    uint32_t set;        /* the current one */
    uint32_t *set_of;    /* [units] 0: none */
    uint32_t *level;     /* [units] */
    uint32_t *position;  /* [units] in the sequence */
    bool *done;          /* [units] part of another unit; while sorting: placed */
} share;

/* ---- products by large weights ------------------------------------------------------------------------------- */

static int by_form(const void *x, const void *y)
{
    const candidate *a = x, *b = y;
    int order = wg__compare_packs(&a->weight, &b->weight);
    if (!order) order = wg__compare(a->product.m, b->product.m);
    if (!order) order = wg__compare(a->segment.a_rs, b->segment.a_rs);
    if (!order) order = wg__compare(a->segment.a_cs, b->segment.a_cs);
    if (!order) order = wg__compare(a->segment.a_bf16, b->segment.a_bf16);
    if (!order) order = wg__compare(a->product.c_rs, b->product.c_rs);
    return order ? order : wg__compare(a->product.c_cs, b->product.c_cs);
}

static bool is_candidate(const share *s, uint32_t unit, candidate *c)
{
    const wg__planner *p = s->p;
    const wg__unit *u = &p->units.list[unit];
    if (u->kind != WG__UNIT_PRODUCT) return false;
    const wg__node *node = wg__node_at(p, p->units.members[u->first]);
    if (node->flags & WG__NODE_REMAT) return false; /* a copy is made late, so that what it needs does not stay */
    uint32_t b = wg__inputs(p->tape, node)[1];
    if (wg__bytes_of(p, b) < LARGE && !p->tape->share_any_weight) return false;
    c->unit = unit;
    return wg__packs_b(p, u, &c->product, &c->segment, &c->weight);
}

/* Finds the candidates and numbers their sets from 1. */
static bool find_candidates(share *s)
{
    const wg__planner *p = s->p;
    uint32_t products = 0;
    for (uint32_t i = 1; i < p->units.n; i++) products += p->units.list[i].kind == WG__UNIT_PRODUCT;
    s->candidates = wg__arena_array(p->scratch, products + 1u, sizeof *s->candidates);
    if (!s->candidates) return false;
    for (uint32_t i = 1; i < p->units.n; i++) s->n += is_candidate(s, i, &s->candidates[s->n]);
    qsort(s->candidates, s->n, sizeof *s->candidates, by_form);
    for (uint32_t i = 0; i < s->n; i++) {
        bool same = i > 0 && !by_form(&s->candidates[i - 1], &s->candidates[i]);
        s->candidates[i].set = i == 0 ? 1 : s->candidates[i - 1].set + !same;
        s->set_of[s->candidates[i].unit] = s->candidates[i].set;
    }
    return true;
}

/* ---- levels -------------------------------------------------------------------------------------------------- */

typedef struct level_visit {
    const share *s;
    uint32_t level;
} level_visit;

static void raise_level(void *context, uint32_t dependency)
{
    level_visit *v = context;
    uint32_t level = v->s->level[dependency] + (v->s->set_of[dependency] == v->s->set);
    if (level > v->level) v->level = level;
}

static void find_levels(share *s, candidate *first, uint32_t n)
{
    const wg__planner *p = s->p;
    for (uint32_t i = 0; i < s->n_sequence; i++) {
        uint32_t unit = p->schedule.sequence[i];
        level_visit v = {s, 0};
        wg__each_dependency(p, unit, raise_level, &v);
        s->level[unit] = v.level;
        s->position[unit] = i;
    }
    for (uint32_t i = 0; i < n; i++) {
        first[i].level = s->level[first[i].unit];
        first[i].position = s->position[first[i].unit];
    }
}

/* ---- combining ----------------------------------------------------------------------------------------------- */

static int by_level(const void *x, const void *y)
{
    const candidate *a = x, *b = y;
    return a->level != b->level ? wg__compare(a->level, b->level) : wg__compare(a->position, b->position);
}

/* Combines n independent candidates into the unit of the first. */
static bool unite(share *s, const candidate *first, uint32_t n)
{
    wg__planner *p = s->p;
    assert(n >= 2);
    uint32_t start = p->units.n_members, into = first[0].unit;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t node = p->units.list[first[i].unit].node;
        if (!wg__member_add(p, node)) return false;
        p->units.of[node] = into;
        s->done[first[i].unit] = i > 0;
    }
    wg__unit *unit = &p->units.list[into];
    unit->kind = WG__UNIT_PRODUCTS;
    unit->first = start;
    unit->count = n;
    return true;
}

/* Combines the candidates of one set, level by level. */
static bool unite_levels(share *s, candidate *first, uint32_t n, bool *any)
{
    qsort(first, n, sizeof *first, by_level);
    for (uint32_t i = 0, end; i < n; i = end) {
        int64_t rows = first[i].product.m;
        for (end = i + 1; end < n && first[end].level == first[i].level && rows + first[end].product.m <= MOST_ROWS;
             end++)
            rows += first[end].product.m;
        if (end - i < 2) continue;
        if (!unite(s, first + i, end - i)) return false;
        *any = true;
    }
    return true;
}

/* ---- the new order ------------------------------------------------------------------------------------------- */

typedef struct walk {
    share *s;
    uint32_t *stack, n_stack, cap_stack;
    bool failed;
} walk;

static void push(void *context, uint32_t unit)
{
    walk *w = context;
    if (w->s->done[unit]) return;
    /* Each operand is pushed at most once per reader, unless dependencies form a cycle. */
    assert(w->n_stack < 4 * w->s->p->tape->n_nodes + w->s->p->tape->n_spill + 2 * w->s->p->units.n);
    w->failed |=
        !wg__grow(&w->s->p->tape->heap, (void **)&w->stack, &w->cap_stack, w->n_stack + 1u, sizeof *w->stack);
    if (!w->failed) w->stack[w->n_stack++] = unit;
}

/* Keeps the order, but puts every unit after its dependencies: a combined unit runs when it is first needed. */
static bool reorder(share *s)
{
    wg__planner *p = s->p;
    walk w = {.s = s};
    uint32_t *sequence = wg__arena_array(p->arena, p->units.n, sizeof *sequence), n = 0;
    bool *gone = wg__arena_array(p->scratch, p->units.n, sizeof *gone);
    if (!sequence || !gone) return false;
    memcpy(gone, s->done, p->units.n * sizeof *gone);
    for (uint32_t i = 0; i < s->n_sequence && !w.failed; i++) {
        push(&w, p->schedule.sequence[i]);
        while (w.n_stack && !w.failed) {
            uint32_t unit = w.stack[w.n_stack - 1], before = w.n_stack;
            if (!s->done[unit]) wg__each_dependency(p, unit, push, &w);
            if (w.n_stack > before) continue;
            w.n_stack--;
            if (!s->done[unit]) sequence[n++] = unit;
            s->done[unit] = true;
        }
    }
    memcpy(s->done, gone, p->units.n * sizeof *gone);
    wg__heap_release(&p->tape->heap, w.stack, w.cap_stack * sizeof *w.stack);
    p->schedule.sequence = sequence;
    s->n_sequence = n;
    return !w.failed;
}

/* Removes the units that are part of others from the list. */
static bool renumber(share *s)
{
    wg__planner *p = s->p;
    uint32_t *id = wg__arena_array(p->scratch, p->units.n, sizeof *id), n = 1;
    if (!id) return false;
    for (uint32_t i = 1; i < p->units.n; i++) {
        if (s->done[i]) continue;
        id[i] = n;
        p->units.list[n++] = p->units.list[i];
    }
    for (uint32_t node = 1; node < p->n; node++) {
        assert(!p->units.of[node] || id[p->units.of[node]]); /* no node is left without its unit */
        p->units.of[node] = id[p->units.of[node]];
    }
    for (uint32_t i = 0; i < s->n_sequence; i++) p->schedule.sequence[i] = id[p->schedule.sequence[i]];
    p->units.n = n;
    p->schedule.n = s->n_sequence;
    return true;
}

bool wg__plan_share_weight(wg__planner *p)
{
    share s = {.p = p, .n_sequence = p->schedule.n};
    s.set_of = wg__arena_array(p->scratch, p->units.n, sizeof *s.set_of);
    s.level = wg__arena_array(p->scratch, p->units.n, sizeof *s.level);
    s.position = wg__arena_array(p->scratch, p->units.n, sizeof *s.position);
    s.done = wg__arena_array(p->scratch, p->units.n, sizeof *s.done);
    if (!s.set_of || !s.level || !s.position || !s.done || !find_candidates(&s)) return false;
    bool any = false;
    for (uint32_t first = 0, end; first < s.n; first = end) {
        bool here = false;
        s.set = s.candidates[first].set;
        for (end = first + 1; end < s.n && s.candidates[end].set == s.set;) end++;
        if (end - first < 2) continue;
        find_levels(&s, s.candidates + first, end - first);
        if (!unite_levels(&s, s.candidates + first, end - first, &here) || (here && !reorder(&s))) return false;
        any |= here;
    }
    return !any || renumber(&s);
}
