/* Internal. Numbers stored as bf16: the upper half of an f32. */
#ifndef WG_BF16_NUMBER_H
#define WG_BF16_NUMBER_H

#include <stdint.h>
#include <string.h>

/* To nearest, ties to even; NaN stays NaN. */
static inline uint16_t wg__bf16_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    return (uint16_t)((is_nan ? bits | 0x00400000u : bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

static inline float wg__bf16_to_f32(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float x;
    return memcpy(&x, &bits, sizeof x), x;
}

#endif
