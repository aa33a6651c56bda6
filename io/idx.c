/* The IDX format of MNIST. */
#include "file.h"
#include "plain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t type_size(unsigned type)
{
    switch (type) {
    case WG_IDX_U8:
    case WG_IDX_I8: return 1;
    case WG_IDX_I16: return 2;
    case WG_IDX_I32:
    case WG_IDX_F32: return 4;
    case WG_IDX_F64: return 8;
    default: return 0;
    }
}

/* Reads exactly size bytes. */
static wg_status read_exactly(wg__reader *reader, void *bytes, size_t size, wg_error *error)
{
    size_t got = 0;
    wg_status status = wg__reader_read(reader, bytes, size, &got, error);
    if (status == WG_OK && got < size)
        return wg_error_set(error, WG_ERR_FORMAT, WG__AT "IDX file is truncated", reader->path);
    return status;
}

/* Reads type and shape. *bytes is the size of the elements, which is within the limit and, if the file is not gzipped,
 * within the file. */
static wg_status read_header(wg__reader *reader, uint64_t limit, wg_idx *idx, size_t *bytes, wg_error *error)
{
    unsigned char head[4], sizes[WG_MAX_RANK][4];
    wg_status status = read_exactly(reader, head, 4, error);
    if (status != WG_OK) return status;
    unsigned type = head[2], rank = head[3];
    if (head[0] || head[1] || !type_size(type))
        return wg_error_set(error, WG_ERR_FORMAT, WG__AT "not an IDX file: it begins %02x %02x %02x %02x",
                            reader->path, head[0], head[1], type, rank);
    if (rank < 1 || rank > WG_MAX_RANK)
        return wg_error_set(error, WG_ERR_FORMAT, WG__AT "IDX file of rank %u; 1 to %d are supported", reader->path,
                            rank, WG_MAX_RANK);
    if ((status = read_exactly(reader, sizes, 4 * rank, error)) != WG_OK) return status;

    idx->type = type;
    idx->shape.rank = (int)rank;
    for (unsigned i = 0; i < rank; i++) {
        const unsigned char *s = sizes[i];
        idx->shape.size[i] = (int64_t)((uint32_t)s[0] << 24 | (uint32_t)s[1] << 16 | (uint32_t)s[2] << 8 | s[3]);
    }
    int64_t numel;
    if (!wg_shape_numel(&idx->shape, &numel) || __builtin_mul_overflow((size_t)numel, type_size(type), bytes) ||
        (wg__reader_is_plain(reader) && *bytes > reader->file_size))
        return wg_error_set(error, WG_ERR_FORMAT,
                            WG__AT "IDX file is truncated: it is shorter than its header says", reader->path);
    if (*bytes <= (limit ? limit : wg__reader_limit(reader))) return WG_OK;
    return wg_error_set(error, WG_ERR_FORMAT, WG__AT "IDX file of %zu bytes; wg_idx_read_limited sets the limit",
                        reader->path, *bytes);
}

static wg_status read_all(wg__reader *reader, uint64_t limit, wg_idx *idx, wg_error *error)
{
    size_t bytes = 0, size, extra;
    char one, *data;
    wg_status status = read_header(reader, limit, idx, &bytes, error);
    if (status != WG_OK) return status;
    if ((status = wg__reader_take(reader, bytes, &data, &size, error)) != WG_OK) return status;
    idx->data = data;
    if (size < bytes) return wg_error_set(error, WG_ERR_FORMAT, WG__AT "IDX file is truncated", reader->path);
    if ((status = wg__reader_read(reader, &one, 1, &extra, error)) != WG_OK) return status;
    if (extra)
        return wg_error_set(error, WG_ERR_FORMAT, WG__AT "IDX file is longer than its header says", reader->path);
    wg__reverse_each(idx->data, bytes, type_size(idx->type)); /* the host is little-endian */
    return WG_OK;
}

wg_status wg_idx_read(const char *path, wg_idx *idx, wg_error *error)
{
    return wg_idx_read_limited(path, 0, idx, error);
}

