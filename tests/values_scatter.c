/* Values of writing by index, of segments and bags, of places and ranks in sorted rows, by loops. */
#include "values_tests.h"

static array x, y, z, want, count;

static double combine(wg_scatter_mode mode, double a, double b)
{
    switch (mode) {
    case WG_SCATTER_MAX: return fmax(a, b);
    case WG_SCATTER_MIN: return fmin(a, b);
    case WG_SCATTER_PROD: return a * b;
    default: return a + b;
    }
}

/* want[to] combined with a number; the first one replaces what is there if `own` does not count. */
static void receive(int64_t to, double number, wg_scatter_mode mode, bool own)
{
    want.x[to] = own || count.x[to] > 0 ? combine(mode, want.x[to], number) : number;
    count.x[to]++;
}

/* x with z's elements, to places along the axis that y holds: for each element, or for each row. */
static void by_loop(int axis, bool rows, wg_scatter_mode mode, bool own)
{
    want = count = x;
    for (int64_t i = 0; i < count.n; i++) count.x[i] = 0;
    for (int64_t i = 0; i < z.n; i++) {
        int64_t at[8];
        place(&z.shape, i, at);
        at[axis] = (int64_t)y.x[rows ? at[axis] : i];
        receive(offset(&x.shape, at), z.x[i], mode, own);
    }
    for (int64_t i = 0; mode == WG_SCATTER_MEAN && i < want.n; i++)
        if (count.x[i] > 0) want.x[i] /= count.x[i] + own;
}

/* Draws x, z and an index y of elements or rows; returns the axis. */
static int draw_case(bool rows)
{
    fill_random(&x, random_shape(1, 3, 1));
    const int axis = (int)draw((uint32_t)x.shape.rank);
    wg_shape shape = x.shape;
    shape.size[axis] = draw(7);
    fill_random(&z, shape);
    fill_whole(&y, rows ? WG_DIMS(shape.size[axis]) : shape, (int)x.shape.size[axis]);
    return axis;
}

/* The last one: the loop overwrites. */
static void last_by_loop(int axis, bool rows)
{
    want = x;
    for (int64_t i = 0; i < z.n; i++) {
        int64_t at[8];
        place(&z.shape, i, at);
        at[axis] = (int64_t)y.x[rows ? at[axis] : i];
        want.x[offset(&x.shape, at)] = z.x[i];
    }
}

void scattered(void)
{
    const int axis = draw_case(false);
    wg_tensor t = strided(&x), index = leaf(&y, WG_I32), source = strided(&z);
    last_by_loop(axis, false);
    expect_values("scatter", wg_scatter(t, axis, index, source), &want);
    for (int mode = 0; mode <= WG_SCATTER_PROD; mode++) {
        for (int own = 0; own < 2; own++) {
            by_loop(axis, false, (wg_scatter_mode)mode, own);
            expect_values("scatter_reduce", wg_scatter_reduce(t, axis, index, source, (wg_scatter_mode)mode, own),
                          &want);
            if (mode == WG_SCATTER_PROD && z.n) expect_values("scatter_prod", node_of("scatter_prod", t), &want);
        }
    }
    if (z.n == 0) return;
    /* Where the last of equal places is: for each, the i that is largest. */
    const wg_shape shape = z.shape;
    want = x;
    for (int64_t i = 0; i < want.n; i++) want.x[i] = -1;
    for (int64_t i = 0; i < z.n; i++) {
        int64_t at[8];
        place(&shape, i, at);
        const double along = (double)at[axis];
        at[axis] = (int64_t)y.x[i];
        want.x[offset(&x.shape, at)] = along;
    }
    wg_tensor y_last = wg_scatter(t, axis, index, source);
    expect_values("scatter_arg", node_of("scatter_arg", y_last), &want);
}

void rows_written(void)
{
    const int axis = draw_case(true);
    wg_tensor t = strided(&x), index = leaf(&y, WG_I32), source = strided(&z);
    last_by_loop(axis, true);
    expect_values("index_copy", wg_index_copy(t, axis, index, source), &want);
    by_loop(axis, true, WG_SCATTER_SUM, true);
    expect_values("index_add", wg_index_add(t, axis, index, source), &want);
    /* x[a, b] = z for columns a[m, 1] and rows b[n]. */
    const int64_t rows = 1 + draw(4), cols = 1 + draw(4), m = draw(4), n = draw(4), d = 1 + draw(3);
    static array a, b;
    fill_random(&x, WG_DIMS(rows, cols, d));
    fill_whole(&a, WG_DIMS(m, 1), (int)rows);
    fill_whole(&b, WG_DIMS(n), (int)cols);
    fill_random(&z, WG_DIMS(m, n, d));
    wg_tensor pair[] = {leaf(&a, WG_I32), leaf(&b, WG_I32)};
    for (int add = 0; add < 2; add++) {
        want = x;
        for (int64_t i = 0; i < z.n; i++) {
            const int64_t row = (int64_t)a.x[i / d / n], col = (int64_t)b.x[i / d % n];
            double *to = &want.x[(row * cols + col) * d + i % d];
            *to = add ? *to + z.x[i] : z.x[i];
        }
        expect_values("index_put", wg_index_put(strided(&x), pair, 2, strided(&z), add), &want);
    }
}

