/* What the direct convolutions (direct.c) are told: the tables of offsets, the cut into tasks, and where in the
 * scratch everything lies. By shapes alone. */
#include "conv.h"
#include "../base/integers.h"

enum {
    LANES = 16,   /* what the waste is reckoned by, on any machine */
    SLACK = 1024, /* numbers past the panels, which packing writes into */
};

/* Seven lanes of eight are used. */
bool wg__conv_is_wide(int64_t channels) { return 8 * channels >= 7 * LANES * ceil_div(channels, LANES); }

/* ---- scratch ------------------------------------------------------------------------------------------------- */

typedef struct arena {
    char *memory; /* NULL: only counted */
    size_t used;
} arena;

static void *take(arena *a, int64_t n, size_t size)
{
    void *at = a->memory ? a->memory + a->used : NULL;
    a->used += aligned_bytes((size_t)n * size);
    return at;
}

static int64_t *take_offsets(arena *a, int64_t n) { return take(a, n, sizeof(int64_t)); }

/* ---- the cut ------------------------------------------------------------------------------------------------- */

/* Tasks that are worth handing over. */
static int64_t most_tasks(double work) { return work < 16 * 2e6 ? 1 + (int64_t)(work / 2e6) : 16; }

/* Every task packs its panels, for which it should have many lines. */
static wg__conv_cut cut_correlation(const wg__correlation *r, double work, int64_t positions)
{
    enum { LINES = 512, PARALLEL = 8 };
    wg__conv_cut cut = {.panels = ceil_div(r->out, WG__PANEL)};
    int64_t tasks = most_tasks(work), enough = r->images * positions / LINES;
    cut.image_tasks = between(1, least(tasks, enough), most(1, r->images));
    tasks = least(tasks, PARALLEL);
    cut.panel_tasks = between(1, tasks / cut.image_tasks, cut.panels);
    cut.part_tasks = between(1, enough / cut.image_tasks, tasks / (cut.image_tasks * cut.panel_tasks));
    return cut;
}

/* Every task packs the gradient, for which it should have many places. */
static wg__conv_cut cut_weight(const wg__weight_job *t, double work)
{
    enum { LINES = 192, PARALLEL = 8 };
    wg__conv_cut cut = {.panels = ceil_div(t->c.out, WG__PANEL), .image_tasks = 1};
    int64_t tasks = least(most_tasks(work), PARALLEL);
    cut.panel_tasks = between(1, tasks, cut.panels);
    cut.part_tasks = between(1, t->lines / LINES, tasks / cut.panel_tasks);
    if (cut.panel_tasks * cut.part_tasks == 1 && tasks == PARALLEL) cut.part_tasks = least(2, t->lines);
    return cut;
}

static int64_t tasks_of(int64_t groups, const wg__conv_cut *cut)
{
    return groups * cut->panel_tasks * cut->image_tasks * cut->part_tasks;
}

int64_t wg__correlation_tasks(wg__correlation r) { return tasks_of(r.groups, &r.cut); }
int64_t wg__weight_tasks(wg__weight_job t) { return tasks_of(t.c.attr->groups, &t.cut); }

/* ---- correlations -------------------------------------------------------------------------------------------- */

/* One axis of a phase: `lines` of them, `taps` places of the window, each an arithmetic progression of offsets. */
typedef struct progression {
    int64_t lines, line, result, next; /* count; from one to the next in the image; first and next in the result */
    int64_t taps, step, past;          /* count; first and next in the image */
    int64_t tap, apart;                /* first and next in the window */
} progression;

static double work_of(const wg__conv *c)
{
    return 2.0 * (double)c->images * (double)c->attr->groups * (double)(c->in * c->places) * (double)c->out *
           (double)c->positions;
}

static bool is_framed(const wg__frame *f) { return f->plane != f->bare; }

