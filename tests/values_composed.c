/* Values of losses and norms that are made of other ops. (einsum, discrete choices, CTC: test_composed.) */
#include "values_tests.h"

static array x, y, z, weight, bias, want, mean, var;

/* The losses of the rows are want; their reductions, too, are those of the function. */
static wg_tensor reduced(int kind, wg_tensor a, wg_tensor b, wg_reduction reduction)
{
    switch (kind) {
    case 0: return wg_mse(a, b, reduction);
    case 1: return wg_huber(a, b, 0.7, reduction);
    case 2: return wg_binary_cross_entropy(a, b, reduction);
    default: return wg_kl(a, b, reduction);
    }
}

static double loss_of(int kind, double a, double t)
{
    double d = fabs(a - t), p = 1 / (1 + exp(-a));
    switch (kind) {
    case 0: return d * d;
    case 1: return d <= 0.7 ? 0.5 * d * d : 0.7 * (d - 0.35);
    case 2: return -t * log(p) - (1 - t) * log(1 - p);
    default: return t > 0 ? t * (log(t) - a) : 0;
    }
}

static void expect_reductions(const char *name, wg_tensor each, wg_tensor sum, wg_tensor average)
{
    double total = 0;
    expect_values(name, each, &want);
    int64_t n = want.n;
    for (int64_t i = 0; i < n; i++) total += want.x[i];
    shape_set(&want, WG_SCALAR);
    want.x[0] = total;
    expect_values(name, sum, &want);
    want.x[0] = total / (double)n;
    expect_values(name, average, &want);
}

static void probability_losses(void)
{
    int64_t rows = 1 + draw(4), classes = 1 + draw(5);
    fill_random(&x, WG_DIMS(rows, classes));
    fill_random(&y, x.shape);
    fill_whole(&z, WG_DIMS(rows), (int)classes);
    for (int64_t i = 0; i < y.n; i++) y.x[i] = (y.x[i] + 2) / 4;
    wg_tensor logits = strided(&x), labels = strided(&y), index = leaf(&z, WG_I32);
    shape_set(&want, WG_DIMS(rows));
    for (int64_t r = 0; r < rows; r++) want.x[r] = -x.x[r * classes + (int64_t)z.x[r]];
    expect_reductions("nll", wg_nll(logits, index, WG_REDUCE_NONE), wg_nll(logits, index, WG_SUM),
                      wg_nll(logits, index, WG_MEAN));
    fill_random(&weight, WG_DIMS(classes));
    for (int64_t c = 0; c < classes; c++) weight.x[c] = fabs(weight.x[c]);
    wg_cross_entropy_options o = wg_cross_entropy_defaults();
    o.class_weights = leaf(&weight, WG_F64);
    o.ignore_index = draw((uint32_t)classes);
    o.reduction = WG_REDUCE_NONE;
    double weighted = 0, weights = 0;
    shape_set(&want, WG_DIMS(rows));
    for (int64_t r = 0; r < rows; r++) {
        const int64_t c = (int64_t)z.x[r];
        const double w = c == o.ignore_index ? 0 : weight.x[c];
        want.x[r] = -w * x.x[r * classes + c];
        weighted += want.x[r];
        weights += w;
    }
    expect_values("nll_with", wg_nll_with(logits, index, o), &want);
    o.reduction = WG_MEAN;
    shape_set(&want, WG_SCALAR);
    want.x[0] = weights > 0 ? weighted / weights : 0;
    expect_values("nll_with, its mean", wg_nll_with(logits, index, o), &want);
    double total = 0;
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t c = 0; c < classes; c++) sum += exp(x.x[r * classes + c]);
        for (int64_t c = 0; c < classes; c++) total -= y.x[r * classes + c] * (x.x[r * classes + c] - log(sum));
    }
    shape_set(&want, WG_SCALAR);
    want.x[0] = total / (double)rows;
    expect_values("cross_entropy of probabilities", wg_cross_entropy(logits, labels), &want);
}

