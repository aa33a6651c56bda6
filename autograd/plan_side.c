/* Pass: what does not wait for each other runs side by side: the two directions of a recurrent layer, one layer's step
 * beside the next layer's step before it, a weight's gradient beside the recurrence. Exact: no instruction changes,
 * only when it runs.
 *
 * Every unit gets a stage, as early as what it waits for allows. What costs less than a wait joins the strand that it
 * waits for, which one thread does in a row. What is not read at once (inputs, random numbers) is moved back to just
 * before its first reader. Stages are not filled without end, and nothing runs long before its turn, so that memory
 * grows little. O(n), and one sort. */
#include "plan.h"

#include <stdlib.h>

enum {
    FULL = 12,      /* tasks of a stage that is wide enough */
    AHEAD = 1024,   /* stages that a unit may run before the latest that was recorded before it */
    SHARED = 16384, /* work that is shared between threads, if the unit is one that can be */
    TINY = 8192     /* work that costs less than waiting for another thread would */
};

typedef struct side {
    wg__planner *p;
    uint32_t *tasks;  /* [stages] how many there are */
    uint32_t *free;   /* [stages] the first stage from here on that is not full, as far as is known */
    uint32_t *reader; /* [n_units] the earliest stage that reads it; 0: none */
    uint32_t n_strands;
    uint32_t region, floor; /* the last one that is computed again, and the stage it may not begin before */
} side;

/* ---- what a unit waits for ----------------------------------------------------------------------------------- */

typedef struct waits {
    side *s;
    uint32_t unit, stage;
    uint32_t strand; /* the one of all units of that stage, 0 if they differ */
    bool any;
} waits;

static void note(void *context, uint32_t before)
{
    waits *w = context;
    const wg__planner *p = w->s->p;
    w->any = true;
    if (p->stage[before] < w->stage) return;
    bool same = p->stage[before] == w->stage && p->strand[before] == w->strand;
    w->strand = p->stage[before] > w->stage || same ? p->strand[before] : 0;
    w->stage = p->stage[before];
}

static void mark_read(void *context, uint32_t before)
{
    waits *w = context;
    uint32_t *reader = &w->s->reader[before];
    if (!*reader || w->stage < *reader) *reader = w->stage;
}

/* ---- how large a unit is ------------------------------------------------------------------------------------- */

/* A guess, by shapes alone: in how many tasks it is cut, and how many operations it has. */
typedef struct size {
    uint32_t tasks;
    int64_t work; /* additions of one thread in the time; a multiply-add in a product is a sixteenth */
} size;

static int64_t numel_of(const wg__planner *p, uint32_t id)
{
    return p->tape->shapes[p->tape->nodes[id].shape].numel;
}

static size size_of_product(const wg__planner *p, const wg__work *unit, wg__segment *segments)
{
    wg__product product;
    int64_t k = 0;
    wg__product_describe(p, unit, &product, segments);
    for (int i = 0; i < product.n_segments; i++) k += segments[i].k;
    int64_t n = wg__structural_ops.product(product.dtype)->tasks(&product);
    return (size){n < 1      ? 1
                  : n > FULL ? FULL
                             : (uint32_t)n,
                  product.batches * product.m * product.n * (k / 16 + 1)};
}

static size size_of(const wg__planner *p, const wg__work *unit, wg__segment *segments)
{
    if (unit->kind == WG__UNIT_PRODUCT || unit->kind == WG__UNIT_ROWS) return size_of_product(p, unit, segments);
    uint32_t id = unit->kind == WG__UNIT_STORE ? p->plan->outputs[unit->node].node : unit->node;
    const wg__node *node = &p->tape->nodes[id];
    int64_t work = numel_of(p, id) * (unit->kind == WG__UNIT_CHAIN ? unit->count : 1);
    bool cut = true;
    if (unit->kind == WG__UNIT_NODE) {
        const uint32_t *in = wg__inputs(p->tape, node);
        for (uint32_t k = 0; k < node->n_in; k++)
            if (in[k] && numel_of(p, in[k]) > work) work = numel_of(p, in[k]);
        if (wg__plan_op(p, id)->scratch) work *= 16; /* more than a pass over its operands */
        cut = wg__plan_op(p, id)->tasks != NULL;
    }
    return (size){!cut || work <= SHARED ? 1 : work > 4 * SHARED ? 4 : 2, work};
}

/* A concatenation that is done when its pieces are. */
static bool is_free(const wg__planner *p, const wg__work *unit)
{
    return unit->kind == WG__UNIT_JOIN && wg__joins_for_nothing(p, unit->node);
}

/* ---- stages -------------------------------------------------------------------------------------------------- */

static uint32_t first_free(side *s, uint32_t stage)
{
    while (s->free[stage] != stage) stage = s->free[stage] = s->free[s->free[stage]];
    return stage;
}

static void enter(side *s, uint32_t unit, uint32_t stage, uint32_t strand, uint32_t tasks)
{
    s->p->stage[unit] = stage;
    s->p->strand[unit] = strand;
    s->tasks[stage] += tasks;
    if (s->tasks[stage] >= FULL) s->free[stage] = stage + 1;
    if (stage > s->p->n_stages) s->p->n_stages = stage;
}

