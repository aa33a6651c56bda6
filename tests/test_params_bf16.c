/* Parameters stored in bf16 (wg_params_new(WG_BF16)). The oracle of every value: a set of f32 whose parameters were
 * rounded to bf16 by scalar code gives the same bits, with products in f32, bf16 and int8, on one and two threads, with
 * passes on and off. Then memory, and gradients of what is around them. */
#include "bf16_number.h"
#include "tensors.h"

enum { WIDTH = 48, VOCABULARY = 40, CONTEXT = 12, BATCH = 3, LAYERS = 2, MOST_OUT = 4096 };

/* ---- two sets with the same numbers ---- */

/* Rounds the parameters of an f32 set; gives those of the other set, in bf16, the same numbers. */
static void round_both(wg_params *rounded, wg_params *stored)
{
    CHECK(wg_params_status(rounded) == WG_OK && wg_params_status(stored) == WG_OK);
    CHECK(wg_params_count(rounded) == wg_params_count(stored));
    for (size_t i = 0; i < wg_params_count(rounded); i++) {
        wg_param *p = wg_params_at(rounded, i), *q = wg_params_at(stored, i);
        CHECK(wg_param_dtype(p) == WG_F32);
        if (wg_param_is_buffer(p)) continue;
        CHECK(wg_param_dtype(q) == WG_BF16);
        float *x = wg_param_write_begin(p);
        uint16_t *y = wg_param_write_begin(q);
        for (int64_t k = 0; k < wg_param_numel(p); k++) x[k] = wide(y[k] = nearest(x[k]));
        wg_param_write_end(p);
        wg_param_write_end(q);
    }
}

/* ---- programs ---- */

/* A model in each set, and a program that leaves its results in out; returns how many numbers. */
typedef struct program {
    const char *name;
    void (*init)(void *model, wg_params *set);
    size_t (*run)(void *model, wg_tape *tape, float *out);
    size_t bytes;
} program;

static size_t read_out(wg_tensor y, float *out)
{
    const size_t n = (size_t)wg_numel(y);
    assert_true(n <= MOST_OUT);
    if (wg_read(y, out, n * sizeof *out) != WG_OK) FAIL("%s", wg_tape_message(y.tape));
    return n;
}

typedef struct lm {
    wg_lm model;
    wg_kv_cache cache;
} lm;

static void lm_init_with(lm *m, wg_params *set, bool tied)
{
    wg_lm_options o = wg_lm_defaults();
    o.layer.heads = 4;
    o.tied = tied;
    wg_lm_init(&m->model, set, "lm", VOCABULARY, CONTEXT, WIDTH, LAYERS, o);
    wg_kv_cache_init(&m->cache, &m->model.stack, set, "cache", 1, CONTEXT, 0);
}
static void tied_init(void *m, wg_params *set) { lm_init_with(m, set, true); }
static void untied_init(void *m, wg_params *set) { lm_init_with(m, set, false); }

/* All positions at once. */
static size_t lm_run(void *model, wg_tape *tape, float *out)
{
    int32_t token[BATCH * CONTEXT];
    for (int i = 0; i < BATCH * CONTEXT; i++) token[i] = i * 7 % VOCABULARY;
    const lm *m = model;
    return read_out(wg_lm_apply(&m->model, wg_data(tape, WG_I32, WG_DIMS(BATCH, CONTEXT), token)), out);
}

