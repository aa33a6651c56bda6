/* Ranges in address order; the free ones are also in bins by size, four bins for each power of two. */
#include "free_ranges.h"

#include <assert.h>

void wg__free_ranges_init(wg__free_ranges *f, wg__heap *heap) { *f = (wg__free_ranges){.heap = heap, .n = 1}; }

void wg__free_ranges_fini(wg__free_ranges *f) { wg__heap_release(f->heap, f->ranges, f->cap * sizeof *f->ranges); }

static int bin_of(int64_t size)
{
    uint64_t units = (uint64_t)size / 64;
    int log = 63 - __builtin_clzll(units | 1);
    int part = log >= 2 ? (int)(units >> (log - 2)) & 3 : (int)(units & ((1u << log) - 1));
    int bin = log * 4 + part;
    return bin < WG__RANGE_BINS ? bin : WG__RANGE_BINS - 1;
}

static void bin_remove(wg__free_ranges *f, uint32_t i)
{
    wg__range *r = &f->ranges[i];
    assert(r->free);
    if (r->previous)
        f->ranges[r->previous].next = r->next;
    else
        f->bins[bin_of(r->size)] = r->next;
    if (r->next) f->ranges[r->next].previous = r->previous;
    r->free = false;
}

static void bin_add(wg__free_ranges *f, uint32_t i)
{
    wg__range *r = &f->ranges[i];
    int bin = bin_of(r->size);
    r->free = true;
    r->previous = 0;
    r->next = f->bins[bin];
    if (r->next) f->ranges[r->next].previous = i;
    f->bins[bin] = i;
}

static uint32_t range_new(wg__free_ranges *f, wg__range r)
{
    uint32_t i = f->spare;
    if (i) {
        f->spare = f->ranges[i].next;
    } else {
        if (!wg__grow(f->heap, (void **)&f->ranges, &f->cap, f->n + 1u, sizeof r)) return 0;
        i = f->n++;
    }
    f->ranges[i] = r;
    return i;
}

/* Cuts range i to `size` bytes; the rest becomes a free range. Returns false if out of memory. */
static bool split(wg__free_ranges *f, uint32_t i, int64_t size)
{
    const wg__range *r = &f->ranges[i];
    assert(r->size > size);
    uint32_t rest = range_new(
        f, (wg__range){.offset = r->offset + size, .size = r->size - size, .before = i, .after = r->after});
    if (!rest) return false;
    if (f->ranges[rest].after)
        f->ranges[f->ranges[rest].after].before = rest;
    else
        f->last = rest;
    f->ranges[i].after = rest;
    f->ranges[i].size = size;
    bin_add(f, rest);
    return true;
}

uint32_t wg__range_take(wg__free_ranges *f, int64_t size)
{
    assert(size > 0 && size % 64 == 0);
    for (int bin = bin_of(size); bin < WG__RANGE_BINS; bin++) {
        int tried = 0;
        for (uint32_t i = f->bins[bin]; i && tried < 16; i = f->ranges[i].next, tried++) {
            if (f->ranges[i].size < size) continue;
            bin_remove(f, i);
            return f->ranges[i].size == size || split(f, i, size) ? i : 0;
        }
    }
    uint32_t i = range_new(f, (wg__range){.offset = f->end, .size = size, .before = f->last});
    if (!i) return 0;
    if (f->last) f->ranges[f->last].after = i;
    f->last = i;
    f->end += size;
    return i;
}

/* Merges range b, which follows a, into a. */
static void merge(wg__free_ranges *f, uint32_t a, uint32_t b)
{
    assert(f->ranges[a].offset + f->ranges[a].size == f->ranges[b].offset);
    f->ranges[a].size += f->ranges[b].size;
    f->ranges[a].after = f->ranges[b].after;
    if (f->ranges[b].after)
        f->ranges[f->ranges[b].after].before = a;
    else
        f->last = a;
    f->ranges[b].next = f->spare;
    f->ranges[b].free = false;
    f->spare = b;
}

void wg__range_give(wg__free_ranges *f, uint32_t i)
{
    assert(i && i < f->n && !f->ranges[i].free);
    uint32_t after = f->ranges[i].after, before = f->ranges[i].before;
    if (after && f->ranges[after].free) {
        bin_remove(f, after);
        merge(f, i, after);
    }
    if (before && f->ranges[before].free) {
        bin_remove(f, before);
        merge(f, before, i);
        i = before;
    }
    bin_add(f, i);
}
