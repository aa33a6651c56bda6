/* Writes .npy, and .npz: a zip archive of .npy files, stored, so that its tensors can be read without zlib. Each member
 * has its sizes in 64 bits, as NumPy writes them, and the date of 1 January 1980, so that equal tensors give equal
 * files. */
#include "npy.h"

#include <stdio.h>
#include <stdlib.h>

/* NumPy's dtype; that of bf16 is what ml_dtypes gives it. */
static const char *descr_of(wg_dtype dtype)
{
    static const char *const descrs[] = {
        [WG_F32] = "<f4", [WG_F64] = "<f8", [WG_I32] = "<i4", [WG_BOOL] = "|b1", [WG_BF16] = "<V2"};
    return descrs[dtype]; /* wg__entries_check has checked it */
}

static size_t bytes_of(const wg_entry *t)
{
    size_t bytes = 0;
    wg_shape_bytes(&t->shape, t->dtype, &bytes); /* cannot fail: it was checked */
    return bytes;
}

enum { HEADER = 256 };

/* All before the elements: version 1, padded to a multiple of 64 bytes. Returns its size. */
static size_t npy_header(const wg_entry *t, char header[HEADER])
{
    enum { MAGIC = 10, ALIGN = 64 };
    int n = MAGIC;
    memcpy(header, "\x93NUMPY\1", 8);
    n += snprintf(header + n, HEADER - (size_t)n, "{'descr': '%s', 'fortran_order': False, 'shape': (",
                  descr_of(t->dtype));
    for (int i = 0; i < t->shape.rank; i++)
        n += snprintf(header + n, HEADER - (size_t)n,
                      t->shape.rank == 1 ? "%lld,"
                      : i                ? ", %lld"
                                         : "%lld",
                      (long long)t->shape.size[i]);
    n += snprintf(header + n, HEADER - (size_t)n, "), }");
    while ((n + 1) % ALIGN != 0) header[n++] = ' ';
    header[n++] = '\n';
    header[8] = (char)((n - MAGIC) & 255);
    header[9] = (char)((n - MAGIC) >> 8);
    return (size_t)n;
}

/* ---- .npy ---- */

wg_status wg_npy_write(const char *path, const wg_entry *tensor, wg_error *error)
{
    size_t order;
    char header[HEADER];
    if (!tensor) return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "no tensor", path ? path : "");
    wg_entry t = *tensor;
    if (!t.name) t.name = ""; /* the file has none */
    wg_status status = wg__entries_check(path ? path : "", &t, 1, false, &order, error);
    if (status != WG_OK) return status;
    const wg__piece pieces[] = {{header, npy_header(&t, header)}, {t.data, bytes_of(&t)}};
    return wg__file_replace(path, pieces, 2, error);
}

/* ---- .npz ---- */

typedef struct archive {
    const wg_entry *tensors;
    size_t n;
    size_t *order;
    wg__bytes directory;
    uint64_t at; /* bytes written */
    int fd;
} archive;

static void put16(wg__bytes *b, uint16_t number) { wg__bytes_put(b, &number, sizeof number); }
static void put32(wg__bytes *b, uint32_t number) { wg__bytes_put(b, &number, sizeof number); }
static void put64(wg__bytes *b, uint64_t number) { wg__bytes_put(b, &number, sizeof number); }

static bool write_some(archive *a, const void *bytes, size_t n)
{
    a->at += n;
    return wg__write_all(a->fd, bytes, n);
}

/* What a member's own header and its entry in the directory have in common. */
static void put_member(wg__bytes *b, uint32_t crc, size_t name, size_t extra)
{
    enum { VERSION = 45, UTF8 = 1 << 11, JANUARY_1980 = 0x21 };
    put16(b, VERSION); /* of zip, to read it: the one that has 64 bits */
    put16(b, UTF8);
    put16(b, 0); /* stored */
    put16(b, 0); /* time */
    put16(b, JANUARY_1980);
    put32(b, crc);
    put32(b, UINT32_MAX); /* both sizes are in the extra field */
    put32(b, UINT32_MAX);
    put16(b, (uint16_t)name);
    put16(b, (uint16_t)extra);
}

static void put_name_and_sizes(wg__bytes *b, const char *name, size_t extra, uint64_t size)
{
    wg__bytes_print(b, "%s.npy", name);
    put16(b, 1); /* sizes of 64 bits */
    put16(b, (uint16_t)(extra - 4));
    put64(b, size);
    put64(b, size);
}

