/* The offset of the maximum of each window. Compiled per variant. */
#include "pool.h"

#include <string.h>

#include "../base/integers.h"
#include "../base/kernel.h"

enum {
    CHUNK = 64, /* windows processed together; chosen, not measured */
    WIDE = 32   /* rows of this many windows are processed one by one, shorter rows several at a time */
};

/* Keeps the first of the largest values; NaN counts as largest. */
static inline __attribute__((always_inline)) void take_larger(real value, int32_t offset, real *best, int32_t *at)
{
    bool take = value > *best || (value != value && *best == *best);
    *best = take ? value : *best;
    *at = take ? offset : *at;
}

/* Windows `step` apart; inlined with a constant for the usual steps. */
static inline __attribute__((always_inline)) void compare_strided(int n, real *restrict best, int32_t *restrict at,
                                                                  const real *restrict x, int step, int32_t offset)
{
    for (int i = 0; i < n; i++) take_larger(x[i * step], offset + i * step, &best[i], &at[i]);
}

static void compare_at(int n, real *restrict best, int32_t *restrict at, const real *restrict x,
                       const int32_t *restrict start, int32_t shift)
{
    for (int i = 0; i < n; i++) take_larger(x[start[i] + shift], start[i] + shift, &best[i], &at[i]);
}

/* A channel, along WG__POOL_AXES axes. */
typedef struct plane {
    const wg__pool_attr *a;
    const real *x;
    int64_t size[WG__POOL_AXES], step[WG__POOL_AXES]; /* step: from an element to the next one */
    int64_t positions[WG__POOL_AXES];                 /* of windows */
} plane;

/* Along an axis: where a window begins, and the first and the last of its taps that are elements; one is. */
typedef struct extent {
    int32_t start, first, last;
} extent;

static inline extent find_extent(const plane *p, int axis, int64_t position)
{
    const int64_t dilation = p->a->dilation[axis], start = position * p->a->stride[axis] - p->a->before[axis];
    int64_t first = start, last = start + (p->a->kernel[axis] - 1) * dilation;
    while (first < 0) first += dilation;
    while (last >= p->size[axis]) last -= dilation;
    return (extent){(int32_t)start, (int32_t)first, (int32_t)last};
}

/* The positions low .. high - 1 of an axis, where all taps of a window are elements. */
static void find_inside(const plane *p, int axis, int64_t *low, int64_t *high)
{
    const wg__pool_attr *a = p->a;
    const int64_t room = p->size[axis] + a->before[axis] - (a->kernel[axis] - 1) * a->dilation[axis] - 1;
    *low = min64(ceil_div(a->before[axis], a->stride[axis]), p->positions[axis]);
    *high = room < 0 ? *low : clamp64(room / a->stride[axis] + 1, *low, p->positions[axis]);
}

/* Windows of rows with the extents i and j along the other axes; they begin at start[0 .. n) in the plane, `step`
 * apart, or unevenly if step is 0. The taps of a window are compared in order. */
static void chunk(const plane *p, extent i, extent j, const int32_t *start, int n, int64_t step, int32_t *out)
{
    const wg__pool_attr *a = p->a;
    const int32_t head = (int32_t)((i.first - i.start) * p->step[0] + (j.first - j.start) * p->step[1]);
    real best[CHUNK];
    int32_t at[CHUNK];
    for (int w = 0; w < n; w++) {
        at[w] = start[w] + head;
        best[w] = p->x[at[w]];
    }
    for (int64_t ti = i.first; ti <= i.last; ti += a->dilation[0]) {
        for (int64_t tj = j.first; tj <= j.last; tj += a->dilation[1]) {
            int64_t shift = (ti - i.start) * p->step[0] + (tj - j.start) * p->step[1];
            for (int64_t k = 0; k < a->kernel[2]; k++, shift += a->dilation[2]) {
                const real *x = p->x + (start[0] + shift);
                if (step == 1)
                    compare_strided(n, best, at, x, 1, start[0] + (int32_t)shift);
                else if (step == 2)
                    compare_strided(n, best, at, x, 2, start[0] + (int32_t)shift);
                else
                    compare_at(n, best, at, p->x, start, (int32_t)shift);
            }
        }
    }
    memcpy(out, at, (size_t)n * sizeof *out);
}

/* Windows that are processed together wherever they are: their indices in the result, and extents along each axis. */
typedef struct borders {
    int n;
    int32_t index[CHUNK];
    int32_t start[WG__POOL_AXES][CHUNK], first[WG__POOL_AXES][CHUNK], last[WG__POOL_AXES][CHUNK];
} borders;

static inline void add_border(borders *b, int64_t index, extent i, extent j, extent k)
{
    const extent e[WG__POOL_AXES] = {i, j, k};
    for (int axis = 0; axis < WG__POOL_AXES; axis++) {
        b->start[axis][b->n] = e[axis].start;
        b->first[axis][b->n] = e[axis].first;
        b->last[axis][b->n] = e[axis].last;
    }
    b->index[b->n++] = (int32_t)index;
}

/* The place of a tap. One in the padding is replaced by the nearest of its window that is an element: what is compared
 * twice changes no maximum, nor which is the first. */
