/* Attention written out in primitive ops: forms that the planner recognises, and near misses. */
#include "attention_forms.h"

/* ---- forms that are recognised ---- */

wg_tensor products(wg_tensor q, wg_tensor k) { return wg_matmul(q, wg_t(k)); }
wg_tensor weights(wg_tensor scores) { return wg_softmax(scores, -1); }
wg_tensor infinity(wg_tensor like) { return wg_full(like.tape, wg_dtype_get(like), WG_SCALAR, -INFINITY); }
wg_tensor tril(wg_tensor s, int64_t diagonal)
{
    return wg_tril_mask(s.tape, wg_size(s, -2), wg_size(s, -1), diagonal);
}
static wg_tensor triu(wg_tensor s, int64_t diagonal)
{
    return wg_triu_mask(s.tape, wg_size(s, -2), wg_size(s, -1), diagonal);
}

/* Admits some keys for each query; for some queries none. */
static wg_tensor some_mask(wg_tape *tape, wg_shape shape)
{
    int64_t n = 0;
    CHECK(wg_shape_numel(&shape, &n));
    unsigned char *seen = malloc((size_t)n + 1);
    for (int64_t i = 0; i < n; i++) seen[i] = i * 7919 % 5 < 3 && i / 7 % 4 != 2;
    wg_tensor mask = wg_data(tape, WG_BOOL, shape, seen);
    free(seen);
    return mask;
}
static wg_tensor mask_of(wg_tensor s) { return some_mask(s.tape, wg_shape_get(s)); }
wg_tensor mask_of_keys(wg_tensor s) { return some_mask(s.tape, WG_DIMS(wg_size(s, -1))); }

