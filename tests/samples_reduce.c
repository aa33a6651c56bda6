/* Samples of reductions, scans, sorting and softmax. */
#include "samples.h"

#include <string.h>

#include "../ops/kernels/reduce/reduce.h"

enum {
    SUM,
    MEAN,
    MAX,
    MIN,
    PROD,
    VAR,
    LOGSUMEXP,
    ANY,
    ALL,
    SUM_ALL,
    MEAN_ALL,
    ARGMAX,
    ARGMIN,
    CUMSUM,
    ARGSORT,
    SORT,
    TOPK,
    SOFTMAX,
    LOG_SOFTMAX
};

/* ---- over several axes ---- */

typedef struct
    over { /* axes: a digit each, "" for all, and '-' before one from the end; upper: reduced sizes kept */
    const char *spec, *axes;
    bool keep;
} over;

static const over cases[] = {{"2,3", "1", false},
                             {"", "", false},
                             {"1", "0", false},
                             {"7", "", true},
                             {"1030", "0", false},
                             {"3,1030", "1", true},
                             {"1030,3", "0", false},
                             {"33,31", "0", true},
                             {"33,31", "", false},
                             {"2,3,4", "1", false},
                             {"2,3,4", "02", false},
                             {"2,3,4", "02", true},
                             {"2,3,4", "-1", true},
                             {"2,3,4,5", "12", false},
                             {"2,3,4,5", "03", true},
                             {"2,3,4,5", "13", false},
                             {"1,2,1,2,1,2,1,2", "135", false},
                             {"5,7 t", "0", false},
                             {"4,6 s", "1", false},
                             {"4,6 p", "0", true},
                             {"4,6 f", "1", false},
                             {"3,4,5 e", "0", false},
                             {"3,4 b", "1", true},
                             {"513,3 t", "1", false},
                             {"2,1,3", "1", false},
                             {"3,2,2,3", "-2-1", false}};

/* Over nothing: only sums, products, any and all have a value. */
static const over empty_cases[] = {
    {"0", "0", false}, {"3,0", "1", true}, {"3,0", "0", false}, {"2,0,3", "", false}, {"0,4", "1", false}};

static wg_axes axes_of(const char *text)
{
    wg_axes axes = {0};
    for (; *text; text++) {
        bool from_end = *text == '-';
        if (from_end) text++;
        axes.axis[axes.n++] = from_end ? -(*text - '0') : *text - '0';
    }
    return axes;
}

static wg_tensor reduce(int op, wg_tensor x, wg_axes axes, bool keep, int i)
{
    switch (op) {
    case SUM: return wg_sum(x, axes, keep);
    case MEAN: return wg_mean(x, axes, keep);
    case MAX: return wg_max(x, axes, keep);
    case MIN: return wg_min(x, axes, keep);
    case PROD: return wg_prod(x, axes, keep);
    case VAR: return wg_var(x, axes, keep, i % 2);
    case LOGSUMEXP: return wg_logsumexp(x, axes, keep);
    case ANY: return wg_any(x, axes, keep);
    case ALL: return wg_all(x, axes, keep);
    case SUM_ALL: return wg_sum_all(x);
    default: return wg_mean_all(x);
    }
}

static wg_tensor make_reduce(sampler *s, const op_samples *row, int i)
{
    over c = i < COUNT(cases) ? cases[i] : empty_cases[i - COUNT(cases)];
    wg_tensor x;
    if (row->op == VAR && (!strcmp(c.spec, "1") || !c.spec[0])) c = (over){"5,3", "0", true}; /* needs two */
    if (row->op == ANY || row->op == ALL)
        x = x_bool(s, c.spec);
    else if (row->op == PROD && i % 3 == 0) /* about 1, so that a long product neither vanishes nor explodes */
        x = x_range(s, c.spec, 0.9, 1.1);
    else
        x = x_in(s, c.spec);
    return reduce(row->op, x, axes_of(c.axes), c.keep, i);
}

