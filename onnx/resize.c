/* Resize and Upsample: axis after axis, an element is a sum of weighted elements around its coordinate. Which ones is
 * known while recording. */
#include <float.h>
#include <math.h>

#include "internal.h"

enum { MOST_TAPS = 4, MOST_REACH = 1 << 20 }; /* more taps are a product with a matrix; elements on a side */
enum { EXACT_IN_F32 = 1 << 22 };              /* elements of which f32 has quarters */

/* The texts of the attributes, in their order. */
typedef enum mode { NEAREST, LINEAR, CUBIC } mode;
typedef enum coordinates {
    HALF_PIXEL,
    HALF_PIXEL_SYMMETRIC,
    PYTORCH_HALF_PIXEL,
    ALIGN_CORNERS,
    ASYMMETRIC,
    TF_HALF_PIXEL_FOR_NN,
    TF_CROP_AND_RESIZE
} coordinates;
typedef enum rounding { ROUND_PREFER_FLOOR, ROUND_PREFER_CEIL, FLOOR, CEIL, BY_SCALE } rounding;
typedef enum policy { STRETCH, NOT_LARGER, NOT_SMALLER } policy;

/* What the node says of all axes. */
typedef struct method {
    mode mode;
    coordinates coordinates;
    rounding rounding;
    policy policy;
    bool antialias, exclude_outside;
    double cubic_a, extrapolation;
} method;

/* Upsample, and Resize before opset 11. */
enum { RESIZE, UPSAMPLE };
static bool is_old(const wg__onnx_node *node) { return node->row->kind == UPSAMPLE || node->opset < 11; }

static method method_of(const wg__onnx_node *node)
{
    const bool old = is_old(node);
    return (method){.mode = (mode)wg__attribute_choice(node, "mode", NEAREST),
                    .coordinates = (coordinates)wg__attribute_choice(node, "coordinate_transformation_mode",
                                                                     old ? ASYMMETRIC : HALF_PIXEL),
                    .rounding =
                        (rounding)wg__attribute_choice(node, "nearest_mode", old ? BY_SCALE : ROUND_PREFER_FLOOR),
                    .policy = (policy)wg__attribute_choice(node, "keep_aspect_ratio_policy", STRETCH),
                    .antialias = wg__attribute_int(node, "antialias", 0) != 0,
                    .exclude_outside = wg__attribute_int(node, "exclude_outside", 0) != 0,
                    .cubic_a = wg__attribute_float(node, "cubic_coeff_a", -0.75),
                    .extrapolation = wg__attribute_float(node, "extrapolation_value", 0)};
}

/* How an axis of n elements becomes one of m. */
typedef struct axis_plan {
    const method *method;
    int64_t n, m;
    double scale;      /* m / n, or as given */
    bool is_given;     /* the scale: m is the whole part of scale n */
    double start, end; /* of the region, for TF_CROP_AND_RESIZE */
} axis_plan;

/* x / scale. By a given scale, the nearest element is that of a quotient in f32, as elsewhere: 1.5 / 0.6 is 2.5 then,
 * not a little less. */
static double unscaled(const axis_plan *p, double x)
{
    if (!p->is_given) return x * (double)p->n / (double)p->m;
    const bool f32 = p->method->mode == NEAREST && p->n <= EXACT_IN_F32 && p->m <= EXACT_IN_F32;
    return f32 ? (double)((float)x / (float)p->scale) : x / p->scale;
}

/* The coordinate of element i of the result. */
static double coordinate(const axis_plan *p, int64_t i)
{
    const double x = (double)i, n = (double)p->n, m = p->scale * n;
    switch (p->method->coordinates) {
    case ASYMMETRIC: return unscaled(p, x);
    case ALIGN_CORNERS: return p->m == 1 || m == 1 ? 0 : x * (n - 1) / (m - 1);
    case PYTORCH_HALF_PIXEL: return p->m > 1 ? unscaled(p, x + 0.5) - 0.5 : 0;
    case TF_HALF_PIXEL_FOR_NN: return unscaled(p, x + 0.5);
    case HALF_PIXEL_SYMMETRIC: return n / 2 * (1 - (double)p->m / m) + unscaled(p, x + 0.5) - 0.5;
    case TF_CROP_AND_RESIZE:
        return p->m > 1 ? p->start * (n - 1) + x * (p->end - p->start) * (n - 1) / ((double)p->m - 1)
                        : (p->start + p->end) * (n - 1) / 2;
    default: return unscaled(p, x + 0.5) - 0.5;
    }
}

