/* Products in which masked pairs are not read: what is masked may be NaN. Compiled per variant. */
#include "matrices.h"

#include <assert.h>

typedef struct mask_line {
    const uint8_t *seen;
    int64_t step;
} mask_line;

static mask_line mask_line_of(const wg_operand *mask, int64_t n, int64_t i)
{
    return (mask_line){(const uint8_t *)mask->data + leading_offset(mask, 2, n) + i * mask->stride[mask->rank - 2],
                       mask->stride[mask->rank - 1]};
}

/* A row of a b, without what is masked. */
static void sum_seen(const wg__masked *p, const real *a, int64_t step, matrix b, mask_line m, real *to,
                     int64_t to_step)
{
    for (int64_t c = 0; c < p->n; c++) to[c * to_step] = 0;
    for (int64_t j = 0; j < p->k; j++) {
        const real *from = line_of(b, j);
        for (int64_t c = 0; c < p->n && m.seen[j * m.step]; c++) to[c * to_step] += a[j * step] * from[c * b.cs];
    }
}

static bool row_has_nan(const real *x, int64_t step, int64_t n)
{
    bool nan = false;
    for (int64_t c = 0; c < n; c++) nan |= x[c * step] != x[c * step];
    return nan;
}

/* out = a b. A row that became NaN is computed again, without what is masked: it may be by 0 times a number that is not
 * finite. */
void WG__K(masked_product)(const wg_args *args, int64_t task)
{
    wg__masked p = wg__masked_sizes(args, false);
    assert(p.blocks > 0); /* there is no task without one */
    int64_t n = task / p.blocks, first = task % p.blocks * p.rows, rows = min64(p.m - first, p.rows);
    matrix a = lines_from(matrix_of(&args->in[0], n), first), b = matrix_of(&args->in[1], n);
    matrix out = {(real *)args->out.data + n * p.m * p.n, p.n, 1};
    bool nan;
    if (((const wg__masked_attr *)args->attr)->transposed) {
        out = lines_from((matrix){out.data, 1, p.m}, first);
        multiply(args->bf16, p.n, rows, p.k, wg__transposed(out), wg__transposed(b), wg__transposed(a), false,
                 args->scratch);
        nan = false;
        for (int64_t c = 0; c < p.n && !nan; c++) nan = has_nan((real *)out.data + c * p.m, rows);
    } else {
        out = lines_from(out, first);
        multiply(args->bf16, rows, p.n, p.k, out, a, b, false, args->scratch);
        nan = has_nan(out.data, rows * p.n);
    }
    for (int64_t i = 0; i < rows && nan; i++)
        if (row_has_nan(line_of(out, i), out.cs, p.n))
            sum_seen(&p, line_of(a, i), a.cs, b, mask_line_of(&args->in[2], n, first + i), line_of(out, i), out.cs);
}

/* 0 where the mask is false */
static void hide(real *line, mask_line m, int64_t n)
{
    int64_t j = 0;
    for (; m.step == 1 && j + VLANES <= n; j += VLANES)
        v_store(line + j, v_select(m_load(m.seen + j), v_load(line + j), v_set(0)));
    for (; j < n; j++) line[j] = m.seen[j * m.step] ? line[j] : 0;
}

void WG__K(masked_dots)(const wg_args *args, int64_t task)
{
    wg__masked p = wg__masked_sizes(args, true);
    assert(p.blocks > 0); /* there is no task without one */
    int64_t n = task / p.blocks, first = task % p.blocks * p.rows, rows = min64(p.m - first, p.rows);
    matrix a = lines_from(matrix_of(&args->in[0], n), first), b = matrix_of(&args->in[1], n);
    matrix out = {(real *)args->out.data + (n * p.m + first) * p.n, p.n, 1};
    multiply(args->bf16, rows, p.n, p.k, out, a, wg__transposed(b), false, args->scratch);
    for (int64_t i = 0; i < rows; i++) hide(line_of(out, i), mask_line_of(&args->in[2], n, first + i), p.n);
}
