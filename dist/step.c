/* The end of a step: all ranks together. */
#include "internal.h"

#include <math.h>
#include <string.h>

const char *wg_dist_message(const wg_dist *d)
{
    if (!d) return "no run";
    return wg_world_status(d->world) != WG_OK ? wg_world_message(d->world) : d->error.text;
}

/* Every rank learns what each has to tell: d->table, the largest stop, whether means changed; the error of one that
 * failed. */
static wg_status tell_all(wg_dist *d, int stop, wg_dist_result *result)
{
    const int ranks = wg_world_size(d->world);
    const int64_t row = 1 + d->options.values;
    if (!d->failed && (d->open || d->next != d->end)) (void)wg__shard_fail(d, WG_ERR_ARGUMENT, "it was not added");
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
    wg_status status = d->n_rounds > 0 ? WG_OK : wg__trade_roots(d);
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
    if (!d->changed) wg__restore_means(d);
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
    wg_status status = wg__halving_finish(d); /* also if this rank has failed: the others may have begun */
    if (status == WG_OK) status = tell_all(d, stop, result);
    if (status == WG_OK) status = add_values(d, result);
    if (status == WG_OK) status = d->shards > 1 ? update(d, result) : update_alone(d, result);
    if (status == WG_OK) {
        wg__carry_on(d);
    } else {
        wg__restore_means(d);
        wg__restore_carried(d);
    }
    wg__step_clear(d);
    return status;
}
