/* Parses ModelProto and GraphProto: nodes in their order, each name resolved to the value that it stands for. A name
 * must be defined before a node uses it, so a graph has no cycles. */
#include <limits.h>
#include <string.h>

#include "parse.h"

/* BYTES_OF_NODE: of a node in memory, with its values and their names, in calls of functions. */
enum { DEEPEST = 8, BYTES_OF_NODE = 512 };

static wg__graph *parse_graph(wg__parser *p, wg__span message, bool body);
static bool parse_nodes(wg__parser *p, uint32_t number, wg__graph *graph, uint32_t first);

static bool out_of_memory(wg__parser *p) { return wg__onnx_memory(p->model, p->error); }

/* A new value of that name; 0 with an error. Names of this graph's values are those from `first` on. */
static uint32_t define(wg__parser *p, wg__span name, wg__value_source source, uint32_t first)
{
    wg_onnx *m = p->model;
    wg__name *slot = wg__name_of(&p->names, name);
    if (!slot ||
        !wg__grow(&m->heap, (void **)&m->values, &m->cap_values, (uint64_t)m->n_values + 1, sizeof *m->values))
        return out_of_memory(p), 0;
    if (slot->value >= first || slot->omitted) {
        wg__onnx_refuse(m, p->error, "two values are named '%.80s'", slot->text);
        return 0;
    }
    m->values[m->n_values] =
        (wg__value){.name = slot->text, .source = source, .frame = p->frame, .shadowed = slot->value};
    m->values[m->n_values].nested = p->depth > 0 || p->frame;
    return slot->value = m->n_values++;
}

/* The names of values from `first` on stand for what they stood for outside. */
static void forget(wg__parser *p, uint32_t first)
{
    for (uint32_t v = p->model->n_values; v-- > first;) {
        if (p->model->values[v].frame != p->frame) continue; /* it has no name here */
        const char *name = p->model->values[v].name;
        wg__name *slot = wg__name_of(&p->names, wg__span_of(name));
        slot->value = p->model->values[v].shadowed;
    }
}

/* ---- nodes ---- */

/* The number of fields of that number in a message; -1 with an error if there are too many. */
static int count(wg__parser *p, wg__span message, uint32_t number)
{
    wg__wire wire = wg__wire_of(message);
    uint64_t n = 0;
    for (wg__field f; wg__wire_next(&wire, &f);) n += f.number == number;
    if (n < INT_MAX) return (int)n;
    wg__onnx_refuse(p->model, p->error, "a graph or a node has more than %d parts of a kind", INT_MAX - 1);
    return -1;
}

/* Room for the values that a message names in the fields of a number; NULL with an error. */
static uint32_t *ids_new(wg__parser *p, wg__span message, uint32_t number)
{
    const int n = count(p, message, number);
    if (n < 0) return NULL;
    uint32_t *ids = wg__arena_array(&p->model->arena, (uint64_t)n + 1, sizeof *ids);
    if (!ids) out_of_memory(p);
    return ids;
}

/* Operands: names that are defined. */
static bool parse_operand(wg__parser *p, wg__onnx_node *node, wg__span name)
{
    uint32_t value = 0;
    if (name.size) {
        const wg__name *slot = wg__name_of(&p->names, name);
        if (!slot) return out_of_memory(p);
        value = slot->value;
        if (!value && !slot->omitted)
            return wg__onnx_refuse(
                p->model, p->error,
                "node '%.60s' reads '%.80s', which no node before it makes (a cycle, or nodes that "
                "are not in order)",
                node->name, slot->text);
        p->model->values[value].used = true;
    }
    node->in[node->n_in++] = value;
    return true;
}

