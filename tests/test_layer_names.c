/* Layers: names of parameters, options that are refused, simple layers, the summary. */
#include "tensors.h"

enum { IN = 3, H = 4 };

static void test_names(void)
{
    wg_params *set = wg_params_new(WG_F32);
    wg_rnn rnn;
    wg_rnn_options o = wg_rnn_defaults();
    o.cell = WG_LSTM;
    o.layers = 2;
    o.bidirectional = o.learned_state = true;
    o.forget_bias = 100;
    CHECK(wg_rnn_init(&rnn, set, "rnn", IN, H, o) == WG_OK);
    wg_shape shape = wg_param_shape(wg_param_find(set, "rnn.weight_ih_l1_reverse"));
    CHECK(shape.rank == 2 && shape.size[0] == 4 * H && shape.size[1] == 2 * H);
    CHECK(wg_param_find(set, "rnn.bias_hh_l0") && wg_param_find(set, "rnn.c0_l1_reverse"));
    const float *bias = wg_param_value(wg_param_find(set, "rnn.bias_ih_l1"));
    CHECK(bias[H - 1] < 1 && bias[H] > 99 && bias[2 * H - 1] > 99 && bias[2 * H] < 1);
    CHECK(wg_rnn_init(&rnn, set, "rnn", IN, H, wg_rnn_defaults()) == WG_ERR_ARGUMENT); /* the names are taken */
    wg_params_clear_error(set);
    o.layers = 17;
    CHECK(wg_rnn_init(&rnn, set, "many", IN, H, o) == WG_ERR_ARGUMENT);
    CHECK(strstr(wg_params_message(set), "rnn many: layers must be at least 1"));
    wg_params_clear_error(set);
    o.layers = 0;
    CHECK(wg_rnn_init(&rnn, set, "none", IN, H, o) == WG_ERR_ARGUMENT);
    wg_params_clear_error(set);
    CHECK(wg_rnn_init(&rnn, set, "zero", IN, 0, wg_rnn_defaults()) == WG_ERR_ARGUMENT);
    CHECK(wg_params_status(set) == WG_ERR_ARGUMENT);
    wg_params_clear_error(set);
    o.layers = 1;
    CHECK(wg_rnn_init(&rnn, set, "lstm", IN, H, o) == WG_OK);
    bias = wg_param_value(rnn.cell[0].bias_ih);
    CHECK(wg_init_forget_bias(&rnn, NAN) == WG_ERR_ARGUMENT && isfinite(bias[H]));
    CHECK(wg_init_forget_bias(&rnn, 1) == WG_OK && bias[H] > 100);
    rnn.options.cell = WG_GRU;
    CHECK(wg_init_forget_bias(&rnn, 1) == WG_ERR_ARGUMENT);
    wg_params_free(set);
}

static void test_simple_layers(void)
{
    wg_params *set = wg_params_new(WG_F32);
    wg_tape *tape = new_tape();
    wg_embedding_layer embedding;
    wg_linear_layer linear;
    wg_layer_norm_layer norm;
    CHECK(wg_embedding_init(&embedding, set, "embedding", 5, 3, 2) == WG_OK);
    CHECK(wg_linear_init(&linear, set, "", 3, 3, wg_linear_defaults()) == WG_OK);
    CHECK(wg_layer_norm_init(&norm, set, "norm", 3) == WG_OK);
    CHECK(wg_param_find(set, "weight") == linear.weight && wg_param_find(set, "norm.bias") == norm.bias);
    const int32_t index[4] = {4, 2, 0, 4};
    wg_tensor rows = wg_embedding_apply(&embedding, wg_data(tape, WG_I32, WG_DIMS(2, 2), index));
    wg_tensor y = wg_keep(wg_layer_norm_apply(&norm, wg_linear_apply(&linear, rows)));
    wg_keep(rows);
    CHECK(wg_backward(wg_sum_all(wg_mul(y, wg_square(y)))) == WG_OK);
    const float *e = wg_value(rows), *w = wg_param_value(embedding.weight), *g = wg_param_grad(embedding.weight);
    CHECK(e && e[3] == 0 && e[4] == 0 && e[0] == w[12] && w[6] == 0);
    CHECK(g[6] == 0 && g[7] == 0 && g[12] != 0 && g[3] == 0);
    CHECK(wg_tape_reset(tape) == WG_OK);
    wg_tensor wrong = wg_linear_apply(&linear, wg_zeros(tape, WG_F32, WG_DIMS(2, 4)));
    CHECK(wg_is_nil(wrong) && wg_tape_reset(tape) == WG_ERR_SHAPE);

    wg_embedding_layer padded;
    CHECK(wg_embedding_init(&padded, set, "padded", 5, 3, 5) == WG_ERR_ARGUMENT && !padded.weight);
    CHECK(strstr(wg_params_message(set), "embedding padded: padding 5"));
    wg_params_clear_error(set);

    wg_param_tie(set, "decoder.weight", embedding.weight);
    wg_param_freeze(norm.weight, true);
    wg_buffer_new(set, "state", WG_DIMS(7), wg_init_zeros());
    char text[1024], cut[40];
    size_t length = wg_summary(set, text, sizeof text);
    CHECK(length == strlen(text) && wg_summary(set, cut, sizeof cut) == length && strlen(cut) == 39);
    CHECK(wg_summary(set, NULL, 0) == length);
    CHECK(strstr(text, "embedding.weight  [5, 3]                     15\n"));
    CHECK(strstr(text, "tied to embedding.weight\n") && strstr(text, "buffer\n") && strstr(text, "frozen\n"));
    CHECK(strstr(text, "parameters: 33, trained: 30 (f32)\n"));
    wg_tape_free(tape);
    wg_params_free(set);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(test_names), TEST_CASE(test_simple_layers)};
    return RUN_TESTS(tests);
}
