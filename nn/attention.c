/* Attention layers: decoder scores, multi-head attention, positions. */
#include "attention.h"

#include <float.h>
#include <math.h>

#include "../ops/indexing.h"
#include "internal.h"

/* ---- attention of a recurrent decoder ---- */

wg_score_options wg_score_defaults(void) { return (wg_score_options){.kind = WG_SCORE_DOT, .temperature = 1}; }

/* Why the options are invalid; NULL if they are valid. */
static const char *score_invalid_reason(const wg_score_options *o, int64_t query, int64_t key)
{
    if (o->kind < WG_SCORE_DOT || o->kind > WG_SCORE_ADDITIVE) return "kind is not a wg_score_kind";
    if (o->choice < WG_CHOICE_SOFT || o->choice > WG_CHOICE_GUMBEL) return "choice is not a wg_choice";
    if (!(o->temperature > 0 && isfinite(o->temperature))) return "temperature must be positive";
    if (query < 1 || key < 1 || o->size < 0) return "sizes must be at least 1";
    if (query > INT64_MAX / 2 || key > INT64_MAX / 2) return "sizes are out of range";
    if (o->kind <= WG_SCORE_SCALED && query != key) return "dot products need queries and keys of equal size";
    return NULL;
}

wg_status wg_score_init(wg_score_layer *layer, wg_params *set, const char *name, int64_t query, int64_t key,
                        wg_score_options options)
{
    if (!layer) return wg__null_init(set, "score", name);
    const wg_init init = wg_init_fan_in_uniform();
    *layer = (wg_score_layer){0};
    const char *reason = score_invalid_reason(&options, query, key);
    if (reason) return wg_params_fail(set, WG_ERR_ARGUMENT, "score %s: %s", name ? name : "", reason);
    if (options.size == 0) options.size = query;
    *layer = (wg_score_layer){.options = options, .query = query, .key = key};
    const int64_t size = options.size;
    switch (options.kind) {
    case WG_SCORE_GENERAL: layer->W = wg__layer_param(set, name, "W", WG_DIMS(query, key), init); break;
    case WG_SCORE_CONCAT: layer->W = wg__layer_param(set, name, "W", WG_DIMS(size, query + key), init); break;
    case WG_SCORE_ADDITIVE:
        layer->W = wg__layer_param(set, name, "W", WG_DIMS(size, query), init);
        layer->U = wg__layer_param(set, name, "U", WG_DIMS(size, key), init);
        break;
    default: break;
    }
    if (options.kind >= WG_SCORE_CONCAT) {
        const double bound = 1 / sqrt((double)size);
        layer->v = wg__layer_param(set, name, "v", WG_DIMS(size), wg_init_uniform(-bound, bound));
    }
    return wg_params_status(set);
}

/* W [q; k] = W_q q + W_k k: a concat score is an additive score whose matrices are blocks of columns of W. */
static wg_tensor query_weight(const wg_score_layer *layer, wg_tape *tape)
{
    wg_tensor W = wg_use(tape, layer->W);
    return layer->options.kind == WG_SCORE_CONCAT ? wg_slice(W, 1, 0, layer->query) : W;
}

static wg_tensor key_weight(const wg_score_layer *layer, wg_tape *tape)
{
    if (layer->options.kind != WG_SCORE_CONCAT) return wg_use(tape, layer->U);
    return wg_slice(wg_use(tape, layer->W), 1, layer->query, layer->query + layer->key);
}

static bool same_tensor(wg_tensor a, wg_tensor b)
{
    return a.tape == b.tape && a.node == b.node && a.epoch == b.epoch;
}

/* x[B, T, size] where the mask, which broadcasts to [B, T], is true; 0 elsewhere. */
static wg_tensor seen_of(wg_tensor x, wg_tensor mask)
{
    return wg_where(wg_unsqueeze(mask, -1), x, wg_zeros(x.tape, wg_dtype_get(x), WG_SCALAR));
}

/* What the mask hides may be NaN: it is not read. */
wg_keys wg_score_keys(const wg_score_layer *layer, wg_tensor keys, wg_tensor values, wg_tensor mask)
{
    wg_keys result = {.keys = keys, .values = values, .mask = mask};
    if (!layer) return result.keys = wg__null_apply(keys, "score_keys"), result;
    if (mask.tape && keys.tape && values.tape) {
        result.keys = seen_of(keys, mask);
        result.values = same_tensor(keys, values) ? result.keys : seen_of(values, mask);
        keys = result.keys;
    }
    if (layer->options.kind == WG_SCORE_GENERAL)
        result.keys = wg_linear(keys, wg_use(keys.tape, layer->W), WG_NONE);
    else if (layer->options.kind >= WG_SCORE_CONCAT)
        result.keys = wg_linear(keys, key_weight(layer, keys.tape), WG_NONE);
    return result;
}

