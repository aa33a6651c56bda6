/* The verifier: addresses and instructions. Lifetimes are computed here a second time, from the schedule. */
#include "verify.h"

#include <stdlib.h>
#include <string.h>

/* Something in the block: a value, a copy of an operand, a packed weight, an output. */
typedef struct occupant {
    uint32_t first, last; /* stages */
    int64_t offset, end;
    uint32_t node;   /* 0: not a value */
    uint32_t writer; /* the unit that writes it */
    uint32_t read;   /* the last stage that reads it */
    uint32_t reader; /* the only unit that reads it then; 0: several, or through a view */
} occupant;

typedef struct occupants {
    const wg__verifier *v;
    occupant *of; /* [n] by owner, then others */
    uint32_t n, n_others;
} occupants;

/* ---- lifetimes ----------------------------------------------------------------------------------------------- */

static occupant *owner_at(occupants *o, uint32_t root)
{
    int64_t shift;
    return &o->of[wg__owner_of(o->v->p, root, &shift)];
}

static void note_write(occupants *o, uint32_t node, uint32_t unit)
{
    const uint32_t stage = o->v->p->schedule.stage[unit];
    occupant *it = owner_at(o, o->v->p->storage.root[node]);
    if (!it->first || stage < it->first) it->first = stage;
    if (stage > it->last) it->last = stage;
    it->writer = unit;
}

static void note_read(occupants *o, uint32_t node, uint32_t unit)
{
    const wg__planner *p = o->v->p;
    const uint32_t root = p->storage.root[node], stage = p->schedule.stage[unit];
    if (!node || wg__is_source(p, root)) return;
    if (p->units.list[unit].kind == WG__UNIT_CHAIN && p->units.of[root] == unit && node == root &&
        !(p->flags[root] & WG__STORED))
        return; /* in a register */
    occupant *it = owner_at(o, root);
    const bool direct = it == &o->of[node];
    if (p->units.list[unit].kind == WG__UNIT_CONCAT && owner_at(o, p->units.list[unit].node) == it)
        return; /* in place */
    WG__HOLDS(o->v, it->first && it->first <= stage, node, "is read in stage %u before it is written", stage);
    if (stage > it->read)
        it->reader = direct ? unit : 0;
    else if (stage == it->read && (it->reader != unit || !direct))
        it->reader = 0;
    if (stage > it->read) it->read = stage;
    if (stage > it->last) it->last = stage;
}

static void visit_unit(occupants *o, uint32_t id)
{
    const wg__planner *p = o->v->p;
    const wg__unit *unit = &p->units.list[id];
    uint32_t count;
    const uint32_t *nodes = wg__unit_nodes(p, unit, &count);
    if (unit->kind == WG__UNIT_STORE) note_read(o, p->plan->outputs[unit->node].node, id);
    for (uint32_t i = 0; i < count; i++) {
        const wg__node *node = wg__node_at(p, nodes[i]);
        for (uint32_t k = 0; k < node->n_in; k++) note_read(o, wg__inputs(p->tape, node)[k], id);
        if (unit->kind == WG__UNIT_PRODUCTS || (unit->kind == WG__UNIT_CHAIN && (p->flags[nodes[i]] & WG__STORED)))
            note_write(o, nodes[i], id);
    }
    if (count && unit->kind != WG__UNIT_CHAIN && unit->kind != WG__UNIT_PRODUCTS) note_write(o, unit->node, id);
}

/* ---- overlaps ------------------------------------------------------------------------------------------------ */

static int by_first(const void *x, const void *y)
{
    const occupant *a = x, *b = y;
    int order = wg__compare(a->first, b->first);
    if (!order) order = wg__compare(a->offset, b->offset);
    return order ? order : wg__compare(a->node, b->node);
}

/* Whether b may take over the storage of a in the stage in which a is read last: the chain that writes b reads a,
 * element by element; or the only unit that reads a precedes it in the same serial group. */
static bool is_in_place(const wg__verifier *v, const occupant *a, const occupant *b)
{
    const wg__planner *p = v->p;
    const uint32_t *serial = p->schedule.serial;
    if (!a->node || !b->node || a->read != a->last || a->last != b->first || !a->reader) return false;
    if (a->reader != b->writer)
        return serial[a->reader] && serial[a->reader] == serial[b->writer] &&
               v->position[a->reader] < v->position[b->writer];
    return a->offset == b->offset && wg__bytes_of(p, a->node) == wg__bytes_of(p, b->node) &&
           p->units.list[b->writer].kind == WG__UNIT_CHAIN;
}

