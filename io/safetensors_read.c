/* Reads safetensors files, which may come from strangers: everything is checked before it is used.
 *
 * The file is read into one block. Strings of its header are decoded in place, and shapes are parsed again
 * when they are asked for, so that besides the block only a small index is needed. */
#include "safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the index knows of a tensor. */
typedef struct item {
    uint64_t begin, end;  /* of its numbers, from the end of the header */
    uint32_t name, shape; /* where they stand, from the start of the header */
    uint8_t type, rank;
} item;

/* A tensor takes no fewer characters of a header: "":{"dtype":"F4","shape":[],"data_offsets":[0,0]} */
enum { SHORTEST_ENTRY = 48 };

typedef struct pair_at {
    uint32_t key, value;
} pair_at;

struct wg_safetensors {
    char *bytes;
    char *header; /* bytes + 8 */
    char *data;
    uint64_t data_size;
    item *items;
    size_t n_items;
    size_t n_pairs;
    pair_at pairs[WG__METADATA_LIMIT];
    bool checked; /* the checksum was there and right */
    bool has_metadata;
    char *path;
};

static const struct {
    const char *name;
    uint8_t bits;
    uint8_t dtype;
} types[] = {
    {"F32", 32, WG_F32},       {"F64", 64, WG_F64},     {"I32", 32, WG_I32},       {"BOOL", 8, WG_BOOL},
    {"F16", 16, WG_DTYPES},    {"BF16", 16, WG_DTYPES}, {"I64", 64, WG_DTYPES},    {"U8", 8, WG_DTYPES},
    {"I8", 8, WG_DTYPES},      {"I16", 16, WG_DTYPES},  {"U16", 16, WG_DTYPES},    {"U32", 32, WG_DTYPES},
    {"U64", 64, WG_DTYPES},    {"C64", 64, WG_DTYPES},  {"F8_E4M3", 8, WG_DTYPES}, {"F8_E5M2", 8, WG_DTYPES},
    {"F8_E8M0", 8, WG_DTYPES}, {"F4", 4, WG_DTYPES},    {"F6_E2M3", 6, WG_DTYPES}, {"F6_E3M2", 6, WG_DTYPES},
};
enum { N_TYPES = sizeof types / sizeof types[0] };

static wg_status bad(const wg_safetensors *file, wg_error *error, const char *reason)
{
    return wg_error_set(error, WG_ERR_FORMAT, WG__AT "%s", file->path, reason);
}

/* ---- the header ---- */

static bool parse_metadata(wg_safetensors *file, wg__json *json)
{
    if (file->has_metadata) return wg__json_fail(json, "__metadata__ twice");
    file->has_metadata = true;
    if (!wg__json_expect(json, '{')) return false;
    for (bool first = true; wg__json_more(json, '}', &first);) {
        char *key, *value;
        if (!wg__json_string(json, &key) || !wg__json_expect(json, ':') || !wg__json_string(json, &value))
            return false;
        if (wg_safetensors_metadata(file, key)) return wg__json_fail(json, "a metadata key twice");
        if (file->n_pairs == WG__METADATA_LIMIT) return wg__json_fail(json, "more than 1024 metadata keys");
        file->pairs[file->n_pairs++] = (pair_at){(uint32_t)(key - file->header), (uint32_t)(value - file->header)};
    }
    return !json->failed;
}

static bool parse_type(wg__json *json, uint8_t *type)
{
    char *name;
    if (!wg__json_string(json, &name)) return false;
    for (*type = 0; *type < N_TYPES; ++*type)
        if (strcmp(types[*type].name, name) == 0) return true;
    return wg__json_fail(json, "unknown dtype");
}

static bool parse_shape(wg__json *json, wg_shape *shape)
{
    int64_t size[WG_MAX_RANK];
    int rank = 0;
    if (!wg__json_expect(json, '[')) return false;
    for (bool first = true; wg__json_more(json, ']', &first); rank++) {
        if (rank == WG_MAX_RANK) return wg__json_fail(json, "a shape of more than 8 sizes");
        if (!wg__json_number(json, &size[rank])) return false;
    }
    *shape = wg_shape_of(rank, size);
    return !json->failed;
}

