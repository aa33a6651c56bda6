/* Small help for tests: a check that counts, numbers that look random, models for the gradient check. */
#ifndef CHECK_H
#define CHECK_H

#include "wengert.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;
static const char *test_name = "";

static inline void check_at(bool ok, const char *what, int line)
{
    if (ok) return;
    failures++;
    printf("FAILED %s, line %d: %s\n", test_name, line, what);
}
#define CHECK(condition) check_at((condition), #condition, __LINE__)

typedef struct test {
    const char *name;
    void (*run)(void);
} test;
#define TEST(name)                                                                                                 \
    {                                                                                                              \
#name, name                                                                                                \
    }

/* Runs them all; the exit code. */
static inline int run_tests(const test *tests, size_t n)
{
    setvbuf(stdout, NULL, _IOLBF, 0); /* what was said before a crash is seen */
    for (size_t i = 0; i < n; i++) {
        test_name = tests[i].name;
        tests[i].run();
    }
    printf("%zu tests, %d failed\n", n, failures);
    return failures > 0;
}

/* Numbers in [-1, 1) that look random and are the same everywhere. */
static inline void fill(double *numbers, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        numbers[i] = (double)(seed >> 8) / (1 << 23) - 1;
    }
}

/* Such numbers as a tensor of f64. */
static inline wg_tensor random_leaf(wg_tape *tape, wg_shape shape, unsigned seed)
{
    int64_t n = 0;
    CHECK(wg_shape_numel(&shape, &n));
    double *numbers = malloc((size_t)n * sizeof *numbers + 8);
    fill(numbers, (size_t)n, seed);
    wg_tensor x = wg_data(tape, WG_F64, shape, numbers);
    free(numbers);
    return x;
}

/* sum(y r) with r random numbers of y's dtype: a loss whose gradient is no constant. */
static inline wg_tensor weigh(wg_tensor y, unsigned seed)
{
    return wg_sum_all(wg_mul(y, wg_cast(random_leaf(y.tape, wg_shape_get(y), seed), wg_dtype_get(y))));
}

/* The largest difference of n numbers; NaN counts as infinite, as do numbers that are not there. */
static inline double distance(const double *a, const double *b, size_t n)
{
    double worst = a && b ? 0 : INFINITY;
    for (size_t i = 0; a && b && i < n; i++) {
        double d = fabs(a[i] - b[i]);
        if (!(d <= worst)) worst = isnan(d) ? INFINITY : d;
    }
    return worst;
}

/* The largest difference of two tensors of f64, computed. */
static inline double tensor_distance(wg_tensor a, wg_tensor b)
{
    const double *x = wg_value(a), *y = wg_value(b);
    if (!x || !y || wg_numel(a) != wg_numel(b)) {
        printf("%s\n", wg_tape_message(a.tape));
        return INFINITY;
    }
    return distance(x, y, (size_t)wg_numel(a));
}

/* Sets a parameter's numbers (f64). */
static inline void set_param(wg_param *param, const double *numbers)
{
    memcpy(wg_param_write_begin(param), numbers, (size_t)wg_param_numel(param) * sizeof *numbers);
    wg_param_write_end(param);
}

static inline double grad_at(const wg_param *param, int64_t i) { return ((const double *)wg_param_grad(param))[i]; }

/* Checks that many elements of every parameter of the set (-1: all); whether all was well. */
static inline bool gradcheck_some(wg_params *set, wg_loss_fn loss, void *context, bool second_order, int elements)
{
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_gradcheck_options o = wg_gradcheck_defaults();
    o.elements = elements;
    o.second_order = second_order;
    wg_verdict verdict = wg_gradcheck(tape, set, loss, context, o);
    bool ok = verdict.ok && verdict.checks > 0;
    if (!ok) {
        failures++;
        printf("FAILED %s: %s\n", test_name, verdict.text);
    }
    wg_tape_free(tape);
    return ok;
}

static inline bool gradcheck(wg_params *set, wg_loss_fn loss, void *context, bool second_order)
{
    return gradcheck_some(set, loss, context, second_order, -1);
}

/* ---- tapes and what they refuse ---- */

static inline wg_tape *new_tape(void) { return wg_tape_new(wg_tape_defaults()); }

/* Frees a tape on which nothing must have failed. */
static inline void close_tape(wg_tape *tape, int line)
{
    if (wg_tape_reset(tape) != WG_OK) {
        failures++;
        printf("FAILED %s, line %d: %s\n", test_name, line, wg_tape_message(tape));
    }
    wg_tape_free(tape);
}
#define CLOSE(tape) close_tape(tape, __LINE__)

/* What a dump of the tape writes, as text that is to be freed. */
static inline char *dumped(wg_status (*dump)(const wg_tape *, FILE *), const wg_tape *tape)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    CHECK(out && dump(tape, out) == WG_OK);
    fclose(out);
    return text;
}

/* How often a word stands in it. */
static inline int count_dumped(wg_status (*dump)(const wg_tape *, FILE *), const wg_tape *tape, const char *word)
{
    char *text = dumped(dump, tape);
    int n = 0;
    for (const char *at = text; (at = strstr(at, word)); at++) n++;
    free(text);
    return n;
}

/* The set refuses it, and says so. */
static inline void expect_set(wg_status status, wg_params *set, const char *text, int line)
{
    if (status == WG_OK || !strstr(wg_params_message(set), text)) {
        failures++;
        printf("FAILED %s, line %d: '%s' has no '%s'\n", test_name, line, wg_params_message(set), text);
    }
    wg_params_clear_error(set);
}
#define EXPECT_SET(status, text) expect_set(status, set, text, __LINE__)

/* So does the tape. */
static inline void expect_tape(wg_tape *tape, wg_tensor x, const char *text, int line)
{
    bool refused = wg_is_nil(x) && wg_tape_reset(tape) != WG_OK && strstr(wg_tape_message(tape), text);
    if (refused) return;
    failures++;
    printf("FAILED %s, line %d: '%s' has no '%s'\n", test_name, line, wg_tape_message(tape), text);
}
#define EXPECT_TAPE(x, text) expect_tape(tape, x, text, __LINE__)

#endif
