/* Samples of views, and of joining and cutting. */
#include "samples.h"

#include <string.h>

#include "../ops/internal.h"
#include "../ops/kernels/move/move.h"

enum {
    RESHAPE,
    FLATTEN,
    PERMUTE,
    TRANSPOSE,
    T,
    EXPAND,
    SQUEEZE,
    UNSQUEEZE,
    SLICE,
    SLICE_STEP,
    SELECT,
    FLIP,
    PAD,
    PAD_VALUE
};

/* x seen otherwise, and up to three numbers or a shape that say how. */
typedef struct view_case {
    const char *spec, *to;
    int a, b, c;
} view_case;

static const view_case reshapes[] = {{"2,3", "3,2", 0, 0, 0},     {"", "", 0, 0, 0},
                                     {"", "1,1", 0, 0, 0},        {"1", "", 0, 0, 0},
                                     {"7", "1,7,1", 0, 0, 0},     {"1030", "103,10", 0, 0, 0},
                                     {"0", "3,0", 0, 0, 0},       {"3,0", "0,5", 0, 0, 0},
                                     {"2,3,4", "6,4", 0, 0, 0},   {"2,3,4", "2,12", 0, 0, 0},
                                     {"2,3,4", "24", 0, 0, 0},    {"4,6", "2,2,2,3", 0, 0, 0},
                                     {"2,3 t", "6", 0, 0, 0},     {"4,6 t", "2,2,6", 0, 0, 0},
                                     {"4,6 s", "24", 0, 0, 0},    {"4,6 s", "2,2,2,3", 0, 0, 0},
                                     {"4,6 p", "4,2,3", 0, 0, 0}, {"4,6 f", "4,3,2", 0, 0, 0},
                                     {"4,6 e", "2,2,6", 0, 0, 0}, {"4,6 b", "24", 0, 0, 0},
                                     {"5,6 o", "30", 0, 0, 0},    {"1,2,1,2,1,2,1,2", "4,4", 0, 0, 0}};
static const view_case flattens[] = {
    {"2,3", "", 0, 1, 0},   {"", "", 0, 0, 0},        {"", "", -1, 0, 0},       {"1", "", 0, 0, 0},
    {"1030", "", 0, -1, 0}, {"0", "", 0, 0, 0},       {"3,0,2", "", 0, 1, 0},   {"2,3,4", "", 0, 1, 0},
    {"2,3,4", "", 1, 2, 0}, {"2,3,4", "", 0, 2, 0},   {"2,3,4", "", -2, -1, 0}, {"2,3,4,5", "", 1, 2, 0},
    {"2,3 t", "", 0, 1, 0}, {"4,6 s", "", 0, 1, 0},   {"4,6 p", "", 0, 1, 0},   {"4,6 f", "", 0, 1, 0},
    {"4,6 e", "", 0, 1, 0}, {"2,4,6 b", "", 0, 1, 0}, {"5,6 o", "", 0, 1, 0},   {"1,2,1,2,1,2,1,2", "", 2, 6, 0}};
/* to: the order, a digit each */
static const view_case permutes[] = {{"2,3", "1,0", 0, 0, 0},     {"", "", 0, 0, 0},
                                     {"1", "0", 0, 0, 0},         {"7,1", "1,0", 0, 0, 0},
                                     {"103,10", "1,0", 0, 0, 0},  {"0,3", "1,0", 0, 0, 0},
                                     {"2,0,3", "2,0,1", 0, 0, 0}, {"2,3,4", "2,0,1", 0, 0, 0},
                                     {"2,3,4", "0,2,1", 0, 0, 0}, {"2,3,4", "2,1,0", 0, 0, 0},
                                     {"2,3,4", "0,1,2", 0, 0, 0}, {"2,3,4,5", "3,0,2,1", 0, 0, 0},
                                     {"2,3 t", "1,0", 0, 0, 0},   {"4,6 s", "1,0", 0, 0, 0},
                                     {"4,6 p", "1,0", 0, 0, 0},   {"4,6 f", "1,0", 0, 0, 0},
                                     {"4,6 e", "1,0", 0, 0, 0},   {"4,6 b", "1,0", 0, 0, 0},
                                     {"5,6 o", "1,0", 0, 0, 0},   {"1,2,1,2,1,2,1,3", "7,5,3,1,0,2,4,6", 0, 0, 0}};
