/* Reads GGUF, the files of llama.cpp (ggml's docs/gguf.md, versions 2 and 3, little-endian): "GGUF", the version, the
 * numbers of tensors and of pairs; the pairs; of each tensor its name, shape, type and offset; after padding the
 * elements. It is our own: ggml's reader aborts on some files, and is part of a library of kernels.
 *
 * Strings, numbers and bool of the pairs become metadata; arrays, such as vocabularies, are passed over. */
#include "gguf.h"

#include "plain.h"
#include "zip.h" /* little-endian numbers */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A tensor, as the file lists it. */
typedef struct listed {
    const wg__gguf_type *type;
    uint32_t name; /* offset in the text */
    wg_shape shape;
    uint64_t offset, bytes; /* in the file, from the first tensor on; packed */
} listed;

typedef struct reader {
    wg_safetensors *file;
    wg__source *source;
    uint64_t at;
    wg__bytes names;                      /* of the tensors, with NULs */
    wg__bytes listed;                     /* of type listed */
    uint64_t alignment, packed, unpacked; /* bytes of all tensors */
    wg_error *error;
} reader;

static wg_status fail(const reader *r, const char *reason) { return wg__tensors_fail(r->file, r->error, reason); }

/* ---- numbers and strings ---- */

static wg_status take(reader *r, void *to, size_t n)
{
    const wg_status status = wg__source_read(r->source, r->at, to, n, r->error);
    if (status == WG_OK) r->at += n;
    return status;
}

static wg_status take32(reader *r, uint32_t *to)
{
    char bytes[4];
    const wg_status status = take(r, bytes, sizeof bytes);
    if (status == WG_OK) *to = wg__get32(bytes);
    return status;
}

static wg_status take64(reader *r, uint64_t *to)
{
    char bytes[8];
    const wg_status status = take(r, bytes, sizeof bytes);
    if (status == WG_OK) *to = wg__get64(bytes);
    return status;
}

static wg_status skip(reader *r, uint64_t n)
{
    if (n > r->source->size - r->at) return fail(r, "file is truncated");
    r->at += n;
    return WG_OK;
}

/* A string, appended to the text with a NUL; its offset there. */
static wg_status take_string(reader *r, wg__bytes *text, uint32_t *offset)
{
    uint64_t n;
    wg_status status = take64(r, &n);
    if (status != WG_OK) return status;
    if (n > r->source->size - r->at) return fail(r, "file is truncated");
    if (text->size + n >= WG__HEADER_LIMIT) return fail(r, "names and metadata of more than 100 MB");
    *offset = (uint32_t)text->size;
    char *to = wg__bytes_more(text, (size_t)n + 1);
    if (!to) return wg__tensors_no_memory(r->file, r->error);
    if ((status = take(r, to, (size_t)n)) != WG_OK) return status;
    to[n] = 0;
    if (memchr(to, 0, (size_t)n) || wg__utf8_error(to, (size_t)n) < n)
        return fail(r, "a string in it is not UTF-8, or has a NUL");
    return WG_OK;
}

/* ---- pairs ---- */

enum { FLOAT32 = 6, BOOL = 7, STRING = 8, ARRAY = 9, FLOAT64 = 12, KINDS = 13, MOST_DEPTH = 8 };

static const struct {
    uint8_t bytes; /* 0: of no fixed size */
    bool is_signed;
} kinds[KINDS] = {{1, false}, {1, true},  {2, false}, {2, true},  {4, false}, {4, true}, {4, false},
                  {1, false}, {0, false}, {0, false}, {8, false}, {8, true},  {8, false}};

/* Kind, length, elements. */
static wg_status skip_array(reader *r, int depth)
{
    uint32_t kind;
    uint64_t n, length;
    wg_status status = take32(r, &kind);
    if (status == WG_OK) status = take64(r, &n);
    if (status != WG_OK) return status;
    if (kind >= KINDS || depth == MOST_DEPTH) return fail(r, "an array in it has an unknown type, or is too deep");
    if (kinds[kind].bytes > 0)
        return n > UINT64_MAX / 8 ? fail(r, "file is truncated") : skip(r, n * kinds[kind].bytes);
    for (uint64_t i = 0; i < n && status == WG_OK; i++) {
        if (kind == ARRAY) {
            status = skip_array(r, depth + 1);
        } else {
            status = take64(r, &length);
            if (status == WG_OK) status = skip(r, length);
        }
    }
    return status;
}

