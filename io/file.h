/* Internal to io/: reading byte streams, replacing files, and checks that several formats share. */
#ifndef WG_FILE_H
#define WG_FILE_H

#include "io.h"

/* Path and reason in one line, both short enough that neither pushes the other out. */
#define WG__AT "%.160s: "

/* ---- reading: plain files and, with zlib, gzipped ones ---- */

typedef struct wg__reader {
    const char *path;
    int fd;
    void *gz;           /* gzFile, or NULL */
    uint64_t file_size; /* bytes on disk; 0 for a pipe */
    bool is_pipe;
} wg__reader;

/* As it is on disk. */
wg_status wg__reader_open_plain(wg__reader *reader, const char *path, wg_error *error);
/* Unpacked where it is gzipped. */
wg_status wg__reader_open(wg__reader *reader, const char *path, wg_error *error);
/* Reads until size bytes or the end; *got tells how many. */
wg_status wg__reader_read(wg__reader *reader, void *bytes, size_t size, size_t *got, wg_error *error);
void wg__reader_close(wg__reader *reader);
/* More bytes than this the stream cannot hold: deflate packs at most 1032 to 1. */
uint64_t wg__reader_limit(const wg__reader *reader);

/* ---- writing ---- */

typedef struct wg__piece {
    const void *data;
    size_t size;
} wg__piece;

/* Replaces the file by the pieces, one after the other: wg_file_write. */
wg_status wg__file_replace(const char *path, const wg__piece *pieces, size_t n, wg_error *error);

/* ---- shared checks ---- */

/* CRC-32 (the polynomial of zlib and PNG), continued from crc; start from 0. */
uint32_t wg__crc32(uint32_t crc, const void *bytes, size_t size);

/* Offset of the first byte that does not belong to well-formed UTF-8; size if there is none. */
size_t wg__utf8_error(const void *bytes, size_t size);

#endif
