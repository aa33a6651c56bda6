/* Pass pack: the right operand of products, if it is a parameter or other data, is packed once for all products that
 * share it. The packed form of a parameter is cached: it is shared by all plans and packed again only after the
 * parameter's version has changed. Exact. */
#include "planner.h"

#include <stdlib.h>

static int by_matrix(const void *x, const void *y)
{
    const wg__pack *a = x, *b = y;
    int order = wg__compare_packs(a, b);
    return order ? order : wg__compare(a->first_unit, b->first_unit);
}

/* Lists the distinct operands, sorted by root, with the number of their users. There are few: the weights of a model,
 * each perhaps twice. */
static bool list_packs(wg__planner *p)
{
    uint32_t n = 1, kept = 0;
    wg__product product;
    wg__segment segment;
    for (uint32_t i = 1; i < p->units.n; i++)
        n += p->units.list[i].kind == WG__UNIT_PRODUCT || p->units.list[i].kind == WG__UNIT_PRODUCTS;
    if (n == 1) return true;
    wg__pack *list = p->packs.list = wg__arena_array(p->arena, n, sizeof *list);
    p->packs.first = wg__arena_array(p->arena, p->n, sizeof *p->packs.first);
    if (!list || !p->packs.first) return false;
    n = 1;
    for (uint32_t i = 1; i < p->units.n; i++)
        if (wg__packs_b(p, &p->units.list[i], &product, &segment, &list[n])) list[n++].first_unit = i;
    qsort(list + 1, n - 1, sizeof *list, by_matrix);
    for (uint32_t i = 1; i < n; i++) {
        if (!kept || wg__compare_packs(&list[kept], &list[i])) list[++kept] = list[i];
        list[kept].users++;
    }
    assert(kept < n);
    p->packs.n = kept + 1;
    for (uint32_t i = kept; i > 0; i--) p->packs.first[list[i].root] = i;
    return true;
}

/* A step that trains changes the weight before it is read again, so packing pays only if several products share it. A
 * step that only evaluates finds a parameter packed the next time, unless it is in bf16, to save memory, and its panels
 * in f32. */
static void choose(const wg__planner *p, wg__pack *pack, bool trains)
{
    const bool wider = wg__is_bf16(p, pack->root) && !(p->passes & WG__PASS_BF16) && !pack->key.int8;
    const bool cached = wg__is_weight(p, pack->root) && !wider;
    if (pack->users < 2 && (!cached || trains)) return;
    pack->where = cached ? WG__PACK_CACHED : WG__PACK_BLOCK;
}

static bool make_slots(wg__planner *p)
{
    wg__plan *plan = p->plan;
    uint64_t most = (uint64_t)plan->n_outputs + p->tape->n_leaves + p->tape->n_values + p->packs.n + 1;
    assert(most <= UINT32_MAX);
    plan->slots = wg__arena_array(&plan->memory, most, sizeof *plan->slots);
    plan->cap_slots = (uint32_t)most;
    assert(plan->n_slots == 0); /* slot 0 is the block */
    if (plan->slots) wg__slot_new(plan, (wg__slot){.kind = WG__SLOT_BLOCK});
    return plan->slots != NULL;
}

bool wg__plan_pack(wg__planner *p)
{
    wg__plan *plan = p->plan;
    if ((p->passes & WG__PASS_PACK) && !list_packs(p)) return false;
    if (!make_slots(p)) return false;
    bool trains = false;
    for (uint32_t i = 0; i < plan->n_outputs; i++) trains |= plan->outputs[i].kind == WG__OUTPUT_GRAD;
    for (uint32_t i = 1; i < p->packs.n; i++) {
        wg__pack *pack = &p->packs.list[i];
        choose(p, pack, trains);
        if (pack->where != WG__PACK_CACHED) continue;
        wg_param *param = p->tape->leaves[wg__node_at(p, pack->root)->slot].param;
        uint32_t packed = wg__packed_acquire(p->tape, param, &pack->key, pack->bytes);
        if (!packed) return false;
        assert(param && p->tape->cache->packed[packed].param_id == wg__param_id(param));
        pack->slot = wg__slot_new(plan, (wg__slot){.kind = WG__SLOT_PACKED, .index = packed});
        plan->packed_bytes += pack->bytes;
    }
    return true;
}
