/* Parameters and buffers on a tape: gradients that accumulate, values that change, steps that fail and leave nothing
 * behind. */
#include "check.h"
#include "wengert.h"

static wg_tape *tape;

static void open_tape(void)
{
    tape = wg_tape_new(wg_tape_defaults());
    assert_non_null(tape);
}

static void close_tape(void) { wg_tape_free(tape); }

static bool says(const char *words) { return strstr(wg_tape_message(tape), words) != NULL; }

typedef struct pair {
    wg_params *set;
    wg_param *a, *b;
} pair;

static pair pair_new(void)
{
    pair p = {.set = wg_params_new(WG_F64)};
    p.a = wg_param_new(p.set, "a", WG_DIMS(3), wg_init_constant(2));
    p.b = wg_param_new(p.set, "b", WG_DIMS(3), wg_init_constant(5));
    return p;
}

static wg_tensor product(const pair *p) { return wg_sum_all(wg_mul(wg_use(tape, p->a), wg_use(tape, p->b))); }
static double grad(const wg_param *p) { return ((const double *)wg_param_grad(p))[1]; }

static void gradients_accumulate(void)
{
    pair p = pair_new();
    assert_true(wg_use(tape, p.a).node == wg_use(tape, p.a).node);
    assert_int_equal(wg_backward(product(&p)), WG_OK);
    assert_int_equal(wg_backward(product(&p)), WG_OK); /* a second loss on the same tape */
    assert_true(grad(p.a) == 10 && grad(p.b) == 4);
    wg_tape_reset(tape);
    assert_int_equal(wg_backward(product(&p)), WG_OK);
    assert_true(grad(p.a) == 15 && grad(p.b) == 6);
    wg_tape_reset(tape);
    wg_zero_grad(p.set);
    assert_true(grad(p.a) == 0);
    assert_int_equal(wg_backward_into(product(&p), &p.b, 1), WG_OK);
    assert_true(grad(p.a) == 0 && grad(p.b) == 2);
    wg_param_freeze(p.b, true);
    wg_tape_reset(tape);
    assert_int_equal(wg_backward(product(&p)), WG_OK);
    assert_true(grad(p.a) == 5 && grad(p.b) == 2);
    wg_tape_reset(tape);
    wg_params_free(p.set);
}

/* One node is the gradient of both. It is added to each, whether or not that has a gradient already. */
static void two_parameters_share_a_gradient(void)
{
    pair p = pair_new();
    for (int first = 0; first < 3; first++) {
        wg_param *both[] = {p.a, p.b};
        for (int run = first == 2 ? 1 : 0; run < 2; run++) {
            wg_tensor loss = wg_sum_all(wg_square(wg_add(wg_use(tape, p.a), wg_use(tape, p.b))));
            assert_int_equal(wg_backward_into(loss, run ? both : both + first, run ? 2 : 1), WG_OK);
            wg_tape_reset(tape);
        }
        assert_true(grad(p.a) == (first == 0 ? 28 : 14) && grad(p.b) == (first == 1 ? 28 : 14));
        wg_zero_grad(p.set);
    }
    wg_params_free(p.set);
}

static void a_step_that_fails_touches_no_gradient(void)
{
    pair p = pair_new();
    const int32_t wrong[1] = {9};
    assert_int_equal(wg_backward(product(&p)), WG_OK);
    const double *da = wg_param_grad(p.a), *db = wg_param_grad(p.b);
    for (int empty = 0; empty < 2; empty++) {
        wg_tape_reset(tape);
        wg_tensor bad = wg_index_select(wg_use(tape, p.a), 0, wg_data(tape, WG_I32, WG_DIMS(1), wrong));
        assert_int_equal(wg_backward(wg_add(product(&p), wg_sum_all(bad))), WG_ERR_INDEX);
        assert_true(da[1] == (empty ? 0 : 5) && db[1] == (empty ? 0 : 2));
        assert_true(grad(p.a) == da[1] && grad(p.b) == db[1]);
        if (empty) break;
        wg_zero_grad(p.set);
        assert_true(grad(p.a) == 0 && grad(p.b) == 0);
    }
    assert_false(wg_params_grad_valid(p.set));
    wg_optimizer *sgd = wg_sgd_new(p.set, wg_sgd_defaults());
    assert_int_not_equal(wg_optimizer_step(sgd), WG_OK);
    assert_true(((const double *)wg_param_value(p.a))[0] == 2);
    assert_int_equal(wg_tape_reset(tape), WG_ERR_INDEX);
    wg_zero_grad(p.set);
    assert_true(wg_params_grad_valid(p.set));
    assert_int_equal(wg_backward(product(&p)), WG_OK);
    assert_int_equal(wg_optimizer_step(sgd), WG_OK);
    wg_tape_reset(tape);
    wg_optimizer_free(sgd);
    wg_params_free(p.set);
}

