/* Gradients as they become final: wg_tape_on_gradient gives each once, with the value that it has after the run, and
 * what the callback writes is kept. */
#include "tensors.h"

enum { MOST = 64, FEATURES = 24, ROWS = 33 };

/* ---- models ---- */

/* Three layers; one whose gradient others are computed from; a parameter that is used twice; one that is not used, one
 * that is frozen. */
static wg_tensor perceptron(wg_tape *tape, wg_params *set)
{
    wg_tensor x = wg_cast(random_leaf(tape, WG_DIMS(ROWS, FEATURES), 5), WG_F32);
    wg_param *twice = wg_param_find(set, "twice");
    for (int layer = 0; layer < 3; layer++) {
        char name[16];
        snprintf(name, sizeof name, "layer%d", layer);
        x = wg_matmul(x, wg_use(tape, wg_param_find(set, name)));
        if (layer == 1) x = wg_add(x, wg_use(tape, wg_param_find(set, "offset")));
        x = wg_add(wg_tanh(x), wg_use(tape, twice));
    }
    return weigh(wg_mul(x, wg_use(tape, wg_param_find(set, "frozen"))), 7);
}

static void perceptron_params(wg_params *set)
{
    static const char *const square[] = {"layer0", "layer1", "layer2"};
    for (int i = 0; i < 3; i++) wg_param_new(set, square[i], WG_DIMS(FEATURES, FEATURES), wg_init_glorot());
    wg_param_new(set, "offset", WG_DIMS(ROWS, FEATURES), wg_init_normal(0, 1));
    wg_param_new(set, "twice", WG_DIMS(FEATURES), wg_init_normal(0, 1));
    wg_param_new(set, "unused", WG_DIMS(3), wg_init_normal(0, 1));
    wg_param_freeze(wg_param_new(set, "frozen", WG_DIMS(FEATURES), wg_init_normal(0, 1)), true);
}

/* Two parameters with one gradient, from which others are computed; one whose gradient is a constant; one without
 * elements; the loss itself. */
static wg_tensor alike(wg_tape *tape, wg_params *set)
{
    wg_tensor a = wg_use(tape, wg_param_find(set, "a")), b = wg_use(tape, wg_param_find(set, "b"));
    wg_tensor ones = wg_use(tape, wg_param_find(set, "ones")), empty = wg_use(tape, wg_param_find(set, "empty"));
    wg_tensor product =
        wg_matmul(wg_use(tape, wg_param_find(set, "left")), wg_use(tape, wg_param_find(set, "right")));
    wg_tensor sum = wg_add(weigh(wg_square(wg_add(wg_add(a, b), product)), 3), wg_sum_all(ones));
    return wg_add(wg_add(sum, wg_sum_all(empty)), wg_use(tape, wg_param_find(set, "loss")));
}

static void alike_params(wg_params *set)
{
    wg_param_new(set, "a", WG_DIMS(ROWS, FEATURES), wg_init_normal(0, 1));
    wg_param_new(set, "b", WG_DIMS(ROWS, FEATURES), wg_init_normal(0, 1));
    wg_param_new(set, "left", WG_DIMS(ROWS, 8), wg_init_normal(0, 1));
    wg_param_new(set, "right", WG_DIMS(8, FEATURES), wg_init_normal(0, 1));
    wg_param_new(set, "ones", WG_DIMS(ROWS), wg_init_normal(0, 1));
    wg_param_new(set, "empty", WG_DIMS(0, 4), wg_init_normal(0, 1));
    wg_param_new(set, "loss", WG_SCALAR, wg_init_normal(0, 1));
}

/* A loop over a cell, whose weights get a sum over time. */
static wg_tensor recurrent(wg_tape *tape, wg_params *set)
{
    wg_tensor h = wg_zeros(tape, WG_F32, WG_DIMS(ROWS, FEATURES)), sum = wg_scalar(tape, WG_F32, 0);
    for (unsigned t = 0; t < 6; t++) {
        wg_tensor x = wg_cast(random_leaf(tape, WG_DIMS(ROWS, FEATURES), 20 + t), WG_F32);
        wg_tensor in = wg_matmul(x, wg_use(tape, wg_param_find(set, "w_in")));
        h = wg_tanh(wg_add(in, wg_matmul(h, wg_use(tape, wg_param_find(set, "w_h")))));
        h = wg_mul(h, wg_use(tape, wg_param_find(set, "gain")));
        sum = wg_add(sum, weigh(wg_matmul(h, wg_use(tape, wg_param_find(set, "w_out"))), 40 + t));
    }
    return sum;
}

