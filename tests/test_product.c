/* The product kernels against a naive product in f64: sizes, strides, segments, batches, operands packed ahead, tasks
 * in any order, and operands that end at the end of readable memory. WENGERT_ISA chooses the kernels. */
#include "ops/kernels/gemm/gemm.h"
#include "autograd/base/fp.h"
#include "autograd/base/isa.h"
#include "ops/kernels/base/integers.h"

#include "check.h"
#include "guarded.h"
#include "random.h"

enum { MAX_SEGMENTS = 64, FEW_SEGMENTS = 5, MAX_BATCHES = 40 };

static double real_value(void) { return (double)(random_bits() >> 11) / (double)(1ull << 52) - 1; }

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static uint16_t upper_half(float x) { return (uint16_t)(bits_of(x) >> 16); }
static float f32_of(uint16_t half) { return float_of((uint32_t)half << 16); }

/* Rounded to bf16, to nearest even. */
static double bf16_of(double x)
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

static size_t size_of(wg_dtype t) { return t == WG_F32 ? 4 : 8; }
static double get(wg_dtype t, const void *p, int64_t i)
{
    return t == WG_F32 ? (double)((const float *)p)[i] : ((const double *)p)[i];
}
static void set(wg_dtype t, void *p, int64_t i, double v)
{
    if (t == WG_F32)
        ((float *)p)[i] = (float)v;
    else
        ((double *)p)[i] = v;
}

enum { DENSE, TRANSPOSED, PADDED, PADDED_TRANSPOSED, BOTH_STRIDES, BROADCAST_ROWS, BROADCAST_COLS, LAYOUTS };

static matrix matrix_new(wg_dtype t, int64_t rows, int64_t cols, int layout, int64_t batches)
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
static void halve(matrix *m)
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

static int64_t random_size(bool large)
{
    static const int64_t sizes[] = {0, 1, 1, 2, 3, 5, 7, 8, 12, 13, 15, 16, 17, 31, 32, 33, 50, 64, 65, 100};
    if (large && below(6) == 0) return 200 + below(900);
    return below(2) ? sizes[below((int64_t)(sizeof(sizes) / sizeof(*sizes)))] : below(140);
}

/* Offsets of the problems in any order, with repeats: per segment, or shared by all segments. */
static void choose_offsets(trial *t)
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

static void trial_new(trial *t)
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
        if (p->bf16 && below(3) == 0) halve(&t->a[s]);
        if (p->bf16 && below(3) == 0) halve(&t->b[s]);
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

static void trial_free(trial *t)
{
    for (int s = 0; s < t->p.n_segments; s++) guarded_free(&t->a[s].memory), guarded_free(&t->b[s].memory);
    guarded_free(&t->c.memory);
    free(t->expected);
    free(t->bound);
}

static void element(const trial *t, int64_t batch, int64_t i, int64_t j, double *sum, double *magnitude)
{
    const wg__product *p = &t->p;
    for (int s = 0; s < p->n_segments; s++)
        for (int64_t q = 0; q < p->segments[s].k; q++) {
            const wg__segment *g = &p->segments[s];
            int64_t at = s * p->batch_step + batch;
            int64_t a = i * g->a_rs + q * g->a_cs + (p->batch_a ? p->batch_a[at] : 0);
            int64_t b = q * g->b_rs + j * g->b_cs + (p->batch_b ? p->batch_b[at] : 0);
            double x = g->a_bf16 ? (double)f32_of(((const uint16_t *)g->a)[a]) : get(p->dtype, g->a, a);
            double y = g->b_bf16 ? (double)f32_of(((const uint16_t *)g->b)[b]) : get(p->dtype, g->b, b);
            double term = p->bf16 ? bf16_of(x) * bf16_of(y) : x * y;
            *sum += term;
            *magnitude += fabs(term);
        }
}

