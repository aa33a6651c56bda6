/* Text as numbers: a vocabulary, and parallel streams of characters for truncated backpropagation through time. */
#ifndef CHARS_H
#define CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The distinct bytes of a text, in order; a character's number is its place among them. */
typedef struct vocabulary {
    int size;
    unsigned char symbol[256]; /* [size] */
    int16_t number[256];       /* of a byte; -1: not in the vocabulary */
} vocabulary;

vocabulary vocabulary_of(const char *text, size_t size);
/* A 64-bit hash (FNV-1a): is it the same text? */
uint64_t text_hash(const char *text, size_t size);
/* As hexadecimal digits, two a symbol: what a checkpoint keeps. */
const char *vocabulary_text(const vocabulary *v, char text[513]);
/* Back from digits; false if they are no vocabulary. */
bool vocabulary_read(vocabulary *v, const char *text);

/* A text cut into `batch` streams of equal length; window k is the characters k T .. k T + T - 1 of every stream,
 * and as targets the ones that follow. */
typedef struct streams {
    const unsigned char *text;
    const vocabulary *vocabulary;
    int batch, unroll;
    size_t length;  /* of one stream */
    size_t windows; /* how many there are; 0 where the text is too short */
    int32_t *x, *y; /* [unroll, batch], filled by streams_window */
} streams;

/* False when memory is out. No memory is taken where windows is 0. */
bool streams_init(streams *s, const char *text, size_t size, const vocabulary *v, int batch, int unroll);
void streams_fini(streams *s);
void streams_window(streams *s, size_t window);

#endif
