/* Sizes and options out of range, for every layer: the error says what is wrong, the layer is empty, and the set has no
 * parameter of it. */
#include "tensors.h"

static wg_params *set;
static const char *name; /* of the layer: "l", or NULL, which is in no message */

/* Checks that the call, on a set of its own, is refused for this reason. */
#define REFUSED(call, reason)                                                                                      \
    do {                                                                                                           \
        set = wg_params_new(WG_F32);                                                                               \
        const wg_status status = (call);                                                                           \
        if (status != WG_ERR_ARGUMENT || !strstr(wg_params_message(set), reason) || wg_params_count(set) ||        \
            !strstr(wg_params_message(set), name ? " l: " : " : "))                                                \
            FAIL("line %d: status %d, %d members: %s", __LINE__, status, (int)wg_params_count(set),                \
                 wg_params_message(set));                                                                          \
        wg_params_free(set);                                                                                       \
    } while (0)
/* The same of a layer whose options differ from the defaults in one field. */
#define OPTION(kind, init, field, number, reason)                                                                  \
    do {                                                                                                           \
        wg_##kind##_options o = wg_##kind##_defaults();                                                            \
        o.field = number;                                                                                          \
        REFUSED(init, reason);                                                                                     \
    } while (0)

static const double not_probabilities[] = {-0.1, 1, NAN};
static const int64_t huge = INT64_MAX - 7; /* a multiple of 8 */

static void recurrent(void)
{
    wg_rnn rnn;
#define RNN wg_rnn_init(&rnn, set, name, 3, 4, o)
    OPTION(rnn, RNN, cell, (wg_cell)-1, "cell is not a wg_cell");
    OPTION(rnn, RNN, cell, (wg_cell)4, "cell is not a wg_cell");
    OPTION(rnn, RNN, gru, (wg_gru_form)-1, "gru is not a wg_gru_form");
    OPTION(rnn, RNN, gru, (wg_gru_form)3, "gru is not a wg_gru_form");
    OPTION(rnn, RNN, bias, (wg_rnn_bias)-1, "bias is not a wg_rnn_bias");
    OPTION(rnn, RNN, bias, (wg_rnn_bias)3, "bias is not a wg_rnn_bias");
    OPTION(rnn, RNN, layers, 0, "layers must be at least 1");
    OPTION(rnn, RNN, layers, WG_RNN_MAX_CELLS + 1, "layers times directions at most 32");
    OPTION(rnn, RNN, forget_bias, 1, "forget_bias must be finite and needs an LSTM with biases");
    for (int i = 0; i < 3; i++) OPTION(rnn, RNN, dropout, not_probabilities[i], "dropout must be in [0, 1)");
    wg_rnn_options o = wg_rnn_defaults();
    o.cell = WG_LSTM;
    o.forget_bias = INFINITY;
    REFUSED(RNN, "forget_bias must be finite");
    o.forget_bias = 1;
    o.bias = WG_RNN_BIAS_NONE;
    REFUSED(RNN, "needs an LSTM with biases");
    o = wg_rnn_defaults();
    const int64_t sizes[][2] = {{0, 4}, {3, 0}, {3, huge}};
    for (int i = 0; i < 3; i++) {
        REFUSED(wg_rnn_init(&rnn, set, name, sizes[i][0], sizes[i][1], o), "sizes must be at least 1");
        wg_simple_gru gru;
        REFUSED(wg_simple_gru_init(&gru, set, name, sizes[i][0], sizes[i][1], true), "sizes must be at least 1");
        CHECK(!gru.weight_ih);
    }
    CHECK(rnn.directions == 0 && !rnn.cell[0].weight_ih);
    wg_jordan jordan;
    for (int i = 0; i < 3; i++)
        REFUSED(wg_jordan_init(&jordan, set, name, i != 0, i != 1, i != 2, wg_jordan_defaults()),
                "input, hidden and output sizes must be at least 1");
    CHECK(!jordan.weight_ih);
}

