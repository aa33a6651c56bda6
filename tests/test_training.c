/* The mechanics of training: activations, softmax and cross entropy as they are taught, clipping, dropout, embeddings,
 * accumulated gradients; gradients through time that are measured, kept and cut; the loader, early stopping, averages.
 * (Every op: test_ops. Optimizers: test_optim, test_golden.) */
#include "check.h"

#include <unistd.h>

static wg_tape *new_tape(void) { return wg_tape_new(wg_tape_defaults()); }
static wg_tensor list(wg_tape *tape, int n, const double *x) { return wg_data(tape, WG_F64, WG_DIMS(n), x); }
static double slope_at(wg_tensor y, wg_tensor x, int i)
{
    const double *d = wg_value(wg_grad1(y, x, WG_NONE));
    return d ? d[i] : NAN;
}

/* ---- activations ---- */

static wg_tensor leaky(wg_tensor x) { return wg_leaky_relu(x, 0.1); }
static wg_tensor same(wg_tensor x) { return x; }

/* Derivatives by their formulas in terms of the value; step's is 0 everywhere: it cannot be trained through. */
static void activations_and_their_derivatives(void)
{
    enum { N = 9 };
    const double x[N] = {-1e4, -800, -2, -0.5, 0, 0.5, 2, 800, 1e4};
    wg_tensor (*const f[])(wg_tensor) = {same, wg_step, wg_relu, leaky, wg_sigmoid, wg_tanh};
    wg_tape *tape = new_tape();
    for (int k = 0; k < 6; k++) {
        wg_tensor in = list(tape, N, x), out = f[k](in);
        const double *y = wg_value(out), *d = wg_value(wg_grad1(out, in, WG_NONE));
        for (int i = 0; i < N; i++) {
            const double on = x[i] > 0, value[] = {x[i],
                                                   on,
                                                   on * x[i],
                                                   fmax(0.1 * x[i], x[i]),
                                                   x[i] < 0 ? exp(x[i]) / (1 + exp(x[i])) : 1 / (1 + exp(-x[i])),
                                                   tanh(x[i])};
            const double derivative[] = {1, 0, on, on ? 1 : 0.1, y[i] * (1 - y[i]), 1 - y[i] * y[i]};
            CHECK(fabs(y[i] - value[k]) <= 1e-15 * fabs(value[k]) && isfinite(y[i]));
            CHECK(fabs(d[i] - derivative[k]) < 1e-15 && isfinite(d[i]));
        }
    }
    wg_tape_free(tape);
}

/* ---- softmax, cross entropy ---- */

/* df_i/dx_j = f_i (delta_ij - f_j), along any axis, finite at 1e4. */
static void softmax_and_its_jacobian(void)
{
    const double rows[3][4] = {{0.3, -1, 2, 0.1}, {1e4, 0, -1e4, 1e4}, {-1e4, -1e4, -1e4 + 1, -1e4}};
    wg_tape *tape = new_tape();
    for (int r = 0; r < 3; r++) {
        wg_tensor x = list(tape, 4, rows[r]), y = wg_softmax(x, 0);
        const double *f = wg_value(y), *j = wg_value(wg_jacobian(y, x));
        CHECK(fabs(f[0] + f[1] + f[2] + f[3] - 1) < 1e-15);
        for (int i = 0; i < 16; i++) CHECK(fabs(j[i] - f[i / 4] * ((i / 4 == i % 4) - f[i % 4])) < 1e-15);
    }
    wg_tensor x = random_leaf(tape, WG_DIMS(2, 3, 4), 1);
    for (int axis = 0; axis < 3; axis++) {
        wg_tensor first = wg_transpose(wg_softmax(wg_transpose(x, axis, 2), -1), axis, 2);
        CHECK(tensor_distance(first, wg_softmax(x, axis)) < 1e-15);
    }
    wg_tape_free(tape);
}

/* Three classes (dog, cat, cloud) with labels cloud, dog, cat: one-hot rows and numbers say the same, the gradient by
 * the logits is p - t, and logits of 1e4 do no harm. */
