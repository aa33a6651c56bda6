/* Adding by index. A column of the result belongs to one task, which adds in the order of the index: the same bits for
 * any number of threads. An index out of range is reported and adds nothing. */
#include "move.h"

#include <string.h>

#include "../base/integers.h"
#include "../base/kernel.h"

typedef struct strip {
    int64_t outer, column, width;
} strip;

static strip strip_of(wg__extents out, int64_t unit)
{
    int64_t strips = ceil_div(out.inner, WG__SCATTER_COLUMNS);
    strip s = {unit / strips, unit % strips * WG__SCATTER_COLUMNS, 0};
    s.width = min64(out.inner - s.column, WG__SCATTER_COLUMNS);
    return s;
}

static void units(const wg_args *args, wg__extents out, int64_t task, int64_t *unit, int64_t *stop)
{
    int64_t all = out.outer * ceil_div(out.inner, WG__SCATTER_COLUMNS), each = wg__scatter_units(args);
    *unit = task * each;
    *stop = min64(*unit + each, all);
}

/* in0 index, in1 source, in2 base, which may be the result itself, or none for zeros: out = base, then
 * out[o, index[i], j] += in1[o, i, j]. */
void WG__K(index_add)(const wg_args *args, int64_t task)
{
    const int32_t *index = args->in[0].data;
    wg__extents out = wg__extents_at(&args->out, ((const wg__index_add_attr *)args->attr)->axis);
    const real *base = args->n_in > 2 ? args->in[2].data : NULL;
    int64_t unit, stop, n = args->in[0].numel;
    units(args, out, task, &unit, &stop);
    if (task == 0) { /* once for all tasks */
        for (int64_t i = 0; i < n; i++)
            if (index[i] < 0 || index[i] >= out.n) wg_args_bad_index(args, i, index[i], out.n);
    }
    for (; unit < stop; unit++) {
        strip s = strip_of(out, unit);
        int64_t to = s.outer * out.n * out.inner + s.column;
        real *y = (real *)args->out.data + to;
        const real *x = (const real *)args->in[1].data + s.outer * n * out.inner + s.column;
        for (int64_t r = 0; r < out.n && base != args->out.data; r++) {
            if (base)
                memcpy(y + r * out.inner, base + to + r * out.inner, (size_t)s.width * sizeof *y);
            else
                memset(y + r * out.inner, 0, (size_t)s.width * sizeof *y);
        }
        for (int64_t i = 0; i < n; i++, x += out.inner) {
            if (index[i] < 0 || index[i] >= out.n) continue;
            real *row = y + index[i] * out.inner;
            for (int64_t j = 0; j < s.width; j++) row[j] += x[j];
        }
    }
}

/* in0 x, in1 index, in2 source: out = x with out[o, index[o, i, j], j] += source[o, i, j]. */
void WG__K(scatter_add)(const wg_args *args, int64_t task)
{
    int64_t axis = ((const wg__axis_attr *)args->attr)->axis, unit, stop;
    wg__extents out = wg__extents_at(&args->out, axis);
    int64_t n = args->in[1].size[axis];
    units(args, out, task, &unit, &stop);
    for (; unit < stop; unit++) {
        strip s = strip_of(out, unit);
        int64_t to = s.outer * out.n * out.inner + s.column, from = s.outer * n * out.inner + s.column;
        real *y = (real *)args->out.data + to;
        const real *x = (const real *)args->in[0].data + to, *source = (const real *)args->in[2].data + from;
        const int32_t *index = (const int32_t *)args->in[1].data + from;
        if (s.width == out.inner) { /* all columns */
            memcpy(y, x, (size_t)(out.n * out.inner) * sizeof *y);
        } else {
            for (int64_t r = 0; r < out.n; r++)
                memcpy(y + r * out.inner, x + r * out.inner, (size_t)s.width * sizeof *y);
        }
        for (int64_t i = 0; i < n; i++) {
            for (int64_t j = 0; j < s.width; j++) {
                int64_t at = i * out.inner + j, row = index[at];
                if (row >= 0 && row < out.n)
                    y[row * out.inner + j] += source[at];
                else
                    wg_args_bad_index(args, from + at, row, out.n);
            }
        }
    }
}
