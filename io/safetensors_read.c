/* Reads safetensors files. They are untrusted: everything is validated before use.
 *
 * The file is read into one block. The strings of its header are decoded in place, and a shape is parsed again when the
 * caller requests it, so the block and a small index are all the memory that is needed. */
#include "safetensors.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A tensor in the index. */
typedef struct indexed_tensor {
    uint64_t begin, end;  /* offsets of its data, from the end of the header */
    uint32_t name, shape; /* offsets in the header */
    uint8_t type, rank;
} indexed_tensor;

/* The minimum length of a tensor's entry in the header: "":{"dtype":"F4","shape":[],"data_offsets":[0,0]} */
enum { SHORTEST_ENTRY = 48 };

/* A metadata pair, as offsets in the header. */
typedef struct indexed_pair {
    uint32_t key, value;
} indexed_pair;

struct wg_safetensors {
    char *bytes;
    char *header; /* bytes + 8 */
    char *data;
    uint64_t data_size;
    indexed_tensor *tensors; /* sorted by name */
    size_t n_tensors;
    size_t n_pairs;
    indexed_pair pairs[WG__METADATA_LIMIT];
    bool checksum_ok; /* the file has a checksum, and it matches */
    bool has_metadata;
    char *path;
};

static const struct {
    const char *name;
    uint8_t bits;
    uint8_t dtype;
} types[] = {
    {"F32", 32, WG_F32},       {"F64", 64, WG_F64},    {"I32", 32, WG_I32},       {"BOOL", 8, WG_BOOL},
    {"F16", 16, WG_DTYPES},    {"BF16", 16, WG_BF16},  {"I64", 64, WG_DTYPES},    {"U8", 8, WG_DTYPES},
    {"I8", 8, WG_DTYPES},      {"I16", 16, WG_DTYPES}, {"U16", 16, WG_DTYPES},    {"U32", 32, WG_DTYPES},
    {"U64", 64, WG_DTYPES},    {"C64", 64, WG_DTYPES}, {"F8_E4M3", 8, WG_DTYPES}, {"F8_E5M2", 8, WG_DTYPES},
    {"F8_E8M0", 8, WG_DTYPES}, {"F4", 4, WG_DTYPES},   {"F6_E2M3", 6, WG_DTYPES}, {"F6_E3M2", 6, WG_DTYPES},
};
enum { N_TYPES = sizeof types / sizeof types[0] };

static wg_status format_error(const wg_safetensors *file, wg_error *error, const char *reason)
{
    return wg_error_set(error, WG_ERR_FORMAT, WG__AT "%s", file->path, reason);
}

/* ---- the header ---- */

