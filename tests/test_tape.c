/* The tape: stale handles, sticky errors, when values may be read, where gradients flow. (Parameters and buffers:
 * test_params. Plans: test_plan_*. Dumps, callbacks, a million ops: test_trace. Every op: test_ops.) */
#include "check.h"
#include "wengert.h"

static const double six[6] = {1, 2, 3, 4, 5, 6};

static wg_tape *tape;

static void open_tape(void)
{
    tape = wg_tape_new(wg_tape_defaults());
    assert_non_null(tape);
}

static void close_tape(void) { wg_tape_free(tape); }

static wg_tensor matrix(void) { return wg_data(tape, WG_F64, WG_DIMS(2, 3), six); }
static bool says(const char *words) { return strstr(wg_tape_message(tape), words) != NULL; }

/* ---- handles ---- */

static void stale_handles_are_detected(void)
{
    wg_tensor x = matrix();
    assert_int_equal(wg_tape_reset(tape), WG_OK);
    matrix(); /* reuses the node number */
    wg_scope_begin(tape, "later");
    assert_true(wg_is_nil(wg_add(x, x)));
    assert_true(says("add [later]") && says("operand 1") && says("wg_tape_reset"));
    assert_int_equal(wg_tape_reset(tape), WG_ERR_STALE);
    assert_null(wg_value(x));
    assert_int_equal(wg_tape_reset(tape), WG_ERR_STALE);
    assert_int_equal(wg_backward(x), WG_ERR_STALE);
    assert_int_equal(wg_tape_reset(tape), WG_ERR_STALE);
    assert_int_equal(wg_shape_get(x).rank, -1);
    assert_int_equal(wg_tape_reset(tape), WG_ERR_STALE);
    assert_int_equal(wg_tape_reset(tape), WG_OK);
}

static void an_empty_tensor_has_a_value(void)
{
    wg_tensor empty = wg_borrow(tape, WG_F64, WG_DIMS(0, 3), NULL);
    assert_non_null(wg_value(empty));
    assert_non_null(wg_value(wg_exp(empty)));
    assert_int_equal(wg_read(empty, (double[1]){0}, 0), WG_OK);
    assert_int_equal(wg_tape_reset(tape), WG_OK);
}

static void nil_does_nothing(void)
{
    wg_tensor bad = wg_matmul(matrix(), matrix()), after = wg_sum_all(wg_tanh(wg_add(bad, matrix()))), parts[2];
    assert_true(wg_is_nil(bad) && wg_is_nil(after) && after.tape == tape);
    wg_split(bad, 0, 2, parts);
    assert_true(wg_is_nil(parts[0]) && wg_is_nil(parts[1]));
    assert_true(isnan(wg_item(after)));
    assert_null(wg_value(after));
    assert_int_equal(wg_shape_get(bad).rank, -1);
    assert_int_equal(wg_numel(bad), 0);
    assert_int_equal(wg_rank(bad), -1);
    assert_int_equal(wg_size(bad, 0), -1);
    assert_int_equal(wg_backward(after), WG_ERR_SHAPE);
    assert_int_equal(wg_eval(&after, 1), WG_ERR_SHAPE);
    assert_true(says("matmul") && says("[2, 3] x [2, 3]")); /* the first error is kept */
    assert_int_equal(wg_tape_reset(tape), WG_ERR_SHAPE);
    assert_true(says("matmul")); /* and can still be read */
    assert_int_equal(wg_tape_status(tape), WG_OK);
}

static void unset_operands_are_named(void)
{
    wg_tensor unset = WG_NONE;
    assert_true(wg_is_nil(wg_add(matrix(), unset)));
    assert_true(says("operand 2 was never set"));
    assert_int_equal(wg_tape_reset(tape), WG_ERR_ARGUMENT);
    assert_true(wg_is_nil(wg_add(unset, matrix())));
    assert_true(says("operand 1 was never set"));
    assert_int_equal(wg_tape_reset(tape), WG_ERR_ARGUMENT);
    assert_true(wg_is_nil(wg_tanh(unset))); /* no tape to report it on */
    assert_int_equal(wg_backward(unset), WG_ERR_ARGUMENT);
    assert_int_equal(wg_tape_reset(tape), WG_OK);
}

static void two_tapes_do_not_mix(void)
{
    wg_tape *other = wg_tape_new(wg_tape_defaults());
    wg_tensor y = wg_data(other, WG_F64, WG_DIMS(2, 3), six);
    assert_true(wg_is_nil(wg_mul(matrix(), y)));
    assert_true(says("two tapes"));
    assert_int_equal(wg_tape_reset(tape), WG_ERR_ARGUMENT);
    assert_int_equal(wg_tape_reset(other), WG_ERR_ARGUMENT);
    y = wg_data(other, WG_F64, WG_DIMS(2, 3), six);
    assert_true(wg_item(wg_sum_all(y)) == wg_item(wg_sum_all(matrix())));
    wg_tape_free(other);
    assert_int_equal(wg_tape_reset(tape), WG_OK);
}

