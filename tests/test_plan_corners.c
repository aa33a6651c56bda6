/* Programs that a planner gets wrong easily: values that are wanted and also part of other values, weights packed in
 * several forms, plans that are found in the cache after the tape's memory has changed. */
#include "tensors.h"

/* ---- wanted values ---- */

/* A term of a merged sum of products that is wanted itself. */
static void a_wanted_product_is_computed(void)
{
    double value[2][16];
    for (int i = 0; i < 2; i++) {
        wg_tape *tape = tape_by(i ? "-merge" : "", NULL);
        wg_tensor x[4], y[2];
        for (unsigned k = 0; k < 4; k++) x[k] = random_leaf(tape, WG_DIMS(4, 4), k);
        y[0] = wg_matmul(x[0], x[1]);
        y[1] = wg_add(y[0], wg_matmul(x[2], x[3]));
        CHECK(wg_eval(y, 2) == WG_OK);
        CHECK(wg_read(y[0], value[i], sizeof value[i]) == WG_OK);
        CLOSE(tape);
    }
    CHECK(!memcmp(value[0], value[1], sizeof value[0]));
}

/* A piece of a concatenation that is wanted itself, read after another run has used the block. */
static void a_wanted_piece_outlives_the_run(void)
{
    wg_tape *tape = new_tape();
    wg_tensor x = random_leaf(tape, WG_DIMS(8, 8), 1), y[2] = {wg_tanh(x), WG_NONE}, pieces[2] = {y[0], wg_exp(x)};
    double value[64], other[64];
    y[1] = wg_softmax(wg_concat(pieces, 2, 0), 1);
    CHECK(wg_eval(y, 2) == WG_OK);
    memcpy(value, wg_value(y[0]), sizeof value);
    wg_tensor z = wg_softmax(wg_softmax(random_leaf(tape, WG_DIMS(40, 40), 2), 1), 0);
    CHECK(wg_eval(&z, 1) == WG_OK);
    CHECK(wg_read(y[0], other, sizeof other) == WG_OK);
    CHECK(!memcmp(value, other, sizeof value));
    for (int i = 0; i < 64; i++) CHECK(fabs(value[i] - tanh(((const double *)wg_value(x))[i])) < 1e-12);
    CLOSE(tape);
}

/* ---- gradients of slices ---- */

/* The gradient of the table: slices that overlap, and two lookups in rows 3 to 8, of which the second is added to the
 * first inside the concatenation. */
static wg_tensor pieces_of_a_table(void *context, wg_tape *tape, wg_params *set)
{
    static const int32_t rows[2][3] = {{1, 5, 1}, {0, 1, 4}};
    wg_tensor table = wg_use(tape, wg_param_find(set, "table")), low = wg_slice(table, 0, 3, 9), loss = WG_NONE;
    for (int i = 0; i < 2; i++) {
        wg_tensor x = wg_tanh(wg_embedding(low, wg_data(tape, WG_I32, WG_DIMS(3), rows[i])));
        loss = i ? wg_add(loss, weigh(x, 2)) : weigh(x, 1);
    }
    loss = wg_add(loss, weigh(wg_sigmoid(wg_slice(table, 0, 0, 3)), 3));
    if (!*(const bool *)context) return loss;
    return wg_add(loss,
                  wg_add(weigh(wg_exp(wg_slice(table, 0, 1, 4)), 4), weigh(wg_tanh(wg_slice(table, 0, 2, 5)), 5)));
}

static void pieces_have_the_right_gradient(void)
{
    for (int i = 0; i < 2; i++) {
        wg_params *set = wg_params_new(WG_F64);
        wg_param_new(set, "table", WG_DIMS(9, 2), wg_init_normal(0, 1));
        CHECK(gradcheck(set, pieces_of_a_table, &(bool){i}, false));
        wg_params_free(set);
    }
}

/* ---- rematerialization on threads ---- */

