/* Direct convolutions in bf16 (direct_bf16.h): packing, the loops around the tile, storing. Compiled per variant.
 *
 * An element is one chain of sums of pairs (AMX: of groups of pairs, gemm/tile.h): of a correlation over the taps, and
 * within a tap over the channels; of the weight's gradient over the images, and within an image over the outputs. */
#include "direct_bf16.h"

#include <string.h>

#include "../gemm/pair.h"
#include "../gemm/transpose.h"

#define INLINE static inline __attribute__((always_inline))

enum { PANEL = WG__PANEL, SET = WG__SET, LINES = 2 * SET };

#define F32_(name, isa) wg__##name##_f32_##isa
#define F32(name, isa)  F32_(name, isa)
void F32(pack_window, WG__ISA)(real *panel, int width, int lines, int64_t k, wg__windowed from);

/* ---- correlations: packing ----------------------------------------------------------------------------------- */

/* Channels [c, c + channels) of elements [p, p + count) of an image, at most 2 LANES by LANES. Reads LANES elements. */
INLINE void pack_square(const wg__bf16_correlation *r, const float *from, int64_t channels, int64_t p,
                        int64_t count, uint16_t *to, int64_t pairs)
{
    const int64_t plane = r->padding.plane;
    vector v[LANES];
    UNROLL
    for (int i = 0; i < LANES; i++) {
        const float *x = from + 2 * i * plane + p;
        v[i] =
            paired(2 * i < channels ? load(x) : (vector){0}, 2 * i + 1 < channels ? load(x + plane) : (vector){0});
    }
    transpose(v);
    for (int64_t i = 0; i < count; i++) {
        float *at = (float *)(void *)(to + r->place[p + i]);
        if (pairs == LANES)
            store(at, v[i]);
        else
            memcpy(at, &v[i], (size_t)pairs * sizeof *at);
    }
}

/* The channels of a group of one image; the padding is zero already. */
static void pack_image(const wg__bf16_correlation *r, const float *from)
{
    const int64_t plane = r->padding.plane;
    for (int64_t pair = 0; pair < r->pairs; pair += LANES) {
        const int64_t pairs = min64(LANES, r->pairs - pair), channels = max64(0, r->in_channels - 2 * pair);
        const float *first = from + 2 * pair * plane;
        for (int64_t p = 0; p < plane; p += LANES) {
            const int64_t count = min64(LANES, plane - p);
            if (channels >= 2 * LANES)
                pack_square(r, first, 2 * LANES, p, count, r->packed + 2 * pair, pairs);
            else
                pack_square(r, first, channels, p, count, r->packed + 2 * pair, pairs);
        }
    }
}

/* The weights of a residue, for the channels of a panel. */
static void pack_weights(const wg__bf16_correlation *r, const wg__bf16_residue *p, const float *w, int64_t channels,
                         float *panel)
{
    int64_t line[PANEL];
    for (int64_t l = 0; l < channels; l++) line[l] = l * r->weight_line;
    const wg__windowed from = {
        .data = w, .end = r->weight + r->groups * r->weight_group, .line = line, .step = p->weight};
    F32(pack_window, WG__ISA)(r->rows, PANEL, (int)channels, p->taps * r->in_channels, from);
    for (int64_t tap = 0; tap < p->taps; tap++)
        for (int64_t c = 0; c < 2 * r->pairs; c += 2, panel += PANEL)
            for (int l = 0; l < PANEL; l += LANES) {
                const float *first = r->rows + (c * p->taps + tap) * PANEL + l;
                store(panel + l, paired(c < r->in_channels ? load(first) : (vector){0},
                                        c + 1 < r->in_channels ? load(first + p->taps * PANEL) : (vector){0}));
            }
}

/* ---- correlations: storing ----------------------------------------------------------------------------------- */

INLINE void copy_numbers(float *to, const float *from, int64_t n)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) store(to + i, load(from + i));
#if defined __AVX512F__
    const __mmask16 rest = _cvtu32_mask16((1u << (n - i)) - 1);
    _mm512_mask_storeu_ps(to + i, rest, _mm512_maskz_loadu_ps(rest, from + i));
#else
    for (; i < n; i++) to[i] = from[i];
#endif
}

/* turned[channel][line] = totals[line][channel] */
static void turn(const float *totals, int64_t lines, int64_t channels, float *turned)
{
    for (int64_t i = 0; i < lines; i += LANES)
        for (int64_t j = 0; j < channels; j += LANES) {
            vector v[LANES];
            UNROLL
            for (int s = 0; s < LANES; s++) v[s] = load(totals + (i + s) * PANEL + j);
            transpose(v);
            UNROLL
            for (int l = 0; l < LANES; l++) store(turned + (j + l) * LINES + i, v[l]);
        }
}

