/* Row panels as AMX reads them: each square of 16 steps and 16 lines transposed, so that 16 pairs of a row are one line
 * of a tile register. Compiled for AMX. */
#include "pair.h"
#include "transpose.h"

enum { SIDE = 16, NUMBERS = 2 * SIDE };

void WG__K(turn)(real *panel, int width, int64_t k)
{
    for (real *square = panel; square < panel + k * width; square += SIDE * width)
        for (int l = 0; l < width; l += SIDE) {
            vector v[LANES];
            UNROLL
            for (int i = 0; i < SIDE; i++) v[i] = load(square + i * width + l);
            transpose(v);
            UNROLL
            for (int i = 0; i < SIDE; i++) store(square + i * width + l, v[i]);
        }
}

/* 16 pairs of a line, the last ones zero if there are fewer than 32 numbers. */
static inline vector line_of(wg__side from, int64_t numbers)
{
    const __mmask32 some = _cvtu32_mask32(numbers < NUMBERS ? (1u << numbers) - 1 : ~0u);
    if (from.half) return (vector)_mm512_maskz_loadu_epi16(some, from.data);
    const float *x = reals_of(from).data;
    return pairs_along((vector)_mm512_maskz_loadu_ps((__mmask16)some, x),
                       (vector)_mm512_maskz_loadu_ps((__mmask16)(some >> LANES), x + LANES));
}

void WG__K(pack_turned)(real *panel, int width, int lines, int64_t k, wg__side from)
{
    const int all = lines == 1 ? 1 : width; /* of one row, the tile reads nothing else */
    for (int l = 0; l < all; l++, from.data += from.line) {
        real *to = panel + l % SIDE * width + l / SIDE * SIDE;
        wg__side rest = from;
        for (int64_t p = 0; p < k; p += NUMBERS, to += SIDE * width, rest.data += NUMBERS * rest.k)
            store(to, l < lines ? line_of(rest, k - p) : (vector){0});
    }
}
