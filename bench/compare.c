/* Training steps of the models: timed alone, beside a peer's (turn by turn), or with planner passes on and off. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "models.h"
#include "peers.h"

/* Both sides take turns of some steps; the first turn warms up. CHECKED: steps whose losses must agree. */
enum { STEPS = 40, STEPS_TINY = 200, TURN = 5, CHECKED = 10 };

static const double tolerance = 1e-4; /* of losses, relative */

static int64_t steps_of(const bench_report *report, const char *id)
{
    if (report->settings->steps) return report->settings->steps;
    return strcmp(id, "tiny") == 0 ? STEPS_TINY : STEPS;
}

/* Worker threads of whoever ran last spin for a moment; the next one's time shall not pay for that. */
static void settle(void)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    nanosleep(&pause, NULL);
}

/* ---- one side's steps ---------------------------------------------------------------------------------- */

typedef struct side {
    bench_times times;
    double losses[CHECKED]; /* of the first steps */
    int64_t steps;          /* done, those of the warm-up included */
    uint64_t requests;      /* for memory, after the warm-up */
} side;

static void side_add(side *s, double ms, double loss)
{
    if (s->steps < CHECKED) s->losses[s->steps] = loss;
    if (s->steps >= TURN) bench_times_add(&s->times, ms);
    s->steps++;
}

static void run_ours(model *m, side *s)
{
    uint64_t requests = model_requests();
    double began = app_now();
    double loss = model_step(m);
    double ms = (app_now() - began) * 1e3;
    if (s->steps >= TURN) s->requests += model_requests() - requests;
    side_add(s, ms, loss);
}

static void run_peers(bench_peer *peer, side *s)
{
    double ms, loss;
    bench_peer_step(peer, &ms, &loss);
    side_add(s, ms, loss);
}

/* The loss of the last step that is checked. */
static double last_loss(const side *s) { return s->losses[(s->steps < CHECKED ? s->steps : CHECKED) - 1]; }

static void check_losses(const char *id, const side *ours, const side *peers)
{
    for (int64_t i = 0; i < CHECKED && i < ours->steps; i++) {
        double a = ours->losses[i], b = peers->losses[i];
        if (!(fabs(a - b) <= tolerance * fmax(fabs(a), fabs(b))))
            app_fail("%s: step %d: losses differ: ours %.7f, the peer's %.7f", id, (int)i + 1, a, b);
    }
}

/* ---- alone, or beside a peer --------------------------------------------------------------------------- */

/* Writes the model for the peer and starts it. */
static bench_peer start_peer(bench_report *report, const model *m)
{
    char path[] = "/tmp/wengert-bench-XXXXXX";
    int file = mkstemp(path);
    if (file < 0) app_fail("cannot make a file in /tmp: %s", strerror(errno));
    close(file);
    model_save(m, path);
    bench_peer peer = bench_peer_start(m->id, (int)report->settings->threads, path);
    unlink(path);
    memcpy(report->peer_version, peer.version, sizeof report->peer_version);
    return peer;
}

static void print_header(const bench_report *report)
{
    printf("%-6s %10s %7s %6s %12s", "model", "ms", "spread", "peak", "loss");
    if (report->settings->vs) printf(" %10s %7s %12s %7s", report->settings->vs, "spread", "loss", "ratio");
    putchar('\n');
}

static void print_row(const bench_report *report, const bench_row *row)
{
    printf("%-6s %10.3f %6.0f%%", row->id, row->ms, row->spread * 100);
    bench_print_cell(6, 0, bench_peak_share(report, row) * 100);
    printf("%c %11.6f", row->flops > 0 ? '%' : ' ', row->loss);
    if (report->settings->vs)
        printf(" %10.3f %6.0f%% %12.6f %7.2f", row->peer_ms, row->peer_spread * 100, row->peer_loss, row->ratio);
    printf("  allocations per steady step: %g\n", row->allocations);
    fflush(stdout);
}

