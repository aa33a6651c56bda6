/* TensorProto: checked once, read in place. */
#include "tensor.h"

#include <stdio.h>
#include <string.h>

#include "../io/convert.h"
#include "folder.h"

/* By ONNX' number: name, safetensors' name if numbers are whole bytes, bits (0: no tensor here), least and largest
 * number of an integer. */
static const struct {
    const char *name, *stored;
    int bits;
    double least, largest;
} types[] = {
    {"undefined", NULL, 0, 0, 0},
    {"float", "F32", 32, 0, 0},
    {"uint8", "U8", 8, 0, 255},
    {"int8", "I8", 8, -128, 127},
    {"uint16", "U16", 16, 0, 65535},
    {"int16", "I16", 16, -32768, 32767},
    {"int32", "I32", 32, -2147483648.0, 2147483647.0},
    {"int64", "I64", 64, -9223372036854775808.0, 9223372036854775807.0},
    {"string", NULL, 0, 0, 0},
    {"bool", "BOOL", 8, 0, 1},
    {"float16", "F16", 16, 0, 0},
    {"double", "F64", 64, 0, 0},
    {"uint32", "U32", 32, 0, 4294967295.0},
    {"uint64", "U64", 64, 0, 18446744073709551615.0},
    {"complex64", NULL, 0, 0, 0},
    {"complex128", NULL, 0, 0, 0},
    {"bfloat16", "BF16", 16, 0, 0},
    {"float8e4m3fn", NULL, 0, 0, 0},
    {"float8e4m3fnuz", NULL, 0, 0, 0},
    {"float8e5m2", NULL, 0, 0, 0},
    {"float8e5m2fnuz", NULL, 0, 0, 0},
    {"uint4", NULL, 4, 0, 15},
    {"int4", NULL, 4, -8, 7},
    {"float4e2m1", NULL, 0, 0, 0},
    {"float8e8m0", NULL, 0, 0, 0},
    {"uint2", NULL, 0, 0, 0},
    {"int2", NULL, 0, 0, 0},
    {"float6e2m3", NULL, 0, 0, 0},
    {"float6e3m2", NULL, 0, 0, 0},
};
enum { N_TYPES = sizeof types / sizeof types[0] };

static int known(int type) { return type > 0 && type < N_TYPES ? type : 0; }

const char *wg__type_name(int type) { return types[known(type)].name; }
bool wg__type_is_known(int type) { return types[known(type)].bits > 0; }
double wg__type_least(int type) { return types[known(type)].least; }
double wg__type_largest(int type) { return types[known(type)].largest; }

bool wg__type_is_float(int type)
{
    return type == WG__FLOAT || type == WG__DOUBLE || type == WG__FLOAT16 || type == WG__BFLOAT16;
}

bool wg__type_is_integer(int type) { return types[known(type)].largest > 1; }

/* ---- parsing ---- */

/* Where the numbers are: raw_data, a list of numbers, or a file. */
typedef struct source {
    wg__span raw, list, location;
    uint32_t list_field;
    bool has_raw, has_list, external;
    int64_t offset, length; /* length < 0: to the end of the file */
} source;

static bool refuse(const wg__folder *folder, const wg__tensor_data *t, wg_error *error, const char *reason)
{
    return wg_error_set(error, WG_ERR_FORMAT, "%.160s: tensor '%.*s': %s", folder->path, WG__SPAN_SHOWN(t->name),
                        reason),
           false;
}

/* A decimal number without a sign; -1 if it is none. */
static int64_t decimal(wg__span text)
{
    int64_t number = 0;
    if (text.size == 0 || text.size > 18) return -1;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') return -1;
        number = 10 * number + (text.data[i] - '0');
    }
    return number;
}

/* A pair of external_data: "location", "offset" or "length". */
static bool parse_pair(wg__span message, source *from)
{
    wg__wire wire = wg__wire_of(message);
    wg__field f;
    wg__span key = {0}, value = {0};
    while (wg__wire_next(&wire, &f)) {
        if (wg__field_is_bytes(&f, 1)) key = f.bytes;
        if (wg__field_is_bytes(&f, 2)) value = f.bytes;
    }
    if (wire.failed) return false;
    if (wg__span_is(key, "location")) from->location = value;
    if (wg__span_is(key, "offset")) return (from->offset = decimal(value)) >= 0;
    if (wg__span_is(key, "length")) return (from->length = decimal(value)) >= 0;
    return true;
}

static bool add_size(wg_shape *shape, uint64_t size)
{
    if (shape->rank == WG_MAX_RANK || size > INT64_MAX) return false;
    shape->size[shape->rank++] = (int64_t)size;
    return true;
}

/* dims: one field a number, or all in one. */
static bool parse_sizes(const wg__field *f, wg_shape *shape)
{
    uint64_t size;
    if (f->type == WG__VARINT) return add_size(shape, f->integer);
    if (f->type != WG__LENGTH_AND_BYTES) return false;
    wg__wire list = wg__wire_of(f->bytes);
    while (wg__wire_varint(&list, &size))
        if (!add_size(shape, size)) return false;
    return !list.failed;
}

/* The lists of numbers: float_data, int32_data, int64_data, double_data, uint64_data. */
static bool is_list(uint32_t field) { return field == 4 || field == 5 || field == 7 || field == 10 || field == 11; }

/* The field whose list holds elements of a type. */
static uint32_t list_of(int type)
{
    switch (type) {
    case WG__FLOAT: return 4;
    case WG__DOUBLE: return 10;
    case WG__INT64: return 7;
    case WG__UINT32:
    case WG__UINT64: return 11;
    default: return 5;
    }
}

