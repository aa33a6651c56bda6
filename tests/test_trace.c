/* Inspection of a tape: dumps, the first NaN, time per op, bytes before a run, error callbacks; steady state. */
#include "tensors.h"

static wg_tensor model(wg_tape *tape, wg_param *w)
{
    const float numbers[6] = {1, 2, 3, 4, 5, 6};
    wg_scope_begin(tape, "encoder");
    wg_scope_begin(tape, "l\"0");
    wg_tensor h = wg_tanh(wg_linear(wg_data(tape, WG_F32, WG_DIMS(2, 3), numbers), wg_use(tape, w), WG_NONE));
    wg_scope_end(tape);
    wg_scope_end(tape);
    return wg_mean_all(wg_square(h));
}

static void dumps(void)
{
    wg_tape_options options = wg_tape_defaults();
    options.profile = true;
    wg_tape *tape = wg_tape_new(options);
    wg_params *set = wg_params_new(WG_F32);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(4, 3), wg_init_uniform(-1, 1));
    CHECK(wg_trace_runs(tape, 100) == WG_OK);
    wg_tensor loss = model(tape, w);
    CHECK(wg_plan_bytes(&loss, 1) > 0);
    CHECK(wg_backward_bytes(loss) > wg_plan_bytes(&loss, 1));
    CHECK(wg_backward(loss) == WG_OK);
    char *text = dumped(wg_dump_text, tape);
    CHECK(strstr(text, "tanh") && strstr(text, "[encoder.l\"0]") && strstr(text, "f32 [2, 4]"));
    free(text);
    text = dumped(wg_dump_graphviz, tape);
    CHECK(strstr(text, "digraph") && strstr(text, "label=\"encoder.l\\\"0\"") && strstr(text, "->"));
    CHECK(strstr(text, "[label=\"data\\n%") && strstr(text, " f32 [2, 3]\", shape=box, color=grey]")); /* leaves */
    CHECK(strstr(text, "[label=\"w\\n%") &&
          strstr(text, " f32 [4, 3]\", shape=box, style=filled, fillcolor=lightblue]"));
    CHECK(!strstr(text, "mistyrose"));
    free(text);
    wg_tensor tanh_of = wg_tanh(wg_use(tape, w)), slope = wg_grad1(wg_sum_all(tanh_of), tanh_of, WG_NONE);
    CHECK(wg_eval(&slope, 1) == WG_OK);
    text = dumped(wg_dump_graphviz, tape);
    CHECK(strstr(text, "\\ngradient of sum %") && strstr(text, "\", style=filled, fillcolor=mistyrose];"));
    CHECK(strstr(text, " [color=brown3];"));
    free(text);
    CHECK(wg_backward(loss) == WG_OK);
    text = dumped(wg_dump_plan, tape);
    CHECK(strstr(text, "instructions") && strstr(text, "chain of") && strstr(text, "gradient of"));
    free(text);
    text = dumped(wg_dump_profile, tape);
    CHECK(strstr(text, "matmul 2x4x3 [encoder.l\"0]"));
    free(text);
    text = dumped(wg_dump_trace, tape);
    CHECK(strstr(text, "\"traceEvents\"") && strstr(text, "encoder.l\\\"0") && strstr(text, "\"dur\""));
    free(text);
    wg_profile_clear(tape);
    text = dumped(wg_dump_profile, tape);
    CHECK(strstr(text, "no profiled run") != NULL);
    free(text);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* A path of scopes is cut at 255 bytes or before: not within a character. */
static void a_long_path(void)
{
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    char name[301] = "";
    for (int i = 0; i < 150; i++) strcat(name, "\xc3\xa4");
    wg_scope_begin(tape, name);
    wg_tensor x = wg_tanh(wg_scalar(tape, WG_F32, 1));
    wg_scope_end(tape);
    CHECK(wg_eval(&x, 1) == WG_OK);
    char *text = dumped(wg_dump_text, tape);
    CHECK(strstr(text, "[\xc3\xa4") && strstr(text, "\xc3\xa4]") && !strstr(text, "\xc3]"));
    free(text);
    wg_tape_free(tape);
}

