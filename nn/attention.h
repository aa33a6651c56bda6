/* Attention layers: attention of a decoder over the states of an encoder, multi-head attention, positions.
 *
 * These are the layers with parameters; the formula softmax(scale q k^T) v with masks is wg_attention in ops.h.
 * B is the batch size, T a length, E the model size, H the number of heads. */
#ifndef WG_NN_ATTENTION_H
#define WG_NN_ATTENTION_H

#include "nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- attention of a recurrent decoder ----
 *
 *     wg_keys keys = wg_score_keys(&score, encoder_states, encoder_states, mask);     once per sequence
 *     for (int t = 0; t < T; t++) {
 *         context = wg_attend(&score, h, &keys, WG_NONE, &weights);                   once per step
 *         h = wg_rnn_step(&decoder, wg_concat((wg_tensor[]){x[t], context}, 2, -1), &state);
 *     }
 *
 * The score e_j of the query q and the key k_j, by kind:
 *
 *     WG_SCORE_DOT       q . k_j                                                (Luong et al. 2015)
 *     WG_SCORE_SCALED    q . k_j / sqrt(size of q)                              (Vaswani et al. 2017)
 *     WG_SCORE_GENERAL   q^T W k_j              W[query, key]                   (Luong et al. 2015)
 *     WG_SCORE_CONCAT    v^T tanh(W [q; k_j])   W[size, query + key], v[size]   (Luong et al. 2015)
 *     WG_SCORE_ADDITIVE  v^T tanh(W q + U k_j)  W[size, query], U[size, key], v[size]
 *                                                                               (Bahdanau, Cho, Bengio 2015)
 *
 * The weights are softmax(e) over the keys that the mask allows; the context is sum_j weights_j values_j. */
/* The score of a query and a key. */
typedef enum wg_score_kind {
    WG_SCORE_DOT = 0,
    WG_SCORE_SCALED,
    WG_SCORE_GENERAL,
    WG_SCORE_CONCAT,
    WG_SCORE_ADDITIVE
} wg_score_kind;

/* How weights are computed from scores. Hard weights are exactly one-hot and have the gradient of the soft weights
 * (straight-through: Bengio, Leonard, Courville 2013). */
typedef enum wg_choice {
    WG_CHOICE_SOFT = 0, /* softmax(e / temperature) */
    WG_CHOICE_HARD,     /* 1 at the largest score */
    WG_CHOICE_GUMBEL /* a sample from softmax(e): HARD on e plus Gumbel noise in training, HARD in evaluation mode
                           (Jang, Gu, Poole 2017; Maddison, Mnih, Teh 2017) */
} wg_choice;

/* Kind of score, and how weights follow from it. */
typedef struct wg_score_options {
    wg_score_kind kind; /* default WG_SCORE_DOT */
    int64_t size;       /* of the hidden layer of CONCAT and ADDITIVE; default 0: the query's size */
    wg_choice choice;   /* default WG_CHOICE_SOFT */
    double temperature; /* > 0; default 1 */
} wg_score_options;
WG_API wg_score_options wg_score_defaults(void);

/* A score with its parameters. */
typedef struct wg_score_layer {
    wg_score_options options; /* as given to init */
    int64_t query, key;       /* sizes of a query and of a key */
    wg_param *W, *U, *v;      /* as above; NULL if the kind does not use it */
} wg_score_layer;

/* Creates those of name.W, name.U and name.v that the kind uses, from U(-1/sqrt(in), 1/sqrt(in)). WG_ERR_ARGUMENT if an
 * option is out of range, or if query and key differ with DOT or SCALED. */
WG_API wg_status wg_score_init(wg_score_layer *layer, wg_params *set, const char *name, int64_t query, int64_t key,
                               wg_score_options options);

/* The keys and values of a batch of sequences, with the part of the score that does not depend on the query. */
typedef struct wg_keys {
    wg_tensor keys;   /* k: [B, T, key]; GENERAL: W k, [B, T, query]; CONCAT, ADDITIVE: [B, T, size] */
    wg_tensor values; /* [B, T, dv] */
    wg_tensor mask;   /* bool, broadcastable to [B, T], true for keys to attend to; or WG_NONE */
} wg_keys;
/* keys[B, T, key]; values[B, T, dv], often the keys themselves; mask as in wg_keys (see wg_length_mask in indexing.h).
 * Keys and values that it hides are not read, even NaN: the result holds zeros for them. */
WG_API wg_keys wg_score_keys(const wg_score_layer *layer, wg_tensor keys, wg_tensor values, wg_tensor mask);

/* The context for one query per sequence, q[B, query] -> [B, dv], or for several, q[B, Tq, query] -> [B, Tq, dv].
 * mask: bool, broadcastable to the weights, true for keys to attend to, combined with the keys' own mask (for a window
 * see wg_window_mask); or WG_NONE. weights may be NULL; else *weights is [B, T] or [B, Tq, T]. For a query that may
 * attend to no key, weights and context are 0. */
WG_API wg_tensor wg_attend(const wg_score_layer *layer, wg_tensor q, const wg_keys *keys, wg_tensor mask,
                           wg_tensor *weights);

