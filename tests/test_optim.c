/* Optimizers apart from their formulas (see test_golden): skipped parameters, refused steps, groups, clipping,
 * schedules, state, and equal bits on every instruction set. */
#include "optim/internal.h"
#include "tensors.h"

#include <float.h>

static const float *value(const wg_param *param) { return wg_param_value(param); }

static void set_gradient(wg_param *param, double number)
{
    float *g = wg_param_grad_write_begin(param);
    for (int64_t i = 0; i < wg_param_numel(param); i++) g[i] = (float)number;
    wg_param_grad_write_end(param);
}

static wg_param *param_of_ones(wg_params *set, const char *name, wg_shape shape)
{
    wg_param *param = wg_param_new(set, name, shape, wg_init_constant(1));
    set_gradient(param, 1);
    return param;
}

static wg_sgd_options sgd_with(double lr, double momentum)
{
    wg_sgd_options o = wg_sgd_defaults();
    o.lr = lr;
    o.momentum = momentum;
    return o;
}

/* Tied parameters are updated once, buffers never, frozen ones not, parameters added later from the next step on. */
static void test_members(void)
{
    wg_params *set = wg_params_new(WG_F32);
    wg_param *a = param_of_ones(set, "a", WG_DIMS(3)), *b = param_of_ones(set, "b", WG_DIMS(2, 2));
    wg_param_tie(set, "a2", a);
    wg_buffer *buffer = wg_buffer_new(set, "buffer", WG_DIMS(3), wg_init_constant(1));
    wg_param_freeze(b, true);
    wg_optimizer *o = wg_sgd_new(set, sgd_with(0.25, 0.5));
    CHECK(wg_optimizer_state_count(o) == 2);
    uint64_t version = wg_param_version(a);
    CHECK(wg_optimizer_step(o) == WG_OK);
    CHECK(value(a)[2] == 0.75f && value(b)[3] == 1 && value(buffer)[0] == 1);
    CHECK(wg_param_version(a) > version);
    wg_param_freeze(b, false);
    wg_param *late = param_of_ones(set, "late", WG_SCALAR), *none = param_of_ones(set, "none", WG_DIMS(0, 4));
    CHECK(wg_optimizer_step(o) == WG_OK);
    CHECK(value(a)[0] == 0.375f && value(b)[0] == 0.75f && value(late)[0] == 0.75f && wg_param_numel(none) == 0);
    CHECK(wg_optimizer_state_count(o) == 8 && wg_optimizer_steps(o) == 2);
    const char *name;
    wg_shape shape;
    wg_dtype dtype;
    void *data;
    CHECK(wg_optimizer_state_at(o, 2, &name, &dtype, &shape, &data));
    CHECK(strcmp(name, "optim.momentum_buffer.b") == 0 && dtype == WG_F32 && shape.rank == 2 &&
          ((float *)data)[3] == 1);
    CHECK(wg_optimizer_state_at(o, 1, &name, &dtype, &shape, &data));
    CHECK(strcmp(name, "optim.step.a") == 0 && dtype == WG_I32 && shape.rank == 0 && *(int32_t *)data == 2);
    CHECK(!wg_optimizer_state_at(o, 8, &name, &dtype, &shape, &data));
    wg_optimizer_free(o);
    wg_params_free(set);
}

