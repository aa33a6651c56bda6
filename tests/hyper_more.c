/* More values: layers, losses and masks, on the tape and by their formulas in scalar code. */
#include "hyper_programs.h"

wg_tensor indices(program *p, int64_t n, const int32_t *index)
{
    return wg_data(p->tape, WG_I32, WG_DIMS(n), index);
}

/* The loss of each row. */
void classified(program *p)
{
    const value *a = any(p);
    const int64_t n = a->m.rows, classes = a->m.cols;
    int32_t label[MATRIX_MOST];
    double weight[MATRIX_MOST];
    wg_cross_entropy_options o = wg_cross_entropy_defaults();
    o.reduction = WG_REDUCE_NONE;
    o.label_smoothing = roll(&p->dice, 2) ? 0.2 : 0;
    for (int64_t r = 0; r < n; r++)
        label[r] = roll(&p->dice, 5) ? (int32_t)roll(&p->dice, (uint32_t)classes) : -100;
    for (int64_t c = 0; c < classes; c++) weight[c] = 1.5 + real_of(p);
    o.class_weights = wg_data(p->tape, WG_F64, WG_DIMS(classes), weight);
    matrix *y =
        next(p, "cross_entropy", wg_unsqueeze(wg_cross_entropy_with(a->t, indices(p, n, label), o), 1), n, 1);
    for (int64_t r = 0; r < n; r++) {
        hyper log_p[MATRIX_MOST];
        l_log_softmax(&AT(&a->m, r, 0), log_p, classes);
        y->x[r] = h_of(0);
        for (int64_t c = 0; c < classes && label[r] >= 0; c++) {
            const double target = o.label_smoothing / (double)classes + (c == label[r]) * (1 - o.label_smoothing);
            y->x[r] = h_sub(y->x[r], h_scale(log_p[c], target * weight[c]));
        }
    }
}

/* A value with the columns of a; a itself if there is none. */
static const value *as_wide(program *p, const value *a)
{
    for (int i = 0; i < 6; i++) {
        const value *b = any(p);
        if (b->m.cols == a->m.cols) return b;
    }
    return a;
}

/* The bias is the first column of the weight. */
void linear(program *p)
{
    const value *a = any(p), *w = as_wide(p, a);
    if (a->m.rows * w->m.rows > MATRIX_MOST) return;
    const wg_tensor t = wg_linear(a->t, w->t, wg_select(w->t, 1, 0));
    matrix *y = next(p, "linear", wg_tanh(t), a->m.rows, w->m.rows);
    EACH(y, r, c)
    {
        hyper sum = AT(&w->m, c, 0);
        for (int64_t k = 0; k < a->m.cols; k++) sum = h_add(sum, h_mul(AT(&a->m, r, k), AT(&w->m, c, k)));
        AT(y, r, c) = h_tanh(sum);
    }
}

/* A norm whose weight is a row of some value, and whose bias is one of the operand. */
void weighted(program *p)
{
    const value *a = any(p), *w = as_wide(p, a);
    const bool rms = roll(&p->dice, 2);
    const wg_tensor weight = wg_select(w->t, 0, 0), bias = wg_select(a->t, 0, -1);
    const wg_tensor t = rms ? wg_rms_norm(a->t, weight, 0.01) : wg_layer_norm(a->t, weight, bias, 0.01);
    matrix *y = next(p, rms ? "weighted_rms_norm" : "weighted_layer_norm", t, a->m.rows, a->m.cols);
    for (int64_t r = 0; r < y->rows; r++) {
        (rms ? l_rms : l_normal)(&AT(&a->m, r, 0), &AT(y, r, 0), y->cols);
        for (int64_t c = 0; c < y->cols; c++) {
            AT(y, r, c) = h_mul(AT(y, r, c), AT(&w->m, 0, c));
            if (!rms) AT(y, r, c) = h_add(AT(y, r, c), AT(&a->m, a->m.rows - 1, c));
        }
    }
}

/* Softmax of what a random mask allows, which may be nothing. */
void masked(program *p)
{
    const value *a = any(p);
    uint8_t seen[MATRIX_MOST];
    EACH(&a->m, r, c) seen[r * a->m.cols + c] = roll(&p->dice, 3) > 0;
    const wg_tensor mask = wg_data(p->tape, WG_BOOL, WG_DIMS(a->m.rows, a->m.cols), seen);
    matrix *y = next(p, "masked_softmax", wg_masked_softmax(a->t, mask, 1), a->m.rows, a->m.cols);
    for (int64_t r = 0; r < y->rows; r++) {
        hyper in[MATRIX_MOST], out[MATRIX_MOST];
        int64_t n = 0, k = 0;
        for (int64_t c = 0; c < y->cols; c++)
            if (seen[r * y->cols + c]) in[n++] = AT(&a->m, r, c);
        if (n > 0) l_softmax(in, out, n);
        for (int64_t c = 0; c < y->cols; c++) AT(y, r, c) = seen[r * y->cols + c] ? out[k++] : h_of(0);
    }
}

