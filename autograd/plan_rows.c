/* Pass: products that share a large weight and do not wait for each other, say the output layer at all steps of time,
 * become one unit, so that the weight is read once for all their rows. Exact: every row meets the same numbers in
 * the same order, and nothing is copied, wherever the operands lie.
 *
 * Who waits for whom: the level of a unit is how many products of the weight lie on the longest path to it. Those of
 * one level do not reach each other, and units that are put together level by level wait for each other in no circle.
 * O(units) for each weight, of which there are few. */
#include "plan.h"

#include <stdlib.h>
#include <string.h>

enum {
    LARGE = 5 << 20, /* bytes of a weight that does not stay in the caches from one product to the next */
    MOST_ROWS = 2048 /* of a unit: beside so many, one more read of the weight is nothing */
};

/* A product by a large weight. All that stand in one list share weight, sizes and strides. */
typedef struct entry {
    wg__pack weight;
    wg__product product;
    wg__segment form;
    uint32_t list, level, position, unit;
} entry;

typedef struct rows {
    wg__planner *p;
    entry *entries;
    uint32_t n;
    uint32_t n_sequence; /* units that are left */
    uint32_t list;       /* the one at hand */
    uint32_t *of;        /* [n_units] its list, 0: none */
    uint32_t *level;     /* [n_units] */
    uint32_t *position;  /* [n_units] in the sequence */
    bool *done;          /* [n_units] put into another; in the new order */
} rows;

/* ---- the products by large weights --------------------------------------------------------------------------- */

static int by_form(const void *x, const void *y)
{
    const entry *a = x, *b = y;
    int by = wg__compare_packs(&a->weight, &b->weight);
    if (!by) by = wg__compare(a->product.m, b->product.m);
    if (!by) by = wg__compare(a->form.a_rs, b->form.a_rs);
    if (!by) by = wg__compare(a->form.a_cs, b->form.a_cs);
    if (!by) by = wg__compare(a->product.c_rs, b->product.c_rs);
    return by ? by : wg__compare(a->product.c_cs, b->product.c_cs);
}

static bool entry_of(const rows *r, uint32_t unit, entry *e)
{
    const wg__planner *p = r->p;
    const wg__work *work = &p->units[unit];
    if (work->kind != WG__UNIT_PRODUCT) return false;
    uint32_t b = wg__inputs(p->tape, &p->tape->nodes[p->members[work->first]])[1];
    if (wg__bytes_of(p, b) < LARGE && !p->tape->all_rows) return false;
    e->unit = unit;
    return wg__packs_b(p, work, &e->product, &e->form, &e->weight);
}

/* Their list, numbered from 1. */
static bool list_entries(rows *r)
{
    const wg__planner *p = r->p;
    uint32_t products = 0;
    for (uint32_t i = 0; i < p->n_units; i++) products += p->units[i].kind == WG__UNIT_PRODUCT;
    r->entries = wg__plan_array(p->own, products, sizeof *r->entries);
    if (!r->entries) return false;
    for (uint32_t i = 0; i < p->n_units; i++) r->n += entry_of(r, i, &r->entries[r->n]);
    qsort(r->entries, r->n, sizeof *r->entries, by_form);
    for (uint32_t i = 0; i < r->n; i++) {
        bool same = i > 0 && !by_form(&r->entries[i - 1], &r->entries[i]);
        r->entries[i].list = i == 0 ? 1 : r->entries[i - 1].list + !same;
        r->of[r->entries[i].unit] = r->entries[i].list;
    }
    return true;
}

/* ---- levels -------------------------------------------------------------------------------------------------- */

typedef struct waits {
    const rows *r;
    uint32_t level;
} waits;

static void note(void *context, uint32_t before)
{
    waits *w = context;
    uint32_t level = w->r->level[before] + (w->r->of[before] == w->r->list);
    if (level > w->level) w->level = level;
}

static void find_levels(rows *r, entry *first, uint32_t n)
{
    const wg__planner *p = r->p;
    for (uint32_t i = 0; i < r->n_sequence; i++) {
        uint32_t unit = p->sequence[i];
        waits w = {r, 0};
        wg__each_wait(p, unit, note, &w);
        r->level[unit] = w.level;
        r->position[unit] = i;
    }
    for (uint32_t i = 0; i < n; i++) {
        first[i].level = r->level[first[i].unit];
        first[i].position = r->position[first[i].unit];
    }
}

/* ---- putting together ---------------------------------------------------------------------------------------- */

static int by_level(const void *x, const void *y)
{
    const entry *a = x, *b = y;
    return a->level != b->level ? wg__compare(a->level, b->level) : wg__compare(a->position, b->position);
}