/* Names of scopes and parameters reach every dump without control characters. */
static void case_escape_in_dumps(void)
{
    wg_tape_options options = wg_tape_defaults();
    options.profile = true;
    char *text[7] = {NULL};
    size_t size;
    FILE *passes = open_memstream(&text[0], &size);
    wg_tape *tape = wg_tape_new(options);
    wg_params *set = wg_params_new(WG_F32);
    wg_param *w = wg_param_new(set, "w\n\x1b[2J\"", WG_DIMS(4, 3), wg_init_uniform(-1, 1));
    wg_trace_passes(tape, "all", passes);
    CHECK(wg_trace_runs(tape, 100) == WG_OK);
    wg_scope_begin(tape, "s\n\x1b[2J\xc2\x9b\"");
    wg_tensor loss = model(tape, w);
    wg_scope_end(tape);
    CHECK(wg_backward(loss) == WG_OK);
    fclose(passes);
    wg_status (*const dump[])(const wg_tape *, FILE *) = {wg_dump_text, wg_dump_graphviz, wg_dump_plan,
                                                          wg_dump_profile, wg_dump_trace};
    for (int i = 0; i < 5; i++) text[1 + i] = dumped(dump[i], tape);
    text[6] = calloc(1, 4096);
    wg_summary(set, text[6], 4096);
    for (int i = 0; i < 7; i++) {
        for (const char *c = text[i]; *c; c++) CHECK((unsigned char)*c >= 32 || *c == '\n');
        CHECK(!strstr(text[i], "\xc2\x9b"));
        CHECK(strstr(text[i], "\\x1b[2J") || strstr(text[i], "\\\\x1b[2J"));
        free(text[i]);
    }
    wg_tape_free(tape);
    wg_params_free(set);
}

