/* Models of one node, a row of a table each: results that were computed by hand, and operands that an operator must
 * refuse while it is recorded. (The ONNX project's own node tests, by onnx_nodes.py, need Python.) */
#include <math.h>

#include "../io/proto.h"
#include "../onnx/internal.h"
#include "check.h"
#include "test_onnx.h"
#include "wengert.h"

/* attributes: "axis=1 pads=[1 2] mode='edge' alpha:0.5 scales:[1 2] activations=(Tanh Relu)", in which : stands before
 * floats.
 * operands: "f[2 3]" is an input of floats, whose elements are 1, 2, ...; "i[2]", "u[2]", "b[2]" of int64, uint8, bool; with
 * "{...}" behind it, it is an initializer with these numbers, which are known while recording if they are integers; "-"
 * is omitted. want: "[2] 3 4.5", the first result, or the text of an error. */
typedef struct row {
    const char *op;
    int opset;
    const char *attributes, *operands, *want;
    int results; /* 0: one */
} row;

enum { MOST = 8, MOST_NUMBERS = 64 };

static void put_text(wg__bytes *b, int field, const char *text, size_t n) { wg__proto_bytes(b, field, text, n); }

/* Appends the message as a field, and frees it. */
static void put(wg__bytes *b, int field, wg__bytes *message)
{
    wg__proto_bytes(b, field, message->data, message->size);
    wg__bytes_fini(message);
}

/* Reads numbers up to a bracket; returns what follows it. */
static const char *read_numbers(const char *text, double *out, int *n)
{
    char *end;
    for (*n = 0; *text != ']' && *text != '}'; text = end) {
        out[(*n)++] = strtod(text, &end);
        assert_true(end > text && *n < MOST_NUMBERS);
        while (*end == ' ') end++;
    }
    return text + 1;
}

/* One attribute; returns what follows it. */
static const char *put_attribute(wg__bytes *node, const char *text)
{
    wg__bytes a = {0};
    double number[MOST_NUMBERS];
    int n = 1;
    const size_t name = strcspn(text, "=:");
    const bool floats = text[name] == ':', list = text[name + 1] == '[';
    put_text(&a, 1, text, name);
    text += name + 1;
    if (*text == '\'') {
        const size_t length = strcspn(++text, "'");
        put_text(&a, 4, text, length);
        wg__proto_integer(&a, 20, WG__ATTR_TEXT);
        text += length + 1;
    } else if (*text == '(') {
        for (text++; *text != ')'; text += strspn(text, " ")) {
            const size_t length = strcspn(text, " )");
            put_text(&a, 9, text, length);
            text += length;
        }
        wg__proto_integer(&a, 20, 8); /* AttributeProto.STRINGS */
        text++;
    } else {
        char *end = NULL;
        if (list)
            text = read_numbers(text + 1, number, &n);
        else
            number[0] = strtod(text, &end);
        for (int i = 0; i < n; i++)
            if (floats)
                wg__proto_float(&a, list ? 7 : 2, (float)number[i]);
            else
                wg__proto_integer(&a, list ? 8 : 3, (uint64_t)(int64_t)number[i]);
        wg__proto_integer(&a, 20,
                          list     ? (floats ? WG__ATTR_FLOATS : WG__ATTR_INTS)
                          : floats ? WG__ATTR_FLOAT
                                   : WG__ATTR_INT);
        if (end) text = end;
    }
    put(node, 5, &a);
    return text + strspn(text, " ");
}

/* The data of a tensor. */
static void put_numbers(wg__bytes *tensor, int type, const double *number, int n)
{
    float real[MOST_NUMBERS];
    int64_t integer[MOST_NUMBERS];
    uint8_t byte[MOST_NUMBERS];
    for (int i = 0; i < n; i++) {
        real[i] = (float)number[i];
        integer[i] = (int64_t)number[i];
        byte[i] = (uint8_t)number[i];
    }
    const size_t count = (size_t)n;
    if (type == WG__FLOAT)
        wg__proto_bytes(tensor, 9, real, count * sizeof *real);
    else if (type == WG__INT64)
        wg__proto_bytes(tensor, 9, integer, count * sizeof *integer);
    else
        wg__proto_bytes(tensor, 9, byte, count);
}

/* An input or output of the graph: field 11 or 12. */
static void put_value(wg__bytes *graph, int field, int type, const char *name)
{
    wg__bytes tensor = {0}, kind = {0}, value = {0};
    wg__proto_integer(&tensor, 1, (uint64_t)type);
    put(&kind, 1, &tensor);
    put_text(&value, 1, name, strlen(name));
    put(&value, 2, &kind);
    put(graph, field, &value);
}

