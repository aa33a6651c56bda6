/* The last step of emitting: instructions sorted into stages and items, fixups grouped by slot, when gradients are
 * final. */
#include "emit.h"

#include <stdlib.h>
#include <string.h>

static bool group_fixups(wg__emit *e)
{
    wg__plan *plan = e->plan;
    plan->n_fixups = e->n_fixups;
    plan->fixups = wg__arena_array(&plan->memory, plan->n_fixups, sizeof *plan->fixups);
    if (!plan->fixups) return false;
    for (uint32_t i = 0; i < plan->n_fixups; i++) plan->slots[e->fixup_slots[i]].n_fixups++;
    for (uint32_t s = 0, at = 0; s < plan->n_slots; at += plan->slots[s++].n_fixups)
        plan->slots[s].first_fixup = at;
    for (uint32_t s = 0; s < plan->n_slots; s++) plan->slots[s].n_fixups = 0;
    for (uint32_t i = 0; i < plan->n_fixups; i++) {
        wg__slot *slot = &plan->slots[e->fixup_slots[i]];
        assert(slot->first_fixup + slot->n_fixups < plan->n_fixups);
        plan->fixups[slot->first_fixup + slot->n_fixups++] = e->fixups[i];
    }
    return true;
}

static int by_tag(const void *x, const void *y)
{
    const wg__tag *a = x, *b = y;
    int order = wg__compare(a->stage, b->stage);
    if (!order) order = wg__compare(a->step, b->step);
    return order ? order : wg__compare(a->instr, b->instr);
}

/* Units were emitted in the order of stages; only steps within a stage need sorting. */
static bool sort_instrs(wg__emit *e)
{
    wg__plan *plan = e->plan;
    bool steps = false;
    plan->n_instrs = e->n_instrs;
    plan->instrs = wg__arena_array(&plan->memory, plan->n_instrs, sizeof *plan->instrs);
    plan->origins = wg__arena_array(&plan->memory, plan->n_instrs, sizeof *plan->origins);
    if (!plan->instrs || !plan->origins) return false;
    for (uint32_t i = 0; i < plan->n_instrs; i++) steps |= e->tags[i].step > 0;
    if (steps) qsort(e->tags, plan->n_instrs, sizeof *e->tags, by_tag);
    for (uint32_t i = 0; i < plan->n_instrs; i++) {
        assert(i == 0 || e->tags[i - 1].stage <= e->tags[i].stage);
        plan->instrs[i] = e->instrs[e->tags[i].instr];
        const wg__node *node = wg__node_at(e->p, plan->instrs[i].node);
        plan->origins[i] =
            (wg__origin){node->op, node->scope, node->forward ? wg__node_at(e->p, node->forward)->op : 0,
                         node->shape, (wg_dtype)node->dtype};
    }
    return true;
}

static bool same_time(const wg__tag *a, const wg__tag *b) { return a->stage == b->stage && a->step == b->step; }
static bool same_serial(const wg__tag *a, const wg__tag *b) { return a->serial && a->serial == b->serial; }

/* Whether the instructions [first, end) of one time are the work of one thread: one serial group, or one instruction
 * with one task. */
static bool is_serial(const wg__plan *plan, const wg__tag *tags, uint32_t first, uint32_t end)
{
    if (end - first == 1) return plan->instrs[first].tasks == 1 || tags[first].serial;
    for (uint32_t i = first + 1; i < end; i++)
        if (!same_serial(&tags[first], &tags[i])) return false;
    return true;
}

static wg__stage *stage_new(wg__plan *plan)
{
    assert(plan->n_stages < plan->n_instrs);
    plan->stages[plan->n_stages] = (wg__stage){.first = plan->n_items};
    return &plan->stages[plan->n_stages++];
}

/* Adds an item to the stage or, if it would have too many tasks to count, to a further one. Returns its stage. */
static wg__stage *item_new(wg__plan *plan, wg__stage *stage, uint32_t instr, uint32_t count)
{
    const uint32_t tasks = count > 1 ? 1 : (uint32_t)plan->instrs[instr].tasks;
    assert(count > 0 && plan->n_items < plan->n_instrs && tasks <= INT32_MAX);
    if (stage->tasks > INT32_MAX - tasks) stage = stage_new(plan);
    plan->items[plan->n_items++] = (wg__item){.first = instr, .count = count, .first_task = stage->tasks};
    stage->tasks += tasks;
    stage->count++;
    return stage;
}

/* Instructions of one time are a stage; consecutive times that are the work of one thread become one item. */
static bool make_stages(wg__emit *e)
{
    wg__plan *plan = e->plan;
    const wg__tag *tags = e->tags;
    wg__stage *serial = NULL;
    plan->stages = wg__arena_array(e->p->scratch, plan->n_instrs, sizeof *plan->stages);
    plan->items = wg__arena_array(e->p->scratch, plan->n_instrs, sizeof *plan->items);
    if (!plan->stages || !plan->items) return false;
    for (uint32_t first = 0, end; first < plan->n_instrs; first = end) {
        for (end = first + 1; end < plan->n_instrs && same_time(&tags[first], &tags[end]);) end++;
        bool alone = is_serial(plan, tags, first, end);
        if (alone && serial) {
            wg__item *item = &plan->items[serial->first];
            item->count = end - item->first;
            serial->tasks = 1;
            continue;
        }
        wg__stage *stage = stage_new(plan);
        for (uint32_t i = first, next; i < end; i = next) {
            for (next = i + 1; next < end && same_serial(&tags[i], &tags[next]);) next++;
            stage = item_new(plan, stage, i, next - i);
        }
        serial = alone ? stage : NULL;
        plan->parallel |= stage->tasks > 1;
    }
    return true;
}

/* Moves the stages and items, as many as there are, to the plan. */
static bool keep_stages(wg__plan *plan)
{
    wg__stage *stages = wg__arena_array(&plan->memory, plan->n_stages, sizeof *stages);
    wg__item *items = wg__arena_array(&plan->memory, plan->n_items, sizeof *items);
    if (!stages || !items) return false;
    if (plan->n_stages) memcpy(stages, plan->stages, plan->n_stages * sizeof *stages);
    if (plan->n_items) memcpy(items, plan->items, plan->n_items * sizeof *items);
    plan->stages = stages;
    plan->items = items;
    return true;
}

static int by_end(const void *x, const void *y)
{
    const wg__final *a = x, *b = y;
    const int order = wg__compare(a->end, b->end);
    return order ? order : wg__compare(a->output, b->output);
}

/* The first instruction after those of a stage. */
static uint32_t end_of(const wg__emit *e, uint32_t stage)
{
    uint32_t low = 0, high = e->n_instrs;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (e->tags[middle].stage <= stage)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool list_finals(wg__emit *e)
{
    wg__plan *plan = e->plan;
    plan->finals = wg__arena_array(&plan->memory, plan->n_outputs, sizeof *plan->finals);
    if (!plan->finals) return false;
    for (uint32_t i = 0; i < plan->n_outputs; i++) {
        if (plan->outputs[i].kind != WG__OUTPUT_GRAD) continue;
        const uint32_t stage = e->last_use[i];
        plan->finals[plan->n_finals++] =
            (wg__final){stage == WG__NO_STAGE ? plan->n_instrs + 1 : end_of(e, stage), i};
    }
    if (plan->n_finals) qsort(plan->finals, plan->n_finals, sizeof *plan->finals, by_end);
    return true;
}

bool wg__emit_finish(wg__emit *e)
{
    return group_fixups(e) && sort_instrs(e) && make_stages(e) && keep_stages(e->plan) && list_finals(e);
}
