/* The cut of a product into tasks: a function of its shape and strides alone. Compiled per variant.
 *
 * The cut changes no bit (gemm.h), so it is free to minimize cost: enough tasks to share among threads, and as little
 * redundant packing as that allows. The thresholds were chosen by hand; docs/performance.md, "what was tried and gave
 * nothing", has what was measured against other choices: fewer, larger tasks, and packing A where its rows are a
 * multiple of 4 KiB apart. */
#include "cut.h"

/* BLIS' micro-kernel if its panels are whole tiles of ours, and no higher, so that our tile can compute the edges; else
 * NULL. */
static const wg__blis *fitting_blis(void)
{
    const wg__blis *blis = STEP > 1 ? NULL : wg__blis_get(sizeof(real) == 4 ? WG_F32 : WG_F64);
    return blis && blis->wide % TILE_COLS == 0 && NC % blis->wide == 0 && blis->narrow <= TILE_ROWS ? blis : NULL;
}

wg__problem WG__K(problem)(const wg__product *p)
{
    const wg__blis *blis = fitting_blis();
    wg__problem t = {.p = p, .wide = blis ? blis->wide : TILE_COLS, .kc = blis ? blis->kc : 256};
    for (int s = 0; s < p->n_segments; s++) t.k += steps_of(&p->segments[s]);
    t.k = round_up(t.k, GROUP_STEPS);
    t.transposed =
        !p->packed_b && !p->shared_b && !p->window && p->m > 1 && (p->n == 1 || (p->c_rs == 1 && p->c_cs != 1));
    t.m = t.transposed ? p->n : p->m;
    t.n = t.transposed ? p->m : p->n;
    t.c_rs = t.transposed ? p->c_cs : p->c_rs;
    t.c_cs = t.transposed ? p->c_rs : p->c_cs;
    return t;
}

/* Rows of A that are multiplied with the same B. */
static int64_t rows_of(const wg__problem *t) { return t->p->shared_b ? t->m * t->p->batches : t->m; }

/* Of few rows, reading packed weights takes the time. */
static double work_of(const wg__problem *t)
{
    const int64_t rows = STEP > 1 && t->p->packed_b ? max64(rows_of(t), 8) : rows_of(t);
    return 2.0 * (double)rows * (double)t->n * (double)(t->k * STEP);
}

/* The number of tasks of a problem, a power of two up to 32. No task is too small to be worth a thread, and there
 * are fewer if each of them packs on its own. The limits are floating-point operations of a task. */
static int64_t count_tasks(const wg__problem *t, const wg__cut *c)
{
    bool packs = c->pack_a || c->pack_b;
    int64_t tasks = 1;
    while (tasks < 32) {
        double least_work = !packs ? 1.5e6 : tasks < 2 ? 3e6 : tasks < 4 ? 1e8 : 4e8;
        if (work_of(t) / (double)(2 * tasks) < least_work) break;
        tasks *= 2;
    }
    return t->p->one_task || (t->p->batches >= 16 && !t->p->shared_b) ? 1 : tasks;
}

/* One row: reading B takes the time, so a task is 2^17 numbers or more of it. */
static int64_t most_tasks_of_row(const wg__problem *t) { return min64(16, 1 + t->n * t->k * STEP / (1 << 17)); }

/* The same of packed weights, a power of two. */
static int64_t count_reading_tasks(const wg__problem *t)
{
    const int64_t most = t->p->one_task ? 1 : most_tasks_of_row(t);
    int64_t tasks = 1;
    while (2 * tasks <= most) tasks *= 2;
    return tasks;
}

/* The cost of a grid of tasks: each task packs, or at least reads, its rows of A and its columns of B. */
static double grid_cost(const wg__problem *t, const wg__cut *c, int64_t rows, int64_t cols)
{
    return (double)(cols * rows_of(t)) * (c->pack_a ? 1 : 0.25) + (double)(rows * t->n) * (c->pack_b ? 1 : 0.25);
}

