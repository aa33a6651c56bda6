/* The mean over some axes, what rounding took from it, and the unit in which squares of distances from it neither
 * overflow nor vanish. */
#include "distance.h"
#include "reduce.h"
#include "strided.h"

enum { COLUMNS = WG__SUM_COLUMNS };

/* The elements of one result, or of `width` ones side by side, `column` apart: those of each along `sum`. */
typedef struct strip {
    axes sum;
    const real *x;
    bool columns;
    int width;
    int64_t column;
    int64_t n; /* of a result */
} strip;

/* The sums of distances from the first element, and of their squares; both in the unit. */
typedef struct sums {
    real first[COLUMNS], unit[COLUMNS], distance[COLUMNS], square[COLUMNS];
} sums;

/* ---- one result: its elements are collected in blocks ------------------------------------------------------------ */

typedef struct both_rows {
    row distance, square;
} both_rows;

/* Adds a block x[0 .. n), n <= BLOCK. GROUP of the lanes' vectors at a time are summed up in registers. */
VINLINE void add_block(bool with_squares, both_rows *a, const real *x, int64_t n, moments m)
{
    enum { GROUP = 4 };
    V distances[PARTS], squares[PARTS];
    for (int first = 0; first < PARTS; first += GROUP) {
        V acc[GROUP], acc2[GROUP];
        int64_t left = n;
        for (int j = 0; j < GROUP; j++) acc[j] = acc2[j] = v_set(0);
        for (const real *at = x + first * VLANES; left >= LANES; left -= LANES, at += LANES) {
            for (int j = 0; j < GROUP; j++) {
                V d = distance(v_load(at + j * VLANES), false, m);
                acc[j] += d;
                if (with_squares) acc2[j] += d * d;
            }
        }
        for (int j = 0; j < GROUP; j++) {
            int64_t done = n - left + (first + j) * VLANES;
            V d = v_set(0);
            if (done < n) d = distance(load_some(x + done, n - done), false, m);
            if (n - done < VLANES && done < n) d = first_lanes_or(d, (int)(n - done), 0);
            distances[first + j] = acc[j] + d;
            if (with_squares) squares[first + j] = acc2[j] + d * d;
        }
    }
    row_add(COMBINE_SUM, &a->distance, distances);
    if (with_squares) row_add(COMBINE_SUM, &a->square, squares);
}

VINLINE void sum_one(bool with_squares, const strip *s, sums *to)
{
    int64_t at[WG_MAX_RANK] = {0}, offset = 0, run = s->sum.size[s->sum.n - 1], step = s->sum.stride[s->sum.n - 1];
    const moments m = {.unit = to->unit[0], .mean = to->first[0]};
    real part[BLOCK];
    int64_t have = 0;
    both_rows a;
    row_begin(COMBINE_SUM, &a.distance);
    if (with_squares) row_begin(COMBINE_SUM, &a.square);
    do {
        for (int64_t i = 0, count; i < run; i += count) {
            const real *from = s->x + offset + i * step;
            bool in_place = step == 1 && run >= BLOCK / 4;
            count = min64(run - i, in_place ? BLOCK : BLOCK - have);
            if (in_place) {
                add_block(with_squares, &a, from, count, m);
                continue;
            }
            copy_run(part + have, from, count, step);
            have += count;
            if (have < BLOCK) continue;
            add_block(with_squares, &a, part, BLOCK, m);
            have = 0;
        }
    } while (axes_next(&s->sum, s->sum.n - 1, at, &offset));
    if (have) add_block(with_squares, &a, part, have, m);
    to->distance[0] = row_end(COMBINE_SUM, &a.distance);
    to->square[0] = with_squares ? row_end(COMBINE_SUM, &a.square) : 1;
}

/* ---- adjacent results: each in a column of its own --------------------------------------------------------------- */

static void flush(real *restrict to, real *restrict from, int width)
{
    for (int c = 0; c < width; c++) {
        to[c] += from[c];
        from[c] = 0;
    }
}

