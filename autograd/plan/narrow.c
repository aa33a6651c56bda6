/* Pass narrow: with products in bf16, a value that nothing but products reads is stored in bf16 by the chain that
 * computes it. The products would round it anyway: the same bits, half the memory. Exact. */
#include "planner.h"

typedef struct narrow {
    wg__planner *p;
    bool *wide; /* [n] of roots: stays f32 */
} narrow;

static bool is_concat(const wg__planner *p, uint32_t id)
{
    return !wg__is_source(p, id) && wg__op_at(p, id)->kind == WG_KIND_CONCAT;
}

/* A value in f32 that a chain stores, or whose pieces chains store. */
static bool can_be_narrow(const wg__planner *p, uint32_t id)
{
    const uint32_t unit = p->units.of[id];
    if (wg__node_at(p, id)->dtype != WG_F32 || wg__is_source(p, id) || p->storage.root[id] != id || !unit)
        return false;
    if (p->units.list[unit].kind == WG__UNIT_CONCAT) return true;
    return p->units.list[unit].kind == WG__UNIT_CHAIN && wg__is_step(p, id) && (p->flags[id] & WG__STORED);
}

/* Each value that a chain stores in bf16 takes one more step of it. */
static void limit_chains(const narrow *n)
{
    const wg__planner *p = n->p;
    for (uint32_t i = 1; i < p->units.n; i++) {
        const wg__unit *unit = &p->units.list[i];
        uint32_t stored = 0;
        if (unit->kind != WG__UNIT_CHAIN) continue;
        const uint32_t *members = p->units.members + unit->first;
        for (uint32_t k = 0; k < unit->count; k++) stored += (p->flags[members[k]] & WG__STORED) != 0;
        for (uint32_t k = 0; k < unit->count && unit->count + stored > WG__CHAIN_STEPS; k++)
            n->wide[members[k]] = true;
    }
}

/* What reads the memory of its operands as f32. A chain reads its own members from registers. */
static void note_reads(const narrow *n, uint32_t id)
{
    const wg__planner *p = n->p;
    const wg__node *node = wg__node_at(p, id);
    const wg_kind kind = wg__op_at(p, id)->kind;
    if (kind == WG_KIND_PRODUCT || is_concat(p, id)) return;
    if (kind == WG_KIND_VIEW && !(p->flags[id] & (WG__VIEW_COPY | WG__SLICE_COPY))) return;
    for (uint32_t k = 0; k < node->n_in; k++) {
        const uint32_t in = wg__inputs(p->tape, node)[k], root = p->storage.root[in];
        const bool inside = in == root && p->units.of[root] && p->units.of[root] == p->units.of[id];
        if (in && !inside) n->wide[root] = true;
    }
}

static bool widen(const narrow *n, uint32_t root)
{
    const bool changed = !n->wide[root];
    n->wide[root] = true;
    return changed;
}

/* A concatenation and its pieces are all narrow or all wide; a piece that is a view makes them wide. Returns whether
 * something changed. */
static bool agree(const narrow *n, uint32_t whole)
{
    const wg__planner *p = n->p;
    const wg__node *node = wg__node_at(p, whole);
    const uint32_t *in = wg__inputs(p->tape, node);
    bool wide = n->wide[whole], changed = false;
    for (uint32_t k = 0; k < node->n_in; k++) wide |= in[k] != p->storage.root[in[k]] || n->wide[in[k]];
    if (wide) changed = widen(n, whole);
    for (uint32_t k = 0; wide && k < node->n_in; k++) changed |= widen(n, p->storage.root[in[k]]);
    return changed;
}

bool wg__plan_narrow(wg__planner *p)
{
    narrow n = {.p = p};
    n.wide = wg__arena_array(p->scratch, p->n, sizeof *n.wide);
    if (!n.wide) return false;
    for (uint32_t id = 1; id < p->n; id++) n.wide[id] = !(p->flags[id] & WG__LIVE) || !can_be_narrow(p, id);
    for (uint32_t id = 1; id < p->n; id++) {
        if (!(p->flags[id] & WG__LIVE)) continue;
        if (p->flags[id] & WG__OUTPUT) n.wide[p->storage.root[id]] = true;
        if (!wg__is_source(p, id)) note_reads(&n, id);
    }
    limit_chains(&n);
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t id = 1; id < p->n; id++)
            if ((p->flags[id] & WG__LIVE) && is_concat(p, id)) changed |= agree(&n, id);
    }
    for (uint32_t id = 1; id < p->n; id++)
        if (!n.wide[id]) p->flags[id] |= WG__NARROW;
    return true;
}
