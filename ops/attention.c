/* Attention: softmax of scaled and masked products, times values. Records the op of attention_op.c if it applies,
 * otherwise a composition of other ops. */
#include "internal.h"

#include <math.h>

#include "kernels/attention/attention.h"

wg_attention_options wg_attention_defaults(void) { return (wg_attention_options){.scale = -1, .window = -1}; }

/* ---- checks -------------------------------------------------------------------------------------------- */

/* The shape of operand i, which must be a matrix or a batch of matrices of floats; false if an error is stored. */
static bool matrix_shape(wg_tensor x, int i, wg_tensor other, wg_shape *shape, const char *op)
{
    static const char *const name[] = {"q", "k", "v"};
    if (!x.tape) {
        wg_fail(other, WG_ERR_ARGUMENT, op, "operand %d, %s, was never set", i + 1, name[i]);
        return false;
    }
    if (!wg__shape(x, shape, op)) return false;
    wg_dtype dtype = wg_dtype_get(x);
    if (!wg_dtype_is_float(dtype))
        wg_fail(x, WG_ERR_DTYPE, op, "%s is %s: must be f32 or f64", name[i], wg_dtype_name(dtype));
    else if (shape->rank < 2)
        wg__refuse(x, WG_ERR_SHAPE, op, "%s must have two axes or more: [..., time, size]", name[i]);
    else
        return true;
    return false;
}

static bool check_options(wg_tensor q, const wg_attention_options *o, const wg_shape *scores, const char *op)
{
    if (isnan(o->scale) || isinf(o->scale))
        wg_fail(q, WG_ERR_ARGUMENT, op, "scale = %g is not finite", o->scale);
    else if (!(o->dropout >= 0 && o->dropout <= 1))
        wg_fail(q, WG_ERR_ARGUMENT, op, "dropout = %g is not in [0, 1]", o->dropout);
    else if (o->mask.tape && !wg_is_nil(o->mask) && wg_dtype_get(o->mask) != WG_BOOL)
        wg_fail(o->mask, WG_ERR_DTYPE, op, "mask is %s: must be bool, true where a key may be seen",
                wg_dtype_name(wg_dtype_get(o->mask)));
    else
        return (!o->mask.tape || wg__broadcasts_to(o->mask, scores, "mask", op)) &&
               (!o->bias.tape || wg__broadcasts_to(o->bias, scores, "bias", op));
    return false;
}

/* q[..., Tq, d], k[..., Tk, d]: the shape [..., Tq, Tk] of the scores. */
static bool score_shape(wg_tensor q, wg_tensor k, wg_shape *scores, const char *op)
{
    wg_shape a, b;
    char text_a[128], text_b[128];
    if (!matrix_shape(q, 0, k, &a, op) || !matrix_shape(k, 1, q, &b, op)) return false;
    wg_shape lead_a = wg_shape_of(a.rank - 2, a.size), lead_b = wg_shape_of(b.rank - 2, b.size);
    const char *rule = a.size[a.rank - 1] != b.size[b.rank - 1]        ? "last sizes of q and k must be equal"
                       : !wg_shape_broadcast(&lead_a, &lead_b, scores) ? "leading sizes do not broadcast"
                                                                       : NULL;
    if (rule) {
        wg_fail(q, WG_ERR_SHAPE, op, "%s, %s: %s", wg_shape_text(&a, text_a, sizeof text_a),
                wg_shape_text(&b, text_b, sizeof text_b), rule);
        return false;
    }
    scores->size[scores->rank++] = a.size[a.rank - 2];
    scores->size[scores->rank++] = b.size[b.rank - 2];
    return wg__both_float(q, k, op);
}

/* v[..., Tk, size], a value for each score; leading sizes broadcast. */
static bool fits_values(wg_tensor weights, wg_tensor v, const wg_shape *scores, const char *op)
{
    wg_shape values, lead = wg_shape_of(scores->rank - 2, scores->size);
    if (!matrix_shape(v, 2, weights, &values, op) || !wg__both_float(weights, v, op)) return false;
    const wg_shape lead_v = wg_shape_of(values.rank - 2, values.size);
    if (scores->size[scores->rank - 1] == values.size[values.rank - 2] && wg_shape_broadcast(&lead, &lead_v, &lead))
        return true;
    wg__refuse(v, WG_ERR_SHAPE, op, "v must be [..., %lld, size], a value for each key; leading sizes broadcast",
               (long long)scores->size[scores->rank - 1]);
    return false;
}

/* ---- the composition --------------------------------------------------------------------------------------- */

static wg_tensor and_mask(wg_tensor a, wg_tensor b) { return a.tape ? wg_logical_and(a, b) : b; }