static wg_tensor plain(wg_tensor q, wg_tensor k, wg_tensor v) { return wg_matmul(weights(products(q, k)), v); }
static wg_tensor scaled_scores(wg_tensor q, wg_tensor k, wg_tensor v)
{
    return wg_matmul(weights(wg_scale(products(q, k), 0.6)), v);
}
static wg_tensor scaled_q(wg_tensor q, wg_tensor k, wg_tensor v) { return plain(wg_scale(q, 0.6), k, v); }
static wg_tensor scaled_k(wg_tensor q, wg_tensor k, wg_tensor v) { return plain(q, wg_scale(k, 0.6), v); }
static wg_tensor scaled_kt(wg_tensor q, wg_tensor k, wg_tensor v)
{
    return wg_matmul(weights(wg_matmul(q, wg_scale(wg_t(k), 0.6))), v);
}
static wg_tensor divided(wg_tensor q, wg_tensor k, wg_tensor v)
{
    return wg_matmul(weights(wg_div_scalar(products(q, k), 1.7)), v);
}
static wg_tensor number_first(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor c = wg_full(q.tape, wg_dtype_get(q), WG_DIMS(1, 1), 0.6);
    return wg_matmul(weights(wg_mul(c, products(q, k))), v);
}
/* The factor depends on v and has a gradient. */
static wg_tensor learned_number(wg_tensor q, wg_tensor k, wg_tensor v)
{
    return wg_matmul(weights(wg_mul(products(q, k), wg_mean_all(wg_square(v)))), v);
}
static wg_tensor read_by_more(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor kt = wg_t(k), y = wg_matmul(weights(wg_matmul(q, kt)), v);
    return wg_add(wg_add(y, wg_sum_all(wg_square(kt))), wg_add(wg_sum_all(wg_sin(q)), wg_sum_all(wg_sin(y))));
}
static wg_tensor two_layers(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor y = scaled_scores(q, k, v), x = wg_concat((wg_tensor[]){y, wg_slice(q, -1, 0, 1)}, 2, -1);
    return wg_matmul(weights(wg_div_scalar(products(x, k), 3)), wg_tanh(v));
}
static wg_tensor where_seen(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = wg_scale(products(q, k), 0.6);
    return wg_matmul(weights(wg_where(mask_of(s), s, infinity(s))), v);
}
static wg_tensor where_hidden(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = wg_scale(products(q, k), 0.6);
    return wg_matmul(weights(wg_where(mask_of_keys(s), infinity(s), s)), v);
}
static wg_tensor fill_hidden(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k);
    return wg_matmul(weights(wg_masked_fill(s, mask_of(s), -INFINITY)), v);
}
static wg_tensor fill_not_seen(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k);
    return wg_matmul(weights(wg_masked_fill(s, wg_logical_not(mask_of_keys(s)), -INFINITY)), v);
}
static wg_tensor causal_where(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k);
    return wg_matmul(weights(wg_where(tril(s, 0), s, infinity(s))), v);
}
static wg_tensor causal_fill(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = wg_scale(products(q, k), 0.6);
    return wg_matmul(weights(wg_masked_fill(s, triu(s, 1), -INFINITY)), v);
}
static wg_tensor causal_and_seen(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k), mask = wg_logical_and(mask_of_keys(s), tril(s, 0));
    return wg_matmul(weights(wg_where(mask, s, infinity(s))), v);
}
static wg_tensor causal_or_hidden(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k), mask = wg_logical_or(wg_logical_not(tril(s, 0)), mask_of(s));
    wg_tensor more = wg_logical_or(triu(s, 1), mask);
    return wg_matmul(weights(wg_masked_fill(s, more, -INFINITY)), v);
}
/* One mask for all heads, with leading axes. */
static wg_tensor causal_for_all(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k), mask = tril(s, 0);
    wg_shape expanded = wg_shape_get(s);
    mask = wg_rank(s) == 4 ? wg_unsqueeze(wg_unsqueeze(mask, 0), 0) : wg_expand(mask, expanded);
    return wg_matmul(weights(wg_where(mask, s, infinity(s))), v);
}
/* Masks that are almost causal. */
static wg_tensor next_key_seen(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k);
    return wg_matmul(weights(wg_where(tril(s, 1), s, infinity(s))), v);
}
static wg_tensor own_key_hidden(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k);
    return wg_matmul(weights(wg_masked_fill(s, triu(s, 0), -INFINITY)), v);
}
static wg_tensor later_keys_seen(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k);
    return wg_matmul(weights(wg_where(triu(s, 1), s, infinity(s))), v);
}
static wg_tensor only_first_key(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k);
    return wg_matmul(weights(wg_where(wg_tril_mask(q.tape, 1, wg_size(s, -1), 0), s, infinity(s))), v);
}
static wg_tensor all_or_none(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k);
    return wg_matmul(weights(wg_where(wg_tril_mask(q.tape, wg_size(s, -2), 1, 0), s, infinity(s))), v);
}
static wg_tensor own_and_later(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k), keys = wg_arange(q.tape, WG_I32, 0, 1, wg_size(s, -1)),
              queries = wg_arange(q.tape, WG_I32, 0, 1, wg_size(s, -2));
    wg_tensor mask = wg_less_equal(wg_unsqueeze(queries, 1), wg_unsqueeze(keys, 0));
    return wg_matmul(weights(wg_where(mask, s, infinity(s))), v);
}
/* Key `step` j is no later than query i, counted from `start`. */
static wg_tensor counted(wg_tensor q, wg_tensor k, wg_tensor v, wg_dtype dtype, double start, double step)
{
    wg_tensor s = products(q, k), keys = wg_arange(q.tape, dtype, start, step, wg_size(s, -1)),
              queries = wg_arange(q.tape, dtype, start, 1, wg_size(s, -2));
    wg_tensor mask = wg_less_equal(wg_unsqueeze(keys, 0), wg_unsqueeze(queries, 1));
    return wg_matmul(weights(wg_where(mask, s, infinity(s))), v);
}
static wg_tensor by_two(wg_tensor q, wg_tensor k, wg_tensor v) { return counted(q, k, v, WG_I32, 0, 2); }
static wg_tensor rounded(wg_tensor q, wg_tensor k, wg_tensor v) { return counted(q, k, v, WG_F32, 3e7, 1); }
static wg_tensor either_seen(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k), mask = wg_logical_or(tril(s, 0), mask_of(s));
    return wg_matmul(weights(wg_where(mask, s, infinity(s))), v);
}
/* No gradient flows through it, but one flows past it. */
static wg_tensor nothing_flows(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_no_grad_begin(q.tape);
    wg_tensor y = causal_fill(q, k, v);
    wg_no_grad_end(q.tape);
    return wg_add(y, wg_sum_all(wg_sin(q)));
}
static wg_tensor one_region(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_remat_begin(q.tape);
    wg_tensor y = wg_sin(causal_fill(wg_tanh(q), wg_tanh(k), v));
    wg_remat_end(q.tape);
    return y;
}
static wg_tensor weights_read_by_nothing_wanted(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k), p = weights(wg_masked_fill(s, mask_of_keys(s), -INFINITY));
    (void)wg_exp(wg_reshape(p, WG_DIMS(-1)));
    return wg_matmul(p, v);
}

/* ---- near misses ---- */

