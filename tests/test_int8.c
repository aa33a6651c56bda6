/* Products by weights in 8 bits: the kernels of each instruction set against scalar code, bit for
 * bit, and the tape's option. */
#include <float.h>

#include "tensors.h"

#include "autograd/base/fp.h"
#include "autograd/base/isa.h"
#include "ops/kernels/gemm/gemm.h"

#include "guarded.h"
#include "random.h"

/* ---- kernels ---- */

extern const wg__product_kernels WG__EVERY_ISA(WG__VARIANT, product_int8, f32);
static const wg__product_kernels *const kernels[] = {WG__EVERY_ISA(&WG__VARIANT, product_int8, f32)};

enum { MOST_BATCHES = 5 };

/* C = A B of random strides, or for several A and C that share B. */
typedef struct trial {
    wg__product p;
    wg__segment s;
    guarded a[MOST_BATCHES], b, c[MOST_BATCHES];
    const void *each_a[MOST_BATCHES];
    void *each_c[MOST_BATCHES];
} trial;

static float uniform(void) { return (float)(random_bits() >> 40) / (float)(1 << 23) - 1; }

/* A matrix in the given memory, rows or columns of unit stride. */
static guarded matrix_new(int64_t rows, int64_t cols, int64_t *rs, int64_t *cs)
{
    const bool transposed = below(2);
    const int64_t pad = below(2) * below(9);
    *rs = transposed ? 1 : cols + pad, *cs = transposed ? rows + pad : 1;
    guarded g = guarded_new((size_t)((rows - 1) * *rs + (cols - 1) * *cs + 1) * sizeof(float));
    for (size_t i = 0; i < g.bytes / sizeof(float); i++) ((float *)g.data)[i] = uniform();
    return g;
}

static void trial_new(trial *t)
{
    *t = (trial){0};
    const int64_t m = 1 + below(below(9) ? 9 : 80), n = 16 + below(below(3) ? 70 : 200),
                  k = 8 + below(below(9) ? 90 : 1290);
    const int64_t batches = below(3) ? 1 : 1 + below(MOST_BATCHES);
    t->p = (wg__product){.dtype = WG_F32, .int8_b = true, .m = m, .n = n, .batches = batches, .n_segments = 1};
    t->p.segments = &t->s;
    t->s.k = k;
    t->b = matrix_new(k, n, &t->s.b_rs, &t->s.b_cs);
    t->s.b = t->b.data;
    const uint64_t same = random_state;
    for (int64_t i = 0; i < batches; i++) {
        random_state = same; /* the same strides */
        t->a[i] = matrix_new(m, k, &t->s.a_rs, &t->s.a_cs);
        t->c[i] = matrix_new(m, n, &t->p.c_rs, &t->p.c_cs);
        for (size_t j = 0; j < t->a[i].bytes / sizeof(float); j++) ((float *)t->a[i].data)[j] += (float)i;
        t->each_a[i] = t->a[i].data, t->each_c[i] = t->c[i].data;
    }
    t->s.a = t->each_a[0], t->p.c = t->each_c[0];
    t->p.shared_b = batches > 1;
    if (batches > 1) t->p.each_a = t->each_a, t->p.each_c = t->each_c;
}

static void trial_free(trial *t)
{
    guarded_free(&t->b);
    for (int64_t i = 0; i < t->p.batches; i++) guarded_free(&t->a[i]), guarded_free(&t->c[i]);
}

static void run(const wg__product_kernels *k, trial *t)
{
    wg__product ahead = t->p;
    guarded packed = guarded_new(k->packed_bytes(&t->p));
    memset(packed.data, 0xff, packed.bytes);
    guarded scratch = guarded_new(k->scratch(&t->p));
    const wg__fp caller = wg__fp_begin();
    for (int64_t i = k->pack_tasks(&t->p) - 1; i >= 0; i--) k->pack(&t->p, packed.data, i);
    ahead.packed_b = packed.data;
    for (int64_t i = k->tasks(&ahead) - 1; i >= 0; i--) k->run(&ahead, i, scratch.data);
    wg__fp_end(&caller);
    guarded_free(&packed);
    guarded_free(&scratch);
}