static wg_tensor bad_reduce(sampler *s, const op_samples *row, int i)
{
    static const char *const over_axes[] = {"2", "-3", "00", "0-2", "9"};
    static char words[64];
    strcpy(words, row->name);
    bool truth = row->op == ANY || row->op == ALL;
    if (i < 5) {
        if (i < 2) strcat(words, "|[2, 3]");
        expect(s, WG_ERR_ARGUMENT, words);
        return reduce(row->op, truth ? x_bool(s, "2,3") : x_in(s, "2,3"), axes_of(over_axes[i]), false, 0);
    }
    if (i == 5) {
        strcat(words, truth ? "|f64|bool" : "|bool");
        expect(s, WG_ERR_DTYPE, words);
        return reduce(row->op, truth ? x_in(s, "2,3") : x_bool(s, "2,3"), WG_AXES(0), false, 0);
    }
    if (i == 6) {
        expect(s, WG_ERR_ARGUMENT, words);
        wg_axes axes = {.n = 9};
        return reduce(row->op, truth ? x_bool(s, "2,3") : x_in(s, "2,3"), axes, false, 0);
    }
    strcat(words, i == 7 ? "|[2, 0]" : "|[0]");
    expect(s, WG_ERR_SHAPE, words); /* over nothing */
    return reduce(row->op, i == 7 ? x_in(s, "2,0") : x_in(s, "0"), WG_ALL_AXES, false, 0);
}

static wg_tensor bad_all_axes(sampler *s, const op_samples *row, int i)
{
    expect(s, WG_ERR_DTYPE, "bool");
    return reduce(row->op, x_bool(s, i ? "2,3" : ""), WG_ALL_AXES, false, 0);
}

/* ---- along one axis ---- */

typedef struct along {
    const char *spec;
    int axis;
} along;

static const along alongs[] = {{"2,3", 1},    {"1", 0},       {"7", 0},        {"1030", -1},
                               {"3,1030", 1}, {"1030,3", 0},  {"33,31", 0},    {"33,31", -1},
                               {"0", 0},      {"3,0", 1},     {"0,3", 1},      {"2,3,4", 0},
                               {"2,3,4", 1},  {"2,3,4", -1},  {"2,3,4,5", -3}, {"1,2,1,2,1,2,1,2", 5},
                               {"5,7 t", 0},  {"5,7 t", 1},   {"4,6 s", 1},    {"4,6 p", 0},
                               {"4,6 f", 1},  {"3,4,5 e", 1}, {"3,4 b", 1},    {"4,1", 1},
                               {"4,300", 1}};

static wg_tensor scan(sampler *s, int op, wg_tensor x, int axis, int i)
{
    bool down = i % 2;
    switch (op) {
    case CUMSUM: return wg_cumsum(x, axis);
    case ARGMAX: return wg_argmax(x, axis, down);
    case ARGMIN: return wg_argmin(x, axis, down);
    case ARGSORT: return wg_argsort(x, axis, down);
    case SORT: return wg_sort(x, axis, down);
    case SOFTMAX: return wg_softmax(x, axis);
    case LOG_SOFTMAX: return wg_log_softmax(x, axis);
    default: break;
    }
    wg_tensor index, values;
    int64_t size = wg_size(x, axis);
    values = wg_topk(x, size > 3 ? (int)(size / 2) : (int)size, axis, down, i % 3 ? &index : NULL);
    return i % 3 ? wg_mul(values, wg_add(wg_cast(index, s->dtype), wg_scalar(s->tape, s->dtype, 1))) : values;
}

static wg_tensor make_along(sampler *s, const op_samples *row, int i)
{
    return scan(s, row->op, x_in(s, alongs[i].spec), alongs[i].axis, i);
}

static wg_tensor make_arg(sampler *s, const op_samples *row, int i)
{
    static const along nonempty[] = {{"0,3", 1}, {"2,0,4", 2}, {"0,1", -1}};
    along c = alongs[i];
    if (i == 8 || i == 9 || i == 10) c = nonempty[i - 8];
    return scan(s, row->op, x_in(s, c.spec), c.axis, i);
}

