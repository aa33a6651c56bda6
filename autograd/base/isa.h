/* Internal. The instruction sets that kernels are compiled for, and the one that this machine gets. */
#ifndef WG_ISA_H
#define WG_ISA_H

#include <stdbool.h>

typedef enum wg__isa { WG__ISA_baseline, WG__ISA_avx2, WG__ISA_avx512, WG__ISA_COUNT } wg__isa;

/* The best instruction set of this machine, or the lower one that WENGERT_ISA asks for. */
wg__isa wg__isa_get(void);
const char *wg__isa_name(void); /* "avx512" */
/* AVX512-BF16 is there and WENGERT_ISA is not set. */
bool wg__isa_has_bf16(void);

/* of(name, type, isa) for each instruction set of this architecture, separated by commas: an initializer that is
 * indexed by wg__isa, or a list of declarators. */
#if defined __x86_64__
#define WG__EVERY_ISA(of, name, type) of(name, type, baseline), of(name, type, avx2), of(name, type, avx512)
#else
#define WG__EVERY_ISA(of, name, type) of(name, type, baseline)
#endif
/* The symbol of one variant: WG__K(name) of base/kernel.h, spelled from outside. */
#define WG__VARIANT(name, type, isa) wg__##name##_##type##_##isa

#endif
