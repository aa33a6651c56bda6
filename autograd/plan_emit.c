/* Pass: instructions. Every unit becomes a call of a kernel with operands, whose addresses are bound when a run
 * begins. Nothing is decided here that changes a number. */
#include "plan_emit.h"

#include <stdlib.h>
#include <string.h>

/* ---- addresses ----------------------------------------------------------------------------------------------- */

bool wg__emit_fix(wg__emit *e, void **where, uint32_t slot, int64_t offset)
{
    wg__heap *heap = &e->tape->heap;
    if (!wg__grow(heap, (void **)&e->fixups, &e->cap_fixups, e->n_fixups + 1u, sizeof *e->fixups) ||
        !wg__grow(heap, (void **)&e->fixup_slots, &e->cap_fixup_slots, e->n_fixups + 1u, sizeof slot))
        return false;
    e->fixup_slots[e->n_fixups] = slot;
    e->fixups[e->n_fixups++] = (wg__fixup){where, offset};
    return true;
}

/* A constant stands in the plan's own memory. */
static void *constant(wg__emit *e, uint32_t id)
{
    const wg__fill_attr *attr = wg__attr_of(e->tape, &e->tape->nodes[id]);
    void *memory = wg__arena_alloc(&e->plan->memory, 128, 64);
    if (memory) wg__structural_ops.from_f64(attr->dtype, attr->value, 1, memory);
    return memory;
}

/* A number that a derivative rule recorded: its leaf is gone when the plan is used again, so the plan keeps it. */
static void *derived_leaf(wg__emit *e, uint32_t id)
{
    const wg__node *node = &e->tape->nodes[id];
    size_t bytes = (size_t)e->tape->shapes[node->shape].numel * wg_dtype_size((wg_dtype)node->dtype);
    void *memory = wg__arena_alloc(&e->plan->memory, bytes + 64, 64);
    if (memory && bytes) memcpy(memory, e->tape->leaves[node->slot].data, bytes);
    return memory;
}

static uint32_t source_slot(wg__emit *e, uint32_t id)
{
    if (e->leaf_slot[id]) return e->leaf_slot[id] - 1;
    const wg__node *node = &e->tape->nodes[id];
    wg__slot slot = {.kind = node->op ? WG__SLOT_VALUE : WG__SLOT_LEAF,
                     .index = node->op ? node->value : node->slot};
    e->plan->slots[e->plan->n_slots] = slot;
    e->leaf_slot[id] = ++e->plan->n_slots;
    if (!node->op && node->leaf == WG__LEAF_PARAM) e->plan->params[e->plan->n_params++] = id;
    return e->leaf_slot[id] - 1;
}

bool wg__emit_fix_in(wg__emit *e, void **where, uint32_t root, int64_t at)
{
    const wg__planner *p = e->p;
    int64_t size = (int64_t)wg_dtype_size((wg_dtype)e->tape->nodes[root].dtype), shift;
    uint32_t owner = wg__owner_of(p, root, &shift);
    uint32_t slot = p->slot[owner] ? p->slot[owner] - 1 : 0;
    return wg__emit_fix(e, where, slot, p->offset[owner] + (at + shift) * size);
}

bool wg__emit_bind(wg__emit *e, void **where, uint32_t id)
{
    const wg__planner *p = e->p;
    uint32_t root = p->root[id];
    int64_t size = (int64_t)wg_dtype_size((wg_dtype)e->tape->nodes[id].dtype);
    if (p->state[root] & WG__CONSTANT) return (*where = constant(e, root)) != NULL;
    int64_t at = p->view[id] ? p->view[id]->offset : 0;
    if (wg__is_source(p, root) && root >= e->plan->n_nodes) {
        char *memory = derived_leaf(e, root);
        *where = memory ? memory + at * size : NULL;
        return memory != NULL;
    }
    if (wg__is_source(p, root)) return wg__emit_fix(e, where, source_slot(e, root), at * size);
    return wg__emit_fix_in(e, where, root, at);
}

/* ---- operands ------------------------------------------------------------------------------------------------ */

static void describe(wg__emit *e, wg_operand *operand, uint32_t id, const wg_layout *layout)
{
    const wg__node *node = &e->tape->nodes[id];
    const wg_shape *shape = wg__shape_of_node(e->tape, node);
    *operand = (wg_operand){
        .rank = shape->rank, .dtype = (wg_dtype)node->dtype, .numel = e->tape->shapes[node->shape].numel};
    memcpy(operand->size, shape->size, sizeof operand->size);
    memcpy(operand->stride, layout->stride, sizeof operand->stride);
}

