/* The chain interpreter, copies and initial values against plain loops: random programs over operands that are
 * flat, broadcast, strided, of mixed dtypes, run in tasks of any order. */
#include "ops/kernels/kernels.h"
#include "ops/kernels/move/move.h"
#include "ops/kernels/random/random.h"
#include "ops/kernels/reduce/reduce.h"

#include <inttypes.h>

#include "autograd/base/random.h"
#include "check.h"
#include "ops/kernels/pointwise/pointwise.h"
#include "ops/pointwise_rows.h"
#include "random.h"

enum { MOST = 1 << 15, OPERANDS = 40, STEPS = 24, GUARD = 64 };

/* The memory of an operand. Bytes outside its elements have a fixed pattern. */
typedef struct stored {
    wg_dtype dtype;
    int64_t offset, extent; /* elements */
    int64_t stride[WG_MAX_RANK];
    char *memory;
} stored;

typedef struct program {
    wg__chain chain;
    wg__chain_operand loads[OPERANDS], stores[STEPS];
    wg__chain_step steps[2 * STEPS]; /* the sums come last */
    wg__chain_sum sums[STEPS];
    stored load[OPERANDS], store[STEPS];
    wg_dtype dtype[STEPS]; /* of results */
    void *whole[STEPS];    /* results over the whole space, by plain loops */
} program;

/* Chooses strides over the space: a permutation of axes, broadcast axes, gaps. Allocates memory for all of it. */
static void make_operand(const wg__chain *c, wg__chain_operand *o, stored *s, wg_dtype dtype, bool store)
{
    int order[WG_MAX_RANK];
    for (int d = 0; d < c->rank; d++) order[d] = d;
    int64_t style = below(5); /* 0, 1: flat */
    for (int d = 0; d < c->rank && style == 2; d++) {
        int with = (int)below(c->rank), held = order[d];
        order[d] = order[with];
        order[with] = held;
    }
    int64_t stride = style == 3 ? 2 + below(2) : 1;
    o->stride = s->stride;
    for (int i = c->rank - 1; i >= 0; i--) {
        int d = order[i];
        bool broadcast = !store && style >= 3 && below(2);
        o->stride[d] = broadcast ? 0 : stride;
        if (!broadcast) stride *= c->size[d] + (style == 4 && below(3) == 0 ? 3 : 0);
    }
    if (!store && below(5) == 0) memset(s->stride, 0, sizeof s->stride);
    o->size = (uint8_t)wg_dtype_size(dtype);
    int64_t dense = 1, last = 0;
    o->flat = o->uniform = true;
    for (int d = c->rank - 1; d >= 0; d--) {
        o->flat &= c->size[d] == 1 || o->stride[d] == dense;
        o->uniform &= c->size[d] == 1 || o->stride[d] == 0;
        dense *= c->size[d];
        last += (c->size[d] - 1) * o->stride[d];
    }
    if (o->flat) o->uniform = false;
    s->dtype = dtype;
    s->extent = last + 1;
    size_t bytes = (size_t)s->extent * o->size;
    s->memory = malloc(bytes + 2 * GUARD);
    memset(s->memory, 0x5a, bytes + 2 * GUARD);
    o->data = s->memory + GUARD;
    for (int64_t i = 0; i < s->extent && !store; i++) {
        if (dtype == WG_F32)
            ((float *)o->data)[i] = (float)below(1000) / 100 - 5;
        else if (dtype == WG_BOOL)
            ((uint8_t *)o->data)[i] = (uint8_t)below(2);
        else
            ((double *)o->data)[i] = (double)below(1000) / 100 - 5;
    }
}

static int64_t element_at(const wg__chain *c, const wg__chain_operand *o, int64_t i)
{
    int64_t at = 0;
    for (int d = c->rank - 1; d >= 0; d--) {
        at += i % c->size[d] * o->stride[d];
        i /= c->size[d];
    }
    return at;
}

static void make_space(wg__chain *c)
{
    static const int64_t sizes[] = {1, 2, 3, 5, 7, 16, 31, 63, 64, 65, 100, 128, 511, 512, 513, 1300};
    do {
        c->rank = 1 + (int)below(4);
        c->numel = 1;
        for (int d = 0; d < c->rank; d++) c->numel *= c->size[d] = sizes[below(16)];
    } while (c->numel > MOST);
    int64_t row = c->size[c->rank - 1];
    c->block = c->rank == 1 ? 64 * (1 + below(40)) : row * (1 + below(c->numel / row));
    c->span = c->line = c->numel;
}

/* A line is the last dimensions of the space; a span is those and some more. The planner adds no more lines to a sum
 * than its kernels allow. */
