/* Views, and what copies elements without computing: Reshape, Transpose, Expand, Slice, Concat, Pad. */
#include "writer.h"

#include "../../autograd/tape/exec.h"
#include "../../ops/kernels/conv/conv.h"
#include "../../ops/kernels/move/move.h"

static const char *reshape(wg__out *o) { return wg__reshaped(o, wg__in_name(o, 0), &o->at.shape, &o->twin.shape); }

static const char *permute(wg__out *o)
{
    const wg__permute_attr *attr = o->at.attr;
    wg__with_ints(o, "perm", attr->axis, o->at.shape.rank);
    return wg__out_node1(o, "Transpose", wg__in_name(o, 0));
}

static const char *expand(wg__out *o)
{
    return wg__out_node2(o, "Expand", wg__in_name(o, 0), wg__sizes(o, &o->at.shape, &o->twin.shape));
}

static const char *copy(wg__out *o) { return wg__out_node1(o, "Identity", wg__in_name(o, 0)); }

/* x[start:stop:step] along an axis. */
static const char *sliced(wg__out *o, const char *x, int64_t start, int64_t stop, int64_t axis, int64_t step)
{
    const char *in[] = {x, wg__integers(o, &start, 1), wg__integers(o, &stop, 1), wg__integers(o, &axis, 1),
                        wg__integers(o, &step, 1)};
    return wg__out_node(o, "Slice", in, step == 1 ? 4 : 5);
}

/* Along the batch only a slice to the end is one of every batch size; there `stop` is what the batch has. */
static const char *slice(wg__out *o)
{
    const wg__slice_attr *a = o->at.attr, *b = o->twin.attr;
    const wg_shape x = wg__in_node(o, 0).shape, other = wg__other_shape(o, o->at.in[0]);
    int64_t stop = a->stop;
    if (a->axis != b->axis || a->start != b->start || a->step != b->step)
        wg__out_fail(o, WG_ERR_SHAPE, "the part depends on the batch size");
    else if (a->stop != b->stop && a->stop == x.size[a->axis] && b->stop == other.size[b->axis])
        stop = INT64_MAX;
    else if (a->stop != b->stop)
        wg__out_fail(o, WG_ERR_SHAPE, "the part ends where the batch size says");
    return sliced(o, wg__in_name(o, 0), a->start, stop, a->axis, a->step);
}

static const char *flip(wg__out *o)
{
    return sliced(o, wg__in_name(o, 0), -1, INT64_MIN + 1, ((const wg__axis_attr *)o->at.attr)->axis, -1);
}

static const char *concat(wg__out *o)
{
    const int n = o->at.n_in;
    const char **in = wg__out_room(o, n, sizeof *in);
    if (!in) return "";
    for (int k = 0; k < n; k++) in[k] = wg__in_name(o, k);
    wg__with_int(o, "axis", ((const wg__concat_attr *)o->at.attr)->axis);
    return wg__out_node(o, "Concat", in, n);
}

/* x with zeros before and after, by axis. */
static const char *padded(wg__out *o, const int64_t *before, const int64_t *after)
{
    int64_t pads[2 * WG_MAX_RANK];
    const int rank = o->at.shape.rank;
    for (int i = 0; i < rank; i++) pads[i] = before[i], pads[rank + i] = after[i];
    return wg__out_node2(o, "Pad", wg__in_name(o, 0), wg__integers(o, pads, 2 * rank));
}

static const char *pad(wg__out *o)
{
    const wg__pad_attr *attr = o->at.attr;
    int64_t before[WG_MAX_RANK] = {0}, after[WG_MAX_RANK] = {0};
    before[attr->axis] = attr->start;
    after[attr->axis] = attr->size - attr->start - wg__fixed_size(o, o->at.in[0], (int)attr->axis);
    return padded(o, before, after);
}

static const char *pad_image(wg__out *o)
{
    const wg__pad_image_attr *attr = o->at.attr;
    int64_t before[WG_MAX_RANK] = {0}, after[WG_MAX_RANK] = {0};
    const int rank = o->at.shape.rank;
    for (int i = 0, axis = rank - (int)attr->axes; axis < rank; i++, axis++) {
        before[axis] = attr->before[i];
        after[axis] = attr->size[i] - attr->before[i] - wg__fixed_size(o, o->at.in[0], axis);
    }
    return padded(o, before, after);
}

const wg__row wg__out_view[] = {
    {"concat", "Concat", concat},
    {"copy", "Identity", copy},
    {"expand", "Expand", expand, .sizes = true},
    {"flip", "Slice", flip},
    {"pad", "Pad", pad},
    {"pad_image", "Pad", pad_image},
    {"permute", "Transpose", permute},
    {"reshape", "Reshape", reshape, .sizes = true},
    {"slice", "Slice", slice, .sizes = true},
    {NULL},
};
