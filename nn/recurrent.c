/* Recurrent layers: parameters, states, the cells' formulas, one step, and the unroll over time. */
#include "cells.h"
#include "internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../autograd/base/bf16.h"
#include "../autograd/base/fp.h"

wg_rnn_options wg_rnn_defaults(void) { return (wg_rnn_options){.cell = WG_RNN_TANH, .layers = 1}; }

/* ---- parameters ---- */

static int64_t gates_of(wg_cell cell) { return cell == WG_LSTM ? 4 : cell == WG_GRU ? 3 : 1; }
static int cells_of(const wg_rnn *layer) { return layer->options.layers * layer->directions; }

/* Why the options are invalid; NULL if they are valid. */
static const char *invalid_reason(const wg_rnn_options *o, int64_t input, int64_t hidden)
{
    if (o->cell < WG_RNN_TANH || o->cell > WG_GRU) return "cell is not a wg_cell";
    if (o->gru < WG_GRU_RESET_AFTER || o->gru > WG_GRU_RESET_BEFORE_UPDATE) return "gru is not a wg_gru_form";
    if (o->bias < WG_RNN_BIAS_TWO || o->bias > WG_RNN_BIAS_NONE) return "bias is not a wg_rnn_bias";
    if (input < 1 || hidden < 1 || hidden > INT64_MAX / 8) return "input and hidden sizes must be at least 1";
    if (o->layers < 1 || o->layers > WG_RNN_MAX_CELLS / (o->bidirectional ? 2 : 1))
        return "layers must be at least 1, and layers times directions at most 32: use two wg_rnn";
    if (!(o->dropout >= 0 && o->dropout < 1)) return "dropout must be in [0, 1)";
    if (o->forget_bias != 0 && (o->cell != WG_LSTM || o->bias == WG_RNN_BIAS_NONE || !isfinite(o->forget_bias)))
        return "forget_bias must be finite and needs an LSTM with biases";
    return NULL;
}

/* "<member>_l<layer>" or, for d = 1, "<member>_l<layer>_reverse". */
static const char *member_name(char *text, size_t size, const char *member, int l, int d)
{
    snprintf(text, size, "%s_l%d%s", member, l, d ? "_reverse" : "");
    return text;
}

static void cell_init(wg_rnn *layer, wg_params *set, const char *name, int l, int d)
{
    const wg_rnn_options *o = &layer->options;
    const int64_t hidden = layer->hidden, rows = gates_of(o->cell) * hidden;
    const int64_t in = l == 0 ? layer->input : layer->directions * hidden;
    const double bound = 1 / sqrt((double)hidden);
    const wg_init uniform = wg_init_uniform(-bound, bound), bias = o->b_init ? *o->b_init : uniform;
    wg_rnn_cell *cell = &layer->cell[l * layer->directions + d];
    char text[64];
    cell->weight_ih = wg__layer_param(set, name, member_name(text, sizeof text, "weight_ih", l, d),
                                      WG_DIMS(rows, in), o->ih_init ? *o->ih_init : uniform);
    cell->weight_hh = wg__layer_param(set, name, member_name(text, sizeof text, "weight_hh", l, d),
                                      WG_DIMS(rows, hidden), o->hh_init ? *o->hh_init : uniform);
    if (o->bias != WG_RNN_BIAS_NONE)
        cell->bias_ih =
            wg__layer_param(set, name, member_name(text, sizeof text, "bias_ih", l, d), WG_DIMS(rows), bias);
    if (o->bias == WG_RNN_BIAS_TWO)
        cell->bias_hh =
            wg__layer_param(set, name, member_name(text, sizeof text, "bias_hh", l, d), WG_DIMS(rows), bias);
    if (!o->learned_state) return;
    const wg_init zeros = wg_init_zeros();
    cell->h0 = wg__layer_param(set, name, member_name(text, sizeof text, "h0", l, d), WG_DIMS(hidden), zeros);
    if (o->cell == WG_LSTM)
        cell->c0 = wg__layer_param(set, name, member_name(text, sizeof text, "c0", l, d), WG_DIMS(hidden), zeros);
}

