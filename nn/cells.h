/* More recurrent cells than those of wg_rnn, access to the gates of a cell, and conversion between gate orders.
 * Parameters and compositions of ops, as in nn.h. B is the batch size, H the size of the hidden state. */
#ifndef WG_CELLS_H
#define WG_CELLS_H

#include "nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Jordan network ----
 * The output is fed back, instead of the hidden layer as in an Elman network (Jordan 1986):
 *
 *     h_t = g1(W_ih x_t + W_yh y_{t-1} + b_h)
 *     y_t = g2(W_hy h_t + b_y)
 */
typedef wg_tensor (*wg_jordan_fn)(wg_tensor x); /* g1 or g2: x[B, ...] to the same shape */

/* Activations, bias and first output. */
typedef struct wg_jordan_options {
    wg_jordan_fn hidden;   /* g1; NULL: wg_tanh */
    wg_jordan_fn output;   /* g2; NULL: the identity. For a softmax, pass a function that calls wg_softmax. */
    bool bias;             /* default true */
    bool learned_output;   /* y_0 is a parameter; default false: it is zero */
    const wg_init *y_init; /* initial values of a learned y_0; NULL: zeros */
} wg_jordan_options;
WG_API wg_jordan_options wg_jordan_defaults(void);

/* A Jordan network. */
typedef struct wg_jordan {
    wg_jordan_options options; /* as given to init */
    wg_dtype dtype;            /* of the set */
    int64_t output;            /* size of y */
    wg_param *weight_ih;       /* [H, in] */
    wg_param *weight_yh;       /* [H, out] */
    wg_param *weight_hy;       /* [out, H] */
    wg_param *bias_h;          /* [H] or NULL */
    wg_param *bias_y;          /* [out] or NULL */
    wg_param *y0;              /* [out] with learned_output, else NULL */
} wg_jordan;

/* Creates name.weight_ih, name.weight_yh, name.weight_hy, name.bias_h, name.bias_y and name.y0, the weights and biases
 * from U(-1/sqrt(H), 1/sqrt(H)). */
WG_API wg_status wg_jordan_init(wg_jordan *layer, wg_params *set, const char *name, int64_t input, int64_t hidden,
                                int64_t output, wg_jordan_options options);
/* y_0 [B, out], learned or zero. A sequence may also start from any other tensor of this shape. */
WG_API wg_tensor wg_jordan_initial(const wg_jordan *layer, wg_tape *tape, int64_t batch);
/* x[B, in] and the previous output y[B, out] -> the next output [B, out]. */
WG_API wg_tensor wg_jordan_step(const wg_jordan *layer, wg_tensor x, wg_tensor y);

/* ---- simple GRU ----
 * The GRU of Cho et al. 2014 without its reset gate, as in Ng's course on sequence models:
 *
 *     z  = sigmoid(a_z + u_z), n = tanh(a_n + u_n), with a = W_ih x + b, u = W_hh h, order z n
 *     h' = z n + (1 - z) h
 *
 * It has 2 ((in + H) H + H) trainable numbers. For the full GRU see wg_rnn. */
/* A GRU with an update gate only. */
typedef struct wg_simple_gru {
    wg_dtype dtype;      /* of the set */
    int64_t hidden;      /* H */
    wg_param *weight_ih; /* [2 H, in] */
    wg_param *weight_hh; /* [2 H, H] */
    wg_param *bias;      /* [2 H] or NULL */
} wg_simple_gru;

/* Creates name.weight_ih, name.weight_hh and, with bias, name.bias, from U(-1/sqrt(H), 1/sqrt(H)). */
WG_API wg_status wg_simple_gru_init(wg_simple_gru *layer, wg_params *set, const char *name, int64_t input,
                                    int64_t hidden, bool bias);
/* x[B, in] and the state h[B, H] -> the next state [B, H]. Start from zeros. */
WG_API wg_tensor wg_simple_gru_step(const wg_simple_gru *layer, wg_tensor x, wg_tensor h);

/* ---- gates ---- */

/* The gates of one cell of a wg_rnn (index l * directions + d), after sigmoid and tanh, from the cell's input x[B, in]
 * and its state h[B, H] before the step: i f g o of an LSTM, r z n of a GRU, h' of an Elman network; each [B, H].
 * Returns the number of gates written; 0, with an error on the tape (WG_ERR_ARGUMENT), if there is no such cell. It
 * records the gates a second time, in addition to the step; use it to inspect them:
 *
 *     wg_tensor gate[4];
 *     wg_rnn_gates(&lstm, 0, x[t], state.h[0], gate);
 *     wg_keep(gate[1]);                                   // the forget gate
 *     h[t] = wg_rnn_step(&lstm, x[t], &state);
 */
WG_API int wg_rnn_gates(const wg_rnn *layer, int cell, wg_tensor x, wg_tensor h, wg_tensor gate[4]);

/* The order of the gates in the rows of weight_ih, weight_hh and the biases. */
typedef enum wg_gate_order {
    WG_GATES_TORCH = 0, /* LSTM i f g o, GRU r z n: the order of wg_rnn */
    WG_GATES_KERAS,     /* LSTM i f g o (Keras calls g c), GRU z r n; Keras' kernels are also transposed */
    WG_GATES_ONNX,      /* LSTM i o f g (ONNX calls g c), GRU z r n (ONNX calls n h) */
    WG_GATES_IFOG       /* LSTM i f o g, common in lectures; GRU z r n */
} wg_gate_order;

/* The order as letters: "ifgo", "rzn"; "h" for an Elman cell. NULL if cell or order is not a value of its enum. */
WG_API const char *wg_gate_letters(wg_cell cell, wg_gate_order order);

/* Permutes the gates' blocks of rows from one order to another, in place. numbers is a contiguous [G H, ...] array of
 * `bytes` bytes. WG_ERR_ARGUMENT if an argument is not a value of its enum, WG_ERR_SHAPE if bytes is not a multiple of
 * the number of gates; the array is then unchanged. */
WG_API wg_status wg_reorder_gates(void *numbers, size_t bytes, wg_cell cell, wg_gate_order from, wg_gate_order to);
/* Permutes a parameter's value in the same way. */
WG_API wg_status wg_param_reorder_gates(wg_param *param, wg_cell cell, wg_gate_order from, wg_gate_order to);

#ifdef __cplusplus
}
#endif
#endif
