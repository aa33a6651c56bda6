/* Reductions. Each element of the result is computed within one task, in the fixed order of lanes.h. */
#include "reduce.h"
#include "rows.h"

#include "../base/lanes.h"

static wg__extents geometry(const wg_args *args)
{
    const wg__reduce_attr *attr = args->attr;
    return wg__extents_of_mask(&args->in[0], attr->mask);
}

VINLINE void reduce(combine kind, const wg_args *args, int64_t task)
{
    wg__extents a = geometry(args);
    const real *x = args->in[0].data;
    real *out = args->out.data;
    int64_t first, stop;
    wg__reduce_cut(a, task, &first, &stop);
    for (int64_t unit = first; unit < stop; unit++) {
        if (a.inner == 1) {
            out[unit] = row_combine(kind, x + unit * a.n, a.n);
        } else {
            wg__strip s = wg__reduce_strip(a, unit);
            combine_columns(kind, x + s.outer * a.n * a.inner + s.column, a.n, a.inner, s.width,
                            out + s.outer * a.inner + s.column);
        }
    }
}

void WG__K(prod)(const wg_args *args, int64_t task) { reduce(COMBINE_PROD, args, task); }
void WG__K(max)(const wg_args *args, int64_t task) { reduce(COMBINE_MAX, args, task); }
void WG__K(min)(const wg_args *args, int64_t task) { reduce(COMBINE_MIN, args, task); }

/* out[o, r, c] = the product of x[o, s, c] over s != r: the product before r times the product after. */
static void product_of_others(const real *x, real *out, int64_t n, int64_t stride, int width)
{
    real run[WG__REDUCE_COLUMNS];
    fill_lanes(run, width, 1);
    for (int64_t r = 0; r < n; r++) {
        for (int i = 0; i < width; i++) {
            out[r * stride + i] = run[i];
            run[i] *= x[r * stride + i];
        }
    }
    fill_lanes(run, width, 1);
    for (int64_t r = n - 1; r >= 0; r--) {
        for (int i = 0; i < width; i++) {
            out[r * stride + i] *= run[i];
            run[i] *= x[r * stride + i];
        }
    }
}

void WG__K(prod_others)(const wg_args *args, int64_t task)
{
    wg__extents a = geometry(args);
    int64_t first, stop;
    wg__reduce_cut(a, task, &first, &stop);
    for (int64_t unit = first; unit < stop; unit++) {
        wg__strip s = wg__reduce_strip(a, unit);
        int64_t at = s.outer * a.n * a.inner + s.column;
        product_of_others((const real *)args->in[0].data + at, (real *)args->out.data + at, a.n, a.inner, s.width);
    }
}

/* ln sum e^x, shifted by the maximum; rows only (inner is 1). A maximum that is infinite or NaN is the result. */
static real row_logsumexp(const real *x, int64_t n)
{
    real top = row_combine(COMBINE_MAX, x, n);
    return top - top == 0 ? top + (real)log(row_exp_sum(x, top, n)) : top;
}

void WG__K(logsumexp)(const wg_args *args, int64_t task)
{
    wg__extents a = geometry(args);
    const real *x = args->in[0].data;
    real *out = args->out.data;
    int64_t first, stop;
    wg__reduce_cut(a, task, &first, &stop);
    for (int64_t i = first; i < stop; i++) out[i] = row_logsumexp(x + i * a.n, a.n);
}

/* g e^(x - max) / sum: a softmax, since e^(x - y) by the rounded result y is off by the rounding times e^x. Where the
 * maximum is +inf, g e^(x - inf): NaN for +inf, 0 for the others. Zeros if all x are -inf. */
static void row_logsumexp_grad(const real *x, real g, real *out, int64_t n)
{
    real shift = row_shift(x, n), sum;
    exp_shifted(x, shift, out, n);
    sum = shift == (real)INFINITY ? 1 : row_combine(COMBINE_SUM, out, n);
    real factor = sum == 0 ? 0 : g / sum;
    for (int64_t i = 0; i < n; i += VLANES) store_some(out + i, load_some(out + i, n - i) * factor, n - i);
}