/* Rounds n numbers to whole ones of at most `most`; returns their unit. */
static float whole_numbers(int64_t n, const float *x, int64_t stride, float most, int32_t *to)
{
    float largest = 0;
    for (int64_t p = 0; p < n; p++) largest = fmaxf(largest, fabsf(x[p * stride]));
    const float unit = largest / most;
    for (int64_t p = 0; p < n; p++) to[p] = unit > 0 ? (int32_t)nearbyintf(x[p * stride] / unit) : 0;
    return unit;
}

/* An element of C: whole numbers, exact over 512 steps. */
static float element(const trial *t, int64_t batch, int64_t i, int64_t j)
{
    enum { BLOCK = 512, MOST_K = 1300 };
    int32_t x[MOST_K], q[MOST_K];
    const float r = whole_numbers(t->s.k, (const float *)t->each_a[batch] + i * t->s.a_rs, t->s.a_cs, 32767, x);
    const float s = whole_numbers(t->s.k, (const float *)t->s.b + j * t->s.b_cs, t->s.b_rs, 127, q);
    float sum = 0;
    for (int64_t from = 0; from < t->s.k; from += BLOCK) {
        int64_t whole = 0;
        for (int64_t p = from; p < t->s.k && p < from + BLOCK; p++) whole += (int64_t)x[p] * q[p];
        sum += (float)whole;
    }
    return (float)((double)sum * r * s);
}

static void random_product(uint64_t seed)
{
    random_state = seed;
    trial t;
    trial_new(&t);
    for (int isa = 0; isa <= (int)wg__isa_get(); isa++) {
        CHECK(kernels[isa]->wants_packed(&t.p));
        run(kernels[isa], &t);
        int64_t wrong = 0;
        for (int64_t batch = 0; batch < t.p.batches; batch++)
            for (int64_t i = 0; i < t.p.m; i++)
                for (int64_t j = 0; j < t.p.n; j++) {
                    const float want = element(&t, batch, i, j);
                    const float got = ((const float *)t.each_c[batch])[i * t.p.c_rs + j * t.p.c_cs];
                    wrong += memcmp(&want, &got, sizeof want) != 0;
                }
        if (wrong) FAIL("instruction set %d: %lld elements differ from scalar code", isa, (long long)wrong);
    }
    trial_free(&t);
}

static void products_have_the_bits_of_scalar_code(void) { check_rounds(150, random_product); }

/* A column of zeros gives zeros; one with an infinity or NaN gives NaN; their neighbours do not notice. */
static void special_columns(void)
{
    enum { M = 5, N = 70, K = 33 };
    float a[M * K], b[K * N], c[M * N], plain[M * N];
    random_state = check_seed();
    for (int i = 0; i < M * K; i++) a[i] = uniform();
    for (int i = 0; i < K * N; i++) b[i] = uniform();
    trial t = {.s = {.a = a, .b = b, .k = K, .a_rs = K, .a_cs = 1, .b_rs = N, .b_cs = 1}};
    t.p = (wg__product){.dtype = WG_F32, .m = M, .n = N, .batches = 1, .c_rs = N, .c_cs = 1, .n_segments = 1};
    t.p.segments = &t.s;
    for (int isa = 0; isa <= (int)wg__isa_get(); isa++) {
        t.p.c = plain;
        run(kernels[isa], &t);
        const float kept[] = {b[3 * N + 10], b[4 * N + 20]};
        b[3 * N + 10] = INFINITY, b[4 * N + 20] = NAN;
        for (int p = 0; p < K; p++) b[p * N + 30] = 0;
        t.p.c = c;
        run(kernels[isa], &t);
        for (int i = 0; i < M * N; i++)
            if (i % N == 10 || i % N == 20)
                CHECK(isnan(c[i]));
            else if (i % N == 30)
                CHECK(c[i] == 0);
            else
                CHECK(memcmp(&c[i], &plain[i], sizeof *c) == 0);
        b[3 * N + 10] = kept[0], b[4 * N + 20] = kept[1];
        for (int p = 0; p < K; p++) b[p * N + 30] = uniform();
    }
}

