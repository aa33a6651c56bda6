/* Products by a matrix that is packed in 8 bits: B[p,j] = scale[j] q[p,j], where scale[j] is the largest magnitude of
 * column j divided by 127, and q rounds to nearest, ties to even. C[i,j] = scale[j] sum over p of A[i,p] q[p,j], in f32,
 * one chain of fused multiply-adds: the bits of a row depend on no other row. Reading q takes a quarter of the time of
 * reading B, which is what bounds products of few rows. Compiled per variant, for f32. */
#include "tile.h"

#include <math.h>

#include "../base/integers.h"

enum { WIDE = 64, ROWS = 4, VECTORS = 4 }; /* columns of a panel, a cache line a step; rows and vectors of a tile */

typedef struct panel {
    float scale[WIDE];
    int8_t q[][WIDE]; /* [k] */
} panel;

static size_t panel_bytes(int64_t k) { return sizeof(panel) + (size_t)k * WIDE; }
static int64_t panels_of(const wg__product *p) { return ceil_div(p->n, WIDE); }

/* ---- packing ------------------------------------------------------------------------------------------------- */

static bool wants_packed(const wg__product *p)
{
    return (p->batches == 1 || p->shared_b) && p->n_segments == 1 && !p->accumulate && !p->window &&
           p->n >= WIDE / 4 && p->segments[0].k >= 8;
}

static size_t packed_bytes(const wg__product *p) { return (size_t)panels_of(p) * panel_bytes(p->segments[0].k); }
static int64_t pack_tasks(const wg__product *p) { return panels_of(p); }

/* A column with an infinity or NaN has NaN as its scale. */
static float scale_of(int64_t k, const float *b, int64_t stride)
{
    float most = 0, finite = 0;
    for (int64_t p = 0; p < k; p++, b += stride) {
        most = fabsf(*b) > most ? fabsf(*b) : most;
        finite += *b - *b;
    }
    return most / 127 + finite;
}

static void pack(const wg__product *p, void *packed, int64_t task)
{
    const wg__segment *s = &p->segments[0];
    panel *to = (panel *)(void *)((char *)packed + (size_t)task * panel_bytes(s->k));
    for (int64_t j = 0; j < WIDE; j++) {
        const int64_t column = task * WIDE + j;
        const float *b = (const float *)s->b + column * s->b_cs;
        const float scale = to->scale[j] = column < p->n ? scale_of(s->k, b, s->b_rs) : 0;
        for (int64_t row = 0; row < s->k; row++) /* 0 and NaN pass no comparison */
            to->q[row][j] = scale > 0 ? (int8_t)lrintf(fminf(fmaxf(b[row * s->b_rs] / scale, -127), 127)) : 0;
    }
}

/* ---- products ------------------------------------------------------------------------------------------------ */

/* By name, since gcc 12 converts vectors of bytes one by one. */
static inline vector widened(const int8_t *q)
{
#if defined __AVX512F__
    return (vector)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)q)));
#elif defined __AVX2__
    return (vector)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)q)));
#else
    vector v;
    for (int i = 0; i < LANES; i++) v[i] = q[i];
    return v;
#endif
}

/* C of one problem: its first row and the strides. */
typedef struct result {
    float *c;
    int64_t rs, cs;
} result;

/* `rows` rows of C by VECTORS vectors of columns, of which `columns` exist. */
static inline __attribute__((always_inline)) void tile(int rows, int64_t k, wg__reals a, const int8_t *q,
                                                       const float *scale, int64_t columns, result to)
{
    vector sum[ROWS][VECTORS];
    UNROLL
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < VECTORS; v++) sum[i][v] = (vector){0};
    for (int64_t p = 0; p < k; p++, q += WIDE) {
        vector b[VECTORS];
        UNROLL
        for (int v = 0; v < VECTORS; v++) b[v] = widened(q + v * LANES);
        UNROLL
        for (int i = 0; i < rows; i++) {
            const vector x = SPLAT(a.data[i * a.line + p * a.k]);
            UNROLL
            for (int v = 0; v < VECTORS; v++) sum[i][v] = VECTOR_FMA(x, b[v], sum[i][v]);
        }
    }
    float copy[VECTORS * LANES];
    for (int i = 0; i < rows; i++) {
        for (int v = 0; v < VECTORS; v++) store(copy + v * LANES, sum[i][v] * load(scale + v * LANES));
        for (int64_t j = 0; j < columns; j++) to.c[i * to.rs + j * to.cs] = copy[j];
    }
}

static void run_rows(int64_t rows, int64_t k, wg__reals a, const int8_t *q, const float *scale, int64_t columns,
                     result to)
{
    switch (rows) {
    case 1: tile(1, k, a, q, scale, columns, to); break;
    case 2: tile(2, k, a, q, scale, columns, to); break;
    case 3: tile(3, k, a, q, scale, columns, to); break;
    default: tile(ROWS, k, a, q, scale, columns, to);
    }
}

static void run_panel(const wg__product *p, int64_t batch, int64_t index)
{
    const wg__segment *s = &p->segments[0];
    const panel *from =
        (const panel *)(const void *)((const char *)p->packed_b + (size_t)index * panel_bytes(s->k));
    const float *a = p->each_a ? p->each_a[batch] : s->a;
    if (!p->each_a && p->batch_a) a += p->batch_a[batch];
    float *c =
        (p->each_c ? (float *)p->each_c[batch] : (float *)p->c + batch * p->batch_c) + index * WIDE * p->c_cs;
    const int64_t columns = min64(p->n - index * WIDE, WIDE);
    for (int64_t i = 0; i < p->m; i += ROWS)
        for (int64_t j = 0; j < columns; j += VECTORS * LANES)
            run_rows(min64(ROWS, p->m - i), s->k, (wg__reals){a + i * s->a_rs, s->a_rs, s->a_cs}, &from->q[0][j],
                     from->scale + j, min64(columns - j, VECTORS * LANES),
                     (result){c + i * p->c_rs + j * p->c_cs, p->c_rs, p->c_cs});
}

/* Panels of a task: it reads at least 128 KiB, once for every eight rows. */
static int64_t panels_of_task(const wg__product *p)
{
    enum { MOST_TASKS = 32, LEAST_BYTES = 1 << 17 };
    const int64_t times = ceil_div(p->m * p->batches, 8), bytes = panels_of(p) * p->segments[0].k * WIDE;
    const int64_t tasks = p->one_task ? 1 : min64(MOST_TASKS, 1 + bytes * times / LEAST_BYTES);
    return ceil_div(panels_of(p), tasks);
}

static int64_t tasks(const wg__product *p) { return ceil_div(panels_of(p), panels_of_task(p)); }
static size_t scratch(const wg__product *p) { return 0; }

static int64_t batches(const wg__product *p, int64_t task, int64_t *last)
{
    *last = p->batches;
    return 0;
}

static void run(const wg__product *p, int64_t task, void *memory)
{
    const int64_t each = panels_of_task(p), last = min64(panels_of(p), (task + 1) * each);
    for (int64_t index = task * each; index < last; index++)
        for (int64_t batch = 0; batch < p->batches; batch++) run_panel(p, batch, index);
}

const wg__product_kernels WG__K(product_int8) = {tasks,        scratch,    batches, run, wants_packed,
                                                 packed_bytes, pack_tasks, pack,    NULL};
