/* One row times a matrix. Nothing is packed, since B is read once. Compiled per variant. */
#include "tile.h"

INLINE void store_sum(bool add, real *y, real sum) { *y = add ? *y + sum : sum; }

/* LANES elements of B. */
INLINE vector load_b(bool half, const wg__item *b)
{
#if WG__T == 32
    if (half) return (vector)(load_halves(b) << 16);
#endif
    return load((const real *)(const void *)b);
}

/* `vectors` vectors of columns: each column is one chain of multiply-adds over p, as in a tile. */
INLINE void columns(int vectors, bool half, int64_t k, const real *x, wg__side b, bool add, real *y,
                    int64_t y_stride)
{
    const int64_t next = LANES * unit_of((wg__side){.half = half});
    vector sum[8];
    for (int v = 0; v < vectors; v++) sum[v] = (vector){0};
    for (int64_t p = 0; p < k; p++) {
        UNROLL
        for (int v = 0; v < vectors; v++)
            sum[v] = VECTOR_FMA(SPLAT(x[p]), load_b(half, b.data + p * b.k + v * next), sum[v]);
    }
    for (int v = 0; v < vectors; v++)
        for (int j = 0; j < LANES; j++) store_sum(add, y + (v * LANES + j) * y_stride, sum[v][j]);
}

INLINE void by_columns(bool half, int64_t n, int64_t k, const real *x, wg__side b, bool add, real *y,
                       int64_t y_stride)
{
    const int64_t unit = unit_of((wg__side){.half = half});
    int64_t j = 0;
    for (; j + 8 * LANES <= n; j += 8 * LANES, b.data += 8 * LANES * unit)
        columns(8, half, k, x, b, add, y + j * y_stride, y_stride);
    for (; j + 2 * LANES <= n; j += 2 * LANES, b.data += 2 * LANES * unit)
        columns(2, half, k, x, b, add, y + j * y_stride, y_stride);
    for (; j + LANES <= n; j += LANES, b.data += LANES * unit)
        columns(1, half, k, x, b, add, y + j * y_stride, y_stride);
    real sum[LANES] = {0};
    for (int64_t p = 0; j < n && p < k; p++)
        for (int i = 0; i < n - j; i++) sum[i] = SCALAR_FMA(x[p], wg__real_at(b, p * b.k + i * unit), sum[i]);
    for (int i = 0; i < n - j; i++) store_sum(add, y + (j + i) * y_stride, sum[i]);
}

#define FOLD(s) v += __builtin_shufflevector(v, v, LIST(HIGH, s))

INLINE real total(vector v)
{
#if defined __AVX512F__ && WG__T == 32
    FOLD(8);
#endif
#if defined __AVX512F__ || (defined __AVX2__ && WG__T == 32)
    FOLD(4);
#endif
#if defined __AVX2__ || WG__T == 32
    FOLD(2);
#endif
    FOLD(1);
    return v[0];
}

enum { DOTS = 4 }; /* inner products at a time; chosen, not measured */

/* `count` inner products over contiguous k. Prefetches the lines of the next ones: B is read once, from memory. */
INLINE void dots(int count, bool half, int64_t k, const real *x, wg__side b, bool add, real *y, int64_t y_stride)
{
    const int64_t unit = unit_of((wg__side){.half = half});
    vector even[DOTS], odd[DOTS];
    for (int j = 0; j < count; j++) even[j] = odd[j] = (vector){0};
    int64_t p = 0;
    for (; p + 2 * LANES <= k; p += 2 * LANES) {
        vector x0 = load(x + p), x1 = load(x + p + LANES);
        UNROLL
        for (int j = 0; j < count; j++) {
            const wg__item *line = b.data + j * b.line + p * unit, *next = line + DOTS * b.line;
            __builtin_prefetch(next);
            __builtin_prefetch(next + LANES * unit);
            even[j] = VECTOR_FMA(x0, load_b(half, line), even[j]);
            odd[j] = VECTOR_FMA(x1, load_b(half, line + LANES * unit), odd[j]);
        }
    }
    for (int j = 0; j < count; j++) {
        real sum = total(even[j] + odd[j]);
        for (int64_t q = p; q < k; q++) sum = SCALAR_FMA(x[q], wg__real_at(b, j * b.line + q * unit), sum);
        store_sum(add, y + j * y_stride, sum);
    }
}

INLINE void by_lines(bool half, int64_t n, int64_t k, const real *x, wg__side b, bool add, real *y,
                     int64_t y_stride)
{
    int64_t j = 0;
    for (; j + DOTS <= n; j += DOTS, b.data += DOTS * b.line)
        dots(DOTS, half, k, x, b, add, y + j * y_stride, y_stride);
    for (; j < n; j++, b.data += b.line) dots(1, half, k, x, b, add, y + j * y_stride, y_stride);
}

void WG__K(vector_matrix)(int64_t n, int64_t k, const real *x, wg__side b, bool add, real *y, int64_t y_stride)
{
    const bool adjacent = b.line == unit_of(b);
    if (adjacent && b.half)
        by_columns(true, n, k, x, b, add, y, y_stride);
    else if (adjacent)
        by_columns(false, n, k, x, b, add, y, y_stride);
    else if (b.half)
        by_lines(true, n, k, x, b, add, y, y_stride);
    else
        by_lines(false, n, k, x, b, add, y, y_stride);
}
