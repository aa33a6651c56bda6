/* Backpropagation through time: shared weights, losses over steps, the recursion and its Jacobians, truncation; norms
 * of gradients, the penalty on vanishing gradients, random cuts (nn/bptt.h). */
#include "tensors.h"

enum { T = 8, B = 2, IN = 2, H = 3 };

static wg_tensor input_at(wg_tape *tape, int t) { return random_leaf(tape, WG_DIMS(B, IN), 100 + (unsigned)t); }

/* The states h_1 .. h_T, from zeros. */
static void run_elman(const wg_rnn *rnn, wg_tape *tape, wg_tensor *h)
{
    wg_rnn_state state = wg_rnn_zero_state(rnn, tape, B);
    for (int t = 0; t < T; t++) h[t] = wg_rnn_step(rnn, input_at(tape, t), &state);
}

static wg_rnn new_elman(wg_params *set)
{
    wg_rnn rnn;
    CHECK(wg_rnn_init(&rnn, set, "rnn", IN, H, wg_rnn_defaults()) == WG_OK);
    return rnn;
}

/* ---- plain unrolled loops ---- */

/* The gradient of a weight that all steps share is the sum of the gradients of T copies, one per step. */
static void shared_weights_add_up_their_copies(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_param *W = wg_param_new(set, "W", WG_DIMS(H, H), wg_init_glorot());
    wg_param *V = wg_param_new(set, "V", WG_DIMS(H, IN), wg_init_glorot()), *copy[T];
    for (int t = 0; t < T; t++) {
        char name[16];
        snprintf(name, sizeof name, "W%d", t);
        copy[t] = wg_param_new(set, name, WG_DIMS(H, H), wg_init_zeros());
        set_param(copy[t], wg_param_value(W));
    }
    for (int tied = 0; tied < 2; tied++) {
        wg_tensor h = random_leaf(tape, WG_DIMS(B, H), 70);
        for (int t = 0; t < T; t++)
            h = wg_tanh(wg_add(wg_linear(input_at(tape, t), wg_use(tape, V), WG_NONE),
                               wg_linear(h, wg_use(tape, tied ? W : copy[t]), WG_NONE)));
        CHECK(wg_backward(weigh(h, 71)) == WG_OK); /* outputs of other steps are unused */
    }
    for (int i = 0; i < H * H; i++) {
        double sum = 0;
        for (int t = 0; t < T; t++) sum += grad_at(copy[t], i);
        CHECK(fabs(sum - grad_at(W, i)) < 1e-14 && fabs(sum) > 1e-6);
    }
    wg_tape_free(tape);
    wg_params_free(set);
}

/* The gradients of a sum and a mean over steps differ by the factor T exactly (a power of two). A loss on the last
 * step, or on masked steps, has the gradient of these steps alone. */
