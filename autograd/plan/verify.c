/* The verifier: nodes, storage, groups, units and the schedule. Invariants are computed from the program itself;
 * dependencies and ownership come from unit.c and query.c. */
#include "verify.h"

#include <stdlib.h>
#include <string.h>

static bool is_live(const wg__planner *p, uint32_t id) { return p->flags[id] & WG__LIVE; }

/* ---- nodes --------------------------------------------------------------------------------------------------- */

/* Operands precede their readers. */
static void check_nodes(const wg__verifier *v)
{
    const wg_tape *tape = v->p->tape;
    for (uint32_t id = 1; id < tape->n_nodes; id++) {
        const wg__node *node = &tape->nodes[id];
        for (uint32_t k = 0; k < node->n_in; k++)
            WG__HOLDS(v, wg__inputs(tape, node)[k] < id, id, "operand %u does not precede it", k);
        WG__HOLDS(v, node->forward < id, id, "the node it belongs to does not precede it");
    }
}

/* The operands of a live node are live, and `uses` counts the readers. */
static void check_liveness(const wg__verifier *v)
{
    const wg__planner *p = v->p;
    uint32_t *uses = calloc(p->n, sizeof *uses);
    for (uint32_t i = 0; uses && i < p->plan->n_outputs; i++)
        WG__HOLDS(v, is_live(p, p->plan->outputs[i].node) && !(p->flags[p->plan->outputs[i].node] & WG__MERGED),
                  p->plan->outputs[i].node, "output %u has no value", i);
    for (uint32_t id = 1; uses && id < p->n; id++) {
        const wg__node *node = wg__node_at(p, id);
        if (!is_live(p, id) || !node->op || (node->flags & WG__NODE_VALUE)) continue;
        const uint32_t *in = wg__inputs(p->tape, node);
        for (uint32_t k = 0; k < node->n_in; k++) {
            WG__HOLDS(v, !in[k] || is_live(p, in[k]), id, "operand %u is not live", k);
            uses[in[k]]++;
        }
    }
    for (uint32_t id = 1; uses && id < p->n; id++)
        WG__HOLDS(v, uses[id] == p->uses[id], id, "%u uses, counted %u", uses[id], p->uses[id]);
    free(uses);
}

/* ---- storage ------------------------------------------------------------------------------------------------- */

/* A view stays inside the storage of its root. */
static void check_view(const wg__verifier *v, uint32_t id)
{
    const wg__planner *p = v->p;
    const wg_layout *view = p->storage.view[id];
    const wg_shape *shape = wg__shape_at(p, id);
    const uint32_t root = p->storage.root[id];
    int64_t low = view->offset, high = view->offset, shift;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->size[i] == 0) return;
        *(view->stride[i] < 0 ? &low : &high) += (shape->size[i] - 1) * view->stride[i];
    }
    if (p->flags[root] & WG__CONSTANT) return; /* one number, strides of zero */
    /* A piece of a concatenation is a view of the whole; a view copy is a view of a copy of its operand. */
    const uint32_t owner = root == id ? wg__owner_of(p, root, &shift) : root;
    const uint32_t in = p->flags[id] & WG__VIEW_COPY ? wg__inputs(p->tape, wg__node_at(p, id))[0] : owner;
    const int64_t size = wg__numel_of(p->tape, wg__node_at(p, in));
    WG__HOLDS(v, low >= 0 && high < size, id, "reads elements %lld to %lld of %lld", (long long)low,
              (long long)high, (long long)size);
}

/* A piece stored inside a concatenation is at the offset of one of its operands. The operand that a kernel adds to
 * shares the storage of the result only if nothing else reads it. Marks what has been checked. */
