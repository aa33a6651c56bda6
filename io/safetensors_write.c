/* Writes safetensors files as the reference writer does: tensors by descending size of their elements, then by
 * name; the header padded with blanks to a multiple of eight bytes. */
#include "safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- sorting ---- */

static void swap_bytes(char *a, char *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char t = a[i];
        a[i] = b[i];
        b[i] = t;
    }
}

/* Heap sort (Williams 1964). */
void wg__sort(void *items, size_t n, size_t size, wg__less less, const void *context)
{
    char *base = items;
    for (size_t built = n / 2, left = n; left > 1;) {
        if (built > 0)
            built--;
        else
            swap_bytes(base, base + --left * size, size);
        for (size_t root = built, child; (child = 2 * root + 1) < left; root = child) {
            if (child + 1 < left && less(context, base + child * size, base + (child + 1) * size)) child++;
            if (!less(context, base + root * size, base + child * size)) break;
            swap_bytes(base + root * size, base + child * size, size);
        }
    }
}

/* ---- checks ---- */

static const char *const type_names[WG_DTYPES] = {"F32", "F64", "I32", "BOOL"};

typedef struct job {
    const char *path;
    const wg_entry *tensors;
    const wg_pair *metadata;
    size_t n_tensors, n_metadata;
    size_t *order; /* [n_tensors] */
    wg_error *error;
} job;

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

static wg_status refuse(const job *j, const char *name, const char *reason)
{
    return wg_error_set(j->error, WG_ERR_ARGUMENT, WG__AT "%.80s: %s", j->path, name ? name : "(null)", reason);
}

static bool is_utf8(const char *s) { return s && wg__utf8_error(s, strlen(s)) == strlen(s); }

static wg_status check_tensors(const job *j)
{
    for (size_t i = 0; i < j->n_tensors; i++) {
        const wg_entry *t = &j->tensors[i];
        size_t bytes;
        j->order[i] = i;
        if (!is_utf8(t->name)) return refuse(j, "a tensor", "its name is not UTF-8");
        if (strcmp(t->name, "__metadata__") == 0)
            return refuse(j, t->name, "the format keeps this name for itself");
        if ((unsigned)t->dtype >= WG_DTYPES) return refuse(j, t->name, "unknown dtype");
        if (!wg_shape_bytes(&t->shape, t->dtype, &bytes)) return refuse(j, t->name, "invalid shape");
        if (!t->data && bytes) return refuse(j, t->name, "no data");
    }
    wg__sort(j->order, j->n_tensors, sizeof(size_t), named_before, j->tensors);
    for (size_t i = 1; i < j->n_tensors; i++)
        if (!named_before(j->tensors, &j->order[i - 1], &j->order[i]))
            return refuse(j, j->tensors[j->order[i]].name, "this name stands twice");
    return WG_OK;
}

static wg_status check_metadata(const job *j)
{
    if (j->n_metadata >= WG__METADATA_LIMIT) return refuse(j, "metadata", "more than 1023 keys");
    for (size_t i = 0; i < j->n_metadata; i++) {
        if (!is_utf8(j->metadata[i].key)) return refuse(j, "metadata", "a key is not UTF-8");
        if (!is_utf8(j->metadata[i].value)) return refuse(j, j->metadata[i].key, "its value is not UTF-8");
        for (size_t k = 0; k < i; k++)
            if (strcmp(j->metadata[i].key, j->metadata[k].key) == 0)
                return refuse(j, j->metadata[i].key, "this key stands twice");
        if (strcmp(j->metadata[i].key, WG__CRC_KEY) == 0) return refuse(j, WG__CRC_KEY, "the writer computes it");
    }
    return WG_OK;
}

/* ---- the header ---- */

/* Text that only counts while out is NULL. */
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
    wg_shape_bytes(&t->shape, t->dtype, &bytes); /* was checked */
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

static void put_header(sink *s, const job *j)
{
    uint64_t at = 0;
    put(s, WG__CRC_PREFIX "00000000\"");
    for (size_t i = 0; i < j->n_metadata; i++) {
        put(s, ",");
        put_quoted(s, j->metadata[i].key);
        put(s, ":");
        put_quoted(s, j->metadata[i].value);
    }
    put(s, "}");
    for (size_t i = 0; i < j->n_tensors; i++) {
        const wg_entry *t = &j->tensors[j->order[i]];
        put_tensor(s, t, at);
        at += tensor_bytes(t);
    }
    put(s, "}");
    while (s->size % 8 != 0) put(s, " ");
}

/* ---- the file ---- */

/* head: the 8 bytes of the length, then the header. pieces[0] is it, pieces[1..] are the tensors. */
static void fill_pieces(const job *j, char *head, size_t header_size, wg__piece *pieces)
{
    uint64_t length = header_size;
    memcpy(head, &length, 8);
    put_header(&(sink){.out = head + 8}, j);
    pieces[0] = (wg__piece){head, header_size + 8};
    uint32_t crc = wg__crc32(0, head, header_size + 8);
    for (size_t i = 0; i < j->n_tensors; i++) {
        const wg_entry *t = &j->tensors[j->order[i]];
        pieces[i + 1] = (wg__piece){t->data, tensor_bytes(t)};
        crc = wg__crc32(crc, t->data, pieces[i + 1].size);
    }
    char digits[WG__CRC_DIGITS + 1];
    snprintf(digits, sizeof digits, "%08x", crc);
    memcpy(head + 8 + WG__CRC_AT, digits, WG__CRC_DIGITS);
}

static wg_status write_file(const job *j)
{
    sink counted = {0};
    put_header(&counted, j);
    if (counted.size > WG__HEADER_LIMIT) return refuse(j, "header", "it would be larger than 100 MB");
    char *head = malloc(counted.size + 8);
    wg__piece *pieces = malloc((j->n_tensors + 1) * sizeof *pieces);
    wg_status status;
    if (head && pieces) {
        fill_pieces(j, head, counted.size, pieces);
        status = wg__file_replace(j->path, pieces, j->n_tensors + 1, j->error);
    } else {
        status = wg_error_set(j->error, WG_ERR_MEMORY, WG__AT "out of memory", j->path);
    }
    free(head);
    free(pieces);
    return status;
}

wg_status wg_safetensors_write(const char *path, const wg_entry *tensors, size_t n_tensors, const wg_pair *metadata,
                               size_t n_metadata, wg_error *error)
{
    job j = {path ? path : "", tensors, metadata, n_tensors, n_metadata, NULL, error};
    if (n_tensors > SIZE_MAX / sizeof(wg_entry)) return refuse(&j, "tensors", "too many");
    j.order = malloc((n_tensors + 1) * sizeof(size_t));
    if (!j.order) return wg_error_set(error, WG_ERR_MEMORY, WG__AT "out of memory", j.path);
    wg_status status = check_tensors(&j);
    if (status == WG_OK) status = check_metadata(&j);
    if (status == WG_OK) {
        wg__sort(j.order, n_tensors, sizeof(size_t), larger_then_named, tensors);
        status = write_file(&j);
    }
    free(j.order);
    return status;
}
