/* Every op, by its samples: gradients of first and second order, products with the Jacobian, f32 against f64,
 * operands that need no gradient, plans, eager mode, threads. (Mistakes: test_op_mistakes.) */
#include "../autograd/base/random.h"
#include "samples.h"

/* ---- gradients ---- */

typedef struct program {
    const op_samples *row;
    int i;
    sampler s;
} program;

static wg_tensor program_loss(void *context, wg_tape *tape, wg_params *set)
{
    program *p = context;
    p->s.tape = tape;
    p->s.set = set;
    return sample_loss(&p->s, sample_make(&p->s, p->row, p->i));
}

/* Records the sample once; true if it has a derivative to check. */
static bool differentiable(program *p, wg_tape *tape, wg_params *set)
{
    p->s = (sampler){.tape = tape, .set = set, .spoil_at = -1};
    wg_tensor out = sample_make(&p->s, p->row, p->i);
    bool result = wg_dtype_is_float(wg_dtype_get(out)) && wg_params_count(set) > 0;
    if (wg_is_nil(out)) sample_failed(p->row, p->i, "not recorded: %s", wg_tape_message(tape));
    return wg_tape_reset(tape) == WG_OK && result;
}

static void gradients(void)
{
    const op_samples *row;
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    FOR_EACH_SAMPLE(row, i)
    {
        wg_params *set = wg_params_new(WG_F64);
        program p = {.row = row, .i = i};
        if (check_is_turn(at_ + i) && differentiable(&p, tape, set)) {
            wg_gradcheck_options options = wg_gradcheck_defaults();
            options.second_order = row->flags & SAMPLE_SMOOTH;
            options.epsilon = 1e-5; /* sums of a thousand numbers round by more than 1e-6 can bear */
            wg_verdict verdict = wg_gradcheck(tape, set, program_loss, &p, options);
            if (!verdict.ok) sample_failed(row, i, "%s", verdict.text);
        }
        wg_params_free(set);
    }
    wg_tape_free(tape);
}

/* ---- products with the Jacobian ---- */

static double *random_numbers(int64_t n, uint64_t key)
{
    double *out = malloc((size_t)n * sizeof *out + 1);
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits[4];
        wg__random4(1, 0, key, (uint64_t)i, bits);
        out[i] = 2 * wg__uniform(bits[0]) - 1;
    }
    return out;
}

static double dot(const double *a, const double *b, int64_t n, double *size)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
        *size += fabs(a[i] * b[i]);
    }
    return sum;
}

/* u . (J v) = (J^T u) . v for one operand. */
static void check_jacobian(program *p, int k)
{
    wg_tape *tape = p->s.tape;
    wg_tensor out = sample_make(&p->s, p->row, p->i), x = p->s.input[k];
    int64_t n_out = wg_numel(out), n_in = wg_numel(x);
    double *u = random_numbers(n_out, 1), *v = random_numbers(n_in, 2);
    wg_tensor results[2] = {wg_jvp(out, x, wg_data(tape, WG_F64, wg_shape_get(x), v)),
                            wg_vjp(out, x, wg_data(tape, WG_F64, wg_shape_get(out), u))};
    if (wg_eval(results, 2) == WG_OK) {
        double size = 1e-6, left = dot(u, wg_value(results[0]), n_out, &size);
        double right = dot(v, wg_value(results[1]), n_in, &size);
        if (!(fabs(left - right) <= 1e-9 * size))
            sample_failed(p->row, p->i, "operand %d: u.(Jv) = %.15g, (J'u).v = %.15g", k, left, right);
    } else {
        sample_failed(p->row, p->i, "operand %d: %s", k, wg_tape_message(tape));
    }
    free(u);
    free(v);
    wg_tape_reset(tape);
}

static void jacobian_products(void)
{
    const op_samples *row;
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    FOR_EACH_SAMPLE(row, i)
    {
        wg_params *set = wg_params_new(WG_F64);
        program p = {.row = row, .i = i};
        if (differentiable(&p, tape, set))
            for (int k = 0, n = p.s.n_inputs; k < n; k++) check_jacobian(&p, k);
        wg_params_free(set);
    }
    wg_tape_free(tape);
}

