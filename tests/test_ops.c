/* Every op, by its samples: gradients of first and second order, products with the Jacobian, f32 against f64,
 * operands that need no gradient, plans, threads, and what must be refused.
 *
 *     test_ops [ROW [SAMPLE]]    only rows of that name (samples of that number) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../autograd/base/random.h"
#include "../ops/internal.h"
#include "samples.h"

static const char *only_row;
static int only_sample = -1, failures;

static bool wanted(const op_samples *row) { return !only_row || !strcmp(row->name, only_row); }

#define FOR_EACH_SAMPLE(row, i)                                                                                    \
    for (int at_ = 0; ((row) = samples_at(at_)); at_++)                                                            \
        for (int i = only_sample >= 0 ? only_sample : 0;                                                           \
             wanted(row) && i < (row)->n && (only_sample < 0 || i == only_sample); i++)

static void failed(const op_samples *row, int i, const char *format, ...) WG_PRINTF(3, 4);
static void failed(const op_samples *row, int i, const char *format, ...)
{
    va_list arguments;
    if (++failures > 200) return;
    printf("FAILED %s, sample %d: ", row->name, i);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n    repeat with: tests/test_ops %s %d\n", row->name, i);
}

static void no_failures(void)
{
    int seen = failures;
    failures = 0;
    assert_int_equal(seen, 0);
}

/* ---- gradients ------------------------------------------------------------------------------------------- */

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
    if (wg_is_nil(out)) failed(p->row, p->i, "not recorded: %s", wg_tape_message(tape));
    return wg_tape_reset(tape) == WG_OK && result;
}

static void gradients(void **state)
{
    const op_samples *row;
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    FOR_EACH_SAMPLE(row, i)
    {
        wg_params *set = wg_params_new(WG_F64);
        program p = {.row = row, .i = i};
        if (differentiable(&p, tape, set)) {
            wg_gradcheck_options options = wg_gradcheck_defaults();
            options.second_order = row->flags & SAMPLE_SMOOTH;
            options.epsilon = 1e-5; /* sums of a thousand numbers round by more than 1e-6 can bear */
            wg_verdict verdict = wg_gradcheck(tape, set, program_loss, &p, options);
            if (!verdict.ok) failed(row, i, "%s", verdict.text);
        }
        wg_params_free(set);
    }
    wg_tape_free(tape);
    no_failures();
}

/* ---- products with the Jacobian -------------------------------------------------------------------------- */

static double *random_numbers(int64_t n, uint64_t key)
{
    double *out = malloc((size_t)n * sizeof *out + 1);
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits[4];
        wg__random4(1, 0, key, (uint64_t)i, bits);
        out[i] = 2 * wg__unit(bits[0]) - 1;
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
            failed(p->row, p->i, "operand %d: u.(Jv) = %.15g, (J'u).v = %.15g", k, left, right);
    } else {
        failed(p->row, p->i, "operand %d: %s", k, wg_tape_message(tape));
    }
    free(u);
    free(v);
    wg_tape_reset(tape);
}

static void jacobian_products(void **state)
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
    no_failures();
}

/* ---- running a sample in some way ------------------------------------------------------------------------ */

typedef struct way {
    wg_dtype dtype;
    const char *plan;
    wg_pool *pool;
    bool eager, twice; /* twice: a second step, whose plan comes from the cache */
    int frozen;        /* operand without gradient; -1: none */
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
    wg_tensor out = wg_keep(sample_make(s, row, i));
    if (frozen >= 0) wg_param_freeze(wg_params_at(s->set, (size_t)frozen), true);
    wg_zero_grad(s->set);
    if (wg_dtype_is_float(wg_dtype_get(out)) && s->n_inputs > 0)
        (void)wg_backward(sample_loss(s, out));
    else
        (void)wg_eval(&out, 1);
    const void *value = wg_value(out);
    outcome_free(o);
    outcome_add(o, wg_dtype_get(out), wg_numel(out), value);
    for (size_t k = 0; k < wg_params_count(s->set); k++) {
        const wg_param *param = wg_params_at(s->set, k);
        outcome_add(o, s->dtype, wg_param_numel(param), wg_param_grad(param));
    }
    if (wg_tape_reset(s->tape) == WG_OK) return true;
    failed(row, i, "%s", wg_tape_message(s->tape));
    return false;
}

