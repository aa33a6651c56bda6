/* A file of named tensors: what readers of all formats fill, and access to it.
 *
 * A shape is parsed again when the caller requests it, so that the index takes 32 bytes per tensor. */
#include "tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const wg__type wg__types[WG__TYPES] = {
    {"F32", 32, WG_F32},       {"F64", 64, WG_F64},    {"I32", 32, WG_I32},       {"BOOL", 8, WG_BOOL},
    {"F16", 16, WG_DTYPES},    {"BF16", 16, WG_BF16},  {"I64", 64, WG_DTYPES},    {"U8", 8, WG_DTYPES},
    {"I8", 8, WG_DTYPES},      {"I16", 16, WG_DTYPES}, {"U16", 16, WG_DTYPES},    {"U32", 32, WG_DTYPES},
    {"U64", 64, WG_DTYPES},    {"C64", 64, WG_DTYPES}, {"F8_E4M3", 8, WG_DTYPES}, {"F8_E5M2", 8, WG_DTYPES},
    {"F8_E8M0", 8, WG_DTYPES}, {"F4", 4, WG_DTYPES},   {"F6_E2M3", 6, WG_DTYPES}, {"F6_E3M2", 6, WG_DTYPES},
};

int wg__type_find(const char *name)
{
    int i = 0;
    while (i < WG__TYPES && strcmp(wg__types[i].name, name) != 0) i++;
    return i;
}

wg_status wg__tensors_fail(const wg_safetensors *file, wg_error *error, const char *reason)
{
    return wg_error_set(error, WG_ERR_FORMAT, WG__AT "%s", file->path, reason);
}

wg_status wg__tensors_no_memory(const wg_safetensors *file, wg_error *error)
{
    return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", file->path);
}

/* ---- bytes on disk or in memory ---- */

wg_status wg__source_read(wg__source *source, uint64_t at, void *to, size_t n, wg_error *error)
{
    size_t got = 0;
    wg_status status = WG_OK;
    if (at > source->size || n > source->size - at)
        return wg_error_set(error, WG_ERR_FORMAT, WG__AT "file is truncated", source->path);
    if (!source->reader) {
        if (n) memcpy(to, source->bytes + at, n);
        return WG_OK;
    }
    if (source->at != at && lseek(source->reader->fd, (off_t)at, SEEK_SET) < 0)
        return wg__system_error(error, source->path, "cannot seek");
    status = wg__reader_read(source->reader, to, n, &got, error);
    source->at = at + got;
    if (status == WG_OK && got < n)
        return wg_error_set(error, WG_ERR_FORMAT, WG__AT "file is truncated", source->path);
    return status;
}

/* ---- for readers ---- */

void wg_safetensors_close(wg_safetensors *file)
{
    if (!file) return;
    free(file->bytes);
    wg__bytes_fini(&file->text);
    free(file->tensors);
    free(file->path);
    free(file);
}

static bool named_before(const void *context, const void *a, const void *b)
{
    const wg_safetensors *file = context;
    return strcmp(file->header + ((const wg__indexed *)a)->name, file->header + ((const wg__indexed *)b)->name) < 0;
}

wg_status wg__tensors_sort(wg_safetensors *file, wg_error *error)
{
    wg__sort(file->tensors, file->n_tensors, sizeof(wg__indexed), named_before, file);
    for (size_t i = 1; i < file->n_tensors; i++)
        if (!named_before(file, &file->tensors[i - 1], &file->tensors[i]))
            return wg_error_set(error, WG_ERR_FORMAT, WG__AT "duplicate tensor name %.100s", file->path,
                                file->header + file->tensors[i].name);
    return WG_OK;
}

