/* Layers: parameters plus a composition of ops. They use the public API only; users can write their own in the same
 * way.
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
 * A layer is a struct in the caller's storage. It points to parameters of a set and owns nothing, so there is no fini.
 * Its fields may be set by hand (tied weights, other initial values). An init function returns the set's status, which
 * is sticky: check wg_params_status once after building the model. Applying a layer only records ops, on the tape of
 * its input. Names, layouts, gate orders and default initial values are PyTorch's. B is the batch size, T the number of
 * time steps, H the size of the hidden state. */
#ifndef WG_NN_H
#define WG_NN_H

#include "../ops/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- linear ---- */

/* x W^T + b. */
typedef struct wg_linear_layer {
    wg_param *weight; /* [out, in] */
    wg_param *bias;   /* [out] or NULL */
} wg_linear_layer;

/* Bias and initial values. */
typedef struct wg_linear_options {
    bool bias;                  /* default true */
    const wg_init *weight_init; /* default NULL: U(-1/sqrt(in), 1/sqrt(in)) */
    const wg_init *bias_init;   /* default NULL: the same */
} wg_linear_options;
WG_API wg_linear_options wg_linear_defaults(void);

/* Creates name.weight and name.bias. Here and below, an empty or NULL name creates them without prefix. */
WG_API wg_status wg_linear_init(wg_linear_layer *layer, wg_params *set, const char *name, int64_t in, int64_t out,
                                wg_linear_options options);
/* x W^T + b: x[..., in] -> [..., out]. */
WG_API wg_tensor wg_linear_apply(const wg_linear_layer *layer, wg_tensor x);

/* ---- convolution ---- */

/* Axes, bias, stride and padding, initial values. */
typedef struct wg_conv_layer_options {
    int axes;             /* number of spatial axes: 1, 2 or 3; default 2 */
    bool bias;            /* default true */
    bool transposed;      /* default false */
    wg_conv_options conv; /* stride, padding, ...; default wg_conv_defaults() */
    /* NULL: U(-1/sqrt(n), 1/sqrt(n)), n = the kernel's size times the size of weight's axis 1 */
    const wg_init *weight_init, *bias_init;
} wg_conv_layer_options;
WG_API wg_conv_layer_options wg_conv_layer_defaults(void);

/* A convolution and its filters. */
typedef struct wg_conv_layer {
    wg_conv_layer_options options; /* as given to init */
    wg_param *weight;              /* [out, in / groups, kernel...]; transposed: [in, out / groups, kernel...] */
    wg_param *bias;                /* [out] or NULL */
} wg_conv_layer;

/* Creates name.weight and name.bias. kernel has one size per spatial axis: WG_DIMS(5, 5). WG_ERR_ARGUMENT if it does
 * not, or if the channels are not a multiple of the groups. */
WG_API wg_status wg_conv_init(wg_conv_layer *layer, wg_params *set, const char *name, int64_t in, int64_t out,
                              wg_shape kernel, wg_conv_layer_options options);
/* x[images, in, ...] -> [images, out, ...], as wg_conv1d to wg_conv3d or wg_conv_transpose1d to wg_conv_transpose3d. */
WG_API wg_tensor wg_conv_apply(const wg_conv_layer *layer, wg_tensor x);

/* ---- embedding ---- */

/* A vector for each index. */
typedef struct wg_embedding_layer {
    wg_param *weight; /* [rows, size] */
    int64_t padding;  /* the padding index; < 0: none */
} wg_embedding_layer;

/* Creates name.weight, N(0, 1). The padding index (0 .. rows - 1; < 0: none) yields zeros and receives no gradient. */
WG_API wg_status wg_embedding_init(wg_embedding_layer *layer, wg_params *set, const char *name, int64_t rows,
                                   int64_t size, int64_t padding);
/* weight[index]: index[...] i32 -> [..., size]. */
WG_API wg_tensor wg_embedding_apply(const wg_embedding_layer *layer, wg_tensor index);

/* ---- layer norm ---- */