static bool parse_metadata(wg_safetensors *file, wg__json *json)
{
    if (file->has_metadata) return wg__json_fail(json, "duplicate __metadata__");
    file->has_metadata = true;
    if (!wg__json_expect(json, '{')) return false;
    for (bool first = true; wg__json_next(json, '}', &first);) {
        char *key, *value;
        if (!wg__json_string(json, &key) || !wg__json_expect(json, ':') || !wg__json_string(json, &value))
            return false;
        if (wg_safetensors_metadata(file, key)) return wg__json_fail(json, "duplicate metadata key");
        if (file->n_pairs == WG__METADATA_LIMIT) return wg__json_fail(json, "more than 1024 metadata keys");
        file->pairs[file->n_pairs++] =
            (indexed_pair){(uint32_t)(key - file->header), (uint32_t)(value - file->header)};
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
    for (bool first = true; wg__json_next(json, ']', &first); rank++) {
        if (rank == WG_MAX_RANK) return wg__json_fail(json, "shape with more than 8 sizes");
        if (!wg__json_number(json, &size[rank])) return false;
    }
    *shape = wg_shape_of(rank, size);
    return !json->failed;
}

static bool parse_offsets(wg__json *json, indexed_tensor *t)
{
    int64_t begin, end;
    if (!wg__json_expect(json, '[') || !wg__json_number(json, &begin) || !wg__json_expect(json, ',') ||
        !wg__json_number(json, &end) || !wg__json_expect(json, ']'))
        return false;
    t->begin = (uint64_t)begin;
    t->end = (uint64_t)end;
    return true;
}

/* The data's size must match shape and type. */
static bool check_size(wg__json *json, const indexed_tensor *t, const wg_shape *shape)
{
    int64_t numel, bits;
    if (!wg_shape_numel(shape, &numel) || __builtin_mul_overflow(numel, types[t->type].bits, &bits))
        return wg__json_fail(json, "shape with too many elements");
    if (bits % 8 != 0) return wg__json_fail(json, "tensor whose size is not a whole number of bytes");
    if (t->end < t->begin || t->end - t->begin != (uint64_t)bits / 8)
        return wg__json_fail(json, "data_offsets do not match shape and dtype");
    return true;
}

/* {"dtype": ..., "shape": [...], "data_offsets": [begin, end]}, in any order, each once. */
static bool parse_tensor(wg_safetensors *file, wg__json *json, const char *name)
{
    enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4 };
    indexed_tensor t = {.name = (uint32_t)(name - file->header)};
    wg_shape shape = WG_SCALAR;
    int seen = 0;
    if (!wg__json_expect(json, '{')) return false;
    for (bool first = true; wg__json_next(json, '}', &first);) {
        char *key;
        if (!wg__json_string(json, &key) || !wg__json_expect(json, ':')) return false;
        int field = strcmp(key, "dtype") == 0          ? DTYPE
                    : strcmp(key, "shape") == 0        ? SHAPE
                    : strcmp(key, "data_offsets") == 0 ? OFFSETS
                                                       : 0;
        if (!field) return wg__json_fail(json, "key is not dtype, shape or data_offsets");
        if (seen & field) return wg__json_fail(json, "duplicate key");
        seen |= field;
        if (field == SHAPE) t.shape = (uint32_t)(json->at - file->header);
        if (!(field == DTYPE   ? parse_type(json, &t.type)
              : field == SHAPE ? parse_shape(json, &shape)
                               : parse_offsets(json, &t)))
            return false;
    }
    if (json->failed) return false;
    if (seen != (DTYPE | SHAPE | OFFSETS))
        return wg__json_fail(json, "tensor without dtype, shape or data_offsets");
    t.rank = (uint8_t)shape.rank;
    file->tensors[file->n_tensors++] = t;
    return check_size(json, &t, &shape);
}

static wg_status parse_header(wg_safetensors *file, size_t size, wg_error *error)
{
    size_t invalid = wg__utf8_error(file->header, size);
    if (invalid < size)
        return wg_error_set(error, WG_ERR_FORMAT, WG__AT "header, byte %zu: not UTF-8", file->path, invalid);
    wg__json json = wg__json_parse(file->header, size, file->path, error);
    wg__json_expect(&json, '{');
    for (bool first = true; wg__json_next(&json, '}', &first);) {
        char *name;
        if (!wg__json_string(&json, &name) || !wg__json_expect(&json, ':')) break;
        if (!(strcmp(name, "__metadata__") == 0 ? parse_metadata(file, &json) : parse_tensor(file, &json, name)))
            break;
    }
    wg__json_end(&json);
    return json.failed ? WG_ERR_FORMAT : WG_OK;
}

/* ---- the file ---- */

static bool begins_before(const void *context, const void *a, const void *b)
{
    const indexed_tensor *x = a, *y = b;
    return x->begin != y->begin ? x->begin < y->begin : x->end < y->end;
}

static bool named_before(const void *context, const void *a, const void *b)
{
    const wg_safetensors *file = context;
    return strcmp(file->header + ((const indexed_tensor *)a)->name,
                  file->header + ((const indexed_tensor *)b)->name) < 0;
}

/* The tensors must cover the data without gaps or overlaps, and have unique names. Sorts them by name. */
static wg_status check_tensors(wg_safetensors *file, wg_error *error)
{
    uint64_t at = 0;
    wg__sort(file->tensors, file->n_tensors, sizeof(indexed_tensor), begins_before, NULL);
    for (size_t i = 0; i < file->n_tensors; at = file->tensors[i++].end)
        if (file->tensors[i].begin != at) return format_error(file, error, "tensors overlap or leave a gap");
    if (at > file->data_size) return format_error(file, error, "file is truncated");
    if (at < file->data_size) return format_error(file, error, "bytes after the last tensor");

    wg__sort(file->tensors, file->n_tensors, sizeof(indexed_tensor), named_before, file);
    for (size_t i = 1; i < file->n_tensors; i++)
        if (!named_before(file, &file->tensors[i - 1], &file->tensors[i]))
            return format_error(file, error, "duplicate tensor name");
    return WG_OK;
}

