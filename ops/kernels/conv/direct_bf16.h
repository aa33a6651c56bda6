/* Internal. Direct convolutions in bf16: operands are rounded while they are packed, in pairs of consecutive terms of a
 * sum, and a tile reads the image in place, its lines a constant stride apart, as AMX needs it. tables_bf16.c plans
 * them, correlate_bf16.c and weight_bf16.c pack and run, tile_bf16.c computes tiles.
 *
 * A correlation (the convolution, or the image's gradient) packs an image as packed[position][pair of channels], with
 * its zero padding. A position's neighbours are a constant stride away, so 32 positions in a row of the padded image
 * are the lines of a tile for every tap; those that are no output, at the ends of rows, are computed and dropped:
 *
 *     positions     0  1  2  3  4  5 | 6  7  8  9 10 11 | ...     3 x 3 taps, rows of 4 padded to 6:
 *     outputs      y0 y1 y2 y3  -  - | y4 y5 y6 y7  -  - |        y[p] = sum over taps of w[tap] packed[p + 6 ky + kx]
 *
 * With a stride s, positions of one residue modulo s along each axis, a phase, are adjacent: every tap reads one phase.
 *
 *     s = 2         0  2  4  6  | 1  3  5  7        tap 0 from position 0, tap 1 from 4, tap 2 from 1
 *
 * By AMX all taps of a row whose numbers (tap, channel) fit a group are one tap, `folded`: a position has them all.
 *
 * The weight's gradient sums over positions, so it packs x as lines (channel, inner tap) of all outputs: for each tap
 * along the axes after the first one a copy of the channel shifted by it, its rows cut to the outputs. A tap along the
 * first axis is an offset of whole rows (with a stride there are phases of rows). What remains of an image's outputs
 * after the last whole group (GROUP_STEPS pairs) follows for each of these taps, filled up by zeros. */
#ifndef WG_KERNELS_CONV_DIRECT_BF16_H
#define WG_KERNELS_CONV_DIRECT_BF16_H

#include "plan.h"

enum {
    WG__SET = 16, /* lines of a set; a tile has two of them */
    WG__AHEAD =
        65536, /* numbers of x that a weight's gradient packs at a time, about: they stay in cache. With half
                          or twice of it the time is the same */
};

/* A part of the sums of a tile: the lines of both sets from numbers `at` on, `steps` pairs. */
typedef struct wg__bf16_piece {
    int64_t at[2], steps;
} wg__bf16_piece;

/* c[set * WG__SET + i][channel] (+)= sum over the steps of all pieces of image[at[set] + i * line, ...]
 * b[step][channel], i < lines[set]. b has PANEL pairs a step. By AMX all lines of a set that has any are read and
 * written. */
typedef struct wg__bf16_tile {
    const uint16_t *image;
    const float *b;
    float *c;
    const wg__bf16_piece *piece;
    int64_t pieces, line, lines[2], channels;
    bool add;
} wg__bf16_tile;

/* The direct kernels, and the pairs that AMX adds at once (GROUP_STEPS), or 1. */
typedef struct wg__conv_kernels {
    int group;
    wg_kernel conv, conv_input, conv_weight;
} wg__conv_kernels;

const wg__conv_kernels *wg__conv_bf16_get(void); /* for this machine */

/* The elements of a result that have the same taps. */
typedef struct wg__bf16_residue {
    wg__progression axis[WG__CONV_AXES];
    int64_t lines, taps;
    wg__bf16_piece *piece; /* of each tap; if they are folded, of each row of taps */
    int64_t *weight;       /* offsets of (channel, tap) in a result channel's weights */
} wg__bf16_residue;

typedef struct wg__bf16_correlation {
    const float *image, *weight;
    float *result;
    wg__padding padding;                               /* of the image */
    int64_t images, groups, in_channels, out_channels; /* channels of a group: of the image, of the result */
    int64_t folded;                              /* taps along the last axis that a position has; 1: its own */
    int64_t pairs;                               /* of numbers at a position, whole groups */
    int64_t grid[WG__CONV_AXES];                 /* from a position to the next of its phase along an axis */
    int64_t positions;                           /* of all phases */
    int64_t plane, result_stride[WG__CONV_AXES]; /* of a channel of the result */
    int64_t weight_group, weight_line;           /* strides of a group's and a result channel's weights */
    int64_t residues, taps;                      /* taps of all residues */
    wg__conv_cut cut;                            /* its parts are of the rows of residues */
    wg__bf16_residue *residue;                   /* in the scratch, as is all that follows */
    int64_t *place;                              /* of an image's elements in `packed`, or in `dense` */
    uint16_t *packed;
    uint16_t *dense; /* if taps are folded: [position][channel] */
    float *panels;   /* of weights: [residue][tap][pair][PANEL] */
    float *rows;     /* weights of a residue on their way there, in f32 */
} wg__bf16_correlation;

/* Of the convolution, or of the image's gradient. group: GROUP_STEPS. With memory NULL only the sizes and the cut. */
wg__bf16_correlation wg__bf16_correlate(const wg__conv *c, bool input, int group, void *memory, size_t *bytes);

/* The weight's gradient. A unit is a tap along the first axis, for WG__SET lines (channel, inner tap). */
typedef struct wg__bf16_weight_grad {
    wg__conv c;
    int first;                      /* the axis along which taps are offsets: 0 of three axes, else 1 */
    int64_t first_taps, inner_taps; /* along that axis, and along those after it */
    int64_t phases, rows, row;      /* of a copy; outputs of a row */
    int64_t lines, units;           /* of all channels of a group */
    int64_t copy, tail, line; /* numbers of a copy, of what remains for a tap, and of both: packed x's stride */
    int64_t whole, steps;     /* pairs of an image in whole groups, and all of them */
    int64_t image, images;    /* stride of packed x; images that a task packs at a time */
    wg__conv_cut cut;         /* its parts are of the units */
    uint16_t *packed;
    float *panel, *sums; /* of dy: [image][step][PANEL]; [panel][unit][WG__SET][PANEL] */
    wg__bf16_piece *piece;
} wg__bf16_weight_grad;

wg__bf16_weight_grad wg__bf16_weight_grad_of(const wg__conv *c, int group, void *memory, size_t *bytes);

#endif
