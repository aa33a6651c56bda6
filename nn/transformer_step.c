/* Decoding one position at a time, with keys and values cached in buffers. */
#include <stdio.h>

#include "../ops/indexing.h"
#include "internal.h"
#include "transformer.h"

wg_status wg_kv_cache_init(wg_kv_cache *cache, const wg_transformer_stack *stack, wg_params *set, const char *name,
                           int64_t batch, int64_t length, int64_t memory)
{
    if (!cache || !stack) return wg__null_init(set, "kv_cache", name);
    *cache = (wg_kv_cache){0};
    if (batch < 1 || length < 1 || memory < 0 || (stack->decoder && memory < 1))
        return wg_params_fail(set, WG_ERR_ARGUMENT,
                              "kv_cache %s: batch, length and a decoder's memory must be at least 1",
                              name ? name : "");
    *cache = (wg_kv_cache){.stack = stack, .batch = batch, .length = length, .memory = memory};
    for (int l = 0; l < stack->layers; l++) {
        const wg_mha *mha = &stack->layer[l].self_attn;
        const wg_shape self = WG_DIMS(batch, mha->heads, length, mha->head_size),
                       cross = WG_DIMS(batch, mha->heads, memory, mha->head_size);
        char text[32];
        snprintf(text, sizeof text, "k_l%d", l);
        cache->k[l] = wg__layer_buffer(set, name, text, self, wg_init_zeros());
        snprintf(text, sizeof text, "v_l%d", l);
        cache->v[l] = wg__layer_buffer(set, name, text, self, wg_init_zeros());
        if (!stack->decoder) continue;
        snprintf(text, sizeof text, "memory_k_l%d", l);
        cache->memory_k[l] = wg__layer_buffer(set, name, text, cross, wg_init_zeros());
        snprintf(text, sizeof text, "memory_v_l%d", l);
        cache->memory_v[l] = wg__layer_buffer(set, name, text, cross, wg_init_zeros());
    }
    return wg_params_status(set);
}

void wg_kv_cache_begin(const wg_kv_cache *cache, wg_tensor memory)
{
    if (!cache) return;
    for (int l = 0; cache->stack && cache->stack->decoder && l < cache->stack->layers; l++) {
        wg_tensor k, v;
        wg__mha_keys(&cache->stack->layer[l].multihead_attn, memory, memory, &k, &v);
        wg_assign(cache->memory_k[l], k);
        wg_assign(cache->memory_v[l], v);
    }
}

/* The position of a step in the cache. */
typedef struct cache_position {
    wg_tensor now;     /* i32: the row that this step writes */
    wg_tensor visible; /* bool [length]: the rows up to this step's */
    wg_tensor parents; /* or WG_NONE */
} cache_position;

/* The buffer's value, with rows permuted by parents. */
static wg_tensor rows_of(wg_buffer *buffer, const cache_position *at)
{
    wg_tensor rows = wg_use(at->now.tape, buffer);
    return at->parents.tape ? wg_index_select(rows, 0, at->parents) : rows;
}

/* Replaces one row; assigns the result to the buffer and returns it. */
static wg_tensor write_row(wg_buffer *buffer, const cache_position *at, wg_tensor row)
{
    wg_tensor rows = wg_update_slice(rows_of(buffer, at), 2, at->now, row);
    wg_assign(buffer, rows);
    return rows;
}

/* The memory's keys or values. With parents, the permuted rows are assigned back to the buffer. */
static wg_tensor memory_of(wg_buffer *buffer, const cache_position *at)
{
    wg_tensor rows = rows_of(buffer, at);
    if (at->parents.tape) wg_assign(buffer, rows);
    return rows;
}

