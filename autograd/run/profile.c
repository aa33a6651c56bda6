/* The profile: time per op, scope and size of product. A profiled run uses the calling thread only, one instruction
 * after the other. */
#include "run.h"

#include <stdlib.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/text.h"
#include "../trace.h"
#include "timeline.h"

/* The key of a total. batches to k: the size of a product, k summed over its segments; zeros for other ops. */
typedef struct place {
    uint32_t op, scope;
    int64_t batches, m, n, k;
} place;

typedef struct total {
    place at;
    uint64_t calls, nanoseconds;
} total;

struct wg__profile {
    total *totals;
    uint32_t n_totals, cap_totals;
};

void wg__profile_free(wg_tape *tape)
{
    wg__profile *profile = tape->run->profile;
    if (!profile) return;
    wg__heap_release(&tape->heap, profile->totals, profile->cap_totals * sizeof *profile->totals);
    wg__heap_release(&tape->heap, profile, sizeof *profile);
    tape->run->profile = NULL;
}

void wg_profile_clear(wg_tape *tape)
{
    if (tape && !tape->modes.planning) wg__profile_free(tape); /* else a kernel or rule calls it */
}

/* Makes room for a run's totals. Returns NULL if out of memory: the run is then not profiled. */
static wg__profile *profile_for(wg_tape *tape, uint32_t instrs)
{
    if (!tape->run->profile) {
        tape->run->profile = wg__heap_alloc(&tape->heap, sizeof *tape->run->profile);
        if (tape->run->profile) memset(tape->run->profile, 0, sizeof *tape->run->profile);
    }
    wg__profile *p = tape->run->profile;
    if (!p || !wg__grow(&tape->heap, (void **)&p->totals, &p->cap_totals, (uint64_t)p->n_totals + instrs,
                        sizeof *p->totals))
        return NULL;
    return p;
}

static int by_place(const void *a, const void *b)
{
    return memcmp(&((const total *)a)->at, &((const total *)b)->at, sizeof(place));
}

static int by_time(const void *a, const void *b)
{
    const total *x = a, *y = b;
    return x->nanoseconds > y->nanoseconds ? -1 : x->nanoseconds < y->nanoseconds;
}

/* Adds totals of the same place to one. */
static void add_up(wg__profile *p)
{
    if (p->n_totals > 0) qsort(p->totals, p->n_totals, sizeof *p->totals, by_place);
    uint32_t kept = 0;
    for (uint32_t i = 1; i < p->n_totals; i++) {
        if (by_place(&p->totals[kept], &p->totals[i]) == 0) {
            p->totals[kept].calls += p->totals[i].calls;
            p->totals[kept].nanoseconds += p->totals[i].nanoseconds;
        } else {
            p->totals[++kept] = p->totals[i];
        }
    }
    if (p->n_totals) p->n_totals = kept + 1;
}

static place place_of(const wg__plan *plan, uint32_t i)
{
    const wg__instr *instr = &plan->instrs[i];
    place at = {.op = plan->origins[i].op, .scope = plan->origins[i].scope};
    if (instr->kind != WG__INSTR_PRODUCT) return at;
    const wg__product *p = instr->product;
    at.batches = p->batches, at.m = p->m, at.n = p->n, at.k = wg__product_depth(p);
    return at;
}

void wg__profile_walk(wg_tape *tape, wg__plan *plan, wg_run *run, wg__timeline *timeline)
{
    wg__profile *p = profile_for(tape, plan->n_instrs);
    for (uint32_t i = 0; i < plan->n_instrs; i++) {
        const wg__instr *instr = &plan->instrs[i];
        uint64_t start = wg__now();
        wg__instr_run_all(instr, run, tape->run->scratch);
        if (timeline) wg__timeline_add(timeline, 0, i, WG__ALL_TASKS, start);
        if (!p) continue;
        assert(p->n_totals < p->cap_totals);
        p->totals[p->n_totals++] = (total){place_of(plan, i), 1, wg__now() - start};
    }
    if (p) add_up(p);
}

static void profile_line(const wg_tape *tape, const total *t, uint64_t sum, FILE *out)
{
    const double ns = (double)t->nanoseconds, share = sum ? 100 * ns / (double)sum : 0;
    const double flops = 2.0 * (double)t->calls * (double)(t->at.batches * t->at.m * t->at.n) * (double)t->at.k;
    fprintf(out, "%10.3f %5.1f%% %8llu ", ns * 1e-6, share, (unsigned long long)t->calls);
    if (flops > 0 && ns > 0)
        fprintf(out, "%8.1f", flops / ns);
    else
        fprintf(out, "%8s", "");
    fputs("  ", out);
    wg__print_text(wg__op_name(tape, t->at.op), out);
    if (t->at.batches > 1) fprintf(out, " %lld of", (long long)t->at.batches);
    if (t->at.batches) fprintf(out, " %lldx%lldx%lld", (long long)t->at.m, (long long)t->at.n, (long long)t->at.k);
    wg__scope_text scope;
    fprintf(out, "%s\n", wg__scope_label(tape, t->at.scope, &scope));
}

wg_status wg_dump_profile(const wg_tape *tape, FILE *out)
{
    if (!tape || !out) return WG_ERR_ARGUMENT;
    wg__profile *p = tape->run->profile;
    if (!p) return fputs("no profiled run\n", out) < 0 ? WG_ERR_IO : WG_OK;
    qsort(p->totals, p->n_totals, sizeof *p->totals, by_time);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < p->n_totals; i++) sum += p->totals[i].nanoseconds;
    fprintf(out, "%10s %6s %8s %8s  %s\n", "ms", "share", "calls", "GFLOP/s", "op, m x n x k of a product [scope]");
    for (uint32_t i = 0; i < p->n_totals; i++) profile_line(tape, &p->totals[i], sum, out);
    qsort(p->totals, p->n_totals, sizeof *p->totals, by_place);
    return ferror(out) ? WG_ERR_IO : WG_OK;
}