static wg_tensor make_masked_softmax(sampler *s, const op_samples *row, int i)
{
    const along *c = &alongs[i];
    wg_shape shape = shape_of_spec(c->spec);
    char spec[32] = "", size[16];
    for (int k = i % 3 == 1; k < shape.rank; k++) { /* a mask that broadcasts: without the first axis, or 1 of it */
        snprintf(size, sizeof size, "%s%lld", spec[0] ? "," : "",
                 (long long)(i % 3 == 2 && k == 0 ? 1 : shape.size[k]));
        strcat(spec, size);
    }
    wg_tensor x = x_in(s, c->spec);
    return wg_masked_softmax(x, x_bool(s, spec), c->axis);
}

static wg_tensor bad_masked_softmax(sampler *s, const op_samples *row, int i)
{
    static const char *const x[] = {"2,3", "2,3", "", "2,3"}, *const mask[] = {"2,4", "2,3,1", "", "2,3"};
    expect(s, i < 2 ? WG_ERR_SHAPE : i == 2 ? WG_ERR_ARGUMENT : WG_ERR_DTYPE, "masked_softmax");
    wg_tensor in = x_in(s, x[i]);
    return wg_masked_softmax(in, i == 3 ? x_i32(s, "2,3", 0, 2) : x_bool(s, mask[i]), -1);
}

static wg_tensor bad_along(sampler *s, const op_samples *row, int i)
{
    static const struct {
        const char *spec;
        int axis;
        const char *words;
    } wrong[] = {{"2,3", 2, "|[2, 3]|axis 2"}, {"2,3", -3, "|[2, 3]"}, {"", 0, "|scalar"}, {"4", 1, "|[4]"}};
    static char words[64];
    strcpy(words, row->name);
    if (i < 4) {
        strcat(words, wrong[i].words);
        expect(s, WG_ERR_ARGUMENT, words);
        wg_tensor x = x_in(s, wrong[i].spec);
        if (row->op == TOPK) return wg_topk(x, 1, wrong[i].axis, true, NULL);
        return scan(s, row->op, x, wrong[i].axis, 0);
    }
    if (i == 4) {
        expect(s, WG_ERR_DTYPE, strcat(words, "|bool"));
        wg_tensor x = x_bool(s, "2,3");
        return scan(s, row->op, x, 1, 0);
    }
    if (!strncmp(row->name, "arg", 3)) {
        expect(s, WG_ERR_SHAPE, words);
        wg_tensor x = x_in(s, "2,0");
        return scan(s, row->op, x, 1, 0);
    }
    expect(s, WG_ERR_ARGUMENT, words); /* top k */
    return wg_topk(x_in(s, "2,3"), i == 5 ? 4 : -1, 1, true, NULL);
}

/* ---- ops that stand in gradients only ---- */

static wg_tensor make_prod_others(sampler *s, const op_samples *row, int i)
{
    static const struct {
        const char *spec;
        uint32_t mask;
    } set[] = {{"2,3", 2},
               {"", 0},
               {"1", 1},
               {"7", 1},
               {"0", 1},
               {"3,0", 2},
               {"2,3,4", 6},
               {"2,3,4", 4},
               {"2,3,4", 3},
               {"2,3,4", 7},
               {"3,33", 2},
               {"33,3", 1},
               {"5,7 t", 1},
               {"4,6 s", 2},
               {"4,6 p", 1},
               {"4,6 f", 2},
               {"3,4 e", 2},
               {"3,4 b", 1},
               {"1,2,1,2,1,2,1,2", 0xc0},
               {"2,1,3", 2}};
    wg__reduce_attr attr = {set[i].mask, 0};
    wg_tensor x = x_range(s, set[i].spec, i % 2 ? -1.5 : 0.5, 1.5);
    return wg_record(op_named("prod_others"), &x, 1, &attr, sizeof attr);
}

static wg_tensor bad_prod_others(sampler *s, const op_samples *row, int i)
{
    wg__reduce_attr attr = {1, 0};
    wg_tensor x = i ? x_i32(s, "2,3", 0, 4) : x_bool(s, "2,3");
    expect(s, WG_ERR_DTYPE, i ? "prod_others|i32" : "prod_others|bool");
    return wg_record(op_named("prod_others"), &x, 1, &attr, sizeof attr);
}

