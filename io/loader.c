/* Which samples make up which batch: a function of the seed and the batch's number. */
#include "io.h"

#include "../autograd/base/random.h"

#include <stdlib.h>
#include <string.h>

struct wg_loader {
    int64_t n, n_batches;
    wg_loader_options options; /* lengths: the loader's own copy */
    int32_t *lengths;
    uint64_t epoch;  /* whose order is made; UINT64_MAX: none yet */
    int64_t *order;  /* [n] samples */
    int64_t *batch;  /* [n_batches] numbers of batches, in the order they come in */
    int64_t *merged; /* [n] room to sort */
};

wg_loader_options wg_loader_defaults(void)
{
    return (wg_loader_options){.batch = 1, .shuffle = true, .bucket = 50};
}

static const char *mistake_in(int64_t n, const wg_loader_options *o)
{
    if (n < 1 || (uint64_t)n > SIZE_MAX / 64) return "there must be at least one sample";
    if (o->batch < 1) return "a batch must have at least 1 sample";
    if (o->drop_last && o->batch > n) return "there are too few samples to fill a batch";
    if (o->lengths && o->bucket < 1) return "bucket must be at least 1";
    return NULL;
}

wg_loader *wg_loader_new(int64_t n, wg_loader_options options, wg_error *error)
{
    const char *mistake = mistake_in(n, &options);
    if (mistake) {
        wg_error_set(error, WG_ERR_ARGUMENT, "loader: %s (%lld samples, batches of %lld)", mistake, (long long)n,
                     (long long)options.batch);
        return NULL;
    }
    wg_loader *l = calloc(1, sizeof *l);
    if (l) {
        *l = (wg_loader){.n = n, .options = options, .epoch = UINT64_MAX};
        l->n_batches = options.drop_last ? n / options.batch : (n - 1) / options.batch + 1;
        l->order = malloc((size_t)n * sizeof *l->order);
        l->batch = malloc((size_t)l->n_batches * sizeof *l->batch);
        l->merged = options.lengths ? malloc((size_t)n * sizeof *l->merged) : NULL;
        l->lengths = options.lengths ? malloc((size_t)n * sizeof *l->lengths) : NULL;
    }
    if (!l || !l->order || !l->batch || (options.lengths && (!l->merged || !l->lengths))) {
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
    free(l->merged);
    free(l->lengths);
    free(l);
}

int64_t wg_loader_batches(const wg_loader *l) { return l ? l->n_batches : 0; }

/* ---- an epoch's order ---- */

enum { OF_SAMPLES = 1, OF_BATCHES = 2 }; /* streams of random numbers */

/* x[0..n) becomes 0 .. n - 1, shuffled (Fisher and Yates; Durstenfeld 1964) by (seed, epoch, stream). */
static void permute(int64_t *x, int64_t n, bool shuffle, uint64_t seed, uint64_t epoch, uint64_t stream)
{
    for (int64_t i = 0; i < n; i++) x[i] = i;
    for (int64_t i = n - 1; shuffle && i > 0; i--) {
        uint32_t r[4];
        wg__random4(seed, epoch, stream, (uint64_t)i, r);
        uint64_t bits = (uint64_t)r[0] << 32 | r[1];
        int64_t k = (int64_t)((unsigned __int128)bits * (uint64_t)(i + 1) >> 64), held = x[i];
        x[i] = x[k];
        x[k] = held;
    }
}

/* Sorts x[0..n) by length, equal ones as they stand: merges runs of 1, 2, 4, ... */
static void sort_by_length(int64_t *x, int64_t n, const int32_t *lengths, int64_t *room)
{
    for (int64_t run = 1; run < n; run *= 2) {
        for (int64_t first = 0; first < n; first += 2 * run) {
            int64_t middle = first + run < n ? first + run : n, last = middle + run < n ? middle + run : n;
            for (int64_t i = first, a = first, b = middle; i < last; i++) {
                bool left = a < middle && (b >= last || lengths[x[a]] <= lengths[x[b]]);
                room[i] = x[left ? a++ : b++];
            }
        }
        memcpy(x, room, (size_t)n * sizeof *x);
    }
}

static void make_epoch(wg_loader *l, uint64_t epoch)
{
    const wg_loader_options *o = &l->options;
    permute(l->order, l->n, o->shuffle, o->seed, epoch, OF_SAMPLES);
    permute(l->batch, l->n_batches, o->shuffle && o->lengths, o->seed, epoch, OF_BATCHES);
    if (o->lengths) {
        /* What is dropped is dropped before the sorting, so that it is not always the longest. */
        int64_t used = o->drop_last ? l->n_batches * o->batch : l->n;
        int64_t stretch = o->bucket <= used / o->batch ? o->bucket * o->batch : used;
        for (int64_t i = 0; i < used; i += stretch)
            sort_by_length(l->order + i, used - i < stretch ? used - i : stretch, o->lengths, l->merged);
    }
    l->epoch = epoch;
}

int64_t wg_loader_batch(wg_loader *l, uint64_t step, const int64_t **samples)
{
    *samples = NULL;
    if (!l) return 0;
    uint64_t epoch = step / (uint64_t)l->n_batches;
    if (epoch != l->epoch) make_epoch(l, epoch);
    int64_t first = l->batch[step % (uint64_t)l->n_batches] * l->options.batch, left = l->n - first;
    *samples = l->order + first;
    return left < l->options.batch ? left : l->options.batch;
}
