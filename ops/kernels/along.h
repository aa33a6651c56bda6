/* Internal. What reductions, scans, softmaxes, losses and norms share between their op and their kernel:
 * attributes, the shape as outer x n x inner, and how tasks are cut. Tasks are blocks of constant size. */
#ifndef WG_KERNELS_ALONG_H
#define WG_KERNELS_ALONG_H

#include "../../autograd/exec.h"
#include "integers.h"

/* A task has about as many elements. */
enum { WG__ALONG_TASK = 16384, WG__ALONG_COLUMNS = 256 };

typedef struct wg__reduce_attr {
    uint32_t mask; /* bit a: axis a is reduced; apart from axes of size 1 the reduced ones are adjacent */
    int32_t keep;  /* reduced axes stay as size 1 */
} wg__reduce_attr;

typedef struct wg__scan_attr {
    int32_t axis;
    int32_t reverse; /* cumsum: from the end; argsort: descending */
    int64_t count;   /* argsort: how many of the order are wanted */
} wg__scan_attr;

typedef struct wg__cross_entropy_attr {
    int64_t ignore_index;
    int64_t classes;
    double smoothing;
    int32_t dtype; /* of the result, where no operand tells */
    int32_t pad;
} wg__cross_entropy_attr;

typedef struct wg__layer_norm_attr {
    double epsilon;
} wg__layer_norm_attr;

typedef struct wg__dropout_attr {
    wg_shape shape;
    int32_t dtype;
    double p;
} wg__dropout_attr;

/* A dense tensor seen as [outer, n, inner]: work goes along n. */
typedef struct wg__along {
    int64_t outer, n, inner;
} wg__along;

static inline wg__along wg__along_axes(const wg_operand *x, uint32_t mask)
{
    wg__along a = {1, 1, 1};
    bool seen = false;
    for (int i = 0; i < x->rank; i++) {
        if (x->size[i] == 1) continue; /* also one that is reduced: adjacency does not count it */
        if (mask >> i & 1) {
            a.n *= x->size[i];
            seen = true;
        } else {
            if (seen) {
                a.inner *= x->size[i];
            } else {
                a.outer *= x->size[i];
            }
        }
    }
    return a;
}

/* The last axis; the rows are a.outer. */
static inline wg__along wg__along_last(const wg_operand *x)
{
    return wg__along_axes(x, x->rank > 0 ? 1u << (x->rank - 1) : 0);
}

/* Columns that are worked on together when inner > 1. Narrow enough that a matrix of few columns still
 * makes several tasks, wide enough to read whole cache lines. */
static inline int64_t wg__along_width(wg__along a)
{
    return least(between(64, round_up(a.inner / 4, 64), WG__ALONG_COLUMNS), a.inner);
}

/* The units of work: rows when inner is 1, else strips of columns. */
static inline int64_t wg__along_units(wg__along a)
{
    if (a.inner <= 1) return a.outer * a.inner;
    return a.outer * ceil_div(a.inner, wg__along_width(a));
}

static inline int64_t wg__along_units_per_task(wg__along a)
{
    int64_t elements = a.n * (a.inner <= 1 ? 1 : wg__along_width(a));
    return most(1, WG__ALONG_TASK / most(1, elements));
}

static inline int64_t wg__along_tasks(wg__along a)
{
    return most(1, ceil_div(wg__along_units(a), wg__along_units_per_task(a)));
}

/* The units [first, stop) of a task. */
static inline void wg__along_cut(wg__along a, int64_t task, int64_t *first, int64_t *stop)
{
    int64_t units = wg__along_units(a), per_task = wg__along_units_per_task(a);
    *first = task * per_task;
    *stop = least(*first + per_task, units);
}

/* A unit's place: the strip of columns [column, column + width) of slice `outer`. */
typedef struct wg__strip {
    int64_t outer, column;
    int width;
} wg__strip;

static inline wg__strip wg__along_strip(wg__along a, int64_t unit)
{
    if (a.inner <= 1) return (wg__strip){unit, 0, 1};
    int64_t width = wg__along_width(a), strips = ceil_div(a.inner, width);
    wg__strip s = {unit / strips, unit % strips * width, 0};
    s.width = (int)least(a.inner - s.column, width);
    return s;
}

#endif
