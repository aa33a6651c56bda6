/* Pass residuals: makes the saved activations small, the values of the forward pass that the backward pass reads. Runs
 * before chains are formed. Exact. O(n).
 *
 * Slice copies: of a wide value, say the projection of the state for a GRU's three gates, the backward pass may read
 * one slice only. The slice becomes a step (y = x) of the chain that reads it first, which stores it; the rest of the
 * value need not stay live.
 *
 * Deferred nodes: a gradient node that depends on the forward pass only, say b - a in lerp(a, b, w), would be computed
 * in a forward chain and saved. If its operands are saved anyway, it is computed in the backward pass. */
#include "planner.h"

enum {
    STEP = 1,     /* a pointwise forward node of the same shape reads it directly */
    READ = 2,     /* the backward pass reads it */
    SAVED = 4,    /* ... in a node that depends on the backward pass */
    EARLY = 8,    /* a gradient node that depends on the forward pass only */
    BY_EARLY = 16 /* such a node reads it */
};

typedef struct residuals {
    wg__planner *p;
    uint32_t *base;  /* [n] the node whose storage it uses: itself or, of a view, its operand's base */
    uint32_t *slice; /* [n] of views: the first view after the base; 0: no view */
    uint8_t *seen;   /* [n] */
    int64_t *saved;  /* [n] of bases: bytes of it that the backward pass reads */
} residuals;

static bool is_backward(const residuals *r, uint32_t id) { return id >= r->p->n_forward; }

static void find_base(residuals *r, uint32_t id)
{
    r->base[id] = id;
    if (wg__is_given(r->p, id) || wg__op_at(r->p, id)->kind != WG_KIND_VIEW) return;
    const uint32_t from = wg__inputs(r->p->tape, wg__node_at(r->p, id))[0];
    r->base[id] = r->base[from];
    r->slice[id] = r->slice[from] ? r->slice[from] : id;
}

/* A gradient node that a chain can compute in the forward pass. Recomputed nodes have their own time. */
static bool is_early(const residuals *r, uint32_t id)
{
    const wg__node *node = wg__node_at(r->p, id);
    const uint32_t *in = wg__inputs(r->p->tape, node);
    bool early = is_backward(r, id) && !(node->flags & (WG__NODE_REMAT | WG__NODE_RECOMPUTED)) &&
                 (r->slice[id] || wg__op_at(r->p, id)->kind == WG_KIND_POINTWISE);
    for (uint32_t i = 0; i < node->n_in && early; i++)
        early = !is_backward(r, in[i]) || wg__is_given(r->p, in[i]) || (r->seen[in[i]] & EARLY);
    return early;
}

static void read_operand(residuals *r, uint32_t id, uint32_t in)
{
    const wg__planner *p = r->p;
    const uint32_t base = r->base[in], slice = r->slice[in];
    if (!is_backward(r, id)) {
        bool step = wg__op_at(p, id)->kind == WG_KIND_POINTWISE;
        if (step && wg__node_at(p, in)->shape == wg__node_at(p, id)->shape) r->seen[in] |= STEP;
        return;
    }
    const uint32_t of = slice ? slice : base;
    const uint8_t how = r->seen[id] & EARLY ? BY_EARLY : SAVED;
    if (!(r->seen[of] & READ)) r->saved[base] += wg__bytes_of(p, of);
    r->seen[of] |= READ | how;
    if (how == BY_EARLY || wg__bytes_of(p, of) >= wg__bytes_of(p, base)) r->seen[base] |= how;
}

/* A slice worth storing from the chain that reads it: at most half of its base is saved. */
static bool is_slice_copy(const residuals *r, uint32_t id)
{
    const wg__planner *p = r->p;
    const uint32_t base = r->base[id];
    if (r->slice[id] != id || wg__is_given(r->p, base) || ((p->flags[id] | p->flags[base]) & WG__OUTPUT))
        return false;
    return (r->seen[id] & READ) && 2 * r->saved[base] <= wg__bytes_of(p, base);
}

/* An early node whose operands are saved anyway and whose readers depend on the backward pass. */
static bool is_deferred(const residuals *r, uint32_t id)
{
    const wg__node *node = wg__node_at(r->p, id);
    const uint32_t *in = wg__inputs(r->p->tape, node);
    bool deferred = (r->seen[id] & (EARLY | BY_EARLY)) == EARLY && !r->slice[id];
    for (uint32_t i = 0; i < node->n_in && deferred; i++) {
        const uint32_t base = r->base[in[i]];
        deferred = wg__is_given(r->p, base) || ((r->seen[base] | r->seen[r->slice[in[i]]]) & SAVED);
    }
    return deferred;
}

static void find_reads(residuals *r)
{
    const wg__planner *p = r->p;
    for (uint32_t id = 1; id < p->n; id++) {
        if (!(p->flags[id] & WG__LIVE)) continue;
        find_base(r, id);
        const wg__node *node = wg__node_at(p, id);
        const uint32_t *in = wg__inputs(p->tape, node);
        if (wg__is_given(r->p, id)) continue;
        if (is_early(r, id)) r->seen[id] |= EARLY;
        for (uint32_t i = 0; i < node->n_in && !r->slice[id]; i++)
            if (in[i]) read_operand(r, id, in[i]);
    }
    for (uint32_t id = 1; id < p->n; id++) /* no chain reads the slice, so none can store it: the base is saved */
        if (r->slice[id] == id && (r->seen[id] & (READ | STEP)) == READ)
            r->saved[r->base[id]] += wg__bytes_of(p, r->base[id]);
}

bool wg__plan_residuals(wg__planner *p)
{
    if (p->n == p->n_forward) return true; /* no backward pass */
    residuals r = {.p = p};
    r.base = wg__arena_array(p->scratch, p->n, sizeof *r.base);
    r.slice = wg__arena_array(p->scratch, p->n, sizeof *r.slice);
    r.seen = wg__arena_array(p->scratch, p->n, sizeof *r.seen);
    r.saved = wg__arena_array(p->scratch, p->n, sizeof *r.saved);
    if (!r.base || !r.slice || !r.seen || !r.saved) return false;
    find_reads(&r);
    for (uint32_t id = 1; id < p->n; id++) {
        if (!(p->flags[id] & WG__LIVE) || wg__is_given(p, id)) continue;
        if ((p->passes & WG__PASS_FUSE) && is_slice_copy(&r, id)) p->flags[id] |= WG__SLICE_COPY;
        if (is_deferred(&r, id)) p->flags[id] |= WG__DEFERRED;
    }
    return true;
}
