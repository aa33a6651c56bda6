/* Units: the list of them, their nodes, their dependencies. */
#include "planner.h"

uint32_t wg__unit_new(wg__planner *p, wg__unit unit)
{
    if (!wg__grow(&p->tape->heap, (void **)&p->units.list, &p->units.cap, p->units.n + 1u, sizeof unit)) return 0;
    p->units.list[p->units.n] = unit;
    return p->units.n++;
}

bool wg__member_add(wg__planner *p, uint32_t node)
{
    if (!wg__grow(&p->tape->heap, (void **)&p->units.members, &p->units.cap_members, p->units.n_members + 1u,
                  sizeof node))
        return false;
    assert(node < p->n);
    p->units.members[p->units.n_members++] = node;
    return true;
}

const uint32_t *wg__unit_nodes(const wg__planner *p, const wg__unit *unit, uint32_t *count)
{
    assert(!unit->count || unit->first + unit->count <= p->units.n_members);
    *count = unit->kind == WG__UNIT_STORE ? 0 : unit->count ? unit->count : 1;
    return unit->count ? p->units.members + unit->first : &unit->node;
}

uint32_t wg__copies_of(const wg__planner *p, const wg__unit *unit)
{
    uint32_t n = 0;
    if (unit->kind != WG__UNIT_KERNEL) return 0;
    for (uint32_t k = 0; k < wg__node_at(p, unit->node)->n_in; k++) n += wg__needs_copy(p, unit->node, k);
    return n;
}

typedef struct visit {
    const wg__planner *p;
    uint32_t unit;
    void (*fn)(void *context, uint32_t dependency);
    void *context;
} visit;

static void depends_on(const visit *v, uint32_t node)
{
    assert(node < v->p->n);
    uint32_t root = v->p->storage.root[node], unit = v->p->units.of[root];
    if (node && unit && unit != v->unit && !wg__is_source(v->p, root)) v->fn(v->context, unit);
}

void wg__each_dependency(const wg__planner *p, uint32_t unit, void (*fn)(void *context, uint32_t dependency),
                         void *context)
{
    const visit v = {p, unit, fn, context};
    const wg__unit *u = &p->units.list[unit];
    uint32_t count;
    assert(unit && unit < p->units.n);
    assert(!u->accumulate || (unit > 1 && p->units.list[unit - 1].node == u->node));
    const uint32_t *nodes = wg__unit_nodes(p, u, &count);
    if (u->kind == WG__UNIT_STORE) depends_on(&v, p->plan->outputs[u->node].node);
    if (u->accumulate) fn(context, unit - 1); /* the previous run of the same sum */
    for (uint32_t i = 0; i < count; i++) {
        const wg__node *node = wg__node_at(p, nodes[i]);
        const uint32_t *in = wg__inputs(p->tape, node);
        for (uint32_t k = 0; k < node->n_in; k++) depends_on(&v, in[k]);
    }
}
