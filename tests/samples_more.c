/* Samples of compositions: norms and distances, padding by elements, group norm, rotary positions. */
#include "samples.h"

#include <math.h>

static const char *const specs[] = {
    "2,3",   "1",   "7",   "1030",  "33,31", "5,7 t", "4,6 s", "4,6 p", "4,6 f", "4,6 e", "1,2,1,2,1,2,1,2",
    "2,3,4", "1,1", "3,1", "2,2,2", "4,6 o", "1,5"};

enum { NORM, STD, NORMALIZE };

static wg_tensor make_length(sampler *s, const op_samples *row, int i)
{
    wg_tensor x = x_in(s, specs[i % COUNT(specs)]);
    wg_axes axes = i % 3 == 0 ? WG_ALL_AXES : i % 3 == 1 ? WG_AXES(-1) : WG_AXES(0);
    switch (row->op) {
    case NORM: return wg_norm(x, axes, i % 2);
    case STD: return wg_std(wg_concat((wg_tensor[]){x, wg_scale(x, -0.7)}, 2, 0), WG_ALL_AXES, i % 2, i % 2);
    default: return wg_normalize(x, i % 3 == 2 ? 0 : -1, i % 2 ? 1e-12 : 0.9);
    }
}

static wg_tensor bad_length(sampler *s, const op_samples *row, int i)
{
    static const char *const words[] = {"norm", "std", "normalize"};
    expect(s, i == 0 ? WG_ERR_DTYPE : WG_ERR_ARGUMENT, words[row->op]);
    wg_tensor x = i == 0 ? x_i32(s, "2,3", 0, 4) : x_in(s, "2,3");
    switch (row->op) {
    case NORM: return wg_norm(x, WG_AXES(i == 1 ? 5 : 0), false);
    case STD: return wg_std(x, WG_AXES(i == 1 ? 5 : 0), false, 0);
    default: return wg_normalize(x, i == 1 ? 5 : 0, i == 2 ? NAN : 1e-12);
    }
}

static const char *const pairs[][2] = {{"2,3", "2,3"},   {"4,6 s", "4,6 p"}, {"5,7 t", "7"},
                                       {"4,6 f", "4,6"}, {"2,3,4", "3,4"},   {"1,2", "1,2"}};

static wg_tensor make_cosine(sampler *s, const op_samples *row, int i)
{
    return wg_cosine_similarity(x_in(s, pairs[i % COUNT(pairs)][0]), x_in(s, pairs[i % COUNT(pairs)][1]), -1,
                                i % 2 ? 1e-8 : 0.9);
}

static wg_tensor bad_cosine(sampler *s, const op_samples *row, int i)
{
    expect(s, i == 0 ? WG_ERR_DTYPE : WG_ERR_ARGUMENT, "cosine_similarity");
    wg_tensor a = x_in(s, "2,3"), b = i == 0 ? x_i32(s, "2,3", 0, 4) : x_in(s, "2,3");
    return wg_cosine_similarity(a, b, i == 1 ? 2 : -1, i == 2 ? -1 : 1e-8);
}

static wg_tensor make_cdist(sampler *s, const op_samples *row, int i)
{
    static const char *const both[][2] = {
        {"3,2", "4,2"}, {"2,3,2", "2,5,2"}, {"1,1", "1,1"}, {"7,5 t", "5,5 f"}, {"2,3,4", "5,4"}};
    return wg_cdist(x_in(s, both[i % COUNT(both)][0]), x_in(s, both[i % COUNT(both)][1]));
}

static wg_tensor bad_cdist(sampler *s, const op_samples *row, int i)
{
    expect(s, i == 1 ? WG_ERR_DTYPE : WG_ERR_SHAPE, "cdist");
    return wg_cdist(x_in(s, i == 0 ? "3" : "3,2"), i == 1 ? x_i32(s, "3,2", 0, 2) : x_in(s, "4,2"));
}

enum { TRIPLET, RANKING, EMBEDDING, WEIGHTED, PROBABILITIES };

