/* Weights of integers: with the node that makes floats of them they become parameters, under the name of its result.
 * The nodes are DequantizeLinear, or Cast and then Mul by a scale. */
#include <string.h>

#include "internal.h"

typedef struct widener {
    wg_onnx *model;
    uint32_t *uses;          /* [n_values] how often a value is an operand or a result of a graph */
    wg__onnx_node **made_by; /* [n_values] its node, if that is a Cast */
    wg_error *error;
} widener;

/* ---- uses ---- */

static void count_uses(widener *w, const wg__graph *graph)
{
    for (int i = 0; i < graph->n_out; i++) w->uses[graph->out[i]]++;
    for (int i = 0; i < graph->n_nodes; i++) {
        const wg__onnx_node *node = &graph->node[i];
        for (int k = 0; k < node->n_in; k++) w->uses[node->in[k]]++;
        for (int b = 0; b < 2; b++)
            if (node->body[b]) count_uses(w, node->body[b]);
    }
}

/* Takes a node out of the graph. */
static void drop(widener *w, wg__onnx_node *node)
{
    node->row = NULL;
    for (int k = 0; k < node->n_in; k++)
        if (node->in[k] && --w->uses[node->in[k]] == 0) w->model->values[node->in[k]].used = false;
}

/* ---- numbers ---- */

static double *all_numbers(wg_onnx *m, const wg__tensor_data *t)
{
    double *out = wg__arena_array(&m->turn, (uint64_t)(t ? t->numel : 0) + 1, sizeof *out);
    if (out && t) wg__tensor_copy(t, WG_F64, out);
    return out;
}

/* Where scale and zero have the numbers of element i, whose block is along an axis. */
static int64_t block_of(const wg__scaled *w, int64_t i)
{
    const wg_shape *shape = &w->integers->shape;
    int64_t inner = 1;
    for (int axis = w->axis + 1; axis < shape->rank; axis++) inner *= shape->size[axis];
    const int64_t n = shape->size[w->axis], outer = i / (n * inner), at = i / inner % n;
    return (outer * w->shape.size[w->axis] + at / w->block) * inner + i % inner;
}

bool wg__onnx_widen_into(wg_onnx *m, const wg__scaled *w, void *out, wg_error *error)
{
    const double *scales = all_numbers(m, w->scale), *zeros = all_numbers(m, w->zero);
    if (!scales || !zeros) return wg__onnx_memory(m, error);
    const wg_shape *shape = &w->integers->shape;
    const int64_t row = shape->rank ? shape->size[shape->rank - 1] : 1;
    const int step = w->shape.rank && w->shape.size[w->shape.rank - 1] > 1;
    wg__numbers numbers = wg__numbers_of(w->integers);
    for (int64_t i = 0, k = 0; i < w->integers->numel; i++, k += step) {
        if (w->block)
            k = block_of(w, i);
        else if (i % row == 0)
            k = wg__broadcast_index(shape, &w->shape, i);
        const double number = (wg__number_next(&numbers) - (w->zero ? zeros[k] : 0)) * scales[k];
        if (m->dtype == WG_F32)
            ((float *)out)[i] = (float)number;
        else
            ((double *)out)[i] = number;
    }
    return true;
}

/* Makes a node's result a parameter, and drops the node. */
static bool make(widener *w, wg__onnx_node *node, const wg__scaled *weight)
{
    wg_onnx *m = w->model;
    wg__scaled *copy = wg__arena_array(&m->arena, 1, sizeof *copy);
    if (!copy) return wg__onnx_memory(m, w->error);
    if (node->frame && !wg__onnx_expand(m, (uint64_t)weight->integers->numel * sizeof(double), w->error))
        return false;
    *copy = *weight;
    m->values[node->out[0]].scaled = copy;
    drop(w, node);
    return true;
}

static const wg__tensor_data *constant_of(const widener *w, const wg__onnx_node *node, int k)
{
    return k < node->n_in && node->in[k] ? w->model->values[node->in[k]].constant : NULL;
}

/* Whether the result can be a parameter. */
static bool is_free(const widener *w, const wg__onnx_node *node)
{
    return node->out[0] && !w->model->values[node->out[0]].wanted;
}

/* ---- DequantizeLinear ---- */

/* Whether a scale fits integers: one number, one for each index of the axis, or one for each block of them; its shape
 * against that of the integers. */