static const view_case transposes[] = {
    {"2,3", "", 0, 1, 0},     {"1", "", 0, 0, 0},     {"7,1", "", 1, 0, 0},     {"103,10", "", 0, 1, 0},
    {"0,3", "", 0, 1, 0},     {"2,0,3", "", 0, 2, 0}, {"2,3,4", "", 0, 1, 0},   {"2,3,4", "", 0, 2, 0},
    {"2,3,4", "", -1, -2, 0}, {"2,3,4", "", 1, 1, 0}, {"2,3,4,5", "", 1, 3, 0}, {"2,3 t", "", 0, 1, 0},
    {"4,6 s", "", 0, 1, 0},   {"4,6 p", "", 0, 1, 0}, {"4,6 f", "", 0, 1, 0},   {"4,6 e", "", 0, 1, 0},
    {"4,6 b", "", 0, 1, 0},   {"5,6 o", "", 0, 1, 0}, {"33,31", "", 0, 1, 0},   {"1,2,1,2,1,2,1,2", "", 1, 6, 0}};
static const view_case expands[] = {
    {"1,3", "2,3", 0, 0, 0},     {"", "", 0, 0, 0},           {"", "2,3", 0, 0, 0},
    {"1", "7", 0, 0, 0},         {"1", "1030", 0, 0, 0},      {"3", "4,3", 0, 0, 0},
    {"2,1", "2,5", 0, 0, 0},     {"2,1,3", "2,4,3", 0, 0, 0}, {"2,1,3", "5,2,4,3", 0, 0, 0},
    {"1,3", "0,3", 0, 0, 0},     {"0", "3,0", 0, 0, 0},       {"1", "0", 0, 0, 0},
    {"2,3", "2,3", 0, 0, 0},     {"3,2 t", "4,3,2", 0, 0, 0}, {"6 s", "4,6", 0, 0, 0},
    {"6 p", "4,6", 0, 0, 0},     {"6 f", "4,6", 0, 0, 0},     {"1,6 f", "4,6", 0, 0, 0},
    {"4,6 e", "2,4,6", 0, 0, 0}, {"3,1 b", "3,5", 0, 0, 0},   {"1,1,1,1", "2,2,2,2", 0, 0, 0}};
static const view_case squeezes[] = {
    {"1,3", "", 0, 0, 0},     {"1", "", 0, 0, 0},     {"1", "", -1, 0, 0},      {"7,1", "", 1, 0, 0},
    {"1030,1", "", -1, 0, 0}, {"0,1", "", 1, 0, 0},   {"1,0", "", 0, 0, 0},     {"2,1,3", "", 1, 0, 0},
    {"2,1,3", "", -2, 0, 0},  {"1,1", "", 0, 0, 0},   {"2,3,1", "", 2, 0, 0},   {"1,3 t", "", 0, 0, 0},
    {"1,6 s", "", 0, 0, 0},   {"1,6 p", "", 0, 0, 0}, {"1,6 f", "", 0, 0, 0},   {"4,1 e", "", 1, 0, 0},
    {"4,1 b", "", 1, 0, 0},   {"5,1 o", "", 1, 0, 0}, {"33,1,31", "", 1, 0, 0}, {"1,2,1,2,1,2,1,2", "", 4, 0, 0}};
static const view_case unsqueezes[] = {
    {"2,3", "", 0, 0, 0},   {"", "", 0, 0, 0},      {"", "", -1, 0, 0},      {"1", "", 1, 0, 0},
    {"7", "", -1, 0, 0},    {"1030", "", 0, 0, 0},  {"0", "", 1, 0, 0},      {"3,0", "", 1, 0, 0},
    {"2,3", "", 1, 0, 0},   {"2,3", "", 2, 0, 0},   {"2,3,4", "", -2, 0, 0}, {"2,3 t", "", 1, 0, 0},
    {"4,6 s", "", 1, 0, 0}, {"4,6 p", "", 2, 0, 0}, {"4,6 f", "", 0, 0, 0},  {"4,6 e", "", 1, 0, 0},
    {"4,6 b", "", 0, 0, 0}, {"5,6 o", "", 1, 0, 0}, {"33,31", "", 1, 0, 0},  {"1,2,1,2,1,2,1", "", 3, 0, 0}};
/* axis, start, stop */
static const view_case slices[] = {
    {"2,3", "", 1, 1, 3},   {"1", "", 0, 0, 1},       {"1", "", 0, 0, 0},
    {"7", "", 0, 2, 5},     {"1030", "", 0, 3, 1029}, {"0", "", 0, 0, 0},
    {"3,0", "", 0, 1, 2},   {"2,3", "", 0, 0, 1},     {"2,3", "", -1, -2, 3},
    {"2,3", "", 0, 2, 2},   {"2,3,4", "", 1, 0, 2},   {"2,3,4", "", 2, 1, -1},
    {"2,3 t", "", 0, 0, 1}, {"4,6 s", "", 1, 1, 4},   {"4,6 p", "", 1, 1, 4},
    {"4,6 f", "", 1, 1, 4}, {"4,6 e", "", 0, 1, 3},   {"4,6 b", "", 0, 1, 4},
    {"5,6 o", "", 0, 1, 4}, {"33,31", "", 1, 0, 30},  {"1,2,1,2,1,2,1,2", "", 3, 1, 2}};
