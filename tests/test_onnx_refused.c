/* Models that are refused, composed field by field: each with one line that names what, where and what to do. */
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "onnx_compose.h"
#include "test_onnx.h"
#include "wengert.h"

/* ---- composing a model ---- */

static wg__bytes graph; /* fields of a GraphProto */

static void add_external(wg__bytes *to, const char *location, const char *offset)
{
    wg__bytes t = {0}, pair = {0};
    wg__proto_integer(&t, 1, 2);
    wg__proto_integer(&t, 2, WG__FLOAT);
    put_text(&t, 8, "w");
    put_text(&pair, 1, "location");
    put_text(&pair, 2, location);
    put_message(&t, 13, &pair);
    put_text(&pair, 1, "offset");
    put_text(&pair, 2, offset);
    put_message(&t, 13, &pair);
    wg__proto_integer(&t, 14, 1);
    put_message(to, 5, &t);
}

/* Opens the composed graph and expects this text in the error. */
static void expect(int opset, const char *text)
{
    wg__bytes model = compose_model(&graph, opset);
    expect_refused(&model, text);
}

/* The same of a file, beside which there are others. */
static void expect_at(const char *path, int opset, const char *text)
{
    wg__bytes model = compose_model(&graph, opset);
    wg_error error = {0};
    FILE *file = fopen(path, "wb");
    assert_true(file && fwrite(model.data, 1, model.size, file) == model.size && fclose(file) == 0);
    CHECK(!wg_onnx_open(path, &error));
    if (!strstr(error.text, text)) FAIL("'%s', not '%s'", error.text, text);
    wg__bytes_fini(&model);
}

static const int64_t two[] = {2, -1};

/* x [2] of floats, and y. */
static void begin(void)
{
    wg__bytes_fini(&graph);
    add_value(&graph, 11, "x", WG__FLOAT, two);
    add_value(&graph, 12, "y", WG__FLOAT, two);
}

/* ---- operators ---- */

static void operators(void)
{
    begin(), add_node(&graph, "DeformConv", "x x", "y", NULL);
    expect(16, "DeformConv (opset 16) of node 'the_node' is not supported: rewrite it with other operators");
    begin(), add_node(&graph, "other.domain.Relu", "x", "y", NULL);
    expect(17, "other.domain.Relu (opset 17) of node 'the_node' is not supported");
    begin(), add_node(&graph, "com.microsoft.Relu", "x", "y", NULL);
    expect(17, "com.microsoft.Relu (opset 17) of node 'the_node' is not supported");
    begin(), add_node(&graph, "StringSplit", "x", "y", NULL);
    expect(20, "strings are not known; prepare text before the model");
    begin(), add_node(&graph, "Relu", "x", "y", NULL);
    expect(5, "opset 5; 6 to 28 are known: see onnx.version_converter");
    begin(), add_node(&graph, "Relu", "x", "y", NULL);
    expect(29, "opset 29");
    begin(), add_node(&graph, "Attention", "x x x", "y", NULL);
    expect(17, "Attention (opset 17) of node 'the_node': known from opset 23 on");
    begin(), add_node(&graph, "Add", "x", "y", NULL);
    expect(17, "Add (opset 17) of node 'the_node' has 1 operands: 2 to 2 are known");
    begin(), add_node(&graph, "Add", "- x", "y", NULL);
    expect(17, "has 2 operands");
    wg__bytes a = int_attribute("speed", 3);
    begin(), add_node(&graph, "Relu", "x", "y", &a);
    expect(17, "attribute 'speed' is not supported: export without it");
    a = text_attribute("axis", "last");
    begin(), add_node(&graph, "Softmax", "x", "y", &a);
    expect(17, "attribute 'axis' is not supported");
    a = int_attribute("to", WG__STRING);
    begin(), add_node(&graph, "Cast", "x", "y", &a);
    expect(17, "Cast (opset 17) of node 'the_node' is not supported: it casts to an element type");
    a = int_attribute("storage_order", 1);
    begin(), add_node(&graph, "MaxPool", "x", "y places", &a);
    expect(17, "storage_order: places count by rows");
    a = text_attribute("reduction", "median");
    begin(), add_node(&graph, "ScatterND", "x x x", "y", &a);
    expect(
        18,
        "ScatterND (opset 18) of node 'the_node': attribute 'reduction' is 'median', none of none|add|mul|max|min");
    begin(), add_node(&graph, "If", "x", "y", NULL);
    expect(17, "a branch is missing");
}

