/* Rematerialisation: the forward part is cut into regions. What only its own region reads is not kept for the way
 * back: when that reaches the region, copies of its nodes are recorded, which compute it again from what came in.
 * Exact: the same operations on the same numbers; random ones are functions of their key.
 *
 * Regions are those the user marked or, with the option `remat`, stretches of the program between places where little
 * is alive, so many that what is kept and the largest region together are as small as can be: about the square
 * root (T. Chen, B. Xu, C. Zhang and C. Guestrin, Training Deep Nets with Sublinear Memory Cost, 2016). O(n). */
#include "remat.h"

#include "plan.h"

#include <string.h>

/* ---- regions by themselves ----------------------------------------------------------------------------------- */

typedef struct cut {
    wg__remat *r;
    int64_t *bytes;  /* [n] that the value takes; 0: it looks at another's */
    uint32_t *root;  /* [n] whose memory it looks at */
    uint32_t *last;  /* [n] of roots: the last node of the forward part that reads it */
    int64_t *alive;  /* [n] bytes that are alive after the node */
    int64_t *within; /* [n] by region: bytes that only it reads */
    int64_t total;
} cut;

/* What y is computed from, how large it is, and how long each value lives. */
static bool measure(cut *c, uint32_t y)
{
    wg_tape *tape = c->r->tape;
    uint32_t n = c->r->n;
    uint8_t *part = wg__plan_array(&tape->scratch, n, 1);
    if (!part) return false;
    part[y] = 1;
    for (uint32_t id = y; id > 0; id--) {
        const wg__node *node = &tape->nodes[id];
        const uint32_t *in = wg__inputs(tape, node);
        for (uint32_t k = 0; part[id] && k < node->n_in; k++) part[in[k]] = 1;
    }
    for (uint32_t id = 1; id < n; id++) {
        const wg__node *node = &tape->nodes[id];
        const uint32_t *in = wg__inputs(tape, node);
        bool view = node->op && tape->ops[node->op]->kind == WG_KIND_VIEW;
        c->root[id] = view ? c->root[in[0]] : id;
        if (!part[id]) continue;
        if (node->op && !view && !(node->flags & WG__NODE_VALUE) && node->n_in > 0)
            c->bytes[id] = tape->shapes[node->shape].numel * (int64_t)wg_dtype_size((wg_dtype)node->dtype);
        c->total += c->bytes[id];
        for (uint32_t k = 0; k < node->n_in; k++) c->last[c->root[in[k]]] = id;
    }
    for (uint32_t id = 1; id < n; id++) {
        c->alive[id] += c->bytes[id];
        if (c->last[id] > id) c->alive[c->last[id]] -= c->bytes[id];
    }
    for (uint32_t id = 1; id < n; id++) c->alive[id] += c->alive[id - 1];
    return true;
}

/* Regions of about `size` bytes, which end where least is alive; the last one, which the way back begins with, is
 * kept. Returns the bytes that are kept and those of the largest region. */
static int64_t try_size(cut *c, int64_t size)
{
    uint32_t n = c->r->n, *region = c->r->region, number = 1, first = 1;
    while (first < n) {
        int64_t sum = 0;
        uint32_t at = first, best;
        while (at < n - 1 && sum + c->bytes[at] < size) sum += c->bytes[at++];
        for (best = at; at < n - 1 && sum < size + size / 2; sum += c->bytes[at++])
            if (c->alive[at] < c->alive[best]) best = at;
        if (at == n - 1) best = at; /* the rest */
        for (uint32_t id = first; id <= best; id++) region[id] = number;
        first = best + 1;
        number++;
    }
    int64_t kept = 0, largest = 0;
    memset(c->within, 0, n * sizeof *c->within);
    for (uint32_t id = 1; id < n; id++) {
        bool inside = region[id] == region[c->last[id] ? c->last[id] : id];
        if (inside)
            c->within[region[id]] += c->bytes[id];
        else
            kept += c->bytes[id];
    }
    for (uint32_t i = 1; i < number; i++)
        if (c->within[i] > largest) largest = c->within[i];
    for (uint32_t id = n - 1; id > 0 && region[id] == number - 1; id--) region[id] = 0;
    return kept + largest;
}