static wg_tensor make_loss(sampler *s, const op_samples *row, int i)
{
    const wg_reduction reduction = (wg_reduction)(i % 3);
    const char *spec = specs[6 + i % 9];
    switch (row->op) {
    case TRIPLET: return wg_triplet_loss(x_in(s, spec), x_in(s, spec), x_in(s, spec), 3, reduction);
    case RANKING:
        return wg_margin_ranking_loss(x_in(s, spec), x_in(s, spec), wg_sign(x_data(s, spec, -1, 1)), 9, reduction);
    case EMBEDDING:
        return wg_cosine_embedding_loss(x_in(s, "4,6"), x_in(s, "4,6 f"), x_bool(s, "4"), -1.5, reduction);
    case WEIGHTED:
        return wg_binary_cross_entropy_weighted(x_in(s, spec), x_range(s, spec, 0.1, 0.9), x_range(s, "1", 0.5, 3),
                                                reduction);
    default:
        return wg_binary_cross_entropy_probabilities(x_range(s, spec, 0.1, 0.9), x_range(s, spec, 0.1, 0.9),
                                                     reduction);
    }
}

static wg_tensor bad_loss(sampler *s, const op_samples *row, int i)
{
    expect(s, i == 0 ? WG_ERR_DTYPE : WG_ERR_ARGUMENT, row->name);
    const wg_reduction reduction = i == 1 ? (wg_reduction)7 : WG_MEAN;
    wg_tensor a = x_in(s, "4,6"), b = i == 0 ? x_i32(s, "4,6", 0, 2) : x_in(s, "4,6");
    const double margin = i == 2 ? NAN : 1;
    if (i == 0 && row->op == EMBEDDING) expect(s, WG_ERR_DTYPE, "cosine_similarity");
    switch (row->op) {
    case TRIPLET: return wg_triplet_loss(a, b, x_in(s, "4,6"), margin, reduction);
    case RANKING: return wg_margin_ranking_loss(a, b, x_in(s, "4,6"), margin, reduction);
    case EMBEDDING: return wg_cosine_embedding_loss(a, b, x_bool(s, "4"), margin, reduction);
    case WEIGHTED: return wg_binary_cross_entropy_weighted(a, b, x_in(s, "6"), reduction);
    default: return wg_binary_cross_entropy_probabilities(a, b, reduction);
    }
}

typedef struct pad_case {
    const char *x;
    int axis;
    int64_t before, after;
    wg_pad_mode mode;
} pad_case;

static const pad_case pads[] = {{"4", 0, 2, 3, WG_PAD_REFLECT},       {"4", 0, 2, 3, WG_PAD_REPLICATE},
                                {"4", 0, 4, 4, WG_PAD_CIRCULAR},      {"2,3", -1, 0, 2, WG_PAD_REFLECT},
                                {"2,3,4 t", 1, 1, 0, WG_PAD_REFLECT}, {"5,7 f", 0, 3, 9, WG_PAD_REPLICATE},
                                {"1,5", 0, 0, 0, WG_PAD_REFLECT},     {"4,6 p", 1, 1, 6, WG_PAD_CIRCULAR},
                                {"1", 0, 2, 2, WG_PAD_REPLICATE},     {"33,31", 1, 30, 30, WG_PAD_REFLECT}};

static wg_tensor make_pad(sampler *s, const op_samples *row, int i)
{
    return wg_pad_by(x_in(s, pads[i % COUNT(pads)].x), pads[i % COUNT(pads)].axis, pads[i % COUNT(pads)].before,
                     pads[i % COUNT(pads)].after, pads[i % COUNT(pads)].mode);
}

static wg_tensor bad_pad(sampler *s, const op_samples *row, int i)
{
    static const pad_case bad[] = {{"4", 0, 4, 0, WG_PAD_REFLECT},   {"4", 0, 0, 5, WG_PAD_CIRCULAR},
                                   {"0", 0, 1, 0, WG_PAD_REPLICATE}, {"4", 0, -1, 0, WG_PAD_REFLECT},
                                   {"4", 1, 1, 0, WG_PAD_REFLECT},   {"4", 0, 1, 0, (wg_pad_mode)3},
                                   {"0", 0, 1, 1, WG_PAD_REFLECT},   {"4", 0, 0, INT64_MAX, WG_PAD_CIRCULAR}};
    expect(s, i < 3 || i > 5 ? WG_ERR_SHAPE : WG_ERR_ARGUMENT, "pad_by");
    return wg_pad_by(x_in(s, bad[i].x), bad[i].axis, bad[i].before, bad[i].after, bad[i].mode);
}

