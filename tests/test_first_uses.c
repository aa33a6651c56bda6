/* What a first program gets wrong: a loss that trains nothing, a step that goes on after an error, operands that were
 * never set, random numbers without a step. Each is an error of one line, or does what was meant. */
#include "tensors.h"

#include <unistd.h>

static wg_params *set;
static wg_param *w;
static wg_optimizer *optimizer;
static wg_tape *tape;

static void begin(void)
{
    tape = new_tape();
    set = wg_params_new(WG_F64);
    w = wg_param_new(set, "w", WG_DIMS(3), wg_init_uniform(-1, 1));
    optimizer = wg_adam_new(set, wg_adam_defaults());
}

static void end(void)
{
    wg_optimizer_free(optimizer);
    CLOSE(tape);
    wg_params_free(set);
}

/* ---- steps ---- */

static wg_tensor of_data(void) { return wg_sum_all(wg_ones(tape, WG_F64, WG_DIMS(3))); }
static wg_tensor of_detached(void) { return wg_sum_all(wg_detach(wg_use(tape, w))); }
static wg_tensor of_signs(void) { return wg_sum_all(wg_sign(wg_use(tape, w))); }
static wg_tensor in_no_grad(void)
{
    wg_no_grad_begin(tape);
    wg_tensor loss = wg_sum_all(wg_square(wg_use(tape, w)));
    wg_no_grad_end(tape);
    return loss;
}
static wg_tensor of_frozen(void)
{
    wg_param_freeze(w, true);
    return wg_sum_all(wg_square(wg_use(tape, w)));
}

static void case_loss_without_parameters(void)
{
    static wg_tensor (*const losses[])(void) = {of_data, of_detached, of_signs, in_no_grad, of_frozen};
    begin();
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        CHECK(wg_backward(losses[i]()) == WG_ERR_GRADIENT);
        CHECK(strstr(wg_tape_message(tape), "backward: no gradient flows to a parameter: each is frozen"));
        CHECK(wg_tape_reset(tape) == WG_ERR_GRADIENT);
        wg_param_freeze(w, false);
        wg_zero_grad(set);
        wg_tensor loss = wg_add(losses[i](), wg_sum_all(wg_square(wg_use(tape, w))));
        CHECK(wg_backward(loss) == (i == 4 ? WG_ERR_GRADIENT : WG_OK));
        wg_param_freeze(w, false);
        wg_tape_reset(tape);
        wg_zero_grad(set);
    }
    CHECK(wg_backward_into(wg_sum_all(wg_square(wg_use(tape, w))), NULL, 0) == WG_ERR_GRADIENT);
    wg_tape_reset(tape);
    CHECK(wg_backward_into(wg_sum_all(wg_square(wg_use(tape, w))), &w, 0) == WG_ERR_GRADIENT);
    wg_tape_reset(tape);
    CHECK(wg_backward_into(wg_sum_all(wg_square(wg_use(tape, w))), NULL, 1) == WG_ERR_ARGUMENT);
    wg_tape_reset(tape);
    wg_zero_grad(set);
    CHECK(wg_backward_into(wg_sum_all(wg_square(wg_use(tape, w))), &w, 1) == WG_OK);
    end();
}

