/* Random choices of a test that has several streams of them: a linear congruential generator (Knuth's MMIX), whose
 * state is the caller's. (One stream for a whole test: random.h.) */
#ifndef WG_TEST_DICE_H
#define WG_TEST_DICE_H

#include <stdint.h>

typedef struct dice {
    uint64_t state;
} dice;

/* 0 .. sides - 1 */
static inline uint32_t roll(dice *d, uint32_t sides)
{
    d->state = d->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((d->state >> 33) % sides);
}

#endif