static wg_tensor make_group(sampler *s, const op_samples *row, int i)
{
    static const struct {
        const char *x, *channels;
        int64_t groups;
    } all[] = {{"2,6", "6", 2},     {"2,4,3", "4", 4}, {"3,4,5", "4", 1}, {"2,6,3,2", "6", 3},
               {"2,3,4 t", "3", 3}, {"4,6 s", "6", 2}, {"0,4,3", "4", 2}, {"2,4,0", "4", 2}};
    wg_tensor x = x_in(s, all[i % COUNT(all)].x), w = i % 3 == 2 ? WG_NONE : x_in(s, all[i % COUNT(all)].channels);
    return wg_group_norm(x, all[i % COUNT(all)].groups, w, i % 2 ? WG_NONE : x_in(s, all[i % COUNT(all)].channels),
                         0.1);
}

static wg_tensor bad_group(sampler *s, const op_samples *row, int i)
{
    expect(s, i < 3 ? WG_ERR_SHAPE : i == 3 ? WG_ERR_ARGUMENT : WG_ERR_DTYPE, "group_norm");
    wg_tensor x = i == 4 ? x_i32(s, "2,6", 0, 3) : x_in(s, i == 0 ? "6" : "2,6");
    return wg_group_norm(x, i == 1 ? 4 : i == 2 ? 0 : 2, WG_NONE, WG_NONE, i == 3 ? -1 : 1e-5);
}

static wg_tensor make_swiglu(sampler *s, const op_samples *row, int i)
{
    return wg_swiglu(x_in(s, pairs[i % COUNT(pairs)][0]), x_in(s, pairs[i % COUNT(pairs)][1]));
}

static wg_tensor bad_swiglu(sampler *s, const op_samples *row, int i)
{
    expect(s, WG_ERR_DTYPE, "swiglu");
    return wg_swiglu(x_in(s, "2,3"), x_i32(s, "2,3", 0, 2));
}

static wg_tensor make_rotary(sampler *s, const op_samples *row, int i)
{
    static const char *const x[] = {"3,4", "2,3,6", "1,2", "2,2,5,4", "4,6 s", "3,2 t"};
    wg_tensor in = x_in(s, x[i % COUNT(x)]);
    wg_tensor position = wg_arange(s->tape, WG_I32, i * 7, 1, wg_size(in, -2));
    return wg_rotary(in, position, i % 2 ? 10000 : 100, i % 3 == 1);
}

static wg_tensor bad_rotary(sampler *s, const op_samples *row, int i)
{
    expect(s, i < 2 ? WG_ERR_SHAPE : i < 4 ? WG_ERR_ARGUMENT : WG_ERR_DTYPE, "rotary");
    wg_tensor x = i == 4 ? x_i32(s, "3,4", 0, 2) : x_in(s, i == 0 ? "4" : i == 1 ? "3,5" : "3,4");
    return wg_rotary(x, x_i32(s, "3", 0, 9), i == 2 ? 0 : i == 3 ? INFINITY : 100, false);
}

enum { CUMPROD, CUMMAX, CUMMIN, LOGCUMSUMEXP };

static wg_tensor (*const scan[])(wg_tensor, int) = {wg_cumprod, wg_cummax, wg_cummin, wg_logcumsumexp};

static wg_tensor make_scan(sampler *s, const op_samples *row, int i)
{
    return scan[row->op](x_in(s, specs[i % COUNT(specs)]), i % 3 == 1 ? 0 : -1);
}

static wg_tensor bad_scan(sampler *s, const op_samples *row, int i)
{
    expect(s, i == 0 ? WG_ERR_DTYPE : WG_ERR_ARGUMENT, row->name);
    return scan[row->op](i == 0 ? x_i32(s, "2,3", 0, 5) : x_in(s, "2,3"), i == 1 ? 2 : 0);
}

typedef struct resize_case {
    const char *x;
    int axis;
    int64_t size;
} resize_case;

static const resize_case resizes[] = {{"4", 0, 7},     {"7", 0, 3},     {"2,5", -1, 5},  {"1", 0, 4},
                                      {"2,3,4", 1, 1}, {"5,7 t", 0, 9}, {"4,6 f", 1, 4}, {"33,31", 0, 50}};

