/* Functions of the model (ModelProto.functions). A call is a node with a body: the nodes of the function, parsed for
 * this call, where the names of its inputs stand for the operands of the call. So what later steps find out of a value
 * (that it must be known while recording, that it is a weight of integers) holds through calls. */
#include "../autograd/base/random.h"
#include "parse.h"

/* Calls inside of calls; bytes that all calls may take beyond four times the file; attributes of a function or call. */
enum { DEEPEST_CALL = 32, MOST_EXPANSION = 1 << 27, MOST_ATTRIBUTES = 256 };

/* ---- the functions of a model ---- */

static uint64_t hash_key(wg__span domain, wg__span name, wg__span overload)
{
    const uint64_t hash = wg__hash_bytes(wg__hash_bytes(0, domain.data, domain.size), name.data, name.size);
    return wg__hash_bytes(hash, overload.data, overload.size);
}

static uint64_t hash_function(const void *owner, uint32_t id)
{
    const wg__function *f = &((const wg__functions *)owner)->list[id - 1];
    return hash_key(f->domain, f->name, f->overload);
}

static uint32_t *entry_of(const wg__functions *fs, wg__span domain, wg__span name, wg__span overload)
{
    const uint32_t mask = fs->index.size - 1;
    uint32_t at = (uint32_t)hash_key(domain, name, overload) & mask;
    for (;; at = (at + 1) & mask) {
        const wg__function *f = fs->index.table[at] ? &fs->list[fs->index.table[at] - 1] : NULL;
        if (!f || (wg__span_equals(f->domain, domain) && wg__span_equals(f->name, name) &&
                   wg__span_equals(f->overload, overload)))
            return &fs->index.table[at];
    }
}

const wg__function *wg__function_find(const wg__functions *fs, wg__span domain, wg__span name, wg__span overload)
{
    const uint32_t id = fs->n ? *entry_of(fs, domain, name, overload) : 0;
    return id ? &fs->list[id - 1] : NULL;
}

/* Names of attributes are in field 6, attributes with a default in field 11. */
static bool is_formal(const wg__field *f) { return wg__field_is_bytes(f, 6) || wg__field_is_bytes(f, 11); }

static bool take_formals(wg_onnx *m, wg__function *f, wg_error *error)
{
    int n = 0;
    wg__wire wire = wg__wire_of(f->message), again = wire;
    for (wg__field field; wg__wire_next(&wire, &field);)
        if (is_formal(&field) && ++n > MOST_ATTRIBUTES)
            return wg__onnx_refuse(m, error, "function '%.*s' has more than %d attributes", WG__SPAN_SHOWN(f->name),
                                   MOST_ATTRIBUTES);
    f->formals = wg__arena_array(&m->arena, (size_t)n, sizeof *f->formals);
    if (n && !f->formals) return wg__onnx_memory(m, error);
    for (wg__field field; wg__wire_next(&again, &field);) {
        wg__attribute a = {.name = field.bytes};
        if (!is_formal(&field)) continue;
        if (field.number == 11 && !wg__attribute_parse(field.bytes, &a))
            return wg__onnx_refuse(m, error, "an attribute of function '%.*s' is no protocol buffer",
                                   WG__SPAN_SHOWN(f->name));
        f->formals[f->n_formals++] = (wg__formal){a.name, field.number == 11 ? field.bytes : (wg__span){0}};
    }
    return true;
}

static bool add_function(wg__functions *fs, wg_onnx *m, wg__span message, wg_error *error)
{
    wg__function f = {.message = message};
    wg__wire wire = wg__wire_of(message);
    for (wg__field field; wg__wire_next(&wire, &field);) {
        if (wg__field_is_bytes(&field, 1)) f.name = field.bytes;
        if (wg__field_is_bytes(&field, 10)) f.domain = field.bytes;
        if (wg__field_is_bytes(&field, 13)) f.overload = field.bytes;
        const int opset = wg__field_is_bytes(&field, 9) ? wg__parse_opset(field.bytes) : 0;
        if (opset) f.opset = opset;
    }
    if (wire.failed) return wg__onnx_refuse(m, error, "a function is no protocol buffer");
    if (!take_formals(m, &f, error)) return false;
    if (!wg__index_room(fs->heap, &fs->index, hash_function, fs) ||
        !wg__grow(fs->heap, (void **)&fs->list, &fs->cap, (uint64_t)fs->n + 1, sizeof *fs->list))
        return wg__onnx_memory(m, error);
    uint32_t *entry = entry_of(fs, f.domain, f.name, f.overload);
    if (*entry) return wg__onnx_refuse(m, error, "two functions are named '%.*s'", WG__SPAN_SHOWN(f.name));
    fs->list[fs->n++] = f;
    *entry = fs->n;
    fs->index.count++;
    return true;
}

bool wg__functions_init(wg__functions *fs, wg_onnx *m, wg__span bytes, wg_error *error)
{
    *fs = (wg__functions){.heap = &m->heap};
    m->expansion = MOST_EXPANSION + 4 * (uint64_t)bytes.size;
    wg__wire wire = wg__wire_of(bytes);
    for (wg__field f; wg__wire_next(&wire, &f);)
        if (wg__field_is_bytes(&f, 25) && !add_function(fs, m, f.bytes, error)) return false;
    return true;
}

