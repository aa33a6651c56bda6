/* Reading files, with transparent gzip decompression, and replacing them atomically.
 *
 * The writer uses the sequence of databases: temporary file in the same directory, write, fsync, rename, fsync of the
 * directory. A failed fsync is final, because the kernel may have dropped the pages that it could not write. */
#include "file.h"

#include "../autograd/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef WG_HAVE_ZLIB
#include <zlib.h>
#endif

static wg_status system_error(wg_error *error, const char *path, const char *action)
{
    char text[96];
    int code = errno;
    return wg_error_set(error, code == ENOMEM ? WG_ERR_MEMORY : WG_ERR_IO, WG__AT "%s: %s", path, action,
                        strerror_r(code, text, sizeof text));
}

/* ---- reading ---- */

wg_status wg__reader_open_plain(wg__reader *reader, const char *path, wg_error *error)
{
    *reader = (wg__reader){.path = path, .fd = -1};
    if (!path || !*path) return wg_error_set(error, WG_ERR_ARGUMENT, "no file name given");
    reader->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (reader->fd < 0) return system_error(error, path, "cannot open");
    struct stat info;
    if (fstat(reader->fd, &info) != 0) {
        system_error(error, path, "cannot stat");
        wg__reader_close(reader);
        return WG_ERR_IO;
    }
    reader->is_pipe = S_ISFIFO(info.st_mode);
    if (!reader->is_pipe && !S_ISREG(info.st_mode)) {
        wg__reader_close(reader);
        return wg_error_set(error, WG_ERR_IO, WG__AT "%s", path,
                            S_ISDIR(info.st_mode) ? "is a directory" : "is not a regular file");
    }
    reader->file_size = (uint64_t)info.st_size;
    return WG_OK;
}

wg_status wg__reader_open(wg__reader *reader, const char *path, wg_error *error)
{
    wg_status status = wg__reader_open_plain(reader, path, error);
#ifdef WG_HAVE_ZLIB
    if (status != WG_OK) return status;
    reader->gz = gzdopen(reader->fd, "rb"); /* passes files through that are not gzipped */
    if (!reader->gz) {
        wg__reader_close(reader);
        return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", path);
    }
#endif
    return status;
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
        if (code == Z_ERRNO) return system_error(error, reader->path, "cannot read");
        if (code == Z_MEM_ERROR) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", reader->path);
        if (n < 0 || (code != Z_OK && code != Z_STREAM_END))
            return wg_error_set(error, WG_ERR_FORMAT, WG__AT "damaged gzip file: %s", reader->path, reason);
        *got = (size_t)n;
        return WG_OK;
    }
#endif
    do n = read(reader->fd, bytes, part);
    while (n < 0 && errno == EINTR);
    if (n < 0) return system_error(error, reader->path, "cannot read");
    *got = (size_t)n;
    return WG_OK;
}

wg_status wg__reader_read(wg__reader *reader, void *bytes, size_t size, size_t *got, wg_error *error)
{
    *got = 0;
    while (*got < size) {
        size_t part = 0;
        wg_status status = read_some(reader, (char *)bytes + *got, size - *got, &part, error);
        if (status != WG_OK) return status;
        if (part == 0) break;
        *got += part;
    }
    return WG_OK;
}

uint64_t wg__reader_limit(const wg__reader *reader)
{
    if (reader->is_pipe || reader->file_size > UINT64_MAX / 1032) return UINT64_MAX;
#ifdef WG_HAVE_ZLIB
    return reader->file_size * 1032;
#else
    return reader->file_size;
#endif
}

/* ---- writing ---- */

static bool write_all(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;
    while (size > 0) {
        ssize_t part = write(fd, at, size < (1u << 30) ? size : 1u << 30);
        if (part < 0 && errno == EINTR) continue;
        if (part <= 0) {
            if (part == 0) errno = EIO;
            return false;
        }
        at += part;
        size -= (size_t)part;
    }
    return true;
}

