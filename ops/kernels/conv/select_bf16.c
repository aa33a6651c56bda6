/* The direct convolutions in bf16 for this machine, as gemm/select.c selects products. */
#include "direct_bf16.h"

#include "../../../autograd/base/isa.h"

extern const wg__conv_kernels WG__EVERY_ISA(WG__VARIANT, conv_kernels, bf16);
extern const wg__conv_kernels wg__conv_kernels_vdpbf16_avx512, wg__conv_kernels_amx_avx512;

const wg__conv_kernels *wg__conv_bf16_get(void)
{
    static const wg__conv_kernels *const widened[WG__ISA_COUNT] = {WG__EVERY_ISA(&WG__VARIANT, conv_kernels, bf16)};
    const wg__isa_bf16 isa = wg__isa_get_bf16();
#ifdef WG__AMX
    if (isa == WG__BF16_AMX) return &wg__conv_kernels_amx_avx512;
#endif
#ifdef WG__VDPBF16
    if (isa != WG__BF16_WIDENED) return &wg__conv_kernels_vdpbf16_avx512;
#endif
    (void)isa;
    return widened[wg__isa_get()];
}
