/* Interning: equal shapes, attributes and op descriptors have one id until the tape is freed or
 * its interned content is cleared. */
#include "../base/random.h"
#include "graph.h"

#include <string.h>

static uint64_t hash_words(uint64_t a, uint64_t b)
{
    a = (a ^ b) * 0x9E3779B97F4A7C15u;
    return a ^ (a >> 29);
}

static bool index_room(wg_tape *tape, wg__index *index, wg__hash_of hash_of)
{
    return wg__index_room(&tape->heap, index, hash_of, tape);
}

static uint64_t hash_shape(const wg_shape *shape)
{
    uint64_t hash = (uint64_t)shape->rank;
    for (int i = 0; i < shape->rank; i++) hash = hash_words(hash, (uint64_t)shape->size[i]);
    return hash_words(hash, 1);
}

static uint64_t hash_shape_id(const void *owner, uint32_t id)
{
    const wg_tape *tape = owner;
    return hash_shape(&tape->interned.shapes[id].shape);
}

uint32_t wg__intern_shape(wg_tape *tape, const wg_shape *shape)
{
    wg__interned *known = &tape->interned;
    wg__index *index = &known->shape_index;
    if (!index_room(tape, index, hash_shape_id)) return 0;
    uint32_t at = (uint32_t)hash_shape(shape) & (index->size - 1);
    for (; index->table[at]; at = (at + 1) & (index->size - 1))
        if (wg_shape_equal(&known->shapes[index->table[at]].shape, shape)) return index->table[at];
    wg__shape_info info;
    if (!wg_shape_numel(shape, &info.numel)) return 0;
    info.shape = wg_shape_of(shape->rank, shape->size);
    const uint32_t id = known->n_shapes ? known->n_shapes : 1;
    if (!wg__grow(&tape->heap, (void **)&known->shapes, &known->cap_shapes, id + 1u, sizeof info)) return 0;
    assert(wg_shape_equal(&info.shape, shape));
    known->shapes[id] = info;
    known->n_shapes = id + 1;
    index->table[at] = id;
    index->count++;
    return id;
}

static uint64_t hash_attr_id(const void *owner, uint32_t id)
{
    const wg_tape *tape = owner;
    const wg__interned *known = &tape->interned;
    return wg__hash_bytes(0, known->attr_bytes + known->attrs[id], known->attr_sizes[id]);
}

uint32_t wg__intern_attr(wg_tape *tape, const void *attr, size_t size)
{
    wg__interned *known = &tape->interned;
    wg__index *index = &known->attr_index;
    assert(size > 0);
    if (size > WG__MOST_ATTR_BYTES || !index_room(tape, index, hash_attr_id)) return 0;
    uint32_t at = (uint32_t)wg__hash_bytes(0, attr, size) & (index->size - 1);
    for (; index->table[at]; at = (at + 1) & (index->size - 1)) {
        uint32_t id = index->table[at];
        if (known->attr_sizes[id] == size && !memcmp(known->attr_bytes + known->attrs[id], attr, size)) return id;
    }
    const uint32_t id = known->n_attrs ? known->n_attrs : 1, start = (known->n_attr_bytes + 15u) & ~15u;
    if (!wg__grow(&tape->heap, (void **)&known->attrs, &known->cap_attrs, id + 1u, sizeof(uint32_t)) ||
        !wg__grow(&tape->heap, (void **)&known->attr_sizes, &known->cap_attr_sizes, id + 1u, sizeof(uint32_t)) ||
        !wg__grow(&tape->heap, (void **)&known->attr_bytes, &known->cap_attr_bytes, start + size, 1))
        return 0;
    assert(start % 16 == 0 && start + size <= known->cap_attr_bytes);
    memcpy(known->attr_bytes + start, attr, size);
    known->n_attr_bytes = start + (uint32_t)size;
    known->attrs[id] = start;
    known->attr_sizes[id] = (uint32_t)size;
    known->n_attrs = id + 1;
    index->table[at] = id;
    index->count++;
    return id;
}

