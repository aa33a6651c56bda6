/* Running: executes the instructions and reports errors that depend on values. A run does not allocate and does not
 * stop before its last instruction. */
#include "run.h"

#include "../base/clock.h"
#include "../base/pool.h"
#include "timeline.h"

#include <stdio.h>

/* ---- executing ----------------------------------------------------------------------------------------------- */

typedef struct walk {
    wg_tape *tape;
    wg__plan *plan;
    wg_run *run;
    wg__timeline *timeline; /* NULL: nobody asked for one */
    const wg__fp *caller;   /* the environment of callbacks */
    size_t scratch;         /* bytes per thread */
    uint32_t given;         /* gradients that were final so far */
    bool nonfinite;         /* option locate_nonfinite: a NaN or Inf was found, ... */
    uint32_t nonfinite_instr;
    int64_t nonfinite_at; /* ... at this element */
} walk;

static void run_all(const walk *w, uint32_t i, int thread, void *scratch)
{
    const uint64_t start = w->timeline ? wg__now() : 0;
    wg__instr_run_all(&w->plan->instrs[i], w->run, scratch);
    if (w->timeline) wg__timeline_add(w->timeline, thread, i, WG__ALL_TASKS, start);
}

static void walk_alone(walk *w)
{
    for (uint32_t i = 0; i < w->plan->n_instrs; i++) {
        run_all(w, i, 0, w->tape->run->scratch);
        wg__give_finals(w->tape, w->plan, i + 1, &w->given, w->caller);
    }
}

static void run_item(const walk *w, const wg__item *item, uint32_t task, int thread, void *scratch)
{
    const wg__instr *instr = &w->plan->instrs[item->first];
    assert(item->count > 0 && item->first + item->count <= w->plan->n_instrs);
    assert(item->count == 1 ? task - item->first_task < instr->tasks : task == item->first_task);
    if (item->count > 1) {
        for (uint32_t i = 0; i < item->count; i++) run_all(w, item->first + i, thread, scratch);
        return;
    }
    const uint64_t start = w->timeline ? wg__now() : 0;
    wg__instr_run(instr, task - item->first_task, w->run, scratch);
    if (w->timeline) wg__timeline_add(w->timeline, thread, item->first, task - item->first_task, start);
}

/* Threads take the tasks of a stage in order and continue when all are done. A thread that the machine does not
 * schedule delays the others only while it holds a task. Which thread runs a task changes no bit. Thread 0 gives away
 * what is final while the others go on. */
static void walk_thread(void *context, int thread)
{
    walk *w = context;
    const wg__fp caller = wg__fp_begin();
    char *scratch = (char *)w->tape->run->scratch + (size_t)thread * w->scratch;
    for (uint32_t i = 0; i < w->plan->n_stages; i++) {
        wg__stage *stage = &w->plan->stages[i];
        const wg__item *item = &w->plan->items[stage->first], *last = item + stage->count - 1;
        uint32_t task;
        while (__atomic_load_n(&stage->taken, __ATOMIC_RELAXED) < stage->tasks &&
               (task = __atomic_fetch_add(&stage->taken, 1, __ATOMIC_RELAXED)) < stage->tasks) {
            while (item < last && task >= item[1].first_task) item++;
            run_item(w, item, task, thread, scratch);
            __atomic_fetch_add(&stage->done, 1, __ATOMIC_ACQ_REL);
        }
        wg__pool_wait(&stage->done, stage->tasks);
        const uint32_t next = last->first + last->count;
        if (thread == 0) wg__give_finals(w->tape, w->plan, next, &w->given, w->caller);
    }
    wg__fp_end(&caller);
}

static bool walk_together(walk *w)
{
    for (uint32_t i = 0; i < w->plan->n_stages; i++) w->plan->stages[i].taken = w->plan->stages[i].done = 0;
    return wg__pool_run(w->tape->options.pool, walk_thread, w);
}

/* Runs one instruction after the other and searches each result for NaN and Inf. */
static void walk_searching(walk *w)
{
    for (uint32_t i = 0; i < w->plan->n_instrs; i++) {
        const wg__instr *instr = &w->plan->instrs[i];
        const bool minus_infinity = !w->nonfinite && wg__reads_minus_infinity(instr); /* it may be overwritten */
        run_all(w, i, 0, w->tape->run->scratch);
        int64_t at = w->nonfinite ? -1 : wg__first_bad(w->tape, w->plan, i, minus_infinity);
        if (at < 0) continue;
        w->nonfinite = true;
        w->nonfinite_instr = i;
        w->nonfinite_at = at;
    }
}

/* ---- reports --------------------------------------------------------------------------------------------------- */