/* A derivative of a gradient that is asked for where gradients are switched off is the same number. */
static void check_detached(program *p)
{
    wg_tape *tape = p->s.tape;
    const wg_tensor loss = sample_loss(&p->s, sample_make(&p->s, p->row, p->i)), x = p->s.input[0];
    const wg_tensor sum = wg_sum_all(wg_square(wg_grad1(loss, x, WG_NONE)));
    wg_tensor second[2] = {wg_grad1(sum, x, WG_NONE)};
    wg_no_grad_begin(tape);
    second[1] = wg_grad1(sum, x, WG_NONE);
    wg_no_grad_end(tape);
    if (wg_eval(second, 2) == WG_OK) {
        const double *a = wg_value(second[0]), *b = wg_value(second[1]);
        for (int64_t k = 0, n = wg_numel(x); k < n; k++) {
            if (fabs(a[k] - b[k]) <= 1e-12 * (1 + fabs(a[k])) || (isnan(a[k]) && isnan(b[k]))) continue;
            sample_failed(p->row, p->i, "without gradients: element %d is %.12g, not %.12g", (int)k, b[k], a[k]);
            break;
        }
    } else {
        sample_failed(p->row, p->i, "%s", wg_tape_message(tape));
    }
    wg_tape_reset(tape);
}

static void detached_second_derivatives(void)
{
    const op_samples *row;
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    FOR_EACH_SAMPLE(row, i)
    {
        wg_params *set = wg_params_new(WG_F64);
        program p = {.row = row, .i = i};
        if ((row->flags & SAMPLE_SMOOTH) && differentiable(&p, tape, set)) check_detached(&p);
        wg_params_free(set);
    }
    wg_tape_free(tape);
}

/* ---- running a sample in some way ---- */

typedef struct way {
    wg_dtype dtype;
    const char *plan;
    wg_pool *pool;
    bool eager, twice; /* twice: a second step, whose plan comes from the cache */
    bool bf16, rounded;
    int frozen; /* operand without gradient; -1: none */
} way;

typedef struct outcome { /* the result, and after it the gradient of each operand */
    int n;
    wg_dtype dtype[1 + SAMPLE_INPUTS];
    int64_t numel[1 + SAMPLE_INPUTS];
    void *data[1 + SAMPLE_INPUTS];
} outcome;

static void outcome_add(outcome *o, wg_dtype dtype, int64_t numel, const void *data)
{
    size_t bytes = (size_t)numel * wg_dtype_size(dtype);
    o->dtype[o->n] = dtype;
    o->numel[o->n] = numel;
    o->data[o->n] = malloc(bytes + 1);
    if (bytes && data) memcpy(o->data[o->n], data, bytes);
    o->n++;
}

static void outcome_free(outcome *o)
{
    for (int k = 0; k < o->n; k++) free(o->data[k]);
    o->n = 0;
}

static bool step(sampler *s, const op_samples *row, int i, int frozen, outcome *o)
{
    wg_tensor out = sample_run(s, row, i, frozen);
    const void *value = wg_value(out);
    outcome_free(o);
    outcome_add(o, wg_dtype_get(out), wg_numel(out), value);
    for (size_t k = 0; k < wg_params_count(s->set); k++) {
        const wg_param *param = wg_params_at(s->set, k);
        outcome_add(o, s->dtype, wg_param_numel(param), wg_param_grad(param));
    }
    if (wg_tape_reset(s->tape) == WG_OK) return true;
    sample_failed(row, i, "%s", wg_tape_message(s->tape));
    return false;
}

static bool run(const op_samples *row, int i, way w, outcome *o)
{
    wg_tape_options options = wg_tape_defaults();
    options.plan = w.plan;
    options.pool = w.pool;
    options.eager = w.eager;
    options.products = w.bf16 ? WG_BF16 : WG_F32;
    sampler s = {.tape = wg_tape_new(options), .set = wg_params_new(w.dtype), .rounded = w.rounded, .spoil_at = -1};
    *o = (outcome){0};
    bool ok = step(&s, row, i, w.frozen, o) && (!w.twice || step(&s, row, i, w.frozen, o));
    wg_tape_free(s.tape);
    wg_params_free(s.set);
    return ok;
}

static const char *part_name(int k)
{
    static char name[48];
    if (k == 0) return "the result";
    snprintf(name, sizeof name, "the gradient of operand %d", k - 1);
    return name;
}

static void check_same_bits(const op_samples *row, int i, const outcome *a, const outcome *b, const char *what)
{
    for (int k = 0; k < a->n; k++) {
        size_t size = wg_dtype_size(a->dtype[k]);
        const char *x = a->data[k], *y = b->data[k];
        for (int64_t e = 0; e < a->numel[k]; e++) {
            if (!memcmp(x + (size_t)e * size, y + (size_t)e * size, size)) continue;
            sample_failed(row, i, "%s: %s differs in bits at %lld", what, part_name(k), (long long)e);
            return;
        }
    }
}

