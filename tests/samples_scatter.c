/* Samples of writing by index, of segments and bags. */
#include "samples.h"

#include <math.h>
#include <stdio.h>

#include "../ops/kernels/move/move.h"

typedef struct scatter_case {
    const char *x, *source;
    int axis;
} scatter_case;

static const scatter_case cases[] = {{"5,3", "4,3", 0},
                                     {"1", "1", 0},
                                     {"7", "9", 0},
                                     {"5,3", "0,3", 0},
                                     {"5,0", "4,0", 0},
                                     {"5,3", "5,7", -1},
                                     {"2,5,3", "2,4,3", 1},
                                     {"2,5,3", "2,5,1", 2},
                                     {"2,5,3", "3,5,3", 0},
                                     {"130", "5", 0},
                                     {"3", "130", 0},
                                     {"5,3 t", "5,2", 1},
                                     {"5,3 s", "4,3 s", 0},
                                     {"5,3 p", "5,2 f", 1},
                                     {"5,3 f", "5,4 p", 1},
                                     {"5,3 o", "4,3 t", 0},
                                     {"5,3 e", "4,3", 0},
                                     {"5,3 b", "5,4 e", 1},
                                     {"1,2,1,2,1,2,1,2", "1,2,1,2,1,3,1,2", 5},
                                     {"3,70", "5,70", 0},
                                     {"17,31", "9,31", 0}};

static int axis_of(const scatter_case *c) { return c->axis < 0 ? c->axis + shape_of_spec(c->x).rank : c->axis; }

/* Indices of elements: "4,3" as source; of rows: as many as the source has along the axis. */
static wg_tensor index_of(sampler *s, const scatter_case *c, bool rows)
{
    char n[24];
    snprintf(n, sizeof n, "%d", (int)shape_of_spec(c->source).size[axis_of(c)]);
    return x_i32(s, rows ? n : c->source, 0, (int)shape_of_spec(c->x).size[axis_of(c)]);
}

/* ---- elements ---- */

enum { SCATTER, REDUCE, PROD };

static wg_tensor make_scatter(sampler *s, const op_samples *row, int i)
{
    const scatter_case *c = &cases[i % COUNT(cases)];
    wg_tensor x = x_in(s, c->x), index = index_of(s, c, false), source = x_in(s, c->source);
    if (row->op == SCATTER) return wg_scatter(x, c->axis, index, source);
    return wg_scatter_reduce(x, c->axis, index, source, (wg_scatter_mode)(i % 4), i / 4 % 2);
}

static wg_tensor make_prod(sampler *s, const op_samples *row, int i)
{
    const scatter_case *c = &cases[i % COUNT(cases)];
    wg_tensor x = x_range(s, c->x, 0.6, 1.5), index = index_of(s, c, false), y = x_range(s, c->source, 0.7, 1.4);
    return wg_scatter_reduce(x, c->axis, index, y, WG_SCATTER_PROD, i % 3);
}

static wg_tensor bad_scatter(sampler *s, const op_samples *row, int i)
{
    expect(s, i == 0 || i == 3 ? WG_ERR_DTYPE : i < 4 ? WG_ERR_SHAPE : WG_ERR_ARGUMENT, row->name);
    wg_tensor x = x_in(s, i == 1 ? "5,2" : "5,3"), index = i == 0 ? x_in(s, "4,3") : x_i32(s, "4,3", 0, 3);
    wg_tensor source = i == 3 ? x_i32(s, "4,3", 0, 3) : x_in(s, i == 2 ? "3,3" : "4,3");
    const wg_scatter_mode mode = i == 5 ? (wg_scatter_mode)5 : WG_SCATTER_SUM;
    if (row->op == SCATTER) return wg_scatter(x, i == 4 ? 2 : 0, index, source);
    return wg_scatter_reduce(x, i == 4 ? 2 : 0, index, source, mode, true);
}

