/* Scaling of a training step: a one-layer LSTM over time steps, batch and hidden size, a one-layer transformer over
 * time steps, with exponents p of time and memory ~ size^p, fitted in logarithms. The LSTM's steps are sequential; the
 * transformer computes all positions at once (--threads), and each attends to all earlier ones. */
#include <math.h>
#include <stdio.h>

#include "compare.h"

enum { POINTS = 7, STEPS = 10 };

typedef struct axis {
    const char *name, *model;
    int n;
    int64_t size[POINTS];
    int64_t T, B, H; /* fixed sizes; 0: the size that varies */
} axis;

static const axis axes[] = {{"T", "scaled-lstm", 7, {10, 30, 100, 300, 1000, 3000, 10000}, 0, 4, 64},
                            {"B", "scaled-lstm", 7, {1, 2, 4, 8, 16, 32, 64}, 50, 0, 128},
                            {"H", "scaled-lstm", 6, {16, 32, 64, 128, 256, 512}, 50, 16, 0},
                            {"T of gpt", "scaled-gpt", 6, {10, 30, 100, 300, 1000, 3000}, 0, 4, 64}};

/* The slope of the least-squares line through (log x, log y). */
static double exponent(const int64_t *x, const double *y, int n)
{
    double sx = 0, sy = 0, sxx = 0, sxy = 0;
    for (int i = 0; i < n; i++) {
        double a = log((double)x[i]), b = log(y[i]);
        sx += a, sy += b, sxx += a * a, sxy += a * b;
    }
    return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

static void time_axis(bench_report *report, const axis *a)
{
    double ms[POINTS], bytes[POINTS];
    char id[64];
    for (int i = 0; i < a->n; i++) {
        long long size = (long long)a->size[i];
        snprintf(id, sizeof id, "%s:%lld,%lld,%lld", a->model, a->T ? (long long)a->T : size,
                 a->B ? (long long)a->B : size, a->H ? (long long)a->H : size);
        bench_row row = bench_time_model(report, id, STEPS);
        ms[i] = row.ms;
        bytes[i] = row.resident;
    }
    bench_row fit = bench_row_new("");
    snprintf(fit.id, sizeof fit.id, "scaling-%s", a->name);
    fit.exponent = exponent(a->size, ms, a->n);
    fit.memory_exponent = exponent(a->size, bytes, a->n);
    printf("%s from %lld to %lld: time ~ %c^%.2f, memory ~ %c^%.2f\n\n", a->name, (long long)a->size[0],
           (long long)a->size[a->n - 1], *a->name, fit.exponent, *a->name, fit.memory_exponent);
    bench_add(report, &fit);
}

void bench_scaling(bench_report *report)
{
    printf("scaled-lstm:T,B,H, scaled-gpt:T,B,H: one layer of H, T steps, batch B\n");
    bench_print_models_header(report);
    for (size_t i = 0; i < sizeof axes / sizeof *axes; i++)
        if (bench_wants(report, axes[i].name)) time_axis(report, &axes[i]);
}