static void check_owner(const wg__verifier *v, uint32_t whole, bool *placed)
{
    const wg__planner *p = v->p;
    const wg__node *node = wg__node_at(p, whole);
    const uint32_t *in = wg__inputs(p->tape, node);
    if (wg__op_at(p, whole)->kind != WG_KIND_CONCAT) {
        int64_t at, base_at;
        const uint32_t base = wg__has_base(wg__op_at(p, whole)) ? wg__base_of(p->tape, node) : 0;
        if (!base || p->storage.root[base] != base) return;
        const bool same = wg__owner_of(p, base, &base_at) == wg__owner_of(p, whole, &at) && base_at == at;
        WG__HOLDS(v, !same || p->uses[base] == 1, whole, "overwrites %%%u, which has %u readers", base,
                  p->uses[base]);
        placed[base] |= same;
        return;
    }
    const wg__concat_attr *attr = wg__attr_of(p->tape, node);
    assert(attr);
    const int64_t stride = wg__contiguous_layout(wg__shape_at(p, whole)).stride[attr->axis];
    for (uint32_t k = 0; k < node->n_in; k++) {
        if (p->storage.owner[in[k]] != whole) continue;
        const wg_layout *view = p->storage.view[in[k]];
        bool found = false;
        int64_t at = 0;
        for (uint32_t i = 0; i < node->n_in; i++) {
            found |= in[i] == in[k] && at * stride == (view ? view->offset : p->storage.shift[in[k]]);
            at += wg__shape_at(p, in[i])->size[attr->axis];
        }
        WG__HOLDS(v, found, in[k], "is stored in the wrong place of %%%u", whole);
        placed[in[k]] = true;
    }
}

static void check_storage(const wg__verifier *v)
{
    const wg__planner *p = v->p;
    bool *placed = calloc(p->n, sizeof *placed);
    for (uint32_t id = p->n - 1; placed && id > 0; id--) { /* owners before what they contain */
        const uint32_t root = p->storage.root[id];
        if (!is_live(p, id)) continue;
        WG__HOLDS(v, root && root <= id && p->storage.root[root] == root, id, "its root %%%u is no root", root);
        if (p->storage.view[id] && !(p->flags[id] & WG__MERGED)) check_view(v, id);
        if (!wg__is_source(p, id) && p->storage.root[id] == id) check_owner(v, id, placed);
        if (p->storage.owner[root] == root) continue;
        WG__HOLDS(v, root == id || !p->storage.view[root], id, "is a view of %%%u, a strided piece", root);
        int64_t shift;
        const uint32_t owner = wg__owner_of(p, root, &shift);
        const wg_layout *view = p->storage.view[root];
        WG__HOLDS(v, id != root || placed[root], root, "is no part of %%%u", owner);
        WG__HOLDS(v, !(p->flags[root] & WG__OUTPUT), root, "an output is stored inside %%%u", owner);
        WG__HOLDS(v, !wg__is_source(p, root), root, "a source is stored inside %%%u", owner);
        WG__HOLDS(v, !view || !(p->flags[root] & WG__CONTIGUOUS), root, "a strided piece must be contiguous");
        const int64_t end = shift + (view ? 0 : wg__numel_of(p->tape, wg__node_at(p, root)));
        WG__HOLDS(v, end <= wg__numel_of(p->tape, wg__node_at(p, owner)), root, "exceeds its owner %%%u", owner);
    }
    free(placed);
}

/* ---- groups -------------------------------------------------------------------------------------------------- */

static uint64_t time_of(const wg__planner *p, uint32_t id)
{
    if (p->groups.of[id]) return p->groups.earliest[p->groups.of[id]];
    if (p->units.of[id]) return p->units.list[p->units.of[id]].earliest;
    return (uint64_t)id << 32;
}

