/* Metrics: how good predictions are.
 *
 *     wg_confusion *confusion = wg_confusion_new(10, &error);
 *     const int32_t *predicted = wg_value(wg_argmax(logits, -1, false));
 *     if (wg_confusion_add(confusion, predicted, labels, n, &error) != WG_OK) ...
 *     printf("accuracy %.3f, F1 %.3f\n", wg_confusion_accuracy(confusion), wg_confusion_macro(confusion).f1);
 *     wg_confusion_free(confusion);
 *
 * Room metrics: plain arrays and counts. It knows no tape, parameter or file: metrics are read, not differentiated, and
 * predictions come as readily from a file. Counts are added over batches; no score is an average of batches' scores.
 *
 * A quotient of 0 by 0 is 0, as in scikit-learn. */
#ifndef WG_METRICS_H
#define WG_METRICS_H

#include "../autograd/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- classification ---- */

/* The fraction of i in 0 .. n - 1 with predicted[i] == truth[i]. */
WG_API double wg_accuracy(const int32_t *predicted, const int32_t *truth, int64_t n);

/* Counts of (truth, prediction). */
typedef struct wg_confusion wg_confusion;

/* WG_ERR_ARGUMENT unless classes is 1 to 65,536; WG_ERR_MEMORY. */
WG_API wg_confusion *wg_confusion_new(int64_t classes, wg_error *error);
WG_API void wg_confusion_free(wg_confusion *confusion); /* accepts NULL */
/* Adds n pairs. WG_ERR_INDEX, and nothing is added, if one of them is no class. */
WG_CHECKED WG_API wg_status wg_confusion_add(wg_confusion *confusion, const int32_t *predicted,
                                             const int32_t *truth, int64_t n, wg_error *error);
WG_API int64_t wg_confusion_classes(const wg_confusion *confusion); /* their number; 0 for NULL */
/* How often `predicted` was predicted where `truth` is true; 0 if one of them is no class. */
WG_API uint64_t wg_confusion_count(const wg_confusion *confusion, int64_t truth, int64_t predicted);
/* The sum of count(k, k), over the number of pairs. */
WG_API double wg_confusion_accuracy(const wg_confusion *confusion);

/* Scores of a class, or means over classes. */
typedef struct wg_scores {
    double precision; /* of what was predicted as the class: the part that is true */
    double recall;    /* of what is of the class: the part that was predicted */
    double f1;        /* 2 precision recall / (precision + recall) */
    uint64_t support; /* the number of pairs whose truth is the class */
} wg_scores;

/* Of one class; zeros if there is no such class. */
WG_API wg_scores wg_confusion_scores(const wg_confusion *confusion, int64_t class_index);
/* The mean of precision, of recall and of F1 over the classes that are true or predicted somewhere; support of all. */
WG_API wg_scores wg_confusion_macro(const wg_confusion *confusion);

/* ---- language models ---- */

/* e to the mean negative log-likelihood of a token. */
typedef struct wg_perplexity {
    double sum; /* of the negative log-likelihoods, in nats */
    double n;   /* tokens */
} wg_perplexity;

/* Adds n tokens with this mean loss, as wg_cross_entropy gives it. Start from {0}. */
WG_API void wg_perplexity_add(wg_perplexity *perplexity, double mean_loss, int64_t n);
/* NaN without a token. */
WG_API double wg_perplexity_score(const wg_perplexity *perplexity);

/* ---- BLEU (Papineni et al. 2002) ----
 * How close translations are to a reference:
 *
 *     BLEU = min(1, e^(1 - r / h)) (p_1 p_2 p_3 p_4)^(1/4)
 *
 * p_n is the fraction of n-grams of the translations that occur in their reference, each counted at most as often as it
 * occurs there; h and r are the total lengths of translations and references. One reference per sentence, words as
 * given, no smoothing: 0 without a common 4-gram. The range is 0 to 1; papers print 100 times that. */

enum { WG_BLEU_ORDER = 4 }; /* n-grams of 1 to 4 words */

/* Counts of a set of sentences. */
typedef struct wg_bleu {
    uint64_t matches[WG_BLEU_ORDER], total[WG_BLEU_ORDER]; /* n-grams of translations: in the reference, and all */
    uint64_t length, reference;                            /* words */
} wg_bleu;

/* Adds a sentence of n words and its reference of m. Start from {0}. Takes time n (n + m): for sentences. */
WG_API void wg_bleu_add(wg_bleu *bleu, const char *const *words, size_t n, const char *const *reference, size_t m);
WG_API double wg_bleu_score(const wg_bleu *bleu); /* 0 to 1; 0 without a sentence */

#ifdef __cplusplus
}
#endif
#endif
