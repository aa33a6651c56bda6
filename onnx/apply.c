/* Records a graph: node after node, each by its row. */
#include <string.h>

#include "internal.h"

/* Of one call: nodes that it records and turns of loops, both with their operands; numbers that it knows meanwhile.
 * Bytes of attributes that count as an operand. */
enum { MOST_STEPS = 1 << 24, ALL_NUMBERS = 1 << 26, BYTES_OF_STEP = 256 };

/* ---- inputs ---- */

/* Reads an input that shapes depend on. */
static void read_input(wg__call *c, wg__known_item *item)
{
    const int64_t n = wg_numel(item->tensor);
    const void *value = wg_value(item->tensor);
    item->shape = wg_shape_get(item->tensor);
    double *numbers = wg__numbers_new(c, &item->shape);
    if (!value || !numbers) return;
    const wg_dtype dtype = wg_dtype_get(item->tensor);
    for (int64_t i = 0; i < n; i++)
        numbers[i] = dtype == WG_F32   ? (double)((const float *)value)[i]
                     : dtype == WG_F64 ? ((const double *)value)[i]
                     : dtype == WG_I32 ? (double)((const int32_t *)value)[i]
                                       : (double)((const uint8_t *)value)[i];
    item->host = numbers;
}

/* Whether the tensor has the declared dtype and sizes. */
static void check_input(wg__call *c, const wg__declared *d, wg_tensor x)
{
    const wg_shape shape = wg_shape_get(x);
    char text[128];
    bool fits = d->value.rank < 0 || shape.rank == d->value.rank;
    for (int i = 0; fits && i < d->value.rank; i++)
        fits = d->value.size[i] < 0 || d->value.size[i] == shape.size[i];
    if (wg_dtype_get(x) != d->value.dtype)
        wg_fail_on(c->tape, WG_ERR_DTYPE, "onnx", "input '%.60s' is %s; the model's is %s, for %s", d->value.name,
                   wg_dtype_name(wg_dtype_get(x)), d->value.type, wg_dtype_name(d->value.dtype));
    else if (!fits)
        wg_fail_on(c->tape, WG_ERR_SHAPE, "onnx",
                   "input '%.60s' is %s, which are not the rank and the sizes of the model", d->value.name,
                   wg_shape_text(&shape, text, sizeof text));
}

static void take_inputs(wg__call *c, const wg_tensor *inputs)
{
    const wg__graph *graph = c->model->graph;
    for (int i = 0; i < graph->n_in && !wg__call_failed(c); i++) {
        if (wg_is_nil(inputs[i]) || inputs[i].tape != c->tape) {
            wg_fail_on(c->tape, WG_ERR_ARGUMENT, "onnx", "input '%.60s' was never set, or is on another tape",
                       c->model->inputs[i].value.name);
            return;
        }
        wg__known_item *item = &c->items[graph->in[i]];
        check_input(c, &c->model->inputs[i], inputs[i]);
        *item = (wg__known_item){.type = c->model->inputs[i].type, .tensor = inputs[i]};
        if (c->model->values[graph->in[i]].wanted && !wg__call_failed(c)) read_input(c, item);
    }
}

/* ---- constants ---- */

/* The numbers of a constant that is no parameter. */
static void take_constant(wg__call *c, uint32_t v)
{
    const wg__tensor_data *t = c->model->values[v].constant;
    wg__known_item *item = &c->items[v];
    *item = (wg__known_item){.type = t->type, .shape = t->shape, .host = wg__numbers_new(c, &t->shape)};
    wg__numbers numbers = wg__numbers_of(t);
    for (int64_t i = 0; i < t->numel && item->host; i++) item->host[i] = wg__number_next(&numbers);
}

static void take_constants(wg__call *c)
{
    const wg_onnx *m = c->model;
    for (uint32_t v = 1; v < m->n_values && !wg__call_failed(c); v++) {
        if (m->values[v].param)
            c->items[v] = (wg__known_item){.type = WG__FLOAT, .tensor = wg_use(c->tape, m->values[v].param)};
        else if (m->values[v].constant && m->values[v].used)
            take_constant(c, v);
    }
}

