/* Internal to onnx/: the model in memory, a call of an operator, and the table of operators.
 *
 * Room onnx: models from ONNX files. It reads a file from a stranger, checks it, and records its graph with the public
 * ops; it knows nn/ for loops over time, io/ for messages, and the room base. No kernel, plan or optimizer.
 *
 * A file goes through these steps: folder.c reads it, wire.c reads fields, tensor.c tensors, graph.c nodes and names,
 * function.c calls of the model's functions, opset.c versions; check.c refuses nodes, wanted.c finds what must be
 * known while recording, widen.c and weights.c make parameters, fuse.c finds ops that onnx/out composed; apply.c
 * records the graph, by the rows of table.c. */
#ifndef WG_ONNX_INTERNAL_H
#define WG_ONNX_INTERNAL_H

#include "../ops/indexing.h"
#include "../ops/loss.h"
#include "../ops/ops.h"
#include "folder.h"
#include "onnx.h"

/* ---- the model ---- */

/* Where a value comes from. */
typedef enum wg__value_source {
    WG__FROM_INPUT,
    WG__FROM_INITIALIZER,
    WG__FROM_NODE,
    WG__FROM_BODY
} wg__value_source;

typedef struct wg__onnx_node wg__onnx_node;

/* A call of a function of the model: its nodes are parsed for each call anew, on the values of the call. */
/* An attribute that a function declares. */
typedef struct wg__formal {
    wg__span name, value; /* value: the AttributeProto of its default; of no bytes if it has none */
} wg__formal;

typedef struct wg__frame {
    const wg__onnx_node *call; /* its attributes are the function's; its own frame is the call around this one */
    wg__span function;         /* FunctionProto */
    const wg__formal *formals; /* [n_formals] */
    int n_formals, depth;      /* depth: calls around this one, plus 1 */
} wg__frame;

/* A weight of integers: (integers - zero) scale; zero (or NULL) and scale, of one shape, broadcast, or have one number
 * for each block of elements along an axis. */
typedef struct wg__scaled {
    const wg__tensor_data *integers, *scale, *zero;
    wg_shape shape; /* of scale and zero, against that of the integers */
    int axis;       /* of blocks */
    int64_t block;  /* elements of one; 0: scale and zero broadcast */
} wg__scaled;

/* A named value of the graph or of a graph inside of a node. Value 0 is the omitted operand. */
typedef struct wg__value {
    const char *name;
    wg__value_source source;   /* FROM_BODY: an input of the graph of a Loop or Scan */
    bool wanted;               /* an operator needs its numbers while it is recorded */
    bool used;                 /* by a node, or as a result */
    bool fixed;                /* not trained: mean or variance of a norm, a Constant that shall not be */
    bool nested;               /* of a graph inside of a node, or of a function */
    wg_param *param;           /* its parameter or buffer, or NULL */
    wg__tensor_data *constant; /* its numbers in the file, or NULL */
    const wg__scaled *scaled;  /* of a result that is a parameter: its numbers; or NULL */
    wg__span declared;         /* inputs of the model: the ValueInfoProto */
    const wg__frame *frame;    /* the call of a function that defines it, or NULL */
    uint32_t shadowed;         /* the value that the name stands for outside of this graph; 0: none */
} wg__value;

typedef struct wg__graph wg__graph;
typedef struct wg__onnx_row wg__onnx_row;
struct wg__onnx_node {
    const wg__onnx_row *row; /* NULL: its result is a parameter */
    int opset;
    const char *name;   /* the node's, or that of its first result */
    const char *type;   /* op_type */
    wg__span message;   /* NodeProto: its attributes are read there */
    int64_t bytes;      /* of the attributes without tensors and graphs: reading one goes through all */
    uint32_t *in, *out; /* values; 0: omitted */
    int n_in, n_out;
    wg__graph *body[2];     /* then_branch and else_branch, or body */
    const wg__frame *frame; /* of the function whose node it is; NULL: of a graph */
};

struct wg__graph {
    wg__onnx_node *node;
    uint32_t *in, *out; /* values; in: without those that have an initializer */
    int n_nodes, n_in, n_out;
    wg__span message; /* GraphProto or FunctionProto */
};

