/* Appends nodes of ONNX to the graph. Each has one result; names of results are "/scope/op_number", and no name that a
 * caller gives begins so. */
#include "writer.h"

#include <stdio.h>
#include <string.h>

#include "../../io/file.h"

/* Types of attributes, by the schema. */
enum { FLOAT = 1, INT = 2, STRING = 3, TENSOR = 4, INTS = 7 };

void *wg__out_room(wg__out *o, int64_t n, size_t size)
{
    void *room = wg__arena_array(&o->arena, (uint64_t)n + 1, size);
    if (!room) wg__out_fail(o, WG_ERR_MEMORY, "out of memory");
    return room;
}

const char *wg__out_name(wg__out *o, const char *format, ...)
{
    va_list arguments;
    char text[512];
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    char *name = wg__arena_alloc(&o->arena, strlen(text) + 1, 1);
    if (name) return strcpy(name, text);
    o->nodes.failed = true;
    return "";
}

const char *wg__in_name(const wg__out *o, int k)
{
    const char *name = k < o->at.n_in && o->at.in[k] ? o->marks[o->at.in[k]].name : NULL;
    return name ? name : "";
}

wg__walked wg__in_node(const wg__out *o, int k) { return wg__walk_at(o->tape, o->at.in[k]); }

/* ---- attributes ---- */

static void put_text(wg__bytes *b, int field, const char *text) { wg__proto_bytes(b, field, text, strlen(text)); }

static void attribute(wg__out *o, const char *name, int type)
{
    wg__bytes_clear(&o->message);
    put_text(&o->message, WG__ATTRIBUTE_NAME, name);
    wg__proto_integer(&o->message, WG__ATTRIBUTE_TYPE, (uint64_t)type);
}

static void attribute_end(wg__out *o)
{
    wg__proto_bytes(&o->attributes, WG__NODE_ATTRIBUTE, o->message.data, o->message.size);
    o->attributes.failed |= o->message.failed;
}

void wg__with_int(wg__out *o, const char *name, int64_t number)
{
    attribute(o, name, INT);
    wg__proto_integer(&o->message, WG__ATTRIBUTE_INT, (uint64_t)number);
    attribute_end(o);
}

void wg__with_float(wg__out *o, const char *name, double number)
{
    attribute(o, name, FLOAT);
    wg__proto_float(&o->message, WG__ATTRIBUTE_FLOAT, (float)number);
    attribute_end(o);
}

void wg__with_text(wg__out *o, const char *name, const char *text)
{
    attribute(o, name, STRING);
    put_text(&o->message, WG__ATTRIBUTE_STRING, text);
    attribute_end(o);
}

void wg__with_ints(wg__out *o, const char *name, const int64_t *numbers, int n)
{
    attribute(o, name, INTS);
    for (int i = 0; i < n; i++) wg__proto_integer(&o->message, WG__ATTRIBUTE_INTS, (uint64_t)numbers[i]);
    attribute_end(o);
}

/* ---- nodes ---- */

static const char *result_name(wg__out *o)
{
    const char *slash = *o->at.scope ? "/" : "", *op = o->at.op ? o->at.op->name : "constant";
    const int valid = (int)wg__utf8_error(o->at.scope, strlen(o->at.scope)); /* of a text that may be cut */
    const uint32_t part = o->part++;
    return part ? wg__out_name(o, "/%.*s%s%.100s_%u.%u", valid, o->at.scope, slash, op, o->number, part)
                : wg__out_name(o, "/%.*s%s%.100s_%u", valid, o->at.scope, slash, op, o->number);
}

/* Begins a node, without operands and attributes. first: the name of a result before the one that counts, or NULL. */
static void node_head(wg__out *o, const char *op_type, const char *first, const char *name)
{
    wg__bytes_clear(&o->node);
    if (first) put_text(&o->node, WG__NODE_OUTPUT, first);
    put_text(&o->node, WG__NODE_OUTPUT, name);
    put_text(&o->node, WG__NODE_NAME, name);
    put_text(&o->node, WG__NODE_TYPE, op_type);
}

