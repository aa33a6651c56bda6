/* Gradients through time that are measured, kept from vanishing, and cut at random (nn/bptt.h). */
#include "check.h"

enum { T = 6, B = 2, IN = 2, H = 3 };

static void run_elman(const wg_rnn *rnn, wg_tape *tape, wg_tensor *h)
{
    wg_rnn_state state = wg_rnn_zero_state(rnn, tape, B);
    for (int t = 0; t < T; t++)
        h[t] = wg_rnn_step(rnn, random_leaf(tape, WG_DIMS(B, IN), 30 + (unsigned)t), &state);
}

static wg_rnn new_elman(wg_params *set)
{
    wg_rnn rnn;
    CHECK(wg_rnn_init(&rnn, set, "rnn", IN, H, wg_rnn_defaults()) == WG_OK);
    return rnn;
}

/* A linear scalar recurrence has |d h_T / d h_t| = |w|^(T - t), 1e-30 too, in f32; what is not used gives 0. */
static void gradient_flow_is_measured(void)
{
    enum { STEPS = 9 };
    wg_tape *tape = new_tape();
    for (int k = 0; k < 3; k++) {
        const double w = k == 0 ? 0.5 : k == 1 ? -3 : 1e-4;
        wg_tensor h[STEPS], last = wg_scalar(tape, WG_F32, 1);
        for (int t = 0; t < STEPS; t++) h[t] = last = wg_scale(last, w);
        const float *norms = wg_value(wg_gradient_flow(h[STEPS - 1], h, STEPS));
        for (int t = 0; t < STEPS; t++) {
            double want = pow(fabs(w), STEPS - 1 - t);
            CHECK(fabs(norms[t] - want) < 1e-5 * want);
        }
        const float *cut = wg_value(wg_gradient_flow(h[4], h, STEPS));
        CHECK(cut[4] == 1 && cut[5] == 0 && cut[8] == 0);
    }
    wg_tensor one = wg_ones(tape, WG_F64, WG_DIMS(2, 8)); /* the norm of 16 ones */
    CHECK(fabs(wg_item(wg_gradient_flow(wg_sum_all(one), &one, 1)) - 4) < 1e-15);
    CHECK(wg_is_nil(wg_gradient_flow(wg_sum_all(one), &one, 0)) && wg_tape_reset(tape) == WG_ERR_ARGUMENT);
    CHECK(strstr(wg_tape_message(tape), "gradient_flow: 0 steps: at least 1"));
    wg_tape_free(tape);
}

static wg_tensor penalised_loss(void *context, wg_tape *tape, wg_params *set)
{
    wg_tensor h[T];
    run_elman(context, tape, h);
    wg_tensor loss = wg_add(weigh(h[T - 1], 40), weigh(wg_square(h[2]), 41)); /* losses on two steps */
    return wg_add(loss, wg_scale(wg_vanishing_penalty(loss, h, T), 0.5));
}

/* For a scalar net |d h'/d h| is known; its gradient is right; where no gradient arrives it is 0 and finite. */
static void vanishing_penalty_is_the_papers(void)
{
    wg_tape *tape = new_tape();
    const double w = 0.8, x[4] = {0.3, -0.5, 0.9, 0.1};
    double a = 0.2, want = 0;
    wg_tensor h[4], last = wg_data(tape, WG_F64, WG_DIMS(1, 1), &a);
    for (int t = 0; t < 4; t++) {
        h[t] = last = wg_tanh(wg_add_scalar(wg_scale(last, w), x[t]));
        a = tanh(w * a + x[t]);
        if (t > 0) want += pow(fabs((1 - a * a) * w) - 1, 2); /* the direction has one dimension */
    }
    wg_tensor loss = wg_sum_all(wg_add(h[3], wg_square(h[1])));
    CHECK(fabs(wg_item(wg_vanishing_penalty(loss, h, 4)) - want) < 1e-12);
    CHECK(wg_item(wg_vanishing_penalty(loss, h, 1)) == 0);
    CHECK(fabs(wg_item(wg_vanishing_penalty(wg_scale(loss, 1e-200), h, 4)) - want) < 1e-12);

    wg_params *set = wg_params_new(WG_F64);
    wg_rnn rnn = new_elman(set);
    gradcheck(set, penalised_loss, &rnn, false);

    wg_tensor e[T]; /* a loss on the middle alone: no gradient arrives at later steps */
    CHECK(wg_tape_reset(tape) == WG_OK);
    run_elman(&rnn, tape, e);
    wg_tensor early = wg_vanishing_penalty(weigh(e[2], 42), e, T), W = wg_use(tape, rnn.cell[0].weight_hh);
    wg_tensor shorter = wg_vanishing_penalty(weigh(e[2], 42), e, 3);
    CHECK(wg_item(early) == wg_item(shorter) && wg_item(early) > 0);
    wg_tensor d = wg_grad1(early, W, WG_NONE);
    CHECK(tensor_distance(d, d) == 0 && fabs(((const double *)wg_value(d))[0]) > 0);
    wg_params_free(set);
    wg_tape_free(tape);
}

