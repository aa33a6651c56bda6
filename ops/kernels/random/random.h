/* Internal. Kernels that generate numbers: random operands, dropout's mask, ranges, initial values of parameters.
 *
 * Every random number is a function of (seed, step, key, element) by Philox (autograd's random.h), so results do not
 * depend on tasks or threads. The room knows fills (move/) and no op. */
#ifndef WG_KERNELS_RANDOM_H
#define WG_KERNELS_RANDOM_H

#include "../../../autograd/base/random.h"
#include "../base/kernel.h"

enum { WG__RANDOM_TASK = 16384 }; /* elements of a task; chosen, not measured */
_Static_assert(WG__RANDOM_TASK % 64 == 0, "a task begins at a block of Philox, and at a group of dropout's blocks");

typedef struct wg__arange_attr {
    double start, step;
    int64_t n, dtype;
} wg__arange_attr;

typedef struct wg__random_attr { /* uniform: [a, b); normal: mean a, deviation b; bernoulli: probability a */
    wg_shape shape;
    int64_t dtype;
    double a, b;
} wg__random_attr;

typedef struct wg__dropout_attr {
    wg_shape shape;
    int32_t dtype;
    double p;
} wg__dropout_attr;

/* Block `block` of four uniform numbers in [0, 1), with 24 random bits, or 53 in f64. */
INLINE void wg__uniform4(bool f64, uint64_t seed, uint64_t step, uint64_t key, uint64_t block, double u[4])
{
    uint32_t bits[4], more[4] = {0};
    wg__random4(seed, step, key, block, bits);
    if (f64) wg__random4_more(seed, step, key, block, more);
    for (int i = 0; i < 4; i++) u[i] = f64 ? wg__uniform_f64(bits[i], more[i]) : wg__uniform(bits[i]);
}

int64_t wg__random_tasks(const wg_args *args);
void wg__arange_kernel(const wg_args *args, int64_t task);
void wg__uniform_kernel(const wg_args *args, int64_t task);
void wg__normal_kernel(const wg_args *args, int64_t task);
void wg__bernoulli_kernel(const wg_args *args, int64_t task);

/* Initial values; element i depends on (seed, key, i) only. constant: a. uniform: a + (b - a) u, u in [0, 1).
 * normal: a + b z, z standard normal. */
void wg__fill_random(wg_dtype dtype, wg_init_kind kind, double a, double b, uint64_t seed, uint64_t key, int64_t n,
                     void *out);
/* [rows, cols] whose shorter side's vectors are orthonormal, times gain (Saxe et al. 2014). */
void wg__orthogonal(wg_dtype dtype, double gain, uint64_t seed, uint64_t key, int64_t rows, int64_t cols,
                    void *out);

#endif
