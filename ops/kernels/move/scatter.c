/* Adding by index. A column of the result belongs to one task, which adds in the order of the index: the same bits for
 * any number of threads. An index out of range is reported and adds nothing. */
#include "move.h"

#include <string.h>

#include "../base/inline.h"
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

/* ---- index_add: rows --------------------------------------------------------------------------------------------- */

/* Rows with more than WG__SCATTER_RUN terms, whose sums are accumulated in f64. slot[rows]: the number of terms or,
 * of a long row, -1 - the number of its sums; NULL: none is long. */
typedef struct long_rows {
    int32_t *slot;
    double *sums; /* [long rows][width] */
    int32_t n;
} long_rows;

static inline bool in_range(int64_t i, int64_t n) { return (uint64_t)i < (uint64_t)n; }

static long_rows find_long_rows(const wg_args *args, int64_t rows)
{
    const int32_t *index = args->in[0].data;
    int64_t n = args->in[0].numel;
    long_rows l = {0};
    if (sizeof(real) == sizeof(double) || n <= WG__SCATTER_RUN) return l;
    l.slot = args->scratch;
    l.sums = (double *)((char *)args->scratch + round_up(rows * (int64_t)sizeof *l.slot, 64));
    memset(l.slot, 0, (size_t)rows * sizeof *l.slot);
    for (int64_t i = 0; i < n; i++)
        if (in_range(index[i], rows)) l.slot[index[i]] += l.slot[index[i]] <= WG__SCATTER_RUN;
    for (int64_t r = 0; r < rows; r++)
        if (l.slot[r] > WG__SCATTER_RUN) l.slot[r] = -1 - l.n++;
    if (l.n == 0) l.slot = NULL;
    return l;
}

/* y[r] += the sums of the long row r */
static void add_long_rows(const long_rows *l, real *y, int64_t rows, int64_t step, int64_t width)
{
    for (int64_t r = 0; r < rows; r++) {
        if (l->slot[r] >= 0) continue;
        const double *sum = l->sums + (-1 - l->slot[r]) * width;
        for (int64_t j = 0; j < width; j++) y[r * step + j] = (real)((double)y[r * step + j] + sum[j]);
    }
}

/* y[index[i]] += x[i]; to a long row's sums instead */
static inline __attribute__((always_inline)) void add_rows(const wg_args *args, wg__extents out, const long_rows *l,
                                                           bool some_long, real *y, const real *x, int64_t width)
{
    const int32_t *index = args->in[0].data;
    for (int64_t i = 0, n = args->in[0].numel; i < n; i++, x += out.inner) {
        if (!in_range(index[i], out.n)) continue;
        if (some_long && l->slot[index[i]] < 0) {
            double *sum = l->sums + (-1 - l->slot[index[i]]) * width;
            for (int64_t j = 0; j < width; j++) sum[j] += (double)x[j];
        } else {
            real *row = y + index[i] * out.inner;
            for (int64_t j = 0; j < width; j++) row[j] += x[j];
        }
    }
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
            if (!in_range(index[i], out.n)) wg_args_bad_index(args, i, index[i], out.n);
    }
    long_rows l = find_long_rows(args, out.n);
    for (; unit < stop; unit++) {
        strip s = strip_of(out, unit);
        int64_t to = s.outer * out.n * out.inner + s.column;
        real *y = (real *)args->out.data + to;
        for (int64_t r = 0; r < out.n && base != args->out.data; r++) {
            if (base)
                memcpy(y + r * out.inner, base + to + r * out.inner, (size_t)s.width * sizeof *y);
            else
                memset(y + r * out.inner, 0, (size_t)s.width * sizeof *y);
        }
        const real *x = (const real *)args->in[1].data + s.outer * n * out.inner + s.column;
        if (!l.slot) {
            add_rows(args, out, &l, false, y, x, s.width);
            continue;
        }
        memset(l.sums, 0, (size_t)(l.n * s.width) * sizeof *l.sums);
        add_rows(args, out, &l, true, y, x, s.width);
        add_long_rows(&l, y, out.n, out.inner, s.width);
    }
}

/* ---- scatter_add, scatter_prod: elements ------------------------------------------------------------------------- */

/* The elements of a strip of x, and into them those of the source, in the order of i. */
INLINE void scatter_elements(bool multiply, const wg_args *args, wg__extents out, const strip *s, real *y,
                             const real *x, int64_t n)
{
    int64_t from = s->outer * n * out.inner + s->column;
    const real *source = (const real *)args->in[2].data + from;
    const int32_t *index = (const int32_t *)args->in[1].data + from;
    if (s->width == out.inner) { /* all columns */
        memcpy(y, x, (size_t)(out.n * out.inner) * sizeof *y);
    } else {
        for (int64_t r = 0; r < out.n; r++)
            memcpy(y + r * out.inner, x + r * out.inner, (size_t)s->width * sizeof *y);
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < s->width; j++) {
            int64_t at = i * out.inner + j, row = index[at];
            if (in_range(row, out.n))
                y[row * out.inner + j] =
                    multiply ? y[row * out.inner + j] * source[at] : y[row * out.inner + j] + source[at];
            else
                wg_args_bad_index(args, from + at, row, out.n);
        }
    }
}