/* One position at a time: products of one row, whose weights are packed by the second step at the latest. */
static size_t lm_generate(void *model, wg_tape *tape, float *out)
{
    lm *m = model;
    size_t n = 0;
    for (int64_t t = 0; t < CONTEXT; t++) {
        const int32_t token = (int32_t)(t * 11 % VOCABULARY);
        n += read_out(wg_lm_step(&m->model, wg_data(tape, WG_I32, WG_DIMS(1), &token), &m->cache, t, WG_NONE),
                      out + n);
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    return n;
}

typedef struct mixed {
    wg_param *w, *square, *filter, *bias, *cube, *row, *embedding, *tall, *folded;
    wg_rnn rnn;
    wg_layer_norm_layer norm;
} mixed;

static void mixed_init(void *model, wg_params *set)
{
    mixed *m = model;
    m->w = wg_param_new(set, "w", WG_DIMS(WIDTH, 24), wg_init_normal(0, 1));
    m->square = wg_param_new(set, "square", WG_DIMS(24, 24), wg_init_orthogonal(1));
    m->filter = wg_param_new(set, "filter", WG_DIMS(5, 3, 3, 3), wg_init_he());
    m->bias = wg_param_new(set, "bias", WG_DIMS(24), wg_init_uniform(-1, 1));
    m->cube = wg_param_new(set, "cube", WG_DIMS(3, WIDTH, 10), wg_init_normal(0, 1));
    m->row = wg_param_new(set, "row", WG_DIMS(WIDTH), wg_init_normal(0, 1));
    m->embedding = wg_param_new(set, "embedding", WG_DIMS(30, WIDTH), wg_init_normal(0, 1));
    m->tall = wg_param_new(set, "tall", WG_DIMS(6, 4, 8), wg_init_normal(0, 1));
    m->folded = wg_param_new(set, "folded", WG_DIMS(6, 4, 8), wg_init_normal(0, 1));
    wg_rnn_options o = wg_rnn_defaults();
    o.cell = WG_LSTM;
    o.forget_bias = 1;
    wg_rnn_init(&m->rnn, set, "rnn", WIDTH, 20, o);
    wg_layer_norm_init(&m->norm, set, "norm", 24);
}

/* What reads a parameter: products from either side, sliced, reshaped, transposed and copied; batches; and others. */
static size_t mixed_run(void *model, wg_tape *tape, float *out)
{
    const mixed *m = model;
    float numbers[5 * WIDTH];
    for (int i = 0; i < 5 * WIDTH; i++) numbers[i] = (float)((i * 37 % 101) - 50) / 50;
    const int32_t index[] = {3, 0, 29, 3};
    const wg_tensor x = wg_data(tape, WG_F32, WG_DIMS(5, WIDTH), numbers),
                    image = wg_data(tape, WG_F32, WG_DIMS(1, 3, 6, 6), numbers),
                    at = wg_data(tape, WG_I32, WG_DIMS(4), index);
    const wg_tensor w = wg_use(tape, m->w), square = wg_use(tape, m->square), tall = wg_use(tape, m->tall),
                    cube = wg_use(tape, m->cube), bias = wg_use(tape, m->bias), row = wg_use(tape, m->row);
    CHECK(wg_dtype_get(w) == WG_F32 && wg_use(tape, m->w).node == w.node);
    const wg_tensor h = wg_layer_norm_apply(&m->norm, wg_add(wg_matmul(x, w), bias));
    wg_rnn_state state = wg_rnn_zero_state(&m->rnn, tape, 5);
    wg_tensor hidden = WG_NONE;
    for (int t = 0; t < 3; t++) hidden = wg_rnn_step(&m->rnn, x, &state);
    /* Read by one product alone, and copied for it: in bf16. */
    const wg_tensor folded = wg_reshape(wg_permute(wg_use(tape, m->folded), WG_AXES(2, 0, 1)), WG_DIMS(8, 24));
    const wg_tensor all[] = {
        wg_matmul(h, square),
        hidden,
        wg_conv2d(image, wg_use(tape, m->filter), WG_NONE, wg_conv_square(1, 1)),
        wg_matmul(wg_transpose(w, 0, 1), wg_transpose(x, 0, 1)), /* as the left operand */
        wg_matmul(w, wg_slice(square, 1, 3, 20)),                /* both operands */
        wg_matmul(wg_unsqueeze(x, 0), cube),                     /* batches */
        wg_matmul(x, row),                                       /* one column */
        wg_matmul(wg_slice(x, 0, 0, 1), w),                      /* one row */
        wg_matmul(wg_slice(x, 0, 0, 1), wg_transpose(wg_use(tape, m->embedding), 0, 1)),
        wg_embedding(wg_use(tape, m->embedding), at),
        wg_index_select(w, 1, wg_slice(at, 0, 0, 2)),
        wg_matmul(wg_index_select(w, 0, at), square), /* rows, read by a product alone */
        wg_matmul(folded, wg_slice(w, 0, 0, 24)),
        wg_softmax(bias, 0),
        wg_concat((wg_tensor[]){bias, row}, 2, 0),
        wg_sum_all(wg_add(wg_matmul(h, square), wg_matmul(h, wg_transpose(square, 0, 1)))), /* not merged */
        tall,
        wg_einsum("bi,ijk->bjk", (wg_tensor[]){wg_slice(x, 1, 0, 6), tall}, 2)};
    size_t n = 0;
    const int count = sizeof all / sizeof *all;
    if (wg_eval(all, count) != WG_OK) FAIL("%s", wg_tape_message(tape));
    for (int i = 0; i < count; i++) n += read_out(all[i], out + n);
    CHECK(wg_tape_reset(tape) == WG_OK);
    return n;
}

/* One parameter read by a product and by other ops. With products in int8 it stays f32. */
static size_t shared_run(void *model, wg_tape *tape, float *out)
{
    const mixed *m = model;
    const wg_tensor square = wg_use(tape, m->square), bias = wg_use(tape, m->bias);
    const wg_tensor x = wg_outer(bias, wg_reshape(wg_use(tape, m->tall), WG_DIMS(192)));
    const wg_tensor h = wg_matmul(square, wg_slice(x, 1, 0, 50));
    const wg_tensor all[] = {h, wg_mul(square, wg_add_scalar(square, 1)), wg_matmul(wg_transpose(h, 0, 1), square),
                             wg_layer_norm(wg_transpose(h, 0, 1), bias, bias, 1e-5), square};
    size_t n = 0;
    if (wg_eval(all, 5) != WG_OK) FAIL("%s", wg_tape_message(tape));
    for (int i = 0; i < 5; i++) n += read_out(all[i], out + n);
    CHECK(wg_tape_reset(tape) == WG_OK);
    return n;
}

static const program programs[] = {{"tied", tied_init, lm_run, sizeof(lm)},
                                   {"untied", untied_init, lm_run, sizeof(lm)},
                                   {"generate", tied_init, lm_generate, sizeof(lm)},
                                   {"mixed", mixed_init, mixed_run, sizeof(mixed)},
                                   {"shared", mixed_init, shared_run, sizeof(mixed)}};
enum { PROGRAMS = sizeof programs / sizeof *programs };

typedef struct setting {
    wg_dtype products;
    int threads;
    const char *plan;
    bool eager;
} setting;

static wg_tape *tape_of(setting s, wg_pool **pool)
{
    wg_tape_options o = wg_tape_defaults();
    o.products = s.products;
    o.plan = s.plan;
    o.eager = s.eager;
    o.pool = *pool = s.threads > 1 ? wg_pool_new(s.threads) : NULL;
    wg_tape *tape = wg_tape_new(o);
    wg_set_training(tape, false);
    wg_no_grad_begin(tape);
    return tape;
}

/* The program's results, twice: planned, and from the cache with weights packed. */
static size_t results(const program *p, void *model, setting s, float *out)
{
    wg_pool *pool;
    wg_tape *tape = tape_of(s, &pool);
    const size_t n = p->run(model, tape, out);
    CHECK(wg_tape_reset(tape) == WG_OK);
    CHECK(p->run(model, tape, out + n) == n);
    wg_tape_free(tape);
    wg_pool_free(pool);
    return 2 * n;
}

static void same_bits_as_rounded(void)
{
    static const setting settings[] = {{WG_F32, 1, "", false},
                                       {WG_F32, 2, "", false},
                                       {WG_BF16, 1, "", false},
                                       {WG_BF16, 2, "", false},
                                       {WG_INT8, 1, "", false},
                                       {WG_INT8, 2, "", false},
                                       {WG_F32, 1, "-all", false},
                                       {WG_F32, 2, "-pack", false},
                                       {WG_F32, 2, "+share_weight", false},
                                       {WG_BF16, 1, "-all", false},
                                       {WG_BF16, 2, "-pack,-narrow", false},
                                       {WG_BF16, 1, "-fuse", false},
                                       {WG_F32, 1, "", true},
                                       {WG_BF16, 1, "", true}};
    float *want = malloc(4 * MOST_OUT * sizeof *want), *got = malloc(4 * MOST_OUT * sizeof *got);
    for (int i = 0; i < PROGRAMS; i++) {
        const program *p = &programs[i];
        if (!check_wants(p->name)) continue;
        void *rounded = calloc(1, p->bytes), *stored = calloc(1, p->bytes);
        wg_params *f32 = wg_params_new(WG_F32), *bf16 = wg_params_new(WG_BF16);
        p->init(rounded, f32);
        p->init(stored, bf16);
        round_both(f32, bf16);
        for (size_t s = 0; s < sizeof settings / sizeof *settings; s++) {
            if (p->run == shared_run && settings[s].products == WG_INT8) continue;
            const size_t n = results(p, rounded, settings[s], want);
            CHECK(results(p, stored, settings[s], got) == n && n > 0);
            size_t wrong = 0, first = 0;
            for (size_t k = n; k-- > 0;)
                if (memcmp(&want[k], &got[k], sizeof *want)) wrong++, first = k;
            if (wrong)
                FAIL("%s, products %s, %d threads, plan \"%s\"%s: %zu of %zu numbers differ, first %zu: %g, not %g",
                     p->name, wg_dtype_name(settings[s].products), settings[s].threads, settings[s].plan,
                     settings[s].eager ? ", eager" : "", wrong, n, first, (double)got[first], (double)want[first]);
        }
        wg_params_free(f32);
        wg_params_free(bf16);
        free(rounded);
        free(stored);
    }
    free(want);
    free(got);
}

/* ---- values ---- */

/* Initial values are those of f32, rounded, whatever the distribution. */
static void initial_values_are_rounded(void)
{
    wg_params *f32 = wg_params_new(WG_F32), *bf16 = wg_params_new(WG_BF16);
    mixed a = {0}, b = {0};
    mixed_init(&a, f32);
    mixed_init(&b, bf16);
    CHECK(wg_params_storage(bf16) == WG_BF16 && wg_params_dtype(bf16) == WG_F32);
    CHECK(wg_params_storage(f32) == WG_F32 && wg_params_storage(NULL) == WG_F32);
    for (size_t i = 0; i < wg_params_count(f32); i++) {
        const wg_param *p = wg_params_at(f32, i);
        const float *x = wg_param_value(p);
        const uint16_t *y = wg_param_value(wg_params_at(bf16, i));
        const bool added = !strcmp(wg_param_name(p), "rnn.bias_ih_l0"); /* the forget bias: to a rounded number */
        int64_t wrong = 0;
        for (int64_t k = 0; k < wg_param_numel(p); k++)
            wrong += added ? fabs((double)(wide(y[k]) - x[k])) > 1 / 128.0 : y[k] != nearest(x[k]);
        if (wrong) FAIL("%s: %lld numbers are wrong", wg_param_name(p), (long long)wrong);
    }
    wg_params_free(f32);
    wg_params_free(bf16);
}

/* A use of the parameter itself gives its numbers, special ones, too. */
static void special_numbers_are_widened(void)
{
    wg_params *set = wg_params_new(WG_BF16);
    wg_param *p = wg_param_new(set, "p", WG_DIMS(SPECIALS), wg_init_zeros());
    uint16_t *numbers = wg_param_write_begin(p);
    for (int i = 0; i < SPECIALS; i++) numbers[i] = nearest(specials[i]);
    wg_param_write_end(p);
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    float out[SPECIALS];
    CHECK(wg_read(wg_use(tape, p), out, sizeof out) == WG_OK);
    for (int i = 0; i < SPECIALS; i++) {
        const float want = wide(nearest(specials[i]));
        CHECK(memcmp(&want, &out[i], sizeof want) == 0);
    }
    wg_tape_free(tape);
    wg_params_free(set);
}

/* ---- memory ---- */

/* Two bytes an element, and no panels beside them with products in f32, whatever the number of rows. */
static void memory_is_halved_twice(void)
{
    enum { ROWS = 600, COLUMNS = 700 };
    for (int rows = 1; rows <= 40; rows += 39) {
        wg_params *set = wg_params_new(WG_BF16);
        wg_param *w = wg_param_new(set, "w", WG_DIMS(ROWS, COLUMNS), wg_init_normal(0, 1));
        const size_t bytes = (size_t)wg_param_numel(w) * 2;
        CHECK(wg_params_memory(set).live < bytes + 20000);
        static const struct {
            wg_dtype products;
            size_t panels; /* thirds of the parameter's bytes, at most */
        } cases[] = {{WG_F32, 0}, {WG_BF16, 4}, {WG_INT8, 3}};
        for (int i = 0; i < 3; i++) {
            wg_pool *pool;
            wg_tape *tape = tape_of((setting){cases[i].products, 1, "", false}, &pool);
            for (int step = 0; step < 2; step++) {
                const wg_tensor x = wg_ones(tape, WG_F32, WG_DIMS(rows, COLUMNS));
                const wg_tensor y = wg_linear(x, wg_use(tape, w), WG_NONE);
                CHECK(wg_eval(&y, 1) == WG_OK);
                CHECK(wg_tape_reset(tape) == WG_OK);
            }
            const size_t most = cases[i].panels * bytes / 3 + 100000;
            if (wg_tape_count(tape).plan_bytes > most)
                FAIL("%d rows, products %s: plans and panels of %zu bytes", rows, wg_dtype_name(cases[i].products),
                     (size_t)wg_tape_count(tape).plan_bytes);
            wg_tape_free(tape);
        }
        CHECK(wg_params_memory(set).live < bytes + 20000); /* no gradient appeared */
        wg_params_free(set);
    }
}

/* Of an embedding the rows that are read are widened, not all of it. */
static void embeddings_are_read_by_row(void)
{
    wg_params *set = wg_params_new(WG_BF16);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(20000, 64), wg_init_normal(0, 1));
    wg_pool *pool;
    wg_tape *tape = tape_of((setting){WG_F32, 1, "", false}, &pool);
    const int32_t index[] = {5, 19999};
    const wg_tensor y = wg_embedding(wg_use(tape, w), wg_data(tape, WG_I32, WG_DIMS(2), index));
    CHECK(wg_plan_bytes(&y, 1) < 10000);
    CHECK(wg_eval(&y, 1) == WG_OK);
    const int32_t wrong = 20000;
    const wg_tensor z = wg_embedding(wg_use(tape, w), wg_data(tape, WG_I32, WG_DIMS(1), &wrong));
    CHECK(wg_eval(&z, 1) != WG_OK && strstr(wg_tape_message(tape), "20000"));
    wg_tape_free(tape);
    wg_params_free(set);
}

