/* wg_onnx_write: arguments, the graph of all nodes, the file. Weights are written from where they lie. */
#include "writer.h"

#include <string.h>

#include "../../io/file.h"

enum { IR_VERSION = 9, OPSET = 20, MOST_BYTES = INT32_MAX };

/* ---- arguments ---- */

static bool check_name(wg__out *o, const char *kind, const char *name)
{
    if (name && *name && *name != '/' && wg__utf8_error(name, strlen(name)) == strlen(name)) return true;
    wg__out_fail(o, WG_ERR_ARGUMENT,
                 "%s '%.80s': a name must be UTF-8 of at least one character, the first not '/'", kind,
                 name ? name : "");
    return false;
}

static bool check_tensor(wg__out *o, const char *kind, const char *name, wg_tensor tensor, const wg_tape *tape)
{
    const bool nil = !tensor.tape || tensor.node == 0;
    if (nil && tensor.tape && *wg_tape_message(tensor.tape))
        wg__out_fail(o, wg_tape_status(tensor.tape), "%s '%.60s' is nil: %.140s", kind, name,
                     wg_tape_message(tensor.tape));
    else if (nil)
        wg__out_fail(o, WG_ERR_ARGUMENT, "%s '%.80s' was never set", kind, name);
    else if (!wg__walk_number(tensor))
        wg__out_fail(o, WG_ERR_STALE, "%s '%.80s' is of before the last wg_tape_reset", kind, name);
    else if (tensor.tape != tape)
        wg__out_fail(o, WG_ERR_ARGUMENT, "%s '%.80s' is on another tape", kind, name);
    return !wg__out_failed(o);
}

static bool is_data(wg_tensor tensor)
{
    const wg__walked node = wg__walk_at(tensor.tape, wg__walk_number(tensor));
    return !node.op && !node.param;
}

static bool check_named(wg__out *o, const char *kind, const wg_onnx_named *named, int n)
{
    for (int i = 0; i < n; i++) {
        const wg_onnx_named *one = &named[i];
        if (!check_name(o, kind, one->name) || !check_tensor(o, kind, one->name, one->tensor, o->tape))
            return false;
        if ((o->other || one->another.tape) && !check_tensor(o, kind, one->name, one->another, o->other))
            return false;
        for (int k = 0; k < i; k++)
            if (strcmp(named[k].name, one->name) == 0)
                wg__out_fail(o, WG_ERR_ARGUMENT, "two have the name '%.80s'", one->name);
    }
    return !wg__out_failed(o);
}

static bool check_inputs(wg__out *o)
{
    for (int i = 0; i < o->n_in && !wg__out_failed(o); i++) {
        const wg_onnx_named *one = &o->inputs[i];
        if (!is_data(one->tensor) || (o->other && !is_data(one->another)))
            wg__out_fail(o, WG_ERR_ARGUMENT, "input '%.80s' is not made by wg_data, wg_borrow or wg_scalar",
                         one->name);
        for (int k = 0; k < i; k++)
            if (wg__walk_number(o->inputs[k].tensor) == wg__walk_number(one->tensor))
                wg__out_fail(o, WG_ERR_ARGUMENT, "inputs '%.60s' and '%.60s' are one tensor", o->inputs[k].name,
                             one->name);
        for (int k = 0; k < o->n_out; k++)
            if (strcmp(o->outputs[k].name, one->name) == 0)
                wg__out_fail(o, WG_ERR_ARGUMENT, "input and output have the name '%.80s'", one->name);
    }
    return !wg__out_failed(o);
}

static bool check_arguments(wg__out *o, const char *path)
{
    if (!path || (o->n_in > 0 && !o->inputs) || (o->n_out > 0 && !o->outputs))
        wg__out_fail(o, WG_ERR_ARGUMENT, "an argument is NULL");
    else if (o->n_in < 0 || o->n_out < 1)
        wg__out_fail(o, WG_ERR_ARGUMENT, "%d inputs, %d outputs: at least one output must be named", o->n_in,
                     o->n_out);
    if (wg__out_failed(o)) return false;
    o->tape = o->outputs[0].tensor.tape;
    o->other = o->outputs[0].another.tape;
    return check_named(o, "output", o->outputs, o->n_out) && check_named(o, "input", o->inputs, o->n_in) &&
           check_inputs(o);
}

/* ---- nodes ---- */

static bool make_marks(wg__out *o)
{
    for (int i = 0; i < o->n_in + o->n_out; i++) {
        const wg_tensor tensor = i < o->n_in ? o->inputs[i].tensor : o->outputs[i - o->n_in].tensor;
        if (wg__walk_number(tensor) >= o->n) o->n = wg__walk_number(tensor) + 1;
    }
    o->heap.allocator = wg__walk_allocator(o->tape);
    o->marks = wg__out_room(o, o->n, sizeof *o->marks);
    if (!o->marks) return false;
    for (int i = 0; i < o->n_in; i++) o->marks[wg__walk_number(o->inputs[i].tensor)].name = o->inputs[i].name;
    return true;
}

