/* Products in bf16, bit for bit: each instruction set against scalar code, on random numbers and special ones. */
#include "bf16_sums.h"

extern const wg__product_kernels WG__EVERY_ISA(WG__VARIANT, product, bf16);

/* ---- scalar code: the formulas of docs/numerics.md ---- */

enum { BLOCK = 512 }; /* numbers of k in a block */

/* The numbers of one element's sum, as both sides have them after rounding; a segment of odd length ends with 0. */
static int64_t terms_of(const trial *t, int64_t batch, int64_t i, int64_t j, float *x, float *y)
{
    const wg__product *p = &t->p;
    int64_t n = 0;
    for (int s = 0; s < p->n_segments; s++) {
        const wg__segment *g = &p->segments[s];
        const int64_t at = s * p->batch_step + batch;
        for (int64_t q = 0; q < g->k; q++, n++) {
            const int64_t a = i * g->a_rs + q * g->a_cs + (p->batch_a ? p->batch_a[at] : 0);
            const int64_t b = q * g->b_rs + j * g->b_cs + (p->batch_b ? p->batch_b[at] : 0);
            x[n] = g->a_bf16 ? f32_of(((const uint16_t *)g->a)[a]) : rounded(((const float *)g->a)[a]);
            y[n] = g->b_bf16 ? f32_of(((const uint16_t *)g->b)[b]) : rounded(((const float *)g->b)[b]);
        }
        if (n % 2) x[n] = y[n] = 0, n++;
    }
    return n;
}

static void scalar(const trial *t, bool amx, float *c)
{
    const wg__product *p = &t->p;
    float x[BLOCK * MAX_SEGMENTS], y[BLOCK * MAX_SEGMENTS];
    const wg__fp caller = wg__fp_begin();
    for (int64_t batch = 0; batch < p->batches; batch++)
        for (int64_t i = 0; i < p->m; i++)
            for (int64_t j = 0; j < p->n; j++) {
                float *to = c + batch * p->batch_c + i * p->c_rs + j * p->c_cs;
                const int64_t n = terms_of(t, batch, i, j, x, y);
                if (n == 0 && !p->accumulate) *to = 0;
                for (int64_t from = 0; from < n; from += BLOCK) {
                    const float sum = sum_of(amx, min64(BLOCK, n - from), x + from, y + from);
                    *to = from || p->accumulate ? *to + sum : sum;
                }
            }
    wg__fp_end(&caller);
}

/* ---- trials ---- */

static void try_kernels(const wg__product_kernels *k, const char *name, trial *t, const float *before,
                        const float *expected)
{
    memcpy(t->p.c, before, (size_t)t->c.count * sizeof *before);
    run_shuffled(k, &t->p);
    if (!same_numbers(expected, t->p.c, t->c.count)) FAIL("%s: other bits than scalar code", name);
}

/* Infinities, NaN, denormals, and numbers whose products are next to overflow or underflow, among others. */
static void make_special(trial *t)
{
    for (int s = 0; s < t->p.n_segments; s++)
        for (int side = 0; side < 2; side++) {
            matrix *m = side ? &t->a[s] : &t->b[s];
            const int64_t among = below(2) ? 3 : 200;
            for (int64_t i = 0; i < m->count; i++)
                if (below(among) == 0) {
                    const float special = special_number();
                    if (m->half)
                        ((uint16_t *)m->memory.data)[i] = upper_half(special);
                    else
                        ((float *)m->memory.data)[i] = special;
                }
        }
}

/* In bf16, not too large for scalar code, and its segments are one sum whatever kernel adds them: gemv_bf16.c adds
 * segment by segment. */
static bool fits(const wg__product *p)
{
    int64_t terms = 0;
    for (int s = 0; s < p->n_segments; s++) terms += p->batches * p->m * p->n * p->segments[s].k;
    return p->bf16 && terms < 5000000 && (p->n_segments == 1 || (p->m > 1 && p->n > 1));
}

