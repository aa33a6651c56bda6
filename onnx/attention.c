/* Attention, rotary positions, gated activations. */
#include <string.h>

#include "attention.h"

/* Operands of a node, as [B, heads, T, d], and which keys a query sees. */
typedef struct attention {
    wg_tensor q, k, v;
    int64_t batch, heads, key_heads, queries, keys, past;
    bool flat;            /* operands and result are [B, T, heads d] */
    bool causal;          /* by the option of wg_attention */
    wg_tensor mask, bias; /* or WG_NONE */
    double scale, softcap;
} attention;

wg_tensor wg__split_heads(wg__call *c, wg_tensor x, int64_t heads)
{
    const wg_shape s = wg_shape_get(x);
    if (s.rank != 3) return x;
    if (heads < 1 || s.size[2] % heads != 0) {
        wg__call_fail(c, WG_ERR_SHAPE, "%lld elements for %lld heads", (long long)s.size[2], (long long)heads);
        return x;
    }
    return wg_transpose(wg_reshape(x, WG_DIMS(s.size[0], s.size[1], heads, s.size[2] / heads)), 1, 2);
}

wg_tensor wg__join_heads(wg_tensor x)
{
    const wg_shape s = wg_shape_get(x);
    return wg_reshape(wg_transpose(x, 1, 2), WG_DIMS(s.size[0], s.size[2], s.size[1] * s.size[3]));
}

static bool operands_of(wg__call *c, attention *a)
{
    a->flat = wg_rank(wg__tensor(c, 0)) == 3;
    a->q = wg__split_heads(c, wg__tensor(c, 0), wg__attribute_int(c->node, "q_num_heads", 0));
    a->k = wg__split_heads(c, wg__tensor(c, 1), wg__attribute_int(c->node, "kv_num_heads", 0));
    a->v = wg__split_heads(c, wg__tensor(c, 2), wg__attribute_int(c->node, "kv_num_heads", 0));
    if (wg__has(c, 4) && wg__has(c, 5)) {
        const wg_tensor keys[] = {wg__tensor(c, 4), a->k}, values[] = {wg__tensor(c, 5), a->v};
        a->past = wg_rank(keys[0]) == 4 ? wg_size(keys[0], 2) : 0;
        a->k = wg_concat(keys, 2, 2);
        a->v = wg_concat(values, 2, 2);
    }
    const wg_shape q = wg_shape_get(a->q), k = wg_shape_get(a->k);
    if (wg__call_failed(c)) return false;
    if (q.rank != 4 || k.rank != 4 || k.size[1] < 1 || q.size[1] % k.size[1] != 0) {
        wg__call_fail(c, WG_ERR_SHAPE, "queries and keys are not [B, heads, T, d] or [B, T, heads d]");
        return false;
    }
    a->batch = q.size[0], a->heads = q.size[1], a->queries = q.size[2], a->key_heads = k.size[1],
    a->keys = k.size[2];
    a->scale = wg__attribute_float(c->node, "scale", -1);
    a->softcap = wg__attribute_float(c->node, "softcap", 0);
    return true;
}

static void add_mask(attention *a, wg_tensor mask)
{
    a->mask = a->mask.tape ? wg_logical_and(a->mask, mask) : mask;
}

/* The mask of operand 3, whose last axis may be shorter than there are keys: these are masked. */
static void add_operand(wg__call *c, attention *a)
{
    wg_tensor mask = wg__tensor(c, 3);
    const int64_t n = wg_rank(mask) > 0 ? wg_size(mask, -1) : 1;
    const bool is_bool = wg_dtype_get(mask) == WG_BOOL;
    if (n < a->keys && (n != 1 || wg__has(c, 6)))
        mask = wg_pad_value(mask, -1, 0, a->keys - n, is_bool ? 0 : -__builtin_inf());
    if (is_bool)
        add_mask(a, mask);
    else
        a->bias = mask;
}

/* Positions of keys against those of queries: causal, windows, and how many keys are there. */
static void add_positions(wg__call *c, attention *a)
{
    const bool causal = wg__attribute_int(c->node, "is_causal", 0) != 0;
    const int64_t left = wg__attribute_int(c->node, "left_window_size", -1);
    const int64_t right = wg__attribute_int(c->node, "right_window_size", -1);
    if (causal && a->past == 0 && !wg__has(c, 6)) a->causal = true;
    const wg_tensor key = wg_arange(c->tape, WG_I32, 0, 1, a->keys);
    wg_tensor query =
        wg_reshape(wg_arange(c->tape, WG_I32, (double)a->past, 1, a->queries), WG_DIMS(a->queries, 1));
    if (wg__has(c, 6)) {
        const wg_tensor count = wg_reshape(wg__tensor(c, 6), WG_DIMS(a->batch, 1, 1, 1));
        add_mask(a, wg_less(key, count));
        query = wg_add(query, wg_sub_scalar(count, (double)a->queries));
    }
    if (causal && !a->causal) add_mask(a, wg_less_equal(key, query));
    if (left >= 0) add_mask(a, wg_greater_equal(key, wg_sub_scalar(query, (double)left)));
    if (right >= 0) add_mask(a, wg_less_equal(key, wg_add_scalar(query, (double)right)));
}

