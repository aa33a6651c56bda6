/* Products by a matrix that is packed in 8 bits: B[p,j] = s[j] q[p,j], where s[j] is the largest magnitude of column j
 * divided by 127, and q is rounded to nearest, ties to even. A row of A is taken in 16 bits in the same way, A[i,p] =
 * r[i] x[i,p], r[i] the largest magnitude divided by 32767: 256 times finer than q. Then C[i,j] = r[i] s[j] times the
 * sum over p of x[i,p] q[p,j]: whole numbers, exact over BLOCK steps in 32 bits, so that every instruction set and
 * every cut gives the same bits. Reading q takes a quarter of the time of reading B, which is what bounds products of
 * few rows. Compiled per variant, for f32. */
#include "tile.h"

#include <math.h>
#include <string.h>

#include "../base/integers.h"

enum {
    WIDE = 64,   /* columns of a panel: pairs of steps are two cache lines */
    BLOCK = 512, /* steps */
    ROWS = 4,    /* of a tile of VECTORS vectors of columns */
    VECTORS = 4,
    MOST_ROWS = 16 * ROWS /* that a task holds in 16 bits */
};
_Static_assert(INT64_C(1) * BLOCK * 127 * 32767 <= INT32_MAX, "the sum of a block fits 32 bits");

typedef struct panel {
    float scale[WIDE];
    int8_t q[][WIDE][2]; /* [pairs of steps]; a last odd step is paired with zeros */
} panel;

static int64_t pairs_of(const wg__product *p) { return ceil_div(p->segments[0].k, 2); }
static size_t panel_bytes(const wg__product *p) { return sizeof(panel) + (size_t)pairs_of(p) * WIDE * 2; }
static int64_t panels_of(const wg__product *p) { return ceil_div(p->n, WIDE); }

/* ---- rounding ------------------------------------------------------------------------------------------------ */

/* The bits of a number of f32, or of one that is stored in bf16. */
static inline __attribute__((always_inline)) uint32_t bits_at(const void *x, bool half, int64_t at)
{
    uint32_t number;
    if (half) return (uint32_t)((const uint16_t *)x)[at] << 16;
    return memcpy(&number, (const float *)x + at, sizeof number), number;
}

static inline __attribute__((always_inline)) float number_at(const void *x, bool half, int64_t at)
{
    const uint32_t from = bits_at(x, half, at);
    float number;
    return memcpy(&number, &from, sizeof number), number;
}

/* Element `at` of an operand. */
static const void *element_at(const void *x, bool half, int64_t at)
{
    return (const char *)x + at * (half ? 2 : 4);
}

/* The magnitude of k numbers divided by `most`; NaN if one is infinite or NaN; 0 if that vanishes. */
static inline __attribute__((always_inline)) float scale_of(int64_t k, const void *x, bool half, int64_t stride,
                                                            float most)
{
    uint32_t largest = 0; /* bits of magnitudes have the order of the magnitudes, infinity and NaN above them */
    for (int64_t p = 0; p < k; p++) {
        const uint32_t size = bits_at(x, half, p * stride) & 0x7fffffffu;
        largest = size > largest ? size : largest;
    }
    float magnitude;
    memcpy(&magnitude, &largest, sizeof magnitude);
    return largest >= 0x7f800000u ? NAN : magnitude / most;
}

/* x / scale, rounded to nearest; 0 if the scale is 0 or NaN. */
static inline int32_t rounded(float x, float scale) { return scale > 0 ? (int32_t)nearbyintf(x / scale) : 0; }

/* A row in 16 bits; an odd one ends with a zero. Returns its scale. */
static inline __attribute__((always_inline)) float round_row(int64_t k, const void *x, bool half, int64_t stride,
                                                             int16_t *to)
{
    const float scale = scale_of(k, x, half, stride, 32767);
    for (int64_t p = 0; p < k; p++) to[p] = (int16_t)rounded(number_at(x, half, p * stride), scale);
    if (k % 2) to[k] = 0;
    return scale;
}

/* ---- packing ------------------------------------------------------------------------------------------------- */

static bool wants_packed(const wg__product *p)
{
    return (p->batches == 1 || p->shared_b) && p->n_segments == 1 && !p->accumulate && !p->window &&
           p->n >= WIDE / 4 && p->segments[0].k >= 8;
}

