/* Accuracy, the confusion matrix, precision and recall; perplexity. */
#include "metrics.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_CLASSES = 1 << 16 };

struct wg_confusion {
    int64_t classes;
    uint64_t *counts; /* [truth, predicted] */
};

static double ratio(double part, double all) { return all > 0 ? part / all : 0; }

double wg_accuracy(const int32_t *predicted, const int32_t *truth, int64_t n)
{
    int64_t right = 0;
    if (!predicted || !truth) return 0;
    for (int64_t i = 0; i < n; i++) right += predicted[i] == truth[i];
    return ratio((double)right, (double)n);
}

/* ---- counting ---- */

wg_confusion *wg_confusion_new(int64_t classes, wg_error *error)
{
    if (classes < 1 || classes > MOST_CLASSES) {
        wg_error_set(error, WG_ERR_ARGUMENT, "confusion: %lld classes, not 1 to %d", (long long)classes,
                     MOST_CLASSES);
        return NULL;
    }
    wg_confusion *c = malloc(sizeof *c);
    if (c) *c = (wg_confusion){classes, calloc((size_t)(classes * classes), sizeof *c->counts)};
    if (c && c->counts) return c;
    free(c);
    wg_error_set(error, WG_ERR_MEMORY, "confusion: out of memory for %lld classes", (long long)classes);
    return NULL;
}

void wg_confusion_free(wg_confusion *c)
{
    if (!c) return;
    free(c->counts);
    free(c);
}

static bool is_class(const wg_confusion *c, int64_t index) { return index >= 0 && index < c->classes; }

wg_status wg_confusion_add(wg_confusion *c, const int32_t *predicted, const int32_t *truth, int64_t n,
                           wg_error *error)
{
    if (!c || (n > 0 && (!predicted || !truth)) || n < 0)
        return wg_error_set(error, WG_ERR_ARGUMENT, "confusion: NULL, or %lld pairs", (long long)n);
    for (int64_t i = 0; i < n; i++)
        if (!is_class(c, predicted[i]) || !is_class(c, truth[i]))
            return wg_error_set(error, WG_ERR_INDEX,
                                "confusion: pair %lld: truth %d, prediction %d, of %lld classes", (long long)i,
                                truth[i], predicted[i], (long long)c->classes);
    for (int64_t i = 0; i < n; i++) c->counts[truth[i] * c->classes + predicted[i]]++;
    return WG_OK;
}

int64_t wg_confusion_classes(const wg_confusion *c) { return c ? c->classes : 0; }

uint64_t wg_confusion_count(const wg_confusion *c, int64_t truth, int64_t predicted)
{
    return c && is_class(c, truth) && is_class(c, predicted) ? c->counts[truth * c->classes + predicted] : 0;
}

/* ---- scores ---- */

double wg_confusion_accuracy(const wg_confusion *c)
{
    double right = 0, all = 0;
    if (!c) return 0;
    for (int64_t k = 0; k < c->classes; k++) right += (double)c->counts[k * c->classes + k];
    for (int64_t i = 0; i < c->classes * c->classes; i++) all += (double)c->counts[i];
    return ratio(right, all);
}

/* *predicted: how often the class was predicted. */
static wg_scores scores_of(const wg_confusion *c, int64_t k, uint64_t *predicted)
{
    wg_scores s = {0};
    *predicted = 0;
    for (int64_t i = 0; i < c->classes; i++) {
        s.support += c->counts[k * c->classes + i];
        *predicted += c->counts[i * c->classes + k];
    }
    const double right = (double)c->counts[k * c->classes + k];
    s.precision = ratio(right, (double)*predicted);
    s.recall = ratio(right, (double)s.support);
    s.f1 = ratio(2 * right, (double)(s.support + *predicted));
    return s;
}

wg_scores wg_confusion_scores(const wg_confusion *c, int64_t class_index)
{
    uint64_t predicted;
    return c && is_class(c, class_index) ? scores_of(c, class_index, &predicted) : (wg_scores){0};
}

wg_scores wg_confusion_macro(const wg_confusion *c)
{
    wg_scores sum = {0};
    double n = 0;
    for (int64_t k = 0; c && k < c->classes; k++) {
        uint64_t predicted;
        const wg_scores s = scores_of(c, k, &predicted);
        sum.precision += s.precision;
        sum.recall += s.recall;
        sum.f1 += s.f1;
        sum.support += s.support;
        n += s.support + predicted > 0;
    }
    return (wg_scores){ratio(sum.precision, n), ratio(sum.recall, n), ratio(sum.f1, n), sum.support};
}

/* ---- perplexity ---- */

void wg_perplexity_add(wg_perplexity *p, double mean_loss, int64_t n)
{
    if (!p || n <= 0) return;
    p->sum += mean_loss * (double)n;
    p->n += (double)n;
}

double wg_perplexity_score(const wg_perplexity *p) { return p && p->n > 0 ? exp(p->sum / p->n) : NAN; }
