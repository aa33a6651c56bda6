/* Internal. Convolutions, what op and kernel share: the attribute, and the geometry that follows from it. */
#ifndef WG_KERNELS_CONV_H
#define WG_KERNELS_CONV_H

#include "../base/kernel.h"

enum { WG__CONV_AXES = 3 }; /* spatial axes, at most */

typedef struct wg__conv_attr {
    int64_t groups;
    int64_t stride[WG__CONV_AXES], dilation[WG__CONV_AXES];
    int64_t before[WG__CONV_AXES], after[WG__CONV_AXES]; /* zeros around the image x, as much a part of it */
    int64_t size[WG__CONV_AXES];                         /* conv_weight, conv_input: of the result */
} wg__conv_attr;

/* in0 in a frame of zeros: along the i-th of the last `axes` axes it stands at low[i] of size[i]. */
typedef struct wg__frame_attr {
    int64_t axes;
    int64_t low[WG__CONV_AXES], size[WG__CONV_AXES];
} wg__frame_attr;

/* y[n, o, p] = sum over c, k of w[o, c, k] x[n, c, p stride + k dilation]: in0 x, in1 w. */
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

#ifdef WG__ISA /* the direct ones of direct.c */
void WG__K(conv)(const wg_args *args, int64_t task);
void WG__K(conv_input)(const wg_args *args, int64_t task);
void WG__K(conv_weight)(const wg_args *args, int64_t task);
#endif

void wg__frame_kernel(const wg_args *args, int64_t task);
int64_t wg__frame_tasks(const wg_args *args);

/* ---- geometry ------------------------------------------------------------------------------------------------ */

/* A channel of an image among zeros: along each axis `size` numbers from `low` on, of `framed`. Axes that an image does
 * not have are the first, of size 1. */
typedef struct wg__frame {
    int64_t size[WG__CONV_AXES], low[WG__CONV_AXES], framed[WG__CONV_AXES];
    int64_t space[WG__CONV_AXES]; /* strides of the framed axes */
    int64_t bare, plane;          /* numbers of a channel, without the zeros and with them */
} wg__frame;

/* A place in the window (channel, row, column) and a position of the window each have an offset in the framed image,
 * and the offset of an element is their sum. */
typedef struct wg__conv {
    wg_operand x, w, y; /* [images, groups in, ...], [groups out, in, ...], [images, groups out, ...] */
    const wg__conv_attr *attr;
    int axes;
    int64_t images, in, out;   /* channels of a group */
    int64_t places, positions; /* of a channel's window, of the window */
    wg__frame frame;           /* of x */
} wg__conv;

wg__conv wg__conv_of(const wg_args *args);
wg__conv wg__conv_weight_of(const wg_args *args);
wg__conv wg__conv_input_of(const wg_args *args);

/* to[i] = first + the sum of index times step over the axes, i counting through the sizes, the last the fastest. */
void wg__offsets(int64_t *to, int64_t first, int axes, const int64_t *size, const int64_t *step);

/* The offsets of the positions, and of the places in all channels of a group. */
void wg__conv_positions(const wg__conv *c, int64_t *to);
void wg__conv_places(const wg__conv *c, int64_t *to);

/* ---- convolutions without packing the window (direct.c, tables.c) ---------------------------------- */

enum {
    WG__PANEL = 32,  /* channels side by side in vectors, packed together */
    WG__STEPS = 256, /* positions that a weight's gradient is summed over at a time: their panel stays in cache */
    WG__BESIDE = 32, /* phases side by side, at most, and numbers of a row that are made at a time */
};

/* Are that many output channels a group worth standing side by side? Only then may the image have zeros around it, in
 * the convolution and the weight's gradient: the others see it as it stands. */
bool wg__conv_is_wide(int64_t channels);

/* Is the image's gradient best computed as a correlation? Otherwise it is made of sums that are added to it. */
bool wg__conv_input_is_direct(const wg__conv *c);

/* How the work is shared. A task has some panels, and of some images a part of the lines. */
typedef struct wg__conv_cut {
    int64_t panels, panel_tasks, image_tasks, part_tasks;
} wg__conv_cut;

/* Lines of a result that see the same steps: result[line, o] = sum over steps of image[line + step] w[step, o]. They
 * are in rows of as many. */
typedef struct wg__phase {
    int64_t rows, lines, steps;
    int64_t *line, *step; /* offsets in the framed image */
    int64_t *result;      /* offsets of the rows in a channel of the result */
    int64_t *weight;      /* offsets of the steps in a channel's weights */
} wg__phase;

/* The convolution and the image's gradient, both as a correlation of a framed image with weights. Forward all
 * positions are one phase, of one row. The gradient at stride s has s phases along an axis: each s-th number sees the
 * same places. Those of the last axis stand side by side: line i of phase p of them is number i s + p of the row. */
typedef struct wg__correlation {
    wg_dtype dtype;
    const void *image, *weight;
    void *result;
    wg__frame frame;                 /* of the image */
    int64_t images, groups, in, out; /* channels of a group: of the image, of the result */
    int64_t plane;                   /* numbers of a channel of the result */
    int64_t weight_group;            /* from a group's weights to the next */
    int64_t weight_line;             /* from a channel of the result to the next, in the weights */
    int64_t steps;                   /* of all phases */
    int64_t phases, beside, row;     /* all, those side by side, and the numbers of a row of these */
    wg__conv_cut cut;
    wg__phase *phase; /* in the scratch, as are the rest */
    void *framed, *panels;
} wg__correlation;

/* With memory NULL only the sizes and the cut. */
wg__correlation wg__correlate(const wg__conv *c, void *memory, size_t *bytes);
wg__correlation wg__correlate_input(const wg__conv *c, void *memory, size_t *bytes);
int64_t wg__correlation_tasks(wg__correlation r);

/* The weight's gradient: dw[place, o] = sum over positions of x[place + position] dy[position, o]. */
typedef struct wg__weight_job {
    wg__conv c;
    int64_t lines, together; /* places in all channels; images that are summed over at once */
    wg__conv_cut cut;        /* parts are of the places */
    int64_t *line, *step;
    void *framed, *panel, *sums;
} wg__weight_job;

wg__weight_job wg__weight_job_of(const wg__conv *c, void *memory, size_t *bytes);
int64_t wg__weight_tasks(wg__weight_job t);

#endif
