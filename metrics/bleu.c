/* BLEU of a corpus. */
#include "metrics.h"

#include <math.h>
#include <string.h>

static bool same(const char *const *a, const char *const *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(a[i], b[i]) != 0) return false;
    return true;
}

/* The number of occurrences of the n-gram in the text. */
static size_t count(const char *const *gram, size_t n, const char *const *text, size_t length)
{
    size_t found = 0;
    for (size_t i = 0; i + n <= length; i++) found += same(gram, text + i, n);
    return found;
}

void wg_bleu_add(wg_bleu *b, const char *const *words, size_t n, const char *const *reference, size_t m)
{
    if (!b || (n > 0 && !words) || (m > 0 && !reference)) return;
    b->length += n;
    b->reference += m;
    for (size_t order = 1; order <= WG_BLEU_ORDER; order++)
        for (size_t i = 0; i + order <= n; i++) {
            b->total[order - 1]++;
            /* the k-th of equal n-grams counts if the reference has k of them */
            size_t before = count(words + i, order, words, i + order - 1);
            b->matches[order - 1] += before < count(words + i, order, reference, m);
        }
}

double wg_bleu_score(const wg_bleu *b)
{
    double sum = 0;
    if (!b) return 0;
    for (int n = 0; n < WG_BLEU_ORDER; n++) {
        if (b->matches[n] == 0) return 0;
        sum += log((double)b->matches[n] / (double)b->total[n]) / WG_BLEU_ORDER;
    }
    double brevity = b->length < b->reference ? 1 - (double)b->reference / (double)b->length : 0;
    return exp(brevity + sum);
}