static void as_early_as_can_be(side *s, uint32_t unit, wg__segment *segments)
{
    wg__planner *p = s->p;
    waits w = {.s = s, .unit = unit};
    wg__each_wait(p, unit, note, &w);
    const wg__work *work = &p->units[unit];
    if (is_free(p, work)) {
        p->stage[unit] = w.any ? w.stage : 1;
        p->strand[unit] = w.strand;
        return;
    }
    uint32_t early = p->n_stages > AHEAD ? p->n_stages - AHEAD : 1,
             stage = w.stage + 1 > early ? w.stage + 1 : early;
    const wg__node *node = &p->tape->nodes[work->node];
    bool again = work->kind != WG__UNIT_STORE && (node->flags & WG__NODE_AGAIN);
    if (again && node->region != s->region) s->region = node->region, s->floor = p->n_stages;
    if (again && stage < s->floor) stage = early = s->floor;
    size of = size_of(p, work, segments);
    bool serial = of.tasks == 1 && !wg__copies_of(p, work); /* a kernel that reads copies has two times */
    if (serial && of.work <= TINY && w.strand && w.stage >= early)
        enter(s, unit, w.stage, w.strand, 0);
    else
        enter(s, unit, first_free(s, stage), serial ? ++s->n_strands : 0, of.tasks);
}

/* What takes in more than it gives, say the gradients of a weight over time: when it has run, that is free. */
static bool frees_memory(const wg__planner *p, const wg__work *unit)
{
    if (unit->kind != WG__UNIT_PRODUCT && unit->kind != WG__UNIT_NODE) return false;
    if (p->tape->nodes[unit->node].flags & WG__NODE_AGAIN) return false;
    const uint32_t *list = unit->count ? p->members + unit->first : &unit->node;
    int64_t taken = 0;
    for (uint32_t i = 0; i < (unit->count ? unit->count : 1); i++) {
        const wg__node *node = &p->tape->nodes[list[i]];
        const uint32_t *in = wg__inputs(p->tape, node);
        for (uint32_t k = 0; k < node->n_in; k++)
            taken += wg__is_source(p, p->root[in[k]]) ? 0 : wg__bytes_of(p, in[k]);
    }
    return taken > wg__bytes_of(p, unit->node);
}

/* What nobody reads in the next stage moves to just before its first reader. */
static void as_late_as_can_be(side *s, uint32_t unit)
{
    wg__planner *p = s->p;
    if (s->reader[unit] > p->stage[unit] + 1 && !frees_memory(p, &p->units[unit])) {
        p->stage[unit] = s->reader[unit] - 1;
        p->strand[unit] = p->strand[unit] ? ++s->n_strands : 0;
    }
    waits w = {.s = s, .unit = unit, .stage = p->stage[unit]};
    if (is_free(p, &p->units[unit]) && s->reader[unit]) w.stage = s->reader[unit];
    wg__each_wait(p, unit, mark_read, &w);
}

typedef struct entry {
    uint32_t stage, strand, position, unit;
} entry;

static int by_stage(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->stage != y->stage) return x->stage < y->stage ? -1 : 1;
    if (x->strand != y->strand) return x->strand < y->strand ? -1 : 1;
    return x->position < y->position ? -1 : x->position > y->position;
}

static bool sort_units(wg__planner *p)
{
    entry *entries = wg__plan_array(p->own, p->n_units, sizeof *entries);
    if (!entries) return false;
    for (uint32_t i = 0; i < p->n_units; i++) {
        uint32_t unit = p->sequence[i];
        entries[i] = (entry){p->stage[unit], p->strand[unit], i, unit};
    }
    qsort(entries, p->n_units, sizeof *entries, by_stage);
    for (uint32_t i = 0; i < p->n_units; i++) p->sequence[i] = entries[i].unit;
    return true;
}

/* One after the other, as they are. */
static bool in_a_row(wg__planner *p)
{
    for (uint32_t i = 0; i < p->n_units; i++) p->stage[p->sequence[i]] = i + 1;
    p->n_stages = p->n_units;
    return true;
}

bool wg__plan_side(wg__planner *p)
{
    side s = {.p = p};
    uint32_t most = 1;
    p->stage = wg__plan_array(p->arena, p->n_units, sizeof *p->stage);
    p->strand = wg__plan_array(p->arena, p->n_units, sizeof *p->strand);
    if (!p->stage || !p->strand) return false;
    if (!(p->passes & WG__PASS_SIDE) || wg_pool_threads(p->tape->options.pool) < 2) return in_a_row(p);
    for (uint32_t i = 0; i < p->n_units; i++)
        if (p->units[i].count > most) most = p->units[i].count;
    s.tasks = wg__plan_array(p->own, 2u * (uint64_t)p->n_units + 2, sizeof *s.tasks);
    s.free = wg__plan_array(p->own, 2u * (uint64_t)p->n_units + 2, sizeof *s.free);
    s.reader = wg__plan_array(p->own, p->n_units, sizeof *s.reader);
    wg__segment *segments = wg__plan_array(p->own, most, sizeof *segments);
    if (!s.tasks || !s.free || !s.reader || !segments) return false;
    for (uint32_t i = 0; i < 2u * p->n_units + 2; i++) s.free[i] = i;
    for (uint32_t i = 0; i < p->n_units; i++) as_early_as_can_be(&s, p->sequence[i], segments);
    for (uint32_t i = p->n_units; i-- > 0;) as_late_as_can_be(&s, p->sequence[i]);
    return sort_units(p);
}
