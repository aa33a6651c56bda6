/* A max pool is a gather by the places of the maxima: ops/pool.c. */
#include "writer.h"

#include <string.h>

#include "../../ops/kernels/move/move.h"

static bool is_op(const wg__walked *node, const char *name)
{
    return node->op && strcmp(node->op->name, name) == 0;
}

/* The node whose elements these are, in their order. */
static uint32_t behind_reshapes(const wg_tape *tape, uint32_t number)
{
    wg__walked node = wg__walk_at(tape, number);
    while (is_op(&node, "reshape")) node = wg__walk_at(tape, number = node.in[0]);
    return number;
}

bool wg__pooled(const wg_tape *tape, const wg__walked *node, wg__walked *pool)
{
    if (!is_op(node, "gather") || ((const wg__axis_attr *)node->attr)->axis != 2) return false;
    *pool = wg__walk_at(tape, behind_reshapes(tape, node->in[1]));
    if (!is_op(pool, "pool_argmax")) return false;
    const wg_shape image = wg__walk_at(tape, pool->in[0]).shape, rows = wg__walk_at(tape, node->in[0]).shape;
    return behind_reshapes(tape, node->in[0]) == behind_reshapes(tape, pool->in[0]) && rows.rank == 3 &&
           rows.size[0] == image.size[0] && rows.size[1] == image.size[1];
}
