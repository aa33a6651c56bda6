/* The floating-point environment: kernels, optimizers and whatever else computes numbers run in the library's, on every
 * thread; callbacks and the other functions of an op in the caller's, which is as it was when a call returns. */
#include <fenv.h>

#include "tensors.h"

#include <unistd.h>

#ifdef __x86_64__
#include <xmmintrin.h>
static unsigned control(void) { return _mm_getcsr(); } /* with the exception flags */
#else
static unsigned control(void) { return (unsigned)fetestexcept(FE_ALL_EXCEPT); }
#endif

static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_UPWARD, FE_DOWNWARD};
enum { MODES = sizeof modes / sizeof *modes, TRAPS = FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW };

static uint64_t mix(uint64_t hash, const void *bytes, size_t n)
{
    for (size_t i = 0; bytes && i < n; i++) hash = (hash ^ ((const unsigned char *)bytes)[i]) * 0x100000001b3u;
    return hash;
}

/* ---- a training run, and its hash ---- */

typedef struct model {
    wg_params *set;
    wg_rnn rnn;
    wg_linear_layer linear;
    wg_param *constant, *orthogonal;
} model;

static void build(model *m, wg_dtype dtype)
{
    wg_rnn_options o = wg_rnn_defaults();
    o.cell = WG_LSTM;
    o.forget_bias = 0.1;
    m->set = wg_params_new(dtype);
    CHECK(wg_rnn_init(&m->rnn, m->set, "r", 16, 64, o) == WG_OK); /* 1 / sqrt(64) is exact */
    CHECK(wg_linear_init(&m->linear, m->set, "l", 64, 5, wg_linear_defaults()) == WG_OK);
    m->constant = wg_param_new(m->set, "constant", WG_DIMS(3), wg_init_constant(0.1));
    m->orthogonal = wg_param_new(m->set, "orthogonal", WG_DIMS(9, 7), wg_init_orthogonal(1.1));
    wg_param_new(m->set, "glorot", WG_DIMS(9, 7), wg_init_glorot());
    wg_param_new(m->set, "normal", WG_DIMS(9, 7), wg_init_normal(0.1, 0.3));
}

static wg_tensor loss_of(const model *m, wg_tape *tape)
{
    const wg_dtype dtype = wg_params_dtype(m->set);
    static const int32_t labels[3] = {0, 4, 2};
    wg_rnn_state state = wg_rnn_zero_state(&m->rnn, tape, 3);
    wg_tensor h = WG_NONE;
    for (int t = 0; t < 3; t++) h = wg_rnn_step(&m->rnn, wg_uniform(tape, dtype, WG_DIMS(3, 16), -1, 1), &state);
    h = wg_dropout(wg_gelu(wg_layer_norm(h, WG_NONE, WG_NONE, 1e-5)), 0.1);
    wg_tensor logits = wg_linear_apply(&m->linear, wg_scale(h, 0.1));
    wg_tensor sum = wg_sum_all(wg_mul(wg_use(tape, m->orthogonal), wg_full(tape, dtype, WG_SCALAR, 0.3)));
    return wg_add(wg_add(wg_cross_entropy(logits, wg_data(tape, WG_I32, WG_DIMS(3), labels)), sum),
                  wg_mean_all(wg_square(wg_use(tape, m->constant))));
}

static wg_optimizer *optimizer_of(int which, wg_params *set)
{
    wg_sgd_options sgd = wg_sgd_defaults();
    wg_rmsprop_options rms = wg_rmsprop_defaults();
    sgd.momentum = 0.9;
    rms.centered = true;
    return which == 0   ? wg_sgd_new(set, sgd)
           : which == 1 ? wg_rmsprop_new(set, rms)
                        : wg_adamw_new(set, wg_adamw_defaults());
}

