/* Text files: reading, mapping, UTF-8 validation. */
#include "file.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static wg_status check_text(const wg_text *text, const char *path, wg_error *error)
{
    size_t bad = wg__utf8_error(text->bytes, text->size);
    for (size_t i = 0; i < bad; i++) {
        unsigned char c = (unsigned char)text->bytes[i];
        if (c == 127 || (c < 32 && c != '\t' && c != '\n' && c != '\f' && c != '\r')) bad = i;
    }
    if (bad == text->size) return WG_OK;
    return wg_error_set(error, WG_ERR_FORMAT, WG__AT "not a text file: byte 0x%02x at offset %zu", path,
                        (unsigned char)text->bytes[bad], bad);
}

static wg_status read_text(wg__reader *reader, wg_text *text, uint64_t limit, wg_error *error)
{
    size_t extra;
    char one;
    wg_status status = wg__reader_take(reader, limit, &text->bytes, &text->size, error);
    if (status != WG_OK || text->size < limit) return status;
    status = wg__reader_read(reader, &one, 1, &extra, error);
    if (status != WG_OK || !extra) return status;
    return wg_error_set(error, WG_ERR_FORMAT,
                        WG__AT "has more than %llu bytes of text; wg_text_read_limited sets the limit",
                        reader->path, (unsigned long long)limit);
}

/* ---- mapping ---- */

/* A file without a name next to the text, or in /var/tmp: -1 if there is none. */
static int open_unnamed(const char *path)
{
    char folder[PATH_MAX];
    if (strlen(path) >= sizeof folder) return -1;
    strcpy(folder, path);
    const int fd = open(dirname(folder), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

/* Copies the text to the file, and maps that; an empty text is not mapped. */
static wg_status map_copy(wg__reader *reader, int fd, wg_text *text, uint64_t limit)
{
    enum { PART = 1 << 16 };
    char part[PART];
    uint64_t size = 0;
    for (size_t got = PART; got == PART; size += got) {
        wg_status status = wg__reader_read(reader, part, PART, &got, NULL);
        if (status != WG_OK) return status;
        if (got > limit - size || got > SIZE_MAX / 2 - size) return WG_ERR_FORMAT;
        if (!wg__write_all(fd, part, got)) return WG_ERR_IO;
    }
    if (size == 0) return wg__reader_take(reader, 0, &text->bytes, &text->size, NULL);
    void *bytes = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) return WG_ERR_IO;
    *text = (wg_text){.bytes = bytes, .size = (size_t)size, .mapped = true};
    return WG_OK;
}

/* ---- the functions ---- */

static wg_status load(const char *path, bool map, uint64_t limit, wg_text *text, wg_error *error)
{
    if (!text) return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "text is NULL", path ? path : "");
    *text = (wg_text){0};
    wg__reader reader;
    wg_status status = wg__reader_open(&reader, path, error);
    if (status != WG_OK) return status;
    if (limit == 0) limit = wg__reader_limit(&reader);
    const int fd = map && !reader.is_pipe ? open_unnamed(path) : -1;
    status = fd >= 0 ? map_copy(&reader, fd, text, limit) : read_text(&reader, text, limit, error);
    if (fd >= 0) close(fd);
    if (fd >= 0 && status != WG_OK) { /* no room on the disk, or an error that reading reports */
        wg__reader_close(&reader);
        return load(path, false, limit, text, error);
    }
    if (status == WG_OK) status = check_text(text, path, error);
    wg__reader_close(&reader);
    if (status != WG_OK) wg_text_fini(text);
    return status;
}

wg_status wg_text_read(const char *path, wg_text *text, wg_error *error)
{
    return load(path, false, 0, text, error);
}

wg_status wg_text_read_limited(const char *path, uint64_t limit, wg_text *text, wg_error *error)
{
    return load(path, false, limit, text, error);
}

wg_status wg_text_map(const char *path, wg_text *text, wg_error *error) { return load(path, true, 0, text, error); }

void wg_text_fini(wg_text *text)
{
    if (!text) return;
    if (text->mapped)
        munmap(text->bytes, text->size);
    else
        free(text->bytes);
    *text = (wg_text){0};
}