/* The mask of all that is masked: [Tq, Tk], or with the mask's own leading sizes; WG_NONE if nothing is. */
static wg_tensor whole_mask(wg_tensor on, wg_tensor mask, int64_t rows, int64_t cols, const wg__attention_attr *o)
{
    if (o->causal) mask = and_mask(mask, wg_tril_mask(on.tape, rows, cols, 0));
    if (o->window >= 0) mask = and_mask(mask, wg_triu_mask(on.tape, rows, cols, -o->window));
    if (o->window >= 0 && !o->causal) mask = and_mask(mask, wg_tril_mask(on.tape, rows, cols, o->window));
    return mask;
}

static wg_tensor scaled(wg_tensor q, double scale) { return wg_mul(q, wg__constant(q, scale)); }

static wg_tensor softmax_of(wg_tensor scores, wg_tensor mask)
{
    return mask.tape ? wg_masked_softmax(scores, mask, -1) : wg_softmax(scores, -1);
}

wg_tensor wg__attention_weights(wg_tensor q, wg_tensor k, wg_tensor mask, const void *attr, wg_tensor *whole)
{
    const wg__attention_attr *o = attr;
    *whole = whole_mask(q, mask, wg_size(q, -2), wg_size(k, -2), o);
    return softmax_of(wg__masked_dots(scaled(q, o->scale), k, *whole), *whole);
}

static wg__attention_attr attr_of(wg_tensor q, const wg_attention_options *o)
{
    int64_t d = wg_size(q, -1);
    double scale = o->scale < 0 ? 1 / sqrt((double)(d > 0 ? d : 1)) : o->scale;
    return (wg__attention_attr){.scale = scale, .causal = o->causal, .window = o->window < 0 ? -1 : o->window};
}

/* *mask: of all that is masked */
static wg_tensor weights_of(wg_tensor q, wg_tensor k, const wg_attention_options *o, wg_tensor *mask)
{
    wg__attention_attr attr = attr_of(q, o);
    *mask = whole_mask(q, o->mask, wg_size(q, -2), wg_size(k, -2), &attr);
    wg_tensor scores = wg__masked_dots(scaled(q, attr.scale), k, *mask);
    if (o->bias.tape) scores = wg_add(scores, o->bias);
    wg_tensor weights = softmax_of(scores, *mask);
    return o->dropout > 0 ? wg_dropout(weights, o->dropout) : weights;
}

wg_tensor wg_attention_weights(wg_tensor q, wg_tensor k, wg_attention_options options)
{
    static const char op[] = "attention_weights";
    wg_shape scores;
    wg_tensor mask;
    if (!score_shape(q, k, &scores, op) || !check_options(q, &options, &scores, op)) return wg__nil_of(q);
    return weights_of(q, k, &options, &mask);
}

wg_tensor wg_attention_values(wg_tensor weights, wg_tensor v, wg_attention_options options)
{
    static const char op[] = "attention_values";
    wg_shape w;
    if (!matrix_shape(weights, 0, v, &w, op) || !fits_values(weights, v, &w, op) ||
        !check_options(weights, &options, &w, op))
        return wg__nil_of(weights);
    wg__attention_attr attr = {.causal = options.causal, .window = options.window < 0 ? -1 : options.window};
    wg_tensor mask = whole_mask(weights, options.mask, w.size[w.rank - 2], w.size[w.rank - 1], &attr);
    return wg__masked_product(mask.tape ? wg_where(mask, weights, wg__constant(weights, 0)) : weights, v, mask);
}

/* Whether the op applies: it has neither bias nor dropout, and its operands do not broadcast. */
static bool fits_op(wg_tensor q, wg_tensor k, wg_tensor v, const wg_attention_options *o)
{
    wg_shape a = wg_shape_get(q), b = wg_shape_get(k), c = wg_shape_get(v);
    bool same = a.rank == b.rank && a.rank == c.rank;
    for (int i = 0; same && i < a.rank - 2; i++) same = a.size[i] == b.size[i] && a.size[i] == c.size[i];
    return same && !o->bias.tape && (o->dropout == 0 || !wg_is_training(q.tape));
}

wg_tensor wg_attention(wg_tensor q, wg_tensor k, wg_tensor v, wg_attention_options options)
{
    static const char op[] = "attention";
    wg_shape scores;
    if (!score_shape(q, k, &scores, op) || !fits_values(q, v, &scores, op) ||
        !check_options(q, &options, &scores, op))
        return wg__nil_of(q);
    if (!fits_op(q, k, v, &options)) {
        wg_tensor mask, weights = weights_of(q, k, &options, &mask);
        return wg__masked_product(weights, v, mask);
    }
    wg__attention_attr attr = attr_of(q, &options);
    wg_tensor in[4] = {q, k, v, options.mask.tape ? wg_expand(options.mask, scores) : WG_NONE};
    return wg_record(&wg__attention_op, in, 4, &attr, sizeof attr);
}
