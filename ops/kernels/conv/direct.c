/* Convolutions without packing the window. Channels stand side by side in vectors; the other operand is an image, whose
 * elements are broadcast from where they stand, by tables of offsets (tables.c). What has the channels is packed
 * in panels, panel[p][channels]: the weight, or the result's gradient. Compiled per instruction set and type.
 *
 *     forward            y[position, o] = sum over places     x[position + place] w[place, o]
 *     image's gradient   dx[number, c]  = sum over o, places  dy[number - place] w[o, place, c]
 *     weight's gradient  dw[place, o]   = sum over positions  x[place + position] dy[position, o]
 *
 * An element is one chain of fused multiply-adds (the weight's gradient: one for some images, these in order), whatever
 * task or tile it falls into. The result has the channels apart: tiles are transposed on their way there. */
#include "conv.h"
#include "../gemm/transpose.h"
#include "../base/integers.h"

#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { PANEL = WG__PANEL };

/* ---- the register tile --------------------------------------------------------------------------------------- */

/* c[i][j] (+)= sum over p of a[line[i] + step[p]] b[p][j]; rows of b are PANEL apart. */
INLINE void tile(int rows, int vectors, int64_t k, const real *a, const int64_t *line, const int64_t *step,
                 const real *b, bool add, real *c, int64_t c_rs)
{
    vector sum[TILE_ROWS][2];
    const real *row[TILE_ROWS];
    UNROLL
    for (int i = 0; i < rows; i++) sum[i][0] = sum[i][1] = (vector){0};
    UNROLL
    for (int i = 0; i < rows; i++) row[i] = a + line[i];
    for (int64_t p = 0; p < k; p++) {
        int64_t at = step[p];
        vector b0 = load(b), b1 = vectors == 2 ? load(b + LANES) : b0;
        b += PANEL;
        UNROLL
        for (int i = 0; i < rows; i++) {
            vector x = SPLAT(row[i][at]);
            sum[i][0] = VECTOR_FMA(x, b0, sum[i][0]);
            if (vectors == 2) sum[i][1] = VECTOR_FMA(x, b1, sum[i][1]);
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        real *to = c + i * c_rs;
        store(to, add ? load(to) + sum[i][0] : sum[i][0]);
        if (vectors == 2) store(to + LANES, add ? load(to + LANES) + sum[i][1] : sum[i][1]);
    }
}

#define FUNCTION(rows, vectors)                                                                                    \
    static void tile_##rows##_##vectors(int64_t k, const real *a, const int64_t *line, const int64_t *step,        \
                                        const real *b, bool add, real *c, int64_t c_rs)                            \
    {                                                                                                              \
        tile(rows, vectors, k, a, line, step, b, add, c, c_rs);                                                    \
    }
#define BOTH(rows)  FUNCTION(rows, 1) FUNCTION(rows, 2)
#define ENTRY(rows) {tile_##rows##_1, tile_##rows##_2},

EACH_ROWS(BOTH)

typedef void (*tile_function)(int64_t k, const real *a, const int64_t *line, const int64_t *step, const real *b,
                              bool add, real *c, int64_t c_rs);
static const tile_function functions[TILE_ROWS][2] = {EACH_ROWS(ENTRY)};

/* The same for as many channels as a panel has. */
static void run_tile(int64_t rows, int64_t channels, int64_t k, const real *a, const int64_t *line,
                     const int64_t *step, const real *b, bool add, real *c, int64_t c_rs)
{
    for (int64_t j = 0; j < channels; j += TILE_COLS)
        functions[rows - 1][channels - j > LANES](k, a, line, step, b + j, add, c + j, c_rs);
}

/* ---- turning a tile ------------------------------------------------------------------------------------------ */

/* A square of a tile: to[l * stride + s] = c[s][l], l < lines, s < steps. */
INLINE void put_square(const real *c, int64_t lines, int64_t steps, real *to, int64_t stride)
{
    if (lines == LANES && steps == LANES) {
        vector v[LANES];
        UNROLL
        for (int s = 0; s < LANES; s++) v[s] = load(c + s * PANEL);
        transpose(v);
        UNROLL
        for (int l = 0; l < LANES; l++) store(to + l * stride, v[l]);
        return;
    }
    for (int64_t l = 0; l < lines; l++)
        for (int64_t s = 0; s < steps; s++) to[l * stride + s] = c[s * PANEL + l];
}

/* to[channel * stride + i] = c[i][channel], i < rows. Up to `room` >= rows numbers of a channel may be written. */
static void put_turned(const real *c, int64_t rows, int64_t channels, real *to, int64_t stride, int64_t room)
{
    for (int64_t i = 0; i < rows; i += LANES)
        for (int64_t j = 0; j < channels; j += LANES)
            put_square(c + i * PANEL + j, least(LANES, channels - j), i + LANES <= room ? LANES : rows - i,
                       to + j * stride + i, stride);
}

/* ---- the frame ----------------------------------------------------------------------------------------------- */