static void null_objects_are_survived(void)
{
    assert_true(wg_is_nil(wg_data(NULL, WG_F64, WG_DIMS(1), six)));
    assert_true(wg_is_nil(wg_scalar(NULL, WG_F64, 1)));
    assert_true(wg_is_nil(wg_use(tape, NULL)));
    assert_int_equal(wg_tape_reset(tape), WG_ERR_ARGUMENT);
    assert_true(wg_is_nil(wg_use(NULL, NULL)));
    assert_int_equal(wg_tape_reset(NULL), WG_ERR_ARGUMENT);
    assert_int_equal(wg_tape_status(NULL), WG_ERR_ARGUMENT);
    assert_non_null(wg_tape_message(NULL));
    wg_tape_free(NULL);
    wg_params_free(NULL);
    wg_pool_free(NULL);
    wg_scope_begin(NULL, "x");
    wg_scope_end(NULL);
    wg_scope_end(tape); /* one too many */
    wg_no_grad_end(tape);
    assert_int_equal(wg_eval(NULL, 0), WG_ERR_ARGUMENT);
}

/* ---- leaves and reading ---- */

static void leaves_are_checked(void)
{
    wg_data(tape, WG_F64, WG_DIMS(2, -3), six);
    assert_int_equal(wg_tape_reset(tape), WG_ERR_SHAPE);
    wg_data(tape, WG_F64, WG_DIMS(2, 3), NULL);
    assert_int_equal(wg_tape_reset(tape), WG_ERR_ARGUMENT);
    wg_data(tape, (wg_dtype)9, WG_DIMS(2, 3), six);
    assert_int_equal(wg_tape_reset(tape), WG_ERR_DTYPE);
    wg_data(tape, WG_F64, WG_DIMS(1, 1, 1, 1, 1, 1, 1, 1, 1), six);
    assert_int_equal(wg_tape_reset(tape), WG_ERR_SHAPE);
    wg_data(tape, WG_F64, WG_DIMS(INT64_MAX, 16), six);
    assert_int_equal(wg_tape_reset(tape), WG_ERR_SHAPE);
    assert_int_equal(wg_numel(wg_data(tape, WG_F64, WG_DIMS(0, INT64_MAX), NULL)), 0);
    wg_tape_reset(tape);
}

static void data_is_copied_and_borrowed_is_not(void)
{
    double numbers[6];
    memcpy(numbers, six, sizeof numbers);
    wg_tensor copy = wg_data(tape, WG_F64, WG_DIMS(6), numbers),
              view = wg_borrow(tape, WG_F64, WG_DIMS(6), numbers);
    numbers[0] = 100;
    assert_true(wg_item(wg_sum_all(copy)) == 21);
    assert_true(wg_item(wg_sum_all(view)) == 120);
    assert_true(numbers[5] == 6);
    char bytes[sizeof numbers + 1];
    memcpy(bytes + 1, numbers, sizeof numbers);
    assert_true(wg_item(wg_sum_all(wg_borrow(tape, WG_F64, WG_DIMS(6), bytes + 1))) == 120); /* copied */
    wg_tape_reset(tape);
}

static void values_are_contiguous_and_stay(void)
{
    double out[6];
    wg_tensor x = matrix(), t = wg_t(x);
    const double *value = wg_value(t);
    assert_true(value[0] == 1 && value[1] == 4 && value[2] == 2);
    wg_tensor more = wg_exp(x);
    assert_int_equal(wg_eval(&more, 1), WG_OK);
    for (int i = 0; i < 20; i++) (void)wg_item(wg_sum_all(wg_scale(more, i)));
    assert_true(value[1] == 4 && wg_value(t) == value);
    assert_int_equal(wg_read(t, out, sizeof out), WG_OK);
    assert_true(out[5] == 6);
    assert_int_equal(wg_read(t, out, sizeof out - 1), WG_ERR_ARGUMENT);
    wg_tape_reset(tape);
    assert_true(isnan(wg_item(matrix()))); /* six elements are not an item */
    assert_int_equal(wg_tape_reset(tape), WG_ERR_SHAPE);
    assert_true(wg_item(wg_any(wg_greater(matrix(), wg_scalar(tape, WG_F64, 5.5)), WG_ALL_AXES, false)) == 1);
    assert_true(wg_item(wg_slice(wg_reshape(matrix(), WG_DIMS(6)), 0, 3, 4)) == 4);
    wg_tape_reset(tape);
}

static void kept_tensors_are_computed_in_the_same_run(void)
{
    wg_tensor x = matrix(), kept = wg_keep(wg_square(x)), other = wg_sum_all(wg_exp(x));
    assert_int_equal(wg_eval(&other, 1), WG_OK);
    uint64_t misses = wg_tape_count(tape).plan_misses;
    assert_true(((const double *)wg_value(kept))[2] == 9);
    assert_true(wg_tape_count(tape).plan_misses == misses); /* without a second run */
    wg_tape_reset(tape);
}

/* ---- where gradients flow ---- */

static double slope(wg_tensor y, wg_tensor x) { return ((const double *)wg_value(wg_grad1(y, x, WG_NONE)))[0]; }

