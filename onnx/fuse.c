/* Recognizes the compositions by which onnx/out writes ops that ONNX does not have, so that a model that is read back
 * has the same ops, and the same bits:
 *
 *     log1p(x)                  Log(Add(1, x))
 *     expm1(x)                  Add(-1, Exp(x))
 *     lerp(a, b, c)             Sub(a, Mul(c, Sub(a, b)))
 *     rms_norm(x, w, epsilon)   Mul(Div(x, Sqrt(Add(epsilon, ReduceMean(Mul(x, x), -1)))), w), or without w
 *     layer_norm(x, epsilon)    that without w, of Sub(x, ReduceMean(x, -1)); in f64
 *
 * They are the same functions with fewer roundings. The order of operands is such that a program that composes them by
 * itself is not taken for one: it comes back as it was. The nodes in between are recorded, too, and dropped by the
 * planner if nothing else reads them. */
#include <string.h>

#include "pointwise.h"

typedef struct fuser {
    wg_onnx *model;
    const wg__onnx_node **made_by; /* [n_values] */
} fuser;

/* ---- how the ops are recorded ---- */

static void record_one(wg__call *c) { wg__set(c, 0, c->node->row->one(wg__tensor(c, 0)), wg__type_of(c, 0)); }

/* Integers have no lerp. */
static void record_lerp(wg__call *c)
{
    const int type = wg__type_of(c, 0);
    const wg_tensor a = wg__tensor(c, 0), b = wg__tensor(c, 1), share = wg__tensor(c, 2);
    const wg_tensor y = wg__type_is_float(type) ? wg_lerp(a, b, share) : wg_sub(a, wg_mul(share, wg_sub(a, b)));
    wg__set(c, 0, wg__wrap(y, type), type);
}

/* Operands x, none, epsilon. */
static void record_layer_norm(wg__call *c)
{
    const wg_tensor y = wg_layer_norm(wg__tensor(c, 0), WG_NONE, WG_NONE, wg__known_scalar(c, 2, 0));
    wg__set(c, 0, y, wg__type_of(c, 0));
}

/* Operands x, weight or none, epsilon. */
static void record_rms_norm(wg__call *c)
{
    const wg_tensor x = wg__tensor(c, 0), weight = wg__tensor(c, 1);
    const double epsilon = wg__known_scalar(c, 2, 0);
    const bool fits = weight.tape && wg_rank(weight) == 1 && wg_rank(x) > 0 && wg_numel(weight) == wg_size(x, -1);
    const wg_tensor y = wg_rms_norm(x, fits ? weight : WG_NONE, epsilon);
    wg__set(c, 0, weight.tape && !fits ? wg_mul(y, weight) : y, wg__type_of(c, 0));
}

static const wg__onnx_row log1p_row = {.name = "log1p", .record = record_one, .one = wg_log1p},
                          expm1_row = {.name = "expm1", .record = record_one, .one = wg_expm1},
                          lerp_row = {.name = "lerp", .record = record_lerp},
                          layer_norm_row = {.name = "layer_norm", .record = record_layer_norm},
                          rms_norm_row = {.name = "rms_norm", .record = record_rms_norm};

/* ---- how they are recognized ---- */

/* The node that makes operand k, if it is of that type and has n operands at least. */
static const wg__onnx_node *operand(const fuser *f, const wg__onnx_node *node, int k, const char *type, int n)
{
    const wg__onnx_node *made = node && k < node->n_in ? f->made_by[node->in[k]] : NULL;
    return made && made->row && strcmp(made->row->name, type) == 0 && made->n_in >= n ? made : NULL;
}

/* Whether operand k is a constant of one number, of no axes; it is stored. */
static bool is_number(const fuser *f, const wg__onnx_node *node, int k, double *number)
{
    const wg__tensor_data *t = f->model->values[node->in[k]].constant;
    if (!t || t->shape.rank != 0 || f->model->values[node->in[k]].param) return false;
    wg__numbers numbers = wg__numbers_of(t);
    *number = wg__number_next(&numbers);
    return true;
}

/* Each returns the row and stores its operands, in[3], or returns NULL. */

static const wg__onnx_row *log1p_of(const fuser *f, const wg__onnx_node *node, uint32_t *in)
{
    double one;
    const wg__onnx_node *sum = operand(f, node, 0, "Add", 2);
    if (!sum || !is_number(f, sum, 0, &one) || one != 1) return NULL;
    in[0] = sum->in[1];
    return &log1p_row;
}

