/* Internal to nn/: helpers that layers share, and the parts of layers that incremental decoding calls one by one.
 *
 * Room nn: layers, cells and decoding, written as a user would write them: parameters of a set, and ops recorded on a
 * tape. It knows the public headers of autograd/ and ops/ and the room base; no kernel, plan or optimizer. */
#ifndef WG_NN_INTERNAL_H
#define WG_NN_INTERNAL_H

#include "transformer.h"

/* Creates the parameter or buffer "layer.name", or "name" if the layer's name is empty or NULL. Returns NULL on error;
 * the set stores the error. */
wg_param *wg__layer_param(wg_params *set, const char *layer, const char *name, wg_shape shape, wg_init init);
wg_buffer *wg__layer_buffer(wg_params *set, const char *layer, const char *name, wg_shape shape, wg_init init);

/* Of functions that were passed NULL for a layer, a model or a state: the error, on the set or on x's tape. */
wg_status wg__null_init(wg_params *set, const char *kind, const char *name);
wg_tensor wg__null_apply(wg_tensor x, const char *op);

/* The parameter on a tape; WG_NONE if it is NULL. */
wg_tensor wg__use_or_none(wg_tape *tape, wg_param *param);

/* Begins the scope "l<l>" of a layer in a stack; end it with wg_scope_end. */
void wg__layer_scope_begin(wg_tape *tape, int l);

/* The parts of wg_mha_apply, for keys and values that are cached. Heads are [..., H, T, d]. */
wg_tensor wg__mha_query(const wg_mha *layer, wg_tensor q);
void wg__mha_keys(const wg_mha *layer, wg_tensor k, wg_tensor v, wg_tensor *keys, wg_tensor *values);
/* Queries, keys and values of one input x. */
void wg__mha_self(const wg_mha *layer, wg_tensor x, wg_tensor out[3]);
/* Attention of every head, then out_proj or the sum of the heads. */
wg_tensor wg__mha_attend(const wg_mha *layer, wg_tensor q, wg_tensor k, wg_tensor v, wg_attention_options options,
                         wg_tensor *weights);

/* The parts of a transformer layer: the input of a residual branch (normalized first, with norm_first), x plus the
 * branch (normalized after, without norm_first), and the feed-forward block with its residual connection and norm. */
wg_tensor wg__transformer_branch_input(const wg_transformer_layer *layer, const wg_layer_norm_layer *norm,
                                       wg_tensor x);
wg_tensor wg__transformer_add_branch(const wg_transformer_layer *layer, const wg_layer_norm_layer *norm,
                                     wg_tensor x, wg_tensor branch);
wg_tensor wg__transformer_feed_forward(const wg_transformer_layer *layer, wg_tensor x);

#endif