/* ---- gradients ---- */

/* x (W + A B) with W frozen in bf16: A, B and x's gradients are those beside a rounded W in f32. */
static void gradients_pass_frozen_parameters(void)
{
    enum { RANK = 2 };
    float grads[2][2][WIDTH * RANK];
    for (int stored = 0; stored < 2; stored++) {
        wg_params *f32 = wg_params_new(WG_F32), *bf16 = wg_params_new(WG_BF16), *trained = wg_params_new(WG_F32);
        wg_param *w[2] = {wg_param_new(f32, "w", WG_DIMS(WIDTH, WIDTH), wg_init_normal(0, 1)),
                          wg_param_new(bf16, "w", WG_DIMS(WIDTH, WIDTH), wg_init_normal(0, 1))};
        round_both(f32, bf16);
        wg_param_freeze(w[stored], true);
        wg_param *a = wg_param_new(trained, "a", WG_DIMS(WIDTH, RANK), wg_init_normal(0, 1)),
                 *b = wg_param_new(trained, "b", WG_DIMS(RANK, WIDTH), wg_init_normal(0, 1));
        wg_tape *tape = wg_tape_new(wg_tape_defaults());
        wg_tensor x = wg_matmul(wg_use(tape, a), wg_use(tape, b));
        x = wg_tanh(wg_matmul(x, wg_use(tape, w[stored])));
        if (wg_backward(wg_mean_all(wg_square(wg_matmul(x, wg_use(tape, w[stored]))))) != WG_OK)
            FAIL("%s", wg_tape_message(tape));
        memcpy(grads[stored][0], wg_param_grad(a), sizeof grads[0][0]);
        memcpy(grads[stored][1], wg_param_grad(b), sizeof grads[0][1]);
        wg_tape_free(tape);
        wg_params_free(f32), wg_params_free(bf16), wg_params_free(trained);
    }
    CHECK(memcmp(grads[0], grads[1], sizeof grads[0]) == 0);
    CHECK(grads[0][0][0] != 0);
}

