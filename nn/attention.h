/* Attention layers: a decoder that looks at the states of an encoder, heads side by side, positions.
 *
 * The formula itself, softmax(scale q k^T) v with masks, is wg_attention in ops.h. Here are the layers with
 * parameters. B is the batch, T a length, E the size of a model, H the number of heads. */
#ifndef WG_NN_ATTENTION_H
#define WG_NN_ATTENTION_H

#include "nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- attention of a decoder ----
 *
 *     wg_keys keys = wg_score_keys(&score, encoder_states, encoder_states, mask);     once a sequence
 *     for (int t = 0; t < T; t++) {
 *         context = wg_attend(&score, h, &keys, WG_NONE, &weights);                   each step
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
 * The weights are softmax(e) over the keys that may be seen, and the context is sum_j weights_j values_j. */
typedef enum wg_score_kind {
    WG_SCORE_DOT = 0,
    WG_SCORE_SCALED,
    WG_SCORE_GENERAL,
    WG_SCORE_CONCAT,
    WG_SCORE_ADDITIVE
} wg_score_kind;

/* How weights are made of scores. Hard ones are one 1 and zeros, exactly; their gradient is that of the soft ones
 * (straight-through: Bengio, Leonard, Courville 2013). */
typedef enum wg_choice {
    WG_CHOICE_SOFT = 0, /* softmax(e / temperature) */
    WG_CHOICE_HARD,     /* 1 at the largest score */
    WG_CHOICE_GUMBEL    /* a draw from softmax(e): in train mode e has Gumbel noise, then as hard; in eval mode hard
                           (Jang, Gu, Poole 2017; Maddison, Mnih, Teh 2017) */
} wg_choice;

typedef struct wg_score_options {
    wg_score_kind kind; /* default WG_SCORE_DOT */
    int64_t size;       /* of the hidden layer of CONCAT and ADDITIVE; default 0: that of the query */
    wg_choice choice;   /* default WG_CHOICE_SOFT */
    double temperature; /* > 0; default 1 */
} wg_score_options;
WG_API wg_score_options wg_score_defaults(void);

typedef struct wg_score_layer {
    wg_score_options options;
    int64_t query, key;
    wg_param *W, *U, *v; /* NULL where the kind has none */
} wg_score_layer;

/* Makes name.W, name.U, name.v as the kind needs, U(-1/sqrt(in), 1/sqrt(in)). Equal sizes are needed for DOT and
 * SCALED. */
WG_API wg_status wg_score_init(wg_score_layer *layer, wg_params *set, const char *name, int64_t query, int64_t key,
                               wg_score_options options);

/* What a decoder looks at, with what does not depend on the query computed once. */
typedef struct wg_keys {
    wg_tensor keys;   /* [B, T, key], or W k, U k: [B, T, query or size] */
    wg_tensor values; /* [B, T, dv] */
    wg_tensor mask;   /* bool that broadcasts to [B, T], true where a key may be seen; or WG_NONE */
} wg_keys;
/* keys[B, T, key]; values[B, T, dv], often the keys themselves; mask as in wg_keys (see wg_length_mask). */
WG_API wg_keys wg_score_keys(const wg_score_layer *layer, wg_tensor keys, wg_tensor values, wg_tensor mask);

/* One query a sequence, q[B, query] = context[B, dv]; or several, q[B, Tq, query] = [B, Tq, dv]. mask: bool that
 * broadcasts to the weights, true where a key may be seen, beside that of the keys (a window: wg_window_mask); or
 * WG_NONE. *weights, unless weights is NULL, is [B, T] ([B, Tq, T]). Where no key may be seen all is 0. */
WG_API wg_tensor wg_attend(const wg_score_layer *layer, wg_tensor q, const wg_keys *keys, wg_tensor mask,
                           wg_tensor *weights);

/* bool [T]: |j - center| <= window. Local attention around a place (Luong et al. 2015); where window >= T - 1 it is
 * global attention. The center is no part of the program. */
WG_API wg_tensor wg_window_mask(wg_tape *tape, int64_t T, int64_t center, int64_t window);
/* wg_length_mask(lengths, T) as [B, 1, 1, T]: the mask over keys of a batch of sequences, for all heads and queries. */
WG_API wg_tensor wg_key_mask(wg_tensor lengths, int64_t T);

/* ---- heads ----
 * With H heads of size d, each with its rows of W_q, W_k, W_v:  z_h = attention(W_q q, W_k k, W_v v);
 * the result is W_o [z_1; ...; z_H] + b_o (Vaswani et al. 2017), or z_1 + ... + z_H with `sum`, which is the same as
 * W_o = [I ... I]. */
typedef struct wg_mha_options {
    bool bias;               /* default true */
    bool sum;                /* heads are added, and there is no out_proj; default false */
    int64_t head_size;       /* default 0: E / H, or E with sum */
    int64_t key_size;        /* size of what the keys are made from; default 0: E */
    int64_t value_size;      /* ... and the values; default 0: E */
    double dropout;          /* of the weights; default 0 */
    const wg_init *in_init;  /* NULL: Glorot's, of the whole in_proj_weight, as PyTorch's */
    const wg_init *out_init; /* NULL: U(-1/sqrt(in), 1/sqrt(in)) */
} wg_mha_options;
WG_API wg_mha_options wg_mha_defaults(void);

typedef struct wg_mha {
    wg_mha_options options;
    int64_t size, heads, head_size;
    wg_param *in_proj_weight; /* [3 H d, E]: the rows of W_q, W_k, W_v; NULL if sizes differ, then: */
    wg_param *q_proj_weight;  /* [H d, E] */
    wg_param *k_proj_weight;  /* [H d, key_size] */
    wg_param *v_proj_weight;  /* [H d, value_size] */
    wg_param *in_proj_bias;   /* [3 H d] or NULL; starts as zeros */
    wg_linear_layer out_proj; /* [E, H d]; not with sum; its bias starts as zeros */
} wg_mha;

/* Makes name.in_proj_weight, name.in_proj_bias, name.out_proj.weight, name.out_proj.bias, as
 * torch.nn.MultiheadAttention. */
WG_API wg_status wg_mha_init(wg_mha *layer, wg_params *set, const char *name, int64_t size, int64_t heads,
                             wg_mha_options options);
/* q[..., Tq, E], k[..., Tk, key_size], v[..., Tk, value_size] = [..., Tq, E] ([..., Tq, d] with sum); leading sizes are
 * equal. options: those of wg_attention, over weights [..., H, Tq, Tk]; its dropout is the layer's; a mask of rank 3
 * beside a batch is refused, since [B, Tq, Tk] would be read as [H, Tq, Tk]. *weights, unless weights is NULL, is what
 * the values are multiplied with. */
WG_API wg_tensor wg_mha_apply(const wg_mha *layer, wg_tensor q, wg_tensor k, wg_tensor v,
                              wg_attention_options options, wg_tensor *weights);

/* ---- positions ----
 * Attention alone does not know the order of its keys; a vector for each position, added to what comes in, tells. */

/* position[...] i32 = [..., size]: with w_i = 10000^(-2 i / size), element 2 i is sin(position w_i), element 2 i + 1
 * cos(position w_i) (Vaswani et al. 2017). */
WG_API wg_tensor wg_sinusoid(wg_tensor position, int64_t size, wg_dtype dtype);

typedef enum wg_position_kind { WG_POSITION_NONE = 0, WG_POSITION_SINUSOID, WG_POSITION_LEARNED } wg_position_kind;

typedef struct wg_position_layer {
    wg_position_kind kind;
    wg_param *weight; /* [length, size] if learned, else NULL */
} wg_position_layer;

/* LEARNED makes name.weight [length, size], N(0, deviation^2); the others make nothing. */
WG_API wg_status wg_position_init(wg_position_layer *layer, wg_params *set, const char *name, wg_position_kind kind,
                                  int64_t length, int64_t size, double deviation);
/* x[..., T, size] + the vectors of the positions 0 .. T - 1. */
WG_API wg_tensor wg_position_apply(const wg_position_layer *layer, wg_tensor x);
/* x[..., T, size] + those of the positions in position[T], i32. */
WG_API wg_tensor wg_position_apply_at(const wg_position_layer *layer, wg_tensor x, wg_tensor position);

#ifdef __cplusplus
}
#endif
#endif
