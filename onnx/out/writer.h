/* Internal. Composes an ONNX model from a recorded program.
 *
 * Room onnx/out: programs out, as onnx/ is models in. It walks over a program (autograd/walk.h), knows ops by their
 * names and attributes, and composes bytes with io/proto.h. It records nothing, and knows no layer.
 *
 * compare.c finds the nodes that the outputs need, and with a second recording which sizes are symbolic; emit.c appends
 * nodes of ONNX; error.c stores the first error; table.c has a row for each op, with the function that translates it
 * (pointwise.c, view.c, ...); write.c makes the model of it all. */
#ifndef WG_ONNX_WRITER_H
#define WG_ONNX_WRITER_H

#include "../../autograd/base/heap.h"
#include "../../autograd/walk.h"
#include "../../io/proto.h"
#include "../export.h"
#include "../tensor.h"

/* Numbers of fields, by the schema (onnx.proto). */
enum {
    WG__MODEL_IR_VERSION = 1,
    WG__MODEL_PRODUCER = 2,
    WG__MODEL_PRODUCER_VERSION = 3,
    WG__MODEL_GRAPH = 7,
    WG__MODEL_OPSET = 8,
    WG__OPSET_VERSION = 2,
    WG__GRAPH_NODE = 1,
    WG__GRAPH_NAME = 2,
    WG__GRAPH_INITIALIZER = 5,
    WG__GRAPH_INPUT = 11,
    WG__GRAPH_OUTPUT = 12,
    WG__NODE_INPUT = 1,
    WG__NODE_OUTPUT = 2,
    WG__NODE_NAME = 3,
    WG__NODE_TYPE = 4,
    WG__NODE_ATTRIBUTE = 5,
    WG__ATTRIBUTE_NAME = 1,
    WG__ATTRIBUTE_FLOAT = 2,
    WG__ATTRIBUTE_INT = 3,
    WG__ATTRIBUTE_STRING = 4,
    WG__ATTRIBUTE_TENSOR = 5,
    WG__ATTRIBUTE_INTS = 8,
    WG__ATTRIBUTE_TYPE = 20,
    WG__TENSOR_DIMS = 1,
    WG__TENSOR_TYPE = 2,
    WG__TENSOR_NAME = 8,
    WG__TENSOR_RAW = 9,
    WG__VALUE_NAME = 1,
    WG__VALUE_TYPE = 2,
    WG__TYPE_TENSOR = 1,
    WG__TENSOR_TYPE_ELEMENT = 1,
    WG__TENSOR_TYPE_SHAPE = 2,
    WG__SHAPE_DIM = 1,
    WG__DIM_VALUE = 1,
    WG__DIM_PARAM = 2
};

typedef struct wg__out wg__out;

/* A row of the table. */
typedef struct wg__row {
    const char *op;                   /* the op's name */
    const char *op_type;              /* the operator, for functions that translate several ops */
    const char *(*write)(wg__out *o); /* appends nodes; the name of the value */
    bool sizes;                       /* its attributes have sizes, so that they may differ in the two recordings */
} wg__row;

extern const wg__row wg__out_pointwise[], wg__out_view[], wg__out_product[], wg__out_reduce[], wg__out_norm[],
    wg__out_index[], wg__out_make[], wg__out_gradient[], wg__out_indexed[];

/* The row of an op of the library; NULL if it has none, or is not of the library. */
const wg__row *wg__row_of(const wg_op *op);
/* What an op without a row would need. */
const char *wg__row_instead(const wg_op *op);

/* What is known of a node. */
typedef struct wg__mark {
    bool needed;      /* an output depends on it */
    uint32_t another; /* its number in the second recording; 0: none */
    const char *name; /* of its result in the model; NULL: not written yet */
} wg__mark;

/* Which keys a query sees, by `causal` and `window` of attention. */
typedef struct wg__band {
    int64_t queries, keys, window;
    bool causal;
    const char *name; /* NULL: none was written */
} wg__band;

