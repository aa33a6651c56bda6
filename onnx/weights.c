/* Constants and parameters of a model. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

/* ---- Constant, BatchNormalization ---- */

/* The tensor of a Constant is a constant like an initializer, but not trained; the node is gone. */
static bool take_constant(wg_onnx *m, wg__onnx_node *node, wg_error *error)
{
    wg__attribute a;
    if (!wg__attribute_find(node, "value", &a) || a.type != WG__ATTR_TENSOR) return true;
    wg__tensor_data *tensor = wg__arena_array(&m->arena, 1, sizeof *tensor);
    if (!tensor) return wg__onnx_memory(m, error);
    if (!wg__tensor_parse(a.tensor, &m->folder, tensor, error)) return false;
    wg__value *value = &m->values[node->out[0]];
    value->constant = tensor;
    value->fixed = !m->train_constants;
    node->op = NULL;
    return true;
}

static bool take_from(wg_onnx *m, wg__graph *graph, wg_error *error)
{
    for (int i = 0; i < graph->n_nodes; i++) {
        wg__onnx_node *node = &graph->node[i];
        if (strcmp(node->type, "Constant") == 0 && !take_constant(m, node, error)) return false;
        if (strcmp(node->type, "BatchNormalization") == 0 && node->n_in > 4)
            m->values[node->in[3]].fixed = m->values[node->in[4]].fixed = true;
        for (int b = 0; b < 2; b++)
            if (node->body[b] && !take_from(m, node->body[b], error)) return false;
    }
    return true;
}

bool wg__onnx_take_constants(wg_onnx *model, wg_error *error) { return take_from(model, &model->graph, error); }

/* ---- parameters ---- */

bool wg__onnx_made(const wg_onnx *m, const wg_param *param, wg_error *error)
{
    if (param) return true;
    return wg_error_set(error, wg_params_status(m->params), "%.160s: %s", m->folder.path,
                        wg_params_message(m->params)),
           false;
}

/* The name of a value in the set: in the branches of an If values may have the same, of which the second is "NAME#2". */
static const char *free_name(wg_onnx *m, const wg__value *value)
{
    if (!value->nested || !wg_param_find(m->params, value->name)) return value->name;
    const size_t room = strlen(value->name) + 16;
    char *name = wg__arena_array(&m->turn, room, 1);
    for (int i = 2; name && (i == 2 || wg_param_find(m->params, name)); i++)
        snprintf(name, room, "%s#%d", value->name, i);
    return name;
}

/* The parameter or buffer of a constant of floats. */
static bool make_param(wg_onnx *m, wg__value *value, wg_error *error)
{
    const wg__tensor_data *t = value->constant;
    const char *name = free_name(m, value);
    if (!name) return wg__onnx_memory(m, error);
    value->param = value->fixed ? wg_buffer_new(m->params, name, t->shape, wg_init_zeros())
                                : wg_param_new(m->params, name, t->shape, wg_init_zeros());
    if (!wg__onnx_made(m, value->param, error)) return false;
    wg__tensor_copy(t, m->dtype, wg_param_write_begin(value->param));
    wg_param_write_end(value->param);
    return true;
}

bool wg__onnx_make_params(wg_onnx *m, wg_error *error)
{
    for (uint32_t v = 1; v < m->n_values; v++) {
        wg__value *value = &m->values[v];
        const wg__tensor_data *t = value->constant;
        if (!t || !value->used || value->wanted || !wg__type_is_float(t->type)) continue;
        if (t->shape.rank == 0 || (t->numel == 1 && value->source == WG__FROM_NODE)) continue;
        if (!make_param(m, value, error)) return false;
    }
    return true;
}
