/* Random sequences of public calls, with valid and with invalid arguments: no call may crash, none may leave the
 * tape in a state in which the next step is wrong. A round is a few steps; a sanitizer that stops it does not print
 * the seed. */
#include "check.h"
#include "random.h"
#include "wengert.h"

enum { VALUES = 24, PARAMS = 6, CALLS = 60, STEPS = 4 };

typedef struct world {
    wg_tape *tape, *other;
    wg_params *set;
    wg_param *param[PARAMS];
    wg_buffer *buffer;
    wg_optimizer *optimizer;
    wg_tensor value[VALUES]; /* valid, stale, nil, unset, of another tape */
    int n;
} world;

static world w;
static const float numbers[4096];
static uint64_t n_calls, n_fine; /* calls; those after which the tape has no error */

static bool rarely(void) { return below(60) == 0; }

/* Mostly 3, so that most calls fit each other. */
static int64_t size(void)
{
    static const int64_t odd[] = {0, 1, 2, 4, 5, 17, -1, INT64_MIN, INT64_MAX, INT64_MAX / 2 + 2};
    return below(8) ? 3 : odd[below(rarely() ? 10 : 6)];
}

static int axis(void) { return rarely() ? (below(2) ? INT32_MIN : INT32_MAX) : (int)below(rarely() ? 9 : 2) - 1; }

static double number(void)
{
    static const double odd[] = {0, -0.0, INFINITY, -INFINITY, NAN, 1e300, 1e-300, -1};
    return below(12) ? (double)below(200) / 100 - 1 : odd[below(8)];
}

static wg_shape shape(void)
{
    wg_shape s = {.rank = rarely() ? (int)below(40) - 8 : below(3) ? 2 : (int)below(4)};
    for (int i = 0; i < WG_MAX_RANK; i++) s.size[i] = size();
    return s;
}

static wg_dtype dtype(void)
{
    return rarely() ? (wg_dtype)below(1000) : below(9) ? WG_F32 : (wg_dtype)below(WG_DTYPES);
}
static wg_tensor any(void) { return rarely() || !w.n ? WG_NONE : w.value[below(w.n)]; }
static void keep(wg_tensor t) { w.value[w.n < VALUES ? w.n++ : below(VALUES)] = t; }
static wg_param *param(void) { return rarely() ? NULL : w.param[below(PARAMS)]; }

/* Numbers that a tensor of this shape may read: NULL if the shape is too large for them. */
static const void *memory_for(const wg_shape *s, wg_dtype d)
{
    size_t bytes;
    return !rarely() && wg_shape_bytes(s, d, &bytes) && bytes <= sizeof numbers ? numbers : NULL;
}

/* ---- calls, by family -------------------------------------------------------------------------------------------- */

static void call_make(void)
{
    const wg_shape s = shape();
    const wg_dtype d = dtype();
    wg_tape *tape = rarely() ? NULL : rarely() ? w.other : w.tape;
    switch (below(9)) {
    case 0: keep(wg_data(tape, d, s, memory_for(&s, d))); break;
    case 1: keep(wg_borrow(tape, d, s, memory_for(&s, d))); break;
    case 2: keep(wg_scalar(tape, d, number())); break;
    case 3: keep(wg_zeros(tape, d, s)); break;
    case 4: keep(wg_uniform(tape, d, s, number(), number())); break;
    case 5: keep(wg_arange(tape, d, number(), number(), size())); break;
    case 6: keep(wg_use(tape, param())); break;
    case 7: keep(wg_tril_mask(tape, size(), size(), size())); break;
    default: keep(wg_use(tape, w.buffer)); break;
    }
}

static void call_pointwise(void)
{
    wg_tensor a = any(), b = any();
    switch (below(12)) {
    case 0: keep(wg_add(a, b)); break;
    case 1: keep(wg_mul(a, b)); break;
    case 2: keep(wg_div(a, b)); break;
    case 3: keep(wg_tanh(a)); break;
    case 4: keep(wg_where(a, b, any())); break;
    case 5: keep(wg_clamp(a, number(), number())); break;
    case 6: keep(wg_cast(a, dtype())); break;
    case 7: keep(wg_scale(a, number())); break;
    case 8: keep(wg_less(a, b)); break;
    case 9: keep(wg_pow(a, b)); break;
    case 10: keep(wg_add_n((wg_tensor[]){a, b, any()}, (int)below(4))); break;
    default: keep(wg_dropout(a, number())); break;
    }
}

