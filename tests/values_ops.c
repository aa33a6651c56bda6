/* Values of ops against plain loops: random shapes, axes and strides. (Pointwise ops: test_pointwise_values;
 * gradients: test_ops; infinities and the like: test_corners.) */
#include "values_tests.h"

static array x, y, z, want;

/* ---- reductions, scans ---- */

enum { SUM, MEAN, MAX, MIN, PROD, VAR, VAR_OF_SAMPLE, LOGSUMEXP, ANY, ALL, KINDS };

static wg_tensor reduce(int kind, wg_tensor t, wg_axes axes, bool keep)
{
    switch (kind) {
    case SUM: return wg_sum(t, axes, keep);
    case MEAN: return wg_mean(t, axes, keep);
    case MAX: return wg_max(t, axes, keep);
    case MIN: return wg_min(t, axes, keep);
    case PROD: return wg_prod(t, axes, keep);
    case VAR: return wg_var(t, axes, keep, 0);
    case VAR_OF_SAMPLE: return wg_var(t, axes, keep, 1);
    case LOGSUMEXP: return wg_logsumexp(t, axes, keep);
    case ANY: return wg_any(t, axes, keep);
    default: return wg_all(t, axes, keep);
    }
}

static double reduced(int kind, const double *list, int64_t n)
{
    double sum = 0, product = 1, most = -INFINITY, least = INFINITY, exps = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += list[i];
        product *= list[i];
        most = fmax(most, list[i]);
        least = fmin(least, list[i]);
        exps += exp(list[i]);
    }
    for (int64_t i = 0; i < n; i++) squares += (list[i] - sum / (double)n) * (list[i] - sum / (double)n);
    const double results[] = {sum,
                              sum / (double)n,
                              most,
                              least,
                              product,
                              squares / (double)n,
                              squares / (double)(n - 1),
                              log(exps),
                              n > 0 && most > 0,
                              n == 0 || least > 0};
    return results[kind];
}

static void reduction(int kind)
{
    bool truth = kind >= ANY, empty = kind == SUM || kind == PROD || truth, keep = draw(2);
    wg_shape shape = random_shape(0, 4, !empty);
    if (truth)
        fill_whole(&x, shape, 2);
    else
        fill_random(&x, shape);
    uint32_t mask = draw(1u << shape.rank);
    if (mask == 0) mask = (1u << shape.rank) - 1;
    int64_t elements = 1;
    for (int d = 0; d < shape.rank; d++) elements *= mask >> d & 1 ? shape.size[d] : 1;
    if (kind == VAR_OF_SAMPLE && elements < 2) return;
    wg_axes axes = {0};
    wg_shape to = {0}, kept = {0};
    for (int d = 0; d < shape.rank; d++) {
        if (mask >> d & 1) axes.axis[axes.n++] = draw(2) ? d : d - shape.rank;
        if (!(mask >> d & 1) || keep) to.size[to.rank++] = mask >> d & 1 ? 1 : shape.size[d];
        kept.size[kept.rank++] = mask >> d & 1 ? 1 : shape.size[d];
    }
    shape_set(&want, to);
    for (int64_t i = 0; i < want.n; i++) {
        double list[MOST];
        int64_t n = 0;
        for (int64_t k = 0; k < x.n; k++) {
            int64_t at[8];
            place(&shape, k, at);
            for (int d = 0; d < shape.rank; d++)
                if (mask >> d & 1) at[d] = 0;
            if (offset(&kept, at) == i) list[n++] = x.x[k];
        }
        want.x[i] = reduced(kind, list, n);
    }
    static const char *const names[] = {"sum",       "mean", "max", "min", "prod", "var", "var of a sample",
                                        "logsumexp", "any",  "all"};
    expect_values(names[kind], reduce(kind, truth ? leaf(&x, WG_BOOL) : strided(&x), axes, keep), &want);
}

void reductions(void)
{
    for (int kind = 0; kind < KINDS; kind++) reduction(kind);
}

