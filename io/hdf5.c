/* The groups of an HDF5 file, from its root to its datasets. See hdf5.h. */
#include "hdf5.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DEPTH = 32 };

/* ---- links ---- */

static wg_status visit(wg__h5 *h, uint64_t at, size_t length, int depth);

/* Appends "/NAME" to the path of this length, and visits the object. */
static wg_status follow(wg__h5 *h, const char *name, size_t n, uint64_t at, size_t length, int depth)
{
    const size_t slash = length > 0;
    if (n == 0 || memchr(name, '/', n) || wg__utf8_error(name, n) < n || memchr(name, 0, n))
        return wg__h5_fail(h, "a name in it is empty, has a slash, or is not UTF-8");
    if (length + slash + n > WG__H5_PATH) return wg__h5_fail(h, "names longer than 1000 bytes");
    if (slash) h->path[length] = '/';
    memcpy(h->path + length + slash, name, n);
    h->path[length + slash + n] = 0;
    wg_status status = visit(h, at, length + slash + n, depth + 1);
    if (status == WG_OK) h->path[length] = 0;
    return status;
}

/* ---- groups with a symbol table: a tree of nodes, a heap of names ---- */

typedef struct table {
    wg__h5 *h;
    char *names;
    size_t size; /* of names, which a NUL follows */
    size_t length;
    int depth;
} table;

/* A node: "SNOD", version, the number of its symbols; of each its name in the heap, its object, what the scratch is
 * (2: a soft link), 4 bytes, 16 of scratch. */
static wg_status walk_symbols(void *context, const char *key, uint64_t at)
{
    enum { HEAD = 8, SYMBOL = 40, SOFT = 2 };
    const table *t = context;
    char head[HEAD], *symbols = NULL;
    wg_status status = wg__h5_take(t->h, at, head, sizeof head);
    if (status != WG_OK) return status;
    if (memcmp(head, "SNOD\1", 5) != 0) return wg__h5_fail(t->h, "its symbol table is damaged");
    const size_t n = wg__get16(head + 6);
    status = wg__h5_take_new(t->h, at + HEAD, n * SYMBOL, &symbols);
    for (size_t i = 0; i < n && status == WG_OK; i++) {
        const char *s = symbols + i * SYMBOL;
        const uint64_t name = wg__get64(s);
        if (wg__get32(s + 16) == SOFT) continue;
        status = name < t->size
                     ? follow(t->h, t->names + name, strlen(t->names + name), wg__get64(s + 8), t->length, t->depth)
                     : wg__h5_fail(t->h, "its symbol table is damaged");
    }
    free(symbols);
    return status;
}

/* The message has the tree and the heap: "HEAP", version, the size of the names, free places, where the names are. */
static wg_status walk_table(wg__h5 *h, const wg__h5_message *m, size_t length, int depth)
{
    char head[32];
    table t = {.h = h, .length = length, .depth = depth};
    const wg__h5_tree nodes = {h, 0, 8, "its symbol table is damaged", walk_symbols, &t};
    if (m->size < 16) return wg__h5_fail(h, "its symbol table is damaged");
    const uint64_t tree = wg__get64(m->data);
    wg_status status = wg__h5_take(h, wg__get64(m->data + 8), head, sizeof head);
    if (status != WG_OK) return status;
    if (memcmp(head, "HEAP\0", 5) != 0) return wg__h5_fail(h, "its symbol table is damaged");
    status = wg__h5_take_new(h, wg__get64(head + 24), wg__get64(head + 8), &t.names);
    t.size = (size_t)wg__get64(head + 8);
    if (status == WG_OK) status = wg__h5_walk_tree(&nodes, tree);
    free(t.names);
    return status;
}

/* ---- groups with links in their header ---- */

typedef struct place {
    wg__h5 *h;
    size_t length; /* of the path */
    int depth;
} place;

/* Version, flags; what the flags say: kind, creation order, character set; the length of the name, the name, the
 * object's address. */
static wg_status walk_link(void *context, const wg__h5_message *m)
{
    enum { WIDTH = 3, ORDER = 4, KIND = 8, CHARACTERS = 16, HARD = 0, EXTERNAL = 64 };
    const place *p = context;
    if (m->shared || m->size < 2 || m->data[0] != 1) return wg__h5_fail(p->h, "a link in it is damaged");
    const int flags = m->data[1];
    const size_t width = (size_t)1 << (flags & WIDTH);
    const size_t head = 2 + (flags & KIND ? 1 : 0) + (flags & ORDER ? 8 : 0) + (flags & CHARACTERS ? 1 : 0);
    uint64_t n = 0;
    if (m->size < head + width) return wg__h5_fail(p->h, "a link in it is damaged");
    memcpy(&n, m->data + head, width);
    const int kind = flags & KIND ? m->data[2] : HARD;
    if (kind == EXTERNAL) return wg__h5_fail(p->h, "a link in it leads to another file, which is not followed");
    if (kind != HARD) return WG_OK;
    if (n > m->size || m->size - head - width < n + 8) return wg__h5_fail(p->h, "a link in it is damaged");
    const char *name = m->data + head + width;
    return follow(p->h, name, (size_t)n, wg__get64(name + n), p->length, p->depth);
}

