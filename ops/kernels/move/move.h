/* Internal. Moving elements of any dtype: copies, fills, padding, reading and adding by index.
 *
 * Most of these kernels move bytes and never interpret them; they are compiled once. Only scatter.c and
 * search.c compute, so they are compiled per variant. The room knows casts (pointwise/), for filling and for reading
 * scalars, and no op. */
#ifndef WG_KERNELS_MOVE_H
#define WG_KERNELS_MOVE_H

#include "../base/axes.h"

/* ---- attributes, shared with the ops ----------------------------------------------------------------------------- */

typedef struct wg__slice_attr {
    int64_t axis, start, stop, step;
} wg__slice_attr;

typedef struct wg__dilate_attr { /* element i of in0 goes to start + i * step of the result's `size` */
    int64_t axis, start, step, size;
} wg__dilate_attr;

typedef struct wg__axis_attr {
    int64_t axis;
} wg__axis_attr;

typedef struct wg__permute_attr {
    int64_t axis[WG_MAX_RANK]; /* the result's axis i is the operand's axis[i] */
} wg__permute_attr;

typedef struct wg__index_add_attr { /* result: zeros, `size` along axis */
    int64_t axis, size;
} wg__index_add_attr;

typedef enum wg__arg_mode { WG__ARG_LAST, WG__ARG_MAX, WG__ARG_MIN } wg__arg_mode;
typedef struct wg__scatter_arg_attr { /* result: `size` along axis */
    int64_t axis, size, mode;
} wg__scatter_arg_attr;

typedef struct wg__search_attr {
    int64_t right; /* behind equal numbers, not before them */
} wg__search_attr;

typedef struct wg__one_hot_attr {
    int64_t classes;
    int64_t dtype;
} wg__one_hot_attr;

/* ---- move.c ------------------------------------------------------------------------------------------------------ */

/* out = in0, of any strides. Any dtype. */
void wg__copy_kernel(const wg_args *args, int64_t task);
int64_t wg__copy_tasks(const wg_args *args);
/* out = the value of a wg__fill_attr. */
void wg__fill_kernel(const wg_args *args, int64_t task);

/* y = x for elements of 1, 2, 4 or 8 bytes. */
wg_pointwise wg__identity(size_t element_size);

void wg__to_f64(wg_dtype dtype, const void *in, int64_t n, double *out);
/* out[i] = value, converted as wg_cast does. */
void wg__from_f64(wg_dtype dtype, double value, int64_t n, void *out);
/* The index of the first element that is NaN or infinite; -1 if there is none. */
int64_t wg__first_nonfinite(wg_dtype dtype, const void *in, int64_t n);

/* ---- pad.c ------------------------------------------------------------------------------------------------------- */

enum { WG__BLOCK_BYTES = 65536 };             /* of the result, in a task; chosen, not measured */
int64_t wg__bytes_tasks(const wg_args *args); /* tasks of whole elements */
void wg__pad_kernel(const wg_args *args, int64_t task);
void wg__dilate_kernel(const wg_args *args, int64_t task);

/* ---- index.c ----------------------------------------------------------------------------------------------------- */

void wg__take_kernel(const wg_args *args, int64_t task); /* in0 x, in1 index; attr wg__axis_attr */
void wg__gather_kernel(const wg_args *args, int64_t task);
void wg__one_hot_kernel(const wg_args *args, int64_t task);

/* ---- update.c ---------------------------------------------------------------------------------------------------- */

void wg__update_kernel(const wg_args *args, int64_t task); /* in0 start, in1 slice, in2 base; attr wg__axis_attr */
int64_t wg__update_tasks(const wg_args *args);

/* ---- scatter.c (the cut: scatter_tasks.c) ------------------------------------------------------------------------ */

/* A unit is a strip of columns (of the inner axes) of one outer index; a task is some units. */
enum { WG__SCATTER_COLUMNS = 64 }; /* chosen, not measured */
int64_t wg__scatter_tasks(const wg_args *args);
int64_t wg__scatter_units(const wg_args *args); /* of a task */

/* So many f32 numbers are added to an element one by one; sums of more are accumulated in f64. The error of a sum is at
 * most 1.5e-5 of its terms' size, whatever their number. */
enum { WG__SCATTER_RUN = 256 };
size_t wg__index_add_scratch(const wg_args *args);
size_t wg__scatter_add_scratch(const wg_args *args);
int64_t wg__scatter_add_width(int64_t rows, int64_t width); /* columns whose sums in f64 stay in the cache */

#endif