/* q[B, Tq, query] -> [B, Tq, T] */
static wg_tensor scores_of(const wg_score_layer *layer, wg_tensor q, const wg_keys *keys)
{
    if (layer->options.kind == WG_SCORE_SCALED) q = wg_scale(q, 1 / sqrt((double)layer->query));
    if (layer->options.kind < WG_SCORE_CONCAT) return wg_matmul(q, wg_t(keys->keys));
    wg_tensor projected = wg_linear(q, query_weight(layer, q.tape), WG_NONE);
    wg_tensor hidden = wg_tanh(wg_add(wg_unsqueeze(projected, 2), wg_unsqueeze(keys->keys, 1)));
    return wg_matmul(hidden, wg_use(q.tape, layer->v));
}

static wg_tensor gumbel_noise(wg_tensor like)
{
    wg_tensor u = wg_uniform(like.tape, wg_dtype_get(like), wg_shape_get(like), 1e-20, 1);
    return wg_neg(wg_log(wg_neg(wg_log(u))));
}

/* The weights, by kind of choice. */
static wg_tensor choose(const wg_score_options *o, wg_tensor scores, wg_tensor mask)
{
    const wg_dtype dtype = wg_dtype_get(scores);
    if (o->choice == WG_CHOICE_GUMBEL && wg_is_training(scores.tape)) scores = wg_add(scores, gumbel_noise(scores));
    wg_tensor e = o->temperature == 1 ? scores : wg_div_scalar(scores, o->temperature);
    wg_tensor soft = mask.tape ? wg_masked_softmax(e, mask, -1) : wg_softmax(e, -1);
    if (o->choice == WG_CHOICE_SOFT) return soft;
    const double least = dtype == WG_F32 ? -FLT_MAX : -DBL_MAX;
    if (mask.tape) scores = wg_where(mask, scores, wg_full(scores.tape, dtype, WG_SCALAR, least));
    wg_tensor hard = wg_hardmax(scores, -1);
    if (mask.tape) hard = wg_where(mask, hard, wg_full(scores.tape, dtype, WG_SCALAR, 0));
    return wg_straight_through(hard, soft);
}

wg_tensor wg_attend(const wg_score_layer *layer, wg_tensor q, const wg_keys *keys, wg_tensor mask,
                    wg_tensor *weights)
{
    if (!layer || !keys) return wg__null_apply(q, "attend");
    const bool single = wg_rank(q) == 2; /* one query per sequence */
    wg_tensor key_mask = keys->mask;
    if (key_mask.tape && wg_rank(key_mask) == 2) key_mask = wg_unsqueeze(key_mask, 1);
    if (mask.tape && single && wg_rank(mask) == 2) mask = wg_unsqueeze(mask, 1);
    if (key_mask.tape) mask = mask.tape ? wg_logical_and(key_mask, mask) : key_mask;
    wg_tensor w = choose(&layer->options, scores_of(layer, single ? wg_unsqueeze(q, 1) : q, keys), mask);
    wg_tensor context = wg_matmul(w, keys->values);
    if (weights) *weights = single ? wg_squeeze(w, 1) : w;
    return single ? wg_squeeze(context, 1) : context;
}

wg_tensor wg_window_mask(wg_tape *tape, int64_t T, int64_t center, int64_t window)
{
    wg_tensor distance = wg_sub(wg_arange(tape, WG_I32, 0, 1, T), wg_scalar(tape, WG_I32, (double)center));
    return wg_less_equal(wg_abs(distance),
                         wg_scalar(tape, WG_I32, (double)(window < INT32_MAX ? window : INT32_MAX)));
}

wg_tensor wg_key_mask(wg_tensor lengths, int64_t T)
{
    return wg_unsqueeze(wg_unsqueeze(wg_length_mask(lengths, T), 1), 1);
}

/* ---- multi-head attention ---- */

wg_mha_options wg_mha_defaults(void) { return (wg_mha_options){.bias = true}; }

static int64_t head_size_of(const wg_mha_options *o, int64_t size, int64_t heads)
{
    return o->head_size ? o->head_size : o->sum ? size : size / heads;
}

/* Why the options are invalid; NULL if they are valid. */
static const char *mha_invalid_reason(const wg_mha_options *o, int64_t size, int64_t heads)
{
    if (size < 1 || heads < 1) return "size and heads must be at least 1";
    if (o->head_size < 0 || o->key_size < 0 || o->value_size < 0) return "sizes must not be negative";
    if (o->head_size == 0 && !o->sum && size % heads != 0) return "the size must be a multiple of the heads";
    if (head_size_of(o, size, heads) > INT64_MAX / 3 / heads) return "sizes are out of range";
    if (!(o->dropout >= 0 && o->dropout < 1)) return "dropout must be in [0, 1)";
    return NULL;
}