/* The same calls, and one hash of all numbers that they made. */
static uint64_t train(wg_tape *tape, wg_dtype dtype, int which)
{
    model m;
    double norm;
    uint64_t hash = 1;
    build(&m, dtype);
    wg_optimizer *optimizer = optimizer_of(which, m.set);
    wg_average *average = wg_average_new(m.set, 0.9);
    for (int step = 0; step < 4; step++) {
        wg_set_step(tape, (uint64_t)step);
        wg_zero_grad(m.set);
        wg_tensor loss = loss_of(&m, tape);
        CHECK(wg_backward(loss) == WG_OK);
        CHECK((step % 2 ? wg_clip_grad_value(m.set, 0.01, &norm) : wg_clip_grad_norm(m.set, 0.1, &norm)) == WG_OK);
        double rates[4] = {wg_schedule_step(0.1, 7, 2, 0.7), wg_schedule_exponential(0.1, 7, 0.7),
                           wg_schedule_cosine(0.1, 0.01, 3, 7), wg_schedule_warmup(0.1, 2, 7)};
        CHECK(wg_optimizer_set_lr(optimizer, rates[step]) == WG_OK);
        CHECK(wg_optimizer_step(optimizer) == WG_OK && wg_average_update(average) == WG_OK);
        hash = mix(mix(mix(hash, &norm, sizeof norm), rates, sizeof rates), wg_value(loss), wg_dtype_size(dtype));
        if (wg_tape_reset(tape) != WG_OK) FAIL("%s", wg_tape_message(tape));
    }
    for (size_t i = 0; i < wg_params_count(m.set); i++) {
        const wg_param *p = wg_params_at(m.set, i);
        hash = mix(hash, wg_param_value(p), (size_t)wg_param_numel(p) * wg_dtype_size(dtype));
    }
    wg_average_free(average);
    wg_optimizer_free(optimizer);
    wg_params_free(m.set);
    return hash;
}

static uint64_t decode(void)
{
    float logits[50];
    uint64_t hash = 1;
    for (int i = 0; i < 50; i++) logits[i] = (float)((i * 37) % 50) / 8;
    logits[3] = 1e30f;
    for (uint64_t step = 0; step < 100; step++) {
        wg_sampling o = {.temperature = step % 2 ? 0.7 : 1e-300, .top_p = 0.9};
        if (step == 1) logits[3] = -1e30f;
        int64_t token = wg_choose(logits, 50, o, 1, step);
        hash = mix(hash, &token, sizeof token);
    }
    return hash;
}

static wg_tensor cubes(void *context, wg_tape *tape, wg_params *set)
{
    wg_tensor x = wg_use(tape, wg_params_at(set, 0));
    return wg_mean_all(wg_mul(wg_square(x), wg_tanh(x)));
}

static uint64_t check_gradients(wg_tape *tape)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_param_new(set, "x", WG_DIMS(5), wg_init_uniform(-1, 1));
    wg_gradcheck_options o = wg_gradcheck_defaults();
    o.second_order = true;
    wg_verdict v = wg_gradcheck(tape, set, cubes, NULL, o);
    if (!v.ok) FAIL("%s", v.text);
    wg_params_free(set);
    return mix(mix(1, &v.analytic, 8), &v.numeric, 8);
}

static uint64_t everything(wg_tape *tape)
{
    uint64_t hash = decode() ^ check_gradients(tape) * 3;
    for (int which = 0; which < 3; which++)
        hash = hash * 31 + train(tape, WG_F32, which) + 7 * train(tape, WG_F64, which);
    wg_tensor a = wg_uniform(tape, WG_F32, WG_DIMS(300, 300), 0, 1), x = a;
    for (int k = 0; k < 4; k++) x = wg_tanh(wg_scale(wg_matmul(x, a), 0x1p-12));
    x = wg_softmax(wg_cumsum(x, 0), -1);
    hash = mix(hash, wg_value(x), 300 * 300 * 4);
    CHECK(wg_tape_reset(tape) == WG_OK);
    return hash;
}

static void the_caller_s_mode_changes_no_bit(void)
{
    wg_pool *before = wg_pool_new(4);
    wg_tape *one = new_tape(), *four = tape_by(NULL, before);
    const uint64_t wanted = everything(one);
    CHECK(everything(four) == wanted);
    for (int i = 0; i < MODES; i++) {
        fesetround(modes[i]);
        wg_pool *pool = wg_pool_new(3); /* its threads inherit the mode */
        wg_tape *three = tape_by(NULL, pool);
        uint64_t got[3] = {everything(one), everything(four), everything(three)};
        CHECK(fegetround() == modes[i]);
        fesetround(FE_TONEAREST);
        for (int k = 0; k < 3; k++)
            if (got[k] != wanted) FAIL("mode %d, tape %d", i, k);
        wg_tape_free(three);
        wg_pool_free(pool);
    }
    wg_tape_free(one);
    wg_tape_free(four);
    wg_pool_free(before);
}

