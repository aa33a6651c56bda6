/* Chains as instructions: the steps of a pointwise unit, the operands they load and store over one space, and the
 * registers that hold what only the chain sees. */
#include "plan_emit.h"

#include <string.h>

enum {
    CHAIN_WORK = 24576, /* element steps of a task */
    CHAIN_MIN = 1024,   /* its fewest elements */
    SUM_TASKS = 4       /* the most tasks of a chain with sums over several spans */
};

typedef int64_t strides[WG_MAX_RANK];

/* Loads, then stores. */
static wg__chain_operand *operand_at(const wg__chain *chain, int i)
{
    return i < chain->n_loads ? &chain->loads[i] : &chain->stores[i - chain->n_loads];
}

/* Dimensions that every operand walks through without a jump become one; not those of a line with those before. */
static void collapse(wg__chain *chain)
{
    int rank = 0, n = chain->n_loads + chain->n_stores;
    for (int64_t d = 0, behind = chain->numel; d < chain->rank; d++) {
        if (chain->size[d] == 1 && chain->rank > 1) continue;
        bool joins = rank > 0 && behind != chain->line;
        behind /= chain->size[d];
        for (int i = 0; i < n && joins; i++) {
            const wg__chain_operand *o = operand_at(chain, i);
            joins = o->stride[rank - 1] == o->stride[d] * chain->size[d];
        }
        int to = joins ? rank - 1 : rank++;
        chain->size[to] = joins ? chain->size[to] * chain->size[d] : chain->size[d];
        for (int i = 0; i < n; i++) {
            wg__chain_operand *o = operand_at(chain, i);
            o->stride[to] = o->stride[d];
        }
    }
    if (rank == 0) {
        rank = 1;
        chain->size[0] = 1;
        for (int i = 0; i < n; i++) {
            wg__chain_operand *o = operand_at(chain, i);
            o->stride[0] = 1;
        }
    }
    chain->rank = rank;
    for (int i = 0; i < n; i++) {
        wg__chain_operand *o = operand_at(chain, i);
        int64_t dense = 1;
        o->flat = o->uniform = true;
        for (int d = rank - 1; d >= 0; d--) {
            o->flat &= chain->size[d] == 1 || o->stride[d] == dense;
            o->uniform &= chain->size[d] == 1 || o->stride[d] == 0;
            dense *= chain->size[d];
        }
        if (o->flat) o->uniform = false;
    }
}

/* Strides of node `id`, laid out so, over the chain's space: aligned at the right, zero where broadcast. */
static void set_strides(wg__emit *e, wg__chain_operand *operand, uint32_t id, const wg_layout *layout,
                        const wg_shape *space)
{
    const wg__node *node = &e->tape->nodes[id];
    const wg_shape *shape = wg__shape_of_node(e->tape, node);
    operand->size = (uint8_t)wg_dtype_size((wg_dtype)node->dtype);
    memset(operand->stride, 0, WG_MAX_RANK * sizeof *operand->stride);
    int shift = space->rank - shape->rank;
    for (int i = 0; i < shape->rank; i++) operand->stride[i + shift] = shape->size[i] == 1 ? 0 : layout->stride[i];
}

static bool chain_operand(wg__emit *e, wg__chain_operand *operand, uint32_t id, const wg_shape *space)
{
    wg_layout layout = wg__layout_of(e->p, id);
    set_strides(e, operand, id, &layout, space);
    return wg__emit_bind(e, &operand->data, id);
}

/* A chain over the space, with room for what its counts say. Strides stand in `room` until it is finished. */
static wg__chain *chain_new(wg__emit *e, const wg_shape *space, int64_t numel, wg__chain counts, strides *room)
{
    wg__arena *memory = &e->plan->memory;
    wg__chain *chain = wg__plan_array(memory, 1, sizeof *chain);
    if (!chain) return NULL;
    *chain = counts;
    chain->rank = space->rank;
    memcpy(chain->size, space->size, sizeof chain->size);
    chain->numel = numel;
    chain->loads = wg__plan_array(memory, (uint64_t)counts.n_loads, sizeof *chain->loads);
    chain->steps = wg__plan_array(memory, (uint64_t)counts.n_steps, sizeof *chain->steps);
    chain->stores = wg__plan_array(memory, (uint64_t)counts.n_stores, sizeof *chain->stores);
    chain->sums = wg__plan_array(memory, (uint64_t)counts.n_sums, sizeof *chain->sums);
    if (!chain->loads || !chain->steps || !chain->stores || !chain->sums) return NULL;
    for (int i = 0; i < chain->n_loads + chain->n_stores; i++) operand_at(chain, i)->stride = room[i];
    return chain;
}

