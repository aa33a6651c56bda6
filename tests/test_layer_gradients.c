/* Gradients of every layer, to second order, when its operands coincide: one tensor twice, views of it, a function of
 * it, the layer's own result, the layer's own weight. Cotangents depend on the operands, and results are outputs, too.
 * (Ops: test_coincide.) */
#include "tensors.h"

enum { B = 2, T = 3, E = 4 };

/* What the second operand is to the first. */
typedef enum sharing { APART, SAME, VIEW, DEPENDS, RESULT, WEIGHT, SHARINGS } sharing;

typedef union layer {
    wg_linear_layer linear;
    wg_conv_layer conv;
    wg_embedding_layer embedding;
    wg_layer_norm_layer layer_norm;
    wg_batch_norm_layer batch_norm;
    wg_rms_norm_layer rms_norm;
    wg_rnn rnn;
    wg_jordan jordan;
    wg_simple_gru simple_gru;
    wg_score_layer score;
    wg_mha mha;
    wg_position_layer position;
    wg_transformer_layer transformer_layer;
    wg_transformer transformer;
    wg_lm lm;
} layer;

/* A layer of some kind and its result on x[B, T, E] and y[B, T, E]. */
typedef struct row {
    const char *name;
    wg_status (*init)(layer *l, wg_params *set, int kind);
    wg_tensor (*apply)(const layer *l, wg_tensor x, wg_tensor y, int kind);
    int kind;
} row;

/* ---- layers of one operand, applied to both -------------------------------------------------------------------- */

static wg_status linear_init(layer *l, wg_params *set, int kind)
{
    return wg_linear_init(&l->linear, set, "l", E, E, wg_linear_defaults());
}
static wg_tensor linear(const layer *l, wg_tensor x, wg_tensor y, int kind)
{
    return wg_mul(wg_linear_apply(&l->linear, x), wg_linear_apply(&l->linear, y));
}

static wg_status conv_init(layer *l, wg_params *set, int transposed)
{
    wg_conv_layer_options o = wg_conv_layer_defaults();
    o.axes = 1;
    o.transposed = transposed;
    o.conv.before[0] = o.conv.after[0] = 1;
    return wg_conv_init(&l->conv, set, "l", T, T, WG_DIMS(3), o);
}
static wg_tensor conv(const layer *l, wg_tensor x, wg_tensor y, int kind)
{
    return wg_mul(wg_conv_apply(&l->conv, x), wg_conv_apply(&l->conv, y));
}

static wg_status embedding_init(layer *l, wg_params *set, int kind)
{
    return wg_embedding_init(&l->embedding, set, "l", 5, E, 1);
}
static wg_tensor embedding(const layer *l, wg_tensor x, wg_tensor y, int kind)
{
    const int32_t index[B * T] = {0, 3, 3, 1, 4, 0};
    return wg_mul(wg_embedding_apply(&l->embedding, wg_data(x.tape, WG_I32, WG_DIMS(B, T), index)), wg_add(x, y));
}

static wg_status norm_init(layer *l, wg_params *set, int kind)
{
    return kind == 0   ? wg_layer_norm_init(&l->layer_norm, set, "l", E)
           : kind == 1 ? wg_rms_norm_init(&l->rms_norm, set, "l", E)
                       : wg_batch_norm_init(&l->batch_norm, set, "l", T);
}
static wg_tensor norm_of(const layer *l, wg_tensor x, int kind)
{
    return kind == 0   ? wg_layer_norm_apply(&l->layer_norm, x)
           : kind == 1 ? wg_rms_norm_apply(&l->rms_norm, x)
                       : wg_batch_norm_apply(&l->batch_norm, x);
}
static wg_tensor norm(const layer *l, wg_tensor x, wg_tensor y, int kind)
{
    return wg_mul(norm_of(l, x, kind), norm_of(l, wg_tanh(y), kind));
}

static wg_status position_init(layer *l, wg_params *set, int kind)
{
    return wg_position_init(&l->position, set, "l", WG_POSITION_LEARNED, 5, E, 0.5);
}
static wg_tensor position(const layer *l, wg_tensor x, wg_tensor y, int kind)
{
    return wg_mul(wg_position_apply(&l->position, x), wg_position_apply(&l->position, y));
}

/* ---- recurrent ones: x is the input, y has the initial state ------------------------------------------------------ */

/* kind: 0 tanh, 1 LSTM, 2 to 4 GRU; 5 both directions with lengths */
static wg_status rnn_init(layer *l, wg_params *set, int kind)
{
    wg_rnn_options o = wg_rnn_defaults();
    o.cell = kind == 0 ? WG_RNN_TANH : kind == 1 || kind == 5 ? WG_LSTM : WG_GRU;
    o.gru = kind > 2 && kind < 5 ? (wg_gru_form)(kind - 2) : WG_GRU_RESET_AFTER;
    o.bidirectional = kind == 5;
    return wg_rnn_init(&l->rnn, set, "l", E, E, o);
}
static wg_tensor rnn(const layer *l, wg_tensor x, wg_tensor y, int kind)
{
    wg_tensor in[T], out[T];
    wg_rnn_state state = wg_rnn_zero_state(&l->rnn, x.tape, B);
    for (int t = 0; t < T; t++) in[t] = wg_select(x, 1, t);
    for (int d = 0; d < l->rnn.directions; d++) {
        state.h[d] = wg_select(y, 1, d);
        if (state.c[d].tape) state.c[d] = wg_select(y, 1, 0);
    }
    const wg_tensor lengths = wg_data(x.tape, WG_I32, WG_DIMS(B), (int32_t[]){2, 3});
    wg_rnn_unroll(&l->rnn, in, T, kind == 5 ? lengths : WG_NONE, &state, out);
    return wg_stack(out, T, 1);
}

