/* The memory of a run, and how its elements are cut into parts. */
#include "internal.h"

#include <stdlib.h>

void *wg__take(wg_dist *d, size_t n, size_t size)
{
    if (size && n > (SIZE_MAX / 4) / size) return NULL;
    if (d->n_taken == d->cap_taken) {
        void **grown = realloc(d->taken, (2 * d->cap_taken + 16) * sizeof *grown);
        if (!grown) return NULL;
        d->taken = grown;
        d->cap_taken = 2 * d->cap_taken + 16;
    }
    void *memory = calloc(n ? n : 1, size ? size : 1);
    if (!memory) return NULL;
    d->taken[d->n_taken++] = memory;
    d->bytes += n * size;
    return memory;
}

void wg__release(wg_dist *d)
{
    for (size_t i = 0; i < d->n_taken; i++) free(d->taken[i]);
    free(d->taken);
}

bool wg__halves(int64_t shards, int ranks) { return wg__is_power(ranks) && shards % ranks == 0; }

int64_t wg__count_roots(int64_t shards, int ranks)
{
    wg__node roots[WG__DEPTH];
    int64_t n = 0;
    for (int r = 0; r < ranks; r++)
        n += wg__roots(shards, wg__first_shard(shards, ranks, r), wg__first_shard(shards, ranks, r + 1), roots,
                       NULL);
    return n;
}

void wg__cut(int64_t numel, int ranks, int64_t *cut)
{
    const __int128 blocks = (numel + WG__BLOCK - 1) / WG__BLOCK;
    for (int place = 0; place < ranks; place++) cut[place] = (int64_t)(blocks * place / ranks) * WG__BLOCK;
    cut[ranks] = numel;
}

wg__range wg__part(const wg_dist *d, int place) { return (wg__range){d->cut[place], d->cut[place + 1]}; }
