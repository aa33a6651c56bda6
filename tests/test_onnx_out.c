/* Programs written as ONNX models: read back by wg_onnx_open they compute the same, at any batch size; what cannot be
 * written is refused; arguments, faults of memory and disk. tests/onnx_out.py runs the same models by onnxruntime. */
#include "onnx_programs.h"
#include "test_io.h"

#include <sys/resource.h>
#include <signal.h>

/* ---- written and read back ---- */

static wg_tape *eval_tape(void)
{
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_set_training(tape, false);
    return tape;
}

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

/* ---- what is refused ---- */

typedef struct refusal {
    const char *name;
    void (*record)(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y);
    const char *text;
    bool another; /* the program of another batch size is given, too */
} refusal;

static wg_tensor rows(wg_tape *tape, int64_t batch)
{
    static const float numbers[60] = {1, 2, 3};
    return wg_data(tape, WG_F32, WG_DIMS(batch, 4), numbers);
}

static wg_status own_infer(wg_infer *c) { return c->out = c->in[0], WG_OK; }
static void own_kernel(const wg_args *a, int64_t task) { memset(a->out.data, 0, (size_t)a->out.numel * 4); }
static wg_kernel own_select(const wg_op *op, const wg_dtype *in, int n, wg_dtype out) { return own_kernel; }
static const wg_op own = {.struct_size = sizeof(wg_op),
                          .name = "relu",
                          .min_in = 1,
                          .max_in = 1,
                          .infer = own_infer,
                          .select = own_select};

static void an_own_op(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, batch);
    wg_scope_begin(tape, "mine");
    *y = wg_record(&own, x, 1, NULL, 0);
    wg_scope_end(tape);
}

static void dropout(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    wg_set_training(tape, true);
    *x = rows(tape, batch);
    *y = wg_dropout(*x, 0.5);
}

static void loss(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    static const int32_t labels[8] = {0};
    *x = rows(tape, batch);
    *y = wg_cross_entropy(*x, wg_data(tape, WG_I32, WG_DIMS(batch), labels));
}

static void mean_of_batch(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, batch);
    *y = wg_mean(*x, WG_AXES(0), false);
}

static void data_of_batch(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, batch);
    *y = wg_add(*x, rows(tape, batch));
}

static void number_of_batch(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, batch);
    *y = wg_mul(*x, wg_scalar(tape, WG_F32, 1.0 / (double)batch));
}

static void one_more(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, batch);
    *y = wg_pad(*x, 0, 0, 1);
}

static void first_half(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, batch);
    *y = wg_slice(wg_concat((wg_tensor[]){*x, *x}, 2, 0), 0, 0, batch);
}

static void another_op(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, batch);
    *y = batch == 2 ? wg_exp(*x) : wg_tanh(*x);
}

static void two_operands(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, batch);
    const wg_tensor a = wg_exp(*x), b = batch == 2 ? a : wg_exp(*x);
    *y = wg_mul(a, b);
}

static void another_pool(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    wg_pool_options o = wg_pool_square(2);
    o.kernel[0] = batch == 2 ? 1 : 2;
    o.floor = true;
    *x = rows(tape, batch);
    *y = wg_max_pool1d(wg_reshape(*x, WG_DIMS(batch, 1, 4)), o);
}

static void an_operation(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = wg_exp(rows(tape, batch));
    *y = wg_tanh(*x);
}

static void range_of_batch(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, batch);
    *y = wg_mul(*x, wg_reshape(wg_arange(tape, WG_F32, 0, 1, batch), WG_DIMS(batch, 1)));
}

static void largest_by_index(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, batch);
    *y = wg_scatter_reduce(*x, 1, wg_cast(*x, WG_I32), *x, WG_SCATTER_MAX, true);
}

static void written_over_batch(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, batch);
    *y = wg_index_copy(wg_zeros(tape, WG_F32, WG_DIMS(3, 4)), 0, wg_cast(wg_select(*x, 1, 0), WG_I32), *x);
}

static void slice_of_batch(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, batch);
    *y = wg_update_slice(*x, 0, wg_scalar(tape, WG_I32, 0), *x);
}

