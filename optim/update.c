/* The optimizers' loops: one pass over parameter, gradient and state, written so that compilers vectorize them.
 *
 * Compiled once per element type and instruction set: REAL_BITS is 32 or 64, WG__UPDATE is the name of the table. No
 * multiply-add is contracted, and square roots and divisions are correctly rounded, so every instruction set gives the
 * same bits. Coefficients are computed in f64 and rounded once. */
#include "update.h"

#include <float.h>
#include <math.h>

#if REAL_BITS == 32
typedef float real;
#define REAL_MAX FLT_MAX
#define REAL_MIN FLT_MIN
static inline real root(real x) { return sqrtf(x); }
#else
typedef double real;
#define REAL_MAX DBL_MAX
#define REAL_MIN DBL_MIN
static inline real root(real x) { return sqrt(x); }
#endif

/* c: lr, w */
static void sgd(int64_t n, void *p_, const void *g_, void *const *slot, const double *c)
{
    real *restrict p = p_;
    const real *restrict g = g_;
    const real lr = (real)c[0], w = (real)c[1];
    for (int64_t i = 0; i < n; i++) p[i] -= lr * (g[i] + w * p[i]);
}

/* c: lr, w, momentum (0 in the first step), 1 - dampening (1 in the first step), factors of g and b in the update */
static void sgd_momentum(int64_t n, void *p_, const void *g_, void *const *slot, const double *c)
{
    real *restrict p = p_, *restrict b = slot[0];
    const real *restrict g = g_;
    const real lr = (real)c[0], w = (real)c[1], momentum = (real)c[2], undamped = (real)c[3];
    const real factor_g = (real)c[4], factor_b = (real)c[5];
    for (int64_t i = 0; i < n; i++) {
        real d = g[i] + w * p[i];
        real v = momentum * b[i] + undamped * d;
        b[i] = v;
        p[i] -= lr * (factor_g * d + factor_b * v);
    }
}

/* c: lr, w, alpha, 1 - alpha, epsilon inside the root, epsilon outside, momentum. The flags are constants at each call
 * site, so that each variant compiles to a loop without branches. */
static inline __attribute__((always_inline)) void rmsprop_any(int64_t n, real *restrict p, const real *restrict g,
                                                              real *restrict s, real *restrict a, real *restrict b,
                                                              const double *c, bool centered, bool has_momentum)
{
    const real lr = (real)c[0], w = (real)c[1], alpha = (real)c[2], one_minus_alpha = (real)c[3];
    const real inside = (real)c[4], outside = (real)c[5], momentum = (real)c[6];
    for (int64_t i = 0; i < n; i++) {
        real d = g[i] + w * p[i];
        real mean_square = alpha * s[i] + one_minus_alpha * (d * d);
        s[i] = mean_square;
        real variance = mean_square;
        if (centered) {
            real mean = alpha * a[i] + one_minus_alpha * d;
            a[i] = mean;
            variance = mean_square - mean * mean;
            variance = variance < 0 ? 0 : mean_square == (real)INFINITY ? mean_square : variance;
        }
        real u = d / (root(variance + inside) + outside);
        if (has_momentum) {
            u = momentum * b[i] + u;
            b[i] = u;
        }
        p[i] -= lr * u;
    }
}

static void rmsprop(int64_t n, void *p, const void *g, void *const *slot, const double *c)
{
    rmsprop_any(n, p, g, slot[0], NULL, NULL, c, false, false);
}

static void rmsprop_momentum(int64_t n, void *p, const void *g, void *const *slot, const double *c)
{
    rmsprop_any(n, p, g, slot[0], NULL, slot[1], c, false, true);
}

static void rmsprop_centered(int64_t n, void *p, const void *g, void *const *slot, const double *c)
{
    rmsprop_any(n, p, g, slot[0], slot[1], NULL, c, true, false);
}

static void rmsprop_centered_momentum(int64_t n, void *p, const void *g, void *const *slot, const double *c)
{
    rmsprop_any(n, p, g, slot[0], slot[1], slot[2], c, true, true);
}

/* c: lr / (1 - beta1^k), w added to the gradient, factor of p, beta1, beta2, 1 - beta2, 1 / sqrt(1 - beta2^k), epsilon.
 * The flag is a constant, as in rmsprop_any. */
