/* The plan cache: finds the plan of a request or makes it. The key is everything recorded since the reset and the
 * request, compared in full. A hit skips differentiation. */
#include "cache.h"

#include "pipeline.h"

#include <stdlib.h>
#include <string.h>

/* Bounds of a tape's cache (chosen: the plan of an LSTM step takes 6 KB a time step, that of 25 trees of a Tree-LSTM
 * 9 MB; 1000 plans are searched in 5 us). */
enum { MOST_PLANS = 1000, PLAN_CHUNK = 1 << 15 };
static const size_t DEFAULT_BYTES = (size_t)512 << 20;
enum { ONCE_SHARE = 3 }; /* plans that do not repeat get a third of the bytes */

static void plan_free(wg_tape *tape, wg__plan *plan)
{
    for (uint32_t i = 0; i < plan->n_slots; i++)
        if (plan->slots[i].kind == WG__SLOT_PACKED) wg__packed_release(tape, plan->slots[i].index);
    wg__arena_release(&plan->memory);
    wg__heap_release(&tape->heap, plan, sizeof *plan);
}

/* ---- what is kept -------------------------------------------------------------------------------------------- */

static bool was_evicted(const wg__cache *cache, uint64_t hash)
{
    return cache->evicted && cache->evicted[hash % WG__EVICTED] == hash;
}

static void note_evicted(wg_tape *tape, uint64_t hash)
{
    wg__cache *cache = tape->cache;
    const size_t bytes = WG__EVICTED * sizeof *cache->evicted;
    if (!cache->evicted && (cache->evicted = wg__heap_alloc(&tape->heap, bytes))) memset(cache->evicted, 0, bytes);
    if (cache->evicted) cache->evicted[hash % WG__EVICTED] = hash; /* else it counts as new when it returns */
}

/* Removes the plan at *at from the cache. */
static void evict(wg_tape *tape, wg__plan **at)
{
    wg__cache *cache = tape->cache;
    wg__plan *plan = *at;
    if (!plan->repeats) cache->once_bytes -= plan->memory.total;
    if (plan == cache->last_plan) cache->last_plan = NULL;
    cache->bytes -= plan->memory.total;
    cache->n_plans--;
    *at = plan->next;
    plan_free(tape, plan);
}

/* The most recently used plan that does not repeat, but the first plan, which is about to run. NULL: none. */
static wg__plan **newest_once(wg__cache *cache)
{
    wg__plan **at = &cache->plans->next;
    while (*at && (*at)->repeats) at = &(*at)->next;
    return *at ? at : NULL;
}

/* A plan but the first one, drawn by a number. */
static wg__plan **drawn(wg__cache *cache, uint64_t number)
{
    assert(cache->n_plans > 1);
    wg__plan **at = &cache->plans->next;
    for (uint64_t skip = number % (cache->n_plans - 1); skip > 0; skip--) at = &(*at)->next;
    return at;
}

/* Evicts plans until the rest is within the bounds. The first stays. */
static void make_room(wg_tape *tape)
{
    wg__cache *cache = tape->cache;
    const bool caching = tape->passes & WG__PASS_CACHE;
    const size_t most = !caching ? 0 : tape->options.plan_bytes ? tape->options.plan_bytes : DEFAULT_BYTES;
    wg__plan **at;
    while (cache->once_bytes > most / ONCE_SHARE && (at = newest_once(cache))) {
        if (caching) note_evicted(tape, (*at)->hash);
        evict(tape, at);
    }
    while ((cache->bytes > most || cache->n_plans > MOST_PLANS) && cache->n_plans > 1)
        evict(tape, drawn(cache, tape->counts.plan_misses));
}

void wg__cache_clear(wg_tape *tape)
{
    while (tape->cache->plans) evict(tape, &tape->cache->plans);
    assert(tape->cache->bytes == 0 && tape->cache->once_bytes == 0 && tape->cache->n_plans == 0);
}

void wg__cache_release(wg_tape *tape)
{
    wg__cache *cache = tape->cache;
    wg__cache_clear(tape);
    wg__heap_release(&tape->heap, cache->evicted, WG__EVICTED * sizeof *cache->evicted);
    wg__heap_release(&tape->heap, cache->packed, cache->cap_packed * sizeof *cache->packed);
}

/* ---- keys ---------------------------------------------------------------------------------------------------- */

static bool is_chosen(wg_param *param, const wg__wanted *wanted)
{
    if (wg_param_is_frozen(param) || wg_param_is_buffer(param)) return false;
    for (uint32_t i = 0; i < wanted->n_only; i++)
        if (wanted->only[i] == param) return true;
    return !wanted->only;
}

