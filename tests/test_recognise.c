/* Attention that is written out becomes the op when a step is planned: every form of it, nothing that only looks like
 * it, and the same numbers in any case. */
#include "tensors.h"

enum { TQ = 40, TK = 36, SIZE = 3, VALUES = 2, HEADS = 2, BATCH = 2 };

typedef wg_tensor (*attention_fn)(wg_tensor q, wg_tensor k, wg_tensor v);

/* ---- forms that are recognised ------------------------------------------------------------------------------- */

static wg_tensor products(wg_tensor q, wg_tensor k) { return wg_matmul(q, wg_t(k)); }
static wg_tensor weights(wg_tensor scores) { return wg_softmax(scores, -1); }
static wg_tensor infinity(wg_tensor like) { return wg_full(like.tape, wg_dtype_get(like), WG_SCALAR, -INFINITY); }
static wg_tensor tril(wg_tensor s, int64_t diagonal)
{
    return wg_tril_mask(s.tape, wg_size(s, -2), wg_size(s, -1), diagonal);
}
static wg_tensor triu(wg_tensor s, int64_t diagonal)
{
    return wg_triu_mask(s.tape, wg_size(s, -2), wg_size(s, -1), diagonal);
}

/* Some of the keys for some of the queries; a row with none. */
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
static wg_tensor mask_of_keys(wg_tensor s) { return some_mask(s.tape, WG_DIMS(wg_size(s, -1))); }

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
/* The number depends on v and has a gradient. */
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
/* One mask for all heads, with axes in front. */
static wg_tensor causal_for_all(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k), mask = tril(s, 0);
    wg_shape expanded = wg_shape_get(s);
    mask = wg_rank(s) == 4 ? wg_unsqueeze(wg_unsqueeze(mask, 0), 0) : wg_expand(mask, expanded);
    return wg_matmul(weights(wg_where(mask, s, infinity(s))), v);
}
/* Masks that are nearly causal. */
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
/* No gradient through anything of it, but a gradient beside it. */
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
static wg_tensor nobody_looks(wg_tensor q, wg_tensor k, wg_tensor v)
{
    wg_tensor s = products(q, k), p = weights(wg_masked_fill(s, mask_of_keys(s), -INFINITY));
    (void)wg_exp(wg_reshape(p, WG_DIMS(-1)));
    return wg_matmul(p, v);
}

/* ---- near misses --------------------------------------------------------------------------------------------- */

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
/* Few keys: the weights take less than q, k and v; or not so much more that it is worth it. */
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
/* One matrix for all of a batch. */
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
/* The transposition of another head of another batch. */
static wg_tensor heads_swapped(wg_tensor q, wg_tensor k, wg_tensor v)
{
    return wg_matmul(weights(wg_matmul(q, wg_permute(k, WG_AXES(1, 0, 3, 2)))), v);
}

typedef struct form {
    const char *name;
    attention_fn attention;
    bool recognised;
    int first_rank, last_rank;
} form;
#define IS(name)        {#name, name, true, 2, 4},
#define IS_NOT(name)    {#name, name, false, 2, 4},
#define IS_NOT_BY(name) {#name, name, false, 3, 4}, /* of batches */

/* clang-format off */
static const form forms[] = {
    IS(plain) IS(scaled_scores) IS(scaled_q) IS(scaled_k) IS(scaled_kt) IS(divided) IS(number_first)
    IS(learned_number) IS(read_by_more) IS(two_layers) IS(where_seen) IS(where_hidden) IS(fill_hidden)
    IS(fill_not_seen) IS(causal_where) IS(causal_fill) IS(causal_and_seen) IS(causal_or_hidden) IS(causal_for_all) IS(next_key_seen)
    IS(own_key_hidden) IS(later_keys_seen) IS(only_first_key) IS(all_or_none) IS(own_and_later) IS(by_two) IS(rounded) IS(either_seen) IS(nothing_flows) IS(one_region)
    IS(nobody_looks)
    IS_NOT(weights_kept) IS_NOT(weights_read) IS_NOT(weights_at_right) IS_NOT(weights_known) IS_NOT(weights_cut)
    IS_NOT(transposition_cut) IS_NOT(scale_cut) IS_NOT(scores_read) IS_NOT(products_read) IS_NOT(products_kept)
    IS_NOT(masked_read) IS_NOT(scaled_keys_read) IS_NOT(other_axis) IS_NOT(scaled_after_mask) IS_NOT(finite_mask) IS_NOT(finite_constant)
    IS_NOT(added_mask) IS_NOT(number_divided) IS_NOT(divides_number) IS_NOT(scaled_by_key) IS_NOT(exponents)
    IS_NOT(dropped) IS_NOT(two_regions) IS_NOT(by_weights) IS_NOT(few) IS_NOT(not_many) IS(not_many_causal)
    IS_NOT_BY(shared_k) IS_NOT_BY(shared_v) IS_NOT_BY(shared_q) IS_NOT_BY(broadcast_v) IS_NOT_BY(broadcast_k)
    IS_NOT_BY(larger_mask)
    {"heads_swapped", heads_swapped, false, 4, 4},
};
/* clang-format on */

