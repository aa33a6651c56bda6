/* Internal to nn/: the parameters of a layer by name, the parts of attention with heads. */
#ifndef WG_NN_INTERNAL_H
#define WG_NN_INTERNAL_H

#include "transformer.h"

/* Makes the parameter (or buffer) "layer.name"; just "name" where the layer has none. NULL on error, which stays on
 * the set. */
wg_param *wg__layer_param(wg_params *set, const char *layer, const char *name, wg_shape shape, wg_init init);
wg_buffer *wg__layer_buffer(wg_params *set, const char *layer, const char *name, wg_shape shape, wg_init init);

/* wg_mha_apply in parts, for keys and values that are kept. Heads are [..., H, T, d]. */
wg_tensor wg__mha_query(const wg_mha *layer, wg_tensor q);
void wg__mha_keys(const wg_mha *layer, wg_tensor k, wg_tensor v, wg_tensor *keys, wg_tensor *values);
/* Of one x: q, k, v. */
void wg__mha_self(const wg_mha *layer, wg_tensor x, wg_tensor out[3]);
wg_tensor wg__mha_join(const wg_mha *layer, wg_tensor q, wg_tensor k, wg_tensor v, wg_attention_options options,
                       wg_tensor *weights);

/* A transformer's layer in parts: x as a branch sees it, the sum after the branch, and the feed-forward branch. */
wg_tensor wg__transformer_enter(const wg_transformer_layer *layer, const wg_layer_norm_layer *norm, wg_tensor x);
wg_tensor wg__transformer_leave(const wg_transformer_layer *layer, const wg_layer_norm_layer *norm, wg_tensor x,
                                wg_tensor branch);
wg_tensor wg__transformer_feed(const wg_transformer_layer *layer, wg_tensor x);
/* The scope of layer number l; ends with wg_scope_end. */
void wg__transformer_layer_begin(wg_tape *tape, int l);

#endif
