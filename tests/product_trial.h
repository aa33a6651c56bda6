/* Random products: sizes, strides, segments, batches, operands of f32, f64 or bf16 that end at the end of readable
 * memory; and the run of one by given kernels, tasks in any order. */
#ifndef WG_TEST_PRODUCT_TRIAL_H
#define WG_TEST_PRODUCT_TRIAL_H

#include "ops/kernels/gemm/gemm.h"
#include "autograd/base/fp.h"
#include "autograd/base/isa.h"
#include "ops/kernels/base/integers.h"

#include "check.h"
#include "guarded.h"
#include "random.h"

enum { MAX_SEGMENTS = 64, FEW_SEGMENTS = 5, MAX_BATCHES = 40 };

static inline double real_value(void) { return (double)(random_bits() >> 11) / (double)(1ull << 52) - 1; }

static inline uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static inline float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static inline uint16_t upper_half(float x) { return (uint16_t)(bits_of(x) >> 16); }
static inline float f32_of(uint16_t half) { return float_of((uint32_t)half << 16); }

/* Rounded to bf16, to nearest even. */
static inline double bf16_of(double x)
{
    const uint32_t bits = bits_of((float)x);
    return (double)f32_of((uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16));
}

/* ---- matrices with any strides ---- */

typedef struct matrix {
    guarded memory;
    int64_t rows, cols, rs, cs, count, batch; /* count: elements in memory; batch: between problems */
    bool half;                                /* of bf16 */
} matrix;

static inline size_t size_of(wg_dtype t) { return t == WG_F32 ? 4 : 8; }
static inline double get(wg_dtype t, const void *p, int64_t i)
{
    return t == WG_F32 ? (double)((const float *)p)[i] : ((const double *)p)[i];
}
static inline void set(wg_dtype t, void *p, int64_t i, double v)
{
    if (t == WG_F32)
        ((float *)p)[i] = (float)v;
    else
        ((double *)p)[i] = v;
}

enum { DENSE, TRANSPOSED, PADDED, PADDED_TRANSPOSED, BOTH_STRIDES, BROADCAST_ROWS, BROADCAST_COLS, LAYOUTS };

static inline matrix matrix_new(wg_dtype t, int64_t rows, int64_t cols, int layout, int64_t batches)
{
    matrix m = {.rows = rows, .cols = cols};
    int64_t pad = 1 + below(20);
    switch (layout) {
    case DENSE: m.rs = cols, m.cs = 1; break;
    case TRANSPOSED: m.rs = 1, m.cs = rows; break;
    case PADDED: m.rs = cols + pad, m.cs = 1; break;
    case PADDED_TRANSPOSED: m.rs = 1, m.cs = rows + pad; break;
    case BOTH_STRIDES: m.cs = 2, m.rs = 2 * cols + pad; break;
    case BROADCAST_ROWS: m.rs = 0, m.cs = 1; break;
    default: m.rs = 1, m.cs = 0; break;
    }
    int64_t one = rows && cols ? (rows - 1) * m.rs + (cols - 1) * m.cs + 1 : 0;
    m.batch = one;
    m.count = one * batches;
    m.memory = guarded_new((size_t)m.count * size_of(t));
    for (int64_t i = 0; i < m.count; i++) set(t, m.memory.data, i, real_value());
    return m;
}

/* Stores the numbers as bf16. */
static inline void halve(matrix *m)
{
    guarded memory = guarded_new((size_t)m->count * 2);
    for (int64_t i = 0; i < m->count; i++)
        ((uint16_t *)memory.data)[i] = upper_half((float)bf16_of((double)((float *)m->memory.data)[i]));
    guarded_free(&m->memory);
    m->memory = memory;
    m->half = true;
}

/* ---- one random product ---- */

typedef struct trial {
    wg__product p;
    wg__segment segments[MAX_SEGMENTS];
    matrix a[MAX_SEGMENTS], b[MAX_SEGMENTS], c;
    int64_t offset_a[MAX_SEGMENTS * MAX_BATCHES], offset_b[MAX_SEGMENTS * MAX_BATCHES];
    void *expected; /* as C's memory */
    double *bound;  /* sum of the magnitudes, for the tolerance */
} trial;

static inline int64_t random_size(bool large)
{
    static const int64_t sizes[] = {0, 1, 1, 2, 3, 5, 7, 8, 12, 13, 15, 16, 17, 31, 32, 33, 50, 64, 65, 100};
    if (large && below(6) == 0) return 200 + below(900);
    return below(2) ? sizes[below((int64_t)(sizeof(sizes) / sizeof(*sizes)))] : below(140);
}

