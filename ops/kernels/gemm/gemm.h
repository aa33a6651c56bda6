/* Internal. The parts of the product and how they fit together.
 *
 * C[m,n] = sum_p A[m,p] B[p,n] is computed in tiles of a few rows of C by a fixed number of columns. B is the wide
 * side: its columns lie in vector registers, and it is packed in panels of `wide` columns, panel[p][wide]. A is the
 * narrow side: its elements are broadcast, so it can be read as it stands. Every element of C is one chain of fused
 * multiply-adds over p within a block of `kc` steps, whatever tile, task or kernel it falls into: the bits of a row
 * of C depend neither on the other rows nor on what was packed (except in the matrix-vector path). */
#ifndef WG_GEMM_H
#define WG_GEMM_H

#include "../base/kernel.h"

/* The product kernels of f32 or f64 on this machine; NULL for other dtypes. */
const wg__product_kernels *wg__product_get(wg_dtype dtype);
const char *wg__product_name(void); /* "BLIS 0.9.0 skx"; "reference" without BLIS */

#endif