static bool write_member(archive *a, const wg_entry *t)
{
    enum { EXTRA = 20, CENTRAL_EXTRA = 28 };
    char header[HEADER];
    const size_t n = npy_header(t, header), bytes = bytes_of(t), name = strlen(t->name) + 4;
    const uint32_t crc = wg__crc32(wg__crc32(0, header, n), t->data, bytes);
    const uint64_t begin = a->at;
    wg__bytes local = {0}, *d = &a->directory;
    put32(&local, WG__ZIP_LOCAL);
    put_member(&local, crc, name, EXTRA);
    put_name_and_sizes(&local, t->name, EXTRA, n + bytes);
    const bool ok = !local.failed && write_some(a, local.data, local.size) && write_some(a, header, n) &&
                    write_some(a, t->data, bytes);
    if (local.failed) d->failed = true;
    wg__bytes_fini(&local);

    put32(d, WG__ZIP_CENTRAL);
    put16(d, 45); /* written by the same version */
    put_member(d, crc, name, CENTRAL_EXTRA);
    put16(d, 0); /* comment */
    put16(d, 0); /* disk */
    put16(d, 0);
    put32(d, 0); /* attributes */
    put32(d, UINT32_MAX);
    put_name_and_sizes(d, t->name, CENTRAL_EXTRA, n + bytes);
    put64(d, begin);
    return ok && !d->failed;
}

/* The place of the directory in 64 bits, and where that is. */
static void put_end64(archive *a, uint64_t directory)
{
    wg__bytes *d = &a->directory;
    const uint64_t size = d->size;
    put32(d, WG__ZIP64_END);
    put64(d, WG__END64_SIZE - 12); /* of what follows */
    put16(d, 45);
    put16(d, 45);
    put32(d, 0); /* disks */
    put32(d, 0);
    put64(d, a->n);
    put64(d, a->n);
    put64(d, size);
    put64(d, directory);
    put32(d, WG__ZIP64_LOCATOR);
    put32(d, 0);
    put64(d, directory + size);
    put32(d, 1);
}

/* The old end record, which refers to the one of 64 bits; NumPy wants an archive without members to begin with it. */
static void put_end(archive *a, uint64_t directory)
{
    const uint32_t see64 = a->n > 0 ? UINT32_MAX : 0;
    if (a->n > 0) put_end64(a, directory);
    put32(&a->directory, WG__ZIP_END);
    put32(&a->directory, 0);
    put32(&a->directory, see64); /* members here, and in all */
    put32(&a->directory, see64);
    put32(&a->directory, see64);
    put16(&a->directory, 0); /* comment */
}

static bool write_archive(void *context, int fd, wg_error *reason)
{
    archive *a = context;
    bool ok = true;
    a->fd = fd;
    for (size_t i = 0; i < a->n && ok; i++) ok = write_member(a, &a->tensors[a->order[i]]);
    if (ok) put_end(a, a->at);
    if (a->directory.failed) wg_error_set(reason, WG_ERR_MEMORY, "out of memory");
    return ok && !a->directory.failed && write_some(a, a->directory.data, a->directory.size);
}

wg_status wg_npz_write(const char *path, const wg_entry *tensors, size_t n, wg_error *error)
{
    enum { MOST_NAME = 60000 };
    archive a = {.tensors = tensors, .n = n};
    if (!path) path = "";
    if (n > 0 && !tensors) return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "tensors: NULL", path);
    if (n > SIZE_MAX / sizeof(wg_entry))
        return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "tensors: too many", path);
    a.order = malloc((n + 1) * sizeof *a.order);
    if (!a.order) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", path);
    wg_status status = wg__entries_check(path, tensors, n, false, a.order, error);
    for (size_t i = 0; i < n && status == WG_OK; i++)
        if (strlen(tensors[i].name) > MOST_NAME || !wg__path_is_below(tensors[i].name, strlen(tensors[i].name)))
            status = wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "%.80s: no name for a member of an archive", path,
                                  tensors[i].name);
    if (status == WG_OK) status = wg__file_replace_by(path, write_archive, &a, error);
    wg__bytes_fini(&a.directory);
    free(a.order);
    return status;
}
