/* The loops of the kernels of all rows of pointwise.def, on every instruction set this machine has: the result for an
 * element does not depend on its position; results may overwrite operands; nothing past the last element is touched.
 * Integers wrap around; casts. (Values: test_pointwise_values.) --only restricts `loops` to a row. */
#include "ops/kernels/kernels.h"

#include "check.h"
#include "guarded.h"
#include "ops/kernels/pointwise/pointwise.h"
#include "ops/pointwise_rows.h"
#include "random.h"

static double between(double low, double high)
{
    return low + (high - low) * (double)(random_bits() >> 11) * 0x1p-53;
}

/* ---- the rows ---- */

typedef enum kind {
    UNARY_ROW,
    BINARY_ROW,
    TERNARY_ROW,
    TEST_ROW,
    COMPARE_ROW,
    LOGIC1_ROW,
    LOGIC2_ROW,
    CHOOSE_ROW,
    FILL_ROW
} kind;

typedef struct row {
    const char *name;
    kind kind;
} row;

static const row rows[] = {
#define UNARY(scope, name, ...)   {#name, UNARY_ROW},
#define BINARY(scope, name, ...)  {#name, BINARY_ROW},
#define TERNARY(scope, name, ...) {#name, TERNARY_ROW},
#define CHOOSE(scope, name, ...)  {#name, CHOOSE_ROW},
#define FILL(scope, name, ...)    {#name, FILL_ROW},
#define TEST(scope, name, ...)    {#name, TEST_ROW},
#define COMPARE(scope, name, ...) {#name, COMPARE_ROW},
#define LOGIC1(scope, name, ...)  {#name, LOGIC1_ROW},
#define LOGIC2(scope, name, ...)  {#name, LOGIC2_ROW},
#include "ops/pointwise.def"
};

static int operands(kind k)
{
    return k == UNARY_ROW || k == TEST_ROW || k == LOGIC1_ROW       ? 1
           : k == BINARY_ROW || k == COMPARE_ROW || k == LOGIC2_ROW ? 2
                                                                    : 3;
}

/* The dtype of operand k (k < 0: of the result) of a kernel for dtype. */
static wg_dtype dtype_of(kind of, int k, wg_dtype dtype)
{
    if (of == LOGIC1_ROW || of == LOGIC2_ROW) return WG_BOOL;
    if (of == TEST_ROW || of == COMPARE_ROW) return k < 0 ? WG_BOOL : dtype;
    if (of == CHOOSE_ROW) return k == 0 ? WG_BOOL : dtype;
    if (of == FILL_ROW) return k == 1 ? WG_BOOL : dtype;
    return dtype;
}

static void draw(wg_dtype dtype, int64_t n, void *out)
{
    for (int64_t i = 0; i < n; i++) {
        if (dtype == WG_F32)
            ((float *)out)[i] = (float)between(-2, 2);
        else if (dtype == WG_F64)
            ((double *)out)[i] = between(-2, 2);
        else if (dtype == WG_I32)
            ((int32_t *)out)[i] = (int32_t)(random_bits() % 7) - 3;
        else
            ((uint8_t *)out)[i] = random_bits() & 1;
    }
}

/* ---- every row: position, aliasing, guard pages ---- */

enum { LONGEST = 130 };
static guarded memory[4]; /* operands 0-2, result */

/* Runs the kernel on n elements that end at the guard (or start at it) and compares with one element at a time. */
static void check_length(wg__isa isa, int number, wg_dtype dtype, int n, bool end)
{
    const row *r = &rows[number];
    wg_pointwise fn = wg__pointwise_get_isa(number, dtype, isa);
    int n_in = operands(r->kind);
    size_t size_out = wg_dtype_size(dtype_of(r->kind, -1, dtype));
    const void *in[3];
    char expected[LONGEST * 8];
    for (int k = 0; k < n_in; k++) {
        wg_dtype type = dtype_of(r->kind, k, dtype);
        void *x = end ? memory[k].end - (size_t)n * wg_dtype_size(type) : memory[k].start;
        draw(type, n, x);
        in[k] = x;
    }
    for (int i = 0; i < n; i++) {
        const void *one[3];
        for (int k = 0; k < n_in; k++)
            one[k] = (const char *)in[k] + (size_t)i * wg_dtype_size(dtype_of(r->kind, k, dtype));
        fn(1, expected + (size_t)i * size_out, one);
    }
    void *y = end ? memory[3].end - (size_t)n * size_out : memory[3].start;
    memset(memory[3].start, 0x5a, (size_t)(memory[3].end - memory[3].start));
    fn(n, y, in);
    if (memcmp(y, expected, (size_t)n * size_out))
        FAIL("%s %s isa %d: n = %d depends on the position", r->name, wg_dtype_name(dtype), isa, n);
    const char *beside = end ? memory[3].start : (char *)y + (size_t)n * size_out;
    for (size_t i = 0; i < (size_t)(memory[3].end - memory[3].start) - (size_t)n * size_out; i++)
        if (beside[i] != 0x5a) {
            FAIL("%s %s isa %d: n = %d writes beside its result", r->name, wg_dtype_name(dtype), isa, n);
            break;
        }
    for (int k = 0; k < n_in; k++) {
        if (wg_dtype_size(dtype_of(r->kind, k, dtype)) != size_out) continue;
        char kept[LONGEST * 8];
        memcpy(kept, in[k], (size_t)n * size_out);
        fn(n, (void *)(uintptr_t)in[k], in);
        if (memcmp(in[k], expected, (size_t)n * size_out))
            FAIL("%s %s isa %d: n = %d over operand %d", r->name, wg_dtype_name(dtype), isa, n, k);
        memcpy((void *)(uintptr_t)in[k], kept, (size_t)n * size_out);
    }
}