/* Numbers of files in whatever mode: a denormal of f32, ties, products of IDX, decimal numbers, noise. */
static uint64_t of_files(void)
{
    const double numbers[] = {-0.1, 0.1, 1e-40, 1 + 0x1p-24, 1.0 / 3};
    const wg_entry e = {
        .name = "x", .type = "F64", .dtype = WG_F64, .shape = WG_DIMS(5), .data = numbers, .bytes = 40};
    float out[5], floats[2], noisy[4] = {0}, still[4] = {1, 2, 3, 4};
    unsigned char pixels[] = {7, 100};
    const wg_picture picture = {.pixels = pixels, .channels = 1, .height = 1, .width = 2};
    const wg_augment_options noise = {.noise = 0.3};
    char path[] = "/tmp/fp-XXXXXX";
    wg_error error = {0};
    const char text[] = "a,b\n0.1,-0.7\n3.4028235e38,1e-40\n";
    const int fd = mkstemp(path);
    CHECK(fd >= 0 && write(fd, text, sizeof text - 1) == (ssize_t)(sizeof text - 1) && close(fd) == 0);
    wg_csv *csv = wg_csv_open(path, wg_csv_defaults(), &error);
    const float *columns = wg_csv_numbers(csv, NULL, &error);
    CHECK(columns);
    uint64_t hash = mix(1, columns, 4 * sizeof *columns);
    CHECK(wg_entry_read(&e, WG_F32, out, &error) == WG_OK);
    wg_picture_floats(&picture, floats);
    CHECK(wg_augment(noise, &(wg_sample){.seed = 3}, still, 1, 2, 2, noisy, &error) == WG_OK);
    hash = mix(mix(mix(hash, out, sizeof out), floats, sizeof floats), noisy, sizeof noisy);
    wg_csv_close(csv);
    unlink(path);
    return hash;
}

static void files_in_the_caller_s_mode(void)
{
    const uint64_t wanted = of_files();
    for (int i = 0; i < MODES; i++) {
        fesetround(modes[i]);
        const uint64_t got = of_files();
        CHECK(fegetround() == modes[i]);
        fesetround(FE_TONEAREST);
        CHECK(got == wanted);
    }
}

