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
 * it, so that it is exact where all are equal. Returns variance + epsilon. */
static real find_moments(const real *x, int64_t n, const wg__norm_attr *attr, moments *m)
{
    m->mean = attr->centered ? x[0] * m->unit : 0;
    if (attr->centered) m->mean += mean_distance(false, x, n, *m);
    real variance = mean_distance(true, x, n, *m) + (real)(attr->epsilon * m->unit * m->unit);
    m->scale = 1 / (real)sqrt(variance);
    return variance;
}

static moments row_moments(const real *x, int64_t n, const wg__norm_attr *attr)
{
    moments m = {.unit = 1};
    if (is_sound(find_moments(x, n, attr, &m))) return m;
    m.unit = unit_of(row_size(x, n), attr->epsilon);
    find_moments(x, n, attr, &m);
    return m;
}

VINLINE V distance_at(const real *x, int64_t i, int64_t n, moments m)
{
    return distance(load_some(x + i, n - i), m);
}

static void norm_row(const real *x, const real *w, const real *b, real *out, int64_t n, const wg__norm_attr *attr)
{
    moments m = row_moments(x, n, attr);
    for (int64_t i = 0; i < n; i += VLANES) {
        V y = distance_at(x, i, n, m) * m.scale;
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
    for (int64_t i = first; i < stop && a.n > 0; i++) norm_row(x + i * a.n, w, b, out + i * a.n, a.n, args->attr);
}

/* g w from element i on */
VINLINE V weighted(const real *g, const real *w, int64_t i, int64_t n)
{
    V v = load_some(g + i, n - i);
    return w ? v * load_some(w + i, n - i) : v;
}

/* With a = g w and y the normalised x: scale (a - mean(a) - y mean(a y)); RMS norm: without mean(a). */
static void norm_grad_row(const real *x, const real *g, const real *w, real *out, int64_t n,
                          const wg__norm_attr *attr)
{
    moments m = row_moments(x, n, attr);
    real mean_a = 0;
    if (attr->centered) {
        for (int64_t i = 0; i < n && w; i += VLANES) store_some(out + i, weighted(g, w, i, n), n - i);
        mean_a = row_combine(COMBINE_SUM, w ? out : g, n) / (real)n;
    }
    for (int64_t i = 0; i < n; i += VLANES)
        store_some(out + i, weighted(g, w, i, n) * distance_at(x, i, n, m) * m.scale, n - i);
    real mean_ay = row_combine(COMBINE_SUM, out, n) / (real)n, slope = m.scale * m.unit;
    for (int64_t i = 0; i < n; i += VLANES) {
        V y = distance_at(x, i, n, m) * m.scale;
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
    for (int64_t i = first; i < stop && a.n > 0; i++)
        norm_grad_row(x + i * a.n, g + i * a.n, w, out + i * a.n, a.n, args->attr);
}