static void attention(void)
{
    wg_score_layer score;
#define SCORE wg_score_init(&score, set, name, 3, 3, o)
    OPTION(score, SCORE, kind, (wg_score_kind)-1, "kind is not a wg_score_kind");
    OPTION(score, SCORE, kind, (wg_score_kind)5, "kind is not a wg_score_kind");
    OPTION(score, SCORE, choice, (wg_choice)-1, "choice is not a wg_choice");
    OPTION(score, SCORE, choice, (wg_choice)3, "choice is not a wg_choice");
    OPTION(score, SCORE, temperature, 0, "temperature must be positive");
    OPTION(score, SCORE, temperature, INFINITY, "temperature must be positive");
    OPTION(score, SCORE, size, -1, "sizes must be at least 1");
    const wg_score_options scores = wg_score_defaults();
    REFUSED(wg_score_init(&score, set, name, 0, 3, scores), "sizes must be at least 1");
    REFUSED(wg_score_init(&score, set, name, 3, 0, scores), "sizes must be at least 1");
    REFUSED(wg_score_init(&score, set, name, huge, huge, scores), "sizes are out of range");
    REFUSED(wg_score_init(&score, set, name, 3, huge, scores), "sizes are out of range");
    REFUSED(wg_score_init(&score, set, name, 3, 4, scores), "queries and keys of equal size");
    CHECK(score.query == 0);

    wg_mha mha;
#define MHA wg_mha_init(&mha, set, name, 8, 2, o)
    OPTION(mha, MHA, head_size, -1, "sizes must not be negative");
    OPTION(mha, MHA, key_size, -1, "sizes must not be negative");
    OPTION(mha, MHA, value_size, -1, "sizes must not be negative");
    OPTION(mha, MHA, head_size, huge, "sizes are out of range");
    for (int i = 0; i < 3; i++) OPTION(mha, MHA, dropout, not_probabilities[i], "dropout must be in [0, 1)");
    const wg_mha_options o = wg_mha_defaults();
    REFUSED(wg_mha_init(&mha, set, name, 0, 2, o), "size and heads must be at least 1");
    REFUSED(wg_mha_init(&mha, set, name, 8, 0, o), "size and heads must be at least 1");
    REFUSED(wg_mha_init(&mha, set, name, 8, 3, o), "the size must be a multiple of the heads");
    CHECK(mha.size == 0 && !mha.in_proj_weight);
    wg_position_layer position;
    REFUSED(wg_position_init(&position, set, name, (wg_position_kind)-1, 5, 4, 1),
            "kind is not a wg_position_kind");
    REFUSED(wg_position_init(&position, set, name, (wg_position_kind)3, 5, 4, 1), "kind is not a wg_position_kind");
    CHECK(!position.weight);
}

static void transformers(void)
{
    wg_transformer_layer layer;
#define LAYER wg_transformer_layer_init(&layer, set, name, 8, false, o)
    OPTION(transformer, LAYER, heads, 0, "the size must be a multiple of the heads");
    OPTION(transformer, LAYER, heads, 3, "the size must be a multiple of the heads");
    OPTION(transformer, LAYER, feedforward, -1, "sizes are out of range");
    OPTION(transformer, LAYER, activation, (wg_activation)-1, "activation is not a wg_activation");
    OPTION(transformer, LAYER, activation, (wg_activation)3, "activation is not a wg_activation");
    OPTION(transformer, LAYER, epsilon, -1e-5, "epsilon must not be negative");
    for (int i = 0; i < 3; i++)
        OPTION(transformer, LAYER, dropout, not_probabilities[i], "dropout must be in [0, 1)");
    const wg_transformer_options o = wg_transformer_defaults();
    REFUSED(wg_transformer_layer_init(&layer, set, name, 0, true, o), "the size must be a multiple of the heads");
    REFUSED(wg_transformer_layer_init(&layer, set, name, huge, true, o), "sizes are out of range");
    CHECK(layer.size == 0 && !layer.linear1.weight);
    wg_transformer_stack stack;
    REFUSED(wg_transformer_stack_init(&stack, set, name, 8, -1, false, true, o), "-1 layers; at most 32");
    REFUSED(wg_transformer_stack_init(&stack, set, name, 8, 33, false, true, o), "33 layers; at most 32");
    CHECK(stack.layers == 0 && stack.size == 0);
    wg_lm lm;
    REFUSED(wg_lm_init(&lm, set, name, 0, 5, 8, 1, wg_lm_defaults()), "vocabulary and context must be at least 1");
    REFUSED(wg_lm_init(&lm, set, name, 9, 0, 8, 0, wg_lm_defaults()), "vocabulary and context must be at least 1");
    CHECK(lm.vocabulary == 0 && !lm.head);
    wg_kv_cache cache;
    const int64_t sizes[][3] = {{0, 5, 1}, {2, 0, 1}, {2, 5, -1}, {2, 5, 0}};
    stack.decoder = true; /* of which only the last asks */
    for (int i = 0; i < 4; i++)
        REFUSED(wg_kv_cache_init(&cache, &stack, set, name, sizes[i][0], sizes[i][1], sizes[i][2]),
                "batch, length and a decoder's memory must be at least 1");
    CHECK(!cache.stack);
}

