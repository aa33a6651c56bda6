/* Programs written as ONNX models: read back by wg_onnx_open they compute the same, at any batch size; faults of memory
 * and disk. tests/onnx_out.py runs the same models by onnxruntime. */
#include "onnx_programs.h"
#include "onnx_refusal.h"

#include <sys/resource.h>
#include <signal.h>

/* ---- written and read back ---- */

/* Writes a program, at the batch sizes 2 and 3 if its sizes are not fixed. */
static void write_program(const program *p, wg_tape *tape, const char *path)
{
    wg_tensor x[2][PROGRAM_MOST], y[2][PROGRAM_MOST];
    wg_onnx_named in[PROGRAM_MOST], out[PROGRAM_MOST];
    wg_error error = {0};
    p->record(tape, 2, x[0], y[0]);
    p->record(tape, 3, x[1], y[1]);
    name_tensors(in, input_names, x[0], x[1], p->n_in);
    name_tensors(out, output_names, y[0], y[1], p->n_out);
    if (wg_onnx_write(path, in, p->n_in, out, p->n_out, &error) != WG_OK) fail_msg("%s: %s", p->name, error.text);
    CHECK(wg_tape_reset(tape) == WG_OK);
}

static void compare(const program *p, int k, int64_t batch, wg_tensor want, wg_tensor got)
{
    const wg_shape a = wg_shape_get(want), b = wg_shape_get(got);
    const size_t size = wg_dtype_size(wg_dtype_get(want));
    const void *x = wg_value(want), *y = wg_value(got);
    if (!x || !y || !wg_shape_equal(&a, &b) || wg_dtype_get(want) != wg_dtype_get(got)) {
        FAIL("%s: y%d has another shape or dtype", p->name, k);
        return;
    }
    for (size_t i = 0; i < (size_t)wg_numel(want); i++) {
        if (memcmp((const char *)x + i * size, (const char *)y + i * size, size) == 0) continue;
        if (wg_dtype_get(want) == WG_F32 && isnan(((const float *)x)[i]) && isnan(((const float *)y)[i])) continue;
        if (p->near && fabsf(((const float *)x)[i] - ((const float *)y)[i]) <= 2e-6F) continue;
        FAIL("%s: batch %lld, y%d[%zu] has other bits", p->name, (long long)batch, k, i);
        return;
    }
}

static void compare_at(const program *p, wg_onnx *model, wg_tape *tape, int64_t batch)
{
    wg_tensor x[PROGRAM_MOST], want[PROGRAM_MOST], got[PROGRAM_MOST];
    p->record(tape, batch, x, want);
    if (wg_onnx_apply(model, tape, x, p->n_in, got, p->n_out) != WG_OK)
        fail_msg("%s: %s", p->name, wg_tape_message(tape));
    for (int k = 0; k < p->n_out; k++) compare(p, k, batch, want[k], got[k]);
    if (wg_tape_reset(tape) != WG_OK) fail_msg("%s: %s", p->name, wg_tape_message(tape));
}

/* Parameters come back under their names, with their numbers; buffers are buffers. */
static void compare_params(const program *p, const wg_params *set, const wg_params *read)
{
    for (size_t i = 0; i < wg_params_count(set); i++) {
        const wg_param *a = wg_params_at(set, i), *b = wg_param_find(read, wg_param_name(a));
        if (wg_param_is_buffer(a)) continue;
        if (!b || wg_param_is_buffer(b) || wg_param_numel(a) != wg_param_numel(b) ||
            memcmp(wg_param_value(a), wg_param_value(b), (size_t)wg_param_numel(a) * sizeof(float)) != 0)
            FAIL("%s: parameter %s is not the same", p->name, wg_param_name(a));
    }
    CHECK(wg_params_trainable(read) == wg_params_trainable(set));
}