static wg_tensor make_center(sampler *s, const op_samples *row, int i)
{
    wg__center_attr attr = {.epsilon = i % 4 ? 0.01 : -1, .centered = i % 5 != 0};
    over c = cases[i];
    wg_shape shape = shape_of_spec(c.spec);
    wg_axes axes = axes_of(c.axes);
    for (int k = 0; k < axes.n; k++)
        attr.mask |= 1u << (axes.axis[k] < 0 ? axes.axis[k] + shape.rank : axes.axis[k]);
    wg_tensor x = x_in(s, c.spec);
    return wg_record(op_named("center"), &x, 1, &attr, sizeof attr);
}

static wg_tensor bad_center(sampler *s, const op_samples *row, int i)
{
    wg__center_attr attr = {.mask = 1};
    wg_tensor x = i ? x_i32(s, "2,3", 0, 4) : x_bool(s, "2,3");
    expect(s, WG_ERR_DTYPE, i ? "center|i32" : "center|bool");
    return wg_record(op_named("center"), &x, 1, &attr, sizeof attr);
}

/* The gradient of a row's result in the shape of the result. */
static wg_tensor make_logsumexp_grad(sampler *s, const op_samples *row, int i)
{
    static const struct {
        const char *spec, *grad;
        uint32_t mask;
        bool keep;
    } set[] = {{"2,3", "2", 2, false},     {"2,3", "2,1", 2, true},   {"", "", 0, false},
               {"", "", 0, true},          {"1", "", 1, false},       {"7", "", 1, false},
               {"7", "1", 1, true},        {"1030", "", 1, false},    {"3,1030", "3", 2, false},
               {"3,0", "3", 2, false},     {"0,3", "0", 2, false},    {"2,3,4", "2", 6, false},
               {"2,3,4", "2,3", 4, false}, {"2,3,4", "", 7, false},   {"2,3,1", "2,1", 2, false},
               {"5,7 t", "5", 2, false},   {"4,6 s", "4,1", 2, true}, {"4,6 p", "4", 2, false},
               {"4,6 f", "4 f", 2, false}, {"3,4 b", "3", 2, false},  {"2,3,4,5", "2,3,1,1", 12, true}};
    wg__reduce_attr attr = {set[i].mask, set[i].keep};
    wg_tensor in[] = {x_in(s, set[i].spec), WG_NONE};
    in[1] = x_in(s, set[i].grad);
    return wg_record(op_named("logsumexp_grad"), in, 2, &attr, sizeof attr);
}

static wg_tensor bad_logsumexp_grad(sampler *s, const op_samples *row, int i)
{
    static const char *const other[] = {"3", "2,1", "", "2,3"};
    wg__reduce_attr attr = {2, 0};
    wg_tensor in[] = {i < 4 ? x_in(s, "2,3") : x_bool(s, "2,3"), WG_NONE};
    in[1] = i < 4 ? x_in(s, other[i]) : x_in(s, "2");
    expect(s, i < 4 ? WG_ERR_SHAPE : WG_ERR_DTYPE, "logsumexp_grad");
    return wg_record(op_named("logsumexp_grad"), in, 2, &attr, sizeof attr);
}

static wg_tensor make_softmax_grad(sampler *s, const op_samples *row, int i)
{
    const char *spec = alongs[i].spec;
    bool same = i % 6 == 1 || i % 6 == 5;
    wg_tensor y = x_in(s, spec), in[] = {y, same ? y : x_in(s, spec)};
    return wg_record(op_named(row->name), in, 2, NULL, 0);
}

static wg_tensor bad_softmax_grad(sampler *s, const op_samples *row, int i)
{
    static const char *const other[] = {"3", "2,4", "3,2", "2,3,1"};
    wg_tensor in[] = {i < 4 ? x_in(s, "2,3") : i == 4 ? x_bool(s, "2,3") : x_in(s, ""), WG_NONE};
    in[1] = i < 4 ? x_in(s, other[i]) : i == 4 ? x_bool(s, "2,3") : x_in(s, "");
    expect(s, i == 4 ? WG_ERR_DTYPE : WG_ERR_SHAPE, row->name);
    return wg_record(op_named(row->name), in, 2, NULL, 0);
}