/* n elements of a row, of all channels. */
static void store_run(const float *turned, int64_t n, int64_t channels, float *to, int64_t plane, int64_t step)
{
    for (int64_t c = 0; c < channels; c++, turned += LINES, to += plane)
        if (step == 1)
            copy_numbers(to, turned, n);
        else
            for (int64_t i = 0; i < n; i++) to[i * step] = turned[i];
}

/* ---- correlations -------------------------------------------------------------------------------------------- */

static int64_t place_of_row(const wg__progression *axis, const int64_t *stride, int64_t row, bool result)
{
    const int64_t z = row / axis[1].lines, y = row % axis[1].lines;
    if (!result) return z * stride[0] + y * stride[1];
    return (axis[0].result_start + z * axis[0].result_stride) * stride[0] +
           (axis[1].result_start + y * axis[1].result_stride) * stride[1] + axis[2].result_start * stride[2];
}

/* Rows [row, stop) of a residue. A tile begins at an output, and computes all positions up to its end. */
static void run_rows(const wg__bf16_correlation *r, const wg__bf16_residue *p, int64_t row, int64_t stop,
                     const float *panel, int64_t channels, float *to)
{
    const int64_t width = p->axis[2].lines, step = p->axis[2].result_stride;
    const int64_t end = place_of_row(p->axis, r->grid, stop - 1, false) + width;
    float totals[LINES * PANEL] __attribute__((aligned(64))), turned[LINES * PANEL] __attribute__((aligned(64)));
    for (int64_t x = 0; row < stop;) {
        const int64_t from = place_of_row(p->axis, r->grid, row, false) + x, lines = min64(LINES, end - from);
        const wg__bf16_tile t = {.image = r->packed + from * 2 * r->pairs,
                                 .b = panel,
                                 .c = totals,
                                 .piece = p->piece,
                                 .pieces = p->taps,
                                 .line = 2 * r->pairs,
                                 .lines = {min64(lines, SET), max64(0, lines - SET)},
                                 .channels = channels};
        WG__K(conv_tile)(&t);
        turn(totals, lines, channels, turned);
        while (row < stop) {
            const int64_t at = place_of_row(p->axis, r->grid, row, false) + x - from,
                          n = min64(width - x, lines - at);
            if (n <= 0) break;
            store_run(turned + at, n, channels, to + place_of_row(p->axis, r->result_stride, row, true) + x * step,
                      r->plane, step);
            x += n;
            if (x == width) row++, x = 0;
        }
    }
}

static void run_image(const wg__bf16_correlation *r, const wg__task_range *s, int64_t image)
{
    const int64_t problem = image * r->groups + s->group;
    const float *panel = r->panels;
    pack_image(r, r->image + problem * r->in_channels * r->padding.plane);
    for (int64_t i = s->first_panel; i < s->last_panel; i++) {
        float *to = r->result + (problem * r->out_channels + i * PANEL) * r->plane;
        for (const wg__bf16_residue *p = r->residue; p < r->residue + r->residues; p++) {
            const int64_t rows = p->lines ? p->lines / p->axis[2].lines : 0;
            const int64_t first = s->part * rows / r->cut.part_tasks,
                          stop = (s->part + 1) * rows / r->cut.part_tasks;
            if (first < stop) run_rows(r, p, first, stop, panel, min64(PANEL, r->out_channels - i * PANEL), to);
            panel += p->taps * r->pairs * PANEL;
        }
    }
}

static void correlate(const wg__bf16_correlation *r, int64_t task)
{
    const wg__task_range s = wg__task_range_of(&r->cut, r->images, task);
    float *panel = r->panels;
    for (int64_t i = s.first_panel; i < s.last_panel; i++)
        for (const wg__bf16_residue *p = r->residue; p < r->residue + r->residues; p++) {
            const float *w = r->weight + s.group * r->weight_group + i * PANEL * r->weight_line;
            if (p->taps) pack_weights(r, p, w, min64(PANEL, r->out_channels - i * PANEL), panel);
            panel += p->taps * r->pairs * PANEL;
        }
    memset(r->packed, 0, (size_t)(r->positions * r->pairs) * 2 * sizeof *r->packed);
    WG__K(start)();
    for (int64_t i = s.first_image; i < s.last_image; i++) run_image(r, &s, i);
    WG__K(stop)();
}

