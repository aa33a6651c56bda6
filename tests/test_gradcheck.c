/* The gradient check itself: it accepts right derivatives and rejects wrong ones of all usual kinds. It names the
 * parameter, the element and both numbers. It does not change values and gradients. */
#include "tensors.h"

/* ---- ops with a wrong derivative: y = x^3 of a matrix ---- */

static wg_tensor slope(const wg_vjp_args *v) { return wg_mul(v->grad, wg_scale(wg_square(v->in[0]), 3)); }

static wg_tensor right(const wg_vjp_args *v, int k) { return slope(v); }
static wg_tensor sign_flipped(const wg_vjp_args *v, int k) { return wg_neg(slope(v)); }
static wg_tensor too_large(const wg_vjp_args *v, int k) { return wg_scale(slope(v), 1.001); }
static wg_tensor transposed(const wg_vjp_args *v, int k) { return wg_t(slope(v)); }
static wg_tensor zero(const wg_vjp_args *v, int k) { return wg_zeros_like(v->in[0]); }
static wg_tensor none(const wg_vjp_args *v, int k) { return WG_NONE; }
static wg_tensor without_grad(const wg_vjp_args *v, int k) { return wg_scale(wg_square(v->in[0]), 3); }
static wg_tensor half(const wg_vjp_args *v, int k) { return wg_scale(slope(v), 0.5); }

static wg_tensor element_wrong(const wg_vjp_args *v, int k)
{
    double factor[9] = {1, 1, 1, 1, 1, 1.01, 1, 1, 1};
    return wg_mul(slope(v), wg_data(v->grad.tape, WG_F64, WG_DIMS(3, 3), factor));
}

/* Right, but its own gradient is missing: only the second order reveals it. */
static wg_tensor detached(const wg_vjp_args *v, int k)
{
    return wg_mul(v->grad, wg_detach(wg_scale(wg_square(v->in[0]), 3)));
}

/* ---- the model: sum(weights * cube(w + b)) ---- */

typedef struct model {
    wg_op op;
    wg_tape *tape;
    wg_params *set;
    int calls;
    bool changing; /* the loss differs from call to call */
} model;

static wg_tensor loss_of(void *context, wg_tape *tape, wg_params *set)
{
    static const double weights[9] = {0.3, -0.8, 0.5, 0.9, -0.2, 0.7, -0.6, 0.4, 0.1};
    model *m = context;
    double shift = m->changing ? m->calls : 0;
    m->calls++;
    wg_tensor x = wg_add(wg_use(tape, wg_param_find(set, "w")), wg_use(tape, wg_param_find(set, "b")));
    wg_tensor y = wg_record(&m->op, &x, 1, NULL, 0);
    return wg_add_scalar(wg_sum_all(wg_mul(y, wg_data(tape, WG_F64, WG_DIMS(3, 3), weights))), shift);
}

static model model_new(wg_tensor (*vjp)(const wg_vjp_args *, int))
{
    model m = {.op = cube_with(vjp), .tape = wg_tape_new(wg_tape_defaults()), .set = wg_params_new(WG_F64)};
    wg_param_new(m.set, "w", WG_DIMS(3, 3), wg_init_uniform(0.5, 1.5));
    wg_param_new(m.set, "b", WG_DIMS(3), wg_init_uniform(-0.2, 0.2));
    return m;
}

static void model_free(model *m)
{
    wg_tape_free(m->tape);
    wg_params_free(m->set);
}

static wg_verdict check(wg_tensor (*vjp)(const wg_vjp_args *, int), wg_gradcheck_options options)
{
    model m = model_new(vjp);
    wg_verdict verdict = wg_gradcheck(m.tape, m.set, loss_of, &m, options);
    assert_int_equal(wg_tape_status(m.tape), WG_OK);
    model_free(&m);
    return verdict;
}

/* ---- tests ---- */

static void accepts_what_is_right(void)
{
    wg_gradcheck_options options = wg_gradcheck_defaults();
    options.second_order = true;
    wg_verdict v = check(right, options);
    if (!v.ok) print_message("%s\n", v.text);
    assert_true(v.ok);
    assert_int_equal(v.status, WG_OK);
    assert_true(v.excess <= 1);
    assert_int_equal(v.checks, 2 * (4 + 9 + 3)); /* directions and elements, of both orders */
}

