/* The shards of this rank: their gradients, added along the tree, and the buffers that each starts with. */
#include "internal.h"

#include "../autograd/base/random.h"
#include "../autograd/grad.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

wg_status wg__shard_fail(wg_dist *d, wg_status status, const char *text)
{
    if (!d->failed) d->error = (wg_error){0};
    d->failed = true;
    return wg_error_set(&d->error, status, "dist: rank %d, shard %lld: %s", wg_world_rank(d->world),
                        (long long)d->next, text);
}

/* ---- buffers ---- */

static void copy_to_buffer(wg_buffer *buffer, const void *values, size_t bytes)
{
    memcpy(wg_param_write_begin(buffer), values, bytes);
    wg_param_write_end(buffer);
}

/* Where the carried values of a shard of this rank begin. */
static size_t carried_at(const wg_dist *d, size_t i, int64_t shard)
{
    return (size_t)(shard - d->first) * d->carried[i].bytes;
}

void wg__restore_means(wg_dist *d)
{
    for (size_t i = 0; i < d->n_means && d->begun; i++)
        copy_to_buffer(d->means[i].buffer, d->means[i].values, d->means[i].bytes);
}

/* Between steps they have the values of this rank's last shard. */
void wg__restore_carried(wg_dist *d)
{
    for (size_t i = 0; i < d->n_carried && d->begun; i++)
        copy_to_buffer(d->carried[i].buffer, d->carried[i].values + carried_at(d, i, d->end - 1),
                       d->carried[i].bytes);
}

void wg__carry_on(wg_dist *d)
{
    for (size_t i = 0; i < d->n_carried && d->shards > 1; i++) {
        char *values = d->carried[i].values;
        d->carried[i].values = d->carried[i].after;
        d->carried[i].after = values;
    }
}

/* Gives the buffers the values that they have for the next shard. */
static void give_buffers(wg_dist *d)
{
    wg__restore_means(d);
    for (size_t i = 0; i < d->n_carried; i++)
        copy_to_buffer(d->carried[i].buffer, d->carried[i].values + carried_at(d, i, d->next), d->carried[i].bytes);
    for (size_t i = 0; i < d->n_means; i++) d->means[i].version = wg_param_version(d->means[i].buffer);
    for (size_t i = 0; i < d->n_others; i++) d->others[i].version = wg_param_version(d->others[i].buffer);
}

/* Keeps what the shard has carried on; refuses what belongs to neither kind. */
static wg_status take_buffers(wg_dist *d)
{
    for (size_t i = 0; i < d->n_carried; i++)
        memcpy(d->carried[i].after + carried_at(d, i, d->next), wg_param_value(d->carried[i].buffer),
               d->carried[i].bytes);
    for (size_t i = 0; i < d->n_means; i++)
        d->changed |= wg_param_version(d->means[i].buffer) != d->means[i].version;
    for (size_t i = 0; i < d->n_others; i++)
        if (wg_param_version(d->others[i].buffer) != d->others[i].version) {
            char text[200];
            snprintf(text, sizeof text, "it wrote buffer %.100s, which is neither a mean nor carried",
                     wg_param_name(d->others[i].buffer));
            return wg__shard_fail(d, WG_ERR_ARGUMENT, text);
        }
    return WG_OK;
}

/* ---- shards ---- */

static wg__range everything(const wg_dist *d) { return (wg__range){0, d->grads.numel}; }

static void keep(wg__kept *kept) { memcpy(kept->values, wg_param_value(kept->buffer), kept->bytes); }

static void begin_step(wg_dist *d)
{
    d->error = (wg_error){0};
    d->changed = false;
    d->begun = true;
    for (size_t i = 0; i < d->n_means; i++) keep(&d->means[i]);
    for (size_t i = 0; i < d->n_carried && d->shards == 1; i++) keep(&d->carried[i]);
}

