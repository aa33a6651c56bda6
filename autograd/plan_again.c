/* Pass: what a chain of the way back can make of values that are kept anyway is not kept: tanh(c) of an LSTM's cell
 * state c. The node is recorded a second time, just before the first gradient node that reads it, and the chain that
 * this is in computes it again (plan_fuse.c). Exact: the same operation on the same numbers. O(n).
 *
 * It comes after differentiation and before the passes that number nodes: gradient nodes move up to make room. */
#include "plan.h"

enum {
    NEEDED = 1, /* flags of `wanted` */
    OUTPUT = 2,
    STANDS = UINT32_MAX, /* a time */
    MOST = 4             /* steps to make one value */
};

typedef struct reads { /* of a node of the forward part, by gradient nodes */
    uint32_t time;     /* of the chain that reads it; 0: none; STANDS: it stands in memory, for others */
    uint32_t last;     /* the latest time at which what waits for the way back reads it; 0: never */
} reads;

typedef struct again {
    wg_tape *tape;
    uint32_t n;      /* nodes of the forward part: ids below n */
    uint8_t *wanted; /* [all] */
    uint32_t *base;  /* [all] itself or, of a view, what that looks at */
    uint32_t *time;  /* [all] when it can run: the latest node that it waits for; 0: none of the way back */
    reads *by;       /* [n] of a base, also through views */
    uint8_t *steps;  /* [n] that a chain takes to make it; 0: it is not made again */
    uint32_t *to;    /* [all] new ids: of gradient nodes; of the forward part, of what is recorded again; 0: none */
} again;

static wg_kind kind_of(const again *a, uint32_t id) { return a->tape->ops[a->tape->nodes[id].op]->kind; }

/* It costs no memory of the block, whoever reads it. */
static bool is_given(const again *a, uint32_t id)
{
    const wg__node *node = &a->tape->nodes[id];
    return !node->op || (node->flags & WG__NODE_VALUE) || wg__op_is(a->tape, node, wg__structural_ops.fill);
}

static int64_t bytes_of(const again *a, uint32_t id)
{
    const wg__node *node = &a->tape->nodes[id];
    return a->tape->shapes[node->shape].numel * (int64_t)wg_dtype_size((wg_dtype)node->dtype);
}

static void mark_wanted(again *a, const wg__plan *plan)
{
    for (uint32_t i = 0; i < plan->n_outputs; i++) a->wanted[plan->outputs[i].node] = NEEDED | OUTPUT;
    for (uint32_t id = a->tape->n_nodes - 1; id > 0; id--) {
        const wg__node *node = &a->tape->nodes[id];
        if (!a->wanted[id] || is_given(a, id)) continue;
        for (uint32_t k = 0; k < node->n_in; k++) a->wanted[wg__inputs(a->tape, node)[k]] |= NEEDED;
    }
}

/* A step runs when what its operands wait for has, a kernel when it is its turn. */
static uint32_t time_of(const again *a, uint32_t id)
{
    const wg__node *node = &a->tape->nodes[id];
    const uint32_t *in = wg__inputs(a->tape, node);
    uint32_t time = 0;
    if (id < a->n) return 0;
    if ((node->flags & WG__NODE_AGAIN) || (kind_of(a, id) != WG_KIND_POINTWISE && a->base[id] == id)) return id;
    for (uint32_t k = 0; k < node->n_in; k++)
        if (a->time[in[k]] > time) time = a->time[in[k]];
    return time;
}

static void read_at(reads *by, uint32_t time, uint32_t last)
{
    by->time = by->time && by->time != time ? STANDS : time;
    if (last > by->last) by->last = last;
}

static void note_reads(again *a, uint32_t id)
{
    const wg__node *node = &a->tape->nodes[id];
    const uint32_t *in = wg__inputs(a->tape, node);
    for (uint32_t k = 0; k < node->n_in; k++) {
        const uint32_t base = a->base[in[k]];
        if (base >= a->n || is_given(a, base)) continue;
        const bool step = in[k] == base && a->tape->nodes[base].shape == node->shape && a->time[id] &&
                          kind_of(a, id) == WG_KIND_POINTWISE && !(node->flags & WG__NODE_AGAIN);
        const uint32_t time = step ? a->time[id] : STANDS;
        read_at(&a->by[base], time, a->time[id]);
        if (in[k] != base && in[k] < a->n) read_at(&a->by[in[k]], time, a->time[id]);
    }
}

/* What a chain takes to make a value: steps, and bytes that it makes live longer. */
typedef struct cost {
    uint32_t time, shape; /* of the chain */
    int64_t steps, most, longer;
} cost;

/* Whether an operand is in memory anyway: a source, an output, or what the way back reads from there. */
static bool stands(const again *a, uint32_t in)
{
    const uint32_t base = a->base[in];
    return is_given(a, base) || (a->wanted[base] & OUTPUT) || (!a->steps[in] && a->by[in].last);
}

/* Adds what it takes to make it, if that is not more than so many steps; false: that can't be done. */
static bool add_cost(const again *a, uint32_t id, cost *c)
{
    const wg__node *node = &a->tape->nodes[id];
    bool can = kind_of(a, id) == WG_KIND_POINTWISE && !(wg__op_of(a->tape, node)->flags & WG_OP_RANDOM);
    can = can && node->shape == c->shape && ++c->steps <= c->most;
    for (uint32_t k = 0; k < node->n_in && can; k++) {
        const uint32_t in = wg__inputs(a->tape, node)[k];
        const reads *by = &a->by[in];
        if (stands(a, in)) {
            if (by->last && by->last < c->time) c->longer += bytes_of(a, in);
        } else if (a->steps[in] && by->time == c->time) { /* the chain makes it already */
            c->steps += a->steps[in];
        } else {
            can = !by->time && add_cost(a, in, c);
        }
    }
    return can && c->steps <= c->most;
}