/* Entries [first, first + n), which do not wait for each other, into the unit of the first. */
static bool unite(rows *r, const entry *first, uint32_t n)
{
    wg__planner *p = r->p;
    uint32_t start = p->n_members, into = first[0].unit;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t node = p->units[first[i].unit].node;
        if (!wg__member_add(p, node)) return false;
        p->unit[node] = into + 1;
        r->done[first[i].unit] = i > 0;
    }
    p->units[into].kind = WG__UNIT_ROWS;
    p->units[into].first = start;
    p->units[into].count = n;
    return true;
}

/* The entries of one list, by level and then as they come. */
static bool unite_levels(rows *r, entry *first, uint32_t n, bool *any)
{
    qsort(first, n, sizeof *first, by_level);
    for (uint32_t i = 0, end; i < n; i = end) {
        int64_t sum = first[i].product.m;
        for (end = i + 1; end < n && first[end].level == first[i].level && sum + first[end].product.m <= MOST_ROWS;
             end++)
            sum += first[end].product.m;
        if (end - i < 2) continue;
        if (!unite(r, first + i, end - i)) return false;
        *any = true;
    }
    return true;
}

/* ---- the order anew ------------------------------------------------------------------------------------------ */

typedef struct walk {
    rows *r;
    uint32_t *open, n_open, cap_open;
    bool failed;
} walk;

static void open_unit(void *context, uint32_t unit)
{
    walk *w = context;
    if (w->r->done[unit]) return;
    w->failed |= !wg__grow(&w->r->p->tape->heap, (void **)&w->open, &w->cap_open, w->n_open + 1u, sizeof *w->open);
    if (!w->failed) w->open[w->n_open++] = unit;
}

/* As it was, but every unit comes after all that it waits for: what was put together comes when it is first wanted. */
static bool order_anew(rows *r)
{
    wg__planner *p = r->p;
    walk w = {.r = r};
    uint32_t *sequence = wg__plan_array(p->arena, p->n_units, sizeof *sequence), n = 0;
    bool *gone = wg__plan_array(p->own, p->n_units, sizeof *gone);
    if (!sequence || !gone) return false;
    memcpy(gone, r->done, p->n_units * sizeof *gone);
    for (uint32_t i = 0; i < r->n_sequence && !w.failed; i++) {
        open_unit(&w, p->sequence[i]);
        while (w.n_open && !w.failed) {
            uint32_t unit = w.open[w.n_open - 1], before = w.n_open;
            if (!r->done[unit]) wg__each_wait(p, unit, open_unit, &w);
            if (w.n_open > before) continue;
            w.n_open--;
            if (!r->done[unit]) sequence[n++] = unit;
            r->done[unit] = true;
        }
    }
    memcpy(r->done, gone, p->n_units * sizeof *gone);
    wg__heap_release(&p->tape->heap, w.open, w.cap_open * sizeof *w.open);
    p->sequence = sequence;
    r->n_sequence = n;
    return !w.failed;
}

/* The units that are left, without gaps. */
static bool close_gaps(rows *r)
{
    wg__planner *p = r->p;
    uint32_t *now = wg__plan_array(p->own, p->n_units, sizeof *now), n = 0;
    if (!now) return false;
    for (uint32_t i = 0; i < p->n_units; i++) {
        if (r->done[i]) continue;
        now[i] = n;
        p->units[n++] = p->units[i];
    }
    for (uint32_t id = 1; id < p->n; id++)
        if (p->unit[id]) p->unit[id] = now[p->unit[id] - 1] + 1;
    for (uint32_t i = 0; i < n; i++) p->sequence[i] = now[p->sequence[i]];
    p->n_units = n;
    return true;
}

bool wg__plan_rows(wg__planner *p)
{
    rows r = {.p = p, .n_sequence = p->n_units};
    if (!(p->passes & WG__PASS_ROWS)) return true;
    r.of = wg__plan_array(p->own, p->n_units, sizeof *r.of);
    r.level = wg__plan_array(p->own, p->n_units, sizeof *r.level);
    r.position = wg__plan_array(p->own, p->n_units, sizeof *r.position);
    r.done = wg__plan_array(p->own, p->n_units, sizeof *r.done);
    if (!r.of || !r.level || !r.position || !r.done || !list_entries(&r)) return false;
    bool any = false;
    for (uint32_t first = 0, end; first < r.n; first = end) {
        bool here = false;
        r.list = r.entries[first].list;
        for (end = first + 1; end < r.n && r.entries[end].list == r.list;) end++;
        if (end - first < 2) continue;
        find_levels(&r, r.entries + first, end - first);
        if (!unite_levels(&r, r.entries + first, end - first, &here) || (here && !order_anew(&r))) return false;
        any |= here;
    }
    return !any || close_gaps(&r);
}
