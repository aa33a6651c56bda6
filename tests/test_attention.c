/* The attention op: every option against a plain loop, queries without a visible key, scratch, worked examples.
 * (Its layers: test_attention_layers. test_golden_attention compares with PyTorch.) */
#include "tensors.h"

/* ---- the op against a plain loop ---- */

enum { BATCH = 2, HEADS = 3, SIZE = 3, VALUE = 2 };

typedef struct op_case {
    int rank, Tq, Tk;
    wg_attention_options o;
    bool mask, bias;
} op_case;

static bool may_see(const op_case *c, const unsigned char *mask, int n, int i, int j)
{
    if (c->o.causal && j > i) return false;
    if (c->o.window >= 0 && abs(i - j) > c->o.window) return false;
    return !c->mask || mask[(n * c->Tq + i) * c->Tk + j];
}

/* Row n of the batch. */
static void plain_loop(const op_case *c, int n, const double *q, const double *k, const double *v,
                       const unsigned char *mask, const double *bias, double *out, double *weights)
{
    const double scale = c->o.scale < 0 ? 1 / sqrt(SIZE) : c->o.scale;
    for (int i = 0; i < c->Tq; i++) {
        double e[16], sum = 0, *w = weights + (n * c->Tq + i) * c->Tk, *z = out + (n * c->Tq + i) * VALUE;
        for (int j = 0; j < c->Tk; j++) {
            double dot = 0;
            for (int d = 0; d < SIZE; d++) dot += q[(n * c->Tq + i) * SIZE + d] * k[(n * c->Tk + j) * SIZE + d];
            e[j] = may_see(c, mask, n, i, j) ? exp(scale * dot + (c->bias ? bias[i * c->Tk + j] : 0)) : 0;
            sum += e[j];
        }
        for (int d = 0; d < VALUE; d++) z[d] = 0;
        for (int j = 0; j < c->Tk; j++) {
            w[j] = sum > 0 ? e[j] / sum : 0;
            for (int d = 0; d < VALUE; d++) z[d] += w[j] * v[(n * c->Tk + j) * VALUE + d];
        }
    }
}

static wg_shape shape_of(int rank, int64_t rows, int64_t cols)
{
    return rank == 2   ? WG_DIMS(rows, cols)
           : rank == 3 ? WG_DIMS(BATCH, rows, cols)
                       : WG_DIMS(BATCH, HEADS, rows, cols);
}

static void run_case(op_case c)
{
    const int n = c.rank == 2 ? 1 : c.rank == 3 ? BATCH : BATCH * HEADS;
    double q[6 * 7 * SIZE], k[6 * 7 * SIZE], v[6 * 7 * VALUE], bias[49], out[6 * 7 * VALUE], weights[6 * 49];
    unsigned char mask[6 * 49];
    fill(q, sizeof q / 8, 1), fill(k, sizeof k / 8, 2), fill(v, sizeof v / 8, 3), fill(bias, 49, 4);
    for (int i = 0; i < n * c.Tq * c.Tk; i++)
        mask[i] = i * 7919 % 5 < 3 && i / c.Tk % 4 != 2; /* none for some queries */
    for (int b = 0; b < n; b++) plain_loop(&c, b, q, k, v, mask, bias, out, weights);
    wg_tape *tape = new_tape();
    if (c.mask) c.o.mask = wg_data(tape, WG_BOOL, shape_of(c.rank, c.Tq, c.Tk), mask);
    if (c.bias) c.o.bias = wg_data(tape, WG_F64, WG_DIMS(c.Tq, c.Tk), bias);
    wg_tensor tq = wg_data(tape, WG_F64, shape_of(c.rank, c.Tq, SIZE), q);
    wg_tensor tk = wg_data(tape, WG_F64, shape_of(c.rank, c.Tk, SIZE), k);
    wg_tensor tv = wg_data(tape, WG_F64, shape_of(c.rank, c.Tk, VALUE), v);
    double a = distance(wg_value(wg_attention(tq, tk, tv, c.o)), out, (size_t)(n * c.Tq * VALUE));
    double b = distance(wg_value(wg_attention_weights(tq, tk, c.o)), weights, (size_t)(n * c.Tq * c.Tk));
    if (!(a < 1e-12 && b < 1e-12)) {
        FAIL("rank %d, %d x %d, causal %d, window %d, mask %d, bias %d, scale %g: off by %g, %g", c.rank, c.Tq,
             c.Tk, c.o.causal, (int)c.o.window, c.mask, c.bias, c.o.scale, a, b);
    }
    CLOSE(tape);
}

