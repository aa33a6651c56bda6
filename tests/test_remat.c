/* Rematerialization: values of a region are recomputed for the backward pass. The same bits, less memory. */
#include "tensors.h"

enum { B = 24, H = 16 };

typedef enum mode { PLAIN, MARKED, BY_ITSELF } mode;

typedef struct model {
    wg_params *set;
    wg_rnn lstm;
    wg_transformer_layer layer[4];
    wg_linear_layer linear[6];
    wg_batch_norm_layer norm[6];
    int steps;
} model;

typedef wg_tensor (*forward_fn)(const model *m, wg_tape *tape, mode how);

static void begin(wg_tape *tape, mode how)
{
    if (how == MARKED) wg_remat_begin(tape);
}
static void end(wg_tape *tape, mode how)
{
    if (how == MARKED) wg_remat_end(tape);
}

static wg_tensor input(wg_tape *tape, int64_t n, unsigned seed) { return random_leaf(tape, WG_DIMS(B, n), seed); }

/* ---- models ---- */

/* A loop over time with a region for every eight steps. */
static wg_tensor loop(const model *m, wg_tape *tape, mode how)
{
    wg_rnn_state state = wg_rnn_zero_state(&m->lstm, tape, B);
    wg_tensor sum = wg_scalar(tape, WG_F64, 0);
    for (int t = 0; t < m->steps; t++) {
        if (t % 8 == 0) begin(tape, how);
        wg_tensor h = wg_rnn_step(&m->lstm, input(tape, H, 100 + (unsigned)t), &state);
        if (t % 8 == 7 || t == m->steps - 1) end(tape, how);
        if (t % 5 == 0) sum = wg_add(sum, weigh(h, 500 + (unsigned)t));
    }
    return wg_add(sum, weigh(state.h[0], 7));
}

/* Random numbers, batch statistics that are assigned, a kept value. */
static wg_tensor layers(const model *m, wg_tape *tape, mode how)
{
    wg_tensor x = input(tape, H, 1), kept = x;
    for (int l = 0; l < 6; l++) {
        begin(tape, how);
        wg_tensor y = wg_batch_norm_apply(&m->norm[l], wg_linear_apply(&m->linear[l], x));
        wg_tensor part[8];
        wg_split(y, 1, 8, part);
        y = wg_dropout(wg_tanh(wg_concat(part, 8, 1)), 0.25);
        if (l == 3) kept = wg_keep(wg_exp(y));
        x = wg_add(x, wg_mul(wg_sigmoid(y), wg_sin(y)));
        end(tape, how);
    }
    return wg_add(weigh(x, 9), wg_sum_all(kept));
}

static wg_tensor transformer(const model *m, wg_tape *tape, mode how)
{
    wg_tensor x = random_leaf(tape, WG_DIMS(2, m->steps, H), 11);
    wg_attention_options o = wg_attention_defaults();
    o.causal = true;
    for (int l = 0; l < 4; l++) {
        begin(tape, how);
        begin(tape, how); /* a nested region has no effect */
        x = wg_transformer_layer_apply(&m->layer[l], x, o, WG_NONE, wg_attention_defaults());
        end(tape, how);
        end(tape, how);
    }
    return weigh(x, 12);
}

static model new_model(int steps)
{
    model m = {.set = wg_params_new(WG_F64), .steps = steps};
    wg_rnn_options rnn = wg_rnn_defaults();
    rnn.cell = WG_LSTM;
    CHECK(wg_rnn_init(&m.lstm, m.set, "lstm", H, H, rnn) == WG_OK);
    for (int l = 0; l < 6; l++) {
        char name[16];
        snprintf(name, sizeof name, "l%d", l);
        CHECK(wg_linear_init(&m.linear[l], m.set, name, H, H, wg_linear_defaults()) == WG_OK);
        snprintf(name, sizeof name, "n%d", l);
        CHECK(wg_batch_norm_init(&m.norm[l], m.set, name, H) == WG_OK);
    }
    wg_transformer_options o = wg_transformer_defaults();
    o.heads = 2;
    o.dropout = 0.1;
    for (int l = 0; l < 4; l++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", l);
        CHECK(wg_transformer_layer_init(&m.layer[l], m.set, name, H, false, o) == WG_OK);
    }
    return m;
}

/* ---- the same bits ---- */

typedef struct outcome {
    double loss;
    size_t planned; /* wg_backward_bytes */
    uint64_t instructions;
} outcome;