static void check_loops(wg__isa isa)
{
    for (int number = 0; number < ROWS; number++)
        for (int dtype = 0; check_wants(rows[number].name) && dtype < WG_DTYPES; dtype++) {
            if (!wg__pointwise_get_isa(number, (wg_dtype)dtype, isa)) continue;
            random_state = check_seed(); /* --only draws the same */
            for (int n = 0; n <= LONGEST; n++)
                for (int end = 0; end < 2; end++) check_length(isa, number, (wg_dtype)dtype, n, end);
        }
}

/* ---- integers, casts ---- */

static void check_integers(wg__isa isa)
{
    for (int i = 0; i < 1000; i++) {
        int32_t a = (int32_t)random_bits(), b = i % 10 ? (int32_t)random_bits() : a, y;
        const void *in[] = {&a, &b};
        const struct {
            int row;
            int32_t y;
        } expected[] = {{ROW_add, (int32_t)((uint32_t)a + (uint32_t)b)},
                        {ROW_sub, (int32_t)((uint32_t)a - (uint32_t)b)},
                        {ROW_mul, (int32_t)((uint32_t)a * (uint32_t)b)},
                        {ROW_maximum, a > b ? a : b},
                        {ROW_minimum, a < b ? a : b},
                        {ROW_neg, (int32_t)(0u - (uint32_t)a)},
                        {ROW_abs, a < 0 ? (int32_t)(0u - (uint32_t)a) : a},
                        {ROW_square, (int32_t)((uint32_t)a * (uint32_t)a)}};
        for (size_t k = 0; k < sizeof expected / sizeof *expected; k++) {
            wg__pointwise_get_isa(expected[k].row, WG_I32, isa)(1, &y, in);
            if (y != expected[k].y) FAIL("%s(%d, %d) isa %d is %d", rows[expected[k].row].name, a, b, isa, y);
        }
    }
}

static void casts(void)
{
    static const double from[] = {0, -0.9, 0.9, -1.5, 3, 2147483646.5, 3e9, -3e9, INFINITY, -INFINITY, NAN};
    static const int32_t to[] = {0, 0, 0, -1, 3, 2147483646, INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN, 0};
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        int32_t y;
        uint8_t t;
        const void *in[] = {&from[i]};
        wg__cast_get(WG_F64, WG_I32)(1, &y, in);
        wg__cast_get(WG_F64, WG_BOOL)(1, &t, in);
        if (y != to[i] || t != (from[i] != 0)) FAIL("cast of %g: %d, %d", from[i], y, t);
    }
    for (int a = 0; a < WG_DTYPES; a++)
        for (int b = 0; b < WG_DTYPES; b++) { /* 0 and 1 come back */
            double zero_one[2] = {0, 1}, back[2];
            char there[16], on[16];
            wg__cast_get(WG_F64, (wg_dtype)a)(2, there, (const void *[]){zero_one});
            wg__cast_get((wg_dtype)a, (wg_dtype)b)(2, on, (const void *[]){there});
            wg__cast_get((wg_dtype)b, WG_F64)(2, back, (const void *[]){on});
            if (back[0] != 0 || back[1] != 1)
                FAIL("cast %s to %s", wg_dtype_name((wg_dtype)a), wg_dtype_name((wg_dtype)b));
        }
}

/* ---- tests ---- */

static void new_memory(void)
{
    for (int k = 0; k < 4; k++) memory[k] = guarded_new(LONGEST * 8);
}

static void free_memory(void)
{
    for (int k = 0; k < 4; k++) guarded_free(&memory[k]);
}

static void loops(void)
{
    for (int isa = 0; isa <= (int)wg__isa_get(); isa++) check_loops((wg__isa)isa);
}

static void integers(void)
{
    random_state = check_seed();
    for (int isa = 0; isa <= (int)wg__isa_get(); isa++) check_integers((wg__isa)isa);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE_WITH(loops, new_memory, free_memory), TEST_CASE(integers),
                                 TEST_CASE(casts)};
    return RUN_TESTS(tests);
}