/* One line along an axis: read, work, write back. */
static void lines(int axis, void (*work)(const double *, double *, int64_t))
{
    shape_set(&want, x.shape);
    int64_t n = x.shape.size[axis], inner = 1;
    for (int d = axis + 1; d < x.shape.rank; d++) inner *= x.shape.size[d];
    for (int64_t i = 0; i < x.n; i++) {
        if (i / inner % n != 0) continue;
        double in[8], out[8];
        for (int64_t k = 0; k < n; k++) in[k] = x.x[i + k * inner];
        work(in, out, n);
        for (int64_t k = 0; k < n; k++) want.x[i + k * inner] = out[k];
    }
}

static void line_cumsum(const double *in, double *out, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) out[i] = sum += in[i];
}

static void line_softmax(const double *in, double *out, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += out[i] = exp(in[i]);
    for (int64_t i = 0; i < n; i++) out[i] /= sum;
}

static void line_log_softmax(const double *in, double *out, int64_t n)
{
    line_softmax(in, out, n);
    for (int64_t i = 0; i < n; i++) out[i] = log(out[i]);
}

static void line_order(const double *in, double *out, int64_t n) /* stable, ascending */
{
    for (int64_t i = 0; i < n; i++) {
        int64_t rank = 0;
        for (int64_t k = 0; k < n; k++) rank += in[k] < in[i] || (in[k] == in[i] && k < i);
        out[rank] = (double)i;
    }
}

static void line_order_down(const double *in, double *out, int64_t n) /* stable, descending */
{
    for (int64_t i = 0; i < n; i++) {
        int64_t rank = 0;
        for (int64_t k = 0; k < n; k++) rank += in[k] > in[i] || (in[k] == in[i] && k < i);
        out[rank] = (double)i;
    }
}

static void line_sort(const double *in, double *out, int64_t n)
{
    double order[8];
    line_order(in, order, n);
    for (int64_t i = 0; i < n; i++) out[i] = in[(int)order[i]];
}

void scans(void)
{
    wg_shape shape = random_shape(1, 4, 1);
    if (draw(3))
        fill_random(&x, shape);
    else
        fill_whole(&x, shape, 3); /* with ties */
    int axis = (int)draw((uint32_t)shape.rank);
    wg_tensor t = strided(&x);
    lines(axis, line_cumsum);
    expect_values("cumsum", wg_cumsum(t, axis), &want);
    lines(axis, line_softmax);
    expect_values("softmax", wg_softmax(t, axis), &want);
    lines(axis, line_log_softmax);
    expect_values("log_softmax", wg_log_softmax(t, axis - shape.rank), &want);
    lines(axis, line_sort);
    expect_values("sort", wg_sort(t, axis, false), &want);
    lines(axis, line_order);
    expect_values("argsort", wg_argsort(t, axis, false), &want);
    wg_tensor first = wg_slice(leaf(&want, WG_I32), axis, 0, 1);
    if (wg_value(first)) {
        array *w = &y;
        shape_set(w, wg_shape_get(first));
        for (int64_t i = 0; i < w->n; i++) w->x[i] = value_at(first, i);
        expect_values("argmin", wg_argmin(t, axis, true), w);
    }
    lines(axis, line_order_down);
    expect_values("argsort, descending", wg_argsort(t, axis, true), &want);
    wg_tensor index, best = wg_topk(t, 1, axis, true, &index), down = wg_slice(leaf(&want, WG_I32), axis, 0, 1);
    shape_set(&y, wg_shape_get(down));
    for (int64_t i = 0; i < y.n; i++) y.x[i] = value_at(down, i);
    expect_values("topk's index", index, &y);
    expect_values("argmax", wg_argmax(t, axis, true), &y);
    int k = (int)draw((uint32_t)shape.size[axis] + 1);
    lines(axis, line_sort);
    wg_tensor few = wg_slice(leaf(&want, WG_F64), axis, 0, k);
    array *w = &z;
    shape_set(w, wg_shape_get(few));
    for (int64_t i = 0; i < w->n; i++) w->x[i] = value_at(few, i);
    expect_values("the k smallest", wg_topk(t, k, axis, false, NULL), w);
    wg_tensor most = wg_max(t, WG_AXES(axis), true);
    for (int64_t i = 0; i < y.n; i++) y.x[i] = value_at(most, i);
    expect_values("topk", best, &y);
}

