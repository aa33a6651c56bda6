/* Reads .npy and .npz: see npy.h. Versions 1 to 3 of the header, both byte orders, C and Fortran order. */
#include "npy.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One array, on its way from the file. */
typedef struct array {
    wg_safetensors *file;
    wg__zip *zip; /* the open member; NULL: a file of its own */
    wg__source *source;
    uint64_t at, left;      /* of the source; bytes to come */
    const char *name;       /* of the tensor */
    const char *text, *end; /* of the header */
    int type;               /* of wg__types */
    bool big_endian, fortran;
    wg_shape shape;
    wg_error *error;
} array;

static wg_status fail(const array *a, const char *reason)
{
    return wg_error_set(a->error, WG_ERR_FORMAT, WG__AT "array %.80s: %s", a->file->path, a->name, reason);
}

static wg_status take(array *a, void *to, uint64_t n)
{
    if (n > a->left) return fail(a, "it is truncated");
    a->left -= n;
    if (a->zip) return wg__zip_take(a->zip, to, n, a->error);
    a->at += n;
    return wg__source_read(a->source, a->at - n, to, n, a->error);
}

/* ---- the header: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } ---- */

static void skip_blanks(array *a)
{
    while (a->text < a->end && (*a->text == ' ' || *a->text == '\n' || *a->text == '\t')) a->text++;
}

static bool accept(array *a, const char *word)
{
    const size_t n = strlen(word);
    skip_blanks(a);
    if ((size_t)(a->end - a->text) < n || memcmp(a->text, word, n) != 0) return false;
    a->text += n;
    return true;
}

/* A string between quotes of either kind, without escapes. */
static bool read_string(array *a, char *to, size_t size)
{
    skip_blanks(a);
    const char quote = a->text < a->end ? *a->text : 0;
    if (quote != '\'' && quote != '"') return false;
    const char *close = memchr(a->text + 1, quote, (size_t)(a->end - a->text - 1));
    if (!close || (size_t)(close - a->text) > size) return false;
    const size_t n = (size_t)(close - a->text - 1);
    memcpy(to, a->text + 1, n);
    to[n] = 0;
    a->text = close + 1;
    return true;
}

/* NumPy's kinds and sizes. V2, two bytes of no kind, is what it writes for the bfloat16 of ml_dtypes (JAX). */
static wg_status read_descr(array *a)
{
    static const char *const types[][2] = {
        {"f4", "F32"}, {"f8", "F64"}, {"f2", "F16"}, {"V2", "BF16"}, {"b1", "BOOL"}, {"i1", "I8"},  {"u1", "U8"},
        {"i2", "I16"}, {"u2", "U16"}, {"i4", "I32"}, {"u4", "U32"},  {"i8", "I64"},  {"u8", "U64"}, {"c8", "C64"}};
    char descr[16], text[96];
    if (!read_string(a, descr, sizeof descr)) return fail(a, "a structured dtype, which is not a tensor's");
    a->big_endian = descr[0] == '>';
    for (size_t i = 0; *descr && strchr("<>|=", *descr) && i < sizeof types / sizeof *types; i++)
        if (strcmp(descr + 1, types[i][0]) == 0) {
            a->type = wg__type_find(types[i][1]);
            if (!a->big_endian || a->type != wg__type_find("C64")) return WG_OK;
        }
    snprintf(text, sizeof text, "dtype '%s' is not read; numbers, bool and bfloat16 ('V2') are", descr);
    return fail(a, text);
}

static wg_status read_shape(array *a)
{
    int64_t size[WG_MAX_RANK], numel = 0;
    int rank = 0;
    if (!accept(a, "(")) return fail(a, "its header has no shape");
    for (bool last = accept(a, ")"); !last; last = last || accept(a, ")")) {
        if (rank == WG_MAX_RANK) return fail(a, "it has more than 8 axes");
        size[rank] = 0;
        skip_blanks(a);
        const char *first = a->text;
        for (; a->text < a->end && isdigit((unsigned char)*a->text); a->text++)
            if (__builtin_mul_overflow(size[rank], 10, &size[rank]) ||
                __builtin_add_overflow(size[rank], *a->text - '0', &size[rank]))
                return fail(a, "it has too many elements");
        if (a->text == first) return fail(a, "its header has no shape");
        accept(a, "L"); /* of Python 2 */
        rank++;
        if (accept(a, ",")) continue;
        last = accept(a, ")");
        if (!last) return fail(a, "its header has no shape");
    }
    a->shape = wg_shape_of(rank, size);
    return wg_shape_numel(&a->shape, &numel) ? WG_OK : fail(a, "it has too many elements");
}

static wg_status parse_header(array *a)
{
    enum { DESCR = 1, ORDER = 2, SHAPE = 4 };
    int seen = 0;
    if (!accept(a, "{")) return fail(a, "its header is no dict");
    while (!accept(a, "}")) {
        char key[16];
        if (!read_string(a, key, sizeof key) || !accept(a, ":")) return fail(a, "its header is no dict of strings");
        const int field = strcmp(key, "descr") == 0           ? DESCR
                          : strcmp(key, "fortran_order") == 0 ? ORDER
                          : strcmp(key, "shape") == 0         ? SHAPE
                                                              : 0;
        if (!field || seen & field) return fail(a, "its header has an unknown or a second key");
        seen |= field;
        if (field == ORDER) {
            a->fortran = accept(a, "True");
            if (!a->fortran && !accept(a, "False")) return fail(a, "fortran_order is not True or False");
        }
        wg_status status = field == DESCR ? read_descr(a) : field == SHAPE ? read_shape(a) : WG_OK;
        if (status != WG_OK) return status;
        if (!accept(a, ",")) {
            if (accept(a, "}")) break;
            return fail(a, "its header is no dict");
        }
    }
    skip_blanks(a);
    if (a->text != a->end) return fail(a, "bytes after its header's dict");
    return seen == (DESCR | ORDER | SHAPE) ? WG_OK : fail(a, "its header lacks descr, fortran_order or shape");
}