static bool run(const op_samples *row, int i, way w, outcome *o)
{
    wg_tape_options options = wg_tape_defaults();
    options.plan = w.plan;
    options.pool = w.pool;
    options.eager = w.eager;
    sampler s = {.tape = wg_tape_new(options), .set = wg_params_new(w.dtype), .spoil_at = -1};
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
            failed(row, i, "%s: %s differs in bits at %lld", what, part_name(k), (long long)e);
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
        if (a->numel[k] != b->numel[k]) failed(row, i, "%s: %s has another size", what, part_name(k));
        for (int64_t e = 0; e < b->numel[k]; e++) largest = fmax(largest, fabs(number_at(b, k, e)));
        for (int64_t e = 0; e < a->numel[k] && a->numel[k] == b->numel[k]; e++) {
            double x = number_at(a, k, e), y = number_at(b, k, e);
            if (fabs(x - y) <= tolerance * largest) continue;
            failed(row, i, "%s: %s is %.9g and %.9g at %lld", what, part_name(k), x, y, (long long)e);
            break;
        }
    }
}

/* ---- comparisons ----------------------------------------------------------------------------------------- */

static void f32_against_f64(void **state)
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
    no_failures();
}

/* A frozen operand's gradient stays zero, and the others are what they were. */
static void operands_without_gradient(void **state)
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
    no_failures();
}

static void plans(void **state)
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
    no_failures();
}

static void eager(void **state)
{
    const op_samples *row;
    FOR_EACH_SAMPLE(row, i)
    {
        outcome lazy, eager;
        if (run(row, i, (way){.dtype = WG_F64, .plan = "-merge", .frozen = -1}, &lazy) &
            run(row, i, (way){.dtype = WG_F64, .plan = "-merge", .eager = true, .frozen = -1}, &eager))
            check_same_bits(row, i, &lazy, &eager, "eager");
        outcome_free(&lazy);
        outcome_free(&eager);
    }
    no_failures();
}

static void threads(void **state)
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
    no_failures();
}

/* ---- what must be refused -------------------------------------------------------------------------------- */

/* True if the text holds every one of "word|word|...". */
static bool holds(const char *text, const char *words)
{
    char word[128];
    while (*words) {
        size_t n = strcspn(words, "|");
        snprintf(word, sizeof word, "%.*s", (int)n, words);
        if (!strstr(text, word)) return false;
        words += n + (words[n] == '|');
    }
    return true;
}

static void bad_inputs(void **state)
{
    const op_samples *row;
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    for (int at = 0; (row = samples_at(at)); at++) {
        for (int i = 0; wanted(row) && i < row->n_bad; i++) {
            if (only_sample >= 0 && i != only_sample) continue;
            sampler s = {.tape = tape, .set = wg_params_new(WG_F64), .spoil_at = -1};
            wg_scope_begin(tape, "outer");
            wg_tensor out = sample_bad(&s, row, i);
            bool nil = wg_is_nil(out);
            wg_status status = wg_tape_reset(tape);
            const char *text = wg_tape_message(tape);
            if (status != s.expected || !nil || !holds(text, s.words) || !strstr(text, "[outer]"))
                failed(row, i, "(bad input) %s '%s'%s, but should be %s with '%s' and [outer]",
                       wg_status_name(status), text, nil ? "" : " (and the result is not nil)",
                       wg_status_name(s.expected), s.words);
            wg_params_free(s.set);
        }
    }
    wg_tape_free(tape);
    no_failures();
}

/* linear's bias, the weight and bias of norms. */
static bool may_be_unset(const op_samples *row, int k)
{
    return (!strcmp(row->name, "linear") && k == 2) || (!strcmp(row->name, "layer_norm") && k > 0) ||
           (!strcmp(row->name, "layer_norm_grad") && k == 2) || (!strcmp(row->name, "rms_norm") && k == 1) ||
           (!strncmp(row->name, "batch_norm", 10) && (k == 1 || k == 2)) ||
           (!strncmp(row->name, "conv", 4) && k == 2);
}