/* ---- products ---- */

void products(void)
{
    int64_t m = draw(6), k = draw(6), n = draw(6);
    wg_shape lead = random_shape(0, 2, 1), a = {0}, b = {0}, to = {0};
    int drop = (int)draw((uint32_t)lead.rank + 1);
    for (int i = 0; i < lead.rank; i++) {
        to.size[to.rank++] = lead.size[i];
        a.size[a.rank++] = draw(3) ? lead.size[i] : 1;
        if (i >= drop) b.size[b.rank++] = a.size[i] == lead.size[i] && draw(2) ? 1 : lead.size[i];
        if (i < drop) a.size[a.rank - 1] = lead.size[i];
    }
    a.size[a.rank++] = m, a.size[a.rank++] = k;
    b.size[b.rank++] = k, b.size[b.rank++] = n;
    to.size[to.rank++] = m, to.size[to.rank++] = n;
    fill_random(&x, a);
    fill_random(&y, b);
    shape_set(&want, to);
    for (int64_t i = 0; i < want.n; i++) {
        int64_t at[8], in_a[8], in_b[8];
        place(&to, i, at);
        for (int d = 0; d < a.rank - 2; d++) in_a[d] = a.size[d] == 1 ? 0 : at[d + to.rank - a.rank];
        for (int d = 0; d < b.rank - 2; d++) in_b[d] = b.size[d] == 1 ? 0 : at[d + to.rank - b.rank];
        in_a[a.rank - 2] = at[to.rank - 2];
        in_b[b.rank - 1] = at[to.rank - 1];
        want.x[i] = 0;
        for (int64_t s = 0; s < k; s++) {
            in_a[a.rank - 1] = in_b[b.rank - 2] = s;
            want.x[i] += x.x[offset(&a, in_a)] * y.x[offset(&b, in_b)];
        }
    }
    wg_tensor ta = strided(&x), tb = strided(&y);
    double sum = 0;
    for (int64_t i = 0; i < x.n; i++) sum += x.x[i] * x.x[i];
    shape_set(&z, WG_SCALAR);
    z.x[0] = sum;
    expect_values("dot", wg_dot(ta, ta), &z);
    expect_values("matmul", wg_matmul(ta, tb), &want);
    if (a.rank == 2 && b.rank == 2 && m > 0) {
        shape_set(&z, WG_DIMS(n));
        memcpy(z.x, want.x, (size_t)n * sizeof(double));
        expect_values("matmul of a row", wg_matmul(wg_select(ta, 0, 0), tb), &z);
    }
    if (a.rank == 2 && b.rank == 2 && k > 0 && n > 0) {
        shape_set(&z, WG_DIMS(k, n));
        for (int64_t i = 0; i < z.n; i++) z.x[i] = y.x[i / n * n] * y.x[i % n];
        expect_values("outer", wg_outer(wg_select(tb, 1, 0), wg_select(tb, 0, 0)), &z);
    }
    if (b.rank != 2) return;
    fill_random(&z, WG_DIMS(n));
    for (int64_t i = 0; i < want.n; i++) want.x[i] += z.x[i % n];
    expect_values("linear", wg_linear(ta, wg_t(tb), strided(&z)), &want);
}

/* ---- by index ---- */