/* No two occupants that are live in one stage share bytes. */
static void check_overlaps(const occupants *o, occupant *list, uint32_t n)
{
    const wg__planner *p = o->v->p;
    uint32_t *live = calloc(n + 1u, sizeof *live), n_live = 0;
    qsort(list, n, sizeof *list, by_first);
    for (uint32_t i = 0; live && i < n; i++) {
        uint32_t kept = 0;
        for (uint32_t k = 0; k < n_live; k++)
            if (list[live[k]].last >= list[i].first) live[kept++] = live[k];
        n_live = kept;
        for (uint32_t k = 0; k < n_live; k++) {
            const occupant *a = &list[live[k]], *b = &list[i];
            WG__HOLDS(o->v,
                      b->offset >= a->end || a->offset >= b->end || is_in_place(o->v, a, b) ||
                          is_in_place(o->v, b, a),
                      b->node, "overlaps %%%u in stage %u", a->node, b->first);
        }
        live[n_live++] = i;
        WG__HOLDS(o->v, list[i].offset >= 0 && list[i].end <= (int64_t)p->plan->block_bytes, list[i].node,
                  "is outside the block");
    }
    free(live);
}

static void add_other(occupants *o, uint32_t first, uint32_t last, int64_t offset, int64_t bytes)
{
    o->of[o->n + o->n_others++] = (occupant){.first = first, .last = last, .offset = offset, .end = offset + bytes};
}

static void add_others(occupants *o)
{
    const wg__planner *p = o->v->p;
    uint32_t copy = 0;
    for (uint32_t i = 0; i < p->schedule.n; i++) {
        const uint32_t id = p->schedule.sequence[i], stage = p->schedule.stage[id];
        const wg__unit *unit = &p->units.list[id];
        if (unit->kind != WG__UNIT_KERNEL) continue;
        const wg__node *node = wg__node_at(p, unit->node);
        for (uint32_t k = 0; k < node->n_in; k++)
            if (wg__needs_copy(p, unit->node, k))
                add_other(o, stage, stage, p->places.copies[copy++], wg__bytes_of(p, wg__inputs(p->tape, node)[k]));
    }
    for (uint32_t i = 1; i < p->packs.n; i++)
        if (p->packs.list[i].where == WG__PACK_BLOCK)
            add_other(o, 1, p->schedule.n_stages, p->packs.list[i].offset, (int64_t)p->packs.list[i].bytes);
    for (uint32_t i = 0; i < p->plan->n_outputs; i++) {
        const wg__output *output = &p->plan->outputs[i];
        if (!wg__output_is_direct(p, output) && !p->places.output_slot[i])
            add_other(o, 1, p->schedule.n_stages, p->places.output_offset[i], (int64_t)output->bytes);
        else if (wg__output_is_direct(p, output) && !p->places.slot[output->node])
            o->of[output->node].last = p->schedule.n_stages + 1, o->of[output->node].reader = 0;
    }
}

void wg__verify_places(const wg__verifier *v)
{
    const wg__planner *p = v->p;
    uint32_t copies = 0, n = 0;
    for (uint32_t i = 1; i < p->units.n; i++) copies += wg__copies_of(p, &p->units.list[i]);
    occupants o = {.v = v, .n = p->n};
    o.of = calloc((size_t)p->n + copies + p->packs.n + p->plan->n_outputs, sizeof *o.of);
    if (!o.of) return;
    for (uint32_t i = 0; i < p->schedule.n; i++) visit_unit(&o, p->schedule.sequence[i]);
    add_others(&o);
    for (uint32_t id = 0; id < o.n + o.n_others; id++) {
        occupant *it = &o.of[id];
        if (!it->first || (id < o.n && p->places.slot[id])) continue; /* not computed, or in memory of its own */
        if (id < o.n) {
            it->node = id;
            it->offset = p->places.offset[id];
            it->end = it->offset + wg__room_of(p, id);
        }
        if (it->end > it->offset) o.of[n++] = *it;
    }
    check_overlaps(&o, o.of, n);
    free(o.of);
}

/* ---- instructions -------------------------------------------------------------------------------------------- */