/* ---- nodes ---- */

bool wg__take_step(wg__call *c)
{
    if (wg__call_failed(c)) return false;
    if ((c->budget->steps -= 1 + c->n_in + c->node->bytes / BYTES_OF_STEP) >= 0) return true;
    wg__call_fail(c, WG_ERR_ARGUMENT, "the loops of the model have more than %d nodes, operands and turns in all",
                  MOST_STEPS);
    return false;
}

static void record_node(wg__call *c, const wg__onnx_node *node)
{
    c->node = node;
    c->n_in = node->n_in;
    c->n_out = node->n_out;
    for (int k = 0; k < node->n_out; k++) c->items[node->out[k]] = (wg__known_item){0};
    if (!wg__take_step(c)) return;
    wg_scope_begin(c->tape, node->name);
    for (int k = 0; k < node->n_in && !wg__call_failed(c); k++)
        if (node->in[k] && !wg__in(c, k)->type)
            wg__call_fail(c, WG_ERR_ARGUMENT, "operand %d is a result that its node does not give", k);
    if (!wg__call_failed(c)) node->row->record(c);
    wg_scope_end(c->tape);
}

bool wg__record_graph(wg__call *c, const wg__graph *graph)
{
    const wg__call outer = *c;
    for (int i = 0; i < graph->n_nodes && !wg__call_failed(c); i++)
        if (graph->node[i].row) record_node(c, &graph->node[i]);
    *c = outer;
    return !wg__call_failed(c);
}

/* ---- the call ---- */

static wg_tensor result(wg__call *c, int i)
{
    const uint32_t v = c->model->graph->out[i];
    if (wg__call_failed(c)) return wg_fail_on(c->tape, WG_ERR_ARGUMENT, "onnx", "after an error");
    const wg__known_item *item = &c->items[v];
    if (!item->type)
        return wg_fail_on(c->tape, WG_ERR_ARGUMENT, "onnx", "output '%.60s' is not given by its node",
                          c->model->values[v].name);
    return item->tensor.tape ? item->tensor : wg__data_of(c, item->shape, item->host, item->type);
}

static const char *bad_arguments(const wg_onnx *m, const wg_tensor *inputs, int n_in, const wg_tensor *outputs,
                                 int n_out)
{
    if (!m) return "the model is NULL";
    if (n_in != m->graph->n_in) return "not as many inputs as the model has";
    if (n_out < 0 || n_out > m->graph->n_out) return "more outputs than the model has";
    return (!inputs && n_in) || (!outputs && n_out) ? "inputs or outputs is NULL" : NULL;
}

wg_status wg_onnx_apply(wg_onnx *m, wg_tape *tape, const wg_tensor *inputs, int n_in, wg_tensor *outputs, int n_out)
{
    if (!tape) return WG_ERR_ARGUMENT;
    const char *reason = bad_arguments(m, inputs, n_in, outputs, n_out);
    if (reason) {
        const wg_tensor nil = wg_fail_on(tape, WG_ERR_ARGUMENT, "onnx", "%s", reason);
        for (int i = 0; outputs && i < n_out; i++) outputs[i] = nil;
        return wg_tape_status(tape);
    }
    wg__budget budget = {.steps = MOST_STEPS, .numbers = ALL_NUMBERS};
    wg__arena_rewind(&m->turn);
    wg__call c = {.model = m, .tape = tape, .arena = &m->turn, .budget = &budget};
    c.items = wg__arena_array(&m->turn, m->n_values, sizeof *c.items);
    if (c.items) {
        take_inputs(&c, inputs);
        take_constants(&c);
        wg__record_graph(&c, m->graph);
    } else
        wg_fail_on(tape, WG_ERR_MEMORY, "onnx", "out of memory");
    for (int i = 0; i < n_out; i++) outputs[i] = result(&c, i);
    return wg_tape_status(tape);
}
