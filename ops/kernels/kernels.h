/* Internal. Kernels: the only code that touches numbers. This header is how ops find those that are compiled per
 * instruction set; the kernels that are compiled once are declared in the headers of their rooms.
 *
 *     base/       common ground: integers, vectors, reductions in a fixed order (headers only)
 *     gemm/       products: packing and loops around BLIS' micro-kernel       base
 *     pointwise/  the rows of pointwise.def, chains of them, casts            base
 *     reduce/     reductions, scans, softmax, losses, norms                   base
 *     move/       copies, fills, padding, reading and adding by index         base, pointwise
 *     random/     random numbers, initial values, ranges                      base, move
 *     conv/       convolution and pooling                                     base, gemm
 *     attention/  attention in blocks of queries                              base, gemm, reduce
 *
 * On the right the rooms that a room may use. table.c, behind this header, knows all of them, so no room includes this
 * header. No kernel knows an op, a tape or a plan: it gets operands and attributes (exec.h) and one task's number. */
#ifndef WG_KERNELS_H
#define WG_KERNELS_H

#include "base/kernel.h"
#include "../../autograd/base/isa.h"

typedef enum wg__kernel_id {
#define KERNEL(name) WG__KERNEL_##name,
#include "base/kernels.def"
#undef KERNEL
    WG__KERNEL_COUNT
} wg__kernel_id;

/* The kernel for f32 or f64 on this machine; NULL for other dtypes. */
wg_kernel wg__kernel_get(wg__kernel_id id, wg_dtype dtype);

/* The pointwise kernel of a row of pointwise.def; dtype is that of the operands (for where and masked_fill: of those
 * that values are taken from). NULL if the row has none for that dtype. */
wg_pointwise wg__pointwise_get(int row, wg_dtype dtype);

/* The same for one instruction set, which the machine must have; for the tests. */
wg_pointwise wg__pointwise_get_isa(int row, wg_dtype dtype, wg__isa isa);

/* Line sums of a chain's values; dtype is f32 or f64. */
const wg__line_sums *wg__line_sums_get(wg_dtype dtype);

const char *wg__vector_math_name(void); /* "SLEEF" or "libm" */

#endif