/* The best number of regions: each try has half as many again. */
static bool choose_regions(wg__remat *r, uint32_t y)
{
    cut c = {.r = r};
    wg__arena *arena = &r->tape->scratch;
    c.bytes = wg__plan_array(arena, r->n, sizeof *c.bytes);
    c.root = wg__plan_array(arena, r->n, sizeof *c.root);
    c.last = wg__plan_array(arena, r->n, sizeof *c.last);
    c.alive = wg__plan_array(arena, r->n, sizeof *c.alive);
    c.within = wg__plan_array(arena, r->n, sizeof *c.within);
    if (!c.bytes || !c.root || !c.last || !c.alive || !c.within || !measure(&c, y)) return false;
    int64_t least = c.total, best = 0;
    for (int64_t number = 2; number < 4096 && number < c.total; number += (number + 1) / 2) {
        int64_t bytes = try_size(&c, c.total / number);
        if (bytes < least) least = bytes, best = number;
    }
    memset(r->region, 0, r->n * sizeof *r->region);
    if (best) try_size(&c, c.total / best);
    return true;
}

/* ---- what is kept -------------------------------------------------------------------------------------------- */

/* Sources, what somebody wants, and what another region reads; all the rest stays 0. */
static void mark_kept(wg__remat *r, const uint32_t *wanted, uint32_t n_wanted)
{
    const wg_tape *tape = r->tape;
    for (uint32_t id = 1; id < tape->n_nodes; id++) {
        const wg__node *node = &tape->nodes[id];
        const uint32_t *in = wg__inputs(tape, node);
        uint32_t region = id < r->n ? r->region[id] : 0;
        if (id < r->n && (!region || !node->op || (node->flags & (WG__NODE_VALUE | WG__NODE_KEPT))))
            r->again[id] = id;
        for (uint32_t k = 0; k < node->n_in; k++)
            if (in[k] < r->n && r->region[in[k]] != region) r->again[in[k]] = in[k];
    }
    for (uint32_t i = 0; i < n_wanted; i++)
        if (wanted[i] < r->n) r->again[wanted[i]] = wanted[i];
    for (uint32_t i = 0; i < tape->n_assigns; i++)
        if (tape->assigns[i].node < r->n) r->again[tape->assigns[i].node] = tape->assigns[i].node;
    r->again[0] = 0;
}

bool wg__remat_init(wg__remat *r, wg_tape *tape, uint32_t y, const uint32_t *wanted, uint32_t n_wanted)
{
    *r = (wg__remat){.tape = tape, .n = y + 1};
    bool marked = false;
    for (uint32_t id = 1; id < r->n && tape->n_regions && !marked; id++) marked = tape->nodes[id].region != 0;
    if (!(tape->passes & WG__PASS_REMAT) || (!tape->options.remat && !marked)) return true;
    r->region = wg__plan_array(&tape->scratch, r->n, sizeof *r->region);
    r->again = wg__plan_array(&tape->scratch, r->n, sizeof *r->again);
    if (!r->region || !r->again) return false;
    for (uint32_t id = 1; id < r->n; id++) r->region[id] = tape->nodes[id].region;
    if (!marked && !choose_regions(r, y)) return false;
    mark_kept(r, wanted, n_wanted);
    return true;
}

/* ---- again --------------------------------------------------------------------------------------------------- */

static bool append_copy(wg__remat *r, uint32_t id)
{
    wg_tape *tape = r->tape;
    wg__node node = tape->nodes[id];
    uint32_t few[4], *in = few;
    if (node.n_in > 4 && !(in = wg__arena_alloc(&tape->scratch, node.n_in * sizeof *in, 8)))
        return wg__out_of_memory(tape), false;
    for (uint32_t k = 0; k < node.n_in; k++) in[k] = wg__remat_of(r, wg__inputs(tape, &node)[k]);
    node.flags |= WG__NODE_AGAIN;
    node.forward = id;
    uint32_t copy = r->again[id] = wg__node_append(tape, &node, in);
    if (copy) tape->nodes[copy].region = r->entered;
    return copy != 0;
}

bool wg__remat_reach(wg__remat *r, uint32_t id)
{
    if (!r->again || !r->region[id] || r->region[id] == r->entered) return true;
    r->entered = r->region[id];
    uint32_t first = id;
    while (r->region[first - 1] == r->entered) first--;
    for (; first <= id; first++)
        if (!r->again[first] && !append_copy(r, first)) return false;
    return true;
}