/* Lays out what all correlations have; the phases' tables are one after the other. */
static void lay_out(wg__correlation *r, arena *a)
{
    r->phase = take(a, r->phases, sizeof *r->phase);
    wg__phase first = {.line = take_offsets(a, r->plane), .result = take_offsets(a, r->plane)};
    first.step = take_offsets(a, r->steps);
    first.weight = take_offsets(a, r->steps);
    if (a->memory) r->phase[0] = first;
    size_t size = wg_dtype_size(r->dtype);
    r->framed = take(a, is_framed(&r->frame) ? r->in * r->frame.plane : 0, size);
    r->panels = take(a, ceil_div(r->cut.panels, r->cut.panel_tasks) * r->steps * WG__PANEL + SLACK, size);
}

/* The tables of a phase, from its axes. */
static void fill(const wg__correlation *r, wg__phase *p, const progression *axis, int64_t weight_in,
                 const int64_t *window, const int64_t *space)
{
    enum { AXES = WG__CONV_AXES };
    int64_t lines[AXES], line[AXES], next[AXES], result = 0, first = 0, weight = 0;
    bool one_row = r->phases == 1;
    int64_t taps[1 + AXES] = {r->in}, past[1 + AXES] = {r->frame.plane}, apart[1 + AXES] = {weight_in};
    p->lines = 1, p->steps = r->in;
    for (int i = 0; i < AXES; i++) {
        p->lines *= lines[i] = axis[i].lines;
        p->steps *= taps[1 + i] = axis[i].taps;
        line[i] = axis[i].line * r->frame.space[i];
        next[i] = axis[i].next * space[i];
        past[1 + i] = axis[i].past * r->frame.space[i];
        apart[1 + i] = axis[i].apart * window[i];
        result += axis[i].result * space[i];
        first += axis[i].step * r->frame.space[i];
        weight += axis[i].tap * window[i];
    }
    if (p->lines) wg__offsets(p->line, 0, AXES, lines, line);
    p->rows = one_row || !p->lines ? 1 : p->lines / lines[AXES - 1];
    if (p->lines) wg__offsets(p->result, result, one_row ? 0 : AXES - 1, lines, next);
    if (p->steps) wg__offsets(p->step, first, 1 + AXES, taps, past);
    if (p->steps) wg__offsets(p->weight, weight, 1 + AXES, taps, apart);
}

/* The size of a tensor along the i-th of three axes, of which the first may be missing. */
static int64_t size_of(const wg__conv *c, const wg_operand *x, int i)
{
    int axis = i - WG__CONV_AXES + c->axes;
    return axis < 0 ? 1 : x->size[2 + axis];
}

static int64_t of_axis(const wg__conv *c, const int64_t *values, int i, int64_t missing)
{
    int axis = i - WG__CONV_AXES + c->axes;
    return axis < 0 ? missing : values[axis];
}

static void strides_of(const wg__conv *c, const wg_operand *x, int64_t *stride)
{
    for (int64_t i = WG__CONV_AXES - 1, n = 1; i >= 0; i--) {
        stride[i] = n;
        n *= size_of(c, x, (int)i);
    }
}

wg__correlation wg__correlate(const wg__conv *c, void *memory, size_t *bytes)
{
    wg__correlation r = {.dtype = c->y.dtype,
                         .image = c->x.data,
                         .weight = c->w.data,
                         .result = c->y.data,
                         .frame = c->frame,
                         .images = c->images,
                         .groups = c->attr->groups,
                         .in = c->in,
                         .out = c->out,
                         .plane = c->positions,
                         .weight_group = c->out * c->in * c->places,
                         .weight_line = c->in * c->places,
                         .steps = c->in * c->places,
                         .phases = 1,
                         .beside = 1,
                         .row = c->positions};
    arena a = {memory, 0};
    r.cut = cut_correlation(&r, work_of(c), c->positions);
    lay_out(&r, &a);
    if (bytes) *bytes = a.used;
    if (!memory) return r;
    progression axis[WG__CONV_AXES];
    int64_t window[WG__CONV_AXES], space[WG__CONV_AXES];
    for (int i = 0; i < WG__CONV_AXES; i++)
        axis[i] = (progression){.lines = size_of(c, &c->y, i),
                                .line = of_axis(c, c->attr->stride, i, 1),
                                .next = 1,
                                .taps = size_of(c, &c->w, i),
                                .past = of_axis(c, c->attr->dilation, i, 1),
                                .apart = 1};
    strides_of(c, &c->w, window);
    strides_of(c, &c->y, space);
    fill(&r, r.phase, axis, c->places, window, space);
    return r;
}

