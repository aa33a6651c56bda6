/* The kernels of all rows of pointwise.def, on every instruction set this machine has: f32 against f64, both
 * against libm, special values; the result for an element does not depend on its position; results may overwrite
 * operands; nothing past the last element is touched.
 *
 *     test_pointwise_kernels [seed]    a failure prints the seed
 *     test_pointwise_kernels all [row] every f32 number through the functions of one operand (minutes) */
#include "ops/kernels/kernels.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guarded.h"
#include "ops/kernels/pointwise/pointwise.h"
#include "ops/pointwise_rows.h"
#include "random.h"

static uint64_t first_seed;
static int failures;

#define FAIL(...)                                                                                                  \
    (failures++ < 50 ? (void)(printf("FAIL (test_pointwise_kernels %" PRIu64 "): ", first_seed),                   \
                              printf(__VA_ARGS__), printf("\n"))                                                   \
                     : (void)0)

static double between(double low, double high)
{
    return low + (high - low) * (double)(random_bits() >> 11) * 0x1p-53;
}

/* ---- the rows --------------------------------------------------------------------------------------------- */

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
    double low, high, ulp;
} row;

static const row rows[] = {
#define UNARY(scope, name, types, kernel, gx, low, high, flags, ulp)           {#name, UNARY_ROW, low, high, ulp},
#define BINARY(scope, name, types, kernel, ga, gb, low, high, flags, ulp)      {#name, BINARY_ROW, low, high, ulp},
#define TERNARY(scope, name, types, kernel, ga, gb, gc, low, high, flags, ulp) {#name, TERNARY_ROW, low, high, ulp},
#define CHOOSE(scope, name, types, kernel, gm, ga, gb, low, high, flags, ulp)  {#name, CHOOSE_ROW, low, high, ulp},
#define FILL(scope, name, types, kernel, ga, gm, gb, low, high, flags, ulp)    {#name, FILL_ROW, low, high, ulp},
#define TEST(scope, name, types, kernel)                                       {#name, TEST_ROW, -2, 2, 0},
#define COMPARE(scope, name, types, kernel)                                    {#name, COMPARE_ROW, -2, 2, 0},
#define LOGIC1(scope, name, kernel)                                            {#name, LOGIC1_ROW, 0, 2, 0},
#define LOGIC2(scope, name, kernel)                                            {#name, LOGIC2_ROW, 0, 2, 0},
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

static void draw(wg_dtype dtype, const row *r, int64_t n, void *out)
{
    for (int64_t i = 0; i < n; i++) {
        if (dtype == WG_F32)
            ((float *)out)[i] = (float)between(r->low, r->high);
        else if (dtype == WG_F64)
            ((double *)out)[i] = between(r->low, r->high);
        else if (dtype == WG_I32)
            ((int32_t *)out)[i] = (int32_t)(random_bits() % 7) - 3;
        else
            ((uint8_t *)out)[i] = random_bits() & 1;
    }
}

/* ---- every row: position, aliasing, guard pages ----------------------------------------------------------- */

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
        draw(type, r, n, x);
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

static void check_lengths(wg__isa isa)
{
    for (int number = 0; number < ROWS; number++)
        for (int dtype = 0; dtype < WG_DTYPES; dtype++) {
            if (!wg__pointwise_get_isa(number, (wg_dtype)dtype, isa)) continue;
            for (int n = 0; n <= LONGEST; n++)
                for (int end = 0; end < 2; end++) check_length(isa, number, (wg_dtype)dtype, n, end);
        }
}

/* ---- numbers ---------------------------------------------------------------------------------------------- */

static double run_one(wg__isa isa, int number, wg_dtype dtype, double a, double b)
{
    float a32 = (float)a, b32 = (float)b, y32;
    double y64;
    const void *in32[] = {&a32, &b32}, *in64[] = {&a, &b};
    if (dtype == WG_F32)
        wg__pointwise_get_isa(number, WG_F32, isa)(1, &y32, in32);
    else
        wg__pointwise_get_isa(number, WG_F64, isa)(1, &y64, in64);
    return dtype == WG_F32 ? (double)y32 : y64;
}

/* f32 within the row's tolerance of f64, on the row's domain. */
static void check_rows(wg__isa isa)
{
    enum { N = 4096 };
    static float x32[3][N], y32[N];
    static double x64[3][N], y64[N];
    static uint8_t mask[N];
    for (int number = 0; number < ROWS; number++) {
        const row *r = &rows[number];
        wg_pointwise f32 = wg__pointwise_get_isa(number, WG_F32, isa),
                     f64 = wg__pointwise_get_isa(number, WG_F64, isa);
        if (!f32 || dtype_of(r->kind, -1, WG_F32) != WG_F32) continue;
        const void *in32[3], *in64[3];
        draw(WG_BOOL, r, N, mask);
        for (int k = 0; k < 3; k++) {
            bool is_mask = dtype_of(r->kind, k, WG_F32) == WG_BOOL;
            draw(WG_F32, r, N, x32[k]);
            for (int i = 0; i < N; i++) x64[k][i] = (double)x32[k][i];
            in32[k] = is_mask ? (void *)mask : x32[k];
            in64[k] = is_mask ? (void *)mask : x64[k];
        }
        f32(N, y32, in32);
        f64(N, y64, in64);
        double worst = 0;
        for (int i = 0; i < N; i++) {
            double unit = 0x1p-24 * fmax(1, exp2(ceil(log2(fabs(y64[i]) + 1e-300))));
            worst = fmax(worst, fabs((double)y32[i] - y64[i]) / unit);
        }
        if (!(worst <= r->ulp + 0.5))
            FAIL("%s isa %d: f32 is %.2f units from f64, %g allowed", r->name, isa, worst, r->ulp);
    }
}

static long double sigmoid_ref(long double x) { return 1 / (1 + expl(-x)); }
static long double softplus_ref(long double x) { return x > 0 ? x + log1pl(expl(-x)) : log1pl(expl(x)); }
static long double rsqrt_ref(long double x) { return 1 / sqrtl(x); }

/* Over all numbers, in units in the last place of the result. */
static const struct reference {
    int row;
    long double (*f)(long double);
    double ulp32, ulp64;
} references[] = {
    {ROW_exp, expl, 1.5, 1.5},     {ROW_log, logl, 1.5, 1.5},        {ROW_log1p, log1pl, 1.5, 1.5},
    {ROW_expm1, expm1l, 1.5, 1.5}, {ROW_sqrt, sqrtl, 0.51, 0.51},    {ROW_rsqrt, rsqrt_ref, 1.6, 1.6},
    {ROW_sin, sinl, 1.5, 1.5},     {ROW_cos, cosl, 1.5, 1.5},        {ROW_tanh, tanhl, 4, 2.5},
    {ROW_erf, erfl, 1.5, 1.5},     {ROW_sigmoid, sigmoid_ref, 3, 3}, {ROW_softplus, softplus_ref, 4, 3},
    {ROW_floor, floorl, 0, 0}};

static float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* |y - z| in units of the last place of z, in numbers of `digits` bits whose smallest exponent is `least`. */
static double units(long double y, long double z, int digits, int least)
{
    int exponent;
    if (y == z || (isnan(y) && isnan(z))) return 0;
    if (!isfinite(y) || isnan(z)) return INFINITY;
    frexpl(z, &exponent);
    return (double)(fabsl(y - z) / ldexpl(1, (exponent < least ? least : exponent) - digits));
}

static void check_reference(wg__isa isa, const struct reference *r)
{
    enum { N = 1 << 16 };
    static float x32[N], y32[N];
    static double x64[N], y64[N];
    const void *in32[] = {x32}, *in64[] = {x64};
    double worst32 = 0, worst64 = 0, at32 = 0, at64 = 0;
    for (int i = 0; i < N; i++) { /* any bits, and numbers of a common size; no huge angles */
        x32[i] = i % 2 ? (float)between(-20, 20) : float_of((uint32_t)random_bits());
        if ((r->row == ROW_sin || r->row == ROW_cos) && fabsf(x32[i]) > 1e4f) x32[i] = 0.5f;
        x64[i] = i % 2 ? between(-40, 40) : (double)x32[i];
    }
    wg__pointwise_get_isa(r->row, WG_F32, isa)(N, y32, in32);
    wg__pointwise_get_isa(r->row, WG_F64, isa)(N, y64, in64);
    for (int i = 0; i < N; i++) {
        long double z32 = r->f(x32[i]), z64 = r->f(x64[i]);
        if (fabsl(z32) > 0x1.fffffep127L) z32 = copysignl(INFINITY, z32);
        if (fabsl(z64) > 0x1.fffffffffffffp1023L) z64 = copysignl(INFINITY, z64);
        double u32 = isinf(z32) && (double)y32[i] == (double)z32 ? 0 : units(y32[i], z32, 24, -125);
        double u64 = isinf(z64) && y64[i] == (double)z64 ? 0 : units(y64[i], z64, 53, -1021);
        if (u32 > worst32) worst32 = u32, at32 = (double)x32[i];
        if (u64 > worst64) worst64 = u64, at64 = x64[i];
    }
    if (!(worst32 <= r->ulp32)) FAIL("%s f32 isa %d: %.2f ulp at %a", rows[r->row].name, isa, worst32, at32);
    if (!(worst64 <= r->ulp64)) FAIL("%s f64 isa %d: %.2f ulp at %a", rows[r->row].name, isa, worst64, at64);
}

#define INF  ((double)INFINITY)
#define NAN_ ((double)NAN)

static const struct special {
    int row;
    double a, b, y;
} specials[] = {{ROW_exp, -INF, 0, 0},        {ROW_exp, INF, 0, INF},      {ROW_exp, 0, 0, 1},
                {ROW_exp, -0.0, 0, 1},        {ROW_exp, 1e30, 0, INF},     {ROW_exp, -1e30, 0, 0},
                {ROW_log, 0, 0, -INF},        {ROW_log, -0.0, 0, -INF},    {ROW_log, -1, 0, NAN_},
                {ROW_log, INF, 0, INF},       {ROW_log, 1, 0, 0},          {ROW_log1p, -1, 0, -INF},
                {ROW_log1p, -2, 0, NAN_},     {ROW_log1p, INF, 0, INF},    {ROW_log1p, 0, 0, 0},
                {ROW_expm1, -INF, 0, -1},     {ROW_expm1, INF, 0, INF},    {ROW_expm1, 0, 0, 0},
                {ROW_tanh, INF, 0, 1},        {ROW_tanh, -INF, 0, -1},     {ROW_tanh, 0, 0, 0},
                {ROW_tanh, 1e30, 0, 1},       {ROW_tanh, 1e-30, 0, 1e-30}, {ROW_erf, INF, 0, 1},
                {ROW_erf, -INF, 0, -1},       {ROW_sigmoid, INF, 0, 1},    {ROW_sigmoid, -INF, 0, 0},
                {ROW_sigmoid, 0, 0, 0.5},     {ROW_sigmoid, 1e30, 0, 1},   {ROW_sigmoid, -1e30, 0, 0},
                {ROW_softplus, INF, 0, INF},  {ROW_softplus, -INF, 0, 0},  {ROW_softplus, 1e4, 0, 1e4},
                {ROW_relu, -INF, 0, 0},       {ROW_relu, INF, 0, INF},     {ROW_relu, -1, 0, 0},
                {ROW_sqrt, -1, 0, NAN_},      {ROW_sqrt, INF, 0, INF},     {ROW_rsqrt, INF, 0, 0},
                {ROW_rsqrt, 0, 0, INF},       {ROW_reciprocal, 0, 0, INF}, {ROW_abs, -INF, 0, INF},
                {ROW_sign, -3, 0, -1},        {ROW_sign, 0, 0, 0},         {ROW_sign, INF, 0, 1},
                {ROW_floor, -0.5, 0, -1},     {ROW_floor, 1e30, 0, 1e30},  {ROW_floor, -INF, 0, -INF},
                {ROW_step, 0, 0, 0},          {ROW_step, 2, 0, 1},         {ROW_step, -2, 0, 0},
                {ROW_sin, INF, 0, NAN_},      {ROW_cos, 0, 0, 1},          {ROW_maximum, NAN_, 1, NAN_},
                {ROW_maximum, 1, NAN_, NAN_}, {ROW_maximum, 1, 2, 2},      {ROW_minimum, NAN_, 1, NAN_},
                {ROW_minimum, 1, NAN_, NAN_}, {ROW_minimum, 1, 2, 1},      {ROW_mod, 5, 3, 2},
                {ROW_mod, -5, 3, 1},          {ROW_mod, 5, -3, -1},        {ROW_mod, -5, -3, -2},
                {ROW_mod, 6, 3, 0},           {ROW_mod, 1, 0, NAN_},       {ROW_pow, 0, 0, 1},
                {ROW_pow, 0, 2, 0},           {ROW_pow, -2, 3, -8},        {ROW_pow, 2, -2, 0.25},
                {ROW_pow, -2, 0.5, NAN_},     {ROW_pow, INF, 2, INF},      {ROW_pow, 0, -1, INF},
                {ROW_pow, 1, NAN_, 1},        {ROW_relu_grad, 3, 0, 0},    {ROW_relu_grad, 3, 1, 3},
                {ROW_mul_log, 3, 0, 0},       {ROW_div, 1, 0, INF},        {ROW_leaky_relu, -2, 0.5, -1},
                {ROW_leaky_relu, 2, 0.5, 2},  {ROW_elu, -INF, 2, -2},      {ROW_elu, 3, 2, 3}};

static void check_specials(wg__isa isa)
{
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++)
        for (int dtype = WG_F32; dtype <= WG_F64; dtype++) {
            const struct special *s = &specials[i];
            double y = run_one(isa, s->row, (wg_dtype)dtype, s->a, s->b),
                   z = dtype == WG_F32 ? (double)(float)s->y : s->y;
            if (!(y == z || (isnan(y) && isnan(z))))
                FAIL("%s(%g, %g) %s isa %d is %g, not %g", rows[s->row].name, s->a, s->b,
                     wg_dtype_name((wg_dtype)dtype), isa, y, z);
        }
    for (int number = 0; number < ROWS; number++) { /* NaN spreads */
        if (rows[number].kind != UNARY_ROW || number == ROW_step) continue;
        for (int dtype = WG_F32; dtype <= WG_F64; dtype++)
            if (!isnan(run_one(isa, number, (wg_dtype)dtype, NAN_, 0)))
                FAIL("%s %s isa %d of NaN is a number", rows[number].name, wg_dtype_name((wg_dtype)dtype), isa);
    }
}

