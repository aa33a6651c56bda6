/* Internal. How kernels are specialized. */
#ifndef WG_KERNELS_INLINE_H
#define WG_KERNELS_INLINE_H

/* Of a function whose arguments are constants where it is called: each call is compiled on its own. */
#define INLINE static inline __attribute__((always_inline))

#endif