/* Whether the parameter is an initializer: buffers are constants, which readers do not train. */
static bool is_initializer(const wg__walked *node)
{
    return !node->op && node->param && !wg_param_is_buffer(node->param);
}

/* A name is that of one value: of an input, an output or a parameter. */
static void check_parameter(wg__out *o)
{
    const char *name = wg_param_name(o->at.param);
    if (!check_name(o, "parameter", name)) return;
    for (int i = 0; i < o->n_in + o->n_out; i++)
        if (strcmp(name, i < o->n_in ? o->inputs[i].name : o->outputs[i - o->n_in].name) == 0)
            wg__out_fail(o, WG_ERR_ARGUMENT, "an input or output has the name of this parameter");
    for (uint32_t k = 1; k < o->number; k++)
        if (o->marks[k].needed && o->marks[k].name && strcmp(o->marks[k].name, name) == 0)
            wg__out_fail(o, WG_ERR_ARGUMENT, "two parameters have this name");
}

static void write_node(wg__out *o)
{
    wg__mark *mark = &o->marks[o->number];
    o->at = o->twin = wg__walk_at(o->tape, o->number);
    o->part = 0;
    if (o->other) o->twin = wg__walk_at(o->other, mark->another);
    if (o->at.op) {
        o->row = wg__row_of(o->at.op);
        mark->name = o->row->write(o);
    } else if (is_initializer(&o->at)) {
        check_parameter(o);
        mark->name = wg_param_name(o->at.param);
    } else if (!mark->name) {
        mark->name = wg__constant_of(o, o->at.dtype, &o->at.shape, o->at.data);
    }
}

/* Outputs have names of their own. */
static void write_output(wg__out *o, const wg_onnx_named *output)
{
    const char *from = o->marks[wg__walk_number(output->tensor)].name;
    wg__bytes_clear(&o->node);
    wg__proto_bytes(&o->node, WG__NODE_INPUT, from, strlen(from));
    wg__proto_bytes(&o->node, WG__NODE_OUTPUT, output->name, strlen(output->name));
    wg__proto_bytes(&o->node, WG__NODE_TYPE, "Identity", 8);
    wg__proto_bytes(&o->nodes, WG__GRAPH_NODE, o->node.data, o->node.size);
    o->nodes.failed |= o->node.failed;
}

static void write_nodes(wg__out *o)
{
    for (o->number = 1; o->number < o->n && !wg__out_failed(o); o->number++)
        if (o->marks[o->number].needed) write_node(o);
    o->number = 0;
    for (int i = 0; i < o->n_out && !wg__out_failed(o); i++) write_output(o, &o->outputs[i]);
    if (o->nodes.failed) wg__out_fail(o, WG_ERR_MEMORY, "out of memory");
}

/* ---- inputs and outputs ---- */

static void put_size(const wg__out *o, wg__bytes *shape, int64_t size, int64_t other)
{
    wg__bytes dim = {0};
    if (size == other)
        wg__proto_integer(&dim, WG__DIM_VALUE, (uint64_t)size);
    else if (wg__batches(o, size, other) == 1)
        wg__proto_bytes(&dim, WG__DIM_PARAM, "N", 1);
    wg__proto_bytes(shape, WG__SHAPE_DIM, dim.data, dim.size);
    shape->failed |= dim.failed;
    wg__bytes_fini(&dim);
}

static void put_message(wg__bytes *to, int field, wg__bytes *message)
{
    wg__proto_bytes(to, field, message->data, message->size);
    to->failed |= message->failed;
    wg__bytes_fini(message);
}

/* ValueInfoProto. */
static void put_value(wg__out *o, int field, const wg_onnx_named *named)
{
    wg__bytes shape = {0}, tensor = {0}, type = {0}, value = {0};
    const wg_shape size = wg_shape_get(named->tensor), other = o->other ? wg_shape_get(named->another) : size;
    for (int i = 0; i < size.rank; i++) put_size(o, &shape, size.size[i], other.size[i]);
    wg__proto_integer(&tensor, WG__TENSOR_TYPE_ELEMENT, (uint64_t)wg__element_type(wg_dtype_get(named->tensor)));
    put_message(&tensor, WG__TENSOR_TYPE_SHAPE, &shape);
    put_message(&type, WG__TYPE_TENSOR, &tensor);
    wg__proto_bytes(&value, WG__VALUE_NAME, named->name, strlen(named->name));
    put_message(&value, WG__VALUE_TYPE, &type);
    put_message(&o->nodes, field, &value);
}

/* ---- the file: a head, the graph's nodes, inputs and outputs, and its initializers ---- */