/* Dumps after passes: only those asked for; a wrong name is an error of the tape. */
static void passes_are_traced(void)
{
    static const struct {
        const char *passes;
        bool valid;
    } rows[] = {{"after-fuse", true}, {"after-fuse,after-place", true}, {"all", true},
                {"", true},           {"after-fusee", false},           {"fuse", false},
                {"after-", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wg_tape *tape = wg_tape_new(wg_tape_defaults());
        wg_params *set = wg_params_new(WG_F32);
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        wg_trace_passes(tape, rows[i].passes, out);
        CHECK((wg_tape_status(tape) == WG_OK) == rows[i].valid);
        wg_status status = wg_backward(model(tape, wg_param_new(set, "w", WG_DIMS(4, 3), wg_init_zeros())));
        fclose(out);
        CHECK((status == WG_OK) == rows[i].valid);
        bool all = !strcmp(rows[i].passes, "all");
        CHECK((strstr(text, "after fuse:") != NULL) == (rows[i].valid && rows[i].passes[0]));
        CHECK((strstr(text, "after place:") != NULL) == (all || i == 1));
        CHECK((strstr(text, "after merge:") != NULL) == all);
        free(text);
        wg_tape_free(tape);
        wg_params_free(set);
    }
}

static void first_nonfinite(void)
{
    wg_tape_options options = wg_tape_defaults();
    options.locate_nonfinite = true;
    wg_tape *tape = wg_tape_new(options);
    const float numbers[3] = {1, -1, 4};
    wg_tensor x = wg_data(tape, WG_F32, WG_DIMS(3), numbers);
    wg_set_step(tape, 7);
    wg_scope_begin(tape, "decoder");
    wg_tensor y = wg_log(x);
    wg_scope_end(tape);
    CHECK(isnan(wg_item(wg_sum_all(wg_scale(y, 2)))));
    CHECK(wg_tape_status(tape) == WG_ERR_NONFINITE);
    CHECK(strstr(wg_tape_message(tape), "log [decoder]") && strstr(wg_tape_message(tape), "element 1") &&
          strstr(wg_tape_message(tape), "step 7"));
    CHECK(wg_tape_reset(tape) == WG_ERR_NONFINITE);

    /* finite in the forward pass, not in the backward pass: sqrt at 0 */
    wg_params *set = wg_params_new(WG_F32);
    wg_param *p = wg_param_new(set, "p", WG_DIMS(2), wg_init_zeros());
    CHECK(wg_backward(wg_sum_all(wg_sqrt(wg_use(tape, p)))) == WG_ERR_NONFINITE);
    CHECK(strstr(wg_tape_message(tape), "in the gradient of sqrt") != NULL);
    CHECK(!wg_params_grad_valid(set));
    CHECK(((const float *)wg_param_grad(p))[0] == 0);
    wg_optimizer *sgd = wg_sgd_new(set, wg_sgd_defaults());
    CHECK(wg_optimizer_step(sgd) != WG_OK);
    CHECK(((const float *)wg_param_value(p))[0] == 0);
    wg_optimizer_free(sgd);
    wg_tape_free(tape);
    wg_params_free(set);
}

static void on_error(void *context, wg_status status, const char *message)
{
    char *text = context;
    snprintf(text, 200, "%s|%s", wg_status_name(status), message);
}

static void callback(void)
{
    wg_tape *tape = new_tape();
    char text[200] = "";
    wg_tape_on_error(tape, on_error, text);
    wg_scope_begin(tape, "encoder");
    wg_tensor bad = wg_matmul(wg_zeros(tape, WG_F32, WG_DIMS(2, 3)), wg_zeros(tape, WG_F32, WG_DIMS(4, 5)));
    wg_scope_end(tape);
    CHECK(!strcmp(text, "shape|matmul [encoder]: [2, 3] x [4, 5]: inner sizes 3 and 4 differ"));
    CHECK(wg_is_nil(bad) && wg_is_nil(wg_tanh(bad)));
    CHECK(wg_tape_reset(tape) == WG_ERR_SHAPE && wg_tape_status(tape) == WG_OK);
    CHECK(!strcmp(wg_tape_message(tape), strchr(text, '|') + 1));
    wg_tape_free(tape);
}

/* A chain of a million ops: recorded, differentiated, planned and run without recursion. */
static void million(void)
{
    int n = check_long() ? 1000000 : SANITIZED ? 25000 : 100000;
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new(WG_F64);
    wg_param *p = wg_param_new(set, "p", WG_DIMS(1), wg_init_constant(0.5));
    wg_tensor x = wg_use(tape, p), y = x;
    for (int i = 0; i < n; i++) y = i % 2 ? wg_neg(y) : wg_sin(y);
    CHECK(wg_backward(wg_sum_all(y)) == WG_OK);
    double value = 0.5, slope = 1;
    for (int i = 0; i < n; i++) {
        slope *= i % 2 ? -1 : cos(value);
        value = i % 2 ? -value : sin(value);
    }
    CHECK(fabs(wg_item(y) - value) < 1e-12);
    CHECK(fabs(((const double *)wg_param_grad(p))[0] - slope) < 1e-9 * fabs(slope) + 1e-15);
    wg_tape_free(tape);
    wg_params_free(set);
}

static void steady(void)
{
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new(WG_F32);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(4, 3), wg_init_uniform(-1, 1));
    wg_optimizer *adam = wg_adam_new(set, wg_adam_defaults());
    uint64_t requests = 0;
    for (int step = 0; step < 20; step++) {
        wg_zero_grad(set);
        CHECK(wg_backward(model(tape, w)) == WG_OK);
        CHECK(wg_optimizer_step(adam) == WG_OK && wg_tape_reset(tape) == WG_OK);
        uint64_t now = wg_tape_memory(tape).requests + wg_params_memory(set).requests;
        if (step > 5) CHECK(now == requests);
        requests = now;
    }
    CHECK(wg_tape_count(tape).plan_misses == 1 && wg_tape_count(tape).plan_hits == 19);
    wg_optimizer_free(adam);
    wg_tape_free(tape);
    wg_params_free(set);
}