/* The rows of x by the segments y, of which there are `segments`. */
static void segments_by_loop(int64_t segments, wg_scatter_mode mode)
{
    const int64_t d = x.shape.size[1];
    shape_set(&want, WG_DIMS(segments, d));
    count = want;
    for (int64_t i = 0; i < want.n; i++) want.x[i] = mode == WG_SCATTER_PROD, count.x[i] = 0;
    for (int64_t i = 0; i < x.n; i++) receive((int64_t)y.x[i / d] * d + i % d, x.x[i], mode, false);
    for (int64_t i = 0; mode == WG_SCATTER_MEAN && i < want.n; i++)
        if (count.x[i] > 0) want.x[i] /= count.x[i];
}

void segments(void)
{
    const int64_t n = draw(9), number = 1 + draw(4), d = 1 + draw(3), v = 1 + draw(5);
    static array offsets, lengths, weight, words;
    fill_random(&x, WG_DIMS(n, d));
    fill_whole(&y, WG_DIMS(n), (int)number);
    const wg_scatter_mode mode = (wg_scatter_mode)draw(5);
    segments_by_loop(number, mode);
    expect_values("segment_reduce", wg_segment_reduce(strided(&x), leaf(&y, WG_I32), number, mode), &want);
    /* In order: where the segments begin and how long they are. */
    shape_set(&offsets, WG_DIMS(number));
    lengths = offsets;
    for (int64_t s = 0, at = 0; s < number; s++) {
        const int64_t length = s + 1 < number ? draw((uint32_t)(n - at) + 1) : n - at;
        offsets.x[s] = (double)at, lengths.x[s] = (double)length;
        for (int64_t i = 0; i < length; i++) y.x[at++] = (double)s;
    }
    wg_tensor from = leaf(&offsets, WG_I32), each = leaf(&lengths, WG_I32);
    expect_values("segments_by_offsets", wg_segments_by_offsets(from, n), &y);
    expect_values("segments_by_lengths", wg_segments_by_lengths(each, n), &y);
    fill_random(&weight, WG_DIMS(v, d));
    fill_whole(&words, WG_DIMS(n), (int)v);
    for (int64_t i = 0; i < x.n; i++) x.x[i] = weight.x[(int64_t)words.x[i / d] * d + i % d];
    segments_by_loop(number, mode);
    wg_tensor table = strided(&weight), index = leaf(&words, WG_I32);
    expect_values("embedding_bag", wg_embedding_bag(table, index, from, mode), &want);
    expect_values("embedding_bag_lengths", wg_embedding_bag_lengths(table, index, each, mode), &want);
    /* Bags of one size. */
    for (int64_t i = 0; n && i < n; i++) y.x[i] = 0;
    segments_by_loop(1, mode);
    words.shape = WG_DIMS(1, n);
    expect_values("embedding_bag of one size", wg_embedding_bag(table, leaf(&words, WG_I32), WG_NONE, mode), &want);
}

static int ascending(const void *a, const void *b)
{
    return (*(double *)a > *(double *)b) - (*(double *)a < *(double *)b);
}

void ranks(void)
{
    const int64_t rows = 1 + draw(4), n = 1 + draw(9), m = draw(6), k = 1 + (int64_t)draw((uint32_t)n);
    const bool right = draw(2), one = draw(2);
    const double q = draw(9) / 8.0, at = q * (double)(n - 1);
    static array sorted, kth, middle, between;
    fill_random(&x, WG_DIMS(rows, n));
    sorted = x;
    shape_set(&kth, WG_DIMS(rows));
    middle = between = kth;
    for (int64_t r = 0; r < rows; r++) {
        double *row = sorted.x + r * n;
        qsort(row, (size_t)n, sizeof *row, ascending);
        kth.x[r] = row[k - 1];
        middle.x[r] = row[(n - 1) / 2];
        between.x[r] = row[(int64_t)at] + (at - floor(at)) * (row[(int64_t)ceil(at)] - row[(int64_t)at]);
    }
    wg_tensor t = strided(&x);
    expect_values("kthvalue", wg_kthvalue(t, k, 1, false), &kth);
    expect_values("median", wg_median(t, 1, false), &middle);
    expect_values("quantile", wg_quantile(t, q, -1, false), &between);
    /* Values of which some are in the row. */
    fill_random(&z, WG_DIMS(rows, m));
    for (int64_t i = 0; i < z.n; i++)
        if (draw(2)) z.x[i] = sorted.x[draw((uint32_t)sorted.n)];
    shape_set(&want, z.shape);
    for (int64_t i = 0; i < z.n; i++) {
        const double *row = sorted.x + (one ? 0 : i / m * n);
        want.x[i] = 0;
        for (int64_t j = 0; j < n; j++) want.x[i] += right ? row[j] <= z.x[i] : row[j] < z.x[i];
    }
    wg_tensor in = strided(&sorted);
    expect_values("searchsorted", wg_searchsorted(one ? wg_select(in, 0, 0) : in, strided(&z), right), &want);
    fill_whole(&y, random_shape(0, 3, 0), 5);
    shape_set(&want, WG_DIMS(5));
    for (int64_t i = 0; i < 5; i++) want.x[i] = 0;
    for (int64_t i = 0; i < y.n; i++) want.x[(int64_t)y.x[i]]++;
    expect_values("bincount", wg_bincount(leaf(&y, WG_I32), 5), &want);
}
