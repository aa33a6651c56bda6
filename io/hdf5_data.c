/* Elements of HDF5 datasets: compact, contiguous, and in chunks. See hdf5.h.
 *
 * Chunks are walked through twice: first they are counted and measured, so that memory is taken for a dataset only if
 * all of it is in the file. */
#include "hdf5.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef WG_HAVE_ZLIB
#include <zlib.h>
#endif

typedef struct chunked {
    wg__h5 *h;
    const wg__h5_array *a;
    int64_t size[WG_MAX_RANK], grid[WG_MAX_RANK]; /* of a chunk, in elements; of the dataset, in chunks */
    uint64_t bytes, chunks;                       /* of a chunk; of the dataset */
    int shuffle, deflate;                         /* their places in the pipeline; -1: none */
    uint64_t found, packed;                       /* chunks so far; bytes of them in the file */
    uint64_t begin;                               /* of the dataset in the data */
    char *raw, *other;                            /* [bytes] while elements are read; NULL before */
} chunked;

enum { DEFLATE = 1, SHUFFLE = 2, MOST_RATIO = 1032 /* of deflate */ };

/* Room for the elements, behind those of the datasets before. */
static wg_status more(wg__h5 *h, const wg__h5_array *a, char **to)
{
    if (a->bytes > h->limit - h->file->data_size)
        return wg__h5_fail(h, "with it, the datasets have more bytes than the limit, 64 times the file's");
    *to = wg__tensors_more(h->file, (size_t)a->bytes, h->limit, h->source->size);
    return *to ? WG_OK : wg__tensors_no_memory(h->file, h->error);
}

/* Counts bytes of elements in the file. */
static wg_status count_packed(wg__h5 *h, uint64_t n)
{
    if (n > h->source->size - h->packed)
        return wg__h5_fail(h, "it is truncated, or shares bytes with other datasets");
    h->packed += n;
    return WG_OK;
}

/* ---- the filters ---- */

/* The first bytes of all elements come first, then the second ones. */
static void unshuffle(const char *from, size_t n, size_t width, char *to)
{
    const size_t count = n / width;
    for (size_t k = 0; k < width; k++)
        for (size_t i = 0; i < count; i++) to[i * width + k] = from[k * count + i];
}

static wg_status inflate_chunk(chunked *c, const char *packed, size_t n, char *to)
{
#ifdef WG_HAVE_ZLIB
    uLongf got = (uLongf)c->bytes;
    uLong used = (uLong)n;
    const int code = uncompress2((Bytef *)to, &got, (const Bytef *)packed, &used);
    if (code == Z_MEM_ERROR) return wg__tensors_no_memory(c->h->file, c->h->error);
    if (code == Z_OK && got == c->bytes && used == n) return WG_OK;
    return wg__h5_fail(c->h, "a chunk is damaged: its deflated bytes are invalid");
#else
    return wg__h5_fail(c->h, "it is compressed, and this library was built without zlib");
#endif
}

static wg_status read_filter(chunked *c, int index, unsigned id, size_t width)
{
    char text[96];
    int *place = id == DEFLATE ? &c->deflate : id == SHUFFLE ? &c->shuffle : NULL;
    snprintf(text, sizeof text, "filter %u of HDF5 is not read here; shuffle, then deflate (gzip), are", id);
    if (!place || *place >= 0 || (id == SHUFFLE && c->deflate >= 0)) return wg__h5_fail(c->h, text);
    if (id == SHUFFLE && width != c->a->width) return wg__h5_fail(c->h, "it is shuffled by another width");
    *place = index;
    return WG_OK;
}

/* The pipeline: version, number of filters; of each its number, the length of its name, flags, the number of its
 * parameters, name, parameters of 4 bytes. Version 1 has 6 bytes in front, and fills up to 8. */
static wg_status read_filters(chunked *c, const wg__h5_message *m)
{
    if (m->shared || m->size < 2 || m->data[0] < 1 || m->data[0] > 2) return wg__h5_fail(c->h, "unknown filters");
    const bool first = m->data[0] == 1;
    size_t at = first ? 8 : 2;
    for (int i = 0; i < (uint8_t)m->data[1]; i++) {
        const bool named = first || (m->size >= at + 2 && wg__get16(m->data + at) >= 256);
        if (m->size < at + (named ? 8 : 6)) return wg__h5_fail(c->h, "its filters are damaged");
        const unsigned id = wg__get16(m->data + at);
        size_t name = named ? wg__get16(m->data + at + 2) : 0;
        const size_t n = wg__get16(m->data + at + (named ? 6 : 4));
        if (first) name = (name + 7) / 8 * 8;
        at += (named ? 8 : 6) + name;
        if (m->size < at + 4 * n) return wg__h5_fail(c->h, "its filters are damaged");
        wg_status status = read_filter(c, i, id, n > 0 ? wg__get32(m->data + at) : c->a->width);
        if (status != WG_OK) return status;
        at += 4 * (first ? (n + 1) / 2 * 2 : n);
    }
    return WG_OK;
}