static void check_spoiled(sampler *s, const op_samples *row)
{
    static const wg_status expected[] = {[SPOIL_STALE] = WG_ERR_STALE,
                                         [SPOIL_UNSET] = WG_ERR_ARGUMENT,
                                         [SPOIL_NIL] = WG_OK,
                                         [SPOIL_TAPE] = WG_ERR_ARGUMENT};
    bool nil = wg_is_nil(sample_make(s, row, 0));
    wg_status status = wg_tape_reset(s->tape), other = wg_tape_reset(s->other);
    const char *text = wg_tape_message(status == WG_OK && other != WG_OK ? s->other : s->tape);
    /* Before it can be recorded, a composition asks for shapes; and it is made of other ops. */
    bool early = !strncmp(text, "shape:", 6) || !strncmp(text, "dtype:", 6), by_name = s->spoil == SPOIL_UNSET;
    bool named = strstr(text, row->name) || early || !by_name || (row->flags & SAMPLE_OTHER_NAME);
    if (status == WG_OK) status = other;
    if (status != expected[s->spoil] || !nil || !named)
        failed(row, 0, "operand %d spoiled (%d): %s '%s', should be %s", s->spoil_at, s->spoil,
               wg_status_name(status), text, wg_status_name(expected[s->spoil]));
}

/* Each operand of sample 0 in turn replaced: stale, never set, nil, of another tape. */
static void spoiled_operands(void **state)
{
    static const double zeros[6];
    const op_samples *row;
    wg_tape *tape = wg_tape_new(wg_tape_defaults()), *other = wg_tape_new(wg_tape_defaults());
    wg_tensor stale = wg_data(tape, WG_F64, WG_DIMS(2, 3), zeros);
    wg_tape_reset(tape);
    for (int at = 0; (row = samples_at(at)); at++) {
        if (!wanted(row) || row->flags & SAMPLE_NO_SPOIL) continue;
        sampler s = {.tape = tape, .other = other, .stale = stale, .set = wg_params_new(WG_F64), .spoil_at = -1};
        sample_make(&s, row, 0);
        int operands = s.n_operands;
        wg_tape_reset(tape);
        for (s.spoil_at = 0; s.spoil_at < operands; s.spoil_at++) {
            for (s.spoil = SPOIL_STALE; s.spoil <= SPOIL_TAPE; s.spoil++) {
                bool alone = operands == 1 && (s.spoil == SPOIL_UNSET || s.spoil == SPOIL_TAPE);
                if (!alone && !(s.spoil == SPOIL_UNSET && may_be_unset(row, s.spoil_at))) check_spoiled(&s, row);
            }
        }
        wg_params_free(s.set);
    }
    wg_tape_free(tape);
    wg_tape_free(other);
    no_failures();
}

/* ---- the list -------------------------------------------------------------------------------------------- */

static int count_of(const char *name, bool bad)
{
    const op_samples *row;
    int n = 0;
    for (int at = 0; (row = samples_at(at)); at++)
        if (!strcmp(row->name, name)) n += bad ? row->n_bad : row->n;
    return n;
}

/* Ops that only the engine records, tested by way of others. */
static bool engine_only(const char *name)
{
    static const char *const names[] = {"fill", "copy", "accumulate"};
    for (int i = 0; i < COUNT(names); i++)
        if (!strcmp(name, names[i])) return true;
    return false;
}

static void every_op_has_samples(void **state)
{
    const wg_op *op;
    const op_samples *row;
    for (int i = 0; (op = wg_op_at(i)); i++) {
        op_samples missing = {.name = op->name};
        if (!engine_only(op->name) && count_of(op->name, false) < 20)
            failed(&missing, 0, "has %d samples, of 20", count_of(op->name, false));
        if (!op->vjp && !(op->flags & WG_OP_NO_GRADIENT) && op->max_in != 0 && op->kind != WG_KIND_SINK)
            failed(&missing, 0, "has no vjp and does not say so");
    }
    for (int at = 0; (row = samples_at(at)); at++)
        if (count_of(row->name, false) < 20) failed(row, 0, "has %d samples, of 20", count_of(row->name, false));
    no_failures();
}

int main(int argc, char **argv)
{
    if (argc > 1) only_row = argv[1];
    if (argc > 2) only_sample = atoi(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op_has_samples),
        cmocka_unit_test(gradients),
        cmocka_unit_test(jacobian_products),
        cmocka_unit_test(f32_against_f64),
        cmocka_unit_test(operands_without_gradient),
        cmocka_unit_test(plans),
        cmocka_unit_test(eager),
        cmocka_unit_test(threads),
        cmocka_unit_test(bad_inputs),
        cmocka_unit_test(spoiled_operands),
    };
    return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
