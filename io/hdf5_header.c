/* Reading structures of an HDF5 file: trees, and the header of an object, which is blocks of messages in two versions.
 * See hdf5.h. */
#include "hdf5.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_BLOCKS = 4096, MOST_LEVEL = 16 };

wg_status wg__h5_fail(const wg__h5 *h, const char *reason)
{
    return wg_error_set(h->error, WG_ERR_FORMAT, WG__AT "%.90s: %s", h->file->path, *h->path ? h->path : "/",
                        reason);
}

wg_status wg__h5_take(wg__h5 *h, uint64_t at, void *to, size_t n)
{
    if (n > h->budget) return wg__h5_fail(h, "the file's structures refer to each other in circles");
    h->budget -= n;
    return wg__source_read(h->source, at, to, n, h->error);
}

wg_status wg__h5_take_new(wg__h5 *h, uint64_t at, uint64_t n, char **to)
{
    *to = NULL;
    if (n > h->source->size) return wg__h5_fail(h, "it is damaged: a part of it is larger than the file");
    *to = malloc((size_t)n + 1);
    if (!*to) return wg__tensors_no_memory(h->file, h->error);
    (*to)[n] = 0;
    return wg__h5_take(h, at, *to, (size_t)n);
}

/* ---- trees ---- */

/* A node: "TREE", kind, level, the number of children, two siblings; then key, child, ..., key. level < 0: any, of the
 * root. */
static wg_status walk_node(const wg__h5_tree *t, uint64_t at, int level)
{
    const char begin[] = {'T', 'R', 'E', 'E', t->kind};
    char head[24], *entries = NULL;
    wg_status status = wg__h5_take(t->h, at, head, sizeof head);
    if (status != WG_OK) return status;
    if (level < 0) level = (uint8_t)head[5];
    if (memcmp(head, begin, sizeof begin) != 0 || level != (uint8_t)head[5] || level > MOST_LEVEL)
        return wg__h5_fail(t->h, t->damaged);
    const size_t n = wg__get16(head + 6), size = t->key_size + 8;
    status = wg__h5_take_new(t->h, at + sizeof head, n * size, &entries);
    for (size_t i = 0; i < n && status == WG_OK; i++) {
        const char *key = entries + i * size;
        const uint64_t child = wg__get64(key + t->key_size);
        status = level > 0 ? walk_node(t, child, level - 1) : t->leaf(t->context, key, child);
    }
    free(entries);
    return status;
}

wg_status wg__h5_walk_tree(const wg__h5_tree *tree, uint64_t at) { return walk_node(tree, at, -1); }

/* ---- headers ---- */

/* The bytes in front of a message's data. */
static size_t head_size(const wg__h5_header *header) { return header->version == 1 ? 8 : header->ordered ? 6 : 4; }

/* Appends the messages in n bytes of the file. A rest that is too short for a message is a gap. */
static wg_status take_block(wg__h5 *h, wg__h5_header *header, uint64_t at, uint64_t n)
{
    if (n > h->source->size) return wg__h5_fail(h, "its header is larger than the file");
    if (n == 0) return WG_OK;
    size_t end = header->bytes.size;
    char *to = wg__bytes_more(&header->bytes, (size_t)n);
    if (!to) return wg__tensors_no_memory(h->file, h->error);
    wg_status status = wg__h5_take(h, at, to, (size_t)n);
    if (status != WG_OK) return status;
    for (wg__h5_message m; wg__h5_next(header, &end, &m);) continue;
    if (header->bytes.size - end >= head_size(header)) return wg__h5_fail(h, "its header is damaged");
    header->bytes.size = end;
    return WG_OK;
}

/* Version 1: 16 bytes, then messages of which each begins with 8. */
static wg_status take_first(wg__h5 *h, wg__h5_header *header, uint64_t at)
{
    char head[16];
    wg_status status = wg__h5_take(h, at, head, sizeof head);
    header->version = 1;
    return status == WG_OK ? take_block(h, header, at + sizeof head, wg__get32(head + 8)) : status;
}

