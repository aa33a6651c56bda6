/* Packing the windows of an image into panels: panel[p][width], as pack.c does for a matrix with strides. The
 * lines (positions of the window, or places in it) stand anywhere; what lies side by side is moved a vector at a time.
 * What a vector writes too much is written again by what comes after. Compiled per instruction set and type. */
#include "transpose.h"

#include <string.h>

#include "../base/integers.h"

enum { MOST_WIDE = 64 };

/* How many numbers from `at` on follow each other. */
static int64_t run_of(const int64_t *at, int64_t n)
{
    int64_t length = 1;
    while (length < n && at[length] == at[0] + length) length++;
    return length;
}

static bool can_load(const real *from, const void *end) { return (const void *)(from + LANES) <= end; }

static void one_by_one(real *panel, int width, int lines, int64_t k, wg__windowed from)
{
    for (int64_t p = 0; p < k; p++)
        for (int l = 0; l < lines; l++) panel[p * width + l] = from.data[from.step[p] + from.line[l]];
}

/* Lines that lie side by side, as the positions of a row of the image do. */
static void along_lines(real *panel, int width, int lines, int64_t k, wg__windowed from)
{
    int start[MOST_WIDE], count = 0;
    for (int l = 0; l < lines; l += (int)run_of(from.line + l, lines - l)) start[count++] = l;
    for (int64_t p = 0; p < k; p++) {
        const real *step = from.data + from.step[p];
        for (int r = 0; r < count; r++) {
            int stop = r + 1 < count ? start[r + 1] : lines;
            const real *run = step + from.line[start[r]];
            real *to = panel + p * width + start[r];
            for (int l = 0; l < stop - start[r]; l += LANES) {
                if (can_load(run + l, from.end))
                    put(to + l, load(run + l));
                else
                    memcpy(to + l, run + l, (size_t)least(stop - start[r] - l, LANES) * sizeof *to);
            }
        }
    }
}

/* LANES steps from step p on, which lie side by side, of the lines l .. l + LANES. */
static void square(real *panel, int width, int lines, wg__windowed from)
{
    vector v[LANES];
    for (int i = 0; i < LANES; i++) v[i] = i < lines ? load(from.data + from.line[i] + from.step[0]) : (vector){0};
    transpose(v);
    UNROLL
    for (int i = 0; i < LANES; i++) put(panel + i * width, v[i]);
}

static int64_t highest(const int64_t *at, int64_t n)
{
    int64_t top = at[0];
    for (int64_t i = 1; i < n; i++) top = most(at[i], top);
    return top;
}

/* Steps that lie side by side, as the positions do where the image is contracted over them (a weight's gradient). */
static void along_steps(real *panel, int width, int lines, int64_t k, wg__windowed from)
{
    const real *last = from.data + highest(from.line, lines);
    for (int64_t p = 0, run; p < k; p += run, from.step += run) {
        run = run_of(from.step, least(k - p, LANES));
        for (int l = 0; l < lines; l += LANES) {
            wg__windowed part = {from.data, from.end, from.line + l, from.step};
            int count = (int)least(lines - l, LANES);
            if (can_load(last + from.step[0], from.end))
                square(panel + p * width + l, width, count, part);
            else
                one_by_one(panel + p * width + l, width, count, run, part);
        }
    }
}

void WG__K(pack_window)(real *panel, int width, int lines, int64_t k, wg__windowed from)
{
    int64_t by_line = run_of(from.line, lines), by_step = run_of(from.step, k);
    if (lines < width) memset(panel, 0, (size_t)(k * width) * sizeof(real));
    if (width <= MOST_WIDE && by_line >= 4 && by_line >= by_step)
        along_lines(panel, width, lines, k, from);
    else if (by_step >= 4 && width % LANES == 0)
        along_steps(panel, width, lines, k, from);
    else
        one_by_one(panel, width, lines, k, from);
}
