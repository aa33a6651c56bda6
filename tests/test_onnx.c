/* Models from ONNX files: values and gradients of the small ones in tests/onnx (tests/onnx_models.py makes them, with
 * inputs and NumPy's results as initializers that no node uses), what they say of themselves, training, files that are
 * refused, damaged files, failing allocations. */
#include <sys/stat.h>
#include <unistd.h>

#include "../onnx/internal.h"
#include "check.h"
#include "test_onnx.h"
#include "wengert.h"

static const char *const names[] = {"mlp",     "conv",     "recurrent", "transformer", "control",
                                    "widened", "external", "branches",  "functions"};
enum { N_NAMES = sizeof names / sizeof names[0], MOST = 8 };

static wg_onnx *open_with(const char *name, wg_onnx_options options)
{
    char path[512];
    wg_error error = {0};
    snprintf(path, sizeof path, "%s/%s.onnx", MODELS, name);
    wg_onnx *model = wg_onnx_open_with(path, options, &error);
    if (!model) FAIL("%s", error.text);
    assert_non_null(model);
    return model;
}

static wg_onnx *open_named(const char *name, wg_dtype dtype)
{
    wg_onnx_options options = wg_onnx_defaults();
    options.dtype = dtype;
    return open_with(name, options);
}

/* The initializer "given.NAME" or "wanted.NAME". */
static const wg__tensor_data *inside(const wg_onnx *model, const char *prefix, const char *name)
{
    char text[128];
    snprintf(text, sizeof text, "%s.%s", prefix, name);
    for (uint32_t v = 1; v < model->n_values; v++)
        if (strcmp(model->values[v].name, text) == 0) return model->values[v].constant;
    return NULL;
}

static wg_tensor given(const wg_onnx *model, wg_tape *tape, size_t k)
{
    const wg_onnx_value v = wg_onnx_input(model, k);
    const wg__tensor_data *t = inside(model, "given", v.name);
    assert_non_null(t);
    if (v.dtype == WG_I32) {
        int32_t numbers[64];
        wg__numbers from = wg__numbers_of(t);
        for (int64_t i = 0; i < t->numel; i++) numbers[i] = (int32_t)wg__number_next(&from);
        return wg_data(tape, WG_I32, t->shape, numbers);
    }
    double numbers[512];
    wg__tensor_copy(t, v.dtype, numbers);
    return wg_data(tape, v.dtype, t->shape, numbers);
}

/* Records a model on its own inputs. */
static wg_status record(wg_onnx *model, wg_tape *tape, wg_tensor *y)
{
    wg_tensor x[MOST];
    const size_t n = wg_onnx_input_count(model);
    for (size_t k = 0; k < n; k++) x[k] = given(model, tape, k);
    return wg_onnx_apply(model, tape, x, (int)n, y, (int)wg_onnx_output_count(model));
}

/* ---- values ---- */

static void compare(const wg_onnx *model, const char *name, size_t k, wg_tensor y)
{
    const wg__tensor_data *want = inside(model, "wanted", wg_onnx_output(model, k).name);
    const wg_shape shape = wg_shape_get(y);
    const float *got = wg_value(y);
    double numbers[512];
    assert_non_null(want);
    assert_non_null(got);
    CHECK(wg_shape_equal(&shape, &want->shape));
    wg__tensor_copy(want, WG_F64, numbers);
    for (int64_t i = 0; i < want->numel; i++)
        if (!(fabs((double)got[i] - numbers[i]) <= 1e-5 * (1 + fabs(numbers[i]))))
            FAIL("%s: output %zu, element %lld is %g, not %g", name, k, (long long)i, (double)got[i], numbers[i]);
}