static void expect(trial *t)
{
    const wg__product *p = &t->p;
    size_t bytes = (size_t)t->c.count * size_of(p->dtype);
    t->expected = malloc(bytes + 1);
    t->bound = calloc((size_t)t->c.count + 1, sizeof(double));
    memcpy(t->expected, p->c, bytes);
    for (int64_t batch = 0; batch < p->batches; batch++)
        for (int64_t i = 0; i < p->m; i++)
            for (int64_t j = 0; j < p->n; j++) {
                int64_t at = batch * p->batch_c + i * p->c_rs + j * p->c_cs;
                double sum = p->accumulate ? get(p->dtype, p->c, at) : 0;
                element(t, batch, i, j, &sum, &t->bound[at]);
                set(p->dtype, t->expected, at, sum);
                t->bound[at] += fabs(sum);
            }
}

static void run_shuffled(const wg__product_kernels *k, const wg__product *p)
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

static void check_close(const trial *t, const char *what)
{
    const wg__product *p = &t->p;
    double unit = p->dtype == WG_F32 ? 6e-8 : 1.2e-16, steps = 8;
    for (int s = 0; s < p->n_segments; s++) steps += (double)p->segments[s].k;
    for (int64_t i = 0; i < t->c.count; i++) {
        double got = get(p->dtype, p->c, i), want = get(p->dtype, t->expected, i);
        bool same = t->bound[i] == 0
                        ? memcmp((char *)p->c + (size_t)i * size_of(p->dtype),
                                 (char *)t->expected + (size_t)i * size_of(p->dtype), size_of(p->dtype)) == 0
                        : fabs(got - want) <= steps * unit * t->bound[i];
        if (same) continue;
        FAIL("%s: element %lld: %.17g, not %.17g (bound %g)", what, (long long)i, got, want, t->bound[i]);
        return;
    }
}

static guarded pack_shuffled(const wg__product_kernels *k, const wg__product *p)
{
    guarded packed = guarded_new(aligned_bytes(k->packed_bytes(p)));
    memset(packed.data, 0xff, packed.bytes);
    int64_t n = k->pack_tasks(p);
    const wg__fp caller = wg__fp_begin();
    for (int64_t i = n - 1; i >= 0; i--) k->pack(p, packed.data, i);
    wg__fp_end(&caller);
    return packed;
}

/* All problems with the B of the first, packed ahead or not: the same bits as each problem alone. */
static void try_shared(trial *t, const wg__product_kernels *k, const void *before, size_t bytes)
{
    wg__product one = t->p, all = t->p;
    const void *each_a[MAX_BATCHES];
    void *each_c[MAX_BATCHES], *alone = malloc(bytes + 1);
    size_t size = size_of(one.dtype);
    one.batches = 1;
    one.batch_a = one.batch_b = all.batch_a = all.batch_b = NULL;
    memcpy(all.c, before, bytes);
    for (int64_t i = 0; i < all.batches; i++) {
        wg__segment s = t->segments[0];
        each_a[i] = s.a = (const char *)s.a + (size_t)t->offset_a[i] * (s.a_bf16 ? 2 : size);
        each_c[i] = one.c = (char *)all.c + (size_t)(i * all.batch_c) * size;
        one.segments = &s;
        run_shuffled(k, &one);
    }
    memcpy(alone, all.c, bytes);
    all.shared_b = true;
    all.each_a = each_a;
    all.each_c = each_c;
    one.segments = t->segments;
    guarded packed = pack_shuffled(k, &one);
    for (int ahead = 0; ahead < 2; ahead++) {
        all.packed_b = ahead ? packed.data : NULL;
        memcpy(all.c, before, bytes);
        run_shuffled(k, &all);
        if (memcmp(alone, all.c, bytes) != 0) FAIL("sharing B changes bits");
    }
    guarded_free(&packed);
    free(alone);
}

extern const wg__product_kernels WG__EVERY_ISA(WG__VARIANT, product, bf16);

/* The same bits, or NaN in the same places. */
static bool same_numbers(const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i]))) return false;
    return true;
}

