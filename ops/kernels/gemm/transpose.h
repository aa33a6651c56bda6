/* Internal. A square of LANES vectors transposed in registers. Included where WG__ISA is set. */
#ifndef WG_GEMM_TRANSPOSE_H
#define WG_GEMM_TRANSPOSE_H

#include "tile.h"

/* Swaps blocks of s lanes between vectors s apart. */
#define EXCHANGE(s)                                                                                                \
    for (int i = 0; i < LANES; i++)                                                                                \
        if (!(i & (s))) {                                                                                          \
            vector low = v[i], high = v[i + (s)];                                                                  \
            v[i] = __builtin_shufflevector(low, high, LIST(LOW, s));                                               \
            v[i + (s)] = __builtin_shufflevector(low, high, LIST(HIGH, s));                                        \
        }

/* v[i] lane j becomes v[j] lane i. */
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
