/* Internal to io/: types of the elements of GGUF files. */
#ifndef WG_GGUF_H
#define WG_GGUF_H

#include "tensors.h"

enum { WG__GGUF_MOST_BLOCK = 256, WG__GGUF_MOST_BYTES = 256 };

/* A type of ggml (ggml.h, ggml-common.h): blocks of elements that are adjacent on the last axis. */
typedef struct wg__gguf_type {
    const char *name;                                /* of ggml */
    const char *type;                                /* that a file has it as, of wg__types; NULL: it is not read */
    uint16_t block;                                  /* elements, at most WG__GGUF_MOST_BLOCK, ... */
    uint16_t bytes;                                  /* ... and their bytes, at most WG__GGUF_MOST_BYTES */
    void (*decode)(const uint8_t *bytes, float *to); /* a block; NULL: elements are as they are */
} wg__gguf_type;

/* By its number; NULL: there is none. */
const wg__gguf_type *wg__gguf_type_at(uint32_t number);

#endif
