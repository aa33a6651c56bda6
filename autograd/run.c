/* Running: binds addresses, walks the instructions, reports what only numbers could show. A run does not allocate
 * and cannot stop half-way. A first gradient is written where it stands, and cleared if the run fails; a buffer, where
 * nothing can fail any more; other gradients and assigned values stand aside until the run has ended well. */
#include "plan.h"

#include <stdio.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* ---- reports from kernels ---------------------------------------------------------------------------------- */

/* The smallest (node, position) is kept, so that the report is the same on any number of threads. */
void wg_args_bad_index(const wg_args *args, int64_t position, int64_t index, int64_t limit)
{
    wg_run *run = args->run;
    uint64_t place = ((uint64_t)args->node << 32) | (uint32_t)position;
    while (__atomic_exchange_n(&run->bad_lock, 1, __ATOMIC_ACQUIRE)) continue;
    if (place < run->bad_index) {
        run->bad_index = place;
        run->bad_value = index;
        run->bad_limit = limit;
        run->bad_op = args->op;
    }
    run->bad_count++;
    __atomic_store_n(&run->bad_lock, 0, __ATOMIC_RELEASE);
}

uint64_t wg_args_seed(const wg_args *args) { return args->run->seed; }
uint64_t wg_args_step(const wg_args *args) { return args->run->step; }

/* ---- denormals are zero while a run lasts -------------------------------------------------------------------- */

static uint64_t flush_begin(void)
{
#if defined(__x86_64__)
    unsigned old = _mm_getcsr();
    _mm_setcsr(old | 0x8040); /* flush to zero, denormals are zero */
    return old;
#elif defined(__aarch64__)
    uint64_t old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    __asm__ volatile("msr fpcr, %0" ::"r"(old | (1u << 24)));
    return old;
#else
    return 0;
#endif
}

static void flush_end(uint64_t old)
{
#if defined(__x86_64__)
    _mm_setcsr((unsigned)old);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" ::"r"(old));
#else
    (void)old;
#endif
}

/* ---- binding ------------------------------------------------------------------------------------------------- */

static wg_param *trained(const wg_tape *tape, const wg__output *output)
{
    return tape->leaves[tape->nodes[output->target].slot].param;
}

/* The leaf of a buffer that a run is about to assign; NULL: nothing was recorded from its value. */
static wg__leaf *current_leaf(wg_tape *tape, const wg_buffer *buffer)
{
    uint32_t id = wg__param_node(tape, wg__param_id(buffer));
    wg__leaf *leaf = id ? &tape->leaves[tape->nodes[id].slot] : NULL;
    return leaf && leaf->state == WG__LEAF_CURRENT ? leaf : NULL;
}

/* Whether the buffer's value is wanted after the run assigned another. */
static bool keeps_past(wg_tape *tape, const wg_buffer *buffer)
{
    const wg__leaf *leaf = current_leaf(tape, buffer);
    return leaf && leaf->recorded && leaf->version == wg_param_version(leaf->param);
}

/* Whether what stands at an output's home counts until the run has ended well. */
static bool is_aside(wg_tape *tape, const wg__output *output)
{
    return output->kind == WG__OUTPUT_GRAD ? !wg__param_grad_empty(trained(tape, output))
                                           : keeps_past(tape, tape->assigns[output->target].buffer);
}

size_t wg__aside_bytes(wg_tape *tape, const wg__plan *plan)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < plan->n_slots; i++) {
        if (plan->slots[i].kind != WG__SLOT_HOME) continue;
        const wg__output *output = &plan->outputs[plan->slots[i].index];
        if (is_aside(tape, output)) bytes += wg__room_for(output->bytes);
    }
    return bytes;
}

static void *home(const wg_tape *tape, const wg__output *output)
{
    return output->kind == WG__OUTPUT_GRAD ? wg__param_grad_data(trained(tape, output))
                                           : wg__param_data(tape->assigns[output->target].buffer);
}