static uint64_t hash_op(const wg_op *op) { return hash_words((uint64_t)(uintptr_t)op >> 4, 7); }
static uint64_t hash_op_id(const void *owner, uint32_t id)
{
    return hash_op(((const wg_tape *)owner)->interned.ops[id]);
}

uint32_t wg__find_op(const wg_tape *tape, const wg_op *op)
{
    const wg__index *index = &tape->interned.op_index;
    if (!index->size) return 0;
    uint32_t at = (uint32_t)hash_op(op) & (index->size - 1);
    for (; index->table[at]; at = (at + 1) & (index->size - 1))
        if (tape->interned.ops[index->table[at]] == op) return index->table[at];
    return 0;
}

uint32_t wg__intern_op(wg_tape *tape, const wg_op *op)
{
    wg__interned *known = &tape->interned;
    wg__index *index = &known->op_index;
    uint32_t id = wg__find_op(tape, op);
    if (id) return id;
    if (known->n_ops >= UINT16_MAX || !index_room(tape, index, hash_op_id) ||
        !wg__grow(&tape->heap, (void **)&known->ops, &known->cap_ops, known->n_ops + 1u, sizeof(wg_op *)))
        return 0;
    uint32_t at = (uint32_t)hash_op(op) & (index->size - 1);
    while (index->table[at]) at = (at + 1) & (index->size - 1);
    id = known->n_ops++;
    assert(id > 0); /* 0 is a leaf's */
    known->ops[id] = op;
    index->table[at] = id;
    index->count++;
    return id;
}

/* ---- parameters by id ---- */

static uint64_t hash_param_node(const void *owner, uint32_t node)
{
    return hash_words(((const wg_tape *)owner)->nodes[node].key, 3);
}

uint32_t wg__param_node(const wg_tape *tape, uint64_t key)
{
    const wg__index *index = &tape->interned.param_index;
    if (!index->size) return 0;
    uint32_t at = (uint32_t)hash_words(key, 3) & (index->size - 1);
    for (; index->table[at]; at = (at + 1) & (index->size - 1)) {
        assert(index->table[at] < tape->n_nodes);
        if (tape->nodes[index->table[at]].key == key) return index->table[at];
    }
    return 0;
}

bool wg__param_node_set(wg_tape *tape, uint64_t key, uint32_t node)
{
    wg__index *index = &tape->interned.param_index;
    assert(node && node < tape->n_nodes && tape->nodes[node].key == key);
    if (!index_room(tape, index, hash_param_node)) return false;
    uint32_t at = (uint32_t)hash_words(key, 3) & (index->size - 1);
    for (; index->table[at]; at = (at + 1) & (index->size - 1))
        if (tape->nodes[index->table[at]].key == key) break;
    if (!index->table[at]) index->count++;
    index->table[at] = node;
    return true;
}

/* ---- scopes by path ---- */

static uint64_t hash_scope(const void *owner, uint32_t scope)
{
    return ((const wg_tape *)owner)->scopes.list[scope].path_hash;
}

uint32_t wg__scope_find(const wg_tape *tape, uint64_t path_hash, const char *path)
{
    const wg__index *index = &tape->scopes.index;
    if (!index->size) return 0;
    uint32_t at = (uint32_t)path_hash & (index->size - 1);
    for (; index->table[at]; at = (at + 1) & (index->size - 1)) {
        const wg__scope *scope = &tape->scopes.list[index->table[at]];
        if (scope->path_hash == path_hash && scope->parent == tape->scopes.current && !strcmp(scope->path, path))
            break;
    }
    return index->table[at];
}

bool wg__scope_room(wg_tape *tape) { return index_room(tape, &tape->scopes.index, hash_scope); }

