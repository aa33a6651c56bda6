/* Where the maximum of a window is. Compiled per instruction set and type. */
#include "kernels.h"
#include "pool.h"

#include <string.h>

enum { CHUNK = 64 }; /* positions of a row worked on together */

/* The first of the largest: NaN counts as the largest. */
static inline __attribute__((always_inline)) void look_each(int n, real *restrict best, int32_t *restrict at,
                                                            const real *restrict x, int64_t step, int32_t place)
{
    for (int i = 0; i < n; i++) {
        real value = x[i * step];
        bool take = value > best[i] || (value != value && best[i] == best[i]);
        best[i] = take ? value : best[i];
        at[i] = take ? place + (int32_t)(i * step) : at[i];
    }
}

/* The usual strides are constants of loops of their own. */
static void look(int n, real best[CHUNK], int32_t at[CHUNK], const real *x, int64_t step, int32_t place)
{
    if (step == 1)
        look_each(n, best, at, x, 1, place);
    else if (step == 2)
        look_each(n, best, at, x, 2, place);
    else
        look_each(n, best, at, x, step, place);
}

/* Positions [first, first + n) of the row that begins at place `row` of the plane: places in rows `down` apart along
 * the outer axes are visited in order. */
static void chunk(const wg__pool_attr *a, const int64_t space[], const real *plane, int64_t row, int64_t first,
                  int n, int32_t *out)
{
    int last = (int)a->axes - 1;
    int64_t rows = 1, step = a->stride[last];
    real best[CHUNK];
    int32_t at[CHUNK];
    for (int i = 0; i < last; i++) rows *= a->kernel[i];
    int64_t start = row + first * step;
    for (int i = 0; i < n; i++) {
        best[i] = plane[start + i * step];
        at[i] = (int32_t)(start + i * step);
    }
    for (int64_t r = 0; r < rows; r++) {
        int64_t place = start, rest = r;
        for (int i = last - 1; i >= 0; i--) {
            place += rest % a->kernel[i] * a->dilation[i] * space[i];
            rest /= a->kernel[i];
        }
        for (int64_t k = 0; k < a->kernel[last]; k++, place += a->dilation[last])
            look(n, best, at, plane + place, step, (int32_t)place);
    }
    memcpy(out, at, (size_t)n * sizeof *out);
}

static void pool_plane(const wg__pool_attr *a, const wg_operand *x, const wg_operand *y, const real *plane,
                       int32_t *out)
{
    int last = (int)a->axes - 1;
    const int64_t *from = x->size + x->rank - a->axes, *to = y->size + y->rank - a->axes;
    int64_t space[WG__POOL_AXES], rows = 1, columns = to[last];
    space[last] = 1;
    for (int i = last - 1; i >= 0; i--) {
        space[i] = space[i + 1] * from[i + 1];
        rows *= to[i];
    }
    for (int64_t r = 0; r < rows; r++, out += columns) {
        int64_t row = 0, rest = r;
        for (int i = last - 1; i >= 0; i--) {
            row += rest % to[i] * a->stride[i] * space[i];
            rest /= to[i];
        }
        for (int64_t first = 0; first < columns; first += CHUNK) {
            int n = (int)(columns - first < CHUNK ? columns - first : CHUNK);
            chunk(a, space, plane, row, first, n, out + first);
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