static wg_status check_versions(wg_tape *tape, const wg__plan *plan)
{
    for (uint32_t i = 0; i < plan->n_params; i++) {
        const wg__leaf *leaf = &tape->leaves[tape->nodes[plan->params[i]].slot];
        assert(leaf->param && leaf->version <= wg_param_version(leaf->param));
        if (leaf->state != WG__LEAF_PAST && wg_param_version(leaf->param) != leaf->version)
            return wg__tape_error(
                tape, WG_ERR_CHANGED,
                "parameter %s has changed since it was recorded; call wg_keep on values that are read after an "
                "update, or reset the tape",
                wg_param_name(leaf->param));
    }
    return WG_OK;
}

/* Counts packings and records the versions of the parameters that the run packed. */
static void note_packs(wg_tape *tape, const wg__plan *plan)
{
    for (uint32_t i = 0; i < plan->n_packs; i++) {
        uint32_t packed = plan->instrs[i].packed;
        assert(plan->instrs[i].kind == WG__INSTR_PACK);
        if (packed && wg__packed_is_fresh(tape, packed)) continue;
        if (packed) wg__packed_filled(tape, packed);
        tape->counts.packings++;
    }
}

/* "op [scope]" or "gradient of op [scope]" of an instruction. */
static void name_of(const wg_tape *tape, const wg__plan *plan, uint32_t instr, char *text, size_t size)
{
    const wg__origin *origin = &plan->origins[instr];
    wg__scope_text scope;
    const char *label = wg__scope_label(tape, origin->scope, &scope);
    const char *op = wg__op_name(tape, origin->op);
    if (origin->forward_op)
        snprintf(text, size, "%s in the gradient of %s%s", op, tape->interned.ops[origin->forward_op]->name, label);
    else
        snprintf(text, size, "%s%s", op, label);
}

/* Stores the error of a failed run. */
static wg_status report(wg_tape *tape, const wg__plan *plan, const walk *w)
{
    const wg_run *run = w->run;
    char name[192];
    if (wg__failed(tape)) return tape->errors.first.status; /* of a kernel that called the library */
    if (run->bad_count) {
        wg__scope_text scope = {{0}};
        if (run->bad_node < tape->n_nodes) wg__scope_label(tape, tape->nodes[run->bad_node].scope, &scope);
        return wg__tape_error(tape, WG_ERR_INDEX, "%s%s: index %lld at position %lld is out of range (0 to %lld)",
                              run->bad_op->name, scope.text, (long long)run->bad_value,
                              (long long)run->bad_position, (long long)run->bad_limit - 1);
    }
    assert(w->nonfinite);
    name_of(tape, plan, w->nonfinite_instr, name, sizeof name);
    return wg__tape_error(tape, WG_ERR_NONFINITE, "%s: the first NaN or Inf, at element %lld, step %llu", name,
                          (long long)w->nonfinite_at, (unsigned long long)tape->step);
}

wg_status wg__run(wg_tape *tape, wg__plan *plan)
{
    int threads = wg_pool_threads(tape->options.pool);
    wg_status status = check_versions(tape, plan);
    if (status != WG_OK) return status;
    if (!wg__run_bind(tape, plan, threads)) return wg__out_of_memory(tape);
    wg_run run = {.tape = tape, .seed = tape->seed, .step = tape->step};
    walk w = {.tape = tape, .plan = plan, .run = &run, .timeline = wg__timeline_begin(tape, plan)};
    const uint64_t start = w.timeline ? wg__now() : 0;
    w.scratch = wg__thread_scratch(plan);
    assert(plan->bound && w.scratch * (size_t)threads <= tape->run->scratch_bytes);
    tape->cache->last_plan = plan;
    tape->counts.instructions = plan->n_instrs;
    const wg__fp caller = wg__fp_begin();
    w.caller = &caller;
    if (tape->options.locate_nonfinite)
        walk_searching(&w);
    else if (tape->options.profile)
        wg__profile_walk(tape, plan, &run, w.timeline);
    else if (threads == 1 || !plan->parallel || !walk_together(&w))
        walk_alone(&w);
    if (w.timeline) wg__timeline_end(w.timeline, plan, start);
    note_packs(tape, plan);
    const bool ok = !run.bad_count && !w.nonfinite && !wg__failed(tape);
    tape->step_drawn |= run.drawn;
    if (ok) {
        wg__run_commit(tape, plan);
        wg__give_finals(tape, plan, plan->n_instrs, &w.given, &caller);
        wg__give_committed(tape, plan, &caller);
    } else {
        wg__run_discard(tape, plan);
    }
    wg__fp_end(&caller);
    return ok && !wg__failed(tape) ? WG_OK : report(tape, plan, &w);
}

void wg__run_state_release(wg_tape *tape)
{
    wg__heap *heap = &tape->heap;
    wg__run_state *run = tape->run;
    wg__profile_free(tape);
    wg__timeline_free(tape);
    wg__heap_release(heap, run->block, run->block_bytes);
    wg__heap_release(heap, run->scratch, run->scratch_bytes);
    wg__heap_release(heap, run->staging, run->staging_bytes);
}
