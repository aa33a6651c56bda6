/* ONNX models composed field by field, for test_onnx_refused.c, test_onnx_functions.c and onnx_rows.c. */
#ifndef TEST_ONNX_COMPOSE_H
#define TEST_ONNX_COMPOSE_H

#include "../io/proto.h"
#include "../onnx/internal.h"

void put_text(wg__bytes *b, int field, const char *text);
/* Appends the message as a field, and frees it. */
void put_message(wg__bytes *b, int field, wg__bytes *message);
/* "a b c" as fields; "-" is an empty one. */
void put_words(wg__bytes *b, int field, const char *words);
/* The operator of a node: "Relu", or "local.Twice" of the domain local. */
void put_operator(wg__bytes *node, const char *op);

wg__bytes int_attribute(const char *name, int64_t number);
wg__bytes text_attribute(const char *name, const char *text);
/* An attribute that stands for the attribute `to` of the function. */
wg__bytes reference(const char *name, const char *to, int type);

/* Appends a node named "the_node" to the fields of a graph; of a function. Frees the attribute, which may be NULL. */
void add_node(wg__bytes *graph, const char *op, const char *in, const char *out, wg__bytes *attribute);
void add_function_node(wg__bytes *function, const char *op, const char *in, const char *out, wg__bytes *attribute);
/* An input or output: field 11 or 12; sizes end with -1. */
void add_value(wg__bytes *to, int field, const char *name, int type, const int64_t *sizes);
/* An initializer of f32 with these sizes and `bytes` bytes of data, which are 0. */
void add_initializer(wg__bytes *to, const char *name, const int64_t *sizes, size_t bytes);
/* A FunctionProto of the domain local, without nodes. */
wg__bytes function_of(const char *name, const char *in, const char *out);
/* An OperatorSetIdProto of the default domain, as a field. */
void put_opset(wg__bytes *to, int field, int opset);

/* A ModelProto of the graph, which is freed. */
wg__bytes compose_model(wg__bytes *graph, int opset);
/* Opens the model, frees it, and expects a refusal in one line that has this text. */
void expect_refused(wg__bytes *model, const char *text);

#endif