/* ---- chunks ---- */

/* Puts the part of a chunk that is inside the dataset to its place. */
static void place_chunk(chunked *c, const int64_t *origin, const char *from)
{
    const wg_shape *shape = &c->a->shape;
    const int last = shape->rank - 1;
    int64_t part[WG_MAX_RANK], index[WG_MAX_RANK] = {0};
    for (int i = 0; i <= last; i++) {
        const int64_t left = shape->size[i] - origin[i];
        part[i] = left < c->size[i] ? left : c->size[i];
    }
    for (int axis = last; axis >= 0;) {
        int64_t to = 0, at = 0;
        for (int i = 0; i <= last; i++) {
            to = to * shape->size[i] + origin[i] + index[i];
            at = at * c->size[i] + index[i];
        }
        memcpy(c->h->file->data + c->begin + (size_t)to * c->a->width, from + (size_t)at * c->a->width,
               (size_t)part[last] * c->a->width);
        for (axis = last - 1; axis >= 0 && ++index[axis] == part[axis]; axis--) index[axis] = 0;
    }
}

static wg_status read_chunk(chunked *c, uint64_t at, size_t n, uint32_t skipped, const int64_t *origin)
{
    const bool deflated = c->deflate >= 0 && !(skipped >> c->deflate & 1);
    char *packed = deflated ? malloc(n + 1) : c->raw;
    if (!packed) return wg__tensors_no_memory(c->h->file, c->h->error);
    wg_status status = wg__source_read(c->h->source, at, packed, n, c->h->error);
    if (status == WG_OK && deflated) status = inflate_chunk(c, packed, n, c->raw);
    if (deflated) free(packed);
    if (status != WG_OK) return status;
    const bool shuffled = c->shuffle >= 0 && !(skipped >> c->shuffle & 1);
    if (shuffled) unshuffle(c->raw, (size_t)c->bytes, c->a->width, c->other);
    place_chunk(c, origin, shuffled ? c->other : c->raw);
    return WG_OK;
}

/* A key and its chunk: size in the file, filters that were skipped, where the chunk begins; the address. Chunks are
 * sorted, and none is missing, so that each has its number in the grid. */
static wg_status visit_chunk(void *context, const char *key, uint64_t at)
{
    chunked *c = context;
    const int rank = c->a->shape.rank;
    const uint32_t n = wg__get32(key), skipped = wg__get32(key + 4);
    const bool deflated = c->deflate >= 0 && !(skipped >> c->deflate & 1);
    int64_t origin[WG_MAX_RANK];
    uint64_t number = 0;
    for (int i = 0; i < rank; i++) {
        const uint64_t from = wg__get64(key + 8 + 8 * i);
        if (from % (uint64_t)c->size[i] != 0 || from >= (uint64_t)c->a->shape.size[i])
            return wg__h5_fail(c->h, "a chunk is outside of it");
        origin[i] = (int64_t)from;
        number = number * (uint64_t)c->grid[i] + from / (uint64_t)c->size[i];
    }
    if (number != c->found) return wg__h5_fail(c->h, "chunks are missing, or not in their order");
    if (deflated ? c->bytes / MOST_RATIO > n : n != c->bytes)
        return wg__h5_fail(c->h, "the size of a chunk is impossible");
    c->found++;
    c->packed += n;
    return c->raw ? read_chunk(c, at, n, skipped, origin) : WG_OK;
}

static wg_status walk_all(chunked *c, uint64_t at)
{
    const size_t key_size = 16 + 8 * (size_t)c->a->shape.rank;
    const wg__h5_tree tree = {c->h, 1, key_size, "the index of its chunks is damaged", visit_chunk, c};
    c->found = c->packed = 0;
    wg_status status = wg__h5_walk_tree(&tree, at);
    if (status == WG_OK && c->found != c->chunks)
        status = wg__h5_fail(c->h, "some of its chunks were never written");
    return status;
}

static wg_status read_all_chunks(chunked *c, uint64_t at)
{
    char *to = NULL;
    wg_status status = walk_all(c, at);
    if (status == WG_OK) status = count_packed(c->h, c->packed);
    c->begin = c->h->file->data_size;
    if (status == WG_OK) status = more(c->h, c->a, &to);
    if (status != WG_OK) return status;
    c->raw = malloc((size_t)c->bytes);
    c->other = malloc((size_t)c->bytes);
    status = c->raw && c->other ? walk_all(c, at) : wg__tensors_no_memory(c->h->file, c->h->error);
    free(c->raw);
    free(c->other);
    return status;
}