void by_index(void)
{
    fill_random(&x, random_shape(1, 3, 1));
    int axis = (int)draw((uint32_t)x.shape.rank);
    int64_t size = x.shape.size[axis];
    wg_shape shape = x.shape;
    shape.size[axis] = draw(6);
    fill_whole(&y, shape, (int)size);
    fill_random(&z, shape);
    shape_set(&want, shape);
    int64_t at[8];
    for (int64_t i = 0; i < want.n; i++) {
        place(&shape, i, at);
        at[axis] = (int64_t)y.x[i];
        want.x[i] = x.x[offset(&x.shape, at)];
    }
    wg_tensor t = strided(&x), index = leaf(&y, WG_I32);
    expect_values("gather", wg_gather(t, axis, index), &want);

    want = x;
    for (int64_t i = 0; i < z.n; i++) {
        place(&shape, i, at);
        at[axis] = (int64_t)y.x[i];
        want.x[offset(&x.shape, at)] += z.x[i];
    }
    expect_values("scatter_add", wg_scatter_add(t, axis, index, strided(&z)), &want);

    shape.size[axis] = draw((uint32_t)size + 1);
    fill_random(&z, shape);
    const int64_t start = (int64_t)draw(12) - 3;
    const int64_t first = start < 0 ? 0 : start > size - shape.size[axis] ? size - shape.size[axis] : start;
    want = x;
    for (int64_t i = 0; i < z.n; i++) {
        place(&shape, i, at);
        at[axis] += first;
        want.x[offset(&x.shape, at)] = z.x[i];
    }
    wg_tensor position = wg_scalar(t.tape, WG_I32, (double)start);
    expect_values("update_slice", wg_update_slice(t, axis, position, strided(&z)), &want);

    fill_whole(&y, WG_DIMS(shape.size[axis]), (int)size);
    shape_set(&want, shape);
    for (int64_t i = 0; i < want.n; i++) {
        place(&shape, i, at);
        at[axis] = (int64_t)y.x[at[axis]];
        want.x[i] = x.x[offset(&x.shape, at)];
    }
    expect_values("index_select", wg_index_select(t, axis, leaf(&y, WG_I32)), &want);
    if (axis == 0) {
        want.shape = WG_DIMS(shape.size[0], x.n / size);
        expect_values("embedding", wg_embedding(wg_reshape(t, WG_DIMS(size, -1)), leaf(&y, WG_I32)), &want);
    }

    fill_whole(&y, random_shape(0, 3, 0), 4);
    shape = y.shape;
    shape.size[shape.rank++] = 4;
    shape_set(&want, shape);
    for (int64_t i = 0; i < want.n; i++) want.x[i] = y.x[i / 4] == (double)(i % 4);
    expect_values("one_hot", wg_one_hot(leaf(&y, WG_I32), 4, WG_F64), &want);
}

void masks(void)
{
    int64_t rows = draw(6), cols = draw(6), diagonal = (int64_t)draw(13) - 6;
    fill_random(&x, WG_DIMS(rows, cols));
    y = want = x;
    for (int64_t i = 0; i < x.n; i++) {
        bool lower = i % cols <= i / cols + diagonal, upper = i % cols >= i / cols + diagonal;
        want.x[i] = lower ? x.x[i] : 0;
        y.x[i] = upper ? x.x[i] : 0;
    }
    expect_values("tril", wg_tril(strided(&x), diagonal), &want);
    expect_values("triu", wg_triu(strided(&x), diagonal), &y);
    for (int64_t i = 0; i < x.n; i++) {
        want.x[i] = i % cols <= i / cols + diagonal;
        y.x[i] = i % cols >= i / cols + diagonal;
    }
    expect_values("tril_mask", wg_tril_mask(tape, rows, cols, diagonal), &want);
    expect_values("triu_mask", wg_triu_mask(tape, rows, cols, diagonal), &y);
    fill_whole(&z, WG_DIMS(rows), 6);
    for (int64_t i = 0; i < x.n; i++) want.x[i] = (double)(i % cols) < z.x[i / cols];
    expect_values("length_mask", wg_length_mask(leaf(&z, WG_I32), cols), &want);
}

/* ---- losses, norm ---- */

