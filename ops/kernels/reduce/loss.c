/* Cross-entropy on integer labels: the loss of each row, its gradient, and the weights for the mean. An ignored row is
 * not read and gets exact zeros, so that nothing leaks out of padding. */
#include "reduce.h"
#include "rows.h"

#include "../base/lanes.h"

/* The label of row i; -1 if the row is ignored or the label is out of range, which is recorded if `report`. */
static int64_t label_of(const wg_args *args, const wg_operand *labels, int64_t i, bool report)
{
    const wg__cross_entropy_attr *attr = args->attr;
    int64_t label = ((const int32_t *)labels->data)[i];
    if (label == attr->ignore_index) return -1;
    if (label >= 0 && label < attr->classes) return label;
    if (report) wg_args_bad_index(args, i, label, attr->classes);
    return -1;
}

/* sum over c of w[c] (rest - (x[c] - top)); w NULL: all 1 */
static real smooth_sum(const real *x, const real *w, real top, real rest, int64_t n)
{
    real e[BLOCK];
    row a;
    row_begin(COMBINE_SUM, &a);
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t count = min64(n - i, BLOCK);
        for (int64_t j = 0; j < count; j++) e[j] = (rest - (x[i + j] - top)) * (w ? w[i + j] : 1);
        row_block(COMBINE_SUM, &a, e, count);
    }
    return row_end(COMBINE_SUM, &a);
}

/* operands: logits, labels, class weights or none */
void WG__K(cross_entropy)(const wg_args *args, int64_t task)
{
    const wg__cross_entropy_attr *attr = args->attr;
    wg__extents a = wg__extents_of_rows(&args->in[0]);
    const real *w = args->n_in > 2 ? args->in[2].data : NULL;
    real *out = args->out.data, share = (real)(attr->smoothing / (double)attr->classes);
    int64_t first, stop;
    wg__reduce_cut(a, task, &first, &stop);
    for (int64_t i = first; i < stop; i++) {
        const real *x = (const real *)args->in[0].data + i * a.n;
        int64_t label = label_of(args, &args->in[1], i, true);
        out[i] = 0;
        if (label < 0) continue;
        real top = row_shift(x, a.n), rest = (real)log(row_exp_sum(x, top, a.n));
        out[i] = (rest - (x[label] - top)) * (w ? w[label] : 1);
        if (attr->smoothing == 0) continue;
        out[i] = (real)(1 - attr->smoothing) * out[i] + share * smooth_sum(x, w, top, rest, a.n);
    }
}

/* The sum over c of a row's target: w[label] (1 - eps) + eps mean(w). */
static real target_sum(const wg__cross_entropy_attr *attr, const real *w, real w_sum, int64_t label)
{
    if (!w) return 1;
    return (real)(1 - attr->smoothing) * w[label] + (real)(attr->smoothing / (double)attr->classes) * w_sum;
}

/* operands: logits, labels, gradient of the rows, class weights or none;
 * g (softmax sum(target) - target) */
void WG__K(cross_entropy_grad)(const wg_args *args, int64_t task)
{
    const wg__cross_entropy_attr *attr = args->attr;
    wg__extents a = wg__extents_of_rows(&args->in[0]);
    const real *g = args->in[2].data, *w = args->n_in > 3 ? args->in[3].data : NULL;
    real w_sum = w ? row_combine(COMBINE_SUM, w, a.n) : 0, share = (real)(attr->smoothing / (double)attr->classes);
    int64_t first, stop;
    wg__reduce_cut(a, task, &first, &stop);
    for (int64_t i = first; i < stop; i++) {
        real *out = (real *)args->out.data + i * a.n;
        int64_t label = label_of(args, &args->in[1], i, true);
        if (label < 0) {
            memset(out, 0, (size_t)a.n * sizeof(real));
            continue;
        }
        /* If all are -inf the loss is NaN; so is its gradient. */
        if (row_softmax((const real *)args->in[0].data + i * a.n, out, a.n) == 0)
            for (int64_t c = 0; c < a.n; c++) out[c] = NAN;
        real factor = g[i] * target_sum(attr, w, w_sum, label), even = g[i] * share;
        if (attr->smoothing == 0) {
            for (int64_t c = 0; c < a.n; c += VLANES)
                store_some(out + c, load_some(out + c, a.n - c) * factor, a.n - c);
        } else {
            for (int64_t c = 0; c < a.n; c++) out[c] = out[c] * factor - even * (w ? w[c] : 1);
        }
        out[label] -= g[i] * (real)(1 - attr->smoothing) * (w ? w[label] : 1);
    }
}

/* operands: labels, class weights or none; the sum of each row's target, 0 if the row is ignored */
void WG__K(target_weight)(const wg_args *args, int64_t task)
{
    const wg__cross_entropy_attr *attr = args->attr;
    const real *w = args->n_in > 1 ? args->in[1].data : NULL;
    real *out = args->out.data, w_sum = w ? row_combine(COMBINE_SUM, w, attr->classes) : 0;
    int64_t first, stop;
    wg__reduce_cut((wg__extents){args->out.numel, 1, 1}, task, &first, &stop);
    for (int64_t i = first; i < stop; i++) {
        int64_t label = label_of(args, &args->in[0], i, false);
        out[i] = label < 0 ? 0 : target_sum(attr, w, w_sum, label);
    }
}

/* operands: labels, class weights or none; 1 / the sum of w[label] over the rows that are not ignored, 0 if there is
 * none */
void WG__K(label_scale)(const wg_args *args, int64_t task)
{
    const real *w = args->n_in > 1 ? args->in[1].data : NULL;
    real e[BLOCK];
    row a;
    int64_t n = args->in[0].numel, counted = 0;
    row_begin(COMBINE_SUM, &a);
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t count = min64(n - i, BLOCK);
        for (int64_t j = 0; j < count; j++) {
            int64_t label = label_of(args, &args->in[0], i + j, false);
            counted += label >= 0;
            e[j] = label < 0 || !w ? 0 : w[label];
        }
        if (w) row_block(COMBINE_SUM, &a, e, count);
    }
    real sum = w ? row_end(COMBINE_SUM, &a) : (real)counted;
    *(real *)args->out.data = sum == 0 ? 0 : 1 / sum;
}
