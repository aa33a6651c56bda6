/* Normalizations. */
#include "internal.h"

/* Mean and variance are those of the file, or with training_mode those of the batch, which are also results. */
static void record_batch_norm(wg__call *c)
{
    const double epsilon = wg__attribute_float(c->node, "epsilon", 1e-5);
    const double momentum = wg__attribute_float(c->node, "momentum", 0.9);
    const wg_tensor x = wg__tensor(c, 0), weight = wg__tensor(c, 1), bias = wg__tensor(c, 2);
    const wg_tensor mean = wg__tensor(c, 3), var = wg__tensor(c, 4);
    const int type = wg__type_of(c, 0);
    if (!wg__attribute_int(c->node, "training_mode", 0)) {
        wg__set(c, 0, wg_batch_norm(x, weight, bias, mean, var, epsilon), type);
        return;
    }
    wg_tensor batch_mean, batch_var;
    wg__set(c, 0, wg_batch_norm_train(x, weight, bias, epsilon, &batch_mean, &batch_var), type);
    wg__set(c, 1, wg_add(wg_scale(mean, momentum), wg_scale(batch_mean, 1 - momentum)), type);
    wg__set(c, 2, wg_add(wg_scale(var, momentum), wg_scale(batch_var, 1 - momentum)), type);
}

static const char *refuse_batch_norm(const wg__onnx_node *node)
{
    if (node->opset < 7 && !wg__attribute_int(node, "is_test", 0)) return "is_test = 0: export for evaluation";
    return wg__attribute_int(node, "spatial", 1) ? NULL : "spatial = 0 (a mean for each position) is not known";
}

/* ---- over the last axes ---- */

static wg_tensor flat_or_none(wg_tensor x)
{
    return x.tape && wg_rank(x) != 1 ? wg_reshape(x, WG_DIMS(wg_numel(x))) : x;
}

enum { LAYER, RMS, INSTANCE, GROUP };

static wg_axes axes_from(int axis, int rank)
{
    wg_axes axes = {0};
    for (int i = axis; i < rank; i++) axes.axis[axes.n++] = i;
    return axes;
}

/* Result 1 of a norm over the axes: the mean; the mean of an RMS norm is 0. */
static void set_mean(wg__call *c, wg_tensor x, wg_axes axes)
{
    if (!wg__wants(c, 1)) return;
    const wg_tensor mean = wg_mean(x, axes, true);
    wg__set(c, 1, c->node->row->kind == RMS ? wg_zeros_like(mean) : mean, wg__type_of(c, 0));
}

/* Result k: 1 / deviation; of an RMS norm 1 / RMS. */
static void set_inverse(wg__call *c, int k, wg_tensor x, wg_axes axes, double epsilon)
{
    if (!wg__wants(c, k)) return;
    const bool rms = c->node->row->kind == RMS;
    const wg_tensor square = rms ? wg_mean(wg_square(x), axes, true) : wg_var(x, axes, true, 0);
    wg__set(c, k, wg_rsqrt(wg_add_scalar(square, epsilon)), wg__type_of(c, 0));
}

/* Whether a weight has the sizes of the axes from `axis` on, and 1 before them. */
static bool has_sizes(const wg_shape *shape, int axis, wg_tensor weight)
{
    const wg_shape w = wg_shape_get(weight);
    const int missing = shape->rank - w.rank; /* axes */
    if (missing < 0 || missing > axis) return false;
    for (int i = missing; i < shape->rank; i++)
        if (w.size[i - missing] != (i < axis ? 1 : shape->size[i])) return false;
    return true;
}

/* The axes from `axis` on as one. Weights that do not have their sizes broadcast, and are applied after. */
static void record_layer_norm(wg__call *c)
{
    const double epsilon = wg__attribute_float(c->node, "epsilon", 1e-5);
    const wg_tensor x = wg__tensor(c, 0), weight = wg__tensor(c, 1), bias = wg__tensor(c, 2);
    const wg_shape shape = wg_shape_get(x);
    const int axis = wg__call_axis(c, wg__attribute_int(c->node, "axis", -1), shape.rank);
    const bool rms = c->node->row->kind == RMS;
    if (wg__call_failed(c)) return;
    const wg_tensor rows = axis < shape.rank - 1 ? wg_flatten(x, axis, shape.rank - 1) : x;
    const bool fits = has_sizes(&shape, axis, weight) && (!bias.tape || has_sizes(&shape, axis, bias));
    const wg_tensor w = fits ? flat_or_none(weight) : WG_NONE, b = fits ? flat_or_none(bias) : WG_NONE;
    wg_tensor y = wg_reshape(rms ? wg_rms_norm(rows, w, epsilon) : wg_layer_norm(rows, w, b, epsilon), shape);
    if (!fits) y = wg_mul(y, weight);
    if (!fits && bias.tape) y = wg_add(y, bias);
    wg__set(c, 0, y, wg__type_of(c, 0));
    const wg_axes axes = axes_from(axis, shape.rank);
    if (!rms) set_mean(c, x, axes);
    set_inverse(c, rms ? 1 : 2, x, axes, epsilon);
}