void wg__scope_enter(wg_tape *tape, uint32_t scope)
{
    wg__index *index = &tape->scopes.index;
    uint32_t at = (uint32_t)hash_scope(tape, scope) & (index->size - 1);
    while (index->table[at]) at = (at + 1) & (index->size - 1);
    index->table[at] = scope;
    index->count++;
}

/* ---- gradient nodes by content ---- */

static uint64_t hash_content(const wg__node *node, const uint32_t *in)
{
    uint64_t hash = hash_words(node->op, ((uint64_t)node->attr << 32) | node->shape);
    for (uint32_t i = 0; i < node->n_in; i++) hash = hash_words(hash, in[i]);
    return hash;
}

static uint64_t hash_node_id(const void *owner, uint32_t id)
{
    const wg_tape *tape = owner;
    return hash_content(&tape->nodes[id], wg__inputs(tape, &tape->nodes[id]));
}

uint32_t wg__same_node(wg_tape *tape, const wg__node *node, const uint32_t *in, uint32_t id)
{
    wg__index *index = &tape->interned.same_index;
    assert(tape->modes.differentiating && id < tape->n_nodes);
    if (!index_room(tape, index, hash_node_id)) return 0; /* harmless: the node is recorded again */
    uint32_t at = (uint32_t)hash_content(node, in) & (index->size - 1);
    for (; index->table[at]; at = (at + 1) & (index->size - 1)) {
        uint32_t other = index->table[at];
        const wg__node *o = &tape->nodes[other];
        assert(other < tape->n_nodes);
        if (o->op == node->op && o->attr == node->attr && o->shape == node->shape && o->dtype == node->dtype &&
            o->flags == node->flags && o->n_in == node->n_in &&
            !memcmp(wg__inputs(tape, o), in, o->n_in * sizeof *in))
            return other;
    }
    if (!id) return 0;
    index->table[at] = id;
    index->count++;
    return 0;
}

void wg__same_clear(wg_tape *tape) { wg__index_clear(&tape->interned.same_index); }
void wg__params_forget(wg_tape *tape) { wg__index_clear(&tape->interned.param_index); }

bool wg__intern_is_stale(const wg_tape *tape)
{
    enum { MANY = 1 << 20, TIMES = 8 }; /* chosen: a step's derivatives use attributes, too */
    const wg__interned *known = &tape->interned;
    if (known->n_attr_bytes <= MANY && known->n_shapes <= MANY) return false;
    uint64_t used = 0;
    for (uint32_t id = 1; id < tape->n_nodes; id++) {
        const uint32_t attr = tape->nodes[id].attr;
        if (attr) used += known->attr_sizes[attr];
    }
    return known->n_attr_bytes > MANY + TIMES * used || known->n_shapes > MANY + TIMES * (uint64_t)tape->n_nodes;
}

void wg__intern_clear(wg_tape *tape)
{
    wg__interned *known = &tape->interned;
    wg__index_release(&tape->heap, &known->shape_index);
    wg__index_release(&tape->heap, &known->attr_index);
    known->n_shapes = known->n_attrs = known->n_attr_bytes = 0;
}

void wg__intern_release(wg_tape *tape)
{
    wg__heap *heap = &tape->heap;
    wg__interned *known = &tape->interned;
    wg__intern_clear(tape);
    wg__index_release(&tape->heap, &known->op_index);
    wg__index_release(&tape->heap, &known->param_index);
    wg__index_release(&tape->heap, &known->same_index);
    wg__index_release(&tape->heap, &tape->scopes.index);
    wg__heap_release(heap, known->ops, known->cap_ops * sizeof *known->ops);
    wg__heap_release(heap, known->shapes, known->cap_shapes * sizeof *known->shapes);
    wg__heap_release(heap, known->attrs, known->cap_attrs * sizeof *known->attrs);
    wg__heap_release(heap, known->attr_sizes, known->cap_attr_sizes * sizeof *known->attr_sizes);
    wg__heap_release(heap, known->attr_bytes, known->cap_attr_bytes);
}
