/* Ranges in the order of their addresses, the free ones in bins by size, four bins for each doubling. */
#include "space.h"

void wg__space_init(wg__space *s, wg__heap *heap)
{
    *s = (wg__space){.heap = heap, .last = WG__SPACE_NONE, .spare = WG__SPACE_NONE};
    for (int i = 0; i < WG__SPACE_BINS; i++) s->bins[i] = WG__SPACE_NONE;
}

void wg__space_fini(wg__space *s) { wg__heap_release(s->heap, s->blocks, s->cap * sizeof *s->blocks); }

static int bin_of(int64_t size) /* four bins for each doubling */
{
    uint64_t units = (uint64_t)size / 64;
    int log = 63 - __builtin_clzll(units | 1);
    int part = log >= 2 ? (int)(units >> (log - 2)) & 3 : (int)(units & ((1u << log) - 1));
    int bin = log * 4 + part;
    return bin < WG__SPACE_BINS ? bin : WG__SPACE_BINS - 1;
}

static void bin_remove(wg__space *s, uint32_t i)
{
    wg__range *b = &s->blocks[i];
    if (b->previous != WG__SPACE_NONE)
        s->blocks[b->previous].next = b->next;
    else
        s->bins[bin_of(b->size)] = b->next;
    if (b->next != WG__SPACE_NONE) s->blocks[b->next].previous = b->previous;
    b->free = false;
}

static void bin_add(wg__space *s, uint32_t i)
{
    wg__range *b = &s->blocks[i];
    int bin = bin_of(b->size);
    b->free = true;
    b->previous = WG__SPACE_NONE;
    b->next = s->bins[bin];
    if (b->next != WG__SPACE_NONE) s->blocks[b->next].previous = i;
    s->bins[bin] = i;
}

static uint32_t block_new(wg__space *s, wg__range b)
{
    uint32_t i = s->spare;
    if (i != WG__SPACE_NONE) {
        s->spare = s->blocks[i].next;
    } else {
        if (!wg__grow(s->heap, (void **)&s->blocks, &s->cap, s->n + 1u, sizeof b)) return WG__SPACE_NONE;
        i = s->n++;
    }
    s->blocks[i] = b;
    return i;
}

uint32_t wg__space_take(wg__space *s, int64_t size)
{
    for (int bin = bin_of(size); bin < WG__SPACE_BINS; bin++) {
        int looked = 0;
        for (uint32_t i = s->bins[bin]; i != WG__SPACE_NONE && looked < 16; i = s->blocks[i].next, looked++) {
            if (s->blocks[i].size < size) continue;
            bin_remove(s, i);
            int64_t rest = s->blocks[i].size - size;
            if (rest >= 64) {
                wg__range tail = {
                    .offset = s->blocks[i].offset + size, .size = rest, .before = i, .after = s->blocks[i].after};
                uint32_t t = block_new(s, tail);
                if (t == WG__SPACE_NONE) return WG__SPACE_NONE;
                if (tail.after != WG__SPACE_NONE)
                    s->blocks[tail.after].before = t;
                else
                    s->last = t;
                s->blocks[i].after = t;
                s->blocks[i].size = size;
                bin_add(s, t);
            }
            return i;
        }
    }
    uint32_t i =
        block_new(s, (wg__range){.offset = s->end, .size = size, .before = s->last, .after = WG__SPACE_NONE});
    if (i == WG__SPACE_NONE) return WG__SPACE_NONE;
    if (s->last != WG__SPACE_NONE) s->blocks[s->last].after = i;
    s->last = i;
    s->end += size;
    return i;
}

/* Joins block b, which follows a, into a. */
static void block_join(wg__space *s, uint32_t a, uint32_t b)
{
    s->blocks[a].size += s->blocks[b].size;
    s->blocks[a].after = s->blocks[b].after;
    if (s->blocks[b].after != WG__SPACE_NONE)
        s->blocks[s->blocks[b].after].before = a;
    else
        s->last = a;
    s->blocks[b].next = s->spare;
    s->blocks[b].free = false;
    s->spare = b;
}

void wg__space_give(wg__space *s, uint32_t i)
{
    uint32_t after = s->blocks[i].after, before = s->blocks[i].before;
    if (after != WG__SPACE_NONE && s->blocks[after].free) {
        bin_remove(s, after);
        block_join(s, i, after);
    }
    if (before != WG__SPACE_NONE && s->blocks[before].free) {
        bin_remove(s, before);
        block_join(s, before, i);
        i = before;
    }
    bin_add(s, i);
}
