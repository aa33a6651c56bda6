/* Programs for the tests of wg_onnx_write, of special numbers and dtypes: see onnx_programs.h. */
#include "onnx_programs.h"

#include <math.h>

/* ---- zeros of both signs, infinities, NaN, numbers near the ends ---- */

enum { SPECIALS = 14 };

static wg_tensor specials(wg_tape *tape, int64_t batch)
{
    static const float special[SPECIALS] = {0,  -0.F,   1,     NAN,    -1,    0.1F,     -2.5F,
                                            50, 1e-30F, 1e20F, -1e20F, 1e37F, INFINITY, -INFINITY};
    float numbers[8][SPECIALS];
    for (int64_t i = 0; i < batch; i++)
        for (int k = 0; k < SPECIALS; k++) numbers[i][k] = special[(i * 5 + k) % SPECIALS];
    return wg_data(tape, WG_F32, WG_DIMS(batch, SPECIALS), numbers);
}

/* Every pair of two numbers of a row: *a and *b are [batch, SPECIALS^2]. */
static void pairs_of(wg_tensor x, wg_tensor *a, wg_tensor *b)
{
    const int64_t batch = wg_size(x, 0);
    const wg_shape square = WG_DIMS(batch, SPECIALS, SPECIALS);
    *a = wg_flatten(wg_expand(wg_reshape(x, WG_DIMS(batch, SPECIALS, 1)), square), 1, -1);
    *b = wg_flatten(wg_expand(wg_reshape(x, WG_DIMS(batch, 1, SPECIALS)), square), 1, -1);
}

void special(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    wg_tensor a, b, slope[8];
    x[0] = specials(tape, batch);
    pairs_of(x[0], &a, &b);
    const wg_tensor of[] = {wg_relu(a),     wg_sigmoid(a),       wg_softplus(a), wg_tanh(a),  wg_erf(a),
                            wg_sqrt(a),     wg_rsqrt(a),         wg_square(a),   wg_log1p(a), wg_reciprocal(a),
                            wg_elu(a, 0.7), wg_leaky_relu(a, 2), wg_mod(a, b),   wg_div(b, a)};
    enum { N = sizeof of / sizeof *of };
    wg_tensor slopes[N];
    for (int i = 0; i < N; i++) slopes[i] = wg_grad1(of[i], a, b);
    const wg_tensor two[] = {a, b}, one = wg_ones_like(a), cut = wg_slice(x[0], 1, 0, 4),
                    none = wg_full(tape, WG_F32, WG_DIMS(batch, 4), -INFINITY);
    wg_grad(wg_pow(a, b), two, 2, one, slope);
    wg_grad(wg_logaddexp(a, b), two, 2, one, slope + 2);
    wg_grad(wg_pow(a, b), two, 2, wg_zeros_like(a), slope + 4);
    wg_grad(wg_maximum(a, b), two, 2, b, slope + 6);
    const wg_tensor parts[] = {
        wg_mod(a, b),
        wg_logaddexp(a, b),
        wg_maximum(a, b),
        wg_minimum(a, b),
        wg_clamp(a, -0.5, 2),
        wg_leaky_relu(a, 0.1),
        wg_elu(a, 0.7),
        wg_silu(a),
        wg_step(a),
        wg_rsqrt(a),
        wg_log1p(a),
        wg_expm1(a),
        slope[0],
        slope[1],
        slope[2],
        slope[3],
        slope[4],
        slope[5],
        slope[6],
        slope[7],
        wg_concat(slopes, N, 1),
        wg_grad1(wg_logsumexp(cut, WG_AXES(1), true), cut, wg_slice(cut, 1, 0, 1)),
        wg_grad1(wg_logsumexp(none, WG_AXES(1), true), none, wg_ones(tape, WG_F32, WG_DIMS(batch, 1))),
        wg_grad1(wg_softmax(cut, -1), cut, cut),
        wg_masked_softmax(cut, wg_less(cut, none), -1),
        wg_logsumexp(none, WG_AXES(1), true)};
    y[0] = wg_concat(parts, sizeof parts / sizeof *parts, 1);
    y[1] = wg_is_finite(a);
}

/* Ops that are composed with other roundings. */
void nearly_special(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    wg_tensor a, b;
    x[0] = specials(tape, batch);
    pairs_of(x[0], &a, &b);
    const wg_tensor one = wg_ones_like(a);
    const wg_tensor parts[] = {wg_atan2(a, b), wg_grad1(wg_silu(a), a, one), wg_grad1(wg_gelu(a), a, one),
                               wg_grad1(wg_gelu_tanh(a), a, one)};
    y[0] = wg_concat(parts, sizeof parts / sizeof *parts, 1);
}

/* ---- what other runtimes do not have ---- */

/* Choices between bools; pooling with more padding than a window has elements; places of NaN; a scope that is not
 * UTF-8. */
