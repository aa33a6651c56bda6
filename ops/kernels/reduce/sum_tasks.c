/* The cut of sum.c and center.c into tasks: by shapes alone. */
#include "reduce.h"

/* Adjacent sums are computed in strips of columns. Sums of whole rows, as over all axes of images but the channels,
 * need no strips; their tasks are larger, since the rows of one image are contiguous. No copy of the operand: 2 % of
 * resnet-ish (docs/performance.md); the sizes themselves were chosen, not measured. */
static int64_t block(int64_t in, int64_t out, bool of_rows)
{
    int64_t columns = of_rows ? 1 : WG__SUM_COLUMNS, task = of_rows ? 8 * WG__REDUCE_TASK : WG__REDUCE_TASK;
    int64_t per_sum = out > 0 && in > out ? in / out : 1; /* elements */
    return columns * max64(1, task / (columns * per_sum));
}

int64_t wg__sum_block(const wg_args *args)
{
    const wg_operand *in = &args->in[0], *out = &args->out;
    bool of_rows = in->rank > 0 && (out->rank == 0 || out->size[out->rank - 1] < in->size[in->rank - 1]);
    return block(in->numel, out->numel, of_rows);
}

int64_t wg__sum_tasks(const wg_args *args) { return ceil_div(args->out.numel, wg__sum_block(args)); }

int64_t wg__center_block(const wg_args *args)
{
    const wg_operand *in = &args->in[0];
    const wg__center_attr *attr = args->attr;
    int last = in->rank - 1;
    while (last > 0 && in->size[last] == 1) last--;
    return block(in->numel, args->out.numel / 3, last < 0 || attr->mask >> last & 1);
}

int64_t wg__center_tasks(const wg_args *args) { return ceil_div(args->out.numel / 3, wg__center_block(args)); }
