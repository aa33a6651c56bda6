/* The machine's peak: rates of fused multiply-adds and of copies, in loops that do nothing else, on as many threads as
 * the benchmark uses. Compiled with contraction, so that a * b + c is one instruction if the machine has it. */
#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../ops/kernels/gemm/gemm.h"
#include "../ops/kernels/kernels.h"

const double bench_copy_bytes[BENCH_COPIES] = {0x1p20, 0x1p22, 0x1p24, 0x1p27};

typedef float vector __attribute__((vector_size(64)));

/* The maximum number of accumulators: enough to hide the latency of a multiply-add. */
enum { MAX_SUMS = 12, ROUNDS = 4096, WINDOWS = 50 };

typedef float multiply_add_fn(float factor, float term);
typedef void copy_fn(vector *to, const vector *from, size_t n);

/* x = x f + t, ROUNDS times in each of `sums` vectors. Inlined and unrolled, the loop stays in registers. */
static inline __attribute__((always_inline)) float multiply_add(int sums, float factor, float term)
{
    vector sum[MAX_SUMS], f, t;
    for (int lane = 0; lane < 16; lane++) f[lane] = factor, t[lane] = term;
    for (int i = 0; i < sums; i++) sum[i] = t * (float)i;
    for (int round = 0; round < ROUNDS; round++) {
#pragma GCC unroll 12
        for (int i = 0; i < sums; i++) sum[i] = sum[i] * f + t;
    }
    float all = 0;
    for (int i = 0; i < sums; i++) all += sum[i][i];
    return all;
}

static inline __attribute__((always_inline)) void copy(vector *to, const vector *from, size_t n)
{
    for (size_t i = 0; i < n; i += 4) {
        vector a = from[i], b = from[i + 1], c = from[i + 2], d = from[i + 3];
        to[i] = a, to[i + 1] = b, to[i + 2] = c, to[i + 3] = d;
    }
}

/* One variant per instruction set, which uses 12, 6 x 2 and 3 x 4 registers. */
#if defined __x86_64__
__attribute__((target("avx512f"))) static float multiply_add_512(float f, float t)
{
    return multiply_add(12, f, t);
}
__attribute__((target("avx2,fma"))) static float multiply_add_256(float f, float t)
{
    return multiply_add(6, f, t);
}
__attribute__((target("avx512f"))) static void copy_512(vector *to, const vector *from, size_t n)
{
    copy(to, from, n);
}
__attribute__((target("avx2"))) static void copy_256(vector *to, const vector *from, size_t n)
{
    copy(to, from, n);
}
#endif
static float multiply_add_any(float f, float t) { return multiply_add(3, f, t); }
static void copy_any(vector *to, const vector *from, size_t n) { copy(to, from, n); }

/* ---- on several threads -------------------------------------------------------------------------------- */

typedef struct work {
    multiply_add_fn *multiply_add;
    copy_fn *copy;
    int sums;
    size_t vectors; /* to copy; 0: multiply-add */
    double seconds; /* duration; the best of WINDOWS windows counts */
    pthread_barrier_t *start;
    double rate; /* result: operations or bytes per second */
    float sink;
} work;

/* Both return the bytes or operations of one call. */
static double copy_once(work *w, vector *to, const vector *from)
{
    w->copy(to, from, w->vectors);
    __asm__ volatile("" : : "r"(to) : "memory");
    return 2.0 * (double)(w->vectors * sizeof(vector));
}

static double multiply_add_once(work *w)
{
    w->sink += w->multiply_add(0.999f, 0.001f);
    return 2.0 * 16 * ROUNDS * w->sums;
}

/* Takes the best of many short windows, because other programs may run too. */
static void *run_work(void *context)
{
    work *w = context;
    size_t bytes = w->vectors * sizeof(vector);
    vector *from = bytes ? aligned_alloc(64, bytes) : NULL, *to = bytes ? aligned_alloc(64, bytes) : NULL;
    if (bytes && (!from || !to)) app_fail("out of memory");
    if (bytes) memset(from, 1, bytes), memset(to, 2, bytes);
    pthread_barrier_wait(w->start);
    double began = wg_seconds(), now = began;
    w->rate = 0;
    while (now < began + w->seconds) {
        double window = now, done = 0;
        do {
            done += bytes ? copy_once(w, to, from) : multiply_add_once(w);
        } while ((now = wg_seconds()) < window + w->seconds / WINDOWS);
        if (done / (now - window) > w->rate) w->rate = done / (now - window);
    }
    free(from);
    free(to);
    return NULL;
}

/* The rate of all threads together, in operations or bytes per second. */
static double rate_of(work model, int threads)
{
    double sum = 0;
    work *works = calloc((size_t)threads, sizeof *works);
    pthread_t *ids = calloc((size_t)threads, sizeof *ids);
    pthread_barrier_t start;
    if (!works || !ids) app_fail("out of memory");
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        works[i] = model;
        works[i].start = &start;
        if (pthread_create(&ids[i], NULL, run_work, &works[i])) app_fail("cannot start %d threads", threads);
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        sum += works[i].rate;
    }
    pthread_barrier_destroy(&start);
    free(works);
    free(ids);
    return sum;
}

/* ---- the machine --------------------------------------------------------------------------------------- */

static work widest_work(void)
{
    work w = {.multiply_add = multiply_add_any, .copy = copy_any, .sums = 3, .seconds = 0.1};
#if defined __x86_64__
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        w.multiply_add = multiply_add_256, w.copy = copy_256, w.sums = 6;
    if (__builtin_cpu_supports("avx512f")) w.multiply_add = multiply_add_512, w.copy = copy_512, w.sums = 12;
#endif
    return w;
}

static void processor_name(char *name, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(name, size, "unknown");
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !colon) continue;
        snprintf(name, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (file) fclose(file);
}

bench_machine bench_measure_machine(int threads)
{
    bench_machine m = {.threads = threads,
                       .instructions = wg__isa_name(),
                       .product = wg__product_name(),
                       .vector_math = wg__vector_math_name()};
    work w = widest_work();
    processor_name(m.processor, sizeof m.processor);
    m.gflops = rate_of(w, threads) * 1e-9;
    for (int i = 0; i < BENCH_COPIES; i++) {
        w.vectors = (size_t)(bench_copy_bytes[i] / 2 / sizeof(vector));
        m.copy_gbs[i] = rate_of(w, threads) * 1e-9;
    }
    return m;
}

void bench_print_machine(const bench_machine *m)
{
    printf("machine: %s, %d thread%s; kernels %s, products %s, vector math %s\n", m->processor, m->threads,
           m->threads == 1 ? "" : "s", m->instructions, m->product, m->vector_math);
    printf("peak, measured now: %.0f GFLOP/s; copying", m->gflops);
    for (int i = 0; i < BENCH_COPIES; i++)
        printf("%s %.0f GB/s at %.3g MiB", i ? "," : "", m->copy_gbs[i], bench_copy_bytes[i] / 0x1p20);
    printf(" per thread\n\n");
}