static size_t packed_bytes(const wg__product *p) { return (size_t)panels_of(p) * panel_bytes(p); }
static int64_t pack_tasks(const wg__product *p) { return panels_of(p); }

static void pack(const wg__product *p, void *packed, int64_t task)
{
    const wg__segment *s = &p->segments[0];
    panel *to = (panel *)(void *)((char *)packed + (size_t)task * panel_bytes(p));
    memset(to, 0, panel_bytes(p));
    for (int64_t j = 0; j < min64(WIDE, p->n - task * WIDE); j++) {
        const void *b = element_at(s->b, s->b_bf16, (task * WIDE + j) * s->b_cs);
        const float scale = to->scale[j] = scale_of(s->k, b, s->b_bf16, s->b_rs, 127);
        for (int64_t row = 0; row < s->k; row++)
            to->q[row / 2][j][row % 2] = (int8_t)rounded(number_at(b, s->b_bf16, row * s->b_rs), scale);
    }
}

/* ---- products ------------------------------------------------------------------------------------------------ */

typedef int32_t integers __attribute__((vector_size(VECTOR_BYTES)));

/* The pairs of LANES columns, in 16 bits. By name, since gcc 12 converts vectors of bytes one by one. */
static inline integers widened(const int8_t *q)
{
#if defined __AVX512F__
    return (integers)_mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)q));
#elif defined __AVX2__
    return (integers)_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)q));
#else
    int16_t pairs[2 * LANES];
    for (int i = 0; i < 2 * LANES; i++) pairs[i] = q[i];
    integers v;
    return memcpy(&v, pairs, sizeof v), v;
#endif
}

/* sum + x0 q0 + x1 q1, of 16 bits each. */
static inline integers add_pairs(integers sum, integers x, integers q)
{
#if defined __AVX512F__
    return sum + (integers)_mm512_madd_epi16((__m512i)x, (__m512i)q);
#elif defined __AVX2__
    return sum + (integers)_mm256_madd_epi16((__m256i)x, (__m256i)q);
#else
    typedef uint32_t wholes __attribute__((vector_size(VECTOR_BYTES)));
    const integers x0 = (integers)((wholes)x << 16) >> 16, q0 = (integers)((wholes)q << 16) >> 16;
    return sum + x0 * q0 + (x >> 16) * (q >> 16);
#endif
}

/* Rows of A in 16 bits, and their scales. */
typedef struct row_block {
    const int16_t *x;
    int64_t stride;
    const float *scale;
} row_block;

/* C of one problem: its first row and the strides. */
typedef struct result {
    float *c;
    int64_t rs, cs;
} result;

/* `rows` rows of C by VECTORS vectors of columns, of which `columns` exist. */
static inline __attribute__((always_inline)) void tile(int rows, int64_t pairs, row_block a, const int8_t *q,
                                                       const float *scale, int64_t columns, result to)
{
    vector sum[ROWS][VECTORS];
    UNROLL
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < VECTORS; v++) sum[i][v] = (vector){0};
    for (int64_t first = 0; first < pairs; first += BLOCK / 2) {
        integers whole[ROWS][VECTORS];
        UNROLL
        for (int i = 0; i < rows; i++)
            for (int v = 0; v < VECTORS; v++) whole[i][v] = (integers){0};
        for (int64_t p = first; p < min64(pairs, first + BLOCK / 2); p++, q += 2 * WIDE) {
            integers b[VECTORS];
            UNROLL
            for (int v = 0; v < VECTORS; v++) b[v] = widened(q + 2 * v * LANES);
            UNROLL
            for (int i = 0; i < rows; i++) {
                int32_t pair;
                memcpy(&pair, a.x + i * a.stride + 2 * p, sizeof pair);
                const integers x = pair - (integers){0};
                UNROLL
                for (int v = 0; v < VECTORS; v++) whole[i][v] = add_pairs(whole[i][v], x, b[v]);
            }
        }
        UNROLL
        for (int i = 0; i < rows; i++)
            for (int v = 0; v < VECTORS; v++) sum[i][v] += __builtin_convertvector(whole[i][v], vector);
    }
    float copy[VECTORS * LANES];
    for (int i = 0; i < rows; i++) {
        for (int v = 0; v < VECTORS; v++) store(copy + v * LANES, sum[i][v]);
        for (int64_t j = 0; j < columns; j++) /* in f64, where a product of two of the three is a number */
            to.c[i * to.rs + j * to.cs] = (float)((double)copy[j] * a.scale[i] * scale[j]);
    }
}