/* axis, step, start; to the end */
static const view_case steps[] = {{"2,3", "", 1, 2, 0},   {"1", "", 0, 1, 0},     {"1", "", 0, 3, 0},
                                  {"7", "", 0, 2, 1},     {"1030", "", 0, 7, 3},  {"0", "", 0, 2, 0},
                                  {"3,0", "", 0, 2, 0},   {"2,3", "", 0, 5, 1},   {"2,3", "", -1, 2, -3},
                                  {"2,3", "", 0, 2, 2},   {"2,3,4", "", 1, 2, 0}, {"2,3,4", "", 2, 3, 0},
                                  {"2,3 t", "", 0, 2, 0}, {"4,6 s", "", 1, 2, 1}, {"4,6 p", "", 1, 2, 1},
                                  {"4,6 f", "", 1, 3, 0}, {"4,6 e", "", 0, 2, 0}, {"4,6 b", "", 0, 3, 0},
                                  {"5,6 o", "", 0, 2, 0}, {"33,31", "", 1, 4, 2}, {"1,2,1,2,1,2,1,2", "", 3, 2, 1}};
static const view_case selects[] = {
    {"2,3", "", 1, 1, 0},   {"1", "", 0, 0, 0},       {"1", "", 0, -1, 0},
    {"7", "", 0, 4, 0},     {"1030", "", 0, 1029, 0}, {"2,3", "", 0, 1, 0},
    {"3,0", "", 0, 2, 0},   {"2,3", "", -1, 0, 0},    {"2,3", "", 1, -2, 0},
    {"7,1", "", 1, 0, 0},   {"2,3,4", "", 1, 2, 0},   {"2,3,4", "", 2, 3, 0},
    {"2,3 t", "", 0, 1, 0}, {"4,6 s", "", 1, 5, 0},   {"4,6 p", "", 1, 1, 0},
    {"4,6 f", "", 1, 2, 0}, {"4,6 e", "", 0, 2, 0},   {"4,6 b", "", 0, 3, 0},
    {"5,6 o", "", 0, 2, 0}, {"33,31", "", 0, 32, 0},  {"1,2,1,2,1,2,1,2", "", 3, 1, 0}};
static const view_case flips[] = {
    {"2,3", "", 1, 0, 0},   {"1", "", 0, 0, 0},     {"7", "", 0, 0, 0},     {"1030", "", -1, 0, 0},
    {"0", "", 0, 0, 0},     {"3,0", "", 0, 0, 0},   {"2,3", "", 0, 0, 0},   {"2,3", "", -2, 0, 0},
    {"2,3,4", "", 1, 0, 0}, {"2,3,4", "", 2, 0, 0}, {"7,1", "", 1, 0, 0},   {"2,3 t", "", 0, 0, 0},
    {"4,6 s", "", 1, 0, 0}, {"4,6 p", "", 1, 0, 0}, {"4,6 f", "", 1, 0, 0}, {"4,6 e", "", 0, 0, 0},
    {"4,6 b", "", 0, 0, 0}, {"5,6 o", "", 0, 0, 0}, {"33,31", "", 0, 0, 0}, {"1,2,1,2,1,2,1,2", "", 3, 0, 0}};
/* axis, before, after */
static const view_case pads[] = {{"2,3", "", 1, 1, 2},   {"1", "", 0, 0, 1},      {"1", "", 0, 3, 0},
                                 {"7", "", 0, 2, 5},     {"1030", "", 0, 3, 1},   {"0", "", 0, 2, 1},
                                 {"3,0", "", 0, 1, 2},   {"3,0", "", 1, 1, 2},    {"2,3", "", 0, 0, 1},
                                 {"2,3", "", -1, 2, 3},  {"2,3", "", 0, 0, 0},    {"2,3,4", "", 1, 1, 2},
                                 {"2,3 t", "", 0, 1, 1}, {"4,6 s", "", 1, 1, 4},  {"4,6 p", "", 1, 1, 4},
                                 {"4,6 f", "", 1, 1, 4}, {"4,6 e", "", 0, 1, 3},  {"4,6 b", "", 0, 1, 4},
                                 {"5,6 o", "", 0, 1, 4}, {"33,31", "", 1, 0, 30}, {"1,2,1,2,1,2,1,2", "", 3, 1, 2}};

