/* Internal. Convolution and pooling over one to three spatial axes (pooling: pool.h).
 *
 * Two ways to convolve: with few output channels as a product whose B is the image seen through the window (conv.c),
 * with enough of them to fill vectors by direct kernels (direct.c, which tables.c plans; in bf16 those of
 * direct_bf16.h). They address the padded image by tables of offsets and never build a matrix of patches. The room
 * knows gemm's packing and tiles; it knows no op.
 *
 * The tables in one dimension: x of 5 elements, padding 1 on either side, a window of 3 taps, stride 2.
 *
 *     padded image   0   x0  x1  x2  x3  x4  0
 *     offset         0   1   2   3   4   5   6        output offsets   0  2  4     output * stride
 *     y0           [ w0  w1  w2 ]                     tap offsets      0  1  2     tap * dilation
 *     y1                   [ w0  w1  w2 ]
 *     y2                           [ w0  w1  w2 ]     y[p] = sum over k of w[k] padded[output[p] + tap[k]]
 *
 * A second channel's taps follow one padded channel later, at 7 8 9. The weight's gradient uses the same two tables
 * with their roles exchanged: dw[k] = sum over p of dy[p] padded[tap[k] + output[p]].
 *
 * The image's gradient: padded element q gets w[k] dy[p] if q = 2 p + k. Elements of x of one residue modulo the stride
 * have the same taps, so each residue is a correlation of dy of its own, and its results are written 2 apart:
 *
 *     residue 0 (x0 x2 x4)   taps 1      dx0 = w1 dy0             dx2 = w1 dy1             dx4 = w1 dy2
 *     residue 1 (x1 x3)      taps 0, 2   dx1 = w0 dy1 + w2 dy0    dx3 = w0 dy2 + w2 dy1
 *
 *     residue 0   lines 0 1 2   steps 0      weights 1      results from 0, stride 2
 *     residue 1   lines 0 1     steps 1 0    weights 0 2    results from 1, stride 2
 *
 * dx[result] = sum over steps s of w[weight[s]] dy[line + step[s]], where dy is padded if needed. */
#ifndef WG_KERNELS_CONV_H
#define WG_KERNELS_CONV_H

#include "../base/kernel.h"

enum { WG__CONV_AXES = 3 }; /* spatial axes, at most */

typedef struct wg__conv_attr {
    int64_t groups;
    int64_t stride[WG__CONV_AXES], dilation[WG__CONV_AXES];
    int64_t before[WG__CONV_AXES], after[WG__CONV_AXES]; /* zero padding of the image x */
    int64_t size[WG__CONV_AXES];                         /* conv_weight, conv_input: of the result */
    int64_t never_bf16;                                  /* a sum over windows, not a product with weights */
} wg__conv_attr;

/* in0 padded with zeros: along the i-th of the last `axes` axes it starts at before[i] of size[i]. */
typedef struct wg__pad_image_attr {
    int64_t axes;
    int64_t before[WG__CONV_AXES], size[WG__CONV_AXES];
} wg__pad_image_attr;

/* With x padded, output p and tap k:
 * y[n, o, p] = sum over c, k of w[o, c, k] x[n, c, p stride + k dilation]: in0 x, in1 w. */
void wg__conv_kernel(const wg_args *args, int64_t task);
int64_t wg__conv_tasks(const wg_args *args);
size_t wg__conv_scratch(const wg_args *args);

/* dx[n, c, p stride + k dilation] += sum over o of w[o, c, k] dy[n, o, p], from zero: in0 dy, in1 w. */
void wg__conv_input_kernel(const wg_args *args, int64_t task);
int64_t wg__conv_input_tasks(const wg_args *args);
size_t wg__conv_input_scratch(const wg_args *args);

/* dw[o, c, k] = sum over n, p of dy[n, o, p] x[n, c, p stride + k dilation]: in0 dy, in1 x. */
void wg__conv_weight_kernel(const wg_args *args, int64_t task);
int64_t wg__conv_weight_tasks(const wg_args *args);
size_t wg__conv_weight_scratch(const wg_args *args);

void wg__pad_image_kernel(const wg_args *args, int64_t task);
int64_t wg__pad_image_tasks(const wg_args *args);

/* ---- geometry (geometry.c) --------------------------------------------------------------------------------------- */

/* A channel of an image and its zero padding: along each axis `size` elements from `before` on, of `padded`. Images
 * with fewer axes have size 1 along the first ones. */
typedef struct wg__padding {
    int64_t size[WG__CONV_AXES], before[WG__CONV_AXES], padded[WG__CONV_AXES];
    int64_t stride[WG__CONV_AXES]; /* of the padded image */
    int64_t plane, padded_plane;   /* elements of a channel, without the padding and with it */
} wg__padding;

