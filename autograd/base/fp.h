/* Internal. The floating-point environment in which the library computes: rounding to nearest, no traps, denormals are
 * zero. Code that computes numbers runs between begin and end, on each thread; callbacks run in the caller's. */
#ifndef WG_FP_H
#define WG_FP_H

#include <fenv.h>
#include <stdbool.h>
#include <stdint.h>

/* The caller's environment, its exception flags included. */
typedef struct wg__fp {
#if defined(__x86_64__)
    uint32_t mxcsr;
    uint32_t x87[7];
    bool x87_saved;
#elif defined(__aarch64__)
    uint64_t control, status;
#else
    fenv_t env;
#endif
} wg__fp;

wg__fp wg__fp_begin(void);
void wg__fp_end(const wg__fp *caller);

/* Of a function that computes with its arguments or returns a number. Between begin and end only such calls, and
 * arithmetic from memory to memory, are safe: compilers move other arithmetic across a change of the environment. */
#define WG__FP_CALLED __attribute__((noinline))

#endif
