/* Many machines: data-parallel training on MPI, with the same bits on any number of ranks.
 *
 *     wg_world *world = wg_world_open(&argc, &argv, wg_world_defaults(), &error);
 *     ...                                                         // model, optimizer, tape: the same on every rank
 *     wg_dist_options options = wg_dist_defaults();
 *     options.shards = 16;                                        // of the global batch; 0: one for each rank
 *     wg_dist *dist = wg_dist_new(world, model, adam, options, &error);
 *     for (uint64_t step = 0; step < steps; step++) {
 *         for (int64_t shard; (shard = wg_dist_next(dist, tape, step)) >= 0;) { // the shards of this rank
 *             wg_tensor loss = wg_keep(loss_of(shard, step));                   // a mean over `count` samples
 *             wg_dist_backward(dist, loss, count);
 *             double value = wg_item(loss);
 *             if (wg_tape_reset(tape) != WG_OK) ...                             // ends as below
 *             if (wg_dist_add(dist, count, &value) != WG_OK) break;             // wg_dist_step says why
 *         }
 *         wg_dist_result result;                                  // adds the gradients, clips, updates:
 *         if (wg_dist_step(dist, 0, &result) != WG_OK) {
 *             if (wg_world_fail(world, wg_dist_message(dist))) puts(wg_dist_message(dist)); // one rank prints
 *             wg_world_close(world);
 *             exit(1);
 *         }
 *     }
 *     wg_dist_free(dist);
 *     wg_world_close(world);
 *
 * The global batch is cut into S shards, a property of the run: each of R ranks, 1 <= R <= S, computes about S / R of
 * them. Gradients of shards are added in one fixed binary tree over the S shards, whichever rank has them, random
 * numbers depend on (seed, step, shard), and the norm is summed in fixed blocks: so the bits depend on S and not on R,
 * and a run that was begun on 8 ranks may go on with 5. Each rank keeps the optimizer's state of about 1/R of the
 * parameters and updates these (ZeRO, stage 1; Rajbhandari et al. 2020). docs/distributed.md has the whole picture.
 *
 * A library of its own, libwengert-dist (pkg-config wengert-dist). No type of MPI appears here. In a build without
 * MPI, and in a program that no launcher (mpirun, srun) started, the same program is a world of one rank.
 *
 * Functions marked [all] are called by all ranks, in the same order; they wait for each other, but never longer than
 * the world's time limit for a message. */
#ifndef WG_DIST_H
#define WG_DIST_H

#include "../io/dataset.h"
#include "../io/io.h"
#include "../optim/optim.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- the world ---- */

typedef struct wg_world wg_world; /* the ranks, and this one's place among them */

/* Start from wg_world_defaults. */
typedef struct wg_world_options {
    /* Seconds that a rank waits for a message of another one before it asks whether that one is alive. It must be
     * longer than what a rank does alone: its shards of a step, a checkpoint, reading a file. Default 60 */
    double timeout;
} wg_world_options;
WG_API wg_world_options wg_world_defaults(void);

/* [all] Starts MPI if a launcher started the program, once in a process, and before anything else reads the arguments:
 * MPI may take some of its own. Use it from one thread. Returns NULL on error: WG_ERR_ARGUMENT if timeout is not
 * positive or a second world is opened, WG_ERR_MEMORY, WG_ERR_IO if MPI does not start, or if the launcher is not
 * that of this build's MPI. */
WG_API wg_world *wg_world_open(int *argc, char ***argv, wg_world_options options, wg_error *error);
/* [all] Ends MPI, unless the world has failed: ranks that are dead or stuck are not waited for. Accepts NULL. */
WG_API void wg_world_close(wg_world *world);
/* This rank, from 0; 0 for NULL. */
WG_API int wg_world_rank(const wg_world *world);
/* The number of ranks; 1 for NULL. */
WG_API int wg_world_size(const wg_world *world);
/* "Open MPI v4.1.4"; "none" for a world without MPI. */
WG_API const char *wg_world_engine(const wg_world *world);
/* [all] Returns when all ranks have called it. */
WG_CHECKED WG_API wg_status wg_world_barrier(wg_world *world);