static void cut_lines(wg__chain *c)
{
    const int64_t most = wg__line_sums_get(WG_F32)->lines;
    int first = (int)below(c->rank), before = (int)below(first + 1);
    c->span = c->line = 1;
    for (int d = c->rank - 1; d >= before; d--) {
        if (d >= first) c->line *= c->size[d];
        c->span *= c->size[d];
    }
    if (c->line == 1 || c->span == c->line || c->numel / c->span > most)
        c->span = c->line = c->numel; /* one sum: of one line */
    c->block = c->line * (1 + below(c->span / c->line));
}

/* An operand of this dtype for step i: an earlier result, a load, or a new load. */
static int pick(program *p, int i, wg_dtype dtype, const int *last_use)
{
    for (int tries = 0; tries < 4 && i > 0; tries++) {
        int from = (int)below(i);
        if (p->dtype[from] == dtype && last_use[from] >= 0) return 1000 + from;
    }
    for (int k = 0; k < p->chain.n_loads && below(2); k++)
        if (p->load[k].dtype == dtype) return k;
    int k = p->chain.n_loads++;
    make_operand(&p->chain, &p->loads[k], &p->load[k], dtype, false);
    return k;
}

static const struct choice {
    int row;
    wg_dtype in[3], out; /* row -1: a cast */
    int n;
} choices[] = {{ROW_add, {WG_F32, WG_F32}, WG_F32, 2},
               {ROW_mul, {WG_F32, WG_F32}, WG_F32, 2},
               {ROW_neg, {WG_F32}, WG_F32, 1},
               {ROW_tanh, {WG_F32}, WG_F32, 1},
               {ROW_less, {WG_F32, WG_F32}, WG_BOOL, 2},
               {ROW_where, {WG_BOOL, WG_F32, WG_F32}, WG_F32, 3},
               {ROW_logical_not, {WG_BOOL}, WG_BOOL, 1},
               {ROW_add, {WG_F64, WG_F64}, WG_F64, 2},
               {-1, {WG_F32}, WG_F64, 1},
               {-1, {WG_F64}, WG_F32, 1},
               {-1, {WG_BOOL}, WG_F32, 1}};

/* Load k over the whole space, contiguous. */
static void *dense_load(const program *p, int k)
{
    const wg__chain_operand *o = &p->loads[k];
    char *out = malloc((size_t)p->chain.numel * o->size);
    for (int64_t i = 0; i < p->chain.numel; i++)
        memcpy(out + i * o->size, (char *)o->data + element_at(&p->chain, o, i) * o->size, o->size);
    return out;
}

static void make_program(program *p)
{
    wg__chain *c = &p->chain;
    make_space(c);
    c->loads = p->loads, c->steps = p->steps, c->stores = p->stores;
    c->n_steps = 1 + (int)below(STEPS - 1);
    c->n_loads = c->n_stores = 0;
    int last_use[STEPS] = {0};
    for (int i = 0; i < c->n_steps; i++) {
        const struct choice *ch = &choices[below(sizeof choices / sizeof *choices)];
        wg__chain_step *s = &p->steps[i];
        if (c->n_loads + 3 > OPERANDS) ch = &choices[2];
        *s = (wg__chain_step){
            .n_in = (uint8_t)ch->n, .size = (uint8_t)wg_dtype_size(ch->out), .out = (uint16_t)i, .store = -1};
        wg_dtype operands = ch->row == ROW_where ? WG_F32 : ch->in[0];
        s->fn = ch->row < 0 ? wg__cast_get(ch->in[0], ch->out) : wg__pointwise_get(ch->row, operands);
        const void *in[3];
        void *made[3] = {NULL};
        for (int k = 0; k < ch->n; k++) {
            int v = pick(p, i, ch->in[k], last_use);
            s->in[k] = (uint16_t)v;
            in[k] = v < 1000 ? (made[k] = dense_load(p, v)) : p->whole[v - 1000];
        }
        p->dtype[i] = ch->out;
        p->whole[i] = malloc((size_t)c->numel * s->size);
        s->fn(c->numel, p->whole[i], in);
        for (int k = 0; k < ch->n; k++) free(made[k]);
        if (i == c->n_steps - 1 || below(3) == 0) {
            s->store = (int16_t)c->n_stores++;
            make_operand(c, &p->stores[s->store], &p->store[s->store], ch->out, true);
        }
    }
    c->n_registers = c->n_steps;
    for (int i = 0; i < c->n_steps; i++)
        for (int k = 0; k < p->steps[i].n_in; k++)
            if (p->steps[i].in[k] >= 1000) p->steps[i].in[k] = (uint16_t)(p->steps[i].in[k] - 1000 + c->n_loads);
}

