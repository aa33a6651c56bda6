/* Recording: validates operands, infers the result's shape, appends the node. Never reads a value. The caller's
 * mistakes are detected here, during the faulty call. */
#include "../base/random.h"
#include "graph.h"

#include <stdio.h>
#include <string.h>

enum { MANY = 64 }; /* arrays for more operands are allocated */

void wg__hash_mix(wg_tape *tape, uint64_t a, uint64_t b)
{
    uint64_t hash = (tape->hash ^ a) * 0x9E3779B97F4A7C15u;
    hash = (hash ^ (hash >> 32) ^ b) * 0xd6e8feb86659fd93u;
    tape->hash = hash ^ (hash >> 29);
}

static void hash_node(wg_tape *tape, const wg__node *node)
{
    uint64_t word[8];
    memcpy(word, node, sizeof word);
    uint64_t a = tape->hash ^ word[0], b = word[4] + 0x9E3779B97F4A7C15u;
    for (int i = 1; i < 4; i++) {
        a = (a * 0x9E3779B97F4A7C15u) ^ (a >> 31) ^ word[i];
        b = (b * 0xd6e8feb86659fd93u) ^ (b >> 33) ^ word[4 + i];
    }
    wg__hash_mix(tape, a, b);
}

/* ---- operands ------------------------------------------------------------------------------------------------ */

static bool operand_fail(wg_tape *tape, wg_status status, const wg_op *op, int i, const char *rule)
{
    wg__scope_text scope;
    const char *label = wg__scope_label(tape, tape->scopes.current, &scope);
    return wg__tape_error(tape, status, "%s%s: operand %d %s", op->name, label, i + 1, rule), false;
}

static bool on_two_tapes(wg_tape *tape, const wg_op *op, int i)
{
    wg__scope_text scope;
    const char *label = wg__scope_label(tape, tape->scopes.current, &scope);
    return wg__tape_error(tape, WG_ERR_ARGUMENT, "%s%s: operands 1 and %d are on two tapes", op->name, label,
                          i + 1),
           false;
}

/* Whether operand i may be used. False for nil, without an error: that was reported where nil arose. */
static bool operand_ok(wg_tape *tape, const wg_op *op, wg_tensor in, int i)
{
    if (!in.tape) {
        if (i >= op->min_in && op->kind != WG_KIND_POINTWISE) return true;
        return operand_fail(tape, WG_ERR_ARGUMENT, op, i, "was never set");
    }
    if (in.tape != tape) return on_two_tapes(in.tape, op, i), on_two_tapes(tape, op, i);
    if (in.node == 0) return false;
    if (in.epoch != tape->epoch)
        return operand_fail(tape, WG_ERR_STALE, op, i, "was recorded before the last wg_tape_reset");
    return in.node < tape->n_nodes || operand_fail(tape, WG_ERR_ARGUMENT, op, i, "is not a tensor of this tape");
}

/* ---- appending ----------------------------------------------------------------------------------------------- */

/* Adds the node's bytes to those of the tape, which no machine holds long before sums of sizes overflow. */
static bool count_bytes(wg_tape *tape, const wg__node *node)
{
    const uint64_t bytes = tape->bytes + (uint64_t)wg__size_of(tape, node);
    if (bytes > WG__MOST_BYTES)
        return wg__tape_error(tape, WG_ERR_MEMORY,
                              "out of memory: the values recorded since the reset exceed 2^56 bytes"),
               false;
    tape->bytes = bytes;
    return true;
}