static void call_view(void)
{
    wg_tensor a = any(), b = any();
    switch (below(14)) {
    case 0: keep(wg_reshape(a, shape())); break;
    case 1: keep(wg_permute(a, WG_AXES(axis(), axis()))); break;
    case 2: keep(wg_expand(a, shape())); break;
    case 3: keep(wg_slice(a, axis(), size(), size())); break;
    case 4: keep(wg_slice_step(a, axis(), size(), size(), size())); break;
    case 5: keep(wg_select(a, axis(), size())); break;
    case 6: keep(wg_flip(a, axis())); break;
    case 7: keep(wg_concat((wg_tensor[]){a, b}, (int)below(3), axis())); break;
    case 8: keep(wg_stack((wg_tensor[]){a, b}, (int)below(3), axis())); break;
    case 9: keep(wg_pad(a, axis(), size(), size())); break;
    case 10: keep(wg_unsqueeze(a, axis())); break;
    case 11: keep(wg_squeeze(a, axis())); break;
    case 12: keep(wg_transpose(a, axis(), axis())); break;
    default: keep(wg_update_slice(a, axis(), b, any())); break;
    }
}

static void call_other(void)
{
    wg_tensor a = any(), b = any();
    switch (below(18)) {
    case 0: keep(wg_matmul(a, b)); break;
    case 1: keep(wg_linear(a, b, any())); break;
    case 2: keep(wg_sum(a, WG_AXES(axis()), below(2))); break;
    case 3: keep(wg_max(a, WG_AXES(axis(), axis()), below(2))); break;
    case 4: keep(wg_softmax(a, axis())); break;
    case 5: keep(wg_cumsum(a, axis())); break;
    case 6: keep(wg_argsort(a, axis(), below(2))); break;
    case 7: keep(wg_index_select(a, axis(), b)); break;
    case 8: keep(wg_gather(a, axis(), b)); break;
    case 9: keep(wg_scatter_add(a, axis(), b, any())); break;
    case 10: keep(wg_one_hot(a, size(), dtype())); break;
    case 11: keep(wg_cross_entropy(a, b)); break;
    case 12: keep(wg_layer_norm(a, b, any(), number())); break;
    case 13: keep(wg_attention(a, b, any(), wg_attention_defaults())); break;
    case 14: keep(wg_conv1d(a, b, any(), wg_conv_defaults())); break;
    case 15: keep(wg_max_pool1d(a, wg_pool_square(size()))); break;
    case 16: keep(wg_ctc_loss(a, b, any(), any(), size(), WG_MEAN)); break;
    default: keep(wg_einsum("ij,jk->ik", (wg_tensor[]){a, b}, (int)below(3))); break;
    }
}

static void call_force(void)
{
    wg_tensor a = any(), loss = wg_sum_all(any()), pair[2] = {a, any()}, grads[2];
    wg_status ignored = WG_OK;
    switch (below(14)) {
    case 0: (void)wg_value(a); break;
    case 1: (void)wg_item(a); break;
    case 2: (void)wg_eval(pair, (int)below(3)); break;
    case 3: (void)wg_backward(loss); break;
    case 4: (void)wg_backward_into(loss, (wg_param *const[]){param(), param()}, (size_t)below(3)); break;
    case 5: wg_grad(loss, pair, (int)below(3), rarely() ? a : WG_NONE, grads), keep(loss); break;
    case 6: keep(wg_grad1(loss, a, WG_NONE)); break;
    case 7: keep(wg_hvp(loss, a, pair[1])); break;
    case 8: keep(wg_keep(a)); break;
    case 9: wg_assign(rarely() ? NULL : w.buffer, a); break;
    case 10: (void)wg_plan_bytes(pair, (int)below(3)); break;
    case 11: (void)wg_backward_bytes(loss); break;
    case 12: keep(wg_detach(a)); break;
    default: ignored = wg_read(a, (double[64]){0}, (size_t)below(512)); break;
    }
    (void)ignored;
}