/* The first error of the world, or WG_OK. It is final: when a rank died, hangs or gave up, no call succeeds any more.
 * The ranks that live end with the same message: "rank 2 of 4 has not answered for 60 s". */
WG_API wg_status wg_world_status(const wg_world *world);
WG_API const char *wg_world_message(const wg_world *world);
/* Whether this rank is the one that prints: rank 0; after a failure the lowest rank that lives, or the one that
 * failed. For NULL: true, but for ranks other than 0 if the launcher is not that of this build's MPI. */
WG_API bool wg_world_speaks(const wg_world *world);
/* Call it before the program ends with an error of its own (a file that cannot be read, ...): tells the other ranks,
 * whose next call fails with "rank 2: TEXT". Returns whether to print the text: of ranks that fail at the same time,
 * the lowest does. Waits half a second to know that. For NULL, after wg_world_open: as wg_world_speaks. */
WG_API bool wg_world_fail(wg_world *world, const char *text);

/* ---- data ----
 * Each rank may read the files, from a disk of its own or a common one. Or rank 0 alone reads them, and the others,
 * which need not see them, get the contents:
 *
 *     wg_text text;
 *     if (wg_world_read_text(world, "my.txt", 0, &text, &error) != WG_OK && wg_world_fail(world, error.text))
 *         fprintf(stderr, "%s\n", error.text);                   // one rank prints; all ranks have the same error
 *
 * wg_dist_scatter gives each rank no more than the samples of its shards. The world's time limit must be longer than
 * rank 0 takes to read. */

/* [all] Rank 0 reads a text, and all get it: wg_text_read_limited, with limit 0 wg_text_read. Free it by wg_text_fini.
 * An error of rank 0, or WG_ERR_MEMORY of another, is returned on every rank, with the same message; *text is then
 * zero. Only rank 0 uses path and limit. */
WG_CHECKED WG_API wg_status wg_world_read_text(wg_world *world, const char *path, uint64_t limit, wg_text *text,
                                               wg_error *error);
/* [all] The same for the elements of an IDX file: wg_idx_read_as. Free it by wg_idx_fini. */
WG_CHECKED WG_API wg_status wg_world_read_idx(wg_world *world, const char *path, wg_dtype dtype, double scale,
                                              wg_idx *idx, wg_error *error);
/* [all] Copies `size` bytes of rank 0 to all, whatever they mean: sizes, arrays. WG_ERR_ARGUMENT on every rank if size
 * is not the same on all; nothing is copied then. */
WG_CHECKED WG_API wg_status wg_world_share(wg_world *world, void *bytes, size_t size, wg_error *error);
/* [all] For what may fail on some ranks only: *error becomes that of the lowest rank which has one, on all. Returns its
 * status, WG_OK if no rank has an error. */
WG_CHECKED WG_API wg_status wg_world_agree(wg_world *world, wg_error *error);

/* What this rank has sent so far. */
typedef struct wg_world_counts {
    uint64_t gradient_bytes;  /* sums of gradients; (R - 1) / R of the parameters' bytes a step at best */
    uint64_t early_bytes;     /* of these, begun while a backward pass went on */
    uint64_t parameter_bytes; /* updated parameters; the same */
    uint64_t other_bytes;     /* values, norms, checkpoints, data */
    uint64_t messages;        /* of these bytes */
    double seconds;           /* spent waiting for messages */
} wg_world_counts;
/* The counts since the world was opened; zeros for NULL. */
WG_API wg_world_counts wg_world_count(const wg_world *world);

/* ---- a training run ---- */

typedef struct wg_dist wg_dist; /* a run */

enum {
    WG_DIST_VALUES = 8,           /* the largest number of values of a shard */
    WG_DIST_MOST_SHARDS = 1 << 20 /* the largest S */
};