uint32_t wg__node_append(wg_tape *tape, const wg__node *node, const uint32_t *in)
{
    if (!count_bytes(tape, node)) return 0;
    if (tape->n_nodes == UINT32_MAX - 1 ||
        !wg__grow(&tape->heap, (void **)&tape->nodes, &tape->cap_nodes, tape->n_nodes + 1u, sizeof *node)) {
        wg__out_of_memory(tape);
        return 0;
    }
    assert(node->shape && node->shape < tape->interned.n_shapes && node->op < tape->interned.n_ops);
    assert((node->op == 0) == (node->leaf != WG__LEAF_NONE) && (node->n_in == 0 || in));
    for (uint32_t i = 0; i < node->n_in; i++) assert(in[i] < tape->n_nodes); /* operands precede their readers */
    wg__node *fresh = &tape->nodes[tape->n_nodes];
    *fresh = *node;
    fresh->region = tape->modes.remat ? tape->modes.n_regions : 0;
    if (node->n_in > 4) {
        if (!wg__grow(&tape->heap, (void **)&tape->spill, &tape->cap_spill, (uint64_t)tape->n_spill + node->n_in,
                      sizeof(uint32_t))) {
            wg__out_of_memory(tape);
            return 0;
        }
        fresh->in[0] = tape->n_spill;
        memcpy(tape->spill + tape->n_spill, in, node->n_in * sizeof *in);
        tape->n_spill += node->n_in;
        for (uint32_t i = 0; i + 1 < node->n_in; i += 2) wg__hash_mix(tape, in[i], in[i + 1]);
        wg__hash_mix(tape, in[node->n_in - 1], node->n_in);
    } else {
        for (uint32_t i = 0; i < node->n_in; i++) fresh->in[i] = in[i];
    }
    hash_node(tape, fresh);
    return tape->n_nodes++;
}

/* ---- the shape rule ------------------------------------------------------------------------------------------ */

/* "matmul [encoder.l0]: [2, 3] x [4, 5]: " */
static void describe(const wg_tape *tape, const wg_op *op, const wg_shape *in, int n, char *text, size_t size)
{
    wg__scope_text scope;
    int used = snprintf(text, size, "%s%s: ", op->name, wg__scope_label(tape, tape->scopes.current, &scope));
    const char *between = op->kind == WG_KIND_PRODUCT ? " x " : ", ";
    int shown = n > 4 ? 4 : n;
    for (int i = 0; i < shown && used > 0 && (size_t)used < size; i++) {
        char shape[128] = "none";
        if (in[i].rank >= 0) wg_shape_text(&in[i], shape, sizeof shape);
        used += snprintf(text + used, size - (size_t)used, "%s%s", i ? between : "", shape);
    }
    if (used > 0 && (size_t)used < size && n > 0)
        snprintf(text + used, size - (size_t)used, "%s: ", n > shown ? ", ..." : "");
}

/* The default rule of pointwise ops: operands broadcast, dtypes are equal. */
static wg_status infer_pointwise(wg_infer *c)
{
    if (c->n_in < 1) return wg_infer_fail(c, WG_ERR_ARGUMENT, "takes at least one operand");
    c->out = c->in[0];
    for (int i = 1; i < c->n_in; i++) {
        if (c->dtype_in[i] != c->dtype_in[0])
            return wg_infer_fail(c, WG_ERR_DTYPE, "%s and %s differ; there is no promotion, use wg_cast",
                                 wg_dtype_name(c->dtype_in[0]), wg_dtype_name(c->dtype_in[i]));
        if (!wg_shape_broadcast(&c->out, &c->in[i], &c->out))
            return wg_infer_fail(c, WG_ERR_SHAPE,
                                 "cannot be broadcast: aligned at the right, sizes must be equal or 1");
    }
    return WG_OK;
}

/* Whether the op has a kernel for these dtypes. */
static bool has_kernel(wg_tape *tape, const wg_op *op, const wg_dtype *in, int n, wg_dtype out)
{
    tape->modes.calls++;
    const wg_kernel kernel = op->select(op, in, n, out);
    tape->modes.calls--;
    return kernel && !wg__failed(tape);
}

