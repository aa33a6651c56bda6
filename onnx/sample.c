/* GridSample, AffineGrid, RoiAlign: reading between the elements of an image.
 *
 * x[N, C, ...] becomes rows, one for each position of each image, with C elements. A place between positions reads 1, 2
 * or 4 of them along each axis (its taps), by a number of the row and a weight; so gradients by x are those of reading
 * rows, and gradients by the grid those of the weights. */
#include "internal.h"

enum { MOST_TAPS = 4 };

typedef struct taps {
    int n;
    wg_tensor row[MOST_TAPS];    /* i32: the position along the axis, inside of it */
    wg_tensor weight[MOST_TAPS]; /* 0 for positions outside that are padded by zeros */
} taps;

typedef enum padding { ZEROS, BORDER, REFLECTION } padding;

typedef struct sampler {
    int n_taps;
    padding pad;
    bool maximum; /* over taps, instead of their sum */
    bool corners; /* -1 and 1 are the centers of the first and the last element, not their outer edges */
} sampler;

/* A coordinate reflected at both ends of an axis until it is between them. */
static wg_tensor reflected(wg__call *c, const sampler *s, wg_tensor x, int64_t n)
{
    const double low = s->corners ? 0 : -0.5, range = s->corners ? (double)(n - 1) : (double)n;
    if (range == 0) return wg_scale(x, 0);
    const wg_tensor turn = wg_mod(wg_add_scalar(x, -low), wg__scalar_like(c, x, 2 * range));
    return wg_add_scalar(wg_sub(wg__scalar_like(c, x, range), wg_abs(wg_sub_scalar(turn, range))), low);
}

/* Cubic convolution with a = -3/4 (Keys 1981): weights of the four elements around, t after the second. */
static void cubic(wg_tensor t, wg_tensor *weight)
{
    const double a = -0.75;
    const wg_tensor far[] = {wg_add_scalar(t, 1), wg_add_scalar(wg_neg(t), 2)};
    const wg_tensor near[] = {t, wg_add_scalar(wg_neg(t), 1)};
    for (int i = 0; i < 2; i++) {
        const wg_tensor u = far[i], v = near[i];
        wg_tensor outer = wg_mul(wg_add_scalar(wg_scale(u, a), -5 * a), u);
        outer = wg_mul(wg_add_scalar(outer, 8 * a), u);
        weight[3 * i] = wg_add_scalar(outer, -4 * a);
        const wg_tensor inner = wg_mul(wg_add_scalar(wg_scale(v, a + 2), -(a + 3)), wg_square(v));
        weight[1 + i] = wg_add_scalar(inner, 1);
    }
}

/* The taps of positions x along an axis of n elements. */
static void taps_of(wg__call *c, const sampler *s, wg_tensor x, int64_t n, taps *t)
{
    const double last = (double)(n - 1);
    t->n = s->n_taps;
    if (t->n == 1) x = wg_round(x);
    if (t->n < 4 && s->pad == REFLECTION) x = reflected(c, s, x, n);
    if (t->n < 4 && s->pad != ZEROS) x = wg_clamp(x, 0, last);
    const wg_tensor floor = t->n == 1 ? x : wg_floor(x), part = wg_sub(x, floor);
    if (t->n == 2) {
        t->weight[0] = wg_add_scalar(wg_neg(part), 1);
        t->weight[1] = part;
    } else if (t->n == 4)
        cubic(part, t->weight);
    else
        t->weight[0] = wg_ones_like(x);
    for (int k = 0; k < t->n; k++) {
        wg_tensor at = wg_add_scalar(floor, k - (t->n == 4));
        if (s->pad == REFLECTION) at = reflected(c, s, at, n);
        const wg_tensor inside = wg_clamp(at, 0, last);
        if (s->pad == ZEROS) t->weight[k] = wg_mul(t->weight[k], wg_cast(wg_equal(inside, at), wg_dtype_get(at)));
        t->row[k] = wg_cast(inside, WG_I32);
    }
}

