/* Layers: parameters plus a composition of ops. Nothing here that a user could not have written.
 *
 *     wg_rnn_options options = wg_rnn_defaults();
 *     options.cell = WG_LSTM;
 *     options.layers = 2;
 *     wg_rnn rnn;
 *     wg_rnn_init(&rnn, set, "rnn", vocabulary, 128, options);
 *     ...
 *     wg_rnn_state state = wg_rnn_zero_state(&rnn, tape, batch);
 *     for (int t = 0; t < T; t++) h[t] = wg_rnn_step(&rnn, x[t], &state);
 *
 * A layer lives in the caller's storage, holds pointers to parameters of a set and owns nothing: there is no
 * fini. Its fields may be set by hand (tied weights, other initial values). An init returns the set's status,
 * which is sticky: check wg_params_status once after the model is built. Using a layer only records ops, on the
 * tape of its input. Names, layouts and gate orders are PyTorch's, and so are the initial values by default.
 * B is the batch, T the time, H the size of the hidden state. */
#ifndef WG_NN_H
#define WG_NN_H

#include "../ops/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- linear ---- */

typedef struct wg_linear_layer {
    wg_param *weight; /* [out, in] */
    wg_param *bias;   /* [out] or NULL */
} wg_linear_layer;

typedef struct wg_linear_options {
    bool bias;                  /* default true */
    const wg_init *weight_init; /* NULL: U(-1/sqrt(in), 1/sqrt(in)) */
    const wg_init *bias_init;   /* NULL: the same */
} wg_linear_options;
WG_API wg_linear_options wg_linear_defaults(void);

/* Makes name.weight and name.bias (an empty name or NULL: weight and bias, here and below). */
WG_API wg_status wg_linear_init(wg_linear_layer *layer, wg_params *set, const char *name, int64_t in, int64_t out,
                                wg_linear_options options);
/* x[..., in] W^T + b = [..., out] */
WG_API wg_tensor wg_linear_apply(const wg_linear_layer *layer, wg_tensor x);

/* ---- convolution ---- */

typedef struct wg_conv_layer_options {
    int axes;             /* spatial: 1, 2 or 3; default 2 */
    bool bias;            /* default true */
    bool transposed;      /* default false */
    wg_conv_options conv; /* stride, padding, ...; default wg_conv_defaults() */
    const wg_init
        *weight_init; /* NULL: U(-1/sqrt(n), 1/sqrt(n)), n the kernel's size times that of weight's axis 1 */
    const wg_init *bias_init; /* NULL: the same */
} wg_conv_layer_options;
WG_API wg_conv_layer_options wg_conv_layer_defaults(void);

typedef struct wg_conv_layer {
    wg_conv_layer_options options;
    wg_param *weight; /* [out, in / groups, kernel...]; transposed: [in, out / groups, kernel...] */
    wg_param *bias;   /* [out] or NULL */
} wg_conv_layer;

/* Makes name.weight and name.bias. WG_ERR_ARGUMENT where the channels do not divide into the groups, or the kernel
 * (WG_DIMS(5, 5)) has not one size for each spatial axis. */
WG_API wg_status wg_conv_init(wg_conv_layer *layer, wg_params *set, const char *name, int64_t in, int64_t out,
                              wg_shape kernel, wg_conv_layer_options options);
/* x[images, in, ...] = [images, out, ...], as wg_conv1d .. 3d, wg_conv_transpose1d .. 3d. */
WG_API wg_tensor wg_conv_apply(const wg_conv_layer *layer, wg_tensor x);

/* ---- embedding ---- */

typedef struct wg_embedding_layer {
    wg_param *weight; /* [rows, size] */
    int64_t padding;  /* < 0: none */
} wg_embedding_layer;

/* Makes name.weight, N(0, 1). An index equal to padding (0 .. rows - 1; < 0: none) gives zeros and no gradient. */
WG_API wg_status wg_embedding_init(wg_embedding_layer *layer, wg_params *set, const char *name, int64_t rows,
                                   int64_t size, int64_t padding);