/* Applies the shape rule to operands with these shapes and dtypes. Sets shape and dtype of the node. */
static bool infer_from(wg_tape *tape, wg_infer *c, wg__node *node)
{
    const wg_op *op = c->op;
    char where[256];
    size_t size;
    tape->modes.calls++;
    wg_status status = op->infer ? op->infer(c) : infer_pointwise(c);
    tape->modes.calls--;
    if (status == WG_OK) status = c->error.status;
    if (status != WG_OK || wg__failed(tape)) {
        describe(tape, op, c->in, c->n_in, where, sizeof where);
        return wg__tape_error(tape, status, "%s%s", where, c->error.text), false;
    }
    const bool narrow =
        c->dtype == WG_BF16 && c->n_in > 0 && c->dtype_in[0] == WG_BF16; /* copies of wg__narrow_of */
    if ((unsigned)c->dtype >= WG_DTYPES && !narrow) {
        describe(tape, op, c->in, c->n_in, where, sizeof where);
        return wg__tape_error(tape, WG_ERR_DTYPE, "%sthe result's dtype, %d, is invalid", where, (int)c->dtype),
               false;
    }
    if (op->kind != WG_KIND_VIEW && op->select && !has_kernel(tape, op, c->dtype_in, c->n_in, c->dtype)) {
        describe(tape, op, c->in, c->n_in, where, sizeof where);
        const char *dtype = wg_dtype_name(c->n_in ? c->dtype_in[0] : c->dtype);
        return wg__tape_error(tape, WG_ERR_DTYPE, "%snot defined for %s", where, dtype), false;
    }
    if (!wg_shape_bytes(&c->out, c->dtype, &size)) {
        describe(tape, op, c->in, c->n_in, where, sizeof where);
        return wg__tape_error(tape, WG_ERR_SHAPE, "%sthe result's size is invalid or too large", where), false;
    }
    node->shape = wg__intern_shape(tape, &c->out);
    node->dtype = (uint8_t)c->dtype;
    if (!node->shape) wg__out_of_memory(tape);
    return node->shape != 0;
}

static bool infer(wg_tape *tape, const wg_op *op, const uint32_t *in, int n, const void *attr, wg__node *node)
{
    wg_shape few_shapes[MANY], *shapes = few_shapes;
    wg_dtype few_dtypes[MANY], *dtypes = few_dtypes;
    size_t bytes = (size_t)n * (sizeof *shapes + sizeof *dtypes);
    if (n > MANY) {
        shapes = wg__heap_alloc(&tape->heap, bytes);
        if (!shapes) return wg__out_of_memory(tape), false;
        dtypes = (wg_dtype *)(shapes + n);
    }
    for (int i = 0; i < n; i++) {
        shapes[i] = in[i] ? *wg__shape_of_node(tape, &tape->nodes[in[i]]) : (wg_shape){.rank = -1};
        dtypes[i] = in[i] ? (wg_dtype)tape->nodes[in[i]].dtype : WG_F32;
    }
    wg_infer c = {.op = op, .in = shapes, .dtype_in = dtypes, .n_in = n, .attr = attr};
    c.dtype = n > 0 ? dtypes[0] : WG_F32;
    bool ok = infer_from(tape, &c, node);
    if (shapes != few_shapes) wg__heap_release(&tape->heap, shapes, bytes);
    return ok;
}

/* The common case, pointwise operands of one dtype and one shape or scalars, needs no rule. */
static bool infer_fast(wg_tape *tape, const wg_op *op, const uint32_t *in, int n, wg__node *node)
{
    if (op->kind != WG_KIND_POINTWISE || op->infer || n == 0) return false;
    const wg__node *first = &tape->nodes[in[0]];
    node->shape = first->shape;
    node->dtype = first->dtype;
    for (int i = 1; i < n; i++) {
        const wg__node *other = &tape->nodes[in[i]];
        if (other->dtype != node->dtype) return false;
        if (other->shape != node->shape && wg__shape_of_node(tape, other)->rank != 0) return false;
    }
    wg_dtype dtypes[4];
    assert(n <= 4);
    for (int i = 0; i < n; i++) dtypes[i] = (wg_dtype)node->dtype;
    return has_kernel(tape, op, dtypes, n, (wg_dtype)node->dtype);
}

/* ---- recording ----------------------------------------------------------------------------------------------- */

/* The key of a random op: a function of its scope's path and its ordinal in the scope. */
static uint64_t next_key(wg_tape *tape)
{
    wg__scope *scope = &tape->scopes.list[tape->scopes.current];
    assert(tape->scopes.current < tape->scopes.n);
    uint64_t ordinal = scope->ordinal++;
    return wg__hash_bytes(scope->path_hash, &ordinal, sizeof ordinal);
}