/* By its formula, of which a step is result 3. */
static wg_tensor by_formula(wg__call *c, attention *a, wg_tensor k, wg_tensor v)
{
    const double scale = a->scale > 0 ? a->scale : 1 / __builtin_sqrt((double)wg_size(a->q, 3));
    wg_tensor steps[4], scores = wg_scale(wg_matmul(a->q, wg_t(k)), scale);
    steps[0] = scores;
    if (a->softcap > 0) scores = wg_scale(wg_tanh(wg_scale(scores, 1 / a->softcap)), a->softcap);
    steps[1] = scores;
    if (a->causal) add_mask(a, wg_tril_mask(c->tape, a->queries, a->keys, 0));
    if (a->bias.tape) scores = wg_add(scores, a->bias);
    const wg_shape shape = wg_shape_get(scores);
    if (a->mask.tape) scores = wg_masked_fill(scores, wg_expand(wg_logical_not(a->mask), shape), -__builtin_inf());
    steps[2] = scores;
    steps[3] = wg_softmax(scores, -1);
    const int64_t mode = wg__attribute_int(c->node, "qk_matmul_output_mode", 0);
    if (wg__wants(c, 3)) wg__set(c, 3, steps[mode], wg__type_of(c, 0));
    return wg_matmul(steps[3], v);
}

static void record_attention(wg__call *c)
{
    attention a = {0};
    if (!operands_of(c, &a)) return;
    wg__set(c, 1, a.k, wg__type_of(c, 1));
    wg__set(c, 2, a.v, wg__type_of(c, 2));
    if (wg__has(c, 3)) add_operand(c, &a);
    add_positions(c, &a);
    const int64_t times = a.heads / a.key_heads;
    const wg_tensor k = times > 1 ? wg_repeat_heads(a.k, times) : a.k,
                    v = times > 1 ? wg_repeat_heads(a.v, times) : a.v;
    wg_attention_options options = wg_attention_defaults();
    options.causal = a.causal;
    options.mask = a.mask;
    options.bias = a.bias;
    options.scale = a.scale;
    const bool plain = a.softcap == 0 && !wg__wants(c, 3);
    const wg_tensor y = plain ? wg_attention(a.q, k, v, options) : by_formula(c, &a, k, v);
    wg__set(c, 0, a.flat ? wg__join_heads(y) : y, wg__type_of(c, 0));
}

static const char *refuse_attention(const wg__onnx_node *node)
{
    const int64_t mode = wg__attribute_int(node, "qk_matmul_output_mode", 0);
    return mode >= 0 && mode <= 3 ? NULL : "qk_matmul_output_mode: 0 to 3 are known";
}

/* ---- RotaryEmbedding ---- */

wg_tensor wg__turn_heads(wg_tensor x, wg_tensor cosine, wg_tensor sine, int64_t n, bool interleaved)
{
    const int64_t d = wg_size(x, -1);
    const wg_tensor turned = wg_slice(x, -1, 0, n), cos = wg_unsqueeze(cosine, 1), sin = wg_unsqueeze(sine, 1);
    const wg_tensor a = interleaved ? wg_slice_step(turned, -1, 0, n, 2) : wg_slice(turned, -1, 0, n / 2);
    const wg_tensor b = interleaved ? wg_slice_step(turned, -1, 1, n, 2) : wg_slice(turned, -1, n / 2, n);
    const wg_tensor pair[] = {wg_sub(wg_mul(cos, a), wg_mul(sin, b)), wg_add(wg_mul(sin, a), wg_mul(cos, b))};
    const wg_tensor parts[] = {interleaved ? wg_flatten(wg_stack(pair, 2, 4), 3, 4) : wg_concat(pair, 2, -1),
                               wg_slice(x, -1, n, d)};
    return n < d ? wg_concat(parts, 2, -1) : parts[0];
}

/* Rows of a cache for positions [B, T]; without positions the cache is [B, T, d / 2]. */
static wg_tensor cache_of(wg__call *c, int k)
{
    const wg_tensor cache = wg__tensor(c, k);
    return wg__has(c, 3) ? wg_embedding(cache, wg__tensor(c, 3)) : cache;
}

static void record_rotary(wg__call *c)
{
    const bool flat = wg_rank(wg__tensor(c, 0)) == 3,
               interleaved = wg__attribute_int(c->node, "interleaved", 0) != 0;
    const wg_tensor x = wg__split_heads(c, wg__tensor(c, 0), wg__attribute_int(c->node, "num_heads", 0));
    const int64_t d = wg_size(x, -1), given = wg__attribute_int(c->node, "rotary_embedding_dim", 0),
                  n = given ? given : d;
    if (wg__call_failed(c)) return;
    if (wg_rank(x) != 4 || n < 2 || n > d || n % 2 != 0) {
        wg__call_fail(c, WG_ERR_SHAPE, "%lld of %lld elements are turned", (long long)n, (long long)d);
        return;
    }
    const wg_tensor y = wg__turn_heads(x, cache_of(c, 1), cache_of(c, 2), n, interleaved);
    wg__set(c, 0, flat ? wg__join_heads(y) : y, wg__type_of(c, 0));
}

/* silu(alpha a) b / alpha. */
static void record_swiglu(wg__call *c)
{
    const double alpha = wg__attribute_float(c->node, "alpha", 1);
    const wg_tensor a = wg__tensor(c, 0), b = wg__tensor(c, 1);
    const wg_tensor y = alpha == 1 ? wg_swiglu(a, b) : wg_mul(wg_mul(a, wg_sigmoid(wg_scale(a, alpha))), b);
    wg__set(c, 0, y, wg__type_of(c, 0));
}

const wg__onnx_row wg__onnx_attention[] = {
    {"Attention", record_attention, 23, 3, 7,
     "is_causal=i kv_num_heads=i q_num_heads=i qk_matmul_output_mode=i scale=f softcap=f softmax_precision=i "
     "left_window_size=i right_window_size=i",
     .refuse = refuse_attention},
    {"RotaryEmbedding", record_rotary, 23, 3, 4, "interleaved=i num_heads=i rotary_embedding_dim=i"},
    {"SwiGLU", record_swiglu, 28, 2, 2, "alpha=f"},
    {NULL},
};