struct wg__out {
    const wg_onnx_named *inputs, *outputs;
    int n_in, n_out;
    const wg_tape *tape, *other; /* other: NULL if sizes are fixed */
    int64_t batch, other_batch;  /* the batch size of each */
    uint32_t n;                  /* marks */
    wg__mark *marks;             /* [n] by number */
    wg__heap heap;
    wg__arena arena;                     /* names */
    wg__bytes nodes;                     /* fields of the graph */
    wg__bytes attributes, node, message; /* of the node that is composed */
    const char *batch_name;              /* the value with the batch size, int64 [1]; NULL: not written yet */
    wg__band band;                       /* the last mask of attention that was written */
    uint32_t number;                     /* of the node that is translated */
    uint32_t part;                       /* nodes written for it */
    wg__walked at, twin;                 /* the node, and the same in the second recording (or itself) */
    const wg__row *row;
    wg_error *error;
};

/* ---- error.c ---- */

/* Stores the error; its text begins with op and scope of the node that is translated. */
void wg__out_fail(wg__out *o, wg_status status, const char *rule, ...) WG_PRINTF(3, 4);
bool wg__out_failed(const wg__out *o);

/* ---- compare.c ---- */

/* Marks the nodes that the outputs depend on, and pairs them with the second recording's. */
void wg__out_compare(wg__out *o);

/* ---- pooled.c ---- */

/* Whether this is the gather of a max pool (ops/pool.c), which is one operator of ONNX; *pool: its pool_argmax. */
bool wg__pooled(const wg_tape *tape, const wg__walked *node, wg__walked *pool);

/* ---- emit.c ---- */

/* Zeroed memory that lives as long as the writer; NULL is an error that is stored. */
void *wg__out_room(wg__out *o, int64_t n, size_t size);
/* A name that lives as long. */
const char *wg__out_name(wg__out *o, const char *format, ...) WG_PRINTF(2, 3);
/* The value of operand k; "": it is omitted. */
const char *wg__in_name(const wg__out *o, int k);
wg__walked wg__in_node(const wg__out *o, int k);

/* An attribute of the next node. */
void wg__with_int(wg__out *o, const char *name, int64_t number);
void wg__with_float(wg__out *o, const char *name, double number);
void wg__with_text(wg__out *o, const char *name, const char *text);
void wg__with_ints(wg__out *o, const char *name, const int64_t *numbers, int n);

/* Appends a node. The name of its result, which is that of the node's value unless another one follows. */
const char *wg__out_node(wg__out *o, const char *op_type, const char *const *in, int n);
/* The same for the second result of an operator with two. */
const char *wg__out_second(wg__out *o, const char *op_type, const char *const *in, int n);
const char *wg__out_node1(wg__out *o, const char *op_type, const char *a);
const char *wg__out_node2(wg__out *o, const char *op_type, const char *a, const char *b);
const char *wg__out_node3(wg__out *o, const char *op_type, const char *a, const char *b, const char *c);
/* Where, for a result of the node's dtype. */
const char *wg__out_where(wg__out *o, const char *mask, const char *a, const char *b);

/* A constant: numbers of the tape's dtype; one number; integers, int64 [n]. */
const char *wg__constant_of(wg__out *o, wg_dtype dtype, const wg_shape *shape, const void *data);
const char *wg__number(wg__out *o, wg_dtype dtype, double number);
const char *wg__integers(wg__out *o, const int64_t *numbers, int n);
/* 0 .. n - 1, i32 [n]. */
const char *wg__numbers_to(wg__out *o, int64_t n);
/* A shape, int64 [rank], given in both recordings; sizes that differ are computed from the batch size. */
const char *wg__sizes(wg__out *o, const wg_shape *shape, const wg_shape *other);
/* A value under another shape: Reshape. */
const char *wg__reshaped(wg__out *o, const char *x, const wg_shape *shape, const wg_shape *other);
const char *wg__cast_to(wg__out *o, const char *x, wg_dtype dtype);

/* The element type of a dtype; the fields of a TensorProto but for its numbers. */
int wg__element_type(wg_dtype dtype);
void wg__tensor_head(wg__bytes *b, const char *name, wg_dtype dtype, const wg_shape *shape);
/* A size in both recordings as a multiple of the batch size; 0: it is fixed. */
int64_t wg__batches(const wg__out *o, int64_t size, int64_t other);
/* The shape of a needed node in the second recording; without one, in the first. */
wg_shape wg__other_shape(const wg__out *o, uint32_t number);
/* A size of a needed node that the model has as a number: an error if it depends on the batch size. */
int64_t wg__fixed_size(wg__out *o, uint32_t number, int axis);

#endif
