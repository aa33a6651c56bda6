/* Attention: softmax of scaled products, masked, times values. A composition of other ops. */
#include "internal.h"

#include <math.h>

static wg_tensor nil_of(wg_tensor x)
{
    x.node = 0;
    return x;
}

wg_attention_options wg_attention_defaults(void) { return (wg_attention_options){.scale = -1, .window = -1}; }

/* ---- checks -------------------------------------------------------------------------------------------- */

/* The shape of operand number `i`, at least a matrix of floats; false with the error stored on one of the tapes. */
static bool matrix(wg_tensor x, int i, wg_tensor other, wg_shape *shape, const char *op)
{
    static const char *const name[] = {"q", "k", "v"};
    if (!x.tape) {
        wg_fail(other, WG_ERR_ARGUMENT, op, "operand %d, %s, was never set", i + 1, name[i]);
        return false;
    }
    if (!wg__shape(x, shape, op)) return false;
    wg_dtype dtype = wg_dtype_get(x);
    if (!wg_dtype_is_float(dtype))
        wg_fail(x, WG_ERR_DTYPE, op, "%s is %s: f32 or f64 is needed", name[i], wg_dtype_name(dtype));
    else if (shape->rank < 2)
        wg__refuse(x, WG_ERR_SHAPE, op, "%s needs two axes or more: [..., time, size]", name[i]);
    else
        return true;
    return false;
}

/* A mask or bias must broadcast to the scores, and not the scores to it. */
static bool fits(wg_tensor x, const wg_shape *scores, const char *name, const char *op)
{
    wg_shape shape, both;
    char a[128], b[128];
    if (!x.tape) return true;
    if (!wg__shape(x, &shape, op)) return false;
    if (wg_shape_broadcast(&shape, scores, &both) && wg_shape_equal(&both, scores)) return true;
    wg_fail(x, WG_ERR_SHAPE, op, "%s %s must broadcast to the scores %s", name, wg_shape_text(&shape, a, sizeof a),
            wg_shape_text(scores, b, sizeof b));
    return false;
}

static bool check_options(wg_tensor q, const wg_attention_options *o, const wg_shape *scores, const char *op)
{
    if (isnan(o->scale) || isinf(o->scale))
        wg_fail(q, WG_ERR_ARGUMENT, op, "scale = %g is not finite", o->scale);
    else if (!(o->dropout >= 0 && o->dropout <= 1))
        wg_fail(q, WG_ERR_ARGUMENT, op, "dropout = %g is not in 0 .. 1", o->dropout);
    else if (o->mask.tape && !wg_is_nil(o->mask) && wg_dtype_get(o->mask) != WG_BOOL)
        wg_fail(o->mask, WG_ERR_DTYPE, op, "mask is %s: bool is needed, true where a key may be seen",
                wg_dtype_name(wg_dtype_get(o->mask)));
    else
        return fits(o->mask, scores, "mask", op) && fits(o->bias, scores, "bias", op);
    return false;
}

/* q[..., Tq, d], k[..., Tk, d]: the shape [..., Tq, Tk] of the scores. */
static bool score_shape(wg_tensor q, wg_tensor k, wg_shape *scores, const char *op)
{
    wg_shape a, b;
    char text_a[128], text_b[128];
    if (!matrix(q, 0, k, &a, op) || !matrix(k, 1, q, &b, op)) return false;
    wg_shape lead_a = wg_shape_of(a.rank - 2, a.size), lead_b = wg_shape_of(b.rank - 2, b.size);
    const char *rule = a.size[a.rank - 1] != b.size[b.rank - 1]        ? "q and k need equal last sizes"
                       : !wg_shape_broadcast(&lead_a, &lead_b, scores) ? "leading sizes do not broadcast"
                                                                       : NULL;
    if (rule) {
        wg_fail(q, WG_ERR_SHAPE, op, "%s, %s: %s", wg_shape_text(&a, text_a, sizeof text_a),
                wg_shape_text(&b, text_b, sizeof text_b), rule);
        return false;
    }
    scores->size[scores->rank++] = a.size[a.rank - 2];
    scores->size[scores->rank++] = b.size[b.rank - 2];
    return true;
}

/* ---- the formula --------------------------------------------------------------------------------------- */

static wg_tensor both(wg_tensor a, wg_tensor b) { return a.tape ? wg_logical_and(a, b) : b; }

/* Which keys each query may see, or WG_NONE for all: bool, [Tq, Tk] or more. */
static wg_tensor seen(wg_tape *tape, const wg_attention_options *o, int64_t rows, int64_t cols)
{
    wg_tensor mask = o->mask;
    if (o->causal) mask = both(mask, wg_tril_mask(tape, rows, cols, 0));
    if (o->window < 0) return mask;
    mask = both(mask, wg_triu_mask(tape, rows, cols, -o->window));
    return o->causal ? mask : both(mask, wg_tril_mask(tape, rows, cols, o->window));
}

static wg_tensor weights_of(wg_tensor q, wg_tensor k, const wg_attention_options *o, const wg_shape *shape)
{
    int64_t d = wg_size(q, -1);
    double scale = o->scale < 0 ? 1 / sqrt((double)(d > 0 ? d : 1)) : o->scale;
    wg_tensor scores = wg_matmul(wg_mul(q, wg__constant(q, scale)), wg_t(k));
    if (o->bias.tape) scores = wg_add(scores, o->bias);
    wg_tensor mask = seen(q.tape, o, shape->size[shape->rank - 2], shape->size[shape->rank - 1]);
    if (mask.tape) scores = wg_where(mask, scores, wg__constant(q, -INFINITY));
    wg_tensor weights = wg_softmax(scores, -1);
    return o->dropout > 0 ? wg_dropout(weights, o->dropout) : weights;
}

wg_tensor wg_attention_weights(wg_tensor q, wg_tensor k, wg_attention_options options)
{
    static const char op[] = "attention_weights";
    wg_shape scores;
    if (!score_shape(q, k, &scores, op) || !check_options(q, &options, &scores, op)) return nil_of(q);
    return weights_of(q, k, &options, &scores);
}

wg_tensor wg_attention(wg_tensor q, wg_tensor k, wg_tensor v, wg_attention_options options)
{
    static const char op[] = "attention";
    wg_shape scores, values;
    if (!score_shape(q, k, &scores, op) || !matrix(v, 2, q, &values, op) ||
        !check_options(q, &options, &scores, op))
        return nil_of(q);
    if (values.size[values.rank - 2] != scores.size[scores.rank - 1])
        return wg__refuse(v, WG_ERR_SHAPE, op, "v has %lld values for %lld keys",
                          (long long)values.size[values.rank - 2], (long long)scores.size[scores.rank - 1]);
    return wg_matmul(weights_of(q, k, &options, &scores), v);
}