/* x[N, C, ...] as [N positions, C]. */
static wg_tensor rows_of(wg_tensor x, const wg_shape *shape, int64_t positions)
{
    const wg_tensor flat = wg_reshape(x, WG_DIMS(shape->size[0], shape->size[1], positions));
    return wg_reshape(wg_transpose(flat, 1, 2), WG_DIMS(shape->size[0] * positions, shape->size[1]));
}

/* The sum or the maximum over all combinations of taps, one of each axis: [places, C], where a place is an element
 * of the shape to which the taps broadcast. image: the number of the image, which broadcasts, too. */
static wg_tensor sampled(wg__call *c, const sampler *s, wg_tensor x, const wg_shape *shape, const taps *t,
                         wg_tensor image)
{
    const int axes = shape->rank - 2;
    int64_t positions = 1, combinations = 1;
    for (int i = 0; i < axes; i++) {
        positions *= shape->size[2 + i];
        combinations *= s->n_taps;
    }
    const wg_tensor rows = rows_of(x, shape, positions), first = wg_scale(image, (double)positions);
    wg_tensor all = WG_NONE;
    for (int64_t i = 0; i < combinations && !wg__call_failed(c); i++) {
        wg_tensor row = wg_scalar(c->tape, WG_I32, 0), weight = wg__scalar_like(c, x, 1);
        int64_t rest = i;
        for (int axis = 0; axis < axes; axis++, rest /= s->n_taps) {
            const int64_t k = rest % s->n_taps;
            row = wg_add(wg_scale(row, (double)shape->size[2 + axis]), t[axis].row[k]);
            weight = wg_mul(weight, t[axis].weight[k]);
        }
        row = wg_add(row, first);
        const int64_t places = wg_numel(row);
        const wg_tensor part = wg_mul(wg_index_select(rows, 0, wg_reshape(row, WG_DIMS(places))),
                                      wg_reshape(weight, WG_DIMS(places, 1)));
        all = !all.tape ? part : s->maximum ? wg_maximum(all, part) : wg_add(all, part);
    }
    return all;
}

/* Coordinates -1 .. 1 as positions along an axis of n elements. */
static wg_tensor positions_of(const sampler *s, wg_tensor grid, int64_t n)
{
    const wg_tensor part = wg_add_scalar(grid, 1);
    return s->corners ? wg_scale(part, (double)(n - 1) / 2) : wg_add_scalar(wg_scale(part, (double)n / 2), -0.5);
}

/* The texts of GridSample, in their order: the first names are those of before opset 20. */
#define MODE    "mode=s:bilinear|nearest|bicubic|linear|cubic"
#define PADDING "padding_mode=s:zeros|border|reflection"
static const int taps_by_mode[] = {2, 1, 4, 2, 4};

static void record_grid_sample(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0), grid = wg_cast(wg__tensor(c, 1), wg_dtype_get(x));
    const wg_shape shape = wg_shape_get(x), g = wg_shape_get(grid);
    const int axes = shape.rank - 2;
    bool fits = axes >= 1 && axes <= 3 && g.rank == shape.rank && g.size[0] == shape.size[0];
    fits = fits && g.size[g.rank - 1] == axes && wg_numel(x) > 0 && wg_numel(grid) > 0 && wg_numel(x) <= INT32_MAX;
    if (!fits) {
        wg__call_fail(c, WG_ERR_SHAPE, "x[N, C, ...] of 1 to 3 spatial axes and the grid do not fit");
        return;
    }
    sampler s = {.corners = wg__attribute_int(c->node, "align_corners", 0) != 0};
    s.n_taps = taps_by_mode[wg__attribute_choice(c->node, "mode", 0)];
    s.pad = (padding)wg__attribute_choice(c->node, "padding_mode", ZEROS);
    wg_shape out = shape;
    int64_t places = 1;
    for (int i = 0; i < axes; i++) places *= out.size[2 + i] = g.size[1 + i];
    const wg_tensor flat = wg_reshape(grid, WG_DIMS(shape.size[0], places, axes));
    const wg_tensor image = wg_unsqueeze(wg_arange(c->tape, WG_I32, 0, 1, shape.size[0]), 1);
    taps t[WG_MAX_RANK];
    for (int i = 0; i < axes; i++) {
        const wg_tensor along = wg_select(flat, -1, axes - 1 - i); /* a grid has x before y */
        taps_of(c, &s, positions_of(&s, along, shape.size[2 + i]), shape.size[2 + i], &t[i]);
    }
    const wg_tensor rows = sampled(c, &s, x, &shape, t, image);
    const wg_tensor y = wg_reshape(rows, WG_DIMS(shape.size[0], places, shape.size[1]));
    wg__set(c, 0, wg_reshape(wg_transpose(y, 1, 2), out), wg__type_of(c, 0));
}

