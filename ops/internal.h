/* Internal. What the op families share: their lists, and helpers for the functions of ops.h.
 *
 * ops/ holds the primitives: shape rules, gradients written in ops, and the choice of a kernel. It knows the engine's
 * contract (op.h, exec.h) and the headers of kernels/; it knows no layer, and no code here touches a number. A family
 * is one file; it ends with a NULL-terminated list of its descriptors, and registry.c concatenates the lists. */
#ifndef WG_OPS_INTERNAL_H
#define WG_OPS_INTERNAL_H

#include "../autograd/tape/exec.h"
#include "indexing.h"
#include "loss.h"

/* Defines a descriptor's `select`: the kernel by the dtypes `in` of the operands and `out` of the result. */
#define WG__SELECT(name, kernel)                                                                                   \
    static wg_kernel name(const wg_op *op, const wg_dtype *in, int n_in, wg_dtype out) { return kernel; }

/* ---- the families ------------------------------------------------------------------------------------ */

/* The descriptor of a row of pointwise.def; NULL past the end. */
const wg_op *wg__pointwise_op(int row);
extern const wg_op wg__pointwise_ops[];

extern const wg_op *const wg__structural_list[]; /* wg__structural_ops is the table for the engine */
/* The other families' lists, in the order of wg_op_at. */
#define WG__FAMILIES(FAMILY)                                                                                       \
    FAMILY(view)                                                                                                   \
    FAMILY(join)                                                                                                   \
    FAMILY(matmul)                                                                                                 \
    FAMILY(index)                                                                                                  \
    FAMILY(make)                                                                                                   \
    FAMILY(reduce)                                                                                                 \
    FAMILY(softmax)                                                                                                \
    FAMILY(loss)                                                                                                   \
    FAMILY(norm)                                                                                                   \
    FAMILY(update)                                                                                                 \
    FAMILY(scan)                                                                                                   \
    FAMILY(dropout)                                                                                                \
    FAMILY(conv)                                                                                                   \
    FAMILY(pool)                                                                                                   \
    FAMILY(attention)                                                                                              \
    FAMILY(center)                                                                                                 \
    FAMILY(masked)                                                                                                 \
    FAMILY(scatter)                                                                                                \
    FAMILY(search)
#define WG__DECLARE(family) extern const wg_op *const wg__##family##_ops[];
WG__FAMILIES(WG__DECLARE)
#undef WG__DECLARE

/* Structural ops that are defined in other files. */
extern const wg_op wg__fill_op, wg__sum_op, wg__reshape_op, wg__expand_op, wg__concat_op, wg__pad_op;

/* The table that the engine receives when a tape or a parameter set is made; engine.c. */
extern const wg__structural wg__structural_ops;
/* x with `step` - 1 zeros between its elements along an axis: the gradient of a slice with a step; join.c. */
extern const wg_op wg__dilate_op;

/* Not in a list of its own: pointwise.c puts it behind the rows of pointwise.def. */
extern const wg_op wg__cast_op;

/* Ops that attention_pattern.c matches. */
extern const wg_op wg__softmax_op, wg__matmul_op, wg__permute_op, wg__arange_op;
/* Whether a permutation with this attribute swaps the last two of `rank` axes and nothing else; view.c. */
bool wg__swaps_last_two(const void *attr, int rank);
/* The rewrite rule for each softmax: with the products around it, it may become the attention op. */
struct wg__rewrite;
bool wg__attention_recognise(struct wg__rewrite *r, uint32_t softmax);

/* The rewrite rule for each product: with one-hot rows it is differentiated as a lookup; one_hot_pattern.c. */
extern const wg_op wg__one_hot_op, wg__lookup_op;
bool wg__one_hot_recognise(struct wg__rewrite *r, uint32_t product);
/* The rows of grad added by index along an axis of `size`: the gradient of a lookup; index.c. */
wg_tensor wg__index_add(wg_tensor index, wg_tensor grad, int64_t axis, int64_t size);
/* x with the rows of the source added by index, unchecked. */
wg_tensor wg__index_add_to(wg_tensor x, int axis, wg_tensor index, wg_tensor source);
/* x with x[index[i][j]][j] *= source[i][j] for axis 0. */
wg_tensor wg__scatter_prod(wg_tensor x, int axis, wg_tensor index, wg_tensor source);
/* That the place of an element to be read was found (it is not -1), and a place that can be read in any case. */
wg_tensor wg__is_place(wg_tensor place);
wg_tensor wg__readable_place(wg_tensor place);
/* For each of `size` rows, i32, the row of x[n, ...] that is largest (or smallest) in each column, or -1; scatter.c. */
wg_tensor wg__extreme_rows(wg_tensor x, wg_tensor index, int64_t size, bool largest);
/* False, with an error, if it is none of wg_scatter_mode. */
bool wg__is_scatter_mode(wg_tensor x, wg_scatter_mode mode, const char *op);
/* A tensor [n] as one of `rank` axes that lies along `axis`; axis.c. */
wg_tensor wg__along(wg_tensor numbers, int axis, int rank);

extern const wg_op wg__attention_op;
/* The weights of attention as composed ops; attr is a wg__attention_attr. *whole: the mask of all that is masked. */
wg_tensor wg__attention_weights(wg_tensor q, wg_tensor k, wg_tensor mask, const void *attr, wg_tensor *whole);

/* Products of batches of matrices that do not read masked pairs (masked.c). mask: bool, broadcasts to a (product; a
 * must be 0 or NaN where it is false) or to a b^T (dots); WG_NONE: all are read. */
