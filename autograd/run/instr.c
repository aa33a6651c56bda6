/* One task of an instruction, and what kernels ask of and report to the run. */
#include "run.h"

#include <assert.h>

void wg__instr_run(const wg__instr *instr, int64_t task, wg_run *run, void *scratch)
{
    assert(task >= 0 && task < instr->tasks);
    if (instr->assigns && run->bad_count) return;
    switch (instr->kind) {
    case WG__INSTR_CHAIN: run->tape->structural->chain(instr->chain, task, scratch); break;
    case WG__INSTR_PRODUCT: instr->kernels->run(instr->product, task, scratch); break;
    case WG__INSTR_PACK:
        if (instr->packed && wg__packed_is_fresh(run->tape, instr->packed)) break;
        instr->kernels->pack(instr->product, (void *)(uintptr_t)instr->product->packed_b, task);
        break;
    case WG__INSTR_KERNEL: {
        wg_args args = *instr->args; /* scratch and run are the thread's */
        args.scratch = scratch;
        args.run = run;
        instr->kernel(&args, task);
        break;
    }
    }
}

void wg__instr_run_all(const wg__instr *instr, wg_run *run, void *scratch)
{
    for (int64_t task = 0; task < instr->tasks; task++) wg__instr_run(instr, task, run, scratch);
}

int64_t wg__product_depth(const wg__product *product)
{
    int64_t k = 0;
    for (int i = 0; i < product->n_segments; i++) k += product->segments[i].k;
    return k;
}

const char *wg__op_name(const wg_tape *tape, uint32_t op) { return op ? tape->interned.ops[op]->name : "leaf"; }

/* ---- reports from kernels ---------------------------------------------------------------------------------- */

/* The smallest (node, position) is kept, so that the report is the same on any number of threads. */
void wg_args_bad_index(const wg_args *args, int64_t position, int64_t index, int64_t limit)
{
    if (!args || !args->run) return;
    wg_run *run = args->run;
    while (__atomic_exchange_n(&run->bad_lock, 1, __ATOMIC_ACQUIRE)) continue;
    const bool first = args->node != run->bad_node ? args->node < run->bad_node : position < run->bad_position;
    if (run->bad_count == 0 || first) {
        run->bad_node = args->node;
        run->bad_position = position;
        run->bad_value = index;
        run->bad_limit = limit;
        run->bad_op = args->op;
    }
    run->bad_count++;
    __atomic_store_n(&run->bad_lock, 0, __ATOMIC_RELEASE);
}

uint64_t wg_args_seed(const wg_args *args) { return args && args->run ? args->run->seed : 0; }

/* Called by kernels on all threads. */
uint64_t wg_args_step(const wg_args *args)
{
    if (!args || !args->run) return 0;
    if (!__atomic_load_n(&args->run->drawn, __ATOMIC_RELAXED))
        __atomic_store_n(&args->run->drawn, true, __ATOMIC_RELAXED);
    return args->run->step;
}
