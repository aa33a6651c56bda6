/* Differentiating: one sweep backwards over the tape, which appends gradient nodes to the same tape.
 *
 * The op only knows its own derivative. The engine decides who needs a gradient, sums broadcast gradients
 * back to the operand's shape, adds up where a value was used more than once, and joins the gradients of
 * slices: pads that do not overlap become one concatenation, so that cutting a sequence into T steps costs
 * T, not T times its length. */
#include "remat.h"

#include <stdlib.h>
#include <string.h>

enum { FEW = 16 };

/* What waits until its node is reached: pads, to be joined, and what can be added onto the rest. */
typedef struct pending {
    uint32_t node, next;
} pending;

typedef struct piece { /* a pad taken apart */
    int64_t axis, start, stop;
    uint32_t node; /* what stands in [start, stop) */
} piece;

typedef struct sweep {
    wg_tape *tape;
    wg__remat *remat;
    uint32_t n;      /* nodes of the forward part: ids below n */
    uint8_t *needed; /* [n] depends on one of the x */
    uint32_t *grad;  /* [n] the sum so far, 0: none */
    uint32_t *pads;  /* [n] first pending pad + 1 */
    uint32_t *onto;  /* [n] first pending that adds to the rest + 1 */
    pending *list;
    uint32_t n_list, cap_list;
} sweep;

static wg_tensor add(wg_tape *tape, wg_tensor a, wg_tensor b)
{
    if (!a.node) return b;
    if (!b.node) return a;
    wg_tensor in[2] = {a, b};
    return wg_record_on(tape, wg__structural_ops.add, in, 2, NULL, 0);
}

/* A copy of a node's attributes: what is recorded next may move the original. NULL, and an error, without memory. */
static void *copy_attr(wg_tape *tape, const wg__node *node, size_t *bytes)
{
    *bytes = node->attr ? tape->attr_sizes[node->attr] : 0;
    void *attr = wg__heap_alloc(&tape->heap, *bytes);
    if (!attr) return wg__out_of_memory(tape), NULL;
    return *bytes ? memcpy(attr, wg__attr_of(tape, node), *bytes) : attr;
}

/* sum + d, by an op that adds to what is there: the same op again, onto the sum. */
static wg_tensor add_onto(wg_tape *tape, wg_tensor sum, wg_tensor d)
{
    const wg__node *node = &tape->nodes[d.node];
    const wg_op *op = tape->ops[node->op];
    const uint32_t *given = wg__inputs(tape, node);
    wg_tensor in[FEW];
    int base = op->max_in - 1;
    if (!sum.node || wg__base_of(tape, node) || base >= FEW) return add(tape, sum, d);
    for (int k = 0; k < base; k++) in[k] = k < (int)node->n_in && given[k] ? wg__handle(tape, given[k]) : WG_NONE;
    in[base] = sum;
    size_t bytes;
    void *attr = copy_attr(tape, node, &bytes);
    if (!attr) return wg__handle(tape, 0);
    wg_tensor result = wg_record_on(tape, op, in, base + 1, attr, bytes);
    wg__heap_release(&tape->heap, attr, bytes);
    return result;
}

static wg_tensor filled(wg_tape *tape, const wg_shape *shape, wg_dtype dtype, double value)
{
    wg__fill_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.shape = *shape;
    attr.dtype = dtype;
    attr.value = value;
    return wg_record_on(tape, wg__structural_ops.fill, NULL, 0, &attr, sizeof attr);
}

/* ---- who needs a gradient ------------------------------------------------------------------------------- */

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
        if (s->needed[id] || !node->op || (node->flags & WG__NODE_CUT)) continue;
        if (!wg_dtype_is_float((wg_dtype)node->dtype) || (tape->ops[node->op]->flags & WG_OP_NO_GRADIENT)) continue;
        const uint32_t *in = wg__inputs(tape, node);
        for (uint32_t k = 0; k < node->n_in; k++)
            if (s->needed[in[k]]) {
                s->needed[id] = 1;
                break;
            }
    }
}