static wg_tensor layer_step(const wg_kv_cache *cache, int l, wg_tensor x, const cache_position *at,
                            wg_attention_options cross)
{
    const wg_transformer_layer *layer = &cache->stack->layer[l];
    const wg_mha *mha = &layer->self_attn;
    wg_attention_options self = wg_attention_defaults();
    self.mask = at->visible;
    wg_tensor heads[3];
    wg__mha_self(mha, wg__transformer_branch_input(layer, &layer->norm1, x), heads);
    wg_tensor k = write_row(cache->k[l], at, heads[1]), v = write_row(cache->v[l], at, heads[2]);
    x = wg__transformer_add_branch(layer, &layer->norm1, x, wg__mha_attend(mha, heads[0], k, v, self, NULL));
    if (layer->decoder) {
        mha = &layer->multihead_attn;
        wg_tensor q = wg__mha_query(mha, wg__transformer_branch_input(layer, &layer->norm2, x));
        wg_tensor mk = memory_of(cache->memory_k[l], at), mv = memory_of(cache->memory_v[l], at);
        x = wg__transformer_add_branch(layer, &layer->norm2, x, wg__mha_attend(mha, q, mk, mv, cross, NULL));
    }
    return wg__transformer_feed_forward(layer, x);
}

static bool in_range(const wg_kv_cache *cache, wg_tensor x, int64_t position, const char *op)
{
    if (!cache->stack) return wg_fail(x, WG_ERR_ARGUMENT, op, "the cache was not initialized"), false;
    if (position >= 0 && position < cache->length) return true;
    wg_fail(x, WG_ERR_ARGUMENT, op, "position %lld is not in 0 .. %lld", (long long)position,
            (long long)cache->length - 1);
    return false;
}

wg_tensor wg_transformer_step(const wg_kv_cache *cache, wg_tensor x, int64_t position, wg_attention_options cross,
                              wg_tensor parents)
{
    if (!cache) return wg__null_apply(x, "transformer_step");
    const wg_transformer_stack *stack = cache->stack;
    wg_tape *tape = x.tape;
    if (!in_range(cache, x, position, "transformer_step")) return (wg_tensor){.tape = tape};
    if (wg_rank(x) != 2 || wg_size(x, 0) != cache->batch)
        return wg_fail(x, WG_ERR_SHAPE, "transformer_step", "x must be [%lld, %lld], one position per sequence",
                       (long long)cache->batch, (long long)stack->size);
    wg_scope_begin(tape, stack->name);
    wg_tensor rows = wg_arange(tape, WG_I32, 0, 1, cache->length), now = wg_scalar(tape, WG_I32, (double)position);
    const cache_position at = {now, wg_less_equal(rows, now), parents};
    x = wg_unsqueeze(x, 1);
    for (int l = 0; l < stack->layers; l++) {
        wg__layer_scope_begin(tape, l);
        x = layer_step(cache, l, x, &at, cross);
        wg_scope_end(tape);
    }
    if (stack->has_norm) x = wg_layer_norm_apply(&stack->norm, x);
    wg_scope_end(tape);
    return wg_squeeze(x, 1);
}

wg_tensor wg_lm_step(const wg_lm *model, wg_tensor token, const wg_kv_cache *cache, int64_t position,
                     wg_tensor parents)
{
    if (!model || !cache) return wg__null_apply(token, "lm_step");
    if (!in_range(cache, token, position, "lm_step")) return (wg_tensor){.tape = token.tape};
    if (position >= model->context)
        return wg_fail(token, WG_ERR_ARGUMENT, "lm_step", "position %lld, but the context is %lld",
                       (long long)position, (long long)model->context);
    wg_tensor at = wg_scalar(token.tape, WG_I32, (double)position);
    wg_tensor x = wg_unsqueeze(wg_embedding_apply(&model->wte, token), 1);
    x = wg_squeeze(wg_position_apply_at(&model->wpe, x, wg_unsqueeze(at, 0)), 1);
    x = wg_transformer_step(cache, x, position, wg_attention_defaults(), parents);
    return wg_linear(x, wg_use(token.tape, model->head), WG_NONE);
}
