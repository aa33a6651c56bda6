/* Where memory comes from: the caller's allocator, or malloc. */
#ifndef WG_MEMORY_H
#define WG_MEMORY_H

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Allocator hooks. alloc returns size bytes aligned to 64 or NULL; release gets the same size back.
 * An all-zero allocator means malloc. Hooks are called from the thread that uses the object. */
typedef struct wg_allocator {
    void *(*alloc)(void *context, size_t size);
    void (*release)(void *context, void *memory, size_t size);
    void *context;
} wg_allocator;

/* What an object has taken from its allocator. */
typedef struct wg_memory {
    size_t live;       /* bytes now */
    size_t peak;       /* bytes at most, since the object was made */
    uint64_t requests; /* how many times the allocator was asked */
} wg_memory;

#ifdef __cplusplus
}
#endif
#endif
