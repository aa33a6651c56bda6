/* The child process that runs Wengert's side of a comparison: see peers.h. */
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models.h"
#include "peers.h"

/* "VmRSS:" or "VmHWM:" of this process, in bytes; NaN if the system does not report it. */
static double process_bytes(const char *name)
{
    char line[256];
    double kilobytes = NAN;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, name, strlen(name))) kilobytes = strtod(line + strlen(name) + 1, NULL);
    if (file) fclose(file);
    return kilobytes * 1024;
}

static void give_back_free_memory(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

/* Resets VmHWM to the current resident memory. */
static void reset_peak(void)
{
    give_back_free_memory();
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (!file) return;
    fputs("5", file);
    fclose(file);
}

/* Runs a tiny model, so that code and libraries are loaded. */
static void warm_up(wg_pool *pool)
{
    model *m = model_new("scaled-lstm:2,2,2", pool, "", false);
    model_step(m);
    model_free(m);
}

static void step(model *m)
{
    uint64_t before = model_allocations();
    double began = wg_seconds();
    double loss = model_step(m);
    double ms = (wg_seconds() - began) * 1e3;
    printf("{\"ms\": %.9g, \"loss\": %.9g, \"allocations\": %.9g}\n", ms, loss,
           (double)(model_allocations() - before));
}

void bench_serve(const char *id, int threads, const char *plan)
{
    char line[512];
    wg_pool *pool = wg_pool_new(threads);
    if (!pool) app_fail("out of memory");
    warm_up(pool);
    give_back_free_memory();
    double idle = process_bytes("VmRSS:");
    model *m = model_new(id, pool, plan, false);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, "save ", 5)) {
            model_save(m, line + 5);
            reset_peak();
            printf("{\"ok\": true, \"flops\": %.9g, \"units\": %.9g}\n", m->flops, m->units);
        } else if (!strncmp(line, "step", 4)) {
            step(m);
        } else if (!strncmp(line, "memory", 6)) {
            printf("{\"bytes\": %.0f}\n", process_bytes("VmHWM:") - idle);
        } else {
            break;
        }
        fflush(stdout);
    }
    model_free(m);
    wg_pool_free(pool);
}
