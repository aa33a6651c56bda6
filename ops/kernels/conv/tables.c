/* Plans direct convolutions (direct.c) from shapes alone: the tables of offsets drawn in conv.h, the cut into tasks,
 * and the layout of the scratch. The limits below were measured together with the direct kernels
 * (docs/performance.md: 64 channels 3x3 from 95 to 103 GFLOP/s forward), none of them alone. */
#include "plan.h"

enum { LANES = 16 /* of a vector when wasted lanes are counted; the same on all machines */ };

/* At least 7 of 8 lanes are used. */
bool wg__conv_is_wide(int64_t channels) { return 8 * channels >= 7 * LANES * ceil_div(channels, LANES); }

/* ---- the cut ------------------------------------------------------------------------------------------------- */

int64_t wg__conv_most_tasks(const wg__conv *c)
{
    const double work = 2.0 * (double)c->images * (double)c->attr->groups * (double)(c->in_channels * c->taps) *
                        (double)c->out_channels * (double)c->outputs; /* floating-point operations */
    return work < 16 * 2e6 ? 1 + (int64_t)(work / 2e6) : 16;
}

/* Every task packs its panels, so it should have many lines to use them for. */
wg__conv_cut wg__cut_correlation(const wg__conv *c, int64_t channels)
{
    enum { LINES = 512, PARALLEL = 8 };
    wg__conv_cut cut = {.panels = ceil_div(channels, WG__PANEL)};
    int64_t tasks = wg__conv_most_tasks(c), enough = c->images * c->outputs / LINES;
    cut.image_tasks = clamp64(min64(tasks, enough), 1, max64(1, c->images));
    tasks = min64(tasks, PARALLEL);
    cut.panel_tasks = clamp64(tasks / cut.image_tasks, 1, cut.panels);
    cut.part_tasks = clamp64(enough / cut.image_tasks, 1, tasks / (cut.image_tasks * cut.panel_tasks));
    return cut;
}

/* Every task packs the gradient, so it should have many taps to use it for. */
static wg__conv_cut cut_weight(const wg__weight_grad *t)
{
    enum { LINES = 192, PARALLEL = 8 };
    wg__conv_cut cut = {.panels = ceil_div(t->c.out_channels, WG__PANEL), .image_tasks = 1};
    int64_t tasks = min64(wg__conv_most_tasks(&t->c), PARALLEL);
    cut.panel_tasks = clamp64(tasks, 1, cut.panels);
    cut.part_tasks = clamp64(t->lines / LINES, 1, tasks / cut.panel_tasks);
    if (cut.panel_tasks * cut.part_tasks == 1 && tasks == PARALLEL) cut.part_tasks = min64(2, t->lines);
    return cut;
}

int64_t wg__correlation_tasks(wg__correlation r) { return wg__cut_tasks(r.groups, &r.cut); }
int64_t wg__weight_grad_tasks(wg__weight_grad t) { return wg__cut_tasks(t.c.attr->groups, &t.cut); }

/* ---- correlations -------------------------------------------------------------------------------------------- */

/* Places what every correlation needs in the scratch; the tables of all residues are adjacent. */
static void lay_out(wg__correlation *r, wg__conv_arena *a)
{
    r->residue = wg__take(a, r->residues, sizeof *r->residue);
    wg__residue first = {.line = wg__take_offsets(a, r->plane), .result = wg__take_offsets(a, r->plane)};
    first.step = wg__take_offsets(a, r->steps);
    first.weight = wg__take_offsets(a, r->steps);
    if (a->memory) r->residue[0] = first;
    size_t size = wg_dtype_size(r->dtype);
    r->padded = wg__take(a, wg__is_padded(&r->padding) ? r->in_channels * r->padding.padded_plane : 0, size);
    r->panels =
        wg__take(a, ceil_div(r->cut.panels, r->cut.panel_tasks) * r->steps * WG__PANEL + WG__CONV_SLACK, size);
}

