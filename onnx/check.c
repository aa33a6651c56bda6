/* Whether a node can be recorded: by its row, before anything is. */
#include <string.h>

#include "internal.h"

/* The letter of an attribute's type in the rows: float, int, text, tensor, graph, floats, ints, texts. */
static const char letters[] = "?fistgFIS";

/* Whether what the row says of an attribute allows this type. */
static bool allows(const char *entry, const wg__attribute *a)
{
    if (a->reference.size && *entry == 'g') return false; /* its names are those of another place */
    return a->type == 0 || (a->type < (int)sizeof letters - 1 && letters[a->type] == *entry);
}

/* Whether lists of numbers end with a whole one. */
static bool is_whole(const wg__attribute *a)
{
    wg__wire wire = wg__wire_of(a->list);
    for (wg__field f; wg__wire_next(&wire, &f);) {
        if (wg__field_is_bytes(&f, 7) && f.bytes.size % 4 != 0) return false;
        if (!wg__field_is_bytes(&f, 8)) continue;
        wg__wire list = wg__wire_of(f.bytes);
        for (uint64_t number; wg__wire_varint(&list, &number);) {}
        if (list.failed) return false;
    }
    return true;
}

static bool check_attribute(const wg_onnx *m, const wg__onnx_node *node, const wg__attribute *a, wg_error *error)
{
    const char *entry = wg__row_attribute(node->row, a->name);
    if (!entry || !allows(entry, a))
        return wg__onnx_refuse(m, error,
                               "%s (opset %d) of node '%.60s': attribute '%.*s' is not supported: export "
                               "without it",
                               node->type, node->opset, node->name, WG__SPAN_SHOWN(a->name));
    if (!is_whole(a))
        return wg__onnx_refuse(m, error,
                               "%s (opset %d) of node '%.60s': the list of attribute '%.*s' ends too early",
                               node->type, node->opset, node->name, WG__SPAN_SHOWN(a->name));
    if (a->type != WG__ATTR_TEXT || entry[1] != ':' || wg__text_choice(entry + 2, a->text) >= 0) return true;
    return wg__onnx_refuse(m, error, "%s (opset %d) of node '%.60s': attribute '%.*s' is '%.*s', none of %.*s",
                           node->type, node->opset, node->name, WG__SPAN_SHOWN(a->name), WG__SPAN_SHOWN(a->text),
                           (int)strcspn(entry + 2, " "), entry + 2);
}

/* Whether another attribute of the node, before the one at `place`, has its name. */
static bool is_second(const wg__onnx_node *node, const wg__attribute *a, const uint8_t *place)
{
    wg__wire wire = wg__wire_of(node->message);
    wg__attribute first;
    for (wg__field f; wg__wire_next(&wire, &f);)
        if (wg__field_is_bytes(&f, 5) && wg__attribute_parse(f.bytes, &first) &&
            wg__span_equals(first.name, a->name))
            return f.bytes.data != place;
    return false;
}

/* The attributes of a node are known, each is there once, and so are their types. */
static bool check_attributes(const wg_onnx *m, const wg__onnx_node *node, wg_error *error)
{
    wg__wire wire = wg__wire_of(node->message);
    for (wg__field f; wg__wire_next(&wire, &f);) {
        wg__attribute a;
        if (!wg__field_is_bytes(&f, 5)) continue;
        if (!wg__attribute_parse(f.bytes, &a))
            return wg__onnx_refuse(m, error, "an attribute of node '%.60s' is no protocol buffer", node->name);
        if (a.reference.size && !node->frame)
            return wg__onnx_refuse(
                m, error, "%s (opset %d) of node '%.60s' refers to an attribute of a function, but is in none",
                node->type, node->opset, node->name);
        if (!wg__attribute_resolve(node, &a)) continue;
        if (!check_attribute(m, node, &a, error)) return false;
        if (is_second(node, &a, f.bytes.data))
            return wg__onnx_refuse(m, error, "%s (opset %d) of node '%.60s': attribute '%.*s' is there twice",
                                   node->type, node->opset, node->name, WG__SPAN_SHOWN(a.name));
    }
    return true;
}

bool wg__onnx_check_node(const wg_onnx *m, const wg__onnx_node *node, wg_error *error)
{
    const wg__onnx_row *row = node->row;
    if (node->opset < row->since)
        return wg__onnx_refuse(m, error,
                               "%s (opset %d) of node '%.60s': known from opset %d on: see "
                               "onnx.version_converter",
                               node->type, node->opset, node->name, row->since);
    bool omitted = false;
    for (int k = 0; k < row->least && k < node->n_in; k++) omitted |= !node->in[k];
    if (node->n_in < row->least || omitted || (row->most >= 0 && node->n_in > row->most))
        return wg__onnx_refuse(m, error, "%s (opset %d) of node '%.60s' has %d operands: %d to %d are known",
                               node->type, node->opset, node->name, node->n_in, row->least, row->most);
    if (!check_attributes(m, node, error)) return false;
    const char *reason = row->refuse ? row->refuse(node) : NULL;
    return !reason || wg__onnx_refuse(m, error, "%s (opset %d) of node '%.60s' is not supported: %s", node->type,
                                      node->opset, node->name, reason);
}
