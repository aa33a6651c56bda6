/* Products with one-hot rows: the planner computes the gradient of the weight by adding rows at their indices. The same
 * numbers, in one buffer for all steps, and near misses are left alone. */
#include "tensors.h"

enum { CLASSES = 20, H = 6, B = 3, STEPS = 5 };

/* x[B, CLASSES], w[H, CLASSES], v[CLASSES, H] */
typedef wg_tensor (*step_fn)(wg_tensor x, wg_tensor w, wg_tensor v);

/* ---- forms ---- */

static wg_tensor transposed(wg_tensor x, wg_tensor w, wg_tensor v) { return wg_linear(x, w, WG_NONE); }
static wg_tensor straight(wg_tensor x, wg_tensor w, wg_tensor v) { return wg_matmul(x, v); }
static wg_tensor both_ways(wg_tensor x, wg_tensor w, wg_tensor v)
{
    return wg_add(wg_matmul(x, v), wg_matmul(x, wg_t(w)));
}
/* W has other readers, too. */
static wg_tensor tied(wg_tensor x, wg_tensor w, wg_tensor v)
{
    wg_tensor h = wg_tanh(wg_linear(x, w, WG_NONE));
    return wg_add(wg_matmul(wg_matmul(h, w), v), wg_matmul(h, wg_matmul(w, v)));
}
/* [B, 1, CLASSES], which the product reads as rows of a matrix. */
static wg_tensor sequence(wg_tensor x, wg_tensor w, wg_tensor v)
{
    return wg_reshape(wg_linear(wg_unsqueeze(x, 1), w, WG_NONE), WG_DIMS(B, H));
}
static wg_tensor one_row(wg_tensor x, wg_tensor w, wg_tensor v)
{
    return wg_linear(wg_select(x, 0, 1), w, WG_NONE);
}

/* ---- near misses ---- */

static wg_tensor smoothed(wg_tensor x, wg_tensor w, wg_tensor v)
{
    return wg_matmul(wg_add_scalar(wg_scale(x, 0.9), 0.1 / CLASSES), v);
}
static wg_tensor computed_weight(wg_tensor x, wg_tensor w, wg_tensor v) { return wg_matmul(x, wg_tanh(v)); }
/* Its rows are not the one-hot ones. */
static wg_tensor reshaped(wg_tensor x, wg_tensor w, wg_tensor v)
{
    return wg_matmul(wg_reshape(x, WG_DIMS(CLASSES, B)), wg_slice(v, 0, 0, B));
}
static wg_tensor from_the_left(wg_tensor x, wg_tensor w, wg_tensor v) { return wg_matmul(w, wg_t(x)); }

static const struct {
    const char *name;
    step_fn step;
    bool found;
} forms[] = {{"transposed", transposed, true}, {"straight", straight, true},
             {"both_ways", both_ways, true},   {"tied", tied, true},
             {"sequence", sequence, true},     {"one_row", one_row, false},
             {"smoothed", smoothed, false},    {"computed_weight", computed_weight, false},
             {"reshaped", reshaped, false},    {"from_the_left", from_the_left, false}};

/* ---- checks ---- */

static wg_params *weights(int64_t classes)
{
    wg_params *set = wg_params_new(WG_F64);
    (void)wg_param_new(set, "w", WG_DIMS(H, classes), wg_init_uniform(-1, 1));
    (void)wg_param_new(set, "v", WG_DIMS(classes, H), wg_init_uniform(-1, 1));
    return set;
}

/* A loop in which the steps share the weights; indices differ from step to step and repeat. */
static wg_tensor loop(wg_tape *tape, wg_params *set, step_fn step, int64_t classes)
{
    wg_tensor w = wg_use(tape, wg_params_at(set, 0)), v = wg_use(tape, wg_params_at(set, 1)), loss = WG_NONE;
    for (int t = 0; t < STEPS; t++) {
        const int32_t index[B] = {(t * 7 + 3) % (int)classes, 4, (t * 5 + 1) % (int)classes};
        wg_tensor x = wg_one_hot(wg_data(tape, WG_I32, WG_DIMS(B), index), classes, WG_F64);
        wg_tensor l = weigh(wg_tanh(step(x, w, v)), 20 + (unsigned)t);
        loss = loss.tape ? wg_add(loss, l) : l;
    }
    return loss;
}

/* The number of index_add instructions in the last plan. */
static int additions(const wg_tape *tape) { return count_dumped(wg_dump_plan, tape, " index_add,"); }

typedef struct outcome {
    double loss, dw[H * CLASSES], dv[H * CLASSES];
    int additions;
} outcome;