/* Sizes that an op needs as numbers, while the result's is the same or a multiple. */

static wg_tensor line(wg_tape *tape, int64_t batch, wg_tensor *x) /* [1, 1, 4 batch] */
{
    *x = rows(tape, batch);
    return wg_reshape(*x, WG_DIMS(1, 1, 4 * batch));
}

static void slice_of_a_batch_size(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, batch);
    *y = wg_update_slice(wg_zeros(tape, WG_F32, WG_DIMS(10, 4)), 0, wg_scalar(tape, WG_I32, 3), *x);
}

static void padded_to_ten(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, batch);
    *y = wg_pad(*x, 0, 0, 10 - batch);
}

static void image_of_batch(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    static const float taps[10] = {1, 2};
    wg_conv_options o = wg_conv_defaults();
    o.after[0] = 20 - 4 * batch;
    *y = wg_conv1d(line(tape, batch, x), wg_data(tape, WG_F32, WG_DIMS(1, 1, 10), taps), WG_NONE, o);
}

static void taps_of_batch(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    static const float image[4] = {1, 2, 3, 4};
    wg_conv_options o = wg_conv_defaults();
    o.stride[0] = 9;
    o.extra[0] = 4 * (3 - batch);
    *y = wg_conv_transpose1d(wg_data(tape, WG_F32, WG_DIMS(1, 1, 4), image), line(tape, batch, x), WG_NONE, o);
}

static void pool_of_batch(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    wg_pool_options o = wg_pool_square(16);
    o.ceil = true;
    *y = wg_max_pool1d(line(tape, batch, x), o);
}

static void last_of_two(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, batch);
    *y = wg_slice(wg_concat((wg_tensor[]){*x, *x}, 2, 0), 0, 2, 2 + batch);
}

static void attend_over(wg_tensor q, wg_tensor k, wg_tensor *y)
{
    wg_attention_options o = wg_attention_defaults();
    o.causal = true;
    *y = wg_attention(q, k, k, o);
}

static void causal_keys(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, batch);
    attend_over(wg_ones(tape, WG_F32, WG_DIMS(5, 4)), *x, y);
}

static void causal_queries(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, batch);
    attend_over(*x, wg_ones(tape, WG_F32, WG_DIMS(5, 4)), y);
}

static void another_axis(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    static const int32_t index[4] = {0, 2, 2, 1};
    const wg_tensor square = wg_ones(tape, WG_F32, WG_DIMS(4, 4));
    *x = rows(tape, batch);
    *y = wg_matmul(*x, wg_index_add(square, batch == 2, wg_data(tape, WG_I32, WG_DIMS(4), index), square));
}

static void gamma_function(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, batch);
    *y = wg_lgamma(*x);
}

static void same_batch(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, 2);
    *y = wg_exp(*x);
}

static void an_error(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y)
{
    *x = rows(tape, batch);
    *y = wg_matmul(*x, *x);
}

