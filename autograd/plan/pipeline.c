/* The pipeline: the passes in order, and making a plan with them. */
#include "pipeline.h"

#include "../grad/sweep.h"
#include "dump.h"
#include "verify.h"

#include <string.h>

/* ---- steps that are too small for a file of their own -------------------------------------------------------- */

/* Appends the gradient nodes. They belong to no region of rematerialization, wherever the user is. */
static bool differentiate(wg__planner *p)
{
    wg_tape *tape = p->tape;
    const wg__request *r = p->request;
    if (!r->loss) return true;
    wg__remat remat;
    const bool wanted = p->passes & WG__PASS_REMAT;
    int depth = tape->modes.remat;
    tape->modes.remat = 0;
    p->grads = wg__arena_array(p->arena, r->n_x, sizeof *p->grads);
    bool ok = p->grads && (!wanted || wg__remat_init(&remat, tape, r->loss, r->targets, r->n_targets)) &&
              wg__differentiate(tape, r->loss, 0, r->x, r->n_x, p->grads, wanted ? &remat : NULL) == WG_OK;
    tape->modes.remat = depth;
    return ok;
}

static void output_add(wg__planner *p, wg__output_kind kind, uint32_t node, uint32_t target)
{
    const wg__node *n = wg__node_at(p, node);
    assert(node && node < p->tape->n_nodes);
    wg__output output = {.kind = kind,
                         .node = node,
                         .target = target,
                         .dtype = (wg_dtype)n->dtype,
                         .numel = wg__numel_of(p->tape, n),
                         .bytes = (size_t)wg__size_of(p->tape, n)};
    if (kind == WG__OUTPUT_VALUE) p->plan->output_bytes += output.bytes;
    p->plan->outputs[p->plan->n_outputs++] = output;
}

static bool no_gradient(wg__planner *p)
{
    wg__tape_error(
        p->tape, WG_ERR_GRADIENT,
        "backward: no gradient flows to a parameter: each is frozen, detached, unused or behind ops without "
        "a derivative");
    return false;
}

/* Lists each wanted value once, then gradients, then assigned values. */
static bool list_outputs(wg__planner *p)
{
    const wg_tape *tape = p->tape;
    const wg__request *r = p->request;
    uint64_t most = (uint64_t)r->n_targets + tape->n_kept + r->n_x + tape->n_assigns;
    p->plan->outputs = wg__arena_array(&p->plan->memory, most, sizeof *p->plan->outputs);
    uint8_t *seen = wg__arena_array(p->scratch, tape->n_nodes, 1);
    if (!p->plan->outputs || !seen) return false;
    for (uint32_t i = 0; i < r->n_targets; i++)
        if (!seen[r->targets[i]]++) output_add(p, WG__OUTPUT_VALUE, r->targets[i], 0);
    for (uint32_t id = 1; tape->n_kept && id < p->n_forward; id++)
        if ((tape->nodes[id].flags & (WG__NODE_KEPT | WG__NODE_VALUE)) == WG__NODE_KEPT && !seen[id]++)
            output_add(p, WG__OUTPUT_VALUE, id, 0);
    const uint32_t n_values = p->plan->n_outputs;
    for (uint32_t i = 0; r->loss && i < r->n_x; i++)
        if (p->grads[i]) output_add(p, WG__OUTPUT_GRAD, p->grads[i], r->x[i]);
    if (r->loss && p->plan->n_outputs == n_values) return no_gradient(p);
    p->grads = NULL; /* recompute renumbers the outputs, not these */
    for (uint32_t i = 0; i < tape->n_assigns; i++) output_add(p, WG__OUTPUT_ASSIGN, tape->assigns[i].node, i);
    assert(p->plan->n_outputs <= most);
    return true;
}

/* From here on node ids do not change: allocates the arrays that are indexed by them. */
static bool index_nodes(wg__planner *p)
{
    const uint32_t n = p->n = p->tape->n_nodes;
    p->flags = wg__arena_array(p->arena, n, sizeof *p->flags);
    p->uses = wg__arena_array(p->arena, n, sizeof *p->uses);
    p->storage.root = wg__arena_array(p->arena, n, sizeof *p->storage.root);
    p->storage.view = wg__arena_array(p->arena, n, sizeof *p->storage.view);
    p->storage.owner = wg__arena_array(p->arena, n, sizeof *p->storage.owner);
    p->storage.shift = wg__arena_array(p->arena, n, sizeof *p->storage.shift);
    p->units.of = wg__arena_array(p->arena, n, sizeof *p->units.of);
    if (!p->flags || !p->uses || !p->storage.root || !p->storage.view || !p->storage.owner || !p->storage.shift)
        return false;
    return p->units.of && wg__unit_new(p, (wg__unit){0}) == 0 && p->units.n == 1;
}

/* ---- the table ----------------------------------------------------------------------------------------------- */

/* A pass with a switch is skipped if all its switches are off. Passes without one always run; fuse, schedule, pack and
 * place test their switch themselves, since part of their work is always necessary. */