static void recurrent_params(wg_params *set)
{
    static const char *const square[] = {"w_in", "w_h", "w_out"};
    for (int i = 0; i < 3; i++) wg_param_new(set, square[i], WG_DIMS(FEATURES, FEATURES), wg_init_glorot());
    wg_param_new(set, "gain", WG_DIMS(FEATURES), wg_init_constant(0.9));
}

static const struct model {
    const char *name;
    void (*params)(wg_params *set);
    wg_tensor (*loss)(wg_tape *tape, wg_params *set);
    size_t gradients; /* parameters that get one */
} models[] = {{"perceptron", perceptron_params, perceptron, 5},
              {"alike", alike_params, alike, 7},
              {"recurrent", recurrent_params, recurrent, 4}};

/* ---- what the callback saw ---- */

typedef struct seen {
    size_t n;
    wg_param *param[MOST];
    float *value[MOST];
    float factor; /* by which it multiplies */
} seen;

static void note(void *context, wg_param *param, void *gradient)
{
    CHECK(wg_param_grad(param) == gradient);
    seen *s = context;
    float *g = gradient;
    const size_t numel = (size_t)wg_param_numel(param);
    if (!CHECK(s->n < MOST)) return;
    s->param[s->n] = param;
    s->value[s->n] = malloc(numel * sizeof *g + 1);
    memcpy(s->value[s->n++], g, numel * sizeof *g);
    for (size_t i = 0; i < numel; i++) g[i] *= s->factor;
}

static void forget(seen *s)
{
    for (size_t i = 0; i < s->n; i++) free(s->value[i]);
    s->n = 0;
}

/* Each gradient was seen once, with its value, and is `factor` times larger now, if it was zero before. */
static void check_seen(const seen *s, const struct model *m, const wg_params *expected, const char *how)
{
    if (s->n != m->gradients) FAIL("%s, %s: %zu gradients were given, not %zu", m->name, how, s->n, m->gradients);
    for (size_t i = 0; i < s->n; i++) {
        const float *now = wg_param_grad(s->param[i]);
        const float *want = wg_param_grad(wg_params_at(expected, wg_param_index(s->param[i])));
        for (size_t k = 0; k < i; k++)
            if (s->param[k] == s->param[i])
                FAIL("%s, %s: %s was given twice", m->name, how, wg_param_name(s->param[i]));
        if (memcmp(s->value[i], want, (size_t)wg_param_numel(s->param[i]) * sizeof *want) != 0)
            FAIL("%s, %s: %s was given with another value", m->name, how, wg_param_name(s->param[i]));
        for (int64_t k = 0; k < wg_param_numel(s->param[i]); k++)
            if (now[k] != s->value[i][k] * s->factor) {
                FAIL("%s, %s: %s changed after it was given", m->name, how, wg_param_name(s->param[i]));
                break;
            }
    }
}

/* ---- tests ---- */

static wg_params *set_of(const struct model *m)
{
    wg_params *set = wg_params_new(WG_F32);
    m->params(set);
    CHECK(wg_params_status(set) == WG_OK);
    return set;
}

static void run(const struct model *m, wg_tape_options options, const char *how)
{
    wg_params *set = set_of(m), *silent = set_of(m), *twice = set_of(m);
    wg_tape *tape = wg_tape_new(options);
    CHECK(wg_backward(m->loss(tape, silent)) == WG_OK); /* nobody listens */
    for (int i = 0; i < 2; i++) CHECK(wg_tape_reset(tape) == WG_OK && wg_backward(m->loss(tape, twice)) == WG_OK);
    seen s = {.factor = 2};
    wg_tape_on_gradient(tape, note, &s);
    for (int round = 0; round < 3; round++) { /* planned, or from the cache; the memory has other numbers */
        CHECK(wg_tape_reset(tape) == WG_OK);
        wg_zero_grad(set);
        CHECK(wg_backward(m->loss(tape, set)) == WG_OK);
        check_seen(&s, m, silent, how);
        forget(&s);
    }
    s.factor = 1;
    for (int i = 0; i < 2; i++) { /* the second is added to the first */
        CHECK(wg_tape_reset(tape) == WG_OK);
        if (i == 0) wg_zero_grad(set);
        CHECK(wg_backward(m->loss(tape, set)) == WG_OK);
        check_seen(&s, m, i == 0 ? silent : twice, how);
        forget(&s);
    }
    wg_tape_on_gradient(tape, NULL, NULL);
    CHECK(wg_tape_reset(tape) == WG_OK && wg_backward(m->loss(tape, set)) == WG_OK && s.n == 0);
    wg_tape_free(tape);
    wg_params_free(set);
    wg_params_free(silent);
    wg_params_free(twice);
}

