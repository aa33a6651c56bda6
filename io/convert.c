/* Numbers of the types that files have, as f32, f64, i32 or bool: see convert.h, and wg_entry_read in io.h. */
#include "convert.h"

#include "../autograd/base/bf16.h"
#include "plain.h"

#include <math.h>
#include <string.h>

#define READER(name, type, result)                                                                                 \
    static result name(const char *from)                                                                           \
    {                                                                                                              \
        type x;                                                                                                    \
        return memcpy(&x, from, sizeof x), (result)x;                                                              \
    }
READER(f32_at, float, double)
READER(f64_at, double, double)
READER(i64_at, int64_t, double)
READER(i32_at, int32_t, double)
READER(i16_at, int16_t, double)
READER(i8_at, int8_t, double)
READER(u64_at, uint64_t, double)
READER(u32_at, uint32_t, double)
READER(u16_at, uint16_t, double)
READER(u8_at, uint8_t, double)
/* 64-bit integers go to f32 in one step: by way of an f64 they would be rounded twice. */
READER(i64_as_f32, int64_t, float)
READER(u64_as_f32, uint64_t, float)
#undef READER

static double bf16_at(const char *from)
{
    uint16_t half;
    return memcpy(&half, from, sizeof half), (double)wg__bf16_to_f32(half);
}

/* A sign, 5 bits of an exponent with bias 15, 10 bits of a fraction. */
double wg__f16_at(const char *from)
{
    uint16_t half;
    memcpy(&half, from, sizeof half);
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const double size = exponent == 31 ? (fraction ? NAN : INFINITY)
                        : exponent     ? ldexp(1024 + fraction, exponent - 25)
                                       : ldexp(fraction, -24);
    return half >> 15 ? -size : size;
}

static double bool_at(const char *from) { return *from != 0; }

/* What takes such numbers: each also takes those of the kinds before it. Counters such as batch norm's
 * num_batches_tracked are 64-bit integers in PyTorch's files, floats in our buffers. */
typedef enum taker { PARAMETERS, BUFFERS, DATA } taker;

struct wg__converter {
    const char *type;
    size_t size;
    double (*at)(const char *from);
    taker least;
    bool whole;                        /* integers and bool: an i32 takes them, too */
    float (*as_f32)(const char *from); /* NULL: `at`, rounded */
};

static const wg__converter converters[] = {{"F32", 4, f32_at, PARAMETERS, false},
                                           {"F64", 8, f64_at, PARAMETERS, false},
                                           {"BF16", 2, bf16_at, PARAMETERS, false},
                                           {"F16", 2, wg__f16_at, PARAMETERS, false},
                                           {"I64", 8, i64_at, BUFFERS, true, i64_as_f32},
                                           {"I32", 4, i32_at, DATA, true},
                                           {"I16", 2, i16_at, DATA, true},
                                           {"I8", 1, i8_at, DATA, true},
                                           {"U64", 8, u64_at, DATA, true, u64_as_f32},
                                           {"U32", 4, u32_at, DATA, true},
                                           {"U16", 2, u16_at, DATA, true},
                                           {"U8", 1, u8_at, DATA, true},
                                           {"BOOL", 1, bool_at, DATA, true}};

static const wg__converter *find(const char *type, taker who)
{
    for (size_t i = 0; type && i < sizeof converters / sizeof *converters; i++)
        if (strcmp(type, converters[i].type) == 0) return converters[i].least <= who ? &converters[i] : NULL;
    return NULL;
}

const wg__converter *wg__converter_of(const wg_entry *e, wg_dtype dtype, bool buffer)
{
    const bool takes = wg_dtype_is_float(dtype) || dtype == WG_BF16;
    return takes ? find(e->type, buffer ? BUFFERS : PARAMETERS) : NULL;
}

const wg__converter *wg__converter_for(const char *type) { return find(type, DATA); }

double wg__converter_number(const wg__converter *converter, const char *from) { return converter->at(from); }

size_t wg__converter_size(const wg__converter *converter) { return converter->size; }

