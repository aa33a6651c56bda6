/* The loops of a product around the register tile, drawn in gemm.h. Compiled per variant.
 *
 * A task is a block of C over all of k, or all of C for several problems of a batch (cut.c). For each block of kc steps
 * it packs its columns of B into column panels, unless they are packed weights or need no packing. Then, MC rows at a
 * time, it packs A into row panels and computes one tile for each pair of panels. */
#include "cut.h"

#include <string.h>

enum { ALIGNED = 64 / (int)sizeof(real) }; /* panels start on cache lines */
/* Elements past the panels of B: BLIS' micro-kernel prefetches from there, and pack_window writes past a panel's
 * end. */
enum { SLACK = 4096 / (int)sizeof(real) };

/* ---- layout of packed lines ---------------------------------------------------------------------------------- */

/* Lines [line, line + lines) of a side, packed into `count` panels of `width` lines. Panel i holds `height` lines from
 * i * height on; with height 0 the lines are divided evenly among the panels. */
typedef struct panels {
    real *data;
    int64_t stride; /* from one panel to the next, in elements */
    int64_t line, lines, count;
    int width, height;
} panels;

static int64_t steps(const wg__problem *t) { return min64(t->kc, t->k); }

static int64_t panel_start(const panels *f, int64_t i)
{
    return f->height ? min64(f->lines, i * f->height) : i * f->lines / f->count;
}

/* Row panels for rows [row, row + rows) of A. Those for BLIS' tile all have its height; those for ours are even, so
 * that 50 rows are 13 + 12 + 13 + 12. The width is a multiple of LANES, so that each step starts on a cache line. */
static panels row_panels_of(const wg__problem *t, const wg__cut *c, int64_t row, int64_t rows, real *data)
{
    int height = c->blis ? c->blis->narrow : TILE_ROWS, width = c->blis ? height : (int)round_up(TILE_ROWS, LANES);
    return (panels){.data = data,
                    .stride = round_up(steps(t) * width + LANES, ALIGNED), /* packing writes past the end */
                    .line = row,
                    .lines = rows,
                    .count = ceil_div(rows, height),
                    .width = width,
                    .height = c->blis ? height : 0};
}

/* Column panels for columns [col, col + cols) of B. */
static panels col_panels_of(const wg__problem *t, int64_t col, int64_t cols, int64_t k, real *data)
{
    return (panels){.data = data,
                    .stride = t->wide * k,
                    .line = col,
                    .lines = cols,
                    .count = ceil_div(cols, t->wide),
                    .width = t->wide,
                    .height = t->wide};
}

static int64_t a_size(const wg__problem *t, const wg__cut *c)
{
    panels f = row_panels_of(t, c, 0, min64(c->rows, MC), NULL);
    return c->pack_a ? f.count * f.stride : 0;
}

static size_t scratch(const wg__product *p)
{
    wg__problem t = WG__K(problem)(p);
    wg__cut c = WG__K(cut)(&t);
    if (c.vector) return (size_t)(steps(&t) * STEP) * sizeof(real);
    int64_t count = c.pack_b ? ceil_div(c.cols, t.wide) : 1; /* unpacked: 1 for the last, incomplete one */
    return (size_t)(a_size(&t, &c) + count * t.wide * steps(&t) + SLACK) * sizeof(real);
}

/* ---- packing ------------------------------------------------------------------------------------------------- */

/* `numbers` of each line, from one step of the panels on. */
static void pack_panels(const panels *f, wg__side from, int64_t numbers, int64_t step)
{
    for (int64_t i = 0; i < f->count; i++) {
        int64_t start = panel_start(f, i), lines = min64(f->width, f->lines - start);
        wg__side part = {from.data + start * from.line, from.line, from.k, from.half};
        WG__K(pack_panel)
        (f->data + i * f->stride + step * f->width, f->width, (int)lines, f->lines - start, numbers, part);
    }
}

/* A step of a segment. */
typedef struct cursor {
    const wg__segment *segment;
    int64_t step;
} cursor;

/* Steps [step, k) of a panel: past the last segment, in the last group. */
static void clear_steps(const panels *f, int64_t i, int64_t step, int64_t k)
{
    memset(f->data + i * f->stride + step * f->width, 0, (size_t)((k - step) * f->width) * sizeof(real));
}

static bool ended(const wg__problem *t, const wg__segment *s) { return s == t->p->segments + t->p->n_segments; }

