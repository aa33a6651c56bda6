/* The weight's gradient in bf16 (direct_bf16.h). Compiled per variant.
 *
 * An element is one chain of sums of pairs (AMX: of groups of pairs, gemm/tile.h) over the images, and within an image
 * over the outputs. */
#include "variant_bf16.h"

#include <string.h>

#include "../gemm/pair.h"

enum { PANEL = WG__PANEL, SET = WG__SET };

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

/* Numbers from[0], from[step], ... Writes past them. */
INLINE void pack_numbers(const float *from, int64_t step, int64_t n, uint16_t *to)
{
    for (int64_t i = 0; i < n; i += LANES, from += LANES * step) {
        vector v;
        if (step == 1) {
            v = load_some(from, n - i);
        } else if (step == 2) { /* the lower half of each pair */
            const int64_t span = 2 * (n - i) - 1;
            v = pairs_along(load_some(from, span),
                            span > LANES ? load_some(from + LANES, span - LANES) : (vector){0});
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
static void pack_tails(const wg__bf16_weight_grad *t, uint16_t *copy)
{
    uint16_t *to = copy + t->copy;
    const int64_t rest = t->c.outputs - 2 * t->whole;
    for (int64_t tap = 0; tap < t->first_taps; tap++, to += t->tail) {
        memcpy(to, copy + shift_of(t, tap) + 2 * t->whole, (size_t)rest * sizeof *to);
        memset(to + rest, 0, (size_t)(t->tail - rest) * sizeof *to);
    }
}

/* Packs lines [line, last) of an image. */
static void pack_lines(const wg__bf16_weight_grad *t, const float *x, int64_t line, int64_t last, uint16_t *to)
{
    const int64_t taps = wg__conv_size(&t->c, &t->c.w, 2);
    for (; line < last; line++, to += t->line) {
        const int64_t channel = line / t->inner_taps, tap = line % t->inner_taps;
        const row_map m = map_row(&t->c, tap % taps);
        pack_copy(t, x + channel * t->c.padding.plane, tap / taps, &m, to);
        if (t->tail) pack_tails(t, to);
    }
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

typedef struct unit {
    int64_t line, lines, tap, at, tail; /* the first line, how many; places in the packed x of an image */
} unit;

static unit unit_of_number(const wg__bf16_weight_grad *t, int64_t n, int64_t first_line)
{
    unit u = {.line = n / t->first_taps * SET, .tap = n % t->first_taps};
    const int64_t packed = (u.line - first_line) * t->line;
    u.lines = min64(SET, t->lines - u.line);
    u.at = packed + shift_of(t, u.tap);
    u.tail = packed + t->copy + u.tap * t->tail;
    return u;
}

/* Adds the sums over n packed images to those of a unit, or of it and the next one. */
static void add_units(const wg__bf16_weight_grad *t, const unit *u, int count, int64_t n, int64_t channels,
                      float *totals)
{
    const unit *second = &u[count - 1];
    wg__bf16_piece *p = t->piece;
    for (int64_t i = 0, at = 0; i < n; i++, at += t->image) {
        if (t->whole) *p++ = (wg__bf16_piece){{u->at + at, second->at + at}, t->whole};
        if (t->tail) *p++ = (wg__bf16_piece){{u->tail + at, second->tail + at}, t->tail / 2};
    }
    const wg__bf16_tile tile = {.image = t->packed,
                                .b = t->panel,
                                .c = totals,
                                .piece = t->piece,
                                .pieces = p - t->piece,
                                .line = t->line,
                                .lines = {u->lines, count > 1 ? second->lines : 0},
                                .channels = channels,
                                .add = true};
    WG__K(conv_tile)(&tile);
}

/* dw of a unit, from its sums [line][channel of dy]. */
static void store_unit(const wg__bf16_weight_grad *t, const unit *u, const float *totals, int64_t channels,
                       float *to)
{
    const int64_t taps = t->c.taps, stride = t->c.in_channels * taps;
    for (int64_t i = 0; i < u->lines; i++, totals += PANEL) {
        const int64_t line = u->line + i;
        float *at = to + line / t->inner_taps * taps + u->tap * t->inner_taps + line % t->inner_taps;
        for (int64_t o = 0; o < channels; o++) at[o * stride] = totals[o];
    }
}

/* What a task computes: units [first, first + n) of some panels, and the lines that they read. */
typedef struct part {
    wg__task_range range;
    int64_t panels, first, n, first_line, last_line;
} part;

static part part_of(const wg__bf16_weight_grad *t, int64_t task)
{
    part p = {.range = wg__task_range_of(&t->cut, 1, task)};
    p.panels = p.range.last_panel - p.range.first_panel;
    p.first = p.range.part * t->units / t->cut.part_tasks;
    p.n = (p.range.part + 1) * t->units / t->cut.part_tasks - p.first;
    p.first_line = p.first / t->first_taps * SET;
    p.last_line = min64(t->lines, ceil_div(p.first + p.n, t->first_taps) * SET);
    return p;
}

/* Adds the sums over images [image, image + count). */
static void add_images(const wg__bf16_weight_grad *t, const part *p, int64_t image, int64_t count)
{
    const wg__conv *c = &t->c;
    for (int64_t i = 0; i < count; i++) {
        const int64_t problem = (image + i) * c->attr->groups + p->range.group;
        pack_lines(t, (const float *)c->x.data + problem * c->in_channels * c->padding.plane, p->first_line,
                   p->last_line, t->packed + i * t->image);
    }
    for (int64_t i = 0; i < p->panels; i++) {
        const int64_t o = (p->range.first_panel + i) * PANEL, channels = min64(PANEL, c->out_channels - o);
        pack_gradients(t, p->range.group, image, count, o);
        for (int64_t j = 0; j < p->n; j += 2) {
            const unit u[2] = {unit_of_number(t, p->first + j, p->first_line),
                               unit_of_number(t, p->first + j + 1, p->first_line)};
            add_units(t, u, (int)min64(2, p->n - j), count, channels, t->sums + (i * p->n + j) * SET * PANEL);
        }
    }
}

void WG__K(conv_weight)(const wg_args *args, int64_t task)
{
    const wg__conv c = wg__conv_weight_of(args);
    const wg__bf16_weight_grad t = wg__bf16_weight_grad_of(&c, GROUP_STEPS, args->scratch, NULL);
    const part p = part_of(&t, task);
    memset(t.sums, 0, (size_t)(p.panels * p.n * SET * PANEL) * sizeof *t.sums);
    WG__K(start)();
    for (int64_t image = 0; image < c.images; image += t.images)
        add_images(&t, &p, image, min64(t.images, c.images - image));
    WG__K(stop)();
    for (int64_t i = 0; i < p.panels; i++) {
        const int64_t o = (p.range.first_panel + i) * PANEL;
        float *to = (float *)c.w.data + (p.range.group * c.out_channels + o) * c.in_channels * c.taps;
        for (int64_t j = 0; j < p.n; j++) {
            const unit u = unit_of_number(&t, p.first + j, p.first_line);
            store_unit(&t, &u, t.sums + (i * p.n + j) * SET * PANEL, min64(PANEL, c.out_channels - o), to);
        }
    }
}
