/* Offline dynamic storage allocation. Up to FEW intervals (a step of most models) are fitted by size: the largest
 * first, each at the lowest offset that is free during its lifetime; the result is within 1 % of the peak of live
 * bytes on all benchmark models. More are fitted in the order of time, which takes O(n) and leaves holes where sizes
 * differ (7 %). */
#include "fit.h"
#include "free_ranges.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FEW = 2048 }; /* fitting by size is quadratic */

/* ---- by size ------------------------------------------------------------------------------------------------- */

typedef struct placed {
    uint32_t first, last;
    int64_t offset, end;
} placed;

static int by_size(const void *x, const void *y)
{
    const wg__interval *a = x, *b = y;
    if (a->bytes != b->bytes) return a->bytes > b->bytes ? -1 : 1;
    uint32_t x_stages = a->last - a->first, y_stages = b->last - b->first;
    if (x_stages != y_stages) return x_stages > y_stages ? -1 : 1;
    if (a->first != b->first) return a->first < b->first ? -1 : 1;
    return 0;
}

/* The lowest free offset among n placed intervals, which are sorted by offset. */
static int64_t lowest(const wg__interval *it, const placed *others, uint32_t n)
{
    int64_t offset = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (others[i].last < it->first || it->last < others[i].first) continue;
        if (others[i].offset - offset >= it->bytes) break;
        if (others[i].end > offset) offset = others[i].end;
    }
    return offset;
}

static int64_t fit_by_size(wg__arena *arena, wg__interval *intervals, uint32_t n)
{
    placed *others = wg__arena_alloc(arena, n * sizeof *others, 16);
    if (!others) return -1;
    qsort(intervals, n, sizeof *intervals, by_size);
    int64_t bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        const wg__interval *it = &intervals[i];
        placed p = {it->first, it->last, .offset = lowest(it, others, i)};
        assert(p.offset >= 0 && p.offset % 64 == 0 && it->first <= it->last);
        p.end = p.offset + it->bytes;
        uint32_t at = i;
        while (at > 0 && others[at - 1].offset > p.offset) at--;
        memmove(others + at + 1, others + at, (i - at) * sizeof *others);
        others[at] = p;
        *it->offset = p.offset;
        if (p.end > bytes) bytes = p.end;
    }
    return bytes;
}

/* ---- by time ------------------------------------------------------------------------------------------------- */

/* Lists of intervals by stage. Interval i has the number i + 1; 0 ends a list. */
typedef struct lists {
    uint32_t *head, *next;
} lists;

static bool lists_new(lists *l, wg__arena *arena, uint32_t n, uint32_t stages)
{
    l->head = wg__arena_array(arena, stages + 1u, sizeof *l->head);
    l->next = wg__arena_array(arena, n + 1u, sizeof *l->next);
    return l->head && l->next;
}

static void list_add(lists *l, uint32_t stage, uint32_t number)
{
    l->next[number] = l->head[stage];
    l->head[stage] = number;
}

static int64_t fit_by_time(wg__heap *heap, wg__arena *arena, wg__interval *intervals, uint32_t n)
{
    uint32_t stages = 0;
    lists begin, end;
    for (uint32_t i = 0; i < n; i++)
        if (intervals[i].last > stages) stages = intervals[i].last;
    uint32_t *range = wg__arena_array(arena, n + 1u, sizeof *range);
    if (!range || !lists_new(&begin, arena, n, stages) || !lists_new(&end, arena, n, stages)) return -1;
    for (uint32_t i = n; i > 0; i--) {
        list_add(&begin, intervals[i - 1].first, i);
        list_add(&end, intervals[i - 1].last, i);
    }
    wg__free_ranges free;
    wg__free_ranges_init(&free, heap);
    bool ok = true;
    for (uint32_t stage = 0; stage <= stages && ok; stage++) {
        for (uint32_t i = begin.head[stage]; i && ok; i = begin.next[i]) {
            range[i] = wg__range_take(&free, intervals[i - 1].bytes);
            ok = range[i] != 0;
            if (ok) *intervals[i - 1].offset = free.ranges[range[i]].offset;
        }
        for (uint32_t i = end.head[stage]; i && ok; i = end.next[i]) wg__range_give(&free, range[i]);
    }
    int64_t bytes = ok ? free.end : -1;
    wg__free_ranges_fini(&free);
    return bytes;
}

int64_t wg__fit(wg__heap *heap, wg__arena *arena, wg__interval *intervals, uint32_t n, bool reuse)
{
    int64_t end = 0; /* no offset exceeds it, however the intervals are fitted */
    for (uint32_t i = 0; i < n; i++) {
        intervals[i].bytes = (int64_t)wg__room_for((size_t)intervals[i].bytes);
        *intervals[i].offset = end;
        if (__builtin_add_overflow(end, intervals[i].bytes, &end)) return -1;
    }
    if (!reuse || n == 0) return end;
    return n <= FEW ? fit_by_size(arena, intervals, n) : fit_by_time(heap, arena, intervals, n);
}
