/* Reading files, with transparent gzip decompression; checks that formats share. */
#include "file.h"

#include "../autograd/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef WG_HAVE_ZLIB
#include <zlib.h>
#endif

wg_status wg__system_error(wg_error *error, const char *path, const char *action)
{
    char text[96];
    const int code = errno;
    /* GNU's strerror_r returns the text; POSIX' returns a number and fills the buffer. */
    const char *reason = _Generic(strerror_r(code, text, sizeof text),
        char *: (const char *)(intptr_t)strerror_r(code, text, sizeof text),
        default: strerror_r(code, text, sizeof text) == 0 ? text : "unknown error");
    return wg_error_set(error, code == ENOMEM ? WG_ERR_MEMORY : WG_ERR_IO, WG__AT "%s: %s", path, action, reason);
}

/* ---- reading ---- */

wg_status wg__reader_of(wg__reader *reader, int fd, const char *path, wg_error *error)
{
    *reader = (wg__reader){.path = path, .fd = fd};
    if (fd < 0) return wg__system_error(error, path, "cannot open");
    struct stat info;
    if (fstat(reader->fd, &info) != 0) {
        wg__system_error(error, path, "cannot stat");
        wg__reader_close(reader);
        return WG_ERR_IO;
    }
    reader->is_pipe = S_ISFIFO(info.st_mode);
    if (!reader->is_pipe && !S_ISREG(info.st_mode)) {
        wg__reader_close(reader);
        return wg_error_set(error, WG_ERR_IO, WG__AT "%s", path,
                            S_ISDIR(info.st_mode) ? "is a directory" : "is not a regular file");
    }
    const int flags = fcntl(reader->fd, F_GETFL);
    if (flags < 0 || fcntl(reader->fd, F_SETFL, flags & ~O_NONBLOCK) != 0) {
        wg__system_error(error, path, "cannot open");
        wg__reader_close(reader);
        return WG_ERR_IO;
    }
    reader->file_size = (uint64_t)info.st_size;
    return WG_OK;
}

/* Without O_NONBLOCK, the open of a pipe waits for a writer. */
wg_status wg__reader_open_plain(wg__reader *reader, const char *path, wg_error *error)
{
    *reader = (wg__reader){.path = path, .fd = -1};
    if (!path || !*path) return wg_error_set(error, WG_ERR_ARGUMENT, "no file name given");
    return wg__reader_of(reader, open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), path, error);
}

wg_status wg__reader_open(wg__reader *reader, const char *path, wg_error *error)
{
    wg_status status = wg__reader_open_plain(reader, path, error);
    if (status != WG_OK) return status;
#ifdef WG_HAVE_ZLIB
    reader->gz = gzdopen(reader->fd, "rb"); /* passes files through that are not gzipped */
    if (!reader->gz) {
        wg__reader_close(reader);
        return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", path);
    }
#else
    uint8_t magic[2]; /* pread fails for a pipe, which is read as it is */
    if (pread(reader->fd, magic, 2, 0) == 2 && magic[0] == 0x1f && magic[1] == 0x8b) {
        wg__reader_close(reader);
        return wg_error_set(error, WG_ERR_FORMAT,
                            WG__AT "gzipped, and this library was built without zlib: gunzip it", path);
    }
#endif
    return WG_OK;
}

void wg__reader_close(wg__reader *reader)
{
#ifdef WG_HAVE_ZLIB
    if (reader->gz) {
        gzclose(reader->gz); /* closes fd */
        reader->fd = -1;
    }
#endif
    if (reader->fd >= 0) close(reader->fd);
    *reader = (wg__reader){.fd = -1};
}

/* One read; *got is 0 at the end of the file. */
static wg_status read_some(wg__reader *reader, void *bytes, size_t size, size_t *got, wg_error *error)
{
    size_t part = size < (1u << 30) ? size : 1u << 30;
    ssize_t n;
#ifdef WG_HAVE_ZLIB
    if (reader->gz) {
        int code = Z_OK;
        n = gzread(reader->gz, bytes, (unsigned)part);
        const char *reason = gzerror(reader->gz, &code);
        if (code == Z_ERRNO) return wg__system_error(error, reader->path, "cannot read");
        if (code == Z_MEM_ERROR) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", reader->path);
        if (n < 0 || (code != Z_OK && code != Z_STREAM_END))
            return wg_error_set(error, WG_ERR_FORMAT, WG__AT "damaged gzip file: %s", reader->path, reason);
        *got = (size_t)n;
        return WG_OK;
    }
#endif
    do n = read(reader->fd, bytes, part);
    while (n < 0 && errno == EINTR);
    if (n < 0) return wg__system_error(error, reader->path, "cannot read");
    *got = (size_t)n;
    return WG_OK;
}

/* Neither data nor the end of a pipe: its writer is slow, or nobody has opened it to write. */
static bool nothing_for_a_second(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, 1000) == 0;
}

