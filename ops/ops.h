/* The primitives. This header is their reference: formula, shapes, errors, source. Ops by index are in indexing.h,
 * losses in loss.h.
 *
 *     wg_tensor x = wg_data(tape, WG_F32, WG_DIMS(32, 784), pixels);          // [32, 784]
 *     wg_tensor h = wg_relu(wg_linear(x, w1, b1));                            // [32, 100]
 *     wg_tensor logits = wg_linear(h, w2, b2);                                // [32, 10]
 *     wg_tensor loss = wg_cross_entropy(logits, labels);                      // []
 *     wg_tensor best = wg_argmax(logits, -1, false);                          // [32], i32
 *
 * Rules for all ops: operands must be on the same tape. Elementwise operands broadcast as in NumPy. Dtypes must be
 * equal; there is no promotion (use wg_cast). A negative axis counts from the end (-1 is the last). All ops accept f32
 * and f64; other dtypes are listed with the op.
 *
 * Errors are stored on the tape with the name of the op, and the result is nil: WG_ERR_SHAPE for shapes that do not
 * match, WG_ERR_DTYPE for dtypes, WG_ERR_ARGUMENT for an axis or a number out of range or for an operand that was never
 * set (if another one was: see WG_NONE), WG_ERR_STALE for a handle from before a reset, WG_ERR_INDEX for an index that
 * is out of range when the program runs. */
#ifndef WG_OPS_H
#define WG_OPS_H

#include "../autograd/op.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- elementwise, one operand: y = f(x) ------------------------------------------------------------------ */

WG_API wg_tensor wg_neg(wg_tensor x);                      /* -x; also i32 */
WG_API wg_tensor wg_abs(wg_tensor x);                      /* |x|; derivative 0 at 0; also i32 */
WG_API wg_tensor wg_sign(wg_tensor x);                     /* -1, 0, 1; derivative 0 */
WG_API wg_tensor wg_exp(wg_tensor x);                      /* e^x */
WG_API wg_tensor wg_log(wg_tensor x);                      /* ln x */
WG_API wg_tensor wg_log1p(wg_tensor x);                    /* ln(1 + x), accurate near 0 */
WG_API wg_tensor wg_expm1(wg_tensor x);                    /* e^x - 1, accurate near 0 */
WG_API wg_tensor wg_sqrt(wg_tensor x);                     /* x^(1/2) */
WG_API wg_tensor wg_rsqrt(wg_tensor x);                    /* x^(-1/2) */
WG_API wg_tensor wg_square(wg_tensor x);                   /* x^2; also i32 */
WG_API wg_tensor wg_reciprocal(wg_tensor x);               /* 1/x */
WG_API wg_tensor wg_sin(wg_tensor x);                      /* sin x, x in radians */
WG_API wg_tensor wg_cos(wg_tensor x);                      /* cos x, x in radians */
WG_API wg_tensor wg_tan(wg_tensor x);                      /* tan x, x in radians */
WG_API wg_tensor wg_asin(wg_tensor x);                     /* the angle whose sine is x; NaN outside of -1 .. 1 */
WG_API wg_tensor wg_acos(wg_tensor x);                     /* the same for the cosine */
WG_API wg_tensor wg_atan(wg_tensor x);                     /* the angle in -pi/2 .. pi/2 whose tangent is x */
WG_API wg_tensor wg_sinh(wg_tensor x);                     /* (e^x - e^-x) / 2 */
WG_API wg_tensor wg_cosh(wg_tensor x);                     /* (e^x + e^-x) / 2 */
WG_API wg_tensor wg_tanh(wg_tensor x);                     /* (e^x - e^-x) / (e^x + e^-x) */
WG_API wg_tensor wg_asinh(wg_tensor x);                    /* ln(x + sqrt(x^2 + 1)) */
WG_API wg_tensor wg_acosh(wg_tensor x);                    /* NaN below 1 */
WG_API wg_tensor wg_atanh(wg_tensor x);                    /* NaN outside of -1 .. 1 */
WG_API wg_tensor wg_erf(wg_tensor x);                      /* 2/sqrt(pi) integral of e^(-t^2), 0 to x */
WG_API wg_tensor wg_erfinv(wg_tensor x);                   /* the y whose erf is x; NaN outside of -1 .. 1 */
WG_API wg_tensor wg_lgamma(wg_tensor x);                   /* ln |Gamma(x)|; infinite at 0, -1, -2, ... */
WG_API wg_tensor wg_digamma(wg_tensor x);                  /* the derivative of ln |Gamma(x)|; NaN at -1, -2, ... */
WG_API wg_tensor wg_trigamma(wg_tensor x);                 /* the derivative of digamma */
WG_API wg_tensor wg_floor(wg_tensor x);                    /* derivative 0 */
WG_API wg_tensor wg_ceil(wg_tensor x);                     /* derivative 0 */
WG_API wg_tensor wg_round(wg_tensor x);                    /* to the nearest integer, ties to even; derivative 0 */
WG_API wg_tensor wg_sigmoid(wg_tensor x);                  /* 1 / (1 + e^-x) */
WG_API wg_tensor wg_relu(wg_tensor x);                     /* max(0, x); derivative 0 at 0 */
WG_API wg_tensor wg_leaky_relu(wg_tensor x, double slope); /* x > 0 ? x : slope x (PyTorch's slope: 0.01) */
WG_API wg_tensor wg_elu(wg_tensor x, double alpha);        /* x > 0 ? x : alpha (e^x - 1) (Clevert et al. 2015) */
WG_API wg_tensor wg_gelu(wg_tensor x);      /* x Phi(x) = x/2 (1 + erf(x/sqrt 2)) (Hendrycks, Gimpel 2016) */
WG_API wg_tensor wg_gelu_tanh(wg_tensor x); /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
WG_API wg_tensor wg_silu(wg_tensor x);      /* x sigmoid(x) */
WG_API wg_tensor wg_softplus(wg_tensor x);  /* ln(1 + e^x) */
WG_API wg_tensor wg_step(wg_tensor x);      /* 1 if x > 0, else 0; derivative 0 */
/* Any dtype to any: float to i32 truncates towards zero (out of range: the nearest i32; NaN: 0); to bool is x != 0. The
 * gradient is defined between floats. */