/* earliest < deadline: a group runs after what it reads from outside and before its readers outside. */
static void check_groups(const wg__verifier *v)
{
    const wg__planner *p = v->p;
    for (uint32_t id = 1; id < p->n; id++) {
        if (!is_live(p, id) || wg__is_source(p, id)) continue;
        const wg__node *node = wg__node_at(p, id);
        const uint32_t *in = wg__inputs(p->tape, node), group = p->groups.of[id];
        const bool view = wg__op_at(p, id)->kind == WG_KIND_VIEW && !group && !(p->flags[id] & WG__VIEW_COPY);
        const bool sum = p->units.of[id] && !(p->flags[id] & WG__MERGED); /* of products: it reads its terms */
        if (view || sum || ((p->flags[id] & WG__MERGED) && wg__op_at(p, id)->kind != WG_KIND_PRODUCT)) continue;
        if (group) WG__HOLDS(v, p->groups.of[group] == group, id, "group %%%u is no group", group);
        for (uint32_t k = 0; k < node->n_in; k++) {
            const uint32_t root = p->storage.root[in[k]];
            if (!in[k] || wg__is_source(p, root)) continue;
            if (group && p->groups.of[root] == group) {
                WG__HOLDS(v, root == in[k], id, "reads a member of its own group through a view");
                WG__HOLDS(v, wg__is_step(p, root), id, "reads a sum of its own group");
            } else {
                WG__HOLDS(v, time_of(p, root) < time_of(p, id), id, "runs before its operand %%%u", in[k]);
            }
        }
    }
}

/* ---- units --------------------------------------------------------------------------------------------------- */

static void check_chain(const wg__verifier *v, const wg__unit *unit)
{
    const wg__planner *p = v->p;
    const uint32_t *members = p->units.members + unit->first;
    uint32_t steps = 0, stored = 0;
    WG__HOLDS(v, unit->count <= WG__CHAIN_STEPS, unit->node, "a chain of %u", unit->count);
    for (uint32_t i = 0; i < unit->count; i++) {
        WG__HOLDS(v, i == 0 || members[i - 1] < members[i], members[i], "members are not in order");
        steps += wg__is_step(p, members[i]);
        stored += (p->flags[members[i]] & WG__STORED) != 0;
        if (wg__is_step(p, members[i]))
            WG__HOLDS(v, wg__node_at(p, members[i])->shape == wg__node_at(p, members[0])->shape, members[i],
                      "another shape than its chain");
    }
    WG__HOLDS(v, steps > 0 && stored > 0, unit->node, "a chain without steps or results");
}

static bool needs_unit(const wg__planner *p, uint32_t id)
{
    const wg_kind kind = wg__op_at(p, id)->kind;
    if ((p->flags[id] & WG__MERGED) && kind != WG_KIND_PRODUCT) return false;
    return kind != WG_KIND_VIEW || (p->flags[id] & (WG__VIEW_COPY | WG__SLICE_COPY));
}

/* Whether the unit is a sum and the node a term of it and of its rematerialized copy: both compute the term. */
static bool is_in_both(const wg__planner *p, uint32_t id, const wg__unit *unit)
{
    const wg__unit *other = &p->units.list[p->units.of[id]];
    return (p->flags[id] & WG__MERGED) && unit->kind == WG__UNIT_PRODUCT && other->kind == WG__UNIT_PRODUCT &&
           wg__original_of(p, unit->node) == wg__original_of(p, other->node);
}

/* Every live value has one unit that computes it, and an operand from another unit is in memory. */
static void check_units(const wg__verifier *v)
{
    const wg__planner *p = v->p;
    for (uint32_t id = 1; id < p->n; id++) {
        if (!is_live(p, id) || wg__is_source(p, id)) continue;
        const uint32_t unit = p->units.of[id];
        WG__HOLDS(v, !needs_unit(p, id) || (unit && unit < p->units.n), id, "has no unit");
        if (!needs_unit(p, id) || (p->flags[id] & WG__MERGED)) continue;
        const wg__node *node = wg__node_at(p, id);
        const bool sum = p->units.list[unit].kind == WG__UNIT_PRODUCT && wg__op_at(p, id)->kind != WG_KIND_PRODUCT;
        for (uint32_t k = 0; k < node->n_in && !sum; k++) {
            const uint32_t root = p->storage.root[wg__inputs(p->tape, node)[k]];
            if (!root || wg__is_source(p, root) || p->units.of[root] == unit) continue;
            WG__HOLDS(v, !wg__is_step(p, root) || (p->flags[root] & WG__STORED), id,
                      "reads %%%u, which is not stored", root);
        }
    }
    for (uint32_t i = 1; i < p->units.n; i++) {
        const wg__unit *unit = &p->units.list[i];
        uint32_t count;
        const uint32_t *nodes = wg__unit_nodes(p, unit, &count);
        for (uint32_t k = 0; k < count; k++)
            WG__HOLDS(v, p->units.of[nodes[k]] == i || is_in_both(p, nodes[k], unit), nodes[k],
                      "is in unit %u, but belongs to %u", i, p->units.of[nodes[k]]);
        if (unit->kind == WG__UNIT_CHAIN) check_chain(v, unit);
    }
}