static void *home_base(wg_tape *tape, const wg__output *output, size_t *aside)
{
    if (!is_aside(tape, output)) return home(tape, output);
    void *memory = (char *)tape->aside + *aside;
    *aside += wg__room_for(output->bytes);
    return memory;
}

static void *slot_base(wg_tape *tape, wg__plan *plan, wg__slot *slot, size_t *aside)
{
    switch (slot->kind) {
    case WG__SLOT_BLOCK: return tape->block;
    case WG__SLOT_LEAF: return tape->leaves[slot->index].data;
    case WG__SLOT_VALUE: return tape->values[slot->index];
    case WG__SLOT_HELD: return tape->held[slot->index].memory;
    case WG__SLOT_OUTPUT: return wg__arena_alloc(&tape->kept, plan->outputs[slot->index].bytes + 64, 64);
    case WG__SLOT_HOME: return home_base(tape, &plan->outputs[slot->index], aside);
    }
    return NULL;
}

/* Addresses that are the same as at the last run need not be written again. */
static bool bind(wg_tape *tape, wg__plan *plan)
{
    size_t aside = 0;
    for (uint32_t s = 0; s < plan->n_slots; s++) {
        wg__slot *slot = &plan->slots[s];
        char *base = slot_base(tape, plan, slot, &aside);
        if (!base && (slot->kind == WG__SLOT_OUTPUT || (slot->kind == WG__SLOT_BLOCK && plan->block_bytes)))
            return false;
        if (plan->shown && base == slot->base) continue;
        slot->base = base;
        for (uint32_t i = 0; i < slot->n_fixups; i++) {
            const wg__fixup *fixup = &plan->fixups[slot->first_fixup + i];
            *fixup->where = (void *)((uintptr_t)base + (uintptr_t)fixup->offset);
        }
    }
    plan->shown = true;
    return true;
}

/* Room for the values that buffers have before they are assigned. */
static bool reserve_past(wg_tape *tape, const wg__plan *plan)
{
    for (uint32_t i = 0; i < plan->n_outputs; i++) {
        const wg__output *output = &plan->outputs[i];
        if (output->kind != WG__OUTPUT_ASSIGN) continue;
        wg__assign *assign = &tape->assigns[output->target];
        assign->before = NULL;
        if (!keeps_past(tape, assign->buffer)) continue;
        assign->before = wg__arena_alloc(&tape->data, output->bytes + 64, 64);
        if (!assign->before) return false;
    }
    return true;
}

/* Of a thread: whole pages. */
static size_t scratch_each(const wg__plan *plan) { return (plan->scratch_bytes + 4095) & ~(size_t)4095; }

/* Memory of at least `need` bytes; what stands there is lost. */
static bool make_room(wg__heap *heap, void **memory, size_t *bytes, size_t need)
{
    if (need <= *bytes) return true;
    wg__heap_release(heap, *memory, *bytes);
    *bytes = 0;
    *memory = wg__heap_alloc(heap, need);
    if (*memory) *bytes = need;
    return *memory != NULL;
}

/* Memory for the block, for every thread's scratch, for gradients that are added. */
static bool reserve(wg_tape *tape, const wg__plan *plan, int threads)
{
    wg__heap *heap = &tape->heap;
    size_t scratch = scratch_each(plan) * (size_t)threads;
    if (!make_room(heap, &tape->block, &tape->block_bytes, plan->block_bytes) ||
        !make_room(heap, &tape->task_scratch, &tape->task_scratch_bytes, scratch) ||
        !make_room(heap, &tape->aside, &tape->aside_bytes, wg__aside_bytes(tape, plan)))
        return false;
    if (!wg__grow(&tape->heap, (void **)&tape->values, &tape->cap_values,
                  (uint64_t)tape->n_values + plan->n_outputs, sizeof(void *)))
        return false;
    return reserve_past(tape, plan);
}

