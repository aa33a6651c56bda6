/* A row for every op: its time on operands of realistic size, and the share of the machine's peak.
 *
 * Pointwise ops are enumerated by wg_op_at; other families have cases in micro.def. Ops without a case are reported.
 * Times are those of a whole step (record, look up the plan, run, reset), as a user sees it. */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../autograd/tape/graph.h"
#include "../ops/internal.h"

enum { NUMBERS = 1 << 22, POINTWISE = 1 << 16, SAMPLES = 20 };

/* Provides a case with operands, and counts the memory that they touch. */
typedef struct context {
    wg_tape *tape;
    wg_params *set;
    float *numbers;         /* [NUMBERS] in 0.5 .. 1.5 */
    int32_t *indices;       /* [NUMBERS] in 0 .. 63 */
    uint8_t *masks;         /* [NUMBERS] */
    int64_t used;           /* numbers used by operands of this recording */
    double elements, bytes; /* elements of the largest operand or result; bytes of all of them */
    wg_tensor first;        /* the first f32 operand */
} context;

/* ---- operands ------------------------------------------------------------------------------------------ */

static void count(context *c, wg_shape shape, wg_dtype dtype)
{
    int64_t n;
    wg_shape_numel(&shape, &n);
    c->bytes += (double)n * (double)wg_dtype_size(dtype);
    if ((double)n > c->elements) c->elements = (double)n;
}

static wg_tensor operand(context *c, wg_dtype dtype, wg_shape shape)
{
    int64_t n;
    if (!wg_shape_numel(&shape, &n) || c->used + n > NUMBERS) app_fail("a benchmark's operands are too large");
    const void *data = dtype == WG_F32   ? (const void *)(c->numbers + c->used)
                       : dtype == WG_I32 ? (const void *)(c->indices + c->used)
                                         : (const void *)(c->masks + c->used);
    wg_tensor x = wg_borrow(c->tape, dtype, shape, data);
    c->used += (n + 15) / 16 * 16;
    count(c, shape, dtype);
    if (dtype == WG_F32 && wg_is_nil(c->first)) c->first = x;
    return x;
}

static wg_tensor parameter(context *c, wg_shape shape)
{
    char name[96], sizes[64];
    snprintf(name, sizeof name, "w%s", wg_shape_text(&shape, sizes, sizeof sizes));
    wg_param *param = wg_param_find(c->set, name);
    if (!param) param = wg_param_new(c->set, name, shape, wg_init_uniform(-0.1, 0.1));
    count(c, shape, WG_F32);
    return wg_use(c->tape, param);
}

/* A Hessian-vector product: second derivative of the scalar y by the first operand. */
static wg_tensor second(context *c, wg_tensor y)
{
    return wg_hvp(y, c->first, operand(c, WG_F32, wg_shape_get(c->first)));
}

/* The engine's copy op, which has no public function. */
static wg_tensor copy_of(wg_tensor x) { return wg_record(wg__structural_ops.copy, &x, 1, NULL, 0); }

/* The backward pass of a loss whose gradient by w is 2 w, accumulated into the parameter's gradient. */
static wg_tensor into_gradient(context *c, wg_tensor w)
{
    wg_tensor loss = wg_sum_all(wg_square(w));
    if (wg_backward(loss) != WG_OK) app_fail("accumulate: %s", wg_tape_message(c->tape));
    return loss;
}

/* A training step of causal attention written from primitive ops; queries, keys and values are w[heads, T, size]. */
static wg_tensor written_out(context *c, wg_tensor w)
{
    int64_t T = wg_size(w, 1);
    wg_tensor scores = wg_scale(wg_matmul(w, wg_t(w)), 0.2), hidden = wg_triu_mask(c->tape, T, T, 1);
    wg_tensor weights = wg_softmax(wg_masked_fill(scores, hidden, -INFINITY), -1);
    wg_tensor loss = wg_mean_all(wg_square(wg_matmul(weights, w)));
    if (wg_backward(loss) != WG_OK) app_fail("attention: %s", wg_tape_message(c->tape));
    return loss;
}

