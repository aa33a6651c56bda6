/* Internal. Full-width vectors and their basic operations, under the same names in every variant. For files compiled
 * per variant.
 *
 * V is a vector of VLANES elements (type real), M a mask with one truth value per lane: a bit if the instruction set
 * has mask registers (AVX-512), otherwise a lane of all zeros or all ones. Masks combine with & | and m_not, vectors
 * with the operators of the language. Bools in memory are bytes, 0 or 1. */
#ifndef WG_KERNELS_VECTOR_H
#define WG_KERNELS_VECTOR_H

#include <string.h>

#include "kernel.h"

#if defined __x86_64__
#include <immintrin.h>
#endif

#define VINLINE static inline __attribute__((always_inline, unused))
#define R(c)    ((real)(c))

#if defined __AVX512F__
enum { VBYTES = 64 };
#elif defined __AVX2__
enum { VBYTES = 32 };
#else
enum { VBYTES = 16 };
#endif
enum { VLANES = VBYTES / (int)sizeof(real) };

#if WG__T == 64
typedef int64_t lane_int;
#elif WG__T == 32 || defined WG__I32
typedef int32_t lane_int;
#else
typedef int8_t lane_int;
#endif

typedef real V __attribute__((vector_size(VBYTES)));
typedef lane_int I __attribute__((vector_size(VBYTES)));

VINLINE V v_set(real c) { return c - (V){0}; } /* minus: 0 + -0 would be 0 */

VINLINE V v_load(const real *p)
{
    V v;
    memcpy(&v, p, sizeof v);
    return v;
}

VINLINE void v_store(real *p, V v) { memcpy(p, &v, sizeof v); }

#if defined __AVX512F__
/* ---- AVX-512: masks are bits ----------------------------------------------------------------------------- */
#if WG__T
#if WG__T == 32
typedef __mmask16 M;
typedef __m512 W; /* the type of V in intrinsics */
#define MM(name, after) _mm512_##name##_ps##after
#else
typedef __mmask8 M;
typedef __m512d W;
#define MM(name, after) _mm512_##name##_pd##after
#endif
VINLINE M v_lt(V a, V b) { return MM(cmp, _mask)((W)a, (W)b, _CMP_LT_OQ); }
VINLINE M v_le(V a, V b) { return MM(cmp, _mask)((W)a, (W)b, _CMP_LE_OQ); }
VINLINE M v_eq(V a, V b) { return MM(cmp, _mask)((W)a, (W)b, _CMP_EQ_OQ); }
VINLINE M v_ne(V a, V b) { return MM(cmp, _mask)((W)a, (W)b, _CMP_NEQ_UQ); }
VINLINE V v_select(M m, V a, V b) { return (V)MM(mask_mov, )((W)b, m, (W)a); }
VINLINE V v_load_part(const real *p, int n) { return (V)MM(maskz_loadu, )((M)((1u << n) - 1), p); }
VINLINE void v_store_part(real *p, V v, int n) { MM(mask_storeu, )(p, (M)((1u << n) - 1), (W)v); }
#elif defined WG__I32
typedef __mmask16 M;
VINLINE M v_lt(V a, V b) { return _mm512_cmplt_epi32_mask((__m512i)a, (__m512i)b); }
VINLINE M v_le(V a, V b) { return _mm512_cmple_epi32_mask((__m512i)a, (__m512i)b); }
VINLINE M v_eq(V a, V b) { return _mm512_cmpeq_epi32_mask((__m512i)a, (__m512i)b); }
VINLINE M v_ne(V a, V b) { return _mm512_cmpneq_epi32_mask((__m512i)a, (__m512i)b); }
VINLINE V v_select(M m, V a, V b) { return (V)_mm512_mask_mov_epi32((__m512i)b, m, (__m512i)a); }
VINLINE V v_load_part(const real *p, int n) { return (V)_mm512_maskz_loadu_epi32((M)((1u << n) - 1), p); }
VINLINE void v_store_part(real *p, V v, int n) { _mm512_mask_storeu_epi32(p, (M)((1u << n) - 1), (__m512i)v); }
#else
typedef __mmask64 M;
VINLINE V v_select(M m, V a, V b) { return (V)_mm512_mask_mov_epi8((__m512i)b, m, (__m512i)a); }
VINLINE V v_load_part(const real *p, int n) { return (V)_mm512_maskz_loadu_epi8((M)((1ull << n) - 1), p); }
VINLINE void v_store_part(real *p, V v, int n) { _mm512_mask_storeu_epi8(p, (M)((1ull << n) - 1), (__m512i)v); }
#endif
VINLINE M m_not(M m) { return (M)~m; }

