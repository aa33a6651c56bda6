/* The tree over the shards. */
#include "tree.h"

#include <stddef.h>

int64_t wg__first_shard(int64_t shards, int ranks, int rank) { return shards * rank / ranks; }

bool wg__is_power(int64_t n) { return n > 0 && (n & (n - 1)) == 0; }

bool wg__siblings(int64_t shards, wg__node a, wg__node b)
{
    wg__node node = {0, shards};
    if (a.hi != b.lo) return false;
    while (node.hi - node.lo > 1) {
        const int64_t middle = node.lo + (node.hi - node.lo) / 2;
        if (node.lo == a.lo && node.hi == b.hi) return middle == a.hi;
        if (a.lo >= middle)
            node.lo = middle;
        else if (b.hi <= middle)
            node.hi = middle;
        else
            return false;
    }
    return false;
}

int wg__roots(int64_t shards, int64_t lo, int64_t hi, wg__node roots[WG__DEPTH], int *depth)
{
    int n = 0, most = 0;
    for (int64_t shard = lo; shard < hi; shard++) {
        roots[n++] = (wg__node){shard, shard + 1};
        if (n > most) most = n;
        for (; n > 1 && wg__siblings(shards, roots[n - 2], roots[n - 1]); n--) roots[n - 2].hi = roots[n - 1].hi;
    }
    if (depth) *depth = most;
    return n;
}

double wg__tree_sum(const double *x, int64_t stride, int64_t lo, int64_t hi)
{
    const int64_t middle = lo + (hi - lo) / 2;
    if (hi <= lo) return 0;
    if (hi - lo == 1) return x[lo * stride];
    return wg__tree_sum(x, stride, lo, middle) + wg__tree_sum(x, stride, middle, hi);
}

int wg__place(int ranks, int rank)
{
    if (!wg__is_power(ranks)) return rank;
    int place = 0;
    for (int bit = 1; bit < ranks; bit *= 2) place = place * 2 + (rank & bit ? 1 : 0);
    return place;
}
