/* Direct convolutions. Output channels are in the lanes of vectors; the elements of the image are broadcast in place,
 * by tables of offsets (tables.c). The operand that has the channels, the weight or the result's gradient, is packed as
 * panel[p][channels]. Compiled per variant.
 *
 *     forward            y[output, o]  = sum over taps     x[output + tap] w[tap, o]
 *     image's gradient   dx[line, c]   = sum over o, taps  dy[line - tap] w[o, tap, c]
 *     weight's gradient  dw[tap, o]    = sum over outputs  x[tap + output] dy[output, o]
 *
 * An element is one chain of fused multiply-adds (in the weight's gradient one for each block of images, added in
 * order), whatever task or tile computes it. Results have their channels a plane apart, so tiles are transposed when
 * stored. */
#include "direct.h"
#include "plan.h"

#include <string.h>

#include "../gemm/transpose.h"

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

/* The same for the channels of a panel. */
static void run_tile(int64_t rows, int64_t channels, int64_t k, const real *a, const int64_t *line,
                     const int64_t *step, const real *b, bool add, real *c, int64_t c_rs)
{
    for (int64_t j = 0; j < channels; j += TILE_COLS)
        functions[rows - 1][channels - j > LANES](k, a, line, step, b + j, add, c + j, c_rs);
}

/* ---- storing a tile transposed ----------------------------------------------------------------------------------- */

/* A square of a tile: to[l * stride + s] = c[s][l], l < lines, s < steps. */
INLINE void store_square(const real *c, int64_t lines, int64_t steps, real *to, int64_t stride)
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

/* to[channel * stride + i] = c[i][channel], i < rows. Up to `room` >= rows elements of a channel may be written. */
static void store_transposed(const real *c, int64_t rows, int64_t channels, real *to, int64_t stride, int64_t room)
{
    for (int64_t i = 0; i < rows; i += LANES)
        for (int64_t j = 0; j < channels; j += LANES)
            store_square(c + i * PANEL + j, min64(LANES, channels - j), i + LANES <= room ? LANES : rows - i,
                         to + j * stride + i, stride);
}

/* ---- padding ----------------------------------------------------------------------------------------------- */

/* Copies n >= m elements, m at a time; the last m overlap the ones before if m does not divide n. */
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

/* Copies channels [first, last) into a padded image whose padding is already zero. */
static void copy_to_padded(const wg__padding *f, const real *from, int64_t first, int64_t last, real *to)
{
    int64_t n = f->size[2], row_stride = f->stride[1];
    from += first * f->plane;
    for (int64_t i = first * f->size[0]; i < last * f->size[0]; i++) {
        int64_t channel = i / f->size[0], layer = f->before[0] + i % f->size[0];
        real *row =
            to + channel * f->padded_plane + layer * f->stride[0] + f->before[1] * row_stride + f->before[2];
        for (int64_t j = 0; j < f->size[1]; j++, row += row_stride, from += n) { copy_row(row, from, n); }
    }
}

/* ---- correlations -------------------------------------------------------------------------------------------- */

/* panel[p][channel], for all steps of all residues, whose tables are adjacent. Writes past its end. */
static void pack_weights(const wg__correlation *r, const real *w, int64_t channels, real *panel)
{
    int64_t line[PANEL];
    for (int64_t l = 0; l < channels; l++) line[l] = l * r->weight_line;
    wg__windowed from = {.data = w,
                         .end = (const real *)r->weight + r->groups * r->weight_group,
                         .line = line,
                         .step = r->residue->weight};
    WG__K(pack_window)(panel, PANEL, (int)channels, r->steps, from);
}

/* A part of the rows of interleaved residues, for the channels of a panel: a few lines of each residue at a time, which
 * together are consecutive elements of the result. */
static void run_residues(const wg__correlation *r, const wg__residue *p, int64_t part, const real *image,
                         const real *panel, int64_t channels, real *to)
{
    real sums[WG__INTERLEAVED * PANEL] __attribute__((aligned(64))) = {0};
    int64_t interleaved = r->interleaved, row_lines = p->lines / p->rows;
    int64_t pieces = ceil_div(row_lines, min64(TILE_ROWS, WG__INTERLEAVED / interleaved)), all = p->rows * pieces;
    int64_t stop = (part + 1) * all / r->cut.part_tasks;
    for (int64_t n = part * all / r->cut.part_tasks; n < stop; n++) {
        int64_t row = n / pieces, piece = n % pieces;
        int64_t first = piece * row_lines / pieces, last = (piece + 1) * row_lines / pieces;
        const real *b = panel;
        for (int64_t i = 0; i < interleaved; b += p[i].steps * PANEL, i++) {
            int64_t lines = p[i].lines / p->rows, count = min64(last, lines) - first;
            if (count > 0)
                run_tile(count, channels, p[i].steps, image, p[i].line + row * lines + first, p[i].step, b, false,
                         sums + i * PANEL, interleaved * PANEL);
        }
        int64_t at = first * interleaved;
        int64_t end = min64(pieces, stop - row * pieces) * row_lines / pieces; /* of this task */
        store_transposed(sums, min64(last * interleaved, r->row) - at, channels, to + p->result[row] + at, r->plane,
                         min64(end * interleaved, r->row) - at);
    }
}

