/* Internal. What the op families share: their lists, and the few helpers that every wrapper needs.
 *
 * A family is one file in ops/. It ends with a NULL-terminated list of its descriptors; registry.c strings
 * the lists together. Nothing here touches a number. */
#ifndef WG_OPS_INTERNAL_H
#define WG_OPS_INTERNAL_H

#include "../autograd/tape/exec.h"
#include "ops.h"

/* ---- the families ------------------------------------------------------------------------------------ */

/* The descriptor of a row of pointwise.def; NULL past the end. */
const wg_op *wg__pointwise_op(int row);
extern const wg_op wg__pointwise_ops[];

extern const wg_op *const wg__structural_list[]; /* wg__structural_ops is the table for the engine */
extern const wg_op *const wg__view_ops[];
extern const wg_op *const wg__join_ops[];
extern const wg_op *const wg__matmul_ops[];
extern const wg_op *const wg__index_ops[];
extern const wg_op *const wg__make_ops[];
extern const wg_op *const wg__reduce_ops[];
extern const wg_op *const wg__softmax_ops[];
extern const wg_op *const wg__loss_ops[];
extern const wg_op *const wg__norm_ops[];
extern const wg_op *const wg__dropout_ops[];
extern const wg_op *const wg__scan_ops[];
extern const wg_op *const wg__conv_ops[];
extern const wg_op *const wg__pool_ops[];
extern const wg_op *const wg__attention_ops[];

/* Those of the structural ops that other files define. */
extern const wg_op wg__fill_op, wg__sum_op, wg__reshape_op, wg__expand_op, wg__concat_op, wg__pad_op;

/* What the engine gets when a tape or a parameter set is made; engine.c. */
extern const wg__structural wg__structural_ops;
/* x with `step` - 1 zeros between its elements along an axis: the gradient of a slice with a step; view.c. */
extern const wg_op wg__dilate_op;

/* What attention is written out with, found by attention_pattern.c. */
extern const wg_op wg__cast_op;
extern const wg_op wg__softmax_op, wg__matmul_op, wg__permute_op, wg__arange_op;
/* Whether a permutation with this attribute swaps the last two of `rank` axes and nothing else; view.c. */
bool wg__swaps_last_two(const void *attr, int rank);
/* The rule that the engine applies at every softmax: with the products around it, it may become the op. */
struct wg__rewrite;
bool wg__attention_recognise(struct wg__rewrite *r, uint32_t softmax);

/* The rule at every product: one by one-hot rows is a lookup when it is differentiated; one_hot_pattern.c. */
extern const wg_op wg__one_hot_op, wg__lookup_op;
bool wg__one_hot_recognise(struct wg__rewrite *r, uint32_t product);
/* grad added up by index along an axis of `size`: the gradient of a lookup; index.c. */
wg_tensor wg__index_add(wg_tensor index, wg_tensor grad, int64_t axis, int64_t size);

extern const wg_op wg__attention_op;
/* The scores of attention by its formula, masked by -inf; attr is the op's. */
wg_tensor wg__attention_scores(wg_tensor q, wg_tensor k, wg_tensor mask, const void *attr);

/* ---- helpers for wrappers (axis.c) ------------------------------------------------------------------- */

/* What a wrapper returns once the error is stored: the nil tensor on x's tape. */
static inline wg_tensor wg__nil_of(wg_tensor x)
{
    x.node = 0;
    return x;
}

/* Brings *axis into 0 .. rank - 1, counting from the end if it is negative. Returns false for a nil x (which
 * has reported its own error) and, with a message on the tape, for an axis out of range. */
bool wg__axis(wg_tensor x, int *axis, const char *op);

/* The shape of x. false for nil, and for a handle that is dead: that is then reported under the op's name. */
bool wg__shape(wg_tensor x, wg_shape *shape, const char *op);

/* wg_fail with the shape of x before the text: "slice: [2, 3]: ...". */
wg_tensor wg__refuse(wg_tensor x, wg_status status, const char *op, const char *rule, ...) WG_PRINTF(4, 5);

/* Both are set, that is not WG_NONE, or the error is stored on the other's tape. */
bool wg__both_set(wg_tensor a, wg_tensor b, const char *op);

/* Both are f32 or both f64, or nil, or the error is stored: for what is made of other ops, which would name
 * themselves. */
bool wg__both_float(wg_tensor a, wg_tensor b, const char *op);

/* `shape` filled with a number; errors name op. */
wg_tensor wg__filled(wg_tape *tape, wg_dtype dtype, wg_shape shape, double value, const char *op);

/* The scalar `value` of like's dtype on like's tape, part of the program; nil for nil. */
wg_tensor wg__constant(wg_tensor like, double value);

/* in0 summed to a shape that broadcasts to it (the op sum); x itself if it has the shape. */
wg_tensor wg__sum_to(wg_tensor x, wg_shape shape);

/* ---- windows (conv.c) -------------------------------------------------------------------------------- */

/* false, with the error stored: a window that fits into the `size` places of an axis of x leaves the last out. */
bool wg__window_is_whole(wg_tensor x, int axis, int64_t size, int64_t kernel, int64_t stride, int64_t dilation,
                         const char *op);

/* The convolution over `axes` spatial axes; errors name op. */
wg_tensor wg__convolve(wg_tensor x, wg_tensor w, wg_tensor bias, wg_conv_options options, int axes, const char *op);

/* ---- helpers for shape rules ------------------------------------------------------------------------- */

/* numel and bytes of infer->out fit; otherwise the error is set. The last line of a rule that makes a shape
 * which no operand has. */
wg_status wg__infer_size(wg_infer *infer);

/* infer->in[operand] is f32 or f64, or the error is set. */
wg_status wg__infer_float(wg_infer *infer, int operand);

#endif