/* Normalization over the last axis, with a learned scale and shift. */
typedef struct wg_layer_norm_layer {
    wg_param *weight, *bias; /* [size]; initially ones and zeros */
    double epsilon;          /* init sets 1e-5 */
} wg_layer_norm_layer;

WG_API wg_status wg_layer_norm_init(wg_layer_norm_layer *layer, wg_params *set, const char *name,
                                    int64_t size); /* creates name.weight and name.bias */
/* (x - mean) / sqrt(variance + epsilon) weight + bias over the last axis: x[..., size] -> the same shape. */
WG_API wg_tensor wg_layer_norm_apply(const wg_layer_norm_layer *layer, wg_tensor x);

/* ---- batch norm, RMS norm ---- */

/* Normalization of channels by the statistics of the batch, or by running ones. */
typedef struct wg_batch_norm_layer {
    wg_param *weight, *bias;               /* [C]; initially ones and zeros; NULL: none */
    wg_buffer *running_mean, *running_var; /* [C]; initially zeros and ones */
    wg_buffer *num_batches_tracked;        /* []; counts the batches seen in training mode */
    double momentum;                       /* init sets 0.1 */
    double epsilon;                        /* init sets 1e-5 */
    bool cumulative; /* every batch has the same weight, PyTorch's momentum=None; init sets false */
} wg_batch_norm_layer;

/* Creates the members under PyTorch's names; num_batches_tracked has the set's dtype. */
WG_API wg_status wg_batch_norm_init(wg_batch_norm_layer *layer, wg_params *set, const char *name, int64_t channels);
/* Normalizes each channel (axis 1) of x[N, C] or [N, C, ...] over all other axes; the result has x's shape. In training
 * mode it uses the batch's own statistics, and a successful run updates running = (1 - m) running + m batch, with the
 * batch's mean and its variance over n - 1; m is the momentum or, with cumulative, 1 / (number of batches tracked,
 * including this one), which makes running the mean over all of them. If a layer is applied several times in one run,
 * each of these batches updates the running statistics, in order. A batch with one value per channel is an error on the
 * tape (WG_ERR_SHAPE). In evaluation mode it uses the running statistics and leaves them unchanged. */
WG_API wg_tensor wg_batch_norm_apply(const wg_batch_norm_layer *layer, wg_tensor x);

/* Normalization by the root of the mean square over the last axis. */
typedef struct wg_rms_norm_layer {
    wg_param *weight; /* [size]; initially ones; NULL: none */
    double epsilon;   /* init sets the machine epsilon of the set's dtype, as PyTorch does */
} wg_rms_norm_layer;

WG_API wg_status wg_rms_norm_init(wg_rms_norm_layer *layer, wg_params *set, const char *name,
                                  int64_t size); /* creates name.weight */
/* x / sqrt(mean(x^2) + epsilon) weight over the last axis: x[..., size] -> the same shape. */
WG_API wg_tensor wg_rms_norm_apply(const wg_rms_norm_layer *layer, wg_tensor x);

/* ---- recurrent ----
 * With a = W_ih x + b_ih and u = W_hh h + b_hh, split into gates of size H in the order given:
 *
 *     WG_RNN_TANH, WG_RNN_RELU   h' = tanh(a + u), relu(a + u)                                    (Elman 1990)
 *     WG_LSTM, order i f g o     c' = sigmoid(f) c + sigmoid(i) tanh(g);  h' = sigmoid(o) tanh(c')
 *                                                                (Hochreiter, Schmidhuber 1997; Gers 2000)
 *     WG_GRU, order r z n        r = sigmoid(a_r + u_r), z = sigmoid(a_z + u_z); then by form:
 *       WG_GRU_RESET_AFTER         n = tanh(a_n + r u_n);                  h' = (1 - z) n + z h   (PyTorch, cuDNN)
 *       WG_GRU_RESET_BEFORE        n = tanh(a_n + W_hn (r h) + b_hn);      h' = (1 - z) n + z h   (Cho et al. 2014)
 *       WG_GRU_RESET_BEFORE_UPDATE n as before;                            h' = z n + (1 - z) h   (Ng's course:
 *                                                                          the update gate weighs the new value)
 */
