/* Pass order: units in the order of execution. The `earliest` time of a unit is later than that of every dependency. */
#include "planner.h"

#include <stdlib.h>

typedef struct entry {
    uint64_t earliest;
    uint32_t unit;
} entry;

static int by_time(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->earliest != y->earliest) return x->earliest < y->earliest ? -1 : 1;
    return wg__compare(x->unit, y->unit);
}

/* Outputs without a unit of their own (a view, a leaf, a constant) are stored at the end. */
static bool add_stores(wg__planner *p)
{
    for (uint32_t i = 0; i < p->plan->n_outputs; i++) {
        if (wg__output_is_direct(p, &p->plan->outputs[i])) continue;
        if (!wg__unit_new(p, (wg__unit){.kind = WG__UNIT_STORE, .node = i, .earliest = UINT64_MAX})) return false;
    }
    return true;
}

bool wg__plan_order(wg__planner *p)
{
    if (!add_stores(p)) return false;
    const uint32_t n = p->schedule.n = p->units.n - 1;
    entry *entries = wg__arena_array(p->scratch, n, sizeof *entries);
    p->schedule.sequence = wg__arena_array(p->arena, n, sizeof *p->schedule.sequence);
    if (!entries || !p->schedule.sequence) return false;
    for (uint32_t i = 0; i < n; i++) {
        entries[i] = (entry){p->units.list[i + 1].earliest, i + 1};
        assert(entries[i].earliest > 0);
    }
    qsort(entries, n, sizeof *entries, by_time);
    for (uint32_t i = 0; i < n; i++) p->schedule.sequence[i] = entries[i].unit;
    return true;
}
