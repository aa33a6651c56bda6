/* Memory stays flat: a training run of many steps, and a run in which every step is another program. With
 * WG_TEST_LONG: a million steps, and 100,000 programs. The tree's programs are those of a Tree-LSTM, 25 new random
 * trees a step; a sequence of 100,000 steps is one plan. */
#include "check.h"
#include "random.h"
#include "wengert.h"

/* ---- the tape's memory ---- */

static size_t live, peak;

static void *counting_alloc(void *context, size_t size)
{
    (void)context;
    void *memory = aligned_alloc(64, (size + 63) / 64 * 64);
    if (memory) live += size;
    if (live > peak) peak = live;
    return memory;
}

static void counting_release(void *context, void *memory, size_t size)
{
    (void)context;
    if (memory) live -= size;
    free(memory);
}

/* Calls step(0), step(1), ... n times. After the first tenth the tape never needs `most` bytes more than until then. */
static void stays_flat(const char *what, long n, size_t most, void (*step)(long i))
{
    size_t begun = 0;
    peak = live;
    for (long i = 0; i < n; i++) {
        step(i);
        if (i == n / 10) begun = peak;
    }
    printf("%s: %ld steps, %.1f MiB, then at most %.1f\n", what, n, (double)begun / (1 << 20),
           (double)peak / (1 << 20));
    if (peak > begun + most) FAIL("%s: from %zu to %zu bytes", what, begun, peak);
}

static wg_params *set;
static wg_optimizer *optimizer;
static wg_tape *tape;
static wg_linear_layer leaf, node;

enum { DIM = 8 };

static void begin(size_t plan_bytes)
{
    wg_tape_options options = wg_tape_defaults();
    options.plan_bytes = plan_bytes;
    options.allocator = (wg_allocator){counting_alloc, counting_release, NULL};
    set = wg_params_new(WG_F32);
    assert_int_equal(wg_linear_init(&leaf, set, "leaf", DIM, DIM, wg_linear_defaults()), WG_OK);
    assert_int_equal(wg_linear_init(&node, set, "node", 2 * DIM, 5 * DIM, wg_linear_defaults()), WG_OK);
    optimizer = wg_adam_new(set, wg_adam_defaults());
    tape = wg_tape_new(options);
    random_state = 1;
}

static void end(void)
{
    wg_tape_free(tape);
    wg_optimizer_free(optimizer);
    wg_params_free(set);
}

static void learn(wg_tensor loss)
{
    wg_zero_grad(set);
    assert_int_equal(wg_backward(loss), WG_OK);
    assert_int_equal(wg_optimizer_step(optimizer), WG_OK);
    assert_int_equal(wg_tape_reset(tape), WG_OK);
}

static wg_tensor input(int64_t rows)
{
    static float numbers[64 * DIM];
    for (int64_t i = 0; i < rows * DIM; i++) numbers[i] = (float)below(100) / 100;
    return wg_data(tape, WG_F32, WG_DIMS(rows, DIM), numbers);
}

/* ---- one program ---- */

static void same_step(long i)
{
    wg_set_step(tape, (uint64_t)i);
    wg_tensor x = wg_dropout(wg_tanh(wg_linear_apply(&leaf, input(4))), 0.1);
    learn(wg_mean_all(wg_square(wg_linear_apply(&node, wg_concat((wg_tensor[]){x, x}, 2, -1)))));
}

static void steps(void)
{
    begin(0);
    stays_flat("steps", check_long() ? 1000000 : 20000, 0, same_step);
    end();
}

/* ---- other programs ---- */

static void other_program(long i)
{
    wg_tensor x = input(1 + i % 61);
    for (long k = i + 1; k > 0; k /= 3) x = k % 3 ? wg_tanh(wg_linear_apply(&leaf, x)) : wg_sin(x);
    learn(wg_mean_all(wg_square(x)));
}

static void programs(void)
{
    begin(8 << 20);
    stays_flat("programs", check_long() ? 100000 : 2000, 8 << 20, other_program);
    end();
}

/* ---- trees ---- */

typedef struct state {
    wg_tensor h, c;
} state;

/* A binary Tree-LSTM (Tai et al. 2015) over a random tree of n leaves. */
static state tree(int64_t n)
{
    if (n == 1) return (state){wg_tanh(wg_linear_apply(&leaf, input(1))), wg_zeros(tape, WG_F32, WG_DIMS(1, DIM))};
    const int64_t left = 1 + below(n - 1);
    const state a = tree(left), b = tree(n - left);
    wg_tensor gates[5];
    wg_split(wg_linear_apply(&node, wg_concat((wg_tensor[]){a.h, b.h}, 2, -1)), 1, 5, gates);
    state s = {.c = wg_add(wg_mul(wg_sigmoid(gates[0]), wg_tanh(gates[1])),
                           wg_add(wg_mul(wg_sigmoid(gates[2]), a.c), wg_mul(wg_sigmoid(gates[3]), b.c)))};
    s.h = wg_mul(wg_sigmoid(gates[4]), wg_tanh(s.c));
    return s;
}

static void forest(long i)
{
    (void)i;
    wg_tensor loss = wg_zeros(tape, WG_F32, WG_SCALAR);
    for (int k = 0; k < 25; k++) loss = wg_add(loss, wg_sum_all(wg_square(tree(20).h)));
    learn(loss);
}

static void trees(void)
{
    begin(0);
    stays_flat("25 trees", check_long() ? 500 : 80, 200 << 20, forest);
    if (peak > 200 << 20) FAIL("25 new trees a step take %zu bytes", peak);
    end();
}

/* ---- one long sequence ---- */

static void long_sequence(void)
{
    const long n = check_long() ? 100000 : 10000;
    begin(0);
    for (int round = 0; round < 3; round++) {
        wg_tensor x = input(1), h = wg_zeros_like(x);
        for (long t = 0; t < n; t++) h = wg_tanh(wg_add(h, x));
        wg_tensor loss = wg_sum_all(wg_linear_apply(&leaf, h));
        learn(loss);
    }
    const wg_tape_counts counts = wg_tape_count(tape);
    CHECK(counts.plan_misses == 1 && counts.plan_hits == 2);
    end();
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(trees), TEST_CASE(steps), TEST_CASE(programs), TEST_CASE(long_sequence)};
    return RUN_TESTS(tests);
}