static wg_status jordan_init(layer *l, wg_params *set, int kind)
{
    return wg_jordan_init(&l->jordan, set, "l", E, 3, E, wg_jordan_defaults());
}
static wg_status simple_gru_init(layer *l, wg_params *set, int kind)
{
    return wg_simple_gru_init(&l->simple_gru, set, "l", E, E, true);
}
static wg_tensor steps(const layer *l, wg_tensor x, wg_tensor y, int simple)
{
    wg_tensor out[T], h = wg_select(y, 1, 0);
    for (int t = 0; t < T; t++) {
        const wg_tensor in = wg_select(x, 1, t);
        out[t] = h = simple ? wg_simple_gru_step(&l->simple_gru, in, h) : wg_jordan_step(&l->jordan, in, h);
    }
    return wg_stack(out, T, 1);
}

/* The penalty against vanishing gradients, which is made of gradients. */
static wg_tensor penalty(const layer *l, wg_tensor x, wg_tensor y, int kind)
{
    wg_tensor h[T], state = wg_select(y, 1, 0);
    for (int t = 0; t < T; t++) h[t] = state = wg_simple_gru_step(&l->simple_gru, wg_select(x, 1, t), state);
    const wg_tensor loss = wg_mean_all(wg_square(wg_add_n(h, T)));
    return wg_add(loss, wg_vanishing_penalty(loss, h, T));
}

/* ---- attention ----------------------------------------------------------------------------------------------------- */

static wg_status score_init(layer *l, wg_params *set, int kind)
{
    wg_score_options o = wg_score_defaults();
    o.kind = (wg_score_kind)kind;
    return wg_score_init(&l->score, set, "l", E, E, o);
}
static wg_tensor score(const layer *l, wg_tensor x, wg_tensor y, int kind)
{
    const wg_tensor seen = wg_length_mask(wg_data(x.tape, WG_I32, WG_DIMS(B), (int32_t[]){2, 3}), T);
    const wg_keys keys = wg_score_keys(&l->score, x, y, seen);
    return wg_attend(&l->score, y, &keys, WG_NONE, NULL);
}

static wg_status mha_init(layer *l, wg_params *set, int kind)
{
    return wg_mha_init(&l->mha, set, "l", E, 2, wg_mha_defaults());
}
static wg_tensor mha(const layer *l, wg_tensor x, wg_tensor y, int kind)
{
    wg_attention_options o = wg_attention_defaults();
    o.causal = kind;
    return wg_mha_apply(&l->mha, x, y, y, o, NULL);
}

static wg_transformer_options smooth(bool norm_first)
{
    wg_transformer_options o = wg_transformer_defaults();
    o.heads = 2;
    o.feedforward = 3;
    o.activation = WG_ACTIVATION_GELU;
    o.norm_first = norm_first;
    return o;
}
static wg_status decoder_init(layer *l, wg_params *set, int norm_first)
{
    return wg_transformer_layer_init(&l->transformer_layer, set, "l", E, true, smooth(norm_first));
}
static wg_tensor decoder(const layer *l, wg_tensor x, wg_tensor y, int kind)
{
    const wg_attention_options o = wg_attention_defaults();
    return wg_transformer_layer_apply(&l->transformer_layer, x, o, y, o);
}
static wg_status transformer_init(layer *l, wg_params *set, int kind)
{
    return wg_transformer_init(&l->transformer, set, "l", E, 1, 1, smooth(true));
}
static wg_tensor transformer(const layer *l, wg_tensor x, wg_tensor y, int kind)
{
    return wg_transformer_apply(&l->transformer, x, y, WG_NONE);
}
static wg_status lm_init(layer *l, wg_params *set, int kind)
{
    wg_lm_options o = wg_lm_defaults();
    o.layer.heads = 2;
    return wg_lm_init(&l->lm, set, "l", E, 5, E, 1, o);
}
static wg_tensor lm(const layer *l, wg_tensor x, wg_tensor y, int kind)
{
    const wg_tensor token = wg_data(x.tape, WG_I32, WG_DIMS(B, T), (int32_t[]){0, 3, 3, 1, 2, 0});
    return wg_mul(wg_lm_apply(&l->lm, token), wg_add(x, y));
}