bool wg__overflows(const wg_entry *e, wg_dtype dtype)
{
    if (e->dtype != WG_F64 || dtype == WG_F64) return false;
    bool any = false;
    const wg__plain caller = wg__plain_begin();
    for (size_t i = 0; i < e->bytes / sizeof(double) && !any; i++) {
        const double number = f64_at((const char *)e->data + 8 * i);
        any = isfinite(number) && isinf((float)number);
    }
    wg__plain_end(&caller);
    return any;
}

static float f32_of(const wg__converter *c, const char *from)
{
    return c->as_f32 ? c->as_f32(from) : (float)c->at(from);
}

void wg__convert(const wg__converter *c, const char *from, int64_t stride, int64_t n, wg_dtype dtype, void *to)
{
    if (stride == 1 && c->at == (dtype == WG_F32 ? f32_at : dtype == WG_F64 ? f64_at : bf16_at)) {
        if (n > 0) memcpy(to, from, (size_t)n * c->size);
        return;
    }
    const int64_t step = stride * (int64_t)c->size;
    for (int64_t i = 0; i < n; i++, from += step) {
        if (dtype == WG_F64)
            ((double *)to)[i] = c->at(from);
        else if (dtype == WG_F32)
            ((float *)to)[i] = f32_of(c, from);
        else
            ((uint16_t *)to)[i] = wg__bf16_of(f32_of(c, from));
    }
}

/* ---- data ---- */

static wg_status no_conversion(const wg_entry *e, wg_dtype dtype, wg_error *error)
{
    return wg_error_set(error, WG_ERR_DTYPE, "%.160s is %.20s in the file, which does not convert to %s",
                        e->name ? e->name : "(null)", e->type ? e->type : "(null)", wg_dtype_name(dtype));
}

/* Integers, which an i32 must hold, and bool, which are 0 and 1. */
static wg_status read_whole(const wg__converter *c, const wg_entry *e, int64_t n, wg_dtype dtype, void *to,
                            wg_error *error)
{
    const double low = dtype == WG_BOOL ? 0 : INT32_MIN, high = dtype == WG_BOOL ? 1 : INT32_MAX;
    for (int64_t i = 0; i < n; i++) {
        const double number = c->at((const char *)e->data + i * (int64_t)c->size);
        if (number < low || number > high)
            return wg_error_set(error, WG_ERR_FORMAT, "%.160s: element %lld is %.0f, which %s does not hold",
                                e->name, (long long)i, number, wg_dtype_name(dtype));
        if (dtype == WG_BOOL)
            ((unsigned char *)to)[i] = number != 0;
        else
            ((int32_t *)to)[i] = (int32_t)number;
    }
    return WG_OK;
}

wg_status wg_entry_read(const wg_entry *e, wg_dtype dtype, void *to, wg_error *error)
{
    int64_t numel;
    if (!e || !e->name || (!to && e->bytes > 0))
        return wg_error_set(error, WG_ERR_ARGUMENT, "entry_read: no entry, or no memory for its numbers");
    const wg__converter *c = find(e->type, DATA);
    if (!c || (!wg_dtype_is_float(dtype) && (!c->whole || (dtype != WG_I32 && dtype != WG_BOOL))))
        return no_conversion(e, dtype, error);
    if (!wg_shape_numel(&e->shape, &numel) || (uint64_t)numel != e->bytes / c->size || (!e->data && numel > 0))
        return wg_error_set(error, WG_ERR_ARGUMENT, "entry_read: %.160s has no data of its shape", e->name);
    if (!wg_dtype_is_float(dtype)) return read_whole(c, e, numel, dtype, to, error);
    if (wg__overflows(e, dtype))
        return wg_error_set(error, WG_ERR_FORMAT, "%.160s has numbers that do not fit f32", e->name);
    const wg__plain caller = wg__plain_begin();
    wg__convert(c, e->data, 1, numel, dtype, to);
    wg__plain_end(&caller);
    return WG_OK;
}
