/* Internal. What every kernel file includes: the engine's contract and the names of a variant.
 *
 * base/ is the common ground of the kernels: headers only. It knows the engine's contract (exec.h), integers, vectors
 * and reductions in a fixed order; it knows no op, no other room, and defines no symbol.
 *
 * A file that is compiled per variant sees WG__ISA (baseline, avx2, avx512) and WG__T (32 or 64: float; 0 together
 * with WG__I32 or WG__BOOL; products in bf16: 32 and WG__BF16, and WG__AMX if they are for AMX). It names its functions
 * with WG__K(name): WG__K(max) is wg__max_f32_avx2, say. */
#ifndef WG_KERNEL_H
#define WG_KERNEL_H

#include "../../../autograd/tape/exec.h"
#include "inline.h"

#ifdef WG__ISA
#define WG__CAT4_(a, b, c, d) a##b##c##d
#define WG__CAT4(a, b, c, d)  WG__CAT4_(a, b, c, d)
#if defined WG__BF16 && defined WG__AMX
typedef float real;
#define WG__K(name) WG__CAT4(wg__##name, _amx_, WG__ISA, )
#elif defined WG__BF16 && defined __AVX512BF16__ && !defined WG__ONE_ISA
typedef float real;
#define WG__K(name) WG__CAT4(wg__##name, _vdpbf16_, WG__ISA, )
#elif defined WG__BF16
typedef float real;
#define WG__K(name) WG__CAT4(wg__##name, _bf16_, WG__ISA, )
#elif WG__T == 32
typedef float real;
#define WG__K(name) WG__CAT4(wg__##name, _f32_, WG__ISA, )
#elif WG__T == 64
typedef double real;
#define WG__K(name) WG__CAT4(wg__##name, _f64_, WG__ISA, )
#elif defined WG__I32
typedef int32_t real; /* the element type, though not a real number */
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
