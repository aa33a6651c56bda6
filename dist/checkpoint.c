/* Checkpoints of a run: one file, written and read by rank 0. While it writes, the others serve it the pieces of the
 * optimizer's state and of carried buffers that they hold, as it asks for them. */
#include "internal.h"

#include "../io/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_SHARDS WG__RESERVED "shards"

/* ---- tensors of the file ---- */

typedef enum kind { WHOLE, STATE, CARRIED } kind;

/* A tensor, and where its data are. */
typedef struct tensor {
    kind kind;
    size_t index;    /* of the carried buffer */
    char *data;      /* STATE: of this rank's elements */
    wg__range range; /* STATE: of the parameter in the flat order */
    wg_entry entry;
} tensor;

typedef struct listing {
    wg_dist *d;
    tensor *tensors;
    size_t n;
} listing;

/* STATE_PREFIX "exp_avg.NAME" has the elements of parameter NAME; an empty range if that is not trained. */
static wg__range range_of_state(const wg_dist *d, const char *name)
{
    const char *dot = strchr(name + sizeof STATE_PREFIX - 1, '.');
    const wg_param *p = dot ? wg_param_find(d->params, dot + 1) : NULL;
    const int64_t at = p ? wg__place_of_trained(d, p) : -1;
    return at < 0 ? (wg__range){0, 0} : (wg__range){d->grads.begin[at], d->grads.begin[at + 1]};
}

static int find_carried(const wg_dist *d, const wg_param *p)
{
    for (size_t i = 0; i < d->n_carried && d->shards > 1; i++)
        if (d->carried[i].buffer == p) return (int)i;
    return -1;
}

static bool with_shards(wg_shape *shape, int64_t shards)
{
    if (shape->rank >= WG_MAX_RANK) return false;
    memmove(shape->size + 1, shape->size, (size_t)shape->rank * sizeof *shape->size);
    shape->size[0] = shards;
    shape->rank++;
    return true;
}

static wg_status list_params(listing *f)
{
    wg_dist *d = f->d;
    for (size_t i = 0; i < wg_params_count(d->params); i++) {
        const wg_param *p = wg_params_at(d->params, i);
        tensor *t = &f->tensors[f->n++];
        const int carried = find_carried(d, p);
        t->entry = (wg_entry){.name = wg_params_name_at(d->params, i), .dtype = wg_param_dtype(p)};
        t->entry.shape = wg_param_shape(p);
        t->entry.data = wg_param_value(p);
        if (carried < 0) continue;
        t->kind = CARRIED;
        t->index = (size_t)carried;
        t->entry.data = NULL;
        if (!with_shards(&t->entry.shape, d->shards))
            return wg_error_set(&d->error, WG_ERR_SHAPE, "dist: buffer %.100s has no axis left for shards",
                                t->entry.name);
    }
    return WG_OK;
}

static void list_states(listing *f)
{
    wg_dist *d = f->d;
    for (size_t i = 0; i < wg_optimizer_state_count(d->optimizer); i++) {
        tensor *t = &f->tensors[f->n++];
        void *data;
        wg_optimizer_state_at(d->optimizer, i, &t->entry.name, &t->entry.dtype, &t->entry.shape, &data);
        t->data = data;
        t->entry.data = data;
        if (t->entry.dtype == WG_I32 || wg_world_size(d->world) == 1) continue;
        t->range = range_of_state(d, t->entry.name);
        if (t->range.begin == t->range.end) continue; /* frozen: all ranks have the same */
        t->kind = STATE;
        t->entry.data = NULL;
    }
}

/* The tensors of the file, on each rank in the same order. */
static wg_status list_file(wg_dist *d, listing *f)
{
    *f = (listing){.d = d};
    d->error = (wg_error){0};
    if (wg_optimizer_adopt(d->optimizer) != WG_OK)
        return wg_error_set(&d->error, WG_ERR_MEMORY, "dist: %s", wg_optimizer_message(d->optimizer));
    const size_t n = wg_params_count(d->params) + wg_optimizer_state_count(d->optimizer);
    f->tensors = calloc(n + 1, sizeof *f->tensors);
    if (!f->tensors) return wg_error_set(&d->error, WG_ERR_MEMORY, "dist: out of memory");
    const wg_status status = list_params(f);
    if (status == WG_OK) list_states(f);
    return status;
}

