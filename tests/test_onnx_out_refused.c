/* What wg_onnx_write refuses: programs that ONNX cannot express, or that depend on the batch size; arguments. */
#include "onnx_refusal.h"

typedef struct refusal {
    const char *name;
    void (*record)(wg_tape *tape, int64_t batch, wg_tensor *x, wg_tensor *y);
    const char *text;
    bool another; /* the program of another batch size is given, too */
} refusal;

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

int main(int argc, char **argv)
{
    make_folder();
    const test tests[] = {TEST_CASE(refused), TEST_CASE(wrong_arguments), TEST_CASE(other_inputs)};
    const int failures = RUN_TESTS(tests);
    remove_folder();
    return failures;
}
