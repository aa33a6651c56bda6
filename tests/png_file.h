/* Checks a PNG file chunk by chunk, with a CRC bit by bit. The picture is inflated by zlib or, in a build without it,
 * read from stored blocks. */
#ifndef WG_TEST_PNG_FILE_H
#define WG_TEST_PNG_FILE_H

#include "check.h"
#include "event_file.h"
#ifdef WG_HAVE_ZLIB
#include <zlib.h>
#endif

static inline uint32_t big(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline uint32_t crc_of_chunk(const unsigned char *bytes, size_t n)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* Inflates a zlib stream: by zlib, or of stored blocks. */
static inline size_t inflated(const unsigned char *in, size_t n, unsigned char *out, size_t room)
{
#ifdef WG_HAVE_ZLIB
    uLongf got = room;
    CHECK(uncompress(out, &got, in, n) == Z_OK);
    return got;
#else
    size_t got = 0, at = 2;
    for (bool last = false; !last;) {
        const size_t length = in[at + 1] | (size_t)in[at + 2] << 8;
        CHECK(at + 5 + length <= n && (in[at + 3] | (size_t)in[at + 4] << 8) == (length ^ 0xffff));
        if (!CHECK(got + length <= room)) return 0;
        memcpy(out + got, in + at + 5, length);
        last = in[at] & 1;
        got += length;
        at += 5 + length;
    }
    return got;
#endif
}

static inline void expect_png(message png, const uint8_t *pixels, uint32_t height, uint32_t width, int channels)
{
    static unsigned char rows[1 << 21];
    static const int colour_types[] = {0, 0, 0, 2, 6};
    const size_t row = (size_t)width * (size_t)channels;
    if (!CHECK(png.end - png.at > 45 && !memcmp(png.at, "\x89PNG\r\n\x1a\n", 8))) return;
    png.at += 8;
    for (int i = 0; i < 3; i++) {
        const size_t length = big(png.at);
        const unsigned char *data = png.at + 8;
        CHECK(!memcmp(png.at + 4, i == 0 ? "IHDR" : i == 1 ? "IDAT" : "IEND", 4));
        CHECK(big(data + length) == crc_of_chunk(data - 4, length + 4));
        if (i == 0)
            CHECK(length == 13 && big(data) == width && big(data + 4) == height && data[8] == 8 &&
                  data[9] == colour_types[channels] && !data[10] && !data[11] && !data[12]);
        if (i == 1) CHECK(inflated(data, length, rows, sizeof rows) == height * (row + 1));
        png.at = data + length + 4;
    }
    CHECK(png.at == png.end);
    for (uint32_t y = 0; y < height; y++)
        CHECK(rows[y * (row + 1)] == 0 && !memcmp(rows + y * (row + 1) + 1, pixels + y * row, row));
}

#endif
