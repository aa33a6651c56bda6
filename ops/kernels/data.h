/* Internal. Kernels that move bytes, whatever they mean, or make numbers in double: compiled once. With them the
 * attributes that op and kernel share. */
#ifndef WG_KERNELS_DATA_H
#define WG_KERNELS_DATA_H

#include "../../autograd/exec.h"

typedef struct wg__slice_attr {
    int64_t axis, start, stop, step;
} wg__slice_attr;

typedef struct wg__spread_attr { /* in0's element i stands at start + i * step of the result's `size` */
    int64_t axis, start, step, size;
} wg__spread_attr;

typedef struct wg__axis_attr {
    int64_t axis;
} wg__axis_attr;

typedef struct wg__index_add_attr { /* result: zeros, `size` along axis */
    int64_t axis, size;
} wg__index_add_attr;

typedef struct wg__one_hot_attr {
    int64_t classes;
    int64_t dtype;
} wg__one_hot_attr;

typedef struct wg__arange_attr {
    double start, step;
    int64_t n, dtype;
} wg__arange_attr;

typedef struct wg__random_attr { /* uniform: [a, b); normal: mean a, deviation b; bernoulli: probability a */
    wg_shape shape;
    int64_t dtype;
    double a, b;
} wg__random_attr;

/* ---- join.c ------------------------------------------------------------------------------------------ */
enum { WG__BLOCK_BYTES = 65536 };
int64_t wg__bytes_tasks(const wg_args *args); /* the result, in blocks of so many: whole elements */
void wg__pad_kernel(const wg_args *args, int64_t task);
void wg__spread_kernel(const wg_args *args, int64_t task);

/* ---- index.c ----------------------------------------------------------------------------------------- */
void wg__take_kernel(const wg_args *args, int64_t task); /* in0 x, in1 index; attr wg__axis_attr */
void wg__gather_kernel(const wg_args *args, int64_t task);
void wg__one_hot_kernel(const wg_args *args, int64_t task);

/* ---- random.c ---------------------------------------------------------------------------------------- */
int64_t wg__numbers_tasks(const wg_args *args);
void wg__arange_kernel(const wg_args *args, int64_t task);
void wg__uniform_kernel(const wg_args *args, int64_t task);
void wg__normal_kernel(const wg_args *args, int64_t task);
void wg__bernoulli_kernel(const wg_args *args, int64_t task);

/* ---- sum.c and scatter.c are compiled per instruction set; how their tasks are cut is in tasks.c ---- */
enum { WG__SUM_COLUMNS = 128 }; /* sums side by side, at most */
int64_t wg__sum_tasks(const wg_args *args);
int64_t wg__sum_block(const wg_args *args); /* elements of the result in a task */

/* Scatters: a unit is a strip of columns (of the inner axes) of one outer index; a task some units. */
enum { WG__SCATTER_COLUMNS = 64 };
int64_t wg__scatter_tasks(const wg_args *args);
int64_t wg__scatter_units(const wg_args *args); /* of a task */

/* A dense tensor as [outer, n, inner] about one axis. */
typedef struct wg__about {
    int64_t outer, n, inner;
} wg__about;

static inline wg__about wg__about_axis(const wg_operand *x, int64_t axis)
{
    wg__about a = {1, x->size[axis], 1};
    for (int i = 0; i < axis; i++) a.outer *= x->size[i];
    for (int i = (int)axis + 1; i < x->rank; i++) a.inner *= x->size[i];
    return a;
}

#endif
