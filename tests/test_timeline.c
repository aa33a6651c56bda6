/* Traces of runs: the events against Chrome's format, on pools and alone; bits and steady state; bounded memory; what
 * records in which mode; failing allocations; the memory of a plan by scope. */
#include <unistd.h>

#include "tensors.h"

/* ---- a program ---- */

typedef struct net {
    wg_params *set;
    wg_param *w, *v;
} net;

static net net_new(void)
{
    net n = {.set = wg_params_new(WG_F32)};
    n.w = wg_param_new(n.set, "w", WG_DIMS(256, 256), wg_init_glorot());
    n.v = wg_param_new(n.set, "v", WG_DIMS(256, 256), wg_init_glorot());
    return n;
}

/* Products that are cut into tasks, chains that are not; in scopes with characters that JSON escapes. */
static wg_status step(const net *n, wg_tape *tape, int64_t rows)
{
    wg_scope_begin(tape, "en\"co\\der\n");
    wg_tensor h = wg_tanh(wg_matmul(wg_ones(tape, WG_F32, WG_DIMS(rows, 256)), wg_use(tape, n->w)));
    wg_scope_end(tape);
    wg_scope_begin(tape, "decoder");
    wg_tensor y = wg_softmax(wg_matmul(h, wg_use(tape, n->v)), -1);
    wg_scope_end(tape);
    wg_zero_grad(n->set);
    return wg_backward(wg_mean_all(wg_square(y)));
}

static void steps(const net *n, wg_tape *tape, int count)
{
    for (int i = 0; i < count; i++) {
        CHECK(step(n, tape, 64) == WG_OK);
        CHECK(wg_tape_reset(tape) == WG_OK);
    }
}

/* ---- reading the JSON: one event a line ---- */

enum { THREADS = 3, MOST = 10000, DEPTH = 8 };

typedef struct event {
    char phase;
    double start, length;
    int process, thread;
    bool is_run;
} event;

typedef struct events {
    event list[MOST];
    int n, runs, names; /* names: of threads */
} events;

static double number_after(const char *line, const char *key)
{
    const char *at = strstr(line, key);
    char *end = NULL;
    const double number = at ? strtod(at + strlen(key), &end) : NAN;
    CHECK(at && end > at + strlen(key) && (*end == ',' || *end == '}'));
    return number;
}

/* Balanced outside of strings, and no control character inside of one. */
static void check_json(const char *text)
{
    int depth = 0;
    bool quoted = false;
    for (const char *c = text; *c; c++) {
        CHECK(!quoted || (unsigned char)*c >= 32);
        if (quoted && *c == '\\') {
            CHECK(c[1] && strchr("\"\\/bfnrtu", c[1]));
            c++;
        } else if (*c == '"') {
            quoted = !quoted;
        } else if (!quoted) {
            depth += (*c == '{' || *c == '[') - (*c == '}' || *c == ']');
        }
        CHECK(depth >= 0);
    }
    CHECK(depth == 0 && !quoted);
}

