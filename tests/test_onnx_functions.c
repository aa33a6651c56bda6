/* Functions of a model (the values of tests/onnx/functions.onnx are in test_onnx.c): what is refused, how they may
 * grow, and what the oracles of that file do not know. */
#include <math.h>

#include "check.h"
#include "onnx_compose.h"
#include "test_onnx.h"
#include "wengert.h"

static wg__bytes graph; /* fields of a GraphProto */
static const int64_t two[] = {2, -1};

/* x [2] of floats, and y. */
static void begin(void)
{
    wg__bytes_fini(&graph);
    add_value(&graph, 11, "x", WG__FLOAT, two);
    add_value(&graph, 12, "y", WG__FLOAT, two);
}

/* The graph, with this function if it is not NULL, which is freed. */
static wg__bytes model_with(int opset, wg__bytes *function)
{
    wg__bytes model = compose_model(&graph, opset);
    if (function) put_message(&model, 25, function);
    return model;
}

/* y = local.F(x) with a function F(x) -> y of one node. */
static void expect_node(const char *op, const char *in, const char *out, wg__bytes *attribute, const char *text)
{
    wg__bytes f = function_of("F", "x", "y");
    add_function_node(&f, op, in, out, attribute);
    begin(), add_node(&graph, "local.F", "x", "y", NULL);
    wg__bytes model = model_with(17, &f);
    expect_refused(&model, text);
}

/* ---- what is refused ---- */

static void bodies(void)
{
    expect_node("DeformConv", "x x", "y", NULL, "DeformConv (opset 17) of node 'the_node' is not supported");
    expect_node("Relu", "z", "y", NULL, "node 'the_node' reads 'z', which no node before it makes");
    expect_node("Relu", "x", "x", NULL, "two values are named 'x'");
    expect_node("Relu", "x", "z", NULL, "function 'F': no node makes its output 'y'");
    expect_node("local.G", "x", "y", NULL, "local.G (opset 17) of node 'the_node' is not supported");
    expect_node("local.F", "x", "y", NULL, "node 'the_node': function 'F' calls itself, which ONNX forbids");
    wg__bytes a = int_attribute("speed", 3);
    expect_node("Relu", "x", "y", &a, "attribute 'speed' is not supported");
    a = reference("approximate", "form", WG__ATTR_INT);
    expect_node("Gelu", "x", "y", &a, "Gelu (opset 17) of node 'the_node': known from opset 20 on");
    a = reference("then_branch", "branch", WG__ATTR_GRAPH);
    expect_node("If", "x", "y", &a, "If (opset 17) of node 'the_node' is not supported: a branch is missing");
}

static void calls(void)
{
    wg__bytes f = function_of("F", "a b", "y");
    add_function_node(&f, "Add", "a b", "y", NULL);
    wg__bytes copy = {0};
    wg__bytes_put(&copy, f.data, f.size);
    begin(), add_node(&graph, "local.F", "x x x", "y", NULL);
    wg__bytes model = model_with(17, &f);
    expect_refused(&model, "node 'the_node' calls function 'F' with more operands than it has");

    begin(), add_node(&graph, "local.F", "x x", "y z", NULL);
    wg__bytes_put(&f, copy.data, copy.size);
    model = model_with(17, &f);
    expect_refused(&model, "node 'the_node' calls function 'F' with more results than it has");

    begin(), add_node(&graph, "local.F", "x", "y", NULL); /* an operand that the body needs */
    wg__bytes_put(&f, copy.data, copy.size);
    model = model_with(17, &f);
    expect_refused(&model, "Add (opset 17) of node 'the_node' has 1 operands: 2 to 2 are known");

    begin(), add_node(&graph, "Relu", "x", "y", NULL);
    wg__bytes_put(&f, copy.data, copy.size);
    model = model_with(17, &f);
    put_message(&model, 25, &copy);
    expect_refused(&model, "two functions are named 'F'");

    f = function_of("F", "x x", "y");
    begin(), add_node(&graph, "local.F", "x", "y", NULL);
    model = model_with(17, &f);
    expect_refused(&model, "function 'F' has two inputs named 'x'");

    put_text(&f, 1, "F");
    wg__bytes_put(&f, "\x0a\x7f", 2);
    begin(), add_node(&graph, "Relu", "x", "y", NULL);
    model = model_with(17, &f);
    expect_refused(&model, "a function is no protocol buffer");

    f = function_of("F", "x", "y");
    put_opset(&f, 9, 40);
    add_function_node(&f, "Relu", "x", "y", NULL);
    begin(), add_node(&graph, "local.F", "x", "y", NULL);
    model = model_with(17, &f);
    expect_refused(&model, "opset 40; 6 to 28 are known");

    wg__bytes a = reference("axis", "to", WG__ATTR_INT);
    begin(), add_node(&graph, "Softmax", "x", "y", &a);
    model = model_with(17, NULL);
    expect_refused(&model, "refers to an attribute of a function, but is in none");
}

