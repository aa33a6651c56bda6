/* Internal. What graph.c parses graphs with: the functions of the model, and their calls (function.c). */
#ifndef WG_ONNX_PARSE_H
#define WG_ONNX_PARSE_H

#include "names.h"

/* A function of the model: FunctionProto. */
typedef struct wg__function {
    wg__span message, domain, name, overload;
    wg__formal *formals; /* [n_formals] */
    int n_formals;
    int opset; /* of the default domain; 0: that of the model */
} wg__function;

typedef struct wg__functions {
    wg__heap *heap;
    wg__function *list;
    uint32_t n, cap;
    wg__index index; /* domain, name, overload -> place in list, plus 1 */
} wg__functions;

/* Adds the FunctionProto messages of a ModelProto. */
bool wg__functions_init(wg__functions *functions, wg_onnx *model, wg__span bytes, wg_error *error);
void wg__functions_fini(wg__functions *functions);
/* NULL if the model has none of that name. */
const wg__function *wg__function_find(const wg__functions *functions, wg__span domain, wg__span name,
                                      wg__span overload);

typedef struct wg__parser {
    wg_onnx *model;
    wg__names names; /* of the model's graph, or of a call of a function, and the graphs inside of it */
    const wg__functions *functions;
    const wg__frame *frame; /* the call; NULL: the model's graph */
    int opset;              /* of the nodes */
    int depth;              /* of graphs inside of nodes */
    wg_error *error;
} wg__parser;

/* The version of an OperatorSetIdProto of the default domain; 0 for another domain (opset.c). */
int wg__parse_opset(wg__span message);
/* Refuses an opset that is not known. */
bool wg__opset_is_known(const wg_onnx *model, int opset, wg_error *error);
/* A new call; refused if the function calls itself, calls are too deep, or the call has an attribute that the function
 * does not declare. NULL with an error. */
wg__frame *wg__frame_new(const wg__parser *outer, const wg__function *function, const wg__onnx_node *node);
/* The names of inputs stand for the operands of the call; those that it does not give are omitted. */
bool wg__frame_bind(wg__parser *parser, const wg__onnx_node *node, wg__span function);
/* The results of the body, of which the call reads n_out. */
bool wg__frame_results(wg__parser *parser, const wg__onnx_node *node, wg__graph *body, int n_out);

#endif
