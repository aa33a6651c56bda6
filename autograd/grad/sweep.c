/* Reverse mode: one sweep over the tape, last node first, which appends gradient nodes to the same tape.
 *
 * An op knows only its own derivative. The engine decides which operands need a gradient, sums broadcast gradients to
 * the operand's shape, and adds the gradients of a value that has several readers. */
#include "sweep.h"

#include <string.h>

enum { FEW = 16 };

/* A gradient that is added to the others when the sweep reaches the node. */
typedef struct pending {
    uint32_t node, next;
} pending;

typedef struct sweep {
    wg_tape *tape;
    wg__remat *remat;
    uint32_t n;      /* nodes of the forward pass: ids below n */
    uint8_t *needed; /* [n] it depends on one of the x */
    uint32_t *grad;  /* [n] the sum so far; 0: none */
    uint32_t *pads;  /* [n] first pending gradient of a slice; 0: none */
    uint32_t *onto;  /* [n] first pending gradient whose op can add to the others; 0: none */
    pending *list;   /* entry 0 is reserved */
    uint32_t n_list, cap_list;
} sweep;

/* A copy of a node's attributes, since recording may move the original. Returns NULL with an error if out of memory. */
static void *copy_attr(wg_tape *tape, const wg__node *node, size_t *bytes)
{
    *bytes = node->attr ? tape->interned.attr_sizes[node->attr] : 0;
    void *attr = wg__heap_alloc(&tape->heap, *bytes);
    if (!attr) return wg__out_of_memory(tape), NULL;
    return *bytes ? memcpy(attr, wg__attr_of(tape, node), *bytes) : attr;
}

/* sum + d, where d is computed by an op that can add to an operand: records the same op with the sum as that
 * operand. */
static wg_tensor add_onto(wg_tape *tape, wg_tensor sum, wg_tensor d)
{
    const wg__node *node = &tape->nodes[d.node];
    const wg_op *op = wg__op_of(tape, node);
    const uint32_t *given = wg__inputs(tape, node);
    wg_tensor in[FEW];
    int base = op->max_in - 1;
    assert(wg__adds_to(op));
    if (!sum.node || wg__base_of(tape, node) || base >= FEW) return wg__record_add(tape, sum, d);
    for (int k = 0; k < base; k++) in[k] = k < (int)node->n_in && given[k] ? wg__handle(tape, given[k]) : WG_NONE;
    in[base] = sum;
    size_t bytes;
    void *attr = copy_attr(tape, node, &bytes);
    if (!attr) return wg__nil(tape);
    wg_tensor result = wg_record_on(tape, op, in, base + 1, attr, bytes);
    wg__heap_release(&tape->heap, attr, bytes);
    return result;
}

/* ---- nodes that need a gradient -------------------------------------------------------------------------- */

static void mark(sweep *s, const uint32_t *x, uint32_t n_x)
{
    wg_tape *tape = s->tape;
    memset(s->needed, 0, s->n);
    uint32_t first = s->n;
    for (uint32_t i = 0; i < n_x; i++) {
        if (x[i] >= s->n) continue;
        s->needed[x[i]] = 1;
        if (x[i] < first) first = x[i];
    }
    for (uint32_t id = first; id < s->n; id++) {
        const wg__node *node = &tape->nodes[id];
        if (s->needed[id] || !node->op || (node->flags & WG__NODE_DETACHED)) continue;
        const bool real = wg_dtype_is_float((wg_dtype)node->dtype) || node->dtype == WG_BF16;
        if (!real || (wg__op_of(tape, node)->flags & WG_OP_NO_GRADIENT)) continue;
        const uint32_t *in = wg__inputs(tape, node);
        for (uint32_t k = 0; k < node->n_in && !s->needed[id]; k++) {
            assert(in[k] < id);
            s->needed[id] = s->needed[in[k]];
        }
    }
}

/* ---- accumulating -------------------------------------------------------------------------------------------- */

/* The entry of s->pads, of s->onto, or next to another one. */
static const pending *pending_at(const sweep *s, uint32_t at)
{
    assert(at && at < s->n_list);
    return &s->list[at];
}

/* The sum so far and the pending gradients of slices. */
static wg_tensor add_pads(sweep *s, uint32_t id)
{
    wg_tape *tape = s->tape;
    uint32_t few[FEW], *pads = few, n = 0;
    for (uint32_t at = s->pads[id]; at; at = pending_at(s, at)->next) n++;
    if (n > FEW && !(pads = wg__heap_alloc(&tape->heap, n * sizeof *pads)))
        return wg__out_of_memory(tape), wg__nil(tape);
    n = 0;
    for (uint32_t at = s->pads[id]; at; at = pending_at(s, at)->next) pads[n++] = pending_at(s, at)->node;
    wg_tensor sum = wg__record_add(tape, wg__handle(tape, s->grad[id]), wg__sum_pads(tape, pads, n));
    if (pads != few) wg__heap_release(&tape->heap, pads, n * sizeof *pads);
    return sum;
}

