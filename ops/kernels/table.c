/* The tables of all variants, and the choice of the one for this machine. */
#include "kernels.h"

#include "../pointwise_rows.h"

#define KERNEL(name)                                                                                               \
    extern __typeof__(void(const wg_args *, int64_t)) WG__EVERY_ISA(WG__VARIANT, name, f32),                       \
        WG__EVERY_ISA(WG__VARIANT, name, f64);
#include "base/kernels.def"
#undef KERNEL

#define KERNEL(name) {{WG__EVERY_ISA(WG__VARIANT, name, f32)}, {WG__EVERY_ISA(WG__VARIANT, name, f64)}},
static const wg_kernel kernels[][2][WG__ISA_COUNT] = {
#include "base/kernels.def"
    {{NULL}}};
#undef KERNEL

#define ROWS_OF(name, type, isa) WG__VARIANT(name, type, isa)[ROWS]
extern const wg_pointwise WG__EVERY_ISA(ROWS_OF, pointwise, f32), WG__EVERY_ISA(ROWS_OF, pointwise, f64),
    WG__EVERY_ISA(ROWS_OF, pointwise, i32), WG__EVERY_ISA(ROWS_OF, pointwise, b8);

static const wg_pointwise *const tables[WG_DTYPES][WG__ISA_COUNT] = {{WG__EVERY_ISA(WG__VARIANT, pointwise, f32)},
                                                                     {WG__EVERY_ISA(WG__VARIANT, pointwise, f64)},
                                                                     {WG__EVERY_ISA(WG__VARIANT, pointwise, i32)},
                                                                     {WG__EVERY_ISA(WG__VARIANT, pointwise, b8)}};

extern const wg__line_sums WG__EVERY_ISA(WG__VARIANT, line_sums, f32), WG__EVERY_ISA(WG__VARIANT, line_sums, f64);

const wg__line_sums *wg__line_sums_get(wg_dtype dtype)
{
    static const wg__line_sums *const sums[][WG__ISA_COUNT] = {{WG__EVERY_ISA(&WG__VARIANT, line_sums, f32)},
                                                               {WG__EVERY_ISA(&WG__VARIANT, line_sums, f64)}};
    return sums[dtype == WG_F64][wg__isa_get()];
}

wg_kernel wg__kernel_get(wg__kernel_id id, wg_dtype dtype)
{
    if ((unsigned)id >= WG__KERNEL_COUNT || !wg_dtype_is_float(dtype)) return NULL;
    return kernels[id][dtype == WG_F64][wg__isa_get()];
}

wg_pointwise wg__pointwise_get_isa(int row, wg_dtype dtype, wg__isa isa)
{
    if (row < 0 || row >= ROWS || (unsigned)dtype >= WG_DTYPES || !tables[dtype][isa]) return NULL;
    return tables[dtype][isa][row];
}

wg_pointwise wg__pointwise_get(int row, wg_dtype dtype) { return wg__pointwise_get_isa(row, dtype, wg__isa_get()); }

const char *wg__vector_math_name(void)
{
#ifdef WG__SLEEF
    return "SLEEF";
#else
    return "libm";
#endif
}
