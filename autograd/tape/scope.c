/* Modes and scopes: training or evaluation, no_grad, rematerialization regions, seeds, names. */
#include "../base/random.h"
#include "graph.h"

#include <stdio.h>
#include <string.h>

bool wg_set_training(wg_tape *tape, bool training)
{
    if (!tape) return true;
    bool old = tape->modes.training;
    tape->modes.training = training;
    return old;
}

bool wg_is_training(const wg_tape *tape) { return !tape || tape->modes.training; }
void wg_no_grad_begin(wg_tape *tape)
{
    if (tape) tape->modes.no_grad++;
}
void wg_no_grad_end(wg_tape *tape)
{
    if (tape && tape->modes.no_grad > 0) tape->modes.no_grad--;
}

void wg_remat_begin(wg_tape *tape)
{
    if (tape && tape->modes.remat++ == 0) tape->modes.n_regions++;
}
void wg_remat_end(wg_tape *tape)
{
    if (tape && tape->modes.remat > 0) tape->modes.remat--;
}

void wg_set_seed(wg_tape *tape, uint64_t seed)
{
    if (tape) tape->seed = seed;
}
void wg_set_step(wg_tape *tape, uint64_t step)
{
    if (!tape) return;
    tape->step = step;
    tape->step_drawn = false;
}
uint64_t wg_next_step(const wg_tape *tape)
{
    return tape ? tape->step + (tape->step_drawn && !wg__failed(tape)) : 0;
}

/* Ends a path that was cut after n bytes without its last character in UTF-8, which may not be whole. */
static int cut(char *path, int n)
{
    while (n > 0 && ((unsigned char)path[n - 1] & 0xc0) == 0x80) n--;
    if (n > 0 && (unsigned char)path[n - 1] >= 0xc0) n--;
    path[n] = 0;
    return n;
}

/* The entry of a scope is kept until the tape is freed; entering the scope again finds it. */
void wg_scope_begin(wg_tape *tape, const char *name)
{
    if (!tape) return;
    if (!name) name = "?";
    assert(tape->scopes.current < tape->scopes.n);
    char path[256];
    const char *parent = tape->scopes.list[tape->scopes.current].path;
    int length = snprintf(path, sizeof path, "%s%s%s", parent, parent[0] ? "." : "", name);
    if (length >= (int)sizeof path) length = cut(path, (int)sizeof path - 1);
    uint64_t hash = wg__hash_bytes(tape->scopes.list[tape->scopes.current].path_hash + 1, name, strlen(name));
    const uint32_t known = wg__scope_find(tape, hash, path);
    if (known) {
        tape->scopes.current = known;
        return;
    }
    char *copy = wg__arena_alloc(&tape->scopes.names, (size_t)length + 1, 1);
    if (!copy || !wg__scope_room(tape) ||
        !wg__grow(&tape->heap, (void **)&tape->scopes.list, &tape->scopes.cap, tape->scopes.n + 1u,
                  sizeof *tape->scopes.list)) {
        wg__out_of_memory(tape);
        return;
    }
    memcpy(copy, path, (size_t)length + 1);
    tape->scopes.list[tape->scopes.n] =
        (wg__scope){.parent = tape->scopes.current, .path_hash = hash, .path = copy};
    wg__scope_enter(tape, tape->scopes.n);
    tape->scopes.current = tape->scopes.n++;
}

void wg_scope_end(wg_tape *tape)
{
    if (!tape) return;
    const uint32_t current = tape->scopes.current, parent = tape->scopes.list[current].parent;
    assert(current ? parent < current : parent == 0);
    tape->scopes.current = parent;
}
