/* The wire format of Protocol Buffers: see proto.h. Numbers are little-endian, as the machine is (status.h). */
#include "proto.h"

enum wire_type { VARINT = 0, EIGHT_BYTES = 1, LENGTH_AND_BYTES = 2, FOUR_BYTES = 5 };

/* Seven bits a byte, the lowest first; the highest bit: more bytes follow. */
static void put_varint(wg__bytes *b, uint64_t number)
{
    unsigned char bytes[10];
    size_t n = 0;
    do bytes[n++] = (unsigned char)((number & 127) | (number > 127 ? 128 : 0));
    while (number >>= 7);
    wg__bytes_put(b, bytes, n);
}

static void put_key(wg__bytes *b, int field, enum wire_type type)
{
    put_varint(b, (uint64_t)field << 3 | (uint64_t)type);
}

void wg__proto_integer(wg__bytes *b, int field, uint64_t number)
{
    put_key(b, field, VARINT);
    put_varint(b, number);
}

void wg__proto_double(wg__bytes *b, int field, double number)
{
    put_key(b, field, EIGHT_BYTES);
    wg__bytes_put(b, &number, sizeof number);
}

void wg__proto_float(wg__bytes *b, int field, float number)
{
    put_key(b, field, FOUR_BYTES);
    wg__bytes_put(b, &number, sizeof number);
}

void wg__proto_begin(wg__bytes *b, int field, uint64_t n)
{
    put_key(b, field, LENGTH_AND_BYTES);
    put_varint(b, n);
}

void wg__proto_bytes(wg__bytes *b, int field, const void *data, size_t n)
{
    wg__proto_begin(b, field, n);
    wg__bytes_put(b, data, n);
}

void wg__proto_doubles(wg__bytes *b, int field, const double *numbers, size_t n)
{
    wg__proto_bytes(b, field, numbers, n * sizeof *numbers);
}