static bool operand_of(wg__emit *e, wg_operand *operand, uint32_t id)
{
    wg_layout layout = wg__layout_of(e->p, id);
    describe(e, operand, id, &layout);
    return wg__emit_bind(e, &operand->data, id);
}

bool wg__emit_finish(wg__emit *e, wg__instr instr)
{
    wg__heap *heap = &e->tape->heap;
    if (instr.tasks <= 0) return true;
    if (instr.scratch > e->plan->scratch_bytes) e->plan->scratch_bytes = instr.scratch;
    if (!wg__grow(heap, (void **)&e->instrs, &e->cap_instrs, e->n_instrs + 1u, sizeof instr) ||
        !wg__grow(heap, (void **)&e->tags, &e->cap_tags, e->n_instrs + 1u, sizeof *e->tags))
        return false;
    e->tags[e->n_instrs] = e->now;
    e->tags[e->n_instrs].instr = e->n_instrs;
    e->instrs[e->n_instrs++] = instr;
    return true;
}

static bool finish_kernel(wg__emit *e, uint32_t node, const wg_op *op, wg_args *args)
{
    wg_dtype few[64], *dtypes = few;
    if (args->n_in > 64 && !(dtypes = wg__plan_array(e->p->own, (uint64_t)args->n_in, sizeof *dtypes)))
        return false;
    for (int i = 0; i < args->n_in; i++) dtypes[i] = args->in[i].dtype;
    wg_kernel kernel = op->select(op, dtypes, args->n_in, args->out.dtype);
    wg__instr instr = {.kind = WG__INSTR_KERNEL, .node = node, .kernel = kernel, .args = args};
    bool idle = args->out.numel == 0 && !(op->flags & WG_OP_CHECKS_INDEX);
    instr.tasks = idle ? 0 : op->tasks ? op->tasks(args) : 1;
    instr.scratch = op->scratch ? op->scratch(args) : 0;
    return wg__emit_finish(e, instr);
}

static wg_args *args_new(wg__emit *e, const wg_op *op, uint32_t id, uint32_t n_in)
{
    wg_args *args = wg__plan_array(&e->plan->memory, 1, sizeof *args);
    wg_operand *in = wg__plan_array(&e->plan->memory, n_in, sizeof *in);
    if (!args || !in) return NULL;
    const wg__node *node = &e->tape->nodes[id];
    *args = (wg_args){.op = op, .in = in, .n_in = (int)n_in, .node = id, .key = node->key};
    return args;
}

/* A dense copy of node `id`; where it goes is bound by the caller through *out. */
static wg_args *emit_copy(wg__emit *e, uint32_t id)
{
    wg_args *args = args_new(e, wg__structural_ops.copy, id, 1);
    if (!args || !operand_of(e, (wg_operand *)(uintptr_t)&args->in[0], id)) return NULL;
    wg_layout dense = wg__dense_layout(wg__shape_of_node(e->tape, &e->tape->nodes[id]));
    describe(e, &args->out, id, &dense);
    return finish_kernel(e, id, wg__structural_ops.copy, args) ? args : NULL;
}

static const void *attr_copy(wg__emit *e, const wg__node *node)
{
    if (!node->attr) return NULL;
    uint32_t size = e->tape->attr_sizes[node->attr];
    void *copy = wg__arena_alloc(&e->plan->memory, size, 16);
    if (copy) memcpy(copy, wg__attr_of(e->tape, node), size);
    return copy;
}

static bool emit_node(wg__emit *e, const wg__work *unit)
{
    const wg__planner *p = e->p;
    const wg__node *node = &e->tape->nodes[unit->node];
    const wg_op *op = e->tape->ops[node->op];
    const uint32_t *in = wg__inputs(e->tape, node);
    wg_args *args = args_new(e, op, unit->node, node->n_in);
    if (!args || !operand_of(e, &args->out, unit->node)) return false;
    args->attr = attr_copy(e, node);
    if (node->attr && !args->attr) return false;
    uint32_t first_temp = e->next_temp;
    for (uint32_t k = 0; k < node->n_in; k++) {
        wg_operand *operand = (wg_operand *)(uintptr_t)&args->in[k];
        if (!in[k]) {
            operand->rank = -1;
        } else if (!wg__needs_copy(p, unit->node, k)) {
            if (!operand_of(e, operand, in[k])) return false;
        } else {
            int64_t temp = p->temps[e->next_temp++];
            wg_args *copy = emit_copy(e, in[k]);
            wg_layout dense = wg__dense_layout(wg__shape_of_node(e->tape, &e->tape->nodes[in[k]]));
            describe(e, operand, in[k], &dense);
            if (!copy || !wg__emit_fix(e, &copy->out.data, 0, temp) || !wg__emit_fix(e, &operand->data, 0, temp))
                return false;
        }
    }
    e->now.step = e->next_temp > first_temp; /* after the copies */
    return finish_kernel(e, unit->node, op, args);
}

