/* Pass: every value gets its place in one block of memory, by lifetime: what dies in a stage leaves its bytes to what
 * is born in a later one, or, in a chain, to a result of the same size. Exact. */
#include "fit.h"
#include "plan.h"

/* ---- lifetimes ----------------------------------------------------------------------------------------------- */

typedef struct life {
    uint32_t first, last; /* stages; 0: never */
    uint32_t read;        /* the last stage that reads it, ... */
    uint32_t reader;      /* ... the unit that does, + 1, or SEVERAL, ... */
    uint32_t member;      /* ... and the last of its members, ... */
    bool whole;           /* ... which all see it as it stands, not through a view */
    uint32_t from;        /* what it takes the place of; 0: nothing */
} life;

enum { SEVERAL = UINT32_MAX };

static life *touch(wg__planner *p, life *lives, uint32_t node, uint32_t stage)
{
    int64_t shift;
    uint32_t root = p->root[node];
    if (!root || wg__is_source(p, root)) return NULL;
    life *l = &lives[wg__owner_of(p, root, &shift)];
    if (!l->first) l->first = stage;
    l->last = stage;
    return l;
}

static void touch_operand(wg__planner *p, life *lives, uint32_t node, uint32_t unit, uint32_t member)
{
    uint32_t stage = p->stage[unit];
    life *l = touch(p, lives, node, stage);
    if (!l) return;
    if (l->read != stage)
        *l = (life){.first = l->first, .last = stage, .read = stage, .reader = unit + 1, .whole = true};
    if (l->reader != unit + 1) l->reader = SEVERAL;
    l->member = member;
    l->whole &= l == &lives[node];
}

static void touch_unit(wg__planner *p, life *lives, uint32_t id)
{
    const wg__work *unit = &p->units[id];
    uint32_t stage = p->stage[id];
    if (unit->kind == WG__UNIT_STORE) {
        touch_operand(p, lives, p->plan->outputs[unit->node].node, id, 0);
        return;
    }
    if (unit->kind != WG__UNIT_CHAIN) touch(p, lives, unit->node, stage);
    const uint32_t *list = unit->count ? p->members + unit->first : &unit->node;
    uint32_t n = unit->count ? unit->count : 1;
    for (uint32_t i = 0; i < n; i++) {
        const wg__node *node = &p->tape->nodes[list[i]];
        bool made = unit->kind == WG__UNIT_CHAIN && (p->state[list[i]] & WG__MATERIAL);
        if (made || unit->kind == WG__UNIT_ROWS) touch(p, lives, list[i], stage);
        const uint32_t *in = wg__inputs(p->tape, node);
        for (uint32_t k = 0; k < node->n_in; k++) {
            uint32_t root = p->root[in[k]];
            bool inside = unit->kind == WG__UNIT_CHAIN && p->unit[root] == id + 1 && in[k] == root;
            if (in[k] && !(inside && !(p->state[root] & WG__MATERIAL))) touch_operand(p, lives, in[k], id, i);
        }
    }
}

/* Whether operand `node` is last read by the i-th member of a chain, as it stands, and is in the block. */
static bool dies_in(const wg__planner *p, const life *lives, uint32_t node, uint32_t unit, uint32_t i)
{
    const life *l = &lives[node];
    return l->first && l->last == p->stage[unit] && l->read == l->last && l->reader == unit + 1 && l->member == i &&
           l->whole && !p->slot[node] && !p->view[node];
}

/* As many elements of as many bytes. */
static bool alike(const wg_tape *tape, uint32_t a, uint32_t b)
{
    const wg__node *x = &tape->nodes[a], *y = &tape->nodes[b];
    return tape->shapes[x->shape].numel == tape->shapes[y->shape].numel &&
           wg_dtype_size((wg_dtype)x->dtype) == wg_dtype_size((wg_dtype)y->dtype);
}

/* Results of a chain take the place of operands that end with it: an element is written when it has been read. */
static void take_over(const wg__planner *p, life *lives, uint32_t unit)
{
    const wg__work *chain = &p->units[unit];
    uint32_t dying[4 * (WG__CHAIN_STEPS + 4)], n = 0;
    for (uint32_t i = 0; i < chain->count && chain->kind == WG__UNIT_CHAIN; i++) {
        uint32_t id = p->members[chain->first + i];
        const wg__node *node = &p->tape->nodes[id];
        for (uint32_t k = 0; k < node->n_in; k++) {
            uint32_t in = wg__inputs(p->tape, node)[k];
            if (in >= id || !dies_in(p, lives, in, unit, i)) continue;
            lives[in].reader = 0; /* once, if the member reads it twice */
            dying[n++] = in;
        }
        if (!lives[id].first || p->slot[id] || p->view[id] || wg__plan_op(p, id)->kind != WG_KIND_POINTWISE)
            continue;
        for (uint32_t j = 0; j < n && !lives[id].from; j++) {
            if (!alike(p->tape, dying[j], id)) continue;
            lives[id].from = dying[j];
            dying[j] = dying[--n];
        }
    }
}

/* ---- what takes part of the block ------------------------------------------------------------------------------ */

typedef struct block {
    wg__planner *p;
    wg__interval *intervals;
    uint32_t n, cap;
} block;

