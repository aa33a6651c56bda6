/* Programs for the tests of wg_onnx_write: see onnx_programs.h. */
#include "onnx_programs.h"

#include <math.h>
#include <stdlib.h>

const char *const input_names[] = {"x0", "x1", "x2", "x3"}, *const output_names[] = {"y0", "y1", "y2", "y3"};

void name_tensors(wg_onnx_named *named, const char *const *names, const wg_tensor *tensor, const wg_tensor *another,
                  int n)
{
    for (int i = 0; i < n; i++) named[i] = (wg_onnx_named){names[i], tensor[i], another ? another[i] : WG_NONE};
}

/* Floats between -1.5 and 1.5. */
static wg_tensor floats(wg_tape *tape, wg_shape shape)
{
    int64_t n;
    wg_shape_numel(&shape, &n);
    float *numbers = malloc((size_t)n * sizeof *numbers);
    for (int64_t i = 0; numbers && i < n; i++) numbers[i] = (float)(1.5 * sin(0.7 * (double)(i * i % 97) + 0.3));
    const wg_tensor x = wg_data(tape, WG_F32, shape, numbers);
    free(numbers);
    return x;
}

/* Integers in [0, limit). */
static wg_tensor integers(wg_tape *tape, wg_shape shape, int32_t limit)
{
    int64_t n;
    wg_shape_numel(&shape, &n);
    int32_t *numbers = malloc((size_t)n * sizeof *numbers);
    for (int64_t i = 0; numbers && i < n; i++) numbers[i] = (int32_t)(i * i * 7 + 3 * i) % limit;
    const wg_tensor x = wg_data(tape, WG_I32, shape, numbers);
    free(numbers);
    return x;
}

/* ---- MLP ---- */

static wg_linear_layer fc_1, fc_2;

static void mlp_init(wg_params *set)
{
    wg_linear_init(&fc_1, set, "fc_1", 6, 16, wg_linear_defaults());
    wg_linear_init(&fc_2, set, "fc_2", 16, 5, wg_linear_defaults());
}

static void mlp(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    x[0] = floats(tape, WG_DIMS(batch, 6));
    y[0] = wg_softmax(wg_linear_apply(&fc_2, wg_relu(wg_linear_apply(&fc_1, x[0]))), -1);
}

/* ---- ConvNet: batch norm, poolings of both kinds, padding, few and many channels ---- */

static wg_conv_layer conv_1, conv_2, conv_3, up;
static wg_batch_norm_layer norm_1;

/* Statistics that are not 0 and 1. */
static void uneven(wg_buffer *buffer)
{
    float *numbers = wg_param_write_begin(buffer);
    for (int64_t i = 0; i < wg_param_numel(buffer); i++) numbers[i] = 0.4F + 0.1F * (float)i;
    wg_param_write_end(buffer);
}

static void convnet_init(wg_params *set)
{
    wg_conv_layer_options o = wg_conv_layer_defaults();
    o.conv.before[0] = o.conv.after[0] = o.conv.before[1] = 1;
    wg_conv_init(&conv_1, set, "conv_1", 2, 5, WG_DIMS(3, 3), o);
    wg_batch_norm_init(&norm_1, set, "norm_1", 5);
    uneven(norm_1.running_mean);
    uneven(norm_1.running_var);
    wg_conv_init(&conv_2, set, "conv_2", 5, 32, WG_DIMS(3, 3), o);
    o = wg_conv_layer_defaults();
    o.conv.groups = 2;
    wg_conv_init(&conv_3, set, "conv_3", 32, 8, WG_DIMS(2, 2), o);
    o = wg_conv_layer_defaults();
    o.transposed = true;
    o.conv.stride[0] = o.conv.stride[1] = 2;
    wg_conv_init(&up, set, "up", 8, 3, WG_DIMS(3, 3), o);
    wg_linear_init(&fc_1, set, "fc", 8, 4, wg_linear_defaults());
}

