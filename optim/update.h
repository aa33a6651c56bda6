/* Internal to optim/: the loops over numbers, compiled once per element type and instruction set. */
#ifndef WG_OPTIM_UPDATE_H
#define WG_OPTIM_UPDATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WG__UPDATE_SLOTS = 3 };

/* Updates p[n] and the state arrays slot[i][n] from g[n], in one pass over memory. c: coefficients; see update.c. */
typedef void (*wg__update_fn)(int64_t n, void *p, const void *g, void *const *slot, const double *c);

typedef struct wg__update_kernels {
    wg__update_fn sgd, sgd_momentum;
    wg__update_fn rmsprop, rmsprop_momentum, rmsprop_centered, rmsprop_centered_momentum;
    wg__update_fn adam, amsgrad;
    wg__update_fn adagrad;
    int64_t (*first_nonfinite)(int64_t n, const void *g); /* index; -1: all are finite */
    /* of g unit, in f64; the order of additions depends on n only */
    double (*sum_squares)(int64_t n, const void *g, double unit);
    void (*scale)(int64_t n, void *g, double factor);
    void (*clamp)(int64_t n, void *g, double limit);
} wg__update_kernels;

extern const wg__update_kernels wg__update_f32_baseline, wg__update_f64_baseline;
extern const wg__update_kernels wg__update_f32_avx2, wg__update_f64_avx2;
extern const wg__update_kernels wg__update_f32_avx512, wg__update_f64_avx512;

#endif
