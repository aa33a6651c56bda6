/* The input of a fuzz test, and pieces of inputs. */
#ifndef WG_TEST_FUZZ_INPUT_H
#define WG_TEST_FUZZ_INPUT_H

#include <stddef.h>
#include <string.h>

#include "random.h"

enum { ROOM = 10240 };

typedef struct input {
    unsigned char bytes[ROOM];
    size_t size;
} input;

/* Bytes, zeros among them. */
typedef struct blob {
    const char *bytes;
    size_t size;
} blob;
#define BLOB(literal)                                                                                              \
    {                                                                                                              \
        literal, sizeof(literal) - 1                                                                               \
    }
#define COUNT(array) (sizeof(array) / sizeof *(array))

static inline void take(input *in, const blob *from, size_t n)
{
    const blob *one = &from[below(n)];
    memcpy(in->bytes, one->bytes, one->size);
    in->size = one->size;
}

#endif