static bool parse_offsets(wg__json *json, item *it)
{
    int64_t begin, end;
    if (!wg__json_expect(json, '[') || !wg__json_number(json, &begin) || !wg__json_expect(json, ',') ||
        !wg__json_number(json, &end) || !wg__json_expect(json, ']'))
        return false;
    it->begin = (uint64_t)begin;
    it->end = (uint64_t)end;
    return true;
}

/* The tensor's bytes must be what its shape and type need. */
static bool check_size(wg__json *json, const item *it, const wg_shape *shape)
{
    int64_t numel, bits;
    if (!wg_shape_numel(shape, &numel) || __builtin_mul_overflow(numel, types[it->type].bits, &bits))
        return wg__json_fail(json, "a shape with too many elements");
    if (bits % 8 != 0) return wg__json_fail(json, "a tensor that does not end on a whole byte");
    if (it->end < it->begin || it->end - it->begin != (uint64_t)bits / 8)
        return wg__json_fail(json, "data_offsets that do not fit shape and dtype");
    return true;
}

/* {"dtype": ..., "shape": [...], "data_offsets": [begin, end]}, in any order, each once. */
static bool parse_tensor(wg_safetensors *file, wg__json *json, const char *name)
{
    enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4 };
    item it = {.name = (uint32_t)(name - file->header)};
    wg_shape shape = WG_SCALAR;
    int seen = 0;
    if (!wg__json_expect(json, '{')) return false;
    for (bool first = true; wg__json_more(json, '}', &first);) {
        char *key;
        if (!wg__json_string(json, &key) || !wg__json_expect(json, ':')) return false;
        int which = strcmp(key, "dtype") == 0          ? DTYPE
                    : strcmp(key, "shape") == 0        ? SHAPE
                    : strcmp(key, "data_offsets") == 0 ? OFFSETS
                                                       : 0;
        if (!which) return wg__json_fail(json, "a key other than dtype, shape, data_offsets");
        if (seen & which) return wg__json_fail(json, "a key twice");
        seen |= which;
        if (which == SHAPE) it.shape = (uint32_t)(json->at - file->header);
        if (!(which == DTYPE   ? parse_type(json, &it.type)
              : which == SHAPE ? parse_shape(json, &shape)
                               : parse_offsets(json, &it)))
            return false;
    }
    if (json->failed) return false;
    if (seen != (DTYPE | SHAPE | OFFSETS))
        return wg__json_fail(json, "a tensor needs dtype, shape and data_offsets");
    it.rank = (uint8_t)shape.rank;
    file->items[file->n_items++] = it;
    return check_size(json, &it, &shape);
}

static wg_status parse_header(wg_safetensors *file, size_t size, wg_error *error)
{
    size_t wrong = wg__utf8_error(file->header, size);
    if (wrong < size)
        return wg_error_set(error, WG_ERR_FORMAT, WG__AT "header, byte %zu: not UTF-8", file->path, wrong);
    wg__json json = wg__json_over(file->header, size, file->path, error);
    wg__json_expect(&json, '{');
    for (bool first = true; wg__json_more(&json, '}', &first);) {
        char *name;
        if (!wg__json_string(&json, &name) || !wg__json_expect(&json, ':')) break;
        if (!(strcmp(name, "__metadata__") == 0 ? parse_metadata(file, &json) : parse_tensor(file, &json, name)))
            break;
    }
    wg__json_end(&json);
    return json.failed ? WG_ERR_FORMAT : WG_OK;
}

/* ---- the whole ---- */

static bool begins_before(const void *context, const void *a, const void *b)
{
    const item *x = a, *y = b;
    return x->begin != y->begin ? x->begin < y->begin : x->end < y->end;
}

static bool named_before(const void *context, const void *a, const void *b)
{
    const wg_safetensors *file = context;
    return strcmp(file->header + ((const item *)a)->name, file->header + ((const item *)b)->name) < 0;
}