static void convnet(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    wg_pool_options pool = wg_pool_square(2), overlapping = wg_pool_square(3);
    overlapping.stride[0] = overlapping.stride[1] = 2;
    overlapping.before[0] = overlapping.after[1] = 1;
    overlapping.ceil = true;
    x[0] = floats(tape, WG_DIMS(batch, 2, 12, 11));
    wg_tensor h = wg_relu(wg_batch_norm_apply(&norm_1, wg_conv_apply(&conv_1, x[0])));
    h = wg_max_pool2d(wg_max_pool2d(h, overlapping), wg_pool_square(1)); /* of what a pool, or a reshape, makes */
    h = wg_relu(wg_conv_apply(&conv_2, h));
    pool.floor = true;
    h = wg_conv_apply(&conv_3, wg_avg_pool2d(h, pool));
    y[0] = wg_linear_apply(&fc_1, wg_mean(h, WG_AXES(2, 3), false));
    y[1] = wg_sigmoid(wg_conv_apply(&up, h));
}

/* ---- recurrent: unrolled over time, with lengths, two directions ---- */

static wg_rnn rnn;
enum { STEPS = 4, FEATURES = 3 };

static void rnn_init(wg_params *set, wg_cell cell, bool bidirectional)
{
    wg_rnn_options o = wg_rnn_defaults();
    o.cell = cell;
    o.bidirectional = bidirectional;
    o.layers = 2;
    wg_rnn_init(&rnn, set, "rnn", FEATURES, 5, o);
    wg_linear_init(&fc_1, set, "fc", bidirectional ? 10 : 5, 4, wg_linear_defaults());
}

static void lstm_init(wg_params *set) { rnn_init(set, WG_LSTM, false); }
static void gru_init(wg_params *set) { rnn_init(set, WG_GRU, true); }

static void unrolled(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y, wg_tensor lengths)
{
    wg_tensor step[STEPS], out[STEPS];
    wg_rnn_state state = wg_rnn_initial_state(&rnn, tape, batch);
    x[0] = floats(tape, WG_DIMS(batch, STEPS, FEATURES));
    for (int t = 0; t < STEPS; t++) step[t] = wg_select(x[0], 1, t);
    wg_rnn_unroll(&rnn, step, STEPS, lengths, &state, out);
    y[0] = wg_linear_apply(&fc_1, wg_stack(out, STEPS, 1));
    y[1] = state.h[0];
}

static void lstm(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y) { unrolled(tape, batch, x, y, WG_NONE); }

static void gru(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    x[1] = integers(tape, WG_DIMS(batch), STEPS);
    unrolled(tape, batch, x, y, wg_add(x[1], wg_scalar(tape, WG_I32, 1)));
}

/* ---- Transformer language model, tied weights ---- */

static wg_lm language;

static void lm_init(wg_params *set)
{
    wg_lm_options o = wg_lm_defaults();
    o.layer.heads = 2;
    wg_lm_init(&language, set, "lm", 11, 8, 12, 2, o);
}

static void lm(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    x[0] = integers(tape, WG_DIMS(batch, 6), 11);
    y[0] = wg_lm_apply(&language, x[0]);
}

/* ---- attention: masks of padding, weights, a decoder over a memory, a window ---- */

static wg_mha mha;
static wg_score_layer score;
static wg_transformer_stack decoder;

static void attention_init(wg_params *set)
{
    wg_transformer_options o = wg_transformer_defaults();
    wg_score_options additive = wg_score_defaults();
    o.heads = 2;
    additive.kind = WG_SCORE_ADDITIVE;
    additive.size = 5;
    wg_mha_init(&mha, set, "mha", 6, 2, wg_mha_defaults());
    wg_score_init(&score, set, "score", 6, 6, additive);
    wg_transformer_stack_init(&decoder, set, "decoder", 6, 1, true, true, o);
}

