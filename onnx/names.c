/* A hash table of names: see names.h. */
#include "names.h"

#include <string.h>

/* FNV-1a. Strangers who make names collide slow down the opening of their own file. */
static uint64_t hash(wg__span text)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < text.size; i++) h = (h ^ text.data[i]) * 1099511628211u;
    return h ^ h >> 29;
}

static wg__name *probe(wg__name *slots, size_t room, wg__span text)
{
    size_t i = hash(text) & (room - 1);
    while (slots[i].text && !wg__span_is(text, slots[i].text)) i = (i + 1) & (room - 1);
    return &slots[i];
}

static bool grow(wg__names *names)
{
    const size_t room = names->room ? 2 * names->room : 256;
    wg__name *slots = wg__heap_alloc(names->heap, room * sizeof *slots);
    if (!slots) return false;
    memset(slots, 0, room * sizeof *slots);
    for (size_t i = 0; i < names->room; i++) {
        const wg__name *old = &names->slots[i];
        if (old->text) *probe(slots, room, (wg__span){(const uint8_t *)old->text, strlen(old->text)}) = *old;
    }
    wg__names_fini(names);
    names->slots = slots;
    names->room = room;
    return true;
}

wg__name *wg__name_of(wg__names *names, wg__span text)
{
    const void *nul = text.size ? memchr(text.data, 0, text.size) : NULL;
    if (nul) text.size = (size_t)((const uint8_t *)nul - text.data);
    if (2 * names->n >= names->room && !grow(names)) return NULL;
    wg__name *name = probe(names->slots, names->room, text);
    if (name->text) return name;
    name->text = wg__span_text(names->arena, text);
    if (!name->text) return NULL;
    names->n++;
    return name;
}

void wg__names_fini(wg__names *names)
{
    wg__heap_release(names->heap, names->slots, names->room * sizeof *names->slots);
    names->slots = NULL;
    names->room = 0;
}