/* The op itself. */
static wg_tensor make_arg(sampler *s, const op_samples *row, int i)
{
    const scatter_case *c = &cases[i % COUNT(cases)];
    const bool rows = i % 2;
    const int64_t mode = i % 3, axis = axis_of(c);
    wg_tensor source = x_in(s, c->source), in[2] = {index_of(s, c, rows), mode == WG__ARG_LAST ? WG_NONE : source};
    wg__scatter_arg_attr attr = {.axis = axis, .size = shape_of_spec(c->x).size[axis], .mode = mode};
    if (mode == WG__ARG_LAST && rows) attr.axis = 0;
    return wg_record(op_named("scatter_arg"), in, 2, &attr, sizeof attr);
}

static wg_tensor bad_arg(sampler *s, const op_samples *row, int i)
{
    expect(s, i == 0 ? WG_ERR_DTYPE : WG_ERR_SHAPE, "scatter_arg");
    wg_tensor in[2] = {i == 0 ? x_in(s, "4") : x_i32(s, i == 1 ? "4,2" : "4", 0, 3), x_in(s, "4,3")};
    wg__scatter_arg_attr attr = {.axis = i == 2 ? 2 : 0, .size = i == 3 ? -1 : 3, .mode = WG__ARG_MAX};
    return wg_record(op_named("scatter_arg"), in, 2, &attr, sizeof attr);
}

/* ---- rows ---- */

static wg_tensor make_rows(sampler *s, const op_samples *row, int i)
{
    const scatter_case *c = &cases[i % COUNT(cases)];
    wg_tensor x = x_in(s, c->x), index = index_of(s, c, true), source = x_in(s, c->source);
    return (row->op ? wg_index_add : wg_index_copy)(x, c->axis, index, source);
}

static wg_tensor bad_rows(sampler *s, const op_samples *row, int i)
{
    expect(s, i == 0 || i == 3 ? WG_ERR_DTYPE : i < 4 ? WG_ERR_SHAPE : WG_ERR_ARGUMENT, row->name);
    wg_tensor x = x_in(s, i == 1 ? "5,2" : "5,3"), index = i == 0 ? x_in(s, "4") : x_i32(s, "4", 0, 3);
    wg_tensor source = i == 3 ? x_i32(s, "4,3", 0, 3) : x_in(s, i == 2 ? "3,3" : "4,3");
    return (row->op ? wg_index_add : wg_index_copy)(x, i == 4 ? -3 : 0, index, source);
}

typedef struct put_case {
    const char *x, *values, *index[3];
} put_case;

static const put_case put_cases[] = {
    {"5,3", "4,3", {"4"}},          {"5,3", "4", {"4", "4"}},           {"5,3", "2,3", {"2,1", "3"}},
    {"5,3", "", {"", ""}},          {"2,5,3", "4,5,3", {"4"}},          {"2,5,3", "4,3", {"4", "4"}},
    {"2,5,3", "4", {"4", "4", ""}}, {"5,3 t", "4,3 f", {"4"}},          {"5,3 s", "3", {"4"}},
    {"5,3 p", "", {"4 f", "4"}},    {"3,3,3", "2,2", {"2,2", "2", ""}}, {"5,3", "0,3", {"0"}}};

static wg_tensor make_put(sampler *s, const op_samples *row, int i)
{
    const put_case *c = &put_cases[i % COUNT(put_cases)];
    wg_tensor x = x_in(s, c->x), index[3];
    int n = 0;
    for (; n < 3 && c->index[n]; n++) index[n] = x_i32(s, c->index[n], 0, (int)shape_of_spec(c->x).size[n]);
    return wg_index_put(x, index, n, x_in(s, c->values), i / COUNT(put_cases));
}

