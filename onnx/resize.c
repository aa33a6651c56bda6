/* Resize and Upsample: axis after axis, an element is a sum of weighted elements around its coordinate. Which ones is
 * known while recording. */
#include <math.h>
#include <string.h>

#include "internal.h"

enum { MOST_TAPS = 4 }; /* more are a product with a matrix */

/* How an axis of n elements becomes one of m. */
typedef struct axis_plan {
    int64_t n, m;
    double scale;      /* m / n, as given */
    double start, end; /* of the region, for tf_crop_and_resize */
} axis_plan;

static bool mode_is(const wg__call *c, const char *value)
{
    const bool old = c->node->opset < 11 || c->node->type[0] == 'U'; /* Upsample, and Resize 10 */
    return wg__attribute_is(c->node, "coordinate_transformation_mode", value, old ? "asymmetric" : "half_pixel");
}

/* The coordinate of element i of the result. */
static double coordinate(const wg__call *c, const axis_plan *p, int64_t i)
{
    const double x = (double)i, n = (double)p->n, m = p->scale * n;
    if (mode_is(c, "asymmetric")) return x / p->scale;
    if (mode_is(c, "align_corners")) return p->m == 1 || m == 1 ? 0 : x * (n - 1) / (m - 1);
    if (mode_is(c, "pytorch_half_pixel")) return p->m > 1 ? (x + 0.5) / p->scale - 0.5 : 0;
    if (mode_is(c, "tf_half_pixel_for_nn")) return (x + 0.5) / p->scale;
    if (mode_is(c, "half_pixel_symmetric")) return n / 2 * (1 - (double)p->m / m) + (x + 0.5) / p->scale - 0.5;
    if (!mode_is(c, "tf_crop_and_resize")) return (x + 0.5) / p->scale - 0.5;
    return p->m > 1 ? p->start * (n - 1) + x * (p->end - p->start) * (n - 1) / ((double)p->m - 1)
                    : (p->start + p->end) * (n - 1) / 2;
}

static double nearest(const wg__call *c, double x)
{
    const bool old = c->node->opset < 11 || c->node->type[0] == 'U';
    const char *otherwise = old ? "floor" : "round_prefer_floor";
    if (wg__attribute_is(c->node, "nearest_mode", "floor", otherwise)) return floor(x);
    if (wg__attribute_is(c->node, "nearest_mode", "ceil", otherwise)) return ceil(x);
    if (wg__attribute_is(c->node, "nearest_mode", "round_prefer_ceil", otherwise)) return floor(x + 0.5);
    return ceil(x - 0.5);
}