static wg_axes axes_of(wg_shape digits)
{
    wg_axes axes = {.n = digits.rank};
    for (int i = 0; i < digits.rank; i++) axes.axis[i] = (int32_t)digits.size[i];
    return axes;
}

static wg_tensor view(int op, wg_tensor x, const view_case *c)
{
    switch (op) {
    case RESHAPE: return wg_reshape(x, shape_of_spec(c->to));
    case FLATTEN: return wg_flatten(x, c->a, c->b);
    case PERMUTE: return wg_permute(x, axes_of(shape_of_spec(c->to)));
    case TRANSPOSE: return wg_transpose(x, c->a, c->b);
    case T: return wg_t(x);
    case EXPAND: return wg_expand(x, shape_of_spec(c->to));
    case SQUEEZE: return wg_squeeze(x, c->a);
    case UNSQUEEZE: return wg_unsqueeze(x, c->a);
    case SLICE: return wg_slice(x, c->a, c->b, c->c);
    case SLICE_STEP: return wg_slice_step(x, c->a, c->c, wg_size(x, c->a), c->b);
    case SELECT: return wg_select(x, c->a, c->b);
    case FLIP: return wg_flip(x, c->a);
    case PAD: return wg_pad(x, c->a, c->b, c->c);
    default: return wg_pad_value(x, c->a, c->b, c->c, 1.5);
    }
}

static const view_case *case_of(int op, int i)
{
    static const view_case *const all[] = {reshapes, flattens, permutes,   transposes, transposes,
                                           expands,  squeezes, unsqueezes, slices,     steps,
                                           selects,  flips,    pads,       pads};
    return &all[op][i];
}

/* Every second sample puts the view behind an op, so that its operand is a result. */
static wg_tensor make_view(sampler *s, const op_samples *row, int i)
{
    const view_case *c = case_of(row->op, row->op == T && i == 1 ? 2 : i);
    wg_tensor x = x_in(s, c->spec);
    return view(row->op, i % 2 ? wg_tanh(x) : x, c);
}

/* ---- what they must refuse ---- */

typedef struct bad_view {
    int op;
    wg_status status;
    const char *words;
    view_case c;
} bad_view;