static wg_tensor bad_put(sampler *s, const op_samples *row, int i)
{
    expect(s, i == 0 || i == 3 ? WG_ERR_DTYPE : i < 4 ? WG_ERR_SHAPE : WG_ERR_ARGUMENT, "index_put");
    if (i == 7) expect(s, WG_ERR_SHAPE, "index_put|8 axes");
    wg_tensor x = x_in(s, "5,3"), values = i == 3 ? x_i32(s, "4,3", 0, 3) : x_in(s, i == 2 ? "4,4" : "4,3");
    wg_tensor index[3] = {i == 0 ? x_in(s, "4") : x_i32(s, i == 7 ? "1,1,1,1,1,1,1,1" : "4", 0, 3),
                          x_i32(s, i == 1 ? "3" : "4", 0, 3), x_i32(s, "4", 0, 3)};
    if (i == 3) expect(s, WG_ERR_DTYPE, "index_copy");
    return wg_index_put(x, i == 6 ? NULL : index, i == 1 ? 2 : i == 4 ? 3 : i == 5 ? 0 : 1, values, false);
}

/* ---- segments and bags ---- */

static wg_tensor make_segments(sampler *s, const op_samples *row, int i)
{
    static const char *const x[] = {"5,3", "7", "1", "0,3", "2,5,3", "130", "5,3 t", "6,4 s", "4,6 p", "4,70"};
    const wg_scatter_mode mode = (wg_scatter_mode)(i % 5);
    const wg_shape shape = shape_of_spec(x[i % COUNT(x)]);
    wg_tensor in = mode == WG_SCATTER_PROD ? x_range(s, x[i % COUNT(x)], 0.9, 1.1) : x_in(s, x[i % COUNT(x)]);
    char n[24];
    snprintf(n, sizeof n, "%d", (int)shape.size[0]);
    const int segments = 1 + i % 4;
    return wg_segment_reduce(in, x_i32(s, n, 0, segments), segments, mode);
}

static wg_tensor bad_segments(sampler *s, const op_samples *row, int i)
{
    expect(s, i < 2 ? WG_ERR_DTYPE : i < 5 ? WG_ERR_SHAPE : WG_ERR_ARGUMENT, "segment_reduce");
    wg_tensor x = i == 0 ? x_i32(s, "4,3", 0, 3) : x_in(s, i == 2 ? "" : "4,3");
    wg_tensor index = i == 1 ? x_in(s, "4") : x_i32(s, i == 3 ? "3" : i == 4 ? "4,3" : "4", 0, 2);
    const int64_t segments = i == 5 ? -1 : i == 6 ? INT64_MAX : 2;
    return wg_segment_reduce(x, index, segments, i == 7 ? (wg_scatter_mode)-1 : WG_SCATTER_MEAN);
}

enum { BY_OFFSETS, BY_LENGTHS };

/* Offsets do not decrease; lengths add up to n. */
static wg_tensor marks(sampler *s, int64_t bags, int64_t n, bool lengths)
{
    int32_t numbers[8];
    for (int64_t b = 0; b < bags; b++) {
        const int32_t at = (int32_t)(b * n / bags), end = (int32_t)((b + 1) * n / bags);
        numbers[b] = lengths ? end - at : at;
    }
    s->n_data++;
    return wg_data(s->tape, WG_I32, WG_DIMS(bags), numbers);
}

static wg_tensor make_marks(sampler *s, const op_samples *row, int i)
{
    const int64_t n = i % 7, bags = 1 + i % 5;
    wg_tensor in = marks(s, bags, n, row->op == BY_LENGTHS);
    return (row->op == BY_LENGTHS ? wg_segments_by_lengths : wg_segments_by_offsets)(in, n);
}

static wg_tensor bad_marks(sampler *s, const op_samples *row, int i)
{
    expect(s, WG_ERR_SHAPE, row->name);
    wg_tensor in = i == 0 ? x_in(s, "3") : x_i32(s, i == 1 ? "3,1" : "3", 0, 2);
    const int64_t n = i == 2 ? -1 : i == 3 ? INT64_MAX : 4;
    return (row->op == BY_LENGTHS ? wg_segments_by_lengths : wg_segments_by_offsets)(in, n);
}

