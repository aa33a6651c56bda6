/* Tensors, parameters and tapes for tests, on top of check.h. */
#ifndef WG_TEST_TENSORS_H
#define WG_TEST_TENSORS_H

#include "check.h"
#include "wengert.h"

/* Pseudo-random numbers in [-1, 1), the same on every machine. */
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

/* sum(y r) with random r of y's dtype: a loss whose gradient is not a constant. */
static inline wg_tensor weigh(wg_tensor y, unsigned seed)
{
    return wg_sum_all(wg_mul(y, wg_cast(random_leaf(y.tape, wg_shape_get(y), seed), wg_dtype_get(y))));
}

/* The largest difference of n numbers. Infinite for NaN, and if a or b is NULL. */
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

/* The hash of all parameters of an f32 set, or of their gradients. */
static inline uint64_t set_hash(const wg_params *set, bool gradients)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < wg_params_count(set); i++) {
        const wg_param *p = wg_params_at(set, i);
        const unsigned char *bytes = gradients ? wg_param_grad(p) : wg_param_value(p);
        for (int64_t k = 0; k < wg_param_numel(p) * 4; k++) hash = (hash ^ bytes[k]) * 1099511628211u;
    }
    return hash;
}

static inline double grad_at(const wg_param *param, int64_t i) { return ((const double *)wg_param_grad(param))[i]; }

/* Checks `elements` elements of every parameter of the set (-1: all); false if a gradient is wrong. */
static inline bool gradcheck_some(wg_params *set, wg_loss_fn loss, void *context, bool second_order, int elements)
{
    wg_tape *tape = wg_tape_new(wg_tape_defaults());
    wg_gradcheck_options o = wg_gradcheck_defaults();
    o.elements = elements;
    o.second_order = second_order;
    wg_verdict verdict = wg_gradcheck(tape, set, loss, context, o);
    bool ok = verdict.ok && verdict.checks > 0;
    if (!ok) FAIL("%s", verdict.text);
    wg_tape_free(tape);
    return ok;
}

static inline bool gradcheck(wg_params *set, wg_loss_fn loss, void *context, bool second_order)
{
    return gradcheck_some(set, loss, context, second_order, -1);
}

/* ---- tapes, and calls that are refused ---- */

static inline wg_tape *new_tape(void) { return wg_tape_new(wg_tape_defaults()); }

/* A tape whose plans use these passes (see wg_tape_options), with a pool or without. */
static inline wg_tape *tape_by(const char *plan, wg_pool *pool)
{
    wg_tape_options options = wg_tape_defaults();
    options.plan = plan;
    options.pool = pool;
    return wg_tape_new(options);
}

static inline wg_tape *profiled_tape(const char *plan)
{
    wg_tape_options options = wg_tape_defaults();
    options.plan = plan;
    options.profile = true;
    return wg_tape_new(options);
}

/* Frees the tape, on which no call may have failed. */
static inline void close_tape(wg_tape *tape, int line)
{
    if (wg_tape_reset(tape) != WG_OK) FAIL("line %d: %s", line, wg_tape_message(tape));
    wg_tape_free(tape);
}
#define CLOSE(tape) close_tape(tape, __LINE__)

/* The text that a dump of the tape writes; the caller frees it. */
static inline char *dumped(wg_status (*dump)(const wg_tape *, FILE *), const wg_tape *tape)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    CHECK(out && dump(tape, out) == WG_OK);
    fclose(out);
    return text;
}

/* The number of times that a word occurs in it. */
static inline int count_dumped(wg_status (*dump)(const wg_tape *, FILE *), const wg_tape *tape, const char *word)
{
    char *text = dumped(dump, tape);
    int n = 0;
    for (const char *at = text; (at = strstr(at, word)); at++) n++;
    free(text);
    return n;
}

/* The set refused the call with a message that holds `text`. */
static inline void expect_set(wg_status status, wg_params *set, const char *text, int line)
{
    if (status == WG_OK || !strstr(wg_params_message(set), text))
        FAIL("line %d: '%s' has no '%s'", line, wg_params_message(set), text);
    wg_params_clear_error(set);
}
#define EXPECT_SET(status, text) expect_set(status, set, text, __LINE__)

/* The tape refused the op with a message that holds `text`. */
static inline void expect_tape(wg_tape *tape, wg_tensor x, const char *text, int line)
{
    bool refused = wg_is_nil(x) && wg_tape_reset(tape) != WG_OK && strstr(wg_tape_message(tape), text);
    if (!refused) FAIL("line %d: '%s' has no '%s'", line, wg_tape_message(tape), text);
}
#define EXPECT_TAPE(x, text) expect_tape(tape, x, text, __LINE__)

/* ---- an op of a user: y = x^3, pointwise, f64 ---- */

static inline void cube_pointwise(int64_t n, void *y, const void *const *x)
{
    const double *in = x[0];
    double *out = y;
    for (int64_t i = 0; i < n; i++) out[i] = in[i] * in[i] * in[i];
}

static inline wg_kernel cube_pointwise_select(const wg_op *op, const wg_dtype *in, int n_in, wg_dtype out)
{
    return out == WG_F64 ? (wg_kernel)(void (*)(void))cube_pointwise : NULL;
}

static inline wg_op cube_with(wg_tensor (*vjp)(const wg_vjp_args *, int))
{
    return (wg_op){.struct_size = sizeof(wg_op),
                   .name = "cube",
                   .kind = WG_KIND_POINTWISE,
                   .min_in = 1,
                   .max_in = 1,
                   .vjp = vjp,
                   .select = cube_pointwise_select};
}

#endif
