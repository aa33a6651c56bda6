/* A monotonic clock, in nanoseconds. Header only: dist, a library of its own, calls no internals of this one. */
#ifndef WG_CLOCK_H
#define WG_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t wg__now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static inline double wg__seconds_now(void) { return 1e-9 * (double)wg__now(); }

#endif
