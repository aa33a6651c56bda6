/* Gradients of slices: pads that do not overlap become one concatenation. */
#include "sweep.h"

#include <stdlib.h>

typedef struct piece { /* the content of a pad node */
    int64_t axis, start, stop;
    uint32_t node; /* occupies [start, stop) */
} piece;

static int piece_order(const void *a, const void *b)
{
    const piece *x = a, *y = b;
    if (x->axis != y->axis) return x->axis < y->axis ? -1 : 1;
    if (x->start != y->start) return x->start < y->start ? -1 : 1;
    if (x->stop != y->stop) return x->stop < y->stop ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

/* Joins pieces of one axis, sorted and disjoint, into one tensor of the whole shape. */
static wg_tensor join(wg_tape *tape, const piece *pieces, uint32_t n, const wg_shape *whole, wg_dtype dtype)
{
    int64_t axis = pieces[0].axis, at = 0;
    wg_tensor *parts = wg__heap_alloc(&tape->heap, (2 * (size_t)n + 1) * sizeof *parts);
    if (!parts) return wg__out_of_memory(tape), WG_NONE;
    int count = 0;
    for (uint32_t i = 0; i <= n; i++) {
        int64_t start = i < n ? pieces[i].start : whole->size[axis];
        assert(start >= at); /* sorted and disjoint */
        if (start > at) {
            wg_shape gap = *whole;
            gap.size[axis] = start - at;
            parts[count++] = wg__record_fill(tape, &gap, dtype, 0);
        }
        if (i == n) break;
        parts[count++] = wg__handle(tape, pieces[i].node);
        at = pieces[i].stop;
    }
    wg__concat_attr attr = {.axis = axis};
    wg_tensor result =
        count == 1 ? parts[0] : wg_record_on(tape, tape->structural->concat, parts, count, &attr, sizeof attr);
    wg__heap_release(&tape->heap, parts, (2 * (size_t)n + 1) * sizeof *parts);
    return result;
}

/* Adds pieces with equal ranges. Returns the number of pieces that remain. */
static uint32_t add_equal(wg_tape *tape, piece *pieces, uint32_t n)
{
    uint32_t kept = 0;
    for (uint32_t i = 1; i < n; i++) {
        piece *last = &pieces[kept];
        if (pieces[i].axis == last->axis && pieces[i].start == last->start && pieces[i].stop == last->stop)
            last->node = wg__record_add(tape, wg__handle(tape, last->node), wg__handle(tape, pieces[i].node)).node;
        else
            pieces[++kept] = pieces[i];
    }
    return kept + 1;
}

/* Joins the sorted pieces in layers of disjoint pieces and adds the layers. Windows that overlap by half give two
 * layers. */
static wg_tensor join_layers(wg_tape *tape, piece *pieces, uint32_t n, const wg_shape *whole, wg_dtype dtype)
{
    wg_tensor total = wg__nil(tape);
    piece *layer = wg__heap_alloc(&tape->heap, n * sizeof *layer);
    if (!layer) return wg__out_of_memory(tape), total;
    uint32_t left = n;
    while (left > 0 && !wg__failed(tape)) {
        uint32_t taken = 0, rest = 0;
        for (uint32_t i = 0; i < left; i++) {
            bool fits = taken == 0 || (pieces[i].axis == layer[0].axis && pieces[i].start >= layer[taken - 1].stop);
            if (fits)
                layer[taken++] = pieces[i];
            else
                pieces[rest++] = pieces[i];
        }
        assert(taken > 0 && taken + rest == left);
        left = rest;
        total = wg__record_add(tape, total, join(tape, layer, taken, whole, dtype));
    }
    wg__heap_release(&tape->heap, layer, n * sizeof *layer);
    return total;
}

wg_tensor wg__sum_pads(wg_tape *tape, const uint32_t *pads, uint32_t n)
{
    if (n == 0) return wg__nil(tape);
    if (n == 1) return wg__handle(tape, pads[0]);
    piece *pieces = wg__heap_alloc(&tape->heap, n * sizeof *pieces);
    if (!pieces) return wg__out_of_memory(tape), wg__nil(tape);
    const wg_shape whole = *wg__shape_of_node(tape, &tape->nodes[pads[0]]);
    const wg_dtype dtype = (wg_dtype)tape->nodes[pads[0]].dtype;
    for (uint32_t i = 0; i < n; i++) {
        const wg__node *pad = &tape->nodes[pads[i]];
        const wg__pad_attr *attr = wg__attr_of(tape, pad);
        assert(attr && wg__op_is(tape, pad, tape->structural->pad) && pad->shape == tape->nodes[pads[0]].shape);
        uint32_t inner = wg__inputs(tape, pad)[0];
        int64_t extent = wg__shape_of_node(tape, &tape->nodes[inner])->size[attr->axis];
        assert(attr->start >= 0 && attr->start + extent <= attr->size);
        pieces[i] = (piece){attr->axis, attr->start, attr->start + extent, inner};
    }
    qsort(pieces, n, sizeof *pieces, piece_order);
    wg_tensor sum = join_layers(tape, pieces, add_equal(tape, pieces, n), &whole, dtype);
    wg__heap_release(&tape->heap, pieces, n * sizeof *pieces);
    return sum;
}
