/* Internal. Functions of vectors: from SLEEF, or lane by lane from libm in a build without it. The result for an
 * element does not depend on its lane. For files compiled per variant, floats only. */
#ifndef WG_KERNELS_VMATH_H
#define WG_KERNELS_VMATH_H

#include <math.h>

#include "vector.h"

#if WG__T == 32
#define LIBM(name) name##f
#else
#define LIBM(name) name
#endif

/* Lane by lane, by a scalar function. */
VINLINE V v_map(V x, real (*f)(real))
{
    for (int i = 0; i < VLANES; i++) x[i] = f(x[i]);
    return x;
}

VINLINE V v_map2(V a, V b, real (*f)(real, real))
{
    for (int i = 0; i < VLANES; i++) a[i] = f(a[i], b[i]);
    return a;
}

#if defined WG__SLEEF && (defined __x86_64__ || defined __aarch64__)
#include <sleef.h>
#if defined __AVX512F__ && WG__T == 32
#define SLEEF(name, error) Sleef_##name##f16_##error##avx512f
typedef __m512 sleef;
#elif defined __AVX512F__
#define SLEEF(name, error) Sleef_##name##d8_##error##avx512f
typedef __m512d sleef;
#elif defined __AVX2__ && WG__T == 32
#define SLEEF(name, error) Sleef_##name##f8_##error##avx2
typedef __m256 sleef;
#elif defined __AVX2__
#define SLEEF(name, error) Sleef_##name##d4_##error##avx2
typedef __m256d sleef;
#elif defined __x86_64__ && WG__T == 32
#define SLEEF(name, error) Sleef_##name##f4_##error##sse2
typedef __m128 sleef;
#elif defined __x86_64__
#define SLEEF(name, error) Sleef_##name##d2_##error##sse2
typedef __m128d sleef;
#elif WG__T == 32
#define SLEEF(name, error) Sleef_##name##f4_##error##advsimd
typedef float32x4_t sleef;
#else
#define SLEEF(name, error) Sleef_##name##d2_##error##advsimd
typedef float64x2_t sleef;
#endif
#define MATH(name, error, x)     ((V)SLEEF(name, error)((sleef)(x)))
#define MATH2(name, error, a, b) ((V)SLEEF(name, error)((sleef)(a), (sleef)(b)))
#else
#define MATH(name, error, x)     v_map(x, LIBM(name))
#define MATH2(name, error, a, b) v_map2(a, b, LIBM(name))
#endif

VINLINE V v_expm1(V x) { return MATH(expm1, u10, x); }
VINLINE V v_log(V x) { return MATH(log, u10, x); }
VINLINE V v_sin(V x) { return MATH(sin, u10, x); }
VINLINE V v_cos(V x) { return MATH(cos, u10, x); }
VINLINE V v_tan(V x) { return MATH(tan, u10, x); }
VINLINE V v_asin(V x) { return MATH(asin, u10, x); }
VINLINE V v_acos(V x) { return MATH(acos, u10, x); }
VINLINE V v_atan(V x) { return MATH(atan, u10, x); }
/* SLEEF multiplies by a reciprocal, which vanishes for large numbers: these are scaled. */
VINLINE V v_atan2(V a, V b)
{
    const real far = WG__T == 32 ? R(0x1p100) : (real)0x1p1000, small = WG__T == 32 ? R(0x1p-64) : (real)0x1p-512;
    const V scale = v_select(v_gt(v_max(v_abs(a), v_abs(b)), v_set(far)), v_set(small), v_set(1));
    return MATH2(atan2, u10, a * scale, b * scale);
}
VINLINE V v_atanh(V x) { return MATH(atanh, u10, x); }
VINLINE V v_pow(V a, V b) { return MATH2(pow, u10, a, b); }

/* SLEEF squares x, which overflows; from there on they are ln 2x. */
#define ASYMPTOTIC R(0x1p32)
VINLINE V v_log_twice(V x) { return v_log(x) + R(0.69314718055994530942); }
/* musl's acosh is a number for large negative operands. */
VINLINE V v_acosh(V x)
{
    V y = v_select(v_gt(x, v_set(ASYMPTOTIC)), v_log_twice(x), MATH(acosh, u10, x));
    return v_select(v_lt(x, v_set(1)), v_set((real)NAN), y);
}
VINLINE V v_asinh(V x)
{
    V t = v_abs(x), far = v_log_twice(t);
    return v_select(v_gt(t, v_set(ASYMPTOTIC)), v_select(v_lt(x, v_set(0)), -far, far), MATH(asinh, u10, x));
}

/* SLEEF returns infinity near the largest number; there it is computed as ln(2^-k x) + k ln 2. */
VINLINE V v_log1p(V x)
{
    V shift = v_set(R((WG__T == 32 ? 64 : 512) * 0.69314718055994530942));
    M huge = v_gt(x, v_set(WG__T == 32 ? R(0x1p100) : R(0x1p1000)));
    V y = MATH(log1p, u10, v_select(huge, x * (WG__T == 32 ? R(0x1p-64) : R(0x1p-512)), x));
    return v_select(huge, y + shift, y);
}

