/* Derivatives as tensors: gradients, products with the Jacobian, second derivatives. */
#include "../grad.h"

#include "sweep.h"

/* A parameter in bf16: rows of it are read past the node that widens it, so that its gradient would lack them. */
static bool is_bf16(wg_tensor x)
{
    const wg_tensor narrow = wg__narrow_of(x);
    return narrow.node && !x.tape->nodes[narrow.node].op;
}

void wg_grad(wg_tensor y, const wg_tensor *x, int n, wg_tensor dy, wg_tensor *dx)
{
    wg_tape *tape = y.tape;
    for (int i = 0; i < n && dx; i++) dx[i] = tape ? wg__nil(tape) : WG_NONE;
    const wg__node *node = wg__resolve(y, "grad");
    if (!node || n <= 0) return;
    assert(tape); /* since y is a node of it */
    if (!x || !dx) {
        wg_fail(y, WG_ERR_ARGUMENT, "grad", "%s is NULL", x ? "dx" : "x");
        return;
    }
    const wg__node *seed = dy.tape ? wg__resolve(dy, "grad") : NULL;
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
        ok = x[i].tape == tape && wg__resolve(x[i], "grad");
        ids[i] = x[i].node;
        if (!ok && x[i].tape != tape)
            wg_fail(y, WG_ERR_ARGUMENT, "grad", "tensor %d is %s", i + 1,
                    x[i].tape ? "on another tape" : "not set");
        if (ok && is_bf16(x[i]))
            ok = false, wg_fail(y, WG_ERR_GRADIENT, "grad", "tensor %d is stored in bf16", i + 1);
    }
    if (ok && wg__differentiate(tape, y.node, seed ? dy.node : 0, ids, (uint32_t)n, out, NULL) == WG_OK) {
        for (int i = 0; i < n; i++) {
            const wg__node *xi = &tape->nodes[ids[i]];
            wg_shape shape = *wg__shape_of_node(tape, xi);
            dx[i] = out[i] ? wg__handle(tape, out[i]) : wg__record_fill(tape, &shape, (wg_dtype)xi->dtype, 0);
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
    const wg__node *node = wg__resolve(y, "jvp");
    if (!node) return y.tape ? wg__nil(y.tape) : WG_NONE;
    wg_shape shape = *wg__shape_of_node(y.tape, node);
    const bool outer = y.tape->modes.distinct;
    y.tape->modes.distinct = true; /* u is not one of the zeros that a rule around this call has recorded */
    wg_tensor u = wg__record_fill(y.tape, &shape, (wg_dtype)node->dtype, 0);
    y.tape->modes.distinct = outer;
    return wg_grad1(wg_grad1(y, x, u), u, v);
}

/* Of a y with one element. */
static wg_tensor gradient_of_one(wg_tensor y, wg_tensor x, const char *name)
{
    if (wg__resolve(y, name) && wg_numel(y) != 1)
        return wg_fail(y, WG_ERR_SHAPE, name, "y has %lld elements: must have one; see wg_jacobian",
                       (long long)wg_numel(y));
    return wg_grad1(y, x, WG_NONE);
}

wg_tensor wg_hvp(wg_tensor y, wg_tensor x, wg_tensor v) { return wg_grad1(gradient_of_one(y, x, "hvp"), x, v); }

static wg_tensor reshaped(wg_tensor x, int64_t rows, int64_t cols)
{
    wg_shape shape = wg_shape_of(2, (int64_t[]){rows, cols});
    return wg_record_on(x.tape, x.tape->structural->reshape, &x, 1, &shape, sizeof shape);
}

wg_tensor wg_jacobian(wg_tensor y, wg_tensor x)
{
    const wg__node *node = wg__resolve(y, "jacobian");
    if (node && x.tape != y.tape)
        wg_fail(y, WG_ERR_ARGUMENT, "jacobian", "x is %s", x.tape ? "on another tape" : "not set");
    if (!node || !wg__resolve(x, "jacobian")) return y.tape ? wg__nil(y.tape) : WG_NONE;
    wg_tape *tape = y.tape;
    assert(tape); /* since y is a node of it */
    wg_dtype dtype = (wg_dtype)node->dtype;
    wg_shape shape = *wg__shape_of_node(tape, node);
    int64_t rows = wg_numel(y), cols = wg_numel(x);
    size_t bytes = (size_t)rows * wg_dtype_size(dtype), list = (size_t)rows * sizeof(wg_tensor);
    if (rows == 0) return wg__record_fill(tape, &(wg_shape){.rank = 2, .size = {0, cols}}, dtype, 0);
    char *unit = wg__heap_alloc(&tape->heap, bytes);
    wg_tensor *row = wg__heap_alloc(&tape->heap, list), result = wg__nil(tape);
    if (unit && row) {
        for (int64_t i = 0; i < rows; i++) {
            tape->structural->from_f64(dtype, 0, rows, unit);
            tape->structural->from_f64(dtype, 1, 1, unit + (size_t)i * wg_dtype_size(dtype));
            row[i] = reshaped(wg_grad1(y, x, wg_data(tape, dtype, shape, unit)), 1, cols);
        }
        wg__concat_attr attr = {.axis = 0};
        result = wg_record_on(tape, tape->structural->concat, row, (int)rows, &attr, sizeof attr);
    } else {
        wg__out_of_memory(tape);
    }
    wg__heap_release(&tape->heap, unit, bytes);
    wg__heap_release(&tape->heap, row, list);
    return result;
}

wg_tensor wg_hessian(wg_tensor y, wg_tensor x) { return wg_jacobian(gradient_of_one(y, x, "hessian"), x); }
