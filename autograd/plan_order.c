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
    entry *entries = wg__plan_array(p->arena, p->n_units, sizeof *entries);
    p->sequence = wg__plan_array(p->arena, p->n_units, sizeof *p->sequence);
    if (!entries || !p->sequence) return false;
    for (uint32_t i = 0; i < p->n_units; i++) entries[i] = (entry){p->units[i].when, i};
    qsort(entries, p->n_units, sizeof *entries, by_time);
    for (uint32_t i = 0; i < p->n_units; i++) p->sequence[i] = entries[i].unit;
    return true;
}
