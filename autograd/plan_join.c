/* Pass: what is only made to become a part of something else is written where it belongs: pieces of a concatenation,
 * so that joining them costs nothing; what an op adds to, so that it need not be copied. Exact. */
#include "plan.h"

uint32_t wg__owner_of(const wg__planner *p, uint32_t root, int64_t *shift)
{
    *shift = 0;
    while (p->owner[root] != root) {
        *shift += p->shift[root];
        root = p->owner[root];
    }
    return root;
}

/* Whether piece `id` can be written straight into the concatenation; strided: its rows are apart there. */
static bool can_lie_in(const wg__planner *p, uint32_t id, bool strided)
{
    if (p->root[id] != id || wg__is_source(p, id) || p->owner[id] != id || p->view[id]) return false;
    if ((p->state[id] & (WG__OUTPUT | WG__ABSORBED)) || !p->unit[id]) return false;
    if (!strided) return true;
    if (p->state[id] & WG__DENSE) return false;
    wg__unit_kind kind = p->units[p->unit[id] - 1].kind;
    return kind == WG__UNIT_CHAIN ||
           (kind == WG__UNIT_PRODUCT && wg__shape_of_node(p->tape, &p->tape->nodes[id])->rank == 2);
}

static bool alias_pieces(wg__planner *p, uint32_t whole)
{
    const wg__node *node = &p->tape->nodes[whole];
    const wg__concat_attr *attr = wg__attr_of(p->tape, node);
    const wg_shape *shape = wg__shape_of_node(p->tape, node);
    const uint32_t *in = wg__inputs(p->tape, node);
    wg_layout dense = wg__dense_layout(shape);
    int64_t outer = 1, at = 0;
    for (int i = 0; i < attr->axis; i++) outer *= shape->size[i];
    if (p->view[whole]) return true; /* itself a strided piece: its pieces are copied */
    for (uint32_t k = 0; k < node->n_in; k++) {
        int64_t offset = at * dense.stride[attr->axis];
        at += wg__shape_of_node(p->tape, &p->tape->nodes[in[k]])->size[attr->axis];
        if (!can_lie_in(p, in[k], outer > 1)) continue;
        p->owner[in[k]] = whole;
        if (outer == 1) {
            p->shift[in[k]] = offset;
            continue;
        }
        p->view[in[k]] = wg__plan_array(p->arena, 1, sizeof(wg_layout));
        if (!p->view[in[k]]) return false;
        *p->view[in[k]] = dense;
        p->view[in[k]]->offset = offset;
    }
    return true;
}

bool wg__lies_at(const wg__planner *p, uint32_t piece, uint32_t whole, int64_t offset)
{
    if (p->owner[piece] != whole || piece == whole) return false;
    return offset == (p->view[piece] ? p->view[piece]->offset : p->shift[piece]);
}

bool wg__joins_for_nothing(const wg__planner *p, uint32_t whole)
{
    const wg__node *node = &p->tape->nodes[whole];
    const wg__concat_attr *attr = wg__attr_of(p->tape, node);
    const uint32_t *in = wg__inputs(p->tape, node);
    int64_t stride = wg__layout_of(p, whole).stride[attr->axis], at = 0;
    for (uint32_t k = 0; k < node->n_in; k++) {
        if (!wg__lies_at(p, in[k], whole, at * stride)) return false;
        at += wg__shape_of_node(p->tape, &p->tape->nodes[in[k]])->size[attr->axis];
    }
    return true;
}

/* What the op of `whole` adds to stands where the result will, if nobody else reads it: neither it nor, as they lie in
 * it, the pieces of a concatenation. */
static void alias_base(wg__planner *p, uint32_t whole)
{
    const wg__node *node = &p->tape->nodes[whole];
    const wg_op *op = wg__plan_op(p, whole);
    uint32_t base = wg__adds_to(op) ? wg__base_of(p->tape, node) : 0;
    if (!base || p->view[whole] || p->uses[base] != 1 || !can_lie_in(p, base, false)) return;
    if (p->units[p->unit[base] - 1].kind == WG__UNIT_JOIN) return;
    p->owner[base] = wg__owner_of(p, whole, &p->shift[base]);
}

bool wg__plan_join(wg__planner *p)
{
    for (uint32_t i = p->n_units; i-- > 0;) {
        if (p->units[i].kind == WG__UNIT_JOIN && !alias_pieces(p, p->units[i].node)) return false;
        if (p->units[i].kind == WG__UNIT_NODE) alias_base(p, p->units[i].node);
    }
    return true;
}
