/* Samples of ops by index and of masks. */
#include "samples.h"

#include <stdio.h>

#include "../ops/kernels/move/move.h"

enum {
    EMBEDDING,
    INDEX_SELECT,
    GATHER,
    SCATTER_ADD,
    INDEX_ADD,
    ONE_HOT,
    TRIL,
    TRIU,
    TRIL_MASK,
    TRIU_MASK,
    LENGTH_MASK
};

typedef struct index_case {
    const char *x, *index;
    int axis;
} index_case;

static const index_case embeddings[] = {
    {"5,3", "4", 0},       {"5,3", "", 0},      {"1,1", "1", 0},     {"5,3", "0", 0},
    {"5,0", "4", 0},       {"5,3", "2,0,3", 0}, {"7,5", "2,3", 0},   {"7,5", "2,3,2", 0},
    {"65,4", "50", 0},     {"3,2", "1030", 0},  {"1030,1", "5", 0},  {"2,515", "3", 0},
    {"5,3 t", "4", 0},     {"5,3 s", "4 s", 0}, {"5,3 p", "4 f", 0}, {"5,3 f", "4 p", 0},
    {"5,3 o", "2,3 t", 0}, {"5,3 e", "4", 0},   {"5,3 b", "4 e", 0}, {"9,8", "1,2,1,2,1,2,1", 0}};
static const index_case selects[] = {
    {"5,3", "4", 0},     {"1", "1", 0},     {"7", "3", 0},     {"5,3", "0", 0},     {"5,0", "4", 0},
    {"0,5", "4", 1},     {"5,3", "7", -1},  {"2,5,3", "4", 1}, {"2,5,3", "4", 2},   {"2,5,3", "4", 0},
    {"1030", "5", 0},    {"3", "1030", 0},  {"5,3 t", "4", 1}, {"5,3 s", "4 s", 0}, {"5,3 p", "4 f", 1},
    {"5,3 f", "4 p", 1}, {"5,3 o", "4", 0}, {"5,3 e", "4", 0}, {"5,3 b", "4 e", 1}, {"1,2,1,2,1,2,1,2", "3", 5},
    {"33,31", "17", 0}};
static const index_case gathers[] = {
    {"5,3", "4,3", 0},     {"1", "1", 0},         {"7", "9", 0},         {"5,3", "0,3", 0},
    {"5,0", "4,0", 0},     {"0,5", "0,2", 1},     {"5,3", "5,7", -1},    {"2,5,3", "2,4,3", 1},
    {"2,5,3", "2,5,1", 2}, {"2,5,3", "3,5,3", 0}, {"1030", "5", 0},      {"3", "1030", 0},
    {"5,3 t", "5,2", 1},   {"5,3 s", "4,3 s", 0}, {"5,3 p", "5,2 f", 1}, {"5,3 f", "5,4 p", 1},
    {"5,3 o", "4,3 t", 0}, {"5,3 e", "4,3", 0},   {"5,3 b", "5,4 e", 1}, {"1,2,1,2,1,2,1,2", "1,2,1,2,1,3,1,2", 5},
    {"33,31", "17,31", 0}};
static const index_case hots[] = {{"", "4", 3},
                                  {"", "", 3},
                                  {"", "1", 1},
                                  {"", "7", 5},
                                  {"", "0", 4},
                                  {"", "3,0", 4},
                                  {"", "2,3", 65},
                                  {"", "1030", 3},
                                  {"", "2,3,4", 2},
                                  {"", "33,31", 4},
                                  {"", "1,2,1,2,1,2,1", 3},
                                  {"", "5,7 t", 3},
                                  {"", "4,6 s", 3},
                                  {"", "4,6 p", 3},
                                  {"", "4,6 f", 3},
                                  {"", "4,6 o", 3},
                                  {"", "4,6 e", 3},
                                  {"", "4,6 b", 3},
                                  {"", "2", 1030},
                                  {"", "5", 2}};
/* axis: the diagonal */
static const index_case triangles[] = {
    {"3,4", "", 0},   {"1,1", "", 0},   {"4,4", "", 1},     {"4,4", "", -1},  {"4,4", "", 9},
    {"4,4", "", -9},  {"0,3", "", 0},   {"3,0", "", 1},     {"2,3,4", "", 0}, {"7,1", "", -2},
    {"1,7", "", 2},   {"33,31", "", 3}, {"103,10", "", -5}, {"5,7 t", "", 1}, {"4,6 s", "", 0},
    {"4,6 p", "", 1}, {"4,6 f", "", 0}, {"4,6 e", "", -1},  {"4,6 b", "", 0}, {"1,2,1,2,1,2,3,2", "", 0}};