static double number_at(const outcome *o, int k, int64_t e)
{
    switch (o->dtype[k]) {
    case WG_F32: return (double)((float *)o->data[k])[e];
    case WG_F64: return ((double *)o->data[k])[e];
    case WG_I32: return ((int32_t *)o->data[k])[e];
    default: return ((uint8_t *)o->data[k])[e];
    }
}

static void check_close(const op_samples *row, int i, const outcome *a, const outcome *b, double tolerance,
                        const char *what)
{
    for (int k = 0; k < a->n; k++) {
        double largest = 1;
        if (a->numel[k] != b->numel[k]) sample_failed(row, i, "%s: %s has another size", what, part_name(k));
        for (int64_t e = 0; e < b->numel[k]; e++) largest = fmax(largest, fabs(number_at(b, k, e)));
        for (int64_t e = 0; e < a->numel[k] && a->numel[k] == b->numel[k]; e++) {
            double x = number_at(a, k, e), y = number_at(b, k, e);
            if (fabs(x - y) <= tolerance * largest) continue;
            sample_failed(row, i, "%s: %s is %.9g and %.9g at %lld", what, part_name(k), x, y, (long long)e);
            break;
        }
    }
}

/* ---- comparisons ---- */

static void f32_against_f64(void)
{
    const op_samples *row;
    FOR_EACH_SAMPLE(row, i)
    {
        if (row->flags & SAMPLE_TWO_SETS) continue;
        outcome single, full;
        if (run(row, i, (way){.dtype = WG_F32, .plan = "", .frozen = -1}, &single) &
            run(row, i, (way){.dtype = WG_F64, .plan = "", .frozen = -1}, &full))
            check_close(row, i, &single, &full, row->tolerance > 0 ? row->tolerance : 1e-5, "f32 against f64");
        outcome_free(&single);
        outcome_free(&full);
    }
}

/* Operands that are parameters stored in bf16: the bits of the same numbers in f32. */
static void operands_stored_in_bf16(void)
{
    const op_samples *row;
    FOR_EACH_SAMPLE(row, i)
    {
        outcome stored, wide;
        if (run(row, i, (way){.dtype = WG_F32, .plan = "", .frozen = -1, .rounded = true}, &wide) &
            run(row, i, (way){.dtype = WG_BF16, .plan = "", .frozen = -1, .rounded = true}, &stored)) {
            const int parts = wide.n;
            wide.n = 1; /* the result */
            check_same_bits(row, i, &wide, &stored, "stored in bf16");
            wide.n = parts;
        }
        outcome_free(&stored);
        outcome_free(&wide);
    }
}

/* A frozen operand's gradient stays zero, and the others are what they were. */
static void operands_without_gradient(void)
{
    const op_samples *row;
    FOR_EACH_SAMPLE(row, i)
    {
        outcome all, some;
        bool ok = run(row, i, (way){.dtype = WG_F64, .plan = "-merge", .frozen = -1}, &all);
        for (int frozen = 0; ok && frozen < all.n - 1; frozen++) {
            ok = run(row, i, (way){.dtype = WG_F64, .plan = "-merge", .frozen = frozen}, &some);
            memset(all.data[1 + frozen], 0, (size_t)all.numel[1 + frozen] * sizeof(double));
            if (ok) check_same_bits(row, i, &all, &some, "an operand frozen");
            outcome_free(&some);
            outcome_free(&all);
            ok = ok && run(row, i, (way){.dtype = WG_F64, .plan = "-merge", .frozen = -1}, &all);
        }
        outcome_free(&all);
    }
}

static void plans(void)
{
    const op_samples *row;
    FOR_EACH_SAMPLE(row, i)
    {
        for (wg_dtype dtype = WG_F32; dtype <= WG_F64; dtype++) {
            outcome naive, exact, full, cached;
            double tolerance = dtype == WG_F32 ? 1e-5 : 1e-12;
            if (run(row, i, (way){.dtype = dtype, .plan = "-merge,-fuse,-pack,-place", .frozen = -1}, &naive) &
                run(row, i, (way){.dtype = dtype, .plan = "-merge", .frozen = -1}, &exact) &
                run(row, i, (way){.dtype = dtype, .plan = "", .frozen = -1}, &full) &
                run(row, i, (way){.dtype = dtype, .plan = "", .twice = true, .frozen = -1}, &cached)) {
                check_same_bits(row, i, &naive, &exact, "without passes and with the exact ones");
                check_same_bits(row, i, &full, &cached, "a plan and the same from the cache");
                check_close(row, i, &full, &naive, tolerance, "with all passes and without");
            }
            outcome *all[] = {&naive, &exact, &full, &cached};
            for (int k = 0; k < 4; k++) outcome_free(all[k]);
        }
    }
}

