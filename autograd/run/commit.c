/* The end of a run: makes values readable, adds gradients, assigns buffers. A failed run changes none of them. */
#include "run.h"

#include <string.h>

static void add_to(const wg_tape *tape, wg_dtype dtype, const void *in, int64_t n, void *out)
{
    const wg_op *op = tape->structural->add;
    const wg_pointwise add = (wg_pointwise)(void (*)(void))op->select(op, (wg_dtype[]){dtype, dtype}, 2, dtype);
    add(n, out, (const void *[]){out, in});
}

/* A gradient that the run wrote to its target needs no copy. */
static void write_grad(const wg_tape *tape, const wg__output *output, wg_param *param)
{
    void *grad = wg__param_grad_data(param);
    assert(output->numel == wg_param_numel(param) && output->memory);
    if (output->memory != grad && wg__param_grad_empty(param))
        memcpy(grad, output->memory, output->bytes);
    else if (output->memory != grad)
        add_to(tape, output->dtype, output->memory, output->numel, grad);
    wg__param_grad_written(param);
    wg__params_use_pool(wg_param_set(param), tape->options.pool);
}

/* Writes a buffer. Tensors recorded from it before keep its old value. */
static void write_buffer(wg_tape *tape, const wg__assign *a, const wg__output *output)
{
    wg__leaf *leaf = wg__current_leaf(tape, a->buffer);
    assert(output->numel == wg_param_numel(a->buffer) && output->memory);
    if (leaf) leaf->state = a->before ? WG__LEAF_PAST : WG__LEAF_OUTDATED;
    if (leaf && a->before) leaf->data = memcpy(a->before, leaf->data, output->bytes);
    void *value = wg__param_data(a->buffer);
    if (output->bytes && output->memory != value) memcpy(value, output->memory, output->bytes);
    wg__param_written(a->buffer);
}

void wg__run_commit(wg_tape *tape, const wg__plan *plan)
{
    for (uint32_t i = 0; i < plan->n_outputs; i++) {
        const wg__output *output = &plan->outputs[i];
        if (output->kind == WG__OUTPUT_VALUE) {
            wg__node *node = &tape->nodes[output->node];
            assert(!(node->flags & WG__NODE_VALUE) && tape->n_values < tape->cap_values);
            assert(!(node->flags & WG__NODE_KEPT) || tape->n_kept > 0);
            if (node->flags & WG__NODE_KEPT) tape->n_kept--;
            node->flags = (uint16_t)((node->flags & ~WG__NODE_KEPT) | WG__NODE_VALUE);
            node->value = tape->n_values;
            tape->values[tape->n_values++] = output->memory;
            wg__hash_mix(tape, output->node, 13);
        } else if (output->kind == WG__OUTPUT_GRAD) {
            write_grad(tape, output, wg__trained(tape, output));
        } else {
            assert(output->target < tape->n_assigns);
            write_buffer(tape, &tape->assigns[output->target], output);
        }
    }
    tape->n_assigns = 0;
}

void wg__run_discard(const wg_tape *tape, const wg__plan *plan)
{
    for (uint32_t i = 0; i < plan->n_outputs; i++)
        if (plan->outputs[i].kind == WG__OUTPUT_GRAD)
            wg__param_grad_clobbered(wg__trained(tape, &plan->outputs[i]));
}