/* Of x = operand 0 + skip + bias, which is result 3. */
static void record_skip_norm(wg__call *c)
{
    const double epsilon = wg__attribute_float(c->node, "epsilon", 1e-12);
    const bool rms = c->node->row->kind == RMS;
    const wg_tensor weight = wg__tensor(c, 2), shift = rms ? WG_NONE : wg__tensor(c, 3);
    const int k = rms ? 3 : 4;
    wg_tensor x = wg_add(wg__tensor(c, 0), wg__tensor(c, 1));
    if (wg__has(c, k)) x = wg_add(x, wg__tensor(c, k));
    wg__set(c, 0, rms ? wg_rms_norm(x, weight, epsilon) : wg_layer_norm(x, weight, shift, epsilon),
            wg__type_of(c, 0));
    set_mean(c, x, WG_AXES(-1));
    set_inverse(c, 2, x, WG_AXES(-1), epsilon);
    wg__set(c, 3, x, wg__type_of(c, 0));
}

/* The sum of embeddings of a word, its place and its segment, normalized; how many words of a row the mask has. */
static void record_embedding_norm(wg__call *c)
{
    const wg_tensor words = wg__tensor(c, 0);
    if (wg_rank(words) != 2) {
        wg__call_fail(c, WG_ERR_SHAPE, "the words are not [B, T], but have %d axes", wg_rank(words));
        return;
    }
    const wg_tensor places = wg__has(c, 8) ? wg__tensor(c, 8) : wg_arange(c->tape, WG_I32, 0, 1, wg_size(words, 1));
    wg_tensor x = wg_add(wg_embedding(wg__tensor(c, 2), words), wg_embedding(wg__tensor(c, 3), places));
    if (wg__has(c, 1) && wg__has(c, 4)) x = wg_add(x, wg_embedding(wg__tensor(c, 4), wg__tensor(c, 1)));
    const double epsilon = wg__attribute_float(c->node, "epsilon", 1e-12);
    wg__set(c, 0, wg_layer_norm(x, wg__tensor(c, 5), wg__tensor(c, 6), epsilon), wg__type_of(c, 2));
    if (wg__wants(c, 1)) {
        const wg_tensor mask = wg__has(c, 7) ? wg_cast(wg__tensor(c, 7), WG_F64)
                                             : wg_zeros(c->tape, WG_F64, WG_DIMS(wg_size(words, 0), 1));
        wg__set(c, 1, wg_cast(wg_sum(mask, WG_AXES(-1), false), WG_I32), WG__INT32);
    }
    wg__set(c, 2, x, wg__type_of(c, 2));
}

/* ---- over groups of channels ---- */

/* Weights per channel; of GroupNormalization before opset 21, per group. */
static void record_group_norm(wg__call *c)
{
    const double epsilon = wg__attribute_float(c->node, "epsilon", 1e-5);
    const wg_tensor x = wg__tensor(c, 0);
    wg_tensor weight = wg__tensor(c, 1), bias = wg__tensor(c, 2);
    const int64_t channels = wg_rank(x) > 1 ? wg_size(x, 1) : 0;
    const int64_t groups = c->node->row->kind == INSTANCE ? channels : wg__attribute_int(c->node, "num_groups", 1);
    if (channels < 1 || groups < 1 || channels % groups != 0) {
        wg__call_fail(c, WG_ERR_SHAPE, "%lld channels, %lld groups", (long long)channels, (long long)groups);
        return;
    }
    if (c->node->row->kind == GROUP && c->node->opset < 21) {
        const wg_shape wide = WG_DIMS(groups, channels / groups), flat = WG_DIMS(channels);
        weight = wg_reshape(wg_expand(wg_unsqueeze(weight, 1), wide), flat);
        bias = wg_reshape(wg_expand(wg_unsqueeze(bias, 1), wide), flat);
    }
    wg__set(c, 0, wg_group_norm(x, groups, weight, bias, epsilon), wg__type_of(c, 0));
}

