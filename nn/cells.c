/* The Jordan network, the simple GRU, and conversion between gate orders. (wg_rnn_gates is in recurrent.c.) */
#include "cells.h"
#include "internal.h"

#include <math.h>
#include <string.h>

#include "../autograd/base/heap.h"

static wg_init hidden_uniform(int64_t hidden)
{
    double bound = hidden > 0 ? 1 / sqrt((double)hidden) : 0;
    return wg_init_uniform(-bound, bound);
}

/* ---- Jordan network ---- */

wg_jordan_options wg_jordan_defaults(void) { return (wg_jordan_options){.bias = true}; }

wg_status wg_jordan_init(wg_jordan *layer, wg_params *set, const char *name, int64_t input, int64_t hidden,
                         int64_t output, wg_jordan_options options)
{
    if (!layer) return wg__null_init(set, "jordan", name);
    const wg_init init = hidden_uniform(hidden);
    *layer = (wg_jordan){.options = options, .dtype = wg_params_dtype(set), .output = output};
    if (input < 1 || hidden < 1 || output < 1)
        return wg_params_fail(set, WG_ERR_ARGUMENT, "jordan %s: input, hidden and output sizes must be at least 1",
                              name ? name : "");
    layer->weight_ih = wg__layer_param(set, name, "weight_ih", WG_DIMS(hidden, input), init);
    layer->weight_yh = wg__layer_param(set, name, "weight_yh", WG_DIMS(hidden, output), init);
    layer->weight_hy = wg__layer_param(set, name, "weight_hy", WG_DIMS(output, hidden), init);
    if (options.bias) {
        layer->bias_h = wg__layer_param(set, name, "bias_h", WG_DIMS(hidden), init);
        layer->bias_y = wg__layer_param(set, name, "bias_y", WG_DIMS(output), init);
    }
    if (options.learned_output)
        layer->y0 =
            wg__layer_param(set, name, "y0", WG_DIMS(output), options.y_init ? *options.y_init : wg_init_zeros());
    return wg_params_status(set);
}

wg_tensor wg_jordan_initial(const wg_jordan *layer, wg_tape *tape, int64_t batch)
{
    if (!layer) return wg_fail_on(tape, WG_ERR_ARGUMENT, "jordan", "the layer is NULL");
    wg_shape shape = WG_DIMS(batch, layer->output);
    return layer->y0 ? wg_expand(wg_use(tape, layer->y0), shape) : wg_zeros(tape, layer->dtype, shape);
}

wg_tensor wg_jordan_step(const wg_jordan *layer, wg_tensor x, wg_tensor y)
{
    if (!layer) return wg__null_apply(x, "jordan");
    wg_tape *tape = x.tape;
    wg_tensor in = wg_linear(x, wg_use(tape, layer->weight_ih), wg__use_or_none(tape, layer->bias_h));
    wg_tensor h = wg_add(in, wg_linear(y, wg_use(tape, layer->weight_yh), WG_NONE));
    h = layer->options.hidden ? layer->options.hidden(h) : wg_tanh(h);
    wg_tensor out = wg_linear(h, wg_use(tape, layer->weight_hy), wg__use_or_none(tape, layer->bias_y));
    return layer->options.output ? layer->options.output(out) : out;
}

/* ---- simple GRU ---- */

wg_status wg_simple_gru_init(wg_simple_gru *layer, wg_params *set, const char *name, int64_t input, int64_t hidden,
                             bool bias)
{
    if (!layer) return wg__null_init(set, "simple_gru", name);
    const wg_init init = hidden_uniform(hidden);
    *layer = (wg_simple_gru){.dtype = wg_params_dtype(set), .hidden = hidden};
    if (input < 1 || hidden < 1 || hidden > INT64_MAX / 8)
        return wg_params_fail(set, WG_ERR_ARGUMENT, "simple_gru %s: input and hidden sizes must be at least 1",
                              name ? name : "");
    layer->weight_ih = wg__layer_param(set, name, "weight_ih", WG_DIMS(2 * hidden, input), init);
    layer->weight_hh = wg__layer_param(set, name, "weight_hh", WG_DIMS(2 * hidden, hidden), init);
    if (bias) layer->bias = wg__layer_param(set, name, "bias", WG_DIMS(2 * hidden), init);
    return wg_params_status(set);
}

wg_tensor wg_simple_gru_step(const wg_simple_gru *layer, wg_tensor x, wg_tensor h)
{
    if (!layer) return wg__null_apply(x, "simple_gru");
    wg_tape *tape = x.tape;
    wg_tensor gate[2];
    wg_tensor in = wg_linear(x, wg_use(tape, layer->weight_ih), wg__use_or_none(tape, layer->bias));
    wg_split(wg_add(in, wg_linear(h, wg_use(tape, layer->weight_hh), WG_NONE)), -1, 2, gate);
    return wg_lerp(h, wg_tanh(gate[1]), wg_sigmoid(gate[0]));
}

/* ---- gate orders ---- */

const char *wg_gate_letters(wg_cell cell, wg_gate_order order)
{
    static const char *const lstm[] = {"ifgo", "ifgo", "iofg", "ifog"}, *const gru[] = {"rzn", "zrn", "zrn", "zrn"};
    if (cell < WG_RNN_TANH || cell > WG_GRU || order < WG_GATES_TORCH || order > WG_GATES_IFOG) return NULL;
    return cell == WG_LSTM ? lstm[order] : cell == WG_GRU ? gru[order] : "h";
}

wg_status wg_reorder_gates(void *numbers, size_t bytes, wg_cell cell, wg_gate_order from, wg_gate_order to)
{
    const char *source = wg_gate_letters(cell, from), *target = wg_gate_letters(cell, to);
    if (!source || !target || !numbers) return WG_ERR_ARGUMENT;
    const size_t gates = strlen(target), block = bytes / gates;
    char current[8], *blocks = numbers;
    if (bytes % gates != 0) return WG_ERR_SHAPE;
    strcpy(current, source);
    for (size_t i = 0; i < gates; i++) {
        size_t at = (size_t)(strchr(current, target[i]) - current);
        if (at == i) continue;
        wg__swap_bytes(blocks + i * block, blocks + at * block, block);
        current[at] = current[i];
        current[i] = target[i];
    }
    return WG_OK;
}

wg_status wg_param_reorder_gates(wg_param *param, wg_cell cell, wg_gate_order from, wg_gate_order to)
{
    const char *letters = wg_gate_letters(cell, to);
    if (!param || !letters || !wg_gate_letters(cell, from)) return WG_ERR_ARGUMENT;
    wg_shape shape = wg_param_shape(param);
    if (shape.rank < 1 || shape.size[0] % (int64_t)strlen(letters) != 0) return WG_ERR_SHAPE;
    size_t bytes = (size_t)wg_param_numel(param) * wg_dtype_size(wg_param_dtype(param));
    wg_status status = wg_reorder_gates(wg_param_write_begin(param), bytes, cell, from, to);
    wg_param_write_end(param);
    return status;
}
