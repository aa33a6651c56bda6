/* Pass fuse: groups pointwise nodes into chains. Pointwise nodes of one shape that feed each other become one group,
 * which runs all of them on a tile while it is in cache; a value that only the group reads never reaches memory. Sums
 * of whole lines of such values (over all but the channels of images, over the last axis) join the group and consume
 * tiles as they are computed. Exact: every element passes through the same operations, every sum through the same
 * order.
 *
 * A group has a time, `earliest`: (node id of its latest dependency, depth). It must be before `deadline`, the earliest
 * time of any reader outside the group. Both are maintained as the group grows, and a node joins only if
 * earliest < deadline still holds. That keeps the units free of cycles. O(n). */
#include "planner.h"

typedef struct fuse {
    wg__planner *p;
    uint32_t *parent;   /* [n] union-find forest whose roots are the heads of groups; 0: in no group */
    uint64_t *earliest; /* [n] of heads, like all below */
    uint64_t *deadline;
    uint16_t *steps;
    uint16_t *loads; /* outside operands, counted with repetition */
    uint32_t *sum;   /* one of its sums; 0: none */
    uint64_t remat;  /* rematerialized nodes do not run before this time */
} fuse;

static uint32_t find(fuse *f, uint32_t id)
{
    assert(f->parent[id]);
    while (f->parent[id] != id) id = f->parent[id] = f->parent[f->parent[id]];
    return id;
}