/* A number while the graph is recorded. */
typedef struct wg__known_item {
    int type;         /* ONNX' element type; 0: omitted */
    wg_shape shape;   /* of the host's numbers */
    double *host;     /* [numel] numbers known while recording, or NULL. Integers are exact up to 2^53 */
    wg_tensor tensor; /* on the tape, or WG_NONE while nobody needed it there */
} wg__known_item;

/* An input or output as the file declares it. */
typedef struct wg__declared {
    wg_onnx_value value;
    int type; /* element type */
} wg__declared;

struct wg_onnx {
    wg__heap heap;
    wg__arena arena; /* the graph */
    wg__arena turn;  /* of one wg_onnx_apply */
    wg__folder folder;
    wg_params *params;
    wg_dtype dtype;       /* of floats and parameters */
    wg_dtype doubles;     /* of double: f64 if no input, output or parameter is that */
    bool train_constants; /* of wg_onnx_options */
    int opset;
    wg__graph *graph;
    uint64_t expansion;             /* bytes that calls of functions may still take */
    wg__declared *inputs, *outputs; /* of the graph */
    wg__value *values;              /* [n_values] */
    uint32_t n_values, cap_values;
};

/* Refuses the file: "model.onnx: reason"; out of memory. Return false (refuse.c). */
bool wg__onnx_refuse(const wg_onnx *model, wg_error *error, const char *format, ...) WG_PRINTF(3, 4);
bool wg__onnx_memory(const wg_onnx *model, wg_error *error);

bool wg__onnx_parse(wg_onnx *model, wg__span bytes, wg_error *error); /* graph.c */
/* Takes bytes for a call of a function; refuses the file if all calls together take too many (function.c). */
bool wg__onnx_expand(wg_onnx *model, uint64_t bytes, wg_error *error);
/* Whether a node can be recorded; if not, refuses the file. */
bool wg__onnx_check_node(const wg_onnx *model, const wg__onnx_node *node, wg_error *error); /* check.c */
/* Marks the values that must be known while recording; refuses the file if one of them cannot be. */
bool wg__onnx_mark_wanted(wg_onnx *model, wg_error *error); /* wanted.c */
/* Takes the tensors of Constant out of the graph (weights.c). */
bool wg__onnx_take_constants(wg_onnx *model, wg_error *error);
/* Finds integers with the nodes that make floats of them: the nodes go, their results will be parameters (widen.c). */
bool wg__onnx_widen(wg_onnx *model, wg_error *error);
/* The numbers of such a parameter. */
bool wg__onnx_widen_into(wg_onnx *model, const wg__scaled *weight, void *out, wg_error *error);
bool wg__onnx_make_params(wg_onnx *model, wg_error *error); /* weights.c */
/* Frees what no longer is needed of the files: external data, and in the model's what parameters have (weights.c). */
bool wg__onnx_settle(wg_onnx *model, wg__span file, wg_error *error); /* file: of the model */
bool wg__onnx_fuse(wg_onnx *model, wg_error *error);                  /* fuse.c */
bool wg__onnx_declare(wg_onnx *model, wg_error *error);               /* declared.c */

/* ---- attributes ---- */

typedef struct wg__attribute {
    wg__span name, text, tensor, graph, list; /* list: the whole AttributeProto, whose fields are read one by one */
    wg__span reference;                       /* the attribute of the function that it stands for */
    int type;                                 /* AttributeProto.AttributeType */
    double number;
    int64_t integer;
} wg__attribute;
enum {
    WG__ATTR_FLOAT = 1,
    WG__ATTR_INT,
    WG__ATTR_TEXT,
    WG__ATTR_TENSOR,
    WG__ATTR_GRAPH,
    WG__ATTR_FLOATS,
    WG__ATTR_INTS
};

/* False if the message is no attribute. */
bool wg__attribute_parse(wg__span message, wg__attribute *attribute);
/* Whether the attribute has a value: one that stands for an attribute of the function gets that of the call, or the
 * function's default. */
