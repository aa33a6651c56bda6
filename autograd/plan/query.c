/* Queries about nodes and their storage that several passes share. They read the planner's arrays and change none. */
#include "planner.h"

int wg__by_id(const void *a, const void *b) { return wg__compare(*(const uint32_t *)a, *(const uint32_t *)b); }

wg_layout wg__contiguous_layout(const wg_shape *shape)
{
    wg_layout layout = {0};
    int64_t stride = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        layout.stride[i] = stride;
        stride *= shape->size[i];
    }
    return layout;
}

bool wg__is_contiguous(const wg_layout *layout, const wg_shape *shape)
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
    assert(node && node < p->n);
    if (p->storage.view[node]) return *p->storage.view[node];
    return wg__contiguous_layout(wg__shape_at(p, node));
}

uint32_t wg__original_of(const wg__planner *p, uint32_t node)
{
    const wg__node *n = wg__node_at(p, node);
    return n->flags & WG__NODE_REMAT ? n->forward : node;
}

uint32_t wg__owner_of(const wg__planner *p, uint32_t root, int64_t *shift)
{
    *shift = 0;
    assert(root < p->n);
    while (p->storage.owner[root] != root) {
        assert(p->storage.shift[root] >= 0);
        *shift += p->storage.shift[root];
        root = p->storage.owner[root];
    }
    return root;
}

bool wg__needs_copy(const wg__planner *p, uint32_t node, uint32_t k)
{
    assert(k < wg__node_at(p, node)->n_in);
    uint32_t in = wg__inputs(p->tape, wg__node_at(p, node))[k];
    if (!in || (wg__op_at(p, node)->flags & WG_OP_STRIDED)) return false;
    wg_layout layout = wg__layout_of(p, in);
    return !wg__is_contiguous(&layout, wg__shape_at(p, in));
}

bool wg__output_is_direct(const wg__planner *p, const wg__output *output)
{
    uint32_t id = output->node;
    return p->storage.root[id] == id && !wg__is_source(p, id) && !p->storage.view[id];
}

bool wg__piece_is_in_place(const wg__planner *p, uint32_t piece, uint32_t whole, int64_t offset)
{
    if (p->storage.owner[piece] != whole || piece == whole) return false;
    return offset == (p->storage.view[piece] ? p->storage.view[piece]->offset : p->storage.shift[piece]);
}

bool wg__concat_is_free(const wg__planner *p, uint32_t whole)
{
    const wg__node *node = wg__node_at(p, whole);
    const wg__concat_attr *attr = wg__attr_of(p->tape, node);
    const uint32_t *in = wg__inputs(p->tape, node);
    assert(attr && wg__op_at(p, whole)->kind == WG_KIND_CONCAT);
    int64_t stride = wg__layout_of(p, whole).stride[attr->axis], at = 0;
    for (uint32_t k = 0; k < node->n_in; k++) {
        if (!wg__piece_is_in_place(p, in[k], whole, at * stride)) return false;
        at += wg__shape_at(p, in[k])->size[attr->axis];
    }
    return true;
}

bool wg__lines_of_sum(const wg_tape *tape, const wg__node *node, wg__lines *lines)
{
    const wg_shape *in = wg__shape_of_node(tape, &tape->nodes[node->in[0]]), *out = wg__shape_of_node(tape, node);
    assert(in->rank >= out->rank);
    int64_t leading = 1; /* product of the summed axes before those that stay */
    *lines = (wg__lines){1, 1};
    for (int i = in->rank - 1, shift = in->rank - out->rank; i >= 0; i--) {
        bool stays = i >= shift && out->size[i - shift] == in->size[i];
        if (in->size[i] == 1) continue;
        if (stays && leading > 1) return false;
        if (stays)
            lines->count *= in->size[i];
        else if (lines->count == 1)
            lines->line *= in->size[i];
        else
            leading *= in->size[i];
    }
    return lines->line > 1;
}