static void round_trip(void)
{
    for (const program *p = programs; p->name; p++) {
        if (!check_wants(p->name)) continue;
        wg_params *set = wg_params_new(WG_F32);
        wg_tape *tape = eval_tape();
        wg_error error = {0};
        p->init(set);
        write_program(p, tape, in_folder("model.onnx"));
        wg_onnx *model = wg_onnx_open(in_folder("model.onnx"), &error);
        if (!model) fail_msg("%s: %s", p->name, error.text);
        assert_int_equal(wg_onnx_input_count(model), p->n_in);
        assert_int_equal(wg_onnx_output_count(model), p->n_out);
        CHECK(wg_onnx_opset(model) == 20);
        for (int i = 0; i < p->n_in; i++) {
            const wg_onnx_value v = wg_onnx_input(model, (size_t)i);
            CHECK(strcmp(v.name, input_names[i]) == 0 && v.size[0] == -1 && v.symbol[0] && *v.symbol[0] == 'N');
        }
        for (int64_t batch = 2; batch < 6; batch++) compare_at(p, model, tape, batch);
        compare_params(p, set, wg_onnx_params(model));
        wg_onnx_free(model);
        wg_tape_free(tape);
        wg_params_free(set);
    }
}

/* Fixed sizes; an output that is an input, one that is a parameter, and one that is named twice; a tied parameter. */
static void fixed_sizes(void)
{
    wg_params *set = wg_params_new(WG_F64);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(2, 2), wg_init_constant(3));
    wg_param_tie(set, "also_w", w);
    wg_tape *tape = eval_tape();
    wg_error error = {0};
    const double numbers[] = {1, 2, 3, 4};
    const wg_tensor x = wg_data(tape, WG_F64, WG_DIMS(2, 2), numbers), unused = wg_scalar(tape, WG_I32, 1);
    const wg_tensor empty = wg_reshape(wg_data(tape, WG_F64, WG_DIMS(2, 0), numbers), WG_DIMS(0, 3));
    const wg_tensor y = wg_matmul(wg_use(tape, w), wg_matmul(x, wg_use(tape, wg_param_find(set, "also_w"))));
    const wg_onnx_named in[] = {{.name = "x", .tensor = x}, {.name = "unused", .tensor = unused}};
    const wg_onnx_named out[] = {{.name = "same", .tensor = x},
                                 {.name = "weight", .tensor = wg_use(tape, w)},
                                 {.name = "y", .tensor = y},
                                 {.name = "y again", .tensor = y},
                                 {.name = "none", .tensor = empty}};
    if (wg_onnx_write(in_folder("fixed.onnx"), in, 2, out, 5, &error) != WG_OK) fail_msg("%s", error.text);
    wg_onnx_options options = wg_onnx_defaults();
    options.dtype = WG_F64;
    wg_onnx *model = wg_onnx_open_with(in_folder("fixed.onnx"), options, &error);
    if (!model) fail_msg("%s", error.text);
    wg_tensor given[] = {x, unused}, got[5];
    CHECK(wg_onnx_apply(model, tape, given, 2, got, 5) == WG_OK);
    CHECK(wg_onnx_input(model, 0).size[0] == 2 && wg_params_trainable(wg_onnx_params(model)) == 4);
    const double *values = wg_value(got[2]), *again = wg_value(got[3]), *same = wg_value(got[0]);
    for (int i = 0; i < 4; i++) CHECK(values[i] == 90 && again[i] == 90 && same[i] == numbers[i]);
    CHECK(((const double *)wg_value(got[1]))[3] == 3);
    CHECK(wg_size(got[4], 0) == 0 && wg_size(got[4], 1) == 3);
    wg_onnx_free(model);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* Doubles inside of a graph of floats, which magnify what they are off by: they are computed by the tape, in f64. */
static void doubles_inside(void)
{
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_error error = {0};
    const float number = 0;
    const wg_tensor x = wg_data(tape, WG_F32, WG_DIMS(1), &number);
    const wg_tensor far = wg_scale(wg_exp(wg_arange(tape, WG_F64, 1, 0.37, 40)), 0x1p45);
    wg_tensor y = wg_add(wg_cast(wg_sin(far), WG_F32), x), got;
    const wg_onnx_named in = {.name = "x", .tensor = x}, out = {.name = "y", .tensor = y};
    if (wg_onnx_write(in_folder("doubles.onnx"), &in, 1, &out, 1, &error) != WG_OK) fail_msg("%s", error.text);
    wg_onnx *model = wg_onnx_open(in_folder("doubles.onnx"), &error);
    if (!model) fail_msg("%s", error.text);
    CHECK(wg_onnx_apply(model, tape, &x, 1, &got, 1) == WG_OK && wg_dtype_get(got) == WG_F32);
    const void *want = wg_value(y), *same = wg_value(got);
    CHECK(want && same && memcmp(want, same, 40 * sizeof(float)) == 0);
    wg_onnx_free(model);
    wg_tape_free(tape);
}

