/* GRU and LSTM: equivalent forms of a cell give the same numbers; the effect of gates on the past and on gradients; the
 * order of gates in weights. (Other cells: test_cells.) */
#include "recurrent.h"

/* ---- one gate ---- */

static wg_tensor gate_loss(void *context, wg_tape *tape, wg_params *set)
{
    wg_tensor gate = wg_sigmoid(wg_use(tape, wg_param_find(set, "s")));
    wg_tensor a = wg_use(tape, wg_param_find(set, "a")), b = wg_use(tape, wg_param_find(set, "b"));
    wg_tensor mix = wg_lerp(b, a, gate), written = wg_add(wg_mul(gate, a), wg_mul(wg_rsub_scalar(1, gate), b));
    return wg_add(weigh(mix, 1), wg_add(weigh(wg_square(written), 2), weigh(wg_mul(gate, a), 3)));
}

/* gate a + (1 - gate) b lies between a and b; with b = 0 it shrinks a. */
static void a_gate_mixes(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_param *s = wg_param_new(set, "s", WG_DIMS(40), wg_init_normal(0, 6));
    wg_param *a = wg_param_new(set, "a", WG_DIMS(40), wg_init_normal(0, 1));
    wg_param *b = wg_param_new(set, "b", WG_DIMS(40), wg_init_normal(0, 1));
    wg_tensor gate = wg_sigmoid(wg_use(tape, s)), mix = wg_lerp(wg_use(tape, b), wg_use(tape, a), gate);
    const double *g = wg_value(gate), *m = wg_value(mix), *scaled = wg_value(wg_mul(gate, wg_use(tape, a)));
    const double *x = wg_param_value(a), *y = wg_param_value(b);
    for (int i = 0; i < 40; i++) {
        CHECK(g[i] > 0 && g[i] < 1 && m[i] >= fmin(x[i], y[i]) && m[i] <= fmax(x[i], y[i]));
        CHECK(fabs(m[i] - (g[i] * x[i] + (1 - g[i]) * y[i])) < 1e-14 && fabs(scaled[i]) < fabs(x[i]));
    }
    gradcheck(set, gate_loss, NULL, true);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* ---- GRU ---- */

static wg_tensor simple_gru_loss(void *context, wg_tape *tape, wg_params *set)
{
    wg_tensor h[T], state = wg_zeros(tape, WG_F64, WG_DIMS(B, H));
    for (int t = 0; t < T; t++) h[t] = state = wg_simple_gru_step(context, input_at(tape, t), state);
    return weigh_all(h, T);
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static void simple_gru_has_the_update_gate_alone(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_simple_gru m;
    CHECK(wg_simple_gru_init(&m, set, "gru", IN, H, true) == WG_OK);
    CHECK(wg_params_trainable(set) == 2 * ((IN + H) * H + H));
    gradcheck(set, simple_gru_loss, &m, false);
    const double *wi = wg_param_value(m.weight_ih), *wh = wg_param_value(m.weight_hh), *b = wg_param_value(m.bias);
    double x[B][IN], h[B][H] = {0}, next[B][H];
    wg_tensor state = wg_zeros(tape, WG_F64, WG_DIMS(B, H));
    for (int t = 0; t < 3; t++) {
        fill(&x[0][0], B * IN, 100 + (unsigned)t);
        for (int row = 0; row < B; row++)
            for (int i = 0; i < H; i++) {
                double a[2] = {b[i], b[H + i]};
                for (int k = 0; k < 2 * IN; k++) a[k / IN] += wi[(k / IN * H + i) * IN + k % IN] * x[row][k % IN];
                for (int k = 0; k < 2 * H; k++) a[k / H] += wh[(k / H * H + i) * H + k % H] * h[row][k % H];
                next[row][i] = sigmoid(a[0]) * tanh(a[1]) + (1 - sigmoid(a[0])) * h[row][i];
            }
        memcpy(h, next, sizeof h);
        state = wg_simple_gru_step(&m, input_at(tape, t), state);
        const double *have = wg_value(state);
        CHECK(have && distance(have, &h[0][0], B * H) < 1e-14);
    }
    wg_simple_gru bad;
    CHECK(wg_simple_gru_init(&bad, set, "bad", 0, H, false) == WG_ERR_ARGUMENT && !bad.weight_ih);
    CHECK(strstr(wg_params_message(set), "simple_gru bad"));
    wg_tape_free(tape);
    wg_params_free(set);
}

static wg_rnn new_gru(wg_params *set, wg_gru_form form)
{
    wg_rnn gru;
    wg_rnn_options o = wg_rnn_defaults();
    o.cell = WG_GRU;
    o.gru = form;
    o.bias = WG_RNN_BIAS_ONE;
    CHECK(wg_rnn_init(&gru, set, "gru", IN, H, o) == WG_OK);
    return gru;
}

/* Negates the rows of z. */
static void negate_update_gate(wg_param *param)
{
    double *numbers = wg_param_write_begin(param);
    int64_t row = wg_param_numel(param) / (3 * H);
    for (int64_t i = H * row; i < 2 * H * row; i++) numbers[i] = -numbers[i];
    wg_param_write_end(param);
}

/* 1 - sigmoid(s) = sigmoid(-s): negating W_z, U_z and b_z turns one convention into the other, in gradients too. */
static void both_gru_conventions_are_one_network(void)
{
    wg_params *set[2] = {wg_params_new(WG_F64), wg_params_new(WG_F64)}; /* the same names: the same numbers */
    wg_rnn gru[2] = {new_gru(set[0], WG_GRU_RESET_BEFORE), new_gru(set[1], WG_GRU_RESET_BEFORE_UPDATE)};
    wg_tape *tape = new_tape();
    wg_tensor h[2][T];
    CHECK(wg_params_trainable(set[0]) == 3 * ((IN + H) * H + H));
    run_rnn(&gru[0], tape, h[0]);
    run_rnn(&gru[1], tape, h[1]);
    CHECK(tensor_distance(h[0][T - 1], h[1][T - 1]) > 1e-3); /* as they are, they differ */
    CHECK(wg_tape_reset(tape) == WG_OK);
    for (size_t i = 0; i < 3; i++) negate_update_gate(wg_params_at(set[1], i));
    for (int k = 0; k < 2; k++) {
        run_rnn(&gru[k], tape, h[k]);
        CHECK(wg_backward(weigh_all(h[k], T)) == WG_OK);
    }
    for (int t = 0; t < T; t++) CHECK(tensor_distance(h[0][t], h[1][t]) < 1e-15);
    for (size_t i = 0; i < 3; i++) {
        const wg_param *a = wg_params_at(set[0], i), *b = wg_params_at(set[1], i);
        int64_t n = wg_param_numel(a), row = n / (3 * H);
        for (int64_t k = 0; k < n; k++) {
            bool of_z = k >= H * row && k < 2 * H * row;
            CHECK(fabs(grad_at(a, k) - (of_z ? -1 : 1) * grad_at(b, k)) < 1e-14);
        }
    }
    wg_tape_free(tape);
    wg_params_free(set[0]);
    wg_params_free(set[1]);
}

/* With r = z = 0 the state forgets the past exactly: h_t = tanh(W x + b), d h_t / d h_{t-1} = 0. */
static void gates_at_zero_reset_a_gru(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_rnn gru = new_gru(set, WG_GRU_RESET_BEFORE);
    double *bias = wg_param_write_begin(gru.cell[0].bias_ih);
    for (int i = 0; i < 2 * H; i++) bias[i] = -1e4;
    wg_param_write_end(gru.cell[0].bias_ih);
    wg_rnn_state state = wg_rnn_zero_state(&gru, tape, B);
    wg_tensor before = state.h[0] = random_leaf(tape, WG_DIMS(B, H), 50), x = input_at(tape, 0);
    wg_tensor h = wg_rnn_step(&gru, x, &state);
    wg_tensor W = wg_slice(wg_use(tape, gru.cell[0].weight_ih), 0, 2 * H, 3 * H);
    wg_tensor b = wg_slice(wg_use(tape, gru.cell[0].bias_ih), 0, 2 * H, 3 * H);
    CHECK(tensor_distance(h, wg_tanh(wg_linear(x, W, b))) == 0);
    const double *j = wg_value(wg_jacobian(h, before));
    for (int i = 0; i < B * H * B * H; i++) CHECK(j[i] == 0);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* ---- LSTM ---- */

/* Separate U, W and b for each gate against one product of [h; x] with all rows in the order i f o g. */
static void lstm_fused_and_by_gates_is_one_network(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_rnn rnn = new_rnn(set, WG_LSTM, WG_RNN_BIAS_ONE);
    wg_param *ifog[3];
    wg_tensor p[3], h[3][T], gate[4], U[4], W[4], b[4], zeros = wg_zeros(tape, WG_F64, WG_DIMS(B, H));
    CHECK(wg_params_trainable(set) == 4 * ((IN + H) * H + H));
    for (size_t i = 0; i < 3; i++) {
        wg_param *param = wg_params_at(set, i);
        ifog[i] = wg_param_new(set, (const char *[]){"a", "b", "c"}[i], wg_param_shape(param), wg_init_zeros());
        set_param(ifog[i], wg_param_value(param));
        CHECK(wg_param_reorder_gates(ifog[i], WG_LSTM, WG_GATES_TORCH, WG_GATES_IFOG) == WG_OK);
        p[i] = wg_use(tape, param);
    }
    run_rnn(&rnn, tape, h[0]);
    wg_split(p[0], 0, 4, W); /* i f g o */
    wg_split(p[1], 0, 4, U);
    wg_split(p[2], 0, 4, b);
    wg_tensor last = zeros, c = zeros;
    for (int t = 0; t < T; t++) {
        for (int k = 0; k < 4; k++)
            gate[k] = wg_add(wg_linear(input_at(tape, t), W[k], b[k]), wg_linear(last, U[k], WG_NONE));
        c = wg_add(wg_mul(wg_sigmoid(gate[1]), c), wg_mul(wg_sigmoid(gate[0]), wg_tanh(gate[2])));
        h[1][t] = last = wg_mul(wg_sigmoid(gate[3]), wg_tanh(c));
    }
    wg_tensor all = wg_concat((wg_tensor[]){wg_use(tape, ifog[1]), wg_use(tape, ifog[0])}, 2, 1);
    last = c = zeros;
    for (int t = 0; t < T; t++) {
        wg_tensor joined = wg_concat((wg_tensor[]){last, input_at(tape, t)}, 2, 1);
        wg_split(wg_linear(joined, all, wg_use(tape, ifog[2])), -1, 4, gate);
        c = wg_add(wg_mul(wg_sigmoid(gate[1]), c), wg_mul(wg_sigmoid(gate[0]), wg_tanh(gate[3])));
        h[2][t] = last = wg_mul(wg_sigmoid(gate[2]), wg_tanh(c));
    }
    wg_tensor d[2][3];
    for (int k = 0; k < 2; k++) wg_grad(weigh_all(h[k], T), p, 3, WG_NONE, d[k]);
    for (int t = 0; t < T; t++)
        CHECK(tensor_distance(h[0][t], h[1][t]) < 1e-15 && tensor_distance(h[0][t], h[2][t]) < 1e-15);
    for (int i = 0; i < 3; i++) CHECK(tensor_distance(d[0][i], d[1][i]) < 1e-14);
    wg_tape_free(tape);
    wg_params_free(set);
}

static void orders_of_gates(void)
{
    const char *const lstm[] = {"ifgo", "ifgo", "iofg", "ifog"}, *const gru[] = {"rzn", "zrn", "zrn", "zrn"};
    for (int from = 0; from < 4; from++)
        for (int to = 0; to < 4; to++)
            for (int cell = WG_LSTM; cell <= WG_GRU; cell++) {
                const char *const *letters = cell == WG_LSTM ? lstm : gru;
                const int gates = cell == WG_LSTM ? 4 : 3,
                          block = 3000; /* letters as rows, longer than any buffer */
                static char rows[12000];
                for (int i = 0; i < gates * block; i++) rows[i] = (char)(letters[from][i / block] + i % block % 7);
                CHECK(wg_reorder_gates(rows, (size_t)(gates * block), (wg_cell)cell, (wg_gate_order)from,
                                       (wg_gate_order)to) == WG_OK);
                bool right = true;
                for (int i = 0; i < gates * block; i++)
                    right = right && rows[i] == (char)(letters[to][i / block] + i % block % 7);
                CHECK(right);
            }
    char nine[9];
    CHECK(wg_reorder_gates(nine, 9, WG_LSTM, WG_GATES_TORCH, WG_GATES_ONNX) == WG_ERR_SHAPE);
    CHECK(wg_reorder_gates(nine, 9, (wg_cell)9, WG_GATES_TORCH, WG_GATES_ONNX) == WG_ERR_ARGUMENT);
    CHECK(wg_reorder_gates(nine, 9, WG_GRU, WG_GATES_TORCH, (wg_gate_order)4) == WG_ERR_ARGUMENT);
    CHECK(wg_reorder_gates(NULL, 9, WG_GRU, WG_GATES_TORCH, WG_GATES_ONNX) == WG_ERR_ARGUMENT);
    CHECK(strcmp(wg_gate_letters(WG_RNN_RELU, WG_GATES_KERAS), "h") == 0);
    wg_params *set = wg_params_new(WG_F32);
    wg_param *odd = wg_param_new(set, "odd", WG_DIMS(6, 2), wg_init_zeros()); /* 12 numbers, but 6 rows */
    CHECK(wg_param_reorder_gates(odd, WG_LSTM, WG_GATES_TORCH, WG_GATES_ONNX) == WG_ERR_SHAPE);
    CHECK(wg_param_reorder_gates(NULL, WG_LSTM, WG_GATES_TORCH, WG_GATES_ONNX) == WG_ERR_ARGUMENT);
    uint64_t version = wg_param_version(odd);
    CHECK(wg_param_reorder_gates(odd, WG_GRU, WG_GATES_ONNX, WG_GATES_TORCH) == WG_OK);
    CHECK(wg_param_version(odd) > version);
    wg_params_free(set);
}

/* The gates that wg_rnn_gates returns determine the step. */
static void gates_can_be_read(void)
{
    for (int cell = 0; cell < 6; cell++) {
        wg_params *set = wg_params_new(WG_F64);
        wg_tape *tape = new_tape();
        wg_rnn rnn =
            cell < 3 ? new_rnn(set, (wg_cell)cell, WG_RNN_BIAS_TWO) : new_gru(set, (wg_gru_form)(cell - 3));
        wg_rnn_state state = wg_rnn_zero_state(&rnn, tape, B);
        state.h[0] = random_leaf(tape, WG_DIMS(B, H), 60);
        if (cell == WG_LSTM) state.c[0] = random_leaf(tape, WG_DIMS(B, H), 61);
        wg_tensor h = state.h[0], c = state.c[0], x = input_at(tape, 0), gate[4], made;
        int n = wg_rnn_gates(&rnn, 0, x, h, gate);
        CHECK(n == (cell < 2 ? 1 : cell == 2 ? 4 : 3));
        wg_rnn_step(&rnn, x, &state);
        if (cell < 2)
            made = gate[0];
        else if (cell == WG_LSTM)
            made = wg_mul(gate[3], wg_tanh(wg_add(wg_mul(gate[1], c), wg_mul(gate[0], gate[2]))));
        else
            made = cell - 3 == WG_GRU_RESET_BEFORE_UPDATE ? wg_lerp(h, gate[2], gate[1])
                                                          : wg_lerp(gate[2], h, gate[1]);
        CHECK(tensor_distance(made, state.h[0]) == 0);
        CHECK(wg_rnn_gates(&rnn, 1, x, h, gate) == 0 && wg_tape_reset(tape) == WG_ERR_ARGUMENT);
        CHECK(strstr(wg_tape_message(tape), "rnn_gates: no cell 1; the layer has 1"));
        wg_tape_free(tape);
        wg_params_free(set);
    }
}

/* The gradient from c_t to c_{t-1} depends on f alone: with constant gates d c_t / d c_{t-1} = diag(f), and over all
 * steps it is the product of the f, without any weight. */
static void an_lstm_is_a_highway_for_gradients(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_rnn rnn = new_rnn(set, WG_LSTM, WG_RNN_BIAS_TWO);
    wg_rnn_state state = wg_rnn_zero_state(&rnn, tape, B);
    wg_tensor c = random_leaf(tape, WG_DIMS(B, H), 62), first = c, forget[T];
    state.h[0] = random_leaf(tape, WG_DIMS(B, H), 63);
    for (int t = 0; t < T; t++) {
        wg_tensor gate[4], before = c;
        wg_rnn_gates(&rnn, 0, input_at(tape, t), wg_detach(state.h[0]), gate);
        for (int k = 0; k < 4; k++) gate[k] = wg_detach(gate[k]);
        forget[t] = gate[1];
        c = wg_add(wg_mul(gate[1], c), wg_mul(gate[0], gate[2]));
        state.h[0] = wg_mul(gate[3], wg_tanh(c));
        const double *f = wg_value(gate[1]), *j = wg_value(wg_jacobian(c, before));
        for (int i = 0; i < B * H * B * H; i++) CHECK(j[i] == (i / (B * H) == i % (B * H) ? f[i % (B * H)] : 0));
    }
    wg_tensor product = forget[0];
    for (int t = 1; t < T; t++) product = wg_mul(product, forget[t]);
    CHECK(tensor_distance(wg_vjp(c, first, wg_ones_like(c)), product) < 1e-15);
    wg_tape_free(tape);
    wg_params_free(set);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(a_gate_mixes),
                                 TEST_CASE(simple_gru_has_the_update_gate_alone),
                                 TEST_CASE(both_gru_conventions_are_one_network),
                                 TEST_CASE(gates_at_zero_reset_a_gru),
                                 TEST_CASE(lstm_fused_and_by_gates_is_one_network),
                                 TEST_CASE(orders_of_gates),
                                 TEST_CASE(gates_can_be_read),
                                 TEST_CASE(an_lstm_is_a_highway_for_gradients)};
    return RUN_TESTS(tests);
}