static void convolve(const wg_args *args, int64_t task)
{
    const wg__conv c = wg__conv_of(args);
    const wg__bf16_correlation r = wg__bf16_correlate(&c, false, GROUP_STEPS, args->scratch, NULL);
    correlate(&r, task);
}

static void convolve_input(const wg_args *args, int64_t task)
{
    const wg__conv c = wg__conv_input_of(args);
    const wg__bf16_correlation r = wg__bf16_correlate(&c, true, GROUP_STEPS, args->scratch, NULL);
    correlate(&r, task);
}

/* ---- the weight's gradient: packing ------------------------------------------------------------------------------ */

/* Outputs of a row, along the last axis: those before `low` and from `high` on see padding; element first + i * step of
 * the row is that of output i. */
typedef struct row_map {
    int64_t outputs, low, high, first, step;
} row_map;

static row_map map_row(const wg__conv *c, int64_t tap)
{
    row_map m = {.outputs = wg__conv_size(c, &c->y, 2), .step = wg__conv_value(c, c->attr->stride, 2, 1)};
    const int64_t size = c->padding.size[2];
    m.first = tap * wg__conv_value(c, c->attr->dilation, 2, 1) - c->padding.before[2];
    m.low = m.first < 0 ? min64(m.outputs, ceil_div(-m.first, m.step)) : 0;
    m.high = m.first < size ? clamp64((size - 1 - m.first) / m.step + 1, m.low, m.outputs) : m.low;
    return m;
}

/* Numbers from[0], from[step], ... Writes and reads past them. */
INLINE void pack_numbers(const float *from, int64_t step, int64_t n, uint16_t *to)
{
    for (int64_t i = 0; i < n; i += LANES, from += LANES * step) {
        vector v;
        if (step == 1) {
            v = load(from);
        } else if (step == 2) { /* the lower half of each pair */
            v = pairs_along(load(from), n - i > LANES / 2 ? load(from + LANES) : (vector){0});
            *(halves *)(to + i) = __builtin_convertvector((bits)v, halves);
            continue;
        } else {
            float some[LANES] = {0};
            for (int64_t j = 0; j < min64(LANES, n - i); j++) some[j] = from[j * step];
            v = load(some);
        }
        *(halves *)(to + i) = halves_of(v);
    }
}

/* Rows that are adjacent in the image and as long as their outputs: in one, if there is no stride. */
static void pack_adjacent_rows(const row_map *m, const float *row, int64_t rows, uint16_t *to)
{
    pack_numbers(row + m->first + m->low, 1, (rows - 1) * m->outputs + m->high - m->low, to + m->low);
    for (; rows > 0; rows--, to += m->outputs) {
        for (int64_t i = 0; i < m->low; i++) to[i] = 0;
        for (int64_t i = m->high; i < m->outputs; i++) to[i] = 0;
    }
}

/* Writes past the outputs. */
INLINE void pack_row(const row_map *m, int64_t step, const float *row, uint16_t *to)
{
    for (int64_t i = 0; i < m->low; i++) to[i] = 0;
    pack_numbers(row + m->first + m->low * step, step, m->high - m->low, to + m->low);
    for (int64_t i = m->high; i < m->outputs; i++) to[i] = 0;
}

/* One axis of a copy: rows at first, first + step, ... of an image with `size` rows. */
typedef struct row_axis {
    int64_t rows, first, step, size;
} row_axis;

static row_axis rows_along(const wg__conv *c, int axis, int64_t rows, int64_t at)
{
    return (row_axis){.rows = rows,
                      .first = at - c->padding.before[axis],
                      .step = wg__conv_value(c, c->attr->stride, axis, 1),
                      .size = c->padding.size[axis]};
}

/* Rows of the last axis for all rows of the middle one (of three axes). */
INLINE void pack_slab(const row_axis *middle, const row_map *m, int64_t step, const float *slab, int64_t across,
                      uint16_t *to)
{
    for (int64_t j = 0; j < middle->rows; j++, to += m->outputs) {
        const int64_t row = middle->first + j * middle->step;
        if (row < 0 || row >= middle->size)
            memset(to, 0, (size_t)m->outputs * sizeof *to);
        else
            pack_row(m, step, slab + row * across, to);
    }
}

INLINE void pack_slabs(const row_axis *first, const row_axis *middle, const row_map *m, int64_t step,
                       const float *x, int64_t across, uint16_t *to)
{
    const int64_t row = middle->rows * m->outputs;
    for (int64_t i = 0; i < first->rows; i++, to += row) {
        const int64_t at = first->first + i * first->step;
        if (at < 0 || at >= first->size)
            memset(to, 0, (size_t)row * sizeof *to);
        else
            pack_slab(middle, m, step, x + at * middle->size * across, across, to);
    }
}