/* All numbers of f32, with f64's kernel (whose own errors are far smaller) as the reference. */
static void check_all(wg__isa isa, const struct reference *r)
{
    enum { N = 4096 };
    static float x32[N], y32[N];
    static double x64[N], y64[N];
    double worst = 0, at = 0;
    for (uint64_t first = 0; first < 1ull << 32; first += N) {
        for (int i = 0; i < N; i++) {
            x32[i] = float_of((uint32_t)(first + (uint64_t)i));
            x64[i] = (double)x32[i];
        }
        wg__pointwise_get_isa(r->row, WG_F32, isa)(N, y32, (const void *[]){x32});
        wg__pointwise_get(r->row, WG_F64)(N, y64, (const void *[]){x64});
        for (int i = 0; i < N; i++) {
            double z = y64[i], unit;
            if ((double)y32[i] == z || (isnan(z) && isnan(y32[i])) || fabs(z) >= 0x1.ffffffp127) {
                if (fabs(z) >= 0x1.ffffffp127 && (double)y32[i] != copysign(INF, z)) worst = INF, at = x64[i];
                continue;
            }
            uint64_t bits;
            memcpy(&bits, &z, sizeof bits);
            bits &= 0x7ff0000000000000u; /* 2^exponent */
            memcpy(&unit, &bits, sizeof unit);
            double error = fabs((double)y32[i] - z) / (fmax(unit, 0x1p-126) * 0x1p-23);
            if (!(error <= worst)) worst = error, at = x64[i];
        }
    }
    printf("%-10s isa %d: at most %.3f ulp, at %a\n", rows[r->row].name, isa, worst, at);
    if (!(worst <= r->ulp32)) FAIL("%s isa %d: %.2f ulp at %a", rows[r->row].name, isa, worst, at);
}