/* The tensors stand one after the other from the first byte of the data to the last; names are unique. */
static wg_status check_items(wg_safetensors *file, wg_error *error)
{
    uint64_t at = 0;
    wg__sort(file->items, file->n_items, sizeof(item), begins_before, NULL);
    for (size_t i = 0; i < file->n_items; at = file->items[i++].end)
        if (file->items[i].begin != at) return bad(file, error, "tensors overlap or leave a hole");
    if (at > file->data_size) return bad(file, error, "file is cut short");
    if (at < file->data_size) return bad(file, error, "bytes after the last tensor");

    wg__sort(file->items, file->n_items, sizeof(item), named_before, file);
    for (size_t i = 1; i < file->n_items; i++)
        if (!named_before(file, &file->items[i - 1], &file->items[i]))
            return bad(file, error, "a tensor's name twice");
    return WG_OK;
}

/* Must come before the header is decoded in place. */
static wg_status check_crc(wg_safetensors *file, uint64_t header_size, wg_error *error)
{
    if (header_size < WG__CRC_AT + WG__CRC_DIGITS + 1 || memcmp(file->header, WG__CRC_PREFIX, WG__CRC_AT) != 0)
        return WG_OK;
    char told[WG__CRC_DIGITS + 1] = {0}, computed[WG__CRC_DIGITS + 1];
    char *digits = file->header + WG__CRC_AT;
    memcpy(told, digits, WG__CRC_DIGITS);
    memset(digits, '0', WG__CRC_DIGITS);
    uint32_t crc = wg__crc32(0, file->bytes, 8 + header_size + file->data_size);
    memcpy(digits, told, WG__CRC_DIGITS);
    snprintf(computed, sizeof computed, "%08x", crc);
    if (memcmp(told, computed, WG__CRC_DIGITS) != 0 || digits[WG__CRC_DIGITS] != '"')
        return bad(file, error, "file is damaged: its checksum differs");
    file->checked = true;
    return WG_OK;
}

/* file->bytes holds a file of this size, of at least 8 bytes. */
static wg_status parse_file(wg_safetensors *file, size_t size, wg_error *error)
{
    uint64_t header_size;
    memcpy(&header_size, file->bytes, 8);
    file->header = file->bytes + 8;
    file->data = file->header + header_size;
    file->data_size = size - 8 - header_size;
    wg_status status = check_crc(file, header_size, error);
    if (status != WG_OK) return status;

    size_t most = header_size / SHORTEST_ENTRY + 1;
    file->items = malloc(most * sizeof(item));
    if (!file->items) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", file->path);
    if ((status = parse_header(file, header_size, error)) != WG_OK) return status;
    if ((status = check_items(file, error)) != WG_OK) return status;
    for (size_t i = 0; i < file->n_pairs && !file->checked; i++)
        if (strncmp(file->header + file->pairs[i].key, WG__RESERVED, sizeof WG__RESERVED - 1) == 0)
            return bad(file, error, "file is damaged: its checksum is gone");
    item *fitted = realloc(file->items, (file->n_items + 1) * sizeof(item));
    if (fitted) file->items = fitted;
    return WG_OK;
}

/* Refuses a header that the file cannot hold. */
static wg_status check_length(const wg_safetensors *file, uint64_t header_size, uint64_t size, wg_error *error)
{
    if (header_size > WG__HEADER_LIMIT)
        return bad(file, error, "not a safetensors file: its header would be larger than 100 MB");
    if (header_size > size - 8) return bad(file, error, "file is cut short");
    return WG_OK;
}

static wg_safetensors *new_file(const char *name, wg_error *error)
{
    wg_safetensors *file = calloc(1, sizeof *file);
    if (file) file->path = strdup(name);
    if (file && file->path) return file;
    wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", name);
    wg_safetensors_close(file);
    return NULL;
}

