/* Internal to dist/: a run.
 *
 * The flat order: the elements of the parameters that are trained, in the order of the set, then those of the buffers
 * that are means. Between shards, the gradients hold the sum of the last node; sums that wait for their sibling are
 * copies in slabs. */
#ifndef WG_DIST_INTERNAL_H
#define WG_DIST_INTERNAL_H

#include "exchange.h"
#include "tree.h"

enum {
    WG__BLOCK = 512
};                     /* elements whose squares are summed one after the other; parts begin at multiples of it */
enum { WG__HEAD = 3 }; /* numbers that a rank tells of a step: stop, whether it failed, whether means changed */

/* A buffer, and where its values are kept for the shards of this rank. */
typedef struct wg__kept {
    wg_buffer *buffer;
    size_t bytes;
    char *values;     /* means: as they were before the step; carried: [shards of this rank] */
    uint64_t version; /* when the shard began */
} wg__kept;

struct wg_dist {
    wg_world *world;
    wg_params *params;
    wg_optimizer *optimizer;
    wg_dist_options options;
    wg_error error;
    size_t bytes; /* taken by take() */
    void **taken;
    size_t n_taken, cap_taken;

    int64_t shards, first, end; /* S, and the shards of this rank */
    wg_param **trained;         /* [n_trained] */
    size_t n_trained;
    int64_t n_elements;     /* of the trained parameters */
    wg__flat grads, values; /* the flat order, with gradients or values of the parameters */
    int64_t *cut;           /* [R + 1] elements of each place */
    int place;              /* of this rank */

    wg__kept *means, *carried, *others;
    size_t n_means, n_carried, n_others;

    wg__node roots[WG__DEPTH]; /* the nodes that this rank has sums of, the last one in the gradients, ... */
    char *slabs[WG__DEPTH];    /* ... the others here */
    int n_roots, n_slabs;
    int n_inbox; /* roots of all ranks, unless the sums are halved; their places in inbox */
    char *inbox; /* [n_inbox, the elements of this part] */

    int64_t next;      /* shard */
    bool begun;        /* this rank has begun the step */
    bool open;         /* wg_dist_next has given one that was not added yet */
    bool changed;      /* a shard of this step has written means */
    bool failed;       /* a shard of this step has failed: d->error */
    double *own;       /* [HEAD + shards of this rank * (1 + values)] within: */
    double *told;      /* the same of all ranks, by place */
    double *table;     /* [S, 1 + values]: count, then count * value */
    int64_t *told_cut; /* [R + 1] */
    double *squares;   /* [blocks] */
    int64_t *square_cut;
};

/* n zeroed items of `size` bytes that wg_dist_free frees; NULL if out of memory. */
void *wg__take(wg_dist *dist, size_t n, size_t size);
/* Lists the parameters and buffers of the set; false if out of memory. */
bool wg__list(wg_dist *dist);
/* Frees what a run has taken. */
void wg__release(wg_dist *dist);
/* Whether the sums of R ranks are halved: else each rank sends each other one its part of each root. */
bool wg__halves(int64_t shards, int ranks);
/* The roots of all ranks together. */
int64_t wg__count_roots(int64_t shards, int ranks);
/* The elements of each place: whole blocks of the flat order. */
void wg__cut(int64_t numel, int ranks, int64_t *cut);
wg__range wg__part(const wg_dist *dist, int place);

/* A hash of numbers that depend on how this build rounds on this machine. */
wg_status wg__probe(uint64_t *hash);
/* Adds the sums of all ranks: this rank's part of the gradients is then the sum over all shards. */
wg_status wg__reduce(wg_dist *dist);
/* The norm of the gradient, whose parts are with the ranks: squares of blocks, then of blocks in a tree. */
wg_status wg__norm(wg_dist *dist, double *norm);
/* The first element of the gradient that is not finite, of all ranks; -1: none. */
wg_status wg__dist_nonfinite(wg_dist *dist, int64_t *at);
#endif