WG_API wg_tensor wg_cast(wg_tensor x, wg_dtype dtype);

/* ---- elementwise, two operands ------------------------------------------------------------------------------ */

WG_API wg_tensor wg_add(wg_tensor a, wg_tensor b);       /* a + b; also i32 */
WG_API wg_tensor wg_sub(wg_tensor a, wg_tensor b);       /* a - b; also i32 */
WG_API wg_tensor wg_mul(wg_tensor a, wg_tensor b);       /* a b; also i32 */
WG_API wg_tensor wg_div(wg_tensor a, wg_tensor b);       /* a / b */
WG_API wg_tensor wg_pow(wg_tensor a, wg_tensor b);       /* a^b; the gradient to b is 0 where a is 0 */
WG_API wg_tensor wg_mod(wg_tensor a, wg_tensor b);       /* a - b floor(a / b), as % in Python */
WG_API wg_tensor wg_atan2(wg_tensor a, wg_tensor b);     /* the angle of the point with x = b, y = a, -pi .. pi */
WG_API wg_tensor wg_logaddexp(wg_tensor a, wg_tensor b); /* ln(e^a + e^b), without overflow */
WG_API wg_tensor wg_maximum(wg_tensor a, wg_tensor b); /* gradient halved where equal; NaN if either is; also i32 */
WG_API wg_tensor wg_minimum(wg_tensor a, wg_tensor b); /* the same for the minimum */

/* ---- elementwise with a number, which takes the tensor's dtype and is not part of the cached program ------------
 * A number that an i32 cannot be (0.5, NaN, 1e10) is an error for that dtype; also in wg_scalar, wg_full, wg_arange. */

WG_API wg_tensor wg_add_scalar(wg_tensor x, double c);     /* x + c; also i32 */
WG_API wg_tensor wg_sub_scalar(wg_tensor x, double c);     /* x - c; also i32 */
WG_API wg_tensor wg_scale(wg_tensor x, double c);          /* c x; also i32 */
WG_API wg_tensor wg_div_scalar(wg_tensor x, double c);     /* x / c */
WG_API wg_tensor wg_rsub_scalar(double c, wg_tensor x);    /* c - x; also i32 */
WG_API wg_tensor wg_rdiv_scalar(double c, wg_tensor x);    /* c / x */
WG_API wg_tensor wg_pow_scalar(wg_tensor x, double p);     /* x^p */
WG_API wg_tensor wg_maximum_scalar(wg_tensor x, double c); /* max(x, c); also i32 */
WG_API wg_tensor wg_minimum_scalar(wg_tensor x, double c); /* min(x, c); also i32 */

/* ---- comparisons and logic: results are bool, no gradient ---------------------------------------------------- */

