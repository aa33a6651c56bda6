/* A step: shard after shard, then all ranks together. */
#include "internal.h"

#include "../autograd/base/random.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static wg_status fail(wg_dist *d, wg_status status, const char *text)
{
    if (!d->failed) d->error = (wg_error){0};
    d->failed = true;
    return wg_error_set(&d->error, status, "dist: rank %d, shard %lld: %s", wg_world_rank(d->world),
                        (long long)d->next, text);
}

const char *wg_dist_message(const wg_dist *d)
{
    if (!d) return "no run";
    return wg_world_status(d->world) != WG_OK ? wg_world_message(d->world) : d->error.text;
}

/* ---- buffers ---- */

static void copy_to_buffer(wg_buffer *buffer, const void *values, size_t bytes)
{
    memcpy(wg_param_write_begin(buffer), values, bytes);
    wg_param_write_end(buffer);
}

/* The carried values of a shard of this rank. */
static char *carried_at(const wg_dist *d, size_t i, int64_t shard)
{
    return d->carried[i].values + (size_t)(shard - d->first) * d->carried[i].bytes;
}

/* To what they were before the step. */
static void restore_means(wg_dist *d)
{
    for (size_t i = 0; i < d->n_means && d->begun; i++)
        copy_to_buffer(d->means[i].buffer, d->means[i].values, d->means[i].bytes);
}

/* Gives the buffers the values that they have for the next shard. */
static void give_buffers(wg_dist *d)
{
    restore_means(d);
    for (size_t i = 0; i < d->n_carried; i++)
        copy_to_buffer(d->carried[i].buffer, carried_at(d, i, d->next), d->carried[i].bytes);
    for (size_t i = 0; i < d->n_means; i++) d->means[i].version = wg_param_version(d->means[i].buffer);
    for (size_t i = 0; i < d->n_others; i++) d->others[i].version = wg_param_version(d->others[i].buffer);
}

/* Keeps what the shard has carried on; refuses what belongs to neither kind. */
static wg_status take_buffers(wg_dist *d)
{
    for (size_t i = 0; i < d->n_carried; i++)
        memcpy(carried_at(d, i, d->next), wg_param_value(d->carried[i].buffer), d->carried[i].bytes);
    for (size_t i = 0; i < d->n_means; i++)
        d->changed |= wg_param_version(d->means[i].buffer) != d->means[i].version;
    for (size_t i = 0; i < d->n_others; i++)
        if (wg_param_version(d->others[i].buffer) != d->others[i].version) {
            char text[200];
            snprintf(text, sizeof text, "it wrote buffer %.100s, which is neither a mean nor carried",
                     wg_param_name(d->others[i].buffer));
            return fail(d, WG_ERR_ARGUMENT, text);
        }
    return WG_OK;
}

/* ---- shards ---- */

static wg__range everything(const wg_dist *d) { return (wg__range){0, d->grads.numel}; }

static void begin_step(wg_dist *d)
{
    d->error = (wg_error){0};
    d->changed = false;
    d->begun = true;
    for (size_t i = 0; i < d->n_means; i++)
        memcpy(d->means[i].values, wg_param_value(d->means[i].buffer), d->means[i].bytes);
}

/* After a step, or one that failed. */
static void clear_step(wg_dist *d)
{
    d->next = d->first;
    d->n_roots = 0;
    d->begun = d->open = d->failed = false;
}

static uint64_t seed_of(const wg_dist *d, int64_t shard)
{
    const uint64_t both[] = {d->options.seed, (uint64_t)shard};
    return shard == 0 ? d->options.seed : wg__hash_bytes(0, both, sizeof both);
}

int64_t wg_dist_next(wg_dist *d, wg_tape *tape, uint64_t step)
{
    if (!d || d->failed || wg_world_status(d->world) != WG_OK) return -1;
    if (d->open) {
        (void)fail(d, WG_ERR_ARGUMENT, "it was not added");
        return -1;
    }
    if (d->next == d->end) return -1;
    if (!d->begun) begin_step(d);
    if (d->shards > 1) {
        if (d->n_roots > 0) wg__flat_read(&d->grads, everything(d), d->slabs[d->n_roots - 1]);
        give_buffers(d);
    }
    wg_zero_grad(d->params);
    wg_set_seed(tape, seed_of(d, d->next));
    wg_set_step(tape, step);
    d->open = true;
    return d->next;
}