/* Derivative rules often record equal nodes: each is appended once. */
static uint32_t append_once(wg_tape *tape, const wg__node *node, const uint32_t *ids)
{
    uint32_t id = wg__same_node(tape, node, ids, 0);
    if (id) return id;
    id = wg__node_append(tape, node, ids);
    if (id) wg__same_node(tape, node, ids, id);
    return id;
}

/* Records an op on valid operands. Returns 0 with an error stored. */
static uint32_t record(wg_tape *tape, uint32_t op_id, const uint32_t *ids, int n, const void *attr,
                       size_t attr_size)
{
    const wg_op *op = tape->interned.ops[op_id];
    const wg__modes *modes = &tape->modes;
    wg__node node = {.n_in = (uint32_t)n, .scope = tape->scopes.current, .forward = modes->forward};
    if (!infer_fast(tape, op, ids, n, &node) && !infer(tape, op, ids, n, attr_size ? attr : NULL, &node)) return 0;
    if (attr_size) node.attr = wg__intern_attr(tape, attr, attr_size);
    if (attr_size && !node.attr) return wg__out_of_memory(tape), 0;
    node.op = (uint16_t)op_id;
    if (op->flags & WG_OP_RANDOM) node.key = next_key(tape);
    if (modes->no_grad) node.flags |= WG__NODE_DETACHED;
    const bool once = modes->differentiating && !modes->distinct;
    return once ? append_once(tape, &node, ids) : wg__node_append(tape, &node, ids);
}

static bool arguments_ok(wg_tape *tape, const wg_op *op, const wg_tensor *in, int n, const void *attr, size_t size)
{
    if (!wg__may_record(tape, op->name)) return false;
    if (n < op->min_in && op->max_in < 0)
        wg_fail_on(tape, WG_ERR_ARGUMENT, op->name, "%d operands given, takes at least %d", n, op->min_in);
    else if (n < op->min_in || (op->max_in >= 0 && n > op->max_in))
        wg_fail_on(tape, WG_ERR_ARGUMENT, op->name, "%d operands given, takes %d to %d", n, op->min_in, op->max_in);
    else if (n > 0 && !in)
        wg_fail_on(tape, WG_ERR_ARGUMENT, op->name, "the operands are NULL");
    else if ((size && !attr) || size > WG__MOST_ATTR_BYTES)
        wg_fail_on(tape, WG_ERR_ARGUMENT, op->name, "an attribute of %zu bytes: %s", size,
                   attr ? "at most 2^20" : "it is NULL");
    else if (tape->modes.differentiating && (op->flags & WG_OP_RANDOM))
        wg_fail_on(tape, WG_ERR_GRADIENT, op->name, "a derivative rule must not use random numbers");
    return !wg__failed(tape);
}

wg_tensor wg_record_on(wg_tape *tape, const wg_op *op, const wg_tensor *in, int n, const void *attr,
                       size_t attr_size)
{
    if (!tape || wg__failed(tape)) return tape ? wg__nil(tape) : WG_NONE;
    const uint32_t op_id = wg__op_id(tape, op);
    if (!op_id || !arguments_ok(tape, op, in, n, attr, attr_size)) return wg__nil(tape);
    uint32_t few[MANY], *ids = few;
    if (n > MANY) {
        ids = wg__heap_alloc(&tape->heap, (size_t)n * sizeof *ids);
        if (!ids) return wg__out_of_memory(tape), wg__nil(tape);
    }
    bool ok = true;
    for (int i = 0; i < n && ok; i++) {
        ok = operand_ok(tape, op, in[i], i);
        ids[i] = in[i].tape ? in[i].node : 0;
    }
    uint32_t id = ok ? record(tape, op_id, ids, n, attr, attr_size) : 0;
    if (ids != few) wg__heap_release(&tape->heap, ids, (size_t)n * sizeof *ids);
    if (id && tape->run_now && !tape->modes.differentiating && tape->run_now(tape, id) != WG_OK) id = 0;
    return wg__handle(tape, id);
}

wg_tensor wg_record(const wg_op *op, const wg_tensor *in, int n_in, const void *attr, size_t attr_size)
{
    for (int i = 0; in && i < n_in; i++)
        if (in[i].tape) return wg_record_on(in[i].tape, op, in, n_in, attr, attr_size);
    return WG_NONE; /* every operand is unset: there is no tape to store an error on */
}
