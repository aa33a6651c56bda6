/* Internal. Sums, products, maxima and minima in one fixed order. For files compiled per variant.
 *
 * A row is distributed over 64 lanes, element i to lane i % 64. Each lane combines 32 elements into a partial result,
 * 32 partial results into a second, and those into a third, so that rounding errors of long sums grow slowly; at the
 * end lanes are combined pairwise. Appending neutral elements to a row does not change the bits. Columns are reduced by
 * the same scheme, each in a lane of its own. */
#ifndef WG_KERNELS_LANES_H
#define WG_KERNELS_LANES_H

#include <math.h>
#include <string.h>

#include "integers.h"
#include "vector.h"

enum { LANES = 64, BLOCK_ROWS = 32, BLOCK = LANES * BLOCK_ROWS, SPAN_ROWS = 32 * BLOCK_ROWS };

typedef enum combine { COMBINE_SUM, COMBINE_PROD, COMBINE_MAX, COMBINE_MIN } combine;

VINLINE real neutral(combine kind)
{
    return kind == COMBINE_SUM    ? 0
           : kind == COMBINE_PROD ? 1
           : kind == COMBINE_MAX  ? -(real)INFINITY
                                  : (real)INFINITY;
}

/* Propagates NaN: b is taken if it is NaN, and a NaN in a stays. */
VINLINE real combine_two(combine kind, real a, real b)
{
    switch (kind) {
    case COMBINE_SUM: return a + b;
    case COMBINE_PROD: return a * b;
    case COMBINE_MAX: return ((b > a) | (b != b)) ? b : a;
    default: return ((b < a) | (b != b)) ? b : a;
    }
}

VINLINE void combine_lanes(combine kind, real *restrict a, const real *restrict b, int width)
{
    for (int i = 0; i < width; i++) a[i] = combine_two(kind, a[i], b[i]);
}

VINLINE void fill_lanes(real *a, int width, real value)
{
    for (int i = 0; i < width; i++) a[i] = value;
}

/* acc = the rows x[r * stride .. + width), r < rows <= BLOCK_ROWS, one after the other. */
VINLINE void combine_block(combine kind, real *restrict acc, const real *restrict x, int64_t rows, int64_t stride,
                           int width)
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

/* out[c] = the column x[r * stride + c], r < rows, for c < width <= WG__REDUCE_COLUMNS. */
VINLINE void combine_columns(combine kind, const real *x, int64_t rows, int64_t stride, int width, real *out)
{
    real acc[256], span[256], total[256];
    fill_lanes(total, width, neutral(kind));
    for (int64_t r = 0; r < rows;) {
        int64_t stop = min64(r + SPAN_ROWS, rows);
        fill_lanes(span, width, neutral(kind));
        for (; r < stop; r += BLOCK_ROWS) {
            combine_block(kind, acc, x + r * stride, min64(stop - r, BLOCK_ROWS), stride, width);
            combine_lanes(kind, span, acc, width);
        }
        combine_lanes(kind, total, span, width);
        r = stop;
    }
    memcpy(out, total, (size_t)width * sizeof(real));
}

/* ---- rows, by vectors ---------------------------------------------------------------------------------- */

enum { PARTS = LANES / VLANES };

/* The preprocessor needs the number of lanes too. */
#if defined __AVX512F__
#define VECTOR_BITS 512
#elif defined __AVX2__
#define VECTOR_BITS 256
#else
#define VECTOR_BITS 128
#endif
#define VECTOR_LANES (VECTOR_BITS / WG__T)

VINLINE V combine_vectors(combine kind, V a, V b)
{
    switch (kind) {
    case COMBINE_SUM: return a + b;
    case COMBINE_PROD: return a * b;
    case COMBINE_MAX: return v_max(a, b);
    default: return v_min(a, b);
    }
}

/* The next VLANES of `left` elements at x, 0 past the last. */
VINLINE V load_some(const real *x, int64_t left) { return left >= VLANES ? v_load(x) : v_load_part(x, (int)left); }

VINLINE void store_some(real *y, V v, int64_t left)
{
    if (left >= VLANES) {
        v_store(y, v);
    } else {
        v_store_part(y, v, (int)left);
    }
}

