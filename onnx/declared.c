/* What the file declares of the model's inputs and outputs: element types and sizes. */
#include <string.h>

#include "internal.h"

/* The message that is field `number` of another; empty if there is none. */
static wg__span inside(wg__span message, uint32_t number)
{
    wg__span found = {0};
    wg__wire wire = wg__wire_of(message);
    for (wg__field f; wg__wire_next(&wire, &f);)
        if (wg__field_is_bytes(&f, number)) found = f.bytes;
    return found;
}

/* TensorShapeProto.Dimension: a number, a name, or nothing. */
static bool parse_size(wg_onnx *m, wg__span message, wg_onnx_value *v, wg_error *error)
{
    if (v->rank == WG_MAX_RANK) return wg__onnx_refuse(m, error, "'%.80s' has more than 8 axes", v->name);
    v->size[v->rank] = -1;
    wg__wire wire = wg__wire_of(message);
    for (wg__field f; wg__wire_next(&wire, &f);) {
        if (wg__field_is_integer(&f, 1)) {
            if (f.integer > INT64_MAX) return wg__onnx_refuse(m, error, "'%.80s' has a negative size", v->name);
            v->size[v->rank] = (int64_t)f.integer;
        }
        if (!wg__field_is_bytes(&f, 2) || !f.bytes.size) continue;
        v->symbol[v->rank] = wg__span_text(&m->arena, f.bytes);
        if (!v->symbol[v->rank]) return wg__onnx_memory(m, error);
    }
    v->rank++;
    return true;
}

/* TypeProto.Tensor. */
static bool parse_tensor_type(wg_onnx *m, wg__span message, wg__declared *d, wg_error *error)
{
    wg__wire wire = wg__wire_of(message);
    for (wg__field f; wg__wire_next(&wire, &f);) {
        if (wg__field_is_integer(&f, 1)) d->type = f.integer < 100 ? (int)f.integer : 0;
        if (!wg__field_is_bytes(&f, 2)) continue;
        wg__wire sizes = wg__wire_of(f.bytes);
        d->value.rank = 0;
        for (wg__field size; wg__wire_next(&sizes, &size);)
            if (wg__field_is_bytes(&size, 1) && !parse_size(m, size.bytes, &d->value, error)) return false;
    }
    return true;
}

/* A ValueInfoProto, of an input or output. */
static bool declare(wg_onnx *m, wg__span message, uint32_t value, wg__declared *d, wg_error *error)
{
    *d = (wg__declared){.value = {.name = m->values[value].name, .rank = -1}};
    if (!parse_tensor_type(m, inside(inside(message, 2), 1), d, error)) return false;
    if (!wg__type_is_known(d->type) || d->type >= WG__UINT4)
        return wg__onnx_refuse(m, error,
                               "'%.80s' is no tensor of numbers (element type %s): tensors of floats, integers "
                               "and bool are known",
                               d->value.name, wg__type_name(d->type));
    d->value.type = wg__type_name(d->type);
    d->value.dtype = wg__dtype_of(m, d->type);
    d->value.known_while_recording = m->values[value].wanted && m->values[value].source == WG__FROM_INPUT;
    return true;
}

bool wg__onnx_declare(wg_onnx *m, wg_error *error)
{
    const wg__graph *g = m->graph;
    int n_out = 0;
    m->inputs = wg__arena_array(&m->arena, (uint64_t)g->n_in + 1, sizeof *m->inputs);
    m->outputs = wg__arena_array(&m->arena, (uint64_t)g->n_out + 1, sizeof *m->outputs);
    if (!m->inputs || !m->outputs) return wg__onnx_memory(m, error);
    for (int i = 0; i < g->n_in; i++)
        if (!declare(m, m->values[g->in[i]].declared, g->in[i], &m->inputs[i], error)) return false;
    wg__wire wire = wg__wire_of(g->message);
    for (wg__field f; wg__wire_next(&wire, &f);) {
        if (!wg__field_is_bytes(&f, 12)) continue;
        if (!declare(m, f.bytes, g->out[n_out], &m->outputs[n_out], error)) return false;
        n_out++;
    }
    return true;
}

size_t wg_onnx_input_count(const wg_onnx *model) { return model ? (size_t)model->graph->n_in : 0; }
size_t wg_onnx_output_count(const wg_onnx *model) { return model ? (size_t)model->graph->n_out : 0; }

wg_onnx_value wg_onnx_input(const wg_onnx *model, size_t index)
{
    return index < wg_onnx_input_count(model) ? model->inputs[index].value : (wg_onnx_value){.rank = -1};
}

wg_onnx_value wg_onnx_output(const wg_onnx *model, size_t index)
{
    return index < wg_onnx_output_count(model) ? model->outputs[index].value : (wg_onnx_value){.rank = -1};
}