/* The kind of a recurrent layer. */
typedef enum wg_cell { WG_RNN_TANH = 0, WG_RNN_RELU, WG_LSTM, WG_GRU } wg_cell;
/* Where a GRU's reset gate acts, and which value its update gate weighs. */
typedef enum wg_gru_form { WG_GRU_RESET_AFTER = 0, WG_GRU_RESET_BEFORE, WG_GRU_RESET_BEFORE_UPDATE } wg_gru_form;
/* Which biases a recurrent layer has. */
typedef enum wg_rnn_bias {
    WG_RNN_BIAS_TWO = 0, /* bias_ih and bias_hh */
    WG_RNN_BIAS_ONE,     /* bias_ih */
    WG_RNN_BIAS_NONE     /* none */
} wg_rnn_bias;

enum { WG_RNN_MAX_CELLS = 32 }; /* layers times directions of one wg_rnn; for more, use two wg_rnn in sequence */

/* Kind, depth, directions and initial values of a recurrent layer. */
typedef struct wg_rnn_options {
    wg_cell cell;       /* default WG_RNN_TANH */
    wg_gru_form gru;    /* default WG_GRU_RESET_AFTER */
    wg_rnn_bias bias;   /* default WG_RNN_BIAS_TWO */
    int layers;         /* default 1 */
    bool bidirectional; /* default false */
    bool learned_state; /* the initial state is a parameter; default false: it is zero */
    double dropout;     /* probability, on the output of every layer but the last; default 0 */
    double forget_bias; /* LSTM: added to the initial bias_ih of the forget gate; default 0 */
    /* Initial values of weight_ih, of weight_hh and of the biases. The fans of a matrix are those of all its gates
     * together. Default NULL: U(-1/sqrt(H), 1/sqrt(H)) */
    const wg_init *ih_init, *hh_init, *b_init;
} wg_rnn_options;
WG_API wg_rnn_options wg_rnn_defaults(void);

/* One layer in one direction; G is the number of gates: 1 (Elman), 4 (LSTM), 3 (GRU). */
typedef struct wg_rnn_cell {
    wg_param *weight_ih;         /* [G H, in] */
    wg_param *weight_hh;         /* [G H, H] */
    wg_param *bias_ih, *bias_hh; /* [G H] or NULL */
    wg_param *h0, *c0;           /* [H] with learned_state, else NULL */
} wg_rnn_cell;

/* A stack of recurrent layers. */
typedef struct wg_rnn {
    wg_rnn_options options; /* as given to init */
    int64_t input, hidden;  /* sizes of x[t] and of h */
    wg_dtype dtype;         /* of the set */
    int directions;         /* 1 or 2 */
    char name[64];          /* the scope of its ops, truncated to this size */
    /* Layer l, direction d is cell[l * directions + d]; d = 1 is the reverse direction. */
    wg_rnn_cell cell[WG_RNN_MAX_CELLS];
} wg_rnn;

/* The state between two steps, indexed as wg_rnn.cell. */
typedef struct wg_rnn_state {
    wg_tensor h[WG_RNN_MAX_CELLS]; /* [B, H] */
    wg_tensor c[WG_RNN_MAX_CELLS]; /* [B, H], LSTM only, else WG_NONE */
} wg_rnn_state;

/* Creates name.weight_ih_l0, name.weight_hh_l0, name.bias_ih_l0, name.bias_hh_l0, the same with _reverse, _l1, ...,
 * and with learned_state name.h0_l0 and name.c0_l0, initially zero. If an option is out of range, returns
 * WG_ERR_ARGUMENT and zeroes the layer. */
WG_API wg_status wg_rnn_init(wg_rnn *layer, wg_params *set, const char *name, int64_t input, int64_t hidden,
                             wg_rnn_options options);

/* Zeros, [batch, H] per cell. */
WG_API wg_rnn_state wg_rnn_zero_state(const wg_rnn *layer, wg_tape *tape, int64_t batch);
/* The learned initial state if the layer has one, else zeros. */
WG_API wg_rnn_state wg_rnn_initial_state(const wg_rnn *layer, wg_tape *tape, int64_t batch);
/* The same values; no gradient flows through them. */
WG_API wg_rnn_state wg_rnn_detach_state(const wg_rnn *layer, const wg_rnn_state *state);

