/* The product's loops: how a product is cut into tasks, what a task packs, and the walk over its tiles. Compiled per
 * instruction set and type.
 *
 * A task is a block of C over all of k, or all of C for several problems of a batch. Cuts depend on the shape alone. For
 * each block of kc steps of k a task packs its columns of B into panels (unless they were packed ahead or can be read
 * as they stand), its rows of A likewise, and runs one register tile for each short stack of rows and each panel. */
#include "gemm.h"

enum { ALIGNED = 64 / (int)sizeof(real) }; /* panels start on cache lines */

/* The operands turned so that C has its unit stride, if any, along the columns: C^T = B^T A^T otherwise. */
typedef struct problem {
    const wg__product *p;
    bool turned;
    int64_t m, n, k;
    int64_t c_rs, c_cs;
    int wide; /* columns of a panel */
    int kc;   /* steps of k in a block */
} problem;

/* How it is done. */
typedef struct cut {
    int64_t rows, cols;           /* of C in a task */
    int64_t row_tasks, col_tasks; /* for each problem */
    int64_t together;             /* problems of a batch in one task */
    bool vector;                  /* m is 1: no tiles, nothing packed */
    bool pack_a, pack_b;
    const wg__blis *blis; /* the micro-kernel, if it is BLIS' */
} cut;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t ceiling(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t round_up(int64_t a, int64_t b) { return ceiling(a, b) * b; }

static const wg__blis *fitting_blis(void)
{
    const wg__blis *blis = wg__blis_get(sizeof(real) == 4 ? WG_F32 : WG_F64);
    return blis && blis->wide % TILE_COLS == 0 ? blis : NULL;
}

static problem turn(const wg__product *p)
{
    const wg__blis *blis = fitting_blis();
    problem t = {.p = p, .wide = blis ? blis->wide : TILE_COLS, .kc = blis ? blis->kc : 256};
    for (int s = 0; s < p->n_segments; s++) t.k += p->segments[s].k;
    t.turned = !p->packed_b && (p->n == 1 ? p->m > 1 : p->m > 1 && p->c_rs == 1 && p->c_cs != 1);
    t.m = t.turned ? p->n : p->m;
    t.n = t.turned ? p->m : p->n;
    t.c_rs = t.turned ? p->c_cs : p->c_rs;
    t.c_cs = t.turned ? p->c_rs : p->c_cs;
    return t;
}

/* A segment's operand as a side: the narrow one (lines are rows of the turned C) or the wide one (columns). */
static wg__side side(const problem *t, const wg__segment *s, int64_t batch, bool wide)
{
    const wg__product *p = t->p;
    bool b = wide != t->turned;
    const int64_t *offset = b ? p->batch_b : p->batch_a;
    const real *data = b ? s->b : s->a;
    return (wg__side){
        .data = data + (offset ? offset[batch] : 0), .line = b ? s->b_cs : s->a_rs, .k = b ? s->b_rs : s->a_cs};
}

/* ---- the cut ---------------------------------------------------------------------------------------------- */

/* Rows that stand a multiple of a page apart share their places in the first-level cache. */
static bool clashes(wg__side a, int64_t k) { return a.line * (int64_t)sizeof(real) % 4096 == 0 && k > 16; }

/* Halves the longer side until there are enough tasks of a useful size. */
static void split(const problem *t, cut *c)
{
    double work = 2.0 * (double)t->m * (double)t->n * (double)t->k;
    double least_work = t->p->packed_b ? 1.5e6 : 4e6;
    int64_t most = t->p->packed_b ? 32 : 16, tasks = 1;
    int64_t most_rows = c->pack_a ? 512 : t->m, most_cols = 512;
    c->rows = t->m;
    c->cols = t->n;
    for (;;) {
        bool large = c->rows > most_rows || c->cols > most_cols;
        if (!large && (tasks >= most || work / (double)(2 * tasks) < least_work)) break;
        if (c->cols > t->wide && (c->cols >= c->rows || c->rows <= TILE_ROWS))
            c->cols = round_up(ceiling(c->cols, 2), t->wide);
        else if (c->rows > TILE_ROWS)
            c->rows = ceiling(c->rows, 2);
        else
            break;
        tasks *= 2;
    }
    c->row_tasks = ceiling(t->m, c->rows);
    c->col_tasks = ceiling(t->n, c->cols);
}

static bool vector_fits(const problem *t)
{
    if (t->m != 1 || t->p->packed_b) return false;
    for (int s = 0; s < t->p->n_segments; s++) {
        wg__side b = side(t, &t->p->segments[s], 0, true);
        if (b.line != 1 && b.k != 1) return false;
    }
    return true;
}

static cut cut_up(const problem *t)
{
    const wg__product *p = t->p;
    cut c = {.together = 1};
    if (t->m < 1 || t->n < 1 || p->batches < 1) return c;
    if (vector_fits(t)) {
        c.vector = true;
        int64_t tasks = 1 + least(15, t->n * t->k / (1 << 17));
        c.rows = c.row_tasks = 1;
        c.cols = round_up(ceiling(t->n, tasks), 8 * LANES);
        c.col_tasks = ceiling(t->n, c.cols);
    } else {
        bool whole = p->n_segments == 1;
        wg__side a = whole ? side(t, p->segments, 0, false) : (wg__side){0};
        wg__side b = whole ? side(t, p->segments, 0, true) : (wg__side){0};
        bool few_panels = t->n <= 2 * t->wide, few_tiles = t->m <= 2 * TILE_ROWS;
        c.pack_a = !whole || !(few_panels || (a.k == 1 && !clashes(a, t->k)));
        c.pack_b = !p->packed_b && !(whole && b.line == 1 && few_tiles);
        split(t, &c);
    }
    int64_t work = 2 * t->m * t->n * t->k;
    if (c.row_tasks * c.col_tasks == 1 && p->batches > 1)
        c.together = work >= 500000 ? 1 : least(p->batches, 500000 / (work + 1) + 1);
    return c;
}

static int64_t tasks(const wg__product *p)
{
    problem t = turn(p);
    cut c = cut_up(&t);
    return c.row_tasks * c.col_tasks * ceiling(p->batches, c.together);
}

/* ---- scratch: the panels of A, then those of B ------------------------------------------------------------------- */

static int64_t steps(const problem *t) { return least(t->kc, t->k); }

/* Elements of a packed stack of rows, with room for what packing writes past its end. */
static int64_t stack_size(const problem *t, const cut *c)
{
    int narrow = c->blis ? c->blis->narrow : TILE_ROWS;
    return round_up(steps(t) * narrow + LANES, ALIGNED);
}

static int64_t stacks(const cut *c, int64_t rows) { return ceiling(rows, c->blis ? c->blis->narrow : TILE_ROWS); }

static int64_t a_size(const problem *t, const cut *c)
{
    return c->pack_a ? stacks(c, c->rows) * stack_size(t, c) : 0;
}

static size_t scratch(const wg__product *p)
{
    problem t = turn(p);
    cut c = cut_up(&t);
    if (c.vector) return (size_t)steps(&t) * sizeof(real);
    int64_t panels = c.pack_b ? ceiling(c.cols, t.wide) : 1; /* one even if not: the last, narrower one is packed */
    int64_t slack = 4096 / (int64_t)sizeof(real);            /* a micro-kernel reads ahead */
    return (size_t)(a_size(&t, &c) + panels * steps(&t) * t.wide + slack) * sizeof(real);
}

/* ---- packing ------------------------------------------------------------------------------------------------------ */

/* Steps [k0, k0 + k) of a side's lines [line, line + lines), gathered over the segments. */
static void pack_lines(const problem *t, int64_t batch, bool wide, int64_t line, int lines, int64_t k0, int64_t k,
                       real *panel, int width)
{
    const wg__segment *s = t->p->segments;
    for (; k0 >= s->k; s++) k0 -= s->k;
    for (; k > 0; s++, k0 = 0) {
        int64_t part = least(k, s->k - k0);
        wg__side from = side(t, s, batch, wide);
        from.data += line * from.line + k0 * from.k;
        WG__K(pack_panel)(panel, width, lines, part, from);
        panel += part * width;
        k -= part;
    }
}

static bool wants_packed(const wg__product *p)
{
    return p->batches == 1 && p->n_segments == 1 && p->m > 1 && p->n >= TILE_COLS / 2 && p->segments[0].k >= 8 &&
           (p->c_rs != 1 || p->c_cs == 1);
}

enum { PACK_PANELS = 4 }; /* panels a task packs */

static problem turn_packed(const wg__product *p)
{
    wg__product same = *p;
    same.packed_b = p; /* any address: B is the wide side */
    problem t = turn(&same);
    t.p = p;
    return t;
}

static size_t packed_bytes(const wg__product *p)
{
    problem t = turn_packed(p);
    return (size_t)(round_up(t.n, t.wide) * t.k) * sizeof(real) + 4096;
}

static int64_t pack_tasks(const wg__product *p)
{
    problem t = turn_packed(p);
    return ceiling(t.n, t.wide * PACK_PANELS);
}

static void pack(const wg__product *p, void *packed, int64_t task)
{
    problem t = turn_packed(p);
    for (int64_t j = task * t.wide * PACK_PANELS; j < least(t.n, (task + 1) * t.wide * PACK_PANELS); j += t.wide)
        pack_lines(&t, 0, true, j, (int)least(t.wide, t.n - j), 0, t.k, (real *)packed + j * t.k, t.wide);
}

/* ---- one block of C -------------------------------------------------------------------------------------------------- */

typedef struct block {
    int64_t batch, row, col, rows, cols; /* of the turned C */
    int64_t k0, k;                       /* steps of the contraction */
    bool add;
    real *c; /* the block's first element */
    real *a_panels, *b_panels;
} block;

static int64_t stack_start(const block *b, int64_t stack, int64_t count) { return stack * b->rows / count; }

static void pack_a_block(const problem *t, const cut *c, const block *b)
{
    int64_t count = stacks(c, b->rows);
    for (int64_t s = 0; s < count; s++) {
        int64_t first = stack_start(b, s, count), rows = stack_start(b, s + 1, count) - first;
        pack_lines(t, b->batch, false, b->row + first, (int)rows, b->k0, b->k, b->a_panels + s * stack_size(t, c),
                   c->blis ? c->blis->narrow : (int)rows);
    }
}

/* The columns of B that cannot be read as they stand; of an unpacked B that is the last, incomplete panel. */
static void pack_b_block(const problem *t, const cut *c, const block *b)
{
    for (int64_t j = c->pack_b ? 0 : b->cols / t->wide * t->wide; j < b->cols; j += t->wide)
        pack_lines(t, b->batch, true, b->col + j, (int)least(t->wide, b->cols - j), b->k0, b->k,
                   b->b_panels + (c->pack_b ? j * b->k : 0), t->wide);
}

/* The panel of columns j .. j + wide of the block; *b_k gets its stride along k. */
static const real *panel_of(const problem *t, const cut *c, const block *b, int64_t j, int64_t *b_k)
{
    *b_k = t->wide;
    if (t->p->packed_b) return (const real *)t->p->packed_b + (b->col + j) * t->k + b->k0 * t->wide;
    if (c->pack_b) return b->b_panels + j * b->k;
    if (j + t->wide > b->cols) return b->b_panels;
    wg__side from = side(t, t->p->segments, b->batch, true);
    *b_k = from.k;
    return from.data + (b->col + j) + b->k0 * from.k;
}

static void run_tile(const problem *t, const cut *c, const block *b, wg__side a, int rows, int64_t j)
{
    int64_t b_k;
    const real *panel = panel_of(t, c, b, j, &b_k);
    int cols = (int)least(t->wide, b->cols - j);
    for (int first = 0; first < cols; first += TILE_COLS)
        WG__K(tile)
        (rows, (int)least(TILE_COLS, cols - first), b->k, a, panel + first, b_k, b->add,
         b->c + (j + first) * t->c_cs, t->c_rs, t->c_cs);
}

static void run_tiles(const problem *t, const cut *c, const block *b)
{
    int64_t count = stacks(c, b->rows);
    block rows_of = *b;
    for (int64_t s = 0; s < count; s++) {
        int64_t first = stack_start(b, s, count);
        int rows = (int)(stack_start(b, s + 1, count) - first);
        wg__side a = {.data = b->a_panels + s * stack_size(t, c), .line = 1, .k = rows};
        if (!c->pack_a) {
            a = side(t, t->p->segments, b->batch, false);
            a.data += (b->row + first) * a.line + b->k0 * a.k;
        }
        rows_of.c = b->c + first * t->c_rs;
        for (int64_t j = 0; j < b->cols; j += t->wide) run_tile(t, c, &rows_of, a, rows, j);
    }
}

static void zero(const problem *t, const block *b)
{
    for (int64_t i = 0; i < b->rows; i++)
        for (int64_t j = 0; j < b->cols; j++) b->c[i * t->c_rs + j * t->c_cs] = 0;
}

static void run_block(const problem *t, const cut *c, block *b)
{
    for (b->k0 = 0; b->k0 < t->k; b->k0 += b->k) {
        b->k = least(t->kc, t->k - b->k0);
        b->add = b->k0 > 0 || t->p->accumulate;
        if (c->pack_a) pack_a_block(t, c, b);
        if (!t->p->packed_b) pack_b_block(t, c, b);
        run_tiles(t, c, b);
    }
}

/* One row: the matrix-vector kernel, in the same blocks of k as tiles. */
static void run_vector(const problem *t, block *b, real *x_copy)
{
    b->add = t->p->accumulate;
    for (int s = 0; s < t->p->n_segments; s++) {
        const wg__segment *segment = &t->p->segments[s];
        wg__side x = side(t, segment, b->batch, false), from = side(t, segment, b->batch, true);
        for (int64_t k0 = 0; k0 < segment->k; k0 += t->kc) {
            int64_t k = least(t->kc, segment->k - k0);
            const real *values = x.data + k0 * x.k;
            for (int64_t p = 0; x.k != 1 && p < k; p++) x_copy[p] = values[p * x.k];
            wg__side part = {from.data + b->col * from.line + k0 * from.k, from.line, from.k};
            WG__K(vector_matrix)(b->cols, k, x.k == 1 ? values : x_copy, part, b->add, b->c, t->c_cs);
            b->add = true;
        }
    }
}

static void run(const wg__product *p, int64_t task, void *memory)
{
    problem t = turn(p);
    cut c = cut_up(&t);
    int64_t blocks = c.row_tasks * c.col_tasks, group = task / blocks;
    int64_t row = task % blocks / c.col_tasks * c.rows, col = task % c.col_tasks * c.cols;
    for (int64_t batch = group * c.together; batch < least(p->batches, (group + 1) * c.together); batch++) {
        block b = {.batch = batch,
                   .row = row,
                   .col = col,
                   .rows = least(c.rows, t.m - row),
                   .cols = least(c.cols, t.n - col),
                   .c = (real *)p->c + batch * p->batch_c + row * t.c_rs + col * t.c_cs,
                   .a_panels = memory,
                   .b_panels = (real *)memory + a_size(&t, &c)};
        if (t.k == 0 && !p->accumulate)
            zero(&t, &b);
        else if (c.vector)
            run_vector(&t, &b, memory);
        else
            run_block(&t, &c, &b);
    }
}

const wg__product_kernels WG__K(product) = {tasks, scratch, run, wants_packed, packed_bytes, pack_tasks, pack};
