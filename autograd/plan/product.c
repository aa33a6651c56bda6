/* Products as the kernels see them: sizes and strides of a product unit, and which right operands can be packed. */
#include "planner.h"

bool wg__term_is_transposed(const wg__planner *p, uint32_t term)
{
    return (p->flags[term] & WG__MERGED) && p->storage.view[term];
}

void wg__product_describe(const wg__planner *p, const wg__unit *unit, wg__product *product, wg__segment *segments)
{
    const wg_tape *tape = p->tape;
    const wg__node *out = wg__node_at(p, unit->node);
    const wg_shape *shape = wg__shape_of_node(tape, out);
    wg_layout c = wg__layout_of(p, unit->node);
    int r = shape->rank;
    assert((unit->kind == WG__UNIT_PRODUCT || unit->kind == WG__UNIT_PRODUCTS) && unit->count > 0 && r >= 2);
    bool shared = unit->kind == WG__UNIT_PRODUCTS;
    *product = (wg__product){.dtype = (wg_dtype)out->dtype,
                             .bf16 = (tape->passes & WG__PASS_BF16) && out->dtype == WG_F32,
                             .m = shape->size[r - 2],
                             .n = shape->size[r - 1],
                             .batches = shared ? unit->count : 1,
                             .c_rs = c.stride[r - 2],
                             .c_cs = c.stride[r - 1],
                             .shared_b = shared,
                             .n_segments = shared ? 1 : (int)unit->count,
                             .segments = segments,
                             .accumulate = unit->accumulate};
    for (int d = 0; d < r - 2; d++) product->batches *= shape->size[d];
    for (int i = 0; i < product->n_segments; i++) {
        uint32_t term = p->units.members[unit->first + (uint32_t)i];
        const uint32_t *in = wg__inputs(tape, wg__node_at(p, term));
        const wg_shape *sa = wg__shape_at(p, in[0]);
        wg_layout a = wg__layout_of(p, in[0]), b = wg__layout_of(p, in[1]);
        int ra = sa->rank, rb = wg__shape_at(p, in[1])->rank;
        wg__segment *s = &segments[i];
        assert(sa->size[ra - 1] == wg__shape_at(p, in[1])->size[rb - 2]);
        *s = (wg__segment){.k = sa->size[ra - 1],
                           .a_rs = a.stride[ra - 2],
                           .a_cs = a.stride[ra - 1],
                           .b_rs = b.stride[rb - 2],
                           .b_cs = b.stride[rb - 1],
                           .a_bf16 = wg__is_narrow(p, in[0]),
                           .b_bf16 = wg__is_narrow(p, in[1])};
        if (wg__term_is_transposed(p, term))
            *s = (wg__segment){.k = s->k,
                               .a_rs = s->b_cs,
                               .a_cs = s->b_rs,
                               .b_rs = s->a_cs,
                               .b_cs = s->a_rs,
                               .a_bf16 = s->b_bf16,
                               .b_bf16 = s->a_bf16};
    }
}

bool wg__is_weight(const wg__planner *p, uint32_t root)
{
    const wg__node *node = wg__node_at(p, root);
    return !node->op && node->leaf == WG__LEAF_PARAM &&
           !wg_param_is_buffer(p->tape->leaves[node->slot].param); /* a buffer's leaf may hold an old value */
}

bool wg__packs_b(const wg__planner *p, const wg__unit *unit, wg__product *product, wg__segment *segment,
                 wg__pack *pack)
{
    bool one = unit->kind == WG__UNIT_PRODUCT && unit->count == 1 && !unit->accumulate;
    if (!one && unit->kind != WG__UNIT_PRODUCTS) return false;
    const uint32_t id = p->units.members[unit->first];
    const uint32_t b = wg__inputs(p->tape, wg__node_at(p, id))[1], root = p->storage.root[b];
    if (wg__shape_at(p, b)->rank != 2 || (p->flags[id] & WG__MERGED)) return false;
    if (!wg__is_source(p, root) || (p->flags[root] & WG__CONSTANT)) return false;
    wg__product_describe(p, unit, product, segment);
    const wg__product_kernels *(*kernels_of)(const wg__product *) = p->tape->structural->product;
    product->int8_b = (p->passes & WG__PASS_INT8) && product->dtype == WG_F32 && wg__is_weight(p, root);
    if (product->int8_b) product->int8_b = kernels_of(product)->wants_packed(product);
    const wg__product_kernels *kernels = kernels_of(product);
    if (!kernels->wants_packed(product)) return false; /* a single row, say, reads B unpacked */
    *pack = (wg__pack){
        .root = root,
        .key = {wg__layout_of(p, b).offset, segment->b_rs, segment->b_cs, segment->k, product->n, product->int8_b},
        .bytes = kernels->packed_bytes(product)};
    return true;
}

int wg__compare_packs(const wg__pack *a, const wg__pack *b)
{
    int order = wg__compare(a->root, b->root);
    if (!order) order = wg__compare(a->key.offset, b->key.offset);
    if (!order) order = wg__compare(a->key.rs, b->key.rs);
    if (!order) order = wg__compare(a->key.cs, b->key.cs);
    if (!order) order = wg__compare(a->key.k, b->key.k);
    if (!order) order = wg__compare(a->key.n, b->key.n);
    return order ? order : wg__compare(a->key.int8, b->key.int8);
}

wg__pack *wg__pack_find(const wg__planner *p, const wg__unit *unit)
{
    wg__product product;
    wg__segment segment;
    wg__pack wanted;
    if (!p->packs.n || !wg__packs_b(p, unit, &product, &segment, &wanted)) return NULL;
    for (uint32_t i = p->packs.first[wanted.root]; i && i < p->packs.n && p->packs.list[i].root == wanted.root; i++)
        if (!wg__compare_packs(&p->packs.list[i], &wanted))
            return p->packs.list[i].where != WG__PACK_NONE ? &p->packs.list[i] : NULL;
    return NULL;
}
