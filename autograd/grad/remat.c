/* Rematerialization: the forward pass is cut into regions. Values that only their own region reads are not saved. When
 * the backward pass reaches a region, copies of its nodes are recorded, which recompute the values from the saved
 * inputs of the region. Exact: the same operations on the same values; random numbers are functions of their key.
 *
 * The user marks regions or, with the option `remat`, they are found: stretches of the program between places where
 * few bytes are live. Their number minimizes the saved bytes plus those of the largest region, which makes it about
 * the square root of the number of nodes (T. Chen, B. Xu, C. Zhang and C. Guestrin, Training Deep Nets with Sublinear
 * Memory Cost, 2016). O(n). */
#include "remat.h"

#include <string.h>

/* ---- finding regions ----------------------------------------------------------------------------------------- */

typedef struct cut {
    wg__remat *r;
    int64_t *bytes;  /* [n] of the value; 0: a view or a source */
    uint32_t *root;  /* [n] the node whose storage it is a view of */
    uint32_t *last;  /* [n] of roots: its last reader in the forward pass */
    int64_t *live;   /* [n] live bytes after the node */
    int64_t *within; /* [regions] bytes that only the region reads */
    int64_t total;
} cut;

/* Sizes and lifetimes of the values that y is computed from. */
static bool measure(cut *c, uint32_t y)
{
    wg_tape *tape = c->r->tape;
    uint32_t n = c->r->n;
    uint8_t *used = wg__arena_array(&tape->working, n, 1);
    if (!used) return false;
    used[y] = 1;
    for (uint32_t id = y; id > 0; id--) {
        const wg__node *node = &tape->nodes[id];
        const uint32_t *in = wg__inputs(tape, node);
        for (uint32_t k = 0; used[id] && k < node->n_in; k++) used[in[k]] = 1;
    }
    for (uint32_t id = 1; id < n; id++) {
        const wg__node *node = &tape->nodes[id];
        const uint32_t *in = wg__inputs(tape, node);
        bool view = node->op && wg__op_of(tape, node)->kind == WG_KIND_VIEW;
        c->root[id] = view ? c->root[in[0]] : id;
        if (!used[id]) continue;
        if (node->op && !view && !(node->flags & WG__NODE_VALUE) && node->n_in > 0)
            c->bytes[id] = wg__size_of(tape, node);
        c->total += c->bytes[id];
        for (uint32_t k = 0; k < node->n_in; k++) c->last[c->root[in[k]]] = id;
    }
    for (uint32_t id = 1; id < n; id++) {
        c->live[id] += c->bytes[id];
        if (c->last[id] > id) c->live[c->last[id]] -= c->bytes[id];
    }
    for (uint32_t id = 1; id < n; id++) c->live[id] += c->live[id - 1];
    return true;
}

/* Cuts regions of about `size` bytes that end where the fewest bytes are live. The last one, where the backward pass
 * begins, is saved. Returns the saved bytes plus those of the largest region. */
static int64_t try_size(cut *c, int64_t size)
{
    uint32_t n = c->r->n, *region = c->r->region, number = 1, first = 1;
    while (first < n) {
        int64_t sum = 0;
        uint32_t at = first, best;
        while (at < n - 1 && sum + c->bytes[at] < size) sum += c->bytes[at++];
        for (best = at; at < n - 1 && sum < size + size / 2; sum += c->bytes[at++])
            if (c->live[at] < c->live[best]) best = at;
        if (at == n - 1) best = at; /* the rest */
        assert(first <= best && best < n && number < n);
        for (uint32_t id = first; id <= best; id++) region[id] = number;
        first = best + 1;
        number++;
    }
    int64_t saved = 0, largest = 0;
    memset(c->within, 0, n * sizeof *c->within);
    for (uint32_t id = 1; id < n; id++) {
        bool inside = region[id] == region[c->last[id] ? c->last[id] : id];
        if (inside)
            c->within[region[id]] += c->bytes[id];
        else
            saved += c->bytes[id];
    }
    for (uint32_t i = 1; i < number; i++)
        if (c->within[i] > largest) largest = c->within[i];
    for (uint32_t id = n - 1; id > 0 && region[id] == number - 1; id--) region[id] = 0;
    return saved + largest;
}

