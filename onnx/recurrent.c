/* RNN, GRU and LSTM: a step of ops, unrolled by nn/. Weights stay in ONNX' layout, one row of W, R and B a direction,
 * with the gates of a GRU in the order z r h and of an LSTM i o f c. */
#include "../nn/nn.h"
#include "activation.h"

enum { RNN, GRU, LSTM };
/* By kind: rows of W for each hidden unit, states, and names of the functions of a direction, f g h. */
static const struct {
    int gates, states, functions;
    const char *standard[3];
} kinds[] = {[RNN] = {1, 1, 1, {"Tanh"}},
             [GRU] = {3, 1, 2, {"Sigmoid", "Tanh"}},
             [LSTM] = {4, 2, 3, {"Sigmoid", "Tanh", "Tanh"}}};

/* ---- activations ---- */

enum { MOST_FUNCTIONS = 6 };

/* The functions of all directions of a node; false if a name is unknown, or they or their numbers are too many. */
static bool functions_of(const wg__onnx_node *node, wg__activation *out)
{
    const int kind = node->row->kind, per_direction = kinds[kind].functions;
    wg__attribute a;
    int n = 0;
    wg__wire wire = wg__wire_of(wg__attribute_find(node, "activations", &a) ? a.list : (wg__span){0});
    for (wg__field f; wg__wire_next(&wire, &f);) {
        if (!wg__field_is_bytes(&f, 9)) continue;
        if (n == MOST_FUNCTIONS || !wg__activation_find(f.bytes, &out[n])) return false;
        n++;
    }
    double alpha[MOST_FUNCTIONS], beta[MOST_FUNCTIONS];
    const int n_alpha = wg__attribute_floats(node, "activation_alpha", alpha, MOST_FUNCTIONS);
    const int n_beta = wg__attribute_floats(node, "activation_beta", beta, MOST_FUNCTIONS);
    if (n_alpha > MOST_FUNCTIONS || n_beta > MOST_FUNCTIONS) return false;
    int at_alpha = 0, at_beta = 0; /* a function takes the next numbers, if it has such */
    for (int i = 0; i < n; i++) {
        if (out[i].numbers > 0 && at_alpha < n_alpha) out[i].alpha = alpha[at_alpha++];
        if (out[i].numbers > 1 && at_beta < n_beta) out[i].beta = beta[at_beta++];
    }
    for (; n < 2 * per_direction; n++)
        wg__activation_find(wg__span_of(kinds[kind].standard[n % per_direction]), &out[n]);
    return true;
}

static const char *refuse(const wg__onnx_node *node)
{
    wg__activation functions[MOST_FUNCTIONS];
    if (!functions_of(node, functions))
        return "an activation is not known, or there are more than 6; Tanh, Sigmoid, Relu, HardSigmoid, Elu, "
               "LeakyRelu, Softsign, Softplus, Affine and ScaledTanh are known";
    if (wg__attribute_int(node, "input_forget", 0)) return "input_forget = 1: export with separate gates";
    return NULL;
}

/* ---- a step ---- */

/* One direction. */
typedef struct cell {
    int64_t hidden;
    wg_tensor w, r;           /* [gates H, in], [gates H, H] */
    wg_tensor w_bias, r_bias; /* [gates H] or WG_NONE */
    wg_tensor peephole;       /* [3 H] or WG_NONE: i, o, f */
    wg__activation f, g, h;
    double clip; /* 0: none */
    bool linear_before_reset;
} cell;

static wg_tensor call(const cell *c, const wg__activation *f, wg_tensor x)
{
    return f->apply(c->clip > 0 ? wg_clamp(x, -c->clip, c->clip) : x, f->alpha, f->beta);
}

/* Gate k of [..., gates H]. */
static wg_tensor gate(const cell *c, wg_tensor gates, int k)
{
    return gates.tape ? wg_slice(gates, -1, k * c->hidden, (k + 1) * c->hidden) : gates;
}

static wg_tensor rnn_step(void *context, wg_tensor x, wg_tensor *state, int n)
{
    const cell *c = context;
    const wg_tensor sum = wg_add(wg_linear(x, c->w, c->w_bias), wg_linear(state[0], c->r, c->r_bias));
    return state[0] = call(c, &c->f, sum);
}

