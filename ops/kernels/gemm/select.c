/* The product kernels for this machine. */
#include "gemm.h"
#include "micro.h"

#include "../../../autograd/base/isa.h"

extern const wg__product_kernels WG__EVERY_ISA(WG__VARIANT, product, f32), WG__EVERY_ISA(WG__VARIANT, product, f64);

const wg__product_kernels *wg__product_get(wg_dtype dtype)
{
    static const wg__product_kernels *const kernels[][WG__ISA_COUNT] = {
        {WG__EVERY_ISA(&WG__VARIANT, product, f32)}, {WG__EVERY_ISA(&WG__VARIANT, product, f64)}};
    if (dtype != WG_F32 && dtype != WG_F64) return NULL;
    wg__blis_get(dtype); /* initializes BLIS now rather than during a run */
    return kernels[dtype == WG_F64][wg__isa_get()];
}

const char *wg__product_name(void) { return wg__blis_name(); }
