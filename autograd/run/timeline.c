/* The timeline: lanes of events, one a thread, and the labels that events share. */
#include "timeline.h"

#include <string.h>

#include "../base/clock.h"
#include "../base/random.h"
#include "../trace.h"

/* ---- labels ---- */

_Static_assert(sizeof(wg__label) == 6 * 4 + sizeof(wg_shape) + 4 * 8, "labels are compared as bytes");

static uint64_t hash_label(const void *owner, uint32_t id)
{
    return wg__hash_bytes(0, &((const wg__timeline *)owner)->labels[id - 1], sizeof(wg__label));
}

/* Forgets all events and labels. */
static void start_over(wg__timeline *t)
{
    for (int i = 0; i <= t->threads; i++) t->lanes[i].n = 0;
    t->n_labels = 0;
    wg__index_clear(&t->index);
}

/* The number of a label, which is added if it is new. There is room for it. */
static uint32_t number_of(wg__timeline *t, const wg__label *label)
{
    uint32_t at = (uint32_t)wg__hash_bytes(0, label, sizeof *label) & (t->index.size - 1);
    for (; t->index.table[at]; at = (at + 1) & (t->index.size - 1))
        if (!memcmp(&t->labels[t->index.table[at] - 1], label, sizeof *label)) return t->index.table[at] - 1;
    assert(t->n_labels < t->cap_labels);
    t->labels[t->n_labels++] = *label;
    t->index.table[at] = t->n_labels;
    t->index.count++;
    return t->n_labels - 1;
}

static wg__label label_of(const wg_tape *tape, const wg__plan *plan, uint32_t i)
{
    const wg__instr *instr = &plan->instrs[i];
    const wg__origin *origin = &plan->origins[i];
    wg__label label = {.op = origin->op,
                       .forward_op = origin->forward_op,
                       .scope = origin->scope,
                       .kind = instr->kind,
                       .dtype = origin->dtype,
                       .shape = tape->interned.shapes[origin->shape].shape};
    if (instr->kind == WG__INSTR_CHAIN) label.steps = (uint32_t)instr->chain->n_steps;
    if (instr->kind != WG__INSTR_PRODUCT && instr->kind != WG__INSTR_PACK) return label;
    const wg__product *p = instr->product;
    label.batches = p->batches, label.m = p->m, label.n = p->n, label.k = wg__product_depth(p);
    return label;
}

static bool label_room(wg_tape *tape, wg__timeline *t)
{
    return wg__grow(&tape->heap, (void **)&t->labels, &t->cap_labels, t->n_labels + 1u, sizeof *t->labels) &&
           wg__index_room(&tape->heap, &t->index, hash_label, t);
}

/* Events of one run name at most as many labels as it has instructions, and the run itself. */
static bool label_all(wg_tape *tape, wg__timeline *t, const wg__plan *plan)
{
    if (!wg__grow(&tape->heap, (void **)&t->of, &t->cap_of, plan->n_instrs + 1u, sizeof *t->of)) return false;
    if ((uint64_t)t->n_labels + plan->n_instrs > (uint64_t)t->room * (uint64_t)t->threads) start_over(t);
    for (uint32_t i = 0; i <= plan->n_instrs; i++) {
        if (!label_room(tape, t)) return false;
        const wg__label run = {.kind = WG__LABEL_RUN, .shape = WG_DIMS(plan->n_instrs)},
                        label = i < plan->n_instrs ? label_of(tape, plan, i) : run;
        t->of[i] = number_of(t, &label);
    }
    return true;
}

/* ---- recording ---- */

static void add(wg__timeline *t, wg__lane *lane, wg__event event) { lane->ring[lane->n++ % t->room] = event; }

wg__timeline *wg__timeline_begin(wg_tape *tape, const wg__plan *plan)
{
    wg__timeline *t = tape->run->timeline;
    return t && t->on && label_all(tape, t, plan) ? t : NULL;
}

void wg__timeline_add(wg__timeline *t, int thread, uint32_t instr, int64_t task, uint64_t start)
{
    assert(thread >= 0 && thread < t->threads);
    add(t, &t->lanes[thread], (wg__event){start, wg__now() - start, t->of[instr], (int32_t)task});
}

void wg__timeline_end(wg__timeline *t, const wg__plan *plan, uint64_t start)
{
    add(t, &t->lanes[t->threads], (wg__event){start, wg__now() - start, t->of[plan->n_instrs], WG__ALL_TASKS});
}

/* ---- making and freeing ---- */

void wg__timeline_free(wg_tape *tape)
{
    wg__timeline *t = tape->run->timeline;
    wg__heap *heap = &tape->heap;
    if (!t) return;
    for (int i = 0; t->lanes && i <= t->threads; i++)
        wg__heap_release(heap, t->lanes[i].ring, t->room * sizeof(wg__event));
    wg__heap_release(heap, t->lanes, ((size_t)t->threads + 1) * sizeof *t->lanes);
    wg__heap_release(heap, t->labels, t->cap_labels * sizeof *t->labels);
    wg__heap_release(heap, t->of, t->cap_of * sizeof *t->of);
    wg__index_release(heap, &t->index);
    wg__heap_release(heap, t, sizeof *t);
    tape->run->timeline = NULL;
}

static bool timeline_new(wg_tape *tape, uint32_t events)
{
    wg__heap *heap = &tape->heap;
    wg__timeline *t = tape->run->timeline = wg__heap_alloc(heap, sizeof *t);
    if (!t) return false;
    *t = (wg__timeline){.room = events, .threads = wg_pool_threads(tape->options.pool), .on = true};
    const size_t bytes = ((size_t)t->threads + 1) * sizeof *t->lanes;
    t->lanes = wg__heap_alloc(heap, bytes);
    if (t->lanes) memset(t->lanes, 0, bytes);
    for (int i = 0; t->lanes && i <= t->threads; i++)
        if (!(t->lanes[i].ring = wg__heap_alloc(heap, events * sizeof(wg__event)))) return false;
    return t->lanes;
}

wg_status wg_trace_runs(wg_tape *tape, int64_t events)
{
    if (!tape || events < 0 || events > WG__MOST_EVENTS) return WG_ERR_ARGUMENT;
    if (tape->modes.planning) return WG_ERR_ARGUMENT; /* a kernel or rule calls it */
    if (events == 0) {
        if (tape->run->timeline) tape->run->timeline->on = false;
        return WG_OK;
    }
    wg__timeline_free(tape);
    if (timeline_new(tape, (uint32_t)events)) return WG_OK;
    wg__timeline_free(tape);
    return WG_ERR_MEMORY;
}

/* ---- reading ---- */

void wg__timeline_rewind(wg__timeline *t)
{
    for (int i = 0; i <= t->threads; i++) {
        wg__lane *lane = &t->lanes[i];
        lane->read = lane->n > t->room ? lane->n - t->room : 0;
    }
}

/* A run stands before its first task, also if both start in the same nanosecond: its lane is asked first. */
const wg__event *wg__timeline_next(wg__timeline *t, int *thread)
{
    const wg__event *next = NULL;
    wg__lane *from = NULL;
    for (int i = t->threads; i >= 0; i--) {
        wg__lane *lane = &t->lanes[i];
        const wg__event *event = &lane->ring[lane->read % t->room];
        if (lane->read == lane->n || (next && event->start >= next->start)) continue;
        next = event;
        from = lane;
        *thread = i < t->threads ? i : 0;
    }
    if (from) from->read++;
    return next;
}