static const char *append(wg__out *o, const char *op_type, const char *const *in, int n, const char *first)
{
    const char *name = result_name(o);
    while (n > 0 && !*in[n - 1]) n--; /* omitted operands at the end are left out */
    node_head(o, op_type, first, name);
    for (int k = 0; k < n; k++) put_text(&o->node, WG__NODE_INPUT, in[k]);
    wg__bytes_put(&o->node, o->attributes.data, o->attributes.size);
    wg__proto_bytes(&o->nodes, WG__GRAPH_NODE, o->node.data, o->node.size);
    o->nodes.failed |= o->node.failed || o->attributes.failed;
    wg__bytes_clear(&o->attributes);
    return name;
}

const char *wg__out_node(wg__out *o, const char *op_type, const char *const *in, int n)
{
    return append(o, op_type, in, n, NULL);
}

const char *wg__out_second(wg__out *o, const char *op_type, const char *const *in, int n)
{
    return append(o, op_type, in, n, result_name(o));
}

const char *wg__out_node1(wg__out *o, const char *op_type, const char *a)
{
    return wg__out_node(o, op_type, &a, 1);
}

const char *wg__out_node2(wg__out *o, const char *op_type, const char *a, const char *b)
{
    return wg__out_node(o, op_type, (const char *[]){a, b}, 2);
}

const char *wg__out_node3(wg__out *o, const char *op_type, const char *a, const char *b, const char *c)
{
    return wg__out_node(o, op_type, (const char *[]){a, b, c}, 3);
}

/* Of bool it is composed: ONNX Runtime has no such Where. */
const char *wg__out_where(wg__out *o, const char *mask, const char *a, const char *b)
{
    if (o->at.dtype != WG_BOOL) return wg__out_node3(o, "Where", mask, a, b);
    const char *chosen = wg__out_node2(o, "And", mask, a);
    return wg__out_node2(o, "Or", chosen, wg__out_node2(o, "And", wg__out_node1(o, "Not", mask), b));
}

/* ---- constants ---- */

int wg__element_type(wg_dtype dtype)
{
    switch (dtype) {
    case WG_F32: return WG__FLOAT;
    case WG_F64: return WG__DOUBLE;
    case WG_I32: return WG__INT32;
    default: return WG__BOOLEAN;
    }
}

static void tensor_head(wg__bytes *b, const char *name, int type, const int64_t *size, int rank)
{
    for (int i = 0; i < rank; i++) wg__proto_integer(b, WG__TENSOR_DIMS, (uint64_t)size[i]);
    wg__proto_integer(b, WG__TENSOR_TYPE, (uint64_t)type);
    if (*name) put_text(b, WG__TENSOR_NAME, name);
}

void wg__tensor_head(wg__bytes *b, const char *name, wg_dtype dtype, const wg_shape *shape)
{
    tensor_head(b, name, wg__element_type(dtype), shape->size, shape->rank);
}

/* A node with an attribute with a tensor, whose numbers are copied once: the heads of all three come first. */
static const char *constant(wg__out *o, int type, const int64_t *size, int rank, const void *data, size_t bytes)
{
    const char *name = result_name(o);
    wg__bytes *const node = &o->node, *const value = &o->message, *const tensor = &o->attributes;
    tensor_head(tensor, "", type, size, rank);
    wg__proto_begin(tensor, WG__TENSOR_RAW, bytes);
    attribute(o, "value", TENSOR);
    wg__proto_begin(value, WG__ATTRIBUTE_TENSOR, tensor->size + bytes);
    node_head(o, "Constant", NULL, name);
    wg__proto_begin(node, WG__NODE_ATTRIBUTE, value->size + tensor->size + bytes);
    wg__proto_begin(&o->nodes, WG__GRAPH_NODE, node->size + value->size + tensor->size + bytes);
    const wg__bytes *const heads[] = {node, value, tensor};
    for (int i = 0; i < 3; i++) {
        wg__bytes_put(&o->nodes, heads[i]->data, heads[i]->size);
        o->nodes.failed |= heads[i]->failed;
    }
    wg__bytes_put(&o->nodes, data, bytes);
    wg__bytes_clear(tensor);
    return name;
}

const char *wg__constant_of(wg__out *o, wg_dtype dtype, const wg_shape *shape, const void *data)
{
    size_t bytes = 0;
    wg_shape_bytes(shape, dtype, &bytes);
    return constant(o, wg__element_type(dtype), shape->size, shape->rank, data, bytes);
}

