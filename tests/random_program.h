/* Random programs, functions of a seed: random ops over random shapes of some parameters, a loss, and a buffer that is
 * assigned. */
#ifndef WG_TEST_RANDOM_PROGRAM_H
#define WG_TEST_RANDOM_PROGRAM_H

#include "check.h"
#include "dice.h"
#include "wengert.h"

enum { PARAMS = 4, OPS = 40, VALUES = PARAMS + 4 * OPS };

typedef struct program {
    wg_tensor value[VALUES];
    int n;
    dice d;
} program;

static int64_t some_size(dice *d) { return (const int64_t[]){1, 2, 3, 5, 8, 17}[roll(d, 6)]; }

static void keep(program *p, wg_tensor t)
{
    if (!wg_is_nil(t) && p->n < VALUES) p->value[p->n++] = t;
}

static wg_tensor any(program *p)
{
    /* recent values more often, so that programs are deep */
    int back = (int)roll(&p->d, (uint32_t)(p->n < 8 ? p->n : roll(&p->d, 3) ? 8 : p->n));
    return p->value[p->n - 1 - back];
}

/* A value that broadcasts with a, or a itself. */
static wg_tensor partner(program *p, wg_tensor a)
{
    wg_shape sa = wg_shape_get(a), out;
    for (int tries = 0; tries < 12; tries++) {
        wg_tensor b = any(p);
        wg_shape sb = wg_shape_get(b);
        int64_t numel;
        if (wg_shape_broadcast(&sa, &sb, &out) && wg_shape_numel(&out, &numel) && numel < 3000) return b;
    }
    return a;
}

static wg_tensor bounded(wg_tensor x) { return wg_tanh(x); }

static wg_tensor product(program *p)
{
    wg_tensor a = any(p), b = any(p);
    if (wg_rank(a) != 2 || wg_rank(b) != 2) return a;
    if (wg_size(a, 1) == wg_size(b, 0)) return bounded(wg_matmul(a, b));
    if (wg_size(a, 1) == wg_size(b, 1)) return bounded(wg_matmul(a, wg_t(b)));
    if (wg_size(a, 0) == wg_size(b, 0)) return bounded(wg_matmul(wg_t(a), b));
    return bounded(wg_matmul(wg_t(a), a));
}

/* A small recurrence, for the merge pass. */
static wg_tensor loop(program *p)
{
    wg_tensor w = p->value[0], h = any(p); /* w is square */
    if (wg_rank(h) != 2 || wg_size(h, 1) != wg_size(w, 0)) return h;
    int steps = 2 + (int)roll(&p->d, 4);
    for (int t = 0; t < steps; t++) h = wg_tanh(wg_add(wg_matmul(h, w), wg_matmul(h, wg_t(w))));
    return h;
}

/* A loop with attention over a few rows per problem of a batch: sums of batched products, for the merge pass. */
static wg_tensor attend_in_loop(program *p)
{
    wg_tensor q = any(p);
    if (wg_rank(q) != 2 || wg_numel(q) > 500) return q;
    wg_tensor rows = wg_stack((wg_tensor[]){q, wg_tanh(q), wg_scale(q, 0.5)}, 3, 1); /* [B, 3, n] */
    if (roll(&p->d, 4) == 0) rows = wg_slice(rows, 0, 0, 1);                         /* shared by the batch */
    int steps = 2 + (int)roll(&p->d, 3), queries = 1 + (int)roll(&p->d, 2);
    for (int t = 0; t < steps; t++) {
        wg_tensor at = wg_stack((wg_tensor[]){q, wg_sigmoid(q)}, queries, 1); /* [B, queries, n] */
        wg_tensor weights = wg_softmax(wg_matmul(at, wg_t(rows)), -1);
        q = wg_tanh(wg_add(q, wg_sum(wg_matmul(weights, rows), WG_AXES(1), false)));
    }
    return q;
}

/* Several values times one weight, some of which may depend on others, for the pass rows. */
static void project(program *p)
{
    wg_tensor w = p->value[0];
    bool transposed = roll(&p->d, 2);
    for (int i = 0; i < 4; i++) {
        wg_tensor a = any(p);
        if (wg_rank(a) == 2 && wg_size(a, 1) == wg_size(w, 0))
            keep(p, bounded(wg_matmul(a, transposed ? wg_t(w) : w)));
    }
}

static wg_tensor cut(program *p)
{
    wg_tensor a = any(p);
    int axis = (int)roll(&p->d, (uint32_t)wg_rank(a));
    int64_t n = wg_size(a, axis), start = roll(&p->d, (uint32_t)n),
            stop = start + 1 + roll(&p->d, (uint32_t)(n - start));
    return wg_slice(a, axis, start, stop);
}