/* The same on every rank. Start from wg_dist_defaults. */
typedef struct wg_dist_options {
    int64_t shards;   /* S; 0: the number of ranks */
    uint64_t seed;    /* of the tape's random numbers; shard 0 has this one, default 0 */
    double clip_norm; /* largest norm of the gradient, as of wg_clip_grad_norm; 0: any. Default 0 */
    bool overlap;     /* wg_dist_backward sends gradients while others are computed; the same bits. Default true */
    int values;       /* of each shard: the loss, metrics; 1 to WG_DIST_VALUES. Default 1 */
    /* Buffers that a shard writes, by patterns as of wg_group. Another buffer that a shard writes is an error. */
    const char *means;   /* are averaged over the shards: "*running_mean *running_var *num_batches_tracked" */
    const char *carried; /* belong to their shard, as the hidden state of truncated BPTT; default "state.*" */
} wg_dist_options;
WG_API wg_dist_options wg_dist_defaults(void);

/* [all] Begins a run: cuts the parameters that are trained into one part for each rank and drops the optimizer's state
 * of the others (wg_optimizer_own). Parameters must not be added, frozen or unfrozen afterwards. NULL on error:
 * WG_ERR_ARGUMENT if there are more ranks than shards, if an option is out of range, if the optimizer has taken steps,
 * or if ranks differ in version, build, instruction set, model, values, optimizer or options; WG_ERR_MEMORY. Free it
 * before the world. */
WG_API wg_dist *wg_dist_new(wg_world *world, wg_params *params, wg_optimizer *optimizer, wg_dist_options options,
                            wg_error *error);
WG_API void wg_dist_free(wg_dist *dist);
/* S. */
WG_API int64_t wg_dist_shards(const wg_dist *dist);
/* The shards of a rank are those from *first to *end - 1: floor(S r / R) to floor(S (r + 1) / R) - 1. */
WG_API void wg_dist_range(const wg_dist *dist, int rank, int64_t *first, int64_t *end);

/* [all] Rank 0 takes batch `step` of its feed and sends each rank the rows of that one's shards: of n rows shard s has
 * those from floor(n s / S) to floor(n (s + 1) / S) - 1, as with wg_loader_shard. Call it before wg_dist_next:
 *
 *     wg_feed *feed = NULL;                                        // of rank 0; other ranks have no data
 *     if (wg_world_rank(world) == 0) feed = wg_feed_new(&data, feed_options, &error);
 *     ...
 *     if (wg_dist_scatter(dist, feed, step, &error) != WG_OK) ...
 *     for (int64_t shard; (shard = wg_dist_next(dist, tape, step)) >= 0;) {
 *         const wg_batch *batch = wg_dist_batch(dist, shard);
 *         if (batch->n == 0) {
 *             wg_dist_add(dist, 0, NULL);
 *             continue;
 *         }
 *         wg_tensor x = wg_batch_tensor(batch, tape, 0), y = wg_batch_tensor(batch, tape, 1);
 *         ...
 *     }
 *
 * Ranks other than 0 keep memory for their rows. Errors are those of wg_feed_batch, WG_ERR_ARGUMENT if rank 0 has no
 * feed, WG_ERR_MEMORY; the same on every rank, and the step may be tried again. */
WG_CHECKED WG_API wg_status wg_dist_scatter(wg_dist *dist, wg_feed *feed, uint64_t step, wg_error *error);
/* The rows of a shard of this rank, valid until the next call, and the next wg_dist_scatter. n may be 0. NULL if the
 * shard belongs to another rank, or wg_dist_scatter has failed. */
WG_API const wg_batch *wg_dist_batch(wg_dist *dist, int64_t shard);

/* The next shard of this rank in this step; -1: there is none left, or an error, which wg_dist_step will return. Sets
 * the tape's step and seed, zeroes the gradients and gives the buffers the values that they have for this shard. */
WG_API int64_t wg_dist_next(wg_dist *dist, wg_tape *tape, uint64_t step);
/* wg_backward(loss), of the mean over `count` samples. In the last shard of this rank, sums of gradients that are final
 * are sent while others are still computed, by wg_tape_on_gradient; the program's own callback is called first. For
 * that the number of ranks must be a power of two that divides S, and parameters should be created in the order in
 * which they are used. Returns what wg_backward does, or WG_ERR_ARGUMENT. wg_backward itself does as well, and then all
 * is sent at the end. */