static void losses_of_all_last_and_masked_steps(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_rnn rnn = new_elman(set);
    wg_linear_layer head;
    CHECK(wg_linear_init(&head, set, "head", H, 4, wg_linear_defaults()) == WG_OK);
    const int32_t labels[T][B] = {{0, 1}, {3, 0}, {2, 2}, {1, 3}, {3, 1}, {2, 0}, {0, 3}, {1, 1}};
    const double mask[T] = {1, 0, 1};
    wg_tensor h[T], loss[T];
    run_elman(&rnn, tape, h);
    wg_tensor all = wg_linear_apply(&head, wg_stack(h, T, 0)); /* logits, [T, B, 4] */
    for (int t = 0; t < T; t++)
        loss[t] = wg_cross_entropy(wg_select(all, 0, t), wg_data(tape, WG_I32, WG_DIMS(B), labels[t]));
    wg_tensor W = wg_use(tape, rnn.cell[0].weight_hh), sum = wg_add_n(loss, T);
    wg_tensor d_sum = wg_grad1(sum, W, WG_NONE), d_mean = wg_grad1(wg_scale(sum, 1.0 / T), W, WG_NONE);
    CHECK(tensor_distance(d_sum, wg_scale(d_mean, T)) == 0 && tensor_distance(d_sum, d_mean) > 1e-4);
    wg_cross_entropy_options o = wg_cross_entropy_defaults();
    o.reduction = WG_REDUCE_NONE;
    wg_tensor terms = wg_cross_entropy_with(all, wg_data(tape, WG_I32, WG_DIMS(T, B), labels), o); /* [T, B] */
    CHECK(tensor_distance(wg_scale(wg_sum_all(terms), 1.0 / B), sum) < 1e-14);
    wg_tensor on_last = wg_mean_all(wg_select(terms, 0, T - 1));
    CHECK(tensor_distance(wg_grad1(on_last, W, WG_NONE), wg_grad1(loss[T - 1], W, WG_NONE)) < 1e-15);
    wg_tensor masked = wg_sum_all(wg_mul(terms, wg_data(tape, WG_F64, WG_DIMS(T, 1), mask)));
    wg_tensor alone = wg_scale(wg_add(loss[0], loss[2]), B);
    CHECK(tensor_distance(wg_grad1(masked, W, WG_NONE), wg_grad1(alone, W, WG_NONE)) < 1e-14);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* h_t = tanh(w h_{t-1} + x_t): dh_t/dw = b_t + c_t dh_{t-1}/dw with b_t = (1 - h_t^2) h_{t-1}, c_t = (1 - h_t^2) w, so
 * dh_t/dw = b_t + sum_{i<t} (prod_{j=i+1..t} c_j) b_i. The recursion, the closed form and the tape agree. */
static void the_recursion_has_its_closed_form(void)
{
    enum { LONGEST = 20 };
    wg_tape *tape = new_tape();
    const double w = 1.1;
    double x[LONGEST], b[LONGEST], c[LONGEST], last = 0.2, recursion = 0;
    fill(x, LONGEST, 80);
    wg_tensor weight = wg_scalar(tape, WG_F64, w), h = wg_scalar(tape, WG_F64, last);
    for (int t = 0; t < LONGEST; t++) {
        double now = tanh(w * last + x[t]), closed;
        b[t] = (1 - now * now) * last;
        c[t] = (1 - now * now) * w;
        recursion = b[t] + c[t] * recursion;
        closed = b[t];
        for (int i = 0; i < t; i++) {
            double product = b[i];
            for (int j = i + 1; j <= t; j++) product *= c[j];
            closed += product;
        }
        last = now;
        h = wg_tanh(wg_add(wg_mul(weight, h), wg_scalar(tape, WG_F64, x[t])));
        double taped = wg_item(wg_grad1(h, weight, WG_NONE));
        CHECK(fabs(taped - closed) < 1e-12 && fabs(recursion - closed) < 1e-12 && fabs(taped) > 1e-6);
    }
    wg_tape_free(tape);
}

/* dh_t/dh_{t-1} = diag(tanh'(W_hh h + W_xh x)) W_hh, and the product of these matrices is dh_T/dh_1. */
static void jacobians_of_elman_multiply(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_rnn rnn = new_elman(set);
    wg_tensor W = wg_use(tape, rnn.cell[0].weight_hh), h[T], product = WG_NONE;
    wg_rnn_state state = wg_rnn_zero_state(&rnn, tape, 1);
    for (int t = 0; t < T; t++) {
        h[t] = wg_rnn_step(&rnn, random_leaf(tape, WG_DIMS(1, IN), 90 + (unsigned)t), &state);
        if (t == 0) continue;
        wg_tensor j = wg_jacobian(h[t], h[t - 1]);
        wg_tensor slope = wg_rsub_scalar(1, wg_square(h[t])); /* tanh', [1, H] */
        CHECK(tensor_distance(j, wg_mul(wg_t(slope), W)) < 1e-15);
        product = t == 1 ? j : wg_matmul(j, product);
    }
    wg_tensor whole = wg_jacobian(h[T - 1], h[0]), u = random_leaf(tape, WG_DIMS(1, H), 99);
    CHECK(tensor_distance(whole, product) < 1e-15);
    CHECK(tensor_distance(wg_vjp(h[T - 1], h[0], u), wg_matmul(u, product)) < 1e-15);
    CHECK(tensor_distance(wg_t(wg_jvp(h[T - 1], h[0], u)), wg_matmul(product, wg_t(u))) < 1e-15);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* ---- truncation ---- */

/* The cost of the steps between two cuts. */
typedef struct cost {
    size_t bytes;                     /* the tape's peak */
    uint64_t nodes, instructions;     /* recorded and run for tau steps: equal for all chunks */
    uint64_t plans, chunks, executed; /* plans made; runs of tau steps; instructions of all of them */
} cost;

/* The gradient of the sum of losses on all steps, cut after every tau steps. */
static cost truncated_gradient(const wg_rnn *rnn, int length, int tau, double *gradient)
{
    cost all = {0};
    wg_tape *tape = new_tape();
    wg_zero_grad(wg_param_set(rnn->cell[0].weight_hh));
    wg_params *scratch = wg_params_new(WG_F64);
    wg_rnn_carry carry;
    CHECK(wg_rnn_carry_init(&carry, rnn, scratch, "state", B) == WG_OK);
    for (int begin = 0; begin < length; begin += tau) {
        wg_tensor y[64], loss[64];
        int n = length - begin < tau ? length - begin : tau;
        wg_rnn_state state = wg_rnn_carry_begin(&carry, tape);
        for (int t = 0; t < n; t++) {
            y[t] = wg_rnn_step(rnn, input_at(tape, begin + t), &state);
            loss[t] = weigh(y[t], 300 + (unsigned)(begin + t));
        }
        wg_rnn_carry_end(&carry, &state);
        CHECK(wg_backward(wg_add_n(loss, n)) == WG_OK);
        wg_tape_counts counts = wg_tape_count(tape);
        if (begin == 0) all = (cost){.nodes = counts.nodes, .instructions = counts.instructions};
        if (n == tau) CHECK(counts.nodes == all.nodes && counts.instructions == all.instructions);
        all.executed += counts.instructions;
        all.plans = counts.plan_misses;
        all.chunks++;
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    for (int i = 0; i < H * H; i++) gradient[i] = grad_at(rnn->cell[0].weight_hh, i);
    all.bytes = wg_tape_memory(tape).peak;
    wg_params_free(scratch);
    wg_tape_free(tape);
    return all;
}

/* With tau >= T this is the full gradient; with less it differs. */
static void truncation_cuts_gradients(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_rnn rnn = new_elman(set);
    double full[H * H], same[H * H], cut[H * H], by_detach[H * H];
    truncated_gradient(&rnn, 12, 12, full);
    truncated_gradient(&rnn, 12, 40, same);
    truncated_gradient(&rnn, 12, 3, cut);
    CHECK(distance(full, same, H * H) == 0 && distance(full, cut, H * H) > 1e-3);
    wg_tape *tape = new_tape(); /* the same cuts on one tape: the state is detached after every third step */
    wg_rnn_state state = wg_rnn_zero_state(&rnn, tape, B);
    wg_tensor loss[12];
    for (int t = 0; t < 12; t++) {
        if (t % 3 == 0) state = wg_rnn_detach_state(&rnn, &state);
        loss[t] = weigh(wg_rnn_step(&rnn, input_at(tape, t), &state), 300 + (unsigned)t);
    }
    wg_zero_grad(set);
    CHECK(wg_backward(wg_add_n(loss, 12)) == WG_OK);
    for (int i = 0; i < H * H; i++) by_detach[i] = grad_at(rnn.cell[0].weight_hh, i);
    CHECK(distance(cut, by_detach, H * H) < 1e-14);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* A chunk of a long sequence takes as much memory and work as one of a short sequence: the peak of the tape, the number
 * of recorded ops and of instructions do not depend on T, and one plan serves all chunks. Without cuts they grow with
 * T. */
static void truncation_bounds_memory_and_work(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_rnn rnn = new_elman(set);
    double gradient[H * H];
    const cost brief = truncated_gradient(&rnn, 20, 5, gradient),
               longer = truncated_gradient(&rnn, 2000, 5, gradient);
    CHECK(brief.bytes == longer.bytes && brief.bytes > 0);
    CHECK(brief.nodes == longer.nodes && brief.instructions == longer.instructions && brief.instructions > 0);
    CHECK(brief.chunks == 4 && brief.executed == 4 * brief.instructions && brief.plans == 1);
    CHECK(longer.chunks == 400 && longer.executed == 400 * longer.instructions && longer.plans == 1);
    const cost some = truncated_gradient(&rnn, 20, 20, gradient), more = truncated_gradient(&rnn, 60, 60, gradient);
    CHECK(more.bytes > some.bytes && more.nodes > 2 * some.nodes && more.instructions > 2 * some.instructions);
    CHECK(some.nodes > 2 * brief.nodes && some.instructions > 2 * brief.instructions);
    wg_params_free(set);
}

/* ---- gradient norms, the penalty on vanishing, random cuts (nn/bptt.h) ---- */

/* A linear scalar recurrence has |d h_T / d h_t| = |w|^(T - t), down to 1e-30 in f32. Unused states have norm 0. */
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
    CHECK(strstr(wg_tape_message(tape), "gradient_flow: 0 steps; at least 1 is required"));
    wg_tape_free(tape);
}

static wg_tensor penalised_loss(void *context, wg_tape *tape, wg_params *set)
{
    wg_tensor h[T];
    run_elman(context, tape, h);
    wg_tensor loss = wg_add(weigh(h[T - 1], 40), weigh(wg_square(h[2]), 41)); /* losses on two steps */
    return wg_add(loss, wg_scale(wg_vanishing_penalty(loss, h, T), 0.5));
}

/* For a scalar net |d h'/d h| is known, and its gradient is right. Without a gradient at a step it is 0, and finite. */
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

    wg_tensor e[T]; /* a loss on the middle step alone: later steps have no gradient */
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

/* The penalty works: steps on it alone bring the factor by which gradients shrink close to 1. */
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

/* The gradient of W_hh with random cuts of this probability between all steps. */
static void cut_gradient(const wg_rnn *rnn, wg_tape *tape, double probability, double *g, double *loss_value)
{
    wg_tensor loss[T];
    wg_rnn_state state = wg_rnn_zero_state(rnn, tape, B);
    for (int t = 0; t < T; t++) {
        if (t > 0) wg_random_truncation(&state.h[0], 1, probability);
        loss[t] = weigh(wg_rnn_step(rnn, input_at(tape, t), &state), 50 + (unsigned)t);
    }
    wg_tensor sum = wg_add_n(loss, T);
    wg_tensor d = wg_grad1(sum, wg_use(tape, rnn->cell[0].weight_hh), WG_NONE);
    CHECK(wg_read(d, g, H * H * sizeof *g) == WG_OK);
    *loss_value = wg_item(sum);
    CHECK(wg_tape_reset(tape) == WG_OK);
}

/* Cuts change no value. The mean gradient over many draws equals the full one within four standard errors of each
 * element, while that of cuts at fixed steps is far off. Two states are cut by the same draw. */
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

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(shared_weights_add_up_their_copies), TEST_CASE(losses_of_all_last_and_masked_steps),
        TEST_CASE(the_recursion_has_its_closed_form),  TEST_CASE(jacobians_of_elman_multiply),
        TEST_CASE(truncation_cuts_gradients),          TEST_CASE(truncation_bounds_memory_and_work),
        TEST_CASE(gradient_flow_is_measured),          TEST_CASE(vanishing_penalty_is_the_papers),
        TEST_CASE(vanishing_penalty_opens_the_way),    TEST_CASE(random_truncation_is_unbiased)};
    return RUN_TESTS(tests);
}
