/* Plans: cached for equal steps, bounded in number and in memory; weights are packed once. */
#include "tensors.h"

static void one_plan_serves_equal_steps(void)
{
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new(WG_F64);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(3), wg_init_constant(2));
    const double numbers[6] = {1, 2, 3, 4, 5, 6};
    for (int step = 0; step < 8; step++) {
        wg_tensor x = wg_data(tape, WG_F64, WG_DIMS(3), numbers + step % 4);
        wg_tensor y =
            wg_sum_all(wg_scale(wg_mul(wg_use(tape, w), x), step)); /* scalars are not part of the program */
        CHECK(wg_backward(y) == WG_OK);
        CHECK(wg_item(y) == step * 2 * (numbers[step % 4] + numbers[step % 4 + 1] + numbers[step % 4 + 2]));
        wg_tape_reset(tape);
    }
    wg_tape_counts counts = wg_tape_count(tape);
    CHECK(counts.plan_misses <= 2 && counts.plan_hits >= 6);
    wg_params_free(set);
    wg_tape_free(tape);
}

/* Two steps that differ only in what they assign to a buffer, or to which. */
static void an_assignment_is_part_of_the_program(void)
{
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new(WG_F64);
    wg_buffer *buffer[2] = {wg_buffer_new(set, "a", WG_DIMS(2), wg_init_zeros()),
                            wg_buffer_new(set, "b", WG_DIMS(2), wg_init_zeros())};
    for (int step = 0; step < 8; step++) {
        const double x[2] = {step, 1};
        wg_tensor one = wg_tanh(wg_data(tape, WG_F64, WG_DIMS(2), x)), two = wg_exp(one), sum = wg_add(one, two);
        (void)wg_use(tape, buffer[0]), (void)wg_use(tape, buffer[1]);
        wg_assign(buffer[step / 2 % 2], step % 2 ? two : one);
        CHECK(wg_eval(&sum, 1) == WG_OK);
        const double *got = wg_param_value(buffer[step / 2 % 2]);
        CHECK(fabs(got[0] - (step % 2 ? exp(tanh(step)) : tanh(step))) < 1e-14);
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    CHECK(wg_tape_count(tape).plan_misses == 4 && wg_tape_count(tape).plan_hits == 4);
    wg_params_free(set);
    wg_tape_free(tape);
}

/* A step whose structure is its number: about 20 nodes for each unit of `size`. */
static void unroll(wg_tape *tape, wg_param *w, int size)
{
    wg_tensor x = wg_use(tape, w);
    for (int i = 0; i < size; i++) x = wg_tanh(wg_matmul(x, wg_use(tape, w)));
    CHECK(wg_backward(wg_sum_all(x)) == WG_OK);
    (void)wg_tape_reset(tape);
}

static wg_tape *tape_with(size_t plan_bytes, const char *plan)
{
    wg_tape_options options = wg_tape_defaults();
    options.plan_bytes = plan_bytes;
    options.plan = plan;
    return wg_tape_new(options);
}

/* One program more than there is room for: of the least recently used order, none would ever be found. */
static void programs_in_turn_are_found(void)
{
    enum { ROOM = 10, ROUNDS = 40 };
    wg_params *set = wg_params_new(WG_F64);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(4, 4), wg_init_constant(0.1));
    wg_tape *tape = tape_with(0, NULL);
    for (int size = 30; size < 30 + ROOM; size++)
        for (int round = 0; round < 2; round++) unroll(tape, w, size);
    const size_t room = wg_tape_count(tape).plan_bytes;
    wg_tape_free(tape);

    tape = tape_with(room + room / 20, NULL);
    for (int round = 0; round < 3; round++)
        for (int size = 30; size < 30 + ROOM; size++) unroll(tape, w, size);
    CHECK(wg_tape_count(tape).plans_cached == ROOM);
    const wg_tape_counts before = wg_tape_count(tape);
    for (int round = 0; round < ROUNDS; round++)
        for (int size = 30; size <= 30 + ROOM; size++) unroll(tape, w, size);
    const wg_tape_counts after = wg_tape_count(tape);
    CHECK(after.plans_cached == ROOM && after.plan_bytes <= room + room / 20);
    CHECK(after.plan_hits - before.plan_hits > ROUNDS * ROOM * 3 / 4);
    wg_params_free(set);
    wg_tape_free(tape);
}

