/* Internal to dist/: the binary tree over the S shards, a function of S alone. A node is a range of shards [lo, hi);
 * one of two or more is split in the middle. R ranks hold consecutive shards; if R is a power of two that divides S,
 * the shards of a rank are one node, and two ranks that differ in the last bit hold siblings. */
#ifndef WG_DIST_TREE_H
#define WG_DIST_TREE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct wg__node {
    int64_t lo, hi;
} wg__node;

enum { WG__DEPTH = 48 }; /* nodes that a rank may hold, at most: two on each level of the tree */

/* The first shard of a rank; of rank R: S. */
int64_t wg__first_shard(int64_t shards, int ranks, int rank);
/* Whether a and b are the two halves of a node. */
bool wg__siblings(int64_t shards, wg__node a, wg__node b);
/* The nodes that remain when the sums over shards [lo, hi) are added as far as possible, in order; returns their
 * number. *depth (may be NULL): the most sums that wait at a time. */
int wg__roots(int64_t shards, int64_t lo, int64_t hi, wg__node roots[WG__DEPTH], int *depth);
/* The sum of x[lo * stride], ..., x[(hi - 1) * stride] along the tree; the root is [0, S). */
double wg__tree_sum(const double *x, int64_t stride, int64_t lo, int64_t hi);

/* Ranks by place: parts of the parameters are numbered by place. If R is a power of two it is the rank with its bits
 * reversed, as recursive halving ends; else the rank. The function is its own inverse. */
int wg__place(int ranks, int rank);
bool wg__is_power(int64_t n);

#endif
