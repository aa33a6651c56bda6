/* Batches that rank 0 makes: each rank gets the rows of its shards. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* Rows of the global batch that belong to shards lo .. hi - 1: as wg_loader_shard cuts it. */
static wg__range rows_of(const wg_dist *d, int64_t lo, int64_t hi)
{
    const int64_t n = d->dealt.batch.n;
    return (wg__range){n * lo / d->shards, n * hi / d->shards};
}

static wg__range rows_of_rank(const wg_dist *d, int rank)
{
    int64_t first, end;
    wg_dist_range(d, rank, &first, &end);
    return rows_of(d, first, end);
}

/* A row's bytes of field f; of its sample's index for -1. */
static size_t row_bytes(const wg_batch *b, int f)
{
    size_t bytes = 0;
    if (f < 0) return sizeof *b->samples;
    wg_shape_bytes(&b->field[f].shape, b->field[f].dtype, &bytes);
    return bytes / (size_t)b->n;
}

static void *data_of(const wg_batch *b, int f)
{
    return (void *)(uintptr_t)(f < 0 ? (const void *)b->samples : b->field[f].data);
}

/* Places for the rows of this rank, one array after the other; false if out of memory. */
static bool take_room(wg__dealt *t, int64_t rows)
{
    enum { ALIGN = 64 };
    size_t room = ALIGN, at[WG_MAX_FIELDS + 1];
    for (int f = -1; f < t->batch.n_fields; f++) {
        at[f + 1] = room;
        room += (row_bytes(&t->batch, f) * (size_t)rows + ALIGN - 1) / ALIGN * ALIGN;
    }
    if (room > t->room) {
        free(t->memory);
        t->memory = malloc(room);
        t->room = t->memory ? room : 0;
        if (!t->memory) return false;
    }
    t->batch.samples = (const int64_t *)(const void *)(t->memory + at[0]);
    for (int f = 0; f < t->batch.n_fields; f++) t->batch.field[f].data = t->memory + at[f + 1];
    return true;
}

static wg_status send_rows(wg_dist *d, int rank)
{
    const wg__range rows = rows_of_rank(d, rank);
    wg_status status = WG_OK;
    for (int f = -1; f < d->dealt.batch.n_fields && status == WG_OK; f++) {
        const size_t bytes = row_bytes(&d->dealt.batch, f);
        status = wg__send_all(d->world, (const char *)data_of(&d->dealt.batch, f) + (size_t)rows.begin * bytes,
                              (size_t)(rows.end - rows.begin) * bytes, rank);
    }
    return status;
}

static wg_status receive_rows(wg_dist *d, int64_t rows)
{
    wg_status status = WG_OK;
    for (int f = -1; f < d->dealt.batch.n_fields && status == WG_OK; f++)
        status =
            wg__receive_all(d->world, data_of(&d->dealt.batch, f), (size_t)rows * row_bytes(&d->dealt.batch, f), 0);
    return status;
}

static wg_status deal(wg_dist *d, wg_feed *feed, uint64_t step, wg_error *ours)
{
    wg__dealt *t = &d->dealt;
    const int ranks = wg_world_size(d->world), rank = wg_world_rank(d->world);
    const wg_batch *made = rank == 0 ? wg_feed_batch(feed, step, ours) : NULL;
    wg_status status = wg__agree(d->world, ours);
    if (status != WG_OK) return status;
    if (made) t->batch = *made;
    status = wg__broadcast(d->world, 0, &t->batch, sizeof t->batch);
    if (status != WG_OK) return status;
    const wg__range rows = rows_of_rank(d, rank);
    t->first = rows.begin;
    if (rank > 0 && !take_room(t, rows.end - rows.begin))
        wg_error_set(ours, WG_ERR_MEMORY, "dist: rank %d is out of memory for its part of a batch", rank);
    status = wg__agree(d->world, ours);
    if (rank > 0) return status == WG_OK ? receive_rows(d, rows.end - rows.begin) : status;
    for (int r = 1; r < ranks && status == WG_OK; r++) status = send_rows(d, r);
    return status;
}

wg_status wg_dist_scatter(wg_dist *d, wg_feed *feed, uint64_t step, wg_error *error)
{
    wg_error ours = {0};
    if (!d) return wg_error_set(error, WG_ERR_ARGUMENT, "dist: no run");
    wg_status status = wg_world_status(d->world);
    d->dealt.batch = (wg_batch){0};
    if (status == WG_OK) status = deal(d, feed, step, &ours);
    if (status == WG_OK) return status;
    d->dealt.batch = (wg_batch){0};
    return wg_error_set(error, status, "%s",
                        wg_world_status(d->world) != WG_OK ? wg_world_message(d->world) : ours.text);
}

const wg_batch *wg_dist_batch(wg_dist *d, int64_t shard)
{
    if (!d || d->dealt.batch.n == 0 || shard < d->first || shard >= d->end) return NULL;
    const wg__range rows = rows_of(d, shard, shard + 1);
    const int64_t at = rows.begin - d->dealt.first;
    wg_batch *one = &d->dealt.one;
    *one = d->dealt.batch;
    one->n = rows.end - rows.begin;
    one->samples += at;
    for (int f = 0; f < one->n_fields; f++) {
        one->field[f].data = (const char *)one->field[f].data + (size_t)at * row_bytes(&d->dealt.batch, f);
        one->field[f].shape.size[0] = one->n;
    }
    return one;
}