static const char *refuse_reason(const wg_dist *d, double count, const double *values)
{
    if (!(count >= 0 && count < INFINITY)) return "the count must be a number >= 0";
    if (count > 0 && !values) return "values are missing";
    if (wg_params_trainable(d->params) != d->n_elements) return "parameters were added, frozen or unfrozen";
    return NULL;
}

/* Adds the shard's gradients, times count, to the sums that wait for them. */
static void add_gradients(wg_dist *d, double count)
{
    if (count == 0) wg_zero_grad(d->params);
    for (size_t i = 0; i < d->n_trained; i++) {
        wg_param_grad_write_begin(d->trained[i]); /* clears those that nothing was added to */
        wg_param_grad_write_end(d->trained[i]);
    }
    if (count != 1) wg__flat_scale(&d->grads, everything(d), count);
    d->roots[d->n_roots++] = (wg__node){d->next, d->next + 1};
    for (; d->n_roots > 1 && wg__siblings(d->shards, d->roots[d->n_roots - 2], d->roots[d->n_roots - 1]);
         d->n_roots--) {
        wg__flat_add(&d->grads, everything(d), d->slabs[d->n_roots - 2]);
        d->roots[d->n_roots - 2].hi = d->roots[d->n_roots - 1].hi;
    }
}

wg_status wg_dist_add(wg_dist *d, double count, const double *values)
{
    if (!d) return WG_ERR_ARGUMENT;
    if (d->failed) return d->error.status;
    if (!d->open) return fail(d, WG_ERR_ARGUMENT, "there is no shard to add: see wg_dist_next");
    const char *reason = refuse_reason(d, count, values);
    if (reason) return fail(d, WG_ERR_ARGUMENT, reason);
    if (!wg_params_grad_valid(d->params))
        return fail(d, WG_ERR_GRADIENT, "the gradients are invalid because their run failed");
    if (d->shards > 1) {
        const wg_status status = take_buffers(d);
        if (status != WG_OK) return status;
        add_gradients(d, count);
    }
    double *row = d->own + WG__HEAD + (d->next - d->first) * (1 + d->options.values);
    row[0] = count;
    for (int i = 0; i < d->options.values; i++)
        row[1 + i] = count == 0 ? 0 : d->shards > 1 ? count * values[i] : values[i];
    d->next++;
    d->open = false;
    return WG_OK;
}

/* ---- all ranks together ---- */

/* Every rank learns what each has to tell: d->table, the largest stop, whether means changed; the error of one that
 * failed. */
static wg_status tell_all(wg_dist *d, int stop, wg_dist_result *result)
{
    const int ranks = wg_world_size(d->world);
    const int64_t row = 1 + d->options.values;
    if (!d->failed && (d->open || d->next != d->end)) (void)fail(d, WG_ERR_ARGUMENT, "it was not added");
    d->own[0] = stop;
    d->own[1] = d->failed;
    d->own[2] = d->changed;
    const wg__flat told = wg__flat_of(d->told, d->told_cut[ranks], sizeof *d->told);
    const wg_status status = wg__gather(d->world, &told, d->told_cut, &d->world->counts.other_bytes);
    if (status != WG_OK) return status;
    for (int place = 0; place < ranks; place++) {
        const double *theirs = d->told + d->told_cut[place];
        const int64_t first = wg__first_shard(d->shards, ranks, wg__place(ranks, place));
        const int64_t numbers = d->told_cut[place + 1] - d->told_cut[place] - WG__HEAD;
        if (theirs[0] > result->stop) result->stop = (int)theirs[0];
        d->failed |= theirs[1] != 0;
        d->changed |= theirs[2] != 0;
        memcpy(d->table + first * row, theirs + WG__HEAD, (size_t)numbers * sizeof *d->table);
    }
    return d->failed ? wg__agree(d->world, &d->error) : WG_OK;
}