/* ---- pieces ---- */

/* Who holds byte `at` of a tensor, which of its bytes end there, and where it is if it is this rank. */
typedef struct holder {
    int rank;
    uint64_t end; /* the first byte after `at` that somebody else holds */
    char *here;
} holder;

static holder holder_of_state(const wg_dist *d, const tensor *t, uint64_t at)
{
    const size_t size = d->grads.size;
    const int64_t element = t->range.begin + (int64_t)(at / size);
    int place = 0;
    while (d->cut[place + 1] <= element) place++;
    const int64_t begin = d->cut[place] > t->range.begin ? d->cut[place] : t->range.begin;
    const int64_t end = d->cut[place + 1] < t->range.end ? d->cut[place + 1] : t->range.end;
    holder h = {wg__place(wg_world_size(d->world), place), (uint64_t)(end - t->range.begin) * size, NULL};
    if (place == d->place) h.here = t->data + at - (uint64_t)(begin - t->range.begin) * size;
    return h;
}

static holder holder_of_carried(const wg_dist *d, const tensor *t, uint64_t at)
{
    const wg__kept *k = &d->carried[t->index];
    const int ranks = wg_world_size(d->world);
    const int64_t shard = (int64_t)(at / k->bytes);
    int rank = 0;
    while (wg__first_shard(d->shards, ranks, rank + 1) <= shard) rank++;
    holder h = {rank, (uint64_t)wg__first_shard(d->shards, ranks, rank + 1) * k->bytes, NULL};
    if (rank == wg_world_rank(d->world)) h.here = k->values + at - (uint64_t)d->first * k->bytes;
    return h;
}

static holder holder_of(const wg_dist *d, const tensor *t, uint64_t at)
{
    return t->kind == STATE ? holder_of_state(d, t, at) : holder_of_carried(d, t, at);
}

/* ---- saving ---- */

/* What rank 0 asks for; size 0: the file is done. */
typedef struct request {
    uint64_t tensor, offset, size;
} request;

static wg_status ask(wg_dist *d, int rank, request what, void *bytes)
{
    wg_status status = wg__send_all(d->world, &what, sizeof what, rank);
    return status == WG_OK && what.size ? wg__receive_all(d->world, bytes, what.size, rank) : status;
}

static wg_status fill(void *context, size_t i, uint64_t offset, void *bytes, size_t size, wg_error *error)
{
    const listing *f = context;
    const uint64_t end = offset + size;
    for (uint64_t at = offset; at < end;) {
        const holder h = holder_of(f->d, &f->tensors[i], at);
        const size_t some = (size_t)((h.end < end ? h.end : end) - at);
        char *to = (char *)bytes + (at - offset);
        if (h.here)
            memcpy(to, h.here, some);
        else if (ask(f->d, h.rank, (request){i, at, some}, to) != WG_OK)
            return wg_error_set(error, WG_ERR_IO, "%s", wg_world_message(f->d->world));
        at += some;
    }
    return WG_OK;
}

/* Answers rank 0 until the file is done. */
static wg_status serve(const listing *f)
{
    for (;;) {
        request what;
        wg_status status = wg__receive_all(f->d->world, &what, sizeof what, 0);
        if (status != WG_OK || what.size == 0) return status;
        const holder h = holder_of(f->d, &f->tensors[what.tensor], what.offset);
        status = wg__send_all(f->d->world, h.here, (size_t)what.size, 0);
        if (status != WG_OK) return status;
    }
}