static void test_op(void)
{
    const int sizes[][2] = {{1, 1}, {4, 4}, {3, 7}, {7, 3}, {1, 5}, {5, 1}};
    for (int i = 0; i < 3 * 6 * 2 * 4 * 4 * 2; i++) {
        op_case c = {.rank = 2 + i % 3, .o = wg_attention_defaults()};
        int rest = i / 3;
        c.Tq = sizes[rest % 6][0];
        c.Tk = sizes[rest % 6][1];
        rest /= 6;
        c.o.causal = rest % 2;
        c.o.window = (int[]){-1, 0, 1, 20}[rest / 2 % 4];
        c.mask = rest / 8 % 2;
        c.bias = rest / 16 % 2;
        c.o.scale = rest / 32 % 2 ? 0.3 : -1;
        run_case(c);
    }
}

/* A query without a visible key: its output is zero, and no gradient flows from it. */
static void test_nothing_to_see(void)
{
    wg_tape *tape = new_tape();
    const unsigned char seen[2 * 3] = {1, 0, 1, 0, 0, 0};
    wg_attention_options o = wg_attention_defaults();
    o.mask = wg_data(tape, WG_BOOL, WG_DIMS(2, 3), seen);
    wg_tensor x[3] = {random_leaf(tape, WG_DIMS(2, 4), 1), random_leaf(tape, WG_DIMS(3, 4), 2),
                      random_leaf(tape, WG_DIMS(3, 4), 3)};
    wg_tensor y = wg_keep(wg_attention(x[0], x[1], x[2], o)), dx[3];
    wg_grad(y, x, 3, random_leaf(tape, WG_DIMS(2, 4), 4), dx);
    for (int i = 0; i < 3; i++) wg_keep(dx[i]);
    const double *value = wg_value(y), *dq = wg_value(dx[0]), *dk = wg_value(dx[1]), *dv = wg_value(dx[2]);
    bool zero = true, finite = true, some = false;
    for (int i = 0; i < 4; i++) {
        zero = zero && value[4 + i] == 0 && dq[4 + i] == 0 && dk[4 + i] == 0 && dv[4 + i] == 0; /* query 1, key 1 */
        some = some || (dq[i] != 0 && dk[i] != 0 && dk[8 + i] != 0 && dv[8 + i] != 0);
    }
    for (int i = 0; i < 12; i++) finite = finite && isfinite(dk[i]) && isfinite(dv[i]);
    CHECK(zero);
    CHECK(finite);
    CHECK(some);
    o.mask = wg_data(tape, WG_BOOL, WG_DIMS(1, 1), &seen[1]); /* no query has a visible key */
    wg_tensor nothing = wg_attention(x[0], x[1], x[2], o);
    const double *all = wg_value(wg_grad1(weigh(nothing, 77), x[1], WG_NONE));
    for (int i = 0; i < 12; i++) CHECK(all[i] == 0);
    CLOSE(tape);
}

