/* How the tasks of scatter.c are cut: by shapes alone. */
#include "../base/integers.h"
#include "move.h"

enum { TASK_NUMBERS = 16384 };

static wg__extents about(const wg_args *args)
{
    return wg__extents_at(&args->out, *(const int64_t *)args->attr); /* the axis comes first in both attributes */
}

int64_t wg__scatter_units(const wg_args *args)
{
    wg__extents out = about(args);
    const wg_operand *source = &args->in[1]; /* or the index, of the same size */
    int64_t width = least(out.inner, WG__SCATTER_COLUMNS);
    int64_t lines = out.outer * out.inner > 0 ? source->numel / (out.outer * out.inner) : 0;
    int64_t work = (out.n + lines) * width;
    return work > 0 && work < TASK_NUMBERS ? TASK_NUMBERS / work : 1;
}

int64_t wg__scatter_tasks(const wg_args *args)
{
    wg__extents out = about(args);
    if (args->out.numel == 0) return args->in[1].numel > 0 ? 1 : 0; /* indices are still looked at */
    return ceil_div(out.outer * ceil_div(out.inner, WG__SCATTER_COLUMNS), wg__scatter_units(args));
}