static void attention(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    wg_attention_options padded = wg_attention_defaults(), causal = padded, near = padded;
    x[0] = floats(tape, WG_DIMS(batch, 5, 6));
    x[1] = integers(tape, WG_DIMS(batch), 6);
    padded.mask = wg_key_mask(x[1], 5);
    causal.causal = true;
    near.window = 1;
    const wg_tensor self = wg_mha_apply(&mha, x[0], x[0], x[0], padded, &y[1]);
    const wg_tensor memory = wg_add(self, wg_mha_apply(&mha, x[0], x[0], x[0], near, NULL));
    y[0] = wg_transformer_stack_apply(&decoder, x[0], causal, memory, padded);
    const wg_keys keys = wg_score_keys(&score, memory, memory, wg_length_mask(x[1], 5));
    y[2] = wg_attend(&score, wg_select(x[0], 1, 2), &keys, wg_window_mask(tape, 5, 2, 1), &y[3]);
}

/* ---- one of each other op ---- */

static void no_init(wg_params *set) {}

static void pointwise(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    wg_tensor a = x[0] = floats(tape, WG_DIMS(batch, 40)), unit = wg_scale(a, 0.6),
              above = wg_add_scalar(wg_abs(a), 0.2);
    const wg_tensor parts[] = {wg_neg(a),
                               wg_abs(a),
                               wg_sign(a),
                               wg_exp(a),
                               wg_log(above),
                               wg_log1p(above),
                               wg_expm1(a),
                               wg_sqrt(above),
                               wg_rsqrt(above),
                               wg_square(a),
                               wg_reciprocal(above),
                               wg_sin(a),
                               wg_cos(a),
                               wg_tan(unit),
                               wg_asin(unit),
                               wg_acos(unit),
                               wg_atan(a),
                               wg_sinh(a),
                               wg_cosh(a),
                               wg_asinh(a),
                               wg_acosh(wg_add_scalar(above, 1)),
                               wg_atanh(unit),
                               wg_tanh(a),
                               wg_erf(a),
                               wg_floor(a),
                               wg_ceil(a),
                               wg_round(a),
                               wg_sigmoid(a),
                               wg_relu(a),
                               wg_gelu(a),
                               wg_gelu_tanh(a),
                               wg_silu(a),
                               wg_softplus(a),
                               wg_step(a),
                               wg_sub(a, above),
                               wg_div(a, above),
                               wg_pow(above, a),
                               wg_mod(a, above),
                               wg_maximum(a, unit),
                               wg_minimum(a, wg_neg(a)),
                               wg_leaky_relu(a, 0.1),
                               wg_elu(a, 0.7),
                               wg_lerp(a, above, unit),
                               wg_clamp(a, -0.5, 0.25),
                               wg_where(wg_less(a, unit), a, above),
                               wg_masked_fill(a, wg_greater(a, unit), 3),
                               wg_log(wg_add_scalar(above, 1)), /* no log1p, expm1, lerp when they come back */
                               wg_log(wg_add(wg_scalar(tape, WG_F32, 2), above)),
                               wg_sub_scalar(wg_exp(a), 1),
                               wg_add(wg_scalar(tape, WG_F32, -2), wg_exp(a)),
                               wg_add(a, wg_mul(unit, wg_sub(above, a))),
                               wg_sub(a, wg_mul(unit, wg_sub(above, a)))};
    const wg_tensor less = wg_less_equal(a, unit), more = wg_greater_equal(a, wg_scale(above, 0.5));
    y[0] = wg_concat(parts, sizeof parts / sizeof *parts, 1);
    y[1] = wg_logical_or(wg_logical_and(less, wg_not_equal(a, unit)), wg_logical_not(wg_equal(a, a)));
    y[2] = wg_add(wg_cast(more, WG_F32), wg_cast(wg_is_finite(wg_log(wg_relu(a))), WG_F32));
    y[3] = wg_cast(wg_scale(a, 10), WG_I32);
}

