/* Packs one side of a product into panels: panel[p][width] holds the p-th elements of `width` lines. Compiled per
 * variant. Reads no memory but the elements. */
#include "../../../autograd/base/bf16.h"
#include "transpose.h"

#include <assert.h>
#include <string.h>

static void pack_elements(real *panel, int width, int lines, int64_t k, wg__reals from)
{
    for (int64_t p = 0; p < k; p++)
        for (int l = 0; l < lines; l++) panel[p * width + l] = from.data[l * from.line + p * from.k];
}

/* LANES steps of up to LANES lines. */
static inline __attribute__((always_inline)) void pack_block(real *panel, int width, int lines, wg__reals from)
{
    vector v[LANES];
    UNROLL
    for (int i = 0; i < LANES; i++) v[i] = i < lines ? load(from.data + i * from.line) : (vector){0};
    transpose(v);
    UNROLL
    for (int i = 0; i < LANES; i++) store(panel + i * width, v[i]);
}

/* Unit stride along k. A block may write past the panel's width, into the next step. Blocks of lines are packed from
 * last to first and steps in order, so that every element is written last with its own value. */
static void pack_transposed(real *panel, int width, int lines, int64_t k, wg__reals from)
{
    int64_t p = 0;
    for (; p + LANES <= k; p += LANES)
        for (int l = (lines - 1) / LANES * LANES; l >= 0; l -= LANES) {
            wg__reals block = {from.data + l * from.line + p, from.line, 1};
            if (lines - l >= LANES)
                pack_block(panel + p * width + l, width, LANES, block);
            else
                pack_block(panel + p * width + l, width, lines - l, block);
        }
    from.data += p;
    pack_elements(panel + p * width, width, lines, k - p, from);
}

/* Prefetches what is packed next into the second-level cache: the steps of a large matrix are too far apart for the
 * hardware prefetcher. */
static inline void prefetch_steps(const real *step, int64_t k) { __builtin_prefetch(step + PACK_STEPS * k, 0, 2); }

/* Unit stride along the lines. Copies whole vectors where they can be read; what a vector writes past the panel's width
 * belongs to the next step and is overwritten. */
static void pack_adjacent(real *panel, int width, int lines, int64_t readable, int64_t k, wg__reals from)
{
    if (lines <= LANES && readable >= LANES) {
        for (int64_t p = 0; p < k; p++) {
            prefetch_steps(from.data + p * from.k, from.k);
            store(panel + p * width, load(from.data + p * from.k));
        }
    } else if (lines <= 2 * LANES && width <= 2 * LANES && readable >= 2 * LANES) {
        for (int64_t p = 0; p < k; p++) {
            prefetch_steps(from.data + p * from.k, from.k);
            prefetch_steps(from.data + p * from.k + LANES, from.k);
            store(panel + p * width, load(from.data + p * from.k));
            store(panel + p * width + LANES, load(from.data + p * from.k + LANES));
        }
    } else {
        for (int64_t p = 0; p < k; p++)
            memcpy(panel + p * width, from.data + p * from.k, (size_t)lines * sizeof(real));
    }
}

/* In both functions below: a call would copy the side through memory, 7 us of a step of 300 products (lstm-b1). */
static inline __attribute__((always_inline)) void pack_lines(real *panel, int width, int lines, int64_t readable,
                                                             int64_t k, wg__reals from)
{
    if (lines < width) memset(panel, 0, (size_t)(k * width) * sizeof(real));
    if (from.line == 1)
        pack_adjacent(panel, width, lines, readable, k, from);
    else if (from.k == 1)
        pack_transposed(panel, width, lines, k, from);
    else
        pack_elements(panel, width, lines, k, from);
}

void WG__K(pack_reals)(real *panel, int width, int lines, int64_t readable, int64_t k, wg__reals from)
{
    pack_lines(panel, width, lines, readable, k, from);
}

#if WG__T == 32
enum { SOME = 2 * PACK_STEPS, WIDTH_MOST = 64 };

/* Numbers stored in bf16; lines that are contiguous along k a few numbers at a time, through the first-level cache. */
static void pack_half(real *panel, int width, int lines, int64_t k, wg__side from)
{
    real some[WIDTH_MOST * SOME] __attribute__((aligned(64)));
    if (lines < width) memset(panel, 0, (size_t)(k * width) * sizeof(real));
    int64_t p = 0;
    for (; from.k == 1 && from.line != 1 && p + SOME <= k; p += SOME) {
        for (int l = 0; l < lines; l++)
            for (int i = 0; i < SOME; i += LANES)
                store(some + l * SOME + i, (vector)(load_halves(from.data + l * from.line + p + i) << 16));
        pack_lines(panel + p * width, width, lines, lines, SOME, (wg__reals){some, SOME, 1});
    }
    for (; p < k; p++)
        for (int l = 0; l < lines; l++)
            panel[p * width + l] = wg__bf16_to_f32(from.data[l * from.line + p * from.k]);
}
#endif

void WG__K(pack_panel)(real *panel, int width, int lines, int64_t readable, int64_t k, wg__side from)
{
#if WG__T == 32
    if (from.half) {
        assert(width <= WIDTH_MOST);
        pack_half(panel, width, lines, k, from);
        return;
    }
#endif
    pack_lines(panel, width, lines, readable, k, reals_of(from));
}