/* Sizes that only the run would know. */
static void computed_sizes(void)
{
    begin();
    add_node(&graph, "ArgMax", "x", "n", NULL);
    add_node(&graph, "Reshape", "x n", "y", NULL);
    expect(
        17,
        "ArgMax (opset 17) of node 'the_node' computes a size or a choice when the program runs; it must be known "
        "while recording: export with fixed sizes");
    begin();
    add_node(&graph, "Softmax", "x", "s", NULL);
    add_node(&graph, "NonZero", "s", "y", NULL);
    expect(17, "Softmax (opset 17)");
}

/* ---- graphs ---- */

static void graphs(void)
{
    begin(), add_node(&graph, "Relu", "b", "a", NULL), add_node(&graph, "Relu", "a", "b", NULL);
    expect(17,
           "node 'the_node' reads 'b', which no node before it makes (a cycle, or nodes that are not in order)");
    begin(), add_node(&graph, "Relu", "x", "x", NULL);
    expect(17, "two values are named 'x'");
    begin(), add_node(&graph, "Relu", "x", "a", NULL), add_node(&graph, "Tanh", "x", "a", NULL);
    expect(17, "two values are named 'a'");
    begin(), add_node(&graph, "Relu", "x", "z", NULL);
    expect(17, "no node makes the output 'y'");
    begin(), add_node(&graph, "Relu", "x", "", NULL);
    expect(17, "has no result");
    begin(), add_value(&graph, 11, "text", WG__STRING, two), add_node(&graph, "Relu", "x", "y", NULL);
    expect(17, "'text' is no tensor of numbers (element type string)");
    wg__bytes_fini(&graph);
    const int64_t nine[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, -1};
    add_value(&graph, 11, "x", WG__FLOAT, nine), add_value(&graph, 12, "x", WG__FLOAT, nine);
    expect(17, "'x' has more than 8 axes");
    wg__bytes_fini(&graph);
    expect(17, "the graph has no output");
}

/* Graphs in branches of graphs. */
static void nested(void)
{
    wg__bytes inner = {0};
    for (int depth = 0; depth < 12; depth++) {
        wg__bytes node = {0}, outer = {0};
        put_text(&node, 1, "x");
        put_text(&node, 2, "y");
        put_text(&node, 4, "If");
        for (int b = 0; b < 2; b++) {
            wg__bytes a = {0};
            put_text(&a, 1, b ? "else_branch" : "then_branch");
            wg__proto_bytes(&a, 6, inner.data, inner.size);
            wg__proto_integer(&a, 20, 5);
            put_message(&node, 5, &a);
        }
        put_message(&outer, 1, &node);
        wg__bytes_fini(&inner);
        inner = outer;
        if (inner.size > 60000) break;
    }
    begin();
    wg__bytes_put(&graph, inner.data, inner.size);
    wg__bytes_fini(&inner);
    expect(17, "graphs inside of each other, more than 8 deep");
}

/* ---- tensors ---- */

static void tensors(void)
{
    const int64_t negative[] = {-2, -1}, huge[] = {1ll << 40, 1ll << 40, -1}, three[] = {3, -1};
    begin(), add_initializer(&graph, "w", negative, 8);
    expect(17, "tensor '': its sizes are not 0 or more, and 8 at most");
    begin(), add_initializer(&graph, "w", huge, 8);
    expect(17, "tensor 'w': too many elements");
    begin(), add_initializer(&graph, "w", three, 8);
    expect(17, "tensor 'w': the size of its data does not match its shape");
    begin(), add_initializer(&graph, "w", two, 8), add_initializer(&graph, "w", two, 8);
    expect(17, "two values are named 'w'");
    begin(), add_initializer(&graph, "", two, 8);
    expect(17, "an initializer has no name");
}