/* The complete gradient of a node. Ops that can add to an operand come last, each onto the one before. */
static wg_tensor collect(sweep *s, uint32_t id)
{
    wg_tensor sum = add_pads(s, id);
    for (uint32_t at = s->onto[id]; at; at = pending_at(s, at)->next)
        sum = add_onto(s->tape, sum, wg__handle(s->tape, pending_at(s, at)->node));
    return sum;
}

/* Checks the gradient that the op returned for an operand, and sums it to the operand's shape. */
static wg_tensor fit(sweep *s, uint32_t operand, wg_tensor d, const wg_op *op)
{
    wg_tape *tape = s->tape;
    if (d.tape != tape) {
        wg__tape_error(tape, WG_ERR_GRADIENT, "%s: its derivative is on another tape", op->name);
        return wg__nil(tape);
    }
    const wg__node *have = wg__resolve(d, op->name), *want = &tape->nodes[operand];
    if (!have) return wg__nil(tape);
    if (have->dtype != want->dtype) {
        wg__tape_error(tape, WG_ERR_GRADIENT, "%s: its derivative has dtype %s for an operand of dtype %s",
                       op->name, wg_dtype_name((wg_dtype)have->dtype), wg_dtype_name((wg_dtype)want->dtype));
        return wg__nil(tape);
    }
    if (have->shape == want->shape) return d;
    wg_shape from = *wg__shape_of_node(tape, have), to = *wg__shape_of_node(tape, want), both;
    if (!wg_shape_broadcast(&from, &to, &both) || !wg_shape_equal(&both, &from)) {
        char a[128], b[128];
        wg__tape_error(tape, WG_ERR_GRADIENT, "%s: its derivative has shape %s for an operand of shape %s",
                       op->name, wg_shape_text(&from, a, sizeof a), wg_shape_text(&to, b, sizeof b));
        return wg__nil(tape);
    }
    return wg_record_on(tape, tape->structural->sum, &d, 1, &to, sizeof to);
}

static void accumulate(sweep *s, uint32_t operand, wg_tensor d, const wg_op *op)
{
    wg_tape *tape = s->tape;
    assert(operand < s->n && s->needed[operand]);
    d = fit(s, operand, d, op);
    if (!d.node) return;
    assert(tape->nodes[d.node].shape == tape->nodes[operand].shape);
    const wg__node *node = &tape->nodes[d.node];
    uint32_t *waiting = NULL;
    if (wg__op_is(tape, node, tape->structural->pad)) waiting = s->pads;
    if (node->op && wg__adds_to(wg__op_of(tape, node))) waiting = s->onto;
    if (!waiting) {
        s->grad[operand] = wg__record_add(tape, wg__handle(tape, s->grad[operand]), d).node;
        return;
    }
    if (!wg__grow(&tape->heap, (void **)&s->list, &s->cap_list, s->n_list + 1u, sizeof *s->list)) {
        wg__out_of_memory(tape);
        return;
    }
    s->list[s->n_list] = (pending){d.node, waiting[operand]};
    waiting[operand] = s->n_list++;
}

/* ---- the sweep ----------------------------------------------------------------------------------------------- */

/* The node that has a forward value in the backward pass. */
static wg_tensor value_of(const sweep *s, uint32_t id)
{
    return wg__handle(s->tape, s->remat ? wg__remat_of(s->remat, id) : id);
}

/* Why the sweep cannot go on at a node. */
static void no_derivative(wg_tape *tape, const wg__node *node)
{
    const wg_op *op = wg__op_of(tape, node);
    if (op != tape->structural->widen) {
        wg__scope_text scope;
        wg__tape_error(tape, WG_ERR_GRADIENT,
                       "%s%s: has no derivative; if none is intended, use wg_detach on its operand", op->name,
                       wg__scope_label(tape, node->scope, &scope));
        return;
    }
    while (node->op) node = &tape->nodes[wg__inputs(tape, node)[0]]; /* rows of a parameter, or the parameter */
    wg__tape_error(tape, WG_ERR_GRADIENT,
                   "parameter %s is stored in bf16 and has no gradient: train a set of f32, or freeze it",
                   wg_param_name(tape->leaves[node->slot].param));
}

