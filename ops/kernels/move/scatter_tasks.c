/* The cut of scatter.c into tasks: by shapes alone. */
#include "move.h"

#include "../base/integers.h"

enum { TASK = 16384 }; /* elements of a task, about; chosen, not measured */

static wg__extents extents(const wg_args *args)
{
    return wg__extents_at(&args->out, *(const int64_t *)args->attr); /* axis is the first field of all attributes */
}

/* Elements of the source, or of an index of the same size; scatter_arg may have no source. */
static int64_t terms(const wg_args *args) { return args->in[args->in[1].rank >= 0].numel; }

int64_t wg__scatter_units(const wg_args *args)
{
    wg__extents out = extents(args);
    int64_t width = min64(out.inner, WG__SCATTER_COLUMNS);
    int64_t lines = out.outer * out.inner > 0 ? terms(args) / (out.outer * out.inner) : 0;
    int64_t work = (out.n + lines) * width;
    return work > 0 && work < TASK ? TASK / work : 1;
}

int64_t wg__scatter_tasks(const wg_args *args)
{
    wg__extents out = extents(args);
    if (args->out.numel == 0) return terms(args) > 0 ? 1 : 0; /* indices are still checked */
    return ceil_div(out.outer * ceil_div(out.inner, WG__SCATTER_COLUMNS), wg__scatter_units(args));
}

static bool is_long(const wg_args *args, int64_t n) { return args->out.dtype == WG_F32 && n > WG__SCATTER_RUN; }

/* For each row of the result its number of terms, and sums of a strip in f64 for those that have many. */
size_t wg__index_add_scratch(const wg_args *args)
{
    wg__extents out = extents(args);
    int64_t n = args->in[0].numel, columns = min64(out.inner, WG__SCATTER_COLUMNS);
    if (!is_long(args, n)) return 0;
    return (size_t)round_up(out.n * (int64_t)sizeof(int32_t), 64) +
           (size_t)(n / (WG__SCATTER_RUN + 1) * columns) * sizeof(double);
}

int64_t wg__scatter_add_width(int64_t rows, int64_t width) { return clamp64(32768 / max64(1, rows), 1, width); }

size_t wg__scatter_add_scratch(const wg_args *args)
{
    wg__extents out = extents(args);
    int64_t n = args->in[1].size[*(const int64_t *)args->attr],
            width = max64(1, min64(out.inner, WG__SCATTER_COLUMNS));
    return is_long(args, n) ? (size_t)(out.n * wg__scatter_add_width(out.n, width)) * sizeof(double) : 0;
}
