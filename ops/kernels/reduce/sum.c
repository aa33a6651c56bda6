/* Sums to a shape, the reverse of broadcasting, over an operand of any strides. Each element of the result is one sum
 * in the fixed order of lanes.h, whatever task computes it. Also line sums: the same sums over values that a chain
 * delivers tile by tile. */
#include "reduce.h"
#include "strided.h"

#include "../base/lanes.h"

static uint32_t summed_axes(const wg_args *args)
{
    const wg_operand *in = &args->in[0], *out = &args->out;
    int shift = in->rank - out->rank;
    uint32_t mask = 0;
    for (int i = 0; i < in->rank; i++) mask |= (uint32_t)(i < shift || out->size[i - shift] == 1) << i;
    return mask;
}

/* The sum of a line from x on. */
static real line_sum(const axes *line, const real *x)
{
    const int64_t run = line->size[line->n - 1], step = line->stride[line->n - 1];
    if (line->n == 1 && step == 1) return row_combine(COMBINE_SUM, x, run);
    int64_t at[WG_MAX_RANK] = {0}, offset = 0, have = 0;
    real part[BLOCK];
    row a;
    row_begin(COMBINE_SUM, &a);
    do {
        for (int64_t i = 0, count; i < run; i += count) {
            count = min64(run - i, BLOCK - have);
            copy_run(part + have, x + offset + i * step, count, step);
            have += count;
            if (have < BLOCK) continue;
            row_block(COMBINE_SUM, &a, part, BLOCK);
            have = 0;
        }
    } while (axes_next(line, line->n - 1, at, &offset));
    if (have) row_block(COMBINE_SUM, &a, part, have);
    return row_end(COMBINE_SUM, &a);
}

enum { GATHERED = 32 }; /* columns */

/* combine_columns, of at most GATHERED columns `stride` apart whose rows are in several runs. */
static void gathered_columns(const axes *line, const real *x, int64_t stride, int width, real *restrict out)
{
    const int64_t run = line->size[line->n - 1], step = line->stride[line->n - 1];
    int64_t at[WG_MAX_RANK] = {0}, offset = 0, rows = 0, blocks = 0;
    real block[BLOCK_ROWS * GATHERED], acc[GATHERED], span[GATHERED];
    fill_lanes(out, width, 0);
    fill_lanes(span, width, 0);
    do {
        for (int64_t i = 0, count; i < run; i += count) {
            count = min64(run - i, BLOCK_ROWS - rows);
            for (int c = 0; c < width; c++)
                for (int64_t r = 0; r < count; r++)
                    block[(rows + r) * width + c] = x[offset + (i + r) * step + c * stride];
            rows += count;
            if (rows < BLOCK_ROWS) continue;
            combine_block(COMBINE_SUM, acc, block, rows, width, width);
            combine_lanes(COMBINE_SUM, span, acc, width);
            rows = 0;
            if (++blocks % (SPAN_ROWS / BLOCK_ROWS)) continue;
            combine_lanes(COMBINE_SUM, out, span, width);
            fill_lanes(span, width, 0);
        }
    } while (axes_next(line, line->n - 1, at, &offset));
    if (rows) {
        combine_block(COMBINE_SUM, acc, block, rows, width, width);
        combine_lanes(COMBINE_SUM, span, acc, width);
    }
    combine_lanes(COMBINE_SUM, out, span, width);
}

/* The sums of lines that begin side by side, `stride` apart. */
static void line_columns(const axes *line, const real *x, int64_t stride, int width, real *restrict out)
{
    if (line->n == 1 && stride == 1) {
        combine_columns(COMBINE_SUM, x, line->size[0], line->stride[0], width, out);
        return;
    }
    for (int c = 0; c < width; c += GATHERED)
        gathered_columns(line, x + c * stride, stride, width - c < GATHERED ? width - c : GATHERED, out + c);
}

enum { SPANS = 1024 }; /* lines that are added one by one; also in chains, by line_sums */

/* out[c] = the sum over all lines from x + c * stride on, c < width <= WG__SUM_COLUMNS. */
static void adjacent_sums(const sum_axes *s, const real *x, int64_t stride, int width, real *restrict out)
{
    int64_t at[WG_MAX_RANK] = {0}, offset = 0, spans = 0;
    real part[WG__SUM_COLUMNS], total[WG__SUM_COLUMNS];
    fill_lanes(out, width, 0);
    fill_lanes(total, width, 0);
    do {
        const real *from = x + offset;
        if (s->columns)
            line_columns(&s->line, from, stride, width, part);
        else
            for (int c = 0; c < width; c++) part[c] = line_sum(&s->line, from + c * stride);
        combine_lanes(COMBINE_SUM, out, part, width);
        if (++spans % SPANS) continue;
        combine_lanes(COMBINE_SUM, total, out, width);
        fill_lanes(out, width, 0);
    } while (axes_next(&s->outer, s->outer.n, at, &offset));
    if (spans >= SPANS) combine_lanes(COMBINE_SUM, out, total, width);
}