/* What of a NodeProto is needed to find its row, or the function that it calls. */
static bool parse_head(wg__parser *p, wg__span message, wg__onnx_node *node, const wg__function **function)
{
    wg_onnx *m = p->model;
    wg__span name = {0}, type = {0}, domain = {0}, overload = {0}, result = {0};
    wg__wire wire = wg__wire_of(message);
    for (wg__field f; wg__wire_next(&wire, &f);) {
        if (wg__field_is_bytes(&f, 2) && !result.size) result = f.bytes;
        if (wg__field_is_bytes(&f, 3)) name = f.bytes;
        if (wg__field_is_bytes(&f, 4)) type = f.bytes;
        if (wg__field_is_bytes(&f, 7)) domain = f.bytes;
        if (wg__field_is_bytes(&f, 8)) overload = f.bytes;
    }
    if (wire.failed) return wg__onnx_refuse(m, p->error, "a node is no protocol buffer");
    *node = (wg__onnx_node){.message = message,
                            .opset = p->opset,
                            .frame = p->frame,
                            .name = wg__span_text(&m->arena, name.size ? name : result),
                            .type = wg__span_text(&m->arena, type)};
    const char *where = wg__span_text(&m->arena, domain);
    if (!node->name || !node->type || !where) return out_of_memory(p);
    node->bytes = wg__attribute_bytes(node);
    const bool ours = !*where || strcmp(where, "ai.onnx") == 0;
    *function = ours ? NULL : wg__function_find(p->functions, domain, type, overload);
    node->row = *function ? NULL : wg__onnx_find(ours ? "" : where, node->type);
    if (node->row || *function) return true;
    return wg__onnx_refuse(m, p->error, "%.40s%s%.40s (opset %d) of node '%.60s' is not supported: %s", where,
                           *where ? "." : "", node->type, node->opset, node->name,
                           wg__onnx_instead(where, node->type));
}

/* The graphs of If, Loop and Scan. */
static bool parse_bodies(wg__parser *p, wg__onnx_node *node)
{
    static const char *const names[] = {"then_branch", "else_branch", "body"};
    for (int i = 0; i < 3; i++) {
        wg__attribute a;
        if (!wg__attribute_find(node, names[i], &a) || a.type != WG__ATTR_GRAPH) continue;
        node->body[i % 2] = parse_graph(p, a.graph, true);
        if (!node->body[i % 2]) return false;
    }
    return true;
}

/* A graph with room for what the message has in the fields of these numbers; NULL with an error. */
static wg__graph *graph_new(wg__parser *p, wg__span message, uint32_t nodes, uint32_t in, uint32_t out)
{
    wg_onnx *m = p->model;
    const int n_nodes = count(p, message, nodes);
    if (n_nodes < 0) return NULL;
    if (p->frame && !wg__onnx_expand(m, (uint64_t)n_nodes * BYTES_OF_NODE, p->error)) return NULL;
    wg__graph *graph = wg__arena_array(&m->arena, 1, sizeof *graph);
    if (!graph) return out_of_memory(p), NULL;
    *graph = (wg__graph){.message = message, .in = ids_new(p, message, in)};
    graph->out = graph->in ? ids_new(p, message, out) : NULL;
    if (!graph->out) return NULL;
    graph->node = wg__arena_array(&m->arena, (uint64_t)n_nodes + 1, sizeof *graph->node);
    return graph->node ? graph : (out_of_memory(p), NULL);
}

/* Makes the node, whose operands are parsed, a call of the function: its body is the function's nodes. */
static bool parse_call(const wg__parser *outer, const wg__function *f, wg__onnx_node *node, int n_out)
{
    wg_onnx *m = outer->model;
    wg__parser p = *outer;
    p.names = (wg__names){.arena = &m->arena, .heap = &m->heap};
    p.opset = f->opset ? f->opset : m->opset;
    p.frame = wg__frame_new(outer, f, node);
    wg__graph *body =
        p.frame && wg__opset_is_known(m, p.opset, p.error) && wg__onnx_expand(m, f->message.size, p.error)
            ? graph_new(&p, f->message, 7, 4, 5)
            : NULL;
    /* Every named value of the function's own is above 0. */
    const bool ok = body && wg__frame_bind(&p, node, f->message) && parse_nodes(&p, 7, body, 1) &&
                    wg__frame_results(&p, node, body, n_out);
    wg__names_fini(&p.names);
    node->row = &wg__onnx_call;
    node->n_in = 0; /* the nodes of the body read them */
    node->body[0] = body;
    return ok;
}

