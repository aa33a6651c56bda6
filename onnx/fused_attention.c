/* Attention of ONNX Runtime's domain com.microsoft, which its optimizer makes of whole layers, and which exporters of
 * language models write. What a mask hides gets mask_filter_value (-10000) added to its score, not minus infinity. */
#include <string.h>

#include "attention.h"

/* Operands as [B, heads, T, d], of which `past` keys come first. */
typedef struct fused {
    wg_tensor q, k, v;
    int64_t batch, heads, queries, keys, past;
    wg_tensor mask, bias; /* or WG_NONE */
} fused;

/* Whether sizes are as the operands of attention must have them; fails if not. */
static bool sizes_of(wg__call *c, fused *a)
{
    const wg_shape q = wg_shape_get(a->q), k = wg_shape_get(a->k), v = wg_shape_get(a->v);
    if (wg__call_failed(c)) return false;
    const bool fits = q.rank == 4 && k.rank == 4 && v.rank == 4 && k.size[1] == v.size[1] &&
                      k.size[2] == v.size[2] && k.size[1] > 0 && q.size[1] % k.size[1] == 0;
    if (!fits) {
        wg__call_fail(c, WG_ERR_SHAPE,
                      "queries, keys and values are not [B, T, heads d]; packed ones are not known");
        return false;
    }
    a->batch = q.size[0], a->heads = q.size[1], a->queries = q.size[2], a->keys = k.size[2];
    return true;
}

/* Puts keys or values of earlier calls before those of this one. */
static wg_tensor after(wg_tensor past, wg_tensor x)
{
    const wg_tensor both[] = {past, x};
    return wg_concat(both, 2, 2);
}

/* Keys that are not padding, [B or 1, 1, 1 or queries, keys]: from the lengths [B], or the ends and then the starts
 * [2 B], or from ones and zeros [B, keys] or [B, queries, keys]. */
static wg_tensor visible(wg__call *c, const fused *a, wg_tensor mask)
{
    const wg_shape s = wg_shape_get(mask);
    const wg_tensor key = wg_arange(c->tape, WG_I32, 0, 1, a->keys), zero = wg_scalar(c->tape, WG_I32, 0);
    const wg_shape column = WG_DIMS(a->batch, 1, 1, 1);
    if (wg_dtype_get(mask) != WG_I32) mask = wg_cast(mask, WG_I32);
    if (s.rank == 1 && s.size[0] == a->batch) return wg_less(key, wg_reshape(mask, column));
    if (s.rank == 1 && s.size[0] == 2 * a->batch)
        return wg_logical_and(wg_less(key, wg_reshape(wg_slice(mask, 0, 0, a->batch), column)),
                              wg_greater_equal(key, wg_reshape(wg_slice(mask, 0, a->batch, 2 * a->batch), column)));
    if (s.rank == 2 && s.size[1] == a->keys) mask = wg_unsqueeze(mask, 1);
    if (wg_rank(mask) == 3) return wg_unsqueeze(wg_greater(mask, zero), 1);
    if (!wg__call_failed(c))
        wg__call_fail(c, WG_ERR_SHAPE, "a mask of %d axes does not fit %lld keys", s.rank, (long long)a->keys);
    return WG_NONE;
}

/* The masks of operand `mask` (-1: none), additions of operand `bias`, and, if causal, the keys of earlier queries
 * alone. */
static void score(wg__call *c, fused *a, int mask, int bias, bool causal)
{
    if (wg__has(c, bias)) a->bias = wg__tensor(c, bias);
    if (mask >= 0 && wg__has(c, mask)) {
        const double filter = wg__attribute_float(c->node, "mask_filter_value", -10000);
        const wg_tensor hidden = wg_where(visible(c, a, wg__tensor(c, mask)), wg__scalar_like(c, a->q, 0),
                                          wg__scalar_like(c, a->q, filter));
        a->bias = a->bias.tape ? wg_add(a->bias, hidden) : hidden;
    }
    if (causal) a->mask = wg_tril_mask(c->tape, a->queries, a->keys, a->past);
}

