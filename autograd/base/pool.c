/* The thread pool. Workers wait, spinning briefly and then parked, until they call one function together with the
 * caller. The pool knows nothing of tasks. A worker that the machine does not schedule in time is not waited for.
 * After fork() the child has none of the workers: there the pool runs on the caller alone and touches neither
 * threads nor locks, which a worker may have held. */
#include "pool.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SPINS = 4000, YIELDS = 64 };
#define CLOSED 0x80000000u

struct wg__pool_handle {
    _Atomic(wg_pool *) pool;
    _Atomic int users; /* the pool itself, and those that hold it */
};

struct wg_pool {
    wg__pool_handle *handle;
    int threads;
    unsigned forks; /* when it was created; another number now: in a child of that process */
    pthread_t *workers;
    pthread_mutex_t in_use, lock;
    pthread_cond_t wake;
    void (*work)(void *context, int thread);
    void *context;
    _Atomic uint32_t round;   /* rises with each call of wg__pool_run */
    _Atomic uint32_t entered; /* workers that take part in it; CLOSED once it is over, so that later ones skip it */
    uint32_t left;            /* workers that have finished; read by wg__pool_wait */
    _Atomic int parked;       /* workers asleep */
    _Atomic bool stop;
};

static _Atomic unsigned forks; /* from the first process to this one */
static pthread_once_t watching = PTHREAD_ONCE_INIT;

static void forked(void) { forks++; }
/* Out of memory, forks stay unnoticed. */
static void watch_forks(void) { (void)pthread_atfork(NULL, NULL, forked); }
static bool is_inherited(const wg_pool *pool) { return pool->forks != forks; }

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Waits until *value differs from old: spins, then yields. Returns false if it took too long. */
static bool spin(_Atomic uint32_t *value, uint32_t old)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(value, memory_order_acquire) != old) return true;
        pause_cpu();
    }
    for (int i = 0; i < YIELDS; i++) {
        if (atomic_load_explicit(value, memory_order_acquire) != old) return true;
        sched_yield();
    }
    return false;
}

typedef struct worker {
    wg_pool *pool;
    int number;
} worker;

static void *worker_main(void *argument)
{
    worker self = *(worker *)argument;
    free(argument);
    wg_pool *pool = self.pool;
    uint32_t seen = 0;
    for (;;) {
        if (!spin(&pool->round, seen)) {
            pthread_mutex_lock(&pool->lock);
            atomic_fetch_add(&pool->parked, 1);
            while (atomic_load(&pool->round) == seen) pthread_cond_wait(&pool->wake, &pool->lock);
            atomic_fetch_sub(&pool->parked, 1);
            pthread_mutex_unlock(&pool->lock);
        }
        seen = atomic_load(&pool->round);
        if (pool->stop) return NULL;
        if (atomic_fetch_add(&pool->entered, 1) & CLOSED) continue;
        pool->work(pool->context, self.number);
        __atomic_fetch_add(&pool->left, 1, __ATOMIC_RELEASE);
    }
}

static void begin_round(wg_pool *pool)
{
    atomic_fetch_add(&pool->round, 1);
    if (atomic_load(&pool->parked) == 0) return;
    pthread_mutex_lock(&pool->lock);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
}

wg_pool *wg_pool_new(int threads)
{
    if (threads <= 0) {
        cpu_set_t set;
        threads = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    }
    pthread_once(&watching, watch_forks);
    wg_pool *pool = calloc(1, sizeof *pool);
    if (!pool) return NULL;
    pool->forks = forks;
    pool->workers = calloc((size_t)threads, sizeof *pool->workers);
    pool->handle = calloc(1, sizeof *pool->handle);
    if (!pool->workers || !pool->handle) {
        free(pool->workers);
        free(pool->handle);
        free(pool);
        return NULL;
    }
    pool->handle->pool = pool;
    pool->handle->users = 1;
    pthread_mutex_init(&pool->in_use, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pool->threads = 1;
    while (pool->threads < threads) {
        worker *w = malloc(sizeof *w);
        if (w) *w = (worker){pool, pool->threads};
        if (!w || pthread_create(&pool->workers[pool->threads - 1], NULL, worker_main, w) != 0) {
            free(w);
            wg_pool_free(pool);
            return NULL;
        }
        pool->threads++;
    }
    return pool;
}

void wg_pool_free(wg_pool *pool)
{
    if (!pool) return;
    pool->handle->pool = NULL;
    wg__pool_drop(pool->handle);
    if (!is_inherited(pool)) {
        pool->stop = true;
        begin_round(pool);
        for (int i = 0; i + 1 < pool->threads; i++) pthread_join(pool->workers[i], NULL);
        pthread_cond_destroy(&pool->wake);
        pthread_mutex_destroy(&pool->lock);
        pthread_mutex_destroy(&pool->in_use);
    }
    free(pool->workers);
    free(pool);
}

wg__pool_handle *wg__pool_hold(wg_pool *pool)
{
    if (!pool) return NULL;
    pool->handle->users++;
    return pool->handle;
}

void wg__pool_drop(wg__pool_handle *handle)
{
    if (handle && --handle->users == 0) free(handle);
}

wg_pool *wg__pool_of(const wg__pool_handle *handle) { return handle ? handle->pool : NULL; }

int wg_pool_threads(const wg_pool *pool) { return pool ? pool->threads : 1; }

bool wg__pool_run(wg_pool *pool, void (*work)(void *context, int thread), void *context)
{
    assert(pool->threads >= 1 && work);
    if (is_inherited(pool) || pthread_mutex_trylock(&pool->in_use) != 0) return false;
    pool->work = work;
    pool->context = context;
    __atomic_store_n(&pool->left, 0, __ATOMIC_SEQ_CST);
    atomic_store(&pool->entered, 0);
    begin_round(pool);
    work(context, 0);
    uint32_t entered =
        atomic_fetch_or(&pool->entered, CLOSED); /* a worker that has not entered is not waited for */
    assert(!(entered & CLOSED));                 /* only this function closes a round, once */
    wg__pool_wait(&pool->left, entered);
    pthread_mutex_unlock(&pool->in_use);
    return true;
}

void wg__pool_wait(const uint32_t *value, uint32_t wanted)
{
    for (int i = 0; __atomic_load_n(value, __ATOMIC_ACQUIRE) != wanted; i++) {
        if (i < SPINS)
            pause_cpu();
        else
            sched_yield();
    }
}
