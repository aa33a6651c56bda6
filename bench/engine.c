/* The engine's overhead per op: recording, differentiating, planning, and replaying a cached plan. Programs are long,
 * ops are small (16 elements). */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { OPS = 2000, MANY = 1000000, ELEMENTS = 16, SAMPLES = 50 };

static const float ones[ELEMENTS] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* A chain of n pointwise ops. */
static wg_tensor chain(wg_tape *tape, int n)
{
    wg_tensor c = wg_data(tape, WG_F32, WG_DIMS(ELEMENTS), ones), y = c;
    for (int i = 0; i < n; i += 2) y = wg_add(wg_mul(y, c), c);
    return y;
}

static void reset(wg_tape *tape)
{
    if (wg_tape_reset(tape) != WG_OK) app_fail("%s", wg_tape_message(tape));
}

/* Each function runs one step and returns the milliseconds of the part that it measures. */

static double record_ms(wg_tape *tape)
{
    double began = wg_seconds();
    chain(tape, OPS);
    double ms = (wg_seconds() - began) * 1e3;
    reset(tape);
    return ms;
}

/* The first call makes the plan; later calls replay it. */
static double replay_ms(wg_tape *tape)
{
    wg_tensor y = chain(tape, OPS);
    double began = wg_seconds();
    wg_eval(&y, 1);
    double ms = (wg_seconds() - began) * 1e3;
    reset(tape);
    return ms;
}

static double differentiate_ms(wg_tape *tape)
{
    wg_tensor x = wg_data(tape, WG_F32, WG_DIMS(ELEMENTS), ones), y = x;
    for (int i = 0; i < OPS; i++) y = wg_mul(y, y);
    double began = wg_seconds();
    wg_grad1(y, x, WG_NONE);
    double ms = (wg_seconds() - began) * 1e3;
    reset(tape);
    return ms;
}

static double plan_ms(wg_tape *tape)
{
    wg_tensor y = chain(tape, MANY);
    double began = wg_seconds();
    size_t bytes = wg_plan_bytes(&y, 1);
    double ms = (wg_seconds() - began) * 1e3;
    if (bytes == 0) app_fail("planning: %s", wg_tape_message(tape));
    reset(tape);
    return ms;
}

typedef struct engine_case {
    const char *id;
    double (*ms)(wg_tape *tape);
    int ops;
    const char *plan; /* as in wg_tape_options */
    bool fresh;       /* a new tape for each sample, so that no plan is cached */
} engine_case;

static const engine_case cases[] = {{"record", record_ms, OPS, NULL, false},
                                    {"differentiate", differentiate_ms, OPS, NULL, false},
                                    {"replay", replay_ms, OPS, NULL, false},
                                    {"replay unfused", replay_ms, OPS, "-fuse", false},
                                    {"plan", plan_ms, MANY, NULL, true}};

static void time_case(bench_report *report, const engine_case *k)
{
    if (!bench_wants(report, k->id)) return;
    int64_t samples = report->settings->steps ? report->settings->steps : SAMPLES;
    if (k->fresh && samples > 3) samples = 3;
    bench_times times = {0};
    wg_tape *tape = bench_tape_new(NULL, k->plan, false);
    if (!k->fresh)
        for (int warm = 0; warm < 3; warm++) k->ms(tape);
    for (int64_t s = 0; s < samples; s++) {
        if (k->fresh) {
            wg_tape_free(tape);
            tape = bench_tape_new(NULL, k->plan, false);
        }
        bench_times_add(&times, k->ms(tape));
    }
    wg_tape_free(tape);
    bench_row row = bench_row_new(k->id);
    row.ms = bench_median(&times);
    row.spread = bench_spread(&times);
    row.ns_per_op = row.ms * 1e6 / k->ops;
    bench_add(report, &row);
    bench_times_fini(&times);
    printf("%-24s %11.3f %6.0f%% %11.1f\n", row.id, row.ms, row.spread * 100, row.ns_per_op);
}

void bench_engine(bench_report *report)
{
    printf("\n%-24s %11s %7s %11s\n", "engine, one thread", "ms", "spread", "ns/op");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) time_case(report, &cases[i]);
    printf("(%d pointwise ops on %d elements; plan: %d)\n", OPS, ELEMENTS, MANY);
}
