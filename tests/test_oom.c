/* Every allocation fails in turn: alone, and together with all that follow. Each time the status is WG_ERR_MEMORY,
 * nothing leaks, parameters and gradients keep their values, and after wg_tape_reset the same step gives the same bits
 * as without the failure. */
#include "check.h"
#include "random.h"
#include "samples.h"

/* ---- an allocator that fails ---- */

enum { GUARD = 32, GUARD_BYTE = 0xa5 };

typedef struct faulty {
    long requests, fail_at; /* fail_at: the request that fails; -1: none */
    bool for_good;          /* so do all that follow */
    bool failed;            /* a request has failed */
    int fill;               /* byte that new memory is filled with */
    long blocks, bytes;     /* live */
    long overruns, wrong_sizes;
} faulty;

typedef struct block { /* in front of the caller's memory */
    size_t size;
    char pad[56];
} block;

static void *faulty_alloc(void *context, size_t size)
{
    faulty *f = context;
    long number = f->requests++;
    if (f->fail_at >= 0 && (number == f->fail_at || (f->for_good && number > f->fail_at))) {
        f->failed = true;
        return NULL;
    }
    block *b = aligned_alloc(64, (sizeof(block) + size + GUARD + 63) & ~(size_t)63);
    b->size = size;
    memset((char *)(b + 1), f->fill, size);
    memset((char *)(b + 1) + size, GUARD_BYTE, GUARD);
    f->blocks++;
    f->bytes += (long)size;
    return b + 1;
}

static void faulty_release(void *context, void *memory, size_t size)
{
    faulty *f = context;
    block *b = (block *)memory - 1;
    const unsigned char *guard = (unsigned char *)memory + b->size;
    for (int i = 0; i < GUARD; i++) f->overruns += guard[i] != GUARD_BYTE;
    f->wrong_sizes += size != b->size;
    f->blocks--;
    f->bytes -= (long)size;
    free(b);
}

static wg_allocator hooks(faulty *f) { return (wg_allocator){faulty_alloc, faulty_release, f}; }

static void heal(faulty *f) { f->fail_at = -1; }

/* ---- scenarios ---- */

typedef struct bits { /* the hash of a step's values, gradients and state */
    uint64_t hash;
} bits;

static void add_bytes(bits *b, const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; p && i < size; i++) b->hash = (b->hash ^ p[i]) * 0x100000001b3u;
    b->hash = (b->hash ^ size) * 0x100000001b3u;
}

static void add_tensor(bits *b, wg_tensor tensor)
{
    add_bytes(b, wg_value(tensor), (size_t)wg_numel(tensor) * wg_dtype_size(wg_dtype_get(tensor)));
}

static bits bits_of_set(const wg_params *set, bool gradients)
{
    bits b = {0};
    for (size_t i = 0; i < wg_params_count(set); i++) {
        const wg_param *param = wg_params_at(set, i);
        size_t bytes = (size_t)wg_param_numel(param) * wg_dtype_size(wg_param_dtype(param));
        add_bytes(&b, wg_param_value(param), bytes);
        if (gradients) add_bytes(&b, wg_param_grad(param), bytes);
    }
    return b;
}

/* A model whose memory comes from the hooks. */
typedef struct scenario {
    faulty memory;
    wg_tape *tape;
    wg_params *set;
    wg_optimizer *optimizer;
    wg_rnn rnn;
    wg_linear_layer out;
    bool remat;
    const char *plan;
    size_t plan_bytes; /* 0: the default */
    sampler sampler;
    const op_samples *row;
    int number; /* of the sample */
    bits result;
} scenario;

typedef struct plot {
    const char *name;
    bool (*make)(scenario *s);      /* false on failure: the set's status, or a NULL */
    wg_status (*step)(scenario *s); /* records and runs a step; sets result */
} plot;

static void end(scenario *s)
{
    wg_tape_free(s->tape);
    wg_optimizer_free(s->optimizer);
    wg_params_free(s->set);
}

static void report(const plot *p, const scenario *s, long k, bool for_good, const char *what)
{
    const char *name = s->row ? s->row->name : p->name;
    FAIL("%s, allocation %ld failing%s: %s", name, k, for_good ? " for good" : "", what);
}

