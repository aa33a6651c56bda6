/* A max pool is a gather by the places of the maxima: ops/pool.c. */
#include "writer.h"

#include <string.h>

#include "../../ops/kernels/move/move.h"

static bool is_op(const wg__walked *node, const char *name)
{
    return node->op && strcmp(node->op->name, name) == 0;
}

/* The node, or its operand if it is a reshape. */
static uint32_t behind_reshape(const wg_tape *tape, uint32_t number)
{
    const wg__walked node = wg__walk_at(tape, number);
    return is_op(&node, "reshape") ? node.in[0] : number;
}

bool wg__pooled(const wg_tape *tape, const wg__walked *node, wg__walked *pool)
{
    if (!is_op(node, "gather") || ((const wg__axis_attr *)node->attr)->axis != 2) return false;
    *pool = wg__walk_at(tape, behind_reshape(tape, node->in[1]));
    if (!is_op(pool, "pool_argmax")) return false;
    const wg_shape image = wg__walk_at(tape, pool->in[0]).shape, rows = wg__walk_at(tape, node->in[0]).shape;
    return behind_reshape(tape, node->in[0]) == behind_reshape(tape, pool->in[0]) && rows.rank == 3 &&
           rows.size[0] == image.size[0] && rows.size[1] == image.size[1];
}