/* Chooses the cheapest grid of row_tasks x col_tasks. */
static void split(const wg__problem *t, wg__cut *c)
{
    int64_t tasks = count_tasks(t, c), best = 0;
    double best_cost = 0;
    for (int64_t rows = 1; rows <= tasks; rows *= 2) {
        int64_t cols = tasks / rows;
        if ((rows > 1 && t->m / rows < TILE_ROWS / 2) || (cols > 1 && t->n < cols * t->wide)) continue;
        double cost = grid_cost(t, c, rows, cols);
        if (!best || cost < best_cost) best = rows, best_cost = cost;
    }
    if (!best) tasks = best = 1;
    c->rows = ceil_div(t->m, best);
    c->cols = min64(round_up(ceil_div(t->n, tasks / best), t->wide), NC);
    c->row_tasks = ceil_div(t->m, c->rows);
    c->col_tasks = ceil_div(t->n, c->cols);
}

static void cut_reading(const wg__problem *t, wg__cut *c)
{
    c->rows = c->row_tasks = 1;
    c->cols = round_up(ceil_div(t->n, count_reading_tasks(t)), t->wide);
    c->col_tasks = ceil_div(t->n, c->cols);
}

/* One row of A, and B needs no packing. In bf16, the sum of a tile goes on from segment to segment. */
static bool is_vector(const wg__problem *t)
{
    if (t->m != 1 || t->p->packed_b || t->p->shared_b || t->p->window || (STEP > 1 && t->p->n_segments > 1))
        return false;
    for (int s = 0; s < t->p->n_segments; s++) {
        const wg__side b = side_of(t, &t->p->segments[s], 0, true);
        if (STEP > 1 && (b.half || b.line != unit_of(b))) return false;
        if (STEP == 1 && b.line != unit_of(b) && b.k != unit_of(b)) return false;
    }
    return true;
}

static void cut_vector(const wg__problem *t, wg__cut *c)
{
    c->vector = true;
    c->rows = c->row_tasks = 1;
    c->cols = round_up(ceil_div(t->n, most_tasks_of_row(t)), 8 * LANES);
    c->col_tasks = ceil_div(t->n, c->cols);
}

/* A stays unpacked if its rows are contiguous along k, or if it is read only once or twice; B stays unpacked if its
 * rows are contiguous and few rows of C use it. Several segments, or a window, can only be gathered by packing, and
 * what is stored in bf16 only widened so. */
static void cut_matrix(const wg__problem *t, wg__cut *c)
{
    bool whole = t->p->n_segments == 1;
    wg__side a = {0}, b = {0};
    if (whole) {
        a = side_of(t, t->p->segments, 0, false);
        b = side_of(t, t->p->segments, 0, true);
    }
    const bool reads = t->p->packed_b && t->m == 1 && t->p->batches == 1;
    bool few_col_panels = t->n <= 2 * t->wide, few_row_panels = t->m <= 2 * TILE_ROWS;
    c->pack_a = STEP > 1 || !whole || a.half || (!few_col_panels && a.k != unit_of(a));
    const bool b_reads = whole && !t->p->window && !b.half && b.line == unit_of(b) && few_row_panels;
    c->pack_b = !t->p->packed_b && (STEP > 1 || !b_reads);
    if (reads)
        cut_reading(t, c);
    else
        split(t, c);
    if (c->pack_a && t->c_cs == 1) c->blis = fitting_blis();
}

wg__cut WG__K(cut)(const wg__problem *t)
{
    wg__cut c = {.batches = 1};
    if (t->m < 1 || t->n < 1 || t->p->batches < 1) return c;
    if (is_vector(t))
        cut_vector(t, &c);
    else
        cut_matrix(t, &c);
    if (t->p->shared_b)
        c.batches = t->p->batches;
    else if (c.row_tasks * c.col_tasks == 1 && t->p->batches > 1)
        c.batches = work_of(t) >= 5e5 ? 1 : min64(t->p->batches, 1 + (int64_t)(5e5 / (work_of(t) + 1)));
    return c;
}
