/* Values of norms and distances, of padding by elements, of group norm and rotary positions, by loops. */
#include "values_tests.h"

static array x, y, z, weight, bias, want;

static double norm_of(const double *v, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += v[i] * v[i];
    return sqrt(sum);
}

static double dot_of(const double *v, const double *w, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += v[i] * w[i];
    return sum;
}

/* cos of the angle; the norms are at least 1e-8. */
static double cosine_of(const double *v, const double *w, int64_t n)
{
    return dot_of(v, w, n) / fmax(norm_of(v, n), 1e-8) / fmax(norm_of(w, n), 1e-8);
}

static double apart(const double *v, const double *w, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (v[i] - w[i]) * (v[i] - w[i]);
    return sqrt(sum);
}

static void rows_and_pairs(void)
{
    const int64_t m = 1 + draw(4), k = 1 + draw(4), d = 1 + draw(5);
    fill_random(&x, WG_DIMS(m, d));
    fill_random(&y, WG_DIMS(k, d));
    fill_random(&z, WG_DIMS(m, d));
    wg_tensor a = strided(&x), b = strided(&y), c = strided(&z);
    shape_set(&want, WG_DIMS(m));
    for (int64_t i = 0; i < m; i++) want.x[i] = norm_of(x.x + i * d, d);
    expect_values("norm", wg_norm(a, WG_AXES(-1), false), &want);
    for (int64_t i = 0; i < m; i++) want.x[i] = cosine_of(x.x + i * d, z.x + i * d, d);
    expect_values("cosine_similarity", wg_cosine_similarity(a, c, -1, 1e-8), &want);
    shape_set(&want, WG_DIMS(m, d));
    for (int64_t i = 0; i < m * d; i++) want.x[i] = x.x[i] / fmax(norm_of(x.x + i / d * d, d), 0.5);
    expect_values("normalize", wg_normalize(a, 1, 0.5), &want);
    shape_set(&want, WG_DIMS(m, k));
    for (int64_t i = 0; i < m * k; i++) want.x[i] = apart(x.x + i / k * d, y.x + i % k * d, d);
    expect_values("cdist", wg_cdist(a, b), &want);
}

static void pair_losses(void)
{
    const int64_t m = 1 + draw(4), d = 1 + draw(5);
    fill_random(&x, WG_DIMS(m, d));
    fill_random(&y, WG_DIMS(m, d));
    fill_random(&z, WG_DIMS(m, d));
    wg_tensor a = strided(&x), b = strided(&y), c = strided(&z);
    shape_set(&want, WG_DIMS(m));
    for (int64_t i = 0; i < m; i++)
        want.x[i] = fmax(0, apart(x.x + i * d, y.x + i * d, d) - apart(x.x + i * d, z.x + i * d, d) + 0.3);
    expect_values("triplet_loss", wg_triplet_loss(a, b, c, 0.3, WG_REDUCE_NONE), &want);
    wg_tensor same = wg_greater(wg_select(c, 1, 0), wg_scalar(c.tape, wg_dtype_get(c), 0));
    for (int64_t i = 0; i < m; i++) {
        const double cosine = cosine_of(x.x + i * d, y.x + i * d, d);
        want.x[i] = z.x[i * d] > 0 ? 1 - cosine : fmax(0, cosine - 0.2);
    }
    expect_values("cosine_embedding_loss", wg_cosine_embedding_loss(a, b, same, 0.2, WG_REDUCE_NONE), &want);
    shape_set(&want, WG_DIMS(m, d));
    for (int64_t i = 0; i < m * d; i++)
        want.x[i] = fmax(0, ((z.x[i] < 0) - (z.x[i] > 0)) * (x.x[i] - y.x[i]) + 0.1);
    expect_values("margin_ranking_loss", wg_margin_ranking_loss(a, b, wg_sign(c), 0.1, WG_REDUCE_NONE), &want);
    for (int64_t i = 0; i < m * d; i++) y.x[i] = (y.x[i] + 2) / 4, z.x[i] = (z.x[i] + 2.1) / 4.2;
    for (int64_t i = 0; i < m * d; i++) {
        const double p = 1 / (1 + exp(-x.x[i]));
        want.x[i] = -y.x[i] * log(p) * z.x[i] - (1 - y.x[i]) * log(1 - p);
    }
    b = strided(&y), c = strided(&z);
    expect_values("binary_cross_entropy_weighted", wg_binary_cross_entropy_weighted(a, b, c, WG_REDUCE_NONE),
                  &want);
    for (int64_t i = 0; i < m * d; i++) want.x[i] = -y.x[i] * log(z.x[i]) - (1 - y.x[i]) * log(1 - z.x[i]);
    expect_values("binary_cross_entropy_probabilities", wg_binary_cross_entropy_probabilities(c, b, WG_REDUCE_NONE),
                  &want);
}

