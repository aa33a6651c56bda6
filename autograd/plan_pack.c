/* Pass: weights packed once. The right operand of products, if it is a parameter or other data, is packed ahead for
 * all the products that share it. A parameter's packed form outlives the run: every plan that wants it shares it, and
 * it is packed again only when the parameter's version has risen. Exact. */
#include "plan.h"

#include <stdlib.h>

static int compare_keys(const wg__pack_key *a, const wg__pack_key *b)
{
    int by = wg__compare(a->at, b->at);
    if (!by) by = wg__compare(a->rs, b->rs);
    if (!by) by = wg__compare(a->cs, b->cs);
    if (!by) by = wg__compare(a->k, b->k);
    return by ? by : wg__compare(a->n, b->n);
}

/* ---- what is kept from run to run ---------------------------------------------------------------------------- */

/* The tape's packed form of a parameter, found or new; UINT32_MAX when memory is out. */
static uint32_t hold(wg_tape *tape, wg_param *param, const wg__pack *pack)
{
    uint32_t at = tape->n_held;
    for (uint32_t i = 0; i < tape->n_held; i++) {
        if (tape->held[i].param == param && !compare_keys(&tape->held[i].key, &pack->key)) {
            tape->held[i].plans++;
            return i;
        }
        if (!tape->held[i].plans) at = i;
    }
    if (!wg__grow(&tape->heap, (void **)&tape->held, &tape->cap_held, at + 1u, sizeof *tape->held))
        return UINT32_MAX;
    void *memory = wg__heap_alloc(&tape->heap, pack->bytes);
    if (!memory) return UINT32_MAX;
    tape->held[at] =
        (wg__held){.param = param, .key = pack->key, .memory = memory, .bytes = pack->bytes, .plans = 1};
    if (at == tape->n_held) tape->n_held++;
    return at;
}

void wg__held_release(wg_tape *tape, uint32_t index)
{
    wg__held *held = &tape->held[index];
    if (--held->plans) return;
    wg__heap_release(&tape->heap, held->memory, held->bytes);
    *held = (wg__held){0};
}

bool wg__held_is_fresh(const wg_tape *tape, uint32_t index)
{
    const wg__held *held = &tape->held[index];
    return held->packed && held->version == wg_param_version(held->param);
}

void wg__held_packed(wg_tape *tape, uint32_t index)
{
    wg__held *held = &tape->held[index];
    held->packed = true;
    held->version = wg_param_version(held->param);
}

/* ---- which operands ------------------------------------------------------------------------------------------ */

/* A single row, say, reads the right operand as it stands, whoever else shares it. */
bool wg__packs_b(const wg__planner *p, const wg__work *unit, wg__product *product, wg__segment *segment,
                 wg__pack *pack)
{
    bool one = unit->kind == WG__UNIT_PRODUCT && unit->count == 1 && !unit->accumulate;
    if (!one && unit->kind != WG__UNIT_ROWS) return false;
    const wg__node *node = &p->tape->nodes[p->members[unit->first]];
    uint32_t b = wg__inputs(p->tape, node)[1], root = p->root[b];
    if (wg__shape_of_node(p->tape, &p->tape->nodes[b])->rank != 2) return false;
    if (p->state[node - p->tape->nodes] & WG__ABSORBED) return false;
    if (!wg__is_source(p, root) || (p->state[root] & WG__CONSTANT)) return false;
    wg__product_describe(p, unit, product, segment);
    const wg__product_kernels *kernels = wg__structural_ops.product(product->dtype);
    if (!kernels->wants_packed(product)) return false;
    *pack = (wg__pack){.root = root,
                       .key = {wg__layout_of(p, b).offset, segment->b_rs, segment->b_cs, segment->k, product->n},
                       .bytes = kernels->packed_bytes(product)};
    return true;
}

int wg__compare_packs(const wg__pack *a, const wg__pack *b)
{
    int by = wg__compare(a->root, b->root);
    return by ? by : compare_keys(&a->key, &b->key);
}

