/* Products as instructions: where their operands lie, and the weights that are packed for them ahead. */
#include "plan_emit.h"

/* Whether the sum that takes the term in sees it transposed: (A B)^T = B^T A^T. */
static bool turned(const wg__planner *p, uint32_t term) { return (p->state[term] & WG__ABSORBED) && p->view[term]; }

void wg__product_describe(const wg__planner *p, const wg__work *unit, wg__product *product, wg__segment *segments)
{
    const wg_tape *tape = p->tape;
    const wg__node *out = &tape->nodes[unit->node];
    const wg_shape *shape = wg__shape_of_node(tape, out);
    wg_layout c = wg__layout_of(p, unit->node);
    int r = shape->rank;
    bool rows = unit->kind == WG__UNIT_ROWS;
    *product = (wg__product){.dtype = (wg_dtype)out->dtype,
                             .m = shape->size[r - 2],
                             .n = shape->size[r - 1],
                             .batches = rows ? unit->count : 1,
                             .c_rs = c.stride[r - 2],
                             .c_cs = c.stride[r - 1],
                             .shared_b = rows,
                             .n_segments = rows ? 1 : (int)unit->count,
                             .segments = segments,
                             .accumulate = unit->accumulate};
    for (int d = 0; d < r - 2; d++) product->batches *= shape->size[d];
    for (int i = 0; i < product->n_segments; i++) {
        uint32_t term = p->members[unit->first + (uint32_t)i];
        const uint32_t *in = wg__inputs(tape, &tape->nodes[term]);
        const wg_shape *sa = wg__shape_of_node(tape, &tape->nodes[in[0]]);
        wg_layout a = wg__layout_of(p, in[0]), b = wg__layout_of(p, in[1]);
        int ra = sa->rank, rb = wg__shape_of_node(tape, &tape->nodes[in[1]])->rank;
        wg__segment *s = &segments[i];
        *s = (wg__segment){.k = sa->size[ra - 1],
                           .a_rs = a.stride[ra - 2],
                           .a_cs = a.stride[ra - 1],
                           .b_rs = b.stride[rb - 2],
                           .b_cs = b.stride[rb - 1]};
        if (turned(p, term))
            *s = (wg__segment){.k = s->k, .a_rs = s->b_cs, .a_cs = s->b_rs, .b_rs = s->a_cs, .b_cs = s->a_rs};
    }
}

