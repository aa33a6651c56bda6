/* The tape's life: making, freeing, modes, scopes, errors, reset. */
#include "graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY_INTERNED = 1 << 20 }; /* bytes of attributes or number of shapes past which a reset forgets them */

wg_tape_options wg_tape_defaults(void) { return (wg_tape_options){0}; }

static const struct {
    const char *name;
    unsigned pass;
} passes[] = {{"merge", WG__PASS_MERGE},         {"fuse", WG__PASS_FUSE},   {"pack", WG__PASS_PACK},
              {"place", WG__PASS_PLACE},         {"cache", WG__PASS_CACHE}, {"side", WG__PASS_SIDE},
              {"remat", WG__PASS_REMAT},         {"rows", WG__PASS_ROWS},   {"lookup", WG__PASS_LOOKUP},
              {"attention", WG__PASS_ATTENTION}, {"keep", WG__PASS_KEEP},   {"again", WG__PASS_AGAIN}};

static unsigned pass_named(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++)
        if (strlen(passes[i].name) == n && !memcmp(passes[i].name, name, n)) return passes[i].pass;
    return 0;
}

/* "-merge,-fuse": those are off; "+remat,+rows": what these do only when asked to is on. */
static void choose_passes(wg_tape *tape, const char *text)
{
    tape->passes = ~0u;
    for (const char *at = text; at && *at; at += strspn(at, ", ")) {
        size_t n = strcspn(at, ", ");
        unsigned pass = n > 1 && (*at == '-' || *at == '+') ? pass_named(at + 1, n - 1) : 0;
        if (!pass)
            wg__tape_error(tape, WG_ERR_ARGUMENT, "plan (or WG_PLAN): \"%.*s\" is no pass with - or + before it",
                           (int)n, at);
        else if (*at == '-')
            tape->passes &= ~pass;
        tape->options.remat |= *at == '+' && pass == WG__PASS_REMAT;
        tape->all_rows |= *at == '+' && pass == WG__PASS_ROWS;
        at += n;
    }
}

wg_tape *wg_tape_new(wg_tape_options options)
{
    wg__heap heap = {.allocator = options.allocator};
    wg_tape *tape = wg__heap_alloc(&heap, sizeof *tape);
    if (!tape) return NULL;
    memset(tape, 0, sizeof *tape);
    tape->heap = heap;
    tape->options = options;
    tape->epoch = 1;
    tape->seed = options.seed;
    tape->training = true;
    wg__arena *arenas[] = {&tape->names, &tape->data, &tape->kept, &tape->scratch};
    for (size_t i = 0; i < sizeof arenas / sizeof *arenas; i++) arenas[i]->heap = &tape->heap;
    if (!wg__grow(&tape->heap, (void **)&tape->nodes, &tape->cap_nodes, 1024, sizeof *tape->nodes) ||
        !wg__grow(&tape->heap, (void **)&tape->scopes, &tape->cap_scopes, 64, sizeof *tape->scopes) ||
        !wg__grow(&tape->heap, (void **)&tape->ops, &tape->cap_ops, 64, sizeof *tape->ops)) {
        wg_tape_free(tape);
        return NULL;
    }
    memset(&tape->nodes[0], 0, sizeof tape->nodes[0]);
    tape->n_nodes = 1;
    tape->scopes[0] = (wg__scope){.path = ""};
    tape->n_scopes = 1;
    tape->ops[0] = NULL;
    tape->n_ops = 1;
    choose_passes(tape, options.plan ? options.plan : getenv("WG_PLAN"));
    return tape;
}

void wg_tape_free(wg_tape *tape)
{
    if (!tape) return;
    wg__plans_release(tape);
    wg__profile_free(tape);
    wg__intern_release(tape);
    wg__arena *arenas[] = {&tape->names, &tape->data, &tape->kept, &tape->scratch};
    for (size_t i = 0; i < sizeof arenas / sizeof *arenas; i++) wg__arena_release(arenas[i]);
    wg__heap *heap = &tape->heap;
    wg__heap_release(heap, tape->nodes, tape->cap_nodes * sizeof *tape->nodes);
    wg__heap_release(heap, tape->spill, tape->cap_spill * sizeof *tape->spill);
    wg__heap_release(heap, tape->leaves, tape->cap_leaves * sizeof *tape->leaves);
    wg__heap_release(heap, tape->values, tape->cap_values * sizeof *tape->values);
    wg__heap_release(heap, tape->assigns, tape->cap_assigns * sizeof *tape->assigns);
    wg__heap_release(heap, tape->ops, tape->cap_ops * sizeof *tape->ops);
    wg__heap_release(heap, tape->shapes, tape->cap_shapes * sizeof *tape->shapes);
    wg__heap_release(heap, tape->attrs, tape->cap_attrs * sizeof *tape->attrs);
    wg__heap_release(heap, tape->attr_sizes, tape->cap_attr_sizes * sizeof *tape->attr_sizes);
    wg__heap_release(heap, tape->attr_bytes, tape->cap_attr_bytes);
    wg__heap_release(heap, tape->scopes, tape->cap_scopes * sizeof *tape->scopes);
    wg__heap_release(heap, tape->held, tape->cap_held * sizeof *tape->held);
    wg__heap_release(heap, tape->block, tape->block_bytes);
    wg__heap_release(heap, tape->task_scratch, tape->task_scratch_bytes);
    wg__heap_release(heap, tape->aside, tape->aside_bytes);
    wg__heap last = tape->heap;
    wg__heap_release(&last, tape, sizeof *tape);
}

