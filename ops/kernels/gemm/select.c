/* The product kernels for this machine. */
#include "gemm.h"
#include "micro.h"

#include "../../../autograd/base/isa.h"

extern const wg__product_kernels WG__EVERY_ISA(WG__VARIANT, product, f32), WG__EVERY_ISA(WG__VARIANT, product, f64),
    WG__EVERY_ISA(WG__VARIANT, product, bf16), WG__EVERY_ISA(WG__VARIANT, product_int8, f32);
extern const wg__product_kernels wg__product_vdpbf16_avx512, wg__product_amx_avx512;

static const wg__product_kernels *bf16(void)
{
    static const wg__product_kernels *const widened[WG__ISA_COUNT] = {WG__EVERY_ISA(&WG__VARIANT, product, bf16)};
    const wg__isa_bf16 isa = wg__isa_get_bf16();
#ifdef WG__AMX
    if (isa == WG__BF16_AMX) return &wg__product_amx_avx512;
#endif
#ifdef WG__VDPBF16
    if (isa != WG__BF16_WIDENED) return &wg__product_vdpbf16_avx512;
#endif
    (void)isa;
    return widened[wg__isa_get()];
}

const wg__product_kernels *wg__product_get(wg_dtype dtype, bool in_bf16)
{
    static const wg__product_kernels *const kernels[][WG__ISA_COUNT] = {
        {WG__EVERY_ISA(&WG__VARIANT, product, f32)}, {WG__EVERY_ISA(&WG__VARIANT, product, f64)}};
    if (dtype != WG_F32 && dtype != WG_F64) return NULL;
    if (dtype == WG_F32 && in_bf16) return bf16();
    wg__blis_get(dtype); /* initializes BLIS now rather than during a run */
    return kernels[dtype == WG_F64][wg__isa_get()];
}

const wg__product_kernels *wg__product_get_int8(void)
{
    static const wg__product_kernels *const kernels[WG__ISA_COUNT] = {
        WG__EVERY_ISA(&WG__VARIANT, product_int8, f32)};
    return kernels[wg__isa_get()];
}

const char *wg__product_name(void) { return wg__blis_name(); }
