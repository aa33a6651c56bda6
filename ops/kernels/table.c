/* Finds the kernel for this machine: the tables of all variants, and the choice between them. */
#include "../pointwise_rows.h"
#include "kernels.h"

/* One declaration, or one row, of every variant. */
#if defined __x86_64__
#define EVERY_ISA(of, name, type) of(name, type, baseline), of(name, type, avx2), of(name, type, avx512)
#else
#define EVERY_ISA(of, name, type) of(name, type, baseline)
#endif

#define DECLARED(name, type, isa) wg__##name##_##type##_##isa
#define KERNEL(name)                                                                                               \
    extern __typeof__(void(const wg_args *, int64_t)) EVERY_ISA(DECLARED, name, f32),                              \
        EVERY_ISA(DECLARED, name, f64);
#include "kernels.def"
#undef KERNEL

#define ADDRESS(name, type, isa) wg__##name##_##type##_##isa
#define KERNEL(name)             {{EVERY_ISA(ADDRESS, name, f32)}, {EVERY_ISA(ADDRESS, name, f64)}},
static const wg_kernel kernels[][2][WG__ISA_COUNT] = {
#include "kernels.def"
    {{NULL}}};
#undef KERNEL

#define TABLE(name, type, isa) wg__##name##_##type##_##isa[ROWS]
extern const wg_pointwise EVERY_ISA(TABLE, pointwise, f32), EVERY_ISA(TABLE, pointwise, f64),
    EVERY_ISA(TABLE, pointwise, i32), EVERY_ISA(TABLE, pointwise, b8);

static const wg_pointwise *const tables[WG_DTYPES][WG__ISA_COUNT] = {{EVERY_ISA(ADDRESS, pointwise, f32)},
                                                                     {EVERY_ISA(ADDRESS, pointwise, f64)},
                                                                     {EVERY_ISA(ADDRESS, pointwise, i32)},
                                                                     {EVERY_ISA(ADDRESS, pointwise, b8)}};

extern const wg__line_sums EVERY_ISA(DECLARED, line_sums, f32), EVERY_ISA(DECLARED, line_sums, f64);

const wg__line_sums *wg__line_sums_get(wg_dtype dtype)
{
    static const wg__line_sums *const sums[][WG__ISA_COUNT] = {{EVERY_ISA(&ADDRESS, line_sums, f32)},
                                                               {EVERY_ISA(&ADDRESS, line_sums, f64)}};
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