/* The first n lanes of v, then the other number. */
VINLINE V first_lanes_or(V v, int n, real other)
{
    V lane;
    for (int i = 0; i < VLANES; i++) lane[i] = (real)i;
    return v_select(v_lt(lane, v_set((real)n)), v, v_set(other));
}

/* Lanes from n on are neutral. */
VINLINE V load_neutral(combine kind, const real *x, int n)
{
    V v = v_load_part(x, n);
    return kind == COMBINE_SUM ? v : first_lanes_or(v, n, neutral(kind));
}

/* The state of a long row, combined in blocks of BLOCK elements; only the last block may be shorter. */
typedef struct row {
    V span[PARTS], total[PARTS];
    int blocks;
} row;

VINLINE void row_begin(combine kind, row *a)
{
    for (int j = 0; j < PARTS; j++) a->span[j] = a->total[j] = v_set(neutral(kind));
    a->blocks = 0;
}

/* acc = the block x[0 .. n), n <= BLOCK */
VINLINE void block_combine(combine kind, V *acc, const real *x, int64_t n)
{
    for (int j = 0; j < PARTS; j++) acc[j] = v_set(neutral(kind));
    for (; n >= LANES; n -= LANES, x += LANES) {
        for (int j = 0; j < PARTS; j++) acc[j] = combine_vectors(kind, acc[j], v_load(x + j * VLANES));
    }
    for (int j = 0; j < PARTS && n > 0; j++, n -= VLANES, x += VLANES) {
        V v = n >= VLANES ? v_load(x) : load_neutral(kind, x, (int)n);
        acc[j] = combine_vectors(kind, acc[j], v);
    }
}

/* Adds a block that was combined. */
VINLINE void row_add(combine kind, row *a, const V *acc)
{
    for (int j = 0; j < PARTS; j++) a->span[j] = combine_vectors(kind, a->span[j], acc[j]);
    if (++a->blocks < SPAN_ROWS / BLOCK_ROWS) return;
    for (int j = 0; j < PARTS; j++) {
        a->total[j] = combine_vectors(kind, a->total[j], a->span[j]);
        a->span[j] = v_set(neutral(kind));
    }
    a->blocks = 0;
}

VINLINE void row_block(combine kind, row *a, const real *x, int64_t n)
{
    V acc[PARTS];
    block_combine(kind, acc, x, n);
    row_add(kind, a, acc);
}

/* v with its own lanes in another order. */
#define HALF(v, ...) combine_vectors(kind, v, __builtin_shufflevector(v, v, __VA_ARGS__))

/* Lane i with lane i + half, for half = 32, 16, ... 1: the same pairs whatever the width of a vector. */
VINLINE real pair_lanes(combine kind, V *acc)
{
    for (int half = PARTS / 2; half > 0; half /= 2) {
        for (int j = 0; j < half; j++) acc[j] = combine_vectors(kind, acc[j], acc[j + half]);
    }
    V v = acc[0];
#if VECTOR_LANES == 16
    v = HALF(v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    v = HALF(v, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    v = HALF(v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    v = HALF(v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
#elif VECTOR_LANES == 8
    v = HALF(v, 4, 5, 6, 7, 0, 1, 2, 3);
    v = HALF(v, 2, 3, 0, 1, 6, 7, 4, 5);
    v = HALF(v, 1, 0, 3, 2, 5, 4, 7, 6);
#elif VECTOR_LANES == 4
    v = HALF(v, 2, 3, 0, 1);
    v = HALF(v, 1, 0, 3, 2);
#else
    v = HALF(v, 1, 0);
#endif
    return v[0];
}
#undef HALF

VINLINE real row_end(combine kind, row *a)
{
    for (int j = 0; j < PARTS; j++) a->total[j] = combine_vectors(kind, a->total[j], a->span[j]);
    return pair_lanes(kind, a->total);
}

/* The whole row x[0 .. n). */
VINLINE real row_combine(combine kind, const real *x, int64_t n)
{
    if (n <= BLOCK) {
        V acc[PARTS];
        block_combine(kind, acc, x, n);
        return pair_lanes(kind, acc);
    }
    row a;
    row_begin(kind, &a);
    for (int64_t i = 0; i < n; i += BLOCK) row_block(kind, &a, x + i, min64(n - i, BLOCK));
    return row_end(kind, &a);
}

#endif
