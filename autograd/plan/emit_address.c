/* Addresses of operands, as slots and offsets that a run resolves; the list of instructions. */
#include "../base/fp.h"
#include "emit.h"

#include <string.h>

bool wg__emit_assigns(const wg__emit *e, uint32_t id)
{
    const wg__slot *slot = &e->plan->slots[e->p->places.slot[id]];
    return slot->kind == WG__SLOT_TARGET && e->plan->outputs[slot->index].kind == WG__OUTPUT_ASSIGN;
}

bool wg__emit_fix(wg__emit *e, void **where, uint32_t slot, int64_t offset)
{
    wg__heap *heap = &e->tape->heap;
    assert(where && slot < e->plan->n_slots);
    assert(slot || (offset >= 0 && (size_t)offset <= e->plan->block_bytes));
    if (!wg__grow(heap, (void **)&e->fixups, &e->cap_fixups, e->n_fixups + 1u, sizeof *e->fixups) ||
        !wg__grow(heap, (void **)&e->fixup_slots, &e->cap_fixup_slots, e->n_fixups + 1u, sizeof slot))
        return false;
    const wg__slot *of = &e->plan->slots[slot];
    if (of->kind == WG__SLOT_TARGET && e->now.stage != WG__NO_STAGE) e->last_use[of->index] = e->now.stage;
    e->fixup_slots[e->n_fixups] = slot;
    e->fixups[e->n_fixups++] = (wg__fixup){where, offset};
    return true;
}

/* A constant is in the plan's own memory. */
static void *constant(wg__emit *e, uint32_t id)
{
    const wg__fill_attr *attr = wg__attr_of(e->tape, wg__node_at(e->p, id));
    void *memory = wg__arena_alloc(&e->plan->memory, 128, 64);
    if (!memory) return NULL;
    assert(attr);
    const wg__fp caller = wg__fp_begin();
    e->tape->structural->from_f64(attr->dtype, attr->value, 1, memory);
    wg__fp_end(&caller);
    return memory;
}

/* A constant that a derivative rule recorded. Its leaf does not exist when the plan is reused, so the plan keeps a
 * copy. */
static void *derived_leaf(wg__emit *e, uint32_t id)
{
    const wg__node *node = wg__node_at(e->p, id);
    assert(!node->op && node->leaf == WG__LEAF_DATA);
    size_t bytes = (size_t)wg__size_of(e->tape, node);
    void *memory = wg__arena_alloc(&e->plan->memory, bytes + 64, 64);
    if (memory && bytes) memcpy(memory, e->tape->leaves[node->slot].data, bytes);
    return memory;
}

static uint32_t source_slot(wg__emit *e, uint32_t id)
{
    if (e->source_slot[id]) return e->source_slot[id];
    const wg__node *node = wg__node_at(e->p, id);
    wg__slot slot = {.kind = node->op ? WG__SLOT_VALUE : WG__SLOT_LEAF,
                     .index = node->op ? node->value : node->slot};
    assert(node->op ? node->value < e->tape->n_values : node->slot < e->tape->n_leaves);
    if (!node->op && node->leaf == WG__LEAF_PARAM) e->plan->params[e->plan->n_params++] = id;
    return e->source_slot[id] = wg__slot_new(e->plan, slot);
}

bool wg__emit_bind_at(wg__emit *e, void **where, uint32_t root, int64_t at)
{
    const wg__planner *p = e->p;
    int64_t size = wg__element_of(p, root), shift;
    uint32_t owner = wg__owner_of(p, root, &shift);
    return wg__emit_fix(e, where, p->places.slot[owner], p->places.offset[owner] + (at + shift) * size);
}

bool wg__emit_bind(wg__emit *e, void **where, uint32_t id)
{
    const wg__planner *p = e->p;
    assert(id && id < p->n && p->storage.root[id]);
    const wg_layout *view = p->storage.view[id];
    uint32_t root = p->storage.root[id];
    int64_t size = wg__element_of(p, id);
    if (p->flags[root] & WG__CONSTANT) return (*where = constant(e, root)) != NULL;
    int64_t at =
        view && wg__numel_of(e->tape, wg__node_at(p, id)) ? view->offset : 0; /* an empty view may point past */
    if (wg__is_source(p, root) && root >= p->n_forward) {
        char *memory = derived_leaf(e, root);
        *where = memory ? memory + at * size : NULL;
        return memory != NULL;
    }
    if (wg__is_source(p, root)) return wg__emit_fix(e, where, source_slot(e, root), at * size);
    return wg__emit_bind_at(e, where, root, at);
}

bool wg__emit_instr(wg__emit *e, wg__instr instr)
{
    wg__heap *heap = &e->tape->heap;
    assert(instr.node && instr.node < e->p->n);
    if (instr.tasks <= 0) return true;
    if (instr.scratch > SIZE_MAX / 4) return false; /* out of memory */
    if (instr.tasks > INT32_MAX) {
        const wg__node *node = wg__node_at(e->p, instr.node);
        wg__tape_error(e->tape, WG_ERR_MEMORY, "%s: out of memory: %lld tasks, at most 2^31 - 1",
                       node->op ? wg__op_of(e->tape, node)->name : "leaf", (long long)instr.tasks);
        return false;
    }
    if (instr.scratch > e->plan->scratch_bytes) e->plan->scratch_bytes = instr.scratch;
    if (!wg__grow(heap, (void **)&e->instrs, &e->cap_instrs, e->n_instrs + 1u, sizeof instr) ||
        !wg__grow(heap, (void **)&e->tags, &e->cap_tags, e->n_instrs + 1u, sizeof *e->tags))
        return false;
    e->tags[e->n_instrs] = e->now;
    e->tags[e->n_instrs].instr = e->n_instrs;
    e->instrs[e->n_instrs++] = instr;
    return true;
}