static const struct pass {
    const char *name;
    unsigned enable;
    bool (*run)(wg__planner *p);
    bool leaves_scratch; /* to the next pass */
} pipeline[] = {
    {"rewrite", WG__PASS_ATTENTION | WG__PASS_LOOKUP, wg__plan_rewrite},
    {"differentiate", 0, differentiate},
    {"outputs", 0, list_outputs},
    {"recompute", WG__PASS_RECOMPUTE, wg__plan_recompute},
    {"index", 0, index_nodes},
    {"liveness", 0, wg__plan_liveness},
    {"residuals", WG__PASS_RESIDUALS, wg__plan_residuals},
    {"layout", 0, wg__plan_layout},
    {"merge", WG__PASS_MERGE, wg__plan_merge},
    {"fuse", 0, wg__plan_fuse, .leaves_scratch = true},
    {"lower", 0, wg__plan_lower},
    {"narrow", WG__PASS_NARROW, wg__plan_narrow},
    {"alias", 0, wg__plan_alias},
    {"order", 0, wg__plan_order},
    {"share_weight", WG__PASS_SHARE_WEIGHT, wg__plan_share_weight},
    {"schedule", 0, wg__plan_schedule},
    {"pack", 0, wg__plan_pack},
    {"place", 0, wg__plan_place},
    {"emit", 0, wg__plan_emit},
};
enum { PASSES = sizeof pipeline / sizeof *pipeline };

static const struct {
    const char *name;
    unsigned pass;
} switches[] = {{"all", ~(unsigned)WG__PASS_PRECISION},
                {"attention", WG__PASS_ATTENTION},
                {"lookup", WG__PASS_LOOKUP},
                {"remat", WG__PASS_REMAT},
                {"recompute", WG__PASS_RECOMPUTE},
                {"residuals", WG__PASS_RESIDUALS},
                {"merge", WG__PASS_MERGE},
                {"fuse", WG__PASS_FUSE},
                {"share_weight", WG__PASS_SHARE_WEIGHT},
                {"schedule", WG__PASS_SCHEDULE},
                {"pack", WG__PASS_PACK},
                {"place", WG__PASS_PLACE},
                {"cache", WG__PASS_CACHE},
                {"bf16", WG__PASS_BF16},
                {"narrow", WG__PASS_NARROW},
                {"int8", WG__PASS_INT8}};

unsigned wg__pass_switch(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++)
        if (strlen(switches[i].name) == length && !memcmp(switches[i].name, name, length)) return switches[i].pass;
    return 0;
}

const char *wg__pass_name(int index) { return index >= 0 && index < PASSES ? pipeline[index].name : NULL; }

/* ---- running it ---------------------------------------------------------------------------------------------- */

/* Passes that would hide which operation computed the first NaN. */
static const unsigned HIDING = WG__PASS_ATTENTION | WG__PASS_LOOKUP | WG__PASS_RECOMPUTE | WG__PASS_MERGE |
                               WG__PASS_FUSE | WG__PASS_SHARE_WEIGHT | WG__PASS_SCHEDULE | WG__PASS_NARROW;

static bool run_passes(wg__planner *p)
{
    bool ok = true;
    for (int i = 0; i < PASSES && ok; i++) {
        const struct pass *pass = &pipeline[i];
        if (pass->enable && !(p->passes & pass->enable)) continue;
        ok = pass->run(p) && !wg__failed(p->tape);
        if (ok) wg__verify(p, pass->name);
        if (ok) wg__dump_after(p, pass->name);
        if (!ok || !pass->leaves_scratch) wg__arena_release(p->scratch);
    }
    return ok;
}

bool wg__plan_make(wg_tape *tape, wg__plan *plan, const wg__request *request)
{
    const uint32_t n_nodes = tape->n_nodes, n_spill = tape->n_spill, n_leaves = tape->n_leaves;
    const uint64_t hash = tape->hash, bytes = tape->bytes;
    wg__arena scratch = {.heap = &tape->heap};
    wg__planner p = {.tape = tape,
                     .plan = plan,
                     .request = request,
                     .arena = &tape->working,
                     .scratch = &scratch,
                     .passes = tape->passes,
                     .n_forward = n_nodes};
    if (tape->options.locate_nonfinite) p.passes &= ~HIDING;
    if ((p.passes & (WG__PASS_BF16 | WG__PASS_INT8)) != WG__PASS_BF16) /* int8 reads 16 bits of an operand */
        p.passes &= ~(unsigned)WG__PASS_NARROW;
    bool ok = run_passes(&p);
    wg__heap_release(&tape->heap, p.units.list, p.units.cap * sizeof *p.units.list);
    wg__heap_release(&tape->heap, p.units.members, p.units.cap_members * sizeof *p.units.members);
    assert(tape->n_nodes >= n_nodes && tape->n_spill >= n_spill && tape->n_leaves >= n_leaves);
    tape->n_nodes = n_nodes;
    tape->n_spill = n_spill;
    tape->n_leaves = n_leaves;
    tape->hash = hash;
    tape->bytes = bytes;
    wg__arena_trim(&tape->working); /* before the run takes memory of its own */
    if (p.rewritten || !ok) memcpy(tape->nodes, plan->nodes, n_nodes * sizeof *tape->nodes);
    return ok;
}
