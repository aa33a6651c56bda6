/* Constants and parameters of a model. */
#include <math.h>
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
    value->fixed = true;
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

static bool made(const wg_onnx *m, const wg_param *param, wg_error *error)
{
    if (param) return true;
    return wg_error_set(error, wg_params_status(m->params), "%.160s: %s", m->folder.path,
                        wg_params_message(m->params)),
           false;
}

/* The parameter or buffer of a constant of floats. */
static bool make_param(wg_onnx *m, wg__value *value, wg_error *error)
{
    const wg__tensor_data *t = value->constant;
    value->param = value->fixed ? wg_buffer_new(m->params, value->name, t->shape, wg_init_zeros())
                                : wg_param_new(m->params, value->name, t->shape, wg_init_zeros());
    if (!made(m, value->param, error)) return false;
    wg__tensor_copy(t, m->dtype, wg_param_write_begin(value->param));
    wg_param_write_end(value->param);
    return true;
}

/* (x - zero point) scale, with one scale, or one for each index of an axis. */
static void dequantize(const wg__tensor_data *x, const wg__tensor_data *scale, const wg__tensor_data *zero,
                       const double *scales, const double *zeros, int axis, wg_dtype dtype, void *out)
{
    wg__numbers numbers = wg__numbers_of(x);
    int64_t inner = 1;
    for (int i = axis + 1; i < x->shape.rank; i++) inner *= x->shape.size[i];
    for (int64_t i = 0; i < x->numel; i++) {
        const int64_t k = scale->numel == 1 ? 0 : i / inner % scale->numel;
        const double number = (wg__number_next(&numbers) - (zero ? zeros[k] : 0)) * scales[k];
        if (dtype == WG_F32)
            ((float *)out)[i] = (float)number;
        else
            ((double *)out)[i] = number;
    }
}

static const wg__tensor_data *constant_of(const wg_onnx *m, const wg__onnx_node *node, int k)
{
    return k < node->n_in && node->in[k] ? m->values[node->in[k]].constant : NULL;
}

static double *all_numbers(wg_onnx *m, const wg__tensor_data *t)
{
    double *out = wg__arena_array(&m->turn, (uint64_t)(t ? t->numel : 0) + 1, sizeof *out);
    if (out && t) wg__tensor_copy(t, WG_F64, out);
    return out;
}

/* DequantizeLinear of a constant: a parameter of floats. */
static bool fold_dequantize(wg_onnx *m, wg__onnx_node *node, wg_error *error)
{
    const wg__tensor_data *x = constant_of(m, node, 0), *scale = constant_of(m, node, 1),
                          *zero = constant_of(m, node, 2);
    int64_t axis = wg__attribute_int(node, "axis", 1);
    if (!x || !scale || (node->n_in > 2 && node->in[2] && !zero) || wg__attribute_int(node, "block_size", 0))
        return true;
    wg__value *value = &m->values[node->out[0]];
    if (value->nested || value->wanted || wg_param_find(m->params, value->name)) return true;
    if (axis < 0) axis += x->shape.rank;
    if (scale->numel != 1 && (axis < 0 || axis >= x->shape.rank || x->shape.size[axis] != scale->numel))
        return wg__onnx_refuse(m, error,
                               "DequantizeLinear of node '%.60s': scale has %lld elements, the axis another "
                               "number",
                               node->name, (long long)scale->numel);
    if (zero && zero->numel != scale->numel)
        return wg__onnx_refuse(
            m, error, "DequantizeLinear of node '%.60s': scale and zero point have different sizes", node->name);
    value->param = wg_param_new(m->params, value->name, x->shape, wg_init_zeros());
    const double *scales = all_numbers(m, scale), *zeros = all_numbers(m, zero);
    if (!made(m, value->param, error)) return false;
    if (!scales || !zeros) return wg__onnx_memory(m, error);
    dequantize(x, scale, zero, scales, zeros, (int)axis, m->dtype, wg_param_write_begin(value->param));
    wg_param_write_end(value->param);
    node->op = NULL;
    for (int k = 0; k < node->n_in; k++) m->values[node->in[k]].used = false;
    return true;
}

bool wg__onnx_make_params(wg_onnx *m, wg_error *error)
{
    for (int i = 0; i < m->graph.n_nodes; i++)
        if (m->graph.node[i].op && strcmp(m->graph.node[i].type, "DequantizeLinear") == 0 &&
            !fold_dequantize(m, &m->graph.node[i], error))
            return false;
    wg__arena_rewind(&m->turn);
    for (uint32_t v = 1; v < m->n_values; v++) {
        wg__value *value = &m->values[v];
        const wg__tensor_data *t = value->constant;
        if (!t || !value->used || value->wanted || value->nested || !wg__type_is_float(t->type)) continue;
        if (t->shape.rank == 0 || (t->numel == 1 && value->fixed && value->source == WG__FROM_NODE)) continue;
        if (!make_param(m, value, error)) return false;
    }
    return true;
}