static void a_parameter_that_changed_is_an_error(void)
{
    pair p = pair_new();
    wg_tensor y = product(&p);
    ((double *)wg_param_write_begin(p.a))[0] = 7;
    wg_param_write_end(p.a);
    assert_true(isnan(wg_item(y)));
    assert_int_equal(wg_tape_reset(tape), WG_ERR_CHANGED);
    assert_true(says("a") && says("changed"));
    assert_true(wg_item(product(&p)) == 7 * 5 + 2 * 5 + 2 * 5);
    wg_tape_reset(tape);
    wg_params_free(p.set);
}

/* A bad index, which is read before or after the buffer would be written. */
static void a_step_that_fails_assigns_nothing(void)
{
    pair p = pair_new();
    wg_buffer *buffer = wg_buffer_new(p.set, "carried", WG_DIMS(2), wg_init_constant(3));
    for (int way = 0; way < 6; way++) {
        const int32_t index[1] = {way < 3 ? 9 : 1};
        wg_no_grad_begin(tape);
        wg_tensor old = wg_use(tape, buffer), i = wg_data(tape, WG_I32, WG_DIMS(1), index);
        wg_tensor first = wg_index_select(wg_use(tape, p.a), 0, i), next = wg_add_scalar(old, 1);
        if (way % 3 == 1) next = wg_add(next, first);
        wg_assign(buffer, next);
        if (way % 3 == 2) first = wg_index_select(next, 0, i);
        assert_true(isnan(wg_item(first)) == (way < 3));
        wg_no_grad_end(tape);
        assert_int_equal(wg_tape_reset(tape), way < 3 ? WG_ERR_INDEX : WG_OK);
        const double want[] = {3, 3, 3, 4, 7, 8};
        assert_true(((const double *)wg_param_value(buffer))[1] == want[way]);
    }
    wg_params_free(p.set);
}

/* The operand of the backward pass could not be recorded, or could not be computed (at once, with eager). */
static void a_backward_pass_that_fails_is_invalid(void)
{
    pair p = pair_new();
    const int32_t wrong[1] = {9};
    for (int way = 0; way < 3; way++) {
        wg_tape_options options = wg_tape_defaults();
        options.eager = way == 2;
        wg_tape *other = wg_tape_new(options);
        wg_tensor a = wg_use(other, p.a), i = wg_data(other, WG_I32, WG_DIMS(1), wrong);
        wg_tensor y = way == 0 ? wg_matmul(a, wg_zeros(other, WG_F64, WG_DIMS(2, 2))) : wg_index_select(a, 0, i);
        assert_true(wg_params_grad_valid(p.set));
        assert_int_equal(wg_backward(wg_sum_all(y)), way == 0 ? WG_ERR_SHAPE : WG_ERR_INDEX);
        assert_false(wg_params_grad_valid(p.set));
        wg_zero_grad(p.set);
        wg_tape_free(other);
    }
    wg_params_free(p.set);
}

