/* Lists of any length, and what a small file may ask for: loops without nodes inside of each other, numbers that are
 * known in every turn. */
#include "check.h"
#include "onnx_compose.h"
#include "test_onnx.h"
#include "wengert.h"

static wg__bytes graph; /* fields of a GraphProto */

/* ---- composing ---- */

/* A list of integers or floats: 0, 1, ..., in one field. */
static wg__bytes list_attribute(const char *name, bool floats, int n)
{
    wg__bytes a = {0}, list = {0};
    put_text(&a, 1, name);
    for (int i = 0; i < n; i++) {
        const float number = (float)i;
        if (floats)
            wg__bytes_put(&list, &number, sizeof number);
        else
            for (int rest = i;; rest >>= 7) {
                const unsigned char byte = (unsigned char)((rest & 127) | (rest > 127 ? 128 : 0));
                wg__bytes_put(&list, &byte, 1);
                if (rest < 128) break;
            }
    }
    put_message(&a, floats ? 7 : 8, &list);
    wg__proto_integer(&a, 20, floats ? WG__ATTR_FLOATS : WG__ATTR_INTS);
    return a;
}

/* An initializer of one int64, of no axes. */
static void add_number(wg__bytes *to, const char *name, int64_t number)
{
    wg__bytes t = {0};
    wg__proto_integer(&t, 2, WG__INT64);
    put_text(&t, 8, name);
    wg__proto_bytes(&t, 9, &number, sizeof number);
    put_message(to, 5, &t);
}

/* A node with a body, which is freed, and one more attribute, or NULL. */
static void add_body_node(wg__bytes *to, const char *op, const char *in, const char *out, wg__bytes *body,
                          wg__bytes *lists, int n_lists)
{
    wg__bytes node = {0}, a = {0};
    put_words(&node, 1, in);
    put_words(&node, 2, out);
    put_text(&node, 4, op);
    put_text(&a, 1, "body");
    put_message(&a, 6, body);
    wg__proto_integer(&a, 20, WG__ATTR_GRAPH);
    put_message(&node, 5, &a);
    for (int i = 0; i < n_lists; i++) put_message(&node, 5, &lists[i]);
    put_message(to, 1, &node);
}

/* Opens and records the graph, whose input x is [2] of a dtype, and runs it; the text of an error, or "". The first
 * result is copied as doubles. */
static const char *run(wg_dtype dtype, const void *x, double *out, int64_t most, int64_t *n)
{
    static char text[400];
    wg_error error = {0};
    wg__bytes bytes = compose_model(&graph, 17);
    wg_onnx *model = wg_onnx_open(as_model(bytes.data, bytes.size), &error);
    wg__bytes_fini(&bytes);
    snprintf(text, sizeof text, "%s", error.text);
    if (!model) return text;
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_tensor in = wg_data(tape, dtype, WG_DIMS(2), x), y;
    wg_onnx_apply(model, tape, &in, 1, &y, 1);
    const wg_tensor as_f64 = wg_cast(y, WG_F64);
    const double *value = wg_value(as_f64);
    snprintf(text, sizeof text, "%s", wg_tape_message(tape));
    *n = value ? wg_numel(y) : 0;
    for (int64_t i = 0; i < *n && i < most; i++) out[i] = value[i];
    wg_tape_free(tape);
    wg_onnx_free(model);
    return text;
}

static const float floats[] = {1, 2};
static const int64_t two[] = {2, -1}, none[] = {-1};

static void begin(int type)
{
    wg__bytes_fini(&graph);
    add_value(&graph, 11, "x", type, two);
    add_value(&graph, 12, "y", type, NULL);
}

static void expect_error(const char *want)
{
    int64_t n;
    const char *text = run(WG_F32, floats, NULL, 0, &n);
    if (!strstr(text, want)) FAIL("'%s', not '%s'", text, want);
}

/* ---- lists ---- */

static void constants(void)
{
    enum { N = 5000 };
    static double y[N];
    int64_t n;
    for (int real = 0; real < 2; real++) {
        wg__bytes a = list_attribute(real ? "value_floats" : "value_ints", real, N);
        begin(WG__FLOAT), add_node(&graph, "Constant", "", "y", &a);
        const char *text = run(WG_F32, floats, y, N, &n);
        if (*text || n != N) FAIL("%lld numbers, '%s'", (long long)n, text);
        for (int i = 0; i < N; i++)
            if (y[i] != i) FAIL("number %d is %g", i, y[i]);
    }
}

