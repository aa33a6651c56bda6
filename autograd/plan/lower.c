/* Pass lower: groups and the nodes outside of them become units. Then marks values that must be in memory (WG__STORED)
 * and those that must be contiguous there (WG__CONTIGUOUS). */
#include "planner.h"

/* A unit for each node with a kernel of its own; the terms of merged sums have theirs already. */
static bool make_single_units(wg__planner *p)
{
    for (uint32_t id = 1; id < p->n; id++) {
        if (!(p->flags[id] & WG__LIVE) || wg__is_source(p, id) || p->groups.of[id] || p->units.of[id]) continue;
        wg_kind kind = wg__op_at(p, id)->kind;
        if ((p->flags[id] & WG__MERGED) || (kind == WG_KIND_VIEW && !(p->flags[id] & WG__VIEW_COPY))) continue;
        wg__unit unit = {.kind = kind == WG_KIND_PRODUCT  ? WG__UNIT_PRODUCT
                                 : kind == WG_KIND_CONCAT ? WG__UNIT_CONCAT
                                 : kind == WG_KIND_VIEW   ? WG__UNIT_COPY
                                                          : WG__UNIT_KERNEL,
                         .node = id,
                         .first = p->units.n_members,
                         .count = kind == WG_KIND_PRODUCT,
                         .earliest = (uint64_t)id << 32};
        if (unit.count && !wg__member_add(p, id)) return false;
        if (!(p->units.of[id] = wg__unit_new(p, unit))) return false;
    }
    return true;
}

/* A unit for each group; its members are in the order in which they were recorded. */
static bool make_chains(wg__planner *p)
{
    uint32_t start = p->units.n_members;
    for (uint32_t id = 1; id < p->n; id++) {
        if (!p->groups.of[id] || p->groups.of[id] != id) continue;
        wg__unit unit = {.kind = WG__UNIT_CHAIN, .node = id, .first = start, .earliest = p->groups.earliest[id]};
        if (!(p->units.of[id] = wg__unit_new(p, unit))) return false;
        start += p->groups.size[id];
    }
    while (p->units.n_members < start)
        if (!wg__member_add(p, 0)) return false;
    for (uint32_t id = 1; id < p->n; id++) {
        if (!p->groups.of[id]) continue;
        wg__unit *chain = &p->units.list[p->units.of[id] = p->units.of[p->groups.of[id]]];
        p->units.members[chain->first + chain->count++] = id;
        assert(chain->count <= p->groups.size[p->groups.of[id]] && chain->count <= WG__CHAIN_STEPS);
    }
    return true;
}

/* Marks what a node requires of its operands. A sum requires a contiguous operand even inside the chain that computes
 * it, since lines are defined on a contiguous space. */
static void mark_operands(wg__planner *p, uint32_t id)
{
    const wg__node *node = wg__node_at(p, id);
    const wg_kind kind = wg__op_at(p, id)->kind;
    const uint32_t *in = wg__inputs(p->tape, node);
    bool view = kind == WG_KIND_VIEW && !(p->flags[id] & WG__SLICE_COPY);
    if (view && !(p->flags[id] & WG__VIEW_COPY)) return;
    for (uint32_t k = 0; k < node->n_in; k++) {
        uint32_t root = p->storage.root[in[k]];
        if (!in[k] || wg__is_source(p, root)) continue;
        if (in[k] != root || p->units.of[root] != p->units.of[id]) p->flags[root] |= WG__STORED;
        if (view || kind == WG_KIND_GENERAL) p->flags[root] |= WG__CONTIGUOUS;
    }
}

bool wg__plan_lower(wg__planner *p)
{
    if (!make_single_units(p) || !make_chains(p)) return false;
    for (uint32_t id = 1; id < p->n; id++) {
        if (!(p->flags[id] & WG__LIVE)) continue;
        if (p->flags[id] & WG__OUTPUT) {
            p->flags[p->storage.root[id]] |= WG__STORED;
            if (p->storage.root[id] != id) p->flags[p->storage.root[id]] |= WG__CONTIGUOUS;
        }
        if (!wg__is_source(p, id)) mark_operands(p, id);
    }
    p->groups.of = NULL; /* the scratch of fuse ends here */
    p->lowered = true;
    return true;
}