/* ---- the schedule -------------------------------------------------------------------------------------------- */

typedef struct edge {
    const wg__verifier *v;
    uint32_t unit;
} edge;

/* A dependency precedes the unit in the sequence; it is in an earlier stage, or in the same serial group. A
 * concatenation without copies has no instruction: it may share the stage of its pieces. */
static void check_dependency(void *context, uint32_t dependency)
{
    const edge *e = context;
    const wg__planner *p = e->v->p;
    const uint32_t node = p->units.list[e->unit].node, *stage = p->schedule.stage, *serial = p->schedule.serial;
    const bool free = p->units.list[e->unit].kind == WG__UNIT_CONCAT && stage && wg__concat_is_free(p, node);
    WG__HOLDS(e->v, free || e->v->position[dependency] < e->v->position[e->unit], node,
              "unit %u runs before unit %u, which it reads", e->unit, dependency);
    if (!stage) return;
    const bool same = stage[dependency] == stage[e->unit];
    WG__HOLDS(e->v, stage[dependency] <= stage[e->unit], node, "unit %u is a stage before unit %u", e->unit,
              dependency);
    WG__HOLDS(e->v, !same || free || (serial[e->unit] && serial[dependency] == serial[e->unit]), node,
              "units %u and %u may run at the same time", e->unit, dependency);
}

static void check_schedule(wg__verifier *v)
{
    const wg__planner *p = v->p;
    v->position = calloc(p->units.n + 1u, sizeof *v->position);
    if (!v->position) return;
    WG__HOLDS(v, p->schedule.n == p->units.n - 1, 0, "%u units of %u are scheduled", p->schedule.n, p->units.n - 1);
    for (uint32_t i = 0; i < p->schedule.n; i++) {
        const uint32_t unit = p->schedule.sequence[i];
        WG__HOLDS(v, unit && unit < p->units.n && !v->position[unit], 0, "unit %u is scheduled twice", unit);
        v->position[unit] = i + 1;
        if (!p->schedule.stage) continue;
        WG__HOLDS(v, p->schedule.stage[unit] >= 1 && p->schedule.stage[unit] <= p->schedule.n_stages, 0,
                  "unit %u is in stage %u of %u", unit, p->schedule.stage[unit], p->schedule.n_stages);
        WG__HOLDS(v, i == 0 || p->schedule.stage[p->schedule.sequence[i - 1]] <= p->schedule.stage[unit], 0,
                  "stages are not in order at unit %u", unit);
    }
    for (uint32_t i = 1; i < p->units.n; i++) wg__each_dependency(p, i, check_dependency, &(edge){v, i});
}

/* ---- all of it ----------------------------------------------------------------------------------------------- */

void wg__verify(const wg__planner *p, const char *pass)
{
    wg__verifier v = {.p = p, .pass = pass};
    check_nodes(&v);
    if (!p->live_known) return;
    check_liveness(&v);
    if (p->storage.root[p->n - 1]) check_storage(&v);
    if (p->groups.of) check_groups(&v);
    if (p->lowered) check_units(&v);
    if (p->schedule.sequence) check_schedule(&v);
    if (p->places.slot) wg__verify_places(&v);
    if (p->plan->instrs) wg__verify_plan(&v);
    free(v.position);
}