/* h' = (1 - z) n + z h. */
static wg_tensor gru_step(void *context, wg_tensor x, wg_tensor *state, int n)
{
    const cell *c = context;
    const int64_t H = c->hidden;
    const wg_tensor h = state[0], a = wg_linear(x, c->w, c->w_bias);
    wg_tensor z, r, inner;
    if (c->linear_before_reset) {
        const wg_tensor u = wg_linear(h, c->r, c->r_bias);
        z = call(c, &c->f, wg_add(gate(c, a, 0), gate(c, u, 0)));
        r = call(c, &c->f, wg_add(gate(c, a, 1), gate(c, u, 1)));
        inner = wg_mul(r, gate(c, u, 2));
    } else {
        const wg_tensor both = c->r_bias.tape ? wg_slice(c->r_bias, 0, 0, 2 * H) : WG_NONE;
        const wg_tensor last = c->r_bias.tape ? wg_slice(c->r_bias, 0, 2 * H, 3 * H) : WG_NONE;
        const wg_tensor u = wg_linear(h, wg_slice(c->r, 0, 0, 2 * H), both);
        z = call(c, &c->f, wg_add(gate(c, a, 0), gate(c, u, 0)));
        r = call(c, &c->f, wg_add(gate(c, a, 1), gate(c, u, 1)));
        inner = wg_linear(wg_mul(r, h), wg_slice(c->r, 0, 2 * H, 3 * H), last);
    }
    const wg_tensor new = call(c, &c->g, wg_add(gate(c, a, 2), inner));
    return state[0] = wg_lerp(new, h, z);
}

static wg_tensor with_peephole(const cell *c, wg_tensor sum, wg_tensor state, int k)
{
    return c->peephole.tape ? wg_add(sum, wg_mul(gate(c, c->peephole, k), state)) : sum;
}

static wg_tensor lstm_step(void *context, wg_tensor x, wg_tensor *state, int n)
{
    const cell *c = context;
    const wg_tensor sum = wg_add(wg_linear(x, c->w, c->w_bias), wg_linear(state[0], c->r, c->r_bias));
    const wg_tensor i = call(c, &c->f, with_peephole(c, gate(c, sum, 0), state[1], 0));
    const wg_tensor f = call(c, &c->f, with_peephole(c, gate(c, sum, 2), state[1], 2));
    const wg_tensor new = call(c, &c->g, gate(c, sum, 3));
    state[1] = wg_add(wg_mul(f, state[1]), wg_mul(i, new));
    const wg_tensor o = call(c, &c->f, with_peephole(c, gate(c, sum, 1), state[1], 1));
    return state[0] = wg_mul(o, c->h.apply(state[1], c->h.alpha, c->h.beta));
}

/* ---- a node ---- */

enum { MOST_STEPS = 1 << 16 };

/* The shapes of a node; layout 1 has the batch first. */
typedef struct sizes {
    int64_t steps, batch, hidden;
    int directions;
    bool batch_first;
} sizes;

static bool sizes_of(wg__call *c, sizes *s)
{
    const wg_shape x = wg__shape_of(c, 0), w = wg__shape_of(c, 1), r = wg__shape_of(c, 2);
    s->batch_first = wg__attribute_int(c->node, "layout", 0) != 0;
    s->directions = wg__attribute_is(c->node, "direction", "bidirectional", "forward") ? 2 : 1;
    if (x.rank != 3 || w.rank != 3 || r.rank != 3 || w.size[0] != s->directions || r.size[0] != s->directions) {
        wg__call_fail(c, WG_ERR_SHAPE, "X, W and R are not [T, B, in], [%d, gates H, in], [%d, gates H, H]",
                      s->directions, s->directions);
        return false;
    }
    s->steps = x.size[s->batch_first ? 1 : 0];
    s->batch = x.size[s->batch_first ? 0 : 1];
    s->hidden = r.size[2];
    const int gates = kinds[c->node->row->kind].gates;
    if (s->steps >= 1 && s->steps <= MOST_STEPS && r.size[1] / gates == s->hidden && r.size[1] % gates == 0 &&
        w.size[1] == r.size[1])
        return true;
    wg__call_fail(c, WG_ERR_SHAPE, "%lld steps, not 1 to %d, or W and R do not have %d gates of %lld",
                  (long long)s->steps, MOST_STEPS, gates, (long long)s->hidden);
    return false;
}

