/* The mechanics of training by textbook formulas: activations, softmax and cross entropy, the chain rule, clipping,
 * dropout, embeddings, accumulated gradients, one step of SGD. (Every op: test_ops. Optimizers: test_optim,
 * test_golden. Through time: test_bptt. Loaders, early stopping: test_loop.) */
#include "tensors.h"

static wg_tensor list(wg_tape *tape, int n, const double *x) { return wg_data(tape, WG_F64, WG_DIMS(n), x); }
static double slope_at(wg_tensor y, wg_tensor x, int i)
{
    const double *d = wg_value(wg_grad1(y, x, WG_NONE));
    return d ? d[i] : NAN;
}

/* ---- activations ---- */

static wg_tensor leaky(wg_tensor x) { return wg_leaky_relu(x, 0.1); }
static wg_tensor same(wg_tensor x) { return x; }

/* Derivatives by their formulas in terms of the value. That of step is 0: it blocks gradients. */
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

/* Three classes (dog, cat, cloud) with labels cloud, dog, cat: one-hot rows and numbers give the same loss, the
 * gradient by the logits is p - t, and logits of 1e4 do not overflow. */
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

/* w1 -> h1 -> prediction -> error: local derivatives multiply; the gradients of two readers add. */
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
    CHECK(wg_item(shared) == 1);           /* a sum passes the gradient on */
    CHECK(slope_at(product, h1, 0) == w1); /* a product multiplies it by the other operand */
    CHECK(fabs(slope_at(product, a, 0) - (h + w1 * local[2])) < 1e-15); /* two paths add */
    wg_tape_free(tape);
}

/* ---- clipping ---- */

/* One norm over all parameters; the direction is kept; NaN and infinity leave the gradients unchanged. */
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

/* Zero or 1 / (1 - p), with the right frequency; the mask is a function of seed and step, for any number of threads. */
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
        CHECK(memcmp(masks[round], wg_value(d), sizeof masks[round]) == 0); /* the same mask in the backward pass */
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

/* Looking up rows equals a product with one-hot rows; repeated indices add up; padding has no gradient. */
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

/* Two half batches after one zero_grad accumulate the gradient of the whole batch. */
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

/* theta - eps times the gradient of the mean of L over samples i .. j - 1, by hand: L = (w x + b - y)^2 / 2. */
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

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(activations_and_their_derivatives),    TEST_CASE(softmax_and_its_jacobian),
        TEST_CASE(cross_entropy_of_one_hot_and_numbers), TEST_CASE(three_nodes_show_the_chain_rule),
        TEST_CASE(clipping_keeps_the_direction),         TEST_CASE(dropout_scales_and_can_be_repeated),
        TEST_CASE(embedding_is_a_one_hot_product),       TEST_CASE(halves_of_a_batch_add_up),
        TEST_CASE(a_step_of_sgd_on_a_minibatch)};
    return RUN_TESTS(tests);
}