/* In training, weights are dropped and the others scaled; in evaluation they are not. */
static void test_dropout(void)
{
    wg_tape *tape = new_tape();
    wg_attention_options o = wg_attention_defaults();
    wg_tensor q = random_leaf(tape, WG_DIMS(20, 4), 1), k = random_leaf(tape, WG_DIMS(30, 4), 2);
    const double *plain = wg_value(wg_attention_weights(q, k, o));
    o.dropout = 0.25;
    const double *dropped = wg_value(wg_attention_weights(q, k, o));
    int zeros = 0;
    for (int i = 0; i < 600; i++) {
        zeros += dropped[i] == 0;
        CHECK(dropped[i] == 0 || fabs(dropped[i] * 0.75 - plain[i]) < 1e-14);
    }
    CHECK(zeros > 100 && zeros < 200);
    wg_set_training(tape, false);
    CHECK(distance(wg_value(wg_attention_weights(q, k, o)), plain, 600) == 0);
    CLOSE(tape);
}

/* Two vectors: the result lies between them, and equals one of them exactly if its score is far larger. */
static void test_two_vectors(void)
{
    wg_tape *tape = new_tape();
    const double q[2] = {1, 0}, x[2][2] = {{2, 5}, {-3, 7}};
    for (int i = 0; i < 3; i++) {
        const double k[2][2] = {{(double[]){800, -800, 0.4}[i], 0}, {0, 0}};
        wg_attention_options o = wg_attention_defaults();
        o.scale = 1;
        wg_tensor tq = wg_data(tape, WG_F64, WG_DIMS(1, 2), q), tk = wg_data(tape, WG_F64, WG_DIMS(2, 2), k),
                  tx = wg_data(tape, WG_F64, WG_DIMS(2, 2), x);
        const double *y = wg_value(wg_attention(tq, tk, tx, o)), *w = wg_value(wg_attention_weights(tq, tk, o));
        CHECK(fabs(w[0] + w[1] - 1) < 1e-15);
        if (i < 2)
            CHECK(y[0] == x[i][0] && y[1] == x[i][1]);
        else
            CHECK(y[0] > -3 && y[0] < 2 && y[1] > 5 && y[1] < 7);
    }
    CLOSE(tape);
}

/* "Je suis etudiant": three encoder states, their dot products with the decoder's state, softmax, the weighted
 * sum. By hand: scores 1, 3, 1; e^-2 = 0.135335; weights 0.106507, 0.786986, 0.106507. */
static void test_worked_example(void)
{
    wg_tape *tape = new_tape();
    const double states[3][2] = {{1, 0}, {1, 2}, {0, 1}}, decoder[2] = {1, 1},
                 values[3][2] = {{1, 0}, {0, 1}, {1, 1}};
    wg_params *set = wg_params_new(WG_F64);
    wg_score_layer score;
    CHECK(wg_score_init(&score, set, "score", 2, 2, wg_score_defaults()) == WG_OK);
    wg_keys keys = wg_score_keys(&score, wg_data(tape, WG_F64, WG_DIMS(1, 3, 2), states),
                                 wg_data(tape, WG_F64, WG_DIMS(1, 3, 2), values), WG_NONE);
    wg_tensor weights;
    wg_tensor context = wg_attend(&score, wg_data(tape, WG_F64, WG_DIMS(1, 2), decoder), &keys, WG_NONE, &weights);
    const double *w = wg_value(weights), *z = wg_value(context);
    CHECK(fabs(w[0] - 0.106507) < 1e-6 && fabs(w[1] - 0.786986) < 1e-6 && fabs(w[2] - 0.106507) < 1e-6);
    CHECK(fabs(z[0] - (w[0] + w[2])) < 1e-15 && fabs(z[1] - (w[1] + w[2])) < 1e-15);
    CLOSE(tape);
    wg_params_free(set);
}

/* Heads of size 64 divide their scores by 8 before the softmax. */
static void test_scale(void)
{
    wg_tape *tape = new_tape();
    wg_tensor q = random_leaf(tape, WG_DIMS(10, 64), 1), k = random_leaf(tape, WG_DIMS(10, 64), 2);
    wg_tensor by_hand = wg_softmax(wg_div_scalar(wg_matmul(q, wg_t(k)), 8), -1);
    wg_tensor after = wg_div_scalar(wg_softmax(wg_matmul(q, wg_t(k)), -1), 8);
    const double *w = wg_value(wg_attention_weights(q, k, wg_attention_defaults()));
    CHECK(distance(w, wg_value(by_hand), 100) < 1e-15);
    CHECK(distance(w, wg_value(after), 100) > 1e-3);
    CLOSE(tape);
}

