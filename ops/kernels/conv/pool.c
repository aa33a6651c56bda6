/* Where the maximum of a window is. Compiled per instruction set and type. */
#include "../base/kernel.h"
#include "pool.h"

#include <string.h>

enum {
    CHUNK = 64, /* positions worked on together ... */
    WIDE = 32   /* ... of one row, if it has so many; otherwise of several rows */
};

/* The first of the largest: NaN counts as the largest. */
static inline __attribute__((always_inline)) void take_larger(real value, int32_t place, real *best, int32_t *at)
{
    bool take = value > *best || (value != value && *best == *best);
    *best = take ? value : *best;
    *at = take ? place : *at;
}

/* Positions that are `step` apart; the usual steps are constants of loops of their own. */
static inline __attribute__((always_inline)) void look_along(int n, real *restrict best, int32_t *restrict at,
                                                             const real *restrict x, int step, int32_t place)
{
    for (int i = 0; i < n; i++) take_larger(x[i * step], place + i * step, &best[i], &at[i]);
}

static void look_anywhere(int n, real *restrict best, int32_t *restrict at, const real *restrict x,
                          const int32_t *restrict start, int32_t shift)
{
    for (int i = 0; i < n; i++) take_larger(x[start[i] + shift], start[i] + shift, &best[i], &at[i]);
}

/* Where number r of `count` rows is: r in digits of count[], each `each` places apart along an outer axis. */
static int64_t row_at(int64_t r, int last, const int64_t count[], const int64_t each[], const int64_t space[])
{
    int64_t at = 0;
    for (int i = last - 1; i >= 0; i--) {
        at += r % count[i] * each[i] * space[i];
        r /= count[i];
    }
    return at;
}

/* The windows that begin at start[0 .. n) of the plane; step: how far these are apart, 0: not evenly. The places of a
 * window are visited in order. */
static void chunk(const wg__pool_attr *a, const int64_t space[], const real *plane, const int32_t *start, int n,
                  int64_t step, int32_t *out)
{
    int last = (int)a->axes - 1;
    int64_t rows = 1;
    real best[CHUNK];
    int32_t at[CHUNK];
    for (int i = 0; i < last; i++) rows *= a->kernel[i];
    for (int i = 0; i < n; i++) best[i] = plane[start[i]];
    memcpy(at, start, (size_t)n * sizeof *at);
    for (int64_t r = 0; r < rows; r++) {
        int64_t shift = row_at(r, last, a->kernel, a->dilation, space);
        for (int64_t k = 0; k < a->kernel[last]; k++, shift += a->dilation[last]) {
            const real *x = plane + start[0] + shift;
            if (step == 1)
                look_along(n, best, at, x, 1, start[0] + (int32_t)shift);
            else if (step == 2)
                look_along(n, best, at, x, 2, start[0] + (int32_t)shift);
            else
                look_anywhere(n, best, at, plane, start, (int32_t)shift);
        }
    }
    memcpy(out, at, (size_t)n * sizeof *out);
}

static void pool_plane(const wg__pool_attr *a, const wg_operand *x, const wg_operand *y, const real *plane,
                       int32_t *out)
{
    int last = (int)a->axes - 1, n = 0;
    const int64_t *from = x->size + x->rank - a->axes, *to = y->size + y->rank - a->axes;
    int64_t space[WG__POOL_AXES], rows = 1, columns = to[last], step = columns >= WIDE ? a->stride[last] : 0;
    int32_t start[CHUNK];
    space[last] = 1;
    for (int i = last - 1; i >= 0; i--) {
        space[i] = space[i + 1] * from[i + 1];
        rows *= to[i];
    }
    for (int64_t r = 0; r < rows; r++) {
        int64_t row = row_at(r, last, to, a->stride, space);
        for (int64_t column = 0; column < columns; column++) {
            start[n++] = (int32_t)(row + column * a->stride[last]);
            bool full = n == CHUNK || (column + 1 == columns && (step || r + 1 == rows));
            if (!full) continue;
            chunk(a, space, plane, start, n, step, out);
            out += n;
            n = 0;
        }
    }
}

/* in0 x: the flat place in the last `axes` axes of each window's maximum. */
void WG__K(pool_argmax)(const wg_args *args, int64_t task)
{
    const wg__pool_attr *a = args->attr;
    int64_t each = wg__pool_planes_a_task(args), in = wg__pool_plane(&args->in[0], a->axes);
    int64_t out = wg__pool_plane(&args->out, a->axes), planes = out ? args->out.numel / out : 0;
    for (int64_t p = task * each; p < planes && p < (task + 1) * each; p++)
        pool_plane(a, &args->in[0], &args->out, (const real *)args->in[0].data + p * in,
                   (int32_t *)args->out.data + p * out);
}