static void each_is_given_once_with_its_value(void)
{
    static const char *const plans[] = {"", "-all", "-merge", "-place", "-fuse"};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        for (int threads = 1; threads <= 3; threads++) {
            wg_pool *pool = wg_pool_new(threads);
            for (size_t k = 0; k < sizeof plans / sizeof *plans; k++) {
                wg_tape_options o = wg_tape_defaults();
                o.pool = pool;
                o.plan = plans[k];
                run(&models[i], o, plans[k]);
            }
            wg_pool_free(pool);
        }
        wg_tape_options searching = wg_tape_defaults(), profiled = wg_tape_defaults(), eager = wg_tape_defaults();
        searching.locate_nonfinite = profiled.profile = eager.eager = true;
        run(&models[i], searching, "searching");
        run(&models[i], profiled, "profiled");
        run(&models[i], eager, "eager");
    }
}

/* The last layer's gradient is there before the first one's, and before the run ends: a step of it can be sent. */
static void the_last_layer_is_first(void)
{
    wg_params *set = set_of(&models[0]);
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    seen s = {.factor = 1};
    wg_tape_on_gradient(tape, note, &s);
    CHECK(wg_backward(perceptron(tape, set)) == WG_OK);
    static const char *const order[] = {"layer2", "layer1", "layer0"};
    for (size_t i = 0, next = 0; i < s.n; i++)
        if (strncmp(wg_param_name(s.param[i]), "layer", 5) == 0)
            CHECK(strcmp(wg_param_name(s.param[i]), order[next++]) == 0);
    forget(&s);
    wg_tape_free(tape);
    wg_params_free(set);
}

static int refused;

static void meddle(void *context, wg_param *param, void *gradient)
{
    wg_tape *tape = context;
    CHECK(wg_tape_reset(tape) != WG_OK);
    CHECK(wg_is_nil(wg_use(tape, param)));
    wg_tape_free(tape);
    refused++;
}

static void the_callback_cannot_use_the_tape(void)
{
    wg_params *set = set_of(&models[1]);
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    for (int again = 0; again < 2;
         again++) { /* the second time gradients are added to, and given when the run ends */
        void *context = NULL;
        refused = 0;
        wg_tape_on_gradient(tape, meddle, tape);
        CHECK(wg_tape_gradient_callback(tape, &context) == meddle && context == tape);
        CHECK(wg_backward(alike(tape, set)) == WG_ERR_ARGUMENT && refused > 0);
        CHECK(!wg_params_grad_valid(set));
        wg_tape_on_gradient(tape, NULL, NULL);
        CHECK(!wg_tape_gradient_callback(tape, &context) && !context);
        wg_tape_reset(tape);
        wg_zero_grad(set);
        CHECK(wg_backward(alike(tape, set)) == WG_OK);
        wg_tape_reset(tape);
    }
    wg_tape_free(tape);
    wg_params_free(set);
    wg_tape_on_gradient(NULL, meddle, NULL);
}

/* A run that fails: what was given is invalid, and the next run gives it again. */
static void a_run_may_fail_afterwards(void)
{
    wg_params *set = wg_params_new(WG_F32);
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_param *table = wg_param_new(set, "table", WG_DIMS(5, FEATURES), wg_init_normal(0, 1));
    wg_param *w = wg_param_new(set, "w", WG_DIMS(FEATURES, FEATURES), wg_init_normal(0, 1));
    seen s = {.factor = 1};
    wg_tape_on_gradient(tape, note, &s);
    for (int32_t last = 5; last >= 4; last--) {
        const int32_t rows[] = {1, 4, last};
        wg_tensor x = wg_embedding(wg_use(tape, table), wg_data(tape, WG_I32, WG_DIMS(3), rows));
        const wg_status status = wg_backward(weigh(wg_matmul(x, wg_use(tape, w)), 3));
        CHECK(status == (last == 5 ? WG_ERR_INDEX : WG_OK));
        CHECK(wg_params_grad_valid(set) == (status == WG_OK));
        if (status == WG_OK) CHECK(s.n == 2);
        forget(&s);
        wg_tape_reset(tape);
        if (status != WG_OK) CHECK(((const float *)wg_param_grad(w))[0] == 0);
        wg_zero_grad(set);
    }
    wg_tape_free(tape);
    wg_params_free(set);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(each_is_given_once_with_its_value), TEST_CASE(the_last_layer_is_first),
                                 TEST_CASE(the_callback_cannot_use_the_tape), TEST_CASE(a_run_may_fail_afterwards)};
    return RUN_TESTS(tests);
}
