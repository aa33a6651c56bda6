/* Pass: pointwise chains. Pointwise nodes over one shape that feed each other become one unit, which runs all of
 * them on a tile while the tile is in cache; what only the chain reads never reaches memory. Sums of what a chain
 * makes, if of whole lines (all but the channels of images, the last axis), are part of it and take the tiles as they
 * come. Exact: every element goes through the same operations, every sum through the same order.
 *
 * A group has a time, `when`: (node id of the latest thing it waits for, depth), as early as can be; and it must
 * come before the earliest outside reader of any member, `reader`. Both are kept as the group grows; a node joins
 * only if when < reader still holds, which is what keeps the units free of circles. O(n). */
#include "plan.h"

typedef struct fuse {
    wg__planner *p;
    uint32_t *parent; /* [n] union-find over the node that began the group; 0: not in a group */
    uint64_t *when;   /* [n] of group heads */
    uint64_t *reader; /* [n] of group heads: the earliest outside reader */
    uint16_t *steps;  /* [n] of group heads */
    uint16_t *loads;  /* [n] of group heads: outside operands, counted with repetition */
    uint32_t *sum;    /* [n] of group heads: one of its sums; 0: none */
    uint64_t floor;   /* what is computed again is not computed before this */
} fuse;

static uint32_t find(fuse *f, uint32_t id)
{
    while (f->parent[id] != id) id = f->parent[id] = f->parent[f->parent[id]];
    return id;
}