/* The words: loss, passes, n_x, x, n_targets, targets, then node and buffer id of each assignment. */
static bool request_make(wg_tape *tape, wg__request *r, const wg__wanted *wanted)
{
    const wg__index *params = &tape->interned.param_index;
    uint64_t words = 8 + (uint64_t)wanted->n + params->count + 3 * (uint64_t)tape->n_assigns;
    uint32_t *w = r->words = wg__arena_alloc(&tape->working, words * sizeof *w, 8);
    if (!w) return false;
    *w++ = r->loss = wanted->loss;
    *w++ = tape->passes;
    r->x = w + 1;
    for (uint32_t i = 0; wanted->loss && i < params->size; i++) {
        uint32_t id = params->table[i];
        if (id && is_chosen(tape->leaves[tape->nodes[id].slot].param, wanted)) w[1 + r->n_x++] = id;
    }
    qsort(w + 1, r->n_x, sizeof *w, wg__by_id); /* the order of the table depends on hashes */
    *w = r->n_x;
    w += 1 + r->n_x;
    r->targets = w + 1;
    for (uint32_t i = 0; i < wanted->n; i++) {
        const wg__node *node = &tape->nodes[wanted->nodes[i]];
        if (!(node->flags & WG__NODE_VALUE) && node->leaf != WG__LEAF_DATA)
            w[1 + r->n_targets++] = wanted->nodes[i];
    }
    *w = r->n_targets;
    w += 1 + r->n_targets;
    for (uint32_t i = 0; i < tape->n_assigns; i++) {
        uint64_t id = wg__param_id(tape->assigns[i].buffer);
        *w++ = tape->assigns[i].node;
        *w++ = (uint32_t)id;
        *w++ = (uint32_t)(id >> 32);
    }
    r->n = (uint32_t)(w - r->words);
    assert(r->n <= words);
    r->hash = tape->hash;
    for (uint32_t i = 0; i < r->n; i++) r->hash = (r->hash ^ r->words[i]) * 0x9E3779B97F4A7C15u ^ (r->hash >> 31);
    return true;
}

static bool matches(const wg_tape *tape, const wg__plan *plan, const wg__request *r)
{
    return plan->hash == r->hash && plan->n_nodes == tape->n_nodes && plan->n_spill == tape->n_spill &&
           plan->n_request == r->n && !memcmp(plan->request, r->words, r->n * sizeof *r->words) &&
           !memcmp(plan->nodes, tape->nodes, tape->n_nodes * sizeof *tape->nodes) &&
           (!tape->n_spill || !memcmp(plan->spill, tape->spill, tape->n_spill * sizeof *tape->spill));
}

static bool copy_key(const wg_tape *tape, wg__plan *plan, const wg__request *r)
{
    plan->hash = r->hash;
    plan->n_nodes = tape->n_nodes;
    plan->n_spill = tape->n_spill;
    plan->n_request = r->n;
    plan->nodes = wg__arena_array(&plan->memory, plan->n_nodes, sizeof *plan->nodes);
    plan->spill = wg__arena_array(&plan->memory, plan->n_spill, sizeof *plan->spill);
    plan->request = wg__arena_array(&plan->memory, plan->n_request, sizeof *plan->request);
    if (!plan->nodes || !plan->spill || !plan->request) return false;
    memcpy(plan->nodes, tape->nodes, plan->n_nodes * sizeof *plan->nodes);
    if (plan->n_spill) memcpy(plan->spill, tape->spill, plan->n_spill * sizeof *plan->spill);
    memcpy(plan->request, r->words, plan->n_request * sizeof *plan->request);
    return true;
}

/* ---- hit or miss --------------------------------------------------------------------------------------------- */

static wg__plan *find(wg_tape *tape, const wg__request *r)
{
    if (!(tape->passes & WG__PASS_CACHE)) return NULL;
    for (wg__plan **at = &tape->cache->plans; *at; at = &(*at)->next) {
        wg__plan *plan = *at;
        if (!matches(tape, plan, r)) continue;
        *at = plan->next;
        plan->next = tape->cache->plans;
        if (!plan->repeats) tape->cache->once_bytes -= plan->memory.total;
        plan->repeats = true;
        return tape->cache->plans = plan;
    }
    return NULL;
}

static wg__plan *make(wg_tape *tape, const wg__request *r)
{
    wg__cache *cache = tape->cache;
    wg__plan *plan = wg__heap_alloc(&tape->heap, sizeof *plan);
    if (plan) *plan = (wg__plan){.memory = {.heap = &tape->heap, .most = PLAN_CHUNK}};
    if (!plan || !copy_key(tape, plan, r) || !wg__plan_make(tape, plan, r) || wg__failed(tape)) {
        if (plan) plan_free(tape, plan);
        wg__out_of_memory(tape); /* unless there is an error already */
        return NULL;
    }
    tape->counts.plan_misses++;
    plan->repeats = was_evicted(cache, plan->hash);
    plan->next = cache->plans;
    cache->plans = plan;
    cache->n_plans++;
    cache->bytes += plan->memory.total;
    cache->once_bytes += plan->repeats ? 0 : plan->memory.total;
    make_room(tape);
    assert(cache->plans == plan && plan->n_nodes == tape->n_nodes);
    return plan;
}

/* Code of users that runs while derivatives or plans are made (rules, callbacks) must not ask for another plan. */
static bool may_plan(wg_tape *tape)
{
    if (tape->modes.differentiating)
        wg__tape_error(tape, WG_ERR_GRADIENT, "a derivative rule must not evaluate tensors or run a backward pass");
    else if (tape->modes.planning || tape->modes.calls > 0)
        wg__tape_error(tape, WG_ERR_ARGUMENT,
                       "the tape is recording, planning or running: nothing can be evaluated from inside");
    return !wg__failed(tape);
}

wg__plan *wg__plan_for(wg_tape *tape, const wg__wanted *wanted)
{
    wg__request r = {0};
    if (!may_plan(tape)) return NULL;
    wg__arena_rewind(&tape->working);
    if (!request_make(tape, &r, wanted)) return wg__out_of_memory(tape), NULL;
    wg__plan *plan = find(tape, &r);
    tape->counts.plan_hits += plan != NULL;
    if (plan) return plan;
    tape->modes.planning = true;
    plan = make(tape, &r);
    tape->modes.planning = false;
    return plan;
}