/* ---- growth ---- */

/* F0(x) = Relu(x), Fn(x) = `calls` times F(n - 1), one after the other. */
static wg__bytes tower(int height, int calls)
{
    begin();
    char name[16];
    snprintf(name, sizeof name, "local.F%d", height);
    add_node(&graph, name, "x", "y", NULL);
    wg__bytes model = model_with(17, NULL);
    for (int n = 0; n <= height; n++) {
        snprintf(name, sizeof name, "F%d", n);
        wg__bytes f = function_of(name, "v0", "y");
        if (n == 0) add_function_node(&f, "Relu", "v0", "y", NULL);
        for (int i = 0; n > 0 && i < calls; i++) {
            char in[16], out[16];
            snprintf(name, sizeof name, "local.F%d", n - 1);
            snprintf(in, sizeof in, "v%d", i);
            snprintf(out, sizeof out, "v%d", i + 1);
            add_function_node(&f, name, in, i + 1 == calls ? "y" : out, NULL);
        }
        put_message(&model, 25, &f);
    }
    return model;
}

static wg_onnx *open_bytes(wg__bytes *model, wg_onnx_options options, wg_error *error)
{
    wg_onnx *opened = wg_onnx_open_with(as_model(model->data, model->size), options, error);
    wg__bytes_fini(model);
    return opened;
}

static uint64_t most_taken, taken;

static void *counted(void *context, size_t size)
{
    taken += size;
    most_taken = taken > most_taken ? taken : most_taken;
    return aligned_alloc(64, (size + 63) & ~(size_t)63);
}
static void released(void *context, void *memory, size_t size)
{
    taken -= size;
    free(memory);
}

/* Calls inside of calls that would be millions of nodes: refused, after a bounded amount of memory was taken. */
static void growth(void)
{
    wg__bytes model = tower(20, 8);
    wg_error error = {0};
    wg_onnx_options options = wg_onnx_defaults();
    options.allocator = (wg_allocator){counted, released, NULL};
    CHECK(!open_bytes(&model, options, &error));
    const char *text = "the calls of its functions, with the calls inside of them, take more than 128 MiB";
    if (!strstr(error.text, text)) FAIL("'%s', not '%s'", error.text, text);
    CHECK(taken == 0);
    if (most_taken > (uint64_t)300 << 20) FAIL("%llu bytes were taken", (unsigned long long)most_taken);

    model = tower(40, 1);
    expect_refused(&model, "functions call each other, more than 32 deep");
    model = tower(31, 1);
    wg_onnx *opened = open_bytes(&model, wg_onnx_defaults(), &error);
    CHECK(opened);
    wg_onnx_free(opened);
    model = tower(3, 8); /* 512 nodes, 585 calls */
    opened = open_bytes(&model, wg_onnx_defaults(), &error);
    CHECK(opened);
    wg_onnx_free(opened);
}

