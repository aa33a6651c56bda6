/* Internal. How kernels are compiled and found.
 *
 * A kernel file is compiled once per instruction set and element type: WG__ISA (baseline, avx2, avx512) and
 * WG__T (32 or 64; 0 beside WG__I32 or WG__BOOL). It names its functions with WG__K(name). kernels.def lists
 * them; the list gives their declarations and the table per variant. The choice of the instruction set is made
 * once, by CPUID. */
#ifndef WG_KERNELS_H
#define WG_KERNELS_H

#include "../../autograd/exec.h"

typedef enum wg__kernel_id {
#define KERNEL(name) WG__KERNEL_##name,
#include "kernels.def"
#undef KERNEL
    WG__KERNEL_COUNT
} wg__kernel_id;

/* The kernel for f32 or f64 on this machine; NULL for other dtypes. */
wg_kernel wg__kernel_get(wg__kernel_id id, wg_dtype dtype);

/* The pointwise kernel of a row of pointwise.def; dtype is that of the operands (of those that are chosen from, for
 * where). NULL where there is none. */
wg_pointwise wg__pointwise_get(int row, wg_dtype dtype);

/* Sums of what a chain makes; dtype is f32 or f64. */
const wg__line_sums *wg__line_sums_get(wg_dtype dtype);

typedef enum wg__isa { WG__ISA_baseline, WG__ISA_avx2, WG__ISA_avx512, WG__ISA_COUNT } wg__isa;
wg__isa wg__isa_get(void);
const char *wg__isa_name(void);         /* "avx512" */
const char *wg__product_name(void);     /* "BLIS 0.9.0 skx" or "reference" */
const char *wg__vector_math_name(void); /* "SLEEF" or "libm" */

/* The same of one instruction set, which the machine must have; for the tests. */
wg_pointwise wg__pointwise_get_isa(int row, wg_dtype dtype, wg__isa isa);

#ifdef WG__ISA
#define WG__CAT4_(a, b, c, d) a##b##c##d
#define WG__CAT4(a, b, c, d)  WG__CAT4_(a, b, c, d)
#if WG__T == 32
typedef float real;
#define WG__K(name) WG__CAT4(wg__##name, _f32_, WG__ISA, )
#elif WG__T == 64
typedef double real;
#define WG__K(name) WG__CAT4(wg__##name, _f64_, WG__ISA, )
#elif defined WG__I32
typedef int32_t real; /* an element, whatever it is */
#define WG__K(name) WG__CAT4(wg__##name, _i32_, WG__ISA, )
#else
typedef uint8_t real;
#define WG__K(name) WG__CAT4(wg__##name, _b8_, WG__ISA, )
#endif
#if WG__T
#define KERNEL(name) void WG__K(name)(const wg_args *args, int64_t task);
#include "kernels.def"
#undef KERNEL
#endif
#endif

#endif
