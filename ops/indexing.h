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

/* ---- reading (i32; an index out of range is reported when the program runs); any dtype, gradients of floats ----- */

WG_API wg_tensor wg_embedding(wg_tensor weight, wg_tensor index);         /* weight[v, d], index[...] = [..., d] */
WG_API wg_tensor wg_index_select(wg_tensor x, int axis, wg_tensor index); /* index[n]; result has n along axis */
/* out[i][j] = x[index[i][j]][j] for axis 0; x and index have equal sizes except for the axis. */
WG_API wg_tensor wg_gather(wg_tensor x, int axis, wg_tensor index);

/* ---- writing: x with some elements replaced, or combined with those of source -----------------------------------
 * index and source have equal shapes, and x's sizes except for the axis. Elements that go to one place are combined in
 * their order along the axis, so that the bits are the same with any number of threads. */

/* x[index[i][j]][j] = source[i][j] for axis 0; of several the last one, which alone has a gradient. Any dtype. */
WG_API wg_tensor wg_scatter(wg_tensor x, int axis, wg_tensor index, wg_tensor source);
/* x[index[i][j]][j] += source[i][j] */
WG_API wg_tensor wg_scatter_add(wg_tensor x, int axis, wg_tensor index, wg_tensor source);

/* How the elements that go to one place are combined. */
typedef enum wg_scatter_mode {
    WG_SCATTER_SUM,  /* the sum */
    WG_SCATTER_MEAN, /* the sum divided by their number */
    WG_SCATTER_MAX,  /* the first of equal elements has the gradient (PyTorch: shared); NaN propagates */
    WG_SCATTER_MIN,  /* the same for the minimum */
    WG_SCATTER_PROD  /* derivatives are exact even if elements are 0, to the third order;
                        the product must be within the range of the dtype */
} wg_scatter_mode;
/* The elements of source that go to one place, and x's own if include_self (of equal ones they share the gradient, as
 * in wg_maximum), combined. Where none goes, x. */
WG_API wg_tensor wg_scatter_reduce(wg_tensor x, int axis, wg_tensor index, wg_tensor source, wg_scatter_mode mode,
                                   bool include_self);

/* Rows, for which index[n] has one number each; source has n along the axis, and x's other sizes: x[index[i]] +=
 * source[i] for axis 0. */
WG_API wg_tensor wg_index_add(wg_tensor x, int axis, wg_tensor index, wg_tensor source);
/* x[index[i]] = source[i]; of several rows the last one. Any dtype. */
WG_API wg_tensor wg_index_copy(wg_tensor x, int axis, wg_tensor index, wg_tensor source);
/* x[index[0], ..., index[n - 1]] = values (any dtype), or += if accumulate, as in NumPy: the indices broadcast to a
 * shape, values to that shape and x's axes from n on. An index out of range is reported as -1. */
WG_API wg_tensor wg_index_put(wg_tensor x, const wg_tensor *index, int n, wg_tensor values, bool accumulate);

/* x with x[start : start + n] along axis replaced by slice, which has n along axis and x's other sizes. start is one
 * i32, clamped to 0 .. size - n (as in XLA's dynamic_update_slice): a value, so that one plan serves every position.
 * If the result is assigned to x, a buffer that is only used inside of wg_no_grad_begin, only the slice is written.
 * Any dtype. */
WG_API wg_tensor wg_update_slice(wg_tensor x, int axis, wg_tensor start, wg_tensor slice);

/* ---- segments and bags: rows of x[n, ...] combined by a number for each of them ---------------------------------- */

/* out[s] = the rows x[i] with index[i] = s combined, 0 <= s < segments; the index, i32 [n], is in any order. A segment
 * without rows is 0 (prod: 1). */
WG_API wg_tensor wg_segment_reduce(wg_tensor x, wg_tensor index, int64_t segments, wg_scatter_mode mode);
/* The index, i32 [n], of segments that follow each other: by where each begins, offsets i32 [segments], which do not
 * decrease, from 0 on; or by lengths, i32 [segments], whose sum is n. Others are index errors when the program runs. */
WG_API wg_tensor wg_segments_by_offsets(wg_tensor offsets, int64_t n);
WG_API wg_tensor wg_segments_by_lengths(wg_tensor lengths, int64_t n);
/* i32 [bins]: how often each number occurs in the index, of any shape. */
WG_API wg_tensor wg_bincount(wg_tensor index, int64_t bins);
/* Rows of weight[v, d] combined by bags: index[n] with the offsets, i32 [bags], at which they begin, or index[bags, n]
 * with WG_NONE. The result is [bags, d]; a bag without rows is 0 (prod: 1). */
WG_API wg_tensor wg_embedding_bag(wg_tensor weight, wg_tensor index, wg_tensor offsets, wg_scatter_mode mode);
/* The same with the lengths of the bags, i32 [bags]. */
WG_API wg_tensor wg_embedding_bag_lengths(wg_tensor weight, wg_tensor index, wg_tensor lengths,
                                          wg_scatter_mode mode);

/* ---- one-hot rows and masks ---------------------------------------------------------------------------------- */

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
