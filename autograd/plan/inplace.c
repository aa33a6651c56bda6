/* Storage that a chain may overwrite, since it reads each element before it writes it: operands whose last use is in
 * the chain, and buffers that it assigns. A kernel may overwrite a buffer that it updates. */
#include "lifetime.h"

/* ---- operands ------------------------------------------------------------------------------------------------ */

/* Whether the last use of operand `node` is the i-th member of a chain, read directly, and it is in the block. */
static bool ends_in(const wg__planner *p, const wg__lifetime *lifetimes, uint32_t node, uint32_t unit, uint32_t i)
{
    const wg__lifetime *l = &lifetimes[node];
    return l->first && l->last == p->schedule.stage[unit] && l->read == l->last && l->reader == unit &&
           l->member == i && l->direct && !p->places.slot[node] && !p->storage.view[node];
}

static bool same_size(const wg__planner *p, uint32_t a, uint32_t b)
{
    return wg__element_of(p, a) == wg__element_of(p, b) && wg__bytes_of(p, a) == wg__bytes_of(p, b);
}

void wg__inplace_operands(const wg__planner *p, wg__lifetime *lifetimes, uint32_t unit)
{
    const wg__unit *chain = &p->units.list[unit];
    uint32_t ended[4 * WG__CHAIN_STEPS], n = 0;
    if (chain->kind != WG__UNIT_CHAIN) return;
    for (uint32_t i = 0; i < chain->count; i++) {
        uint32_t id = p->units.members[chain->first + i];
        const wg__node *node = wg__node_at(p, id);
        for (uint32_t k = 0; k < node->n_in; k++) {
            uint32_t in = wg__inputs(p->tape, node)[k];
            if (in >= id || !ends_in(p, lifetimes, in, unit, i)) continue;
            lifetimes[in].reader = 0; /* once, if the member reads it twice */
            assert(n < sizeof ended / sizeof *ended);
            ended[n++] = in;
        }
        if (!lifetimes[id].first || p->places.slot[id] || p->storage.view[id]) continue;
        if (wg__op_at(p, id)->kind != WG_KIND_POINTWISE) continue;
        for (uint32_t j = 0; j < n && !lifetimes[id].in_place_of; j++) {
            if (!same_size(p, ended[j], id)) continue;
            lifetimes[id].in_place_of = ended[j];
            ended[j] = ended[--n];
        }
    }
}

/* ---- targets ------------------------------------------------------------------------------------------------- */

bool wg__targets_init(wg__targets *t, const wg__planner *p, const wg__lifetime *lifetimes)
{
    *t = (wg__targets){.p = p, .lifetimes = lifetimes};
    t->read = wg__arena_array(p->scratch, p->tape->n_leaves, sizeof *t->read);
    if (!t->read) return false;
    for (uint32_t i = 1; i < p->units.n; i++)
        if (p->units.list[i].kind == WG__UNIT_KERNEL && p->schedule.stage[i] > t->last_check &&
            (wg__op_at(p, p->units.list[i].node)->flags & WG_OP_CHECKS_INDEX))
            t->last_check = p->schedule.stage[i];
    for (uint32_t id = 1; id < p->n; id++) {
        const wg__node *node = wg__node_at(p, id);
        if (lifetimes[id].read && !node->op && node->leaf == WG__LEAF_PARAM &&
            wg_param_is_buffer(p->tape->leaves[node->slot].param))
            t->read[t->n_read++] = id;
    }
    return true;
}

/* The place in its unit of a value that its unit may write over a buffer: of a step of a chain, or 0 if a kernel
 * updates just this buffer; -1: it must not. The sums of a chain's lines go on while it reads. */
static int64_t member_over(const wg__planner *p, uint32_t id, const wg_buffer *buffer)
{
    const wg__unit *unit = &p->units.list[p->units.of[id]];
    if (unit->kind == WG__UNIT_CHAIN) {
        uint32_t at = 0;
        if (!wg__is_step(p, id)) return -1;
        while (p->units.members[unit->first + at] != id) at++;
        assert(at < unit->count);
        return at;
    }
    if (unit->kind != WG__UNIT_KERNEL || !(wg__op_at(p, id)->flags & WG_OP_UPDATES)) return -1;
    const wg__node *node = wg__node_at(p, id);
    const uint32_t from = wg__base_of(p->tape, node), *in = wg__inputs(p->tape, node);
    uint32_t uses = 0; /* a base that is another operand, too, must stay as it is */
    for (uint32_t k = 0; k < node->n_in; k++) uses += in[k] == from;
    const wg__node *base = wg__node_at(p, from);
    return uses == 1 && base->leaf == WG__LEAF_PARAM && p->tape->leaves[base->slot].param == buffer ? 0 : -1;
}

/* Whether the unit that computes the output may overwrite the buffer: it runs after all readers, or is the last one
 * itself. A buffer is assigned once in a plan: of several assignments the last counts (wg_assign). */
static bool can_overwrite(const wg__targets *t, const wg__output *output)
{
    const wg__planner *p = t->p;
    const uint32_t id = output->node, unit = p->units.of[id], stage = p->schedule.stage[unit];
    const wg_buffer *buffer = p->tape->assigns[output->target].buffer;
    const int64_t at = member_over(p, id, buffer);
    if (at < 0) return false;
    const bool chain = p->units.list[unit].kind == WG__UNIT_CHAIN;
    const uint32_t base = chain ? 0 : wg__base_of(p->tape, wg__node_at(p, id));
    for (uint32_t i = 0; i < t->n_read; i++) {
        const wg__lifetime *l = &t->lifetimes[t->read[i]];
        const bool here =
            l->read == stage && l->reader == unit && l->direct && l->member <= at && (chain || t->read[i] == base);
        bool same = p->tape->leaves[wg__node_at(p, t->read[i])->slot].param == buffer;
        if (same && l->read >= stage && !here) return false;
    }
    return true;
}

/* A run that finds an index out of range fails, and must not have changed a buffer. */
bool wg__is_on_target(const wg__targets *t, const wg__output *output)
{
    const wg__planner *p = t->p;
    if (output->kind != WG__OUTPUT_ASSIGN) return output->kind == WG__OUTPUT_GRAD;
    if (!(p->passes & WG__PASS_PLACE) || p->tape->options.locate_nonfinite) return false;
    const uint32_t unit = p->units.of[output->node];
    if (!wg__output_is_direct(p, output) || !unit) return false;
    return p->schedule.stage[unit] > t->last_check && can_overwrite(t, output);
}