void wg__step_clear(wg_dist *d)
{
    d->next = d->first;
    d->n_roots = 0;
    d->begun = d->open = d->counted = d->sending = d->failed = false;
    wg__halving_clear(d);
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
        (void)wg__shard_fail(d, WG_ERR_ARGUMENT, "it was not added");
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

static const char *bad_count(double count)
{
    return count >= 0 && count < INFINITY ? NULL : "the count must be a number >= 0";
}

static const char *refuse_reason(const wg_dist *d, double count, const double *values)
{
    if (bad_count(count)) return bad_count(count);
    if (d->counted && count != d->count) return "the count is not the one that wg_dist_backward was given";
    if (count > 0 && !values) return "values are missing";
    if (wg_params_trainable(d->params) != d->n_elements) return "parameters were added, frozen or unfrozen";
    return NULL;
}

/* Whether sums are halved and this is the last shard: its gradients may be sent at once. */
static bool is_last_to_halve(const wg_dist *d) { return d->n_rounds > 0 && d->next + 1 == d->end; }

/* Adds the shard's gradients, times count, to the sums that wait for them. */
static void add_gradients(wg_dist *d, double count)
{
    if (count == 0) wg_zero_grad(d->params);
    for (size_t i = 0; i < d->n_trained; i++) {
        wg_param_grad_write_begin(d->trained[i]); /* clears those that nothing was added to */
        wg_param_grad_write_end(d->trained[i]);
    }
    d->count = count;
    if (!d->sending) wg__join_nodes(d);
    if (is_last_to_halve(d))
        wg__halving_rest(d);
    else
        wg__merge(d, everything(d));
}

/* Called while the last shard's backward pass runs. An error of the world is for wg_dist_step to tell. */
static void on_gradient(void *context, wg_param *param, void *gradient)
{
    wg_dist *d = context;
    bool moved;
    if (d->on_gradient) d->on_gradient(d->on_gradient_context, param, gradient);
    const int64_t place = wg_param_set(param) == d->params ? wg__place_of_trained(d, param) : -1;
    if (place < 0) return;
    const uint64_t before = d->world->counts.gradient_bytes;
    wg__halving_final(d, (size_t)place);
    (void)wg__halving_go_on(d, &moved);
    d->world->counts.early_bytes += d->world->counts.gradient_bytes - before;
}

wg_status wg_dist_backward(wg_dist *d, wg_tensor loss, double count)
{
    if (!d) return WG_ERR_ARGUMENT;
    if (d->failed) return d->error.status;
    if (!d->open || d->counted)
        return wg__shard_fail(d, WG_ERR_ARGUMENT, "wg_dist_backward is called once after wg_dist_next");
    if (bad_count(count)) return wg__shard_fail(d, WG_ERR_ARGUMENT, bad_count(count));
    d->counted = true;
    d->count = count;
    if (!d->options.overlap || !is_last_to_halve(d) || count == 0) return wg_backward(loss);
    wg__join_nodes(d);
    d->sending = true;
    d->on_gradient = wg_tape_gradient_callback(loss.tape, &d->on_gradient_context);
    wg_tape_on_gradient(loss.tape, on_gradient, d);
    const wg_status status = wg_backward(loss);
    wg_tape_on_gradient(loss.tape, d->on_gradient, d->on_gradient_context);
    return status;
}

wg_status wg_dist_add(wg_dist *d, double count, const double *values)
{
    if (!d) return WG_ERR_ARGUMENT;
    if (d->failed) return d->error.status;
    if (!d->open) return wg__shard_fail(d, WG_ERR_ARGUMENT, "there is no shard to add: see wg_dist_next");
    const char *reason = refuse_reason(d, count, values);
    if (reason) return wg__shard_fail(d, WG_ERR_ARGUMENT, reason);
    if (!wg_params_grad_valid(d->params))
        return wg__shard_fail(d, WG_ERR_GRADIENT, "the gradients are invalid because their run failed");
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
    d->open = d->counted = false;
    return WG_OK;
}