static void ends_too_early(void)
{
    for (int real = 0; real < 2; real++) {
        wg__bytes a = {0};
        put_text(&a, 1, real ? "value_floats" : "value_ints");
        put_text(&a, real ? 7 : 8, real ? "\x01\x01\x01\x01\x01" : "\x01\xff");
        wg__proto_integer(&a, 20, real ? WG__ATTR_FLOATS : WG__ATTR_INTS);
        begin(WG__FLOAT), add_node(&graph, "Constant", "", "y", &a);
        expect_error(real ? "the list of attribute 'value_floats' ends too early"
                          : "the list of attribute 'value_ints' ends too early");
    }
}

/* y is the slices of the last of 33 operands x, which is read backward if the list of directions has n entries, the
 * last of which is not 0: entry i of a list here is i, so operands 1 to 32 are read backward, and operand 0 is not. */
static void scan_of(int n_directions, int result)
{
    enum { N = 33 };
    wg__bytes body = {0}, lists[2] = {{0}};
    char operands[2 * N + 1] = "", name[8];
    for (int k = 0; k < N; k++) {
        strcat(operands, "x ");
        snprintf(name, sizeof name, "a%d", k);
        add_value(&body, 11, name, WG__FLOAT, none);
    }
    snprintf(name, sizeof name, "a%d", result);
    add_value(&body, 12, name, WG__FLOAT, none);
    lists[0] = int_attribute("num_scan_inputs", N);
    lists[1] = list_attribute("scan_input_directions", false, n_directions);
    begin(WG__FLOAT), add_body_node(&graph, "Scan", operands, "y", &body, lists, 2);
}

static void scans(void)
{
    double y[2] = {0};
    int64_t n;
    scan_of(33, 32);
    const char *text = run(WG_F32, floats, y, 2, &n);
    if (*text || n != 2 || y[0] != 2 || y[1] != 1) FAIL("[%lld] %g %g '%s'", (long long)n, y[0], y[1], text);
    scan_of(33, 0);
    text = run(WG_F32, floats, y, 2, &n);
    if (*text || n != 2 || y[0] != 1 || y[1] != 2) FAIL("[%lld] %g %g '%s'", (long long)n, y[0], y[1], text);
    scan_of(32, 32);
    expect_error("scan_input_directions has 32 numbers for 33 tensors");
    scan_of(34, 32);
    expect_error("scan_input_directions has 34 numbers for 33 tensors");
}

/* ---- integers of 8 bits that the tape computes ---- */

static void wraps(void)
{
    static const int32_t numbers[] = {-128, 5};
    double y[2] = {0};
    int64_t n;
    for (int negated = 0; negated < 2; negated++) {
        begin(WG__INT8), add_node(&graph, negated ? "Neg" : "Abs", "x", "y", NULL);
        const char *text = run(WG_I32, numbers, y, 2, &n);
        if (*text || n != 2 || y[0] != -128 || y[1] != (negated ? -5 : 5)) FAIL("%g %g '%s'", y[0], y[1], text);
    }
}

/* ---- floats that are known while recording: f32, as in the file ---- */

static void add_float(const char *name, float number)
{
    wg__bytes a = {0};
    put_text(&a, 1, "value_float");
    wg__proto_float(&a, 2, number);
    wg__proto_integer(&a, 20, WG__ATTR_FLOAT);
    add_node(&graph, "Constant", "", name, &a);
}

/* 10 * 0.7f is 7 in f32, and 6.9999999 in f64. */
static void known_floats(void)
{
    double y = 0;
    int64_t n;
    begin(WG__FLOAT), add_float("ten", 10), add_float("scale", 0.7F);
    add_node(&graph, "Mul", "ten scale", "size", NULL);
    add_node(&graph, "Floor", "size", "y", NULL);
    const char *text = run(WG_F32, floats, &y, 1, &n);
    if (*text || n != 1 || y != 7) FAIL("%g '%s'", y, text);
}

/* ---- sizes of several numbers ---- */