wg_status wg_tape_reset(wg_tape *tape)
{
    if (!tape) return WG_ERR_ARGUMENT;
    wg_status status = tape->error.status;
    if (status != WG_OK) tape->last = tape->error;
    tape->error.status = WG_OK;
    tape->error.text[0] = 0;
    tape->epoch++;
    tape->n_nodes = 1;
    tape->n_spill = tape->n_leaves = tape->n_values = tape->n_assigns = 0;
    tape->hash = 0;
    tape->n_kept = 0;
    tape->scope = 0;
    tape->no_grad = tape->remat = 0;
    tape->n_regions = 0;
    tape->forward = 0;
    for (uint32_t i = 0; i < tape->n_scopes; i++) tape->scopes[i].ordinal = 0;
    if (tape->param_index.count) {
        memset(tape->param_index.table, 0, tape->param_index.size * sizeof(uint32_t));
        tape->param_index.count = 0;
    }
    wg__arena_rewind(&tape->data);
    wg__arena_rewind(&tape->kept);
    wg__arena_rewind(&tape->scratch);
    if (tape->n_attr_bytes > MANY_INTERNED || tape->n_shapes > MANY_INTERNED) {
        wg__plans_release(tape);
        wg__intern_clear(tape);
    }
    return status;
}

wg_status wg_tape_status(const wg_tape *tape) { return tape ? tape->error.status : WG_ERR_ARGUMENT; }

const char *wg_tape_message(const wg_tape *tape)
{
    if (!tape) return "no tape";
    return tape->error.status != WG_OK ? tape->error.text : tape->last.text;
}

void wg_tape_on_error(wg_tape *tape, wg_error_callback callback, void *context)
{
    if (!tape) return;
    tape->on_error = callback;
    tape->on_error_context = context;
}

wg_status wg__tape_error(wg_tape *tape, wg_status status, const char *format, ...)
{
    if (tape->error.status != WG_OK) return tape->error.status;
    va_list arguments;
    va_start(arguments, format);
    wg_error_setv(&tape->error, status, format, arguments);
    va_end(arguments);
    if (tape->on_error) tape->on_error(tape->on_error_context, status, tape->error.text);
    return status;
}

wg_status wg__out_of_memory(wg_tape *tape)
{
    return wg__tape_error(tape, WG_ERR_MEMORY, "out of memory (%zu bytes live)", tape->heap.memory.live);
}

bool wg_set_training(wg_tape *tape, bool training)
{
    if (!tape) return true;
    bool old = tape->training;
    tape->training = training;
    return old;
}

bool wg_is_training(const wg_tape *tape) { return !tape || tape->training; }
void wg_no_grad_begin(wg_tape *tape)
{
    if (tape) tape->no_grad++;
}
void wg_no_grad_end(wg_tape *tape)
{
    if (tape && tape->no_grad > 0) tape->no_grad--;
}

void wg_remat_begin(wg_tape *tape)
{
    if (tape && tape->remat++ == 0) tape->n_regions++;
}
void wg_remat_end(wg_tape *tape)
{
    if (tape && tape->remat > 0) tape->remat--;
}

void wg_set_seed(wg_tape *tape, uint64_t seed)
{
    if (tape) tape->seed = seed;
}
void wg_set_step(wg_tape *tape, uint64_t step)
{
    if (tape) tape->step = step;
}

/* Scopes are found again by path: a scope entered each step is one entry for the tape's life. */
void wg_scope_begin(wg_tape *tape, const char *name)
{
    if (!tape) return;
    if (!name) name = "?";
    char path[256];
    const char *parent = tape->scopes[tape->scope].path;
    int length = snprintf(path, sizeof path, "%s%s%s", parent, parent[0] ? "." : "", name);
    if (length >= (int)sizeof path) length = (int)sizeof path - 1;
    uint64_t hash = wg__hash_bytes(tape->scopes[tape->scope].path_hash + 1, name, strlen(name));
    for (uint32_t i = 1; i < tape->n_scopes; i++) {
        if (tape->scopes[i].path_hash == hash && tape->scopes[i].parent == tape->scope &&
            !strcmp(tape->scopes[i].path, path)) {
            tape->scope = i;
            return;
        }
    }
    char *copy = wg__arena_alloc(&tape->names, (size_t)length + 1, 1);
    if (!copy || !wg__grow(&tape->heap, (void **)&tape->scopes, &tape->cap_scopes, tape->n_scopes + 1u,
                           sizeof *tape->scopes)) {
        wg__out_of_memory(tape);
        return;
    }
    memcpy(copy, path, (size_t)length + 1);
    tape->scopes[tape->n_scopes] = (wg__scope){.parent = tape->scope, .path_hash = hash, .path = copy};
    tape->scope = tape->n_scopes++;
}

void wg_scope_end(wg_tape *tape)
{
    if (tape) tape->scope = tape->scopes[tape->scope].parent;
}

wg_memory wg_tape_memory(const wg_tape *tape) { return tape ? tape->heap.memory : (wg_memory){0}; }

wg_tape_counts wg_tape_count(const wg_tape *tape)
{
    if (!tape) return (wg_tape_counts){0};
    wg_tape_counts counts = tape->counts;
    counts.nodes = tape->n_nodes - 1;
    counts.plans_cached = tape->n_plans;
    return counts;
}