/* Magnitudes whose product with another leaves the range of f32. */
static void magnitudes_of_all_sizes(void)
{
    static const float sizes[] = {1, 1e30f, 3e38f, 3e-21f, 1e-12f, 1e-30f};
    enum { SIZES = sizeof sizes / sizeof *sizes, K = 16, N = 16 * SIZES };
    float a[SIZES * K], b[K * N], c[SIZES * N];
    for (int i = 0; i < SIZES; i++)
        for (int p = 0; p < K; p++) a[i * K + p] = p % 2 ? 0 : sizes[i];
    for (int p = 0; p < K; p++)
        for (int j = 0; j < N; j++)
            b[p * N + j] = p % 2 == j % 2 ? sizes[j / 2 % SIZES] : 0; /* odd columns meet zeros */
    trial t = {.s = {.a = a, .b = b, .k = K, .a_rs = K, .a_cs = 1, .b_rs = N, .b_cs = 1}};
    t.p = (wg__product){.dtype = WG_F32, .m = SIZES, .n = N, .batches = 1, .c_rs = N, .c_cs = 1, .n_segments = 1};
    t.p.segments = &t.s, t.p.c = c;
    for (int isa = 0; isa <= (int)wg__isa_get(); isa++) {
        run(kernels[isa], &t);
        for (int i = 0; i < SIZES; i++)
            for (int j = 0; j < N; j++) {
                const double want = j % 2 ? 0 : (double)sizes[i] * sizes[j / 2 % SIZES] * K / 2, got = c[i * N + j];
                CHECK(want > FLT_MAX ? isinf(got) : fabs(got - want) <= want * 1e-5 + FLT_MIN);
            }
    }
}

/* ---- the tape's option ---- */

enum { ROWS = 3, IN = 40, OUT = 24 };

static wg_tape *tape_of(wg_dtype products, const char *plan)
{
    wg_tape_options options = wg_tape_defaults();
    options.products = products;
    options.plan = plan;
    return wg_tape_new(options);
}

/* x W of a tape. */
static void product_of(wg_tape *tape, wg_dtype dtype, wg_param *weight, const float *x, float *y)
{
    wg_no_grad_begin(tape);
    const wg_tensor input = wg_cast(wg_data(tape, WG_F32, WG_DIMS(ROWS, IN), x), dtype);
    const wg_tensor product = wg_cast(wg_matmul(input, wg_use(tape, weight)), WG_F32);
    const float *numbers = wg_value(product);
    CHECK(numbers);
    if (numbers) memcpy(y, numbers, ROWS * OUT * sizeof *y);
    wg_no_grad_end(tape);
    CHECK(wg_tape_reset(tape) == WG_OK);
}

static bool equal(const float *a, const float *b) { return memcmp(a, b, ROWS * OUT * sizeof *a) == 0; }

static void weights_are_read_in_8_bits(void)
{
    float x[ROWS * IN], exact[ROWS * OUT], y[ROWS * OUT], again[ROWS * OUT];
    random_state = check_seed();
    for (int i = 0; i < ROWS * IN; i++) x[i] = uniform();
    wg_params *set = wg_params_new(WG_F32);
    wg_param *weight = wg_param_new(set, "w", WG_DIMS(IN, OUT), wg_init_uniform(-1, 1));
    wg_tape *f32 = tape_of(WG_F32, ""), *int8 = tape_of(WG_INT8, ""), *unpacked = tape_of(WG_INT8, "-pack");
    product_of(f32, WG_F32, weight, x, exact);
    product_of(int8, WG_F32, weight, x, y);
    product_of(int8, WG_F32, weight, x, again); /* packed before */
    CHECK(!equal(exact, y) && equal(y, again));
    for (int i = 0; i < ROWS * OUT; i++) {
        double magnitude = 0;
        for (int p = 0; p < IN; p++) magnitude += fabs((double)x[i / OUT * IN + p]);
        CHECK(fabs((double)(y[i] - exact[i])) <= magnitude * (0.5 / 127) * 1.01); /* |w| <= 1 */
    }
    product_of(unpacked, WG_F32, weight, x, again);
    CHECK(equal(exact, again));

    float *numbers = wg_param_write_begin(weight); /* another version is packed anew */
    for (int i = 0; i < IN * OUT; i++) numbers[i] = -numbers[i];
    wg_param_write_end(weight);
    product_of(int8, WG_F32, weight, x, again);
    for (int i = 0; i < ROWS * OUT; i++) CHECK(again[i] == -y[i]);
    wg_tape_free(f32), wg_tape_free(int8), wg_tape_free(unpacked);
    wg_params_free(set);
}

