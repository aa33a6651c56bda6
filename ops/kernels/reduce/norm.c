/* Layer norm, RMS norm and their gradients, along rows. The gradients recompute the statistics from x, which is cheaper
 * than saving them. */
#include "distance.h"
#include "reduce.h"

/* The largest |x|. */
static real row_size(const real *x, int64_t n)
{
    real high = row_combine(COMBINE_MAX, x, n), low = row_combine(COMBINE_MIN, x, n);
    return -low > high ? -low : high;
}

/* Those of x unit, in which epsilon counts as epsilon unit^2. The mean is the first element plus the mean distance from
 * it, so that it is exact where all are equal. Its rest is left out where it is at most 2^-18 deviations in f32.
 * Returns variance + epsilon. */
static real find_moments(const real *x, int64_t n, const wg__norm_attr *attr, moments *m)
{
    const real first = attr->centered ? x[0] * m->unit : 0, epsilon = (real)(attr->epsilon * m->unit * m->unit);
    m->mean = first, m->rest = 0;
    const real apart = attr->centered ? mean_distance(false, false, x, n, *m) : 0;
    m->mean += apart;
    real variance = mean_distance(true, false, x, n, *m);
    if (m->mean * m->mean > 4096 * variance) {
        m->rest = rest_of(first, apart, m->mean);
        variance = mean_distance(true, true, x, n, *m);
    }
    m->scale = 1 / (real)sqrt(variance + epsilon);
    return variance + epsilon;
}

static moments row_moments(const real *x, int64_t n, const wg__norm_attr *attr)
{
    moments m = {.unit = 1};
    if (is_sound(find_moments(x, n, attr, &m))) return m;
    m.unit = unit_of(row_size(x, n), attr->epsilon);
    find_moments(x, n, attr, &m);
    return m;
}

VINLINE V distance_at(bool far, const real *x, int64_t i, int64_t n, moments m)
{
    return distance(load_some(x + i, n - i), far, m);
}

VINLINE void norm_row(bool far, const real *x, const real *w, const real *b, real *out, int64_t n, moments m)
{
    for (int64_t i = 0; i < n; i += VLANES) {
        V y = distance_at(far, x, i, n, m) * m.scale;
        if (w) y *= load_some(w + i, n - i);
        if (b) y += load_some(b + i, n - i);
        store_some(out + i, y, n - i);
    }
}

/* operands: x, weight or none, for layer norm bias or none */
void WG__K(norm)(const wg_args *args, int64_t task)
{
    wg__extents a = wg__extents_of_rows(&args->in[0]);
    const real *x = args->in[0].data, *w = args->n_in > 1 ? args->in[1].data : NULL;
    const real *b = args->n_in > 2 ? args->in[2].data : NULL;
    real *out = args->out.data;
    int64_t first, stop;
    wg__reduce_cut(a, task, &first, &stop);
    for (int64_t i = first; i < stop && a.n > 0; i++) {
        const moments m = row_moments(x + i * a.n, a.n, args->attr);
        if (m.rest == 0)
            norm_row(false, x + i * a.n, w, b, out + i * a.n, a.n, m);
        else
            norm_row(true, x + i * a.n, w, b, out + i * a.n, a.n, m);
    }
}

/* g w from element i on */
VINLINE V weighted(const real *g, const real *w, int64_t i, int64_t n)
{
    V v = load_some(g + i, n - i);
    return w ? v * load_some(w + i, n - i) : v;
}

/* With a = g w and y the normalised x: scale (a - mean(a) - y mean(a y)); RMS norm: without mean(a). */
VINLINE void norm_grad_row(bool far, const real *x, const real *g, const real *w, real *out, int64_t n,
                           const wg__norm_attr *attr, moments m)
{
    real mean_a = 0;
    if (attr->centered) {
        for (int64_t i = 0; i < n && w; i += VLANES) store_some(out + i, weighted(g, w, i, n), n - i);
        mean_a = row_combine(COMBINE_SUM, w ? out : g, n) / (real)n;
    }
    for (int64_t i = 0; i < n; i += VLANES)
        store_some(out + i, weighted(g, w, i, n) * distance_at(far, x, i, n, m) * m.scale, n - i);
    real mean_ay = row_combine(COMBINE_SUM, out, n) / (real)n, slope = m.scale * m.unit;
    for (int64_t i = 0; i < n; i += VLANES) {
        V y = distance_at(far, x, i, n, m) * m.scale;
        store_some(out + i, slope * (weighted(g, w, i, n) - mean_a - y * mean_ay), n - i);
    }
}

/* operands: x, gradient of the result, weight or none */
void WG__K(norm_grad)(const wg_args *args, int64_t task)
{
    wg__extents a = wg__extents_of_rows(&args->in[0]);
    const real *x = args->in[0].data, *g = args->in[1].data, *w = args->n_in > 2 ? args->in[2].data : NULL;
    real *out = args->out.data;
    int64_t first, stop;
    wg__reduce_cut(a, task, &first, &stop);
    for (int64_t i = first; i < stop && a.n > 0; i++) {
        const moments m = row_moments(x + i * a.n, a.n, args->attr);
        if (m.rest == 0)
            norm_grad_row(false, x + i * a.n, g + i * a.n, w, out + i * a.n, a.n, args->attr, m);
        else
            norm_grad_row(true, x + i * a.n, g + i * a.n, w, out + i * a.n, a.n, args->attr, m);
    }
}