static bool is_product(const op_samples *row)
{
    const op_samples *first = samples_product, *end = first;
    while (end->name) end++;
    return row >= first && row < end;
}

/* The same bits, but of products: run at once, a view is contiguous, and a product of one row with it may add in
 * another order (docs/numerics.md). */
static void eager(void)
{
    const op_samples *row;
    FOR_EACH_SAMPLE(row, i)
    {
        outcome lazy, eager;
        if (run(row, i, (way){.dtype = WG_F64, .plan = "-merge", .frozen = -1}, &lazy) &
            run(row, i, (way){.dtype = WG_F64, .plan = "-merge", .eager = true, .frozen = -1}, &eager)) {
            if (is_product(row))
                check_close(row, i, &lazy, &eager, 1e-14, "eager");
            else
                check_same_bits(row, i, &lazy, &eager, "eager");
        }
        outcome_free(&lazy);
        outcome_free(&eager);
    }
}

/* The ops that are computed by products. */
static const char *const bf16_ops[] = {"matmul",    "linear",         "outer",          "einsum",
                                       "conv",      "conv_input",     "conv_weight",    "conv_transpose",
                                       "attention", "attention_grad", "masked_product", "masked_dots"};
enum { BF16_OPS = sizeof bf16_ops / sizeof *bf16_ops };

/* Products in bf16 are close to f64; all other ops have the bits of f32. */
static void bf16(void)
{
    const op_samples *row;
    bool changed[BF16_OPS + 1] = {false};
    FOR_EACH_SAMPLE(row, i)
    {
        if (row->flags & SAMPLE_TWO_SETS) continue;
        outcome single, half, full;
        if (run(row, i, (way){.dtype = WG_F32, .plan = "", .frozen = -1}, &single) &
            run(row, i, (way){.dtype = WG_F32, .plan = "", .bf16 = true, .frozen = -1}, &half) &
            run(row, i, (way){.dtype = WG_F64, .plan = "", .frozen = -1}, &full)) {
            bool same = true;
            for (int k = 0; k < half.n; k++)
                same &= !memcmp(half.data[k], single.data[k], (size_t)half.numel[k] * wg_dtype_size(half.dtype[k]));
            int op = 0;
            while (op < BF16_OPS && strcmp(row->name, bf16_ops[op]) != 0) op++;
            changed[op] |= !same;
            if (!same && op == BF16_OPS && !is_product(row)) sample_failed(row, i, "products in bf16 change it");
            check_close(row, i, &half, &full, 0.05, "bf16 against f64");
        }
        outcome_free(&single);
        outcome_free(&half);
        outcome_free(&full);
    }
    for (int op = 0; op < BF16_OPS; op++)
        if (!changed[op] && check_wants(bf16_ops[op])) FAIL("%s is not computed in bf16", bf16_ops[op]);
}

static void threads(void)
{
    const op_samples *row;
    wg_pool *pool = wg_pool_new(3);
    FOR_EACH_SAMPLE(row, i)
    {
        outcome one, three;
        if (run(row, i, (way){.dtype = WG_F32, .plan = "", .frozen = -1}, &one) &
            run(row, i, (way){.dtype = WG_F32, .plan = "", .pool = pool, .frozen = -1}, &three))
            check_same_bits(row, i, &one, &three, "one thread and three");
        outcome_free(&one);
        outcome_free(&three);
    }
    wg_pool_free(pool);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(gradients),
                                 TEST_CASE(jacobian_products),
                                 TEST_CASE(detached_second_derivatives),
                                 TEST_CASE(f32_against_f64),
                                 TEST_CASE(operands_stored_in_bf16),
                                 TEST_CASE(operands_without_gradient),
                                 TEST_CASE(plans),
                                 TEST_CASE(eager),
                                 TEST_CASE(threads),
                                 TEST_CASE(bf16)};
    return RUN_TESTS(tests);
}
