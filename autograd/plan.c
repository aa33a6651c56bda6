/* Planning: finds the cached plan of what is asked for, or makes it by the passes.
 *
 * The key is everything recorded since the reset and the request, compared in full. A hit skips
 * differentiation: gradient nodes are appended only while a plan is made and taken away after, and nodes that were
 * rewritten are put back. */
#include "plan.h"
#include "remat.h"
#include "rewrite.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_PLANS = 64 };

void *wg__plan_array(wg__arena *arena, uint64_t n, size_t size)
{
    if (n > SIZE_MAX / 8 / size) return NULL;
    void *memory = wg__arena_alloc(arena, (size_t)n * size, 16);
    if (memory) memset(memory, 0, (size_t)n * size);
    return memory;
}

uint32_t wg__unit_new(wg__planner *p, wg__work unit)
{
    if (!wg__grow(&p->tape->heap, (void **)&p->units, &p->cap_units, p->n_units + 1u, sizeof unit))
        return UINT32_MAX;
    p->units[p->n_units] = unit;
    return p->n_units++;
}

bool wg__member_add(wg__planner *p, uint32_t node)
{
    if (!wg__grow(&p->tape->heap, (void **)&p->members, &p->cap_members, p->n_members + 1u, sizeof node))
        return false;
    p->members[p->n_members++] = node;
    return true;
}

/* ---- plans and their keys ------------------------------------------------------------------------------------ */

static void plan_free(wg_tape *tape, wg__plan *plan)
{
    for (uint32_t i = 0; i < plan->n_slots; i++)
        if (plan->slots[i].kind == WG__SLOT_HELD) wg__held_release(tape, plan->slots[i].index);
    wg__arena_release(&plan->memory);
    wg__heap_release(&tape->heap, plan, sizeof *plan);
}

void wg__plans_release(wg_tape *tape)
{
    while (tape->plans) {
        wg__plan *next = tape->plans->next;
        plan_free(tape, tape->plans);
        tape->plans = next;
    }
    tape->n_plans = 0;
    tape->last_plan = NULL;
}

typedef struct request {
    uint32_t *words; /* loss, x, targets, assigned: the key */
    uint32_t n;
    const uint32_t *x, *targets;
    uint32_t loss, n_x, n_targets;
    uint64_t hash;
} request;

