/* Products as instructions: the addresses of their operands, and the packing of weights ahead of them. */
#include "emit.h"

/* Element offsets of each problem of a batch: the leading axes of an operand broadcast to those of the result. */
static void batch_offsets(const wg__emit *e, const wg_shape *out, uint32_t id, int64_t batches, int64_t *offsets)
{
    const wg_shape *shape = wg__shape_at(e->p, id);
    wg_layout layout = wg__layout_of(e->p, id);
    int shift = out->rank - shape->rank;
    for (int64_t i = 0; i < batches; i++) {
        int64_t rest = i;
        for (int d = out->rank - 3; d >= 0; d--) {
            int64_t index = rest % out->size[d];
            rest /= out->size[d];
            if (d >= shift && shape->size[d - shift] != 1) offsets[i] += index * layout.stride[d - shift];
        }
    }
}

/* The problems of a batch are the leading axes of the terms, which the sum keeps. */
static bool bind_batches(wg__emit *e, const wg__unit *unit, wg__product *product)
{
    const wg__planner *p = e->p;
    const wg_shape *shape = wg__shape_at(p, unit->node);
    if (shape->rank <= 2) return true;
    const uint64_t count = (uint64_t)product->batches * unit->count;
    int64_t *a = wg__arena_array(&e->plan->memory, count, sizeof *a);
    int64_t *b = wg__arena_array(&e->plan->memory, count, sizeof *b);
    if (!a || !b) return false;
    for (uint32_t i = 0; i < unit->count; i++) {
        uint32_t term = p->units.members[unit->first + i];
        const uint32_t *in = wg__inputs(e->tape, wg__node_at(p, term));
        const bool transposed = wg__term_is_transposed(p, term);
        batch_offsets(e, shape, in[transposed], product->batches, a + i * product->batches);
        batch_offsets(e, shape, in[!transposed], product->batches, b + i * product->batches);
    }
    product->batch_a = a;
    product->batch_b = b;
    product->batch_c = product->m * product->n;
    product->batch_step = product->batches;
    return true;
}

/* One result; its terms are the segments. */
static bool bind_terms(wg__emit *e, const wg__unit *unit, wg__product *product)
{
    const wg__planner *p = e->p;
    if (!wg__emit_bind(e, &product->c, unit->node)) return false;
    for (uint32_t i = 0; i < unit->count; i++) {
        uint32_t term = p->units.members[unit->first + i];
        const uint32_t *in = wg__inputs(e->tape, wg__node_at(p, term));
        const bool transposed = wg__term_is_transposed(p, term);
        wg__segment *s = &product->segments[i];
        if (!wg__emit_bind(e, (void **)(uintptr_t)&s->a, in[transposed]) ||
            !wg__emit_bind(e, (void **)(uintptr_t)&s->b, in[!transposed]))
            return false;
    }
    return bind_batches(e, unit, product);
}

/* Products by one weight: each has its own left operand and result. */
static bool bind_shared(wg__emit *e, const wg__unit *unit, wg__product *product)
{
    product->each_a = wg__arena_array(&e->plan->memory, unit->count, sizeof *product->each_a);
    product->each_c = wg__arena_array(&e->plan->memory, unit->count, sizeof *product->each_c);
    if (!product->each_a || !product->each_c) return false;
    for (uint32_t i = 0; i < unit->count; i++) {
        uint32_t id = e->p->units.members[unit->first + i];
        const uint32_t *in = wg__inputs(e->tape, wg__node_at(e->p, id));
        if (!wg__emit_bind(e, (void **)(uintptr_t)&product->each_a[i], in[0]) ||
            !wg__emit_bind(e, &product->each_c[i], id) ||
            !wg__emit_bind(e, (void **)(uintptr_t)&product->segments[0].b, in[1]))
            return false;
    }
    return true;
}

bool wg__emit_product(wg__emit *e, const wg__unit *unit)
{
    const wg__planner *p = e->p;
    wg__product *product = wg__arena_array(&e->plan->memory, 1, sizeof *product);
    wg__segment *segments = wg__arena_array(&e->plan->memory, unit->count, sizeof *segments);
    if (!product || !segments) return false;
    wg__product_describe(p, unit, product, segments);
    if (!(product->shared_b ? bind_shared(e, unit, product) : bind_terms(e, unit, product))) return false;
    const wg__pack *pack = wg__pack_find(p, unit);
    if (pack && !wg__emit_fix(e, (void **)(uintptr_t)&product->packed_b, pack->slot, pack->offset)) return false;
    product->packed_b = pack ? product : NULL; /* kernels->tasks needs to know that it is packed, not where */
    product->int8_b = pack && pack->key.int8;
    wg__instr instr = {.kind = WG__INSTR_PRODUCT, .node = p->units.members[unit->first], .product = product};
    instr.kernels = e->tape->structural->product(product);
    instr.tasks = instr.kernels->tasks(product);
    instr.scratch = instr.kernels->scratch(product);
    return wg__emit_instr(e, instr);
}

static bool emit_pack(wg__emit *e, const wg__pack *pack)
{
    const wg__planner *p = e->p;
    assert(pack->first_unit && pack->first_unit < p->units.n);
    const wg__unit *unit = &p->units.list[pack->first_unit];
    wg__product *product = wg__arena_array(&e->plan->memory, 1, sizeof *product);
    wg__segment *segment = wg__arena_array(&e->plan->memory, 1, sizeof *segment);
    if (!product || !segment) return false;
    wg__product_describe(p, unit, product, segment);
    uint32_t b = wg__inputs(e->tape, wg__node_at(p, p->units.members[unit->first]))[1];
    if (!wg__emit_bind(e, (void **)(uintptr_t)&segment->b, b)) return false;
    product->int8_b = pack->key.int8;
    const wg__product_kernels *kernels = e->tape->structural->product(product);
    wg__instr instr = {.kind = WG__INSTR_PACK, .node = b, .product = product, .kernels = kernels};
    instr.tasks = kernels->pack_tasks(product);
    if (pack->where == WG__PACK_CACHED) instr.packed = e->plan->slots[pack->slot].index;
    uint32_t before = e->n_instrs;
    if (!wg__emit_instr(e, instr)) return false;
    return e->n_instrs == before ||
           wg__emit_fix(e, (void **)(uintptr_t)&product->packed_b, pack->slot, pack->offset);
}

bool wg__emit_packs(wg__emit *e)
{
    const wg__planner *p = e->p;
    for (uint32_t i = 1; i < p->packs.n; i++)
        if (p->packs.list[i].where != WG__PACK_NONE && !emit_pack(e, &p->packs.list[i])) return false;
    e->plan->n_packs = e->n_instrs;
    return true;
}
