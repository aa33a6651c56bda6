/* Reads safetensors files. They are untrusted: everything is validated before use.
 *
 * The file is read into one block. The strings of its header are decoded in place, and a shape is parsed again when the
 * caller requests it, so the block and a small index are all the memory that is needed. */
#include "safetensors.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The minimum length of a tensor's entry in the header: "":{"dtype":"F4","shape":[],"data_offsets":[0,0]} */
enum { SHORTEST_ENTRY = 48 };

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
            (wg__indexed_pair){(uint32_t)(key - file->header), (uint32_t)(value - file->header)};
    }
    return !json->failed;
}

static bool parse_type(wg__json *json, uint8_t *type)
{
    char *name;
    if (!wg__json_string(json, &name)) return false;
    *type = (uint8_t)wg__type_find(name);
    return *type < WG__TYPES || wg__json_fail(json, "unknown dtype");
}

static bool parse_offsets(wg__json *json, wg__indexed *t)
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
static bool check_size(wg__json *json, const wg__indexed *t, const wg_shape *shape)
{
    int64_t numel, bits;
    if (!wg_shape_numel(shape, &numel) || __builtin_mul_overflow(numel, wg__types[t->type].bits, &bits))
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
    wg__indexed t = {.name = (uint32_t)(name - file->header)};
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
              : field == SHAPE ? wg__parse_shape(json, &shape)
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
    const wg__indexed *x = a, *y = b;
    return x->begin != y->begin ? x->begin < y->begin : x->end < y->end;
}

/* The tensors must cover the data without gaps or overlaps, and have unique names. Sorts them by name. */
static wg_status check_tensors(wg_safetensors *file, wg_error *error)
{
    uint64_t at = 0;
    wg__sort(file->tensors, file->n_tensors, sizeof(wg__indexed), begins_before, NULL);
    for (size_t i = 0; i < file->n_tensors; at = file->tensors[i++].end)
        if (file->tensors[i].begin != at) return wg__tensors_fail(file, error, "tensors overlap or leave a gap");
    if (at > file->data_size) return wg__tensors_fail(file, error, "file is truncated");
    if (at < file->data_size) return wg__tensors_fail(file, error, "bytes after the last tensor");

    return wg__tensors_sort(file, error);
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
        return wg__tensors_fail(file, error, "file is damaged: checksum mismatch");
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
    file->header_size = header_size;
    file->data = file->header + header_size;
    file->data_size = size - 8 - header_size;
    wg_status status = check_crc(file, header_size, error);
    if (status != WG_OK) return status;

    size_t max_tensors = header_size / SHORTEST_ENTRY + 1;
    file->tensors = malloc(max_tensors * sizeof(wg__indexed));
    if (!file->tensors) return wg__tensors_no_memory(file, error);
    if ((status = parse_header(file, header_size, error)) != WG_OK) return status;
    if ((status = check_tensors(file, error)) != WG_OK) return status;
    for (size_t i = 0; i < file->n_pairs && !file->checksum_ok; i++)
        if (strncmp(file->header + file->pairs[i].key, WG__RESERVED, sizeof WG__RESERVED - 1) == 0)
            return wg__tensors_fail(file, error, "file is damaged: checksum missing");
    wg__indexed *fitted = realloc(file->tensors, (file->n_tensors + 1) * sizeof(wg__indexed));
    if (fitted) file->tensors = fitted;
    return WG_OK;
}

/* Rejects a header that is larger than the limit or the file. */
static wg_status check_length(const wg_safetensors *file, uint64_t header_size, uint64_t size, wg_error *error)
{
    if (header_size > WG__HEADER_LIMIT)
        return wg__tensors_fail(file, error, "not a safetensors file: header length over 100 MB");
    if (header_size > size - 8) return wg__tensors_fail(file, error, "file is truncated");
    return WG_OK;
}

wg_status wg__read_safetensors(wg_safetensors *file, wg__source *source, wg_error *error)
{
    uint64_t header_size;
    wg_status status = wg__source_read(source, 0, &header_size, 8, error);
    if (status != WG_OK) return status;
    if ((status = check_length(file, header_size, source->size, error)) != WG_OK) return status;
    file->bytes = malloc(source->size);
    if (!file->bytes) return wg__tensors_no_memory(file, error);
    memcpy(file->bytes, &header_size, 8);
    status = wg__source_read(source, 8, file->bytes + 8, source->size - 8, error);
    return status == WG_OK ? parse_file(file, source->size, error) : status;
}
