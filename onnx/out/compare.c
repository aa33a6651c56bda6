/* What the outputs depend on, from the last node to the first, and whether a second recording at another batch size is
 * the same program: then each size that differs is a multiple of the batch size. */
#include "writer.h"

#include <string.h>

/* ---- two recordings ---- */

/* The batch sizes: those in which the first inputs differ. */
static bool find_batch(wg__out *o)
{
    for (int i = 0; i < o->n_in; i++) {
        const wg_shape a = wg_shape_get(o->inputs[i].tensor), b = wg_shape_get(o->inputs[i].another);
        for (int axis = 0; axis < a.rank && a.rank == b.rank; axis++) {
            if (a.size[axis] == b.size[axis]) continue;
            if (!o->batch) o->batch = a.size[axis], o->other_batch = b.size[axis];
            if (o->batch == a.size[axis] && o->other_batch == b.size[axis]) continue;
            wg__out_fail(o, WG_ERR_SHAPE,
                         "input '%.80s': axis %d has %lld and %lld elements, the batch %lld and %lld",
                         o->inputs[i].name, axis, (long long)a.size[axis], (long long)b.size[axis],
                         (long long)o->batch, (long long)o->other_batch);
            return false;
        }
    }
    if (o->batch > 0 && o->other_batch > 0) return true;
    wg__out_fail(o, WG_ERR_SHAPE, "no input has another, positive batch size in the second recording");
    return false;
}

static bool same_dtype(wg__out *o)
{
    if (o->at.dtype == o->twin.dtype) return true;
    wg__out_fail(o, WG_ERR_SHAPE, "%s, and in the second recording %s", wg_dtype_name(o->at.dtype),
                 wg_dtype_name(o->twin.dtype));
    return false;
}

static bool same_sizes(wg__out *o)
{
    const wg_shape *a = &o->at.shape, *b = &o->twin.shape;
    bool same = a->rank == b->rank;
    for (int i = 0; same && i < a->rank; i++) {
        const int64_t times = a->size[i] / o->batch;
        same = a->size[i] == b->size[i] || (a->size[i] == times * o->batch && b->size[i] == times * o->other_batch);
    }
    char text_a[128], text_b[128];
    if (!same)
        wg__out_fail(o, WG_ERR_SHAPE,
                     "%s, and in the second recording %s: sizes that differ must be multiples of the batch size",
                     wg_shape_text(a, text_a, sizeof text_a), wg_shape_text(b, text_b, sizeof text_b));
    return same;
}

static bool same_leaf(wg__out *o)
{
    size_t bytes = 0;
    wg_shape_bytes(&o->at.shape, o->at.dtype, &bytes);
    bool same = o->at.param == o->twin.param;
    if (!o->at.param && !o->marks[o->number].name)
        same = same && o->at.data && o->twin.data && wg_shape_equal(&o->at.shape, &o->twin.shape) &&
               memcmp(o->at.data, o->twin.data, bytes) == 0;
    if (!same)
        wg__out_fail(o, WG_ERR_SHAPE,
                     "data that is no input, and differs in the second recording: name it as an "
                     "input, or make it by an op (wg_zeros, wg_full)");
    return same;
}

static bool same_node(wg__out *o)
{
    if (o->at.op != o->twin.op || o->at.n_in != o->twin.n_in) {
        wg__out_fail(o, WG_ERR_SHAPE,
                     "the second recording has %s here: its program must not depend on the batch size",
                     o->twin.op ? o->twin.op->name : "data");
        return false;
    }
    if (!same_dtype(o) || (!o->at.op && !same_leaf(o)) || !same_sizes(o)) return false;
    if (!o->at.attr || o->row->sizes || memcmp(o->at.attr, o->twin.attr, o->at.attr_size) == 0) return true;
    wg__out_fail(o, WG_ERR_SHAPE, "its attributes depend on the batch size");
    return false;
}

/* ---- marks ---- */

/* Needs the node `number`, which is `another` in the second recording. Inputs are needed in any case. */
static void need(wg__out *o, uint32_t number, uint32_t another)
{
    wg__mark *mark = &o->marks[number];
    if (mark->needed && mark->another != another)
        wg__out_fail(o, WG_ERR_SHAPE, "an operand is one tensor, but two in the second recording");
    mark->needed = true;
    mark->another = another;
}

static bool has_row(wg__out *o)
{
    o->row = o->at.op ? wg__row_of(o->at.op) : NULL;
    if (o->at.op && !o->row)
        wg__out_fail(o, WG_ERR_FORMAT, "has no form in ONNX; %s", wg__row_instead(o->at.op));
    else if (!o->at.op && !o->at.data && !o->marks[o->number].name)
        wg__out_fail(o, WG_ERR_STALE, "a run has overwritten its value: record the program again");
    return !wg__out_failed(o);
}

static void need_tensor(wg__out *o, const wg_onnx_named *named)
{
    need(o, wg__walk_number(named->tensor), o->other ? wg__walk_number(named->another) : 0);
}

static void need_operands(wg__out *o)
{
    wg__walked pool, twin;
    if (wg__pooled(o->tape, &o->at, &pool)) {
        if (o->other && (!wg__pooled(o->other, &o->twin, &twin) || memcmp(pool.attr, twin.attr, pool.attr_size)))
            wg__out_fail(o, WG_ERR_SHAPE, "the second recording pools in another way");
        else
            need(o, pool.in[0], o->other ? twin.in[0] : 0);
        return;
    }
    for (int k = 0; k < o->at.n_in && !wg__out_failed(o); k++) {
        if (o->other && !o->at.in[k] != !o->twin.in[k])
            wg__out_fail(o, WG_ERR_SHAPE, "operand %d is omitted in one recording", k);
        else if (o->at.in[k])
            need(o, o->at.in[k], o->other ? o->twin.in[k] : 0);
    }
}

void wg__out_compare(wg__out *o)
{
    if (o->other && !find_batch(o)) return;
    for (int i = 0; i < o->n_in; i++) need_tensor(o, &o->inputs[i]);
    for (int i = 0; i < o->n_out; i++) need_tensor(o, &o->outputs[i]);
    for (o->number = o->n - 1; o->number > 0 && !wg__out_failed(o); o->number--) {
        const wg__mark *mark = &o->marks[o->number];
        if (!mark->needed) continue;
        o->at = o->twin = wg__walk_at(o->tape, o->number);
        if (o->other) o->twin = wg__walk_at(o->other, mark->another);
        if (has_row(o) && (!o->other || same_node(o))) need_operands(o);
    }
}