/* A refused step changes nothing and is counted. */
static void test_refused(void)
{
    wg_params *set = wg_params_new(WG_F32);
    wg_param *a = param_of_ones(set, "a", WG_DIMS(40)), *b = param_of_ones(set, "b", WG_DIMS(40));
    wg_optimizer *o = wg_adam_new(set, wg_adam_defaults());
    const double bad[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        ((float *)wg_param_grad_write_begin(b))[17] = (float)bad[i];
        wg_param_grad_write_end(b);
        CHECK(wg_optimizer_step(o) == WG_ERR_NONFINITE);
        CHECK(strcmp(wg_optimizer_message(o), "adam: gradient of b is not finite at element 17") == 0);
        CHECK(value(a)[0] == 1 && value(b)[0] == 1 && wg_optimizer_steps(o) == 0);
        CHECK(wg_optimizer_refused(o) == (uint64_t)i + 1);
        double norm;
        CHECK(wg_clip_grad_norm(set, 1, &norm) == WG_OK && !isfinite(norm));
        CHECK(((const float *)wg_param_grad(a))[0] == 1);
    }
    wg_param_freeze(b, true); /* its gradient is not read */
    CHECK(wg_optimizer_step(o) == WG_OK && value(a)[0] < 1);
    void *m;
    CHECK(wg_optimizer_state_at(o, 0, NULL, NULL, NULL, &m) && fabsf(((float *)m)[0] - 0.1f) < 1e-7f);
    wg_optimizer_free(o);

    wg_optimizer *wrong = wg_sgd_new(set, sgd_with(NAN, 0));
    CHECK(wrong && wg_optimizer_status(wrong) == WG_ERR_ARGUMENT && wg_optimizer_step(wrong) == WG_ERR_ARGUMENT);
    CHECK(strcmp(wg_optimizer_message(wrong), "sgd: lr must be a number >= 0") == 0);
    wg_optimizer_free(wrong);
    wg_params_free(set);
}

static void refused_with(wg_optimizer *o, const char *text, int line)
{
    check_at(o && wg_optimizer_status(o) == WG_ERR_ARGUMENT && wg_optimizer_step(o) == WG_ERR_ARGUMENT, text, line);
    check_at(strcmp(wg_optimizer_message(o), text) == 0, wg_optimizer_message(o), line);
    wg_optimizer_free(o);
}

