/* Cumulative sums and sorting along one axis. */
#include "reduce.h"

#include "../base/lanes.h"

static wg__extents geometry(const wg_args *args)
{
    const wg__scan_attr *attr = args->attr;
    return wg__extents_of_mask(&args->in[0], 1u << attr->axis);
}

/* y[i * step] = x[0] + x[step] + ... + x[i * step], accumulated in f64. */
static void running_sum(const real *x, real *y, int64_t n, int64_t step)
{
    double run = 0;
    for (int64_t i = 0; i < n; i++) {
        run += (double)x[i * step];
        y[i * step] = (real)run;
    }
}

/* Columns are accumulated in f64 too, a strip of them at a time. */
void WG__K(cumsum)(const wg_args *args, int64_t task)
{
    const wg__scan_attr *attr = args->attr;
    wg__extents a = geometry(args);
    int64_t first, stop;
    wg__reduce_cut(a, task, &first, &stop);
    for (int64_t unit = first; unit < stop; unit++) {
        wg__strip s = wg__reduce_strip(a, unit);
        int64_t at = s.outer * a.n * a.inner + s.column;
        double run[WG__REDUCE_COLUMNS] = {0};
        if (a.inner == 1) {
            int64_t start = at + (attr->reverse ? a.n - 1 : 0);
            running_sum((const real *)args->in[0].data + start, (real *)args->out.data + start, a.n,
                        attr->reverse ? -1 : 1);
            continue;
        }
        for (int64_t step = 0; step < a.n; step++) {
            int64_t r = attr->reverse ? a.n - 1 - step : step;
            const real *x = (const real *)args->in[0].data + at + r * a.inner;
            real *y = (real *)args->out.data + at + r * a.inner;
            for (int i = 0; i < s.width; i++) {
                run[i] += (double)x[i];
                y[i] = (real)run[i];
            }
        }
    }
}

/* ---- sorting ------------------------------------------------------------------------------------------- */

#if WG__T == 32
typedef uint32_t bits;
#else
typedef uint64_t bits;
#endif

/* An element as an unsigned key of the same order: -0 equals 0, NaN is the largest. */
typedef struct item {
    bits key;
    int32_t index;
} item;

static bits key_of(real value, bool descending)
{
    const bits top = (bits)1 << (8 * sizeof(bits) - 1);
    bits key;
    value += 0; /* -0 + 0 is 0 */
    memcpy(&key, &value, sizeof key);
    key = key & top ? ~key : key | top;
    if (value != value) key = ~(bits)0;
    return descending ? ~key : key;
}

static bool after(item a, item b) { return a.key > b.key || (a.key == b.key && a.index > b.index); }

/* Sorts runs of 16 by insertion, then merges them pairwise between x and room. Stable, since ties are ordered by index.
 * Returns the buffer with the result. */
static item *merge_sort(item *x, item *room, int64_t n)
{
    enum { RUN = 16 };
    for (int64_t start = 0; start < n; start += RUN) {
        int64_t stop = min64(start + RUN, n);
        for (int64_t i = start + 1; i < stop; i++) {
            item it = x[i];
            int64_t j = i;
            for (; j > start && after(x[j - 1], it); j--) x[j] = x[j - 1];
            x[j] = it;
        }
    }
    for (int64_t width = RUN; width < n; width *= 2) {
        for (int64_t start = 0; start < n; start += 2 * width) {
            int64_t mid = min64(start + width, n), stop = min64(start + 2 * width, n);
            int64_t i = start, j = mid;
            for (int64_t at = start; at < stop; at++)
                room[at] = j >= stop || (i < mid && !after(x[i], x[j])) ? x[i++] : x[j++];
        }
        item *other = x;
        x = room;
        room = other;
    }
    return x;
}

/* The first k in order, kept sorted while the row is read; for small k. */
static void first_few(item *best, int64_t k, const real *x, int64_t n, int64_t stride, bool descending)
{
    int64_t have = 0;
    for (int64_t i = 0; i < n; i++) {
        item it = {key_of(x[i * stride], descending), (int32_t)i};
        if (have == k && it.key >= best[k - 1].key) continue;
        int64_t j = have < k ? have++ : k - 1;
        for (; j > 0 && after(best[j - 1], it); j--) best[j] = best[j - 1];
        best[j] = it;
    }
}

/* The indices of the first `count` elements in order. Scratch: 2 n items. */
void WG__K(argsort)(const wg_args *args, int64_t task)
{
    const wg__scan_attr *attr = args->attr;
    wg__extents a = geometry(args);
    item *x = args->scratch;
    int64_t first, stop;
    if (attr->count == 0) return;
    wg__reduce_cut(a, task, &first, &stop);
    for (int64_t unit = first; unit < stop; unit++) {
        wg__strip s = wg__reduce_strip(a, unit);
        for (int64_t column = s.column; column < s.column + s.width; column++) {
            const real *from = (const real *)args->in[0].data + s.outer * a.n * a.inner + column;
            int32_t *to = (int32_t *)args->out.data + s.outer * attr->count * a.inner + column;
            item *sorted = x;
            if (attr->count <= 16) {
                first_few(x, attr->count, from, a.n, a.inner, attr->reverse != 0);
            } else {
                for (int64_t i = 0; i < a.n; i++)
                    x[i] = (item){key_of(from[i * a.inner], attr->reverse != 0), (int32_t)i};
                sorted = merge_sort(x, x + a.n, a.n);
            }
            for (int64_t i = 0; i < attr->count; i++) to[i * a.inner] = sorted[i].index;
        }
    }
}
