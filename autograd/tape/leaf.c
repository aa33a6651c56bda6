/* Leaves: data, parameters and buffers. Marks on nodes: keep, assign, detach. */
#include "../base/fp.h"
#include "graph.h"

#include <string.h>

/* Appends a leaf. Returns 0 with an error if out of memory. */
static uint32_t leaf_new(wg_tape *tape, wg__leaf_kind kind, wg_dtype dtype, const wg_shape *shape, wg__leaf leaf,
                         uint64_t key)
{
    assert(kind != WG__LEAF_NONE && (kind == WG__LEAF_PARAM) == (leaf.param != NULL));
    if (!wg__grow(&tape->heap, (void **)&tape->leaves, &tape->cap_leaves, tape->n_leaves + 1u, sizeof leaf)) {
        wg__out_of_memory(tape);
        return 0;
    }
    wg__node node = {.dtype = (uint8_t)dtype,
                     .leaf = (uint8_t)kind,
                     .slot = tape->n_leaves,
                     .key = key,
                     .scope = tape->scopes.current};
    node.shape = wg__intern_shape(tape, shape);
    if (!node.shape) {
        wg__out_of_memory(tape);
        return 0;
    }
    uint32_t id = wg__node_append(tape, &node, NULL);
    if (id) tape->leaves[tape->n_leaves++] = leaf;
    return id;
}

/* Whether all bytes are 0 or 1, as kernels have them. */
static bool are_bools(const uint8_t *bytes, size_t n)
{
    uint8_t all = 0;
    for (size_t i = 0; i < n; i++) all |= bytes[i];
    return all <= 1;
}

static wg_tensor data_leaf(wg_tape *tape, wg_dtype dtype, wg_shape shape, const void *numbers, bool copy,
                           const char *name)
{
    if (!tape || wg__failed(tape) || !wg__may_record(tape, name)) return tape ? wg__nil(tape) : WG_NONE;
    size_t bytes;
    if ((unsigned)dtype >= WG_DTYPES) return wg_fail_on(tape, WG_ERR_DTYPE, name, "invalid dtype %d", (int)dtype);
    if (!wg_shape_bytes(&shape, dtype, &bytes)) {
        char text[128];
        return wg_fail_on(tape, WG_ERR_SHAPE, name, "%s: the size is invalid or too large",
                          wg_shape_text(&shape, text, sizeof text));
    }
    if (!numbers && bytes) return wg_fail_on(tape, WG_ERR_ARGUMENT, name, "numbers is NULL");
    wg__leaf leaf = {.data = (void *)(uintptr_t)numbers};
    const bool as_they_are = dtype != WG_BOOL || are_bools(numbers, bytes);
    if (copy || !as_they_are || (uintptr_t)numbers % wg_dtype_size(dtype) != 0) {
        leaf.data = wg__arena_alloc(&tape->data, bytes + 64, bytes < 64 ? 8 : 64);
        if (!leaf.data) return wg__out_of_memory(tape), wg__nil(tape);
        if (bytes) memcpy(leaf.data, numbers, bytes);
        for (size_t i = 0; i < bytes && !as_they_are; i++)
            ((uint8_t *)leaf.data)[i] = ((uint8_t *)leaf.data)[i] != 0;
    }
    return wg__handle(tape, leaf_new(tape, WG__LEAF_DATA, dtype, &shape, leaf, 0));
}

wg_tensor wg_data(wg_tape *tape, wg_dtype dtype, wg_shape shape, const void *numbers)
{
    return data_leaf(tape, dtype, shape, numbers, true, "data");
}

wg_tensor wg_borrow(wg_tape *tape, wg_dtype dtype, wg_shape shape, const void *numbers)
{
    return data_leaf(tape, dtype, shape, numbers, false, "borrow");
}

