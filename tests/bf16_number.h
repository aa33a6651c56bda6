/* Numbers in bf16, in scalar code. */
#ifndef TEST_BF16_NUMBER_H
#define TEST_BF16_NUMBER_H

#include "check.h"

/* To nearest, ties to even, by comparing the two neighbours. */
static inline uint16_t nearest(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (isnan(x)) return (uint16_t)(bits >> 16 | 0x40);
    const uint32_t below = bits & 0xffff0000u, rest = bits & 0xffffu;
    const bool up = rest > 0x8000u || (rest == 0x8000u && (below >> 16 & 1));
    return (uint16_t)((below >> 16) + up);
}

static inline float wide(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float x;
    return memcpy(&x, &bits, sizeof x), x;
}

static const float specials[] = {0,
                                 -0.0f,
                                 1,
                                 -1.00390625f, /* a tie, to even */
                                 1.01171875f,  /* a tie, to even, upwards */
                                 1.00390637f,  /* above a tie */
                                 3.4e38f,      /* becomes infinite */
                                 INFINITY,
                                 -INFINITY,
                                 NAN,
                                 1e-39f, /* denormal */
                                 1.17549435e-38f};
enum { SPECIALS = sizeof specials / sizeof *specials };

#endif
