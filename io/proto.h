/* Internal. The wire format of Protocol Buffers (protobuf.dev/programming-guides/encoding): fields appended to bytes. A
 * field is its number and wire type, then its value; a message is its fields one after the other. */
#ifndef WG_PROTO_H
#define WG_PROTO_H

#include "bytes.h"

void wg__proto_integer(wg__bytes *b, int field, uint64_t number); /* also an enum, bool, int64 >= 0 */
void wg__proto_double(wg__bytes *b, int field, double number);
void wg__proto_float(wg__bytes *b, int field, float number);
void wg__proto_bytes(wg__bytes *b, int field, const void *data, size_t n); /* also a string or a message */
void wg__proto_begin(wg__bytes *b, int field, uint64_t n); /* the n bytes of its value are the next ones */
void wg__proto_doubles(wg__bytes *b, int field, const double *numbers, size_t n); /* repeated, packed */

#endif