static wg_tensor make_bag(sampler *s, const op_samples *row, int i)
{
    const wg_scatter_mode mode = (wg_scatter_mode)(i % 4);
    const int n = 1 + i % 7, bags = 1 + i % 5;
    char size[24];
    wg_tensor weight = x_in(s, i % 2 ? "6,3" : "6,3 t");
    if (row->op == BY_OFFSETS && i % 3 == 2) {
        snprintf(size, sizeof size, "%d,%d", bags, i == 20 ? 0 : n);
        return wg_embedding_bag(weight, x_i32(s, size, 0, 6), WG_NONE, mode);
    }
    snprintf(size, sizeof size, "%d", n);
    wg_tensor index = x_i32(s, size, 0, 6), by = marks(s, bags, n, row->op == BY_LENGTHS);
    return (row->op == BY_LENGTHS ? wg_embedding_bag_lengths : wg_embedding_bag)(weight, index, by, mode);
}

static wg_tensor bad_bag(sampler *s, const op_samples *row, int i)
{
    expect(s, i < 2 ? WG_ERR_SHAPE : i == 2 ? WG_ERR_DTYPE : WG_ERR_ARGUMENT, row->name);
    wg_tensor weight = i == 2 ? x_i32(s, "6,3", 0, 3) : x_in(s, "6,3");
    wg_tensor index = x_i32(s, i == 0 ? "2,2,2" : i == 1 ? "" : "4", 0, 5);
    wg_tensor by = i == 0 && row->op == BY_OFFSETS ? WG_NONE : i == 4 ? WG_NONE : x_i32(s, "2", 0, 1);
    const wg_scatter_mode mode = i == 3 ? (wg_scatter_mode)9 : WG_SCATTER_SUM;
    return (row->op == BY_LENGTHS ? wg_embedding_bag_lengths : wg_embedding_bag)(weight, index, by, mode);
}

/* ---- places in sorted rows, numbers of a rank ---- */

static wg_tensor make_search(sampler *s, const op_samples *row, int i)
{
    static const char *const both[][2] = {{"5", "3"},     {"1", "7"},           {"0", "4"},  {"130", "2,3"},
                                          {"4,5", "4,7"}, {"2,3,5 s", "2,3,1"}, {"6 p", ""}, {"3,4 t", "3,2 t"},
                                          {"4,5", "4,0"}, {"9", "5,7 f"}};
    const int k = i % COUNT(both);
    wg_tensor sorted = wg_sort(x_data(s, both[k][0], -2, 2), -1, false);
    return wg_searchsorted(sorted, x_data(s, both[k][1], -2, 2), i % 2);
}

static wg_tensor bad_search(sampler *s, const op_samples *row, int i)
{
    expect(s, i < 2 ? WG_ERR_DTYPE : WG_ERR_SHAPE, "searchsorted");
    wg_tensor sorted = i == 0 ? x_i32(s, "4,5", 0, 9) : x_in(s, i == 2 ? "" : i == 3 ? "3,5" : "4,5");
    return wg_searchsorted(sorted, i < 2 ? x_i32(s, "4,2", 0, 9) : x_in(s, i == 4 ? "4,2,2" : "4,2"), false);
}

static wg_tensor make_bincount(sampler *s, const op_samples *row, int i)
{
    static const char *const x[] = {"5", "", "0", "2,3", "130", "4,6 t", "4,6 s", "3,4 e"};
    return wg_bincount(x_i32(s, x[i % COUNT(x)], 0, 1 + i % 5), 1 + i % 5);
}

static wg_tensor bad_bincount(sampler *s, const op_samples *row, int i)
{
    expect(s, i == 0 ? WG_ERR_DTYPE : WG_ERR_ARGUMENT, "bincount");
    return wg_bincount(i == 0 ? x_in(s, "5") : x_i32(s, "5", 0, 3), i == 1 ? -1 : INT64_MAX);
}

enum { KTHVALUE, MEDIAN, QUANTILE };