static uint64_t later(uint64_t a, uint64_t b) { return a > b ? a : b; }
static uint64_t sooner(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* The earliest time at which a reader of id can run. */
static uint64_t ready(fuse *f, uint32_t id)
{
    const wg__planner *p = f->p;
    uint32_t root = p->root[id];
    if (wg__is_source(p, root)) return 0;
    if (f->parent[root]) return f->when[find(f, root)] + 1;
    if (p->unit[root]) return p->units[p->unit[root] - 1].when + 1;
    return ((uint64_t)root << 32) + 1;
}

static void read_by(fuse *f, uint32_t id, uint64_t when)
{
    uint32_t root = f->p->root[id];
    if (!f->parent[root]) return;
    uint32_t group = find(f, root);
    f->reader[group] = sooner(f->reader[group], when);
}

static bool fits(uint32_t steps, uint32_t loads)
{
    return steps < WG__CHAIN_STEPS && loads <= WG__CHAIN_OPERANDS - 4;
}

/* ---- sums ---- */

enum {
    SHARED = 16384, /* elements of a chain that is worth sharing between threads: ... */
    LINES = 8       /* ... with a sum, by its lines, of which there must be as many */
};

bool wg__lines_of_sum(const wg_tape *tape, const wg__node *node, wg__lines *lines)
{
    const wg_shape *in = wg__shape_of_node(tape, &tape->nodes[node->in[0]]), *out = wg__shape_of_node(tape, node);
    int64_t over = 1; /* the axes before those that stay */
    *lines = (wg__lines){1, 1};
    for (int i = in->rank - 1, shift = in->rank - out->rank; i >= 0; i--) {
        bool stays = i >= shift && out->size[i - shift] == in->size[i];
        if (in->size[i] == 1) continue;
        if (stays && over > 1) return false;
        if (stays)
            lines->count *= in->size[i];
        else if (lines->count == 1)
            lines->line *= in->size[i];
        else
            over *= in->size[i];
    }
    return lines->line > 1;
}

static bool same_lines(const fuse *f, uint32_t sum, uint32_t other)
{
    wg__lines a, b;
    if (!sum || !other) return true;
    return wg__lines_of_sum(f->p->tape, &f->p->tape->nodes[sum], &a) &&
           wg__lines_of_sum(f->p->tape, &f->p->tape->nodes[other], &b) && a.count == b.count && a.line == b.line;
}

/* A sum that can be part of the chain that makes its operand. */
static bool is_line_sum(const fuse *f, uint32_t id)
{
    const wg_tape *tape = f->p->tape;
    const wg__node *node = &tape->nodes[id];
    wg__lines lines;
    if (!(f->p->passes & WG__PASS_FUSE) || !wg__op_is(tape, node, wg__structural_ops.sum)) return false;
    if (!wg_dtype_is_float((wg_dtype)node->dtype) || !wg__lines_of_sum(tape, node, &lines)) return false;
    int64_t numel = tape->shapes[tape->nodes[node->in[0]].shape].numel;
    return numel > 0 && (lines.count >= LINES || numel <= SHARED);
}

/* Joins group b into a. */
static uint32_t unite(fuse *f, uint32_t a, uint32_t b)
{
    if (!f->sum[a]) f->sum[a] = f->sum[b];
    f->parent[b] = a;
    f->when[a] = later(f->when[a], f->when[b]);
    f->reader[a] = sooner(f->reader[a], f->reader[b]);
    f->steps[a] = (uint16_t)(f->steps[a] + f->steps[b]);
    f->loads[a] = (uint16_t)(f->loads[a] + f->loads[b]);
    return a;
}

/* The groups among the operands that the node could join: read directly, over the node's shape. What is computed
 * beside its reader joins no other. */
static int candidates(fuse *f, const wg__node *node, const uint32_t *in, uint32_t *groups)
{
    int n = 0;
    for (uint32_t k = 0; k < node->n_in && k < 4; k++) {
        if (!in[k] || f->p->root[in[k]] != in[k] || !f->parent[in[k]]) continue;
        const wg__node *from = &f->p->tape->nodes[in[k]];
        if (from->shape != node->shape || (node->flags & ~from->flags & WG__NODE_BESIDE)) continue;
        uint32_t group = find(f, in[k]);
        bool known = false;
        for (int i = 0; i < n; i++) known |= groups[i] == group;
        if (!known) groups[n++] = group;
    }
    return n;
}

/* What is recorded for the way back may not run earlier, even if it could. */
static uint64_t not_before(const fuse *f, const wg__node *node)
{
    const uint64_t id = (uint64_t)(node - f->p->tape->nodes);
    if (f->p->state[id] & WG__LATE) return id << 32;
    return node->flags & WG__NODE_AGAIN ? f->floor : 1;
}

/* When the node could run if the chosen groups were one with it; 0 if they can't be. */
static uint64_t joined(fuse *f, const wg__node *node, const uint32_t *in, const uint32_t *groups, int n)
{
    uint64_t when = not_before(f, node), reader = UINT64_MAX;
    uint32_t steps = 0, loads = node->n_in, sum = 0;
    for (int i = 0; i < n; i++) {
        if (!same_lines(f, sum, f->sum[groups[i]])) return 0;
        if (!sum) sum = f->sum[groups[i]];
        when = later(when, f->when[groups[i]]);
        reader = sooner(reader, f->reader[groups[i]]);
        steps += f->steps[groups[i]];
        loads += f->loads[groups[i]];
    }
    for (uint32_t k = 0; k < node->n_in; k++) {
        bool inside = false;
        uint32_t root = f->p->root[in[k]];
        for (int i = 0; i < n && f->parent[root]; i++) inside |= find(f, root) == groups[i];
        if (inside && root != in[k]) return 0; /* it reads a member through a view: from memory, after the chain */
        if (inside && !wg__is_step(f->p, root)) return 0; /* a sum: after the chain */
        if (in[k] && !inside) when = later(when, ready(f, in[k]));
    }
    return when < reader && fits(steps, loads) ? when : 0;
}

static void place(fuse *f, uint32_t id)
{
    const wg__node *node = &f->p->tape->nodes[id];
    const uint32_t *in = wg__inputs(f->p->tape, node);
    uint32_t groups[4];
    int n = f->p->passes & WG__PASS_FUSE ? candidates(f, node, in, groups) : 0;
    uint64_t when = 0;
    uint32_t head = id;
    if (n && (when = joined(f, node, in, groups, n))) {
        head = groups[0];
        for (int i = 1; i < n; i++) head = unite(f, head, groups[i]);
    }
    for (int i = 0; i < n && !when && n > 1; i++)
        if ((when = joined(f, node, in, &groups[i], 1))) head = groups[i];
    if (!when) when = joined(f, node, in, NULL, 0);
    f->parent[id] = head;
    if (head == id) {
        f->reader[id] = UINT64_MAX;
        f->steps[id] = f->loads[id] = 0;
    }
    f->when[head] = when;
    f->steps[head]++;
    f->loads[head] = (uint16_t)(f->loads[head] + node->n_in);
    for (uint32_t k = 0; k < node->n_in; k++)
        if (in[k] && !(f->parent[f->p->root[in[k]]] && f->p->root[in[k]] == in[k] && find(f, in[k]) == head))
            read_by(f, in[k], when);
}

/* A sum that its operand's chain takes in; false: it is a unit of its own. */
static bool place_sum(fuse *f, uint32_t id)
{
    const wg__node *node = &f->p->tape->nodes[id];
    const uint32_t in = node->in[0];
    if (!is_line_sum(f, id) || f->p->root[in] != in || !f->parent[in]) return false;
    if (!wg__is_step(f->p, in)) return false;
    uint32_t group = find(f, in);
    uint64_t when = same_lines(f, f->sum[group], id) ? joined(f, node, &in, &group, 1) : 0;
    if (!when) return false;
    f->parent[id] = group;
    f->when[group] = when;
    f->steps[group]++;
    f->sum[group] = id;
    f->p->state[id] |= WG__MATERIAL | WG__DENSE;
    return true;
}

/* A node with a kernel of its own, or part of a merged sum: its operands' groups must come before it. */
static bool lone(fuse *f, uint32_t id)
{
    wg__planner *p = f->p;
    const wg__node *node = &p->tape->nodes[id];
    const uint32_t *in = wg__inputs(p->tape, node);
    uint64_t when = p->unit[id] ? p->units[p->unit[id] - 1].when : (uint64_t)id << 32;
    for (uint32_t k = 0; k < node->n_in; k++)
        if (in[k]) read_by(f, in[k], when);
    if (p->unit[id]) return true;
    wg_kind kind = p->tape->ops[node->op]->kind;
    wg__unit_kind unit = kind == WG_KIND_PRODUCT  ? WG__UNIT_PRODUCT
                         : kind == WG_KIND_CONCAT ? WG__UNIT_JOIN
                         : kind == WG_KIND_VIEW   ? WG__UNIT_COPY
                                                  : WG__UNIT_NODE;
    uint32_t first = p->n_members;
    if (unit == WG__UNIT_PRODUCT && !wg__member_add(p, id)) return false;
    uint32_t made = wg__unit_new(
        p, (wg__work){.kind = unit, .node = id, .first = first, .count = p->n_members - first, .when = when});
    p->unit[id] = made + 1;
    return made != UINT32_MAX;
}

/* Every group becomes a unit whose members stand in the order in which they were recorded. */
static bool make_units(fuse *f)
{
    wg__planner *p = f->p;
    uint32_t start = p->n_members;
    for (uint32_t id = 1; id < p->n; id++) {
        if (!f->parent[id] || find(f, id) != id) continue;
        uint32_t made =
            wg__unit_new(p, (wg__work){.kind = WG__UNIT_CHAIN, .node = id, .first = start, .when = f->when[id]});
        if (made == UINT32_MAX) return false;
        p->unit[id] = made + 1;
        start += f->steps[id];
    }
    while (p->n_members < start)
        if (!wg__member_add(p, 0)) return false;
    for (uint32_t id = 1; id < p->n; id++) {
        if (!f->parent[id]) continue;
        uint32_t unit = p->unit[find(f, id)];
        p->unit[id] = unit;
        wg__work *chain = &p->units[unit - 1];
        p->members[chain->first + chain->count++] = id;
    }
    return true;
}

/* Which chain members somebody outside reads, and who wants his operands dense: a sum, too, that is in the chain that
 * makes its operand, since lines are cut where the space is dense. */
static void mark_material(wg__planner *p)
{
    for (uint32_t id = 1; id < p->n; id++) {
        if (!(p->state[id] & WG__NEEDED) || (wg__is_source(p, id) && !(p->state[id] & WG__OUTPUT))) continue;
        const wg__node *node = &p->tape->nodes[id];
        if (p->state[id] & WG__OUTPUT) {
            p->state[p->root[id]] |= WG__MATERIAL;
            if (p->root[id] != id) p->state[p->root[id]] |= WG__DENSE;
        }
        if (wg__is_source(p, id)) continue;
        const wg_op *op = p->tape->ops[node->op];
        bool view = op->kind == WG_KIND_VIEW && !(p->state[id] & WG__PART);
        if (view && !(p->state[id] & WG__VIEW_COPY)) continue;
        bool dense = view || op->kind == WG_KIND_GENERAL;
        const uint32_t *in = wg__inputs(p->tape, node);
        for (uint32_t k = 0; k < node->n_in; k++) {
            uint32_t root = p->root[in[k]];
            if (!in[k] || wg__is_source(p, root)) continue;
            if (in[k] != root || p->unit[root] != p->unit[id]) p->state[root] |= WG__MATERIAL;
            if (dense) p->state[root] |= WG__DENSE;
        }
    }
}

bool wg__plan_fuse(wg__planner *p)
{
    fuse f = {.p = p};
    f.parent = wg__plan_array(p->own, p->n, sizeof *f.parent);
    f.when = wg__plan_array(p->own, p->n, sizeof *f.when);
    f.reader = wg__plan_array(p->own, p->n, sizeof *f.reader);
    f.steps = wg__plan_array(p->own, p->n, sizeof *f.steps);
    f.loads = wg__plan_array(p->own, p->n, sizeof *f.loads);
    f.sum = wg__plan_array(p->own, p->n, sizeof *f.sum);
    if (!f.parent || !f.when || !f.reader || !f.steps || !f.loads || !f.sum) return false;
    for (uint32_t id = 1; id < p->n; id++) {
        bool again = p->tape->nodes[id].flags & WG__NODE_AGAIN;
        if (again && !(p->tape->nodes[id - 1].flags & WG__NODE_AGAIN)) f.floor = (uint64_t)id << 32;
        if (!(p->state[id] & WG__NEEDED) || wg__is_source(p, id)) continue;
        wg_kind kind = wg__plan_op(p, id)->kind;
        if (kind == WG_KIND_VIEW && !(p->state[id] & (WG__VIEW_COPY | WG__PART))) continue;
        bool merged = p->unit[id] && !(p->state[id] & WG__ABSORBED); /* the root of a sum: made by its terms */
        if (merged || ((p->state[id] & WG__ABSORBED) && kind != WG_KIND_PRODUCT)) continue;
        if (wg__is_step(p, id))
            place(&f, id);
        else if (!place_sum(&f, id) && !lone(&f, id))
            return false;
    }
    if (!make_units(&f)) return false;
    mark_material(p);
    return true;
}
