/* Writes safetensors files like the reference implementation: tensors by descending element size, then by name; the
 * header padded with blanks to a multiple of eight bytes. */
#include "safetensors.h"

#include "../autograd/base/heap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- sorting ---- */

/* Heapsort (Williams 1964). */
void wg__sort(void *items, size_t n, size_t size, wg__less less, const void *context)
{
    char *base = items;
    for (size_t built = n / 2, left = n; left > 1;) {
        if (built > 0)
            built--;
        else
            wg__swap_bytes(base, base + --left * size, size);
        for (size_t root = built, child; (child = 2 * root + 1) < left; root = child) {
            if (child + 1 < left && less(context, base + child * size, base + (child + 1) * size)) child++;
            if (!less(context, base + root * size, base + child * size)) break;
            wg__swap_bytes(base + root * size, base + child * size, size);
        }
    }
}

/* ---- checks ---- */

static const char *const type_names[] = {
    [WG_F32] = "F32", [WG_F64] = "F64", [WG_I32] = "I32", [WG_BOOL] = "BOOL", [WG_BF16] = "BF16"};

static bool has_type(wg_dtype dtype)
{
    return (unsigned)dtype < sizeof type_names / sizeof *type_names && type_names[dtype];
}

/* The arguments of wg_safetensors_write. */
typedef struct writer {
    const char *path;
    const wg_entry *tensors;
    const wg_pair *metadata;
    size_t n_tensors, n_metadata;
    size_t *order; /* [n_tensors] */
    wg_error *error;
    wg_fill fill; /* makes the tensors without data; NULL: there are none */
    void *context;
    char *head; /* the 8 bytes of the length and the header */
    size_t head_size;
    char *chunk; /* [CHUNK] for fill */
} writer;

enum { CHUNK = 1 << 18 };

static bool larger_then_named(const void *context, const void *a, const void *b)
{
    const wg_entry *tensors = context;
    const wg_entry *x = &tensors[*(const size_t *)a], *y = &tensors[*(const size_t *)b];
    size_t sx = wg_dtype_size(x->dtype), sy = wg_dtype_size(y->dtype);
    return sx != sy ? sx > sy : strcmp(x->name, y->name) < 0;
}

static bool named_before(const void *context, const void *a, const void *b)
{
    const wg_entry *tensors = context;
    return strcmp(tensors[*(const size_t *)a].name, tensors[*(const size_t *)b].name) < 0;
}

static wg_status reject_at(const char *path, wg_error *error, const char *name, const char *reason)
{
    return wg_error_set(error, WG_ERR_ARGUMENT, WG__AT "%.80s: %s", path, name ? name : "(null)", reason);
}

static wg_status reject(const writer *w, const char *name, const char *reason)
{
    return reject_at(w->path, w->error, name, reason);
}

static bool is_utf8(const char *s) { return s && wg__utf8_error(s, strlen(s)) == strlen(s); }

wg_status wg__entries_check(const char *path, const wg_entry *tensors, size_t n, bool filled, size_t *order,
                            wg_error *error)
{
    for (size_t i = 0; i < n; i++) {
        const wg_entry *t = &tensors[i];
        size_t bytes;
        order[i] = i;
        if (!is_utf8(t->name)) return reject_at(path, error, "a tensor", "name is not UTF-8");
        if (!has_type(t->dtype)) return reject_at(path, error, t->name, "unknown dtype");
        if (!wg_shape_bytes(&t->shape, t->dtype, &bytes)) return reject_at(path, error, t->name, "invalid shape");
        if (!t->data && bytes && !filled) return reject_at(path, error, t->name, "no data");
    }
    wg__sort(order, n, sizeof(size_t), named_before, tensors);
    for (size_t i = 1; i < n; i++)
        if (!named_before(tensors, &order[i - 1], &order[i]))
            return reject_at(path, error, tensors[order[i]].name, "duplicate name");
    return WG_OK;
}

static wg_status check_tensors(const writer *w)
{
    for (size_t i = 0; i < w->n_tensors; i++)
        if (w->tensors[i].name && strcmp(w->tensors[i].name, "__metadata__") == 0)
            return reject(w, "__metadata__", "name is reserved by the format");
    return wg__entries_check(w->path, w->tensors, w->n_tensors, w->fill != NULL, w->order, w->error);
}

static wg_status check_metadata(const writer *w)
{
    if (w->n_metadata >= WG__METADATA_LIMIT) return reject(w, "metadata", "more than 1023 keys");
    for (size_t i = 0; i < w->n_metadata; i++) {
        if (!is_utf8(w->metadata[i].key)) return reject(w, "metadata", "a key is not UTF-8");
        if (!is_utf8(w->metadata[i].value)) return reject(w, w->metadata[i].key, "value is not UTF-8");
        for (size_t k = 0; k < i; k++)
            if (strcmp(w->metadata[i].key, w->metadata[k].key) == 0)
                return reject(w, w->metadata[i].key, "duplicate key");
        if (strcmp(w->metadata[i].key, WG__CRC_KEY) == 0) return reject(w, WG__CRC_KEY, "key is reserved");
    }
    return WG_OK;
}

/* ---- the header ---- */

/* Output; counts only while out is NULL. */
typedef struct sink {
    char *out;
    size_t size;
} sink;

static void put(sink *s, const char *text)
{
    size_t n = strlen(text);
    if (s->out) memcpy(s->out + s->size, text, n);
    s->size += n;
}

static void put_quoted(sink *s, const char *text)
{
    s->size += wg__json_quote(text, s->out ? s->out + s->size : NULL);
}