/* Adds sums of some results, computed while the chain runs. */
static void add_sums(program *p)
{
    wg__chain *c = &p->chain;
    int values = c->n_steps;
    c->sums = p->sums;
    cut_lines(c);
    for (int i = 0; i < values; i++) {
        if (!wg_dtype_is_float(p->dtype[i]) || below(3)) continue;
        wg__chain_sum *s = &p->sums[c->n_sums];
        *s = (wg__chain_sum){.size = p->steps[i].size, .kernels = wg__line_sums_get(p->dtype[i])};
        s->state = c->state_bytes;
        c->state_bytes += s->kernels->bytes;
        s->out = malloc((size_t)(c->span / c->line) * s->size);
        p->steps[c->n_steps++] = (wg__chain_step){
            .in = {(uint16_t)(c->n_loads + i)}, .n_in = 1, .store = -1, .sum = (int16_t)c->n_sums++};
    }
}

/* The same bits as the sum kernel on the whole result. */
static bool check_sum(const program *p, int step)
{
    const wg__chain *c = &p->chain;
    const wg__chain_sum *s = &p->sums[p->steps[step].sum];
    int64_t count = c->span / c->line;
    int value = p->steps[step].in[0] - c->n_loads;
    wg_operand in = {.data = p->whole[value],
                     .rank = 3,
                     .size = {c->numel / c->span, count, c->line},
                     .stride = {c->span, c->line, 1},
                     .numel = c->numel,
                     .dtype = p->dtype[value]};
    wg_operand out = {.rank = 2, .size = {count, 1}, .stride = {1, 1}, .numel = count, .dtype = in.dtype};
    wg_args args = {.out = out, .in = &in, .n_in = 1};
    args.out.data = malloc((size_t)count * s->size);
    for (int64_t t = 0; t < wg__sum_tasks(&args); t++) wg__kernel_get(WG__KERNEL_sum, in.dtype)(&args, t);
    bool ok = memcmp(args.out.data, s->out, (size_t)count * s->size) == 0;
    free(args.out.data);
    return ok;
}

static bool check_store(const program *p, int step)
{
    const wg__chain_step *s = &p->steps[step];
    const wg__chain_operand *o = &p->stores[s->store];
    const stored *st = &p->store[s->store];
    char *expected = malloc((size_t)st->extent * o->size + 2 * GUARD);
    memset(expected, 0x5a, (size_t)st->extent * o->size + 2 * GUARD);
    for (int64_t i = 0; i < p->chain.numel; i++)
        memcpy(expected + GUARD + element_at(&p->chain, o, i) * o->size, (char *)p->whole[step] + i * s->size,
               s->size);
    bool ok = memcmp(expected, st->memory, (size_t)st->extent * o->size + 2 * GUARD) == 0;
    free(expected);
    return ok;
}

static void start_round(uint64_t seed) { random_state = seed * 0x2545f4914f6cdd1du; }

static void round_of_chain(uint64_t seed)
{
    start_round(seed);
    program *p = calloc(1, sizeof *p);
    make_program(p);
    int values = p->chain.n_steps;
    if (below(2)) add_sums(p);
    size_t bytes = wg__chain_scratch(&p->chain);
    void *scratch = aligned_alloc(64, bytes);
    int64_t tasks = (p->chain.span + p->chain.block - 1) / p->chain.block, first = below(tasks);
    for (int64_t t = 0; t < tasks; t++) {
        memset(scratch, 0xff, bytes);
        wg__chain_run(&p->chain, (first + t) % tasks, scratch);
    }
    for (int i = 0; i < p->chain.n_steps; i++) {
        bool wrong = i < values ? p->steps[i].store >= 0 && !check_store(p, i) : !check_sum(p, i);
        if (wrong)
            FAIL("step %d of %d differs: rank %d, %" PRId64 " elements, block %" PRId64, i, p->chain.n_steps,
                 p->chain.rank, p->chain.numel, p->chain.block);
    }
    for (int i = 0; i < values; i++) free(p->whole[i]);
    for (int i = 0; i < p->chain.n_sums; i++) free(p->sums[i].out);
    for (int k = 0; k < p->chain.n_loads; k++) free(p->load[k].memory);
    for (int k = 0; k < p->chain.n_stores; k++) free(p->store[k].memory);
    free(scratch);
    free(p);
}

static void chains(void) { check_rounds(1500, round_of_chain); }

/* ---- copies ---- */