/* An address of the plan, by where it is stored. */
typedef struct address {
    const void *where;
    uint32_t slot;
    int64_t offset;
} address;

/* Bytes that an instruction reads or writes. A strided operand has holes: only its first byte is certain. */
typedef struct range {
    uint32_t slot, item, node;
    int64_t first, end;
    bool write, dense;
} range;

typedef struct memory {
    const wg__verifier *v;
    address *addresses; /* [n_fixups] sorted */
    uint8_t *written;   /* [block_bytes] */
    range *ranges;      /* of the current stage */
    uint32_t n, cap;
    uint32_t node, item; /* of the current instruction */
} memory;

/* An operand as a kernel sees it, `at` elements from the address at `where`. */
typedef struct operand {
    const void *where;
    int64_t at;
    int rank;
    const int64_t *size, *stride;
    int64_t element; /* bytes */
    bool write;
} operand;

static int by_where(const void *x, const void *y)
{
    const address *a = x, *b = y;
    return wg__compare((int64_t)(intptr_t)a->where, (int64_t)(intptr_t)b->where);
}

static const address *address_of(const memory *m, const void *where)
{
    const address key = {.where = where};
    return bsearch(&key, m->addresses, m->v->p->plan->n_fixups, sizeof key, by_where);
}

static bool same_address(const address *a, const address *b)
{
    return a && b && a->slot == b->slot && a->offset == b->offset;
}

static void add_range(memory *m, range r)
{
    if (m->n == m->cap) {
        range *more = realloc(m->ranges, (2 * m->cap + 64) * sizeof *more);
        if (!more) return; /* out of memory: conflicts with it are not seen */
        m->ranges = more;
        m->cap = 2 * m->cap + 64;
    }
    m->ranges[m->n++] = r;
}

/* Of a strided operand, the first and the last byte. */
static bool is_written(const memory *m, const range *r)
{
    const size_t bytes = (size_t)(r->end - r->first);
    if (r->dense) return !memchr(m->written + r->first, 0, bytes);
    return m->written[r->first] && m->written[r->end - 1];
}

/* Records an access. What is read from the block must have been written before. */
static void touch(memory *m, operand o)
{
    int64_t low = o.at, high = o.at, numel = 1;
    for (int i = 0; i < o.rank; i++) {
        if (o.size[i] == 0) return;
        if (o.stride[i] != 0) numel *= o.size[i];
        *(o.stride[i] < 0 ? &low : &high) += (o.size[i] - 1) * o.stride[i];
    }
    const address *it = address_of(m, o.where);
    if (!it) return; /* a constant */
    const range r = {.slot = it->slot,
                     .item = m->item,
                     .node = m->node,
                     .first = it->offset + low * o.element,
                     .end = it->offset + (high + 1) * o.element,
                     .write = o.write,
                     .dense = high - low < numel};
    if (it->slot == 0) {
        const bool inside = r.first >= 0 && r.end <= (int64_t)m->v->p->plan->block_bytes;
        WG__HOLDS(m->v, inside, m->node, "uses bytes %lld to %lld, outside the block", (long long)r.first,
                  (long long)r.end);
        WG__HOLDS(m->v, o.write || is_written(m, &r), m->node,
                  "reads bytes %lld to %lld of the block before they are written", (long long)r.first,
                  (long long)r.end);
        if (o.write) memset(m->written + r.first, 1, (size_t)(r.end - r.first));
    }
    add_range(m, r);
}

static void touch_kernel(memory *m, const wg_args *args)
{
    for (int i = 0; i < args->n_in; i++) {
        const wg_operand *in = &args->in[i];
        if (in->rank >= 0)
            touch(m, (operand){&in->data, 0, in->rank, in->size, in->stride, (int64_t)wg_dtype_size(in->dtype),
                               false});
    }
    const wg_operand *out = &args->out;
    touch(m, (operand){&out->data, 0, out->rank, out->size, out->stride, (int64_t)wg_dtype_size(out->dtype), true});
}