wg_status wg_mha_init(wg_mha *layer, wg_params *set, const char *name, int64_t size, int64_t heads,
                      wg_mha_options options)
{
    if (!layer) return wg__null_init(set, "mha", name);
    const wg_init in_init = options.in_init ? *options.in_init : wg_init_glorot(), zeros = wg_init_zeros();
    *layer = (wg_mha){0};
    const char *reason = mha_invalid_reason(&options, size, heads);
    if (reason) return wg_params_fail(set, WG_ERR_ARGUMENT, "mha %s: %s", name ? name : "", reason);
    const int64_t head_size = head_size_of(&options, size, heads);
    const int64_t key_size = options.key_size ? options.key_size : size,
                  value_size = options.value_size ? options.value_size : size, rows = heads * head_size;
    *layer = (wg_mha){.options = options, .size = size, .heads = heads, .head_size = head_size};
    if (key_size == size && value_size == size) {
        layer->in_proj_weight = wg__layer_param(set, name, "in_proj_weight", WG_DIMS(3 * rows, size), in_init);
    } else {
        layer->q_proj_weight = wg__layer_param(set, name, "q_proj_weight", WG_DIMS(rows, size), in_init);
        layer->k_proj_weight = wg__layer_param(set, name, "k_proj_weight", WG_DIMS(rows, key_size), in_init);
        layer->v_proj_weight = wg__layer_param(set, name, "v_proj_weight", WG_DIMS(rows, value_size), in_init);
    }
    if (options.bias) layer->in_proj_bias = wg__layer_param(set, name, "in_proj_bias", WG_DIMS(3 * rows), zeros);
    if (options.sum) return wg_params_status(set);
    const wg_init out_init = options.out_init ? *options.out_init : wg_init_fan_in_uniform();
    layer->out_proj.weight = wg__layer_param(set, name, "out_proj.weight", WG_DIMS(size, rows), out_init);
    if (options.bias) layer->out_proj.bias = wg__layer_param(set, name, "out_proj.bias", WG_DIMS(size), zeros);
    return wg_params_status(set);
}

/* Projections first .. first + n - 1 of (q, k, v), for a shared input: one product. */
static void project(const wg_mha *layer, wg_tensor x, int first, int n, wg_tensor *out)
{
    const int64_t rows = layer->heads * layer->head_size, from = first * rows, to = (first + n) * rows;
    wg_param *const separate[] = {layer->q_proj_weight, layer->k_proj_weight, layer->v_proj_weight};
    wg_tensor bias = wg__use_or_none(x.tape, layer->in_proj_bias);
    if (bias.tape && n < 3) bias = wg_slice(bias, 0, from, to);
    wg_tensor weight =
        layer->in_proj_weight ? wg_use(x.tape, layer->in_proj_weight) : wg_use(x.tape, separate[first]);
    if (layer->in_proj_weight && n < 3) weight = wg_slice(weight, 0, from, to);
    wg_split(wg_linear(x, weight, bias), -1, n, out);
}

/* [..., T, H d] -> [..., H, T, d] */
static wg_tensor split_heads(const wg_mha *layer, wg_tensor x)
{
    wg_shape shape = wg_shape_get(x);
    if (shape.rank < 2 || shape.rank == WG_MAX_RANK)
        return wg_fail(x, WG_ERR_SHAPE, "mha", "x must have 2 to 7 axes: [..., time, size]");
    shape.size[shape.rank - 1] = layer->heads;
    shape.size[shape.rank++] = layer->head_size;
    return wg_transpose(wg_reshape(x, shape), -3, -2);
}

/* [..., H, T, d] -> [..., T, H d] */
static wg_tensor join_heads(wg_tensor z) { return wg_flatten(wg_transpose(z, -3, -2), -2, -1); }

wg_tensor wg__mha_query(const wg_mha *layer, wg_tensor q)
{
    wg_tensor out;
    project(layer, q, 0, 1, &out);
    return split_heads(layer, out);
}

void wg__mha_keys(const wg_mha *layer, wg_tensor k, wg_tensor v, wg_tensor *keys, wg_tensor *values)
{
    wg_tensor out[2];
    if (same_tensor(k, v) && layer->in_proj_weight) {
        project(layer, k, 1, 2, out);
    } else {
        project(layer, k, 1, 1, &out[0]);
        project(layer, v, 2, 1, &out[1]);
    }
    *keys = split_heads(layer, out[0]);
    *values = split_heads(layer, out[1]);
}

void wg__mha_self(const wg_mha *layer, wg_tensor x, wg_tensor out[3])
{
    project(layer, x, 0, 3, out);
    for (int i = 0; i < 3; i++) out[i] = split_heads(layer, out[i]);
}

