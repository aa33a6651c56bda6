/* How the tasks of the kernels in sum.c and scatter.c are cut: by shapes alone. */
#include "data.h"
#include "integers.h"

enum { TASK_NUMBERS = 16384 };

/* ---- sum ---------------------------------------------------------------------------------------------- */

/* Sums that lie side by side are taken in strips. Sums of whole rows, say over all but the channels of images, are
 * taken some at a time, since those of one image lie in a row. */
int64_t wg__sum_block(const wg_args *args)
{
    const wg_operand *in = &args->in[0], *out = &args->out;
    bool of_rows = in->rank > 0 && (out->rank == 0 || out->size[out->rank - 1] < in->size[in->rank - 1]);
    int64_t together = of_rows ? 1 : WG__SUM_COLUMNS, task = of_rows ? 8 * TASK_NUMBERS : TASK_NUMBERS;
    int64_t each = out->numel > 0 && in->numel > out->numel ? in->numel / out->numel : 1; /* numbers of a sum */
    return together * most(1, task / (together * each));
}

int64_t wg__sum_tasks(const wg_args *args) { return ceil_div(args->out.numel, wg__sum_block(args)); }

/* ---- scatters ---------------------------------------------------------------------------------------- */

static wg__about about(const wg_args *args)
{
    return wg__about_axis(&args->out, *(const int64_t *)args->attr); /* the axis comes first in both attributes */
}

int64_t wg__scatter_units(const wg_args *args)
{
    wg__about out = about(args);
    const wg_operand *source = &args->in[1]; /* or the index, of the same size */
    int64_t width = least(out.inner, WG__SCATTER_COLUMNS);
    int64_t lines = out.outer * out.inner > 0 ? source->numel / (out.outer * out.inner) : 0;
    int64_t work = (out.n + lines) * width;
    return work > 0 && work < TASK_NUMBERS ? TASK_NUMBERS / work : 1;
}

int64_t wg__scatter_tasks(const wg_args *args)
{
    wg__about out = about(args);
    if (args->out.numel == 0) return args->in[1].numel > 0 ? 1 : 0; /* indices are still looked at */
    return ceil_div(out.outer * ceil_div(out.inner, WG__SCATTER_COLUMNS), wg__scatter_units(args));
}