/* ---- concatenations: the pieces that are not written in place ---- */

static bool emit_join(wg__emit *e, const wg__work *unit)
{
    const wg__planner *p = e->p;
    const wg__node *node = &e->tape->nodes[unit->node];
    const wg__concat_attr *attr = wg__attr_of(e->tape, node);
    const uint32_t *in = wg__inputs(e->tape, node);
    wg_layout whole = wg__layout_of(p, unit->node);
    whole.offset = 0;
    int64_t at = 0;
    for (uint32_t k = 0; k < node->n_in; k++) {
        wg_layout piece = whole;
        piece.offset = at * whole.stride[attr->axis];
        at += wg__shape_of_node(e->tape, &e->tape->nodes[in[k]])->size[attr->axis];
        if (!wg__lies_at(p, in[k], unit->node, piece.offset) && !wg__emit_move(e, in[k], unit->node, &piece))
            return false;
    }
    return true;
}

/* ---- copies -------------------------------------------------------------------------------------------------- */

static bool emit_view_copy(wg__emit *e, const wg__work *unit)
{
    wg_args *args = emit_copy(e, wg__inputs(e->tape, &e->tape->nodes[unit->node])[0]);
    return args && wg__emit_fix_in(e, &args->out.data, unit->node, 0);
}

static bool bind_stored(wg__emit *e, void **where, uint32_t output)
{
    return wg__emit_fix(e, where, e->p->stored_in[output], e->p->stored_at[output]);
}

static bool emit_store(wg__emit *e, const wg__work *unit)
{
    wg_args *args = emit_copy(e, e->plan->outputs[unit->node].node);
    return args && bind_stored(e, &args->out.data, unit->node);
}

/* Where a run will find each output. */
static bool bind_outputs(wg__emit *e)
{
    for (uint32_t i = 0; i < e->plan->n_outputs; i++) {
        wg__output *output = &e->plan->outputs[i];
        bool plain = wg__output_is_plain(e->p, output);
        if (!(plain ? wg__emit_bind(e, &output->memory, output->node) : bind_stored(e, &output->memory, i)))
            return false;
    }
    return true;
}

/* ---- the pass ------------------------------------------------------------------------------------------------ */

static bool emit_unit(wg__emit *e, uint32_t id)
{
    const wg__work *unit = &e->p->units[id];
    switch (unit->kind) {
    case WG__UNIT_NODE: return emit_node(e, unit);
    case WG__UNIT_CHAIN: return wg__emit_chain(e, unit, id);
    case WG__UNIT_PRODUCT:
    case WG__UNIT_ROWS: return wg__emit_product(e, unit);
    case WG__UNIT_COPY: return emit_view_copy(e, unit);
    case WG__UNIT_JOIN: return emit_join(e, unit);
    case WG__UNIT_STORE: return emit_store(e, unit);
    }
    return false;
}

/* ---- what the plan keeps ------------------------------------------------------------------------------------- */

/* Fixups sorted by slot. */
static bool settle_fixups(wg__emit *e)
{
    wg__plan *plan = e->plan;
    plan->n_fixups = e->n_fixups;
    plan->fixups = wg__plan_array(&plan->memory, plan->n_fixups, sizeof *plan->fixups);
    if (!plan->fixups) return false;
    for (uint32_t i = 0; i < plan->n_fixups; i++) plan->slots[e->fixup_slots[i]].n_fixups++;
    for (uint32_t s = 0, at = 0; s < plan->n_slots; at += plan->slots[s++].n_fixups)
        plan->slots[s].first_fixup = at;
    for (uint32_t s = 0; s < plan->n_slots; s++) plan->slots[s].n_fixups = 0;
    for (uint32_t i = 0; i < plan->n_fixups; i++) {
        wg__slot *slot = &plan->slots[e->fixup_slots[i]];
        plan->fixups[slot->first_fixup + slot->n_fixups++] = e->fixups[i];
    }
    return true;
}

static int by_tag(const void *x, const void *y)
{
    const wg__tag *a = x, *b = y;
    if (a->stage != b->stage) return a->stage < b->stage ? -1 : 1;
    if (a->step != b->step) return a->step < b->step ? -1 : 1;
    return a->instr < b->instr ? -1 : a->instr > b->instr;
}

