/* Opens a file of named tensors by the format that its first bytes say. */
#include "tensors.h"

#include <stdlib.h>
#include <string.h>

static const char a_pickle[] = "a pickle: load it in Python, then numpy.savez its arrays";

/* How other files begin. As the length of a safetensors header, each of these is larger than the limit. */
static const struct {
    char begin[8];
    wg_status (*read)(wg_safetensors *file, wg__source *source, wg_error *error);
    const char *what; /* it is, if there is no reader */
} others[] = {
    {"PK\3\4", wg__read_archive, NULL},
    {"PK\5\6", wg__read_archive, NULL}, /* one without members */
    {"\x93NUMPY", wg__read_npy, NULL},
    {"\x80\2\x8a\nl\xfc\x9c", wg__read_pt_old, NULL},
    {"\x80\2", NULL, a_pickle},
    {"\x80\3", NULL, a_pickle},
    {"\x80\4", NULL, a_pickle},
    {"\x80\5", NULL, a_pickle},
    {"\x89HDF", wg__read_hdf5, NULL},
    {"GGUF", wg__read_gguf, NULL},
    {"\x1f\x8b", NULL, "gzipped: gunzip it"},
    {"{", NULL, "JSON: the index of a model in several files? Load those"},
};

static wg_status read_file(wg_safetensors *file, wg__source *source, wg_error *error)
{
    uint64_t begin;
    if (source->size < 8) return wg__tensors_fail(file, error, "not a safetensors file: fewer than 8 bytes");
    if (source->size > SIZE_MAX / 2) return wg__tensors_fail(file, error, "file is too large");
    wg_status status = wg__source_read(source, 0, &begin, 8, error);
    if (status != WG_OK) return status;
    for (size_t i = 0; begin > WG__HEADER_LIMIT && i < sizeof others / sizeof *others; i++) {
        if (memcmp(&begin, others[i].begin, strlen(others[i].begin)) != 0) continue;
        if (others[i].read) return others[i].read(file, source, error);
        return wg_error_set(error, WG_ERR_FORMAT, WG__AT "not a safetensors file, but %s", file->path,
                            others[i].what);
    }
    return wg__read_safetensors(file, source, error);
}

/* An open file, or NULL with an error. */
static wg_safetensors *open_source(wg__source *source, wg_error *error)
{
    wg_safetensors *file = calloc(1, sizeof *file);
    if (file) file->path = strdup(source->path);
    if (!file || !file->path)
        wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", source->path);
    else if (read_file(file, source, error) == WG_OK)
        return file;
    wg_safetensors_close(file);
    return NULL;
}

wg_safetensors *wg_safetensors_open(const char *path, wg_error *error)
{
    wg__reader reader;
    if (wg__reader_open_plain(&reader, path, error) != WG_OK) return NULL;
    wg__source source = {.path = path, .size = reader.file_size, .reader = &reader};
    wg_safetensors *file = NULL;
    if (reader.is_pipe)
        wg_error_set(error, WG_ERR_IO, WG__AT "is a pipe: write it to a file first", path);
    else
        file = open_source(&source, error);
    wg__reader_close(&reader);
    return file;
}

wg_safetensors *wg_safetensors_parse(const void *bytes, size_t size, const char *name, wg_error *error)
{
    wg__source source = {.path = name ? name : "", .size = bytes ? size : 0, .bytes = bytes};
    return open_source(&source, error);
}