static void cut_space(wg__chain *chain)
{
    int64_t block = CHAIN_WORK / (chain->n_steps > 0 ? chain->n_steps : 1), row = chain->size[chain->rank - 1];
    if (block < CHAIN_MIN) block = CHAIN_MIN;
    if (chain->rank > 1) block = row < block ? block / row * row : row;
    chain->block = chain->rank == 1 ? (block + 63) / 64 * 64 : block;
    chain->span = chain->numel;
}

/* Of several spans few tasks, so that the lines that one takes of each lie in a row. */
static void cut_lines(wg__chain *chain)
{
    int64_t lines = chain->span / chain->line, tasks = chain->numel * chain->n_steps / CHAIN_WORK;
    if (chain->span < chain->numel && tasks > SUM_TASKS) tasks = SUM_TASKS;
    if (tasks > lines) tasks = lines;
    chain->block = tasks > 1 ? (lines + tasks - 1) / tasks * chain->line : chain->span;
}

/* Strides stood in `room` so far. Where all operands are flat or uniform nobody asks for them. */
static bool keep_strides(wg__emit *e, wg__chain *chain)
{
    bool flat = true;
    for (int i = 0; i < chain->n_loads; i++) flat &= chain->loads[i].flat || chain->loads[i].uniform;
    for (int i = 0; i < chain->n_stores; i++) flat &= chain->stores[i].flat;
    size_t rank = flat ? 0 : (size_t)chain->rank;
    int64_t *kept =
        wg__plan_array(&e->plan->memory, rank * (size_t)(chain->n_loads + chain->n_stores), sizeof *kept);
    if (!kept) return false;
    for (int i = 0; i < chain->n_loads + chain->n_stores; i++, kept += rank) {
        wg__chain_operand *o = operand_at(chain, i);
        o->stride = rank ? memcpy(kept, o->stride, rank * sizeof *kept) : NULL;
    }
    return true;
}

static bool finish_chain(wg__emit *e, wg__chain *chain, uint32_t node, bool assigns)
{
    if (chain->numel == 0) return true;
    collapse(chain);
    if (!keep_strides(e, chain)) return false;
    if (chain->n_sums)
        cut_lines(chain);
    else
        cut_space(chain);
    wg__instr instr = {.kind = WG__INSTR_CHAIN, .node = node, .chain = chain, .assigns = assigns};
    instr.tasks = (chain->span + chain->block - 1) / chain->block;
    instr.scratch = wg__structural_ops.chain_scratch(chain);
    return wg__emit_finish(e, instr);
}

/* ---- the members of a unit ----------------------------------------------------------------------------------- */

typedef struct maker {
    wg__emit *e;
    wg__chain *chain;
    const uint32_t *members;
    uint32_t n, unit;                      /* members; + 1 */
    uint32_t *loaded;                      /* the nodes that are loaded; their number is left in e->at */
    uint16_t last_read[WG__CHAIN_MEMBERS]; /* by member: the last step that reads it */
    uint16_t last[WG__CHAIN_MEMBERS];      /* by register: the last step that reads what stands there */
    uint16_t free[WG__CHAIN_MEMBERS];      /* registers */
    int n_free, n_steps, n_stores, n_sums; /* made */
} maker;

static bool is_value(const maker *m, uint32_t id) { return wg__is_step(m->e->p, id); }
static bool is_part(const maker *m, uint32_t id) { return m->e->p->state[id] & WG__PART; }

static bool is_inside(const maker *m, uint32_t id)
{
    return m->e->p->unit[id] == m->unit && m->e->p->root[id] == id;
}

static bool is_stored(const maker *m, uint32_t id)
{
    return is_value(m, id) && (m->e->p->state[id] & WG__MATERIAL);
}