wg_status wg_rnn_init(wg_rnn *layer, wg_params *set, const char *name, int64_t input, int64_t hidden,
                      wg_rnn_options options)
{
    if (!layer) return wg__null_init(set, "rnn", name);
    *layer = (wg_rnn){0};
    const char *reason = invalid_reason(&options, input, hidden);
    if (reason) return wg_params_fail(set, WG_ERR_ARGUMENT, "rnn %s: %s", name ? name : "", reason);
    *layer = (wg_rnn){.options = options, .input = input, .hidden = hidden, .dtype = wg_params_dtype(set)};
    layer->directions = options.bidirectional ? 2 : 1;
    snprintf(layer->name, sizeof layer->name, "%s", name && name[0] ? name : "rnn");
    for (int l = 0; l < options.layers; l++)
        for (int d = 0; d < layer->directions; d++) cell_init(layer, set, name, l, d);
    if (wg_params_status(set) != WG_OK) return wg_params_status(set);
    return options.forget_bias != 0 ? wg_init_forget_bias(layer, options.forget_bias) : WG_OK;
}

/* Adds to elements [first, last). */
WG__FP_CALLED static void add_value(void *x, wg_dtype dtype, int64_t first, int64_t last, double value)
{
    for (int64_t k = first; k < last; k++) {
        if (dtype == WG_F64)
            ((double *)x)[k] += value;
        else if (dtype == WG_F32)
            ((float *)x)[k] += (float)value;
        else
            ((uint16_t *)x)[k] = wg__bf16_of(wg__bf16_to_f32(((uint16_t *)x)[k]) + (float)value);
    }
}

wg_status wg_init_forget_bias(const wg_rnn *layer, double value)
{
    if (!layer) return WG_ERR_ARGUMENT;
    if (layer->options.cell != WG_LSTM || layer->options.bias == WG_RNN_BIAS_NONE || !isfinite(value))
        return WG_ERR_ARGUMENT;
    for (int i = 0; i < cells_of(layer); i++) {
        void *bias = wg_param_write_begin(layer->cell[i].bias_ih);
        if (!bias) return WG_ERR_ARGUMENT;
        const wg_dtype dtype = wg_param_dtype(layer->cell[i].bias_ih);
        const wg__fp caller = wg__fp_begin();
        add_value(bias, dtype, layer->hidden, 2 * layer->hidden, value); /* order i f g o */
        wg__fp_end(&caller);
        wg_param_write_end(layer->cell[i].bias_ih);
    }
    return WG_OK;
}

/* ---- states ---- */

/* The state of a layer that is NULL. */
static wg_rnn_state no_state(wg_tape *tape)
{
    wg_fail_on(tape, WG_ERR_ARGUMENT, "rnn_state", "the layer is NULL");
    return (wg_rnn_state){0};
}

wg_rnn_state wg_rnn_zero_state(const wg_rnn *layer, wg_tape *tape, int64_t batch)
{
    if (!layer) return no_state(tape);
    wg_rnn_state state = {0};
    const wg_shape shape = WG_DIMS(batch, layer->hidden);
    for (int i = 0; i < cells_of(layer); i++) { /* tensors of their own: each may have a gradient */
        state.h[i] = wg_zeros(tape, layer->dtype, shape);
        if (layer->options.cell == WG_LSTM) state.c[i] = wg_zeros(tape, layer->dtype, shape);
    }
    return state;
}

wg_rnn_state wg_rnn_initial_state(const wg_rnn *layer, wg_tape *tape, int64_t batch)
{
    if (!layer) return no_state(tape);
    if (!layer->options.learned_state) return wg_rnn_zero_state(layer, tape, batch);
    wg_rnn_state state = {0};
    wg_shape shape = WG_DIMS(batch, layer->hidden);
    for (int i = 0; i < cells_of(layer); i++) {
        state.h[i] = wg_expand(wg_use(tape, layer->cell[i].h0), shape);
        if (layer->options.cell == WG_LSTM) state.c[i] = wg_expand(wg_use(tape, layer->cell[i].c0), shape);
    }
    return state;
}

wg_rnn_state wg_rnn_detach_state(const wg_rnn *layer, const wg_rnn_state *state)
{
    if (!layer || !state) return no_state(NULL);
    wg_rnn_state detached = {0};
    for (int i = 0; i < cells_of(layer); i++) {
        detached.h[i] = wg_detach(state->h[i]);
        if (layer->options.cell == WG_LSTM) detached.c[i] = wg_detach(state->c[i]);
    }
    return detached;
}

