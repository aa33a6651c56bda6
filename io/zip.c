/* The directory of a zip archive: see zip.h. */
#include "zip.h"

#include <stdlib.h>
#include <string.h>

static wg_status fail(const wg__zip *zip, wg_error *error, const char *reason)
{
    return wg_error_set(error, WG_ERR_FORMAT, WG__AT "damaged zip archive: %s", zip->source->path, reason);
}

static wg_status refuse(const wg__zip *zip, const wg__member *m, wg_error *error, const char *reason)
{
    return wg_error_set(error, WG_ERR_FORMAT, WG__AT "member %.100s %s", zip->source->path, m->name, reason);
}

static wg_status no_memory(const wg__zip *zip, wg_error *error)
{
    return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", zip->source->path);
}

/* ---- the end of the file says where the directory is ---- */

typedef struct place {
    uint64_t at, size, n; /* of the directory */
    uint64_t end;         /* the record that follows it */
} place;

/* The end record of large archives, whose place is in a locator before the old end record. */
static wg_status find_directory64(wg__zip *zip, uint64_t end, place *d, wg_error *error)
{
    char locator[WG__LOCATOR_SIZE], record[WG__END64_SIZE];
    if (end < sizeof locator + sizeof record) return fail(zip, error, "no directory");
    wg_status status = wg__source_read(zip->source, end - sizeof locator, locator, sizeof locator, error);
    if (status != WG_OK) return status;
    const uint64_t at = wg__get64(locator + 8);
    if (wg__get32(locator) != WG__ZIP64_LOCATOR || at > end - sizeof locator - sizeof record)
        return fail(zip, error, "no directory");
    if ((status = wg__source_read(zip->source, at, record, sizeof record, error)) != WG_OK) return status;
    if (wg__get32(record) != WG__ZIP64_END) return fail(zip, error, "no directory");
    if (wg__get32(record + 16) != 0 || wg__get32(record + 20) != 0 ||
        wg__get64(record + 24) != wg__get64(record + 32))
        return fail(zip, error, "it is one of several parts");
    *d = (place){
        .n = wg__get64(record + 32), .size = wg__get64(record + 40), .at = wg__get64(record + 48), .end = at};
    return WG_OK;
}

static wg_status parse_end(wg__zip *zip, const char *record, uint64_t at, place *d, wg_error *error)
{
    *d = (place){
        .n = wg__get16(record + 10), .size = wg__get32(record + 12), .at = wg__get32(record + 16), .end = at};
    if (d->n == UINT16_MAX || d->size == UINT32_MAX || d->at == UINT32_MAX)
        return find_directory64(zip, at, d, error);
    if (wg__get16(record + 4) != 0 || wg__get16(record + 6) != 0 || wg__get16(record + 8) != d->n)
        return fail(zip, error, "it is one of several parts");
    return WG_OK;
}

/* The end record is followed by a comment of at most 64 KiB, whose length it has. */
static wg_status find_directory(wg__zip *zip, place *d, wg_error *error)
{
    enum { MOST = WG__END_SIZE + UINT16_MAX };
    const size_t n = zip->source->size < MOST ? (size_t)zip->source->size : MOST;
    const uint64_t from = zip->source->size - n;
    char *tail = malloc(n + 1);
    if (!tail) return no_memory(zip, error);
    wg_status status = wg__source_read(zip->source, from, tail, n, error);
    bool found = false;
    for (size_t i = n < WG__END_SIZE ? 0 : n - WG__END_SIZE + 1; status == WG_OK && !found && i-- > 0;) {
        found = wg__get32(tail + i) == WG__ZIP_END && wg__get16(tail + i + 20) == n - i - WG__END_SIZE;
        if (found) status = parse_end(zip, tail + i, from + i, d, error);
    }
    free(tail);
    if (status != WG_OK) return status;
    if (!found) return fail(zip, error, "no directory: it is truncated, or not an archive");
    if (d->at > d->end || d->size > d->end - d->at)
        return fail(zip, error, "its directory is larger than the file");
    if (d->n > d->size / WG__CENTRAL_SIZE) return fail(zip, error, "its directory has fewer members than it says");
    return WG_OK;
}

/* ---- members ---- */

/* The 64-bit sizes of a member, which replace those that are all ones, in this order. */
static bool read_zip64(wg__member *m, const char *extra, size_t n)
{
    uint64_t *wanted[] = {&m->size, &m->packed, &m->begin};
    for (size_t at = 0; n - at >= 4;) {
        const uint16_t id = wg__get16(extra + at), length = wg__get16(extra + at + 2);
        size_t used = 0;
        at += 4;
        if (length > n - at) break;
        for (int i = 0; id == 1 && i < 3; i++) {
            if (*wanted[i] != UINT32_MAX) continue;
            if (length - used < 8) return false;
            *wanted[i] = wg__get64(extra + at + used);
            used += 8;
        }
        if (id == 1) return true;
        at += length;
    }
    return m->size != UINT32_MAX && m->packed != UINT32_MAX && m->begin != UINT32_MAX;
}

/* What the directory says of a member must be possible. */
static wg_status check_member(wg__zip *zip, const wg__member *m, int flags, int method, wg_error *error)
{
    enum { ENCRYPTED = 1, MASKED = 1 << 13, MOST_RATIO = 1032 };
    if (flags & (ENCRYPTED | MASKED)) return refuse(zip, m, error, "is encrypted");
    if (method != 0 && method != 8)
        return wg_error_set(error, WG_ERR_FORMAT, WG__AT "member %.100s is compressed by method %d, not by deflate",
                            zip->source->path, m->name, method);
    if (method == 0 && m->packed != m->size) return refuse(zip, m, error, "is stored with two sizes");
    if (m->packed > zip->source->size) return refuse(zip, m, error, "is larger than the file");
    if (m->size / MOST_RATIO > m->packed)
        return refuse(zip, m, error, "says to be larger than deflate could make it");
#ifndef WG_HAVE_ZLIB
    if (method == 8) return refuse(zip, m, error, "is deflated, and this library was built without zlib");
#endif
    return WG_OK;
}

