/* Transformers: gradient checks, masking of the future and of padding, permutations, single steps against the whole
 * sequence, one plan for all steps, beams that move, names, refused calls. (Against PyTorch: test_golden_attention.) */
#include "tensors.h"

enum { B = 2, S = 4, T = 5, E = 6, H = 2, V = 7 };

static wg_transformer_options options_of(bool norm_first, wg_activation activation)
{
    wg_transformer_options o = wg_transformer_defaults();
    o.heads = H;
    o.feedforward = 5;
    o.norm_first = norm_first;
    o.activation = activation;
    return o;
}

/* ---- gradients ---- */

static wg_tensor model_loss(void *context, wg_tape *tape, wg_params *set)
{
    const int32_t lengths[B] = {4, 2};
    wg_tensor source = wg_use(tape, wg_param_find(set, "source")),
              target = wg_use(tape, wg_param_find(set, "target"));
    wg_tensor mask = wg_key_mask(wg_data(tape, WG_I32, WG_DIMS(B), lengths), S);
    return weigh(wg_transformer_apply(context, source, target, mask), 77);
}

static wg_tensor lm_loss(void *context, wg_tape *tape, wg_params *set)
{
    const int32_t token[B * T] = {3, 1, 4, 1, 5, 0, 2, 6, 5, 3}, next[B * T] = {1, 4, 1, 5, 6, 2, 6, 5, 3, 0};
    wg_tensor logits = wg_lm_apply(context, wg_data(tape, WG_I32, WG_DIMS(B, T), token));
    return wg_cross_entropy(logits, wg_data(tape, WG_I32, WG_DIMS(B, T), next));
}

static void test_gradients(void)
{
    for (int i = 0; i < 4; i++) {
        wg_params *set = wg_params_new(WG_F64);
        wg_transformer model;
        wg_transformer_options o = options_of(i & 1, i & 2 ? WG_ACTIVATION_GELU_TANH : WG_ACTIVATION_GELU);
        o.bias = i != 3;
        CHECK(wg_transformer_init(&model, set, "model", E, 1, 2, o) == WG_OK);
        wg_param_new(set, "source", WG_DIMS(B, S, E), wg_init_normal(0, 1));
        wg_param_new(set, "target", WG_DIMS(B, T, E), wg_init_normal(0, 1));
        if (!gradcheck_some(set, model_loss, &model, false, 4)) printf("    encoder and decoder\n");
        wg_params_free(set);
        set = wg_params_new(WG_F64);
        wg_lm lm;
        wg_lm_options l = wg_lm_defaults();
        l.layer.heads = H;
        l.tied = i & 1;
        l.position = i & 2 ? WG_POSITION_SINUSOID : WG_POSITION_LEARNED;
        const wg_init large = wg_init_glorot();
        l.layer.init = &large;
        CHECK(wg_lm_init(&lm, set, "", V, T, E, 2, l) == WG_OK);
        if (!gradcheck_some(set, lm_loss, &lm, false, 4)) printf("    language model\n");
        wg_params_free(set);
    }
}

/* ---- masks ---- */

/* Other tokens in the future change no bit of earlier outputs; other tokens in the past do. */
static void test_future(void)
{
    for (int first = 0; first < 2; first++) {
        wg_params *set = wg_params_new(WG_F32);
        wg_tape *tape = new_tape();
        wg_transformer model;
        CHECK(wg_transformer_init(&model, set, "model", E, 2, 2, options_of(first, WG_ACTIVATION_RELU)) == WG_OK);
        float before[B * T * E], after[B * T * E];
        for (int t = 0; t < T; t++) {
            for (int i = 0; i < 2; i++) {
                wg_tensor source = wg_cast(random_leaf(tape, WG_DIMS(B, S, E), 1), WG_F32),
                          x = wg_cast(random_leaf(tape, WG_DIMS(B, T, E), 2), WG_F32);
                wg_tensor future = wg_tril_mask(tape, T, 1, -t); /* 0 <= row - t */
                if (i) x = wg_where(future, wg_cast(random_leaf(tape, WG_DIMS(B, T, E), 3), WG_F32), x);
                wg_tensor y = wg_transformer_apply(&model, source, x, WG_NONE);
                CHECK(wg_read(y, i ? after : before, sizeof before) == WG_OK);
                CHECK(wg_tape_reset(tape) == WG_OK);
            }
            for (int b = 0; b < B; b++)
                for (int s = 0; s < T; s++) {
                    const size_t at = (size_t)((b * T + s) * E);
                    bool equal = memcmp(before + at, after + at, E * sizeof *before) == 0;
                    CHECK(equal == (s < t));
                }
        }
        CLOSE(tape);
        wg_params_free(set);
    }
}