/* The copies of a region depend on its inputs only. On several threads, too, they wait for the backward pass. */
static void copies_wait_for_the_backward_pass(void)
{
    enum { REGIONS = 8, LAYERS = 4, N = 64 };
    wg_pool *pool = wg_pool_new(3);
    wg_params *set = wg_params_new(WG_F32);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(N, N), wg_init_uniform(-0.2, 0.2));
    size_t bytes[3];
    for (int i = 0; i < 3; i++) { /* without regions; on one thread; on three */
        wg_tape *tape = tape_by("-recompute", i == 2 ? pool : NULL);
        wg_tensor x = wg_ones(tape, WG_F32, WG_DIMS(N, N));
        for (int region = 0; region < REGIONS; region++) {
            if (i) wg_remat_begin(tape);
            for (int layer = 0; layer < LAYERS; layer++) x = wg_tanh(wg_matmul(x, wg_use(tape, w)));
            if (i) wg_remat_end(tape);
        }
        bytes[i] = wg_backward_bytes(wg_sum_all(x));
        CLOSE(tape);
    }
    CHECK(bytes[1] < 3 * bytes[0] / 5 && bytes[2] <= bytes[1] + bytes[1] / 16);
    wg_params_free(set);
    wg_pool_free(pool);
}

/* ---- packed weights ---- */

enum { ROWS = 5, IN = 40, OUT = 48 };

/* The two halves of one weight, and two matrices that are read twice each and are no parameters. */
static void each_matrix_is_packed_for_itself(void)
{
    double value[2][4][ROWS * OUT];
    for (int i = 0; i < 2; i++) {
        wg_tape *tape = tape_by(i ? "-pack" : "", NULL);
        wg_params *set = wg_params_new_with(WG_F64, (wg_allocator){0}, 3);
        wg_param *param = wg_param_new(set, "w", WG_DIMS(IN, 2 * OUT), wg_init_uniform(-1, 1));
        wg_tensor w = wg_use(tape, param), x = random_leaf(tape, WG_DIMS(ROWS, IN), 1), y[4];
        for (int k = 0; k < 2; k++) {
            y[k] = wg_matmul(x, wg_slice(w, 1, k * OUT, (k + 1) * OUT));
            wg_tensor data = random_leaf(tape, WG_DIMS(IN, OUT), 2 + (unsigned)k);
            y[2 + k] = wg_sub(wg_exp(wg_matmul(x, data)), wg_matmul(wg_tanh(x), data));
        }
        CHECK(wg_eval(y, 4) == WG_OK);
        CHECK(i || wg_tape_count(tape).packings == 4);
        for (int k = 0; k < 4; k++) CHECK(wg_read(y[k], value[i][k], sizeof value[i][k]) == WG_OK);
        CLOSE(tape);
        wg_params_free(set);
    }
    CHECK(!memcmp(value[0], value[1], sizeof value[0]));
}

/* Products by the old and the new value of a buffer that a run has assigned. */
static void a_buffer_has_two_values(void)
{
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new(WG_F32);
    wg_buffer *buffer = wg_buffer_new(set, "b", WG_DIMS(IN, OUT), wg_init_constant(1));
    wg_tensor x = wg_ones(tape, WG_F32, WG_DIMS(ROWS, IN)), old = wg_use(tape, buffer);
    wg_tensor before = wg_sum_all(wg_matmul(x, old)), next = wg_add_scalar(old, 1);
    wg_assign(buffer, next);
    CHECK(wg_eval(&next, 1) == WG_OK);
    wg_tensor after = wg_sum_all(wg_matmul(x, wg_use(tape, buffer)));
    CHECK(wg_item(before) == ROWS * IN * OUT);
    CHECK(wg_item(after) == 2 * ROWS * IN * OUT);
    wg_params_free(set);
    CLOSE(tape);
}

static void *counted_alloc(void *context, size_t size)
{
    *(size_t *)context += size;
    return aligned_alloc(64, (size + 63) & ~(size_t)63);
}

