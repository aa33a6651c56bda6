/* What a chain may write over, since an element is written when it has been read: operands that end with it, and
 * buffers that it assigns. */
#include "plan_life.h"

/* ---- operands ------------------------------------------------------------------------------------------------ */

/* Whether operand `node` is last read by the i-th member of a chain, as it stands, and is in the block. */
static bool dies_in(const wg__planner *p, const wg__life *lives, uint32_t node, uint32_t unit, uint32_t i)
{
    const wg__life *l = &lives[node];
    return l->first && l->last == p->stage[unit] && l->read == l->last && l->reader == unit + 1 && l->member == i &&
           l->whole && !p->slot[node] && !p->view[node];
}

/* As many elements of as many bytes. */
static bool alike(const wg_tape *tape, uint32_t a, uint32_t b)
{
    const wg__node *x = &tape->nodes[a], *y = &tape->nodes[b];
    return tape->shapes[x->shape].numel == tape->shapes[y->shape].numel &&
           wg_dtype_size((wg_dtype)x->dtype) == wg_dtype_size((wg_dtype)y->dtype);
}

void wg__take_over(const wg__planner *p, wg__life *lives, uint32_t unit)
{
    const wg__work *chain = &p->units[unit];
    uint32_t dying[4 * WG__CHAIN_MEMBERS], n = 0;
    if (chain->kind != WG__UNIT_CHAIN) return;
    for (uint32_t i = 0; i < chain->count; i++) {
        uint32_t id = p->members[chain->first + i];
        const wg__node *node = &p->tape->nodes[id];
        for (uint32_t k = 0; k < node->n_in; k++) {
            uint32_t in = wg__inputs(p->tape, node)[k];
            if (in >= id || !dies_in(p, lives, in, unit, i)) continue;
            lives[in].reader = 0; /* once, if the member reads it twice */
            dying[n++] = in;
        }
        if (!lives[id].first || p->slot[id] || p->view[id] || wg__plan_op(p, id)->kind != WG_KIND_POINTWISE)
            continue;
        for (uint32_t j = 0; j < n && !lives[id].from; j++) {
            if (!alike(p->tape, dying[j], id)) continue;
            lives[id].from = dying[j];
            dying[j] = dying[--n];
        }
    }
}

/* ---- buffers -------------------------------------------------------------------------------------------------- */

bool wg__homes_init(wg__homes *h, const wg__planner *p, const wg__life *lives)
{
    *h = (wg__homes){.p = p, .lives = lives};
    h->read = wg__plan_array(p->own, p->tape->n_leaves, sizeof *h->read);
    if (!h->read) return false;
    for (uint32_t i = 0; i < p->n_units; i++)
        if (p->units[i].kind == WG__UNIT_NODE && p->stage[i] > h->checked &&
            (wg__plan_op(p, p->units[i].node)->flags & WG_OP_CHECKS_INDEX))
            h->checked = p->stage[i];
    for (uint32_t id = 1; id < p->n; id++) {
        const wg__node *node = &p->tape->nodes[id];
        if (lives[id].read && !node->op && node->leaf == WG__LEAF_PARAM &&
            wg_param_is_buffer(p->tape->leaves[node->slot].param))
            h->read[h->n_read++] = id;
    }
    return true;
}

static const wg_buffer *assigned(const wg__planner *p, const wg__output *output)
{
    return output->kind == WG__OUTPUT_ASSIGN ? p->tape->assigns[output->target].buffer : NULL;
}

/* Whether a chain may write over the buffer: after all who read it, or as it reads it itself. */
static bool overwrites(const wg__homes *h, const wg__output *output)
{
    const wg__planner *p = h->p;
    const uint32_t id = output->node, unit = p->unit[id] - 1, stage = p->stage[unit];
    const wg_buffer *buffer = assigned(p, output);
    uint32_t at = 0;
    while (p->members[p->units[unit].first + at] != id) at++;
    for (uint32_t i = 0; i < h->n_read; i++) {
        const wg__life *l = &h->lives[h->read[i]];
        bool together = l->read == stage && l->reader == unit + 1 && l->whole && l->member <= at;
        bool same = p->tape->leaves[p->tape->nodes[h->read[i]].slot].param == buffer;
        if (same && l->read >= stage && !together) return false;
    }
    for (uint32_t i = 0; i < p->plan->n_outputs; i++) { /* the last of several assignments counts */
        const wg__output *other = &p->plan->outputs[i];
        if (other != output && assigned(p, other) == buffer) return false;
    }
    return true;
}

bool wg__stands_at_home(const wg__homes *h, const wg__output *output)
{
    const wg__planner *p = h->p;
    if (output->kind != WG__OUTPUT_ASSIGN) return output->kind == WG__OUTPUT_GRAD;
    if (!(p->passes & WG__PASS_PLACE) || p->tape->options.locate_nonfinite) return false;
    if (!wg__output_is_plain(p, output) || !p->unit[output->node]) return false;
    uint32_t unit = p->unit[output->node] - 1;
    return p->units[unit].kind == WG__UNIT_CHAIN && p->stage[unit] > h->checked && overwrites(h, output);
}