static wg_tensor weights_kept(wg_tensor q, wg_tensor k, wg_tensor v)
{
    return wg_matmul(wg_keep(weights(products(q, k))), v);
}
static wg_tensor weights_read(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor p = weights(products(q, k));
    return wg_add(wg_matmul(p, v), wg_sum_all(wg_square(p)));
}
static wg_tensor weights_at_right(wg_tensor q, wg_tensor k, wg_tensor v)
{
    return wg_matmul(wg_t(q), weights(products(q, k)));
}
static wg_tensor weights_known(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor p = weights(products(q, k));
    CHECK(wg_value(p) != NULL);
    return wg_matmul(p, v);
}
static wg_tensor weights_cut(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k);
    wg_no_grad_begin(q.tape);
    wg_tensor p = weights(s);
    wg_no_grad_end(q.tape);
    return wg_matmul(p, v);
}
static wg_tensor transposition_cut(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_no_grad_begin(q.tape);
    wg_tensor kt = wg_t(k);
    wg_no_grad_end(q.tape);
    return wg_add(wg_matmul(weights(wg_matmul(q, kt)), v), wg_sum_all(wg_sin(k)));
}
static wg_tensor scale_cut(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k);
    wg_no_grad_begin(q.tape);
    s = wg_scale(s, 0.6);
    wg_no_grad_end(q.tape);
    return wg_add(wg_matmul(weights(s), v), wg_sum_all(wg_sin(k)));
}
static wg_tensor scores_read(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = wg_scale(products(q, k), 0.6);
    return wg_add(wg_matmul(weights(s), v), wg_mean_all(wg_square(s)));
}
static wg_tensor products_read(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k);
    return wg_add(wg_matmul(weights(wg_scale(s, 0.6)), v), wg_mean_all(wg_square(s)));
}
static wg_tensor products_kept(wg_tensor q, wg_tensor k, wg_tensor v)
{
    return wg_matmul(weights(wg_scale(wg_keep(products(q, k)), 0.6)), v);
}
static wg_tensor masked_read(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k), masked = wg_masked_fill(s, triu(s, 1), -INFINITY);
    return wg_add(wg_matmul(weights(masked), v), wg_sum_all(wg_exp(masked)));
}
static wg_tensor scaled_keys_read(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor kt = wg_scale(wg_t(k), 0.6);
    return wg_add(wg_matmul(weights(wg_matmul(q, kt)), v), wg_mean_all(wg_square(kt)));
}
static wg_tensor other_axis(wg_tensor q, wg_tensor k, wg_tensor v)
{
    return wg_matmul(wg_softmax(products(q, k), -2), v);
}
static wg_tensor scaled_after_mask(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k);
    return wg_matmul(weights(wg_scale(wg_masked_fill(s, triu(s, 1), -INFINITY), 0.6)), v);
}
static wg_tensor finite_mask(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k);
    return wg_matmul(weights(wg_masked_fill(s, mask_of(s), -3)), v);
}
static wg_tensor finite_constant(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k), low = wg_full(q.tape, wg_dtype_get(q), WG_SCALAR, -3);
    return wg_matmul(weights(wg_where(mask_of(s), s, low)), v);
}
static wg_tensor added_mask(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k), zero = wg_full(q.tape, wg_dtype_get(q), WG_SCALAR, 0);
    return wg_matmul(weights(wg_add(s, wg_where(tril(s, 0), zero, infinity(s)))), v);
}
static wg_tensor number_divided(wg_tensor q, wg_tensor k, wg_tensor v)
{
    return wg_matmul(weights(wg_rdiv_scalar(0.6, wg_add_scalar(products(q, k), 9))), v);
}
static wg_tensor divides_number(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = wg_rdiv_scalar(0.6, products(wg_exp(q), wg_exp(k)));
    return wg_matmul(weights(s), v);
}
static wg_tensor scaled_by_key(wg_tensor q, wg_tensor k, wg_tensor v)
{
    return wg_matmul(weights(wg_mul(products(q, k), wg_unsqueeze(wg_select(k, -1, 0), -2))), v);
}
static wg_tensor exponents(wg_tensor q, wg_tensor k, wg_tensor v)
{
    return wg_matmul(wg_exp(wg_log_softmax(products(q, k), -1)), v);
}
static wg_tensor dropped(wg_tensor q, wg_tensor k, wg_tensor v)
{
    return wg_matmul(wg_dropout(weights(products(q, k)), 0.25), v);
}
static wg_tensor two_regions(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_remat_begin(q.tape);
    wg_tensor p = weights(products(wg_tanh(q), k));
    wg_remat_end(q.tape);
    return wg_matmul(p, v);
}
static wg_tensor by_weights(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor p = weights(products(q, k)), y = wg_sin(wg_matmul(p, v));
    return wg_add(y, wg_sum_all(wg_mul(p, wg_grad1(wg_sum_all(y), p, WG_NONE))));
}
/* Few keys: the weights are smaller than q, k and v, or not enough larger to pay. */
static wg_tensor few(wg_tensor q, wg_tensor k, wg_tensor v)
{
    return causal_fill(q, wg_slice(k, -2, 0, 3), wg_slice(v, -2, 0, 3));
}
static wg_tensor not_many(wg_tensor q, wg_tensor k, wg_tensor v)
{
    return plain(q, wg_slice(k, -2, 0, 20), wg_slice(v, -2, 0, 20));
}
static wg_tensor not_many_causal(wg_tensor q, wg_tensor k, wg_tensor v)
{
    return causal_fill(q, wg_slice(k, -2, 0, 20), wg_slice(v, -2, 0, 20));
}
/* One matrix for the whole batch. */
static wg_tensor first_of(wg_tensor x) { return wg_rank(x) > 2 ? first_of(wg_select(x, 0, 0)) : x; }
static wg_tensor shared_k(wg_tensor q, wg_tensor k, wg_tensor v) { return plain(q, first_of(k), v); }
static wg_tensor shared_v(wg_tensor q, wg_tensor k, wg_tensor v) { return plain(q, k, first_of(v)); }
static wg_tensor shared_q(wg_tensor q, wg_tensor k, wg_tensor v) { return plain(first_of(q), k, v); }
static wg_tensor broadcast_v(wg_tensor q, wg_tensor k, wg_tensor v) { return plain(q, k, wg_slice(v, 0, 0, 1)); }
static wg_tensor broadcast_k(wg_tensor q, wg_tensor k, wg_tensor v) { return plain(q, wg_slice(k, 0, 0, 1), v); }