enum { AVG_POOL, MAX_POOL };

static wg_tensor make_adaptive(sampler *s, const op_samples *row, int i)
{
    wg_tensor x = x_in(s, resizes[i % COUNT(resizes)].x);
    return (row->op == AVG_POOL ? wg_adaptive_avg_pool : wg_adaptive_max_pool)(x, resizes[i % COUNT(resizes)].axis,
                                                                               resizes[i % COUNT(resizes)].size);
}

static wg_tensor bad_adaptive(sampler *s, const op_samples *row, int i)
{
    expect(s, i == 0 ? WG_ERR_DTYPE : i == 1 ? WG_ERR_ARGUMENT : WG_ERR_SHAPE, row->name);
    wg_tensor x = i == 0 ? x_i32(s, "4,3", 0, 4) : x_in(s, i == 2 ? "0,3" : "4,3");
    return (row->op == AVG_POOL ? wg_adaptive_avg_pool : wg_adaptive_max_pool)(x, i == 1 ? 2 : 0,
                                                                               i == 3   ? 0
                                                                               : i == 4 ? INT64_MAX
                                                                                        : 2);
}

static wg_tensor make_resize(sampler *s, const op_samples *row, int i)
{
    const resize_case *c = &resizes[i % COUNT(resizes)];
    return wg_resize(x_in(s, c->x), c->axis, c->size, (wg_resize_mode)(i % 6));
}

static wg_tensor bad_resize(sampler *s, const op_samples *row, int i)
{
    expect(s, i == 0 ? WG_ERR_DTYPE : i < 3 ? WG_ERR_ARGUMENT : WG_ERR_SHAPE, "resize");
    wg_tensor x = i == 0 ? x_i32(s, "4,3", 0, 4) : x_in(s, i == 4 ? "0,3" : "4,3");
    return wg_resize(x, i == 1 ? 2 : 0, i == 3 ? 0 : 2, i == 2 ? (wg_resize_mode)6 : WG_RESIZE_LINEAR);
}

static wg_tensor make_unfold(sampler *s, const op_samples *row, int i)
{
    static const struct {
        const char *x;
        int axis;
        int64_t size, step;
    } all[] = {{"7", 0, 3, 1}, {"7", 0, 3, 2}, {"2,5", 1, 5, 9}, {"5,7 t", 0, 2, 3}, {"4,6 p", -1, 1, 1}};
    return wg_unfold(x_in(s, all[i % COUNT(all)].x), all[i % COUNT(all)].axis, all[i % COUNT(all)].size,
                     all[i % COUNT(all)].step);
}

static wg_tensor bad_unfold(sampler *s, const op_samples *row, int i)
{
    expect(s, WG_ERR_ARGUMENT, "unfold");
    return wg_unfold(x_in(s, "4,3"), i == 0 ? 2 : 0, i == 1 ? 0 : i == 2 ? 5 : 2, i == 3 ? 0 : 1);
}

static wg_tensor make_fold(sampler *s, const op_samples *row, int i)
{
    static const struct {
        const char *x;
        int axis;
        int64_t n, step;
    } all[] = {{"5,3", 0, 7, 1},   {"3,3", 0, 9, 2}, {"2,1,5", 1, 5, 9},     {"4,2,3 t", 0, 12, 3},
               {"4,6 p", 0, 9, 1}, {"0,3", 0, 4, 1}, {"2,5,3,4", -3, 30, 6}, {"3,1", 0, 40, 7}};
    const int k = i % COUNT(all);
    return wg_fold(x_in(s, all[k].x), all[k].axis, all[k].n, all[k].step);
}

static wg_tensor bad_fold(sampler *s, const op_samples *row, int i)
{
    expect(s, i == 0 ? WG_ERR_DTYPE : i == 1 ? WG_ERR_SHAPE : WG_ERR_ARGUMENT, "fold");
    wg_tensor x = i == 0 ? x_i32(s, "5,3", 0, 2) : x_in(s, "5,3");
    const int64_t n = i == 2 ? 6 : i == 3 ? INT64_MAX : i == 6 ? -1 : 7, step = i == 4 ? 0 : i == 5 ? INT64_MAX : 1;
    return wg_fold(x, i == 1 ? -1 : i == 7 ? 2 : 0, n, step);
}