static void counted_release(void *context, void *memory, size_t size)
{
    *(size_t *)context -= size;
    free(memory);
}

static void packed_weights_are_freed(void)
{
    size_t live = 0;
    wg_tape_options options = wg_tape_defaults();
    options.allocator = (wg_allocator){counted_alloc, counted_release, &live};
    wg_tape *tape = wg_tape_new(options);
    wg_params *set = wg_params_new(WG_F32);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(IN, OUT), wg_init_constant(1));
    for (int rows = 2; rows < 5; rows++) {
        wg_tensor x = wg_ones(tape, WG_F32, WG_DIMS(rows, IN));
        CHECK(wg_item(wg_sum_all(wg_matmul(x, wg_use(tape, w)))) == rows * IN * OUT);
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    CHECK(wg_tape_count(tape).packings == 1);
    wg_tape_free(tape);
    CHECK(live == 0);
    wg_params_free(set);
}

/* ---- the cache ---- */

/* A plan that is used again and again outlives many that are used once. */
static void the_plan_used_last_is_kept(void)
{
    enum { STEPS = 200 };
    wg_tape *tape = new_tape();
    for (int step = 1; step <= STEPS; step++) {
        (void)wg_item(wg_sum_all(wg_exp(wg_zeros(tape, WG_F64, WG_DIMS(3)))));
        wg_tape_reset(tape);
        (void)wg_item(wg_sum_all(wg_tanh(wg_zeros(tape, WG_F64, WG_DIMS(step)))));
        wg_tape_reset(tape);
    }
    CHECK(wg_tape_count(tape).plan_misses == STEPS + 1);
    wg_tape_free(tape);
}

static void without_a_cache_each_run_is_planned(void)
{
    wg_tape *tape = tape_by("-cache", NULL);
    for (int step = 0; step < 3; step++) {
        CHECK(wg_item(wg_sum_all(wg_ones(tape, WG_F64, WG_DIMS(3)))) == 3);
        wg_tape_reset(tape);
    }
    CHECK(wg_tape_count(tape).plan_hits == 0 && wg_tape_count(tape).plan_misses == 3);
    wg_tape_free(tape);
}

/* A run assigns a buffer once; a later run does not overwrite what the user has written since. */
static void an_assignment_is_made_once(void)
{
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new(WG_F64);
    wg_buffer *buffer = wg_buffer_new(set, "b", WG_DIMS(2), wg_init_constant(1));
    wg_tensor next = wg_add_scalar(wg_use(tape, buffer), 1), other = wg_ones(tape, WG_F64, WG_DIMS(2));
    wg_assign(buffer, next);
    CHECK(wg_eval(&next, 1) == WG_OK);
    CHECK(((const double *)wg_param_value(buffer))[1] == 2);
    set_param(buffer, (const double[]){7, 7});
    wg_tensor sum = wg_add(other, other);
    CHECK(wg_eval(&sum, 1) == WG_OK);
    CHECK(((const double *)wg_param_value(buffer))[1] == 7);
    wg_params_free(set);
    CLOSE(tape);
}

/* An op whose derivative rule records a number of its own. */
static wg_tensor cube_vjp(const wg_vjp_args *v, int k) { return wg_mul(v->grad, wg_scale(wg_square(v->in[0]), 3)); }