/* Views, reductions, indices. */
static void moved(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    wg_tensor a = x[0] = floats(tape, WG_DIMS(batch, 3, 4)), row = wg_flatten(a, 1, -1);
    x[1] = integers(tape, WG_DIMS(batch, 5), 12);
    wg_tensor slope; /* a cumulative sum from the end */
    wg_grad(wg_cumsum(row, 1), &row, 1, wg_sin(row), &slope);
    const wg_tensor picked = wg_gather(row, 1, x[1]);
    const wg_tensor parts[] = {
        wg_flatten(wg_permute(a, WG_AXES(0, 2, 1)), 1, -1),
        wg_flatten(wg_flip(a, 1), 1, -1),
        wg_flatten(wg_slice_step(a, 2, 1, 4, 2), 1, -1),
        wg_pad(row, 1, 2, 3),
        wg_sum(a, WG_AXES(2), false),
        wg_flatten(wg_sum(a, WG_AXES(1), true), 1, -1),
        wg_flatten(wg_max(a, WG_AXES(1, 2), true), 1, -1),
        wg_min(a, WG_AXES(2), false),
        wg_prod(a, WG_AXES(2), false),
        wg_logsumexp(a, WG_AXES(2), false),
        wg_cumsum(row, 1),
        slope,
        wg_slice_step(wg_concat((wg_tensor[]){row, wg_neg(row)}, 2, 0), 0, 0, 2 * batch, 2),
        wg_mul(row, wg_sum(row, WG_AXES(0), true)),
        wg_log_softmax(row, -1),
        wg_flatten(wg_softmax(a, 1), 1, -1),
        picked,
        wg_scatter_add(row, 1, x[1], picked),
        wg_layer_norm(row, WG_NONE, WG_NONE, 1e-5),
        wg_rms_norm(row, WG_NONE, 1e-5),
        wg_rms_norm(row, wg_sin(wg_arange(tape, WG_F32, 1, 1, 12)), 1e-3),
        wg_mul(wg_rms_norm(row, WG_NONE, 1e-3), row),
        wg_div(row, wg_sqrt(wg_add_scalar(wg_mean(wg_mul(row, row), WG_AXES(-1), true), 1e-3))),
        wg_flatten(wg_sinusoid(wg_scale(x[1], 2971), 6, WG_F32), 1, -1), /* by way of f64 */
        wg_flatten(wg_one_hot(x[1], 12, WG_F32), 1, -1),
        wg_expand(wg_reshape(wg_arange(tape, WG_F32, 1, 0.5, 4), WG_DIMS(1, 4)), WG_DIMS(batch, 4)),
        wg_masked_softmax(row, wg_less(row, wg_full(tape, WG_F32, WG_DIMS(batch, 1), -0.2)), -1)};
    y[0] = wg_concat(parts, sizeof parts / sizeof *parts, 1);
    y[1] = wg_add(wg_argmax(row, -1, false), wg_argmin(row, -1, false));
    y[2] = wg_logical_and(wg_any(wg_less(a, wg_neg(a)), WG_AXES(2), false),
                          wg_all(wg_less(a, wg_add_scalar(wg_abs(a), 1)), WG_AXES(2), false));
    y[3] = wg_index_select(row, 0, wg_cast(wg_zeros(tape, WG_F32, WG_DIMS(2)), WG_I32));
}

