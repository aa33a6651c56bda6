/* Transformers (Vaswani et al. 2017): layers, stacks, the encoder-decoder model, a language model, and decoding with a
 * KV cache.
 *
 * Parameter names, layouts and formulas are PyTorch's (TransformerEncoderLayer, TransformerDecoderLayer, Transformer
 * with batch_first). A mask is true for keys to attend to (wg_attention_options); PyTorch's bool masks are the
 * opposite. */
#ifndef WG_NN_TRANSFORMER_H
#define WG_NN_TRANSFORMER_H

#include "attention.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- one layer ----
 * With D dropout, A(x) self-attention, C(x) cross-attention over the encoder's states ("memory", decoder only) and
 * F(x) = linear2(D(activation(linear1(x)))):
 *
 *     post-norm (the default)           pre-norm (norm_first)
 *     x = norm1(x + D(A(x)))            x = x + D(A(norm1(x)))
 *     x = norm2(x + D(C(x)))            x = x + D(C(norm2(x)))        decoder
 *     x = norm3(x + D(F(x)))            x = x + D(F(norm3(x)))        an encoder uses norm2 here
 */
/* The activation of F: WG_ACTIVATION_RELU wg_relu, WG_ACTIVATION_GELU wg_gelu, WG_ACTIVATION_GELU_TANH wg_gelu_tanh. */
typedef enum wg_activation { WG_ACTIVATION_RELU = 0, WG_ACTIVATION_GELU, WG_ACTIVATION_GELU_TANH } wg_activation;

/* Heads, sizes, norms, dropout and initial values of a layer. */
typedef struct wg_transformer_options {
    int64_t heads;            /* default 1 */
    int64_t feedforward;      /* size of F's hidden layer; default 0: 4 E */
    double dropout;           /* probability, of D and on attention weights; default 0 */
    wg_activation activation; /* default relu */
    bool norm_first;          /* default false */
    bool bias;                /* of linear layers and norms; default true */
    double epsilon;           /* of the norms; default 1e-5 */
    const wg_init *init;      /* of matrices; NULL: PyTorch's, with Glorot for attention's in_proj */
    const wg_init *last_init; /* of out_proj and linear2, the last layers of a residual branch; NULL: init */
} wg_transformer_options;
WG_API wg_transformer_options wg_transformer_defaults(void);

/* A layer of an encoder or decoder. */
typedef struct wg_transformer_layer {
    wg_transformer_options options;          /* as given to init */
    bool decoder;                            /* has cross-attention over a memory */
    int64_t size;                            /* E */
    wg_mha self_attn, multihead_attn;        /* self-attention, cross-attention */
    wg_linear_layer linear1, linear2;        /* [feedforward, E], [E, feedforward] */
    wg_layer_norm_layer norm1, norm2, norm3; /* norm3 only in a decoder */
} wg_transformer_layer;

/* Creates name.self_attn.*, name.multihead_attn.* (decoder), name.linear1.*, name.linear2.*, name.norm1.*, ...
 * WG_ERR_ARGUMENT if an option is out of range. */
WG_API wg_status wg_transformer_layer_init(wg_transformer_layer *layer, wg_params *set, const char *name,
                                           int64_t size, bool decoder, wg_transformer_options options);
/* x[..., T, E] -> [..., T, E]; memory[..., S, E] for a decoder, else WG_NONE. self and cross are the options of
 * self-attention, weights [..., H, T, T], and of cross-attention, weights [..., H, T, S]. */
WG_API wg_tensor wg_transformer_layer_apply(const wg_transformer_layer *layer, wg_tensor x,
                                            wg_attention_options self, wg_tensor memory,
                                            wg_attention_options cross);

/* ---- a stack ---- */

enum { WG_TRANSFORMER_MAX_LAYERS = 32 }; /* of one stack; for more, use two stacks in sequence */

/* Layers in sequence. */
typedef struct wg_transformer_stack {
    bool decoder, has_norm;                                /* has cross-attention; has a final norm */
    int layers;                                            /* their number */
    int64_t size;                                          /* E */
    wg_dtype dtype;                                        /* of the set */
    char name[64];                                         /* the scope of its ops, truncated to this size */
    wg_transformer_layer layer[WG_TRANSFORMER_MAX_LAYERS]; /* the first `layers` of them */
    wg_layer_norm_layer norm;                              /* after the last layer, if has_norm */
} wg_transformer_stack;

/* Creates name.layers.0.*, ... and, with norm, name.norm.*. decoder is false for an encoder, and for a decoder without
 * memory as in a language model, which differs in its causal self-attention only. */
WG_API wg_status wg_transformer_stack_init(wg_transformer_stack *stack, wg_params *set, const char *name,
                                           int64_t size, int layers, bool decoder, bool norm,
                                           wg_transformer_options options);
/* Applies the layers in order; arguments as of wg_transformer_layer_apply. */
WG_API wg_tensor wg_transformer_stack_apply(const wg_transformer_stack *stack, wg_tensor x,
                                            wg_attention_options self, wg_tensor memory,
                                            wg_attention_options cross);

/* ---- encoder-decoder ---- */

/* Encoder and decoder. */
typedef struct wg_transformer {
    wg_transformer_stack encoder, decoder; /* each with a final norm */
} wg_transformer;