/* How much there will be of everything. Leaves each member's position in e->at. */
static wg__chain count(maker *m)
{
    uint32_t *at = m->e->at;
    wg__chain counts = {.n_steps = (int)m->n};
    for (uint32_t i = 0; i < m->n; i++) at[m->members[i]] = i;
    for (uint32_t i = 0; i < m->n; i++) {
        const wg__node *node = &m->e->tape->nodes[m->members[i]];
        const uint32_t *in = wg__inputs(m->e->tape, node);
        counts.n_stores += is_stored(m, m->members[i]);
        counts.n_sums += !is_value(m, m->members[i]);
        if (is_part(m, m->members[i])) m->loaded[counts.n_loads++] = m->members[i];
        for (uint32_t k = 0; k < node->n_in && !is_part(m, m->members[i]); k++) {
            if (is_inside(m, in[k])) {
                m->last_read[at[in[k]]] = (uint16_t)i;
            } else if (at[in[k]] >= (uint32_t)counts.n_loads || m->loaded[at[in[k]]] != in[k]) { /* it is new */
                at[in[k]] = (uint32_t)counts.n_loads;
                m->loaded[counts.n_loads++] = in[k];
            }
        }
    }
    return counts;
}

/* The slice that a member copies is loaded under the member's name. */
static bool part_operand(maker *m, int load, const wg_shape *space)
{
    wg__emit *e = m->e;
    const uint32_t id = m->loaded[load], whole = wg__inputs(e->tape, &e->tape->nodes[id])[0];
    const wg__node *node = &e->tape->nodes[id];
    wg_layout over = wg__layout_of(e->p, whole), layout = {0};
    wg__plan_op(e->p, id)->view(wg__shape_of_node(e->tape, &e->tape->nodes[whole]), &over, space,
                                wg__attr_of(e->tape, node), &layout);
    e->at[id] = (uint32_t)load;
    set_strides(e, &m->chain->loads[load], id, &layout, space);
    return wg__emit_fix_in(e, &m->chain->loads[load].data, whole, layout.offset);
}

static wg_pointwise kernel_of(const maker *m, uint32_t id)
{
    const wg_tape *tape = m->e->tape;
    const wg__node *node = &tape->nodes[id];
    const wg_op *op = tape->ops[node->op];
    const uint32_t *in = wg__inputs(tape, node);
    wg_dtype dtypes[4];
    if (is_part(m, id)) return wg__structural_ops.identity(wg_dtype_size((wg_dtype)node->dtype));
    for (uint32_t k = 0; k < node->n_in; k++) dtypes[k] = (wg_dtype)tape->nodes[in[k]].dtype;
    return (wg_pointwise)(void (*)(void))op->select(op, dtypes, (int)node->n_in, (wg_dtype)node->dtype);
}

static void register_free(maker *m, uint32_t number) { m->free[m->n_free++] = (uint16_t)number; }

static uint16_t register_take(maker *m)
{
    return m->n_free ? m->free[--m->n_free] : (uint16_t)m->chain->n_registers++;
}

/* Step i: the member's value from those of its operands. */
static bool value_step(maker *m, uint32_t i)
{
    wg__emit *e = m->e;
    const uint32_t id = m->members[i];
    const wg__node *node = &e->tape->nodes[id];
    const uint32_t *in = wg__inputs(e->tape, node);
    wg__chain_step *step = &m->chain->steps[m->n_steps++];
    *step = (wg__chain_step){
        .n_in = (uint8_t)node->n_in, .size = (uint8_t)wg_dtype_size((wg_dtype)node->dtype), .store = -1};
    step->fn = kernel_of(m, id);
    for (uint32_t k = 0; k < node->n_in; k++)
        step->in[k] = (uint16_t)(e->at[in[k]] + (is_inside(m, in[k]) ? (uint32_t)m->chain->n_loads : 0));
    if (is_part(m, id)) step->in[0] = (uint16_t)e->at[id];
    for (uint32_t k = 0; k < node->n_in; k++) { /* a register whose value dies here may take the result */
        bool again = false;
        for (uint32_t j = 0; j < k; j++) again |= in[j] == in[k];
        if (again || !is_inside(m, in[k]) || m->last[e->at[in[k]]] != i) continue;
        if (wg_dtype_size((wg_dtype)e->tape->nodes[in[k]].dtype) == step->size) register_free(m, e->at[in[k]]);
    }
    e->at[id] = step->out = register_take(m);
    m->last[step->out] = m->last_read[i];
    if (is_stored(m, id)) {
        if (m->n_stores == 0) m->chain->float_result = wg_dtype_is_float((wg_dtype)node->dtype);
        step->store = (int16_t)m->n_stores++;
        if (!chain_operand(e, &m->chain->stores[step->store], id, wg__shape_of_node(e->tape, node))) return false;
    }
    if (m->last_read[i] <= i) register_free(m, step->out); /* nobody in the chain reads it */
    return true;
}