static void write_file(const listing *f, const char *path, const wg_checkpoint *c)
{
    wg_dist *d = f->d;
    char text[4][24];
    const uint64_t number[] = {c->step, c->seed, wg_optimizer_steps(d->optimizer), (uint64_t)d->shards};
    static const char *const key[] = {KEY_STEP, KEY_SEED, KEY_OPTIMIZER_STEPS, KEY_SHARDS};
    wg_entry *entries = malloc((f->n + 1) * sizeof *entries);
    wg_pair *pairs = malloc((c->n_metadata + 6) * sizeof *pairs);
    size_t n = 0;
    if (entries && pairs) {
        for (; n < 4; n++) {
            snprintf(text[n], sizeof text[n], "%" PRIu64, number[n]);
            pairs[n] = (wg_pair){key[n], text[n]};
        }
        pairs[n++] = (wg_pair){KEY_VERSION, wg_version()};
        pairs[n++] = (wg_pair){KEY_OPTIMIZER, wg_optimizer_name(d->optimizer)};
        for (size_t i = 0; i < c->n_metadata; i++) pairs[n++] = c->metadata[i];
        for (size_t i = 0; i < f->n; i++) entries[i] = f->tensors[i].entry;
        (void)!wg_safetensors_write_from(path, entries, f->n, pairs, n, fill, (void *)(uintptr_t)f, &d->error);
    } else {
        wg_error_set(&d->error, WG_ERR_MEMORY, "%.160s: out of memory", path ? path : "");
    }
    free(entries);
    free(pairs);
    for (int r = 1; r < wg_world_size(d->world); r++) (void)ask(d, r, (request){0}, NULL);
}

/* The world's error, or the run's, which all ranks have agreed on. */
static wg_status report(const wg_dist *d, wg_status status, wg_error *error)
{
    if (status == WG_OK) return status;
    return wg_error_set(error, status, "%s",
                        wg_world_status(d->world) != WG_OK ? wg_world_message(d->world) : d->error.text);
}

wg_status wg_dist_save(wg_dist *d, const char *path, const wg_checkpoint *c, wg_error *error)
{
    listing f;
    if (!d || !c) return wg_error_set(error, WG_ERR_ARGUMENT, "dist: no %s to save", d ? "checkpoint" : "run");
    if (list_file(d, &f) == WG_OK) (void)wg__checkpoint_check_metadata(path ? path : "", c, &d->error);
    wg_status status = wg__agree(d->world, &d->error);
    if (status == WG_OK) {
        if (wg_world_rank(d->world) == 0)
            write_file(&f, path, c);
        else
            (void)serve(&f);
        status = wg_world_status(d->world) == WG_OK ? wg__agree(d->world, &d->error) : wg_world_status(d->world);
    }
    free(f.tensors);
    return report(d, status, error);
}

/* ---- loading ---- */

int64_t wg_dist_saved_shards(const wg_safetensors *file)
{
    const char *text = file ? wg_safetensors_metadata(file, KEY_SHARDS) : NULL;
    const long long shards = text ? strtoll(text, NULL, 10) : 0;
    return shards > 0 && shards <= WG_DIST_MOST_SHARDS ? shards : 0;
}

/* Carried buffers have another shape in the file; the optimizer's state is checked apart. */
static bool tolerate(void *context, const wg_difference *difference)
{
    const listing *f = context;
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->tensors[i].entry.name, difference->name) == 0)
            return f->tensors[i].kind == CARRIED && difference->kind == WG_OTHER_SHAPE;
    return false;
}

/* Tensors that wg_checkpoint_load does not look at. */
static wg_status check_tensors(const listing *f, const wg_safetensors *s, wg_error *error)
{
    const char *path = wg_safetensors_path(s);
    const int64_t shards = wg_dist_saved_shards(s) ? wg_dist_saved_shards(s) : 1;
    const char *optimizer = wg_safetensors_metadata(s, KEY_OPTIMIZER);
    if (shards != f->d->shards)
        return wg_error_set(error, WG_ERR_FORMAT, "%.160s: of a run of %lld shards, not %lld", path,
                            (long long)shards, (long long)f->d->shards);
    if (!optimizer || strcmp(optimizer, wg_optimizer_name(f->d->optimizer)) != 0)
        return wg_error_set(error, WG_ERR_FORMAT, "%.160s: saved with optimizer %.40s, not %s", path,
                            optimizer ? optimizer : "none", wg_optimizer_name(f->d->optimizer));
    for (size_t i = 0; i < f->n; i++) {
        const wg_entry *ours = &f->tensors[i].entry;
        wg_entry theirs;
        if (i < wg_params_count(f->d->params) && f->tensors[i].kind != CARRIED) continue;
        if (!wg_safetensors_find(s, ours->name, &theirs))
            return wg_error_set(error, WG_ERR_FORMAT, "%.160s: missing: %.100s", path, ours->name);
        if (theirs.dtype != ours->dtype || !wg_shape_equal(&theirs.shape, &ours->shape))
            return wg_error_set(error, WG_ERR_FORMAT, "%.160s: %.100s has another shape or dtype", path,
                                ours->name);
    }
    return WG_OK;
}

