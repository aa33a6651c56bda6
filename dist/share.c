/* What rank 0 has, for all ranks: bytes, and files that the others need not see. */
#include "world.h"

#include <stdlib.h>
#include <string.h>

/* The world's error, or the one that all ranks have agreed on. */
static wg_status report(const wg_world *w, wg_status status, const wg_error *agreed, wg_error *error)
{
    if (status == WG_OK) return status;
    return wg_error_set(error, status, "%s", w->error.status != WG_OK ? w->error.text : agreed->text);
}

static wg_status no_world(wg_error *error) { return wg_error_set(error, WG_ERR_ARGUMENT, "world: there is none"); }

wg_status wg_world_agree(wg_world *w, wg_error *error)
{
    if (!w || !error) return no_world(error);
    if (w->error.status == WG_OK) (void)wg__agree(w, error);
    if (w->error.status == WG_OK) return error->status;
    *error = w->error;
    return error->status;
}

wg_status wg_world_share(wg_world *w, void *bytes, size_t size, wg_error *error)
{
    if (!w) return no_world(error);
    wg_error ours = {0};
    size_t theirs = size;
    wg_status status = wg__broadcast(w, 0, &theirs, sizeof theirs);
    if (!bytes && size > 0) wg_error_set(&ours, WG_ERR_ARGUMENT, "world: rank %d shares NULL", w->rank);
    if (theirs != size)
        wg_error_set(&ours, WG_ERR_ARGUMENT, "world: rank 0 shares %zu bytes, rank %d takes %zu", theirs, w->rank,
                     size);
    if (status == WG_OK) status = wg__agree(w, &ours);
    if (status == WG_OK) status = wg__broadcast(w, 0, bytes, size);
    return report(w, status, &ours, error);
}

/* ---- files ---- */

/* Gives all ranks the `size` bytes at *data of rank 0, followed by a NUL, in memory of their own. */
static wg_status hand_out(wg_world *w, const char *path, void **data, size_t size, wg_error *ours)
{
    if (w->rank > 0) {
        *data = size < SIZE_MAX ? malloc(size + 1) : NULL;
        if (!*data)
            wg_error_set(ours, WG_ERR_MEMORY, "%.160s: rank %d is out of memory for its %zu bytes",
                         path ? path : "", w->rank, size);
        else
            ((char *)*data)[size] = 0;
    }
    const wg_status status = wg__agree(w, ours);
    return status == WG_OK ? wg__broadcast(w, 0, *data, size) : status;
}

wg_status wg_world_read_text(wg_world *w, const char *path, uint64_t limit, wg_text *text, wg_error *error)
{
    wg_text ours = {0};
    wg_error agreed = {0};
    if (text) *text = (wg_text){0};
    if (!w) return no_world(error);
    if (!text) wg_error_set(&agreed, WG_ERR_ARGUMENT, "world: rank %d has no place for a text", w->rank);
    if (text && w->rank == 0) (void)!wg_text_read_limited(path, limit, &ours, &agreed);
    wg_status status = wg__agree(w, &agreed);
    if (status == WG_OK) status = wg__broadcast(w, 0, &ours.size, sizeof ours.size);
    if (status == WG_OK) {
        void *bytes = ours.bytes;
        status = hand_out(w, path, &bytes, ours.size, &agreed);
        ours.bytes = bytes;
    }
    if (status != WG_OK) {
        wg_text_fini(&ours);
        return report(w, status, &agreed, error);
    }
    *text = ours;
    return WG_OK;
}

wg_status wg_world_read_idx(wg_world *w, const char *path, wg_dtype dtype, double scale, wg_idx *idx,
                            wg_error *error)
{
    wg_idx ours = {0};
    wg_error agreed = {0};
    if (idx) *idx = (wg_idx){0};
    if (!w) return no_world(error);
    if (!idx) wg_error_set(&agreed, WG_ERR_ARGUMENT, "world: rank %d has no place for an IDX file", w->rank);
    if (idx && w->rank == 0) (void)!wg_idx_read_as(path, dtype, scale, &ours, &agreed);
    wg_status status = wg__agree(w, &agreed);
    if (status == WG_OK) status = wg__broadcast(w, 0, &dtype, sizeof dtype);
    if (status == WG_OK) status = wg__broadcast(w, 0, &ours.type, sizeof ours.type);
    if (status == WG_OK) status = wg__broadcast(w, 0, &ours.shape, sizeof ours.shape);
    if (status == WG_OK) {
        size_t bytes = 0;
        wg_shape_bytes(&ours.shape, dtype, &bytes);
        status = hand_out(w, path, &ours.data, bytes, &agreed);
    }
    if (status != WG_OK) {
        wg_idx_fini(&ours);
        return report(w, status, &agreed, error);
    }
    *idx = ours;
    return WG_OK;
}
