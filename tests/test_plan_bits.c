/* The same bits for any number of threads and any set of exact passes. */
#include "tensors.h"

/* The parameters' hash after a few steps of an LSTM with dropout and a carried state. */
static uint64_t train(wg_pool *pool, const char *plan)
{
    enum { T = 6, B = 9, V = 11, H = 16, STEPS = 5 };
    wg_tape *tape = tape_by(plan, pool);
    wg_params *set = wg_params_new(WG_F32);
    wg_rnn rnn;
    wg_linear_layer out;
    wg_rnn_options rnn_options = wg_rnn_defaults();
    rnn_options.cell = WG_LSTM;
    rnn_options.layers = 2;
    rnn_options.dropout = 0.2;
    CHECK(wg_rnn_init(&rnn, set, "lstm", V, H, rnn_options) == WG_OK);
    CHECK(wg_linear_init(&out, set, "out", H, V, wg_linear_defaults()) == WG_OK);
    wg_buffer *carried = wg_buffer_new(set, "carried", WG_DIMS(B, H), wg_init_zeros());
    wg_optimizer *adam = wg_adam_new(set, wg_adam_defaults());
    for (int step = 0; step < STEPS; step++) {
        wg_set_step(tape, (uint64_t)step);
        wg_rnn_state state = wg_rnn_zero_state(&rnn, tape, B);
        state.h[0] = wg_use(tape, carried);
        wg_tensor loss = wg_zeros(tape, WG_F32, WG_SCALAR);
        for (int t = 0; t < T; t++) {
            int32_t symbols[B], next[B];
            for (int b = 0; b < B; b++) {
                symbols[b] = (step + t * 3 + b * 5) % V;
                next[b] = (step + t * 3 + b * 5 + 3) % V;
            }
            wg_tensor x = wg_one_hot(wg_data(tape, WG_I32, WG_DIMS(B), symbols), V, WG_F32);
            wg_tensor logits = wg_linear_apply(&out, wg_rnn_step(&rnn, x, &state));
            loss = wg_add(loss, wg_cross_entropy(logits, wg_data(tape, WG_I32, WG_DIMS(B), next)));
        }
        wg_assign(carried, state.h[0]);
        wg_zero_grad(set);
        CHECK(wg_backward(loss) == WG_OK);
        CHECK(wg_optimizer_step(adam) == WG_OK);
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    uint64_t hash = set_hash(set, false);
    wg_optimizer_free(adam);
    wg_params_free(set);
    wg_tape_free(tape);
    return hash;
}

static void threads_and_exact_passes_change_no_bit(void)
{
    uint64_t alone = train(NULL, ""), unmerged = train(NULL, "-merge");
    for (int threads = 1; threads <= 4; threads++) {
        wg_pool *pool = wg_pool_new(threads);
        CHECK(pool);
        CHECK(wg_pool_threads(pool) == threads);
        CHECK(train(pool, "") == alone);
        wg_pool_free(pool);
    }
    static const char *const plans[] = {"-merge,-fuse", "-merge,-pack", "-merge,-place", "-merge,-cache",
                                        "-merge,-fuse,-pack,-place,-cache"};
    for (int i = 0; i < 5; i++) CHECK(train(NULL, plans[i]) == unmerged);
    CHECK(train(NULL, "-cache") == alone);
}

/* Two bidirectional layers of LSTMs, large enough to be cut into tasks. The hash of the gradients; the peak memory. */
static uint64_t both_directions(wg_pool *pool, const char *plan, size_t *peak)
{
    enum { T = 9, B = 40, IN = 24, H = 72 };
    wg_tape *tape = tape_by(plan, pool);
    wg_params *set = wg_params_new(WG_F32);
    wg_rnn rnn;
    wg_rnn_options o = wg_rnn_defaults();
    o.cell = WG_LSTM;
    o.layers = 2;
    o.bidirectional = true;
    CHECK(wg_rnn_init(&rnn, set, "lstm", IN, H, o) == WG_OK);
    wg_param *x = wg_param_new(set, "x", WG_DIMS(T, B, IN), wg_init_normal(0, 1));
    for (int step = 0; step < 2; step++) {
        wg_tensor xs[T], loss = wg_scalar(tape, WG_F32, 0);
        wg_rnn_state initial = wg_rnn_zero_state(&rnn, tape, B);
        int32_t lengths[B];
        for (int b = 0; b < B; b++) lengths[b] = 1 + b % T;
        for (int t = 0; t < T; t++) xs[t] = wg_select(wg_use(tape, x), 0, t);
        wg_rnn_unroll(&rnn, xs, T, wg_data(tape, WG_I32, WG_DIMS(B), lengths), &initial, xs);
        for (int t = 0; t < T; t++) loss = wg_add(loss, wg_mean_all(wg_square(wg_dropout(xs[t], 0.1))));
        CHECK(wg_backward(loss) == WG_OK);
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    uint64_t hash = set_hash(set, true);
    *peak = wg_tape_memory(tape).peak;
    wg_params_free(set);
    wg_tape_free(tape);
    return hash;
}

static void concurrent_groups_change_no_bit(void)
{
    size_t peak, more;
    uint64_t alone = both_directions(NULL, "", &peak);
    for (int threads = 2; threads <= 4; threads++) {
        wg_pool *pool = wg_pool_new(threads);
        CHECK(both_directions(pool, "", &more) == alone);
        CHECK(more < peak + peak / 2);
        CHECK(both_directions(pool, "-schedule", &more) == alone);
        CHECK(both_directions(pool, "-place", &more) == alone);
        wg_pool_free(pool);
    }
}

static void tapes_share_a_pool(void)
{
    wg_pool *pool = wg_pool_new(2);
    wg_tape_options options = wg_tape_defaults();
    options.pool = pool;
    wg_tape *a = wg_tape_new(options), *b = wg_tape_new(options);
    for (int i = 0; i < 10; i++) {
        wg_tensor x = wg_sum_all(wg_exp(wg_zeros(a, WG_F32, WG_DIMS(300, 300))));
        wg_tensor y = wg_sum_all(wg_exp(wg_zeros(b, WG_F32, WG_DIMS(300, 301))));
        CHECK(wg_item(x) == 90000 && wg_item(y) == 90300);
        wg_tape_reset(a);
        wg_tape_reset(b);
    }
    wg_tape_free(a);
    wg_tape_free(b);
    wg_pool_free(pool);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(threads_and_exact_passes_change_no_bit),
                                 TEST_CASE(concurrent_groups_change_no_bit), TEST_CASE(tapes_share_a_pool)};
    return RUN_TESTS(tests);
}
