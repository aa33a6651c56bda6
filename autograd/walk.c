/* Walks over a recorded program: see walk.h. */
#include "walk.h"

#include "engine.h"

uint32_t wg__walk_number(wg_tensor tensor)
{
    const bool valid = tensor.tape && tensor.epoch == tensor.tape->epoch && tensor.node < tensor.tape->n_nodes;
    return valid ? tensor.node : 0;
}

wg_allocator wg__walk_allocator(const wg_tape *tape) { return tape->heap.allocator; }

wg__walked wg__walk_at(const wg_tape *tape, uint32_t number)
{
    assert(number > 0 && number < tape->n_nodes);
    const wg__node *node = &tape->nodes[number];
    wg__walked walked = {.in = wg__inputs(tape, node),
                         .n_in = (int)node->n_in,
                         .shape = *wg__shape_of_node(tape, node),
                         .dtype = (wg_dtype)node->dtype,
                         .scope = tape->scopes.list[node->scope].path};
    if (node->op) {
        walked.op = wg__op_of(tape, node);
        walked.attr = wg__attr_of(tape, node);
        walked.attr_size = node->attr ? tape->interned.attr_sizes[node->attr] : 0;
    } else {
        const wg__leaf *leaf = &tape->leaves[node->slot];
        walked.param = leaf->param;
        walked.data = leaf->state == WG__LEAF_OUTDATED ? NULL : leaf->data;
    }
    return walked;
}