/* The number or bool of the key at this offset, as text. */
static wg_status take_number(reader *r, uint32_t kind, uint32_t key)
{
    char bytes[8] = {0};
    wg_status status = take(r, bytes, kinds[kind].bytes);
    if (status != WG_OK) return status;
    const int unused = 64 - 8 * kinds[kind].bytes;
    const uint64_t bits = wg__get64(bytes);
    float f;
    double d;
    memcpy(&f, bytes, sizeof f);
    memcpy(&d, bytes, sizeof d);
    wg__bytes *text = &r->file->text;
    if (kind == BOOL)
        wg__bytes_print(text, "%s", bits ? "true" : "false");
    else if (kind == FLOAT32 || kind == FLOAT64)
        wg__bytes_print(text, kind == FLOAT32 ? "%.9g" : "%.17g", kind == FLOAT32 ? (double)f : d);
    else if (kinds[kind].is_signed)
        wg__bytes_print(text, "%" PRId64, (int64_t)(bits << unused) >> unused);
    else
        wg__bytes_print(text, "%" PRIu64, bits);
    wg__bytes_put(text, "", 1);
    if (text->failed) return wg__tensors_no_memory(r->file, r->error);
    if (strcmp(text->data + key, "general.alignment") != 0) return WG_OK;
    r->alignment = bits;
    return bits > 0 && bits <= 1 << 20 && bits % 8 == 0 ? WG_OK : fail(r, "general.alignment is no multiple of 8");
}

/* Key, kind, value. */
static wg_status take_pair(reader *r)
{
    wg_safetensors *file = r->file;
    wg__indexed_pair pair = {0};
    uint32_t kind;
    wg_status status = take_string(r, &file->text, &pair.key);
    if (status == WG_OK) status = take32(r, &kind);
    if (status != WG_OK) return status;
    if (kind == ARRAY) return skip_array(r, 0);
    if (kind >= KINDS) return fail(r, "a pair in it has an unknown type");
    if (file->n_pairs == WG__METADATA_LIMIT) return fail(r, "more than 1024 pairs of metadata");
    pair.value = (uint32_t)file->text.size;
    status = kind == STRING ? take_string(r, &file->text, &pair.value) : take_number(r, kind, pair.key);
    if (status == WG_OK) file->pairs[file->n_pairs++] = pair;
    return status;
}

/* ---- tensors ---- */

/* Name, number of axes, sizes with the last axis first, type, offset. */
static wg_status list_tensor(reader *r)
{
    listed t = {0};
    uint32_t rank, type;
    int64_t numel, size[WG_MAX_RANK];
    wg_status status = take_string(r, &r->names, &t.name);
    if (status == WG_OK) status = take32(r, &rank);
    if (status != WG_OK) return status;
    const char *name = r->names.data + t.name;
    if (rank > WG_MAX_RANK)
        return wg_error_set(r->error, WG_ERR_FORMAT, WG__AT "%.100s: more than 8 axes", r->file->path, name);
    for (uint32_t i = rank; i-- > 0 && status == WG_OK;) status = take64(r, (uint64_t *)&size[i]);
    if (status == WG_OK) status = take32(r, &type);
    if (status == WG_OK) status = take64(r, &t.offset);
    if (status != WG_OK) return status;
    t.type = wg__gguf_type_at(type);
    if (!t.type || !t.type->type)
        return wg_error_set(r->error, WG_ERR_FORMAT,
                            WG__AT "%.100s: type %" PRIu32
                                   " (%s) is not read; F32, F64, F16, BF16, integers, Q4_0, Q4_1, "
                                   "Q5_0, Q5_1, Q8_0, Q4_K, Q5_K and Q6_K are",
                            r->file->path, name, type, t.type ? t.type->name : "unknown");
    t.shape = wg_shape_of((int)rank, size);
    const int64_t last = rank ? size[rank - 1] : 1;
    if (!wg_shape_numel(&t.shape, &numel) || last % t.type->block)
        return wg_error_set(r->error, WG_ERR_FORMAT, WG__AT "%.100s: its shape is impossible", r->file->path, name);
    t.bytes = (uint64_t)numel / t.type->block * t.type->bytes;
    if ((uint64_t)numel / t.type->block > r->source->size || t.bytes > r->source->size - r->packed ||
        t.offset > r->source->size || t.offset % r->alignment)
        return wg_error_set(r->error, WG_ERR_FORMAT, WG__AT "%.100s: its elements are not in the file, or shared",
                            r->file->path, name);
    r->packed += t.bytes;
    r->unpacked += t.type->decode ? (uint64_t)numel * sizeof(float) : t.bytes;
    wg__bytes_put(&r->listed, &t, sizeof t);
    return r->listed.failed ? wg__tensors_no_memory(r->file, r->error) : WG_OK;
}

