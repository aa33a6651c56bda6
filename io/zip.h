/* Internal to io/: reads the members of a zip archive (PKWARE's APPNOTE 6.3.10), the container of .npz and .pt.
 *
 * It is our own, not libzip or minizip, for the promises of io.h: both allocate what a directory of a stranger says,
 * neither refuses members that overlap, and both need zlib even for stored members, which is all that PyTorch and NumPy
 * write; libzip, moreover, links five compression and crypto libraries. The writer (npy_write.c) goes through
 * wg__file_replace_by, which neither can. Deflated members are decompressed by zlib.
 *
 * The directory at the end of the file is the truth. Refused are: archives in several parts, encrypted members, other
 * methods, members that overlap each other or the directory, two of one name, names that leave a folder, and members
 * whose sizes deflate cannot reach. Nothing is ever extracted to a path. */
#ifndef WG_ZIP_H
#define WG_ZIP_H

#include "tensors.h"

#include <string.h>

typedef struct wg__member {
    char *name; /* NUL-terminated, UTF-8, see wg__path_is_below */
    uint64_t begin, at, packed,
        size; /* offsets of its header and of its bytes; bytes in the file, and decompressed */
    uint32_t crc;
    bool deflated;
} wg__member;

typedef struct wg__zip {
    wg__source *source;
    char *directory;
    wg__member *members; /* sorted by name */
    size_t n;
    uint64_t total;  /* bytes of all members, decompressed: within the limit of wg__reader_limit */
    uint64_t stored; /* bytes of those that are not deflated: at most the file's size */
    /* The member that is being read. */
    const wg__member *member;
    uint64_t left, packed_left; /* bytes to come */
    uint32_t crc;
    struct wg__inflate *inflate; /* NULL until the first deflated member */
} wg__zip;

wg_status wg__zip_open(wg__zip *zip, wg__source *source, wg_error *error);
void wg__zip_close(wg__zip *zip);
/* NULL if there is none. */
const wg__member *wg__zip_find(const wg__zip *zip, const char *name);

/* Starts to read a member; reads exactly n bytes of it; checks that none is left, and its CRC-32. */
wg_status wg__zip_begin(wg__zip *zip, const wg__member *member, wg_error *error);
wg_status wg__zip_take(wg__zip *zip, void *to, size_t n, wg_error *error);
wg_status wg__zip_end(wg__zip *zip, wg_error *error);

/* Little-endian numbers. */
static inline uint16_t wg__get16(const void *p)
{
    uint16_t x;
    return memcpy(&x, p, sizeof x), x;
}
static inline uint32_t wg__get32(const void *p)
{
    uint32_t x;
    return memcpy(&x, p, sizeof x), x;
}
static inline uint64_t wg__get64(const void *p)
{
    uint64_t x;
    return memcpy(&x, p, sizeof x), x;
}

/* The beginnings of a zip archive's records, and their sizes without what varies. */
enum {
    WG__ZIP_LOCAL = 0x04034b50,
    WG__ZIP_CENTRAL = 0x02014b50,
    WG__ZIP_END = 0x06054b50,
    WG__ZIP64_END = 0x06064b50,
    WG__ZIP64_LOCATOR = 0x07064b50,
    WG__LOCAL_SIZE = 30,
    WG__CENTRAL_SIZE = 46,
    WG__END_SIZE = 22,
    WG__END64_SIZE = 56,
    WG__LOCATOR_SIZE = 20
};

#endif