static void round_of_copy(uint64_t seed)
{
    start_round(seed);
    wg__chain space = {0};
    make_space(&space);
    static const wg_dtype dtypes[] = {WG_F32, WG_F64, WG_BOOL};
    wg_dtype dtype = dtypes[below(3)];
    wg__chain_operand o;
    stored s;
    make_operand(&space, &o, &s, dtype, false);
    wg_operand in = {.data = o.data, .rank = space.rank, .dtype = dtype, .numel = space.numel}, out = in;
    for (int d = 0; d < space.rank; d++) {
        in.size[d] = out.size[d] = space.size[d];
        in.stride[d] = o.stride[d];
    }
    char *result = malloc((size_t)space.numel * o.size), *expected = malloc((size_t)space.numel * o.size);
    out.data = result;
    wg_args args = {.out = out, .in = &in, .n_in = 1};
    for (int64_t t = wg__copy_tasks(&args) - 1; t >= 0; t--) wg__copy_kernel(&args, t);
    for (int64_t i = 0; i < space.numel; i++)
        memcpy(expected + i * o.size, (char *)o.data + element_at(&space, &o, i) * o.size, o.size);
    if (memcmp(result, expected, (size_t)space.numel * o.size) != 0)
        FAIL("copy of rank %d, %" PRId64 " elements of %d bytes", space.rank, space.numel, o.size);
    free(result);
    free(expected);
    free(s.memory);
}

static void copies(void) { check_rounds(1500, round_of_copy); }

/* ---- initial values, scalars, NaN ---- */

static void check_orthogonal(wg_dtype dtype, int64_t rows, int64_t cols)
{
    double *x = malloc((size_t)(rows * cols) * 8), worst = 0;
    void *out = malloc((size_t)(rows * cols) * 8);
    wg__orthogonal(dtype, 1.5, 7, 8, rows, cols, out);
    wg__to_f64(dtype, out, rows * cols, x);
    int64_t n = rows < cols ? rows : cols, length = rows < cols ? cols : rows;
    int64_t vector = rows < cols ? cols : 1, step = rows < cols ? 1 : cols;
    for (int64_t a = 0; a < n; a++)
        for (int64_t b = 0; b <= a; b++) {
            double sum = a == b ? -1.5 * 1.5 : 0;
            for (int64_t i = 0; i < length; i++) sum += x[a * vector + i * step] * x[b * vector + i * step];
            worst = fmax(worst, fabs(sum));
        }
    free(x);
    free(out);
    if (!(worst < (dtype == WG_F32 ? 2e-6 : 1e-13)))
        FAIL("orthogonal [%" PRId64 ", %" PRId64 "] is off by %g", rows, cols, worst);
}

static void orthogonal(void)
{
    static const int64_t sizes[][2] = {{1, 5}, {70, 33}, {33, 70}, {100, 100}};
    for (int dtype = WG_F32; dtype <= WG_F64; dtype++)
        for (int i = 0; i < 4; i++) check_orthogonal((wg_dtype)dtype, sizes[i][0], sizes[i][1]);
}

static void random_numbers(void)
{
    enum { N = 100003 };
    static double x[N], again[N];
    wg__fill_random(WG_F64, WG_INIT_NORMAL, 2, 3, 5, 6, N, x);
    wg__fill_random(WG_F64, WG_INIT_NORMAL, 2, 3, 5, 6, 17, again);
    double mean = 0, square = 0, low = 1, high = 0;
    for (int i = 0; i < N; i++) mean += x[i] / N;
    for (int i = 0; i < N; i++) square += (x[i] - mean) * (x[i] - mean) / N;
    bool ok = memcmp(x, again, 17 * sizeof *x) == 0 && fabs(mean - 2) < 0.05 && fabs(square - 9) < 0.2;
    wg__fill_random(WG_F64, WG_INIT_UNIFORM, -1, 3, 5, 6, N, x);
    for (int i = 0; i < N; i++) low = fmin(low, x[i]), high = fmax(high, x[i]);
    ok &= low >= -1 && low < -0.99 && high < 3 && high > 2.99;
    if (!ok) FAIL("mean %g, variance %g, uniform %g .. %g", mean, square, low, high);
}

static void first_nonfinite(void)
{
    static float x[1000];
    static double y[1000];
    CHECK(wg__first_nonfinite(WG_F32, x, 1000) == -1 && wg__first_nonfinite(WG_F64, y, 1000) == -1);
    for (int i = 999; i >= 0; i -= 37) {
        x[i] = i % 2 ? NAN : -INFINITY;
        y[i] = i % 2 ? (double)NAN : (double)INFINITY;
        CHECK(wg__first_nonfinite(WG_F32, x, 1000) == i && wg__first_nonfinite(WG_F64, y, 1000) == i);
    }
}

static void scalars(void)
{
    for (int dtype = 0; dtype < WG_DTYPES; dtype++) {
        char memory[64];
        double back[5];
        wg__from_f64((wg_dtype)dtype, 1, 5, memory);
        wg__to_f64((wg_dtype)dtype, memory, 5, back);
        for (int i = 0; i < 5; i++) CHECK(back[i] == 1);
    }
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(chains),          TEST_CASE(copies),  TEST_CASE(random_numbers),
                                 TEST_CASE(first_nonfinite), TEST_CASE(scalars), TEST_CASE(orthogonal)};
    return RUN_TESTS(tests);
}