static wg_status read_header(array *a)
{
    enum { MOST = 1 << 16 };
    unsigned char head[8], length[4] = {0};
    wg_status status = take(a, head, sizeof head);
    if (status != WG_OK) return status;
    if (memcmp(head, "\x93NUMPY", 6) != 0) return fail(a, "it is no .npy file");
    if (head[6] < 1 || head[6] > 3 || head[7] != 0)
        return fail(a, "it is of a version other than 1.0, 2.0 and 3.0");
    if ((status = take(a, length, head[6] == 1 ? 2 : 4)) != WG_OK) return status;
    const uint32_t n = wg__get32(length);
    if (n > MOST) return fail(a, "its header is longer than 64 KiB");
    char *text = malloc(n + 1);
    if (!text) return wg__tensors_no_memory(a->file, a->error);
    status = take(a, text, n);
    a->text = text;
    a->end = text + n;
    if (status == WG_OK) status = parse_header(a);
    free(text);
    return status;
}

/* ---- the elements ---- */

/* Fortran order is that of the reversed axes. */
static wg_status put_in_c_order(array *a, char *bytes, size_t n, size_t size)
{
    int64_t strides[WG_MAX_RANK], next = 1;
    for (int i = 0; i < a->shape.rank; next *= a->shape.size[i++]) strides[i] = next;
    if (!a->fortran || wg__is_row_major(&a->shape, strides)) return WG_OK;
    char *copy = malloc(n);
    if (!copy) return wg__tensors_no_memory(a->file, a->error);
    wg__copy_strided(bytes, &a->shape, strides, size, copy);
    memcpy(bytes, copy, n);
    free(copy);
    return WG_OK;
}

/* Reads the elements in pieces, so that memory grows with what arrives. */
static wg_status read_elements(array *a, uint64_t expected, uint64_t at_once)
{
    enum { PIECE = 1 << 20 };
    const size_t size = wg__types[a->type].bits / 8;
    const uint64_t begin = a->file->data_size, end = begin + a->left;
    int64_t numel = 0;
    uint64_t bytes;
    if (!wg_shape_numel(&a->shape, &numel) || __builtin_mul_overflow((uint64_t)numel, size, &bytes))
        return fail(a, "it has too many elements");
    if (bytes != a->left) return fail(a, bytes > a->left ? "it is truncated" : "it is longer than its shape says");
    while (a->file->data_size < end) {
        const uint64_t left = end - a->file->data_size;
        const size_t n = left < PIECE ? (size_t)left : PIECE;
        char *to = wg__tensors_more(a->file, n, expected, at_once);
        wg_status status = to ? take(a, to, n) : wg__tensors_no_memory(a->file, a->error);
        if (status != WG_OK) return status;
    }
    if (bytes == 0) return WG_OK;
    if (a->big_endian) wg__reverse_each(a->file->data + begin, bytes, size);
    return put_in_c_order(a, a->file->data + begin, bytes, size);
}

static wg_status read_array(array *a, uint64_t expected, uint64_t at_once)
{
    const uint64_t begin = a->file->data_size;
    wg_status status = read_header(a);
    if (status == WG_OK) status = read_elements(a, expected, at_once);
    return status == WG_OK ? wg__tensors_add(a->file, a->name, a->type, &a->shape, begin, a->error) : status;
}

/* An array alone has the name that numpy.savez would give it. */
wg_status wg__read_npy(wg_safetensors *file, wg__source *source, wg_error *error)
{
    array a = {.file = file, .source = source, .left = source->size, .name = "arr_0", .error = error};
    if (!wg__tensors_more(file, 0, source->size, source->size)) return wg__tensors_no_memory(file, error);
    return read_array(&a, source->size, source->size);
}

/* "w.npy" is the array w. */
static wg_status read_member(wg_safetensors *file, wg__zip *zip, const wg__member *m, wg_error *error)
{
    char *dot = strrchr(m->name, '.');
    if (!dot || strcmp(dot, ".npy") != 0)
        return wg_error_set(error, WG_ERR_FORMAT,
                            WG__AT "member %.100s: neither the arrays of an .npz nor the data.pkl of a .pt",
                            file->path, m->name);
    wg_status status = wg__zip_begin(zip, m, error);
    if (status != WG_OK) return status;
    *dot = 0;
    array a = {.file = file, .zip = zip, .left = m->size, .name = m->name, .error = error};
    status = read_array(&a, zip->total, zip->stored);
    *dot = '.';
    return status == WG_OK ? wg__zip_end(zip, error) : status;
}

wg_status wg__read_npz(wg_safetensors *file, wg__zip *zip, wg_error *error)
{
    wg_status status = WG_OK;
    if (!wg__tensors_more(file, 0, zip->total, zip->stored)) return wg__tensors_no_memory(file, error);
    for (size_t i = 0; i < zip->n && status == WG_OK; i++) status = read_member(file, zip, &zip->members[i], error);
    return status == WG_OK ? wg__tensors_sort(file, error) : status;
}
