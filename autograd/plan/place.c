/* Pass place: gives every value an address in one block of memory by its lifetime, so that values which are not live at
 * the same time share bytes. Exact.
 *
 *     stage    1   2   3   4   5
 *     a       [=======]                    a: offset 0
 *     b           [=======]                b: offset 64
 *     c                   [=======]        c: offset 0, where a was */
#include "fit.h"
#include "lifetime.h"

/* ---- occupants of the block ---------------------------------------------------------------------------------- */

typedef struct block {
    wg__planner *p;
    wg__interval *intervals;
    uint32_t n, cap;
} block;

static bool add(block *b, uint32_t first, uint32_t last, int64_t bytes, int64_t *offset)
{
    assert(first >= 1 && first <= last && bytes >= 0);
    if (!wg__grow(&b->p->tape->heap, (void **)&b->intervals, &b->cap, b->n + 1u, sizeof *b->intervals))
        return false;
    b->intervals[b->n++] = (wg__interval){.first = first, .last = last, .bytes = bytes, .offset = offset};
    return true;
}

/* Values that can be read after the run have memory of their own; gradients and, where possible, assigned values are
 * written to their targets; other assigned values stay in the block until the end. An output that is requested
 * twice is stored where its first request needs it. */
static bool add_outputs(block *b, wg__lifetime *lifetimes)
{
    wg__planner *p = b->p;
    wg__plan *plan = p->plan;
    wg__targets targets;
    uint32_t *slot = p->places.output_slot = wg__arena_array(p->arena, plan->n_outputs, sizeof *slot);
    int64_t *offset = p->places.output_offset = wg__arena_array(p->arena, plan->n_outputs, sizeof *offset);
    if (!slot || !offset || !wg__targets_init(&targets, p, lifetimes)) return false;
    for (uint32_t i = 0; i < plan->n_outputs; i++) {
        const wg__output *output = &plan->outputs[i];
        bool direct = wg__output_is_direct(p, output), on_target;
        if (direct && p->places.slot[output->node]) continue;
        on_target = wg__is_on_target(&targets, output);
        if (on_target || output->kind == WG__OUTPUT_VALUE) {
            slot[i] =
                wg__slot_new(plan, (wg__slot){.kind = on_target ? WG__SLOT_TARGET : WG__SLOT_OUTPUT, .index = i});
            if (direct) p->places.slot[output->node] = slot[i];
        } else if (direct) {
            lifetimes[output->node].last = p->schedule.n_stages + 1;
        } else if (!add(b, 1, p->schedule.n_stages, (int64_t)output->bytes, &offset[i])) {
            return false;
        }
    }
    return true;
}

/* Packed operands are live during the whole run: their last use is not tracked. */
static bool add_packs(block *b)
{
    const wg__planner *p = b->p;
    for (uint32_t i = 1; i < p->packs.n; i++) {
        wg__pack *pack = &p->packs.list[i];
        if (pack->where == WG__PACK_BLOCK && !add(b, 1, p->schedule.n_stages, (int64_t)pack->bytes, &pack->offset))
            return false;
    }
    return true;
}

/* Contiguous copies of operands are live for one stage. */
static bool add_copies(block *b)
{
    wg__planner *p = b->p;
    uint32_t n = 0;
    for (uint32_t i = 1; i < p->units.n; i++) n += wg__copies_of(p, &p->units.list[i]);
    int64_t *copy = p->places.copies = wg__arena_array(p->arena, n, sizeof *copy);
    if (!copy) return false;
    for (uint32_t i = 0; i < p->schedule.n && n > 0; i++) {
        const uint32_t id = p->schedule.sequence[i], stage = p->schedule.stage[id];
        const wg__unit *unit = &p->units.list[id];
        if (unit->kind != WG__UNIT_KERNEL) continue;
        const wg__node *node = wg__node_at(p, unit->node);
        for (uint32_t k = 0; k < node->n_in; k++)
            if (wg__needs_copy(p, unit->node, k) &&
                !add(b, stage, stage, wg__bytes_of(p, wg__inputs(p->tape, node)[k]), copy++))
                return false;
    }
    assert(copy == p->places.copies + n);
    return true;
}

/* A value in place of another extends that one's interval. */
static bool add_values(block *b, wg__lifetime *lifetimes)
{
    wg__planner *p = b->p;
    for (uint32_t id = 1; id < p->n; id++) {
        uint32_t from = lifetimes[id].in_place_of;
        if (!from) continue;
        assert(from < id); /* so in_place_of has at most two steps here */
        if (lifetimes[from].in_place_of) lifetimes[id].in_place_of = from = lifetimes[from].in_place_of;
        if (lifetimes[id].last > lifetimes[from].last) lifetimes[from].last = lifetimes[id].last;
    }
    for (uint32_t id = 1; id < p->n; id++) {
        const wg__lifetime *l = &lifetimes[id];
        if (l->first && !p->places.slot[id] && !l->in_place_of &&
            !add(b, l->first, l->last, wg__room_of(p, id), &p->places.offset[id]))
            return false;
    }
    return true;
}

/* ---- the pass ------------------------------------------------------------------------------------------------ */

static bool place(block *b)
{
    wg__planner *p = b->p;
    bool reuse = p->passes & WG__PASS_PLACE;
    wg__lifetime *lifetimes = wg__lifetimes_of(p);
    if (!lifetimes || !add_outputs(b, lifetimes)) return false;
    for (uint32_t i = 0; i < p->schedule.n && reuse; i++)
        wg__inplace_operands(p, lifetimes, p->schedule.sequence[i]);
    if (!add_packs(b) || !add_copies(b) || !add_values(b, lifetimes)) return false;
    if (!wg__peak_by_scope(p, lifetimes)) return false;
    int64_t bytes = wg__fit(&p->tape->heap, p->scratch, b->intervals, b->n, reuse);
    for (uint32_t id = 1; id < p->n; id++)
        if (lifetimes[id].in_place_of) p->places.offset[id] = p->places.offset[lifetimes[id].in_place_of];
    assert(bytes < 0 || bytes % 64 == 0);
    p->plan->block_bytes = (size_t)bytes;
    return bytes >= 0;
}

bool wg__plan_place(wg__planner *p)
{
    block b = {.p = p};
    p->places.slot = wg__arena_array(p->arena, p->n, sizeof *p->places.slot);
    p->places.offset = wg__arena_array(p->arena, p->n, sizeof *p->places.offset);
    bool ok = p->places.slot && p->places.offset && place(&b);
    wg__heap_release(&p->tape->heap, b.intervals, b.cap * sizeof *b.intervals);
    return ok;
}
