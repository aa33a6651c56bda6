/* Batch norm and RMS norm layers. */
#include "internal.h"

#include <float.h>

/* ---- batch norm ---- */

wg_status wg_batch_norm_init(wg_batch_norm_layer *layer, wg_params *set, const char *name, int64_t channels)
{
    if (!layer) return wg__null_init(set, "batch_norm", name);
    *layer = (wg_batch_norm_layer){.momentum = 0.1, .epsilon = 1e-5};
    layer->weight = wg__layer_param(set, name, "weight", WG_DIMS(channels), wg_init_constant(1));
    layer->bias = wg__layer_param(set, name, "bias", WG_DIMS(channels), wg_init_zeros());
    layer->running_mean = wg__layer_buffer(set, name, "running_mean", WG_DIMS(channels), wg_init_zeros());
    layer->running_var = wg__layer_buffer(set, name, "running_var", WG_DIMS(channels), wg_init_constant(1));
    layer->num_batches_tracked = wg__layer_buffer(set, name, "num_batches_tracked", WG_SCALAR, wg_init_zeros());
    return wg_params_status(set);
}

/* Assigns (1 - share) running + share batch, rounded as PyTorch does: wg_lerp rounds their difference. */
static void blend(wg_buffer *running, wg_tensor batch, wg_tensor share)
{
    wg_tensor old = wg_mul(wg_use(batch.tape, running), wg_rsub_scalar(1, share));
    wg_assign(running, wg_add(old, wg_mul(batch, share)));
}

wg_tensor wg_batch_norm_apply(const wg_batch_norm_layer *layer, wg_tensor x)
{
    if (!layer) return wg__null_apply(x, "batch_norm");
    wg_tensor weight = wg__use_or_none(x.tape, layer->weight), bias = wg__use_or_none(x.tape, layer->bias), mean,
              var;
    if (!x.tape || !wg_is_training(x.tape))
        return wg_batch_norm(x, weight, bias, wg__use_or_none(x.tape, layer->running_mean),
                             wg__use_or_none(x.tape, layer->running_var), layer->epsilon);
    wg_tensor y = wg_batch_norm_train(x, weight, bias, layer->epsilon, &mean, &var);
    if (wg_is_nil(y)) return y;
    double n = (double)wg_numel(x) / (double)wg_size(x, 1); /* without channels there is nothing to scale */
    wg_tensor batches = wg_add_scalar(wg_use(x.tape, layer->num_batches_tracked), 1);
    wg_tensor share = wg_scalar(x.tape, wg_dtype_get(x), layer->momentum);
    if (layer->cumulative) share = wg_reciprocal(batches);
    blend(layer->running_mean, mean, share);
    blend(layer->running_var, wg_scale(var, n / (n - 1)), share);
    wg_assign(layer->num_batches_tracked, batches);
    return y;
}

/* ---- RMS norm ---- */

wg_status wg_rms_norm_init(wg_rms_norm_layer *layer, wg_params *set, const char *name, int64_t size)
{
    if (!layer) return wg__null_init(set, "rms_norm", name);
    *layer = (wg_rms_norm_layer){.epsilon = wg_params_dtype(set) == WG_F64 ? DBL_EPSILON : (double)FLT_EPSILON};
    layer->weight = wg__layer_param(set, name, "weight", WG_DIMS(size), wg_init_constant(1));
    return wg_params_status(set);
}

wg_tensor wg_rms_norm_apply(const wg_rms_norm_layer *layer, wg_tensor x)
{
    if (!layer) return wg__null_apply(x, "rms_norm");
    return wg_rms_norm(x, wg__use_or_none(x.tape, layer->weight), layer->epsilon);
}
