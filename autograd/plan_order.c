/* Pass: units in the order of execution. Every unit has a time that is later than that of all it waits for. */
#include "plan.h"

#include <stdlib.h>

typedef struct entry {
    uint64_t when;
    uint32_t unit;
} entry;

static int by_time(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->when != y->when) return x->when < y->when ? -1 : 1;
    return x->unit < y->unit ? -1 : x->unit > y->unit;
}

/* ---- what a unit waits for ---- */

typedef struct waits {
    const wg__planner *p;
    uint32_t unit;
    void (*fn)(void *context, uint32_t before);
    void *context;
} waits;

static void wait_for(const waits *w, uint32_t node)
{
    uint32_t root = w->p->root[node];
    if (!node || wg__is_source(w->p, root) || !w->p->unit[root]) return;
    if (w->p->unit[root] - 1 != w->unit) w->fn(w->context, w->p->unit[root] - 1);
}

void wg__each_wait(const wg__planner *p, uint32_t unit, void (*fn)(void *context, uint32_t before), void *context)
{
    waits w = {p, unit, fn, context};
    const wg__work *work = &p->units[unit];
    if (work->kind == WG__UNIT_STORE) {
        wait_for(&w, p->plan->outputs[work->node].node);
        return;
    }
    if (work->accumulate) fn(context, unit - 1); /* the run of the same sum before it */
    const uint32_t *list = work->count ? p->members + work->first : &work->node;
    for (uint32_t i = 0; i < (work->count ? work->count : 1); i++) {
        const wg__node *node = &p->tape->nodes[list[i]];
        const uint32_t *in = wg__inputs(p->tape, node);
        for (uint32_t k = 0; k < node->n_in; k++) wait_for(&w, in[k]);
    }
}

/* ---- the order ---- */

/* Whether the value stands dense in memory of its own when its unit has run. */
bool wg__output_is_plain(const wg__planner *p, const wg__output *output)
{
    uint32_t id = output->node;
    return p->root[id] == id && !wg__is_source(p, id) && !p->view[id];
}

/* What is wanted and has no unit of its own (a view, a leaf, a constant) is stored at the end. */
static bool add_stores(wg__planner *p)
{
    for (uint32_t i = 0; i < p->plan->n_outputs; i++) {
        if (wg__output_is_plain(p, &p->plan->outputs[i])) continue;
        if (wg__unit_new(p, (wg__work){.kind = WG__UNIT_STORE, .node = i, .when = UINT64_MAX}) == UINT32_MAX)
            return false;
    }
    return true;
}

bool wg__plan_order(wg__planner *p)
{
    if (!add_stores(p)) return false;
    entry *entries = wg__plan_array(p->own, p->n_units, sizeof *entries);
    p->sequence = wg__plan_array(p->arena, p->n_units, sizeof *p->sequence);
    if (!entries || !p->sequence) return false;
    for (uint32_t i = 0; i < p->n_units; i++) entries[i] = (entry){p->units[i].when, i};
    qsort(entries, p->n_units, sizeof *entries, by_time);
    for (uint32_t i = 0; i < p->n_units; i++) p->sequence[i] = entries[i].unit;
    return true;
}
