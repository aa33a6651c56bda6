/* Pass schedule: units that do not depend on each other run concurrently: the two directions of a recurrent layer, one
 * layer's step beside the next layer's previous step, a weight's gradient beside the recurrence. Exact: no instruction
 * changes, only when it runs.
 *
 *     layer 1:  h1 -> h2 -> h3 -> h4           stage  1   2   3   4   5
 *     layer 2:        g1 -> g2 -> g3 -> g4            h1  h2  h3  h4
 *                                                         g1  g2  g3  g4
 *
 * Every unit gets a stage as early as its dependencies allow. A unit that costs less than a barrier joins the serial
 * group of its dependency, which one thread runs in sequence. A unit that is not read at once (inputs, random numbers)
 * moves back to just before its first reader. The work of a stage is bounded, and no unit runs long before its turn, so
 * that memory grows little. O(n) and one sort. */
#include "planner.h"

#include "../base/pool.h"

#include <stdlib.h>

enum {
    FULL = 12,      /* tasks of a stage that is wide enough (chosen, not measured) */
    AHEAD = 1024,   /* stages that a unit may run ahead of the units recorded before it (chosen, not measured) */
    SHARED = 16384, /* operations of a unit that is worth splitting between threads (chosen, not measured) */
    TINY = 8192     /* operations that cost less than a barrier (chosen, not measured) */
};

typedef struct schedule {
    wg__planner *p;
    uint32_t *tasks;  /* [stages] tasks in it so far */
    uint32_t *free;   /* [stages] union-find: the first stage from here on that is not full */
    uint32_t *reader; /* [units] the earliest stage that reads it; 0: none */
    uint32_t n_serial;
    uint32_t region, floor; /* the last rematerialized region, and the stage before which it must not begin */
} schedule;

/* ---- dependencies -------------------------------------------------------------------------------------------- */

typedef struct latest {
    const wg__planner *p;
    uint32_t stage;  /* of the latest dependency */
    uint32_t serial; /* the serial group of all dependencies in that stage; 0 if they differ */
    bool any;
} latest;

static void find_latest(void *context, uint32_t dependency)
{
    latest *l = context;
    const uint32_t stage = l->p->schedule.stage[dependency], serial = l->p->schedule.serial[dependency];
    assert(stage >= 1); /* it was placed before */
    l->any = true;
    if (stage < l->stage) return;
    l->serial = stage > l->stage || serial == l->serial ? serial : 0;
    l->stage = stage;
}

typedef struct mark_read {
    uint32_t *reader, stage;
} mark_read;

static void mark(void *context, uint32_t dependency)
{
    const mark_read *m = context;
    uint32_t *reader = &m->reader[dependency];
    if (!*reader || m->stage < *reader) *reader = m->stage;
}

/* ---- cost of a unit ------------------------------------------------------------------------------------------ */

/* An estimate from shapes alone. */
typedef struct cost {
    uint32_t tasks;
    int64_t work; /* additions of one thread in the same time; a multiply-add of a product counts a sixteenth */
} cost;

static int64_t numel_of(const wg__planner *p, uint32_t id) { return wg__numel_of(p->tape, wg__node_at(p, id)); }

static cost cost_of_product(const wg__planner *p, const wg__unit *unit, wg__segment *segments)
{
    wg__product product;
    int64_t k = 0;
    wg__product_describe(p, unit, &product, segments);
    for (int i = 0; i < product.n_segments; i++) k += segments[i].k;
    int64_t n = p->tape->structural->product(&product)->tasks(&product);
    wg__pack pack;
    if (n == 1 && (p->passes & WG__PASS_PACK) && wg__packs_b(p, unit, &product, segments, &pack)) {
        product.packed_b = &product; /* one row of bf16, say, is worth threads only then */
        n = p->tape->structural->product(&product)->tasks(&product);
    }
    return (cost){n < 1      ? 1
                  : n > FULL ? FULL
                             : (uint32_t)n,
                  product.batches * product.m * product.n * (k / 16 + 1)};
}