bool wg__attribute_resolve(const wg__onnx_node *node, wg__attribute *attribute);
bool wg__attribute_find(const wg__onnx_node *node, const char *name, wg__attribute *attribute);
/* Bytes of the attributes without tensors and graphs. */
int64_t wg__attribute_bytes(const wg__onnx_node *node);
bool wg__attribute_has(const wg__onnx_node *node, const char *name);
int64_t wg__attribute_int(const wg__onnx_node *node, const char *name, int64_t otherwise);
double wg__attribute_float(const wg__onnx_node *node, const char *name, double otherwise);
/* Whether the text is `value`; `otherwise` is the text of an attribute that is not there. */
bool wg__attribute_is(const wg__onnx_node *node, const char *name, const char *value, const char *otherwise);
/* Which of the texts that its row lists it is: 0, 1, ...; `otherwise` for an attribute that is not there. */
int wg__attribute_choice(const wg__onnx_node *node, const char *name, int otherwise);
/* The number of integers or floats of a list in the file; -1 if there is no such attribute. The first `most` of them
 * are stored: the caller compares. */
int wg__attribute_ints(const wg__onnx_node *node, const char *name, int64_t *out, int most);
int wg__attribute_floats(const wg__onnx_node *node, const char *name, double *out, int most);

/* ---- the table of operators ---- */

typedef struct wg__call wg__call;

/* A row: how nodes of an operator are recorded. */
struct wg__onnx_row {
    const char *name; /* of another domain: "com.microsoft.BiasGelu" */
    void (*record)(wg__call *c);
    int since;       /* the first opset of which `record` knows the operator */
    int least, most; /* number of operands; most < 0: no limit */
    /* The attributes that a node may have, with letters as in check.c, and the texts that they may have:
     * "axis=i mode=s:none|tanh equation=s". Others are refused. */
    const char *attributes;
    unsigned host;  /* operands (bit k) whose numbers must be known while recording */
    unsigned flags; /* below */
    const char *(*refuse)(
        const wg__onnx_node *node); /* NULL, or why a node cannot be recorded and what would do instead */
    wg_tensor (*one)(wg_tensor x);  /* of pointwise rows */
    wg_tensor (*two)(wg_tensor a, wg_tensor b);
    double (*number)(double a, double b); /* the same for numbers; NULL: not while recording */
    int kind;                             /* which one it is of those that share `record`: an enum of the file */
};
enum {
    WG__ON_HOST = 1,    /* known numbers give known numbers */
    WG__SIZES_ONLY = 2, /* the result depends on sizes alone */
    WG__LOOPS = 4,      /* operands are inputs of the body: Loop, Scan */
    WG__CONDITION = 8   /* the first result of the body says whether to go on: Loop */
};

extern const wg__onnx_row wg__onnx_pointwise[], wg__onnx_logic[], wg__onnx_shape[], wg__onnx_join[],
    wg__onnx_make[], wg__onnx_reduce[], wg__onnx_product[], wg__onnx_conv[], wg__onnx_pool[], wg__onnx_norm[],
    wg__onnx_recurrent[], wg__onnx_index[], wg__onnx_select[], wg__onnx_control[], wg__onnx_attention[],
    wg__onnx_quantize[], wg__onnx_resize[], wg__onnx_loss[], wg__onnx_sample[], wg__onnx_contrib[],
    wg__onnx_fused_attention[];

/* The row of calls of functions. */
extern const wg__onnx_row wg__onnx_call;

/* The row of an operator, by the domain's name, empty for the default one; NULL if there is none. */
const wg__onnx_row *wg__onnx_find(const char *domain, const char *name);
/* What the row says of an attribute: "i", "s:none|tanh", up to a space; NULL if it has none of that name. */
const char *wg__row_attribute(const wg__onnx_row *row, wg__span name);
/* The place of the text in such a list "none|tanh"; -1 if it is not there. */
int wg__text_choice(const char *list, wg__span text);
/* What to do instead of an operator without a row. */
const char *wg__onnx_instead(const char *domain, const char *name);

/* ---- a call: a node while it is recorded ---- */

/* What one wg_onnx_apply may still take: a small file can ask for loops inside of loops. */
typedef struct wg__budget {
    int64_t steps;   /* nodes to record and turns of loops to take, with their operands */
    int64_t numbers; /* known while recording */
} wg__budget;

struct wg__call {
    wg_onnx *model;
    const wg__onnx_node *node;
    wg_tape *tape;
    wg__arena *arena;
    wg__known_item *items; /* by value */
    wg__budget *budget;
    int n_in, n_out;
};

/* Operand k: whether it is there; its item; its tensor (numbers known while recording become data); its shape, element
 * type, rank. */
