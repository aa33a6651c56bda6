/* The sums of this rank's nodes: that of the last one is in the gradients, those of the others wait in slabs. */
#include "internal.h"

void wg__join_nodes(wg_dist *d)
{
    d->roots[d->n_roots++] = (wg__node){d->next, d->next + 1};
    for (d->n_merges = 0;
         d->n_roots > 1 && wg__siblings(d->shards, d->roots[d->n_roots - 2], d->roots[d->n_roots - 1]);
         d->n_roots--, d->n_merges++)
        d->roots[d->n_roots - 2].hi = d->roots[d->n_roots - 1].hi;
}

void wg__merge(wg_dist *d, wg__range range)
{
    if (d->count != 1) wg__flat_scale(&d->grads, range, d->count);
    for (int i = d->n_roots + d->n_merges - 2; i >= d->n_roots - 1; i--)
        wg__flat_add(&d->grads, range, d->slabs[i] + (size_t)range.begin * d->grads.size);
}
