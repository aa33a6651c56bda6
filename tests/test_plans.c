/* Plans: reused for equal steps, bounded in number, weights packed once; and the same bits whatever the threads and
 * passes that a program runs by. */
#include "tensors.h"

static wg_tape *tape_by(wg_pool *pool, const char *plan)
{
    wg_tape_options options = wg_tape_defaults();
    options.pool = pool;
    options.plan = plan;
    return wg_tape_new(options);
}

/* ---- reused ---- */

static void one_plan_serves_equal_steps(void)
{
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new(WG_F64);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(3), wg_init_constant(2));
    const double numbers[6] = {1, 2, 3, 4, 5, 6};
    for (int step = 0; step < 8; step++) {
        wg_tensor x = wg_data(tape, WG_F64, WG_DIMS(3), numbers + step % 4);
        wg_tensor y = wg_sum_all(wg_scale(wg_mul(wg_use(tape, w), x), step)); /* numbers are not the program */
        CHECK(wg_backward(y) == WG_OK);
        CHECK(wg_item(y) == step * 2 * (numbers[step % 4] + numbers[step % 4 + 1] + numbers[step % 4 + 2]));
        wg_tape_reset(tape);
    }
    wg_tape_counts counts = wg_tape_count(tape);
    CHECK(counts.plan_misses <= 2 && counts.plan_hits >= 6);
    wg_params_free(set);
    wg_tape_free(tape);
}

/* x W for 5 rows (or more) of ones and W [40, 48]. */
static double times(wg_tape *tape, wg_param *w, int rows, bool transposed)
{
    wg_tensor x = wg_ones(tape, WG_F32, WG_DIMS(rows, transposed ? 48 : 40)), m = wg_use(tape, w);
    double sum = wg_item(wg_sum_all(wg_matmul(x, transposed ? wg_t(m) : m)));
    wg_tape_reset(tape);
    return sum / rows;
}

static void a_weight_is_packed_once_while_it_stands(void)
{
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new(WG_F32);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(40, 48), wg_init_constant(1));
    for (int i = 0; i < 4; i++) CHECK(times(tape, w, 5, false) == 40 * 48);
    CHECK(wg_tape_count(tape).packings == 1);
    CHECK(times(tape, w, 7, false) == 40 * 48); /* another plan, the same packed form */
    CHECK(wg_tape_count(tape).packings == 1);
    CHECK(times(tape, w, 5, true) == 40 * 48); /* another form */
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
    for (int step = 1; step <= 100; step++) { /* its plans are dropped, and its packed forms with them */
        (void)wg_item(wg_sum_all(wg_exp(wg_zeros(tape, WG_F32, WG_DIMS(step)))));
        wg_tape_reset(tape);
    }
    wg_tape_free(tape);
}