/* Order, search, writing by index. */
static void ordered(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    static const int32_t rows[] = {2, 0, 2, 1};
    static const int32_t at[] = {3, 9, -2};
    const wg_tensor a = x[0] = floats(tape, WG_DIMS(batch, 12)), cube = wg_reshape(a, WG_DIMS(batch, 3, 4));
    const wg_tensor index = wg_data(tape, WG_I32, WG_DIMS(2, 2), rows), part = wg_slice(a, 1, 0, 4);
    const wg_tensor row = wg_reshape(index, WG_DIMS(4)),
                    place = wg_expand(wg_reshape(row, WG_DIMS(1, 4)), WG_DIMS(batch, 4));
    const wg_tensor table = wg_reshape(wg_arange(tape, WG_F32, 1, 0.5, 12), WG_DIMS(3, 4)),
                    looked_up = wg_embedding(table, index);
    wg_tensor largest, start[3];
    x[1] = integers(tape, WG_DIMS(batch), 3);
    for (int i = 0; i < 3; i++) start[i] = wg_data(tape, WG_I32, WG_SCALAR, &at[i]);
    const wg_tensor parts[] = {
        wg_sort(a, 1, false),
        wg_topk(a, 5, 1, true, &largest),
        wg_update_slice(a, 1, start[0], part),
        wg_update_slice(a, 1, start[1], part),
        wg_update_slice(a, 1, start[2], part),
        wg_flatten(wg_update_slice(cube, 1, start[0], wg_cos(wg_slice(cube, 1, 0, 1))), 1, -1),
        wg_flatten(wg_index_add(cube, 1, row, wg_index_select(cube, 1, row)), 1, -1),
        wg_scatter(a, 1, place, part),
        wg_scatter_reduce(a, 1, place, part, WG_SCATTER_PROD, true),
        wg_flatten(wg_index_copy(cube, 1, wg_data(tape, WG_I32, WG_DIMS(2), rows), wg_slice(cube, 1, 1, 3)), 1, -1),
        wg_flatten(wg_grad1(wg_index_select(cube, 1, row), cube, wg_index_select(wg_sin(cube), 1, row)), 1, -1),
        wg_expand(wg_reshape(wg_grad1(looked_up, table, wg_sin(looked_up)), WG_DIMS(1, 12)), WG_DIMS(batch, 12))};
    y[0] = wg_concat(parts, sizeof parts / sizeof *parts, 1);
    y[1] = largest;
    y[2] = wg_add(wg_searchsorted(wg_sort(a, 1, false), part, false),
                  wg_searchsorted(wg_arange(tape, WG_F32, -1, 0.25, 9), part, true));
    y[3] = wg_index_add(wg_zeros(tape, WG_F32, WG_DIMS(3, 12)), 0, x[1], a); /* over the batch */
}

/* The batch as the axis that ops work along. */
static void along_batch(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    const wg_tensor a = x[0] = floats(tape, WG_DIMS(batch, 4)), columns = wg_t(a);
    const wg_tensor keys = wg_concat((wg_tensor[]){a, wg_cos(a)}, 2, 0);
    const wg_tensor parts[] = {wg_layer_norm(columns, WG_NONE, WG_NONE, 1e-5),
                               wg_rms_norm(columns, WG_NONE, 1e-5),
                               wg_softmax(columns, -1),
                               wg_log_softmax(columns, -1),
                               wg_cumsum(columns, 1),
                               wg_flip(columns, 1)};
    y[0] = wg_concat(parts, sizeof parts / sizeof *parts, 0);
    y[1] = wg_attention(a, keys, keys, wg_attention_defaults());
}

