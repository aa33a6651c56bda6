/* Which product kernels this machine gets. */
#include "gemm.h"

#define DECLARE(isa) extern const wg__product_kernels wg__product_f32_##isa, wg__product_f64_##isa;
DECLARE(baseline)
#if defined __x86_64__
DECLARE(avx2)
DECLARE(avx512)
#endif

const wg__product_kernels *wg__product_get(wg_dtype dtype)
{
    if (dtype != WG_F32 && dtype != WG_F64) return NULL;
    bool f64 = dtype == WG_F64;
    wg__blis_get(dtype); /* found now rather than during a run */
    switch (wg__isa_get()) {
#if defined __x86_64__
    case WG__ISA_avx512: return f64 ? &wg__product_f64_avx512 : &wg__product_f32_avx512;
    case WG__ISA_avx2: return f64 ? &wg__product_f64_avx2 : &wg__product_f32_avx2;
#endif
    default: return f64 ? &wg__product_f64_baseline : &wg__product_f32_baseline;
    }
}

const char *wg__product_name(void) { return wg__blis_name(); }

#ifndef WG__BLIS
const wg__blis *wg__blis_get(wg_dtype dtype) { return NULL; }

const char *wg__blis_name(void) { return "reference"; }

wg__blis_tile wg__blis_tile_get(wg_dtype dtype) { return NULL; }
#endif