/* Propagates the gradient of one node to its operands. */
static void pass_on(sweep *s, uint32_t id, wg_tensor grad)
{
    wg_tape *tape = s->tape;
    const wg__node node = tape->nodes[id];
    const wg_op *op = wg__op_of(tape, &node);
    assert(id < s->n && tape->nodes[grad.node].shape == node.shape && tape->nodes[grad.node].dtype == node.dtype);
    bool any = false;
    for (uint32_t k = 0; k < node.n_in; k++) any |= s->needed[wg__inputs(tape, &node)[k]];
    if (!any) return; /* one of the x: nothing below it is needed */
    if (!op->vjp) {
        no_derivative(tape, &node);
        return;
    }
    wg_tensor few[FEW], *in = few;
    if (node.n_in > FEW) in = wg__heap_alloc(&tape->heap, node.n_in * sizeof *in);
    if (!in) {
        wg__out_of_memory(tape);
        return;
    }
    for (uint32_t k = 0; k < node.n_in; k++) {
        uint32_t operand = wg__inputs(tape, &node)[k];
        in[k] = operand ? value_of(s, operand) : WG_NONE;
    }
    wg_vjp_args v = {.op = op, .grad = grad, .out = value_of(s, id), .in = in, .n_in = (int)node.n_in};
    v.memo = (int64_t[2]){0};
    size_t attr_bytes;
    void *attr = copy_attr(tape, &node, &attr_bytes);
    v.attr = attr_bytes ? attr : NULL;
    tape->modes.forward = id;
    tape->scopes.current = node.scope;
    for (uint32_t k = 0; k < node.n_in && !wg__failed(tape); k++) {
        uint32_t operand = wg__inputs(tape, &node)[k];
        assert(operand < id); /* so its gradient is complete when the sweep reaches it */
        if (!operand || !s->needed[operand]) continue;
        wg_tensor d = op->vjp(&v, (int)k);
        if (d.node) accumulate(s, operand, d, op);
    }
    wg__heap_release(&tape->heap, attr, attr_bytes);
    if (in != few) wg__heap_release(&tape->heap, in, node.n_in * sizeof *in);
}

static void run_sweep(sweep *s, uint32_t y, uint32_t dy, const uint32_t *x, uint32_t n_x, uint32_t *dx)
{
    wg_tape *tape = s->tape;
    assert(y < s->n && dy < tape->n_nodes);
    s->grad[y] = dy;
    if (!dy) {
        const wg__node *node = &tape->nodes[y];
        wg_shape shape = *wg__shape_of_node(tape, node);
        s->grad[y] = wg__record_fill(tape, &shape, (wg_dtype)node->dtype, 1).node;
    }
    for (uint32_t id = y; id > 0 && !wg__failed(tape); id--) {
        if (!s->needed[id] || (!s->grad[id] && !s->pads[id] && !s->onto[id])) continue;
        tape->modes.forward = id;
        tape->scopes.current = tape->nodes[id].scope;
        wg_tensor grad = collect(s, id);
        s->grad[id] = grad.node;
        s->pads[id] = s->onto[id] = 0;
        if (!grad.node || !tape->nodes[id].op || (tape->nodes[id].flags & WG__NODE_DETACHED)) continue;
        if (!s->remat || wg__remat_enter(s->remat, id)) pass_on(s, id, grad);
    }
    for (uint32_t i = 0; i < n_x; i++) dx[i] = x[i] < s->n ? s->grad[x[i]] : 0;
}

static bool sweep_init(sweep *s)
{
    wg__heap *heap = &s->tape->heap;
    s->needed = wg__heap_alloc(heap, s->n);
    s->grad = wg__heap_alloc(heap, s->n * sizeof *s->grad);
    s->pads = wg__heap_alloc(heap, s->n * sizeof *s->pads);
    s->onto = wg__heap_alloc(heap, s->n * sizeof *s->onto);
    if (!s->needed || !s->grad || !s->pads || !s->onto) return false;
    memset(s->grad, 0, s->n * sizeof *s->grad);
    memset(s->pads, 0, s->n * sizeof *s->pads);
    memset(s->onto, 0, s->n * sizeof *s->onto);
    return true;
}

static void sweep_fini(sweep *s)
{
    wg__heap *heap = &s->tape->heap;
    wg__heap_release(heap, s->needed, s->n);
    wg__heap_release(heap, s->grad, s->n * sizeof *s->grad);
    wg__heap_release(heap, s->pads, s->n * sizeof *s->pads);
    wg__heap_release(heap, s->onto, s->n * sizeof *s->onto);
    wg__heap_release(heap, s->list, s->cap_list * sizeof *s->list);
}

wg_status wg__differentiate(wg_tape *tape, uint32_t y, uint32_t dy, const uint32_t *x, uint32_t n_x, uint32_t *dx,
                            wg__remat *remat)
{
    assert(y && y < tape->n_nodes);
    for (uint32_t i = 0; i < n_x; i++) dx[i] = 0;
    if (!wg_dtype_is_float((wg_dtype)tape->nodes[y].dtype))
        return wg__tape_error(tape, WG_ERR_GRADIENT, "gradient of a %s tensor: only f32 and f64 have one",
                              wg_dtype_name((wg_dtype)tape->nodes[y].dtype));
    if (tape->options.products == WG_INT8)
        return wg__tape_error(tape, WG_ERR_GRADIENT,
                              "gradient on a tape whose products are int8: only f32 and bf16 have gradients");
    sweep s = {.tape = tape, .remat = remat, .n = y + 1, .n_list = 1};
    if (sweep_init(&s)) {
        mark(&s, x, n_x);
        uint32_t scope = tape->scopes.current, forward = tape->modes.forward;
        bool outer = tape->modes.differentiating;
        tape->modes.differentiating = true;
        if (s.needed[y]) run_sweep(&s, y, dy, x, n_x, dx);
        tape->modes.differentiating = outer;
        if (!outer) wg__same_clear(tape);
        tape->scopes.current = scope;
        tape->modes.forward = forward;
    } else {
        wg__out_of_memory(tape);
    }
    sweep_fini(&s);
    return tape->errors.first.status;
}