static void touch_chain(memory *m, const wg__chain *chain)
{
    static const int64_t one = 1;
    for (int i = 0; i < chain->n_loads + chain->n_stores; i++) {
        const bool write = i >= chain->n_loads;
        const wg__chain_operand *o = write ? &chain->stores[i - chain->n_loads] : &chain->loads[i];
        if (o->stride)
            touch(m, (operand){&o->data, 0, chain->rank, chain->size, o->stride, o->size, write});
        else
            touch(m, (operand){&o->data, 0, 1, o->flat ? &chain->numel : &one, &one, o->size, write});
    }
    const int64_t lines = chain->line ? chain->span / chain->line : 0;
    for (int i = 0; i < chain->n_sums; i++)
        touch(m, (operand){&chain->sums[i].out, 0, 1, &lines, &one, chain->sums[i].size, true});
}

/* The packed operand of a product is at the address to which the same matrix was packed. */
static void check_packed(const memory *m, const wg__product *p)
{
    const wg__plan *plan = m->v->p->plan;
    const wg__segment *s = &p->segments[0];
    bool found = false;
    for (uint32_t i = 0; i < plan->n_packs && !found; i++) {
        const wg__product *from = plan->instrs[i].product;
        const wg__segment *t = &from->segments[0];
        found = same_address(address_of(m, &p->packed_b), address_of(m, &from->packed_b)) &&
                same_address(address_of(m, &s->b), address_of(m, &t->b)) && s->k == t->k && p->n == from->n &&
                s->b_rs == t->b_rs && s->b_cs == t->b_cs && p->int8_b == from->int8_b;
    }
    WG__HOLDS(m->v, found, m->node, "reads a matrix that is not packed, or another one");
}

static void touch_product(memory *m, const wg__product *p, bool pack)
{
    const int64_t element = (int64_t)wg_dtype_size(p->dtype), one = 1;
    for (int i = 0; i < p->n_segments; i++) {
        const wg__segment *s = &p->segments[i];
        const int64_t a_size = s->a_bf16 ? 2 : element, b_size = s->b_bf16 ? 2 : element;
        const int64_t a[] = {p->m, s->k}, a_stride[] = {s->a_rs, s->a_cs};
        const int64_t b[] = {s->k, p->n}, b_stride[] = {s->b_rs, s->b_cs};
        for (int64_t k = 0; k < (pack || p->shared_b ? 1 : p->batches); k++) {
            const int64_t at = i * p->batch_step + k;
            if (!pack && !p->shared_b)
                touch(m, (operand){&s->a, p->batch_a ? p->batch_a[at] : 0, 2, a, a_stride, a_size, false});
            touch(m, (operand){&s->b, p->batch_b ? p->batch_b[at] : 0, 2, b, b_stride, b_size, false});
        }
        for (int64_t k = 0; p->shared_b && !pack && k < p->batches; k++)
            touch(m, (operand){&p->each_a[k], 0, 2, a, a_stride, a_size, false});
    }
    if (pack || p->packed_b) touch(m, (operand){&p->packed_b, 0, 1, &one, &one, element, pack});
    if (pack) return;
    if (p->packed_b) check_packed(m, p);
    const int64_t c[] = {p->shared_b ? 1 : p->batches, p->m, p->n}, c_stride[] = {p->batch_c, p->c_rs, p->c_cs};
    for (int64_t k = 0; p->shared_b && k < p->batches; k++)
        touch(m, (operand){&p->each_c[k], 0, 3, c, c_stride, element, true});
    if (!p->shared_b) touch(m, (operand){&p->c, 0, 3, c, c_stride, element, true});
}

static bool conflict(const range *a, const range *b)
{
    if (a->slot != b->slot || a->item == b->item || !(a->write || b->write)) return false;
    return a->first == b->first || (a->dense && b->first >= a->first && b->first < a->end) ||
           (b->dense && a->first >= b->first && a->first < b->end);
}

/* An instruction reads what an earlier one has written, and items of one stage, which may run at the same time, do not
 * write what another one uses. */