void corners(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    static const float sorted[] = {-2, -1, 0, 0, 1, NAN, NAN};
    x[0] = specials(tape, batch);
    wg_scope_begin(tape, "caf\xe9");
    const wg_tensor a = x[0], above = wg_greater(a, wg_zeros_like(a)), finite = wg_is_finite(a),
                    near = wg_less(wg_abs(a), wg_full(tape, WG_F32, WG_DIMS(batch, 1), 2));
    const wg_tensor bools[] = {wg_where(near, above, finite), wg_masked_fill(above, near, 1),
                               wg_update_slice(above, 1, wg_scalar(tape, WG_I32, 3), wg_slice(finite, 1, 0, 5))};
    wg_pool_options wide = wg_pool_square(2);
    wide.stride[0] = 1;
    wide.dilation[0] = wide.before[0] = wide.after[0] = 2;
    const wg_tensor line = wg_data(tape, WG_F32, WG_DIMS(7), sorted);
    const wg_tensor nothing = wg_slice(above, 1, 2, 2), none = wg_slice(a, 1, 2, 2);
    const wg_tensor of_none[] = {
        wg_sum(none, WG_AXES(1), true), wg_prod(none, WG_AXES(1), true), wg_logsumexp(none, WG_AXES(1), true),
        wg_cast(wg_any(nothing, WG_AXES(1), true), WG_F32), wg_cast(wg_all(nothing, WG_AXES(1), true), WG_F32)};
    y[0] = wg_concat(bools, 3, 1);
    y[3] = wg_concat(of_none, 5, 1);
    y[1] = wg_flatten(
        wg_max_pool1d(wg_reshape(wg_where(finite, a, wg_zeros_like(a)), WG_DIMS(batch, 2, SPECIALS / 2)), wide), 1,
        -1);
    y[2] = wg_add(wg_searchsorted(line, a, false), wg_scale(wg_searchsorted(line, a, true), 10));
    wg_scope_end(tape);
}

/* ---- f64 inside of f32 ---- */

/* The low bits of f64, as f32. */
static wg_tensor low_bits(wg_tensor x)
{
    return wg_cast(wg_scale(wg_sub(x, wg_cast(wg_cast(x, WG_F32), WG_F64)), 0x1p24), WG_F32);
}

void doubles(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    static const float numbers[] = {0.3F, -1.2F, 0.7F, 2.1F, -0.4F, 0.9F, 1.7F, -0.1F, 0.6F};
    const wg_tensor weight = wg_sqrt(wg_arange(tape, WG_F64, 1, 0.1, 4)), bias = wg_cos(weight);
    float rows[8][4];
    for (int64_t i = 0; i < 4 * batch; i++) rows[i / 4][i % 4] = numbers[i % 9];
    x[0] = wg_data(tape, WG_F32, WG_DIMS(batch, 4), rows);
    const wg_tensor a = wg_cast(x[0], WG_F64);
    const wg_tensor parts[] = {low_bits(wg_layer_norm(a, weight, bias, 1e-5)),
                               low_bits(wg_layer_norm(a, weight, WG_NONE, 1e-3)),
                               low_bits(wg_layer_norm(a, WG_NONE, bias, 0.25)),
                               low_bits(wg_rms_norm(a, weight, 1e-5)),
                               low_bits(wg_rms_norm(wg_sub(a, wg_mean(a, WG_AXES(-1), true)), weight, 1e-5)),
                               low_bits(wg_softmax(a, -1)),
                               low_bits(wg_mod(a, weight))};
    y[0] = wg_concat(parts, sizeof parts / sizeof *parts, 1);
}

/* ---- i32 and bool ---- */

void whole(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    static const int32_t numbers[] = {3, 0, -7, 2147483647, -2147483647, 12, 1, 0, -1, 46341, 5};
    static const int32_t at[] = {2, 0, 2, 1};
    int32_t rows[8][4];
    for (int64_t i = 0; i < 4 * batch; i++) rows[i / 4][i % 4] = numbers[i % 11];
    const wg_tensor a = x[0] = wg_data(tape, WG_I32, WG_DIMS(batch, 4), rows), b = wg_flip(a, 1);
    const wg_tensor small = wg_minimum_scalar(wg_maximum_scalar(a, -9), 9), start = wg_scalar(tape, WG_I32, 1);
    const wg_tensor row = wg_data(tape, WG_I32, WG_DIMS(4), at);
    const wg_tensor place = wg_expand(wg_reshape(row, WG_DIMS(1, 4)), WG_DIMS(batch, 4));
    const wg_tensor truth = wg_less(a, b);
    const wg_tensor parts[] = {
        wg_neg(a),
        wg_abs(a),
        wg_add(a, b),
        wg_sub(a, b),
        wg_mul(a, b),
        wg_square(a),
        wg_scale(a, 3),
        wg_maximum(a, b),
        wg_minimum(a, b),
        wg_where(truth, a, b),
        wg_masked_fill(a, truth, 4),
        wg_pad(a, 1, 1, 2),
        wg_gather(a, 1, place),
        wg_index_select(a, 1, row),
        wg_slice_step(a, 1, 1, 4, 2),
        wg_update_slice(a, 1, start, wg_slice(b, 1, 0, 2)),
        wg_flatten(wg_one_hot(wg_abs(small), 10, WG_I32), 1, -1),
        wg_cast(truth, WG_I32),
        wg_cast(wg_cast(a, WG_BOOL), WG_I32),
        wg_cast(wg_scale(wg_cast(small, WG_F64), 0.3), WG_I32),
    };
    y[0] = wg_concat(parts, sizeof parts / sizeof *parts, 1);
    const wg_tensor bools[] = {wg_equal(a, b),
                               wg_not_equal(a, b),
                               wg_greater(a, b),
                               wg_less_equal(a, b),
                               wg_greater_equal(a, b),
                               wg_flip(truth, 1),
                               wg_pad(truth, 1, 1, 1),
                               wg_gather(truth, 1, place),
                               wg_index_select(truth, 1, row),
                               wg_cast(wg_cast(truth, WG_F32), WG_BOOL)};
    y[1] = wg_concat(bools, sizeof bools / sizeof *bools, 1);
}