static void group(void)
{
    const int64_t groups = 1 + draw(3), each = 1 + draw(3), C = groups * each, N = 1 + draw(3), L = 1 + draw(4),
                  n = each * L;
    fill_random(&x, WG_DIMS(N, C, L));
    fill_random(&weight, WG_DIMS(C));
    fill_random(&bias, WG_DIMS(C));
    want = x;
    for (int64_t g = 0; g < N * groups; g++) {
        const double *v = x.x + g * n;
        double mean = 0, var = 0;
        for (int64_t i = 0; i < n; i++) mean += v[i] / (double)n;
        for (int64_t i = 0; i < n; i++) var += (v[i] - mean) * (v[i] - mean) / (double)n;
        for (int64_t i = 0; i < n; i++) {
            const int64_t c = (g * n + i) / L % C;
            want.x[g * n + i] = (v[i] - mean) / sqrt(var + 0.01) * weight.x[c] + bias.x[c];
        }
    }
    expect_values("group_norm", wg_group_norm(strided(&x), groups, strided(&weight), strided(&bias), 0.01), &want);
}

static void rotary(void)
{
    const int64_t T = 1 + draw(4), half = 1 + draw(3), d = 2 * half, start = draw(100);
    fill_random(&x, WG_DIMS(2, T, d));
    for (int interleaved = 0; interleaved < 2; interleaved++) {
        want = x;
        for (int64_t r = 0; r < 2 * T; r++)
            for (int64_t i = 0; i < half; i++) {
                const double angle = (double)(start + r % T) * pow(500, -2.0 * (double)i / (double)d);
                const int64_t at = r * d + (interleaved ? 2 * i : i), to = at + (interleaved ? 1 : half);
                want.x[at] = x.x[at] * cos(angle) - x.x[to] * sin(angle);
                want.x[to] = x.x[at] * sin(angle) + x.x[to] * cos(angle);
            }
        wg_tensor in = strided(&x), position = wg_arange(in.tape, WG_I32, (double)start, 1, T);
        expect_values("rotary", wg_rotary(in, position, 500, interleaved), &want);
    }
}

/* At 0 derivatives of any order are 0, not NaN: PyTorch's subgradient. */
static void at_zero(void)
{
    shape_set(&want, WG_DIMS(3));
    for (int i = 0; i < 3; i++) want.x[i] = 0;
    wg_tensor zero = leaf(&want, WG_F64),
              all[] = {wg_norm(zero, WG_ALL_AXES, false), wg_std(zero, WG_ALL_AXES, false, 1),
                       wg_sum_all(wg_normalize(zero, 0, 1e-12))};
    for (int i = 0; i < 2; i++) {
        wg_tensor slope = wg_grad1(all[i], zero, WG_NONE);
        expect_values("gradient of a norm at 0", slope, &want);
        expect_values("second derivative of a norm at 0", wg_grad1(wg_sum_all(slope), zero, WG_NONE), &want);
    }
    for (int i = 0; i < 3; i++) want.x[i] = 1e12;
    expect_values("gradient of normalize at 0", wg_grad1(all[2], zero, WG_NONE), &want);
}

void distances(void)
{
    at_zero();
    rows_and_pairs();
    pair_losses();
    group();
    rotary();
}

static double combined(int kind, double a, double b)
{
    switch (kind) {
    case 0: return a * b;
    case 1: return fmax(a, b);
    case 2: return fmin(a, b);
    default: return log(exp(a) + exp(b));
    }
}

void scanned_by(void)
{
    static wg_tensor (*const scan[])(wg_tensor, int) = {wg_cumprod, wg_cummax, wg_cummin, wg_logcumsumexp};
    static const char *const name[] = {"cumprod", "cummax", "cummin", "logcumsumexp"};
    const int64_t rows = 1 + draw(3), n = 1 + draw(9);
    const int kind = (int)draw(4);
    fill_random(&x, WG_DIMS(rows, n));
    want = x;
    for (int64_t i = 0; i < rows * n; i++)
        if (i % n) want.x[i] = combined(kind, want.x[i - 1], x.x[i]);
    expect_values(name[kind], scan[kind](strided(&x), -1), &want);
}

static double between(const double *v, int64_t n, double at)
{
    const int64_t left = (int64_t)at, right = left + 1 < n ? left + 1 : n - 1;
    return v[left] + (at - (double)left) * (v[right] - v[left]);
}

