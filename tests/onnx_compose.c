/* Composes ONNX models field by field: see onnx_compose.h. */
#include "onnx_compose.h"

#include <stdio.h>
#include <string.h>

#include "check.h"
#include "test_onnx.h"

void put_text(wg__bytes *b, int field, const char *text) { wg__proto_bytes(b, field, text, strlen(text)); }

void put_message(wg__bytes *b, int field, wg__bytes *message)
{
    wg__proto_bytes(b, field, message->data, message->size);
    wg__bytes_fini(message);
}

void put_words(wg__bytes *b, int field, const char *words)
{
    char text[256], *save;
    snprintf(text, sizeof text, "%s", words);
    for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
        put_text(b, field, strcmp(word, "-") == 0 ? "" : word);
}

wg__bytes int_attribute(const char *name, int64_t number)
{
    wg__bytes a = {0};
    put_text(&a, 1, name);
    wg__proto_integer(&a, 3, (uint64_t)number);
    wg__proto_integer(&a, 20, 2);
    return a;
}

wg__bytes text_attribute(const char *name, const char *text)
{
    wg__bytes a = {0};
    put_text(&a, 1, name);
    put_text(&a, 4, text);
    wg__proto_integer(&a, 20, 3);
    return a;
}

wg__bytes reference(const char *name, const char *to, int type)
{
    wg__bytes a = {0};
    put_text(&a, 1, name);
    wg__proto_integer(&a, 20, (uint64_t)type);
    put_text(&a, 21, to);
    return a;
}

void put_operator(wg__bytes *node, const char *op)
{
    const char *dot = strrchr(op, '.');
    put_text(node, 4, dot ? dot + 1 : op);
    if (dot) wg__proto_bytes(node, 7, op, (size_t)(dot - op));
}

static void add_node_as(wg__bytes *to, int field, const char *op, const char *in, const char *out,
                        wg__bytes *attribute)
{
    wg__bytes n = {0};
    put_words(&n, 1, in);
    put_words(&n, 2, out);
    put_text(&n, 3, "the_node");
    put_operator(&n, op);
    if (attribute) put_message(&n, 5, attribute);
    put_message(to, field, &n);
}

void add_node(wg__bytes *graph, const char *op, const char *in, const char *out, wg__bytes *attribute)
{
    add_node_as(graph, 1, op, in, out, attribute);
}

void add_function_node(wg__bytes *function, const char *op, const char *in, const char *out, wg__bytes *attribute)
{
    add_node_as(function, 7, op, in, out, attribute);
}

void add_value(wg__bytes *to, int field, const char *name, int type, const int64_t *sizes)
{
    wg__bytes shape = {0}, tensor = {0}, kind = {0}, value = {0};
    for (int i = 0; sizes && sizes[i] != -1; i++) {
        wg__bytes size = {0};
        wg__proto_integer(&size, 1, (uint64_t)sizes[i]);
        put_message(&shape, 1, &size);
    }
    wg__proto_integer(&tensor, 1, (uint64_t)type);
    if (sizes) put_message(&tensor, 2, &shape);
    put_message(&kind, 1, &tensor);
    put_text(&value, 1, name);
    put_message(&value, 2, &kind);
    put_message(to, field, &value);
}

void add_initializer(wg__bytes *to, const char *name, const int64_t *sizes, size_t bytes)
{
    static const char zeros[256];
    wg__bytes t = {0};
    for (int i = 0; sizes[i] != -1; i++) wg__proto_integer(&t, 1, (uint64_t)sizes[i]);
    wg__proto_integer(&t, 2, WG__FLOAT);
    put_text(&t, 8, name);
    wg__proto_bytes(&t, 9, zeros, bytes);
    put_message(to, 5, &t);
}

wg__bytes function_of(const char *name, const char *in, const char *out)
{
    wg__bytes f = {0};
    put_text(&f, 1, name);
    put_words(&f, 4, in);
    put_words(&f, 5, out);
    put_text(&f, 10, "local");
    return f;
}

void put_opset(wg__bytes *to, int field, int opset)
{
    wg__bytes set = {0};
    wg__proto_integer(&set, 2, (uint64_t)opset);
    put_message(to, field, &set);
}

wg__bytes compose_model(wg__bytes *graph, int opset)
{
    wg__bytes model = {0};
    wg__proto_integer(&model, 1, 8);
    put_message(&model, 7, graph);
    put_opset(&model, 8, opset);
    return model;
}

void expect_refused(wg__bytes *model, const char *text)
{
    wg_error error = {0};
    wg_onnx *opened = wg_onnx_open(as_model(model->data, model->size), &error);
    wg__bytes_fini(model);
    if (opened)
        FAIL("not refused: %s", text);
    else if (!strstr(error.text, text))
        FAIL("'%s', not '%s'", error.text, text);
    CHECK(!strchr(error.text, '\n'));
    wg_onnx_free(opened);
}