/* Elements of each row, with repeats. */
void gathered(program *p)
{
    const value *a = any(p);
    int32_t index[MATRIX_MOST];
    EACH(&a->m, r, c) index[r * a->m.cols + c] = (int32_t)roll(&p->dice, (uint32_t)a->m.cols);
    const wg_tensor where = wg_data(p->tape, WG_I32, WG_DIMS(a->m.rows, a->m.cols), index);
    matrix *y = next(p, "gather", wg_gather(a->t, 1, where), a->m.rows, a->m.cols);
    EACH(y, r, c) AT(y, r, c) = AT(&a->m, r, index[r * a->m.cols + c]);
}

void padded(program *p)
{
    const value *a = any(p);
    const int64_t before = roll(&p->dice, 3), after = roll(&p->dice, 2);
    if ((a->m.rows + before + after) * a->m.cols > MATRIX_MOST) return;
    const double number = roll(&p->dice, 2) ? 0.5 : 0;
    const wg_tensor t = number > 0 ? wg_pad_value(a->t, 0, before, after, number) : wg_pad(a->t, 0, before, after);
    matrix *y = next(p, "pad", t, a->m.rows + before + after, a->m.cols);
    EACH(y, r, c) AT(y, r, c) = r < before || r >= before + a->m.rows ? h_of(number) : AT(&a->m, r - before, c);
}

/* kl of distributions along rows; one of them may be the other. */
void divergence(program *p)
{
    const value *a = any(p), *b = as_wide(p, a);
    if (b->m.rows != a->m.rows) b = a;
    const wg_tensor t = wg_kl(wg_log_softmax(a->t, 1), wg_softmax(b->t, 1), WG_REDUCE_NONE);
    matrix *y = next(p, "kl", t, a->m.rows, a->m.cols);
    for (int64_t r = 0; r < y->rows; r++) {
        hyper log_q[MATRIX_MOST], log_t[MATRIX_MOST];
        l_log_softmax(&AT(&a->m, r, 0), log_q, y->cols);
        l_log_softmax(&AT(&b->m, r, 0), log_t, y->cols);
        for (int64_t c = 0; c < y->cols; c++) AT(y, r, c) = h_mul(h_exp(log_t[c]), h_sub(log_t[c], log_q[c]));
    }
}

/* The rows are the steps of one sequence: the sum over all paths, by the recursion on probabilities. */
void ctc(program *p)
{
    const value *a = any(p);
    const int64_t steps = a->m.rows, classes = a->m.cols;
    const int n = (int)roll(&p->dice, 3),
              length = 2 * n + 1; /* of the target, and with blanks, which are class 0 */
    int32_t target[2], lengths[2] = {(int32_t)steps, n};
    if (classes < 2 || steps < length) return;
    for (int i = 0; i < n; i++) target[i] = 1 + (int32_t)roll(&p->dice, (uint32_t)classes - 1);
    const wg_tensor log_p = wg_unsqueeze(wg_log_softmax(a->t, 1), 1);
    const wg_tensor t = wg_ctc_loss(log_p, wg_data(p->tape, WG_I32, WG_DIMS(1, n), target), indices(p, 1, lengths),
                                    indices(p, 1, lengths + 1), 0, WG_SUM);
    matrix *y = next(p, "ctc_loss", wg_reshape(t, WG_DIMS(1, 1)), 1, 1);
    hyper alpha[5] = {{.x = 1}}; /* before the first step: a path may begin at the first blank or label */
    for (int64_t step = 0; step < steps; step++) {
        hyper log_row[MATRIX_MOST];
        l_log_softmax(&AT(&a->m, step, 0), log_row, classes);
        for (int s = length - 1; s >= 0; s--) {
            const int label = s % 2 ? target[s / 2] : 0;
            hyper sum = alpha[s];
            if (s > 0) sum = h_add(sum, alpha[s - 1]);
            if (s % 2 && s > 1 && label != target[s / 2 - 1]) sum = h_add(sum, alpha[s - 2]);
            alpha[s] = h_mul(sum, h_exp(log_row[label]));
        }
    }
    y->x[0] = h_scale(h_log(n ? h_add(alpha[length - 1], alpha[length - 2]) : alpha[0]), -1);
}
