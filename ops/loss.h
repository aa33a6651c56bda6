/* Losses, and the distances that some of them measure. Rules and errors are those of ops.h.
 *
 *     wg_tensor loss = wg_cross_entropy(logits, labels);                      // [], the mean
 *     wg_tensor each = wg_mse(prediction, target, WG_REDUCE_NONE);            // of the prediction's shape
 *     wg_tensor near = wg_cdist(queries, points);                             // [m, n] */
#ifndef WG_LOSS_H
#define WG_LOSS_H

#include "ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- losses -------------------------------------------------------------------------------------------------- */

/* WG_MEAN and WG_SUM of the losses of all elements; WG_REDUCE_NONE: a tensor of them. */
typedef enum wg_reduction { WG_MEAN = 0, WG_SUM, WG_REDUCE_NONE } wg_reduction;

/* Weights, ignored labels, smoothing, reduction. */
typedef struct wg_cross_entropy_options {
    wg_tensor class_weights; /* [classes] or WG_NONE; the mean is then weighted, as in PyTorch */
    int64_t ignore_index;    /* rows with this integer label are ignored; default -100 */
    double label_smoothing;  /* epsilon in [0, 1]: (1 - eps) onehot + eps / classes; default 0 */
    wg_reduction reduction;  /* default: the mean over rows not ignored (0 if all are); none: a loss per row */
} wg_cross_entropy_options;
WG_API wg_cross_entropy_options wg_cross_entropy_defaults(void);

/* -sum_c t_c log softmax(logits)_c, classes along the last axis: logits[..., classes], labels i32 [...]
 * (indices) or float [..., classes] (probabilities). The mean, a scalar. */
WG_API wg_tensor wg_cross_entropy(wg_tensor logits, wg_tensor labels);
WG_API wg_tensor wg_cross_entropy_with(wg_tensor logits, wg_tensor labels,
                                       wg_cross_entropy_options options); /* the same with options */
/* logits[batch, time, classes], labels i32 [batch, time], lengths i32 [batch]: the mean over all time < length. */
WG_API wg_tensor wg_cross_entropy_lengths(wg_tensor logits, wg_tensor labels, wg_tensor lengths);
/* -p[label]: p[..., classes] are log-probabilities, labels i32 [...]. */
WG_API wg_tensor wg_nll(wg_tensor log_probabilities, wg_tensor labels, wg_reduction reduction);

/* The same with class weights, ignored labels and a reduction, as in wg_cross_entropy_with, but no label_smoothing. */
WG_API wg_tensor wg_nll_with(wg_tensor log_probabilities, wg_tensor labels, wg_cross_entropy_options options);

/* For the following losses x and the target t have equal shapes. */
WG_API wg_tensor wg_mse(wg_tensor x, wg_tensor target, wg_reduction reduction); /* (x - t)^2 */
/* With d = |x - t|: d^2 / 2 up to delta, then delta (d - delta / 2); delta > 0 (Huber 1964). */
WG_API wg_tensor wg_huber(wg_tensor x, wg_tensor target, double delta, wg_reduction reduction);
/* t ln(1 + e^-x) + (1 - t) ln(1 + e^x): x are logits, t probabilities. */
WG_API wg_tensor wg_binary_cross_entropy(wg_tensor logits, wg_tensor target, wg_reduction reduction);
/* The same with the first term times positive_weight, which broadcasts to the logits: of rare positives. */
WG_API wg_tensor wg_binary_cross_entropy_weighted(wg_tensor logits, wg_tensor target, wg_tensor positive_weight,
                                                  wg_reduction reduction);
/* -t ln p - (1 - t) ln(1 - p), p probabilities; a logarithm below -100 counts as -100, as in PyTorch, no gradient. */
WG_API wg_tensor wg_binary_cross_entropy_probabilities(wg_tensor p, wg_tensor target, wg_reduction reduction);
/* t (ln t - log_q), 0 where t is 0; log_q are log-probabilities, as in PyTorch's kl_div. */
WG_API wg_tensor wg_kl(wg_tensor log_q, wg_tensor target, wg_reduction reduction);

/* ---- distances, and losses by them ------------------------------------------------------------------------------ */

/* x / max(|x|, epsilon), |x| the norm along the axis (PyTorch's epsilon: 1e-12). */
WG_API wg_tensor wg_normalize(wg_tensor x, int axis, double epsilon);
/* sum a b / (max(|a|, epsilon) max(|b|, epsilon)) along the axis of a; b broadcasts (PyTorch's epsilon: 1e-8). */
WG_API wg_tensor wg_cosine_similarity(wg_tensor a, wg_tensor b, int axis, double epsilon);
/* |a_i - b_j|: a[..., m, d], b[..., n, d] = [..., m, n]; by differences, so that near points keep their digits. */
WG_API wg_tensor wg_cdist(wg_tensor a, wg_tensor b);
/* max(0, |a - p| - |a - n| + margin), |.| along the last axis (Schroff et al. 2015; PyTorch's margin: 1). */
WG_API wg_tensor wg_triplet_loss(wg_tensor anchor, wg_tensor positive, wg_tensor negative, double margin,
                                 wg_reduction reduction);
/* max(0, -order (a - b) + margin); order: 1 where a is to be larger, -1 where b is. */
WG_API wg_tensor wg_margin_ranking_loss(wg_tensor a, wg_tensor b, wg_tensor order, double margin,
                                        wg_reduction reduction);
/* 1 - cos(a, b) where `same`, a bool, is true, else max(0, cos(a, b) - margin), along the last axis. */
WG_API wg_tensor wg_cosine_embedding_loss(wg_tensor a, wg_tensor b, wg_tensor same, double margin,
                                          wg_reduction reduction);

/* Connectionist temporal classification (Graves et al. 2006): -ln of the sum over all alignments of the target with T
 * steps, in which labels repeat and blanks may be in between. log_probs[T, B, C] (after wg_log_softmax), targets i32
 * [B, S], input_lengths and target_lengths i32 [B]; elements past a length are ignored, even NaN. WG_MEAN first divides
 * each loss by its target's length (at least 1), as PyTorch does. The loss is inf, with no gradient, if a target does
 * not fit into its steps or its length is not in [0, S]; to ignore it (PyTorch's zero_infinity), use WG_REDUCE_NONE and
 * wg_where(wg_is_finite(loss), loss, wg_zeros_like(loss)). An input length beyond T counts as T. The gradient is that
 * by log_probs; PyTorch's differs from it by e^log_probs, and both are the same by the logits. A target that is not a
 * class is reported when the program runs, by gather. */
WG_API wg_tensor wg_ctc_loss(wg_tensor log_probs, wg_tensor targets, wg_tensor input_lengths,
                             wg_tensor target_lengths, int64_t blank, wg_reduction reduction);

#ifdef __cplusplus
}
#endif
#endif
