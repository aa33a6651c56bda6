/* Internal. Integer arithmetic for sizes and cuts. */
#ifndef WG_KERNELS_INTEGERS_H
#define WG_KERNELS_INTEGERS_H

#include <stddef.h>
#include <stdint.h>

static inline int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t clamp64(int64_t n, int64_t low, int64_t high) { return max64(low, min64(n, high)); }

/* n / by, rounded up; the next multiple of `by`. */
static inline int64_t ceil_div(int64_t n, int64_t by) { return (n + by - 1) / by; }
static inline int64_t round_up(int64_t n, int64_t by) { return ceil_div(n, by) * by; }

/* Rounds up to whole cache lines. */
static inline size_t aligned_bytes(size_t n) { return (n + 63) & ~(size_t)63; }

#endif