/* The element nearest to a coordinate, which is f32 where that tells elements apart: a quotient by a scale such as 0.3
 * is a whole number then, as elsewhere. BY_SCALE is what onnxruntime does before opset 11. */
static double rounded(const axis_plan *p, double x)
{
    if (p->n <= EXACT_IN_F32) x = (double)(float)x;
    switch (p->method->rounding) {
    case BY_SCALE: return p->scale < 1 ? ceil(x) : floor(x);
    case FLOOR: return floor(x);
    case CEIL: return ceil(x);
    case ROUND_PREFER_CEIL: return floor(x + 0.5);
    default: return ceil(x - 0.5);
    }
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

/* An index inside of the axis. */
static double inside(const axis_plan *p, double at)
{
    return at < 0 ? 0 : at >= (double)p->n ? (double)p->n - 1 : at;
}

static void fill_taps(const axis_plan *p, double stretch, int64_t first, taps *t)
{
    const method *how = p->method;
    for (int64_t i = 0; i < p->m; i++) {
        const double x = coordinate(p, i), base = floor(x);
        double sum = 0;
        t->outside[i] = x < 0 || x > (double)p->n - 1;
        for (int64_t k = 0; k < t->count; k++) {
            const double at = base + (double)(first + k);
            double w = kernel(how->mode == CUBIC, how->cubic_a, stretch * (at - x));
            if (how->exclude_outside && (at < 0 || at >= (double)p->n)) w = 0;
            t->index[k * p->m + i] = inside(p, at);
            t->weight[k * p->m + i] = w;
            sum += w;
        }
        for (int64_t k = 0; k < t->count && sum != 0; k++) t->weight[k * p->m + i] /= sum;
    }
}

static bool taps_of(wg__call *c, const axis_plan *p, taps *t)
{
    const bool by_nearest = p->method->mode == NEAREST;
    const double stretch = p->method->antialias && p->scale < 1 ? p->scale : 1;
    const double reach = (p->method->mode == CUBIC ? 2 : 1) / stretch;
    if (!(reach <= MOST_REACH)) {
        wg__call_fail(c, WG_ERR_SHAPE, "antialias at a scale of %g: an element would be the mean of more than %d",
                      p->scale, 2 * MOST_REACH);
        return false;
    }
    const int64_t first = by_nearest ? 0 : (int64_t)floor(-reach) + 1;
    t->count = by_nearest ? 1 : 2 - 2 * first;
    const wg_shape all = WG_DIMS(t->count, p->m), line = WG_DIMS(p->m);
    t->index = wg__numbers_new(c, &all);
    t->weight = wg__numbers_new(c, &all);
    t->outside = wg__numbers_new(c, &line);
    if (!t->index || !t->weight || !t->outside) return false;
    fill_taps(p, stretch, first, t);
    for (int64_t i = 0; by_nearest && i < p->m; i++) t->index[i] = inside(p, rounded(p, coordinate(p, i)));
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
    if (p->method->coordinates != TF_CROP_AND_RESIZE) return y;
    wg_shape line = {.rank = wg_rank(x)};
    for (int i = 0; i < line.rank; i++) line.size[i] = i == axis ? p->m : 1;
    const wg_tensor outside = wg__data_of(c, line, t.outside, WG__BOOLEAN);
    return wg_masked_fill(y, outside, p->method->extrapolation);
}

/* ---- sizes ---- */

/* Stores a size of the result; false if it is none. */
static bool set_size(axis_plan *p, double m)
{
    const bool fits = m >= 0 && m < INT32_MAX && p->scale > 0 && (p->n > 0 || m == 0);
    p->m = fits ? (int64_t)m : 0;
    return fits;
}

/* With keep_aspect_ratio_policy all axes have the least or the largest of the scales. */
static bool keep_ratio(axis_plan *p, const int *axes, int n)
{
    const policy keep = p[axes[0]].method->policy;
    const bool larger = keep == NOT_SMALLER;
    double scale = p[axes[0]].scale;
    bool fits = true;
    for (int i = 1; i < n; i++) {
        const double other = p[axes[i]].scale;
        scale = (larger ? other > scale : other < scale) ? other : scale;
    }
    for (int i = 0; i < n && keep != STRETCH; i++) {
        axis_plan *one = &p[axes[i]];
        one->scale = scale, one->is_given = true;
        fits = fits && set_size(one, floor(scale * (double)one->n + 0.5));
    }
    return fits;
}

/* The operand of scales: 1 of Upsample and of Resize 10, else 2; an attribute of Upsample 7. */
static int scales_of(wg__call *c, double *out, int most)
{
    int64_t n;
    const int k = is_old(c->node) ? 1 : 2;
    if (!wg__has(c, k)) return wg__attribute_floats(c->node, "scales", out, most);
    const double *numbers = wg__known(c, k, &n);
    for (int i = 0; numbers && i < n && i < most; i++) out[i] = numbers[i];
    return numbers ? n > most ? most + 1 : (int)n : -1;
}

static bool plans_of(wg__call *c, const wg_shape *x, const method *how, axis_plan *p)
{
    int64_t listed[WG_MAX_RANK], sizes[WG_MAX_RANK], n_roi = 0;
    double scales[WG_MAX_RANK];
    int axes[WG_MAX_RANK];
    const int n_axes = wg__attribute_ints(c->node, "axes", listed, WG_MAX_RANK), n = n_axes >= 0 ? n_axes : x->rank;
    const int n_sizes = wg__has(c, 3) ? wg__known_ints(c, 3, sizes, WG_MAX_RANK) : 0;
    const int n_scales = n_sizes > 0 ? 0 : scales_of(c, scales, WG_MAX_RANK);
    const bool crop = how->coordinates == TF_CROP_AND_RESIZE;
    const double *roi = crop && wg__has(c, 1) ? wg__known(c, 1, &n_roi) : NULL;
    if (wg__call_failed(c)) return false;
    bool fits = n > 0 && n <= x->rank && (n_sizes == n || n_scales == n) && (!crop || n_roi == 2 * n);
    for (int64_t i = 0; i < n_roi && fits; i++) fits = fabs(roi[i]) <= FLT_MAX;
    for (int i = 0; i < x->rank; i++)
        p[i] = (axis_plan){.method = how, .n = x->size[i], .m = x->size[i], .scale = 1, .end = 1};
    for (int i = 0; fits && i < n; i++) {
        axes[i] = wg__call_axis(c, n_axes >= 0 ? listed[i] : i, x->rank);
        axis_plan *one = &p[axes[i]];
        one->is_given = n_sizes != n;
        one->scale = one->is_given ? scales[i] : one->n > 0 ? (double)sizes[i] / (double)one->n : 1;
        fits = set_size(one, n_sizes == n ? (double)sizes[i] : (double)floorf((float)one->scale * (float)one->n));
        if (roi) one->start = roi[i], one->end = roi[n + i];
    }
    if (fits && n_sizes == n) fits = keep_ratio(p, axes, n);
    if (!fits)
        wg__call_fail(
            c, WG_ERR_SHAPE,
            "scales or sizes are not one number for each of %d axes, which make sizes from 0 to %d, or the "
            "region is not two finite ones",
            n, INT32_MAX - 1);
    return !wg__call_failed(c);
}

static void record_resize(wg__call *c)
{
    const int type = wg__type_of(c, 0);
    const method how = method_of(c->node);
    const bool as_is = wg__type_is_float(type) || how.mode == NEAREST, crop = how.coordinates == TF_CROP_AND_RESIZE;
    wg_tensor x = wg__tensor(c, 0);
    const wg_shape shape = wg_shape_get(x);
    axis_plan p[WG_MAX_RANK];
    if (!plans_of(c, &shape, &how, p)) return;
    for (int i = 0; i < shape.rank && !wg__call_failed(c); i++)
        if (p[i].scale != 1 || p[i].m != p[i].n || (crop && (p[i].start != 0 || p[i].end != 1)))
            x = resize_axis(c, as_is ? x : wg_cast(x, c->model->dtype), i, &p[i]);
    wg__set(c, 0, wg_dtype_get(x) == wg__dtype_of(c->model, type) ? x : wg_cast(x, WG_I32), type);
}

const wg__onnx_row wg__onnx_resize[] = {
    {"Resize", record_resize, 10, 1, 4,
     "antialias=i axes=I cubic_coeff_a=f exclude_outside=i extrapolation_value=f mode=s:nearest|linear|cubic "
     "coordinate_transformation_mode=s:half_pixel|half_pixel_symmetric|pytorch_half_pixel|align_corners|asymmetric|"
     "tf_half_pixel_for_nn|tf_crop_and_resize nearest_mode=s:round_prefer_floor|round_prefer_ceil|floor|ceil "
     "keep_aspect_ratio_policy=s:stretch|not_larger|not_smaller",
     2 | 4 | 8, .kind = RESIZE},
    {"Upsample", record_resize, 6, 1, 2, "mode=s:nearest|linear|cubic scales=F", 2, .kind = UPSAMPLE},
    {NULL},
};