/* Reads the directory's entry at *at, and moves on. */
static wg_status parse_member(wg__zip *zip, const place *d, size_t *at, wg__member *m, wg_error *error)
{
    const char *e = zip->directory + *at;
    if (d->size - *at < WG__CENTRAL_SIZE || wg__get32(e) != WG__ZIP_CENTRAL)
        return fail(zip, error, "its directory ends before its last member");
    const size_t name = wg__get16(e + 28), extra = wg__get16(e + 30), comment = wg__get16(e + 32);
    if (d->size - *at - WG__CENTRAL_SIZE < name + extra + comment)
        return fail(zip, error, "its directory ends before its last member");
    *m = (wg__member){.crc = wg__get32(e + 16),
                      .packed = wg__get32(e + 20),
                      .size = wg__get32(e + 24),
                      .begin = wg__get32(e + 42),
                      .deflated = wg__get16(e + 10) == 8};
    if (!wg__path_is_below(e + WG__CENTRAL_SIZE, name))
        return fail(zip, error, "a member's name is no relative path in UTF-8");
    const bool sizes = read_zip64(m, e + WG__CENTRAL_SIZE + name, extra);
    const int flags = wg__get16(e + 8), method = wg__get16(e + 10);
    *at += WG__CENTRAL_SIZE + name + extra + comment;
    /* The entry has been read: its name moves to its beginning, and a NUL behind it. */
    m->name = memmove(zip->directory + (e - zip->directory), e + WG__CENTRAL_SIZE, name);
    m->name[name] = 0;
    if (!sizes) return refuse(zip, m, error, "has no size");
    return check_member(zip, m, flags, method, error);
}

/* The bytes of a member follow its own header, whose name and extra field may be longer than the directory's. */
static wg_status find_bytes(wg__zip *zip, const place *d, wg__member *m, wg_error *error)
{
    char header[WG__LOCAL_SIZE];
    if (m->begin > d->at || d->at - m->begin < sizeof header) return refuse(zip, m, error, "is not in the file");
    wg_status status = wg__source_read(zip->source, m->begin, header, sizeof header, error);
    if (status != WG_OK) return status;
    m->at = m->begin + sizeof header + wg__get16(header + 26) + wg__get16(header + 28);
    if (wg__get32(header) != WG__ZIP_LOCAL || m->at > d->at) return refuse(zip, m, error, "is not in the file");
    if (m->packed > d->at - m->at) return refuse(zip, m, error, "overlaps the directory");
    return WG_OK;
}

static bool begins_before(const void *context, const void *a, const void *b)
{
    return ((const wg__member *)a)->begin < ((const wg__member *)b)->begin;
}

static bool named_before(const void *context, const void *a, const void *b)
{
    return strcmp(((const wg__member *)a)->name, ((const wg__member *)b)->name) < 0;
}

/* No two overlap or have the same name. Sorts them by name. */
static wg_status check_members(wg__zip *zip, wg_error *error)
{
    wg__sort(zip->members, zip->n, sizeof *zip->members, begins_before, NULL);
    for (size_t i = 1; i < zip->n; i++)
        if (zip->members[i].begin < zip->members[i - 1].at + zip->members[i - 1].packed)
            return refuse(zip, &zip->members[i], error, "overlaps another one");
    wg__sort(zip->members, zip->n, sizeof *zip->members, named_before, NULL);
    for (size_t i = 1; i < zip->n; i++)
        if (!named_before(NULL, &zip->members[i - 1], &zip->members[i]))
            return refuse(zip, &zip->members[i], error, "is there twice");
    return WG_OK;
}

static wg_status read_directory(wg__zip *zip, const place *d, wg_error *error)
{
    const wg__reader as_reader = {.file_size = zip->source->size};
    const uint64_t limit = wg__reader_limit(&as_reader);
    zip->directory = malloc(d->size + 1);
    zip->members = malloc((d->n + 1) * sizeof *zip->members);
    if (!zip->directory || !zip->members) return no_memory(zip, error);
    wg_status status = wg__source_read(zip->source, d->at, zip->directory, d->size, error);
    size_t at = 0;
    if (status != WG_OK) return status;
    for (uint64_t i = 0; i < d->n; i++) {
        wg__member *m = &zip->members[zip->n++];
        status = parse_member(zip, d, &at, m, error);
        if (status == WG_OK) status = find_bytes(zip, d, m, error);
        if (status != WG_OK) return status;
        if (m->size > limit - zip->total)
            return wg_error_set(error, WG_ERR_FORMAT, WG__AT "its members have more than %llu bytes, the limit",
                                zip->source->path, (unsigned long long)limit);
        zip->total += m->size;
        if (!m->deflated) zip->stored += m->size;
    }
    return check_members(zip, error);
}

wg_status wg__zip_open(wg__zip *zip, wg__source *source, wg_error *error)
{
    place d = {0};
    *zip = (wg__zip){.source = source};
    wg_status status = find_directory(zip, &d, error);
    if (status == WG_OK) status = read_directory(zip, &d, error);
    if (status != WG_OK) wg__zip_close(zip);
    return status;
}

const wg__member *wg__zip_find(const wg__zip *zip, const char *name)
{
    for (size_t low = 0, high = zip->n; low < high;) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(name, zip->members[middle].name);
        if (order == 0) return &zip->members[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
