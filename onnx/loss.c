/* Losses of training graphs: of logits or log-probabilities [N, C, ...] and labels [N, ...]. */
#include <string.h>

#include "internal.h"

/* -weight[label] p[label], and the weights; 0 where the label is to be ignored. */
static wg_tensor losses(wg__call *c, wg_tensor p, wg_tensor *weights)
{
    wg_tensor label = wg__tensor(c, 1), counted = WG_NONE;
    if (wg__attribute_has(c->node, "ignore_index")) {
        const double ignored = (double)wg__attribute_int(c->node, "ignore_index", 0);
        const wg_tensor zero = wg_scalar(c->tape, WG_I32, 0);
        counted = wg_not_equal(label, wg_scalar(c->tape, WG_I32, ignored));
        label = wg_where(counted, label, zero);
    }
    const wg_tensor picked = wg_neg(wg_squeeze(wg_gather(p, 1, wg_unsqueeze(label, 1)), 1));
    wg_tensor w;
    if (wg__has(c, 2)) {
        const wg_tensor flat = wg_reshape(label, WG_DIMS(wg_numel(label)));
        w = wg_reshape(wg_index_select(wg__tensor(c, 2), 0, flat), wg_shape_get(label));
    } else
        w = wg_ones_like(wg_detach(picked));
    *weights = counted.tape ? wg_where(counted, w, wg__scalar_like(c, w, 0)) : w;
    const wg_tensor y = wg_mul(picked, *weights);
    return counted.tape ? wg_where(counted, y, wg__scalar_like(c, y, 0)) : y; /* -inf 0 is NaN */
}

enum { OF_LOG_PROBABILITIES, OF_LOGITS };

static void record_loss(wg__call *c)
{
    const bool softmax = c->node->row->kind == OF_LOGITS;
    const wg_tensor x = wg__tensor(c, 0);
    if (wg_rank(x) < 2) {
        wg__call_fail(c, WG_ERR_SHAPE, "the operand is not [N, classes, ...]");
        return;
    }
    const wg_tensor p = softmax ? wg_log_softmax(x, 1) : x;
    wg_tensor weights, y = losses(c, p, &weights);
    const bool mean = wg__attribute_is(c->node, "reduction", "mean", "mean");
    if (mean || wg__attribute_is(c->node, "reduction", "sum", "mean")) y = wg_sum_all(y);
    if (mean) y = wg_div(y, wg_sum_all(weights));
    wg__set(c, 0, y, wg__type_of(c, 0));
    if (softmax) wg__set(c, 1, p, wg__type_of(c, 0));
}

#define OPTIONS "ignore_index=i reduction=s:none|sum|mean"

const wg__onnx_row wg__onnx_loss[] = {
    {"NegativeLogLikelihoodLoss", record_loss, 12, 2, 3, OPTIONS, .kind = OF_LOG_PROBABILITIES},
    {"SoftmaxCrossEntropyLoss", record_loss, 12, 2, 3, OPTIONS, .kind = OF_LOGITS},
    {NULL},
};
