/* Internal. Pairs of numbers rounded to bf16. For files compiled with WG__ISA and WG__BF16. */
#ifndef WG_GEMM_PAIR_H
#define WG_GEMM_PAIR_H

#include <string.h>

#include "../base/integers.h"
#include "tile.h"

/* The first n elements, or all; zeros past them. */
static inline vector load_some(const real *from, int64_t n)
{
#if defined __AVX512F__
    return (vector)_mm512_maskz_loadu_ps(_cvtu32_mask16((uint32_t)((1ull << min64(n, LANES)) - 1)), from);
#else
    real some[LANES] = {0};
    memcpy(some, from, (size_t)min64(n, LANES) * sizeof *some);
    return load(some);
#endif
}

/* Rounded to nearest even; denormals to zero, NaN quiet: vcvtneps2bf16. In the upper half of each lane; the lower half
 * is zero. */
static inline bits rounded(vector v)
{
    const bits b = (bits)v;
    const bits tiny = (bits)((b & 0x7f800000u) == 0), nan = (bits)((b & 0x7fffffffu) > 0x7f800000u);
    const bits number = b + 0x7fffu + ((b >> 16) & 1);
    return ((nan & (b | 0x00400000u)) | (~nan & number)) & (~tiny | 0x80000000u) & 0xffff0000u;
}

static inline halves halves_of(vector v)
{
#if defined __AVX512BF16__
    return (halves)_mm512_cvtneps_pbh((__m512)v);
#else
    return __builtin_convertvector(rounded(v) >> 16, halves);
#endif
}

/* Two steps of LANES lines as pairs. */
static inline vector paired(vector first, vector second)
{
#if defined __AVX512BF16__
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22,
                                           6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return (vector)_mm512_permutexvar_epi16(order, both);
#else
    return (vector)(rounded(second) | rounded(first) >> 16);
#endif
}

/* Consecutive numbers of a line, in two vectors, as pairs. */
static inline vector pairs_along(vector low, vector high)
{
#if defined __AVX512BF16__
    return (vector)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
#else
#define EVEN(s, j) (2 * (j))
#define ODD(s, j)  (2 * (j) + 1)
    const vector first = __builtin_shufflevector(low, high, LIST(EVEN, 0));
    return paired(first, __builtin_shufflevector(low, high, LIST(ODD, 0)));
#endif
}

#if defined WG__AMX
/* Adds the products of a group to the tile registers 0 to 3: of lines a, and with rows_2 those of a_2, with columns b,
 * and with cols_2 those of b_2; the strides of lines in bytes. */
static inline __attribute__((always_inline)) void add_products(bool rows_2, bool cols_2, const void *a,
                                                               const void *a_2, size_t a_bytes, const void *b,
                                                               const void *b_2, size_t b_bytes)
{
    _tile_loadd(4, a, a_bytes);
    _tile_loadd(6, b, b_bytes);
    _tile_dpbf16ps(0, 4, 6);
    if (cols_2) {
        _tile_loadd(7, b_2, b_bytes);
        _tile_dpbf16ps(1, 4, 7);
    }
    if (rows_2) {
        _tile_loadd(5, a_2, a_bytes);
        _tile_dpbf16ps(2, 5, 6);
    }
    if (rows_2 && cols_2) _tile_dpbf16ps(3, 5, 7);
}
#endif

/* A vector of sums, added up as a tile's are. */
typedef struct sums {
    vector total;
#if defined WG__AMX
    vector first, second; /* of the group */
#endif
} sums;

static inline __attribute__((always_inline)) void add_step(sums *s, vector x, vector b)
{
#if defined WG__AMX
    s->first = VECTOR_FMA((vector)((bits)x << 16), (vector)((bits)b << 16), s->first);
    s->second = VECTOR_FMA((vector)((bits)x & 0xffff0000u), (vector)((bits)b & 0xffff0000u), s->second);
#else
    s->total = multiply_add(x, b, s->total);
#endif
}

/* A group that is not full is filled up by zeros, as a panel's last one is: they turn -0 into 0. */
static inline __attribute__((always_inline)) void end_group(sums *s, bool full)
{
#if defined WG__AMX
    if (!full) s->first += (vector){0}, s->second += (vector){0};
    s->total += s->first + s->second;
    s->first = s->second = (vector){0};
#else
    (void)s, (void)full;
#endif
}

#endif
