/* Internal. The register tile, its vectors, and packing. For files compiled with WG__ISA. */
#ifndef WG_GEMM_TILE_H
#define WG_GEMM_TILE_H

#include "lines.h"
#include "../../../autograd/base/bf16.h"
#include "../base/kernel.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

/* Unrolls a loop of few steps, known at compile time, so that its arrays are kept in registers. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* The size of a vector register, and the most rows of a tile of two vectors whose sums fit the registers. */
#if defined WG__AMX
enum { VECTOR_BYTES = 64, TILE_ROWS = 32 };
#elif defined __AVX512F__
enum { VECTOR_BYTES = 64, TILE_ROWS = 14 };
#define EACH_ROWS(f) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13) f(14)
#elif defined __AVX2__
enum { VECTOR_BYTES = 32, TILE_ROWS = 6 };
#define EACH_ROWS(f) f(1) f(2) f(3) f(4) f(5) f(6)
#else
enum { VECTOR_BYTES = 16, TILE_ROWS = 6 };
#define EACH_ROWS(f) f(1) f(2) f(3) f(4) f(5) f(6)
#endif
enum { LANES = VECTOR_BYTES / (int)sizeof(real), TILE_COLS = 2 * LANES };
typedef real vector __attribute__((vector_size(VECTOR_BYTES)));
typedef real unaligned_vector __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));

static inline vector load(const real *from) { return *(const unaligned_vector *)from; }
static inline void store(real *to, vector v) { *(unaligned_vector *)to = v; }

#if WG__T == 32
typedef uint32_t bits __attribute__((vector_size(VECTOR_BYTES)));
typedef uint16_t halves __attribute__((vector_size(VECTOR_BYTES / 2), aligned(2), may_alias));

/* LANES numbers in bf16, each in the lower half of a lane. */
static inline bits load_halves(const uint16_t *from)
{
    return __builtin_convertvector(*(const halves *)from, bits);
}
#endif

/* Numbers of a line that one element of a panel holds. In the variant bf16 it is a pair of bf16 in the bits of a float:
 * two consecutive numbers of a line, rounded, the first one in the lower half; an odd line ends with a zero. */
#ifdef WG__BF16
enum { STEP = 2 };
#else
enum { STEP = 1 };
#endif

/* The steps of k that are added to a tile's sum at once. The steps of a product are rounded up to whole groups, by
 * zeros in the panels. AMX adds the products of the first and of the second numbers of 16 pairs, each from zero on, and
 * then the sum of both to the tile's; and it reads 16 steps of a row as one line: row panels are turned
 * (WG__K(turn)). */
#if defined WG__AMX
enum { GROUP_STEPS = 16 };
#else
enum { GROUP_STEPS = 1 };
#endif

/* a b + c, rounded once where the machine has fused multiply-add. As intrinsics, since every kernel must give an
 * element the same bits at any optimization level; elsewhere -ffp-contract=fast has the same effect. */
#if defined __AVX512F__ && WG__T == 32
#define SPLAT(x)            ((vector)_mm512_set1_ps(x))
#define VECTOR_FMA(a, b, c) ((vector)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#elif defined __AVX512F__
#define SPLAT(x)            ((vector)_mm512_set1_pd(x))
#define VECTOR_FMA(a, b, c) ((vector)_mm512_fmadd_pd((__m512d)(a), (__m512d)(b), (__m512d)(c)))
#elif defined __AVX2__ && WG__T == 32
#define SPLAT(x)            ((vector)_mm256_set1_ps(x))
#define VECTOR_FMA(a, b, c) ((vector)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#elif defined __AVX2__
#define SPLAT(x)            ((vector)_mm256_set1_pd(x))
#define VECTOR_FMA(a, b, c) ((vector)_mm256_fmadd_pd((__m256d)(a), (__m256d)(b), (__m256d)(c)))
#else
#define SPLAT(x)            ((x) - (vector){0})
#define VECTOR_FMA(a, b, c) ((a) * (b) + (c))
#endif
/* By name, since contraction does not reach a sum that gcc vectorizes in order: it multiplies vectors, then adds. */
#if defined __FMA__ || defined __ARM_FEATURE_FMA
#define HAS_FMA 1
#else
#define HAS_FMA 0
#endif
#if HAS_FMA && WG__T == 32
#define SCALAR_FMA(a, b, c) __builtin_fmaf(a, b, c)
#elif HAS_FMA
#define SCALAR_FMA(a, b, c) __builtin_fma(a, b, c)
#else
#define SCALAR_FMA(a, b, c) ((a) * (b) + (c))
#endif

/* The sum of a tile plus the product of an element of A, in all lanes, and elements of B. */
#ifndef WG__BF16
#define ELEMENT(x) SPLAT(x)
static inline __attribute__((always_inline)) vector multiply_add(vector x, vector b, vector sum)
{
    return VECTOR_FMA(x, b, sum);
}
#else
typedef uint32_t pair_bits __attribute__((may_alias));
#define ELEMENT(x) ((vector)((bits){0} + *(const pair_bits *)&(x)))

/* What vdpbf16ps does, and the same where there is none: sum + x1 b1, then that + x0 b0, each rounded once to nearest,
 * with denormals flushed (the floating-point environment of all kernels). */
