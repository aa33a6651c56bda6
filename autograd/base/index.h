/* Internal. A hash index from content to id by open addressing: 0 marks an empty entry. Its owner has the content. */
#ifndef WG_INDEX_H
#define WG_INDEX_H

#include "heap.h"

typedef struct wg__index {
    uint32_t *table;
    uint32_t size, count; /* size: 0, or a power of two of at least twice the count */
} wg__index;

/* The hash of an id's content. */
typedef uint64_t (*wg__hash_of)(const void *owner, uint32_t id);

/* Makes room for one more entry. False if out of memory. */
bool wg__index_room(wg__heap *heap, wg__index *index, wg__hash_of hash_of, const void *owner);
void wg__index_clear(wg__index *index);
void wg__index_release(wg__heap *heap, wg__index *index);

#endif