/* Sizes of chunks, of 4 bytes, and of an element. */
static wg_status read_chunked(wg__h5 *h, const wg__h5_header *header, const wg__h5_array *a,
                              const wg__h5_message *layout)
{
    chunked c = {.h = h, .a = a, .bytes = a->width, .chunks = 1, .shuffle = -1, .deflate = -1};
    wg__h5_message filters;
    uint64_t all;
    const int rank = a->shape.rank;
    if (rank == 0) return wg__h5_fail(h, "it is one number in chunks, which HDF5 does not allow");
    if (layout->size < 3 || (uint8_t)layout->data[2] != rank + 1 || layout->size < 11 + 4 * ((size_t)rank + 1) ||
        wg__get32(layout->data + 11 + 4 * rank) != a->width)
        return wg__h5_fail(h, "its chunks have another shape than it");
    const uint64_t at = wg__get64(layout->data + 3);
    for (int i = 0; i < rank; i++) {
        c.size[i] = wg__get32(layout->data + 11 + 4 * i);
        if (c.size[i] == 0 || __builtin_mul_overflow(c.bytes, (uint64_t)c.size[i], &c.bytes))
            return wg__h5_fail(h, "its chunks have an impossible size");
        c.grid[i] = (a->shape.size[i] - 1) / c.size[i] + 1;
        c.chunks *= (uint64_t)c.grid[i]; /* at most the elements, whose number fits */
    }
    if (__builtin_mul_overflow(c.bytes, c.chunks, &all) || all > h->limit - h->chunks)
        return wg__h5_fail(h, "with it, chunks have more bytes than the limit, 64 times the file's");
    h->chunks += all;
    wg_status status = wg__h5_find(header, WG__H5_FILTERS, &filters) ? read_filters(&c, &filters) : WG_OK;
    if (status != WG_OK) return status;
    return at == WG__H5_NOWHERE ? wg__h5_fail(h, "its elements were never written") : read_all_chunks(&c, at);
}

/* ---- without chunks ---- */

static wg_status read_contiguous(wg__h5 *h, const wg__h5_array *a, const wg__h5_message *layout)
{
    char *to = NULL;
    if (layout->size < 18) return wg__h5_fail(h, "its layout is damaged");
    const uint64_t at = wg__get64(layout->data + 2), n = wg__get64(layout->data + 10);
    if (at == WG__H5_NOWHERE) return wg__h5_fail(h, "its elements were never written");
    if (n != a->bytes) return wg__h5_fail(h, "it has another size than its shape says");
    wg_status status = count_packed(h, n);
    if (status == WG_OK) status = more(h, a, &to);
    return status == WG_OK ? wg__source_read(h->source, at, to, (size_t)n, h->error) : status;
}

static wg_status read_compact(wg__h5 *h, const wg__h5_array *a, const wg__h5_message *layout)
{
    char *to = NULL;
    if (layout->size < 4 || wg__get16(layout->data + 2) > layout->size - 4)
        return wg__h5_fail(h, "its layout is damaged");
    if (wg__get16(layout->data + 2) != a->bytes) return wg__h5_fail(h, "it has another size than its shape says");
    wg_status status = count_packed(h, a->bytes);
    if (status == WG_OK) status = more(h, a, &to);
    if (status == WG_OK) memcpy(to, layout->data + 4, (size_t)a->bytes);
    return status;
}

/* ---- a dataset ---- */

static wg_status read_elements(wg__h5 *h, const wg__h5_header *header, const wg__h5_array *a)
{
    enum { COMPACT, CONTIGUOUS, CHUNKED, VIRTUAL };
    wg__h5_message m, layout;
    if (wg__h5_find(header, WG__H5_EXTERNAL, &m)) return wg__h5_fail(h, "its elements are in other files");
    if (!wg__h5_find(header, WG__H5_LAYOUT, &layout) || layout.shared || layout.size < 2)
        return wg__h5_fail(h, "it has no layout");
    const int version = layout.data[0], class = layout.data[1];
    if (version < 3 || version > 4)
        return wg__h5_fail(h, "its layout has an unknown version: save it without libver=\"latest\"");
    if (class == VIRTUAL) return wg__h5_fail(h, "it is a virtual one, made of other datasets");
    if (class == CHUNKED && version == 4)
        return wg__h5_fail(h, "its chunks have an index of libver=\"latest\": save it without");
    if (a->bytes == 0) return WG_OK;
    return class == COMPACT      ? read_compact(h, a, &layout)
           : class == CONTIGUOUS ? read_contiguous(h, a, &layout)
           : class == CHUNKED    ? read_chunked(h, header, a, &layout)
                                 : wg__h5_fail(h, "its layout is unknown");
}

wg_status wg__h5_add(wg__h5 *h, const wg__h5_header *header)
{
    wg__h5_array a;
    wg_status status = wg__h5_describe(h, header, &a);
    if (status != WG_OK || !a.is_tensor) return status;
    const uint64_t begin = h->file->data_size;
    /* A dataset can have many names. Honest files take more bytes than their names. */
    if (h->file->text.size > (1 << 16) + h->source->size)
        return wg__h5_fail(h, "up to it, there are more datasets than a file of this size has");
    status = read_elements(h, header, &a);
    if (status != WG_OK) return status;
    if (a.big_endian && a.bytes) wg__reverse_each(h->file->data + begin, (size_t)a.bytes, a.width);
    return wg__tensors_add(h->file, h->path, a.type, &a.shape, begin, h->error);
}