/* ---- AffineGrid: theta[N, k, k + 1] times each place (x, y, (z), 1) of an image of that size ---- */

static void record_affine_grid(wg__call *c)
{
    const wg_tensor theta = wg__tensor(c, 0);
    int64_t size[WG_MAX_RANK], places = 1;
    const int axes = wg__known_ints(c, 1, size, WG_MAX_RANK) - 2;
    const bool corners = wg__attribute_int(c->node, "align_corners", 0) != 0;
    if (wg__call_failed(c)) return;
    bool fits = axes == 2 || axes == 3;
    for (int i = 0; fits && i < axes; i++) fits = size[2 + i] > 0 && size[2 + i] < 1 << 16;
    if (!fits) {
        wg__call_fail(c, WG_ERR_SHAPE, "the size is not of an image of 2 or 3 spatial axes");
        return;
    }
    wg_tensor part[4];
    wg_shape shape = {.rank = axes};
    for (int i = 0; i < axes; i++) places *= shape.size[i] = size[2 + i];
    for (int k = 0; k < axes; k++) {
        const int axis = axes - 1 - k;
        const int64_t n = shape.size[axis];
        const double step = corners ? (n > 1 ? 2.0 / (double)(n - 1) : 0) : 2.0 / (double)n;
        wg_shape line = shape;
        for (int i = 0; i < axes; i++) line.size[i] = i == axis ? n : 1;
        const wg_tensor along =
            wg_arange(c->tape, wg_dtype_get(theta), corners ? (n > 1 ? -1 : 0) : -1 + step / 2, step, n);
        part[k] = wg_reshape(wg_expand(wg_reshape(along, line), shape), WG_DIMS(places));
    }
    part[axes] = wg_ones(c->tape, wg_dtype_get(theta), WG_DIMS(places));
    const wg_tensor grid = wg_matmul(wg_stack(part, axes + 1, 1), wg_transpose(theta, 1, 2));
    wg_shape out = {.rank = axes + 2, .size = {wg_size(theta, 0)}};
    for (int i = 0; i < axes; i++) out.size[1 + i] = shape.size[i];
    out.size[axes + 1] = axes;
    wg__set(c, 0, wg_reshape(grid, out), wg__type_of(c, 0));
}

/* ---- RoiAlign: boxes of images, cut into bins, of which each is the mean or the maximum of samples ---- */

typedef struct bins {
    int64_t n, samples; /* along the axis */
    double scale;       /* of the boxes' coordinates */
    bool half_pixel;    /* elements have their centers at 1/2, 3/2, ... */
} bins;

/* The taps of all samples of all boxes along an axis of `size` elements: [boxes, bins samples]. begin, end: [boxes, 1].
 * Samples outside, by more than an element, are 0. */
static void taps_of_bins(wg__call *c, const sampler *s, const bins *b, wg_tensor begin, wg_tensor end, int64_t size,
                         taps *t)
{
    const wg_tensor low = wg_add_scalar(wg_scale(begin, b->scale), b->half_pixel ? -0.5 : 0);
    const wg_tensor length = wg_scale(wg_sub(end, begin), b->scale);
    const wg_tensor bin = wg_scale(b->half_pixel ? length : wg_maximum_scalar(length, 1), 1 / (double)b->n);
    const double step = 1 / (double)b->samples;
    const wg_tensor along = wg_arange(c->tape, wg_dtype_get(begin), step / 2, step, b->n * b->samples);
    const wg_tensor at = wg_add(low, wg_mul(bin, along));
    const wg_tensor inside = wg_equal(wg_clamp(at, -1, (double)size), at);
    taps_of(c, s, at, size, t);
    for (int k = 0; k < t->n; k++) t->weight[k] = wg_mul(t->weight[k], wg_cast(inside, wg_dtype_get(at)));
}