/* The error is made before or after the parameter is used; the loss may be nil or stale. */
static void case_step_after_failed_recording(void)
{
    enum { OP_BEFORE, OP_AFTER, OWN_ERROR, NIL_LOSS, STALE_LOSS, KINDS };
    double start[3];
    begin();
    memcpy(start, wg_param_value(w), sizeof start);
    for (int kind = 0; kind < KINDS; kind++) {
        wg_tensor bad = WG_NONE;
        if (kind == OP_BEFORE) bad = wg_reshape(wg_ones(tape, WG_F64, WG_DIMS(4)), WG_DIMS(3));
        wg_tensor x = wg_use(tape, w), loss = wg_sum_all(wg_square(x));
        if (kind == OP_AFTER || kind == NIL_LOSS) bad = wg_reshape(x, WG_DIMS(7));
        if (kind == OWN_ERROR) wg_fail(x, WG_ERR_ARGUMENT, "model", "a failure of the caller's own");
        if (kind == NIL_LOSS) loss = wg_sum_all(bad);
        if (kind == STALE_LOSS) wg_tape_reset(tape), wg_use(tape, w);
        CHECK(wg_backward(loss) != WG_OK && !wg_params_grad_valid(set));
        CHECK(wg_optimizer_step(optimizer) != WG_OK && wg_optimizer_message(optimizer)[0]);
        CHECK(!memcmp(start, wg_param_value(w), sizeof start) && wg_optimizer_steps(optimizer) == 0);
        CHECK(wg_tape_reset(tape) != WG_OK);
        CHECK(wg_optimizer_step(optimizer) != WG_OK);
        wg_zero_grad(set);
    }
    CHECK(wg_backward(wg_sum_all(wg_square(wg_use(tape, w)))) == WG_OK && wg_optimizer_step(optimizer) == WG_OK);
    CHECK(memcmp(start, wg_param_value(w), sizeof start) != 0);
    end();
}

/* As the comments of WG_NONE and wg_record say: without a tape there is no error to store. */
static void case_unset_operands(void)
{
    begin();
    wg_tensor none[2] = {WG_NONE, WG_NONE}, x = wg_use(tape, w);
    const wg_tensor alone[] = {
        wg_tanh(WG_NONE),      wg_add(WG_NONE, WG_NONE), wg_matmul(WG_NONE, WG_NONE),         wg_sum_all(WG_NONE),
        wg_concat(none, 2, 0), wg_dropout(WG_NONE, 0.5), wg_linear(WG_NONE, WG_NONE, WG_NONE)};
    for (size_t i = 0; i < sizeof alone / sizeof *alone; i++) {
        CHECK(!alone[i].tape && wg_is_nil(alone[i]) && isnan(wg_item(alone[i])) && !wg_value(alone[i]));
        CHECK(wg_eval(&alone[i], 1) == WG_ERR_ARGUMENT && wg_backward(alone[i]) == WG_ERR_ARGUMENT);
        CHECK(wg_tape_status(tape) == WG_OK);
    }
    for (int i = 0; i < 4; i++) {
        wg_tensor y = i == 0   ? wg_add(x, WG_NONE)
                      : i == 1 ? wg_mul(WG_NONE, x)
                      : i == 2 ? wg_matmul(x, WG_NONE)
                               : wg_linear(x, WG_NONE, WG_NONE);
        CHECK(y.tape == tape && wg_is_nil(y) && strstr(wg_tape_message(tape), "was never set"));
        CHECK(wg_tape_reset(tape) == WG_ERR_ARGUMENT);
        x = wg_use(tape, w);
    }
    end();
}

/* 0.5 would be 0, 1e20 the largest i32. */
static void numbers_that_are_no_i32(void)
{
    static const int32_t numbers[2] = {3, 4};
    const double bad[] = {0.5, 1e20, -3e9, NAN, INFINITY};
    begin();
    for (int i = 0; i < 5 * 5; i++) {
        const double c = bad[i % 5];
        wg_tensor x = wg_data(tape, WG_I32, WG_DIMS(2), numbers);
        wg_tensor y = i < 5    ? wg_scale(x, c)
                      : i < 10 ? wg_add_scalar(x, c)
                      : i < 15 ? wg_full(tape, WG_I32, WG_DIMS(2), c)
                      : i < 20 ? wg_less(x, wg_scalar(tape, WG_I32, c))
                               : wg_arange(tape, WG_I32, 0, c, 3);
        CHECK(wg_is_nil(y) && strstr(wg_tape_message(tape), "i32") && wg_tape_reset(tape) == WG_ERR_ARGUMENT);
    }
    const int32_t *y = wg_value(wg_scale(wg_data(tape, WG_I32, WG_DIMS(2), numbers), -2));
    CHECK(y && y[0] == -6 && y[1] == -8);
    CHECK(wg_value(wg_arange(tape, WG_I32, INT32_MAX, 0.5, 1)));
    end();
}