/* Packs the k steps of a side's lines that begin at `at`, gathered over the segments. Adjacent lines are packed
 * PACK_STEPS steps at a time into all panels, so that cache lines shared by two panels are read once. */
static void pack_steps(const wg__problem *t, int64_t batch, bool wide, const panels *f, cursor at, int64_t k)
{
    int64_t step = 0;
    for (; step < k && !ended(t, at.segment); at = (cursor){at.segment + 1, 0}) {
        wg__side from = side_of(t, at.segment, batch, wide);
        from.data += f->line * from.line + at.step * STEP * from.k;
        int64_t numbers = min64(at.segment->k - at.step * STEP, (k - step) * STEP);
        const int64_t end = step + ceil_div(numbers, STEP),
                      stride = from.line == unit_of(from) ? PACK_STEPS : end - step;
        for (; step < end; step += stride, numbers -= stride * STEP, from.data += stride * STEP * from.k)
            pack_panels(f, from, min64(stride * STEP, numbers), step);
        step = end;
    }
    for (int64_t i = 0; step < k && i < f->count; i++) clear_steps(f, i, step, k);
}

/* The same through a window, one panel at a time: packing may write past a panel's end, into the next one. */
static void pack_windows(const wg__problem *t, int64_t batch, const panels *f, cursor at, int64_t k)
{
    const wg__window *w = t->p->window;
    for (int64_t i = 0; i < f->count; i++) {
        const wg__segment *s = at.segment;
        int64_t start = panel_start(f, i), skip = at.step, step = 0;
        int lines = (int)min64(f->width, f->lines - start);
        for (; step < k && !ended(t, s); s++, skip = 0) {
            const int64_t numbers = min64((k - step) * STEP, s->k - skip * STEP);
            wg__windowed from = {.data = reals_of(side_of(t, s, batch, true)).data,
                                 .end = w->end,
                                 .line = w->line + f->line + start,
                                 .step = w->step + skip * STEP};
            WG__K(pack_window)(f->data + i * f->stride + step * f->width, f->width, lines, numbers, from);
            step += ceil_div(numbers, STEP);
        }
        if (step < k) clear_steps(f, i, step, k);
    }
}

/* ---- packed weights: B packed ahead ------------------------------------------------------------------------------ */

enum { PANELS_PER_TASK = 4 }; /* chosen, not measured */

static bool wants_packed(const wg__product *p)
{
    return (p->batches == 1 || p->shared_b) && p->n_segments == 1 && (p->m > 1 || STEP > 1) &&
           p->n >= TILE_COLS / 2 && p->segments[0].k >= 8 && (p->c_rs != 1 || p->c_cs == 1);
}

static wg__problem packing_problem(const wg__product *p)
{
    wg__product ahead = *p;
    ahead.packed_b = p; /* any address: it only makes B the wide side */
    wg__problem t = WG__K(problem)(&ahead);
    t.p = p;
    return t;
}

static size_t packed_bytes(const wg__product *p)
{
    wg__problem t = packing_problem(p);
    return (size_t)(round_up(t.n, t.wide) * t.k + SLACK) * sizeof(real);
}

static int64_t pack_tasks(const wg__product *p)
{
    wg__problem t = packing_problem(p);
    return ceil_div(t.n, t.wide * PANELS_PER_TASK);
}

static void pack(const wg__product *p, void *packed, int64_t task)
{
    wg__problem t = packing_problem(p);
    int64_t col = task * t.wide * PANELS_PER_TASK, cols = min64(t.n - col, t.wide * PANELS_PER_TASK);
    panels f = col_panels_of(&t, col, cols, t.k, (real *)packed + col * t.k);
    if (t.k > 0) pack_steps(&t, 0, true, &f, (cursor){p->segments, 0}, t.k);
}

/* ---- one block of C ------------------------------------------------------------------------------------------ */

typedef struct block {
    int64_t batch, batch_stop;    /* the problem; past the last one that shares its B */
    int64_t row, col, rows, cols; /* of C, or of C^T if transposed */
    int64_t k0, k;                /* steps [k0, k0 + k) ... */
    cursor from;                  /* ... from this one on */
    bool add;
    real *c; /* the block's first element */
    real *a_panels, *b_panels;
} block;

/* Packs the columns of B; of a B that needs no packing only the last, incomplete panel. */
static void pack_b_block(const wg__problem *t, const wg__cut *c, const block *b)
{
    int64_t first = c->pack_b ? 0 : b->cols / t->wide * t->wide;
    panels f = col_panels_of(t, b->col + first, b->cols - first, b->k, b->b_panels);
    if (t->p->window)
        pack_windows(t, b->batch, &f, b->from, b->k);
    else if (f.count > 0)
        pack_steps(t, b->batch, true, &f, b->from, b->k);
}