static bool parse_node(wg__parser *p, wg__span message, wg__onnx_node *node, uint32_t first)
{
    const wg__function *function;
    if (!parse_head(p, message, node, &function)) return false;
    const int n_out = count(p, message, 2);
    node->in = ids_new(p, message, 1);
    node->out = node->in ? ids_new(p, message, 2) : NULL;
    if (!node->out) return false;
    wg__wire wire = wg__wire_of(message);
    for (wg__field f; wg__wire_next(&wire, &f);)
        if (wg__field_is_bytes(&f, 1) && !parse_operand(p, node, f.bytes)) return false;
    while (node->n_in > 0 && !node->in[node->n_in - 1]) node->n_in--; /* omitted at the end: as if not written */
    if (function) {
        if (!parse_call(p, function, node, n_out)) return false;
    } else if (!wg__onnx_check_node(p->model, node, p->error) || !parse_bodies(p, node))
        return false;
    wire = wg__wire_of(message);
    for (wg__field f; wg__wire_next(&wire, &f);) {
        if (!wg__field_is_bytes(&f, 2)) continue;
        const uint32_t value = f.bytes.size ? define(p, f.bytes, WG__FROM_NODE, first) : 0;
        if (f.bytes.size && !value) return false;
        node->out[node->n_out++] = value;
    }
    if (node->n_out > 0 && (node->out[0] || node->n_out > 1)) return true;
    return wg__onnx_refuse(p->model, p->error, "node '%.60s' (%.40s) has no result", node->name, node->type);
}

/* ---- graphs ---- */

static bool parse_initializer(wg__parser *p, wg__span message, uint32_t first)
{
    wg_onnx *m = p->model;
    wg__tensor_data *tensor = wg__arena_array(&m->arena, 1, sizeof *tensor);
    if (!tensor) return out_of_memory(p);
    if (!wg__tensor_parse(message, &m->folder, tensor, p->error)) return false;
    if (!tensor->name.size) return wg__onnx_refuse(m, p->error, "an initializer has no name");
    if (p->frame && !wg__onnx_expand(m, (uint64_t)tensor->numel * sizeof(double), p->error)) return false;
    const uint32_t value = define(p, tensor->name, WG__FROM_INITIALIZER, first);
    if (value) m->values[value].constant = tensor;
    return value != 0;
}

/* The name of a ValueInfoProto. */
static wg__span declared_name(wg__span message)
{
    wg__span name = {0};
    wg__wire wire = wg__wire_of(message);
    for (wg__field f; wg__wire_next(&wire, &f);)
        if (wg__field_is_bytes(&f, 1)) name = f.bytes;
    return name;
}

/* An input; one that has an initializer is that. */
static bool parse_input(wg__parser *p, wg__span message, wg__graph *graph, bool body, uint32_t first)
{
    const wg__span name = declared_name(message);
    const wg__name *slot = wg__name_of(&p->names, name);
    if (!slot) return out_of_memory(p);
    if (slot->value >= first && p->model->values[slot->value].source == WG__FROM_INITIALIZER) return true;
    const uint32_t value = define(p, name, body ? WG__FROM_BODY : WG__FROM_INPUT, first);
    if (!value) return false;
    p->model->values[value].declared = message;
    graph->in[graph->n_in++] = value;
    return true;
}

static bool parse_output(wg__parser *p, wg__span message, wg__graph *graph)
{
    const wg__name *slot = wg__name_of(&p->names, declared_name(message));
    if (!slot) return out_of_memory(p);
    if (!slot->value) return wg__onnx_refuse(p->model, p->error, "no node makes the output '%.80s'", slot->text);
    p->model->values[slot->value].used = true;
    graph->out[graph->n_out++] = slot->value;
    return true;
}

