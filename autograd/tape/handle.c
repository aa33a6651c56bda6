/* Handles: validation, and queries that need no computation. */
#include "graph.h"

wg__node *wg__resolve(wg_tensor tensor, const char *what)
{
    wg_tape *tape = tensor.tape;
    if (!tape) return NULL;
    if (wg__failed(tape) || tensor.node == 0) return NULL;
    if (tensor.epoch != tape->epoch) {
        wg_fail_on(tape, WG_ERR_STALE, what,
                   "the tensor was recorded before the last wg_tape_reset (epoch %llu, now %llu)",
                   (unsigned long long)tensor.epoch, (unsigned long long)tape->epoch);
        return NULL;
    }
    if (tensor.node >= tape->n_nodes) {
        wg__tape_error(tape, WG_ERR_ARGUMENT, "%s: not a tensor of this tape", what);
        return NULL;
    }
    assert(tape->nodes[tensor.node].shape && wg_dtype_size((wg_dtype)tape->nodes[tensor.node].dtype));
    return &tape->nodes[tensor.node];
}

bool wg__shape_for(wg_tensor tensor, wg_shape *shape, const char *op)
{
    wg__node *node = wg__resolve(tensor, op);
    if (node) *shape = *wg__shape_of_node(tensor.tape, node);
    return node != NULL;
}

wg_shape wg_shape_get(wg_tensor tensor)
{
    wg__node *node = wg__resolve(tensor, "shape");
    return node ? *wg__shape_of_node(tensor.tape, node) : wg_shape_of(-1, NULL);
}

wg_dtype wg_dtype_get(wg_tensor tensor)
{
    wg__node *node = wg__resolve(tensor, "dtype");
    return node ? (wg_dtype)node->dtype : WG_F32;
}

int wg_rank(wg_tensor tensor) { return wg_shape_get(tensor).rank; }

int64_t wg_size(wg_tensor tensor, int axis)
{
    wg_shape shape = wg_shape_get(tensor);
    if (axis < 0) axis += shape.rank;
    return axis >= 0 && axis < shape.rank ? shape.size[axis] : -1;
}

int64_t wg_numel(wg_tensor tensor)
{
    wg__node *node = wg__resolve(tensor, "numel");
    return node ? wg__numel_of(tensor.tape, node) : 0;
}

bool wg_is_nil(wg_tensor tensor) { return !tensor.tape || tensor.node == 0; }