/* Offsets of the problems in any order, with repeats: per segment, or shared by all segments. */
static inline void choose_offsets(trial *t)
{
    wg__product *p = &t->p;
    p->batch_a = t->offset_a;
    p->batch_b = t->offset_b;
    p->batch_step = below(3) ? p->batches : 0;
    for (int s = 0; s < p->n_segments; s++)
        for (int64_t i = 0; i < p->batches; i++) {
            int64_t at = s * p->batch_step + i, a = below(p->batches) * t->a[s].batch,
                    b = below(p->batches) * t->b[s].batch;
            bool least = s > 0 && !p->batch_step; /* within the memory of all segments */
            t->offset_a[at] = least && t->offset_a[at] < a ? t->offset_a[at] : a;
            t->offset_b[at] = least && t->offset_b[at] < b ? t->offset_b[at] : b;
        }
}

static inline void trial_new(trial *t)
{
    memset(t, 0, sizeof(*t));
    wg__product *p = &t->p;
    p->dtype = below(3) ? WG_F32 : WG_F64;
    p->bf16 = p->dtype == WG_F32 && below(2);
    p->batches = below(4) ? 1 : below(MAX_BATCHES + 1);
    bool large = p->batches == 1;
    p->m = random_size(large);
    p->n = random_size(large);
    p->n_segments = below(3) == 0 ? 1 + (int)below(large ? MAX_SEGMENTS : FEW_SEGMENTS) : 1;
    p->accumulate = below(2);
    p->segments = t->segments;
    int64_t same = random_size(false), layout_a = below(LAYOUTS), layout_b = below(LAYOUTS);
    for (int s = 0; s < p->n_segments; s++) {
        int64_t k = p->n_segments == 1 ? random_size(large || below(8) == 0) : below(4) ? same : random_size(false);
        t->a[s] = matrix_new(p->dtype, p->m, k, (int)(below(8) ? layout_a : below(LAYOUTS)), p->batches);
        t->b[s] = matrix_new(p->dtype, k, p->n, (int)(below(8) ? layout_b : below(LAYOUTS)), p->batches);
        if (p->dtype == WG_F32 && below(3) == 0) halve(&t->a[s]);
        if (p->dtype == WG_F32 && below(3) == 0) halve(&t->b[s]);
        t->segments[s] = (wg__segment){.a = t->a[s].memory.data,
                                       .a_bf16 = t->a[s].half,
                                       .b_bf16 = t->b[s].half,
                                       .b = t->b[s].memory.data,
                                       .k = k,
                                       .a_rs = t->a[s].rs,
                                       .a_cs = t->a[s].cs,
                                       .b_rs = t->b[s].rs,
                                       .b_cs = t->b[s].cs};
    }
    if (p->batches != 1) choose_offsets(t);
    t->c = matrix_new(p->dtype, p->m, p->n, (int)below(BROADCAST_ROWS), p->batches);
    p->c = t->c.memory.data;
    p->c_rs = t->c.rs;
    p->c_cs = t->c.cs;
    p->batch_c = t->c.batch;
    if (!p->accumulate && below(4) == 0) /* the old contents of C must not matter */
        for (int64_t i = 0; i < t->c.count; i++) set(p->dtype, p->c, i, (double)NAN);
}

static inline void trial_free(trial *t)
{
    for (int s = 0; s < t->p.n_segments; s++) guarded_free(&t->a[s].memory), guarded_free(&t->b[s].memory);
    guarded_free(&t->c.memory);
    free(t->expected);
    free(t->bound);
}

static inline void run_shuffled(const wg__product_kernels *k, const wg__product *p)
{
    int64_t n = k->tasks(p);
    size_t bytes = aligned_bytes(k->scratch(p));
    guarded scratch = guarded_new(bytes);
    int64_t *order = malloc((size_t)(n + 1) * sizeof(*order));
    for (int64_t i = 0; i < n; i++) {
        int64_t j = below(i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    const wg__fp caller = wg__fp_begin();
    for (int64_t i = 0; i < n; i++) {
        memset(scratch.data, 0xff, bytes); /* NaN */
        k->run(p, order[i], scratch.data);
    }
    wg__fp_end(&caller);
    free(order);
    guarded_free(&scratch);
}

static inline guarded pack_shuffled(const wg__product_kernels *k, const wg__product *p)
{
    guarded packed = guarded_new(aligned_bytes(k->packed_bytes(p)));
    memset(packed.data, 0xff, packed.bytes);
    int64_t n = k->pack_tasks(p);
    const wg__fp caller = wg__fp_begin();
    for (int64_t i = n - 1; i >= 0; i--) k->pack(p, packed.data, i);
    wg__fp_end(&caller);
    return packed;
}

#endif