static void set_result(wg__call *c, const fused *a)
{
    wg_attention_options options = wg_attention_defaults();
    const double scale = wg__attribute_float(c->node, "scale", 0);
    const int64_t times = a->heads / wg_size(a->k, 1);
    if (scale > 0) options.scale = scale;
    options.mask = a->mask;
    options.bias = a->bias;
    const wg_tensor k = times > 1 ? wg_repeat_heads(a->k, times) : a->k;
    const wg_tensor v = times > 1 ? wg_repeat_heads(a->v, times) : a->v;
    wg__set(c, 0, wg__join_heads(wg_attention(a->q, k, v, options)), wg__type_of(c, 0));
}

/* ---- Attention: input, weights, bias, mask, past, addition to the scores ---- */

/* The sizes of queries, keys and values: an attribute, or thirds of the product. */
static bool parts_of(wg__call *c, int64_t all, int64_t *size)
{
    const int n = wg__attribute_ints(c->node, "qkv_hidden_sizes", size, 3);
    if (n < 0) size[0] = size[1] = size[2] = all / 3;
    if ((n < 0 || n == 3) && size[0] > 0 && size[1] == size[0] && size[2] > 0 && size[2] <= all &&
        size[0] <= all / 2 && 2 * size[0] + size[2] == all)
        return true;
    if (!wg__call_failed(c))
        wg__call_fail(c, WG_ERR_SHAPE, "%lld columns of the weights are not those of q, k and v", (long long)all);
    return false;
}

static void record_attention(wg__call *c)
{
    const int64_t heads = wg__attribute_int(c->node, "num_heads", 0);
    wg_tensor x = wg_matmul(wg__tensor(c, 0), wg__tensor(c, 1));
    if (wg__has(c, 2)) x = wg_add(x, wg__tensor(c, 2));
    int64_t size[3] = {0};
    if (wg_rank(x) != 3 && !wg__call_failed(c))
        wg__call_fail(c, WG_ERR_SHAPE, "the input is not [B, T, size], but has %d axes", wg_rank(x));
    if (wg__call_failed(c) || !parts_of(c, wg_size(x, 2), size)) return;
    const int64_t k = size[0], v = size[0] + size[1];
    fused a = {.q = wg__split_heads(c, wg_slice(x, 2, 0, k), heads),
               .k = wg__split_heads(c, wg_slice(x, 2, k, v), heads),
               .v = wg__split_heads(c, wg_slice(x, 2, v, v + size[2]), heads)};
    if (wg__has(c, 4) && !wg__call_failed(c)) {
        const wg_tensor past = wg__tensor(c, 4);
        a.past = wg_rank(past) == 5 ? wg_size(past, 3) : 0;
        a.k = after(wg_select(past, 0, 0), a.k);
        a.v = after(wg_select(past, 0, 1), a.v);
    }
    if (!sizes_of(c, &a)) return;
    const wg_tensor present[] = {a.k, a.v};
    if (wg__wants(c, 1)) wg__set(c, 1, wg_stack(present, 2, 0), wg__type_of(c, 0));
    score(c, &a, 3, 5, wg__attribute_int(c->node, "unidirectional", 0) != 0);
    set_result(c, &a);
}

static const char *refuse_attention(const wg__onnx_node *node)
{
    if (wg__attribute_int(node, "do_rotary", 0)) return "do_rotary = 1: export without fused operators";
    return wg__attribute_int(node, "past_present_share_buffer", 0) ? "past_present_share_buffer = 1: set it to 0"
                                                                   : NULL;
}

/* ---- MultiHeadAttention: query, key, value, bias, mask, addition to the scores, past key, past value ---- */

/* Operand k with its part of the bias, in heads; of another attention's heads as they are. */
static wg_tensor part_of(wg__call *c, int k, int64_t heads, int64_t *start)
{
    wg_tensor x = wg__tensor(c, k);
    const int64_t n = wg_rank(x) == 3 ? wg_size(x, 2) : 0;
    if (wg__has(c, 3) && n > 0) x = wg_add(x, wg_slice(wg__tensor(c, 3), 0, *start, *start + n));
    *start += n;
    return wg__split_heads(c, x, heads);
}