static const bad_view bad_views[] = {{RESHAPE, WG_ERR_SHAPE, "reshape|[2, 3]|[7]", {"2,3", "7", 0, 0, 0}},
                                     {RESHAPE, WG_ERR_SHAPE, "reshape|[2, 3]|[-1, -1]", {"2,3", "-1,-1", 0, 0, 0}},
                                     {RESHAPE, WG_ERR_SHAPE, "reshape|[2, 3]|[-1, 4]", {"2,3", "-1,4", 0, 0, 0}},
                                     {RESHAPE, WG_ERR_SHAPE, "reshape|[2, 3]", {"2,3", "-6", 0, 0, 0}},
                                     {RESHAPE, WG_ERR_SHAPE, "reshape|[]|[2]", {"", "2", 0, 0, 0}},
                                     {RESHAPE, WG_ERR_SHAPE, "reshape|[0]", {"0", "-1,0", 0, 0, 0}},
                                     {FLATTEN, WG_ERR_ARGUMENT, "flatten|[2, 3]", {"2,3", "", 0, 2, 0}},
                                     {FLATTEN, WG_ERR_ARGUMENT, "flatten|[2, 3]", {"2,3", "", -3, 1, 0}},
                                     {FLATTEN, WG_ERR_ARGUMENT, "flatten", {"2,3", "", 1, 0, 0}},
                                     {FLATTEN, WG_ERR_ARGUMENT, "flatten", {"", "", 0, 1, 0}},
                                     {FLATTEN, WG_ERR_ARGUMENT, "flatten", {"2,3,4", "", -1, 0, 0}},
                                     {PERMUTE, WG_ERR_ARGUMENT, "permute", {"2,3", "0", 0, 0, 0}},
                                     {PERMUTE, WG_ERR_ARGUMENT, "permute", {"2,3", "0,0", 0, 0, 0}},
                                     {PERMUTE, WG_ERR_ARGUMENT, "permute|[2, 3]", {"2,3", "0,2", 0, 0, 0}},
                                     {PERMUTE, WG_ERR_ARGUMENT, "permute", {"2,3", "0,1,2", 0, 0, 0}},
                                     {PERMUTE, WG_ERR_ARGUMENT, "permute", {"2,3", "1,-1", 0, 0, 0}},
                                     {TRANSPOSE, WG_ERR_ARGUMENT, "transpose|[2, 3]", {"2,3", "", 0, 2, 0}},
                                     {TRANSPOSE, WG_ERR_ARGUMENT, "transpose|[2, 3]", {"2,3", "", -3, 0, 0}},
                                     {TRANSPOSE, WG_ERR_ARGUMENT, "transpose|scalar", {"", "", 0, 0, 0}},
                                     {TRANSPOSE, WG_ERR_ARGUMENT, "transpose|[4]", {"4", "", 0, 1, 0}},
                                     {TRANSPOSE, WG_ERR_ARGUMENT, "transpose|[4]", {"4", "", 9, 0, 0}},
                                     {T, WG_ERR_SHAPE, "t", {"4", "", 0, 0, 0}},
                                     {T, WG_ERR_ARGUMENT, "t", {"", "", 0, 0, 0}},
                                     {EXPAND, WG_ERR_SHAPE, "expand|[2, 3]|[4, 3]", {"2,3", "4,3", 0, 0, 0}},
                                     {EXPAND, WG_ERR_SHAPE, "expand|[2, 3]|[3]", {"2,3", "3", 0, 0, 0}},
                                     {EXPAND, WG_ERR_SHAPE, "expand|[2, 3]", {"2,3", "2,-1", 0, 0, 0}},
                                     {EXPAND, WG_ERR_SHAPE, "expand|[2, 3]|[1, 3]", {"2,3", "1,3", 0, 0, 0}},
                                     {EXPAND, WG_ERR_SHAPE, "expand|[0]|[1]", {"0", "1", 0, 0, 0}},
                                     {SQUEEZE, WG_ERR_SHAPE, "squeeze|[2, 3]", {"2,3", "", 0, 0, 0}},
                                     {SQUEEZE, WG_ERR_ARGUMENT, "squeeze|[2, 3]", {"2,3", "", 2, 0, 0}},
                                     {SQUEEZE, WG_ERR_ARGUMENT, "squeeze|scalar", {"", "", 0, 0, 0}},
                                     {SQUEEZE, WG_ERR_SHAPE, "squeeze|[0]", {"0", "", 0, 0, 0}},
                                     {SQUEEZE, WG_ERR_ARGUMENT, "squeeze|[1]", {"1", "", -2, 0, 0}},
                                     {UNSQUEEZE, WG_ERR_ARGUMENT, "unsqueeze", {"2,3", "", 3, 0, 0}},
                                     {UNSQUEEZE, WG_ERR_ARGUMENT, "unsqueeze", {"2,3", "", -4, 0, 0}},
                                     {UNSQUEEZE, WG_ERR_ARGUMENT, "unsqueeze", {"", "", 1, 0, 0}},
                                     {UNSQUEEZE, WG_ERR_SHAPE, "unsqueeze", {"1,1,1,1,1,1,1,1", "", 0, 0, 0}},
                                     {UNSQUEEZE, WG_ERR_ARGUMENT, "unsqueeze", {"7", "", 100, 0, 0}},
                                     {SLICE, WG_ERR_ARGUMENT, "slice|size 3", {"2,3", "", 1, 1, 4}},
                                     {SLICE, WG_ERR_ARGUMENT, "slice", {"2,3", "", 1, 2, 1}},
                                     {SLICE, WG_ERR_ARGUMENT, "slice", {"2,3", "", 1, -4, 2}},
                                     {SLICE, WG_ERR_ARGUMENT, "slice|[2, 3]", {"2,3", "", 2, 0, 1}},
                                     {SLICE, WG_ERR_ARGUMENT, "slice|scalar", {"", "", 0, 0, 0}},
                                     {SLICE_STEP, WG_ERR_ARGUMENT, "slice_step|step 0", {"2,3", "", 1, 0, 0}},
                                     {SLICE_STEP, WG_ERR_ARGUMENT, "slice_step|step -1", {"2,3", "", 1, -1, 0}},
                                     {SLICE_STEP, WG_ERR_ARGUMENT, "slice_step", {"2,3", "", 1, 2, 4}},
                                     {SLICE_STEP, WG_ERR_ARGUMENT, "slice_step", {"2,3", "", 1, 2, -5}},
                                     {SLICE_STEP, WG_ERR_ARGUMENT, "slice_step|[2, 3]", {"2,3", "", 5, 2, 0}},
                                     {SELECT, WG_ERR_ARGUMENT, "select|size 3", {"2,3", "", 1, 3, 0}},
                                     {SELECT, WG_ERR_ARGUMENT, "select", {"2,3", "", 1, -4, 0}},
                                     {SELECT, WG_ERR_ARGUMENT, "select", {"0", "", 0, 0, 0}},
                                     {SELECT, WG_ERR_ARGUMENT, "select|scalar", {"", "", 0, 0, 0}},
                                     {SELECT, WG_ERR_ARGUMENT, "select|[2, 3]", {"2,3", "", 2, 0, 0}},
                                     {FLIP, WG_ERR_ARGUMENT, "flip|[2, 3]", {"2,3", "", 2, 0, 0}},
                                     {FLIP, WG_ERR_ARGUMENT, "flip|[2, 3]", {"2,3", "", -3, 0, 0}},
                                     {FLIP, WG_ERR_ARGUMENT, "flip|scalar", {"", "", 0, 0, 0}},
                                     {FLIP, WG_ERR_ARGUMENT, "flip|[0]", {"0", "", 1, 0, 0}},
                                     {FLIP, WG_ERR_ARGUMENT, "flip|[4]", {"4", "", -9, 0, 0}},
                                     {PAD, WG_ERR_ARGUMENT, "pad", {"2,3", "", 1, -1, 0}},
                                     {PAD, WG_ERR_ARGUMENT, "pad", {"2,3", "", 1, 0, -1}},
                                     {PAD, WG_ERR_ARGUMENT, "pad|[2, 3]", {"2,3", "", 2, 1, 1}},
                                     {PAD, WG_ERR_ARGUMENT, "pad|[2, 3]", {"2,3", "", -3, 1, 1}},
                                     {PAD, WG_ERR_ARGUMENT, "pad|scalar", {"", "", 0, 1, 1}},
                                     {PAD_VALUE, WG_ERR_ARGUMENT, "pad_value", {"2,3", "", 1, -1, 0}},
                                     {PAD_VALUE, WG_ERR_ARGUMENT, "pad_value", {"2,3", "", 1, 0, -1}},
                                     {PAD_VALUE, WG_ERR_ARGUMENT, "pad_value|[2, 3]", {"2,3", "", 2, 1, 1}},
                                     {PAD_VALUE, WG_ERR_ARGUMENT, "pad_value|[2, 3]", {"2,3", "", -3, 1, 1}},
                                     {PAD_VALUE, WG_ERR_ARGUMENT, "pad_value|scalar", {"", "", 0, 1, 1}}};