/* A constant in a function is a buffer for each call. */
static void constants(void)
{
    enum { NUMBERS = 1 << 20 };
    wg__bytes tensor = {0}, a = {0}, f = function_of("F", "x", "y"), g = function_of("G", "x", "y");
    float *zeros = calloc(NUMBERS, sizeof *zeros);
    wg__proto_integer(&tensor, 1, NUMBERS);
    wg__proto_integer(&tensor, 2, WG__FLOAT);
    wg__proto_bytes(&tensor, 9, zeros, NUMBERS * sizeof *zeros);
    free(zeros);
    put_text(&a, 1, "value");
    put_message(&a, 5, &tensor);
    add_function_node(&f, "Constant", "", "c", &a);
    add_function_node(&f, "Add", "x c", "y", NULL);
    for (int i = 0; i < 20; i++) {
        char in[16], out[16];
        snprintf(in, sizeof in, i ? "v%d" : "x", i);
        snprintf(out, sizeof out, i < 19 ? "v%d" : "y", i + 1);
        add_function_node(&g, "local.F", in, out, NULL);
    }
    begin(), add_node(&graph, "local.G", "x", "y", NULL);
    wg__bytes model = model_with(17, &f);
    put_message(&model, 25, &g);
    expect_refused(&model, "the calls of its functions, with the calls inside of them, take more than 128 MiB");
}

/* ---- values ---- */

static void expect_values(wg__bytes *model, const float *want)
{
    wg_error error = {0};
    wg_onnx *opened = open_bytes(model, wg_onnx_defaults(), &error);
    if (!opened) {
        FAIL("%s", error.text);
        return;
    }
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    const float numbers[] = {-1, 2};
    wg_tensor x = wg_data(tape, WG_F32, WG_DIMS(2), numbers), y;
    if (wg_onnx_apply(opened, tape, &x, 1, &y, 1) != WG_OK) FAIL("%s", wg_tape_message(tape));
    const float *got = wg_value(y);
    for (int i = 0; got && i < 2; i++)
        if (fabsf(got[i] - want[i]) > 1e-6f) FAIL("element %d is %g, not %g", i, (double)got[i], (double)want[i]);
    wg_tape_free(tape);
    wg_onnx_free(opened);
}

/* y = local.F(x) with these attributes, of which F declares "declared", and "given" with a default. */
static wg__bytes call_with(const char *const *names, int n)
{
    wg__bytes f = function_of("F", "x", "y"), call = {0}, a = int_attribute("given", 3);
    put_text(&f, 6, "declared");
    put_message(&f, 11, &a);
    add_function_node(&f, "Relu", "x", "y", NULL);
    put_words(&call, 1, "x");
    put_words(&call, 2, "y");
    put_text(&call, 3, "the_node");
    put_operator(&call, "local.F");
    for (int i = 0; i < n; i++) {
        a = int_attribute(names[i], i);
        put_message(&call, 5, &a);
    }
    begin(), put_message(&graph, 1, &call);
    return model_with(17, &f);
}

static void attributes_of_calls(void)
{
    const char *names[] = {"declared", "given", "speed"}, *many[257];
    wg__bytes model = call_with(names, 3);
    expect_refused(&model, "node 'the_node' calls function 'F' with attribute 'speed', which it does not declare");
    for (int i = 0; i < 257; i++) many[i] = "declared";
    model = call_with(many, 257);
    expect_refused(&model, "node 'the_node' calls function 'F' with more than 256 attributes");
    model = call_with(many, 256);
    expect_values(&model, (const float[]){0, 2});
    model = call_with(names, 2);
    expect_values(&model, (const float[]){0, 2});
}

static void attributes_of_functions(void)
{
    wg__bytes f = function_of("F", "x", "y"), call = {0};
    for (int i = 0; i < 257; i++) put_text(&f, 6, "declared");
    add_function_node(&f, "Relu", "x", "y", NULL);
    put_words(&call, 1, "x");
    put_words(&call, 2, "y");
    put_operator(&call, "local.F");
    begin(), put_message(&graph, 1, &call);
    wg__bytes model = model_with(17, &f);
    expect_refused(&model, "function 'F' has more than 256 attributes");
}