static void record_multi_head(wg__call *c)
{
    const int64_t heads = wg__attribute_int(c->node, "num_heads", 0);
    int64_t start = 0;
    fused a = {.q = part_of(c, 0, heads, &start)};
    a.k = part_of(c, 1, heads, &start);
    a.v = part_of(c, 2, heads, &start);
    if (wg__has(c, 6) && wg__has(c, 7)) {
        const wg_tensor past = wg__tensor(c, 6);
        a.past = wg_rank(past) == 4 ? wg_size(past, 2) : 0;
        a.k = after(past, a.k);
        a.v = after(wg__tensor(c, 7), a.v);
    }
    if (!sizes_of(c, &a)) return;
    wg__set(c, 1, a.k, wg__type_of(c, 1));
    wg__set(c, 2, a.v, wg__type_of(c, 2));
    score(c, &a, 4, 5, wg__attribute_int(c->node, "unidirectional", 0) != 0);
    set_result(c, &a);
}

/* ---- RotaryEmbedding: x, positions, caches of cosines and sines [most, d / 2] ---- */

/* Rows of a cache for positions [B, T], or for those from one number on. */
static wg_tensor rows_of(wg__call *c, int k, wg_tensor positions, int64_t count)
{
    if (wg_numel(positions) == 1 && count != 1)
        positions = wg_add(wg_reshape(positions, WG_DIMS(1, 1)), wg_arange(c->tape, WG_I32, 0, 1, count));
    return wg_embedding(wg__tensor(c, k), positions);
}

static void record_rotary(wg__call *c)
{
    const wg_tensor given = wg__tensor(c, 0), positions = wg__tensor(c, 1);
    const int64_t width = 2 * wg_size(wg__tensor(c, 2), -1);
    const int64_t named = wg__attribute_int(c->node, "num_heads", 0), last = wg_size(given, -1);
    const wg_tensor x = wg__split_heads(c, given,
                                        named > 0                        ? named
                                        : width > 0 && last % width == 0 ? last / width
                                                                         : 1);
    if (wg__call_failed(c)) return;
    if (wg_rank(x) != 4 || width < 2 || width > wg_size(x, 3)) {
        wg__call_fail(c, WG_ERR_SHAPE, "%lld of %lld elements are turned", (long long)width,
                      (long long)wg_size(x, -1));
        return;
    }
    const int64_t count = wg_size(x, 2);
    const wg_tensor y = wg__turn_heads(x, rows_of(c, 2, positions, count), rows_of(c, 3, positions, count), width,
                                       wg__attribute_int(c->node, "interleaved", 0) != 0);
    wg__set(c, 0, wg_rank(given) == 3 ? wg__join_heads(y) : y, wg__type_of(c, 0));
}

static const char *refuse_rotary(const wg__onnx_node *node)
{
    if (wg__attribute_float(node, "scale", 1) != 1) return "a scale: multiply the caches by it";
    return wg__attribute_int(node, "is_packed_batching", 0) ? "is_packed_batching = 1: export with a batch" : NULL;
}

/* ---- GroupQueryAttention: query, key, value, past key, past value, lengths - 1, most keys, caches ---- */

/* Turns queries and keys, which follow those of the past. */
static void turn(wg__call *c, fused *a)
{
    const wg_tensor cosine = wg_slice(wg__tensor(c, 7), 0, a->past, a->past + wg_size(a->q, 2));
    const wg_tensor sine = wg_slice(wg__tensor(c, 8), 0, a->past, a->past + wg_size(a->q, 2));
    const bool interleaved = wg__attribute_int(c->node, "rotary_interleaved", 0) != 0;
    const int64_t n = 2 * wg_size(cosine, -1);
    if (wg__call_failed(c)) return;
    if (n > wg_size(a->q, -1)) {
        wg__call_fail(c, WG_ERR_SHAPE, "%lld of %lld elements are turned", (long long)n,
                      (long long)wg_size(a->q, -1));
        return;
    }
    a->q = wg__turn_heads(a->q, wg_unsqueeze(cosine, 0), wg_unsqueeze(sine, 0), n, interleaved);
    a->k = wg__turn_heads(a->k, wg_unsqueeze(cosine, 0), wg_unsqueeze(sine, 0), n, interleaved);
}