static void check_memory(const wg__verifier *v)
{
    const wg__plan *plan = v->p->plan;
    memory m = {.v = v};
    m.addresses = calloc(plan->n_fixups + 1u, sizeof *m.addresses);
    m.written = calloc(plan->block_bytes + 1, 1);
    if (!m.addresses || !m.written) { /* nor can the run allocate the block */
        free(m.addresses);
        free(m.written);
        return;
    }
    for (uint32_t s = 0, n = 0; s < plan->n_slots; s++)
        for (uint32_t i = 0; i < plan->slots[s].n_fixups; i++) {
            const wg__fixup *fixup = &plan->fixups[plan->slots[s].first_fixup + i];
            m.addresses[n++] = (address){fixup->where, s, fixup->offset};
        }
    qsort(m.addresses, plan->n_fixups, sizeof *m.addresses, by_where);
    for (uint32_t s = 0; s < plan->n_stages; s++) {
        const uint32_t end = plan->stages[s].first + plan->stages[s].count;
        for (m.item = plan->stages[s].first, m.n = 0; m.item < end; m.item++)
            for (uint32_t i = 0; i < plan->items[m.item].count; i++) {
                const wg__instr *instr = &plan->instrs[plan->items[m.item].first + i];
                m.node = instr->node;
                if (instr->kind == WG__INSTR_KERNEL) touch_kernel(&m, instr->args);
                if (instr->kind == WG__INSTR_CHAIN) touch_chain(&m, instr->chain);
                if (instr->kind == WG__INSTR_PRODUCT) touch_product(&m, instr->product, false);
                if (instr->kind == WG__INSTR_PACK) touch_product(&m, instr->product, true);
            }
        for (uint32_t i = 0; i < m.n && plan->stages[s].count > 1; i++)
            for (uint32_t k = 0; k < i; k++)
                WG__HOLDS(v, !conflict(&m.ranges[i], &m.ranges[k]), m.ranges[i].node,
                          "and %%%u, other items of stage %u, use bytes %lld and %lld of slot %u", m.ranges[k].node,
                          s, (long long)m.ranges[i].first, (long long)m.ranges[k].first, m.ranges[i].slot);
    }
    free(m.addresses);
    free(m.written);
    free(m.ranges);
}

/* ---- the plan ------------------------------------------------------------------------------------------------ */

/* Stages and items cover every instruction once; outputs have an address; addresses are inside their slots; every
 * parameter that is read is checked for its version. */
void wg__verify_plan(const wg__verifier *v)
{
    const wg__planner *p = v->p;
    const wg__plan *plan = p->plan;
    uint32_t instr = 0, item = 0, bound = 0, leaves = 0;
    for (uint32_t id = 1; id < p->n_forward; id++)
        if (!plan->nodes[id].op && plan->nodes[id].slot >= leaves) leaves = plan->nodes[id].slot + 1;
    for (uint32_t s = 0; s < plan->n_stages; s++) {
        const wg__stage *stage = &plan->stages[s];
        uint32_t tasks = 0;
        WG__HOLDS(v, stage->first == item && stage->count > 0, 0, "stage %u does not follow the one before", s);
        for (; item < stage->first + stage->count; item++) {
            const wg__item *it = &plan->items[item];
            WG__HOLDS(v, it->first == instr && it->first_task == tasks, 0, "item %u of stage %u", item, s);
            tasks += it->count > 1 ? 1 : (uint32_t)plan->instrs[it->first].tasks;
            instr += it->count;
        }
        WG__HOLDS(v, stage->tasks == tasks || (stage->count == 1 && stage->tasks == 1), 0,
                  "%u tasks in stage %u of %u", tasks, s, stage->tasks);
    }
    WG__HOLDS(v, instr == plan->n_instrs && item == plan->n_items, 0, "%u of %u instructions run", instr,
              plan->n_instrs);
    for (uint32_t s = 0; s < plan->n_slots; s++) {
        const wg__slot *slot = &plan->slots[s];
        bound += slot->n_fixups;
        WG__HOLDS(v, (s == 0) == (slot->kind == WG__SLOT_BLOCK), 0, "slot %u is the block", s);
        WG__HOLDS(v, slot->kind != WG__SLOT_LEAF || slot->index < leaves, 0, "leaf %u is gone after planning",
                  slot->index);
        for (uint32_t i = 0; i < slot->n_fixups; i++) {
            const int64_t offset = plan->fixups[slot->first_fixup + i].offset;
            WG__HOLDS(v, slot->kind != WG__SLOT_BLOCK || (offset >= 0 && offset <= (int64_t)plan->block_bytes), 0,
                      "an address at %lld is outside the block", (long long)offset);
        }
    }
    WG__HOLDS(v, bound == plan->n_fixups, 0, "%u of %u addresses are bound", bound, plan->n_fixups);
    for (uint32_t i = 0; i < plan->n_params; i++)
        WG__HOLDS(v, wg__node_at(p, plan->params[i])->leaf == WG__LEAF_PARAM, plan->params[i], "is no parameter");
    check_memory(v);
}