/* Of programs that were seen once, too: the first ones stay. */
static void the_first_of_many_programs_are_found(void)
{
    enum { PROGRAMS = 200 };
    wg_params *set = wg_params_new(WG_F64);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(4, 4), wg_init_constant(0.1));
    wg_tape *tape = tape_with((size_t)4 << 20, NULL);
    for (int size = 1; size <= PROGRAMS; size++) unroll(tape, w, size);
    const uint64_t kept = wg_tape_count(tape).plans_cached;
    CHECK(kept > 10 && kept < PROGRAMS / 2 && wg_tape_count(tape).plan_hits == 0);
    for (int size = 1; size <= PROGRAMS; size++) unroll(tape, w, size);
    CHECK(wg_tape_count(tape).plan_hits >= kept - 1);
    wg_params_free(set);
    wg_tape_free(tape);
}

static void the_cache_is_bounded_by_bytes(void)
{
    enum { BYTES = 1 << 20 };
    wg_params *set = wg_params_new(WG_F64);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(4, 4), wg_init_constant(0.1));
    wg_tape *tape = tape_with(BYTES, NULL);
    for (int size = 1; size <= 120; size++) {
        unroll(tape, w, size);
        const uint64_t bytes = wg_tape_count(tape).plan_bytes;
        CHECK(bytes <= BYTES / 3 || wg_tape_count(tape).plans_cached == 1);
    }
    for (int round = 0; round < 3; round++)
        for (int size = 1; size <= 20; size++) unroll(tape, w, size); /* was evicted; again; is found */
    const wg_tape_counts before = wg_tape_count(tape);
    CHECK(before.plan_bytes <= BYTES && before.plans_cached >= 20);
    for (int size = 1; size <= 20; size++) unroll(tape, w, size);
    CHECK(wg_tape_count(tape).plan_hits == before.plan_hits + 20);
    for (int size = 121; size <= 124; size++) unroll(tape, w, size); /* programs that do not return ... */
    for (int size = 1; size <= 20; size++) unroll(tape, w, size);    /* ... evict none that do */
    CHECK(wg_tape_count(tape).plan_hits == before.plan_hits + 40);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* varying_lengths_cache */
static void many_lengths_in_turn_find_their_plans(void)
{
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new(WG_F64);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(4, 4), wg_init_constant(0.1));
    for (int round = 0; round < 3; round++)
        for (int size = 1; size <= 350; size++) unroll(tape, w, 1 + size * 131 % 350);
    CHECK(wg_tape_count(tape).plan_hits >= 350);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* plan_cache_memory: without a cache only the last plan is there, for dumps. */
static void without_a_cache_one_plan_is_kept(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(4, 4), wg_init_constant(0.1));
    wg_tape *tape = tape_with(0, "-cache");
    for (int size = 1; size <= 10; size++) {
        unroll(tape, w, size);
        CHECK(wg_tape_count(tape).plans_cached == 1);
    }
    wg_tape_free(tape);
    wg_params_free(set);
}

/* plan_dropped_long_sequence: more than a MiB of attributes that every step uses. */
static void a_long_program_is_planned_once(void)
{
    enum { T = 50000 };
    wg_tape *tape = new_tape();
    for (int step = 0; step < 3; step++) {
        wg_tensor x = wg_ones(tape, WG_F32, WG_DIMS(T, 1)), h = wg_zeros(tape, WG_F32, WG_DIMS(1));
        for (int t = 0; t < T; t++) h = wg_add(h, wg_select(x, 0, t));
        CHECK(wg_item(wg_sum_all(h)) == T);
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    CHECK(wg_tape_count(tape).plan_misses == 1);
    wg_tape_free(tape);
}

/* ---- packed weights ---- */

/* The sum of a row of x W, or of x W^T: x is ones with this number of rows, W is [40, 48]. */
static double times(wg_tape *tape, wg_param *w, int rows, bool transposed)
{
    wg_tensor x = wg_ones(tape, WG_F32, WG_DIMS(rows, transposed ? 48 : 40)), m = wg_use(tape, w);
    double sum = wg_item(wg_sum_all(wg_matmul(x, transposed ? wg_t(m) : m)));
    wg_tape_reset(tape);
    return sum / rows;
}

static void a_weight_is_packed_once_until_it_changes(void)
{
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new(WG_F32);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(40, 48), wg_init_constant(1));
    for (int i = 0; i < 4; i++) CHECK(times(tape, w, 5, false) == 40 * 48);
    CHECK(wg_tape_count(tape).packings == 1);
    CHECK(times(tape, w, 7, false) == 40 * 48); /* another plan, the same packed weight */
    CHECK(wg_tape_count(tape).packings == 1);
    CHECK(times(tape, w, 5, true) == 40 * 48); /* packed transposed */
    CHECK(wg_tape_count(tape).packings == 2);
    float *values = wg_param_write_begin(w);
    values[47] = 3;
    wg_param_write_end(w);
    for (int i = 0; i < 3; i++) {
        CHECK(times(tape, w, 5, false) == 40 * 48 + 2);
        CHECK(times(tape, w, 5, true) == 40 * 48 + 2);
    }
    CHECK(wg_tape_count(tape).packings == 4);
    wg_params_free(set);
    for (int step = 1; step <= 100; step++) { /* evicts its plans, and its packed weights with them */
        (void)wg_item(wg_sum_all(wg_exp(wg_zeros(tape, WG_F32, WG_DIMS(step)))));
        wg_tape_reset(tape);
    }
    wg_tape_free(tape);
}