static void cross_entropy_of_one_hot_and_numbers(void)
{
    const double one_hot[3][3] = {{0, 0, 1}, {1, 0, 0}, {0, 1, 0}},
                 s[3][3] = {{0.2, -0.4, 1.3}, {1, 2, 3}, {0, 1e4, -1e4}};
    const int32_t numbers[3] = {2, 0, 1};
    wg_tape *tape = new_tape();
    wg_tensor logits = wg_data(tape, WG_F64, WG_DIMS(3, 3), s), t = wg_data(tape, WG_F64, WG_DIMS(3, 3), one_hot);
    wg_tensor labels = wg_data(tape, WG_I32, WG_DIMS(3), numbers);
    CHECK(tensor_distance(wg_one_hot(labels, 3, WG_F64), t) == 0);
    wg_cross_entropy_options o = wg_cross_entropy_defaults();
    o.reduction = WG_SUM;
    wg_tensor by_rows = wg_cross_entropy_with(logits, t, o), by_numbers = wg_cross_entropy_with(logits, labels, o);
    double want = 0; /* -sum_i t_i log f(s)_i */
    for (int r = 0; r < 2; r++) want += log(exp(s[r][0]) + exp(s[r][1]) + exp(s[r][2])) - s[r][numbers[r]];
    CHECK(fabs(wg_item(by_numbers) - want) < 1e-14 && fabs(wg_item(by_rows) - want) < 1e-14);
    wg_tensor p_t = wg_sub(wg_softmax(logits, -1), t);
    CHECK(tensor_distance(wg_grad1(by_numbers, logits, WG_NONE), p_t) < 1e-15);
    CHECK(tensor_distance(wg_grad1(by_rows, logits, WG_NONE), p_t) < 1e-15);
    wg_tape_free(tape);
}

/* ---- the chain rule ---- */

/* w1 -> h1 -> prediction -> error: the local derivatives multiply; what two readers send back is added. */
static void three_nodes_show_the_chain_rule(void)
{
    wg_tape *tape = new_tape();
    const double x = 0.7, w1 = 0.4, w2 = -1.3, target = 0.5;
    wg_tensor a = wg_scalar(tape, WG_F64, w1), h1 = wg_tanh(wg_scale(a, x));
    wg_tensor prediction = wg_scale(h1, w2), error = wg_square(wg_sub_scalar(prediction, target));
    double local[3] = {slope_at(error, prediction, 0), slope_at(prediction, h1, 0), slope_at(h1, a, 0)};
    double h = tanh(w1 * x);
    CHECK(fabs(local[0] - 2 * (w2 * h - target)) < 1e-15 && local[1] == w2 &&
          fabs(local[2] - (1 - h * h) * x) < 1e-15);
    CHECK(fabs(slope_at(error, a, 0) - local[0] * local[1] * local[2]) < 1e-15);
    wg_tensor sum = wg_add(h1, a), product = wg_mul(h1, a), shared = wg_grad1(sum, h1, WG_NONE);
    CHECK(wg_item(shared) == 1);                                        /* a sum hands the gradient on */
    CHECK(slope_at(product, h1, 0) == w1);                              /* a product hands on the other */
    CHECK(fabs(slope_at(product, a, 0) - (h + w1 * local[2])) < 1e-15); /* two paths, added */
    wg_tape_free(tape);
}

/* ---- clipping ---- */

