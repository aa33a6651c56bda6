/* Internal. Functions that have no vector form here: lane by lane, in double, also for f32, whose results are then
 * exact within rounding. */
#ifndef WG_KERNELS_SPECIAL_H
#define WG_KERNELS_SPECIAL_H

#include "vmath.h"

#define SPECIAL_PI 3.14159265358979323846

/* ln |Gamma(x)|, by libm. lgamma stores a sign in a global variable, which threads would share. */
static inline double special_lgamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

/* The distance to the nearest integer, from which sines of pi x are exact; and whether x is a pole, an integer that is
 * not positive. */
static inline double special_rest(double x) { return x - rint(x); }
static inline bool special_pole(double x) { return x <= 0 && floor(x) == x; }

/* *sum += x, and what is rounded off, exactly, to *rest (Knuth). */
static inline void special_add(double x, double *sum, double *rest)
{
    const double s = *sum + x, added = s - *sum;
    *rest += (*sum - (s - added)) + (x - added);
    *sum = s;
}

/* cot(pi x), |x| <= 1/2 */
static inline double special_cot(double x)
{
    const double other = 0.5 - fabs(x);
    return other < 0.25 ? copysign(tan(SPECIAL_PI * other), x) : 1 / tan(SPECIAL_PI * x);
}

/* psi(x) = psi(x + 1) - 1 / x, up to where the asymptotic series (Abramowitz, Stegun 6.3.18) is exact within rounding;
 * below 0 by reflection (6.3.7). Terms cancel near the zeros of psi. */
static inline double special_digamma(double x)
{
    if (x == 0) return -1 / x;
    if (special_pole(x)) return NAN;
    const double turned = x < 0 ? SPECIAL_PI * special_cot(special_rest(x)) : 0, first = x < 0 ? 1 - x : x;
    int n = 0;
    while (first + n < 10) n++;
    const double z = first + n, y = 1 / (z * z);
    double p = 691.0 / 32760 - y / 12, sum = log(z), rest;
    p = 1.0 / 240 - y * (1.0 / 132 - y * p);
    p = 1.0 / 12 - y * (1.0 / 120 - y * (1.0 / 252 - y * p));
    rest = -0.5 / z - y * p;
    while (n-- > 0) special_add(-1 / (first + n), &sum, &rest);
    if (turned != 0) special_add(-turned, &sum, &rest);
    return isinf(sum) ? sum : sum + rest;
}

/* The derivative of digamma (6.4.12, 6.4.7). */
static inline double special_trigamma(double x)
{
    if (special_pole(x)) return x > -INFINITY ? INFINITY : NAN;
    double sum = 0, sign = 1;
    if (x < 0) {
        double s = sin(SPECIAL_PI * special_rest(x));
        sum = SPECIAL_PI * SPECIAL_PI / (s * s);
        x = 1 - x;
        sign = -1;
    }
    for (; x < 10; x++) sum += sign / (x * x);
    double y = 1 / (x * x), p = 691.0 / 2730 - y * 7 / 6;
    p = 1.0 / 42 - y * (1.0 / 30 - y * (5.0 / 66 - y * p));
    return sign * (1 / x + y / 2 + y / x * (1.0 / 6 - y * (1.0 / 30 - y * p))) + sum;
}

/* Giles (2010), "Approximating the erfinv function": for what f32 has, which ends at 1 - 2^-24; w = -ln(1 - x^2). */
static inline double special_erfinv_near(double x, double w)
{
    static const double centre[] = {2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
                                    -0.00125372503, -0.00417768164, 0.246640727,    1.50140941};
    static const double tail[] = {-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773,
                                  -0.0076224613,   0.00943887047,  1.00167406,    2.83297682};
    const double v = w < 5 ? w - 2.5 : sqrt(w) - 3, *c = w < 5 ? centre : tail;
    double p = c[0];
    for (int i = 1; i < 9; i++) p = p * v + c[i];
    return p * x;
}

/* Nearer to 1: erfc(y) = rest is about e^(-y^2) / (y sqrt(pi)). */
static inline double special_erfinv_far(double rest)
{
    const double w = -log(rest);
    return sqrt(w - log(sqrt(w * SPECIAL_PI)));
}

/* Two steps of Halley's method follow the first approximation, with what is left of 1 instead of erf where that is more
 * exact. */
static inline double special_erfinv(double x)
{
    const double size = fabs(x), rest = 1 - size;
    if (!(size < 1)) return size > 1 || x != x ? NAN : x * INFINITY;
    double y = rest < 0x1p-24 ? special_erfinv_far(rest) : special_erfinv_near(size, -log(rest * (1 + size)));
    for (int i = 0; i < 2; i++) {
        const double error = size < 0.5 ? erf(y) - size : rest - erfc(y);
        const double step = error / (1.12837916709551257390 * exp(-y * y));
        y -= step / (1 + y * step);
    }
    return copysign(y, x);
}

/* Lane by lane, in double. */
VINLINE V v_map_double(V x, double (*f)(double))
{
    for (int i = 0; i < VLANES; i++) x[i] = (real)f((double)x[i]);
    return x;
}

VINLINE V v_lgamma(V x) { return v_map_double(x, special_lgamma); }
VINLINE V v_digamma(V x) { return v_map_double(x, special_digamma); }
VINLINE V v_trigamma(V x) { return v_map_double(x, special_trigamma); }
VINLINE V v_erfinv(V x) { return v_map_double(x, special_erfinv); }

#endif
