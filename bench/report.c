/* Samples and rows: medians, shares of the peak, JSON. */
#include "bench.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- times --------------------------------------------------------------------------------------------- */

void bench_times_add(bench_times *t, double ms)
{
    if (t->n == t->room) {
        t->room = t->room ? 2 * t->room : 64;
        t->ms = realloc(t->ms, t->room * sizeof *t->ms);
        if (!t->ms) app_fail("out of memory");
    }
    t->ms[t->n++] = ms;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The quantile of the sorted times, with linear interpolation. */
static double quantile(const bench_times *t, double part)
{
    if (t->n == 0) return NAN;
    double at = part * (double)(t->n - 1);
    size_t low = (size_t)at, high = low + 1 < t->n ? low + 1 : low;
    return t->ms[low] + (at - (double)low) * (t->ms[high] - t->ms[low]);
}

double bench_median(bench_times *t)
{
    if (t->n) qsort(t->ms, t->n, sizeof *t->ms, by_value);
    return quantile(t, 0.5);
}

double bench_spread(bench_times *t)
{
    double median = bench_median(t);
    return (quantile(t, 0.75) - quantile(t, 0.25)) / median;
}

void bench_times_fini(bench_times *t)
{
    free(t->ms);
    *t = (bench_times){0};
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

bench_row bench_row_new(const char *id)
{
    bench_row row = {.ms = NAN,
                     .spread = NAN,
                     .ns_per_op = NAN,
                     .loss = NAN,
                     .resident = NAN,
                     .units = 1,
                     .allocations = NAN,
                     .exponent = NAN,
                     .memory_exponent = NAN};
    for (int i = 0; i < BENCH_PASSES; i++) row.without[i] = NAN;
    snprintf(row.id, sizeof row.id, "%s", id);
    return row;
}

bool bench_wants(const bench_report *report, const char *id)
{
    return !report->settings->filter || strstr(id, report->settings->filter);
}

bench_row *bench_add(bench_report *report, const bench_row *row)
{
    if (report->n == report->room) {
        report->room = report->room ? 2 * report->room : 64;
        report->rows = realloc(report->rows, report->room * sizeof *report->rows);
        if (!report->rows) app_fail("out of memory");
    }
    report->rows[report->n] = *row;
    return &report->rows[report->n++];
}

double bench_peak_share(const bench_report *report, const bench_row *row)
{
    const bench_machine *m = &report->machine;
    if (row->flops > 0) return row->flops / (row->ms * 1e6) / m->gflops;
    int size = 0; /* the measurement of copies that touches about as much */
    while (size < BENCH_COPIES - 1 && bench_copy_bytes[size] * m->threads < row->bytes) size++;
    return row->bytes > 0 ? row->bytes / (row->ms * 1e6) / m->copy_gbs[size] : NAN;
}

void bench_print_cell(int width, int decimals, double number)
{
    if (isfinite(number)) {
        printf("%*.*f", width, decimals, number);
    } else {
        printf("%*s", width, "-");
    }
}

void bench_report_fini(bench_report *report)
{
    free(report->rows);
    *report = (bench_report){0};
}

/* ---- JSON ---------------------------------------------------------------------------------------------- */

static void quote(FILE *file, const char *text)
{
    fputc('"', file);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') fputc('\\', file);
        if ((unsigned char)*text >= 32) fputc(*text, file);
    }
    fputc('"', file);
}

/* Writes , "name": number unless the number is missing. */
static void field(FILE *file, const char *name, double number)
{
    if (isfinite(number)) fprintf(file, ", \"%s\": %.9g", name, number);
}

static void write_machine(FILE *file, const bench_machine *m)
{
    fputs("{\"processor\": ", file);
    quote(file, m->processor);
    fputs(", \"instructions\": ", file);
    quote(file, m->instructions);
    fputs(", \"product\": ", file);
    quote(file, m->product);
    fputs(", \"vector_math\": ", file);
    quote(file, m->vector_math);
    fprintf(file, ", \"threads\": %d, \"gflops\": %.4g, \"copy_gbs\": {", m->threads, m->gflops);
    for (int i = 0; i < BENCH_COPIES; i++)
        fprintf(file, "%s\"%.0f\": %.4g", i ? ", " : "", bench_copy_bytes[i], m->copy_gbs[i]);
    fputs("}}", file);
}

/* A peer that failed has no numbers. */
static void write_peer(FILE *file, const bench_peer_row *peer)
{
    quote(file, peer->name);
    fputs(": {\"version\": ", file);
    quote(file, peer->version);
    field(file, "ms", peer->ms);
    field(file, "spread", peer->spread);
    field(file, "ratio", peer->ratio);
    field(file, "bytes", peer->bytes);
    field(file, "loss", peer->loss);
    fputc('}', file);
}

static void write_row(FILE *file, const bench_report *report, const bench_row *row)
{
    fputs("  {\"id\": ", file);
    quote(file, row->id);
    field(file, "ms", row->ms);
    field(file, "spread", row->spread);
    field(file, "bytes", row->resident);
    field(file, "loss", row->loss);
    if (row->units > 1) field(file, "tokens_per_s", 1e3 / row->ms);
    field(file, "exponent", row->exponent);
    field(file, "memory_exponent", row->memory_exponent);
    field(file, "ns_per_op", row->ns_per_op);
    if (row->elements > 0) field(file, "ns_per_element", row->ms * 1e6 / row->elements);
    if (row->bytes > 0) field(file, "gb_per_s", row->bytes / row->ms * 1e-6);
    if (row->flops > 0) field(file, "gflop_per_s", row->flops / row->ms * 1e-6);
    field(file, "peak_share", bench_peak_share(report, row));
    field(file, "allocations", row->allocations);
    for (int i = 0, first = 1; i < BENCH_PASSES; i++) {
        if (!isfinite(row->without[i])) continue;
        fputs(first ? ", \"passes\": {" : ", ", file);
        quote(file, *bench_passes[i] ? bench_passes[i] : "all");
        fprintf(file, ": %.9g%s", row->without[i], i == BENCH_PASSES - 1 ? "}" : "");
        first = 0;
    }
    for (int p = 0; p < row->n_peers; p++) {
        fputs(p ? ", " : ", \"peers\": {", file);
        write_peer(file, &row->peers[p]);
        if (p == row->n_peers - 1) fputc('}', file);
    }
    fputc('}', file);
}

void bench_write_json(const bench_report *report)
{
    const char *path = report->settings->json;
    if (!path) return;
    FILE *file = fopen(path, "w");
    if (!file) app_fail("cannot write %s: %s", path, strerror(errno));
    fputs("{\"machine\": ", file);
    write_machine(file, &report->machine);
    fputs(",\n \"rows\": [\n", file);
    for (size_t i = 0; i < report->n; i++) {
        write_row(file, report, &report->rows[i]);
        fputs(i + 1 < report->n ? ",\n" : "\n", file);
    }
    fputs("]}\n", file);
    bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed) app_fail("cannot write %s: %s", path, strerror(errno));
}