static inline __attribute__((always_inline)) int32_t tap_of(const borders *b, int axis, int w, int32_t shift)
{
    int32_t place = b->start[axis][w] + shift;
    place = place < b->first[axis][w] ? b->first[axis][w] : place;
    return place > b->last[axis][w] ? b->last[axis][w] : place;
}

static void find_rows(const plane *p, const borders *b, int64_t i, int64_t j, int32_t *restrict row)
{
    const int32_t slice = (int32_t)p->step[0], step = (int32_t)p->step[1];
    for (int w = 0; w < b->n; w++)
        row[w] = tap_of(b, 0, w, (int32_t)i) * slice + tap_of(b, 1, w, (int32_t)j) * step;
}

static void compare_in_rows(const borders *b, real *restrict best, int32_t *restrict at, const real *restrict x,
                            const int32_t *restrict row, int32_t shift)
{
    for (int w = 0; w < b->n; w++) {
        int32_t place = row[w] + tap_of(b, 2, w, shift);
        take_larger(x[place], place, &best[w], &at[w]);
    }
}

static void chunk_at_border(const plane *p, borders *b, int32_t *out)
{
    const wg__pool_attr *a = p->a;
    int32_t row[CHUNK], at[CHUNK];
    real best[CHUNK];
    for (int w = 0; w < b->n; w++) {
        at[w] = (int32_t)(b->first[0][w] * p->step[0] + b->first[1][w] * p->step[1] + b->first[2][w]);
        best[w] = p->x[at[w]];
    }
    for (int64_t i = 0; i < a->kernel[0]; i++) {
        for (int64_t j = 0; j < a->kernel[1]; j++) {
            find_rows(p, b, i * a->dilation[0], j * a->dilation[1], row);
            for (int64_t k = 0; k < a->kernel[2]; k++)
                compare_in_rows(b, best, at, p->x, row, (int32_t)(k * a->dilation[2]));
        }
    }
    for (int w = 0; w < b->n; w++) out[b->index[w]] = at[w];
    b->n = 0;
}

/* Wide rows are processed one by one, narrow ones together. The windows at the ends of rows are collected; so are all
 * windows of narrow rows, if there are any at a border. */
static void pool_plane(const plane *p, int32_t *out)
{
    const int64_t columns = p->positions[2], rows = p->positions[0] * p->positions[1], stride = p->a->stride[2];
    const int64_t step = columns >= WIDE ? stride : 0;
    int64_t low[WG__POOL_AXES], high[WG__POOL_AXES];
    int32_t start[CHUNK];
    borders at_ends;
    extent i = {0}, j = {0};
    bool whole = true;
    int n = 0;
    at_ends.n = 0;
    for (int axis = 0; axis < WG__POOL_AXES; axis++) {
        find_inside(p, axis, &low[axis], &high[axis]);
        whole &= low[axis] == 0 && high[axis] == p->positions[axis];
    }
    const int64_t left = whole || step ? low[2] : columns, right = whole || step ? high[2] : columns;
    for (int64_t r = 0; r < rows; r++) {
        i = find_extent(p, 0, r / p->positions[1]);
        j = find_extent(p, 1, r % p->positions[1]);
        const int64_t row = i.start * p->step[0] + j.start * p->step[1] - p->a->before[2];
        for (int64_t c = left, stop; c < right; c = stop) {
            stop = min64(right, c + CHUNK - n);
            for (int64_t k = c; k < stop; k++) start[n++] = (int32_t)(row + k * stride);
            if (!step && n < CHUNK) continue;
            chunk(p, i, j, start, n, step, out + r * columns + stop - n);
            n = 0;
        }
        for (int64_t k = 0; k < columns - (right - left); k++) {
            const int64_t column = k < left ? k : k + right - left;
            add_border(&at_ends, r * columns + column, i, j, find_extent(p, 2, column));
            if (at_ends.n == CHUNK) chunk_at_border(p, &at_ends, out);
        }
    }
    if (n > 0) chunk(p, i, j, start, n, 0, out + rows * columns - n);
    if (at_ends.n > 0) chunk_at_border(p, &at_ends, out);
}

/* in0 x: the flat index, within the last `axes` axes, of each window's maximum. */
void WG__K(pool_argmax)(const wg_args *args, int64_t task)
{
    const wg__pool_attr *a = args->attr;
    const wg_operand *x = &args->in[0], *y = &args->out;
    int64_t each = wg__pool_planes_per_task(args), in = wg__pool_plane(x, a->axes);
    int64_t out = wg__pool_plane(y, a->axes), planes = out ? y->numel / out : 0;
    plane p = {.a = a};
    for (int i = WG__POOL_AXES - 1, axis = (int)x->rank; i >= 0; i--) {
        const bool missing = i < WG__POOL_AXES - a->axes;
        p.size[i] = missing ? 1 : x->size[--axis];
        p.positions[i] = missing ? 1 : y->size[axis];
        p.step[i] = i == WG__POOL_AXES - 1 ? 1 : p.step[i + 1] * p.size[i + 1];
    }
    for (int64_t i = task * each; i < planes && i < (task + 1) * each; i++) {
        p.x = (const real *)x->data + i * in;
        pool_plane(&p, (int32_t *)y->data + i * out);
    }
}