#if defined WG__AMX
static void pack_rows(const wg__problem *t, const block *b, const panels *f)
{
    wg__side from = side_of(t, b->from.segment, b->batch, false);
    const bool adjacent = t->p->n_segments == 1 && from.k == unit_of(from);
    if (!adjacent) pack_steps(t, b->batch, false, f, b->from, b->k);
    from.data += f->line * from.line + b->from.step * STEP * from.k;
    const int64_t numbers = min64(b->from.segment->k - b->from.step * STEP, b->k * STEP);
    for (int64_t i = 0; i < f->count; i++) {
        real *panel = f->data + i * f->stride;
        const int64_t start = panel_start(f, i);
        const wg__side part = {from.data + start * from.line, from.line, from.k, from.half};
        if (adjacent)
            WG__K(pack_turned)(panel, f->width, (int)(panel_start(f, i + 1) - start), numbers, part);
        else
            WG__K(turn)(panel, f->width, b->k);
    }
}
#else
static void pack_rows(const wg__problem *t, const block *b, const panels *f)
{
    pack_steps(t, b->batch, false, f, b->from, b->k);
}
#endif

/* The panel of columns [j, j + wide) of the block; *b_k is set to its stride along k. */
static const real *col_panel_at(const wg__problem *t, const wg__cut *c, const block *b, int64_t j, int64_t *b_k)
{
    *b_k = t->wide;
    if (t->p->packed_b) return (const real *)t->p->packed_b + (b->col + j) * t->k + b->k0 * t->wide;
    if (c->pack_b) return b->b_panels + j * b->k;
    if (j + t->wide > b->cols) return b->b_panels;
    const wg__reals from = reals_of(side_of(t, t->p->segments, b->batch, true));
    *b_k = from.k;
    return from.data + (b->col + j) + b->k0 * from.k;
}

/* One row panel times all column panels of the block. Our own tile computes the edges, where BLIS' is slow, and columns
 * that are not packed: BLIS' reads aligned vectors, and past the last one. */
static void run_row_panel(const wg__problem *t, const wg__cut *c, const block *b, wg__reals a, int rows, real *to)
{
    for (int64_t j = 0; j < b->cols; j += t->wide) {
        int64_t b_k;
        const real *panel = col_panel_at(t, c, b, j, &b_k);
        int cols = (int)min64(t->wide, b->cols - j);
        if (c->blis && rows == c->blis->narrow && cols == t->wide && (t->p->packed_b || c->pack_b)) {
            wg__blis_tile_get(sizeof(real) == 4 ? WG_F32 : WG_F64)(c->blis, rows, cols, b->k, a.data, panel, b->add,
                                                                   to + j, t->c_rs, 1);
            continue;
        }
        for (int first = 0; first < cols; first += TILE_COLS) {
            int part = (int)min64(TILE_COLS, cols - first);
            WG__K(tile)
            (rows, part, b->k, a, panel + first, b_k, b->add, to + (j + first) * t->c_cs, t->c_rs, t->c_cs);
        }
    }
}

static void run_rows(const wg__problem *t, const wg__cut *c, const block *b, int64_t row, int64_t rows)
{
    panels f = row_panels_of(t, c, b->row + row, rows, b->a_panels);
    if (c->pack_a) pack_rows(t, b, &f);
    for (int64_t i = 0; i < f.count; i++) {
        int64_t start = panel_start(&f, i);
        wg__reals a = {.data = f.data + i * f.stride, .line = 1, .k = f.width};
        if (!c->pack_a) {
            a = reals_of(side_of(t, t->p->segments, b->batch, false));
            a.data += (f.line + start) * a.line + b->k0 * a.k;
        }
        run_row_panel(t, c, b, a, (int)(panel_start(&f, i + 1) - start), b->c + (row + start) * t->c_rs);
    }
}

static real *result_of(const wg__problem *t, const block *b)
{
    const wg__product *p = t->p;
    real *c = p->shared_b ? p->each_c[b->batch] : (real *)p->c + b->batch * p->batch_c;
    return c + b->row * t->c_rs + b->col * t->c_cs;
}

