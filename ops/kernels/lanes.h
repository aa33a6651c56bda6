/* Internal; included by kernel files that are compiled per instruction set and element type. Sums, products,
 * maxima and minima of many numbers, in one fixed order.
 *
 * A row of numbers is laid out over 64 lanes, number i in lane i % 64. Each lane takes 32 numbers into a
 * partial result, 32 partial results into a second, and those into the third, so that errors of long sums grow
 * slowly; at the end lanes are paired. A row that is longer by neutral elements gives the same bits. Columns are
 * reduced by the same scheme, each a lane of its own. */
#ifndef WG_KERNELS_LANES_H
#define WG_KERNELS_LANES_H

#include <math.h>
#include <string.h>

#include "kernels.h"

#define WG__INLINE static inline __attribute__((always_inline))

enum { LANES = 64, BLOCK_ROWS = 32, BLOCK = LANES * BLOCK_ROWS, SPAN_ROWS = 32 * BLOCK_ROWS };

typedef enum combine { COMBINE_SUM, COMBINE_PROD, COMBINE_MAX, COMBINE_MIN } combine;

WG__INLINE real neutral(combine kind)
{
    return kind == COMBINE_SUM    ? 0
           : kind == COMBINE_PROD ? 1
           : kind == COMBINE_MAX  ? -(real)INFINITY
                                  : (real)INFINITY;
}

/* NaN spreads: b wins if it is NaN, and nothing wins over a NaN in a. */
WG__INLINE real combine_two(combine kind, real a, real b)
{
    switch (kind) {
    case COMBINE_SUM: return a + b;
    case COMBINE_PROD: return a * b;
    case COMBINE_MAX: return ((b > a) | (b != b)) ? b : a;
    default: return ((b < a) | (b != b)) ? b : a;
    }
}

WG__INLINE void combine_lanes(combine kind, real *restrict a, const real *restrict b, int width)
{
    for (int i = 0; i < width; i++) a[i] = combine_two(kind, a[i], b[i]);
}

WG__INLINE void fill_lanes(real *a, int width, real value)
{
    for (int i = 0; i < width; i++) a[i] = value;
}

/* acc = the rows x[r * stride .. + width), r < rows <= BLOCK_ROWS, one after the other. */
WG__INLINE void combine_block(combine kind, real *restrict acc, const real *restrict x, int64_t rows,
                              int64_t stride, int width)
{
    fill_lanes(acc, width, neutral(kind));
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
        const real *p = x + r * stride;
        for (int i = 0; i < width; i++) {
            real a = combine_two(kind, acc[i], p[i]);
            a = combine_two(kind, a, p[stride + i]);
            a = combine_two(kind, a, p[2 * stride + i]);
            acc[i] = combine_two(kind, a, p[3 * stride + i]);
        }
    }
    for (; r < rows; r++) combine_lanes(kind, acc, x + r * stride, width);
}

/* out[c] = the column x[r * stride + c], r < rows, for c < width <= WG__ALONG_COLUMNS. */
WG__INLINE void combine_columns(combine kind, const real *x, int64_t rows, int64_t stride, int width, real *out)
{
    real acc[256], span[256], total[256];
    fill_lanes(total, width, neutral(kind));
    for (int64_t r = 0; r < rows;) {
        int64_t stop = r + SPAN_ROWS < rows ? r + SPAN_ROWS : rows;
        fill_lanes(span, width, neutral(kind));
        for (; r < stop; r += BLOCK_ROWS) {
            combine_block(kind, acc, x + r * stride, stop - r < BLOCK_ROWS ? stop - r : BLOCK_ROWS, stride, width);
            combine_lanes(kind, span, acc, width);
        }
        combine_lanes(kind, total, span, width);
        r = stop;
    }
    memcpy(out, total, (size_t)width * sizeof(real));
}

/* A long row, taken block by block of BLOCK numbers; only the last block may be shorter. */
typedef struct row {
    real span[LANES], total[LANES];
    int blocks;
} row;

WG__INLINE void row_begin(combine kind, row *a)
{
    fill_lanes(a->span, LANES, neutral(kind));
    fill_lanes(a->total, LANES, neutral(kind));
    a->blocks = 0;
}

WG__INLINE void row_block(combine kind, row *a, const real *x, int64_t n)
{
    real acc[LANES];
    int64_t rows = n / LANES;
    combine_block(kind, acc, x, rows, LANES, LANES);
    const real *rest = x + rows * LANES;
    for (int i = 0; i < n - rows * LANES; i++) acc[i] = combine_two(kind, acc[i], rest[i]);
    combine_lanes(kind, a->span, acc, LANES);
    if (++a->blocks == SPAN_ROWS / BLOCK_ROWS) {
        combine_lanes(kind, a->total, a->span, LANES);
        fill_lanes(a->span, LANES, neutral(kind));
        a->blocks = 0;
    }
}

WG__INLINE real row_pair(combine kind, real *lane, int width)
{
    for (int half = width / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) lane[i] = combine_two(kind, lane[i], lane[i + half]);
    }
    return combine_two(kind, neutral(kind), lane[0]);
}

WG__INLINE real row_end(combine kind, row *a)
{
    combine_lanes(kind, a->total, a->span, LANES);
    return row_pair(kind, a->total, LANES);
}

/* The whole row x[0 .. n). */
WG__INLINE real row_combine(combine kind, const real *x, int64_t n)
{
    if (n <= LANES) {
        real lane[LANES];
        int width = 1;
        while (width < n) width *= 2;
        fill_lanes(lane, width, neutral(kind));
        for (int i = 0; i < n; i++) lane[i] = x[i];
        return row_pair(kind, lane, width);
    }
    row a;
    row_begin(kind, &a);
    for (int64_t i = 0; i < n; i += BLOCK) row_block(kind, &a, x + i, n - i < BLOCK ? n - i : BLOCK);
    return row_end(kind, &a);
}

#endif
