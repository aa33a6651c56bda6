/* The product kernels against a naive product in f64, operands packed ahead or not. WENGERT_ISA chooses the kernels. */
#include "product_trial.h"

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
static void check_rows(wg_dtype dtype, bool bf16, int segments)
{
    enum { M = 131, N = 77, K = 700, FIRST = 333 };
    const wg__product_kernels *kernels = wg__product_get(dtype, bf16);
    matrix a = matrix_new(dtype, M, K, DENSE, 1), b = matrix_new(dtype, K, N, DENSE, 1);
    matrix c = matrix_new(dtype, M, N, DENSE, 1), d = matrix_new(dtype, M, N, DENSE, 1);
    wg__segment s[2] = {{a.memory.data, b.memory.data, K, a.rs, a.cs, b.rs, b.cs}};
    wg__product p = product_of(dtype, M, N, &c, s);
    p.bf16 = bf16, p.n_segments = segments;
    if (segments > 1) {
        s[1] = s[0];
        s[0].k = FIRST, s[1].k = K - FIRST;
        s[1].a = a.memory.data + FIRST * size_of(dtype), s[1].b = b.memory.data + FIRST * N * size_of(dtype);
    }
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
    check_rows(WG_F32, false, 1);
    check_rows(WG_F64, false, 1);
    check_rows(WG_F32, true, 1);
    check_rows(WG_F32, true, 2);
}

/* Few rows of A in bf16, and a B of any width, whose rows or columns are not aligned or end with the memory: the bits
 * are those of the same numbers in f32. */
static void rows_of_bf16_are_widened(void)
{
    enum { M = 28, N = 64, K = 40 };
    const wg__product_kernels *kernels = wg__product_get(WG_F32, false);
    random_state = check_seed();
    matrix a = matrix_new(WG_F32, M, K, DENSE, 1), b = matrix_new(WG_F32, 1, K * N + 1, DENSE, 1);
    matrix narrow = matrix_new(WG_F32, M, K, DENSE, 1);
    matrix c = matrix_new(WG_F32, M, N, DENSE, 1), d = matrix_new(WG_F32, M, N, DENSE, 1);
    memcpy(narrow.memory.data, a.memory.data, (size_t)a.count * sizeof(float));
    halve(&narrow);
    for (int64_t i = 0; i < a.count; i++)
        set(WG_F32, a.memory.data, i, (double)f32_of(((uint16_t *)narrow.memory.data)[i]));
    static const int64_t rows[] = {1, 2, 3, 6, 12, 14, 16, M}, widths[] = {1, 2, 3, 8, 16, 31, 32, 48, N};
    bool ok = true;
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 9; j++)
            for (int64_t past = 0; past < 4; past++) {
                const int64_t m = rows[i], n = widths[j];
                const float *from = (const float *)b.memory.data + (b.count - K * n - past % 2);
                wg__segment s = {.b = from, .k = K, .a_rs = K, .a_cs = 1, .b_rs = n, .b_cs = 1};
                if (past / 2) s.b_rs = 1, s.b_cs = K;
                wg__product p = product_of(WG_F32, m, n, &c, &s);
                s.a = a.memory.data;
                run_shuffled(kernels, &p);
                s.a = narrow.memory.data, s.a_bf16 = true, p.c = d.memory.data;
                run_shuffled(kernels, &p);
                for (int64_t row = 0; row < m; row++)
                    ok &= memcmp(c.memory.data + row * N * 4, d.memory.data + row * N * 4, (size_t)n * 4) == 0;
            }
    CHECK(ok);
    guarded_free(&a.memory), guarded_free(&b.memory), guarded_free(&narrow.memory);
    guarded_free(&c.memory), guarded_free(&d.memory);
}

static void integers_have_no_product(void)
{
    CHECK(!wg__product_get(WG_I32, false) && !wg__product_get(WG_I32, true));
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(random_products), TEST_CASE(nan_propagates),
                                 TEST_CASE(rows_are_independent), TEST_CASE(rows_of_bf16_are_widened),
                                 TEST_CASE(integers_have_no_product)};
    return RUN_TESTS(tests);
}