/* Products in bf16 have the same bits on every instruction set, with vdpbf16ps and without. */
static void try_every_isa(trial *t, const void *before, const void *first, size_t bytes)
{
    static const wg__product_kernels *const kernels[] = {WG__EVERY_ISA(&WG__VARIANT, product, bf16)};
    for (int isa = 0; isa <= (int)wg__isa_get(); isa++) {
        memcpy(t->p.c, before, bytes);
        run_shuffled(kernels[isa], &t->p);
        if (!same_numbers(first, t->p.c, t->c.count)) FAIL("bf16 emulated, instruction set %d: other bits", isa);
    }
}

static const float specials[] = {0,       -0.0f,     INFINITY, -INFINITY,       NAN,    1e-40f,
                                 -1e-39f, 1.2e-38f,  -3e-38f,  1.17549435e-38f, 1e-19f, 3e-20f,
                                 3.4e38f, -3.39e38f, 1.84e19f, -2e19f,          1,      1.00390625f,
                                 -1,      256,       65535};

/* Infinities, NaN, denormals, and numbers whose products are next to overflow or underflow, among others. */
static void make_special(trial *t)
{
    for (int s = 0; s < t->p.n_segments; s++)
        for (int side = 0; side < 2; side++) {
            matrix *m = side ? &t->a[s] : &t->b[s];
            const int64_t among = below(2) ? 3 : 200;
            for (int64_t i = 0; i < m->count; i++)
                if (below(among) == 0) {
                    const float special = specials[below(sizeof specials / sizeof *specials)];
                    if (m->half)
                        ((uint16_t *)m->memory.data)[i] = upper_half(special);
                    else
                        ((float *)m->memory.data)[i] = special;
                }
        }
}

static void random_special(uint64_t seed)
{
    random_state = seed;
    trial t;
    trial_new(&t);
    wg__product *p = &t.p;
    if (p->bf16) {
        make_special(&t);
        size_t bytes = (size_t)t.c.count * sizeof(float);
        void *before = malloc(bytes + 1), *first = malloc(bytes + 1);
        memcpy(before, p->c, bytes);
        run_shuffled(wg__product_get(WG_F32, true), p);
        memcpy(first, p->c, bytes);
        try_every_isa(&t, before, first, bytes);
        free(before);
        free(first);
    }
    trial_free(&t);
}

static void bf16_has_the_same_bits_everywhere(void) { check_rounds(400, random_special); }

static void random_product(uint64_t seed)
{
    random_state = seed;
    trial t;
    trial_new(&t);
    wg__product *p = &t.p;
    const wg__product_kernels *k = wg__product_get(p->dtype, p->bf16);
    expect(&t);
    size_t bytes = (size_t)t.c.count * size_of(p->dtype);
    void *before = malloc(bytes + 1), *first = malloc(bytes + 1);
    memcpy(before, p->c, bytes);

    run_shuffled(k, p);
    int before_failures = check_failures();
    check_close(&t, "result");
    memcpy(first, p->c, bytes);

    memcpy(p->c, before, bytes);
    run_shuffled(k, p);
    if (memcmp(first, p->c, bytes) != 0) FAIL("the order of tasks changes bits");

    if (p->n_segments == 1 && p->batches == 1) {
        guarded packed = pack_shuffled(k, p);
        memcpy(p->c, before, bytes);
        p->packed_b = packed.data;
        run_shuffled(k, p);
        check_close(&t, "packed");
        if ((p->bf16 || (p->m > 1 && p->n > 1)) && memcmp(first, p->c, bytes) != 0)
            FAIL("packing ahead changes bits");
        p->packed_b = NULL;
        guarded_free(&packed);
    }
    if (p->bf16) try_every_isa(&t, before, first, bytes);
    if (p->n_segments == 1 && p->batches > 1 && p->m > 1 && p->n > 1) try_shared(&t, k, before, bytes);
    if (check_failures() > before_failures)
        printf("%s%s m %lld n %lld k %lld (%d segments) batches %lld%s\n", p->dtype == WG_F32 ? "f32" : "f64",
               p->bf16 ? " in bf16" : "", (long long)p->m, (long long)p->n, (long long)t.segments[0].k,
               p->n_segments, (long long)p->batches, p->accumulate ? " accumulate" : "");
    free(before);
    free(first);
    trial_free(&t);
}