static void f64_stays_f64(void)
{
    float x[ROWS * IN], y[ROWS * OUT], z[ROWS * OUT];
    random_state = check_seed();
    for (int i = 0; i < ROWS * IN; i++) x[i] = uniform();
    wg_params *set = wg_params_new(WG_F64);
    wg_param *weight = wg_param_new(set, "w", WG_DIMS(IN, OUT), wg_init_uniform(-1, 1));
    static const wg_dtype options[] = {WG_BF16, WG_INT8};
    wg_tape *plain = tape_of(WG_F32, "");
    product_of(plain, WG_F64, weight, x, y);
    for (int i = 0; i < 2; i++) {
        wg_tape *tape = tape_of(options[i], "");
        product_of(tape, WG_F64, weight, x, z);
        CHECK(equal(y, z));
        wg_tape_free(tape);
    }
    wg_tape_free(plain);
    wg_params_free(set);
}

static void int8_has_no_gradient(void)
{
    wg_params *set = wg_params_new(WG_F32);
    wg_param *weight = wg_param_new(set, "w", WG_DIMS(IN, OUT), wg_init_uniform(-1, 1));
    static const char *const plans[] = {NULL, "+int8"};
    for (int i = 0; i < 2; i++) {
        wg_tape *tape = tape_of(i ? WG_F32 : WG_INT8, plans[i]);
        CHECK(wg_backward(wg_sum_all(wg_square(wg_use(tape, weight)))) == WG_ERR_GRADIENT);
        CHECK(strstr(wg_tape_message(tape), "products are int8: only f32 and bf16 have gradients"));
        CHECK(wg_tape_reset(tape) == WG_ERR_GRADIENT);
        const wg_tensor w = wg_use(tape, weight);
        wg_grad1(wg_sum_all(w), w, WG_NONE);
        CHECK(wg_tape_reset(tape) == WG_ERR_GRADIENT);
        wg_tape_free(tape);
    }
    wg_params_free(set);
}

static void unknown_precisions_are_errors(void)
{
    static const int wrong[] = {WG_F64, WG_I32, WG_BOOL, WG_DTYPES, 99, -1};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        wg_tape *tape = tape_of((wg_dtype)wrong[i], "");
        CHECK(wg_tape_status(tape) == WG_ERR_ARGUMENT);
        CHECK(strstr(wg_tape_message(tape), "products must be WG_F32, WG_BF16 or WG_INT8, not "));
        wg_tape_free(tape);
    }
    wg_tape *tape = tape_of(WG_BF16, "");
    CHECK(wg_tape_status(tape) == WG_OK);
    wg_tape_free(tape);
    CHECK(wg_dtype_size(WG_INT8) == 1 && !strcmp(wg_dtype_name(WG_INT8), "int8"));
    wg_params *set = wg_params_new(WG_INT8);
    CHECK(!set || wg_params_status(set) != WG_OK);
    wg_params_free(set);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(products_have_the_bits_of_scalar_code),
                                 TEST_CASE(special_columns),
                                 TEST_CASE(magnitudes_of_all_sizes),
                                 TEST_CASE(weights_are_read_in_8_bits),
                                 TEST_CASE(f64_stays_f64),
                                 TEST_CASE(int8_has_no_gradient),
                                 TEST_CASE(unknown_precisions_are_errors)};
    return RUN_TESTS(tests);
}
