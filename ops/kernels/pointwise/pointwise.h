/* Internal. Pointwise kernels: the rows of pointwise.def, casts, and the interpreter that runs a chain of them.
 *
 * The rows are compiled per variant from ops/pointwise.def and reached through the table of kernels.h. The interpreter
 * (chain.c) knows neither rows nor dtypes: it calls the functions that a wg__chain (exec.h) names. The room knows no op
 * and no other room. */
#ifndef WG_KERNELS_POINTWISE_H
#define WG_KERNELS_POINTWISE_H

#include "../base/kernel.h"

/* y[i] = x[i] in another dtype. Float to i32 truncates towards zero; a value out of range becomes the nearest i32, NaN
 * becomes 0. To bool is x != 0. */
wg_pointwise wg__cast_get(wg_dtype from, wg_dtype to);
void wg__widened(int64_t n, void *y, const void *const *in); /* y in f32, x in bf16 */

/* Runs one task of a chain: elements [task * block, (task + 1) * block) of each span of its space. */
void wg__chain_run(const wg__chain *chain, int64_t task, void *scratch);
size_t wg__chain_scratch(const wg__chain *chain);

#endif