/* |j - center| <= window for j = 0 .. T - 1, bool [T]: local attention around a position (Luong et al. 2015). With
 * window >= T - 1 attention is global. The center may change from step to step without a new plan. */
WG_API wg_tensor wg_window_mask(wg_tape *tape, int64_t T, int64_t center, int64_t window);
/* wg_length_mask(lengths, T) as [B, 1, 1, T]: masks the padding of a batch of sequences for all heads and queries. */
WG_API wg_tensor wg_key_mask(wg_tensor lengths, int64_t T);

/* ---- multi-head attention ----
 * Head h of H, of size d, uses its own rows of W_q, W_k and W_v:  z_h = attention(W_q q, W_k k, W_v v).
 * The result is W_o [z_1; ...; z_H] + b_o (Vaswani et al. 2017), or with `sum` z_1 + ... + z_H, which equals
 * W_o = [I ... I]. */
/* Sizes, bias, dropout and initial values. */
typedef struct wg_mha_options {
    bool bias;               /* default true */
    bool sum;                /* add the heads, without out_proj; default false */
    int64_t head_size;       /* default 0: E / H, or E with sum */
    int64_t key_size;        /* size of k; default 0: E */
    int64_t value_size;      /* size of v; default 0: E */
    double dropout;          /* probability, on the weights; default 0 */
    const wg_init *in_init;  /* NULL: Glorot with the fans of the whole in_proj_weight, as in PyTorch */
    const wg_init *out_init; /* NULL: U(-1/sqrt(in), 1/sqrt(in)) */
} wg_mha_options;
WG_API wg_mha_options wg_mha_defaults(void);

/* Multi-head attention with its parameters. */
typedef struct wg_mha {
    wg_mha_options options;         /* as given to init */
    int64_t size, heads, head_size; /* E, H, d */
    wg_param *in_proj_weight;       /* [3 H d, E]: W_q, W_k, W_v; NULL if the sizes differ: the next three */
    wg_param *q_proj_weight;        /* [H d, E] */
    wg_param *k_proj_weight;        /* [H d, key_size] */
    wg_param *v_proj_weight;        /* [H d, value_size] */
    wg_param *in_proj_bias;         /* [3 H d] or NULL; initially zeros */
    wg_linear_layer out_proj;       /* [E, H d]; not with sum; its bias is initially zero */
} wg_mha;

/* Creates name.in_proj_weight, name.in_proj_bias, name.out_proj.weight and name.out_proj.bias, as
 * torch.nn.MultiheadAttention does. WG_ERR_ARGUMENT if an option is out of range. */
WG_API wg_status wg_mha_init(wg_mha *layer, wg_params *set, const char *name, int64_t size, int64_t heads,
                             wg_mha_options options);
/* q[..., Tq, E], k[..., Tk, key_size], v[..., Tk, value_size] -> [..., Tq, E] ([..., Tq, d] with sum); the leading
 * sizes must be equal. options: those of wg_attention, for weights [..., H, Tq, Tk]; the layer's dropout replaces
 * theirs. A mask of rank 3 for a batch is an error, since [B, Tq, Tk] would be taken as [H, Tq, Tk]. weights may be
 * NULL; else *weights are the weights [..., H, Tq, Tk] that multiply the values. */
WG_API wg_tensor wg_mha_apply(const wg_mha *layer, wg_tensor q, wg_tensor k, wg_tensor v,
                              wg_attention_options options, wg_tensor *weights);

/* ---- positions ----
 * Attention is invariant to the order of its keys; a vector per position, added to the input, encodes the order. */

/* position[...] i32 -> [..., size]: with w_i = 10000^(-2 i / size), element 2 i is sin(position w_i), element 2 i + 1
 * is cos(position w_i) (Vaswani et al. 2017). */
WG_API wg_tensor wg_sinusoid(wg_tensor position, int64_t size, wg_dtype dtype);

/* How positions are encoded: WG_POSITION_NONE, not at all; WG_POSITION_SINUSOID, by wg_sinusoid; WG_POSITION_LEARNED,
 * by a parameter. */
typedef enum wg_position_kind { WG_POSITION_NONE = 0, WG_POSITION_SINUSOID, WG_POSITION_LEARNED } wg_position_kind;

/* A vector for each position. */
typedef struct wg_position_layer {
    wg_position_kind kind; /* as given to init */
    wg_param *weight;      /* [length, size] if learned, else NULL */
} wg_position_layer;

/* LEARNED creates name.weight [length, size], N(0, deviation^2); the other kinds have no parameters. */
WG_API wg_status wg_position_init(wg_position_layer *layer, wg_params *set, const char *name, wg_position_kind kind,
                                  int64_t length, int64_t size, double deviation);
/* x[..., T, size] plus the vectors of positions 0 .. T - 1. */
WG_API wg_tensor wg_position_apply(const wg_position_layer *layer, wg_tensor x);
/* x[..., T, size] plus the vectors of position[T], i32. */
WG_API wg_tensor wg_position_apply_at(const wg_position_layer *layer, wg_tensor x, wg_tensor position);

#ifdef __cplusplus
}
#endif
#endif