static long n_faults;

/* Runs a step with request k failing, then again without a failure. False if k is past the last request. */
static bool fail_at(const plot *p, const op_samples *row, int number, long k, bool for_good, bits wanted)
{
    scenario s = {.memory = {.fail_at = k, .for_good = for_good}, .row = row, .number = number};
    n_faults++;
    bool made = p->make(&s);
    if (made) {
        bits before = bits_of_set(s.set, true), after;
        bool making = s.memory.failed;
        if (making) report(p, &s, k, for_good, "made in spite of the failure");
        wg_status status = p->step(&s);
        bool hit = s.memory.failed;
        if (status == WG_OK && s.result.hash != wanted.hash) report(p, &s, k, for_good, "no error, but other bits");
        if (status != WG_OK && status != WG_ERR_MEMORY) report(p, &s, k, for_good, wg_tape_message(s.tape));
        if (status != WG_OK && !hit) report(p, &s, k, for_good, "an error although nothing failed");
        if (status == WG_ERR_MEMORY) {
            if (!strstr(wg_tape_message(s.tape), "memory"))
                report(p, &s, k, for_good, "the message does not mention memory");
            after = bits_of_set(s.set, true);
            if (before.hash != after.hash) report(p, &s, k, for_good, "parameters or gradients have changed");
            heal(&s.memory);
            if (p->step(&s) != WG_OK) report(p, &s, k, for_good, "the second try fails");
            if (s.result.hash != wanted.hash) report(p, &s, k, for_good, "the second try gives other bits");
        }
    } else if (!s.memory.failed) {
        report(p, &s, k, for_good, "not made although nothing failed");
    } else if (s.set && wg_params_status(s.set) != WG_ERR_MEMORY && wg_params_status(s.set) != WG_OK) {
        report(p, &s, k, for_good, wg_params_message(s.set));
    }
    bool hit = s.memory.failed;
    end(&s);
    if (s.memory.blocks || s.memory.bytes) report(p, &s, k, for_good, "memory leaked");
    if (s.memory.overruns) report(p, &s, k, for_good, "bytes past the end of a block were written");
    if (s.memory.wrong_sizes) report(p, &s, k, for_good, "a block was freed with another size");
    return hit;
}

/* New memory is zeros, numbers or NaN: the result must not depend on it. */
static void check_fresh_memory(const plot *p, const op_samples *row, bits wanted)
{
    static const int fills[] = {0x5a, 0xff};
    for (int i = 0; i < COUNT(fills); i++) {
        scenario s = {.memory = {.fail_at = -1, .fill = fills[i]}, .row = row};
        if (!p->make(&s) || p->step(&s) != WG_OK || s.result.hash != wanted.hash)
            report(p, &s, -1, false, "what stands in fresh memory changes the result");
        end(&s);
    }
}

static void every_allocation(const plot *p, const op_samples *row)
{
    scenario s = {.memory = {.fail_at = -1}, .row = row};
    bool ok = p->make(&s) && p->step(&s) == WG_OK;
    bits wanted = s.result;
    if (!ok) report(p, &s, -1, false, s.tape ? wg_tape_message(s.tape) : "not made");
    end(&s);
    if (s.memory.blocks) report(p, &s, -1, false, "memory leaked");
    if (ok) check_fresh_memory(p, row, wanted);
    for (int for_good = 0; ok && for_good < 2; for_good++) {
        long k = 0;
        while (fail_at(p, row, 0, k, for_good, wanted)) k++;
        if (k < 10 || k != s.memory.requests)
            report(p, &s, k, for_good, "the hooks were not asked as often as before");
    }
}

/* ---- scenarios ---- */

static bool make_tape(scenario *s)
{
    wg_tape_options options = wg_tape_defaults();
    options.allocator = hooks(&s->memory);
    options.remat = s->remat;
    options.plan = s->plan;
    if (s->plan_bytes) options.plan_bytes = s->plan_bytes;
    s->tape = wg_tape_new(options);
    return s->tape != NULL;
}