static void run_rows(int64_t rows, int64_t pairs, row_block a, const int8_t *q, const float *scale, int64_t columns,
                     result to)
{
    switch (rows) {
    case 1: tile(1, pairs, a, q, scale, columns, to); break;
    case 2: tile(2, pairs, a, q, scale, columns, to); break;
    case 3: tile(3, pairs, a, q, scale, columns, to); break;
    default: tile(ROWS, pairs, a, q, scale, columns, to);
    }
}

/* Rows of C by the columns of a panel. */
static void run_panel(const wg__product *p, int64_t rows, row_block a, int64_t index, result to)
{
    const panel *from = (const panel *)(const void *)((const char *)p->packed_b + (size_t)index * panel_bytes(p));
    const int64_t columns = min64(p->n - index * WIDE, WIDE);
    to.c += index * WIDE * to.cs;
    for (int64_t i = 0; i < rows; i += ROWS)
        for (int64_t j = 0; j < columns; j += VECTORS * LANES)
            run_rows(min64(ROWS, rows - i), pairs_of(p), (row_block){a.x + i * a.stride, a.stride, a.scale + i},
                     from->q[0][j], from->scale + j, min64(columns - j, VECTORS * LANES),
                     (result){to.c + i * to.rs + j * to.cs, to.rs, to.cs});
}

static int64_t row_stride(const wg__product *p) { return round_up(p->segments[0].k, 2); }

/* In 16 bits, MOST_ROWS rows at most. */
static void round_rows(const wg__product *p, const void *a, int64_t rows, int16_t *x, float *scale)
{
    const wg__segment *s = &p->segments[0];
    for (int64_t i = 0; i < rows; i++, a = element_at(a, s->a_bf16, s->a_rs), x += row_stride(p))
        scale[i] = s->a_bf16      ? round_row(s->k, a, true, s->a_cs, x)
                   : s->a_cs == 1 ? round_row(s->k, a, false, 1, x)
                                  : round_row(s->k, a, false, s->a_cs, x);
}

static void run_problem(const wg__product *p, int64_t batch, int64_t first, int64_t last, int16_t *x)
{
    const wg__segment *s = &p->segments[0];
    const void *a = p->each_a ? p->each_a[batch] : s->a;
    if (!p->each_a && p->batch_a) a = element_at(a, s->a_bf16, p->batch_a[batch]);
    float *c = p->each_c ? p->each_c[batch] : (float *)p->c + batch * p->batch_c;
    float scale[MOST_ROWS];
    for (int64_t i = 0; i < p->m; i += MOST_ROWS) {
        const int64_t rows = min64(MOST_ROWS, p->m - i);
        round_rows(p, element_at(a, s->a_bf16, i * s->a_rs), rows, x, scale);
        for (int64_t index = first; index < last; index++)
            run_panel(p, rows, (row_block){x, row_stride(p), scale}, index,
                      (result){c + i * p->c_rs, p->c_rs, p->c_cs});
    }
}

/* ---- the interface: wg__product_kernels ---------------------------------------------------------------------- */

/* Panels of a task: it reads at least 64 KiB, once for every eight rows. */
static int64_t panels_of_task(const wg__product *p)
{
    enum { MOST_TASKS = 32, LEAST_BYTES = 1 << 16 };
    const int64_t times = ceil_div(p->m * p->batches, 8), bytes = panels_of(p) * (int64_t)panel_bytes(p);
    const int64_t tasks = p->one_task ? 1 : min64(MOST_TASKS, 1 + bytes * times / LEAST_BYTES);
    return ceil_div(panels_of(p), tasks);
}

static int64_t tasks(const wg__product *p) { return ceil_div(panels_of(p), panels_of_task(p)); }

static size_t scratch(const wg__product *p)
{
    return (size_t)(min64(p->m, MOST_ROWS) * row_stride(p)) * sizeof(int16_t);
}

static void run(const wg__product *p, int64_t task, void *memory)
{
    const int64_t each = panels_of_task(p), first = task * each, last = min64(panels_of(p), first + each);
    for (int64_t batch = 0; batch < p->batches; batch++) run_problem(p, batch, first, last, memory);
}

const wg__product_kernels WG__K(product_int8) = {tasks,        scratch,    NULL, run, wants_packed,
                                                 packed_bytes, pack_tasks, pack, NULL};