/* ---- with and without ---------------------------------------------------------------------------------------- */

static wg_tape *tape_by(const char *plan, bool profile)
{
    wg_tape_options options = wg_tape_defaults();
    options.plan = plan;
    options.profile = profile;
    return wg_tape_new(options);
}

static wg_shape shape_of(int rank, int64_t rows, int64_t cols)
{
    return rank == 2   ? WG_DIMS(rows, cols)
           : rank == 3 ? WG_DIMS(BATCH, rows, cols)
                       : WG_DIMS(BATCH, HEADS, rows, cols);
}

static wg_params *operands(wg_dtype dtype, int rank, int64_t queries, int64_t keys)
{
    wg_params *set = wg_params_new(dtype);
    (void)wg_param_new(set, "q", shape_of(rank, queries, SIZE), wg_init_uniform(-1, 1));
    (void)wg_param_new(set, "k", shape_of(rank, keys, SIZE), wg_init_uniform(-1, 1));
    (void)wg_param_new(set, "v", shape_of(rank, keys, VALUES), wg_init_uniform(-1, 1));
    return set;
}

static wg_tensor apply(wg_tape *tape, wg_params *set, attention_fn attention)
{
    wg_tensor x[3];
    for (size_t i = 0; i < 3; i++) x[i] = wg_use(tape, wg_params_at(set, i));
    return attention(x[0], x[1], x[2]);
}

/* Whether the runs of a profiled tape had the op in them. */
static bool ran_attention(const wg_tape *tape) { return count_dumped(wg_dump_profile, tape, "attention") > 0; }

enum { NUMBERS = 4096 };

typedef struct outcome {
    double number[NUMBERS]; /* the loss, the gradients */
    size_t n;
    bool attention;
} outcome;

static void store(outcome *o, const wg_params *set, double loss)
{
    o->n = 0;
    o->number[o->n++] = loss;
    for (size_t i = 0; i < 3; i++) {
        const wg_param *param = wg_params_at(set, i);
        const void *grad = wg_param_grad(param);
        const bool single = wg_param_dtype(param) == WG_F32;
        for (int64_t j = 0; j < wg_param_numel(param); j++)
            o->number[o->n++] = single ? (double)((const float *)grad)[j] : ((const double *)grad)[j];
    }
}

static void run(attention_fn attention, wg_dtype dtype, int rank, const char *plan, outcome *o)
{
    wg_tape *tape = tape_by(plan, true);
    wg_params *set = operands(dtype, rank, TQ, TK);
    wg_tensor loss = weigh(apply(tape, set, attention), 7);
    wg_profile_clear(tape);
    CHECK(wg_backward(loss) == WG_OK);
    o->attention = ran_attention(tape);
    store(o, set, wg_item(loss));
    CLOSE(tape);
    wg_params_free(set);
}

static bool close_to(const outcome *a, const outcome *b, wg_dtype dtype)
{
    double scale = 1;
    for (size_t i = 0; i < a->n; i++) scale = fmax(scale, fabs(a->number[i]));
    return a->n == b->n && distance(a->number, b->number, a->n) <= scale * (dtype == WG_F32 ? 1e-5 : 1e-12);
}

static void check_form(const form *f, wg_dtype dtype, int rank)
{
    static outcome with, without;
    run(f->attention, dtype, rank, "", &with);
    run(f->attention, dtype, rank, "-attention", &without);
    bool close = close_to(&with, &without, dtype);
    if (with.attention == f->recognised && !without.attention && close) return;
    FAIL("%s: rank %d, %s: the op %s and %s%s", f->name, rank, wg_dtype_name(dtype),
         with.attention ? "ran" : "did not run", without.attention ? "ran when it was off" : "the numbers are ",
         close ? "right" : "wrong");
}

static void forms_and_near_misses(void)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        for (int rank = forms[i].first_rank; rank <= forms[i].last_rank; rank++) {
            check_form(&forms[i], WG_F64, rank);
            check_form(&forms[i], WG_F32, rank);
        }
}

/* ---- what is gained ------------------------------------------------------------------------------------------ */

static size_t bytes_of(attention_fn attention, int64_t length, const char *plan)
{
    wg_tape *tape = tape_by(plan, false);
    wg_params *set = operands(WG_F32, 3, length, length);
    size_t bytes = wg_backward_bytes(wg_sum_all(apply(tape, set, attention)));
    CLOSE(tape);
    wg_params_free(set);
    return bytes;
}