static const row rows[] = {{"linear", linear_init, linear, 0},
                           {"conv", conv_init, conv, 0},
                           {"conv_transpose", conv_init, conv, 1},
                           {"embedding", embedding_init, embedding, 0},
                           {"layer_norm", norm_init, norm, 0},
                           {"rms_norm", norm_init, norm, 1},
                           {"batch_norm", norm_init, norm, 2},
                           {"position", position_init, position, 0},
                           {"rnn", rnn_init, rnn, 0},
                           {"lstm", rnn_init, rnn, 1},
                           {"gru", rnn_init, rnn, 2},
                           {"gru_before", rnn_init, rnn, 3},
                           {"gru_update", rnn_init, rnn, 4},
                           {"bidirectional", rnn_init, rnn, 5},
                           {"jordan", jordan_init, steps, 0},
                           {"simple_gru", simple_gru_init, steps, 1},
                           {"penalty", simple_gru_init, penalty, 0},
                           {"score_dot", score_init, score, WG_SCORE_DOT},
                           {"score_scaled", score_init, score, WG_SCORE_SCALED},
                           {"score_general", score_init, score, WG_SCORE_GENERAL},
                           {"score_concat", score_init, score, WG_SCORE_CONCAT},
                           {"score_additive", score_init, score, WG_SCORE_ADDITIVE},
                           {"mha", mha_init, mha, 0},
                           {"mha_causal", mha_init, mha, 1},
                           {"decoder", decoder_init, decoder, 0},
                           {"decoder_norm_first", decoder_init, decoder, 1},
                           {"transformer", transformer_init, transformer, 0},
                           {"lm", lm_init, lm, 0}};

/* ---- the check ------------------------------------------------------------------------------------------------------- */

typedef struct problem {
    const row *row;
    layer l;
    wg_param *x, *y;
    sharing how;
} problem;

/* Numbers of the layer's first parameter, as often as they are needed. */
static wg_tensor of_weight(wg_tape *tape, const wg_params *set)
{
    wg_tensor w = wg_flatten(wg_use(tape, wg_params_at(set, 2)), 0, -1);
    while (wg_numel(w) < B * T * E) w = wg_concat((wg_tensor[]){w, w}, 2, 0);
    return wg_reshape(wg_slice(w, 0, 0, B * T * E), WG_DIMS(B, T, E));
}

static wg_tensor loss_of(void *context, wg_tape *tape, wg_params *set)
{
    const problem *p = context;
    const bool has_weight = wg_params_count(set) > 2;
    const wg_tensor x = p->how == WEIGHT && has_weight ? of_weight(tape, set) : wg_use(tape, p->x);
    wg_tensor y = x;
    if (p->how == APART) y = wg_use(tape, p->y);
    if (p->how == VIEW) y = wg_transpose(wg_flip(wg_transpose(x, 0, 1), 1), 0, 1);
    if (p->how == DEPENDS) y = wg_sin(x);
    if (p->how == RESULT) {
        const wg_tensor first = p->row->apply(&p->l, x, x, p->row->kind);
        if (wg_numel(first) == B * T * E) y = first;
    }
    const wg_tensor out = wg_keep(p->row->apply(&p->l, x, y, p->row->kind));
    const wg_tensor weights = wg_sin(wg_arange(tape, WG_F64, 1, 0.7, wg_numel(out)));
    const wg_tensor plain = wg_sum_all(wg_mul(wg_flatten(wg_unsqueeze(out, 0), 0, -1), weights));
    return wg_mul(plain, wg_add_scalar(wg_mean_all(wg_square(x)), 1)); /* the cotangent depends on x */
}

static void check_layer(wg_tape *tape, const row *r, sharing how)
{
    wg_params *set = wg_params_new(WG_F64);
    problem p = {.row = r, .how = how};
    p.x = wg_param_new(set, "x", WG_DIMS(B, T, E), wg_init_uniform(-1, 1));
    p.y = wg_param_new(set, "y", WG_DIMS(B, T, E), wg_init_uniform(-1, 1));
    CHECK(r->init(&p.l, set, r->kind) == WG_OK);
    for (size_t i = 2; i < wg_params_count(set); i++) { /* no ones and zeros, which hide factors and terms */
        wg_param *param = wg_params_at(set, i);
        double *w = wg_param_write_begin(param);
        for (int64_t k = 0; k < wg_param_numel(param) && !wg_param_is_buffer(param); k++)
            w[k] += 0.4 * sin((double)(7 * i) + (double)k);
        wg_param_write_end(param);
    }
    wg_gradcheck_options o = wg_gradcheck_defaults();
    o.second_order = true;
    o.epsilon = 1e-5;
    o.directions = 3;
    o.elements = 1;
    const wg_verdict verdict = wg_gradcheck(tape, set, loss_of, &p, o);
    if (!verdict.ok) FAIL("%s, sharing %d: %s", r->name, how, verdict.text);
    wg_params_free(set);
}

static void coinciding_operands(void)
{
    wg_tape *tape = new_tape();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (sharing how = APART; how < SHARINGS && check_wants(rows[i].name); how++)
            check_layer(tape, &rows[i], how);
    close_tape(tape, __LINE__);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(coinciding_operands)};
    return RUN_TESTS(tests);
}
