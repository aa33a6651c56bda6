/* A reader of event files for tests, written from the formats' descriptions and not from the writer: TFRecord framing,
 * CRC-32C bit by bit, fields of Protocol Buffers. */
#ifndef WG_TEST_EVENT_FILE_H
#define WG_TEST_EVENT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct message {
    const unsigned char *at, *end;
} message;

typedef struct field {
    unsigned number, type;
    uint64_t integer; /* types 0, 1, 5: the value, or its bits */
    message bytes;    /* type 2 */
} field;

static inline uint32_t castagnoli(const unsigned char *bytes, size_t n)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++)
        for (int bit = 0; bit < 8; bit++) {
            const uint32_t odd = (crc ^ (uint32_t)(bytes[i] >> bit)) & 1;
            crc = crc >> 1 ^ (odd ? 0x82f63b78u : 0);
        }
    return ~crc;
}

static inline uint32_t masked(const unsigned char *bytes, size_t n)
{
    const uint32_t crc = castagnoli(bytes, n);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

static inline uint64_t little(const unsigned char *at, int n)
{
    uint64_t number = 0;
    while (n-- > 0) number = number << 8 | at[n];
    return number;
}

/* The next record of a file. Returns 1, 0 at the end, -1 if it is damaged or cut off. */
static inline int next_record(message *file, message *record)
{
    const size_t left = (size_t)(file->end - file->at);
    *record = (message){NULL, NULL};
    if (left == 0) return 0;
    if (left < 16 || masked(file->at, 8) != little(file->at + 8, 4)) return -1;
    const uint64_t length = little(file->at, 8);
    if (length > left - 16 || masked(file->at + 12, length) != little(file->at + 12 + length, 4)) return -1;
    *record = (message){file->at + 12, file->at + 12 + length};
    file->at += 16 + length;
    return 1;
}

static inline bool read_varint(message *m, uint64_t *number)
{
    *number = 0;
    for (int shift = 0; m->at < m->end && shift < 64; shift += 7) {
        const unsigned char c = *m->at++;
        *number |= (uint64_t)(c & 127) << shift;
        if (c < 128) return true;
    }
    return false;
}

/* The next field of a message. Returns 1, 0 at the end, -1 if it is none. */
static inline int next_field(message *m, field *f)
{
    uint64_t key, length;
    *f = (field){0};
    if (m->at == m->end) return 0;
    if (!read_varint(m, &key)) return -1;
    f->number = (unsigned)(key >> 3);
    f->type = key & 7;
    if (f->type == 0) return read_varint(m, &f->integer) ? 1 : -1;
    const int fixed = f->type == 1 ? 8 : f->type == 5 ? 4 : 0;
    if (fixed) {
        if (m->end - m->at < fixed) return -1;
        f->integer = little(m->at, fixed);
        m->at += fixed;
        return 1;
    }
    if (f->type != 2 || !read_varint(m, &length) || length > (uint64_t)(m->end - m->at)) return -1;
    f->bytes = (message){m->at, m->at + length};
    m->at += length;
    return 1;
}

/* The first field with this number; false if there is none, or the message is malformed before it. */
static inline bool find_field(message m, unsigned number, field *f)
{
    while (next_field(&m, f) == 1)
        if (f->number == number) return true;
    return false;
}

static inline double as_double(uint64_t bits)
{
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static inline float as_float(uint64_t bits)
{
    const uint32_t low = (uint32_t)bits;
    float number;
    memcpy(&number, &low, sizeof number);
    return number;
}

#endif
