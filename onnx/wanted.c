/* Which values must be known while the graph is recorded: sizes, axes, counts. From the operands that need it, the mark
 * goes back to what computes them: operators on numbers, constants, and inputs of the model, which are then read. */
#include "internal.h"

/* Rounds over the graph: a mark goes once around a loop's body in each. */
enum { ROUNDS = 20 };

typedef struct marker {
    wg_onnx *model;
    bool changed;
    wg_error *error;
} marker;

static void want(marker *m, uint32_t value)
{
    wg__value *v = &m->model->values[value];
    if (!value || v->wanted) return;
    v->wanted = true;
    m->changed = true;
}

static bool wants(const marker *m, uint32_t value) { return value && m->model->values[value].wanted; }

static bool mark_graph(marker *m, const wg__graph *graph);

/* From results to those of the body, and from inputs of the body to operands. `shift`: operand i + shift is input i +
 * shift of the body; body results begin with `skip` that are no results of the node. */
static bool mark_bodies(marker *m, const wg__onnx_node *node)
{
    const bool loop = (node->row->flags & WG__LOOPS) != 0; /* neither If nor a call of a function */
    for (int b = 0; b < 2; b++) {
        const wg__graph *body = node->body[b];
        if (!body) continue;
        const int skip = (node->row->flags & WG__CONDITION) != 0;
        for (int k = 0; k < node->n_out && k + skip < body->n_out; k++)
            if (wants(m, node->out[k])) want(m, body->out[k + skip]);
        if (skip && body->n_out) want(m, body->out[0]);
        if (!mark_graph(m, body)) return false;
        for (int k = skip ? 2 : 0; loop && k < body->n_in && k < node->n_in; k++) {
            if (!wants(m, body->in[k])) continue;
            want(m, node->in[k]);
            if (skip && k - 1 < body->n_out) want(m, body->out[k - 1]); /* carried to the next turn */
        }
    }
    return true;
}

static bool mark_node(marker *m, const wg__onnx_node *node)
{
    const wg__onnx_row *row = node->row;
    if (!row) return true; /* a constant */
    bool wanted = false;
    for (int k = 0; k < node->n_out; k++) wanted |= wants(m, node->out[k]);
    for (int k = 0; k < node->n_in; k++)
        if ((k < 32 && row->host >> k & 1) || (wanted && row->flags & WG__ON_HOST)) want(m, node->in[k]);
    if (node->body[0] || node->body[1]) return mark_bodies(m, node);
    if (!wanted || row->flags & (WG__ON_HOST | WG__SIZES_ONLY)) return true;
    return wg__onnx_refuse(
        m->model, m->error,
        "%s (opset %d) of node '%.60s' computes a size or a choice when the program runs; it must be "
        "known while recording: export with fixed sizes",
        node->type, node->opset, node->name);
}

static bool mark_graph(marker *m, const wg__graph *graph)
{
    for (int i = graph->n_nodes - 1; i >= 0; i--)
        if (!mark_node(m, &graph->node[i])) return false;
    return true;
}

bool wg__onnx_mark_wanted(wg_onnx *model, wg_error *error)
{
    marker m = {.model = model, .changed = true, .error = error};
    for (int round = 0; round < ROUNDS && m.changed; round++) {
        m.changed = false;
        if (!mark_graph(&m, model->graph)) return false;
    }
    return true;
}