/* Reads the whole file into file->bytes. */
static wg_status load(wg_safetensors *file, wg__reader *reader, size_t *size, wg_error *error)
{
    uint64_t header_size;
    size_t got;
    if (reader->is_pipe || reader->file_size < 8)
        return bad(file, error, "not a safetensors file: it has less than 8 bytes");
    if (reader->file_size > SIZE_MAX / 2) return bad(file, error, "file is too large");
    *size = (size_t)reader->file_size;
    wg_status status = wg__reader_read(reader, &header_size, 8, &got, error);
    if (status != WG_OK) return status;
    if (got < 8) return bad(file, error, "file is cut short");
    if ((status = check_length(file, header_size, *size, error)) != WG_OK) return status;
    file->bytes = malloc(*size);
    if (!file->bytes) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", file->path);
    memcpy(file->bytes, &header_size, 8);
    status = wg__reader_read(reader, file->bytes + 8, *size - 8, &got, error);
    if (status == WG_OK && got < *size - 8) return bad(file, error, "file is cut short");
    return status;
}

wg_safetensors *wg_safetensors_open(const char *path, wg_error *error)
{
    wg__reader reader;
    if (wg__reader_open_plain(&reader, path, error) != WG_OK) return NULL;
    wg_safetensors *file = new_file(path, error);
    size_t size = 0;
    bool ok = file && load(file, &reader, &size, error) == WG_OK && parse_file(file, size, error) == WG_OK;
    wg__reader_close(&reader);
    if (ok) return file;
    wg_safetensors_close(file);
    return NULL;
}

wg_safetensors *wg_safetensors_parse(const void *bytes, size_t size, const char *name, wg_error *error)
{
    wg_safetensors *file = new_file(name ? name : "", error);
    if (!file) return NULL;
    uint64_t header_size;
    if (!bytes) size = 0;
    wg_status status = size < 8 ? bad(file, error, "not a safetensors file: it has less than 8 bytes") : WG_OK;
    if (status == WG_OK) {
        memcpy(&header_size, bytes, 8);
        status = check_length(file, header_size, size, error);
    }
    if (status == WG_OK) {
        file->bytes = malloc(size);
        if (!file->bytes) status = wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", file->path);
    }
    if (status == WG_OK) {
        memcpy(file->bytes, bytes, size);
        status = parse_file(file, size, error);
    }
    if (status == WG_OK) return file;
    wg_safetensors_close(file);
    return NULL;
}

void wg_safetensors_close(wg_safetensors *file)
{
    if (!file) return;
    free(file->bytes);
    free(file->items);
    free(file->path);
    free(file);
}

/* ---- asking ---- */

size_t wg_safetensors_count(const wg_safetensors *file) { return file->n_items; }
const char *wg_safetensors_path(const wg_safetensors *file) { return file->path; }
size_t wg_safetensors_metadata_count(const wg_safetensors *file) { return file->n_pairs; }

wg_entry wg_safetensors_at(const wg_safetensors *file, size_t index)
{
    if (index >= file->n_items) return (wg_entry){.dtype = WG_DTYPES, .shape = {.rank = -1}};
    const item *it = &file->items[index];
    wg_shape shape;
    wg__json json =
        wg__json_over(file->header + it->shape, (size_t)(file->data - file->header) - it->shape, "", NULL);
    parse_shape(&json, &shape); /* it was parsed before: cannot fail */
    return (wg_entry){.name = file->header + it->name,
                      .type = types[it->type].name,
                      .dtype = types[it->type].dtype,
                      .shape = shape,
                      .data = file->data + it->begin,
                      .bytes = (size_t)(it->end - it->begin)};
}

bool wg_safetensors_find(const wg_safetensors *file, const char *name, wg_entry *entry)
{
    *entry = (wg_entry){0};
    for (size_t low = 0, high = file->n_items; low < high;) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, file->header + file->items[middle].name);
        if (order == 0) {
            *entry = wg_safetensors_at(file, middle);
            return true;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

wg_pair wg_safetensors_metadata_at(const wg_safetensors *file, size_t index)
{
    if (index >= file->n_pairs) return (wg_pair){0};
    return (wg_pair){file->header + file->pairs[index].key, file->header + file->pairs[index].value};
}

const char *wg_safetensors_metadata(const wg_safetensors *file, const char *key)
{
    for (size_t i = 0; i < file->n_pairs; i++)
        if (strcmp(file->header + file->pairs[i].key, key) == 0) return file->header + file->pairs[i].value;
    return NULL;
}