/* A sample of an op: recorded, differentiated, run. Its parameters come from malloc, before any failure. */
static bool make_op(scenario *s)
{
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    s->set = wg_params_new(WG_F64);
    s->sampler = (sampler){.tape = tape, .set = s->set, .spoil_at = -1};
    sample_make(&s->sampler, s->row, s->number);
    wg_tape_free(tape);
    return make_tape(s);
}

static wg_status step_op(scenario *s)
{
    s->sampler.tape = s->tape;
    wg_tensor out = sample_run(&s->sampler, s->row, s->number, -1);
    s->result = (bits){0};
    add_tensor(&s->result, out);
    wg_status status = wg_tape_reset(s->tape);
    bits set = bits_of_set(s->set, true);
    add_bytes(&s->result, &set, sizeof set);
    if (status != WG_OK) wg_zero_grad(s->set);
    return status;
}

enum { STEPS = 4, BATCH = 3, IN = 2, HIDDEN = 3 };

static bool make_lstm(scenario *s)
{
    s->set = wg_params_new_with(WG_F32, hooks(&s->memory), 3);
    if (!s->set) return false;
    wg_rnn_options options = wg_rnn_defaults();
    options.cell = WG_LSTM;
    if (wg_rnn_init(&s->rnn, s->set, "lstm", IN, HIDDEN, options) != WG_OK) return false;
    if (wg_linear_init(&s->out, s->set, "out", HIDDEN, 5, wg_linear_defaults()) != WG_OK) return false;
    wg_buffer_new(s->set, "carried", WG_DIMS(BATCH, HIDDEN), wg_init_zeros());
    s->optimizer = wg_rmsprop_new(s->set, wg_rmsprop_defaults());
    return s->optimizer && wg_params_status(s->set) == WG_OK && wg_optimizer_status(s->optimizer) == WG_OK &&
           make_tape(s);
}

static bool make_lstm_less(scenario *s)
{
    s->remat = true;
    return make_lstm(s);
}

/* One training step of an unrolled LSTM whose hidden state is carried. */
static wg_status step_lstm(scenario *s)
{
    static const float x[STEPS][BATCH * IN] = {
        {1, 0, .5f, -1, .2f, .3f}, {0, 1, -1, .5f, .1f, 0}, {.7f, .1f, 0, 0, 1, 1}, {-.2f, .4f, .6f, .8f, -1, 0}};
    static const int32_t labels[BATCH] = {0, 3, 4};
    wg_tape *tape = s->tape;
    wg_buffer *carried = wg_param_find(s->set, "carried");
    wg_scope_begin(tape, "model");
    wg_rnn_state state = wg_rnn_zero_state(&s->rnn, tape, BATCH);
    state.h[0] = wg_use(tape, carried);
    wg_tensor loss = wg_zeros(tape, WG_F32, WG_SCALAR), h = WG_NONE;
    for (int t = 0; t < STEPS; t++) {
        h = wg_rnn_step(&s->rnn, wg_data(tape, WG_F32, WG_DIMS(BATCH, IN), x[t]), &state);
        wg_tensor logits = wg_linear_apply(&s->out, wg_dropout(h, 0.25));
        loss = wg_add(loss, wg_cross_entropy(logits, wg_data(tape, WG_I32, WG_DIMS(BATCH), labels)));
    }
    wg_scope_end(tape);
    wg_assign(carried, h);
    wg_zero_grad(s->set);
    wg_status status = wg_backward(loss);
    s->result = bits_of_set(s->set, true);
    if (status != WG_OK) wg_zero_grad(s->set);
    wg_status reset = wg_tape_reset(tape);
    return status == WG_OK ? reset : status;
}

/* Second derivatives, a Jacobian, single values. */
static bool make_derivatives(scenario *s)
{
    s->set = wg_params_new(WG_F64);
    wg_param_new(s->set, "w", WG_DIMS(3, 4), wg_init_uniform(-1, 1));
    return make_tape(s);
}

