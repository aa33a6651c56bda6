/* Pass rewrite: replaces forms that are written in one way by ops that compute them better: written-out attention, and
 * products by one-hot rows. The rules and the ops at which they apply come from ops/ (wg__structural). A rewritten node
 * keeps its id, so its readers do not change; nodes that are no longer read are dropped by liveness.
 *
 * Free for a program without those ops. Otherwise O(n): readers are found once. */
#include "rewrite.h"

#include "pipeline.h"

/* Backwards from the wanted nodes and the loss. A value of an earlier run is treated like any other node: its inputs
 * count as read. */
static bool find_readers(wg__rewrite *r, const wg__request *request)
{
    const wg_tape *tape = r->tape;
    uint32_t *reader = r->reader = wg__arena_array(&r->tape->working, tape->n_nodes, sizeof *r->reader);
    if (!reader) return false;
    reader[request->loss] = WG__READ_MORE;
    for (uint32_t i = 0; i < request->n_targets; i++) reader[request->targets[i]] = WG__READ_MORE;
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

bool wg__plan_rewrite(wg__planner *p)
{
    wg_tape *tape = p->tape;
    wg__rewrite r = {.tape = tape};
    for (const wg__rule *rule = tape->structural->rules; rule->at; rule++) {
        const uint32_t op = wg__find_op(tape, rule->at);
        if (!op || !(p->passes & rule->pass)) continue;
        for (uint32_t id = 1; id < tape->n_nodes; id++) {
            if (tape->nodes[id].op != op) continue;
            if (rule->readers && !r.reader && !find_readers(&r, p->request)) return false;
            if (!rule->apply(&r, id)) return false;
        }
    }
    p->rewritten = r.changed;
    return true;
}

uint32_t wg__rewrite_first(wg__rewrite *r, uint32_t id, uint32_t node)
{
    if (!r->first) r->first = wg__arena_array(&r->tape->working, r->tape->n_nodes, sizeof *r->first);
    if (!r->first) return 0;
    if (!r->first[id]) r->first[id] = node;
    return r->first[id];
}

bool wg__rewrite_node(wg__rewrite *r, uint32_t id, const wg_op *op, wg__node to, const void *attr, size_t size)
{
    const uint32_t op_id = wg__intern_op(r->tape, op), attr_id = size ? wg__intern_attr(r->tape, attr, size) : 0;
    if (!op_id || (size && !attr_id)) return false;
    wg__node *node = &r->tape->nodes[id];
    node->op = (uint16_t)op_id;
    node->attr = attr_id;
    node->n_in = to.n_in;
    assert(to.n_in <= 4 && to.shape);
    for (int k = 0; k < 4; k++) {
        assert(to.in[k] < id);
        node->in[k] = to.in[k];
    }
    node->shape = to.shape;
    node->dtype = to.dtype;
    r->changed = true;
    return true;
}