static void run_block(const wg__problem *t, const wg__cut *c, block *b)
{
    int64_t first = b->batch;
    b->from = (cursor){t->p->segments, 0};
    for (b->k0 = 0; b->k0 < t->k; b->k0 += b->k, b->from.step += b->k) {
        for (; b->from.step >= steps_of(b->from.segment); b->from.segment++)
            b->from.step -= steps_of(b->from.segment);
        b->k = min64(t->kc, t->k - b->k0);
        b->add = b->k0 > 0 || t->p->accumulate;
        b->batch = first;
        if (!t->p->packed_b) pack_b_block(t, c, b);
        for (; b->batch < b->batch_stop; b->batch++) {
            b->c = result_of(t, b);
            for (int64_t row = 0; row < b->rows; row += MC) run_rows(t, c, b, row, min64(MC, b->rows - row));
        }
    }
}

static void zero(const wg__problem *t, const block *b)
{
    for (int64_t i = 0; i < b->rows; i++)
        for (int64_t j = 0; j < b->cols; j++) b->c[i * t->c_rs + j * t->c_cs] = 0;
}

/* n numbers of a line. */
static void copy_line(real *to, wg__side from, int64_t n)
{
    for (int64_t p = 0; p < n; p++) to[p] = wg__real_at(from, p * from.k);
}

/* One row of A: the matrix-vector kernel, in the same blocks of k as tiles. */
static void run_vector(const wg__problem *t, block *b, real *x_copy)
{
    b->add = t->p->accumulate;
    for (int s = 0; s < t->p->n_segments; s++) {
        const wg__segment *segment = &t->p->segments[s];
        const wg__side from = side_of(t, segment, b->batch, true);
        wg__side x = side_of(t, segment, b->batch, false);
        const bool as_it_is = !x.half && x.k == unit_of(x);
        for (int64_t k0 = 0; k0 < segment->k; k0 += t->kc * STEP, x.data += t->kc * STEP * x.k) {
            const int64_t k = min64(t->kc * STEP, segment->k - k0);
            if (!as_it_is) copy_line(x_copy, x, k);
            const wg__side part = {from.data + b->col * from.line + k0 * from.k, from.line, from.k, from.half};
            WG__K(vector_matrix)(b->cols, k, as_it_is ? reals_of(x).data : x_copy, part, b->add, b->c, t->c_cs);
            b->add = true;
        }
    }
}

/* ---- the interface: wg__product_kernels -------------------------------------------------------------------------- */

static int64_t tasks(const wg__product *p)
{
    wg__problem t = WG__K(problem)(p);
    wg__cut c = WG__K(cut)(&t);
    return c.row_tasks * c.col_tasks * ceil_div(p->batches, c.batches);
}

/* The batches that the task computes. */
static int64_t batches_of(const wg__product *p, const wg__cut *c, int64_t task, int64_t *last)
{
    const int64_t first = task / (c->row_tasks * c->col_tasks) * c->batches;
    *last = min64(p->batches, first + c->batches);
    return first;
}

static int64_t batches(const wg__product *p, int64_t task, int64_t *last)
{
    wg__problem t = WG__K(problem)(p);
    wg__cut c = WG__K(cut)(&t);
    return batches_of(p, &c, task, last);
}

static void run(const wg__product *p, int64_t task, void *memory)
{
    wg__problem t = WG__K(problem)(p);
    wg__cut c = WG__K(cut)(&t);
    int64_t blocks = c.row_tasks * c.col_tasks;
    int64_t row = task % blocks / c.col_tasks * c.rows, col = task % c.col_tasks * c.cols;
    int64_t last, next;
    WG__K(start)();
    for (int64_t batch = batches_of(p, &c, task, &last); batch < last; batch = next) {
        next = p->shared_b && t.k > 0 ? last : batch + 1;
        block b = {.batch = batch,
                   .batch_stop = next,
                   .row = row,
                   .col = col,
                   .rows = min64(c.rows, t.m - row),
                   .cols = min64(c.cols, t.n - col),
                   .a_panels = memory,
                   .b_panels = (real *)memory + a_size(&t, &c)};
        b.c = result_of(&t, &b);
        if (t.k == 0 && !p->accumulate)
            zero(&t, &b);
        else if (c.vector)
            run_vector(&t, &b, memory);
        else
            run_block(&t, &c, &b);
    }
    WG__K(stop)();
}

#ifdef WG__BF16
#define NARROW WG__K(narrow)
#else
#define NARROW NULL
#endif

const wg__product_kernels WG__K(product) = {tasks,        scratch,    batches, run,   wants_packed,
                                            packed_bytes, pack_tasks, pack,    NARROW};