wg_status wg_idx_read_limited(const char *path, uint64_t limit, wg_idx *idx, wg_error *error)
{
    if (!idx) return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "idx is NULL", path ? path : "");
    *idx = (wg_idx){0};
    wg__reader reader;
    wg_status status = wg__reader_open(&reader, path, error);
    if (status != WG_OK) return status;
    status = read_all(&reader, limit, idx, error);
    wg__reader_close(&reader);
    if (status != WG_OK) wg_idx_fini(idx);
    return status;
}

/* ---- elements ---- */

static double number_at(const wg_idx *idx, int64_t i)
{
    switch (idx->type) {
    case WG_IDX_U8: return ((const uint8_t *)idx->data)[i];
    case WG_IDX_I8: return ((const int8_t *)idx->data)[i];
    case WG_IDX_I16: return ((const int16_t *)idx->data)[i];
    case WG_IDX_I32: return ((const int32_t *)idx->data)[i];
    case WG_IDX_F32: return ((const float *)idx->data)[i];
    case WG_IDX_F64: return ((const double *)idx->data)[i];
    }
    return NAN;
}

double wg_idx_at(const wg_idx *idx, int64_t i)
{
    int64_t numel;
    if (!idx || !idx->data || !wg_shape_numel(&idx->shape, &numel) || i < 0 || i >= numel) return NAN;
    return number_at(idx, i);
}

/* Whether an i32 holds every number of the file: integers; what i32 cannot hold is not in these types. */
static bool is_integer(wg_idx_type type) { return type != WG_IDX_F32 && type != WG_IDX_F64; }

/* Replaces the elements by scale times them, as floats, or by themselves, as i32. */
static wg_status convert(const char *path, wg_dtype dtype, double scale, wg_idx *idx, wg_error *error)
{
    int64_t numel;
    size_t bytes;
    if (!wg_shape_numel(&idx->shape, &numel) || !wg_shape_bytes(&idx->shape, dtype, &bytes))
        return wg_error_set(error, WG_ERR_FORMAT, WG__AT "IDX file with too many elements", path);
    void *to = malloc(bytes + 1);
    if (!to) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", path);
    const wg__plain caller = wg__plain_begin();
    for (int64_t i = 0; i < numel; i++) {
        const double number = number_at(idx, i);
        if (dtype == WG_I32)
            ((int32_t *)to)[i] = (int32_t)number;
        else if (dtype == WG_F32)
            ((float *)to)[i] = (float)(scale * number);
        else
            ((double *)to)[i] = scale * number;
    }
    wg__plain_end(&caller);
    free(idx->data);
    idx->data = to;
    idx->type = dtype == WG_I32 ? WG_IDX_I32 : dtype == WG_F32 ? WG_IDX_F32 : WG_IDX_F64;
    return WG_OK;
}

wg_status wg_idx_read_as(const char *path, wg_dtype dtype, double scale, wg_idx *idx, wg_error *error)
{
    if (!idx) return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "idx is NULL", path ? path : "");
    *idx = (wg_idx){0};
    if (dtype == WG_I32 ? scale != 1 : !wg_dtype_is_float(dtype))
        return wg_error_set(error, WG_ERR_ARGUMENT, "IDX as %s times %g: it is read as f32, f64, or i32 times 1",
                            wg_dtype_name(dtype), scale);
    wg_status status = wg_idx_read(path, idx, error);
    if (status != WG_OK) return status;
    status = dtype == WG_I32 && !is_integer(idx->type)
                 ? wg_error_set(error, WG_ERR_FORMAT, WG__AT "IDX file of floats, not of integers", path)
                 : convert(path, dtype, scale, idx, error);
    if (status != WG_OK) wg_idx_fini(idx);
    return status;
}

void wg_idx_fini(wg_idx *idx)
{
    if (!idx) return;
    free(idx->data);
    *idx = (wg_idx){0};
}
