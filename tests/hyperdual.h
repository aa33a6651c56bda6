/* Scalar f64 code with its derivatives: hyper-dual numbers (Fike, Alonso 2011). A number x, its derivatives in two
 * directions, u and v, and its second derivative in both: exact, without a rule for any op but the few below. */
#ifndef WG_TEST_HYPERDUAL_H
#define WG_TEST_HYPERDUAL_H

#include <math.h>
#include <stdint.h>

typedef struct hyper {
    double x, u, v, uv;
} hyper;

static inline hyper h_of(double x) { return (hyper){x, 0, 0, 0}; }
static inline hyper h_add(hyper a, hyper b) { return (hyper){a.x + b.x, a.u + b.u, a.v + b.v, a.uv + b.uv}; }
static inline hyper h_scale(hyper a, double c) { return (hyper){c * a.x, c * a.u, c * a.v, c * a.uv}; }
static inline hyper h_sub(hyper a, hyper b) { return h_add(a, h_scale(b, -1)); }
static inline hyper h_plus(hyper a, double c) { return h_add(a, h_of(c)); }
static inline hyper h_mul(hyper a, hyper b)
{
    return (hyper){a.x * b.x, a.u * b.x + a.x * b.u, a.v * b.x + a.x * b.v,
                   a.uv * b.x + a.u * b.v + a.v * b.u + a.x * b.uv};
}

/* f(a), from f and its two derivatives at a.x */
static inline hyper h_chain(hyper a, double f, double f1, double f2)
{
    return (hyper){f, f1 * a.u, f1 * a.v, f1 * a.uv + f2 * a.u * a.v};
}

static inline hyper h_exp(hyper a) { return h_chain(a, exp(a.x), exp(a.x), exp(a.x)); }
static inline hyper h_expm1(hyper a) { return h_chain(a, expm1(a.x), exp(a.x), exp(a.x)); }
static inline hyper h_log(hyper a) { return h_chain(a, log(a.x), 1 / a.x, -1 / (a.x * a.x)); }
static inline hyper h_reciprocal(hyper a) { return h_chain(a, 1 / a.x, -1 / (a.x * a.x), 2 / (a.x * a.x * a.x)); }
static inline hyper h_div(hyper a, hyper b) { return h_mul(a, h_reciprocal(b)); }
static inline hyper h_sqrt(hyper a)
{
    const double root = sqrt(a.x);
    return h_chain(a, root, 0.5 / root, -0.25 / (root * a.x));
}
static inline hyper h_sin(hyper a) { return h_chain(a, sin(a.x), cos(a.x), -sin(a.x)); }
static inline hyper h_cos(hyper a) { return h_chain(a, cos(a.x), -sin(a.x), -cos(a.x)); }
static inline hyper h_tanh(hyper a)
{
    const double t = tanh(a.x), slope = 1 - t * t;
    return h_chain(a, t, slope, -2 * t * slope);
}
static inline hyper h_erf(hyper a)
{
    const double slope = 1.1283791670955126 * exp(-a.x * a.x);
    return h_chain(a, erf(a.x), slope, -2 * a.x * slope);
}
static inline hyper h_sigmoid(hyper a) { return h_scale(h_plus(h_tanh(h_scale(a, 0.5)), 1), 0.5); }
static inline hyper h_square(hyper a) { return h_mul(a, a); }
/* ln(1 + e^a) */
static inline hyper h_softplus(hyper a)
{
    const double s = 1 / (1 + exp(-a.x));
    return h_chain(a, a.x > 0 ? a.x + log1p(exp(-a.x)) : log1p(exp(a.x)), s, s * (1 - s));
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
