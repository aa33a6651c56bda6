/* Ranges and random numbers, computed in double and rounded once. Element i takes number i % 4 of Philox block i / 4
 * (autograd's random.h): 24 bits for f32; for f64 the same 24, and 29 more. */
#include "random.h"

#include <math.h>

#include "../../../autograd/base/random.h"
#include "../base/integers.h"

int64_t wg__random_tasks(const wg_args *args) { return ceil_div(args->out.numel, WG__RANDOM_TASK); }

static void range(const wg_args *args, int64_t task, int64_t *at, int64_t *stop)
{
    *at = task * WG__RANDOM_TASK;
    *stop = min64(*at + WG__RANDOM_TASK, args->out.numel);
}

static void store(const wg_operand *out, int64_t i, double value)
{
    switch (out->dtype) {
    case WG_F32: ((float *)out->data)[i] = (float)value; break;
    case WG_F64: ((double *)out->data)[i] = value; break;
    default: ((int32_t *)out->data)[i] = (int32_t)value; break;
    }
}

void wg__arange_kernel(const wg_args *args, int64_t task)
{
    const wg__arange_attr *attr = args->attr;
    int64_t at, stop;
    range(args, task, &at, &stop);
    for (; at < stop; at++) store(&args->out, at, attr->start + (double)at * attr->step);
}

/* Those of elements at .. at + 3. */
INLINE void uniform4(const wg_args *args, int64_t at, bool f64, double u[4])
{
    wg__uniform4(f64, wg_args_seed(args), wg_args_step(args), args->key, (uint64_t)at / 4, u);
}

/* f64: the type, as a constant of each of the two loops */
INLINE void uniform_of(const wg_args *args, int64_t task, bool f64)
{
    const wg__random_attr *attr = args->attr;
    int64_t at, stop;
    double u[4], limit = f64 ? attr->b : (double)(float)attr->b;
    range(args, task, &at, &stop);
    for (; at < stop; at++) {
        if (at % 4 == 0) uniform4(args, at, f64, u);
        double value = attr->a + (attr->b - attr->a) * u[at % 4];
        if (!f64) value = (float)value;
        store(&args->out, at, value < limit ? value : attr->a); /* rounding may reach b, which is excluded */
    }
}

void wg__uniform_kernel(const wg_args *args, int64_t task)
{
    if (args->out.dtype == WG_F64)
        uniform_of(args, task, true);
    else
        uniform_of(args, task, false);
}

/* Two normal numbers from two uniform ones (Box, Muller 1958). */
INLINE void normal_of(const wg_args *args, int64_t task, bool f64)
{
    const wg__random_attr *attr = args->attr;
    int64_t at, stop;
    double u[4], z[4];
    range(args, task, &at, &stop);
    for (; at < stop; at++) {
        if (at % 4 == 0) {
            uniform4(args, at, f64, u);
            for (int i = 0; i < 4; i += 2) {
                double radius = sqrt(-2 * log(1 - u[i])), angle = 6.283185307179586 * u[i + 1];
                z[i] = radius * cos(angle);
                z[i + 1] = radius * sin(angle);
            }
        }
        store(&args->out, at, attr->a + attr->b * z[at % 4]);
    }
}

void wg__normal_kernel(const wg_args *args, int64_t task)
{
    if (args->out.dtype == WG_F64)
        normal_of(args, task, true);
    else
        normal_of(args, task, false);
}

/* True with the probability a, to 53 bits. Those past the first 24 matter, and are drawn, only if these are a's. */
void wg__bernoulli_kernel(const wg_args *args, int64_t task)
{
    const wg__random_attr *attr = args->attr;
    uint32_t bits[4], limit = (uint32_t)ceil(attr->a * 0x1p24);
    uint32_t last =
        attr->a * 0x1p24 != (double)limit ? limit - 1 : UINT32_MAX; /* a's first 24 bits, if it has more */
    double all[4];
    uint8_t *out = args->out.data;
    int64_t at, stop;
    range(args, task, &at, &stop);
    for (; at < stop; at++) {
        if (at % 4 == 0) wg__random4(wg_args_seed(args), wg_args_step(args), args->key, (uint64_t)at / 4, bits);
        out[at] = bits[at % 4] >> 8 < limit;
        if (bits[at % 4] >> 8 != last) continue;
        uniform4(args, at - at % 4, true, all);
        out[at] = all[at % 4] < attr->a;
    }
}
