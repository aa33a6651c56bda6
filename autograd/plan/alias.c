/* Pass alias: a value whose only purpose is to become part of another is written where it belongs: the pieces of a
 * concatenation, which is then free, and the operand an op adds to or updates, which need not be copied. Exact. */
#include "planner.h"

/* Whether piece `id` can be written straight into the concatenation; strided: its rows are not adjacent there. */
static bool can_be_in_place(const wg__planner *p, uint32_t id, bool strided)
{
    if (p->storage.root[id] != id || p->storage.owner[id] != id || p->storage.view[id]) return false;
    if (wg__is_source(p, id) || (p->flags[id] & (WG__OUTPUT | WG__MERGED)) || !p->units.of[id]) return false;
    if (!strided) return true;
    if (p->flags[id] & WG__CONTIGUOUS) return false;
    wg__unit_kind kind = p->units.list[p->units.of[id]].kind;
    return kind == WG__UNIT_CHAIN || (kind == WG__UNIT_PRODUCT && wg__shape_at(p, id)->rank == 2);
}

static bool alias_pieces(wg__planner *p, uint32_t whole)
{
    const wg__node *node = wg__node_at(p, whole);
    const wg__concat_attr *attr = wg__attr_of(p->tape, node);
    const wg_shape *shape = wg__shape_of_node(p->tape, node);
    const uint32_t *in = wg__inputs(p->tape, node);
    wg_layout contiguous = wg__contiguous_layout(shape);
    int64_t outer = 1, at = 0;
    assert(attr && wg__op_at(p, whole)->kind == WG_KIND_CONCAT);
    for (int i = 0; i < attr->axis; i++) outer *= shape->size[i];
    const bool strided = outer != 1;
    if (p->storage.view[whole]) return true; /* itself a strided piece: its pieces are copied */
    if (strided && p->tape->options.locate_nonfinite) return true; /* which looks at contiguous results */
    for (uint32_t k = 0; k < node->n_in; k++) {
        int64_t offset = at * contiguous.stride[attr->axis];
        at += wg__shape_at(p, in[k])->size[attr->axis];
        if (!can_be_in_place(p, in[k], strided)) continue;
        assert(in[k] < whole && at <= shape->size[attr->axis]);
        p->storage.owner[in[k]] = whole;
        if (!strided) {
            p->storage.shift[in[k]] = offset;
            continue;
        }
        wg_layout *layout = p->storage.view[in[k]] = wg__arena_array(p->arena, 1, sizeof *layout);
        if (!layout) return false;
        *layout = contiguous;
        layout->offset = offset;
    }
    return true;
}

/* The operand that `whole` adds to or updates shares its storage, if `whole` is its only reader. A concatenation
 * does not: its pieces may be read where they are. */
static void alias_base(wg__planner *p, uint32_t whole)
{
    const wg__node *node = wg__node_at(p, whole);
    uint32_t base = wg__has_base(wg__op_at(p, whole)) ? wg__base_of(p->tape, node) : 0;
    if (!base || p->storage.view[whole] || p->uses[base] != 1 || !can_be_in_place(p, base, false)) return;
    assert(base < whole);
    if (p->units.list[p->units.of[base]].kind == WG__UNIT_CONCAT) return;
    p->storage.owner[base] = wg__owner_of(p, whole, &p->storage.shift[base]);
}

bool wg__plan_alias(wg__planner *p)
{
    for (uint32_t i = p->units.n; i-- > 1;) {
        if (p->units.list[i].kind == WG__UNIT_CONCAT && !alias_pieces(p, p->units.list[i].node)) return false;
        if (p->units.list[i].kind == WG__UNIT_KERNEL) alias_base(p, p->units.list[i].node);
    }
    return true;
}