/* Indices are below the size of the axis; where that is 0 there are none. */
static wg_tensor make_index(sampler *s, const op_samples *row, int i)
{
    const index_case *const all[] = {embeddings, selects, gathers, gathers};
    const index_case *c = &all[row->op][i];
    wg_shape shape = shape_of_spec(c->x);
    int axis = c->axis < 0 ? c->axis + shape.rank : c->axis;
    wg_tensor x = x_in(s, c->x), index = x_i32(s, c->index, 0, shape.size[axis] > 0 ? (int)shape.size[axis] : 1);
    switch (row->op) {
    case EMBEDDING: return wg_embedding(x, index);
    case INDEX_SELECT: return wg_index_select(x, c->axis, index);
    case GATHER: return wg_gather(x, c->axis, index);
    default: return wg_scatter_add(x, c->axis, index, x_in(s, c->index));
    }
}

/* x: the base; index: the slice; axis. Starts lie before, inside and past the range that fits. */
static const index_case updates[] = {
    {"5,3", "1,3", 0},       {"5,3", "5,1", 1},      {"5,3", "2,3", 0},     {"5,3", "5,3", 0},
    {"4", "1", 0},           {"4", "0", 0},          {"0,3", "0,3", 0},     {"2,0,3", "2,0,3", 1},
    {"2,7,3", "2,3,3", 1},   {"2,7,3", "2,7,1", -1}, {"1,1", "1,1", 0},     {"4,6 t", "4,2", 1},
    {"4,6 s", "1,6", 0},     {"4,6 p", "4,3 f", 1},  {"4,6 f", "2,6 o", 0}, {"4,6 e", "1,6 e", 0},
    {"4,6 b", "2,6 b", 0},   {"103,10", "50,10", 0}, {"3,1030", "3,17", 1}, {"2,2,2,2,2", "2,2,1,2,2", 2},
    {"40,50,2", "40,1,2", 1}};

static wg_tensor make_update(sampler *s, const op_samples *row, int i)
{
    const index_case *c = &updates[i];
    wg_tensor x = x_in(s, c->x), start = x_i32(s, i % 2 ? "" : "1", -3, 12);
    return wg_update_slice(x, c->axis, start, x_in(s, c->index));
}

static wg_tensor bad_update(sampler *s, const op_samples *row, int i)
{
    expect(s, i < 2 || i == 4 ? WG_ERR_DTYPE : WG_ERR_SHAPE, i == 5 ? "axis" : "update_slice|[5, 3]");
    if (i == 5) expect(s, WG_ERR_ARGUMENT, "update_slice");
    wg_tensor x = x_in(s, "5,3"), start = i == 0 ? x_in(s, "") : x_i32(s, i == 1 ? "2" : "", 0, 2);
    if (i == 4) return wg_update_slice(x, 0, start, x_i32(s, "2,3", 0, 2));
    return wg_update_slice(x, i == 5 ? 2 : 0, start, x_in(s, i == 2 ? "6,3" : i == 3 ? "1,2" : "1,3"));
}

/* Numbers added into zeros by index: the gradient of an embedding. */
static wg_tensor make_index_add(sampler *s, const op_samples *row, int i)
{
    const index_case *c = &selects[i];
    wg_tensor x = x_in(s, c->x);
    int axis = c->axis < 0 ? wg_rank(x) + c->axis : c->axis;
    char n[24];
    snprintf(n, sizeof n, "%d", (int)wg_size(x, axis));
    wg_tensor in[2] = {x_i32(s, n, 0, 4), x};
    wg__index_add_attr attr = {.axis = axis, .size = 4};
    return wg_record(op_named("index_add"), in, 2, &attr, sizeof attr);
}

