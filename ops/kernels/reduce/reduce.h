/* Internal. Reductions, scans, softmax, losses and norms: what they share with their ops.
 *
 * Attributes, and how the work is cut. A kernel sees its operand as [outer, n, inner] and works along n. It knows no
 * op and no other room; sums follow the fixed order of base/lanes.h, so the cut into tasks changes no bit. Tasks are
 * cut by shape alone. */
#ifndef WG_KERNELS_REDUCE_H
#define WG_KERNELS_REDUCE_H

#include "../base/axes.h"
#include "../base/integers.h"

/* Elements of a task, about; columns of a strip, at most. Chosen, not measured. */
enum { WG__REDUCE_TASK = 16384, WG__REDUCE_COLUMNS = 256 };

typedef struct wg__reduce_attr {
    uint32_t mask; /* bit a: axis a is reduced; apart from axes of size 1 the reduced ones are adjacent */
    int32_t keep;  /* reduced axes stay as size 1 */
} wg__reduce_attr;

typedef struct wg__scan_attr {
    int32_t axis;
    int32_t reverse; /* cumsum: from the end; argsort: descending */
    int64_t count;   /* argsort: how many indices to return, the first in order */
} wg__scan_attr;

typedef struct wg__cross_entropy_attr {
    int64_t ignore_index;
    int64_t classes;
    double smoothing;
    int32_t dtype; /* of the result, where no operand implies it */
    int32_t pad;
} wg__cross_entropy_attr;

typedef struct wg__norm_attr {
    double epsilon;
    int64_t centered; /* layer norm; 0: RMS norm */
} wg__norm_attr;

typedef struct wg__center_attr {
    double epsilon;   /* will be added to the mean square; < 0: no unit is asked for, it is 1 */
    uint32_t mask;    /* bit a: axis a is reduced */
    int32_t centered; /* 0: the mean counts as 0 */
} wg__center_attr;

/* ---- sums to a shape (sum.c; the cut: sum_tasks.c) ------------------------------------------------------------ */

enum { WG__SUM_COLUMNS = 128 }; /* adjacent sums that are computed together, at most; chosen, not measured */
int64_t wg__sum_tasks(const wg_args *args);
int64_t wg__sum_block(const wg_args *args); /* elements of the result in a task */
int64_t wg__center_tasks(const wg_args *args);
int64_t wg__center_block(const wg_args *args);

/* ---- the cut of all others: units are rows if inner is 1, else strips of columns -------------------------------- */

/* Columns of a strip, if inner > 1. Narrow enough that a matrix of few columns still makes several tasks, wide enough
 * to read whole cache lines. */
static inline int64_t wg__reduce_width(wg__extents a)
{
    return min64(clamp64(round_up(a.inner / 4, 64), 64, WG__REDUCE_COLUMNS), a.inner);
}

static inline int64_t wg__reduce_units(wg__extents a)
{
    if (a.inner <= 1) return a.outer * a.inner;
    return a.outer * ceil_div(a.inner, wg__reduce_width(a));
}

static inline int64_t wg__reduce_units_per_task(wg__extents a)
{
    int64_t elements = a.n * (a.inner <= 1 ? 1 : wg__reduce_width(a));
    return max64(1, WG__REDUCE_TASK / max64(1, elements));
}

static inline int64_t wg__reduce_tasks(wg__extents a)
{
    return max64(1, ceil_div(wg__reduce_units(a), wg__reduce_units_per_task(a)));
}

/* The units [first, stop) of a task. */
static inline void wg__reduce_cut(wg__extents a, int64_t task, int64_t *first, int64_t *stop)
{
    int64_t units = wg__reduce_units(a), per_task = wg__reduce_units_per_task(a);
    *first = task * per_task;
    *stop = min64(*first + per_task, units);
}

/* Columns [column, column + width) of slice `outer`. */
typedef struct wg__strip {
    int64_t outer, column;
    int width;
} wg__strip;

static inline wg__strip wg__reduce_strip(wg__extents a, int64_t unit)
{
    if (a.inner <= 1) return (wg__strip){unit, 0, 1};
    int64_t width = wg__reduce_width(a), strips = ceil_div(a.inner, width);
    wg__strip s = {unit / strips, unit % strips * width, 0};
    s.width = (int)min64(a.inner - s.column, width);
    return s;
}

#endif