/* Distinct operands are few (the weights of a model, twice); those of one root are found in a list. */
wg__pack *wg__pack_find(const wg__planner *p, const wg__work *unit)
{
    wg__product product;
    wg__segment segment;
    wg__pack wanted;
    if (!p->n_packs || !wg__packs_b(p, unit, &product, &segment, &wanted)) return NULL;
    for (uint32_t i = p->pack_at[wanted.root] - 1; i < p->n_packs && p->packs[i].root == wanted.root; i++)
        if (!wg__compare_packs(&p->packs[i], &wanted))
            return p->packs[i].where != WG__PACK_NOT ? &p->packs[i] : NULL;
    return NULL;
}

static int by_root(const void *x, const void *y)
{
    const wg__pack *a = x, *b = y;
    int by = wg__compare_packs(a, b);
    return by ? by : wg__compare(a->first_unit, b->first_unit);
}

/* Distinct operands by root, each with its number of users. */
static bool list_packs(wg__planner *p)
{
    uint32_t n = 0, kept = 0;
    wg__product product;
    wg__segment segment;
    for (uint32_t i = 0; i < p->n_units; i++)
        n += p->units[i].kind == WG__UNIT_PRODUCT || p->units[i].kind == WG__UNIT_ROWS;
    if (!n) return true;
    p->packs = wg__plan_array(p->arena, n, sizeof *p->packs);
    p->pack_at = wg__plan_array(p->arena, p->n, sizeof *p->pack_at);
    if (!p->packs || !p->pack_at) return false;
    n = 0;
    for (uint32_t i = 0; i < p->n_units; i++)
        if (wg__packs_b(p, &p->units[i], &product, &segment, &p->packs[n])) p->packs[n++].first_unit = i;
    qsort(p->packs, n, sizeof *p->packs, by_root);
    for (uint32_t i = 0; i < n; i++) {
        if (!kept || wg__compare_packs(&p->packs[kept - 1], &p->packs[i])) p->packs[kept++] = p->packs[i];
        p->packs[kept - 1].users++;
    }
    p->n_packs = kept;
    for (uint32_t i = kept; i-- > 0;) p->pack_at[p->packs[i].root] = i + 1;
    return true;
}

/* A step that trains changes the weight before it is read again: packing ahead pays if several products share it.
 * One that only evaluates will find it packed the next time. */
static void choose(const wg__planner *p, wg__pack *pack, bool trains)
{
    const wg__node *root = &p->tape->nodes[pack->root];
    bool held = !root->op && root->leaf == WG__LEAF_PARAM &&
                !wg_param_is_buffer(p->tape->leaves[root->slot].param); /* its leaf may keep an old value */
    if (pack->users < 2 && (!held || trains)) return;
    pack->where = held ? WG__PACK_HELD : WG__PACK_BLOCK;
}

uint32_t wg__slot_new(wg__plan *plan, wg__slot slot)
{
    plan->slots[plan->n_slots] = slot;
    return plan->n_slots++;
}

bool wg__plan_pack(wg__planner *p)
{
    wg_tape *tape = p->tape;
    wg__plan *plan = p->plan;
    if ((p->passes & WG__PASS_PACK) && !list_packs(p)) return false;
    uint64_t slots = (uint64_t)plan->n_outputs + tape->n_leaves + tape->n_values + p->n_packs + 1;
    plan->slots = wg__plan_array(&plan->memory, slots, sizeof *plan->slots);
    if (!plan->slots) return false;
    wg__slot_new(plan, (wg__slot){.kind = WG__SLOT_BLOCK});
    bool trains = false;
    for (uint32_t i = 0; i < plan->n_outputs; i++) trains |= plan->outputs[i].kind == WG__OUTPUT_GRAD;
    for (uint32_t i = 0; i < p->n_packs; i++) {
        wg__pack *pack = &p->packs[i];
        choose(p, pack, trains);
        if (pack->where != WG__PACK_HELD) continue;
        uint32_t held = hold(tape, tape->leaves[tape->nodes[pack->root].slot].param, pack);
        if (held == UINT32_MAX) return false;
        pack->slot = wg__slot_new(plan, (wg__slot){.kind = WG__SLOT_HELD, .index = held});
        plan->held_bytes += pack->bytes;
    }
    return true;
}
