/* Internal. What is packed, by element type: variants of one type pass it to each other. The variant bf16 packs f32. */
#ifndef WG_GEMM_LINES_H
#define WG_GEMM_LINES_H

#include <stdint.h>

/* Lines (rows of A, columns of B) of numbers, and their strides. */
typedef struct wg__reals_32 {
    const float *data;
    int64_t line, k;
} wg__reals_32;
typedef struct wg__reals_64 {
    const double *data;
    int64_t line, k;
} wg__reals_64;

/* Lines seen through a window: element p of line l is data[step[p] + line[l]]; `end` of the memory that may be read. */
typedef struct wg__windowed_32 {
    const float *data;
    const void *end;
    const int64_t *line, *step;
} wg__windowed_32;
typedef struct wg__windowed_64 {
    const double *data;
    const void *end;
    const int64_t *line, *step;
} wg__windowed_64;

#endif
