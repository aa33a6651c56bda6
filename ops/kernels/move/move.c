/* Copies between any strides, fills, accumulation, and conversion of scalars for the engine. Any dtype. */
#include "move.h"

#include <math.h>
#include <string.h>

#include "../base/elements.h"
#include "../base/integers.h"
#include "../pointwise/pointwise.h"

/* ---- copies ----------------------------------------------------------------------------------------------- */

/* Rows of a task, at least; elements of a task, about; rows that are transposed together. Chosen, not measured. */
enum { COPY_ROWS = 64, COPY_TASK = 32768, BLOCK = 16 };

/* The result's shape without axes of size 1, and with adjacent axes merged where the operand's strides allow it. At
 * least one axis remains. */
typedef struct copy {
    int rank;
    int64_t size[WG_MAX_RANK + 1], in[WG_MAX_RANK + 1], out[WG_MAX_RANK + 1]; /* strides */
} copy;

static copy copy_of(const wg_operand *from)
{
    copy c = {0};
    for (int d = 0; d < from->rank; d++) {
        if (from->size[d] == 1) continue;
        int last = c.rank - 1;
        if (c.rank > 0 && c.in[last] == from->stride[d] * from->size[d]) {
            c.size[last] *= from->size[d];
            c.in[last] = from->stride[d];
        } else {
            c.size[c.rank] = from->size[d];
            c.in[c.rank++] = from->stride[d];
        }
    }
    if (c.rank == 0) c = (copy){.rank = 1, .size = {1}, .in = {1}};
    int64_t dense = 1;
    for (int d = c.rank - 1; d >= 0; d--) {
        c.out[d] = dense;
        dense *= c.size[d];
    }
    return c;
}

/* Copies one row of the result. */
static void copy_row(char *out, const char *in, int64_t n, int64_t stride, size_t size)
{
    if (stride == 1)
        memcpy(out, in, (size_t)n * size);
    else
        wg__move_elements(out, 1, in, stride, n, size);
}

typedef uint32_t quad __attribute__((vector_size(16), aligned(4), may_alias));

/* Transposes 4 x 4 elements: out[r * out_stride + j] = in[j * in_stride + r]. */
static inline void transpose_quad(uint32_t *out, int64_t out_stride, const uint32_t *in, int64_t in_stride)
{
    quad a, b, c, d;
    memcpy(&a, in, sizeof a);
    memcpy(&b, in + in_stride, sizeof b);
    memcpy(&c, in + 2 * in_stride, sizeof c);
    memcpy(&d, in + 3 * in_stride, sizeof d);
    quad ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    quad cd = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    quad row[4] = {__builtin_shufflevector(ab, cd, 0, 1, 4, 5), __builtin_shufflevector(ab, cd, 2, 3, 6, 7),
                   __builtin_shufflevector(ab2, cd2, 0, 1, 4, 5), __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7)};
    for (int r = 0; r < 4; r++) memcpy(out + r * out_stride, &row[r], sizeof row[r]);
}

/* Copies `rows` <= BLOCK rows of the result that are adjacent columns of the operand, so that each cache line is read
 * once for all of them. */
static void copy_transposed(char *out, int64_t out_stride, const char *in, int64_t in_stride, int64_t rows,
                            int64_t n, size_t size)
{
    if (size == 4 && rows == BLOCK) {
        uint32_t *to = (uint32_t *)(void *)out;
        const uint32_t *from = (const uint32_t *)(const void *)in;
        int64_t j = 0;
        for (; j + 4 <= n; j += 4)
            for (int r = 0; r < BLOCK; r += 4)
                transpose_quad(to + r * out_stride + j, out_stride, from + j * in_stride + r, in_stride);
        for (; j < n; j++)
            for (int r = 0; r < BLOCK; r++) to[r * out_stride + j] = from[j * in_stride + r];
        return;
    }
    for (int64_t start = 0; start < n; start += BLOCK) {
        int64_t count = min64(n - start, BLOCK);
        for (int64_t r = 0; r < rows; r++)
            copy_row(out + (r * out_stride + start) * (int64_t)size, in + (start * in_stride + r) * (int64_t)size,
                     count, in_stride, size);
    }
}

/* Rows of the result in a task. */
static int64_t copy_rows(const copy *c)
{
    return max64(COPY_ROWS, COPY_TASK / c->size[c->rank - 1] / BLOCK * BLOCK);
}