/* Creates name.encoder.* and name.decoder.*, each with a final norm, as torch.nn.Transformer does. */
WG_API wg_status wg_transformer_init(wg_transformer *model, wg_params *set, const char *name, int64_t size,
                                     int encoder_layers, int decoder_layers, wg_transformer_options options);
/* source[..., S, E], target[..., T, E] -> [..., T, E]. source_mask: bool, broadcastable to [..., H, T or S, S], true
 * for source positions to attend to (wg_key_mask), or WG_NONE. Self-attention of the target is causal. */
WG_API wg_tensor wg_transformer_apply(const wg_transformer *model, wg_tensor source, wg_tensor target,
                                      wg_tensor source_mask);

/* ---- language model (decoder-only; Radford et al. 2018) ----
 *     h = D(wte[token] + position);  h = stack(h), causal;  logits = h W^T,
 *     W = lm_head.weight, or wte.weight if tied */
/* Layers, positions, tied weights. */
typedef struct wg_lm_options {
    wg_transformer_options layer; /* default: norm_first, gelu, N(0, 0.02^2) for matrices */
    wg_position_kind position;    /* default WG_POSITION_LEARNED */
    bool tied;                    /* default true */
} wg_lm_options;
WG_API wg_lm_options wg_lm_defaults(void);

/* A language model. */
typedef struct wg_lm {
    wg_lm_options options;             /* as given to init */
    int64_t vocabulary, context, size; /* tokens; largest T; E */
    wg_embedding_layer wte;            /* vectors of tokens */
    wg_position_layer wpe;             /* vectors of positions */
    wg_transformer_stack stack;        /* causal */
    wg_param *head;                    /* [vocabulary, E] */
} wg_lm;

/* Creates name.wte.weight, name.wpe.weight, name.layers.0.*, ..., name.norm.*, name.lm_head.weight. Embeddings are
 * N(0, 0.02^2). If layer.init is NULL, so are matrices, except that those which end a residual branch have deviation
 * 0.02 / sqrt(2 layers) (Radford et al. 2019). context is the largest T. */
WG_API wg_status wg_lm_init(wg_lm *model, wg_params *set, const char *name, int64_t vocabulary, int64_t context,
                            int64_t size, int layers, wg_lm_options options);
/* token[..., T] i32 -> logits[..., T, vocabulary]. T > context is an error on the tape (WG_ERR_SHAPE). */
WG_API wg_tensor wg_lm_apply(const wg_lm *model, wg_tensor token);

/* ---- decoding, one position at a time ----
 * The KV cache stores the keys and values of earlier positions in buffers of `length` rows per sequence. A step writes
 * one row and attends to the rows written so far through a mask, so that all steps share one program and one plan:
 *
 *     wg_kv_cache cache;
 *     wg_kv_cache_init(&cache, &model.stack, scratch, "cache", batch, length, 0);
 *     for (int64_t t = 0; t < n; t++) {
 *         wg_no_grad_begin(tape);
 *         wg_tensor logits = wg_lm_step(&model, wg_data(tape, WG_I32, WG_DIMS(batch), token), &cache, t, WG_NONE);
 *         const float *numbers = wg_value(logits);
 *         ... choose the next token ...
 *         wg_no_grad_end(tape);
 *         wg_tape_reset(tape);
 *     }
 * Use it in evaluation mode (wg_set_training). No gradient flows to rows that earlier steps have written. */
/* Keys and values of the positions so far. */
typedef struct wg_kv_cache {
    const wg_transformer_stack *stack; /* must outlive the cache */
    int64_t batch, length, memory;     /* sequences; positions; positions of a decoder's memory */
    wg_buffer *k[WG_TRANSFORMER_MAX_LAYERS], *v[WG_TRANSFORMER_MAX_LAYERS]; /* [batch, H, length, d] */
    wg_buffer *memory_k[WG_TRANSFORMER_MAX_LAYERS],
        *memory_v[WG_TRANSFORMER_MAX_LAYERS]; /* [batch, H, memory, d] */
} wg_kv_cache;

/* Creates name.k_l0, name.v_l0, name.k_l1, ...; for a decoder name.memory_k_l0, ... with `memory` positions. */
WG_API wg_status wg_kv_cache_init(wg_kv_cache *cache, const wg_transformer_stack *stack, wg_params *set,
                                  const char *name, int64_t batch, int64_t length, int64_t memory);
/* Stores the keys and values of a decoder's memory[batch, memory, E]; takes effect with the next successful run. */
WG_API void wg_kv_cache_begin(const wg_kv_cache *cache, wg_tensor memory);
/* Runs position `position` (0 .. length - 1): x[batch, E] -> [batch, E]. cross: options of cross-attention.
 * parents[batch] i32: sequence b continues from the cache of sequence parents[b], for beam search; or WG_NONE. */
WG_API wg_tensor wg_transformer_step(const wg_kv_cache *cache, wg_tensor x, int64_t position,
                                     wg_attention_options cross, wg_tensor parents);
/* token[batch] i32 -> logits[batch, vocabulary]. */
WG_API wg_tensor wg_lm_step(const wg_lm *model, wg_tensor token, const wg_kv_cache *cache, int64_t position,
                            wg_tensor parents);

#ifdef __cplusplus
}
#endif
#endif