static inline __attribute__((always_inline)) vector multiply_add(vector x, vector b, vector sum)
{
#if defined __AVX512BF16__
    return (vector)_mm512_dpbf16_ps((__m512)sum, (__m512bh)x, (__m512bh)b);
#else
    const vector x1 = (vector)((bits)x & 0xffff0000u), x0 = (vector)((bits)x << 16);
    const vector b1 = (vector)((bits)b & 0xffff0000u), b0 = (vector)((bits)b << 16);
#if HAS_FMA
    return VECTOR_FMA(x0, b0, VECTOR_FMA(x1, b1, sum));
#else
    /* in f64 the product is exact, and a sum rounded to f64 and then to f32 is rounded as if once (53 >= 2 * 24 + 2) */
    typedef double wide __attribute__((vector_size(2 * VECTOR_BYTES)));
#define WIDE(v) __builtin_convertvector(v, wide)
    sum = __builtin_convertvector(WIDE(x1) * WIDE(b1) + WIDE(sum), vector);
    return __builtin_convertvector(WIDE(x0) * WIDE(b0) + WIDE(sum), vector);
#undef WIDE
#endif
#endif
}
#endif

/* Index lists for __builtin_shufflevector on two vectors: from every 2 s lanes, LIST(LOW, s) takes the lower s of both,
 * LIST(HIGH, s) the upper s of both. */
#define LOW(s, j)       ((j) & (s) ? LANES + (j) - (s) : (j))
#define HIGH(s, j)      ((j) & (s) ? LANES + (j) : (j) + (s))
#define LIST2(f, s, j)  f(s, j), f(s, (j) + 1)
#define LIST4(f, s, j)  LIST2(f, s, j), LIST2(f, s, (j) + 2)
#define LIST8(f, s, j)  LIST4(f, s, j), LIST4(f, s, (j) + 4)
#define LIST16(f, s, j) LIST8(f, s, j), LIST8(f, s, (j) + 8)
#if defined __AVX512F__ && WG__T == 32
#define LIST(f, s) LIST16(f, s, 0)
#elif defined __AVX512F__ || (defined __AVX2__ && WG__T == 32)
#define LIST(f, s) LIST8(f, s, 0)
#elif defined __AVX2__ || WG__T == 32
#define LIST(f, s) LIST4(f, s, 0)
#else
#define LIST(f, s) LIST2(f, s, 0)
#endif

/* One side of a product: lines (rows of A, columns of B) of k numbers. Those of f32 may be stored in bf16, `half`, so
 * pointers and strides count halves of an f32: the unit is 2 or 1. */
#if WG__T == 32
typedef uint16_t wg__item;
#else
typedef real wg__item;
#endif
typedef struct wg__side {
    const wg__item *data;
    int64_t line, k; /* strides */
    bool half;
} wg__side;

static inline int64_t unit_of(wg__side side) { return WG__T == 32 && !side.half ? 2 : 1; }

/* Lines of reals: a side that is not half, or a row panel of packed elements. */
typedef WG__CAT4(wg__reals_, WG__T, , ) wg__reals;

static inline wg__reals reals_of(wg__side side)
{
    const int64_t unit = unit_of(side);
    return (wg__reals){(const real *)(const void *)side.data, side.line / unit, side.k / unit};
}

/* The number `at` items from a side's first one. */
static inline real wg__real_at(wg__side side, int64_t at)
{
#if WG__T == 32
    if (side.half) return wg__bf16_to_f32(side.data[at]);
#endif
    return *(const real *)(const void *)(side.data + at);
}

/* C[rows,cols] (+)= A B for rows <= TILE_ROWS, cols <= TILE_COLS. Reads b[p * b_k + j] for j < LANES if cols <= LANES,
 * else for j < TILE_COLS. Between start and stop, which set up and release the registers of a thread. */
void WG__K(tile)(int rows, int cols, int64_t k, wg__reals a, const real *b, int64_t b_k, bool add, real *c,
                 int64_t c_rs, int64_t c_cs);

#if defined WG__AMX
void WG__K(start)(void);
void WG__K(stop)(void);
/* Transposes each square of 16 steps and 16 lines of a panel; packs k numbers of lines of unit stride along k so. */
void WG__K(turn)(real *panel, int width, int64_t k);
void WG__K(pack_turned)(real *panel, int width, int lines, int64_t k, wg__side from);
#else
static inline void WG__K(start)(void) {}
static inline void WG__K(stop)(void) {}
#endif

/* Adjacent lines are packed this many steps at a time, into all their panels, and as many steps are prefetched: 83 to
 * 92 GFLOP/s for a weight's gradient of 512x128x350 (docs/performance.md, "Packing fetches the next 16 steps"). */
enum { PACK_STEPS = 16 };

/* Packs steps [0, k) of `lines` lines as panel[p][width], with zeros past the last line. `readable` >= lines lines may
 * be read. May write LANES elements past the panel's end. */
void WG__K(pack_panel)(real *panel, int width, int lines, int64_t readable, int64_t k, wg__side from);
void WG__K(pack_reals)(real *panel, int width, int lines, int64_t readable, int64_t k, wg__reals from);

/* The same for lines seen through a window; past the last line there may be any numbers. May write LANES rows of the
 * panel past its end. */
typedef WG__CAT4(wg__windowed_, WG__T, , ) wg__windowed;
void WG__K(pack_window)(real *panel, int width, int lines, int64_t k, wg__windowed from);

/* y[j] (+)= sum over p of x[p] B[p,j], j < n; B has unit stride along one of its two axes. */
void WG__K(vector_matrix)(int64_t n, int64_t k, const real *x, wg__side b, bool add, real *y, int64_t y_stride);

#ifdef WG__BF16
void WG__K(narrow)(int64_t n, void *y, const void *const *x);
#endif

extern const wg__product_kernels WG__K(product), WG__K(product_int8);

#endif
