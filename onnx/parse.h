/* Internal. What graph.c, for graphs, and function.c, for calls of functions, share. */
#ifndef WG_ONNX_PARSE_H
#define WG_ONNX_PARSE_H

#include "names.h"

/* A function of the model: FunctionProto. */
typedef struct wg__function {
    wg__span message, domain, name, overload;
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

/* Parses the nodes of a graph or function, which are field `number`; names of values from `first` on are defined by it.
 */
bool wg__parse_nodes(wg__parser *parser, uint32_t number, wg__graph *graph, uint32_t first);
/* A graph with room for what the message has in the fields of these numbers; NULL with an error. */
wg__graph *wg__graph_new(wg__parser *parser, wg__span message, uint32_t nodes, uint32_t in, uint32_t out);
/* The version of an OperatorSetIdProto of the default domain; 0 for another domain. */
int wg__parse_opset(wg__span message);
/* Refuses an opset that is not known. */
bool wg__opset_is_known(const wg_onnx *model, int opset, wg_error *error);
/* Makes the node, whose operands are parsed, a call of the function: its body is the function's nodes. */
bool wg__parse_call(const wg__parser *parser, const wg__function *function, wg__onnx_node *node, int n_out);

#endif