/* The kernel of cubic convolution (Keys 1981), a usually -0.75; or of linear interpolation. */
static double kernel(bool cubic, double a, double x)
{
    x = fabs(x);
    if (!cubic) return x < 1 ? 1 - x : 0;
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/* Elements that contribute to each element of the result: index and weight, [taps][m]. */
typedef struct taps {
    int64_t count;
    double *index, *weight;
    double *outside; /* [m]: 1 where the coordinate is beyond the axis */
} taps;

static void fill_taps(wg__call *c, const axis_plan *p, bool cubic, double stretch, int64_t first, taps *t)
{
    const double a = wg__attribute_float(c->node, "cubic_coeff_a", -0.75);
    const bool exclude = wg__attribute_int(c->node, "exclude_outside", 0) != 0;
    for (int64_t i = 0; i < p->m; i++) {
        const double x = coordinate(c, p, i), base = floor(x);
        double sum = 0;
        t->outside[i] = x < 0 || x > (double)p->n - 1;
        for (int64_t k = 0; k < t->count; k++) {
            const double at = base + (double)(first + k);
            double w = kernel(cubic, a, stretch * (at - x));
            if (exclude && (at < 0 || at >= (double)p->n)) w = 0;
            t->index[k * p->m + i] = at < 0 ? 0 : at >= (double)p->n ? (double)p->n - 1 : at;
            t->weight[k * p->m + i] = w;
            sum += w;
        }
        for (int64_t k = 0; k < t->count && sum != 0; k++) t->weight[k * p->m + i] /= sum;
    }
}

static bool taps_of(wg__call *c, const axis_plan *p, taps *t)
{
    const bool cubic = wg__attribute_is(c->node, "mode", "cubic", "nearest");
    const bool by_nearest = wg__attribute_is(c->node, "mode", "nearest", "nearest");
    const double stretch = wg__attribute_int(c->node, "antialias", 0) && p->scale < 1 ? p->scale : 1;
    const double reach = (cubic ? 2 : 1) / stretch;
    const int64_t first = by_nearest ? 0 : (int64_t)floor(-reach) + 1;
    t->count = by_nearest ? 1 : 2 - 2 * first;
    const wg_shape all = WG_DIMS(t->count, p->m), line = WG_DIMS(p->m);
    t->index = wg__numbers_new(c, &all);
    t->weight = wg__numbers_new(c, &all);
    t->outside = wg__numbers_new(c, &line);
    if (!t->index || !t->weight || !t->outside) return false;
    fill_taps(c, p, cubic, stretch, first, t);
    for (int64_t i = 0; by_nearest && i < p->m; i++) {
        const double at = nearest(c, coordinate(c, p, i));
        t->index[i] = at < 0 ? 0 : at >= (double)p->n ? (double)p->n - 1 : at;
    }
    return true;
}

/* The sum of a few selected and weighted copies; of many, a product with the matrix [n, m] of the weights. */
static wg_tensor weighted(wg__call *c, wg_tensor x, int axis, const axis_plan *p, const taps *t)
{
    wg_shape line = {.rank = wg_rank(x)};
    for (int i = 0; i < line.rank; i++) line.size[i] = i == axis ? p->m : 1;
    if (t->count <= MOST_TAPS) {
        wg_tensor parts[MOST_TAPS];
        for (int64_t k = 0; k < t->count; k++) {
            const wg_tensor index = wg__data_of(c, WG_DIMS(p->m), t->index + k * p->m, WG__INT64);
            parts[k] = wg_index_select(x, axis, index);
            if (t->count > 1) parts[k] = wg_mul(parts[k], wg__data_of(c, line, t->weight + k * p->m, WG__FLOAT));
        }
        return wg_add_n(parts, (int)t->count);
    }
    const wg_shape shape = WG_DIMS(p->n, p->m);
    double *matrix = wg__numbers_new(c, &shape);
    if (!matrix) return x;
    for (int64_t k = 0; k < t->count; k++)
        for (int64_t i = 0; i < p->m; i++)
            matrix[(int64_t)t->index[k * p->m + i] * p->m + i] += t->weight[k * p->m + i];
    const int last = wg_rank(x) - 1;
    const wg_tensor y = wg_matmul(wg_transpose(x, axis, last), wg__data_of(c, shape, matrix, WG__FLOAT));
    return wg_transpose(y, axis, last);
}

static wg_tensor resize_axis(wg__call *c, wg_tensor x, int axis, const axis_plan *p)
{
    taps t;
    if (!taps_of(c, p, &t)) return x;
    const wg_tensor y = weighted(c, x, axis, p, &t);
    if (!mode_is(c, "tf_crop_and_resize")) return y;
    wg_shape line = {.rank = wg_rank(x)};
    for (int i = 0; i < line.rank; i++) line.size[i] = i == axis ? p->m : 1;
    const wg_tensor outside = wg__data_of(c, line, t.outside, WG__BOOLEAN);
    return wg_masked_fill(y, outside, wg__attribute_float(c->node, "extrapolation_value", 0));
}

/* ---- sizes ---- */

/* With keep_aspect_ratio_policy all axes have the least or the largest of the scales. */
static void keep_ratio(const wg__call *c, axis_plan *p, const int *axes, int n)
{
    const bool larger = wg__attribute_is(c->node, "keep_aspect_ratio_policy", "not_smaller", "stretch");
    if (!larger && !wg__attribute_is(c->node, "keep_aspect_ratio_policy", "not_larger", "stretch")) return;
    double scale = p[axes[0]].scale;
    for (int i = 1; i < n; i++) {
        const double other = p[axes[i]].scale;
        scale = (larger ? other > scale : other < scale) ? other : scale;
    }
    for (int i = 0; i < n; i++) {
        axis_plan *one = &p[axes[i]];
        one->scale = scale;
        one->m = (int64_t)floor(scale * (double)one->n + 0.5);
    }
}

/* The operand of scales: 1 of Upsample and of Resize 10, else 2; an attribute of Upsample 7. */
static int scales_of(wg__call *c, double *out, int most)
{
    int64_t n;
    const int k = c->node->type[0] == 'U' || c->node->opset < 11 ? 1 : 2;
    if (!wg__has(c, k)) return wg__attribute_floats(c->node, "scales", out, most);
    const double *numbers = wg__known(c, k, &n);
    for (int i = 0; numbers && i < n && i < most; i++) out[i] = numbers[i];
    return numbers ? n > most ? most + 1 : (int)n : -1;
}

static bool plans_of(wg__call *c, const wg_shape *x, axis_plan *p)
{
    int64_t listed[WG_MAX_RANK], sizes[WG_MAX_RANK], n_roi = 0;
    double scales[WG_MAX_RANK];
    int axes[WG_MAX_RANK];
    const int n_axes = wg__attribute_ints(c->node, "axes", listed, WG_MAX_RANK), n = n_axes >= 0 ? n_axes : x->rank;
    const int n_sizes = wg__has(c, 3) ? wg__known_ints(c, 3, sizes, WG_MAX_RANK) : 0;
    const int n_scales = n_sizes > 0 ? 0 : scales_of(c, scales, WG_MAX_RANK);
    const bool crop = mode_is(c, "tf_crop_and_resize");
    const double *roi = crop && wg__has(c, 1) ? wg__known(c, 1, &n_roi) : NULL;
    if (wg__call_failed(c)) return false;
    bool fits = n > 0 && (n_sizes == n || n_scales == n) && (!crop || n_roi == 2 * n);
    for (int i = 0; i < x->rank; i++) p[i] = (axis_plan){x->size[i], x->size[i], 1, 0, 1};
    for (int i = 0; fits && i < n; i++) {
        axes[i] = wg__call_axis(c, n_axes >= 0 ? listed[i] : i, x->rank);
        axis_plan *one = &p[axes[i]];
        one->scale = n_sizes == n ? (double)sizes[i] / (double)one->n : scales[i];
        const double m = n_sizes == n ? (double)sizes[i] : floor(one->scale * (double)one->n);
        fits = m >= 0 && m < INT32_MAX && one->scale > 0 && one->n > 0;
        one->m = fits ? (int64_t)m : 0;
        if (roi) one->start = roi[i], one->end = roi[n + i];
    }
    if (fits && n_sizes == n) keep_ratio(c, p, axes, n);
    if (!fits) wg__call_fail(c, WG_ERR_SHAPE, "scales or sizes are not one number for each of %d axes", n);
    return !wg__call_failed(c);
}

static void record_resize(wg__call *c)
{
    const bool real = wg__type_is_float(wg__type_of(c, 0)), crop = mode_is(c, "tf_crop_and_resize");
    wg_tensor x = wg__tensor(c, 0);
    const wg_shape shape = wg_shape_get(x);
    axis_plan p[WG_MAX_RANK];
    if (!plans_of(c, &shape, p)) return;
    for (int i = 0; i < shape.rank && !wg__call_failed(c); i++)
        if (p[i].scale != 1 || p[i].m != p[i].n || (crop && (p[i].start != 0 || p[i].end != 1)))
            x = resize_axis(
                c,
                real || wg__attribute_is(c->node, "mode", "nearest", "nearest") ? x : wg_cast(x, c->model->dtype),
                i, &p[i]);
    wg__set(c, 0, wg_dtype_get(x) == wg__dtype_of(c->model, wg__type_of(c, 0)) ? x : wg_cast(x, WG_I32),
            wg__type_of(c, 0));
}

const wg__op wg__onnx_resize[] = {
    {"Resize", record_resize, 10, 1, 4,
     "antialias=i axes=I coordinate_transformation_mode=s cubic_coeff_a=f exclude_outside=i extrapolation_value=f "
     "keep_aspect_ratio_policy=s mode=s nearest_mode=s",
     2 | 4 | 8},
    {"Upsample", record_resize, 6, 1, 2, "mode=s scales=F", 2},
    {NULL},
};