/* Layer norm over rows, from primitive ops. */
static wg_tensor norm_by_hand(wg_tensor x)
{
    wg_tensor distance = wg_sub(x, wg_mean(x, WG_AXES(1), true));
    return wg_mul(distance, wg_rsqrt(wg_mean(wg_square(distance), WG_AXES(1), true)));
}

/* ---- cases --------------------------------------------------------------------------------------------- */

typedef struct bench_case {
    const char *id;
    double flops;
    bool gradient;
    wg_tensor (*record)(context *c);
    const wg_op *op; /* instead of record: a pointwise op */
} bench_case;

#define F(...) operand(c, WG_F32, WG_DIMS(__VA_ARGS__))
#define I(...) operand(c, WG_I32, WG_DIMS(__VA_ARGS__))
#define B(...) operand(c, WG_BOOL, WG_DIMS(__VA_ARGS__))
#define W(...) parameter(c, WG_DIMS(__VA_ARGS__))

/* One function per line of the list, named after the line. __VA_ARGS__ keeps the commas of WG_DIMS in one argument. */
#define NAME_(line)          case_at_##line
#define NAME(line)           NAME_(line)
#define BOTH(id, flops, ...) CASE(id, flops, __VA_ARGS__)
#define CASE(id, flops, ...)                                                                                       \
    static wg_tensor NAME(__LINE__)(context * c) { return __VA_ARGS__; }
#include "micro.def"
#undef CASE
#undef BOTH

static const bench_case cases[] = {
#define CASE(id, flops, ...) {id, flops, false, NAME(__LINE__), NULL},
#define BOTH(id, flops, ...) {id, flops, true, NAME(__LINE__), NULL},
#include "micro.def"
};
enum { CASES = sizeof cases / sizeof *cases };

/* Combinations of operand types of pointwise ops: numbers, masks, a mask and two numbers. */
static const wg_dtype pointwise_types[][3] = {
    {WG_F32, WG_F32, WG_F32}, {WG_BOOL, WG_BOOL, WG_BOOL}, {WG_BOOL, WG_F32, WG_F32}, {WG_F32, WG_BOOL, WG_F32}};

/* The index of the first combination that the op accepts; -1 if there is none. */
static int types_of(context *c, const wg_op *op)
{
    int found = -1;
    for (int t = 0; t < 4 && found < 0; t++) {
        wg_tensor in[3];
        for (int i = 0; i < op->min_in; i++) in[i] = operand(c, pointwise_types[t][i], WG_DIMS(16));
        if (!wg_is_nil(wg_record(op, in, op->min_in, NULL, 0))) found = t;
        c->used = 0;
        wg_status rejected = wg_tape_reset(c->tape);
        (void)rejected;
    }
    return found;
}

static wg_tensor record_pointwise(context *c, const wg_op *op, int types)
{
    wg_tensor in[3];
    for (int i = 0; i < op->min_in; i++) in[i] = operand(c, pointwise_types[types][i], WG_DIMS(POINTWISE));
    return wg_record(op, in, op->min_in, NULL, 0);
}

/* One step of a case. */
static void step(context *c, const bench_case *k, int types, bool gradient)
{
    c->used = 0;
    c->elements = c->bytes = 0;
    c->first = WG_NONE;
    wg_tensor y = k->op ? record_pointwise(c, k->op, types) : k->record(c);
    if (gradient && !wg_is_nil(y)) {
        count(c, wg_shape_get(y), wg_dtype_get(y));
        wg_tensor dy = operand(c, WG_F32, wg_shape_get(y));
        y = wg_grad1(y, c->first, dy);
    }
    count(c, wg_shape_get(y), wg_dtype_get(y));
    wg_status status = wg_eval(&y, 1);
    if (wg_tape_reset(c->tape) != WG_OK || status != WG_OK) app_fail("%s: %s", k->id, wg_tape_message(c->tape));
}

/* ---- timing -------------------------------------------------------------------------------------------- */

static void print_row(const bench_report *report, const bench_row *row)
{
    printf("%-24s %11.2f %6.0f%% %11.3f", row->id, row->ms * 1e3, row->spread * 100, row->ms * 1e6 / row->elements);
    bench_print_cell(9, 1, row->bytes > 0 ? row->bytes / row->ms * 1e-6 : NAN);
    bench_print_cell(10, 1, row->flops > 0 ? row->flops / row->ms * 1e-6 : NAN);
    bench_print_cell(6, 0, bench_peak_share(report, row) * 100);
    printf("%s\n", isfinite(bench_peak_share(report, row)) ? "%" : "");
}