/* Counts and values of the global batch. */
static wg_status add_values(wg_dist *d, wg_dist_result *result)
{
    const int64_t row = 1 + d->options.values;
    result->count = wg__tree_sum(d->table, row, 0, d->shards);
    if (!(result->count > 0)) return wg_error_set(&d->error, WG_ERR_ARGUMENT, "dist: no shard had any samples");
    for (int i = 0; i < d->options.values; i++) {
        const double sum = wg__tree_sum(d->table + 1 + i, row, 0, d->shards);
        result->values[i] = d->shards > 1 ? sum / result->count : sum;
    }
    return WG_OK;
}

static wg_status refuse_nonfinite(wg_dist *d)
{
    int64_t at;
    const wg_status status = wg__dist_nonfinite(d, &at);
    if (status != WG_OK) return status;
    if (at < 0) return wg_error_set(&d->error, WG_ERR_NONFINITE, "dist: the norm of the gradient is not finite");
    const size_t i = wg__flat_find(&d->grads, at);
    return wg_error_set(&d->error, WG_ERR_NONFINITE, "dist: gradient of %s is not finite at element %lld",
                        wg_param_name(d->trained[i]), (long long)(at - d->grads.begin[i]));
}

static wg_status optimizer_step(wg_dist *d)
{
    const wg_status status = wg_optimizer_step(d->optimizer);
    return status == WG_OK ? status
                           : wg_error_set(&d->error, status, "dist: %s", wg_optimizer_message(d->optimizer));
}

static void write_begin(const wg_dist *d)
{
    for (size_t i = 0; i < d->n_trained; i++) wg_param_write_begin(d->trained[i]);
    for (size_t i = 0; i < d->n_means; i++) wg_param_write_begin(d->means[i].buffer);
}

static void write_end(const wg_dist *d)
{
    for (size_t i = 0; i < d->n_trained; i++) wg_param_write_end(d->trained[i]);
    for (size_t i = 0; i < d->n_means; i++) wg_param_write_end(d->means[i].buffer);
}

/* Adds, divides, clips, updates and hands out. */
static wg_status update(wg_dist *d, wg_dist_result *result)
{
    const wg__range part = wg__part(d, d->place);
    const wg__range trained = {part.begin, part.end < d->n_elements ? part.end : d->n_elements};
    const double most = d->options.clip_norm;
    wg_status status = wg__reduce(d);
    if (status != WG_OK) return status;
    wg__flat_divide(&d->grads, part, result->count);
    status = wg__norm(d, &result->norm);
    if (status != WG_OK) return status;
    if (!isfinite(result->norm)) return refuse_nonfinite(d);
    if (most > 0 && result->norm > most) wg__flat_scale(&d->grads, trained, most / (result->norm + 1e-6));
    status = optimizer_step(d);
    if (status != WG_OK) return status;
    write_begin(d);
    status = wg__gather(d->world, &d->values, d->cut, &d->world->counts.parameter_bytes);
    if (!d->changed) restore_means(d);
    write_end(d);
    return status;
}

/* One shard on one rank is a program without any of this. */
static wg_status update_alone(wg_dist *d, wg_dist_result *result)
{
    const double most = d->options.clip_norm > 0 ? d->options.clip_norm : INFINITY;
    (void)wg_clip_grad_norm(d->params, most, &result->norm);
    return optimizer_step(d);
}

wg_status wg_dist_step(wg_dist *d, int stop, wg_dist_result *result)
{
    wg_dist_result unused;
    if (!result) result = &unused;
    *result = (wg_dist_result){0};
    if (!d) return WG_ERR_ARGUMENT;
    if (wg_world_status(d->world) != WG_OK) return wg_world_status(d->world);
    wg_status status = tell_all(d, stop, result);
    if (status == WG_OK) status = add_values(d, result);
    if (status == WG_OK) status = d->shards > 1 ? update(d, result) : update_alone(d, result);
    if (status != WG_OK && d->shards > 1) restore_means(d);
    clear_step(d);
    return status;
}