/* ---- faults ---- */

static bool fails;
static void *maybe(void *context, size_t size)
{
    return fails ? NULL : aligned_alloc(64, (size + 63) & ~(size_t)63);
}
static void released(void *context, void *memory, size_t size) { free(memory); }

/* A fault is an error and the old file stays, or the whole new one is there. */
static wg_status write_with_fault(const wg_onnx_named *in, const wg_onnx_named *out, long call, long allocation)
{
    put_file(in_folder("faulty.onnx"), "old", 3);
    wg_error error = {0};
    fault_begin(call, allocation, false);
    const wg_status status = wg_onnx_write(in_folder("faulty.onnx"), in, 1, out, 1, &error);
    fault_end();
    size_t got;
    char *now = get_file(in_folder("faulty.onnx"), &got);
    CHECK(status == error.status && (status == WG_OK) == (*error.text == 0));
    wg_onnx *model = wg_onnx_open(in_folder("faulty.onnx"), &error);
    CHECK(model || (status != WG_OK && got == 3 && memcmp(now, "old", 3) == 0));
    CHECK(count_files() == 1);
    wg_onnx_free(model);
    free(now);
    return status;
}

static void faults(void)
{
    wg_tape_options options = wg_tape_defaults();
    options.allocator = (wg_allocator){maybe, released, NULL};
    wg_tape *tape = wg_tape_new(options);
    wg_params *set = wg_params_new(WG_F32);
    wg_tensor x[2], y[2];
    wg_set_training(tape, false);
    programs[0].init(set);
    programs[0].record(tape, 2, &x[0], &y[0]);
    programs[0].record(tape, 3, &x[1], &y[1]);
    const wg_onnx_named in = {"x", x[0], x[1]}, out = {"y", y[0], y[1]};
    empty_folder();
    long errors = 0, allocations = 0;
    while (write_with_fault(&in, &out, 0, allocations + 1) == WG_ERR_MEMORY) allocations++;
    CHECK(allocations > 8);
    for (long call = 1; call <= 20; call++) {
        const wg_status status = write_with_fault(&in, &out, call, 0);
        CHECK(status == WG_OK || status == WG_ERR_IO);
        errors += status != WG_OK;
    }
    CHECK(errors > 3 && errors < 20);
    fails = true;
    expect(WG_ERR_MEMORY, in_folder("faulty.onnx"), &in, 1, &out, 1, "out of memory");
    fails = false;
    wg_tape_free(tape);
    wg_params_free(set);
}

/* A disk that is full, by a limit of the file's size. */
static void disk_full(void)
{
    wg_tape *tape = eval_tape();
    const wg_tensor x = rows(tape, 2);
    const wg_onnx_named in = {.name = "x", .tensor = x}, out = {.name = "y", .tensor = wg_exp(x)};
    struct rlimit before, small;
    void (*const old)(int) = signal(SIGXFSZ, SIG_IGN);
    empty_folder();
    getrlimit(RLIMIT_FSIZE, &before);
    small = before;
    small.rlim_cur = 100;
    setrlimit(RLIMIT_FSIZE, &small);
    expect(WG_ERR_IO, in_folder("full.onnx"), &in, 1, &out, 1, "full.onnx");
    setrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, old);
    CHECK(count_files() == 0);
    wg_tape_free(tape);
}

int main(int argc, char **argv)
{
    make_folder();
    const test tests[] = {TEST_CASE(round_trip), TEST_CASE(fixed_sizes), TEST_CASE(doubles_inside),
                          TEST_CASE(faults), TEST_CASE(disk_full)};
    const int failures = RUN_TESTS(tests);
    remove_folder();
    return failures;
}