static void run_image(const wg__correlation *r, const wg__task_range *s, int64_t image)
{
    int64_t problem = image * r->groups + s->group;
    const real *from = (const real *)r->image + problem * r->in_channels * r->padding.plane, *panel = r->panels;
    if (wg__is_padded(&r->padding)) {
        copy_to_padded(&r->padding, from, 0, r->in_channels, r->padded);
        from = r->padded;
    }
    for (int64_t i = s->first_panel; i < s->last_panel; i++) {
        real *to = (real *)r->result + (problem * r->out_channels + i * PANEL) * r->plane;
        for (const wg__residue *p = r->residue; p < r->residue + r->residues; p += r->interleaved) {
            run_residues(r, p, s->part, from, panel, min64(PANEL, r->out_channels - i * PANEL), to);
            for (int64_t j = 0; j < r->interleaved; j++) panel += p[j].steps * PANEL;
        }
    }
}

static void correlate(const wg__correlation *r, int64_t task)
{
    wg__task_range s = wg__task_range_of(&r->cut, r->images, task);
    for (int64_t i = s.first_panel; i < s.last_panel; i++) {
        const real *w = (const real *)r->weight + s.group * r->weight_group + i * PANEL * r->weight_line;
        pack_weights(r, w, min64(PANEL, r->out_channels - i * PANEL),
                     (real *)r->panels + (i - s.first_panel) * r->steps * PANEL);
    }
    if (wg__is_padded(&r->padding))
        memset(r->padded, 0, (size_t)(r->in_channels * r->padding.padded_plane) * sizeof(real));
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

/* Images [image, image + n) of x, padded if there is padding, for taps [first, last). */
static const real *padded_images(const wg__weight_grad *t, int64_t group, int64_t image, int64_t n, int64_t first,
                                 int64_t last)
{
    const wg__conv *c = &t->c;
    int64_t groups = c->attr->groups;
    const real *x = (const real *)c->x.data + (image * groups + group) * c->in_channels * c->padding.plane;
    if (!wg__is_padded(&c->padding)) return x;
    for (int64_t i = 0; i < n; i++)
        copy_to_padded(&c->padding, x + i * groups * c->in_channels * c->padding.plane, first / c->taps,
                       ceil_div(last, c->taps), (real *)t->padded + i * c->in_channels * c->padding.padded_plane);
    return t->padded;
}

/* Packs outputs [p, p + steps) of n images from `image` on, for the channels of a panel from `o` on. */
static void pack_gradients(const wg__weight_grad *t, int64_t group, int64_t image, int64_t n, int64_t p,
                           int64_t steps, int64_t o)
{
    const wg__conv *c = &t->c;
    int64_t channels = min64(PANEL, c->out_channels - o);
    for (int64_t i = 0; i < n; i++) {
        int64_t problem = (image + i) * c->attr->groups + group;
        wg__reals dy = {.line = c->outputs, .k = 1};
        dy.data = (const real *)c->y.data + (problem * c->out_channels + o) * c->outputs + p;
        WG__K(pack_reals)((real *)t->panel + i * steps * PANEL, PANEL, (int)channels, channels, steps, dy);
    }
}

/* Adds the sums over the packed steps to those of taps [first, last). */
static void add_taps(const wg__weight_grad *t, const real *x, const int64_t *step, int64_t steps, int64_t first,
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
    wg__weight_grad t = wg__weight_grad_of(&c, args->scratch, NULL);
    wg__task_range s = wg__task_range_of(&t.cut, 1, task);
    int64_t first = s.part * t.lines / t.cut.part_tasks, last = (s.part + 1) * t.lines / t.cut.part_tasks;
    int64_t n = last - first, panels = s.last_panel - s.first_panel;
    memset(t.sums, 0, (size_t)(panels * n * PANEL) * sizeof(real));
    if (wg__is_padded(&c.padding))
        memset(t.padded, 0, (size_t)(t.images * c.in_channels * c.padding.padded_plane) * sizeof(real));
    for (int64_t image = 0, count; image < c.images; image += count) {
        count = min64(t.images, c.images - image);
        const real *x = padded_images(&t, s.group, image, count, first, last);
        for (int64_t i = 0; i < panels; i++) {
            int64_t o = (s.first_panel + i) * PANEL;
            for (int64_t p = 0, steps; p < c.outputs; p += steps) {
                steps = min64(WG__STEPS, c.outputs - p);
                pack_gradients(&t, s.group, image, count, p, steps, o);
                add_taps(&t, x, t.step + p, count * steps, first, last, min64(PANEL, c.out_channels - o),
                         (real *)t.sums + i * n * PANEL);
            }
        }
    }
    for (int64_t i = 0; i < panels; i++) {
        int64_t o = (s.first_panel + i) * PANEL;
        real *to = (real *)c.w.data + (s.group * c.out_channels + o) * t.lines + first;
        for (int64_t j = 0; j < n; j += LANES)
            store_transposed((real *)t.sums + (i * n + j) * PANEL, min64(LANES, n - j),
                             min64(PANEL, c.out_channels - o), to + j, t.lines, n - j);
    }
}
