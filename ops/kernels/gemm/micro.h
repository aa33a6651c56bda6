/* Internal. BLIS' micro-kernel as the loops of gemm.c call it. */
#ifndef WG_GEMM_MICRO_H
#define WG_GEMM_MICRO_H

#include "../base/kernel.h"

/* BLIS' micro-kernel and block sizes, found once. */
typedef struct wg__blis {
    int wide, narrow;  /* sides of the register tile; wide is a multiple of the vector */
    int kc;            /* steps of k in one block */
    bool prefers_rows; /* the kernel is fastest if rows of C have unit stride (haswell), else columns (skx) */
    void *kernel, *context;
} wg__blis;

/* NULL if BLIS is missing or has no suitable kernel. */
const wg__blis *wg__blis_get(wg_dtype dtype);
const char *wg__blis_name(void);

/* One tile: C[rows,cols] (+)= A B, A packed as a[k][narrow], B as b[k][wide], both 64-byte aligned. */
typedef void (*wg__blis_tile)(const wg__blis *blis, int rows, int cols, int64_t k, const void *a, const void *b,
                              bool add, void *c, int64_t c_rs, int64_t c_cs);
wg__blis_tile wg__blis_tile_get(wg_dtype dtype);

#endif
