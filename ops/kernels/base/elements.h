/* Internal. Moves of elements of 1, 2, 4 or 8 bytes, whatever they are. */
#ifndef WG_KERNELS_ELEMENTS_H
#define WG_KERNELS_ELEMENTS_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "inline.h"

#define WG__MOVE_AS(type)                                                                                          \
    do {                                                                                                           \
        type *to = out;                                                                                            \
        const type *from = in;                                                                                     \
        for (int64_t i = 0; i < n; i++) to[i * out_stride] = from[i * in_stride];                                  \
    } while (0)

/* out[i * out_stride] = in[i * in_stride] */
INLINE void wg__move_elements(void *out, int64_t out_stride, const void *in, int64_t in_stride, int64_t n,
                              size_t size)
{
    switch (size) {
    case 2: WG__MOVE_AS(uint16_t); break;
    case 4: WG__MOVE_AS(uint32_t); break;
    case 8: WG__MOVE_AS(uint64_t); break;
    default:
        assert(size == 1);
        WG__MOVE_AS(uint8_t);
        break;
    }
}

#endif