/* Along an axis the numbers phase, phase + s, ... of the image, at stride s: they are seen through every place k with
 * phase + before - k dilation a multiple of s, and the position that sees number phase + i s is i + (that) / s. The
 * gradient stands in a frame that begins `low` before it. */
static progression phase_of(const wg__conv *c, int i, int64_t phase, int64_t low)
{
    int64_t s = of_axis(c, c->attr->stride, i, 1), dilation = of_axis(c, c->attr->dilation, i, 1);
    int64_t size = size_of(c, &c->x, i), from = phase + of_axis(c, c->attr->before, i, 0);
    progression a = {.lines = phase < size ? ceil_div(size - phase, s) : 0, .line = 1, .result = phase, .next = s};
    for (int64_t k = 0; k < size_of(c, &c->w, i); k++) {
        if ((from - k * dilation) % s) continue;
        if (a.taps == 0) a.tap = k, a.step = low + (from - k * dilation) / s;
        if (a.taps == 1) a.apart = k - a.tap, a.past = -a.apart * dilation / s;
        a.taps++;
    }
    return a;
}

/* Those that have numbers. */
static int64_t phases_along(const wg__conv *c, int i)
{
    return between(1, of_axis(c, c->attr->stride, i, 1), most(1, size_of(c, &c->x, i)));
}

/* The frame of the result's gradient: what the first and the last number of the image are seen through. */
static wg__frame gradient_frame(const wg__conv *c)
{
    wg__frame f = {.bare = 1, .plane = 1};
    for (int i = WG__CONV_AXES - 1; i >= 0; i--) {
        int64_t s = of_axis(c, c->attr->stride, i, 1), before = of_axis(c, c->attr->before, i, 0);
        int64_t reach = (size_of(c, &c->w, i) - 1) * of_axis(c, c->attr->dilation, i, 1);
        int64_t last = size_of(c, &c->x, i) > 0 ? (size_of(c, &c->x, i) - 1 + before) / s : 0;
        f.size[i] = size_of(c, &c->y, i);
        f.low[i] = reach > before ? (reach - before) / s : 0;
        f.framed[i] = f.low[i] + most(last + 1, f.size[i]);
        f.space[i] = f.plane;
        f.bare *= f.size[i];
        f.plane *= f.framed[i];
    }
    return f;
}

/* Products of all phases, for a channel of each operand. */
static int64_t products_of(const wg__conv *c)
{
    int64_t n = 1;
    for (int i = 0; i < WG__CONV_AXES; i++) {
        int64_t along = 0;
        for (int64_t phase = 0; phase < phases_along(c, i); phase++) {
            progression a = phase_of(c, i, phase, 0);
            along += a.lines * a.taps;
        }
        n *= along;
    }
    return n;
}

/* Places that some number of the image is seen through: not all, if the image is smaller than the stride. */
static int64_t places_seen(const wg__conv *c)
{
    int64_t n = 1;
    for (int i = 0; i < WG__CONV_AXES; i++) {
        int64_t along = 0;
        for (int64_t phase = 0; phase < phases_along(c, i); phase++) along += phase_of(c, i, phase, 0).taps;
        n *= along;
    }
    return n;
}