/* Verifies the checksum, if there is one. Call it before the header is decoded in place. */
static wg_status check_crc(wg_safetensors *file, uint64_t header_size, wg_error *error)
{
    if (header_size < WG__CRC_AT + WG__CRC_DIGITS + 1 || memcmp(file->header, WG__CRC_PREFIX, WG__CRC_AT) != 0)
        return WG_OK;
    char stored[WG__CRC_DIGITS + 1] = {0}, computed[WG__CRC_DIGITS + 1];
    char *digits = file->header + WG__CRC_AT;
    memcpy(stored, digits, WG__CRC_DIGITS);
    memset(digits, '0', WG__CRC_DIGITS);
    uint32_t crc = wg__crc32(0, file->bytes, 8 + header_size + file->data_size);
    memcpy(digits, stored, WG__CRC_DIGITS);
    snprintf(computed, sizeof computed, "%08x", crc);
    if (memcmp(stored, computed, WG__CRC_DIGITS) != 0 || digits[WG__CRC_DIGITS] != '"')
        return format_error(file, error, "file is damaged: checksum mismatch");
    file->checksum_ok = true;
    return WG_OK;
}

/* Parses file->bytes, a file of this size, at least 8 bytes. */
static wg_status parse_file(wg_safetensors *file, size_t size, wg_error *error)
{
    assert(file->bytes && size >= 8);
    uint64_t header_size;
    memcpy(&header_size, file->bytes, 8);
    file->header = file->bytes + 8;
    file->data = file->header + header_size;
    file->data_size = size - 8 - header_size;
    wg_status status = check_crc(file, header_size, error);
    if (status != WG_OK) return status;

    size_t max_tensors = header_size / SHORTEST_ENTRY + 1;
    file->tensors = malloc(max_tensors * sizeof(indexed_tensor));
    if (!file->tensors) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", file->path);
    if ((status = parse_header(file, header_size, error)) != WG_OK) return status;
    if ((status = check_tensors(file, error)) != WG_OK) return status;
    for (size_t i = 0; i < file->n_pairs && !file->checksum_ok; i++)
        if (strncmp(file->header + file->pairs[i].key, WG__RESERVED, sizeof WG__RESERVED - 1) == 0)
            return format_error(file, error, "file is damaged: checksum missing");
    indexed_tensor *fitted = realloc(file->tensors, (file->n_tensors + 1) * sizeof(indexed_tensor));
    if (fitted) file->tensors = fitted;
    return WG_OK;
}

/* How other files begin. As the length of a header, each of these is larger than the limit. */
static const struct {
    char begin[8];
    const char *what;
} others[] = {
    {"PK\3\4", "a zip archive, such as PyTorch's .pt: torch.load it, then safetensors.torch.save_file"},
    {"\x80\2", "a pickle, such as an old .pt of PyTorch: torch.load it, then safetensors.torch.save_file"},
    {"\x80\3", "a pickle: load it in Python, then safetensors.numpy.save_file"},
    {"\x80\4", "a pickle: load it in Python, then safetensors.numpy.save_file"},
    {"\x80\5", "a pickle: load it in Python, then safetensors.numpy.save_file"},
    {"\x93NUMPY", "an array of NumPy: numpy.load it, then safetensors.numpy.save_file"},
    {"\x89HDF", "an HDF5 file, such as a model of Keras: load it, then safetensors.numpy.save_file"},
    {"GGUF", "a GGUF file, which Wengert does not read"},
    {"\x1f\x8b", "gzipped: gunzip it"},
    {"{", "JSON: the index of a model in several files? Load those"},
};