/* The nodes of a graph or function, which are field `number`; names from `first` on are defined by it. */
static bool parse_nodes(wg__parser *p, uint32_t number, wg__graph *graph, uint32_t first)
{
    wg__wire wire = wg__wire_of(graph->message);
    for (wg__field f; wg__wire_next(&wire, &f);) {
        if (!wg__field_is_bytes(&f, number)) continue;
        if (!parse_node(p, f.bytes, &graph->node[graph->n_nodes], first)) return false;
        graph->n_nodes++;
    }
    return true;
}

/* The fields of a graph in the order of their meaning: initializers, inputs, nodes, outputs. */
static bool parse_fields(wg__parser *p, wg__graph *graph, bool body, uint32_t first)
{
    wg__wire wire = wg__wire_of(graph->message);
    for (wg__field f; wg__wire_next(&wire, &f);) {
        if (wg__field_is_bytes(&f, 5) && !parse_initializer(p, f.bytes, first)) return false;
        if (f.number == 15)
            return wg__onnx_refuse(p->model, p->error, "sparse initializers are not supported: export them dense");
    }
    if (wire.failed) return wg__onnx_refuse(p->model, p->error, "a graph is no protocol buffer");
    wire = wg__wire_of(graph->message);
    for (wg__field f; wg__wire_next(&wire, &f);)
        if (wg__field_is_bytes(&f, 11) && !parse_input(p, f.bytes, graph, body, first)) return false;
    if (!parse_nodes(p, 1, graph, first)) return false;
    wire = wg__wire_of(graph->message);
    for (wg__field f; wg__wire_next(&wire, &f);)
        if (wg__field_is_bytes(&f, 12) && !parse_output(p, f.bytes, graph)) return false;
    return true;
}

static wg__graph *parse_graph(wg__parser *p, wg__span message, bool body)
{
    const uint32_t first = p->model->n_values;
    if (p->depth == DEEPEST) {
        wg__onnx_refuse(p->model, p->error, "graphs inside of each other, more than %d deep", DEEPEST);
        return NULL;
    }
    wg__graph *graph = graph_new(p, message, 1, 11, 12);
    p->depth += body;
    const bool ok = graph && parse_fields(p, graph, body, first);
    p->depth -= body;
    forget(p, first);
    return ok ? graph : NULL;
}

/* ---- the model ---- */

static bool parse_model(wg_onnx *m, const wg__functions *functions, wg__span message, wg_error *error)
{
    wg__parser p = {.model = m, .functions = functions, .opset = m->opset, .error = error};
    p.names = (wg__names){.arena = &m->arena, .heap = &m->heap};
    m->graph = parse_graph(&p, message, false);
    wg__names_fini(&p.names);
    return m->graph && (m->graph->n_out || wg__onnx_refuse(m, error, "the graph has no output"));
}

bool wg__onnx_parse(wg_onnx *m, wg__span bytes, wg_error *error)
{
    wg__functions functions;
    wg__span graph = {0};
    wg__wire wire = wg__wire_of(bytes);
    for (wg__field f; wg__wire_next(&wire, &f);) {
        if (wg__field_is_bytes(&f, 7)) graph = f.bytes;
        const int opset = wg__field_is_bytes(&f, 8) ? wg__parse_opset(f.bytes) : 0;
        if (opset) m->opset = opset;
    }
    if (wire.failed || !graph.data) return wg__onnx_refuse(m, error, "is no ONNX model, or ends too early");
    bool ok = wg__functions_init(&functions, m, bytes, error);
    if (!m->opset && functions.n)
        m->opset = functions.list[0].opset; /* a graph of calls alone need not import one */
    ok = ok && wg__opset_is_known(m, m->opset, error) && parse_model(m, &functions, graph, error);
    wg__functions_fini(&functions);
    return ok;
}