static const refusal refusals[] = {
    {"an op of the caller", an_own_op, "relu [mine]: has no form in ONNX; it is an op of yours", false},
    {"dropout", dropout, "dropout_mask: has no form in ONNX; record the program in eval mode", false},
    {"loss", loss, "has no form in ONNX; name what the loss is computed from", false},
    {"mean of the batch", mean_of_batch, "a constant depends on the batch size: 2 and 3", true},
    {"data of the batch", data_of_batch, "data that is no input, and differs", true},
    {"number of the batch", number_of_batch, "data that is no input, and differs", true},
    {"one more", one_more, "pad: [3, 4], and in the second recording [4, 4]: sizes that differ must be mult", true},
    {"first half", first_half, "slice: the part ends where the batch size says", true},
    {"another op", another_op, "exp: the second recording has tanh here", true},
    {"two operands", two_operands, "mul: an operand is one tensor, but two in the second recording", true},
    {"another pool", another_pool, "gather: the second recording pools in another way", true},
    {"range", range_of_batch, "arange: its attributes depend on the batch size", true},
    {"largest by index", largest_by_index, "a maximum or minimum by index has no form in ONNX", false},
    {"written over the batch", written_over_batch, "scatter_arg: a size that must be fixed depends", true},
    {"slice of the batch", slice_of_batch, "update_slice: a size that must be fixed depends on the batch", true},
    {"slice of a batch size", slice_of_a_batch_size, "update_slice: a size that must be fixed depends on", true},
    {"padded to ten", padded_to_ten, "pad: a size that must be fixed depends on the batch size: 2 and 3", true},
    {"image of the batch", image_of_batch, "pad_image: a size that must be fixed depends on the batch", true},
    {"taps of the batch", taps_of_batch, "conv_input: a size that must be fixed depends on the batch size", true},
    {"pool of the batch", pool_of_batch, "gather: a size that must be fixed depends on the batch size", true},
    {"last of two", last_of_two, "slice: the part ends where the batch size says", true},
    {"causal keys", causal_keys, "attention: a size that must be fixed depends on the batch size: 2 and 3", true},
    {"causal queries", causal_queries, "attention: a size that must be fixed depends on the batch size", true},
    {"another axis", another_axis, "index_add: its attributes depend on the batch size", true},
    {"gamma", gamma_function, "lgamma: has no form in ONNX; write it in other ops", false},
    {"the same batch", same_batch, "no input has another, positive batch size", true},
    {"an operation", an_operation, "input 'x' is not made by wg_data, wg_borrow or wg_scalar", false},
    {"an error", an_error, "output 'y' is nil: matmul: [2, 4] x [2, 4]: inner sizes 4 and 2 differ", false},
};

static void expect(wg_status status, const char *path, const wg_onnx_named *in, int n_in, const wg_onnx_named *out,
                   int n_out, const char *text)
{
    wg_error error = {0};
    const wg_status got = wg_onnx_write(path, in, n_in, out, n_out, &error);
    CHECK(got != WG_OK && got == error.status && (status == WG_OK || got == status));
    if (!strstr(error.text, text) || strchr(error.text, '\n')) FAIL("'%s', not '%s'", error.text, text);
}

static void refused(void)
{
    empty_folder();
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const refusal *r = &refusals[i];
        wg_tape *tape = eval_tape();
        wg_tensor x[2] = {0}, y[2] = {0};
        r->record(tape, 2, &x[0], &y[0]);
        if (r->another) r->record(tape, 3, &x[1], &y[1]);
        const wg_onnx_named in = {"x", x[0], x[1]}, out = {"y", y[0], y[1]};
        expect(WG_OK, in_folder("refused.onnx"), &in, 1, &out, 1, r->text);
        wg_tape_free(tape);
    }
    CHECK(count_files() == 0);
}

