/* Sums of products in bf16 as docs/numerics.md defines them, in scalar code; special numbers; comparing bits. */
#ifndef WG_TEST_BF16_SUMS_H
#define WG_TEST_BF16_SUMS_H

#include "product_trial.h"

enum { LANE_PAIRS = 16 }; /* pairs that tdpbf16ps adds at once */

/* As vcvtneps2bf16 rounds: to nearest even, denormals to zero, NaN quiet. */
static inline float rounded(float x)
{
    const uint32_t bits = bits_of(x);
    if (isnan(x)) return float_of((bits | 0x00400000u) & 0xffff0000u);
    if ((bits & 0x7f800000u) == 0) return float_of(bits & 0x80000000u);
    return float_of((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u);
}

/* The sum of n terms: by vdpbf16ps each pair is added to the sum, its second product first; by tdpbf16ps the first and
 * the second products of 16 pairs are added on their own, the last pairs filled up by zeros, which turn -0 into 0. */
static inline float sum_of(bool amx, int64_t n, const float *x, const float *y)
{
    float sum = 0;
    for (int64_t p = 0; p < n; p += 2 * LANE_PAIRS) {
        float first = 0, second = 0;
        for (int64_t q = p; q < n && q < p + 2 * LANE_PAIRS; q += 2)
            if (amx)
                first = fmaf(x[q], y[q], first), second = fmaf(x[q + 1], y[q + 1], second);
            else
                sum = fmaf(x[q], y[q], fmaf(x[q + 1], y[q + 1], sum));
        if (n - p < 2 * LANE_PAIRS) first += 0, second += 0;
        if (amx) sum += first + second;
    }
    return sum;
}

/* The same bits, or NaN in the same places. */
static inline bool same_numbers(const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i]))) return false;
    return true;
}

/* Infinities, NaN, denormals, and numbers whose products are next to overflow or underflow, among others. */
static inline float special_number(void)
{
    static const float specials[] = {0,       -0.0f,     INFINITY, -INFINITY,       NAN,    1e-40f,
                                     -1e-39f, 1.2e-38f,  -3e-38f,  1.17549435e-38f, 1e-19f, 3e-20f,
                                     3.4e38f, -3.39e38f, 1.84e19f, -2e19f,          1,      1.00390625f,
                                     -1,      256,       65535};
    return specials[below(sizeof specials / sizeof *specials)];
}

#endif
