/* Replacing a slice whose position is a value. */
#include "move.h"

#include <string.h>

#include "../base/integers.h"

int64_t wg__update_tasks(const wg_args *args)
{
    const wg__extents e = wg__extents_at(&args->out, ((const wg__axis_attr *)args->attr)->axis);
    return min64(e.outer, wg__bytes_tasks(args));
}

/* in0 start, in1 slice, in2 base, which may be the result itself: out = base with slice from start on, as far back as
 * it must be to fit. */
void wg__update_kernel(const wg_args *args, int64_t task)
{
    const int64_t axis = ((const wg__axis_attr *)args->attr)->axis, tasks = wg__update_tasks(args);
    const wg__extents e = wg__extents_at(&args->out, axis);
    const int64_t line = e.inner * (int64_t)wg_dtype_size(args->out.dtype), n = args->in[1].size[axis];
    const int64_t wanted = *(const int32_t *)args->in[0].data, start = clamp64(wanted, 0, e.n - n);
    for (int64_t o = e.outer * task / tasks; o < e.outer * (task + 1) / tasks; o++) {
        char *out = (char *)args->out.data + o * e.n * line;
        const char *base = (const char *)args->in[2].data + o * e.n * line;
        if (base != out) memcpy(out, base, (size_t)(e.n * line));
        memmove(out + start * line, (const char *)args->in[1].data + o * n * line, (size_t)(n * line));
    }
}