/* Step i: a sum of what stands in a register. */
static bool sum_step(maker *m, uint32_t i)
{
    wg__emit *e = m->e;
    const uint32_t id = m->members[i];
    const wg__node *node = &e->tape->nodes[id];
    const uint32_t from = e->at[wg__inputs(e->tape, node)[0]];
    wg__chain *chain = m->chain;
    wg__lines lines;
    wg__lines_of_sum(e->tape, node, &lines);
    chain->line = lines.line;
    chain->span = lines.line * lines.count;
    chain->steps[m->n_steps++] = (wg__chain_step){
        .in = {(uint16_t)(from + (uint32_t)chain->n_loads)}, .n_in = 1, .store = -1, .sum = (int16_t)m->n_sums};
    if (m->last[from] == i) register_free(m, from);
    wg__chain_sum *sum = &chain->sums[m->n_sums++];
    sum->size = (uint8_t)wg_dtype_size((wg_dtype)node->dtype);
    sum->kernels = wg__structural_ops.line_sums((wg_dtype)node->dtype);
    sum->state = chain->state_bytes;
    chain->state_bytes += sum->kernels->bytes;
    return wg__emit_bind(e, &sum->out, id);
}

/* Whether it is written where a buffer stands. */
static bool is_assigned(const wg__emit *e, uint32_t id)
{
    const wg__slot *slot = e->p->slot[id] ? &e->plan->slots[e->p->slot[id] - 1] : NULL;
    return slot && slot->kind == WG__SLOT_HOME && e->plan->outputs[slot->index].kind == WG__OUTPUT_ASSIGN;
}

bool wg__emit_chain(wg__emit *e, const wg__work *unit, uint32_t unit_id)
{
    uint32_t loaded[4 * WG__CHAIN_MEMBERS];
    strides room[5 * WG__CHAIN_MEMBERS];
    maker m = {
        .e = e, .loaded = loaded, .members = e->p->members + unit->first, .n = unit->count, .unit = unit_id + 1};
    const wg__node *head = &e->tape->nodes[m.members[0]];
    const wg_shape *space = wg__shape_of_node(e->tape, head);
    m.chain = chain_new(e, space, e->tape->shapes[head->shape].numel, count(&m), room);
    if (!m.chain) return false;
    for (int i = 0; i < m.chain->n_loads; i++)
        if (!(is_inside(&m, m.loaded[i]) ? part_operand(&m, i, space)
                                         : chain_operand(e, &m.chain->loads[i], m.loaded[i], space)))
            return false;
    for (uint32_t i = 0; i < m.n; i++)
        if (!(is_value(&m, m.members[i]) ? value_step(&m, i) : sum_step(&m, i))) return false;
    bool assigns = false;
    for (uint32_t i = 0; i < m.n; i++) assigns |= is_assigned(e, m.members[i]);
    return finish_chain(e, m.chain, m.members[m.n - 1], assigns);
}

bool wg__emit_move(wg__emit *e, uint32_t from, uint32_t whole, const wg_layout *layout)
{
    const wg__node *node = &e->tape->nodes[from];
    const wg_shape *shape = wg__shape_of_node(e->tape, node);
    wg__chain counts = {.n_loads = 1, .n_steps = 1, .n_stores = 1, .n_registers = 1};
    strides room[2];
    wg__chain *chain = chain_new(e, shape, e->tape->shapes[node->shape].numel, counts, room);
    if (!chain || !chain_operand(e, &chain->loads[0], from, shape)) return false;
    int64_t size = (int64_t)wg_dtype_size((wg_dtype)node->dtype);
    chain->steps[0] =
        (wg__chain_step){.fn = wg__structural_ops.identity((size_t)size), .n_in = 1, .size = (uint8_t)size};
    chain->stores[0].size = (uint8_t)size;
    memcpy(chain->stores[0].stride, layout->stride, sizeof layout->stride);
    int64_t base = e->p->view[whole] ? e->p->view[whole]->offset : 0;
    if (!wg__emit_fix_in(e, &chain->stores[0].data, whole, base + layout->offset)) return false;
    return finish_chain(e, chain, whole, false);
}
