/* Tests of ONNX models of one node, a row of a table each. */
#ifndef ONNX_NODE_H
#define ONNX_NODE_H

#include "check.h"

/* attributes: "axis=1 pads=[1 2] mode='edge' alpha:0.5 scales:[1 2] activations=(Tanh Relu)"; floats follow a colon.
 *
 * operands: "f[2 3]" is an input of floats, whose elements are 1, 2, ...; "i[2]", "u[2]", "b[2]" are of int64, uint8,
 * bool. With "{...}" behind it, it is an initializer with these numbers, which are known while recording if they are
 * integers. "-" is omitted.
 *
 * want: "[2] 3 4.5", the first result, or a part of the text of an error. */
typedef struct row {
    const char *op;
    int opset;
    const char *attributes, *operands, *want;
    int results; /* 0: one */
} row;

/* Composes the model, applies it, and compares the result or the error with what is wanted. */
void run_row(const row *r);
#define RUN(rows)                                                                                                  \
    for (size_t i = 0; i < sizeof(rows) / sizeof *(rows); i++) run_row(&(rows)[i])

#endif