static void read_events(const wg_tape *tape, events *all)
{
    char *text = dumped(wg_dump_trace, tape), *rest = text;
    check_json(text);
    *all = (events){.n = 0};
    CHECK(strstr(text, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n") == text);
    for (char *line; (line = strsep(&rest, "\n"));) {
        const char *phase = strstr(line, "\"ph\":\"");
        if (!phase) continue;
        event e = {.phase = phase[6]};
        e.process = (int)number_after(line, "\"pid\":");
        e.thread =
            (int)number_after(line, "\"tid\":") - e.process; /* the main thread has the number of the process */
        CHECK(strstr(line, "{\"name\":\"") == line && strstr(line, "\"args\":{"));
        CHECK(e.phase == 'M' || e.phase == 'X');
        all->names += strstr(line, "thread_name") != NULL;
        if (e.phase == 'M') continue;
        e.start = number_after(line, "\"ts\":");
        e.length = number_after(line, "\"dur\":");
        e.is_run = strstr(line, "\"name\":\"run\"") != NULL;
        all->runs += e.is_run;
        CHECK(e.is_run || (strstr(line, "\"scope\":\"") && strstr(line, "\"shape\":\"[") && strstr(line, "dtype")));
        if (CHECK(all->n < MOST)) all->list[all->n++] = e;
    }
    free(text);
}

/* Sorted; in each lane, an event lies inside of the one before it or begins after its end; tasks lie in runs. */
static void check_events(const events *all)
{
    static double end[THREADS][DEPTH];
    int depth[THREADS] = {0};
    for (int i = 0; i < all->n; i++) {
        const event *e = &all->list[i];
        if (!CHECK(e->process == 1 && e->thread >= 0 && e->thread < THREADS && e->start >= 0 && e->length >= 0))
            return;
        CHECK(i == 0 ? e->start == 0 : e->start >= e[-1].start);
        int *d = &depth[e->thread];
        while (*d > 0 && end[e->thread][*d - 1] <= e->start) --*d;
        CHECK(*d == 0 || e->start + e->length <= end[e->thread][*d - 1] + 1e-6);
        CHECK(!e->is_run || *d == 0);
        if (CHECK(*d < DEPTH)) end[e->thread][(*d)++] = e->start + e->length;
    }
}

/* ---- tests ---- */

static void count_event(void *context, const wg_trace_event *e)
{
    int *n = context;
    n[0]++;
    n[1] += !e->op;
    n[2] += e->op && !strcmp(e->op, "matmul") && !strcmp(e->scope, "decoder") && e->shape.rank == 2;
    n[3] += e->forward != NULL;
    n[4] += e->task >= 0;
    CHECK(e->thread >= 0 && e->thread < THREADS && e->seconds >= 0 && e->start >= 0);
}

static void format(void)
{
    static events all;
    net n = net_new();
    for (int threads = 1; threads <= THREADS; threads += 2) {
        wg_pool *pool = wg_pool_new(threads);
        wg_tape *tape = tape_by(NULL, pool);
        int visited[5] = {0};
        read_events(tape, &all); /* nothing yet */
        CHECK(all.n == 0 && all.names == 0);
        CHECK(wg_trace_runs(tape, 2000) == WG_OK);
        steps(&n, tape, 3);
        read_events(tape, &all);
        CHECK(all.runs == 3 && all.n > 3 * 6 && all.names == threads);
        check_events(&all);
        CHECK(wg_trace_each(tape, count_event, visited) == WG_OK);
        CHECK(visited[0] == all.n && visited[1] == 3 && visited[2] > 0 && visited[3] > 0);
        CHECK(threads == 1 ? visited[4] == 0 : visited[4] > 0); /* tasks one by one */
        char *text = dumped(wg_dump_trace, tape);
        CHECK(strstr(text, "en\\\"co\\\\der\\\\x0a") && strstr(text, "\"product\":\"1 of 64 x 256 x 256\""));
        CHECK(strstr(text, "\"gradient of\":\"softmax\"") && strstr(text, "calling thread"));
        free(text);
        CHECK(wg_trace_runs(tape, 0) == WG_OK); /* what was recorded stays */
        steps(&n, tape, 1);
        read_events(tape, &all);
        CHECK(all.runs == 3);
        wg_tape_free(tape);
        wg_pool_free(pool);
    }
    wg_params_free(n.set);
}

/* Modes that walk the instructions in other ways record as well. */
static void modes(void)
{
    static events all;
    net n = net_new();
    for (int mode = 0; mode < 3; mode++) {
        wg_tape_options options = wg_tape_defaults();
        options.eager = mode == 0, options.locate_nonfinite = mode == 1, options.profile = mode == 2;
        wg_tape *tape = wg_tape_new(options);
        CHECK(wg_trace_runs(tape, 1000) == WG_OK);
        steps(&n, tape, 1);
        read_events(tape, &all);
        CHECK(all.runs >= 1 && all.n > all.runs + 4);
        check_events(&all);
        wg_tape_free(tape);
    }
    wg_params_free(n.set);
}

/* Tracing changes no bit, and makes no allocation once it has seen the step. */
static void steady(void)
{
    net n = net_new();
    wg_pool *pool = wg_pool_new(2);
    wg_tape *tape = tape_by(NULL, pool);
    steps(&n, tape, 2);
    const uint64_t bits = set_hash(n.set, true);
    CHECK(wg_trace_runs(tape, 64) == WG_OK);
    steps(&n, tape, 2);
    CHECK(set_hash(n.set, true) == bits);
    const uint64_t requests = wg_tape_memory(tape).requests;
    steps(&n, tape, 20);
    CHECK(wg_tape_memory(tape).requests == requests);
    wg_tape_free(tape);
    wg_pool_free(pool);
    wg_params_free(n.set);
}

/* The last events are kept, of labels no more than events: with ever new shapes, a tape that traces takes no more than
 * a constant over one that does not. */
static void bounded(void)
{
    static events all;
    net n = net_new();
    wg_tape_options options = wg_tape_defaults();
    options.plan_bytes = 1; /* keeps the last plan only */
    wg_tape *tape = wg_tape_new(options), *untraced = wg_tape_new(options);
    CHECK(wg_trace_runs(tape, 16) == WG_OK);
    for (int i = 0; i < 200; i++) {
        CHECK(step(&n, untraced, 300 - i) == WG_OK && wg_tape_reset(untraced) == WG_OK);
        CHECK(step(&n, tape, 300 - i) == WG_OK && wg_tape_reset(tape) == WG_OK);
        read_events(tape, &all);
        check_events(&all);
        CHECK(all.n > 0 && all.n <= 16 + 16);
    }
    CHECK(wg_tape_memory(tape).live < wg_tape_memory(untraced).live + (16 << 10));
    wg_tape_free(tape);
    wg_tape_free(untraced);
    wg_params_free(n.set);
}

static void refused(void)
{
    wg_tape *tape = new_tape();
    CHECK(wg_trace_runs(NULL, 10) == WG_ERR_ARGUMENT && wg_trace_runs(tape, -1) == WG_ERR_ARGUMENT);
    CHECK(wg_trace_runs(tape, ((int64_t)1 << 24) + 1) == WG_ERR_ARGUMENT);
    CHECK(wg_trace_runs(tape, INT64_MAX) == WG_ERR_ARGUMENT && wg_trace_runs(tape, 0) == WG_OK);
    CHECK(wg_trace_each(tape, NULL, NULL) == WG_ERR_ARGUMENT && wg_dump_trace(tape, NULL) == WG_ERR_ARGUMENT);
    CHECK(wg_tape_status(tape) == WG_OK);
    FILE *full = fopen("/dev/full", "w");
    setvbuf(full, NULL, _IONBF, 0);
    CHECK(wg_dump_trace(tape, full) == WG_ERR_IO);
    fclose(full);
    wg_tape_free(tape);
}

/* ---- failing allocations ---- */

typedef struct faulty {
    long requests, fail_at;
} faulty;

static void *faulty_alloc(void *context, size_t size)
{
    faulty *f = context;
    return f->requests++ == f->fail_at ? NULL : aligned_alloc(64, (size + 127) & ~(size_t)63);
}

static void faulty_release(void *context, void *memory, size_t size)
{
    CHECK(context && size < ((size_t)1 << 40));
    free(memory);
}

/* The trace may be refused or a run go untraced, and a step may be out of memory; nothing is lost or leaked. */
static void out_of_memory(void)
{
    net n = net_new();
    int refusals = 0, untraced = 0;
    for (long k = 0, last = 1; k < last; k++) {
        static events all;
        faulty f = {.fail_at = -1};
        wg_tape_options options = wg_tape_defaults();
        options.allocator = (wg_allocator){faulty_alloc, faulty_release, &f};
        wg_tape *tape = wg_tape_new(options);
        steps(&n, tape, 1); /* makes the plan */
        const long before = f.requests;
        f.fail_at = before + k;
        const wg_status status = wg_trace_runs(tape, 100);
        CHECK(status == WG_OK || status == WG_ERR_MEMORY);
        refusals += status != WG_OK;
        steps(&n, tape, 1);
        read_events(tape, &all);
        untraced += status == WG_OK && all.runs == 0;
        last = f.requests > f.fail_at ? k + 2 : k;
        f.fail_at = -1;
        CHECK(wg_trace_runs(tape, 100) == WG_OK);
        steps(&n, tape, 1);
        read_events(tape, &all);
        CHECK(all.runs == 1);
        wg_tape_free(tape);
    }
    CHECK(refusals >= 3 && untraced >= 2);
    wg_params_free(n.set);
}

/* ---- memory by scope ---- */

static void add_scope(void *context, const char *scope, size_t bytes)
{
    size_t *sums = context;
    sums[!strcmp(scope, "a") ? 0 : !strcmp(scope, "b") ? 1 : 2] += bytes;
}

/* a [8, 256] and b [8, 128] of f32 are live at the peak, while the second product runs; c [8, 16] comes later. */
static void memory_by_scope(void)
{
    wg_params *set = wg_params_new(WG_F32);
    wg_param *w = wg_param_new(set, "w", WG_DIMS(64, 256), wg_init_glorot()),
             *v = wg_param_new(set, "v", WG_DIMS(256, 128), wg_init_glorot()),
             *u = wg_param_new(set, "u", WG_DIMS(128, 16), wg_init_glorot());
    wg_tape *tape = new_tape();
    size_t sums[3] = {0};
    CHECK(wg_memory_each(tape, add_scope, sums) == WG_OK && sums[0] + sums[1] + sums[2] == 0);
    CHECK(wg_memory_each(NULL, add_scope, sums) == WG_ERR_ARGUMENT);
    wg_scope_begin(tape, "a");
    wg_tensor a = wg_matmul(wg_ones(tape, WG_F32, WG_DIMS(8, 64)), wg_use(tape, w));
    wg_scope_end(tape);
    wg_scope_begin(tape, "b");
    wg_tensor b = wg_matmul(a, wg_use(tape, v));
    wg_scope_end(tape);
    wg_scope_begin(tape, "c");
    wg_tensor c = wg_matmul(b, wg_use(tape, u));
    wg_scope_end(tape);
    CHECK(!isnan(wg_item(wg_sum_all(wg_square(c)))));
    CHECK(wg_memory_each(tape, add_scope, sums) == WG_OK);
    CHECK(sums[0] == 8 * 256 * 4 && sums[1] == 8 * 128 * 4 && sums[2] == 0);
    wg_tape_free(tape);
    wg_params_free(set);
}

int main(int argc, char **argv)
{
    static const test tests[] = {TEST_CASE(format),         TEST_CASE(modes),   TEST_CASE(steady),
                                 TEST_CASE(bounded),        TEST_CASE(refused), TEST_CASE(out_of_memory),
                                 TEST_CASE(memory_by_scope)};
    return RUN_TESTS(tests);
}