static wg_status step_derivatives(scenario *s)
{
    wg_tensor w = wg_use(s->tape, wg_param_find(s->set, "w"));
    wg_tensor y = wg_softmax(wg_matmul(w, wg_t(w)), -1), parts[3];
    wg_split(wg_tanh(y), 0, 3, parts);
    wg_tensor z = wg_sum_all(wg_mul(parts[0], wg_exp(parts[2])));
    s->result = (bits){0};
    add_tensor(&s->result, wg_hessian(z, w));
    add_tensor(&s->result, wg_jacobian(parts[1], w));
    add_tensor(&s->result, wg_hvp(z, w, wg_ones_like(w)));
    add_tensor(&s->result, y);
    return wg_tape_reset(s->tape);
}

/* Products with a shared weight, which become one; one that depends on them; lookups by one-hot rows. */
static bool make_products(scenario *s)
{
    s->plan = "+share_weight";
    s->set = wg_params_new(WG_F32);
    wg_param_new(s->set, "w", WG_DIMS(24, 24), wg_init_uniform(-1, 1));
    return make_tape(s);
}

static wg_status step_products(scenario *s)
{
    static const int32_t index[2] = {3, 21};
    wg_tensor w = wg_use(s->tape, wg_param_find(s->set, "w")), sum = wg_zeros(s->tape, WG_F32, WG_DIMS(2, 24));
    for (int i = 0; i < 3; i++) {
        wg_tensor x = wg_one_hot(wg_data(s->tape, WG_I32, WG_DIMS(2), index), 24, WG_F32);
        sum = wg_add(sum, wg_tanh(wg_matmul(wg_sin(wg_matmul(x, w)), w)));
    }
    wg_zero_grad(s->set);
    wg_status status = wg_backward(wg_sum_all(wg_square(wg_matmul(sum, w))));
    s->result = bits_of_set(s->set, true);
    if (status != WG_OK) wg_zero_grad(s->set);
    wg_status reset = wg_tape_reset(s->tape);
    return status == WG_OK ? reset : status;
}

/* More operands than a node holds, long names, many shapes, many attributes. */
static wg_status step_wide(scenario *s)
{
    wg_tensor w = wg_use(s->tape, wg_param_find(s->set, "w")), x[100];
    char name[16];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "scope%d", i);
        wg_scope_begin(s->tape, name);
        x[i] = wg_add(wg_reshape(wg_pad(wg_flatten(w, 0, 1), 0, i, 100 - i), WG_DIMS(112)),
                      wg_scalar(s->tape, WG_F64, i));
        wg_scope_end(s->tape);
    }
    wg_tensor all = wg_stack(x, 100, 1);
    s->result = (bits){0};
    add_tensor(&s->result, wg_grad1(wg_sum_all(wg_square(all)), w, WG_NONE));
    return wg_tape_reset(s->tape);
}

/* Programs in turn, more than the plan cache has room for. */
static bool make_evictions(scenario *s)
{
    s->plan_bytes = 20000;
    return make_derivatives(s);
}

static wg_status step_evictions(scenario *s)
{
    wg_status status = WG_OK;
    s->result = (bits){0};
    for (int i = 0; i < 24 && status == WG_OK; i++) {
        wg_tensor w = wg_use(s->tape, wg_param_find(s->set, "w")), x = w;
        for (int k = 0; k <= i % 8; k++) x = wg_tanh(wg_matmul(wg_matmul(x, wg_t(w)), w));
        add_tensor(&s->result, wg_grad1(wg_sum_all(x), w, WG_NONE));
        status = wg_tape_reset(s->tape);
    }
    if (status == WG_OK) CHECK(wg_tape_count(s->tape).plans_cached < 8);
    return status;
}

/* Written-out attention, which the planner replaces by the op. */
static bool make_attention(scenario *s)
{
    s->set = wg_params_new(WG_F64);
    wg_param_new(s->set, "w", WG_DIMS(16, 1), wg_init_uniform(-1, 1));
    return make_tape(s);
}

