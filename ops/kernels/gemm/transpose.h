/* Internal. Transposes a square of LANES vectors in registers. For files compiled with WG__ISA. */
#ifndef WG_GEMM_TRANSPOSE_H
#define WG_GEMM_TRANSPOSE_H

#include "tile.h"

/* Exchanges blocks of s lanes between vectors s apart. */
#define EXCHANGE(s)                                                                                                \
    for (int i = 0; i < LANES; i++)                                                                                \
        if (!(i & (s))) {                                                                                          \
            vector low = v[i], high = v[i + (s)];                                                                  \
            v[i] = __builtin_shufflevector(low, high, LIST(LOW, s));                                               \
            v[i + (s)] = __builtin_shufflevector(low, high, LIST(HIGH, s));                                        \
        }

/* Exchanges lane j of v[i] with lane i of v[j]. */
static inline __attribute__((always_inline)) void transpose(vector v[LANES])
{
#if defined __AVX512F__ && WG__T == 32
    UNROLL
    EXCHANGE(8)
#endif
#if defined __AVX512F__ || (defined __AVX2__ && WG__T == 32)
    UNROLL
    EXCHANGE(4)
#endif
#if defined __AVX2__ || WG__T == 32
    UNROLL
    EXCHANGE(2)
#endif
    UNROLL
    EXCHANGE(1)
}

#endif