/* Fills the tables of a residue from its axes. */
static void fill(const wg__correlation *r, wg__residue *p, const wg__progression *axis, int64_t weight_in,
                 const int64_t *window, const int64_t *result_plane)
{
    enum { AXES = WG__CONV_AXES };
    int64_t lines[AXES], line[AXES], row[AXES], result = 0, image = 0, weight = 0;
    bool one_row = r->residues == 1;
    int64_t taps[1 + AXES] = {r->in_channels}, step[1 + AXES] = {r->padding.padded_plane};
    int64_t tap[1 + AXES] = {weight_in};
    p->lines = 1, p->steps = r->in_channels;
    for (int i = 0; i < AXES; i++) {
        p->lines *= lines[i] = axis[i].lines;
        p->steps *= taps[1 + i] = axis[i].taps;
        line[i] = axis[i].line_stride * r->padding.stride[i];
        row[i] = axis[i].result_stride * result_plane[i];
        step[1 + i] = axis[i].image_stride * r->padding.stride[i];
        tap[1 + i] = axis[i].window_stride * window[i];
        result += axis[i].result_start * result_plane[i];
        image += axis[i].image_start * r->padding.stride[i];
        weight += axis[i].window_start * window[i];
    }
    if (p->lines) wg__offsets(p->line, 0, AXES, lines, line);
    p->rows = one_row || !p->lines ? 1 : p->lines / lines[AXES - 1];
    if (p->lines) wg__offsets(p->result, result, one_row ? 0 : AXES - 1, lines, row);
    if (p->steps) wg__offsets(p->step, image, 1 + AXES, taps, step);
    if (p->steps) wg__offsets(p->weight, weight, 1 + AXES, taps, tap);
}

/* The size of a tensor along the i-th of three axes, of which the first may be missing. */
int64_t wg__conv_size(const wg__conv *c, const wg_operand *x, int i)
{
    int axis = i - WG__CONV_AXES + c->axes;
    return axis < 0 ? 1 : x->size[2 + axis];
}

int64_t wg__conv_value(const wg__conv *c, const int64_t *values, int i, int64_t missing)
{
    int axis = i - WG__CONV_AXES + c->axes;
    return axis < 0 ? missing : values[axis];
}

void wg__conv_strides(const wg__conv *c, const wg_operand *x, int64_t *stride)
{
    for (int64_t i = WG__CONV_AXES - 1, n = 1; i >= 0; i--) {
        stride[i] = n;
        n *= wg__conv_size(c, x, (int)i);
    }
}

wg__progression wg__output_axis(const wg__conv *c, int i)
{
    return (wg__progression){.lines = wg__conv_size(c, &c->y, i),
                             .line_stride = wg__conv_value(c, c->attr->stride, i, 1),
                             .result_stride = 1,
                             .taps = wg__conv_size(c, &c->w, i),
                             .image_stride = wg__conv_value(c, c->attr->dilation, i, 1),
                             .window_stride = 1};
}

wg__correlation wg__correlate(const wg__conv *c, void *memory, size_t *bytes)
{
    wg__correlation r = {.dtype = c->y.dtype,
                         .image = c->x.data,
                         .weight = c->w.data,
                         .result = c->y.data,
                         .padding = c->padding,
                         .images = c->images,
                         .groups = c->attr->groups,
                         .in_channels = c->in_channels,
                         .out_channels = c->out_channels,
                         .plane = c->outputs,
                         .weight_group = c->out_channels * c->in_channels * c->taps,
                         .weight_line = c->in_channels * c->taps,
                         .steps = c->in_channels * c->taps,
                         .residues = 1,
                         .interleaved = 1,
                         .row = c->outputs};
    wg__conv_arena a = {memory, 0};
    r.cut = wg__cut_correlation(c, r.out_channels);
    lay_out(&r, &a);
    if (bytes) *bytes = a.used;
    if (!memory) return r;
    wg__progression axis[WG__CONV_AXES];
    int64_t window[WG__CONV_AXES], plane[WG__CONV_AXES];
    for (int i = 0; i < WG__CONV_AXES; i++) axis[i] = wg__output_axis(c, i);
    wg__conv_strides(c, &c->w, window);
    wg__conv_strides(c, &c->y, plane);
    fill(&r, r.residue, axis, c->taps, window, plane);
    return r;
}