wg_status wg_rnn_carry_init(wg_rnn_carry *carry, const wg_rnn *layer, wg_params *set, const char *name,
                            int64_t batch)
{
    if (!carry || !layer) return wg__null_init(set, "rnn_carry", name);
    *carry = (wg_rnn_carry){.layer = layer};
    const wg_shape shape = WG_DIMS(batch, layer->hidden);
    char text[64];
    for (int i = 0; i < cells_of(layer); i++) {
        int l = i / layer->directions, d = i % layer->directions;
        carry->h[i] =
            wg__layer_buffer(set, name, member_name(text, sizeof text, "h", l, d), shape, wg_init_zeros());
        if (layer->options.cell == WG_LSTM)
            carry->c[i] =
                wg__layer_buffer(set, name, member_name(text, sizeof text, "c", l, d), shape, wg_init_zeros());
    }
    return wg_params_status(set);
}

wg_rnn_state wg_rnn_carry_begin(const wg_rnn_carry *carry, wg_tape *tape)
{
    if (!carry || !carry->layer) return no_state(tape);
    wg_rnn_state state = {0};
    for (int i = 0; i < cells_of(carry->layer); i++) {
        state.h[i] = wg_use(tape, carry->h[i]);
        if (carry->layer->options.cell == WG_LSTM) state.c[i] = wg_use(tape, carry->c[i]);
    }
    return state;
}

void wg_rnn_carry_end(const wg_rnn_carry *carry, const wg_rnn_state *state)
{
    if (!carry || !carry->layer || !state) return;
    for (int i = 0; i < cells_of(carry->layer); i++) {
        wg_assign(carry->h[i], state->h[i]);
        if (carry->layer->options.cell == WG_LSTM) wg_assign(carry->c[i], state->c[i]);
    }
}

static void clear(wg_buffer *buffer)
{
    if (!buffer) return;
    memset(wg_param_write_begin(buffer), 0, (size_t)wg_param_numel(buffer) * wg_dtype_size(wg_param_dtype(buffer)));
    wg_param_write_end(buffer);
}

void wg_rnn_carry_clear(const wg_rnn_carry *carry)
{
    if (!carry || !carry->layer) return;
    for (int i = 0; i < cells_of(carry->layer); i++) {
        clear(carry->h[i]);
        clear(carry->c[i]);
    }
}

/* ---- cells ----
 * The formulas are in nn.h. A cell's state is {h} or, of an LSTM, {h, c}. */

/* A cell's parameters on a tape. */
typedef struct weights {
    wg_tensor ih, hh, b_ih, b_hh;
    wg_tensor hh_rz, hh_n, b_hh_rz, b_hh_n; /* GRU, reset before: slices for r and z, for n */
    bool update_new;                        /* GRU: the update gate weighs the new value */
} weights;

static weights use_weights(const wg_rnn *layer, const wg_rnn_cell *cell, wg_tape *tape)
{
    weights w = {.ih = wg_use(tape, cell->weight_ih),
                 .hh = wg_use(tape, cell->weight_hh),
                 .b_ih = wg__use_or_none(tape, cell->bias_ih),
                 .b_hh = wg__use_or_none(tape, cell->bias_hh),
                 .update_new = layer->options.gru == WG_GRU_RESET_BEFORE_UPDATE};
    if (layer->options.cell == WG_GRU && layer->options.gru != WG_GRU_RESET_AFTER) {
        const int64_t rz = 2 * layer->hidden, all = 3 * layer->hidden;
        w.hh_rz = wg_slice(w.hh, 0, 0, rz);
        w.hh_n = wg_slice(w.hh, 0, rz, all);
        w.b_hh_rz = cell->bias_hh ? wg_slice(w.b_hh, 0, 0, rz) : WG_NONE;
        w.b_hh_n = cell->bias_hh ? wg_slice(w.b_hh, 0, rz, all) : WG_NONE;
    }
    return w;
}

/* a + u. */
static wg_tensor preactivation(const weights *w, wg_tensor x, wg_tensor h)
{
    return wg_add(wg_linear(x, w->ih, w->b_ih), wg_linear(h, w->hh, w->b_hh));
}

static wg_tensor tanh_step(void *context, wg_tensor x, wg_tensor *state, int n)
{
    return state[0] = wg_tanh(preactivation(context, x, state[0]));
}

static wg_tensor relu_step(void *context, wg_tensor x, wg_tensor *state, int n)
{
    return state[0] = wg_relu(preactivation(context, x, state[0]));
}

