/* Values of ops that only gradients and the engine record: by the formula of the gradient, written out in loops. */
#include "values_tests.h"

static array x, y, g, want;

/* A line along an axis: in, the gradient of the result, out. */
typedef void line_gradient(const double *in, const double *grad, double *out, int64_t n);

/* want: the work on every line of x and g along an axis. */
static void lines(int axis, line_gradient *work)
{
    shape_set(&want, x.shape);
    int64_t n = x.shape.size[axis], inner = 1;
    for (int d = axis + 1; d < x.shape.rank; d++) inner *= x.shape.size[d];
    for (int64_t i = 0; i < x.n; i++) {
        if (i / inner % n != 0) continue;
        double in[8] = {0}, grad[8] = {0}, out[8];
        for (int64_t k = 0; k < n; k++) in[k] = x.x[i + k * inner], grad[k] = g.x[i + k * inner];
        work(in, grad, out, n);
        for (int64_t k = 0; k < n; k++) want.x[i + k * inner] = out[k];
    }
}

/* e^x_i / sum e^x and the gradient through it: p_i (g_i - sum p g). */
static void of_softmax(const double *in, const double *grad, double *out, int64_t n)
{
    double sum = 0, mean = 0;
    for (int64_t i = 0; i < n; i++) sum += exp(in[i]);
    for (int64_t i = 0; i < n; i++) mean += exp(in[i]) / sum * grad[i];
    for (int64_t i = 0; i < n; i++) out[i] = exp(in[i]) / sum * (grad[i] - mean);
}

/* g_i - p_i sum g */
static void of_log_softmax(const double *in, const double *grad, double *out, int64_t n)
{
    double sum = 0, total = 0;
    for (int64_t i = 0; i < n; i++) sum += exp(in[i]), total += grad[i];
    for (int64_t i = 0; i < n; i++) out[i] = grad[i] - exp(in[i]) / sum * total;
}

/* g p_i, of which each line has one g: its first */
static void of_logsumexp(const double *in, const double *grad, double *out, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += exp(in[i]);
    for (int64_t i = 0; i < n; i++) out[i] = exp(in[i]) / sum * grad[0];
}

/* x_j reaches the sums from j on. */
static void of_cumsum(const double *in, const double *grad, double *out, int64_t n)
{
    double sum = 0;
    for (int64_t i = n - 1; i >= 0; i--) out[i] = sum += grad[i];
}

static void of_sort(const double *in, const double *grad, double *out, int64_t n) /* ascending, stable */
{
    for (int64_t i = 0; i < n; i++) {
        int64_t rank = 0;
        for (int64_t k = 0; k < n; k++) rank += in[k] < in[i] || (in[k] == in[i] && k < i);
        out[i] = grad[rank];
    }
}

void row_gradients(void)
{
    fill_random(&x, random_shape(1, 4, 1));
    fill_random(&g, x.shape);
    int axis = (int)draw((uint32_t)x.shape.rank);
    wg_tensor t = strided(&x), grad = strided(&g);
    lines(axis, of_softmax);
    wg_tensor got = wg_grad1(wg_softmax(t, axis), t, grad);
    expect_values("gradient of softmax", got, &want);
    lines(axis, of_log_softmax);
    got = wg_grad1(wg_log_softmax(t, axis), t, grad);
    expect_values("gradient of log_softmax", got, &want);
    lines(axis, of_logsumexp);
    wg_tensor each = wg_slice(grad, axis, 0, 1);
    expect_values("gradient of logsumexp", wg_grad1(wg_logsumexp(t, WG_AXES(axis), true), t, each), &want);
    if (axis == x.shape.rank - 1) expect_values("logsumexp_grad", node_of("logsumexp_grad", t), &want);
    lines(axis, of_cumsum);
    expect_values("gradient of cumsum", wg_grad1(wg_cumsum(t, axis), t, grad), &want);
    lines(axis, of_sort);
    expect_values("gradient of sort", wg_grad1(wg_sort(t, axis, false), t, grad), &want);
}

/* Each element's factor is the product of the others. */
static void others(const double *in, const double *grad, double *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        out[i] = 1;
        for (int64_t k = 0; k < n; k++) out[i] *= k == i ? 1 : in[k];
    }
}

void product_gradient(void)
{
    fill_random(&x, random_shape(1, 4, 1));
    for (int64_t i = 0; i < x.n; i++)
        if (draw(4) == 0) x.x[i] = 0;
    g = x;
    int axis = (int)draw((uint32_t)x.shape.rank);
    wg_tensor t = strided(&x), product = wg_prod(t, WG_AXES(axis), true);
    wg_tensor got = wg_grad1(product, t, wg_ones_like(product));
    lines(axis, others);
    expect_values("gradient of prod", got, &want);
    expect_values("prod_others", node_of("prod_others", t), &want);
}

