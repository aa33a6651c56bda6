/* Pass emit: every unit becomes a call of a kernel with its operands. Decides nothing that changes a number. */
#include "emit.h"

#include <string.h>

/* ---- operands ------------------------------------------------------------------------------------------------ */

static void describe(wg__emit *e, wg_operand *operand, uint32_t id, const wg_layout *layout)
{
    const wg__node *node = wg__node_at(e->p, id);
    const wg_shape *shape = wg__shape_of_node(e->tape, node);
    *operand =
        (wg_operand){.rank = shape->rank, .dtype = (wg_dtype)node->dtype, .numel = wg__numel_of(e->tape, node)};
    if (wg__is_narrow(e->p, id)) operand->dtype = WG_BF16;
    memcpy(operand->size, shape->size, sizeof operand->size);
    memcpy(operand->stride, layout->stride, sizeof operand->stride);
}

static bool operand_of(wg__emit *e, wg_operand *operand, uint32_t id)
{
    wg_layout layout = wg__layout_of(e->p, id);
    describe(e, operand, id, &layout);
    return wg__emit_bind(e, &operand->data, id);
}

static bool finish_kernel(wg__emit *e, uint32_t node, const wg_op *op, wg_args *args)
{
    wg_dtype few[64], *dtypes = few;
    if (args->n_in > 64 && !(dtypes = wg__arena_array(e->p->scratch, (uint64_t)args->n_in, sizeof *dtypes)))
        return false;
    for (int i = 0; i < args->n_in; i++) dtypes[i] = args->in[i].dtype;
    wg_kernel kernel = op->select(op, dtypes, args->n_in, args->out.dtype);
    assert(kernel); /* recording checked that there is one */
    wg__instr instr = {.kind = WG__INSTR_KERNEL, .node = node, .kernel = kernel, .args = args};
    instr.assigns = (op->flags & WG_OP_UPDATES) && wg__emit_assigns(e, node);
    bool idle = args->out.numel == 0 && !(op->flags & WG_OP_CHECKS_INDEX);
    instr.tasks = idle ? 0 : op->tasks ? op->tasks(args) : 1;
    if (args->out.numel > 0 && instr.tasks < 1) {
        wg__tape_error(e->p->tape, WG_ERR_ARGUMENT, "%s: its function tasks gives %lld: must be 1 or more",
                       op->name, (long long)instr.tasks);
        return false;
    }
    instr.scratch = op->scratch && instr.tasks > 0 ? op->scratch(args) : 0;
    return wg__emit_instr(e, instr);
}

static wg_args *args_new(wg__emit *e, const wg_op *op, uint32_t id, uint32_t n_in)
{
    wg_args *args = wg__arena_array(&e->plan->memory, 1, sizeof *args);
    wg_operand *in = wg__arena_array(&e->plan->memory, n_in, sizeof *in);
    if (!args || !in) return NULL;
    const wg__node *node = wg__node_at(e->p, id);
    *args = (wg_args){.op = op,
                      .in = in,
                      .n_in = (int)n_in,
                      .node = id,
                      .key = node->key,
                      .bf16 = e->tape->passes & WG__PASS_BF16};
    return args;
}

/* A contiguous copy of node `id`. The caller binds the address of its result. */
static wg_args *emit_copy(wg__emit *e, uint32_t id)
{
    wg_args *args = args_new(e, e->tape->structural->copy, id, 1);
    if (!args || !operand_of(e, (wg_operand *)(uintptr_t)&args->in[0], id)) return NULL;
    wg_layout contiguous = wg__contiguous_layout(wg__shape_at(e->p, id));
    describe(e, &args->out, id, &contiguous);
    return finish_kernel(e, id, e->tape->structural->copy, args) ? args : NULL;
}

static const void *attr_copy(wg__emit *e, const wg__node *node)
{
    const void *attr = wg__attr_of(e->tape, node);
    if (!attr) return NULL;
    uint32_t size = e->tape->interned.attr_sizes[node->attr];
    void *copy = wg__arena_alloc(&e->plan->memory, size, 16);
    if (copy) memcpy(copy, attr, size);
    return copy;
}

static bool emit_kernel(wg__emit *e, const wg__unit *unit)
{
    const wg__planner *p = e->p;
    const wg__node *node = wg__node_at(p, unit->node);
    const wg_op *op = wg__op_of(e->tape, node);
    const uint32_t *in = wg__inputs(e->tape, node);
    wg_args *args = args_new(e, op, unit->node, node->n_in);
    if (!args || !operand_of(e, &args->out, unit->node)) return false;
    args->attr = attr_copy(e, node);
    if (node->attr && !args->attr) return false;
    uint32_t first_copy = e->next_copy;
    for (uint32_t k = 0; k < node->n_in; k++) {
        wg_operand *operand = (wg_operand *)(uintptr_t)&args->in[k];
        if (!in[k]) {
            operand->rank = -1;
        } else if (!wg__needs_copy(p, unit->node, k)) {
            if (!operand_of(e, operand, in[k])) return false;
        } else {
            int64_t offset = p->places.copies[e->next_copy++];
            wg_args *copy = emit_copy(e, in[k]);
            wg_layout contiguous = wg__contiguous_layout(wg__shape_at(p, in[k]));
            describe(e, operand, in[k], &contiguous);
            if (!copy || !wg__emit_fix(e, &copy->out.data, 0, offset) ||
                !wg__emit_fix(e, &operand->data, 0, offset))
                return false;
        }
    }
    e->now.step = e->next_copy > first_copy; /* after the copies */
    return finish_kernel(e, unit->node, op, args);
}

