/* Types and shapes of HDF5 datasets. See hdf5.h. */
#include "hdf5.h"

#include <stdio.h>
#include <string.h>

enum { FIXED = 0, FLOATING = 1, OPAQUE = 5, ENUMERATED = 8 }; /* classes */

/* The type whose name in safetensors is this. */
static void set_type(wg__h5_array *a, const char *name, bool big_endian)
{
    a->type = wg__type_find(name);
    a->width = wg__types[a->type].bits / 8;
    a->big_endian = big_endian;
    a->is_tensor = true;
}

/* IEEE 754's types and bfloat16, by their fields. */
static bool set_floating(wg__h5_array *a, const wg__h5_message *m)
{
    static const struct {
        const char *name;
        uint8_t size, sign;
        char fields[12]; /* offset and precision in bits; exponent at, its bits; mantissa at, its bits; the bias */
    } rows[] = {{"F32", 4, 31, "\0\0\x20\0\x17\x08\0\x17\x7f\0\0"},
                {"F64", 8, 63, "\0\0\x40\0\x34\x0b\0\x34\xff\3\0"},
                {"F16", 2, 15, "\0\0\x10\0\x0a\x05\0\x0a\x0f\0\0"},
                {"BF16", 2, 15, "\0\0\x10\0\x07\x08\0\x07\x7f\0\0"}};
    if (m->size < 20 || m->data[1] & 0x40) return false;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (wg__get32(m->data + 4) == rows[i].size && (uint8_t)m->data[2] == rows[i].sign &&
            memcmp(m->data + 8, rows[i].fields, 12) == 0) {
            set_type(a, rows[i].name, m->data[1] & 1);
            return true;
        }
    return false;
}

static bool set_fixed(wg__h5_array *a, const wg__h5_message *m)
{
    static const char *const names[2][4] = {{"U8", "U16", "U32", "U64"}, {"I8", "I16", "I32", "I64"}};
    const uint32_t size = wg__get32(m->data + 4);
    const bool is_signed = m->data[1] & 8;
    for (uint32_t i = 0; i < 4; i++)
        if (size == 1u << i && m->size >= 12 && wg__get16(m->data + 8) == 0 &&
            wg__get16(m->data + 10) == 8 * size) {
            set_type(a, names[is_signed][i], m->data[1] & 1);
            return true;
        }
    return false;
}

/* Names of members follow the base type's 12 bytes; each ends with a NUL, in versions 1 and 2 filled to 8 bytes. */
static bool is_bool(const wg__h5_message *m)
{
    static const char plain[] = "FALSE\0TRUE", filled[] = "FALSE\0\0\0TRUE\0\0\0";
    const bool is_filled = (uint8_t)m->data[0] >> 4 < 3;
    const size_t n = is_filled ? sizeof filled : sizeof plain;
    return m->size >= 20 + n + 2 && wg__get16(m->data + 1) == 2 && wg__get32(m->data + 4) == 1 &&
           (m->data[8] & 15) == FIXED && memcmp(m->data + 20, is_filled ? filled : plain, n) == 0 &&
           m->data[20 + n] == 0 && m->data[21 + n] == 1;
}

/* h5py writes bool as an enumeration, and the bfloat16 of ml_dtypes as 2 opaque bytes. */
static wg_status describe_type(wg__h5 *h, const wg__h5_message *m, wg__h5_array *a)
{
    if (m->shared) return wg__h5_fail(h, "its type is a named one, which is not read");
    if (m->size < 8) return wg__h5_fail(h, "its type is damaged");
    const int class = m->data[0] & 15;
    if (class == FLOATING && !set_floating(a, m))
        return wg__h5_fail(h, "floats of this format are not read; f16, bf16, f32 and f64 are");
    if (class == FIXED && !set_fixed(a, m))
        return wg__h5_fail(h, "integers of this format are not read; those of 8, 16, 32 and 64 bits are");
    if (class == ENUMERATED && is_bool(m)) set_type(a, "BOOL", false);
    if (class == OPAQUE && wg__get32(m->data + 4) == 2) set_type(a, "BF16", false);
    return WG_OK;
}

/* Version 1: version, rank, flags, 5 bytes, sizes. Version 2: version, rank, flags, kind, sizes. */
static wg_status describe_space(wg__h5 *h, const wg__h5_message *m, wg__h5_array *a)
{
    enum { NONE = 2 };
    int64_t size[WG_MAX_RANK], numel = 0;
    if (m->shared || m->size < 4 || m->data[0] < 1 || m->data[0] > 2) return wg__h5_fail(h, "its shape is damaged");
    const size_t head = m->data[0] == 1 ? 8 : 4;
    const unsigned rank = (uint8_t)m->data[1];
    if (rank > WG_MAX_RANK) return wg__h5_fail(h, "it has more than 8 axes");
    if (m->size < head + 8 * rank) return wg__h5_fail(h, "its shape is damaged");
    for (unsigned i = 0; i < rank; i++) {
        const uint64_t n = wg__get64(m->data + head + 8 * i);
        if (n > INT64_MAX) return wg__h5_fail(h, "it has too many elements");
        size[i] = (int64_t)n;
    }
    if (m->data[0] == 2 && m->data[3] == NONE) a->is_tensor = false;
    a->shape = wg_shape_of((int)rank, size);
    if (!wg_shape_numel(&a->shape, &numel) || __builtin_mul_overflow((uint64_t)numel, a->width, &a->bytes))
        return wg__h5_fail(h, "it has too many elements");
    return WG_OK;
}

wg_status wg__h5_describe(wg__h5 *h, const wg__h5_header *header, wg__h5_array *a)
{
    wg__h5_message type, space;
    *a = (wg__h5_array){.type = 0};
    if (!wg__h5_find(header, WG__H5_TYPE, &type) || !wg__h5_find(header, WG__H5_SPACE, &space))
        return wg__h5_fail(h, "it has no type or no shape");
    wg_status status = describe_type(h, &type, a);
    return status == WG_OK && a->is_tensor ? describe_space(h, &space, a) : status;
}