static void wrong_arguments(void)
{
    wg_tape *tape = eval_tape(), *other = eval_tape();
    const char *path = in_folder("wrong.onnx");
    const wg_tensor x = rows(tape, 2), y = wg_exp(x), foreign = wg_exp(rows(other, 2));
    const wg_onnx_named in = {.name = "x", .tensor = x}, out = {.name = "y", .tensor = y};
    const wg_onnx_named twice[] = {in, in}, same[] = {in, {.name = "z", .tensor = x}};
    const wg_onnx_named nameless = {.tensor = y}, empty = {.name = "", .tensor = y},
                        slash = {.name = "/y", .tensor = y};
    const wg_onnx_named bytes = {.name = "\xff", .tensor = y}, none = {.name = "y"},
                        as_input = {.name = "x", .tensor = y};
    const wg_onnx_named elsewhere = {.name = "y", .tensor = foreign},
                        half = {.name = "y", .tensor = y, .another = foreign};
    expect(WG_ERR_ARGUMENT, NULL, &in, 1, &out, 1, "NULL");
    expect(WG_ERR_ARGUMENT, path, NULL, 1, &out, 1, "NULL");
    expect(WG_ERR_ARGUMENT, path, &in, 1, NULL, 1, "NULL");
    expect(WG_ERR_ARGUMENT, path, &in, 1, &out, 0, "at least one output");
    expect(WG_ERR_ARGUMENT, path, &in, -1, &out, 1, "-1 inputs");
    expect(WG_ERR_ARGUMENT, path, twice, 2, &out, 1, "two have the name 'x'");
    expect(WG_ERR_ARGUMENT, path, same, 2, &out, 1, "inputs 'x' and 'z' are one tensor");
    expect(WG_ERR_ARGUMENT, path, &in, 1, &nameless, 1, "a name must be UTF-8");
    expect(WG_ERR_ARGUMENT, path, &in, 1, &empty, 1, "a name must be UTF-8");
    expect(WG_ERR_ARGUMENT, path, &in, 1, &slash, 1, "the first not '/'");
    expect(WG_ERR_ARGUMENT, path, &in, 1, &bytes, 1, "a name must be UTF-8");
    expect(WG_ERR_ARGUMENT, path, &in, 1, &none, 1, "output 'y' was never set");
    expect(WG_ERR_ARGUMENT, path, &in, 1, &as_input, 1, "input and output have the name 'x'");
    expect(WG_ERR_ARGUMENT, path, &in, 1, &elsewhere, 1, "input 'x' is on another tape");
    expect(WG_ERR_ARGUMENT, path, &in, 1, &half, 1, "input 'x' was never set");
    expect(WG_ERR_IO, "/nowhere/wrong.onnx", &in, 1, &out, 1, "/nowhere");
    CHECK(wg_onnx_write(path, &in, 1, &elsewhere, 1, NULL) == WG_ERR_ARGUMENT);

    wg_params *set = wg_params_new(WG_F32);
    const wg_tensor w = wg_use(tape, wg_param_new(set, "x", WG_DIMS(4), wg_init_zeros()));
    const wg_onnx_named clash = {.name = "y", .tensor = wg_add(x, w)};
    expect(WG_ERR_ARGUMENT, path, &in, 1, &clash, 1, "an input or output has the name of this parameter");
    CHECK(wg_tape_reset(tape) == WG_OK);
    expect(WG_ERR_STALE, path, &in, 1, &out, 1, "before the last wg_tape_reset");
    wg_tape_free(other);
    wg_tape_free(tape);
    wg_params_free(set);
}

/* Inputs are compared with those of the second recording, also those that no output depends on. */
static void other_inputs(void)
{
    wg_tape *tape = eval_tape();
    const char *path = in_folder("inputs.onnx");
    static const int32_t numbers[12] = {0};
    wg_error error = {0};
    const wg_tensor a = rows(tape, 2), b = rows(tape, 2), a3 = rows(tape, 3), b3 = rows(tape, 3);
    const wg_onnx_named out = {"y", wg_sub(a, b), wg_sub(a3, b3)};
    const wg_onnx_named swapped[] = {{"a", a, b3}, {"b", b, a3}};
    wg_onnx_named in[] = {{"a", a, a3}, {"b", b, b3}, {"c", rows(tape, 2), WG_NONE}};
    empty_folder();
    expect(WG_ERR_SHAPE, path, swapped, 2, &out, 1, "sub: an operand is one tensor, but two in the second record");
    in[2].another = wg_data(tape, WG_F32, WG_DIMS(12), numbers);
    expect(WG_ERR_SHAPE, path, in, 3, &out, 1, "c: [2, 4], and in the second recording [12]: sizes that");
    in[2].another = wg_data(tape, WG_I32, WG_DIMS(3, 4), numbers);
    expect(WG_ERR_SHAPE, path, in, 3, &out, 1, "c: f32, and in the second recording i32");
    in[2].another = rows(tape, 3);
    CHECK(wg_onnx_write(path, in, 3, &out, 1, &error) == WG_OK && count_files() == 1);
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
    const test tests[] = {TEST_CASE(round_trip), TEST_CASE(fixed_sizes),     TEST_CASE(doubles_inside),
                          TEST_CASE(refused),    TEST_CASE(wrong_arguments), TEST_CASE(other_inputs),
                          TEST_CASE(faults),     TEST_CASE(disk_full)};
    const int failures = RUN_TESTS(tests);
    remove_folder();
    return failures;
}
