/* Interning: content to id. Shapes, attributes and descriptors get the same number whenever they come
 * again, for as long as the tape lives. */
#include "graph.h"

#include <string.h>

static uint64_t hash_words(uint64_t a, uint64_t b)
{
    a = (a ^ b) * 0x9E3779B97F4A7C15u;
    return a ^ (a >> 29);
}

/* Room for one more entry; rehashing asks `hash_of` for the hash of each id. */
static bool intern_room(wg_tape *tape, wg__intern *index, uint64_t (*hash_of)(const wg_tape *, uint32_t))
{
    if (index->size && index->count + 1 <= index->size / 2) return true;
    uint32_t size = index->size ? index->size * 2 : 64;
    uint32_t *table = wg__heap_alloc(&tape->heap, size * sizeof *table);
    if (!table) return false;
    memset(table, 0, size * sizeof *table);
    for (uint32_t i = 0; i < index->size; i++) {
        if (!index->table[i]) continue;
        uint32_t at = (uint32_t)hash_of(tape, index->table[i] - 1) & (size - 1);
        while (table[at]) at = (at + 1) & (size - 1);
        table[at] = index->table[i];
    }
    wg__heap_release(&tape->heap, index->table, index->size * sizeof *table);
    index->table = table;
    index->size = size;
    return true;
}

static uint64_t hash_shape(const wg_shape *shape)
{
    uint64_t hash = (uint64_t)shape->rank;
    for (int i = 0; i < shape->rank; i++) hash = hash_words(hash, (uint64_t)shape->size[i]);
    return hash_words(hash, 1);
}

static uint64_t hash_shape_id(const wg_tape *tape, uint32_t id) { return hash_shape(&tape->shapes[id].shape); }

uint32_t wg__intern_shape(wg_tape *tape, const wg_shape *shape)
{
    wg__intern *index = &tape->shape_index;
    if (!intern_room(tape, index, hash_shape_id)) return UINT32_MAX;
    uint32_t at = (uint32_t)hash_shape(shape) & (index->size - 1);
    for (; index->table[at]; at = (at + 1) & (index->size - 1))
        if (wg_shape_equal(&tape->shapes[index->table[at] - 1].shape, shape)) return index->table[at] - 1;
    wg__shape_info info;
    if (!wg_shape_numel(shape, &info.numel)) return UINT32_MAX;
    info.shape = wg_shape_of(shape->rank, shape->size);
    if (!wg__grow(&tape->heap, (void **)&tape->shapes, &tape->cap_shapes, tape->n_shapes + 1u, sizeof info))
        return UINT32_MAX;
    tape->shapes[tape->n_shapes] = info;
    index->table[at] = ++tape->n_shapes;
    index->count++;
    return tape->n_shapes - 1;
}

static uint64_t hash_attr_id(const wg_tape *tape, uint32_t id)
{
    return wg__hash_bytes(0, tape->attr_bytes + tape->attrs[id], tape->attr_sizes[id]);
}

uint32_t wg__intern_attr(wg_tape *tape, const void *attr, size_t size)
{
    wg__intern *index = &tape->attr_index;
    if (size > 1 << 20 || !intern_room(tape, index, hash_attr_id)) return UINT32_MAX;
    uint32_t at = (uint32_t)wg__hash_bytes(0, attr, size) & (index->size - 1);
    for (; index->table[at]; at = (at + 1) & (index->size - 1)) {
        uint32_t id = index->table[at] - 1;
        if (tape->attr_sizes[id] == size && !memcmp(tape->attr_bytes + tape->attrs[id], attr, size)) return id;
    }
    uint32_t id = tape->n_attrs ? tape->n_attrs : 1, start = (tape->n_attr_bytes + 15u) & ~15u;
    if (!wg__grow(&tape->heap, (void **)&tape->attrs, &tape->cap_attrs, id + 1u, sizeof(uint32_t)) ||
        !wg__grow(&tape->heap, (void **)&tape->attr_sizes, &tape->cap_attr_sizes, id + 1u, sizeof(uint32_t)) ||
        !wg__grow(&tape->heap, (void **)&tape->attr_bytes, &tape->cap_attr_bytes, start + size, 1))
        return UINT32_MAX;
    memcpy(tape->attr_bytes + start, attr, size);
    tape->n_attr_bytes = start + (uint32_t)size;
    tape->attrs[id] = start;
    tape->attr_sizes[id] = (uint32_t)size;
    tape->n_attrs = id + 1;
    index->table[at] = id + 1;
    index->count++;
    return id;
}

