/* One row times a matrix whose rows are contiguous, in bf16, with the bits of a tile. Compiled per variant. */
#include "pair.h"

enum { MOST = 8 }; /* vectors at once */

/* `vectors` vectors of columns. */
INLINE void columns(int vectors, int64_t k, const real *x, wg__reals b, bool add, real *y, int64_t y_stride)
{
    const vector zero = {0};
    sums sum[MOST];
    for (int v = 0; v < vectors; v++) sum[v] = (sums){.total = zero};
    for (int64_t p = 0; p < k; p += 2) {
        const bool both = p + 1 < k;
        const vector pair = paired(SPLAT(x[p]), both ? SPLAT(x[p + 1]) : zero);
        UNROLL
        for (int v = 0; v < vectors; v++) {
            const real *first = b.data + p * b.k + v * LANES;
            add_step(&sum[v], pair, paired(load(first), both ? load(first + b.k) : zero));
        }
        const bool full = (p / 2 + 1) % GROUP_STEPS == 0;
        if (full || p + 2 >= k)
            for (int v = 0; v < vectors; v++) end_group(&sum[v], full);
    }
    for (int v = 0; v < vectors; v++)
        for (int j = 0; j < LANES; j++) {
            real *to = y + (v * LANES + j) * y_stride;
            *to = add ? *to + sum[v].total[j] : sum[v].total[j];
        }
}

/* Fewer columns than a vector has. */
static void last_columns(int64_t n, int64_t k, const real *x, wg__reals b, bool add, real *y, int64_t y_stride)
{
    sums sum = {.total = {0}};
    for (int64_t p = 0; p < k; p += 2) {
        vector first = {0}, second = {0};
        for (int64_t j = 0; j < n; j++) first[j] = b.data[p * b.k + j];
        for (int64_t j = 0; j < n && p + 1 < k; j++) second[j] = b.data[(p + 1) * b.k + j];
        const vector pair = paired(SPLAT(x[p]), p + 1 < k ? SPLAT(x[p + 1]) : (vector){0});
        add_step(&sum, pair, paired(first, second));
        const bool full = (p / 2 + 1) % GROUP_STEPS == 0;
        if (full || p + 2 >= k) end_group(&sum, full);
    }
    for (int64_t j = 0; j < n; j++) y[j * y_stride] = add ? y[j * y_stride] + sum.total[j] : sum.total[j];
}

void WG__K(vector_matrix)(int64_t n, int64_t k, const real *x, wg__side from, bool add, real *y, int64_t y_stride)
{
    wg__reals b = reals_of(from);
    int64_t j = 0;
    for (; j + MOST * LANES <= n; j += MOST * LANES, b.data += MOST * LANES)
        columns(MOST, k, x, b, add, y + j * y_stride, y_stride);
    for (; j + LANES <= n; j += LANES, b.data += LANES) columns(1, k, x, b, add, y + j * y_stride, y_stride);
    if (j < n) last_columns(n - j, k, x, b, add, y + j * y_stride, y_stride);
}