void WG__K(sum)(const wg_args *args, int64_t task)
{
    int64_t each = wg__sum_block(args), at = task * each, numel = args->out.numel;
    int64_t stop = min64(at + each, numel);
    real *out = args->out.data;
    if (args->in[0].numel == 0) {
        memset(out + at, 0, (size_t)(stop - at) * sizeof *out);
        return;
    }
    const sum_axes s = axes_sort(&args->in[0], summed_axes(args));
    const int last = s.kept.n - 1;
    while (at < stop) {
        int64_t offset = axes_offset(&s.kept, at), column = at % s.kept.size[last];
        int64_t width = min64(min64(s.kept.size[last] - column, stop - at), WG__SUM_COLUMNS);
        adjacent_sums(&s, (const real *)args->in[0].data + offset, s.kept.stride[last], (int)width, out + at);
        at += width;
    }
}

/* ---- line sums: lines that arrive in pieces ---------------------------------------------------------------------- */

/* The state of row_combine (lanes.h) between two pieces: groups of LANES elements are added to acc, BLOCK_ROWS groups
 * to span, as many blocks to total. */
typedef struct line_state {
    _Alignas(64) V acc[PARTS];
    V span[PARTS], total[PARTS];
    real rest[LANES]; /* of an incomplete group */
    int n_rest, groups, blocks;
    int64_t line, left; /* elements of a line; those still missing */
    bool add;
    real *out;
} line_state;

static void line_clear(line_state *s)
{
    for (int j = 0; j < PARTS; j++) s->acc[j] = s->span[j] = s->total[j] = v_set(0);
    s->n_rest = s->groups = s->blocks = 0;
    s->left = s->line;
}

VINLINE void flush(V *to, V *from)
{
    for (int j = 0; j < PARTS; j++) {
        to[j] += from[j];
        from[j] = v_set(0);
    }
}

static void end_block(line_state *s)
{
    flush(s->span, s->acc);
    s->groups = 0;
    if (++s->blocks < SPAN_ROWS / BLOCK_ROWS) return;
    flush(s->total, s->span);
    s->blocks = 0;
}

/* Adds whole groups, not past the end of a block. */
static void add_groups(line_state *s, const real *x, int count)
{
    V acc[PARTS];
    for (int j = 0; j < PARTS; j++) acc[j] = s->acc[j];
    for (int i = 0; i < count; i++, x += LANES) {
        for (int j = 0; j < PARTS; j++) acc[j] += v_load(x + j * VLANES);
    }
    for (int j = 0; j < PARTS; j++) s->acc[j] = acc[j];
    s->groups += count;
    if (s->groups == BLOCK_ROWS) end_block(s);
}

static void store_sum(line_state *s, real sum)
{
    *s->out = s->add ? *s->out + sum : sum;
    s->out++;
}

static void end_line(line_state *s)
{
    if (s->n_rest) {
        fill_lanes(s->rest + s->n_rest, LANES - s->n_rest, 0);
        add_groups(s, s->rest, 1);
    }
    if (s->groups) end_block(s);
    flush(s->total, s->span);
    store_sum(s, pair_lanes(COMBINE_SUM, s->total));
    line_clear(s);
}

static void line_begin(void *state, void *out, int64_t line, bool add)
{
    line_state *s = state;
    s->line = line;
    s->add = add;
    s->out = out;
    line_clear(s);
}

static void line_feed(void *state, const void *numbers, int64_t n)
{
    line_state *s = state;
    const real *x = numbers;
    for (; s->left == s->line && n >= s->line; x += s->line, n -= s->line) /* whole lines */
        store_sum(s, row_combine(COMBINE_SUM, x, s->line));
    while (n > 0) {
        int64_t count = min64(n, s->left);
        if (s->n_rest || count < LANES) { /* complete the incomplete group */
            if (count > LANES - s->n_rest) count = LANES - s->n_rest;
            memcpy(s->rest + s->n_rest, x, (size_t)count * sizeof *x);
            s->n_rest += (int)count;
            if (s->n_rest == LANES) {
                add_groups(s, s->rest, 1);
                s->n_rest = 0;
            }
        } else {
            int groups = BLOCK_ROWS - s->groups;
            if (groups > count / LANES) groups = (int)(count / LANES);
            add_groups(s, x, groups);
            count = (int64_t)groups * LANES;
        }
        x += count;
        n -= count;
        s->left -= count;
        if (s->left == 0) end_line(s);
    }
}

const wg__line_sums WG__K(line_sums) = {sizeof(line_state), SPANS, line_begin, line_feed};
