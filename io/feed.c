/* A feed: batches made in advance on a thread.
 *
 * There are prefetch + 1 slots in a ring. From slot `at` on, `ready` of them hold the batches of the steps from `held`
 * on; the caller reads the first of these, the thread fills the slot behind the last. A caller that jumps to another
 * step starts a new generation: what the thread is making is then dropped. */
#include "batch.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_PREFETCH = 1000 };

struct wg_feed {
    wg__stacker stacker;
    wg__batch_slot *slot; /* [slots] */
    int64_t slots;
    pid_t owner; /* the process of the thread */
    bool has_thread;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wanted, made; /* there is a slot to fill; one was filled */
    /* Under the lock. */
    bool begun, stop;
    uint64_t held, generation;
    int64_t at, ready;
};

wg_feed_options wg_feed_defaults(void) { return (wg_feed_options){.order = wg_loader_defaults(), .prefetch = 2}; }

/* ---- the thread ---- */

static void *make_batches(void *argument)
{
    wg_feed *feed = argument;
    pthread_mutex_lock(&feed->lock);
    for (;;) {
        while (!feed->stop && (!feed->begun || feed->ready == feed->slots))
            pthread_cond_wait(&feed->wanted, &feed->lock);
        if (feed->stop) break;
        const uint64_t step = feed->held + (uint64_t)feed->ready, generation = feed->generation;
        wg__batch_slot *slot = &feed->slot[(feed->at + feed->ready) % feed->slots];
        pthread_mutex_unlock(&feed->lock);
        wg__stack(&feed->stacker, step, slot);
        pthread_mutex_lock(&feed->lock);
        if (generation != feed->generation) continue;
        feed->ready++;
        pthread_cond_signal(&feed->made);
    }
    pthread_mutex_unlock(&feed->lock);
    return NULL;
}

/* With all signals blocked: they are the program's, not this thread's. */
static bool start_thread(wg_feed *feed)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_mutex_init(&feed->lock, NULL);
    pthread_cond_init(&feed->wanted, NULL);
    pthread_cond_init(&feed->made, NULL);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    feed->has_thread = pthread_create(&feed->thread, NULL, make_batches, feed) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return feed->has_thread;
}

static void end_thread(wg_feed *feed)
{
    pthread_mutex_lock(&feed->lock);
    feed->stop = true;
    pthread_cond_signal(&feed->wanted);
    pthread_mutex_unlock(&feed->lock);
    pthread_join(feed->thread, NULL);
    pthread_cond_destroy(&feed->made);
    pthread_cond_destroy(&feed->wanted);
    pthread_mutex_destroy(&feed->lock);
}

/* ---- making and freeing ---- */

static wg_status init(wg_feed *feed, const wg_dataset *data, const wg_feed_options *options, wg_error *error)
{
    if (options->prefetch < 0 || options->prefetch > MOST_PREFETCH)
        return wg_error_set(error, WG_ERR_ARGUMENT, "feed: prefetch is %lld, not in 0 .. %d",
                            (long long)options->prefetch, MOST_PREFETCH);
    wg_status status = wg__stacker_init(&feed->stacker, data, &options->order, error);
    if (status != WG_OK) return status;
    feed->owner = getpid();
    feed->slots = options->prefetch + 1;
    feed->slot = calloc((size_t)feed->slots, sizeof *feed->slot);
    bool complete = feed->slot != NULL;
    for (int64_t i = 0; complete && i < feed->slots; i++)
        complete = wg__batch_slot_init(&feed->slot[i], &feed->stacker);
    if (!complete)
        return wg_error_set(error, WG_ERR_MEMORY, "feed: out of memory for %lld batches", (long long)feed->slots);
    if (options->prefetch > 0 && !start_thread(feed))
        return wg_error_set(error, WG_ERR_MEMORY, "feed: cannot start a thread");
    return WG_OK;
}

wg_feed *wg_feed_new(const wg_dataset *data, wg_feed_options options, wg_error *error)
{
    wg_feed *feed = calloc(1, sizeof *feed);
    if (!feed) {
        wg_error_set(error, WG_ERR_MEMORY, "feed: out of memory");
        return NULL;
    }
    if (init(feed, data, &options, error) == WG_OK) return feed;
    wg_feed_free(feed);
    return NULL;
}

void wg_feed_free(wg_feed *feed)
{
    if (!feed) return;
    if (feed->has_thread && feed->owner == getpid()) end_thread(feed);
    for (int64_t i = 0; feed->slot && i < feed->slots; i++) wg__batch_slot_fini(&feed->slot[i]);
    free(feed->slot);
    wg__stacker_fini(&feed->stacker);
    free(feed);
}

int64_t wg_feed_batches(const wg_feed *feed) { return feed ? wg_loader_batches(feed->stacker.loader) : 0; }

/* ---- the next batch ---- */

/* Makes `step` the first batch of the ring: drops those before it; or all, if it is neither there nor the next one, or
 * was an error that is to be tried again. */
static void move_to(wg_feed *feed, uint64_t step)
{
    const uint64_t ahead = step - feed->held;
    const bool failed = feed->begun && ahead == 0 && feed->ready > 0 && feed->slot[feed->at].status != WG_OK;
    if (feed->begun && !failed && ahead <= (uint64_t)feed->ready) {
        feed->at = (feed->at + (int64_t)ahead) % feed->slots;
        feed->ready -= (int64_t)ahead;
    } else {
        feed->generation++;
        feed->ready = 0;
    }
    feed->begun = true;
    feed->held = step;
}

static const wg__batch_slot *wait_for(wg_feed *feed, uint64_t step)
{
    pthread_mutex_lock(&feed->lock);
    move_to(feed, step);
    pthread_cond_signal(&feed->wanted);
    while (feed->ready == 0) pthread_cond_wait(&feed->made, &feed->lock);
    const wg__batch_slot *slot = &feed->slot[feed->at];
    pthread_mutex_unlock(&feed->lock);
    return slot;
}

const wg_batch *wg_feed_batch(wg_feed *feed, uint64_t step, wg_error *error)
{
    if (!feed || feed->owner != getpid()) {
        wg_error_set(error, WG_ERR_ARGUMENT, "feed: %s", feed ? "it was made by another process" : "it is NULL");
        return NULL;
    }
    if (!feed->has_thread) wg__stack(&feed->stacker, step, feed->slot);
    const wg__batch_slot *slot = feed->has_thread ? wait_for(feed, step) : feed->slot;
    if (slot->status == WG_OK) return &slot->batch;
    wg_error_set(error, slot->error.status ? slot->error.status : slot->status, "%s", slot->error.text);
    return NULL;
}