#if WG__T == 32
/* ---- f32: polynomials, faster than SLEEF's functions ----------------------------------
 * Fitted for the least relative error. test_pointwise_values finds the errors in units in the last place over all 2^32
 * numbers. exp 0.18 ns an element, tanh 0.37; SLEEF 0.39 and 1.47 (docs/performance.md). */

/* c[0] + c[1] x + ... + c[n - 1] x^(n - 1) */
VINLINE V v_polynomial(V x, const float *c, int n)
{
    V y = v_set(c[n - 1]);
    for (int i = n - 2; i >= 0; i--) y = v_fma(y, x, v_set(c[i]));
    return y;
}

/* Adding it rounds to an integer n and leaves the exponent bits of 2^n in the last eight bits. */
#define ROUND (0x1.8p23f + 127)

/* e^x = 2^n (1 + w) with n the integer nearest to x / ln 2; *n is n + ROUND. Returns w. */
VINLINE V v_exp_parts(V x, V *n)
{
    static const float c[] = {0x1.fffffcp-2f, 0x1.555490p-3f, 0x1.5558f4p-5f, 0x1.123a6cp-7f, 0x1.6a234ap-10f};
    *n = v_fma(x, v_set(0x1.715476p0f), v_set(ROUND));
    V r = v_fma(*n - ROUND, v_set(-0x1.63p-1f), x); /* ln 2 in two parts; n times the first is exact */
    r = v_fma(*n - ROUND, v_set(0x1.bd0106p-13f), r);
    return v_fma(v_polynomial(r, c, 5), r * r, r);
}

VINLINE V v_exp(V x)
{
    V n, y = v_exp_parts(v_clamp(x, -105, 89), &n) + 1;
#if defined __AVX512F__
    return (V)_mm512_scalef_ps((__m512)y, (__m512)(n - ROUND));
#else
    I k = (I)n - (I)v_set(ROUND), half = k >> 1; /* in two steps: 2^k need not be a normal number */
    return y * (V)((half + 127) << 23) * (V)((k - half + 127) << 23);
#endif
}

/* m / (2 - m) with m = 1 - e^(-2|x|), and the sign of x. */
VINLINE V v_tanh(V x)
{
    I sign = (I)v_set(-R(0));
    V n, w = v_exp_parts((V)((I)(v_clamp(x, -20, 20) * 2) | sign), &n);
    V scale = (V)((I)n << 23), m = v_fma(-scale, w, 1 - scale);
    return (V)((I)(m / (2 - m)) | ((I)x & sign));
}

/* Small: x (1 + p(x^2)). Large: 1 - e^(-|x| (1 + q(|x|))), from 4 on 1 within rounding; and the sign of x. */
VINLINE V v_erf(V x)
{
    static const float p[] = {0x1.06eba6p-3f,  -0x1.8126e2p-2f, 0x1.ce1986p-4f,
                              -0x1.b67c04p-6f, 0x1.46d9e2p-8f,  -0x1.38741cp-11f};
    static const float q[] = {0x1.07328ap-3f,  0x1.457cdep-1f, 0x1.af271ep-4f,
                              -0x1.7707c8p-6f, 0x1.a56532p-9f, -0x1.c0c5a2p-13f};
    I sign = (I)x & (I)v_set(-R(0));
    V t = v_clamp(v_abs(x), 0, 4), small = v_fma(v_polynomial(t * t, p, 6), t, t);
    V n, w = v_exp_parts(v_fma(v_polynomial(t, q, 6), -t, -t), &n), scale = (V)((I)n << 23);
    V large = v_fma(-scale, w, 1 - scale);
    return (V)((I)v_select(v_gt(t, v_set(0.92f)), large, small) | sign);
}

/* ln(1 + e), 0 <= e <= 1: twice the inverse hyperbolic tangent of e / (2 + e). */
VINLINE V v_log1p_unit(V e)
{
    static const float c[] = {0x1p1f, 0x1.5554e0p-1f, 0x1.99dad8p-2f, 0x1.1e51b4p-2f, 0x1.20892cp-2f};
    V s = e / (e + 2);
    return s * v_polynomial(s * s, c, 5);
}
#else
VINLINE V v_exp(V x) { return MATH(exp, u10, x); }
VINLINE V v_tanh(V x) { return MATH(tanh, u10, x); }
VINLINE V v_erf(V x) { return MATH(erf, u10, x); }
VINLINE V v_log1p_unit(V e) { return v_log1p(e); }
#endif

/* SLEEF's are infinite where e^|x| is, before they are too large themselves: there e^|x| / 2 by two halves. */
#define HYPERBOLIC (WG__T == 32 ? R(88) : R(709))
VINLINE V v_half_exp(V x)
{
    V root = v_exp(x * R(0.5));
    return root * R(0.5) * root;
}
VINLINE V v_cosh(V x)
{
    V t = v_abs(x);
    return v_select(v_gt(t, v_set(HYPERBOLIC)), v_half_exp(t), MATH(cosh, u10, x));
}
VINLINE V v_sinh(V x)
{
    V t = v_abs(x), far = v_half_exp(t);
    return v_select(v_gt(t, v_set(HYPERBOLIC)), v_select(v_lt(x, v_set(0)), -far, far), MATH(sinh, u10, x));
}

