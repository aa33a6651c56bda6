/* Text as character numbers: a vocabulary, and parallel streams for truncated backpropagation through time. */
#ifndef CHARS_H
#define CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The distinct bytes of a text, sorted. The number of a character is its index. */
typedef struct vocabulary {
    int size;
    unsigned char symbol[256]; /* [size] */
    int16_t number[256];       /* of a byte; -1: not in the vocabulary */
} vocabulary;

vocabulary vocabulary_of(const char *text, size_t size);
/* A 64-bit hash (FNV-1a) that identifies a text. */
uint64_t text_hash(const char *text, size_t size);
/* The symbols as pairs of hexadecimal digits, for checkpoints. */
const char *vocabulary_text(const vocabulary *v, char text[513]);
/* Reads such digits; false if they are invalid. */
bool vocabulary_read(vocabulary *v, const char *text);

/* A text cut into `batch` streams of equal length. Window k has the characters k T .. k T + T - 1 of every stream and,
 * as targets, their successors. */
typedef struct streams {
    const unsigned char *text;
    const vocabulary *vocabulary;
    int batch, unroll;
    size_t length;  /* of one stream */
    size_t windows; /* 0 if the text is too short */
    int32_t *x, *y; /* [unroll, batch], filled by streams_window */
} streams;

/* False if out of memory. Allocates nothing if windows is 0. */
bool streams_init(streams *s, const char *text, size_t size, const vocabulary *v, int batch, int unroll);
void streams_fini(streams *s);
void streams_window(streams *s, size_t window);

#endif
