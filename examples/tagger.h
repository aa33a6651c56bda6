/* tagger: sentences and their tags as numbers. */
#ifndef TAGGER_H
#define TAGGER_H

#include "app.h"
#include "sequences.h"
#include "words.h"

enum { MOST_WORDS = 256 /* of a sentence */, MOST_TAGS = 512 };

typedef struct corpus {
    dictionary words, tags;
    int64_t n, train; /* sentences; 0 .. train - 1 to train on, the others held out */
    sequences tokens, tags_of;
    bool *ambiguous; /* [words.size]: the word has more than one tag in the training sentences */
} corpus;

/* The sentences of a file or, with path NULL, `sentences` generated ones, shuffled by the seed. A failure ends the
 * program with a message. */
corpus corpus_new(const char *path, int64_t sentences, uint64_t seed);
void corpus_fini(corpus *c);

#endif