static wg_status check_versions(wg_tape *tape, const wg__plan *plan)
{
    for (uint32_t i = 0; i < plan->n_params; i++) {
        const wg__leaf *leaf = &tape->leaves[tape->nodes[plan->params[i]].slot];
        if (leaf->state != WG__LEAF_PAST && wg_param_version(leaf->param) != leaf->version)
            return wg__tape_error(
                tape, WG_ERR_CHANGED,
                "parameter %s has changed since it was recorded; wg_keep what is read after an update, "
                "or reset the tape",
                wg_param_name(leaf->param));
    }
    return WG_OK;
}

/* ---- walking ------------------------------------------------------------------------------------------------- */

void wg__instr_run(const wg__instr *instr, int64_t task, wg_run *run, void *scratch)
{
    switch (instr->kind) {
    case WG__INSTR_CHAIN:
        if (!instr->assigns || !run->bad_count) wg__structural_ops.chain(instr->chain, task, scratch);
        break;
    case WG__INSTR_PRODUCT: instr->kernels->run(instr->product, task, scratch); break;
    case WG__INSTR_PACK:
        if (instr->held && wg__held_is_fresh(run->tape, instr->held - 1)) break;
        instr->kernels->pack(instr->product, (void *)(uintptr_t)instr->product->packed_b, task);
        break;
    case WG__INSTR_KERNEL: {
        wg_args args = *instr->args; /* scratch and run differ from thread to thread */
        args.scratch = scratch;
        args.run = run;
        instr->kernel(&args, task);
        break;
    }
    }
}

typedef struct walk {
    wg_tape *tape;
    wg__plan *plan;
    wg_run *run;
    wg_pool *pool;
    size_t scratch;     /* bytes a thread */
    uint32_t nonfinite; /* instruction + 1 of the first NaN or Inf, when that is asked for */
    int64_t nonfinite_at;
} walk;

static void walk_alone(walk *w)
{
    for (uint32_t i = 0; i < w->plan->n_instrs; i++) {
        const wg__instr *instr = &w->plan->instrs[i];
        for (int64_t task = 0; task < instr->tasks; task++)
            wg__instr_run(instr, task, w->run, w->tape->task_scratch);
    }
}

static void run_item(const walk *w, const wg__item *item, uint32_t task, void *scratch)
{
    const wg__instr *instr = &w->plan->instrs[item->first];
    if (item->count == 1) {
        wg__instr_run(instr, task - item->first_task, w->run, scratch);
        return;
    }
    for (uint32_t i = 0; i < item->count; i++)
        for (int64_t j = 0; j < instr[i].tasks; j++) wg__instr_run(&instr[i], j, w->run, scratch);
}

/* Threads take the tasks of a phase as they come and go on when all are done. A thread that the machine keeps
 * waiting holds nobody up unless it holds a task; which thread does a task changes no bit. */
static void walk_thread(void *context, int thread)
{
    walk *w = context;
    uint64_t mode = flush_begin();
    char *scratch = (char *)w->tape->task_scratch + (size_t)thread * w->scratch;
    for (uint32_t i = 0; i < w->plan->n_phases; i++) {
        wg__phase *phase = &w->plan->phases[i];
        const wg__item *item = &w->plan->items[phase->first], *last = item + phase->count - 1;
        uint32_t task;
        while (__atomic_load_n(&phase->taken, __ATOMIC_RELAXED) < phase->tasks &&
               (task = __atomic_fetch_add(&phase->taken, 1, __ATOMIC_RELAXED)) < phase->tasks) {
            while (item < last && task >= item[1].first_task) item++;
            run_item(w, item, task, scratch);
            __atomic_fetch_add(&phase->done, 1, __ATOMIC_ACQ_REL);
        }
        wg__pool_wait(&phase->done, phase->tasks);
    }
    flush_end(mode);
}

static bool walk_together(walk *w)
{
    for (uint32_t i = 0; i < w->plan->n_phases; i++) w->plan->phases[i].taken = w->plan->phases[i].done = 0;
    return wg__pool_run(w->pool, walk_thread, w);
}

