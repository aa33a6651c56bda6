/* Pass: every value gets its place in one block of memory, by lifetime: what dies in a stage leaves its bytes to what
 * is born in a later one, or, in a chain, to a result of the same size. Exact. */
#include "fit.h"
#include "plan_life.h"

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

/* Values stand in memory of their own, gradients where the parameter keeps them, assigned values where the buffer is
 * or, if that is read later, in the block until the end. What is wanted twice stands where the first one wants it. */
static bool add_outputs(block *b, wg__life *lives)
{
    wg__planner *p = b->p;
    wg__plan *plan = p->plan;
    wg__homes h;
    p->stored_in = wg__plan_array(p->arena, plan->n_outputs, sizeof *p->stored_in);
    p->stored_at = wg__plan_array(p->arena, plan->n_outputs, sizeof *p->stored_at);
    if (!p->stored_in || !p->stored_at || !wg__homes_init(&h, p, lives)) return false;
    for (uint32_t i = 0; i < plan->n_outputs; i++) {
        wg__output *output = &plan->outputs[i];
        bool plain = wg__output_is_plain(p, output);
        if (plain && p->slot[output->node]) continue;
        bool home = wg__stands_at_home(&h, output);
        if (home || output->kind == WG__OUTPUT_VALUE) {
            wg__slot_kind kind = home ? WG__SLOT_HOME : WG__SLOT_OUTPUT;
            p->stored_in[i] = wg__slot_new(plan, (wg__slot){.kind = kind, .index = i});
            if (plain) p->slot[output->node] = p->stored_in[i] + 1;
        } else if (plain) {
            lives[output->node].last = p->n_stages + 1;
        } else if (!add(b, 1, p->n_stages, (int64_t)output->bytes, &p->stored_at[i])) {
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

uint32_t wg__copies_of(const wg__planner *p, const wg__work *unit)
{
    uint32_t n = 0;
    for (uint32_t k = 0; unit->kind == WG__UNIT_NODE && k < p->tape->nodes[unit->node].n_in; k++)
        n += wg__needs_copy(p, unit->node, k);
    return n;
}

/* Dense copies of operands, in the order of their use, until their stage is over. */
static bool add_copies(block *b)
{
    wg__planner *p = b->p;
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_units; i++) n += wg__copies_of(p, &p->units[i]);
    int64_t *temp = p->temps = wg__plan_array(p->arena, n, sizeof *p->temps);
    if (!temp) return false;
    for (uint32_t i = 0; i < p->n_units && n > 0; i++) {
        const uint32_t stage = p->stage[p->sequence[i]];
        const wg__work *unit = &p->units[p->sequence[i]];
        const wg__node *node = &p->tape->nodes[unit->node];
        for (uint32_t k = 0; unit->kind == WG__UNIT_NODE && k < node->n_in; k++)
            if (wg__needs_copy(p, unit->node, k) &&
                !add(b, stage, stage, wg__bytes_of(p, wg__inputs(p->tape, node)[k]), temp++))
                return false;
    }
    return true;
}

/* A value that takes the place of another is in its interval, which lasts as long as the last of them. */
static bool add_values(block *b, wg__life *lives)
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
    wg__life *lives = wg__lives_of(p);
    if (!lives || !add_outputs(b, lives)) return false;
    for (uint32_t i = 0; i < p->n_units && reuse; i++) wg__take_over(p, lives, p->sequence[i]);
    if (!add_packs(b) || !add_copies(b) || !add_values(b, lives)) return false;
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
