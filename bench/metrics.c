/* Metrics of the plans of all models, on one thread and on two: the text of tests/plan_metrics.txt. Nothing is timed.
 *
 *     instrs               instructions: products, chains, kernels and packs
 *     segments, steps      terms of all products (more than products: merged); pointwise steps of all chains
 *     items, stages        entries of the task queue; barriers, where threads wait for each other
 *     block, outputs       bytes of intermediate values, and of values that the caller can read
 *     packed               bytes of packed weights without the padding to whole panels, so that the number does not
 *                          depend on the instruction set */
#include <stdio.h>
#include <string.h>

#include "../autograd/plan/cache.h"
#include "models.h"

/* The plan of a step. A training step is recorded and planned, not run; a generator generates one token. */
static const wg__plan *plan_of(model *m)
{
    if (m->kind.run) {
        m->kind.time = 1;
        m->kind.run(m);
    } else {
        wg_backward_bytes(wg_keep(m->kind.loss(m)));
    }
    const wg__plan *plan = m->tape->cache->plans;
    if (!plan || wg_tape_status(m->tape) != WG_OK) app_fail("%s: %s", m->kind.id, wg_tape_message(m->tape));
    return plan;
}

static void print_plan(const char *id, int threads, const wg__plan *plan)
{
    uint32_t count[WG__INSTR_PACK + 1] = {0}, segments = 0, steps = 0;
    int64_t packed = 0; /* elements */
    for (const wg__instr *instr = plan->instrs; instr < plan->instrs + plan->n_instrs; instr++) {
        count[instr->kind]++;
        if (instr->kind == WG__INSTR_PRODUCT) segments += (uint32_t)instr->product->n_segments;
        if (instr->kind == WG__INSTR_CHAIN) steps += (uint32_t)instr->chain->n_steps;
        if (instr->kind == WG__INSTR_PACK) packed += instr->product->segments[0].k * instr->product->n;
    }
    printf("%-14s %7d %6u %8u %8u %6u %6u %7u %5u %6u %6u %10zu %8zu %10zu\n", id, threads, plan->n_instrs,
           count[WG__INSTR_PRODUCT], segments, count[WG__INSTR_CHAIN], steps, count[WG__INSTR_KERNEL],
           count[WG__INSTR_PACK], plan->n_items, plan->n_stages, plan->block_bytes, plan->output_bytes,
           (size_t)packed * sizeof(float));
}

void bench_metrics(const bench_settings *settings)
{
    printf("%-14s %7s %6s %8s %8s %6s %6s %7s %5s %6s %6s %10s %8s %10s\n", "model", "threads", "instrs",
           "products", "segments", "chains", "steps", "kernels", "packs", "items", "stages", "block", "outputs",
           "packed");
    for (const model_kind *kind = model_kinds; kind->id; kind++) {
        if (settings->filter && !strstr(kind->id, settings->filter)) continue;
        for (int threads = 1; threads <= 2; threads++) {
            wg_pool *pool = wg_pool_new(threads);
            if (!pool) app_fail("out of memory");
            model *m = model_new(kind->id, pool, "", false);
            print_plan(kind->id, threads, plan_of(m));
            model_free(m);
            wg_pool_free(pool);
        }
    }
}
