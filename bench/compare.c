/* Times steps of the models: alone, interleaved with peers, or with planner passes on and off. Every side of a
 * comparison is a child process (peers.h). */
#include "compare.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "models.h"
#include "peers.h"

/* Sides alternate in turns of TURN steps; the first turn warms up. The losses of the first CHECKED steps must agree. */
enum { TURN = 5, CHECKED = 10, MAX_SIDES = 8 };

/* Of losses, relative. */
static double tolerance_of(const char *name)
{
    const bench_peer_kind *kind = bench_peer_find(name);
    return kind ? kind->tolerance : 1e-4;
}

typedef struct side {
    const char *name, *plan;
    bench_peer peer;
    bench_times times;
    double losses[CHECKED]; /* of the first steps */
    int64_t steps;          /* number of steps run, including warm-up */
    double allocations;     /* in the steps after warm-up */
    double bytes;
    char version[48];
} side;

/* The worker threads of the side that ran last still spin for a moment; wait until they park. */
static void settle(void)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    nanosleep(&pause, NULL);
}

static void run_turn(side *s, int64_t steps, bool warm_up, double units)
{
    char line[512];
    settle();
    for (int64_t i = 0; i < steps && bench_peer_ask(&s->peer, "step", "", line); i++) {
        if (s->steps < CHECKED) s->losses[s->steps] = bench_json_number(line, "loss");
        s->steps++;
        if (warm_up) continue;
        bench_times_add(&s->times, bench_json_number(line, "ms") / units);
        s->allocations += bench_json_number(line, "allocations");
    }
}

/* The loss of the last checked step. */
static double last_loss(const side *s)
{
    return s->steps ? s->losses[(s->steps < CHECKED ? s->steps : CHECKED) - 1] : NAN;
}

/* Prints a note and returns false if losses differ. */
static bool check_losses(const char *id, const side *ours, const side *other)
{
    for (int64_t i = 0; i < CHECKED && i < ours->steps && i < other->steps; i++) {
        double a = ours->losses[i], b = other->losses[i];
        if (fabs(a - b) <= tolerance_of(other->name) * fmax(fabs(a), fabs(b))) continue;
        app_note("%s: step %d: losses differ: wengert %.7f, %s %.7f", id, (int)i + 1, a, other->name, b);
        return false;
    }
    return true;
}

/* ---- the sides of a row -------------------------------------------------------------------------------- */

/* Starts the sides. The first is Wengert; all others load its weights. */
static void start_sides(const bench_report *report, bench_row *row, const char *id, side *sides, int n)
{
    char path[] = "/tmp/wengert-bench-XXXXXX", line[512];
    int file = mkstemp(path);
    if (file < 0) app_fail("cannot create a file in /tmp: %s", strerror(errno));
    close(file);
    for (int i = 0; i < n; i++) {
        side *s = &sides[i];
        bool ours = !strncmp(s->name, "wengert", 7);
        s->peer = bench_peer_start(s->name, id, report->machine.threads, s->plan);
        bench_peer_ask(&s->peer, ours ? "save" : "load", path, line);
        bench_json_text(line, "version", s->version, sizeof s->version);
        if (i > 0) continue;
        row->flops = bench_json_number(line, "flops");
        row->units = bench_json_number(line, "units");
        row->flops /= row->units;
    }
    unlink(path);
}

static void run_sides(bench_report *report, bench_row *row, side *sides, int n, int64_t steps, int64_t turn)
{
    char line[512];
    for (int64_t done = -turn; done < steps; done += turn)
        for (int i = 0; i < n; i++)
            run_turn(&sides[i], done >= 0 && steps - done < turn ? steps - done : turn, done < 0, row->units);
    for (int i = 0; i < n; i++) {
        side *s = &sides[i];
        bench_peer_ask(&s->peer, "memory", "", line);
        s->bytes = bench_json_number(line, "bytes");
        if (s->peer.error[0] && i == 0) app_fail("%s: %s", row->id, s->peer.error);
        if (s->peer.error[0]) app_note("%s: no %s: %s", row->id, s->name, s->peer.error);
        if (i > 0 && !s->peer.error[0] && !check_losses(row->id, &sides[0], s)) report->failed = true;
    }
    row->ms = bench_median(&sides[0].times);
    row->spread = bench_spread(&sides[0].times);
    row->loss = last_loss(&sides[0]);
    row->resident = sides[0].bytes;
    row->allocations = sides[0].allocations / (double)sides[0].times.n;
}

static void stop_sides(side *sides, int n)
{
    for (int i = 0; i < n; i++) {
        bench_peer_stop(&sides[i].peer);
        bench_times_fini(&sides[i].times);
    }
}

/* ---- with or without peers ----------------------------------------------------------------------------- */

void bench_print_models_header(const bench_report *report)
{
    printf("%-24s %10s %7s %6s %7s %12s", "model", "ms", "spread", "peak", "MiB", "loss");
    for (int p = 0; p < report->settings->n_peers; p++)
        printf(" | %14s %7s %6s %7s", report->settings->peers[p], "spread", "ratio", "MiB");
    putchar('\n');
}