/* index[...] i32 = [..., size] */
WG_API wg_tensor wg_embedding_apply(const wg_embedding_layer *layer, wg_tensor index);

/* ---- layer norm ---- */

typedef struct wg_layer_norm_layer {
    wg_param *weight, *bias; /* [size]; start as ones and zeros */
    double epsilon;          /* starts as 1e-5 */
} wg_layer_norm_layer;

WG_API wg_status wg_layer_norm_init(wg_layer_norm_layer *layer, wg_params *set, const char *name, int64_t size);
/* Over the last axis of x[..., size]. */
WG_API wg_tensor wg_layer_norm_apply(const wg_layer_norm_layer *layer, wg_tensor x);

/* ---- batch norm, RMS norm ---- */

typedef struct wg_batch_norm_layer {
    wg_param *weight, *bias;               /* [C]; start as ones and zeros; NULL: none */
    wg_buffer *running_mean, *running_var; /* [C]; start as zeros and ones */
    wg_buffer *num_batches_tracked;        /* []; counts the batches seen in train mode */
    double momentum;                       /* starts as 0.1 */
    double epsilon;                        /* starts as 1e-5 */
    bool cumulative; /* all batches count the same, PyTorch's momentum=None; starts as false */
} wg_batch_norm_layer;

/* The names are PyTorch's; num_batches_tracked is a number of the set's dtype. */
WG_API wg_status wg_batch_norm_init(wg_batch_norm_layer *layer, wg_params *set, const char *name, int64_t channels);
/* x[N, C] or [N, C, ...], the numbers of a channel (axis 1) together. In train mode by the batch's own statistics; when
 * the run ends well, running = (1 - m) running + m (the batch's mean, its variance divided by n - 1), where m is the
 * momentum or, with cumulative, 1 over the number of batches tracked, this one included: the mean over all of them. A
 * layer that is applied twice in one run keeps the last. A batch with one value per channel is an error on the tape
 * (WG_ERR_SHAPE). In eval mode by the running statistics, which stay as they are. */
WG_API wg_tensor wg_batch_norm_apply(const wg_batch_norm_layer *layer, wg_tensor x);

typedef struct wg_rms_norm_layer {
    wg_param *weight; /* [size]; starts as ones; NULL: none */
    double epsilon;   /* starts as the set's dtype's distance from 1 to the next number, as PyTorch's */
} wg_rms_norm_layer;

WG_API wg_status wg_rms_norm_init(wg_rms_norm_layer *layer, wg_params *set, const char *name, int64_t size);
/* Over the last axis of x[..., size]. */
WG_API wg_tensor wg_rms_norm_apply(const wg_rms_norm_layer *layer, wg_tensor x);

/* ---- recurrent ----
 * With a = W_ih x + b_ih and u = W_hh h + b_hh, cut into gates of size H in the order that is given:
 *
 *     WG_RNN_TANH, WG_RNN_RELU   h' = tanh(a + u), relu(a + u)                                    (Elman 1990)
 *     WG_LSTM, order i f g o     c' = sigmoid(f) c + sigmoid(i) tanh(g);  h' = sigmoid(o) tanh(c')
 *                                                                (Hochreiter, Schmidhuber 1997; Gers 2000)
 *     WG_GRU, order r z n        r = sigmoid(a_r + u_r), z = sigmoid(a_z + u_z); then by form:
 *       WG_GRU_RESET_AFTER         n = tanh(a_n + r u_n);                  h' = (1 - z) n + z h   (PyTorch, cuDNN)
 *       WG_GRU_RESET_BEFORE        n = tanh(a_n + W_hn (r h) + b_hn);      h' = (1 - z) n + z h   (Cho et al. 2014)
 *       WG_GRU_RESET_BEFORE_UPDATE n as before;                            h' = z n + (1 - z) h   (Ng's course:
 *                                                                          the update gate weighs what is new)
 */
