/* Memory: allocators supplied by the caller, and memory statistics.
 *
 *     wg_tape_options options = wg_tape_defaults();
 *     options.allocator = (wg_allocator){.alloc = take, .release = give_back, .context = &arena};
 *     wg_tape *tape = wg_tape_new(options);
 *     ...
 *     printf("%zu bytes\n", wg_tape_memory(tape).peak); */
#ifndef WG_MEMORY_H
#define WG_MEMORY_H

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Allocator callbacks. alloc returns `size` bytes aligned to 64, or NULL; release is passed the same size, and may be
 * NULL if memory is not freed piece by piece. An all-zero allocator selects the default, posix_memalign and free.
 * Callbacks are called on the thread that uses the object. */
typedef struct wg_allocator {
    void *(*alloc)(void *context, size_t size);
    void (*release)(void *context, void *memory, size_t size);
    void *context; /* the caller's own, passed to both */
} wg_allocator;

/* Memory that an object has taken from its allocator. */
typedef struct wg_memory {
    size_t live;       /* bytes allocated now */
    size_t peak;       /* maximum of `live` since the object was created */
    uint64_t requests; /* calls of the allocator, failed ones included */
} wg_memory;

#ifdef __cplusplus
}
#endif
#endif
