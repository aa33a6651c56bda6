/* Reading by index: copies of bytes, whatever the elements are. An index out of range is reported; row 0 is read
 * instead, or zeros if there is no row. */
#include "move.h"

#include <string.h>

#include "../base/elements.h"
#include "../base/integers.h"

static void block(const wg_args *args, int64_t task, int64_t size, int64_t *at, int64_t *stop)
{
    *at = task * (WG__BLOCK_BYTES / size); /* as wg__bytes_tasks cuts */
    *stop = min64(*at + WG__BLOCK_BYTES / size, args->out.numel);
}

/* out[o, i, j] = x[o, index[i], j]: elements [at, stop) of the result, in runs along j. */
void wg__take_kernel(const wg_args *args, int64_t task)
{
    const wg_operand *x = &args->in[0], *index = &args->in[1];
    wg__extents from = wg__extents_at(x, ((const wg__axis_attr *)args->attr)->axis);
    int64_t size = (int64_t)wg_dtype_size(args->out.dtype), at, stop;
    block(args, task, size, &at, &stop);
    while (at < stop) {
        int64_t line = at / from.inner, j = at % from.inner, i = line % index->numel, outer = line / index->numel;
        int64_t run = min64(from.inner - j, stop - at);
        int64_t row = ((const int32_t *)index->data)[i];
        char *to = (char *)args->out.data + at * size;
        if (row < 0 || row >= from.n) {
            if (outer == 0 && j == 0) wg_args_bad_index(args, i, row, from.n);
            row = 0;
        }
        if (from.n > 0) {
            int64_t offset = (outer * from.n + row) * from.inner + j;
            memcpy(to, (const char *)x->data + offset * size, (size_t)(run * size));
        } else {
            memset(to, 0, (size_t)(run * size));
        }
        at += run;
    }
}

/* out[o, i, j] = x[o, index[o, i, j], j] */
void wg__gather_kernel(const wg_args *args, int64_t task)
{
    int64_t axis = ((const wg__axis_attr *)args->attr)->axis, at, stop;
    const int32_t *index = args->in[1].data;
    wg__extents from = wg__extents_at(&args->in[0], axis);
    int64_t size = (int64_t)wg_dtype_size(args->out.dtype), each = args->in[1].size[axis] * from.inner;
    const char *x = args->in[0].data;
    char *out = args->out.data;
    block(args, task, size, &at, &stop);
    if (at >= stop) return;
    int64_t outer = at / each, end = (outer + 1) * each, column = at % from.inner;
    for (; at < stop; at++) {
        int64_t row = index[at];
        if (row < 0 || row >= from.n) {
            wg_args_bad_index(args, at, row, from.n);
            row = 0;
        }
        if (from.n > 0)
            wg__move_elements(out + at * size, 0, x + ((outer * from.n + row) * from.inner + column) * size, 0, 1,
                              (size_t)size);
        else
            memset(out + at * size, 0, (size_t)size);
        if (++column == from.inner) column = 0;
        if (at + 1 == end) outer++, end += each;
    }
}

/* out[i, c] = (c == index[i]) */
void wg__one_hot_kernel(const wg_args *args, int64_t task)
{
    int64_t classes = ((const wg__one_hot_attr *)args->attr)->classes, at, stop;
    int64_t size = (int64_t)wg_dtype_size(args->out.dtype);
    const int32_t *index = args->in[0].data;
    char *out = args->out.data, one[8];
    wg__from_f64(args->out.dtype, 1, 1, one);
    block(args, task, size, &at, &stop);
    if (at >= stop) return;
    memset(out + at * size, 0, (size_t)((stop - at) * size));
    for (int64_t i = at / classes; i * classes < stop; i++) {
        int64_t c = index[i], hot = i * classes + c;
        if (c < 0 || c >= classes) {
            if (i * classes >= at) wg_args_bad_index(args, i, c, classes);
        } else if (hot >= at && hot < stop) {
            wg__move_elements(out + hot * size, 0, one, 0, 1, (size_t)size);
        }
    }
}
