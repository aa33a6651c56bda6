/* Reads the wire format of Protocol Buffers: see wire.h. Numbers are little-endian, as the machine is (status.h). */
#include "wire.h"

#include <string.h>

wg__wire wg__wire_of(wg__span message)
{
    return (wg__wire){.at = message.data, .end = message.size ? message.data + message.size : message.data};
}

static bool fail(wg__wire *wire)
{
    wire->at = wire->end;
    wire->failed = true;
    return false;
}

bool wg__wire_varint(wg__wire *wire, uint64_t *number)
{
    *number = 0;
    if (wire->at == wire->end) return false;
    for (int shift = 0; shift < 64 && wire->at < wire->end; shift += 7) {
        const uint8_t byte = *wire->at++;
        if (shift == 63 && byte > 1) break; /* more than 64 bits */
        *number |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return true;
    }
    return fail(wire);
}

/* The next `size` bytes. */
static bool take(wg__wire *wire, uint64_t size, wg__span *span)
{
    if (size > (uint64_t)(wire->end - wire->at)) return fail(wire);
    *span = (wg__span){wire->at, (size_t)size};
    wire->at += size;
    return true;
}

bool wg__wire_next(wg__wire *wire, wg__field *field)
{
    uint64_t key, size = 0;
    *field = (wg__field){0};
    if (!wg__wire_varint(wire, &key)) return false;
    if (key >> 3 == 0 || key >> 3 > 536870911) return fail(wire);
    field->number = (uint32_t)(key >> 3);
    field->type = (wg__wire_type)(key & 7);
    switch (field->type) {
    case WG__VARINT: return wg__wire_varint(wire, &field->integer) || fail(wire);
    case WG__EIGHT_BYTES: size = 8; break;
    case WG__FOUR_BYTES: size = 4; break;
    case WG__LENGTH_AND_BYTES:
        if (!wg__wire_varint(wire, &size)) return fail(wire);
        return take(wire, size, &field->bytes);
    default: return fail(wire); /* groups, which ONNX never had */
    }
    if (!take(wire, size, &field->bytes)) return false;
    memcpy(&field->integer, field->bytes.data, size);
    return true;
}

bool wg__field_is_bytes(const wg__field *field, uint32_t number)
{
    return field->number == number && field->type == WG__LENGTH_AND_BYTES;
}

bool wg__field_is_integer(const wg__field *field, uint32_t number)
{
    return field->number == number && field->type == WG__VARINT;
}

double wg__field_float(const wg__field *field)
{
    float f = 0;
    double d = 0;
    memcpy(&f, &field->integer, sizeof f);
    memcpy(&d, &field->integer, sizeof d);
    return field->type == WG__EIGHT_BYTES ? d : (double)f;
}

wg__span wg__span_of(const char *text) { return (wg__span){(const uint8_t *)text, strlen(text)}; }

bool wg__span_equals(wg__span a, wg__span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool wg__span_is(wg__span span, const char *text) { return wg__span_equals(span, wg__span_of(text)); }