bool wg__has(const wg__call *c, int k);
const wg__known_item *wg__in(const wg__call *c, int k);
wg_tensor wg__tensor(wg__call *c, int k);
wg_shape wg__shape_of(const wg__call *c, int k);
int wg__type_of(const wg__call *c, int k);
bool wg__is_known(const wg__call *c, int k); /* its numbers are known while recording */
bool wg__all_known(const wg__call *c);       /* those of all operands */
bool wg__wants(const wg__call *c, int k);    /* result k has a name */

/* The numbers of operand k, which must be known while recording; NULL with an error if they are not. */
const double *wg__known(wg__call *c, int k, int64_t *n);
/* The number of a scalar operand, or `otherwise` if it is omitted; an integer: the one nearest to it, 0 for NaN. */
double wg__known_scalar(wg__call *c, int k, double otherwise);
int64_t wg__known_integer(wg__call *c, int k, int64_t otherwise);
/* Integers of operand k (or of the attribute, in older opsets): how many; -1 if there are none, or with an error, as
 * for more than `most`. */
int wg__known_ints(wg__call *c, int k, int64_t *out, int most);
int wg__ints_of(wg__call *c, int k, const char *attribute, int64_t *out, int most);
/* An axis from -rank to rank - 1 made positive; 0 with an error. */
int wg__call_axis(wg__call *c, int64_t axis, int rank);

/* Results. set_type: the element type, if it is not that of the tensor. */
void wg__set(wg__call *c, int k, wg_tensor tensor, int type);
/* Numbers of a shape, in the arena; NULL with an error if there are too many. */
double *wg__numbers_new(wg__call *c, const wg_shape *shape);
void wg__set_known(wg__call *c, int k, wg_shape shape, double *numbers, int type);
void wg__set_item(wg__call *c, int k, const wg__known_item *item);
/* Whether result 0 with this shape should be numbers: somebody wants them, or they are few. */
bool wg__keep_known(wg__call *c, const wg_shape *shape);

/* Stores an error on the tape, with operator and node. */
void wg__call_fail(wg__call *c, wg_status status, const char *rule, ...) WG_PRINTF(3, 4);
bool wg__call_failed(const wg__call *c);

/* A tensor of numbers: of an element type; of the model's floats. */
wg_tensor wg__data_of(wg__call *c, wg_shape shape, const double *numbers, int type);
wg_tensor wg__scalar_like(wg__call *c, wg_tensor x, double number);
wg_dtype wg__dtype_of(const wg_onnx *model, int type);

/* Takes the node, or a turn of it, with the bytes of its attributes, from the budget; false with an error if nothing is
 * left. */
bool wg__take_step(wg__call *c);
/* Records the nodes of a graph; false after an error. */
bool wg__record_graph(wg__call *c, const wg__graph *graph);

/* ---- what families share ---- */

/* Copies numbers: out[i] = x[offset + i . stride]. */
void wg__known_strided(const double *x, int64_t offset, const int64_t *stride, const wg_shape *shape, double *out);
/* The row-major strides of a shape. */
void wg__strides_of(const wg_shape *shape, int64_t *stride);
/* x with all operands' shapes broadcast; index of element i of `shape` in an operand that broadcasts to it. */
int64_t wg__broadcast_index(const wg_shape *shape, const wg_shape *operand, int64_t i);
/* Window attributes of convolutions and poolings. Some files have an auto_pad without a text. */
#define WG__AUTO_PAD "auto_pad=s:NOTSET|SAME_UPPER|SAME_LOWER|VALID| "
typedef struct wg__onnx_window {
    int axes;
    int64_t kernel[WG_CONV_AXES], stride[WG_CONV_AXES], dilation[WG_CONV_AXES];
    int64_t before[WG_CONV_AXES], after[WG_CONV_AXES];
    bool ceil;
} wg__onnx_window;
/* Of x[N, C, ...], kernel sizes from the attribute or, if kernel is not NULL, from that shape; auto_pad is resolved. */
bool wg__window_of(wg__call *c, const wg_shape *x, const wg_shape *weight, wg__onnx_window *window);
/* An attribute of n numbers, at least `least` and below 2^30; `out` stays as it is if there is none. False with an
 * error. */
bool wg__window_list(wg__call *c, const char *name, int n, int64_t least, int64_t *out);

#endif