/* ---- comparisons, logic, integers, casts ------------------------------------------------------------------ */

static void check_compare(wg__isa isa)
{
    static const double at[] = {-INF, -1, -0.0, 0, 1, 2, INF, NAN_};
    enum { N = sizeof at / sizeof *at };
    for (int i = 0; i < N * N; i++) {
        double a = at[i / N], b = at[i % N];
        const int number[] = {ROW_equal, ROW_not_equal, ROW_less, ROW_less_equal, ROW_greater, ROW_greater_equal};
        const bool truth[] = {a == b, a != b, a<b, a <= b, a> b, a >= b};
        float a32 = (float)a, b32 = (float)b;
        int32_t ai = isfinite(a) ? (int32_t)a : 7, bi = isfinite(b) ? (int32_t)b : 7;
        const bool truth_i[] = {ai == bi, ai != bi, ai<bi, ai <= bi, ai> bi, ai >= bi};
        for (int k = 0; k < 6; k++) {
            uint8_t y[3] = {9, 9, 9};
            wg__pointwise_get_isa(number[k], WG_F32, isa)(1, &y[0], (const void *[]){&a32, &b32});
            wg__pointwise_get_isa(number[k], WG_F64, isa)(1, &y[1], (const void *[]){&a, &b});
            wg__pointwise_get_isa(number[k], WG_I32, isa)(1, &y[2], (const void *[]){&ai, &bi});
            if (y[0] != truth[k] || y[1] != truth[k] || y[2] != truth_i[k])
                FAIL("%s(%g, %g) isa %d", rows[number[k]].name, a, b, isa);
        }
    }
}