/* ---- the gradients of slices ------------------------------------------------------------------------------ */

static int piece_order(const void *a, const void *b)
{
    const piece *x = a, *y = b;
    if (x->axis != y->axis) return x->axis < y->axis ? -1 : 1;
    if (x->start != y->start) return x->start < y->start ? -1 : 1;
    if (x->stop != y->stop) return x->stop < y->stop ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

/* Pieces of one axis that do not overlap, in order, as one tensor of the whole shape. */
static wg_tensor join(wg_tape *tape, const piece *pieces, uint32_t n, const wg_shape *whole, wg_dtype dtype)
{
    int64_t axis = pieces[0].axis, at = 0;
    wg_tensor *parts = wg__heap_alloc(&tape->heap, (2 * (size_t)n + 1) * sizeof *parts);
    if (!parts) return wg__out_of_memory(tape), WG_NONE;
    int count = 0;
    for (uint32_t i = 0; i <= n; i++) {
        int64_t start = i < n ? pieces[i].start : whole->size[axis];
        if (start > at) {
            wg_shape gap = *whole;
            gap.size[axis] = start - at;
            parts[count++] = filled(tape, &gap, dtype, 0);
        }
        if (i == n) break;
        parts[count++] = wg__handle(tape, pieces[i].node);
        at = pieces[i].stop;
    }
    wg__concat_attr attr = {.axis = axis};
    wg_tensor result =
        count == 1 ? parts[0] : wg_record_on(tape, wg__structural_ops.concat, parts, count, &attr, sizeof attr);
    wg__heap_release(&tape->heap, parts, (2 * (size_t)n + 1) * sizeof *parts);
    return result;
}

/* Equal ranges are added first. Returns how many pieces are left. */
static uint32_t add_equal(wg_tape *tape, piece *pieces, uint32_t n)
{
    uint32_t kept = 0;
    for (uint32_t i = 1; i < n; i++) {
        piece *last = &pieces[kept];
        if (pieces[i].axis == last->axis && pieces[i].start == last->start && pieces[i].stop == last->stop)
            last->node = add(tape, wg__handle(tape, last->node), wg__handle(tape, pieces[i].node)).node;
        else
            pieces[++kept] = pieces[i];
    }
    return kept + 1;
}

/* Takes the sorted pieces in layers: each layer takes every piece that starts where the last one it took has
 * ended. Windows that overlap by half take two layers. */
static wg_tensor join_layers(wg_tape *tape, piece *pieces, uint32_t n, const wg_shape *whole, wg_dtype dtype)
{
    wg_tensor total = wg__handle(tape, 0);
    piece *layer = wg__heap_alloc(&tape->heap, n * sizeof *layer);
    if (!layer) return wg__out_of_memory(tape), total;
    uint32_t left = n;
    while (left > 0 && tape->error.status == WG_OK) {
        uint32_t taken = 0, rest = 0;
        for (uint32_t i = 0; i < left; i++) {
            bool fits = taken == 0 || (pieces[i].axis == layer[0].axis && pieces[i].start >= layer[taken - 1].stop);
            if (fits)
                layer[taken++] = pieces[i];
            else
                pieces[rest++] = pieces[i];
        }
        left = rest;
        total = add(tape, total, join(tape, layer, taken, whole, dtype));
    }
    wg__heap_release(&tape->heap, layer, n * sizeof *layer);
    return total;
}

/* The sum so far and the pads. */
static wg_tensor add_pads(sweep *s, uint32_t id)
{
    wg_tape *tape = s->tape;
    wg_tensor sum = wg__handle(tape, s->grad[id]);
    uint32_t n = 0, last = 0;
    for (uint32_t at = s->pads[id]; at; at = s->list[at - 1].next) {
        n++;
        last = s->list[at - 1].node;
    }
    if (n == 0) return sum;
    if (n == 1) return add(tape, sum, wg__handle(tape, last));
    piece *pieces = wg__heap_alloc(&tape->heap, n * sizeof *pieces);
    if (!pieces) return wg__out_of_memory(tape), wg__handle(tape, 0);
    uint32_t i = 0;
    for (uint32_t at = s->pads[id]; at; at = s->list[at - 1].next) {
        const wg__node *pad = &tape->nodes[s->list[at - 1].node];
        const wg__pad_attr *attr = wg__attr_of(tape, pad);
        uint32_t inner = wg__inputs(tape, pad)[0];
        int64_t extent = wg__shape_of_node(tape, &tape->nodes[inner])->size[attr->axis];
        pieces[i++] = (piece){attr->axis, attr->start, attr->start + extent, inner};
    }
    qsort(pieces, n, sizeof *pieces, piece_order);
    uint32_t distinct = add_equal(tape, pieces, n);
    wg_shape whole = *wg__shape_of_node(tape, &tape->nodes[id]);
    wg_tensor joined = join_layers(tape, pieces, distinct, &whole, (wg_dtype)tape->nodes[id].dtype);
    wg__heap_release(&tape->heap, pieces, n * sizeof *pieces);
    return add(tape, sum, joined);
}

/* The whole gradient of a node. What adds to the rest comes last, one onto the other. */
static wg_tensor collect(sweep *s, uint32_t id)
{
    wg_tensor sum = add_pads(s, id);
    for (uint32_t at = s->onto[id]; at; at = s->list[at - 1].next)
        sum = add_onto(s->tape, sum, wg__handle(s->tape, s->list[at - 1].node));
    return sum;
}

/* ---- accumulating -------------------------------------------------------------------------------------------- */

/* A gradient of the operand's own shape and dtype, whatever the op returned. */
static wg_tensor fit(sweep *s, uint32_t operand, wg_tensor d, const wg_op *op)
{
    wg_tape *tape = s->tape;
    const wg__node *have = &tape->nodes[d.node], *want = &tape->nodes[operand];
    if (have->dtype != want->dtype) {
        wg__tape_error(tape, WG_ERR_GRADIENT, "%s: its derivative is %s for an operand that is %s", op->name,
                       wg_dtype_name((wg_dtype)have->dtype), wg_dtype_name((wg_dtype)want->dtype));
        return wg__handle(tape, 0);
    }
    if (have->shape == want->shape) return d;
    wg_shape from = *wg__shape_of_node(tape, have), to = *wg__shape_of_node(tape, want), both;
    if (!wg_shape_broadcast(&from, &to, &both) || !wg_shape_equal(&both, &from)) {
        char a[128], b[128];
        wg__tape_error(tape, WG_ERR_GRADIENT, "%s: its derivative has shape %s for an operand of shape %s",
                       op->name, wg_shape_text(&from, a, sizeof a), wg_shape_text(&to, b, sizeof b));
        return wg__handle(tape, 0);
    }
    return wg_record_on(tape, wg__structural_ops.sum, &d, 1, &to, sizeof to);
}

static void accumulate(sweep *s, uint32_t operand, wg_tensor d, const wg_op *op)
{
    wg_tape *tape = s->tape;
    d = fit(s, operand, d, op);
    if (!d.node) return;
    const wg__node *node = &tape->nodes[d.node];
    uint32_t *waiting = NULL;
    if (wg__op_is(tape, node, wg__structural_ops.pad)) waiting = s->pads;
    if (node->op && wg__adds_to(tape->ops[node->op])) waiting = s->onto;
    if (!waiting) {
        s->grad[operand] = add(tape, wg__handle(tape, s->grad[operand]), d).node;
        return;
    }
    if (!wg__grow(&tape->heap, (void **)&s->list, &s->cap_list, s->n_list + 1u, sizeof *s->list)) {
        wg__out_of_memory(tape);
        return;
    }
    s->list[s->n_list] = (pending){d.node, waiting[operand]};
    waiting[operand] = ++s->n_list;
}

/* ---- the sweep ----------------------------------------------------------------------------------------------- */

/* A value of the forward part as the way back reads it. */
static wg_tensor value_of(const sweep *s, uint32_t id)
{
    return wg__handle(s->tape, s->remat ? wg__remat_of(s->remat, id) : id);
}

/* Passes the gradient of one node on to its operands. */
static void pass_on(sweep *s, uint32_t id, wg_tensor grad)
{
    wg_tape *tape = s->tape;
    const wg__node node = tape->nodes[id];
    const wg_op *op = wg__op_of(tape, &node);
    bool any = false;
    for (uint32_t k = 0; k < node.n_in; k++) any |= s->needed[wg__inputs(tape, &node)[k]];
    if (!any) return; /* asked for by the caller; nothing below it is */
    if (!op->vjp) {
        const char *scope = tape->scopes[node.scope].path;
        wg__tape_error(tape, WG_ERR_GRADIENT, "%s%s%s%s: has no derivative; wg_detach its operand if that is meant",
                       op->name, scope[0] ? " [" : "", scope, scope[0] ? "]" : "");
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
    tape->forward = id;
    tape->scope = node.scope;
    for (uint32_t k = 0; k < node.n_in && tape->error.status == WG_OK; k++) {
        uint32_t operand = wg__inputs(tape, &node)[k];
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
    s->grad[y] = dy;
    if (!dy) {
        const wg__node *node = &tape->nodes[y];
        wg_shape shape = *wg__shape_of_node(tape, node);
        s->grad[y] = filled(tape, &shape, (wg_dtype)node->dtype, 1).node;
    }
    for (uint32_t id = y; id > 0 && tape->error.status == WG_OK; id--) {
        if (!s->needed[id] || (!s->grad[id] && !s->pads[id] && !s->onto[id])) continue;
        tape->forward = id;
        tape->scope = tape->nodes[id].scope;
        wg_tensor grad = collect(s, id);
        s->grad[id] = grad.node;
        s->pads[id] = s->onto[id] = 0;
        if (!grad.node || !tape->nodes[id].op || (tape->nodes[id].flags & WG__NODE_CUT)) continue;
        if (!s->remat || wg__remat_reach(s->remat, id)) pass_on(s, id, grad);
    }
    for (uint32_t i = 0; i < n_x; i++) dx[i] = x[i] < s->n ? s->grad[x[i]] : 0;
}

wg_status wg__differentiate(wg_tape *tape, uint32_t y, uint32_t dy, const uint32_t *x, uint32_t n_x, uint32_t *dx,
                            wg__remat *remat)
{
    for (uint32_t i = 0; i < n_x; i++) dx[i] = 0;
    if (!wg_dtype_is_float((wg_dtype)tape->nodes[y].dtype))
        return wg__tape_error(tape, WG_ERR_GRADIENT, "gradient of a %s tensor: only f32 and f64 have one",
                              wg_dtype_name((wg_dtype)tape->nodes[y].dtype));
    sweep s = {.tape = tape, .remat = remat, .n = y + 1};
    s.needed = wg__heap_alloc(&tape->heap, s.n);
    s.grad = wg__heap_alloc(&tape->heap, s.n * sizeof *s.grad);
    s.pads = wg__heap_alloc(&tape->heap, s.n * sizeof *s.pads);
    s.onto = wg__heap_alloc(&tape->heap, s.n * sizeof *s.onto);
    if (s.needed && s.grad && s.pads && s.onto) {
        memset(s.grad, 0, s.n * sizeof *s.grad);
        memset(s.pads, 0, s.n * sizeof *s.pads);
        memset(s.onto, 0, s.n * sizeof *s.onto);
        mark(&s, x, n_x);
        uint32_t scope = tape->scope, forward = tape->forward;
        bool outer = tape->differentiating;
        tape->differentiating = true;
        if (s.needed[y]) run_sweep(&s, y, dy, x, n_x, dx);
        tape->differentiating = outer;
        if (!outer) wg__same_clear(tape);
        tape->scope = scope;
        tape->forward = forward;
    } else {
        wg__out_of_memory(tape);
    }
    wg__heap_release(&tape->heap, s.needed, s.n);
    wg__heap_release(&tape->heap, s.grad, s.n * sizeof *s.grad);
    wg__heap_release(&tape->heap, s.pads, s.n * sizeof *s.pads);
    wg__heap_release(&tape->heap, s.onto, s.n * sizeof *s.onto);
    wg__heap_release(&tape->heap, s.list, s.cap_list * sizeof *s.list);
    return tape->error.status;
}

/* ---- the public forms ---------------------------------------------------------------------------------------- */

void wg_grad(wg_tensor y, const wg_tensor *x, int n, wg_tensor dy, wg_tensor *dx)
{
    wg_tape *tape = y.tape;
    for (int i = 0; i < n; i++) dx[i] = tape ? wg__handle(tape, 0) : WG_NONE;
    const wg__node *node = wg__live(y, "grad");
    if (!node || n <= 0) return;
    const wg__node *seed = dy.tape ? wg__live(dy, "grad") : NULL;
    if (dy.tape && dy.tape != tape) wg_fail(y, WG_ERR_ARGUMENT, "grad", "the output's gradient is on another tape");
    if (dy.tape && (!seed || dy.tape != tape)) return;
    if (seed && (seed->shape != node->shape || seed->dtype != node->dtype)) {
        char a[128], b[128];
        wg_fail(y, WG_ERR_SHAPE, "grad", "the output's gradient is %s, the output %s: they must be equal",
                wg_shape_text(wg__shape_of_node(tape, seed), a, sizeof a),
                wg_shape_text(wg__shape_of_node(tape, node), b, sizeof b));
        return;
    }
    uint32_t *ids = wg__heap_alloc(&tape->heap, 2 * (size_t)n * sizeof *ids), *out = ids ? ids + n : NULL;
    if (!ids) {
        wg__out_of_memory(tape);
        return;
    }
    bool ok = true;
    for (int i = 0; i < n && ok; i++) {
        ok = x[i].tape == tape && wg__live(x[i], "grad");
        ids[i] = x[i].node;
        if (!ok && x[i].tape != tape)
            wg_fail(y, WG_ERR_ARGUMENT, "grad", "tensor %d is %s", i + 1,
                    x[i].tape ? "on another tape" : "not set");
    }
    if (ok && wg__differentiate(tape, y.node, dy.node, ids, (uint32_t)n, out, NULL) == WG_OK) {
        for (int i = 0; i < n; i++) {
            const wg__node *xi = &tape->nodes[ids[i]];
            wg_shape shape = *wg__shape_of_node(tape, xi);
            dx[i] = out[i] ? wg__handle(tape, out[i]) : filled(tape, &shape, (wg_dtype)xi->dtype, 0);
        }
    }
    wg__heap_release(&tape->heap, ids, 2 * (size_t)n * sizeof *ids);
}

wg_tensor wg_grad1(wg_tensor y, wg_tensor x, wg_tensor dy)
{
    wg_tensor dx;
    wg_grad(y, &x, 1, dy, &dx);
    return dx;
}

wg_tensor wg_vjp(wg_tensor y, wg_tensor x, wg_tensor u) { return wg_grad1(y, x, u); }

/* J^T u is linear in u, and its derivative by u, transposed, times v is J v. */
wg_tensor wg_jvp(wg_tensor y, wg_tensor x, wg_tensor v)
{
    const wg__node *node = wg__live(y, "jvp");
    if (!node) return y;
    wg_shape shape = *wg__shape_of_node(y.tape, node);
    wg_tensor u = filled(y.tape, &shape, (wg_dtype)node->dtype, 0);
    return wg_grad1(wg_grad1(y, x, u), u, v);
}

wg_tensor wg_hvp(wg_tensor y, wg_tensor x, wg_tensor v) { return wg_grad1(wg_grad1(y, x, WG_NONE), x, v); }

static wg_tensor reshaped(wg_tensor x, int64_t rows, int64_t cols)
{
    wg_shape shape = wg_shape_of(2, (int64_t[]){rows, cols});
    return wg_record_on(x.tape, wg__structural_ops.reshape, &x, 1, &shape, sizeof shape);
}

wg_tensor wg_jacobian(wg_tensor y, wg_tensor x)
{
    const wg__node *node = wg__live(y, "jacobian");
    if (!node || !wg__live(x, "jacobian")) return y.tape ? wg__handle(y.tape, 0) : WG_NONE;
    wg_tape *tape = y.tape;
    wg_dtype dtype = (wg_dtype)node->dtype;
    wg_shape shape = *wg__shape_of_node(tape, node);
    int64_t rows = wg_numel(y), cols = wg_numel(x);
    size_t bytes = (size_t)rows * wg_dtype_size(dtype), list = (size_t)rows * sizeof(wg_tensor);
    if (rows == 0) return filled(tape, &(wg_shape){.rank = 2, .size = {0, cols}}, dtype, 0);
    char *unit = wg__heap_alloc(&tape->heap, bytes);
    wg_tensor *row = wg__heap_alloc(&tape->heap, list), result = wg__handle(tape, 0);
    if (unit && row) {
        for (int64_t i = 0; i < rows; i++) {
            wg__structural_ops.from_f64(dtype, 0, rows, unit);
            wg__structural_ops.from_f64(dtype, 1, 1, unit + (size_t)i * wg_dtype_size(dtype));
            row[i] = reshaped(wg_grad1(y, x, wg_data(tape, dtype, shape, unit)), 1, cols);
        }
        wg__concat_attr attr = {.axis = 0};
        result = wg_record_on(tape, wg__structural_ops.concat, row, (int)rows, &attr, sizeof attr);
    } else {
        wg__out_of_memory(tape);
    }
    wg__heap_release(&tape->heap, unit, bytes);
    wg__heap_release(&tape->heap, row, list);
    return result;
}

wg_tensor wg_hessian(wg_tensor y, wg_tensor x) { return wg_jacobian(wg_grad1(y, x, WG_NONE), x); }

/* ---- into parameters ----------------------------------------------------------------------------------------- */

static wg_status backward(wg_tensor loss, wg_param *const *params, size_t n)
{
    const wg__node *node = wg__live(loss, "backward");
    if (!node) {
        if (!loss.tape) return WG_ERR_ARGUMENT;
        if (loss.tape->error.status == WG_OK)
            return wg__tape_error(loss.tape, WG_ERR_ARGUMENT, "backward: the loss is nil");
        return loss.tape->error.status;
    }
    wg_tape *tape = loss.tape;
    if (tape->shapes[node->shape].numel != 1) {
        char text[128];
        wg_fail(loss, WG_ERR_SHAPE, "backward",
                "the loss has shape %s: it must be one number (wg_mean_all, wg_sum_all)",
                wg_shape_text(wg__shape_of_node(tape, node), text, sizeof text));
        return tape->error.status;
    }
    return wg__force(tape, &loss.node, 1, loss.node, params, (uint32_t)n);
}

/* A step that fails, be it while it was recorded, leaves gradients that no optimizer takes. */
wg_status wg_backward_into(wg_tensor loss, wg_param *const *params, size_t n)
{
    wg_status status = backward(loss, params, n);
    for (uint32_t i = 0; status != WG_OK && loss.tape && i < loss.tape->n_leaves; i++)
        if (loss.tape->leaves[i].param) wg__param_grad_invalid(loss.tape->leaves[i].param);
    return status;
}

wg_status wg_backward(wg_tensor loss) { return wg_backward_into(loss, NULL, 0); }