static void memory_is_linear_in_the_length(void)
{
    static const attention_fn some[] = {scaled_scores, causal_fill, causal_where, fill_hidden};
    for (int i = 0; i < 3; i++) {
        size_t half = bytes_of(some[i], 512, ""), whole = bytes_of(some[i], 1024, "");
        CHECK(whole < half * 5 / 2);
        CHECK(bytes_of(some[i], 1024, "-attention") > 3 * bytes_of(some[i], 512, "-attention"));
        CHECK(bytes_of(some[i], 512, "-attention") > 4 * half);
    }
    CHECK(bytes_of(some[3], 512, "-attention") > 2 * bytes_of(some[3], 512, "")); /* the mask itself is a matrix */
}

/* Keys past a block that no query of it may see are not touched: a value of infinity there does not make the
 * row NaN, as it does (0 times infinity) where only a mask is known. */
static void what_is_causal_is_known(void)
{
    enum { T = 256 };
    static const attention_fn causal[] = {causal_where, causal_fill, causal_and_seen, causal_or_hidden,
                                          causal_for_all},
                              other[] = {next_key_seen, own_key_hidden, either_seen};
    for (int i = 0; i < 2 * 8; i++) {
        const attention_fn attention = i / 2 < 5 ? causal[i / 2] : other[i / 2 - 5];
        const int rank = i % 2 ? 4 : 3;
        wg_tape *tape = new_tape();
        wg_tensor q = random_leaf(tape, shape_of(rank, T, SIZE), 1),
                  k = random_leaf(tape, shape_of(rank, T, SIZE), 2);
        double v[BATCH * HEADS * T] = {0};
        v[T - 1] = INFINITY;
        const double *y = wg_value(attention(q, k, wg_data(tape, WG_F64, shape_of(rank, T, 1), v)));
        CHECK(y && (i / 2 < 5 ? y[0] == 0 : !isfinite(y[0])));
        CLOSE(tape);
    }
}

/* Problem n of a batch, as large as the matrices, is shown to query i, or key j to problem n, if it is no later. */
static double by_problem(const char *plan, bool keys)
{
    enum { T = 16 };
    wg_tape *tape = tape_by(plan, false);
    wg_tensor q = random_leaf(tape, WG_DIMS(T, T, 1), 1), k = random_leaf(tape, WG_DIMS(T, T, 1), 2);
    wg_tensor s = products(q, k), mask = wg_unsqueeze(tril(s, 0), keys ? 1 : 2);
    double y = wg_item(weigh(wg_matmul(weights(wg_where(mask, s, infinity(s))), k), 3));
    CLOSE(tape);
    return y;
}

static void a_batch_is_not_causal(void)
{
    CHECK(fabs(by_problem("", false) - by_problem("-attention", false)) < 1e-12);
    CHECK(fabs(by_problem("", true) - by_problem("-attention", true)) < 1e-12);
}

/* ---- plans that follow one another --------------------------------------------------------------------------- */

static double scale_of_step;
static wg_tensor scaled_by_step(wg_tensor q, wg_tensor k, wg_tensor v)
{
    return wg_matmul(weights(wg_scale(products(q, k), scale_of_step)), v);
}

/* One step on a tape that lives on. */
static void step(wg_tape *tape, wg_params *set, attention_fn attention, outcome *o)
{
    wg_tensor loss = weigh(apply(tape, set, attention), 7);
    wg_zero_grad(set);
    CHECK(wg_backward(loss) == WG_OK);
    store(o, set, wg_item(loss));
    CHECK(wg_tape_reset(tape) == WG_OK);
}

static void steps_follow_each_other(void)
{
    static const attention_fn steps[] = {scaled_by_step, weights_read,   scaled_by_step, causal_fill,
                                         weights_read,   scaled_by_step, plain,          scaled_by_step};
    static outcome with, without;
    wg_tape *tapes[2] = {tape_by("", false), tape_by("-attention", false)};
    wg_params *set = operands(WG_F64, 4, TQ, TK);
    for (int i = 0; i < 8; i++) {
        scale_of_step = i - 2.5; /* a number is no part of the program: the plan stays */
        step(tapes[0], set, steps[i], &with);
        step(tapes[1], set, steps[i], &without);
        CHECK(close_to(&with, &without, WG_F64));
    }
    CHECK(wg_tape_count(tapes[0]).plan_misses == 4 && wg_tape_count(tapes[0]).plan_hits == 4);
    CLOSE(tapes[0]);
    CLOSE(tapes[1]);
    wg_params_free(set);
}