/* Such numbers are part of the plan: the step in between overwrites the memory in which they were recorded. */
static void a_plan_keeps_the_numbers_of_derivatives(void)
{
    double grad[3][8];
    const wg_op cube_op = cube_with(cube_vjp);
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new_with(WG_F64, (wg_allocator){0}, 3);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(8), wg_init_uniform(-1, 1));
    for (int step = 0; step < 3; step++) {
        if (step == 1) {
            wg_tensor sum = wg_sum_all(random_leaf(tape, WG_DIMS(2000), 1));
            for (unsigned i = 0; i < 200; i++) sum = wg_add(sum, wg_sum_all(random_leaf(tape, WG_DIMS(3), i)));
            CHECK(wg_backward(wg_mul(sum, wg_sum_all(wg_use(tape, w)))) == WG_OK);
        } else {
            wg_tensor x = wg_use(tape, w);
            CHECK(wg_backward(wg_sum_all(wg_record(&cube_op, &x, 1, NULL, 0))) == WG_OK);
        }
        memcpy(grad[step], wg_param_grad(w), sizeof grad[step]);
        wg_zero_grad(set);
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    CHECK(wg_tape_count(tape).plan_hits == 1);
    CHECK(!memcmp(grad[0], grad[2], sizeof grad[0]));
    wg_params_free(set);
    wg_tape_free(tape);
}

/* A chain reads a buffer, which broadcasts, until its last line: the line's sums do not go into the buffer before. */
static void sums_wait_for_the_buffer_they_replace(void)
{
    enum { N = 8 };
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new(WG_F32);
    wg_buffer *b = wg_buffer_new(set, "b", WG_DIMS(1, N, 1), wg_init_constant(1));
    for (int step = 1; step <= 2; step++) {
        wg_no_grad_begin(tape);
        const wg_tensor x = wg_ones(tape, WG_F32, WG_DIMS(2, N, 2));
        wg_assign(b, wg_sum(wg_mul(x, wg_use(tape, b)), WG_AXES(0, 2), true));
        wg_no_grad_end(tape);
        CHECK(wg_eval(&x, 1) == WG_OK && wg_tape_reset(tape) == WG_OK);
        for (int i = 0; i < N; i++) CHECK(((const float *)wg_param_value(b))[i] == (step == 1 ? 4 : 16));
    }
    wg_params_free(set);
    wg_tape_free(tape);
}

/* An op that updates its base may do so in the buffer's memory, unless it also reads the buffer's newer value. */
static void an_old_value_of_a_buffer_is_updated(void)
{
    enum { N = 8 };
    float numbers[N];
    for (int i = 0; i < N; i++) numbers[i] = (float)i + 1;
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new(WG_F32);
    wg_buffer *b = wg_buffer_new(set, "b", WG_DIMS(N), wg_init_constant(-1));
    const wg_tensor x = wg_data(tape, WG_F32, WG_DIMS(N), numbers), zero = wg_scalar(tape, WG_I32, 0);
    const wg_tensor old = wg_use(tape, b);
    wg_assign(b, x);
    CHECK(wg_eval(&old, 1) == WG_OK);
    wg_no_grad_begin(tape);
    wg_assign(b, wg_update_slice(old, 0, zero, wg_use(tape, b)));
    const wg_tensor other = wg_scale(x, 2);
    CHECK(wg_eval(&other, 1) == WG_OK);
    wg_no_grad_end(tape);
    CHECK(wg_tape_reset(tape) == WG_OK);
    CHECK(memcmp(wg_param_value(b), numbers, sizeof numbers) == 0);
    wg_params_free(set);
    wg_tape_free(tape);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(a_wanted_product_is_computed),
                                 TEST_CASE(a_wanted_piece_outlives_the_run),
                                 TEST_CASE(pieces_have_the_right_gradient),
                                 TEST_CASE(copies_wait_for_the_backward_pass),
                                 TEST_CASE(each_matrix_is_packed_for_itself),
                                 TEST_CASE(a_buffer_has_two_values),
                                 TEST_CASE(packed_weights_are_freed),
                                 TEST_CASE(the_plan_used_last_is_kept),
                                 TEST_CASE(without_a_cache_each_run_is_planned),
                                 TEST_CASE(an_assignment_is_made_once),
                                 TEST_CASE(a_plan_keeps_the_numbers_of_derivatives),
                                 TEST_CASE(sums_wait_for_the_buffer_they_replace),
                                 TEST_CASE(an_old_value_of_a_buffer_is_updated)};
    return RUN_TESTS(tests);
}