void losses(void)
{
    int64_t rows = 1 + draw(5), classes = 1 + draw(6);
    double epsilon = draw(2) ? 0.1 : 0, total = 0, weight_sum = 0, weights[8];
    fill_random(&x, WG_DIMS(rows, classes));
    fill_whole(&y, WG_DIMS(rows), (int)classes);
    for (int64_t c = 0; c < classes; c++) weights[c] = 0.5 + draw(4);
    int ignored = draw(2) ? (int)draw((uint32_t)classes) : -100;
    lines(1, line_log_softmax);
    for (int64_t r = 0; r < rows; r++) {
        int64_t label = (int64_t)y.x[r];
        if (label == ignored) continue;
        for (int64_t c = 0; c < classes; c++) {
            double target = (c == label ? 1 - epsilon : 0) + epsilon / (double)classes;
            total -= weights[c] * target * want.x[r * classes + c];
        }
        weight_sum += weights[label];
    }
    wg_cross_entropy_options options = wg_cross_entropy_defaults();
    options.class_weights = wg_data(tape, WG_F64, WG_DIMS(classes), weights);
    options.label_smoothing = epsilon;
    options.ignore_index = ignored;
    shape_set(&want, WG_SCALAR);
    want.x[0] = weight_sum > 0 ? total / weight_sum : 0;
    expect_values("cross_entropy", wg_cross_entropy_with(strided(&x), leaf(&y, WG_I32), options), &want);

    fill_random(&z, x.shape);
    double mse = 0, huber = 0, bce = 0;
    for (int64_t i = 0; i < x.n; i++) {
        double d = fabs(x.x[i] - z.x[i]), t = (z.x[i] + 2) / 4;
        mse += d * d / (double)x.n;
        huber += (d <= 0.7 ? 0.5 * d * d : 0.7 * (d - 0.35)) / (double)x.n;
        double p = 1 / (1 + exp(-x.x[i]));
        bce -= t * log(p) + (1 - t) * log(1 - p);
    }
    wg_tensor a = strided(&x), b = strided(&z), share = wg_div_scalar(wg_add_scalar(b, 2), 4);
    want.x[0] = mse;
    expect_values("mse", wg_mse(a, b, WG_MEAN), &want);
    want.x[0] = huber;
    expect_values("huber", wg_huber(a, b, 0.7, WG_MEAN), &want);
    want.x[0] = bce;
    expect_values("binary_cross_entropy", wg_binary_cross_entropy(a, share, WG_SUM), &want);
}

void norms(void)
{
    fill_random(&x, random_shape(1, 3, 1));
    int64_t n = x.shape.size[x.shape.rank - 1];
    fill_random(&y, WG_DIMS(n));
    fill_random(&z, WG_DIMS(n));
    want = x;
    for (int64_t row = 0; row < x.n; row += n) {
        double mean = 0, var = 0;
        for (int64_t i = 0; i < n; i++) mean += x.x[row + i] / (double)n;
        for (int64_t i = 0; i < n; i++) var += (x.x[row + i] - mean) * (x.x[row + i] - mean) / (double)n;
        for (int64_t i = 0; i < n; i++)
            want.x[row + i] = (x.x[row + i] - mean) / sqrt(var + 0.01) * y.x[i] + z.x[i];
    }
    expect_values("layer_norm", wg_layer_norm(strided(&x), strided(&y), strided(&z), 0.01), &want);
}

/* Integers: the same as f64 on the same numbers. */
void integers(void)
{
    fill_whole(&x, random_shape(0, 3, 0), 9);
    for (int64_t i = 0; i < x.n; i++) x.x[i] -= 4;
    fill_whole(&y, x.shape, 5);
    wg_tensor a[2] = {leaf(&x, WG_I32), leaf(&x, WG_F64)}, b[2] = {leaf(&y, WG_I32), leaf(&y, WG_F64)};
    for (int kind = 0; kind < 14; kind++) {
        wg_tensor out[2];
        for (int k = 0; k < 2; k++) {
            wg_tensor p = a[k], q = b[k];
            const wg_tensor all[] = {wg_add(p, q),     wg_sub(p, q),           wg_mul(p, q),
                                     wg_maximum(p, q), wg_minimum(p, q),       wg_neg(p),
                                     wg_abs(p),        wg_square(p),           wg_equal(p, q),
                                     wg_less(p, q),    wg_greater_equal(p, q), wg_where(wg_less(p, q), p, q),
                                     wg_scale(p, 3),   wg_add_scalar(p, 2)};
            out[k] = all[kind];
        }
        shape_set(&want, x.shape);
        for (int64_t i = 0; i < want.n; i++) want.x[i] = value_at(out[1], i);
        expect_values("an i32 op", out[0], &want);
    }
}
