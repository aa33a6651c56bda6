/* Binding: allocates the memory of a run and resolves the addresses of a plan. A bound run cannot run out of memory. */
#include "run.h"

wg_param *wg__trained(const wg_tape *tape, const wg__output *output)
{
    assert(output->kind == WG__OUTPUT_GRAD && tape->nodes[output->target].leaf == WG__LEAF_PARAM);
    return tape->leaves[tape->nodes[output->target].slot].param;
}

wg__leaf *wg__current_leaf(wg_tape *tape, const wg_buffer *buffer)
{
    uint32_t id = wg__param_node(tape, wg__param_id(buffer));
    wg__leaf *leaf = id ? &tape->leaves[tape->nodes[id].slot] : NULL;
    return leaf && leaf->state == WG__LEAF_CURRENT ? leaf : NULL;
}

/* Whether the buffer's value is still needed after the run has assigned another. */
static bool needs_past(wg_tape *tape, const wg_buffer *buffer)
{
    const wg__leaf *leaf = wg__current_leaf(tape, buffer);
    return leaf && leaf->recorded && leaf->version == wg_param_version(leaf->param);
}

/* Whether the old contents of an output's target are needed until the run has succeeded. */
static bool is_staged(wg_tape *tape, const wg__output *output)
{
    return output->kind == WG__OUTPUT_GRAD ? !wg__param_grad_empty(wg__trained(tape, output))
                                           : needs_past(tape, tape->assigns[output->target].buffer);
}

size_t wg__staging_bytes(wg_tape *tape, const wg__plan *plan)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < plan->n_slots; i++) {
        if (plan->slots[i].kind != WG__SLOT_TARGET) continue;
        const wg__output *output = &plan->outputs[plan->slots[i].index];
        if (is_staged(tape, output)) bytes += wg__room_for(output->bytes);
    }
    return bytes;
}

static void *target_of(const wg_tape *tape, const wg__output *output)
{
    return output->kind == WG__OUTPUT_GRAD ? wg__param_grad_data(wg__trained(tape, output))
                                           : wg__param_data(tape->assigns[output->target].buffer);
}

static void *target_base(wg_tape *tape, const wg__output *output, size_t *staged)
{
    if (!is_staged(tape, output)) return target_of(tape, output);
    void *memory = (char *)tape->run->staging + *staged;
    *staged += wg__room_for(output->bytes);
    return memory;
}

static void *slot_base(wg_tape *tape, wg__plan *plan, wg__slot *slot, size_t *staged)
{
    switch (slot->kind) {
    case WG__SLOT_BLOCK: assert(plan->block_bytes <= tape->run->block_bytes); return tape->run->block;
    case WG__SLOT_LEAF: assert(slot->index < tape->n_leaves); return tape->leaves[slot->index].data;
    case WG__SLOT_VALUE: assert(slot->index < tape->n_values); return tape->values[slot->index];
    case WG__SLOT_PACKED:
        assert(tape->cache->packed[slot->index].plans > 0);
        return tape->cache->packed[slot->index].memory;
    case WG__SLOT_OUTPUT: return wg__arena_alloc(&tape->results, plan->outputs[slot->index].bytes + 64, 64);
    case WG__SLOT_TARGET: return target_base(tape, &plan->outputs[slot->index], staged);
    }
    return NULL;
}

/* Resolves the addresses. Slots whose base has not changed since the last run are skipped. */
static bool bind(wg_tape *tape, wg__plan *plan)
{
    size_t staged = 0;
    for (uint32_t s = 0; s < plan->n_slots; s++) {
        wg__slot *slot = &plan->slots[s];
        char *base = slot_base(tape, plan, slot, &staged);
        if (!base && (slot->kind == WG__SLOT_OUTPUT || (slot->kind == WG__SLOT_BLOCK && plan->block_bytes)))
            return false;
        if (plan->bound && base == slot->base) continue;
        assert(slot->first_fixup + slot->n_fixups <= plan->n_fixups);
        slot->base = base;
        for (uint32_t i = 0; i < slot->n_fixups; i++) {
            const wg__fixup *fixup = &plan->fixups[slot->first_fixup + i];
            *fixup->where = (void *)((uintptr_t)base + (uintptr_t)fixup->offset);
        }
    }
    assert(plan->slots[0].kind == WG__SLOT_BLOCK && staged <= tape->run->staging_bytes);
    plan->bound = true;
    return true;
}

/* Memory for the old values of buffers that are about to be assigned. */
static bool reserve_past(wg_tape *tape, const wg__plan *plan)
{
    for (uint32_t i = 0; i < plan->n_outputs; i++) {
        const wg__output *output = &plan->outputs[i];
        if (output->kind != WG__OUTPUT_ASSIGN) continue;
        wg__assign *assign = &tape->assigns[output->target];
        assign->before = NULL;
        if (!needs_past(tape, assign->buffer)) continue;
        assign->before = wg__arena_alloc(&tape->data, output->bytes + 64, 64);
        if (!assign->before) return false;
    }
    return true;
}

/* Whole pages, so that threads share none, and at least one: kernels may add to an address, which NULL has not. */
size_t wg__thread_scratch(const wg__plan *plan) { return (plan->scratch_bytes / 4096 + 1) * 4096; }

/* Memory of at least `need` bytes; its contents are lost. */
static bool make_room(wg__heap *heap, void **memory, size_t *bytes, size_t need)
{
    if (need <= *bytes) return true;
    wg__heap_release(heap, *memory, *bytes);
    *bytes = 0;
    *memory = wg__heap_alloc(heap, need);
    if (*memory) *bytes = need;
    return *memory != NULL;
}

static bool reserve(wg_tape *tape, const wg__plan *plan, int threads)
{
    wg__heap *heap = &tape->heap;
    wg__run_state *run = tape->run;
    size_t scratch;
    if (__builtin_mul_overflow(wg__thread_scratch(plan), (size_t)threads, &scratch) ||
        !make_room(heap, &run->block, &run->block_bytes, plan->block_bytes) ||
        !make_room(heap, &run->scratch, &run->scratch_bytes, scratch) ||
        !make_room(heap, &run->staging, &run->staging_bytes, wg__staging_bytes(tape, plan)))
        return false;
    if (!wg__grow(&tape->heap, (void **)&tape->values, &tape->cap_values,
                  (uint64_t)tape->n_values + plan->n_outputs, sizeof(void *)))
        return false;
    return reserve_past(tape, plan);
}

bool wg__run_bind(wg_tape *tape, wg__plan *plan, int threads)
{
    return reserve(tape, plan, threads) && bind(tape, plan);
}

size_t wg__plan_bytes(const wg__plan *plan) { return plan->block_bytes + plan->output_bytes + plan->packed_bytes; }
