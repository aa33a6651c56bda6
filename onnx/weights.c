/* Constants and parameters of a model, and what stays of its files. */
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
    if (node->frame && !wg__onnx_expand(m, (uint64_t)tensor->numel * sizeof(double), error)) return false;
    wg__value *value = &m->values[node->out[0]];
    value->constant = tensor;
    value->fixed = !m->train_constants;
    node->row = NULL;
    return true;
}

static bool take_from(wg_onnx *m, wg__graph *graph, wg_error *error)
{
    for (int i = 0; i < graph->n_nodes; i++) {
        wg__onnx_node *node = &graph->node[i];
        if (strcmp(node->row->name, "Constant") == 0 && !take_constant(m, node, error)) return false;
        if (node->row && strcmp(node->row->name, "BatchNormalization") == 0 && node->n_in > 4)
            m->values[node->in[3]].fixed = m->values[node->in[4]].fixed = true;
        for (int b = 0; b < 2; b++)
            if (node->body[b] && !take_from(m, node->body[b], error)) return false;
    }
    return true;
}

bool wg__onnx_take_constants(wg_onnx *model, wg_error *error) { return take_from(model, model->graph, error); }

/* ---- parameters ---- */

/* Whether the set has NAME#number, which is written to `out`. */
static bool is_taken(const wg_onnx *m, const wg__value *value, uint32_t number, char *out, size_t room)
{
    snprintf(out, room, "%s#%u", value->name, number);
    return wg_param_find(m->params, out) != NULL;
}

/* The name of a value in the set: values of branches, bodies and functions may have that of another, and are "NAME#2",
 * "NAME#3", ... A free number is found by doubling and halving: a function may be called many thousand times. */
static const char *free_name(wg_onnx *m, const wg__value *value)
{
    if (!value->nested || !wg_param_find(m->params, value->name)) return value->name;
    const size_t room = strlen(value->name) + 16;
    uint32_t taken = 1, is_free = 2;
    char *name = wg__arena_array(&m->turn, room, 1);
    if (!name) return NULL;
    for (; is_taken(m, value, is_free, name, room); is_free *= 2) taken = is_free;
    while (is_free - taken > 1) {
        const uint32_t middle = taken + (is_free - taken) / 2;
        if (is_taken(m, value, middle, name, room))
            taken = middle;
        else
            is_free = middle;
    }
    snprintf(name, room, "%s#%u", value->name, is_free);
    return name;
}

/* The parameter or buffer of a constant of floats, or of a weight of integers. */
static bool make_param(wg_onnx *m, wg__value *value, wg_error *error)
{
    const wg__tensor_data *t = value->scaled ? value->scaled->integers : value->constant;
    bool ok = true;
    wg__arena_rewind(&m->turn);
    const char *name = free_name(m, value);
    if (!name) return wg__onnx_memory(m, error);
    value->param = value->fixed ? wg_buffer_new(m->params, name, t->shape, wg_init_zeros())
                                : wg_param_new(m->params, name, t->shape, wg_init_zeros());
    if (!value->param) {
        wg_error_set(error, wg_params_status(m->params), "%.160s: %s", m->folder.path,
                     wg_params_message(m->params));
        return false;
    }
    void *numbers = wg_param_write_begin(value->param);
    if (value->scaled)
        ok = wg__onnx_widen_into(m, value->scaled, numbers, error);
    else
        wg__tensor_copy(t, m->dtype, numbers);
    wg_param_write_end(value->param);
    return ok;
}

/* Whether an input, an output or a parameter is of that type. */
static bool is_outside(const wg_onnx *m, int type)
{
    for (int i = 0; i < m->graph->n_in; i++)
        if (m->inputs[i].type == type) return true;
    for (int i = 0; i < m->graph->n_out; i++)
        if (m->outputs[i].type == type) return true;
    for (uint32_t v = 1; v < m->n_values; v++)
        if (m->values[v].constant && m->values[v].constant->type == type &&
            (m->values[v].source == WG__FROM_INITIALIZER || m->train_constants))
            return true;
    return false;
}

static bool is_param(const wg_onnx *m, const wg__value *value)
{
    const wg__tensor_data *t = value->constant;
    if (value->scaled) return true;
    if (!t || !value->used || value->wanted || !wg__type_is_float(t->type)) return false;
    if (wg__dtype_of(m, t->type) != m->dtype) return false; /* a set has one dtype */
    return t->shape.rank > 0 && (t->numel != 1 || value->source != WG__FROM_NODE);
}

/* Those of the model's graph first: their names are as they are. */
bool wg__onnx_make_params(wg_onnx *m, wg_error *error)
{
    if (!is_outside(m, WG__DOUBLE)) m->doubles = WG_F64;
    for (int nested = 0; nested < 2; nested++)
        for (uint32_t v = 1; v < m->n_values; v++)
            if (m->values[v].nested == (nested == 1) && is_param(m, &m->values[v]) &&
                !make_param(m, &m->values[v], error))
                return false;
    return true;
}

/* ---- what is needed of the files ---- */

bool wg__onnx_settle(wg_onnx *m, wg__span file, wg_error *error)
{
    for (uint32_t v = 1; v < m->n_values; v++) {
        const wg__value *value = &m->values[v];
        wg__tensor_data *t = value->constant;
        if (!t || !t->data.size) continue;
        const bool is_beside = t->data.data < file.data || t->data.data >= file.data + file.size;
        if (value->param && (is_beside || !value->nested)) { /* calls of a function may share a tensor */
            if (!is_beside) wg__span_discard(t->data);
            t->data = (wg__span){0};
        } else if (is_beside) {
            uint8_t *copy = wg__arena_alloc(&m->arena, t->data.size, sizeof(double));
            if (!copy) return wg__onnx_memory(m, error);
            memcpy(copy, t->data.data, t->data.size);
            t->data.data = copy;
        }
    }
    wg__folder_close_others(&m->folder);
    return true;
}
