/* The offset of the maximum of each window. Compiled per variant. */
#include "pool.h"

#include <string.h>

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

/* The offset of row r of a plane: r as an index of the outer axes, of sizes count[], with steps each[]. */
static int64_t row_offset(int64_t r, int last, const int64_t count[], const int64_t each[], const int64_t stride[])
{
    int64_t at = 0;
    for (int i = last - 1; i >= 0; i--) {
        at += r % count[i] * each[i] * stride[i];
        r /= count[i];
    }
    return at;
}

/* The windows that start at start[0 .. n) in the plane, `step` apart, or unevenly if step is 0. The taps of a window
 * are compared in order. */
static void chunk(const wg__pool_attr *a, const int64_t stride[], const real *plane, const int32_t *start, int n,
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
        int64_t shift = row_offset(r, last, a->kernel, a->dilation, stride);
        for (int64_t k = 0; k < a->kernel[last]; k++, shift += a->dilation[last]) {
            const real *x = plane + start[0] + shift;
            if (step == 1)
                compare_strided(n, best, at, x, 1, start[0] + (int32_t)shift);
            else if (step == 2)
                compare_strided(n, best, at, x, 2, start[0] + (int32_t)shift);
            else
                compare_at(n, best, at, plane, start, (int32_t)shift);
        }
    }
    memcpy(out, at, (size_t)n * sizeof *out);
}

static void pool_plane(const wg__pool_attr *a, const wg_operand *x, const wg_operand *y, const real *plane,
                       int32_t *out)
{
    int last = (int)a->axes - 1, n = 0;
    const int64_t *from = x->size + x->rank - a->axes, *to = y->size + y->rank - a->axes;
    int64_t stride[WG__POOL_AXES], rows = 1, columns = to[last], step = columns >= WIDE ? a->stride[last] : 0;
    int32_t start[CHUNK];
    stride[last] = 1;
    for (int i = last - 1; i >= 0; i--) {
        stride[i] = stride[i + 1] * from[i + 1];
        rows *= to[i];
    }
    for (int64_t r = 0; r < rows; r++) {
        int64_t row = row_offset(r, last, to, a->stride, stride);
        for (int64_t column = 0; column < columns; column++) {
            start[n++] = (int32_t)(row + column * a->stride[last]);
            bool full = n == CHUNK || (column + 1 == columns && (step || r + 1 == rows));
            if (!full) continue;
            chunk(a, stride, plane, start, n, step, out);
            out += n;
            n = 0;
        }
    }
}

/* in0 x: the flat index, within the last `axes` axes, of each window's maximum. */
void WG__K(pool_argmax)(const wg_args *args, int64_t task)
{
    const wg__pool_attr *a = args->attr;
    int64_t each = wg__pool_planes_per_task(args), in = wg__pool_plane(&args->in[0], a->axes);
    int64_t out = wg__pool_plane(&args->out, a->axes), planes = out ? args->out.numel / out : 0;
    for (int64_t p = task * each; p < planes && p < (task + 1) * each; p++)
        pool_plane(a, &args->in[0], &args->out, (const real *)args->in[0].data + p * in,
                   (int32_t *)args->out.data + p * out);
}