/* operands: x, the gradient of each row's result */
void WG__K(logsumexp_grad)(const wg_args *args, int64_t task)
{
    wg__extents a = geometry(args);
    const real *x = args->in[0].data, *g = args->in[1].data;
    real *out = args->out.data;
    int64_t first, stop;
    wg__reduce_cut(a, task, &first, &stop);
    for (int64_t i = first; i < stop; i++) row_logsumexp_grad(x + i * a.n, g[i], out + i * a.n, a.n);
}

/* ---- the index of the extreme ------------------------------------------------------------------------------ */

VINLINE int hit(real x, real top) { return (x == top) | ((x != x) & (top != top)); }

/* The first r with the value of the extreme, or the first NaN if that is NaN. Goes from the last row to the first, so
 * that the first remains. */
VINLINE void columns_arg(combine kind, const real *x, int64_t n, int64_t stride, int width, int32_t *out)
{
    real top[WG__REDUCE_COLUMNS];
    int32_t best[WG__REDUCE_COLUMNS] = {0};
    combine_columns(kind, x, n, stride, width, top);
    for (int64_t r = n - 1; r >= 0; r--) {
        const real *p = x + r * stride;
        for (int i = 0; i < width; i++) { best[i] = hit(p[i], top[i]) ? (int32_t)r : best[i]; }
    }
    memcpy(out, best, (size_t)width * sizeof(int32_t));
}

VINLINE int32_t row_arg(combine kind, const real *x, int64_t n)
{
    real top = row_combine(kind, x, n);
    int64_t i = 0;
    for (; i + LANES < n; i += LANES) { /* find its block */
        int hits = 0;
        for (int j = 0; j < LANES; j++) hits |= hit(x[i + j], top);
        if (hits) break;
    }
    while (i < n - 1 && !hit(x[i], top)) i++;
    return (int32_t)i;
}

VINLINE void arg(combine kind, const wg_args *args, int64_t task)
{
    wg__extents a = geometry(args);
    const real *x = args->in[0].data;
    int32_t *out = args->out.data;
    int64_t first, stop;
    wg__reduce_cut(a, task, &first, &stop);
    for (int64_t unit = first; unit < stop; unit++) {
        wg__strip s = wg__reduce_strip(a, unit);
        if (a.inner == 1) {
            out[unit] = row_arg(kind, x + unit * a.n, a.n);
        } else {
            columns_arg(kind, x + s.outer * a.n * a.inner + s.column, a.n, a.inner, s.width,
                        out + s.outer * a.inner + s.column);
        }
    }
}

void WG__K(argmax)(const wg_args *args, int64_t task) { arg(COMBINE_MAX, args, task); }
void WG__K(argmin)(const wg_args *args, int64_t task) { arg(COMBINE_MIN, args, task); }

/* ---- masks: no variant matters, the op uses the one for f32 ------------------------------------- */

VINLINE void truth(bool all, const wg_args *args, int64_t task)
{
    wg__extents a = geometry(args);
    const uint8_t *x = args->in[0].data;
    uint8_t *out = args->out.data;
    int64_t first, stop;
    wg__reduce_cut(a, task, &first, &stop);
    for (int64_t unit = first; unit < stop; unit++) {
        wg__strip s = wg__reduce_strip(a, unit);
        uint8_t *y = out + s.outer * a.inner + s.column;
        memset(y, all, (size_t)s.width);
        for (int64_t r = 0; r < a.n; r++) {
            const uint8_t *p = x + (s.outer * a.n + r) * a.inner + s.column;
            for (int i = 0; i < s.width; i++) y[i] = all ? y[i] & p[i] : y[i] | p[i];
        }
    }
}

void WG__K(any)(const wg_args *args, int64_t task) { truth(false, args, task); }
void WG__K(all)(const wg_args *args, int64_t task) { truth(true, args, task); }
