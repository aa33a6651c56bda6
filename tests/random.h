/* Reproducible random numbers: splitmix64 (Steele et al. 2014). */
#ifndef WG_TEST_RANDOM_H
#define WG_TEST_RANDOM_H

#include <stdint.h>

static uint64_t random_state; /* assign the seed here */

static inline uint64_t random_bits(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 0 .. n - 1; 0 if n is 0. */
static inline int64_t below(int64_t n) { return n > 0 ? (int64_t)(random_bits() % (uint64_t)n) : 0; }

#endif