static const wg__onnx_row *expm1_of(const fuser *f, const wg__onnx_node *node, uint32_t *in)
{
    double minus_one;
    const wg__onnx_node *power = operand(f, node, 1, "Exp", 1);
    if (!power || !is_number(f, node, 0, &minus_one) || minus_one != -1) return NULL;
    in[0] = power->in[0];
    return &expm1_row;
}

static const wg__onnx_row *lerp_of(const fuser *f, const wg__onnx_node *node, uint32_t *in)
{
    const wg__onnx_node *step = operand(f, node, 1, "Mul", 2), *gap = operand(f, step, 1, "Sub", 2);
    if (!gap || gap->in[0] != node->in[0]) return NULL;
    in[0] = gap->in[0], in[1] = gap->in[1], in[2] = step->in[0];
    return &lerp_row;
}

/* Whether a ReduceMean is over the last axis, which stays. */
static bool is_last_mean(const fuser *f, const wg__onnx_node *mean)
{
    const wg__tensor_data *axes = f->model->values[mean->in[1]].constant;
    if (!axes || axes->numel != 1 || !wg__attribute_int(mean, "keepdims", 1)) return false;
    wg__numbers numbers = wg__numbers_of(axes);
    return wg__number_next(&numbers) == -1;
}

static const wg__onnx_row *norm_of(const fuser *f, const wg__onnx_node *node, uint32_t *in)
{
    double epsilon;
    const wg__onnx_node *root = operand(f, node, 1, "Sqrt", 1), *sum = operand(f, root, 0, "Add", 2),
                        *mean = operand(f, sum, 1, "ReduceMean", 2), *square = operand(f, mean, 0, "Mul", 2);
    if (!square || square->in[0] != node->in[0] || square->in[1] != node->in[0] || !is_last_mean(f, mean) ||
        !is_number(f, sum, 0, &epsilon))
        return NULL;
    const wg__onnx_node *centered = operand(f, node, 0, "Sub", 2),
                        *center = operand(f, centered, 1, "ReduceMean", 2);
    const bool layer = center && center->in[0] == centered->in[0] && is_last_mean(f, center);
    in[0] = layer ? centered->in[0] : node->in[0], in[2] = sum->in[0];
    return layer ? &layer_norm_row : &rms_norm_row;
}

/* Of a norm without weight. */
static const wg__onnx_row *weighted_of(const fuser *f, const wg__onnx_node *node, uint32_t *in)
{
    const wg__onnx_node *norm = operand(f, node, 0, rms_norm_row.name, 3);
    if (!norm || norm->in[1]) return NULL;
    in[0] = norm->in[0], in[1] = node->in[1], in[2] = norm->in[2];
    return &rms_norm_row;
}

static const struct {
    const char *type; /* of the last node */
    const wg__onnx_row *(*row_of)(const fuser *f, const wg__onnx_node *node, uint32_t *in);
} patterns[] = {
    {"Log", log1p_of}, {"Add", expm1_of}, {"Sub", lerp_of}, {"Div", norm_of}, {"Mul", weighted_of},
};

/* A result that must be known while recording stays: these rows know no numbers. */
static bool fuse_node(const fuser *f, wg__onnx_node *node, wg_error *error)
{
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        if (strcmp(node->row->name, patterns[i].type) != 0 || f->model->values[node->out[0]].wanted) continue;
        uint32_t in[3] = {0};
        const wg__onnx_row *row = patterns[i].row_of(f, node, in);
        if (!row) return true;
        node->in = wg__arena_array(&f->model->arena, 3, sizeof *node->in);
        if (!node->in) return wg__onnx_memory(f->model, error);
        memcpy(node->in, in, sizeof in);
        node->n_in = 3;
        node->row = row;
        return true;
    }
    return true;
}

static bool fuse_graph(const fuser *f, const wg__graph *graph, wg_error *error)
{
    for (int i = 0; i < graph->n_nodes; i++) {
        wg__onnx_node *node = &graph->node[i];
        if (!node->row) continue;
        if (!fuse_node(f, node, error)) return false;
        for (int k = 0; k < node->n_out; k++)
            if (node->out[k]) f->made_by[node->out[k]] = node;
        for (int b = 0; b < 2; b++)
            if (node->body[b] && !fuse_graph(f, node->body[b], error)) return false;
    }
    return true;
}

bool wg__onnx_fuse(wg_onnx *m, wg_error *error)
{
    fuser f = {.model = m, .made_by = wg__arena_array(&m->turn, m->n_values, sizeof *f.made_by)};
    if (!f.made_by) return wg__onnx_memory(m, error);
    const bool ok = fuse_graph(&f, m->graph, error);
    wg__arena_rewind(&m->turn);
    return ok;
}