typedef enum wg_cell { WG_RNN_TANH = 0, WG_RNN_RELU, WG_LSTM, WG_GRU } wg_cell;
typedef enum wg_gru_form { WG_GRU_RESET_AFTER = 0, WG_GRU_RESET_BEFORE, WG_GRU_RESET_BEFORE_UPDATE } wg_gru_form;
typedef enum wg_rnn_bias {
    WG_RNN_BIAS_TWO = 0, /* bias_ih and bias_hh */
    WG_RNN_BIAS_ONE,     /* bias_ih */
    WG_RNN_BIAS_NONE
} wg_rnn_bias;

enum { WG_RNN_MAX_CELLS = 32 }; /* layers times directions of one wg_rnn; for more, stack two */

typedef struct wg_rnn_options {
    wg_cell cell;       /* default WG_RNN_TANH */
    wg_gru_form gru;    /* default WG_GRU_RESET_AFTER */
    wg_rnn_bias bias;   /* default WG_RNN_BIAS_TWO */
    int layers;         /* default 1 */
    bool bidirectional; /* default false */
    bool learned_state; /* the initial state is a parameter; default false: zeros */
    double dropout;     /* on the output of every layer but the last; default 0 */
    double forget_bias; /* LSTM: added to the initial bias_ih of the forget gate; default 0 */
    const wg_init
        *ih_init; /* initial values; NULL: U(-1/sqrt(H), 1/sqrt(H)). Fans are those of the whole matrix, */
    const wg_init *hh_init; /* all gates together. Biases follow b_init. */
    const wg_init *b_init;
} wg_rnn_options;
WG_API wg_rnn_options wg_rnn_defaults(void);

/* One layer in one direction; G is the number of gates: 1 (Elman), 4 (LSTM), 3 (GRU). */
typedef struct wg_rnn_cell {
    wg_param *weight_ih;         /* [G H, in] */
    wg_param *weight_hh;         /* [G H, H] */
    wg_param *bias_ih, *bias_hh; /* [G H] or NULL */
    wg_param *h0, *c0;           /* [H] with learned_state, else NULL */
} wg_rnn_cell;

typedef struct wg_rnn {
    wg_rnn_options options;
    int64_t input, hidden;
    wg_dtype dtype;
    int directions; /* 1 or 2 */
    char name[64];  /* of the scope that its ops are recorded in; cut at the size of the field */
    /* Layer l in direction d is [l * directions + d]; d = 1 is the reverse direction. */
    wg_rnn_cell cell[WG_RNN_MAX_CELLS];
} wg_rnn;

/* The state between two steps. Cells as in wg_rnn. */
typedef struct wg_rnn_state {
    wg_tensor h[WG_RNN_MAX_CELLS]; /* [B, H] */
    wg_tensor c[WG_RNN_MAX_CELLS]; /* [B, H], LSTM only, else WG_NONE */
} wg_rnn_state;

/* Makes name.weight_ih_l0, name.weight_hh_l0, name.bias_ih_l0, name.bias_hh_l0, the same with _reverse, _l1, ...;
 * with learned_state name.h0_l0 and name.c0_l0, zeros. Options out of range are WG_ERR_ARGUMENT and leave the layer
 * all zeros. */
WG_API wg_status wg_rnn_init(wg_rnn *layer, wg_params *set, const char *name, int64_t input, int64_t hidden,
                             wg_rnn_options options);

WG_API wg_rnn_state wg_rnn_zero_state(const wg_rnn *layer, wg_tape *tape, int64_t batch);
/* The learned one if the layer has it, else zeros. */
WG_API wg_rnn_state wg_rnn_initial_state(const wg_rnn *layer, wg_tape *tape, int64_t batch);
/* The same values, through which no gradient flows. */
WG_API wg_rnn_state wg_rnn_detach_state(const wg_rnn *layer, const wg_rnn_state *state);

