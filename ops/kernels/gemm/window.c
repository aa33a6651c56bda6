/* Packs an image seen through a window into panels: panel[p][width], as pack.c does for a matrix with strides. Lines
 * (outputs of the convolution, or taps of the window) may be anywhere; runs of adjacent elements are copied a vector at
 * a time. What a vector writes past a run is overwritten later. Compiled per variant. */
#include "transpose.h"

#include <string.h>

#include "../base/integers.h"

enum { MAX_WIDTH = 64 };

/* The number of consecutive offsets from at[0] on. */
static int64_t run_length(const int64_t *at, int64_t n)
{
    int64_t length = 1;
    while (length < n && at[length] == at[0] + length) length++;
    return length;
}

static bool is_readable(const real *from, const void *end) { return (const void *)(from + LANES) <= end; }

static void pack_elements(real *panel, int width, int lines, int64_t k, wg__windowed from)
{
    for (int64_t p = 0; p < k; p++)
        for (int l = 0; l < lines; l++) panel[p * width + l] = from.data[from.step[p] + from.line[l]];
}

/* Copies runs of adjacent lines, as the outputs of a row are. */
static void copy_runs(real *panel, int width, int lines, int64_t k, wg__windowed from)
{
    int start[MAX_WIDTH], count = 0;
    for (int l = 0; l < lines; l += (int)run_length(from.line + l, lines - l)) start[count++] = l;
    for (int64_t p = 0; p < k; p++) {
        const real *step = from.data + from.step[p];
        for (int r = 0; r < count; r++) {
            int stop = r + 1 < count ? start[r + 1] : lines;
            const real *run = step + from.line[start[r]];
            real *to = panel + p * width + start[r];
            for (int l = 0; l < stop - start[r]; l += LANES) {
                if (is_readable(run + l, from.end))
                    store(to + l, load(run + l));
                else
                    memcpy(to + l, run + l, (size_t)min64(stop - start[r] - l, LANES) * sizeof *to);
            }
        }
    }
}

/* LANES adjacent steps of up to LANES lines. */
static void transpose_square(real *panel, int width, int lines, wg__windowed from)
{
    vector v[LANES];
    for (int i = 0; i < LANES; i++) v[i] = i < lines ? load(from.data + from.line[i] + from.step[0]) : (vector){0};
    transpose(v);
    UNROLL
    for (int i = 0; i < LANES; i++) store(panel + i * width, v[i]);
}

static int64_t largest(const int64_t *at, int64_t n)
{
    int64_t top = at[0];
    for (int64_t i = 1; i < n; i++) top = max64(at[i], top);
    return top;
}

/* Transposes runs of adjacent steps: a weight's gradient contracts over outputs, which are adjacent along a row. */
static void transpose_runs(real *panel, int width, int lines, int64_t k, wg__windowed from)
{
    const real *last = from.data + largest(from.line, lines);
    for (int64_t p = 0, run; p < k; p += run, from.step += run) {
        run = run_length(from.step, min64(k - p, LANES));
        for (int l = 0; l < lines; l += LANES) {
            wg__windowed part = {from.data, from.end, from.line + l, from.step};
            int count = (int)min64(lines - l, LANES);
            if (is_readable(last + from.step[0], from.end))
                transpose_square(panel + p * width + l, width, count, part);
            else
                pack_elements(panel + p * width + l, width, count, run, part);
        }
    }
}

void WG__K(pack_window)(real *panel, int width, int lines, int64_t k, wg__windowed from)
{
    int64_t by_line = run_length(from.line, lines), by_step = run_length(from.step, k);
    if (lines < width) memset(panel, 0, (size_t)(k * width) * sizeof(real));
    if (width <= MAX_WIDTH && by_line >= 4 && by_line >= by_step)
        copy_runs(panel, width, lines, k, from);
    else if (by_step >= 4 && width % LANES == 0)
        transpose_runs(panel, width, lines, k, from);
    else
        pack_elements(panel, width, lines, k, from);
}