static void others(void)
{
    wg_conv_layer conv;
#define CONV wg_conv_init(&conv, set, name, 4, 6, WG_DIMS(3, 3), o)
    OPTION(conv_layer, CONV, axes, 0, "the kernel must have one size for each spatial axis");
    OPTION(conv_layer, CONV, axes, 3, "the kernel must have one size for each spatial axis");
    OPTION(conv_layer, CONV, conv.groups, 0, "must be multiples of the groups");
    OPTION(conv_layer, CONV, conv.groups, 4, "must be multiples of the groups");
    OPTION(conv_layer, CONV, conv.groups, 3, "must be multiples of the groups");
    wg_conv_layer_options o = wg_conv_layer_defaults();
    REFUSED(wg_conv_init(&conv, set, name, 0, 6, WG_DIMS(3, 3), o), "channels must be 1 or more");
    REFUSED(wg_conv_init(&conv, set, name, 4, 0, WG_DIMS(3, 3), o), "channels must be 1 or more");
    REFUSED(wg_conv_init(&conv, set, name, 4, 6, WG_DIMS(3, 0), o), "kernel sizes must be 1 or more");
    o.axes = 4;
    REFUSED(wg_conv_init(&conv, set, name, 4, 6, WG_DIMS(3, 3, 3, 3), o), "axes must be 1, 2 or 3");
    o.axes = 0;
    REFUSED(wg_conv_init(&conv, set, name, 4, 6, WG_SCALAR, o), "axes must be 1, 2 or 3");
    CHECK(!conv.weight && !conv.bias);
    wg_embedding_layer embedding;
    REFUSED(wg_embedding_init(&embedding, set, name, 5, 3, 5), "padding 5 is not one of 5 rows");
    CHECK(!embedding.weight);
}

/* Each with a name and without. */
static void twice(void (*run)(void))
{
    for (int i = 0; i < 2; i++) {
        name = i ? NULL : "l";
        run();
    }
}

static void test_recurrent(void) { twice(recurrent); }
static void test_attention(void) { twice(attention); }
static void test_transformers(void) { twice(transformers); }
static void test_others(void) { twice(others); }

/* What needs no set: gates, states and steps that do not fit. */
static void test_calls(void)
{
    wg_params *own = wg_params_new(WG_F64);
    wg_param *scalar = wg_param_new(own, "scalar", WG_SCALAR, wg_init_zeros()),
             *five = wg_param_new(own, "five", WG_DIMS(5, 2), wg_init_zeros());
    CHECK(wg_param_reorder_gates(NULL, WG_LSTM, WG_GATES_KERAS, WG_GATES_TORCH) == WG_ERR_ARGUMENT);
    CHECK(wg_param_reorder_gates(scalar, WG_LSTM, WG_GATES_KERAS, WG_GATES_TORCH) == WG_ERR_SHAPE);
    CHECK(wg_param_reorder_gates(five, WG_LSTM, WG_GATES_KERAS, WG_GATES_TORCH) == WG_ERR_SHAPE);
    wg_rnn_options o = wg_rnn_defaults();
    wg_rnn elman;
    CHECK(wg_rnn_init(&elman, own, "", 2, 3, o) == WG_OK && wg_param_find(own, "weight_ih_l0"));
    CHECK(wg_init_forget_bias(&elman, 1) == WG_ERR_ARGUMENT);
    wg_tape *tape = new_tape();
    wg_tensor x = wg_zeros(tape, WG_F64, WG_DIMS(2, 2)), gate[4];
    const int cells[] = {-1, 1};
    for (int i = 0; i < 2; i++) {
        CHECK(wg_rnn_gates(&elman, cells[i], x, x, gate) == 0 && wg_tape_reset(tape) == WG_ERR_ARGUMENT);
        x = wg_zeros(tape, WG_F64, WG_DIMS(2, 2));
    }
    wg_random_truncation(NULL, 0, 2); /* of no state */
    CHECK(wg_tape_reset(tape) == WG_OK);
    const int counts[] = {0, -1};
    for (int i = 0; i < 2; i++) {
        x = wg_sum_all(wg_zeros(tape, WG_F64, WG_DIMS(2, 2)));
        CHECK(wg_is_nil(wg_vanishing_penalty(x, &x, counts[i])) && wg_tape_reset(tape) == WG_ERR_ARGUMENT);
        CHECK(strstr(wg_tape_message(tape), "steps; at least 1 is required"));
    }
    wg_tape_free(tape);
    wg_params_free(own);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(test_recurrent), TEST_CASE(test_attention), TEST_CASE(test_transformers),
                                 TEST_CASE(test_others), TEST_CASE(test_calls)};
    return RUN_TESTS(tests);
}
