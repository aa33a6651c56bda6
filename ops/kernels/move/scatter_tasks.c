/* The cut of scatter.c into tasks: by shapes alone. */
#include "move.h"

#include "../base/integers.h"

enum { TASK = 16384 }; /* elements of a task, about; chosen, not measured */

static wg__extents extents(const wg_args *args)
{
    return wg__extents_at(&args->out,
                          *(const int64_t *)args->attr); /* axis is the first field of both attributes */
}

int64_t wg__scatter_units(const wg_args *args)
{
    wg__extents out = extents(args);
    const wg_operand *source = &args->in[1]; /* or the index, of the same size */
    int64_t width = min64(out.inner, WG__SCATTER_COLUMNS);
    int64_t lines = out.outer * out.inner > 0 ? source->numel / (out.outer * out.inner) : 0;
    int64_t work = (out.n + lines) * width;
    return work > 0 && work < TASK ? TASK / work : 1;
}

int64_t wg__scatter_tasks(const wg_args *args)
{
    wg__extents out = extents(args);
    if (args->out.numel == 0) return args->in[1].numel > 0 ? 1 : 0; /* indices are still checked */
    return ceil_div(out.outer * ceil_div(out.inner, WG__SCATTER_COLUMNS), wg__scatter_units(args));
}