wg_status wg__reader_read(wg__reader *reader, void *bytes, size_t size, size_t *got, wg_error *error)
{
    *got = 0;
    while (*got < size) {
        size_t part = 0;
        const bool is_silent = reader->is_pipe && !reader->begun && nothing_for_a_second(reader->fd);
        wg_status status = read_some(reader, (char *)bytes + *got, size - *got, &part, error);
        if (status != WG_OK) return status;
        if (part == 0 && is_silent)
            return wg_error_set(error, WG_ERR_IO, WG__AT "is a pipe that nobody writes to", reader->path);
        reader->begun = true;
        if (part == 0) break;
        *got += part;
    }
    return WG_OK;
}

wg_status wg__reader_take(wg__reader *reader, uint64_t most, char **bytes, size_t *size, wg_error *error)
{
    enum { LEAST = 1 << 16 };
    if (most > SIZE_MAX / 4) most = SIZE_MAX / 4;
    /* One byte more than the file has shows that it ends there. */
    uint64_t room = wg__reader_is_plain(reader) && reader->file_size >= LEAST ? reader->file_size + 1 : LEAST;
    *bytes = NULL;
    *size = 0;
    for (;; room *= 2) {
        if (room > most) room = most;
        size_t got = 0;
        char *grown = realloc(*bytes, (size_t)room + 1);
        if (grown) *bytes = grown;
        wg_status status = grown ? wg__reader_read(reader, grown + *size, (size_t)room - *size, &got, error)
                                 : wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", reader->path);
        if (!grown || status != WG_OK) {
            free(*bytes);
            *bytes = NULL;
            return status;
        }
        *size += got;
        grown[*size] = 0;
        if (*size < room || room == most) return WG_OK;
    }
}

bool wg__reader_is_plain(const wg__reader *reader)
{
    if (reader->is_pipe) return false; /* gzdirect would read */
#ifdef WG_HAVE_ZLIB
    if (reader->gz) return gzdirect(reader->gz);
#endif
    return true;
}

uint64_t wg__reader_limit(const wg__reader *reader)
{
    if (reader->is_pipe) return 1ull << 30;
    if (reader->file_size > UINT64_MAX / 64) return UINT64_MAX;
    return reader->file_size > 1 << 20 ? 64 * reader->file_size : 64 << 20;
}

wg_status wg__file_take(const char *path, uint64_t limit, char **bytes, size_t *size, wg_error *error)
{
    wg__reader reader;
    *bytes = NULL;
    *size = 0;
    wg_status status = wg__reader_open_plain(&reader, path, error);
    if (status != WG_OK) return status;
    /* One byte more than the limit shows that the file is longer. */
    status = wg__reader_take(&reader, limit < UINT64_MAX ? limit + 1 : limit, bytes, size, error);
    wg__reader_close(&reader);
    if (status == WG_OK && *size > limit)
        status = wg_error_set(error, WG_ERR_FORMAT, WG__AT "a file of more than %llu bytes, the limit", path,
                              (unsigned long long)limit);
    return status;
}

/* ---- shared checks ---- */

static uint32_t crc_of(uint32_t polynomial, uint32_t crc, const void *bytes, size_t size)
{
    uint32_t table[256];
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t r = i;
        for (int bit = 0; bit < 8; bit++) r = (r >> 1) ^ (r & 1 ? polynomial : 0);
        table[i] = r;
    }
    const unsigned char *p = bytes;
    crc = ~crc;
    for (size_t i = 0; i < size; i++) crc = (crc >> 8) ^ table[(crc ^ p[i]) & 255];
    return ~crc;
}

/* zlib's is several times as fast. */
uint32_t wg__crc32(uint32_t crc, const void *bytes, size_t size)
{
#ifdef WG_HAVE_ZLIB
    return size > 0 ? (uint32_t)crc32_z(crc, bytes, size) : crc;
#else
    return crc_of(0xEDB88320u, crc, bytes, size);
#endif
}

uint32_t wg__crc32c(uint32_t crc, const void *bytes, size_t size) { return crc_of(0x82F63B78u, crc, bytes, size); }

void wg__reverse_each(void *bytes, size_t n, size_t size)
{
    unsigned char *p = bytes;
    for (size_t at = 0; size > 1 && at + size <= n; at += size)
        for (size_t i = 0; i < size / 2; i++) {
            const unsigned char t = p[at + i];
            p[at + i] = p[at + size - 1 - i];
            p[at + size - 1 - i] = t;
        }
}

size_t wg__utf8_error(const void *bytes, size_t size)
{
    const char *p = bytes;
    for (size_t i = 0, length; i < size; i += length) {
        length = (unsigned char)p[i] < 0x80 ? 1 : wg__utf8_length(p + i, size - i);
        if (length == 0) return i;
    }
    return size;
}

bool wg__path_is_below(const char *path, size_t n)
{
    if (n == 0 || path[0] == '/' || memchr(path, 0, n) || memchr(path, '\\', n) || wg__utf8_error(path, n) < n)
        return false;
    for (size_t i = 0; i + 1 < n; i++) {
        const bool begins = i == 0 || path[i - 1] == '/', ends = i + 2 == n || path[i + 2] == '/';
        if (path[i] == '.' && path[i + 1] == '.' && begins && ends) return false;
    }
    return true;
}
