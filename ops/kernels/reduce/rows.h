/* Internal. Exponentials along a row: what softmax, log-softmax, logsumexp, cross-entropy and attention share. For
 * files compiled per variant. */
#ifndef WG_KERNELS_ROWS_H
#define WG_KERNELS_ROWS_H

#include "../base/lanes.h"
#include "../base/vmath.h"

/* sum e^(x[i] - shift) */
static inline real row_exp_sum(const real *x, real shift, int64_t n)
{
    real e[BLOCK];
    row a;
    if (n <= BLOCK) {
        exp_shifted(x, shift, e, n);
        return row_combine(COMBINE_SUM, e, n);
    }
    row_begin(COMBINE_SUM, &a);
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t count = min64(n - i, BLOCK);
        exp_shifted(x + i, shift, e, count);
        row_block(COMBINE_SUM, &a, e, count);
    }
    return row_end(COMBINE_SUM, &a);
}

/* sum a[i] b[i] */
static inline real row_dot(const real *a, const real *b, int64_t n)
{
    real e[BLOCK];
    row sum;
    row_begin(COMBINE_SUM, &sum);
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t count = min64(n - i, BLOCK);
        for (int64_t j = 0; j < count; j += VLANES)
            store_some(e + j, load_some(a + i + j, count - j) * load_some(b + i + j, count - j), count - j);
        row_block(COMBINE_SUM, &sum, e, count);
    }
    return row_end(COMBINE_SUM, &sum);
}

/* The maximum; 0 instead of -inf, so that e^(x - shift) is 0 where all x are -inf. From +inf and NaN comes NaN. */
static inline real row_shift(const real *x, int64_t n)
{
    real top = row_combine(COMBINE_MAX, x, n);
    return top == -(real)INFINITY ? 0 : top;
}

/* y = e^(x - max) / sum; zeros if all x are -inf; all NaN if one is +inf or NaN. Returns
 * sum. */
static inline real row_softmax(const real *x, real *y, int64_t n)
{
    exp_shifted(x, row_shift(x, n), y, n);
    real sum = row_combine(COMBINE_SUM, y, n), factor = sum == 0 ? 0 : 1 / sum;
    for (int64_t i = 0; i < n; i += VLANES) store_some(y + i, load_some(y + i, n - i) * factor, n - i);
    return sum;
}

#endif