static wg_tensor bad_index_add(sampler *s, const op_samples *row, int i)
{
    wg_tensor in[2] = {i == 0 ? x_in(s, "3") : x_i32(s, i == 1 ? "3,2" : "3", 0, 4),
                       i == 4 ? x_i32(s, "3,2", 0, 4) : x_in(s, i == 2 ? "2,3" : "3,2")};
    wg__index_add_attr attr = {.axis = i == 1 ? 1 : 0, .size = i == 3 ? -1 : 4};
    expect(s, i % 4 ? WG_ERR_SHAPE : WG_ERR_DTYPE, "index_add");
    return wg_record(op_named("index_add"), in, 2, &attr, sizeof attr);
}

static wg_tensor make_hot(sampler *s, const op_samples *row, int i)
{
    static const wg_dtype dtypes[] = {WG_F32, WG_F64, WG_I32, WG_BOOL};
    return wg_one_hot(x_i32(s, hots[i].index, 0, hots[i].axis), hots[i].axis, i % 2 ? dtypes[i % 4] : s->dtype);
}

static wg_tensor make_triangle(sampler *s, const op_samples *row, int i)
{
    const index_case *c = &triangles[i];
    wg_shape shape = shape_of_spec(c->x);
    int64_t rows = shape.size[shape.rank - 2], cols = shape.size[shape.rank - 1];
    switch (row->op) {
    case TRIL: return wg_tril(x_in(s, c->x), c->axis);
    case TRIU: return wg_triu(x_in(s, c->x), c->axis);
    case TRIL_MASK: return wg_tril_mask(s->tape, rows, cols, c->axis);
    default: return wg_triu_mask(s->tape, rows, cols, c->axis);
    }
}

static wg_tensor make_length_mask(sampler *s, const op_samples *row, int i)
{
    static const char *const lengths[] = {"3", "1", "7", "0", "1030", "5 f", "5 s", "5 p", "5 e", "2"};
    return wg_length_mask(x_i32(s, lengths[i % 10], 0, 6), i < 10 ? 5 : 2 * (i - 10));
}

static wg_tensor bad_index(sampler *s, const op_samples *row, int i)
{
    static const char *const words[] = {"embedding|[5, 3]", "index_select|[5, 3]", "gather|[5, 3]",
                                        "scatter_add|[5, 3]"};
    expect(s, i == 0 ? WG_ERR_DTYPE : WG_ERR_SHAPE, i < 2 ? words[row->op] : row->name);
    wg_tensor x = x_in(s, i == 2 ? "5" : i == 3 ? "5,3,2" : "5,3");
    wg_tensor index = i == 0 ? x_in(s, "4,3") : x_i32(s, i == 4 ? "1,1,1,1,1,1,1,1" : "4,4", 0, 3);
    if (row->op == EMBEDDING && i == 1) { /* a bool index */
        expect(s, WG_ERR_DTYPE, words[row->op]);
        return wg_embedding(x, x_bool(s, "4"));
    }
    if (row->op == INDEX_SELECT && i == 0) index = x_in(s, "4");
    if (row->op == INDEX_SELECT && i == 1) {
        expect(s, WG_ERR_DTYPE, words[row->op]);
        index = x_bool(s, "4");
    }
    if (i == 5) {
        expect(s, WG_ERR_ARGUMENT, words[row->op]);
        return row->op == GATHER         ? wg_gather(x, 2, index)
               : row->op == INDEX_SELECT ? wg_index_select(x, -3, index)
                                         : wg_scatter_add(x, 2, index, x_in(s, "4,4"));
    }
    switch (row->op) {
    case EMBEDDING: return wg_embedding(x, index);
    case INDEX_SELECT: return wg_index_select(x, 0, index);
    case GATHER: return wg_gather(x, 0, index);
    default: break;
    }
    if (i < 3) return wg_scatter_add(x, 0, index, x_in(s, i == 1 ? "4,4" : "4,3"));
    expect(s, i == 3 ? WG_ERR_DTYPE : WG_ERR_SHAPE, row->name);
    index = x_i32(s, "4,3", 0, 3);
    return wg_scatter_add(x_in(s, "5,3"), 0, index, i == 3 ? x_i32(s, "4,3", 0, 3) : x_in(s, "3,4"));
}

static wg_tensor bad_hot(sampler *s, const op_samples *row, int i)
{
    expect(s, i < 2 ? WG_ERR_ARGUMENT : i == 4 ? WG_ERR_SHAPE : WG_ERR_DTYPE, "one_hot");
    wg_tensor index = i == 3 ? x_in(s, "3") : x_i32(s, i == 4 ? "1,1,1,1,1,1,1,1" : "3", 0, 2);
    return wg_one_hot(index, i == 0 ? 0 : i == 1 ? -1 : 3, i == 2 ? (wg_dtype)9 : WG_F64);
}

