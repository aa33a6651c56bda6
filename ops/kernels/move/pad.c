/* Pad and dilate: copies of bytes, whatever the elements are. The result is cut into blocks of constant size; each task
 * writes one of them in order. (Concat has no kernel: the planner copies its operands or aliases them.) */
#include "move.h"

#include <string.h>

#include "../base/integers.h"

static int64_t element(const wg_args *args) { return (int64_t)wg_dtype_size(args->out.dtype); }

int64_t wg__bytes_tasks(const wg_args *args) { return ceil_div(args->out.numel * element(args), WG__BLOCK_BYTES); }

/* The bytes [at, stop) of the result that a task writes. */
static void block(const wg_args *args, int64_t task, int64_t *at, int64_t *stop)
{
    int64_t total = args->out.numel * element(args);
    *at = task * WG__BLOCK_BYTES;
    *stop = min64(*at + WG__BLOCK_BYTES, total);
}

void wg__pad_kernel(const wg_args *args, int64_t task)
{
    const wg__pad_attr *attr = args->attr;
    wg__extents out = wg__extents_at(&args->out, attr->axis);
    int64_t slice = out.inner * element(args), row_bytes = out.n * slice, at, stop;
    int64_t begin = attr->start * slice, piece = args->in[0].size[attr->axis] * slice;
    char *to = args->out.data;
    block(args, task, &at, &stop);
    while (at < stop) {
        int64_t row = at / row_bytes, here = at % row_bytes, n;
        bool inside = here >= begin && here < begin + piece;
        n = here < begin ? begin - here : inside ? begin + piece - here : row_bytes - here;
        if (n > stop - at) n = stop - at;
        if (inside) {
            memcpy(to + at, (const char *)args->in[0].data + row * piece + here - begin, (size_t)n);
        } else {
            memset(to + at, 0, (size_t)n);
        }
        at += n;
    }
}

void wg__dilate_kernel(const wg_args *args, int64_t task)
{
    const wg__dilate_attr *attr = args->attr;
    wg__extents out = wg__extents_at(&args->out, attr->axis);
    int64_t slice = out.inner * element(args), n_in = args->in[0].size[attr->axis], at, stop;
    char *to = args->out.data;
    block(args, task, &at, &stop);
    if (at >= stop) return;
    memset(to + at, 0, (size_t)(stop - at));
    while (at < stop) {
        int64_t index = at / slice, here = at % slice, from_start = index % out.n - attr->start;
        int64_t n = min64(slice - here, stop - at);
        if (from_start >= 0 && from_start % attr->step == 0 && from_start / attr->step < n_in) {
            int64_t from = (index / out.n * n_in + from_start / attr->step) * slice + here;
            memcpy(to + at, (const char *)args->in[0].data + from, (size_t)n);
        }
        at += n;
    }
}