/* Masks from and to bytes. */
#if WG__T == 0 && !defined WG__I32
VINLINE M m_load_part(const uint8_t *p, int n)
{
    __m512i bytes = _mm512_maskz_loadu_epi8((M)((1ull << n) - 1), p);
    return _mm512_test_epi8_mask(bytes, bytes);
}
VINLINE M m_load(const uint8_t *p)
{
    __m512i bytes = _mm512_loadu_si512(p);
    return _mm512_test_epi8_mask(bytes, bytes);
}
VINLINE void m_store(uint8_t *p, M m) { _mm512_storeu_si512(p, _mm512_maskz_set1_epi8(m, 1)); }
VINLINE void m_store_part(uint8_t *p, M m, int n)
{
    _mm512_mask_storeu_epi8(p, (M)((1ull << n) - 1), _mm512_maskz_set1_epi8(m, 1));
}
#else
VINLINE M m_load_part(const uint8_t *p, int n)
{
    __m128i bytes = _mm_maskz_loadu_epi8((__mmask16)((1u << n) - 1), p);
    return (M)_mm_test_epi8_mask(bytes, bytes);
}
VINLINE M m_load(const uint8_t *p) { return m_load_part(p, VLANES); }
VINLINE void m_store_part(uint8_t *p, M m, int n)
{
    _mm_mask_storeu_epi8(p, (__mmask16)((1u << n) - 1), _mm_maskz_set1_epi8((__mmask16)m, 1));
}
VINLINE void m_store(uint8_t *p, M m) { m_store_part(p, m, VLANES); }
#endif
#else
/* ---- other instruction sets: masks are lanes --------------------------------------------------------------------- */
typedef I M;
typedef int8_t B __attribute__((vector_size(VLANES))); /* a byte a lane */

VINLINE M m_not(M m) { return ~m; }
#if WG__T || defined WG__I32
VINLINE M v_lt(V a, V b) { return (M)(a < b); }
VINLINE M v_le(V a, V b) { return (M)(a <= b); }
VINLINE M v_eq(V a, V b) { return (M)(a == b); }
VINLINE M v_ne(V a, V b) { return (M)(a != b); }
#endif
#if defined __AVX2__ && WG__T == 32
typedef __m256 W;
#define MM(name, after) _mm256_##name##_ps##after
#elif defined __AVX2__ && WG__T == 64
typedef __m256d W;
#define MM(name, after) _mm256_##name##_pd##after
#endif
#ifdef MM
VINLINE V v_select(M m, V a, V b) { return (V)MM(blendv, )((W)b, (W)a, (W)m); }
#else
VINLINE V v_select(M m, V a, V b) { return (V)((m & (I)a) | (~m & (I)b)); }
#endif

#if defined __AVX2__ && (WG__T == 32 || defined WG__I32)
VINLINE __m256i first_lanes(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
VINLINE V v_load_part(const real *p, int n) { return (V)_mm256_maskload_epi32((const int *)p, first_lanes(n)); }
VINLINE void v_store_part(real *p, V v, int n) { _mm256_maskstore_epi32((int *)p, first_lanes(n), (__m256i)v); }
#elif defined __AVX2__ && WG__T == 64
VINLINE __m256i first_lanes(int n)
{
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
VINLINE V v_load_part(const real *p, int n) { return (V)_mm256_maskload_pd(p, first_lanes(n)); }
VINLINE void v_store_part(real *p, V v, int n) { _mm256_maskstore_pd(p, first_lanes(n), (__m256d)v); }
#else
VINLINE V v_load_part(const real *p, int n)
{
    V v = {0};
    for (int i = 0; i < n; i++) v[i] = p[i];
    return v;
}

VINLINE void v_store_part(real *p, V v, int n)
{
    for (int i = 0; i < n; i++) p[i] = v[i];
}
#endif

#if defined __AVX2__ && (WG__T || defined WG__I32)
VINLINE M m_load(const uint8_t *p)
{
    uint64_t bytes = 0;
    memcpy(&bytes, p, VLANES);
    __m128i low = _mm_cvtsi64_si128((int64_t)bytes);
#if WG__T == 64
    return (M)_mm256_cmpgt_epi64(_mm256_cvtepu8_epi64(low), _mm256_setzero_si256());
#else
    return (M)_mm256_cmpgt_epi32(_mm256_cvtepu8_epi32(low), _mm256_setzero_si256());
#endif
}

VINLINE void m_store(uint8_t *p, M m)
{
    __m128i low = _mm256_castsi256_si128((__m256i)m), high = _mm256_extracti128_si256((__m256i)m, 1);
#if WG__T == 64 /* the even halves of the lanes */
    low = _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(low), _mm_castsi128_ps(high), 0x88));
#endif
    __m128i bytes = _mm_packs_epi16(_mm_packs_epi32(low, high), _mm_setzero_si128());
    bytes = _mm_and_si128(bytes, _mm_set1_epi8(1));
    memcpy(p, &bytes, VLANES);
}
#else
VINLINE M m_load(const uint8_t *p)
{
    B bytes;
    memcpy(&bytes, p, sizeof bytes);
    return (M)(__builtin_convertvector(bytes, I) != 0);
}

