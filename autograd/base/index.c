/* A hash index. Callers probe the table themselves, since what is equal differs. */
#include "index.h"

#include <assert.h>
#include <string.h>

bool wg__index_room(wg__heap *heap, wg__index *index, wg__hash_of hash_of, const void *owner)
{
    assert((index->size & (index->size - 1)) == 0 && index->count <= index->size / 2);
    if (index->size && index->count + 1 <= index->size / 2) return true;
    uint32_t size = index->size ? index->size * 2 : 64;
    uint32_t *table = wg__heap_alloc(heap, size * sizeof *table);
    if (!table) return false;
    memset(table, 0, size * sizeof *table);
    for (uint32_t i = 0; i < index->size; i++) {
        if (!index->table[i]) continue;
        uint32_t at = (uint32_t)hash_of(owner, index->table[i]) & (size - 1);
        while (table[at]) at = (at + 1) & (size - 1);
        table[at] = index->table[i];
    }
    wg__heap_release(heap, index->table, index->size * sizeof *table);
    index->table = table;
    index->size = size;
    return true;
}

void wg__index_clear(wg__index *index)
{
    if (!index->count) return;
    memset(index->table, 0, index->size * sizeof *index->table);
    index->count = 0;
}

void wg__index_release(wg__heap *heap, wg__index *index)
{
    wg__heap_release(heap, index->table, index->size * sizeof *index->table);
    *index = (wg__index){0};
}
