/* Internal. Counted memory: a heap on the caller's allocator, arenas, growing arrays.
 *
 * Room base: status, shapes, memory, random numbers, threads, instruction sets. Every part is usable alone and knows
 * nothing of tapes, ops or plans. */
#ifndef WG_HEAP_H
#define WG_HEAP_H

#include "../memory.h"

typedef struct wg__heap {
    wg_allocator allocator;
    wg_memory memory;
} wg__heap;

/* The bytes reserved for a value among others: rounded up to a multiple of 64, at least 64. */
static inline size_t wg__room_for(size_t bytes) { return bytes > 64 ? (bytes + 63) & ~(size_t)63 : 64; }

/* Memory aligned to 64 bytes and followed by 64 readable bytes. Returns NULL if out of memory. Size 0 is valid. */
void *wg__heap_alloc(wg__heap *heap, size_t size);
void wg__heap_release(wg__heap *heap, void *memory, size_t size); /* accepts NULL */

/* A bump allocator on a list of chunks. Rewinding keeps the chunks for the next step. */
typedef struct wg__chunk wg__chunk;
typedef struct wg__arena {
    wg__heap *heap;
    wg__chunk *first, *current;
    size_t used;  /* in the current chunk */
    size_t total; /* bytes of all chunks */
    size_t most;  /* bytes of a chunk, unless an item is larger; 0: 16 MiB */
} wg__arena;

void *wg__arena_alloc(wg__arena *arena, size_t size, size_t align); /* align: a power of two up to 64 */
/* n zeroed items of `size` bytes, aligned to 16. Returns NULL if out of memory. */
void *wg__arena_array(wg__arena *arena, uint64_t n, size_t size);
void wg__arena_rewind(wg__arena *arena);  /* frees all items, keeps the chunks */
void wg__arena_trim(wg__arena *arena);    /* rewinds and keeps one chunk */
void wg__arena_release(wg__arena *arena); /* frees the chunks */

/* Grows *data to at least `need` items of `size` bytes; it may move. *capacity counts items. Returns false, with *data
 * unchanged, if out of memory. */
bool wg__grow(wg__heap *heap, void **data, uint32_t *capacity, uint64_t need, size_t size);

/* Swaps two regions of n bytes that do not overlap. */
void wg__swap_bytes(char *a, char *b, size_t n);

#endif