/* ---- failing allocations ---- */

typedef struct limited {
    long left, blocks; /* requests until one fails; live */
} limited;

static void *limited_alloc(void *context, size_t size)
{
    limited *l = context;
    if (l->left-- == 0) return NULL;
    l->blocks++;
    return aligned_alloc(64, (size + 63) & ~(size_t)63);
}

static void limited_release(void *context, void *memory, size_t size)
{
    (void)size;
    ((limited *)context)->blocks--;
    free(memory);
}

/* Makes a set, and evaluates on a tape. Returns the first error. */
static wg_status step_with(limited *of_set, limited *of_tape, float *out)
{
    wg_params *set = wg_params_new_with(WG_BF16, (wg_allocator){limited_alloc, limited_release, of_set}, 1);
    if (!set) return WG_ERR_MEMORY;
    wg_param *w = wg_param_new(set, "w", WG_DIMS(300, 32), wg_init_normal(0, 1)),
             *b = wg_param_new(set, "b", WG_DIMS(32), wg_init_orthogonal(1));
    wg_status status = wg_params_status(set);
    wg_tape_options o = wg_tape_defaults();
    o.allocator = (wg_allocator){limited_alloc, limited_release, of_tape};
    wg_tape *tape = status == WG_OK ? wg_tape_new(o) : NULL;
    if (tape) {
        const int32_t index[] = {7, 3};
        const wg_tensor rows = wg_embedding(wg_use(tape, w), wg_data(tape, WG_I32, WG_DIMS(2), index));
        const wg_tensor y = wg_linear(wg_add(rows, wg_use(tape, b)), wg_use(tape, w), WG_NONE);
        status = wg_read(y, out, 600 * sizeof *out);
        wg_tape_free(tape);
    } else if (status == WG_OK) {
        status = WG_ERR_MEMORY;
    }
    wg_params_free(set);
    return status;
}