/* Rejects a header that is larger than the limit or the file. */
static wg_status check_length(const wg_safetensors *file, uint64_t header_size, uint64_t size, wg_error *error)
{
    for (size_t i = 0; header_size > WG__HEADER_LIMIT && i < sizeof others / sizeof *others; i++)
        if (memcmp(&header_size, others[i].begin, strlen(others[i].begin)) == 0)
            return wg_error_set(error, WG_ERR_FORMAT, WG__AT "not a safetensors file, but %s", file->path,
                                others[i].what);
    if (header_size > WG__HEADER_LIMIT)
        return format_error(file, error, "not a safetensors file: header length over 100 MB");
    if (header_size > size - 8) return format_error(file, error, "file is truncated");
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
        return format_error(file, error, "not a safetensors file: fewer than 8 bytes");
    if (reader->file_size > SIZE_MAX / 2) return format_error(file, error, "file is too large");
    *size = (size_t)reader->file_size;
    wg_status status = wg__reader_read(reader, &header_size, 8, &got, error);
    if (status != WG_OK) return status;
    if (got < 8) return format_error(file, error, "file is truncated");
    if ((status = check_length(file, header_size, *size, error)) != WG_OK) return status;
    file->bytes = malloc(*size);
    if (!file->bytes) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", file->path);
    memcpy(file->bytes, &header_size, 8);
    status = wg__reader_read(reader, file->bytes + 8, *size - 8, &got, error);
    if (status == WG_OK && got < *size - 8) return format_error(file, error, "file is truncated");
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

/* A copy of these bytes, parsed. */
static wg_status parse_copy(wg_safetensors *file, const void *bytes, size_t size, wg_error *error)
{
    if (!bytes || size < 8) return format_error(file, error, "not a safetensors file: fewer than 8 bytes");
    uint64_t header_size;
    memcpy(&header_size, bytes, 8);
    wg_status status = check_length(file, header_size, size, error);
    if (status != WG_OK) return status;
    file->bytes = malloc(size);
    if (!file->bytes) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", file->path);
    memcpy(file->bytes, bytes, size);
    return parse_file(file, size, error);
}

wg_safetensors *wg_safetensors_parse(const void *bytes, size_t size, const char *name, wg_error *error)
{
    wg_safetensors *file = new_file(name ? name : "", error);
    if (file && parse_copy(file, bytes, size, error) == WG_OK) return file;
    wg_safetensors_close(file);
    return NULL;
}

void wg_safetensors_close(wg_safetensors *file)
{
    if (!file) return;
    free(file->bytes);
    free(file->tensors);
    free(file->path);
    free(file);
}

/* ---- access ---- */

size_t wg_safetensors_count(const wg_safetensors *file) { return file ? file->n_tensors : 0; }
const char *wg_safetensors_path(const wg_safetensors *file) { return file ? file->path : ""; }
size_t wg_safetensors_metadata_count(const wg_safetensors *file) { return file ? file->n_pairs : 0; }

wg_entry wg_safetensors_at(const wg_safetensors *file, size_t index)
{
    if (!file || index >= file->n_tensors) return (wg_entry){.dtype = WG_DTYPES, .shape = {.rank = -1}};
    const indexed_tensor *t = &file->tensors[index];
    wg_shape shape;
    wg__json json =
        wg__json_parse(file->header + t->shape, (size_t)(file->data - file->header) - t->shape, "", NULL);
    parse_shape(&json, &shape); /* cannot fail: it was parsed before */
    return (wg_entry){.name = file->header + t->name,
                      .type = types[t->type].name,
                      .dtype = types[t->type].dtype,
                      .shape = shape,
                      .data = file->data + t->begin,
                      .bytes = (size_t)(t->end - t->begin)};
}

size_t wg__safetensors_index(const wg_safetensors *file, const char *name)
{
    for (size_t low = 0, high = file->n_tensors; low < high;) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(name, file->header + file->tensors[middle].name);
        if (order == 0) return middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return file->n_tensors;
}

bool wg_safetensors_find(const wg_safetensors *file, const char *name, wg_entry *entry)
{
    const size_t index = file && name ? wg__safetensors_index(file, name) : 0;
    const bool found = file && name && index < file->n_tensors;
    if (entry) *entry = found ? wg_safetensors_at(file, index) : (wg_entry){0};
    return found;
}

wg_pair wg_safetensors_metadata_at(const wg_safetensors *file, size_t index)
{
    if (!file || index >= file->n_pairs) return (wg_pair){0};
    return (wg_pair){file->header + file->pairs[index].key, file->header + file->pairs[index].value};
}

const char *wg_safetensors_metadata(const wg_safetensors *file, const char *key)
{
    for (size_t i = 0; file && key && i < file->n_pairs; i++)
        if (strcmp(file->header + file->pairs[i].key, key) == 0) return file->header + file->pairs[i].value;
    return NULL;
}