/* One time step through all layers: x[B, in] -> the top layer's h' [B, H]. Updates the state. A bidirectional layer is
 * an error on the tape (WG_ERR_ARGUMENT), since its reverse direction starts at the end of the sequence. */
WG_API wg_tensor wg_rnn_step(const wg_rnn *layer, wg_tensor x, wg_rnn_state *state);

/* T steps, layer after layer: x[t] is [B, in], out[t] is [B, directions H] (forward, then reverse). *state is the
 * initial state on entry, the final state on return. lengths is i32 [B] or WG_NONE. Sequence b then has
 * lengths[b] steps: the reverse direction starts at its last step, the forward direction's final state is the one after
 * its last step, outputs past it are 0, and the values of x past it change no bit. out must not be x. T < 1 does
 * nothing. */
WG_API void wg_rnn_unroll(const wg_rnn *layer, const wg_tensor *x, int T, wg_tensor lengths, wg_rnn_state *state,
                          wg_tensor *out);

/* A state that one training step passes to the next (truncated backpropagation through time). It is kept in buffers, so
 * checkpoints of their set include it. */
typedef struct wg_rnn_carry {
    const wg_rnn *layer;            /* whose state it is */
    wg_buffer *h[WG_RNN_MAX_CELLS]; /* name.h_l0, name.h_l0_reverse, name.h_l1, ...: [B, H], initially zero */
    wg_buffer *c[WG_RNN_MAX_CELLS]; /* name.c_l0, ... */
} wg_rnn_carry;
/* The layer must outlive the carry. */
WG_API wg_status wg_rnn_carry_init(wg_rnn_carry *carry, const wg_rnn *layer, wg_params *set, const char *name,
                                   int64_t batch);
/* begin returns the buffers as a state; end assigns a state to them, which takes effect if the run succeeds. */
WG_API wg_rnn_state wg_rnn_carry_begin(const wg_rnn_carry *carry, wg_tape *tape);
WG_API void wg_rnn_carry_end(const wg_rnn_carry *carry, const wg_rnn_state *state);
/* Sets the buffers to zero. */
WG_API void wg_rnn_carry_clear(const wg_rnn_carry *carry);

/* Adds value to the forget gate's part of every bias_ih of an LSTM (Jozefowicz et al. 2015 use 1). WG_ERR_ARGUMENT if
 * the layer is not an LSTM, has no bias, or value is not finite. */
WG_API wg_status wg_init_forget_bias(const wg_rnn *layer, double value);

/* ---- a user-defined step over time ---- */

/* Records one step of the caller's own cell: reads x and state[n], writes the new state[n], returns the output. */
typedef wg_tensor (*wg_step_fn)(void *context, wg_tensor x, wg_tensor *state, int n);

enum { WG_UNROLL_MAX_STATE = 8 }; /* the largest number of tensors in a state */

/* Direction and lengths. */
typedef struct wg_unroll_options {
    bool reverse;      /* run from the last step to the first; default false */
    wg_tensor lengths; /* i32 [B] or WG_NONE, as for wg_rnn_unroll; axis 0 of x, states and outputs is then B */
} wg_unroll_options;
WG_API wg_unroll_options wg_unroll_defaults(void);

/* out[t] = step(x[t], state) for t = 0 .. T - 1, or in reverse. The state has n <= WG_UNROLL_MAX_STATE tensors; more is
 * an error on the tape (WG_ERR_ARGUMENT). out may be x. T < 1 does nothing. */
WG_API void wg_unroll(wg_step_fn step, void *context, const wg_tensor *x, int T, wg_tensor *state, int n,
                      wg_unroll_options options, wg_tensor *out);

/* ---- summary ---- */

/* Writes a table of the set's members (name, shape, number of elements; tied, frozen, buffer) and the totals to text,
 * truncated to size. Returns the length of the whole table without the final NUL, as snprintf does. */
WG_API size_t wg_summary(const wg_params *set, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