static outcome run(step_fn step, const char *plan)
{
    wg_params *set = weights(CLASSES);
    wg_tape *tape = profiled_tape(plan);
    outcome o = {0};
    for (int twice = 0; twice < 2; twice++) { /* the second time by a cached plan */
        wg_zero_grad(set);
        wg_tensor loss = loop(tape, set, step, CLASSES);
        CHECK(wg_backward(loss) == WG_OK);
        o.loss = wg_item(loss);
        o.additions = additions(tape);
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    memcpy(o.dw, wg_param_grad(wg_params_at(set, 0)), sizeof o.dw);
    memcpy(o.dv, wg_param_grad(wg_params_at(set, 1)), sizeof o.dv);
    CLOSE(tape);
    wg_params_free(set);
    return o;
}

static void forms_and_near_misses(void)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        outcome plain = run(forms[i].step, "-lookup"), o = run(forms[i].step, ""),
                less = run(forms[i].step, "+remat");
        bool same = o.loss == plain.loss && distance(o.dw, plain.dw, H * CLASSES) < 1e-12 &&
                    distance(o.dv, plain.dv, H * CLASSES) < 1e-12;
        bool remat =
            less.loss == o.loss && !memcmp(less.dw, o.dw, sizeof o.dw) && !memcmp(less.dv, o.dv, sizeof o.dv);
        CHECK(same && remat && plain.additions == 0 && (o.additions > 0) == forms[i].found);
        CHECK(!forms[i].found || o.additions % STEPS == 0); /* one a step, into one buffer */
        if (!same || (o.additions > 0) != forms[i].found) printf("    %s: %d\n", forms[i].name, o.additions);
    }
}

/* With few classes a product is as fast. */
static void few_classes_stay_a_product(void)
{
    for (int64_t classes = 8; classes <= 16; classes += 8) {
        wg_params *set = weights(classes);
        wg_tape *tape = profiled_tape("");
        CHECK(wg_backward(loop(tape, set, transposed, classes)) == WG_OK);
        CHECK((additions(tape) > 0) == (classes == 16));
        CLOSE(tape);
        wg_params_free(set);
    }
}

static wg_tensor loss_of(void *context, wg_tape *tape, wg_params *set) { return loop(tape, set, tied, CLASSES); }

static void first_and_second_order(void)
{
    wg_params *set = weights(CLASSES);
    gradcheck_some(set, loss_of, NULL, true, 12);
    wg_params_free(set);
}

/* An index out of range is reported for the op that was written. */
static void a_bad_index_is_named(void)
{
    wg_params *set = weights(CLASSES);
    wg_tape *tape = profiled_tape("");
    const int32_t index[B] = {1, CLASSES, 2};
    wg_tensor x = wg_one_hot(wg_data(tape, WG_I32, WG_DIMS(B), index), CLASSES, WG_F64);
    CHECK(wg_backward(weigh(wg_matmul(x, wg_use(tape, wg_params_at(set, 1))), 3)) == WG_ERR_ARGUMENT ||
          wg_tape_status(tape) != WG_OK);
    CHECK(strstr(wg_tape_message(tape), "one_hot") != NULL);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* rows[batch, n, classes] W[batch, classes, H]: the first size of W is no count of classes. */
static void batched(int64_t batch, int64_t n, int64_t classes)
{
    enum { MOST = 1200 };
    double gradient[2][MOST];
    const size_t bytes = (size_t)(batch * classes * H) * sizeof **gradient;
    assert_true(bytes <= sizeof *gradient);
    for (int with = 0; with < 2; with++) {
        wg_params *set = wg_params_new(WG_F64);
        wg_param *w = wg_param_new(set, "w", WG_DIMS(batch, classes, H), wg_init_uniform(-1, 1));
        wg_tape *tape = profiled_tape(with ? NULL : "-lookup");
        const wg_tensor index = wg_cast(
            wg_mod(wg_arange(tape, WG_F64, 0, 7, batch * n), wg_scalar(tape, WG_F64, (double)classes)), WG_I32);
        const wg_tensor rows = wg_one_hot(wg_reshape(index, WG_DIMS(batch, n)), classes, WG_F64);
        CHECK(wg_backward(weigh(wg_tanh(wg_matmul(rows, wg_use(tape, w))), 3)) == WG_OK);
        CHECK(additions(tape) == 0);
        memcpy(gradient[with], wg_param_grad(w), bytes);
        CLOSE(tape);
        wg_params_free(set);
    }
    CHECK(memcmp(gradient[0], gradient[1], bytes) == 0);
}

static void batched_stays_a_product(void)
{
    batched(17, 5, 11);
    batched(20, 1, 10);
    batched(16, 1, 1);
    batched(16, 16, 5);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(forms_and_near_misses), TEST_CASE(few_classes_stay_a_product),
                                 TEST_CASE(batched_stays_a_product), TEST_CASE(first_and_second_order),
                                 TEST_CASE(a_bad_index_is_named)};
    return RUN_TESTS(tests);
}
