/* Internal to io/: definitions that the safetensors reader and writer share. */
#ifndef WG_SAFETENSORS_H
#define WG_SAFETENSORS_H

#include "json.h"

enum { WG__HEADER_LIMIT = 100000000, WG__METADATA_LIMIT = 1024 };

/* The header of a file with a checksum begins with these bytes, eight hexadecimal digits and a quote. The checksum
 * covers the whole file, with zeros in place of the digits. */
#define WG__CRC_KEY    "wengert.crc32"
#define WG__CRC_PREFIX "{\"__metadata__\":{\"" WG__CRC_KEY "\":\""
enum { WG__CRC_AT = sizeof WG__CRC_PREFIX - 1, WG__CRC_DIGITS = 8 };

/* The prefix of metadata keys that the library reserves. */
#define WG__RESERVED "wengert."

/* The index of a tensor by its name, by bisection; the number of tensors if there is none. */
size_t wg__safetensors_index(const wg_safetensors *file, const char *name);

/* Sorts in place in O(n log n), without allocating. less(context, a, b) is the order. */
typedef bool (*wg__less)(const void *context, const void *a, const void *b);
void wg__sort(void *items, size_t n, size_t size, wg__less less, const void *context);

#endif