wg_tensor wg_scalar(wg_tape *tape, wg_dtype dtype, double value)
{
    double storage = 0;
    if (tape && !wg__has_number(dtype, value))
        return wg_fail_on(tape, WG_ERR_ARGUMENT, "scalar", "%g is not an i32; see wg_cast", value);
    const wg__fp caller = wg__fp_begin();
    if (tape && (unsigned)dtype < WG_DTYPES) tape->structural->from_f64(dtype, value, 1, &storage);
    wg__fp_end(&caller);
    return data_leaf(tape, dtype, WG_SCALAR, &storage, true, "scalar");
}

/* The node of the parameter's present value. Returns 0 with an error of `what` stored. */
static uint32_t param_node(wg_tape *tape, wg_param *param, const char *what)
{
    const uint64_t key = wg__param_id(param);
    if (!wg__may_record(tape, what)) return 0;
    uint32_t id = wg__param_node(tape, key);
    assert(!id || tape->leaves[tape->nodes[id].slot].param == param); /* ids are unique */
    if (id && tape->leaves[tape->nodes[id].slot].state == WG__LEAF_CURRENT) return id;
    if (tape->modes.differentiating) {
        wg_fail_on(tape, WG_ERR_GRADIENT, what, "a derivative rule must not use a parameter (%s)",
                   wg_param_name(param));
        return 0;
    }
    wg_shape shape = wg_param_shape(param);
    const wg__leaf leaf = {.data = wg__param_data(param), .param = param, .version = wg_param_version(param)};
    id = leaf_new(tape, WG__LEAF_PARAM, wg_param_dtype(param), &shape, leaf, key);
    if (id && !wg__param_node_set(tape, key, id)) return wg__out_of_memory(tape), 0;
    return id;
}

/* After an error: a leaf without a node, by which wg_backward knows whose gradients become invalid. */
static void use_in_vain(wg_tape *tape, wg_param *param)
{
    const wg_param *last = tape->n_leaves ? tape->leaves[tape->n_leaves - 1].param : NULL;
    if (!param || (last && wg_param_set(last) == wg_param_set(param))) return;
    if (wg__grow(&tape->heap, (void **)&tape->leaves, &tape->cap_leaves, tape->n_leaves + 1u, sizeof(wg__leaf)))
        tape->leaves[tape->n_leaves++] = (wg__leaf){.param = param};
    else
        wg__param_grad_invalid(param);
}

wg_tensor wg__narrow_of(wg_tensor tensor)
{
    const wg__node *node = tensor.tape && !wg__failed(tensor.tape) ? wg__resolve(tensor, "widen") : NULL;
    const bool widens = node && node->op && wg__op_is(tensor.tape, node, tensor.tape->structural->widen);
    return widens ? wg__handle(tensor.tape, wg__inputs(tensor.tape, node)[0]) : WG_NONE;
}

wg_tensor wg__widen(wg_tensor narrow) { return wg_record(narrow.tape->structural->widen, &narrow, 1, NULL, 0); }

/* A parameter in bf16 as f32: one node for all its uses, inside of wg_no_grad_begin or not. */
static wg_tensor use_wide(wg_tape *tape, uint32_t id)
{
    const uint32_t slot = tape->nodes[id].slot;
    const int no_grad = tape->modes.no_grad;
    if (!tape->leaves[slot].wide) {
        tape->modes.no_grad = 0;
        tape->leaves[slot].wide = wg__widen(wg__handle(tape, id)).node;
        tape->modes.no_grad = no_grad;
    }
    return wg__handle(tape, tape->leaves[slot].wide);
}

wg_tensor wg_use(wg_tape *tape, wg_param *param)
{
    if (!tape) return WG_NONE;
    if (wg__failed(tape)) return use_in_vain(tape, param), wg__nil(tape);
    if (!param) return wg_fail_on(tape, WG_ERR_ARGUMENT, "use", "the parameter is NULL: see wg_params_message");
    const uint32_t id = param_node(tape, param, "use");
    if (!id) return wg__nil(tape);
    wg__leaf *leaf = &tape->leaves[tape->nodes[id].slot];
    if (leaf->assign) return wg_detach(wg__handle(tape, tape->assigns[leaf->assign - 1].node));
    leaf->recorded |= !tape->modes.no_grad;
    return wg_param_dtype(param) == WG_BF16 ? use_wide(tape, id) : wg__handle(tape, id);
}