static wg_tensor make_bad_view(sampler *s, const op_samples *row, int i)
{
    for (int k = 0; k < COUNT(bad_views); k++) {
        const bad_view *bad = &bad_views[k];
        if (bad->op != row->op || i-- > 0) continue;
        expect(s, bad->status, bad->words);
        return view(bad->op, x_in(s, bad->c.spec), &bad->c);
    }
    return WG_NONE;
}

/* ---- joining and cutting ---- */

typedef struct join_case {
    const char *part[3];
    int axis;
} join_case;

static const join_case concats[] = {{{"2,3", "2,4", "2,1"}, 1},
                                    {{"1", "1", "1"}, 0},
                                    {{"7", "3", "0"}, 0},
                                    {{"0", "0", "0"}, 0},
                                    {{"1030", "1", "515"}, 0},
                                    {{"2,3", "1,3", "4,3"}, 0},
                                    {{"3,0", "3,2", "3,1"}, 1},
                                    {{"2,3,4", "2,1,4", "2,2,4"}, 1},
                                    {{"2,3,4", "2,3,1", "2,3,2"}, -1},
                                    {{"2,3 t", "2,3", "2,3 t"}, 0},
                                    {{"4,6 s", "4,6 p", "4,6 o"}, 1},
                                    {{"4,6 f", "4,6 e", "4,6 b"}, 0},
                                    {{"33,31", "33,1", "33,7"}, 1},
                                    {{"1,2,1,2,1,2,1,2", "1,2,1,2,1,3,1,2", "1,2,1,2,1,1,1,2"}, 5},
                                    {{"2,3", "=", "2,1"}, 1},
                                    {{"2,3", "=", "="}, 0},
                                    {{"3,0", "=", "="}, 0},
                                    {{"5", "=", "5 f"}, -1},
                                    {{"513,3 t", "513,1", "513,2"}, 1},
                                    {{"2,2,2", "2,2,2 t", "2,2,2 s"}, 0}};