/* Version 2: "OHDR", version, flags, optional fields, the length of the messages. Checksums are not looked at: nothing
 * in files of version 1 has any. */
static wg_status take_first2(wg__h5 *h, wg__h5_header *header, uint64_t at)
{
    enum { WIDTH = 3, ORDERED = 4, PHASES = 16, TIMES = 32 };
    char head[6], length[8] = {0};
    wg_status status = wg__h5_take(h, at, head, sizeof head);
    if (status != WG_OK) return status;
    const int flags = head[5];
    if (head[4] != 2) return wg__h5_fail(h, "its header has an unknown version");
    header->version = 2;
    header->ordered = flags & ORDERED;
    at += sizeof head + (flags & TIMES ? 16 : 0) + (flags & PHASES ? 4 : 0);
    const size_t width = (size_t)1 << (flags & WIDTH);
    if ((status = wg__h5_take(h, at, length, width)) != WG_OK) return status;
    return take_block(h, header, at + width, wg__get64(length));
}

/* A continuation: address and length of a block; one of version 2 is between "OCHK" and a checksum. */
static wg_status take_continued(wg__h5 *h, wg__h5_header *header, const wg__h5_message *m)
{
    char mark[4];
    if (m->size < 16) return wg__h5_fail(h, "its header is damaged");
    const uint64_t at = wg__get64(m->data), n = wg__get64(m->data + 8);
    if (header->version == 1) return take_block(h, header, at, n);
    if (n < 8) return wg__h5_fail(h, "its header is damaged");
    wg_status status = wg__h5_take(h, at, mark, sizeof mark);
    if (status == WG_OK && memcmp(mark, "OCHK", 4) != 0) return wg__h5_fail(h, "its header is damaged");
    return status == WG_OK ? take_block(h, header, at + 4, n - 8) : status;
}

wg_status wg__h5_header_read(wg__h5 *h, uint64_t at, wg__h5_header *header)
{
    char mark[4];
    wg__h5_message m;
    size_t next = 0;
    int blocks = 0;
    *header = (wg__h5_header){.version = 0};
    wg_status status = wg__h5_take(h, at, mark, sizeof mark);
    if (status != WG_OK) return status;
    if (memcmp(mark, "OHDR", 4) == 0)
        status = take_first2(h, header, at);
    else if (mark[0] == 1)
        status = take_first(h, header, at);
    else
        status = wg__h5_fail(h, "no object where its group says");
    /* Blocks that continue the header are appended while it is walked through. */
    while (status == WG_OK && wg__h5_next(header, &next, &m))
        if (m.type == WG__H5_CONTINUED)
            status = ++blocks <= MOST_BLOCKS ? take_continued(h, header, &m)
                                             : wg__h5_fail(h, "its header has too many parts");
    return status;
}

void wg__h5_header_fini(wg__h5_header *header) { wg__bytes_fini(&header->bytes); }

bool wg__h5_next(const wg__h5_header *header, size_t *at, wg__h5_message *m)
{
    enum { SHARED = 2 };
    const char *p = header->bytes.data;
    const size_t head = head_size(header);
    if (header->bytes.size - *at < head) return false;
    p += *at;
    m->type = (uint8_t)(header->version == 1 && p[1] ? 0 : p[0]);
    m->size = wg__get16(p + (header->version == 1 ? 2 : 1));
    m->shared = p[header->version == 1 ? 4 : 3] & SHARED;
    m->data = p + head;
    if (m->size > header->bytes.size - *at - head) return false;
    *at += head + m->size;
    return true;
}

bool wg__h5_find(const wg__h5_header *header, uint8_t type, wg__h5_message *m)
{
    for (size_t at = 0; wg__h5_next(header, &at, m);)
        if (m->type == type) return true;
    return false;
}
