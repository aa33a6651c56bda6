/* How the tasks of sum.c are cut: by shapes alone. */
#include "reduce.h"

/* Sums that lie side by side are taken in strips. Sums of whole rows, say over all but the channels of images, are
 * taken some at a time, since those of one image lie in a row. */
int64_t wg__sum_block(const wg_args *args)
{
    const wg_operand *in = &args->in[0], *out = &args->out;
    bool of_rows = in->rank > 0 && (out->rank == 0 || out->size[out->rank - 1] < in->size[in->rank - 1]);
    int64_t together = of_rows ? 1 : WG__SUM_COLUMNS, task = of_rows ? 8 * WG__REDUCE_TASK : WG__REDUCE_TASK;
    int64_t each = out->numel > 0 && in->numel > out->numel ? in->numel / out->numel : 1; /* numbers of a sum */
    return together * most(1, task / (together * each));
}

int64_t wg__sum_tasks(const wg_args *args) { return ceil_div(args->out.numel, wg__sum_block(args)); }
