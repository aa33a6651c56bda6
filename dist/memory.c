/* Memory of a rank, predicted and counted. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

enum { ABOUT_A_PARAMETER = 256 }; /* bytes that an optimizer has for each besides its arrays: names, settings */

static size_t most(size_t a, size_t b) { return a > b ? a : b; }

/* The optimizer's state of a part. */
static size_t state_bytes(const wg_dist *d, wg__range part)
{
    const size_t slots = (size_t)wg_optimizer_slots(d->optimizer);
    size_t sum = 0;
    for (size_t i = 0; i < d->n_trained; i++) {
        const wg__range own = wg__common(part, (wg__range){d->grads.begin[i], d->grads.begin[i + 1]});
        sum += slots * (size_t)(own.end - own.begin) * d->grads.size + ABOUT_A_PARAMETER;
    }
    return sum;
}

static size_t partial_bytes(const wg_dist *d, int ranks, int rank, wg__range part)
{
    const int64_t lo = wg__first_shard(d->shards, ranks, rank), hi = wg__first_shard(d->shards, ranks, rank + 1);
    wg__node roots[WG__DEPTH];
    int depth = 0;
    wg__roots(d->shards, lo, hi, roots, &depth);
    size_t sum = (size_t)(depth > 1 ? depth - 1 : 0) * (size_t)d->grads.numel * d->grads.size;
    if (ranks > 1 && !wg__halves(d->shards, ranks))
        sum += (size_t)wg__count_roots(d->shards, ranks) * (size_t)(part.end - part.begin) * d->grads.size;
    for (size_t i = 0; i < d->n_carried; i++)
        sum += d->carried[i].bytes * (size_t)(hi - lo) * (d->shards > 1 ? 2 : 1); /* before and after the step */
    for (size_t i = 0; i < d->n_means; i++) sum += d->means[i].bytes;
    const size_t row = 1 + (size_t)d->options.values;
    sum += ((size_t)(ranks * WG__HEAD) + 2 * (size_t)d->shards * row + 3 * (size_t)(ranks + 1)) * sizeof(double);
    sum += (size_t)((d->n_elements + WG__BLOCK - 1) / WG__BLOCK) * sizeof(double);
    return sum + wg_params_count(d->params) * (sizeof(wg_param *) + 3 * sizeof(wg__kept) + sizeof(int32_t)) +
           (d->n_trained + d->n_means) * 3 * sizeof(int64_t);
}

wg_dist_bytes wg_dist_predict(const wg_params *params, const wg_optimizer *optimizer, wg_dist_options options,
                              int ranks)
{
    wg_dist d = {.params = (wg_params *)(uintptr_t)params, .optimizer = (wg_optimizer *)(uintptr_t)optimizer};
    wg_dist_bytes bytes = {0};
    char text[120];
    d.options = options;
    d.shards = options.shards ? options.shards : ranks;
    if (!params || !optimizer || ranks < 1 || wg__dist_invalid(&options, ranks, text)) return bytes;
    int64_t *cut = malloc(((size_t)ranks + 1) * sizeof *cut);
    if (cut && wg__list(&d)) {
        wg__cut(d.grads.numel, ranks, cut);
        for (int r = 0; r < ranks; r++) {
            const int place = wg__place(ranks, r);
            const wg__range part = {cut[place], cut[place + 1]};
            bytes.state = most(bytes.state, state_bytes(&d, part));
            bytes.partials = most(bytes.partials, partial_bytes(&d, ranks, r, part));
        }
        bytes.parameters = wg_params_memory(params).live;
        bytes.messages = wg__world_bytes(ranks);
    }
    wg__release(&d);
    free(cut);
    return bytes;
}

wg_dist_bytes wg_dist_memory(const wg_dist *d)
{
    if (!d) return (wg_dist_bytes){0};
    return (wg_dist_bytes){wg_params_memory(d->params).live, wg_optimizer_memory(d->optimizer).live, d->bytes,
                           wg__world_bytes(wg_world_size(d->world))};
}