static wg_tensor larger_mask(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(wg_slice(q, 0, 0, 1), wg_slice(k, 0, 0, 1)), mask = mask_of(products(q, k));
    return wg_matmul(weights(wg_masked_fill(s, mask, -INFINITY)), wg_slice(v, 0, 0, 1));
}
/* Transposes batch and heads, too. */
static wg_tensor heads_swapped(wg_tensor q, wg_tensor k, wg_tensor v)
{
    return wg_matmul(weights(wg_matmul(q, wg_permute(k, WG_AXES(1, 0, 3, 2)))), v);
}

#define IS(name)        {#name, name, true, 2, 4},
#define IS_NOT(name)    {#name, name, false, 2, 4},
#define IS_NOT_BY(name) {#name, name, false, 3, 4}, /* batched ranks only */

/* clang-format off */
const form attention_forms[] = {
    IS(plain) IS(scaled_scores) IS(scaled_q) IS(scaled_k) IS(scaled_kt) IS(divided) IS(number_first)
    IS(learned_number) IS(read_by_more) IS(two_layers) IS(where_seen) IS(where_hidden) IS(fill_hidden)
    IS(fill_not_seen) IS(causal_where) IS(causal_fill) IS(causal_and_seen) IS(causal_or_hidden)
    IS(causal_for_all) IS(next_key_seen) IS(own_key_hidden) IS(later_keys_seen) IS(only_first_key)
    IS(all_or_none) IS(own_and_later) IS(by_two) IS(rounded) IS(either_seen) IS(nothing_flows) IS(one_region)
    IS(weights_read_by_nothing_wanted)
    IS_NOT(weights_kept) IS_NOT(weights_read) IS_NOT(weights_at_right) IS_NOT(weights_known) IS_NOT(weights_cut)
    IS_NOT(transposition_cut) IS_NOT(scale_cut) IS_NOT(scores_read) IS_NOT(products_read) IS_NOT(products_kept)
    IS_NOT(masked_read) IS_NOT(scaled_keys_read) IS_NOT(other_axis) IS_NOT(scaled_after_mask)
    IS_NOT(finite_mask) IS_NOT(finite_constant) IS_NOT(added_mask) IS_NOT(number_divided) IS_NOT(divides_number)
    IS_NOT(scaled_by_key) IS_NOT(exponents) IS_NOT(dropped) IS_NOT(two_regions) IS_NOT(by_weights) IS_NOT(few)
    IS_NOT(not_many) IS(not_many_causal)
    IS_NOT_BY(shared_k) IS_NOT_BY(shared_v) IS_NOT_BY(shared_q) IS_NOT_BY(broadcast_v) IS_NOT_BY(broadcast_k)
    IS_NOT_BY(larger_mask)
    {"heads_swapped", heads_swapped, false, 4, 4},
    {NULL},
};
/* clang-format on */

attention_fn attention_form(const char *name)
{
    for (const form *f = attention_forms; f->name; f++)
        if (strcmp(f->name, name) == 0) return f->attention;
    fail_msg("there is no form %s", name);
    return NULL;
}