/* Keys' cubic convolution, by its definition over the distance, with a = -3/4. */
static double convolved(const double *v, int64_t n, double at)
{
    const double a = -0.75;
    double sum = 0;
    for (int64_t i = (int64_t)floor(at) - 1; i <= (int64_t)floor(at) + 2; i++) {
        const double d = fabs(at - (double)i);
        const double w = d <= 1  ? ((a + 2) * d - (a + 3)) * d * d + 1
                         : d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
                                 : 0;
        sum += w * v[i < 0 ? 0 : i < n ? i : n - 1];
    }
    return sum;
}

void resized(void)
{
    const int64_t rows = 1 + draw(3), n = 1 + draw(6), m = 1 + draw(8);
    fill_random(&x, WG_DIMS(rows, n));
    shape_set(&want, WG_DIMS(rows, m));
    for (int mode = 0; mode < 6; mode++) {
        for (int64_t i = 0; i < rows * m; i++) {
            const double *v = x.x + i / m * n, k = (double)(i % m), middle = (k + 0.5) * (double)n / (double)m;
            const double corners = m > 1 ? k * (double)(n - 1) / (double)(m - 1) : 0;
            switch (mode) {
            case WG_RESIZE_NEAREST: want.x[i] = v[i % m * n / m]; break;
            case WG_RESIZE_NEAREST_EXACT: want.x[i] = v[(2 * (i % m) + 1) * n / (2 * m)]; break;
            case WG_RESIZE_LINEAR: want.x[i] = between(v, n, fmax(0, middle - 0.5)); break;
            case WG_RESIZE_LINEAR_CORNERS: want.x[i] = between(v, n, corners); break;
            case WG_RESIZE_CUBIC: want.x[i] = convolved(v, n, middle - 0.5); break;
            default: want.x[i] = convolved(v, n, corners); break;
            }
        }
        expect_values("resize", wg_resize(strided(&x), 1, m, (wg_resize_mode)mode), &want);
    }
    for (int64_t i = 0; i < rows * m; i++) {
        const int64_t first = i % m * n / m, end = ((i % m + 1) * n + m - 1) / m;
        want.x[i] = 0;
        for (int64_t k = first; k < end; k++) want.x[i] += x.x[i / m * n + k] / (double)(end - first);
    }
    expect_values("adaptive_avg_pool", wg_adaptive_avg_pool(strided(&x), 1, m), &want);
    const int64_t size = 1 + draw((uint32_t)n), step = 1 + draw(3), count = (n - size) / step + 1;
    shape_set(&want, WG_DIMS(rows, count, size));
    for (int64_t i = 0; i < want.n; i++) want.x[i] = x.x[i / size / count * n + i / size % count * step + i % size];
    expect_values("unfold", wg_unfold(strided(&x), 1, size, step), &want);
    fill_random(&z, WG_DIMS(rows, count, size));
    shape_set(&want, WG_DIMS(rows, n));
    for (int64_t i = 0; i < want.n; i++) want.x[i] = 0;
    for (int64_t i = 0; i < z.n; i++) want.x[i / size / count * n + i / size % count * step + i % size] += z.x[i];
    expect_values("fold", wg_fold(strided(&z), 1, n, step), &want);
    fill_random(&y, WG_DIMS(rows, 2, n));
    shape_set(&want, WG_DIMS(rows * 3, 2, n));
    for (int64_t i = 0; i < want.n; i++) want.x[i] = y.x[i / (6 * n) * 2 * n + i % (2 * n)];
    expect_values("repeat_heads", wg_repeat_heads(strided(&y), 3), &want);
}

/* The element that stands at place i of an axis of n, which may be outside. */
static int64_t source(int64_t i, int64_t n, wg_pad_mode mode)
{
    if (mode == WG_PAD_CIRCULAR) return (i + n) % n;
    if (mode == WG_PAD_REPLICATE) return i < 0 ? 0 : i >= n ? n - 1 : i;
    return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
}

void padded_by(void)
{
    const wg_pad_mode mode = (wg_pad_mode)draw(3);
    const int64_t rows = 1 + draw(3), n = 1 + draw(5), most = mode == WG_PAD_REFLECT ? n : n + 1;
    const int64_t before = draw((uint32_t)most), after = draw((uint32_t)most), all = before + n + after;
    fill_random(&x, WG_DIMS(rows, n));
    shape_set(&want, WG_DIMS(rows, all));
    for (int64_t i = 0; i < rows * all; i++) want.x[i] = x.x[i / all * n + source(i % all - before, n, mode)];
    expect_values("pad_by", wg_pad_by(strided(&x), 1, before, after, mode), &want);
}