/* Tries numbers of regions that grow by half and keeps the best. */
static bool choose_regions(wg__remat *r, uint32_t y)
{
    cut c = {.r = r};
    wg__arena *arena = &r->tape->working;
    c.bytes = wg__arena_array(arena, r->n, sizeof *c.bytes);
    c.root = wg__arena_array(arena, r->n, sizeof *c.root);
    c.last = wg__arena_array(arena, r->n, sizeof *c.last);
    c.live = wg__arena_array(arena, r->n, sizeof *c.live);
    c.within = wg__arena_array(arena, r->n, sizeof *c.within);
    if (!c.bytes || !c.root || !c.last || !c.live || !c.within || !measure(&c, y)) return false;
    int64_t least = c.total, best = 0;
    for (int64_t number = 2; number < 4096 && number < c.total; number += (number + 1) / 2) {
        int64_t bytes = try_size(&c, c.total / number);
        if (bytes < least) least = bytes, best = number;
    }
    memset(r->region, 0, r->n * sizeof *r->region);
    if (best) try_size(&c, c.total / best);
    return true;
}

/* ---- saved values -------------------------------------------------------------------------------------------- */

/* Saved are sources, wanted values, and values that another region reads. */
static void mark_saved(wg__remat *r, const uint32_t *wanted, uint32_t n_wanted)
{
    const wg_tape *tape = r->tape;
    for (uint32_t id = 1; id < tape->n_nodes; id++) {
        const wg__node *node = &tape->nodes[id];
        const uint32_t *in = wg__inputs(tape, node);
        uint32_t region = id < r->n ? r->region[id] : 0;
        if (id < r->n && (!region || !node->op || (node->flags & (WG__NODE_VALUE | WG__NODE_KEPT))))
            r->copy[id] = id;
        for (uint32_t k = 0; k < node->n_in; k++)
            if (in[k] < r->n && r->region[in[k]] != region) r->copy[in[k]] = in[k];
    }
    for (uint32_t i = 0; i < n_wanted; i++)
        if (wanted[i] < r->n) r->copy[wanted[i]] = wanted[i];
    for (uint32_t i = 0; i < tape->n_assigns; i++)
        if (tape->assigns[i].node < r->n) r->copy[tape->assigns[i].node] = tape->assigns[i].node;
    r->copy[0] = 0;
}

bool wg__remat_init(wg__remat *r, wg_tape *tape, uint32_t y, const uint32_t *wanted, uint32_t n_wanted)
{
    *r = (wg__remat){.tape = tape, .n = y + 1};
    bool marked = false;
    for (uint32_t id = 1; id < r->n && tape->modes.n_regions && !marked; id++) marked = tape->nodes[id].region != 0;
    if (!tape->options.remat && !marked) return true;
    r->region = wg__arena_array(&tape->working, r->n, sizeof *r->region);
    r->copy = wg__arena_array(&tape->working, r->n, sizeof *r->copy);
    if (!r->region || !r->copy) return false;
    for (uint32_t id = 1; id < r->n; id++) r->region[id] = tape->nodes[id].region;
    if (!marked && !choose_regions(r, y)) return false;
    mark_saved(r, wanted, n_wanted);
    return true;
}

/* ---- copies -------------------------------------------------------------------------------------------------- */

static bool append_copy(wg__remat *r, uint32_t id)
{
    wg_tape *tape = r->tape;
    wg__node node = tape->nodes[id];
    uint32_t few[4], *in = few;
    if (node.n_in > 4 && !(in = wg__arena_alloc(&tape->working, node.n_in * sizeof *in, 8)))
        return wg__out_of_memory(tape), false;
    for (uint32_t k = 0; k < node.n_in; k++) {
        const uint32_t operand = wg__inputs(tape, &node)[k];
        assert(operand < id && (!operand || r->copy[operand])); /* saved, or copied before */
        in[k] = wg__remat_of(r, operand);
    }
    node.flags |= WG__NODE_REMAT;
    node.forward = id;
    uint32_t copy = r->copy[id] = wg__node_append(tape, &node, in);
    assert(r->region[id] == r->entered);
    if (copy) tape->nodes[copy].region = r->entered;
    return copy != 0;
}

bool wg__remat_enter(wg__remat *r, uint32_t id)
{
    if (!r->copy || !r->region[id] || r->region[id] == r->entered) return true;
    r->entered = r->region[id];
    assert(id < r->n && !r->region[0]); /* ends the search below */
    uint32_t first = id;
    while (r->region[first - 1] == r->entered) first--;
    for (; first <= id; first++)
        if (!r->copy[first] && !append_copy(r, first)) return false;
    return true;
}