static cell cell_of(wg__call *c, const sizes *s, int d)
{
    wg__activation functions[MOST_FUNCTIONS];
    const int kind = c->node->row->kind, per = kinds[kind].functions;
    functions_of(c->node, functions);
    cell y = {.hidden = s->hidden,
              .w = wg_select(wg__tensor(c, 1), 0, d),
              .r = wg_select(wg__tensor(c, 2), 0, d),
              .f = functions[d * per],
              .g = functions[d * per + (per > 1)],
              .h = functions[d * per + per - 1],
              .clip = wg__attribute_float(c->node, "clip", 0),
              .linear_before_reset = wg__attribute_int(c->node, "linear_before_reset", 0) != 0};
    if (wg__has(c, 3)) {
        const wg_tensor bias = wg_select(wg__tensor(c, 3), 0, d);
        const int64_t half = wg_size(bias, 0) / 2;
        y.w_bias = wg_slice(bias, 0, 0, half);
        y.r_bias = wg_slice(bias, 0, half, 2 * half);
    }
    if (kind == LSTM && wg__has(c, 7)) y.peephole = wg_select(wg__tensor(c, 7), 0, d);
    return y;
}

/* The initial state of a direction, operand k; zeros if it is omitted. */
static wg_tensor initial(wg__call *c, const sizes *s, int k, int d)
{
    if (!wg__has(c, k))
        return wg_zeros(c->tape, wg__dtype_of(c->model, wg__type_of(c, 0)), WG_DIMS(s->batch, s->hidden));
    return wg_select(wg__tensor(c, k), s->batch_first ? 1 : 0, d);
}

static void record_recurrent(wg__call *c)
{
    static const wg_step_fn steps[] = {[RNN] = rnn_step, [GRU] = gru_step, [LSTM] = lstm_step};
    sizes s;
    if (!sizes_of(c, &s)) return;
    const int n_state = kinds[c->node->row->kind].states;
    const int64_t all = s.steps * s.directions;
    wg_tensor *x = wg__arena_array(c->arena, (uint64_t)s.steps, sizeof *x);
    wg_tensor *out = wg__arena_array(c->arena, (uint64_t)all, sizeof *out);
    wg_tensor *rows = wg__arena_array(c->arena, (uint64_t)s.steps, sizeof *rows), last[2][2];
    if (!x || !out || !rows) {
        wg__call_fail(c, WG_ERR_MEMORY, "out of memory");
        return;
    }
    const wg_tensor input = wg__tensor(c, 0);
    for (int64_t t = 0; t < s.steps; t++) x[t] = wg_select(input, s.batch_first ? 1 : 0, t);
    for (int d = 0; d < s.directions; d++) {
        cell one = cell_of(c, &s, d);
        wg_unroll_options options = wg_unroll_defaults();
        options.reverse = d == 1 || wg__attribute_is(c->node, "direction", "reverse", "forward");
        options.lengths = wg__tensor(c, 4);
        for (int k = 0; k < n_state; k++) last[d][k] = initial(c, &s, 5 + k, d);
        wg_unroll(steps[c->node->row->kind], &one, x, (int)s.steps, last[d], n_state, options, out + d * s.steps);
    }
    const int type = wg__type_of(c, 0), axis = s.batch_first ? 1 : 0; /* of directions in a state */
    if (wg__wants(c, 0)) { /* [T, directions, B, H], or [B, T, directions, H] */
        for (int64_t t = 0; t < s.steps; t++) {
            const wg_tensor pair[] = {out[t], out[(s.directions - 1) * s.steps + t]};
            rows[t] = wg_stack(pair, s.directions, axis);
        }
        wg__set(c, 0, wg_stack(rows, (int)s.steps, axis), type);
    }
    for (int k = 0; k < n_state; k++) {
        const wg_tensor pair[] = {last[0][k], last[s.directions - 1][k]};
        if (wg__wants(c, 1 + k)) wg__set(c, 1 + k, wg_stack(pair, s.directions, axis), type);
    }
}

#define COMMON                                                                                                     \
    "activation_alpha=F activation_beta=F activations=S clip=f direction=s:forward|reverse|bidirectional "         \
    "hidden_size=i layout=i output_sequence=i "

const wg__onnx_row wg__onnx_recurrent[] = {
    {"RNN", record_recurrent, 6, 3, 6, COMMON, .refuse = refuse, .kind = RNN},
    {"GRU", record_recurrent, 6, 3, 6, COMMON "linear_before_reset=i", .refuse = refuse, .kind = GRU},
    {"LSTM", record_recurrent, 6, 3, 8, COMMON "input_forget=i", .refuse = refuse, .kind = LSTM},
    {NULL},
};