/* What the engine copies when a view cannot be read in place. */
void copies(void)
{
    fill_random(&x, random_shape(0, 4, 0));
    wg_tensor t = strided(&x);
    expect_values("copy", wg_record(op_named("copy"), &t, 1, NULL, 0), &x);
    int axis = x.shape.rank ? (int)draw((uint32_t)x.shape.rank) : 0;
    if (x.shape.rank == 0) return;
    want = x;
    for (int64_t i = 0; i < x.n; i++) {
        int64_t at[8];
        place(&x.shape, i, at);
        at[axis] = x.shape.size[axis] - 1 - at[axis];
        want.x[i] = x.x[offset(&x.shape, at)];
    }
    expect_values("flip", wg_flip(t, axis), &want);
}

/* ---- by index, by slice ---- */

void index_gradients(void)
{
    fill_random(&x, random_shape(1, 3, 1));
    int axis = x.shape.rank == 2 ? 0 : (int)draw((uint32_t)x.shape.rank);
    wg_shape shape = x.shape;
    fill_whole(&y, WG_DIMS(draw(6)), (int)shape.size[axis]);
    shape.size[axis] = y.n;
    fill_random(&g, shape);
    shape_set(&want, x.shape);
    for (int64_t i = 0; i < want.n; i++) want.x[i] = 0;
    for (int64_t i = 0; i < g.n; i++) {
        int64_t at[8];
        place(&shape, i, at);
        at[axis] = (int64_t)y.x[at[axis]];
        want.x[offset(&x.shape, at)] += g.x[i];
    }
    wg_tensor t = strided(&x), index = leaf(&y, WG_I32), grad = strided(&g);
    expect_values("gradient of index_select", wg_grad1(wg_index_select(t, axis, index), t, grad), &want);
    if (x.shape.rank == 2) expect_values("gradient of embedding", wg_grad1(wg_embedding(t, index), t, grad), &want);
}

void slice_gradients(void)
{
    fill_random(&x, random_shape(1, 4, 1));
    int axis = (int)draw((uint32_t)x.shape.rank);
    int64_t size = x.shape.size[axis], start = draw((uint32_t)size), step = 1 + draw(3);
    wg_tensor t = strided(&x), part = wg_slice_step(t, axis, start, size, step);
    fill_random(&g, wg_shape_get(part));
    shape_set(&want, x.shape);
    for (int64_t i = 0; i < want.n; i++) {
        int64_t at[8];
        place(&x.shape, i, at);
        bool inside = at[axis] >= start && (at[axis] - start) % step == 0;
        at[axis] = inside ? (at[axis] - start) / step : 0;
        want.x[i] = inside ? g.x[offset(&g.shape, at)] : 0;
    }
    expect_values("gradient of slice_step", wg_grad1(part, t, strided(&g)), &want);
}

/* A gap of step - 1 zeros after each but the last: what the gradient of a slice with a step begins with. */
void spread(void)
{
    fill_random(&x, random_shape(1, 3, 1));
    int axis = (int)draw((uint32_t)x.shape.rank);
    int64_t step = 2 + draw(2), n = x.shape.size[axis];
    wg_shape shape = x.shape;
    shape.size[axis] = (n - 1) * step + 1;
    fill_random(&y, shape);
    shape_set(&want, shape);
    for (int64_t i = 0; i < want.n; i++) {
        int64_t at[8];
        place(&shape, i, at);
        bool on = at[axis] % step == 0;
        at[axis] /= step;
        want.x[i] = on ? x.x[offset(&x.shape, at)] : 0;
    }
    wg_tensor whole = strided(&y);
    expect_values("spread", wg_grad1(wg_slice_step(whole, axis, 0, shape.size[axis], step), whole, strided(&x)),
                  &want);
}

/* ---- losses and norms ---- */

/* The loss of a row is -sum_c t_c log p_c with t_c = w_c ((1 - e) [c = label] + e / C), 0 for ignored labels. The mean
 * divides by the sum of w_label. Its gradient by the logits: g (p sum t - t). */