static bool add(block *b, uint32_t first, uint32_t last, int64_t bytes, int64_t *offset)
{
    if (!wg__grow(&b->p->tape->heap, (void **)&b->intervals, &b->cap, b->n + 1u, sizeof *b->intervals))
        return false;
    b->intervals[b->n++] = (wg__interval){.first = first, .last = last, .bytes = bytes, .offset = offset};
    return true;
}

/* Values stand in memory of their own, gradients where the parameter keeps them, assigned values in the block until
 * the end. What is wanted twice stands where the first one wants it. */
static bool add_outputs(block *b, life *lives)
{
    wg__planner *p = b->p;
    wg__plan *plan = p->plan;
    p->stored = wg__plan_array(p->arena, plan->n_outputs, sizeof *p->stored);
    if (!p->stored) return false;
    for (uint32_t i = 0; i < plan->n_outputs; i++) {
        wg__output *output = &plan->outputs[i];
        bool plain = wg__output_is_plain(p, output);
        if (plain && p->slot[output->node]) continue;
        if (output->kind != WG__OUTPUT_ASSIGN) {
            wg__slot_kind kind = output->kind == WG__OUTPUT_VALUE ? WG__SLOT_OUTPUT : WG__SLOT_GRAD;
            uint32_t slot = wg__slot_new(plan, (wg__slot){.kind = kind, .index = i});
            p->stored[i] = -1 - (int64_t)slot;
            if (plain) p->slot[output->node] = slot + 1;
        } else if (plain) {
            lives[output->node].last = p->n_stages + 1;
        } else if (!add(b, 1, p->n_stages, (int64_t)output->bytes, &p->stored[i])) {
            return false;
        }
    }
    return true;
}

/* Packed operands last as long as the run: nobody knows better when they are last read. */
static bool add_packs(block *b)
{
    const wg__planner *p = b->p;
    for (uint32_t i = 0; i < p->n_packs; i++)
        if (p->packs[i].where == WG__PACK_BLOCK &&
            !add(b, 1, p->n_stages, (int64_t)p->packs[i].bytes, &p->packs[i].offset))
            return false;
    return true;
}

bool wg__needs_copy(const wg__planner *p, uint32_t node, uint32_t k)
{
    uint32_t in = wg__inputs(p->tape, &p->tape->nodes[node])[k];
    if (!in || (wg__plan_op(p, node)->flags & WG_OP_STRIDED)) return false;
    wg_layout layout = wg__layout_of(p, in);
    return !wg__is_dense(&layout, wg__shape_of_node(p->tape, &p->tape->nodes[in]));
}

/* Dense copies of operands, in the order of their use, until their stage is over. */
static bool add_copies(block *b, bool counted)
{
    wg__planner *p = b->p;
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_units; i++) {
        uint32_t stage = p->stage[p->sequence[i]];
        const wg__work *unit = &p->units[p->sequence[i]];
        const wg__node *node = &p->tape->nodes[unit->node];
        for (uint32_t k = 0; unit->kind == WG__UNIT_NODE && k < node->n_in; k++) {
            if (!wg__needs_copy(p, unit->node, k)) continue;
            int64_t bytes = wg__bytes_of(p, wg__inputs(p->tape, node)[k]);
            if (counted && !add(b, stage, stage, bytes, &p->temps[n])) return false;
            n++;
        }
    }
    if (counted) return true;
    p->temps = wg__plan_array(p->arena, n, sizeof *p->temps);
    return p->temps && add_copies(b, true);
}

/* A value that takes the place of another is in its interval, which lasts as long as the last of them. */
static bool add_values(block *b, life *lives)
{
    wg__planner *p = b->p;
    for (uint32_t id = 1; id < p->n; id++) {
        uint32_t from = lives[id].from;
        if (!from) continue;
        if (lives[from].from) lives[id].from = from = lives[from].from;
        if (lives[id].last > lives[from].last) lives[from].last = lives[id].last;
    }
    for (uint32_t id = 1; id < p->n; id++)
        if (lives[id].first && !p->slot[id] && !lives[id].from &&
            !add(b, lives[id].first, lives[id].last, wg__bytes_of(p, id), &p->offset[id]))
            return false;
    return true;
}

/* ---- the pass ------------------------------------------------------------------------------------------------ */

static bool place(block *b)
{
    wg__planner *p = b->p;
    bool reuse = p->passes & WG__PASS_PLACE;
    life *lives = wg__plan_array(p->own, p->n, sizeof *lives);
    if (!lives) return false;
    for (uint32_t i = 0; i < p->n_units; i++) touch_unit(p, lives, p->sequence[i]);
    if (!add_outputs(b, lives)) return false;
    for (uint32_t i = 0; i < p->n_units && reuse; i++) take_over(p, lives, p->sequence[i]);
    if (!add_packs(b) || !add_copies(b, false) || !add_values(b, lives)) return false;
    int64_t bytes = wg__fit(&p->tape->heap, p->own, b->intervals, b->n, reuse);
    for (uint32_t id = 1; id < p->n; id++)
        if (lives[id].from) p->offset[id] = p->offset[lives[id].from];
    p->plan->block_bytes = (size_t)bytes;
    return bytes >= 0;
}

bool wg__plan_place(wg__planner *p)
{
    block b = {.p = p};
    bool ok = place(&b);
    wg__heap_release(&p->tape->heap, b.intervals, b.cap * sizeof *b.intervals);
    return ok;
}