static void values(void)
{
    for (int i = 0; i < N_NAMES; i++) {
        wg_onnx *model = open_named(names[i], WG_F32);
        wg_tape *tape = wg_tape_new(wg_tape_defaults());
        wg_tensor y[MOST];
        for (int twice = 0; twice < 2; twice++) {
            if (record(model, tape, y) != WG_OK) FAIL("%s: %s", names[i], wg_tape_message(tape));
            for (size_t k = 0; k < wg_onnx_output_count(model); k++) compare(model, names[i], k, y[k]);
            CHECK(wg_tape_reset(tape) == WG_OK);
        }
        wg_tape_free(tape);
        wg_onnx_free(model);
    }
}

/* ---- gradients by all parameters, against differences ---- */

static wg_tensor loss_of(void *context, wg_tape *tape, wg_params *set)
{
    wg_onnx *model = context;
    wg_tensor y[MOST], loss = wg_scalar(tape, WG_F64, 0);
    record(model, tape, y);
    for (size_t k = 0; k < wg_onnx_output_count(model); k++) {
        const wg_tensor weights = wg_cos(wg_arange(tape, WG_F64, 1, 1.7, wg_numel(y[k])));
        loss = wg_add(loss, wg_sum_all(wg_mul(weights, wg_reshape(y[k], WG_DIMS(wg_numel(y[k]))))));
    }
    return loss;
}

static void gradients(void)
{
    for (int i = 0; i < N_NAMES; i++) {
        wg_onnx *model = open_named(names[i], WG_F64);
        wg_tape *tape = wg_tape_new(wg_tape_defaults());
        const wg_verdict v = wg_gradcheck(tape, wg_onnx_params(model), loss_of, model, wg_gradcheck_defaults());
        if (!v.ok || v.checks < 8) FAIL("%s: %s", names[i], v.text);
        wg_tape_free(tape);
        wg_onnx_free(model);
    }
}

/* ---- what a model says of itself ---- */

static void description(void)
{
    wg_onnx *model = open_named("transformer", WG_F32);
    const wg_onnx_value ids = wg_onnx_input(model, 0), none = wg_onnx_input(model, 1);
    assert_int_equal(wg_onnx_input_count(model), 1);
    assert_int_equal(wg_onnx_opset(model), 17);
    assert_string_equal(ids.name, "ids");
    assert_string_equal(ids.type, "int64");
    CHECK(ids.dtype == WG_I32 && ids.rank == 2 && ids.size[0] == -1 && !ids.known_while_recording);
    assert_string_equal(ids.symbol[0], "batch");
    assert_string_equal(ids.symbol[1], "time");
    CHECK(none.name == NULL && none.rank == -1);
    const wg_onnx_value y = wg_onnx_output(model, 0);
    assert_string_equal(y.name, "y");
    CHECK(y.dtype == WG_F32 && y.rank == 3 && y.size[2] == -1 && y.symbol[2] == NULL);
    /* Scalars and numbers that shapes are made of are constants, matrices are parameters. */
    wg_params *set = wg_onnx_params(model);
    CHECK(wg_param_find(set, "wq") && wg_param_find(set, "table") && wg_param_find(set, "positions"));
    CHECK(!wg_param_find(set, "root2") && !wg_param_find(set, "two") && !wg_param_find(set, "wanted.y"));
    wg_onnx_free(model);

    model = open_named("conv", WG_F32);
    set = wg_onnx_params(model);
    CHECK(wg_param_is_buffer(wg_param_find(set, "mean")) && !wg_param_is_buffer(wg_param_find(set, "scale")));
    wg_onnx_free(model);

    model = open_named("widened", WG_F32);
    set = wg_onnx_params(model);
    CHECK(wg_param_find(set, "w2") && !wg_param_find(set, "bytes") && !wg_param_find(set, "scales"));
    CHECK(wg_param_is_buffer(wg_param_find(set, "table")));
    wg_onnx_free(model);
}