static wg_safetensors *read_file(const listing *f, const char *path, wg_checkpoint *c)
{
    wg_dist *d = f->d;
    wg_safetensors *s = wg_safetensors_open(path, &d->error);
    if (!s || check_tensors(f, s, &d->error) != WG_OK) return s;
    wg_checkpoint without_optimizer = *c;
    without_optimizer.params = d->params;
    without_optimizer.optimizer = NULL;
    if (wg_checkpoint_load(s, &without_optimizer, tolerate, (void *)(uintptr_t)f, &d->error) != WG_OK) return s;
    c->step = without_optimizer.step;
    c->seed = without_optimizer.seed;
    const char *steps = wg_safetensors_metadata(s, KEY_OPTIMIZER_STEPS);
    wg_optimizer_set_steps(d->optimizer, steps ? strtoull(steps, NULL, 10) : 0);
    return s;
}

/* Rank 0 sends the pieces of a tensor to those that hold them. */
static wg_status scatter(const wg_dist *d, const tensor *t, const wg_safetensors *s)
{
    wg_entry from = {0};
    size_t bytes = 0;
    const int rank = wg_world_rank(d->world);
    wg_status status = WG_OK;
    if (rank == 0) wg_safetensors_find(s, t->entry.name, &from);
    wg_shape_bytes(&t->entry.shape, t->entry.dtype, &bytes);
    for (uint64_t at = 0; at < bytes && status == WG_OK;) {
        const holder h = holder_of(d, t, at);
        const size_t some = (size_t)(h.end - at);
        if (rank == 0 && h.here)
            memcpy(h.here, (const char *)from.data + at, some);
        else if (rank == 0)
            status = wg__send_all(d->world, (const char *)from.data + at, some, h.rank);
        else if (h.here)
            status = wg__receive_all(d->world, h.here, some, 0);
        at = h.end;
    }
    return status;
}

/* All ranks get what rank 0 has of a tensor. */
static wg_status share(const wg_dist *d, const tensor *t, const wg_safetensors *s)
{
    size_t bytes = 0;
    wg_entry from;
    wg_shape_bytes(&t->entry.shape, t->entry.dtype, &bytes);
    if (t->data) { /* of the optimizer */
        if (wg_world_rank(d->world) == 0 && wg_safetensors_find(s, t->entry.name, &from))
            memcpy(t->data, from.data, bytes);
        return wg__broadcast(d->world, 0, t->data, bytes);
    }
    wg_param *p = wg_param_find(d->params, t->entry.name);
    const wg_status status = wg__broadcast(d->world, 0, wg_param_write_begin(p), bytes);
    wg_param_write_end(p);
    return status;
}

static wg_status share_all(const listing *f, const wg_safetensors *s, wg_checkpoint *c)
{
    uint64_t numbers[] = {c->step, c->seed, wg_optimizer_steps(f->d->optimizer)};
    wg_status status = wg__broadcast(f->d->world, 0, numbers, sizeof numbers);
    for (size_t i = 0; i < f->n && status == WG_OK; i++)
        status = (f->tensors[i].kind == WHOLE ? share : scatter)(f->d, &f->tensors[i], s);
    c->step = numbers[0];
    c->seed = numbers[1];
    wg_optimizer_set_steps(f->d->optimizer, numbers[2]);
    return status;
}

wg_status wg_dist_load(wg_dist *d, const char *path, wg_checkpoint *c, wg_error *error)
{
    listing f;
    if (!d || !c) return wg_error_set(error, WG_ERR_ARGUMENT, "dist: no %s to load", d ? "checkpoint" : "run");
    list_file(d, &f);
    wg_status status = wg__agree(d->world, &d->error);
    wg_safetensors *s = NULL;
    if (status == WG_OK) {
        if (wg_world_rank(d->world) == 0) s = read_file(&f, path, c);
        status = wg__agree(d->world, &d->error);
    }
    if (status == WG_OK) status = share_all(&f, s, c);
    wg_safetensors_close(s);
    free(f.tensors);
    return report(d, status, error);
}
