/* Counted memory. The engine allocates all memory here, so that tests can make any allocation fail and live bytes are
 * known. */
#include "heap.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN = 64, TAIL = 64, LARGE_PAGE = 2 << 20 };

static size_t rounded(size_t size) { return (size + TAIL + ALIGN - 1) & ~(size_t)(ALIGN - 1); }

/* Large allocations start on a large page and ask for large pages, since a step walks through all of its memory and the
 * TLB covers too little of it with small pages (2 to 5 % of a step). The last, incomplete page stays small. */
static void *take(size_t bytes)
{
    void *memory;
    bool large = bytes >= 2 * LARGE_PAGE;
    if (posix_memalign(&memory, large ? LARGE_PAGE : ALIGN, bytes) != 0) return NULL;
#ifdef MADV_HUGEPAGE
    if (large) madvise(memory, bytes & ~(size_t)(LARGE_PAGE - 1), MADV_HUGEPAGE); /* advice: errors do not matter */
#endif
    return memory;
}

void *wg__heap_alloc(wg__heap *heap, size_t size)
{
    if (size > SIZE_MAX / 2) return NULL;
    size_t bytes = rounded(size);
    heap->memory.requests++;
    void *memory = heap->allocator.alloc ? heap->allocator.alloc(heap->allocator.context, bytes) : take(bytes);
    if (!memory) return NULL;
    heap->memory.live += bytes;
    if (heap->memory.live > heap->memory.peak) heap->memory.peak = heap->memory.live;
    return memory;
}

void wg__heap_release(wg__heap *heap, void *memory, size_t size)
{
    if (!memory) return;
    size_t bytes = rounded(size);
    assert(bytes <= heap->memory.live); /* size is what was allocated */
    heap->memory.live -= bytes;
    if (heap->allocator.release)
        heap->allocator.release(heap->allocator.context, memory, bytes);
    else if (!heap->allocator.alloc)
        free(memory);
}

/* ---- arenas ---- */

struct wg__chunk {
    wg__chunk *next;
    size_t size; /* bytes after the header */
    char pad[48];
};
_Static_assert(sizeof(wg__chunk) == ALIGN, "items of a chunk start aligned");

static wg__chunk *chunk_new(wg__heap *heap, size_t size)
{
    wg__chunk *chunk = wg__heap_alloc(heap, sizeof(wg__chunk) + size);
    if (chunk) *chunk = (wg__chunk){.size = size};
    return chunk;
}

void *wg__arena_alloc(wg__arena *arena, size_t size, size_t align)
{
    assert(align > 0 && (align & (align - 1)) == 0 && align <= ALIGN);
    assert(arena->current ? arena->used <= arena->current->size : arena->used == 0);
    if (size > SIZE_MAX / 4) return NULL;
    for (;;) {
        if (arena->current) {
            size_t start = (arena->used + align - 1) & ~(align - 1);
            if (start + size <= arena->current->size) {
                arena->used = start + size;
                return (char *)(arena->current + 1) + start;
            }
        }
        wg__chunk *next = arena->current ? arena->current->next : arena->first;
        if (!next || next->size < size) { /* insert a new chunk before the next */
            size_t bytes = arena->current ? 2 * arena->current->size : (size_t)1 << 14;
            const size_t most = arena->most ? arena->most : (size_t)1 << 24;
            if (bytes > most) bytes = most;
            wg__chunk *fresh = chunk_new(arena->heap, size > bytes ? size : bytes);
            if (!fresh) return NULL;
            arena->total += fresh->size;
            fresh->next = next;
            if (arena->current)
                arena->current->next = fresh;
            else
                arena->first = fresh;
            next = fresh;
        }
        arena->current = next;
        arena->used = 0;
    }
}

void *wg__arena_array(wg__arena *arena, uint64_t n, size_t size)
{
    assert(size > 0);
    if (n > SIZE_MAX / 8 / size) return NULL;
    void *memory = wg__arena_alloc(arena, (size_t)n * size, 16);
    if (memory) memset(memory, 0, (size_t)n * size);
    return memory;
}

void wg__arena_rewind(wg__arena *arena)
{
    arena->current = NULL;
    arena->used = 0;
}

static void release_chunks(wg__heap *heap, wg__chunk *chunk)
{
    while (chunk) {
        wg__chunk *next = chunk->next;
        wg__heap_release(heap, chunk, sizeof(wg__chunk) + chunk->size);
        chunk = next;
    }
}

void wg__arena_trim(wg__arena *arena)
{
    wg__arena_rewind(arena);
    if (!arena->first) return;
    release_chunks(arena->heap, arena->first->next);
    arena->first->next = NULL;
    arena->total = arena->first->size;
}

void wg__arena_release(wg__arena *arena)
{
    wg__arena_rewind(arena);
    release_chunks(arena->heap, arena->first);
    arena->first = NULL;
    arena->total = 0;
}

/* ---- growing arrays ---- */

bool wg__grow(wg__heap *heap, void **data, uint32_t *capacity, uint64_t need, size_t size)
{
    assert(size > 0 && (*data || !*capacity));
    if (need <= *capacity) return true;
    uint64_t wanted = (uint64_t)*capacity * 2;
    if (wanted < need) wanted = need;
    if (wanted < 64) wanted = 64;
    if (wanted > UINT32_MAX) return false;
    void *fresh = wg__heap_alloc(heap, wanted * size);
    if (!fresh) return false;
    if (*capacity) memcpy(fresh, *data, *capacity * size);
    wg__heap_release(heap, *data, *capacity * size);
    *data = fresh;
    *capacity = (uint32_t)wanted;
    return true;
}

void wg__swap_bytes(char *a, char *b, size_t n)
{
    char copy[4096];
    assert(a + n <= b || b + n <= a);
    for (size_t part; n > 0; n -= part, a += part, b += part) {
        part = n < sizeof copy ? n : sizeof copy;
        memcpy(copy, a, part);
        memcpy(a, b, part);
        memcpy(b, copy, part);
    }
}
