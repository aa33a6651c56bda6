/* The values of every row of pointwise.def against the row's reference: f32, f64, i32 and bool, on every instruction
 * set this machine has; in the row's interval, and far outside of it.
 *
 *     test_pointwise_values [--only ROW]
 *     WG_TEST_LONG=1 test_pointwise_values --test all_f32 [--only ROW]
 *
 * all_f32 passes every f32 number through the functions of one operand and prints their largest errors: about a minute
 * a row. */
#include "ops/kernels/kernels.h"

#include <float.h>
#include <tgmath.h>

#include "check.h"
#include "ops/pointwise_rows.h"
#include "random.h"

static const long double PI = 3.14159265358979323846264338327950288L;

/* ---- the rows: name##_reference is a row's reference as a function of its operands ---- */

typedef long double number;

/* musl's powl forgets the sign of a result that overflows or underflows. */
static number signed_pow(number x, number y)
{
    number power = powl(x, y);
    return x < 0 && fabsl(fmodl(y, 2)) == 1 ? -fabsl(power) : power;
}
#undef pow
#define pow(x, y) signed_pow(x, y)

/* musl's acoshl is a number for large negative operands. */
static number acosh_of(number x) { return x < 1 ? NAN : acoshl(x); }
#undef acosh
#define acosh(x) acosh_of(x)

/* By recurrence, up to where few terms of the asymptotic series do; far below 0 by reflection. */
static number digamma_of(number x)
{
    number sum = 0, rest = x - rint(x);
    if (x == 0) return -1 / x;
    if (x < 0 && floor(x) == x) return NAN;
    if (x < -1000) return digamma_of(1 - x) - PI / tan(PI * rest);
    for (; x < 60; x++) sum -= 1 / x;
    return sum + log(x) - 1 / (2 * x) - 1 / (12 * x * x) + 1 / (120 * pow(x, 4)) - 1 / (252 * pow(x, 6)) +
           1 / (240 * pow(x, 8));
}

static number trigamma_of(number x)
{
    number sum = 0, s = sin(PI * (x - rint(x)));
    if (x <= 0 && floor(x) == x) return isinf(x) ? NAN : INFINITY;
    if (x < -1000) return PI * PI / (s * s) - trigamma_of(1 - x);
    for (; x < 60; x++) sum += 1 / (x * x);
    return sum + 1 / x + 1 / (2 * x * x) + 1 / (6 * pow(x, 3)) - 1 / (30 * pow(x, 5)) + 1 / (42 * pow(x, 7)) -
           1 / (30 * pow(x, 9));
}

/* By bisection. */
static number erfinv_of(number x)
{
    number size = fabs(x), low = size * 0.88L, high = size < 0.5L ? size : 7;
    if (!(size < 1)) return size > 1 || isnan(x) ? NAN : x * INFINITY;
    if (size < 1e-5L) return x * sqrt(PI) / 2 * (1 + PI * x * x / 12);
    for (int i = 0; i < 80; i++) {
        const number middle = (low + high) / 2;
        const bool below = size < 0.5L ? erf(middle) < size : erfc(middle) > 1 - size;
        *(below ? &low : &high) = middle;
    }
    return copysign(low, x);
}

#define REFERENCE(name, reference, ...)                                                                            \
    static number name##_reference(const number *in)                                                               \
    {                                                                                                              \
        const number __VA_ARGS__;                                                                                  \
        return reference;                                                                                          \
    }
#define UNARY(scope, name, types, flags, kernel, gx, reference, ...) REFERENCE(name, reference, x = in[0])
#define BINARY(scope, name, types, flags, kernel, ga, gb, reference, ...)                                          \
    REFERENCE(name, reference, a = in[0], b = in[1])
#define TERNARY(scope, name, types, flags, kernel, ga, gb, gc, reference, ...)                                     \
    REFERENCE(name, reference, a = in[0], b = in[1], c = in[2])
#define CHOOSE(scope, name, types, flags, kernel, gm, ga, gb, reference, ...)                                      \
    REFERENCE(name, reference, m = in[0], a = in[1], b = in[2])
#define FILL(scope, name, types, flags, kernel, ga, gm, gb, reference, ...)                                        \
    REFERENCE(name, reference, a = in[0], m = in[1], b = in[2])