/* Elements r, r + s, ... of the image along axis i, with s the stride: their taps are the k for which r + before - k
 * dilation is a multiple of s; tap k joins element r + j s with output j + (r + before - k dilation) / s. The gradient
 * has `padding` zeros before it. */
wg__progression wg__residue_axis(const wg__conv *c, int i, int64_t residue, int64_t padding)
{
    int64_t s = wg__conv_value(c, c->attr->stride, i, 1), dilation = wg__conv_value(c, c->attr->dilation, i, 1);
    int64_t size = wg__conv_size(c, &c->x, i), from = residue + wg__conv_value(c, c->attr->before, i, 0);
    wg__progression a = {.lines = residue < size ? ceil_div(size - residue, s) : 0,
                         .line_stride = 1,
                         .result_start = residue,
                         .result_stride = s};
    for (int64_t k = 0; k < wg__conv_size(c, &c->w, i); k++) {
        if ((from - k * dilation) % s) continue;
        if (a.taps == 0) a.window_start = k, a.image_start = padding + (from - k * dilation) / s;
        if (a.taps == 1) a.window_stride = k - a.window_start, a.image_stride = -a.window_stride * dilation / s;
        a.taps++;
    }
    return a;
}

/* Residues along axis i that have elements. */
int64_t wg__residues_along(const wg__conv *c, int i)
{
    return clamp64(wg__conv_value(c, c->attr->stride, i, 1), 1, max64(1, wg__conv_size(c, &c->x, i)));
}

/* The padding of the result's gradient, as the first and the last element of the image need it. */
wg__padding wg__gradient_padding(const wg__conv *c)
{
    wg__padding f = {.plane = 1, .padded_plane = 1};
    for (int i = WG__CONV_AXES - 1; i >= 0; i--) {
        int64_t s = wg__conv_value(c, c->attr->stride, i, 1), before = wg__conv_value(c, c->attr->before, i, 0);
        int64_t reach = (wg__conv_size(c, &c->w, i) - 1) * wg__conv_value(c, c->attr->dilation, i, 1);
        int64_t last = wg__conv_size(c, &c->x, i) > 0 ? (wg__conv_size(c, &c->x, i) - 1 + before) / s : 0;
        f.size[i] = wg__conv_size(c, &c->y, i);
        f.before[i] = reach > before ? (reach - before) / s : 0;
        f.padded[i] = f.before[i] + max64(last + 1, f.size[i]);
        f.stride[i] = f.padded_plane;
        f.plane *= f.size[i];
        f.padded_plane *= f.padded[i];
    }
    return f;
}

/* Multiplications of all residues, for a channel of each operand. */
static int64_t multiplications(const wg__conv *c)
{
    int64_t n = 1;
    for (int i = 0; i < WG__CONV_AXES; i++) {
        int64_t along = 0;
        for (int64_t residue = 0; residue < wg__residues_along(c, i); residue++) {
            wg__progression a = wg__residue_axis(c, i, residue, 0);
            along += a.lines * a.taps;
        }
        n *= along;
    }
    return n;
}

int64_t wg__taps_used(const wg__conv *c)
{
    int64_t n = 1;
    for (int i = 0; i < WG__CONV_AXES; i++) {
        int64_t along = 0;
        for (int64_t residue = 0; residue < wg__residues_along(c, i); residue++)
            along += wg__residue_axis(c, i, residue, 0).taps;
        n *= along;
    }
    return n;
}

bool wg__conv_input_is_direct(const wg__conv *c, double most)
{
    return wg__conv_is_wide(c->in_channels) && wg__residues_along(c, WG__CONV_AXES - 1) <= WG__INTERLEAVED &&
           (double)multiplications(c) <= most * (double)(c->taps * c->outputs);
}

