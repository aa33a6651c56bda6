/* Internal to dist/: a run.
 *
 * The flat order: the elements of the parameters that are trained, in the order of the set, then those of the buffers
 * that are means. Between shards, the gradients hold the sum of the last node; sums that wait for their sibling are
 * copies in slabs. */
#ifndef WG_DIST_INTERNAL_H
#define WG_DIST_INTERNAL_H

#include "../autograd/grad.h"
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
    char *values;     /* as they were before the step; carried: [shards of this rank] */
    char *after;      /* carried: [shards of this rank], the values after the step; NULL if S is 1 */
    uint64_t version; /* when the shard began */
} wg__kept;

/* A round of recursive halving: buckets go through it one after the other, in each direction on their own. */
typedef struct wg__round {
    int other; /* rank */
    wg__range kept, sent;
    int64_t n_sent, n_received, n_added; /* buckets; sends and receives may be on their way */
    wg__request sending[2], receiving[2];
} wg__round;

/* A batch that rank 0 made. */
typedef struct wg__dealt {
    wg_batch batch; /* the global one; arrays have the rows of this rank's shards, on rank 0 all; n 0: none */
    wg_batch one;   /* the rows of a shard */
    int64_t first;  /* row of the global batch where the arrays begin; 0 on rank 0 */
    char *memory;   /* of the arrays; NULL on rank 0, whose feed has them */
    size_t room;    /* bytes */
} wg__dealt;

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

    wg__round *rounds; /* [n_rounds]; none unless the sums are halved */
    int n_rounds;
    int64_t n_ready;     /* buckets whose sums over the shards of this rank are done */
    bool *final;         /* [n_trained] whether the last shard's gradient is final */
    int32_t *trained_at; /* [n_listed] place in `trained`; -1: not trained */
    size_t n_listed;     /* members of the set when the run began */
    size_t n_waiting;    /* `final` is true from here on */
    int n_merges;        /* nodes that the last shard of the rank completes */
    double count;        /* of the shard */

    int64_t next;                     /* shard */
    bool begun;                       /* this rank has begun the step */
    bool counted;                     /* wg_dist_backward has set count */
    bool sending;                     /* wg_dist_backward has begun to send the last shard's gradients */
    wg_gradient_callback on_gradient; /* the program's own, which is called before they are sent */
    void *on_gradient_context;
    bool open;         /* wg_dist_next has given one that was not added yet */
    bool changed;      /* a shard of this step has written means */
    bool failed;       /* a shard of this step has failed: d->error */
    double *own;       /* [HEAD + shards of this rank * (1 + values)] within: */
    double *told;      /* the same of all ranks, by place */
    double *table;     /* [S, 1 + values]: count, then count * value */
    int64_t *told_cut; /* [R + 1] */
    double *squares;   /* [blocks] */
    int64_t *square_cut;

    wg__dealt dealt;
};

/* n zeroed items of `size` bytes that wg_dist_free frees; NULL if out of memory. */
void *wg__take(wg_dist *dist, size_t n, size_t size);
/* Why the options are invalid for so many ranks; NULL: they are valid. */
const char *wg__dist_invalid(const wg_dist_options *options, int ranks, char text[120]);
/* Lists the parameters and buffers of the set; false if out of memory. */
bool wg__list(wg_dist *dist);
/* The place in `trained` of a member of the set; -1: it is not trained, or the set got it while the run went on. */
static inline int64_t wg__place_of_trained(const wg_dist *dist, const wg_param *param)
{
    const size_t index = wg_param_index(param);
    return index < dist->n_listed ? dist->trained_at[index] : -1;
}

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
/* Notes an error of a shard, which ends the step. */
wg_status wg__shard_fail(wg_dist *dist, wg_status status, const char *text);
/* Buffers that are means, those that are carried, become what they were before the step. */
void wg__restore_means(wg_dist *dist);
void wg__restore_carried(wg_dist *dist);
/* The step has succeeded: its shards begin the next one with the values that they have carried on. */
void wg__carry_on(wg_dist *dist);
/* After a step, or one that failed. */
void wg__step_clear(wg_dist *dist);
/* The shard d->next becomes a node, and one with the d->n_merges last ones. */
void wg__join_nodes(wg_dist *dist);
/* Multiplies the gradients of a range by d->count and adds the sums of the nodes that became one with the shard. */
void wg__merge(wg_dist *dist, wg__range range);
/* The gradient of this parameter is final, in the last shard's backward pass; the last shard has been added. */
void wg__halving_final(wg_dist *dist, size_t param);
void wg__halving_rest(wg_dist *dist);
/* Begins and ends what can be without waiting; *moved: there was something. */
wg_status wg__halving_go_on(wg_dist *dist, bool *moved);
/* Either of them adds the sums of all ranks: this rank's part of the gradients is then the sum over all shards. */
wg_status wg__halving_finish(wg_dist *dist);
wg_status wg__trade_roots(wg_dist *dist);
/* Lists the rounds; no step has begun. */
bool wg__halving_new(wg_dist *dist);
void wg__halving_clear(wg_dist *dist);
/* The norm of the gradient, whose parts are with the ranks: squares of blocks, then of blocks in a tree. */
wg_status wg__norm(wg_dist *dist, double *norm);
/* The first element of the gradient that is not finite, of all ranks; -1: none. */
wg_status wg__dist_nonfinite(wg_dist *dist, int64_t *at);
#endif
