/* Names by a hash index: see names.h. Strangers who make names collide slow down the opening of their own file. */
#include "names.h"

#include <string.h>

#include "../autograd/base/random.h"

static uint64_t hash_name(const void *owner, uint32_t id)
{
    const char *text = ((const wg__names *)owner)->list[id - 1].text;
    return wg__hash_bytes(0, text, strlen(text));
}

static uint32_t *entry_of(const wg__names *names, wg__span text)
{
    const uint32_t mask = names->index.size - 1;
    uint32_t *table = names->index.table, at = (uint32_t)wg__hash_bytes(0, text.data, text.size) & mask;
    while (table[at] && !wg__span_is(text, names->list[table[at] - 1].text)) at = (at + 1) & mask;
    return &table[at];
}

wg__name *wg__name_of(wg__names *names, wg__span text)
{
    const void *nul = text.size ? memchr(text.data, 0, text.size) : NULL;
    if (nul) text.size = (size_t)((const uint8_t *)nul - text.data);
    const uint32_t known = names->index.size ? *entry_of(names, text) : 0;
    if (known) return &names->list[known - 1];
    if (!wg__index_room(names->heap, &names->index, hash_name, names) ||
        !wg__grow(names->heap, (void **)&names->list, &names->cap, (uint64_t)names->n + 1, sizeof *names->list))
        return NULL;
    const char *copy = wg__span_text(names->arena, text);
    if (!copy) return NULL;
    names->list[names->n++] = (wg__name){.text = copy};
    *entry_of(names, text) = names->n;
    names->index.count++;
    return &names->list[names->n - 1];
}

void wg__names_fini(wg__names *names)
{
    wg__index_release(names->heap, &names->index);
    wg__heap_release(names->heap, names->list, names->cap * sizeof *names->list);
}