static void every_allocation_may_fail(void)
{
    float want[600], got[600];
    limited a = {-1, 0}, b = {-1, 0};
    CHECK(step_with(&a, &b, want) == WG_OK);
    const long requests[] = {-1 - a.left, -1 - b.left};
    CHECK(requests[0] > 5 && requests[1] > 5);
    for (int which = 0; which < 2; which++)
        for (long k = 0; k < requests[which]; k++) {
            a = (limited){which == 0 ? k : -1, 0}, b = (limited){which == 1 ? k : -1, 0};
            const wg_status status = step_with(&a, &b, got);
            if (status != WG_ERR_MEMORY && !(status == WG_OK && !memcmp(want, got, sizeof want)))
                FAIL("allocation %ld of the %s: status %d", k, which ? "tape" : "set", (int)status);
            if (a.blocks || b.blocks) FAIL("allocation %ld of the %s: a leak", k, which ? "tape" : "set");
        }
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(same_bits_as_rounded),        TEST_CASE(initial_values_are_rounded),
        TEST_CASE(special_numbers_are_widened), TEST_CASE(memory_is_halved_twice),
        TEST_CASE(embeddings_are_read_by_row),  TEST_CASE(gradients_pass_frozen_parameters),

        TEST_CASE(every_allocation_may_fail)};
    return RUN_TESTS(tests);
}
