/* The bytes of a member of a zip archive, stored or deflated: see zip.h. */
#include "zip.h"

#include <stdlib.h>
#include <string.h>
#ifdef WG_HAVE_ZLIB
#include <zlib.h>

struct wg__inflate {
    z_stream stream;
    unsigned char buffer[1 << 16]; /* of deflated bytes */
};
#endif

static wg_status fail(const wg__zip *zip, wg_error *error, const char *reason)
{
    return wg_error_set(error, WG_ERR_FORMAT, WG__AT "member %.100s %s", zip->source->path, zip->member->name,
                        reason);
}

#ifdef WG_HAVE_ZLIB
static wg_status no_memory(const wg__zip *zip, wg_error *error)
{
    return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", zip->source->path);
}

static wg_status inflate_begin(wg__zip *zip, wg_error *error)
{
    if (zip->inflate) return inflateReset(&zip->inflate->stream) == Z_OK ? WG_OK : no_memory(zip, error);
    zip->inflate = calloc(1, sizeof *zip->inflate);
    if (!zip->inflate) return no_memory(zip, error);
    if (inflateInit2(&zip->inflate->stream, -MAX_WBITS) == Z_OK) return WG_OK; /* no header of gzip or zlib */
    free(zip->inflate);
    zip->inflate = NULL;
    return no_memory(zip, error);
}

/* Decompresses until n bytes are there. */
static wg_status inflate_some(wg__zip *zip, char *to, size_t n, wg_error *error)
{
    z_stream *s = &zip->inflate->stream;
    int code = Z_OK;
    while (n > 0) {
        if (s->avail_in == 0 && zip->packed_left > 0) {
            const size_t part =
                zip->packed_left < sizeof zip->inflate->buffer ? zip->packed_left : sizeof zip->inflate->buffer;
            wg_status status =
                wg__source_read(zip->source, zip->member->at + zip->member->packed - zip->packed_left,
                                zip->inflate->buffer, part, error);
            if (status != WG_OK) return status;
            zip->packed_left -= part;
            s->next_in = zip->inflate->buffer;
            s->avail_in = (unsigned)part;
        }
        const unsigned room = n < (1u << 30) ? (unsigned)n : 1u << 30;
        s->next_out = (unsigned char *)to;
        s->avail_out = room;
        if (code == Z_STREAM_END) return fail(zip, error, "is shorter than it says");
        code = inflate(s, Z_NO_FLUSH);
        if (code == Z_MEM_ERROR) return no_memory(zip, error);
        if (code != Z_OK && code != Z_STREAM_END)
            return fail(zip, error, "is damaged: its deflated bytes are invalid");
        to += room - s->avail_out;
        n -= room - s->avail_out;
    }
    return WG_OK;
}
#endif

wg_status wg__zip_begin(wg__zip *zip, const wg__member *member, wg_error *error)
{
    zip->member = member;
    zip->left = member->size;
    zip->packed_left = member->packed;
    zip->crc = 0;
#ifdef WG_HAVE_ZLIB
    if (member->deflated) {
        wg_status status = inflate_begin(zip, error);
        if (status != WG_OK) return status;
        zip->inflate->stream.avail_in = 0;
    }
#endif
    return WG_OK;
}

wg_status wg__zip_take(wg__zip *zip, void *to, size_t n, wg_error *error)
{
    wg_status status = WG_OK;
    if (n > zip->left) return fail(zip, error, "is truncated");
#ifdef WG_HAVE_ZLIB
    if (zip->member->deflated) status = inflate_some(zip, to, n, error);
#endif
    if (!zip->member->deflated)
        status = wg__source_read(zip->source, zip->member->at + zip->member->size - zip->left, to, n, error);
    if (status != WG_OK) return status;
    zip->left -= n;
    zip->crc = wg__crc32(zip->crc, to, n);
    return WG_OK;
}

wg_status wg__zip_end(wg__zip *zip, wg_error *error)
{
    if (zip->left > 0) return fail(zip, error, "is longer than its contents say");
    if (zip->crc != zip->member->crc) return fail(zip, error, "is damaged: checksum mismatch");
    return WG_OK;
}

void wg__zip_close(wg__zip *zip)
{
#ifdef WG_HAVE_ZLIB
    if (zip->inflate) inflateEnd(&zip->inflate->stream);
    free(zip->inflate);
#endif
    free(zip->directory);
    free(zip->members);
    *zip = (wg__zip){0};
}