static void check_integers(wg__isa isa)
{
    for (int i = 0; i < 1000; i++) {
        int32_t a = (int32_t)random_bits(), b = i % 10 ? (int32_t)random_bits() : a, y;
        uint8_t p = random_bits() & 1, q = random_bits() & 1, t;
        const void *in[] = {&a, &b}, *logic[] = {&p, &q}, *choose[] = {&p, &a, &b}, *fill[] = {&a, &p, &b};
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
        wg__pointwise_get_isa(ROW_where, WG_I32, isa)(1, &y, choose);
        if (y != (p ? a : b)) FAIL("where isa %d", isa);
        wg__pointwise_get_isa(ROW_masked_fill, WG_I32, isa)(1, &y, fill);
        if (y != (p ? b : a)) FAIL("masked_fill isa %d", isa);
        wg__pointwise_get_isa(ROW_logical_and, WG_BOOL, isa)(1, &t, logic);
        if (t != (p && q)) FAIL("and isa %d", isa);
        wg__pointwise_get_isa(ROW_logical_or, WG_BOOL, isa)(1, &t, logic);
        if (t != (p || q)) FAIL("or isa %d", isa);
        wg__pointwise_get_isa(ROW_logical_not, WG_BOOL, isa)(1, &t, logic);
        if (t != !p) FAIL("not isa %d", isa);
    }
}

static void check_casts(void)
{
    static const double from[] = {0, -0.9, 0.9, -1.5, 3, 2147483646.5, 3e9, -3e9, INF, -INF, NAN_};
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

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "all") == 0) {
        for (size_t i = 0; i < sizeof references / sizeof *references; i++)
            for (int isa = 0; isa <= (int)wg__isa_get(); isa++)
                if (argc < 3 || strcmp(argv[2], rows[references[i].row].name) == 0)
                    check_all((wg__isa)isa, &references[i]);
        return failures != 0;
    }
    first_seed = random_state = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    for (int k = 0; k < 4; k++) memory[k] = guarded_new(LONGEST * 8);
    for (int isa = 0; isa <= (int)wg__isa_get(); isa++) {
        check_lengths((wg__isa)isa);
        check_rows((wg__isa)isa);
        for (size_t i = 0; i < sizeof references / sizeof *references; i++)
            check_reference((wg__isa)isa, &references[i]);
        check_specials((wg__isa)isa);
        check_compare((wg__isa)isa);
        check_integers((wg__isa)isa);
    }
    check_casts();
    if (failures) printf("%d failures\n", failures);
    return failures != 0;
}