static bool chosen(wg_param *param, wg_param *const *only, uint32_t n_only)
{
    if (wg_param_is_frozen(param) || wg_param_is_buffer(param)) return false;
    for (uint32_t i = 0; i < n_only; i++)
        if (only[i] == param) return true;
    return !only;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* What is asked for, in words that can be compared. */
static bool request_make(wg_tape *tape, request *r, const uint32_t *nodes, uint32_t n, uint32_t loss,
                         wg_param *const *only, uint32_t n_only)
{
    uint64_t words = 8 + (uint64_t)n + tape->param_index.count + 3 * (uint64_t)tape->n_assigns;
    uint32_t *w = r->words = wg__arena_alloc(&tape->scratch, words * sizeof *w, 8);
    if (!w) return false;
    *w++ = r->loss = loss;
    *w++ = tape->passes;
    r->x = w + 1;
    for (uint32_t i = 0; loss && i < tape->param_index.size; i++) {
        uint32_t id = tape->param_index.table[i];
        if (id && chosen(tape->leaves[tape->nodes[id - 1].slot].param, only, n_only)) w[1 + r->n_x++] = id - 1;
    }
    qsort(w + 1, r->n_x, sizeof *w, ascending); /* the table's order depends on addresses */
    *w = r->n_x;
    w += 1 + r->n_x;
    r->targets = w + 1;
    for (uint32_t i = 0; i < n; i++) {
        const wg__node *node = &tape->nodes[nodes[i]];
        if (!(node->flags & WG__NODE_VALUE) && node->leaf != WG__LEAF_DATA) w[1 + r->n_targets++] = nodes[i];
    }
    *w = r->n_targets;
    w += 1 + r->n_targets;
    for (uint32_t i = 0; i < tape->n_assigns; i++) {
        uint64_t id = wg__param_id(tape->assigns[i].buffer);
        *w++ = tape->assigns[i].node;
        *w++ = (uint32_t)id;
        *w++ = (uint32_t)(id >> 32);
    }
    r->n = (uint32_t)(w - r->words);
    r->hash = tape->hash;
    for (uint32_t i = 0; i < r->n; i++) r->hash = (r->hash ^ r->words[i]) * 0x9E3779B97F4A7C15u ^ (r->hash >> 31);
    return true;
}

static bool matches(const wg_tape *tape, const wg__plan *plan, const request *r)
{
    return plan->hash == r->hash && plan->n_nodes == tape->n_nodes && plan->n_spill == tape->n_spill &&
           plan->n_request == r->n && !memcmp(plan->request, r->words, r->n * sizeof *r->words) &&
           !memcmp(plan->nodes, tape->nodes, tape->n_nodes * sizeof *tape->nodes) &&
           (!tape->n_spill || !memcmp(plan->spill, tape->spill, tape->n_spill * sizeof *tape->spill));
}

static wg__plan *find(wg_tape *tape, const request *r)
{
    if (!(tape->passes & WG__PASS_CACHE)) return NULL;
    for (wg__plan **at = &tape->plans; *at; at = &(*at)->next) {
        wg__plan *plan = *at;
        if (!matches(tape, plan, r)) continue;
        *at = plan->next;
        plan->next = tape->plans;
        return tape->plans = plan;
    }
    return NULL;
}

static bool copy_key(wg_tape *tape, wg__plan *plan, const request *r)
{
    plan->hash = r->hash;
    plan->n_nodes = tape->n_nodes;
    plan->n_spill = tape->n_spill;
    plan->n_request = r->n;
    plan->nodes = wg__plan_array(&plan->memory, plan->n_nodes, sizeof *plan->nodes);
    plan->spill = wg__plan_array(&plan->memory, plan->n_spill, sizeof *plan->spill);
    plan->request = wg__plan_array(&plan->memory, plan->n_request, sizeof *plan->request);
    if (!plan->nodes || !plan->spill || !plan->request) return false;
    memcpy(plan->nodes, tape->nodes, plan->n_nodes * sizeof *plan->nodes);
    if (plan->n_spill) memcpy(plan->spill, tape->spill, plan->n_spill * sizeof *plan->spill);
    memcpy(plan->request, r->words, plan->n_request * sizeof *plan->request);
    return true;
}

/* ---- making one ---------------------------------------------------------------------------------------------- */

static void output_add(wg_tape *tape, wg__plan *plan, wg__output_kind kind, uint32_t node, uint32_t target)
{
    const wg__node *n = &tape->nodes[node];
    wg__output output = {.kind = kind,
                         .node = node,
                         .target = target,
                         .dtype = (wg_dtype)n->dtype,
                         .numel = tape->shapes[n->shape].numel};
    output.bytes = (size_t)output.numel * wg_dtype_size(output.dtype);
    if (kind == WG__OUTPUT_VALUE) plan->output_bytes += output.bytes;
    plan->outputs[plan->n_outputs++] = output;
}

/* Each wanted value once; gradients; assigned values. */
static bool list_outputs(wg_tape *tape, wg__plan *plan, const request *r, const uint32_t *dx)
{
    uint64_t most = (uint64_t)r->n_targets + tape->n_kept + r->n_x + tape->n_assigns;
    plan->outputs = wg__plan_array(&plan->memory, most, sizeof *plan->outputs);
    uint8_t *seen = wg__plan_array(&tape->scratch, tape->n_nodes, 1);
    if (!plan->outputs || !seen) return false;
    for (uint32_t i = 0; i < r->n_targets; i++)
        if (!seen[r->targets[i]]++) output_add(tape, plan, WG__OUTPUT_VALUE, r->targets[i], 0);
    for (uint32_t id = 1; tape->n_kept && id < plan->n_nodes; id++)
        if ((tape->nodes[id].flags & (WG__NODE_KEPT | WG__NODE_VALUE)) == WG__NODE_KEPT && !seen[id]++)
            output_add(tape, plan, WG__OUTPUT_VALUE, id, 0);
    for (uint32_t i = 0; i < r->n_x; i++)
        if (dx[i]) output_add(tape, plan, WG__OUTPUT_GRAD, dx[i], r->x[i]);
    for (uint32_t i = 0; i < tape->n_assigns; i++)
        output_add(tape, plan, WG__OUTPUT_ASSIGN, tape->assigns[i].node, i);
    return true;
}

static bool run_passes(wg_tape *tape, wg__plan *plan)
{
    static bool (*const pass[])(wg__planner *) = {wg__plan_need, wg__plan_keep, wg__plan_layout, wg__plan_merge,
                                                  wg__plan_fuse, wg__plan_join, wg__plan_order,  wg__plan_rows,
                                                  wg__plan_side, wg__plan_pack, wg__plan_place,  wg__plan_emit};
    wg__arena own = {.heap = &tape->heap};
    wg__planner p = {.tape = tape,
                     .plan = plan,
                     .arena = &tape->scratch,
                     .own = &own,
                     .passes = tape->passes,
                     .n = tape->n_nodes};
    if (tape->options.locate_nonfinite)
        p.passes &= ~(unsigned)(WG__PASS_MERGE | WG__PASS_FUSE | WG__PASS_ROWS | WG__PASS_SIDE);
    p.state = wg__plan_array(p.arena, p.n, sizeof *p.state);
    p.root = wg__plan_array(p.arena, p.n, sizeof *p.root);
    p.view = wg__plan_array(p.arena, p.n, sizeof *p.view);
    p.uses = wg__plan_array(p.arena, p.n, sizeof *p.uses);
    p.unit = wg__plan_array(p.arena, p.n, sizeof *p.unit);
    p.owner = wg__plan_array(p.arena, p.n, sizeof *p.owner);
    p.shift = wg__plan_array(p.arena, p.n, sizeof *p.shift);
    p.slot = wg__plan_array(p.arena, p.n, sizeof *p.slot);
    p.offset = wg__plan_array(p.arena, p.n, sizeof *p.offset);
    bool ok = p.state && p.root && p.view && p.uses && p.unit && p.owner && p.shift && p.slot && p.offset;
    for (size_t i = 0; i < sizeof pass / sizeof *pass && ok; i++) {
        ok = pass[i](&p);
        wg__arena_release(&own);
    }
    wg__heap_release(&tape->heap, p.units, p.cap_units * sizeof *p.units);
    wg__heap_release(&tape->heap, p.members, p.cap_members * sizeof *p.members);
    return ok;
}

static void drop_oldest(wg_tape *tape)
{
    wg__plan **at = &tape->plans;
    while ((*at)->next) at = &(*at)->next;
    if (*at == tape->last_plan) tape->last_plan = NULL;
    plan_free(tape, *at);
    *at = NULL;
    tape->n_plans--;
}

/* Nodes that are appended meanwhile are in no region, wherever the user is. */
static bool differentiate(wg_tape *tape, const request *r, uint32_t *dx)
{
    wg__remat remat;
    int marks = tape->remat;
    tape->remat = 0;
    bool ok = wg__remat_init(&remat, tape, r->loss, r->targets, r->n_targets) &&
              wg__differentiate(tape, r->loss, 0, r->x, r->n_x, dx, &remat) == WG_OK;
    tape->remat = marks;
    return ok;
}

/* A new plan, first in the cache; NULL with an error stored. */
static wg__plan *make(wg_tape *tape, const request *r)
{
    wg__plan *plan = wg__heap_alloc(&tape->heap, sizeof *plan);
    uint32_t *dx = wg__arena_alloc(&tape->scratch, (r->n_x + 1) * sizeof *dx, 8);
    if (!plan || !dx) {
        wg__heap_release(&tape->heap, plan, sizeof *plan);
        return wg__out_of_memory(tape), NULL;
    }
    *plan = (wg__plan){.memory.heap = &tape->heap};
    uint32_t n_nodes = tape->n_nodes, n_spill = tape->n_spill, n_leaves = tape->n_leaves;
    uint64_t hash = tape->hash;
    wg__rewrite rewrite = {.tape = tape};
    bool ok = copy_key(tape, plan, r) && wg__rewrite_program(&rewrite, r->loss, r->targets, r->n_targets);
    if (ok && r->loss) ok = differentiate(tape, r, dx);
    ok = ok && tape->error.status == WG_OK && list_outputs(tape, plan, r, dx) && wg__plan_again(tape, plan) &&
         run_passes(tape, plan);
    tape->n_nodes = n_nodes;
    tape->n_spill = n_spill;
    tape->n_leaves = n_leaves;
    tape->hash = hash;
    wg__arena_trim(&tape->scratch); /* before the run takes memory of its own */
    if (rewrite.changed) memcpy(tape->nodes, plan->nodes, n_nodes * sizeof *tape->nodes);
    if (!ok) {
        plan_free(tape, plan);
        wg__out_of_memory(tape); /* unless there is an error already */
        return NULL;
    }
    tape->counts.plan_misses++;
    if (tape->n_plans >= MOST_PLANS) drop_oldest(tape);
    plan->next = tape->plans;
    tape->plans = plan;
    tape->n_plans++;
    return plan;
}

/* ---- forcing ------------------------------------------------------------------------------------------------- */

static wg__plan *plan_for(wg_tape *tape, const uint32_t *nodes, uint32_t n, uint32_t loss, wg_param *const *only,
                          uint32_t n_only)
{
    request r = {0};
    wg__arena_rewind(&tape->scratch);
    if (!request_make(tape, &r, nodes, n, loss, only, n_only)) return wg__out_of_memory(tape), NULL;
    wg__plan *plan = find(tape, &r);
    if (plan) {
        tape->counts.plan_hits++;
        return plan;
    }
    return make(tape, &r);
}

wg_status wg__force(wg_tape *tape, const uint32_t *nodes, uint32_t n, uint32_t loss, wg_param *const *only,
                    uint32_t n_only)
{
    if (tape->error.status != WG_OK) return tape->error.status;
    bool nothing = !loss && !tape->n_kept && !tape->n_assigns;
    for (uint32_t i = 0; i < n && nothing; i++) {
        const wg__node *node = &tape->nodes[nodes[i]];
        nothing = (node->flags & WG__NODE_VALUE) || node->leaf == WG__LEAF_DATA;
    }
    if (nothing) return WG_OK;
    wg__plan *plan = plan_for(tape, nodes, n, loss, only, n_only);
    return plan ? wg__run(tape, plan) : tape->error.status;
}

/* ---- the public forms ---------------------------------------------------------------------------------------- */

/* Ids of live tensors of one tape; NULL with an error stored or when there is none. */
static uint32_t *ids_of(const wg_tensor *tensors, int n, const char *what)
{
    wg_tape *tape = tensors[0].tape;
    uint32_t *ids = wg__arena_alloc(&tape->data, (size_t)n * sizeof *ids, 8);
    if (!ids) return wg__out_of_memory(tape), NULL;
    for (int i = 0; i < n; i++) {
        if (tensors[i].tape != tape) {
            wg_fail(tensors[0], WG_ERR_ARGUMENT, what, "tensor %d is %s", i + 1,
                    tensors[i].tape ? "on another tape" : "not set");
            return NULL;
        }
        if (!wg__live(tensors[i], what)) return NULL;
        ids[i] = tensors[i].node;
    }
    return ids;
}

wg_status wg_eval(const wg_tensor *tensors, int n)
{
    if (n <= 0 || !tensors || !tensors[0].tape) return WG_ERR_ARGUMENT;
    wg_tape *tape = tensors[0].tape;
    if (tape->error.status != WG_OK) return tape->error.status;
    uint32_t *ids = ids_of(tensors, n, "eval");
    if (!ids) return tape->error.status != WG_OK ? tape->error.status : WG_ERR_ARGUMENT;
    return wg__force(tape, ids, (uint32_t)n, 0, NULL, 0);
}

static size_t bytes_of(const wg__plan *plan) { return plan->block_bytes + plan->output_bytes + plan->held_bytes; }

size_t wg_plan_bytes(const wg_tensor *tensors, int n)
{
    if (n <= 0 || !tensors || !tensors[0].tape || tensors[0].tape->error.status != WG_OK) return 0;
    uint32_t *ids = ids_of(tensors, n, "plan_bytes");
    if (!ids) return 0;
    const wg__plan *plan = plan_for(tensors[0].tape, ids, (uint32_t)n, 0, NULL, 0);
    return plan ? bytes_of(plan) : 0;
}

size_t wg_backward_bytes(wg_tensor loss)
{
    if (!wg__live(loss, "backward_bytes")) return 0;
    const wg__plan *plan = plan_for(loss.tape, &loss.node, 1, loss.node, NULL, 0);
    return plan ? bytes_of(plan) + wg__aside_bytes(loss.tape, plan) : 0;
}

const void *wg_value(wg_tensor tensor)
{
    wg__node *node = wg__live(tensor, "value");
    if (!node) return NULL;
    wg_tape *tape = tensor.tape;
    if (node->leaf == WG__LEAF_DATA) {
        static const double nothing = 0; /* an empty tensor may have been given without memory */
        const void *data = tape->leaves[node->slot].data;
        return data ? data : &nothing;
    }
    if (!(node->flags & WG__NODE_VALUE) && wg__force(tape, &tensor.node, 1, 0, NULL, 0) != WG_OK) return NULL;
    return tape->values[tape->nodes[tensor.node].value];
}

double wg_item(wg_tensor tensor)
{
    double value = __builtin_nan("");
    wg__node *node = wg__live(tensor, "item");
    if (!node) return value;
    if (tensor.tape->shapes[node->shape].numel != 1) {
        char text[128];
        wg_fail(tensor, WG_ERR_SHAPE, "item", "%s has more or less than one element",
                wg_shape_text(wg__shape_of_node(tensor.tape, node), text, sizeof text));
        return value;
    }
    wg_dtype dtype = (wg_dtype)node->dtype;
    const void *data = wg_value(tensor);
    if (data) wg__structural_ops.to_f64(dtype, data, 1, &value);
    return value;
}

wg_status wg_read(wg_tensor tensor, void *out, size_t bytes)
{
    const void *data = wg_value(tensor);
    if (!tensor.tape || !data)
        return tensor.tape && tensor.tape->error.status ? tensor.tape->error.status : WG_ERR_ARGUMENT;
    const wg__node *node = &tensor.tape->nodes[tensor.node];
    size_t size = (size_t)tensor.tape->shapes[node->shape].numel * wg_dtype_size((wg_dtype)node->dtype);
    if (size != bytes) {
        wg_fail(tensor, WG_ERR_ARGUMENT, "read", "the tensor has %zu bytes, not %zu", size, bytes);
        return WG_ERR_ARGUMENT;
    }
    if (size) memcpy(out, data, size);
    return WG_OK;
}
