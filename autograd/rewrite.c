/* Rewriting. The rules and the ops at which they apply come from ops/ (wg__structural). A node keeps its id, so that
 * nobody who reads it needs to know; what it no longer reads is dropped by the pass need.
 *
 * A program without those ops costs nothing. Otherwise O(n): who reads whom is found once. */
#include "rewrite.h"

#include "plan.h"

static uint32_t index_of(const wg_tape *tape, const wg_op *op)
{
    for (uint32_t i = 1; i < tape->n_ops; i++)
        if (tape->ops[i] == op) return i;
    return 0;
}

/* Backwards from what is wanted, the gradient's way included: a value that was computed is read by that, too. */
static bool find_readers(wg__rewrite *r, uint32_t loss, const uint32_t *wanted, uint32_t n)
{
    const wg_tape *tape = r->tape;
    uint32_t *reader = r->reader = wg__plan_array(&r->tape->scratch, tape->n_nodes, sizeof *r->reader);
    if (!reader) return false;
    reader[loss] = WG__READ_MORE;
    for (uint32_t i = 0; i < n; i++) reader[wanted[i]] = WG__READ_MORE;
    for (uint32_t i = 0; i < tape->n_assigns; i++) reader[tape->assigns[i].node] = WG__READ_MORE;
    for (uint32_t id = tape->n_nodes - 1; id > 0; id--) {
        const wg__node *node = &tape->nodes[id];
        if (node->flags & WG__NODE_KEPT) reader[id] = WG__READ_MORE;
        if (!reader[id]) continue;
        const uint32_t *in = wg__inputs(tape, node);
        for (uint32_t k = 0; k < node->n_in; k++) reader[in[k]] = reader[in[k]] ? WG__READ_MORE : id;
    }
    return true;
}

bool wg__rewrite_program(wg__rewrite *r, uint32_t loss, const uint32_t *wanted, uint32_t n)
{
    const wg_tape *tape = r->tape;
    for (const wg__rule *rule = wg__structural_ops.rules; rule->at; rule++) {
        const uint32_t op = index_of(tape, rule->at);
        if (!op || !(tape->passes & rule->pass) || tape->options.locate_nonfinite) continue;
        for (uint32_t id = 1; id < tape->n_nodes; id++) {
            if (tape->nodes[id].op != op) continue;
            if (rule->readers && !r->reader && !find_readers(r, loss, wanted, n)) return false;
            if (!rule->apply(r, id)) return false;
        }
    }
    return true;
}

uint32_t wg__rewrite_first(wg__rewrite *r, uint32_t id, uint32_t node)
{
    if (!r->first) r->first = wg__plan_array(&r->tape->scratch, r->tape->n_nodes, sizeof *r->first);
    if (!r->first) return 0;
    if (!r->first[id]) r->first[id] = node;
    return r->first[id];
}

bool wg__rewrite_node(wg__rewrite *r, uint32_t id, const wg_op *op, wg__node to, const void *attr, size_t size)
{
    const uint32_t op_id = wg__intern_op(r->tape, op), attr_id = size ? wg__intern_attr(r->tape, attr, size) : 0;
    if (op_id == UINT32_MAX || attr_id == UINT32_MAX) return false;
    wg__node *node = &r->tape->nodes[id];
    node->op = (uint16_t)op_id;
    node->attr = attr_id;
    node->n_in = to.n_in;
    for (int k = 0; k < 4; k++) node->in[k] = to.in[k];
    node->shape = to.shape;
    node->dtype = to.dtype;
    r->changed = true;
    return true;
}