static cost cost_of(const wg__planner *p, const wg__unit *unit, wg__segment *segments)
{
    if (unit->kind == WG__UNIT_PRODUCT || unit->kind == WG__UNIT_PRODUCTS)
        return cost_of_product(p, unit, segments);
    uint32_t id = unit->kind == WG__UNIT_STORE ? p->plan->outputs[unit->node].node : unit->node;
    int64_t work = numel_of(p, id) * (unit->kind == WG__UNIT_CHAIN ? unit->count : 1);
    bool divisible = true;
    if (unit->kind == WG__UNIT_KERNEL) {
        const wg__node *node = wg__node_at(p, id);
        const uint32_t *in = wg__inputs(p->tape, node);
        for (uint32_t k = 0; k < node->n_in; k++)
            if (in[k] && numel_of(p, in[k]) > work) work = numel_of(p, in[k]);
        if (wg__op_at(p, id)->scratch) work *= 16; /* more than one pass over its operands */
        divisible = wg__op_at(p, id)->tasks != NULL;
    }
    return (cost){!divisible || work <= SHARED ? 1 : work > 4 * SHARED ? 4 : 2, work};
}

/* A concatenation whose pieces are all written in place. */
static bool is_free(const wg__planner *p, const wg__unit *unit)
{
    return unit->kind == WG__UNIT_CONCAT && wg__concat_is_free(p, unit->node);
}

static bool is_remat(const wg__planner *p, const wg__unit *unit)
{
    return unit->kind != WG__UNIT_STORE && (wg__node_at(p, unit->node)->flags & WG__NODE_REMAT);
}

/* ---- stages -------------------------------------------------------------------------------------------------- */

static uint32_t first_free(schedule *s, uint32_t stage)
{
    assert(s->free[stage] >= stage);
    while (s->free[stage] != stage) stage = s->free[stage] = s->free[s->free[stage]];
    return stage;
}

static void enter(schedule *s, uint32_t unit, uint32_t stage, uint32_t serial, uint32_t tasks)
{
    assert(unit && unit < s->p->units.n && stage >= 1 && stage <= 2 * s->p->schedule.n);
    s->p->schedule.stage[unit] = stage;
    s->p->schedule.serial[unit] = serial;
    s->tasks[stage] += tasks;
    if (s->tasks[stage] >= FULL) s->free[stage] = stage + 1;
    if (stage > s->p->schedule.n_stages) s->p->schedule.n_stages = stage;
}

static void place_early(schedule *s, uint32_t unit, wg__segment *segments)
{
    wg__planner *p = s->p;
    const wg__unit *u = &p->units.list[unit];
    latest l = {.p = p};
    wg__each_dependency(p, unit, find_latest, &l);
    if (is_free(p, u)) {
        p->schedule.stage[unit] = l.any ? l.stage : 1;
        p->schedule.serial[unit] = l.serial;
        return;
    }
    const uint32_t n_stages = p->schedule.n_stages;
    uint32_t early = n_stages > AHEAD ? n_stages - AHEAD : 1, stage = l.stage + 1 > early ? l.stage + 1 : early;
    if (is_remat(p, u)) {
        const uint32_t region = wg__node_at(p, u->node)->region;
        if (region != s->region) s->region = region, s->floor = n_stages;
        if (stage < s->floor) stage = early = s->floor;
    }
    cost c = cost_of(p, u, segments);
    bool serial = c.tasks == 1 && !wg__copies_of(p, u); /* copies of operands run in a step before the kernel */
    if (serial && c.work <= TINY && l.serial && l.stage >= early)
        enter(s, unit, l.stage, l.serial, 0);
    else
        enter(s, unit, first_free(s, stage), serial ? ++s->n_serial : 0, c.tasks);
}

/* A unit whose operands are larger than its result, say the sum over time of a weight's gradients: running it early
 * frees memory. */
