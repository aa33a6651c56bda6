/* Internal. Distances from a mean along a row, and the unit in which their squares neither overflow nor vanish: what
 * norms and moments share. For files compiled per variant. */
#ifndef WG_KERNELS_DISTANCE_H
#define WG_KERNELS_DISTANCE_H

#include <float.h>

#include "../base/lanes.h"

#if WG__T == 32
enum { REAL_EXPONENT = 126 }; /* 2^e and 2^-e are normal numbers */
static const real REAL_MOST = FLT_MAX, REAL_LEAST = FLT_MIN / FLT_EPSILON;
#else
enum { REAL_EXPONENT = 1022 };
static const real REAL_MOST = DBL_MAX, REAL_LEAST = DBL_MIN / DBL_EPSILON;
#endif

/* The normalized x is (x unit - mean - rest) scale. The unit is 1, or a power of two where squares overflow or vanish.
 * The rest is what rounding took from the mean; it is 0 unless the numbers are far from 0, where distances from the
 * mean are not much longer than its last bit. */
typedef struct moments {
    real unit, mean, rest, scale;
} moments;

VINLINE V distance(V x, bool far, moments m)
{
    const V d = x * m.unit - m.mean;
    return far ? d - m.rest : d;
}

/* What rounding took from sum = a + b (Knuth 1969); 0 if it is not finite. */
VINLINE real rest_of(real a, real b, real sum)
{
    const real b_part = sum - a, rest = (a - (sum - b_part)) + (b - b_part);
    return rest == rest ? rest : 0;
}

/* acc = the distances, or their squares, of a block x[0 .. n), n <= BLOCK */
VINLINE void block_distances(bool squared, bool far, V *acc, const real *x, int64_t n, moments m)
{
    for (int j = 0; j < PARTS; j++) acc[j] = v_set(0);
    for (; n >= LANES; n -= LANES, x += LANES) {
        for (int j = 0; j < PARTS; j++) {
            V d = distance(v_load(x + j * VLANES), far, m);
            acc[j] += squared ? d * d : d;
        }
    }
    for (int j = 0; j < PARTS && n > 0; j++, n -= VLANES, x += VLANES) {
        V d = distance(load_some(x, n), far, m);
        if (n < VLANES) d = first_lanes_or(d, (int)n, 0);
        acc[j] += squared ? d * d : d;
    }
}

/* The mean of the distances, or of their squares, of x[0 .. n). */
VINLINE real mean_distance(bool squared, bool far, const real *x, int64_t n, moments m)
{
    V acc[PARTS];
    row a;
    if (n <= BLOCK) {
        block_distances(squared, far, acc, x, n, m);
        return pair_lanes(COMBINE_SUM, acc) / (real)n;
    }
    row_begin(COMBINE_SUM, &a);
    for (int64_t i = 0; i < n; i += BLOCK) {
        block_distances(squared, far, acc, x + i, min64(n - i, BLOCK), m);
        row_add(COMBINE_SUM, &a, acc);
    }
    return row_end(COMBINE_SUM, &a) / (real)n;
}

/* Squares were in the range in which none of their bits are lost. */
VINLINE bool is_sound(real variance) { return variance > REAL_LEAST && variance <= REAL_MOST; }

/* The power of two by which the larger of top, the largest |x|, and sqrt(epsilon) is near 1; 1 if that is 0,
 * infinite or NaN. */
static inline real unit_of(real top, double epsilon)
{
    int exponent;
    double size = fmax((double)top, sqrt(epsilon));
    if (!(top <= REAL_MOST && size > 0)) return 1;
    frexp(size, &exponent);
    return (real)ldexp(1, (int)-clamp64(exponent, -REAL_EXPONENT, REAL_EXPONENT));
}

#endif
