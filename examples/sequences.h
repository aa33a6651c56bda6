/* Sequences of word numbers of different lengths, and batches of them as tensors. */
#ifndef SEQUENCES_H
#define SEQUENCES_H

#include "../wengert.h"

/* Rows of one width, filled up with WORD_PAD. */
typedef struct sequences {
    int64_t n, width;
    int32_t *tokens, *lengths; /* [n, width], [n] */
} sequences;

/* n sequences of length 0, of at most `width` numbers. Out of memory ends the program. */
sequences sequences_new(int64_t n, int64_t width);
void sequences_fini(sequences *s);
void sequences_set(sequences *s, int64_t i, const int32_t *tokens, int32_t length);
/* The length of the longest. */
int64_t sequences_longest(const sequences *s);
/* Below 0: i comes before j in an order of all sequences; 0: they are equal. */
int sequences_compare(const sequences *s, int64_t i, int64_t j);

typedef struct sequence_batch {
    wg_tensor tokens, lengths; /* i32 [n, T], [n] */
    int64_t n, T;
} sequence_batch;

/* The sequences sample[0] .. sample[n - 1]. T is the longest length, rounded up to a multiple of four so that there are
 * fewer shapes to plan, plus `padding`. */
sequence_batch sequences_batch(const sequences *s, wg_tape *tape, const int64_t *sample, int64_t n,
                               int64_t padding);

/* What a model of one text is exported with: the context of app_model. */
typedef struct sequence_exported {
    const void *model;
    int64_t T; /* words of the longest text */
} sequence_exported;

/* A batch as inputs of a model to export: x[0] and x[1], rows of an embedding and lengths 1 .. T. */
sequence_batch sequences_export(wg_tape *tape, int64_t n, int64_t T, const wg_embedding_layer *embedding,
                                wg_tensor *x);

#endif
