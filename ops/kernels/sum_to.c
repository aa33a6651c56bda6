/* Sums to a shape: what a broadcast has spread comes together again. An operand of any strides; each number of the
 * result is one sum, in the fixed order of lanes.h, whatever the task it falls into. */
#include "lanes.h"

#include "data.h"

enum { COLUMNS = 128 };

/* The operand's axes, those that stay and those that are summed, neighbours merged where strides allow it. */
typedef struct axes {
    int n;
    int64_t size[WG_MAX_RANK], stride[WG_MAX_RANK];
} axes;

static void push(axes *a, int64_t size, int64_t stride)
{
    if (a->n > 0 && a->stride[a->n - 1] == size * stride) {
        a->size[a->n - 1] *= size;
        a->stride[a->n - 1] = stride;
        return;
    }
    a->size[a->n] = size;
    a->stride[a->n++] = stride;
}

static void divide(const wg_args *args, axes *stay, axes *sum)
{
    const wg_operand *in = &args->in[0], *out = &args->out;
    int shift = in->rank - out->rank;
    stay->n = sum->n = 0;
    for (int i = 0; i < in->rank; i++) {
        if (in->size[i] == 1) continue;
        bool summed = i < shift || out->size[i - shift] == 1;
        push(summed ? sum : stay, in->size[i], in->stride[i]);
    }
    if (stay->n == 0) push(stay, 1, 1);
    if (sum->n == 0) push(sum, 1, 0);
}

/* The sum of n numbers `stride` apart. */
static real line_sum(const real *x, int64_t n, int64_t stride)
{
    if (stride == 1) return row_combine(COMBINE_SUM, x, n);
    real part[BLOCK];
    row a;
    row_begin(COMBINE_SUM, &a);
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t count = n - i < BLOCK ? n - i : BLOCK;
        for (int64_t j = 0; j < count; j++) part[j] = x[(i + j) * stride];
        row_block(COMBINE_SUM, &a, part, count);
    }
    return row_end(COMBINE_SUM, &a);
}

/* out[c] = the sum over all of `sum` from x + c * stride, c < width <= COLUMNS. */
static void run_of_sums(const axes *sum, const real *x, int64_t stride, int width, real *restrict out)
{
    int64_t at[WG_MAX_RANK] = {0}, rows = sum->size[sum->n - 1], step = sum->stride[sum->n - 1];
    real part[COLUMNS];
    fill_lanes(out, width, 0);
    for (;;) {
        if (stride == 1 && width > 1) {
            combine_columns(COMBINE_SUM, x, rows, step, width, part);
            combine_lanes(COMBINE_SUM, out, part, width);
        } else {
            for (int c = 0; c < width; c++) out[c] += line_sum(x + c * stride, rows, step);
        }
        int axis = sum->n - 2;
        for (; axis >= 0; axis--) {
            x += sum->stride[axis];
            if (++at[axis] < sum->size[axis]) break;
            x -= at[axis] * sum->stride[axis];
            at[axis] = 0;
        }
        if (axis < 0) return;
    }
}

void WG__K(sum_to)(const wg_args *args, int64_t task)
{
    axes stay, sum;
    int64_t each = wg__sum_to_block(args), at = task * each, numel = args->out.numel;
    int64_t stop = at + each < numel ? at + each : numel;
    real *out = args->out.data;
    if (args->in[0].numel == 0) {
        memset(out + at, 0, (size_t)(stop - at) * sizeof *out);
        return;
    }
    divide(args, &stay, &sum);
    int last = stay.n - 1;
    while (at < stop) {
        int64_t rest = at, offset = 0, column = at % stay.size[last];
        for (int i = last; i >= 0; i--) {
            offset += rest % stay.size[i] * stay.stride[i];
            rest /= stay.size[i];
        }
        int64_t width = stay.size[last] - column < stop - at ? stay.size[last] - column : stop - at;
        if (width > COLUMNS) width = COLUMNS;
        run_of_sums(&sum, (const real *)args->in[0].data + offset, stay.stride[last], (int)width, out + at);
        at += width;
    }
}