static wg_tensor make_rank(sampler *s, const op_samples *row, int i)
{
    static const char *const x[] = {"5,3",   "7",     "1",     "6",     "2,4,3", "130",
                                    "5,3 t", "6,4 s", "4,6 p", "3,5 f", "2,0,3"};
    const char *spec = x[i % COUNT(x)];
    const int axis = i % COUNT(x) == 10 ? 0 : i % 2 ? 0 : -1;
    const wg_shape shape = shape_of_spec(spec);
    const int64_t n = shape.size[axis ? shape.rank - 1 : 0];
    wg_tensor in = x_in(s, spec);
    if (row->op == KTHVALUE) return wg_kthvalue(in, 1 + i % n, axis, i % 3 == 0);
    if (row->op == MEDIAN) return wg_median(in, axis, i % 3 == 0);
    return wg_quantile(in, i % 5 * 0.25, axis, i % 3 == 0);
}

static wg_tensor bad_rank(sampler *s, const op_samples *row, int i)
{
    expect(s, i == 0 ? WG_ERR_DTYPE : i == 1 ? WG_ERR_SHAPE : WG_ERR_ARGUMENT, row->name);
    wg_tensor x = i == 0 ? x_i32(s, "4,3", 0, 9) : x_in(s, i == 1 ? "0,3" : "4,3");
    const int axis = i == 2 ? 2 : 0;
    if (row->op == KTHVALUE) return wg_kthvalue(x, i == 3 ? 0 : i == 4 ? 5 : 1, axis, false);
    if (row->op == MEDIAN) return wg_median(x, axis, false);
    return wg_quantile(x, i == 3 ? -0.1 : i == 4 ? NAN : 0.5, axis, false);
}

enum { SMOOTH = SAMPLE_SMOOTH | SAMPLE_OTHER_NAME, MANY = 24 };

#define ROW(text, number, more, count, maker, n_wrong, wrong)                                                      \
    {                                                                                                              \
        .name = text, .op = (number), .flags = (more), .n = (count), .make = (maker), .n_bad = (n_wrong),          \
        .bad = (wrong)                                                                                             \
    }
const op_samples samples_scatter[] = {
    ROW("scatter", SCATTER, SMOOTH, MANY, make_scatter, 5, bad_scatter),
    ROW("scatter_reduce", REDUCE, SMOOTH, 2 * MANY, make_scatter, 6, bad_scatter),
    ROW("scatter_prod", PROD, SMOOTH, MANY, make_prod, 0, NULL),
    ROW("scatter_arg", 0, SAMPLE_NO_SPOIL, MANY, make_arg, 4, bad_arg),
    ROW("index_copy", 0, SMOOTH, MANY, make_rows, 5, bad_rows),
    ROW("index_add", 1, SMOOTH, MANY, make_rows, 5, bad_rows),
    ROW("index_put", 0, SMOOTH | SAMPLE_NO_SPOIL, MANY, make_put, 8, bad_put),
    ROW("segment_reduce", 0, SMOOTH, 2 * MANY, make_segments, 8, bad_segments),
    ROW("segments_by_offsets", BY_OFFSETS, SAMPLE_NO_SPOIL, MANY, make_marks, 4, bad_marks),
    ROW("segments_by_lengths", BY_LENGTHS, SAMPLE_NO_SPOIL, MANY, make_marks, 4, bad_marks),
    ROW("searchsorted", 0, SAMPLE_OTHER_NAME, MANY, make_search, 5, bad_search),
    ROW("bincount", 0, SAMPLE_OTHER_NAME, MANY, make_bincount, 3, bad_bincount),
    ROW("kthvalue", KTHVALUE, SMOOTH | SAMPLE_NO_SPOIL, MANY, make_rank, 5, bad_rank),
    ROW("median", MEDIAN, SMOOTH, MANY, make_rank, 3, bad_rank),
    ROW("quantile", QUANTILE, SMOOTH, MANY, make_rank, 5, bad_rank),
    ROW("embedding_bag", BY_OFFSETS, SMOOTH, MANY, make_bag, 5, bad_bag),
    ROW("embedding_bag_lengths", BY_LENGTHS, SMOOTH, MANY, make_bag, 5, bad_bag),
    {0}};