/* One row times W^T, beside many rows that share its packed form. */
static void a_row_has_the_same_bits_beside_others(void)
{
    enum { N = 17 };
    double y[2][N], numbers[N * N];
    for (int i = 0; i < N * N; i++) numbers[i] = sin(i);
    for (int i = 0; i < 2; i++) {
        wg_tape *tape = tape_by(NULL, i ? "-pack" : "");
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

static void the_cache_is_bounded(void)
{
    wg_tape *tape = new_tape();
    size_t half = 0;
    for (int step = 1; step <= 400; step++) {
        wg_tensor x = wg_zeros(tape, WG_F64, WG_DIMS(1 + step % 200, 4));
        (void)wg_item(wg_sum_all(wg_exp(x)));
        wg_tape_reset(tape);
        if (step == 200) half = wg_tape_memory(tape).live;
    }
    CHECK(wg_tape_count(tape).plans_cached < 200);
    CHECK(wg_tape_memory(tape).live <= half + (1 << 16));
    wg_tape_free(tape);
}

enum { WORDS = 1000, WIDTH = 16 };

/* A table read at several steps, and multiplied with what was read: tied weights. */
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

/* Gradients of lookups are added into one table where it stands. */
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

/* y = x + x[1, 0]: the gradient of y is what the lookup's is added to, and what it is made of. */
static void a_gradient_that_is_read_twice_stays(void)
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

/* A table that is sliced and, if `looked_up`, looked up in. */
static wg_tensor sliced_loss(wg_tape *tape, wg_params *set, bool looked_up)
{
    const int32_t index[5] = {0, 1, 1, 5, 0};
    wg_tensor m = wg_matmul(wg_use(tape, wg_param_find(set, "a")), wg_use(tape, wg_param_find(set, "b")));
    wg_tensor w = wg_use(tape, wg_param_find(set, "table")), numbers = wg_data(tape, WG_I32, WG_DIMS(5), index);
    wg_tensor x = looked_up ? wg_embedding(w, numbers) : wg_zeros(tape, WG_F64, WG_DIMS(1));
    wg_tensor top = wg_add(wg_slice(w, 0, 0, 3), m), bottom = wg_slice(w, 0, 3, 6);
    return wg_add(wg_sum_all(wg_tanh(x)), wg_add(wg_sum_all(wg_tanh(top)), wg_sum_all(wg_sigmoid(bottom))));
}

/* The slice's gradient is a piece of what the lookup's is added to, and is read again by the product's. */
static void a_piece_that_is_read_again_stays(void)
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

static void bytes_are_known_before(void)
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

/* ---- chains that write over what they read ---- */

enum { OVER_M = 64, OVER_N = 200, OVER_BYTES = OVER_M * OVER_N * sizeof(double) };

/* A kernel and a chain by turns; a value that a later member reads, one that is transposed, and a row whose 8 n bytes
 * are as many as those of 8 rows of bools. */
static wg_tensor over(wg_tape *tape, int way, const double *numbers)
{
    wg_tensor a = wg_data(tape, WG_F64, WG_DIMS(OVER_M, OVER_N), numbers), y = wg_softmax(a, 1);
    wg_tensor square = wg_softmax(wg_slice(a, 1, 0, OVER_M), 1), row = wg_slice(y, 0, 0, 1);
    for (int i = 0; i < 9 && way == 0; i++) y = wg_softmax(wg_tanh(y), 1);
    if (way == 1) y = wg_softmax(wg_mul(wg_tanh(y), wg_sub(wg_softmax(wg_t(wg_t(wg_exp(y))), 1), y)), 1);
    if (way == 2) y = wg_softmax(wg_sub(wg_exp(wg_t(square)), square), 1);
    if (way == 3) y = wg_cast(wg_t(wg_greater(wg_softmax(row, 1), wg_scale(wg_slice(a, 0, 0, 8), 0.1))), WG_F64);
    return y;
}

static void chains_write_over_what_they_read(void)
{
    double numbers[OVER_M * OVER_N], *value[2] = {malloc(OVER_BYTES), malloc(OVER_BYTES)};
    fill(numbers, OVER_M * OVER_N, 3);
    for (int way = 0; way < 4; way++) {
        size_t bytes[2], size = 0;
        for (int i = 0; i < 2; i++) {
            wg_tape *tape = tape_by(NULL, i ? "" : "-place");
            wg_tensor y = over(tape, way, numbers);
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

/* Small values that live long leave no holes between large ones that come and go. Of many steps, which are fitted in
 * another way, the bits count. */
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
        wg_tape *tape = tape_by(NULL, i ? "-place" : "");
        wg_tensor y = small_and_large(tape, 100, 6);
        CHECK((wg_plan_bytes(&y, 1) < 210 * line) == !i);
        wg_tape_reset(tape);
        value[i] = wg_item(small_and_large(tape, 3, 1500));
        CLOSE(tape);
    }
    CHECK(value[0] == value[1]);
}

/* ---- buffers that are written where they stand ---- */

enum { SIDE = 40, SIDE_BYTES = SIDE * SIDE * sizeof(double), ASSIGN_WAYS = 9 };

/* Two buffers are assigned, in ways that let the first be written in place (0, 1) or not. What is read besides. */
static wg_tensor assign(wg_tape *tape, wg_buffer *a, wg_buffer *b, int way)
{
    static const int32_t rows[2] = {3, 1};
    wg_tensor x = wg_use(tape, a), y = wg_use(tape, b), index = wg_data(tape, WG_I32, WG_DIMS(2), rows);
    wg_tensor next = wg_add(wg_tanh(x), wg_mul(x, y)), sum = wg_sum_all(wg_softmax(y, 1));
    switch (way) {
    case 0: break;
    case 1: sum = wg_add(sum, wg_sum_all(wg_softmax(x, 1))); break;   /* read by a kernel, before or after */
    case 2: wg_assign(b, wg_tanh(x)); break;                          /* read by the other assignment */
    case 3: next = wg_sub(wg_exp(wg_t(x)), x); break;                 /* another element is read */
    case 4: sum = wg_sum_all(wg_softmax(wg_mul(next, x), 1)); break;  /* and by a later member */
    case 5: wg_assign(a, wg_exp(next)); break;                        /* the last one counts */
    case 6: wg_assign(b, next); break;                                /* one value for both */
    case 7: sum = wg_sum_all(wg_index_select(next, 0, index)); break; /* an index is checked after it */
    case 8: sum = wg_sum_all(wg_softmax(wg_matmul(next, wg_t(x)), 1)); break; /* read by a product, after it */
    }
    wg_assign(a, next);
    return sum;
}

static void buffers_are_written_where_they_stand(void)
{
    wg_pool *pool = wg_pool_new(2);
    for (int way = 0; way < ASSIGN_WAYS; way++) {
        double value[4][2 * SIDE * SIDE + 4];
        for (int run = 0; run < 4; run++) { /* with and without, on two threads, and with a past to be kept */
            wg_tape *tape = tape_by(run == 2 ? pool : NULL, run == 0 ? "-place" : "");
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

/* A first gradient is written where the parameter keeps it; one that is added needs room, and gives it back. */
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

/* ---- one program, many ways: small recurrent models ---- */

/* The hash of all parameters, or of their gradients. */
static uint64_t hash_of(const wg_params *set, bool gradients)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < wg_params_count(set); i++) {
        const wg_param *p = wg_params_at(set, i);
        const unsigned char *bytes = gradients ? wg_param_grad(p) : wg_param_value(p);
        for (int64_t k = 0; k < wg_param_numel(p) * 4; k++) hash = (hash ^ bytes[k]) * 1099511628211u;
    }
    return hash;
}

/* The parameters' hash after a few steps of an LSTM with dropout and a carried state. */
static uint64_t train(wg_pool *pool, const char *plan)
{
    enum { T = 6, B = 9, V = 11, H = 16, STEPS = 5 };
    wg_tape *tape = tape_by(pool, plan);
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
    uint64_t hash = hash_of(set, false);
    wg_optimizer_free(adam);
    wg_params_free(set);
    wg_tape_free(tape);
    return hash;
}

/* The gradients of two layers of LSTMs in both directions, large enough to be shared; its scratch is measured. */
static uint64_t both_directions(wg_pool *pool, const char *plan, size_t *peak)
{
    enum { T = 9, B = 40, IN = 24, H = 72 };
    wg_tape *tape = tape_by(pool, plan);
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
    uint64_t hash = hash_of(set, true);
    *peak = wg_tape_memory(tape).peak;
    wg_params_free(set);
    wg_tape_free(tape);
    return hash;
}

static void side_by_side_changes_no_bit(void)
{
    size_t peak, more;
    uint64_t alone = both_directions(NULL, "", &peak);
    for (int threads = 2; threads <= 4; threads++) {
        wg_pool *pool = wg_pool_new(threads);
        CHECK(both_directions(pool, "", &more) == alone);
        CHECK(more < peak + peak / 2);
        CHECK(both_directions(pool, "-side", &more) == alone);
        CHECK(both_directions(pool, "-place", &more) == alone);
        wg_pool_free(pool);
    }
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

/* ---- sums of products ---- */

/* A state that looks at keys [B, 5, 4] at every step: their gradient is a sum of products of batches, every second one
 * seen transposed. */
static wg_tensor looked_at(void *context, wg_tape *tape, wg_params *set)
{
    wg_tensor keys = wg_tanh(wg_use(tape, wg_param_find(set, "keys")));
    wg_tensor h = wg_tanh(wg_use(tape, wg_param_find(set, "h")));
    for (int t = 0; t < *(const int *)context; t++) {
        wg_tensor weights = wg_tanh(wg_matmul(h, wg_t(keys)));
        h = wg_tanh(wg_add(h, wg_matmul(weights, keys)));
    }
    return weigh(h, 1);
}

static void sums_of_products_of_batches_are_merged(void)
{
    for (int batch = 1; batch <= 3; batch += 2) /* of the keys: one broadcasts */
        for (int looks = 1; looks <= 2; looks++) {
            int T = 4;
            wg_params *set = wg_params_new(WG_F64);
            wg_param_new(set, "keys", WG_DIMS(batch, 5, 4), wg_init_normal(0, 1));
            wg_param_new(set, "h", WG_DIMS(3, looks, 4), wg_init_normal(0, 1));
            CHECK(gradcheck(set, looked_at, &T, true));
            int64_t instructions[2];
            for (int merged = 0; merged < 2; merged++) {
                wg_tape *tape = tape_by(NULL, merged ? "" : "-merge");
                CHECK(wg_backward(looked_at(&T, tape, set)) == WG_OK);
                instructions[merged] = (int64_t)wg_tape_count(tape).instructions;
                CLOSE(tape);
            }
            /* Of 2 T products one is left; summed over a batch first, they are no terms. */
            CHECK(instructions[0] - instructions[1] >= (batch == 3 ? 2 * T - 1 : 0));
            wg_params_free(set);
        }
}

/* ---- what the way back keeps ---- */

enum { ROWS = 24, UNITS = 32 };

typedef enum loop { GRU, LERP, SLICES, LSTM, SILU, GATED, DEEP, LOOPS } loop;

/* A loop of T steps over a state of [ROWS, UNITS]. */
static wg_tensor loop_loss(loop kind, wg_tape *tape, wg_params *set, const wg_rnn cells[2], int T)
{
    const wg_rnn *cell = &cells[kind == LSTM];
    wg_tensor W = wg_use(tape, wg_param_find(set, "W")), part[6];
    wg_tensor h = wg_cast(random_leaf(tape, WG_DIMS(ROWS, UNITS), 3), WG_F32), x = h;
    wg_rnn_state state = wg_rnn_zero_state(cell, tape, ROWS);
    if (kind == DEEP) h = wg_slice(wg_matmul(h, W), 1, 0, UNITS);
    for (int t = 0; t < T; t++) {
        if (kind == GRU || kind == LSTM) {
            h = wg_rnn_step(cell, x, &state);
            continue;
        }
        if (kind == DEEP) {
            h = wg_tanh(wg_scale(h, 1.1));
            continue;
        }
        wg_split(wg_matmul(h, W), -1, 6, part);
        for (int i = 1; i < 4; i++) part[0] = wg_add(part[0], part[i]);
        wg_tensor a = wg_tanh(part[0]), b = wg_sigmoid(wg_add(part[4], part[5]));
        switch (kind) {
        case LERP: h = wg_lerp(a, h, b); break;
        case SILU: h = wg_mul(part[0], wg_sigmoid(part[0])); break;
        case GATED: h = wg_mul(b, wg_tanh(wg_add(wg_mul(a, b), wg_mul(a, h)))); break;
        default: h = wg_tanh(wg_add(part[0], wg_mul(part[4], part[5])));
        }
    }
    return wg_mean_all(wg_square(wg_matmul(h, W)));
}

/* Of a product's slices those that the way back reads; and nothing that its chains can make in a few steps of what it
 * reads anyway. */
static void the_way_back_keeps_what_it_reads(void)
{
    /* r, z, n, h and the candidate's part of the projection; n, h and z; h and two slices of six; four gates, c and h;
     * h and what goes into silu; a, b and h; one of three */
    static const double kept[LOOPS] = {5, 3, 3, 6, 2, 3, 1. / 3};
    static const char *const plans[3] = {"", "-fuse,-place", "-again"};
    enum { T = 60, STATE = ROWS * UNITS * (int)sizeof(float) };
    wg_params *set = wg_params_new(WG_F32);
    wg_rnn cells[2];
    wg_rnn_options options = wg_rnn_defaults();
    options.cell = WG_GRU;
    CHECK(wg_rnn_init(&cells[0], set, "gru", UNITS, UNITS, options) == WG_OK);
    options.cell = WG_LSTM;
    CHECK(wg_rnn_init(&cells[1], set, "lstm", UNITS, UNITS, options) == WG_OK);
    wg_param_new(set, "W", WG_DIMS(UNITS, 6 * UNITS), wg_init_uniform(-.2, .2));
    for (loop kind = 0; kind < LOOPS; kind++) {
        size_t bytes[2];
        uint64_t hash[3];
        for (int i = 0; i < 2; i++) {
            wg_tape *tape = tape_by(NULL, "");
            bytes[i] = wg_backward_bytes(loop_loss(kind, tape, set, cells, i ? 2 * T : T));
            CLOSE(tape);
        }
        CHECK((double)(bytes[1] - bytes[0]) < (kept[kind] + 0.5) * T * STATE);
        for (int i = 0; i < 3; i++) {
            wg_tape *tape = tape_by(NULL, plans[i]);
            wg_zero_grad(set);
            CHECK(wg_backward(loop_loss(kind, tape, set, cells, 5)) == WG_OK);
            hash[i] = hash_of(set, true);
            CLOSE(tape);
        }
        CHECK(hash[0] == hash[1] && hash[0] == hash[2]);
    }
    wg_params_free(set);
}

/* ---- sums of what a chain makes ---- */

/* Of [4, 9, 5, 3]: over the last axis; all but the channels; over all; over the first, which is no sum of lines. */
static const wg_axes summed[] = {{1, {3}}, {3, {0, 2, 3}}, {0}, {1, {0}}};

/* Distances, and the shares of each: a sum that is read where what it sums is read, too. */
static wg_tensor distances(void *context, wg_tape *tape, wg_params *set)
{
    wg_axes axes = summed[*(const int *)context];
    wg_tensor x = wg_use(tape, wg_param_find(set, "x")), y = wg_use(tape, wg_param_find(set, "y"));
    wg_tensor d = wg_sub(x, y), square = wg_square(d), sum = wg_sum(square, axes, true);
    wg_tensor share = wg_div(square, wg_add(sum, wg_sum(wg_exp(d), axes, true)));
    return wg_add(weigh(share, 1), weigh(wg_sum(wg_tanh(share), axes, false), 2));
}

static void sums_are_part_of_the_chain(void)
{
    for (int kind = 0; kind < 4; kind++) {
        wg_params *set = wg_params_new(WG_F64);
        wg_param *x = wg_param_new(set, "x", WG_DIMS(4, 9, 5, 3), wg_init_normal(0, 1));
        wg_param_new(set, "y", WG_DIMS(4, 9, 5, 3), wg_init_normal(0, 1));
        CHECK(gradcheck(set, distances, &kind, true));
        double grad[2][540], value[2];
        for (int fused = 0; fused < 2; fused++) {
            wg_tape *tape = tape_by(NULL, fused ? "" : "-fuse");
            wg_tensor loss = distances(&kind, tape, set);
            wg_zero_grad(set);
            CHECK(wg_backward(loss) == WG_OK);
            value[fused] = wg_item(loss);
            memcpy(grad[fused], wg_param_grad(x), sizeof grad[fused]);
            CLOSE(tape);
        }
        CHECK(value[0] == value[1] && memcmp(grad[0], grad[1], sizeof grad[0]) == 0);
        wg_tape *tape = tape_by(NULL, "");
        wg_tensor a = wg_use(tape, x), b = wg_use(tape, wg_param_find(set, "y")), d = wg_square(wg_sub(a, b));
        wg_tensor both[] = {wg_sum(d, summed[kind], true), wg_sum(wg_exp(d), summed[kind], true)};
        CHECK(wg_eval(both, 2) == WG_OK);
        CHECK(wg_tape_count(tape).instructions == (kind < 3 ? 1 : 3)); /* those over the first axis stand alone */
        CLOSE(tape);
        wg_params_free(set);
    }
}

/* ---- products of one weight ---- */

enum { LARGE = 1200, STEPS = 6 }; /* LARGE^2 floats do not stay in the caches */

/* A loop whose steps read out by a large weight V; with `fed`, what was read out is read by the next step. Returns the
 * loss and the number of instructions, and leaves the gradients. */
static double read_out(wg_params *set, wg_pool *pool, const char *plan, bool fed, uint64_t *instructions)
{
    wg_tape *tape = tape_by(pool, plan);
    wg_tensor W = wg_use(tape, wg_param_find(set, "W")), V = wg_use(tape, wg_param_find(set, "V"));
    wg_tensor h = wg_cast(random_leaf(tape, WG_DIMS(3, 24), 5), WG_F32), loss = WG_NONE;
    for (int t = 0; t < STEPS; t++) {
        h = wg_tanh(wg_matmul(h, W));
        wg_tensor wide = wg_concat((wg_tensor[]){h, wg_zeros(tape, WG_F32, WG_DIMS(3, LARGE - 24))}, 2, 1);
        wg_tensor y = wg_tanh(wg_matmul(wide, V)), l = weigh(y, (unsigned)t);
        if (fed) h = wg_add(h, wg_slice(y, 1, 0, 24));
        loss = loss.tape ? wg_add(loss, l) : l;
    }
    wg_zero_grad(set);
    CHECK(wg_backward(loss) == WG_OK);
    double value = wg_item(loss);
    *instructions = wg_tape_count(tape).instructions;
    CLOSE(tape);
    return value;
}

static void large_weights_are_read_once(void)
{
    wg_pool *pool = wg_pool_new(3);
    wg_params *set = wg_params_new(WG_F32);
    wg_param *V = wg_param_new(set, "V", WG_DIMS(LARGE, LARGE), wg_init_uniform(-.1, .1));
    wg_param *W = wg_param_new(set, "W", WG_DIMS(24, 24), wg_init_uniform(-.3, .3));
    size_t bytes = LARGE * LARGE * sizeof(float);
    float *dV = malloc(bytes), dW[24 * 24];
    for (int fed = 0; fed < 2; fed++) {
        uint64_t alone, together, small;
        double loss = read_out(set, NULL, "-rows", fed, &alone);
        memcpy(dV, wg_param_grad(V), bytes);
        memcpy(dW, wg_param_grad(W), sizeof dW);
        for (int threads = 0; threads < 2; threads++) {
            CHECK(read_out(set, threads ? pool : NULL, "", fed, &together) == loss);
            CHECK(!memcmp(dV, wg_param_grad(V), bytes) && !memcmp(dW, wg_param_grad(W), sizeof dW));
            /* of STEPS products forward, and as many back, one each is left, which packs V by itself; but none is put
             * together with one that it waits for */
            CHECK(fed ? together == alone : together == alone - 2 * STEPS);
        }
        CHECK(read_out(set, NULL, "+rows", fed, &small) == loss && small == together);
    }
    free(dV);
    wg_params_free(set);
    wg_pool_free(pool);
}

/* ---- small ops ---- */

/* Bytes of a small op, its gradient included, while it is planned and run. */
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
                                 TEST_CASE(a_weight_is_packed_once_while_it_stands),
                                 TEST_CASE(a_row_has_the_same_bits_beside_others),
                                 TEST_CASE(the_cache_is_bounded),
                                 TEST_CASE(bytes_are_known_before),
                                 TEST_CASE(a_first_gradient_needs_no_room),
                                 TEST_CASE(buffers_are_written_where_they_stand),
                                 TEST_CASE(large_values_fit_around_small_ones),
                                 TEST_CASE(chains_write_over_what_they_read),
                                 TEST_CASE(lookups_share_one_gradient),
                                 TEST_CASE(tied_tables_have_the_right_gradient),
                                 TEST_CASE(a_piece_that_is_read_again_stays),
                                 TEST_CASE(a_gradient_that_is_read_twice_stays),
                                 TEST_CASE(side_by_side_changes_no_bit),
                                 TEST_CASE(threads_and_exact_passes_change_no_bit),
                                 TEST_CASE(tapes_share_a_pool),
                                 TEST_CASE(sums_of_products_of_batches_are_merged),
                                 TEST_CASE(the_way_back_keeps_what_it_reads),
                                 TEST_CASE(sums_are_part_of_the_chain),
                                 TEST_CASE(large_weights_are_read_once),
                                 TEST_CASE(a_small_op_takes_little_memory)};
    return RUN_TESTS(tests);
}