wg_tensor wg__mha_attend(const wg_mha *layer, wg_tensor q, wg_tensor k, wg_tensor v, wg_attention_options options,
                         wg_tensor *weights)
{
    if (weights) *weights = WG_NONE;
    if (options.mask.tape && wg_rank(q) > 3 && wg_rank(options.mask) == 3)
        return wg_fail(q, WG_ERR_SHAPE, "mha",
                       "a mask of rank 3 would be taken as [H, Tq, Tk]: pass it as [1, H, Tq, Tk] or, per "
                       "sequence, [B, 1, Tq, Tk]");
    options.dropout = layer->options.dropout;
    wg_tensor z;
    if (weights) {
        *weights = wg_attention_weights(q, k, options);
        z = wg_attention_values(*weights, v, options);
    } else {
        z = wg_attention(q, k, v, options);
    }
    return layer->options.sum ? wg_sum(z, WG_AXES(-3), false) : wg_linear_apply(&layer->out_proj, join_heads(z));
}

wg_tensor wg_mha_apply(const wg_mha *layer, wg_tensor q, wg_tensor k, wg_tensor v, wg_attention_options options,
                       wg_tensor *weights)
{
    if (!layer) return wg__null_apply(q, "mha");
    wg_tensor heads[3];
    if (same_tensor(q, k) && same_tensor(k, v) && layer->in_proj_weight) {
        wg__mha_self(layer, q, heads);
    } else {
        heads[0] = wg__mha_query(layer, q);
        wg__mha_keys(layer, k, v, &heads[1], &heads[2]);
    }
    return wg__mha_attend(layer, heads[0], heads[1], heads[2], options, weights);
}

/* ---- positions ---- */

wg_tensor wg_sinusoid(wg_tensor position, int64_t size, wg_dtype dtype)
{
    if (size < 1)
        return wg_fail(position, WG_ERR_ARGUMENT, "sinusoid", "size %lld is less than 1", (long long)size);
    const int64_t pairs = size / 2 + size % 2;
    wg_tensor i = wg_arange(position.tape, WG_F64, 0, 1, pairs); /* f64, since an angle may be thousands of turns */
    wg_tensor frequency = wg_exp(wg_scale(i, -2 * log(10000) / (double)size));
    wg_tensor angle = wg_mul(wg_unsqueeze(wg_cast(position, WG_F64), -1), frequency);
    wg_tensor both = wg_flatten(wg_stack((wg_tensor[]){wg_sin(angle), wg_cos(angle)}, 2, -1), -2, -1);
    return wg_cast(size % 2 ? wg_slice(both, -1, 0, size) : both, dtype);
}

wg_status wg_position_init(wg_position_layer *layer, wg_params *set, const char *name, wg_position_kind kind,
                           int64_t length, int64_t size, double deviation)
{
    if (!layer) return wg__null_init(set, "position", name);
    *layer = (wg_position_layer){0};
    if (kind < WG_POSITION_NONE || kind > WG_POSITION_LEARNED)
        return wg_params_fail(set, WG_ERR_ARGUMENT, "position %s: kind is not a wg_position_kind",
                              name ? name : "");
    layer->kind = kind;
    if (kind == WG_POSITION_LEARNED)
        layer->weight = wg__layer_param(set, name, "weight", WG_DIMS(length, size), wg_init_normal(0, deviation));
    return wg_params_status(set);
}

wg_tensor wg_position_apply_at(const wg_position_layer *layer, wg_tensor x, wg_tensor position)
{
    if (!layer) return wg__null_apply(x, "position");
    switch (layer->kind) {
    case WG_POSITION_SINUSOID: return wg_add(x, wg_sinusoid(position, wg_size(x, -1), wg_dtype_get(x)));
    case WG_POSITION_LEARNED: return wg_add(x, wg_embedding(wg_use(x.tape, layer->weight), position));
    default: return wg_reshape(x, wg_shape_get(x));
    }
}

wg_tensor wg_position_apply(const wg_position_layer *layer, wg_tensor x)
{
    if (!layer) return wg__null_apply(x, "position");
    if (layer->kind == WG_POSITION_NONE) return wg_reshape(x, wg_shape_get(x));
    if (wg_rank(x) < 2)
        return wg_fail(x, WG_ERR_SHAPE, "position", "x must have 2 axes or more: [..., time, size]");
    const int64_t T = wg_size(x, -2);
    if (layer->kind == WG_POSITION_SINUSOID)
        return wg_position_apply_at(layer, x, wg_arange(x.tape, WG_I32, 0, 1, T));
    if (T > wg_param_shape(layer->weight).size[0])
        return wg_fail(x, WG_ERR_SHAPE, "position", "%lld positions, but the layer has %lld", (long long)T,
                       (long long)wg_param_shape(layer->weight).size[0]);
    return wg_add(x, wg_slice(wg_use(x.tape, layer->weight), 0, 0, T));
}
