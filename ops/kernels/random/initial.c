/* Initial values of parameters: random numbers that are a function of (seed, key, element) alone. */
#include "random.h"

#include <assert.h>
#include <math.h>

#include "../base/integers.h"
#include "../move/move.h"

/* The number, or the next lower one of the dtype where it is rounded to b, unless there is none. */
static double below(wg_dtype dtype, double number, double a, double b)
{
    if (dtype == WG_F32)
        return (double)((float)number < (float)b ? number : fmax(nextafterf((float)b, -INFINITY), a));
    return number < b ? number : fmax(nextafter(b, -INFINITY), a);
}

/* Four standard normal numbers (Box, Muller 1958). The first uniform number of a pair, a multiple of the unit, is put
 * into (0, 1]: by u + unit, where random.c takes 1 - u, which is other numbers. */
static void normal4(const double u[4], double unit, double z[4])
{
    for (int i = 0; i < 4; i += 2) {
        double radius = sqrt(-2 * log(u[i] + unit)), angle = 6.283185307179586 * u[i + 1];
        z[i] = radius * cos(angle);
        z[i + 1] = radius * sin(angle);
    }
}

void wg__fill_random(wg_dtype dtype, wg_init_kind kind, double a, double b, uint64_t seed, uint64_t key, int64_t n,
                     void *out)
{
    if (kind == WG_INIT_CONSTANT) {
        wg__from_f64(dtype, a, n, out);
        return;
    }
    const bool f64 = dtype == WG_F64;
    for (int64_t i = 0; i < n; i += 4) {
        double u[4], value[4];
        wg__uniform4(f64, seed, 0, key, (uint64_t)i / 4, u);
        if (kind == WG_INIT_UNIFORM) {
            for (int j = 0; j < 4; j++) value[j] = below(dtype, a + (b - a) * u[j], a, b);
        } else {
            normal4(u, f64 ? 0x1p-53 : 0x1p-24, value);
            for (int j = 0; j < 4; j++) value[j] = a + b * value[j];
        }
        for (int j = 0; j < 4 && i + j < n; j++) {
            if (dtype == WG_F32)
                ((float *)out)[i + j] = (float)value[j];
            else if (dtype == WG_F64)
                ((double *)out)[i + j] = value[j];
            else
                wg__from_f64(dtype, value[j], 1, (char *)out + (size_t)(i + j) * wg_dtype_size(dtype));
        }
    }
}

/* ---- orthogonal ------------------------------------------------------------------------------------------- */

/* A matrix of f32 or f64 seen as n vectors. */
typedef struct vectors {
    void *data;
    int64_t n, length, vector, element; /* vectors and their length; strides of both */
} vectors;

INLINE double get(wg_dtype dtype, const vectors *x, int64_t v, int64_t i)
{
    int64_t at = v * x->vector + i * x->element;
    return dtype == WG_F32 ? (double)((const float *)x->data)[at] : ((const double *)x->data)[at];
}

INLINE void set(wg_dtype dtype, const vectors *x, int64_t v, int64_t i, double value)
{
    int64_t at = v * x->vector + i * x->element;
    if (dtype == WG_F32)
        ((float *)x->data)[at] = (float)value;
    else
        ((double *)x->data)[at] = value;
}

/* Subtracts from vector v its projections onto vectors [first, first + count), which are orthonormal. */
INLINE void subtract_projections(wg_dtype dtype, const vectors *x, int64_t v, int64_t first, int count)
{
    double part[32] = {0};
    for (int64_t i = 0; i < x->length; i++) {
        double own = get(dtype, x, v, i);
        for (int k = 0; k < count; k++) part[k] += own * get(dtype, x, first + k, i);
    }
    for (int64_t i = 0; i < x->length; i++) {
        double own = get(dtype, x, v, i);
        for (int k = 0; k < count; k++) own -= part[k] * get(dtype, x, first + k, i);
        set(dtype, x, v, i, own);
    }
}

INLINE void scale_to(wg_dtype dtype, const vectors *x, int64_t v, double length)
{
    double sum = 0;
    for (int64_t i = 0; i < x->length; i++) sum += get(dtype, x, v, i) * get(dtype, x, v, i);
    double factor = sum > 0 ? length / sqrt(sum) : 0;
    for (int64_t i = 0; i < x->length; i++) set(dtype, x, v, i, get(dtype, x, v, i) * factor);
}

/* Gram-Schmidt, each vector twice ("twice is enough", Giraud et al. 2005). */
INLINE void orthonormalize(wg_dtype dtype, const vectors *x, double gain)
{
    for (int64_t v = 0; v < x->n; v++) {
        for (int again = 0; again < 2; again++) {
            for (int64_t first = 0; first < v; first += 32)
                subtract_projections(dtype, x, v, first, (int)min64(v - first, 32));
            scale_to(dtype, x, v, 1);
        }
    }
    for (int64_t v = 0; v < x->n; v++) scale_to(dtype, x, v, gain);
}

void wg__orthogonal(wg_dtype dtype, double gain, uint64_t seed, uint64_t key, int64_t rows, int64_t cols, void *out)
{
    wg__fill_random(dtype, WG_INIT_NORMAL, 0, 1, seed, key, rows * cols, out);
    vectors by_row = {out, rows, cols, cols, 1}, by_column = {out, cols, rows, 1, cols};
    const vectors *x = rows <= cols ? &by_row : &by_column;
    assert(wg_dtype_is_float(dtype));
    if (dtype == WG_F32)
        orthonormalize(WG_F32, x, gain);
    else
        orthonormalize(WG_F64, x, gain);
}