/* The same, accumulated in f64. */
static void add_many_elements(const wg_args *args, wg__extents out, const strip *s, real *y, const real *x,
                              int64_t n)
{
    int64_t from = s->outer * n * out.inner + s->column, width = wg__scatter_add_width(out.n, s->width);
    const real *source = (const real *)args->in[2].data + from;
    const int32_t *index = (const int32_t *)args->in[1].data + from;
    double *sums = args->scratch;
    for (int64_t first = 0; first < s->width; first += width) {
        int64_t count = min64(width, s->width - first);
        for (int64_t r = 0; r < out.n; r++)
            for (int64_t j = 0; j < count; j++) sums[r * count + j] = (double)x[r * out.inner + first + j];
        for (int64_t i = 0; i < n; i++) {
            for (int64_t j = 0; j < count; j++) {
                int64_t at = i * out.inner + first + j, row = index[at];
                if (in_range(row, out.n))
                    sums[row * count + j] += (double)source[at];
                else
                    wg_args_bad_index(args, from + at, row, out.n);
            }
        }
        for (int64_t r = 0; r < out.n; r++)
            for (int64_t j = 0; j < count; j++) y[r * out.inner + first + j] = (real)sums[r * count + j];
    }
}

/* in0 x, in1 index, in2 source: out = x with out[o, index[o, i, j], j] += source[o, i, j]. */
void WG__K(scatter_add)(const wg_args *args, int64_t task)
{
    int64_t axis = ((const wg__axis_attr *)args->attr)->axis, unit, stop, n = args->in[1].size[axis];
    wg__extents out = wg__extents_at(&args->out, axis);
    units(args, out, task, &unit, &stop);
    for (; unit < stop; unit++) {
        strip s = strip_of(out, unit);
        int64_t to = s.outer * out.n * out.inner + s.column;
        real *y = (real *)args->out.data + to;
        const real *x = (const real *)args->in[0].data + to;
        if (sizeof(real) == sizeof(float) && n > WG__SCATTER_RUN)
            add_many_elements(args, out, &s, y, x, n);
        else
            scatter_elements(false, args, out, &s, y, x, n);
    }
}

/* ---- scatter_prod ------------------------------------------------------------------------------------------------ */

/* in0 x, in1 index, in2 source: out = x with out[o, index[o, i, j], j] *= source[o, i, j], in the order of i. */
void WG__K(scatter_prod)(const wg_args *args, int64_t task)
{
    int64_t axis = ((const wg__axis_attr *)args->attr)->axis, unit, stop, n = args->in[1].size[axis];
    wg__extents out = wg__extents_at(&args->out, axis);
    units(args, out, task, &unit, &stop);
    for (; unit < stop; unit++) {
        strip s = strip_of(out, unit);
        const int64_t to = s.outer * out.n * out.inner + s.column;
        scatter_elements(true, args, out, &s, (real *)args->out.data + to, (const real *)args->in[0].data + to, n);
    }
}

/* ---- scatter_arg ------------------------------------------------------------------------------------------------- */

/* Whether a takes the place of b: of equal numbers the first one stays; NaN is before all. */
static inline bool is_before(real a, real b, int64_t mode)
{
    if (b != b) return false;
    return a != a || (mode == WG__ARG_MAX ? a > b : a < b);
}

/* in0 index, in1 source, or none if the mode is last: out[o, r, j] is the i of the last, largest or smallest element
 * source[o, i, j] of those with index[o, i, j] = r; -1 if there is none. An index with fewer
 * axes than the source is one of rows: index[i]. */
void WG__K(scatter_arg)(const wg_args *args, int64_t task)
{
    const wg__scatter_arg_attr *attr = args->attr;
    const wg_operand *terms = &args->in[args->in[1].rank >= 0];
    const bool by_rows = terms->rank > args->in[0].rank;
    const int32_t *index = args->in[0].data;
    const wg__extents out = wg__extents_at(&args->out, attr->axis);
    const int64_t n = terms->size[attr->axis];
    int64_t unit, stop;
    units(args, out, task, &unit, &stop);
    for (; unit < stop; unit++) {
        const strip s = strip_of(out, unit);
        const int64_t from = s.outer * n * out.inner + s.column;
        const real *source = attr->mode == WG__ARG_LAST ? NULL : (const real *)args->in[1].data + from;
        int32_t *y = (int32_t *)args->out.data + s.outer * out.n * out.inner + s.column;
        for (int64_t r = 0; r < out.n; r++)
            for (int64_t j = 0; j < s.width; j++) y[r * out.inner + j] = -1;
        for (int64_t i = 0; i < n; i++) {
            for (int64_t j = 0; j < s.width; j++) {
                const int64_t at = i * out.inner + j, place = by_rows ? i : from + at;
                if (!in_range(index[place], out.n)) {
                    wg_args_bad_index(args, place, index[place], out.n);
                    continue;
                }
                int32_t *best = y + index[place] * out.inner + j;
                if (*best < 0 || !source || is_before(source[at], source[*best * out.inner + j], attr->mode))
                    *best = (int32_t)i;
            }
        }
    }
}