/* Writes i f g o. */
static void lstm_gates(const weights *w, wg_tensor x, wg_tensor h, wg_tensor gate[4])
{
    wg_split(preactivation(w, x, h), -1, 4, gate);
    for (int k = 0; k < 4; k++) gate[k] = k == 2 ? wg_tanh(gate[k]) : wg_sigmoid(gate[k]);
}

static wg_tensor lstm_step(void *context, wg_tensor x, wg_tensor *state, int n)
{
    wg_tensor gate[4];
    lstm_gates(context, x, state[0], gate);
    state[1] = wg_add(wg_mul(gate[1], state[1]), wg_mul(gate[0], gate[2]));
    return state[0] = wg_mul(gate[3], wg_tanh(state[1]));
}

/* Writes r z n, with the reset gate after the product. */
static void gru_after_gates(const weights *w, wg_tensor x, wg_tensor h, wg_tensor gate[3])
{
    wg_tensor a[3], u[3];
    wg_split(wg_linear(x, w->ih, w->b_ih), -1, 3, a);
    wg_split(wg_linear(h, w->hh, w->b_hh), -1, 3, u);
    for (int k = 0; k < 2; k++) gate[k] = wg_sigmoid(wg_add(a[k], u[k]));
    gate[2] = wg_tanh(wg_add(a[2], wg_mul(gate[0], u[2])));
}

static wg_tensor gru_after_step(void *context, wg_tensor x, wg_tensor *state, int n)
{
    wg_tensor gate[3];
    gru_after_gates(context, x, state[0], gate);
    return state[0] = wg_lerp(gate[2], state[0], gate[1]);
}

/* Writes r z n, with the reset gate before the product. */
static void gru_before_gates(const weights *w, wg_tensor x, wg_tensor h, wg_tensor gate[3])
{
    wg_tensor a[3], u[2];
    wg_split(wg_linear(x, w->ih, w->b_ih), -1, 3, a);
    wg_split(wg_linear(h, w->hh_rz, w->b_hh_rz), -1, 2, u);
    for (int k = 0; k < 2; k++) gate[k] = wg_sigmoid(wg_add(a[k], u[k]));
    gate[2] = wg_tanh(wg_add(a[2], wg_linear(wg_mul(gate[0], h), w->hh_n, w->b_hh_n)));
}

static wg_tensor gru_before_step(void *context, wg_tensor x, wg_tensor *state, int n)
{
    const weights *w = context;
    wg_tensor gate[3], h = state[0];
    gru_before_gates(w, x, h, gate);
    return state[0] = w->update_new ? wg_lerp(h, gate[2], gate[1]) : wg_lerp(gate[2], h, gate[1]);
}

int wg_rnn_gates(const wg_rnn *layer, int cell, wg_tensor x, wg_tensor h, wg_tensor gate[4])
{
    for (int k = 0; k < 4 && gate; k++) gate[k] = WG_NONE;
    if (!layer || !gate) return wg__null_apply(x, "rnn_gates"), 0;
    if (cell < 0 || cell >= cells_of(layer)) {
        wg_fail(x, WG_ERR_ARGUMENT, "rnn_gates", "no cell %d; the layer has %d", cell, cells_of(layer));
        return 0;
    }
    weights w = use_weights(layer, &layer->cell[cell], x.tape);
    switch (layer->options.cell) {
    case WG_LSTM: lstm_gates(&w, x, h, gate); return 4;
    case WG_GRU:
        (layer->options.gru == WG_GRU_RESET_AFTER ? gru_after_gates : gru_before_gates)(&w, x, h, gate);
        return 3;
    case WG_RNN_RELU: gate[0] = wg_relu(preactivation(&w, x, h)); return 1;
    default: gate[0] = wg_tanh(preactivation(&w, x, h)); return 1;
    }
}

static wg_step_fn step_of(const wg_rnn_options *o)
{
    switch (o->cell) {
    case WG_RNN_RELU: return relu_step;
    case WG_LSTM: return lstm_step;
    case WG_GRU: return o->gru == WG_GRU_RESET_AFTER ? gru_after_step : gru_before_step;
    default: return tanh_step;
    }
}

/* ---- layers and time ---- */

static int state_size(const wg_rnn *layer) { return layer->options.cell == WG_LSTM ? 2 : 1; }

