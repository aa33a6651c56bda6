/* Whether a node can be recorded: by its row, before anything is. */
#include <string.h>

#include "internal.h"

/* The letter of an attribute's type in the rows: float, int, text, tensor, graph, floats, ints, texts. */
static const char letters[] = "?fistgFIS";

/* Whether the row knows the attribute with this type. */
static bool allows(const wg__op *op, const wg__attribute *a)
{
    for (const char *at = op->attributes ? op->attributes : ""; *at; at += strcspn(at, " "), at += *at == ' ') {
        const size_t n = strcspn(at, "=");
        if (n != a->name.size || memcmp(at, a->name.data, n) != 0) continue;
        const char letter = at[n + 1];
        if (a->reference.size && letter == 'g') return false; /* its names are those of another place */
        return a->type == 0 || (a->type < (int)sizeof letters - 1 && letters[a->type] == letter);
    }
    return false;
}

/* The attributes of a node are known, and so are their types. */
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
        if (!wg__attribute_resolve(node, &a) || allows(node->op, &a)) continue;
        return wg__onnx_refuse(m, error,
                               "%s (opset %d) of node '%.60s': attribute '%.*s' is not supported: export "
                               "without it",
                               node->type, node->opset, node->name, WG__SPAN_SHOWN(a.name));
    }
    return true;
}

bool wg__onnx_check_node(const wg_onnx *m, const wg__onnx_node *node, wg_error *error)
{
    const wg__op *op = node->op;
    if (node->opset < op->since)
        return wg__onnx_refuse(m, error,
                               "%s (opset %d) of node '%.60s': known from opset %d on: see "
                               "onnx.version_converter",
                               node->type, node->opset, node->name, op->since);
    int given = node->n_in;
    while (given > 0 && !node->in[given - 1]) given--;
    bool omitted = false;
    for (int k = 0; k < op->least && k < given; k++) omitted |= !node->in[k];
    if (given < op->least || omitted || (op->most >= 0 && given > op->most))
        return wg__onnx_refuse(m, error, "%s (opset %d) of node '%.60s' has %d operands: %d to %d are known",
                               node->type, node->opset, node->name, given, op->least, op->most);
    if (!check_attributes(m, node, error)) return false;
    const char *reason = op->refuse ? op->refuse(node) : NULL;
    return !reason || wg__onnx_refuse(m, error, "%s (opset %d) of node '%.60s' is not supported: %s", node->type,
                                      node->opset, node->name, reason);
}
