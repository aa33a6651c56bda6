/* answer: stories and questions as numbers. */
#ifndef ANSWER_H
#define ANSWER_H

#include "app.h"
#include "sequences.h"
#include "words.h"

enum { MOST_WORDS = 512 }; /* of a story */

typedef struct corpus {
    dictionary words, answers;
    int64_t n, train; /* questions; 0 .. train - 1 to train on, the others held out */
    sequences story, question;
    int32_t *answer; /* [n] */
} corpus;

/* A failure ends the program with a message. */

/* The stories of a file or, with path NULL, `stories` generated ones of `facts` facts. */
corpus corpus_new(const char *path, int64_t stories, int64_t facts, uint64_t seed);
/* A story and its question, as a corpus of one question in the words of `c`. */
corpus corpus_of_question(const corpus *c, const char *story);
void corpus_fini(corpus *c);

#endif
