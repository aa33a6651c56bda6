/* Pass recompute: a value of the forward pass that a chain of the backward pass can compute in a few steps from saved
 * activations is not saved itself: tanh(c) of an LSTM's cell state c. The node is recorded a second time, just before
 * the first gradient node that reads it, and becomes part of that node's chain (fuse.c). Exact: the same operation on
 * the same numbers. O(n).
 *
 * It runs after differentiation and before the passes that index nodes: gradient nodes move up to make room. */
#include "planner.h"

enum {
    NEEDED = 1, /* flags of `wanted` */
    OUTPUT = 2,
    MEMORY = UINT32_MAX, /* a time: read from memory */
    MOST_STEPS = 4       /* steps to recompute one value */
};

typedef struct reads { /* of a forward node, by gradient nodes */
    uint32_t time;     /* when the chain that reads it runs; 0: none; MEMORY: it must be in memory */
    uint32_t last;     /* the latest time at which a node of the backward pass reads it; 0: never */
} reads;

typedef struct recompute {
    wg__planner *p;
    wg_tape *tape;
    uint32_t n;      /* forward nodes: ids below n */
    uint8_t *wanted; /* [nodes] */
    uint32_t *base;  /* [nodes] itself or, of a view, the base */
    uint32_t *time;  /* [nodes] when it can run: its latest dependency of the backward pass; 0: none */
    reads *by;       /* [n] of a base, also through views */
    uint8_t *steps;  /* [n] steps to recompute it; 0: it is saved or not read */
    uint32_t *to;    /* [nodes] new ids of gradient nodes, and of the copies of forward nodes; 0: none */
} recompute;

static wg_kind kind_of(const recompute *r, uint32_t id) { return wg__op_at(r->p, id)->kind; }
static const uint32_t *inputs(const recompute *r, uint32_t id)
{
    return wg__inputs(r->tape, wg__node_at(r->p, id));
}

/* The outputs, and what they need. */
static void mark_wanted(recompute *r)
{
    const wg__plan *plan = r->p->plan;
    for (uint32_t i = 0; i < plan->n_outputs; i++) r->wanted[plan->outputs[i].node] = NEEDED | OUTPUT;
    for (uint32_t id = r->tape->n_nodes - 1; id > 0; id--) {
        if (!r->wanted[id] || wg__is_given(r->p, id)) continue;
        for (uint32_t k = 0; k < wg__node_at(r->p, id)->n_in; k++) r->wanted[inputs(r, id)[k]] |= NEEDED;
    }
}

/* ---- readers and their times --------------------------------------------------------------------------------- */

/* A step runs once the dependencies of its operands have run; a kernel runs at its own time. */
static uint32_t time_of(const recompute *r, uint32_t id)
{
    const wg__node *node = wg__node_at(r->p, id);
    const uint32_t *in = inputs(r, id);
    uint32_t time = 0;
    if (id < r->n) return 0;
    if ((node->flags & WG__NODE_REMAT) || (kind_of(r, id) != WG_KIND_POINTWISE && r->base[id] == id)) return id;
    for (uint32_t k = 0; k < node->n_in; k++)
        if (r->time[in[k]] > time) time = r->time[in[k]];
    return time;
}

static void read_at(reads *by, uint32_t time, uint32_t last)
{
    by->time = by->time && by->time != time ? MEMORY : time;
    if (last > by->last) by->last = last;
}

static void note_reads(recompute *r, uint32_t id)
{
    const wg__node *node = wg__node_at(r->p, id);
    const uint32_t *in = inputs(r, id);
    for (uint32_t k = 0; k < node->n_in; k++) {
        const uint32_t base = r->base[in[k]];
        if (base >= r->n || wg__is_given(r->p, base)) continue;
        const bool step = in[k] == base && wg__node_at(r->p, base)->shape == node->shape && r->time[id] &&
                          kind_of(r, id) == WG_KIND_POINTWISE && !(node->flags & WG__NODE_REMAT);
        const uint32_t time = step ? r->time[id] : MEMORY;
        read_at(&r->by[base], time, r->time[id]);
        if (in[k] != base && in[k] < r->n) read_at(&r->by[in[k]], time, r->time[id]);
    }
}

/* ---- cost ---------------------------------------------------------------------------------------------------- */

/* The cost of recomputing a value in a chain. */
typedef struct cost {
    uint32_t time, shape; /* of the chain */
    int64_t steps, most;
    int64_t longer; /* bytes of operands whose lifetimes it extends */
} cost;

/* Whether an operand is in memory in any case: a source, an output, or saved. */
static bool is_saved(const recompute *r, uint32_t in)
{
    const uint32_t base = r->base[in];
    return wg__is_given(r->p, base) || (r->wanted[base] & OUTPUT) || (!r->steps[in] && r->by[in].last);
}

/* Adds the cost of `id`; false if it cannot be recomputed within the steps allowed. */
static bool add_cost(const recompute *r, uint32_t id, cost *c)
{
    const wg__node *node = wg__node_at(r->p, id);
    bool can = kind_of(r, id) == WG_KIND_POINTWISE && !(wg__op_at(r->p, id)->flags & WG_OP_RANDOM);
    can = can && node->shape == c->shape && ++c->steps <= c->most;
    for (uint32_t k = 0; k < node->n_in && can; k++) {
        const uint32_t in = inputs(r, id)[k];
        const reads *by = &r->by[in];
        if (is_saved(r, in)) {
            if (by->last && by->last < c->time) c->longer += wg__bytes_of(r->p, in);
        } else if (r->steps[in] && by->time == c->time) { /* the chain recomputes it already */
            c->steps += r->steps[in];
        } else {
            can = !by->time && add_cost(r, in, c);
        }
    }
    return can && c->steps <= c->most;
}