static inline __attribute__((always_inline)) void adam_any(int64_t n, real *restrict p, const real *restrict g,
                                                           real *restrict m, real *restrict v, real *restrict most,
                                                           const double *c, bool has_most)
{
    const real lr = (real)c[0], w = (real)c[1], shrink = (real)c[2], beta1 = (real)c[3],
               one_minus_beta1 = (real)(1 - c[3]);
    const real beta2 = (real)c[4], one_minus_beta2 = (real)c[5], correction = (real)c[6], epsilon = (real)c[7];
    for (int64_t i = 0; i < n; i++) {
        real d = g[i] + w * p[i];
        real mean = beta1 * m[i] + one_minus_beta1 * d;
        real square = beta2 * v[i] + one_minus_beta2 * (d * d);
        m[i] = mean;
        v[i] = square;
        if (has_most) {
            square = square > most[i] ? square : most[i];
            most[i] = square;
        }
        /* without a correction, as in the first steps of RAdam, an infinite square does not matter */
        const real spread = correction == 0 ? epsilon : root(square) * correction + epsilon;
        p[i] = p[i] * shrink - lr * (mean / spread);
    }
}

static void adam(int64_t n, void *p, const void *g, void *const *slot, const double *c)
{
    adam_any(n, p, g, slot[0], slot[1], NULL, c, false);
}

static void amsgrad(int64_t n, void *p, const void *g, void *const *slot, const double *c)
{
    adam_any(n, p, g, slot[0], slot[1], slot[2], c, true);
}

/* c: lr / (1 + (k - 1) lr_decay), w, the initial sum in the first step (else 0), epsilon */
static void adagrad(int64_t n, void *p_, const void *g_, void *const *slot, const double *c)
{
    real *restrict p = p_, *restrict s = slot[0];
    const real *restrict g = g_;
    const real lr = (real)c[0], w = (real)c[1], initial = (real)c[2], epsilon = (real)c[3];
    for (int64_t i = 0; i < n; i++) {
        real d = g[i] + w * p[i];
        real sum = s[i] + initial + d * d;
        s[i] = sum;
        p[i] -= lr * (d / (root(sum) + epsilon));
    }
}

static int64_t first_nonfinite(int64_t n, const void *g_)
{
    const real *g = g_;
    int bad = 0;
    for (int64_t i = 0; i < n; i++) bad |= !((g[i] < 0 ? -g[i] : g[i]) <= REAL_MAX);
    if (!bad) return -1;
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(g[i])) return i;
    return -1;
}

/* Sixteen partial sums, because a compiler must not reorder a single one. */
static double sum_squares(int64_t n, const void *g_, double unit)
{
    const real *g = g_;
    double sum[16] = {0}, total = 0;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int j = 0; j < 16; j++) sum[j] += ((double)g[i + j] * unit) * ((double)g[i + j] * unit);
    for (; i < n; i++) total += ((double)g[i] * unit) * ((double)g[i] * unit);
    for (int j = 0; j < 16; j++) total += sum[j];
    return total;
}

static void scale(int64_t n, void *g_, double factor)
{
    real *g = g_;
    if (factor < REAL_MIN) /* too small a number of the type to have all digits */
        for (int64_t i = 0; i < n; i++) g[i] = (real)((double)g[i] * factor);
    else
        for (int64_t i = 0; i < n; i++) g[i] *= (real)factor;
}

static void clamp(int64_t n, void *g_, double limit)
{
    real *g = g_;
    const real high = (real)limit, low = -high;
    for (int64_t i = 0; i < n; i++) { /* both comparisons are false for NaN, which therefore stays */
        real x = g[i] > high ? high : g[i];
        g[i] = x < low ? low : x;
    }
}

const wg__update_kernels WG__UPDATE = {
    .sgd = sgd,
    .sgd_momentum = sgd_momentum,
    .rmsprop = rmsprop,
    .rmsprop_momentum = rmsprop_momentum,
    .rmsprop_centered = rmsprop_centered,
    .rmsprop_centered_momentum = rmsprop_centered_momentum,
    .adam = adam,
    .amsgrad = amsgrad,
    .adagrad = adagrad,
    .first_nonfinite = first_nonfinite,
    .sum_squares = sum_squares,
    .scale = scale,
    .clamp = clamp,
};