/* x / (bias + alpha / size . the sum of squares over `size` channels around)^beta (Krizhevsky et al. 2012). */
static void record_lrn(wg__call *c)
{
    const int64_t size = wg__attribute_int(c->node, "size", 1);
    const double alpha = wg__attribute_float(c->node, "alpha", 1e-4),
                 beta = wg__attribute_float(c->node, "beta", 0.75);
    const wg_tensor x = wg__tensor(c, 0);
    if (size < 1 || size > 1 << 16 || wg_rank(x) < 2) {
        wg__call_fail(c, WG_ERR_ARGUMENT, "size %lld of %d axes: the size is 1 to %d, and axes are 2 at least",
                      (long long)size, wg_rank(x), 1 << 16);
        return;
    }
    const wg_tensor padded = wg_pad(wg_square(x), 1, (size - 1) / 2, size / 2);
    const wg_tensor sums = wg_sum(wg_unfold(padded, 1, size, 1), WG_AXES(-1), false);
    const wg_tensor scale =
        wg_add_scalar(wg_scale(sums, alpha / (double)size), wg__attribute_float(c->node, "bias", 1));
    wg__set(c, 0, wg_div(x, wg_pow_scalar(scale, beta)), wg__type_of(c, 0));
}

/* (x - mean) / sqrt(var) over the axes. */
static void record_mean_variance(wg__call *c)
{
    int64_t list[WG_MAX_RANK] = {0, 2, 3};
    const int n = wg__ints_of(c, 1, "axes", list, WG_MAX_RANK);
    const wg_tensor x = wg__tensor(c, 0);
    wg_axes axes = {.n = n < 0 ? 3 : n};
    if (wg__call_failed(c)) return;
    for (int i = 0; i < axes.n; i++) axes.axis[i] = wg__call_axis(c, list[i], wg_rank(x));
    if (wg__call_failed(c)) return;
    const wg_tensor centered = wg_sub(x, wg_mean(x, axes, true));
    wg__set(c, 0, wg_div(centered, wg_add_scalar(wg_std(x, axes, true, 0), 1e-9)), wg__type_of(c, 0));
}

/* Segments, which are operands 1 and 4, may be omitted. */
static const char *refuse_embedding_norm(const wg__onnx_node *node)
{
    const bool all = node->n_in > 6 && node->in[2] && node->in[3] && node->in[5] && node->in[6];
    return all ? NULL : "a table of embeddings, the weight or the bias is missing";
}

const wg__onnx_row wg__onnx_norm[] = {
    {"BatchNormalization", record_batch_norm, 6, 5, 5, "epsilon=f is_test=i momentum=f spatial=i training_mode=i",
     .refuse = refuse_batch_norm},
    /* ONNX Runtime writes it in any opset, and the next one in the default domain. */
    {"LayerNormalization", record_layer_norm, 6, 2, 3, "axis=i epsilon=f stash_type=i", .kind = LAYER},
    {"SimplifiedLayerNormalization", record_layer_norm, 6, 2, 2, "axis=i epsilon=f stash_type=i", .kind = RMS},
    {"com.microsoft.SkipLayerNormalization", record_skip_norm, 1, 3, 5, "epsilon=f", .kind = LAYER},
    {"com.microsoft.SkipSimplifiedLayerNormalization", record_skip_norm, 1, 3, 4, "epsilon=f", .kind = RMS},
    {"com.microsoft.EmbedLayerNormalization", record_embedding_norm, 1, 1, 9, "epsilon=f mask_index_type=i",
     .refuse = refuse_embedding_norm},
    {"RMSNormalization", record_layer_norm, 23, 2, 2, "axis=i epsilon=f stash_type=i", .kind = RMS},
    {"InstanceNormalization", record_group_norm, 6, 3, 3, "epsilon=f", .kind = INSTANCE},
    {"GroupNormalization", record_group_norm, 18, 3, 3, "epsilon=f num_groups=i stash_type=i", .kind = GROUP},
    {"LRN", record_lrn, 6, 1, 1, "alpha=f beta=f bias=f size=i"},
    {"MeanVarianceNormalization", record_mean_variance, 9, 1, 1, "axes=I"},
    {NULL},
};
