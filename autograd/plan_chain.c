/* Chains as instructions: the steps of a pointwise unit, the operands they load and store over one space, and the
 * registers that hold what only the chain sees. */
#include "plan_emit.h"

#include <string.h>

enum {
    CHAIN_WORK = 24576, /* element steps of a task */
    CHAIN_MIN = 1024,   /* its fewest elements */
    SUM_TASKS = 4       /* the most tasks of a chain with sums over several spans */
};

/* Dimensions that every operand walks through without a jump become one; not those of a line with those before. */
static void collapse(wg__chain *chain)
{
    int rank = 0, n = chain->n_loads + chain->n_stores;
    for (int64_t d = 0, behind = chain->numel; d < chain->rank; d++) {
        if (chain->size[d] == 1 && chain->rank > 1) continue;
        bool joins = rank > 0 && behind != chain->line;
        behind /= chain->size[d];
        for (int i = 0; i < n && joins; i++) {
            const wg__chain_operand *o = i < chain->n_loads ? &chain->loads[i] : &chain->stores[i - chain->n_loads];
            joins = o->stride[rank - 1] == o->stride[d] * chain->size[d];
        }
        int to = joins ? rank - 1 : rank++;
        chain->size[to] = joins ? chain->size[to] * chain->size[d] : chain->size[d];
        for (int i = 0; i < n; i++) {
            wg__chain_operand *o = i < chain->n_loads ? &chain->loads[i] : &chain->stores[i - chain->n_loads];
            o->stride[to] = o->stride[d];
        }
    }
    if (rank == 0) {
        rank = 1;
        chain->size[0] = 1;
        for (int i = 0; i < n; i++) {
            wg__chain_operand *o = i < chain->n_loads ? &chain->loads[i] : &chain->stores[i - chain->n_loads];
            o->stride[0] = 1;
        }
    }
    chain->rank = rank;
    for (int i = 0; i < n; i++) {
        wg__chain_operand *o = i < chain->n_loads ? &chain->loads[i] : &chain->stores[i - chain->n_loads];
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

/* Strides of node `id` over the chain's space: aligned at the right, zero where broadcast. */
static bool chain_operand(wg__emit *e, wg__chain_operand *operand, uint32_t id, const wg_shape *space)
{
    const wg__node *node = &e->tape->nodes[id];
    const wg_shape *shape = wg__shape_of_node(e->tape, node);
    wg_layout layout = wg__layout_of(e->p, id);
    *operand = (wg__chain_operand){.size = (uint8_t)wg_dtype_size((wg_dtype)node->dtype)};
    int shift = space->rank - shape->rank;
    for (int i = 0; i < shape->rank; i++) operand->stride[i + shift] = shape->size[i] == 1 ? 0 : layout.stride[i];
    return wg__emit_bind(e, &operand->data, id);
}

static wg__chain *chain_new(wg__emit *e, const wg_shape *space, int64_t numel, uint32_t steps, uint32_t loads)
{
    wg__arena *memory = &e->plan->memory;
    wg__chain *chain = wg__plan_array(memory, 1, sizeof *chain);
    if (!chain) return NULL;
    chain->rank = space->rank;
    memcpy(chain->size, space->size, sizeof chain->size);
    chain->numel = numel;
    chain->loads = wg__plan_array(memory, loads, sizeof *chain->loads);
    chain->steps = wg__plan_array(memory, steps, sizeof *chain->steps);
    chain->stores = wg__plan_array(memory, steps, sizeof *chain->stores);
    chain->sums = wg__plan_array(memory, steps, sizeof *chain->sums);
    return chain->loads && chain->steps && chain->stores && chain->sums ? chain : NULL;
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

static bool finish_chain(wg__emit *e, wg__chain *chain, uint32_t node)
{
    if (chain->numel == 0) return true;
    collapse(chain);
    if (chain->n_sums)
        cut_lines(chain);
    else
        cut_space(chain);
    wg__instr instr = {.kind = WG__INSTR_CHAIN, .node = node, .chain = chain};
    instr.tasks = (chain->span + chain->block - 1) / chain->block;
    instr.scratch = wg__structural_ops.chain_scratch(chain);
    return wg__emit_finish(e, instr);
}

typedef struct registers { /* which are free, by the size of the elements that stood there last */
    uint16_t free[WG__CHAIN_STEPS + 4];
    int n_free, n;
} registers;

static uint16_t register_take(registers *r) { return r->n_free ? r->free[--r->n_free] : (uint16_t)r->n++; }

/* The load of node `id`, made if it is new; -1 when memory is out. */
static int load_of(wg__emit *e, wg__chain *chain, uint32_t *loaded, uint32_t id, const wg_shape *space)
{
    for (int i = 0; i < chain->n_loads; i++)
        if (loaded[i] == id) return i;
    loaded[chain->n_loads] = id;
    return chain_operand(e, &chain->loads[chain->n_loads], id, space) ? chain->n_loads++ : -1;
}

static bool chain_step(wg__emit *e, wg__chain *chain, uint32_t id, uint32_t unit, uint32_t *loaded, registers *r,
                       uint16_t *last, uint16_t number)
{
    const wg__planner *p = e->p;
    const wg__node *node = &e->tape->nodes[id];
    const uint32_t *in = wg__inputs(e->tape, node);
    const wg_op *op = e->tape->ops[node->op];
    const wg_shape *space = wg__shape_of_node(e->tape, node);
    wg__chain_step *step = &chain->steps[chain->n_steps++];
    wg_dtype dtypes[4];
    for (uint32_t k = 0; k < node->n_in; k++) {
        dtypes[k] = (wg_dtype)e->tape->nodes[in[k]].dtype;
        bool inside = p->unit[in[k]] == unit && p->root[in[k]] == in[k];
        int load = inside ? -1 : load_of(e, chain, loaded, in[k], space);
        if (!inside && load < 0) return false;
        step->in[k] = inside ? (uint16_t)(0x8000u | e->at[in[k]]) : (uint16_t)load;
    }
    step->n_in = (uint8_t)node->n_in;
    step->size = (uint8_t)wg_dtype_size((wg_dtype)node->dtype);
    step->fn = (wg_pointwise)(void (*)(void))op->select(op, dtypes, (int)node->n_in, (wg_dtype)node->dtype);
    for (uint32_t k = 0; k < node->n_in; k++) { /* a register whose value dies here may take the result */
        uint32_t from = in[k];
        bool again = false;
        for (uint32_t j = 0; j < k; j++) again |= in[j] == from;
        if (again || !(step->in[k] & 0x8000u) || last[e->at[from]] != number) continue;
        if (wg_dtype_size((wg_dtype)e->tape->nodes[from].dtype) == step->size)
            r->free[r->n_free++] = (uint16_t)e->at[from];
    }
    step->out = register_take(r);
    e->at[id] = step->out;
    step->store = -1;
    if (p->state[id] & WG__MATERIAL) {
        step->store = (int16_t)chain->n_stores;
        if (chain->n_stores == 0) chain->float_result = wg_dtype_is_float((wg_dtype)node->dtype);
        if (!chain_operand(e, &chain->stores[chain->n_stores++], id, space)) return false;
    }
    return true;
}

/* A sum of what stands in a register. */
static bool sum_step(wg__emit *e, wg__chain *chain, uint32_t id, registers *r, const uint16_t *last,
                     uint16_t number)
{
    const wg__node *node = &e->tape->nodes[id];
    uint32_t from = wg__inputs(e->tape, node)[0];
    wg__lines lines;
    wg__lines_of_sum(e->tape, node, &lines);
    chain->line = lines.line;
    chain->span = lines.line * lines.count;
    chain->steps[chain->n_steps++] = (wg__chain_step){
        .in = {(uint16_t)(0x8000u | e->at[from])}, .n_in = 1, .store = -1, .sum = (int16_t)chain->n_sums};
    if (last[e->at[from]] == number) r->free[r->n_free++] = (uint16_t)e->at[from];
    wg__chain_sum *sum = &chain->sums[chain->n_sums++];
    sum->size = (uint8_t)wg_dtype_size((wg_dtype)node->dtype);
    sum->kernels = wg__structural_ops.line_sums((wg_dtype)node->dtype);
    sum->state = chain->state_bytes;
    chain->state_bytes += (sum->kernels->bytes + 63) / 64 * 64;
    return wg__emit_bind(e, &sum->out, id);
}

/* The position of the last step that reads each member, left in e->at by member; then registers follow. */
bool wg__emit_chain(wg__emit *e, const wg__work *unit, uint32_t unit_id)
{
    const wg__planner *p = e->p;
    const uint32_t *members = p->members + unit->first;
    const wg__node *head = &e->tape->nodes[members[0]];
    wg__chain *chain = chain_new(e, wg__shape_of_node(e->tape, head), e->tape->shapes[head->shape].numel,
                                 unit->count, 4 * unit->count);
    if (!chain) return false;
    uint16_t last_read[WG__CHAIN_STEPS + 4] = {0}, last[WG__CHAIN_STEPS + 4] = {0};
    uint32_t loaded[4 * (WG__CHAIN_STEPS + 4)];
    for (uint32_t i = 0; i < unit->count; i++) e->at[members[i]] = i;
    for (uint32_t i = 0; i < unit->count; i++) {
        const wg__node *node = &e->tape->nodes[members[i]];
        const uint32_t *in = wg__inputs(e->tape, node);
        for (uint32_t k = 0; k < node->n_in; k++)
            if (p->unit[in[k]] == unit_id + 1 && p->root[in[k]] == in[k]) last_read[e->at[in[k]]] = (uint16_t)i;
    }
    registers r = {.n = 0};
    for (uint32_t i = 0; i < unit->count; i++) {
        if (wg__plan_op(p, members[i])->kind != WG_KIND_POINTWISE) {
            if (!sum_step(e, chain, members[i], &r, last, (uint16_t)i)) return false;
            continue;
        }
        if (!chain_step(e, chain, members[i], unit_id + 1, loaded, &r, last, (uint16_t)i)) return false;
        last[e->at[members[i]]] = last_read[i];
        if (last_read[i] <= i) r.free[r.n_free++] = (uint16_t)e->at[members[i]]; /* nobody in the chain reads it */
    }
    for (int i = 0; i < chain->n_steps; i++) /* now that all loads are known, registers follow them */
        for (int k = 0; k < chain->steps[i].n_in; k++)
            if (chain->steps[i].in[k] & 0x8000u)
                chain->steps[i].in[k] = (uint16_t)((chain->steps[i].in[k] & 0x7fffu) + (unsigned)chain->n_loads);
    chain->n_registers = r.n;
    return finish_chain(e, chain, members[unit->count - 1]);
}

bool wg__emit_move(wg__emit *e, uint32_t from, uint32_t whole, const wg_layout *layout)
{
    const wg__node *node = &e->tape->nodes[from];
    const wg_shape *shape = wg__shape_of_node(e->tape, node);
    wg__chain *chain = chain_new(e, shape, e->tape->shapes[node->shape].numel, 1, 1);
    if (!chain || !chain_operand(e, &chain->loads[0], from, shape)) return false;
    int64_t size = (int64_t)wg_dtype_size((wg_dtype)node->dtype);
    chain->n_loads = chain->n_steps = chain->n_stores = chain->n_registers = 1;
    chain->steps[0] =
        (wg__chain_step){.fn = wg__structural_ops.identity((size_t)size), .n_in = 1, .size = (uint8_t)size};
    chain->stores[0] = (wg__chain_operand){.size = (uint8_t)size};
    memcpy(chain->stores[0].stride, layout->stride, sizeof chain->stores[0].stride);
    int64_t base = e->p->view[whole] ? e->p->view[whole]->offset : 0;
    if (!wg__emit_fix_in(e, &chain->stores[0].data, whole, base + layout->offset)) return false;
    return finish_chain(e, chain, whole);
}
