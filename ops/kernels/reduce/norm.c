/* Layer norm and its gradient, along rows. The gradient recomputes the statistics from x, which is cheaper than saving
 * them. */
#include "reduce.h"

#include "../base/lanes.h"

typedef struct moments {
    real mean, scale; /* scale: 1 / sqrt(variance + epsilon) */
} moments;

/* room: n elements of scratch */
static moments row_moments(const real *x, int64_t n, double epsilon, real *room)
{
    moments m = {row_combine(COMBINE_SUM, x, n) / (real)n, 0};
    for (int64_t i = 0; i < n; i += VLANES) {
        V d = load_some(x + i, n - i) - m.mean;
        store_some(room + i, d * d, n - i);
    }
    m.scale = 1 / (real)sqrt(row_combine(COMBINE_SUM, room, n) / (real)n + (real)epsilon);
    return m;
}

static void norm_row(const real *x, const real *w, const real *b, real *out, int64_t n, double epsilon)
{
    moments m = row_moments(x, n, epsilon, out);
    for (int64_t i = 0; i < n; i += VLANES) {
        V y = (load_some(x + i, n - i) - m.mean) * m.scale;
        if (w) y *= load_some(w + i, n - i);
        if (b) y += load_some(b + i, n - i);
        store_some(out + i, y, n - i);
    }
}

/* operands: x, weight or none, bias or none */
void WG__K(layer_norm)(const wg_args *args, int64_t task)
{
    const wg__layer_norm_attr *attr = args->attr;
    wg__extents a = wg__extents_of_rows(&args->in[0]);
    const real *x = args->in[0].data, *w = args->n_in > 1 ? args->in[1].data : NULL;
    const real *b = args->n_in > 2 ? args->in[2].data : NULL;
    real *out = args->out.data;
    int64_t first, stop;
    wg__reduce_cut(a, task, &first, &stop);
    for (int64_t i = first; i < stop; i++) norm_row(x + i * a.n, w, b, out + i * a.n, a.n, attr->epsilon);
}

/* g w from element i on */
VINLINE V weighted(const real *g, const real *w, int64_t i, int64_t n)
{
    V v = load_some(g + i, n - i);
    return w ? v * load_some(w + i, n - i) : v;
}

/* With a = g w and y the normalised x: scale (a - mean(a) - y mean(a y)). */
static void norm_grad_row(const real *x, const real *g, const real *w, real *out, int64_t n, double epsilon)
{
    moments m = row_moments(x, n, epsilon, out);
    for (int64_t i = 0; i < n; i += VLANES) store_some(out + i, weighted(g, w, i, n), n - i);
    real mean_a = row_combine(COMBINE_SUM, out, n) / (real)n;
    for (int64_t i = 0; i < n; i += VLANES)
        store_some(out + i, weighted(g, w, i, n) * (load_some(x + i, n - i) - m.mean) * m.scale, n - i);
    real mean_ay = row_combine(COMBINE_SUM, out, n) / (real)n;
    for (int64_t i = 0; i < n; i += VLANES) {
        V y = (load_some(x + i, n - i) - m.mean) * m.scale;
        store_some(out + i, m.scale * (weighted(g, w, i, n) - mean_a - y * mean_ay), n - i);
    }
}

/* operands: x, gradient of the result, weight or none */
void WG__K(layer_norm_grad)(const wg_args *args, int64_t task)
{
    const wg__layer_norm_attr *attr = args->attr;
    wg__extents a = wg__extents_of_rows(&args->in[0]);
    const real *x = args->in[0].data, *g = args->in[1].data, *w = args->n_in > 2 ? args->in[2].data : NULL;
    real *out = args->out.data;
    int64_t first, stop;
    wg__reduce_cut(a, task, &first, &stop);
    for (int64_t i = first; i < stop; i++)
        norm_grad_row(x + i * a.n, g + i * a.n, w, out + i * a.n, a.n, attr->epsilon);
}
