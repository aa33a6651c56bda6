/* BLEU of a corpus (Papineni et al. 2002): how close translations are to a reference.
 *
 *     BLEU = min(1, e^(1 - r / h)) (p_1 p_2 p_3 p_4)^(1/4)
 *
 * p_n is the fraction of n-grams of the translations that occur in their reference, each counted at most as often as it
 * occurs there; h and r are the total lengths of translations and references. One reference per sentence, words as
 * given, no smoothing: 0 without a common 4-gram. The range is 0 to 1; papers print 100 times that. */
#ifndef BLEU_H
#define BLEU_H

#include <stddef.h>

enum { BLEU_ORDER = 4 };

typedef struct bleu {
    size_t matches[BLEU_ORDER], total[BLEU_ORDER]; /* n-grams of the translations: in the reference, and all */
    size_t length, reference;                      /* words */
} bleu;

/* Adds a sentence of n words and its reference of m. Start from {0}. */
void bleu_add(bleu *b, const char *const *words, size_t n, const char *const *reference, size_t m);
double bleu_score(const bleu *b);

#endif