static void rejects_mutants(void)
{
    static const struct {
        const char *name;
        wg_tensor (*vjp)(const wg_vjp_args *, int);
    } mutants[] = {{"sign flipped", sign_flipped},
                   {"factor 1.001", too_large},
                   {"transposed", transposed},
                   {"zero", zero},
                   {"no gradient", none},
                   {"incoming gradient forgotten", without_grad},
                   {"half", half},
                   {"one element wrong", element_wrong}};
    for (size_t i = 0; i < sizeof mutants / sizeof *mutants; i++) {
        wg_verdict v = check(mutants[i].vjp, wg_gradcheck_defaults());
        if (v.ok || v.status != WG_OK) print_message("%s: %s\n", mutants[i].name, v.text);
        assert_false(v.ok);
        assert_int_equal(v.status, WG_OK);
        assert_true(v.excess > 1);
        assert_int_equal(v.order, 1);
        assert_non_null(strstr(v.text, "FAILED"));
    }
}

/* Directions alone find the mutants, and so do elements alone. */
static void each_way_suffices(void)
{
    wg_gradcheck_options directions = wg_gradcheck_defaults(), elements = directions;
    directions.elements = 0;
    elements.directions = 0;
    elements.elements = -1;
    assert_true(check(right, directions).ok);
    assert_true(check(right, elements).ok);
    assert_false(check(sign_flipped, directions).ok);
    assert_false(check(too_large, directions).ok);
    assert_false(check(element_wrong, directions).ok);
    assert_false(check(sign_flipped, elements).ok);
    assert_false(check(element_wrong, elements).ok);
}

static void second_order_finds_what_first_does_not(void)
{
    wg_gradcheck_options options = wg_gradcheck_defaults();
    assert_true(check(detached, options).ok);
    options.second_order = true;
    wg_verdict v = check(detached, options);
    assert_false(v.ok);
    assert_int_equal(v.order, 2);
}

static void names_the_element(void)
{
    wg_gradcheck_options options = wg_gradcheck_defaults();
    options.directions = 0;
    model m = model_new(element_wrong);
    wg_param *w = wg_param_find(m.set, "w"), *b = wg_param_find(m.set, "b");
    wg_param_freeze(b, true); /* the wrong gradient is added to its own */
    wg_verdict v = wg_gradcheck(m.tape, m.set, loss_of, &m, options);
    assert_false(v.ok);
    assert_string_equal(v.param, "w");
    assert_int_equal(v.index, 5);
    assert_int_equal(v.checks, 9);
    const double *values = wg_param_value(w), *bias = wg_param_value(b);
    double x = values[5] + bias[2], numeric = 0.7 * 3 * x * x;
    assert_true(fabs(v.numeric - numeric) < 1e-7);
    assert_true(fabs(v.analytic - 1.01 * numeric) < 1e-12);
    assert_non_null(strstr(v.text, "w[5]"));
    model_free(&m);
}

static void leaves_no_trace(void)
{
    model m = model_new(right);
    wg_param *w = wg_param_find(m.set, "w");
    double value[9], grad[9], *written = wg_param_grad_write_begin(w);
    for (int i = 0; i < 9; i++) written[i] = i;
    wg_param_grad_write_end(w);
    memcpy(value, wg_param_value(w), sizeof value);
    memcpy(grad, wg_param_grad(w), sizeof grad);
    assert_true(wg_gradcheck(m.tape, m.set, loss_of, &m, wg_gradcheck_defaults()).ok);
    assert_memory_equal(value, wg_param_value(w), sizeof value);
    assert_memory_equal(grad, wg_param_grad(w), sizeof grad);
    model_free(&m);
}

static void seed_chooses_what_is_checked(void)
{
    wg_gradcheck_options options = wg_gradcheck_defaults(), other = options;
    options.elements = other.elements = 0;
    other.seed = 1;
    wg_verdict a = check(half, options), b = check(half, options), c = check(half, other);
    assert_true(a.numeric == b.numeric && a.analytic == b.analytic);
    assert_true(a.numeric != c.numeric);
}

/* ---- losses that cannot be checked ---- */

static void missing_vjp_is_named(void)
{
    wg_verdict v = check(NULL, wg_gradcheck_defaults());
    assert_false(v.ok);
    assert_int_equal(v.status, WG_ERR_GRADIENT);
    assert_non_null(strstr(v.text, "cube"));
}

static wg_tensor wrong_shape(void *context, wg_tape *tape, wg_params *set)
{
    return wg_matmul(wg_use(tape, wg_param_find(set, "w")), wg_zeros(tape, WG_F64, WG_DIMS(4, 5)));
}

static wg_tensor no_scalar(void *context, wg_tape *tape, wg_params *set)
{
    return wg_use(tape, wg_param_find(set, "w"));
}

static wg_tensor nothing(void *context, wg_tape *tape, wg_params *set) { return WG_NONE; }

static wg_tensor infinite(void *context, wg_tape *tape, wg_params *set)
{
    return wg_sum_all(wg_log(wg_sub(wg_use(tape, wg_param_find(set, "w")), wg_use(tape, wg_param_find(set, "w")))));
}