wg_tensor wg__masked_product(wg_tensor a, wg_tensor b, wg_tensor mask); /* a b */
wg_tensor wg__masked_dots(wg_tensor a, wg_tensor b, wg_tensor mask);    /* a b^T, 0 where masked */

/* ---- helpers for the functions of ops.h (axis.c) ----------------------------------------------------------------- */

/* The nil tensor on x's tape, returned after an error was stored. */
static inline wg_tensor wg__nil_of(wg_tensor x)
{
    x.node = 0;
    return x;
}

/* The same, after wg__both_set has found that one of the two was never set. */
static inline wg_tensor wg__nil_of_both(wg_tensor a, wg_tensor b) { return wg__nil_of(a.tape ? a : b); }

/* Normalizes *axis to 0 .. rank - 1; a negative one counts from the end. Returns false for a nil x, whose error is
 * already stored, and, with an error, for an axis out of range. */
bool wg__axis(wg_tensor x, int *axis, const char *op);

/* The shape of x. false for nil, and, with an error that names op, for a stale handle. */
bool wg__shape(wg_tensor x, wg_shape *shape, const char *op);

/* wg_fail with the shape of x in front of the message: "slice: [2, 3]: ...". */
wg_tensor wg__refuse(wg_tensor x, wg_status status, const char *op, const char *rule, ...) WG_PRINTF(4, 5);

/* True if neither is WG_NONE; otherwise the error is stored on the other's tape. */
bool wg__both_set(wg_tensor a, wg_tensor b, const char *op);

/* True if x is f32, f64 or nil; if both are f32, both f64, or one is nil. Otherwise the error is stored. For
 * compositions, whose ops would report it under their own names. */
bool wg__float(wg_tensor x, const char *op);
bool wg__both_float(wg_tensor a, wg_tensor b, const char *op);

/* True if x broadcasts to the shape, and the shape not to x. Otherwise the error is stored, with x's name. */
bool wg__broadcasts_to(wg_tensor x, const wg_shape *shape, const char *name, const char *op);

/* Whether *v has one element for each channel of x[N, C, ...], or is WG_NONE if it is not needed; it becomes
 * [C, 1, ...], to broadcast. Otherwise the error is stored. */
bool wg__per_channel(wg_tensor x, const wg_shape *shape, wg_tensor *v, const char *what, bool needed,
                     const char *op);

/* A tensor of a shape filled with a value; errors name op. */
wg_tensor wg__filled(wg_tape *tape, wg_dtype dtype, wg_shape shape, double value, const char *op);

/* A scalar with like's dtype on like's tape; its value is part of the program. nil for nil. */
wg_tensor wg__constant(wg_tensor like, double value);

/* x summed to a shape that broadcasts to it (the op sum); x itself if it has that shape. */
wg_tensor wg__sum_to(wg_tensor x, wg_shape shape);
/* The mean along axes, which remain with size 1; 0 of no elements, which have no mean. */
wg_tensor wg__mean_or_zero(wg_tensor x, wg_axes axes);

/* The axes as a bit mask. false: an error is stored, or x is nil. */
bool wg__axes_mask(wg_tensor x, wg_axes axes, const char *op, wg_shape *shape, uint32_t *mask);
/* wg_var; errors name op. unit: that of wg__centered, in which the variance is then given; NULL: 1. */
wg_tensor wg__variance(wg_tensor x, wg_axes axes, bool keep, int correction, wg_tensor *unit, const char *op);

/* The derivative of trigamma; gamma.c. */
wg_tensor wg__tetragamma(wg_tensor x);

/* ---- losses (loss.c) ---------------------------------------------------------------------------------- */

/* False, with an error, if it is none of wg_reduction. */
bool wg__is_reduction(wg_tensor x, wg_reduction reduction, const char *op);
/* The losses x reduced. The mean over nothing is 0, as is the mean over labels that are all ignored. */
wg_tensor wg__reduced(wg_tensor x, wg_reduction reduction);

/* ---- centering (center.c) ---------------------------------------------------------------------------- */

/* x seen from its mean over the axes of a mask; all but x have sizes of 1 there. The mean of equal numbers is exactly
 * that number. The unit is 1, or a power of two where squares overflow, or vanish and epsilon does not hide it. epsilon
 * below 0: only x and the mean are asked for. */
typedef struct wg__centered {
    wg_tensor x, mean;        /* x - mean; not centered: x, and a mean of 0 */
    wg_tensor unit, variance; /* variance: the mean of (x unit)^2 */
} wg__centered;
wg__centered wg__center(wg_tensor x, uint32_t mask, bool centered, double epsilon);
/* 1 / sqrt(mean of x^2 + epsilon) */
wg_tensor wg__center_scale(const wg__centered *c, double epsilon);

/* ---- windows (conv.c) -------------------------------------------------------------------------------- */

/* False, with an error, if a window fits into `size` elements of an axis of x but the stride skips the last of them. */
bool wg__window_is_whole(wg_tensor x, int axis, int64_t size, int64_t kernel, int64_t stride, int64_t dilation,
                         const char *op);

/* The convolution over `axes` spatial axes; errors name op. */
wg_tensor wg__convolve(wg_tensor x, wg_tensor w, wg_tensor bias, wg_conv_options options, int axes, bool never_bf16,
                       const char *op);

/* ---- helpers for shape rules ------------------------------------------------------------------------- */

/* Checks that numel and bytes of infer->out fit, or sets the error. The last line of a rule whose result's shape is not
 * an operand's. */
wg_status wg__infer_size(wg_infer *infer);

/* Checks that infer->in[operand] is f32 or f64, or sets the error. */
wg_status wg__infer_float(wg_infer *infer, int operand);

#endif
