/* Creating, freeing and resetting a tape: the functions that know all of its parts. */
#include "engine.h"

#include "base/isa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A tape and the state that the rooms above keep in it, in one allocation. */
typedef struct whole {
    wg_tape tape;
    wg__cache cache;
    wg__run_state run;
} whole;

bool wg_bf16_is_fast(void) { return wg__isa_bf16_is_fast(); }

wg_tape_options wg_tape_defaults(void) { return (wg_tape_options){0}; }

/* "-merge" turns a pass off and "+merge" on again; "+remat" and "+share_weight" do more than the default. */
static void choose_passes(wg_tape *tape, const char *text)
{
    tape->passes = ~(unsigned)WG__PASS_PRECISION;
    for (const char *at = text; at && *at; at += strspn(at, ", ")) {
        size_t n = strcspn(at, ", ");
        unsigned pass = n > 1 && (*at == '-' || *at == '+') ? wg__pass_switch(at + 1, n - 1) : 0;
        if (!pass)
            wg__tape_error(tape, WG_ERR_ARGUMENT,
                           "plan (or WG_PLAN): \"%.*s\": no pass has this name; write -NAME or +NAME", (int)n, at);
        else
            tape->passes = *at == '-' ? tape->passes & ~pass : tape->passes | pass;
        tape->options.remat |= *at == '+' && pass == WG__PASS_REMAT;
        tape->share_any_weight |= *at == '+' && pass == WG__PASS_SHARE_WEIGHT;
        at += n;
    }
}

static bool make_room(wg_tape *tape)
{
    wg__heap *heap = &tape->heap;
    if (!wg__grow(heap, (void **)&tape->nodes, &tape->cap_nodes, 1024, sizeof *tape->nodes) ||
        !wg__grow(heap, (void **)&tape->scopes.list, &tape->scopes.cap, 64, sizeof *tape->scopes.list) ||
        !wg__grow(heap, (void **)&tape->interned.ops, &tape->interned.cap_ops, 64, sizeof *tape->interned.ops))
        return false;
    memset(&tape->nodes[0], 0, sizeof tape->nodes[0]);
    tape->n_nodes = 1;
    tape->scopes.list[0] = (wg__scope){.path = ""};
    tape->scopes.n = 1;
    tape->interned.ops[0] = NULL;
    tape->interned.n_ops = 1;
    return true;
}

wg_tape *wg__tape_new(wg_tape_options options, const wg__structural *structural)
{
    wg__heap heap = {.allocator = options.allocator};
    whole *all = wg__heap_alloc(&heap, sizeof *all);
    if (!all) return NULL;
    memset(all, 0, sizeof *all);
    wg_tape *tape = &all->tape;
    tape->heap = heap;
    tape->options = options;
    tape->structural = structural;
    tape->cache = &all->cache;
    tape->run = &all->run;
    tape->epoch = 1;
    tape->seed = options.seed;
    tape->modes.training = true;
    wg__arena *arenas[] = {&tape->scopes.names, &tape->data, &tape->results, &tape->working};
    for (size_t i = 0; i < sizeof arenas / sizeof *arenas; i++) arenas[i]->heap = &tape->heap;
    if (!make_room(tape)) {
        wg_tape_free(tape);
        return NULL;
    }
    choose_passes(tape, options.plan ? options.plan : getenv("WG_PLAN"));
    if (options.products == WG_BF16)
        tape->passes |= WG__PASS_BF16;
    else if (options.products == WG_INT8)
        tape->passes |= WG__PASS_INT8;
    else if (options.products != WG_F32)
        wg__tape_error(tape, WG_ERR_ARGUMENT,
                       "the tape's option products must be WG_F32, WG_BF16 or WG_INT8, not %s",
                       wg_dtype_name(options.products));
    if (tape->passes & WG__PASS_INT8) tape->options.products = WG_INT8;
    if (options.eager) tape->run_now = wg__run_now;
    if (getenv("WG_DUMP")) wg_trace_passes(tape, getenv("WG_DUMP"), stderr);
    return tape;
}

/* False, with an error, while another call on the tape waits for the caller's code. */
static bool may_change(wg_tape *tape, const char *what)
{
    const bool inside = tape->modes.calls > 0 || tape->modes.differentiating || tape->modes.planning;
    if (inside) wg__tape_error(tape, WG_ERR_ARGUMENT, "%s: called from inside of another call on the tape", what);
    return !inside;
}

void wg_tape_free(wg_tape *tape)
{
    if (!tape || !may_change(tape, "tape_free")) return;
    wg__heap *heap = &tape->heap;
    wg__cache_release(tape);
    wg__run_state_release(tape);
    wg__intern_release(tape);
    wg__arena *arenas[] = {&tape->scopes.names, &tape->data, &tape->results, &tape->working};
    for (size_t i = 0; i < sizeof arenas / sizeof *arenas; i++) wg__arena_release(arenas[i]);
    wg__heap_release(heap, tape->nodes, tape->cap_nodes * sizeof *tape->nodes);
    wg__heap_release(heap, tape->spill, tape->cap_spill * sizeof *tape->spill);
    wg__heap_release(heap, tape->leaves, tape->cap_leaves * sizeof *tape->leaves);
    wg__heap_release(heap, tape->values, tape->cap_values * sizeof *tape->values);
    wg__heap_release(heap, tape->assigns, tape->cap_assigns * sizeof *tape->assigns);
    wg__heap_release(heap, tape->scopes.list, tape->scopes.cap * sizeof *tape->scopes.list);
    wg__heap last = tape->heap;
    wg__heap_release(&last, tape, sizeof(whole));
    assert(last.memory.live == 0);
}

wg_status wg_tape_reset(wg_tape *tape)
{
    if (!tape) return WG_ERR_ARGUMENT;
    if (!may_change(tape, "tape_reset")) return tape->errors.first.status;
    const wg_status status = tape->errors.first.status;
    const bool stale = wg__intern_is_stale(tape); /* asks for the nodes of the step that ends */
    wg_set_step(tape, wg_next_step(tape));
    if (status != WG_OK) tape->errors.previous = tape->errors.first;
    tape->errors.first.status = WG_OK;
    tape->errors.first.text[0] = 0;
    tape->epoch++;
    tape->n_nodes = 1;
    tape->n_spill = tape->n_leaves = tape->n_values = tape->n_assigns = 0;
    tape->hash = tape->bytes = 0;
    tape->n_kept = 0;
    tape->scopes.current = 0;
    tape->modes.no_grad = tape->modes.remat = 0;
    tape->modes.n_regions = 0;
    tape->modes.forward = 0;
    for (uint32_t i = 0; i < tape->scopes.n; i++) tape->scopes.list[i].ordinal = 0;
    wg__params_forget(tape);
    wg__arena_rewind(&tape->data);
    wg__arena_rewind(&tape->results);
    wg__arena_rewind(&tape->working);
    if (stale) {
        wg__cache_clear(tape);
        assert(!tape->cache->plans); /* plans contain interned ids */
        wg__intern_clear(tape);
    }
    return status;
}

wg_memory wg_tape_memory(const wg_tape *tape) { return tape ? tape->heap.memory : (wg_memory){0}; }

wg_tape_counts wg_tape_count(const wg_tape *tape)
{
    if (!tape) return (wg_tape_counts){0};
    wg_tape_counts counts = tape->counts;
    counts.nodes = tape->n_nodes - 1;
    counts.plans_cached = tape->cache->n_plans;
    counts.plan_bytes = tape->cache->bytes;
    return counts;
}
