/* One row times a matrix whose rows are contiguous, in bf16, with the bits of a tile. Compiled per variant. */
#include "pair.h"

#define INLINE static inline __attribute__((always_inline))

/* `vectors` vectors of columns. */
INLINE void columns(int vectors, int64_t k, const real *x, wg__reals b, bool add, real *y, int64_t y_stride)
{
    const vector zero = {0};
    vector sum[8];
    for (int v = 0; v < vectors; v++) sum[v] = zero;
    for (int64_t p = 0; p < k; p += 2) {
        const bool both = p + 1 < k;
        const vector pair = paired(SPLAT(x[p]), both ? SPLAT(x[p + 1]) : zero);
        UNROLL
        for (int v = 0; v < vectors; v++) {
            const real *first = b.data + p * b.k + v * LANES;
            sum[v] = multiply_add(pair, paired(load(first), both ? load(first + b.k) : zero), sum[v]);
        }
    }
    for (int v = 0; v < vectors; v++)
        for (int j = 0; j < LANES; j++) {
            real *to = y + (v * LANES + j) * y_stride;
            *to = add ? *to + sum[v][j] : sum[v][j];
        }
}

/* Fewer columns than a vector has. */
static void last_columns(int64_t n, int64_t k, const real *x, wg__reals b, bool add, real *y, int64_t y_stride)
{
    vector sum = {0};
    for (int64_t p = 0; p < k; p += 2) {
        vector first = {0}, second = {0};
        for (int64_t j = 0; j < n; j++) first[j] = b.data[p * b.k + j];
        for (int64_t j = 0; j < n && p + 1 < k; j++) second[j] = b.data[(p + 1) * b.k + j];
        const vector pair = paired(SPLAT(x[p]), p + 1 < k ? SPLAT(x[p + 1]) : (vector){0});
        sum = multiply_add(pair, paired(first, second), sum);
    }
    for (int64_t j = 0; j < n; j++) y[j * y_stride] = add ? y[j * y_stride] + sum[j] : sum[j];
}

void WG__K(vector_matrix)(int64_t n, int64_t k, const real *x, wg__reals b, bool add, real *y, int64_t y_stride)
{
    int64_t j = 0;
    for (; j + 8 * LANES <= n; j += 8 * LANES, b.data += 8 * LANES)
        columns(8, k, x, b, add, y + j * y_stride, y_stride);
    for (; j + LANES <= n; j += LANES, b.data += LANES) columns(1, k, x, b, add, y + j * y_stride, y_stride);
    if (j < n) last_columns(n - j, k, x, b, add, y + j * y_stride, y_stride);
}