static wg_tensor join(program *p)
{
    wg_tensor parts[3];
    int n = 1 + (int)roll(&p->d, 3), axis = (int)roll(&p->d, 2);
    parts[0] = any(p);
    if (wg_rank(parts[0]) != 2) return parts[0];
    for (int i = 1; i < n; i++) {
        parts[i] = any(p);
        if (wg_rank(parts[i]) != 2 || wg_size(parts[i], 1 - axis) != wg_size(parts[0], 1 - axis))
            parts[i] = parts[0];
    }
    wg_tensor whole = wg_concat(parts, n, axis);
    return wg_numel(whole) < 3000 ? whole : parts[0];
}

static void gates(program *p)
{
    wg_tensor a = any(p), part[2];
    if (wg_rank(a) != 2 || wg_size(a, 1) % 2) return;
    wg_split(a, 1, 2, part);
    keep(p, wg_mul(wg_sigmoid(part[0]), wg_tanh(part[1])));
}

/* Rows of a value, with repeats; other lookups may read it, too. */
static wg_tensor lookup(program *p)
{
    wg_tensor a = any(p);
    int axis = (int)roll(&p->d, (uint32_t)wg_rank(a));
    int32_t index[6];
    int n = 1 + (int)roll(&p->d, 6);
    for (int i = 0; i < n; i++) index[i] = (int32_t)roll(&p->d, (uint32_t)wg_size(a, axis));
    return wg_index_select(a, axis, wg_data(a.tape, WG_I32, WG_DIMS(n), index));
}

static wg_tensor four_times(wg_tensor x)
{
    return wg_size(x, 0) > 17 ? x : wg_concat((wg_tensor[]){x, x, x, x}, 4, 0);
}

/* Attention by its formula, scaled at one of two places, and long enough to be recognised. */
static wg_tensor written_out(program *p, wg_tensor q, wg_tensor k, bool causal)
{
    q = four_times(q);
    k = four_times(k);
    bool first = roll(&p->d, 2), divided = roll(&p->d, 2);
    wg_tensor s = wg_matmul(first ? wg_scale(q, 0.8) : q, wg_t(k)),
              none = wg_full(q.tape, wg_dtype_get(q), WG_SCALAR, -INFINITY);
    if (!first) s = divided ? wg_div_scalar(s, 1.5) : wg_scale(s, 0.8);
    if (causal) s = wg_where(wg_tril_mask(q.tape, wg_size(q, 0), wg_size(k, 0), 0), s, none);
    wg_tensor weights = wg_softmax(s, -1);
    if (roll(&p->d, 4) == 0) keep(p, weights);
    return wg_matmul(weights, k);
}

/* Rows of a parameter by a product with one-hot rows. */
static wg_tensor pick(program *p)
{
    wg_tensor w = p->value[0];
    int32_t index[4];
    for (int i = 0; i < 4; i++) index[i] = (int32_t)roll(&p->d, (uint32_t)wg_size(w, 0));
    wg_tensor x = wg_one_hot(wg_data(w.tape, WG_I32, WG_DIMS(4), index), wg_size(w, 0), wg_dtype_get(w));
    return bounded(wg_matmul(x, roll(&p->d, 2) ? wg_t(w) : w));
}

static wg_tensor attend(program *p)
{
    wg_tensor a = any(p), b = any(p);
    if (wg_rank(a) != 2 || wg_rank(b) != 2) return a;
    if (wg_size(a, 1) != wg_size(b, 1)) b = a;
    wg_attention_options o = wg_attention_defaults();
    o.causal = roll(&p->d, 2);
    return roll(&p->d, 2) ? written_out(p, a, b, o.causal) : wg_attention(a, b, b, o);
}

static wg_tensor convolve(program *p)
{
    wg_tensor a = any(p), w = any(p);
    if (wg_rank(a) != 2 || wg_rank(w) != 2 || wg_size(a, 1) < wg_size(w, 1)) return a;
    wg_tensor image = wg_reshape(a, WG_DIMS(wg_size(a, 0), 1, wg_size(a, 1)));
    wg_tensor y =
        wg_conv1d(image, wg_reshape(w, WG_DIMS(wg_size(w, 0), 1, wg_size(w, 1))), WG_NONE, wg_conv_defaults());
    return wg_numel(y) < 3000 ? bounded(wg_reshape(y, WG_DIMS(wg_size(y, 0), -1))) : a;
}