/* One row times W^T, next to many rows that share the packed weight. */
static void a_row_has_the_same_bits_beside_others(void)
{
    enum { N = 17 };
    double y[2][N], numbers[N * N];
    for (int i = 0; i < N * N; i++) numbers[i] = sin(i);
    for (int i = 0; i < 2; i++) {
        wg_tape *tape = tape_by(i ? "-pack" : "", NULL);
        wg_tensor w = wg_t(wg_data(tape, WG_F64, WG_DIMS(N, N), numbers)),
                  many = random_leaf(tape, WG_DIMS(N, N), 2);
        wg_tensor others = wg_matmul(wg_tanh(wg_matmul(many, w)), w);
        wg_tensor row = wg_keep(wg_matmul(wg_data(tape, WG_F64, WG_DIMS(1, N), numbers), w)),
                  rows[2] = {others, row};
        CHECK(wg_eval(rows, 2) == WG_OK);
        memcpy(y[i], wg_value(row), sizeof y[i]);
        CLOSE(tape);
    }
    CHECK(memcmp(y[0], y[1], sizeof y[0]) == 0);
}

/* ---- bytes ---- */

static void bytes_are_known_before_the_run(void)
{
    wg_tape *tape = new_tape();
    wg_tensor x = wg_zeros(tape, WG_F32, WG_DIMS(1000, 100)), y = wg_matmul(wg_exp(x), wg_t(wg_tanh(x)));
    size_t bytes = wg_plan_bytes(&y, 1), before = wg_tape_memory(tape).live;
    CHECK(bytes >= 4000000);
    CHECK(wg_eval(&y, 1) == WG_OK);
    CHECK(wg_tape_memory(tape).live - before >= 4000000);
    CHECK(wg_tape_memory(tape).peak >= wg_tape_memory(tape).live);
    wg_tape_reset(tape);
    wg_tape_free(tape);
}

/* Bytes per small op, its gradient included, while the step is planned and run. */
static void a_small_op_takes_little_memory(void)
{
    enum { OPS = 20000, MOST = 800 };
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new(WG_F32);
    wg_param *x = wg_param_new(set, "x", WG_DIMS(16), wg_init_constant(0.5));
    wg_tensor y = wg_use(tape, x), c = wg_ones(tape, WG_F32, WG_DIMS(16));
    for (int i = 0; i < OPS; i += 2) y = wg_tanh(wg_mul(y, c));
    CHECK(wg_backward(wg_sum_all(y)) == WG_OK);
    CHECK(wg_tape_memory(tape).peak < (size_t)OPS * MOST);
    wg_params_free(set);
    wg_tape_free(tape);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(one_plan_serves_equal_steps),
                                 TEST_CASE(an_assignment_is_part_of_the_program),
                                 TEST_CASE(programs_in_turn_are_found),
                                 TEST_CASE(the_first_of_many_programs_are_found),
                                 TEST_CASE(the_cache_is_bounded_by_bytes),
                                 TEST_CASE(many_lengths_in_turn_find_their_plans),
                                 TEST_CASE(without_a_cache_one_plan_is_kept),
                                 TEST_CASE(a_long_program_is_planned_once),
                                 TEST_CASE(a_weight_is_packed_once_until_it_changes),
                                 TEST_CASE(a_row_has_the_same_bits_beside_others),
                                 TEST_CASE(bytes_are_known_before_the_run),
                                 TEST_CASE(a_small_op_takes_little_memory)};
    return RUN_TESTS(tests);
}