static bool scale_fits(const wg__tensor_data *x, const wg__tensor_data *scale, int64_t axis, int64_t block,
                       wg_shape *shape)
{
    const bool valid = axis >= 0 && axis < x->shape.rank;
    *shape = (wg_shape){.rank = x->shape.rank};
    for (int i = 0; i < shape->rank; i++) shape->size[i] = 1;
    if (!block && scale->numel == 1) return true;
    if (!valid) return false;
    const int64_t n = x->shape.size[axis];
    shape->size[axis] = scale->numel;
    if (!block) return scale->numel == n;
    *shape = x->shape;
    shape->size[axis] = block > 0 ? n / block + (n % block != 0) : 0;
    return block > 0 && wg_shape_equal(shape, &scale->shape);
}

static bool fold_dequantize(widener *w, wg__onnx_node *node)
{
    const wg__tensor_data *x = constant_of(w, node, 0), *scale = constant_of(w, node, 1),
                          *zero = constant_of(w, node, 2);
    int64_t axis = wg__attribute_int(node, "axis", 1);
    if (!x || !scale || (node->n_in > 2 && node->in[2] && !zero) || !is_free(w, node)) return true;
    if (axis < 0) axis += x->shape.rank;
    wg__scaled weight = {.integers = x, .scale = scale, .zero = zero, .axis = (int)axis};
    weight.block = wg__attribute_int(node, "block_size", 0);
    if (!scale_fits(x, scale, axis, weight.block, &weight.shape))
        return wg__onnx_refuse(w->model, w->error,
                               "DequantizeLinear of node '%.60s': scale has %lld elements, the axis or its blocks "
                               "another number",
                               node->name, (long long)scale->numel);
    if (zero && zero->numel != scale->numel)
        return wg__onnx_refuse(w->model, w->error,
                               "DequantizeLinear of node '%.60s': scale and zero point have different sizes",
                               node->name);
    return make(w, node, &weight);
}

/* ---- Cast and Mul ---- */

/* The Cast that makes floats of integers of at most 8 bits, for this operand alone; or NULL. */
static wg__onnx_node *cast_of(const widener *w, uint32_t value)
{
    wg__onnx_node *cast = value ? w->made_by[value] : NULL;
    const wg__tensor_data *x = cast ? constant_of(w, cast, 0) : NULL;
    const bool small = x && wg__type_is_integer(x->type) && wg__type_largest(x->type) <= UINT8_MAX;
    const int to = cast ? (int)wg__attribute_int(cast, "to", 0) : 0;
    return small && w->uses[value] == 1 && wg__type_is_float(to) && to != WG__DOUBLE ? cast : NULL;
}

static bool fold_scaled(widener *w, wg__onnx_node *node)
{
    for (int k = 0; k < 2; k++) {
        wg__onnx_node *cast = cast_of(w, node->in[k]);
        const wg__tensor_data *scale = constant_of(w, node, 1 - k);
        wg_shape shape;
        if (!cast || !scale || !is_free(w, node)) continue;
        const wg__scaled weight = {.integers = constant_of(w, cast, 0), .scale = scale, .shape = scale->shape};
        if (!wg_shape_broadcast(&weight.integers->shape, &scale->shape, &shape) ||
            !wg_shape_equal(&shape, &weight.integers->shape))
            continue;
        if (!make(w, node, &weight)) return false;
        drop(w, cast);
        return true;
    }
    return true;
}

static bool fold_graph(widener *w, const wg__graph *graph)
{
    for (int i = 0; i < graph->n_nodes; i++) {
        wg__onnx_node *node = &graph->node[i];
        if (!node->row) continue;
        if (strcmp(node->row->name, "Cast") == 0) w->made_by[node->out[0]] = node;
        if (strcmp(node->row->name, "DequantizeLinear") == 0 && !fold_dequantize(w, node)) return false;
        if (node->row && strcmp(node->row->name, "Mul") == 0 && !fold_scaled(w, node)) return false;
        for (int b = 0; b < 2; b++)
            if (node->body[b] && !fold_graph(w, node->body[b])) return false;
    }
    return true;
}

bool wg__onnx_widen(wg_onnx *m, wg_error *error)
{
    widener w = {.model = m, .error = error};
    w.uses = wg__arena_array(&m->turn, m->n_values, sizeof *w.uses);
    w.made_by = wg__arena_array(&m->turn, m->n_values, sizeof *w.made_by);
    if (!w.uses || !w.made_by) return wg__onnx_memory(m, error);
    count_uses(&w, m->graph);
    const bool ok = fold_graph(&w, m->graph);
    wg__arena_rewind(&m->turn);
    return ok;
}
