/* Our side of the comparison as a child process, as the peers' sides are: see peers.h. */
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models.h"
#include "peers.h"

/* "VmRSS", "VmHWM" of this process, in bytes; NaN where the system does not tell. */
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

/* From now on VmHWM is the most since now. */
static void forget_peak(void)
{
    malloc_trim(0);
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (!file) return;
    fputs("5", file);
    fclose(file);
}

/* Uses the code that a model uses. */
static void warm(wg_pool *pool)
{
    model *m = model_new("scaled-lstm:2,2,2", pool, NULL, false);
    model_step(m);
    model_free(m);
}

static void step(model *m)
{
    uint64_t requests = model_requests();
    double began = app_now();
    double loss = model_step(m);
    double ms = (app_now() - began) * 1e3;
    printf("{\"ms\": %.9g, \"loss\": %.9g, \"allocations\": %.9g}\n", ms, loss,
           (double)(model_requests() - requests));
}

void bench_serve(const char *id, int threads, const char *plan)
{
    char line[512];
    wg_pool *pool = wg_pool_new(threads);
    if (!pool) app_fail("out of memory");
    warm(pool);
    malloc_trim(0);
    double idle = process_bytes("VmRSS:");
    model *m = model_new(id, pool, plan, false);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, "save ", 5)) {
            model_save(m, line + 5);
            forget_peak();
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
