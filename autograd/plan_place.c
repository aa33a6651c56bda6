/* Pass: every value gets its place in one block of memory, by lifetime: what dies in a stage leaves its bytes to what
 * is born in a later one. Exact. */
#include "plan.h"
#include "space.h"

/* ---- lifetimes ----------------------------------------------------------------------------------------------- */

typedef struct life {
    uint32_t first, last; /* stages; 0: never */
    uint32_t block;
    uint32_t next; /* the list of those that die in one stage */
} life;

static void touch(wg__planner *p, life *lives, uint32_t node, uint32_t stage)
{
    int64_t shift;
    uint32_t root = p->root[node];
    if (!root || wg__is_source(p, root)) return;
    life *l = &lives[wg__owner_of(p, root, &shift)];
    if (!l->first) l->first = stage;
    l->last = stage;
}

static void touch_unit(wg__planner *p, life *lives, uint32_t id)
{
    const wg__work *unit = &p->units[id];
    uint32_t stage = p->stage[id];
    if (unit->kind == WG__UNIT_STORE) {
        touch(p, lives, p->plan->outputs[unit->node].node, stage);
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
            if (in[k] && !(inside && !(p->state[root] & WG__MATERIAL))) touch(p, lives, in[k], stage);
        }
    }
}

/* Values stand in memory of their own, gradients where the parameter keeps them, assigned values in the block until
 * the end. What is wanted twice stands where the first one wants it. */
static bool place_outputs(wg__planner *p, life *lives, wg__space *s)
{
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
        } else {
            uint32_t block = wg__space_take(s, (int64_t)output->bytes);
            if (block == WG__SPACE_NONE) return false;
            p->stored[i] = s->blocks[block].offset;
        }
    }
    return true;
}

/* ---- the pass ------------------------------------------------------------------------------------------------ */

bool wg__needs_copy(const wg__planner *p, uint32_t node, uint32_t k)
{
    uint32_t in = wg__inputs(p->tape, &p->tape->nodes[node])[k];
    if (!in || (wg__plan_op(p, node)->flags & WG_OP_STRIDED)) return false;
    wg_layout layout = wg__layout_of(p, in);
    return !wg__is_dense(&layout, wg__shape_of_node(p->tape, &p->tape->nodes[in]));
}

/* Packed operands that last as long as the run: nobody knows better when they are last read. */
static bool place_packs(wg__planner *p, wg__space *s)
{
    for (uint32_t i = 0; i < p->n_packs; i++) {
        if (p->packs[i].where != WG__PACK_BLOCK) continue;
        uint32_t block = wg__space_take(s, (int64_t)p->packs[i].bytes);
        if (block == WG__SPACE_NONE) return false;
        p->packs[i].offset = s->blocks[block].offset;
    }
    return true;
}

/* Room for the dense copies of a unit's operands, until its stage is over. */
static bool take_temps(wg__planner *p, wg__space *s, const wg__work *unit)
{
    const wg__node *node = &p->tape->nodes[unit->node];
    if (unit->kind != WG__UNIT_NODE) return true;
    for (uint32_t k = 0; k < node->n_in; k++) {
        if (!wg__needs_copy(p, unit->node, k)) continue;
        uint32_t block = wg__space_take(s, wg__bytes_of(p, wg__inputs(p->tape, node)[k]));
        if (block == WG__SPACE_NONE ||
            !wg__grow(s->heap, (void **)&p->temps, &p->cap_temps, p->n_temps + 1u, sizeof(int64_t)))
            return false;
        p->temps[p->n_temps++] = block;
    }
    return true;
}

static void give_temps(wg__planner *p, wg__space *s, uint32_t first)
{
    for (uint32_t i = first; i < p->n_temps; i++) {
        uint32_t block = (uint32_t)p->temps[i];
        p->temps[i] = s->blocks[block].offset;
        wg__space_give(s, block);
    }
}

static bool place_all(wg__planner *p, life *lives, wg__space *s)
{
    uint32_t *born = wg__plan_array(p->own, p->n_stages + 2u, sizeof *born); /* lists by stage */
    uint32_t *dying = wg__plan_array(p->own, p->n_stages + 2u, sizeof *dying);
    uint32_t *next_born = wg__plan_array(p->own, p->n, sizeof *next_born);
    if (!born || !dying || !next_born) return false;
    for (uint32_t id = p->n - 1; id > 0; id--) {
        if (!lives[id].first || p->slot[id]) continue;
        next_born[id] = born[lives[id].first];
        born[lives[id].first] = id;
        lives[id].next = dying[lives[id].last];
        dying[lives[id].last] = id;
    }
    for (uint32_t stage = 1, position = 0; stage <= p->n_stages; stage++) {
        uint32_t first_temp = p->n_temps;
        for (uint32_t id = born[stage]; id; id = next_born[id]) {
            lives[id].block = wg__space_take(s, wg__bytes_of(p, id));
            if (lives[id].block == WG__SPACE_NONE) return false;
            p->offset[id] = s->blocks[lives[id].block].offset;
        }
        for (; position < p->n_units && p->stage[p->sequence[position]] == stage; position++)
            if (!take_temps(p, s, &p->units[p->sequence[position]])) return false;
        give_temps(p, s, first_temp);
        for (uint32_t id = dying[stage]; id; id = lives[id].next) wg__space_give(s, lives[id].block);
    }
    return true;
}

bool wg__plan_place(wg__planner *p)
{
    wg__space s;
    wg__space_init(&s, &p->tape->heap, p->passes & WG__PASS_PLACE);
    life *lives = wg__plan_array(p->own, p->n, sizeof *lives);
    if (!lives) return false;
    for (uint32_t i = 0; i < p->n_units; i++) touch_unit(p, lives, p->sequence[i]);
    bool ok = place_outputs(p, lives, &s) && place_packs(p, &s) && place_all(p, lives, &s);
    p->plan->block_bytes = (size_t)s.end;
    wg__space_fini(&s);
    return ok;
}
