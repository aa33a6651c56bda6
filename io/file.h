/* Internal to io/: reading byte streams, atomic writes, and checks that several formats share.
 *
 * Room io: files from strangers, files that survive a crash, and batches of samples. It knows parameter sets and
 * optimizers by their public headers, the room base, and of a tape that data can be put on it; no op or layer. */
#ifndef WG_FILE_H
#define WG_FILE_H

#include "io.h"

/* The path as the beginning of a message, truncated so that the reason always fits. */
#define WG__AT "%.160s: "

/* ---- reading: plain files and, with zlib, gzipped ones ---- */

typedef struct wg__reader {
    const char *path;
    int fd;
    void *gz;            /* gzFile, or NULL */
    uint64_t file_size;  /* in bytes, on disk; 0 for a pipe */
    bool is_pipe, begun; /* begun: something was read, or the end */
} wg__reader;

/* Opens a file to be read as it is on disk. */
wg_status wg__reader_open_plain(wg__reader *reader, const char *path, wg_error *error);
/* The same for a descriptor that was opened with O_NONBLOCK; -1: errno has the reason. */
wg_status wg__reader_of(wg__reader *reader, int fd, const char *path, wg_error *error);
/* Opens a file to be decompressed if it is gzipped. */
wg_status wg__reader_open(wg__reader *reader, const char *path, wg_error *error);
/* Reads until it has size bytes or reaches the end; *got is the number of bytes read. */
wg_status wg__reader_read(wg__reader *reader, void *bytes, size_t size, size_t *got, wg_error *error);
void wg__reader_close(wg__reader *reader);
/* Reads at most `most` bytes, into memory that grows with what arrives: at most twice that, or the file's size. *bytes
 * is followed by a NUL, and is NULL on error; the caller frees it. */
wg_status wg__reader_take(wg__reader *reader, uint64_t most, char **bytes, size_t *size, wg_error *error);
/* Reads a whole file as it is on disk; WG_ERR_FORMAT if it has more than `limit` bytes. The caller frees *bytes, also
 * on error. */
wg_status wg__file_take(const char *path, uint64_t limit, char **bytes, size_t *size, wg_error *error);
/* Whether the stream is a file that is not gzipped: file_size bytes. */
bool wg__reader_is_plain(const wg__reader *reader);
/* The bytes that a stream may have unless the caller says otherwise: 64 times the file's size, at least 64 MiB; of a
 * pipe 1 GiB. (deflate compresses up to 1032 to 1, text and images about 4 to 1.) */
uint64_t wg__reader_limit(const wg__reader *reader);

/* Stores "path: action: reason" for errno: WG_ERR_IO, or WG_ERR_MEMORY. */
wg_status wg__system_error(wg_error *error, const char *path, const char *action);

/* ---- writing ---- */

typedef struct wg__piece {
    const void *data;
    size_t size;
} wg__piece;

/* Writes all bytes; false with errno set on an error. */
bool wg__write_all(int fd, const void *bytes, size_t size);

/* wg_file_write of what `write` writes to the descriptor. It returns false if it failed, with *reason set, or errno. */
typedef bool (*wg__write)(void *context, int fd, wg_error *reason);
wg_status wg__file_replace_by(const char *path, wg__write write, void *context, wg_error *error);
/* wg_file_write of the concatenation of the pieces. */
wg_status wg__file_replace(const char *path, const wg__piece *pieces, size_t n, wg_error *error);

/* ---- shared checks ---- */

/* CRC-32 (the polynomial of zlib and PNG), continued from crc; start from 0. */
uint32_t wg__crc32(uint32_t crc, const void *bytes, size_t size);
/* CRC-32C (Castagnoli's polynomial, of TFRecords). */
uint32_t wg__crc32c(uint32_t crc, const void *bytes, size_t size);

/* Reverses the bytes of each element of `size` bytes: big-endian to little-endian. */
void wg__reverse_each(void *bytes, size_t n, size_t size);

/* The offset of the first byte that is not part of well-formed UTF-8; size if there is none. */
size_t wg__utf8_error(const void *bytes, size_t size);

/* Whether a path that a file holds stays below the folder that it is relative to: UTF-8, not empty, not absolute, no
 * part "..", no NUL, no backslash. Symbolic links are the caller's concern. */
bool wg__path_is_below(const char *path, size_t n);

#endif