/* One norm over all parameters; the direction stays; NaN and Inf leave the gradients as they are. */
static void clipping_keeps_the_direction(void)
{
    const double start[2][3] = {{3, -4, 12}, {0.5, 0, -2}};
    wg_params *set = wg_params_new(WG_F64);
    wg_param *p[2];
    for (int k = 0; k < 2; k++) p[k] = wg_param_new(set, k ? "b" : "a", WG_DIMS(3), wg_init_zeros());
    for (int round = 0; round < 4; round++) {
        double square = 0, norm, after = 0;
        for (int k = 0; k < 2; k++) {
            double *g = wg_param_grad_write_begin(p[k]);
            memcpy(g, start[k], sizeof start[k]);
            if (round == 3) g[0] = k ? INFINITY : NAN;
            wg_param_grad_write_end(p[k]);
            for (int i = 0; i < 3; i++) square += start[k][i] * start[k][i];
        }
        const double limit = round == 0   ? 1
                             : round == 1 ? sqrt(square)
                             : round == 2 ? 100
                                          : 1; /* above, at, below */
        CHECK(wg_clip_grad_norm(set, limit, &norm) == WG_OK);
        CHECK(round == 3 ? isnan(norm) : fabs(norm - sqrt(square)) < 1e-14);
        for (int i = 0; i < 6; i++) {
            double g = grad_at(p[i / 3], i % 3), was = start[i / 3][i % 3];
            after += g * g;
            if (round == 3 && i % 3 == 0) continue;
            CHECK(round == 0 ? fabs(g - was / norm * limit) < 1e-6 : g == was);
        }
        CHECK(round > 0 || fabs(sqrt(after) - limit) < 1e-6);
    }
    wg_params_free(set);
}

/* ---- dropout ---- */

/* Zero or 1 / (1 - p), about as often as said; the mask is a function of seed and step, whatever the threads. */
static void dropout_scales_and_can_be_repeated(void)
{
    enum { N = 40000 };
    static float masks[4][N];
    for (int round = 0; round < 4; round++) { /* 1 thread, 3 threads, another step, another seed */
        wg_pool *pool = wg_pool_new(round == 1 ? 3 : 1);
        wg_tape_options o = wg_tape_defaults();
        o.pool = pool;
        o.seed = round == 3 ? 8 : 7;
        wg_tape *tape = wg_tape_new(o);
        wg_set_step(tape, round == 2 ? 6 : 5);
        wg_tensor x = wg_ones(tape, WG_F32, WG_DIMS(200, N / 200)), y = wg_dropout(x, 0.3);
        wg_tensor d = wg_grad1(wg_sum_all(y), x, WG_NONE);
        CHECK(wg_read(y, masks[round], sizeof masks[round]) == WG_OK);
        CHECK(memcmp(masks[round], wg_value(d), sizeof masks[round]) == 0); /* the same mask on the way back */
        wg_set_training(tape, false);
        const float *plain = wg_value(wg_dropout(x, 0.3));
        for (int i = 0; i < N; i++) CHECK(plain[i] == 1);
        wg_tape_free(tape);
        wg_pool_free(pool);
    }
    int zeros = 0;
    for (int i = 0; i < N; i++) {
        zeros += masks[0][i] == 0;
        CHECK(masks[0][i] == 0 || fabsf(masks[0][i] - 1 / 0.7f) < 1e-6f);
    }
    CHECK(abs(zeros - N * 3 / 10) < 5 * 92); /* five standard deviations */
    CHECK(memcmp(masks[0], masks[1], sizeof masks[0]) == 0);
    CHECK(memcmp(masks[0], masks[2], sizeof masks[0]) != 0 && memcmp(masks[0], masks[3], sizeof masks[0]) != 0);
}

/* ---- embedding ---- */