/* 1 / (1 + e^-x), by the exponential of -|x|, which does not overflow. */
VINLINE V v_sigmoid(V x)
{
    V e = v_exp(-v_abs(x));
    return v_select(v_lt(x, v_set(0)), e, v_set(1)) / (e + 1);
}

/* ln(1 + e^x) */
VINLINE V v_softplus(V x) { return v_max(x, v_set(0)) + v_log1p_unit(v_exp(-v_abs(x))); }

/* ln(e^a + e^b); of two equal infinities that infinity. */
VINLINE V v_logaddexp(V a, V b)
{
    V apart = v_select(v_eq(a, b), v_set(0), v_abs(a - b));
    return v_max(a, b) + v_log1p_unit(v_exp(-apart));
}

/* To the nearest integer, ties to even. */
VINLINE V v_round(V x)
{
    V large = v_set(WG__T == 32 ? R(0x1p23) : R(0x1p52)), sign = v_set(-R(0));
    V magic = (V)((I)large | ((I)x & (I)sign)), near = (x + magic) - magic;
    near = (V)(((I)near & ~(I)sign) | ((I)x & (I)sign)); /* -0.3 becomes -0 */
    return v_select(v_lt(v_abs(x), large), near, x);
}

/* The density and the distribution function of the standard normal distribution. */
VINLINE V v_normal_density(V x) { return v_exp(x * x * R(-0.5)) * R(0.39894228040143267794); }
VINLINE V v_normal(V x) { return R(0.5) * (1 + v_erf(x * R(0.70710678118654752440))); }

/* Derivatives of gelu and silu are products of a function that vanishes for large |x| with a polynomial in x, which
 * must stay finite there. At NEAR the first is 0. */
#define NEAR R(40)
VINLINE V v_near(V x) { return v_clamp(x, -NEAR, NEAR); }

/* d/dx (x Phi(x)) = Phi + x phi, d2/dx2 = phi (2 - x^2). */
VINLINE V v_gelu_slope(V x) { return v_fma(v_near(x), v_normal_density(x), v_normal(x)); }
VINLINE V v_gelu_curve(V x) { return v_normal_density(x) * (2 - v_near(x) * v_near(x)); }

/* 2 u, u = sqrt(2/pi) (x + 0.044715 x^3), and half its derivative. (1 + tanh u) / 2 = sigmoid(2 u). */
VINLINE V v_gelu_inner(V x) { return R(2 * 0.79788456080286535588) * x * (1 + R(0.044715) * x * x); }
VINLINE V v_gelu_tanh(V x) { return x * v_sigmoid(v_gelu_inner(x)); }

/* d/dx (x s), s = sigmoid(2 u): s + x s (1 - s) 2 u'. */
VINLINE V v_gelu_tanh_slope(V x)
{
    V s = v_sigmoid(v_gelu_inner(x)), s_other = v_sigmoid(-v_gelu_inner(x)), c = v_near(x);
    return s + c * s * s_other * (R(2 * 0.79788456080286535588) * (1 + R(3 * 0.044715) * c * c));
}

/* d/dx (x sigmoid(x)) = s (1 + x (1 - s)), 1 - s as the sigmoid of -x. */
VINLINE V v_silu_slope(V x)
{
    V e = v_exp(-v_abs(x)), large = 1 / (e + 1), small = e * large;
    M negative = v_lt(x, v_set(0));
    V s = v_select(negative, small, large), s_other = v_select(negative, large, small);
    return s * (1 + v_clamp(x, R(-1e3), R(1e3)) * s_other);
}

/* -1, 0, 1; NaN stays NaN. */
VINLINE V v_sign(V x)
{
    V zero = v_set(0), one = v_set(1);
    return v_select(v_gt(x, zero), one, v_select(v_lt(x, zero), -one, x));
}

/* max(0, x); NaN stays NaN. */
VINLINE V v_relu(V x) { return v_select(v_le(x, v_set(0)), v_set(0), x); }

/* a - b floor(a / b), exact: the remainder of the division, with the sign of b. */
VINLINE V v_mod(V a, V b)
{
    V r = v_map2(a, b, LIBM(fmod)), zero = v_set(0);
    return v_select((v_lt(r, zero) ^ v_lt(b, zero)) & v_ne(r, zero), r + b, r);
}

/* ---- arrays ------------------------------------------------------------------------------------------------ */

/* y[i] = e^(x[i] - shift), i < n. */
VINLINE void exp_shifted(const real *x, real shift, real *y, int64_t n)
{
    int64_t i = 0;
    for (; i + VLANES <= n; i += VLANES) v_store(y + i, v_exp(v_load(x + i) - shift));
    if (i < n) v_store_part(y + i, v_exp(v_load_part(x + i, (int)(n - i)) - shift), (int)(n - i));
}

#endif