static wg_tensor make_heads(sampler *s, const op_samples *row, int i)
{
    static const char *const x[] = {"2,3,4", "1,2,2,3", "2,1,1", "4,3,2 t"};
    return wg_repeat_heads(x_in(s, x[i % COUNT(x)]), 1 + i % 4);
}

static wg_tensor bad_heads(sampler *s, const op_samples *row, int i)
{
    expect(s, i == 0 ? WG_ERR_SHAPE : WG_ERR_ARGUMENT, "repeat_heads");
    return wg_repeat_heads(x_in(s, i == 0 ? "3,4" : "2,3,4"), i == 1 ? 0 : 2);
}

enum { SMOOTH = SAMPLE_SMOOTH | SAMPLE_OTHER_NAME, MANY = 24 };

#define ROW(text, number, more, count, maker, n_wrong, wrong)                                                      \
    {                                                                                                              \
        .name = text, .op = (number), .flags = (more), .n = (count), .make = (maker), .n_bad = (n_wrong),          \
        .bad = (wrong)                                                                                             \
    }
const op_samples samples_more[] = {
    ROW("norm", NORM, SMOOTH, MANY, make_length, 2, bad_length),
    ROW("std", STD, SMOOTH, MANY, make_length, 2, bad_length),
    ROW("normalize", NORMALIZE, SAMPLE_OTHER_NAME, MANY, make_length, 3, bad_length),
    ROW("cosine_similarity", 0, SAMPLE_OTHER_NAME, MANY, make_cosine, 3, bad_cosine),
    ROW("cdist", 0, SMOOTH, MANY, make_cdist, 2, bad_cdist),
    ROW("triplet_loss", TRIPLET, SMOOTH, MANY, make_loss, 3, bad_loss),
    ROW("margin_ranking_loss", RANKING, SMOOTH, MANY, make_loss, 3, bad_loss),
    ROW("cosine_embedding_loss", EMBEDDING, SMOOTH, MANY, make_loss, 3, bad_loss),
    ROW("binary_cross_entropy_weighted", WEIGHTED, SMOOTH, MANY, make_loss, 2, bad_loss),
    ROW("binary_cross_entropy_probabilities", PROBABILITIES, SMOOTH, MANY, make_loss, 2, bad_loss),
    ROW("pad_by", 0, SMOOTH | SAMPLE_NO_SPOIL, MANY, make_pad, 8, bad_pad),
    ROW("group_norm", 0, SMOOTH | SAMPLE_NO_SPOIL, MANY, make_group, 5, bad_group),
    ROW("swiglu", 0, SMOOTH, MANY, make_swiglu, 1, bad_swiglu),
    ROW("rotary", 0, SMOOTH | SAMPLE_NO_SPOIL, MANY, make_rotary, 5, bad_rotary),
    ROW("cumprod", CUMPROD, SMOOTH, MANY, make_scan, 2, bad_scan),
    ROW("cummax", CUMMAX, SAMPLE_OTHER_NAME, MANY, make_scan, 2, bad_scan),
    ROW("cummin", CUMMIN, SAMPLE_OTHER_NAME, MANY, make_scan, 2, bad_scan),
    ROW("logcumsumexp", LOGCUMSUMEXP, SMOOTH, MANY, make_scan, 2, bad_scan),
    ROW("adaptive_avg_pool", AVG_POOL, SMOOTH, MANY, make_adaptive, 5, bad_adaptive),
    ROW("adaptive_max_pool", MAX_POOL, SMOOTH, MANY, make_adaptive, 5, bad_adaptive),
    ROW("resize", 0, SMOOTH, MANY, make_resize, 5, bad_resize),
    ROW("unfold", 0, SMOOTH | SAMPLE_NO_SPOIL, MANY, make_unfold, 4, bad_unfold),
    ROW("fold", 0, SMOOTH | SAMPLE_NO_SPOIL, MANY, make_fold, 8, bad_fold),
    ROW("repeat_heads", 0, SMOOTH, MANY, make_heads, 2, bad_heads),
    {0}};