/* Element offsets of each problem of a batch: the leading sizes of an operand broadcast to those of the result. */
static void batch_offsets(const wg__emit *e, const wg_shape *out, uint32_t id, int64_t batches, int64_t *offsets)
{
    const wg_shape *shape = wg__shape_of_node(e->tape, &e->tape->nodes[id]);
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

/* The problems of a batch are the terms' leading axes, which the sum keeps. */
static bool bind_batches(wg__emit *e, const wg__work *unit, wg__product *product)
{
    const wg__planner *p = e->p;
    const wg_shape *shape = wg__shape_of_node(e->tape, &e->tape->nodes[unit->node]);
    if (shape->rank <= 2) return true;
    const uint64_t count = (uint64_t)product->batches * unit->count;
    int64_t *a = wg__plan_array(&e->plan->memory, count, sizeof *a);
    int64_t *b = wg__plan_array(&e->plan->memory, count, sizeof *b);
    if (!a || !b) return false;
    for (uint32_t i = 0; i < unit->count; i++) {
        uint32_t term = p->members[unit->first + i];
        const uint32_t *in = wg__inputs(e->tape, &e->tape->nodes[term]);
        const bool swap = turned(p, term);
        batch_offsets(e, shape, in[swap], product->batches, a + i * product->batches);
        batch_offsets(e, shape, in[!swap], product->batches, b + i * product->batches);
    }
    product->batch_a = a;
    product->batch_b = b;
    product->batch_c = product->m * product->n;
    product->batch_step = product->batches;
    return true;
}

/* One result; its terms are the segments. */
static bool bind_terms(wg__emit *e, const wg__work *unit, wg__product *product)
{
    const wg__planner *p = e->p;
    if (!wg__emit_bind(e, &product->c, unit->node)) return false;
    for (uint32_t i = 0; i < unit->count; i++) {
        uint32_t term = p->members[unit->first + i];
        const uint32_t *in = wg__inputs(e->tape, &e->tape->nodes[term]);
        const bool swap = turned(p, term);
        wg__segment *s = &product->segments[i];
        if (!wg__emit_bind(e, (void **)(uintptr_t)&s->a, in[swap]) ||
            !wg__emit_bind(e, (void **)(uintptr_t)&s->b, in[!swap]))
            return false;
    }
    return bind_batches(e, unit, product);
}

/* Products of one weight: each has its own left operand and result. */
static bool bind_rows(wg__emit *e, const wg__work *unit, wg__product *product)
{
    product->each_a = wg__plan_array(&e->plan->memory, unit->count, sizeof *product->each_a);
    product->each_c = wg__plan_array(&e->plan->memory, unit->count, sizeof *product->each_c);
    if (!product->each_a || !product->each_c) return false;
    for (uint32_t i = 0; i < unit->count; i++) {
        uint32_t id = e->p->members[unit->first + i];
        const uint32_t *in = wg__inputs(e->tape, &e->tape->nodes[id]);
        if (!wg__emit_bind(e, (void **)(uintptr_t)&product->each_a[i], in[0]) ||
            !wg__emit_bind(e, &product->each_c[i], id) ||
            !wg__emit_bind(e, (void **)(uintptr_t)&product->segments[0].b, in[1]))
            return false;
    }
    return true;
}

bool wg__emit_product(wg__emit *e, const wg__work *unit)
{
    const wg__planner *p = e->p;
    wg__product *product = wg__plan_array(&e->plan->memory, 1, sizeof *product);
    wg__segment *segments = wg__plan_array(&e->plan->memory, unit->count, sizeof *segments);
    if (!product || !segments) return false;
    wg__product_describe(p, unit, product, segments);
    if (!(product->shared_b ? bind_rows(e, unit, product) : bind_terms(e, unit, product))) return false;
    const wg__pack *pack = wg__pack_find(p, unit);
    if (pack && !wg__emit_fix(e, (void **)(uintptr_t)&product->packed_b, pack->slot, pack->offset)) return false;
    product->packed_b = pack ? product : NULL; /* known to be there, before its address is */
    wg__instr instr = {.kind = WG__INSTR_PRODUCT, .node = p->members[unit->first], .product = product};
    instr.kernels = wg__structural_ops.product(product->dtype);
    instr.tasks = instr.kernels->tasks(product);
    instr.scratch = instr.kernels->scratch(product);
    return wg__emit_finish(e, instr);
}

bool wg__emit_packs(wg__emit *e)
{
    const wg__planner *p = e->p;
    for (uint32_t i = 0; i < p->n_packs; i++) {
        const wg__pack *pack = &p->packs[i];
        if (pack->where == WG__PACK_NOT) continue;
        const wg__work *unit = &p->units[pack->first_unit];
        wg__product *product = wg__plan_array(&e->plan->memory, 1, sizeof *product);
        wg__segment *segment = wg__plan_array(&e->plan->memory, 1, sizeof *segment);
        if (!product || !segment) return false;
        wg__product_describe(p, unit, product, segment);
        uint32_t b = wg__inputs(e->tape, &e->tape->nodes[p->members[unit->first]])[1];
        if (!wg__emit_bind(e, (void **)(uintptr_t)&segment->b, b)) return false;
        const wg__product_kernels *kernels = wg__structural_ops.product(product->dtype);
        wg__instr instr = {.kind = WG__INSTR_PACK, .node = b, .product = product, .kernels = kernels};
        instr.tasks = kernels->pack_tasks(product);
        if (pack->where == WG__PACK_HELD) instr.held = e->plan->slots[pack->slot].index + 1;
        uint32_t before = e->n_instrs;
        if (!wg__emit_finish(e, instr)) return false;
        if (e->n_instrs > before &&
            !wg__emit_fix(e, (void **)(uintptr_t)&product->packed_b, pack->slot, pack->offset))
            return false;
    }
    e->plan->n_packs = e->n_instrs;
    return true;
}
