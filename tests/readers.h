/* The readers of untrusted files, for random edits (test_fuzz.c) and for coverage-guided ones (fuzzer.c). */
#ifndef READERS_H
#define READERS_H

#include <stdbool.h>
#include <stddef.h>

#include "../autograd/status.h"

typedef struct reader {
    const char *name;
    /* Reads these bytes as a file. Returns the violated condition, or NULL; *accepted: the file was valid. */
    const char *(*read)(const unsigned char *bytes, size_t size, bool *accepted);
} reader;

enum {
    READ_SAFETENSORS,
    READ_CHECKPOINT,
    READ_IDX,
    READ_TEXT,
    READ_WORDS,
    READ_CSV,
    READ_PNG,
    READ_JPEG,
    READ_WAV,
    READ_NPY,
    READ_NPZ,
    READ_PT,
    READ_HDF5,
    READ_GGUF,
    READERS
};
extern const reader readers[READERS];

/* ---- for readers.c and readers_media.c ---- */

/* The path of an in-memory file with these bytes, or NULL. It is overwritten by the next call. */
const char *as_file(const unsigned char *bytes, size_t size);
/* NULL, or "refused without a reason". */
const char *refused(const wg_error *error);
const char *csv_read(const unsigned char *bytes, size_t size, bool *accepted);
const char *png_read(const unsigned char *bytes, size_t size, bool *accepted);
const char *jpeg_read(const unsigned char *bytes, size_t size, bool *accepted);
const char *wav_read(const unsigned char *bytes, size_t size, bool *accepted);

#endif
