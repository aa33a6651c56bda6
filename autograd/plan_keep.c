/* Pass: what the way back keeps of the forward part is made small, before there are chains. Exact. O(n).
 *
 * Parts: of a wide value, say the projection of the state for a GRU's three gates, the way back may read one slice
 * alone. That becomes a step of the chain that reads it first (y = x) and is stored from there; the rest need not
 * live.
 *
 * Late: a gradient node that waits for nothing of the way back, say b - a of lerp(a, b, w), would be computed by a
 * chain of the forward part and kept from there. If the way back keeps its operands anyway, it is computed there. */
#include "plan.h"

enum {
    STEP = 1,  /* a pointwise node of the forward part reads it, as it is and over its shape */
    READ = 2,  /* the way back reads it */
    HELD = 4,  /* ... in a node that waits for more than the forward part */
    FREE = 8,  /* a gradient node that waits for the forward part alone */
    BOUND = 16 /* such a node reads it */
};

typedef struct keep {
    wg__planner *p;
    uint32_t *base; /* [n] whose numbers it looks at: its own or, of a view, its operand's */
    uint32_t *part; /* [n] of views: the first one on the way from the base; 0: no view */
    uint8_t *seen;  /* [n] */
    int64_t *kept;  /* [n] of bases: bytes of it that the way back reads */
} keep;

static bool is_back(const keep *k, uint32_t id) { return id >= k->p->plan->n_nodes; }

static bool is_given(const keep *k, uint32_t id)
{
    return wg__is_source(k->p, id) || wg__plan_op(k->p, id) == wg__structural_ops.fill;
}

static void look_through(keep *k, uint32_t id)
{
    k->base[id] = id;
    if (is_given(k, id) || wg__plan_op(k->p, id)->kind != WG_KIND_VIEW) return;
    const uint32_t from = wg__inputs(k->p->tape, &k->p->tape->nodes[id])[0];
    k->base[id] = k->base[from];
    k->part[id] = k->part[from] ? k->part[from] : id;
}

/* A gradient node that a chain can compute as soon as the forward part has. What is computed again has its time. */
static bool is_free(const keep *k, uint32_t id)
{
    const wg__node *node = &k->p->tape->nodes[id];
    const uint32_t *in = wg__inputs(k->p->tape, node);
    bool is = is_back(k, id) && !(node->flags & (WG__NODE_AGAIN | WG__NODE_BESIDE)) &&
              (k->part[id] || wg__plan_op(k->p, id)->kind == WG_KIND_POINTWISE);
    for (uint32_t i = 0; i < node->n_in && is; i++)
        is = !is_back(k, in[i]) || is_given(k, in[i]) || (k->seen[in[i]] & FREE);
    return is;
}

static void read_operand(keep *k, uint32_t id, uint32_t in)
{
    const wg__planner *p = k->p;
    const uint32_t base = k->base[in], part = k->part[in];
    if (!is_back(k, id)) {
        bool step = wg__plan_op(p, id)->kind == WG_KIND_POINTWISE;
        if (step && p->tape->nodes[in].shape == p->tape->nodes[id].shape) k->seen[in] |= STEP;
        return;
    }
    const uint32_t of = part ? part : base;
    const uint8_t how = k->seen[id] & FREE ? BOUND : HELD;
    if (!(k->seen[of] & READ)) k->kept[base] += wg__bytes_of(p, of);
    k->seen[of] |= READ | how;
    if (how == BOUND || wg__bytes_of(p, of) >= wg__bytes_of(p, base)) k->seen[base] |= how;
}

/* A slice that is to be stored from the chain that reads it. */
static bool is_part(const keep *k, uint32_t id)
{
    const wg__planner *p = k->p;
    const uint32_t base = k->base[id];
    if (k->part[id] != id || is_given(k, base) || ((p->state[id] | p->state[base]) & WG__OUTPUT)) return false;
    return (k->seen[id] & READ) && 2 * k->kept[base] <= wg__bytes_of(p, base);
}

/* A free node whose operands the way back keeps, and that is read by what is not free. */
static bool is_late(const keep *k, uint32_t id)
{
    const wg__node *node = &k->p->tape->nodes[id];
    const uint32_t *in = wg__inputs(k->p->tape, node);
    bool held = (k->seen[id] & (FREE | BOUND)) == FREE && !k->part[id];
    for (uint32_t i = 0; i < node->n_in && held; i++) {
        const uint32_t base = k->base[in[i]];
        held = is_given(k, base) || ((k->seen[base] | k->seen[k->part[in[i]]]) & HELD);
    }
    return held;
}

bool wg__plan_keep(wg__planner *p)
{
    if (p->n == p->plan->n_nodes || !(p->passes & WG__PASS_KEEP)) return true; /* or there is no way back */
    keep k = {.p = p};
    k.base = wg__plan_array(p->own, p->n, sizeof *k.base);
    k.part = wg__plan_array(p->own, p->n, sizeof *k.part);
    k.seen = wg__plan_array(p->own, p->n, sizeof *k.seen);
    k.kept = wg__plan_array(p->own, p->n, sizeof *k.kept);
    if (!k.base || !k.part || !k.seen || !k.kept) return false;
    for (uint32_t id = 1; id < p->n; id++) {
        if (!(p->state[id] & WG__NEEDED)) continue;
        look_through(&k, id);
        const wg__node *node = &p->tape->nodes[id];
        const uint32_t *in = wg__inputs(p->tape, node);
        if (is_given(&k, id)) continue;
        if (is_free(&k, id)) k.seen[id] |= FREE;
        for (uint32_t i = 0; i < node->n_in && !k.part[id]; i++)
            if (in[i]) read_operand(&k, id, in[i]);
    }
    for (uint32_t id = 1; id < p->n; id++) /* what no chain reads can't be stored by one */
        if (k.part[id] == id && (k.seen[id] & (READ | STEP)) == READ)
            k.kept[k.base[id]] += wg__bytes_of(p, k.base[id]);
    for (uint32_t id = 1; id < p->n; id++) {
        if (!(p->state[id] & WG__NEEDED) || is_given(&k, id)) continue;
        if ((p->passes & WG__PASS_FUSE) && is_part(&k, id)) p->state[id] |= WG__PART;
        if (is_late(&k, id)) p->state[id] |= WG__LATE;
    }
    return true;
}