char *wg__tensors_more(wg_safetensors *file, size_t n, uint64_t expected, uint64_t at_once)
{
    if (n > SIZE_MAX / 2 - file->data_size) return NULL;
    const uint64_t need = file->data_size + n;
    if (need > file->data_room || !file->bytes) {
        uint64_t room = 2 * file->data_room;
        if (room < at_once) room = at_once;
        if (room > expected) room = expected;
        if (room < need) room = need;
        char *grown = realloc(file->bytes, room + 1);
        if (!grown) return NULL;
        file->data = file->bytes = grown;
        file->data_room = room;
    }
    file->data_size = need;
    return file->data + need - n;
}

wg_status wg__tensors_add(wg_safetensors *file, const char *name, int type, const wg_shape *shape, uint64_t begin,
                          wg_error *error)
{
    char text[WG_MAX_RANK * 24];
    int64_t numel = 0;
    if (!wg_shape_numel(shape, &numel)) return wg__tensors_fail(file, error, "shape with too many elements");
    if (file->n_tensors == file->tensors_room) {
        const size_t room = file->tensors_room ? 2 * file->tensors_room : 16;
        wg__indexed *grown = realloc(file->tensors, room * sizeof *grown);
        if (!grown) return wg__tensors_no_memory(file, error);
        file->tensors = grown;
        file->tensors_room = room;
    }
    wg__indexed *t = &file->tensors[file->n_tensors++];
    *t = (wg__indexed){.begin = begin,
                       .end = begin + (uint64_t)numel * (wg__types[type].bits / 8),
                       .name = (uint32_t)file->text.size,
                       .type = (uint8_t)type,
                       .rank = (uint8_t)shape->rank};
    wg__bytes_put(&file->text, name, strlen(name) + 1);
    t->shape = (uint32_t)file->text.size;
    wg_shape_text(shape, text, sizeof text);
    wg__bytes_put(&file->text, text, strlen(text) + 1);
    if (file->text.failed) return wg__tensors_no_memory(file, error);
    if (file->text.size > WG__HEADER_LIMIT)
        return wg__tensors_fail(file, error, "names of tensors take more than 100 MB");
    file->header = file->text.data;
    file->header_size = file->text.size;
    return WG_OK;
}

bool wg__parse_shape(wg__json *json, wg_shape *shape)
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

bool wg__is_row_major(const wg_shape *shape, const int64_t *strides)
{
    int64_t dense = 1;
    for (int i = shape->rank - 1; i >= 0; dense *= shape->size[i--]) {
        if (shape->size[i] == 0) return true;
        if (shape->size[i] != 1 && strides[i] != dense) return false;
    }
    return true;
}

void wg__copy_strided(const char *from, const wg_shape *shape, const int64_t *strides, size_t size, char *to)
{
    int64_t index[WG_MAX_RANK] = {0}, numel = 0;
    if (!wg_shape_numel(shape, &numel)) return; /* it was checked before */
    for (int64_t i = 0; i < numel; i++, to += size) {
        memcpy(to, from, size);
        for (int axis = shape->rank - 1; axis >= 0; axis--) {
            from += strides[axis] * (int64_t)size;
            if (++index[axis] < shape->size[axis]) break;
            from -= index[axis] * strides[axis] * (int64_t)size;
            index[axis] = 0;
        }
    }
}

/* ---- access ---- */

size_t wg_safetensors_count(const wg_safetensors *file) { return file ? file->n_tensors : 0; }
const char *wg_safetensors_path(const wg_safetensors *file) { return file ? file->path : ""; }
size_t wg_safetensors_metadata_count(const wg_safetensors *file) { return file ? file->n_pairs : 0; }

wg_entry wg_safetensors_at(const wg_safetensors *file, size_t index)
{
    if (!file || index >= file->n_tensors) return (wg_entry){.dtype = WG_DTYPES, .shape = {.rank = -1}};
    const wg__indexed *t = &file->tensors[index];
    wg_shape shape;
    wg__json json = wg__json_parse(file->header + t->shape, file->header_size - t->shape, "", NULL);
    wg__parse_shape(&json, &shape); /* cannot fail: it was parsed before */
    return (wg_entry){.name = file->header + t->name,
                      .type = wg__types[t->type].name,
                      .dtype = wg__types[t->type].dtype,
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
