/* Lifetimes of values in stages, and their last readers. */
#include "lifetime.h"

static wg__lifetime *touch(const wg__planner *p, wg__lifetime *lifetimes, uint32_t node, uint32_t stage)
{
    int64_t shift;
    uint32_t root = p->storage.root[node];
    if (!root) return NULL;
    assert(stage >= 1 && stage <= p->schedule.n_stages);
    wg__lifetime *l = &lifetimes[wg__owner_of(p, root, &shift)];
    if (!l->first && !wg__is_source(p, root)) l->first = stage;
    l->last = stage;
    return l;
}

static void read_operand(const wg__planner *p, wg__lifetime *lifetimes, uint32_t node, uint32_t unit,
                         uint32_t member)
{
    uint32_t stage = p->schedule.stage[unit];
    wg__lifetime *l = touch(p, lifetimes, node, stage);
    if (!l) return;
    if (l->read != stage)
        *l = (wg__lifetime){.first = l->first, .last = stage, .read = stage, .reader = unit, .direct = true};
    if (l->reader != unit) l->reader = WG__SEVERAL;
    l->member = member;
    l->direct &= l == &lifetimes[node];
}

static void visit_unit(const wg__planner *p, wg__lifetime *lifetimes, uint32_t id)
{
    const wg__unit *unit = &p->units.list[id];
    const bool chain = unit->kind == WG__UNIT_CHAIN;
    uint32_t stage = p->schedule.stage[id], count;
    const uint32_t *nodes = wg__unit_nodes(p, unit, &count);
    if (unit->kind == WG__UNIT_STORE)
        read_operand(p, lifetimes, p->plan->outputs[unit->node].node, id, 0);
    else if (!chain)
        touch(p, lifetimes, unit->node, stage);
    for (uint32_t i = 0; i < count; i++) {
        const wg__node *node = wg__node_at(p, nodes[i]);
        const uint32_t *in = wg__inputs(p->tape, node);
        if (unit->kind == WG__UNIT_PRODUCTS || (chain && (p->flags[nodes[i]] & WG__STORED)))
            touch(p, lifetimes, nodes[i], stage);
        for (uint32_t k = 0; k < node->n_in; k++) {
            uint32_t root = p->storage.root[in[k]];
            bool inside = chain && p->units.of[root] == id && in[k] == root;
            if (in[k] && !(inside && !(p->flags[root] & WG__STORED))) read_operand(p, lifetimes, in[k], id, i);
        }
    }
}

wg__lifetime *wg__lifetimes_of(wg__planner *p)
{
    wg__lifetime *lifetimes = wg__arena_array(p->scratch, p->n, sizeof *lifetimes);
    for (uint32_t i = 0; lifetimes && i < p->schedule.n; i++) visit_unit(p, lifetimes, p->schedule.sequence[i]);
    return lifetimes;
}