/* n >= m numbers, m at a time, the last of them again where m does not divide. */
INLINE void copy_by(int m, real *to, const real *from, int64_t n)
{
    int64_t i = 0;
    for (; i + m <= n; i += m) memcpy(to + i, from + i, (size_t)m * sizeof(real));
    if (i < n) memcpy(to + n - m, from + n - m, (size_t)m * sizeof(real));
}

INLINE void copy_row(real *to, const real *from, int64_t n)
{
    if (n >= LANES)
        copy_by(LANES, to, from, n);
    else if (n >= 8)
        copy_by(8, to, from, n);
    else if (n >= 4)
        copy_by(4, to, from, n);
    else
        copy_by(1, to, from, n);
}

/* Channels [first, last) into a frame whose zeros are there. */
static void put_in_frame(const wg__frame *f, const real *from, int64_t first, int64_t last, real *to)
{
    int64_t n = f->size[2], space = f->space[1];
    from += first * f->bare;
    for (int64_t i = first * f->size[0]; i < last * f->size[0]; i++) {
        int64_t channel = i / f->size[0], layer = f->low[0] + i % f->size[0];
        real *row = to + channel * f->plane + layer * f->space[0] + f->low[1] * space + f->low[2];
        for (int64_t j = 0; j < f->size[1]; j++, row += space, from += n) { copy_row(row, from, n); }
    }
}

/* ---- tasks --------------------------------------------------------------------------------------------------- */

/* What of a group's work a task does. */
typedef struct share {
    int64_t group, first_panel, last_panel, first_image, last_image, part;
} share;

static share share_of(const wg__conv_cut *cut, int64_t images, int64_t task)
{
    int64_t part = task % cut->part_tasks, image = task / cut->part_tasks % cut->image_tasks;
    int64_t rest = task / (cut->part_tasks * cut->image_tasks), panel = rest % cut->panel_tasks;
    return (share){.group = rest / cut->panel_tasks,
                   .first_panel = panel * cut->panels / cut->panel_tasks,
                   .last_panel = (panel + 1) * cut->panels / cut->panel_tasks,
                   .first_image = image * images / cut->image_tasks,
                   .last_image = (image + 1) * images / cut->image_tasks,
                   .part = part};
}

/* ---- correlations -------------------------------------------------------------------------------------------- */

/* panel[p][channel], for all steps of all phases, whose tables follow each other. Writes past its end. */
static void pack_weights(const wg__correlation *r, const real *w, int64_t channels, real *panel)
{
    int64_t line[PANEL];
    for (int64_t l = 0; l < channels; l++) line[l] = l * r->weight_line;
    wg__windowed from = {.data = w,
                         .end = (const real *)r->weight + r->groups * r->weight_group,
                         .line = line,
                         .step = r->phase->weight};
    WG__K(pack_window)(panel, PANEL, (int)channels, r->steps, from);
}

/* A part of the rows of the phases that stand side by side, for the channels of a panel: a few lines of each phase at a
 * time, which make numbers that follow each other. */
static void run_phases(const wg__correlation *r, const wg__phase *p, int64_t part, const real *image,
                       const real *panel, int64_t channels, real *to)
{
    real sums[WG__BESIDE * PANEL] __attribute__((aligned(64))) = {0};
    int64_t beside = r->beside, row_lines = p->lines / p->rows;
    int64_t pieces = ceil_div(row_lines, least(TILE_ROWS, WG__BESIDE / beside)), all = p->rows * pieces;
    int64_t stop = (part + 1) * all / r->cut.part_tasks;
    for (int64_t n = part * all / r->cut.part_tasks; n < stop; n++) {
        int64_t row = n / pieces, piece = n % pieces;
        int64_t first = piece * row_lines / pieces, last = (piece + 1) * row_lines / pieces;
        const real *b = panel;
        for (int64_t i = 0; i < beside; b += p[i].steps * PANEL, i++) {
            int64_t lines = p[i].lines / p->rows, count = least(last, lines) - first;
            if (count > 0)
                run_tile(count, channels, p[i].steps, image, p[i].line + row * lines + first, p[i].step, b, false,
                         sums + i * PANEL, beside * PANEL);
        }
        int64_t at = first * beside,
                end = least(pieces, stop - row * pieces) * row_lines / pieces; /* this task's */
        put_turned(sums, least(last * beside, r->row) - at, channels, to + p->result[row] + at, r->plane,
                   least(end * beside, r->row) - at);
    }
}

static void run_image(const wg__correlation *r, const share *s, int64_t image)
{
    int64_t problem = image * r->groups + s->group;
    const real *from = (const real *)r->image + problem * r->in * r->frame.bare, *panel = r->panels;
    if (r->frame.plane != r->frame.bare) {
        put_in_frame(&r->frame, from, 0, r->in, r->framed);
        from = r->framed;
    }
    for (int64_t i = s->first_panel; i < s->last_panel; i++) {
        real *to = (real *)r->result + (problem * r->out + i * PANEL) * r->plane;
        for (const wg__phase *p = r->phase; p < r->phase + r->phases; p += r->beside) {
            run_phases(r, p, s->part, from, panel, least(PANEL, r->out - i * PANEL), to);
            for (int64_t j = 0; j < r->beside; j++) panel += p[j].steps * PANEL;
        }
    }
}

