/* Stacks samples into batches. */
#include "batch.h"

#include "../autograd/op.h"

#include <stdlib.h>
#include <string.h>

/* ---- what a data set must be ---- */

/* Why the field is invalid; NULL if it is valid. */
static const char *invalid_field(const wg_dataset *data, const wg_field *field)
{
    size_t bytes;
    if ((unsigned)field->dtype >= WG_DTYPES) return "the dtype is invalid";
    if (field->shape.rank < 0 || field->shape.rank >= WG_MAX_RANK) return "the shape must have a rank of 0 to 7";
    if (!wg_shape_bytes(&field->shape, field->dtype, &bytes)) return "the size is invalid or too large";
    if (!field->data && !data->make) return "it has no data, and the data set no function";
    return NULL;
}

static wg_status check(const wg_dataset *data, wg_error *error)
{
    if (!data) return wg_error_set(error, WG_ERR_ARGUMENT, "feed: the data set is NULL");
    if (data->n_fields < 1 || data->n_fields > WG_MAX_FIELDS)
        return wg_error_set(error, WG_ERR_ARGUMENT, "feed: %d fields; a sample has 1 to %d", data->n_fields,
                            WG_MAX_FIELDS);
    for (int f = 0; f < data->n_fields; f++) {
        const char *reason = invalid_field(data, &data->field[f]);
        if (reason) return wg_error_set(error, WG_ERR_ARGUMENT, "feed: field %d: %s", f, reason);
    }
    return WG_OK;
}

/* [n, shape...] */
static wg_shape stacked(const wg_shape *shape, int64_t n)
{
    int64_t size[WG_MAX_RANK] = {n};
    memcpy(size + 1, shape->size, (size_t)shape->rank * sizeof *size);
    return wg_shape_of(shape->rank + 1, size);
}

wg_status wg__stacker_init(wg__stacker *s, const wg_dataset *data, const wg_loader_options *order, wg_error *error)
{
    *s = (wg__stacker){0};
    wg_status status = check(data, error);
    if (status != WG_OK) return status;
    wg_error reason = {0};
    s->data = *data;
    s->seed = order->seed;
    s->most = order->batch < data->n ? order->batch : data->n;
    s->loader = wg_loader_new(data->n, *order, &reason);
    if (!s->loader) return wg_error_set(error, reason.status, "%s", reason.text);
    for (int f = 0; f < data->n_fields; f++) {
        const wg_shape shape = stacked(&data->field[f].shape, s->most);
        size_t bytes;
        if (!wg_shape_bytes(&shape, data->field[f].dtype, &bytes))
            return wg_error_set(error, WG_ERR_ARGUMENT, "feed: field %d: a batch of %lld samples is too large", f,
                                (long long)s->most);
        s->sample_bytes[f] = bytes / (size_t)s->most;
    }
    return WG_OK;
}

void wg__stacker_fini(wg__stacker *s) { wg_loader_free(s->loader); }

/* ---- slots ---- */

bool wg__batch_slot_init(wg__batch_slot *slot, const wg__stacker *s)
{
    *slot = (wg__batch_slot){.samples = malloc((size_t)s->most * sizeof *slot->samples)};
    bool complete = slot->samples != NULL;
    for (int f = 0; f < s->data.n_fields; f++) {
        slot->data[f] = malloc((size_t)s->most * s->sample_bytes[f] + 1);
        complete = complete && slot->data[f];
    }
    return complete;
}

void wg__batch_slot_fini(wg__batch_slot *slot)
{
    free(slot->samples);
    for (int f = 0; f < WG_MAX_FIELDS; f++) free(slot->data[f]);
    *slot = (wg__batch_slot){0};
}

/* ---- a batch ---- */

/* Puts sample `index` at `place` of the slot. */
static wg_status put_sample(const wg__stacker *s, wg__batch_slot *slot, uint64_t epoch, int64_t index,
                            int64_t place)
{
    void *out[WG_MAX_FIELDS] = {0};
    for (int f = 0; f < s->data.n_fields; f++) {
        const size_t bytes = s->sample_bytes[f];
        const char *from = s->data.field[f].data;
        out[f] = (char *)slot->data[f] + (size_t)place * bytes;
        if (from)
            memcpy(out[f], from + (size_t)index * bytes, bytes);
        else
            memset(out[f], 0, bytes);
    }
    if (!s->data.make) return WG_OK;
    const wg_sample sample = {.index = index, .epoch = epoch, .seed = s->seed};
    const wg_status status = s->data.make(s->data.context, &sample, out, &slot->error);
    if (status != WG_OK)
        wg_error_set(&slot->error, status, "feed: the data set's function failed for sample %lld (%s)",
                     (long long)index, wg_status_name(status));
    return status;
}

void wg__stack(wg__stacker *s, uint64_t step, wg__batch_slot *slot)
{
    const int64_t *samples;
    const int64_t n = wg_loader_batch(s->loader, step, &samples);
    const uint64_t epoch = step / (uint64_t)wg_loader_batches(s->loader);
    memcpy(slot->samples, samples, (size_t)n * sizeof *samples);
    slot->batch = (wg_batch){.n = n, .epoch = epoch, .samples = slot->samples, .n_fields = s->data.n_fields};
    for (int f = 0; f < s->data.n_fields; f++)
        slot->batch.field[f] =
            (wg_field){s->data.field[f].dtype, stacked(&s->data.field[f].shape, n), slot->data[f]};
    slot->error = (wg_error){0};
    slot->status = WG_OK;
    for (int64_t i = 0; i < n && slot->status == WG_OK; i++)
        slot->status = put_sample(s, slot, epoch, samples[i], i);
}

wg_tensor wg_batch_tensor(const wg_batch *batch, wg_tape *tape, int f)
{
    if (!batch) return wg_fail_on(tape, WG_ERR_ARGUMENT, "batch", "the batch is NULL");
    if (f < 0 || f >= batch->n_fields || f >= WG_MAX_FIELDS)
        return wg_fail_on(tape, WG_ERR_ARGUMENT, "batch", "there is no field %d, of %d", f, batch->n_fields);
    return wg_data(tape, batch->field[f].dtype, batch->field[f].shape, batch->field[f].data);
}