/* Numbers at the image's edge are multiplied by zeros: not too many. */
bool wg__conv_input_is_direct(const wg__conv *c)
{
    return wg__conv_is_wide(c->in) && phases_along(c, WG__CONV_AXES - 1) <= WG__BESIDE &&
           (double)products_of(c) <= 1.15 * (double)(c->places * c->positions);
}

wg__correlation wg__correlate_input(const wg__conv *c, void *memory, size_t *bytes)
{
    wg__correlation r = {.dtype = c->y.dtype,
                         .image = c->y.data,
                         .weight = c->w.data,
                         .result = c->x.data,
                         .frame = gradient_frame(c),
                         .images = c->images,
                         .groups = c->attr->groups,
                         .in = c->out,
                         .out = c->in,
                         .plane = c->frame.bare,
                         .weight_group = c->out * c->in * c->places,
                         .weight_line = c->places,
                         .steps = c->out * places_seen(c),
                         .phases = 1};
    for (int i = 0; i < WG__CONV_AXES; i++) r.phases *= phases_along(c, i);
    r.beside = phases_along(c, WG__CONV_AXES - 1);
    r.row = r.phases == 1 ? r.plane : size_of(c, &c->x, WG__CONV_AXES - 1);
    arena a = {memory, 0};
    r.cut = cut_correlation(&r, work_of(c), c->positions);
    lay_out(&r, &a);
    if (bytes) *bytes = a.used;
    if (!memory) return r;
    int64_t window[WG__CONV_AXES], space[WG__CONV_AXES];
    strides_of(c, &c->w, window);
    strides_of(c, &c->x, space);
    for (int64_t n = 0; n < r.phases; n++) {
        progression axis[WG__CONV_AXES];
        wg__phase *p = &r.phase[n];
        if (n)
            *p = (wg__phase){.line = p[-1].line + p[-1].lines,
                             .step = p[-1].step + p[-1].steps,
                             .result = p[-1].result + p[-1].lines,
                             .weight = p[-1].weight + p[-1].steps};
        int64_t rest = n;
        for (int i = WG__CONV_AXES - 1; i >= 0; i--) {
            axis[i] = phase_of(c, i, rest % phases_along(c, i), r.frame.low[i]);
            rest /= phases_along(c, i);
        }
        fill(&r, p, axis, c->in * c->places, window, space);
    }
    return r;
}

/* ---- the weight's gradient ----------------------------------------------------------------------------------- */

wg__weight_job wg__weight_job_of(const wg__conv *c, void *memory, size_t *bytes)
{
    wg__weight_job t = {.c = *c, .lines = c->in * c->places};
    int64_t framed = is_framed(&c->frame) ? c->in * c->frame.plane : 0;
    int64_t image = framed ? framed : c->attr->groups * c->in * c->frame.plane;
    arena a = {memory, 0};
    size_t size = wg_dtype_size(c->y.dtype);
    t.together = between(1, WG__STEPS / (c->positions + 1), most(1, c->images));
    t.cut = cut_weight(&t, work_of(c));
    t.line = take_offsets(&a, t.lines);
    t.step = take_offsets(&a, t.together * c->positions);
    t.framed = take(&a, t.together * framed, size);
    t.panel = take(&a, most(WG__STEPS, t.together * least(WG__STEPS, c->positions)) * WG__PANEL + SLACK, size);
    int64_t panels = ceil_div(t.cut.panels, t.cut.panel_tasks), lines = ceil_div(t.lines, t.cut.part_tasks);
    t.sums = take(&a, panels * lines * WG__PANEL + SLACK, size);
    if (bytes) *bytes = a.used;
    if (!memory) return t;
    wg__conv_places(c, t.line);
    if (c->positions) wg__conv_positions(c, t.step);
    for (int64_t i = c->positions; i < t.together * c->positions; i++) t.step[i] = t.step[i - c->positions] + image;
    return t;
}