static void try_product(uint64_t seed, bool special)
{
    random_state = seed;
    trial t;
    do {
        trial_new(&t);
        if (fits(&t.p)) break;
        trial_free(&t);
    } while (true);
    if (special) make_special(&t);

    const size_t bytes = (size_t)t.c.count * sizeof(float);
    float *before = malloc(bytes + 1), *expected = malloc(bytes + 1);
    memcpy(before, t.p.c, bytes);
    memcpy(expected, before, bytes);
    scalar(&t, false, expected);
    static const wg__product_kernels *const widened[] = {WG__EVERY_ISA(&WG__VARIANT, product, bf16)};
    static const char *const names[] = {"baseline", "avx2", "avx512"};
    for (int isa = 0; isa <= (int)wg__isa_get(); isa++) try_kernels(widened[isa], names[isa], &t, before, expected);

    memcpy(expected, before, bytes);
    scalar(&t, wg__isa_get_bf16() == WG__BF16_AMX, expected);
    try_kernels(wg__product_get(WG_F32, true), wg__isa_name(), &t, before, expected);
    free(before);
    free(expected);
    trial_free(&t);
}

/* ---- tiles ---- */

enum { TILES = 100, TILE = 16, DEPTH = 32 };

/* A float: between -1 and 1; of any bits; so small that products are about the smallest normal number; or special. */
static float number_of(int64_t kind)
{
    const uint32_t bits = (uint32_t)random_bits();
    switch (kind) {
    case 0: return (float)real_value();
    case 1: return float_of(bits);
    case 2: return float_of((bits & 0x83ffffffu) + 0x1e000000u);
    default: return special_number();
    }
}

static void fill(float *x, int64_t n)
{
    const int64_t most = below(4), other = below(4), among = below(2) ? 2 : 50;
    for (int64_t i = 0; i < n; i++) x[i] = number_of(below(among) ? most : other);
}

/* 100 tiles of up to 16 x 16 x 32: each size is whole half of the time. */
static void random_tiles(uint64_t seed)
{
    random_state = seed;
    float a[TILE * DEPTH], b[DEPTH * TILE], c[TILE * TILE];
    for (int i = 0; i < TILES; i++) {
        trial t = {.c.count = TILE * TILE};
        t.segments[0] = (wg__segment){a, b, DEPTH - below(2) * below(DEPTH), DEPTH, 1, TILE, 1, false, false};
        t.p = (wg__product){.dtype = WG_F32,
                            .bf16 = true,
                            .m = TILE,
                            .n = TILE,
                            .batches = 1,
                            .c = c,
                            .c_rs = TILE,
                            .c_cs = 1,
                            .n_segments = 1};
        t.p.segments = t.segments;
        t.p.m -= below(2) * below(TILE), t.p.n -= below(2) * below(TILE);
        t.p.accumulate = below(2);
        float before[TILE * TILE], expected[TILE * TILE];
        fill(a, TILE * DEPTH), fill(b, DEPTH * TILE), fill(before, TILE * TILE);
        memcpy(expected, before, sizeof before);
        scalar(&t, wg__isa_get_bf16() == WG__BF16_AMX, expected);
        try_kernels(wg__product_get(WG_F32, true), wg__isa_name(), &t, before, expected);
    }
}

static void random_product(uint64_t seed) { try_product(seed, false); }
static void special_product(uint64_t seed) { try_product(seed, true); }

static void tiles_have_the_bits_of_scalar_code(void) { check_rounds(100, random_tiles); }
static void products_have_the_bits_of_scalar_code(void) { check_rounds(150, random_product); }
static void special_values_have_the_bits_of_scalar_code(void) { check_rounds(150, special_product); }

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(tiles_have_the_bits_of_scalar_code),
                                 TEST_CASE(products_have_the_bits_of_scalar_code),
                                 TEST_CASE(special_values_have_the_bits_of_scalar_code)};
    return RUN_TESTS(tests);
}