/* Derivatives as outputs. */
static void slopes(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    const wg_tensor a = x[0] = floats(tape, WG_DIMS(batch, 40)), above = wg_add_scalar(wg_abs(a), 0.2),
                    g = wg_cos(a);
    const wg_tensor of[] = {wg_tanh(a),
                            wg_erf(a),
                            wg_sigmoid(a),
                            wg_relu(a),
                            wg_softplus(a),
                            wg_leaky_relu(a, 0.1),
                            wg_elu(a, 0.7),
                            wg_square(a),
                            wg_maximum(a, wg_scalar(tape, WG_F32, 0.1)),
                            wg_softmax(a, -1),
                            wg_log_softmax(a, -1),
                            wg_log1p(above),
                            wg_sqrt(above),
                            wg_rsqrt(above),
                            wg_reciprocal(above),
                            wg_pow(above, a),
                            wg_div(a, above),
                            wg_logaddexp(a, above)};
    enum { N = sizeof of / sizeof *of };
    wg_tensor slope[N + 3];
    for (int i = 0; i < N; i++) wg_grad(of[i], &a, 1, g, &slope[i]);
    wg_grad(slope[2], &a, 1, g, &slope[N]); /* of the second order */
    slope[N + 1] = wg_grad1(wg_logsumexp(a, WG_AXES(1), false), a, wg_select(g, 1, 0));
    slope[N + 2] = wg_grad1(wg_logsumexp(a, WG_AXES(1), true), a, wg_slice(g, 1, 0, 1));
    y[0] = wg_concat(slope, N + 3, 1);
    y[1] = wg_logaddexp(a, wg_scale(a, 2));
}

/* Ops that are composed with other roundings. */
static void nearly(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    const wg_tensor a = x[0] = floats(tape, WG_DIMS(batch, 12)), cube = wg_reshape(a, WG_DIMS(batch, 3, 4)),
                    g = wg_cos(a);
    const wg_tensor behind = wg_neg(wg_add_scalar(wg_abs(a), 0.2)), zero = wg_scale(a, 0);
    const wg_tensor parts[] = {
        wg_grad1(wg_silu(a), a, g),
        wg_grad1(wg_gelu(a), a, g),
        wg_grad1(wg_gelu_tanh(a), a, g),
        wg_atan2(a, g),
        wg_atan2(g, behind),
        wg_atan2(wg_abs(zero), wg_abs(zero)),
        wg_atan2(wg_abs(zero), behind),
        wg_grad1(wg_atan2(a, behind), a, g),
        wg_expand(wg_var(a, WG_AXES(1), true, 1), WG_DIMS(batch, 2)),
        wg_flatten(wg_std(cube, WG_AXES(1), true, 0), 1, -1),
        wg_flatten(wg_group_norm(wg_reshape(a, WG_DIMS(batch, 6, 2)), 3, WG_NONE, WG_NONE, 1e-5), 1, -1)};
    y[0] = wg_concat(parts, sizeof parts / sizeof *parts, 1);
}

const program programs[] = {
    {"mlp", .init = mlp_init, .record = mlp, .n_in = 1, .n_out = 1},
    {"convnet", .init = convnet_init, .record = convnet, .n_in = 1, .n_out = 2},
    {"lstm", .init = lstm_init, .record = lstm, .n_in = 1, .n_out = 2},
    {"gru", .init = gru_init, .record = gru, .n_in = 2, .n_out = 2},
    {"lm", .init = lm_init, .record = lm, .n_in = 1, .n_out = 1},
    {"attention", .init = attention_init, .record = attention, .n_in = 2, .n_out = 4},
    {"pointwise", .init = no_init, .record = pointwise, .n_in = 1, .n_out = 4},
    {"moved", .init = no_init, .record = moved, .n_in = 2, .n_out = 4},
    {"ordered", .init = no_init, .record = ordered, .n_in = 2, .n_out = 4},
    {"along_batch", .init = no_init, .record = along_batch, .n_in = 1, .n_out = 2},
    {"nearly", .near = true, .init = no_init, .record = nearly, .n_in = 1, .n_out = 1},
    {"special", .init = no_init, .record = special, .n_in = 1, .n_out = 2},
    {"nearly_special", .near = true, .init = no_init, .record = nearly_special, .n_in = 1, .n_out = 1},
    {"corners", .init = no_init, .record = corners, .n_in = 1, .n_out = 4},
    {"doubles", .init = no_init, .record = doubles, .n_in = 1, .n_out = 1},
    {"whole", .init = no_init, .record = whole, .n_in = 1, .n_out = 2},
    {"slopes", .init = no_init, .record = slopes, .n_in = 1, .n_out = 2},
    {NULL},
};