static wg_status step_attention(scenario *s)
{
    wg_tensor w = wg_use(s->tape, wg_param_find(s->set, "w")), x = wg_scale(wg_matmul(w, wg_t(w)), 0.7);
    wg_tensor hidden = wg_logical_or(wg_greater(wg_select(w, 1, 0), wg_scalar(s->tape, WG_F64, 0.5)),
                                     wg_triu_mask(s->tape, 16, 16, 1));
    wg_tensor y = wg_matmul(wg_softmax(wg_masked_fill(x, hidden, -INFINITY), -1), w);
    wg_zero_grad(s->set);
    wg_status status = wg_backward(wg_sum_all(wg_square(y)));
    s->result = bits_of_set(s->set, true);
    if (status != WG_OK) wg_zero_grad(s->set);
    wg_status reset = wg_tape_reset(s->tape);
    return status == WG_OK ? reset : status;
}

/* ---- tests ---- */

static void ops(void)
{
    static const plot op = {"op", make_op, step_op};
    const op_samples *row;
    for (int i = 0; (row = samples_at(i)); i++)
        if (check_wants(row->name)) every_allocation(&op, row);
}

#define PLOT(name, make, step)                                                                                     \
    static void name(void)                                                                                         \
    {                                                                                                              \
        static const plot all = {#name, make, step};                                                               \
        every_allocation(&all, NULL);                                                                              \
    }
PLOT(lstm, make_lstm, step_lstm)
PLOT(lstm_less, make_lstm_less, step_lstm)
PLOT(products, make_products, step_products)
PLOT(derivatives, make_derivatives, step_derivatives)
PLOT(wide, make_derivatives, step_wide)
PLOT(attention, make_attention, step_attention)
PLOT(evictions, make_evictions, step_evictions)

/* One allocation of one sample: any of all. */
static void one_fault(uint64_t seed)
{
    static const plot op = {"op", make_op, step_op};
    int rows = 0;
    random_state = seed * 0x9e3779b97f4a7c15u;
    while (samples_at(rows)) rows++;
    const op_samples *row = samples_at((int)below(rows));
    const int number = (int)below(row->n);
    scenario s = {.memory = {.fail_at = -1}, .row = row, .number = number};
    const bool ok = op.make(&s) && op.step(&s) == WG_OK;
    if (!ok) report(&op, &s, -1, false, "not made");
    end(&s);
    if (ok) fail_at(&op, row, number, (long)below(s.memory.requests), below(2), s.result);
}

static void random_faults(void) { check_rounds(200, one_fault); }

static wg_tensor check_loss(void *context, wg_tape *tape, wg_params *set)
{
    return wg_sum_all(wg_square(wg_sin(wg_use(tape, wg_param_find(set, "w")))));
}

static void gradient_check(void)
{
    faulty memory = {.fail_at = -1};
    bool failed = true;
    for (long k = 0; failed; k++) {
        memory = (faulty){.fail_at = k};
        wg_tape_options options = wg_tape_defaults();
        options.allocator = hooks(&memory);
        wg_tape *tape = wg_tape_new(options);
        wg_params *set = wg_params_new_with(WG_F64, hooks(&memory), 0);
        wg_param *w = set ? wg_param_new(set, "w", WG_DIMS(4), wg_init_uniform(0, 1)) : NULL;
        if (tape && w) {
            double before[4];
            memcpy(before, wg_param_value(w), sizeof before);
            wg_verdict v = wg_gradcheck(tape, set, check_loss, NULL, wg_gradcheck_defaults());
            assert_memory_equal(before, wg_param_value(w), sizeof before);
            assert_true(v.ok || v.status == WG_ERR_MEMORY);
            assert_true(v.ok || memory.failed);
        }
        failed = memory.failed;
        wg_tape_free(tape);
        wg_params_free(set);
        assert_int_equal(memory.blocks, 0);
    }
}

int main(int argc, char **argv)
{
    static const test tests[] = {
        TEST_CASE(ops),           TEST_CASE(lstm),           TEST_CASE(lstm_less), TEST_CASE(products),
        TEST_CASE(derivatives),   TEST_CASE(wide),           TEST_CASE(attention), TEST_CASE(evictions),
        TEST_CASE(random_faults), TEST_CASE(gradient_check),
    };
    const int failed = RUN_TESTS(tests);
    printf("%ld allocations failed\n", n_faults);
    return failed;
}