/* All rows of an image that is padded to as many outputs, and has no stride. */
static void pack_plane(const row_axis *first, const row_map *m, const float *x, uint16_t *to)
{
    const int64_t before = -first->first;
    memset(to, 0, (size_t)(before * m->outputs) * sizeof *to);
    pack_adjacent_rows(m, x, first->size, to + before * m->outputs);
    memset(to + (before + first->size) * m->outputs, 0,
           (size_t)((first->rows - before - first->size) * m->outputs) * sizeof *to);
}

/* A copy of a channel, shifted by a tap of the inner axes: the middle one and the last. */
static void pack_copy(const wg__bf16_weight_grad *t, const float *x, int64_t tap_middle, const row_map *m,
                      uint16_t *to)
{
    const wg__conv *c = &t->c;
    const int axis = 1 - t->first;
    const int64_t across = c->padding.size[2];
    const row_axis middle = rows_along(c, axis, wg__conv_size(c, &c->y, axis),
                                       tap_middle * wg__conv_value(c, c->attr->dilation, axis, 1));
    for (int64_t phase = 0; phase < t->phases; phase++, to += t->rows * t->row) {
        const row_axis first = rows_along(c, t->first, t->rows, phase);
        if (t->first == 1 && first.step == 1 && m->step == 1 && m->outputs == across && m->low < m->high)
            pack_plane(&first, m, x, to);
        else if (m->step == 1)
            pack_slabs(&first, &middle, m, 1, x, across, to);
        else if (m->step == 2)
            pack_slabs(&first, &middle, m, 2, x, across, to);
        else
            pack_slabs(&first, &middle, m, m->step, x, across, to);
    }
}

/* Where the numbers of a tap begin in a copy. */
static int64_t shift_of(const wg__bf16_weight_grad *t, int64_t tap)
{
    const int64_t stride = wg__conv_value(&t->c, t->c.attr->stride, t->first, 1),
                  at = tap * wg__conv_value(&t->c, t->c.attr->dilation, t->first, 1);
    return (at % stride * t->rows + at / stride) * t->row;
}

/* What remains for each tap, filled up by zeros. */
static void pack_tails(const wg__bf16_weight_grad *t, uint16_t *copies)
{
    uint16_t *to = copies + t->inner_taps * t->copy;
    const int64_t rest = t->c.outputs - 2 * t->whole;
    for (int64_t inner = 0; inner < t->inner_taps; inner++)
        for (int64_t tap = 0; tap < t->first_taps; tap++, to += t->tail) {
            memcpy(to, copies + inner * t->copy + shift_of(t, tap) + 2 * t->whole, (size_t)rest * sizeof *to);
            memset(to + rest, 0, (size_t)(t->tail - rest) * sizeof *to);
        }
}

static void pack_channel(const wg__bf16_weight_grad *t, const float *x, uint16_t *to)
{
    const int64_t taps = wg__conv_size(&t->c, &t->c.w, 2);
    for (int64_t inner = 0; inner < t->inner_taps; inner++) {
        const row_map m = map_row(&t->c, inner % taps);
        pack_copy(t, x, inner / taps, &m, to + inner * t->copy);
    }
    if (t->tail) pack_tails(t, to);
}

/* Packs all outputs of n images from `image` on, for the channels of a panel from `o` on. */
static void pack_gradients(const wg__bf16_weight_grad *t, int64_t group, int64_t image, int64_t n, int64_t o)
{
    const wg__conv *c = &t->c;
    const int64_t channels = min64(PANEL, c->out_channels - o), taken = ceil_div(c->outputs, 2);
    for (int64_t i = 0; i < n; i++) {
        const int64_t problem = (image + i) * c->attr->groups + group;
        wg__side dy = {.line = 2 * c->outputs, .k = 2};
        dy.data = (const wg__item *)((const float *)c->y.data + (problem * c->out_channels + o) * c->outputs);
        float *panel = t->panel + i * t->steps * PANEL;
        WG__K(pack_panel)(panel, PANEL, (int)channels, channels, c->outputs, dy);
        memset(panel + taken * PANEL, 0, (size_t)((t->steps - taken) * PANEL) * sizeof *panel);
    }
}

/* ---- the weight's gradient ----------------------------------------------------------------------------------- */

/* A tap of a set of channels. */
typedef struct unit {
    int64_t channel, tap, at, tail; /* the first channel; tap in the window; places in packed x of an image */
} unit;