/* Causal, in blocks that see more and more keys. A block with fewer keys may need more scratch than one with all. */
static void test_scratch(void)
{
    const int64_t sizes[][3] = {{512, 512, 128}, {200, 128, 512}, {600, 768, 256}}; /* queries, keys, size */
    for (int i = 0; i < 3; i++) {
        int64_t queries = sizes[i][0], keys = sizes[i][1], size = sizes[i][2];
        wg_tape *tape = new_tape();
        wg_params *set = wg_params_new(WG_F32);
        wg_param *param = wg_param_new(set, "k", WG_DIMS(keys, size), wg_init_uniform(-1, 1));
        wg_tensor q = wg_uniform(tape, WG_F32, WG_DIMS(queries, size), -1, 1), k = wg_use(tape, param);
        wg_attention_options o = wg_attention_defaults();
        o.causal = true;
        wg_tensor y = wg_attention(q, k, k, o), weights = wg_attention_weights(q, k, o);
        wg_tensor off = wg_mean_all(wg_abs(wg_sub(y, wg_matmul(weights, k))));
        CHECK(wg_item(off) < 1e-5);
        CHECK(wg_backward(wg_mean_all(wg_square(y))) == WG_OK);
        CLOSE(tape);
        wg_params_free(set);
    }
}

/* Twice the same operands under two masks: gradients that differ in their last operand only are two. */
/* Every second query sees all keys, the others the first one only: the queries of a block hide different trailing
 * keys. */
static void test_trailing_keys(void)
{
    enum { N = 200 };
    static uint8_t seen[N * N];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) seen[i * N + j] = i % 2 || j == 0;
    wg_tape *tape = new_tape();
    wg_tensor x = wg_uniform(tape, WG_F64, WG_DIMS(N, 4), -1, 1);
    wg_attention_options o = wg_attention_defaults();
    wg_tensor whole = wg_keep(wg_attention(x, x, x, o));
    o.mask = wg_data(tape, WG_BOOL, WG_DIMS(N, N), seen);
    wg_tensor masked = wg_keep(wg_attention(x, x, x, o));
    const double *all = wg_value(whole), *some = wg_value(masked), *first = wg_value(x);
    for (int i = 0; i < N * 4; i++) CHECK(fabs(some[i] - (i / 4 % 2 ? all[i] : first[i % 4])) < 1e-14);
    CLOSE(tape);
}

static void test_two_masks(void)
{
    const uint8_t seen[2][9] = {{1, 0, 0, 1, 1, 0, 0, 1, 1}, {1, 1, 1, 0, 0, 1, 1, 0, 1}};
    wg_tape *tape = new_tape();
    wg_tensor x = wg_uniform(tape, WG_F64, WG_DIMS(3, 4), -1, 1), y[2];
    for (int i = 0; i < 2; i++) {
        wg_attention_options o = wg_attention_defaults();
        o.mask = wg_data(tape, WG_BOOL, WG_DIMS(3, 3), seen[i]);
        y[i] = wg_attention(x, x, x, o);
    }
    const wg_tensor g = wg_cos(x), both = wg_grad1(wg_add(y[0], y[1]), x, g);
    const wg_tensor apart = wg_add(wg_grad1(y[0], x, g), wg_grad1(y[1], x, g));
    CHECK(wg_item(wg_max(wg_abs(wg_sub(both, apart)), WG_ALL_AXES, false)) < 1e-14);
    CLOSE(tape);
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(test_op),          TEST_CASE(test_nothing_to_see), TEST_CASE(test_dropout),
        TEST_CASE(test_two_vectors), TEST_CASE(test_worked_example), TEST_CASE(test_scale),
        TEST_CASE(test_scratch),     TEST_CASE(test_two_masks),      TEST_CASE(test_trailing_keys)};
    return RUN_TESTS(tests);
}
