/* Ranges and random numbers, computed in double and rounded once, so that f32 and f64 get the same stream. Element i
 * takes number i % 4 of Philox block i / 4 (autograd's random.h). */
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

static void block(const wg_args *args, int64_t at, uint32_t bits[4])
{
    wg__random4(wg_args_seed(args), wg_args_step(args), args->key, (uint64_t)at / 4, bits);
}

void wg__uniform_kernel(const wg_args *args, int64_t task)
{
    const wg__random_attr *attr = args->attr;
    int64_t at, stop;
    uint32_t bits[4];
    double limit = args->out.dtype == WG_F32 ? (float)attr->b : attr->b;
    range(args, task, &at, &stop);
    for (; at < stop; at++) {
        if (at % 4 == 0) block(args, at, bits);
        double value = attr->a + (attr->b - attr->a) * wg__uniform(bits[at % 4]);
        if (args->out.dtype == WG_F32) value = (float)value;
        store(&args->out, at, value < limit ? value : attr->a); /* rounding may reach b, which is excluded */
    }
}

/* Two normal numbers from two uniform ones (Box, Muller 1958). */
void wg__normal_kernel(const wg_args *args, int64_t task)
{
    const wg__random_attr *attr = args->attr;
    int64_t at, stop;
    uint32_t bits[4];
    double z[4];
    range(args, task, &at, &stop);
    for (; at < stop; at++) {
        if (at % 4 == 0) {
            block(args, at, bits);
            for (int i = 0; i < 4; i += 2) {
                double radius = sqrt(-2 * log(1 - wg__uniform(bits[i])));
                double angle = 6.283185307179586 * wg__uniform(bits[i + 1]);
                z[i] = radius * cos(angle);
                z[i + 1] = radius * sin(angle);
            }
        }
        store(&args->out, at, attr->a + attr->b * z[at % 4]);
    }
}

void wg__bernoulli_kernel(const wg_args *args, int64_t task)
{
    const wg__random_attr *attr = args->attr;
    int64_t at, stop;
    uint32_t bits[4];
    uint8_t *out = args->out.data;
    range(args, task, &at, &stop);
    for (; at < stop; at++) {
        if (at % 4 == 0) block(args, at, bits);
        out[at] = wg__uniform(bits[at % 4]) < attr->a;
    }
}
