/* Plans direct convolutions in bf16 (direct_bf16.h) from shapes and the size of a group alone. */
#include "direct_bf16.h"

enum { AXES = WG__CONV_AXES };

/* ---- correlations -------------------------------------------------------------------------------------------- */

/* The padded image along an axis: positions of one phase are grid[i] apart, phases phase[i]. */
typedef struct phase_axes {
    int64_t phases[AXES], phase[AXES];
} phase_axes;

/* The last axis fastest, phases outside of positions. */
static phase_axes grid_of(wg__bf16_correlation *r, const int64_t *stride)
{
    phase_axes a;
    int64_t n = 1;
    for (int i = AXES - 1; i >= 0; i--) {
        const int64_t s = stride[i], padded = r->padding.padded[i];
        r->grid[i] = n;
        n *= ceil_div(padded, s);
        a.phases[i] = clamp64(s, 1, max64(1, padded));
    }
    for (int i = AXES - 1; i >= 0; i--) {
        a.phase[i] = n;
        n *= a.phases[i];
    }
    r->positions = n;
    return a;
}

/* Where the element at `at` of the padded image along axis i is. */
static int64_t position(const wg__bf16_correlation *r, const phase_axes *a, const int64_t *stride, int i,
                        int64_t at)
{
    return at % stride[i] * a->phase[i] + at / stride[i] * r->grid[i];
}

static void place_image(const wg__bf16_correlation *r, const phase_axes *a, const int64_t *stride)
{
    const int64_t numbers = r->folded > 1 ? r->in_channels : 2 * r->pairs;
    const wg__padding *f = &r->padding;
    int64_t *to = r->place;
    for (int64_t z = 0; z < f->size[0]; z++)
        for (int64_t y = 0; y < f->size[1]; y++) {
            const int64_t row =
                position(r, a, stride, 0, f->before[0] + z) + position(r, a, stride, 1, f->before[1] + y);
            for (int64_t x = 0; x < f->size[2]; x++)
                *to++ = (row + position(r, a, stride, 2, f->before[2] + x)) * numbers;
        }
}

/* Fills the tables of a residue from its axes. */
static void fill(const wg__bf16_correlation *r, wg__bf16_residue *p, const phase_axes *a, const int64_t *stride,
                 int64_t weight_in, const int64_t *window)
{
    int64_t sizes[1 + AXES] = {r->in_channels}, steps[1 + AXES] = {weight_in}, first = 0;
    p->lines = p->taps = 1;
    for (int i = 0; i < AXES; i++) {
        p->lines *= p->axis[i].lines;
        p->taps *= sizes[1 + i] = p->axis[i].taps;
        steps[1 + i] = p->axis[i].window_stride * window[i];
        first += p->axis[i].window_start * window[i];
    }
    if (p->taps) wg__offsets(p->weight, first, 1 + AXES, sizes, steps);
    const int64_t line = 2 * r->pairs;
    for (int64_t tap = 0; tap < p->taps; tap += r->folded) {
        int64_t at = 0, rest = tap;
        for (int i = AXES - 1; i >= 0; rest /= p->axis[i].taps, i--) {
            const wg__progression *x = &p->axis[i];
            at += position(r, a, stride, i, x->image_start + rest % x->taps * x->image_stride);
        }
        p->piece[tap / r->folded] = (wg__bf16_piece){{at * line, (at + WG__SET) * line}, r->pairs};
    }
}

static void lay_out(wg__bf16_correlation *r, wg__conv_arena *a)
{
    const int64_t panels = ceil_div(r->cut.panels, r->cut.panel_tasks);
    r->residue = wg__take(a, r->residues, sizeof *r->residue);
    wg__bf16_piece *piece = wg__take(a, r->taps, sizeof *piece);
    int64_t *weight = wg__take_offsets(a, r->taps * r->in_channels);
    if (a->memory) r->residue[0] = (wg__bf16_residue){.piece = piece, .weight = weight};
    r->place = wg__take_offsets(a, r->padding.plane);
    r->packed = wg__take(a, (r->positions + 2 * WG__SET) * r->pairs, 2 * sizeof *r->packed);
    const int64_t dense = (r->positions + 2 * WG__SET) * r->in_channels;
    r->dense = wg__take(a, r->folded > 1 ? dense : 0, sizeof *r->dense);
    r->panels = wg__take(a, panels * (r->taps / r->folded) * r->pairs * WG__PANEL, sizeof *r->panels);
    r->rows = wg__take(a, r->taps * r->in_channels * WG__PANEL + WG__CONV_SLACK, sizeof *r->rows);
}

/* The axes of residue n of the image's gradient; of the convolution, which has one. */
static void residue_axes(const wg__bf16_correlation *r, const wg__conv *c, bool input, int64_t n,
                         wg__progression *axis)
{
    for (int i = AXES - 1; i >= 0; i--) {
        axis[i] = input ? wg__residue_axis(c, i, n % wg__residues_along(c, i), r->padding.before[i])
                        : wg__output_axis(c, i);
        if (input) n /= wg__residues_along(c, i);
    }
}

static wg__bf16_correlation describe(const wg__conv *c, bool input)
{
    wg__bf16_correlation r = {.image = input ? c->y.data : c->x.data,
                              .weight = c->w.data,
                              .result = input ? c->x.data : c->y.data,
                              .padding = input ? wg__gradient_padding(c) : c->padding,
                              .images = c->images,
                              .groups = c->attr->groups,
                              .in_channels = input ? c->out_channels : c->in_channels,
                              .out_channels = input ? c->in_channels : c->out_channels,
                              .plane = input ? c->padding.plane : c->outputs,
                              .weight_group = c->out_channels * c->in_channels * c->taps,
                              .weight_line = input ? c->taps : c->in_channels * c->taps,
                              .residues = 1,
                              .taps = input ? wg__taps_used(c) : c->taps};
    for (int i = 0; input && i < AXES; i++) r.residues *= wg__residues_along(c, i);
    wg__conv_strides(c, input ? &c->x : &c->y, r.result_stride);
    return r;
}