/* Appends fields of one initializer up to its numbers, which are the next piece. */
static void initializer_head(wg__bytes *heads, wg__bytes *room, const wg__walked *node, size_t bytes)
{
    wg__bytes_clear(room);
    wg__tensor_head(room, wg_param_name(node->param), node->dtype, &node->shape);
    wg__proto_begin(room, WG__TENSOR_RAW, bytes);
    wg__proto_begin(heads, WG__GRAPH_INITIALIZER, room->size + bytes);
    wg__bytes_put(heads, room->data, room->size);
    heads->failed |= room->failed;
}

typedef struct wg__file_parts {
    wg__bytes model, heads, room;
    wg__piece *pieces; /* the model's head, the nodes, then two for each initializer */
    size_t n;
    uint64_t graph; /* bytes */
} file_parts;

static void add_initializers(wg__out *o, file_parts *f)
{
    size_t *begin = wg__arena_array(&o->arena, o->n + 1u, sizeof *begin), n = 2;
    f->pieces = wg__arena_array(&o->arena, 2u * o->n + 2u, sizeof *f->pieces);
    if (!begin || !f->pieces) {
        f->heads.failed = true;
        return;
    }
    for (uint32_t id = 1; id < o->n; id++) {
        if (!o->marks[id].needed) continue;
        const wg__walked node = wg__walk_at(o->tape, id);
        if (!is_initializer(&node)) continue;
        size_t bytes = 0;
        wg_shape_bytes(&node.shape, node.dtype, &bytes);
        begin[n / 2 - 1] = f->heads.size;
        initializer_head(&f->heads, &f->room, &node, bytes);
        f->pieces[n].size = f->heads.size - begin[n / 2 - 1];
        f->pieces[n + 1] = (wg__piece){node.data, bytes};
        n += 2;
    }
    for (size_t i = 2; i < n && !f->heads.failed; i += 2) f->pieces[i].data = f->heads.data + begin[i / 2 - 1];
    f->n = n;
}

static void put_head(file_parts *f)
{
    const char *version = wg_version();
    wg__bytes opset = {0};
    wg__proto_integer(&f->model, WG__MODEL_IR_VERSION, IR_VERSION);
    wg__proto_bytes(&f->model, WG__MODEL_PRODUCER, "Wengert", 7);
    wg__proto_bytes(&f->model, WG__MODEL_PRODUCER_VERSION, version, strlen(version));
    wg__proto_integer(&opset, WG__OPSET_VERSION, OPSET);
    put_message(&f->model, WG__MODEL_OPSET, &opset);
    wg__proto_begin(&f->model, WG__MODEL_GRAPH, f->graph);
}

static void write_file(wg__out *o, file_parts *f, const char *path)
{
    wg__proto_bytes(&o->nodes, WG__GRAPH_NAME, "program", 7);
    for (int i = 0; i < o->n_in; i++) put_value(o, WG__GRAPH_INPUT, &o->inputs[i]);
    for (int i = 0; i < o->n_out; i++) put_value(o, WG__GRAPH_OUTPUT, &o->outputs[i]);
    add_initializers(o, f);
    f->graph = o->nodes.size;
    for (size_t i = 2; i < f->n; i++) f->graph += f->pieces[i].size;
    put_head(f);
    if (o->nodes.failed || f->heads.failed || f->model.failed) {
        wg__out_fail(o, WG_ERR_MEMORY, "out of memory");
    } else if (f->graph + f->model.size > MOST_BYTES) {
        wg__out_fail(o, WG_ERR_FORMAT, "%llu bytes: an ONNX file has at most 2 GiB",
                     (unsigned long long)(f->graph + f->model.size));
    } else {
        f->pieces[0] = (wg__piece){f->model.data, f->model.size};
        f->pieces[1] = (wg__piece){o->nodes.data, o->nodes.size};
        wg__file_replace(path, f->pieces, f->n, o->error);
    }
}

wg_status wg_onnx_write(const char *path, const wg_onnx_named *inputs, int n_in, const wg_onnx_named *outputs,
                        int n_out, wg_error *error)
{
    wg_error own = {0};
    wg__out o = {.inputs = inputs, .outputs = outputs, .n_in = n_in, .n_out = n_out, .error = &own};
    file_parts parts = {0};
    o.arena.heap = &o.heap;
    if (check_arguments(&o, path) && make_marks(&o)) {
        wg__out_compare(&o);
        if (!wg__out_failed(&o)) write_nodes(&o);
        if (!wg__out_failed(&o)) write_file(&o, &parts, path);
    }
    wg__bytes *const used[] = {&o.nodes,     &o.attributes, &o.node,    &o.message,
                               &parts.model, &parts.heads,  &parts.room};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) wg__bytes_fini(used[i]);
    wg__arena_release(&o.arena);
    if (own.status != WG_OK) wg_error_set(error, own.status, "%s", own.text);
    return own.status;
}