static void models_that_fail_are_reported(void)
{
    static const struct {
        wg_loss_fn loss;
        wg_status status;
        const char *word;
    } all[] = {{wrong_shape, WG_ERR_SHAPE, "[3, 3]"},
               {no_scalar, WG_ERR_SHAPE, "one f64 number"},
               {nothing, WG_ERR_ARGUMENT, "nil"},
               {infinite, WG_ERR_NONFINITE, "finite"}};
    model m = model_new(right);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        wg_verdict v = wg_gradcheck(m.tape, m.set, all[i].loss, &m, wg_gradcheck_defaults());
        assert_false(v.ok);
        assert_int_equal(v.status, all[i].status);
        assert_non_null(strstr(v.text, all[i].word));
    }
    m.changing = true;
    assert_int_equal(wg_gradcheck(m.tape, m.set, loss_of, &m, wg_gradcheck_defaults()).status, WG_ERR_ARGUMENT);
    model_free(&m);
}

static void arguments_are_checked(void)
{
    model m = model_new(right);
    wg_params *single = wg_params_new(WG_F32);
    wg_gradcheck_options options = wg_gradcheck_defaults();
    assert_int_equal(wg_gradcheck(NULL, m.set, loss_of, &m, options).status, WG_ERR_ARGUMENT);
    assert_int_equal(wg_gradcheck(m.tape, NULL, loss_of, &m, options).status, WG_ERR_ARGUMENT);
    assert_int_equal(wg_gradcheck(m.tape, m.set, NULL, &m, options).status, WG_ERR_ARGUMENT);
    assert_int_equal(wg_gradcheck(m.tape, single, loss_of, &m, options).status, WG_ERR_DTYPE);
    options.epsilon = 0;
    assert_int_equal(wg_gradcheck(m.tape, m.set, loss_of, &m, options).status, WG_ERR_ARGUMENT);
    options = wg_gradcheck_defaults();
    options.rtol = NAN;
    assert_int_equal(wg_gradcheck(m.tape, m.set, loss_of, &m, options).status, WG_ERR_ARGUMENT);
    options = wg_gradcheck_defaults();
    options.directions = options.elements = 0;
    wg_verdict v = wg_gradcheck(m.tape, m.set, loss_of, &m, options);
    assert_true(!v.ok && v.status == WG_ERR_ARGUMENT && strstr(v.text, "nothing would be compared"));
    wg_params *empty = wg_params_new(WG_F64);
    v = wg_gradcheck(m.tape, empty, loss_of, &m, wg_gradcheck_defaults());
    assert_true(!v.ok && v.status == WG_ERR_ARGUMENT && strstr(v.text, "the set has no parameter to check"));
    wg_params_free(empty);
    wg_params_free(single);
    model_free(&m);
}

/* ---- state that outlives a step ---- */

static wg_tensor with_buffer(void *context, wg_tape *tape, wg_params *set)
{
    wg_buffer *buffer = wg_param_find(set, "state");
    wg_tensor h = wg_use(tape, buffer), w = wg_use(tape, wg_param_find(set, "w"));
    wg_assign(buffer, wg_add_scalar(h, 1));
    return wg_sum_all(wg_mul(wg_square(w), h));
}

/* A buffer that each run writes is restored, so that all differences start from the same state. */
static void buffers_are_restored(void)
{
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_params *set = wg_params_new(WG_F64);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(3), wg_init_uniform(1, 2));
    wg_buffer *buffer = wg_buffer_new(set, "state", WG_DIMS(3), wg_init_constant(2));
    wg_param_tie(set, "again", w);
    wg_gradcheck_options options = wg_gradcheck_defaults();
    options.second_order = true;
    wg_verdict v = wg_gradcheck(tape, set, with_buffer, NULL, options);
    if (!v.ok) print_message("%s\n", v.text);
    assert_true(v.ok);
    assert_int_equal(v.checks, 2 * (4 + 3));
    assert_true(((const double *)wg_param_value(buffer))[0] == 2);
    wg_tape_free(tape);
    wg_params_free(set);
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(accepts_what_is_right),
        TEST_CASE(rejects_mutants),
        TEST_CASE(each_way_suffices),
        TEST_CASE(second_order_finds_what_first_does_not),
        TEST_CASE(names_the_element),
        TEST_CASE(leaves_no_trace),
        TEST_CASE(seed_chooses_what_is_checked),
        TEST_CASE(missing_vjp_is_named),
        TEST_CASE(models_that_fail_are_reported),
        TEST_CASE(arguments_are_checked),
        TEST_CASE(buffers_are_restored),
    };
    return RUN_TESTS(tests);
}