WG_API wg_tensor wg_equal(wg_tensor a, wg_tensor b);         /* all comparisons take f32, f64, i32 */
WG_API wg_tensor wg_not_equal(wg_tensor a, wg_tensor b);     /* a != b */
WG_API wg_tensor wg_less(wg_tensor a, wg_tensor b);          /* a < b */
WG_API wg_tensor wg_less_equal(wg_tensor a, wg_tensor b);    /* a <= b */
WG_API wg_tensor wg_greater(wg_tensor a, wg_tensor b);       /* a > b */
WG_API wg_tensor wg_greater_equal(wg_tensor a, wg_tensor b); /* a >= b */
WG_API wg_tensor wg_logical_and(wg_tensor a, wg_tensor b);   /* bool operands */
WG_API wg_tensor wg_logical_or(wg_tensor a, wg_tensor b);    /* a or b */
WG_API wg_tensor wg_logical_not(wg_tensor a);                /* not a */
WG_API wg_tensor wg_is_finite(wg_tensor x);                  /* neither infinite nor NaN */

/* ---- selection ------------------------------------------------------------------------------------------------ */

/* condition ? a : b; condition is bool, a and b any dtype. */
WG_API wg_tensor wg_where(wg_tensor condition, wg_tensor a, wg_tensor b);
/* min(max(x, low), high); gradient 1 for low <= x <= high, else 0. */
WG_API wg_tensor wg_clamp(wg_tensor x, double low, double high);
/* mask ? value : x; mask is bool, x any dtype. All finite values share a cached plan; an infinite value is part of the
 * program. */
WG_API wg_tensor wg_masked_fill(wg_tensor x, wg_tensor mask, double value);
WG_API wg_tensor wg_lerp(wg_tensor a, wg_tensor b, wg_tensor weight); /* a + weight (b - a), exact at 0 and 1 */

/* ---- sums of several ----------------------------------------------------------------------------------------- */

WG_API wg_tensor wg_add_n(const wg_tensor *x, int n); /* x0 + x1 + ..., in this order; n >= 1; also i32 */

/* ---- reductions over axes ---------------------------------------------------------------------------------------
 * axes: a list of n axes; n = 0 means all. keep: reduced axes remain with size 1. The sum of no elements is 0, the
 * product 1; mean, var, max, min, argmax and argmin of no elements are errors. */

