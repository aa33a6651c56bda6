/* Packing one side of a product into panels: panel[p][width], the p-th elements of `width` lines together. Compiled
 * per instruction set and type. Reads nothing but the elements themselves. */
#include "transpose.h"

#include <string.h>

static void pack_any(real *panel, int width, int lines, int64_t k, wg__side from)
{
    for (int64_t p = 0; p < k; p++)
        for (int l = 0; l < lines; l++) panel[p * width + l] = from.data[l * from.line + p * from.k];
}

/* Steps p .. p + LANES of lines l .. l + LANES, as far as there are lines. */
static inline __attribute__((always_inline)) void pack_block(real *panel, int width, int lines, wg__side from)
{
    vector v[LANES];
    UNROLL
    for (int i = 0; i < LANES; i++) v[i] = i < lines ? load(from.data + i * from.line) : (vector){0};
    transpose(v);
    UNROLL
    for (int i = 0; i < LANES; i++) put(panel + i * width, v[i]);
}

/* Unit stride along k. A block may write past the panel's width, into the next step: so the lines go from the last
 * block to the first, and the steps forward, and what was overwritten is written after. */
static void pack_transposed(real *panel, int width, int lines, int64_t k, wg__side from)
{
    int64_t p = 0;
    for (; p + LANES <= k; p += LANES)
        for (int l = (lines - 1) / LANES * LANES; l >= 0; l -= LANES) {
            wg__side block = {from.data + l * from.line + p, from.line, 1};
            if (lines - l >= LANES)
                pack_block(panel + p * width + l, width, LANES, block);
            else
                pack_block(panel + p * width + l, width, lines - l, block);
        }
    from.data += p;
    pack_any(panel + p * width, width, lines, k - p, from);
}

/* What is packed next, into the second-level cache: steps of a large matrix are apart, which no hardware foresees. */
static inline void fetch_ahead(const real *step, int64_t k) { __builtin_prefetch(step + PACK_STEPS * k, 0, 2); }

/* Unit stride along the lines. A whole vector is moved where it can be read; what it writes past the panel's width
 * belongs to the next step, written later. */
static void pack_copied(real *panel, int width, int lines, int64_t beyond, int64_t k, wg__side from)
{
    if (lines <= LANES && beyond >= LANES) {
        for (int64_t p = 0; p < k; p++) {
            fetch_ahead(from.data + p * from.k, from.k);
            put(panel + p * width, load(from.data + p * from.k));
        }
    } else if (lines <= 2 * LANES && width <= 2 * LANES && beyond >= 2 * LANES) {
        for (int64_t p = 0; p < k; p++) {
            fetch_ahead(from.data + p * from.k, from.k);
            fetch_ahead(from.data + p * from.k + LANES, from.k);
            put(panel + p * width, load(from.data + p * from.k));
            put(panel + p * width + LANES, load(from.data + p * from.k + LANES));
        }
    } else {
        for (int64_t p = 0; p < k; p++)
            memcpy(panel + p * width, from.data + p * from.k, (size_t)lines * sizeof(real));
    }
}

void WG__K(pack_panel)(real *panel, int width, int lines, int64_t beyond, int64_t k, wg__side from)
{
    if (lines < width) memset(panel, 0, (size_t)(k * width) * sizeof(real));
    if (from.line == 1)
        pack_copied(panel, width, lines, beyond, k, from);
    else if (from.k == 1)
        pack_transposed(panel, width, lines, k, from);
    else
        pack_any(panel, width, lines, k, from);
}