VINLINE void m_store(uint8_t *p, M m)
{
    B bytes = __builtin_convertvector(-m, B);
    memcpy(p, &bytes, sizeof bytes);
}
#endif

VINLINE M m_load_part(const uint8_t *p, int n)
{
    uint8_t bytes[VLANES] = {0};
    for (int i = 0; i < n; i++) bytes[i] = p[i];
    return m_load(bytes);
}

VINLINE void m_store_part(uint8_t *p, M m, int n)
{
    for (int i = 0; i < n; i++) p[i] = m[i] != 0;
}
#endif

/* ---- derived operations --------------------------------------------------------------------------------- */
#if WG__T || defined WG__I32
VINLINE M v_gt(V a, V b) { return v_lt(b, a); }
VINLINE M v_ge(V a, V b) { return v_le(b, a); }
#endif

#if WG__T
#ifdef MM
VINLINE V v_fma(V a, V b, V c) { return (V)MM(fmadd, )((W)a, (W)b, (W)c); }
VINLINE V v_sqrt(V x) { return (V)MM(sqrt, )((W)x); }
#ifdef __AVX512F__
VINLINE V v_floor(V x) { return (V)MM(roundscale, )((W)x, 1); }
#else
VINLINE V v_floor(V x) { return (V)MM(floor, )((W)x); }
#endif
#else
VINLINE V v_fma(V a, V b, V c) { return a * b + c; }

VINLINE V v_sqrt(V x)
{
#if defined __SSE2__ && WG__T == 32
    return (V)_mm_sqrt_ps((__m128)x);
#elif defined __SSE2__
    return (V)_mm_sqrt_pd((__m128d)x);
#else
    V y;
    for (int i = 0; i < VLANES; i++) y[i] = (real)__builtin_sqrt(x[i]);
    return y;
#endif
}

/* Adding 2^23 (2^52) rounds a smaller number to an integer; larger numbers are integers. */
VINLINE V v_floor(V x)
{
    I sign = (I)x & (I)v_set(-R(0));
    V size = (V)((I)x & ~(I)v_set(-R(0))), big = v_set(WG__T == 32 ? R(0x1p23) : R(0x1p52));
    V whole = (V)((I)((size + big) - big) | sign);
    whole = (V)((I)(whole - v_select(v_gt(whole, x), v_set(1), v_set(0))) | sign);
    return v_select(v_lt(size, big), whole, x);
}
#endif

VINLINE V v_abs(V x) { return (V)((I)x & ~(I)v_set(-R(0))); }

/* min(max(x, low), high); NaN stays NaN. */
VINLINE V v_clamp(V x, real low, real high)
{
#if defined __AVX512F__ && WG__T == 32 /* these return the second operand if either is NaN */
    return (V)_mm512_max_ps((__m512)v_set(low), _mm512_min_ps((__m512)v_set(high), (__m512)x));
#elif defined __AVX2__ && WG__T == 32
    return (V)_mm256_max_ps((__m256)v_set(low), _mm256_min_ps((__m256)v_set(high), (__m256)x));
#elif defined __SSE2__ && WG__T == 32
    return (V)_mm_max_ps((__m128)v_set(low), _mm_min_ps((__m128)v_set(high), (__m128)x));
#else
    x = v_select(v_lt(x, v_set(low)), v_set(low), x);
    return v_select(v_gt(x, v_set(high)), v_set(high), x);
#endif
}

/* NaN if either is. */
VINLINE V v_max(V a, V b) { return v_select(v_gt(a, b) | v_ne(a, a), a, b); }
VINLINE V v_min(V a, V b) { return v_select(v_lt(a, b) | v_ne(a, a), a, b); }
#elif defined WG__I32
VINLINE V v_abs(V x) { return v_select(v_lt(x, v_set(0)), -x, x); }
VINLINE V v_max(V a, V b) { return v_select(v_gt(a, b), a, b); }
VINLINE V v_min(V a, V b) { return v_select(v_lt(a, b), a, b); }
#endif

#endif