/* Each option out of range. */
static void test_options(void)
{
    wg_params *set = wg_params_new(WG_F32);
    wg_param *a = param_of_ones(set, "a", WG_DIMS(3));
#define REFUSED(kind, field, number, text)                                                                         \
    do {                                                                                                           \
        wg_##kind##_options options = wg_##kind##_defaults();                                                      \
        options.field = number;                                                                                    \
        refused_with(wg_##kind##_new(set, options), #kind ": " text, __LINE__);                                    \
    } while (0)
    REFUSED(sgd, lr, -1, "lr must be a number >= 0");
    REFUSED(sgd, momentum, NAN, "momentum must be a number >= 0");
    REFUSED(sgd, dampening, 1.5, "dampening must be in [0, 1]");
    REFUSED(sgd, weight_decay, INFINITY, "weight_decay must be a number >= 0");
    REFUSED(sgd, nesterov, true, "nesterov requires momentum > 0 and dampening 0");
    REFUSED(rmsprop, lr, NAN, "lr must be a number >= 0");
    REFUSED(rmsprop, alpha, 1.1, "alpha must be in [0, 1]");
    REFUSED(rmsprop, epsilon, -1e-8, "epsilon must be a number >= 0");
    REFUSED(rmsprop, momentum, -1, "momentum must be a number >= 0");
    REFUSED(rmsprop, weight_decay, -1, "weight_decay must be a number >= 0");
    REFUSED(adam, lr, INFINITY, "lr must be a number >= 0");
    REFUSED(adam, beta1, 1, "beta1 must be in [0, 1)");
    REFUSED(adamw, beta2, 1, "beta2 must be in [0, 1)");
    REFUSED(adam, epsilon, NAN, "epsilon must be a number >= 0");
    REFUSED(adamw, weight_decay, -1, "weight_decay must be a number >= 0");
    REFUSED(adagrad, lr, NAN, "lr must be a number >= 0");
    REFUSED(adagrad, lr_decay, -1, "lr_decay must be a number >= 0");
    REFUSED(adagrad, epsilon, -1, "epsilon must be a number >= 0");
    REFUSED(adagrad, initial, INFINITY, "initial must be a number >= 0");
    REFUSED(adagrad, weight_decay, NAN, "weight_decay must be a number >= 0");
#undef REFUSED
    CHECK(value(a)[0] == 1);
    CHECK(!wg_adam_new(NULL, wg_adam_defaults()) && wg_optimizer_step(NULL) == WG_ERR_ARGUMENT);
    wg_optimizer *o = wg_adam_new(set, wg_adam_defaults());
    wg_group g = wg_group_defaults();
    g.weight_decay = NAN;
    CHECK(wg_optimizer_group(o, g) == WG_ERR_ARGUMENT && wg_optimizer_group(NULL, g) == WG_ERR_ARGUMENT);
    CHECK(strstr(wg_optimizer_message(o), "weight_decay must be numbers"));
    CHECK(wg_optimizer_set_lr(o, NAN) == WG_ERR_ARGUMENT && wg_optimizer_lr(o) == 1e-3);
    CHECK(wg_optimizer_step(o) == WG_OK); /* a refused setting changes nothing */
    wg_optimizer_free(o);
    wg_params_free(set);
}

static void test_groups(void)
{
    wg_params *set = wg_params_new(WG_F32);
    wg_param *w = param_of_ones(set, "encoder.weight", WG_DIMS(2, 2)),
             *b = param_of_ones(set, "encoder.bias", WG_DIMS(2));
    wg_param *d = param_of_ones(set, "decoder.weight", WG_DIMS(2, 2));
    wg_sgd_options options = sgd_with(0.25, 0);
    options.weight_decay = 1;
    wg_optimizer *o = wg_sgd_new(set, options);
    CHECK(wg_optimizer_no_decay(o) == WG_OK);
    wg_group half = wg_group_defaults();
    half.pattern = "nothing *coder.w*t";
    half.lr_scale = 0.5;
    CHECK(wg_optimizer_group(o, half) == WG_OK);
    half.pattern = "decoder.*";
    half.lr_scale = 0;
    CHECK(wg_optimizer_group(o, half) == WG_OK);
    CHECK(wg_optimizer_step(o) == WG_OK);
    CHECK(value(w)[0] == 0.75f && value(b)[0] == 0.75f && value(d)[0] == 1);
    wg_param *late = param_of_ones(set, "late.bias", WG_DIMS(2));
    CHECK(wg_optimizer_set_lr(o, 0.5) == WG_OK && wg_optimizer_lr(o) == 0.5);
    CHECK(wg_optimizer_step(o) == WG_OK && value(late)[0] == 0.5f);
    half.lr_scale = (double)NAN;
    CHECK(wg_optimizer_group(o, half) == WG_ERR_ARGUMENT && wg_optimizer_set_lr(o, INFINITY) == WG_ERR_ARGUMENT);
    wg_optimizer_free(o);
    wg_params_free(set);
}

static void test_clip(void)
{
    wg_params *set = wg_params_new(WG_F32);
    wg_param *a = param_of_ones(set, "a", WG_DIMS(9)), *b = param_of_ones(set, "b", WG_DIMS(16));
    wg_param_tie(set, "tied", b);
    double norm;
    CHECK(wg_clip_grad_norm(set, 5, &norm) == WG_OK && norm == 5);
    CHECK(((const float *)wg_param_grad(a))[0] == 1); /* not above the limit: no bit changes */
    CHECK(wg_clip_grad_norm(set, 2.5, &norm) == WG_OK && norm == 5);
    CHECK(fabsf(((const float *)wg_param_grad(b))[15] - 0.5f) < 1e-6f);
    CHECK(wg_clip_grad_norm(set, INFINITY, NULL) == WG_OK && wg_clip_grad_norm(set, -1, NULL) == WG_ERR_ARGUMENT);
    CHECK(wg_clip_grad_norm(set, NAN, NULL) == WG_ERR_ARGUMENT &&
          wg_clip_grad_norm(NULL, 1, NULL) == WG_ERR_ARGUMENT);
    set_gradient(a, -3);
    ((float *)wg_param_grad_write_begin(a))[4] = NAN;
    wg_param_grad_write_end(a);
    CHECK(wg_clip_grad_value(set, 0.25, &norm) == WG_OK && isnan(norm));
    const float *g = wg_param_grad(a);
    CHECK(g[3] == -0.25f && isnan(g[4]) && ((const float *)wg_param_grad(b))[0] == 0.25f);
    wg_params_free(set);
}

static bool near(double a, double b) { return fabs(a - b) <= 1e-12 * fabs(b); }

/* The norm of gradients whose squares overflow or vanish. */
static void case_norm_overflow_1e30(void)
{
    const double sizes[] = {1e200, 1e307, 1e-200, 1e-300, 1e30, 1e38, 1e-30};
    for (int i = 0; i < 7; i++) {
        wg_params *set = wg_params_new(i < 4 ? WG_F64 : WG_F32);
        wg_param *a = wg_param_new(set, "a", WG_DIMS(4), wg_init_zeros());
        void *to = wg_param_grad_write_begin(a);
        for (int k = 0; k < 4; k++)
            if (i < 4)
                ((double *)to)[k] = sizes[i];
            else
                ((float *)to)[k] = (float)sizes[i];
        wg_param_grad_write_end(a);
        double norm, size = i < 4 ? sizes[i] : (double)(float)sizes[i],
                     limit = size * 1e-9 < 1e-3 ? size * 1e-9 : 1e-3;
        CHECK(wg_clip_grad_norm(set, limit, &norm) == WG_OK && near(norm, 2 * size));
        double clipped =
            i < 4 ? ((const double *)wg_param_grad(a))[3] : (double)((const float *)wg_param_grad(a))[3];
        double want = size * limit / (norm + 1e-6);
        CHECK(size < 1 || fabs(clipped - want) <= 1e-6 * want);
        wg_params_free(set);
    }
}

static void test_schedules(void)
{
    CHECK(near(wg_schedule_step(1, 0, 10, 0.5), 1) && near(wg_schedule_step(1, 9, 10, 0.5), 1));
    CHECK(near(wg_schedule_step(1, 20, 10, 0.5), 0.25) && wg_schedule_step(1, 20, 0, 0.5) == 1);
    CHECK(near(wg_schedule_exponential(2, 3, 0.5), 0.25));
    CHECK(near(wg_schedule_cosine(1, 0.2, 0, 10), 1) && near(wg_schedule_cosine(1, 0.2, 5, 10), 0.6));
    CHECK(wg_schedule_cosine(1, 0.2, 10, 10) == 0.2 && wg_schedule_cosine(1, 0.2, 99, 0) == 0.2);
    CHECK(near(wg_schedule_warmup(1, 0, 4), 0.25) && wg_schedule_warmup(1, 3, 4) == 1 &&
          wg_schedule_warmup(1, 9, 0) == 1);
    CHECK(near(wg_schedule_one_cycle(2, 0, 20, 0.5), 0.08) && near(wg_schedule_one_cycle(2, 9, 20, 0.5), 2));
    CHECK(near(wg_schedule_one_cycle(2, 14, 20, 0.5), 1.000004) && wg_schedule_one_cycle(2, 19, 20, 0.5) == 8e-6);
    CHECK(wg_schedule_one_cycle(2, 19, 20, 1) == 2 && wg_schedule_one_cycle(2, 99, 20, 0.5) == 8e-6);
    CHECK(wg_schedule_one_cycle(2, 5, 0, 0.5) == 8e-6 && near(wg_schedule_one_cycle(2, 0, 20, 0.05), 0.08));
}

/* A second optimizer with the state of the first continues with the same bits. */
static void test_state(void)
{
    float end[2][5];
    for (int resume = 0; resume < 2; resume++) {
        wg_params *set = wg_params_new(WG_F32);
        wg_param *a = param_of_ones(set, "a", WG_DIMS(5));
        wg_optimizer *o = wg_adamw_new(set, wg_adamw_defaults());
        for (int step = 0; step < 6; step++) {
            if (resume && step == 3) {
                wg_optimizer *next = wg_adamw_new(set, wg_adamw_defaults());
                for (size_t i = 0; i < wg_optimizer_state_count(o); i++) {
                    void *from, *to;
                    wg_shape shape;
                    wg_dtype dtype;
                    size_t bytes;
                    wg_optimizer_state_at(o, i, NULL, &dtype, &shape, &from);
                    wg_optimizer_state_at(next, i, NULL, NULL, NULL, &to);
                    CHECK(wg_shape_bytes(&shape, dtype, &bytes));
                    memcpy(to, from, bytes);
                }
                wg_optimizer_free(o);
                o = next;
            }
            set_gradient(a, 0.3 * step - 0.7);
            CHECK(wg_optimizer_step(o) == WG_OK);
        }
        memcpy(end[resume], value(a), sizeof end[resume]);
        wg_optimizer_free(o);
        wg_params_free(set);
    }
    CHECK(memcmp(end[0], end[1], sizeof end[0]) == 0);
}

/* An allocator that fails request number `fail_at` and counts live blocks. */
typedef struct budget {
    int requests, fail_at;
    size_t live;
} budget;

static void *budget_alloc(void *context, size_t size)
{
    budget *b = context;
    if (++b->requests == b->fail_at) return NULL;
    b->live += size;
    return aligned_alloc(64, (size + 63) / 64 * 64 + 64);
}

static void budget_release(void *context, void *memory, size_t size)
{
    ((budget *)context)->live -= size;
    free(memory);
}

/* Every allocation fails once: nothing leaks, and a failed step can be repeated. */
static void test_memory(void)
{
    bool failed = true;
    for (int k = 1; failed && k < 100; k++) {
        failed = false;
        budget b = {0};
        wg_params *set = wg_params_new_with(WG_F32, (wg_allocator){budget_alloc, budget_release, &b}, 0);
        wg_param *a = param_of_ones(set, "a", WG_DIMS(5));
        b.fail_at = b.requests + k;
        wg_optimizer *o = wg_adam_new(set, wg_adam_defaults());
        if (o) {
            wg_group group = {.pattern = "late", .lr_scale = 2};
            failed |= wg_optimizer_group(o, group) == WG_ERR_MEMORY;
            int left = b.fail_at - b.requests;
            b.fail_at = 0; /* without the set's own requests */
            wg_param *late = param_of_ones(set, "late", WG_DIMS(5));
            b.fail_at = left > 0 ? b.requests + left : 0;
            if (wg_optimizer_step(o) == WG_ERR_MEMORY) {
                failed = true;
                CHECK(value(a)[0] == 1 && wg_optimizer_steps(o) == 0);
                CHECK(wg_optimizer_step(o) == WG_OK);
            }
            CHECK(value(a)[0] < 1 && value(late)[4] < 1);
        } else {
            failed = true;
        }
        wg_optimizer_free(o);
        wg_params_free(set);
        CHECK(b.live == 0);
        CHECK(k < 99);
    }
}

#if defined(__x86_64__) && !defined WG__ONE_ISA
/* Every kernel of the table against the baseline's, on the same numbers. */
static void same_bits(const wg__update_kernels *a, const wg__update_kernels *b, size_t size)
{
    enum { N = 131, LOOPS = 9 };
    const wg__update_fn loops[2][LOOPS] = {
        {a->sgd, a->sgd_momentum, a->rmsprop, a->rmsprop_momentum, a->rmsprop_centered,
         a->rmsprop_centered_momentum, a->adam, a->amsgrad, a->adagrad},
        {b->sgd, b->sgd_momentum, b->rmsprop, b->rmsprop_momentum, b->rmsprop_centered,
         b->rmsprop_centered_momentum, b->adam, b->amsgrad, b->adagrad}};
    const double c[WG__COEFFICIENTS] = {0.01, 0.003, 0.9, 0.1, 0.999, 0.001, 1.7, 1e-8};
    for (int k = 0; k < LOOPS; k++) {
        double memory[2][5][N];
        for (int v = 0; v < 2; v++) {
            srand(1);
            for (int i = 0; i < 5; i++)
                for (int j = 0; j < N; j++) {
                    double x = (double)rand() / RAND_MAX;
                    if (size == 8)
                        memory[v][i][j] = x;
                    else
                        ((float *)memory[v][i])[j] = (float)x;
                }
            void *slots[] = {memory[v][2], memory[v][3], memory[v][4]};
            loops[v][k](N, memory[v][0], memory[v][1], slots, c);
        }
        for (int i = 0; i < 5; i++) CHECK(memcmp(memory[0][i], memory[1][i], N * size) == 0);
        CHECK(a->sum_squares(N, memory[0][1], 1) == b->sum_squares(N, memory[0][1], 1));
    }
}

static void test_bits(void)
{
    if (__builtin_cpu_supports("avx2")) {
        same_bits(&wg__update_f32_baseline, &wg__update_f32_avx2, 4);
        same_bits(&wg__update_f64_baseline, &wg__update_f64_avx2, 8);
    }
    if (__builtin_cpu_supports("avx512f")) {
        same_bits(&wg__update_f32_baseline, &wg__update_f32_avx512, 4);
        same_bits(&wg__update_f64_baseline, &wg__update_f64_avx512, 8);
    }
}
#else
static void test_bits(void) {}
#endif

/* Two optimizers that each own a part step as one does, and have its state between them. */
static void test_parts(void)
{
    enum { N = 40000, CUT = 17001 };
    wg_params *set[3];
    wg_optimizer *o[3];
    for (int k = 0; k < 3; k++) {
        set[k] = wg_params_new(WG_F32);
        wg_param *p = wg_param_new(set[k], "p", WG_DIMS(N), wg_init_normal(0, 1));
        o[k] = wg_adamw_new(set[k], wg_adamw_defaults());
        if (k > 0) CHECK(wg_optimizer_own(o[k], p, k == 1 ? 0 : CUT, k == 1 ? CUT : N) == WG_OK);
        CHECK(wg_optimizer_is_whole(o[k]) == (k == 0) && wg_optimizer_slots(o[k]) == 2);
        CHECK(wg_optimizer_hash(o[k]) == wg_optimizer_hash(o[0]));
        for (int step = 0; step < 3; step++) {
            float *g = wg_param_grad_write_begin(p);
            for (int i = 0; i < N; i++) g[i] = (float)((i * 7 + step) % 101) - 50;
            if (k == 1) g[CUT] = (float)NAN; /* of another's part */
            wg_param_grad_write_end(p);
            CHECK(wg_optimizer_step(o[k]) == WG_OK);
        }
    }
    const float *whole = value(wg_params_at(set[0], 0));
    void *state[3];
    for (int k = 0; k < 3; k++) wg_optimizer_state_at(o[k], 1, NULL, NULL, NULL, &state[k]);
    CHECK(memcmp(value(wg_params_at(set[1], 0)), whole, CUT * sizeof *whole) == 0);
    CHECK(memcmp(value(wg_params_at(set[2], 0)) + CUT, whole + CUT, (N - CUT) * sizeof *whole) == 0);
    CHECK(memcmp(state[1], state[0], CUT * sizeof(float)) == 0);
    CHECK(memcmp(state[2], (float *)state[0] + CUT, (N - CUT) * sizeof(float)) == 0);
    CHECK(wg_optimizer_memory(o[1]).live < wg_optimizer_memory(o[0]).live * 6 / 10);
    wg_param *p = wg_params_at(set[2], 0);
    ((float *)wg_param_grad_write_begin(p))[CUT + 5] = (float)NAN;
    wg_param_grad_write_end(p);
    CHECK(wg_optimizer_step(o[2]) == WG_ERR_NONFINITE && strstr(wg_optimizer_message(o[2]), "element 17006"));
    CHECK(wg_optimizer_own(o[2], p, 0, 1) == WG_ERR_ARGUMENT && wg_optimizer_own(o[2], p, CUT, N) == WG_OK);
    CHECK(wg_optimizer_own(o[2], p, -1, 1) == WG_ERR_ARGUMENT &&
          wg_optimizer_own(o[2], p, 0, N + 1) == WG_ERR_ARGUMENT);
    CHECK(wg_optimizer_own(o[2], wg_params_at(set[1], 0), 0, 1) == WG_ERR_ARGUMENT);
    const wg_checkpoint c = {.params = set[1], .optimizer = o[1]};
    CHECK(wg_checkpoint_save("/tmp/never.safetensors", &c, NULL) == WG_ERR_ARGUMENT);
    for (int k = 0; k < 3; k++) {
        wg_optimizer_free(o[k]);
        wg_params_free(set[k]);
    }
}

static void *allocate_or_fail(void *context, size_t size)
{
    void *memory;
    return *(bool *)context || posix_memalign(&memory, 64, size + 64) != 0 ? NULL : memory;
}

static void release(void *context, void *memory, size_t size) { free(memory); }

/* Out of memory for the state of a part: the optimizer has the whole, as before. */
static void test_part_without_memory(void)
{
    bool fails = false;
    wg_params *set = wg_params_new_with(WG_F32, (wg_allocator){allocate_or_fail, release, &fails}, 0);
    wg_param *p = param_of_ones(set, "p", WG_DIMS(100));
    wg_optimizer *o = wg_sgd_new(set, sgd_with(0.5, 0.5));
    fails = true;
    CHECK(wg_optimizer_own(o, p, 10, 20) == WG_ERR_MEMORY && wg_optimizer_is_whole(o));
    fails = false;
    CHECK(wg_optimizer_step(o) == WG_OK && value(p)[99] == 0.5f);
    wg_optimizer_free(o);
    wg_params_free(set);
}

/* Each optimizer of a list has another hash than all others of it, and the same as its twin. */
static void test_hash(void)
{
    enum { KINDS = 17 };
    wg_params *set = wg_params_new(WG_F32);
    wg_param_new(set, "w", WG_DIMS(2, 2), wg_init_zeros());
    wg_param_new(set, "b", WG_DIMS(2), wg_init_zeros());
    uint64_t hash[2][KINDS];
    for (int twin = 0; twin < 2; twin++)
        for (int k = 0; k < KINDS; k++) {
            wg_sgd_options sgd = wg_sgd_defaults();
            wg_rmsprop_options rmsprop = wg_rmsprop_defaults();
            wg_adam_options adam = wg_adam_defaults();
            wg_optimizer *o = NULL;
            sgd.momentum = k == 0 ? 0 : k == 1 ? 0.5 : 0.9;
            sgd.dampening = k == 2 ? 0.5 : 0;
            sgd.nesterov = k == 3;
            rmsprop.momentum = k == 5 ? 0.5 : 0;
            rmsprop.epsilon_inside = k == 6;
            adam.beta1 = k == 8 ? 0.8 : 0.9;
            adam.beta2 = k == 9 ? 0.99 : 0.999;
            adam.epsilon = k == 10 || k == 16 ? 1e-6 : 1e-8;
            adam.weight_decay = k >= 11 && k <= 13 ? 0.1 : 0;
            if (k < 4)
                o = wg_sgd_new(set, sgd);
            else if (k < 7)
                o = wg_rmsprop_new(set, rmsprop);
            else if (k < 14)
                o = k == 12 ? wg_adamw_new(set, adam) : wg_adam_new(set, adam);
            else
                o = k == 14 ? wg_amsgrad_new(set, adam) : wg_radam_new(set, adam);
            if (k == 13) CHECK(wg_optimizer_no_decay(o) == WG_OK);
            hash[twin][k] = wg_optimizer_hash(o);
            CHECK(wg_optimizer_set_lr(o, 0.125) == WG_OK && wg_optimizer_hash(o) != hash[twin][k]);
            wg_optimizer_free(o);
        }
    for (int k = 0; k < KINDS; k++) {
        CHECK(hash[0][k] == hash[1][k]);
        for (int i = 0; i < k; i++)
            if (hash[0][i] == hash[0][k]) FAIL("%d and %d have the same hash", i, k);
    }
    CHECK(wg_optimizer_hash(NULL) == 0);
    wg_params_free(set);
}

int main(int argc, char **argv)
{
    const test tests[] = {TEST_CASE(test_members),   TEST_CASE(test_refused), TEST_CASE(test_options),
                          TEST_CASE(test_groups),    TEST_CASE(test_clip),    TEST_CASE(case_norm_overflow_1e30),
                          TEST_CASE(test_schedules), TEST_CASE(test_state),   TEST_CASE(test_memory),
                          TEST_CASE(test_bits),      TEST_CASE(test_parts),   TEST_CASE(test_part_without_memory),
                          TEST_CASE(test_hash)};
    return RUN_TESTS(tests);
}