/* A write whose end is forgotten is still seen: by products on packed weights, by optimizers, by wg_zero_grad. */
static void writes_without_an_end(void)
{
    enum { SIDE = 64 };
    begin();
    wg_param *m = wg_param_new(set, "m", WG_DIMS(SIDE, SIDE), wg_init_constant(1));
    double *value = NULL, *grad = NULL;
    for (int i = 1; i < 5; i++) {
        wg_tensor y = wg_linear(wg_ones(tape, WG_F64, WG_DIMS(SIDE, SIDE)), wg_use(tape, m), WG_NONE);
        CHECK(wg_item(wg_max(y, WG_ALL_AXES, false)) == i * SIDE);
        CHECK(wg_tape_reset(tape) == WG_OK);
        if (!value) value = wg_param_write_begin(m);
        for (int k = 0; k < SIDE * SIDE; k++) value[k] = i + 1;
    }
    grad = wg_param_grad_write_begin(w);
    grad[1] = 5;
    CHECK(grad_at(w, 1) == 5);
    wg_zero_grad(set);
    CHECK(grad_at(w, 1) == 0);
    end();
}

/* ---- random numbers ---- */

enum { N = 64 };

typedef struct draws { /* of one recording */
    double uniform[N], dropout[N];
} draws;

static draws draw(void)
{
    draws d = {{0}, {0}};
    wg_tensor x[2] = {wg_uniform(tape, WG_F64, WG_DIMS(N), 0, 1),
                      wg_dropout(wg_ones(tape, WG_F64, WG_DIMS(N)), 0.5)};
    CHECK(wg_eval(x, 2) == WG_OK && wg_read(x[0], d.uniform, sizeof d.uniform) == WG_OK);
    CHECK(wg_read(x[1], d.dropout, sizeof d.dropout) == WG_OK);
    return d;
}

static bool same(draws a, draws b) { return !memcmp(&a, &b, sizeof a); }
static bool differ(draws a, draws b)
{
    return memcmp(a.uniform, b.uniform, sizeof a.uniform) && memcmp(a.dropout, b.dropout, sizeof a.dropout);
}

/* A plain loop without wg_set_step: the numbers differ in each step, on one plan, and can be resumed. */
static void case_dropout_repeats_its_mask(void)
{
    enum { STEPS = 5 };
    draws of[STEPS];
    uint64_t saved = 0;
    tape = new_tape();
    for (int i = 0; i < STEPS; i++) {
        if (i == 3) saved = wg_next_step(tape);
        of[i] = draw();
        if (i == 2) CHECK(wg_next_step(tape) == 3); /* before the reset as after it */
        for (int k = 0; k < i; k++) CHECK(differ(of[i], of[k]));
        CHECK(wg_tape_reset(tape) == WG_OK);
        (void)wg_item(wg_sum_all(wg_ones(tape, WG_F64, WG_DIMS(3)))); /* draws nothing */
        CHECK(wg_tape_reset(tape) == WG_OK && wg_next_step(tape) == (uint64_t)i + 1);
    }
    CHECK(saved == 3 && wg_tape_count(tape).plan_misses == 2);
    CLOSE(tape);

    tape = new_tape(); /* resumed */
    wg_set_step(tape, saved);
    wg_tape_reset(tape); /* of nothing */
    CHECK(same(draw(), of[3]) && wg_tape_reset(tape) == WG_OK && same(draw(), of[4]));
    CLOSE(tape);
    CHECK(wg_next_step(NULL) == 0);
}