static const join_case stacks[] = {{{"2,3", "2,3", "2,3"}, 0},
                                   {{"", "", ""}, 0},
                                   {{"1", "1", "1"}, 1},
                                   {{"7", "7", "7"}, -1},
                                   {{"0", "0", "0"}, 0},
                                   {{"1030", "1030", "1030"}, 0},
                                   {{"3,0", "3,0", "3,0"}, 2},
                                   {{"2,3", "2,3", "2,3"}, 1},
                                   {{"2,3", "2,3", "2,3"}, 2},
                                   {{"2,3,4", "2,3,4", "2,3,4"}, -2},
                                   {{"2,3 t", "2,3", "2,3 t"}, 0},
                                   {{"4,6 s", "4,6 p", "4,6 o"}, 1},
                                   {{"4,6 f", "4,6 e", "4,6 b"}, 2},
                                   {{"33,31", "33,31", "33,31"}, 1},
                                   {{"1,2,1,2,1,2,1", "1,2,1,2,1,2,1", "1,2,1,2,1,2,1"}, 3},
                                   {{"2,3", "=", "2,3"}, 1},
                                   {{"2,3", "=", "="}, 0},
                                   {{"", "=", "="}, 0},
                                   {{"5", "=", "5 f"}, -1},
                                   {{"3", "3", "3"}, -2}};

/* i % 4 + 1 operands at most three of which differ; sometimes many. */
static wg_tensor make_join(sampler *s, const op_samples *row, int i)
{
    const join_case *c = row->op ? &stacks[i] : &concats[i];
    wg_tensor x[130];
    int n = i == 3 ? 130 : i % 4 == 1 ? 1 : i % 4 == 2 ? 2 : 3;
    for (int k = 0; k < n; k++) {
        bool again = k >= 3 || c->part[k][0] == '=';
        x[k] = again ? x[k % 3 == 0 ? 0 : k - 1] : x_in(s, c->part[k]);
        if (!again && k == 2 && i % 2) x[k] = wg_tanh(x[k]);
    }
    return row->op ? wg_stack(x, n, c->axis) : wg_concat(x, n, c->axis);
}

static wg_tensor bad_join(sampler *s, const op_samples *row, int i)
{
    static const char *const second[] = {"2,4", "2,3,1", "3", "", "3,2"};
    bool stack = row->op;
    wg_tensor x[3] = {x_in(s, i == 8 ? "" : "2,3"),
                      x_in(s, i < 5    ? second[i]
                              : i == 8 ? ""
                                       : "2,3"),
                      x_in(s, i == 8 ? "" : "2,3")};
    wg_status status = i < 5 ? WG_ERR_SHAPE : i == 7 ? WG_ERR_DTYPE : WG_ERR_ARGUMENT;
    expect(s, status, i == 0 ? stack ? "stack|[2, 3]|[2, 4]" : "concat|[2, 3]|[2, 4]" : row->name);
    if (i == 7) x[1] = x_i32(s, "2,3", 0, 2);
    int axis = i == 5 ? 3 : i == 6 ? -4 : i == 8 ? 2 : 0;
    return stack ? wg_stack(x, i < 2 ? 2 : 3, axis) : wg_concat(x, i < 2 ? 2 : 3, axis);
}

typedef struct split_case {
    const char *spec;
    int axis, n;
    int64_t sizes[4];
} split_case;

static const split_case splits[] = {{"2,4", 1, 2, {1, 3}},
                                    {"1", 0, 1, {1}},
                                    {"6", 0, 3, {1, 2, 3}},
                                    {"1030", 0, 2, {1029, 1}},
                                    {"0", 0, 3, {0, 0, 0}},
                                    {"3,0", 0, 3, {1, 1, 1}},
                                    {"2,3", -2, 2, {2, 0}},
                                    {"2,3", 1, 1, {3}},
                                    {"2,3,4", 1, 3, {0, 3, 0}},
                                    {"2,3,4", 2, 4, {1, 1, 1, 1}},
                                    {"4,2 t", 0, 2, {1, 3}},
                                    {"4,6 s", 1, 3, {1, 4, 1}},
                                    {"4,6 p", 1, 2, {5, 1}},
                                    {"4,6 f", 1, 3, {3, 2, 1}},
                                    {"4,6 e", 0, 2, {1, 3}},
                                    {"4,6 b", 0, 4, {1, 1, 2, 0}},
                                    {"4,6 o", 0, 2, {3, 1}},
                                    {"32,31", 0, 4, {16, 8, 4, 4}},
                                    {"1,2,1,2,1,2,1,2", 3, 2, {1, 1}},
                                    {"8", -1, 4, {2, 2, 2, 2}}};

/* All parts but the second last, joined backwards with factors: a part that nobody uses has gradient zero. */
static wg_tensor make_split(sampler *s, const op_samples *row, int i)
{
    const split_case *c = &splits[i];
    wg_tensor x = x_in(s, c->spec), parts[4], used[4];
    if (i % 3 == 1) x = wg_tanh(x);
    if (row->op)
        wg_split_sizes(x, c->axis, c->n, c->sizes, parts);
    else
        wg_split(x, c->axis, c->n, parts);
    int n = 0;
    for (int k = c->n - 1; k >= 0; k--)
        if (c->n < 3 || k != c->n - 2) used[n++] = wg_scale(parts[k], k + 1);
    return wg_concat(used, n, c->axis);
}