static uint64_t later(uint64_t a, uint64_t b) { return a > b ? a : b; }
static uint64_t sooner(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* The earliest time of a reader of id. */
static uint64_t ready(fuse *f, uint32_t id)
{
    const wg__planner *p = f->p;
    uint32_t root = p->storage.root[id];
    if (wg__is_source(p, root)) return 0;
    if (f->parent[root]) return f->earliest[find(f, root)] + 1;
    if (p->units.of[root]) return p->units.list[p->units.of[root]].earliest + 1;
    return ((uint64_t)root << 32) + 1;
}

static void read_by(fuse *f, uint32_t id, uint64_t time)
{
    uint32_t root = f->p->storage.root[id];
    if (!f->parent[root]) return;
    uint32_t group = find(f, root);
    f->deadline[group] = sooner(f->deadline[group], time);
}

static bool fits(uint32_t steps, uint32_t loads)
{
    return steps < WG__CHAIN_STEPS && loads <= WG__CHAIN_OPERANDS - 4;
}

/* ---- sums ---------------------------------------------------------------------------------------------------- */

enum {
    SHARED = 16384, /* elements of a chain that is worth splitting between threads: ... */
    LINES = 8, /* ... by lines, if it has a sum, which then needs at least so many (both chosen, not measured) */
};

static bool same_lines(const fuse *f, uint32_t sum, uint32_t other)
{
    wg__lines a, b;
    if (!sum || !other) return true;
    return wg__lines_of_sum(f->p->tape, wg__node_at(f->p, sum), &a) &&
           wg__lines_of_sum(f->p->tape, wg__node_at(f->p, other), &b) && a.count == b.count && a.line == b.line;
}

/* A sum that can be part of the chain that computes its operand. */
static bool is_line_sum(const fuse *f, uint32_t id)
{
    const wg_tape *tape = f->p->tape;
    const wg__node *node = wg__node_at(f->p, id);
    wg__lines lines;
    if (!(f->p->passes & WG__PASS_FUSE) || !wg__op_is(tape, node, tape->structural->sum)) return false;
    if (!wg_dtype_is_float((wg_dtype)node->dtype) || !wg__lines_of_sum(tape, node, &lines)) return false;
    int64_t numel = wg__numel_of(tape, &tape->nodes[node->in[0]]);
    const int64_t added = tape->structural->line_sums((wg_dtype)node->dtype)->lines;
    return numel > 0 && (lines.count >= LINES || numel <= SHARED) && numel / lines.count / lines.line <= added;
}

/* ---- growing groups ------------------------------------------------------------------------------------------ */

/* Merges group b into a. */
static uint32_t unite(fuse *f, uint32_t a, uint32_t b)
{
    assert(a != b && f->parent[a] == a && f->parent[b] == b);
    if (!f->sum[a]) f->sum[a] = f->sum[b];
    f->parent[b] = a;
    f->earliest[a] = later(f->earliest[a], f->earliest[b]);
    f->deadline[a] = sooner(f->deadline[a], f->deadline[b]);
    f->steps[a] = (uint16_t)(f->steps[a] + f->steps[b]);
    f->loads[a] = (uint16_t)(f->loads[a] + f->loads[b]);
    return a;
}

/* The groups that the node could join: those of operands read directly, over the node's shape. A recomputed node joins
 * only groups of recomputed nodes. */
static int candidates(fuse *f, const wg__node *node, const uint32_t *in, uint32_t *groups)
{
    int n = 0;
    for (uint32_t k = 0; k < node->n_in && k < 4; k++) {
        if (!in[k] || f->p->storage.root[in[k]] != in[k] || !f->parent[in[k]]) continue;
        const wg__node *from = wg__node_at(f->p, in[k]);
        if (from->shape != node->shape || (node->flags & ~from->flags & WG__NODE_RECOMPUTED)) continue;
        uint32_t group = find(f, in[k]);
        bool known = false;
        for (int i = 0; i < n; i++) known |= groups[i] == group;
        if (!known) groups[n++] = group;
    }
    return n;
}

/* Nodes of the backward pass that must not move into the forward pass, even where they could. */
static uint64_t not_before(const fuse *f, const wg__node *node)
{
    const uint64_t id = (uint64_t)(node - f->p->tape->nodes);
    if (f->p->flags[id] & WG__DEFERRED) return id << 32;
    return node->flags & WG__NODE_REMAT ? f->remat : 1;
}

/* The earliest time of one group made of the node and the n groups; 0 if they cannot be one. */
static uint64_t time_joined(fuse *f, const wg__node *node, const uint32_t *in, const uint32_t *groups, int n)
{
    uint64_t earliest = not_before(f, node), deadline = UINT64_MAX;
    uint32_t steps = 0, loads = node->n_in, sum = 0;
    for (int i = 0; i < n; i++) {
        if (!same_lines(f, sum, f->sum[groups[i]])) return 0;
        if (!sum) sum = f->sum[groups[i]];
        earliest = later(earliest, f->earliest[groups[i]]);
        deadline = sooner(deadline, f->deadline[groups[i]]);
        steps += f->steps[groups[i]];
        loads += f->loads[groups[i]];
    }
    for (uint32_t k = 0; k < node->n_in; k++) {
        bool inside = false;
        uint32_t root = f->p->storage.root[in[k]];
        for (int i = 0; i < n && f->parent[root]; i++) inside |= find(f, root) == groups[i];
        if (inside && root != in[k]) return 0; /* reads a member through a view: from memory, after the chain */
        if (inside && !wg__is_step(f->p, root)) return 0; /* reads a sum: after the chain */
        if (in[k] && !inside) earliest = later(earliest, ready(f, in[k]));
    }
    return earliest < deadline && fits(steps, loads) ? earliest : 0;
}

/* Puts a pointwise node into all groups that it can join as one, or into the first possible one, or a new one. */
static void add_step(fuse *f, uint32_t id)
{
    const wg__node *node = wg__node_at(f->p, id);
    const uint32_t *in = wg__inputs(f->p->tape, node);
    uint32_t groups[4];
    int n = f->p->passes & WG__PASS_FUSE ? candidates(f, node, in, groups) : 0;
    uint64_t earliest = 0;
    uint32_t head = id;
    if (n && (earliest = time_joined(f, node, in, groups, n))) {
        head = groups[0];
        for (int i = 1; i < n; i++) head = unite(f, head, groups[i]);
    }
    for (int i = 0; i < n && !earliest && n > 1; i++)
        if ((earliest = time_joined(f, node, in, &groups[i], 1))) head = groups[i];
    if (!earliest) earliest = time_joined(f, node, in, NULL, 0);
    assert(earliest > 0 && !f->parent[id]);
    f->parent[id] = head;
    if (head == id) {
        f->deadline[id] = UINT64_MAX;
        f->steps[id] = f->loads[id] = 0;
    }
    assert(earliest >= f->earliest[head] && earliest < f->deadline[head]);
    f->earliest[head] = earliest;
    f->steps[head]++;
    f->loads[head] = (uint16_t)(f->loads[head] + node->n_in);
    for (uint32_t k = 0; k < node->n_in; k++) {
        const uint32_t root = f->p->storage.root[in[k]];
        if (in[k] && !(f->parent[root] && root == in[k] && find(f, root) == head)) read_by(f, in[k], earliest);
    }
}

/* Adds a sum to the chain that computes its operand; false if it must be a unit of its own. */
static bool add_sum(fuse *f, uint32_t id)
{
    const wg__node *node = wg__node_at(f->p, id);
    const uint32_t in = node->in[0];
    if (!is_line_sum(f, id) || f->p->storage.root[in] != in || !f->parent[in]) return false;
    if (!wg__is_step(f->p, in)) return false;
    uint32_t group = find(f, in);
    uint64_t earliest = same_lines(f, f->sum[group], id) ? time_joined(f, node, &in, &group, 1) : 0;
    if (!earliest) return false;
    assert(earliest < f->deadline[group] && !f->parent[id]);
    f->parent[id] = group;
    f->earliest[group] = earliest;
    f->steps[group]++;
    f->sum[group] = id;
    f->p->flags[id] |= WG__STORED | WG__CONTIGUOUS;
    return true;
}

/* A node outside all groups sets the deadline of those that it reads. */
static void add_reader(fuse *f, uint32_t id)
{
    const wg__planner *p = f->p;
    const wg__node *node = wg__node_at(p, id);
    const uint32_t *in = wg__inputs(p->tape, node), unit = p->units.of[id];
    uint64_t time = unit ? p->units.list[unit].earliest : (uint64_t)id << 32;
    for (uint32_t k = 0; k < node->n_in; k++)
        if (in[k]) read_by(f, in[k], time);
}

static void add_node(fuse *f, uint32_t id)
{
    const wg__planner *p = f->p;
    const wg_kind kind = wg__op_at(p, id)->kind;
    const bool term = p->flags[id] & WG__MERGED;
    if (kind == WG_KIND_VIEW && !(p->flags[id] & (WG__VIEW_COPY | WG__SLICE_COPY))) return;
    if (p->units.of[id] && !term) return; /* the root of a merged sum: its terms are its readers */
    if (term && kind != WG_KIND_PRODUCT) return;
    if (wg__is_step(p, id))
        add_step(f, id);
    else if (!add_sum(f, id))
        add_reader(f, id);
}

bool wg__plan_fuse(wg__planner *p)
{
    fuse f = {.p = p};
    p->groups.of = wg__arena_array(p->scratch, p->n, sizeof *p->groups.of);
    f.earliest = p->groups.earliest = wg__arena_array(p->scratch, p->n, sizeof *f.earliest);
    f.steps = p->groups.size = wg__arena_array(p->scratch, p->n, sizeof *f.steps);
    f.parent = wg__arena_array(p->scratch, p->n, sizeof *f.parent);
    f.deadline = wg__arena_array(p->scratch, p->n, sizeof *f.deadline);
    f.loads = wg__arena_array(p->scratch, p->n, sizeof *f.loads);
    f.sum = wg__arena_array(p->scratch, p->n, sizeof *f.sum);
    if (!p->groups.of || !f.parent || !f.earliest || !f.deadline || !f.steps || !f.loads || !f.sum) return false;
    for (uint32_t id = 1; id < p->n; id++) {
        bool remat = wg__node_at(p, id)->flags & WG__NODE_REMAT;
        if (remat && !(wg__node_at(p, id - 1)->flags & WG__NODE_REMAT)) f.remat = (uint64_t)id << 32;
        if ((p->flags[id] & WG__LIVE) && !wg__is_source(p, id)) add_node(&f, id);
    }
    for (uint32_t id = 1; id < p->n; id++)
        if (f.parent[id]) p->groups.of[id] = find(&f, id);
    return true;
}
