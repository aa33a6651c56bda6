/* Evaluating and reading: makes or finds the plan of a request, runs it, returns values. */
#include "engine.h"

#include <string.h>

static bool is_known(const wg_tape *tape, uint32_t id)
{
    const wg__node *node = &tape->nodes[id];
    return (node->flags & WG__NODE_VALUE) || node->leaf == WG__LEAF_DATA;
}

wg_status wg__force(wg_tape *tape, const wg__wanted *wanted)
{
    if (wg__failed(tape)) return tape->errors.first.status;
    bool nothing = !wanted->loss && !tape->n_kept && !tape->n_assigns;
    for (uint32_t i = 0; i < wanted->n && nothing; i++) nothing = is_known(tape, wanted->nodes[i]);
    if (nothing) return WG_OK;
    wg__plan *plan = wg__plan_for(tape, wanted);
    if (!plan) return tape->errors.first.status;
    tape->modes.planning = true;
    const wg_status status = wg__run(tape, plan);
    tape->modes.planning = false;
    return status;
}

static wg_status force_one(wg_tape *tape, uint32_t node)
{
    return wg__force(tape, &(wg__wanted){.nodes = &node, .n = 1});
}

wg_status wg__run_now(wg_tape *tape, uint32_t node)
{
    wg_status (*run_now)(wg_tape *, uint32_t) = tape->run_now;
    tape->run_now = NULL; /* planning records nodes, which must not run */
    wg_status status = force_one(tape, node);
    tape->run_now = run_now;
    return status;
}

/* The ids of tensors of one tape. Returns NULL with an error stored if one of them is not valid. */
static uint32_t *ids_of(const wg_tensor *tensors, int n, const char *what)
{
    wg_tape *tape = tensors[0].tape;
    uint32_t *ids = wg__arena_alloc(&tape->data, (size_t)n * sizeof *ids, 8);
    if (!ids) return wg__out_of_memory(tape), NULL;
    for (int i = 0; i < n; i++) {
        if (tensors[i].tape != tape) {
            wg_fail(tensors[0], WG_ERR_ARGUMENT, what, "tensor %d is %s", i + 1,
                    tensors[i].tape ? "on another tape" : "not set");
            return NULL;
        }
        if (!wg__resolve(tensors[i], what)) return NULL;
        ids[i] = tensors[i].node;
    }
    return ids;
}

wg_status wg_eval(const wg_tensor *tensors, int n)
{
    if (n <= 0 || !tensors || !tensors[0].tape) return WG_ERR_ARGUMENT;
    wg_tape *tape = tensors[0].tape;
    if (wg__failed(tape)) return tape->errors.first.status;
    uint32_t *ids = ids_of(tensors, n, "eval");
    if (!ids) return wg__failed(tape) ? tape->errors.first.status : WG_ERR_ARGUMENT;
    return wg__force(tape, &(wg__wanted){.nodes = ids, .n = (uint32_t)n});
}

size_t wg_plan_bytes(const wg_tensor *tensors, int n)
{
    if (n <= 0 || !tensors || !tensors[0].tape || wg__failed(tensors[0].tape)) return 0;
    uint32_t *ids = ids_of(tensors, n, "plan_bytes");
    if (!ids) return 0;
    const wg__plan *plan = wg__plan_for(tensors[0].tape, &(wg__wanted){.nodes = ids, .n = (uint32_t)n});
    return plan ? wg__plan_bytes(plan) : 0;
}

const void *wg_value(wg_tensor tensor)
{
    wg__node *node = wg__resolve(tensor, "value");
    if (!node) return NULL;
    wg_tape *tape = tensor.tape;
    if (node->leaf == WG__LEAF_DATA) {
        static const double empty = 0; /* the data of an empty tensor may be NULL */
        const void *data = tape->leaves[node->slot].data;
        return data ? data : &empty;
    }
    if (!(node->flags & WG__NODE_VALUE) && force_one(tape, tensor.node) != WG_OK) return NULL;
    assert((tape->nodes[tensor.node].flags & WG__NODE_VALUE) && tape->nodes[tensor.node].value < tape->n_values);
    return tape->values[tape->nodes[tensor.node].value];
}

double wg_item(wg_tensor tensor)
{
    double value = __builtin_nan("");
    wg__node *node = wg__resolve(tensor, "item");
    if (!node) return value;
    if (wg__numel_of(tensor.tape, node) != 1) {
        char text[128];
        wg_fail(tensor, WG_ERR_SHAPE, "item", "%s does not have exactly one element",
                wg_shape_text(wg__shape_of_node(tensor.tape, node), text, sizeof text));
        return value;
    }
    wg_dtype dtype = (wg_dtype)node->dtype;
    const void *data = wg_value(tensor);
    if (data) tensor.tape->structural->to_f64(dtype, data, 1, &value);
    return value;
}

wg_status wg_read(wg_tensor tensor, void *out, size_t bytes)
{
    const void *data = wg_value(tensor);
    wg_tape *tape = tensor.tape;
    if (!tape || !data) return tape && wg__failed(tape) ? tape->errors.first.status : WG_ERR_ARGUMENT;
    size_t size = (size_t)wg__size_of(tape, &tape->nodes[tensor.node]);
    if (size != bytes) {
        wg_fail(tensor, WG_ERR_ARGUMENT, "read", "the tensor has %zu bytes, not %zu", size, bytes);
        return WG_ERR_ARGUMENT;
    }
    if (size && !out) {
        wg_fail(tensor, WG_ERR_ARGUMENT, "read", "the memory to read to is NULL");
        return WG_ERR_ARGUMENT;
    }
    if (size) memcpy(out, data, size);
    return WG_OK;
}
