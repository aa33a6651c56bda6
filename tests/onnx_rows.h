/* Models of one node, a row each, for test_onnx_nodes.c and test_onnx_contrib.c. */
#ifndef TEST_ONNX_ROWS_H
#define TEST_ONNX_ROWS_H

/* op: "Relu", or with its domain "com.microsoft.Gelu".
 * attributes: "axis=1 pads=[1 2] mode='edge' alpha:0.5 scales:[1 2] activations=(Tanh Relu)", in which : stands before
 * floats.
 * operands: "f[2 3]" is an input of floats, whose elements are 1, 2, ...; "i[2]", "u[2]", "s[2]", "b[2]" of int64,
 * uint8, int8, bool; with "{...}" behind it, it is an initializer with these numbers, which are known while recording
 * if they are integers, and may be doubles "d[2]{...}"; "-" is omitted. want: "[2] 3 4.5", the first result, or the
 * text of an error. */
typedef struct row {
    const char *op;
    int opset;
    const char *attributes, *operands, *want;
    int results; /* 0: one */
} row;

void run_row(const row *r);
#define RUN(rows)                                                                                                  \
    for (size_t i = 0; i < sizeof(rows) / sizeof *(rows); i++) run_row(&(rows)[i])

#endif
