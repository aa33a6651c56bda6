/* Internal to bench/: shared declarations. Times are medians of repeated runs, in milliseconds unless a name says
 * otherwise; the spread is the interquartile range over the median. */
#ifndef BENCH_H
#define BENCH_H

#include "../examples/app.h"

enum { BENCH_PEERS_MAX = 6 };

typedef struct bench_settings {
    const char *json;                   /* file to write the rows to; NULL: none */
    const char *filter;                 /* only rows whose id contains this text; NULL: all */
    const char *peers[BENCH_PEERS_MAX]; /* "torch", ...: names that --vs takes */
    int n_peers;
    int64_t threads;
    int64_t steps; /* samples per row; 0: the section's default */
    bool passes;   /* models: time with planner passes off, one at a time */
    bool profile;  /* models: print the time of each op */
    bool metrics;  /* models: print counts and bytes of each plan instead of times */
} bench_settings;

/* ---- the machine, measured in the same run (machine.c) ------------------------------------------------- */

/* The bytes that a thread touches in each measurement of copies: from L2 to memory. */
enum { BENCH_COPIES = 4 };
extern const double bench_copy_bytes[BENCH_COPIES];

typedef struct bench_machine {
    int threads;
    char processor[96];
    const char *instructions, *product, *vector_math; /* the kernels in use */
    double gflops;                 /* f32 fused multiply-adds in registers on all threads; two operations each */
    double copy_gbs[BENCH_COPIES]; /* GB/s read plus written, per entry of bench_copy_bytes */
} bench_machine;

bench_machine bench_measure_machine(int threads);
void bench_print_machine(const bench_machine *machine);

/* ---- samples of a time --------------------------------------------------------------------------------- */

typedef struct bench_times {
    double *ms;
    size_t n, room;
} bench_times;

void bench_times_add(bench_times *times, double ms);
/* Both sort the times; NaN if there are none. */
double bench_median(bench_times *times);
double bench_spread(bench_times *times);
void bench_times_fini(bench_times *times);

/* ---- rows (report.c) ----------------------------------------------------------------------------------- */

typedef struct bench_peer_row {
    const char *name;
    char version[48];
    double ms, spread, loss;
    double ratio; /* its time over Wengert's */
    double bytes; /* as bench_row.resident */
} bench_peer_row;

/* The number of planner settings that --passes compares; in the first all passes are on. */
enum { BENCH_PASSES = 12 };

/* A quantity that a row does not have is NaN, or 0 for work. */
typedef struct bench_row {
    char id[64];
    double ms, spread;
    double elements, bytes, flops; /* the work of one run */
    double ns_per_op;
    double loss;
    double resident; /* peak resident memory in bytes, over an idle process */
    double units;    /* tokens that a step generates; ms and flops are per token; 1 for a training step */
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
/* Whether the filter accepts this id. */
bool bench_wants(const bench_report *report, const char *id);
bench_row *bench_add(bench_report *report, const bench_row *row);
/* The row's speed over the machine's peak, of flops if it has any, else of copies; NaN if it has neither. */
double bench_peak_share(const bench_report *report, const bench_row *row);
/* Prints a number in `width` columns, "-" for NaN. */
void bench_print_cell(int width, int decimals, double number);
/* Writes settings->json, if set. Exits on error. */
void bench_write_json(const bench_report *report);
void bench_report_fini(bench_report *report);

/* ---- sections ------------------------------------------------------------------------------------------ */

void bench_ops(bench_report *report);     /* micro.c: every op */
void bench_engine(bench_report *report);  /* engine.c: recording, planning, replaying */
void bench_models(bench_report *report);  /* compare.c: training steps */
void bench_scaling(bench_report *report); /* scaling.c: cost against T, B, H */

/* metrics.c: plans of the models, without times. */
void bench_metrics(const bench_settings *settings);

extern const char *const bench_passes[BENCH_PASSES];

/* A tape on a pool; plan as in wg_tape_options (NULL: from the environment). */
wg_tape *bench_tape_new(wg_pool *pool, const char *plan, bool profile);

#endif
