/* Where a plan stores values: chains, gradients and buffers in place, small values between large ones. */
#include "tensors.h"

/* ---- chains in place ---- */

enum { OVER_M = 64, OVER_N = 200, OVER_BYTES = OVER_M * OVER_N * sizeof(double) };

/* Way 0: kernels and chains in turn. 1: a value that a later member reads. 2: a value that is read transposed. 3: a row
 * of n doubles, which has as many bytes as 8 rows of n bools. */
static wg_tensor overwriting(wg_tape *tape, int way, const double *numbers)
{
    wg_tensor a = wg_data(tape, WG_F64, WG_DIMS(OVER_M, OVER_N), numbers), y = wg_softmax(a, 1);
    wg_tensor square = wg_softmax(wg_slice(a, 1, 0, OVER_M), 1), row = wg_slice(y, 0, 0, 1);
    for (int i = 0; i < 9 && way == 0; i++) y = wg_softmax(wg_tanh(y), 1);
    if (way == 1) y = wg_softmax(wg_mul(wg_tanh(y), wg_sub(wg_softmax(wg_t(wg_t(wg_exp(y))), 1), y)), 1);
    if (way == 2) y = wg_softmax(wg_sub(wg_exp(wg_t(square)), square), 1);
    if (way == 3) y = wg_cast(wg_t(wg_greater(wg_softmax(row, 1), wg_scale(wg_slice(a, 0, 0, 8), 0.1))), WG_F64);
    return y;
}

static void chains_work_in_place(void)
{
    double numbers[OVER_M * OVER_N], *value[2] = {malloc(OVER_BYTES), malloc(OVER_BYTES)};
    fill(numbers, OVER_M * OVER_N, 3);
    for (int way = 0; way < 4; way++) {
        size_t bytes[2], size = 0;
        for (int i = 0; i < 2; i++) {
            wg_tape *tape = tape_by(i ? "" : "-place", NULL);
            wg_tensor y = overwriting(tape, way, numbers);
            size = (size_t)wg_numel(y) * sizeof(double);
            bytes[i] = wg_plan_bytes(&y, 1);
            CHECK(wg_read(y, value[i], size) == WG_OK);
            CLOSE(tape);
        }
        CHECK(!memcmp(value[0], value[1], size));
        if (way == 0) CHECK(bytes[0] > 18 * OVER_BYTES && bytes[1] < 4 * OVER_BYTES);
    }
    free(value[0]);
    free(value[1]);
}

/* ---- placement ---- */

/* Small values with long lifetimes, large ones with short lifetimes. */
static wg_tensor small_and_large(wg_tape *tape, int rows, int steps)
{
    enum { N = 150 };
    wg_tensor y = wg_softmax(random_leaf(tape, WG_DIMS(rows, N), 9), 1), *row = malloc((size_t)steps * sizeof *row);
    for (int i = 0; i < steps; i++) {
        row[i] = wg_softmax(wg_slice(y, 0, 0, 1), 1);
        y = wg_softmax(y, 1);
    }
    for (int i = 0; i < steps; i++) y = wg_add(y, row[i]);
    free(row);
    return weigh(wg_softmax(y, 1), 5);
}

static void large_values_fit_around_small_ones(void)
{
    const size_t line = 150 * sizeof(double);
    double value[2];
    for (int i = 0; i < 2; i++) {
        wg_tape *tape = tape_by(i ? "-place" : "", NULL);
        wg_tensor y = small_and_large(tape, 100, 6);
        CHECK((wg_plan_bytes(&y, 1) < 210 * line) == !i);
        wg_tape_reset(tape);
        value[i] = wg_item(small_and_large(tape, 3, 1500));
        CLOSE(tape);
    }
    CHECK(value[0] == value[1]);
}

/* ---- buffers assigned in place ---- */

enum { SIDE = 40, SIDE_BYTES = SIDE * SIDE * sizeof(double), ASSIGN_WAYS = 9 };

/* Assigns buffers, in ways that let a be written in place (0, 1) or not; returns a value that is read as well. */
static wg_tensor assign(wg_tape *tape, wg_buffer *a, wg_buffer *b, int way)
{
    static const int32_t rows[2] = {3, 1};
    wg_tensor x = wg_use(tape, a), y = wg_use(tape, b), index = wg_data(tape, WG_I32, WG_DIMS(2), rows);
    wg_tensor next = wg_add(wg_tanh(x), wg_mul(x, y)), sum = wg_sum_all(wg_softmax(y, 1));
    switch (way) {
    case 0: break;
    case 1: sum = wg_add(sum, wg_sum_all(wg_softmax(x, 1))); break;   /* a kernel reads a, before or after */
    case 2: wg_assign(b, wg_tanh(x)); break;                          /* the other assignment reads a */
    case 3: next = wg_sub(wg_exp(wg_t(x)), x); break;                 /* another element is read */
    case 4: sum = wg_sum_all(wg_softmax(wg_mul(next, x), 1)); break;  /* a later member reads it */
    case 5: wg_assign(a, wg_exp(next)); break;                        /* the last assignment counts */
    case 6: wg_assign(b, next); break;                                /* one value for both */
    case 7: sum = wg_sum_all(wg_index_select(next, 0, index)); break; /* an index is checked after the write */
    case 8:
        sum = wg_sum_all(wg_softmax(wg_matmul(next, wg_t(x)), 1));
        break; /* a product reads a, after the write */
    }
    wg_assign(a, next);
    return sum;
}