/* An operand of the graph as one of the inputs, whose shape is noted, or as an initializer; returns what follows it. */
static const char *put_operand(wg__bytes *graph, wg__bytes *node, const char *text, int k, wg_onnx_value *inputs,
                               int *n_inputs)
{
    double size[MOST_NUMBERS], number[MOST_NUMBERS];
    char name[16];
    int rank, n;
    if (*text == '-') {
        put_text(node, 1, "", 0);
        return text + 1 + strspn(text + 1, " ");
    }
    const int type = *text == 'f' ? WG__FLOAT : *text == 'i' ? WG__INT64 : *text == 'u' ? WG__UINT8 : WG__BOOLEAN;
    snprintf(name, sizeof name, "x%d", k);
    put_text(node, 1, name, strlen(name));
    assert_true(text[1] == '[');
    text = read_numbers(text + 2, size, &rank);
    if (*text == '{') {
        wg__bytes t = {0};
        text = read_numbers(text + 1, number, &n);
        for (int i = 0; i < rank; i++) wg__proto_integer(&t, 1, (uint64_t)size[i]);
        wg__proto_integer(&t, 2, (uint64_t)type);
        put_text(&t, 8, name, strlen(name));
        put_numbers(&t, type, number, n);
        put(graph, 5, &t);
    } else {
        put_value(graph, 11, type, name);
        wg_onnx_value *in = &inputs[(*n_inputs)++];
        *in = (wg_onnx_value){.rank = rank};
        in->dtype = type == WG__FLOAT ? WG_F32 : type == WG__BOOLEAN ? WG_BOOL : WG_I32;
        for (int i = 0; i < rank; i++) in->size[i] = (int64_t)size[i];
    }
    return text + strspn(text, " ");
}

static wg__bytes compose(const row *r, wg_onnx_value *inputs, int *n_inputs)
{
    wg__bytes graph = {0}, node = {0}, model = {0}, set = {0};
    int k = 0;
    *n_inputs = 0;
    for (const char *at = r->operands; *at;) at = put_operand(&graph, &node, at, k++, inputs, n_inputs);
    for (int i = 0; i < (r->results ? r->results : 1); i++) {
        char name[16];
        snprintf(name, sizeof name, "y%d", i);
        put_text(&node, 2, name, strlen(name));
        put_value(&graph, 12, WG__FLOAT, name);
    }
    put_text(&node, 4, r->op, strlen(r->op));
    for (const char *at = r->attributes; *at;) at = put_attribute(&node, at);
    put(&graph, 1, &node);
    wg__proto_integer(&model, 1, 8);
    put(&model, 7, &graph);
    wg__proto_integer(&set, 2, (uint64_t)r->opset);
    put(&model, 8, &set);
    return model;
}

static wg_tensor input_of(wg_tape *tape, const wg_onnx_value *v)
{
    wg_shape shape = {.rank = v->rank};
    memcpy(shape.size, v->size, (size_t)v->rank * sizeof *shape.size);
    int64_t n;
    assert_true(wg_shape_numel(&shape, &n));
    return wg_cast(wg_reshape(wg_arange(tape, v->dtype == WG_F32 ? WG_F32 : WG_I32, 1, 1, n), shape), v->dtype);
}

static double element(const void *value, wg_dtype dtype, int64_t i)
{
    return dtype == WG_F32   ? (double)((const float *)value)[i]
           : dtype == WG_I32 ? (double)((const int32_t *)value)[i]
                             : (double)((const uint8_t *)value)[i];
}

static void compare(const row *r, wg_tensor y)
{
    double size[MOST_NUMBERS];
    int rank;
    char *end;
    const char *text = read_numbers(r->want + 1, size, &rank);
    const wg_shape shape = wg_shape_get(y);
    const void *value = wg_value(y);
    bool same = value && shape.rank == rank;
    for (int i = 0; same && i < rank; i++) same = (double)shape.size[i] == size[i];
    char got[128];
    if (!same) {
        FAIL("%s %s: the result is %s, not %s", r->op, r->operands, wg_shape_text(&shape, got, sizeof got),
             r->want);
        return;
    }
    for (int64_t i = 0; i < wg_numel(y); i++, text = end) {
        const double want = strtod(text, &end), here = element(value, wg_dtype_get(y), i);
        assert_true(end > text);
        if (!(fabs(here - want) <= 1e-5 * (1 + fabs(want))) && here != want && !(isnan(here) && isnan(want)))
            FAIL("%s %s: element %lld is %g, not %g", r->op, r->operands, (long long)i, here, want);
    }
}

static void run_row(const row *r)
{
    wg_onnx_value inputs[MOST];
    int n;
    wg_error error = {0};
    wg__bytes bytes = compose(r, inputs, &n);
    wg_onnx *model = wg_onnx_open(as_model(bytes.data, bytes.size), &error);
    wg__bytes_fini(&bytes);
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_tensor x[MOST], y[MOST];
    wg_status status = error.status;
    if (model) {
        for (int k = 0; k < n; k++) x[k] = input_of(tape, &inputs[k]);
        status = wg_onnx_apply(model, tape, x, n, y, r->results ? r->results : 1);
        if (status != WG_OK) wg_error_set(&error, status, "%s", wg_tape_message(tape));
    }
    if (status == WG_OK && *r->want == '[')
        compare(r, y[0]);
    else if (status == WG_OK || !*r->want || !strstr(error.text, r->want))
        FAIL("%s %s %s: '%s', not '%s'", r->op, r->attributes, r->operands, error.text, r->want);
    wg_tape_free(tape);
    wg_onnx_free(model);
}
#define RUN(rows)                                                                                                  \
    for (size_t i = 0; i < sizeof(rows) / sizeof *(rows); i++) run_row(&(rows)[i])

/* ---- operands that do not fit ---- */