/* A list of axes. Make one by WG_AXES. */
typedef struct wg_axes {
    int32_t n;                 /* 0: all axes */
    int32_t axis[WG_MAX_RANK]; /* negative: from the end */
} wg_axes;
WG_API wg_axes wg_axes_of(int n, const int *axis); /* a list with a length known at run time */
#ifdef __cplusplus
}
template <class... T> inline wg_axes wg_axes_list(T... axis)
{
    const int list[] = {static_cast<int>(axis)...};
    return wg_axes_of(static_cast<int>(sizeof...(axis)), list);
}
#define WG_AXES(...) wg_axes_list(__VA_ARGS__)
#define WG_ALL_AXES  wg_axes_of(0, nullptr)
extern "C" {
#else
/* WG_AXES(0, -1): the first and the last axis. */
#define WG_AXES(...) wg_axes_of((int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (int[]){__VA_ARGS__})
/* All axes of the operand. */
#define WG_ALL_AXES  wg_axes_of(0, NULL)
#endif

WG_API wg_tensor wg_sum(wg_tensor x, wg_axes axes, bool keep);  /* over the axes */
WG_API wg_tensor wg_mean(wg_tensor x, wg_axes axes, bool keep); /* sum / n */
WG_API wg_tensor wg_max(wg_tensor x, wg_axes axes, bool keep); /* ties share the gradient equally; NaN propagates */
WG_API wg_tensor wg_min(wg_tensor x, wg_axes axes, bool keep); /* the same for the minimum */
WG_API wg_tensor wg_prod(wg_tensor x, wg_axes axes, bool keep); /* the gradient is exact even if elements are 0 */
/* sum (x - mean)^2 / (n - correction), n > correction. */
WG_API wg_tensor wg_var(wg_tensor x, wg_axes axes, bool keep, int correction);
WG_API wg_tensor wg_norm(wg_tensor x, wg_axes axes, bool keep); /* sqrt(sum x^2); its derivatives at 0 are 0 */
WG_API wg_tensor wg_std(wg_tensor x, wg_axes axes, bool keep, int correction); /* sqrt(var); at 0 the same */
WG_API wg_tensor wg_logsumexp(wg_tensor x, wg_axes axes, bool keep); /* ln sum e^x, shifted by the maximum */
WG_API wg_tensor wg_any(wg_tensor x, wg_axes axes, bool keep);       /* bool operand and result */
WG_API wg_tensor wg_all(wg_tensor x, wg_axes axes, bool keep);       /* bool operand and result */
WG_API wg_tensor wg_argmax(wg_tensor x, int axis, bool keep);        /* i32, the first if equal; NaN is largest */
WG_API wg_tensor wg_argmin(wg_tensor x, int axis, bool keep);        /* the first of the smallest */
WG_API wg_tensor wg_sum_all(wg_tensor x);                            /* to a scalar */
WG_API wg_tensor wg_mean_all(wg_tensor x);                           /* to a scalar */

/* ---- along one axis ------------------------------------------------------------------------------------------ */

WG_API wg_tensor wg_cumsum(wg_tensor x, int axis);  /* y_i = x_0 + ... + x_i */
WG_API wg_tensor wg_cumprod(wg_tensor x, int axis); /* y_i = x_0 ... x_i */
WG_API wg_tensor wg_cummax(wg_tensor x, int axis);  /* the gradient of equal maxima is shared, as of wg_maximum */
WG_API wg_tensor wg_cummin(wg_tensor x, int axis);  /* the same for the minimum */
WG_API wg_tensor wg_logcumsumexp(wg_tensor x, int axis); /* y_i = ln(e^x_0 + ... + e^x_i) */
/* e^(x_i - max) / sum; zeros for a row of all -inf; all NaN if one is inf or NaN */
WG_API wg_tensor wg_softmax(wg_tensor x, int axis);
/* Over the elements for which mask is true (bool, broadcasts to x); 0 for the others, which are not read: they may be
 * NaN, and have no gradient. Zeros if the mask allows none. */
WG_API wg_tensor wg_masked_softmax(wg_tensor x, wg_tensor mask, int axis);
WG_API wg_tensor wg_log_softmax(wg_tensor x, int axis);              /* x_i - logsumexp(x) */
WG_API wg_tensor wg_argsort(wg_tensor x, int axis, bool descending); /* i32, stable; NaN is largest */
WG_API wg_tensor wg_sort(wg_tensor x, int axis, bool descending);    /* NaN is the largest */
/* The k largest (or smallest) in order, 0 <= k <= size of the axis, NaN the largest; their indices (i32) if indices is
 * not NULL. */
WG_API wg_tensor wg_topk(wg_tensor x, int k, int axis, bool largest, wg_tensor *indices);

/* The k-th smallest, 1 <= k <= size of the axis, NaN last; of equal numbers one has the gradient. With keep the axis
 * remains, with size 1. */
WG_API wg_tensor wg_kthvalue(wg_tensor x, int64_t k, int axis, bool keep);
/* The middle one, or the lower of two, as in PyTorch (NumPy: the quantile 1/2); NaN propagates. */
WG_API wg_tensor wg_median(wg_tensor x, int axis, bool keep);
/* Between the two sorted numbers at q (n - 1), 0 <= q <= 1, linearly; NaN propagates. */
WG_API wg_tensor wg_quantile(wg_tensor x, double q, int axis, bool keep);
/* i32, of values' shape: how many numbers of sorted[n], or of values' own row of sorted[..., n], are less than a value
 * (right: at most the value). Rows ascend, NaN is the largest; otherwise the result is any of 0 .. n. */
WG_API wg_tensor wg_searchsorted(wg_tensor sorted, wg_tensor values, bool right);

/* ---- creation -------------------------------------------------------------------------------------------------- */

/* All elements equal the value, which is part of the program; any dtype. */
WG_API wg_tensor wg_full(wg_tape *tape, wg_dtype dtype, wg_shape shape, double value);
WG_API wg_tensor wg_zeros(wg_tape *tape, wg_dtype dtype, wg_shape shape); /* wg_full with 0 */
WG_API wg_tensor wg_ones(wg_tape *tape, wg_dtype dtype, wg_shape shape);  /* wg_full with 1 */
WG_API wg_tensor wg_zeros_like(wg_tensor x);                              /* of shape and dtype of x */
WG_API wg_tensor wg_ones_like(wg_tensor x);                               /* of shape and dtype of x */
/* [n]: start + i step; also i32. */
WG_API wg_tensor wg_arange(wg_tape *tape, wg_dtype dtype, double start, double step, int64_t n);
/* Random numbers, drawn anew in each step (see wg_set_step): uniform in [low, high), low <= high; normal with
 * deviation >= 0; bool, true with a probability in [0, 1]. */
WG_API wg_tensor wg_uniform(wg_tape *tape, wg_dtype dtype, wg_shape shape, double low, double high);
WG_API wg_tensor wg_normal(wg_tape *tape, wg_dtype dtype, wg_shape shape, double mean, double deviation);
WG_API wg_tensor wg_bernoulli(wg_tape *tape, wg_shape shape, double probability); /* true with this probability */

/* ---- products ------------------------------------------------------------------------------------------------ */

/* a[..., m, k] b[..., k, n] = [..., m, n]; leading sizes broadcast. As in NumPy, an operand of rank 1 is a row (a) or a
 * column (b) whose axis of size 1 is removed from the result. Any strides. */
WG_API wg_tensor wg_matmul(wg_tensor a, wg_tensor b);
/* x W^T + b: x[..., in], weight[out, in], bias[out] or WG_NONE. */
WG_API wg_tensor wg_linear(wg_tensor x, wg_tensor weight, wg_tensor bias);
WG_API wg_tensor wg_dot(wg_tensor a, wg_tensor b);   /* the sum of a b over all elements, a scalar; equal shapes */
WG_API wg_tensor wg_outer(wg_tensor a, wg_tensor b); /* a[m] b[n] = [m, n] */
/* The sum of products of n operands by Einstein's convention, with a letter (a-z, A-Z) for each axis: "mnd,d,n->m" is
 * out[m] = sum over n, d of x0[m][n][d] x1[d] x2[n]; "ii->i" is a diagonal, "ij->ji" a transpose. The letters after the
 * arrow are the axes of the result, each once; all other letters are summed over. Blanks are ignored. All axes of one
 * letter must have equal sizes. "..." stands for all further axes of an operand, which broadcast, and for theirs of the
 * result; without it there they are summed over. Operands are multiplied pairwise from the left, so their order
 * determines the cost; a product of two operands may have at most 8 axes. */
WG_API wg_tensor wg_einsum(const char *formula, const wg_tensor *x, int n);

/* ---- convolution: x[images, channels, spatial axes...] ----------------------------------------------------------
 * y[n, o, p] = bias[o] + sum over c, k of weight[o, c, k] x[n, c, p stride + k dilation - before], where x is 0
 * outside: a cross-correlation, the filter is not flipped (LeCun et al. 1998). With g groups, output channel o reads
 * the C / g input channels of group o / (O / g): weight[O, C / g, kernel...], bias[O] or WG_NONE. The result is
 * [images, O, outputs...], with wg_window_count outputs along each axis. */

enum { WG_CONV_AXES = 3 }; /* the largest number of spatial axes */

/* Stride, dilation, padding and groups of a convolution. */
typedef struct wg_conv_options {
    int64_t stride[WG_CONV_AXES];                      /* default 1; of the first, second, third spatial axis */
    int64_t dilation[WG_CONV_AXES];                    /* default 1: distance between taps of the window */
    int64_t before[WG_CONV_AXES], after[WG_CONV_AXES]; /* zero padding; default 0 */
    int64_t groups;                                    /* default 1 */
    bool same;  /* instead of before and after: ceil(size / stride) outputs; an odd zero is at the end */
    bool floor; /* elements at the end that the stride skips are ignored, as in PyTorch; default: an error */
    int64_t extra[WG_CONV_AXES]; /* transposed only: added to the size at the end (PyTorch's output_padding) */
} wg_conv_options;
WG_API wg_conv_options wg_conv_defaults(void);
WG_API wg_conv_options wg_conv_square(int64_t stride, int64_t padding); /* the same along all axes */

/* The number of outputs along an axis whose size includes padding: (size - dilation (kernel - 1) - 1) / stride + 1.
 * Returns -1 if the window does not fit or, unless floor, if the division has a remainder. */
WG_API int64_t wg_window_count(int64_t size, int64_t kernel, int64_t stride, int64_t dilation, bool floor);

WG_API wg_tensor wg_conv1d(wg_tensor x, wg_tensor weight, wg_tensor bias,
                           wg_conv_options options); /* one spatial axis */
WG_API wg_tensor wg_conv2d(wg_tensor x, wg_tensor weight, wg_tensor bias,
                           wg_conv_options options); /* height and width */
WG_API wg_tensor wg_conv3d(wg_tensor x, wg_tensor weight, wg_tensor bias,
                           wg_conv_options options); /* depth, height and width */

/* Transposed convolution, the gradient of a convolution by its image: weight[C, O / g, kernel...]; the size of the
 * result along an axis is (size - 1) stride - before - after + dilation (kernel - 1) + extra + 1. same is an error;
 * floor is not used. */
WG_API wg_tensor wg_conv_transpose1d(wg_tensor x, wg_tensor weight, wg_tensor bias, wg_conv_options options);
WG_API wg_tensor wg_conv_transpose2d(wg_tensor x, wg_tensor weight, wg_tensor bias, wg_conv_options options);
WG_API wg_tensor wg_conv_transpose3d(wg_tensor x, wg_tensor weight, wg_tensor bias, wg_conv_options options);

/* Along an axis of size n the first window begins `before` elements before x, the others at multiples of the stride
 * from there. How many there are is one of these rules, with r = n + before + after - dilation (kernel - 1) - 1:
 *
 *     (none)       r / stride + 1, which must be whole
 *     floor        the same, rounded down: elements at the end that the stride skips are ignored, as in PyTorch
 *     ceil         rounded up: the last window hangs over the padding, as in ceil_mode of PyTorch and ONNX; it is left
 *                  out if it would begin behind the last element of x
 *     same         ceil(n / stride); the padding follows from that, an odd element is at the end (ONNX' SAME_UPPER)
 *     same_lower   the same, an odd element is at the start (SAME_LOWER) */
typedef struct wg_pool_options {
    int64_t kernel[WG_CONV_AXES];   /* size of the window; of the first, second, third spatial axis */
    int64_t stride[WG_CONV_AXES];   /* wg_pool_square: the kernel */
    int64_t dilation[WG_CONV_AXES]; /* distance between elements of the window; wg_pool_square: 1 */
    int64_t before[WG_CONV_AXES], after[WG_CONV_AXES]; /* padding, less than the window; default 0 */
    bool floor, ceil, same, same_lower;                /* at most one */
    bool count_padding; /* avg: the mean counts padding, never what hangs over it; default true, as in PyTorch */
    double divisor;     /* avg: divides the sum of each window; default 0: the elements that the mean counts */
} wg_pool_options;
WG_API wg_pool_options wg_pool_square(int64_t kernel); /* along all axes; the stride equals the kernel */

/* The maximum of each window of each channel; padding is not read. The gradient goes to the first of equal maxima,
 * also of minus infinities; NaN propagates. */
WG_API wg_tensor wg_max_pool1d(wg_tensor x, wg_pool_options options);
WG_API wg_tensor wg_max_pool2d(wg_tensor x, wg_pool_options options);
WG_API wg_tensor wg_max_pool3d(wg_tensor x, wg_pool_options options);
/* Where these maxima are: for x of one to three spatial axes the index of the element, i32, in its channel as one axis,
 * of max_pool's shape. An error if a dilation is larger than its axis. */
WG_API wg_tensor wg_max_pool_indices(wg_tensor x, wg_pool_options options);
/* Zeros of a shape, x's but for the spatial axes, with the elements of x at those indices, of which equal ones take the
 * last: undoes max_pool. */
WG_API wg_tensor wg_max_unpool(wg_tensor x, wg_tensor indices, wg_shape shape);
/* The mean of each window of each channel; padding is 0. */
WG_API wg_tensor wg_avg_pool1d(wg_tensor x, wg_pool_options options);
WG_API wg_tensor wg_avg_pool2d(wg_tensor x, wg_pool_options options);
WG_API wg_tensor wg_avg_pool3d(wg_tensor x, wg_pool_options options);

/* The mean, or the maximum, of `size` parts of an axis of n: part i are elements floor(i n / size) to
 * ceil((i + 1) n / size) - 1, as in PyTorch. Pool images by one call for each axis. */
WG_API wg_tensor wg_adaptive_avg_pool(wg_tensor x, int axis, int64_t size);
WG_API wg_tensor wg_adaptive_max_pool(wg_tensor x, int axis, int64_t size); /* the maximum of the same parts */

/* How element i of an axis of n elements is found that is resized to m. */
typedef enum wg_resize_mode {
    WG_RESIZE_NEAREST,        /* x[floor(i n / m)] */
    WG_RESIZE_LINEAR,         /* between the neighbours of (i + 1/2) n / m - 1/2: pixels are areas */
    WG_RESIZE_LINEAR_CORNERS, /* between the neighbours of i (n - 1) / (m - 1): the ends stay (align_corners) */
    WG_RESIZE_NEAREST_EXACT,  /* x[floor((i + 1/2) n / m)]: pixels are areas */
    WG_RESIZE_CUBIC,        /* as linear, between four neighbours, by cubic convolution with a = -3/4 (Keys 1981) */
    WG_RESIZE_CUBIC_CORNERS /* the same with align_corners */
} wg_resize_mode;
/* The axis resized; bilinear, bicubic: one call for each axis. */
WG_API wg_tensor wg_resize(wg_tensor x, int axis, int64_t size, wg_resize_mode mode);
/* The windows of an axis as a new last axis: out[..., i, ..., k] = x[..., i step + k, ...], k < size. Any dtype. */
WG_API wg_tensor wg_unfold(wg_tensor x, int axis, int64_t size, int64_t step);
/* The adjoint of unfold: the windows, whose elements are the last axis, are added at their places on an axis of n
 * elements: out[..., i step + k, ...] += x[..., i, ..., k]. Elements that are in no window are 0. */
WG_API wg_tensor wg_fold(wg_tensor x, int axis, int64_t n, int64_t step);

/* ---- views: copied only if strides cannot express the result; any dtype -------------------------------------- */

WG_API wg_tensor wg_reshape(wg_tensor x, wg_shape shape);      /* equal numel; one size may be -1: inferred */
WG_API wg_tensor wg_flatten(wg_tensor x, int first, int last); /* axes first .. last become one */
WG_API wg_tensor wg_permute(wg_tensor x, wg_axes order); /* result axis i is axis order[i] of x; every axis once */
WG_API wg_tensor wg_transpose(wg_tensor x, int axis_a, int axis_b); /* two axes swapped */
WG_API wg_tensor wg_t(wg_tensor x);                                 /* the last two axes swapped */
WG_API wg_tensor wg_expand(wg_tensor x, wg_shape shape);            /* broadcast to shape */
WG_API wg_tensor wg_squeeze(wg_tensor x, int axis);                 /* removes an axis of size 1 */
WG_API wg_tensor wg_unsqueeze(wg_tensor x, int axis);               /* inserts an axis of size 1 as number axis */
/* [start, stop) of the axis; negative bounds count from the end; a bound out of range is an error. With a step >= 1:
 * start, start + step, ... below stop. */
WG_API wg_tensor wg_slice(wg_tensor x, int axis, int64_t start, int64_t stop);
WG_API wg_tensor wg_slice_step(wg_tensor x, int axis, int64_t start, int64_t stop, int64_t step);
WG_API wg_tensor wg_select(wg_tensor x, int axis, int64_t index); /* one index; removes the axis */
WG_API wg_tensor wg_flip(wg_tensor x, int axis);                  /* reverses the axis */

/* ---- joining and splitting; any dtype -------------------------------------------------------------------------- */

WG_API wg_tensor wg_concat(const wg_tensor *x, int n, int axis); /* n >= 1; shapes equal except for the axis */
WG_API wg_tensor wg_stack(const wg_tensor *x, int n, int axis);  /* n >= 1; equal shapes; a new axis of size n */
WG_API void wg_split(wg_tensor x, int axis, int n, wg_tensor *parts); /* n equal parts */
/* n parts; the sizes must add up to that of the axis */
WG_API void wg_split_sizes(wg_tensor x, int axis, int n, const int64_t *sizes, wg_tensor *parts);
WG_API wg_tensor wg_pad(wg_tensor x, int axis, int64_t before, int64_t after); /* zeros; before, after >= 0 */
WG_API wg_tensor wg_pad_value(wg_tensor x, int axis, int64_t before, int64_t after,
                              double value); /* a value instead of zeros */
/* The elements beyond the ends of an axis. */
typedef enum wg_pad_mode {
    WG_PAD_REFLECT,   /* 2 1 | 0 1 2 3 | 2 1: the axis reversed, without its end */
    WG_PAD_REPLICATE, /* 0 0 | 0 1 2 3 | 3 3 */
    WG_PAD_CIRCULAR   /* 2 3 | 0 1 2 3 | 0 1 */
} wg_pad_mode;
/* By elements of the axis of size n: before, after < n to reflect, <= n to go around. */
WG_API wg_tensor wg_pad_by(wg_tensor x, int axis, int64_t before, int64_t after, wg_pad_mode mode);

/* ---- discrete choices with a gradient ------------------------------------------------------------------------ */

/* 1 at the first maximum along axis, else 0; no gradient. */
WG_API wg_tensor wg_hardmax(wg_tensor x, int axis);
/* The value of hard, bit by bit but for the sign of a zero, with the gradient of soft: soft + detach(hard - soft)
 * (Bengio et al. 2013). Equal shapes; NaN where soft is not finite. */
WG_API wg_tensor wg_straight_through(wg_tensor hard, wg_tensor soft);
/* softmax((logits + g) / tau) along axis with Gumbel noise g = -ln(-ln u), tau > 0: a relaxed sample of
 * softmax(logits). hard: the one-hot sample, with the gradient of the relaxed one (Jang, Gu, Poole 2017; Maddison et
 * al. 2017). The same in training and evaluation mode; random numbers as for wg_uniform. */
WG_API wg_tensor wg_gumbel_softmax(wg_tensor logits, double tau, bool hard, int axis);

/* ---- norms and dropout --------------------------------------------------------------------------------------- */

/* (x - mean) / sqrt(var + epsilon) weight + bias over the last axis of size n; weight[n], bias[n] or WG_NONE;
 * epsilon >= 0 (Ba, Kiros, Hinton 2016). */
WG_API wg_tensor wg_layer_norm(wg_tensor x, wg_tensor weight, wg_tensor bias, double epsilon);
/* x / sqrt(mean(x^2) + epsilon) weight over the last axis; weight[n] or WG_NONE (Zhang, Sennrich 2019). */
WG_API wg_tensor wg_rms_norm(wg_tensor x, wg_tensor weight, double epsilon);
/* The same over groups of channels, axis 1 of x[N, C, ...], with all positions; C a multiple of groups; weight[C],
 * bias[C] or WG_NONE (Wu, He 2018). groups = C: instance norm (Ulyanov et al. 2016). */
WG_API wg_tensor wg_group_norm(wg_tensor x, int64_t groups, wg_tensor weight, wg_tensor bias, double epsilon);
/* (x - mean) / sqrt(var + epsilon) weight + bias per channel, axis 1: x[N, C] or [N, C, ...], mean[C], var[C];
 * weight[C], bias[C] or WG_NONE; epsilon >= 0 (Ioffe, Szegedy 2015). */
WG_API wg_tensor wg_batch_norm(wg_tensor x, wg_tensor weight, wg_tensor bias, wg_tensor mean, wg_tensor var,
                               double epsilon);
/* The same with the mean and the variance (divided by n) of x over all axes but 1, which are stored in *mean and *var
 * if these are not NULL. A channel with fewer than two values is an error. */
WG_API wg_tensor wg_batch_norm_train(wg_tensor x, wg_tensor weight, wg_tensor bias, double epsilon, wg_tensor *mean,
                                     wg_tensor *var);
/* In training mode: 0 with probability p in [0, 1], else x / (1 - p), drawn anew in each step (see wg_set_step); in
 * evaluation mode x (Srivastava et al. 2014). NaN where an infinity or NaN is dropped: it is multiplied by 0. */
WG_API wg_tensor wg_dropout(wg_tensor x, double p);

/* ---- parts of transformers --------------------------------------------------------------------------------------- */

/* silu(gate) x (Shazeer 2020). */
WG_API wg_tensor wg_swiglu(wg_tensor gate, wg_tensor x);
/* Rotary positions (Su et al. 2021): pairs of the last axis of x[..., T, d], d even, turned by the angle
 * position base^(-2 i / d), i = 0 .. d/2 - 1; position i32 [T] or [..., T]; base usually 10000. The pair is
 * (x_i, x_(i + d/2)), as in Llama; with `interleaved`, (x_2i, x_(2i + 1)), as in the paper. */
WG_API wg_tensor wg_rotary(wg_tensor x, wg_tensor position, double base, bool interleaved);

/* ---- attention (Vaswani et al. 2017) ------------------------------------------------------------------------- */

/* Which keys a query sees, and how it is scored. */
typedef struct wg_attention_options {
    double scale;   /* of the scores, before the softmax; below 0 (default -1): 1/sqrt(d) */
    bool causal;    /* query i sees keys j <= i, both counted from the start even if Tq and Tk differ, as
                        PyTorch's is_causal; default false */
    int64_t window; /* query i sees keys |i - j| <= window (local attention); below 0 (default -1): all */
    wg_tensor mask; /* bool, broadcasts to [..., Tq, Tk]: true where a key may be seen; or WG_NONE */
    wg_tensor bias; /* broadcasts to [..., Tq, Tk]; added to the scores; or WG_NONE */
    double dropout; /* of the weights, in training mode: a probability; default 0 */
} wg_attention_options;
WG_API wg_attention_options wg_attention_defaults(void);

/* softmax(scale q k^T + bias) v: q[..., Tq, d], k[..., Tk, d], v[..., Tk, dv] = [..., Tq, dv]; leading sizes broadcast.
 * A query sees a key if causal, window and mask all allow it. A masked key has weight exactly 0; neither it nor its
 * value, even NaN or infinite, changes the query's result or gradient. A query that sees no key gives zeros and no
 * gradient. */
WG_API wg_tensor wg_attention(wg_tensor q, wg_tensor k, wg_tensor v, wg_attention_options options);
/* x[..., heads, T, d], each head `times` times in a row: keys and values of grouped queries (Ainslie et al. 2023), of
 * which several heads of q share one. */
WG_API wg_tensor wg_repeat_heads(wg_tensor x, int64_t times);
/* Only the weights, softmax(scale q k^T + bias): [..., Tq, Tk]. A row sums to 1, or is 0 if the query sees no key. */
WG_API wg_tensor wg_attention_weights(wg_tensor q, wg_tensor k, wg_attention_options options);
/* weights v: weights[..., Tq, Tk], v[..., Tk, dv]. Neither the weights nor the values of masked keys are read (mask,
 * causal, window of the options; the others are not used). */
WG_API wg_tensor wg_attention_values(wg_tensor weights, wg_tensor v, wg_attention_options options);

/* ---- the list of all ops, for tests, benchmarks and documentation -------------------------------------------- */

/* The op with that index; NULL past the end. To record one, call its function: the shape rules of the library's own ops
 * rely on the attribute that the function has made. */
WG_API const wg_op *wg_op_at(int index);

#ifdef __cplusplus
}
#endif
#endif
