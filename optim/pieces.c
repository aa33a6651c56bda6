/* Loops over the elements of parameters, on the threads of the set's pool. */
#include "internal.h"

#include "../autograd/base/fp.h"
#include "../autograd/base/pool.h"

#include <stdatomic.h>

enum { ALONE = 1 << 16 }; /* elements that are not worth waking threads for */

typedef struct walk {
    const wg__pieces *pieces;
    _Atomic int64_t next; /* piece */
} walk;

static int64_t count_of(const wg__pieces *p, size_t array)
{
    return (p->numel(p->context, array) + p->size - 1) / p->size;
}

/* Takes the next piece until there is none. */
static void walk_thread(void *context, int thread)
{
    walk *w = context;
    const wg__pieces *p = w->pieces;
    const wg__fp caller = wg__fp_begin();
    int64_t first = 0; /* piece of the array */
    for (size_t array = 0; array < p->n;) {
        const int64_t piece = atomic_fetch_add(&w->next, 1);
        for (; array < p->n && piece >= first + count_of(p, array); array++) first += count_of(p, array);
        if (array == p->n) break;
        const int64_t at = (piece - first) * p->size, left = p->numel(p->context, array) - at;
        p->run(p->context, array, at, left < p->size ? left : p->size);
    }
    wg__fp_end(&caller);
}

void wg__pieces_run(const wg_params *set, const wg__pieces *p)
{
    walk w = {.pieces = p};
    wg_pool *pool = wg_params_pool(set);
    int64_t all = 0;
    for (size_t i = 0; i < p->n && all <= ALONE; i++) all += p->numel(p->context, i);
    if (all <= ALONE || wg_pool_threads(pool) == 1 || !wg__pool_run(pool, walk_thread, &w)) walk_thread(&w, 0);
}
