/* Values of tensors made from nothing, from numbers of another dtype, and with a number. */
#include "values_tests.h"

static array x, y, z, want;

static void constant(wg_shape shape, double value)
{
    shape_set(&want, shape);
    for (int64_t i = 0; i < want.n; i++) want.x[i] = value;
}

void from_nothing(void)
{
    wg_shape shape = random_shape(0, 4, 0);
    wg_dtype dtype = (wg_dtype)draw(WG_DTYPES);
    double value = dtype == WG_BOOL ? draw(2) : (double)draw(9) - 4;
    constant(shape, value);
    expect_values("full", wg_full(tape, dtype, shape, value), &want);
    wg_tensor like = leaf(&want, dtype);
    constant(shape, 0);
    expect_values("zeros", wg_zeros(tape, dtype, shape), &want);
    expect_values("zeros_like", wg_zeros_like(like), &want);
    constant(shape, 1);
    expect_values("ones", wg_ones(tape, dtype, shape), &want);
    expect_values("ones_like", wg_ones_like(like), &want);
    double start = (double)draw(9) - 4, step = (double)draw(9) - 4;
    shape_set(&want, WG_DIMS(draw(9)));
    for (int64_t i = 0; i < want.n; i++) want.x[i] = start + (double)i * step;
    expect_values("arange", wg_arange(tape, dtype == WG_BOOL ? WG_I32 : dtype, start, step, want.n), &want);
}

/* ---- random numbers ---- */

static int ascending(const void *a, const void *b)
{
    double p = *(const double *)a, q = *(const double *)b;
    return (p > q) - (p < q);
}

/* Kolmogorov and Smirnov: the largest distance of the numbers' distribution from the one that it should be, times the
 * root of their count, is past 2.5 once in 100,000 times. */
static void expect_distribution(const char *op, wg_tensor numbers, double (*below)(double, double, double),
                                double a, double b)
{
    int64_t n = wg_numel(numbers);
    double *sorted = malloc((size_t)n * sizeof *sorted), worst = 0;
    for (int64_t i = 0; i < n; i++) sorted[i] = value_at(numbers, i);
    qsort(sorted, (size_t)n, sizeof *sorted, ascending);
    for (int64_t i = 0; i < n; i++) {
        double p = below(sorted[i], a, b);
        worst = fmax(worst, fmax(p - (double)i / (double)n, (double)(i + 1) / (double)n - p));
    }
    free(sorted);
    if (worst * sqrt((double)n) < 2.5)
        has_oracle(op);
    else
        FAIL("%s(%g, %g): %g from its distribution", op, a, b, worst);
}

static double uniform_below(double at, double low, double high)
{
    return at < low || at >= high ? NAN : (at - low) / (high - low);
}

static double normal_below(double at, double mean, double deviation)
{
    return erfc((mean - at) / deviation / sqrt(2.0)) / 2;
}

/* Zeros and one other number, which has a probability. */
static void expect_frequency(const char *op, wg_tensor numbers, double p, double value)
{
    int64_t n = wg_numel(numbers), hits = 0;
    bool others = false;
    for (int64_t i = 0; i < n; i++) {
        hits += value_at(numbers, i) == value;
        others |= value_at(numbers, i) != value && value_at(numbers, i) != 0;
    }
    double deviations = fabs((double)hits - p * (double)n) / sqrt((double)n * p * (1 - p));
    if (deviations < 5 && !others)
        has_oracle(op);
    else
        FAIL("%s: %lld of %lld for %g", op, (long long)hits, (long long)n, p);
}

void random_numbers(void)
{
    const wg_shape shape = WG_DIMS(3, 1 + draw(1000));
    wg_dtype dtype = draw(2) ? WG_F32 : WG_F64;
    wg_set_step(tape, draw(1000));
    double a = (double)draw(9) - 4, b = 0.5 + draw(5);
    expect_distribution("uniform", wg_uniform(tape, dtype, shape, a, a + b), uniform_below, a, a + b);
    expect_distribution("normal", wg_normal(tape, dtype, shape, a, b), normal_below, a, b);
    double p = 0.1 + 0.1 * draw(8);
    expect_frequency("bernoulli", wg_bernoulli(tape, shape, p), p, 1);
    wg_tensor ones = wg_ones(tape, WG_F64, shape), dropped = wg_dropout(ones, p);
    expect_frequency("dropout_mask", node_of("dropout_mask", dropped), 1 - p, 1 / (1 - p));
    expect_frequency("dropout", dropped, 1 - p, 1 / (1 - p));
    wg_set_step(tape, 0);
}

