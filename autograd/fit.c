/* Dynamic storage allocation, offline. A few intervals (a step of most models) are fitted by size: the largest first,
 * each at the lowest place that is free as long as it lives, which comes close to what lives at most at one time. Many
 * are fitted in the order of time, which takes O(n) and leaves holes where sizes differ. */
#include "fit.h"
#include "space.h"

#include <stdlib.h>
#include <string.h>

enum { FEW = 2048 };

/* ---- by size ------------------------------------------------------------------------------------------------- */

typedef struct placed {
    uint32_t first, last;
    int64_t offset, end;
} placed;

static int by_size(const void *x, const void *y)
{
    const wg__interval *a = x, *b = y;
    if (a->bytes != b->bytes) return a->bytes > b->bytes ? -1 : 1;
    uint32_t x_life = a->last - a->first, y_life = b->last - b->first;
    if (x_life != y_life) return x_life > y_life ? -1 : 1;
    if (a->first != b->first) return a->first < b->first ? -1 : 1;
    return 0;
}

/* The lowest place that is free among n that are placed, which are sorted by offset. */
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

/* Lists of intervals by a stage. */
typedef struct lists {
    uint32_t *head, *next; /* + 1; 0: none */
} lists;

static bool lists_new(lists *l, wg__arena *arena, uint32_t n, uint32_t stages)
{
    l->head = wg__arena_alloc(arena, (stages + 1u) * sizeof *l->head, 16);
    l->next = wg__arena_alloc(arena, n * sizeof *l->next, 16);
    if (l->head) memset(l->head, 0, (stages + 1u) * sizeof *l->head);
    return l->head && l->next;
}

static void list_add(lists *l, uint32_t stage, uint32_t i)
{
    l->next[i] = l->head[stage];
    l->head[stage] = i + 1;
}

static int64_t fit_by_time(wg__heap *heap, wg__arena *arena, wg__interval *intervals, uint32_t n)
{
    uint32_t stages = 0;
    lists born, dying;
    for (uint32_t i = 0; i < n; i++)
        if (intervals[i].last > stages) stages = intervals[i].last;
    uint32_t *range = wg__arena_alloc(arena, n * sizeof *range, 16);
    if (!range || !lists_new(&born, arena, n, stages) || !lists_new(&dying, arena, n, stages)) return -1;
    for (uint32_t i = n; i-- > 0;) {
        list_add(&born, intervals[i].first, i);
        list_add(&dying, intervals[i].last, i);
    }
    wg__space s;
    wg__space_init(&s, heap);
    bool ok = true;
    for (uint32_t stage = 0; stage <= stages && ok; stage++) {
        for (uint32_t i = born.head[stage]; i && ok; i = born.next[i - 1]) {
            range[i - 1] = wg__space_take(&s, intervals[i - 1].bytes);
            ok = range[i - 1] != WG__SPACE_NONE;
            if (ok) *intervals[i - 1].offset = s.blocks[range[i - 1]].offset;
        }
        for (uint32_t i = dying.head[stage]; i && ok; i = dying.next[i - 1]) wg__space_give(&s, range[i - 1]);
    }
    int64_t end = ok ? s.end : -1;
    wg__space_fini(&s);
    return end;
}

int64_t wg__fit(wg__heap *heap, wg__arena *arena, wg__interval *intervals, uint32_t n, bool reuse)
{
    int64_t end = 0;
    for (uint32_t i = 0; i < n; i++) {
        intervals[i].bytes = (int64_t)wg__room_for((size_t)intervals[i].bytes);
        *intervals[i].offset = end;
        end += intervals[i].bytes;
    }
    if (!reuse || n == 0) return end;
    return n <= FEW ? fit_by_size(arena, intervals, n) : fit_by_time(heap, arena, intervals, n);
}