static void mistakes(void)
{
    static const row rows[] = {
        {"Add", 17, "", "i[2]{1 2} i[3]{1 2 3}", "the operands do not broadcast"},
        {"Add", 6, "broadcast=1 axis=5", "f[2 3] f[3]", "axis 5 is not one of 2"},
        {"Attention", 23, "q_num_heads=3 kv_num_heads=3", "f[1 2 4] f[1 2 4] f[1 2 4]", "4 elements for 3 heads"},
        {"Attention", 23, "", "f[2 4] f[2 4] f[2 4]", "queries and keys are not [B, heads, T, d]"},
        {"Attention", 23, "", "f[1 3 2 4] f[1 2 2 4] f[1 2 2 4]", "queries and keys are not [B, heads, T, d]"},
        {"RotaryEmbedding", 23, "rotary_embedding_dim=3", "f[1 1 2 4] f[1 2 2] f[1 2 2]", "3 of 4 elements"},
        {"RotaryEmbedding", 23, "rotary_embedding_dim=8", "f[1 1 2 4] f[1 2 2] f[1 2 2]", "8 of 4 elements"},
        {"Gather", 13, "", "i[2]{5 6} i[1]{2}", "index"},
        {"Gather", 13, "", "i[2]{5 6} i[1]{-3}", "index"},
        {"Gather", 13, "axis=2", "f[2 2] i[1]", "axis 2 is not one of 2"},
        {"GatherElements", 13, "axis=1", "f[2 2] i[2]", "indices of 1 axes for 2"},
        {"GatherElements", 13, "axis=-3", "f[2 2] i[2 2]", "axis -3"},
        {"GatherND", 13, "batch_dims=3", "f[2 2] i[2 2]", "indices do not fit an operand of 2 axes"},
        {"GatherND", 13, "", "f[2 2] i[2 3]", "indices do not fit an operand of 2 axes"},
        {"ScatterElements", 18, "axis=2", "f[2 2] i[2 2] f[2 2]", "axis 2"},
        {"ScatterElements", 18, "", "f[2 2] i[2] f[2]", "indices of 1 axes for 2"},
        {"ScatterND", 18, "", "f[2 2] i[2 3] f[2]", "indices do not fit an operand of 2 axes"},
        {"TopK", 11, "axis=1", "f[4] i[1]{2}", "axis 1"},
        {"TopK", 11, "", "f[4] i[1]{-1}", "k"},
        {"ReverseSequence", 10, "", "f[4] i[4]", "time_axis and batch_axis are not 0 and 1"},
        {"ReverseSequence", 10, "time_axis=1 batch_axis=1", "f[2 2] i[2]",
         "time_axis and batch_axis are not 0 and 1"},
        {"Concat", 13, "axis=3", "f[2 2] f[2 2]", "axis 3"},
        {"Split", 13, "", "f[4] i[3]{1 1 2}", "operand 1 has 3 elements, more than 2", 2},
        {"Split", 13, "", "f[4] i[1]{4}", "1 sizes for 2 parts", 2},
        {"Split", 13, "", "f[4] i[2]{3 3}", "the parts have more elements than axis 0", 2},
        {"Split", 13, "", "f[4] i[2]{-1 3}", "the parts have more elements than axis 0", 2},
        {"Tile", 13, "", "f[2 2] i[1]{2}", "repeats do not fit the operand"},
        {"Tile", 13, "", "f[2] i[1]{-1}", "repeats do not fit the operand"},
        {"Pad", 13, "", "f[4] i[3]{1 1 1}", "3 pads for 1 axes"},
        {"Pad", 13, "", "f[4] i[2]{-3 -3}", "axis 0 is cut by more than its size 4"},
        {"Where", 13, "", "b[2]{1 0} i[3]{1 2 3} i[2]{1 2}", "broadcast"},
        {"SoftmaxCrossEntropyLoss", 13, "", "f[3] i[3]", "the operand is not [N, classes, ...]"},
        {"ConstantOfShape", 13, "", "i[2]{-1 2}", "[-1, 2]: size -1 of axis 0 is negative"},
        {"Range", 13, "", "i[]{0} i[]{10} i[]{0}", "from 0 to 10 in steps of 0"},
        {"Range", 13, "", "f[]{0} f[]{1} f[]{0}", "from 0 to 1 in steps of 0"},
        {"EyeLike", 13, "", "f[2]", "the operand has 1 axes, not 2"},
        {"EyeLike", 13, "dtype=8", "f[2 2]", "its dtype is none of numbers"},
        {"OneHot", 13, "", "i[2] i[]{0} f[2]", "depth 0"},
        {"OneHot", 13, "axis=4", "i[2] i[]{3} f[2]", "axis 4"},
        {"Einsum", 13, "equation='...ij,jk'", "f[2] f[2 2]", "does not fit the operands"},
        {"Einsum", 13, "equation='ij->k'", "f[2 2]", "k"},
        {"DynamicQuantizeLinear", 13, "", "i[2]", "[2]: operand 1 is i32: must be f32 or f64 (see wg_cast)"},
        {"QuantizeLinear", 13, "", "f[2] f[]{1} f[]{0}", "to float; integers of 8 and 16 bits are known"},
        {"GroupNormalization", 21, "num_groups=3", "f[1 4 2] f[4] f[4]", "4 channels, 3 groups"},
        {"LRN", 13, "size=0", "f[1 4 2]", "size 0"},
        {"LRN", 13, "size=3", "f[4]", "size 3"},
        {"BatchNormalization", 6, "", "f[1 2] f[2] f[2] f[2] f[2]", "is_test = 0"},
        {"BatchNormalization", 7, "spatial=0", "f[1 2] f[2] f[2] f[2] f[2]", "spatial = 0"},
        {"LayerNormalization", 17, "axis=4", "f[2 2] f[2]", "axis 4"},
        {"MeanVarianceNormalization", 13, "axes=[7]", "f[2 2]", "axis 7"},
        {"CumSum", 14, "", "f[2] i[]{4}", "axis 4"},
        {"CumSum", 14, "", "f[2] i[]{400}", "axis 100"},
        {"Softmax", 13, "axis=2", "f[2 2]", "axis 2"},
        {"ReduceSum", 13, "", "f[2 2] i[1]{3}", "axis 3"},
        {"LpNormalization", 13, "axis=5", "f[2 2]", "axis 5"},
        {"Reshape", 13, "", "f[4] i[2]{-2 2}", "size 0 of the shape is -2"},
        {"Reshape", 13, "", "f[4] i[2]{-1 -1}", "size 1 of the shape is -1"},
        {"Reshape", 13, "", "f[4] i[1]{3}", "[4]: 4 elements cannot be [3], which has 3"},
        {"Reshape", 13, "", "f[4] i[9]{1 1 1 1 1 1 1 1 4}", "more than 8"},
        {"Flatten", 13, "axis=4", "f[2 2]", "axis 4 is not one of 2"},
        {"Squeeze", 13, "", "f[2 1] i[1]{0}", "axis 0 has size 2, not 1"},
        {"Unsqueeze", 13, "", "f[2] i[2]{0 0}", "axis 0 twice"},
        {"Unsqueeze", 13, "", "f[1 1 1 1 1 1 1 1] i[1]{0}", "there are no axes, or the result has more than 8"},
        {"Unsqueeze", 13, "", "f[2] i[1]{7}", "axis 7"},
        {"Transpose", 13, "perm=[0 0]", "f[2 2]", "perm does not have every axis once"},
        {"Transpose", 13, "perm=[0 4]", "f[2 2]", "axis 4 is not one of 2"},
        {"Expand", 13, "", "f[2] i[1]{3}", "the operand does not broadcast to the shape"},
        {"Slice", 13, "", "f[4] i[1]{0} i[2]{1 2}", "starts, ends, axes and steps have different lengths"},
        {"Slice", 13, "", "f[4] i[1]{0} i[1]{1} i[2]{0 0}", "starts, ends, axes and steps have different lengths"},
        {"Slice", 13, "", "f[4] i[1]{0} i[1]{1} i[1]{0} i[2]{1 1}", "have different lengths"},
        {"Slice", 13, "", "f[4] i[2]{0 0} i[2]{1 1}", "have different lengths"},
        {"Slice", 13, "", "f[4] i[1]{0} i[1]{1} i[1]{0} i[1]{0}", "a step of 0"},
        {"Slice", 13, "", "f[4] i[1]{0} i[1]{1} i[1]{3}", "axis 3"},
        {"SpaceToDepth", 13, "blocksize=2", "f[2 2]", "the operand has 2 axes, not 4"},
        {"DepthToSpace", 13, "blocksize=0", "f[1 4 2 2]", "the operand has 4 axes, not 4, or blocksize is 0"},
        {"SpaceToDepth", 13, "blocksize=2", "f[1 1 2 3]", "blocks of 2 x 2 do not divide the height and width"},
        {"DepthToSpace", 13, "blocksize=3", "f[1 4 2 2]", "blocks of 3 x 3 do not divide the "},
        {"SpaceToDepth", 13, "blocksize=3", "f[1 4 2 2]", "blocks of 3 x 3 do not divide the "},
        {"Resize", 13, "", "f[1 1 2 2] - f[2]{1 1}", "scales or sizes are not one number for each"},
        {"Resize", 13, "", "f[1 1 2 2] - f[4]{1 1 0 1}", "scales or sizes are not one number for each"},
        {"Resize", 13, "", "f[1 1 2 2] - - i[4]{1 1 -2 2}", "scales or sizes are not one number for each"},
        {"Resize", 18, "axes=[9]", "f[1 1 2 2] - f[1]{2}", "axis 9"},
        {"Resize", 13, "coordinate_transformation_mode='tf_crop_and_resize'", "f[2] f[1]{0} f[1]{1}",
         "scales or sizes"},
        {"Conv", 13, "", "f[1 2] f[1 2]", "1 to 3 spatial axes are known; the operand has 2 axes"},
        {"Conv", 13, "pads=[1 1 1]", "f[1 1 4] f[1 1 3]",
         "pads are not two numbers, 0 or more, for each of 1 axes"},
        {"Conv", 13, "strides=[0]", "f[1 1 4] f[1 1 3]",
         "strides are not one number, 1 or more, for each of 1 axes"},
        {"Conv", 13, "pads=[-1 0]", "f[1 1 4] f[1 1 3]", "pads are not two numbers, 0 or more, for each of 1 axes"},
        {"Conv", 13, "dilations=[1 1]", "f[1 1 4] f[1 1 3]",
         "dilations are not one number, 1 or more, for each of 1 axes"},
        {"MaxPool", 13, "", "f[1 1 4]", "kernel_shape are not one number, 1 or more, for each of 1 axes"},
        {"MaxPool", 13, "kernel_shape=[2 2]", "f[1 1 4]",
         "kernel_shape are not one number, 1 or more, for each of 1 axes"},
        {"AveragePool", 13, "kernel_shape=[0]", "f[1 1 4]",
         "kernel_shape are not one number, 1 or more, for each of 1 axes"},
        {"LpPool", 18, "kernel_shape=[2] ceil_mode=1", "f[1 1 4]", "ceil_mode: pad the operand instead"},
        {"LpPool", 18, "", "f[1 1 4]", "kernel_shape are not one number, 1 or more, for each of 1 axes"},
        {"RNN", 14, "hidden_size=2", "f[3 1 2] f[2 2 2] f[1 2 2]",
         "X, W and R are not [T, B, in], [1, gates H, in], [1, gates H, H]"},
        {"RNN", 14, "hidden_size=2", "f[3 2] f[1 2 2] f[1 2 2]",
         "X, W and R are not [T, B, in], [1, gates H, in], [1, gates H, H]"},
        {"LSTM", 14, "hidden_size=2", "f[3 1 2] f[1 8 2] f[1 6 2]", "3 steps, or W and R do not have 4 gates of 2"},
        {"LSTM", 14, "hidden_size=2 input_forget=1", "f[3 1 2] f[1 8 2] f[1 8 2]", "input_forget = 1"},
        {"Clip", 13, "", "f[4] f[2]{1 2}",
         "[4], [2]: cannot be broadcast: aligned at the right, sizes must be equal or 1"},
        {"Mod", 13, "", "f[2] i[2]", "[2], [2]: f32 and i32 differ; there is no promotion, use wg_cast"},
        {"Loop", 13, "", "i[]{3} b[]{1}", "it has no body"},
        {"If", 13, "", "b[]{1}", "a branch is missing"},
    };
    RUN(rows);
}

