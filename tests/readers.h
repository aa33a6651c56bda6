/* The readers of untrusted files, for random edits (test_fuzz.c) and for coverage-guided ones (fuzzer.c). */
#ifndef READERS_H
#define READERS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct reader {
    const char *name;
    /* Reads these bytes as a file. Returns the violated condition, or NULL; *accepted: the file was valid. */
    const char *(*read)(const unsigned char *bytes, size_t size, bool *accepted);
} reader;

enum { READ_SAFETENSORS, READ_CHECKPOINT, READ_IDX, READ_TEXT, READ_WORDS, READERS };
extern const reader readers[READERS];

#endif
