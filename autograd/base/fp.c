/* The floating-point environment: MXCSR and, where it is not the default, the x87's; FPCR and FPSR of ARM. Elsewhere
 * denormals are not flushed. */
#include "fp.h"

#if defined(__x86_64__)
#include <immintrin.h>

enum {
    MXCSR = 0x1f80 | 0x8040, /* all exceptions masked, to nearest; flush to zero, denormals are zero */
    X87 = 0x037f             /* all exceptions masked, to nearest, 64 bits: the default of the ABI */
};

wg__fp wg__fp_begin(void)
{
    wg__fp caller = {.mxcsr = _mm_getcsr()};
    uint16_t word;
    const uint16_t ours = X87;
    __asm__ volatile("fnstcw %0" : "=m"(word));
    if (word != X87) {
        __asm__ volatile("fnstenv %0" : "=m"(caller.x87));
        __asm__ volatile("fldcw %0" ::"m"(ours));
        caller.x87_saved = true;
    }
    _mm_setcsr(MXCSR);
    return caller;
}

void wg__fp_end(const wg__fp *caller)
{
    if (caller->x87_saved) __asm__ volatile("fldenv %0" ::"m"(caller->x87));
    _mm_setcsr(caller->mxcsr);
}

#elif defined(__aarch64__)

wg__fp wg__fp_begin(void)
{
    wg__fp caller;
    const uint64_t ours = 1u << 24; /* to nearest, no traps; flush to zero */
    __asm__ volatile("mrs %0, fpcr" : "=r"(caller.control));
    __asm__ volatile("mrs %0, fpsr" : "=r"(caller.status));
    __asm__ volatile("msr fpcr, %0" ::"r"(ours));
    return caller;
}

void wg__fp_end(const wg__fp *caller)
{
    __asm__ volatile("msr fpcr, %0" ::"r"(caller->control));
    __asm__ volatile("msr fpsr, %0" ::"r"(caller->status));
}

#else

wg__fp wg__fp_begin(void)
{
    wg__fp caller;
    fegetenv(&caller.env);
    fesetenv(FE_DFL_ENV);
    return caller;
}

void wg__fp_end(const wg__fp *caller) { fesetenv(&caller->env); }

#endif