/* HardSwish is an operator from opset 14 on, which is the function's; the model's is 13. */
static void own_opset(void)
{
    wg__bytes f = function_of("F", "x", "y");
    add_function_node(&f, "HardSwish", "x", "y", NULL);
    put_opset(&f, 9, 14);
    begin(), add_node(&graph, "local.F", "x", "y", NULL);
    wg__bytes model = model_with(13, &f);
    expect_values(&model, (const float[]){-1 / 3.0f, 5 / 3.0f});
}

/* A model whose graph has calls alone imports its own domain alone. */
static void no_opset(void)
{
    wg__bytes f = function_of("Relu", "x", "y");
    add_function_node(&f, "Relu", "x", "y", NULL);
    put_opset(&f, 9, 13);
    begin(), add_node(&graph, "local.Relu", "x", "y", NULL);
    wg__bytes model = {0};
    put_message(&model, 7, &graph);
    put_message(&model, 25, &f);
    expect_values(&model, (const float[]){0, 2});
}

/* A function of the default domain replaces none of its operators. */
static void default_domain(void)
{
    wg__bytes f = function_of("Relu", "x", "y");
    put_text(&f, 10, "");
    add_function_node(&f, "Neg", "x", "y", NULL);
    begin(), add_node(&graph, "Relu", "x", "y", NULL);
    wg__bytes model = model_with(17, &f);
    expect_values(&model, (const float[]){0, 2});
}

/* Names of a function, called in a branch, are not those of the graph around it; an output may be an input. */
static void names(void)
{
    wg__bytes f = function_of("F", "b", "y b"), then = {0}, a = {0}, node = {0};
    add_function_node(&f, "Neg", "b", "a", NULL);
    add_function_node(&f, "Exp", "a", "x", NULL);
    add_function_node(&f, "Log", "x", "y", NULL);
    add_node(&then, "local.F", "a", "n kept", NULL);
    add_node(&then, "Sub", "n kept", "d", NULL);
    add_value(&then, 12, "d", WG__FLOAT, NULL);
    for (int b = 0; b < 2; b++) {
        put_text(&a, 1, b ? "else_branch" : "then_branch");
        wg__proto_bytes(&a, 6, then.data, then.size);
        wg__proto_integer(&a, 20, WG__ATTR_GRAPH);
        put_message(&node, 5, &a);
    }
    wg__bytes_fini(&then);
    begin();
    wg__bytes t = {0};
    wg__proto_integer(&t, 2, WG__BOOLEAN);
    put_text(&t, 8, "yes");
    wg__proto_bytes(&t, 9, "\1", 1);
    put_message(&graph, 5, &t);
    add_node(&graph, "Relu", "x", "a", NULL);
    put_words(&node, 1, "yes");
    put_words(&node, 2, "z");
    put_text(&node, 4, "If");
    put_message(&graph, 1, &node);
    add_node(&graph, "Add", "a z", "w", NULL);
    add_node(&graph, "Add", "x w", "y", NULL);
    wg__bytes model = model_with(17, &f);
    expect_values(&model, (const float[]){-1, 0}); /* x + a - 2 a */
}

int main(int argc, char **argv)
{
    const test tests[] = {TEST_CASE(bodies),
                          TEST_CASE(calls),
                          TEST_CASE(growth),
                          TEST_CASE(constants),
                          TEST_CASE(own_opset),
                          TEST_CASE(no_opset),
                          TEST_CASE(default_domain),
                          TEST_CASE(names),
                          TEST_CASE(attributes_of_calls),
                          TEST_CASE(attributes_of_functions)};
    const int failed = RUN_TESTS(tests);
    wg__bytes_fini(&graph);
    return failed;
}
