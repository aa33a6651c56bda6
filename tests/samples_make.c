/* Samples of tensors from nothing: constants, ranges, random numbers, the mask of dropout. */
#include "samples.h"

#include <math.h>
#include <string.h>

#include "../ops/kernels/random/random.h"

enum { FULL, ZEROS, ONES, ZEROS_LIKE, ONES_LIKE, ARANGE, UNIFORM, NORMAL, BERNOULLI, MASK };

static const char *const specs[] = {
    "2,3", "",    "1",   "7",  "0",   "3,0",   "1030",  "33,31",   "2,3,4", "1,2,1,2,1,2,1,2",
    "1,1", "5,1", "1,5", "64", "513", "3,513", "16385", "2,2,2,2", "129,2", "17"};

static wg_tensor make_from_nothing(sampler *s, const op_samples *row, int i)
{
    static const wg_dtype dtypes[] = {WG_F32, WG_F64, WG_I32, WG_BOOL};
    wg_shape shape = shape_of_spec(specs[i]);
    wg_dtype dtype = i < 8 ? s->dtype : dtypes[i % 4];
    int64_t n;
    wg_shape_numel(&shape, &n);
    switch (row->op) {
    case FULL: return wg_full(s->tape, dtype, shape, dtype == WG_BOOL ? 1 : i - 4);
    case ZEROS: return wg_zeros(s->tape, dtype, shape);
    case ONES: return wg_ones(s->tape, dtype, shape);
    case ARANGE: return wg_arange(s->tape, dtype == WG_BOOL ? WG_I32 : dtype, i - 3, i % 3 - 1, n);
    case UNIFORM: return wg_uniform(s->tape, s->dtype, shape, -1 - i, i);
    case NORMAL: return wg_normal(s->tape, s->dtype, shape, i - 3, i % 3);
    case BERNOULLI: return wg_bernoulli(s->tape, shape, i / 19.0);
    default: break;
    }
    wg__dropout_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.shape = shape;
    attr.dtype = (int32_t)s->dtype;
    attr.p = i / 20.0;
    return wg_record_on(s->tape, op_named("dropout_mask"), NULL, 0, &attr, sizeof attr);
}

static wg_tensor make_like(sampler *s, const op_samples *row, int i)
{
    wg_tensor x = x_in(s, specs[i % 16]);
    return row->op == ZEROS_LIKE ? wg_zeros_like(x) : wg_ones_like(x);
}

static wg_tensor bad_from_nothing(sampler *s, const op_samples *row, int i)
{
    wg_shape shape = i == 0   ? shape_of_spec("2,-1")
                     : i == 1 ? wg_shape_of(9, NULL)
                     : i == 2 ? WG_DIMS(INT64_MAX, 2)
                     : i == 3 ? WG_DIMS(INT64_C(1) << 40, INT64_C(1) << 40)
                              : WG_DIMS(2);
    expect(s, i < 4 ? WG_ERR_SHAPE : WG_ERR_DTYPE, row->name);
    wg_dtype dtype = i == 4 ? (wg_dtype)7 : s->dtype;
    switch (row->op) {
    case FULL: return wg_full(s->tape, dtype, shape, 1);
    case ZEROS: return wg_zeros(s->tape, dtype, shape);
    case ONES: return wg_ones(s->tape, dtype, shape);
    case UNIFORM:
        if (i == 5) expect(s, WG_ERR_ARGUMENT, "uniform");
        return wg_uniform(s->tape, i == 4 ? WG_I32 : dtype, shape, i == 5 ? 2 : 0, 1);
    case NORMAL:
        if (i == 5) expect(s, WG_ERR_ARGUMENT, "normal");
        return wg_normal(s->tape, i == 4 ? WG_BOOL : dtype, shape, 0, i == 5 ? -1 : 1);
    default:
        if (i >= 4) expect(s, WG_ERR_ARGUMENT, "bernoulli");
        return wg_bernoulli(s->tape, shape, i == 4 ? 1.5 : i == 5 ? NAN : 0.5);
    }
}

static wg_tensor bad_arange(sampler *s, const op_samples *row, int i)
{
    expect(s, i < 2 ? WG_ERR_DTYPE : i < 4 ? WG_ERR_SHAPE : WG_ERR_ARGUMENT, "arange");
    if (i < 2) return wg_arange(s->tape, i ? WG_BOOL : (wg_dtype)9, 0, 1, 4);
    if (i < 4) return wg_arange(s->tape, WG_F64, 0, 1, i == 2 ? -1 : INT64_MAX);
    return wg_arange(s->tape, WG_I32, i == 4 ? 3e9 : 0, i == 5 ? 1e9 : 1, 9);
}

#define MAKE(text, number, given, bads)                                                                            \
    {                                                                                                              \
        .name = text, .op = number, .flags = given, .n = COUNT(specs), .make = make_from_nothing, .n_bad = bads,   \
        .bad = bad_from_nothing                                                                                    \
    }

const op_samples samples_make[] = {
    MAKE("full", FULL, 0, 5),
    MAKE("zeros", ZEROS, 0, 5),
    MAKE("ones", ONES, 0, 5),
    MAKE("uniform", UNIFORM, SAMPLE_TWO_SETS, 6),
    MAKE("normal", NORMAL, SAMPLE_TWO_SETS, 6),
    MAKE("bernoulli", BERNOULLI, 0, 6),
    MAKE("dropout_mask", MASK, 0, 0),
    {.name = "arange", .op = ARANGE, .n = COUNT(specs), .make = make_from_nothing, .n_bad = 6, .bad = bad_arange},
    {.name = "zeros_like", .op = ZEROS_LIKE, .n = 20, .make = make_like},
    {.name = "ones_like", .op = ONES_LIKE, .n = 20, .make = make_like},
    {0}};