int64_t wg__copy_tasks(const wg_args *args)
{
    if (args->out.numel == 0) return 1;
    copy c = copy_of(&args->in[0]);
    return ceil_div(args->out.numel / c.size[c.rank - 1], copy_rows(&c));
}

void wg__copy_kernel(const wg_args *args, int64_t task)
{
    if (args->out.numel == 0) return;
    copy c = copy_of(&args->in[0]);
    size_t size = wg_dtype_size(args->out.dtype);
    int last = c.rank - 1;
    int64_t n = c.size[last], each = copy_rows(&c), row = task * each, stop = args->out.numel / n;
    if (stop > row + each) stop = row + each;
    bool transposed = last > 0 && c.in[last] != 1 && c.in[last - 1] == 1;
    for (int64_t rows; row < stop; row += rows) {
        int64_t at = 0, left = row;
        for (int d = last - 1; d >= 0; d--) {
            at += left % c.size[d] * c.in[d];
            left /= c.size[d];
        }
        char *out = (char *)args->out.data + row * n * (int64_t)size;
        const char *in = (const char *)args->in[0].data + at * (int64_t)size;
        rows = 1;
        if (transposed) {
            rows = c.size[last - 1] - row % c.size[last - 1];
            if (rows > stop - row) rows = stop - row;
            if (rows > BLOCK) rows = BLOCK;
            copy_transposed(out, n, in, c.in[last], rows, n, size);
        } else {
            copy_row(out, in, n, c.in[last], size);
        }
    }
}

static void identity_4(int64_t n, void *y, const void *const *x) { memmove(y, x[0], (size_t)n * 4); }
static void identity_8(int64_t n, void *y, const void *const *x) { memmove(y, x[0], (size_t)n * 8); }
static void identity_2(int64_t n, void *y, const void *const *x) { memmove(y, x[0], (size_t)n * 2); }
static void identity_1(int64_t n, void *y, const void *const *x) { memmove(y, x[0], (size_t)n); }

wg_pointwise wg__identity(size_t element_size)
{
    return element_size == 4   ? identity_4
           : element_size == 8 ? identity_8
           : element_size == 2 ? identity_2
                               : identity_1;
}

/* ---- to and from double ----------------------------------------------------------------------------------- */

void wg__to_f64(wg_dtype dtype, const void *in, int64_t n, double *out)
{
    wg__cast_get(dtype, WG_F64)(n, out, &in);
}

void wg__from_f64(wg_dtype dtype, double value, int64_t n, void *out)
{
    const void *from = &value;
    union {
        uint64_t eight;
        uint32_t four;
        uint8_t one;
    } number;
    wg__cast_get(WG_F64, dtype)(1, &number, &from);
    size_t size = wg_dtype_size(dtype);
    if (size == 4) {
        for (int64_t i = 0; i < n; i++) ((uint32_t *)out)[i] = number.four;
    } else if (size == 8) {
        for (int64_t i = 0; i < n; i++) ((uint64_t *)out)[i] = number.eight;
    } else {
        memset(out, number.one, (size_t)n);
    }
}

void wg__fill_kernel(const wg_args *args, int64_t task)
{
    const wg__fill_attr *attr = args->attr;
    wg__from_f64(args->out.dtype, attr->value, args->out.numel, args->out.data);
}

/* NaN and infinity have an exponent of all ones. Tests a whole piece before it searches for the element. */
int64_t wg__first_nonfinite(wg_dtype dtype, const void *in, int64_t n)
{
    enum { PIECE = 256 };
    if (!wg_dtype_is_float(dtype)) return -1;
    for (int64_t start = 0; start < n; start += PIECE) {
        int64_t stop = min64(start + PIECE, n);
        uint64_t bad = 0;
        if (dtype == WG_F32) {
            const uint32_t *bits = (const uint32_t *)in, ones = 0x7f800000u;
            uint32_t any = 0;
            for (int64_t i = start; i < stop; i++) any |= (bits[i] & ones) == ones;
            bad = any;
        } else {
            const uint64_t *bits = (const uint64_t *)in, ones = 0x7ff0000000000000u;
            for (int64_t i = start; i < stop; i++) bad |= (bits[i] & ones) == ones;
        }
        for (int64_t i = start; bad && i < stop; i++)
            if (!isfinite(dtype == WG_F32 ? (double)((const float *)in)[i] : ((const double *)in)[i])) return i;
    }
    return -1;
}
