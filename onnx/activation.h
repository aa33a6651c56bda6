/* Internal. Activations by their names in a file: of recurrent nodes, and of nodes that ONNX Runtime has fused. */
#ifndef WG_ONNX_ACTIVATION_H
#define WG_ONNX_ACTIVATION_H

#include "internal.h"

typedef struct wg__activation {
    const char *name;
    int numbers;        /* 0, 1: it has alpha, 2: and beta */
    double alpha, beta; /* the defaults of the standard */
    wg_tensor (*apply)(wg_tensor x, double alpha, double beta);
} wg__activation;

/* False if the name is not known. */
bool wg__activation_find(wg__span name, wg__activation *activation);
/* The attribute `activation` of a fused node, with its numbers; the identity without one. False if it is not known. */
bool wg__activation_of(const wg__onnx_node *node, wg__activation *activation);
/* The reason for which a fused node is refused, or NULL. */
const char *wg__refuse_activation(const wg__onnx_node *node);
/* The activation of a fused node. */
wg_tensor wg__activate(const wg__call *c, wg_tensor x);

#endif