/* The rows of a matrix are its product with one-hot rows; an index that comes twice adds up; padding gives nothing. */
static void embedding_is_a_one_hot_product(void)
{
    const int32_t words[6] = {4, 1, 4, 0, 2, 4};
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_embedding_layer e, padded;
    CHECK(wg_embedding_init(&e, set, "e", 5, 3, -1) == WG_OK &&
          wg_embedding_init(&padded, set, "p", 5, 3, 4) == WG_OK);
    wg_tensor index = wg_data(tape, WG_I32, WG_DIMS(2, 3), words), W = wg_use(tape, e.weight);
    wg_tensor rows = wg_embedding_apply(&e, index), product = wg_matmul(wg_one_hot(index, 5, WG_F64), W);
    CHECK(tensor_distance(rows, product) == 0);
    wg_tensor d = wg_grad1(weigh(rows, 3), W, WG_NONE), by_product = wg_grad1(weigh(product, 3), W, WG_NONE);
    CHECK(tensor_distance(d, by_product) < 1e-15);
    double r[18];
    fill(r, 18, 3);
    const double *g = wg_value(d);
    for (int k = 0; k < 3; k++) {
        CHECK(fabs(g[4 * 3 + k] - (r[k] + r[6 + k] + r[15 + k])) < 1e-15 && g[3 * 3 + k] == 0);
    }
    wg_tensor P = wg_use(tape, padded.weight), with_padding = wg_embedding_apply(&padded, index);
    const double *v = wg_value(with_padding), *gp = wg_value(wg_grad1(weigh(with_padding, 3), P, WG_NONE));
    for (int k = 0; k < 3; k++)
        CHECK(v[k] == 0 && v[6 + k] == 0 && gp[12 + k] == 0 && fabs(gp[3 + k] - r[3 + k]) < 1e-15);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* ---- accumulation ---- */

/* Two halves of a batch, one after the other, with one zero_grad before both: the gradient of the whole. */
static void halves_of_a_batch_add_up(void)
{
    enum { N = 8, IN = 5 };
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_linear_layer layer;
    wg_linear_init(&layer, set, "", IN, 3, wg_linear_defaults());
    double whole[3 * IN], x[N][IN], target[N][3];
    fill(&x[0][0], N * IN, 20);
    fill(&target[0][0], N * 3, 21);
    for (int parts = 1; parts <= 2; parts++) {
        wg_zero_grad(set);
        for (int part = 0; part < parts; part++) {
            int n = N / parts, from = part * n;
            wg_tensor y = wg_tanh(wg_linear_apply(&layer, wg_data(tape, WG_F64, WG_DIMS(n, IN), x[from])));
            wg_tensor loss = wg_mse(y, wg_data(tape, WG_F64, WG_DIMS(n, 3), target[from]), WG_MEAN);
            CHECK(wg_backward(wg_scale(loss, 1.0 / parts)) == WG_OK && wg_tape_reset(tape) == WG_OK);
        }
        const double *g = wg_param_grad(layer.weight);
        CHECK(parts == 1 || distance(g, whole, 3 * IN) < 1e-15);
        memcpy(whole, g, sizeof whole);
    }
    CHECK(fabs(whole[0]) > 1e-4);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* ---- a step ---- */

/* theta - eps grad of the mean of L over the samples i .. j - 1, by hand to the last bits: L = (w x + b - y)^2 / 2. */
static void a_step_of_sgd_on_a_minibatch(void)
{
    enum { N = 6, FROM = 2, TO = 5 };
    const double x[N] = {0.5, -1, 2, 0.25, -3, 1}, y[N] = {1, 0, -1, 2, 0.5, 3}, eps = 0.125;
    double w = 0.75, b = -0.5, dw = 0, db = 0;
    wg_params *set = wg_params_new(WG_F64);
    wg_tape *tape = new_tape();
    wg_param *pw = wg_param_new(set, "w", WG_SCALAR, wg_init_constant(w)),
             *pb = wg_param_new(set, "b", WG_SCALAR, wg_init_constant(b));
    wg_sgd_options o = wg_sgd_defaults();
    o.lr = eps;
    wg_optimizer *sgd = wg_sgd_new(set, o);
    wg_tensor in = wg_slice(list(tape, N, x), 0, FROM, TO), target = wg_slice(list(tape, N, y), 0, FROM, TO);
    wg_tensor out = wg_add(wg_mul(in, wg_use(tape, pw)), wg_use(tape, pb));
    wg_zero_grad(set);
    CHECK(wg_backward(wg_scale(wg_mse(out, target, WG_MEAN), 0.5)) == WG_OK && wg_tape_reset(tape) == WG_OK);
    CHECK(wg_optimizer_step(sgd) == WG_OK);
    for (int i = FROM; i < TO; i++) {
        dw += (w * x[i] + b - y[i]) * x[i] / (TO - FROM);
        db += (w * x[i] + b - y[i]) / (TO - FROM);
    }
    CHECK(fabs(*(const double *)wg_param_value(pw) - (w - eps * dw)) < 1e-15);
    CHECK(fabs(*(const double *)wg_param_value(pb) - (b - eps * db)) < 1e-15 && fabs(db) > 0.1);
    wg_optimizer_free(sgd);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* ---- gradients through time ---- */

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

/* ---- the loader ---- */

/* Each sample once in an epoch. */
static void check_epoch(wg_loader *l, int64_t n, uint64_t epoch, int64_t wanted)
{
    char seen[200] = {0};
    int64_t batches = wg_loader_batches(l), total = 0;
    for (int64_t i = 0; i < batches; i++) {
        const int64_t *samples;
        int64_t size = wg_loader_batch(l, epoch * (uint64_t)batches + (uint64_t)i, &samples);
        for (int64_t k = 0; k < size; k++) {
            CHECK(samples[k] >= 0 && samples[k] < n && !seen[samples[k]]);
            seen[samples[k]] = 1;
        }
        total += size;
    }
    CHECK(total == wanted);
}

static void loader_gives_each_sample_once_an_epoch(void)
{
    enum { N = 103 };
    int32_t lengths[N];
    for (int i = 0; i < N; i++) lengths[i] = 1 + i * 37 % 50;
    for (int kind = 0; kind < 16; kind++) {
        wg_loader_options o = wg_loader_defaults();
        o.batch = kind & 1 ? 10 : 1 + kind;
        o.shuffle = (kind & 2) != 0;
        o.drop_last = (kind & 4) != 0;
        o.lengths = kind & 8 ? lengths : NULL;
        o.bucket = 3;
        o.seed = (uint64_t)kind;
        wg_loader *l = wg_loader_new(N, o, NULL);
        CHECK(l && wg_loader_batches(l) == (o.drop_last ? N / o.batch : (N + o.batch - 1) / o.batch));
        for (uint64_t epoch = 0; epoch < 3; epoch++) check_epoch(l, N, epoch, o.drop_last ? N - N % o.batch : N);
        const int64_t *samples;
        CHECK(wg_loader_batch(l, 0, &samples) == o.batch);
        if (!o.shuffle && !o.lengths) CHECK(samples[0] == 0 && samples[o.batch - 1] == o.batch - 1);
        wg_loader_free(l);
    }
}

/* The order is a function of seed and step: the same in a run that is resumed, another in the next epoch. */
static void loader_resumes_from_a_step(void)
{
    wg_loader_options o = wg_loader_defaults();
    int32_t lengths[100];
    for (int i = 0; i < 100; i++) lengths[i] = i % 13;
    o.batch = 7;
    o.lengths = lengths;
    o.bucket = 2;
    wg_loader *a = wg_loader_new(100, o, NULL), *b = wg_loader_new(100, o, NULL);
    int64_t all[40][7], repeats = 0;
    const int64_t *samples;
    for (uint64_t step = 0; step < 40; step++) {
        int64_t n = wg_loader_batch(a, step, &samples);
        memcpy(all[step], samples, (size_t)n * sizeof *samples);
    }
    for (uint64_t i = 0; i < 40; i++) { /* in any order */
        uint64_t step = i * 17 % 40;
        int64_t n = wg_loader_batch(b, step, &samples);
        CHECK(memcmp(all[step], samples, (size_t)n * sizeof *samples) == 0);
    }
    for (int k = 0; k < 7; k++) repeats += all[0][k] == all[15][k]; /* 15 batches in an epoch */
    CHECK(repeats < 7);
    o.seed = 1;
    wg_loader *c = wg_loader_new(100, o, NULL);
    wg_loader_batch(c, 0, &samples);
    CHECK(memcmp(all[0], samples, sizeof all[0]) != 0);
    wg_loader_free(a);
    wg_loader_free(b);
    wg_loader_free(c);
}

/* First elements of many epochs are all samples, about equally often (chi squared). */
static void loader_shuffles_evenly(void)
{
    enum { N = 10, EPOCHS = 5000 };
    wg_loader *l = wg_loader_new(N, wg_loader_defaults(), NULL);
    int count[N][N] = {{0}};
    double chi = 0;
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++)
        for (uint64_t i = 0; i < N; i++) {
            const int64_t *samples;
            wg_loader_batch(l, epoch * N + i, &samples);
            count[i][samples[0]]++;
        }
    for (int i = 0; i < N * N; i++) chi += pow(count[i / N][i % N] - EPOCHS / N, 2) / (EPOCHS / N);
    CHECK(chi > 40 && chi < 140); /* 81 degrees of freedom: 81 +- 13 */
    wg_loader_free(l);
}

static void loader_buckets_by_length(void)
{
    enum { N = 4000, BATCH = 20 };
    static int32_t lengths[N];
    double r[N];
    fill(r, N, 70);
    for (int i = 0; i < N; i++) lengths[i] = (int32_t)(50 + 49 * r[i]);
    double padding[2] = {0}, previous = 0, rising = 0;
    for (int bucketed = 0; bucketed < 2; bucketed++) {
        wg_loader_options o = wg_loader_defaults();
        o.batch = BATCH;
        o.lengths = bucketed ? lengths : NULL;
        wg_loader *l = wg_loader_new(N, o, NULL);
        for (uint64_t step = 0; step < N / BATCH; step++) {
            const int64_t *samples;
            int64_t n = wg_loader_batch(l, step, &samples);
            int32_t longest = 0;
            for (int64_t k = 0; k < n; k++) longest = lengths[samples[k]] > longest ? lengths[samples[k]] : longest;
            for (int64_t k = 0; k < n; k++) padding[bucketed] += longest - lengths[samples[k]];
            if (bucketed) rising += longest > previous, previous = longest;
        }
        wg_loader_free(l);
    }
    CHECK(padding[1] < padding[0] / 15);
    CHECK(rising > 0.35 * N / BATCH && rising < 0.65 * N / BATCH); /* short and long ones come mixed */
}

static void loader_refuses(void)
{
    wg_loader_options o = wg_loader_defaults();
    wg_error error = {0};
    CHECK(!wg_loader_new(0, o, &error) && error.status == WG_ERR_ARGUMENT &&
          strstr(error.text, "at least one sample"));
    for (int64_t batch = 0; batch < 7; batch += 6) {
        error = (wg_error){0};
        o.batch = batch;
        CHECK(!wg_loader_new(5, o, &error) &&
              strstr(error.text, "a batch must have at least 1 sample and not more"));
    }
    error = (wg_error){0};
    o = (wg_loader_options){.batch = 1, .lengths = (const int32_t[]){1, 2}};
    CHECK(!wg_loader_new(2, o, &error) && strstr(error.text, "bucket must be at least 1"));
    CHECK(wg_loader_batches(NULL) == 0);
    wg_loader_free(NULL);
}

/* ---- stopping early ---- */

static void early_stop_keeps_the_best(void)
{
    const double losses[] = {3, 2, 2.5, NAN, 1.5, 1.49, 1.6, 1.7, 9};
    char path[] = "/tmp/wengert-best-XXXXXX";
    CHECK(close(mkstemp(path)) == 0);
    wg_params *set = wg_params_new(WG_F64);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(2), wg_init_zeros());
    wg_checkpoint checkpoint = {.params = set, .seed = 5};
    wg_early_stop stop = wg_early_stop_defaults();
    wg_error error = {0};
    stop.patience = 3;
    stop.min_delta = 0.1;
    stop.path = path;
    CHECK(wg_early_stop_restore(&stop, &checkpoint, &error) == WG_ERR_ARGUMENT &&
          strstr(error.text, "no best checkpoint"));
    int steps = 0;
    for (; steps < 9 && !wg_early_stop_due(&stop); steps++) {
        set_param(w, (double[]){steps, -steps});
        checkpoint.step = (uint64_t)(10 * steps);
        CHECK(wg_early_stop_update(&stop, losses[steps], &checkpoint, &error) == WG_OK);
    }
    CHECK(steps == 8 && stop.best == 1.5 && stop.step == 40 && stop.since == 3); /* 1.49 is not better by 0.1 */
    error = (wg_error){0};
    CHECK(wg_early_stop_restore(&stop, &checkpoint, &error) == WG_OK && checkpoint.step == 40);
    CHECK(((const double *)wg_param_value(w))[0] == 4 && ((const double *)wg_param_value(w))[1] == -4);
    wg_early_stop accuracy = wg_early_stop_defaults();
    accuracy.higher = true;
    accuracy.path = "/nowhere/at/all";
    CHECK(wg_early_stop_update(&accuracy, 0.5, &checkpoint, &error) == WG_ERR_IO && isnan(accuracy.best));
    accuracy.path = NULL;
    CHECK(wg_early_stop_update(&accuracy, 0.5, NULL, NULL) == WG_OK);
    CHECK(wg_early_stop_update(&accuracy, 0.4, NULL, NULL) == WG_OK && accuracy.best == 0.5 && accuracy.since == 1);
    CHECK(wg_early_stop_update(&accuracy, 0.6, NULL, NULL) == WG_OK && accuracy.best == 0.6 && accuracy.since == 0);
    unlink(path);
    wg_params_free(set);
}

/* ---- average of weights ---- */

/* m_k = d m_{k-1} + (1 - d) p_k, divided by 1 - d^k; with decay 1 the mean; swapped in and out without a bit lost. */
static void averages_of_weights(void)
{
    const double decays[] = {0.9, 1, 0};
    for (int kind = 0; kind < 6; kind++) {
        const double decay = decays[kind % 3];
        const bool f64 = kind < 3;
        wg_params *set = wg_params_new(f64 ? WG_F64 : WG_F32);
        wg_param *w = wg_param_new(set, "w", WG_DIMS(3, 700), wg_init_zeros());
        wg_param_tie(set, "tied", w);
        wg_param *count = wg_param_new(set, "count", WG_SCALAR, wg_init_zeros());
        wg_average *average = wg_average_new(set, decay);
        CHECK(average && wg_params_count(set) == 6 && !wg_param_find(set, "average.tied"));
        wg_average_swap(average); /* before the first update: nothing to swap */
        CHECK(wg_average_is_swapped(average) && wg_average_update(average) == WG_ERR_ARGUMENT);
        wg_average_swap(average);
        static double p[2100], m[2100], mean[2100];
        memset(m, 0, sizeof m);
        memset(mean, 0, sizeof mean);
        for (int k = 1; k <= 7; k++) {
            fill(p, 2100, 80 + (unsigned)k);
            void *value = wg_param_write_begin(w);
            for (int i = 0; i < 2100; i++) {
                if (f64)
                    ((double *)value)[i] = p[i];
                else
                    ((float *)value)[i] = (float)p[i];
                m[i] = decay * m[i] + (1 - decay) * p[i];
                mean[i] += p[i] / 7;
            }
            wg_param_write_end(w);
            CHECK(wg_average_update(average) == WG_OK);
        }
        uint64_t version = wg_param_version(w);
        wg_average_swap(average);
        CHECK(wg_param_version(w) > version && wg_average_is_swapped(average));
        double worst = 0;
        for (int i = 0; i < 2100; i++) {
            const void *value = wg_param_value(w);
            double have = f64 ? ((const double *)value)[i] : ((const float *)value)[i];
            worst = fmax(worst, fabs(have - (decay == 1 ? mean[i] : m[i] / (1 - pow(decay, 7)))));
        }
        CHECK(worst < (f64 ? 1e-14 : 1e-6));
        wg_average_swap(average);
        const void *value = wg_param_value(w);
        for (int i = 0; i < 2100; i++)
            CHECK(f64 ? ((const double *)value)[i] == p[i] : ((const float *)value)[i] == (float)p[i]);
        CHECK(wg_param_numel(count) == 1);
        wg_average_free(average);
        average = wg_average_new(set, decay); /* takes over what is there */
        CHECK(average && wg_params_count(set) == 6 && wg_average_update(average) == WG_OK);
        const void *updates = wg_param_value(wg_param_find(set, "average_count"));
        CHECK((f64 ? *(const double *)updates : *(const float *)updates) == 8);
        wg_average_free(average);
        wg_params_free(set);
    }
}

/* A run that is stopped and goes on from its checkpoint has the same averages, bit for bit. */
static void averages_are_in_checkpoints(void)
{
    char path[] = "/tmp/wengert-average-XXXXXX";
    double ends[2][5];
    CHECK(close(mkstemp(path)) == 0);
    for (int resumed = 0; resumed < 2; resumed++) {
        wg_params *set = wg_params_new(WG_F64);
        wg_param *w = wg_param_new(set, "w", WG_DIMS(5), wg_init_zeros());
        wg_average *average = wg_average_new(set, 0.8);
        wg_checkpoint checkpoint = {.params = set};
        wg_error error = {0};
        int step = 0;
        if (resumed) {
            wg_safetensors *file = wg_safetensors_open(path, &error);
            CHECK(file && wg_checkpoint_load(file, &checkpoint, NULL, NULL, &error) == WG_OK);
            wg_safetensors_close(file);
            step = (int)checkpoint.step;
            CHECK(step == 3);
        }
        for (; step < 6; step++) {
            double p[5];
            checkpoint.step = (uint64_t)step;
            if (step == 3 && !resumed) CHECK(wg_checkpoint_save(path, &checkpoint, &error) == WG_OK);
            fill(p, 5, 90 + (unsigned)step);
            set_param(w, p);
            CHECK(wg_average_update(average) == WG_OK);
        }
        wg_average_swap(average);
        memcpy(ends[resumed], wg_param_value(w), sizeof ends[resumed]);
        wg_average_free(average);
        wg_params_free(set);
    }
    CHECK(memcmp(ends[0], ends[1], sizeof ends[0]) == 0);
    unlink(path);
}

static void averages_refuse(void)
{
    wg_params *set = wg_params_new(WG_F32);
    CHECK(!wg_average_new(NULL, 0.9) && !wg_average_new(set, 1.5) && strstr(wg_params_message(set), "decay 1.5"));
    wg_params_clear_error(set);
    CHECK(!wg_average_new(set, NAN));
    wg_params_clear_error(set);
    wg_param_new(set, "w", WG_DIMS(3), wg_init_zeros());
    wg_param_new(set, "average.w", WG_DIMS(3), wg_init_zeros()); /* no buffer */
    CHECK(!wg_average_new(set, 0.9) && strstr(wg_params_message(set), "average.w is there and is something else"));
    CHECK(wg_average_update(NULL) == WG_ERR_ARGUMENT && !wg_average_is_swapped(NULL));
    wg_average_swap(NULL);
    wg_average_free(NULL);
    wg_params_free(set);
}

int main(void)
{
    static const test tests[] = {TEST(activations_and_their_derivatives),
                                 TEST(softmax_and_its_jacobian),
                                 TEST(cross_entropy_of_one_hot_and_numbers),
                                 TEST(three_nodes_show_the_chain_rule),
                                 TEST(clipping_keeps_the_direction),
                                 TEST(dropout_scales_and_can_be_repeated),
                                 TEST(embedding_is_a_one_hot_product),
                                 TEST(halves_of_a_batch_add_up),
                                 TEST(a_step_of_sgd_on_a_minibatch),
                                 TEST(gradient_flow_is_measured),
                                 TEST(vanishing_penalty_is_the_papers),
                                 TEST(vanishing_penalty_opens_the_way),
                                 TEST(random_truncation_is_unbiased),
                                 TEST(loader_gives_each_sample_once_an_epoch),
                                 TEST(loader_resumes_from_a_step),
                                 TEST(loader_shuffles_evenly),
                                 TEST(loader_buckets_by_length),
                                 TEST(loader_refuses),
                                 TEST(early_stop_keeps_the_best),
                                 TEST(averages_of_weights),
                                 TEST(averages_are_in_checkpoints),
                                 TEST(averages_refuse)};
    return run_tests(tests, sizeof tests / sizeof *tests);
}
