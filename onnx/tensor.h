/* Internal. A TensorProto where it lies in the file's bytes: element type, shape, and its numbers one by one. */
#ifndef WG_ONNX_TENSOR_H
#define WG_ONNX_TENSOR_H

#include "../autograd/shape.h"
#include "wire.h"

/* Element types, by ONNX' numbers (TensorProto.DataType). */
typedef enum wg__onnx_type {
    WG__NONE = 0,
    WG__FLOAT,
    WG__UINT8,
    WG__INT8,
    WG__UINT16,
    WG__INT16,
    WG__INT32,
    WG__INT64,
    WG__STRING,
    WG__BOOLEAN,
    WG__FLOAT16,
    WG__DOUBLE,
    WG__UINT32,
    WG__UINT64,
    WG__COMPLEX64,
    WG__COMPLEX128,
    WG__BFLOAT16,
    WG__UINT4 = 21,
    WG__INT4 = 22
} wg__onnx_type;

const char *wg__type_name(int type); /* "int64"; "?" for none */
bool wg__type_is_float(int type);
bool wg__type_is_integer(int type);
/* Whether tensors may have this type: floats, integers, bool. */
bool wg__type_is_known(int type);
/* The least and the largest number of an integer type. */
double wg__type_least(int type);
double wg__type_largest(int type);

/* Files beside the model: the bytes of external data. */
typedef struct wg__folder wg__folder;

typedef struct wg__tensor_data {
    wg__span name;
    int type;
    wg_shape shape;
    int64_t numel;
    bool varints; /* the numbers are varints, else of `width` bits each */
    int width;
    wg__span data;
} wg__tensor_data;

/* Reads and checks everything: the data has exactly the numbers that the shape says. */
bool wg__tensor_parse(wg__span message, wg__folder *folder, wg__tensor_data *tensor, wg_error *error);

/* The numbers of a tensor in order. */
typedef struct wg__numbers {
    const wg__tensor_data *tensor;
    const struct wg__converter *converter; /* NULL: of 4 bits */
    wg__wire wire;
    int64_t next;
    uint64_t pair; /* two numbers of 4 bits */
} wg__numbers;
wg__numbers wg__numbers_of(const wg__tensor_data *tensor);
/* The next number: an integer beyond 2^53 is rounded, for the sizes and indices of a model are below. */
double wg__number_next(wg__numbers *numbers);
/* Copies all numbers as f32 or f64. */
void wg__tensor_copy(const wg__tensor_data *tensor, wg_dtype dtype, void *out);

#endif