/* Weights inside of branches and of Constants; integers that a Mul scales, by numbers that are used again. */
static void weights_in_branches(void)
{
    wg_onnx_options options = wg_onnx_defaults();
    for (int i = 0; i < 2; i++) {
        options.train_constants = i == 1;
        wg_onnx *model = open_with("branches", options);
        wg_params *set = wg_onnx_params(model);
        const wg_param *one = wg_param_find(set, "w"), *other = wg_param_find(set, "w#2");
        assert_true(one && other && !wg_param_find(set, "w#3"));
        CHECK(wg_param_is_buffer(one) == !options.train_constants);
        CHECK(wg_param_is_buffer(other) == !options.train_constants);
        const wg_param *widened = wg_param_find(set, "w2");
        CHECK(widened && !wg_param_is_buffer(widened) && wg_param_numel(widened) == 8);
        CHECK(wg_param_find(set, "scale") && !wg_param_find(set, "bytes") && !wg_param_find(set, "wide"));
        assert_int_equal(wg_params_count(set), 4);
        wg_onnx_free(model);
    }
}

static bool is_listed(const char *name)
{
    size_t i = 0;
    while (wg_onnx_operator(i) && strcmp(wg_onnx_operator(i), name) != 0) i++;
    return wg_onnx_operator(i) != NULL;
}

/* The names in backticks of the page's table are operators; returns how many. */
static size_t names_in_table(char *page)
{
    size_t n = 0;
    char *at = strstr(page, "## Operators"), *end = strstr(page, "## What is refused");
    assert_true(at && end);
    for (char *line = strtok(at, "\n"); line && line < end; line = strtok(NULL, "\n")) {
        if (line[0] != '|') continue;
        for (char *name = strchr(line, '`'); name; name = strchr(name, '`')) {
            char *stop = strchr(name + 1, '`');
            assert_non_null(stop);
            *stop = 0;
            const bool is_operator =
                (name[1] >= 'A' && name[1] <= 'Z') || strchr(name, '.'); /* attributes are in lower case */
            if (is_operator && !is_listed(name + 1)) FAIL("docs/onnx.md: there is no operator %s", name + 1);
            n += is_operator;
            name = stop + 1;
        }
    }
    return n;
}

/* Every operator's row can be asked for, once, and is in the documentation. */
static void operators(void)
{
    static char page[1 << 16];
    const size_t size = read_all(PAGE, page, sizeof page - 1);
    assert_true(size > 0 && size < sizeof page - 1);
    size_t n = 0;
    while (wg_onnx_operator(n)) n++;
    CHECK(n > 130 && wg_onnx_operator(n + 1) == NULL);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(wg_onnx_operator(i), wg_onnx_operator(k)) == 0) FAIL("%s twice", wg_onnx_operator(i));
    for (size_t i = 0; i < n; i++) {
        char quoted[64];
        snprintf(quoted, sizeof quoted, "`%s`", wg_onnx_operator(i));
        if (!strstr(page, quoted)) FAIL("docs/onnx.md does not list %s", wg_onnx_operator(i));
    }
    CHECK(names_in_table(page) == n);
}

/* ---- training ---- */