static void print_row(const bench_report *report, const bench_row *row)
{
    printf("%-24s %10.3f %6.0f%%", row->id, row->ms, row->spread * 100);
    bench_print_cell(6, 0, bench_peak_share(report, row) * 100);
    printf("%c", row->flops > 0 ? '%' : ' ');
    bench_print_cell(7, 1, row->resident / 0x1p20);
    printf(" %12.6f", row->loss);
    for (int p = 0; p < row->n_peers; p++) {
        const bench_peer_row *peer = &row->peers[p];
        printf(" | ");
        bench_print_cell(14, 3, peer->ms);
        bench_print_cell(7, 0, peer->spread * 100);
        printf("%c", isfinite(peer->spread) ? '%' : ' ');
        bench_print_cell(6, 2, peer->ratio);
        bench_print_cell(8, 1, peer->bytes / 0x1p20);
    }
    if (row->units > 1) printf("  per token; %.0f tokens/s", 1e3 / row->ms);
    if (row->allocations > 0) printf("  allocations in a steady step: %g", row->allocations);
    putchar('\n');
    fflush(stdout);
}

bench_row bench_time_model(bench_report *report, const char *id, int64_t steps)
{
    const bench_settings *settings = report->settings;
    if (settings->steps) steps = settings->steps;
    side sides[1 + BENCH_PEERS_MAX] = {{.name = "wengert"}};
    bench_row row = bench_row_new(id);
    row.n_peers = settings->n_peers;
    for (int p = 0; p < row.n_peers; p++) sides[p + 1].name = settings->peers[p];
    start_sides(report, &row, id, sides, 1 + row.n_peers);
    run_sides(report, &row, sides, 1 + row.n_peers, steps, steps < TURN ? steps : TURN);
    for (int p = 0; p < row.n_peers; p++) {
        side *s = &sides[p + 1];
        bool ok = !s->peer.error[0];
        row.peers[p] = (bench_peer_row){.name = s->name,
                                        .ms = ok ? bench_median(&s->times) : NAN,
                                        .spread = ok ? bench_spread(&s->times) : NAN,
                                        .loss = ok ? last_loss(s) : NAN,
                                        .bytes = ok ? s->bytes : NAN};
        row.peers[p].ratio = row.peers[p].ms / row.ms;
        memcpy(row.peers[p].version, s->version, sizeof s->version);
    }
    stop_sides(sides, 1 + row.n_peers);
    print_row(report, bench_add(report, &row));
    return row;
}

/* ---- passes on and off --------------------------------------------------------------------------------- */

static void time_passes(bench_report *report, const model_kind *kind)
{
    side sides[BENCH_PASSES] = {{0}};
    bench_row row = bench_row_new(kind->id);
    int64_t steps = report->settings->steps ? report->settings->steps : kind->steps;
    for (int p = 0; p < BENCH_PASSES; p++) sides[p].name = "wengert", sides[p].plan = bench_passes[p];
    start_sides(report, &row, kind->id, sides, BENCH_PASSES);
    run_sides(report, &row, sides, BENCH_PASSES, steps, 1);
    printf("%-14s", kind->id);
    for (int p = 0; p < BENCH_PASSES; p++) {
        row.without[p] = bench_median(&sides[p].times);
        printf(" %9.3f (%4.2f)", row.without[p], row.without[p] / row.ms);
    }
    putchar('\n');
    fflush(stdout);
    stop_sides(sides, BENCH_PASSES);
    bench_add(report, &row);
}

static void print_passes_header(void)
{
    printf("ms per step with planner passes off (and ratio to all on), interleaved\n%-14s", "model");
    for (int p = 0; p < BENCH_PASSES; p++)
        printf(" %16s", p == 0 ? "all on" : p == BENCH_PASSES - 1 ? "all off" : bench_passes[p]);
    putchar('\n');
}

/* ---- profile ------------------------------------------------------------------------------------------- */

static void profile(const bench_report *report, const char *id)
{
    wg_pool *pool = wg_pool_new(report->machine.threads);
    if (!pool) app_fail("out of memory");
    model *m = model_new(id, pool, NULL, true);
    for (int i = 0; i < 2; i++) model_step(m);
    wg_profile_clear(m->tape);
    model_step(m);
    printf("\n%s: %.3g GFLOP of products per step\n", id, m->flops * 1e-9);
    if (wg_dump_profile(m->tape, stdout) != WG_OK) app_fail("%s: no profile", id);
    model_free(m);
    wg_pool_free(pool);
}

/* ---- the section --------------------------------------------------------------------------------------- */

void bench_models(bench_report *report)
{
    const bench_settings *settings = report->settings;
    if (settings->passes) {
        print_passes_header();
    } else if (!settings->profile) {
        bench_print_models_header(report);
    }
    for (const model_kind *kind = model_kinds; kind->id; kind++) {
        if (!bench_wants(report, kind->id)) continue;
        if (settings->passes) {
            time_passes(report, kind);
        } else if (settings->profile) {
            profile(report, kind->id);
        } else {
            bench_time_model(report, kind->id, kind->steps);
        }
    }
    if (settings->n_peers)
        printf("%d thread%s each; ratio: a peer's time over Wengert's; MiB: peak resident memory over an idle "
               "process\n",
               report->machine.threads, report->machine.threads == 1 ? "" : "s");
}