/* Copies the pieces of a concatenation that are not written in place. */
static bool emit_concat(wg__emit *e, const wg__unit *unit)
{
    const wg__planner *p = e->p;
    const wg__node *node = wg__node_at(p, unit->node);
    const wg__concat_attr *attr = wg__attr_of(e->tape, node);
    const uint32_t *in = wg__inputs(e->tape, node);
    wg_layout whole = wg__layout_of(p, unit->node);
    whole.offset = 0;
    int64_t at = 0;
    assert(attr);
    for (uint32_t k = 0; k < node->n_in; k++) {
        wg_layout piece = whole;
        piece.offset = at * whole.stride[attr->axis];
        at += wg__shape_at(p, in[k])->size[attr->axis];
        if (!wg__piece_is_in_place(p, in[k], unit->node, piece.offset) &&
            !wg__emit_move(e, in[k], unit->node, &piece))
            return false;
    }
    return true;
}

/* ---- copies -------------------------------------------------------------------------------------------------- */

static bool emit_view_copy(wg__emit *e, const wg__unit *unit)
{
    wg_args *args = emit_copy(e, wg__inputs(e->tape, wg__node_at(e->p, unit->node))[0]);
    return args && wg__emit_bind_at(e, &args->out.data, unit->node, 0);
}

static bool bind_stored(wg__emit *e, void **where, uint32_t output)
{
    return wg__emit_fix(e, where, e->p->places.output_slot[output], e->p->places.output_offset[output]);
}

static bool emit_store(wg__emit *e, const wg__unit *unit)
{
    wg_args *args = emit_copy(e, e->plan->outputs[unit->node].node);
    return args && bind_stored(e, &args->out.data, unit->node);
}

/* The addresses where a run leaves the outputs. The end of a run reads an address that two of them share. */
static bool bind_outputs(wg__emit *e)
{
    for (uint32_t i = 0; i < e->plan->n_outputs; i++) {
        wg__output *output = &e->plan->outputs[i];
        bool direct = wg__output_is_direct(e->p, output);
        if (!(direct ? wg__emit_bind(e, &output->memory, output->node) : bind_stored(e, &output->memory, i)))
            return false;
        const wg__slot *slot = direct ? &e->plan->slots[e->p->places.slot[output->node]] : NULL;
        if (slot && slot->kind == WG__SLOT_TARGET && slot->index != i) e->last_use[slot->index] = WG__NO_STAGE;
    }
    return true;
}

static bool emit_unit(wg__emit *e, uint32_t id)
{
    const wg__unit *unit = &e->p->units.list[id];
    switch (unit->kind) {
    case WG__UNIT_KERNEL: return emit_kernel(e, unit);
    case WG__UNIT_CHAIN: return wg__emit_chain(e, id);
    case WG__UNIT_PRODUCT:
    case WG__UNIT_PRODUCTS: return wg__emit_product(e, unit);
    case WG__UNIT_COPY: return emit_view_copy(e, unit);
    case WG__UNIT_CONCAT: return emit_concat(e, unit);
    case WG__UNIT_STORE: return emit_store(e, unit);
    }
    return false;
}

/* ---- the pass ------------------------------------------------------------------------------------------------ */

static bool emit_all(wg__emit *e)
{
    const wg__planner *p = e->p;
    e->source_slot = wg__arena_array(p->scratch, p->n, sizeof *e->source_slot);
    e->at = wg__arena_array(p->scratch, p->n, sizeof *e->at);
    e->last_use = wg__arena_array(p->scratch, e->plan->n_outputs, sizeof *e->last_use);
    e->plan->params = wg__arena_array(&e->plan->memory, p->tape->n_leaves, sizeof *e->plan->params);
    if (!e->source_slot || !e->at || !e->last_use || !e->plan->params || !wg__emit_packs(e)) return false;
    for (uint32_t i = 0; i < e->plan->n_outputs; i++) e->last_use[i] = WG__NO_STAGE;
    for (uint32_t i = 0; i < p->schedule.n; i++) {
        const uint32_t unit = p->schedule.sequence[i];
        e->now = (wg__tag){.stage = p->schedule.stage[unit], .serial = p->schedule.serial[unit]};
        if (!emit_unit(e, unit)) return false;
    }
    e->now.stage = WG__NO_STAGE;
    return bind_outputs(e) && wg__emit_finish(e);
}

bool wg__plan_emit(wg__planner *p)
{
    wg__emit e = {.p = p, .plan = p->plan, .tape = p->tape};
    wg__heap *heap = &p->tape->heap;
    bool ok = emit_all(&e);
    wg__heap_release(heap, e.fixups, e.cap_fixups * sizeof *e.fixups);
    wg__heap_release(heap, e.fixup_slots, e.cap_fixup_slots * sizeof *e.fixup_slots);
    wg__heap_release(heap, e.instrs, e.cap_instrs * sizeof *e.instrs);
    wg__heap_release(heap, e.tags, e.cap_tags * sizeof *e.tags);
    return ok;
}