static unit unit_of_number(const wg__bf16_weight_grad *t, int64_t n, int64_t first_channel)
{
    const int64_t tap = n % t->first_taps, inner = n / t->first_taps % t->inner_taps;
    unit u = {.channel = n / t->first_taps / t->inner_taps * SET, .tap = tap * t->inner_taps + inner};
    const int64_t channel = (u.channel - first_channel) * t->channel;
    u.at = channel + inner * t->copy + shift_of(t, tap);
    u.tail = channel + t->inner_taps * t->copy + (inner * t->first_taps + tap) * t->tail;
    return u;
}

/* Adds the totals over n packed images to those of a unit, or of it and the next one. */
static void add_units(const wg__bf16_weight_grad *t, const unit *u, int count, int64_t n, int64_t channels,
                      float *totals)
{
    const unit *second = &u[count - 1];
    wg__piece *p = t->piece;
    for (int64_t i = 0, at = 0; i < n; i++, at += t->image) {
        if (t->whole) *p++ = (wg__piece){{u->at + at, second->at + at}, t->whole};
        if (t->tail) *p++ = (wg__piece){{u->tail + at, second->tail + at}, t->tail / 2};
    }
    const wg__bf16_tile tile = {.image = t->packed,
                                .b = t->panel,
                                .c = totals,
                                .piece = t->piece,
                                .pieces = p - t->piece,
                                .line = t->channel,
                                .lines = {min64(SET, t->c.in_channels - u->channel),
                                          count > 1 ? min64(SET, t->c.in_channels - second->channel) : 0},
                                .channels = channels,
                                .add = true};
    WG__K(conv_tile)(&tile);
}

/* dw of a unit, from its totals [channel of x][channel of dy]. */
static void store_unit(const wg__bf16_weight_grad *t, const unit *u, const float *totals, int64_t channels,
                       float *to)
{
    const wg__conv *c = &t->c;
    for (int64_t i = 0; i < min64(SET, c->in_channels - u->channel); i++)
        for (int64_t o = 0; o < channels; o++)
            to[(o * c->in_channels + u->channel + i) * c->taps + u->tap] = totals[i * PANEL + o];
}

static void convolve_weight(const wg_args *args, int64_t task)
{
    const wg__conv c = wg__conv_weight_of(args);
    const wg__bf16_weight_grad t = wg__bf16_weight_grad_of(&c, GROUP_STEPS, args->scratch, NULL);
    const wg__task_range s = wg__task_range_of(&t.cut, 1, task);
    const int64_t units = wg__bf16_units(&t), first = s.part * units / t.cut.part_tasks,
                  n = (s.part + 1) * units / t.cut.part_tasks - first, panels = s.last_panel - s.first_panel;
    const int64_t of_set = t.first_taps * t.inner_taps, first_channel = first / of_set * SET,
                  stop_channel = min64(c.in_channels, ceil_div(first + n, of_set) * SET);
    memset(t.sums, 0, (size_t)(panels * n * SET * PANEL) * sizeof *t.sums);
    WG__K(start)();
    for (int64_t image = 0, count; image < c.images; image += count) {
        count = min64(t.images, c.images - image);
        for (int64_t i = 0; i < count; i++)
            for (int64_t channel = first_channel; channel < stop_channel; channel++)
                pack_channel(&t,
                             (const float *)c.x.data +
                                 (((image + i) * c.attr->groups + s.group) * c.in_channels + channel) *
                                     c.padding.plane,
                             t.packed + i * t.image + (channel - first_channel) * t.channel);
        for (int64_t i = 0; i < panels; i++) {
            const int64_t o = (s.first_panel + i) * PANEL;
            pack_gradients(&t, s.group, image, count, o);
            for (int64_t j = 0; j < n; j += 2) {
                const unit u[2] = {unit_of_number(&t, first + j, first_channel),
                                   unit_of_number(&t, first + j + 1, first_channel)};
                add_units(&t, u, (int)min64(2, n - j), count, min64(PANEL, c.out_channels - o),
                          t.sums + (i * n + j) * SET * PANEL);
            }
        }
    }
    WG__K(stop)();
    for (int64_t i = 0; i < panels; i++) {
        const int64_t o = (s.first_panel + i) * PANEL;
        float *to = (float *)c.w.data + (s.group * c.out_channels + o) * c.in_channels * c.taps;
        for (int64_t j = 0; j < n; j++) {
            const unit u = unit_of_number(&t, first + j, first_channel);
            store_unit(&t, &u, t.sums + (i * n + j) * SET * PANEL, min64(PANEL, c.out_channels - o), to);
        }
    }
}

const wg__conv_kernels WG__K(conv_kernels) = {GROUP_STEPS, convolve, convolve_input, convolve_weight};