static wg_tensor bad_triangle(sampler *s, const op_samples *row, int i)
{
    expect(s, i < 3 ? WG_ERR_SHAPE : WG_ERR_ARGUMENT, row->name);
    int64_t large = INT64_C(1) << 31;
    wg_tensor x = i == 3   ? wg_zeros(s->tape, s->dtype, WG_DIMS(large, 0))
                  : i == 4 ? wg_zeros(s->tape, s->dtype, WG_DIMS(0, large))
                           : x_in(s, i == 0   ? ""
                                     : i == 1 ? "4"
                                              : "0");
    return row->op == TRIL ? wg_tril(x, 0) : wg_triu(x, 0);
}

static wg_tensor bad_mask(sampler *s, const op_samples *row, int i)
{
    static const int64_t sizes[][2] = {{-1, 3}, {3, -1}, {INT64_C(1) << 40, 1}, {1, INT64_MAX}, {INT64_MIN, 2}};
    expect(s, WG_ERR_ARGUMENT, row->name);
    return row->op == TRIL_MASK ? wg_tril_mask(s->tape, sizes[i][0], sizes[i][1], 0)
                                : wg_triu_mask(s->tape, sizes[i][0], sizes[i][1], 0);
}

static wg_tensor bad_length_mask(sampler *s, const op_samples *row, int i)
{
    expect(s, i < 3 ? WG_ERR_SHAPE : WG_ERR_ARGUMENT, "length_mask");
    wg_tensor lengths = i == 0 ? x_in(s, "3") : x_i32(s, i == 1 ? "2,3" : i == 2 ? "" : "3", 0, 3);
    return wg_length_mask(lengths, i == 3 ? -1 : i == 4 ? INT64_MAX : 4);
}

const op_samples samples_index[] = {
    {.name = "embedding",
     .op = EMBEDDING,
     .flags = SAMPLE_SMOOTH,
     .n = COUNT(embeddings),
     .make = make_index,
     .n_bad = 5,
     .bad = bad_index},
    {.name = "index_select",
     .op = INDEX_SELECT,
     .flags = SAMPLE_SMOOTH,
     .n = COUNT(selects),
     .make = make_index,
     .n_bad = 6,
     .bad = bad_index},
    {.name = "gather",
     .op = GATHER,
     .flags = SAMPLE_SMOOTH,
     .n = COUNT(gathers),
     .make = make_index,
     .n_bad = 6,
     .bad = bad_index},
    {.name = "scatter_add",
     .op = SCATTER_ADD,
     .flags = SAMPLE_SMOOTH,
     .n = COUNT(gathers),
     .make = make_index,
     .n_bad = 6,
     .bad = bad_index},
    {.name = "update_slice",
     .flags = SAMPLE_SMOOTH,
     .n = COUNT(updates),
     .make = make_update,
     .n_bad = 6,
     .bad = bad_update},
    {.name = "index_add",
     .flags = SAMPLE_SMOOTH | SAMPLE_NO_SPOIL,
     .n = COUNT(selects),
     .make = make_index_add,
     .n_bad = 5,
     .bad = bad_index_add},
    {.name = "one_hot", .n = COUNT(hots), .make = make_hot, .n_bad = 5, .bad = bad_hot},
    {.name = "tril",
     .op = TRIL,
     .flags = SAMPLE_SMOOTH,
     .n = COUNT(triangles),
     .make = make_triangle,
     .n_bad = 5,
     .bad = bad_triangle},
    {.name = "triu",
     .op = TRIU,
     .flags = SAMPLE_SMOOTH,
     .n = COUNT(triangles),
     .make = make_triangle,
     .n_bad = 5,
     .bad = bad_triangle},
    {.name = "tril_mask",
     .op = TRIL_MASK,
     .n = COUNT(triangles),
     .make = make_triangle,
     .n_bad = 5,
     .bad = bad_mask},
    {.name = "triu_mask",
     .op = TRIU_MASK,
     .n = COUNT(triangles),
     .make = make_triangle,
     .n_bad = 5,
     .bad = bad_mask},
    {.name = "length_mask", .n = 20, .make = make_length_mask, .n_bad = 5, .bad = bad_length_mask},
    {0}};