/* Has it made again, of what is left in memory; and so what it is made of and is not there. */
static void make_again(again *a, uint32_t id, const cost *c)
{
    const wg__node *node = &a->tape->nodes[id];
    for (uint32_t k = 0; k < node->n_in; k++) {
        const uint32_t in = wg__inputs(a->tape, node)[k];
        if (stands(a, in))
            read_at(&a->by[in], STANDS, c->time);
        else if (!a->steps[in])
            make_again(a, in, c);
    }
    a->steps[id] = (uint8_t)c->steps;
    read_at(&a->by[id], c->time, c->time);
}

/* What a chain of the way back reads, and nothing else, and makes in so many steps of what is kept anyway, if that does
 * not live so much longer for it that more is lost than gained. */
static void choose(again *a, int64_t most)
{
    for (uint32_t id = 1; id < a->n; id++) {
        const reads *by = &a->by[id];
        if (a->wanted[id] != NEEDED || is_given(a, id) || a->steps[id]) continue;
        if (!by->last || by->time == STANDS) continue;
        cost c = {.time = by->time, .shape = a->tape->nodes[id].shape, .most = most};
        if (add_cost(a, id, &c) && c.longer <= bytes_of(a, id)) make_again(a, id, &c);
    }
}

/* Finds who reads what, and decides. Few steps come first: tanh(c) is made of c, and so c of nothing. */
static bool decide(again *a, wg__arena *own, const wg__plan *plan)
{
    const uint32_t all = a->tape->n_nodes;
    a->wanted = wg__plan_array(own, all, sizeof *a->wanted);
    a->base = wg__plan_array(own, all, sizeof *a->base);
    a->time = wg__plan_array(own, all, sizeof *a->time);
    a->by = wg__plan_array(own, a->n, sizeof *a->by);
    a->steps = wg__plan_array(own, a->n, sizeof *a->steps);
    a->to = wg__plan_array(own, all, sizeof *a->to);
    if (!a->wanted || !a->base || !a->time || !a->by || !a->steps || !a->to) return false;
    mark_wanted(a, plan);
    for (uint32_t id = 1; id < all; id++) {
        a->base[id] = id;
        if (!a->wanted[id] || is_given(a, id)) continue;
        if (kind_of(a, id) == WG_KIND_VIEW) a->base[id] = a->base[wg__inputs(a->tape, &a->tape->nodes[id])[0]];
        a->time[id] = time_of(a, id);
        if (id >= a->n && a->base[id] == id) note_reads(a, id);
    }
    choose(a, 1);
    choose(a, MOST);
    return true;
}

/* New ids: a node that is recorded again comes just before the first that reads it, with what it is made of. */
static void number_again(again *a, uint32_t id, uint32_t *next)
{
    const wg__node *node = &a->tape->nodes[id];
    for (uint32_t k = 0; k < node->n_in; k++) {
        const uint32_t in = wg__inputs(a->tape, node)[k];
        if (a->steps[in] && !a->to[in]) number_again(a, in, next);
    }
    a->to[id] = (*next)++;
}

static uint32_t number(again *a)
{
    uint32_t next = a->n;
    for (uint32_t id = a->n; id < a->tape->n_nodes; id++) {
        const wg__node *node = &a->tape->nodes[id];
        const uint32_t *in = wg__inputs(a->tape, node);
        for (uint32_t k = 0; k < node->n_in && a->wanted[id]; k++)
            if (in[k] < a->n && a->steps[in[k]] && !a->to[in[k]]) number_again(a, in[k], &next);
        a->to[id] = next++;
    }
    return next;
}

/* A node where its new id is, with the new ids of its operands. */
static void put(again *a, uint32_t id)
{
    wg_tape *tape = a->tape;
    wg__node *node = &tape->nodes[a->to[id]];
    *node = tape->nodes[id];
    uint32_t *in = node->n_in <= 4 ? node->in : tape->spill + node->in[0];
    for (uint32_t k = 0; k < node->n_in; k++)
        if (a->to[in[k]] && a->wanted[id]) in[k] = a->to[in[k]];
    if (id >= a->n) return;
    node->flags |= WG__NODE_BESIDE;
    node->forward = id;
}

/* From the last to the first, so that none is overwritten before it has moved. */
static bool renumber(again *a, wg__plan *plan)
{
    wg_tape *tape = a->tape;
    const uint32_t all = tape->n_nodes, n = number(a);
    if (n == all) return true;
    if (!wg__grow(&tape->heap, (void **)&tape->nodes, &tape->cap_nodes, n, sizeof *tape->nodes)) return false;
    for (uint32_t id = all; id-- > 1;)
        if (a->to[id]) put(a, id);
    for (uint32_t i = 0; i < plan->n_outputs; i++)
        if (plan->outputs[i].node >= a->n) plan->outputs[i].node = a->to[plan->outputs[i].node];
    tape->n_nodes = n;
    return true;
}

bool wg__plan_again(wg_tape *tape, wg__plan *plan)
{
    const unsigned passes = WG__PASS_AGAIN | WG__PASS_FUSE;
    again a = {.tape = tape, .n = plan->n_nodes};
    if (tape->n_nodes == a.n || (tape->passes & passes) != passes || tape->options.locate_nonfinite) return true;
    wg__arena own = {.heap = &tape->heap};
    const bool ok = decide(&a, &own, plan) && renumber(&a, plan);
    wg__arena_release(&own);
    return ok;
}