/* Of sequences: only times below the length count. */
static void sequence_loss(void)
{
    int64_t B = 1 + draw(3), T = 1 + draw(4), classes = 1 + draw(5);
    double total = 0, count = 0;
    fill_random(&x, WG_DIMS(B, T, classes));
    fill_whole(&y, WG_DIMS(B, T), (int)classes);
    fill_whole(&z, WG_DIMS(B), (int)T + 1);
    for (int64_t i = 0; i < B * T; i++) {
        if ((double)(i % T) >= z.x[i / T]) continue;
        double sum = 0;
        for (int64_t c = 0; c < classes; c++) sum += exp(x.x[i * classes + c]);
        total += log(sum) - x.x[i * classes + (int64_t)y.x[i]];
        count++;
    }
    shape_set(&want, WG_SCALAR);
    want.x[0] = count > 0 ? total / count : 0;
    expect_values("cross_entropy_lengths",
                  wg_cross_entropy_lengths(strided(&x), leaf(&y, WG_I32), leaf(&z, WG_I32)), &want);
}

void composed_losses(void)
{
    static const char *const names[] = {"mse", "huber", "binary_cross_entropy", "kl"};
    int kind = (int)draw(4);
    fill_random(&x, random_shape(0, 3, 1));
    fill_random(&y, x.shape);
    for (int64_t i = 0; i < y.n; i++) y.x[i] = kind < 2 ? y.x[i] : draw(5) ? (y.x[i] + 2) / 4 : 0;
    shape_set(&want, x.shape);
    for (int64_t i = 0; i < x.n; i++) want.x[i] = loss_of(kind, x.x[i], y.x[i]);
    wg_tensor a = strided(&x), t = strided(&y);
    expect_reductions(names[kind], reduced(kind, a, t, WG_REDUCE_NONE), reduced(kind, a, t, WG_SUM),
                      reduced(kind, a, t, WG_MEAN));
    probability_losses();
    sequence_loss();
}

static void rms(void)
{
    fill_random(&x, random_shape(1, 3, 1));
    int64_t n = x.shape.size[x.shape.rank - 1];
    fill_random(&weight, WG_DIMS(n));
    want = x;
    for (int64_t i = 0; i < x.n; i++) {
        double squares = 0;
        for (int64_t k = 0; k < n; k++) squares += x.x[i / n * n + k] * x.x[i / n * n + k];
        want.x[i] = x.x[i] / sqrt(squares / (double)n + 0.01) * weight.x[i % n];
    }
    expect_values("rms_norm", wg_rms_norm(strided(&x), strided(&weight), 0.01), &want);
}

/* x[N, C, ...]: numbers of a channel are those whose second coordinate it is. */
static void batch(void)
{
    wg_shape shape = random_shape(2, 4, 1);
    shape.size[0]++; /* a channel has more than one value */
    int64_t C = shape.size[1], inner = 1;
    for (int d = 2; d < shape.rank; d++) inner *= shape.size[d];
    fill_random(&x, shape);
    fill_random(&weight, WG_DIMS(C));
    fill_random(&bias, WG_DIMS(C));
    shape_set(&mean, WG_DIMS(C));
    shape_set(&var, WG_DIMS(C));
    double each = (double)(x.n / C);
    for (int64_t c = 0; c < C; c++) {
        mean.x[c] = var.x[c] = 0;
        for (int64_t i = 0; i < x.n; i++) mean.x[c] += i / inner % C == c ? x.x[i] / each : 0;
        for (int64_t i = 0; i < x.n; i++) var.x[c] += i / inner % C == c ? pow(x.x[i] - mean.x[c], 2) / each : 0;
    }
    want = x;
    for (int64_t i = 0; i < x.n; i++) {
        int64_t c = i / inner % C;
        want.x[i] = (x.x[i] - mean.x[c]) / sqrt(var.x[c] + 0.01) * weight.x[c] + bias.x[c];
    }
    wg_tensor t = strided(&x), w = leaf(&weight, WG_F64), b = leaf(&bias, WG_F64), got_mean, got_var;
    wg_tensor given = wg_batch_norm(t, w, b, leaf(&mean, WG_F64), leaf(&var, WG_F64), 0.01);
    expect_values("batch_norm", given, &want);
    expect_values("batch_norm_train", wg_batch_norm_train(t, w, b, 0.01, &got_mean, &got_var), &want);
    wg_tensor center = node_of("center", t);
    shape_set(&want, WG_DIMS(3, C));
    for (int64_t c = 0; c < C; c++) want.x[c] = mean.x[c], want.x[C + c] = 0, want.x[2 * C + c] = 1;
    expect_values("center", center, &want);
    expect_values("mean of batch_norm_train", got_mean, &mean);
    expect_values("variance of batch_norm_train", got_var, &var);
}

void composed_norms(void)
{
    rms();
    batch();
}
