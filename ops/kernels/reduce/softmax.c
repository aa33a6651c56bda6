/* Softmax and log-softmax and their gradients, along rows. */
#include "reduce.h"
#include "rows.h"

#include "../base/lanes.h"

#include <assert.h>

typedef void (*row_kernel)(const real *x, const real *g, real *out, int64_t n);

VINLINE void each_row(row_kernel fn, const wg_args *args, int64_t task)
{
    wg__extents a = wg__extents_of_rows(&args->in[0]);
    const real *x = args->in[0].data, *g = args->n_in > 1 ? args->in[1].data : NULL;
    real *out = args->out.data;
    int64_t first, stop;
    wg__reduce_cut(a, task, &first, &stop);
    for (int64_t i = first; i < stop; i++) fn(x + i * a.n, g ? g + i * a.n : NULL, out + i * a.n, a.n);
}

static void softmax_row(const real *x, const real *g, real *out, int64_t n) { row_softmax(x, out, n); }

/* y (g - sum g y) */
static void softmax_grad_row(const real *y, const real *g, real *out, int64_t n)
{
    assert(g);
    real s = row_dot(g, y, n);
    for (int64_t i = 0; i < n; i += VLANES)
        store_some(out + i, load_some(y + i, n - i) * (load_some(g + i, n - i) - s), n - i);
}

static void log_softmax_row(const real *x, const real *g, real *out, int64_t n)
{
    real top = row_combine(COMBINE_MAX, x, n);
    real rest = (real)log(row_exp_sum(x, top, n));
    for (int64_t i = 0; i < n; i += VLANES) store_some(out + i, load_some(x + i, n - i) - top - rest, n - i);
}

/* g - e^y sum g */
static void log_softmax_grad_row(const real *y, const real *g, real *out, int64_t n)
{
    assert(g);
    real s = row_combine(COMBINE_SUM, g, n);
    exp_shifted(y, 0, out, n);
    for (int64_t i = 0; i < n; i += VLANES)
        store_some(out + i, load_some(g + i, n - i) - load_some(out + i, n - i) * s, n - i);
}

/* The offset of row i of an operand. */
static int64_t row_offset(const wg_operand *x, int64_t i)
{
    int64_t offset = 0;
    for (int a = x->rank - 2; a >= 0; a--) {
        offset += i % x->size[a] * x->stride[a];
        i /= x->size[a];
    }
    return offset;
}

/* in0 x, in1 mask, of any strides. What is masked is not read. */
void WG__K(masked_softmax)(const wg_args *args, int64_t task)
{
    const wg_operand *in = &args->in[0], *mask = &args->in[1];
    wg__extents a = wg__extents_of_rows(in);
    int64_t first, stop, step = in->stride[in->rank - 1], mask_step = mask->stride[in->rank - 1];
    wg__reduce_cut(a, task, &first, &stop);
    for (int64_t i = first; i < stop; i++) {
        const real *x = (const real *)in->data + row_offset(in, i);
        const uint8_t *seen = (const uint8_t *)mask->data + row_offset(mask, i);
        real *y = (real *)args->out.data + i * a.n;
        int64_t j = 0;
        for (; step == 1 && mask_step == 1 && j + VLANES <= a.n; j += VLANES)
            v_store(y + j, v_select(m_load(seen + j), v_load(x + j), v_set(-(real)INFINITY)));
        for (; j < a.n; j++) y[j] = seen[j * mask_step] ? x[j * step] : -(real)INFINITY;
        row_softmax(y, y, a.n);
    }
}

void WG__K(softmax)(const wg_args *args, int64_t task) { each_row(softmax_row, args, task); }
void WG__K(softmax_grad)(const wg_args *args, int64_t task) { each_row(softmax_grad_row, args, task); }
void WG__K(log_softmax)(const wg_args *args, int64_t task) { each_row(log_softmax_row, args, task); }
void WG__K(log_softmax_grad)(const wg_args *args, int64_t task) { each_row(log_softmax_grad_row, args, task); }