static void put_number(sink *s, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    put(s, text);
}

static size_t tensor_bytes(const wg_entry *t)
{
    size_t bytes = 0;
    wg_shape_bytes(&t->shape, t->dtype, &bytes); /* cannot fail: check_tensors has checked it */
    return bytes;
}

static void put_tensor(sink *s, const wg_entry *t, uint64_t begin)
{
    put(s, ",");
    put_quoted(s, t->name);
    put(s, ":{\"dtype\":\"");
    put(s, type_names[t->dtype]);
    put(s, "\",\"shape\":[");
    for (int i = 0; i < t->shape.rank; i++) {
        if (i) put(s, ",");
        put_number(s, (uint64_t)t->shape.size[i]);
    }
    put(s, "],\"data_offsets\":[");
    put_number(s, begin);
    put(s, ",");
    put_number(s, begin + tensor_bytes(t));
    put(s, "]}");
}

static void put_header(sink *s, const writer *w)
{
    uint64_t at = 0;
    put(s, WG__CRC_PREFIX "00000000\"");
    for (size_t i = 0; i < w->n_metadata; i++) {
        put(s, ",");
        put_quoted(s, w->metadata[i].key);
        put(s, ":");
        put_quoted(s, w->metadata[i].value);
    }
    put(s, "}");
    for (size_t i = 0; i < w->n_tensors; i++) {
        const wg_entry *t = &w->tensors[w->order[i]];
        put_tensor(s, t, at);
        at += tensor_bytes(t);
    }
    put(s, "}");
    while (s->size % 8 != 0) put(s, " ");
}

/* ---- the file ---- */

/* Writes a tensor that fill makes, and continues the checksum. */
static bool write_filled(const writer *w, int fd, size_t tensor, uint32_t *crc, wg_error *reason)
{
    const size_t bytes = tensor_bytes(&w->tensors[tensor]);
    for (size_t at = 0; at < bytes; at += CHUNK) {
        const size_t size = bytes - at < CHUNK ? bytes - at : CHUNK;
        if (w->fill(w->context, tensor, at, w->chunk, size, reason) != WG_OK) {
            wg_error_set(reason, WG_ERR_IO, "%.80s: no data", w->tensors[tensor].name); /* if fill gave no reason */
            return false;
        }
        *crc = wg__crc32(*crc, w->chunk, size);
        if (!wg__write_all(fd, w->chunk, size)) return false;
    }
    return true;
}

/* Tensors may be made as they are written, so that the checksum is known last. */
static bool write_contents(void *context, int fd, wg_error *reason)
{
    const writer *w = context;
    char digits[WG__CRC_DIGITS + 1];
    uint32_t crc = wg__crc32(0, w->head, w->head_size);
    if (!wg__write_all(fd, w->head, w->head_size)) return false;
    for (size_t i = 0; i < w->n_tensors; i++) {
        const wg_entry *t = &w->tensors[w->order[i]];
        if (!t->data) {
            if (!write_filled(w, fd, w->order[i], &crc, reason)) return false;
            continue;
        }
        crc = wg__crc32(crc, t->data, tensor_bytes(t));
        if (!wg__write_all(fd, t->data, tensor_bytes(t))) return false;
    }
    snprintf(digits, sizeof digits, "%08x", crc);
    return lseek(fd, 8 + WG__CRC_AT, SEEK_SET) >= 0 && wg__write_all(fd, digits, WG__CRC_DIGITS);
}

static wg_status write_file(writer *w)
{
    sink header = {0};
    put_header(&header, w);
    if (header.size > WG__HEADER_LIMIT) return reject(w, "header", "larger than 100 MB");
    const uint64_t length = header.size;
    w->head_size = header.size + 8;
    w->head = malloc(w->head_size);
    w->chunk = w->fill ? malloc(CHUNK) : NULL;
    wg_status status;
    if (w->head && (w->chunk || !w->fill)) {
        memcpy(w->head, &length, 8);
        put_header(&(sink){.out = w->head + 8}, w);
        status = wg__file_replace_by(w->path, write_contents, w, w->error);
    } else {
        status = wg_error_set(w->error, WG_ERR_MEMORY, WG__AT "out of memory", w->path);
    }
    free(w->head);
    free(w->chunk);
    return status;
}

wg_status wg_safetensors_write_from(const char *path, const wg_entry *tensors, size_t n_tensors,
                                    const wg_pair *metadata, size_t n_metadata, wg_fill fill, void *context,
                                    wg_error *error)
{
    writer w = {path ? path : "", tensors, metadata, n_tensors, n_metadata, .error = error, .fill = fill};
    w.context = context;
    if (n_tensors > 0 && !tensors) return reject(&w, "tensors", "NULL");
    if (n_metadata > 0 && !metadata) return reject(&w, "metadata", "NULL");
    if (n_tensors > SIZE_MAX / sizeof(wg_entry)) return reject(&w, "tensors", "too many");
    w.order = malloc((n_tensors + 1) * sizeof(size_t));
    if (!w.order) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", w.path);
    wg_status status = check_tensors(&w);
    if (status == WG_OK) status = check_metadata(&w);
    if (status == WG_OK) {
        wg__sort(w.order, n_tensors, sizeof(size_t), larger_then_named, tensors);
        status = write_file(&w);
    }
    free(w.order);
    return status;
}

wg_status wg_safetensors_write(const char *path, const wg_entry *tensors, size_t n_tensors, const wg_pair *metadata,
                               size_t n_metadata, wg_error *error)
{
    return wg_safetensors_write_from(path, tensors, n_tensors, metadata, n_metadata, NULL, NULL, error);
}