/* That all rows are as long as there are keys: keys of the past stand before the new ones without gaps. Without a past,
 * what follows the end of a row is hidden by the order of keys. */
static bool are_full(wg__call *c, const fused *a)
{
    int64_t n;
    const double *ends = wg__known(c, 5, &n);
    bool full = ends != NULL;
    for (int64_t i = 0; i < n && full && a->past > 0; i++)
        full = ends[i] + 1 == (double)(a->past + wg_size(a->q, 2));
    if (!full && !wg__call_failed(c))
        wg__call_fail(c, WG_ERR_ARGUMENT,
                      "with %lld keys of the past, seqlens_k + 1 must be their and the new ones' number",
                      (long long)a->past);
    return full;
}

static void record_group_query(wg__call *c)
{
    const int64_t heads = wg__attribute_int(c->node, "num_heads", 0);
    const int64_t key_heads = wg__attribute_int(c->node, "kv_num_heads", 0);
    const int64_t window = wg__attribute_int(c->node, "local_window_size", -1);
    fused a = {.q = wg__split_heads(c, wg__tensor(c, 0), heads),
               .k = wg__split_heads(c, wg__tensor(c, 1), key_heads),
               .v = wg__split_heads(c, wg__tensor(c, 2), key_heads)};
    const wg_tensor past = wg__tensor(c, 3);
    if (!sizes_of(c, &a)) return;
    a.past = wg_rank(past) == 4 ? wg_size(past, 2) : 0;
    if (!are_full(c, &a)) return;
    if (wg__attribute_int(c->node, "do_rotary", 0)) turn(c, &a);
    if (a.past > 0) {
        a.k = after(past, a.k);
        a.v = after(wg__tensor(c, 4), a.v);
    }
    if (!sizes_of(c, &a)) return;
    wg__set(c, 1, a.k, wg__type_of(c, 1));
    wg__set(c, 2, a.v, wg__type_of(c, 2));
    score(c, &a, -1, 10, true);
    if (window > 0 && window < a.keys)
        a.mask = wg_logical_and(a.mask, wg_logical_not(wg_tril_mask(c->tape, a.queries, a.keys, a.past - window)));
    set_result(c, &a);
}

static const char *refuse_group_query(const wg__onnx_node *node)
{
    if (node->n_in < 7 || !node->in[5] || !node->in[6]) return "seqlens_k or total_sequence_length is missing";
    for (int k = 0; k < node->n_in; k++) {
        if ((k == 1 || k == 2) && !node->in[k])
            return "packed queries, keys and values: export with three operands";
        if (k != 10 && k > 8 && node->in[k]) return "an operand after the caches that is no attention_bias";
    }
    if (wg__attribute_int(node, "do_rotary", 0) && (node->n_in < 9 || !node->in[7] || !node->in[8]))
        return "do_rotary = 1 without caches";
    if (wg__attribute_float(node, "softcap", 0) > 0) return "softcap: export without fused operators";
    if (wg__attribute_int(node, "smooth_softmax", 0) > 0)
        return "smooth_softmax = 1: export without fused operators";
    return NULL;
}

const wg__onnx_row wg__onnx_fused_attention[] = {
    {"com.microsoft.Attention", record_attention, 1, 2, 6,
     "do_rotary=i mask_filter_value=f num_heads=i past_present_share_buffer=i qkv_hidden_sizes=I scale=f "
     "unidirectional=i",
     .refuse = refuse_attention},
    {"com.microsoft.MultiHeadAttention", record_multi_head, 1, 3, 8,
     "mask_filter_value=f num_heads=i scale=f unidirectional=i"},
    {"com.microsoft.GroupQueryAttention", record_group_query, 1, 1, 11,
     "do_rotary=i kv_num_heads=i local_window_size=i num_heads=i rotary_interleaved=i scale=f smooth_softmax=i "
     "softcap=f",
     1 << 5, .refuse = refuse_group_query},
    {"com.microsoft.RotaryEmbedding", record_rotary, 1, 4, 4,
     "interleaved=i is_packed_batching=i num_heads=i rotary_embedding_dim=i scale=f", .refuse = refuse_rotary},
    {NULL},
};
