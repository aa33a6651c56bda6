/* Chains as instructions: the steps of a group, the operands they load and store over one iteration space, and the
 * registers for values that only the chain reads. */
#include "emit.h"

#include <string.h>

enum {
    CHAIN_WORK = 24576, /* element steps per task (chosen, not measured) */
    CHAIN_MIN = 1024,   /* fewest elements per task */
    SUM_TASKS = 4       /* most tasks of a chain with sums over several spans */
};

typedef int64_t strides[WG_MAX_RANK];

/* Loads, then stores. */
static wg__chain_operand *operand_at(const wg__chain *chain, int i)
{
    return i < chain->n_loads ? &chain->loads[i] : &chain->stores[i - chain->n_loads];
}

/* Merges adjacent dimensions that are contiguous for every operand, except across the boundary of a line. */
static void collapse(wg__chain *chain)
{
    int rank = 0, n = chain->n_loads + chain->n_stores;
    for (int64_t d = 0, inner = chain->numel; d < chain->rank; d++) {
        if (chain->size[d] == 1 && chain->rank > 1) continue;
        assert(chain->size[d] > 0); /* a chain without elements is not emitted */
        bool joins = rank > 0 && inner != chain->line;
        inner /= chain->size[d];
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
}

/* Which operands are contiguous, and which are one element. */
static void classify(wg__chain *chain)
{
    for (int i = 0; i < chain->n_loads + chain->n_stores; i++) {
        wg__chain_operand *o = operand_at(chain, i);
        int64_t contiguous = 1;
        o->flat = o->uniform = true;
        for (int d = chain->rank - 1; d >= 0; d--) {
            o->flat &= chain->size[d] == 1 || o->stride[d] == contiguous;
            o->uniform &= chain->size[d] == 1 || o->stride[d] == 0;
            contiguous *= chain->size[d];
        }
        if (o->flat) o->uniform = false;
    }
}

/* Sets the strides of node `id` with this layout over the chain's space: aligned at the right, zero where broadcast. */
static void set_strides(wg__emit *e, wg__chain_operand *operand, uint32_t id, const wg_layout *layout,
                        const wg_shape *space)
{
    const wg__node *node = wg__node_at(e->p, id);
    const wg_shape *shape = wg__shape_of_node(e->tape, node);
    memset(operand->stride, 0, WG_MAX_RANK * sizeof *operand->stride);
    int shift = space->rank - shape->rank;
    for (int i = 0; i < shape->rank; i++) operand->stride[i + shift] = shape->size[i] == 1 ? 0 : layout->stride[i];
}

static bool chain_operand(wg__emit *e, wg__chain_operand *operand, uint32_t id, const wg_shape *space)
{
    wg_layout layout = wg__layout_of(e->p, id);
    set_strides(e, operand, id, &layout, space);
    operand->size = (uint8_t)wg__element_of(e->p, id);
    return wg__emit_bind(e, &operand->data, id);
}

/* A chain over the space with room for the given counts. Strides are kept in `room` until the chain is finished. */
static wg__chain *chain_new(wg__emit *e, const wg_shape *space, int64_t numel, wg__chain counts, strides *room)
{
    wg__arena *memory = &e->plan->memory;
    wg__chain *chain = wg__arena_array(memory, 1, sizeof *chain);
    if (!chain) return NULL;
    *chain = counts;
    chain->rank = space->rank;
    memcpy(chain->size, space->size, sizeof chain->size);
    chain->numel = numel;
    chain->loads = wg__arena_array(memory, (uint64_t)counts.n_loads, sizeof *chain->loads);
    chain->steps = wg__arena_array(memory, (uint64_t)counts.n_steps, sizeof *chain->steps);
    chain->stores = wg__arena_array(memory, (uint64_t)counts.n_stores, sizeof *chain->stores);
    chain->sums = wg__arena_array(memory, (uint64_t)counts.n_sums, sizeof *chain->sums);
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

/* With several spans, few tasks, so that the lines a task takes of each span are adjacent. */
static void cut_lines(wg__chain *chain)
{
    int64_t lines = chain->span / chain->line, tasks = chain->numel * chain->n_steps / CHAIN_WORK;
    if (chain->span < chain->numel && tasks > SUM_TASKS) tasks = SUM_TASKS;
    if (tasks > lines) tasks = lines;
    chain->block = tasks > 1 ? (lines + tasks - 1) / tasks * chain->line : chain->span;
}

/* Moves the strides from `room` to the plan. If all operands are flat or uniform they are not needed. */
static bool keep_strides(wg__emit *e, wg__chain *chain)
{
    bool flat = true;
    for (int i = 0; i < chain->n_loads; i++) flat &= chain->loads[i].flat || chain->loads[i].uniform;
    for (int i = 0; i < chain->n_stores; i++) flat &= chain->stores[i].flat;
    size_t rank = flat ? 0 : (size_t)chain->rank;
    int64_t *kept =
        wg__arena_array(&e->plan->memory, rank * (size_t)(chain->n_loads + chain->n_stores), sizeof *kept);
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
    classify(chain);
    if (!keep_strides(e, chain)) return false;
    if (chain->n_sums)
        cut_lines(chain);
    else
        cut_space(chain);
    assert(chain->span > 0 && chain->block > 0 && chain->numel % chain->span == 0);
    wg__instr instr = {.kind = WG__INSTR_CHAIN, .node = node, .chain = chain, .assigns = assigns};
    instr.tasks = (chain->span + chain->block - 1) / chain->block;
    instr.scratch = e->tape->structural->chain_scratch(chain);
    return wg__emit_instr(e, instr);
}

/* ---- the members of a unit ----------------------------------------------------------------------------------- */

typedef struct builder {
    wg__emit *e;
    wg__chain *chain;
    const uint32_t *members;
    uint32_t n, unit;                      /* members; the unit's id */
    uint32_t *loaded;                      /* nodes to load; e->at holds their index */
    uint16_t last_read[WG__CHAIN_STEPS];   /* by member: the last step that reads it */
    uint16_t last[WG__CHAIN_STEPS];        /* by register: the last member that reads its value */
    uint16_t free[WG__CHAIN_STEPS];        /* free registers */
    int n_free, n_steps, n_stores, n_sums; /* so far */
} builder;

static bool is_step(const builder *b, uint32_t id) { return wg__is_step(b->e->p, id); }
static bool is_slice_copy(const builder *b, uint32_t id) { return b->e->p->flags[id] & WG__SLICE_COPY; }

static bool is_inside(const builder *b, uint32_t id)
{
    return b->e->p->units.of[id] == b->unit && b->e->p->storage.root[id] == id;
}

static bool is_stored(const builder *b, uint32_t id) { return is_step(b, id) && (b->e->p->flags[id] & WG__STORED); }

/* Counts loads, steps, stores and sums. Leaves each member's position in e->at. */
static wg__chain count(builder *b)
{
    uint32_t *at = b->e->at;
    wg__chain counts = {.n_steps = (int)b->n};
    for (uint32_t i = 0; i < b->n; i++) at[b->members[i]] = i;
    for (uint32_t i = 0; i < b->n; i++) {
        const wg__node *node = &b->e->tape->nodes[b->members[i]];
        const uint32_t *in = wg__inputs(b->e->tape, node);
        counts.n_stores += is_stored(b, b->members[i]);
        counts.n_steps += wg__is_narrow(b->e->p, b->members[i]);
        counts.n_sums += !is_step(b, b->members[i]);
        if (is_slice_copy(b, b->members[i])) b->loaded[counts.n_loads++] = b->members[i];
        for (uint32_t k = 0; k < node->n_in && !is_slice_copy(b, b->members[i]); k++) {
            if (is_inside(b, in[k])) {
                b->last_read[at[in[k]]] = (uint16_t)i;
            } else if (at[in[k]] >= (uint32_t)counts.n_loads || b->loaded[at[in[k]]] != in[k]) { /* not seen yet */
                at[in[k]] = (uint32_t)counts.n_loads;
                b->loaded[counts.n_loads++] = in[k];
            }
        }
    }
    return counts;
}

/* The slice that a member copies, or what it widens, is loaded under the member's id. */
static bool slice_operand(builder *b, int load, const wg_shape *space)
{
    wg__emit *e = b->e;
    const uint32_t id = b->loaded[load], whole = wg__inputs(e->tape, &e->tape->nodes[id])[0];
    const wg__node *node = &e->tape->nodes[id];
    wg_layout over = wg__layout_of(e->p, whole), layout = {0};
    wg__op_at(e->p, id)->view(wg__shape_at(e->p, whole), &over, space, wg__attr_of(e->tape, node), &layout);
    e->at[id] = (uint32_t)load;
    set_strides(e, &b->chain->loads[load], id, &layout, space);
    b->chain->loads[load].size = (uint8_t)wg__element_of(e->p, whole);
    if (wg__is_source(e->p, whole)) return wg__emit_bind(e, &b->chain->loads[load].data, whole); /* a parameter */
    return wg__emit_bind_at(e, &b->chain->loads[load].data, whole, layout.offset);
}

static wg_pointwise kernel_of(const builder *b, uint32_t id)
{
    const wg_tape *tape = b->e->tape;
    const wg__node *node = &tape->nodes[id];
    const wg_op *op = wg__op_of(tape, node);
    const uint32_t *in = wg__inputs(tape, node);
    wg_dtype dtypes[4];
    if (is_slice_copy(b, id) && wg__op_is(tape, node, tape->structural->widen)) return tape->structural->widened;
    if (is_slice_copy(b, id)) return tape->structural->identity(wg_dtype_size((wg_dtype)node->dtype));
    for (uint32_t k = 0; k < node->n_in; k++) dtypes[k] = (wg_dtype)tape->nodes[in[k]].dtype;
    return (wg_pointwise)(void (*)(void))op->select(op, dtypes, (int)node->n_in, (wg_dtype)node->dtype);
}

static void register_free(builder *b, uint32_t number)
{
    assert(b->n_free < WG__CHAIN_STEPS && number < (uint32_t)b->chain->n_registers);
    b->free[b->n_free++] = (uint16_t)number;
}

static uint16_t register_take(builder *b)
{
    assert(b->n_free || b->chain->n_registers < WG__CHAIN_STEPS);
    return b->n_free ? b->free[--b->n_free] : (uint16_t)b->chain->n_registers++;
}

/* A further step, which rounds a register to bf16. */
static wg__chain_step *narrow_step(builder *b, uint16_t from)
{
    wg__chain_step *step = &b->chain->steps[b->n_steps++];
    *step = (wg__chain_step){
        .fn = b->e->tape->structural->product(&(wg__product){.dtype = WG_F32, .bf16 = true})->narrow,
        .in = {(uint16_t)(from + b->chain->n_loads)},
        .n_in = 1,
        .size = 2,
        .out = register_take(b)};
    register_free(b, step->out);
    return step;
}

/* Step i: computes a member from its operands. */
static bool value_step(builder *b, uint32_t i)
{
    wg__emit *e = b->e;
    const uint32_t id = b->members[i];
    const wg__node *node = &e->tape->nodes[id];
    const uint32_t *in = wg__inputs(e->tape, node);
    wg__chain_step *step = &b->chain->steps[b->n_steps++];
    *step = (wg__chain_step){
        .n_in = (uint8_t)node->n_in, .size = (uint8_t)wg_dtype_size((wg_dtype)node->dtype), .store = -1};
    step->fn = kernel_of(b, id);
    assert(step->fn && node->n_in <= 4);
    for (uint32_t k = 0; k < node->n_in; k++)
        step->in[k] = (uint16_t)(e->at[in[k]] + (is_inside(b, in[k]) ? (uint32_t)b->chain->n_loads : 0));
    if (is_slice_copy(b, id)) step->in[0] = (uint16_t)e->at[id];
    for (uint32_t k = 0; k < node->n_in;
         k++) { /* the register of an operand whose last use is here may take the result */
        bool repeated = false;
        for (uint32_t j = 0; j < k; j++) repeated |= in[j] == in[k];
        if (repeated || !is_inside(b, in[k]) || b->last[e->at[in[k]]] != i) continue;
        if (wg_dtype_size((wg_dtype)e->tape->nodes[in[k]].dtype) == step->size) register_free(b, e->at[in[k]]);
    }
    e->at[id] = step->out = register_take(b);
    b->last[step->out] = b->last_read[i];
    if (is_stored(b, id)) {
        const bool narrow = wg__is_narrow(e->p, id);
        if (b->n_stores == 0) b->chain->float_result = !narrow && wg_dtype_is_float((wg_dtype)node->dtype);
        wg__chain_step *last = narrow ? narrow_step(b, step->out) : step;
        last->store = (int16_t)b->n_stores++;
        if (!chain_operand(e, &b->chain->stores[last->store], id, wg__shape_of_node(e->tape, node))) return false;
    }
    if (b->last_read[i] <= i) register_free(b, step->out); /* no step reads it */
    return true;
}

/* Step i: adds a register to a sum. */
static bool sum_step(builder *b, uint32_t i)
{
    wg__emit *e = b->e;
    const uint32_t id = b->members[i];
    const wg__node *node = &e->tape->nodes[id];
    const uint32_t from = e->at[wg__inputs(e->tape, node)[0]];
    wg__chain *chain = b->chain;
    wg__lines lines;
    wg__lines_of_sum(e->tape, node, &lines);
    chain->line = lines.line;
    chain->span = lines.line * lines.count;
    chain->steps[b->n_steps++] = (wg__chain_step){
        .in = {(uint16_t)(from + (uint32_t)chain->n_loads)}, .n_in = 1, .store = -1, .sum = (int16_t)b->n_sums};
    if (b->last[from] == i) register_free(b, from);
    wg__chain_sum *sum = &chain->sums[b->n_sums++];
    sum->size = (uint8_t)wg_dtype_size((wg_dtype)node->dtype);
    sum->kernels = e->tape->structural->line_sums((wg_dtype)node->dtype);
    sum->state = chain->state_bytes;
    chain->state_bytes += sum->kernels->bytes;
    return wg__emit_bind(e, &sum->out, id);
}

bool wg__emit_chain(wg__emit *e, uint32_t id)
{
    const wg__unit *unit = &e->p->units.list[id];
    uint32_t loaded[4 * WG__CHAIN_STEPS];
    strides room[5 * WG__CHAIN_STEPS];
    builder b = {
        .e = e, .loaded = loaded, .members = e->p->units.members + unit->first, .n = unit->count, .unit = id};
    assert(b.n > 0 && b.n <= WG__CHAIN_STEPS);
    const wg__node *head = wg__node_at(e->p, b.members[0]);
    const wg_shape *space = wg__shape_of_node(e->tape, head);
    b.chain = chain_new(e, space, wg__numel_of(e->tape, head), count(&b), room);
    if (!b.chain) return false;
    for (int i = 0; i < b.chain->n_loads; i++)
        if (!(is_inside(&b, b.loaded[i]) ? slice_operand(&b, i, space)
                                         : chain_operand(e, &b.chain->loads[i], b.loaded[i], space)))
            return false;
    for (uint32_t i = 0; i < b.n; i++)
        if (!(is_step(&b, b.members[i]) ? value_step(&b, i) : sum_step(&b, i))) return false;
    assert(b.n_steps == b.chain->n_steps && b.n_stores == b.chain->n_stores && b.n_sums == b.chain->n_sums);
    bool assigns = false;
    for (uint32_t i = 0; i < b.n; i++) assigns |= wg__emit_assigns(e, b.members[i]);
    return finish_chain(e, b.chain, b.members[b.n - 1], assigns);
}

bool wg__emit_move(wg__emit *e, uint32_t from, uint32_t whole, const wg_layout *layout)
{
    const wg__node *node = wg__node_at(e->p, from);
    if (!wg__numel_of(e->tape, node)) return true;
    const wg_shape *shape = wg__shape_of_node(e->tape, node);
    wg__chain counts = {.n_loads = 1, .n_steps = 1, .n_stores = 1, .n_registers = 1};
    strides room[2];
    wg__chain *chain = chain_new(e, shape, wg__numel_of(e->tape, node), counts, room);
    if (!chain || !chain_operand(e, &chain->loads[0], from, shape)) return false;
    int64_t size = wg__element_of(e->p, from);
    chain->steps[0] =
        (wg__chain_step){.fn = e->tape->structural->identity((size_t)size), .n_in = 1, .size = (uint8_t)size};
    chain->stores[0].size = (uint8_t)size;
    memcpy(chain->stores[0].stride, layout->stride, sizeof layout->stride);
    int64_t base = e->p->storage.view[whole] ? e->p->storage.view[whole]->offset : 0;
    if (!wg__emit_bind_at(e, &chain->stores[0].data, whole, base + layout->offset)) return false;
    return finish_chain(e, chain, whole, false);
}
