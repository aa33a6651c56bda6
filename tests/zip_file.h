/* Makes zip archives for tests, by PKWARE's APPNOTE; a CRC bit by bit. */
#ifndef WG_TEST_ZIP_FILE_H
#define WG_TEST_ZIP_FILE_H

#include <stdint.h>
#include <string.h>

typedef struct zip_part {
    const char *name;
    const void *bytes; /* as they stand in the file */
    size_t size;
} zip_part;

/* Where the records of an archive begin. */
typedef struct zip_places {
    size_t local[8], central[8], end, size;
} zip_places;

static inline uint32_t zip_crc(const void *bytes, size_t n)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        crc ^= ((const unsigned char *)bytes)[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static inline unsigned char *zip_put(unsigned char *to, uint64_t number, int n)
{
    for (int i = 0; i < n; i++) *to++ = (unsigned char)(number >> 8 * i);
    return to;
}

/* What both headers of a member share: version to CRC, sizes, lengths of name and extra field. */
static inline unsigned char *zip_put_member(unsigned char *to, const zip_part *part)
{
    to = zip_put(to, 20, 2);
    to = zip_put(to, 0, 8); /* flags, stored, time and date */
    to = zip_put(to, zip_crc(part->bytes, part->size), 4);
    to = zip_put(to, part->size, 4);
    to = zip_put(to, part->size, 4);
    to = zip_put(to, strlen(part->name), 2);
    return zip_put(to, 0, 2);
}

/* Writes an archive of n <= 8 stored members; `to` must have room for it: 98 bytes and twice the name for each. */
static inline zip_places zip_file(unsigned char *to, const zip_part *parts, size_t n)
{
    zip_places at = {.size = 0};
    unsigned char *p = to;
    for (size_t i = 0; i < n; i++) {
        at.local[i] = (size_t)(p - to);
        p = zip_put(p, 0x04034b50, 4);
        p = zip_put_member(p, &parts[i]);
        memcpy(p, parts[i].name, strlen(parts[i].name));
        p += strlen(parts[i].name);
        if (parts[i].size) memcpy(p, parts[i].bytes, parts[i].size);
        p += parts[i].size;
    }
    const size_t directory = (size_t)(p - to);
    for (size_t i = 0; i < n; i++) {
        at.central[i] = (size_t)(p - to);
        p = zip_put(p, 0x02014b50, 4);
        p = zip_put(p, 20, 2);
        p = zip_put_member(p, &parts[i]);
        p = zip_put(p, 0, 6); /* comment, disk, attributes */
        p = zip_put(p, 0, 4);
        p = zip_put(p, at.local[i], 4);
        memcpy(p, parts[i].name, strlen(parts[i].name));
        p += strlen(parts[i].name);
    }
    at.end = (size_t)(p - to);
    p = zip_put(p, 0x06054b50, 4);
    p = zip_put(p, 0, 4);
    p = zip_put(p, n, 2);
    p = zip_put(p, n, 2);
    p = zip_put(p, at.end - directory, 4);
    p = zip_put(p, directory, 4);
    p = zip_put(p, 0, 2);
    at.size = (size_t)(p - to);
    return at;
}

#endif
