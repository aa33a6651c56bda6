/* A PNG writer: no filters, one IDAT chunk. A build without zlib stores the rows uncompressed, which every reader
 * accepts (RFC 1951, 3.2.4). */
#include "png_write.h"

#include "file.h"

#include <string.h>
#ifdef WG_HAVE_ZLIB
#include <zlib.h>
#endif

bool wg__png_check(const uint8_t *pixels, int64_t height, int64_t width, int channels, const char *what,
                   wg_error *error)
{
    if (!pixels)
        wg_error_set(error, WG_ERR_ARGUMENT, "%s: pixels is NULL", what);
    else if (channels != 1 && channels != 3 && channels != 4)
        wg_error_set(error, WG_ERR_ARGUMENT, "%s: %d channels: must be 1 (grey), 3 (RGB) or 4 (RGBA)", what,
                     channels);
    else if (height < 1 || width < 1 || height > WG__PNG_SIDE || width > WG__PNG_SIDE ||
             height * width * channels > WG__PNG_BYTES)
        wg_error_set(error, WG_ERR_ARGUMENT,
                     "%s: %lld x %lld pixels: a side must be from 1 to %d, and all must fit into %lld MiB", what,
                     (long long)height, (long long)width, WG__PNG_SIDE, (long long)(WG__PNG_BYTES >> 20));
    else
        return true;
    return false;
}

static void put_u32(char *to, uint32_t number)
{
    for (int i = 0; i < 4; i++) to[i] = (char)(number >> (24 - 8 * i) & 255);
}

/* ---- chunks: length, type, data, CRC-32 of type and data ---- */

static size_t chunk_begin(wg__bytes *out, const char *type)
{
    wg__bytes_put(out, "\0\0\0\0", 4);
    wg__bytes_put(out, type, 4);
    return out->size;
}

static void chunk_end(wg__bytes *out, size_t begin)
{
    char *crc = wg__bytes_more(out, 4);
    if (!crc) return;
    put_u32(out->data + begin - 8, (uint32_t)(out->size - 4 - begin));
    put_u32(crc, wg__crc32(0, out->data + begin - 4, out->size - begin));
}

/* ---- the rows as a zlib stream (RFC 1950) ---- */

#ifdef WG_HAVE_ZLIB
static void put_stream(wg__bytes *out, const char *rows, size_t size)
{
    const size_t before = out->size;
    uLongf got = compressBound(size);
    char *to = wg__bytes_more(out, got);
    if (!to) return;
    if (compress2((Bytef *)to, &got, (const Bytef *)rows, size, 6) != Z_OK) out->failed = true; /* no memory */
    out->size = before + got;
}
#else
static uint32_t adler32(const char *bytes, size_t size)
{
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < size; i++) {
        a = (a + (unsigned char)bytes[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

static void put_stream(wg__bytes *out, const char *rows, size_t size)
{
    enum { MOST = 65535 };
    char sum[4];
    wg__bytes_put(out, "\x78\x01", 2);
    for (size_t at = 0; at < size;) {
        const size_t n = size - at < MOST ? size - at : MOST;
        const unsigned char head[5] = {at + n == size, n & 255, n >> 8, ~n & 255, ~n >> 8 & 255};
        wg__bytes_put(out, head, sizeof head);
        wg__bytes_put(out, rows + at, n);
        at += n;
    }
    put_u32(sum, adler32(rows, size));
    wg__bytes_put(out, sum, sizeof sum);
}
#endif

void wg__png_put(wg__bytes *out, const uint8_t *pixels, int64_t height, int64_t width, int channels)
{
    static const char colour_types[] = {0, 0, 0, 2, 6}; /* by channels */
    char head[13] = {0};
    put_u32(head, (uint32_t)width);
    put_u32(head + 4, (uint32_t)height);
    head[8] = 8; /* bits of a channel */
    head[9] = colour_types[channels];
    wg__bytes_put(out, "\x89PNG\r\n\x1a\n", 8);
    size_t begin = chunk_begin(out, "IHDR");
    wg__bytes_put(out, head, sizeof head);
    chunk_end(out, begin);

    wg__bytes rows = {0};
    const size_t row = (size_t)(width * channels);
    for (int64_t y = 0; y < height; y++) {
        wg__bytes_put(&rows, "\0", 1); /* filter: none */
        wg__bytes_put(&rows, pixels + (size_t)y * row, row);
    }
    out->failed |= rows.failed;
    begin = chunk_begin(out, "IDAT");
    if (!out->failed) put_stream(out, rows.data, rows.size);
    chunk_end(out, begin);
    wg__bytes_fini(&rows);
    chunk_end(out, chunk_begin(out, "IEND"));
}