/* After a run assigned a buffer, tensors that were recorded from it keep the old value; wg_use returns the new one. */
static void an_assigned_buffer_has_two_values(void)
{
    pair p = pair_new();
    wg_buffer *buffer = wg_buffer_new(p.set, "carried", WG_DIMS(2), wg_init_constant(3));
    for (int step = 0; step < 3; step++) {
        const double was = ((const double *)wg_param_value(buffer))[0];
        wg_zero_grad(p.set);
        wg_tensor old = wg_use(tape, buffer), a = wg_slice(wg_use(tape, p.a), 0, 0, 1);
        wg_tensor loss = wg_sum_all(wg_mul(a, old));
        wg_assign(buffer, wg_add_scalar(old, 1));
        assert_true(wg_item(loss) == 2 * 2 * was); /* reading it runs the step */
        assert_true(((const double *)wg_param_value(buffer))[0] == was + 1);
        assert_int_equal(wg_backward(loss), WG_OK);
        assert_true(((const double *)wg_param_grad(p.a))[0] == 2 * was);
        assert_true(((const double *)wg_param_value(buffer))[0] == was + 1);
        wg_tensor fresh = wg_use(tape, buffer);
        wg_no_grad_begin(tape); /* a use that needs no copy takes none from those that do */
        (void)wg_use(tape, buffer);
        wg_no_grad_end(tape);
        wg_assign(buffer, wg_mul(fresh, fresh));
        assert_true(wg_item(wg_sum_all(wg_sub(fresh, old))) == 2);
        assert_true(((const double *)wg_param_value(buffer))[0] == (was + 1) * (was + 1));
        assert_int_equal(wg_tape_reset(tape), WG_OK);
    }
    assert_true(wg_tape_count(tape).plan_hits >= 4);
    wg_no_grad_begin(tape); /* no copy is kept, but wg_use returns the new value */
    for (int i = 0; i < 3; i++) {
        const double was = ((const double *)wg_param_value(buffer))[0];
        wg_tensor now = wg_add_scalar(wg_use(tape, buffer), 1);
        wg_assign(buffer, now);
        assert_int_equal(wg_eval(&now, 1), WG_OK);
        assert_true(((const double *)wg_param_value(buffer))[0] == was + 1);
    }
    wg_no_grad_end(tape);
    assert_int_equal(wg_tape_reset(tape), WG_OK);
    wg_tensor changed = wg_sum_all(wg_use(tape, buffer)); /* written by the user, then by a run */
    ((double *)wg_param_write_begin(buffer))[0] = 7;
    wg_param_write_end(buffer);
    wg_assign(buffer, wg_ones(tape, WG_F64, WG_DIMS(2)));
    wg_tensor other = wg_ones(tape, WG_F64, WG_DIMS(1));
    assert_int_equal(wg_eval(&other, 1), WG_OK);
    assert_true(isnan(wg_item(changed)));
    assert_int_equal(wg_tape_reset(tape), WG_ERR_CHANGED);
    wg_no_grad_begin(tape);
    wg_tensor old = wg_use(tape, buffer);
    wg_no_grad_end(tape);
    wg_assign(buffer, wg_add_scalar(old, 1));
    assert_int_equal(wg_eval(&old, 1), WG_OK);
    assert_true(isnan(wg_item(wg_sum_all(wg_exp(old)))));
    assert_int_equal(wg_tape_reset(tape), WG_ERR_CHANGED);
    wg_params_free(p.set);
}

static void sets_refuse_wrong_members(void)
{
    wg_params *set = wg_params_new(WG_F32);
    assert_null(wg_params_new(WG_I32));
    wg_param *w = wg_param_new(set, "w", WG_DIMS(2), wg_init_zeros());
    assert_null(wg_param_new(set, "w", WG_DIMS(2), wg_init_zeros()));
    assert_true(strstr(wg_params_message(set), "w") != NULL);
    assert_int_equal(wg_params_status(set), WG_ERR_ARGUMENT);
    assert_null(wg_param_new(set, "v", WG_DIMS(2), wg_init_zeros())); /* errors stick */
    wg_params_clear_error(set);
    assert_null(wg_param_new(set, "v", WG_DIMS(-2), wg_init_zeros()));
    assert_int_equal(wg_params_status(set), WG_ERR_SHAPE);
    wg_params_clear_error(set);
    assert_ptr_equal(wg_param_tie(set, "tied", w), w);
    assert_ptr_equal(wg_param_find(set, "tied"), w);
    assert_int_equal(wg_params_trainable(set), 2);
    assert_int_equal(wg_params_count(set), 2);
    wg_assign(w, wg_zeros(tape, WG_F32, WG_DIMS(2)));
    assert_int_equal(wg_tape_reset(tape), WG_ERR_ARGUMENT);
    wg_buffer *state_buffer = wg_buffer_new(set, "state", WG_DIMS(2), wg_init_zeros());
    wg_assign(state_buffer, wg_zeros(tape, WG_F32, WG_DIMS(3)));
    assert_int_equal(wg_tape_reset(tape), WG_ERR_SHAPE);
    assert_null(wg_param_grad(state_buffer));
    wg_params_free(set);
}

#define ON_TAPE(name) TEST_CASE_WITH(name, open_tape, close_tape)

int main(int argc, char **argv)
{
    static const test tests[] = {
        ON_TAPE(gradients_accumulate),
        ON_TAPE(a_step_that_fails_assigns_nothing),
        ON_TAPE(a_backward_pass_that_fails_is_invalid),
        ON_TAPE(two_parameters_share_a_gradient),
        ON_TAPE(a_step_that_fails_touches_no_gradient),
        ON_TAPE(a_parameter_that_changed_is_an_error),
        ON_TAPE(an_assigned_buffer_has_two_values),
        ON_TAPE(sets_refuse_wrong_members),
    };
    return RUN_TESTS(tests);
}
