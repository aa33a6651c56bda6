/* Pass: views become strides. A view costs nothing unless strides cannot express it; then its operand is copied.
 * A fill is one number seen with strides of zero. Exact. */
#include "plan.h"

#include <string.h>

wg_layout wg__dense_layout(const wg_shape *shape)
{
    wg_layout layout = {0};
    int64_t stride = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        layout.stride[i] = stride;
        stride *= shape->size[i];
    }
    return layout;
}

bool wg__is_dense(const wg_layout *layout, const wg_shape *shape)
{
    int64_t stride = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        if (shape->size[i] == 0) return true;
        if (shape->size[i] != 1 && layout->stride[i] != stride) return false;
        stride *= shape->size[i];
    }
    return true;
}

wg_layout wg__layout_of(const wg__planner *p, uint32_t node)
{
    if (p->view[node]) return *p->view[node];
    return wg__dense_layout(wg__shape_of_node(p->tape, &p->tape->nodes[node]));
}

static bool lay_out_view(wg__planner *p, uint32_t id)
{
    const wg__node *node = &p->tape->nodes[id];
    const wg_op *op = p->tape->ops[node->op];
    uint32_t from = wg__inputs(p->tape, node)[0];
    const wg_shape *in = wg__shape_of_node(p->tape, &p->tape->nodes[from]);
    const wg_shape *out = wg__shape_of_node(p->tape, node);
    wg_layout *layout = wg__plan_array(p->arena, 1, sizeof *layout), over = wg__layout_of(p, from);
    if (!layout) return false;
    p->view[id] = layout;
    p->root[id] = p->root[from];
    if (op->view(in, &over, out, wg__attr_of(p->tape, node), layout)) {
        p->state[p->root[from]] |= WG__DENSE;
        if (p->state[id] & WG__PART) {
            p->view[id] = NULL;
            p->root[id] = id;
        }
        return true;
    }
    over = wg__dense_layout(in);
    memset(layout, 0, sizeof *layout);
    p->root[id] = id;
    p->state[id] &= (uint16_t)~WG__PART;
    p->state[id] |= WG__VIEW_COPY;
    p->state[p->root[from]] |= WG__DENSE;
    return op->view(in, &over, out, wg__attr_of(p->tape, node), layout);
}

bool wg__plan_layout(wg__planner *p)
{
    wg_tape *tape = p->tape;
    for (uint32_t id = 1; id < p->n; id++) {
        p->root[id] = p->owner[id] = id;
        if (!(p->state[id] & WG__NEEDED)) continue;
        const wg__node *node = &tape->nodes[id];
        if (!node->op || (node->flags & WG__NODE_VALUE)) continue;
        if (tape->ops[node->op] == wg__structural_ops.fill) {
            p->state[id] |= WG__CONSTANT;
            p->view[id] = wg__plan_array(p->arena, 1, sizeof(wg_layout)); /* strides of zero */
            if (!p->view[id]) return false;
        } else if (tape->ops[node->op]->kind == WG_KIND_VIEW && !lay_out_view(p, id)) {
            return false;
        }
    }
    return true;
}