static void step(program *p)
{
    wg_tensor a = any(p);
    switch (roll(&p->d, 28)) {
    case 0:
    case 1: keep(p, wg_add(a, partner(p, a))); break;
    case 2:
    case 3: keep(p, bounded(wg_mul(a, partner(p, a)))); break;
    case 4: keep(p, wg_sub(a, partner(p, a))); break;
    case 5: keep(p, wg_tanh(a)); break;
    case 6: keep(p, wg_sigmoid(a)); break;
    case 7: keep(p, wg_scale(a, 0.75)); break;
    case 8:
    case 9: keep(p, product(p)); break;
    case 10: keep(p, loop(p)); break;
    case 11: keep(p, wg_rank(a) >= 2 ? wg_t(a) : a); break;
    case 12:
    case 13: keep(p, cut(p)); break;
    case 14:
    case 15: keep(p, join(p)); break;
    case 16: keep(p, wg_sum(a, WG_AXES((int)roll(&p->d, (uint32_t)wg_rank(a))), true)); break;
    case 17: keep(p, wg_softmax(a, -1)); break;
    case 18: keep(p, wg_reshape(a, WG_DIMS(wg_numel(a), 1))); break;
    case 19: keep(p, lookup(p)); break;
    case 20: keep(p, pick(p)); break;
    case 21: keep(p, attend(p)); break;
    case 22: keep(p, convolve(p)); break;
    case 23: keep(p, wg_layer_norm(a, WG_NONE, WG_NONE, 1e-2)); break;
    case 24:
    case 25: project(p); break;
    case 26: keep(p, attend_in_loop(p)); break;
    default: gates(p);
    }
}

/* Begins or ends a region of rematerialization, one time in four. */
static void mark(dice *d, wg_tape *tape, bool *inside)
{
    if (roll(d, 4)) return;
    if (*inside)
        wg_remat_end(tape);
    else
        wg_remat_begin(tape);
    *inside = !*inside;
}

/* A matrix transposed, and read as one of its former shape, which no strides express. */
static wg_tensor folded(wg_tensor x) { return wg_rank(x) == 2 ? wg_reshape(wg_t(x), wg_shape_get(x)) : x; }

/* Values with as many rows as the buffer [1, rows, 1], times it, summed to its shape: of a broadcast, and of a step. */
static void assign_state(program *p, wg_tape *tape, wg_buffer *state)
{
    const wg_tensor b = wg_use(tape, state);
    wg_tensor x = WG_NONE, half = wg_full(tape, wg_dtype_get(b), WG_SCALAR, 0.5);
    for (int tries = 0; tries < 12 && !x.tape; tries++) {
        const wg_tensor v = any(p);
        if (wg_rank(v) == 2 && wg_size(v, 0) == wg_size(b, 1))
            x = wg_stack((wg_tensor[]){v, wg_tanh(v)}, 1 + (int)roll(&p->d, 2), 0);
    }
    if (!x.tape) x = wg_expand(half, WG_DIMS(2, wg_size(b, 1), 3));
    wg_tensor y = roll(&p->d, 3) ? wg_sum(wg_mul(x, b), WG_AXES(0, 2), true) : wg_mul(b, half);
    wg_assign(state, roll(&p->d, 2) ? bounded(y) : y);
}

/* Records the program of a seed; returns its loss. fold: by its parameters folded. */
static wg_tensor record(uint64_t seed, wg_tape *tape, wg_params *set, bool marks, bool fold)
{
    program p = {.d = {seed * 2 + 1}};
    dice d = {seed};
    bool inside = false;
    for (size_t i = 0; i < PARAMS; i++) {
        const wg_tensor x = wg_use(tape, wg_params_at(set, i));
        keep(&p, fold ? folded(x) : x);
    }
    int ops = 4 + (int)roll(&p.d, OPS - 4);
    for (int i = 0; i < ops; i++) {
        if (marks) mark(&d, tape, &inside);
        step(&p);
    }
    if (inside && roll(&d, 2)) wg_remat_end(tape);
    wg_tensor loss = wg_scalar(tape, wg_params_dtype(set), 0);
    for (int i = 0; i < 4; i++) loss = wg_add(loss, wg_mean_all(wg_square(any(&p))));
    if (roll(&p.d, 2)) wg_keep(any(&p));
    assign_state(&p, tape, wg_params_at(set, PARAMS));
    return loss;
}

static wg_params *make_params(uint64_t seed, wg_dtype dtype)
{
    dice d = {seed};
    wg_params *set = wg_params_new_with(dtype, (wg_allocator){0}, seed);
    int64_t n = some_size(&d);
    const wg_shape shapes[PARAMS] = {WG_DIMS(n, n), WG_DIMS(some_size(&d), n),
                                     WG_DIMS(some_size(&d), some_size(&d)), WG_DIMS(1, some_size(&d))};
    for (int i = 0; i < PARAMS; i++) {
        char name[8];
        snprintf(name, sizeof name, "p%d", i);
        (void)wg_param_new(set, name, shapes[i], wg_init_uniform(-1, 1));
    }
    (void)wg_buffer_new(set, "state", WG_DIMS(1, roll(&d, 2) ? n : some_size(&d), 1), wg_init_uniform(-1, 1));
    return set;
}

#endif
