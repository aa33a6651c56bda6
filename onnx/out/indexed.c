/* Order, search, and writing by index. */
#include "writer.h"

#include "../../ops/kernels/move/move.h"
#include "../../ops/kernels/reduce/reduce.h"

/* ---- order ---- */

/* The first indices in order are the second result of TopK, which takes the lower one of equal numbers, too. */
static const char *argsort(wg__out *o)
{
    const wg__scan_attr *attr = o->at.attr;
    const char *in[] = {wg__in_name(o, 0), wg__integers(o, &attr->count, 1)};
    wg__with_int(o, "axis", attr->axis);
    wg__with_int(o, "largest", attr->reverse);
    return wg__cast_to(o, wg__out_second(o, "TopK", in, 2), WG_I32);
}

/* Whether x is not above y in the order of sort, where NaN is the largest number. */
static const char *not_above(wg__out *o, const char *x, const char *y)
{
    return wg__out_node2(o, "Or", wg__out_node2(o, "LessOrEqual", x, y), wg__out_node1(o, "IsNaN", y));
}

/* How many of the sorted numbers are below (right: not above) each value. */
static const char *searchsorted(wg__out *o)
{
    const wg__search_attr *attr = o->at.attr;
    const int64_t last = -1, before = -2;
    const char *sorted = wg__in_name(o, 0);
    if (wg__in_node(o, 0).shape.rank > 1)
        sorted = wg__out_node2(o, "Unsqueeze", sorted, wg__integers(o, &before, 1));
    const char *value = wg__out_node2(o, "Unsqueeze", wg__in_name(o, 1), wg__integers(o, &last, 1));
    const char *below =
        attr->right ? not_above(o, sorted, value) : wg__out_node1(o, "Not", not_above(o, value, sorted));
    const char *axes = wg__integers(o, &last, 1), *counted = wg__cast_to(o, below, WG_I32);
    wg__with_int(o, "keepdims", 0);
    return wg__out_node2(o, "ReduceSum", counted, axes);
}

/* ---- writing by index ---- */

/* The place of the last element that goes to each place, -1 if none does: the largest one. */
static const char *scatter_arg(wg__out *o)
{
    const wg__scatter_arg_attr *attr = o->at.attr;
    const wg_shape from = wg__in_node(o, 0).shape, other = wg__other_shape(o, o->at.in[0]);
    const int64_t n = wg__fixed_size(o, o->at.in[0], (int)attr->axis);
    wg_shape line = {.rank = from.rank - (int)attr->axis, .size = {n}};
    for (int i = 1; i < line.rank; i++) line.size[i] = 1;
    if (attr->mode != WG__ARG_LAST)
        wg__out_fail(o, WG_ERR_FORMAT, "a maximum or minimum by index has no form in ONNX");
    const char *none =
        wg__out_node2(o, "Expand", wg__number(o, WG_I32, -1), wg__sizes(o, &o->at.shape, &o->twin.shape));
    const char *places = wg__reshaped(o, wg__numbers_to(o, n), &line, &line);
    places = wg__out_node2(o, "Expand", places, wg__sizes(o, &from, &other));
    wg__with_int(o, "axis", attr->axis);
    wg__with_text(o, "reduction", "max");
    return wg__out_node3(o, "ScatterElements", none, wg__in_name(o, 0), places);
}

/* x with the axes from `from` to before `to` moved to the front; or, back, from there. */
static const char *fronted(wg__out *o, const char *x, int rank, int from, int to, bool back)
{
    int64_t order[WG_MAX_RANK], inverse[WG_MAX_RANK];
    int n = 0;
    if (from == 0) return x;
    for (int i = from; i < to; i++) order[n++] = i;
    for (int i = 0; i < from; i++) order[n++] = i;
    for (int i = to; i < rank; i++) order[n++] = i;
    for (int i = 0; i < rank; i++) inverse[order[i]] = i;
    wg__with_ints(o, "perm", back ? inverse : order, rank);
    return wg__out_node1(o, "Transpose", x);
}

/* Operands index, rows, base or none: zeros. */
static const char *index_add(wg__out *o)
{
    const wg__index_add_attr *attr = o->at.attr, *twin = o->twin.attr;
    const int axis = (int)attr->axis, rank = o->at.shape.rank, axes = wg__in_node(o, 0).shape.rank;
    const int64_t last = -1;
    const char *base = wg__in_name(o, 2);
    if (attr->axis != twin->axis) wg__out_fail(o, WG_ERR_SHAPE, "its attributes depend on the batch size");
    if (!*base)
        base =
            wg__out_node2(o, "Expand", wg__number(o, o->at.dtype, 0), wg__sizes(o, &o->at.shape, &o->twin.shape));
    const char *into = fronted(o, base, rank, axis, axis + 1, false);
    const char *places = wg__out_node2(o, "Unsqueeze", wg__in_name(o, 0), wg__integers(o, &last, 1));
    wg__with_int(o, "to", WG__INT64);
    places = wg__out_node1(o, "Cast", places);
    const char *rows = fronted(o, wg__in_name(o, 1), rank - 1 + axes, axis, axis + axes, false);
    wg__with_text(o, "reduction", "add");
    return fronted(o, wg__out_node3(o, "ScatterND", into, places, rows), rank, axis, axis + 1, true);
}

/* ---- update_slice ---- */

/* i32 limited to 0 .. most. */
static const char *limited(wg__out *o, const char *x, int64_t most)
{
    const char *low = wg__out_node2(o, "Max", x, wg__number(o, WG_I32, 0));
    return wg__out_node2(o, "Min", low, wg__number(o, WG_I32, (double)most));
}

/* Operands start, slice, base: where(0 <= i - start < n, slice[i - start], base) at place i of the axis. */
static const char *update_slice(wg__out *o)
{
    const int axis = (int)((const wg__axis_attr *)o->at.attr)->axis;
    const wg_shape one = WG_DIMS(1);
    const int64_t n = wg__fixed_size(o, o->at.in[1], axis), size = wg__fixed_size(o, o->number, axis);
    wg_shape line = {.rank = o->at.shape.rank - axis, .size = {size}};
    for (int i = 1; i < line.rank; i++) line.size[i] = 1;
    if (n == 0) return wg__out_node1(o, "Identity", wg__in_name(o, 2));
    const char *start = limited(o, wg__reshaped(o, wg__in_name(o, 0), &one, &one), size - n);
    const char *offset = wg__out_node2(o, "Sub", wg__numbers_to(o, size), start);
    const char *behind = wg__out_node2(o, "GreaterOrEqual", offset, wg__number(o, WG_I32, 0));
    const char *before = wg__out_node2(o, "Less", offset, wg__number(o, WG_I32, (double)n));
    const char *inside = wg__reshaped(o, wg__out_node2(o, "And", behind, before), &line, &line);
    const char *place = limited(o, offset, n - 1);
    wg__with_int(o, "axis", axis);
    const char *moved = wg__out_node2(o, "Gather", wg__in_name(o, 1), place);
    return wg__out_where(o, inside, moved, wg__in_name(o, 2));
}

const wg__row wg__out_indexed[] = {
    {"argsort", "TopK", argsort},
    {"index_add", "ScatterND", index_add, .sizes = true},
    {"scatter_arg", "ScatterElements", scatter_arg},
    {"searchsorted", NULL, searchsorted},
    {"update_slice", NULL, update_slice},
    {NULL},
};