const char *wg__number(wg__out *o, wg_dtype dtype, double number)
{
    const float f32 = (float)number;
    const int32_t i32 = (int32_t)(dtype == WG_I32 ? number : 0);
    const uint8_t truth = number != 0;
    const void *data = dtype == WG_F32   ? (const void *)&f32
                       : dtype == WG_F64 ? (const void *)&number
                       : dtype == WG_I32 ? (const void *)&i32
                                         : (const void *)&truth;
    return constant(o, wg__element_type(dtype), NULL, 0, data, wg_dtype_size(dtype));
}

const char *wg__integers(wg__out *o, const int64_t *numbers, int n)
{
    const int64_t size = n;
    return constant(o, WG__INT64, &size, 1, numbers, (size_t)n * sizeof *numbers);
}

const char *wg__numbers_to(wg__out *o, int64_t n)
{
    const wg_shape shape = WG_DIMS(n);
    int32_t *numbers = wg__out_room(o, n, sizeof *numbers);
    for (int64_t i = 0; numbers && i < n; i++) numbers[i] = (int32_t)i;
    return numbers ? wg__constant_of(o, WG_I32, &shape, numbers) : "";
}

/* ---- sizes ---- */

int64_t wg__batches(const wg__out *o, int64_t size, int64_t other) { return size == other ? 0 : size / o->batch; }

wg_shape wg__other_shape(const wg__out *o, uint32_t number)
{
    return o->other ? wg__walk_at(o->other, o->marks[number].another).shape : wg__walk_at(o->tape, number).shape;
}

int64_t wg__fixed_size(wg__out *o, uint32_t number, int axis)
{
    const int64_t size = wg__walk_at(o->tape, number).shape.size[axis],
                  other = wg__other_shape(o, number).size[axis];
    if (size != other)
        wg__out_fail(o, WG_ERR_SHAPE, "a size that must be fixed depends on the batch size: %lld and %lld",
                     (long long)size, (long long)other);
    return size;
}

/* The batch size as the program finds it: a size of the first input that has it. */
static const char *batch_of(wg__out *o)
{
    for (int i = 0; i < o->n_in && !o->batch_name; i++) {
        const wg_shape a = wg_shape_get(o->inputs[i].tensor), b = wg_shape_get(o->inputs[i].another);
        for (int axis = 0; axis < a.rank && !o->batch_name; axis++) {
            if (a.size[axis] == b.size[axis]) continue;
            wg__with_int(o, "start", axis);
            wg__with_int(o, "end", axis + 1);
            o->batch_name = wg__out_node1(o, "Shape", o->inputs[i].name);
        }
    }
    return o->batch_name;
}

const char *wg__sizes(wg__out *o, const wg_shape *shape, const wg_shape *other)
{
    const char *part[WG_MAX_RANK];
    int n = 0;
    if (wg_shape_equal(shape, other)) return wg__integers(o, shape->size, shape->rank);
    for (int from = 0; from < shape->rank; n++) {
        const int64_t batches = wg__batches(o, shape->size[from], other->size[from]);
        int to = from + 1;
        while (batches == 0 && to < shape->rank && shape->size[to] == other->size[to]) to++;
        if (batches == 0)
            part[n] = wg__integers(o, shape->size + from, to - from);
        else if (batches == 1)
            part[n] = batch_of(o);
        else
            part[n] = wg__out_node2(o, "Mul", batch_of(o), wg__integers(o, &batches, 1));
        from = to;
    }
    wg__with_int(o, "axis", 0);
    return wg__out_node(o, "Concat", part, n);
}

/* One size that differs is what remains, -1. A size of 0 is one. */
const char *wg__reshaped(wg__out *o, const char *x, const wg_shape *shape, const wg_shape *other)
{
    int64_t size[WG_MAX_RANK];
    int differ = 0;
    bool empty = false;
    for (int i = 0; i < shape->rank; i++) {
        const bool same = shape->size[i] == other->size[i];
        size[i] = same ? shape->size[i] : -1;
        differ += !same;
        empty |= size[i] == 0;
    }
    const char *to =
        differ == 0 || (differ == 1 && !empty) ? wg__integers(o, size, shape->rank) : wg__sizes(o, shape, other);
    if (empty) wg__with_int(o, "allowzero", 1);
    return wg__out_node2(o, "Reshape", x, to);
}

const char *wg__cast_to(wg__out *o, const char *x, wg_dtype dtype)
{
    wg__with_int(o, "to", wg__element_type(dtype));
    return wg__out_node1(o, "Cast", x);
}