/* By AMX, if all taps of a row are adjacent and fit a group. */
static int64_t folded_taps(const wg__conv *c, bool input, int group)
{
    const int64_t taps = wg__conv_size(c, &c->w, AXES - 1),
                  stride = wg__conv_value(c, c->attr->stride, AXES - 1, 1),
                  dilation = wg__conv_value(c, c->attr->dilation, AXES - 1, 1);
    const bool adjacent = !input && stride == 1 && dilation == 1;
    return group > 1 && adjacent && taps * c->in_channels <= 2 * group ? taps : 1;
}

wg__bf16_correlation wg__bf16_correlate(const wg__conv *c, bool input, int group, void *memory, size_t *bytes)
{
    wg__bf16_correlation r = describe(c, input);
    wg__conv_arena scratch = {memory, 0};
    int64_t stride[AXES], window[AXES];
    for (int i = 0; i < AXES; i++) stride[i] = input ? 1 : wg__conv_value(c, c->attr->stride, i, 1);
    const phase_axes a = grid_of(&r, stride);
    r.folded = folded_taps(c, input, group);
    r.pairs = round_up(ceil_div(r.in_channels * r.folded, 2), group);
    r.cut = wg__cut_correlation(c, r.out_channels);
    lay_out(&r, &scratch);
    if (bytes) *bytes = scratch.used;
    if (!memory) return r;
    wg__conv_strides(c, &c->w, window);
    if (r.padding.plane) place_image(&r, &a, stride);
    for (int64_t n = 0; n < r.residues; n++) {
        wg__bf16_residue *p = &r.residue[n];
        if (n)
            *p = (wg__bf16_residue){.piece = p[-1].piece + p[-1].taps,
                                    .weight = p[-1].weight + p[-1].taps * r.in_channels};
        residue_axes(&r, c, input, n, p->axis);
        fill(&r, p, &a, stride, input ? c->in_channels * c->taps : c->taps, window);
    }
    return r;
}

/* ---- the weight's gradient ----------------------------------------------------------------------------------- */

/* In parts of many lines, for each packs all of dy. Not by panels too, which would pack the same x, unless that is few
 * lines. */
static void cut_weight(wg__bf16_weight_grad *t)
{
    enum { PARALLEL = 8, LINES = 48 };
    const int64_t tasks = min64(wg__conv_most_tasks(&t->c), PARALLEL);
    t->cut = (wg__conv_cut){.panels = ceil_div(t->c.out_channels, WG__PANEL), .image_tasks = 1};
    t->cut.part_tasks = clamp64(max64(2, t->lines / LINES), 1, min64(tasks, t->units));
    t->cut.panel_tasks = t->lines >= LINES ? 1 : clamp64(tasks / t->cut.part_tasks, 1, t->cut.panels);
}

static void lay_out_weight(wg__bf16_weight_grad *t, wg__conv_arena *a)
{
    const int64_t panels = ceil_div(t->cut.panels, t->cut.panel_tasks),
                  units = ceil_div(t->units, t->cut.part_tasks);
    t->packed = wg__take(a, t->images * t->image + WG__CONV_SLACK, sizeof *t->packed);
    t->panel = wg__take(a, t->images * t->steps * WG__PANEL + WG__CONV_SLACK, sizeof *t->panel);
    t->sums = wg__take(a, panels * units * WG__SET * WG__PANEL, sizeof *t->sums);
    t->piece = wg__take(a, 2 * t->images, sizeof *t->piece);
}

wg__bf16_weight_grad wg__bf16_weight_grad_of(const wg__conv *c, int group, void *memory, size_t *bytes)
{
    wg__bf16_weight_grad t = {.c = *c, .first = c->axes == 3 ? 0 : 1, .row = 1, .inner_taps = 1};
    const int64_t stride = wg__conv_value(c, c->attr->stride, t.first, 1), padded = c->padding.padded[t.first];
    t.first_taps = wg__conv_size(c, &c->w, t.first);
    for (int i = t.first + 1; i < AXES; i++) {
        t.row *= wg__conv_size(c, &c->y, i);
        t.inner_taps *= wg__conv_size(c, &c->w, i);
    }
    t.phases = clamp64(stride, 1, max64(1, padded));
    t.rows = ceil_div(padded, stride);
    t.lines = c->in_channels * t.inner_taps;
    t.units = ceil_div(t.lines, WG__SET) * t.first_taps;
    t.copy = t.phases * t.rows * t.row;
    t.whole = c->outputs / (2 * group) * group;
    t.tail = c->outputs % (2 * group) ? 2 * group : 0;
    t.steps = t.whole + t.tail / 2;
    t.line = t.copy + t.first_taps * t.tail;
    cut_weight(&t);
    const int64_t sets = ceil_div(ceil_div(t.units, t.cut.part_tasks), t.first_taps) + 1; /* of a part, at most */
    t.image = min64(sets, ceil_div(t.lines, WG__SET)) * WG__SET * t.line;
    t.images = clamp64(WG__AHEAD / (t.image + 1), 1, max64(1, c->images));
    wg__conv_arena a = {memory, 0};
    lay_out_weight(&t, &a);
    if (bytes) *bytes = a.used;
    return t;
}