static void call_state(void)
{
    switch (below(14)) {
    case 0: wg_set_step(w.tape, random_bits()); break;
    case 1: wg_set_seed(w.tape, random_bits()); break;
    case 2: wg_no_grad_begin(w.tape); break;
    case 3: wg_no_grad_end(w.tape); break;
    case 4: wg_remat_begin(w.tape); break;
    case 5: wg_remat_end(w.tape); break;
    case 6: wg_scope_begin(w.tape, rarely() ? NULL : "scope"); break;
    case 7: wg_scope_end(w.tape); break;
    case 8: wg_zero_grad(w.set); break;
    case 9: (void)wg_optimizer_step(w.optimizer); break;
    case 10: wg_param_freeze(param(), below(2)); break;
    case 11: (void)wg_clip_grad_norm(w.set, number(), NULL); break;
    case 12: (void)wg_tape_reset(w.tape); break;
    default: wg_set_training(w.tape, below(2)); break;
    }
}

/* ---- a round ----------------------------------------------------------------------------------------------------- */

static void world_begin(void)
{
    static const char *const plans[] = {"",      "-all", "+remat", "-merge,-attention,-lookup", "+share_weight",
                                        "-cache"};
    wg_tape_options options = wg_tape_defaults();
    options.plan = plans[below(6)];
    options.eager = below(6) == 0;
    options.locate_nonfinite = below(8) == 0;
    w = (world){
        .tape = wg_tape_new(options), .other = wg_tape_new(wg_tape_defaults()), .set = wg_params_new(WG_F32)};
    for (int i = 0; i < PARAMS; i++) {
        char name[8];
        snprintf(name, sizeof name, "p%d", i);
        const wg_shape s = WG_DIMS(below(3) ? 3 : 1 + below(5), below(3) ? 3 : 1 + below(5));
        w.param[i] = wg_param_new(w.set, name, s, wg_init_uniform(-1, 1));
    }
    w.buffer = wg_buffer_new(w.set, "b", WG_DIMS(3, 3), wg_init_zeros());
    w.optimizer = wg_adam_new(w.set, wg_adam_defaults());
}

/* A new step, with some values at hand. */
static void restart(void)
{
    (void)wg_tape_reset(w.tape);
    w.n = 0;
    for (int i = 0; i < PARAMS; i++) keep(wg_use(w.tape, w.param[i]));
    for (int i = 0; i < 4; i++) keep(wg_uniform(w.tape, WG_F32, WG_DIMS(3, 3), -1, 1));
    keep(wg_data(w.tape, WG_I32, WG_DIMS(3), (int32_t[]){0, 2, 1}));
}

/* After whatever came before, a reset tape computes. */
static void check_tape_is_well(void)
{
    (void)wg_tape_reset(w.tape);
    (void)wg_tape_reset(w.tape);
    wg_set_training(w.tape, true);
    const float x[3] = {1, 2, 3};
    wg_tensor t = wg_data(w.tape, WG_F32, WG_DIMS(3), x);
    const double sum = wg_item(wg_sum_all(wg_mul(t, wg_add(t, t))));
    if (sum != 28) FAIL("28 is %g: %s", sum, wg_tape_message(w.tape));
    (void)wg_tape_reset(w.tape);
}

static void round_of_calls(uint64_t seed)
{
    static void (*const families[])(void) = {call_make,  call_pointwise, call_pointwise, call_view,
                                             call_other, call_other,     call_force,     call_state};
    random_state = seed;
    world_begin();
    for (int step = 0; step < STEPS; step++) {
        restart();
        for (int i = 0; i < CALLS; i++) {
            families[below(8)]();
            n_calls++;
            n_fine += wg_tape_status(w.tape) == WG_OK;
            if (wg_tape_status(w.tape) != WG_OK && below(3)) restart();
        }
        check_tape_is_well();
    }
    wg_optimizer_free(w.optimizer);
    wg_params_free(w.set);
    wg_tape_free(w.tape);
    wg_tape_free(w.other);
}

static void random_calls(void)
{
    check_rounds(check_long() ? 40000 : 300, round_of_calls);
    printf("%llu calls, %.0f %% without an error\n", (unsigned long long)n_calls,
           100.0 * (double)n_fine / (double)n_calls);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(random_calls)};
    return RUN_TESTS(tests);
}
