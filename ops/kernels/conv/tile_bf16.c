/* The tile of direct convolutions in bf16 (direct_bf16.h): by AMX, or in vectors. Compiled per variant. */
#include "variant_bf16.h"

#include "../gemm/pair.h"

enum { PANEL = WG__PANEL };

#if defined WG__AMX

/* Two sets of lines if sets_2, two of channels if cols_2. */
INLINE void tile(bool sets_2, bool cols_2, const wg__bf16_tile *t)
{
    enum { ROW = PANEL * sizeof(float), SET_SUMS = WG__SET * PANEL, NUMBERS = 2 * GROUP_STEPS };
    const size_t line = (size_t)t->line * sizeof *t->image;
    float *c = t->c;
    const float *b = t->b;
    __asm__ volatile("" ::: "memory"); /* gcc's _tile_loadd does not say that it reads memory */
    if (t->add) {
        _tile_loadd(0, c, ROW);
        if (cols_2) _tile_loadd(1, c + WG__SET, ROW);
        if (sets_2) _tile_loadd(2, c + SET_SUMS, ROW);
        if (sets_2 && cols_2) _tile_loadd(3, c + SET_SUMS + WG__SET, ROW);
    } else {
        _tile_zero(0);
        if (cols_2) _tile_zero(1);
        if (sets_2) _tile_zero(2);
        if (sets_2 && cols_2) _tile_zero(3);
    }
    for (const wg__bf16_piece *p = t->piece; p < t->piece + t->pieces; p++) {
        const uint16_t *first = t->image + p->at[0], *second = t->image + p->at[1];
        for (int64_t step = 0; step < p->steps; step += GROUP_STEPS) {
            add_products(sets_2, cols_2, first, second, line, b, b + WG__SET, ROW);
            first += NUMBERS, second += NUMBERS, b += GROUP_STEPS * PANEL;
        }
    }
    _tile_stored(0, c, ROW);
    if (cols_2) _tile_stored(1, c + WG__SET, ROW);
    if (sets_2) _tile_stored(2, c + SET_SUMS, ROW);
    if (sets_2 && cols_2) _tile_stored(3, c + SET_SUMS + WG__SET, ROW);
}

void WG__K(conv_tile)(const wg__bf16_tile *t)
{
    const bool cols_2 = t->channels > WG__SET;
    if (t->lines[1] > 0 && cols_2)
        tile(true, true, t);
    else if (t->lines[1] > 0)
        tile(true, false, t);
    else if (cols_2)
        tile(false, true, t);
    else
        tile(false, false, t);
}

#else

/* Three rows share a pointer, so that the pointers fit the address registers (gemm/tile.c). */
enum { SHARE = 3, POINTERS = (TILE_ROWS + SHARE - 1) / SHARE };
typedef uint32_t any_pair __attribute__((may_alias, aligned(2)));

/* Lines [line, line + rows) of a set, and channels from `col` on. */
INLINE void tile(int rows, int vectors, const wg__bf16_tile *t, int set, int64_t line, int64_t col)
{
    vector sum[TILE_ROWS][2];
    float *c = t->c + (set * WG__SET + line) * PANEL + col;
    const float *b = t->b + col;
    UNROLL
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) sum[i][v] = t->add ? load(c + i * PANEL + v * LANES) : (vector){0};
    for (const wg__bf16_piece *p = t->piece; p < t->piece + t->pieces; p++) {
        const uint16_t *row[POINTERS];
        UNROLL
        for (int g = 0; g < POINTERS; g++)
            row[g] = t->image + p->at[set] + (line + (g * SHARE < rows ? g * SHARE : 0)) * t->line;
        for (int64_t step = 0; step < p->steps; step++, b += PANEL) {
            const vector b0 = load(b), b1 = vectors == 2 ? load(b + LANES) : b0;
            UNROLL
            for (int i = 0; i < rows; i++) {
                const vector x = (vector)((bits){0} + *(const any_pair *)(row[i / SHARE] + i % SHARE * t->line));
                sum[i][0] = multiply_add(x, b0, sum[i][0]);
                if (vectors == 2) sum[i][1] = multiply_add(x, b1, sum[i][1]);
            }
            UNROLL
            for (int g = 0; g < POINTERS; g++) row[g] += 2;
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vectors; v++) store(c + i * PANEL + v * LANES, sum[i][v]);
}

#define FUNCTION(rows, vectors)                                                                                    \
    static void tile_##rows##_##vectors(const wg__bf16_tile *t, int set, int64_t line, int64_t col)                \
    {                                                                                                              \
        tile(rows, vectors, t, set, line, col);                                                                    \
    }
#define BOTH(rows)  FUNCTION(rows, 1) FUNCTION(rows, 2)
#define ENTRY(rows) {tile_##rows##_1, tile_##rows##_2},

EACH_ROWS(BOTH)

typedef void (*tile_function)(const wg__bf16_tile *t, int set, int64_t line, int64_t col);
static const tile_function functions[TILE_ROWS][2] = {EACH_ROWS(ENTRY)};

void WG__K(conv_tile)(const wg__bf16_tile *t)
{
    for (int set = 0; set < 2; set++) {
        const int64_t lines = t->lines[set], tiles = ceil_div(lines, TILE_ROWS);
        for (int64_t i = 0; i < tiles; i++) {
            const int64_t from = i * lines / tiles, to = (i + 1) * lines / tiles;
            for (int64_t col = 0; col < t->channels; col += TILE_COLS)
                functions[to - from - 1][t->channels - col > LANES](t, set, from, col);
        }
    }
}

#endif