/* A tap (channel, row, column of the window) and an output (position of the window) each have an offset in the padded
 * image; the element they meet at is at the sum of both. */
typedef struct wg__conv {
    wg_operand x, w, y; /* [images, groups in, ...], [groups out, in, ...], [images, groups out, ...] */
    const wg__conv_attr *attr;
    int axes;
    int64_t images, in_channels, out_channels; /* channels of a group */
    int64_t taps, outputs;                     /* taps of one channel's window; outputs of one channel */
    wg__padding padding;                       /* of x */
    bool bf16;
} wg__conv;

wg__conv wg__conv_of(const wg_args *args);
wg__conv wg__conv_weight_of(const wg_args *args);
wg__conv wg__conv_input_of(const wg_args *args);

/* to[i] = first + the sum of index times step over the axes, where i counts through the sizes, the last axis
 * fastest. */
void wg__offsets(int64_t *to, int64_t first, int axes, const int64_t *size, const int64_t *step);

/* The offsets of the outputs, and of the taps in all channels of a group. */
void wg__conv_output_offsets(const wg__conv *c, int64_t *to);
void wg__conv_tap_offsets(const wg__conv *c, int64_t *to);

/* ---- direct convolution (direct.c), planned by tables.c ---------------------------------------------------------- */

/* WG__STEPS keeps the panel of a weight's gradient in cache; with 64 or 1024 the rows of `./run bench --threads 1
 * --filter conv` differ by less than the noise. The others were chosen, not measured. */
enum {
    WG__PANEL = 32,      /* output channels in adjacent lanes, packed together */
    WG__STEPS = 256,     /* outputs that a weight's gradient sums over at a time */
    WG__INTERLEAVED = 32 /* residues of the last axis, at most; elements of a row computed at a time */
};

/* Are that many output channels of a group enough to fill vectors? Only then may the image have padding, in the
 * convolution and in the weight's gradient: the other kernels need an image that is padded in memory. */
bool wg__conv_is_wide(int64_t channels);

/* Whether the image's gradient is computed as correlations, one for each residue: not if with the gradient's padding
 * they are more than `most` times the multiplications. Otherwise sums over output channels are added to it tap by
 * tap. */
bool wg__conv_input_is_direct(const wg__conv *c, double most);

/* The cut into tasks. A task computes some panels and, of some images, a part of the lines. */
typedef struct wg__conv_cut {
    int64_t panels, panel_tasks, image_tasks, part_tasks;
} wg__conv_cut;

/* The elements of a result that have the same taps: result[line, o] = sum over steps of image[line + step] w[step, o].
 * Lines are elements of the result, in `rows` rows of equal length; steps are pairs of channel and tap. */
typedef struct wg__residue {
    int64_t rows, lines, steps;
    int64_t *line, *step; /* offsets in the padded image */
    int64_t *result;      /* offsets of the rows in a channel of the result */
    int64_t *weight;      /* offsets of the steps in a channel's weights */
} wg__residue;

/* The convolution and the image's gradient, both as a correlation of a padded image with weights. Forward all outputs
 * are one residue, of one row. The gradient has a residue for each remainder modulo the stride along each axis. Those
 * of the last axis are interleaved: line i of residue r is element i * stride + r of the row. */
typedef struct wg__correlation {
    wg_dtype dtype;
    const void *image, *weight;
    void *result;
    wg__padding padding;                               /* of the image */
    int64_t images, groups, in_channels, out_channels; /* channels of a group: of the image, of the result */
    int64_t plane;                                     /* elements of a channel of the result */
    int64_t weight_group;                              /* stride of a group's weights */
    int64_t weight_line;                               /* stride of a result channel's weights */
    int64_t steps;                                     /* of all residues */
    int64_t residues, interleaved, row; /* all, those of the last axis, and the elements of their row */
    wg__conv_cut cut;
    wg__residue *residue; /* in the scratch, as is all that follows */
    void *padded, *panels;
} wg__correlation;

/* With memory NULL only the sizes and the cut. */
wg__correlation wg__correlate(const wg__conv *c, void *memory, size_t *bytes);
wg__correlation wg__correlate_input(const wg__conv *c, void *memory, size_t *bytes);
int64_t wg__correlation_tasks(wg__correlation r);

/* The weight's gradient: dw[tap, o] = sum over outputs of x[tap + output] dy[output, o]. */
typedef struct wg__weight_grad {
    wg__conv c;
    int64_t lines, images; /* taps in all channels; images that are summed over at once */
    wg__conv_cut cut;      /* its parts are of the taps */
    int64_t *line, *step;  /* offsets of taps and of outputs */
    void *padded, *panel, *sums;
} wg__weight_grad;

wg__weight_grad wg__weight_grad_of(const wg__conv *c, void *memory, size_t *bytes);
int64_t wg__weight_grad_tasks(wg__weight_grad t);

#endif