/* The dense result of an instruction, for looking at: false if it has none of its own. */
static bool result_of(const wg__instr *instr, const void **data, wg_dtype *dtype, int64_t *numel)
{
    if (instr->kind == WG__INSTR_KERNEL) {
        *data = instr->args->out.data;
        *dtype = instr->args->out.dtype;
        *numel = instr->args->out.numel;
        return wg_dtype_is_float(*dtype);
    }
    if (instr->kind == WG__INSTR_PRODUCT && instr->product->c_cs == 1 &&
        instr->product->c_rs == instr->product->n) {
        *data = instr->product->c;
        *dtype = instr->product->dtype;
        *numel = instr->product->m * instr->product->n * instr->product->batches;
        return true;
    }
    if (instr->kind == WG__INSTR_CHAIN && instr->chain->n_stores && instr->chain->stores[0].flat &&
        instr->chain->float_result) {
        *data = instr->chain->stores[0].data;
        *dtype = instr->chain->stores[0].size == 8 ? WG_F64 : WG_F32;
        *numel = instr->chain->numel;
        return true;
    }
    return false;
}

/* One instruction after the other, looking at each result. */
static void walk_looking(walk *w)
{
    for (uint32_t i = 0; i < w->plan->n_instrs; i++) {
        const wg__instr *instr = &w->plan->instrs[i];
        for (int64_t task = 0; task < instr->tasks; task++)
            wg__instr_run(instr, task, w->run, w->tape->task_scratch);
        const void *data;
        wg_dtype dtype;
        int64_t numel;
        if (w->nonfinite || !result_of(instr, &data, &dtype, &numel)) continue;
        int64_t at = wg__structural_ops.first_nonfinite(dtype, data, numel);
        if (at < 0) continue;
        w->nonfinite = i + 1;
        w->nonfinite_at = at;
    }
}

/* ---- what a run leaves --------------------------------------------------------------------------------------- */

static void add_to(wg_dtype dtype, const void *in, int64_t n, void *out)
{
    const wg_op *op = wg__structural_ops.accumulate;
    wg_operand operand = {
        .data = (void *)(uintptr_t)in, .rank = 1, .size = {n}, .stride = {1}, .numel = n, .dtype = dtype};
    wg_args args = {.op = op, .in = &operand, .n_in = 1, .out = operand};
    args.out.data = out;
    wg_kernel kernel = op->select(op, &dtype, 1, dtype);
    int64_t tasks = n == 0 ? 0 : op->tasks ? op->tasks(&args) : 1;
    for (int64_t task = 0; task < tasks; task++) kernel(&args, task);
}

/* Gradients that stand where they belong already are only noted. */
static void write_grad(const wg__output *output, wg_param *param)
{
    void *grad = wg__param_grad_data(param);
    if (!wg__param_grad_empty(param))
        add_to(output->dtype, output->memory, output->numel, grad);
    else if (output->memory != grad)
        memcpy(grad, output->memory, output->bytes);
    wg__param_grad_written(param);
}

/* Writes a buffer. What was recorded from it before keeps the old value. */
static void write_buffer(wg_tape *tape, const wg__assign *a, const wg__output *output)
{
    wg__leaf *leaf = current_leaf(tape, a->buffer);
    if (leaf) leaf->state = a->before ? WG__LEAF_PAST : WG__LEAF_OUTDATED;
    if (leaf && a->before) leaf->data = memcpy(a->before, leaf->data, output->bytes);
    void *value = wg__param_data(a->buffer);
    if (output->bytes && output->memory != value) memcpy(value, output->memory, output->bytes);
    wg__param_written(a->buffer);
}

static void commit(wg_tape *tape, const wg__plan *plan)
{
    for (uint32_t i = 0; i < plan->n_outputs; i++) {
        const wg__output *output = &plan->outputs[i];
        if (output->kind == WG__OUTPUT_VALUE) {
            wg__node *node = &tape->nodes[output->node];
            if (node->flags & WG__NODE_KEPT) tape->n_kept--;
            node->flags = (uint16_t)((node->flags & ~WG__NODE_KEPT) | WG__NODE_VALUE);
            node->value = tape->n_values;
            tape->values[tape->n_values++] = output->memory;
            wg__hash_mix(tape, output->node, 13);
        } else if (output->kind == WG__OUTPUT_GRAD) {
            write_grad(output, trained(tape, output));
        } else {
            write_buffer(tape, &tape->assigns[output->target], output);
        }
    }
    tape->n_assigns = 0;
}