static void random_products(void)
{
    printf("%s, %s\n", wg__product_name(), wg__isa_name());
    check_rounds(400, random_product);
}

/* ---- NaN, rows, dtypes ---- */

/* A single product into c. */
static wg__product product_of(wg_dtype dtype, int64_t m, int64_t n, const matrix *c, wg__segment *segment)
{
    return (wg__product){.dtype = dtype,
                         .m = m,
                         .n = n,
                         .batches = 1,
                         .c = c->memory.data,
                         .c_rs = c->rs,
                         .c_cs = c->cs,
                         .n_segments = 1,
                         .segments = segment};
}

/* An infinity in row m - 1 of A, times zero, makes that row NaN, and no other. */
static void check_nan(wg_dtype dtype, int64_t m, int64_t n, int64_t k)
{
    const wg__product_kernels *kernels = wg__product_get(dtype, false);
    matrix a = matrix_new(dtype, m, k, DENSE, 1), b = matrix_new(dtype, k, n, DENSE, 1),
           c = matrix_new(dtype, m, n, DENSE, 1);
    for (int64_t i = 0; i < b.count; i++) set(dtype, b.memory.data, i, 0);
    set(dtype, a.memory.data, (m - 1) * k + k - 1, (double)INFINITY);
    wg__segment s = {a.memory.data, b.memory.data, k, a.rs, a.cs, b.rs, b.cs};
    wg__product p = product_of(dtype, m, n, &c, &s);
    run_shuffled(kernels, &p);
    bool ok = true;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double got = get(dtype, c.memory.data, i * n + j);
            if (i == m - 1 ? !isnan(got) : got != 0) ok = false;
        }
    if (!ok) FAIL("m %lld n %lld k %lld", (long long)m, (long long)n, (long long)k);
    guarded_free(&a.memory);
    guarded_free(&b.memory);
    guarded_free(&c.memory);
}

static void nan_propagates(void)
{
    random_state = check_seed();
    for (int dtype = WG_F32; dtype <= WG_F64; dtype++) {
        check_nan((wg_dtype)dtype, 1, 70, 50);
        check_nan((wg_dtype)dtype, 50, 1, 50);
        check_nan((wg_dtype)dtype, 50, 70, 50);
        check_nan((wg_dtype)dtype, 300, 530, 700);
    }
}

/* The bits of a row do not depend on the number of rows. */
static void check_rows(wg_dtype dtype)
{
    enum { M = 131, N = 77, K = 700 };
    const wg__product_kernels *kernels = wg__product_get(dtype, false);
    matrix a = matrix_new(dtype, M, K, DENSE, 1), b = matrix_new(dtype, K, N, DENSE, 1);
    matrix c = matrix_new(dtype, M, N, DENSE, 1), d = matrix_new(dtype, M, N, DENSE, 1);
    wg__segment s = {a.memory.data, b.memory.data, K, a.rs, a.cs, b.rs, b.cs};
    wg__product p = product_of(dtype, M, N, &c, &s);
    run_shuffled(kernels, &p);
    bool ok = true;
    for (int64_t m = 1; m < M; m += 3) {
        p.m = m;
        p.c = d.memory.data;
        run_shuffled(kernels, &p);
        if (memcmp(c.memory.data, d.memory.data, (size_t)(m * N) * size_of(dtype)) != 0) ok = false;
    }
    if (!ok) FAIL("%s: the bits of a row depend on the number of rows", wg_dtype_name(dtype));
    guarded_free(&a.memory);
    guarded_free(&b.memory);
    guarded_free(&c.memory);
    guarded_free(&d.memory);
}

static void rows_are_independent(void)
{
    random_state = check_seed();
    check_rows(WG_F32);
    check_rows(WG_F64);
}

static void integers_have_no_product(void)
{
    CHECK(!wg__product_get(WG_I32, false) && !wg__product_get(WG_I32, true));
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(random_products), TEST_CASE(bf16_has_the_same_bits_everywhere),
                                 TEST_CASE(nan_propagates), TEST_CASE(rows_are_independent),
                                 TEST_CASE(integers_have_no_product)};
    return RUN_TESTS(tests);
}
