/* sentiment: its tasks, and sentences as numbers. */
#ifndef SENTIMENT_H
#define SENTIMENT_H

#include "app.h"
#include "sequences.h"
#include "words.h"

#include <stdio.h>

enum { CLASSES = 2, MOST_WORDS = 160 /* of a sentence; what is longer is cut */ };

typedef struct task {
    const char *name, *labels[CLASSES];
    int64_t pairs;
    void (*write)(FILE *out, int64_t number); /* its label is number % 2 */
} task;

/* reviews, order, far: generated; files: two files. */
extern const task task_reviews, task_order, task_far, task_files;

typedef struct corpus {
    const task *task;
    dictionary dictionary;
    int64_t n, train,
        held; /* 0 .. train - 1 to learn from; n - held .. n - 1 held out; those between to choose by */
    sequences text;
    int32_t *labels; /* [n] */
} corpus;

/* Functions end the program, with a message, where they fail. */

/* n generated sentences; fewer where there are not so many. */
corpus corpus_generate(const task *what, int64_t n, uint64_t seed);
/* The lines of two files, shuffled; a line without a word is skipped. Lower case. */
corpus corpus_read(const char *negative, const char *positive, uint64_t seed);
/* Lines that are only looked at, cut as the flags say, in the words of a dictionary (NULL: their own). */
corpus corpus_look_at(const char *lines, unsigned flags, const dictionary *known);
void corpus_fini(corpus *c);

#endif