static void discard(const wg_tape *tape, const wg__plan *plan)
{
    for (uint32_t i = 0; i < plan->n_outputs; i++)
        if (plan->outputs[i].kind == WG__OUTPUT_GRAD) wg__param_grad_spoilt(trained(tape, &plan->outputs[i]));
}

/* Counts what was packed, and remembers which versions that stands for. */
static void note_packs(wg_tape *tape, const wg__plan *plan)
{
    for (uint32_t i = 0; i < plan->n_packs; i++) {
        uint32_t held = plan->instrs[i].held;
        if (held && wg__held_is_fresh(tape, held - 1)) continue;
        if (held) wg__held_packed(tape, held - 1);
        tape->counts.packings++;
    }
}

/* "op [scope]" or "gradient of op [scope]" of an instruction. */
static void name_of(const wg_tape *tape, const wg__plan *plan, uint32_t instr, char *text, size_t size)
{
    const uint32_t *origin = &plan->origin[3 * instr];
    const char *scope = tape->scopes[origin[1]].path;
    const char *op = origin[0] ? tape->ops[origin[0]]->name : "leaf";
    if (origin[2])
        snprintf(text, size, "%s in the gradient of %s%s%s%s", op, tape->ops[origin[2]]->name, scope[0] ? " [" : "",
                 scope, scope[0] ? "]" : "");
    else
        snprintf(text, size, "%s%s%s%s", op, scope[0] ? " [" : "", scope, scope[0] ? "]" : "");
}

static wg_status report(wg_tape *tape, const wg__plan *plan, const walk *w)
{
    const wg_run *run = w->run;
    char name[192];
    if (run->bad_count) {
        const wg__node *node = &tape->nodes[run->bad_index >> 32];
        bool known = (run->bad_index >> 32) < tape->n_nodes;
        const char *scope = known ? tape->scopes[node->scope].path : "";
        return wg__tape_error(
            tape, WG_ERR_INDEX, "%s%s%s%s: index %lld at position %lld is out of range (0 to %lld)",
            run->bad_op->name, scope[0] ? " [" : "", scope, scope[0] ? "]" : "", (long long)run->bad_value,
            (long long)(run->bad_index & 0xffffffffu), (long long)run->bad_limit - 1);
    }
    if (w->nonfinite) {
        name_of(tape, plan, w->nonfinite - 1, name, sizeof name);
        return wg__tape_error(tape, WG_ERR_NONFINITE, "%s: the first NaN or Inf, at element %lld, step %llu", name,
                              (long long)w->nonfinite_at, (unsigned long long)tape->step);
    }
    return WG_OK;
}

wg_status wg__run(wg_tape *tape, wg__plan *plan)
{
    int threads = wg_pool_threads(tape->options.pool);
    wg_status status = check_versions(tape, plan);
    if (status != WG_OK) return status;
    if (!reserve(tape, plan, threads) || !bind(tape, plan)) return wg__out_of_memory(tape);
    wg_run run = {.tape = tape, .seed = tape->seed, .step = tape->step, .bad_index = UINT64_MAX};
    walk w = {.tape = tape, .plan = plan, .run = &run, .pool = tape->options.pool};
    w.scratch = scratch_each(plan);
    tape->last_plan = plan;
    tape->counts.instructions = plan->n_instrs;
    uint64_t mode = flush_begin();
    if (tape->options.locate_nonfinite)
        walk_looking(&w);
    else if (tape->options.profile)
        wg__profile_walk(tape, plan, &run);
    else if (threads == 1 || !plan->parallel || !walk_together(&w))
        walk_alone(&w);
    note_packs(tape, plan);
    status = report(tape, plan, &w);
    if (status == WG_OK)
        commit(tape, plan);
    else
        discard(tape, plan);
    flush_end(mode);
    return status;
}
