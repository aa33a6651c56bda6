/* Pass layout: views become strides. A view is free unless strides cannot express it; then its operand is copied. A
 * fill is one number with strides of zero. A parameter in bf16 that only products read is read as it is; for other
 * readers it becomes f32 in the chain that reads it first, as a slice copy does. Exact. */
#include "planner.h"

#include <string.h>

/* Marks the nodes that widen bf16 for a reader of f32. */
static bool find_widened(wg__planner *p)
{
    bool *wide = wg__arena_array(p->scratch, p->n, sizeof *wide); /* read as f32 */
    if (!wide) return false;
    for (uint32_t id = p->n - 1; id > 0; id--) {
        const wg__node *node = wg__node_at(p, id);
        if (!(p->flags[id] & WG__LIVE) || wg__is_given(p, id)) continue;
        const wg_kind kind = wg__op_at(p, id)->kind;
        wide[id] |= p->flags[id] & WG__OUTPUT;
        const uint32_t *in = wg__inputs(p->tape, node);
        for (uint32_t k = 0; k < node->n_in; k++)
            wide[in[k]] |= kind == WG_KIND_VIEW ? wide[id] : kind != WG_KIND_PRODUCT;
        if (wide[id] && wg__op_is(p->tape, node, p->tape->structural->widen))
            p->flags[id] |= WG__SLICE_COPY | WG__DEFERRED;
    }
    return true;
}

static bool lay_out_view(wg__planner *p, uint32_t id)
{
    const wg__node *node = wg__node_at(p, id);
    const wg_op *op = wg__op_of(p->tape, node);
    uint32_t from = wg__inputs(p->tape, node)[0];
    const wg_shape *in = wg__shape_at(p, from), *out = wg__shape_of_node(p->tape, node);
    wg_layout *layout = wg__arena_array(p->arena, 1, sizeof *layout), base = wg__layout_of(p, from);
    if (!layout) return false;
    assert(from < id && p->storage.root[from]);
    p->storage.view[id] = layout;
    p->storage.root[id] = p->storage.root[from];
    p->flags[p->storage.root[from]] |= WG__CONTIGUOUS;
    if (op->view(in, &base, out, wg__attr_of(p->tape, node), layout)) {
        if (p->flags[id] & WG__SLICE_COPY) {
            p->storage.view[id] = NULL;
            p->storage.root[id] = id;
        }
        return true;
    }
    base = wg__contiguous_layout(in);
    memset(layout, 0, sizeof *layout);
    p->storage.root[id] = id;
    p->flags[id] &= (uint16_t)~WG__SLICE_COPY;
    p->flags[id] |= WG__VIEW_COPY;
    if (wg__is_bf16(p, p->storage.root[from]) || (p->flags[p->storage.root[from]] & WG__NARROW))
        p->flags[id] |= WG__NARROW; /* a copy in bf16, which products read */
    return op->view(in, &base, out, wg__attr_of(p->tape, node), layout);
}

bool wg__plan_layout(wg__planner *p)
{
    const wg_tape *tape = p->tape;
    if (!find_widened(p)) return false;
    for (uint32_t id = 1; id < p->n; id++) {
        p->storage.root[id] = p->storage.owner[id] = id;
        if (!(p->flags[id] & WG__LIVE)) continue;
        const wg__node *node = &tape->nodes[id];
        if (!node->op || (node->flags & WG__NODE_VALUE)) continue;
        if (wg__op_is(tape, node, tape->structural->fill)) {
            p->flags[id] |= WG__CONSTANT;
            p->storage.view[id] = wg__arena_array(p->arena, 1, sizeof(wg_layout)); /* strides of zero */
            if (!p->storage.view[id]) return false;
        } else if (wg__op_of(tape, node)->kind == WG_KIND_VIEW && !lay_out_view(p, id)) {
            return false;
        }
    }
    return true;
}