WG_API wg_status wg_dist_backward(wg_dist *dist, wg_tensor loss, double count);
/* Ends the shard: its gradients are those of the parameters, of a mean over `count` samples (or tokens; any weight >=
 * 0); values[options.values] are means over the same. A shard without samples needs no backward pass: count 0, values
 * NULL. WG_ERR_ARGUMENT, WG_ERR_GRADIENT if gradients are invalid because the run failed. */
WG_CHECKED WG_API wg_status wg_dist_add(wg_dist *dist, double count, const double *values);

/* What all ranks know after a step. */
typedef struct wg_dist_result {
    double values[WG_DIST_VALUES]; /* means over the global batch, weighted by count */
    double count;                  /* of the global batch */
    double norm;                   /* of the gradient, before clipping */
    int stop;                      /* the largest that a rank gave */
} wg_dist_result;

/* [all] Ends the step: gradient = sum of count gradient / sum of count, over the shards; clips; updates the parameters
 * and sends them to all ranks. Buffers that are means are averaged like gradients; those that are carried go on with
 * their shard; batch norm normalizes each shard by its own statistics. stop: 0, or a number that all ranks get to know
 * in result->stop, such as that of a signal that one rank has noted. Every rank returns the same status:
 * WG_ERR_ARGUMENT if a shard was not added or all counts are 0, what wg_dist_add returned on any rank, WG_ERR_NONFINITE
 * if the gradient is not finite; then no parameter and no buffer of these two kinds has changed, and the step may be
 * tried again. After the world's error (wg_world_status) only checkpoints are of use. With S = 1 the bits are those of
 * wg_clip_grad_norm and wg_optimizer_step. */
WG_CHECKED WG_API wg_status wg_dist_step(wg_dist *dist, int stop, wg_dist_result *result);
/* The last error in one line; "" if there was none. */
WG_API const char *wg_dist_message(const wg_dist *dist);

/* A hash of all parameters' values: equal on all ranks after every step. */
WG_API uint64_t wg_params_hash(const wg_params *params);

/* ---- checkpoints ----
 * One file for all ranks, as wg_checkpoint_save writes it, with the key "wengert.shards". Buffers that are carried have
 * an axis of S shards in front, unless S is 1. */

/* [all] Rank 0 writes the file, the others send it their parts of the optimizer's state as they are needed: no rank
 * holds more than its own. params and optimizer are those of the run, and need not be set in *checkpoint; saved_as is
 * ignored. Errors are those of wg_checkpoint_save, on every rank. */
WG_CHECKED WG_API wg_status wg_dist_save(wg_dist *dist, const char *path, const wg_checkpoint *checkpoint,
                                         wg_error *error);
/* [all] Rank 0 reads the file and sends everyone what it needs; the file is in rank 0's memory meanwhile. The number of
 * ranks may differ from that of the run which saved it, S must not. Sets step and seed in *checkpoint. Differences of
 * any kind are errors, WG_ERR_FORMAT; on an error that is not the world's nothing is changed on any rank. */
WG_CHECKED WG_API wg_status wg_dist_load(wg_dist *dist, const char *path, wg_checkpoint *checkpoint,
                                         wg_error *error);
/* S of a file that wg_dist_save wrote; 0 if it does not say. */
WG_API int64_t wg_dist_saved_shards(const wg_safetensors *file);

/* ---- memory ---- */

/* Bytes of a rank. */
typedef struct wg_dist_bytes {
    size_t parameters; /* values, gradients, buffers */
    size_t state;      /* this rank's part of the optimizer's state */
    size_t partials;   /* sums of gradients that wait for their sibling in the tree, and carried buffers */
    size_t messages;   /* what is being sent and received */
} wg_dist_bytes;

/* The largest of any rank's memory for a run of S shards on R ranks, before it is begun; tapes need theirs besides
 * (wg_backward_bytes). All zeros if an argument is out of range. */
WG_API wg_dist_bytes wg_dist_predict(const wg_params *params, const wg_optimizer *optimizer,
                                     wg_dist_options options, int ranks);
/* What this rank has. */
WG_API wg_dist_bytes wg_dist_memory(const wg_dist *dist);

#ifdef __cplusplus
}
#endif
#endif