#define TEST(scope, name, types, kernel, reference)    REFERENCE(name, reference, x = in[0])
#define COMPARE(scope, name, types, kernel, reference) REFERENCE(name, reference, a = in[0], b = in[1])
#define LOGIC1(scope, name, kernel, reference)         REFERENCE(name, reference, x = in[0])
#define LOGIC2(scope, name, kernel, reference)         REFERENCE(name, reference, a = in[0], b = in[1])
#include "ops/pointwise.def"

typedef struct row {
    const char *name;
    number (*reference)(const number *in);
    int operands, mask; /* mask: the operand that is bool; -1: none */
    bool to_bool, computes;
    double low, high, ulp; /* ulp below 0: the units are of the largest of the result and the operands */
} row;

#define CANCELS(ulp) (-(ulp))
#define COMPUTED(name, n, low, high, ulp)                                                                          \
    [ROW_##name] = {#name, name##_reference, n, -1, false, true, low, high, ulp},
#define CHOSEN(name, mask, low, high, ulp)                                                                         \
    [ROW_##name] = {#name, name##_reference, 3, mask, false, false, low, high, ulp},
#define TESTED(name, n) [ROW_##name] = {#name, name##_reference, n, -1, true, false, -2, 2, 0},

static const row rows[ROWS] = {
#define UNARY(scope, name, types, flags, kernel, gx, reference, low, high, ulp) COMPUTED(name, 1, low, high, ulp)
#define BINARY(scope, name, types, flags, kernel, ga, gb, reference, low, high, ulp)                               \
    COMPUTED(name, 2, low, high, ulp)
#define TERNARY(scope, name, types, flags, kernel, ga, gb, gc, reference, low, high, ulp)                          \
    COMPUTED(name, 3, low, high, ulp)
#define CHOOSE(scope, name, types, flags, kernel, gm, ga, gb, reference, low, high, ulp)                           \
    CHOSEN(name, 0, low, high, ulp)
#define FILL(scope, name, types, flags, kernel, ga, gm, gb, reference, low, high, ulp)                             \
    CHOSEN(name, 1, low, high, ulp)
#define TEST(scope, name, ...)    TESTED(name, 1)
#define COMPARE(scope, name, ...) TESTED(name, 2)
#define LOGIC1(scope, name, ...)  TESTED(name, 1)
#define LOGIC2(scope, name, ...)  TESTED(name, 2)
#include "ops/pointwise.def"
};

/* ---- operands ---- */

enum { INSIDE = 4096, BITS = 1 << 15, MOST = 1 << 16 };

static number operand[3][MOST], expected[MOST];
static double memory[4][MOST]; /* operands and the result in their dtype */

static number rounded(wg_dtype dtype, number x)
{
    switch (dtype) {
    case WG_F32: return (number)(float)x;
    case WG_F64: return (number)(double)x;
    case WG_I32: return (number)(int32_t)x;
    default: return x != 0;
    }
}

static void store(wg_dtype dtype, void *to, int i, number x)
{
    switch (dtype) {
    case WG_F32: ((float *)to)[i] = (float)x; break;
    case WG_F64: ((double *)to)[i] = (double)x; break;
    case WG_I32: ((int32_t *)to)[i] = (int32_t)x; break;
    default: ((uint8_t *)to)[i] = x != 0; break;
    }
}

static number load(wg_dtype dtype, const void *from, int i)
{
    switch (dtype) {
    case WG_F32: return (number)((const float *)from)[i];
    case WG_F64: return (number)((const double *)from)[i];
    case WG_I32: return (number)((const int32_t *)from)[i];
    default: return (number)((const uint8_t *)from)[i];
    }
}

static wg_dtype dtype_of(const row *r, int k, wg_dtype dtype) { return k == r->mask ? WG_BOOL : dtype; }

/* In [low, high]; an i32 in [-1000, 1000]. */
static void draw_inside(const row *r, wg_dtype dtype, int n)
{
    for (int k = 0; k < r->operands; k++)
        for (int i = 0; i < n; i++) {
            number unit = (number)(random_bits() >> 11) * 0x1p-53L, x = r->low + (r->high - r->low) * unit;
            if (dtype == WG_I32) x = (number)(random_bits() % 2001) - 1000;
            if (dtype == WG_BOOL || k == r->mask) x = random_bits() & 1;
            bool tie = k > 0 && k != r->mask && k - 1 != r->mask && i % 8 == k;
            operand[k][i] = tie ? operand[k - 1][i] : rounded(dtype, x);
        }
}

/* Numbers of any bits, and of a common size. */
static void draw_bits(wg_dtype dtype, int n)
{
    for (int i = 0; i < n; i++) {
        uint64_t bits = random_bits();
        float x32;
        double x64;
        memcpy(&x32, &bits, sizeof x32);
        memcpy(&x64, &bits, sizeof x64);
        number common = ((number)(bits >> 11) * 0x1p-52L - 1) * 40;
        operand[0][i] = i % 2 ? rounded(dtype, common) : dtype == WG_F32 ? (number)x32 : (number)x64;
    }
}

/* Numbers at the ends of the types, and around where functions bend. */
static const number extreme[] = {0,       DBL_TRUE_MIN, DBL_MIN, 1e-300L,      FLT_TRUE_MIN, FLT_MIN,
                                 1e-30L,  1e-8L,        0.5L,    1 - 0x1p-25L, 1 - 0x1p-40L, 1 - 0x1p-53L,
                                 1,       1.5L,         2,       10,           50,           88.9L,
                                 100,     710.2L,       800,     1e4L,         1e8L,         1e30L,
                                 FLT_MAX, 1e300L,       DBL_MAX, INFINITY,     NAN};
/* The same where several are computed with: no product of them is out of range. */
static const number moderate[] = {0, 0x1p-20L, 0.5L, 1, 1.5L, 2, 3, 5, 0x1p20L, INFINITY, NAN};

/* Every combination of such numbers. Returns how many there are. */
static int enumerate(const row *r, wg_dtype dtype)
{
    bool all = r->operands == 1 || !r->computes;
    const number *list = all ? extreme : moderate;
    int n = 2 * (int)(all ? sizeof extreme / sizeof *extreme : sizeof moderate / sizeof *moderate), total = 1;
    for (int k = 0; k < r->operands; k++) total *= k == r->mask ? 2 : n;
    for (int i = 0; i < total; i++)
        for (int k = 0, rest = i; k < r->operands; k++) {
            int choices = k == r->mask ? 2 : n, at = rest % choices;
            rest /= choices;
            operand[k][i] = k == r->mask ? at : rounded(dtype, at % 2 ? -list[at / 2] : list[at / 2]);
        }
    return total;
}

/* Of two operands one extreme, the other of a common size. */
static int enumerate_one(wg_dtype dtype)
{
    int n = (int)(sizeof extreme / sizeof *extreme);
    for (int i = 0; i < 8 * n; i++) {
        number x = rounded(dtype, i & 4 ? -extreme[i / 8] : extreme[i / 8]);
        operand[i & 1][i] = x;
        operand[!(i & 1)][i] = i & 2 ? 0.75L : -0.75L;
    }
    return 8 * n;
}

/* ---- comparison ---- */

/* The unit in the last place of numbers of the size of x. */
static number unit_of(wg_dtype dtype, number x)
{
    int digits = dtype == WG_F32 ? FLT_MANT_DIG : DBL_MANT_DIG, exponent;
    int least = dtype == WG_F32 ? FLT_MIN_EXP : DBL_MIN_EXP, most = dtype == WG_F32 ? FLT_MAX_EXP : DBL_MAX_EXP;
    frexp(x, &exponent);
    exponent = exponent < least ? least : exponent > most ? most : exponent;
    return ldexp(1.0L, exponent - digits);
}

/* |y - z| in units in the last place, 0 if they are the same; an overflow is the number after the largest. A factor may
 * be subnormal where the result, or what it is multiplied by, is not: it rounds by the unit of the smallest normal. */
static double distance(const row *r, wg_dtype dtype, int i, number y, number z)
{
    if (y == z || (isnan(y) && isnan(z))) return 0;
    if (isnan(y) || isnan(z) || r->to_bool || !wg_dtype_is_float(dtype)) return INFINITY;
    number largest = dtype == WG_F32 ? FLT_MAX : DBL_MAX, smallest = dtype == WG_F32 ? FLT_MIN : DBL_MIN;
    number size = fabs(z);
    if (isinf(y)) y = copysign(largest + unit_of(dtype, largest), y);
    if (fabs(z) > largest) z = copysign(largest + unit_of(dtype, largest), z);
    for (int k = 0; k < r->operands; k++)
        if (isfinite(operand[k][i])) size = fmax(size, fabs(operand[k][i]) * (r->ulp < 0 ? 1 : smallest));
    return (double)(fabs(y - z) / unit_of(dtype, fmin(size, largest)));
}

/* Runs the kernel on the first n operands on every instruction set, and compares with the reference. */
static void check(int number_of_row, wg_dtype dtype, int n, const char *where)
{
    const row *r = &rows[number_of_row];
    wg_dtype to = r->to_bool ? WG_BOOL : dtype;
    const void *in[3] = {memory[0], memory[1], memory[2]};
    double allowed = fabs(r->ulp) + 0.5; /* the result is rounded */
    for (int i = 0; i < n; i++) {
        number list[3];
        for (int k = 0; k < r->operands; k++) {
            list[k] = operand[k][i];
            store(dtype_of(r, k, dtype), memory[k], i, list[k]);
        }
        expected[i] = r->reference(list);
    }
    for (int isa = 0; isa <= (int)wg__isa_get(); isa++) {
        wg__pointwise_get_isa(number_of_row, dtype, (wg__isa)isa)(n, memory[3], in);
        double worst = 0;
        int at = 0;
        for (int i = 0; i < n; i++) {
            double d = distance(r, dtype, i, load(to, memory[3], i), expected[i]);
            if (d > worst) worst = d, at = i;
        }
        if (worst > allowed)
            FAIL("%s %s isa %d, %s: of %La, %La, %La it is %.20Lg, should be %.20Lg: %g ulp, %g allowed", r->name,
                 wg_dtype_name(dtype), isa, where, operand[0][at], operand[1][at], operand[2][at],
                 load(to, memory[3], at), expected[at], worst, allowed);
    }
}

static void check_row(int number_of_row, wg_dtype dtype)
{
    const row *r = &rows[number_of_row];
    memset(operand, 0, sizeof operand);
    random_state = check_seed(); /* --only draws the same */
    draw_inside(r, dtype, INSIDE);
    check(number_of_row, dtype, INSIDE, "inside");
    if (!wg_dtype_is_float(dtype)) return;
    check(number_of_row, dtype, enumerate(r, dtype), "special");
    if (r->operands == 2 && r->computes) check(number_of_row, dtype, enumerate_one(dtype), "one extreme");
    if (r->operands > 1) return;
    draw_bits(dtype, BITS);
    check(number_of_row, dtype, BITS, "any bits");
}

/* All numbers of f32, with f64's kernel (whose own errors are far smaller) as the reference. */
static void check_all(wg__isa isa, int number_of_row)
{
    enum { N = 4096 };
    static float x32[N], y32[N];
    static double x64[N], y64[N];
    const row *r = &rows[number_of_row];
    double worst = 0, at = 0;
    for (uint64_t first = 0; first < 1ull << 32; first += N) {
        for (int i = 0; i < N; i++) {
            uint32_t bits = (uint32_t)(first + (uint64_t)i);
            memcpy(&x32[i], &bits, sizeof bits);
            operand[0][i] = x64[i] = (double)x32[i];
        }
        wg__pointwise_get_isa(number_of_row, WG_F32, isa)(N, y32, (const void *[]){x32});
        wg__pointwise_get(number_of_row, WG_F64)(N, y64, (const void *[]){x64});
        for (int i = 0; i < N; i++) {
            double d = y32[i] == (float)y64[i] ? 0 : distance(r, WG_F32, i, (number)y32[i], (number)y64[i]);
            if (d > worst) worst = d, at = x64[i];
        }
    }
    printf("%-10s isa %d: at most %.3f ulp, at %a\n", r->name, isa, worst, at);
}

/* ---- tests ---- */

static void values(void)
{
    for (int number_of_row = 0; number_of_row < ROWS; number_of_row++)
        for (int dtype = 0; check_wants(rows[number_of_row].name) && dtype < WG_DTYPES; dtype++)
            if (wg__pointwise_get_isa(number_of_row, (wg_dtype)dtype, WG__ISA_baseline))
                check_row(number_of_row, (wg_dtype)dtype);
}

static void all_f32(void)
{
    for (int number_of_row = 0; check_long() && number_of_row < ROWS; number_of_row++) {
        const row *r = &rows[number_of_row];
        if (!check_wants(r->name) || r->operands != 1 || r->to_bool) continue;
        for (int isa = 0; wg__pointwise_get(number_of_row, WG_F32) && isa <= (int)wg__isa_get(); isa++)
            check_all((wg__isa)isa, number_of_row);
    }
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(values), TEST_CASE(all_f32)};
    return RUN_TESTS(tests);
}