/* ---- numbers that are known while recording ---- */

static void known(void)
{
    static const row rows[] = {
        {"Abs", 13, "", "f[]{-2}", "[] 2"},
        {"Neg", 13, "", "i[2]{3 -4}", "[2] -3 4"},
        {"Ceil", 13, "", "f[]{1.25}", "[] 2"},
        {"Floor", 13, "", "f[]{-1.25}", "[] -2"},
        {"Round", 13, "", "f[]{2.5}", "[] 2"},
        {"Sign", 13, "", "f[]{-7}", "[] -1"},
        {"Exp", 13, "", "f[]{1}", "[] 2.7182818"},
        {"Log", 13, "", "f[]{2.7182818}", "[] 1"},
        {"Sqrt", 13, "", "f[]{2.25}", "[] 1.5"},
        {"Reciprocal", 13, "", "f[]{4}", "[] 0.25"},
        {"Sin", 13, "", "f[]{1}", "[] 0.8414710"},
        {"Cos", 13, "", "f[]{1}", "[] 0.5403023"},
        {"Tanh", 13, "", "f[]{1}", "[] 0.7615942"},
        {"Sigmoid", 13, "", "f[]{1}", "[] 0.7310586"},
        {"Relu", 13, "", "f[]{-3}", "[] 0"},
        {"Relu", 13, "", "f[]{3}", "[] 3"},
        {"Add", 13, "", "i[2]{1 2} i[]{3}", "[2] 4 5"},
        {"Sub", 13, "", "i[2]{1 2} i[2]{3 3}", "[2] -2 -1"},
        {"Mul", 13, "", "i[2 1]{1 2} i[2]{3 4}", "[2 2] 3 4 6 8"},
        {"Div", 13, "", "i[2]{7 -7} i[]{2}", "[2] 3 -3"},
        {"Pow", 13, "", "i[2]{2 3} i[]{3}", "[2] 8 27"},
        {"Mod", 13, "", "i[2]{7 -7} i[]{4}", "[2] 3 1"},
        {"Mod", 13, "fmod=1", "i[2]{7 -7} i[]{4}", "[2] 3 -3"},
        {"Max", 13, "", "i[2]{1 5} i[]{3}", "[2] 3 5"},
        {"Min", 13, "", "i[2]{1 5} i[]{3}", "[2] 1 3"},
        {"Max", 13, "", "i[2]{1 5} i[]{3} i[]{4}", "[2] 4 5"},
        {"Equal", 13, "", "i[2]{1 3} i[]{3}", "[2] 0 1"},
        {"Less", 13, "", "i[3]{1 3 4} i[]{3}", "[3] 1 0 0"},
        {"LessOrEqual", 16, "", "i[3]{1 3 4} i[]{3}", "[3] 1 1 0"},
        {"Greater", 13, "", "i[3]{1 3 4} i[]{3}", "[3] 0 0 1"},
        {"GreaterOrEqual", 16, "", "i[3]{1 3 4} i[]{3}", "[3] 0 1 1"},
        {"And", 13, "", "b[2]{1 0} b[]{1}", "[2] 1 0"},
        {"Or", 13, "", "b[2]{1 0} b[]{0}", "[2] 1 0"},
        {"Xor", 13, "", "b[2]{1 0} b[]{1}", "[2] 0 1"},
        {"Not", 13, "", "b[2]{1 0}", "[2] 0 1"},
        {"Where", 13, "", "b[2]{1 0} i[2]{1 2} i[]{9}", "[2] 1 9"},
        {"Cast", 13, "to=7", "f[]{-2.75}", "[] -2"},
        {"Cast", 13, "to=9", "i[2]{0 5}", "[2] 0 1"},
        {"Cast", 13, "to=3", "i[2]{300 -129}", "[2] 44 127"},
        {"Cast", 13, "to=2", "i[2]{-1 256}", "[2] 255 0"},
        {"Cast", 13, "to=1", "i[2]{3 4}", "[2] 3 4"},
        {"CastLike", 15, "", "f[]{2.5} i[1]{0}", "[] 2"},
        {"ReduceSum", 13, "keepdims=0", "i[3]{1 2 4} i[1]{0}", "[] 7"},
        {"ReduceSum", 13, "", "i[3]{1 2 4}", "[1] 7"},
        {"ReduceProd", 13, "keepdims=0", "i[3]{2 3 4}", "[] 24"},
        {"ReduceMax", 13, "axes=[0]", "i[3]{2 9 4}", "[1] 9"},
        {"ReduceMin", 13, "axes=[-1] keepdims=0", "i[3]{2 9 4}", "[] 2"},
        {"ReduceMean", 13, "", "f[3]{1 2 6}", "[1] 3"},
        {"Gather", 13, "", "i[3]{5 6 7} i[2]{-1 0}", "[2] 7 5"},
        {"Gather", 13, "axis=1", "i[2 2]{1 2 3 4} i[]{1}", "[2] 2 4"},
        {"Concat", 13, "axis=0", "i[2]{1 2} i[1]{3} i[0]{}", "[3] 1 2 3"},
        {"Split", 13, "", "i[3]{1 2 3} i[2]{2 1}", "[2] 1 2", 2},
        {"Split", 18, "num_outputs=2", "i[3]{1 2 3}", "[2] 1 2", 2},
        {"Tile", 13, "", "i[2]{1 2} i[1]{2}", "[4] 1 2 1 2"},
        {"Slice", 13, "", "i[4]{1 2 3 4} i[1]{-1} i[1]{-9223372036854775808} i[1]{0} i[1]{-2}", "[2] 4 2"},
        {"Slice", 13, "", "i[4]{1 2 3 4} i[1]{3} i[1]{-99} i[1]{0} i[1]{-9223372036854775808}", "[1] 4"},
        {"Slice", 9, "starts=[1] ends=[99]", "i[4]{1 2 3 4}", "[3] 2 3 4"},
        {"Transpose", 13, "", "i[2 2]{1 2 3 4}", "[2 2] 1 3 2 4"},
        {"Reshape", 13, "", "i[4]{1 2 3 4} i[2]{2 -1}", "[2 2] 1 2 3 4"},
        {"Flatten", 13, "axis=-1", "i[2 2]{1 2 3 4}", "[2 2] 1 2 3 4"},
        {"Squeeze", 13, "", "i[1 2]{1 2}", "[2] 1 2"},
        {"Unsqueeze", 13, "", "i[2]{1 2} i[1]{0}", "[1 2] 1 2"},
        {"Expand", 13, "", "i[2 1]{1 2} i[2]{1 2}", "[2 2] 1 1 2 2"},
        {"Identity", 13, "", "i[2]{1 2}", "[2] 1 2"},
        {"Shape", 15, "start=1 end=-1", "f[2 3 4]", "[1] 3"},
        {"Shape", 15, "start=-9 end=9", "f[2 3]", "[2] 2 3"},
        {"Size", 13, "", "f[2 3]", "[] 6"},
        {"Range", 13, "", "i[]{2} i[]{9} i[]{3}", "[3] 2 5 8"},
        {"Range", 13, "", "i[]{2} i[]{9} i[]{-3}", "[0]"},
        {"NonZero", 13, "", "i[4]{0 5 0 7}", "[1 2] 1 3"},
        {"ConstantOfShape", 13, "", "i[2]{2 1}", "[2 1] 0 0"},
        {"Constant", 13, "value_int=7", "", "[] 7"},
        {"Constant", 13, "value_ints=[7 8]", "", "[2] 7 8"},
        {"Constant", 13, "value_float:0.5", "", "[] 0.5"},
        {"Constant", 13, "value_floats:[0.5 2]", "", "[2] 0.5 2"},
    };
    RUN(rows);
}