/* The path to replace: of a symbolic link, its target. Rejects a device, since a rename would replace it by a file. */
static wg_status find_target(const char *path, char target[PATH_MAX], wg_error *error)
{
    struct stat info;
    if (!path || !*path) return wg_error_set(error, WG_ERR_ARGUMENT, "no file name given");
    if (strlen(path) >= PATH_MAX - 32) return wg_error_set(error, WG_ERR_IO, WG__AT "file name is too long", path);
    if (stat(path, &info) == 0) {
        if (!S_ISREG(info.st_mode))
            return wg_error_set(error, WG_ERR_IO, WG__AT "%s", path,
                                S_ISDIR(info.st_mode) ? "is a directory" : "is not a regular file");
        if (!realpath(path, target)) return system_error(error, path, "cannot resolve");
        if (strlen(target) >= PATH_MAX - 32)
            return wg_error_set(error, WG_ERR_IO, WG__AT "file name is too long", path);
        return WG_OK;
    }
    if (errno != ENOENT) return system_error(error, path, "cannot stat");
    strcpy(target, path);
    return WG_OK;
}

enum { TEMPORARY_SIZE = PATH_MAX + 64 };

/* Creates a temporary file with a unique name in the target's directory. */
static int open_temporary(const char *target, char temporary[TEMPORARY_SIZE])
{
    for (unsigned attempt = 0; attempt < 1000; attempt++) {
        snprintf(temporary, TEMPORARY_SIZE, "%s.tmp-%ld-%u", target, (long)getpid(), attempt);
        int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

/* Copies the permissions of the target to the temporary file, before anything is written to it. */
static void copy_mode(int fd, const char *target)
{
    struct stat info;
    if (stat(target, &info) == 0) (void)fchmod(fd, info.st_mode & 0777);
}

/* Makes the rename durable. File systems that cannot sync a directory return EINVAL and need no sync. */
static bool sync_directory(const char *target)
{
    char directory[PATH_MAX];
    strcpy(directory, target);
    int fd = open(dirname(directory), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return false;
    bool ok = fsync(fd) == 0 || errno == EINVAL;
    int code = errno;
    close(fd);
    errno = code;
    return ok;
}

wg_status wg__file_replace(const char *path, const wg__piece *pieces, size_t n, wg_error *error)
{
    char target[PATH_MAX], temporary[TEMPORARY_SIZE];
    wg_status status = find_target(path, target, error);
    if (status != WG_OK) return status;
    int fd = open_temporary(target, temporary);
    if (fd < 0) return system_error(error, path, "cannot create");
    copy_mode(fd, target);

    const char *failed = NULL;
    for (size_t i = 0; i < n && !failed; i++)
        if (!write_all(fd, pieces[i].data, pieces[i].size)) failed = "cannot write";
    if (!failed && fsync(fd) != 0) failed = "cannot sync to disk";
    if (failed) status = system_error(error, path, failed);
    if (close(fd) != 0 && !failed) status = system_error(error, path, failed = "cannot write");
    if (!failed && rename(temporary, target) != 0) status = system_error(error, path, failed = "cannot rename");
    if (failed) {
        unlink(temporary);
        return status;
    }
    if (!sync_directory(target)) return system_error(error, path, "written, but cannot sync its directory");
    return WG_OK;
}

wg_status wg_file_write(const char *path, const void *bytes, size_t size, wg_error *error)
{
    return wg__file_replace(path, &(wg__piece){bytes, size}, 1, error);
}

/* ---- shared checks ---- */

uint32_t wg__crc32(uint32_t crc, const void *bytes, size_t size)
{
    uint32_t table[256];
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t r = i;
        for (int bit = 0; bit < 8; bit++) r = (r >> 1) ^ (r & 1 ? 0xEDB88320u : 0);
        table[i] = r;
    }
    const unsigned char *p = bytes;
    crc = ~crc;
    for (size_t i = 0; i < size; i++) crc = (crc >> 8) ^ table[(crc ^ p[i]) & 255];
    return ~crc;
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
