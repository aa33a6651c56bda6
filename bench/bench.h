/* Internal to bench/: what its files share. Times are medians of repeated runs, in milliseconds, unless a name says
 * otherwise; the spread is the distance between the quartiles over the median. */
#ifndef BENCH_H
#define BENCH_H

#include "../examples/app.h"

enum { BENCH_PEERS_MAX = 3 };

typedef struct bench_settings {
    const char *json;                   /* file for the rows; NULL: none */
    const char *filter;                 /* only rows whose id holds this text; NULL: all */
    const char *peers[BENCH_PEERS_MAX]; /* "torch", "torch-compile", "jax" */
    int n_peers;
    int64_t threads;
    int64_t steps; /* samples a row; 0: the section's own number */
    bool passes;   /* models: with planner passes off, one at a time */
    bool profile;  /* models: where the time of a step goes */
} bench_settings;

/* ---- the machine, measured in the same run (machine.c) ------------------------------------------------- */

/* What a thread touches in each measurement of copies: from the second-level cache to memory. */
enum { BENCH_COPIES = 4 };
extern const double bench_copy_bytes[BENCH_COPIES];

typedef struct bench_machine {
    int threads;
    char processor[96];
    const char *instructions, *product, *vector_math; /* what kernels were chosen */
    double gflops; /* f32 fused multiply-adds in registers, all threads at once; two operations each */
    double copy_gbs[BENCH_COPIES]; /* bytes read plus bytes written, by what a thread touches */
} bench_machine;

bench_machine bench_measure_machine(int threads);
void bench_print_machine(const bench_machine *machine);

/* ---- samples of a time --------------------------------------------------------------------------------- */

typedef struct bench_times {
    double *ms;
    size_t n, room;
} bench_times;

void bench_times_add(bench_times *times, double ms);
/* Sorts them. NaN of none. */
double bench_median(bench_times *times);
double bench_spread(bench_times *times);
void bench_times_fini(bench_times *times);

/* ---- rows (report.c) ----------------------------------------------------------------------------------- */

typedef struct bench_peer_row {
    const char *name;
    char version[48];
    double ms, spread, loss;
    double ratio; /* its time over ours */
    double bytes; /* as resident, below */
} bench_peer_row;

/* Planner settings that --passes compares; the first is all on. */
enum { BENCH_PASSES = 8 };

/* Quantities that a row does not have are NaN, or 0 for work. */
typedef struct bench_row {
    char id[64];
    double ms, spread;
    double elements, bytes, flops; /* work of one run */
    double ns_per_op;
    double loss;
    double resident; /* memory at most, over that of an idle process */
    double units;    /* tokens that a step makes: ms and flops are those of one; 1 where a step is a step */
    double without[BENCH_PASSES];     /* ms with passes off, in the order of bench_passes */
    double allocations;               /* in a steady step */
    double exponent, memory_exponent; /* of a fit */
    bench_peer_row peers[BENCH_PEERS_MAX];
    int n_peers;
} bench_row;

typedef struct bench_report {
    const bench_settings *settings;
    bench_machine machine;
    bench_row *rows;
    size_t n, room;
    bool failed; /* losses differ */
} bench_report;

bench_row bench_row_new(const char *id);
/* Does the filter let this id through? */
bool bench_wants(const bench_report *report, const char *id);
bench_row *bench_add(bench_report *report, const bench_row *row);
/* Share of the peak that the row's work is bound by; NaN where it has neither flops nor bytes. */
double bench_peak_share(const bench_report *report, const bench_row *row);
/* Prints a number in so many columns, "-" for NaN. */
void bench_print_cell(int width, int decimals, double number);
/* Writes settings->json, if there is one; ends the program where it cannot be written. */
void bench_write_json(const bench_report *report);
void bench_report_fini(bench_report *report);

/* ---- sections ------------------------------------------------------------------------------------------ */

void bench_ops(bench_report *report);     /* micro.c: every op */
void bench_engine(bench_report *report);  /* engine.c: recording, planning, replaying */
void bench_models(bench_report *report);  /* compare.c: training steps */
void bench_scaling(bench_report *report); /* scaling.c: their cost against T, B, H */

extern const char *const bench_passes[BENCH_PASSES];

/* A tape on a pool, with planner passes off as `plan` says (NULL: as the environment says). */
wg_tape *bench_tape_new(wg_pool *pool, const char *plan, bool profile);

#endif
