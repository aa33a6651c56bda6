/* Internal. What the plans of direct convolutions have in common (tables.c in f32 and f64, tables_bf16.c in bf16):
 * scratch, the cut into tasks, and the axes of a correlation. */
#ifndef WG_KERNELS_CONV_PLAN_H
#define WG_KERNELS_CONV_PLAN_H

#include "conv.h"

#include "../base/integers.h"

enum { WG__CONV_SLACK = 1024 /* elements past panels, which packing may overwrite */ };

/* ---- scratch ------------------------------------------------------------------------------------------------- */

typedef struct wg__conv_arena {
    char *memory; /* NULL: only counted */
    size_t used;
} wg__conv_arena;

static inline void *wg__take(wg__conv_arena *a, int64_t n, size_t size)
{
    void *at = a->memory ? a->memory + a->used : NULL;
    a->used += aligned_bytes((size_t)n * size);
    return at;
}

static inline int64_t *wg__take_offsets(wg__conv_arena *a, int64_t n) { return wg__take(a, n, sizeof(int64_t)); }

static inline bool wg__is_padded(const wg__padding *f) { return f->padded_plane != f->plane; }

/* ---- tasks --------------------------------------------------------------------------------------------------- */

/* The most tasks that are each worth a thread. */
int64_t wg__conv_most_tasks(const wg__conv *c);
/* The cut of a correlation whose result has that many channels in a group. */
wg__conv_cut wg__cut_correlation(const wg__conv *c, int64_t channels);

static inline int64_t wg__cut_tasks(int64_t groups, const wg__conv_cut *cut)
{
    return groups * cut->panel_tasks * cut->image_tasks * cut->part_tasks;
}

/* The part of a group that a task computes. */
typedef struct wg__task_range {
    int64_t group, first_panel, last_panel, first_image, last_image, part;
} wg__task_range;

static inline wg__task_range wg__task_range_of(const wg__conv_cut *cut, int64_t images, int64_t task)
{
    int64_t part = task % cut->part_tasks, image = task / cut->part_tasks % cut->image_tasks;
    int64_t rest = task / (cut->part_tasks * cut->image_tasks), panel = rest % cut->panel_tasks;
    return (wg__task_range){.group = rest / cut->panel_tasks,
                            .first_panel = panel * cut->panels / cut->panel_tasks,
                            .last_panel = (panel + 1) * cut->panels / cut->panel_tasks,
                            .first_image = image * images / cut->image_tasks,
                            .last_image = (image + 1) * images / cut->image_tasks,
                            .part = part};
}

/* ---- axes ---------------------------------------------------------------------------------------------------- */

/* One axis of a residue: its lines and its taps, each an arithmetic progression of offsets. */
typedef struct wg__progression {
    int64_t lines, line_stride;              /* how many; in the image */
    int64_t result_start, result_stride;     /* of the lines, in the result */
    int64_t taps, image_start, image_stride; /* how many; in the image */
    int64_t window_start, window_stride;     /* of the taps, in the window */
} wg__progression;

/* The i-th of three axes, of which the first may be missing: the size of a tensor, an attribute, the strides. */
int64_t wg__conv_size(const wg__conv *c, const wg_operand *x, int i);
int64_t wg__conv_value(const wg__conv *c, const int64_t *values, int i, int64_t missing);
void wg__conv_strides(const wg__conv *c, const wg_operand *x, int64_t *stride);

wg__progression wg__output_axis(const wg__conv *c, int i); /* of the convolution */
/* Of the image's gradient: the residues along an axis that have elements, one of them, and the padding of the result's
 * gradient. */
int64_t wg__residues_along(const wg__conv *c, int i);
wg__progression wg__residue_axis(const wg__conv *c, int i, int64_t residue, int64_t padding);
wg__padding wg__gradient_padding(const wg__conv *c);
/* Taps that some element of the image has: not all, if the image is smaller than the stride. */
int64_t wg__taps_used(const wg__conv *c);

#endif