/* Trains with dropout, in a plain loop, until `stop`; saves after `save` steps, before the reset. */
static void train(int from, int save, int stop, const char *path)
{
    wg_checkpoint checkpoint = {.params = set, .optimizer = optimizer};
    wg_error error = {0};
    if (from > 0) {
        wg_safetensors *file = wg_safetensors_open(path, &error);
        CHECK(wg_checkpoint_load(file, &checkpoint, NULL, NULL, &error) == WG_OK);
        wg_safetensors_close(file);
        wg_set_step(tape, checkpoint.step);
    }
    for (int i = from; i < stop; i++) {
        wg_zero_grad(set);
        CHECK(wg_backward(wg_sum_all(wg_square(wg_dropout(wg_exp(wg_use(tape, w)), 0.5)))) == WG_OK);
        CHECK(wg_optimizer_step(optimizer) == WG_OK);
        checkpoint.step = wg_next_step(tape);
        if (i + 1 == save) CHECK(wg_checkpoint_save(path, &checkpoint, &error) == WG_OK);
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    CHECK(error.status == WG_OK);
}

static void a_resumed_run_has_the_same_bits(void)
{
    char path[64];
    double of[2][3];
    snprintf(path, sizeof path, "/tmp/wengert-first-uses-%d", (int)getpid());
    for (int resumed = 0; resumed < 2; resumed++) {
        begin();
        train(resumed ? 4 : 0, resumed ? 0 : 4, 9, path);
        memcpy(of[resumed], wg_param_value(w), sizeof of[resumed]);
        end();
    }
    CHECK(!memcmp(of[0], of[1], sizeof of[0]));
    remove(path);
}

static void set_step_overrides(void)
{
    tape = new_tape();
    const draws at0 = draw();
    wg_tape_reset(tape);
    const draws at1 = draw();
    wg_tape_reset(tape);
    for (int order = 0; order < 3; order++) { /* set after the reset, before it, or in the middle of a recording */
        for (int i = 0; i < 2; i++) {
            if (order == 0) wg_set_step(tape, (uint64_t)i);
            if (order == 1) wg_set_step(tape, (uint64_t)i), wg_tape_reset(tape);
            if (order == 2) draw(), wg_tape_reset(tape), wg_set_step(tape, (uint64_t)i);
            CHECK(same(draw(), i ? at1 : at0));
            CHECK(wg_next_step(tape) == (uint64_t)i + 1);
            if (order != 1) wg_tape_reset(tape);
        }
    }
    CLOSE(tape);
}

/* A step that fails draws the same numbers when it is tried again; so do repeated runs of one recording. */
static void failed_steps_draw_again(void)
{
    static const int32_t out_of_range[1] = {7};
    tape = new_tape();
    const draws first = draw();
    wg_tape_reset(tape);
    const draws second = draw();
    wg_tensor x = wg_uniform(tape, WG_F64, WG_DIMS(3), 0, 1);
    CHECK(!wg_value(wg_index_select(x, 0, wg_data(tape, WG_I32, WG_DIMS(1), out_of_range))));
    CHECK(wg_next_step(tape) == 1 && wg_tape_reset(tape) == WG_ERR_INDEX);
    CHECK(same(draw(), second) && differ(first, second));
    CLOSE(tape);
}

static wg_tensor dropped_loss(void *context, wg_tape *on, wg_params *params)
{
    return wg_sum_all(wg_square(wg_dropout(wg_use(on, wg_params_at(params, 0)), 0.5)));
}

/* It records the loss many times: at one step, which it leaves as it was. */
static void gradcheck_keeps_the_step(void)
{
    begin();
    wg_set_step(tape, 9);
    CHECK(wg_gradcheck(tape, set, dropped_loss, NULL, wg_gradcheck_defaults()).ok);
    CHECK(wg_next_step(tape) == 9);
    end();
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(case_loss_without_parameters),
                                 TEST_CASE(case_step_after_failed_recording),
                                 TEST_CASE(case_unset_operands),
                                 TEST_CASE(numbers_that_are_no_i32),
                                 TEST_CASE(writes_without_an_end),
                                 TEST_CASE(case_dropout_repeats_its_mask),
                                 TEST_CASE(a_resumed_run_has_the_same_bits),
                                 TEST_CASE(set_step_overrides),
                                 TEST_CASE(failed_steps_draw_again),
                                 TEST_CASE(gradcheck_keeps_the_step)};
    return RUN_TESTS(tests);
}