static void time_case(bench_report *report, context *c, const bench_case *k, bool gradient)
{
    char id[64];
    snprintf(id, sizeof id, "%s%s", k->id, gradient ? ".grad" : "");
    if (!bench_wants(report, id)) return;
    int types = k->op ? types_of(c, k->op) : 0;
    if (types < 0) return;
    int64_t samples = report->settings->steps ? report->settings->steps : SAMPLES;
    bench_times times = {0};
    double began, ms;
    for (int warm = 0; warm < 3; warm++) step(c, k, types, gradient);
    began = wg_seconds();
    step(c, k, types, gradient);
    ms = (wg_seconds() - began) * 1e3;
    int repeats = ms < 0.5 ? (int)(0.5 / ms) + 1 : 1; /* a sample takes at least half a millisecond */
    for (int64_t s = 0; s < samples; s++) {
        began = wg_seconds();
        for (int r = 0; r < repeats; r++) step(c, k, types, gradient);
        bench_times_add(&times, (wg_seconds() - began) * 1e3 / repeats);
    }
    bench_row row = bench_row_new(id);
    row.ms = bench_median(&times);
    row.spread = bench_spread(&times);
    row.elements = c->elements;
    row.bytes = c->bytes;
    row.flops = gradient ? 0 : k->flops;
    if (gradient && k->flops > 0) row.bytes = 0;
    bench_add(report, &row);
    bench_times_fini(&times);
    print_row(report, &row);
}

/* ---- the section --------------------------------------------------------------------------------------- */

static bool has_case(const char *name)
{
    for (int i = 0; i < CASES; i++)
        if (!strcmp(cases[i].id, name)) return true;
    return false;
}

static void time_pointwise(bench_report *report, context *c)
{
    const wg_op *op;
    for (int i = 0; (op = wg_op_at(i)); i++) {
        if (op->kind != WG_KIND_POINTWISE || has_case(op->name)) continue;
        const bench_case k = {.id = op->name, .op = op};
        time_case(report, c, &k, false);
    }
}

/* Reports the ops that no case has recorded. */
static void report_missing(const wg_tape *tape)
{
    const wg_op *op;
    for (int i = 0; (op = wg_op_at(i)); i++) {
        if (!wg__find_op(tape, op) && !has_case(op->name))
            app_note("no case in bench/micro.def reaches %s", op->name);
    }
}

static void fill(context *c)
{
    c->numbers = malloc(NUMBERS * sizeof *c->numbers + 64);
    c->indices = malloc(NUMBERS * sizeof *c->indices + 64);
    c->masks = malloc(NUMBERS + 64);
    if (!c->numbers || !c->indices || !c->masks) app_fail("out of memory");
    for (int64_t i = 0; i < NUMBERS; i++) {
        uint64_t bits = (uint64_t)(i + 1) * 0x9e3779b97f4a7c15u;
        c->numbers[i] = 0.5f + (float)(bits >> 40) * 0x1p-24f;
        c->indices[i] = (int32_t)(bits >> 58);
        c->masks[i] = bits >> 63;
    }
}

void bench_ops(bench_report *report)
{
    wg_pool *pool = wg_pool_new((int)report->settings->threads);
    context c = {.tape = bench_tape_new(pool, NULL, false), .set = wg_params_new(WG_F32)};
    if (!pool || !c.set) app_fail("out of memory");
    fill(&c);
    printf("%-24s %11s %7s %11s %8s %9s %6s\n", "op", "us", "spread", "ns/element", "GB/s", "GFLOP/s", "peak");
    time_pointwise(report, &c);
    for (int i = 0; i < CASES; i++) {
        time_case(report, &c, &cases[i], false);
        if (cases[i].gradient) time_case(report, &c, &cases[i], true);
    }
    if (!report->settings->filter) report_missing(c.tape);
    wg_tape_free(c.tape);
    wg_params_free(c.set);
    wg_pool_free(pool);
    free(c.numbers);
    free(c.indices);
    free(c.masks);
}