void wg__functions_fini(wg__functions *fs)
{
    wg__index_release(fs->heap, &fs->index);
    wg__heap_release(fs->heap, fs->list, fs->cap * sizeof *fs->list);
}

/* ---- a call ---- */

bool wg__onnx_expand(wg_onnx *m, uint64_t bytes, wg_error *error)
{
    if (bytes > m->expansion)
        return wg__onnx_refuse(
            m, error,
            "the calls of its functions, with the calls inside of them, take more than %d MiB and "
            "four times the file: inline fewer, or split the model",
            MOST_EXPANSION >> 20);
    m->expansion -= bytes;
    return true;
}

static bool declares(const wg__function *f, wg__span name)
{
    int i = 0;
    while (i < f->n_formals && !wg__span_equals(f->formals[i].name, name)) i++;
    return i < f->n_formals;
}

static bool check_attributes(const wg__parser *p, const wg__function *f, const wg__onnx_node *node)
{
    int n = 0;
    wg__wire wire = wg__wire_of(node->message);
    for (wg__field field; wg__wire_next(&wire, &field);) {
        wg__attribute a;
        if (!wg__field_is_bytes(&field, 5)) continue;
        if (!wg__attribute_parse(field.bytes, &a))
            return wg__onnx_refuse(p->model, p->error, "an attribute of node '%.60s' is no protocol buffer",
                                   node->name);
        if (++n > MOST_ATTRIBUTES)
            return wg__onnx_refuse(p->model, p->error,
                                   "node '%.60s' calls function '%.60s' with more than %d attributes", node->name,
                                   node->type, MOST_ATTRIBUTES);
        if (!declares(f, a.name))
            return wg__onnx_refuse(p->model, p->error,
                                   "node '%.60s' calls function '%.60s' with attribute '%.*s', which it does not "
                                   "declare: export without it, or declare it",
                                   node->name, node->type, WG__SPAN_SHOWN(a.name));
    }
    return true;
}

wg__frame *wg__frame_new(const wg__parser *p, const wg__function *f, const wg__onnx_node *node)
{
    const wg__frame *outer = p->frame;
    const int depth = outer ? outer->depth + 1 : 1;
    if (depth > DEEPEST_CALL) {
        wg__onnx_refuse(p->model, p->error, "functions call each other, more than %d deep", DEEPEST_CALL);
        return NULL;
    }
    for (const wg__frame *at = outer; at; at = at->call->frame)
        if (at->function.data == f->message.data) {
            wg__onnx_refuse(p->model, p->error, "node '%.60s': function '%.60s' calls itself, which ONNX forbids",
                            node->name, node->type);
            return NULL;
        }
    if (!check_attributes(p, f, node)) return NULL;
    wg__frame *frame = wg__arena_array(&p->model->arena, 1, sizeof *frame);
    if (frame)
        *frame = (wg__frame){node, f->message, f->formals, f->n_formals, depth};
    else
        wg__onnx_memory(p->model, p->error);
    return frame;
}

static bool fails_at(const wg__parser *p, const wg__onnx_node *node, const char *what)
{
    return wg__onnx_refuse(p->model, p->error, "node '%.60s' calls function '%.60s' with more %s than it has",
                           node->name, node->type, what);
}

bool wg__frame_bind(wg__parser *p, const wg__onnx_node *node, wg__span function)
{
    int k = 0;
    wg__wire wire = wg__wire_of(function);
    for (wg__field f; wg__wire_next(&wire, &f);) {
        if (!wg__field_is_bytes(&f, 4)) continue;
        wg__name *name = wg__name_of(&p->names, f.bytes);
        if (!name) return wg__onnx_memory(p->model, p->error);
        if (name->value || name->omitted)
            return wg__onnx_refuse(p->model, p->error, "function '%.60s' has two inputs named '%.60s'", node->type,
                                   name->text);
        name->value = k < node->n_in ? node->in[k] : 0;
        name->omitted = !name->value;
        k++;
    }
    return k >= node->n_in || fails_at(p, node, "operands");
}

bool wg__frame_results(wg__parser *p, const wg__onnx_node *node, wg__graph *body, int n_out)
{
    wg__wire wire = wg__wire_of(body->message);
    for (wg__field f; wg__wire_next(&wire, &f);) {
        if (!wg__field_is_bytes(&f, 5)) continue;
        const wg__name *name = wg__name_of(&p->names, f.bytes);
        if (!name) return wg__onnx_memory(p->model, p->error);
        if (!name->value && !name->omitted)
            return wg__onnx_refuse(p->model, p->error, "function '%.60s': no node makes its output '%.60s'",
                                   node->type, name->text);
        body->out[body->n_out++] = name->value;
        p->model->values[name->value].used = name->value != 0;
    }
    return body->n_out >= n_out || fails_at(p, node, "results");
}