static bool frees_memory(const wg__planner *p, const wg__unit *unit)
{
    if (unit->kind != WG__UNIT_PRODUCT && unit->kind != WG__UNIT_KERNEL) return false;
    if (is_remat(p, unit)) return false;
    uint32_t count;
    const uint32_t *nodes = wg__unit_nodes(p, unit, &count);
    int64_t taken = 0;
    for (uint32_t i = 0; i < count; i++) {
        const wg__node *node = wg__node_at(p, nodes[i]);
        const uint32_t *in = wg__inputs(p->tape, node);
        for (uint32_t k = 0; k < node->n_in; k++) {
            taken += wg__is_source(p, p->storage.root[in[k]]) ? 0 : wg__bytes_of(p, in[k]);
            if (taken > wg__bytes_of(p, unit->node)) return true;
        }
    }
    return false;
}

/* Moves a unit that is not read in the next stage to just before its first reader. */
static void move_late(schedule *s, uint32_t unit)
{
    wg__planner *p = s->p;
    const wg__unit *u = &p->units.list[unit];
    uint32_t *stage = &p->schedule.stage[unit], *serial = &p->schedule.serial[unit];
    assert(*stage >= 1 && (!s->reader[unit] || s->reader[unit] >= *stage));
    if (s->reader[unit] > *stage + 1 && !frees_memory(p, u)) {
        *stage = s->reader[unit] - 1;
        *serial = *serial ? ++s->n_serial : 0;
    }
    mark_read m = {s->reader, is_free(p, u) && s->reader[unit] ? s->reader[unit] : *stage};
    wg__each_dependency(p, unit, mark, &m);
}

/* ---- the pass ------------------------------------------------------------------------------------------------ */

typedef struct entry {
    uint32_t stage, serial, position, unit;
} entry;

static int by_stage(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    int order = wg__compare(x->stage, y->stage);
    if (!order) order = wg__compare(x->serial, y->serial);
    return order ? order : wg__compare(x->position, y->position);
}

static bool sort_units(wg__planner *p)
{
    uint32_t *sequence = p->schedule.sequence, n = p->schedule.n;
    entry *entries = wg__arena_array(p->scratch, n, sizeof *entries);
    if (!entries) return false;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t unit = sequence[i];
        entries[i] = (entry){p->schedule.stage[unit], p->schedule.serial[unit], i, unit};
    }
    qsort(entries, n, sizeof *entries, by_stage);
    for (uint32_t i = 0; i < n; i++) sequence[i] = entries[i].unit;
    return true;
}

/* One unit after the other, in the given order. */
static bool one_by_one(wg__planner *p)
{
    for (uint32_t i = 0; i < p->schedule.n; i++) p->schedule.stage[p->schedule.sequence[i]] = i + 1;
    p->schedule.n_stages = p->schedule.n;
    return true;
}

bool wg__plan_schedule(wg__planner *p)
{
    schedule s = {.p = p};
    const uint32_t n = p->schedule.n;
    uint32_t most = 1;
    p->schedule.stage = wg__arena_array(p->arena, p->units.n, sizeof *p->schedule.stage);
    p->schedule.serial = wg__arena_array(p->arena, p->units.n, sizeof *p->schedule.serial);
    if (!p->schedule.stage || !p->schedule.serial) return false;
    if (!(p->passes & WG__PASS_SCHEDULE) || wg_pool_threads(p->tape->options.pool) < 2) return one_by_one(p);
    for (uint32_t i = 1; i < p->units.n; i++)
        if (p->units.list[i].count > most) most = p->units.list[i].count;
    s.tasks = wg__arena_array(p->scratch, 2u * (uint64_t)n + 2, sizeof *s.tasks);
    s.free = wg__arena_array(p->scratch, 2u * (uint64_t)n + 2, sizeof *s.free);
    s.reader = wg__arena_array(p->scratch, p->units.n, sizeof *s.reader);
    wg__segment *segments = wg__arena_array(p->scratch, most, sizeof *segments);
    if (!s.tasks || !s.free || !s.reader || !segments) return false;
    for (uint32_t i = 0; i < 2u * n + 2; i++) s.free[i] = i;
    for (uint32_t i = 0; i < n; i++) place_early(&s, p->schedule.sequence[i], segments);
    for (uint32_t i = n; i-- > 0;) move_late(&s, p->schedule.sequence[i]);
    return sort_units(p);
}
