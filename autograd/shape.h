/* Element types and shapes.
 *
 * A shape is a small value: up to eight sizes, outermost first (row-major). A size may be zero.
 * Products of sizes are checked for overflow in one place (wg_shape_numel). */
#ifndef WG_SHAPE_H
#define WG_SHAPE_H

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { WG_MAX_RANK = 8 };

typedef enum wg_dtype {
    WG_F32 = 0, /* to compute */
    WG_F64,     /* to compute, and to check gradients */
    WG_I32,     /* indices */
    WG_BOOL,    /* masks: one byte, 0 or 1 */
    WG_DTYPES   /* how many there are */
} wg_dtype;

/* Bytes of one element. */
WG_API size_t wg_dtype_size(wg_dtype dtype);
/* "f32", "f64", "i32", "bool". */
WG_API const char *wg_dtype_name(wg_dtype dtype);
/* True for f32 and f64. */
WG_API bool wg_dtype_is_float(wg_dtype dtype);

typedef struct wg_shape {
    int32_t rank;              /* 0 to WG_MAX_RANK; 0 is a scalar; -1 marks an invalid shape */
    int32_t reserved;          /* 0: shapes are hashed and compared as bytes, so there is no padding */
    int64_t size[WG_MAX_RANK]; /* sizes, outermost first; those past rank are zero */
} wg_shape;

/* A shape from an array of sizes. A rank outside 0..WG_MAX_RANK gives rank -1; that, and negative sizes, every
 * function refuses by name (wg_reshape takes one -1). */
WG_API wg_shape wg_shape_of(int rank, const int64_t *size);

/* Number of elements. Returns false on overflow of int64_t (*numel is then 0) or an invalid shape. */
WG_API bool wg_shape_numel(const wg_shape *shape, int64_t *numel);
/* numel * size of the dtype, checked. */
WG_API bool wg_shape_bytes(const wg_shape *shape, wg_dtype dtype, size_t *bytes);
WG_API bool wg_shape_equal(const wg_shape *a, const wg_shape *b);

/* The shape that a and b broadcast to, by NumPy's rule: aligned at the right, sizes equal or one of
 * them 1. Returns false where they do not. */
WG_API bool wg_shape_broadcast(const wg_shape *a, const wg_shape *b, wg_shape *out);

/* Writes "[2, 3]" into text; returns text. */
WG_API char *wg_shape_text(const wg_shape *shape, char *text, size_t size);

#ifdef __cplusplus
}
/* WG_DIMS(2, 3) is the shape [2, 3]. */
template <class... T> inline wg_shape wg_dims(T... size)
{
    const int64_t sizes[] = {static_cast<int64_t>(size)...};
    return wg_shape_of(static_cast<int>(sizeof...(size)), sizes);
}
#define WG_DIMS(...) wg_dims(__VA_ARGS__)
#define WG_SCALAR    wg_shape_of(0, nullptr)
#else
/* WG_DIMS(2, 3) is the shape [2, 3]. */
#define WG_DIMS(...)                                                                                               \
    wg_shape_of((int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})
/* The shape of a scalar: []. */
#define WG_SCALAR wg_shape_of(0, NULL)
#endif
#endif
