/* The data of a batch, from an array of all samples. */
#include "fit.h"

#include <stdlib.h>
#include <string.h>

#include "../autograd/op.h"

static const char op[] = "fit_rows";

/* Copies the samples to room for n of them; 0 .. samples - 1 and those that are held out are in the array. */
static void gather(const wg_fit_batch *batch, const char *from, size_t bytes, char *to)
{
    for (int64_t i = 0; i < batch->n; i++)
        if (bytes) memcpy(to + (size_t)i * bytes, from + (size_t)batch->sample[i] * bytes, bytes);
}

wg_tensor wg_fit_rows(const wg_fit_batch *batch, wg_dtype dtype, wg_shape shape, const void *data)
{
    wg_shape all = {.rank = shape.rank + 1};
    size_t bytes = 0, total = 0;
    if (!batch || !batch->tape) return WG_NONE;
    if (!batch->sample || !data) return wg_fail_on(batch->tape, WG_ERR_ARGUMENT, op, "no samples, or no data");
    if (shape.rank < 0 || shape.rank >= WG_MAX_RANK || !wg_shape_bytes(&shape, dtype, &bytes))
        return wg_fail_on(batch->tape, WG_ERR_ARGUMENT, op, "a sample has rank 0 to %d", WG_MAX_RANK - 1);
    all.size[0] = batch->n;
    memcpy(&all.size[1], shape.size, (size_t)shape.rank * sizeof *shape.size);
    if (!wg_shape_bytes(&all, dtype, &total))
        return wg_fail_on(batch->tape, WG_ERR_ARGUMENT, op, "the batch is too large");
    char *rows = malloc(total ? total : 1);
    if (!rows) return wg_fail_on(batch->tape, WG_ERR_MEMORY, op, "out of memory");
    gather(batch, data, bytes, rows);
    wg_tensor tensor = wg_data(batch->tape, dtype, all, rows);
    free(rows);
    return tensor;
}