/* A layer's output, with dropout unless it is the last layer. */
static wg_tensor drop_output(const wg_rnn *layer, int l, wg_tensor h)
{
    bool last = l == layer->options.layers - 1;
    return last || layer->options.dropout == 0 ? h : wg_dropout(h, layer->options.dropout);
}

wg_tensor wg_rnn_step(const wg_rnn *layer, wg_tensor x, wg_rnn_state *state)
{
    if (!layer || !state) return wg__null_apply(x, "rnn_step");
    if (layer->directions == 0) return wg_fail(x, WG_ERR_ARGUMENT, "rnn_step", "the layer was not initialized");
    if (layer->directions != 1)
        return wg_fail(x, WG_ERR_ARGUMENT, "rnn_step", "cannot step a layer with %d directions: use wg_rnn_unroll",
                       layer->directions);
    wg_step_fn step = step_of(&layer->options);
    wg_tape *tape = x.tape;
    wg_scope_begin(tape, layer->name);
    for (int l = 0; l < layer->options.layers; l++) {
        wg__layer_scope_begin(tape, l);
        weights w = use_weights(layer, &layer->cell[l], tape);
        wg_tensor cell_state[2] = {state->h[l], state->c[l]};
        wg_tensor h = step(&w, x, cell_state, state_size(layer));
        state->h[l] = cell_state[0];
        state->c[l] = cell_state[1];
        x = drop_output(layer, l, h);
        wg_scope_end(tape);
    }
    wg_scope_end(tape);
    return x;
}

static void unroll_cell(const wg_rnn *layer, int index, bool reverse, const wg_tensor *x, int T, wg_tensor lengths,
                        wg_rnn_state *state, wg_tensor *out)
{
    weights w = use_weights(layer, &layer->cell[index], x[0].tape);
    wg_unroll_options options = {.reverse = reverse, .lengths = lengths};
    wg_tensor cell_state[2] = {state->h[index], state->c[index]};
    wg_unroll(step_of(&layer->options), &w, x, T, cell_state, state_size(layer), options, out);
    state->h[index] = cell_state[0];
    state->c[index] = cell_state[1];
}

/* x may be out. spare[T] is scratch for a bidirectional layer. */
static void unroll_layer(const wg_rnn *layer, int l, const wg_tensor *x, int T, wg_tensor lengths,
                         wg_rnn_state *state, wg_tensor *out, wg_tensor *spare)
{
    if (layer->directions == 1) {
        unroll_cell(layer, l, false, x, T, lengths, state, out);
    } else {
        memcpy(spare, x, (size_t)T * sizeof *x);
        unroll_cell(layer, 2 * l, false, spare, T, lengths, state, out);
        unroll_cell(layer, 2 * l + 1, true, spare, T, lengths, state, spare);
        for (int t = 0; t < T; t++) out[t] = wg_concat((wg_tensor[]){out[t], spare[t]}, 2, -1);
    }
    for (int t = 0; t < T; t++) out[t] = drop_output(layer, l, out[t]);
}

void wg_rnn_unroll(const wg_rnn *layer, const wg_tensor *x, int T, wg_tensor lengths, wg_rnn_state *state,
                   wg_tensor *out)
{
    enum { ON_STACK = 512 };
    if (T <= 0) return;
    const bool null = !layer || !x || !state || !out;
    const wg_tensor on = x ? x[0] : WG_NONE;
    wg_tape *tape = on.tape;
    wg_tensor local[ON_STACK], *spare = local;
    if (!null && layer->directions == 2 && T > ON_STACK) spare = malloc((size_t)T * sizeof *spare);
    if (!spare || null || layer->directions == 0) {
        wg_tensor failed = null    ? wg__null_apply(on, "rnn_unroll")
                           : spare ? wg_fail(on, WG_ERR_ARGUMENT, "rnn_unroll", "the layer was not initialized")
                                   : wg_fail(on, WG_ERR_MEMORY, "rnn_unroll", "out of memory for %d steps", T);
        for (int t = 0; t < T && out; t++) out[t] = failed;
        return;
    }
    wg_scope_begin(tape, layer->name);
    for (int l = 0; l < layer->options.layers; l++) {
        wg__layer_scope_begin(tape, l);
        unroll_layer(layer, l, l == 0 ? x : out, T, lengths, state, out, spare);
        wg_scope_end(tape);
    }
    wg_scope_end(tape);
    if (spare != local) free(spare);
}
