/* The data loader: the samples of a batch are a function of the seed and the batch's number. */
#include "io.h"

#include "../autograd/base/random.h"

#include <stdlib.h>
#include <string.h>

struct wg_loader {
    int64_t n, n_batches;
    wg_loader_options options; /* lengths: the loader's own copy */
    int32_t *lengths;
    bool made;        /* `order` and `batch` are filled, ... */
    uint64_t epoch;   /* ... for this epoch */
    int64_t *order;   /* [n] sample indices */
    int64_t *batch;   /* [n_batches] batch indices, in the order of the epoch */
    int64_t *scratch; /* [n] for sorting */
};

wg_loader_options wg_loader_defaults(void)
{
    return (wg_loader_options){.batch = 1, .shuffle = true, .bucket = 50};
}

/* Why the options are invalid; NULL if they are valid. */
static const char *invalid_reason(int64_t n, const wg_loader_options *o)
{
    if (n < 1) return "there must be at least one sample";
    if ((uint64_t)n > SIZE_MAX / 64) return "there are too many samples for this machine's memory";
    if (o->batch < 1) return "a batch must have at least 1 sample";
    if (o->drop_last && o->batch > n) return "too few samples to fill a batch";
    if (o->lengths && o->bucket < 1) return "bucket must be at least 1";
    return NULL;
}

wg_loader *wg_loader_new(int64_t n, wg_loader_options options, wg_error *error)
{
    const char *reason = invalid_reason(n, &options);
    if (reason) {
        wg_error_set(error, WG_ERR_ARGUMENT, "loader: %s (%lld samples, batches of %lld)", reason, (long long)n,
                     (long long)options.batch);
        return NULL;
    }
    wg_loader *l = calloc(1, sizeof *l);
    if (l) {
        *l = (wg_loader){.n = n, .options = options};
        l->n_batches = options.drop_last ? n / options.batch : (n - 1) / options.batch + 1;
        l->order = malloc((size_t)n * sizeof *l->order);
        l->batch = malloc((size_t)l->n_batches * sizeof *l->batch);
        l->scratch = options.lengths ? malloc((size_t)n * sizeof *l->scratch) : NULL;
        l->lengths = options.lengths ? malloc((size_t)n * sizeof *l->lengths) : NULL;
    }
    if (!l || !l->order || !l->batch || (options.lengths && (!l->scratch || !l->lengths))) {
        wg_loader_free(l);
        wg_error_set(error, WG_ERR_MEMORY, "loader: out of memory for %lld samples", (long long)n);
        return NULL;
    }
    if (options.lengths) memcpy(l->lengths, options.lengths, (size_t)n * sizeof *l->lengths);
    l->options.lengths = l->lengths;
    return l;
}

void wg_loader_free(wg_loader *l)
{
    if (!l) return;
    free(l->order);
    free(l->batch);
    free(l->scratch);
    free(l->lengths);
    free(l);
}

int64_t wg_loader_batches(const wg_loader *l) { return l ? l->n_batches : 0; }

/* ---- the order of an epoch ---- */

enum { STREAM_SAMPLES = 1, STREAM_BATCHES = 2 }; /* of random numbers */

/* Fills x[0..n) with a permutation of 0 .. n - 1 (Fisher-Yates; Durstenfeld 1964), a function of (seed, epoch, stream);
 * without shuffle, in order. */
static void permute(int64_t *x, int64_t n, bool shuffle, uint64_t seed, uint64_t epoch, uint64_t stream)
{
    for (int64_t i = 0; i < n; i++) x[i] = i;
    for (int64_t i = n - 1; shuffle && i > 0; i--) {
        uint32_t r[4];
        wg__random4(seed, epoch, stream, (uint64_t)i, r);
        uint64_t bits = (uint64_t)r[0] << 32 | r[1];
        int64_t k = (int64_t)((unsigned __int128)bits * (uint64_t)(i + 1) >> 64), t = x[i];
        x[i] = x[k];
        x[k] = t;
    }
}

/* Sorts x[0..n) by length, by a stable bottom-up merge sort: merges runs of 1, 2, 4, ... */
static void sort_by_length(int64_t *x, int64_t n, const int32_t *lengths, int64_t *scratch)
{
    for (int64_t run = 1; run < n; run *= 2) {
        for (int64_t first = 0; first < n; first += 2 * run) {
            int64_t middle = first + run < n ? first + run : n, last = middle + run < n ? middle + run : n;
            for (int64_t i = first, a = first, b = middle; i < last; i++) {
                bool left = a < middle && (b >= last || lengths[x[a]] <= lengths[x[b]]);
                scratch[i] = x[left ? a++ : b++];
            }
        }
        memcpy(x, scratch, (size_t)n * sizeof *x);
    }
}

static void make_epoch(wg_loader *l, uint64_t epoch)
{
    const wg_loader_options *o = &l->options;
    permute(l->order, l->n, o->shuffle, o->seed, epoch, STREAM_SAMPLES);
    permute(l->batch, l->n_batches, o->shuffle && o->lengths, o->seed, epoch, STREAM_BATCHES);
    if (o->lengths) {
        /* Samples are dropped before sorting, or they would always be the longest. */
        int64_t used = o->drop_last ? l->n_batches * o->batch : l->n;
        int64_t bucket = o->bucket <= used / o->batch ? o->bucket * o->batch : used;
        for (int64_t i = 0; i < used; i += bucket)
            sort_by_length(l->order + i, used - i < bucket ? used - i : bucket, o->lengths, l->scratch);
    }
    l->epoch = epoch;
    l->made = true;
}

int64_t wg_loader_batch(wg_loader *l, uint64_t step, const int64_t **samples)
{
    if (samples) *samples = NULL;
    if (!l) return 0;
    uint64_t epoch = step / (uint64_t)l->n_batches;
    if (!l->made || epoch != l->epoch) make_epoch(l, epoch);
    int64_t first = l->batch[step % (uint64_t)l->n_batches] * l->options.batch, left = l->n - first;
    if (samples) *samples = l->order + first;
    return left < l->options.batch ? left : l->options.batch;
}

int64_t wg_loader_shard(wg_loader *l, uint64_t step, int64_t shard, int64_t shards, const int64_t **samples)
{
    if (samples) *samples = NULL;
    if (!l || shard < 0 || shard >= shards) return 0;
    const int64_t *batch;
    const __int128 n = wg_loader_batch(l, step, &batch);
    const int64_t first = (int64_t)(n * shard / shards), end = (int64_t)(n * (shard + 1) / shards);
    if (samples) *samples = batch + first;
    return end - first;
}