/* Instructions as they run: if some were emitted with steps, each stage is put in order. */
static bool settle_instrs(wg__emit *e)
{
    wg__plan *plan = e->plan;
    bool steps = false;
    plan->n_instrs = e->n_instrs;
    plan->instrs = wg__plan_array(&plan->memory, plan->n_instrs, sizeof *plan->instrs);
    plan->origin = wg__plan_array(&plan->memory, 3 * (uint64_t)plan->n_instrs, sizeof *plan->origin);
    if (!plan->instrs || !plan->origin) return false;
    for (uint32_t i = 0; i < plan->n_instrs; i++) steps |= e->tags[i].step > 0;
    if (steps) qsort(e->tags, plan->n_instrs, sizeof *e->tags, by_tag);
    for (uint32_t i = 0; i < plan->n_instrs; i++) {
        plan->instrs[i] = e->instrs[e->tags[i].instr];
        const wg__node *node = &e->tape->nodes[plan->instrs[i].node];
        plan->origin[3 * i] = node->op;
        plan->origin[3 * i + 1] = node->scope;
        plan->origin[3 * i + 2] = node->forward ? e->tape->nodes[node->forward].op : 0;
    }
    return true;
}

/* ---- phases -------------------------------------------------------------------------------------------------- */

static bool same_time(const wg__tag *a, const wg__tag *b) { return a->stage == b->stage && a->step == b->step; }
static bool same_strand(const wg__tag *a, const wg__tag *b) { return a->strand && a->strand == b->strand; }

/* The instructions [first, end) that run at one time are one thread's work: one strand, or one serial instruction. */
static bool is_serial(const wg__plan *plan, const wg__tag *tags, uint32_t first, uint32_t end)
{
    if (end - first == 1) return plan->instrs[first].tasks == 1 || tags[first].strand;
    for (uint32_t i = first + 1; i < end; i++)
        if (!same_strand(&tags[first], &tags[i])) return false;
    return true;
}

static void item_new(wg__plan *plan, wg__phase *phase, uint32_t instr, uint32_t count)
{
    wg__item *item = &plan->items[plan->n_items++];
    *item = (wg__item){.first = instr, .count = count, .first_task = phase->tasks};
    phase->tasks += count > 1 ? 1 : (uint32_t)plan->instrs[instr].tasks;
    phase->count++;
}

/* What runs at one time is a phase; phases that are one thread's work, one after the other, are one item. */
static bool make_phases(wg__emit *e)
{
    wg__plan *plan = e->plan;
    const wg__tag *tags = e->tags;
    wg__phase *serial = NULL;
    plan->phases = wg__plan_array(&plan->memory, plan->n_instrs, sizeof *plan->phases);
    plan->items = wg__plan_array(&plan->memory, plan->n_instrs, sizeof *plan->items);
    if (!plan->phases || !plan->items) return false;
    for (uint32_t first = 0, end; first < plan->n_instrs; first = end) {
        for (end = first + 1; end < plan->n_instrs && same_time(&tags[first], &tags[end]);) end++;
        bool alone = is_serial(plan, tags, first, end);
        if (alone && serial) {
            wg__item *item = &plan->items[serial->first];
            item->count = end - item->first;
            serial->tasks = 1;
            continue;
        }
        wg__phase *phase = &plan->phases[plan->n_phases++];
        *phase = (wg__phase){.first = plan->n_items};
        for (uint32_t i = first, next; i < end; i = next) {
            for (next = i + 1; next < end && same_strand(&tags[i], &tags[next]);) next++;
            item_new(plan, phase, i, next - i);
        }
        serial = alone ? phase : NULL;
        plan->parallel |= phase->tasks > 1;
    }
    return true;
}

static bool emit_all(wg__emit *e)
{
    const wg__planner *p = e->p;
    e->leaf_slot = wg__plan_array(p->own, p->n, sizeof *e->leaf_slot);
    e->at = wg__plan_array(p->own, p->n, sizeof *e->at);
    e->plan->params = wg__plan_array(&e->plan->memory, p->tape->n_leaves, sizeof *e->plan->params);
    if (!e->leaf_slot || !e->at || !e->plan->params || !wg__emit_packs(e)) return false;
    for (uint32_t i = 0; i < p->n_units; i++) {
        e->now = (wg__tag){.stage = p->stage[p->sequence[i]], .strand = p->strand[p->sequence[i]]};
        if (!emit_unit(e, p->sequence[i])) return false;
    }
    return bind_outputs(e) && settle_fixups(e) && settle_instrs(e) && make_phases(e);
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