static void buffers(void)
{
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new(WG_F32);
    wg_buffer *sum = wg_buffer_new(set, "sum", WG_DIMS(2), wg_init_zeros());
    const float one[2] = {1, 2};
    for (int i = 0; i < 3; i++) {
        wg_tensor next = wg_add(wg_use(tape, sum), wg_data(tape, WG_F32, WG_DIMS(2), one));
        wg_assign(sum, next);
        const float *value = wg_value(next);
        CHECK(value && value[1] == 2.0f * (float)(i + 1));
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    CHECK(((const float *)wg_param_value(sum))[0] == 3 && wg_param_version(sum) > 0);
    wg_tensor again = wg_use(tape, sum);
    memset(wg_param_write_begin(sum), 0, 8);
    wg_param_write_end(sum);
    CHECK(isnan(wg_item(wg_sum_all(again))) && wg_tape_reset(tape) == WG_ERR_CHANGED);
    CHECK(strstr(wg_tape_message(tape), "sum has changed") != NULL);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* A user's op whose vjp introduces a scalar, which the plan must store. */
static wg_status cube_infer(wg_infer *c)
{
    c->out = c->in[0];
    return WG_OK;
}

static wg_tensor cube_vjp(const wg_vjp_args *v, int k) { return wg_mul(v->grad, wg_scale(wg_square(v->in[k]), 3)); }

static void cube_f64(const wg_args *a, int64_t task)
{
    const double *x = a->in[0].data;
    double *y = a->out.data;
    for (int64_t i = 0; task == 0 && i < a->out.numel; i++) y[i] = x[i] * x[i] * x[i];
}

static wg_kernel cube_select(const wg_op *op, const wg_dtype *in, int n_in, wg_dtype out)
{
    return op && in && n_in == 1 && out == WG_F64 ? cube_f64 : NULL;
}

static void derived_numbers(void)
{
    static const wg_op cube = {.struct_size = sizeof(wg_op),
                               .name = "cube",
                               .min_in = 1,
                               .max_in = 1,
                               .infer = cube_infer,
                               .vjp = cube_vjp,
                               .select = cube_select};
    wg_tape *tape = new_tape();
    wg_params *set = wg_params_new(WG_F64);
    wg_param *p = wg_param_new(set, "p", WG_DIMS(1), wg_init_constant(2));
    const double other[4] = {7, 8, 9, 10};
    for (int step = 0; step < 3; step++) {
        wg_tensor x = wg_use(tape, p);
        wg_zero_grad(set);
        CHECK(wg_backward(wg_sum_all(wg_record(&cube, &x, 1, NULL, 0))) == WG_OK);
        CHECK(((const double *)wg_param_grad(p))[0] == 12);
        CHECK(wg_tape_reset(tape) == WG_OK);
        wg_tensor sum = wg_data(tape, WG_F64, WG_DIMS(4), other); /* another program reuses the leaf's memory */
        for (int i = 0; i < 5; i++) sum = wg_add(sum, wg_data(tape, WG_F64, WG_DIMS(4), other));
        CHECK(wg_item(wg_sum_all(sum)) == 6 * 34);
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
    wg_tape_free(tape);
    wg_params_free(set);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(dumps),
                                 TEST_CASE(a_long_path),
                                 TEST_CASE(case_escape_in_dumps),
                                 TEST_CASE(passes_are_traced),
                                 TEST_CASE(first_nonfinite),
                                 TEST_CASE(callback),
                                 TEST_CASE(million),
                                 TEST_CASE(steady),
                                 TEST_CASE(buffers),
                                 TEST_CASE(derived_numbers)};
    return RUN_TESTS(tests);
}