/* ---- forms of older opsets, and what is rare ---- */

static void computed(void)
{
    static const row rows[] = {
        {"Add", 6, "broadcast=1 axis=0", "f[2 2] f[2]", "[2 2] 2 3 5 6"},
        {"Add", 6, "broadcast=1", "f[2 2] f[2]", "[2 2] 2 4 4 6"},
        {"Pow", 13, "", "i[2] i[]{2}", "[2] 1 4"},
        {"Pow", 13, "", "f[2] f[2]", "[2] 1 4"},
        {"Div", 13, "", "i[4] i[]{2}", "[4] 0 1 1 2"},
        {"Mod", 13, "fmod=1", "f[4] f[]{2.5}", "[4] 1 2 0.5 1.5"},
        {"Mean", 13, "", "f[2] f[2] f[2]", "[2] 1 2"},
        {"Clip", 6, "min:2 max:3", "f[4]", "[4] 2 2 3 3"},
        {"Clip", 13, "", "f[4] f[]{2} f[]{3}", "[4] 2 2 3 3"},
        {"Clip", 13, "", "f[4] - f[]{3}", "[4] 1 2 3 3"},
        {"Clip", 13, "", "f[4] f[]{3} f[]{2}", "[4] 2 2 2 2"},
        {"Clip", 13, "", "i[4] i[]{2} i[]{3}", "[4] 2 2 3 3"},
        {"Cast", 13, "to=6", "f[3]", "[3] 1 2 3"},
        {"Cast", 13, "to=3", "i[1]", "[1] 1"},
        {"Cast", 13, "to=9", "f[2]", "[2] 1 1"},
        {"MatMul", 13, "", "i[2 2] i[2 2]", "[2 2] 7 10 15 22"},
        {"Gemm", 6, "broadcast=1 alpha:2 beta:0.5 transB=1", "f[1 2] f[2 2] f[2]", "[1 2] 10.5 23"},
        {"Einsum", 13, "equation='ij,jk'", "f[2 2] f[2 2]", "[2 2] 7 10 15 22"},
        {"Einsum", 13, "equation='...i,...i->...'", "f[2 2] f[2 2]", "[2] 5 25"},
        {"Einsum", 13, "equation='ji'", "f[2 2]", "[2 2] 1 3 2 4"},
        {"GatherElements", 13, "axis=0", "f[2 2] i[1 2]{1 0}", "[1 2] 3 2"},
        {"GatherElements", 13, "axis=0", "f[2 2] i[2 1]{-1 0}", "[2 1] 3 1"},
        {"GatherND", 13, "batch_dims=1", "f[2 2] i[2 1]{1 0}", "[2] 2 3"},
        {"ScatterND", 18, "reduction='add'", "i[3] i[1 1]{1} i[1]", "[3] 1 3 3"},
        {"ScatterND", 18, "", "f[3] i[2 1]{2 0} f[2]", "[3] 2 2 1"},
        {"ScatterElements", 18, "axis=1", "i[1 3] i[1 2]{2 0} i[1 2]", "[1 3] 2 2 1"},
        {"ScatterElements", 18, "reduction='add'", "f[3] i[2]{0 0} f[2]", "[3] 4 2 3"},
        {"Scatter", 9, "", "f[3] i[1]{1} f[1]", "[3] 1 1 3"},
        {"TopK", 9, "k=2", "f[4]", "[2] 4 3", 2},
        {"TopK", 11, "largest=0", "f[4] i[1]{2}", "[2] 1 2", 2},
        {"ReverseSequence", 10, "time_axis=0 batch_axis=1", "f[2 2] i[2]{1 2}", "[2 2] 1 4 3 2"},
        {"ReverseSequence", 10, "time_axis=1 batch_axis=0", "f[2 2] i[2]{1 2}", "[2 2] 1 2 4 3"},
        {"Slice", 13, "", "f[4] i[1]{3} i[1]{0} i[1]{0} i[1]{-2}", "[2] 4 2"},
        {"Slice", 13, "", "f[4] i[1]{0} i[1]{4} i[1]{0} i[1]{1}", "[4] 1 2 3 4"},
        {"Slice", 13, "", "f[0 2] i[1]{0} i[1]{-5} i[1]{0} i[1]{-1}", "[0 2]"},
        {"Tile", 13, "", "f[2] i[1]{0}", "[0]"},
        {"Pad", 13, "", "f[4] i[2]{-1 1}", "[4] 2 3 4 0"},
        {"Pad", 6, "pads=[1 0] value:9", "f[2]", "[3] 9 1 2"},
        {"Reshape", 13, "", "f[2 2] i[2]{0 -1}", "[2 2] 1 2 3 4"},
        {"Reshape", 14, "allowzero=1", "f[0 2] i[2]{0 3}", "[0 3]"},
        {"Trilu", 14, "", "f[2 2] i[]{5000000000}", "[2 2] 0 0 0 0"},
        {"Trilu", 14, "", "f[2 2] i[]{-5000000000}", "[2 2] 1 2 3 4"},
        {"Trilu", 14, "upper=0", "f[2 2]", "[2 2] 1 0 3 4"},
        {"EyeLike", 13, "dtype=7 k=1", "f[2 2]", "[2 2] 0 1 0 0"},
        {"OneHot", 13, "", "i[2] i[]{3} f[2]{0 1}", "[2 3] 0 1 0 0 0 1"},
        {"OneHot", 13, "axis=0", "i[1] i[]{2} f[2]{5 6}", "[2 1] 5 6"},
        {"Softmax", 11, "axis=1", "f[1 2 2]", "[1 2 2] 0.0320586 0.0871443 0.2368828 0.6439143"},
        {"Softmax", 11, "axis=0", "f[2]", "[2] 0.2689414 0.7310586"},
        {"LpNormalization", 13, "p=1", "f[2]", "[2] 0.3333333 0.6666667"},
        {"GlobalMaxPool", 13, "", "f[1 1 3]", "[1 1 1] 3"},
        {"AveragePool", 13, "auto_pad='SAME_LOWER' kernel_shape=[2]", "f[1 1 2]", "[1 1 2] 1 1.5"},
        {"AveragePool", 13, "auto_pad='VALID' kernel_shape=[2]", "f[1 1 2]", "[1 1 1] 1.5"},
        {"LpPool", 18, "kernel_shape=[2] p=1", "f[1 1 2]", "[1 1 1] 3"},
        {"BatchNormalization", 6, "is_test=1", "f[1 2] f[2] f[2] f[2] f[2]", "[1 2] 1 2"},
        {"GroupNormalization", 18, "num_groups=1", "f[1 2 1] f[1] f[1]", "[1 2 1] 0.0000200 1.9999800"},
        {"LayerNormalization", 17, "", "f[2] f[2] f[2]", "[2] 0.0000200 3.9999600"},
        {"Resize", 10, "mode='nearest'", "f[1 1 1 2] f[4]{1 1 1 2}", "[1 1 1 4] 1 1 2 2"},
        {"Upsample", 7, "scales:[1 1 1 2]", "f[1 1 1 2]", "[1 1 1 4] 1 1 2 2"},
        {"Upsample", 9, "", "i[1 1 1 2] f[4]{1 1 1 2}", "[1 1 1 4] 1 1 2 2"},
        {"Resize", 18, "axes=[1]", "i[1 2] - - i[1]{4}", "[1 4] 1 1 2 2"},
        {"Resize", 13, "mode='linear' coordinate_transformation_mode='align_corners'", "f[1 3] - - i[2]{1 1}",
         "[1 1] 1"},
        {"Resize", 13, "mode='linear' coordinate_transformation_mode='align_corners'", "f[1 2] - - i[2]{1 3}",
         "[1 3] 1 1.5 2"},
        {"Resize", 13, "", "f[1 2] - - i[2]{1 2}", "[1 2] 1 2"},
        {"DequantizeLinear", 13, "", "u[2] f[]{0.5} u[]{1}", "[2] 0 0.5"},
        {"DequantizeLinear", 13, "axis=0", "u[2] f[2]{0.5 2}", "[2] 0.5 4"},
        {"QuantizeLinear", 13, "", "f[2] f[]{0.5} u[]{1}", "[2] 3 5"},
        {"QuantizeLinear", 13, "", "f[2] f[]{0.001}", "[2] 255 255"},
        {"RNN", 14, "hidden_size=1 activations=(Relu)", "f[1 1 1] f[1 1 1] f[1 1 1]", "[1 1 1 1] 1"},
        {"RNN", 14, "hidden_size=1 activations=(Sigmoid)", "f[1 1 1] f[1 1 1] f[1 1 1]", "[1 1 1 1] 0.7310586"},
        {"RNN", 14, "hidden_size=1 activations=(LeakyRelu)", "f[1 1 1] f[1 1 1]{-1} f[1 1 1]", "[1 1 1 1] -0.01"},
        {"RNN", 14, "hidden_size=1 activations=(Elu)", "f[1 1 1] f[1 1 1]{-1} f[1 1 1]", "[1 1 1 1] -0.6321206"},
        {"RNN", 14, "hidden_size=1 activations=(HardSigmoid)", "f[1 1 1] f[1 1 1] f[1 1 1]", "[1 1 1 1] 0.7"},
        {"RNN", 14, "hidden_size=1 activations=(Softsign)", "f[1 1 1] f[1 1 1] f[1 1 1]", "[1 1 1 1] 0.5"},
        {"RNN", 14, "hidden_size=1 activations=(Softplus)", "f[1 1 1] f[1 1 1] f[1 1 1]", "[1 1 1 1] 1.3132617"},
        {"RNN", 14, "hidden_size=1 activations=(Affine) activation_alpha:[2] activation_beta:[3]",
         "f[1 1 1] f[1 1 1] f[1 1 1]", "[1 1 1 1] 5"},
        {"RNN", 14, "hidden_size=1 activations=(Affine) clip:0.25", "f[1 1 1] f[1 1 1] f[1 1 1]", "[1 1 1 1] 0.25"},
        {"RNN", 14, "hidden_size=1 activations=(ScaledTanh) activation_alpha:[2] activation_beta:[0.5]",
         "f[1 1 1] f[1 1 1] f[1 1 1]", "[1 1 1 1] 0.9242343"},
        {"RNN", 14, "hidden_size=1 activations=(Mish)", "f[1 1 1] f[1 1 1] f[1 1 1]", "activation"},
        {"RNN", 14, "hidden_size=1 activations=(Relu Relu Relu Relu Relu Relu Relu)", "f[1 1 1] f[1 1 1] f[1 1 1]",
         "activation"},
    };
    RUN(rows);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(mistakes), TEST_CASE(known), TEST_CASE(computed)};
    return RUN_TESTS(tests);
}