wg__correlation wg__correlate_input(const wg__conv *c, void *memory, size_t *bytes)
{
    wg__correlation r = {.dtype = c->y.dtype,
                         .image = c->y.data,
                         .weight = c->w.data,
                         .result = c->x.data,
                         .padding = wg__gradient_padding(c),
                         .images = c->images,
                         .groups = c->attr->groups,
                         .in_channels = c->out_channels,
                         .out_channels = c->in_channels,
                         .plane = c->padding.plane,
                         .weight_group = c->out_channels * c->in_channels * c->taps,
                         .weight_line = c->taps,
                         .steps = c->out_channels * wg__taps_used(c),
                         .residues = 1};
    for (int i = 0; i < WG__CONV_AXES; i++) r.residues *= wg__residues_along(c, i);
    r.interleaved = wg__residues_along(c, WG__CONV_AXES - 1);
    r.row = r.residues == 1 ? r.plane : wg__conv_size(c, &c->x, WG__CONV_AXES - 1);
    wg__conv_arena a = {memory, 0};
    r.cut = wg__cut_correlation(c, r.out_channels);
    lay_out(&r, &a);
    if (bytes) *bytes = a.used;
    if (!memory) return r;
    int64_t window[WG__CONV_AXES], plane[WG__CONV_AXES];
    wg__conv_strides(c, &c->w, window);
    wg__conv_strides(c, &c->x, plane);
    for (int64_t n = 0; n < r.residues; n++) {
        wg__progression axis[WG__CONV_AXES];
        wg__residue *p = &r.residue[n];
        if (n)
            *p = (wg__residue){.line = p[-1].line + p[-1].lines,
                               .step = p[-1].step + p[-1].steps,
                               .result = p[-1].result + p[-1].lines,
                               .weight = p[-1].weight + p[-1].steps};
        int64_t rest = n;
        for (int i = WG__CONV_AXES - 1; i >= 0; i--) {
            axis[i] = wg__residue_axis(c, i, rest % wg__residues_along(c, i), r.padding.before[i]);
            rest /= wg__residues_along(c, i);
        }
        fill(&r, p, axis, c->in_channels * c->taps, window, plane);
    }
    return r;
}

/* ---- the weight's gradient ----------------------------------------------------------------------------------- */

wg__weight_grad wg__weight_grad_of(const wg__conv *c, void *memory, size_t *bytes)
{
    wg__weight_grad t = {.c = *c, .lines = c->in_channels * c->taps};
    int64_t padded = wg__is_padded(&c->padding) ? c->in_channels * c->padding.padded_plane : 0;
    int64_t image = padded ? padded : c->attr->groups * c->in_channels * c->padding.padded_plane;
    wg__conv_arena a = {memory, 0};
    size_t size = wg_dtype_size(c->y.dtype);
    t.images = clamp64(WG__STEPS / (c->outputs + 1), 1, max64(1, c->images));
    t.cut = cut_weight(&t);
    t.line = wg__take_offsets(&a, t.lines);
    t.step = wg__take_offsets(&a, t.images * c->outputs);
    t.padded = wg__take(&a, t.images * padded, size);
    t.panel =
        wg__take(&a, max64(WG__STEPS, t.images * min64(WG__STEPS, c->outputs)) * WG__PANEL + WG__CONV_SLACK, size);
    int64_t panels = ceil_div(t.cut.panels, t.cut.panel_tasks), lines = ceil_div(t.lines, t.cut.part_tasks);
    t.sums = wg__take(&a, panels * lines * WG__PANEL + WG__CONV_SLACK, size);
    if (bytes) *bytes = a.used;
    if (!memory) return t;
    wg__conv_tap_offsets(c, t.line);
    if (c->outputs) wg__conv_output_offsets(c, t.step);
    for (int64_t i = c->outputs; i < t.images * c->outputs; i++) t.step[i] = t.step[i - c->outputs] + image;
    return t;
}