static void the_tape_stays_as_it_was(void)
{
    wg_tape *tape = new_tape();
    wg_params *set = operands(WG_F64, 3, TQ, TK);
    wg_tensor loss = weigh(apply(tape, set, causal_or_hidden), 7);
    char *before = dumped(wg_dump_text, tape);
    CHECK(wg_backward_bytes(loss) > 0);
    char *after = dumped(wg_dump_text, tape);
    CHECK(strcmp(before, after) == 0);
    free(before);
    free(after);
    CLOSE(tape);
    wg_params_free(set);
}

/* Values of it are read before and after wg_backward, or computed op by op. */
static void run_and_look(const char *plan, bool eager, int look, outcome *o)
{
    wg_tape_options options = wg_tape_defaults();
    options.plan = plan;
    options.eager = eager;
    options.profile = true;
    wg_tape *tape = wg_tape_new(options);
    wg_params *set = operands(WG_F64, 3, TQ, TK);
    wg_tensor q = wg_use(tape, wg_params_at(set, 0)), k = wg_use(tape, wg_params_at(set, 1)),
              v = wg_use(tape, wg_params_at(set, 2));
    wg_tensor p = weights(wg_scale(products(q, k), 0.6)), y = wg_matmul(p, v), loss = weigh(y, 7);
    if (look == 1) (void)wg_item(loss);
    if (look == 2) CHECK(wg_value(y) != NULL);
    wg_profile_clear(tape);
    CHECK(wg_backward(loss) == WG_OK);
    o->attention = ran_attention(tape);
    store(o, set, wg_item(loss) + (look == 3 ? ((const double *)wg_value(p))[TK + 1] : 0));
    CLOSE(tape);
    wg_params_free(set);
}

static void values_are_read_on_the_way(void)
{
    static outcome with, without;
    for (int look = 0; look < 4; look++) {
        run_and_look("", false, look, &with);
        run_and_look("-attention", false, look, &without);
        CHECK(with.attention && !without.attention);
        CHECK(close_to(&with, &without, WG_F64));
        run_and_look("", true, look, &with);
        CHECK(!with.attention);
        CHECK(close_to(&with, &without, WG_F64));
    }
}

/* A number that is none is looked for in the operations that were written. */
static void what_is_located_is_what_was_written(void)
{
    wg_tape_options options = wg_tape_defaults();
    options.locate_nonfinite = true;
    wg_tape *tape = wg_tape_new(options);
    wg_tensor q = wg_full(tape, WG_F64, WG_DIMS(TQ, SIZE), 1e200), y = plain(q, q, q);
    CHECK(wg_value(y) == NULL && strstr(wg_tape_message(tape), "matmul") != NULL);
    wg_tape_free(tape);
}

/* What is assigned is wanted. */
static void assigned_weights_stay(void)
{
    wg_tape *tape = new_tape();
    wg_params *set = operands(WG_F64, 2, TQ, TK);
    wg_buffer *buffer = wg_buffer_new(set, "weights", WG_DIMS(TQ, TK), wg_init_zeros());
    wg_tensor s = products(wg_use(tape, wg_params_at(set, 0)), wg_use(tape, wg_params_at(set, 1)));
    wg_tensor p = weights(wg_masked_fill(s, mask_of_keys(s), -INFINITY));
    wg_tensor loss = weigh(wg_matmul(p, wg_use(tape, wg_params_at(set, 2))), 7);
    wg_assign(buffer, p);
    CHECK(wg_backward(loss) == WG_OK);
    double sum = 0;
    for (int j = 0; j < TK; j++) sum += ((const double *)wg_param_value(buffer))[j];
    CHECK(fabs(sum - 1) < 1e-12);
    CLOSE(tape);
    wg_params_free(set);
}

/* ---- derivatives of derivatives ------------------------------------------------------------------------------ */

static wg_tensor loss_of(void *context, wg_tape *tape, wg_params *set)
{
    return weigh(apply(tape, set, *(attention_fn *)context), 7);
}

static void second_order(void)
{
    attention_fn some[] = {scaled_scores, causal_fill, learned_number};
    for (int i = 0; i < 3; i++) {
        wg_params *set = operands(WG_F64, 3, 30, 25);
        if (!gradcheck_some(set, loss_of, &some[i], true, 4)) printf("    form %d\n", i);
        wg_params_free(set);
    }
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(forms_and_near_misses),      TEST_CASE(memory_is_linear_in_the_length),
        TEST_CASE(what_is_causal_is_known),    TEST_CASE(a_batch_is_not_causal),
        TEST_CASE(steps_follow_each_other),    TEST_CASE(the_tape_stays_as_it_was),
        TEST_CASE(values_are_read_on_the_way), TEST_CASE(what_is_located_is_what_was_written),
        TEST_CASE(assigned_weights_stay),      TEST_CASE(second_order)};
    return RUN_TESTS(tests);
}
