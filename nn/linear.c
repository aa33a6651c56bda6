/* Linear, embedding and layer norm layers. */
#include "../ops/indexing.h"
#include "internal.h"

#include <math.h>
#include <string.h>

/* ---- linear ---- */

wg_linear_options wg_linear_defaults(void) { return (wg_linear_options){.bias = true}; }

wg_status wg_linear_init(wg_linear_layer *layer, wg_params *set, const char *name, int64_t in, int64_t out,
                         wg_linear_options options)
{
    if (!layer) return wg__null_init(set, "linear", name);
    double bound = in > 0 ? 1 / sqrt((double)in) : 0;
    wg_init default_init = wg_init_uniform(-bound, bound);
    *layer = (wg_linear_layer){0};
    layer->weight = wg__layer_param(set, name, "weight", WG_DIMS(out, in),
                                    options.weight_init ? *options.weight_init : default_init);
    if (options.bias)
        layer->bias =
            wg__layer_param(set, name, "bias", WG_DIMS(out), options.bias_init ? *options.bias_init : default_init);
    return wg_params_status(set);
}

wg_tensor wg_linear_apply(const wg_linear_layer *layer, wg_tensor x)
{
    if (!layer) return wg__null_apply(x, "linear");
    return wg_linear(x, wg_use(x.tape, layer->weight), wg__use_or_none(x.tape, layer->bias));
}

/* ---- embedding ---- */

wg_status wg_embedding_init(wg_embedding_layer *layer, wg_params *set, const char *name, int64_t rows, int64_t size,
                            int64_t padding)
{
    if (!layer) return wg__null_init(set, "embedding", name);
    *layer = (wg_embedding_layer){.padding = padding};
    if (padding >= 0 && padding >= rows)
        return wg_params_fail(set, WG_ERR_ARGUMENT, "embedding %s: padding %lld is not one of %lld rows",
                              name ? name : "", (long long)padding, (long long)rows);
    layer->weight = wg__layer_param(set, name, "weight", WG_DIMS(rows, size), wg_init_normal(0, 1));
    if (layer->weight && padding >= 0) { /* never read, but saved: zeros, as in PyTorch */
        size_t bytes = (size_t)size * wg_dtype_size(wg_param_dtype(layer->weight));
        memset((char *)wg_param_write_begin(layer->weight) + (size_t)padding * bytes, 0, bytes);
        wg_param_write_end(layer->weight);
    }
    return wg_params_status(set);
}

wg_tensor wg_embedding_apply(const wg_embedding_layer *layer, wg_tensor index)
{
    if (!layer) return wg__null_apply(index, "embedding");
    wg_tensor rows = wg_embedding(wg_use(index.tape, layer->weight), index);
    if (layer->padding < 0) return rows;
    wg_tensor is_padding = wg_equal(index, wg_scalar(index.tape, WG_I32, (double)layer->padding));
    return wg_masked_fill(rows, wg_unsqueeze(is_padding, -1), 0);
}

/* ---- layer norm ---- */

wg_status wg_layer_norm_init(wg_layer_norm_layer *layer, wg_params *set, const char *name, int64_t size)
{
    if (!layer) return wg__null_init(set, "layer_norm", name);
    *layer = (wg_layer_norm_layer){.epsilon = 1e-5};
    layer->weight = wg__layer_param(set, name, "weight", WG_DIMS(size), wg_init_constant(1));
    layer->bias = wg__layer_param(set, name, "bias", WG_DIMS(size), wg_init_zeros());
    return wg_params_status(set);
}

wg_tensor wg_layer_norm_apply(const wg_layer_norm_layer *layer, wg_tensor x)
{
    if (!layer) return wg__null_apply(x, "layer_norm");
    wg_tensor weight = wg__use_or_none(x.tape, layer->weight), bias = wg__use_or_none(x.tape, layer->bias);
    return wg_layer_norm(x, weight, bias, layer->epsilon);
}