static void record_roi_align(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0), boxes = wg_cast(wg__tensor(c, 1), wg_dtype_get(x)),
                    image = wg__tensor(c, 2);
    const wg_shape shape = wg_shape_get(x), box = wg_shape_get(boxes), index = wg_shape_get(image);
    const int64_t high = wg__attribute_int(c->node, "output_height", 1),
                  wide = wg__attribute_int(c->node, "output_width", 1),
                  samples = wg__attribute_int(c->node, "sampling_ratio", 0);
    const bool fits = shape.rank == 4 && box.rank == 2 && box.size[1] == 4 && index.rank == 1 &&
                      index.size[0] == box.size[0] && box.size[0] > 0 && wg_numel(x) > 0 &&
                      wg_numel(x) <= INT32_MAX;
    if (!fits || high < 1 || wide < 1 || high > 1 << 15 || wide > 1 << 15 || samples > 1 << 10) {
        wg__call_fail(c, WG_ERR_SHAPE,
                      "x[N, C, H, W], boxes[n, 4] and their images[n] do not fit, or a size is none");
        return;
    }
    const char *otherwise = c->node->opset < 16 ? "output_half_pixel" : "half_pixel";
    sampler s = {.n_taps = 2, .pad = BORDER};
    s.maximum = wg__attribute_is(c->node, "mode", "max", "avg");
    bins b = {.samples = samples, .scale = wg__attribute_float(c->node, "spatial_scale", 1)};
    b.half_pixel = wg__attribute_is(c->node, "coordinate_transformation_mode", "half_pixel", otherwise);
    taps t[2];
    for (int i = 0; i < 2; i++) { /* a box is x1, y1, x2, y2 */
        b.n = i == 0 ? high : wide;
        taps_of_bins(c, &s, &b, wg_slice(boxes, 1, 1 - i, 2 - i), wg_slice(boxes, 1, 3 - i, 4 - i),
                     shape.size[2 + i], &t[i]);
        for (int k = 0; k < t[i].n; k++) {
            t[i].row[k] = wg_unsqueeze(t[i].row[k], 2 - i);
            t[i].weight[k] = wg_unsqueeze(t[i].weight[k], 2 - i);
        }
    }
    const wg_tensor rows = sampled(c, &s, x, &shape, t, wg_reshape(image, WG_DIMS(box.size[0], 1, 1)));
    const wg_tensor all = wg_reshape(rows, WG_DIMS(box.size[0], high, samples, wide, samples, shape.size[1]));
    const wg_tensor y = s.maximum ? wg_max(all, WG_AXES(2, 4), false) : wg_mean(all, WG_AXES(2, 4), false);
    wg__set(c, 0, wg_permute(y, WG_AXES(0, 3, 1, 2)), wg__type_of(c, 0));
}

static const char *refuse_roi_align(const wg__onnx_node *node)
{
    if (wg__attribute_int(node, "sampling_ratio", 0) > 0) return NULL;
    return "sampling_ratio = 0: the number of samples depends on the boxes; export with a fixed one, such as 2";
}

const wg__onnx_row wg__onnx_sample[] = {
    {"GridSample", record_grid_sample, 16, 2, 2, "align_corners=i " MODE " " PADDING},
    {"AffineGrid", record_affine_grid, 20, 2, 2, "align_corners=i", 2},
    {"RoiAlign", record_roi_align, 10, 3, 3,
     "coordinate_transformation_mode=s:half_pixel|output_half_pixel mode=s:avg|max output_height=i output_width=i "
     "sampling_ratio=i spatial_scale=f",
     .refuse = refuse_roi_align},
    {NULL},
};