/* External data is read from the model's own folder alone. */
static void external(void)
{
    char folder[] = "/tmp/test_onnx_XXXXXX", path[64], data[64], link[64], below[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    snprintf(data, sizeof data, "%s/data.bin", folder);
    snprintf(link, sizeof link, "%s/link.bin", folder);
    snprintf(below, sizeof below, "%s/sub", folder);
    FILE *file = fopen(data, "wb");
    assert_true(file && fwrite("12345678", 1, 8, file) == 8 && fclose(file) == 0);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    assert_int_equal(symlink("/etc", below), 0);

    const char *const leaving[] = {"/etc/passwd", "../data.bin", "sub/../../x", "", "..", "sub\\..", "\xff"};
    for (size_t i = 0; i < sizeof leaving / sizeof *leaving; i++) {
        begin(), add_external(&graph, leaving[i], "0");
        expect_at(path, 17, "which leaves the model's folder");
    }
    begin(), add_external(&graph, ".", "0");
    expect_at(path, 17, ".: is a directory");
    begin(), add_external(&graph, "a//b", "0");
    expect_at(path, 17, "a//b: cannot open");
    begin(), add_external(&graph, "link.bin", "0");
    expect_at(path, 17, "link.bin: cannot open");
    begin(), add_external(&graph, "sub/passwd", "0");
    expect_at(path, 17, "sub/passwd: cannot open");
    begin(), add_external(&graph, "missing.bin", "0");
    expect_at(path, 17, "missing.bin: cannot open");
    begin(), add_external(&graph, "data.bin", "4");
    expect_at(path, 17, "external data past the end of 'data.bin'");
    begin(), add_external(&graph, "./data.bin", "4");
    expect_at(path, 17, "external data past the end of './data.bin'");
    begin(), add_external(&graph, "data.bin", "99999999999999999");
    expect_at(path, 17, "external data past the end");
    begin(), add_external(&graph, "data.bin", "-1");
    expect_at(path, 17, "invalid external_data");

    unlink(below), unlink(link), unlink(data), unlink(path), rmdir(folder);
}

/* ---- files that are none ---- */

static void no_model(void)
{
    wg_error error = {0};
    CHECK(!wg_onnx_open("/nowhere/model.onnx", &error) && error.status == WG_ERR_IO);
    error = (wg_error){0};
    CHECK(!wg_onnx_open("/tmp", &error) && error.status == WG_ERR_IO);
    error = (wg_error){0};
    CHECK(!wg_onnx_open(as_model("", 0), &error) && strstr(error.text, "is empty"));
    error = (wg_error){0};
    CHECK(!wg_onnx_open(as_model("\x08\x08\x3a\xff", 4), &error) && strstr(error.text, "ends too early"));
    error = (wg_error){0}; /* a graph of five bytes, of which one is there */
    CHECK(!wg_onnx_open(as_model("\x08\x08\x3a\x05\x0a", 5), &error) && strstr(error.text, "ends too early"));
    error = (wg_error){0};
    CHECK(!wg_onnx_open(NULL, &error) && error.status == WG_ERR_ARGUMENT);
    error = (wg_error){0};
    wg_onnx_options options = {.dtype = WG_I32};
    CHECK(!wg_onnx_open_with("x", options, &error) && error.status == WG_ERR_ARGUMENT);
    wg_onnx_free(NULL);
}

/* ---- what only the shapes of the inputs can show: an error of the tape, with the node's name ---- */

static void while_recording(void)
{
    begin(), add_node(&graph, "MatMul", "x x", "z", NULL), add_node(&graph, "Unsqueeze", "x z", "y", NULL);
    expect(13, "MatMul (opset 13)");
    begin(), add_node(&graph, "Transpose", "x", "a", NULL), add_node(&graph, "DepthToSpace", "a", "y", NULL);
    wg__bytes model = compose_model(&graph, 17);
    wg_error error = {0};
    wg_onnx *opened = wg_onnx_open(as_model(model.data, model.size), &error);
    assert_non_null(opened);
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_tensor x = wg_zeros(tape, WG_F32, WG_DIMS(2)), y;
    CHECK(wg_onnx_apply(opened, tape, &x, 1, &y, 1) == WG_ERR_SHAPE && wg_is_nil(y));
    const char *text = "DepthToSpace [the_node]: the operand has 1 axes, not 4";
    if (!strstr(wg_tape_message(tape), text)) FAIL("'%s', not '%s'", wg_tape_message(tape), text);
    wg_tape_free(tape);
    wg_onnx_free(opened);
    wg__bytes_fini(&model);
}

int main(int argc, char **argv)
{
    const test tests[] = {TEST_CASE(operators), TEST_CASE(computed_sizes), TEST_CASE(graphs),
                          TEST_CASE(nested),    TEST_CASE(tensors),        TEST_CASE(external),
                          TEST_CASE(no_model),  TEST_CASE(while_recording)};
    return RUN_TESTS(tests);
}
