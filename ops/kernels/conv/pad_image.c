/* Zero padding of images along their last axes: copies of bytes, whatever the elements are. */
#include "conv.h"

#include <string.h>

#include "../base/integers.h"

/* The result's last axis is a row; a task copies some rows. */
enum { PAD_TASK = 16384 }; /* elements, about; chosen, not measured */

static int64_t row_size(const wg_args *args) { return args->out.size[args->out.rank - 1]; }
static int64_t rows_per_task(const wg_args *args) { return 1 + PAD_TASK / (1 + row_size(args)); }

int64_t wg__pad_image_tasks(const wg_args *args)
{
    int64_t row = row_size(args), each = rows_per_task(args);
    return row ? ceil_div(args->out.numel / row, each) : 1;
}

/* The row of in0 that a row of the result contains; -1: none. */
static int64_t source_row(const wg_args *args, int64_t row)
{
    const wg__pad_image_attr *f = args->attr;
    int64_t from = 0, size = 1;
    for (int i = (int)f->axes - 2; i >= 0; i--) {
        int64_t n = args->in[0].size[args->in[0].rank - f->axes + i], at = row % f->size[i] - f->before[i];
        if (at < 0 || at >= n) return -1;
        from += at * size;
        size *= n;
        row /= f->size[i];
    }
    return from + row * size;
}

void wg__pad_image_kernel(const wg_args *args, int64_t task)
{
    const wg__pad_image_attr *f = args->attr;
    int64_t size = (int64_t)wg_dtype_size(args->out.dtype), n = args->in[0].size[args->in[0].rank - 1];
    int64_t row = row_size(args), each = rows_per_task(args), stop = (task + 1) * each,
            before = f->before[f->axes - 1];
    if (!row) return;
    if (stop > args->out.numel / row) stop = args->out.numel / row;
    for (int64_t r = task * each; r < stop; r++) {
        char *to = (char *)args->out.data + r * row * size;
        int64_t from = n ? source_row(args, r) : -1;
        if (from < 0) {
            memset(to, 0, (size_t)(row * size));
            continue;
        }
        memset(to, 0, (size_t)(before * size));
        memcpy(to + before * size, (const char *)args->in[0].data + from * n * size, (size_t)(n * size));
        memset(to + (before + n) * size, 0, (size_t)((row - before - n) * size));
    }
}