/* head: on the model's output, or NULL. */
static void train(wg_onnx *model, const wg_linear_layer *head, wg_tape *tape, wg_optimizer *optimizer, int steps,
                  double *loss)
{
    const int32_t labels[] = {2, 0, 1};
    for (int i = 0; i < steps; i++) {
        wg_tensor y;
        record(model, tape, &y);
        if (head) y = wg_log_softmax(wg_linear_apply(head, y), -1);
        const wg_tensor now = wg_nll(y, wg_data(tape, WG_I32, WG_DIMS(3), labels), WG_MEAN);
        wg_zero_grad(wg_onnx_params(model));
        CHECK(wg_backward(now) == WG_OK);
        *loss = wg_item(now);
        CHECK(wg_optimizer_step(optimizer) == WG_OK);
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
}

/* A model is trained further, saved as a checkpoint, and loaded into another one of the same file; with a head, whose
 * parameters are in the model's set, or without. */
static void train_and_load(bool with_head)
{
    wg_onnx *model = open_named("mlp", WG_F32), *other = open_named("mlp", WG_F32);
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_adam_options options = wg_adam_defaults();
    options.lr = 0.05;
    wg_optimizer *optimizer = wg_adam_new(wg_onnx_params(model), options);
    double first, last, same;
    wg_linear_layer heads[2], *head = with_head ? &heads[0] : NULL, *other_head = with_head ? &heads[1] : NULL;
    for (int i = 0; with_head && i < 2; i++)
        CHECK(wg_linear_init(&heads[i], wg_onnx_params(i ? other : model), "head", 3, 3, wg_linear_defaults()) ==
              WG_OK);
    train(model, head, tape, optimizer, 1, &first);
    train(model, head, tape, optimizer, 100, &last);
    if (!(last < first / (with_head ? 2 : 4))) FAIL("from %g to %g", first, last);

    char path[] = "/tmp/test_onnx_XXXXXX";
    wg_error error = {0};
    close(mkstemp(path));
    wg_checkpoint from = {.params = wg_onnx_params(model)}, to = {.params = wg_onnx_params(other)};
    CHECK(wg_checkpoint_save(path, &from, &error) == WG_OK);
    wg_safetensors *file = wg_safetensors_open(path, &error);
    CHECK(wg_checkpoint_load(file, &to, NULL, NULL, &error) == WG_OK);
    wg_safetensors_close(file);
    unlink(path);
    wg_optimizer *second = wg_adam_new(wg_onnx_params(other), options);
    train(model, head, tape, optimizer, 1, &last);
    train(other, other_head, tape, second, 1, &same);
    CHECK(last == same);

    wg_optimizer_free(second);
    wg_optimizer_free(optimizer);
    wg_tape_free(tape);
    wg_onnx_free(other);
    wg_onnx_free(model);
}

static void training(void)
{
    train_and_load(false);
    train_and_load(true);
}

/* ---- wrong inputs ---- */

static void expect_apply(wg_onnx *model, wg_tape *tape, const wg_tensor *x, int n, const char *text)
{
    wg_tensor y = WG_NONE;
    CHECK(wg_onnx_apply(model, tape, x, n, &y, 1) != WG_OK);
    CHECK(wg_is_nil(y));
    if (!strstr(wg_tape_message(tape), text)) FAIL("'%s', not '%s'", wg_tape_message(tape), text);
    (void)wg_tape_reset(tape);
}

static void wrong_inputs(void)
{
    wg_onnx *model = open_named("mlp", WG_F32);
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_tensor x = wg_zeros(tape, WG_F32, WG_DIMS(2, 5));
    expect_apply(model, tape, &x, 1, "input 'x' is [2, 5]");
    x = wg_zeros(tape, WG_F32, WG_DIMS(4));
    expect_apply(model, tape, &x, 1, "input 'x' is [4]");
    x = wg_zeros(tape, WG_F64, WG_DIMS(2, 4));
    expect_apply(model, tape, &x, 1, "input 'x' is f64; the model's is float, for f32");
    x = WG_NONE;
    expect_apply(model, tape, &x, 1, "input 'x' was never set");
    expect_apply(model, tape, &x, 0, "not as many inputs");
    expect_apply(model, tape, NULL, 1, "NULL");
    expect_apply(NULL, tape, &x, 1, "the model is NULL");
    CHECK(wg_onnx_apply(model, NULL, &x, 1, &x, 1) == WG_ERR_ARGUMENT);
    wg_tape_free(tape);
    wg_onnx_free(model);
}

/* ---- files that change, pipes ---- */

/* Copies a file of MODELS to the folder; writes its path there. */
static void copy_to(const char *folder, const char *name, char path[512])
{
    static unsigned char bytes[1 << 14];
    snprintf(path, 512, "%s/%s", MODELS, name);
    const size_t size = read_all(path, bytes, sizeof bytes);
    snprintf(path, 512, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_true(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

/* A model is as it was when it was opened. */
static void cut_while_open(void)
{
    char folder[] = "/tmp/onnx-XXXXXX", path[2][512];
    wg_error error = {0};
    wg_tensor y[MOST];
    assert_non_null(mkdtemp(folder));
    copy_to(folder, "external.bin", path[0]);
    copy_to(folder, "external.onnx", path[1]);
    wg_onnx *model = wg_onnx_open(path[1], &error);
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    assert_non_null(model);
    for (int i = 0; i < 2; i++) assert_int_equal(truncate(path[i], 0), 0);
    assert_int_equal(record(model, tape, y), WG_OK);
    for (size_t k = 0; k < wg_onnx_output_count(model); k++) compare(model, "external", k, y[k]);
    wg_tape_free(tape);
    wg_onnx_free(model);
    for (int i = 0; i < 2; i++) unlink(path[i]);
    rmdir(folder);
}

static void pipe_without_writer(void)
{
    char folder[] = "/tmp/onnx-XXXXXX", path[64];
    wg_error error = {0};
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/fifo", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_null(wg_onnx_open(path, &error));
    CHECK(error.status == WG_ERR_IO && strstr(error.text, "is a pipe that nobody writes to"));
    unlink(path);
    rmdir(folder);
}

/* ---- truncated and damaged files ---- */

/* Each beginning of each model is refused with a reason, or is one of its own (fields at the end are optional). */
static void truncated(void)
{
    for (int i = 0; i < N_NAMES; i++) {
        static unsigned char bytes[1 << 14];
        char path[512];
        snprintf(path, sizeof path, "%s/%s.onnx", MODELS, names[i]);
        const size_t size = read_all(path, bytes, sizeof bytes);
        assert_true(size > 100 && size < sizeof bytes);
        for (size_t n = 0; n < size; n += 1 + n / 64) {
            wg_error error = {0};
            wg_onnx *model = wg_onnx_open(as_model(bytes, n), &error);
            CHECK(!model && error.status == WG_ERR_FORMAT && *error.text && !strchr(error.text, '\n'));
            wg_onnx_free(model);
        }
    }
}

/* ---- failing allocations ---- */

static long requests, fail_at;

static void *counted(void *context, size_t size)
{
    return requests++ == fail_at ? NULL : aligned_alloc(64, (size + 63) & ~(size_t)63);
}
static void released(void *context, void *memory, size_t size) { free(memory); }

/* Opens, records and runs with the allocation number fail_at failing: an error that says so, or none was that late. */
static bool run_with_failure(const char *path)
{
    wg_error error = {0};
    wg_onnx_options options = wg_onnx_defaults();
    options.allocator = (wg_allocator){counted, released, NULL};
    requests = 0;
    wg_onnx *model = wg_onnx_open_with(path, options, &error);
    if (!model) {
        CHECK(error.status == WG_ERR_MEMORY && *error.text);
        return false;
    }
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_tensor y[MOST];
    const wg_status status = record(model, tape, y);
    CHECK(status == WG_OK || status == WG_ERR_MEMORY);
    if (status == WG_OK) CHECK(wg_eval(y, 1) == WG_OK);
    wg_tape_free(tape);
    wg_onnx_free(model);
    return status == WG_OK && requests <= fail_at;
}

static void failing_allocations(void)
{
    for (int i = 0; i < N_NAMES; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s.onnx", MODELS, names[i]);
        for (fail_at = 0; fail_at < 1000 && !run_with_failure(path); fail_at++) {}
        CHECK(fail_at > 3 && fail_at < 1000);
    }
}

int main(int argc, char **argv)
{
    const test tests[] = {TEST_CASE(values),
                          TEST_CASE(gradients),
                          TEST_CASE(description),
                          TEST_CASE(weights_in_branches),
                          TEST_CASE(operators),
                          TEST_CASE(training),
                          TEST_CASE(wrong_inputs),
                          TEST_CASE(cut_while_open),
                          TEST_CASE(pipe_without_writer),
                          TEST_CASE(truncated),
                          TEST_CASE(failing_allocations)};
    return RUN_TESTS(tests);
}