static wg_status decode(reader *r, const wg__gguf_type *type, uint64_t at, uint64_t blocks, char *to)
{
    enum { PIECE = 64 }; /* blocks */
    uint8_t packed[PIECE * WG__GGUF_MOST_BYTES];
    float numbers[WG__GGUF_MOST_BLOCK];
    for (uint64_t done = 0; done < blocks;) {
        const size_t n = blocks - done < PIECE ? (size_t)(blocks - done) : PIECE;
        const wg_status status =
            wg__source_read(r->source, at + done * type->bytes, packed, n * type->bytes, r->error);
        if (status != WG_OK) return status;
        for (size_t i = 0; i < n; i++, to += type->block * sizeof(float)) {
            type->decode(packed + i * type->bytes, numbers);
            memcpy(to, numbers, type->block * sizeof(float));
        }
        done += n;
    }
    return WG_OK;
}

static wg_status read_tensor(reader *r, const listed *t, uint64_t begin)
{
    const uint64_t blocks = t->bytes / t->type->bytes, at = r->file->data_size;
    const size_t bytes = (size_t)(t->type->decode ? blocks * t->type->block * sizeof(float) : t->bytes);
    if (t->bytes > r->source->size - begin || t->offset > r->source->size - begin - t->bytes)
        return fail(r, "file is truncated");
    char *to = wg__tensors_more(r->file, bytes, r->unpacked, r->unpacked);
    if (!to) return wg__tensors_no_memory(r->file, r->error);
    const wg__plain caller = wg__plain_begin();
    const wg_status status = t->type->decode ? decode(r, t->type, begin + t->offset, blocks, to)
                                             : wg__source_read(r->source, begin + t->offset, to, bytes, r->error);
    wg__plain_end(&caller);
    if (status != WG_OK) return status;
    return wg__tensors_add(r->file, r->names.data + t->name, wg__type_find(t->type->type), &t->shape, at, r->error);
}

static wg_status read_all(reader *r)
{
    char magic[4];
    uint32_t version;
    uint64_t n_tensors, n_pairs;
    wg_status status = take(r, magic, sizeof magic);
    if (status == WG_OK) status = take32(r, &version);
    if (status == WG_OK && version != 2 && version != 3)
        return fail(r, version & 0xff000000u ? "a big-endian GGUF file, which is not read"
                                             : "GGUF of a version other than 2 and 3");
    if (status == WG_OK) status = take64(r, &n_tensors);
    if (status == WG_OK) status = take64(r, &n_pairs);
    for (uint64_t i = 0; status == WG_OK && i < n_pairs; i++) status = take_pair(r);
    for (uint64_t i = 0; status == WG_OK && i < n_tensors; i++) status = list_tensor(r);
    if (status != WG_OK) return status;
    const uint64_t begin = (r->at + r->alignment - 1) / r->alignment * r->alignment;
    const listed *all = (const listed *)(const void *)r->listed.data;
    if (n_tensors > 0 && begin > r->source->size) return fail(r, "file is truncated");
    for (uint64_t i = 0; status == WG_OK && i < n_tensors; i++) status = read_tensor(r, &all[i], begin);
    if (status != WG_OK) return status;
    r->file->has_metadata = true;
    r->file->header = r->file->text.data;
    r->file->header_size = r->file->text.size;
    return wg__tensors_sort(r->file, r->error);
}

wg_status wg__read_gguf(wg_safetensors *file, wg__source *source, wg_error *error)
{
    reader r = {.file = file, .source = source, .alignment = 32, .error = error};
    const wg_status status = read_all(&r);
    wg__bytes_fini(&r.names);
    wg__bytes_fini(&r.listed);
    return status;
}
