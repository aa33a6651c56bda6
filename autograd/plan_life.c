/* When values live, in stages, and who reads them last. */
#include "plan_life.h"

static wg__life *touch(wg__planner *p, wg__life *lives, uint32_t node, uint32_t stage)
{
    int64_t shift;
    uint32_t root = p->root[node];
    if (!root) return NULL;
    wg__life *l = &lives[wg__owner_of(p, root, &shift)];
    if (!l->first && !wg__is_source(p, root)) l->first = stage;
    l->last = stage;
    return l;
}

static void touch_operand(wg__planner *p, wg__life *lives, uint32_t node, uint32_t unit, uint32_t member)
{
    uint32_t stage = p->stage[unit];
    wg__life *l = touch(p, lives, node, stage);
    if (!l) return;
    if (l->read != stage)
        *l = (wg__life){.first = l->first, .last = stage, .read = stage, .reader = unit + 1, .whole = true};
    if (l->reader != unit + 1) l->reader = WG__SEVERAL;
    l->member = member;
    l->whole &= l == &lives[node];
}

static void touch_unit(wg__planner *p, wg__life *lives, uint32_t id)
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

wg__life *wg__lives_of(wg__planner *p)
{
    wg__life *lives = wg__plan_array(p->own, p->n, sizeof *lives);
    for (uint32_t i = 0; lives && i < p->n_units; i++) touch_unit(p, lives, p->sequence[i]);
    return lives;
}
