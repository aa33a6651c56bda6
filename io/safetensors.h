/* Internal to io/: definitions that the safetensors reader and writer share. */
#ifndef WG_SAFETENSORS_H
#define WG_SAFETENSORS_H

#include "tensors.h"

/* The header of a file with a checksum begins with these bytes, eight hexadecimal digits and a quote. The checksum
 * covers the whole file, with zeros in place of the digits. */
#define WG__CRC_KEY    "wengert.crc32"
#define WG__CRC_PREFIX "{\"__metadata__\":{\"" WG__CRC_KEY "\":\""
enum { WG__CRC_AT = sizeof WG__CRC_PREFIX - 1, WG__CRC_DIGITS = 8 };

/* The prefix of metadata keys that the library reserves. */
#define WG__RESERVED "wengert."

#endif
