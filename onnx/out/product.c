/* Products: MatMul, Conv, ConvTranspose, and attention as products and a softmax. */
#include "writer.h"

#include <math.h>

#include "../../ops/kernels/attention/attention.h"
#include "../../ops/kernels/conv/conv.h"

static const char *matmul(wg__out *o) { return wg__out_node2(o, "MatMul", wg__in_name(o, 0), wg__in_name(o, 1)); }

/* ---- convolutions ---- */

/* Attributes of both: pads of all axes before, then of all axes after. */
static void with_window(wg__out *o, const wg__conv_attr *attr)
{
    int64_t pads[2 * WG__CONV_AXES];
    const int axes = o->at.shape.rank - 2;
    for (int i = 0; i < axes; i++) pads[i] = attr->before[i], pads[axes + i] = attr->after[i];
    wg__with_ints(o, "strides", attr->stride, axes);
    wg__with_ints(o, "dilations", attr->dilation, axes);
    wg__with_ints(o, "pads", pads, 2 * axes);
    wg__with_int(o, "group", attr->groups);
}

static const char *conv(wg__out *o)
{
    with_window(o, o->at.attr);
    return wg__out_node2(o, "Conv", wg__in_name(o, 0), wg__in_name(o, 1));
}

/* conv_input(grad, weight): output_padding is what the stride leaves over. */
static const char *conv_transpose(wg__out *o)
{
    const wg__conv_attr *attr = o->at.attr;
    int64_t extra[WG__CONV_AXES];
    const int axes = o->at.shape.rank - 2;
    for (int i = 0; i < axes; i++) {
        const int64_t size = wg__fixed_size(o, o->at.in[0], 2 + i), taps = wg__fixed_size(o, o->at.in[1], 2 + i);
        const int64_t whole = (size - 1) * attr->stride[i] + (taps - 1) * attr->dilation[i] + 1;
        extra[i] = o->at.shape.size[2 + i] - (whole - attr->before[i] - attr->after[i]);
    }
    with_window(o, attr);
    wg__with_ints(o, "output_padding", extra, axes);
    return wg__out_node2(o, "ConvTranspose", wg__in_name(o, 0), wg__in_name(o, 1));
}

/* ---- attention ---- */

/* The last two axes of k exchanged. */
static const char *transposed(wg__out *o, const char *k, int rank)
{
    int64_t order[WG_MAX_RANK];
    for (int i = 0; i < rank; i++) order[i] = i;
    order[rank - 2] = rank - 1;
    order[rank - 1] = rank - 2;
    wg__with_ints(o, "perm", order, rank);
    return wg__out_node1(o, "Transpose", k);
}

static bool is_seen(const wg__band *b, int64_t query, int64_t key)
{
    const int64_t back = query - key;
    return (!b->causal || back >= 0) && (b->window < 0 || (back <= b->window && (b->causal || -back <= b->window)));
}

/* bool [queries, keys], as a constant, which layers of equal sizes share. "": a query sees all. */
static const char *band(wg__out *o, const wg__attention_attr *attr, int time)
{
    if (!attr->causal && attr->window < 0) return "";
    const wg__band *last = &o->band;
    wg__band b = {wg__fixed_size(o, o->at.in[0], time), wg__fixed_size(o, o->at.in[1], time), attr->window,
                  attr->causal};
    if (last->name && b.queries == last->queries && b.keys == last->keys && b.window == last->window &&
        b.causal == last->causal)
        return last->name;
    const wg_shape shape = WG_DIMS(b.queries, b.keys);
    bool *seen = wg__out_room(o, b.queries * b.keys, sizeof *seen);
    if (!seen) return "";
    for (int64_t i = 0; i < b.queries; i++)
        for (int64_t j = 0; j < b.keys; j++) seen[i * b.keys + j] = is_seen(&b, i, j);
    b.name = wg__constant_of(o, WG_BOOL, &shape, seen);
    o->band = b;
    return b.name;
}

/* A row that sees nothing is 0, where a softmax of -inf alone is NaN. */
static const char *masked_softmax(wg__out *o, const char *x, const char *mask)
{
    const wg_dtype dtype = o->at.dtype;
    if (*mask) x = wg__out_node3(o, "Where", mask, x, wg__number(o, dtype, -INFINITY));
    wg__with_int(o, "axis", -1);
    const char *y = wg__out_node1(o, "Softmax", x);
    return *mask ? wg__out_node3(o, "Where", mask, y, wg__number(o, dtype, 0)) : y;
}

static const char *attention(wg__out *o)
{
    const wg__attention_attr *attr = o->at.attr;
    const int rank = o->at.shape.rank;
    const char *dots = wg__out_node2(o, "MatMul", wg__in_name(o, 0), transposed(o, wg__in_name(o, 1), rank));
    const char *scores = wg__out_node2(o, "Mul", dots, wg__number(o, o->at.dtype, attr->scale)); /* as the kernel */
    const char *seen = band(o, attr, rank - 2), *mask = wg__in_name(o, 3);
    if (*seen && *mask) mask = wg__out_node2(o, "And", seen, mask);
    return wg__out_node2(o, "MatMul", masked_softmax(o, scores, *mask ? mask : seen), wg__in_name(o, 2));
}

static const char *softmax_of_mask(wg__out *o) { return masked_softmax(o, wg__in_name(o, 0), wg__in_name(o, 1)); }

/* a b^T, and 0 where it is masked. */
static const char *masked_dots(wg__out *o)
{
    const char *k = transposed(o, wg__in_name(o, 1), wg__in_node(o, 1).shape.rank);
    const char *dots = wg__out_node2(o, "MatMul", wg__in_name(o, 0), k);
    return *wg__in_name(o, 2) ? wg__out_node3(o, "Where", wg__in_name(o, 2), dots, wg__number(o, o->at.dtype, 0))
                              : dots;
}

/* a b, where a counts as 0 where it is masked; or its transpose. */
static const char *masked_product(wg__out *o)
{
    const wg__masked_attr *attr = o->at.attr;
    const char *a = wg__in_name(o, 0), *mask = wg__in_name(o, 2);
    if (*mask) a = wg__out_node3(o, "Where", mask, a, wg__number(o, o->at.dtype, 0));
    const char *product = wg__out_node2(o, "MatMul", a, wg__in_name(o, 1));
    return attr->transposed ? transposed(o, product, o->at.shape.rank) : product;
}

const wg__row wg__out_product[] = {
    {"attention", NULL, attention},
    {"conv", "Conv", conv},
    {"conv_input", "ConvTranspose", conv_transpose},
    {"masked_dots", NULL, masked_dots},
    {"masked_product", NULL, masked_product},
    {"masked_softmax", NULL, softmax_of_mask},
    {"matmul", "MatMul", matmul},
    {NULL},
};
