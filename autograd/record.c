/* Recording: validates and appends. Never touches numbers; the caller's mistakes surface here. */
#include "graph.h"

#include <stdio.h>
#include <string.h>

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

/* ---- errors of an op -------------------------------------------------------------------------------------- */

/* "matmul [encoder.l0]: [2, 3] x [4, 5]: " */
static void describe(const wg_tape *tape, const wg_op *op, const wg_shape *in, int n, char *text, size_t size)
{
    const char *scope = tape->scopes[tape->scope].path;
    int used = snprintf(text, size, "%s%s%s%s: ", op->name, scope[0] ? " [" : "", scope, scope[0] ? "]" : "");
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

wg_status wg_infer_fail(wg_infer *infer, wg_status status, const char *rule, ...)
{
    va_list arguments;
    va_start(arguments, rule);
    wg_error_setv(&infer->error, status, rule, arguments);
    va_end(arguments);
    return status;
}

static wg_tensor nil(wg_tape *tape) { return wg__handle(tape, 0); }

static wg_tensor failv(wg_tape *tape, wg_status status, const char *op, const char *rule, va_list arguments)
{
    if (!tape) return WG_NONE;
    char text[256];
    vsnprintf(text, sizeof text, rule, arguments);
    const char *scope = tape->scopes[tape->scope].path;
    wg__tape_error(tape, status, "%s%s%s%s: %s", op, scope[0] ? " [" : "", scope, scope[0] ? "]" : "", text);
    return nil(tape);
}

wg_tensor wg_fail(wg_tensor on, wg_status status, const char *op, const char *rule, ...)
{
    va_list arguments;
    va_start(arguments, rule);
    wg_tensor result = failv(on.tape, status, op, rule, arguments);
    va_end(arguments);
    return result;
}

wg_tensor wg_fail_on(wg_tape *tape, wg_status status, const char *op, const char *rule, ...)
{
    va_list arguments;
    va_start(arguments, rule);
    wg_tensor result = failv(tape, status, op, rule, arguments);
    va_end(arguments);
    return result;
}

/* ---- handles ------------------------------------------------------------------------------------------------ */

wg__node *wg__live(wg_tensor tensor, const char *what)
{
    wg_tape *tape = tensor.tape;
    if (!tape) return NULL;
    if (tape->error.status != WG_OK || tensor.node == 0) return NULL;
    if (tensor.epoch != tape->epoch) {
        wg_fail_on(tape, WG_ERR_STALE, what,
                   "the tensor was recorded before the last wg_tape_reset (epoch %llu, now %llu)",
                   (unsigned long long)tensor.epoch, (unsigned long long)tape->epoch);
        return NULL;
    }
    if (tensor.node >= tape->n_nodes) {
        wg__tape_error(tape, WG_ERR_ARGUMENT, "%s: not a tensor of this tape", what);
        return NULL;
    }
    return &tape->nodes[tensor.node];
}

/* True if the operand may be used; false with an error stored, or because it is nil. */
static bool operand_ok(wg_tape *tape, const wg_op *op, wg_tensor in, int i)
{
    const char *scope = tape->scopes[tape->scope].path;
    const char *open = scope[0] ? " [" : "", *close = scope[0] ? "]" : "";
    if (!in.tape) {
        if (i >= op->min_in && op->kind != WG_KIND_POINTWISE) return true;
        wg__tape_error(tape, WG_ERR_ARGUMENT, "%s%s%s%s: operand %d was never set", op->name, open, scope, close,
                       i + 1);
        return false;
    }
    if (in.tape != tape) {
        wg__tape_error(tape, WG_ERR_ARGUMENT, "%s%s%s%s: operands 1 and %d are on two tapes", op->name, open, scope,
                       close, i + 1);
        wg__tape_error(in.tape, WG_ERR_ARGUMENT, "%s: operands 1 and %d are on two tapes", op->name, i + 1);
        return false;
    }
    if (in.node == 0) return false;
    if (in.epoch != tape->epoch) {
        wg__tape_error(tape, WG_ERR_STALE, "%s%s%s%s: operand %d was recorded before the last wg_tape_reset",
                       op->name, open, scope, close, i + 1);
        return false;
    }
    if (in.node >= tape->n_nodes) {
        wg__tape_error(tape, WG_ERR_ARGUMENT, "%s: operand %d is not a tensor of this tape", op->name, i + 1);
        return false;
    }
    return true;
}

/* ---- appending ----------------------------------------------------------------------------------------------- */

uint32_t wg__node_append(wg_tape *tape, const wg__node *node, const uint32_t *in)
{
    if (tape->n_nodes == UINT32_MAX - 1 ||
        !wg__grow(&tape->heap, (void **)&tape->nodes, &tape->cap_nodes, tape->n_nodes + 1u, sizeof *node)) {
        wg__out_of_memory(tape);
        return 0;
    }
    wg__node *fresh = &tape->nodes[tape->n_nodes];
    *fresh = *node;
    fresh->region = tape->remat ? tape->n_regions : 0;
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

enum { INFER_MANY = 64 };

/* Runs the shape rule. Fills shape id and dtype of node; false with an error stored. */
static bool infer(wg_tape *tape, const wg_op *op, const uint32_t *in, int n, const void *attr, wg__node *node)
{
    wg_shape few_shapes[INFER_MANY];
    wg_dtype few_dtypes[INFER_MANY];
    wg_shape *shapes = few_shapes;
    wg_dtype *dtypes = few_dtypes;
    size_t bytes = (size_t)n * (sizeof *shapes + sizeof *dtypes);
    if (n > INFER_MANY) {
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
    wg_status status = op->infer ? op->infer(&c) : infer_pointwise(&c);
    bool ok = status == WG_OK;
    char where[256];
    if (!ok) {
        describe(tape, op, shapes, n, where, sizeof where);
        wg__tape_error(tape, status, "%s%s", where, c.error.text);
    } else if (op->kind != WG_KIND_VIEW && op->select && !op->select(op, dtypes, n, c.dtype)) {
        describe(tape, op, shapes, n, where, sizeof where);
        ok = false;
        wg__tape_error(tape, WG_ERR_DTYPE, "%snot defined for %s", where, wg_dtype_name(n ? dtypes[0] : c.dtype));
    } else {
        size_t size;
        if (!wg_shape_bytes(&c.out, c.dtype, &size)) {
            describe(tape, op, shapes, n, where, sizeof where);
            ok = false;
            wg__tape_error(tape, WG_ERR_SHAPE, "%sthe result's size is invalid or too large", where);
        } else {
            node->shape = wg__intern_shape(tape, &c.out);
            node->dtype = (uint8_t)c.dtype;
            ok = node->shape != UINT32_MAX;
            if (!ok) wg__out_of_memory(tape);
        }
    }
    if (shapes != few_shapes) wg__heap_release(&tape->heap, shapes, bytes);
    return ok;
}

/* Pointwise operands of one shape (or scalars beside it) and one dtype need no rule. */
static bool infer_fast(const wg_tape *tape, const wg_op *op, const uint32_t *in, int n, wg__node *node)
{
    if (op->kind != WG_KIND_POINTWISE || op->infer || n == 0) return false;
    const wg__node *first = &tape->nodes[in[0]];
    node->shape = first->shape;
    node->dtype = first->dtype;
    for (int i = 1; i < n; i++) {
        const wg__node *other = &tape->nodes[in[i]];
        if (other->dtype != node->dtype) return false;
        if (other->shape != node->shape && tape->shapes[other->shape].shape.rank != 0) return false;
    }
    wg_dtype dtypes[8];
    if (n > 8) return false;
    for (int i = 0; i < n; i++) dtypes[i] = (wg_dtype)node->dtype;
    return op->select(op, dtypes, n, (wg_dtype)node->dtype) != NULL;
}

/* A random op's key: a function of the scope's path and the ordinal in it. */
static uint64_t next_key(wg_tape *tape)
{
    wg__scope *scope = &tape->scopes[tape->scope];
    uint64_t ordinal = scope->ordinal++;
    return wg__hash_bytes(scope->path_hash, &ordinal, sizeof ordinal);
}

wg_tensor wg_record_on(wg_tape *tape, const wg_op *op, const wg_tensor *in, int n, const void *attr,
                       size_t attr_size)
{
    if (!tape || tape->error.status != WG_OK) return tape ? nil(tape) : WG_NONE;
    if (n < op->min_in || (op->max_in >= 0 && n > op->max_in) || op->struct_size < sizeof(size_t))
        return wg_fail_on(tape, WG_ERR_ARGUMENT, op->name, "%d operands given, takes %d to %d", n, op->min_in,
                          op->max_in);
    if (op->kind == WG_KIND_POINTWISE && n > 4)
        return wg_fail_on(tape, WG_ERR_ARGUMENT, op->name, "a pointwise op takes at most 4 operands, not %d", n);
    if (tape->differentiating && (op->flags & WG_OP_RANDOM))
        return wg_fail_on(tape, WG_ERR_GRADIENT, op->name, "a derivative rule may not draw random numbers");
    uint32_t few[INFER_MANY], *ids = few;
    if (n > INFER_MANY) {
        ids = wg__heap_alloc(&tape->heap, (size_t)n * sizeof *ids);
        if (!ids) return wg__out_of_memory(tape), nil(tape);
    }
    wg__node node = {.n_in = (uint32_t)n, .scope = tape->scope, .forward = tape->forward};
    bool ok = true;
    for (int i = 0; i < n && ok; i++) {
        ok = operand_ok(tape, op, in[i], i);
        ids[i] = in[i].node;
    }
    uint32_t id = 0;
    if (ok && (infer_fast(tape, op, ids, n, &node) || infer(tape, op, ids, n, attr, &node))) {
        uint32_t op_id = wg__intern_op(tape, op);
        if (attr_size) node.attr = wg__intern_attr(tape, attr, attr_size);
        if (op_id == UINT32_MAX || node.attr == UINT32_MAX) {
            wg__out_of_memory(tape);
        } else {
            node.op = (uint16_t)op_id;
            if (op->flags & WG_OP_RANDOM) node.key = next_key(tape);
            if (tape->no_grad) node.flags |= WG__NODE_CUT;
            bool pure = tape->differentiating && !(op->flags & WG_OP_RANDOM); /* one value, however often derived */
            if (!pure || !(id = wg__same_node(tape, &node, ids, 0))) {
                id = wg__node_append(tape, &node, ids);
                if (pure && id) wg__same_node(tape, &node, ids, id);
            }
        }
    }
    if (ids != few) wg__heap_release(&tape->heap, ids, (size_t)n * sizeof *ids);
    if (id && tape->options.eager && !tape->differentiating && !tape->running_eager) {
        tape->running_eager = true;
        wg_status status = wg__force(tape, &id, 1, 0, NULL, 0);
        tape->running_eager = false;
        if (status != WG_OK) id = 0;
    }
    return wg__handle(tape, id);
}

wg_tensor wg_record(const wg_op *op, const wg_tensor *in, int n_in, const void *attr, size_t attr_size)
{
    for (int i = 0; i < n_in; i++)
        if (in[i].tape) return wg_record_on(in[i].tape, op, in, n_in, attr, attr_size);
    return WG_NONE; /* no tape to say it on: every operand is unset */
}

/* ---- leaves -------------------------------------------------------------------------------------------------- */

uint32_t wg__leaf_new(wg_tape *tape, wg__leaf_kind kind, wg_dtype dtype, const wg_shape *shape, wg__leaf leaf,
                      uint64_t key)
{
    if (!wg__grow(&tape->heap, (void **)&tape->leaves, &tape->cap_leaves, tape->n_leaves + 1u, sizeof leaf)) {
        wg__out_of_memory(tape);
        return 0;
    }
    wg__node node = {
        .dtype = (uint8_t)dtype, .leaf = (uint8_t)kind, .slot = tape->n_leaves, .key = key, .scope = tape->scope};
    node.shape = wg__intern_shape(tape, shape);
    if (node.shape == UINT32_MAX) {
        wg__out_of_memory(tape);
        return 0;
    }
    uint32_t id = wg__node_append(tape, &node, NULL);
    if (id) tape->leaves[tape->n_leaves++] = leaf;
    return id;
}

static wg_tensor data_leaf(wg_tape *tape, wg_dtype dtype, wg_shape shape, const void *numbers, bool copy,
                           const char *name)
{
    if (!tape || tape->error.status != WG_OK) return tape ? nil(tape) : WG_NONE;
    size_t bytes;
    if ((unsigned)dtype >= WG_DTYPES) return wg_fail_on(tape, WG_ERR_DTYPE, name, "no such dtype: %d", (int)dtype);
    if (!wg_shape_bytes(&shape, dtype, &bytes)) {
        char text[128];
        return wg_fail_on(tape, WG_ERR_SHAPE, name, "%s: the size is invalid or too large",
                          wg_shape_text(&shape, text, sizeof text));
    }
    if (!numbers && bytes) return wg_fail_on(tape, WG_ERR_ARGUMENT, name, "numbers is NULL");
    wg__leaf leaf = {.data = (void *)(uintptr_t)numbers};
    if (copy) {
        leaf.data = wg__arena_alloc(&tape->data, bytes + 64, bytes < 64 ? 8 : 64);
        if (!leaf.data) return wg__out_of_memory(tape), nil(tape);
        if (bytes) memcpy(leaf.data, numbers, bytes);
    }
    return wg__handle(tape, wg__leaf_new(tape, WG__LEAF_DATA, dtype, &shape, leaf, 0));
}

wg_tensor wg_data(wg_tape *tape, wg_dtype dtype, wg_shape shape, const void *numbers)
{
    return data_leaf(tape, dtype, shape, numbers, true, "data");
}

wg_tensor wg_borrow(wg_tape *tape, wg_dtype dtype, wg_shape shape, const void *numbers)
{
    return data_leaf(tape, dtype, shape, numbers, false, "borrow");
}

wg_tensor wg_scalar(wg_tape *tape, wg_dtype dtype, double value)
{
    double storage = 0;
    if ((unsigned)dtype < WG_DTYPES) wg__structural_ops.from_f64(dtype, value, 1, &storage);
    return data_leaf(tape, dtype, WG_SCALAR, &storage, true, "scalar");
}

wg_tensor wg_use(wg_tape *tape, wg_param *param)
{
    if (!tape || tape->error.status != WG_OK) return tape ? nil(tape) : WG_NONE;
    if (!param)
        return wg_fail_on(tape, WG_ERR_ARGUMENT, "use", "the parameter is NULL: was it made? (wg_params_message)");
    uint64_t key = wg__param_id(param);
    uint32_t id = wg__param_node(tape, key);
    wg__leaf *have = id ? &tape->leaves[tape->nodes[id].slot] : NULL;
    if (have && have->state == WG__LEAF_CURRENT) {
        have->recorded |= !tape->no_grad;
        return wg__handle(tape, id);
    }
    if (tape->differentiating)
        return wg_fail_on(tape, WG_ERR_GRADIENT, "use", "a derivative rule may not bring in a parameter (%s)",
                          wg_param_name(param));
    wg_shape shape = wg_param_shape(param);
    wg__leaf leaf = {.data = wg__param_data(param),
                     .param = param,
                     .version = wg_param_version(param),
                     .recorded = !tape->no_grad};
    id = wg__leaf_new(tape, WG__LEAF_PARAM, wg_param_dtype(param), &shape, leaf, key);
    if (id && !wg__param_node_set(tape, key, id)) return wg__out_of_memory(tape), nil(tape);
    return wg__handle(tape, id);
}

void wg_assign(wg_buffer *buffer, wg_tensor tensor)
{
    wg__node *node = wg__live(tensor, "assign");
    wg_tape *tape = tensor.tape;
    if (!node) return;
    if (!buffer || !wg_param_is_buffer(buffer)) {
        wg_fail(tensor, WG_ERR_ARGUMENT, "assign", "%s is not a buffer", buffer ? wg_param_name(buffer) : "NULL");
        return;
    }
    wg_shape have = *wg__shape_of_node(tape, node), want = wg_param_shape(buffer);
    if (!wg_shape_equal(&have, &want) || (wg_dtype)node->dtype != wg_param_dtype(buffer)) {
        char a[128], b[128];
        wg_fail(tensor, WG_ERR_SHAPE, "assign", "buffer %s is %s %s, the tensor %s %s", wg_param_name(buffer),
                wg_shape_text(&want, a, sizeof a), wg_dtype_name(wg_param_dtype(buffer)),
                wg_shape_text(&have, b, sizeof b), wg_dtype_name((wg_dtype)node->dtype));
        return;
    }
    if (!wg__grow(&tape->heap, (void **)&tape->assigns, &tape->cap_assigns, tape->n_assigns + 1u,
                  sizeof *tape->assigns)) {
        wg__out_of_memory(tape);
        return;
    }
    wg__hash_mix(tape, wg__param_id(buffer), tensor.node);
    tape->assigns[tape->n_assigns++] = (wg__assign){.buffer = buffer, .node = tensor.node};
}

/* ---- what is known without computing ------------------------------------------------------------------------- */

bool wg__shape_for(wg_tensor tensor, wg_shape *shape, const char *op)
{
    wg__node *node = wg__live(tensor, op);
    if (node) *shape = *wg__shape_of_node(tensor.tape, node);
    return node != NULL;
}

wg_shape wg_shape_get(wg_tensor tensor)
{
    wg__node *node = wg__live(tensor, "shape");
    return node ? *wg__shape_of_node(tensor.tape, node) : wg_shape_of(-1, NULL);
}

wg_dtype wg_dtype_get(wg_tensor tensor)
{
    wg__node *node = wg__live(tensor, "dtype");
    return node ? (wg_dtype)node->dtype : WG_F32;
}

int wg_rank(wg_tensor tensor) { return wg_shape_get(tensor).rank; }

int64_t wg_size(wg_tensor tensor, int axis)
{
    wg_shape shape = wg_shape_get(tensor);
    if (axis < 0) axis += shape.rank;
    return axis >= 0 && axis < shape.rank ? shape.size[axis] : -1;
}

int64_t wg_numel(wg_tensor tensor)
{
    wg__node *node = wg__live(tensor, "numel");
    return node ? tensor.tape->shapes[node->shape].numel : 0;
}

bool wg_is_nil(wg_tensor tensor) { return tensor.node == 0; }

wg_tensor wg_keep(wg_tensor tensor)
{
    wg__node *node = wg__live(tensor, "keep");
    if (node && !(node->flags & (WG__NODE_KEPT | WG__NODE_VALUE)) && node->leaf != WG__LEAF_DATA) {
        node->flags |= WG__NODE_KEPT;
        tensor.tape->n_kept++;
        wg__hash_mix(tensor.tape, tensor.node, 11);
    }
    return tensor;
}

/* A reshape to the same shape, through which no gradient flows. */
wg_tensor wg_detach(wg_tensor tensor)
{
    wg__node *node = wg__live(tensor, "detach");
    if (!node) return tensor.tape ? nil(tensor.tape) : WG_NONE;
    wg_shape shape = *wg__shape_of_node(tensor.tape, node);
    wg_no_grad_begin(tensor.tape);
    wg_tensor result = wg_record(wg__structural_ops.reshape, &tensor, 1, &shape, sizeof shape);
    wg_no_grad_end(tensor.tape);
    return result;
}