#ifdef __GLIBC__ /* which has feenableexcept */
/* Numbers whose functions are finite; lengths around those of vectors. */
static void functions(wg_tape *tape)
{
    for (int n = 1; n < 40; n++) {
        wg_tensor x = wg_uniform(tape, WG_F32, WG_DIMS(n), 0.5, 2);
        wg_tensor y[] = {wg_exp(x),   wg_log(x),      wg_sqrt(x),   wg_rsqrt(x),  wg_reciprocal(x), wg_tanh(x),
                         wg_erf(x),   wg_softplus(x), wg_silu(x),   wg_sin(x),    wg_pow(x, x),     wg_log1p(x),
                         wg_expm1(x), wg_div(x, x),   wg_mod(x, x), wg_sigmoid(x)};
        CHECK(isfinite(wg_item(wg_sum_all(wg_add_n(y, sizeof y / sizeof *y)))));
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
}
#endif

static void case_fp_environment(void)
{
#ifdef __GLIBC__
    wg_pool *pool = wg_pool_new(4);
    for (int threads = 1; threads <= 4; threads += 3) {
        wg_tape *tape = tape_by(NULL, threads == 1 ? NULL : pool);
        const uint64_t wanted = everything(tape);
        feclearexcept(FE_ALL_EXCEPT);
        feenableexcept(TRAPS);
        const int trapped = fegetexcept(); /* none where the processor has no traps, as many ARMs, and qemu */
        functions(tape);
        const uint64_t got = everything(tape); /* or SIGFPE */
        CHECK(fegetexcept() == trapped);
        fedisableexcept(FE_ALL_EXCEPT);
        CHECK(got == wanted);
        wg_tape_free(tape);
    }
    wg_pool_free(pool);
#endif
}

/* ---- who sees which environment ---- */

static wg_tape *tape;
static unsigned outside; /* the caller's environment */
static int seen;

static void sees_the_caller_s(const char *where)
{
    seen++;
    if (control() != outside) FAIL("%s: %x, the caller's is %x", where, control(), outside);
    CHECK(fegetround() == FE_UPWARD);
}

static void on_error(void *context, wg_status status, const char *message) { sees_the_caller_s("error callback"); }

static wg_status infer(wg_infer *c)
{
    sees_the_caller_s("infer");
    c->out = c->in[0];
    return WG_OK;
}

static wg_tensor vjp(const wg_vjp_args *v, int k)
{
    sees_the_caller_s("vjp");
    return v->grad;
}

static int64_t tasks(const wg_args *args)
{
    sees_the_caller_s("tasks");
    return 64;
}

/* In the library's environment 1 + 2^-30 is 1, and half of the smallest normal number is 0. */
static void kernel(const wg_args *args, int64_t task)
{
    const volatile float one = 1, small = 0x1p-30f, tiny = 0x1p-126f;
    float *out = args->out.data;
    const int64_t n = args->out.numel / 64;
    for (int64_t i = task * n; i < (task + 1) * n; i++) out[i] = one + small + tiny / 2 * 0x1p126f;
}

static wg_kernel choose(const wg_op *op, const wg_dtype *in, int n_in, wg_dtype out) { return kernel; }

static void who_sees_which(void)
{
    static const wg_op op = {.struct_size = sizeof(wg_op),
                             .name = "seen",
                             .min_in = 1,
                             .max_in = 1,
                             .infer = infer,
                             .vjp = vjp,
                             .select = choose,
                             .tasks = tasks};
    static const int32_t bad = 9;
    wg_pool *pool = wg_pool_new(4);
    wg_tape_options options = wg_tape_defaults();
    options.pool = pool;
    fesetround(FE_UPWARD);
    outside = control();
    for (int i = 0; i < 6; i++) {
        options.locate_nonfinite = i % 3 == 1;
        options.profile = i % 3 == 2;
        options.eager = i >= 3;
        tape = wg_tape_new(options);
        wg_tape_on_error(tape, on_error, NULL);
        wg_tensor x = wg_ones(tape, WG_F32, WG_DIMS(64, 512)), y = wg_record(&op, &x, 1, NULL, 0);
        const float *value = wg_value(y), *grad = wg_value(wg_grad1(wg_sum_all(y), x, WG_NONE));
        for (int k = 0; value && k < 64 * 512; k++)
            if (value[k] != 1) FAIL("element %d of a kernel: %g", k, (double)value[k] - 1);
        CHECK(value && grad && grad[0] == 1 && control() == outside);
        int before = seen;
        CHECK(wg_value(wg_embedding(x, wg_data(tape, WG_I32, WG_DIMS(1), &bad))) != NULL);
        (void)wg_value(wg_embedding(x, wg_data(tape, WG_I32, WG_DIMS(1), (int32_t[]){99})));
        CHECK(seen == before + 1 && wg_tape_reset(tape) == WG_ERR_INDEX && control() == outside);
        wg_tape_free(tape);
    }
    fesetround(FE_TONEAREST);
    wg_pool_free(pool);
}

/* Flags that the caller has raised stay, those that the library raises do not show. */
static void flags_are_the_caller_s(void)
{
    tape = new_tape();
    for (int raised = 0; raised < 2; raised++) {
        feclearexcept(FE_ALL_EXCEPT);
        if (raised) feraiseexcept(FE_OVERFLOW);
        wg_tensor zero = wg_zeros(tape, WG_F64, WG_DIMS(5));
        CHECK(isnan(wg_item(wg_sum_all(wg_div(zero, zero)))));
        CHECK(isinf(wg_item(wg_sum_all(wg_exp(wg_scale(wg_ones(tape, WG_F64, WG_DIMS(5)), 1e10))))));
        CHECK(fetestexcept(FE_ALL_EXCEPT) == (raised ? FE_OVERFLOW | (fetestexcept(FE_INEXACT)) : 0));
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    feclearexcept(FE_ALL_EXCEPT);
    wg_tape_free(tape);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(case_fp_environment), TEST_CASE(the_caller_s_mode_changes_no_bit),
                                 TEST_CASE(files_in_the_caller_s_mode), TEST_CASE(who_sees_which),
                                 TEST_CASE(flags_are_the_caller_s)};
    return RUN_TESTS(tests);
}