/* Values in the padding of the source change no bit. */
static void test_padding(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_transformer model;
    CHECK(wg_transformer_init(&model, set, "model", E, 2, 2, options_of(false, WG_ACTIVATION_GELU)) == WG_OK);
    const int32_t lengths[B] = {4, 2};
    double y[2][B * T * E];
    for (int i = 0; i < 2; i++) {
        wg_tensor l = wg_data(tape, WG_I32, WG_DIMS(B), lengths);
        wg_tensor source = random_leaf(tape, WG_DIMS(B, S, E), 1), target = random_leaf(tape, WG_DIMS(B, T, E), 2);
        wg_tensor padded = wg_unsqueeze(wg_logical_not(wg_length_mask(l, S)), -1);
        if (i) source = wg_masked_fill(source, padded, 1234);
        CHECK(wg_read(wg_transformer_apply(&model, source, target, wg_key_mask(l, S)), y[i], sizeof y[i]) == WG_OK);
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    CHECK(memcmp(y[0], y[1], sizeof y[0]) == 0);
    CLOSE(tape);
    wg_params_free(set);
}

/* Without positions, permuted inputs permute the outputs of an encoder; with positions they change them. */
static void test_permutation(void)
{
    static const int32_t order[T] = {3, 0, 4, 1, 2};
    for (int kind = WG_POSITION_NONE; kind <= WG_POSITION_LEARNED; kind++) {
        wg_params *set = wg_params_new(WG_F64);
        wg_tape *tape = new_tape();
        wg_transformer_stack encoder;
        wg_position_layer position;
        CHECK(wg_transformer_stack_init(&encoder, set, "encoder", E, 2, false, true,
                                        options_of(true, WG_ACTIVATION_RELU)) == WG_OK);
        wg_position_init(&position, set, "position", (wg_position_kind)kind, T, E, 1);
        wg_tensor x = random_leaf(tape, WG_DIMS(B, T, E), 2), y[2];
        wg_tensor permutation = wg_data(tape, WG_I32, WG_DIMS(T), order);
        const wg_attention_options all = wg_attention_defaults();
        for (int i = 0; i < 2; i++) {
            wg_tensor in = wg_position_apply(&position, i ? wg_index_select(x, 1, permutation) : x);
            y[i] = wg_keep(wg_transformer_stack_apply(&encoder, in, all, WG_NONE, all));
        }
        const double *moved = wg_value(wg_index_select(y[0], 1, permutation)), *outputs = wg_value(y[1]);
        double off = distance(moved, outputs, B * T * E);
        CHECK(kind == WG_POSITION_NONE ? off < 1e-13 : off > 1e-2);
        CLOSE(tape);
        wg_params_free(set);
    }
}

/* ---- step by step ---- */

static void lm_of(wg_lm *lm, wg_params *set, int i)
{
    const wg_init large = wg_init_glorot();
    wg_lm_options o = wg_lm_defaults();
    o.layer.heads = H;
    o.layer.norm_first = i % 2;
    o.layer.init = &large;
    o.position = (wg_position_kind)(i % 3);
    o.tied = i % 2 == 0;
    CHECK(wg_lm_init(lm, set, "lm", V, T, E, 3, o) == WG_OK);
}

static const int32_t tokens[B][T] = {{3, 1, 4, 1, 5}, {2, 6, 5, 3, 5}};

/* Logits of all positions at once, and one by one with cached keys and values. One plan serves all steps. */
static void test_language_model_steps(void)
{
    for (int i = 0; i < 6; i++) {
        wg_params *set = wg_params_new(WG_F64), *scratch = wg_params_new(WG_F64);
        wg_tape *tape = new_tape();
        wg_lm lm;
        wg_kv_cache cache;
        double whole[B * T * V], step[B * V];
        lm_of(&lm, set, i);
        CHECK(wg_kv_cache_init(&cache, &lm.stack, scratch, "cache", B, T + 2, 0) == WG_OK);
        wg_tensor all = wg_lm_apply(&lm, wg_data(tape, WG_I32, WG_DIMS(B, T), tokens));
        CHECK(wg_read(all, whole, sizeof whole) == WG_OK);
        CHECK(wg_tape_reset(tape) == WG_OK);
        wg_set_training(tape, false);
        const uint64_t before = wg_tape_count(tape).plan_misses;
        for (int round = 0; round < 2; round++) /* the second run overwrites the rows of the first */
            for (int t = 0; t < T; t++) {
                wg_no_grad_begin(tape);
                wg_tensor token = wg_data(tape, WG_I32, WG_DIMS(B), (int32_t[]){tokens[0][t], tokens[1][t]});
                CHECK(wg_read(wg_lm_step(&lm, token, &cache, t, WG_NONE), step, sizeof step) == WG_OK);
                wg_no_grad_end(tape);
                for (int b = 0; b < B; b++) CHECK(distance(step + b * V, whole + (b * T + t) * V, V) < 1e-12);
                CHECK(wg_tape_reset(tape) == WG_OK);
            }
        CHECK(wg_tape_count(tape).plan_misses - before <= 2); /* with packed weights there is a second plan */
        CLOSE(tape);
        wg_params_free(scratch);
        wg_params_free(set);
    }
}

/* The same for a decoder that attends to a memory with padding. */
static void test_decoder_steps(void)
{
    for (int first = 0; first < 2; first++) {
        wg_params *set = wg_params_new(WG_F64), *scratch = wg_params_new(WG_F64);
        wg_tape *tape = new_tape();
        wg_transformer model;
        wg_kv_cache cache;
        double whole[B * T * E], step[B * E], target[B * T * E];
        const int32_t lengths[B] = {4, 2};
        fill(target, B * T * E, 2);
        CHECK(wg_transformer_init(&model, set, "model", E, 2, 2, options_of(first, WG_ACTIVATION_RELU)) == WG_OK);
        CHECK(wg_kv_cache_init(&cache, &model.decoder, scratch, "", B, T, S) == WG_OK);
        wg_tensor source = random_leaf(tape, WG_DIMS(B, S, E), 1);
        wg_attention_options over = wg_attention_defaults();
        over.mask = wg_key_mask(wg_data(tape, WG_I32, WG_DIMS(B), lengths), S);
        wg_tensor y =
            wg_transformer_apply(&model, source, wg_data(tape, WG_F64, WG_DIMS(B, T, E), target), over.mask);
        wg_tensor memory =
            wg_transformer_stack_apply(&model.encoder, source, over, WG_NONE, wg_attention_defaults());
        wg_kv_cache_begin(&cache, memory);
        CHECK(wg_read(y, whole, sizeof whole) == WG_OK);
        CHECK(wg_tape_reset(tape) == WG_OK);
        for (int t = 0; t < T; t++) {
            wg_no_grad_begin(tape);
            wg_tensor x = wg_select(wg_data(tape, WG_F64, WG_DIMS(B, T, E), target), 1, t);
            over.mask = wg_key_mask(wg_data(tape, WG_I32, WG_DIMS(B), lengths), S);
            CHECK(wg_read(wg_transformer_step(&cache, x, t, over, WG_NONE), step, sizeof step) == WG_OK);
            wg_no_grad_end(tape);
            for (int b = 0; b < B; b++) CHECK(distance(step + b * E, whole + (b * T + t) * E, E) < 1e-12);
            CHECK(wg_tape_reset(tape) == WG_OK);
        }
        CLOSE(tape);
        wg_params_free(scratch);
        wg_params_free(set);
    }
}

/* A sequence may continue from another one's past: halfway, 0 continues from 1, and 1 stays. */
static void test_parents(void)
{
    wg_params *set = wg_params_new(WG_F64), *scratch = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_lm lm;
    wg_kv_cache cache;
    double whole[B * T * V], step[B * V];
    lm_of(&lm, set, 2);
    CHECK(wg_kv_cache_init(&cache, &lm.stack, scratch, "", B, T, 0) == WG_OK);
    const int change = 3;
    int32_t mixed[B][T];
    for (int t = 0; t < T; t++) mixed[0][t] = tokens[t < change][t], mixed[1][t] = tokens[1][t];
    wg_tensor all = wg_lm_apply(&lm, wg_data(tape, WG_I32, WG_DIMS(B, T), mixed));
    CHECK(wg_read(all, whole, sizeof whole) == WG_OK);
    CHECK(wg_tape_reset(tape) == WG_OK);
    for (int t = 0; t < T; t++) {
        const int32_t now[B] = {tokens[0][t], tokens[1][t]}, parents[B] = {t == change ? 1 : 0, 1};
        wg_tensor token = wg_data(tape, WG_I32, WG_DIMS(B), now);
        wg_tensor from = wg_data(tape, WG_I32, WG_DIMS(B), parents);
        CHECK(wg_read(wg_lm_step(&lm, token, &cache, t, from), step, sizeof step) == WG_OK);
        for (int b = 0; b < B && (b == 1 || t >= change); b++)
            CHECK(distance(step + b * V, whole + (b * T + t) * V, V) < 1e-12);
        CHECK(distance(step + V, whole + (T + t) * V, V) < 1e-12);
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    CLOSE(tape);
    wg_params_free(scratch);
    wg_params_free(set);
}

/* Generation with a recurrent net: its state is in buffers, and nothing is recorded for gradients. */
static void test_recurrent_generation(void)
{
    wg_params *set = wg_params_new(WG_F64), *scratch = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_rnn rnn;
    wg_rnn_carry carry;
    wg_rnn_options o = wg_rnn_defaults();
    o.cell = WG_LSTM;
    o.layers = 2;
    wg_rnn_init(&rnn, set, "rnn", V, E, o);
    CHECK(wg_rnn_carry_init(&carry, &rnn, scratch, "state", B) == WG_OK);
    wg_tensor x[T], out[T];
    double whole[T][B * E], step[B * E];
    for (int t = 0; t < T; t++) x[t] = random_leaf(tape, WG_DIMS(B, V), (unsigned)t);
    wg_rnn_state state = wg_rnn_zero_state(&rnn, tape, B);
    wg_rnn_unroll(&rnn, x, T, WG_NONE, &state, out);
    CHECK(wg_read(wg_stack(out, T, 0), whole, sizeof whole) == WG_OK);
    CHECK(wg_tape_reset(tape) == WG_OK);
    for (int t = 0; t < T; t++) {
        wg_no_grad_begin(tape);
        state = wg_rnn_carry_begin(&carry, tape);
        wg_tensor y = wg_rnn_step(&rnn, random_leaf(tape, WG_DIMS(B, V), (unsigned)t), &state);
        wg_rnn_carry_end(&carry, &state);
        CHECK(wg_read(y, step, sizeof step) == WG_OK);
        wg_no_grad_end(tape);
        CHECK(distance(step, whole[t], B * E) < 1e-13);
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    CLOSE(tape);
    wg_params_free(scratch);
    wg_params_free(set);
}

/* ---- a small task: reverse the sequence ---- */

static void test_learns_to_reverse(void)
{
    enum { N = 4, C = 6, BATCH = 32, STEPS = 250, WIDTH = 32 };
    wg_params *set = wg_params_new(WG_F32);
    wg_tape *tape = new_tape();
    wg_transformer model;
    wg_embedding_layer embedding;
    wg_position_layer position;
    wg_linear_layer head;
    wg_transformer_options o = wg_transformer_defaults();
    o.heads = 4;
    o.feedforward = 64;
    o.norm_first = true;
    wg_transformer_init(&model, set, "model", WIDTH, 1, 1, o);
    wg_embedding_init(&embedding, set, "embedding", C, WIDTH, -1);
    wg_position_init(&position, set, "position", WG_POSITION_SINUSOID, 0, WIDTH, 0);
    CHECK(wg_linear_init(&head, set, "head", WIDTH, C, wg_linear_defaults()) == WG_OK);
    wg_adam_options adam = wg_adam_defaults();
    adam.lr = 3e-3;
    wg_optimizer *optimizer = wg_adam_new(set, adam);
    unsigned seed = 1;
    int right = 0, counted = 0;
    for (int step = 0; step < STEPS; step++) {
        int32_t source[BATCH][N], in[BATCH][N], out[BATCH][N];
        for (int b = 0; b < BATCH; b++)
            for (int i = 0; i < N; i++) {
                seed = seed * 1664525u + 1013904223u;
                source[b][i] = 1 + (int32_t)((seed >> 16) % (C - 1));
            }
        for (int b = 0; b < BATCH; b++)
            for (int i = 0; i < N; i++) {
                out[b][i] = source[b][N - 1 - i];
                in[b][i] = i == 0 ? 0 : out[b][i - 1];
            }
        wg_tensor x = wg_embedding_apply(&embedding, wg_data(tape, WG_I32, WG_DIMS(BATCH, N), source));
        wg_tensor y = wg_embedding_apply(&embedding, wg_data(tape, WG_I32, WG_DIMS(BATCH, N), in));
        y = wg_transformer_apply(&model, wg_position_apply(&position, x), wg_position_apply(&position, y), WG_NONE);
        wg_tensor logits = wg_linear_apply(&head, y), labels = wg_data(tape, WG_I32, WG_DIMS(BATCH, N), out);
        wg_tensor chosen = wg_keep(wg_argmax(logits, -1, false));
        wg_zero_grad(set);
        if (wg_backward(wg_cross_entropy(logits, labels)) == WG_OK) CHECK(wg_optimizer_step(optimizer) == WG_OK);
        const int32_t *best = wg_value(chosen);
        for (int i = 0; step >= STEPS - 10 && best && i < BATCH * N; i++, counted++)
            right += best[i] == (&out[0][0])[i];
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    CHECK(counted == 10 * BATCH * N && right >= counted * 97 / 100);
    if (right < counted * 97 / 100) printf("%d of %d right\n", right, counted);
    wg_optimizer_free(optimizer);
    CLOSE(tape);
    wg_params_free(set);
}

/* ---- names, refused calls ---- */

static void test_names(void)
{
    const char *names[] = {"wte.weight",
                           "wpe.weight",
                           "layers.0.self_attn.in_proj_weight",
                           "layers.0.self_attn.in_proj_bias",
                           "layers.0.self_attn.out_proj.weight",
                           "layers.0.self_attn.out_proj.bias",
                           "layers.0.linear1.weight",
                           "layers.0.linear1.bias",
                           "layers.0.linear2.weight",
                           "layers.0.linear2.bias",
                           "layers.0.norm1.weight",
                           "layers.0.norm1.bias",
                           "layers.0.norm2.weight",
                           "layers.0.norm2.bias",
                           "norm.weight",
                           "norm.bias",
                           "lm_head.weight"};
    wg_params *set = wg_params_new(WG_F32);
    wg_lm lm;
    CHECK(wg_lm_init(&lm, set, "", V, T, E, 1, wg_lm_defaults()) == WG_OK);
    CHECK(wg_params_count(set) == sizeof names / sizeof *names);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        CHECK(strcmp(wg_params_name_at(set, i), names[i]) == 0);
    const int64_t per_layer = 4 * E * E + 4 * E + 8 * E * E + 5 * E + 4 * E;
    CHECK(wg_params_trainable(set) == V * E + T * E + per_layer + 2 * E); /* the head is tied */
    wg_params_free(set);

    set = wg_params_new(WG_F32); /* as in PyTorch, without biases the norms have none either */
    static wg_transformer model;
    wg_transformer_options o = wg_transformer_defaults();
    o.bias = false;
    CHECK(wg_transformer_init(&model, set, "t", E, 1, 1, o) == WG_OK);
    for (size_t i = 0; i < wg_params_count(set); i++) CHECK(!strstr(wg_params_name_at(set, i), "bias"));
    CHECK(wg_param_find(set, "t.decoder.layers.0.norm3.weight") && wg_param_find(set, "t.encoder.norm.weight"));
    CHECK(wg_params_trainable(set) == 4 * E * E * 3 + 8 * E * E * 2 + 7 * E);
    wg_params_free(set);

    for (int length = 480; length < 560; length += 3) { /* a name that is too long is an error */
        char name[600];
        set = wg_params_new(WG_F32);
        snprintf(name, sizeof name, "%0*d", length, 0);
        CHECK(wg_transformer_init(&model, set, name, E, 1, 0, o) == WG_ERR_ARGUMENT && wg_params_count(set) == 0);
        wg_params_free(set);
    }
}

static void test_mistakes(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_transformer_layer layer;
    wg_transformer_stack stack;
    wg_kv_cache cache;
    wg_lm lm;
    wg_transformer_options o = wg_transformer_defaults();
    o.heads = 4;
    EXPECT_SET(wg_transformer_layer_init(&layer, set, "a", E, false, o),
               "transformer a: the size must be a multiple");
    o.heads = 2;
    o.dropout = 1;
    EXPECT_SET(wg_transformer_layer_init(&layer, set, "a", E, false, o), "dropout must be in [0, 1)");
    o.dropout = 0;
    o.activation = (wg_activation)7;
    EXPECT_SET(wg_transformer_layer_init(&layer, set, "a", E, false, o), "not a wg_activation");
    o.activation = WG_ACTIVATION_RELU;
    EXPECT_SET(wg_transformer_stack_init(&stack, set, "s", E, 99, false, true, o),
               "transformer s: 99 layers; at most 32");
    wg_tensor x = random_leaf(tape, WG_DIMS(B, T, E), 1);
    EXPECT_TAPE(wg_transformer_stack_apply(&stack, x, wg_attention_defaults(), WG_NONE, wg_attention_defaults()),
                "the stack was not initialized");
    o.heads = 4; /* in the layers of the second stack: the whole model is refused */
    EXPECT_SET(wg_transformer_stack_init(&stack, set, "s", E, 2, false, true, o), "the size must be a multiple");
    x = random_leaf(tape, WG_DIMS(B, T, E), 1);
    EXPECT_TAPE(wg_transformer_stack_apply(&stack, x, wg_attention_defaults(), WG_NONE, wg_attention_defaults()),
                "the stack was not initialized");
    o.heads = 2;
    EXPECT_SET(wg_lm_init(&lm, set, "l", 0, T, E, 1, wg_lm_defaults()), "lm l: vocabulary");
    CHECK(wg_transformer_stack_init(&stack, set, "d", E, 1, true, true, o) == WG_OK);
    EXPECT_SET(wg_kv_cache_init(&cache, &stack, set, "c", B, T, 0),
               "kv_cache c: batch, length and a decoder's memory");
    x = random_leaf(tape, WG_DIMS(B, E), 1);
    EXPECT_TAPE(wg_transformer_step(&cache, x, 0, wg_attention_defaults(), WG_NONE),
                "transformer_step: the cache was not initialized");
    CHECK(wg_lm_init(&lm, set, "lm", V, T, E, 1, wg_lm_defaults()) == WG_OK);
    CHECK(wg_kv_cache_init(&cache, &lm.stack, set, "cache", B, T + 4, 0) == WG_OK);
    wg_tensor token = wg_data(tape, WG_I32, WG_DIMS(B), tokens);
    EXPECT_TAPE(wg_lm_step(&lm, token, &cache, T, WG_NONE), "lm_step: position 5, but the context is 5");
    token = wg_data(tape, WG_I32, WG_DIMS(B), tokens);
    EXPECT_TAPE(wg_lm_step(&lm, token, &cache, -1, WG_NONE), "lm_step: position -1 is not in 0 .. 8");
    token = wg_data(tape, WG_I32, WG_DIMS(3), tokens);
    EXPECT_TAPE(wg_lm_step(&lm, token, &cache, 0, WG_NONE), "transformer_step: x must be [2, 6]");
    token = wg_zeros(tape, WG_I32, WG_DIMS(B, T + 1));
    EXPECT_TAPE(wg_lm_apply(&lm, token), "lm: 6 tokens, but the context is 5");
    token = wg_scalar(tape, WG_I32, 1);
    EXPECT_TAPE(wg_lm_apply(&lm, token), "lm: token must have a time axis: [..., time]");
    wg_tape_free(tape);
    wg_params_free(set);
}

int main(int argc, char **argv)
{
    const test tests[] = {TEST_CASE(test_gradients),
                          TEST_CASE(test_future),
                          TEST_CASE(test_padding),
                          TEST_CASE(test_permutation),
                          TEST_CASE(test_language_model_steps),
                          TEST_CASE(test_decoder_steps),
                          TEST_CASE(test_parents),
                          TEST_CASE(test_recurrent_generation),
                          TEST_CASE(test_learns_to_reverse),
                          TEST_CASE(test_names),
                          TEST_CASE(test_mistakes)};
    return RUN_TESTS(tests);
}
