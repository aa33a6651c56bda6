/* Internal. Runs one function on all threads of a pool. */
#ifndef WG_POOL_H
#define WG_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "../tape.h"

/* Calls work(context, thread) concurrently on the threads of the pool; thread 0 is the caller. Other threads may call
 * it late, twice or not at all when the machine does not schedule them in time, so the work must not depend on them.
 * Returns false, without calling anything, if another tape uses the pool or the process is a child of its owner. */
bool wg__pool_run(wg_pool *pool, void (*work)(void *context, int thread), void *context);
/* Waits until *value == wanted: spins briefly, then yields. */
void wg__pool_wait(const uint32_t *value, uint32_t wanted);

/* A pointer to a pool that becomes NULL when the pool is freed. Of NULL: NULL. */
typedef struct wg__pool_handle wg__pool_handle;
wg__pool_handle *wg__pool_hold(wg_pool *pool);
void wg__pool_drop(wg__pool_handle *handle);
wg_pool *wg__pool_of(const wg__pool_handle *handle);

#endif
