/* Internal. Reads the wire format of Protocol Buffers (protobuf.dev/programming-guides/encoding) where it lies.
 *
 * protobuf-c would copy each field into memory of its own, among them the tensors, which are all but a few kilobytes of
 * a model; here a field is a place in the file's bytes. */
#ifndef WG_ONNX_WIRE_H
#define WG_ONNX_WIRE_H

#include "../autograd/status.h"

/* Bytes of the file. */
typedef struct wg__span {
    const uint8_t *data;
    size_t size;
} wg__span;

typedef enum wg__wire_type {
    WG__VARINT = 0,
    WG__EIGHT_BYTES = 1,
    WG__LENGTH_AND_BYTES = 2,
    WG__FOUR_BYTES = 5
} wg__wire_type;

typedef struct wg__field {
    uint32_t number;
    wg__wire_type type;
    uint64_t integer; /* VARINT; the bits of EIGHT_BYTES and FOUR_BYTES */
    wg__span bytes;   /* LENGTH_AND_BYTES; else where the number is */
} wg__field;

/* A message that is read field by field. */
typedef struct wg__wire {
    const uint8_t *at, *end;
    bool failed; /* the bytes are no message */
} wg__wire;

wg__wire wg__wire_of(wg__span message);
/* The next field; false at the end, or if the bytes are no message. */
bool wg__wire_next(wg__wire *wire, wg__field *field);
/* The next number of a packed list; false at its end. */
bool wg__wire_varint(wg__wire *wire, uint64_t *number);
/* The field as a string or message of that number; false if it is another field. */
bool wg__field_is_bytes(const wg__field *field, uint32_t number);
bool wg__field_is_integer(const wg__field *field, uint32_t number);
/* The float of FOUR_BYTES, or the double of EIGHT_BYTES. */
double wg__field_float(const wg__field *field);

/* The bytes of a text. */
wg__span wg__span_of(const char *text);
/* Whether the span is this text. */
bool wg__span_is(wg__span span, const char *text);
/* Whether both have the same bytes. */
bool wg__span_equals(wg__span a, wg__span b);
/* The arguments of "%.*s" that show a name from a file, at most 60 bytes of it. */
#define WG__SPAN_SHOWN(span)                                                                                       \
    (int)((span).size < 60 ? (span).size : 60), (span).size ? (const char *)(span).data : ""

#endif