void wg_assign(wg_buffer *buffer, wg_tensor tensor)
{
    wg__node *node = wg__resolve(tensor, "assign");
    wg_tape *tape = tensor.tape;
    if (!node) return;
    if (tape->modes.differentiating) {
        wg_fail(tensor, WG_ERR_GRADIENT, "assign", "a derivative rule must not assign a buffer");
        return;
    }
    if (!buffer || !wg_param_is_buffer(buffer)) {
        wg_fail(tensor, WG_ERR_ARGUMENT, "assign", "%s is not a buffer", buffer ? wg_param_name(buffer) : "NULL");
        return;
    }
    wg_shape have = *wg__shape_of_node(tape, node), want = wg_param_shape(buffer);
    if (!wg_shape_equal(&have, &want) || (wg_dtype)node->dtype != wg_param_dtype(buffer)) {
        char a[128], b[128];
        wg_fail(tensor, WG_ERR_SHAPE, "assign", "buffer %s is %s %s, the tensor %s %s", wg_param_name(buffer),
                wg_shape_text(&want, a, sizeof a), wg_dtype_name(wg_param_dtype(buffer)),
                wg_shape_text(&have, b, sizeof b), wg_dtype_name((wg_dtype)node->dtype));
        return;
    }
    const uint32_t id = param_node(tape, buffer, "assign");
    if (!id) return;
    wg__leaf *leaf = &tape->leaves[tape->nodes[id].slot];
    if (!leaf->assign) {
        if (!wg__grow(&tape->heap, (void **)&tape->assigns, &tape->cap_assigns, tape->n_assigns + 1u,
                      sizeof *tape->assigns)) {
            wg__out_of_memory(tape);
            return;
        }
        leaf->assign = ++tape->n_assigns;
    }
    tape->assigns[leaf->assign - 1] = (wg__assign){.buffer = buffer, .node = tensor.node};
    wg__hash_mix(tape, wg__param_id(buffer), tensor.node);
}

wg_tensor wg_keep(wg_tensor tensor)
{
    wg__node *node = wg__resolve(tensor, "keep");
    if (!node || !wg__may_record(tensor.tape, "keep")) return tensor.tape ? wg__nil(tensor.tape) : WG_NONE;
    if (tensor.tape->modes.differentiating)
        return wg_fail(tensor, WG_ERR_GRADIENT, "keep", "a derivative rule must not keep a tensor");
    if (!(node->flags & (WG__NODE_KEPT | WG__NODE_VALUE)) && node->leaf != WG__LEAF_DATA) {
        node->flags |= WG__NODE_KEPT;
        tensor.tape->n_kept++;
        wg__hash_mix(tensor.tape, tensor.node, 11);
    }
    return tensor;
}

/* A reshape to the same shape, through which no gradient flows. */
wg_tensor wg_detach(wg_tensor tensor)
{
    wg__node *node = wg__resolve(tensor, "detach");
    if (!node) return tensor.tape ? wg__nil(tensor.tape) : WG_NONE;
    wg_shape shape = *wg__shape_of_node(tensor.tape, node);
    wg_no_grad_begin(tensor.tape);
    wg_tensor result = wg_record(tensor.tape->structural->reshape, &tensor, 1, &shape, sizeof shape);
    wg_no_grad_end(tensor.tape);
    return result;
}

wg_tensor wg__same(wg_tensor tensor)
{
    wg_tape *tape = tensor.tape;
    const wg__node *node = tape && tape->modes.no_grad > 0 ? wg__resolve(tensor, "detach") : NULL;
    if (!node || (node->flags & WG__NODE_DETACHED) || !wg_dtype_is_float((wg_dtype)node->dtype)) return tensor;
    const bool buffer = node->leaf == WG__LEAF_PARAM && wg_param_is_buffer(tape->leaves[node->slot].param);
    return buffer ? tensor : wg_detach(tensor);
}