static void largest_size(void)
{
    double y[2] = {0};
    int64_t n;
    begin(WG__FLOAT);
    const int64_t number[] = {1, 2, -1};
    for (int i = 0; i < 3; i++) {
        wg__bytes a = {0};
        const char name[] = {"abc"[i], 0};
        put_text(&a, 1, "value_ints");
        wg__proto_integer(&a, 8, (uint64_t)number[i]);
        wg__proto_integer(&a, 20, WG__ATTR_INTS);
        add_node(&graph, "Constant", "", name, &a);
    }
    add_node(&graph, "Max", "a b c", "size", NULL);
    add_node(&graph, "Reshape", "x size", "y", NULL);
    const char *text = run(WG_F32, floats, y, 2, &n);
    if (*text || n != 2 || y[1] != 2) FAIL("%g '%s'", y[1], text);
}

/* ---- budgets ---- */

/* A Loop of 65,536 turns around `inside` (fields of a graph, freed), which makes `result` of v. */
static wg__bytes loop_around(wg__bytes *inside, const char *result)
{
    add_value(inside, 11, "i", WG__INT64, none);
    add_value(inside, 11, "c", WG__BOOLEAN, none);
    add_value(inside, 11, "v", WG__FLOAT, NULL);
    add_value(inside, 12, "c", WG__BOOLEAN, none);
    add_value(inside, 12, result, WG__FLOAT, NULL);
    wg__bytes body = *inside;
    *inside = (wg__bytes){0};
    return body;
}

static void empty_loops(void)
{
    wg__bytes fields = {0}, inner = loop_around(&fields, "v");
    add_body_node(&fields, "Loop", "many - v", "w", &inner, NULL, 0);
    wg__bytes outer = loop_around(&fields, "w");
    begin(WG__FLOAT);
    add_number(&graph, "many", 65536);
    add_body_node(&graph, "Loop", "many - x", "y", &outer, NULL, 0);
    expect_error("the loops of the model have more than 16777216 nodes, operands and turns in all");
}

/* 4096 numbers, which are few enough to be known, in each turn. */
static void numbers_of_turns(void)
{
    wg__bytes fields = {0};
    add_node(&fields, "ConstantOfShape", "size", "zeros", NULL);
    wg__bytes body = loop_around(&fields, "v");
    begin(WG__FLOAT);
    wg__bytes a = {0};
    put_text(&a, 1, "value_ints");
    wg__proto_integer(&a, 8, 4096);
    wg__proto_integer(&a, 20, WG__ATTR_INTS);
    add_node(&graph, "Constant", "", "size", &a);
    add_number(&graph, "many", 65536);
    add_body_node(&graph, "Loop", "many - x", "y", &body, NULL, 0);
    expect_error("the model knows more numbers in all while it is recorded than fit into 512 MiB");
}

static void same_attribute(void)
{
    wg__bytes node = {0};
    begin(WG__FLOAT);
    put_text(&node, 1, "x"), put_text(&node, 2, "y"), put_text(&node, 4, "Flatten");
    for (int i = 0; i < 2; i++) {
        wg__bytes a = int_attribute("axis", 1);
        put_message(&node, 5, &a);
    }
    put_message(&graph, 1, &node);
    expect_error("Flatten (opset 17) of node 'y': attribute 'axis' is there twice");
}

/* 65,536 turns, each with 1 MiB of an attribute. */
static void long_attributes(void)
{
    static const char text[1 << 20];
    wg__bytes fields = {0}, a = int_attribute("axis", 1);
    wg__proto_bytes(&a, 13, text, sizeof text);
    add_node(&fields, "Flatten", "v", "w", &a);
    wg__bytes body = loop_around(&fields, "v");
    begin(WG__FLOAT);
    add_number(&graph, "many", 65536);
    add_body_node(&graph, "Loop", "many - x", "y", &body, NULL, 0);
    expect_error("the loops of the model have more than 16777216 nodes, operands and turns in all");
}

int main(int argc, char **argv)
{
    const test tests[] = {TEST_CASE(constants),       TEST_CASE(ends_too_early), TEST_CASE(largest_size),
                          TEST_CASE(long_attributes), TEST_CASE(same_attribute), TEST_CASE(known_floats),
                          TEST_CASE(scans),           TEST_CASE(wraps),          TEST_CASE(empty_loops),
                          TEST_CASE(numbers_of_turns)};
    const int failed = RUN_TESTS(tests);
    wg__bytes_fini(&graph);
    return failed;
}