static uint64_t hash_op(const wg_op *op) { return hash_words((uint64_t)(uintptr_t)op >> 4, 7); }
static uint64_t hash_op_id(const wg_tape *tape, uint32_t id) { return hash_op(tape->ops[id]); }

uint32_t wg__intern_op(wg_tape *tape, const wg_op *op)
{
    wg__intern *index = &tape->op_index;
    if (index->size) {
        uint32_t at = (uint32_t)hash_op(op) & (index->size - 1);
        for (; index->table[at]; at = (at + 1) & (index->size - 1))
            if (tape->ops[index->table[at] - 1] == op) return index->table[at] - 1;
    }
    if (tape->n_ops >= UINT16_MAX || !intern_room(tape, index, hash_op_id) ||
        !wg__grow(&tape->heap, (void **)&tape->ops, &tape->cap_ops, tape->n_ops + 1u, sizeof(wg_op *)))
        return UINT32_MAX;
    uint32_t at = (uint32_t)hash_op(op) & (index->size - 1);
    while (index->table[at]) at = (at + 1) & (index->size - 1);
    tape->ops[tape->n_ops] = op;
    index->table[at] = ++tape->n_ops;
    index->count++;
    return tape->n_ops - 1;
}

/* Parameters: the table holds node + 1; the node's key is the parameter's identity. */
static uint64_t hash_param_node(const wg_tape *tape, uint32_t node) { return hash_words(tape->nodes[node].key, 3); }

uint32_t wg__param_node(wg_tape *tape, uint64_t key)
{
    wg__intern *index = &tape->param_index;
    if (!index->size) return 0;
    uint32_t at = (uint32_t)hash_words(key, 3) & (index->size - 1);
    for (; index->table[at]; at = (at + 1) & (index->size - 1))
        if (tape->nodes[index->table[at] - 1].key == key) return index->table[at] - 1;
    return 0;
}

bool wg__param_node_set(wg_tape *tape, uint64_t key, uint32_t node)
{
    wg__intern *index = &tape->param_index;
    if (!intern_room(tape, index, hash_param_node)) return false;
    uint32_t at = (uint32_t)hash_words(key, 3) & (index->size - 1);
    for (; index->table[at]; at = (at + 1) & (index->size - 1))
        if (tape->nodes[index->table[at] - 1].key == key) break;
    if (!index->table[at]) index->count++;
    index->table[at] = node + 1;
    return true;
}

/* ---- gradient nodes by content ---- */

static uint64_t hash_content(const wg__node *node, const uint32_t *in)
{
    uint64_t hash = hash_words(node->op, ((uint64_t)node->attr << 32) | node->shape);
    for (uint32_t i = 0; i < node->n_in; i++) hash = hash_words(hash, in[i]);
    return hash;
}

static uint64_t hash_node_id(const wg_tape *tape, uint32_t id)
{
    return hash_content(&tape->nodes[id], wg__inputs(tape, &tape->nodes[id]));
}

uint32_t wg__same_node(wg_tape *tape, const wg__node *node, const uint32_t *in, uint32_t id)
{
    wg__intern *index = &tape->same_index;
    if (!intern_room(tape, index, hash_node_id)) return 0; /* nothing is lost: the node is recorded again */
    uint32_t at = (uint32_t)hash_content(node, in) & (index->size - 1);
    for (; index->table[at]; at = (at + 1) & (index->size - 1)) {
        uint32_t other = index->table[at] - 1;
        const wg__node *o = &tape->nodes[other];
        if (o->op == node->op && o->attr == node->attr && o->shape == node->shape && o->dtype == node->dtype &&
            o->flags == node->flags && o->n_in == node->n_in &&
            !memcmp(wg__inputs(tape, o), in, o->n_in * sizeof *in))
            return other;
    }
    if (!id) return 0;
    index->table[at] = id + 1;
    index->count++;
    return 0;
}

void wg__same_clear(wg_tape *tape)
{
    if (!tape->same_index.count) return;
    memset(tape->same_index.table, 0, tape->same_index.size * sizeof(uint32_t));
    tape->same_index.count = 0;
}

static void index_release(wg_tape *tape, wg__intern *index)
{
    wg__heap_release(&tape->heap, index->table, index->size * sizeof(uint32_t));
    *index = (wg__intern){0};
}

void wg__intern_clear(wg_tape *tape)
{
    index_release(tape, &tape->shape_index);
    index_release(tape, &tape->attr_index);
    tape->n_shapes = tape->n_attrs = tape->n_attr_bytes = 0;
}

void wg__intern_release(wg_tape *tape)
{
    wg__intern_clear(tape);
    index_release(tape, &tape->op_index);
    index_release(tape, &tape->param_index);
    index_release(tape, &tape->same_index);
}
