/* Tensors without operands: constants, ranges, random numbers. */
#include "internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/random/random.h"

/* ---- constants --------------------------------------------------------------------------------------- */

wg_tensor wg__filled(wg_tape *tape, wg_dtype dtype, wg_shape shape, double value, const char *op)
{
    char text[128];
    wg_infer check = {.out = wg_shape_of(shape.rank, shape.size), .dtype = dtype};
    if ((unsigned)dtype >= WG_DTYPES) return wg_fail_on(tape, WG_ERR_DTYPE, op, "unknown dtype %d", (int)dtype);
    if (wg__infer_size(&check) != WG_OK)
        return wg_fail_on(tape, WG_ERR_SHAPE, op, "%s: %s", wg_shape_text(&check.out, text, sizeof text),
                          check.error.text);
    if (!wg__has_number(dtype, value))
        return wg_fail_on(tape, WG_ERR_ARGUMENT, op, "%g is not an i32; see wg_cast", value);
    wg__fill_attr attr = {.shape = check.out, .dtype = dtype, .value = value};
    return wg_record_on(tape, &wg__fill_op, NULL, 0, &attr, sizeof attr);
}

wg_tensor wg_full(wg_tape *tape, wg_dtype dtype, wg_shape shape, double value)
{
    return wg__filled(tape, dtype, shape, value, "full");
}

wg_tensor wg_zeros(wg_tape *tape, wg_dtype dtype, wg_shape shape)
{
    return wg__filled(tape, dtype, shape, 0, "zeros");
}

wg_tensor wg_ones(wg_tape *tape, wg_dtype dtype, wg_shape shape)
{
    return wg__filled(tape, dtype, shape, 1, "ones");
}

static wg_tensor like(wg_tensor x, double value, const char *op)
{
    wg_shape shape;
    return wg__shape(x, &shape, op) ? wg__filled(x.tape, wg_dtype_get(x), shape, value, op) : wg__nil_of(x);
}

wg_tensor wg_zeros_like(wg_tensor x) { return like(x, 0, "zeros_like"); }
wg_tensor wg_ones_like(wg_tensor x) { return like(x, 1, "ones_like"); }

/* ---- ranges ------------------------------------------------------------------------------------------ */

static wg_status arange_infer(wg_infer *c)
{
    const wg__arange_attr *attr = c->attr;
    c->dtype = (wg_dtype)attr->dtype;
    c->out = WG_DIMS(attr->n);
    return wg__infer_size(c);
}

WG__SELECT(arange_select, out == WG_BOOL ? NULL : wg__arange_kernel)

const wg_op wg__arange_op = {.struct_size = sizeof(wg_op),
                             .name = "arange",
                             .infer = arange_infer,
                             .select = arange_select,
                             .tasks = wg__random_tasks};

wg_tensor wg_arange(wg_tape *tape, wg_dtype dtype, double start, double step, int64_t n)
{
    if ((unsigned)dtype >= WG_DTYPES || dtype == WG_BOOL)
        return wg_fail_on(tape, WG_ERR_DTYPE, "arange", "dtype is %s: must be f32, f64 or i32",
                          wg_dtype_name(dtype));
    double last = start + (n > 0 ? (double)(n - 1) : 0) * step;
    if (!wg__has_number(dtype, start) || !wg__has_number(dtype, last) ||
        (n > 1 && !wg__has_number(dtype, start + step)))
        return wg_fail_on(tape, WG_ERR_ARGUMENT, "arange", "%g, %g .. %g does not fit into i32", start,
                          start + step, last);
    wg__arange_attr attr = {.start = start, .step = step, .n = n, .dtype = dtype};
    return wg_record_on(tape, &wg__arange_op, NULL, 0, &attr, sizeof attr);
}

/* ---- random numbers ---------------------------------------------------------------------------------- */

static wg_status random_infer(wg_infer *c)
{
    const wg__random_attr *attr = c->attr;
    c->dtype = (wg_dtype)attr->dtype;
    c->out = attr->shape;
    return wg__infer_size(c);
}

WG__SELECT(uniform_select, wg_dtype_is_float(out) ? wg__uniform_kernel : NULL)
WG__SELECT(normal_select, wg_dtype_is_float(out) ? wg__normal_kernel : NULL)
WG__SELECT(bernoulli_select, out == WG_BOOL ? wg__bernoulli_kernel : NULL)

static const wg_op uniform_op = {.struct_size = sizeof(wg_op),
                                 .name = "uniform",
                                 .flags = WG_OP_RANDOM,
                                 .infer = random_infer,
                                 .select = uniform_select,
                                 .tasks = wg__random_tasks};
static const wg_op normal_op = {.struct_size = sizeof(wg_op),
                                .name = "normal",
                                .flags = WG_OP_RANDOM,
                                .infer = random_infer,
                                .select = normal_select,
                                .tasks = wg__random_tasks};
static const wg_op bernoulli_op = {.struct_size = sizeof(wg_op),
                                   .name = "bernoulli",
                                   .flags = WG_OP_RANDOM,
                                   .infer = random_infer,
                                   .select = bernoulli_select,
                                   .tasks = wg__random_tasks};

static wg_tensor draw(wg_tape *tape, const wg_op *op, wg_dtype dtype, wg_shape shape, double a, double b)
{
    wg__random_attr attr = {.shape = wg_shape_of(shape.rank, shape.size), .dtype = dtype, .a = a, .b = b};
    return wg_record_on(tape, op, NULL, 0, &attr, sizeof attr);
}

static bool fits(wg_dtype dtype, double x) { return fabs(x) <= (dtype == WG_F32 ? FLT_MAX : DBL_MAX); }

wg_tensor wg_uniform(wg_tape *tape, wg_dtype dtype, wg_shape shape, double low, double high)
{
    if (!wg_dtype_is_float(dtype))
        return wg_fail_on(tape, WG_ERR_DTYPE, "uniform", "dtype is %s: must be f32 or f64", wg_dtype_name(dtype));
    if (!(low <= high && isfinite(high - low) && fits(dtype, low) && fits(dtype, high)))
        return wg_fail_on(tape, WG_ERR_ARGUMENT, "uniform", "[%g, %g) is not an interval", low, high);
    return draw(tape, &uniform_op, dtype, shape, low, high);
}

wg_tensor wg_normal(wg_tape *tape, wg_dtype dtype, wg_shape shape, double mean, double deviation)
{
    if (!wg_dtype_is_float(dtype))
        return wg_fail_on(tape, WG_ERR_DTYPE, "normal", "dtype is %s: must be f32 or f64", wg_dtype_name(dtype));
    if (!(deviation >= 0 && fits(dtype, deviation) && fits(dtype, mean)))
        return wg_fail_on(tape, WG_ERR_ARGUMENT, "normal",
                          "mean %g, deviation %g: must be finite, the deviation 0 or more", mean, deviation);
    return draw(tape, &normal_op, dtype, shape, mean, deviation);
}

wg_tensor wg_bernoulli(wg_tape *tape, wg_shape shape, double probability)
{
    if (!(probability >= 0 && probability <= 1))
        return wg_fail_on(tape, WG_ERR_ARGUMENT, "bernoulli", "probability %g is not in [0, 1]", probability);
    return draw(tape, &bernoulli_op, WG_BOOL, shape, probability, 0);
}

const wg_op *const wg__make_ops[] = {&wg__arange_op, &uniform_op, &normal_op, &bernoulli_op, NULL};
