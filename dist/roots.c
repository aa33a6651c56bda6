/* Adding the sums of any number of ranks along the tree: a rank may have several nodes. It sends each other rank that
 * one's part of each; the part is then added along the tree where it is kept. Halving (halving.c) sends less. */
#include "internal.h"

#include <string.h>

/* Where this rank has the sum of its i-th root. */
static wg__flat root_at(const wg_dist *d, int i)
{
    return i + 1 < d->n_roots ? wg__flat_of(d->slabs[i], d->grads.numel, d->grads.size) : d->grads;
}

static int64_t part_size(const wg_dist *d)
{
    const wg__range part = wg__part(d, d->place);
    return part.end - part.begin;
}

static char *inbox_at(const wg_dist *d, int64_t i)
{
    return d->inbox + (size_t)i * (size_t)part_size(d) * d->grads.size;
}

/* The roots of a rank; *first is the number of those of the ranks before it. */
static int roots_of(const wg_dist *d, int rank, int64_t *first, wg__node roots[WG__DEPTH])
{
    const int ranks = wg_world_size(d->world);
    int n = 0;
    *first = 0;
    for (int r = 0; r <= rank; r++) {
        *first += n;
        n = wg__roots(d->shards, wg__first_shard(d->shards, ranks, r), wg__first_shard(d->shards, ranks, r + 1),
                      roots, NULL);
    }
    return n;
}

/* Sends rank `to` its part of this rank's roots, and receives this rank's part of the roots of `from`. */
static wg_status trade(wg_dist *d, int to, int from)
{
    wg__node roots[WG__DEPTH];
    int64_t first;
    const int n = roots_of(d, from, &first, roots), most = n > d->n_roots ? n : d->n_roots;
    wg_status status = WG_OK;
    for (int i = 0; i < most && status == WG_OK; i++) {
        const wg__flat root = i < d->n_roots ? root_at(d, i) : d->grads;
        const wg__flat box = wg__flat_of(i < n ? inbox_at(d, first + i) : NULL, part_size(d), d->grads.size);
        const wg__range none = {0, 0}, all = {0, part_size(d)};
        status = wg__exchange(
            d->world,
            (wg__side){&root, i < d->n_roots ? wg__part(d, wg__place(wg_world_size(d->world), to)) : none, to},
            (wg__side){&box, i < n ? all : none, from}, &d->world->counts.gradient_bytes);
    }
    return status;
}

/* Adds the parts along the tree; the sum ends in the first. */
static void add_inbox(wg_dist *d)
{
    const int ranks = wg_world_size(d->world);
    const wg__range all = {0, part_size(d)};
    wg__node node[2 * WG__DEPTH], roots[WG__DEPTH];
    int64_t box[2 * WG__DEPTH], next = 0;
    int n = 0;
    for (int r = 0; r < ranks; r++) {
        const int64_t lo = wg__first_shard(d->shards, ranks, r), hi = wg__first_shard(d->shards, ranks, r + 1);
        const int n_roots = wg__roots(d->shards, lo, hi, roots, NULL);
        for (int i = 0; i < n_roots; i++) {
            node[n] = roots[i];
            box[n++] = next++;
            for (; n > 1 && wg__siblings(d->shards, node[n - 2], node[n - 1]); n--) {
                const wg__flat sum = wg__flat_of(inbox_at(d, box[n - 2]), part_size(d), d->grads.size);
                wg__flat_add(&sum, all, inbox_at(d, box[n - 1]));
                node[n - 2].hi = node[n - 1].hi;
            }
        }
    }
}

wg_status wg__trade_roots(wg_dist *d)
{
    const int ranks = wg_world_size(d->world), rank = wg_world_rank(d->world);
    const wg__range part = wg__part(d, d->place);
    wg__node roots[WG__DEPTH];
    int64_t first;
    if (ranks == 1) return WG_OK;
    roots_of(d, rank, &first, roots);
    for (int i = 0; i < d->n_roots; i++) {
        const wg__flat root = root_at(d, i);
        wg__flat_read(&root, part, inbox_at(d, first + i));
    }
    wg_status status = WG_OK;
    for (int distance = 1; distance < ranks && status == WG_OK; distance++)
        status = trade(d, (rank + distance) % ranks, (rank - distance + ranks) % ranks);
    if (status != WG_OK) return status;
    add_inbox(d);
    wg__flat_write(&d->grads, part, inbox_at(d, 0));
    return WG_OK;
}