VINLINE void sum_columns(const strip *s, int64_t column, sums *restrict to)
{
    int64_t at[WG_MAX_RANK] = {0}, offset = 0, rows = s->sum.size[s->sum.n - 1], step = s->sum.stride[s->sum.n - 1];
    real acc[COLUMNS] = {0}, acc2[COLUMNS] = {0}, span[COLUMNS] = {0}, span2[COLUMNS] = {0};
    int64_t done = 0;
    fill_lanes(to->distance, s->width, 0);
    fill_lanes(to->square, s->width, 0);
    do {
        for (int64_t r = 0; r < rows; r++) {
            const real *x = s->x + offset + r * step;
            for (int c = 0; c < s->width; c++) {
                real d = x[c * column] * to->unit[c] - to->first[c];
                acc[c] += d;
                acc2[c] += d * d;
            }
            if (++done % BLOCK_ROWS == 0) flush(span, acc, s->width), flush(span2, acc2, s->width);
            if (done % SPAN_ROWS == 0) flush(to->distance, span, s->width), flush(to->square, span2, s->width);
        }
    } while (axes_next(&s->sum, s->sum.n - 1, at, &offset));
    flush(span, acc, s->width), flush(span2, acc2, s->width);
    flush(to->distance, span, s->width), flush(to->square, span2, s->width);
}

/* ---- both -------------------------------------------------------------------------------------------------------- */

static void sum_strip(const strip *s, const wg__center_attr *a, sums *to)
{
    for (int c = 0; c < s->width; c++) to->first[c] = a->centered ? s->x[c * s->column] * to->unit[c] : 0;
    if (s->columns && s->column == 1)
        sum_columns(s, 1, to);
    else if (s->columns)
        sum_columns(s, s->column, to);
    else if (a->epsilon < 0)
        sum_one(false, s, to);
    else
        sum_one(true, s, to);
}

static real largest(const strip *s, int column)
{
    int64_t at[WG_MAX_RANK] = {0}, offset = 0, run = s->sum.size[s->sum.n - 1], step = s->sum.stride[s->sum.n - 1];
    real top = 0;
    do {
        for (int64_t i = 0; i < run; i++) {
            real x = s->x[offset + column * s->column + i * step];
            top = combine_two(COMBINE_MAX, top, x < 0 ? -x : x);
        }
    } while (axes_next(&s->sum, s->sum.n - 1, at, &offset));
    return top;
}

/* The third power of its root, of which derivatives are made, is well within the type too. */
static bool is_moderate(real variance)
{
    return variance > (real)ldexp(1, -REAL_EXPONENT / 2) && variance < (real)ldexp(1, REAL_EXPONENT / 2);
}

/* The mean is the first element plus the mean distance from it: exact where all are equal. The squares of these
 * distances are no smaller than those from the mean, and at most n + 1 times as large in total. */
static void find_center(const strip *s, const wg__center_attr *a, real *mean, real *rest, real *unit)
{
    sums to;
    bool again = false;
    for (int c = 0; c < s->width; c++) to.unit[c] = 1;
    sum_strip(s, a, &to);
    for (int c = 0; c < s->width && a->epsilon >= 0; c++) {
        if (is_moderate(to.square[c] / (real)s->n + (real)a->epsilon)) continue;
        to.unit[c] = unit_of(largest(s, c), a->epsilon);
        again |= to.unit[c] != 1;
    }
    if (again) sum_strip(s, a, &to);
    for (int c = 0; c < s->width; c++) {
        const real apart = a->centered ? to.distance[c] / (real)s->n : 0, sum = to.first[c] + apart;
        mean[c] = sum / to.unit[c];
        rest[c] = rest_of(to.first[c], apart, sum) / to.unit[c];
        unit[c] = to.unit[c];
    }
}

/* out[3, n]: the means, the rests, and the units; of no elements 0, 0 and 1. */
void WG__K(center)(const wg_args *args, int64_t task)
{
    const wg__center_attr *a = args->attr;
    int64_t each = wg__center_block(args), n = args->out.numel / 3, at = task * each, stop = min64(at + each, n);
    real *mean = args->out.data, *rest = mean + n, *unit = rest + n;
    if (args->in[0].numel == 0) {
        for (; at < stop; at++) mean[at] = rest[at] = 0, unit[at] = 1;
        return;
    }
    const sum_axes all = axes_sort(&args->in[0], a->mask);
    const int last = all.kept.n - 1;
    strip s = {.sum = all.outer, .columns = all.columns, .column = all.kept.stride[last]};
    for (int i = 0; i < all.line.n; i++) axes_push(&s.sum, all.line.size[i], all.line.stride[i]);
    for (s.n = args->in[0].numel / n; at < stop; at += s.width) {
        const int64_t left = min64(all.kept.size[last] - at % all.kept.size[last], stop - at);
        s.x = (const real *)args->in[0].data + axes_offset(&all.kept, at);
        s.width = s.columns ? (int)min64(left, COLUMNS) : 1;
        find_center(&s, a, mean + at, rest + at, unit + at);
    }
}