static void time_model(bench_report *report, wg_pool *pool, const char *id)
{
    bool compared = report->settings->vs != NULL;
    int64_t steps = steps_of(report, id) + TURN;
    model *m = model_new(id, pool, NULL);
    bench_peer peer = {0};
    side ours = {0}, peers = {0};
    if (compared) peer = start_peer(report, m);
    for (int64_t done = 0; done < steps; done += TURN) {
        int64_t turn = steps - done < TURN ? steps - done : TURN;
        if (compared) settle();
        for (int64_t i = 0; i < turn; i++) run_ours(m, &ours);
        if (compared) settle();
        for (int64_t i = 0; i < turn && compared; i++) run_peers(&peer, &peers);
    }
    bench_row row = bench_row_new(id);
    row.ms = bench_median(&ours.times);
    row.spread = bench_spread(&ours.times);
    row.flops = m->flops;
    row.loss = last_loss(&ours);
    row.allocations = (double)ours.requests / (double)(steps - TURN);
    if (compared) {
        check_losses(id, &ours, &peers);
        row.peer_ms = bench_median(&peers.times);
        row.peer_spread = bench_spread(&peers.times);
        row.peer_loss = last_loss(&peers);
        row.ratio = row.peer_ms / row.ms;
        bench_peer_stop(&peer);
    }
    print_row(report, bench_add(report, &row));
    bench_times_fini(&ours.times);
    bench_times_fini(&peers.times);
    model_free(m);
}

/* ---- passes on and off --------------------------------------------------------------------------------- */

static void time_passes(bench_report *report, wg_pool *pool, const char *id)
{
    model *m[BENCH_PASSES];
    side sides[BENCH_PASSES] = {{{0}}};
    int64_t steps = steps_of(report, id) + TURN;
    for (int p = 0; p < BENCH_PASSES; p++) m[p] = model_new(id, pool, bench_passes[p]);
    for (int64_t done = 0; done < steps; done++)
        for (int p = 0; p < BENCH_PASSES; p++) run_ours(m[p], &sides[p]);
    bench_row row = bench_row_new(id);
    row.flops = m[0]->flops;
    row.loss = last_loss(&sides[0]);
    row.ms = bench_median(&sides[0].times);
    row.spread = bench_spread(&sides[0].times);
    printf("%-6s", id);
    for (int p = 0; p < BENCH_PASSES; p++) {
        check_losses(id, &sides[0], &sides[p]);
        row.without[p] = bench_median(&sides[p].times);
        printf(" %9.3f (%4.2f)", row.without[p], row.without[p] / row.ms);
        bench_times_fini(&sides[p].times);
        model_free(m[p]);
    }
    putchar('\n');
    fflush(stdout);
    bench_add(report, &row);
}

static void print_passes_header(void)
{
    static const char *const names[BENCH_PASSES] = {"all on", "-merge", "-fuse", "-pack", "-place", "all off"};
    printf("ms a step with planner passes off (over all on), interleaved\n%-6s", "model");
    for (int p = 0; p < BENCH_PASSES; p++) printf(" %16s", names[p]);
    putchar('\n');
}

/* ---- the section --------------------------------------------------------------------------------------- */

void bench_models(bench_report *report)
{
    wg_pool *pool = wg_pool_new((int)report->settings->threads);
    bool passes = report->settings->passes;
    if (!pool) app_fail("out of memory");
    if (passes) {
        print_passes_header();
    } else {
        print_header(report);
    }
    for (int i = 0; model_ids[i]; i++) {
        if (!bench_wants(report, model_ids[i])) continue;
        if (passes) {
            time_passes(report, pool, model_ids[i]);
        } else {
            time_model(report, pool, model_ids[i]);
        }
    }
    if (*report->peer_version)
        printf("%s %s, %d thread%s each; ratio: its time over ours\n", report->settings->vs, report->peer_version,
               report->machine.threads, report->machine.threads == 1 ? "" : "s");
    wg_pool_free(pool);
}
