/* What tests of numbers at the edge share: operands of f32 or f64, and comparison with numbers. */
#ifndef WG_TEST_NUMBERS_H
#define WG_TEST_NUMBERS_H

#include "values.h"

static const double inf __attribute__((unused)) = INFINITY, nan_ __attribute__((unused)) = NAN;

/* |got - want| <= tolerance max(1, |want|); NaN and infinities as they are. */
static inline void expect(const char *what, wg_tensor got, double tolerance, int n, const double *want)
{
    if (!wg_value(got) || wg_numel(got) != n) {
        FAIL("%s: %lld elements, not %d (%s)", what, (long long)wg_numel(got), n, wg_tape_message(tape));
        return;
    }
    for (int i = 0; i < n; i++) {
        double x = value_at(got, i), y = want[i];
        if (x == y || (isnan(x) && isnan(y))) continue;
        if (isfinite(y) && fabs(x - y) <= tolerance * fmax(1, fabs(y))) continue;
        FAIL("%s %s: [%d] is %.9g, should be %.9g", what, wg_dtype_name(wg_dtype_get(got)), i, x, y);
    }
}

#define LIST(...)                                                                                                  \
    (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), (double[]) { __VA_ARGS__ }
#define EXPECT(what, got, ...) expect(what, got, 1e-6, LIST(__VA_ARGS__))

static inline wg_tensor numbers(wg_dtype dtype, wg_shape shape, const double *x)
{
    return wg_cast(wg_data(tape, WG_F64, shape, x), dtype);
}

/* A row of numbers, and what a function of it and its gradient are. The gradient is that of 1 y0 + 2 y1 + 3 y2. */
#define ROW(dtype, ...) numbers(dtype, WG_DIMS(LENGTH(__VA_ARGS__)), (double[]){__VA_ARGS__})
#define LENGTH(...)     (int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double))

static inline wg_tensor gradient(wg_tensor y, wg_tensor x)
{
    wg_dtype dtype = wg_dtype_get(y);
    if (wg_rank(y) == 0) return wg_grad1(y, x, WG_NONE);
    return wg_grad1(y, x, wg_arange(tape, dtype, 1, 1, wg_numel(y)));
}

static const wg_dtype floats[] __attribute__((unused)) = {WG_F32, WG_F64};

#endif
