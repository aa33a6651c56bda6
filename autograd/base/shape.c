/* Element types and shapes; the checked arithmetic on sizes. */
#include "../shape.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Far more than there is memory for, and so little that a few sizes can be added without overflow. */
static const int64_t MOST_ELEMENTS = (int64_t)1 << 60;
static const size_t MOST_BYTES = SIZE_MAX / 4;

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [WG_F32] = {"f32", 4},  [WG_F64] = {"f64", 8},   [WG_I32] = {"i32", 4},   [WG_BOOL] = {"bool", 1},
    [WG_DTYPES] = {"?", 0}, [WG_BF16] = {"bf16", 2}, [WG_INT8] = {"int8", 1},
};

size_t wg_dtype_size(wg_dtype dtype) { return (unsigned)dtype <= WG_INT8 ? dtypes[dtype].size : 0; }
const char *wg_dtype_name(wg_dtype dtype) { return (unsigned)dtype <= WG_INT8 ? dtypes[dtype].name : "?"; }
bool wg_dtype_is_float(wg_dtype dtype) { return dtype == WG_F32 || dtype == WG_F64; }

wg_shape wg_shape_of(int rank, const int64_t *size)
{
    wg_shape shape;
    memset(&shape, 0, sizeof shape); /* padding too: shapes are hashed and compared as bytes */
    shape.rank = -1;
    if (rank < 0 || rank > WG_MAX_RANK || (rank > 0 && !size)) return shape;
    shape.rank = rank;
    for (int i = 0; i < rank; i++) shape.size[i] = size[i];
    return shape;
}

/* The product of the sizes that are not zero, which bounds every size, stride and offset; 0 if the shape is invalid. */
static int64_t extent_of(const wg_shape *shape, bool *empty)
{
    int64_t n = 1;
    *empty = false;
    if (!shape || shape->rank < 0 || shape->rank > WG_MAX_RANK) return 0;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->size[i] < 0) return 0;
        if (shape->size[i] == 0)
            *empty = true;
        else if (__builtin_mul_overflow(n, shape->size[i], &n) || n > MOST_ELEMENTS)
            return 0;
    }
    return n;
}

bool wg_shape_numel(const wg_shape *shape, int64_t *numel)
{
    bool empty;
    int64_t n = extent_of(shape, &empty);
    if (numel) *numel = empty ? 0 : n;
    return n > 0;
}

bool wg_shape_bytes(const wg_shape *shape, wg_dtype dtype, size_t *bytes)
{
    bool empty;
    size_t n = (size_t)extent_of(shape, &empty), size = wg_dtype_size(dtype);
    bool fits = n > 0 && size > 0 && n <= MOST_BYTES / size;
    if (bytes) *bytes = fits && !empty ? n * size : 0;
    return fits;
}

bool wg_shape_equal(const wg_shape *a, const wg_shape *b)
{
    if (!a || !b || a->rank != b->rank || a->rank > WG_MAX_RANK) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->size[i] != b->size[i]) return false;
    return true;
}

bool wg_shape_broadcast(const wg_shape *a, const wg_shape *b, wg_shape *out)
{
    if (!a || !b) return false;
    const wg_shape *big = a->rank >= b->rank ? a : b, *small = big == a ? b : a;
    wg_shape result = *big; /* out may be a or b */
    if (small->rank < 0 || big->rank > WG_MAX_RANK) return false;
    int shift = big->rank - small->rank;
    for (int i = 0; i < small->rank; i++) {
        int64_t x = big->size[i + shift], y = small->size[i];
        if (x != y && x != 1 && y != 1) return false;
        result.size[i + shift] = x == 1 ? y : x;
    }
    if (out) *out = result;
    return true;
}

char *wg_shape_text(const wg_shape *shape, char *text, size_t size)
{
    size_t used = 0;
    if (size == 0 || !text) return text;
    text[0] = 0;
    if (!shape || shape->rank < 0 || shape->rank > WG_MAX_RANK) {
        snprintf(text, size, "[invalid]");
        return text;
    }
    for (int i = 0; i < shape->rank && used + 1 < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, i ? ", " : "[", shape->size[i]);
    if (used + 1 < size) snprintf(text + used, size - used, shape->rank ? "]" : "[]");
    return text;
}
