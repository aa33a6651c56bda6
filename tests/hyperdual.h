/* Scalar code with its derivatives, in more digits than f64 has (as many as long double): hyper-dual numbers (Fike,
 * Alonso 2011) of three directions. A number x, its derivatives along u, v and w, the second ones along two of them and
 * the third one along all: exact, without a rule for any op but the few below. */
#ifndef WG_TEST_HYPERDUAL_H
#define WG_TEST_HYPERDUAL_H

#include <stdint.h>
#include <tgmath.h> /* exp of a long double is expl */

typedef long double real;

/* of[s]: the derivative along the directions whose bits are set in s */
typedef union hyper {
    real of[8];
    struct {
        real x, u, v, uv, w, uw, vw, uvw;
    };
} hyper;

static inline hyper h_of(real x) { return (hyper){.of = {x}}; }
static inline hyper h_add(hyper a, hyper b)
{
    for (int s = 0; s < 8; s++) a.of[s] += b.of[s];
    return a;
}
static inline hyper h_scale(hyper a, real c)
{
    for (int s = 0; s < 8; s++) a.of[s] *= c;
    return a;
}
static inline hyper h_sub(hyper a, hyper b) { return h_add(a, h_scale(b, -1)); }
static inline hyper h_plus(hyper a, real c) { return h_add(a, h_of(c)); }
/* Leibniz: the sum over the ways to share the directions between a and b */
static inline hyper h_mul(hyper a, hyper b)
{
    hyper y = h_of(0);
    for (int s = 0; s < 8; s++)
        for (int t = 0; t <= s; t++)
            if ((t & s) == t) y.of[s] += a.of[t] * b.of[s ^ t];
    return y;
}

/* f(a), from f and its three derivatives at a.x (Faa di Bruno: the sum over the partitions of the directions) */
static inline hyper h_chain(hyper a, real f, real f1, real f2, real f3)
{
    return (hyper){.x = f,
                   .u = f1 * a.u,
                   .v = f1 * a.v,
                   .w = f1 * a.w,
                   .uv = f1 * a.uv + f2 * a.u * a.v,
                   .uw = f1 * a.uw + f2 * a.u * a.w,
                   .vw = f1 * a.vw + f2 * a.v * a.w,
                   .uvw = f1 * a.uvw + f2 * (a.uv * a.w + a.uw * a.v + a.vw * a.u) + f3 * a.u * a.v * a.w};
}

static inline hyper h_exp(hyper a) { return h_chain(a, exp(a.x), exp(a.x), exp(a.x), exp(a.x)); }
static inline hyper h_expm1(hyper a) { return h_chain(a, expm1(a.x), exp(a.x), exp(a.x), exp(a.x)); }
static inline hyper h_log(hyper a) { return h_chain(a, log(a.x), pow(a.x, -1), -pow(a.x, -2), 2 * pow(a.x, -3)); }
static inline hyper h_reciprocal(hyper a)
{
    return h_chain(a, 1 / a.x, -pow(a.x, -2), 2 * pow(a.x, -3), -6 * pow(a.x, -4));
}
static inline hyper h_div(hyper a, hyper b) { return h_mul(a, h_reciprocal(b)); }
static inline hyper h_sqrt(hyper a)
{
    const real root = sqrt(a.x);
    return h_chain(a, root, 0.5 / root, -0.25 / (root * a.x), 0.375 / (root * a.x * a.x));
}
static inline hyper h_sin(hyper a) { return h_chain(a, sin(a.x), cos(a.x), -sin(a.x), -cos(a.x)); }
static inline hyper h_cos(hyper a) { return h_chain(a, cos(a.x), -sin(a.x), -cos(a.x), sin(a.x)); }
static inline hyper h_tanh(hyper a)
{
    const real t = tanh(a.x), slope = 1 - t * t;
    return h_chain(a, t, slope, -2 * t * slope, slope * (6 * t * t - 2));
}
static inline hyper h_erf(hyper a)
{
    const real slope = 1.12837916709551257389615890312154517L * exp(-a.x * a.x);
    return h_chain(a, erf(a.x), slope, -2 * a.x * slope, (4 * a.x * a.x - 2) * slope);
}
static inline hyper h_sigmoid(hyper a) { return h_scale(h_plus(h_tanh(h_scale(a, 0.5)), 1), 0.5); }
static inline hyper h_square(hyper a) { return h_mul(a, a); }
/* ln(1 + e^a) */
static inline hyper h_softplus(hyper a)
{
    const real s = 1 / (1 + exp(-a.x));
    return h_chain(a, a.x > 0 ? a.x + log1p(exp(-a.x)) : log1p(exp(a.x)), s, s * (1 - s),
                   s * (1 - s) * (1 - 2 * s));
}

/* ---- matrices ------------------------------------------------------------------------------------------------ */

enum { MATRIX_MOST = 320 };

typedef struct matrix {
    int64_t rows, cols;
    hyper x[MATRIX_MOST];
} matrix;

/* An element; an axis of size 1 repeats. */
static inline hyper at(const matrix *m, int64_t i, int64_t j)
{
    return m->x[(m->rows == 1 ? 0 : i) * m->cols + (m->cols == 1 ? 0 : j)];
}

#endif