/* Two steps of a model; gradients and buffers remain in the set. */
static outcome train(const model *m, forward_fn forward, mode how, wg_pool *pool, const char *plan)
{
    wg_tape_options o = wg_tape_defaults();
    o.remat = how == BY_ITSELF;
    o.pool = pool;
    o.plan = plan;
    wg_tape *tape = wg_tape_new(o);
    outcome out = {0};
    wg_zero_grad(m->set);
    for (int step = 0; step < 2; step++) {
        wg_set_step(tape, (uint64_t)step);
        wg_tensor loss = forward(m, tape, how);
        out.planned = wg_backward_bytes(loss);
        CHECK(wg_backward(loss) == WG_OK);
        out.loss = wg_item(loss);
        out.instructions = wg_tape_count(tape).instructions;
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    wg_tape_free(tape);
    return out;
}

/* All values and gradients of both sets are equal. */
static bool equal_sets(const wg_params *a, const wg_params *b)
{
    bool same = wg_params_count(a) == wg_params_count(b), any = false;
    for (size_t i = 0; i < wg_params_count(a) && same; i++) {
        const wg_param *x = wg_params_at(a, i), *y = wg_params_at(b, i);
        size_t bytes = (size_t)wg_param_numel(x) * sizeof(double);
        same = !memcmp(wg_param_value(x), wg_param_value(y), bytes);
        if (wg_param_is_buffer(x)) continue;
        same = same && !memcmp(wg_param_grad(x), wg_param_grad(y), bytes);
        for (int64_t k = 0; k < wg_param_numel(x); k++) any |= grad_at(x, k) != 0;
    }
    return same && any;
}

static void same_bits(forward_fn forward, int steps)
{
    wg_pool *pool = wg_pool_new(3);
    model plain = new_model(steps);
    outcome want = train(&plain, forward, PLAIN, NULL, "");
    for (mode h = MARKED; h <= BY_ITSELF; h++)
        for (int threads = 0; threads < 2; threads++) {
            model other = new_model(steps);
            outcome got = train(&other, forward, h, threads ? pool : NULL, "");
            CHECK(got.loss == want.loss && equal_sets(plain.set, other.set));
            CHECK(threads || got.instructions > want.instructions);
            CHECK(threads || got.planned < want.planned);
            wg_params_free(other.set);
        }
    model off = new_model(steps);
    outcome got = train(&off, forward, MARKED, NULL, "-remat");
    CHECK(got.loss == want.loss && equal_sets(plain.set, off.set));
    CHECK(got.instructions == want.instructions && got.planned == want.planned);
    wg_params_free(off.set);
    wg_params_free(plain.set);
    wg_pool_free(pool);
}

static void a_loop_over_time(void) { same_bits(loop, 50); }
static void layers_with_random_numbers_and_buffers(void) { same_bits(layers, 0); }
static void transformers(void) { same_bits(transformer, 24); }

/* The backward pass recomputes a sum of products, one term of which has another reader in the forward pass only. Both
 * passes must agree on whether it is merged. */
static void sums_of_products(void)
{
    wg_params *set = wg_params_new(WG_F32);
    wg_param *p = wg_param_new(set, "p", WG_DIMS(40, 40), wg_init_uniform(-1, 1));
    size_t bytes = 40 * 40 * sizeof(float);
    float *plain = malloc(bytes);
    for (int again = 0; again < 2; again++) {
        wg_tape_options o = wg_tape_defaults();
        o.plan = again ? "" : "-remat";
        wg_tape *tape = wg_tape_new(o);
        wg_tensor x = wg_use(tape, p);
        wg_remat_begin(tape);
        wg_tensor term = wg_matmul(wg_tanh(x), wg_sin(x)), sum = wg_add(term, wg_matmul(wg_sin(x), wg_cos(x)));
        wg_tensor loss = wg_add(wg_sum_all(term), wg_sum_all(wg_sin(sum)));
        wg_remat_end(tape);
        wg_zero_grad(set);
        CHECK(wg_backward(loss) == WG_OK);
        if (again)
            CHECK(!memcmp(plain, wg_param_grad(p), bytes));
        else
            memcpy(plain, wg_param_grad(p), bytes);
        CLOSE(tape);
    }
    free(plain);
    wg_params_free(set);
}

/* Products that are computed again are not made together with the first ones, which would keep what they need. */
static void copies_share_no_weight(void)
{
    model m = new_model(24);
    const outcome shared = train(&m, transformer, MARKED, NULL, "+share_weight"),
                  apart = train(&m, transformer, MARKED, NULL, "-share_weight");
    CHECK(shared.planned <= apart.planned + apart.planned / 10);
    wg_params_free(m.set);
}

/* An empty region has no effect: regions are found, whatever was planned before. */
static void marks_around_nothing(void)
{
    model m = new_model(60);
    wg_tape_options o = wg_tape_defaults();
    o.remat = true;
    size_t planned[2];
    for (int first = 0; first < 2; first++) {
        wg_tape *tape = wg_tape_new(o);
        for (int step = 0; step < 2; step++) {
            if (step == first) {
                wg_remat_begin(tape);
                wg_remat_end(tape);
            }
            planned[step] = wg_backward_bytes(loop(&m, tape, PLAIN));
            CHECK(wg_tape_reset(tape) == WG_OK);
        }
        CHECK(planned[0] == planned[1] && 2 * planned[0] < train(&m, loop, PLAIN, NULL, "").planned);
        wg_tape_free(tape);
    }
    wg_params_free(m.set);
}

/* ---- less memory ---- */

/* About sqrt(n) of n steps are saved: four times the steps take twice the memory. */
static void an_unrolled_loop_takes_its_square_root(void)
{
    model small = new_model(200), large = new_model(800);
    size_t plain[2] = {train(&small, loop, PLAIN, NULL, "").planned, train(&large, loop, PLAIN, NULL, "").planned};
    size_t less[2] = {train(&small, loop, BY_ITSELF, NULL, "").planned,
                      train(&large, loop, BY_ITSELF, NULL, "").planned};
    CHECK(plain[1] > 3 * plain[0] && less[1] < 2 * less[0]);
    CHECK(4 * less[0] < plain[0] && 12 * less[1] < plain[1]);
    wg_params_free(small.set);
    wg_params_free(large.set);
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(a_loop_over_time),       TEST_CASE(layers_with_random_numbers_and_buffers),
        TEST_CASE(transformers),           TEST_CASE(sums_of_products),
        TEST_CASE(marks_around_nothing),   TEST_CASE(an_unrolled_loop_takes_its_square_root),
        TEST_CASE(copies_share_no_weight),
    };
    return RUN_TESTS(tests);
}