static void detached_values_have_no_gradient(void)
{
    wg_tensor x = wg_scalar(tape, WG_F64, 3), y = wg_mul(x, wg_detach(x));
    assert_true(slope(y, x) == 3);
    wg_no_grad_begin(tape);
    wg_no_grad_begin(tape);
    wg_no_grad_end(tape);
    wg_tensor square = wg_square(x);
    wg_no_grad_end(tape);
    assert_true(slope(wg_mul(x, square), x) == 9);
    assert_true(slope(wg_mul(x, wg_square(x)), x) == 27);
    wg_tensor index = wg_argmax(wg_reshape(x, WG_DIMS(1)), 0, false);
    assert_true(slope(wg_add(wg_cast(index, WG_F64), wg_scale(x, 2)), x) == 2);
    assert_true(slope(wg_scalar(tape, WG_F64, 1), x) == 0); /* not connected: zeros */
    assert_int_equal(wg_tape_reset(tape), WG_OK);
}

static void derivatives_of_derivatives(void)
{
    wg_tensor x = wg_data(tape, WG_F64, WG_DIMS(3), six), y = wg_sum_all(wg_mul(wg_square(x), x));
    const double *hessian = wg_value(wg_hessian(y, x)); /* 6 x on the diagonal */
    for (int i = 0; i < 9; i++) assert_true(fabs(hessian[i] - (i % 4 ? 0 : 6 * six[i / 4])) < 1e-12);
    const double *hv = wg_value(wg_hvp(y, x, wg_data(tape, WG_F64, WG_DIMS(3), six)));
    for (int i = 0; i < 3; i++) assert_true(fabs(hv[i] - 6 * six[i] * six[i]) < 1e-12);
    wg_tensor pair = wg_concat((wg_tensor[]){wg_reshape(y, WG_DIMS(1)), wg_slice(x, 0, 1, 2)}, 2, 0);
    const double *jacobian = wg_value(wg_jacobian(pair, x)), wanted[6] = {3, 12, 27, 0, 1, 0};
    for (int i = 0; i < 6; i++) assert_true(fabs(jacobian[i] - wanted[i]) < 1e-12);
    wg_tensor s = wg_scalar(tape, WG_F64, 0.5), d = wg_sin(s);
    for (int order = 0; order < 6; order++) d = wg_grad1(d, s, WG_NONE);
    assert_true(fabs(wg_item(d) + sin(0.5)) < 1e-12);
    assert_int_equal(wg_tape_reset(tape), WG_OK);
}

static void gradients_refuse_what_has_none(void)
{
    wg_tensor x = matrix();
    assert_int_equal(wg_backward(x), WG_ERR_SHAPE);
    assert_true(says("backward") && says("[2, 3]"));
    wg_tape_reset(tape);
    x = matrix();
    wg_grad1(x, x, wg_scalar(tape, WG_F64, 1));
    assert_int_equal(wg_tape_reset(tape), WG_ERR_SHAPE);
    x = matrix();
    wg_grad1(wg_greater(x, x), x, WG_NONE);
    assert_int_equal(wg_tape_reset(tape), WG_ERR_GRADIENT);
    wg_grad1(matrix(), WG_NONE, WG_NONE);
    assert_int_equal(wg_tape_reset(tape), WG_ERR_ARGUMENT);
}

static void passes_have_names(void)
{
    const struct {
        const char *plan;
        bool ok;
    } rows[] = {{"", true},
                {"-merge,-residuals", true},
                {"+remat, -fuse", true},
                {"-attention,-cache,", true},
                {"-merg", false},
                {"merge", false},
                {"-", false},
                {"-merge,+nothing", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_tape_options options = wg_tape_defaults();
        options.plan = rows[i].plan;
        wg_tape *other = wg_tape_new(options);
        assert_int_equal(wg_tape_status(other), rows[i].ok ? WG_OK : WG_ERR_ARGUMENT);
        assert_true(rows[i].ok || strstr(wg_tape_message(other), "no pass"));
        wg_tape_free(other);
    }
}

#define ON_TAPE(name) TEST_CASE_WITH(name, open_tape, close_tape)

int main(int argc, char **argv)
{
    static const test tests[] = {
        ON_TAPE(stale_handles_are_detected),
        ON_TAPE(an_empty_tensor_has_a_value),
        ON_TAPE(nil_does_nothing),
        ON_TAPE(unset_operands_are_named),
        ON_TAPE(two_tapes_do_not_mix),
        ON_TAPE(null_objects_are_survived),
        ON_TAPE(leaves_are_checked),
        ON_TAPE(data_is_copied_and_borrowed_is_not),
        ON_TAPE(values_are_contiguous_and_stay),
        ON_TAPE(kept_tensors_are_computed_in_the_same_run),
        ON_TAPE(detached_values_have_no_gradient),
        ON_TAPE(derivatives_of_derivatives),
        ON_TAPE(gradients_refuse_what_has_none),
        ON_TAPE(passes_have_names),
    };
    return RUN_TESTS(tests);
}