#define ROW(text, number, given, samples, maker, bads, spoiler)                                                    \
    {                                                                                                              \
        .name = text, .op = number, .flags = given, .n = samples, .make = maker, .n_bad = bads, .bad = spoiler,    \
        .low = number == PROD ? -1.2 : 0, .high = number == PROD ? 1.2 : 0,                                        \
        .tolerance = (maker) == make_softmax_grad ? 1e-4 : 0                                                       \
    }

enum { WITH_ELEMENTS = COUNT(cases), WITH_EMPTY = COUNT(cases) + COUNT(empty_cases), ALONGS = COUNT(alongs) };

const op_samples samples_reduce[] = {
    ROW("sum", SUM, SAMPLE_SMOOTH, WITH_EMPTY, make_reduce, 7, bad_reduce),
    ROW("mean", MEAN, SAMPLE_SMOOTH, WITH_ELEMENTS, make_reduce, 9, bad_reduce),
    ROW("max", MAX, 0, WITH_ELEMENTS, make_reduce, 9, bad_reduce),
    ROW("min", MIN, 0, WITH_ELEMENTS, make_reduce, 9, bad_reduce),
    ROW("prod", PROD, SAMPLE_SMOOTH, WITH_EMPTY, make_reduce, 7, bad_reduce),
    ROW("var", VAR, SAMPLE_SMOOTH, WITH_ELEMENTS, make_reduce, 9, bad_reduce),
    ROW("logsumexp", LOGSUMEXP, SAMPLE_SMOOTH, WITH_ELEMENTS, make_reduce, 7, bad_reduce),
    ROW("any", ANY, 0, WITH_EMPTY, make_reduce, 7, bad_reduce),
    ROW("all", ALL, 0, WITH_EMPTY, make_reduce, 7, bad_reduce),
    ROW("sum", SUM_ALL, SAMPLE_SMOOTH, WITH_EMPTY, make_reduce, 2, bad_all_axes),
    ROW("mean", MEAN_ALL, SAMPLE_SMOOTH, WITH_ELEMENTS, make_reduce, 2, bad_all_axes),
    ROW("argmax", ARGMAX, 0, ALONGS, make_arg, 6, bad_along),
    ROW("argmin", ARGMIN, 0, ALONGS, make_arg, 6, bad_along),
    ROW("cumsum", CUMSUM, SAMPLE_SMOOTH, ALONGS, make_along, 5, bad_along),
    ROW("argsort", ARGSORT, 0, ALONGS, make_along, 5, bad_along),
    ROW("sort", SORT, SAMPLE_SMOOTH, ALONGS, make_along, 5, bad_along),
    ROW("topk", TOPK, SAMPLE_SMOOTH, ALONGS, make_along, 7, bad_along),
    ROW("softmax", SOFTMAX, SAMPLE_SMOOTH, ALONGS, make_along, 5, bad_along),
    ROW("masked_softmax", 0, SAMPLE_SMOOTH | SAMPLE_NO_SPOIL, ALONGS, make_masked_softmax, 4, bad_masked_softmax),
    ROW("log_softmax", LOG_SOFTMAX, SAMPLE_SMOOTH, ALONGS, make_along, 5, bad_along),
    ROW("softmax_grad", 0, SAMPLE_SMOOTH, ALONGS - 1, make_softmax_grad, 6, bad_softmax_grad),
    ROW("log_softmax_grad", 0, SAMPLE_SMOOTH, ALONGS - 1, make_softmax_grad, 6, bad_softmax_grad),
    ROW("center", 0, SAMPLE_SMOOTH, WITH_ELEMENTS, make_center, 2, bad_center),
    ROW("logsumexp_grad", 0, SAMPLE_SMOOTH, 21, make_logsumexp_grad, 5, bad_logsumexp_grad),
    ROW("prod_others", 0, SAMPLE_SMOOTH, 20, make_prod_others, 2, bad_prod_others),
    {0}};