/* ---- casts, numbers ---- */

static double as(wg_dtype dtype, double value)
{
    switch (dtype) {
    case WG_F32: return (double)(float)value;
    case WG_I32: return trunc(value);
    case WG_BOOL: return value != 0;
    default: return value;
    }
}

void casts(void)
{
    wg_dtype from = (wg_dtype)draw(WG_DTYPES), to = (wg_dtype)draw(WG_DTYPES);
    fill_random(&x, random_shape(0, 4, 0));
    shape_set(&want, x.shape);
    for (int64_t i = 0; i < x.n; i++) {
        if (i % 5 == 0) x.x[i] = 0;
        x.x[i] = as(from, x.x[i] * 3);
        want.x[i] = as(to, x.x[i]);
    }
    expect_values("cast", wg_cast(from == WG_F64 ? strided(&x) : leaf(&x, from), to), &want);
}

void with_numbers(void)
{
    fill_random(&x, random_shape(0, 3, 0));
    double c = 0.25 + draw(8) / 4.0, power = draw(4);
    wg_tensor t = strided(&x);
    const struct {
        const char *name;
        wg_tensor got;
    } forms[] = {{"add_scalar", wg_add_scalar(t, c)},
                 {"sub_scalar", wg_sub_scalar(t, c)},
                 {"scale", wg_scale(t, c)},
                 {"div_scalar", wg_div_scalar(t, c)},
                 {"rsub_scalar", wg_rsub_scalar(c, t)},
                 {"rdiv_scalar", wg_rdiv_scalar(c, wg_add_scalar(t, 3))},
                 {"pow_scalar", wg_pow_scalar(t, power)},
                 {"maximum_scalar", wg_maximum_scalar(t, c)},
                 {"minimum_scalar", wg_minimum_scalar(t, c)},
                 {"leaky_relu", wg_leaky_relu(t, c)},
                 {"elu", wg_elu(t, c)},
                 {"clamp", wg_clamp(t, -c, c / 2)}};
    shape_set(&want, x.shape);
    for (int k = 0; k < (int)(sizeof forms / sizeof *forms); k++) {
        for (int64_t i = 0; i < x.n; i++) {
            const double v = x.x[i];
            const double values[] = {v + c,
                                     v - c,
                                     v * c,
                                     v / c,
                                     c - v,
                                     c / (v + 3),
                                     pow(v, power),
                                     fmax(v, c),
                                     fmin(v, c),
                                     v > 0 ? v : c * v,
                                     v > 0 ? v : c * (exp(v) - 1),
                                     fmin(fmax(v, -c), c / 2)};
            want.x[i] = values[k];
        }
        expect_values(forms[k].name, forms[k].got, &want);
    }
    fill_whole(&y, x.shape, 2);
    for (int64_t i = 0; i < x.n; i++) want.x[i] = y.x[i] != 0 ? c : x.x[i];
    expect_values("masked_fill", wg_masked_fill(t, leaf(&y, WG_BOOL), c), &want);
}

void sums_of_several(void)
{
    static array in[5];
    wg_tensor tensors[5];
    wg_shape shape = random_shape(0, 3, 0);
    int n = 1 + (int)draw(5);
    constant(shape, 0);
    for (int k = 0; k < n; k++) {
        fill_random(&in[k], shape);
        tensors[k] = strided(&in[k]);
        for (int64_t i = 0; i < want.n; i++) want.x[i] += in[k].x[i];
    }
    expect_values("add_n", wg_add_n(tensors, n), &want);
    fill_random(&x, shape);
    fill_random(&y, shape);
    fill_random(&z, shape);
    for (int64_t i = 0; i < want.n; i++) want.x[i] = (1 - z.x[i]) * x.x[i] + z.x[i] * y.x[i];
    expect_values("lerp", wg_lerp(strided(&x), strided(&y), strided(&z)), &want);
    double sum = 0;
    for (int64_t i = 0; i < x.n; i++) sum += x.x[i];
    constant(WG_SCALAR, sum);
    expect_values("sum_all", wg_sum_all(strided(&x)), &want);
    want.x[0] /= (double)x.n;
    if (x.n > 0) expect_values("mean_all", wg_mean_all(strided(&x)), &want);
}
