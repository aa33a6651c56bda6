/* Counts the library's requests for memory: the linker sends its calls of the allocator through here (--wrap),
 * whatever hooks a tape or a set was given. */
#include <stdatomic.h>
#include <stdlib.h>

#include "models.h"

static atomic_uint_fast64_t requests;

uint64_t model_requests(void) { return atomic_load(&requests); }

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);

void *__wrap_malloc(size_t size)
{
    atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed);
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed);
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed);
    return __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed);
    return __real_aligned_alloc(alignment, size);
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t size)
{
    atomic_fetch_add_explicit(&requests, 1, memory_order_relaxed);
    return __real_posix_memalign(memory, alignment, size);
}