static wg_tensor bad_split(sampler *s, const op_samples *row, int i)
{
    static const int64_t sizes[][2] = {{1, 1}, {4, -1}, {2, 2}, {1, 2}, {1, 2}, {3, 0}};
    static const int n[] = {2, 4, -1, 0, 2, 3};
    wg_tensor x = x_in(s, i == 4 ? "" : "2,3"), parts[4] = {WG_NONE};
    int axis = i == 3 ? 2 : i == 4 ? 0 : 1;
    expect(s, WG_ERR_ARGUMENT, row->name);
    if (row->op)
        wg_split_sizes(x, axis, i == 5 ? 0 : 2, sizes[i], parts);
    else
        wg_split(x, i == 5 ? 0 : axis, n[i], parts);
    return parts[0];
}

static wg_tensor bad_dilate(sampler *s, const op_samples *row, int i)
{
    static const int64_t sizes[] = {-1, INT64_MAX, INT64_MIN, INT64_C(1) << 62};
    wg__dilate_attr attr = {.axis = i % 2, .step = 2, .size = sizes[i]};
    wg_tensor x = x_in(s, "2,3");
    expect(s, WG_ERR_SHAPE, "dilate|[2, 3]");
    return wg_record(&wg__dilate_op, &x, 1, &attr, sizeof attr);
}

/* x with zeros between its elements: the gradient of a slice with a step. */
static wg_tensor make_dilate(sampler *s, const op_samples *row, int i)
{
    const view_case *c = &steps[i];
    int64_t start = i % 3;
    wg_tensor x = x_in(s, c->spec);
    int axis = c->a < 0 ? wg_rank(x) + c->a : c->a;
    wg__dilate_attr attr = {
        .axis = axis, .start = start, .step = c->b, .size = start + wg_size(x, axis) * c->b + i % 2};
    return wg_record(&wg__dilate_op, &x, 1, &attr, sizeof attr);
}

#define VIEW(text, number, samples, bads)                                                                          \
    {                                                                                                              \
        .name = text, .op = number, .flags = SAMPLE_SMOOTH, .n = samples, .make = make_view, .n_bad = bads,        \
        .bad = make_bad_view                                                                                       \
    }

const op_samples samples_view[] = {VIEW("reshape", RESHAPE, COUNT(reshapes), 6),
                                   VIEW("flatten", FLATTEN, COUNT(flattens), 5),
                                   VIEW("permute", PERMUTE, COUNT(permutes), 5),
                                   VIEW("transpose", TRANSPOSE, COUNT(transposes), 5),
                                   VIEW("t", T, COUNT(transposes), 2),
                                   VIEW("expand", EXPAND, COUNT(expands), 5),
                                   VIEW("squeeze", SQUEEZE, COUNT(squeezes), 5),
                                   VIEW("unsqueeze", UNSQUEEZE, COUNT(unsqueezes), 5),
                                   VIEW("slice", SLICE, COUNT(slices), 5),
                                   VIEW("slice_step", SLICE_STEP, COUNT(steps), 5),
                                   VIEW("select", SELECT, COUNT(selects), 5),
                                   VIEW("flip", FLIP, COUNT(flips), 5),
                                   VIEW("pad", PAD, COUNT(pads), 5),
                                   VIEW("pad_value", PAD_VALUE, COUNT(pads), 5),
                                   {.name = "concat",
                                    .op = 0,
                                    .flags = SAMPLE_SMOOTH,
                                    .n = COUNT(concats),
                                    .make = make_join,
                                    .n_bad = 9,
                                    .bad = bad_join},
                                   {.name = "stack",
                                    .op = 1,
                                    .flags = SAMPLE_SMOOTH,
                                    .n = COUNT(stacks),
                                    .make = make_join,
                                    .n_bad = 9,
                                    .bad = bad_join},
                                   {.name = "split",
                                    .op = 0,
                                    .flags = SAMPLE_SMOOTH,
                                    .n = COUNT(splits),
                                    .make = make_split,
                                    .n_bad = 6,
                                    .bad = bad_split},
                                   {.name = "split_sizes",
                                    .op = 1,
                                    .flags = SAMPLE_SMOOTH,
                                    .n = COUNT(splits),
                                    .make = make_split,
                                    .n_bad = 6,
                                    .bad = bad_split},
                                   {.name = "dilate",
                                    .flags = SAMPLE_SMOOTH,
                                    .n = COUNT(steps),
                                    .make = make_dilate,
                                    .n_bad = 4,
                                    .bad = bad_dilate},
                                   {0}};
