/* Reading and writing by index, and masks. Rules and errors are those of ops.h.
 *
 *     wg_tensor words = wg_embedding(weight, tokens);                         // [batch, time, d]
 *     wg_tensor last = wg_index_select(weight, 0, lengths);                   // rows of the weight: [n, d]
 *     wg_tensor seen = wg_length_mask(lengths, 50);                           // bool [batch, 50] */
#ifndef WG_INDEXING_H
#define WG_INDEXING_H

#include "ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- by index (i32; out of range is reported when the program runs) ---------------------------------------------
 * Any dtype, except scatter_add and gradients. gather, scatter_add: x and index have equal sizes except for the
 * axis. */

WG_API wg_tensor wg_embedding(wg_tensor weight, wg_tensor index);         /* weight[v, d], index[...] = [..., d] */
WG_API wg_tensor wg_index_select(wg_tensor x, int axis, wg_tensor index); /* index[n]; result has n along axis */
WG_API wg_tensor wg_gather(wg_tensor x, int axis, wg_tensor index); /* out[i][j] = x[index[i][j]][j] for axis 0 */
WG_API wg_tensor wg_scatter_add(wg_tensor x, int axis, wg_tensor index, wg_tensor source); /* x with
                                           x[index[i][j]][j] += source[i][j] for axis 0; in order of i */
/* x with x[start : start + n] along axis replaced by slice, which has n along axis and x's other sizes. start is one
 * i32, clamped to 0 .. size - n (as in XLA's dynamic_update_slice): a value, so that one plan serves every position.
 * If the result is assigned to x, a buffer that is only used inside of wg_no_grad_begin, only the slice is written.
 * Any dtype. */
WG_API wg_tensor wg_update_slice(wg_tensor x, int axis, wg_tensor start, wg_tensor slice);
WG_API wg_tensor wg_one_hot(wg_tensor index, int64_t classes,
                            wg_dtype dtype); /* [..., classes], classes >= 1; any dtype */
WG_API wg_tensor wg_tril_mask(wg_tape *tape, int64_t rows, int64_t cols,
                              int64_t diagonal); /* bool: col <= row + diagonal */
WG_API wg_tensor wg_triu_mask(wg_tape *tape, int64_t rows, int64_t cols,
                              int64_t diagonal);         /* bool: col >= row + diagonal */
WG_API wg_tensor wg_tril(wg_tensor x, int64_t diagonal); /* x where col <= row + diagonal, else 0; any dtype */
WG_API wg_tensor wg_triu(wg_tensor x, int64_t diagonal); /* x where col >= row + diagonal, else 0 */
/* bool [n, size]: position < lengths[i]; lengths is i32 [n]. */
WG_API wg_tensor wg_length_mask(wg_tensor lengths, int64_t size);

#ifdef __cplusplus
}
#endif
#endif
