/* Element types and shapes.
 *
 * A shape is a small value type: up to eight sizes, outermost first (row-major). A size may be zero. wg_shape_numel is
 * the only place that multiplies sizes; it checks for overflow.
 *
 *     wg_shape shape = WG_DIMS(32, 28, 28);
 *     int64_t numel;
 *     char text[64];
 *     if (wg_shape_numel(&shape, &numel))
 *         printf("%s: %lld elements\n", wg_shape_text(&shape, text, sizeof text), (long long)numel); */
#ifndef WG_SHAPE_H
#define WG_SHAPE_H

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { WG_MAX_RANK = 8 }; /* the largest number of axes */

/* The type of a tensor's elements. */
typedef enum wg_dtype {
    WG_F32 = 0, /* computation */
    WG_F64,     /* computation and gradient checks */
    WG_I32,     /* indices */
    WG_BOOL,    /* masks: one byte, 0 or 1 */
    WG_DTYPES,  /* number of dtypes of tensors */
    WG_BF16, /* no dtype of a tensor: the upper half of an f32, for operands of products (tape option products) and for
                parameters in memory (wg_params_new) */
    WG_INT8 /* no dtype of a tensor: for weights that products read (the same option) */
} wg_dtype;

/* Size of an element in bytes; 0 for an invalid dtype. */
WG_API size_t wg_dtype_size(wg_dtype dtype);
/* "f32", "f64", "i32", "bool", "bf16" or "int8"; "?" for an invalid dtype. */
WG_API const char *wg_dtype_name(wg_dtype dtype);
/* True for f32 and f64. */
WG_API bool wg_dtype_is_float(wg_dtype dtype);

/* The sizes of a tensor. Make one by WG_DIMS or wg_shape_of. */
typedef struct wg_shape {
    int32_t rank;              /* 0 to WG_MAX_RANK; 0: a scalar; -1: an invalid shape */
    int32_t reserved;          /* 0; replaces padding, since shapes are hashed and compared as bytes */
    int64_t size[WG_MAX_RANK]; /* [rank], outermost first; zeros after that */
} wg_shape;

/* Makes a shape from an array of sizes. A rank outside 0..WG_MAX_RANK gives an invalid shape (rank -1). Functions that
 * take a shape reject invalid ones and negative sizes (wg_reshape accepts one -1). */
WG_API wg_shape wg_shape_of(int rank, const int64_t *size);

/* Sets *numel to the number of elements. Returns false, with *numel = 0, if the shape is invalid, or if the product of
 * the sizes that are not zero exceeds 2^60: an empty tensor has no huge axes either. */
WG_API bool wg_shape_numel(const wg_shape *shape, int64_t *numel);
/* Sets *bytes to the size of a contiguous tensor. Returns false if the shape is invalid or the size too large. */
WG_API bool wg_shape_bytes(const wg_shape *shape, wg_dtype dtype, size_t *bytes);
WG_API bool wg_shape_equal(const wg_shape *a, const wg_shape *b); /* rank and all sizes are the same */

/* Sets *out to the shape that a and b broadcast to, by NumPy's rule: shapes are aligned at the right, and two sizes
 * must be equal or one of them 1. Returns false, with *out unchanged, if they do not broadcast. out may be a or b. */
WG_API bool wg_shape_broadcast(const wg_shape *a, const wg_shape *b, wg_shape *out);

/* Writes the shape as "[2, 3]" to text, which has `size` bytes. Returns text. */
WG_API char *wg_shape_text(const wg_shape *shape, char *text, size_t size);

#ifdef __cplusplus
}
/* WG_DIMS(2, 3): the shape [2, 3]. */
template <class... T> inline wg_shape wg_dims(T... size)
{
    const int64_t sizes[] = {static_cast<int64_t>(size)...};
    return wg_shape_of(static_cast<int>(sizeof...(size)), sizes);
}
#define WG_DIMS(...) wg_dims(__VA_ARGS__)
#define WG_SCALAR    wg_shape_of(0, nullptr)
#else
/* WG_DIMS(2, 3): the shape [2, 3]. */
#define WG_DIMS(...)                                                                                               \
    wg_shape_of((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})
/* The shape of a scalar, []. */
#define WG_SCALAR wg_shape_of(0, NULL)
#endif
#endif
