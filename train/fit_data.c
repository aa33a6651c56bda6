/* The batches of a training run. */
#include "fit_data.h"

#include <stdlib.h>

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

static wg_loader_options order_of(const wg_fit_options *o)
{
    wg_loader_options order = wg_loader_defaults();
    order.batch = o->batch;
    order.seed = o->seed;
    order.lengths = o->lengths;
    return order;
}

static wg_status open_feeds(wg__fit_data *d, const wg_fit_options *o, wg_error *error)
{
    wg_feed_options options = wg_feed_defaults();
    options.order = order_of(o);
    d->samples = o->data->n;
    d->feed = wg_feed_new(o->data, options, error);
    if (!d->feed) return error->status;
    d->batches = wg_feed_batches(d->feed);
    if (!o->held_out_data) return WG_OK;
    options.order.shuffle = false;
    options.order.lengths = NULL;
    d->held_out = o->held_out_data->n;
    d->held = wg_feed_new(o->held_out_data, options, error);
    return d->held ? WG_OK : error->status;
}

static wg_status open_numbers(wg__fit_data *d, const wg_fit_options *o, wg_error *error)
{
    d->samples = o->samples;
    d->held_out = o->held_out;
    d->loader = wg_loader_new(o->samples, order_of(o), error);
    if (!d->loader) return error->status;
    d->batches = wg_loader_batches(d->loader);
    if (!d->held_out) return WG_OK;
    d->number = calloc((size_t)least(d->batch, d->held_out), sizeof *d->number);
    return d->number ? WG_OK : wg_error_set(error, WG_ERR_MEMORY, "out of memory");
}

wg_status wg__fit_data_init(wg__fit_data *d, const wg_fit_options *o, wg_error *error)
{
    *d = (wg__fit_data){.batch = o->batch};
    if (o->data) return open_feeds(d, o, error);
    return o->samples ? open_numbers(d, o, error) : WG_OK;
}

void wg__fit_data_fini(wg__fit_data *d)
{
    wg_loader_free(d->loader);
    wg_feed_free(d->feed);
    wg_feed_free(d->held);
    free(d->number);
}

static wg_status from_feed(wg_feed *feed, uint64_t step, wg_fit_batch *batch, wg_error *error)
{
    batch->data = wg_feed_batch(feed, step, error);
    if (!batch->data) return error->status;
    batch->sample = batch->data->samples;
    batch->n = batch->data->n;
    return WG_OK;
}

wg_status wg__fit_data_step(wg__fit_data *d, uint64_t step, wg_fit_batch *batch, wg_error *error)
{
    if (d->feed) return from_feed(d->feed, step, batch, error);
    if (d->loader) batch->n = wg_loader_batch(d->loader, step, &batch->sample);
    return WG_OK;
}

wg_status wg__fit_data_held_out(wg__fit_data *d, int64_t i, wg_fit_batch *batch, wg_error *error)
{
    if (d->held) return from_feed(d->held, (uint64_t)i, batch, error);
    batch->n = least(d->batch, d->held_out - i * d->batch);
    batch->sample = d->number;
    for (int64_t k = 0; k < batch->n; k++) d->number[k] = d->samples + i * d->batch + k;
    return WG_OK;
}

int64_t wg__fit_data_held_out_batches(const wg__fit_data *d)
{
    return d->held_out / d->batch + (d->held_out % d->batch > 0);
}
