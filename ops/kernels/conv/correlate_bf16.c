/* Convolutions and the gradients of images in bf16 (direct_bf16.h). Compiled per variant.
 *
 * An element is one chain of sums of pairs (AMX: of groups of pairs, gemm/tile.h) over the taps, and within a tap over
 * the channels. */
#include "variant_bf16.h"

#include <string.h>

#include "../gemm/pair.h"
#include "../gemm/transpose.h"

enum { PANEL = WG__PANEL, SET = WG__SET, LINES = 2 * SET };

#define F32_(name, isa) wg__##name##_f32_##isa
#define F32(name, isa)  F32_(name, isa)
void F32(pack_window, WG__ISA)(real *panel, int width, int lines, int64_t k, wg__windowed from);

/* ---- correlations: packing ----------------------------------------------------------------------------------- */

/* Elements [p, p + count), at most LANES, of some channels, at most 2 LANES, to `pairs` pairs of their positions. */
INLINE void pack_square(const wg__bf16_correlation *r, const float *from, int64_t channels, int64_t p,
                        int64_t count, uint16_t *to, int64_t pairs)
{
    const int64_t plane = r->padding.plane;
    vector v[LANES];
    UNROLL
    for (int i = 0; i < LANES; i++) {
        const float *x = from + 2 * i * plane + p;
        v[i] = paired(2 * i < channels ? load_some(x, count) : (vector){0},
                      2 * i + 1 < channels ? load_some(x + plane, count) : (vector){0});
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

/* The same for folded taps: each position gets the numbers of a few positions from itself on, from a dense copy. */
static void pack_folded(const wg__bf16_correlation *r, const float *from)
{
#if defined WG__AMX
    const int64_t plane = r->padding.plane;
    for (int64_t c = 0; c < r->in_channels; c++, from += plane)
        for (int64_t p = 0; p < plane; p += LANES) {
            const halves numbers = halves_of(load_some(from + p, plane - p));
            for (int64_t i = 0; i < min64(LANES, plane - p); i++) r->dense[r->place[p + i] + c] = numbers[i];
        }
    const __mmask32 window = _cvtu32_mask32((uint32_t)((1ull << (r->folded * r->in_channels)) - 1));
    for (int64_t i = 0; i < r->positions; i++)
        _mm512_storeu_si512(r->packed + i * 2 * r->pairs,
                            _mm512_maskz_loadu_epi16(window, r->dense + i * r->in_channels));
#else
    (void)r, (void)from; /* other instruction sets fold no taps: folded_taps */
#endif
}

/* Those of number n of a position, in f32; NULL: zeros. */
static const float *weights_of(const wg__bf16_correlation *r, const wg__bf16_residue *p, int64_t tap, int64_t n)
{
    const int64_t c = n % r->in_channels;
    tap += n / r->in_channels;
    return n < r->in_channels * r->folded ? r->rows + (c * p->taps + tap) * PANEL : NULL;
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
    for (int64_t tap = 0; tap < p->taps; tap += r->folded)
        for (int64_t n = 0; n < 2 * r->pairs; n += 2, panel += PANEL) {
            const float *first = weights_of(r, p, tap, n), *second = weights_of(r, p, tap, n + 1);
            for (int l = 0; l < PANEL; l += LANES)
                store(panel + l,
                      paired(first ? load(first + l) : (vector){0}, second ? load(second + l) : (vector){0}));
        }
}

/* ---- correlations: storing ----------------------------------------------------------------------------------- */

INLINE void copy_numbers(float *to, const float *from, int64_t n)
{
#if defined __AVX512F__ /* by name, or gcc calls memcpy */
    for (int64_t i = 0; i < n; i += LANES) {
        const __mmask16 some = _cvtu32_mask16((1u << min64(LANES, n - i)) - 1);
        _mm512_mask_storeu_ps(to + i, some, _mm512_maskz_loadu_ps(some, from + i));
    }
#else
    for (int64_t i = 0; i < n; i++) to[i] = from[i];
#endif
}

/* to[2 * i] = from[i] */
INLINE void copy_alternating(float *to, const float *from, int64_t n)
{
#if defined __AVX512F__
    enum { EVEN = 0x5555, HALF = LANES / 2 };
    for (int64_t i = 0; i < n; i += HALF) {
        const __mmask16 some = _cvtu32_mask16(((1u << 2 * min64(HALF, n - i)) - 1) & EVEN);
        const __m512 x = _mm512_castps256_ps512(_mm256_loadu_ps(from + i));
        _mm512_mask_storeu_ps(to + 2 * i, some, _mm512_maskz_expand_ps(EVEN, x));
    }
#else
    for (int64_t i = 0; i < n; i++) to[2 * i] = from[i];
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
        else if (step == 2)
            copy_alternating(to, turned, n);
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
    float totals[LINES * PANEL] __attribute__((aligned(64))),
        turned[LINES * PANEL + LANES] __attribute__((aligned(64)));
    for (int64_t x = 0; row < stop;) {
        const int64_t from = place_of_row(p->axis, r->grid, row, false) + x, lines = min64(LINES, end - from);
        const wg__bf16_tile t = {.image = r->packed + from * 2 * r->pairs,
                                 .b = panel,
                                 .c = totals,
                                 .piece = p->piece,
                                 .pieces = p->taps / r->folded,
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
    (r->folded > 1 ? pack_folded : pack_image)(r, r->image + problem * r->in_channels * r->padding.plane);
    for (int64_t i = s->first_panel; i < s->last_panel; i++) {
        float *to = r->result + (problem * r->out_channels + i * PANEL) * r->plane;
        for (const wg__bf16_residue *p = r->residue; p < r->residue + r->residues; p++) {
            const int64_t rows = p->lines ? p->lines / p->axis[2].lines : 0;
            const int64_t first = s->part * rows / r->cut.part_tasks,
                          stop = (s->part + 1) * rows / r->cut.part_tasks;
            if (first < stop) run_rows(r, p, first, stop, panel, min64(PANEL, r->out_channels - i * PANEL), to);
            panel += p->taps / r->folded * r->pairs * PANEL;
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
            panel += p->taps / r->folded * r->pairs * PANEL;
        }
    if (r->folded > 1)
        memset(r->dense, 0, (size_t)(r->positions * r->in_channels) * sizeof *r->dense);
    else
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

const wg__conv_kernels WG__K(conv_kernels) = {GROUP_STEPS, convolve, convolve_input, WG__K(conv_weight)};