/* The link info: version, flags, a number if the flags say so, the addresses of a fractal heap and its index. */
static wg_status walk_links(wg__h5 *h, const wg__h5_header *header, size_t length, int depth)
{
    place p = {h, length, depth};
    wg__h5_message m;
    size_t at = 0;
    wg_status status = WG_OK;
    if (wg__h5_find(header, WG__H5_LINK_INFO, &m)) {
        const size_t heap = m.size >= 2 && m.data[1] & 1 ? 10 : 2;
        if (m.size < heap + 16) return wg__h5_fail(h, "it is damaged");
        const uint64_t address = wg__get64(m.data + heap);
        if (address != WG__H5_NOWHERE)
            status = wg__h5_walk_heap(h, address, wg__get64(m.data + heap + 8), walk_link, &p);
    }
    while (status == WG_OK && wg__h5_next(header, &at, &m))
        if (m.type == WG__H5_LINK) status = walk_link(&p, &m);
    return status;
}

/* A group or a dataset; all else, such as a named type, is passed over. */
static wg_status visit(wg__h5 *h, uint64_t at, size_t length, int depth)
{
    wg__h5_header header;
    wg__h5_message m;
    if (depth > MOST_DEPTH) return wg__h5_fail(h, "its groups are nested more than 32 deep");
    wg_status status = wg__h5_header_read(h, at, &header);
    if (status == WG_OK) {
        if (wg__h5_find(&header, WG__H5_SYMBOLS, &m))
            status = walk_table(h, &m, length, depth);
        else if (wg__h5_find(&header, WG__H5_LAYOUT, &m))
            status = wg__h5_add(h, &header);
        else
            status = walk_links(h, &header, length, depth);
    }
    wg__h5_header_fini(&header);
    return status;
}

/* ---- the file ---- */

/* The superblock: its version, the sizes of addresses and lengths, where the file begins and ends, the root group. */
static wg_status find_root(wg__h5 *h, uint64_t *root)
{
    char block[80] = {0};
    const size_t n = h->source->size < sizeof block ? (size_t)h->source->size : sizeof block;
    wg_status status = wg__h5_take(h, 0, block, n);
    if (status != WG_OK) return status;
    const int version = block[8];
    const bool old = version < 2;
    const char *base = block + (version == 0 ? 24 : old ? 28 : 12);
    if (memcmp(block, "\x89HDF\r\n\x1a\n", 8) != 0) return wg__h5_fail(h, "no HDF5 file");
    if (version < 0 || version > 3) return wg__h5_fail(h, "of an unknown version of HDF5");
    if (block[old ? 13 : 9] != 8 || block[old ? 14 : 10] != 8 || wg__get64(base) != 0)
        return wg__h5_fail(h, "its addresses do not have 8 bytes, or begin elsewhere");
    if (wg__get64(base + 16) > h->source->size) return wg__h5_fail(h, "it is truncated");
    *root = wg__get64(old ? base + 40 : base + 24);
    return WG_OK;
}

/* `size` is that of the file on disk, which the limit goes by. */
static wg_status read_hdf5(wg_safetensors *file, wg__source *source, uint64_t size, wg_error *error)
{
    const wg__reader as_reader = {.file_size = size};
    wg__h5 h = {.file = file,
                .source = source,
                .budget = (1 << 16) + 4 * source->size,
                .limit = wg__reader_limit(&as_reader),
                .error = error};
    uint64_t root = 0;
    if (!wg__tensors_more(file, 0, h.limit, source->size)) return wg__tensors_no_memory(file, error);
    wg_status status = find_root(&h, &root);
    if (status == WG_OK) status = visit(&h, root, 0, 0);
    return status == WG_OK ? wg__tensors_sort(file, error) : status;
}

wg_status wg__read_hdf5(wg_safetensors *file, wg__source *source, wg_error *error)
{
    return read_hdf5(file, source, source->size, error);
}

wg_status wg__read_keras(wg_safetensors *file, wg__zip *zip, const wg__member *weights, wg_error *error)
{
    enum { PIECE = 1 << 20 };
    wg__bytes bytes = {.data = NULL};
    wg_status status = wg__zip_begin(zip, weights, error);
    for (uint64_t left = weights->size; status == WG_OK && left > 0;) {
        const size_t part = left < PIECE ? (size_t)left : PIECE;
        char *to = wg__bytes_more(&bytes, part);
        status = to ? wg__zip_take(zip, to, part, error) : wg__tensors_no_memory(file, error);
        left -= part;
    }
    if (status == WG_OK) status = wg__zip_end(zip, error);
    wg__source source = {.path = file->path, .size = bytes.size, .bytes = bytes.data};
    if (status == WG_OK) status = read_hdf5(file, &source, zip->source->size, error);
    wg__bytes_fini(&bytes);
    return status;
}