/* One time step through all layers: x[B, in] to the top layer's h' [B, H]; replaces the state. A layer of two
 * directions is an error on the tape (WG_ERR_ARGUMENT): its reverse direction begins at the end. */
WG_API wg_tensor wg_rnn_step(const wg_rnn *layer, wg_tensor x, wg_rnn_state *state);

/* T steps, layer after layer: x[t] is [B, in], out[t] is [B, directions H] (forward, then reverse). The state is
 * the initial one and becomes the final one. lengths is i32 [B] or WG_NONE: sequence b has the steps
 * 0 .. lengths[b] - 1; the reverse direction starts at its own end, the forward direction's final state is the one
 * at its own end, outputs past it are 0, and what stands in x past it changes no bit. out may not be x. T < 1 does
 * nothing. */
WG_API void wg_rnn_unroll(const wg_rnn *layer, const wg_tensor *x, int T, wg_tensor lengths, wg_rnn_state *state,
                          wg_tensor *out);

/* A state that is carried from one training step to the next (truncated backpropagation through time): buffers, so
 * that it is saved and restored with their set. */
typedef struct wg_rnn_carry {
    const wg_rnn *layer;
    wg_buffer *h[WG_RNN_MAX_CELLS]; /* name.h_l0, name.h_l0_reverse, name.h_l1, ...: [B, H], zeros */
    wg_buffer *c[WG_RNN_MAX_CELLS]; /* name.c_l0, ... */
} wg_rnn_carry;
/* The layer must outlive the carry. */
WG_API wg_status wg_rnn_carry_init(wg_rnn_carry *carry, const wg_rnn *layer, wg_params *set, const char *name,
                                   int64_t batch);
/* The buffers as a state; the end of a step puts a state back into them when the run ends well. */
WG_API wg_rnn_state wg_rnn_carry_begin(const wg_rnn_carry *carry, wg_tape *tape);
WG_API void wg_rnn_carry_end(const wg_rnn_carry *carry, const wg_rnn_state *state);
/* Zeros again. */
WG_API void wg_rnn_carry_clear(const wg_rnn_carry *carry);

/* Adds value to the forget gate's part of every bias_ih of an LSTM (Jozefowicz et al. 2015 use 1). WG_ERR_ARGUMENT
 * if it is no LSTM, has no bias, or value is not finite. */
WG_API wg_status wg_init_forget_bias(const wg_rnn *layer, double value);

/* ---- any step over time ---- */

/* Records one step of the caller's own cell: from x and state[n] to the returned output and the new state[n]. */
typedef wg_tensor (*wg_step_fn)(void *context, wg_tensor x, wg_tensor *state, int n);

enum { WG_UNROLL_MAX_STATE = 8 };

typedef struct wg_unroll_options {
    bool reverse;      /* from the last step to the first; default false */
    wg_tensor lengths; /* i32 [B] or WG_NONE, as for wg_rnn_unroll; then x, states and outputs start with B */
} wg_unroll_options;
WG_API wg_unroll_options wg_unroll_defaults(void);

/* out[t] = step(x[t], state) for t = 0 .. T - 1 (or in reverse); n <= WG_UNROLL_MAX_STATE tensors of state, more is an
 * error on the tape (WG_ERR_ARGUMENT). out may be x. T < 1 does nothing. */
WG_API void wg_unroll(wg_step_fn step, void *context, const wg_tensor *x, int T, wg_tensor *state, int n,
                      wg_unroll_options options, wg_tensor *out);

/* ---- the model at a glance ---- */

/* Writes a table of the set's members (name, shape, how many numbers; tied, frozen, buffer) and the totals into
 * text, cut at size. Returns the length of the whole table without the final 0, as snprintf does. */
WG_API size_t wg_summary(const wg_params *set, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