static const char *parse_fields(wg__span message, wg__tensor_data *t, source *from)
{
    wg__wire wire = wg__wire_of(message);
    for (wg__field f; wg__wire_next(&wire, &f);) {
        if (f.number == 1 && !parse_sizes(&f, &t->shape)) return "its sizes are not 0 or more, and 8 at most";
        if (wg__field_is_integer(&f, 2)) t->type = f.integer < N_TYPES ? (int)f.integer : 0;
        if (f.number == 3) return "is in segments";
        if (wg__field_is_bytes(&f, 8)) t->name = f.bytes;
        if (wg__field_is_bytes(&f, 9)) from->raw = f.bytes, from->has_raw = true;
        if (wg__field_is_bytes(&f, 13) && !parse_pair(f.bytes, from)) return "invalid external_data";
        if (wg__field_is_integer(&f, 14)) from->external = f.integer == 1;
        if (!is_list(f.number)) continue;
        if (f.type != WG__LENGTH_AND_BYTES) return "its list of numbers is not packed";
        if (from->has_list) return "it has two lists of numbers";
        from->list = f.bytes, from->list_field = f.number, from->has_list = true;
    }
    return wire.failed ? "is no protocol buffer" : NULL;
}

/* Whether the list has exactly n varints. */
static bool has_varints(wg__span list, int64_t n)
{
    wg__wire wire = wg__wire_of(list);
    int64_t count = 0;
    for (uint64_t number; wg__wire_varint(&wire, &number);) count++;
    return !wire.failed && count == n;
}

bool wg__tensor_parse(wg__span message, wg__folder *folder, wg__tensor_data *t, wg_error *error)
{
    source from = {.length = -1};
    int64_t bits;
    *t = (wg__tensor_data){.shape = WG_SCALAR};
    const char *reason = parse_fields(message, t, &from);
    if (reason) return refuse(folder, t, error, reason);
    if (!wg__type_is_known(t->type)) {
        char text[64];
        snprintf(text, sizeof text, "element type %s is not supported", wg__type_name(t->type));
        return refuse(folder, t, error, text);
    }
    t->width = types[t->type].bits;
    if (!wg_shape_numel(&t->shape, &t->numel) || __builtin_mul_overflow(t->numel, t->width, &bits))
        return refuse(folder, t, error, "too many elements");
    const uint64_t bytes = ((uint64_t)bits + 7) / 8;
    if (from.external) {
        if (from.length >= 0 && (uint64_t)from.length != bytes)
            return refuse(folder, t, error, "the length of its external data does not match its shape");
        return wg__folder_take(folder, from.location, (uint64_t)from.offset, (int64_t)bytes, &t->data, error);
    }
    if (from.has_raw || (!from.has_list && t->numel == 0)) {
        t->data = from.raw;
        return from.raw.size == bytes || refuse(folder, t, error, "the size of its data does not match its shape");
    }
    if (!from.has_list || from.list_field != list_of(t->type))
        return refuse(folder, t, error, "its numbers are missing");
    t->data = from.list;
    t->varints = t->type != WG__FLOAT && t->type != WG__DOUBLE;
    const bool fits =
        t->varints
            ? has_varints(t->data, t->type == WG__INT4 || t->type == WG__UINT4 ? (t->numel + 1) / 2 : t->numel)
            : t->data.size == bytes;
    return fits || refuse(folder, t, error, "the count of its numbers does not match its shape");
}

/* ---- numbers ---- */

wg__numbers wg__numbers_of(const wg__tensor_data *tensor)
{
    return (wg__numbers){.tensor = tensor,
                         .converter = wg__converter_for(types[tensor->type].stored),
                         .wire = wg__wire_of(tensor->data)};
}

/* The lower 4 bits. */
static double number_of_4(int type, uint64_t bits)
{
    const int low = (int)(bits & 15);
    return type == WG__INT4 ? (low ^ 8) - 8 : low;
}

double wg__number_next(wg__numbers *numbers)
{
    const wg__tensor_data *t = numbers->tensor;
    const int64_t i = numbers->next++;
    if (t->width == 4) { /* two in a byte, the first in the lower half */
        if (i % 2 == 0) numbers->pair = t->data.data[i / 2];
        if (i % 2 == 0 && t->varints) wg__wire_varint(&numbers->wire, &numbers->pair);
        return number_of_4(t->type, i % 2 ? numbers->pair >> 4 : numbers->pair);
    }
    if (!t->varints)
        return wg__converter_number(numbers->converter, (const char *)t->data.data + i * (t->width / 8));
    uint64_t bits = 0; /* little-endian: the number is in the first bytes */
    wg__wire_varint(&numbers->wire, &bits);
    return wg__converter_number(numbers->converter, (const char *)&bits);
}

void wg__tensor_copy(const wg__tensor_data *tensor, wg_dtype dtype, void *out)
{
    wg__numbers numbers = wg__numbers_of(tensor);
    if (!tensor->varints && tensor->width >= 8) {
        wg__convert(numbers.converter, (const char *)tensor->data.data, 1, tensor->numel, dtype, out);
        return;
    }
    for (int64_t i = 0; i < tensor->numel; i++) {
        const double number = wg__number_next(&numbers);
        if (dtype == WG_F32)
            ((float *)out)[i] = (float)number;
        else
            ((double *)out)[i] = number;
    }
}
