/* Internal. Moving and making numbers of any dtype: what structural ops and the engine need. */
#ifndef WG_KERNELS_MOVE_H
#define WG_KERNELS_MOVE_H

#include "../../autograd/exec.h"

/* Runs one task of a chain: elements [task * block, (task + 1) * block) of its space. */
void wg__chain_run(const wg__chain *chain, int64_t task, void *scratch);
size_t wg__chain_scratch(const wg__chain *chain);

/* out = in0, of any strides; one task per wg__copy_tasks. Any dtype. */
void wg__copy_kernel(const wg_args *args, int64_t task);
int64_t wg__copy_tasks(const wg_args *args);
/* out = the value of a wg__fill_attr. */
void wg__fill_kernel(const wg_args *args, int64_t task);
/* out += in0, both dense. f32, f64, i32. */
void wg__accumulate_kernel(const wg_args *args, int64_t task);

/* y = x for elements of 1, 4 or 8 bytes. */
wg_pointwise wg__identity(size_t element_size);

void wg__to_f64(wg_dtype dtype, const void *in, int64_t n, double *out);
/* out[i] = value, cut to the dtype as wg_cast does. */
void wg__from_f64(wg_dtype dtype, double value, int64_t n, void *out);
/* The first element that is NaN or infinite; -1 if there is none. */
int64_t wg__first_nonfinite(wg_dtype dtype, const void *in, int64_t n);

/* Initial values; element i depends on (seed, key, i) only. constant: a. uniform: a + (b - a) u, u in [0, 1).
 * normal: a + b z, z standard normal. */
void wg__fill_random(wg_dtype dtype, wg_init_kind kind, double a, double b, uint64_t seed, uint64_t key, int64_t n,
                     void *out);
/* [rows, cols] whose shorter side's vectors are orthonormal, times gain (Saxe et al. 2014). */
void wg__orthogonal(wg_dtype dtype, double gain, uint64_t seed, uint64_t key, int64_t rows, int64_t cols,
                    void *out);

#endif