static void buffers_are_assigned_in_place(void)
{
    wg_pool *pool = wg_pool_new(2);
    for (int way = 0; way < ASSIGN_WAYS; way++) {
        double value[4][2 * SIDE * SIDE + 4];
        for (int run = 0; run < 4;
             run++) { /* not in place; in place; on two threads; with gradients, which need the old value */
            wg_tape *tape = tape_by(run == 0 ? "-place" : "", run == 2 ? pool : NULL);
            wg_params *set = wg_params_new_with(WG_F64, (wg_allocator){0}, 7);
            wg_buffer *a = wg_buffer_new(set, "a", WG_DIMS(SIDE, SIDE), wg_init_uniform(-1, 1));
            wg_buffer *b = wg_buffer_new(set, "b", WG_DIMS(SIDE, SIDE), wg_init_uniform(-1, 1));
            for (int step = 0; step < 4; step++) {
                if (run != 3) wg_no_grad_begin(tape);
                wg_tensor sum = assign(tape, a, b, way);
                if (run != 3) wg_no_grad_end(tape);
                size_t bytes = wg_plan_bytes(&sum, 1);
                if (way == 0 && (run == 1 || run == 2)) CHECK(bytes < 2 * SIDE_BYTES);
                value[run][2 * SIDE * SIDE + step] = wg_item(sum);
                CHECK(wg_tape_reset(tape) == WG_OK);
            }
            memcpy(value[run], wg_param_value(a), SIDE_BYTES);
            memcpy(value[run] + SIDE * SIDE, wg_param_value(b), SIDE_BYTES);
            CHECK(!memcmp(value[0], value[run], sizeof value[0]));
            wg_params_free(set);
            wg_tape_free(tape);
        }
    }
    wg_pool_free(pool);
}

/* ---- gradients ---- */

/* The first gradient is written into the parameter's own buffer. Adding a second one needs memory, and frees it. */
static void a_first_gradient_needs_no_room(void)
{
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new(WG_F32);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(200, 300), wg_init_fan_in_uniform());
    const size_t bytes = 200 * 300 * sizeof(float);
    float first[200 * 300];
    for (int run = 0; run < 3; run++) {
        wg_tensor loss = wg_sum_all(wg_square(wg_matmul(wg_ones(tape, WG_F32, WG_DIMS(5, 200)), wg_use(tape, w))));
        size_t needed = wg_backward_bytes(loss);
        CHECK(run == 1 ? needed >= bytes : needed < bytes);
        CHECK(wg_backward(loss) == WG_OK);
        const float *grad = wg_param_grad(w);
        if (run == 0) memcpy(first, grad, sizeof first);
        for (int i = 0; i < 200 * 300; i++) CHECK(grad[i] == (float)(1 + run % 2) * first[i]);
        if (run == 1) wg_zero_grad(set);
        wg_tape_reset(tape);
    }
    wg_params_free(set);
    wg_tape_free(tape);
}

enum { WORDS = 1000, WIDTH = 16 };

/* T lookups in a table. If tied, the rows are multiplied by the table again: tied weights. */
static wg_tensor lookups(wg_tape *tape, wg_param *table, int T, bool tied)
{
    wg_tensor sum = WG_NONE, w = wg_use(tape, table);
    const int64_t words = wg_param_shape(table).size[0];
    for (int t = 0; t < T; t++) {
        const int32_t index[3] = {(int32_t)(t % words), (int32_t)((7 * t + 3) % words), (int32_t)(t % words)};
        wg_tensor x = wg_tanh(wg_embedding(w, wg_data(tape, WG_I32, WG_DIMS(3), index)));
        wg_tensor y = wg_mean_all(wg_square(tied ? wg_matmul(x, wg_t(w)) : x));
        sum = t ? wg_add(sum, y) : y;
    }
    return sum;
}