/* It does what it is for: steps on the penalty alone bring the factor by which gradients shrink near 1. */
static void vanishing_penalty_opens_the_way(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_rnn rnn = new_elman(set);
    wg_adam_options o = wg_adam_defaults();
    o.lr = 0.03;
    wg_optimizer *adam = wg_adam_new(set, o);
    double flow[2];
    for (int step = 0; step <= 60; step++) {
        wg_tensor h[T];
        run_elman(&rnn, tape, h);
        wg_tensor loss = weigh(h[T - 1], 43), penalty = wg_vanishing_penalty(loss, h, T);
        wg_tensor norms = wg_keep(wg_gradient_flow(loss, h, T));
        wg_zero_grad(set);
        CHECK(wg_backward(penalty) == WG_OK);
        const double *n = wg_value(norms);
        flow[step > 0] = n[0] / n[T - 1];
        CHECK(wg_tape_reset(tape) == WG_OK && wg_optimizer_step(adam) == WG_OK);
    }
    CHECK(flow[0] < 0.05 && flow[1] > 0.2);
    wg_optimizer_free(adam);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* The gradient of W_hh by backpropagation that is cut at random with this probability between all steps. */
static void cut_gradient(const wg_rnn *rnn, wg_tape *tape, double probability, double *g, double *loss_value)
{
    wg_tensor loss[T];
    wg_rnn_state state = wg_rnn_zero_state(rnn, tape, B);
    for (int t = 0; t < T; t++) {
        if (t > 0) wg_random_truncation(&state.h[0], 1, probability);
        loss[t] =
            weigh(wg_rnn_step(rnn, random_leaf(tape, WG_DIMS(B, IN), 30 + (unsigned)t), &state), 50 + (unsigned)t);
    }
    wg_tensor sum = wg_add_n(loss, T);
    wg_tensor d = wg_grad1(sum, wg_use(tape, rnn->cell[0].weight_hh), WG_NONE);
    CHECK(wg_read(d, g, H * H * sizeof *g) == WG_OK);
    *loss_value = wg_item(sum);
    CHECK(wg_tape_reset(tape) == WG_OK);
}

/* Values stay; the mean over many draws is the full gradient within four standard errors of each element, while a cut
 * at a fixed place is far off. Cuts in two states at once, with the same draw. */
static void random_truncation_is_unbiased(void)
{
    enum { DRAWS = 6000 };
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_rnn rnn = new_elman(set);
    double full[H * H], g[H * H], mean[H * H] = {0}, square[H * H] = {0}, value, same_value;
    cut_gradient(&rnn, tape, 0, full, &value);
    for (int k = 0; k < DRAWS; k++) {
        wg_set_step(tape, (uint64_t)k);
        cut_gradient(&rnn, tape, 0.3, g, &same_value);
        CHECK(same_value == value);
        for (int i = 0; i < H * H; i++) {
            mean[i] += g[i] / DRAWS;
            square[i] += g[i] * g[i] / DRAWS;
        }
    }
    double spread = 0, bias = 0;
    for (int i = 0; i < H * H; i++) {
        double error = sqrt((square[i] - mean[i] * mean[i]) / DRAWS);
        CHECK(error > 0 && fabs(mean[i] - full[i]) < 4 * error);
        spread += error * error * DRAWS;
        bias += (full[i] - mean[i]) * (full[i] - mean[i]);
    }
    printf("random truncation, p = 0.3: |mean - full| = %.2g, standard deviation of one draw %.2g\n", sqrt(bias),
           sqrt(spread));
    wg_tensor both[2] = {random_leaf(tape, WG_DIMS(5, 2), 60), random_leaf(tape, WG_DIMS(5, 3), 61)}, was[2];
    memcpy(was, both, sizeof both);
    wg_random_truncation(both, 2, 0.5);
    const double *a = wg_value(wg_grad1(wg_sum_all(both[0]), was[0], WG_NONE));
    const double *b = wg_value(wg_grad1(wg_sum_all(both[1]), was[1], WG_NONE));
    for (int row = 0; row < 5; row++)
        for (int k = 0; k < 3; k++) CHECK(b[row * 3 + k] == a[row * 2] && (a[row * 2] == 0 || a[row * 2] == 2));
    CHECK(tensor_distance(both[0], was[0]) == 0);
    wg_random_truncation(both, 2, 1);
    CHECK(wg_is_nil(both[1]) && wg_tape_reset(tape) == WG_ERR_ARGUMENT);
    CHECK(strstr(wg_tape_message(tape), "random_truncation: probability 1 is not in [0, 1)"));
    wg_tape_free(tape);
    wg_params_free(set);
}

int main(void)
{
    static const test tests[] = {TEST(gradient_flow_is_measured), TEST(vanishing_penalty_is_the_papers),
                                 TEST(vanishing_penalty_opens_the_way), TEST(random_truncation_is_unbiased)};
    return run_tests(tests, sizeof tests / sizeof *tests);
}
