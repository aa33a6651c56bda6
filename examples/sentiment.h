/* sentiment: its tasks, and sentences as numbers. */
#ifndef SENTIMENT_H
#define SENTIMENT_H

#include "app.h"
#include "sequences.h"
#include "words.h"

#include <stdio.h>

enum { CLASSES = 2, MOST_WORDS = 160 /* of a sentence; longer ones are cut */ };

typedef struct task {
    const char *name, *labels[CLASSES];
    int64_t pairs;
    void (*write)(FILE *out, int64_t number); /* its label is number % 2 */
} task;

/* Generated sentences: reviews, order, far. Two files: files. */
extern const task task_reviews, task_order, task_far, task_files;

typedef struct corpus {
    const task *task;
    dictionary dictionary;
    int64_t n, train, held; /* 0 .. train - 1 to train on, the last `held` held out, the others for validation */
    sequences text;
    int32_t *labels; /* [n] */
} corpus;

/* A failure ends the program with a message. */

/* n generated sentences, or all of the task if there are fewer. */
corpus corpus_generate(const task *what, int64_t n, uint64_t seed);
/* The lines of two files in lower case, shuffled; empty lines are skipped. */
corpus corpus_read(const char *negative, const char *positive, uint64_t seed);
/* Lines without labels, split by these flags, in the words of a dictionary (NULL: their own). */
corpus corpus_look_at(const char *lines, unsigned flags, const dictionary *known);
void corpus_fini(corpus *c);

/* Writes the data and batches that bench/peers/sentiment.py needs to repeat the training. */
void write_order_file(const char *path, const corpus *c, int64_t epochs, int64_t batch, int64_t seed);

#endif