static void correlate(const wg__correlation *r, int64_t task)
{
    share s = share_of(&r->cut, r->images, task);
    for (int64_t i = s.first_panel; i < s.last_panel; i++) {
        const real *w = (const real *)r->weight + s.group * r->weight_group + i * PANEL * r->weight_line;
        pack_weights(r, w, least(PANEL, r->out - i * PANEL),
                     (real *)r->panels + (i - s.first_panel) * r->steps * PANEL);
    }
    if (r->frame.plane != r->frame.bare) memset(r->framed, 0, (size_t)(r->in * r->frame.plane) * sizeof(real));
    for (int64_t i = s.first_image; i < s.last_image; i++) run_image(r, &s, i);
}

void WG__K(conv)(const wg_args *args, int64_t task)
{
    wg__conv c = wg__conv_of(args);
    wg__correlation r = wg__correlate(&c, args->scratch, NULL);
    correlate(&r, task);
}

void WG__K(conv_input)(const wg_args *args, int64_t task)
{
    wg__conv c = wg__conv_input_of(args);
    wg__correlation r = wg__correlate_input(&c, args->scratch, NULL);
    correlate(&r, task);
}

/* ---- the weight's gradient ----------------------------------------------------------------------------------- */

/* Images [image, image + n) of x, framed where they have a frame, for the places [first, last). */
static const real *images_of(const wg__weight_job *t, int64_t group, int64_t image, int64_t n, int64_t first,
                             int64_t last)
{
    const wg__conv *c = &t->c;
    int64_t groups = c->attr->groups;
    const real *x = (const real *)c->x.data + (image * groups + group) * c->in * c->frame.bare;
    if (c->frame.plane == c->frame.bare) return x;
    for (int64_t i = 0; i < n; i++)
        put_in_frame(&c->frame, x + i * groups * c->in * c->frame.bare, first / c->places,
                     ceil_div(last, c->places), (real *)t->framed + i * c->in * c->frame.plane);
    return t->framed;
}

/* Positions [p, p + steps) of n images from `image` on, for the channels of a panel from `o` on. */
static void pack_gradients(const wg__weight_job *t, int64_t group, int64_t image, int64_t n, int64_t p,
                           int64_t steps, int64_t o)
{
    const wg__conv *c = &t->c;
    int64_t channels = least(PANEL, c->out - o);
    for (int64_t i = 0; i < n; i++) {
        int64_t problem = (image + i) * c->attr->groups + group;
        wg__side dy = {.line = c->positions, .k = 1};
        dy.data = (const real *)c->y.data + (problem * c->out + o) * c->positions + p;
        WG__K(pack_panel)((real *)t->panel + i * steps * PANEL, PANEL, (int)channels, channels, steps, dy);
    }
}

/* Adds the sums over the packed steps to those of the places [first, last). */
static void add_places(const wg__weight_job *t, const real *x, const int64_t *step, int64_t steps, int64_t first,
                       int64_t last, int64_t channels, real *sums)
{
    int64_t n = last - first, tiles = ceil_div(n, TILE_ROWS);
    for (int64_t i = 0; i < tiles; i++) {
        int64_t from = i * n / tiles, to = (i + 1) * n / tiles;
        run_tile(to - from, channels, steps, x, t->line + first + from, step, t->panel, true, sums + from * PANEL,
                 PANEL);
    }
}

void WG__K(conv_weight)(const wg_args *args, int64_t task)
{
    wg__conv c = wg__conv_weight_of(args);
    wg__weight_job t = wg__weight_job_of(&c, args->scratch, NULL);
    share s = share_of(&t.cut, 1, task);
    int64_t first = s.part * t.lines / t.cut.part_tasks, last = (s.part + 1) * t.lines / t.cut.part_tasks;
    int64_t n = last - first, panels = s.last_panel - s.first_panel;
    memset(t.sums, 0, (size_t)(panels * n * PANEL) * sizeof(real));
    if (c.frame.plane != c.frame.bare)
        memset(t.framed, 0, (size_t)(t.together * c.in * c.frame.plane) * sizeof(real));
    for (int64_t image = 0, count; image < c.images; image += count) {
        count = least(t.together, c.images - image);
        const real *x = images_of(&t, s.group, image, count, first, last);
        for (int64_t i = 0; i < panels; i++) {
            int64_t o = (s.first_panel + i) * PANEL;
            for (int64_t p = 0, steps; p < c.positions; p += steps) {
                steps = least(WG__STEPS, c.positions - p);
                pack_gradients(&t, s.group, image, count, p, steps, o);
                add_places(&t, x, t.step + p, count * steps, first, last, least(PANEL, c.out - o),
                           (real *)t.sums + i * n * PANEL);
            }
        }
    }
    for (int64_t i = 0; i < panels; i++) {
        int64_t o = (s.first_panel + i) * PANEL;
        real *to = (real *)c.w.data + (s.group * c.out + o) * t.lines + first;
        for (int64_t j = 0; j < n; j += LANES)
            put_turned((real *)t.sums + (i * n + j) * PANEL, least(LANES, n - j), least(PANEL, c.out - o), to + j,
                       t.lines, n - j);
    }
}
