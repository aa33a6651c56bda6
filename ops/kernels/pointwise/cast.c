/* Casts: one plain loop for each pair of dtypes, which the compiler vectorizes. */
#include "../../../autograd/base/bf16.h"
#include "pointwise.h"

typedef float f32;
typedef double f64;
typedef int32_t i32;
typedef uint8_t b8;

/* Truncates towards zero; out of range the nearest i32, NaN 0. */
static inline i32 truncate_i32(f64 x)
{
    return x != x ? 0 : x >= 0x1p31 ? INT32_MAX : x <= -0x1p31 ? INT32_MIN : (i32)x;
}

#define TO_FLOAT(x) (x)
#define TO_I32(x)   truncate_i32((f64)(x))
#define TO_BOOL(x)  ((x) != 0)

/* y may alias x if their elements have the same size. */
#define CAST(from, to, convert)                                                                                    \
    static void from##_to_##to(int64_t n, void *y_, const void *const *in)                                         \
    {                                                                                                              \
        const from *x = in[0];                                                                                     \
        to *y = y_;                                                                                                \
        for (int64_t i = 0; i < n; i++) y[i] = (to)convert(x[i]);                                                  \
    }
CAST(f32, f32, TO_FLOAT)
CAST(f32, f64, TO_FLOAT)
CAST(f32, i32, TO_I32)
CAST(f32, b8, TO_BOOL)
CAST(f64, f32, TO_FLOAT)
CAST(f64, f64, TO_FLOAT)
CAST(f64, i32, TO_I32)
CAST(f64, b8, TO_BOOL)
CAST(i32, f32, TO_FLOAT)
CAST(i32, f64, TO_FLOAT)
CAST(i32, i32, TO_FLOAT)
CAST(i32, b8, TO_BOOL)
CAST(b8, f32, TO_FLOAT)
CAST(b8, f64, TO_FLOAT)
CAST(b8, i32, TO_FLOAT)
CAST(b8, b8, TO_FLOAT)

void wg__widened(int64_t n, void *y_, const void *const *in)
{
    const uint16_t *x = in[0];
    float *y = y_;
    for (int64_t i = 0; i < n; i++) y[i] = wg__bf16_to_f32(x[i]);
}

wg_pointwise wg__cast_get(wg_dtype from, wg_dtype to)
{
    static const wg_pointwise casts[WG_DTYPES][WG_DTYPES] = {{f32_to_f32, f32_to_f64, f32_to_i32, f32_to_b8},
                                                             {f64_to_f32, f64_to_f64, f64_to_i32, f64_to_b8},
                                                             {i32_to_f32, i32_to_f64, i32_to_i32, i32_to_b8},
                                                             {b8_to_f32, b8_to_f64, b8_to_i32, b8_to_b8}};
    return (unsigned)from < WG_DTYPES && (unsigned)to < WG_DTYPES ? casts[from][to] : NULL;
}