/* Decides to recompute it, and the operands that are not saved. */
static void choose(recompute *r, uint32_t id, const cost *c)
{
    for (uint32_t k = 0; k < wg__node_at(r->p, id)->n_in; k++) {
        const uint32_t in = inputs(r, id)[k];
        if (is_saved(r, in))
            read_at(&r->by[in], MEMORY, c->time);
        else if (!r->steps[in])
            choose(r, in, c);
    }
    r->steps[id] = (uint8_t)c->steps;
    read_at(&r->by[id], c->time, c->time);
}

/* Chooses values that only one chain of the backward pass reads, if recomputing them takes at most `most` steps and
 * extends the lifetimes of operands by no more bytes than it saves. */
static void choose_all(recompute *r, int64_t most)
{
    for (uint32_t id = 1; id < r->n; id++) {
        const reads *by = &r->by[id];
        if (r->wanted[id] != NEEDED || wg__is_given(r->p, id) || r->steps[id]) continue;
        if (!by->last || by->time == MEMORY) continue;
        cost c = {.time = by->time, .shape = wg__node_at(r->p, id)->shape, .most = most};
        if (add_cost(r, id, &c) && c.longer <= wg__bytes_of(r->p, id)) choose(r, id, &c);
    }
}

/* Values of one step first: then tanh(c) is recomputed from c, and c is saved. */
static bool decide(recompute *r)
{
    wg__arena *arena = r->p->scratch;
    const uint32_t all = r->tape->n_nodes;
    r->wanted = wg__arena_array(arena, all, sizeof *r->wanted);
    r->base = wg__arena_array(arena, all, sizeof *r->base);
    r->time = wg__arena_array(arena, all, sizeof *r->time);
    r->by = wg__arena_array(arena, r->n, sizeof *r->by);
    r->steps = wg__arena_array(arena, r->n, sizeof *r->steps);
    r->to = wg__arena_array(arena, all, sizeof *r->to);
    if (!r->wanted || !r->base || !r->time || !r->by || !r->steps || !r->to) return false;
    mark_wanted(r);
    for (uint32_t id = 1; id < all; id++) {
        r->base[id] = id;
        if (!r->wanted[id] || wg__is_given(r->p, id)) continue;
        if (kind_of(r, id) == WG_KIND_VIEW) r->base[id] = r->base[inputs(r, id)[0]];
        r->time[id] = time_of(r, id);
        if (id >= r->n && r->base[id] == id) note_reads(r, id);
    }
    choose_all(r, 1);
    choose_all(r, MOST_STEPS);
    return true;
}

/* ---- recording the copies ------------------------------------------------------------------------------------ */

/* A copy precedes its first reader and follows the copies of its own operands. */
static void number_copy(recompute *r, uint32_t id, uint32_t *next)
{
    for (uint32_t k = 0; k < wg__node_at(r->p, id)->n_in; k++) {
        const uint32_t in = inputs(r, id)[k];
        if (r->steps[in] && !r->to[in]) number_copy(r, in, next);
    }
    r->to[id] = (*next)++;
}

static uint32_t number(recompute *r)
{
    uint32_t next = r->n;
    for (uint32_t id = r->n; id < r->tape->n_nodes; id++) {
        const uint32_t *in = inputs(r, id);
        for (uint32_t k = 0; k < wg__node_at(r->p, id)->n_in && r->wanted[id]; k++)
            if (in[k] < r->n && r->steps[in[k]] && !r->to[in[k]]) number_copy(r, in[k], &next);
        r->to[id] = next++;
    }
    return next;
}

/* Writes a node to its new id with the new ids of its operands. */
static void move(recompute *r, uint32_t id)
{
    wg_tape *tape = r->tape;
    assert(r->to[id] >= id); /* so the new id's node has moved already */
    wg__node *node = &tape->nodes[r->to[id]];
    *node = tape->nodes[id];
    assert(node->n_in <= 4 || id >= r->n); /* a copy would share the operands that are changed here */
    uint32_t *in = node->n_in <= 4 ? node->in : tape->spill + node->in[0];
    for (uint32_t k = 0; k < node->n_in; k++)
        if (r->to[in[k]] && r->wanted[id]) in[k] = r->to[in[k]];
    if (id >= r->n) return;
    node->flags |= WG__NODE_RECOMPUTED;
    node->forward = id;
}

/* From the last node to the first, so that none is overwritten before it has moved. */
static bool renumber(recompute *r)
{
    wg_tape *tape = r->tape;
    wg__plan *plan = r->p->plan;
    const uint32_t all = tape->n_nodes, n = number(r);
    if (n == all) return true;
    if (!wg__grow(&tape->heap, (void **)&tape->nodes, &tape->cap_nodes, n, sizeof *tape->nodes)) return false;
    for (uint32_t id = all; id-- > 1;)
        if (r->to[id]) move(r, id);
    for (uint32_t i = 0; i < plan->n_outputs; i++)
        if (plan->outputs[i].node >= r->n) plan->outputs[i].node = r->to[plan->outputs[i].node];
    tape->n_nodes = n;
    return true;
}

bool wg__plan_recompute(wg__planner *p)
{
    recompute r = {.p = p, .tape = p->tape, .n = p->n_forward};
    if (p->tape->n_nodes == r.n || !(p->passes & WG__PASS_FUSE)) return true; /* it takes a chain */
    return decide(&r) && renumber(&r);
}
