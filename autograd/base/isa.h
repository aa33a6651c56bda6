/* Internal. The instruction sets that kernels are compiled for, and those that this machine gets: the best that both
 * the processor and the operating system offer, or the lower ones that WENGERT_ISA asks for. They are steps of one
 * ladder: baseline, avx2, avx512, avx512bf16, amx; the last two differ from avx512 in products in bf16 alone. */
#ifndef WG_ISA_H
#define WG_ISA_H

#include <stdbool.h>

typedef enum wg__isa { WG__ISA_baseline, WG__ISA_avx2, WG__ISA_avx512, WG__ISA_COUNT } wg__isa;

/* What multiplies in bf16: wg__isa_get by widening, vdpbf16ps of AVX512-BF16, or tdpbf16ps of AMX. */
typedef enum wg__isa_bf16 { WG__BF16_WIDENED, WG__BF16_AVX512, WG__BF16_AMX } wg__isa_bf16;

wg__isa wg__isa_get(void);
/* The first call asks Linux for the use of AMX' registers, which makes the signal frames of the process larger. */
wg__isa_bf16 wg__isa_get_bf16(void);
/* It takes less time than f32: by AMX, or by AVX512-BF16 of AMD; Intel's runs at half the speed of f32 there. */
bool wg__isa_bf16_is_fast(void);
const char *wg__isa_name(void); /* "avx512bf16": the step of the ladder */

/* of(name, type, isa) for each instruction set of this architecture, separated by commas: an initializer that is
 * indexed by wg__isa, or a list of declarators. WG__ONE_ISA: the kernels are compiled once, for the instruction set of
 * the compiler's flags, as in the amalgamation. */
#if defined __x86_64__ && !defined WG__ONE_ISA
#define WG__EVERY_ISA(of, name, type) of(name, type, baseline), of(name, type, avx2), of(name, type, avx512)
#else
#define WG__EVERY_ISA(of, name, type) of(name, type, baseline)
#endif
/* The symbol of one variant: WG__K(name) of base/kernel.h, spelled from outside. */
#define WG__VARIANT(name, type, isa) wg__##name##_##type##_##isa

#endif