/* The gradients of all lookups are added into one table, in place. */
static void lookups_share_one_gradient(void)
{
    wg_params *set = wg_params_new(WG_F32);
    wg_param *table = wg_param_new(set, "table", WG_DIMS(WORDS, WIDTH), wg_init_normal(0, 1));
    size_t bytes[2];
    for (int i = 0; i < 2; i++) {
        wg_tape *tape = new_tape();
        bytes[i] = wg_backward_bytes(lookups(tape, table, i ? 40 : 4, false));
        CLOSE(tape);
    }
    CHECK(bytes[0] < 3 * WORDS * WIDTH * sizeof(float) / 2 && bytes[1] < 2 * WORDS * WIDTH * sizeof(float));
    wg_params_free(set);
}

static wg_tensor tied_loss(void *context, wg_tape *tape, wg_params *set)
{
    return lookups(tape, wg_param_find(set, "table"), *(const int *)context, true);
}

static void tied_tables_have_the_right_gradient(void)
{
    for (int T = 1; T <= 3; T++) {
        wg_params *set = wg_params_new(WG_F64);
        wg_param_new(set, "table", WG_DIMS(5, 2), wg_init_normal(0, 1));
        if (!gradcheck(set, tied_loss, &T, true)) printf("    %d lookups\n", T);
        wg_params_free(set);
    }
}

/* y = x + x[1, 0]: the lookup's gradient is added to the gradient of y, and computed from it. */
static void a_gradient_that_is_read_twice_is_not_overwritten(void)
{
    wg_tape *tape = new_tape();
    const double g[4] = {1, 2, 3, 4};
    const int32_t swap[2] = {1, 0};
    wg_tensor x = wg_ones(tape, WG_F64, WG_DIMS(2, 2)), weights = wg_data(tape, WG_F64, WG_DIMS(2, 2), g);
    wg_tensor y = wg_add(x, wg_index_select(x, 0, wg_data(tape, WG_I32, WG_DIMS(2), swap)));
    wg_tensor dx = wg_keep(wg_grad1(wg_sum_all(wg_mul(wg_exp(weights), y)), x, WG_NONE));
    const double *d = wg_value(dx);
    CHECK(d != NULL);
    for (int i = 0; d && i < 4; i++) CHECK(fabs(d[i] - exp(g[i]) - exp(g[(i + 2) % 4])) < 1e-12);
    CLOSE(tape);
}

/* Slices of a table and, if `looked_up`, lookups in it. */
static wg_tensor sliced_loss(wg_tape *tape, wg_params *set, bool looked_up)
{
    const int32_t index[5] = {0, 1, 1, 5, 0};
    wg_tensor m = wg_matmul(wg_use(tape, wg_param_find(set, "a")), wg_use(tape, wg_param_find(set, "b")));
    wg_tensor w = wg_use(tape, wg_param_find(set, "table")), numbers = wg_data(tape, WG_I32, WG_DIMS(5), index);
    wg_tensor x = looked_up ? wg_embedding(w, numbers) : wg_zeros(tape, WG_F64, WG_DIMS(1));
    wg_tensor top = wg_add(wg_slice(w, 0, 0, 3), m), bottom = wg_slice(w, 0, 3, 6);
    return wg_add(wg_sum_all(wg_tanh(x)), wg_add(wg_sum_all(wg_tanh(top)), wg_sum_all(wg_sigmoid(bottom))));
}

/* The slice's gradient is part of the buffer that the lookup's is added to. The product's gradient reads it again. */
static void a_slice_that_is_read_again_is_not_overwritten(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_param *a = wg_param_new(set, "a", WG_DIMS(3, 5), wg_init_normal(0, 1));
    wg_param_new(set, "b", WG_DIMS(5, 4), wg_init_normal(0, 1));
    wg_param_new(set, "table", WG_DIMS(6, 4), wg_init_normal(0, 1));
    double grad[2][15];
    for (int i = 0; i < 2; i++) {
        wg_tape *tape = new_tape();
        wg_zero_grad(set);
        CHECK(wg_backward(sliced_loss(tape, set, i)) == WG_OK);
        memcpy(grad[i], wg_param_grad(a), sizeof grad[i]);
        CLOSE(tape);
    }
    CHECK(memcmp(grad[0], grad[1], sizeof grad[0]) == 0);
    wg_params_free(set);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(chains_work_in_place),
                                 TEST_CASE(large_values_fit_around_small_ones),
                                 TEST_CASE(buffers_are_assigned_in_place),
                                 TEST_CASE(a_first_gradient_needs_no_room),
                                 TEST_CASE(lookups_share_one_gradient),
                                 TEST_CASE(tied_tables_have_the_right_gradient),
                                 TEST_CASE(a_gradient_that_is_read_twice_is_not_overwritten),
                                 TEST_CASE(a_slice_that_is_read_again_is_not_overwritten)};
    return RUN_TESTS(tests);
}
