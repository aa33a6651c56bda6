/* Internal. Products: C[m,n] (+)= sum over p of A[m,p] B[p,n], batched, over segments of k, or through a window.
 *
 * The room takes BLIS' micro-kernel and block sizes (blis.c, the only file that includes blis.h); packing and the loops
 * around the micro-kernel are its own, since the engine knows what BLIS cannot: that a weight is packed once and used
 * many times, or that B is an image seen through a window. It knows wg__product (exec.h) and the instruction set. It
 * knows no tape, op or thread: a caller asks for the number of tasks and runs them in any order.
 *
 * The loops around a register tile, by the names of BLIS (Van Zee, van de Geijn 2015), and ours:
 *
 *     BLIS                        here
 *     5  jc: n in steps of nc     tasks: columns of C, at most NC (cut.c)
 *     4   pc: k in steps of kc    run_block: packs B into column panels, panel[p][wide], unless B is a packed weight
 *     3    ic: m in steps of mc   tasks, run_block: rows of C, at most MC; packs A into row panels, panel[p][narrow]
 *     2     jr: nc in steps of nr run_row_panel: the column panels, `wide` columns each
 *     1      ir: mc in steps of mr run_rows: the row panels, `narrow` rows for BLIS' tile, up to TILE_ROWS for ours
 *     0       micro-kernel        BLIS' tile (micro.h); ours (tile.c) at edges and if A or B is not packed; in bf16
 *                                 always ours, by AMX tile_amx.c
 *
 *                      <- n ->
 *                  +-----+--+--+-----+     B is the wide side: its columns are in vector registers. A is the narrow
 *                k |     |B :nr|     | kc  side: its elements are broadcast, so a tile can also read it unpacked. If
 *                  +-----+--+--+-----+     C has unit stride along its rows, C^T = B^T A^T is computed instead.
 *       <- k ->             nc
 *     +---+-----+  +-----+--+--+-----+     Loops 1 and 2 are exchanged: a row panel stays in the first-level cache
 *   m |   |A    |  |     |C :  |     | mc  while the column panels of the block pass, from the second-level cache.
 *     |   |.....|  |     |..+--|     |
 *     |   |  mr |  |     |  |##|     | mr  A task computes one block of C over all of k, or all of C for several
 *     +---+-----+  +-----+--+--+-----+     problems of a batch. No two tasks share an element of C. ## is a tile.
 *           kc              nc
 *
 * Every element of C is one chain of fused multiply-adds over p within each block of kc steps (by AMX: a chain of sums
 * of 16 steps), whatever tile, task or kernel computes it. So the bits of a row of C depend neither on other rows nor
 * on what was packed (except in the matrix-vector path, gemv.c). */
#ifndef WG_GEMM_H
#define WG_GEMM_H

#include "../base/kernel.h"

/* The product kernels of f32 or f64 on this machine; NULL for other dtypes. in_bf16, for f32: operands are rounded to
 * bf16, and their products are added in f32. */
const wg__product_kernels *wg__product_get(wg_dtype dtype, bool in_bf16);
/* Those of f32 by a packed B in 8 bits; they run nothing else. */
const wg__product_kernels *wg__product_get_int8(void);
const char *wg__product_name(void); /* "BLIS 0.9.0 skx"; "reference" without BLIS */

#endif