void loss_gradients(void)
{
    int64_t rows = 1 + draw(5), classes = 1 + draw(6);
    double epsilon = draw(2) ? 0.1 : 0, weights[8], targets[64], weight_sum = 0;
    int ignored = draw(2) ? (int)draw((uint32_t)classes) : -100;
    fill_random(&x, WG_DIMS(rows, classes));
    fill_whole(&y, WG_DIMS(rows), (int)classes);
    fill_random(&g, WG_DIMS(rows));
    static array losses, totals;
    shape_set(&want, x.shape);
    shape_set(&losses, WG_DIMS(rows));
    shape_set(&totals, WG_DIMS(rows));
    for (int64_t c = 0; c < classes; c++) weights[c] = 0.5 + draw(4);
    for (int64_t r = 0; r < rows; r++) {
        int64_t label = (int64_t)y.x[r];
        double sum = 0;
        losses.x[r] = totals.x[r] = 0;
        for (int64_t c = 0; c < classes; c++) sum += exp(x.x[r * classes + c]);
        for (int64_t c = 0; c < classes; c++) {
            double one = c == label ? 1 - epsilon : 0;
            double t = label == ignored ? 0 : weights[c] * (one + epsilon / (double)classes);
            targets[r * classes + c] = t;
            totals.x[r] += t;
            losses.x[r] -= t * (x.x[r * classes + c] - log(sum));
        }
        for (int64_t c = 0; c < classes; c++) {
            double p = exp(x.x[r * classes + c]) / sum;
            want.x[r * classes + c] = g.x[r] * (p * totals.x[r] - targets[r * classes + c]);
        }
        if (label != ignored) weight_sum += weights[label];
    }
    wg_cross_entropy_options o = wg_cross_entropy_defaults();
    o.class_weights = wg_data(tape, WG_F64, WG_DIMS(classes), weights);
    o.label_smoothing = epsilon;
    o.ignore_index = ignored;
    wg_tensor logits = strided(&x), labels = leaf(&y, WG_I32), grad = leaf(&g, WG_F64);
    wg_tensor mean = wg_cross_entropy_with(logits, labels, o), scale = node_of("label_scale", mean);
    o.reduction = WG_REDUCE_NONE;
    wg_tensor each = wg_cross_entropy_with(logits, labels, o);
    expect_values("each cross_entropy", each, &losses);
    expect_values("gradient of cross_entropy", wg_grad1(each, logits, grad), &want);
    wg_tensor first = wg_grad1(each, logits, grad), second = wg_grad1(first, logits, strided(&x));
    expect_values("target_weight", node_of("target_weight", second), &totals);
    shape_set(&want, wg_shape_get(scale));
    want.x[0] = weight_sum > 0 ? 1 / weight_sum : 0;
    expect_values("label_scale", scale, &want);
}

/* With a = g weight and n = (x - mean) / deviation: (a - mean a - n mean(a n)) / deviation; RMS norm: means are 0. */
static void norm_gradient_of(bool centered)
{
    static array weight;
    fill_random(&x, random_shape(1, 3, 1));
    fill_random(&g, x.shape);
    int64_t n = x.shape.size[x.shape.rank - 1];
    fill_random(&weight, WG_DIMS(n));
    want = x;
    for (int64_t row = 0; row < x.n; row += n) {
        double mean = 0, var = 0, mean_a = 0, mean_an = 0;
        for (int64_t i = 0; i < n && centered; i++) mean += x.x[row + i] / (double)n;
        for (int64_t i = 0; i < n; i++) var += pow(x.x[row + i] - mean, 2) / (double)n;
        const double deviation = sqrt(var + 0.01);
        for (int64_t i = 0; i < n; i++) {
            double a = g.x[row + i] * weight.x[i];
            mean_a += centered ? a / (double)n : 0;
            mean_an += a * (x.x[row + i] - mean) / deviation / (double)n;
        }
        for (int64_t i = 0; i < n; i++) {
            double a = g.x[row + i] * weight.x[i], normal = (x.x[row + i] - mean) / deviation;
            want.x[row + i] = (a - mean_a - normal * mean_an) / deviation;
        }
    }
    wg_tensor t = strided(&x), w = strided(&weight);
    wg_tensor out = centered ? wg_layer_norm(t, w, WG_NONE, 0.01) : wg_rms_norm(t, w, 0.01);
    expect_values(centered ? "gradient of layer_norm" : "gradient of rms_norm", wg_grad1(out, t, strided(&g)),
                  &want);
}

void norm_gradient(void)
{
    norm_gradient_of(true);
    norm_gradient_of(false);
}

/* Two steps add their gradients to a parameter's: 3 of the first, 4 x of the second. */
void accumulated(void)
{
    wg_params *set = wg_params_new(WG_F64);
    fill_random(&x, random_shape(0, 3, 0));
    wg_param *p = wg_param_new(set, "p", x.shape, wg_init_zeros());
    memcpy(wg_param_write_begin(p), x.x, (size_t)x.n * sizeof(double));
    wg_param_write_end(p);
    bool ok = wg_backward(wg_sum_all(wg_scale(wg_use(tape, p), 3))) == WG_OK && wg_tape_reset(tape) == WG_OK &&
              wg_backward(wg_sum_all(wg_scale(wg_square(wg_use(tape, p)), 2))) == WG_OK;
    const double *grad = wg_param_grad(p);
    for (int64_t i = 0; ok && i < x.n; i++) ok = fabs(grad[i] - (3 + 4 * x.x[i])) < 1e-14;
    if (!ok) FAIL("gradients are not added up");
    CHECK(wg_tape_reset(tape) == WG_OK);
    wg_params_free(set);
}
